"""The Python side of the layer chooser: the tags and scores it hands to the page, and what it refuses."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lmcore.evaluate import span_f1
from lmcore.widgets import LayerChoice, LayerChooser, table_7

KINDS = ("PER", "ORG", "LOC")
SENTENCES = [
    ["Anna", "van", "Dijk", "flew", "to", "New", "York", "."],
    ["nothing", "</script>", "here"],
    ['"', "Acme", "&", "Sons", '"', "hired", "naïve", "Bo"],
    ["Rome"],
    ["it", "rained", "in", "Oslo", "and", "Riga"],
]
GOLD = [
    ["B-PER", "I-PER", "I-PER", "O", "O", "B-LOC", "I-LOC", "O"],
    ["O", "O", "O"],
    ["O", "B-ORG", "I-ORG", "I-ORG", "O", "O", "O", "B-PER"],
    ["B-LOC"],
    ["O", "O", "O", "B-LOC", "O", "B-LOC"],
]


def noisy(seed: int, rate: float) -> list[list[str]]:
    """The true tags with some of them drawn anew, I- after O among them."""
    rng, every = np.random.default_rng(seed), ["O", *(f"{p}-{k}" for p in "BI" for k in KINDS)]
    return [[str(rng.choice(every)) if rng.random() < rate else tag for tag in tags] for tags in GOLD]


def choices(depth: int = 5) -> list[LayerChoice]:
    """The six of Table 7 and two more; the last is right everywhere, the first finds nothing."""
    six = [LayerChoice(name, *what, noisy(i, 0.35)) for i, (name, what) in enumerate(table_7(depth).items())]
    none = [["O"] * len(tags) for tags in GOLD]
    return [
        replace(six[0], tags=none),
        *six[1:],
        LayerChoice("embeddings and layer 2", (0, 2), "concatenation", noisy(11, 0.2)),
        LayerChoice("odd layers, summed", (1, 3, 5), "weighted sum", GOLD),
    ]


def chooser(**kwargs: Any) -> LayerChooser:
    return LayerChooser(**{"sentences": SENTENCES, "gold": GOLD, "choices": choices(), "shown": [0, 2, 1, 4], **kwargs})


def test_page_gets_every_tag_and_the_scores_of_the_package() -> None:
    widget = chooser()
    assert widget.depth == 5
    assert widget.names[-2:] == ["embeddings and layer 2", "odd layers, summed"]
    assert widget.sentences == [SENTENCES[i] for i in (0, 2, 1, 4)]
    assert widget.page_tags() == [GOLD[i] for i in (0, 2, 1, 4)]
    for number, choice in enumerate(choices()):
        assert widget.page_tags(number) == [choice.tags[i] for i in (0, 2, 1, 4)]
        score = span_f1(GOLD, choice.tags)
        assert widget.scores[number] == [score.precision, score.recall, score.f1]
        assert widget.f1[choice.name] == score.f1
    assert (widget.f1["embeddings"], widget.f1["odd layers, summed"]) == (0.0, 1.0)
    assert (widget.measured, widget.spans) == (5, 7)
    words = sum(len(sentence) for sentence in widget.sentences)
    assert (len(widget.gold), len(widget.predicted)) == (words, words * len(widget.names))


def test_scores_come_from_all_sentences_not_only_from_those_shown() -> None:
    assert chooser(shown=[1]).f1 == chooser(shown=[4, 0]).f1
    assert chooser(shown=None).places == [0, 1, 2, 3, 4]


def test_six_choices_of_the_paper() -> None:
    assert table_7(12) == {
        "embeddings": ((0,), "one layer"),
        "last layer": ((12,), "one layer"),
        "second-to-last layer": ((11,), "one layer"),
        "weighted sum of all layers": (tuple(range(1, 13)), "weighted sum"),
        "weighted sum of the last four": ((9, 10, 11, 12), "weighted sum"),
        "concatenation of the last four": ((9, 10, 11, 12), "concatenation"),
    }
    for depth in range(1, 25):
        found = table_7(depth)
        assert len(set(found.values())) == len(found), "each choice once"
        LayerChooser([["a"]], [["O"]], [LayerChoice(name, *what, [["O"]]) for name, what in found.items()], depth=depth)
    assert len(table_7(4)) == 5
    assert len(table_7(3)) == 4
    assert set(table_7(1)) == {"embeddings", "last layer"}


def test_choices_travel_both_ways() -> None:
    widget = chooser(choice=3)
    widget.set_state({"choice": 7})
    assert widget.choice == 7
    for value in (-1, 8):
        with pytest.raises(ValueError, match=rf"choice is {value}; allowed: 0 to 7"):
            widget.choice = value
    assert widget.choice == 7


def test_sentence_for_those_who_cannot_see_it() -> None:
    text = chooser().alt
    assert text.endswith(".")
    for part in ("8 choices", "5 layers", "4 sentences", "over 5 sentences", "“odd layers, summed” with F1 1.000"):
        assert part in text


def one(**kwargs: Any) -> list[LayerChoice]:
    return [replace(choices()[1], **kwargs)]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"sentences": []}, "at least one text; got none"),
        ({"sentences": "one sentence"}, "expected a list of texts"),
        ({"gold": GOLD[:3]}, "gold has 3 sentences, but 5 were given"),
        ({"gold": [*GOLD[:4], ["O"]]}, "gold has 1 tags for sentence 4, which has 6 words"),
        ({"gold": [*GOLD[:3], ["PER"], GOLD[4]]}, r"truth\[3\] holds the tag 'PER'"),
        ({"choices": []}, "number of choices is 0; allowed: 1 to 120"),
        ({"choices": 3}, "choices must be LayerChoice.*got int 3"),
        ({"choices": [("last", (5,), "one layer", GOLD)]}, "choices must be LayerChoice"),
        ({"choices": one(tags=GOLD[1:])}, "the choice 'last layer' has 4 sentences, but 5"),
        ({"choices": one(tags=[*GOLD[:4], ["X"] * 6])}, r"predicted\[4\] holds the tag 'X'"),
        ({"choices": one(how="average")}, "'average'; allowed: 'one layer', 'concatenation', 'weighted sum'"),
        ({"choices": one(layers=())}, r"has the layers \(\); allowed: 0 \(the embeddings\) to 24"),
        ({"choices": one(layers=(6,)), "depth": 5}, r"has the layers \(6,\); allowed: 0 \(the embeddings\) to 5"),
        ({"choices": one(layers=(-1,))}, r"has the layers \(-1,\)"),
        ({"choices": one(layers=(2, 1), how="concatenation")}, r"\(2, 1\); allowed: each once, ascending"),
        ({"choices": one(layers=(1, 1), how="concatenation")}, "each once, ascending"),
        ({"choices": one(layers=(1, 2))}, "2 layers and how='one layer'; 'one layer' is for exactly one"),
        ({"choices": one(how="weighted sum")}, "1 layers and how='weighted sum'"),
        ({"choices": one() + one(name="other")}, "'other' and 'last layer' are the same choice"),
        ({"choices": one() + one(layers=(1,))}, "two choices have the name 'last layer'"),
        ({"depth": 25}, "depth is 25; allowed: 1 to 24"),
        ({"shown": []}, "number of shown sentences is 0; allowed: 1 to 5"),
        ({"shown": [5]}, "a place in shown is 5; allowed: 0 to 4"),
        ({"choice": 8}, "choice is 8; allowed: 0 to 7"),
    ],
)
def test_refuses(unchecked: None, change: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        chooser(**change)


def test_refuses_a_sentence_nobody_can_follow() -> None:
    long = [["word"] * 61]
    with pytest.raises(ValueError, match="sentence 0 has 61 tokens; allowed: 1 to 60"):
        LayerChooser(long, [["O"] * 61], [LayerChoice("last", (1,), "one layer", [["O"] * 61])])
    both = [*long, ["Rome"]]
    tags = [["O"] * 61, ["B-LOC"]]
    assert LayerChooser(both, tags, [LayerChoice("last", (1,), "one layer", tags)], shown=[1]).measured == 2
