"""Learning merges: glue the most frequent neighbours together, again and again.

Start from symbols (characters, or the 256 bytes). Count every pair of neighbours, make the most frequent pair one new token,
and repeat (Gage 1994; Sennrich, Haddow and Birch 2016, section 3.2, https://aclanthology.org/P16-1162). A pair is only ever
counted inside a word, so no merge crosses the border between two words.

The tie rule: every token has a number, in the order of the code points for the first symbols and in the order of their making
for the merged ones. Among equally frequent pairs, the one whose left token has the smallest number wins; then the one whose
right token has. This is the rule of Hugging Face ``tokenizers``.

:func:`merges_of` is the algorithm as one reads it. :func:`learn` computes the same merges hundreds of times faster.
:func:`learn_by` chooses the pair by another score than its frequency.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from itertools import pairwise

# Every token is one character in `learn`; chr() ends here.
MOST_TOKENS = 0x110000


# How good a merge of a and b is: score(count of a b, count of a, count of b, count of all tokens).
Score = Callable[[int, int, int, int], float]


def frequency(ab: int, a: int, b: int, total: int) -> int:
    """How often the pair occurs: byte-pair encoding."""
    return ab


def ratio(ab: int, a: int, b: int, total: int) -> float:
    """How much oftener the pair occurs than its parts would let one expect: count(ab) / (count(a) count(b))."""
    return ab / (a * b)


def gain(ab: int, a: int, b: int, total: int) -> float:
    """About how much the merge adds to the log-likelihood of the text, in nats: count(ab) log(p(ab) / (p(a) p(b)))."""
    return ab * math.log(ab * total / (a * b))


@dataclass(frozen=True)
class MergeStep:
    """One step of :func:`merges_of`."""

    pair: tuple[str, str]
    """The two tokens that became one."""
    count: int
    """How often they stood side by side before the merge."""
    words: list[list[str]]
    """Every word, in its order in the text, as its tokens after the merge."""

    @property
    def token(self) -> str:
        """The new token."""
        return "".join(self.pair)


def merge(word: Sequence[str], pair: tuple[str, str]) -> list[str]:
    """``word`` with each ``pair`` of neighbours made one token, from left to right: a a a with the pair (a, a) is aa a."""
    merged: list[str] = []
    i = 0
    while i < len(word):
        found = tuple(word[i : i + 2]) == pair
        merged.append("".join(pair) if found else word[i])
        i += 2 if found else 1
    return merged


def merges_of(words: str | Iterable[str], score: Score = frequency) -> Iterator[MergeStep]:
    """Byte-pair encoding, merge by merge: the reference that :func:`learn` and :func:`learn_by` are tested against.

    Args:
        words: a text, which is split at white space, or its words. The characters are the first symbols.
        score: what the best pair has most of.

    Yields:
        One step per merge, until every word is one token. Each recounts the whole text.

    Raises:
        ValueError: there is no word.
    """
    tokens = [list(word) for word in (words.split() if isinstance(words, str) else words)]
    if not any(tokens):
        raise ValueError("there is nothing to merge in an empty text; give at least one word")
    number = {symbol: i for i, symbol in enumerate(sorted({symbol for word in tokens for symbol in word}))}
    while pairs := Counter(pair for word in tokens for pair in pairwise(word)):
        units = Counter(unit for word in tokens for unit in word)
        scores = {(a, b): score(n, units[a], units[b], units.total()) for (a, b), n in pairs.items()}
        best = min(scores, key=lambda pair: (-scores[pair], number[pair[0]], number[pair[1]]))
        number["".join(best)] = len(number)
        tokens = [merge(word, best) for word in tokens]
        yield MergeStep(best, pairs[best], tokens)


def learn(words: Mapping[str, int], first: int, n_merges: int, min_count: int = 1) -> tuple[list[str], list[str]]:
    """The first ``n_merges`` merges, with pair counts that are kept up to date instead of counted again.

    A word is a string in which *one character is one token*: ``chr(number)``. So a merge is a search for two characters in
    a string, which Python does fast. Three things make it fast: equal words are merged once, with their count; an index
    says which words hold a pair; a heap gives the best pair, and an entry whose count is out of date is corrected when
    it comes to the top (counts of old pairs only fall, so an out-of-date entry is never too far down).

    Args:
        words: each word and how often it occurs, for example ``{"\\x03\\x01": 7}``.
        first: the number of the first merged token; all characters of ``words`` lie below it.
        n_merges: how many merges to learn; fewer if no pair is left.
        min_count: rarer pairs are not merged.

    Returns:
        The merged pairs, each a string of two characters, of which pair ``i`` became ``chr(first + i)``; and the words of
        ``words``, in their order, as the merges left them.
    """
    segmented, weights, counts, where = _index(words)
    # Two strings of two characters compare by the numbers of their tokens: the tie rule.
    heap = [(-count, pair) for pair, count in counts.items()]
    heapify(heap)
    pairs: list[str] = []
    while heap and len(pairs) < n_merges:
        negative, pair = heappop(heap)
        if counts[pair] != -negative:
            if counts[pair] > 0:
                heappush(heap, (-counts[pair], pair))
            continue
        if -negative < min_count:
            break
        new = chr(first + len(pairs))
        pairs.append(pair)
        for grown in _merge_everywhere(pair, new, segmented, weights, counts, where):
            heappush(heap, (-counts[grown], grown))
    return pairs, segmented


def learn_by(
    score: Score, words: Mapping[str, int], first: int, n_merges: int, min_count: int = 1
) -> tuple[list[str], list[str]]:
    """:func:`learn`, but the best pair is the one with the highest ``score``.

    A score changes when the count of a part does, in ways that no heap foresees. So every merge looks at every pair: slower.
    """
    segmented, weights, counts, where = _index(words)
    units: Counter[str] = Counter()
    for word, weight in words.items():
        for unit in word:
            units[unit] += weight
    total = units.total()
    pairs: list[str] = []
    while len(pairs) < n_merges:
        scores = [(-score(n, units[p[0]], units[p[1]], total), p) for p, n in counts.items() if n >= max(1, min_count)]
        if not scores:
            break
        _, pair = min(scores)
        new = chr(first + len(pairs))
        pairs.append(pair)
        touched = set(where[pair])
        merged = -sum(len(segmented[index]) * weights[index] for index in touched)
        _merge_everywhere(pair, new, segmented, weights, counts, where)
        merged += sum(len(segmented[index]) * weights[index] for index in touched)
        units.update({new: -merged})
        units.update({pair[0]: merged})
        units.update({pair[1]: merged})
        total += merged
    return pairs, segmented


def _index(words: Mapping[str, int]) -> tuple[list[str], list[int], defaultdict[str, int], defaultdict[str, set[int]]]:
    """The words, how often each occurs, how often each pair does, and which words hold it."""
    counts: defaultdict[str, int] = defaultdict(int)
    where: defaultdict[str, set[int]] = defaultdict(set)
    for index, (word, weight) in enumerate(words.items()):
        for i in range(len(word) - 1):
            pair = word[i : i + 2]
            counts[pair] += weight
            where[pair].add(index)
    return list(words), list(words.values()), counts, where


def _merge_everywhere(
    pair: str, new: str, segmented: list[str], weights: list[int], counts: dict[str, int], where: dict[str, set[int]]
) -> set[str]:
    """Merge ``pair`` into ``new`` in every word that holds it, in place; return the pairs that did not exist before."""
    a, b = pair[0], pair[1]
    grown: set[str] = set()
    for index in where.pop(pair):
        word = segmented[index]
        parts = word.split(pair)
        if len(parts) == 1:  # an earlier merge took the pair out of this word
            continue
        weight = weights[index]
        segmented[index] = new.join(parts)
        for left, right in pairwise(parts):
            if left:
                counts[left[-1] + a] -= weight
                counts[left[-1] + new] += weight
                where[left[-1] + new].add(index)
                grown.add(left[-1] + new)
            if right:
                counts[b + right[0]] -= weight
                counts[new + right[0]] += weight
                where[new + right[0]].add(index)
                grown.add(new + right[0])
        # Two merges side by side: nothing stood between them.
        for _ in range(parts[1:-1].count("")):
            counts[b + a] -= weight
            counts[new + new] += weight
            where[new + new].add(index)
            grown.add(new + new)
    del counts[pair]
    return grown
