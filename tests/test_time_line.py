"""The Python side of the time line: its order, its sentence, what it refuses."""

from dataclasses import replace

import pytest

from lmcore.widgets import Milestone, TimeLine
from lmcore.widgets.time_line import MILESTONES, told

A = Milestone("A", 2001, 5, "encoder", 1_200, "words", "It reads.", "Somebody (2001), section 1")
B = replace(A, name="B", year=1999, kind="decoder", parameters=2_500_000_000_000, url="https://example.org/b")


def test_milestones_stand_in_the_order_of_time() -> None:
    widget = TimeLine([A, B])
    assert [m["name"] for m in widget.milestones] == ["B", "A"]
    assert widget.milestones[0]["url"] == "https://example.org/b"
    names = ["Seq2seq", "Transformer", "GPT", "BERT", "GPT-2", "GPT-3", "InstructGPT"]
    assert [m["name"] for m in TimeLine().milestones] == names == [m.name for m in MILESTONES]
    assert [m.year for m in MILESTONES] == [2014, 2017, 2018, 2018, 2019, 2020, 2022]


def test_every_published_milestone_says_where_it_stands() -> None:
    for m in MILESTONES:
        year = {"BERT": 2019}.get(m.name, m.year)  # its paper's proceedings
        assert f"({year})" in m.source
        assert m.brought.endswith(".")
        assert m.url


def test_sentence_names_all() -> None:
    assert TimeLine([A, B]).alt.endswith(
        "as published: B (1999, decoder, 2.5 trillion parameters) and A (2001, encoder, 1,200 parameters)."
    )


def test_large_numbers_in_words() -> None:
    assert [told(n) for n in (7, 999_999, 213_000_000, 1_542_000_000, 10**12)] == [
        "7",
        "999,999",
        "213 million",
        "1.54 billion",
        "1 trillion",
    ]


def test_chosen_travels_both_ways() -> None:
    widget = TimeLine()
    widget.set_state({"chosen": 6})
    assert widget.chosen == 6
    with pytest.raises(ValueError, match="chosen is 7; allowed: 0 to 6"):
        widget.chosen = 7


@pytest.mark.parametrize(
    ("milestones", "says"),
    [
        ([A], "list of two or more Milestone"),
        ("GPT", "'GPT'; it must be a list"),
        ([A, "B"], "list of two or more"),
        ([A, B, A], "'A' is there twice"),
    ],
)
def test_refuses(unchecked: None, milestones: object, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        TimeLine(milestones)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"month": 13}, "month is 13; allowed: 1 to 12"),
        ({"year": 18}, "year is 18"),
        ({"kind": "recurrent"}, "'recurrent'; allowed: 'encoder-decoder'"),
        ({"parameters": 0}, "parameters is 0"),
        ({"source": ""}, "source is empty"),
        ({"url": "http://example.org"}, "must begin with https://"),
    ],
)
def test_a_milestone_refuses(change: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        replace(A, **change)
