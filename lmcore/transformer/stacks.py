"""Stacks of layers, from vectors to vectors."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from lmcore.attention import Cache, padding_mask
from lmcore.batches import at_least
from lmcore.blocks import DecoderLayer, EncoderLayer, Layer, LayerNorm, Positions


class Stack(nn.Module):
    """Layers of one kind, and a layer normalisation behind the last.

    Args:
        dim, heads, hidden, norm, eps, bias, layer: of every layer, see :class:`lmcore.blocks.Layer`.
        layers: how many.
        final_norm: normalise what comes out of the last layer. By default with ``norm="pre"`` only: there the sum that runs
            through the layers is normalised nowhere else.
    """

    kind: type[Layer]

    def __init__(
        self,
        dim: int,
        heads: int,
        layers: int,
        hidden: int | None = None,
        *,
        norm: str = "pre",
        eps: float | int = 1e-5,
        bias: bool = True,
        final_norm: bool | None = None,
        **layer: Any,
    ):
        super().__init__()
        at_least(1, layers=layers)
        how = {"norm": norm, "eps": eps, "bias": bias, **layer}
        self.layers = nn.ModuleList(self.kind(dim, heads, hidden, **how) for _ in range(layers))
        wanted = norm == "pre" if final_norm is None else final_norm
        self.norm: nn.Module = LayerNorm(dim, eps, bias) if wanted else nn.Identity()


class Encoder(Stack):
    """A stack of :class:`lmcore.blocks.EncoderLayer`; with ``causal=True`` in a call, the stack of a language model."""

    kind = EncoderLayer

    def forward(
        self,
        x: Float[Tensor, "B T C"],
        mask: Bool[Tensor, "*shape"] | None = None,
        *,
        lengths: Int[Tensor, " B"] | None = None,
        causal: bool = False,
        positions: Positions | None = None,
        caches: Sequence[Cache] | None = None,
        seen: list[Tensor] | None = None,
    ) -> Float[Tensor, "B T C"]:
        """The outputs of the last layer.

        Args:
            x: the inputs.
            mask: who may look at whom, True where it is allowed, broadcast to (B, H, T, S).
            lengths: how many inputs of each text are real. What lies beyond has no influence, and outputs there are 0.
            causal: nobody may look ahead.
            positions: what every layer does to its queries and keys.
            caches: one for every layer.
            seen: a list that every layer appends its attention weights (B, H, T, S) to.
        """
        if lengths is not None:
            real = padding_mask(lengths, x.shape[1])
            x = zero_beyond(x, real)
            mask = real if mask is None else mask & real
        for i, layer in enumerate(self.layers):
            cache = None if caches is None else caches[i]
            x = layer(x, mask, causal=causal, positions=positions, cache=cache, seen=seen)
        x = self.norm(x)
        return x if lengths is None else zero_beyond(x, real)


class Decoder(Stack):
    """A stack of :class:`lmcore.blocks.DecoderLayer`."""

    kind = DecoderLayer

    def forward(
        self,
        x: Float[Tensor, "B T C"],
        memory: Float[Tensor, "B S C"],
        mask: Bool[Tensor, "*shape"] | None = None,
        memory_mask: Bool[Tensor, "*where"] | None = None,
        *,
        causal: bool = True,
        positions: Positions | None = None,
        caches: Sequence[tuple[Cache, Cache]] | None = None,
        seen: list[Tensor] | None = None,
        seen_memory: list[Tensor] | None = None,
    ) -> Float[Tensor, "B T C"]:
        """The outputs of the last layer; arguments as for :class:`lmcore.blocks.DecoderLayer`, with caches for every layer."""
        for i, layer in enumerate(self.layers):
            own = None if caches is None else caches[i]
            how = {"causal": causal, "positions": positions, "caches": own, "seen": seen, "seen_memory": seen_memory}
            x = layer(x, memory, mask, memory_mask, **how)
        return self.norm(x)


class Transformer(nn.Module):
    """Encoder and decoder as in figure 1 of Vaswani et al. (2017), with the parameters of :class:`torch.nn.Transformer`.

    As there, a layer normalisation follows the last layer of both, with ``norm="post"`` too, and matrices begin as Glorot and
    Bengio (2010) proposed.

    Args:
        dim, heads, hidden, layer: of every layer, see :class:`lmcore.blocks.Layer`.
        layers: how many in the encoder and how many in the decoder; a pair if they differ.
    """

    def __init__(self, dim: int, heads: int, layers: int | tuple[int, int], hidden: int | None = None, **layer: Any):
        super().__init__()
        up, down = (layers, layers) if isinstance(layers, int) else layers
        layer.setdefault("final_norm", True)
        self.encoder = Encoder(dim, heads, up, hidden, **layer)
        self.decoder = Decoder(dim, heads, down, hidden, **layer)
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter)

    def forward(
        self,
        source: Float[Tensor, "B S C"],
        target: Float[Tensor, "B T C"],
        *,
        lengths: Int[Tensor, " B"] | None = None,
        mask: Bool[Tensor, "*shape"] | None = None,
        causal: bool = True,
        positions: Positions | None = None,
    ) -> Float[Tensor, "B T C"]:
        """The decoder's outputs.

        Args:
            source: inputs of the encoder.
            target: inputs of the decoder.
            lengths: how many inputs of each source are real.
            mask: who may look at whom in the target, besides ``causal``.
            causal: no position of the target may look ahead.
            positions: what every self-attention does to its queries and keys.
        """
        memory = self.encoder(source, lengths=lengths, positions=positions)
        real = None if lengths is None else padding_mask(lengths, source.shape[1])
        return self.decoder(target, memory, mask, real, causal=causal, positions=positions)


def zero_beyond(x: Float[Tensor, "B T C"], real: Bool[Tensor, "B 1 1 T"]) -> Float[Tensor, "B T C"]:
    """x with zeros where there is no token, whatever stood there."""
    return torch.where(real[:, 0, 0, :, None], x, 0.0)
