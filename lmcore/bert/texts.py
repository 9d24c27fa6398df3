"""From texts to the model's inputs, and from its outputs to vectors of words and of texts."""

from collections.abc import Iterable, Sequence
from functools import partial
from itertools import chain
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from lmcore.bert.model import Bert
from lmcore.tokenizer import check_text, special_pattern
from lmcore.wordpiece import BERT_SPECIAL, PREFIX, WordPiece, basic_tokens

CLS, SEP, PADDING, MASK_TOKEN = "[CLS]", "[SEP]", "[PAD]", "[MASK]"


class Inputs(NamedTuple):
    """Texts as :class:`lmcore.bert.Bert` reads them; what lies beyond a text's length is padding."""

    ids: Int[Tensor, "B T"]
    lengths: Int[Tensor, " B"]
    segments: Int[Tensor, "B T"]


def inputs(tokenizer: WordPiece, texts: Sequence[str | tuple[str, str]], device: torch.device | str | None = None) -> Inputs:
    """The texts between their special tokens, ``[CLS] text [SEP]``, filled up with ``[PAD]``.

    A pair is ``[CLS] first [SEP] second [SEP]``; from its second text on the segment is 1, otherwise 0.

    Args:
        tokenizer: a WordPiece tokeniser with ``[CLS]``, ``[SEP]`` and ``[PAD]``.
        texts: the texts, strings or pairs of strings.
        device: where the tensors lie; the CPU by default.

    Raises:
        ValueError: there is no text, something is neither a text nor a pair, or the tokeniser lacks a special token.
    """
    cls, sep, pad = special_ids(tokenizer, (CLS, SEP, PADDING))
    if isinstance(texts, str) or not len(texts):
        raise ValueError(f"texts={texts!r} is no list of texts; for one text, write [text]")
    rows, kinds = [], []
    for number, text in enumerate(texts):
        parts = (text,) if isinstance(text, str) else text
        if not isinstance(parts, Sequence) or not 1 <= len(parts) <= 2 or not all(isinstance(part, str) for part in parts):
            raise ValueError(f"text {number} is {text!r}; every text is a string or a pair of strings")
        row, kind = [cls], [0]
        for segment, part in enumerate(parts):
            piece = [*tokenizer.encode(part), sep]
            row += piece
            kind += [segment] * len(piece)
        rows.append(torch.tensor(row))
        kinds.append(torch.tensor(kind))
    pad_rows = partial(nn.utils.rnn.pad_sequence, batch_first=True)
    given = pad_rows(rows, padding_value=pad), torch.tensor([len(row) for row in rows]), pad_rows(kinds)
    return Inputs(*(part.to(device or "cpu") for part in given))


def special_ids(tokenizer: WordPiece, tokens: Sequence[str] = (CLS, SEP, PADDING, MASK_TOKEN)) -> tuple[int, ...]:
    """The ids of special tokens, by default of [CLS], [SEP], [PAD] and [MASK].

    Raises:
        ValueError: it is no WordPiece tokeniser, or it lacks one of them.
    """
    if not isinstance(tokenizer, WordPiece):
        raise ValueError(f"tokenizer must be a WordPiece tokeniser; got a {type(tokenizer).__name__}")
    if missing := [token for token in tokens if token not in tokenizer.number]:
        raise ValueError(f"the tokeniser has no {' '.join(missing)}; use one with BERT's special tokens")
    return tuple(tokenizer.number[token] for token in tokens)


def word_tokenizer(words: Iterable[str], *, lower: bool = False) -> WordPiece:
    """A tokeniser for a language whose words are all known: one token for each word, and letters for all other words.

    The vocabulary holds BERT's special tokens, the words in the order given, and every character that occurs in them, at the
    beginning of a word and within one (``##``). A word that is not among them falls into its letters. A word that BERT's rules
    would cut, such as ``o'clock``, is kept whole as Hugging Face's added tokens are: it joins the tokeniser's ``special``.

    Args:
        words: such as :attr:`lmcore.world.World.vocabulary`.
        lower: whether texts are lower-cased and lose their accents. The words must be so already.

    Raises:
        ValueError: there is no word, a word stands twice, is a special token, holds white space, or is not in lower case.
    """
    words = [words] if isinstance(words, str) else list(words)
    parts = [basic_tokens(word, lower) if isinstance(word, str) and word not in BERT_SPECIAL else [] for word in words]
    if not words or (wrong := [word for word, cut in zip(words, parts, strict=True) if not word or "".join(cut) != word]):
        given = repr(wrong[0]) if words else "an empty list"
        raise ValueError(f"{given} is no word; give words without white space" + (", in lower case" if lower else ""))
    whole = [word for word, cut in zip(words, parts, strict=True) if len(cut) > 1]
    letters = sorted(set(chain.from_iterable(words)))
    first = [letter for letter in letters if letter not in set(words)]
    vocabulary = [*BERT_SPECIAL, *words, *first, *(PREFIX + letter for letter in letters)]
    return WordPiece(vocabulary, (*BERT_SPECIAL, *whole), lower)


def word_places(tokenizer: WordPiece, text: str, word: str, occurrence: int = 0) -> list[int]:
    """The places of a word's pieces in :func:`inputs` of a text, [CLS] being at place 0.

    A word is found as a whole: ``art`` is not in ``party``. Case and accents count only for a tokeniser that keeps them.

    Args:
        tokenizer: the tokeniser.
        text: the text.
        word: what to look for; it may be several words (``New York``), or a special token (``[MASK]``).
        occurrence: which of its occurrences, from 0; -1 is the last.

    Raises:
        ValueError: the word is not there so often.
    """
    have, want = _words(tokenizer, check_text(text)), _words(tokenizer, check_text(word))
    n = len(want)
    found = [i for i in range(len(have) - n + 1) if n and have[i : i + n] == want]
    if not -len(found) <= occurrence < len(found):
        raise ValueError(f"{word!r} occurs {len(found)} times in {text!r}; there is no occurrence {occurrence}")
    sizes = [1 if spelling in tokenizer.special else len(tokenizer.encode(spelling, special=False)) for spelling in have]
    first = found[occurrence]
    return list(range(1 + sum(sizes[:first]), 1 + sum(sizes[: first + n])))


def _words(tokenizer: WordPiece, text: str) -> list[str]:
    """The words that WordPiece cuts into pieces, special tokens among them."""
    pattern = special_pattern(tokenizer.special)
    parts = pattern.split(text) if pattern else [text]  # text, special, text, …
    return [word for i, part in enumerate(parts) for word in ([part] if i % 2 else basic_tokens(part, tokenizer.lower))]


@torch.no_grad()
def contextual_vectors(
    model: Bert, tokenizer: WordPiece, where: Sequence[tuple[str, str]], *, layer: int = -1
) -> Float[Tensor, "N C"]:
    """A word's vector in its text, for every (text, word): the mean over the word's pieces.

    Args:
        model: the encoder; it is put in evaluation mode.
        tokenizer: its tokeniser.
        where: pairs of a text and a word in it; of several occurrences the first counts.
        layer: which layer's vectors; 0 are the embeddings, -1 is the last.

    Raises:
        ValueError: there is no pair, a word is not in its text, or there is no such layer.
    """
    if isinstance(where, str) or not len(where) or any(isinstance(row, str) or len(row) != 2 for row in where):
        raise ValueError(f"where={where!r} is no list of (text, word); give at least one such pair")
    states = model.eval().look(*inputs(tokenizer, [text for text, _ in where], next(model.parameters()).device)).states
    if isinstance(layer, bool) or not isinstance(layer, int) or not -len(states) <= layer < len(states):
        raise ValueError(f"layer={layer!r} is none; use 0 (embeddings) to {len(states) - 1}, or -1 for the last")
    rows = [states[layer][i, word_places(tokenizer, text, word)].mean(0) for i, (text, word) in enumerate(where)]
    return torch.stack(rows)


def mean_pool(states: Float[Tensor, "B T C"], lengths: Int[Tensor, " B"]) -> Float[Tensor, "B C"]:
    """One vector per text: the mean over its real tokens, special tokens included (Reimers and Gurevych 2019, section 3).

    Raises:
        ValueError: shapes that do not fit.
    """
    if states.ndim != 3 or lengths.shape != states.shape[:1]:
        raise ValueError(f"states must be (B, T, C) and lengths (B,); got {tuple(states.shape)} and {tuple(lengths.shape)}")
    real = (torch.arange(states.shape[1], device=states.device) < lengths[:, None])[..., None]
    return (states * real).sum(1) / lengths[:, None]


@torch.no_grad()
def sentence_vectors(model: Bert, tokenizer: WordPiece, texts: Sequence[str]) -> Float[Tensor, "N C"]:
    """The mean-pooled vectors of the last layer, scaled to length 1, so that a dot product is a cosine.

    This is what MiniLM was trained for (:func:`lmcore.pretrained.minilm`): texts of like meaning get like vectors.

    Raises:
        ValueError: as :func:`inputs`, or a text is too long for the model.
    """
    given = inputs(tokenizer, texts, next(model.parameters()).device)
    return nn.functional.normalize(mean_pool(model.eval()(*given), given.lengths), dim=-1)
