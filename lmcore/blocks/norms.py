"""Norms, and the two orders of norm and sum around a sublayer."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from lmcore.batches import at_least

Part = Callable[[Tensor], Tensor]
NORM_TYPES = ("layer", "rms")


def layer_norm(
    x: Float[Tensor, "*shape C"], weight: Float[Tensor, " C"], bias: Float[Tensor, " C"] | None = None, eps: float | int = 1e-5
) -> Float[Tensor, "*shape C"]:
    r"""Layer normalisation (Ba et al. 2016), as it is written; :class:`LayerNorm` is torch's kernel for the same.

    .. math:: y = \gamma \odot \frac{x - \mu}{\sqrt{\sigma^2 + \varepsilon}} + \beta

    with the mean μ and the variance σ² over the C numbers of each vector, divided by C and not by C − 1. ε stands in the root.
    """
    mean = x.mean(-1, keepdim=True)
    variance = (x - mean).square().mean(-1, keepdim=True)
    y = weight * (x - mean) / torch.sqrt(variance + eps)
    return y if bias is None else y + bias


class LayerNorm(nn.Module):
    """:func:`layer_norm` with its parameters ``weight`` (γ, ones at first) and ``bias`` (β, zeros at first), both (C,).

    Args:
        dim: C.
        eps: ε.
        bias: with β.
    """

    def __init__(self, dim: int, eps: float | int = 1e-5, bias: bool = True):
        super().__init__()
        at_least(1, dim=dim)
        self.eps = _small(eps)
        self.weight = nn.Parameter(torch.ones(dim))
        self.bias = nn.Parameter(torch.zeros(dim)) if bias else None

    def forward(self, x: Float[Tensor, "*shape C"]) -> Float[Tensor, "*shape C"]:
        """x, normalised along its last axis."""
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{len(self.weight)}, eps={self.eps:g}"


def rms_norm(x: Float[Tensor, "*shape C"], weight: Float[Tensor, " C"], eps: float | int = 1e-5) -> Float[Tensor, "*shape C"]:
    r"""Root mean square normalisation (Zhang and Sennrich 2019, equation 4), as it is written.

    .. math:: y = \gamma \odot \frac{x}{\sqrt{\frac1C \sum_i x_i^2 + \varepsilon}}

    It is :func:`layer_norm` of vectors whose mean is 0 already, without β: the size is set, the mean stays what it is.
    """
    return weight * x / torch.sqrt(x.square().mean(-1, keepdim=True) + eps)


class RMSNorm(nn.Module):
    """:func:`rms_norm` with its parameter ``weight`` (γ, ones at first), (C,), as in :class:`torch.nn.RMSNorm`.

    Args:
        dim: C.
        eps: ε, inside the root.
    """

    def __init__(self, dim: int, eps: float | int = 1e-5):
        super().__init__()
        at_least(1, dim=dim)
        self.eps = _small(eps)
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Float[Tensor, "*shape C"]) -> Float[Tensor, "*shape C"]:
        """x, brought to mean square 1 along its last axis, then scaled."""
        return F.rms_norm(x, self.weight.shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{len(self.weight)}, eps={self.eps:g}"


def make_norm(kind: str, dim: int, eps: float | int = 1e-5, bias: bool = True) -> LayerNorm | RMSNorm:
    """:class:`LayerNorm` for ``"layer"``, :class:`RMSNorm`, which has no bias, for ``"rms"``.

    Raises:
        ValueError: the kind is unknown, or a number is out of range.
    """
    if kind not in NORM_TYPES:
        raise ValueError(f"norm_type={kind!r} is unknown; use one of {', '.join(NORM_TYPES)}")
    return LayerNorm(dim, eps, bias) if kind == "layer" else RMSNorm(dim, eps)


def post_norm(x: Tensor, part: Part, norm: Part) -> Tensor:
    """A sublayer as in the original Transformer: normalise the sum. What goes on to the next sublayer is normalised."""
    return norm(x + part(x))


def pre_norm(x: Tensor, part: Part, norm: Part) -> Tensor:
    """A sublayer as in most models since GPT-2: normalise what the part reads. The sum itself is never normalised."""
    return x + part(norm(x))


def _small(eps: object) -> float | int:
    if isinstance(eps, bool) or not isinstance(eps, int | float) or eps < 0:
        raise ValueError(f"eps={eps!r} is not allowed; use a small number from 0 on, such as 1e-5")
    return eps
