"""Interpolated Kneser–Ney for bigrams (Kneser and Ney 1995; the interpolated form is in Chen and Goodman 1999, section 3)."""

import random
from collections import Counter, defaultdict

from exercises.grader.exercise import Exercise, hidden, public
from lmcore.check.run import Case


def kneser_ney(bigrams, discount, context, word):
    continuation = sum(second == word for _, second in bigrams) / len(bigrams)
    followers = [count for (first, _), count in bigrams.items() if first == context]
    if not followers:
        return continuation
    own = max(bigrams.get((context, word), 0) - discount, 0) / sum(followers)
    weight = discount * len(followers) / sum(followers)
    return own + weight * continuation


# Right, written differently


def with_tables(bigrams, discount, context, word):
    total, kinds, before = Counter(), Counter(), Counter()
    for (first, second), count in bigrams.items():
        total[first] += count
        kinds[first] += 1
        before[second] += 1
    lower = before[word] / before.total()
    if context not in total:
        return lower
    count = bigrams.get((context, word), 0)
    own = count - discount if count else 0
    return (own + discount * kinds[context] * lower) / total[context]


def with_sets(bigrams, discount, context, word):
    preceding = defaultdict(set)
    for first, second in bigrams:
        preceding[second].add(first)
    lower = len(preceding[word]) / sum(map(len, preceding.values()))
    after = {second: count for (first, second), count in bigrams.items() if first == context}
    total = sum(after.values())
    if total == 0:
        return lower
    kept = {second: count - discount for second, count in after.items()}
    left_over = total - sum(kept.values())
    return kept.get(word, 0) / total + left_over / total * lower


def in_loops(bigrams, discount, context, word):
    total = kinds = before = own = 0
    for (first, second), count in bigrams.items():
        if second == word:
            before += 1
        if first == context:
            total += count
            kinds += 1
            if second == word:
                own = count - discount
    probability = before / len(bigrams)
    if total:
        probability = own / total + discount * kinds / total * probability
    return probability


# Wrong: the docstring is the hint. Most differ from the reference in one of its parts.


def _mix(bigrams, discount, context, word, continuation):
    """Interpolate with a given lower distribution."""
    followers = [count for (first, _), count in bigrams.items() if first == context]
    if not followers:
        return continuation
    own = max(bigrams.get((context, word), 0) - discount, 0) / sum(followers)
    return own + discount * len(followers) / sum(followers) * continuation


def _continuation(bigrams, word):
    return sum(second == word for _, second in bigrams) / len(bigrams)


def plain_unigram(bigrams, discount, context, word):
    """Below the bigram stands the plain frequency of the word. Kneser–Ney asks instead after how many different
    words it was seen: count pairs, not occurrences."""
    occurrences = sum(count for (_, second), count in bigrams.items() if second == word)
    return _mix(bigrams, discount, context, word, occurrences / sum(bigrams.values()))


def followers_not_predecessors(bigrams, discount, context, word):
    """You counted the different words that come after the word. The continuation count asks which different words
    come before it."""
    return _mix(bigrams, discount, context, word, sum(first == word for first, _ in bigrams) / len(bigrams))


def continuation_of_context(bigrams, discount, context, word):
    """The continuation count is that of the context word. Which word's probability is asked for?"""
    return _mix(bigrams, discount, context, word, _continuation(bigrams, context))


def continuation_per_word(bigrams, discount, context, word):
    """You divided the continuation count by the number of different words. The continuation counts of all words
    add up to the number of different bigrams; that is what makes them a distribution."""
    return _mix(bigrams, discount, context, word, _continuation(bigrams, word) * len(bigrams) / len({w for _, w in bigrams}))


def continuation_per_occurrence(bigrams, discount, context, word):
    """You divided the continuation count by the number of bigram occurrences. It counts different bigrams, so
    divide by their number."""
    return _mix(bigrams, discount, context, word, _continuation(bigrams, word) * len(bigrams) / sum(bigrams.values()))


def uniform_below(bigrams, discount, context, word):
    """What the discount frees was spread evenly over the words. Give it to the continuation distribution instead:
    a word that was seen after many different words gets more."""
    words = {second for _, second in bigrams}
    return _mix(bigrams, discount, context, word, 1 / len(words) if word in words else 0.0)


def no_discount(bigrams, discount, context, word):
    """The count of the bigram was not discounted, so the probabilities sum to more than 1. What is given to the
    shorter context must first be taken away."""
    followers = [count for (first, _), count in bigrams.items() if first == context]
    if not followers:
        return _continuation(bigrams, word)
    weight = discount * len(followers) / sum(followers)
    return bigrams.get((context, word), 0) / sum(followers) + weight * _continuation(bigrams, word)


def nothing_given_back(bigrams, discount, context, word):
    """The counts are discounted, but what was taken away is not given to anyone, so the probabilities sum to less
    than 1. Add the second term of the equation."""
    total = sum(count for (first, _), count in bigrams.items() if first == context)
    if not total:
        return _continuation(bigrams, word)
    return max(bigrams.get((context, word), 0) - discount, 0) / total


def negative_counts(bigrams, discount, context, word):
    """A bigram that was never seen had the discount taken from its count of 0. No count goes below 0."""
    followers = [count for (first, _), count in bigrams.items() if first == context]
    if not followers:
        return _continuation(bigrams, word)
    own = (bigrams.get((context, word), 0) - discount) / sum(followers)
    return own + discount * len(followers) / sum(followers) * _continuation(bigrams, word)


def backs_off(bigrams, discount, context, word):
    """The shorter context is used only where the bigram was not seen. That is backoff; the equation here
    interpolates, so the second term is always added."""
    total = sum(count for (first, _), count in bigrams.items() if first == context)
    if total and (context, word) in bigrams:
        return (bigrams[context, word] - discount) / total
    return _mix(bigrams, discount, context, word, _continuation(bigrams, word))


def weight_is_the_discount(bigrams, discount, context, word):
    """The weight of the shorter context is the discount itself. What share of all occurrences of this context did the discount
    take away?"""
    total = sum(count for (first, _), count in bigrams.items() if first == context)
    if not total:
        return _continuation(bigrams, word)
    return max(bigrams.get((context, word), 0) - discount, 0) / total + discount * _continuation(bigrams, word)


def weight_counts_once(bigrams, discount, context, word):
    """The weight takes the discount away once. It was taken from every different word that follows the context:
    how many are there?"""
    total = sum(count for (first, _), count in bigrams.items() if first == context)
    if not total:
        return _continuation(bigrams, word)
    return max(bigrams.get((context, word), 0) - discount, 0) / total + discount / total * _continuation(bigrams, word)


def total_of_the_word(bigrams, discount, context, word):
    """You divided by how often the word occurs. The first term is a share of the context: divide by how often the
    context occurs."""
    followers = [count for (first, _), count in bigrams.items() if first == context]
    occurrences = sum(count for (_, second), count in bigrams.items() if second == word)
    if not followers or not occurrences:
        return _mix(bigrams, discount, context, word, _continuation(bigrams, word))
    own = max(bigrams.get((context, word), 0) - discount, 0) / occurrences
    return own + discount * len(followers) / sum(followers) * _continuation(bigrams, word)


def swapped(bigrams, discount, context, word):
    """Context and word are the wrong way round. The keys of `bigrams` are (context, word)."""
    return _mix(bigrams, discount, word, context, _continuation(bigrams, context))


def zero_for_unseen_context(bigrams, discount, context, word):
    """A context that was never seen gives 0 for every word. Nothing is known about it, so the continuation
    probability alone decides."""
    if not any(first == context for first, _ in bigrams):
        return 0.0
    return _mix(bigrams, discount, context, word, _continuation(bigrams, word))


def divides_for_unseen_context(bigrams, discount, context, word):
    """Your function divides by 0 where nothing was ever seen after the context. That can also be a word you know: sat was seen,
    but how often as a context? The continuation probability alone decides there."""
    followers = [count for (first, _), count in bigrams.items() if first == context]
    own = max(bigrams.get((context, word), 0) - discount, 0) / sum(followers)
    return own + discount * len(followers) / sum(followers) * _continuation(bigrams, word)


TOY = {
    ("San", "Francisco"): 9,
    ("the", "glasses"): 2,
    ("reading", "glasses"): 1,
    ("new", "glasses"): 1,
    ("the", "cat"): 4,
    ("cat", "sat"): 3,
    ("new", "cat"): 1,
}


def cases(rng: random.Random) -> list[Case]:
    return [
        public("a bigram that was seen", TOY, 0.75, "the", "glasses"),
        public("a frequent word with one predecessor", TOY, 0.75, "new", "Francisco"),
        public("an unseen bigram of known words", TOY, 0.5, "reading", "cat"),
        public("a word that is also a context", TOY, 0.6, "the", "cat"),
        public("a context that was never seen", TOY, 0.75, "sat", "glasses"),
        public("a word that was never seen second", TOY, 0.25, "the", "San"),
        *[hidden(f"random counts {i}", *_random_bigrams(rng)) for i in (1, 2, 3, 4)],
    ]


def _random_bigrams(rng: random.Random) -> tuple[dict[tuple[str, str], int], float, str, str]:
    words = ["a", "b", "c", "d", "e", "f"]
    pairs = rng.sample([(x, y) for x in words for y in words], 13)
    bigrams = {pair: rng.choice([1, 1, 2, 3, 8]) for pair in pairs}
    context, word = rng.choice(pairs) if rng.random() < 0.5 else (rng.choice(words), rng.choice(words))
    return bigrams, rng.choice([0.3, 0.75, 0.9]), context, word


EXERCISE = Exercise(
    chapter="ch01_language_models",
    minutes=25,
    difficulty=2,
    points=4,
    reference=kneser_ney,
    right=[with_tables, with_sets, in_loops],
    wrong=[
        plain_unigram,
        followers_not_predecessors,
        continuation_of_context,
        continuation_per_word,
        continuation_per_occurrence,
        uniform_below,
        no_discount,
        nothing_given_back,
        negative_counts,
        backs_off,
        weight_is_the_discount,
        weight_counts_once,
        total_of_the_word,
        swapped,
        zero_for_unseen_context,
        divides_for_unseen_context,
    ],
    cases=cases,
    equivalent={"0 → -1 #2": "a bigram that was never seen: −1 minus the discount is below 0 too, and max(…, 0) makes it 0"},
    ready=("lmcore",),
)
