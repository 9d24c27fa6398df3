"""Sentences with their translations, side by side in padded batches."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from lmcore.batches import IGNORE, Batches, Ids, at_least, documents


class PairBatch(NamedTuple):
    """Source texts, and their translations for teacher forcing: what the decoder reads, and what it should say.

    Where a text has ended, ``sources`` and ``inputs`` hold the padding id, and ``targets`` :data:`lmcore.batches.IGNORE`.
    """

    sources: Int[Tensor, "B S"]
    lengths: Int[Tensor, " B"]  # of the sources
    inputs: Int[Tensor, "B T"]  # ⟨start⟩ w₁ … w_n
    targets: Int[Tensor, "B T"]  # w₁ … w_n ⟨end⟩

    @property
    def mask(self) -> Bool[Tensor, "B T"]:
        """True where there is a target."""
        return self.targets != IGNORE


class Pairs(Batches):
    """Pairs of a source and a target text; the decoder's inputs are the targets shifted by one.

    Padding costs time. With ``pool`` above 1, enough pairs for that many batches are drawn at random, sorted by length and cut
    into batches, which are dealt in random order: the pairs of a batch are then about equally long.

    Yields :class:`PairBatch`.

    Args:
        pairs: (source, target), the ids of each without special tokens. A source may not be empty.
        batch_size: B, pairs per batch.
        pad, start, end: the ids of the special tokens, for both sides.
        pool: how many batches are sorted together; 1 does not sort. Without ``shuffle`` nothing is sorted.
        shuffle, epochs, seed, device: as in :class:`lmcore.batches.Batches`.

    Raises:
        ValueError: there is no pair, something is no pair of texts, a source is empty, or a number is out of range.
    """

    def __init__(
        self, pairs: Sequence[tuple[Ids, Ids]], batch_size: int, *, pad: int, start: int, end: int, pool: int = 1, **how
    ):
        super().__init__(batch_size, **how)
        at_least(0, pad=pad, start=start, end=end)
        at_least(1, pool=pool)
        for number, pair in enumerate(pairs):
            if isinstance(pair, str) or len(pair) != 2:
                raise ValueError(f"pair {number} is {pair!r}; every pair is (source ids, target ids)")
        self.pool, self.pad = pool, pad
        sources = documents([source for source, _ in pairs])
        targets = [np.concatenate([[start], body, [end]]) for body in documents([target for _, target in pairs])]
        if empty := [number for number, source in enumerate(sources) if not len(source)]:
            raise ValueError(f"the source of pair {empty[0]} is empty; leave such pairs out")
        self.sources, self.targets = Ragged(sources, self.device), Ragged(targets, self.device)

    def rows(self, rng: np.random.Generator) -> np.ndarray:
        sizes = self.targets.lengths
        if not self.shuffle:
            return np.arange(len(sizes))
        order = rng.permutation(len(sizes))
        if self.pool == 1:
            return order
        together = self.pool * self.batch_size
        pools = [order[i : i + together] for i in range(0, len(order), together)]
        order = np.concatenate([pool[np.lexsort((self.sources.lengths[pool], sizes[pool]))] for pool in pools])
        full = len(order) // self.batch_size  # a batch that is not full stays the last
        dealt = order[: full * self.batch_size].reshape(full, self.batch_size)[rng.permutation(full)]
        return np.concatenate([dealt.ravel(), order[full * self.batch_size :]])

    def batch(self, rows: np.ndarray) -> PairBatch:
        sources, lengths = self.sources.padded(rows, self.pad)
        targets, _ = self.targets.padded(rows, IGNORE)
        inputs = self.targets.padded(rows, self.pad, but_last=True)[0]
        return PairBatch(sources, lengths, inputs, targets[:, 1:])


class Ragged:
    """Texts of different lengths, one after the other in one tensor; some of them are cut out as a padded matrix."""

    def __init__(self, texts: Sequence[np.ndarray], device: torch.device):
        self.device = device
        self.lengths = np.array([len(text) for text in texts])
        self.starts = np.cumsum(self.lengths) - self.lengths
        self.ids = torch.as_tensor(np.concatenate(texts).astype(np.int64), device=device)

    def padded(self, rows: np.ndarray, fill: int, *, but_last: bool = False) -> tuple[Int[Tensor, "B T"], Int[Tensor, " B"]]:
        """The texts of these rows (each without its last token, if so asked), filled up with ``fill``; and their lengths."""
        sizes = self.lengths[rows] - but_last
        lengths = torch.as_tensor(sizes, device=self.device)
        steps = torch.arange(int(sizes.max()), device=self.device)
        inside = steps < lengths[:, None]
        at = torch.where(inside, torch.as_tensor(self.starts[rows], device=self.device)[:, None] + steps, 0)
        return torch.where(inside, self.ids[at], fill), lengths


def reversed_within(x: Tensor, lengths: Int[Tensor, " B"]) -> Tensor:
    """Every row's first ``length`` entries in opposite order; what lies beyond stays where it is. Twice is not at all.

    Args:
        x: (B, S) or (B, S, …).
        lengths: how many entries of each row are turned round.
    """
    place = torch.arange(x.shape[1], device=x.device).expand(x.shape[:2])
    opposite = torch.where(place < lengths[:, None], lengths[:, None] - 1 - place, place)
    return x.gather(1, opposite.reshape(*opposite.shape, *[1] * (x.ndim - 2)).expand_as(x))
