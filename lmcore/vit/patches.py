"""From pictures to patches and back."""

from jaxtyping import Shaped
from torch import Tensor

from lmcore.batches import at_least


def patchify(images: Shaped[Tensor, "B c h w"], patch: int) -> Shaped[Tensor, "B N K"]:
    r"""Cut pictures into squares of P × P pixels, and lay each of them out as one row of :math:`K = P \cdot P \cdot c` numbers.

    The patches follow each other row by row from the top left, :math:`N = \frac{h}{P} \cdot \frac{w}{P}`. So do the pixels of a
    patch; the c numbers of a pixel stay together (Dosovitskiy et al. 2021, section 3.1). :func:`unpatchify` is the inverse.

    Args:
        images: pictures of c channels, h rows and w columns, of any type of number.
        patch: P, which divides h and w.

    Raises:
        ValueError: no pictures of this shape, or P does not divide their height and width.
    """
    at_least(1, patch=patch)
    if not isinstance(images, Tensor) or images.ndim != 4:
        given = f"shape {tuple(images.shape)}" if isinstance(images, Tensor) else f"a {type(images).__name__}"
        raise ValueError(
            f"images must be a tensor (B, c, h, w); got {given}. For grey pictures (B, h, w) write images[:, None]"
        )
    _, c, h, w = images.shape
    if not c or not h or not w or h % patch or w % patch:
        raise ValueError(
            f"{c} × {h} × {w} pictures cannot be cut into patches of {patch} × {patch}; use a patch that divides both sides"
        )
    cut = images.unflatten(3, (-1, patch)).unflatten(2, (-1, patch))  # B c rows P columns P
    return cut.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)


def unpatchify(patches: Shaped[Tensor, "B N K"], patch: int, height: int, width: int) -> Shaped[Tensor, "B c h w"]:
    """The pictures that :func:`patchify` made these patches of.

    Args:
        patches: N patches of P · P · c numbers each.
        patch: P.
        height, width: h and w of the pictures; P divides both. c is what is left.

    Raises:
        ValueError: the patches are not as many, or not as large, as these sizes say.
    """
    at_least(1, patch=patch, height=height, width=width)
    if not isinstance(patches, Tensor) or patches.ndim != 3:
        given = f"shape {tuple(patches.shape)}" if isinstance(patches, Tensor) else f"a {type(patches).__name__}"
        raise ValueError(f"patches must be a tensor (B, N, P · P · c); got {given}")
    if height % patch or width % patch:
        raise ValueError(
            f"a picture of {height} × {width} has no patches of {patch} × {patch}; use a patch that divides both sides"
        )
    rows, columns = height // patch, width // patch
    _, n, numbers = patches.shape
    if n != rows * columns or not numbers or numbers % patch**2:
        raise ValueError(
            f"patches has shape {tuple(patches.shape)}; a picture of {height} × {width} has {rows * columns} patches of "
            f"{patch} × {patch}, each with a multiple of {patch**2} numbers"
        )
    cut = patches.unflatten(2, (patch, patch, -1)).unflatten(1, (rows, columns))  # B rows columns P P c
    return cut.permute(0, 5, 1, 3, 2, 4).flatten(4).flatten(2, 3)
