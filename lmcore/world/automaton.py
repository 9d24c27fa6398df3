"""Exact inference in a grammar: filtering, probabilities, entropy, enumeration, and the posterior of masked words.

A prefix may fit several states of the grammar at once. The *belief* is their distribution given the prefix. Beliefs that are
equal are one state of a deterministic automaton: one edge per next word, with its exact conditional probability. Filtering is
then one look-up per word, and every quantity below is a sum over edges.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from lmcore import END, MASK
from lmcore.world.noise import MaskingNoise
from lmcore.world.program import Program

DIGITS = 12  # beliefs whose weights agree to this many decimals are one state


@dataclass(frozen=True)
class Arrays:
    """The whole automaton as edges: from ``source`` by ``word`` (−1 is END) with ``probability`` to ``target``."""

    source: np.ndarray
    target: np.ndarray
    word: np.ndarray
    probability: np.ndarray
    states: int


class Automaton:
    """The deterministic automaton of a :class:`Program`, built as far as it is asked for.

    Args:
        program: the grammar.
        vocabulary: all its words, without END.
        limit: how many states :meth:`arrays` may build before it gives up.
    """

    def __init__(self, program: Program, vocabulary: Sequence[str], limit: int = 1_500_000) -> None:
        self.program, self.vocabulary, self.limit = program, tuple(vocabulary), limit
        self.index = {word: i for i, word in enumerate(self.vocabulary)}
        start = ((program.start, 1.0),)
        self._ids: dict[tuple, int] = {start: 0}
        self._beliefs: list[tuple] = [start]
        self._edges: list[dict[str, tuple[float, int]] | None] = [None]

    def edges(self, state: int) -> dict[str, tuple[float, int]]:
        """Next word → (probability, next state), END leading to −1."""
        edges = self._edges[state]
        if edges is None and len(self._beliefs[state]) == 1:
            row = self.program.row(self._beliefs[state][0][0]).edges
            if len({edge.word for edge in row}) == len(row):  # one derivation for each next word: nothing to add up
                edges = {e.word: (e.probability, -1 if e.word == END else self._intern({e.target: 1.0}, 1.0)) for e in row}
                self._edges[state] = edges
        if edges is None:
            ahead: dict[str, dict[int, float]] = {}
            for inner, weight in self._beliefs[state]:
                for edge in self.program.row(inner).edges:
                    targets = ahead.setdefault(edge.word, {})
                    targets[edge.target] = targets.get(edge.target, 0.0) + weight * edge.probability
            edges = {}
            for word, targets in ahead.items():
                total = math.fsum(targets.values())
                edges[word] = (total, -1 if word == END else self._intern(targets, total))
            self._edges[state] = edges
        return edges

    def _intern(self, targets: dict[int, float], total: float) -> int:
        belief = (
            ((next(iter(targets)), 1.0),) if len(targets) == 1 else tuple(sorted((t, w / total) for t, w in targets.items()))
        )
        key = belief if len(belief) == 1 else tuple((t, round(w, DIGITS)) for t, w in belief)
        number = self._ids.setdefault(key, len(self._beliefs))
        if number == len(self._beliefs):
            self._beliefs.append(belief)
            self._edges.append(None)
        return number

    def known(self, tokens: Sequence[str]) -> None:
        """Refuse the first word that is not in the vocabulary, with a ValueError that names it."""
        for position, word in enumerate(tokens):
            if word not in self.index:
                raise ValueError(f"{word!r} (word {position + 1} of {len(tokens)}) is not in this world's vocabulary")

    def after(self, prefix: Sequence[str]) -> int:
        """The state after a prefix.

        Raises:
            ValueError: a word is unknown, or no text starts like this; the message names the word.
        """
        state = 0
        for position, word in enumerate(prefix):
            edge = self.edges(state).get(word)
            if edge is None or edge[1] < 0:
                self.known(prefix)
                likely = sorted(self.edges(state), key=lambda w: -self.edges(state)[w][0])[:5]
                raise ValueError(
                    f"no text of this world continues {' '.join(prefix[:position])!r} with {word!r} "
                    f"(word {position + 1}); it could go on with {', '.join(map(repr, likely))}"
                )
            state = edge[1]
        return state

    def next_distribution(self, prefix: str | Sequence[str]) -> dict[str, float]:
        """p(next word | prefix), END included, most probable first. Raises as :meth:`after`."""
        edges = self.edges(self.after(words(prefix)))
        return {word: p for word, (p, _) in sorted(edges.items(), key=lambda e: -e[1][0])}

    def log_prob(self, text: str | Sequence[str]) -> float:
        """log p(text), END included; −inf for an impossible order of known words."""
        return float(self.log_probs(text).sum())

    def log_probs(self, text: str | Sequence[str]) -> np.ndarray:
        """log p(w_t | w_<t) for every word and END; −inf from the first impossible word on.

        Raises:
            ValueError: a word is unknown.
        """
        tokens = words(text)
        out = np.full(len(tokens) + 1, -np.inf)
        state = 0
        for position, word in enumerate((*tokens, END)):
            edge = self.edges(state).get(word)
            if edge is None:
                self.known(tokens)
                break
            out[position], state = math.log(edge[0]), edge[1]
        return out

    @cached_property
    def arrays(self) -> Arrays:
        """All edges.

        Raises:
            ValueError: there are more states than ``limit``.
        """
        source, target, word, probability = [], [], [], []
        state = 0
        while state < len(self._beliefs):
            if len(self._beliefs) > self.limit:
                raise ValueError(
                    f"this world's automaton has more than {self.limit:,} states; choose fewer kinds of text, "
                    "a smaller distance or fewer clauses (filtering and sampling work without it)"
                )
            for w, (p, t) in self.edges(state).items():
                source.append(state)
                target.append(t)
                word.append(self.index.get(w, -1))
                probability.append(p)
            state += 1
        return Arrays(np.array(source), np.array(target), np.array(word), np.array(probability), state)

    def visits(self) -> np.ndarray:
        """How often a text passes through each state, on average (every text starts in state 0 and never returns)."""
        a = self.arrays
        inner = a.target >= 0
        step = sparse.csr_matrix((a.probability[inner], (a.target[inner], a.source[inner])), shape=(a.states, a.states))
        mass = np.zeros(a.states)
        mass[0] = 1.0
        total = np.zeros(a.states)
        while mass.any():
            total += mass
            mass = step @ mass
        return total

    def entropy(self) -> tuple[float, float]:
        """(H, N): the entropy of a text in nats, and the expected number of its tokens, END included.

        H = −Σ_x p(x) log p(x) = Σ_s visits(s) · H(next word | s), by the chain rule over the states s of the deterministic
        automaton, where each text is one path.
        """
        a, visits = self.arrays, self.visits()
        surprise = -a.probability * np.log(a.probability)
        return float(visits[a.source] @ surprise), float(visits.sum())

    def enumerate(self) -> Iterator[tuple[tuple[str, ...], float]]:
        """Every text with its probability, depth first."""
        stack: list[tuple[tuple[str, ...], int, float]] = [((), 0, 1.0)]
        while stack:
            prefix, state, p = stack.pop()
            for word, (q, target) in reversed(self.edges(state).items()):
                if target < 0:
                    yield prefix, p * q
                else:
                    stack.append(((*prefix, word), target, p * q))

    def posterior(self, tokens: Sequence[str], asked: Sequence[int], noise: MaskingNoise) -> dict[int, dict[str, float]]:
        """The posterior of :meth:`lmcore.world.World.posterior`, by the forward–backward algorithm.

        With e_t(w) = p(tokens[t] | w) under the noise, the forward messages are
        α_{t+1}(s') = Σ_{s→s' by w} α_t(s) p(w | s) e_t(w), the backward messages β likewise from END, and the posterior at t is
        ∝ p(tokens[t] | w, chosen) Σ_{s→s' by w} α_t(s) p(w | s) β_{t+1}(s').
        """
        a, size, length = self.arrays, len(self.vocabulary), len(tokens)
        inner = a.target >= 0
        source, target, word, p = a.source[inner], a.target[inner], a.word[inner], a.probability[inner]
        seen = [-1 if token == MASK else self.index[token] for token in tokens]
        emit = [noise.likelihood(x, size)[word] * p for x in seen]
        closing = np.zeros(a.states)
        closing[a.source[~inner]] = a.probability[~inner]
        backward = [closing]
        for t in reversed(range(length)):
            message = np.bincount(source, emit[t] * backward[-1][target], a.states)
            backward.append(normalised(message, tokens))
        backward.reverse()
        forward = np.zeros(a.states)
        forward[0] = 1.0
        out = {}
        wanted = set(asked)
        for t in range(length):
            if t in wanted:
                belief = np.bincount(word, forward[source] * p * backward[t + 1][target], size) * noise.likelihood(
                    seen[t], size, chosen=True
                )
                belief = normalised(belief, tokens)
                out[t] = {self.vocabulary[i]: float(belief[i]) for i in np.argsort(-belief, kind="stable") if belief[i] > 0}
            forward = normalised(np.bincount(target, emit[t] * forward[source], a.states), tokens)
        return {t: out[t] for t in asked}


def normalised(message: np.ndarray, tokens: Sequence[str]) -> np.ndarray:
    """``message`` divided by its sum; a ValueError if nothing is left of it."""
    total = message.sum()
    if total <= 0:
        raise ValueError(f"no text of this world can have become {' '.join(tokens)!r} under this noise")
    return message / total


def words(text: str | Sequence[str]) -> list[str]:
    """A text as a list of tokens; a string is split at white space.

    Raises:
        ValueError: it is neither a string nor a sequence of strings.
    """
    if isinstance(text, str):
        return text.split()
    if not isinstance(text, Sequence) or not all(isinstance(token, str) for token in text):
        raise ValueError(f"{text!r} is no text; give a string or a sequence of words")
    return list(text)
