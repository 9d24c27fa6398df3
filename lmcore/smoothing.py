"""From counts of n-grams to probabilities: five ways to treat what was never seen.

Write h for a context of n−1 words, h′ for h without its first word, c(hw) for a count, c(h•) = Σ_w c(hw), and V for the
number of words that can be predicted (``<end>`` is one, ``<start>`` is not). Every method gives, for each length n,

* P(w | h) of every n-gram hw that was seen, and
* a weight g(h) of every context: a word never seen after h gets P(w | h) = g(h) · P(w | h′).

Below single words stands the uniform distribution, 1/V. A context that was never seen has g(h) = 1, so that the shorter context
decides. This is the form of the ARPA files that SRILM and KenLM write.

Sources: Chen and Goodman (1999), "An empirical study of smoothing techniques for language modeling", Computer Speech and
Language 13; Kneser and Ney (1995), ICASSP; Katz (1987), IEEE Transactions on Acoustics, Speech and Signal Processing 35;
Heafield (2011), "KenLM: faster and smaller language model queries", WMT.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from lmcore.counts import Counts

Discount = tuple[float, ...]


@dataclass(frozen=True)
class Estimate:
    """A smoothed model: arrays in the order of :class:`lmcore.counts.Counts`, filled length by length.

    Attributes:
        probability: for n = 1 … order, P(w | h) of every n-gram that was seen (of every word, for n = 1; the last entry there
            belongs to ``<start>``, which is never predicted, and means nothing).
        weight: for n = 1 … order, g(h) of every context of n−1 words.
        uniform: whether a word never seen after h gets g(h) / V instead of g(h) · P(w | h′). True for add-k only.
        discounts: for every n, what is subtracted from counts of 1, 2, …; the last entry serves all larger counts too.
        fallbacks: the n whose counts gave no valid discounts, so that fixed ones were used.
    """

    probability: list[Float[np.ndarray, "N"]] = field(default_factory=list)
    weight: list[Float[np.ndarray, "H"]] = field(default_factory=list)
    uniform: bool = False
    discounts: dict[int, Discount] = field(default_factory=dict)
    fallbacks: list[int] = field(default_factory=list)

    def below(self, counts: Counts, n: int) -> Float[np.ndarray, "N"]:
        """P(w | h′) of every n-gram hw of length n; 1/V for single words."""
        return self.probability[n - 2][counts[n].suffix] if n > 1 else np.full(len(counts[1]), 1 / counts.words)

    def append(self, probability: Float[np.ndarray, "N"], weight: Float[np.ndarray, "H"]) -> None:
        """Add the next length."""
        self.probability.append(probability)
        self.weight.append(weight)


def maximum_likelihood(counts: Counts) -> Estimate:
    """P(w | h) = c(hw) / c(h•): no smoothing. What never followed h has probability 0.

    After a context that was never seen this estimate does not exist; there the longest end of it that was seen decides.
    """
    estimate = Estimate()
    for n, level in counts.by_length():
        total = counts.over_words(n, level.count)
        estimate.append(level.count / total[level.context], np.where(total > 0, 0.0, 1.0))
    return estimate


def add_k(counts: Counts, k: float) -> Estimate:
    """P(w | h) = (c(hw) + k) / (c(h•) + kV): Lidstone's estimate, with k = 1 Laplace's.

    Only contexts of full length count, and at the beginning of a sentence those that reach back to ``<start>``.
    """
    estimate = Estimate(uniform=True)
    mass = k * counts.words
    for n, level in counts.by_length():
        total = counts.over_words(n, level.count)
        estimate.append((level.count + k) / (total[level.context] + mass), mass / (total + mass))
    return estimate


def one_discount(counts: Int[np.ndarray, "N"]) -> Discount | None:
    """D = n₁ / (n₁ + 2n₂), where n_j is how many n-grams have count j; None if n₁ or n₂ is 0.

    Ney, Essen and Kneser (1994); Chen and Goodman (1999).
    """
    n = np.bincount(np.minimum(counts, 3), minlength=4)
    return (float(n[1] / (n[1] + 2 * n[2])),) if n[1] and n[2] else None


def three_discounts(counts: Int[np.ndarray, "N"]) -> Discount | None:
    """D_j = j − (j+1) · Y · n_{j+1} / n_j for j = 1, 2, 3, with Y = n₁ / (n₁ + 2n₂); D₃ serves all counts from 3 on.

    Modified Kneser–Ney smoothing of Chen and Goodman (1999). None if n₁, n₂ or n₃ is 0, or if a D_j is not positive.
    """
    n = np.bincount(np.minimum(counts, 5), minlength=6)
    if not n[1:4].all():
        return None
    y = n[1] / (n[1] + 2 * n[2])
    found = tuple(float(j - (j + 1) * y * n[j + 1] / n[j]) for j in (1, 2, 3))
    return found if min(found) > 0 else None


FALLBACK: dict[Callable[..., Discount | None], Discount] = {one_discount: (0.75,), three_discounts: (0.5, 1.0, 1.5)}


def _taken(
    estimate: Estimate, counts: Int[np.ndarray, "N"], n: int, rule: Callable[..., Discount | None]
) -> Float[np.ndarray, "N"]:
    """What the discounts of length n take from every count; nothing from 0. Notes the discounts in ``estimate``."""
    discount = rule(counts)
    if discount is None:
        discount = FALLBACK[rule]
        estimate.fallbacks.append(n)
    estimate.discounts[n] = discount
    return np.array([0.0, *discount])[np.minimum(counts, len(discount))]


def backoff(counts: Counts) -> Estimate:
    """Backoff with absolute discounting: the shorter context is asked only for words never seen after the longer one.

    P(w | h) = (c(hw) − D_n) / c(h•) if hw was seen, else g(h) · P(w | h′), and
    g(h) = [1 − Σ_{seen w} P(w | h)] / [1 − Σ_{seen w} P(w | h′)] makes the sum 1.

    The scheme is that of Katz (1987), with D_n of :func:`one_discount` (or 0.75 where there is none) instead of Good–Turing
    discounts. Where all V words were seen after h, nothing is discounted.
    """
    estimate = Estimate()
    for n, level in counts.by_length():
        seen = (level.count > 0).astype(float)
        total, kinds = counts.over_words(n, level.count), counts.over_words(n, seen)
        below = estimate.below(counts, n)
        open_ = kinds < counts.words
        taken = np.where(open_[level.context], _taken(estimate, level.count, n, one_discount), 0.0)
        room = total * (1 - counts.over_words(n, below * seen))
        weight = np.divide(counts.over_words(n, taken), room, out=np.ones_like(total), where=open_ & (total > 0))
        probability = np.where(level.count > 0, (level.count - taken) / total[level.context], weight[level.context] * below)
        estimate.append(probability, weight)
    return estimate


def _interpolated_kneser_ney(counts: Counts, rule: Callable[..., Discount | None]) -> Estimate:
    """P(w | h) = (a(hw) − D(a(hw))) / a(h•) + g(h) · P(w | h′), with g(h) = Σ_w D(a(hw)) / a(h•).

    a is the count for the longest n-grams, and for all shorter ones the number of different words seen before them.
    """
    estimate = Estimate()
    for n, level in counts.by_length():
        a = level.count if n == counts.order else counts.continuations(n)
        taken = _taken(estimate, a, n, rule)
        total = counts.over_words(n, a)
        weight = np.divide(counts.over_words(n, taken), total, out=np.ones_like(total), where=total > 0)
        own = (a - taken) / total[level.context]
        estimate.append(own + weight[level.context] * estimate.below(counts, n), weight)
    return estimate


def kneser_ney(counts: Counts) -> Estimate:
    """Interpolated Kneser–Ney with one discount per length, :func:`one_discount`, or 0.75 where there is none."""
    return _interpolated_kneser_ney(counts, one_discount)


def modified_kneser_ney(counts: Counts) -> Estimate:
    """Interpolated Kneser–Ney with three discounts per length, :func:`three_discounts`.

    Where there are none, 0.5, 1 and 1.5 are used, as with KenLM's option ``--discount_fallback``.
    """
    return _interpolated_kneser_ney(counts, three_discounts)


METHODS: dict[str, Callable[[Counts], Estimate]] = {
    "modified-kneser-ney": modified_kneser_ney,
    "kneser-ney": kneser_ney,
    "backoff": backoff,
    "none": maximum_likelihood,
}
SMOOTHING = (*METHODS, "add-k")


def smooth(counts: Counts, method: str, k: float) -> Estimate:
    """The estimate of one of :data:`SMOOTHING`; ``k`` is for add-k alone."""
    return add_k(counts, k) if method == "add-k" else METHODS[method](counts)
