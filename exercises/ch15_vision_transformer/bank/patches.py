"""Images as sequences of patches (Dosovitskiy et al. 2021, section 3.1): cut into squares, each laid out as one vector."""

import random

import torch

from exercises.grader.exercise import Exercise, hidden, normal, public
from lmcore.check.run import Case

READY = (
    "torch.nn.functional.unfold",
    "torch._C._nn.im2col",
    "torch.nn.functional.pixel_unshuffle",
    "torch.pixel_unshuffle",
    "torch.pixel_shuffle",
    "torch.nn.functional.fold",
    "torch._C._nn.col2im",
    "lmcore",
)


def patches(images, size):
    height, width = images.shape[2:]
    if height % size or width % size:
        raise ValueError("the patches do not fill the image")
    cut = images.unflatten(3, (-1, size)).unflatten(2, (-1, size))  # B, c, h / P, P, w / P, P
    return cut.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)


# Right, written differently


def square_by_square(images, size):
    if any(length % size for length in images.shape[-2:]):
        raise ValueError("no multiple")
    found = []
    for top in range(0, images.shape[2], size):
        for left in range(0, images.shape[3], size):
            square = images[:, :, top : top + size, left : left + size]
            found.append(square.movedim(1, 3).flatten(1))
    return torch.stack(found, dim=1)


def with_unfold_of_a_tensor(images, size):
    if images.shape[2] % size + images.shape[3] % size > 0:
        raise ValueError("size")
    windows = images.unfold(2, size, size).unfold(3, size, size)  # B c rows columns P P
    count = windows.shape[2] * windows.shape[3]
    return torch.einsum("bcrsij->brsijc", windows).reshape(len(images), count, -1)


def number_by_number(images, size):
    batch, channels, height, width = images.shape
    if height != size * (height // size) or width != size * (width // size):
        raise ValueError("not divisible")
    columns, numbers = width // size, size * size * channels
    result = images.new_zeros(batch, (height // size) * columns, numbers)
    for y in range(height):
        for x in range(width):
            patch = (y // size) * columns + x // size
            first = ((y % size) * size + x % size) * channels
            result[:, patch, first : first + channels] = images[:, :, y, x]
    return result


def with_indices(images, size):
    rows, columns = (torch.arange(n, device=images.device) for n in images.shape[2:])
    if len(rows) % size or len(columns) % size:
        raise ValueError("cannot be cut")
    y = rows.view(-1, 1, size, 1).expand(-1, len(columns) // size, -1, size)
    x = columns.view(1, -1, 1, size).expand(len(rows) // size, -1, size, -1)
    return images.permute(0, 2, 3, 1)[:, y.flatten(0, 1), x.flatten(0, 1)].flatten(2)


# Wrong: the docstring is the hint


def _cut(images, size):
    """text, channel, row of patches, row, column of patches, column"""
    if images.shape[2] % size or images.shape[3] % size:
        raise ValueError("the patches do not fill the image")
    batch, channels, height, width = images.shape
    return images.reshape(batch, channels, height // size, size, width // size, size)


def columns_of_patches_first(images, size):
    """The patches come column by column. They are read like a page: the upper row from left to right, then the next."""
    return _cut(images, size).permute(0, 4, 2, 3, 5, 1).flatten(3).flatten(1, 2)


def columns_of_pixels_first(images, size):
    """Inside a patch the pixels come column by column. They are read like a page too: the upper row from left to right, then
    the next."""
    return _cut(images, size).permute(0, 2, 4, 5, 3, 1).flatten(3).flatten(1, 2)


def all_columns_first(images, size):
    """Height and width have changed places, for the patches and for the pixels inside them: everything comes column by column.
    The axis 2 of an image counts its rows, the axis 3 its columns."""
    return _cut(images, size).permute(0, 4, 2, 5, 3, 1).flatten(3).flatten(1, 2)


def channels_first(images, size):
    """The vector of a patch holds one channel after the other. Here the numbers of a pixel stay together: the channels change
    fastest."""
    return _cut(images, size).permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)


def channels_between(images, size):
    """The channels stand between row and column: the vector of a patch has the order row, channel, column. The numbers of a
    pixel stay together: row, column, channel."""
    return _cut(images, size).permute(0, 2, 4, 3, 1, 5).flatten(3).flatten(1, 2)


def channels_backwards(images, size):
    """The channels of each pixel come in the opposite order. The first channel comes first."""
    return patches(images.flip(1), size)


def channels_as_patches(images, size):
    """Every channel was cut by itself, and there are as many times more patches as there are channels. A patch holds all
    numbers of its pixels."""
    return _cut(images, size).permute(0, 1, 2, 4, 3, 5).flatten(4).flatten(1, 3)


def only_reshaped(images, size):
    """The shape is right, but the numbers of a vector do not come from one square: a reshape cuts the image in the order in
    which the numbers lie in memory, row by row over the full width. Which axes have to move first?"""
    count = _cut(images, size).shape[2] * _cut(images, size).shape[4]
    return images.reshape(len(images), count, -1)


def channels_last_and_reshaped(images, size):
    """The channels were moved to the end, and then the image was cut into stripes: a reshape cuts row by row over the full
    width. The column of the patch has to come before the row of the pixel."""
    count = _cut(images, size).shape[2] * _cut(images, size).shape[4]
    return images.permute(0, 2, 3, 1).reshape(len(images), count, -1)


def every_nth_pixel(images, size):
    """The pixels of a patch lie far apart: one from each square. First comes the number of the patch, then the place inside it:
    in which order is an axis of length h cut into h / P and P?"""
    _cut(images, size)
    batch, channels, height, width = images.shape
    cut = images.reshape(batch, channels, size, height // size, size, width // size)
    return cut.permute(0, 3, 5, 2, 4, 1).flatten(3).flatten(1, 2)


def axes_exchanged(images, size):
    """The last two axes have changed places: the numbers of a patch lie in a column. Every patch is a row, as every word is."""
    return patches(images, size).mT.contiguous()


def grid_kept(images, size):
    """The patches still lie in rows and columns, as a grid. Asked for is one axis for them all, as for the words of a text."""
    return _cut(images, size).permute(0, 2, 4, 3, 5, 1).flatten(3)


def squares_kept(images, size):
    """The patches are still squares. Asked for is one vector of P · P · c numbers for each."""
    return _cut(images, size).permute(0, 2, 4, 3, 5, 1).flatten(1, 2)


def one_long_text(images, size):
    """The patches of all images follow each other in one row. Each image is a text of its own: B stays."""
    return patches(images, size).flatten(0, 1)


def from_below(images, size):
    """The lowest row of patches comes first. The first row of an image is the upper one."""
    cut = _cut(images, size).flip(2)
    return cut.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)


def back_and_forth(images, size):
    """Every second row of patches is read from right to left. They are read like a page, each row from the left."""
    grid = _cut(images, size).permute(0, 2, 4, 3, 5, 1).flatten(3)
    rows = [row.flip(1) if i % 2 else row for i, row in enumerate(grid.unbind(1))]
    return torch.cat(rows, 1)


def overlapping(images, size):
    """The patches overlap: the next one begins one pixel further on. It begins P pixels further on, so that every pixel is in
    one patch."""
    _cut(images, size)
    windows = images.unfold(2, size, 1).unfold(3, size, 1)
    return windows.permute(0, 2, 3, 4, 5, 1).flatten(3).flatten(1, 2)


def means(images, size):
    """You return the mean of each patch. Asked for are all its numbers."""
    return _cut(images, size).permute(0, 2, 4, 3, 5, 1).flatten(1, 2).float().mean((2, 3))


def as_many_as_size(images, size):
    """The image was cut into P rows and P columns. P is the number of pixels along the side of a patch."""
    _cut(images, size)
    height, width = images.shape[2] // size, images.shape[3] // size
    cut = images.unflatten(3, (size, width)).unflatten(2, (size, height))
    return cut.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)


def rest_left_out(images, size):
    """What is left at the lower or right edge was left out without a word. An image that patches do not fill is a
    ValueError."""
    height, width = (n - n % size for n in images.shape[2:])
    return patches(images[:, :, :height, :width], size)


def filled_with_zeros(images, size):
    """The image was filled up with zeros until patches fill it. That is a way, but not the one asked for: an image that patches
    do not fill is a ValueError."""
    down, right = (-n % size for n in images.shape[2:])
    return patches(torch.nn.functional.pad(images, (0, right, 0, down)), size)


def cases(rng: random.Random) -> list[Case]:
    by_hand = torch.arange(1, 13).view(1, 1, 2, 6)
    return [
        public("two rows and six columns", by_hand, 2),
        public("two images of three channels", torch.arange(144).view(2, 3, 4, 6), 2),
        public("an image that patches do not fill", torch.arange(20).view(1, 1, 4, 5), 2),
        hidden("a single patch", normal(rng, 2, 2, 3, 3), 3),
        hidden("pixels as patches", normal(rng, 1, 3, 2, 3), 1),
        hidden("too few rows", normal(rng, 1, 2, 5, 6), 3),
        hidden("upright", normal(rng, 3, 2, 9, 6), 3),
        hidden("bytes", torch.tensor([[rng.randrange(256) for _ in range(40)]], dtype=torch.uint8).view(1, 1, 4, 10), 2),
    ]


EXERCISE = Exercise(
    chapter="ch15_vision_transformer",
    minutes=20,
    difficulty=2,
    points=3,
    reference=patches,
    right=[square_by_square, with_unfold_of_a_tensor, number_by_number, with_indices],
    wrong=[
        columns_of_patches_first,
        columns_of_pixels_first,
        all_columns_first,
        channels_first,
        channels_between,
        channels_backwards,
        channels_as_patches,
        only_reshaped,
        channels_last_and_reshaped,
        every_nth_pixel,
        axes_exchanged,
        grid_kept,
        squares_kept,
        one_long_text,
        from_below,
        back_and_forth,
        overlapping,
        means,
        as_many_as_size,
        rest_left_out,
        filled_with_zeros,
    ],
    cases=cases,
    equivalent={"'the patches do not fill the image' → ''": "what the error says is for people"},
    ready=READY,
)
