"""Sequence to sequence: one recurrent network reads a text, another writes its translation.

The encoder reads the source and hands over its last state, the *context*. The decoder begins from it and is a language model of
the target (Sutskever et al. 2014; Cho et al. 2014). With attention it may also look at the encoder's states, at every step anew
(Bahdanau et al. 2015).
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from lmcore.attention import AdditiveAttention
from lmcore.batches import IGNORE, Ids, at_least, documents
from lmcore.cells import State
from lmcore.embeddings import check_ids
from lmcore.generate import Hypothesis, beam, greedy
from lmcore.pairs import PairBatch, Ragged, reversed_within
from lmcore.recurrent import layers_of

Squeeze = Callable[[Tensor], Tensor]


class Encoder(nn.Module):
    """Reads the source text, and keeps its state after every word.

    Args:
        vocab_size, dim: V and C of the source's embedding.
        hidden, cell, layers, bidirectional, dropout, fused: of the recurrent layers, see :class:`lmcore.rnn.Stack`.
        reverse: read from the last word to the first (Sutskever et al. 2014, section 3.3).
    """

    def __init__(
        self, vocab_size: int, dim: int, hidden: int, *, cell: str, layers: int, bidirectional: bool, dropout: float,
        fused: bool, reverse: bool,
    ):  # fmt: skip
        super().__init__()
        self.reverse = reverse
        self.embedding = nn.Embedding(vocab_size, dim)
        self.dropout = nn.Dropout(dropout)
        self.rnn = layers_of(cell)(dim, hidden, layers, bidirectional=bidirectional, dropout=dropout, fused=fused)

    def forward(self, sources: Int[Tensor, "B S"], lengths: Int[Tensor, " B"]) -> tuple[Float[Tensor, "B S K"], State]:
        """The last layer's state after each word, at the place of that word, and all layers' states at the end."""
        if self.reverse:
            sources = reversed_within(sources, lengths)
        outputs, state = self.rnn(self.dropout(self.embedding(sources)), None, lengths)
        return (reversed_within(outputs, lengths) if self.reverse else outputs), state


class Decoding(NamedTuple):
    """What the decoder knows at one step: its state and, with attention, what it may look at."""

    state: State
    memory: Float[Tensor, "B S K"] | None = None
    projected: Float[Tensor, "B S A"] | None = None
    mask: Bool[Tensor, "B 1 S"] | None = None


class Decoder(nn.Module):
    r"""A language model of the target that begins from the context.

    Without attention it is :class:`lmcore.recurrent.RecurrentLM`. With attention the state before the step asks, and what it
    gets, :math:`c_t`, goes into the step beside the word, and into the prediction beside the new state:

    .. math:: c_t = \mathrm{attend}(s_{t-1}), \qquad s_t = \mathrm{step}([E_{w_{t-1}}; c_t], s_{t-1}), \qquad
              z_t = W_2 \tanh(W_c [s_t; c_t] + b_c) + b_2 .

    (Bahdanau et al. predict through a maxout layer that reads :math:`E_{w_{t-1}}` as well; the tanh layer is that of Luong et
    al. 2015, equation 5.)

    Args:
        vocab_size, dim: V and C of the target's embedding.
        hidden, cell, layers, dropout, fused: of the recurrent layers.
        memory: width of the encoder's states for attention; ``None`` for no attention.
    """

    def __init__(
        self, vocab_size: int, dim: int, hidden: int, *, cell: str, layers: int, dropout: float, fused: bool, memory: int | None
    ):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, dim)
        self.dropout = nn.Dropout(dropout)
        self.rnn = layers_of(cell)(dim + (memory or 0), hidden, layers, dropout=dropout, fused=fused)
        self.attention = AdditiveAttention(hidden, memory, hidden) if memory else None
        self.combine = nn.Linear(hidden + memory, hidden) if memory else None
        self.output = nn.Linear(hidden, vocab_size)

    def forward(
        self, inputs: Int[Tensor, "B T"], known: Decoding
    ) -> tuple[Float[Tensor, "B T V"], Float[Tensor, "B T S"] | None, Decoding]:
        """The logits after each input, the attention's weights there (``None`` without), and what is known after the last."""
        x = self.dropout(self.embedding(inputs))
        if self.attention is None:
            states, state = self.rnn(x, known.state)
            return self.output(self.dropout(states)), None, known._replace(state=state)
        assert self.combine is not None
        assert known.memory is not None
        state, seen, weights = known.state, [], []
        for t in range(x.shape[1]):
            asking = (state if isinstance(state, Tensor) else state[0])[-1][:, None]  # the last layer's h: B 1 H
            context, weight = self.attention(asking, known.memory, known.mask, projected=known.projected)
            after, state = self.rnn(torch.cat([x[:, t : t + 1], context], dim=-1), state)
            seen.append(torch.cat([after, context], dim=-1))
            weights.append(weight)
        states = torch.tanh(self.combine(torch.cat(seen, dim=1)))
        return self.output(self.dropout(states)), torch.cat(weights, dim=1), known._replace(state=state)


class Seq2Seq(nn.Module):
    """Encoder and decoder: q(target | source), one word of the target after the other.

    Args:
        source_vocab, target_vocab: sizes of the two vocabularies.
        dim: C, the width of a word's vector, on both sides.
        hidden: H, the width of a state, on both sides.
        cell: ``"rnn"``, ``"lstm"`` or ``"gru"``.
        layers: how many recurrent layers, on both sides.
        attention: let the decoder look at all states of the encoder.
        reverse: the encoder reads the source from its last word to its first.
        bidirectional: the encoder reads in both directions.
        context: how many numbers pass from encoder to decoder. ``None`` hands over the encoder's whole last state; a number
            sends it through two linear layers with so many units between them. A bidirectional encoder's state is twice as
            large as the decoder's, so there a linear layer always stands between.
        dropout: probability of dropping a number, in training, before and between the recurrent layers and after the last.
        fused: let torch's kernel take the recurrent steps.

    Raises:
        ValueError: a size is not positive, the cell is unknown, or ``dropout`` is no probability.
    """

    def __init__(
        self,
        source_vocab: int,
        target_vocab: int,
        dim: int,
        hidden: int,
        *,
        cell: str = "lstm",
        layers: int = 1,
        attention: bool = False,
        reverse: bool = False,
        bidirectional: bool = False,
        context: int | None = None,
        dropout: float = 0.0,
        fused: bool = True,
    ):
        super().__init__()
        at_least(1, source_vocab=source_vocab, target_vocab=target_vocab, dim=dim, hidden=hidden, layers=layers)
        at_least(1, context=1 if context is None else context)
        how: dict[str, Any] = {"cell": cell, "layers": layers, "dropout": dropout, "fused": fused}
        directions = 2 if bidirectional else 1
        self.encoder = Encoder(source_vocab, dim, hidden, bidirectional=bidirectional, reverse=reverse, **how)
        self.decoder = Decoder(target_vocab, dim, hidden, memory=directions * hidden if attention else None, **how)
        given, taken = (stack.states * len(stack.suffixes) * hidden for stack in (self.encoder.rnn, self.decoder.rnn))
        self.bridge: nn.Module = nn.Identity()
        if context is not None:
            self.bridge = nn.Sequential(nn.Linear(given, context), nn.Linear(context, taken))
        elif bidirectional:
            self.bridge = nn.Linear(given, taken)

    def begin(self, sources: Int[Tensor, "B S"], lengths: Int[Tensor, " B"], squeeze: Squeeze | None = None) -> Decoding:
        """Read the sources: what the decoder knows before its first word.

        Args:
            sources: ids, filled up at the end with any id.
            lengths: how many of them are real, at least one.
            squeeze: what to do to the contexts (B, N) on their way to the decoder; see :meth:`context`.

        Raises:
            ValueError: ids that the model does not know, or lengths that do not fit them.
        """
        outputs, handed_over = self._read(sources, lengths)
        if squeeze is not None:
            handed_over = squeeze(handed_over)
        stack = self.decoder.rnn
        parts = self.bridge(handed_over).unflatten(1, (stack.states, stack.num_layers, stack.hidden_size))
        first = tuple(part.contiguous() for part in parts.permute(1, 2, 0, 3))  # h, or h and c: layers B H
        state = first[0] if stack.states == 1 else first
        if self.decoder.attention is None:
            return Decoding(state)
        mask = (torch.arange(sources.shape[1], device=sources.device) < lengths[:, None])[:, None]
        return Decoding(state, outputs, self.decoder.attention.project(outputs), mask)

    def context(self, sources: Int[Tensor, "B S"], lengths: Int[Tensor, " B"]) -> Float[Tensor, "B N"]:
        """The context of each source: all numbers of the encoder's last state, side by side.

        For an LSTM these are h of every layer and direction, then c of every layer and direction.
        """
        return self._read(sources, lengths)[1]

    def _read(self, sources: Tensor, lengths: Tensor) -> tuple[Float[Tensor, "B S K"], Float[Tensor, "B N"]]:
        check_ids("sources", sources, 2, self.encoder.embedding.num_embeddings)
        outputs, state = self.encoder(sources, lengths)
        both = torch.stack((state,) if isinstance(state, Tensor) else state)  # h, or h and c; layers B H
        return outputs, both.permute(2, 0, 1, 3).flatten(1)

    def forward(
        self, sources: Int[Tensor, "B S"], lengths: Int[Tensor, " B"], inputs: Int[Tensor, "B T"]
    ) -> Float[Tensor, "B T V"]:
        """The logits of the word after each word of ``inputs``, which begins with ⟨start⟩: teacher forcing.

        Raises:
            ValueError: as :meth:`begin`, or inputs that the model does not know.
        """
        return self._run(sources, lengths, inputs)[0]

    def align(
        self, sources: Int[Tensor, "B S"], lengths: Int[Tensor, " B"], inputs: Int[Tensor, "B T"]
    ) -> Float[Tensor, "B T S"]:
        """How much the decoder looks at each word of the source, after each word of ``inputs``; the rows sum to 1.

        Row t belongs to the word that is predicted after input t, column s to word s of the source, read in either direction.

        Raises:
            ValueError: as :meth:`forward`, or the model has no attention.
        """
        if self.decoder.attention is None:
            raise ValueError("this model was made with attention=False and looks at nothing; make it with attention=True")
        weights = self._run(sources, lengths, inputs)[1]
        assert weights is not None
        return weights

    def _run(self, sources: Tensor, lengths: Tensor, inputs: Tensor) -> tuple[Tensor, Tensor | None]:
        check_ids("inputs", inputs, 2, self.decoder.embedding.num_embeddings)
        if len(inputs) != len(sources):
            raise ValueError(f"inputs has {len(inputs)} rows for {len(sources)} sources; every source needs one")
        logits, weights, _ = self.decoder(inputs, self.begin(sources, lengths))
        return logits, weights

    def step(self, tokens: Int[Tensor, " B"], state: Decoding) -> tuple[Float[Tensor, "B V"], Decoding]:
        """Read one more word of every translation: the logits of the next, and what is known then."""
        logits, _, state = self.decoder(tokens[:, None], state)
        return logits[:, 0], state

    def select(self, state: Decoding, rows: Int[Tensor, " N"]) -> Decoding:
        """What is known of these translations, in this order."""
        inner = state.state
        kept = inner[:, rows] if isinstance(inner, Tensor) else tuple(part[:, rows] for part in inner)
        return Decoding(kept, *(None if part is None else part[rows] for part in state[1:]))


def translation_loss(model: nn.Module, batch: PairBatch, *, label_smoothing: float = 0.0) -> Float[Tensor, ""]:
    r"""The mean cross-entropy of the target words, ⟨end⟩ included, each given the true words before it, in nats per token.

    With label smoothing ε the model is asked for :math:`(1 - ε)` times the one-hot vector of the word plus ε / V for every
    word of the vocabulary (Szegedy et al. 2016, section 7). The loss is then no cross-entropy of the text any more.

    Raises:
        ValueError: ``label_smoothing`` is not from 0 to 1.
    """
    if not isinstance(label_smoothing, int | float) or not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing={label_smoothing!r} is not allowed; use a number from 0 to 1, such as 0.1")
    logits = model(batch.sources, batch.lengths, batch.inputs).flatten(0, 1)
    return F.cross_entropy(logits, batch.targets.flatten(), ignore_index=IGNORE, label_smoothing=label_smoothing)


@torch.no_grad()
def target_log_probs(model: nn.Module, batch: PairBatch) -> Float[Tensor, "B T"]:
    """log q of every target word given the true words before it and the source, natural logarithm; 0 beyond a target's end."""
    logits = model.eval()(batch.sources, batch.lengths, batch.inputs)
    return -F.cross_entropy(logits.mT, batch.targets, ignore_index=IGNORE, reduction="none")


@torch.no_grad()
def translate(
    model: nn.Module,
    sources: Sequence[Ids],
    *,
    start: int,
    end: int,
    never: Sequence[int] = (),
    width: int = 1,
    alpha: float = 0.0,
    max_length: int | None = None,
    squeeze: Squeeze | None = None,
    batch_size: int = 128,
) -> list[Hypothesis]:
    """The model's translation of every source, in the order of the sources.

    Texts of about one length are translated together. What else is in its batch does not change a translation.

    Args:
        model: a :class:`Seq2Seq`, or another with ``begin``, ``step`` and ``select``; it is put in evaluation mode.
        sources: the ids of each text, at least one each, without special tokens.
        start, end: the ids of ⟨start⟩ and ⟨end⟩ of the target.
        never: further ids that may not be generated, such as ⟨pad⟩; ⟨start⟩ never is.
        width: 1 is greedy, more is a beam of that width.
        alpha: α of :func:`lmcore.generate.length_normalizer`, for a beam.
        max_length: the most words of a translation, ⟨end⟩ counted; twice the length of its source and ten more by default.
        squeeze: see :meth:`Seq2Seq.begin`.
        batch_size: how many texts at a time.

    Raises:
        ValueError: a source is no row of known ids, or empty, or a number is out of range.
    """
    texts = documents(sources)
    at_least(1, width=width, batch_size=batch_size, **({} if max_length is None else {"max_length": max_length}))
    if empty := [number for number, text in enumerate(texts) if not len(text)]:
        raise ValueError(f"text {empty[0]} is empty; there is nothing to translate. Leave it out")
    network: Any = model.eval()
    device = next(model.parameters()).device
    ragged = Ragged(texts, device)
    order = ragged.lengths.argsort(kind="stable")
    found: dict[int, Hypothesis] = {}
    for rows in (order[i : i + batch_size] for i in range(0, len(order), batch_size)):
        padded, lengths = ragged.padded(rows, 0)
        known = network.begin(padded, lengths, *(() if squeeze is None else (squeeze,)))
        first = torch.full((len(rows),), start, device=device)
        limits = [2 * n + 10 if max_length is None else max_length for n in ragged.lengths[rows].tolist()]
        how: dict[str, Any] = {"end": end, "max_length": limits, "never": sorted({start, *never})}
        if width == 1:
            best = greedy(network, known, first, **how)
        else:
            best = [some[0] for some in beam(network, known, first, width=width, alpha=alpha, results=1, **how)]
        found.update(zip(rows.tolist(), best, strict=True))
    return [found[row] for row in range(len(texts))]
