"""Blocks: the layers that a Transformer is a stack of.

A layer has two or three *sublayers*: self-attention, in a decoder attention to the encoder's outputs, and a small network that
is applied to every position by itself. Around each sublayer go a residual connection and a layer normalisation, in one of two
orders: :func:`post_norm`, that of Vaswani et al. (2017), or :func:`pre_norm`.

The parameters have the names of :class:`torch.nn.TransformerEncoderLayer` and :class:`torch.nn.TransformerDecoderLayer`, so the
state of one loads into the other. Masks are those of :mod:`lmcore.attention`: True where a query may look.
"""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from lmcore.attention import Cache, MultiHeadAttention
from lmcore.batches import at_least

Part = Callable[[Tensor], Tensor]
Positions = Callable[[Tensor, int], Tensor]
NORMS = ("pre", "post", "none")
ACTIVATIONS: dict[str, Part] = {"relu": F.relu, "gelu": F.gelu}


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
        if isinstance(eps, bool) or not isinstance(eps, int | float) or eps < 0:
            raise ValueError(f"eps={eps!r} is not allowed; use a small number from 0 on, such as 1e-5")
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))
        self.bias = nn.Parameter(torch.zeros(dim)) if bias else None

    def forward(self, x: Float[Tensor, "*shape C"]) -> Float[Tensor, "*shape C"]:
        """x, normalised along its last axis."""
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{len(self.weight)}, eps={self.eps:g}"


class FeedForward(nn.Module):
    r"""The network that is applied to every position by itself: :math:`W_2\, \sigma(W_1 x + b_1) + b_2`.

    Args:
        dim: C, the width of inputs and outputs.
        hidden: width of the hidden layer; 4 · C if not given.
        activation: σ, ``"relu"`` or ``"gelu"`` (the exact one, with the distribution function of the normal distribution).
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
        self.linear1, self.linear2 = nn.Linear(dim, hidden, bias=bias), nn.Linear(hidden, dim, bias=bias)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Float[Tensor, "*shape C"]) -> Float[Tensor, "*shape C"]:
        """The network's output at every position."""
        return self.linear2(self.dropout(ACTIVATIONS[self.activation](self.linear1(x))))


def post_norm(x: Tensor, part: Part, norm: Part) -> Tensor:
    """A sublayer as in the original Transformer: normalise the sum. What goes on to the next sublayer is normalised."""
    return norm(x + part(x))


def pre_norm(x: Tensor, part: Part, norm: Part) -> Tensor:
    """A sublayer as in most models since GPT-2: normalise what the part reads. The sum itself is never normalised."""
    return x + part(norm(x))


class Layer(nn.Module):
    """What :class:`EncoderLayer` and :class:`DecoderLayer` share: sublayers with norm and residual, and the last of them.

    Args:
        dim, heads, kv_heads, dropout, bias: of :class:`lmcore.attention.MultiHeadAttention`; dropout is applied to the
            attention weights, to the hidden layer, and to what comes out of every sublayer before it is added.
        hidden, activation: of :class:`FeedForward`.
        norm: ``"pre"`` or ``"post"``; ``"none"`` is for ablations.
        eps: of :class:`LayerNorm`.
        residual: add the input of a sublayer to its output; ``False`` is for ablations.
        mlp: with the feed-forward sublayer; ``False`` is for ablations.

    Raises:
        ValueError: a size does not fit, or ``norm`` or ``activation`` is unknown.
    """

    attentions: tuple[str, ...] = ("self_attn",)
    self_attn: MultiHeadAttention
    multihead_attn: MultiHeadAttention
    norm1: nn.Module
    norm2: nn.Module
    norm3: nn.Module

    def __init__(
        self,
        dim: int,
        heads: int,
        hidden: int | None = None,
        *,
        norm: str = "pre",
        activation: str = "relu",
        dropout: float | int = 0.0,
        eps: float | int = 1e-5,
        bias: bool = True,
        kv_heads: int | None = None,
        residual: bool = True,
        mlp: bool = True,
    ):
        super().__init__()
        if norm not in NORMS:
            raise ValueError(f"norm={norm!r} is unknown; use one of {', '.join(NORMS)}")
        if isinstance(dropout, bool) or not isinstance(dropout, int | float) or not 0 <= dropout < 1:
            raise ValueError(f"dropout={dropout!r} is not allowed; use a probability from 0 up to, not including, 1")
        self.norm, self.residual, self.mlp = norm, residual, mlp
        for name in self.attentions:
            self.add_module(name, MultiHeadAttention(dim, heads, kv_heads=kv_heads, bias=bias, dropout=dropout))
        network = FeedForward(dim, hidden, activation, dropout, bias)
        self.activation = activation
        if mlp:  # under torch.nn's names, which lie in the layer itself
            self.linear1, self.linear2 = network.linear1, network.linear2
        self.dropout = nn.Dropout(dropout)
        for i in range(1, len(self.attentions) + mlp + 1):
            self.add_module(f"norm{i}", nn.Identity() if norm == "none" else LayerNorm(dim, eps, bias))

    def sublayer(self, x: Float[Tensor, "B T C"], part: Part, norm: Part) -> Float[Tensor, "B T C"]:
        """:func:`pre_norm` or :func:`post_norm` around this part, as the layer was told."""
        if self.residual:
            return (post_norm if self.norm == "post" else pre_norm)(x, part, norm)
        return norm(part(x)) if self.norm == "post" else part(norm(x))

    def feed_forward(self, x: Float[Tensor, "B T C"]) -> Float[Tensor, "B T C"]:
        """:class:`FeedForward` with this layer's parameters."""
        hidden = self.dropout(ACTIVATIONS[self.activation](self.linear1(x)))
        return self.dropout(self.linear2(hidden))


class EncoderLayer(Layer):
    """Self-attention, then the feed-forward network. See :class:`Layer` for the arguments.

    With ``causal=True`` it is the layer of a language model: a decoder without an encoder is a stack of these.
    """

    def forward(
        self,
        x: Float[Tensor, "B T C"],
        mask: Bool[Tensor, "*shape"] | None = None,
        *,
        causal: bool = False,
        positions: Positions | None = None,
        cache: Cache | None = None,
        seen: list[Tensor] | None = None,
    ) -> Float[Tensor, "B T C"]:
        """The layer's outputs.

        Args:
            x: the inputs.
            mask: who may look at whom, broadcast to (B, H, T, S).
            causal: nobody may look ahead.
            positions: what to do to queries and keys, such as :class:`lmcore.positions.Rotary`.
            cache: keys and values of what came before; those of x are appended.
            seen: a list that the attention weights (B, H, T, S) are appended to, if it is given.
        """

        def attention(h: Tensor) -> Tensor:
            how = {"mask": mask, "causal": causal, "positions": positions, "cache": cache}
            return self.dropout(_watched(self.self_attn(h, weights=seen is not None, **how), seen))

        x = self.sublayer(x, attention, self.norm1)
        return self.sublayer(x, self.feed_forward, self.norm2) if self.mlp else x


class DecoderLayer(Layer):
    """Causal self-attention, then attention to the encoder's outputs, then the feed-forward network. See :class:`Layer`."""

    attentions = ("self_attn", "multihead_attn")

    def forward(
        self,
        x: Float[Tensor, "B T C"],
        memory: Float[Tensor, "B S C"],
        mask: Bool[Tensor, "*shape"] | None = None,
        memory_mask: Bool[Tensor, "*where"] | None = None,
        *,
        causal: bool = True,
        positions: Positions | None = None,
        caches: tuple[Cache, Cache] | None = None,
        seen: list[Tensor] | None = None,
        seen_memory: list[Tensor] | None = None,
    ) -> Float[Tensor, "B T C"]:
        """The layer's outputs.

        Args:
            x: the inputs, of the target.
            memory: the encoder's outputs, which give keys and values to the second attention; the queries come from x.
            mask, causal, positions, seen: of the self-attention, as for :class:`EncoderLayer`.
            memory_mask, seen_memory: of the attention to the memory.
            caches: of the self-attention, and of the attention to the memory, whose keys and values are computed once.
        """
        own, other = (None, None) if caches is None else caches

        def attention(h: Tensor) -> Tensor:
            how = {"mask": mask, "causal": causal, "positions": positions, "cache": own}
            return self.dropout(_watched(self.self_attn(h, weights=seen is not None, **how), seen))

        def cross_attention(h: Tensor) -> Tensor:
            how = {"mask": memory_mask, "cache": other, "weights": seen_memory is not None}
            return self.dropout(_watched(self.multihead_attn(h, memory, **how), seen_memory))

        x = self.sublayer(x, attention, self.norm1)
        x = self.sublayer(x, cross_attention, self.norm2)
        return self.sublayer(x, self.feed_forward, self.norm3) if self.mlp else x


def _watched(found: tuple[Tensor, Tensor | None], seen: list[Tensor] | None) -> Tensor:
    output, weights = found
    if seen is not None:
        assert weights is not None
        seen.append(weights)
    return output
