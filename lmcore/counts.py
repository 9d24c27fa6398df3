"""Counts of n-grams: how often every run of up to N words occurs in a corpus, as a trie of sorted arrays.

An n-gram is stored as a pair: the index of its first n−1 words (its *context*) among the shorter n-grams, and its last
word. All pairs of one length are the sorted integers ``context · base + word`` of one array. Looking up is a binary search,
and all continuations of one context lie side by side.

Every sentence is read as ``<start> w₁ … w_m <end>``. There is one ``<start>`` however long the n-grams are, as in SRILM and
KenLM: it is a context and is never predicted. ``<end>`` is predicted and never a context.
"""

import operator
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from lmcore import END, START, UNK

UNKNOWN = -1  # the id of a word, or the index of an n-gram, that was never counted


@dataclass(frozen=True)
class Stream:
    """Sentences one after the other: the word ids, and each word's place in its sentence (0 is ``<start>``)."""

    word: Int[np.ndarray, "T"]
    place: Int[np.ndarray, "T"]


class Vocabulary:
    """Words and their ids: what can be predicted has the ids 0 … len−1, ``<end>`` the last of them, and ``<start>`` has len.

    Args:
        words: the words, in any order. If ``<unk>`` is one of them, every word that is not is read as ``<unk>``.
    """

    def __init__(self, words: Iterable[str]) -> None:
        self.words: tuple[str, ...] = (*sorted(set(words) - {START, END}), END)
        self._ids = {word: i for i, word in enumerate(self.words)}
        self.start, self.end, self.unk = len(self.words), len(self.words) - 1, self._ids.get(UNK, UNKNOWN)

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: str) -> bool:
        return word in self._ids

    def encode(self, tokens: Sequence[str], skip_unknown: bool = False) -> list[int]:
        """The ids of words; with ``skip_unknown``, a word that has none gets :data:`UNKNOWN`.

        Raises:
            ValueError: a word that is not in the vocabulary, or ``<start>`` or ``<end>``.
        """
        for token in (START, END):
            if token in tokens:
                raise ValueError(f"the text contains {token}, which the model adds itself; remove it")
        ids = [self._ids.get(token, self.unk) for token in tokens]
        if UNKNOWN in ids and not skip_unknown:
            unknown = sorted({token for token in tokens if token not in self})
            shown = ", ".join(map(repr, unknown[:5])) + (f" and {len(unknown) - 5} more" if len(unknown) > 5 else "")
            raise ValueError(
                f"not in the vocabulary of {len(self)} words: {shown}. Train with min_count=2 to read rare words as {UNK}, "
                "pass vocabulary=…, or leave such words out of a score with skip_unknown=True"
            )
        return ids

    def stream(self, sentences: Sequence[Sequence[int]]) -> Stream:
        """Lay sentences of word ids behind one another, each between ``<start>`` and ``<end>``."""
        length = np.fromiter((len(s) + 2 for s in sentences), np.int64, len(sentences))
        word = np.fromiter((w for s in sentences for w in (self.start, *s, self.end)), np.int64, int(length.sum()))
        begin = np.repeat(np.cumsum(length) - length, length)
        return Stream(word, np.arange(len(word)) - begin)


@dataclass(frozen=True)
class Level:
    """All n-grams of one length n, in the order of ``key``; the position in these arrays is an n-gram's index.

    Attributes:
        key: ``context * base + word``, ascending.
        context: index of the first n−1 words among the (n−1)-grams (0 for single words).
        word: the last word's id.
        suffix: index of the last n−1 words among the (n−1)-grams (0 for single words).
        count: how often the n-gram occurs. ``<start>`` alone has count 0: it is never predicted.
        starts: whether the first word is ``<start>``.
    """

    key: Int[np.ndarray, "N"]
    context: Int[np.ndarray, "N"]
    word: Int[np.ndarray, "N"]
    suffix: Int[np.ndarray, "N"]
    count: Int[np.ndarray, "N"]
    starts: Bool[np.ndarray, "N"]

    def __len__(self) -> int:
        return len(self.key)


class Counts:
    """The counts of all n-grams of length 1 to ``order``.

    Args:
        text: the corpus.
        order: the longest n-gram.
        words: number of words that can be predicted, ``<end>`` among them; their ids are 0 … words−1, and ``<start>`` has the
            id ``words``.
    """

    def __init__(self, text: Stream, order: int, words: int) -> None:
        self.order, self.words, self.base = order, words, words + 1
        single = np.arange(self.base)
        count = np.bincount(text.word[text.place > 0], minlength=self.base)
        zero = np.zeros_like(single)
        self.levels = [Level(single, zero, single, zero, count, single == words)]
        index = text.word
        for n in range(2, order + 1):
            at = np.flatnonzero(text.place >= n - 1)
            key, first, inverse, count = np.unique(
                index[at - 1] * self.base + text.word[at], return_index=True, return_inverse=True, return_counts=True
            )
            context = key // self.base
            starts = self.levels[-1].starts[context]
            self.levels.append(Level(key, context, key % self.base, index[at[first]], count, starts))
            index = np.full_like(text.word, UNKNOWN)
            index[at] = inverse

    def __getitem__(self, n: int) -> Level:
        """All n-grams of length ``n``, 1 ≤ n ≤ order."""
        return self.levels[n - 1]

    def by_length(self) -> Iterator[tuple[int, Level]]:
        """``(n, all n-grams of length n)`` for n = 1 … order."""
        return enumerate(self.levels, start=1)

    def find(self, n: int, context: Int[np.ndarray, "T"], word: Int[np.ndarray, "T"]) -> Int[np.ndarray, "T"]:
        """The index of every n-gram ``(context, word)`` among those of length ``n``; :data:`UNKNOWN` where it never occurs."""
        level, key = self[n], context * self.base + word
        if not len(level):
            return np.full(len(key), UNKNOWN)
        index = np.searchsorted(level.key, key)
        found = level.key[np.minimum(index, len(level) - 1)] == key
        return np.where(found & (context >= 0) & (word >= 0), index, UNKNOWN)

    def indices(self, text: Stream) -> Iterator[tuple[int, Int[np.ndarray, "P"], Int[np.ndarray, "P"], Int[np.ndarray, "P"]]]:
        """For n = 2 … order: (n, the places in ``text`` where n words end, the index of their context, the index of all n)."""
        index = text.word
        for n in range(2, self.order + 1):
            at = np.flatnonzero(text.place >= n - 1)
            context = index[at - 1]
            found = self.find(n, context, text.word[at])
            yield n, at, context, found
            index = np.full_like(text.word, UNKNOWN)
            index[at] = found

    def contexts(self, words: Sequence[int]) -> Iterator[tuple[int, int, slice]]:
        """For n = 2 … order: (n, the index of the last n−1 of ``words``, where its continuations lie among the n-grams)."""
        for n in range(2, min(self.order, len(words) + 1) + 1):
            index = np.array([words[1 - n]])
            for length, word in enumerate(words[len(words) - n + 2 :], start=2):
                index = self.find(length, index, np.array([word]))
            node = int(index[0])
            low, high = np.searchsorted(self[n].key, [node * self.base, (node + 1) * self.base])
            yield n, node, slice(int(low), int(high))

    def over_words(self, n: int, amount: np.ndarray) -> Float[np.ndarray, "H"]:
        """For every context h of n−1 words: Σ_w amount(hw), where ``amount`` has one entry per n-gram of length ``n``."""
        return np.bincount(self[n].context, weights=amount, minlength=len(self[n - 1]) if n > 1 else 1).astype(float)

    def continuations(self, n: int) -> Int[np.ndarray, "N"]:
        """N₁₊(• w₁…wₙ): after how many different words each n-gram was seen, for a length n < order.

        An n-gram that begins with ``<start>`` has no word to its left; it keeps its count, as in SRILM and KenLM.
        """
        level = self[n]
        left = np.bincount(self[n + 1].suffix, minlength=len(level))
        return np.where(level.starts, level.count, left)


def positive(value: int, name: str) -> int:
    """``value``, which must be a whole number from 1 on; otherwise a ``ValueError`` that calls it ``name``."""
    try:
        number = operator.index(value)
    except TypeError:
        number = 0
    if isinstance(value, bool) or number < 1:
        raise ValueError(f"{name} must be a whole number from 1 on; got {value!r}")
    return number


def read(path: str | Path) -> list[str]:
    """The sentences of a text file in UTF-8: its lines, without empty ones.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not UTF-8, or holds no sentence.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no file {str(path)!r}; give a text file with one sentence a line")
    try:
        with open(path, encoding="utf-8") as file:
            found = [line for line in file if line.strip()]
    except UnicodeDecodeError as error:
        raise ValueError(f"{str(path)!r} is not UTF-8 text: {error}") from None
    if not found:
        raise ValueError(f"{str(path)!r} holds no sentence; give a text file with one sentence a line")
    return found
