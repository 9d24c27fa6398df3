"""The position viewer: how a position becomes a vector, and what two such vectors have to do with each other."""

import math
from typing import Any

import numpy as np
import torch
import traitlets as t
from jaxtyping import Float
from torch import Tensor

from lmcore.positions import frequencies
from lmcore.widgets.base import Figure, in_range, one_of, packed

KINDS = ("sinusoidal", "rotary", "learned")
BASES = (2.0, 1e6)  # the smallest and the largest base L of the slider


class PositionViewer(Figure, module="position_viewer.mjs"):
    r"""Position viewer: the matrix of positions, the similarity of two of them against their distance, a pair as a clock.

    Numbers :math:`2i` and :math:`2i + 1` of a position vector belong together: they are a hand of length 1 that turns by
    :math:`\omega_i = L^{-2i/C}` from one position to the next. The figure shows three kinds:

    - ``"sinusoidal"``, added to the embeddings: :math:`r_{n,2i} = \sin(n\,\omega_i)`, :math:`r_{n,2i+1} = \cos(n\,\omega_i)`
      (Vaswani et al. 2017, section 3.5), so that :math:`r_m \cdot r_n = \sum_i \cos((m - n)\,\omega_i)`;
    - ``"rotary"``, by which a query and a key are turned: :math:`(R_m q) \cdot (R_n k) = q \cdot (R_{n-m} k)` (Su et al. 2021,
      pairs of neighbouring numbers). The query and the key are two fixed draws of standard normal numbers;
    - ``"learned"``, if a table is given: one trained row per position. Nothing makes its products depend on the distance alone.

    The page computes the first two for any base L. ``kind``, ``base``, ``position`` (m), ``other`` (n) and ``pair`` (i) can be
    set and read from Python.

    Args:
        length: so many positions, from 0.
        dim: C, the width of a position vector; even.
        base: L, with which the figure begins.
        learned: a trained table of at least ``length`` rows, ``dim`` wide, such as ``model.position.weight``.
        seed: of the query and the key.

    Raises:
        ValueError: a number outside what is allowed, an odd width, or a table of another shape.
    """

    length = t.Int().tag(sync=True)
    dim = t.Int().tag(sync=True)
    query = t.Bytes().tag(sync=True)  # float64, C
    key = t.Bytes().tag(sync=True)  # float64, C
    table = t.Bytes().tag(sync=True)  # float64, length × C; empty without a learned table
    kinds = t.List(t.Unicode()).tag(sync=True)

    kind = t.Unicode("sinusoidal").tag(sync=True)
    base = t.Float(10_000.0).tag(sync=True)
    position = t.Int(0).tag(sync=True)
    other = t.Int(0).tag(sync=True)
    pair = t.Int(0).tag(sync=True)

    def __init__(
        self,
        length: int = 50,
        dim: int = 32,
        base: float = 10_000.0,
        learned: Tensor | None = None,
        *,
        seed: int = 1,
        **kwargs: Any,
    ) -> None:
        in_range("length", length, 2, 128)
        in_range("dim", dim, 2, 64)
        if dim % 2:
            raise ValueError(f"dim is {dim}; it must be even: two numbers make one hand of a clock")
        source = torch.Generator().manual_seed(seed)
        query, key = torch.randn(2, dim, generator=source, dtype=torch.float64)
        kinds = list(KINDS[:2])
        rows = np.empty(0)
        if learned is not None:
            rows = _table(learned, length, dim)
            kinds.append("learned")
        start = {"position": length // 5, "other": min(length // 5 + 5, length - 1), "pair": min(2, dim // 2 - 1)}
        super().__init__(
            length=length,
            dim=dim,
            query=packed(query, "<f8"),
            key=packed(key, "<f8"),
            table=packed(rows, "<f8"),
            kinds=kinds,
            **{"base": float(base), **start, **kwargs},
        )

    def speeds(self) -> Float[Tensor, " pairs"]:
        r"""The angles :math:`\omega_i = L^{-2i/C}`, in radians per position."""
        return frequencies(self.dim, self.base)

    def describe(self) -> str:
        slowest = 2 * math.pi / float(self.speeds()[-1])
        learned = " A learned table of positions stands beside them for comparison." if "learned" in self.kinds else ""
        return (
            f"Position viewer. One plot shows the sinusoidal vectors of {self.length} positions, {self.dim} numbers each, as a "
            f"matrix of squares; neighbouring numbers are a hand of a clock, and the clocks turn once in 6.3 to {slowest:.3g} "
            f"positions. A second plot shows the dot product of two positions: it depends on their distance alone. The same "
            f"holds for a query and a key that rotary positions have turned.{learned}"
        )

    @t.validate("kind")
    def _check_kind(self, proposal: Any) -> str:
        return one_of("kind", proposal["value"], self.kinds)

    @t.validate("base")
    def _check_base(self, proposal: Any) -> float:
        value = proposal["value"]
        if not BASES[0] <= value <= BASES[1]:
            raise ValueError(f"base is {value:g}; allowed: {BASES[0]:g} to {BASES[1]:g}")
        return value

    @t.validate("position")
    def _check_position(self, proposal: Any) -> int:
        return in_range("position", proposal["value"], 0, self.length - 1)

    @t.validate("other")
    def _check_other(self, proposal: Any) -> int:
        return in_range("other", proposal["value"], 0, self.length - 1)

    @t.validate("pair")
    def _check_pair(self, proposal: Any) -> int:
        return in_range("pair", proposal["value"], 0, self.dim // 2 - 1)


def _table(learned: Any, length: int, dim: int) -> np.ndarray:
    """The first ``length`` rows of a learned table."""
    try:
        found = torch.as_tensor(learned).detach().to("cpu", torch.float64)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"learned is {learned!r:.80}; it must be a table of numbers, one row per position") from None
    if found.ndim != 2 or found.shape[0] < length or found.shape[1] != dim:
        raise ValueError(f"learned has shape {tuple(found.shape)}; it must have at least {length} rows of {dim} numbers")
    if not found.isfinite().all():
        raise ValueError("learned holds a number that is not finite")
    return found[:length].numpy()
