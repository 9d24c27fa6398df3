"""Beam search: several hypotheses at a time, each extended by every token."""

import heapq
import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from lmcore.batches import at_least
from lmcore.generate.steps import Hypothesis, State, Stepper, allowed_log_probs, checked

Normalizer = Callable[[int, float], float]


def length_normalizer(length: int, alpha: float) -> float:
    r"""What Wu et al. (2016), equation 14, divide a log-probability by: :math:`(5 + |Y|)^\alpha / 6^\alpha`.

    Every further token makes a text less probable, so a search for the most probable text favours short ones. Dividing by this
    number makes up for it. α = 0 divides by 1 and changes nothing; the paper found values around 0.6 to 0.7 best.

    Args:
        length: :math:`|Y|`, the number of tokens, ⟨end⟩ counted.
        alpha: α ≥ 0.
    """
    return ((5 + length) / 6) ** alpha


def length_power(length: int, alpha: float) -> float:
    r"""The plain length penalty: divide by :math:`|Y|^\alpha`. α = 1 ranks by the mean log-probability of a token.

    Against :func:`length_normalizer` it favours length more among short texts, where one token more makes a larger factor. It
    is what most libraries call ``length_penalty``.

    Args:
        length: :math:`|Y|`, the number of tokens, ⟨end⟩ counted.
        alpha: α ≥ 0.
    """
    return length**alpha


@torch.no_grad()
def beam(
    model: Stepper,
    state: State,
    first: Int[Tensor, " B"],
    *,
    width: int,
    end: int | Sequence[int],
    max_length: int | Sequence[int],
    never: Sequence[int] = (),
    alpha: float = 0.0,
    normalizer: Normalizer = length_normalizer,
    results: int | None = None,
    rest: Sequence[Sequence[int]] | None = None,
    refill: bool = False,
) -> list[list[Hypothesis]]:
    """Beam search: for every row the best hypotheses found, the best first.

    The search keeps up to ``width`` open hypotheses for a row. At each step every one of them is extended by every token, and
    the ``width`` most probable extensions stay. An extension by ⟨end⟩ is complete: it leaves the beam and takes its place with
    it (Sutskever et al. 2014, section 3.2). So a width of 1 is the greedy search, and a width of at least the number of all
    texts up to ``max_length`` finds the most probable of them for certain; in between, nothing is promised.

    Open hypotheses are equally long and compete by probability. Complete ones are ranked by ``score``. The search of a row ends
    when no open hypothesis can still get among its best ``results``, which is certain because a log-probability only falls.

    With ``refill`` the search is that of most libraries (Hugging Face's with ``early_stopping="never"``): what ends among the
    ``width`` most probable extensions is complete, and the next ones take its place, so that ``width`` hypotheses are open at
    all times. It reads more, and finds texts that end late; a width of 1 is no longer the greedy search.

    Args:
        model, state, first, end, max_length, never, rest: as for :func:`greedy`.
        width: how many hypotheses may be open, or open and complete, at a time.
        alpha: α of the normaliser.
        normalizer: what a log-probability is divided by, :func:`length_normalizer` or :func:`length_power`; a function of
            length and α that does not fall with the length.
        results: how many hypotheses to return per row, at most ``width``, which is the default. A row may have fewer if the
            model allows fewer. Those that were cut off at ``max_length`` come after those that ended.
        refill: see above; then those that were cut off are ranked among the others.

    Raises:
        ValueError: as for :func:`greedy`, or ``width``, ``results`` or ``alpha`` is out of range.
    """
    limits, stops, left = checked(model, first, end, max_length, never, rest)
    at_least(1, width=width, results=width if results is None else results)
    wanted = width if results is None else results
    if wanted > width:
        raise ValueError(f"results={results} is more than width={width}; a beam holds no more than its width")
    if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not 0 <= alpha < math.inf:
        raise ValueError(f"alpha={alpha!r} is not allowed; use a finite number from 0 on")

    def norm(length: int) -> float:
        return normalizer(length, alpha)

    plans = zip(limits, left, strict=True)
    searches = [_Search(width, wanted, limit, norm, stops, prompt, refill) for limit, prompt in plans]
    most = width + len(stops) if refill else width
    tokens = first  # one per open hypothesis: those of the first row, those of the second, …
    while len(tokens):
        logits, state = model.step(tokens, state)
        best = allowed_log_probs(logits, never).topk(min(most, logits.shape[1]), dim=1)
        log_probs, ids = best.values.tolist(), best.indices.tolist()
        parents, start = [], 0
        for search in searches:
            stop = start + len(search.open)
            parents += [start + place for place in search.extend(log_probs[start:stop], ids[start:stop])]
            start = stop
        tokens = torch.tensor([token for search in searches for token in search.next_tokens], device=first.device).long()
        if parents:
            state = model.select(state, torch.tensor(parents, device=first.device))
    return [search.found() for search in searches]


class _Search:
    """The beam of one row: hypotheses that are open, as (ids, log-probability), and those that are not any more."""

    def __init__(
        self,
        width: int,
        wanted: int,
        limit: int,
        norm: Callable[[int], float],
        stops: frozenset[int],
        prompt: list[int],
        refill: bool,
    ):
        self.width, self.wanted, self.limit, self.norm, self.stops, self.refill = width, wanted, limit, norm, stops, refill
        self.prompt = prompt[::-1]  # what is left to read, the next token last
        self.length = 0
        self.next_tokens: list[int] = []
        self.open: list[tuple[tuple[int, ...], float]] = [((), 0.0)]
        self.complete: list[Hypothesis] = []
        self.cut_off: list[Hypothesis] = []

    def extend(self, log_probs: list[list[float]], tokens: list[list[int]]) -> list[int]:
        """Extend every open hypothesis by its candidates; for each that is open then, the place of the one it came from."""
        if self.prompt:
            self.next_tokens = [self.prompt.pop()]
            return [0]
        self.length += 1
        candidates = [
            (before + log_prob, place, token)
            for place, (_, before) in enumerate(self.open)
            for log_prob, token in zip(log_probs[place], tokens[place], strict=True)
            if log_prob > -math.inf
        ]
        parents: list[int] = []
        still_open: list[tuple[tuple[int, ...], float]] = []
        places = self.width * (1 + len(self.stops)) if self.refill else self.width - len(self.complete)
        for rank, (log_prob, place, token) in enumerate(heapq.nlargest(places, candidates, key=lambda c: c[0])):
            ids, score = self.open[place][0], log_prob / self.norm(self.length)
            ends = token in self.stops or self.length == self.limit
            if rank >= self.width and (ends or len(still_open) == self.width):
                continue  # only the most probable end; these are here to take their places
            if token in self.stops:
                self.complete.append(Hypothesis(ids, log_prob, True, score))
            elif self.length == self.limit:
                self.cut_off.append(Hypothesis((*ids, token), log_prob, False, score))
            else:
                parents.append(place)
                still_open.append(((*ids, token), log_prob))
        self.complete.sort(key=lambda hypothesis: -hypothesis.score)
        if still_open and len(self.complete) >= self.wanted:
            # The best that an open hypothesis can become: all that follows is certain, and it ends as late as it may.
            within_reach = max(log_prob for _, log_prob in still_open) / self.norm(self.limit)
            if within_reach <= self.complete[self.wanted - 1].score:
                parents, still_open = [], []
        self.open, self.next_tokens = still_open, [ids[-1] for ids, _ in still_open]
        return parents

    def found(self) -> list[Hypothesis]:
        """The best hypotheses, those that ended first; with ``refill`` in one row."""
        if self.refill:
            return sorted(self.complete + self.cut_off, key=lambda hypothesis: -hypothesis.score)[: self.wanted]
        return (self.complete + sorted(self.cut_off, key=lambda hypothesis: -hypothesis.score))[: self.wanted]
