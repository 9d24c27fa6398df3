"""What the figures of attention share in Python: numbers and weights from outside, checked once."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from lmcore.evaluate import Text, as_tokens, shown

SUM = 1e-3  # how far a row of weights may be from a sum of 1: half precision is that coarse


def as_numbers(name: str, values: Any, shape: Sequence[int | None]) -> np.ndarray:
    """``values`` as float64 of this shape; ``None`` stands for any length of at least 1.

    Raises:
        ValueError: something else than finite numbers, or another shape.
    """
    try:
        found = np.asarray(values.detach().to("cpu").double() if isinstance(values, Tensor) else values, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(
            f"{name} must be numbers, as a tensor, an array or lists of equal length; got {shown(values)}"
        ) from None
    fits = found.ndim == len(shape) and all(n == s if s is not None else n > 0 for n, s in zip(found.shape, shape, strict=True))
    if not fits:
        wanted = ", ".join("any" if s is None else str(s) for s in shape)
        raise ValueError(f"{name} has shape {found.shape}; allowed: ({wanted})")
    if not np.isfinite(found).all():
        raise ValueError(f"{name} holds {float(found[~np.isfinite(found)][0])}; allowed: finite numbers")
    return found


def as_weights(name: str, values: Any, shape: Sequence[int | None]) -> np.ndarray:
    """Attention weights: :func:`as_numbers`, none negative, every row summing to 1.

    Raises:
        ValueError: numbers that are no weights.
    """
    found = as_numbers(name, values, shape)
    if found.min() < 0:
        raise ValueError(f"{name} holds {found.min():.4g}; attention weights are never negative")
    sums = found.sum(-1)
    worst = np.unravel_index(np.abs(sums - 1).argmax(), sums.shape)
    if abs(sums[worst] - 1) > SUM:
        place = ", ".join(map(str, worst))
        raise ValueError(f"row ({place}) of {name} sums to {sums[worst]:.4g}; the weights of one query sum to 1")
    return found


def as_words(name: str, text: Text, most: int) -> list[str]:
    """The tokens of a text, at least one and at most ``most``.

    Raises:
        ValueError: no text, or one of another length.
    """
    found = as_tokens(text)
    if not 1 <= len(found) <= most:
        raise ValueError(f"{name} has {len(found)} tokens; allowed: 1 to {most}")
    return found
