"""Features: BERT's vectors as fixed inputs of another model, and the choice of the layers that they come from.

Devlin et al. (2019, section 5.3 and table 7) compare six choices for named entities: the embeddings, the last hidden layer, the
second to last, a weighted sum of the last four, the last four side by side, and a weighted sum of all twelve layers. They leave
open how the weights of a sum are found. Here they are learnt with the task, as in ELMo (:class:`WeightedSum`).
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from lmcore.batches import IGNORE, at_least
from lmcore.bert.model import Bert
from lmcore.bert.texts import CLS, PADDING, SEP, special_ids
from lmcore.wordpiece import WordPiece

CHOICES = ("embeddings", "last", "second_to_last", "weighted_sum", "weighted_last_four", "concatenated_last_four")
"""The six choices of table 7, as :class:`LayerChoice` calls them."""


class WordInputs(NamedTuple):
    """Texts that come as words: BERT's inputs, and at which place each word's first piece stands.

    Places behind a text's last word are 0, that of [CLS].
    """

    ids: Int[Tensor, "B T"]
    lengths: Int[Tensor, " B"]
    places: Int[Tensor, "B W"]
    words: Int[Tensor, " B"]  # how many words each text has


class LayerFeatures(NamedTuple):
    """The vectors of B texts' words from every layer: ``states[:, 0]`` are the embeddings, ``states[:, n]`` layer n.

    What lies beyond a text's words is zero.
    """

    states: Float[Tensor, "B L W C"]
    words: Int[Tensor, " B"]


def word_inputs(tokenizer: WordPiece, texts: Sequence[Sequence[str]], device: torch.device | str | None = None) -> WordInputs:
    """``[CLS] pieces of the words [SEP]`` for texts that are already cut into words, as those with a tag per word are.

    A word that is nothing to the tokeniser, such as a control character, becomes ``[UNK]``, so every word has a place.

    Args:
        tokenizer: a WordPiece tokeniser with BERT's special tokens.
        texts: each a list of words.
        device: where the tensors lie; the CPU by default.

    Raises:
        ValueError: there is no text, a text has no word or is no list of words, or the tokeniser lacks a special token.
    """
    cls, sep, pad, unknown = special_ids(tokenizer, (CLS, SEP, PADDING, "[UNK]"))
    if isinstance(texts, str) or not len(texts) or any(isinstance(text, str) or not len(text) for text in texts):
        raise ValueError("texts must be at least one list of words, and every list must hold a word; cut the texts first")
    rows, places = [], []
    for text in texts:
        pieces = [tokenizer.encode(word) or [unknown] for word in text]
        sizes = torch.tensor([len(piece) for piece in pieces])
        places.append(1 + sizes.cumsum(0) - sizes)
        rows.append(torch.tensor([cls, *(i for piece in pieces for i in piece), sep]))
    given = (
        nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=pad),
        torch.tensor([len(row) for row in rows]),
        nn.utils.rnn.pad_sequence(places, batch_first=True),
        torch.tensor([len(text) for text in texts]),
    )
    return WordInputs(*(part.to(device or "cpu") for part in given))


def word_targets(given: WordInputs, tags: Sequence[Sequence[int]]) -> Int[Tensor, "B T"]:
    """The targets of :func:`lmcore.bert.tagging_loss`: each word's tag at its first piece, IGNORE everywhere else.

    Args:
        given: the words, from :func:`word_inputs`.
        tags: one number per word of each text.

    Raises:
        ValueError: a text has another number of tags than of words.
    """
    targets = torch.full_like(given.ids, IGNORE)
    counts = given.words.tolist()
    if len(tags) != len(counts) or (wrong := [i for i, row in enumerate(tags) if len(row) != counts[i]]):
        fault = (
            f"{len(tags)} rows of tags for {len(counts)} texts"
            if len(tags) != len(counts)
            else (f"{len(tags[wrong[0]])} tags for the {counts[wrong[0]]} words of text {wrong[0]}")
        )
        raise ValueError(f"there are {fault}; give one tag per word")
    for row, places, numbers in zip(targets, given.places, tags, strict=True):
        row[places[: len(numbers)]] = torch.tensor(list(numbers), device=targets.device)
    return targets


@torch.no_grad()
def layer_features(model: Bert, tokenizer: WordPiece, texts: Sequence[Sequence[str]]) -> LayerFeatures:
    """The vector of each word, from every layer: that of its first piece (Devlin et al. 2019, section 5.3).

    All layers of all texts are held at once: L · C numbers per word. For many texts call it with some of them at a time.

    Args:
        model: the encoder; it is put in evaluation mode, and no gradient is kept.
        tokenizer: its tokeniser.
        texts: each a list of words.

    Raises:
        ValueError: as :func:`word_inputs`, or a text is too long for the model.
    """
    given = word_inputs(tokenizer, texts, next(model.parameters()).device)
    states = torch.stack(model.eval().look(given.ids, given.lengths).states, dim=1)  # (B, L, T, C)
    B, L, _, C = states.shape
    found = states.gather(2, given.places[:, None, :, None].expand(B, L, -1, C))
    real = torch.arange(given.places.shape[1], device=found.device) < given.words[:, None]
    return LayerFeatures(found * real[:, None, :, None], given.words)


def concatenated(states: Float[Tensor, "B L W C"], n: int = 4) -> Float[Tensor, "B W D"]:
    """The last n layers' vectors side by side, D = n · C, the lowest of these layers first.

    Raises:
        ValueError: there are no n layers.
    """
    return _last(states, n).permute(0, 2, 1, 3).flatten(2)


class WeightedSum(nn.Module):
    r"""A sum of the last n layers with weights that are learnt (Peters et al. 2018, ELMo, equation 1):

    .. math:: h = \gamma \sum_{j=1}^{n} s_j\, x^{(j)}, \qquad s = \operatorname{softmax}(w)

    At first all layers weigh the same and :math:`\gamma = 1`, so that it is their mean.

    Args:
        n: how many layers.

    Raises:
        ValueError: ``n`` is not positive.
    """

    def __init__(self, n: int):
        super().__init__()
        at_least(1, n=n)
        self.weight = nn.Parameter(torch.zeros(n))
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, states: Float[Tensor, "B L W C"]) -> Float[Tensor, "B W C"]:
        """h for every word; of more than n layers the last n count.

        Raises:
            ValueError: there are no n layers.
        """
        return self.scale * torch.einsum("j,bjwc->bwc", self.shares(), _last(states, len(self.weight)))

    def shares(self) -> Float[Tensor, " n"]:
        """The layers' weights s, which add up to 1, the lowest layer first."""
        return self.weight.softmax(0)


class LayerChoice(nn.Module):
    """One of the six choices of table 7, for a model of any depth.

    ===========================  ==============================================================
    ``embeddings``               what the first layer reads; the context plays no part
    ``last``                     the last layer
    ``second_to_last``           the layer before it
    ``weighted_sum``             :class:`WeightedSum` of all layers, the embeddings not among them
    ``weighted_last_four``       :class:`WeightedSum` of the last four
    ``concatenated_last_four``   the last four side by side
    ===========================  ==============================================================

    A model of four layers makes no difference between the two sums; one of fewer has no "last four".

    Args:
        name: the choice, one of :data:`CHOICES`.
        layers: how many layers the encoder has, its embeddings not counted.

    Raises:
        ValueError: there is no such choice, or the encoder has too few layers for it.
    """

    def __init__(self, name: str, layers: int):
        super().__init__()
        at_least(1, layers=layers)
        if name not in CHOICES:
            raise ValueError(f"name={name!r} is no choice; use one of {', '.join(CHOICES)}")
        least = 4 if name.endswith("four") else 2 if name == "second_to_last" else 1
        if layers < least:
            raise ValueError(f"{name!r} needs an encoder of at least {least} layers; this one has {layers}")
        self.name, self.layers = name, layers
        self.sum = WeightedSum(4 if name.endswith("four") else layers) if name.startswith("weighted") else None

    def forward(self, states: Float[Tensor, "B L W C"]) -> Float[Tensor, "B W D"]:
        """The features of every word, from the states of :func:`layer_features`.

        Raises:
            ValueError: the states are of another number of layers.
        """
        if states.shape[1] != self.layers + 1:
            raise ValueError(f"states holds {states.shape[1]} layers; {self.layers} and the embeddings are needed")
        if self.sum is not None:
            return self.sum(states)
        if self.name == "concatenated_last_four":
            return concatenated(states, 4)
        return states[:, {"embeddings": 0, "last": -1, "second_to_last": -2}[self.name]]

    def width(self, dim: int) -> int:
        """D, how many numbers a word has, where the encoder's vectors have ``dim``."""
        return 4 * dim if self.name == "concatenated_last_four" else dim


def _last(states: Tensor, n: int) -> Tensor:
    at_least(1, n=n)
    if states.shape[1] - 1 < n:
        raise ValueError(f"states holds {states.shape[1] - 1} layers beside the embeddings; {n} are needed")
    return states[:, -n:]
