"""Add-k smoothing after one context (Lidstone's estimate; Chen and Goodman 1999, section 2.1)."""

import random
from collections import Counter

import torch

from exercises.grader.exercise import Exercise, hidden, public
from lmcore.check.run import Case


def add_k_distribution(counts, k, vocabulary):
    total = sum(counts.values()) + k * len(vocabulary)
    return {word: (counts.get(word, 0) + k) / total for word in vocabulary}


# Right, written differently


def with_a_counter(counts, k, vocabulary):
    smoothed = Counter(counts)
    for word in vocabulary:
        smoothed[word] += k
    total = sum(smoothed.values())
    return {word: smoothed[word] / total for word in vocabulary}


def with_a_tensor(counts, k, vocabulary):
    raised = torch.tensor([counts.get(word, 0) for word in vocabulary], dtype=torch.float64) + k
    return dict(zip(vocabulary, (raised / raised.sum()).tolist(), strict=True))


def as_a_mixture(counts, k, vocabulary):
    seen, size = sum(counts.values()), len(vocabulary)
    share = seen / (seen + k * size)
    result = {}
    for word in vocabulary:
        frequency = counts.get(word, 0) / seen if seen else 0.0
        result[word] = share * frequency + (1 - share) / size
    return result


# Wrong: the docstring is the hint


def no_smoothing(counts, k, vocabulary):
    """Words that were not seen still have probability 0: these are the unsmoothed frequencies. Where does k enter?"""
    total = sum(counts.values())
    return {word: counts.get(word, 0) / total if total else 0.0 for word in vocabulary}


def denominator_without_k(counts, k, vocabulary):
    """Your probabilities sum to more than 1. k was added to every numerator, but the denominator is still the
    plain number of observations. By how much did all numerators together grow?"""
    total = max(sum(counts.values()), 1)
    return {word: (counts.get(word, 0) + k) / total for word in vocabulary}


def k_once_in_denominator(counts, k, vocabulary):
    """The denominator grew by k only once. Every word of the vocabulary got k: by how much did their sum grow?"""
    total = sum(counts.values()) + k
    return {word: (counts.get(word, 0) + k) / total for word in vocabulary}


def size_without_k(counts, k, vocabulary):
    """The denominator grew by the size of the vocabulary. That is right for k = 1 only."""
    total = sum(counts.values()) + len(vocabulary)
    return {word: (counts.get(word, 0) + k) / total for word in vocabulary}


def always_one(counts, k, vocabulary):
    """You added 1 to every count, whatever k is. That is Laplace's special case."""
    total = sum(counts.values()) + len(vocabulary)
    return {word: (counts.get(word, 0) + 1) / total for word in vocabulary}


def size_of_seen(counts, k, vocabulary):
    """The denominator has k only for the words that were seen after this context; where none was, you divide by 0. Every word
    of the vocabulary gets k, seen here or not."""
    total = sum(counts.values()) + k * len(counts)
    return {word: (counts.get(word, 0) + k) / total for word in vocabulary}


def only_seen_words(counts, k, vocabulary):
    """The result lacks the words that were never seen after this context. They are the reason for smoothing: which
    collection do you loop over?"""
    total = sum(counts.values()) + k * len(vocabulary)
    return {word: (count + k) / total for word, count in counts.items()}


def only_unseen_get_k(counts, k, vocabulary):
    """Only the words with count 0 got k, so where a word was seen, your probabilities sum to less than 1. The denominator is
    right: to how many words does the equation add k?"""
    total = sum(counts.values()) + k * len(vocabulary)
    return {word: (counts.get(word, 0) or k) / total for word in vocabulary}


def k_missing_in_numerator(counts, k, vocabulary):
    """Unseen words still have probability 0, and the probabilities sum to less than 1. The denominator has its
    share of k; the numerators do not."""
    total = sum(counts.values()) + k * len(vocabulary)
    return {word: counts.get(word, 0) / total for word in vocabulary}


def types_for_tokens(counts, k, vocabulary):
    """In the denominator you counted each seen word once. The sum of the counts is the number of observations: a word
    seen five times counts five times."""
    total = len(counts) + k * len(vocabulary)
    return {word: (counts.get(word, 0) + k) / total for word in vocabulary}


def numerators_only(counts, k, vocabulary):
    """These are the raised counts. Divide them by their sum to get probabilities."""
    return {word: counts.get(word, 0) + k for word in vocabulary}


def list_in_vocabulary_order(counts, k, vocabulary):
    """The numbers are right, but they come as a list. Return a dictionary from word to probability, so that nobody
    has to know the order."""
    return list(add_k_distribution(counts, k, vocabulary).values())


def size_of_seen_if_any(counts, k, vocabulary):
    """The denominator has k only for the words that were seen after this context. Every word of the vocabulary gets k, seen
    here or not; then a context that was never seen needs no rule of its own."""
    return size_of_seen(counts if counts else dict.fromkeys(vocabulary, 0), k, vocabulary)


def only_unseen_get_k_then_normalised(counts, k, vocabulary):
    """Only the words that were not seen got k. Your numbers sum to 1, but the seen words have the wrong share: to how many
    words of the vocabulary does the equation add k?"""
    raised = {word: counts.get(word, k) for word in vocabulary}
    total = sum(raised.values())
    return {word: count / total for word, count in raised.items()}


def whole_numbers_of_k(counts, k, vocabulary):
    """You turned k into a whole number: the words were listed k more times, or k was rounded. k may be 0.5, and half an
    occurrence cannot be listed. Which numbers of the equation can you compute without a list of occurrences?"""
    return add_k_distribution(counts, int(k), vocabulary)


def cases(rng: random.Random) -> list[Case]:
    return [
        public("k = 1, one unseen word", {"tea": 3, "milk": 1}, 1, ["tea", "milk", "water"]),
        public("k = 0.5", {"tea": 3, "milk": 1}, 0.5, ["milk", "tea", "water", "coffee", "juice"]),
        public("a context that was never seen", {}, 0.25, ["tea", "milk", "water"]),
        public("every word was seen", {"tea": 2, "milk": 5}, 2, ["tea", "milk"]),
        hidden("one word", {"tea": 4}, 0.1, ["tea"]),
        *[hidden(f"random counts {i}", *_random_counts(rng)) for i in (1, 2, 3)],
    ]


def _random_counts(rng: random.Random) -> tuple[dict[str, int], float, list[str]]:
    vocabulary = [f"w{i}" for i in range(rng.randint(5, 11))]
    seen = rng.sample(vocabulary, rng.randint(2, 4))
    return {word: rng.randint(1, 40) for word in seen}, rng.choice([0.01, 0.3, 1.7]), vocabulary


EXERCISE = Exercise(
    chapter="ch01_language_models",
    minutes=10,
    difficulty=1,
    points=2,
    reference=add_k_distribution,
    right=[with_a_counter, with_a_tensor, as_a_mixture],
    wrong=[
        no_smoothing,
        denominator_without_k,
        k_once_in_denominator,
        size_without_k,
        always_one,
        size_of_seen,
        only_seen_words,
        only_unseen_get_k,
        k_missing_in_numerator,
        types_for_tokens,
        numerators_only,
        list_in_vocabulary_order,
        size_of_seen_if_any,
        only_unseen_get_k_then_normalised,
        whole_numbers_of_k,
    ],
    cases=cases,
    ready=("lmcore",),
)
