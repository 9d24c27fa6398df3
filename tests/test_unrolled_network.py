"""The Python side of the unrolled network, and of what it shares with the gate explorer: bytes, texts, refusals, choices."""

import gzip
import json

import ipywidgets
import numpy as np
import pytest
import torch

from lmcore import END, MASK, PAD, START, UNK
from lmcore.recurrent import RecurrentClassifier, RecurrentLM
from lmcore.widgets import UnrolledNetwork
from lmcore.widgets.recurrent import MOST_NUMBERS, RecurrentFigure
from lmcore.world import World

VOCABULARY = [PAD, "a", START, "b", END, "c", MASK, "d"]
TEXTS = [["a", "b"], ["c", "c", "d"]]


def model(cell: str = "rnn", size: int = len(VOCABULARY), **kwargs: object) -> RecurrentLM:
    torch.manual_seed(7)
    return RecurrentLM(size, **{"dim": 5, "hidden": 3, "cell": cell, **kwargs})


def read(widget: RecurrentFigure) -> list[dict[str, np.ndarray]]:
    """The weights of every model of a figure, by name, as the page cuts them."""
    numbers, at, found = np.frombuffer(widget.weights, "<f2" if widget.half else "<f4"), 0, []
    for spec in widget.models:
        parts = {}
        for name, rows, columns in spec["parts"]:
            parts[name] = numbers[at : at + rows * columns].reshape(rows, columns)
            at += rows * columns
        found.append(parts)
    assert at == numbers.size
    return found


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_bytes_hold_every_weight(cell: str) -> None:
    one = model(cell)
    widget = UnrolledNetwork(one, VOCABULARY, TEXTS)
    (parts,) = read(widget)
    state = one.state_dict()
    assert {*parts} == {*state}
    for name, value in state.items():
        assert np.array_equal(parts[name].squeeze(), value.numpy().squeeze()), name
    assert (widget.models[0]["cell"], widget.models[0]["hidden"], widget.models[0]["nonlinearity"]) == (cell, 3, "tanh")
    assert (widget.start, widget.end, widget.unknown, widget.never) == (2, 4, -1, [0, 2, 6])


def test_half_precision_where_there_are_many_weights() -> None:
    vocabulary = [*VOCABULARY, *(f"w{i}" for i in range(1000))]
    large = model(size=len(vocabulary), dim=32, hidden=32)
    assert sum(p.numel() for p in large.parameters()) > MOST_NUMBERS
    widget = UnrolledNetwork(large, vocabulary, TEXTS)
    (parts,) = read(widget)
    assert np.array_equal(parts["output.weight"], large.output.weight.detach().half().numpy())
    assert not UnrolledNetwork(large, vocabulary, TEXTS, half=False).half
    assert UnrolledNetwork(model(), VOCABULARY, TEXTS, half=True).half
    with torch.no_grad():
        large.output.bias[0] = 1e6
    with pytest.raises(ValueError, match=r"1e\+06.*half=False"):
        UnrolledNetwork(large, vocabulary, TEXTS)


def test_a_page_stays_small_with_the_largest_model_of_the_book() -> None:
    vocabulary = [PAD, START, END, *World(distance=3).vocabulary]
    widget = UnrolledNetwork(model(size=len(vocabulary), dim=32, hidden=32), vocabulary, [World().sample(1, seed=1)[0]])
    states = ipywidgets.Widget.get_manager_state(drop_defaults=False)["state"]
    assert len(gzip.compress(json.dumps(states[widget.model_id]).encode())) < 250_000


def test_texts_may_be_strings_or_stories_of_the_world() -> None:
    story = World().sample(1, seed=3)[0]
    vocabulary = [PAD, START, END, *World().vocabulary]
    widget = UnrolledNetwork(model(size=len(vocabulary)), vocabulary, [story, story.text, tuple(story.tokens)])
    assert widget.texts == [list(story.tokens)] * 3
    assert widget.words == list(story.tokens)
    assert story.text in widget.alt
    assert "state of 3 numbers" in widget.alt


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"model": 3}, "no embedding.weight.*RecurrentLM"),
        ({"model": torch.nn.LSTM(3, 3)}, "no embedding.weight"),
        ({"model": model(layers=2)}, "weight_ih_l1.*one layer"),
        ({"model": RecurrentClassifier(8, 5, 3, 8, bidirectional=True)}, "l0_reverse.*one direction"),
        ({"model": model(size=9)}, "knows 9 words, the vocabulary has 8"),
        ({"vocabulary": [*VOCABULARY[:7], "a"]}, "has 7 different"),
        ({"vocabulary": [word if word != END else "e" for word in VOCABULARY]}, "lacks <end>"),
        ({"vocabulary": "abcdefgh"}, "vocabulary must be a list of words"),
        ({"vocabulary": [*range(8)]}, "vocabulary must be a list of words"),
        ({"vocabulary": list("abcdefgh")}, "lacks <start> and <end>"),
        ({"texts": []}, "at least one text"),
        ({"texts": "a b"}, r"write \[text\]"),
        ({"texts": [3]}, "a text must be a string"),
        ({"words": "a b"}, "'a b' in a text"),
        ({"top": "many"}, "int"),
        ({"texts": [["a", "zebra"]]}, "'zebra'.*4 words.*a, b, c, d"),
        ({"texts": [["a", END]]}, "'<end>'"),
        ({"texts": [["a"] * 61]}, "allowed: 0 to 60"),
        ({"words": ["zebra"]}, "'zebra'"),
        ({"top": 0}, "allowed: 1 to 50"),
        ({"top": 51}, "allowed: 1 to 50"),
        ({"step": 3}, "allowed: 0 to 2"),
        ({"step": -1}, "allowed: 0 to 2"),
        ({"unit": 3}, "allowed: 0 to 2"),
        ({"unit": -1}, "allowed: 0 to 2"),
    ],
)
def test_bad_input_is_named_with_what_is_allowed(change: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        UnrolledNetwork(**{"model": model(), "vocabulary": VOCABULARY, "texts": TEXTS, **change})


def test_a_model_that_has_blown_up_is_refused() -> None:
    broken = model()
    with torch.no_grad():
        broken.rnn.weight_hh_l0[0, 0] = torch.nan
    with pytest.raises(ValueError, match=r"rnn\.weight_hh_l0 .* not finite"):
        UnrolledNetwork(broken, VOCABULARY, TEXTS)


def test_an_unknown_word_is_read_as_unk_where_there_is_one() -> None:
    vocabulary = [UNK if word == "d" else word for word in VOCABULARY]
    widget = UnrolledNetwork(model(), vocabulary, [["a", "zebra"]])
    assert widget.unknown == 7
    with pytest.raises(ValueError, match="'<pad>'"):
        UnrolledNetwork(model(), vocabulary, [[PAD]])


def test_choices_travel_both_ways() -> None:
    widget = UnrolledNetwork(model(), VOCABULARY, TEXTS, step=2)
    widget.set_state({"words": ["d", "a", "b", "c"], "step": 4})  # what the page sends: both at once, valid only together
    widget.set_state({"unit": 2, "memory": False})
    assert (widget.words, widget.step, widget.unit, widget.memory) == (["d", "a", "b", "c"], 4, 2, False)
    widget.words = ["a"]  # a shorter text: the step moves to its end
    assert widget.step == 1
    for name, value in {"words": ["zebra"], "step": 2, "unit": 3}.items():
        before = getattr(widget, name)
        with pytest.raises(ValueError, match=r"allowed|not one of"):
            setattr(widget, name, value)
        assert getattr(widget, name) == before
