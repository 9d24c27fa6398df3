"""Merge one pair everywhere: the second half of a BPE training step (Sennrich, Haddow and Birch 2016, algorithm 1)."""

import random
import re
from itertools import pairwise

from exercises.grader.exercise import Exercise, hidden, public
from lmcore.check.ready import TOKENIZERS
from lmcore.check.run import Case


def merge_pair(words, pair):
    merged = {}
    for word, frequency in words.items():
        symbols, i = [], 0
        while i < len(word):
            if word[i : i + 2] == pair:
                symbols.append(word[i] + word[i + 1])
                i += 2
            else:
                symbols.append(word[i])
                i += 1
        merged[tuple(symbols)] = frequency
    return merged


# Right, written differently


def onto_the_last_symbol(words, pair):
    merged = {}
    for word, frequency in words.items():
        symbols = []
        for symbol in word:
            if symbols and (symbols[-1], symbol) == pair:
                symbols[-1] += symbol
            else:
                symbols.append(symbol)
        merged[tuple(symbols)] = frequency
    return merged


def by_regular_expression(words, pair):
    both = re.compile(r"(?<!\S)" + re.escape(" ".join(pair)) + r"(?!\S)")
    return {tuple(both.sub("".join(pair), " ".join(word)).split()): count for word, count in words.items()}


def by_recursion(words, pair):
    def merge(word):
        if len(word) < 2:
            return word
        if (word[0], word[1]) == pair:
            return ("".join(pair), *merge(word[2:]))
        return (word[0], *merge(word[1:]))

    return {merge(word): words[word] for word in words}


# Wrong: the docstring is the hint


def across_symbols(words, pair):
    """A part of a symbol was merged: the last letters of a longer symbol were taken for the left half of the pair. Compare
    whole symbols. What does replacing text do with the symbols ca and b when the pair is (a, b)?"""
    return {tuple(" ".join(word).replace(" ".join(pair), "".join(pair)).split()): n for word, n in words.items()}


def first_only(words, pair):
    """Only the first place in each word was merged. The pair may stand in a word more than once: what happens after the
    first merge?"""
    merged = {}
    for word, frequency in words.items():
        for i in range(len(word) - 1):
            if (word[i], word[i + 1]) == pair:
                word = (*word[:i], "".join(pair), *word[i + 2 :])
                break
        merged[word] = frequency
    return merged


def overlapping(words, pair):
    """A symbol was used in two merges at once. In a-a-a the middle a can belong to one pair only: where does your loop go on
    after a merge?"""
    merged = {}
    for word, frequency in words.items():
        symbols, i = [], 0
        while i < len(word):
            if word[i : i + 2] == pair:
                symbols.append("".join(pair))
                i += 1 if word[i + 1 : i + 3] == pair else 2
            else:
                symbols.append(word[i])
                i += 1
        merged[tuple(symbols)] = frequency
    return merged


def from_the_right(words, pair):
    """You merged from right to left. In a-a-a this gives a-aa; by the rule of the exercise, reading from the left, it is
    aa-a."""
    merged = {}
    for word, frequency in words.items():
        symbols = list(word)
        for i in range(len(symbols) - 2, -1, -1):
            if tuple(symbols[i : i + 2]) == pair:
                symbols[i : i + 2] = ["".join(pair)]
        merged[tuple(symbols)] = frequency
    return merged


def either_order(words, pair):
    """The pair was merged in the reverse order as well. (a, b) and (b, a) are two pairs; only the given one is merged in this
    step."""
    back = (pair[1], pair[0])
    merged = {}
    for word, frequency in words.items():
        symbols, i = [], 0
        while i < len(word):
            if word[i : i + 2] in (pair, back):
                symbols.append(word[i] + word[i + 1])
                i += 2
            else:
                symbols.append(word[i])
                i += 1
        merged[tuple(symbols)] = frequency
    return merged


def loses_last_symbol(words, pair):
    """The last symbol of a word is lost when it is not part of a merge. It has no right neighbour, but it must be kept: which
    index does your loop reach last?"""
    merged = {}
    for word, frequency in words.items():
        symbols, i = [], 0
        while i < len(word) - 1:
            if word[i : i + 2] == pair:
                symbols.append("".join(pair))
                i += 2
            else:
                symbols.append(word[i])
                i += 1
        merged[tuple(symbols)] = frequency
    return merged


def keeps_right_half(words, pair):
    """The right half of the pair is still there after the merge. The new symbol stands for both: how far does your position
    move when you merge?"""
    merged = {}
    for word, frequency in words.items():
        symbols = []
        for i in range(len(word)):
            symbols.append("".join(pair) if word[i : i + 2] == pair else word[i])
        merged[tuple(symbols)] = frequency
    return merged


def only_changed_words(words, pair):
    """Words without the pair are missing from the result. The next step counts pairs in all words, so they must all be
    there."""
    return {word: n for word, n in merge_pair(words, pair).items() if "".join(pair) in word}


def loses_frequency(words, pair):
    """The frequencies are gone: every word has the frequency 1. Merging changes how a word is split, not how often it
    occurs."""
    return dict.fromkeys(merge_pair(words, pair), 1)


def left_half_decides(words, pair):
    """Symbols were merged that are not the pair: you compared only the left one. Which two things must both be true before
    you merge?"""
    merged = {}
    for word, frequency in words.items():
        symbols, i = [], 0
        while i < len(word):
            if word[i] == pair[0] and i + 1 < len(word):
                symbols.append(word[i] + word[i + 1])
                i += 2
            else:
                symbols.append(word[i])
                i += 1
        merged[tuple(symbols)] = frequency
    return merged


def right_before_left(words, pair):
    """The new symbol is spelt the wrong way round. The left symbol of the pair comes first in the new one."""
    new = {"".join(pair): pair[1] + pair[0]}
    return {tuple(new.get(s, s) for s in word): n for word, n in merge_pair(words, pair).items()}


def with_a_space(words, pair):
    """The new symbol contains a space. A merge puts the two symbols together without anything between them."""
    new = {"".join(pair): " ".join(pair)}
    return {tuple(new.get(s, s) for s in word): n for word, n in merge_pair(words, pair).items()}


def string_keys(words, pair):
    """The words of your result are strings. A word is a tuple of symbols, before and after a merge, or its symbols could not
    be told apart."""
    return {" ".join(word): n for word, n in merge_pair(words, pair).items()}


def joins_whole_word(words, pair):
    """A word that holds the pair became one single symbol. Only the two neighbours are joined, the other symbols stay."""
    merged = merge_pair(words, pair)
    return {("".join(word),) if "".join(pair) in word else word: n for word, n in merged.items()}


def changes_its_input(words, pair):
    """The result is right, but the dictionary you were given has changed too. Its owner may still need it: put the new words
    into a dictionary of your own."""
    merged = merge_pair(words, pair)
    words.clear()
    words.update(merged)
    return words


def cases(rng: random.Random) -> list[Case]:
    low = {("l", "o", "w"): 5, ("l", "o", "w", "e", "r"): 2, ("n", "e", "w"): 6}
    words, pair = _random_words(rng)
    return [
        public("the pair in two words of three", low, ("l", "o")),
        public("the pair twice in one word", {("b", "a", "n", "a", "n", "a"): 3}, ("a", "n")),
        public("three equal symbols", {("a", "a", "a"): 4, ("b", "a", "a"): 2}, ("a", "a")),
        public("a longer symbol ends like the pair", {("ca", "b"): 2, ("a", "b"): 3, ("b", "a"): 4}, ("a", "b")),
        public("a pair that does not occur", {("a", "c"): 7, ("c",): 1}, ("a", "b")),
        hidden("no words", {}, ("a", "b")),
        hidden("a run of equal symbols", {("z",) * n: n + 2 for n in range(1, 9)}, ("z", "z")),
        hidden("random words and a pair in them", words, pair),
        hidden("random words and another pair", *_random_words(rng)),
    ]


def _random_words(rng: random.Random) -> tuple[dict[tuple[str, ...], int], tuple[str, str]]:
    """Words over a, b and c in which some neighbours have been merged; different splits of one word do not occur."""
    words: dict[str, tuple[str, ...]] = {}
    for _ in range(12):
        symbols = tuple(rng.choices(["a", "b", "c", "ab", "ca"], k=rng.randint(2, 7)))
        words["".join(symbols)] = symbols
    left, right = rng.choice([pair for word in words.values() for pair in pairwise(word)])
    return {word: rng.randint(2, 90) for word in words.values()}, (left, right)


EXERCISE = Exercise(
    chapter="ch02_tokens",
    minutes=15,
    difficulty=2,
    points=3,
    reference=merge_pair,
    right=[onto_the_last_symbol, by_regular_expression, by_recursion],
    wrong=[
        across_symbols,
        first_only,
        overlapping,
        from_the_right,
        either_order,
        loses_last_symbol,
        keeps_right_half,
        only_changed_words,
        loses_frequency,
        left_half_decides,
        right_before_left,
        with_a_space,
        string_keys,
        joins_whole_word,
        changes_its_input,
    ],
    cases=cases,
    ready=(*TOKENIZERS, "lmcore"),
)
