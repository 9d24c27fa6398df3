"""Encode a word with the merges of a byte-pair encoding (Sennrich, Haddow and Birch 2016, section 3.2)."""

import random
from collections import Counter
from itertools import pairwise

from exercises.ch02_tokens.bank.count_pairs import count_pairs
from exercises.ch02_tokens.bank.merge_pair import merge_pair
from exercises.grader.exercise import Exercise, hidden, public
from lmcore.check.ready import TOKENIZERS
from lmcore.check.run import Case


def bpe_encode(word, merges):
    symbols = list(word)
    for left, right in merges:
        i = 0
        while i < len(symbols) - 1:
            if symbols[i] == left and symbols[i + 1] == right:
                symbols[i : i + 2] = [left + right]
            i += 1
    return symbols


# Right, written differently


def lowest_rank_first(word, merges):
    rank = {pair: number for number, pair in enumerate(merges)}
    symbols = list(word)
    while candidates := [pair for pair in pairwise(symbols) if pair in rank]:
        symbols = _merge(symbols, min(candidates, key=rank.__getitem__))
    return symbols


def one_place_at_a_time(word, merges):
    rank = {tuple(pair): number for number, pair in enumerate(merges)}
    symbols = list(word)
    while len(symbols) > 1:
        ranks = [rank.get(pair, len(merges)) for pair in pairwise(symbols)]
        best = min(range(len(ranks)), key=ranks.__getitem__)
        if ranks[best] == len(merges):
            break
        symbols[best : best + 2] = ["".join(symbols[best : best + 2])]
    return symbols


def with_merge_pair(word, merges):
    words = {tuple(word): 1}
    for pair in merges:
        words = merge_pair(words, pair)
    (symbols,) = words
    return list(symbols)


def _merge(symbols, pair):
    """Merge one pair everywhere, from the left."""
    ((merged, _),) = merge_pair({tuple(symbols): 1}, pair).items()
    return list(merged)


# Wrong: the docstring is the hint


def leftmost_first(word, merges):
    """You merged whichever learned pair stands furthest left. The order in which the merges were learned decides: is there a
    pair further right that was learned earlier?"""
    symbols = list(word)
    while found := [i for i, pair in enumerate(pairwise(symbols)) if pair in merges]:
        symbols[found[0] : found[0] + 2] = ["".join(symbols[found[0] : found[0] + 2])]
    return symbols


def longest_match(word, merges):
    """You cut off the longest known token from the left. That is how WordPiece encodes. Byte-pair encoding replays the
    merges, and may end with another split."""
    known = {"".join(pair) for pair in merges}
    symbols, start = [], 0
    while start < len(word):
        end = max(e for e in range(start + 1, len(word) + 1) if e == start + 1 or word[start:e] in known)
        symbols.append(word[start:end])
        start = end
    return symbols


def last_learned_first(word, merges):
    """You applied the merges from the last learned to the first. A late merge needs symbols that earlier merges make: with
    which one did training begin?"""
    return bpe_encode(word, merges[::-1])


def most_frequent_first(word, merges):
    """You merged the pair that is most frequent in this word. Frequencies count in training only; when a word is encoded,
    the order of the learned merges decides."""
    symbols = list(word)
    while candidates := [pair for pair in pairwise(symbols) if pair in merges]:
        symbols = _merge(symbols, Counter(candidates).most_common(1)[0][0])
    return symbols


def longest_merge_first(word, merges):
    """You applied the merges that make the longest symbols first. Length plays no part: only the order in which they were
    learned does."""
    symbols = list(word)
    while candidates := [pair for pair in merges if pair in pairwise(symbols)]:
        symbols = _merge(symbols, max(candidates, key=lambda pair: len("".join(pair))))
    return symbols


def first_place_only(word, merges):
    """Each merge was applied at one place only. A pair that stands in the word twice is merged twice."""
    symbols = list(word)
    for pair in merges:
        if pair in (found := list(pairwise(symbols))):
            i = found.index(pair)
            symbols[i : i + 2] = ["".join(pair)]
    return symbols


def stops_after_one_merge(word, merges):
    """You stopped after the first merge that could be applied. Its result may be half of another pair: go on to the merges
    learned later."""
    symbols = list(word)
    for pair in merges:
        if pair in pairwise(symbols):
            return _merge(symbols, pair)
    return symbols


def stops_at_a_missing_pair(word, merges):
    """You stopped at the first merge whose pair is not in the word. A word holds few of the learned pairs: what about those
    learned later?"""
    symbols = list(word)
    for pair in merges:
        if pair not in pairwise(symbols):
            break
        symbols = _merge(symbols, pair)
    return symbols


def characters_only(word, merges):
    """Only single characters were merged. A symbol made by one merge may be half of the next pair: compare symbols, not
    characters."""
    return bpe_encode(word, [pair for pair in merges if len("".join(pair)) == 2])


def across_symbols(word, merges):
    """A part of a symbol was merged. After c and a have become ca, there is no symbol a before the b any more: compare whole
    symbols."""
    text = " ".join(word)
    for left, right in merges:
        text = text.replace(f"{left} {right}", left + right)
    return text.split()


def drops_single_characters(word, merges):
    """Characters that no merge joins are missing. They are tokens too: put together, the tokens must give the word again."""
    return [symbol for symbol in bpe_encode(word, merges) if len(symbol) > 1]


def loses_last_symbol(word, merges):
    """Every merge loses the last symbol, if it is not part of the pair, until little or nothing of the word is left. It has no
    right neighbour, but it must be kept: which place does your loop reach last?"""
    symbols = list(word)
    for pair in merges:
        kept, i = [], 0
        while i < len(symbols) - 1:
            both = (symbols[i], symbols[i + 1]) == pair
            kept.append("".join(pair) if both else symbols[i])
            i += 2 if both else 1
        symbols = kept
    return symbols


def keeps_right_half(word, merges):
    """The right half of a merged pair is still there. The new symbol stands for both halves."""
    symbols = list(word)
    for left, right in merges:
        after = [*symbols[1:], ""]
        symbols = [a + b if (a, b) == (left, right) else a for a, b in zip(symbols, after, strict=True)]
    return symbols


def end_of_word_mark(word, merges):
    """There is a mark for the end of the word among your symbols. The first paper on byte-pair encoding adds one; the merges
    of this exercise were learned without it, and the tokens must give the word again."""
    return bpe_encode([*word, "</w>"], merges)


def one_string(word, merges):
    """You returned one string. Return the list of symbols: only there is it clear where one ends and the next begins."""
    return " ".join(bpe_encode(word, merges))


LEARNED = [("c", "o"), ("co", "o"), ("coo", "k"), ("e", "d"), ("i", "n"), ("in", "g"), ("cook", "ed")]


def last_pair_never_merged(word, merges):
    """The last two symbols of the word are never merged: your loop ends one pair too early. A list of n symbols has n − 1
    pairs: which is the last place at which one begins?"""
    symbols = list(word)
    for pair in merges:
        i = 0
        while i + 2 < len(symbols):
            if (symbols[i], symbols[i + 1]) == pair:
                symbols[i : i + 2] = ["".join(pair)]
            i += 1
    return symbols


def cases(rng: random.Random) -> list[Case]:
    return [
        public("a word seen in training", "cooked", LEARNED),
        public("a new word", "cooing", LEARNED),
        public("an early pair stands further right", "abc", [("b", "c"), ("a", "b"), ("ab", "d")]),
        public("a late pair stands further left", "abcab", [("b", "c"), ("a", "bc"), ("a", "b")]),
        public("a frequent pair is learned late", "abcbc", [("a", "b"), ("b", "c")]),
        public("a long pair is learned late", "abcd", [("c", "d"), ("a", "b"), ("b", "cd")]),
        public("a pair twice", "banana", [("a", "n"), ("b", "an"), ("an", "a")]),
        public("a merged letter is gone", "cabcab", [("c", "a"), ("a", "b"), ("b", "ca")]),
        public("no merge applies", "xyz", LEARNED),
        hidden("the empty word", "", LEARNED),
        hidden("no merges", "cook", []),
        hidden("equal letters", "zzzzzzz", [("z", "z"), ("zz", "z"), ("zz", "zzz")]),
        *[hidden(f"learned from random words {i}", *_learned(rng)) for i in (1, 2, 3)],
    ]


def _learned(rng: random.Random) -> tuple[str, list[tuple[str, str]]]:
    """A random word, and merges that byte-pair encoding learns from other random words."""
    words = {tuple(rng.choices("abcd", k=rng.randint(3, 8))): rng.randint(1, 9) for _ in range(40)}
    merges: list[tuple[str, str]] = []
    for _ in range(12):
        counts = count_pairs(words)
        merges.append(max(counts, key=lambda pair: (counts[pair], pair)))
        words = merge_pair(words, merges[-1])
    return "".join(rng.choices("abcde", k=14)), merges


EXERCISE = Exercise(
    chapter="ch02_tokens",
    minutes=20,
    difficulty=2,
    points=4,
    reference=bpe_encode,
    right=[lowest_rank_first, one_place_at_a_time, with_merge_pair],
    wrong=[
        leftmost_first,
        longest_match,
        last_learned_first,
        most_frequent_first,
        longest_merge_first,
        first_place_only,
        stops_after_one_merge,
        stops_at_a_missing_pair,
        characters_only,
        across_symbols,
        drops_single_characters,
        loses_last_symbol,
        keeps_right_half,
        end_of_word_mark,
        one_string,
        last_pair_never_merged,
    ],
    cases=cases,
    ready=(*TOKENIZERS, "lmcore"),
)
