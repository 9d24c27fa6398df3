"""Count the pairs of adjacent symbols: the first half of a BPE training step (Sennrich, Haddow and Birch 2016,
algorithm 1)."""

import random
from collections import Counter, defaultdict
from itertools import pairwise

from exercises.grader.exercise import Exercise, hidden, public
from lmcore.check.ready import TOKENIZERS
from lmcore.check.run import Case


def count_pairs(words):
    counts = {}
    for word, frequency in words.items():
        for left, right in pairwise(word):
            counts[left, right] = counts.get((left, right), 0) + frequency
    return counts


# Right, written differently


def by_index(words):
    counts = defaultdict(int)
    for word in words:
        for i in range(len(word) - 1):
            counts[(word[i], word[i + 1])] += words[word]
    return dict(counts)


def with_counters(words):
    total = Counter()
    for word, frequency in words.items():
        for pair, times in Counter(pairwise(word)).items():
            total[pair] += times * frequency
    return total


def one_pair_after_another(words):
    pairs = {pair for word in words for pair in pairwise(word)}
    return {pair: sum(frequency * list(pairwise(word)).count(pair) for word, frequency in words.items()) for pair in pairs}


# Wrong: the docstring is the hint


def ignores_frequency(words):
    """Each word was counted once, however often it occurs in the text. What does the number beside each word in `words`
    say, and how often does a pair occur that stands in a word seen five times?"""
    counts = {}
    for word in words:
        for pair in pairwise(word):
            counts[pair] = counts.get(pair, 0) + 1
    return counts


def once_per_word(words):
    """A pair that stands twice in the same word was counted once for that word. Go through b-a-n-a-n-a by hand: how
    often do you meet a-n?"""
    counts = {}
    for word, frequency in words.items():
        for pair in set(pairwise(word)):
            counts[pair] = counts.get(pair, 0) + frequency
    return counts


def overwrites(words):
    """The count of a pair is replaced when the pair turns up again, so only its last meeting remains. Should the new
    frequency replace the old count, or come on top of it?"""
    counts = {}
    for word, frequency in words.items():
        for pair in pairwise(word):
            counts[pair] = frequency
    return counts


def across_words(words):
    """The last symbol of one word was paired with the first symbol of the next. No merge crosses a word boundary: where
    does one word end in your loop?"""
    counts = {}
    previous = None
    for word, frequency in words.items():
        for symbol in word:
            if previous is not None:
                counts[previous, symbol] = counts.get((previous, symbol), 0) + frequency
            previous = symbol
    return counts


def misses_last_pair(words):
    """The last pair of every word is missing. A word of n symbols has n − 1 pairs: which indices does your loop visit?"""
    counts = {}
    for word, frequency in words.items():
        for i in range(len(word) - 2):
            pair = word[i], word[i + 1]
            counts[pair] = counts.get(pair, 0) + frequency
    return counts


def misses_first_pair(words):
    """The first pair of every word is missing. Indices start at 0: which pair does your loop visit first?"""
    counts = {}
    for word, frequency in words.items():
        for i in range(1, len(word) - 1):
            pair = word[i], word[i + 1]
            counts[pair] = counts.get(pair, 0) + frequency
    return counts


def wraps_around(words):
    """The last symbol of a word was paired with the first symbol of the same word. How many pairs has a word of three symbols,
    and how many do you count? (An index of −1, or a remainder, leads round the end.)"""
    counts = {}
    for word, frequency in words.items():
        for i in range(len(word)):
            pair = word[i - 1], word[i]
            counts[pair] = counts.get(pair, 0) + frequency
    return counts


def ignores_order(words):
    """(a, b) and (b, a) were counted as the same pair. Merging them gives ab and ba, which are different symbols: keep
    the order in which the two stand in the word."""
    counts = {}
    for word, frequency in words.items():
        for pair in pairwise(word):
            key = tuple(sorted(pair))
            counts[key] = counts.get(key, 0) + frequency
    return counts


def disjoint_pairs(words):
    """Every second pair was skipped. After the pair of the first and second symbol comes the pair of the second and
    third: by how much does your position grow from one pair to the next?"""
    counts = {}
    for word, frequency in words.items():
        for i in range(0, len(word) - 1, 2):
            pair = word[i], word[i + 1]
            counts[pair] = counts.get(pair, 0) + frequency
    return counts


def splits_symbols(words):
    """Symbols that have already been merged were taken apart into characters. A word is a tuple of symbols, and a
    symbol may be longer than one character: go through the tuple, not through its letters."""
    counts = {}
    for word, frequency in words.items():
        for pair in pairwise("".join(word)):
            counts[pair] = counts.get(pair, 0) + frequency
    return counts


def any_two(words):
    """Symbols that do not stand side by side were paired as well. Only neighbours can be merged."""
    counts = {}
    for word, frequency in words.items():
        for i in range(len(word)):
            for j in range(i + 1, len(word)):
                pair = word[i], word[j]
                counts[pair] = counts.get(pair, 0) + frequency
    return counts


def counts_symbols(words):
    """You counted single symbols. A merge joins two neighbours, so the keys of the result are pairs."""
    counts = {}
    for word, frequency in words.items():
        for symbol in word:
            counts[symbol] = counts.get(symbol, 0) + frequency
    return counts


def joined_keys(words):
    """The keys are strings. With strings, the pairs (a, bc) and (ab, c) become the same key abc, though they are
    different merges: use the tuple of the two symbols as the key."""
    counts = {}
    for word, frequency in words.items():
        for left, right in pairwise(word):
            counts[left + right] = counts.get(left + right, 0) + frequency
    return counts


def jumps_as_a_merge_does(words):
    """After a pair of two equal symbols you went on behind both. That is how a merge reads a word, and `str.count` a text. In
    the equation every place i counts by itself: at how many places of a-a-a does (a, a) stand?"""
    counts = {}
    for word, frequency in words.items():
        used = -1  # the place that the pair before has used up
        for i, pair in enumerate(pairwise(word)):
            if i != used:
                counts[pair] = counts.get(pair, 0) + frequency
                used = i + 1 if pair[0] == pair[1] else -1
    return counts


def neighbour_of_the_first_place(words):
    """You looked the place of a symbol up by the symbol itself, and that always gives its first place. Go through
    b-a-n-a-l by hand: what stands behind the second a, and which pair did you count there?"""
    counts = {}
    for word, frequency in words.items():
        for symbol in word[:-1]:
            pair = symbol, word[word.index(symbol) + 1]
            counts[pair] = counts.get(pair, 0) + frequency
    return counts


def cases(rng: random.Random) -> list[Case]:
    return [
        public("one word", {("l", "o", "w"): 5}),
        public("a pair that two words share", {("l", "o", "w"): 5, ("l", "o", "w", "e", "r"): 2}),
        public("a pair twice in one word", {("b", "a", "n", "a", "n", "a"): 3, ("b", "a", "n", "a", "l"): 2}),
        public("symbols longer than one character", {("pe", "ck"): 2, ("p", "eck"): 1, ("pe", "pp", "er"): 4}),
        public("three equal symbols", {("a", "a", "a"): 4, ("b", "a", "a"): 2}),
        public("a word of one symbol", {("a",): 7, ("a", "b"): 1}),
        hidden("more equal symbols", {("z", "z", "z", "z", "y"): 4, ("z",): 2}),
        hidden("no words", {}),
        *[hidden(f"random words {i}", _random_words(rng)) for i in (1, 2, 3)],
    ]


def _random_words(rng: random.Random) -> dict[tuple[str, ...], int]:
    symbols = ["a", "b", "ab", "ba", "c"]
    return {tuple(rng.choices(symbols, k=rng.randint(1, 7))): rng.randint(2, 90) for _ in range(8)}


EXERCISE = Exercise(
    chapter="ch02_tokens",
    minutes=10,
    difficulty=1,
    points=2,
    reference=count_pairs,
    right=[by_index, with_counters, one_pair_after_another],
    wrong=[
        ignores_frequency,
        once_per_word,
        overwrites,
        across_words,
        misses_last_pair,
        misses_first_pair,
        wraps_around,
        ignores_order,
        disjoint_pairs,
        splits_symbols,
        any_two,
        counts_symbols,
        joined_keys,
        jumps_as_a_merge_does,
        neighbour_of_the_first_place,
    ],
    cases=cases,
    ready=(*TOKENIZERS, "lmcore"),
)
