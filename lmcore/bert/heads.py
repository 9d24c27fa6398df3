"""The heads: what turns BERT's vectors into answers about words, texts, pairs of texts, tags and spans."""

from dataclasses import replace
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from lmcore.batches import at_least
from lmcore.bert.model import Bert, BertConfig, initialise
from lmcore.blocks import LayerNorm


class MaskedHead(nn.Module):
    r"""What the word at a position was, from the encoder's vector x there:

    .. math:: z = E\, \operatorname{LayerNorm}(\operatorname{GELU}(W x + b_1)) + b_2

    where E are the token embeddings of the encoder itself (the weights are *tied*: this module does not hold them) and
    :math:`b_2` is one number per word.

    Args:
        config: the sizes of the encoder.
    """

    def __init__(self, config: BertConfig):
        super().__init__()
        self.dense = nn.Linear(config.dim, config.dim)
        self.norm = LayerNorm(config.dim, eps=config.eps)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))
        initialise(self, config.std)

    def forward(self, states: Float[Tensor, "*shape C"], embeddings: Float[Tensor, "V C"]) -> Float[Tensor, "*shape V"]:
        """The logits of all words of the vocabulary."""
        return F.linear(self.norm(F.gelu(self.dense(states))), embeddings, self.bias)


class BertMaskedLM(nn.Module):
    """A BERT that says which word stood where: the encoder and :class:`MaskedHead`.

    Args:
        encoder: a :class:`~lmcore.bert.Bert`, which becomes a part of this model (not a copy: training goes on in it), or the
            :class:`~lmcore.bert.BertConfig` of a fresh one.

    Raises:
        ValueError: ``encoder`` is something else.
    """

    def __init__(self, encoder: Bert | BertConfig):
        super().__init__()
        self.bert = _encoder(encoder)
        self.mlm = MaskedHead(self.bert.config)

    def forward(
        self,
        ids: Int[Tensor, "B T"],
        lengths: Int[Tensor, " B"] | None = None,
        segments: Int[Tensor, "B T"] | None = None,
        *,
        places: Bool[Tensor, "B T"] | None = None,
    ) -> Float[Tensor, "*shape V"]:
        """The logits of all words at every position, (B, T, V); with ``places`` only where these are true, (N, V).

        The rest is as for :meth:`lmcore.bert.Bert.forward`.
        """
        return self.words(self.bert(ids, lengths, segments), places)

    def words(self, states: Float[Tensor, "B T C"], places: Bool[Tensor, "B T"] | None = None) -> Float[Tensor, "*shape V"]:
        """The logits from the encoder's vectors: at all positions, or only where ``places`` is true, in reading order."""
        return self.mlm(states if places is None else states[places], self.bert.tokens.weight)


class BertPretraining(BertMaskedLM):
    """BERT as it is pre-trained: beside the words it says whether a pair's second text goes on from the first.

    Args:
        encoder: as for :class:`BertMaskedLM`; it must have a pooler.

    Raises:
        ValueError: ``encoder`` is something else, or has no pooler.
    """

    def __init__(self, encoder: Bert | BertConfig):
        super().__init__(_encoder(encoder, pooler=True))
        self.nsp = nn.Linear(self.bert.config.dim, 2)
        initialise(self.nsp, self.bert.config.std)

    def forward(  # type: ignore[override]
        self,
        ids: Int[Tensor, "B T"],
        lengths: Int[Tensor, " B"] | None = None,
        segments: Int[Tensor, "B T"] | None = None,
        *,
        places: Bool[Tensor, "B T"] | None = None,
    ) -> tuple[Float[Tensor, "*shape V"], Float[Tensor, "B 2"]]:
        """(logits of the words as :meth:`BertMaskedLM.forward` gives them, logits of *is next* (0) and *is not* (1))."""
        states = self.bert(ids, lengths, segments)
        return self.words(states, places), self.nsp(self.bert.pooled(states))


class BertClassifier(nn.Module):
    """A class for every text or pair of texts: the pooled vector of [CLS], dropout, and a linear layer.

    To keep a pre-trained encoder as it is while a classifier is fine-tuned from it, hand over a copy:
    ``BertClassifier(copy.deepcopy(encoder), classes=2)``.

    Args:
        encoder: as for :class:`BertMaskedLM`; it must have a pooler.
        classes: K.
        dropout: of the pooled vector, in training; by default as in the encoder.

    Raises:
        ValueError: ``encoder`` is something else or has no pooler, or a number is out of range.
    """

    def __init__(self, encoder: Bert | BertConfig, classes: int, *, dropout: float | int | None = None):
        super().__init__()
        at_least(1, classes=classes)
        self.bert = _encoder(encoder, pooler=True)
        self.dropout = _dropout(dropout, self.bert.config)
        self.classifier = nn.Linear(self.bert.config.dim, classes)
        initialise(self.classifier, self.bert.config.std)

    def forward(
        self, ids: Int[Tensor, "B T"], lengths: Int[Tensor, " B"] | None = None, segments: Int[Tensor, "B T"] | None = None
    ) -> Float[Tensor, "B K"]:
        """The logits of the classes; arguments as for :meth:`lmcore.bert.Bert.forward`."""
        return self.classifier(self.dropout(self.bert.pooled(self.bert(ids, lengths, segments))))


class BertTagger(nn.Module):
    """A tag for every token: dropout and a linear layer on the encoder's vectors.

    A word of several pieces is tagged at its first one (Devlin et al. 2019, section 5.3); the targets of the others, and those
    of padding, are :data:`lmcore.batches.IGNORE`.

    Args:
        encoder: as for :class:`BertMaskedLM`; a pooler is not used, and a fresh encoder gets none.
        tags: K.
        dropout: of the vectors, in training; by default as in the encoder.

    Raises:
        ValueError: ``encoder`` is something else, or a number is out of range.
    """

    def __init__(self, encoder: Bert | BertConfig, tags: int, *, dropout: float | int | None = None):
        super().__init__()
        at_least(1, tags=tags)
        self.bert = _encoder(encoder, pooler=False)
        self.dropout = _dropout(dropout, self.bert.config)
        self.classifier = nn.Linear(self.bert.config.dim, tags)
        initialise(self.classifier, self.bert.config.std)

    def forward(
        self, ids: Int[Tensor, "B T"], lengths: Int[Tensor, " B"] | None = None, segments: Int[Tensor, "B T"] | None = None
    ) -> Float[Tensor, "B T K"]:
        """The logits of the tags; arguments as for :meth:`lmcore.bert.Bert.forward`."""
        return self.classifier(self.dropout(self.bert(ids, lengths, segments)))


class Spans(NamedTuple):
    """How well every token would do as the first and as the last of the span that answers."""

    start: Float[Tensor, "B T"]
    end: Float[Tensor, "B T"]


class BertSpans(nn.Module):
    """Where in a text the answer stands: a linear layer on the encoder's vectors gives two logits per token.

    The inputs are pairs, a question and the text that holds the answer (Devlin et al. 2019, section 4.2). Padding has logits
    too, as in the paper's code; :func:`span_loss` and :func:`best_span` leave it out where they are given the lengths.

    Args:
        encoder: as for :class:`BertMaskedLM`; a pooler is not used, and a fresh encoder gets none.

    Raises:
        ValueError: ``encoder`` is something else.
    """

    def __init__(self, encoder: Bert | BertConfig):
        super().__init__()
        self.bert = _encoder(encoder, pooler=False)
        self.spans = nn.Linear(self.bert.config.dim, 2)
        initialise(self.spans, self.bert.config.std)

    def forward(
        self, ids: Int[Tensor, "B T"], lengths: Int[Tensor, " B"] | None = None, segments: Int[Tensor, "B T"] | None = None
    ) -> Spans:
        """The logits of start and end; arguments as for :meth:`lmcore.bert.Bert.forward`."""
        return Spans(*self.spans(self.bert(ids, lengths, segments)).unbind(-1))


def _encoder(encoder: Bert | BertConfig, pooler: bool | None = None) -> Bert:
    """The encoder itself, or a fresh one: with a pooler if the head needs one (True), without if it has no use for it."""
    if isinstance(encoder, Bert):
        if pooler and encoder.pooler is None:
            raise ValueError("this head reads the pooled vector, and the encoder was made with pooler=False; use pooler=True")
        return encoder
    if not isinstance(encoder, BertConfig):
        raise ValueError(f"encoder must be a Bert, or the BertConfig of a fresh one; got a {type(encoder).__name__}")
    return Bert(encoder if pooler is None else replace(encoder, pooler=pooler))


def _dropout(rate: float | int | None, config: BertConfig) -> nn.Dropout:
    return nn.Dropout(replace(config, dropout=config.dropout if rate is None else rate).dropout)  # the configuration checks it
