"""The soft look-up: a query that the reader drags over keys in a plane, and the weighted mean that answers it."""

import math
from collections.abc import Sequence
from typing import Any

import torch
import traitlets as t
from jaxtyping import Float
from torch import Tensor

from lmcore.attention import look_up
from lmcore.evaluate import shown
from lmcore.widgets.base import Figure, in_range
from lmcore.widgets.weights import as_numbers

HOTTEST = 10.0
MOST = 12  # keys that can be told apart in one plane


class SoftLookUp(Figure, module="soft_look_up.mjs"):
    r"""Soft look-up: every key's value, weighted by how well the key matches a query that the reader moves.

    The page computes, for the query q and keys :math:`k_1 … k_S` in the plane,

    .. math:: a_s = \frac{e^{q \cdot k_s / \tau}}{\sum_{s'} e^{q \cdot k_{s'} / \tau}}, \qquad c = \sum_s a_s v_s ,

    which is :func:`lmcore.attention.look_up` with scale :math:`1/\tau`. At temperature τ = 0 it is the hard look-up, the limit:
    the whole weight lies on the best key (on several that are equally good, in equal parts).

    ``query`` (two numbers) and ``temperature`` can be set and read from Python.

    Args:
        keys: S × 2 numbers, at most 12 keys.
        values: S × 2 numbers, or S × 1, or S.
        labels: a name for every key.
        query: where the query starts; by default between the first two keys.
        temperature: τ, from 0 to 10.

    Raises:
        ValueError: shapes that do not fit, numbers that are not finite, keys that are all zero, a name twice, or a temperature
            or a query outside what is allowed.
    """

    # called so because every widget has an attribute `keys`
    key_vectors = t.List(t.List(t.Float())).tag(sync=True)
    value_vectors = t.List(t.List(t.Float())).tag(sync=True)
    labels = t.List(t.Unicode()).tag(sync=True)
    reach = t.Float().tag(sync=True)  # the plane shows −reach to reach
    grain = t.Float().tag(sync=True)  # the smallest step of the query
    hottest = t.Float(HOTTEST).tag(sync=True)

    query = t.List(t.Float()).tag(sync=True)
    temperature = t.Float(1.0).tag(sync=True)

    def __init__(
        self,
        keys: Any,
        values: Any,
        labels: Sequence[str],
        query: Sequence[float] | None = None,
        temperature: float = 1.0,
        **kwargs: Any,
    ) -> None:
        places = as_numbers("keys", keys, (None, 2))
        in_range("the number of keys", len(places), 1, MOST)
        found = as_numbers("values", _column(values), (len(places), None))
        in_range("the width of values", found.shape[1], 1, 2)
        if isinstance(labels, str) or not isinstance(labels, Sequence) or len(labels) != len(places):
            raise ValueError(f"labels is {shown(labels)}; every one of the {len(places)} keys needs a name")
        names = [str(label) for label in labels]
        if len(set(names)) < len(names):
            raise ValueError(f"labels is {shown(labels)}; a name may not come twice")
        largest = float(abs(places).max())
        if largest == 0:
            raise ValueError("all keys are zero, and so would be every score; give keys that differ")
        unit = 10 ** math.floor(math.log10(1.25 * largest))
        if query is None:
            query = places[:2].mean(0) if abs(places[:2].mean(0)).max() > 0 else places[0]
        super().__init__(
            key_vectors=places.tolist(),
            value_vectors=found.tolist(),
            labels=names,
            reach=float(f"{math.ceil(12.5 * largest / unit) * unit / 10:.6g}"),
            grain=float(f"{unit / 100:.6g}"),
            **{"query": as_numbers("query", query, (2,)).tolist(), "temperature": float(temperature), **kwargs},
        )

    def answer(self) -> tuple[Float[Tensor, " E"], Float[Tensor, " S"]]:
        """The result c and the weights a of the query and temperature that are set now, by :func:`lmcore.attention.look_up`."""
        keys, values = (torch.tensor(part, dtype=torch.float64) for part in (self.key_vectors, self.value_vectors))
        query = torch.tensor([self.query], dtype=torch.float64)
        if self.temperature == 0:
            scores = keys @ query[0]
            best = (scores == scores.max()).double()
            weights = best / best.sum()
            return weights @ values, weights
        result, weights = look_up(query, keys, values, scale=1 / self.temperature)
        return result[0], weights[0]

    def describe(self) -> str:
        return (
            f"Soft look-up. A query can be moved in a plane with {len(self.labels)} keys ({', '.join(self.labels)}). The score "
            f"of a key is its dot product with the query; a softmax with a temperature of your choice turns the scores into "
            f"weights, shown as bars, and the answer is the mean of the keys' values with these weights. At temperature 0 it "
            f"is the value of the best key, a hard look-up."
        )

    @t.validate("query")
    def _check_query(self, proposal: Any) -> list[float]:
        query = as_numbers("query", proposal["value"], (2,)).tolist()
        for number in query:
            if not abs(number) <= self.reach + 1e-9:
                raise ValueError(f"query holds {number:g}; allowed: {-self.reach:g} to {self.reach:g}")
        return query

    @t.validate("temperature")
    def _check_temperature(self, proposal: Any) -> float:
        if not 0 <= proposal["value"] <= HOTTEST or math.isnan(proposal["value"]):
            raise ValueError(f"temperature is {proposal['value']:g}; allowed: 0 to {HOTTEST:g}")
        return proposal["value"]


def _column(values: Any) -> Any:
    """S numbers as S × 1; anything else as it is."""
    if isinstance(values, Tensor) or hasattr(values, "ndim"):
        return values[:, None] if values.ndim == 1 else values
    if isinstance(values, Sequence) and values and all(isinstance(v, int | float) for v in values):
        return [[v] for v in values]
    return values
