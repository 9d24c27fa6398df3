"""The Python side of the alignment explorer: what it hands to the page, and what it refuses."""

import functools
from typing import Any

import numpy as np
import pytest
import torch

from lmcore.widgets import AlignmentExplorer
from lmcore.world import World


@functools.cache
def examples() -> list[tuple[Any, ...]]:
    """Translated sentences with weights near the true alignment; one without an alignment, of other sizes, with odd words."""
    source = torch.Generator().manual_seed(7)
    found: list[tuple[Any, ...]] = []
    for pair in World(clauses=(1, 2)).pairs(3, seed=5):
        scores = 2 * torch.randn(len(pair.dutch), len(pair.english), generator=source)
        for i, j in pair.alignment:
            scores[j, i] += 3
        found.append((pair.english, pair.dutch, scores.softmax(-1), pair.alignment, f"{pair.crossings} crossings"))
    odd = torch.randn(5, 2, generator=source, dtype=torch.float64).softmax(-1)
    return [*found, ('<b>"x"</b> naïve', ["een", "heel", "erg", "lang", "Donaudampfschifffahrt"], odd, None)]


def explorer(**kwargs: Any) -> AlignmentExplorer:
    return AlignmentExplorer(examples(), **kwargs)


def test_page_gets_every_weight_and_link() -> None:
    widget = explorer()
    for number, (source, target, weights, gold, *note) in enumerate(examples()):
        widget.example = number
        kept = widget.examples[number]
        assert kept["source"] == (source.split() if isinstance(source, str) else list(source))
        assert kept["target"] == list(target)
        assert kept["gold"] == (None if gold is None else [list(link) for link in gold])
        assert kept["note"] == "".join(note)
        assert widget.matrix().shape == weights.shape
        assert torch.equal(torch.tensor(widget.matrix()), weights.float())
    assert len(widget.weights) == 4 * sum(e[2].numel() for e in examples())


@pytest.mark.parametrize("kind", [torch.tensor, np.array, list])
def test_weights_may_be_any_kind_of_numbers(kind: Any) -> None:
    widget = AlignmentExplorer([("a b c", "d e", kind([[0.5, 0.25, 0.25], [0.0, 0.0, 1.0]]), [(2, 1)])])
    assert widget.matrix().tolist() == [[0.5, 0.25, 0.25], [0, 0, 1]]


def test_weights_with_a_gradient_and_in_half_precision_are_taken() -> None:
    weights = torch.randn(3, 7, requires_grad=True).softmax(-1)
    made = [AlignmentExplorer([("a b c d e f g", "h i j", w, None)]).matrix() for w in (weights, weights.half())]
    assert np.allclose(made[0], made[1], atol=1e-3)


def test_opens_at_the_word_that_looks_farthest_from_its_own_place() -> None:
    straight = torch.eye(5)
    moved = straight[[4, 0, 1, 2, 3]]  # the first target word looks at the last source word
    made = AlignmentExplorer([("a b c d e", "f g h i j", straight, None), ("a b c d e", "f g h i j", moved, None)], example=1)
    assert made.word == 0
    assert AlignmentExplorer([("a b c d e", "f g h i j", moved, None)], word=3).word == 3


def test_another_example_keeps_the_word_inside() -> None:
    widget = explorer(example=0, word=len(examples()[0][1]) - 1)
    widget.example = 3
    assert widget.word == 4
    widget.set_state({"example": 0, "word": 1})
    assert (widget.example, widget.word) == (0, 1)
    for name, value in {"example": 4, "word": 99}.items():
        before = getattr(widget, name)
        with pytest.raises(ValueError, match="allowed"):
            setattr(widget, name, value)
        assert getattr(widget, name) == before


def test_sentence_for_those_who_cannot_see_it() -> None:
    text = explorer().alt
    assert text.endswith(".")
    for part in ("4 English texts", "Dutch", " ".join(examples()[0][0]), "true alignment"):
        assert part in text
    plain = AlignmentExplorer([("a b", "c", [[0.5, 0.5]], None)], languages=(("French", "fr"), ("English", "en"))).alt
    assert "French" in plain
    assert "true alignment" not in plain


HALF = [[0.5, 0.5]]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ([], "at least one example; got none"),
        ("a b", "expected a list of examples"),
        (3, "expected a list of examples"),
        ([("a b", "c", HALF)], "example 0 is .*gold=None"),
        (["abcd"], "example 0 is"),
        ([("", "c", HALF, None)], "the source of example 0 has 0 tokens; allowed: 1 to 48"),
        ([("a b", ["c"] * 49, HALF, None)], "the target of example 0 has 49 tokens"),
        ([("a b", 3, HALF, None)], "a text must be"),
        ([("a b", "c d", HALF, None)], r"weights of example 0 has shape \(1, 2\); allowed: \(2, 2\)"),
        ([("a b", "c", [[0.5], [0.5, 1]], None)], "must be numbers"),
        ([("a b", "c", [["x", "y"]], None)], "must be numbers"),
        ([("a b", "c", [[0.5, float("nan")]], None)], "holds nan; allowed: finite"),
        ([("a b", "c", [[1.5, -0.5]], None)], "holds -0.5; attention weights are never negative"),
        ([("a b", "c d", [[0.5, 0.5], [0.5, 0.4]], None)], r"row \(1\) of the weights of example 0 sums to 0.9"),
        ([("a b", "c", HALF, [(0, 1)])], r"gold of example 0 holds \(0, 1\); allowed: a source place from 0 to 1"),
        ([("a b", "c", HALF, [(-1, 0)])], r"holds \(-1, 0\)"),
        ([("a b", "c", HALF, [3])], "allowed: pairs"),
        ([("a b", "c", HALF, 3)], "allowed: pairs"),
    ],
)
def test_refuses(unchecked: None, given: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        AlignmentExplorer(given)


@pytest.mark.parametrize(("choice", "says"), [({"example": 4}, "example is 4; allowed: 0 to 3"), ({"word": 99}, "word is 99")])
def test_refuses_choices(choice: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        explorer(**choice)
