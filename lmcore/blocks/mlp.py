"""The network that is applied to every position by itself, and what stands between its two matrices."""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from lmcore.batches import at_least


def gelu_tanh(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    r"""GELU by its approximation (Hendrycks and Gimpel 2016, section 2), as GPT-2 computes it.

    .. math:: \tfrac12 x \left(1 + \tanh\!\left(\sqrt{2/\pi}\,(x + 0.044715\,x^3)\right)\right)
    """
    return F.gelu(x, approximate="tanh")


def swiglu(x: Float[Tensor, "*shape G"]) -> Float[Tensor, "*shape F"]:
    r"""A gated activation: of 2 F numbers the first F are gates for the others (Shazeer 2020, equation 5).

    .. math:: [g; u] = x, \qquad \operatorname{SiLU}(g) \odot u, \qquad \operatorname{SiLU}(g) = \frac{g}{1 + e^{-g}}
    """
    gates, values = x.chunk(2, dim=-1)
    return F.silu(gates) * values


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu_tanh": gelu_tanh,
    "silu": F.silu,
    "swiglu": swiglu,
}
"""What may stand between the two matrices: name → function."""


class FeedForward(nn.Module):
    r"""The network that is applied to every position by itself: :math:`W_2\, \sigma(W_1 x + b_1) + b_2`.

    Args:
        dim: C, the width of inputs and outputs.
        hidden: width of the hidden layer; 4 · C if not given.
        activation: σ, one of :data:`ACTIVATIONS`: ``"relu"``; ``"gelu"``, the exact one, with the distribution function of the
            normal distribution; ``"gelu_tanh"``, the approximation of it that GPT-2 uses; ``"silu"``; or ``"swiglu"``, which
            reads two numbers for every hidden one, see :class:`SwiGLU`.
        dropout: probability of dropping a hidden number, in training.
        bias: with b₁ and b₂.

    Raises:
        ValueError: a size is not positive, or the activation is unknown.
    """

    def __init__(
        self, dim: int, hidden: int | None = None, activation: str = "relu", dropout: float | int = 0.0, bias: bool = True
    ):
        super().__init__()
        hidden = 4 * dim if hidden is None else hidden
        at_least(1, dim=dim, hidden=hidden)
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation={activation!r} is unknown; use one of {', '.join(ACTIVATIONS)}")
        self.activation = activation
        rows = 2 * hidden if activation == "swiglu" else hidden
        self.linear1, self.linear2 = nn.Linear(dim, rows, bias=bias), nn.Linear(hidden, dim, bias=bias)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Float[Tensor, "*shape C"]) -> Float[Tensor, "*shape C"]:
        """The network's output at every position."""
        return self.linear2(self.dropout(ACTIVATIONS[self.activation](self.linear1(x))))


class SwiGLU(FeedForward):
    r"""The MLP of Llama (Shazeer 2020): :math:`W_2\,(\operatorname{SiLU}(W_g x) \odot W_u x)`.

    ``linear1.weight`` holds :math:`W_g` and, below it, :math:`W_u`, so that one product computes both; ``linear2.weight`` is
    :math:`W_2`. It is :class:`FeedForward` with ``activation="swiglu"``.

    Args:
        dim: C, the width of inputs and outputs.
        hidden: width F of the hidden layer; that of :func:`swiglu_hidden` if not given.
        dropout: probability of dropping a hidden number, in training.
        bias: with a bias in all three products.

    Raises:
        ValueError: a size is not positive.
    """

    def __init__(self, dim: int, hidden: int | None = None, dropout: float | int = 0.0, bias: bool = False):
        at_least(1, dim=dim)
        super().__init__(dim, swiglu_hidden(4 * dim) if hidden is None else hidden, "swiglu", dropout, bias)


def swiglu_hidden(hidden: int, multiple: int = 1) -> int:
    """The hidden width that gives :class:`SwiGLU` as many weights as :class:`FeedForward` has with ``hidden``: two thirds.

    Three matrices of this width hold as much as two of the other (Shazeer 2020, section 3). In Llama, ``hidden`` is 4 C, and
    the result is rounded up to a multiple of 256.

    Args:
        hidden: the width without gates.
        multiple: of what the result is to be a multiple; with 1 it is the nearest whole number, otherwise the next above.

    Raises:
        ValueError: a number is not positive.
    """
    at_least(1, hidden=hidden, multiple=multiple)
    return max(1, round(2 * hidden / 3)) if multiple == 1 else -(-2 * hidden // (3 * multiple)) * multiple
