"""Texts drawn from a grammar, with the labels that their derivation gives them."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lmcore.world.grammar import Program


@dataclass(frozen=True, slots=True)
class Story:
    """A text and what is known about it.

    ``tags`` are IOB entity tags, one per token (PER, LOC, ORG, DAY). ``kind`` names the rule that wrote the text.
    ``sentiment`` is "positive", "negative", "neutral" or "" where the grammar says nothing.
    """

    tokens: tuple[str, ...]
    tags: tuple[str, ...]
    kind: str = ""
    sentiment: str = ""
    toxic: bool = False
    spam: bool = False

    @property
    def text(self) -> str:
        """The tokens joined by spaces."""
        return " ".join(self.tokens)


def detokenize(tokens: str | Sequence[str]) -> str:
    """Tokens as one would print them: no space before a punctuation mark."""
    out = ""
    for token in tokens.split() if isinstance(tokens, str) else tokens:
        out += token if not out or token in {".", ",", "!", "?", ":", ";"} else " " + token
    return out


def walk(program: Program, n: int, seed: int):
    """Draw ``n`` derivations: (tokens, tags, marks) for each."""
    if not isinstance(n, int) or n < 0:
        raise ValueError(f"n={n!r} must be a whole number of texts, 0 or more")
    rng = np.random.default_rng(seed)
    uniforms: list[float] = []
    rows = program._rows
    for _ in range(n):
        state, tokens, tags, marks = program.start, [], [], []
        while True:
            if not uniforms:
                uniforms = rng.random(65_536).tolist()
                uniforms.reverse()
            row = rows[state] or program.row(state)
            edge = row.edges[bisect_right(row.sums, uniforms.pop())]
            if edge.marks:
                marks.extend(edge.marks)
            if edge.target < 0:
                break
            tokens.append(edge.word)
            tags.append(edge.tag)
            state = edge.target
        yield tuple(tokens), tuple(tags), marks


def sample(program: Program, n: int, seed: int) -> list[Story]:
    out = []
    for tokens, tags, marks in walk(program, n, seed):
        known = dict(marks)
        out.append(
            Story(
                tokens,
                tags,
                known.get("rule", ""),
                known.get("sentiment", ""),
                known.get("toxic") == "yes",
                known.get("spam") == "yes",
            )
        )
    return out
