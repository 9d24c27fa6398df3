"""Skip-grams: pairs of a word and a word near it, and the noise that the pair must be told from.

The examples for :class:`lmcore.embeddings.SkipGram`, dealt like all batches of :mod:`lmcore.batches`.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from lmcore.batches import Batches, Ids, at_least, documents, generator


class SkipGrams(Batches):
    r"""A word, a word near it, and k words drawn from noise (Mikolov et al. 2013b, sections 2.2 and 2.3).

    Every epoch first drops each occurrence of a word of relative frequency f with probability :math:`1 - \sqrt{t/f}` and closes
    the gaps. Then every word left is a centre once; it draws a radius uniformly from 1 … ``window`` and is paired with every
    word at most that far away in the same text. The noise words are drawn with probability
    :math:`P_n(w) \propto \mathrm{count}(w)^{3/4}`.

    Yields ``(centres, words)``, ``Int[Tensor, "B"]`` and ``Int[Tensor, "B 1+K"]``. Column 0 of ``words`` is the neighbour, the
    others are noise.

    Args:
        texts: the ids of each text. No pair crosses from one text to the next.
        batch_size: B, pairs per batch.
        vocab_size: V; every id is below it.
        window: the largest distance.
        negatives: K, noise words per pair.
        subsample: the threshold t; ``None`` keeps every word.
        power: the exponent of the noise distribution.
        shuffle, epochs, seed, device: as in :class:`Batches`.
    """

    def __init__(
        self,
        texts: Sequence[Ids],
        batch_size: int,
        *,
        vocab_size: int,
        window: int = 5,
        negatives: int = 5,
        subsample: float | None = 1e-3,
        power: float = 0.75,
        **how,
    ):
        super().__init__(batch_size, **how)
        at_least(1, window=window, negatives=negatives, vocab_size=vocab_size)
        if isinstance(power, bool) or not isinstance(power, int | float):
            raise ValueError(f"power={power!r} is not an exponent; use a number, 0.75 in the paper")
        if subsample is not None and not (isinstance(subsample, int | float) and subsample > 0):
            raise ValueError(
                f"subsample={subsample!r} is not a threshold; use a positive number, about 1e-3, or None to keep every word"
            )
        bodies = documents(texts)
        if all(len(body) < 2 for body in bodies):
            raise ValueError("no text has two words, so there is no pair to learn from; give longer texts")
        self.words = np.concatenate(bodies)
        if self.words.max() >= vocab_size:
            raise ValueError(f"the texts hold id {self.words.max()}, but vocab_size={vocab_size} allows 0 … {vocab_size - 1}")
        self.text = np.repeat(np.arange(len(bodies)), [len(body) for body in bodies])
        self.window, self.negatives = window, negatives
        counts = np.bincount(self.words, minlength=vocab_size)
        self.noise = noise_distribution(counts, power)
        self._cumulative = np.cumsum(self.noise)
        self._cumulative[self.noise.nonzero()[0][-1] :] = 1.0
        self.keep = np.ones(vocab_size)
        if subsample is not None:
            self.keep = np.minimum(1.0, np.sqrt(subsample * len(self.words) / np.maximum(counts, 1)))

    def rows(self, rng: np.random.Generator) -> np.ndarray:
        kept = rng.random(len(self.words)) < self.keep[self.words]
        words, text = self.words[kept].astype(np.int32), self.text[kept]
        radius = rng.integers(1, self.window + 1, size=len(words))
        pairs = []
        for distance in range(1, min(self.window, len(words) - 1) + 1):
            left, right = words[:-distance], words[distance:]
            together = text[:-distance] == text[distance:]
            for centre, word, reach in ((left, right, radius[:-distance]), (right, left, radius[distance:])):
                chosen = together & (reach >= distance)
                pairs.append(np.stack([centre[chosen], word[chosen]], axis=1))
        if not sum(map(len, pairs)):
            raise ValueError("subsampling left no pair in this epoch; raise subsample, or give more text")
        every = np.concatenate(pairs)
        return rng.permutation(every) if self.shuffle else every

    def batch(self, rows: np.ndarray) -> tuple[Int[Tensor, " B"], Int[Tensor, "B K1"]]:
        rng = generator(self.seed, self.epoch, self.index)
        drawn = np.searchsorted(self._cumulative, rng.random((len(rows), self.negatives)), side="right")
        words = np.concatenate([rows[:, 1:], drawn], axis=1)
        return torch.as_tensor(rows[:, 0].astype(np.int64), device=self.device), torch.as_tensor(words, device=self.device)


def noise_distribution(counts: Int[np.ndarray, " V"], power: float = 0.75) -> Float[np.ndarray, " V"]:
    r""":math:`P_n(w) = \mathrm{count}(w)^{p} / \sum_v \mathrm{count}(v)^{p}`; a word that never occurs is never drawn.

    Raises:
        ValueError: no word has a positive count, or one has a negative count.
    """
    if (counts < 0).any() or not (counts > 0).any():
        raise ValueError(f"counts must be non-negative with at least one positive; got {counts.tolist()[:8]} …")
    weights = np.where(counts > 0, np.maximum(counts, 1).astype(float) ** power, 0.0)
    return weights / weights.sum()
