"""The posterior of masked words against summation over every text and every way the noise can act."""

import math
from collections import defaultdict
from itertools import product

import numpy as np
import pytest
from scipy import stats

from lmcore import MASK
from lmcore.world import MaskingNoise, World

# Nothing here has a shape to check, and checking every step of a walk through a grammar costs more than the walk.
pytestmark = pytest.mark.usefixtures("unchecked")


def by_hand(world: World, tokens: list[str], position: int, noise: MaskingNoise) -> dict[str, float]:
    """p(w_i | corrupted tokens, i chosen): sum over texts, and over chosen or not for every other position."""
    size, kept = len(world.vocabulary), 1 - noise.mask - noise.random

    def chosen(seen: str, word: str) -> float:
        return noise.mask if seen == MASK else noise.random / size + kept * (seen == word)

    out: dict[str, float] = defaultdict(float)
    for text, p in world.enumerate_texts():
        if len(text) != len(tokens):
            continue
        for pattern in product((False, True), repeat=len(tokens)):
            if not pattern[position]:
                continue
            q = p
            for seen, word, picked in zip(tokens, text, pattern, strict=True):
                q *= noise.rate * chosen(seen, word) if picked else (1 - noise.rate) * (seen == word)
            out[text[position]] += q
    total = sum(out.values())
    return {word: q / total for word, q in out.items() if q > 0}


CASES = [
    "She likes <mask> .",
    "<mask> likes apples . <mask> is happy .",
    "<mask> <mask> <mask> .",
    "He <mask> apples .",
    "He tea lollipops .",  # "tea" can only have been put there by the noise
    "She likes apples . He is happy .",  # so can one of "She" and "He"
    "<mask> <mask> <mask> <mask> <mask> <mask> <mask> <mask>",
]
NOISES = [MaskingNoise(), MaskingNoise(0.4, 0.5, 0.3), MaskingNoise(0.15, 0.8, 0.2), MaskingNoise(0.3, 0.6, 0.0)]


@pytest.mark.parametrize("text", CASES)
@pytest.mark.parametrize("noise", NOISES, ids=str)
def test_posterior_equals_enumeration(text, noise):
    world, tokens = World.tiny(), text.split()
    for position in range(len(tokens)):
        truth = by_hand(world, tokens, position, noise)
        if not truth:
            with pytest.raises(ValueError, match="no text of this world"):
                world.posterior(tokens, [position], noise)
            continue
        answer = world.posterior(tokens, [position], noise)
        assert answer.keys() == {position}
        assert answer[position] == pytest.approx(truth, rel=1e-8)
        assert math.fsum(answer[position].values()) == pytest.approx(1)


def test_all_positions_at_once_equal_one_by_one():
    world = World.tiny()
    tokens = ["<mask>", "likes", "tea", ".", "<mask>", "is", "<mask>", "."]
    together = world.posterior(tokens, [6, 0, 4])
    assert list(together) == [6, 0, 4]
    for position, distribution in together.items():
        assert distribution == pytest.approx(world.posterior(tokens, [position])[position])


def test_without_noise_elsewhere_both_sides_count():
    """A noise that only masks leaves the other words certain: the posterior is conditioning on a pattern."""
    world = World()
    left = world.posterior("Alice went to the <mask> . There she built a sandcastle .", [4], MaskingNoise(0.15, 1.0, 0.0))
    assert left[4] == pytest.approx({"beach": 1.0})
    right = world.next_distribution("Alice went to the")
    assert right["beach"] < 0.5


def test_word_that_may_have_been_replaced_is_doubted():
    """In "… to the kitchen . There she built a sandcastle ." either the place or the object was put there by the noise."""
    world = World()
    asked = world.posterior("Alice went to the kitchen . There she built a sandcastle .", [4])[4]
    assert max(asked, key=lambda w: asked[w]) == "beach"


def test_posterior_is_calibrated_on_corrupted_samples():
    """Over many corrupted texts the mean of 1[w_i = w] − p(w_i = w | …) is zero within its error, and no floor is lower."""
    world, rng = World.tiny(), np.random.default_rng(1)
    gaps, surprise, entropy = [], [], []
    for story in world.sample(2_500, seed=6):
        tokens, masked = world.corrupt(story.tokens, rng)
        for position, distribution in world.posterior(tokens, masked).items():
            gaps.append((story.tokens[position] == "She") - distribution.get("She", 0.0))
            surprise.append(-math.log(distribution[story.tokens[position]]))
            entropy.append(-sum(p * math.log(p) for p in distribution.values()))
    assert stats.ttest_1samp(gaps, 0).pvalue > 1e-3
    assert stats.ttest_1samp(np.subtract(surprise, entropy), 0).pvalue > 1e-3


def test_corrupt_follows_its_rates():
    world, noise, rng = World(), MaskingNoise(), np.random.default_rng(0)
    chosen = masked = same = total = 0
    for story in world.sample(4_000, seed=0):
        tokens, positions = world.corrupt(story.tokens, rng, noise)
        total += len(tokens)
        chosen += len(positions)
        masked += sum(tokens[i] == MASK for i in positions)
        same += sum(tokens[i] == story.tokens[i] for i in positions)
        untouched = set(range(len(tokens))) - set(positions)
        assert all(tokens[i] == story.tokens[i] for i in untouched)
    assert stats.binomtest(chosen, total, 0.15).pvalue > 1e-4
    assert stats.binomtest(masked, chosen, 0.8).pvalue > 1e-4
    assert stats.binomtest(same, chosen, 0.1 + 0.1 / len(world.vocabulary)).pvalue > 1e-4


@pytest.mark.parametrize(
    ("kwargs", "says"),
    [({"rate": 1.5}, "rate=1.5"), ({"mask": -0.1}, "mask=-0.1"), ({"mask": 0.8, "random": 0.3}, "exceeds 1")],
)
def test_bad_noise(kwargs, says):
    with pytest.raises(ValueError, match=says):
        MaskingNoise(**kwargs)


def test_impossible_text_is_an_error():
    with pytest.raises(ValueError, match="no text of this world"):
        World.tiny().posterior("She She She She", [0], MaskingNoise(0.15, 1.0, 0.0))
