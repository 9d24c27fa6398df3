"""From patches back to images: the inverse of cutting, as it is needed to look at patches and at what belongs to them."""

import random

import torch

from exercises.ch15_vision_transformer.bank.patches import READY
from exercises.grader.exercise import Exercise, hidden, normal, public
from lmcore.check.run import Case


def unpatches(vectors, size, height, width):
    squares = vectors.unflatten(2, (size, size, -1))
    grid = squares.unflatten(1, (height // size, width // size))  # B, h / P, w / P, P, P, c
    return grid.permute(0, 5, 1, 3, 2, 4).flatten(4).flatten(2, 3)


# Right, written differently


def square_by_square(vectors, size, height, width):
    channels = vectors.shape[2] // size**2
    images = vectors.new_zeros(len(vectors), channels, height, width)
    corners = [(top, left) for top in range(0, height, size) for left in range(0, width, size)]
    for patch, (top, left) in zip(vectors.unbind(1), corners, strict=True):
        square = patch.reshape(-1, size, size, channels)
        images[:, :, top : top + size, left : left + size] = square.movedim(3, 1)
    return images


def row_by_row(vectors, size, height, width):
    """Patches are joined to stripes, and stripes to an image."""
    squares = [patch.view(len(patch), size, size, -1) for patch in vectors.contiguous().unbind(dim=1)]
    across = width // size
    stripes = [torch.cat(squares[i : i + across], dim=2) for i in range(0, len(squares), across)]
    return torch.cat(stripes, dim=1).permute(0, 3, 1, 2)


def pixel_by_pixel(vectors, size, height, width):
    numbers = torch.arange(height * width, device=vectors.device)
    y, x = numbers // width, numbers % width
    patch, place = y // size * (width // size) + x // size, y % size * size + x % size
    pixels = vectors.reshape(vectors.shape[0], vectors.shape[1], size * size, -1)[:, patch, place]
    return pixels.mT.reshape(len(vectors), -1, height, width)


def with_einsum(vectors, size, height, width):
    cut = vectors.reshape(len(vectors), height // size, width // size, size, size, vectors.shape[2] // (size * size))
    return torch.einsum("brsijc->bcrisj", cut).reshape(len(vectors), -1, height, width)


# Wrong: the docstring is the hint


def _grid(vectors, size, height, width):
    """text, row of patches, column of patches, row, column, channel"""
    return vectors.reshape(len(vectors), height // size, width // size, size, size, -1)


def _shaped(moved, height, width):
    return moved.reshape(len(moved), -1, height, width)


def columns_of_patches_first(vectors, size, height, width):
    """The patches were laid down column by column. They come like the words of a page: the upper row from left to right, then
    the next."""
    grid = vectors.reshape(len(vectors), width // size, height // size, size, size, -1)
    return _shaped(grid.permute(0, 5, 2, 3, 1, 4), height, width)


def columns_of_pixels_first(vectors, size, height, width):
    """Every patch is turned over: its rows became columns. The numbers of a patch come row by row."""
    return _shaped(_grid(vectors, size, height, width).permute(0, 5, 1, 4, 2, 3), height, width)


def all_columns_first(vectors, size, height, width):
    """Height and width have changed places, for the patches and for the pixels inside them: everything was laid down column by
    column."""
    grid = vectors.reshape(len(vectors), width // size, height // size, size, size, -1)
    return _shaped(grid.permute(0, 5, 2, 4, 1, 3), height, width)


def channels_first(vectors, size, height, width):
    """The vector of a patch was read one channel after the other. The numbers of a pixel stand together in it: the channels
    change fastest."""
    grid = vectors.reshape(len(vectors), height // size, width // size, -1, size, size)
    return _shaped(grid.permute(0, 3, 1, 4, 2, 5), height, width)


def channels_between(vectors, size, height, width):
    """The vector of a patch was read as row, channel, column. Its order is row, column, channel."""
    grid = vectors.reshape(len(vectors), height // size, width // size, size, -1, size)
    return _shaped(grid.permute(0, 4, 1, 3, 2, 5), height, width)


def channels_backwards(vectors, size, height, width):
    """The channels come in the opposite order. The first number of a pixel belongs to the first channel."""
    return unpatches(vectors, size, height, width).flip(1)


def channels_last(vectors, size, height, width):
    """The channels are the last axis. That is how a program that shows images wants them; here they come second, (B, c, h,
    w)."""
    return unpatches(vectors, size, height, width).movedim(1, 3).contiguous()


def only_reshaped(vectors, size, height, width):
    """The shape is right, and the picture is not: a reshape lays all numbers down in the order in which they lie in memory.
    Which axes have to move first?"""
    return _shaped(vectors, height, width)


def stripes_not_joined(vectors, size, height, width):
    """The pixels of a patch lie in one long row instead of in a square: row of the patch, column of the patch, row of the
    pixel, column of the pixel was the order of the axes. A row of the image goes through all the patches of a row: what has to
    change places?"""
    return _shaped(_grid(vectors, size, height, width).permute(0, 5, 1, 2, 3, 4), height, width)


def patches_as_pixels(vectors, size, height, width):
    """The pixels of a patch were laid far apart, one in each square. The row of an image is P times the row of the patch, plus
    the row of the pixel in it."""
    return _shaped(_grid(vectors, size, height, width).permute(0, 5, 3, 1, 4, 2), height, width)


def height_and_width_exchanged(vectors, size, height, width):
    """The image is as high as it should be wide. The height counts the rows, and comes before the width."""
    return unpatches(vectors, size, width, height)


def turned_over(vectors, size, height, width):
    """The image is turned over at its diagonal: rows became columns. The axis 2 counts the rows, the axis 3 the columns."""
    return unpatches(vectors, size, height, width).mT.contiguous()


def from_below(vectors, size, height, width):
    """The first row of patches was laid at the bottom. It is the upper one."""
    grid = _grid(vectors, size, height, width).flip(1)
    return _shaped(grid.permute(0, 5, 1, 3, 2, 4), height, width)


def back_and_forth(vectors, size, height, width):
    """Every second row of patches was laid down from right to left. Each row begins at the left."""
    grid = _grid(vectors, size, height, width)
    grid = torch.stack([row.flip(1) if i % 2 else row for i, row in enumerate(grid.unbind(1))], 1)
    return _shaped(grid.permute(0, 5, 1, 3, 2, 4), height, width)


def grid_kept(vectors, size, height, width):
    """The patches are squares again, but each is still by itself: the shape has six axes. Join the rows, and the columns."""
    return _grid(vectors, size, height, width).permute(0, 5, 1, 3, 2, 4).contiguous()


def one_channel(vectors, size, height, width):
    """Only the first channel is there. A vector has P · P · c numbers: what is c?"""
    return unpatches(vectors, size, height, width)[:, :1].contiguous()


def channels_averaged(vectors, size, height, width):
    """The channels were averaged into one. The image keeps all c of them, on its second axis: how many are there in vectors of
    12 numbers with P = 2?"""
    return unpatches(vectors, size, height, width).float().mean(1, keepdim=True).to(vectors.dtype)


def always_single_precision(vectors, size, height, width):
    """The numbers stand in the right places, but they have become float32, which a new tensor is if nothing else is said. An
    image has the number format of its vectors: whole numbers stay whole, and double precision stays double."""
    return unpatches(vectors, size, height, width).float()


def first_image_only(vectors, size, height, width):
    """Only the first image is there. B stays."""
    return unpatches(vectors[:1], size, height, width)


def square_image(vectors, size, height, width):
    """The patches were laid out as a square: the side was taken from the root of their number. Height and width are given, and
    may differ."""
    side = max(1, round(vectors.shape[1] ** 0.5))
    while vectors.shape[1] % side:
        side -= 1
    return unpatches(vectors, size, side * size, vectors.shape[1] // side * size)


def cases(rng: random.Random) -> list[Case]:
    by_hand = torch.tensor([[[1, 2, 7, 8], [3, 4, 9, 10], [5, 6, 11, 12]]])
    return [
        public("three patches in a row", by_hand, 2, 2, 6),
        public("two images of three channels", torch.arange(288).view(2, 12, 12), 2, 4, 12),
        public("two rows of two", torch.arange(32).view(1, 4, 8), 2, 4, 4),
        hidden("a single patch", normal(rng, 2, 1, 18), 3, 3, 3),
        hidden("pixels as patches", normal(rng, 1, 6, 3), 1, 2, 3),
        hidden("upright", normal(rng, 3, 6, 18), 3, 9, 6),
        hidden("one column", normal(rng, 1, 5, 8), 2, 10, 2),
        hidden("bytes", torch.tensor([[rng.randrange(256) for _ in range(40)]], dtype=torch.uint8).view(1, 10, 4), 2, 4, 10),
    ]


EXERCISE = Exercise(
    chapter="ch15_vision_transformer",
    minutes=20,
    difficulty=2,
    points=3,
    reference=unpatches,
    right=[square_by_square, row_by_row, pixel_by_pixel, with_einsum],
    wrong=[
        columns_of_patches_first,
        columns_of_pixels_first,
        all_columns_first,
        channels_first,
        channels_between,
        channels_backwards,
        channels_last,
        only_reshaped,
        stripes_not_joined,
        patches_as_pixels,
        height_and_width_exchanged,
        turned_over,
        from_below,
        back_and_forth,
        grid_kept,
        one_channel,
        channels_averaged,
        always_single_precision,
        first_image_only,
        square_image,
    ],
    cases=cases,
    ready=READY,
)
