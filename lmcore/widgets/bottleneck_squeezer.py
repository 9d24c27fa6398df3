"""The bottleneck squeezer: translations of an encoder–decoder whose context vector keeps fewer and fewer numbers."""

from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import traitlets as t

from lmcore.evaluate import Text, as_texts, as_tokens, bleu
from lmcore.widgets.base import Figure, in_range, one_of

SAME, WRONG, MISSING, EXTRA = "=", "x", "-", "+"


def marks(reference: Text, translation: Text) -> str:
    """What happened to every word, as one letter each, in the order of an alignment with the fewest mistakes.

    ``=`` the word is there, ``x`` another word stands in its place, ``-`` it is missing, ``+`` a word too many. The number of
    letters other than ``=`` is Levenshtein's distance between the two lists of words; of the alignments with that distance,
    one with the most words in place is taken.
    """
    want, have = as_tokens(reference), as_tokens(translation)
    # best[i][j] = (mistakes, −words in place, letters) for the first i words wanted and the first j that are there
    best = [[(j, 0, EXTRA * j) for j in range(len(have) + 1)]]
    for i, word in enumerate(want, start=1):
        row = [(i, 0, MISSING * i)]
        for j, other in enumerate(have, start=1):
            cost, same, path = best[-1][j - 1]
            across = (cost, same - 1, path + SAME) if word == other else (cost + 1, same, path + WRONG)
            (cost, same, path), (up_cost, up_same, up_path) = row[-1], best[-1][j]
            row.append(
                min(across, (up_cost + 1, up_same, up_path + MISSING), (cost + 1, same, path + EXTRA), key=lambda e: e[:2])
            )
        best.append(row)
    return best[-1][-1][2]


class BottleneckSqueezer(Figure, module="bottleneck_squeezer.mjs"):
    r"""Bottleneck squeezer: how translations suffer when the context vector keeps only k numbers.

    Python translates every text at every k with ``translate`` and scores each k by :func:`lmcore.evaluate.bleu` over all texts,
    over the short ones and over the long ones. The page shows one text at a time: source, reference, and the translation
    with wrong, missing and extra words marked, beside BLEU against k.

    ``sentence`` (a place in the list of those shown, shortest first) and ``squeeze`` (one of ``squeezes``) can be set and read
    from Python. The figure opens, at the largest k, with the text that loses most words on the way to the smallest.

    Args:
        texts: source texts, strings or lists of words.
        references: one reference translation per text.
        translate: ``translate(texts, k)`` gives a translation of every text, in their order, by a model whose context is
            squeezed to k numbers; strings or lists of words.
        squeezes: the values of k, each once; shown from smallest to largest.
        full: how many numbers the context has unsqueezed; by default the largest of ``squeezes``.
        shown: so many texts can be looked at, spread evenly over all lengths; BLEU is over all of them.
        split: texts of at most so many words count as short; by default the median.
        languages: name and code (BCP 47, for screen readers) of the source and of the target language.

    Raises:
        ValueError: no text, numbers of texts, references and translations that differ, a k that is no whole number from 1
            to ``full``, or a choice that is not there.
    """

    texts = t.List(t.Unicode()).tag(sync=True)
    references = t.List(t.Unicode()).tag(sync=True)
    translations = t.List(t.List(t.Unicode())).tag(sync=True)  # texts shown × squeezes
    marks = t.List(t.List(t.Unicode())).tag(sync=True)  # the same: see the function of this name
    squeezes = t.List(t.Int()).tag(sync=True)
    full = t.Int().tag(sync=True)
    scores = t.Dict().tag(sync=True)  # "all", and where lengths differ "short" and "long": one BLEU per squeeze
    sizes = t.Dict().tag(sync=True)  # how many texts each of them is over
    split = t.Int().tag(sync=True)
    signature = t.Unicode().tag(sync=True)  # sacrebleu's
    languages = t.List(t.List(t.Unicode())).tag(sync=True)

    sentence = t.Int(0).tag(sync=True)
    squeeze = t.Int(1).tag(sync=True)

    def __init__(
        self,
        texts: Sequence[Text],
        references: Sequence[Text],
        translate: Callable[[list[Text], int], Sequence[Text]],
        squeezes: Sequence[int] = (1, 2, 4, 8, 16, 32, 64),
        full: int | None = None,
        *,
        shown: int = 24,
        split: int | None = None,
        languages: tuple[tuple[str, str], tuple[str, str]] = (("English", "en"), ("Dutch", "nl")),
        **kwargs: Any,
    ) -> None:
        given, right = as_texts(texts), [" ".join(as_tokens(r)) for r in as_texts(references)]
        if len(given) != len(right):
            raise ValueError(f"{len(given)} texts, but {len(right)} references; every text needs one")
        if not callable(translate):
            raise ValueError(f"translate is {translate!r}; it must be a function of a list of texts and a k")
        widths = sorted(squeezes)
        if not widths or len(set(widths)) < len(widths) or not all(isinstance(k, int) for k in widths):
            raise ValueError(f"squeezes is {squeezes!r}; allowed: whole numbers, at least one, none twice")
        full = widths[-1] if full is None else full
        in_range("the smallest of squeezes", widths[0], 1, full)
        in_range("the largest of squeezes", widths[-1], 1, full)
        in_range("shown", shown, 1, 100)
        lengths = [len(as_tokens(text)) for text in given]
        split = int(median(lengths)) if split is None else split
        made = [_translated(translate, given, k) for k in widths]
        groups = {"all": range(len(given)), "short": [i for i, n in enumerate(lengths) if n <= split]}
        groups["long"] = [i for i, n in enumerate(lengths) if n > split]
        if not groups["short"] or not groups["long"]:
            groups = {"all": groups["all"]}
        scored = {
            name: [bleu([out[i] for i in group], [right[i] for i in group]) for out in made] for name, group in groups.items()
        }
        order = _spread(sorted(range(len(given)), key=lambda i: lengths[i]), shown)
        letters = [[marks(right[i], out[i]) for out in made] for i in order]
        chosen = {"sentence": _opening(letters), "squeeze": widths[-1], **kwargs}
        in_range("sentence", chosen["sentence"], 0, len(order) - 1)
        one_of("squeeze", chosen["squeeze"], widths)
        super().__init__(
            texts=[" ".join(as_tokens(given[i])) for i in order],
            references=[right[i] for i in order],
            translations=[[out[i] for out in made] for i in order],
            marks=letters,
            squeezes=widths,
            full=full,
            scores={name: [score.score for score in found] for name, found in scored.items()},
            sizes={name: len(group) for name, group in groups.items()},
            split=split,
            signature=scored["all"][0].signature,
            languages=[list(pair) for pair in languages],
            **chosen,
        )

    def describe(self) -> str:
        (source, _), (target, _) = self.languages
        best, worst = self.scores["all"][-1], self.scores["all"][0]
        return (
            f"Bottleneck squeezer. {self.sizes['all']} {source} sentences are translated into {target} through a context "
            f"vector of which {self.squeezes[0]} to {self.squeezes[-1]} of {self.full} numbers are kept. BLEU goes from "
            f"{worst:.1f} with the fewest numbers to {best:.1f} with the most. For one sentence at a time the figure marks the "
            f"words that are wrong, missing or too many."
        )

    @t.validate("sentence")
    def _check_sentence(self, proposal: Any) -> int:
        return in_range("sentence", proposal["value"], 0, len(self.texts) - 1)

    @t.validate("squeeze")
    def _check_squeeze(self, proposal: Any) -> int:
        return one_of("squeeze", proposal["value"], self.squeezes)


def _translated(translate: Callable[[list[Text], int], Sequence[Text]], texts: list[Text], k: int) -> list[str]:
    """The translations of all texts at one k, as strings."""
    found = list(as_texts(translate(list(texts), k)))
    if len(found) != len(texts):
        raise ValueError(f"translate gave {len(found)} translations of {len(texts)} texts at k={k}; every text needs one")
    return [" ".join(as_tokens(text)) for text in found]


def _spread(order: list[int], count: int) -> list[int]:
    """At most ``count`` of the items, evenly spread, with the first and the last."""
    if count >= len(order):
        return order
    if count == 1:
        return [order[len(order) // 2]]
    return [order[round(i * (len(order) - 1) / (count - 1))] for i in range(count)]


def _opening(letters: list[list[str]]) -> int:
    """The text that loses most words between the largest and the smallest k; of several, the one best translated at first."""
    kept = [(row[-1].count(SAME) - row[0].count(SAME), row[-1].count(SAME) - len(row[-1]), i) for i, row in enumerate(letters)]
    return max(kept)[2]
