"""The embedding map: words as points, their nearest neighbours, and analogies by vector arithmetic."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import traitlets as t

from lmcore.analogies import WordVectors, project
from lmcore.widgets.base import Figure, in_range, one_of, packed

MODES = ("neighbours", "analogy")
CAPITALS = ["Paris", "France", "Italy"]
MAX_GROUPS = 8  # as many shapes as style.css has colours


class EmbeddingMap(Figure, module="embedding_map.mjs"):
    r"""Embedding map: n words with vectors of width C, drawn by their two principal components.

    Every vector is divided by its length, so that the dot product of two is their cosine. The map is the projection of these
    unit vectors on their two principal components. Neighbours of a word are the k words of largest cosine in the full space;
    the analogy a − b + c = ? ranks words by their cosine with â − b̂ + ĉ, as ``lmcore.analogies.WordVectors`` does. For an
    analogy the map turns to the plane through a, b and c, where the arrows of that arithmetic keep their length. The page
    computes all this from the vectors in float32.

    ``word``, ``analogy``, ``mode`` ("neighbours" or "analogy"), ``exclude`` (whether a, b and c themselves cannot be an answer)
    and ``k`` can be set and read from Python.

    Args:
        words: n different words, most frequent first (on a crowded map these keep their labels).
        vectors: array or tensor, shape (n, C); 4·n·C bytes of it go into the page.
        groups: name → words of the group, at most 8, each word in one group; drawn with one shape and colour each.
        analogy: (a, b, c).
        k: how many neighbours and answers are listed.

    Raises:
        ValueError: shapes that do not fit, a zero or non-finite vector, a repeated or unknown word, a word in two groups.
    """

    words = t.List(t.Unicode()).tag(sync=True)
    vectors = t.Bytes().tag(sync=True)  # float32, n × C, unit length
    places = t.Bytes().tag(sync=True)  # float32, n × 2
    kept = t.Float().tag(sync=True)  # share of the variance that the map keeps
    group_names = t.List(t.Unicode()).tag(sync=True)
    group_of = t.List(t.Int()).tag(sync=True)  # -1: in no group

    mode = t.Unicode("neighbours").tag(sync=True)
    word = t.Unicode().tag(sync=True)
    analogy = t.List(t.Unicode(), minlen=3, maxlen=3, default_value=["", "", ""]).tag(sync=True)
    exclude = t.Bool(True).tag(sync=True)
    k = t.Int(8).tag(sync=True)

    def __init__(
        self,
        words: Sequence[str],
        vectors: Any,
        groups: Mapping[str, Sequence[str]] | None = None,
        analogy: Sequence[str] = tuple(CAPITALS),
        k: int = 8,
        **kwargs: Any,
    ) -> None:
        names = list(words)
        unit = WordVectors(names, vectors).unit.astype(np.float32)
        if unit.shape[0] < 4 or unit.shape[1] < 2:
            raise ValueError(f"vectors has shape {unit.shape}; a map needs at least 4 words and a width of 2")
        places, _, kept = project(unit.astype(np.float64))
        group_of = _group_of(names, groups or {})
        asked = list(analogy)
        if len(asked) != 3:
            raise ValueError(f"analogy is {asked}; allowed: 3 words a, b, c, read a − b + c")
        if asked == CAPITALS and not set(asked) <= set(names):
            asked = names[:3]  # the default analogy, on a vocabulary without it
        for name, value in zip("abc", asked, strict=True):
            one_of(f"analogy word {name}", value, names)
        in_range("k", k, 1, len(names) - 1)
        chosen = {"word": asked[0], "mode": "neighbours", **kwargs}
        one_of("word", chosen["word"], names)
        super().__init__(
            words=names,
            vectors=packed(unit, "<f4"),
            places=packed(places, "<f4"),
            kept=kept,
            group_names=list(groups or {}),
            group_of=group_of,
            analogy=asked,
            k=k,
            **chosen,
        )

    def describe(self) -> str:
        a, b, c = self.analogy
        return (
            f"Embedding map. {len(self.words)} words are points on a plane; words that occur in similar company lie near each "
            f"other. For a chosen word, such as {self.word}, the figure lists its {self.k} nearest neighbours, and for an "
            f"analogy, such as {a} − {b} + {c}, the words that come closest to the answer."
        )

    @t.validate("mode")
    def _check_mode(self, proposal: Any) -> str:
        return one_of("mode", proposal["value"], MODES)

    @t.validate("word")
    def _check_word(self, proposal: Any) -> str:
        return one_of("word", proposal["value"], self.words)

    @t.validate("analogy")
    def _check_analogy(self, proposal: Any) -> list[str]:
        for name, value in zip("abc", proposal["value"], strict=True):
            one_of(f"analogy word {name}", value, self.words)
        return proposal["value"]

    @t.validate("k")
    def _check_k(self, proposal: Any) -> int:
        return in_range("k", proposal["value"], 1, len(self.words) - 1)


def _group_of(words: list[str], groups: Mapping[str, Sequence[str]]) -> list[int]:
    in_range("number of groups", len(groups), 0, MAX_GROUPS)
    found: dict[str, int] = {}
    for i, (name, members) in enumerate(groups.items()):
        for word in members:
            if word not in words:
                raise ValueError(f"group {name!r} names {word!r}, which is not among the {len(words)} words")
            if word in found:
                raise ValueError(f"{word!r} is in two groups; allowed: one")
            found[word] = i
    return [found.get(word, -1) for word in words]
