"""A grammar as a state machine: rules compiled to states and edges, each edge writing one word.

A program point together with the values that can still matter is a state. Values that no later word depends on are dropped,
which keeps the states few: a name is forgotten once it is written, if only its pronoun comes later.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import NamedTuple

from lmcore import END
from lmcore.world.grammar import Choice, Item, Kind, Rule, Sequence_, parse, written

Bindings = tuple[tuple[str, ...], tuple[str, ...]]  # names, values
NONE: Bindings = ((), ())
Marks = tuple[tuple[str, str], ...]


class Edge(NamedTuple):
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
        """The edge that a number drawn uniformly from [0, 1) selects."""
        return self.edges[bisect_right(self.sums, uniform)]


class Program:
    """Rules compiled to a lazily built machine: ``start`` begins a text, each edge writes one word, END closes it.

    Args:
        kinds: every kind the rules draw from.
        symbols: name → rules, of which one is chosen by weight.
        forms: (probability, symbols) for every sequence of symbols that a text may be.
        record: variables (and hidden draws) whose values the next edge carries as marks; "*" for all variables.
    """

    def __init__(
        self,
        kinds: Mapping[str, Kind],
        symbols: Mapping[str, Sequence[Rule]],
        forms: Sequence[tuple[float, tuple[str, ...]]],
        record: Sequence[str] = (),
    ) -> None:
        self.kinds, self.record, self.everything = kinds, frozenset(record), "*" in record
        self.declared: dict[str, tuple[str, tuple[str, ...]]] = {}
        self.nodes: list[tuple[Item | Choice | None, tuple[tuple[float, int], ...]]] = [(None, ())]
        self.uses: list[frozenset[str]] = [frozenset()]
        suffixes: dict[tuple[str, ...], int] = {(): 0}

        def compiled(form: tuple[str, ...]) -> int:
            if form not in suffixes:
                target, rules = compiled(form[1:]), symbols[form[0]]
                total = sum(rule.weight for rule in rules)
                starts = [(r.weight / total, self._rule(r, target, f"{len(form)}.{form[0]}.{i}.")) for i, r in enumerate(rules)]
                suffixes[form] = self._node(Choice(()), tuple(starts), frozenset())
            return suffixes[form]

        start = self._node(Choice(()), tuple((p, compiled(form)) for p, form in forms), frozenset())
        self._keep: dict[tuple[int, tuple[str, ...]], tuple[int, ...]] = {}
        self._fresh: dict[int, list[tuple[float, tuple[tuple[str, str], ...]]]] = {}
        self._ids: dict[tuple, int] = {}
        self._keys: list[tuple] = []
        self._rows: list[Row | None] = []
        self.start = self._state((), start, NONE)

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
                name = item.name if item.literal else rename.get(item.name, item.name)
                if not item.literal and item.name not in own:
                    self._check(item.name, item.args, rule)
                args = tuple(rename.get(a, a) for a in item.args)
                used = frozenset(args) | (frozenset({name}) if name in self.declared and not item.literal else frozenset())
                renamed = Item(name, args, item.literal, item.hidden, item.capital, item.article, item.link)
                target = self._node(renamed, ((1.0, target),), used)
            return target

        body = build(parse(rule.template), target)
        # A label is an item that writes nothing and leaves a mark.
        return self._node(Item(f"rule={rule.label}", hidden=True), ((1.0, body),), frozenset()) if rule.label else body

    def _check(self, kind: str, args: tuple[str, ...], rule: Rule) -> None:
        if kind not in self.kinds:
            raise ValueError(f"{kind!r} is neither a variable nor a kind in rule {rule.template!r}")
        arity = len(next(iter(self.kinds[kind].table)))
        if len(args) != arity:
            raise ValueError(f"kind {kind!r} depends on {arity} variables, not on {args}, in rule {rule.template!r}")

    def _state(self, pending: tuple, node: int, bindings: Bindings) -> int:
        """The number of a state, after dropping what no later word depends on."""
        names, values = bindings
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
        key = (pending, node, (tuple([names[i] for i in keep]), tuple([values[i] for i in keep])))
        number = self._ids.setdefault(key, len(self._keys))
        if number == len(self._keys):
            self._keys.append(key)
            self._rows.append(None)
        return number

    def _bind(self, name: str, bindings: Bindings) -> Iterator[tuple[float, Bindings]]:
        """Draw ``name`` and what it depends on, unless it is bound."""
        if name in bindings[0]:
            yield 1.0, bindings
            return
        kind, args = self.declared[name]
        for p, before in self._bind_all(args, bindings):
            for value, q in self.kinds[kind].given(tuple(valued(a, before) for a in args)).items():
                yield p * q, ((*before[0], name), (*before[1], value))

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
                yield p, after, valued(item.name, after), kind.tag
            return
        kind = self.kinds[item.name]
        for p, after in self._bind_all(item.args, bindings):
            for value, q in kind.given(tuple(valued(a, after) for a in item.args)).items():
                yield p * q, after, value, kind.tag

    def _expand(self, node: int, bindings: Bindings, p: float, marks: Marks, out: dict) -> None:
        item, targets = self.nodes[node]
        if item is None:
            self._add(out, ((END, "O"),), 0, NONE, p, marks)
        elif isinstance(item, Choice):
            for q, target in targets:
                self._expand(target, bindings, p * q, marks, out)
        elif item.literal:
            self._add(out, ((item.name, "O"),), targets[0][1], bindings, p, marks)
        elif "rule=" in item.name:
            name, _, value = item.name.partition("=")
            self._expand(targets[0][1], bindings, p, (*marks, (name, value)), out)
        elif item.name in self.kinds and not item.args and not item.hidden:  # depends on nothing: written once and for all
            if node not in self._fresh:
                kind = self.kinds[item.name]
                self._fresh[node] = [(q, written(item, value, kind.tag)) for value, q in kind.given(()).items()]
            for q, words in self._fresh[node]:
                self._add(out, words, targets[0][1], bindings, p * q, marks)
        else:
            for q, after, value, tag in self._outcomes(item, bindings):
                known = len(bindings[0])
                new = ((unprefixed(n), v) for n, v in zip(after[0][known:], after[1][known:], strict=True))
                more = (*marks, *((n, v) for n, v in new if self.everything or n in self.record))
                if item.hidden and item.name in self.record:
                    more = (*more, (item.name, value))
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
            item, targets = self.nodes[node]
            out: dict[tuple, float] = {}
            if isinstance(item, Item) and item.literal and not pending:
                out[item.name, "O", (), self._state((), targets[0][1], bindings)] = 1.0
            elif pending:
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


def valued(name: str, bindings: Bindings) -> str:
    """The value that a variable is bound to."""
    return bindings[1][bindings[0].index(name)]


def unprefixed(name: str) -> str:
    """A name without what stands before its last dot."""
    return name.rpartition(".")[2]
