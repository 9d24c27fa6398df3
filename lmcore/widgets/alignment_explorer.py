"""The alignment explorer: which source words a translation looks at, word by word, beside the true alignment."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import traitlets as t

from lmcore.evaluate import shown
from lmcore.widgets.base import Figure, in_range, packed
from lmcore.widgets.weights import as_weights, as_words

LONGEST = 48  # words of a text: more rows than that nobody follows


class AlignmentExplorer(Figure, module="alignment_explorer.mjs"):
    r"""Alignment explorer: for every word of a translation, how its attention is spread over the source words.

    A line joins a target word to each source word it looks at, as thick as the weight is large; where the two languages order
    their words differently, lines cross. The same weights stand as a matrix beside it: a row per target word, the area of a
    square in proportion to the weight. Where the true alignment is given, it is marked in both, and the figure says how
    much of the weight lies on it.

    ``example`` and ``word`` (the target word that is looked at) can be set and read from Python.

    Args:
        examples: (source, target, weights, gold) or (source, target, weights, gold, note) for every example. ``source`` and
            ``target`` are texts of S and T tokens, ``weights`` T × S numbers that sum to 1 in every row, ``gold`` the pairs
            (i, j) of source word i and target word j that translate each other, as in ``lmcore.world``'s ``Pair.alignment``,
            or ``None``; ``note`` says in a few words what the example is an example of.
        languages: name and code (BCP 47, for screen readers) of the source and of the target language.

    Raises:
        ValueError: no example, one that has not these parts, a text of no or of more than 48 tokens, weights of another shape
            or that are no weights, an alignment outside the texts, or a choice that is not there.
    """

    examples = t.List(t.Dict()).tag(sync=True)  # source, target, gold ([[i, j], …] or None), note
    weights = t.Bytes().tag(sync=True)  # float32, T × S of one example after the other
    languages = t.List(t.List(t.Unicode())).tag(sync=True)

    example = t.Int(0).tag(sync=True)
    word = t.Int(0).tag(sync=True)

    def __init__(
        self,
        examples: Iterable[Sequence[Any]],
        *,
        languages: tuple[tuple[str, str], tuple[str, str]] = (("English", "en"), ("Dutch", "nl")),
        **kwargs: Any,
    ) -> None:
        if isinstance(examples, str) or not isinstance(examples, Iterable):
            raise ValueError(f"expected a list of examples, each (source, target, weights, gold); got {shown(examples)}")
        found = [_example(number, given) for number, given in enumerate(examples)]
        if not found:
            raise ValueError("expected at least one example; got none")
        chosen = {"example": 0, **kwargs}
        in_range("example", chosen["example"], 0, len(found) - 1)
        texts, weights = zip(*found, strict=True)
        chosen.setdefault("word", _opening(*found[chosen["example"]]))
        in_range("word", chosen["word"], 0, len(texts[chosen["example"]]["target"]) - 1)
        super().__init__(
            examples=list(texts),
            weights=packed(np.concatenate([w.ravel() for w in weights]), "<f4"),
            languages=[list(pair) for pair in languages],
            **chosen,
        )

    def matrix(self) -> np.ndarray:
        """The weights of the chosen example, T × S, as the page has them."""
        sizes = [len(e["target"]) * len(e["source"]) for e in self.examples]
        start = sum(sizes[: self.example])
        part = np.frombuffer(self.weights, "<f4")[start : start + sizes[self.example]]
        return part.reshape(len(self.examples[self.example]["target"]), -1)

    def describe(self) -> str:
        (source, _), (target, _) = self.languages
        first = " ".join(self.examples[0]["source"]), " ".join(self.examples[0]["target"])
        gold = " The true alignment is marked." if any(e["gold"] is not None for e in self.examples) else ""
        return (
            f"Alignment explorer. For {len(self.examples)} {source} texts with their {target} translations it shows how the "
            f"attention of every {target} word is spread over the {source} words, as lines and as a matrix. The first of them "
            f"is “{first[0]}”, “{first[1]}”.{gold}"
        )

    @t.validate("example")
    def _check_example(self, proposal: Any) -> int:
        return in_range("example", proposal["value"], 0, len(self.examples) - 1)

    @t.validate("word")
    def _check_word(self, proposal: Any) -> int:
        return in_range("word", proposal["value"], 0, len(self.examples[self.example]["target"]) - 1)

    @t.observe("example")
    def _stay_inside(self, change: Any) -> None:
        self.word = min(self.word, len(self.examples[self.example]["target"]) - 1)


def _example(number: int, given: Sequence[Any]) -> tuple[dict[str, Any], np.ndarray]:
    """One example as the page gets it, and its weights."""
    if isinstance(given, str) or not isinstance(given, Sequence) or len(given) not in (4, 5):
        raise ValueError(
            f"example {number} is {shown(given)}; every example is (source, target, weights, gold) or "
            f"(source, target, weights, gold, note), with gold=None where the alignment is not known"
        )
    source, target = (
        as_words(f"the {side} of example {number}", given[i], LONGEST) for i, side in enumerate(("source", "target"))
    )
    weights = as_weights(f"the weights of example {number}", given[2], (len(target), len(source)))
    gold, note = given[3], given[4] if len(given) == 5 else ""
    if gold is not None:
        gold = _links(number, gold, len(source), len(target))
    return {"source": source, "target": target, "gold": gold, "note": str(note)}, weights


def _links(number: int, gold: Any, sources: int, targets: int) -> list[list[int]]:
    """The pairs of an alignment, each inside the texts."""
    links = []
    try:
        for i, j in gold:
            links.append([int(i), int(j)])
    except (TypeError, ValueError):
        raise ValueError(f"gold of example {number} is {shown(gold)}; allowed: pairs (source place, target place)") from None
    for i, j in links:
        if not (0 <= i < sources and 0 <= j < targets):
            raise ValueError(
                f"gold of example {number} holds ({i}, {j}); allowed: a source place from 0 to {sources - 1}, then a target "
                f"place from 0 to {targets - 1}"
            )
    return links


def _opening(example: dict[str, Any], weights: np.ndarray) -> int:
    """A word worth looking at: the one whose best source word is farthest from its own place."""
    places = np.arange(len(weights)) / max(len(weights) - 1, 1)
    best = weights.argmax(1) / max(weights.shape[1] - 1, 1)
    return int(np.abs(best - places).argmax())
