"""What generation asks of a model, what it gives back, and the model without a memory that everything is measured by."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

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
        log_prob: log q(ids, and ⟨end⟩ if it came), natural logarithm, by the model itself.
        ended: whether ⟨end⟩ came; otherwise the text was cut off at ``max_length``.
        score: what the search ranks by: ``log_prob``, divided by a normaliser such as :func:`length_normalizer` where one was
            asked for. For a text that was drawn, the logarithm of the probability with which it was drawn, which filters
            change.
    """

    ids: tuple[int, ...]
    log_prob: float
    ended: bool
    score: float


class Uncached:
    """A model as a :class:`Stepper` that keeps nothing but the tokens, and computes everything anew at every step.

    It needs no state from the model, only ``model(ids)``, or ``model(*given, ids)`` for a model that reads other things first,
    such as ``model(sources, lengths, ids)``. One more token costs as much as all before it. A cache must give the same.

    Args:
        model: returns logits (B, T, V), or a tuple that begins with them.
    """

    def __init__(self, model: nn.Module):
        if not callable(model):
            raise ValueError(f"model must be called as model(ids); a {type(model).__name__} cannot be")
        self.model = model

    def begin(self, ids: Int[Tensor, "B T"], *given: Tensor) -> tuple[Tensor, ...]:
        """A state in which these tokens were read; ``given`` goes to the model before them, row by row."""
        return (*given, ids)

    def step(self, tokens: Int[Tensor, " B"], state: tuple[Tensor, ...]) -> tuple[Float[Tensor, "B V"], tuple[Tensor, ...]]:
        """The logits after these tokens, from the very beginning."""
        *given, ids = state
        ids = torch.cat([ids, tokens[:, None]], dim=1)
        found = self.model(*given, ids)
        return (found[0] if isinstance(found, tuple) else found)[:, -1], (*given, ids)

    def select(self, state: tuple[Tensor, ...], rows: Int[Tensor, " N"]) -> tuple[Tensor, ...]:
        """These rows of everything."""
        return tuple(part[rows] for part in state)


def allowed_log_probs(logits: Float[Tensor, "B V"], never: Sequence[int] = ()) -> Float[Tensor, "B V"]:
    """log q of the next token, where the tokens ``never`` (⟨pad⟩, ⟨start⟩) have probability 0 and the others share the rest."""
    return allowed(logits, never).log_softmax(1)


def allowed(logits: Tensor, never: Sequence[int]) -> Tensor:
    """The logits, with −∞ for the tokens ``never``."""
    if never:
        logits = logits.clone()
        logits[:, list(never)] = -math.inf
    return logits


def checked(
    model: object,
    first: Tensor,
    end: int | Sequence[int],
    max_length: int | Sequence[int],
    never: Sequence[int],
    rest: Sequence[Sequence[int]] | None,
) -> tuple[list[int], frozenset[int], list[list[int]]]:
    """The most tokens of each row, the tokens that end a text and what is left of each prompt; ValueError for bad input."""
    if not isinstance(model, Stepper):
        raise ValueError(f"model must have step(tokens, state) and select(state, rows); a {type(model).__name__} has not")
    if not isinstance(first, Tensor) or first.dtype != torch.int64 or first.ndim != 1:
        given = f"shape {tuple(first.shape)} of {first.dtype}" if isinstance(first, Tensor) else f"a {type(first).__name__}"
        raise ValueError(f"first must be a tensor of token ids (torch.int64), one per row; got {given}")
    stops: dict[str, Any] = {"end": end}
    if isinstance(end, list | tuple | set | frozenset):
        stops = {f"end[{i}]": token for i, token in enumerate(end)}
    at_least(0, **stops)
    at_least(0, **{f"never[{i}]": token for i, token in enumerate(never)})
    for stop in stops.values():
        if stop in never:
            raise ValueError(f"end={stop} is in never; a text could not end. Leave it out of never")
    limits = [max_length] * len(first) if isinstance(max_length, int) else list(max_length)
    if len(limits) != len(first):
        raise ValueError(f"max_length has {len(limits)} numbers for {len(first)} rows; give one number, or one per row")
    named = {f"max_length[{i}]": n for i, n in enumerate(limits)}
    at_least(1, **({"max_length": max_length} if isinstance(max_length, int) else named))
    left = [[] for _ in limits] if rest is None else [list(map(int, row)) for row in rest]
    if len(left) != len(first):
        raise ValueError(f"rest has {len(left)} rows for {len(first)}; give the tokens that are left of each prompt, or None")
    return limits, frozenset(map(int, stops.values())), left
