"""Seeded streams of pictures, with a label or with a caption each."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from lmcore.batches import Batches, Ids, Padded, at_least, flat


class Pictures(Batches):
    """Pictures with their labels. Yields ``(images, labels)``, ``Float[Tensor, "B c h w"]`` and ``Int[Tensor, "B"]``.

    Args:
        images: N pictures, ``[N c h w]``, or ``[N h w]`` if they are grey.
        labels: the class of each.
        batch_size, shuffle, epochs, seed, device: as in :class:`lmcore.batches.Batches`.

    Raises:
        ValueError: no pictures, or not one label for each.
    """

    def __init__(self, images: Tensor | np.ndarray, labels: Ids, batch_size: int, **how):
        super().__init__(batch_size, **how)
        self.images = pictures(images).to(self.device)
        self.labels = torch.as_tensor(flat(labels, "labels"), device=self.device)
        _one_each("labels", len(self.labels), len(self.images))

    def rows(self, rng: np.random.Generator) -> np.ndarray:
        return rng.permutation(len(self.labels)) if self.shuffle else np.arange(len(self.labels))

    def batch(self, rows: np.ndarray) -> tuple[Float[Tensor, "B c h w"], Int[Tensor, " B"]]:
        at = torch.as_tensor(rows, device=self.device)
        return self.images[at], self.labels[at]


def moved(images: Float[Tensor, "B c h w"], most: int, paper: float | int = 0.0) -> Float[Tensor, "B c h w"]:
    """Every picture moved at random, down or up and across, by up to ``most`` pixels each.

    Copies that are moved tell a model what a convolution knows by design: that a thing is the same thing in another place.

    Args:
        images: the pictures.
        most: the most pixels; 0 leaves the pictures as they are.
        paper: what comes in where a picture has moved away.

    Raises:
        ValueError: no pictures of this shape, or ``most`` is negative or as large as a side.
    """
    at_least(0, most=most)
    if not isinstance(images, Tensor) or images.ndim != 4 or most >= min(images.shape[2:]):
        given = f"shape {tuple(images.shape)}" if isinstance(images, Tensor) else f"a {type(images).__name__}"
        raise ValueError(f"images must be a tensor (B, c, h, w) with sides above most={most}; got {given}")
    if not most:
        return images
    count, _, height, width = images.shape
    wide = F.pad(images, (most,) * 4, value=paper).permute(0, 2, 3, 1)
    down, across = torch.randint(2 * most + 1, (2, count, 1), device=images.device)
    rows = down + torch.arange(height, device=images.device)
    columns = across + torch.arange(width, device=images.device)
    which = torch.arange(count, device=images.device)[:, None, None]
    return wide[which, rows[:, :, None], columns[:, None]].permute(0, 3, 1, 2)


class CaptionBatch(NamedTuple):
    """Pictures, and their captions side by side. Where a caption has ended, ``targets`` holds -100, which carries no loss."""

    images: Float[Tensor, "B c h w"]
    inputs: Int[Tensor, "B T"]
    targets: Int[Tensor, "B T"]


class Captions(Padded):
    """Pictures with their captions: inputs ⟨start⟩ w₁ … w_n, targets w₁ … w_n ⟨end⟩. Yields :class:`CaptionBatch`.

    Args:
        images: as for :class:`Pictures`.
        texts: the ids of each caption, without start and end.
        batch_size: B, pictures per batch.
        pad, start, end: the ids of the special tokens.
        shuffle, epochs, seed, device: as in :class:`lmcore.batches.Batches`.

    Raises:
        ValueError: no pictures, or not one caption for each.
    """

    def __init__(self, images: Tensor | np.ndarray, texts: Sequence[Ids], batch_size: int, **how):
        super().__init__(texts, batch_size, **how)
        self.images = pictures(images).to(self.device)
        _one_each("texts", len(self.lengths), len(self.images))

    def batch(self, rows: np.ndarray) -> CaptionBatch:  # type: ignore[override]
        captions = super().batch(rows)
        images = self.images[torch.as_tensor(rows, device=self.device)]
        return CaptionBatch(images, captions.inputs, captions.targets)


def pictures(images: Tensor | np.ndarray) -> Float[Tensor, "N c h w"]:
    """Pictures as a tensor with an axis for channels, in 32-bit numbers unless they are floating-point numbers already.

    Raises:
        ValueError: they are no array of three or four axes.
    """
    given = torch.as_tensor(images) if isinstance(images, Tensor | np.ndarray) else None
    if given is None or given.ndim not in (3, 4) or not given.numel():
        shape = f"shape {tuple(given.shape)}" if given is not None else f"a {type(images).__name__}"
        raise ValueError(f"images must be an array (N, h, w) or (N, c, h, w) with at least one picture; got {shape}")
    given = given if isinstance(images, Tensor) and given.is_floating_point() else given.float()
    return given[:, None] if given.ndim == 3 else given


def _one_each(name: str, have: int, want: int) -> None:
    if have != want:
        raise ValueError(f"{name} has {have} entries for {want} pictures; every picture needs one")
