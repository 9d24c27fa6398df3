"""Texts drawn from a grammar, with the labels that their derivation gives them."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lmcore.world.program import Program


@dataclass(frozen=True, slots=True)
class Story:
    """A text and what is known about it.

    ``tags`` are IOB entity tags, one per token (PER, LOC, ORG, DAY). ``kind`` names the rule that wrote the text.
    ``effect`` is the position of a word that depends on the word at ``cause`` (object on place, pronoun on name, …), with
    ``World.distance`` filler sentences in between; None where the rule has no such pair.
    ``sentiment`` is "positive", "negative", "neutral" or "" where the grammar says nothing.
    """

    tokens: tuple[str, ...]
    tags: tuple[str, ...]
    kind: str = ""
    sentiment: str = ""
    toxic: bool = False
    spam: bool = False
    cause: int | None = None
    effect: int | None = None

    @property
    def text(self) -> str:
        """The tokens joined by spaces."""
        return " ".join(self.tokens)


@dataclass(frozen=True, slots=True)
class Instruction:
    """What is asked and what is answered, each a tuple of tokens; together they are one text of the language.

    ``kind`` names what is asked for, such as "capital" or "plural".
    """

    instruction: tuple[str, ...]
    answer: tuple[str, ...]
    kind: str = ""

    @property
    def tokens(self) -> tuple[str, ...]:
        """Instruction and answer as one tuple."""
        return self.instruction + self.answer

    @property
    def text(self) -> str:
        """Instruction and answer, joined by spaces."""
        return " ".join(self.tokens)


def detokenize(tokens: str | Sequence[str]) -> str:
    """Tokens as one would print them: no space before a punctuation mark.

    Raises:
        ValueError: neither a string nor a sequence of strings.
    """
    if not isinstance(tokens, Sequence) or not all(isinstance(token, str) for token in tokens):
        raise ValueError(f"{tokens!r} is no text; give a string or a sequence of words")
    out = ""
    for token in tokens.split() if isinstance(tokens, str) else tokens:
        out += token if not out or token in {".", ",", "!", "?", ":", ";"} else " " + token
    return out


def walk(program: Program, n: int, seed: int):
    """Draw ``n`` derivations: (tokens, tags, marks) for each."""
    if not isinstance(n, int) or n < 0:
        raise ValueError(f"n={n!r} must be a whole number of texts, 0 or more")
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"seed={seed!r} must be a whole number, 0 or more")
    rng = np.random.default_rng(seed)
    uniforms: list[float] = []
    rows = program._rows
    for _ in range(n):
        state = program.start
        tokens: list[str] = []
        tags: list[str] = []
        marks: list[tuple[str, str, int]] = []
        while True:
            if not uniforms:
                uniforms = rng.random(65_536).tolist()
                uniforms.reverse()
            row = rows[state] or program.row(state)
            edge = row.edges[bisect_right(row.sums, uniforms.pop())]
            if edge.marks:
                marks.extend((*mark, len(tokens)) for mark in edge.marks)
            if edge.target < 0:
                break
            tokens.append(edge.word)
            tags.append(edge.tag)
            state = edge.target
        yield tuple(tokens), tuple(tags), marks


def sample(program: Program, n: int, seed: int) -> list[Story]:
    """``n`` texts with their labels."""
    out = []
    for tokens, tags, marks in walk(program, n, seed):
        known = {name: value for name, value, _ in marks}
        at = {name: position for name, _, position in marks}
        toxic, spam = (known.get(label) == "yes" for label in ("toxic", "spam"))
        out.append(
            Story(
                tokens, tags, known.get("rule", ""), known.get("sentiment", ""), toxic, spam, at.get("cause"), at.get("effect")
            )
        )
    return out


def sample_instructions(program: Program, n: int, seed: int) -> list[Instruction]:
    """``n`` instructions with their answers."""
    out = []
    for tokens, _, marks in walk(program, n, seed):
        turn = next(position for name, _, position in marks if name == "answer")
        kind = next(value for name, value, _ in marks if name == "rule")
        out.append(Instruction(tokens[:turn], tokens[turn:], kind))
    return out
