"""What wrong numbers have in common: a sign, a factor, a shift, an order. Computed from public cases alone."""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from lmcore.check.show import show

Pair = tuple[torch.Tensor, torch.Tensor]
FEWEST = 2  # different expected numbers, from which on agreement is more than chance
KNOWN_FACTORS = {
    math.log(2): "the logarithm of 2: one of the two is in nats, the other in bits",
    1 / math.log(2): "1 / log 2: one of the two is in bits, the other in nats",
}


def pattern(pairs: Sequence[tuple[Any, Any]], rtol: float, atol: float) -> str:
    """One sentence about all pairs of a value and the expected value that differ, or nothing.

    It is said only where it holds for every number of every part that differs, over all pairs, and where these numbers are
    not all the same.
    """
    parts = [part for got, want in pairs for part in _parts(got, want)]
    if not parts:
        return ""
    if swapped := _transposed(parts, rtol, atol):
        return swapped
    if any(got.shape != want.shape for got, want in parts):
        return ""
    different = [(g.flatten(), w.flatten()) for g, w in parts if not torch.isclose(g, w, rtol, atol, equal_nan=True).all()]
    if not different:
        return ""
    got, want = (torch.cat(side) for side in zip(*different, strict=True))
    if unusual := _not_a_number(got, want):
        return unusual
    if len(want[want.isfinite()].unique()) < FEWEST or not (got.isfinite() & want.isfinite()).all():
        return ""

    def holds(expected: torch.Tensor) -> bool:
        return bool(torch.isclose(got, expected, rtol, atol).all())

    return next((words for words in (rule(got, want, holds) for rule in RULES) if words), "") or _order(different, rtol, atol)


def _parts(got: Any, want: Any) -> Iterator[Pair]:
    """The numbers that stand in the same place of both, each place as a pair of float64 tensors; none if the structures
    differ."""
    if isinstance(want, torch.Tensor | np.ndarray) and type(got) is type(want):
        g, w = torch.as_tensor(got), torch.as_tensor(want)
        if w.dtype != torch.bool and g.dtype != torch.bool:
            yield g.double(), w.double()
    elif isinstance(want, int | float) and isinstance(got, int | float) and not isinstance(want, bool):
        if abs(got) < 2**53 or not math.isfinite(got):
            yield torch.tensor([float(got)]).double(), torch.tensor([float(want)]).double()
    elif isinstance(want, list | tuple) and type(got) is type(want) and len(got) == len(want):
        for pair in zip(got, want, strict=True):
            yield from _parts(*pair)
    elif isinstance(want, dict) and isinstance(got, dict) and got.keys() == want.keys():
        for key in want:
            yield from _parts(got[key], want[key])


def _transposed(parts: Sequence[Pair], rtol: float, atol: float) -> str:
    """Whether every part of another shape becomes right when its axes change places, the same way everywhere."""
    odd = [(g, w) for g, w in parts if g.shape != w.shape]
    if not odd or any(g.ndim != odd[0][0].ndim or w.ndim != g.ndim or g.ndim > 4 for g, w in odd):
        return ""
    for axes in itertools.permutations(range(odd[0][0].ndim)):
        moved = [(g.permute(axes), w) for g, w in odd]
        if all(g.shape == w.shape and torch.isclose(g, w, rtol, atol, equal_nan=True).all() for g, w in moved):
            return f"The numbers are right, but the axes have changed places: yours become right in the order {axes}."
    return ""


def _not_a_number(got: torch.Tensor, want: torch.Tensor) -> str:
    if (got.isinf() & ~want.isinf()).any():
        return "Some of your numbers are infinite: where can you divide by zero, take log 0, or exp of a large number?"
    if (got.isnan() & ~want.isnan()).any():
        return "Some of your numbers are nan: where can zero be divided by zero, or infinity meet infinity?"
    return ""


Rule = Callable[[torch.Tensor, torch.Tensor, Callable[[torch.Tensor], bool]], str]


def _sign(got: torch.Tensor, want: torch.Tensor, holds: Callable) -> str:
    return "Your numbers are the expected ones with the other sign." if holds(-want) else ""


def _factor(got: torch.Tensor, want: torch.Tensor, holds: Callable) -> str:
    factor = float((got * want).sum() / (want * want).sum())
    if abs(factor) < 1e-6 or not holds(factor * want):
        return ""
    known = next((words for value, words in KNOWN_FACTORS.items() if math.isclose(abs(factor), value, rel_tol=1e-3)), "")
    return f"Your numbers are the expected ones times {show(round(factor, 4))}" + (f", which is {known}." if known else ".")


def _shift(got: torch.Tensor, want: torch.Tensor, holds: Callable) -> str:
    shift = float((got - want).mean())
    if not holds(want + shift):
        return ""
    return (
        f"Your numbers are all {'larger' if shift > 0 else 'smaller'} than the expected ones by {show(round(abs(shift), 4))}."
    )


def _function(words: str, function: Callable[[torch.Tensor], torch.Tensor]) -> Rule:
    def rule(got: torch.Tensor, want: torch.Tensor, holds: Callable) -> str:
        return words if holds(function(want)) else ""

    return rule


RULES: tuple[Rule, ...] = (
    _sign,
    _factor,
    _shift,
    _function("Your numbers are 1 divided by the expected ones.", torch.reciprocal),
    _function("Your numbers are the logarithms of the expected ones.", torch.log),
    _function("Your numbers are the exponentials of the expected ones.", torch.exp),
    _function("Your numbers are the squares of the expected ones.", torch.square),
    _function("Your numbers are the square roots of the expected ones.", torch.sqrt),
    _function("Your numbers are 1 minus the expected ones.", lambda want: 1 - want),
)


def _order(different: Sequence[Pair], rtol: float, atol: float) -> str:
    if all(torch.isclose(got.sort().values, want.sort().values, rtol, atol).all() for got, want in different):
        return "Your numbers are the expected ones in another order."
    return ""
