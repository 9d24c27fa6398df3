"""The fast trainers learn what the ones that recount everything learn, and what Hugging Face's learns."""

import json
import random
from collections import Counter
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from lmcore.merges import frequency, gain, learn, learn_by, merge, merges_of, ratio

PETER_PIPER = "Peter Piper picked a peck of pickled peppers"
# Few letters and long words: many ties, overlaps (a a a), and pairs that vanish and come back.
few_letters = st.lists(st.text("abc", min_size=1, max_size=25), min_size=1, max_size=8)


def learned(words: list[str], n_merges: int, fast=learn) -> tuple[list[str], list[str]]:
    """What a fast trainer makes of ``words``: the merged tokens and each word cut into tokens joined by |."""
    alphabet = sorted(set("".join(words)))
    units = Counter("".join(chr(alphabet.index(c)) for c in word) for word in words)
    pairs, segmented = fast(units, len(alphabet), n_merges)
    spelt = list(alphabet)
    for pair in pairs:
        spelt.append("".join(spelt[ord(unit)] for unit in pair))
    after = dict(zip(units, ("|".join(spelt[ord(unit)] for unit in units) for units in segmented), strict=True))
    return spelt[len(alphabet) :], [after["".join(chr(alphabet.index(c)) for c in word)] for word in words]


def reference(words: list[str], n_merges: int, score=frequency) -> tuple[list[str], list[str]]:
    steps = list(islice(merges_of(words, score), n_merges))
    last = steps[-1].words if steps else [list(word) for word in words]
    return [step.token for step in steps], ["|".join(word) for word in last]


@given(few_letters, st.integers(0, 40))
def test_learn_is_the_reference(words: list[str], n_merges: int) -> None:
    assert learned(words, n_merges) == reference(words, n_merges)


@pytest.mark.parametrize("score", [frequency, ratio, gain])
@given(words=few_letters, n_merges=st.integers(0, 15))
def test_learn_by_is_the_reference(score, words: list[str], n_merges: int) -> None:
    assert learned(words, n_merges, lambda *args: learn_by(score, *args)) == reference(words, n_merges, score)


@given(few_letters)
def test_no_token_is_made_twice(words: list[str]) -> None:
    made, _ = learned(words, 1000)
    assert len(set(made)) == len(made)


def test_the_tie_rule_is_hugging_faces() -> None:
    rng = random.Random(3)
    for _ in range(60):
        words = ["".join(rng.choices("abcé!", k=rng.randint(1, 9))) for _ in range(rng.randint(1, 12))]
        theirs = Tokenizer(models.BPE())
        theirs.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        theirs.train_from_iterator([" ".join(words)], trainers.BpeTrainer(vocab_size=300, show_progress=False))
        merges = json.loads(theirs.to_str())["model"]["merges"]
        assert learned(words, 300)[0] == ["".join(pair) for pair in merges]


def test_peter_piper() -> None:
    steps = list(merges_of(PETER_PIPER))
    assert (steps[0].pair, steps[0].count) == (("p", "e"), 4)  # Piper, peck, and twice in peppers
    assert [len(word) for word in steps[-1].words] == [1] * 8
    for step in steps:
        assert ["".join(word) for word in step.words] == PETER_PIPER.split()
        assert " " not in step.token


def test_rare_pairs_stay_apart() -> None:
    words = Counter({"\0\1": 3, "\2\3": 2, "\4\5": 1})
    assert learn(words, 6, 10, min_count=2)[0] == ["\0\1", "\2\3"]
    assert learn_by(frequency, words, 6, 10, min_count=2)[0] == ["\0\1", "\2\3"]


def test_scores() -> None:
    """q is always followed by u: the ratio prefers that to the more frequent th, in which t and h also stand alone."""
    words = ["th"] * 6 + ["t"] * 6 + ["h"] * 6 + ["qu"] * 2
    assert [next(merges_of(words, score)).token for score in (frequency, ratio)] == ["th", "qu"]


def test_merge_takes_overlaps_from_the_left() -> None:
    assert merge("aaaab", ("a", "a")) == ["aa", "aa", "b"]
    assert merge("aaa", ("a", "a")) == ["aa", "a"]


@pytest.mark.parametrize("nothing", ["", " \n ", [], [""]])
def test_nothing_to_merge(nothing) -> None:
    with pytest.raises(ValueError, match="at least one word"):
        next(merges_of(nothing))
