"""The encoder-only Transformer with one answer for a whole text."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from lmcore.batches import at_least
from lmcore.transformer.inputs import TokenEmbedding, rotary_for
from lmcore.transformer.stacks import Encoder

POOLS = ("mean", "max", "first")


class TransformerClassifier(nn.Module):
    """One class for a whole text: an encoder reads it, its outputs are pooled, a linear layer scores the pool.

    Args:
        vocab_size: V.
        dim, heads, layers, hidden, positions, max_length, norm, dropout, layer: as for :class:`TransformerLM`.
        classes: K.
        pool: what is scored. ``"mean"``, ``"max"``: the mean or the largest value over all real positions, number by number.
            ``"first"``: the output at the first position.

    Raises:
        ValueError: a size does not fit, or a name is unknown.
    """

    def __init__(
        self,
        vocab_size: int,
        dim: int,
        heads: int,
        layers: int,
        classes: int,
        *,
        hidden: int | None = None,
        positions: str = "sinusoidal",
        max_length: int = 512,
        norm: str = "pre",
        dropout: float | int = 0.0,
        pool: str = "mean",
        **layer: Any,
    ):
        super().__init__()
        at_least(1, classes=classes)
        if pool not in POOLS:
            raise ValueError(f"pool={pool!r} is unknown; use one of {', '.join(POOLS)}")
        self.pool = pool
        self.embedding = TokenEmbedding(vocab_size, dim, positions, max_length, dropout)
        self.rotary = rotary_for(positions, dim, heads)
        self.stack = Encoder(dim, heads, layers, hidden, norm=norm, dropout=dropout, **layer)
        self.output = nn.Linear(dim, classes)

    def forward(self, ids: Int[Tensor, "B T"], lengths: Int[Tensor, " B"] | None = None) -> Float[Tensor, "B K"]:
        """The logits of the classes; ``lengths`` says how many tokens of each text are real (at least one), all if not given.

        Raises:
            ValueError: not ids of shape (B, T) that this model knows, or lengths of another shape or range.
        """
        x = self.stack(self.embedding(ids), lengths=lengths, positions=self.rotary)
        return self.output(self._pooled(x, lengths))

    def _pooled(self, x: Float[Tensor, "B T C"], lengths: Tensor | None) -> Float[Tensor, "B C"]:
        if self.pool == "first":
            return x[:, 0]
        if lengths is None:
            return x.mean(1) if self.pool == "mean" else x.amax(1)
        if self.pool == "mean":  # beyond a text's end the outputs are 0
            return x.sum(1) / lengths.clamp(min=1)[:, None]
        real = torch.arange(x.shape[1], device=x.device) < lengths[:, None]
        return x.masked_fill(~real[..., None], -torch.inf).amax(1)
