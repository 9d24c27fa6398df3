"""A small notation for probabilistic grammars.

A *kind* is a finite distribution over strings, alone or given the values of other variables: ``day``, ``object(place)``.
A *rule* declares variables and gives a template::

    Rule("g:gender n:name(g) p:place o:object(p)", "{n} went to the {p} . [0.5: It was {weather} .] There {she(g)} saw {a o} .")

=====================  ==========================================================================================
in a template          means
=====================  ==========================================================================================
``word``               this word
``{x}``                the value of variable x, drawn (after the variables it depends on) where it is first used
``{X}``                the same, with a capital
``{a x}``, ``{A x}``   the same, after "a" or "an"
``{kind}``             a fresh draw from a kind that is no variable; ``{kind(x)}`` a fresh draw given x
``{!x}``               draw x here and write nothing
``[0.3: … | 0.7: …]``  one of these; weights that sum to less than 1 leave the rest to "nothing", no weights: equal
``…_k``                (in a pair of templates) a link: items with the same k in both templates translate each other
=====================  ==========================================================================================
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

AN = frozenset({"honest", "hour"})
A = frozenset({"European", "one", "once", "ukulele", "unicorn", "uniform", "union", "unit", "university", "useful", "useless"})


def article(word: str) -> str:
    """ "a" or "an", as the sound of ``word`` asks."""
    return "an" if word in AN or (word[0].lower() in "aeiou" and word not in A) else "a"


@dataclass(frozen=True)
class Kind:
    """A distribution over strings given the values of ``arity`` other variables.

    ``table`` maps a tuple of values (the empty one if there are none) to ``{value: probability}``; ``tag`` is the entity type.
    """

    name: str
    table: Mapping[tuple[str, ...], Mapping[str, float]]
    tag: str = ""

    def given(self, values: tuple[str, ...]) -> Mapping[str, float]:
        """The distribution under these values of the other variables; a ValueError if there is none."""
        try:
            return self.table[values]
        except KeyError:
            raise ValueError(f"kind {self.name!r} has no entry for {values}; it has {list(self.table)[:5]} …") from None

    def values(self) -> set[str]:
        """Every string that can be drawn."""
        return {value for row in self.table.values() for value in row}


@dataclass(frozen=True)
class Item:
    """One word, or one draw: see the table of the notation."""

    name: str
    args: tuple[str, ...] = ()
    literal: bool = False
    hidden: bool = False
    capital: bool = False
    article: bool = False
    link: str = ""


@dataclass(frozen=True)
class Choice:
    """One of several alternatives, each with its probability."""

    alternatives: tuple[tuple[float, "Sequence_"], ...]


Sequence_ = tuple["Item | Choice", ...]
TOKEN = re.compile(r"\{[^}]*\}(?:_\w+)?|[\[\]|]|[^\s\[\]|{}]+")
DRAW = re.compile(r"\{(!?)([aA] )?(\w+)(?:\(([\w, ]*)\))?\}(?:_(\w+))?$")


@cache
def parse(template: str) -> Sequence_:
    """The items of a template.

    Raises:
        ValueError: the template does not follow the notation.
    """
    tokens = TOKEN.findall(template)
    position = 0

    def sequence(depth: int) -> Sequence_:
        nonlocal position
        out: list[Item | Choice] = []
        while position < len(tokens) and tokens[position] not in "|]":
            token = tokens[position]
            position += 1
            out.append(choice(depth + 1) if token == "[" else item(token))
        if depth == 0 and position < len(tokens):
            raise ValueError(f"{tokens[position]!r} without an opening bracket in {template!r}")
        return tuple(out)

    def choice(depth: int) -> Choice:
        nonlocal position
        weights: list[float | None] = []
        blocks: list[Sequence_] = []
        while True:
            weighted = position < len(tokens) and re.fullmatch(r"[\d.]+:", tokens[position])
            weights.append(float(tokens[position][:-1]) if weighted else None)
            position += bool(weighted)
            blocks.append(sequence(depth))
            if position == len(tokens):
                raise ValueError(f"a bracket is not closed in {template!r}")
            position += 1
            if tokens[position - 1] == "]":
                break
        if all(w is None for w in weights):
            return Choice(tuple((1 / len(blocks), block) for block in blocks))
        given = [w for w in weights if w is not None]
        rest = 1 - sum(given)
        if len(given) < len(weights) or rest < -1e-9 or min(given) <= 0:
            raise ValueError(f"give every alternative a positive weight, with a sum of at most 1, in {template!r}")
        return Choice((*zip(given, blocks, strict=True), *([(rest, ())] if rest > 1e-9 else [])))

    def item(token: str) -> Item:
        if not token.startswith("{"):
            word, _, link = token.partition("_")
            return Item(word, literal=True, link=link)
        match = DRAW.match(token)
        if not match:
            raise ValueError(f"cannot read {token!r} in {template!r}")
        hidden, art, name, args, link = match.groups(default="")
        arguments = tuple(args.replace(",", " ").split())
        capital = name[0].isupper() or art == "A "
        return Item(name[0].lower() + name[1:], arguments, False, bool(hidden), capital, bool(art), link)

    return sequence(0)


@dataclass(frozen=True)
class Rule:
    """Declared variables ("g:gender n:name(g)") and a template, with a weight among its fellows."""

    variables: str
    template: str
    weight: int | float = 1
    label: str = ""

    def declarations(self) -> dict[str, tuple[str, tuple[str, ...]]]:
        """Variable → (kind, the variables it depends on)."""
        found = re.finditer(r"(\w+):(\w+)(?:\(([^)]*)\))?", self.variables)
        return {m[1]: (m[2], tuple((m[3] or "").replace(",", " ").split())) for m in found}


def written(item: Item, value: str, tag: str) -> tuple[tuple[str, str], ...]:
    """The words an item writes for a value, each with its IOB tag."""
    words = value.split()
    tags = ["O"] * len(words)
    if tag:
        start = next((i for i, word in enumerate(words) if word[0].isupper()), 0)  # "the" is no part of "the Netherlands"
        tags[start:] = [f"B-{tag}"] + [f"I-{tag}"] * (len(words) - start - 1)
    if item.article:
        words, tags = [article(words[0]), *words], ["O", *tags]
    if item.capital:
        first = next(i for i, word in enumerate(words) if word[0] != "'")  # Dutch: 's Avonds
        words[first] = words[first][0].upper() + words[first][1:]
    return tuple(zip(words, tags, strict=True))
