"""The Python side of the bottleneck squeezer: every translation, every mark and every score is what lmcore says."""

import functools
import itertools
from statistics import median

import hypothesis.strategies as st
import pytest
from hypothesis import given

from lmcore.evaluate import bleu
from lmcore.widgets import BottleneckSqueezer
from lmcore.widgets.bottleneck_squeezer import marks
from lmcore.world import World

SQUEEZES = (5, 1, 3, 11)


@functools.cache
def pairs() -> list[tuple[str, str]]:
    found = dict.fromkeys((" ".join(p.english), " ".join(p.dutch)) for p in World.tiny().pairs(30, seed=7))
    return list(found)[:19]


def translate(texts: list[str], k: int) -> list[str]:
    """The reference with every word spoilt whose place is divisible by k + 1, and its last words cut off when k is small."""
    right = dict(pairs())
    out = []
    for text in texts:
        words = right[text].split()
        spoilt = [f"{word}?" if k < 11 and i % (k + 1) == 0 else word for i, word in enumerate(words)]
        out.append(" ".join(spoilt[: 4 * k] + ["zo"] * (k == 3)))
    return out


def squeezer(**kwargs: object) -> BottleneckSqueezer:
    texts, references = zip(*pairs(), strict=True)
    return BottleneckSqueezer(
        **{"texts": texts, "references": references, "translate": translate, "squeezes": SQUEEZES, **kwargs}
    )


# ---- marks -------------------------------------------------------------------------------------------------------------

short = st.lists(st.sampled_from("abc"), max_size=4)


def every_alignment(want: tuple[str, ...], have: tuple[str, ...]) -> set[str]:
    """All alignments of two lists of words, as letters; the specification."""
    if not want and not have:
        return {""}
    found = set()
    if want:
        found |= {"-" + rest for rest in every_alignment(want[1:], have)}
    if have:
        found |= {"+" + rest for rest in every_alignment(want, have[1:])}
    if want and have:
        found |= {("=" if want[0] == have[0] else "x") + rest for rest in every_alignment(want[1:], have[1:])}
    return found


def mistakes(letters: str) -> int:
    return sum(letter != "=" for letter in letters)


@given(short, short)
def test_marks_are_an_alignment_with_fewest_mistakes_and_of_those_most_words_in_place(want: list[str], have: list[str]) -> None:
    letters = marks(want, have)
    possible = every_alignment(tuple(want), tuple(have))
    assert letters in possible
    fewest = min(map(mistakes, possible))
    assert mistakes(letters) == fewest
    assert letters.count("=") == max(a.count("=") for a in possible if mistakes(a) == fewest)


@given(st.lists(st.sampled_from("abcdefg"), max_size=40), st.lists(st.sampled_from("abcdefg"), max_size=40))
def test_marks_of_long_texts_account_for_every_word(want: list[str], have: list[str]) -> None:
    letters, i, j = marks(want, have), 0, 0
    for letter in letters:
        assert letter not in "=x" or (want[i] == have[j]) == (letter == "=")
        i += letter in "=x-"
        j += letter in "=x+"
    assert (i, j) == (len(want), len(have))

    @functools.cache
    def distance(m: int, n: int) -> int:
        if not m or not n:
            return m + n
        return min(distance(m - 1, n) + 1, distance(m, n - 1) + 1, distance(m - 1, n - 1) + (want[m - 1] != have[n - 1]))

    assert mistakes(letters) == distance(len(want), len(have))


@pytest.mark.parametrize(
    ("reference", "translation", "letters"),
    [
        ("de kat slaapt .", "de kat slaapt .", "===="),
        ("de kat slaapt .", "de hond slaapt .", "=x=="),
        ("de kat slaapt .", "de kat .", "==-="),
        ("de kat slaapt .", "de kleine kat slaapt .", "=+==="),
        ("de kat", "", "--"),
        ("", "de kat", "++"),
        ("", "", ""),
        ("a b", "b a", "xx"),  # two mistakes either way; the words that stay in place count
    ],
)
def test_marks_by_example(reference: str, translation: str, letters: str) -> None:
    found = marks(reference, translation)
    assert found == letters or (letters == "xx" and found in ("-=+", "+=-"))


# ---- the grid ----------------------------------------------------------------------------------------------------------


def test_grid_holds_every_translation_score_and_mark() -> None:
    widget = squeezer()
    right, lengths = dict(pairs()), [len(english.split()) for english, _ in pairs()]
    assert widget.squeezes == sorted(SQUEEZES)
    assert widget.full == 11
    assert widget.split == int(median(lengths))
    assert sorted(widget.texts) == sorted(right)
    assert [len(text.split()) for text in widget.texts] == sorted(lengths), "shortest first"
    for text, reference, made, letters in zip(widget.texts, widget.references, widget.translations, widget.marks, strict=True):
        assert reference == right[text]
        for k, translation, row in zip(widget.squeezes, made, letters, strict=True):
            assert [translation] == translate([text], k)
            assert row == marks(reference, translation)
    groups = {
        "all": list(right),
        "short": [text for text in right if len(text.split()) <= widget.split],
        "long": [text for text in right if len(text.split()) > widget.split],
    }
    assert widget.sizes == {name: len(group) for name, group in groups.items()}
    assert 0 < widget.sizes["short"] < 19
    for name, group in groups.items():
        expected = [bleu(translate(group, k), [right[text] for text in group]) for k in widget.squeezes]
        assert widget.scores[name] == pytest.approx([e.score for e in expected], abs=1e-9)
        assert widget.signature == expected[0].signature
    assert widget.scores["all"][-1] == pytest.approx(100)
    assert widget.scores["long"][1] != widget.scores["short"][1]


def test_every_k_is_asked_for_once_with_all_texts_as_they_were_given() -> None:
    asked = []

    def listen(texts: list, k: int) -> list[list[str]]:
        asked.append((texts, k))
        return [["Ja", "."] for _ in texts]

    given_texts = [["Yes", "."], "No ."]
    widget = BottleneckSqueezer(given_texts, ["Ja .", ("Nee", ".")], listen, (7, 2))
    assert asked == [(given_texts, 2), (given_texts, 7)]
    assert widget.texts == ["Yes .", "No ."]
    assert widget.references == ["Ja .", "Nee ."]
    assert widget.translations == [["Ja .", "Ja ."]] * 2
    assert widget.marks == [["==", "=="], ["x=", "x="]]


def test_scores_are_over_all_texts_though_few_are_shown() -> None:
    every, few = squeezer(), squeezer(shown=4)
    assert few.scores == every.scores
    assert few.sizes == every.sizes
    assert len(few.texts) == len(set(few.texts)) == 4
    assert (few.texts[0], few.texts[-1]) == (every.texts[0], every.texts[-1])
    assert len(squeezer(shown=1).texts) == 1
    places = [every.texts.index(text) for text in few.texts]
    assert places == [0, 6, 12, 18]


def test_texts_of_one_length_are_not_split() -> None:
    widget = BottleneckSqueezer(["a b", "c d"], ["A B", "C D"], lambda texts, k: [t.upper() for t in texts], (1, 2))
    assert set(widget.scores) == {"all"}
    assert widget.sizes == {"all": 2}
    assert set(squeezer(split=0).scores) == {"all"}
    assert squeezer(split=9).sizes["short"] == sum(len(english.split()) <= 9 for english, _ in pairs())


def test_opens_at_the_largest_k_with_the_text_that_loses_most() -> None:
    widget = squeezer()
    assert widget.squeeze == 11
    lost = [row[-1].count("=") - row[0].count("=") for row in widget.marks]
    assert lost[widget.sentence] == max(lost) > 0
    assert (squeezer(sentence=2, squeeze=3).sentence, squeezer(squeeze=3).squeeze) == (2, 3)


def test_sentence_for_those_who_cannot_see_it() -> None:
    widget = squeezer(full=16)
    assert widget.alt.endswith(".")
    for part in (
        "19 English sentences",
        "into Dutch",
        "1 to 11 of 16",
        "100.0 with the most",
        f"{widget.scores['all'][0]:.1f} with the fewest",
    ):
        assert part in widget.alt
    assert "German" in squeezer(languages=(("English", "en"), ("German", "de"))).alt


# ---- misuse ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"texts": []}, "at least one text; got none"),
        ({"texts": "one text"}, "expected a list of texts"),
        ({"references": ["one"]}, "19 texts, but 1 references"),
        ({"references": [3] * 19}, "a text must be a string"),
        ({"translate": "translate"}, "'translate'; it must be a function"),
        ({"translate": lambda texts, k: texts[1:]}, "gave 18 translations of 19 texts at k=1"),
        ({"translate": lambda texts, k: "one string"}, "expected a list of texts"),
        ({"translate": lambda texts, k: [None] * 19}, "a text must be a string"),
        ({"squeezes": ()}, "at least one"),
        ({"squeezes": (2, 2)}, "none twice"),
        ({"squeezes": (1.5, 2)}, "whole numbers"),
        ({"squeezes": (0, 2)}, "smallest of squeezes is 0; allowed: 1 to 2"),
        ({"full": 7}, "largest of squeezes is 11; allowed: 1 to 7"),
        ({"shown": 0}, "shown is 0; allowed: 1 to 100"),
        ({"sentence": 19}, "sentence is 19; allowed: 0 to 18"),
        ({"squeeze": 4}, "squeeze is 4; allowed: 1, 3, 5, 11"),
    ],
)
def test_refuses(unchecked: None, change: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        squeezer(**change)


def test_choices_travel_both_ways() -> None:
    widget = squeezer()
    widget.set_state({"sentence": 3, "squeeze": 1})
    assert (widget.sentence, widget.squeeze) == (3, 1)
    for name, value in itertools.product(("sentence", "squeeze"), (-1, 99)):
        before = getattr(widget, name)
        with pytest.raises(ValueError, match="allowed"):
            setattr(widget, name, value)
        assert getattr(widget, name) == before
