"""The Python side of the attention calculator: all its matrices, and what it refuses."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lmcore.widgets import AttentionCalculator
from lmcore.widgets.attention_calculator import STEPS

T, C, D, E = 5, 3, 7, 2


def given(seed: int = 3) -> dict[str, Any]:
    source = torch.Generator().manual_seed(seed)
    shapes = {"x": (T, C), "W_q": (C, D), "W_k": (C, D), "W_v": (C, E)}
    return {name: torch.randn(*shape, generator=source, dtype=torch.float64) for name, shape in shapes.items()}


def calculator(seed: int = 3, **kwargs: Any) -> AttentionCalculator:
    return AttentionCalculator(**{"tokens": 'the naïve "<b>" bank .', **given(seed), **kwargs})


def fused(x: Tensor, W_q: Tensor, W_k: Tensor, W_v: Tensor, causal: bool, scale: float | None) -> Tensor:
    """The output by torch's own kernel; the oracle."""
    return F.scaled_dot_product_attention((x @ W_q)[None], (x @ W_k)[None], (x @ W_v)[None], is_causal=causal, scale=scale)[0]


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("scaled", [False, True])
def test_output_is_torchs(causal: bool, scaled: bool) -> None:
    found = calculator(causal=causal, scaled=scaled).matrices()
    assert torch.allclose(found["output"], fused(**given(), causal=causal, scale=None if scaled else 1.0), atol=1e-12)
    assert tuple(found) == STEPS
    shapes = {"queries": (T, D), "keys": (T, D), "values": (T, E), "output": (T, E)}
    for name, matrix in found.items():
        assert matrix.shape == shapes.get(name, (T, T)), name


def test_every_step_follows_from_the_one_before() -> None:
    m, x = calculator(causal=True).matrices(), given()
    assert torch.equal(m["queries"], x["x"] @ x["W_q"])
    assert torch.equal(m["keys"], x["x"] @ x["W_k"])
    assert torch.equal(m["values"], x["x"] @ x["W_v"])
    assert torch.equal(m["scores"], m["queries"] @ m["keys"].T)
    assert torch.allclose(m["scaled"], m["scores"] / math.sqrt(D))
    assert torch.equal(m["masked"].isinf(), torch.ones(T, T).triu(1).bool())
    assert torch.allclose(m["weights"].sum(-1), torch.ones(T, dtype=torch.float64))
    assert torch.equal(m["weights"] == 0, m["masked"].isinf())
    plain = calculator(scaled=False).matrices()
    assert torch.equal(plain["scaled"], plain["scores"])


def test_edits_come_back_and_change_what_depends_on_them() -> None:
    widget = calculator(causal=True)
    before, rows = widget.matrices()["output"], [list(row) for row in widget.x]
    rows[3][1] = -2.5
    widget.set_state({"x": rows})
    after = widget.matrices()["output"]
    assert torch.equal(before[:3], after[:3]), "a later word changes nothing before it"
    assert not torch.isclose(before[3:], after[3:]).any()
    assert widget.given["x"] == given()["x"].tolist()
    changed = torch.tensor(rows, dtype=torch.float64)
    assert torch.allclose(after, fused(**{**given(), "x": changed}, causal=True, scale=None), atol=1e-12)


def test_choices_stay_inside_and_travel_both_ways() -> None:
    widget = calculator(step=3, row=4, column=4)
    widget.step = 0
    assert widget.column == 4
    widget.step = 7
    assert (widget.row, widget.column) == (4, 1)
    widget.set_state({"step": 6, "row": 0, "column": 3})
    assert (widget.step, widget.row, widget.column) == (6, 0, 3)
    bad: dict[str, list[Any]] = {"step": [8, -1], "row": [5], "column": [5], "x": [[[1.0]]], "w_q": [[[2000.0] * D] * C]}
    for name, values in bad.items():
        for value in values:
            before = getattr(widget, name)
            with pytest.raises(ValueError, match="allowed"):
                setattr(widget, name, value)
            assert getattr(widget, name) == before


def test_sentence_for_those_who_cannot_see_it() -> None:
    text = calculator().alt
    assert text.endswith(".")
    for part in ("5 words", "naïve", "eight steps", "square root of 7", "softmax"):
        assert part in text


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"tokens": ""}, "tokens has 0 tokens; allowed: 1 to 8"),
        ({"tokens": "a b c d"}, r"x has shape \(5, 3\); allowed: \(4, any\)"),
        ({"tokens": "a b c d e f g h i", "x": torch.ones(9, C)}, "tokens has 9 tokens"),
        ({"x": "words"}, "x must be numbers"),
        ({"x": torch.ones(T, C) * math.nan}, "x holds nan"),
        ({"x": torch.ones(T, C) * 1001}, "x holds 1001; allowed: -1000 to 1000"),
        ({"x": torch.ones(T, 9)}, r"W_q has shape \(3, 7\); allowed: \(9, any\)"),
        ({"W_k": torch.ones(C, D + 1)}, r"W_k has shape \(3, 8\); allowed: \(3, 7\)"),
        ({"W_v": torch.ones(C, 9)}, "columns of w_v is 9; allowed: 1 to 8"),
        ({"W_v": torch.ones(C)}, "W_v has shape"),
        ({"causal": 1}, "causal is int 1; allowed: True, False"),
        ({"step": 8}, "step is 8; allowed: 0 to 7"),
        ({"row": 5}, "row is 5; allowed: 0 to 4"),
        ({"step": 7, "column": 2}, "column is 2; allowed: 0 to 1"),
    ],
)
def test_refuses(unchecked: None, change: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        calculator(**change)
