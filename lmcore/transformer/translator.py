"""The whole Transformer as a translator, with the interface of the recurrent one (:class:`lmcore.seq2seq.Seq2Seq`)."""

from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from lmcore.attention import Cache, padding_mask
from lmcore.transformer.inputs import TokenEmbedding, rotary_for
from lmcore.transformer.stacks import Transformer


class Reading(NamedTuple):
    """What the decoder knows at one step: the encoder's outputs, which of them are real, and two caches for every layer."""

    memory: Float[Tensor, "B S C"]
    mask: Bool[Tensor, "B 1 1 S"]
    caches: tuple[tuple[Cache, Cache], ...]


class TransformerTranslator(nn.Module):
    """q(target | source) by a Transformer; :func:`lmcore.seq2seq.translate` and the losses there take it like a ``Seq2Seq``.

    Args:
        source_vocab, target_vocab: sizes of the two vocabularies.
        dim, heads, hidden, positions, max_length, norm, dropout, layer: as for :class:`TransformerLM`, on both sides.
        layers: how many in the encoder and how many in the decoder; a pair if they differ.
        tie: use the target's embedding as the output matrix too.
        share: one embedding for both languages, which then need one vocabulary.

    Raises:
        ValueError: a size does not fit, or a name is unknown.
    """

    def __init__(
        self,
        source_vocab: int,
        target_vocab: int,
        dim: int,
        heads: int,
        layers: int | tuple[int, int],
        *,
        hidden: int | None = None,
        positions: str = "sinusoidal",
        max_length: int = 512,
        norm: str = "pre",
        dropout: float | int = 0.0,
        tie: bool = True,
        share: bool = False,
        **layer: Any,
    ):
        super().__init__()
        if share and source_vocab != target_vocab:
            raise ValueError(f"share=True needs one vocabulary; got source_vocab={source_vocab}, target_vocab={target_vocab}")
        self.source = TokenEmbedding(source_vocab, dim, positions, max_length, dropout)
        self.target = TokenEmbedding(target_vocab, dim, positions, max_length, dropout)
        self.rotary = rotary_for(positions, dim, heads)
        layer.setdefault("final_norm", None)  # behind the last layer with pre-norm only, as in the paper
        self.transformer = Transformer(dim, heads, layers, hidden, norm=norm, dropout=dropout, **layer)
        self.output = nn.Linear(dim, target_vocab, bias=not tie)
        if share:
            self.source.weight = self.target.weight
        if tie:
            self.output.weight = self.target.weight

    def forward(
        self, sources: Int[Tensor, "B S"], lengths: Int[Tensor, " B"], inputs: Int[Tensor, "B T"]
    ) -> Float[Tensor, "B T V"]:
        """The logits of the word after each word of ``inputs``, which begins with ⟨start⟩: teacher forcing.

        Raises:
            ValueError: ids that the model does not know, or lengths that do not fit them.
        """
        return self._run(sources, lengths, inputs)

    def encode(self, sources: Int[Tensor, "B S"], lengths: Int[Tensor, " B"]) -> Float[Tensor, "B S C"]:
        """Z, the encoder's outputs, 0 beyond the end of a source.

        Raises:
            ValueError: ids that the model does not know, or lengths that do not fit them.
        """
        return self.transformer.encoder(self.source(sources), lengths=lengths, positions=self.rotary)

    def begin(self, sources: Int[Tensor, "B S"], lengths: Int[Tensor, " B"], squeeze: None = None) -> Reading:
        """Read the sources: what the decoder knows before its first word.

        Args:
            sources: ids, filled up at the end with any id.
            lengths: how many of them are real.
            squeeze: only ``None``; there is no context of a fixed size that could be squeezed.
        """
        if squeeze is not None:
            raise ValueError("squeeze changes the context of a Seq2Seq; a Transformer has none, leave squeeze=None")
        memory = self.encode(sources, lengths)
        caches = tuple((Cache(), Cache()) for _ in self.transformer.decoder.layers)
        return Reading(memory, padding_mask(lengths, sources.shape[1]), caches)

    def step(self, tokens: Int[Tensor, " B"], state: Reading) -> tuple[Float[Tensor, "B V"], Reading]:
        """Read one more word of every target: the logits of the next, and the new state. The old state stays what it was."""
        state = state._replace(caches=tuple((own.copy(), other.copy()) for own, other in state.caches))
        x = self.target(tokens[:, None], len(state.caches[0][0]))
        how = {"positions": self.rotary, "caches": state.caches}
        x = self.transformer.decoder(x, state.memory, None, state.mask, **how)
        return self.output(x[:, -1]), state

    def select(self, state: Reading, rows: Int[Tensor, " N"]) -> Reading:
        """The state of these rows, in this order."""
        caches = tuple((own.select(rows), other.select(rows)) for own, other in state.caches)
        return Reading(state.memory[rows], state.mask[rows], caches)

    def cross_weights(
        self, sources: Int[Tensor, "B S"], lengths: Int[Tensor, " B"], inputs: Int[Tensor, "B T"]
    ) -> Float[Tensor, "B L H T S"]:
        """How much each head of each decoder layer looks at each word of the source, after each word of ``inputs``."""
        seen: list[Tensor] = []
        self._run(sources, lengths, inputs, seen)
        return torch.stack(seen, dim=1)

    def align(
        self, sources: Int[Tensor, "B S"], lengths: Int[Tensor, " B"], inputs: Int[Tensor, "B T"], layer: int = -1
    ) -> Float[Tensor, "B T S"]:
        """:meth:`cross_weights` of one layer, the last by default, as a mean over its heads; the rows sum to 1."""
        return self.cross_weights(sources, lengths, inputs)[:, layer].mean(1)

    def _run(self, sources: Tensor, lengths: Tensor, inputs: Tensor, seen: list[Tensor] | None = None) -> Tensor:
        memory = self.encode(sources, lengths)
        if len(inputs) != len(sources):
            raise ValueError(f"inputs have {len(inputs)} rows for {len(sources)} sources; give one row for each source")
        real = padding_mask(lengths, sources.shape[1])
        x = self.transformer.decoder(self.target(inputs), memory, None, real, positions=self.rotary, seen_memory=seen)
        return self.output(x)
