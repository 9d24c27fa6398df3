"""One token after the other, and no way back: greedy search and sampling."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from lmcore.generate.filters import filtered, repetition_penalty
from lmcore.generate.steps import Hypothesis, State, Stepper, allowed, allowed_log_probs, checked

Generators = torch.Generator | Sequence[torch.Generator]
# From the logits, the tokens read so far and the numbers of the rows: the next tokens, log q of each by the model, and the
# logarithm of the probability with which it was chosen.
Choose = Callable[[Tensor, Tensor, list[int]], tuple[Tensor, Tensor, Tensor]]


@torch.no_grad()
def greedy(
    model: Stepper,
    state: State,
    first: Int[Tensor, " B"],
    *,
    end: int | Sequence[int],
    max_length: int | Sequence[int],
    never: Sequence[int] = (),
    rest: Sequence[Sequence[int]] | None = None,
    repetition: float | None = None,
    read: Int[Tensor, "B N"] | None = None,
) -> list[Hypothesis]:
    """At every step the most probable token, until ⟨end⟩: one hypothesis per row.

    A row that has ended leaves the batch, so a long text does not make the short ones wait in it.

    Args:
        model: has ``step`` and ``select``.
        state: what the model has read; see :mod:`lmcore.generate`.
        first: the last token of each row, which the model has not read yet.
        end: the id of ⟨end⟩, or several ids that end a text, or none, ``()``.
        max_length: the most tokens to generate, ⟨end⟩ counted; one number, or one per row.
        never: ids that are not to be generated.
        rest: prompts of different lengths: what each row still has to read after ``first``, before it generates. While one
            row reads, another may generate already, and all stay at the same position.
        repetition: choose by logits after :func:`repetition_penalty`, with this penalty.
        read: for the penalty, what was read before ``first``.

    Raises:
        ValueError: the model cannot step, an id is none, or ``max_length`` is not positive or does not fit the rows.
    """

    def choose(logits: Tensor, seen: Tensor, rows: list[int]) -> tuple[Tensor, Tensor, Tensor]:
        log_probs = allowed_log_probs(logits, never)
        if repetition is None:
            best = log_probs.max(1)
            return best.indices, best.values, best.values
        tokens = repetition_penalty(allowed(logits, never), seen, repetition).argmax(1)
        found = log_probs.gather(1, tokens[:, None])[:, 0]
        return tokens, found, found

    return _walk(model, state, first, checked(model, first, end, max_length, never, rest), choose, read)


@torch.no_grad()
def sample(
    model: Stepper,
    state: State,
    first: Int[Tensor, " B"],
    *,
    generator: Generators,
    end: int | Sequence[int],
    max_length: int | Sequence[int],
    never: Sequence[int] = (),
    rest: Sequence[Sequence[int]] | None = None,
    temperature: float | None = None,
    top_k: int | None = None,
    top_p: float | None = None,
    repetition: float | None = None,
    read: Int[Tensor, "B N"] | None = None,
) -> list[Hypothesis]:
    """Draw every token from the model's distribution, filtered where that is asked for: one text per row.

    Without filters a text comes with the very probability that the model gives it (ancestral sampling).

    Args:
        model, state, first, end, max_length, never, rest, read: as for :func:`greedy`.
        generator: the random numbers; one for all rows, or one per row, which makes a row's text independent of the others.
        temperature, top_k, top_p, repetition: see :func:`filtered`.

    Raises:
        ValueError: as :func:`greedy` or a filter, or there are not as many generators as rows.
    """
    one = isinstance(generator, torch.Generator)
    given: list[Any] = list(generator) if isinstance(generator, list | tuple) else [generator]
    if not all(isinstance(source, torch.Generator) for source in given) or (not one and len(given) != len(first)):
        raise ValueError(
            f"generator must be a torch.Generator, or a list of one for each of {len(first)} rows; got {generator!r}"
        )
    how = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "repetition": repetition}

    def choose(logits: Tensor, seen: Tensor, rows: list[int]) -> tuple[Tensor, Tensor, Tensor]:
        drawn_from = filtered(allowed(logits, never), seen, **how).log_softmax(1)  # type: ignore[arg-type]
        shares = drawn_from.exp()
        if one:
            tokens = shares.multinomial(1, generator=given[0])
        else:
            draws = zip(shares, rows, strict=True)
            tokens = torch.stack([share.multinomial(1, generator=given[row]) for share, row in draws])
        by_model = allowed_log_probs(logits, never).gather(1, tokens)
        return tokens[:, 0], by_model[:, 0], drawn_from.gather(1, tokens)[:, 0]

    return _walk(model, state, first, checked(model, first, end, max_length, never, rest), choose, read)


def _walk(
    model: Stepper,
    state: State,
    first: Tensor,
    plan: tuple[list[int], frozenset[int], list[list[int]]],
    choose: Choose,
    read: Tensor | None,
) -> list[Hypothesis]:
    """Step by step: a row reads what is left of its prompt, then what was chosen for it, until it has ended."""
    limits, stops, rest = plan
    rows = list(range(len(first)))  # of the batch as it was given; those that go on
    ids: list[list[int]] = [[] for _ in rows]
    log_prob, score, ended = [0.0] * len(rows), [0.0] * len(rows), [False] * len(rows)
    seen = first[:, None] if read is None else torch.cat([read, first[:, None]], dim=1)
    step = 0
    while rows:
        logits, state = model.step(seen[:, -1], state)
        free = [i for i, row in enumerate(rows) if step >= len(rest[row])]
        tokens = torch.tensor([0 if step >= len(rest[row]) else rest[row][step] for row in rows], device=first.device)
        if free:
            places = torch.tensor(free, device=first.device)
            some = len(free) < len(rows)
            chosen = choose(logits[places] if some else logits, seen[places] if some else seen, [rows[i] for i in free])
            tokens[places] = chosen[0]
            for i, token, *values in zip(free, *(part.tolist() for part in chosen), strict=True):
                row = rows[i]
                log_prob[row] += values[0]
                score[row] += values[1]
                ended[row] = token in stops
                ids[row].append(token)
        seen = torch.cat([seen, tokens[:, None]], dim=1)
        step += 1
        going = [i for i, row in enumerate(rows) if not ended[row] and len(ids[row]) < limits[row]]
        if len(going) < len(rows):
            rows = [rows[i] for i in going]
            kept = torch.tensor(going, device=first.device, dtype=torch.long)
            seen = seen[kept]
            if rows:
                state = model.select(state, kept)
    texts = zip(ids, log_prob, ended, score, strict=True)
    return [Hypothesis(tuple(text[:-1] if done else text), q, done, s) for text, q, done, s in texts]
