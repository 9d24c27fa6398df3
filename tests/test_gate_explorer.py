"""The Python side of the gate explorer: its models, refusals and choices. Texts and bytes: ``test_unrolled_network.py``."""

import gzip
import json

import ipywidgets
import numpy as np
import pytest

from lmcore import END, PAD, START
from lmcore.widgets import GateExplorer, UnrolledNetwork
from lmcore.world import World
from tests.test_unrolled_network import TEXTS, VOCABULARY, model, read


def explorer(**kwargs: object) -> GateExplorer:
    models = {"long": model("lstm"), "short": model("gru", hidden=2)}
    return GateExplorer(**{"models": models, "vocabulary": VOCABULARY, "texts": TEXTS, **kwargs})


def test_bytes_hold_the_weights_of_all_models_one_after_the_other() -> None:
    models = {"long": model("lstm"), "short": model("gru", hidden=2), "tied": model("gru", dim=3, tie=True)}
    widget = GateExplorer(models, VOCABULARY, TEXTS)
    assert [(spec["name"], spec["cell"], spec["hidden"]) for spec in widget.models] == [
        ("long", "lstm", 3),
        ("short", "gru", 2),
        ("tied", "gru", 3),
    ]
    for one, parts in zip(models.values(), read(widget), strict=True):
        for name, value in parts.items():
            assert np.array_equal(value.squeeze(), one.state_dict()[name].numpy().squeeze()), name
    assert "output.weight" not in read(widget)[2], "tied weights go once"


def test_it_opens_at_the_end_and_the_unrolled_network_near_the_beginning() -> None:
    assert (explorer().step, explorer(words=["a"] * 5).step, explorer(step=1).step) == (2, 5, 1)
    opened = [UnrolledNetwork(model(), VOCABULARY, [["a"] * n]).step for n in (0, 1, 5)]
    assert opened == [0, 1, 2]


def test_it_says_what_it_shows() -> None:
    text = explorer().alt
    assert text.endswith(".")
    assert "for long the forget gate, input gate, output gate, cell state" in text
    assert "for short the reset gate, update gate, state" in text
    assert "“a b”" in text
    assert explorer(alt="Said better.").alt == "Said better."


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"models": {}}, "at least one; got {}"),
        ({"models": [model("lstm")]}, "a dict from name to model"),
        ({"models": {"plain": model("rnn")}}, "'plain' has cell='rnn', which has no gates; allowed: 'lstm', 'gru'"),
        ({"models": {"two": model("lstm", layers=2)}}, "one layer"),
        ({"models": {"a": model("lstm"), "b": model("gru", size=9)}}, "'b' knows 9 words"),
        ({"model": "medium"}, "'medium'; allowed: 'long', 'short'"),
        ({"unit": 3}, "allowed: -1 to 2"),
        ({"unit": -2}, "allowed: -1 to 2"),
        ({"model": "short", "unit": 2}, "allowed: -1 to 1"),
        ({"shown": 4}, "allowed: 0 to 3"),
        ({"model": "short", "shown": 3}, "allowed: 0 to 2"),
        ({"texts": [["zebra"]]}, "'zebra'"),
        ({"step": 3}, "allowed: 0 to 2"),
        ({"top": 0}, "allowed: 1 to 50"),
    ],
)
def test_bad_input_is_named_with_what_is_allowed(change: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        explorer(**change)


def test_choices_travel_both_ways() -> None:
    widget = explorer(unit=2, shown=3)
    widget.set_state({"words": ["d", "a", "b", "c"], "step": 4})
    widget.set_state({"model": "short", "unit": 1, "shown": 2})
    assert (widget.words, widget.step, widget.model, widget.unit, widget.shown) == (["d", "a", "b", "c"], 4, "short", 1, 2)
    widget.model = "long"
    widget.unit, widget.shown = 2, 3
    widget.model = "short"  # the smaller model: unit and row stay inside it
    assert (widget.unit, widget.shown) == (1, 2)
    for name, value in {"model": "medium", "unit": 2, "shown": 3}.items():
        before = getattr(widget, name)
        with pytest.raises(ValueError, match="allowed"):
            setattr(widget, name, value)
        assert getattr(widget, name) == before


@pytest.mark.parametrize("sizes", [{"dim": 16, "hidden": 24}, {"dim": 32, "hidden": 32, "tie": True}])
def test_two_models_of_the_book_keep_a_page_small(sizes: dict[str, int]) -> None:
    vocabulary = [PAD, START, END, *World(distance=3).vocabulary]
    models = {cell: model(cell, size=len(vocabulary), **sizes) for cell in ("lstm", "gru")}
    widget = GateExplorer(models, vocabulary, [World().sample(1, seed=1)[0]])
    states = ipywidgets.Widget.get_manager_state(drop_defaults=False)["state"]
    assert len(gzip.compress(json.dumps(states[widget.model_id]).encode())) < 250_000
