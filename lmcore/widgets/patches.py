"""What the two figures of patches share in Python: greyscale images cut into squares, and weights over them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from lmcore.evaluate import shown
from lmcore.widgets.base import in_range, packed
from lmcore.widgets.weights import as_numbers, as_weights

PIXELS = 300_000  # of all images together, a byte each
WEIGHTS = 250_000  # two bytes each: half a megabyte of page before compression
LEVELS = 65_535  # a weight is kept as a whole number of so many parts


def as_images(images: Any, patch: int) -> tuple[bytes, int, tuple[int, int], tuple[int, int]]:
    """The images as bytes; how many there are; their height and width; how many patches down and across.

    Byte 0 is the least value of all images, 255 the largest.

    Args:
        images: n × h × w numbers, or n × 1 × h × w.
        patch: the side of a patch; it divides both h and w.

    Raises:
        ValueError: numbers that are no images, too many pixels, or a patch that does not divide them.
    """
    channel = (1,) if len(getattr(images, "shape", ())) == 4 else ()
    found = as_numbers("images", images, (None, *channel, None, None))
    found = found.reshape(len(found), *found.shape[-2:])
    count, height, width = found.shape
    in_range("the number of pixels", found.size, 1, PIXELS)
    if isinstance(patch, bool) or not isinstance(patch, int) or patch < 1 or height % patch or width % patch:
        raise ValueError(f"patch is {shown(patch)}; allowed: a whole number that divides the height {height} and width {width}")
    low, high = found.min(), found.max()
    levels = np.rint(255 * (found - low) / (high - low)) if high > low else np.zeros_like(found)
    return packed(levels, "u1"), count, (height, width), (height // patch, width // patch)


def as_layers(
    name: str, given: Any, count: int, queries: Sequence[int], keys: Sequence[int]
) -> tuple[list[np.ndarray], tuple[int, int]]:
    """The weights of every image, each layers × heads × queries × keys, and how many layers and heads.

    Args:
        given: one entry per image.
        count: how many images.
        queries: how many queries each image has.
        keys: how many keys there may be; the first image decides for all.

    Raises:
        ValueError: another number of entries, shapes that do not fit, numbers that are no weights, or too many.
    """
    if not hasattr(given, "__len__") or len(given) != count:
        number = len(given) if hasattr(given, "__len__") else shown(given)
        raise ValueError(f"{count} images, but {name} of {number}; every image needs its own")
    found: list[np.ndarray] = []
    for number, (part, length) in enumerate(zip(given, queries, strict=True)):
        same = found[0].shape[:2] if found else (None, None)
        numbers = as_numbers(f"{name} of image {number}", part, (*same, length, None))
        wide = found[0].shape[-1] if found else (numbers.shape[-1] if numbers.shape[-1] in keys else keys[0])
        found.append(as_weights(f"{name} of image {number}", numbers, (*same, length, wide)))
    in_range("the number of weights", sum(part.size for part in found), 1, WEIGHTS)
    return found, (found[0].shape[0], found[0].shape[1])


def packed_weights(found: Sequence[np.ndarray]) -> bytes:
    """Weights as whole numbers of 65,535 parts, one image after the other."""
    return packed(np.rint(np.concatenate([part.ravel() for part in found]).clip(0, 1) * LEVELS), "<u2")


def as_list(values: Any) -> Any:
    """A tensor of whole numbers as a list; anything else as it is."""
    return values.tolist() if isinstance(values, Tensor | np.ndarray) else values
