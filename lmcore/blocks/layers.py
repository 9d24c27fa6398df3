"""Layers: sublayers with norm and residual connection."""

from collections.abc import Callable
from typing import Any

from jaxtyping import Bool, Float
from torch import Tensor, nn

from lmcore.attention import Cache, MultiHeadAttention
from lmcore.blocks.mlp import ACTIVATIONS, FeedForward
from lmcore.blocks.norms import Part, make_norm, post_norm, pre_norm

Positions = Callable[[Tensor, int], Tensor]
NORMS = ("pre", "post", "none")


class Layer(nn.Module):
    """What :class:`EncoderLayer` and :class:`DecoderLayer` share: sublayers with norm and residual, and the last of them.

    Args:
        dim, heads, kv_heads, head_dim, qk_norm, dropout, bias: of :class:`lmcore.attention.MultiHeadAttention`; dropout is
            applied to the attention weights, to the hidden layer, and to what comes out of every sublayer before it is added.
        hidden, activation: of :class:`FeedForward`.
        norm: ``"pre"`` or ``"post"``; ``"none"`` is for ablations.
        norm_type: ``"layer"`` for :class:`LayerNorm` or ``"rms"`` for :class:`RMSNorm`.
        eps: of the norms.
        hidden_dropout: dropout of the hidden layer, if it is another than the rest.
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
        norm_type: str = "layer",
        head_dim: int | None = None,
        qk_norm: bool = False,
        hidden_dropout: float | int | None = None,
    ):
        super().__init__()
        if norm not in NORMS:
            raise ValueError(f"norm={norm!r} is unknown; use one of {', '.join(NORMS)}")
        inner = dropout if hidden_dropout is None else hidden_dropout
        for name, p in (("dropout", dropout), ("hidden_dropout", inner)):
            if isinstance(p, bool) or not isinstance(p, int | float) or not 0 <= p < 1:
                raise ValueError(f"{name}={p!r} is not allowed; use a probability from 0 up to, not including, 1")
        self.norm, self.residual, self.mlp = norm, residual, mlp
        for name in self.attentions:
            shape: dict[str, Any] = {"kv_heads": kv_heads, "head_dim": head_dim, "qk_norm": qk_norm}
            self.add_module(name, MultiHeadAttention(dim, heads, bias=bias, dropout=dropout, **shape))
        network = FeedForward(dim, hidden, activation, dropout, bias)
        self.activation = activation
        if mlp:  # under torch.nn's names, which lie in the layer itself
            self.linear1, self.linear2 = network.linear1, network.linear2
        self.dropout, self.hidden_dropout = nn.Dropout(dropout), nn.Dropout(inner)
        for i in range(1, len(self.attentions) + mlp + 1):
            self.add_module(f"norm{i}", nn.Identity() if norm == "none" else make_norm(norm_type, dim, eps, bias))

    def sublayer(self, x: Float[Tensor, "B T C"], part: Part, norm: Part) -> Float[Tensor, "B T C"]:
        """:func:`pre_norm` or :func:`post_norm` around this part, as the layer was told."""
        if self.residual:
            return (post_norm if self.norm == "post" else pre_norm)(x, part, norm)
        return norm(part(x)) if self.norm == "post" else part(norm(x))

    def feed_forward(self, x: Float[Tensor, "B T C"]) -> Float[Tensor, "B T C"]:
        """:class:`FeedForward` with this layer's parameters."""
        hidden = self.hidden_dropout(ACTIVATIONS[self.activation](self.linear1(x)))
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
