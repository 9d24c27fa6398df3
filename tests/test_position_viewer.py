"""The Python side of the position viewer: what it hands to the page."""

import math

import numpy as np
import pytest
import torch

from lmcore.positions import Learned, sinusoidal
from lmcore.widgets import PositionViewer
from lmcore.widgets.position_viewer import BASES


def held(widget: PositionViewer, name: str) -> torch.Tensor:
    return torch.tensor(np.frombuffer(getattr(widget, name), "<f8"))


def test_defaults_are_the_books() -> None:
    widget = PositionViewer()
    assert (widget.length, widget.dim, widget.base, widget.kinds) == (50, 32, 10_000.0, ["sinusoidal", "rotary"])
    assert (widget.kind, widget.position, widget.other, widget.pair) == ("sinusoidal", 10, 15, 2)
    assert widget.table == b""
    smallest = PositionViewer(2, 2)
    assert (smallest.position, smallest.other, smallest.pair) == (0, 1, 0)


def test_speeds_are_those_of_the_sinusoids() -> None:
    widget = PositionViewer(11, 14, base=700.0)
    angles = torch.atan2(*sinusoidal(11, 14, 700.0)[1].reshape(7, 2).double().T)
    assert torch.allclose(widget.speeds(), angles, atol=1e-6)


def test_query_and_key_differ_and_repeat() -> None:
    first, again, other = PositionViewer(7, 6), PositionViewer(7, 6), PositionViewer(7, 6, seed=3)
    assert len(held(first, "query")) == len(held(first, "key")) == 6
    assert first.query == again.query != other.query
    assert first.query != first.key
    many = held(PositionViewer(2, 64, seed=5), "query")
    assert abs(float(many.std()) - 1) < 0.3


def test_learned_table_is_cut_to_the_length() -> None:
    torch.manual_seed(1)
    module = Learned(13, 6)
    widget = PositionViewer(7, 6, learned=module.weight, kind="learned")
    assert widget.kinds == ["sinusoidal", "rotary", "learned"]
    assert torch.equal(held(widget, "table").reshape(7, 6), module.weight[:7].double().detach())
    assert "learned table" in widget.alt


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"length": 1}, "length is 1; allowed: 2 to 128"),
        ({"dim": 66}, "dim is 66; allowed: 2 to 64"),
        ({"dim": 7}, "dim is 7; it must be even"),
        ({"base": 1.0}, "base is 1; allowed: 2 to 1e"),
        ({"base": math.nan}, "base is nan"),
        ({"kind": "learned"}, "'learned'; allowed: 'sinusoidal', 'rotary'"),
        ({"position": 11}, "position is 11; allowed: 0 to 10"),
        ({"other": -1}, "other is -1; allowed: 0 to 10"),
        ({"pair": 3}, "pair is 3; allowed: 0 to 2"),
        ({"learned": torch.zeros(10, 6)}, r"learned has shape \(10, 6\); it must have at least 11 rows of 6"),
        ({"learned": torch.zeros(11, 5)}, r"shape \(11, 5\)"),
        ({"learned": torch.full((11, 6), math.nan)}, "not finite"),
        ({"learned": "table"}, "'table'; it must be a table of numbers"),
    ],
)
def test_refuses(unchecked: None, change: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        PositionViewer(**{"length": 11, "dim": 6, **change})


def test_choices_travel_both_ways() -> None:
    widget = PositionViewer(11, 6)
    widget.set_state({"base": 50.0, "position": 10, "other": 0, "pair": 2, "kind": "rotary"})
    assert (widget.base, widget.position, widget.other, widget.pair, widget.kind) == (50.0, 10, 0, 2, "rotary")
    for name, value in {"base": 2e6, "position": 11, "other": 11, "pair": 3, "kind": "x"}.items():
        before = getattr(widget, name)
        with pytest.raises(ValueError, match="allowed"):
            setattr(widget, name, value)
        assert getattr(widget, name) == before
    assert BASES[0] < widget.base < BASES[1]


def test_sentence_for_those_who_cannot_see_it() -> None:
    text = PositionViewer(11, 6, base=100.0).alt
    assert text.endswith(".")
    slowest = 2 * math.pi * 100 ** (4 / 6)
    for part in ("11 positions", "6 numbers", f"6.3 to {slowest:.3g} positions", "distance alone"):
        assert part in text
