"""A small notation for probabilistic grammars, and the state machine it stands for.

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

A program point together with the values that can still matter is a state. Values that no later word depends on are dropped,
which keeps the states few.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from lmcore import END

Bindings = tuple[tuple[str, str], ...]
Marks = tuple[tuple[str, str], ...]
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
        try:
            return self.table[values]
        except KeyError:
            raise ValueError(f"kind {self.name!r} has no entry for {values}; it has {list(self.table)[:5]} …") from None

    def values(self) -> set[str]:
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
    alternatives: tuple[tuple[float, "Sequence_"], ...]


Sequence_ = tuple["Item | Choice", ...]
TOKEN = re.compile(r"\{[^}]*\}(?:_\w+)?|[\[\]|]|[^\s\[\]|{}]+")
DRAW = re.compile(r"\{(!?)([aA] )?(\w+)(?:\(([\w, ]*)\))?\}(?:_(\w+))?$")


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
    weight: float = 1.0
    label: str = ""

    def declarations(self) -> dict[str, tuple[str, tuple[str, ...]]]:
        """Variable → (kind, the variables it depends on)."""
        out = {}
        for text in re.findall(r"\w+:\w+(?:\([^)]*\))?", self.variables):
            variable, kind, args = re.fullmatch(r"(\w+):(\w+)(?:\(([^)]*)\))?", text).groups(default="")  # type: ignore[union-attr]
            out[variable] = (kind, tuple(args.replace(",", " ").split()))
        return out


@dataclass(frozen=True)
class Edge:
    """One word out of a state: its probability, its entity type, what was drawn on the way (if recorded), the next state."""

    word: str
    probability: float
    target: int
    tag: str = "O"
    marks: Marks = ()


@dataclass
class Row:
    """The edges out of one state, with running sums for sampling."""

    edges: list[Edge]
    sums: list[float] = field(init=False)

    def __post_init__(self) -> None:
        self.sums = list(accumulate(e.probability for e in self.edges))
        self.sums[-1] = 1.0

    def pick(self, uniform: float) -> Edge:
        return self.edges[bisect_right(self.sums, uniform)]


class Program:
    """Rules compiled to a lazily built machine: state 0 starts a text, each edge writes one word, END closes it.

    Args:
        kinds: every kind the rules draw from.
        rules: alternatives of which one, by weight, is the whole text; or several such lists, written one after the other.
        record: variables whose drawn values edges carry as marks ("*" for all of them).
    """

    def __init__(self, kinds: Mapping[str, Kind], *slots: Sequence[Rule], record: Sequence[str] = ()) -> None:
        self.kinds, self.record, self.everything = kinds, frozenset(record), "*" in record
        self.declared: dict[str, tuple[str, tuple[str, ...]]] = {}
        self.nodes: list[tuple[Item | Choice | None, tuple[tuple[float, int], ...]]] = [(None, ())]
        self.uses: list[frozenset[str]] = [frozenset()]
        start = 0
        for number in reversed(range(len(slots))):
            total = sum(rule.weight for rule in slots[number])
            starts = []
            for rule in slots[number]:
                starts.append((rule.weight / total, self._rule(rule, start, f"{number}.{len(starts)}.")))
            start = self._node(Choice(()), tuple(starts), frozenset())
        self._keep: dict[tuple[int, tuple[str, ...]], tuple[int, ...]] = {}
        self._ids: dict[tuple, int] = {}
        self._keys: list[tuple] = []
        self._rows: list[Row | None] = []
        self.start = self._state((), start, ())

    def _node(self, item: Item | Choice, targets: tuple[tuple[float, int], ...], used: frozenset[str]) -> int:
        self.nodes.append((item, targets))
        self.uses.append(used.union(*(self.uses[t] for _, t in targets)))
        return len(self.nodes) - 1

    def _rule(self, rule: Rule, target: int, prefix: str) -> int:
        own = rule.declarations()
        rename = {name: prefix + name for name in own}
        for name, (kind, args) in own.items():
            self._check(kind, args, rule)
            declaration = (kind, tuple(rename.get(a, a) for a in args))
            self.declared[rename[name]] = declaration

        def build(items: Sequence_, target: int) -> int:
            for item in reversed(items):
                if isinstance(item, Choice):
                    target = self._node(item, tuple((p, build(block, target)) for p, block in item.alternatives), frozenset())
                    continue
                name = rename.get(item.name, item.name)
                if not item.literal and item.name not in own:
                    self._check(item.name, item.args, rule)
                args = tuple(rename.get(a, a) for a in item.args)
                used = frozenset(args) | (frozenset({name}) if name in self.declared and not item.literal else frozenset())
                renamed = Item(name, args, item.literal, item.hidden, item.capital, item.article, item.link)
                target = self._node(renamed, ((1.0, target),), used)
            return target

        if rule.label:  # an item that writes nothing and leaves a mark
            return self._node(
                Item(f"{prefix}rule={rule.label}", hidden=True), ((1.0, build(parse(rule.template), target)),), frozenset()
            )
        return build(parse(rule.template), target)

    def _check(self, kind: str, args: tuple[str, ...], rule: Rule) -> None:
        if kind not in self.kinds:
            raise ValueError(f"{kind!r} is neither a variable nor a kind in rule {rule.template!r}")
        arity = len(next(iter(self.kinds[kind].table)))
        if len(args) != arity:
            raise ValueError(f"kind {kind!r} depends on {arity} variables, not on {args}, in rule {rule.template!r}")

    def _state(self, pending: tuple, node: int, bindings: Bindings) -> int:
        """The number of a state, after dropping what no later word depends on."""
        names = tuple(name for name, _ in bindings)
        keep = self._keep.get((node, names))
        if keep is None:
            bound, needed = set(names), set()

            def need(name: str) -> None:
                if name in bound:
                    needed.add(name)
                else:
                    for parent in self.declared[name][1]:
                        need(parent)

            for name in self.uses[node]:
                need(name)
            keep = self._keep[node, names] = tuple(i for i, name in enumerate(names) if name in needed)
        key = (pending, node, tuple(bindings[i] for i in keep))
        number = self._ids.setdefault(key, len(self._keys))
        if number == len(self._keys):
            self._keys.append(key)
            self._rows.append(None)
        return number

    def _bind(self, name: str, bindings: Bindings) -> Iterator[tuple[float, Bindings]]:
        """Draw ``name`` and what it depends on, unless it is bound."""
        if any(name == bound for bound, _ in bindings):
            yield 1.0, bindings
            return
        kind, args = self.declared[name]
        for p, before in self._bind_all(args, bindings):
            have = dict(before)
            for value, q in self.kinds[kind].given(tuple(have[a] for a in args)).items():
                yield p * q, (*before, (name, value))

    def _bind_all(self, names: Sequence[str], bindings: Bindings) -> Iterator[tuple[float, Bindings]]:
        if not names:
            yield 1.0, bindings
            return
        for p, first in self._bind(names[0], bindings):
            for q, rest in self._bind_all(names[1:], first):
                yield p * q, rest

    def _outcomes(self, item: Item, bindings: Bindings) -> Iterator[tuple[float, Bindings, str, str]]:
        """(probability, bindings after it, what is written, its entity type) for every way to carry out an item."""
        if item.name in self.declared:
            kind = self.kinds[self.declared[item.name][0]]
            for p, after in self._bind(item.name, bindings):
                yield p, after, dict(after)[item.name], kind.tag
            return
        kind = self.kinds[item.name]
        for p, after in self._bind_all(item.args, bindings):
            have = dict(after)
            for value, q in kind.given(tuple(have[a] for a in item.args)).items():
                yield p * q, after, value, kind.tag

    def _expand(self, node: int, bindings: Bindings, p: float, marks: Marks, out: dict) -> None:
        item, targets = self.nodes[node]
        if item is None:
            self._add(out, ((END, "O"),), 0, (), p, marks)
        elif isinstance(item, Choice):
            for q, target in targets:
                self._expand(target, bindings, p * q, marks, out)
        elif item.literal:
            self._add(out, ((item.name, "O"),), targets[0][1], bindings, p, marks)
        elif "rule=" in item.name:
            name, _, value = item.name.partition("=")
            self._expand(targets[0][1], bindings, p, (*marks, (unprefixed(name), value)), out)
        else:
            for q, after, value, tag in self._outcomes(item, bindings):
                new = ((unprefixed(n), v) for n, v in after[len(bindings) :])
                more = (*marks, *((n, v) for n, v in new if self.everything or n in self.record))
                if item.hidden or not value:
                    self._expand(targets[0][1], after, p * q, more, out)
                else:
                    self._add(out, written(item, value, tag), targets[0][1], after, p * q, more)

    def _add(self, out: dict, words: tuple, node: int, bindings: Bindings, p: float, marks: Marks) -> None:
        (word, tag), rest = words[0], words[1:]
        key = (word, tag, marks, -1 if word == END else self._state(rest, node, bindings))
        out[key] = out.get(key, 0.0) + p

    def row(self, state: int) -> Row:
        """The edges out of a state. They sum to 1. END leads to state −1."""
        row = self._rows[state]
        if row is None:
            pending, node, bindings = self._keys[state]
            out: dict[tuple, float] = {}
            if pending:
                self._add(out, pending, node, bindings, 1.0, ())
            else:
                self._expand(node, bindings, 1.0, (), out)
            row = Row([Edge(word, p, target, tag, marks) for (word, tag, marks, target), p in out.items()])
            self._rows[state] = row
        return row

    def words(self) -> set[str]:
        """Every word that some text may hold (without END), read off the rules without building the machine."""
        out: set[str] = set()
        for item, _ in self.nodes:
            if isinstance(item, Item) and item.literal:
                out.add(item.name)
            elif isinstance(item, Item) and not item.hidden:
                kind = self.kinds[self.declared[item.name][0] if item.name in self.declared else item.name]
                for value in kind.values():
                    out.update(word for word, _ in written(item, value, kind.tag)) if value else None
        return out


def unprefixed(name: str) -> str:
    return name.rpartition(".")[2]


def written(item: Item, value: str, tag: str) -> tuple[tuple[str, str], ...]:
    """The words an item writes for a value, each with its IOB tag."""
    words = value.split()
    tags = [f"B-{tag}"] + [f"I-{tag}"] * (len(words) - 1) if tag else ["O"] * len(words)
    if item.article:
        words, tags = [article(words[0]), *words], ["O", *tags]
    if item.capital:
        words[0] = words[0][0].upper() + words[0][1:]
    return tuple(zip(words, tags, strict=True))
