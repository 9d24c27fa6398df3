"""The gradient along the cell of an LSTM: the product of the forget gates from one step to the last (Hochreiter and
Schmidhuber 1997; Gers et al. 2000)."""

import random

import torch

from exercises.grader.exercise import Exercise, hidden, normal, public
from lmcore.check.run import Case


def memory_left(forget, lengths):
    left = torch.zeros_like(forget)
    for b, n in enumerate(lengths.tolist()):
        share = 1.0
        for t in reversed(range(n)):
            left[b, t] = share
            share = share * forget[b, t]
    return left


# Right, written differently


def every_product(forget, lengths):
    left = torch.zeros_like(forget)
    for b in range(len(forget)):
        for t in range(int(lengths[b])):
            left[b, t] = forget[b, t + 1 : lengths[b]].prod(dim=0)
    return left


def with_cumprod(forget, lengths):
    steps = torch.arange(forget.shape[1], device=forget.device)
    real = steps < lengths[:, None]
    after = torch.where(real[..., None], forget, 1.0)[:, 1:]
    after = torch.cat([after, torch.ones_like(forget[:, :1])], dim=1)
    return after.flip(1).cumprod(1).flip(1) * real[..., None]


def with_autograd(forget, lengths):
    rows = []
    for gates, n in zip(forget, lengths.tolist(), strict=True):
        with torch.enable_grad():
            cells = [torch.zeros_like(gates[0], requires_grad=True)]
            for t in range(1, n):
                cells.append(gates[t] * cells[-1] + 1.0)
            found = torch.autograd.grad(cells[-1].sum(), cells)
        rows.append(torch.cat([torch.stack(found), torch.zeros_like(gates[n:])]))
    return torch.stack(rows)


def one_step_at_a_time(forget, lengths):
    columns = []
    share = torch.zeros_like(forget[:, 0])
    for t in reversed(range(forget.shape[1])):
        if t + 1 < forget.shape[1]:
            share = share * forget[:, t + 1]
        share = torch.where((lengths == t + 1)[:, None], 1.0, share)
        columns.insert(0, share)
    return torch.stack(columns, dim=1)


# Wrong: the docstring is the hint


def _texts(forget, lengths, left):
    """A result in which text b has ``left(gates)``, where ``gates`` are those of its real steps."""
    result = torch.zeros_like(forget)
    for b, n in enumerate(lengths.tolist()):
        result[b, :n] = left(forget[b, :n])
    return result


def _backwards(gates):
    """For every step the product of the gates from this one on."""
    return gates.flip(0).cumprod(0).flip(0)


def _shifted(products):
    return torch.cat([products[1:], torch.ones_like(products[:1])])


def own_gate_included(forget, lengths):
    """The product begins one step too early: it contains the gate of step n itself. That gate works on the cell before, on the
    way from step n − 1 to n. Which gates lie between c of step n and c of the last step?"""
    return _texts(forget, lengths, _backwards)


def all_one_step_early(forget, lengths):
    """The number of factors is right, but they begin and end one step too early: from the gate of step n to that of the last
    step but one. On the way from step n to step n + 1 acts the gate of step n + 1."""
    ones = torch.ones_like(forget[0, :1])
    return _texts(forget, lengths, lambda gates: torch.cat([_backwards(gates[:-1]), ones]))


def last_gate_left_out(forget, lengths):
    """The product stops one step too early: the gate of the last step is missing. Between the last step but one and the last
    lies exactly one gate."""

    def left(gates):
        return _shifted(_backwards(torch.cat([gates[:-1], torch.ones_like(gates[:1])])))

    return _texts(forget, lengths, left)


def from_the_start(forget, lengths):
    """You multiplied from the first step up to n. That is what is left at step n of the beginning. Asked for is what is left
    of step n at the end: which gates come after n?"""
    return _texts(forget, lengths, lambda gates: gates.cumprod(0))


def in_reverse_order(forget, lengths):
    """The numbers are right and stand in the wrong order: the last step's came first. After multiplying from the end, turn the
    result round again."""
    return _texts(forget, lengths, lambda gates: _shifted(_backwards(gates)).flip(0))


def next_gate_only(forget, lengths):
    """Each step has only the gate of the step after it. From there to the end the memory passes all the other gates too."""
    return _texts(forget, lengths, _shifted)


def gates_added(forget, lengths):
    """The gates were added up. What is left of what was left is a product: after two gates of ½, is ¼ left, or 1?"""
    return _texts(forget, lengths, lambda gates: torch.cat([gates[1:].flip(0).cumsum(0).flip(0), torch.ones_like(gates[:1])]))


def kept_share_swapped(forget, lengths):
    """You multiplied 1 − f. A forget gate says, in spite of its name, how much is kept: f = 1 forgets nothing."""
    return _texts(forget, lengths, lambda gates: _shifted(_backwards(1 - gates)))


def mean_gate_to_the_distance(forget, lengths):
    """You raised the mean gate to the power of the distance. A single gate near 0 wipes the memory out, however open the
    others are: multiply the gates themselves."""

    def left(gates):
        distance = torch.arange(len(gates), device=gates.device).flip(0)[:, None]
        return gates.mean(0) ** distance

    return _texts(forget, lengths, left)


def same_for_every_step(forget, lengths):
    """Every step has the product of all gates of its text. Only the gates after step n stand between it and the end."""
    return _texts(forget, lengths, lambda gates: gates.prod(0).expand_as(gates))


def by_division(forget, lengths):
    """You divided the product of all gates by the product up to n. With a gate of 0, or in a long text, both are 0, and 0/0 is
    no number. Multiply from the end instead."""
    return _texts(forget, lengths, lambda gates: gates.prod(0) / gates.cumprod(0))


def units_multiplied(forget, lengths):
    """The units were multiplied with each other. Each unit of the cell has its own gate and its own memory: multiply over time
    only."""
    return _texts(forget, lengths, lambda gates: _shifted(_backwards(gates.prod(1, keepdim=True))).expand_as(gates))


def units_averaged(forget, lengths):
    """The gates were averaged over the units before they were multiplied. Each unit of the cell has its own gate and its own
    memory."""
    return _texts(forget, lengths, lambda gates: _shifted(_backwards(gates.mean(1, keepdim=True))).expand_as(gates))


def last_is_zero(forget, lengths):
    """At a text's last step you have 0. No gate lies between a cell and itself: what is a product of no factors, and how much
    of c is left at once?"""
    return _texts(forget, lengths, lambda gates: torch.cat([_shifted(_backwards(gates))[:-1], torch.zeros_like(gates[:1])]))


def padding_multiplied(forget, lengths):
    """In short texts the product runs on through the padding. What stands behind a text's end is no part of it: where does
    text b end?"""
    full = torch.full_like(lengths, forget.shape[1])
    real = torch.arange(forget.shape[1], device=forget.device) < lengths[:, None]
    return memory_left(forget, full) * real[..., None]


def lengths_unused(forget, lengths):
    """The lengths are not used: the padding behind a short text was treated as part of it. Text b ends after `lengths[b]`
    steps, and behind that the result is 0."""
    return memory_left(forget, torch.full_like(lengths, forget.shape[1]))


def ones_in_the_padding(forget, lengths):
    """The numbers of the texts are right, but behind a text's end you have 1. There is no step there, so nothing of it is
    left: return 0."""
    real = torch.arange(forget.shape[1], device=forget.device) < lengths[:, None]
    return torch.where(real[..., None], memory_left(forget, lengths), 1.0)


def zeros_in_the_product(forget, lengths):
    """In short texts everything is 0: the gates of the padding were set to 0 before multiplying. Which number does not change
    a product?"""
    real = torch.arange(forget.shape[1], device=forget.device) < lengths[:, None]
    return memory_left(forget * real[..., None], torch.full_like(lengths, forget.shape[1])) * real[..., None]


def shortest_text_for_all(forget, lengths):
    """Every text was cut off at the length of the shortest. Each text has its own end: `lengths[b]`."""
    return memory_left(forget, lengths.min().expand_as(lengths))


def own_gate_and_padding(forget, lengths):
    """Two things are off. The product begins one step too early: the gate of step n acts on the cell before, on the way from
    step n − 1 to n. And the lengths are not used: text b ends after `lengths[b]` steps, and behind that the result is 0."""
    return torch.stack([_backwards(gates) for gates in forget])


def from_the_start_and_padding(forget, lengths):
    """Two things are off. You multiplied from the first step up to n; asked for is what is left of step n at the end: which
    gates come after n? And the lengths are not used: behind the end of a text the result is 0."""
    return forget.cumprod(1)


def shifted_in_a_circle(forget, lengths):
    """The last step of a text that fills its row is wrong: you moved the products one step forward in a circle, and what left
    at the front came back at the end. No gate lies behind the last step: what is a product of no factors?"""
    real = (torch.arange(forget.shape[1], device=forget.device) < lengths[:, None])[..., None]
    products = torch.stack([_backwards(gates) for gates in torch.where(real, forget, 1.0)])
    return products.roll(-1, dims=1) * real


def by_division_kept_finite(forget, lengths):
    """You divided one product by another, and saw to it that no nan comes out. But from a gate of 0 on, both products are 0,
    and so is your result. What is left of the last step at the end? Multiply from the end instead."""
    return _texts(forget, lengths, lambda gates: gates.prod(0) / (gates.cumprod(0) + 1e-12))


def cases(rng: random.Random) -> list[Case]:
    by_hand = torch.tensor([[[0.5], [0.8], [0.25]]])
    shut = torch.tensor([[[0.9, 0.5], [0.0, 0.8], [0.7, 0.4], [0.6, 0.2]]])
    return [
        public("one text of three steps, one unit", by_hand, torch.tensor([3])),
        public("a gate that is shut", shut, torch.tensor([4])),
        public("a padded batch", _gates(rng, 3, 5, 2), torch.tensor([5, 2, 4])),
        hidden("a text of one step", _gates(rng, 2, 3, 4), torch.tensor([1, 3])),
        hidden("nothing is forgotten", torch.ones(2, 5, 3), torch.tensor([4, 5])),
        hidden("a long text", _gates(rng, 1, 61, 3).sqrt(), torch.tensor([61])),
        hidden("no text fills the batch", _gates(rng, 2, 6, 3), torch.tensor([rng.randint(1, 4), rng.randint(2, 5)])),
        hidden("double precision", _gates(rng, 4, 7, 3).double(), torch.tensor([rng.randint(1, 7) for _ in range(4)])),
    ]


def _gates(rng: random.Random, batch: int, steps: int, size: int) -> torch.Tensor:
    return torch.sigmoid(1 + normal(rng, batch, steps, size))


EXERCISE = Exercise(
    chapter="ch06_lstm_gru",
    minutes=20,
    difficulty=2,
    points=3,
    reference=memory_left,
    right=[every_product, with_cumprod, with_autograd, one_step_at_a_time],
    wrong=[
        own_gate_included,
        all_one_step_early,
        last_gate_left_out,
        from_the_start,
        in_reverse_order,
        next_gate_only,
        gates_added,
        kept_share_swapped,
        mean_gate_to_the_distance,
        same_for_every_step,
        by_division,
        units_multiplied,
        units_averaged,
        last_is_zero,
        padding_multiplied,
        lengths_unused,
        ones_in_the_padding,
        zeros_in_the_product,
        shortest_text_for_all,
        own_gate_and_padding,
        from_the_start_and_padding,
        shifted_in_a_circle,
        by_division_kept_finite,
    ],
    cases=cases,
    ready=("lmcore",),
)
