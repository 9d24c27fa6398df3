"""Positions: how a model that treats its inputs as a set gets to know their order.

Attention gives the same answer in whatever order keys and values come. So the order has to be put into the vectors themselves:
by adding a vector that depends on the position, fixed (:func:`sinusoidal`, Vaswani et al. 2017) or learned (:class:`Learned`),
or by turning queries and keys by an angle that depends on it (:class:`Rotary`, Su et al. 2021). A module here is called with
vectors and the position of the first of them, the *offset*, which is above 0 when a cache holds what came before.
"""

import math

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from lmcore.batches import at_least

LAYOUTS = ("halves", "pairs")


def frequencies(dim: int, base: float | int = 10_000.0) -> Float[Tensor, " F"]:
    r"""The angles per step, :math:`\omega_i = L^{-2i/C}` for i = 0 … C/2 − 1, in radians: from 1 down to nearly 1/L.

    Args:
        dim: C, even: every angle has a sine and a cosine.
        base: L. The slowest pair needs nearly :math:`2 \pi L` positions for one turn.

    Raises:
        ValueError: ``dim`` is odd or not positive, or ``base`` is not a finite number above 0.
    """
    at_least(2, dim=dim)
    if dim % 2:
        raise ValueError(f"dim={dim} is odd; positions come in pairs of a sine and a cosine, use an even number")
    if isinstance(base, bool) or not isinstance(base, int | float) or not 0 < base < math.inf:
        raise ValueError(f"base={base!r} is not allowed; use a finite number above 0, such as 10000")
    return base ** (-torch.arange(0, dim, 2, dtype=torch.float64) / dim)


def sinusoidal(length: int, dim: int, base: float | int = 10_000.0, offset: int = 0) -> Float[Tensor, "T C"]:
    r"""Row n − offset holds the vector of position n (Vaswani et al. 2017, section 3.5):

    .. math:: r_{n, 2i} = \sin(n / L^{2i/C}), \qquad r_{n, 2i+1} = \cos(n / L^{2i/C}) .

    Every pair of numbers is the hand of a clock, and the clocks go at different speeds.

    Args:
        length: T, how many positions.
        dim: C, even.
        base: L.
        offset: the first position.

    Raises:
        ValueError: a number is out of range.
    """
    at_least(0, length=length, offset=offset)
    return _sines_and_cosines(offset, offset + length, dim, base).flatten(1).to(torch.get_default_dtype())


def _sines_and_cosines(first: int, end: int, dim: int, base: float) -> Float[Tensor, "T F 2"]:
    angles = torch.outer(torch.arange(first, end, dtype=torch.float64), frequencies(dim, base))
    return torch.stack([angles.sin(), angles.cos()], dim=-1)


def shift_matrix(k: float | int, dim: int, base: float | int = 10_000.0) -> Float[Tensor, "C C"]:
    r"""The matrix :math:`M_k` with :math:`r_{n+k} = M_k r_n` for every n: one rotation by :math:`k \omega_i` for each pair.

    .. math:: \begin{pmatrix} \sin (n+k)\omega \\ \cos (n+k)\omega \end{pmatrix} =
              \begin{pmatrix} \cos k\omega & \sin k\omega \\ -\sin k\omega & \cos k\omega \end{pmatrix}
              \begin{pmatrix} \sin n\omega \\ \cos n\omega \end{pmatrix}

    It depends on the distance k alone, is orthogonal, and :math:`M_j M_k = M_{j+k}`.

    Raises:
        ValueError: as :func:`frequencies`, or k is not a finite number.
    """
    if isinstance(k, bool) or not isinstance(k, int | float) or not math.isfinite(k):
        raise ValueError(f"k={k!r} is not allowed; use a finite number, the distance in positions")
    angles = k * frequencies(dim, base)
    blocks = [torch.stack([torch.stack([a.cos(), a.sin()]), torch.stack([-a.sin(), a.cos()])]) for a in angles]
    return torch.block_diag(*blocks).to(torch.get_default_dtype())


class _Table(nn.Module):
    """Keeps sines and cosines from call to call, in the number format of the last; no parameter and no part of the state."""

    def __init__(self, dim: int, base: float | int):
        super().__init__()
        frequencies(dim, base)
        self.dim, self.base = dim, float(base)
        self._kept = torch.empty(0, dim // 2, 2)

    def _rows(self, first: int, end: int, like: Tensor) -> Float[Tensor, "T F 2"]:
        at_least(0, offset=first)
        if end > len(self._kept) or self._kept.dtype != like.dtype or self._kept.device != like.device:
            self._kept = _sines_and_cosines(0, max(end, 2 * len(self._kept)), self.dim, self.base).to(like)
        return self._kept[first:end]

    def extra_repr(self) -> str:
        return f"{self.dim}, base={self.base:g}"


class Sinusoidal(_Table):
    """Adds :func:`sinusoidal` positions. Nothing is learned, and no length is too long.

    Args:
        dim: C, even.
        base: L.
    """

    def __init__(self, dim: int, base: float | int = 10_000.0):
        super().__init__(dim, base)

    def forward(self, x: Float[Tensor, "B T C"], offset: int = 0) -> Float[Tensor, "B T C"]:
        """x with the vector of its position added to each row; the first row is at position ``offset``.

        Raises:
            ValueError: the vectors are not ``dim`` wide, or the offset is negative.
        """
        _check_width(x, self.dim)
        return x + self._rows(offset, offset + x.shape[1], x).flatten(1)


class Learned(nn.Module):
    """Adds a learned vector for every position; ``weight`` is (max_length, C), as in an embedding (Gehring et al. 2017; BERT).

    Args:
        max_length: how many positions have a vector. Beyond that there is none.
        dim: C.
    """

    def __init__(self, max_length: int, dim: int):
        super().__init__()
        at_least(1, max_length=max_length, dim=dim)
        self.weight = nn.Parameter(torch.empty(max_length, dim))
        nn.init.normal_(self.weight, std=0.02)

    def forward(self, x: Float[Tensor, "B T C"], offset: int = 0) -> Float[Tensor, "B T C"]:
        """x with the vector of its position added to each row; the first row is at position ``offset``.

        Raises:
            ValueError: the vectors have another width, or a position has no vector.
        """
        _check_width(x, self.weight.shape[1])
        at_least(0, offset=offset)
        if offset + x.shape[1] > len(self.weight):
            raise ValueError(
                f"positions {offset} to {offset + x.shape[1] - 1} were asked for, and only 0 to {len(self.weight) - 1} were "
                "learned; give shorter texts, or make the model with a larger max_length"
            )
        return x + self.weight[offset : offset + x.shape[1]]

    def extra_repr(self) -> str:
        return "{}, {}".format(*self.weight.shape)


def rotate(
    x: Float[Tensor, "*batch T D"],
    positions: Shaped[Tensor, "*where T"],
    base: float | int = 10_000.0,
    layout: str = "halves",
) -> Float[Tensor, "*batch T D"]:
    r"""Turn every pair of numbers of x by the angle :math:`n \omega_i`, with n the position and i the pair.

    .. math:: \begin{pmatrix} a' \\ b' \end{pmatrix} =
              \begin{pmatrix} \cos n\omega_i & -\sin n\omega_i \\ \sin n\omega_i & \cos n\omega_i \end{pmatrix}
              \begin{pmatrix} a \\ b \end{pmatrix}

    For queries and keys that are turned so, :math:`q_m' \cdot k_n'` depends on the positions through m − n alone, since the
    rotations by m and by n make one by m − n (Su et al. 2021, section 3.2).

    Args:
        x: queries or keys, D even.
        positions: n of each row; a shape that broadcasts to that of x without its last axis.
        base: L of the angles :math:`\omega_i = L^{-2i/D}`.
        layout: which two numbers are pair i. ``"pairs"``: 2i and 2i + 1, as in the paper. ``"halves"``: i and i + D/2, as in
            GPT-NeoX and in Hugging Face's Llama. The two differ by the order of the columns of the projections.

    Raises:
        ValueError: the layout is unknown, D is odd, or the positions do not fit.
    """
    _check_layout(layout)
    if not isinstance(positions, Tensor) or positions.ndim < 1 or positions.shape[-1] not in (1, x.shape[-2]):
        given = tuple(positions.shape) if isinstance(positions, Tensor) else f"a {type(positions).__name__}"
        raise ValueError(f"positions must be a tensor with one position for each of the {x.shape[-2]} rows of x; got {given}")
    angles = positions[..., None].double() * frequencies(x.shape[-1], base).to(x.device)
    return _turned(x, angles.cos().to(x.dtype), angles.sin().to(x.dtype), layout)


def _turned(x: Tensor, cos: Tensor, sin: Tensor, layout: str) -> Tensor:
    if layout == "halves":
        a, b = x.chunk(2, dim=-1)
        return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack([a * cos - b * sin, a * sin + b * cos], dim=-1).flatten(-2)


class Rotary(_Table):
    """:func:`rotate` for the queries and keys of one head width, with the sines and cosines kept from call to call.

    Nothing is learned. :class:`lmcore.attention.MultiHeadAttention` takes it as ``positions``.

    Args:
        head_dim: D, the width of a head, even.
        base: L.
        layout: ``"halves"`` or ``"pairs"``.
    """

    def __init__(self, head_dim: int, base: float | int = 10_000.0, layout: str = "halves"):
        super().__init__(head_dim, base)
        _check_layout(layout)
        self.layout = layout

    def forward(self, x: Float[Tensor, "*batch T D"], offset: int = 0) -> Float[Tensor, "*batch T D"]:
        """x, turned; its first row along T is at position ``offset``.

        Raises:
            ValueError: the vectors are not ``head_dim`` wide, or the offset is negative.
        """
        if x.shape[-1] != self.dim:
            raise ValueError(f"x is {x.shape[-1]} wide; these rotary positions were made for heads of width {self.dim}")
        sin, cos = self._rows(offset, offset + x.shape[-2], x).unbind(-1)
        return _turned(x, cos, sin, self.layout)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, layout={self.layout!r}"


def _check_layout(layout: object) -> None:
    if layout not in LAYOUTS:
        raise ValueError(f"layout={layout!r} is unknown; use one of {', '.join(LAYOUTS)}")


def _check_width(x: object, width: int) -> None:
    if not isinstance(x, Tensor) or not x.is_floating_point() or x.ndim != 3 or x.shape[-1] != width:
        given = f"shape {tuple(x.shape)} of {x.dtype}" if isinstance(x, Tensor) else f"a {type(x).__name__}"
        raise ValueError(f"x must be a floating-point tensor of shape (B, T, {width}); got {given}")
