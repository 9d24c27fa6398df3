"""The masking noise of BERT, and what it makes of a word."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lmcore import MASK


@dataclass(frozen=True)
class MaskingNoise:
    """Each position is chosen with probability ``rate``, independently. A chosen word becomes MASK with probability ``mask``,
    a word drawn uniformly from the vocabulary (possibly the same word) with probability ``random``, and else stays.

    Source: Devlin et al. 2019, BERT, section 3.1 and appendix A.1 (there a fixed share of positions is chosen; here each
    position is chosen by its own coin, which is what makes the posterior a product over positions).

    Raises:
        ValueError: a probability outside [0, 1], or ``mask + random`` above 1.
    """

    rate: float = 0.15
    mask: float = 0.8
    random: float = 0.1

    def __post_init__(self) -> None:
        for name in ("rate", "mask", "random"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}={getattr(self, name)} is not a probability; give a number from 0 to 1")
        if self.mask + self.random > 1 + 1e-9:
            raise ValueError(f"mask + random = {self.mask + self.random} exceeds 1; what they leave is the share kept as it is")

    def corrupt(
        self, tokens: Sequence[str], rng: np.random.Generator, vocabulary: Sequence[str]
    ) -> tuple[list[str], list[int]]:
        """(the corrupted tokens, the positions that were chosen)."""
        if isinstance(tokens, str):
            tokens = tokens.split()
        chosen = np.flatnonzero(rng.random(len(tokens)) < self.rate).tolist()
        out = list(tokens)
        for position in chosen:
            u = rng.random()
            if u < self.mask:
                out[position] = MASK
            elif u < self.mask + self.random:
                out[position] = vocabulary[int(rng.integers(len(vocabulary)))]
        return out, chosen

    def likelihood(self, seen: int, size: int, *, chosen: bool = False) -> np.ndarray:
        """p(seen | w) for every word w of a vocabulary of ``size``, where ``seen`` is a word's number or −1 for MASK.

        p(seen | w, chosen) = mask [seen = MASK] + random / V + kept [seen = w], and without knowing whether the position was
        chosen, p(seen | w) = rate · p(seen | w, chosen) + (1 − rate) [seen = w].
        """
        if seen < 0:
            out = np.full(size, self.mask)
        else:
            out = np.full(size, self.random / size)
            out[seen] += max(0.0, 1 - self.mask - self.random)
        if not chosen:
            out *= self.rate
            if seen >= 0:
                out[seen] += 1 - self.rate
        return out
