"""The Python side of the soft look-up: what it answers, and what it refuses."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch

from lmcore.attention import look_up
from lmcore.widgets import SoftLookUp

KEYS = [[1.0, 0.25], [0.25, 1.0], [-1.0, 0.5], [-0.5, -1.0], [0.5, -0.75]]
VALUES = [[8.0, 1.0], [7.0, -2.5], [9.0, -1.0], [6.0, 0.0], [0.5, 0.25]]
LABELS = ["price", "colour", "size", '<b>"x"</b>', "naïve"]


def figure(**kwargs: Any) -> SoftLookUp:
    return SoftLookUp(**{"keys": KEYS, "values": VALUES, "labels": LABELS, **kwargs})


@pytest.mark.parametrize("width", [1, 2])
def test_answers_as_the_package_does(width: int) -> None:
    values = [row[:width] for row in VALUES]
    widget = figure(values=values)
    keys = torch.tensor(KEYS, dtype=torch.float64)
    for x, y, temperature in itertools.product((-1.2, 0.0, 0.7), (-0.3, 0.9), (0.01, 0.3, 1.0, 10.0)):
        widget.query, widget.temperature = [x, y], temperature
        answer, weights = widget.answer()
        query = torch.tensor([[x, y]], dtype=torch.float64)
        expected = look_up(query, keys, torch.tensor(values, dtype=torch.float64), scale=1 / temperature)
        assert answer.shape == (width,)
        assert torch.equal(answer, expected[0][0])
        assert torch.equal(weights, expected[1][0])


def test_temperature_zero_is_the_limit() -> None:
    widget = figure(query=[0.8, 0.1], temperature=0.0)
    answer, weights = widget.answer()
    assert weights.tolist() == [1, 0, 0, 0, 0]
    assert answer.tolist() == VALUES[0]
    widget.temperature = 0.001
    assert torch.allclose(widget.answer()[0], answer, atol=1e-9)
    widget.temperature, widget.query = 0, [0.5, 0.5]  # the first two keys fit equally well
    answer, weights = widget.answer()
    assert weights.tolist() == [0.5, 0.5, 0, 0, 0]
    assert answer.tolist() == [7.5, -0.75]
    widget.query = [0.0, 0.0]
    assert widget.answer()[1].tolist() == [0.2] * 5


@pytest.mark.parametrize("values", [[1, 2, 3, 4, 5], torch.arange(5), np.arange(5.0), torch.arange(5.0)[:, None]])
def test_values_may_be_single_numbers(values: Any) -> None:
    widget = figure(values=values)
    assert [len(v) for v in widget.value_vectors] == [1] * 5


@pytest.mark.parametrize(
    ("size", "reach", "grain"), [(1.0, 1.3, 0.01), (2.0, 2.5, 0.01), (0.01, 0.013, 0.0001), (80.0, 100, 1)]
)
def test_plane_holds_all_keys_and_moves_in_small_steps(size: float, reach: float, grain: float) -> None:
    widget = SoftLookUp([[size, 0], [0, -size / 3]], [1, 2], ["a", "b"])
    assert (widget.reach, widget.grain) == (pytest.approx(reach), pytest.approx(grain))
    assert size < widget.reach
    assert widget.reach / widget.grain == pytest.approx(round(widget.reach / widget.grain))


def test_opens_between_the_first_two_keys() -> None:
    assert figure().query == [0.625, 0.625]
    assert SoftLookUp([[1, 1], [-1, -1]], [1, 2], ["a", "b"]).query == [1, 1]
    assert figure(query=(0.5, -0.5)).query == [0.5, -0.5]


def test_choices_travel_both_ways() -> None:
    widget = figure()
    widget.set_state({"query": [1.0, -1.0], "temperature": 0.25})
    assert (widget.query, widget.temperature) == ([1.0, -1.0], 0.25)
    for name, value in (("query", [2.0, 0.0]), ("query", [1.0]), ("temperature", -0.1), ("temperature", math.nan)):
        before = getattr(widget, name)
        with pytest.raises(ValueError, match="allowed"):
            setattr(widget, name, value)
        assert getattr(widget, name) == before


def test_sentence_for_those_who_cannot_see_it() -> None:
    text = figure().alt
    assert text.endswith(".")
    for part in ("5 keys", *LABELS, "dot product", "softmax", "hard look-up"):
        assert part in text


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"keys": []}, "keys has shape"),
        ({"keys": [[1, 2, 3]] * 5}, r"keys has shape \(5, 3\); allowed: \(any, 2\)"),
        ({"keys": [["a", "b"]] * 5}, "keys must be numbers"),
        ({"keys": [[0, 0]] * 5}, "all keys are zero"),
        ({"keys": [[1, math.inf]] * 5}, "keys holds inf"),
        ({"keys": [[1, 0]] * 13}, "number of keys is 13; allowed: 1 to 12"),
        ({"values": VALUES[1:]}, r"values has shape \(4, 2\); allowed: \(5, any\)"),
        ({"values": [[1, 2, 3]] * 5}, "width of values is 3; allowed: 1 to 2"),
        ({"values": "abcde"}, "values must be numbers"),
        ({"labels": "abcde"}, "every one of the 5 keys needs a name"),
        ({"labels": ["a"]}, "every one of the 5 keys needs a name"),
        ({"labels": ["a"] * 5}, "may not come twice"),
        ({"query": (0.5,)}, r"query has shape \(1,\); allowed: \(2\)"),
        ({"query": (9, 0)}, "query holds 9; allowed: -1.3 to 1.3"),
        ({"temperature": 11}, "temperature is 11; allowed: 0 to 10"),
    ],
)
def test_refuses(unchecked: None, change: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        figure(**change)
