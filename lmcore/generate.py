"""Generation: from a model that scores next tokens to whole texts.

Everything here works with any model that can do two things:

``step(tokens, state)``
    read one more token of every row and give the logits of the next one, with the state that remembers what was read;
``select(state, rows)``
    the state of these rows, in this order; a row may be named several times.

A recurrent network's state is its hidden vectors, that of a translator holds the source text too, that of a Transformer is its
cache. The functions here never look into it. They begin from a state in which everything was read but the last token of each
row: for a translator that is ⟨start⟩, for a prompt its last word.
"""

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lmcore.batches import at_least

State = Any


@runtime_checkable
class Stepper(Protocol):
    """A model that reads one token after the other."""

    def step(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Read ``tokens`` (B,); return the logits of the next token (B, V) and the new state."""
        ...

    def select(self, state: State, rows: Tensor) -> State:
        """The state of these rows: row i of the result is row ``rows[i]`` of ``state``."""
        ...


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A generated text.

    Attributes:
        ids: its tokens, without ⟨start⟩ and ⟨end⟩.
        log_prob: log q(ids, and ⟨end⟩ if it came), natural logarithm.
        ended: whether ⟨end⟩ came; otherwise the text was cut off at ``max_length``.
        score: what the search ranks by: ``log_prob``, divided by :func:`length_normalizer` where one was asked for.
    """

    ids: tuple[int, ...]
    log_prob: float
    ended: bool
    score: float


def length_normalizer(length: int, alpha: float) -> float:
    r"""What Wu et al. (2016), equation 14, divide a log-probability by: :math:`(5 + |Y|)^\alpha / 6^\alpha`.

    Every further token makes a text less probable, so a search for the most probable text favours short ones. Dividing by this
    number makes up for it. α = 0 divides by 1 and changes nothing; the paper found values around 0.6 to 0.7 best.

    Args:
        length: :math:`|Y|`, the number of tokens, ⟨end⟩ counted.
        alpha: α ≥ 0.
    """
    return ((5 + length) / 6) ** alpha


def allowed_log_probs(logits: Float[Tensor, "B V"], never: Sequence[int] = ()) -> Float[Tensor, "B V"]:
    """log q of the next token, where the tokens ``never`` (⟨pad⟩, ⟨start⟩) have probability 0 and the others share the rest."""
    if never:
        logits = logits.clone()
        logits[:, list(never)] = -math.inf
    return logits.log_softmax(1)


@torch.no_grad()
def greedy(
    model: Stepper,
    state: State,
    first: Int[Tensor, " B"],
    *,
    end: int,
    max_length: int | Sequence[int],
    never: Sequence[int] = (),
) -> list[Hypothesis]:
    """At every step the most probable token, until ⟨end⟩: one hypothesis per row.

    A row that has ended leaves the batch, so a long text does not make the short ones wait in it.

    Args:
        model: has ``step`` and ``select``.
        state: what the model has read; see the head of this file.
        first: the last token of each row, which the model has not read yet.
        end: the id of ⟨end⟩.
        max_length: the most tokens to generate, ⟨end⟩ counted; one number, or one per row.
        never: ids that are not to be generated.

    Raises:
        ValueError: the model cannot step, an id is none, or ``max_length`` is not positive or does not fit the rows.
    """
    limits = _checked(model, first, end, max_length, never)
    rows = list(range(len(first)))  # of the batch as it was given; those that go on
    ids: list[list[int]] = [[] for _ in rows]
    total, ended = [0.0] * len(rows), [False] * len(rows)
    tokens = first
    while rows:
        logits, state = model.step(tokens, state)
        best = allowed_log_probs(logits, never).max(1)
        tokens = best.indices
        for row, token, log_prob in zip(rows, tokens.tolist(), best.values.tolist(), strict=True):
            total[row] += log_prob
            ended[row] = token == end
            ids[row].append(token)
        going = [i for i, row in enumerate(rows) if not ended[row] and len(ids[row]) < limits[row]]
        if len(going) < len(rows):
            rows = [rows[i] for i in going]
            kept = torch.tensor(going, device=first.device, dtype=torch.long)
            tokens = tokens[kept]
            if rows:
                state = model.select(state, kept)
    return [Hypothesis(tuple(i[:-1] if e else i), t, e, t) for i, t, e in zip(ids, total, ended, strict=True)]


@torch.no_grad()
def beam(
    model: Stepper,
    state: State,
    first: Int[Tensor, " B"],
    *,
    width: int,
    end: int,
    max_length: int | Sequence[int],
    never: Sequence[int] = (),
    alpha: float = 0.0,
    results: int | None = None,
) -> list[list[Hypothesis]]:
    """Beam search: for every row the best hypotheses found, the best first.

    The search keeps up to ``width`` open hypotheses for a row. At each step every one of them is extended by every token, and
    the ``width`` most probable extensions stay. An extension by ⟨end⟩ is complete: it leaves the beam and takes its place with
    it (Sutskever et al. 2014, section 3.2). So a width of 1 is the greedy search, and a width of at least the number of all
    texts up to ``max_length`` finds the most probable of them for certain; in between, nothing is promised.

    Open hypotheses are equally long and compete by probability. Complete ones are ranked by ``score``. The search of a row ends
    when no open hypothesis can still get among its best ``results``, which is certain because a log-probability only falls.

    Args:
        model, state, first, end, max_length, never: as for :func:`greedy`.
        width: how many hypotheses may be open, or open and complete, at a time.
        alpha: α of :func:`length_normalizer`.
        results: how many hypotheses to return per row, at most ``width``, which is the default. A row may have fewer if the
            model allows fewer. Those that were cut off at ``max_length`` come after those that ended.

    Raises:
        ValueError: as for :func:`greedy`, or ``width``, ``results`` or ``alpha`` is out of range.
    """
    limits = _checked(model, first, end, max_length, never)
    at_least(1, width=width, results=width if results is None else results)
    wanted = width if results is None else results
    if wanted > width:
        raise ValueError(f"results={results} is more than width={width}; a beam holds no more than its width")
    if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not 0 <= alpha < math.inf:
        raise ValueError(f"alpha={alpha!r} is not allowed; use a finite number from 0 on")

    searches = [_Search(width, wanted, limit, alpha, end) for limit in limits]
    tokens = first  # one per open hypothesis: those of the first row, those of the second, …
    while len(tokens):
        logits, state = model.step(tokens, state)
        best = allowed_log_probs(logits, never).topk(min(width, logits.shape[1]), dim=1)
        log_probs, ids = best.values.tolist(), best.indices.tolist()
        parents, start = [], 0
        for search in searches:
            stop = start + len(search.open)
            parents += [start + place for place in search.extend(log_probs[start:stop], ids[start:stop])]
            start = stop
        tokens = torch.tensor([ids[-1] for search in searches for ids, _ in search.open], device=first.device).long()
        if parents:
            state = model.select(state, torch.tensor(parents, device=first.device))
    return [search.found() for search in searches]


class _Search:
    """The beam of one row: hypotheses that are open, as (ids, log-probability), and those that are not any more."""

    def __init__(self, width: int, wanted: int, limit: int, alpha: float, end: int):
        self.width, self.wanted, self.limit, self.alpha, self.end = width, wanted, limit, alpha, end
        self.length = 0
        self.open: list[tuple[tuple[int, ...], float]] = [((), 0.0)]
        self.complete: list[Hypothesis] = []
        self.cut_off: list[Hypothesis] = []

    def extend(self, log_probs: list[list[float]], tokens: list[list[int]]) -> list[int]:
        """Extend every open hypothesis by its candidates; for each that is open then, the place of the one it came from."""
        self.length += 1
        candidates = [
            (before + log_prob, place, token)
            for place, (_, before) in enumerate(self.open)
            for log_prob, token in zip(log_probs[place], tokens[place], strict=True)
            if log_prob > -math.inf
        ]
        parents, still_open = [], []
        for log_prob, place, token in heapq.nlargest(self.width - len(self.complete), candidates, key=lambda c: c[0]):
            ids, score = self.open[place][0], log_prob / length_normalizer(self.length, self.alpha)
            if token == self.end:
                self.complete.append(Hypothesis(ids, log_prob, True, score))
            elif self.length == self.limit:
                self.cut_off.append(Hypothesis((*ids, token), log_prob, False, score))
            else:
                parents.append(place)
                still_open.append(((*ids, token), log_prob))
        self.complete.sort(key=lambda hypothesis: -hypothesis.score)
        if still_open and len(self.complete) >= self.wanted:
            # The best that an open hypothesis can become: all that follows is certain, and it ends as late as it may.
            within_reach = max(log_prob for _, log_prob in still_open) / length_normalizer(self.limit, self.alpha)
            if within_reach <= self.complete[self.wanted - 1].score:
                parents, still_open = [], []
        self.open = still_open
        return parents

    def found(self) -> list[Hypothesis]:
        """The best hypotheses, those that ended first."""
        return (self.complete + sorted(self.cut_off, key=lambda hypothesis: -hypothesis.score))[: self.wanted]


def _checked(model: object, first: Tensor, end: int, max_length: int | Sequence[int], never: Sequence[int]) -> list[int]:
    """The most tokens of each row, once everything is known to be in order."""
    if not isinstance(model, Stepper):
        raise ValueError(f"model must have step(tokens, state) and select(state, rows); a {type(model).__name__} has not")
    if not isinstance(first, Tensor) or first.dtype != torch.int64 or first.ndim != 1:
        given = f"shape {tuple(first.shape)} of {first.dtype}" if isinstance(first, Tensor) else f"a {type(first).__name__}"
        raise ValueError(f"first must be a tensor of token ids (torch.int64), one per row; got {given}")
    at_least(0, end=end, **{f"never[{i}]": token for i, token in enumerate(never)})
    if end in never:
        raise ValueError(f"end={end} is in never; a text could not end. Leave it out of never")
    limits = [max_length] * len(first) if isinstance(max_length, int) else list(max_length)
    if len(limits) != len(first):
        raise ValueError(f"max_length has {len(limits)} numbers for {len(first)} rows; give one number, or one per row")
    at_least(
        1,
        **(
            {"max_length": max_length} if isinstance(max_length, int) else {f"max_length[{i}]": n for i, n in enumerate(limits)}
        ),
    )
    return limits
