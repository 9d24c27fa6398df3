"""What can be asked of word vectors: what is near a word, what is to c as a is to b, what does the whole look like on a map?"""

import difflib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from torch import Tensor

from lmcore.batches import at_least


@dataclass(frozen=True)
class AnalogyScore:
    """How many analogy questions were answered rightly.

    Attributes:
        correct, total: counts of questions.
        chance: the accuracy of a guess among all words that could be answered.
        answers: the answer to each question, in order.
    """

    correct: int
    total: int
    chance: float
    answers: tuple[str, ...]

    @property
    def accuracy(self) -> float:
        """The share of questions answered right."""
        return self.correct / self.total

    @property
    def standard_error(self) -> float:
        """√(p(1 − p)/n), as if the questions were independent. Questions that share a pair are not, so it is too small."""
        return math.sqrt(self.accuracy * (1 - self.accuracy) / self.total)

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of Wilson (1927), which stays inside 0 … 1 and is not empty at either end."""
        z, n, p = 1.959964, self.total, self.accuracy
        middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return max(0.0, (middle - half) / (1 + z * z / n)), min(1.0, (middle + half) / (1 + z * z / n))

    def __str__(self) -> str:
        return f"{self.correct} of {self.total} ({self.accuracy:.1%} ± {self.standard_error:.1%}, chance {self.chance:.2%})"


class WordVectors:
    """Words with a vector each, scaled to length 1, so that a dot product of two is their cosine.

    Args:
        words: V different words.
        vectors: one row for each, tensor or array of shape (V, C).

    Raises:
        ValueError: the shapes do not fit, a word comes twice, or a vector is zero or not finite.
    """

    def __init__(self, words: Sequence[str], vectors: Tensor | np.ndarray):
        self.words = tuple(words)
        self.number = {word: i for i, word in enumerate(self.words)}
        table = np.asarray(vectors.detach().cpu() if isinstance(vectors, Tensor) else vectors, dtype=np.float64)
        if table.ndim != 2 or len(table) != len(self.words):
            raise ValueError(f"{len(self.words)} words need vectors of shape ({len(self.words)}, C); got {table.shape}")
        if len(self.number) != len(self.words):
            twice = next(word for i, word in enumerate(self.words) if self.number[word] != i)
            raise ValueError(f"{twice!r} is in the list of words twice; every word needs one vector")
        if not self.words:
            raise ValueError("words is empty; give at least one word and its vector")
        length = np.linalg.norm(table, axis=1)
        if not (np.isfinite(length) & (length > 0)).all():
            bad = self.words[int(np.argmin(np.where(np.isfinite(length), length, -1)))]
            raise ValueError(f"the vector of {bad!r} is zero or not finite, so it has no direction")
        self.unit: Float[np.ndarray, "V C"] = table / length[:, None]

    def __len__(self) -> int:
        return len(self.words)

    def __getitem__(self, word: str) -> Float[np.ndarray, " C"]:
        """The unit vector of a word."""
        return self.unit[self._index(word)]

    def _index(self, word: str) -> int:
        if word not in self.number:
            near = difflib.get_close_matches(str(word), self.words, n=3)
            hint = f"; did you mean {', '.join(near)}?" if near else ""
            raise ValueError(f"{word!r} is not one of the {len(self)} words that have a vector{hint}")
        return self.number[word]

    def neighbours(self, word: str, k: int = 10) -> list[tuple[str, float]]:
        """The k words of largest cosine with ``word``, nearest first, each with its cosine."""
        i = self._index(word)
        self._check_k(k, 1)
        return self._best(self.unit @ self.unit[i], {i}, k)

    def analogy(self, a: str, b: str, c: str, k: int = 1, exclude: bool = True) -> list[tuple[str, float]]:
        """The k words d of largest cosine with a − b + c: Paris − France + Italy. 3CosAdd of Levy and Goldberg (2014).

        Args:
            a, b, c: three words.
            k: how many answers.
            exclude: whether a, b and c themselves cannot be an answer, as is usual.

        Raises:
            ValueError: a word has no vector, or there are not k words left.
        """
        given = [self._index(word) for word in (a, b, c)]
        self._check_k(k, len(set(given)) if exclude else 0)
        target = self.unit[given[0]] - self.unit[given[1]] + self.unit[given[2]]
        return self._best(self.unit @ (target / np.linalg.norm(target)), set(given) if exclude else set(), k)

    def score_analogies(
        self, questions: Iterable[Sequence[str]], exclude: bool = True, candidates: Sequence[str] | None = None
    ) -> AnalogyScore:
        """Answer many questions (a, b, c, d): is d the word nearest to a − b + c?

        Args:
            questions: see :func:`analogy_questions`.
            exclude: whether the three given words cannot be an answer.
            candidates: the words that can be; all by default.

        Raises:
            ValueError: there is no question, one has not four words, or a word has no vector.
        """
        asked = [tuple(question) for question in questions]
        if wrong := [question for question in asked if len(question) != 4]:
            raise ValueError(f"{wrong[0]} is no question; it takes four words (a, b, c, d): a is to b as d is to c")
        if not asked:
            raise ValueError("questions is empty; give at least one, of four words (a, b, c, d): a is to b as d is to c")
        ids = np.array([[self._index(word) for word in question] for question in asked])
        allowed = np.full(len(self), candidates is None)
        allowed[[self._index(word) for word in candidates or ()]] = True
        scores = (self.unit[ids[:, 0]] - self.unit[ids[:, 1]] + self.unit[ids[:, 2]]) @ self.unit.T
        possible = np.repeat(allowed[None], len(ids), axis=0)
        if exclude:
            np.put_along_axis(possible, ids[:, :3], False, axis=1)
        if not possible.any(axis=1).all():
            raise ValueError("candidates leave some question without a possible answer; give more of them")
        answers = np.where(possible, scores, -np.inf).argmax(axis=1)
        chance = float(np.mean(np.take_along_axis(possible, ids[:, 3:], axis=1)[:, 0] / possible.sum(axis=1)))
        return AnalogyScore(int((answers == ids[:, 3]).sum()), len(ids), chance, tuple(self.words[i] for i in answers))

    def _best(self, scores: Float[np.ndarray, " V"], without: set[int], k: int) -> list[tuple[str, float]]:
        order = [int(i) for i in np.argsort(-scores, kind="stable") if i not in without]
        return [(self.words[i], float(scores[i])) for i in order[:k]]

    def _check_k(self, k: int, without: int) -> None:
        at_least(1, k=k)
        if k > len(self) - without:
            raise ValueError(f"k={k} is more than the {len(self) - without} words that can be an answer")


def analogy_questions(pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str, str, str]]:
    """Every question that a list of pairs gives: from (Paris, France) and (Rome, Italy), Paris − France + Italy = Rome.

    n pairs give n(n − 1) questions (a, b, c, d), read a − b + c = d.

    Raises:
        ValueError: there are fewer than two pairs.
    """
    if wrong := [pair for pair in pairs if isinstance(pair, str) or len(pair) != 2]:
        raise ValueError(f"{wrong[0]!r} is no pair; give two words each, such as ('Paris', 'France')")
    if len(pairs) < 2:
        raise ValueError(f"a question takes two pairs; got {len(pairs)}")
    return [(a, b, c, d) for a, b in pairs for d, c in pairs if (a, b) != (d, c)]


def project(vectors: Float[np.ndarray, "N C"], k: int = 2) -> tuple[Float[np.ndarray, "N k"], Float[np.ndarray, "k C"], float]:
    """The k principal components: places, axes, and the share of the variance that they keep.

    ``places = (vectors − mean) @ axes.T``. The sign of an axis is arbitrary; here its largest entry is positive, so that the
    same vectors give the same map.

    Raises:
        ValueError: there are fewer vectors or dimensions than components.
    """
    at_least(1, k=k)
    if not isinstance(vectors, np.ndarray) or vectors.ndim != 2 or vectors.dtype.kind not in "fiu":
        raise ValueError(
            f"vectors must be an array of numbers of shape (N, C); got {np.shape(vectors)} of {type(vectors).__name__}"
        )
    if k > min(vectors.shape):
        raise ValueError(f"k={k} components cannot be had from vectors of shape {vectors.shape}")
    centred = vectors - vectors.mean(axis=0)
    _, size, right = np.linalg.svd(centred, full_matrices=False)
    axes = right[:k] * np.sign(right[np.arange(k), np.abs(right[:k]).argmax(axis=1)])[:, None]
    return centred @ axes.T, axes, float((size[:k] ** 2).sum() / max((size**2).sum(), 1e-300))
