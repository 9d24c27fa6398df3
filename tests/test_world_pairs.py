"""English–Dutch pairs: the same derivation on both sides, true alignments, Dutch word order and inflection."""

import math
import re
from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from lmcore.world import World, detokenize
from lmcore.world.dutch import GENDER
from lmcore.world.kinds import KINDS

# Nothing here has a shape to check, and checking every step of a walk through a grammar costs more than the walk.
pytestmark = pytest.mark.usefixtures("unchecked")


@cache
def drawn() -> list:
    return World().pairs(3_000, seed=3)


@pytest.fixture
def pairs():
    return drawn()


def test_english_side_is_the_sample_of_the_pair_world(pairs):
    world = World(kinds=("pairs",))
    assert [p.english for p in pairs] == [s.tokens for s in world.sample(3_000, seed=3)]
    surprise = np.array([-world.log_prob(p.english) for p in pairs])
    assert abs(surprise.mean() - world.entropy()) < 4 * surprise.std() / math.sqrt(len(surprise))


def test_dutch_side_has_exact_probabilities_too(pairs):
    dutch = World().dutch()
    surprise = np.array([-dutch.log_prob(p.dutch) for p in pairs])
    assert np.isfinite(surprise).all()
    entropy, _ = dutch.entropy()
    assert abs(surprise.mean() - entropy) < 4 * surprise.std() / math.sqrt(len(surprise))
    assert math.fsum(dutch.next_distribution("Maandag ging").values()) == pytest.approx(1)


def test_translate_finds_the_derivation(pairs):
    world = World()
    for english, dutch in pairs[:200]:
        assert world.translate(english) == dutch
    assert World(clauses=(1, 1)).translate("On Monday Alice went to the beach .") == tuple(
        ["Maandag", "ging", "Alice", "naar", "het", "strand", "."]
    )


def test_one_translation_each(pairs):
    seen: dict = {}
    for english, dutch in pairs:
        assert seen.setdefault(english, dutch) == dutch


def test_most_pairs_reorder(pairs):
    crossing = sum(p.crossings > 0 for p in pairs) / len(pairs)
    assert crossing > 0.9
    assert any(p.crossings == 0 for p in pairs), "not every sentence does"


def test_alignment_links_translations(pairs):
    """Names, punctuation and nouns link to themselves or their Dutch word; nothing links twice but words of one phrase."""
    nouns = {english: next(iter(row)) for (english,), row in KINDS["good_nl"].table.items()}
    for pair in pairs[:500]:
        links = dict(pair.alignment)
        assert all(0 <= i < len(pair.english) and 0 <= j < len(pair.dutch) for i, j in pair.alignment)
        for i, word in enumerate(pair.english):
            if word in KINDS["name"].values() or word in (".", ","):
                assert pair.dutch[links[i]].lower() == word.lower()
            if word in nouns and word not in ("bridge",) and word.lower() == word and i in links:
                assert pair.dutch[links[i]] == nouns[word], (pair.english, pair.dutch)
        assert len(links) >= 0.8 * len(pair.english)


def test_word_order(pairs):
    for pair in pairs:
        text = detokenize(pair.dutch)
        for clause in re.split(r",? (?:en|maar) |\.", text):
            if match := re.match(r"(?:Maandag|maandag|Dinsdag|dinsdag) (\w+)", clause):
                assert match[1] == "ging", "the verb comes second"
            if re.search(r"\b(heeft)\b", clause):
                assert clause.split()[-1] in PARTICIPLES, "the participle comes last"
            if " omdat " in clause:
                assert clause.endswith(" was"), "the verb comes last"


PARTICIPLES = {value for value in KINDS["act_part_nl"].values()}


def test_articles_and_adjectives_agree(pairs):
    gender = {next(iter(KINDS["good_nl"].table[(noun,)])): g for noun, g in GENDER.items()}
    endings = {
        next(iter(KINDS["look_nl"].table[key])): next(iter(KINDS["look_e"].table[key])) for key in KINDS["look_nl"].table
    }
    inflected = set(endings.values())
    seen = 0
    for pair in pairs:
        for before, word, after in zip(pair.dutch, pair.dutch[1:], (*pair.dutch[2:], ""), strict=False):
            if before.lower() in ("de", "het") and word in gender:
                assert before.lower() == gender[word]
            if after in gender and word in inflected | set(endings):
                seen += 1
                bare = before == "een" and gender[after] == "het"
                assert (word in endings and endings[word] != word) == bare or word not in endings
    assert seen > 100


@pytest.mark.parametrize("clauses", [(1, 1), (2, 2), (4, 5)])
def test_number_of_clauses_can_be_set(clauses):
    pairs = World(clauses=clauses).pairs(60, seed=0)
    assert {p.clauses for p in pairs} == set(range(clauses[0], clauses[1] + 1))
    assert all(p.english[-1] == p.dutch[-1] == "." for p in pairs)


def test_sentences_grow_with_clauses():
    lengths = [np.mean([len(p.english) for p in World(clauses=(k, k)).pairs(60, seed=0)]) for k in (1, 2, 4)]
    assert all(b > 1.6 * a for a, b in pairwise(lengths))
