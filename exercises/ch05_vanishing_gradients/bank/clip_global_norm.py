"""Gradient clipping by the norm of all gradients together (Pascanu, Mikolov and Bengio 2013, algorithm 1)."""

import random

import torch

from exercises.grader.exercise import Exercise, hidden, normal, public
from lmcore.check.run import Case

READY = (
    "torch.nn.utils.clip_grad_norm_",
    "torch.nn.utils.get_total_norm",
    "torch.nn.utils.clip_grads_with_norm_",
    "lmcore",
)


def clip_global_norm(grads, max_norm):
    norm = sum((g**2).sum() for g in grads).sqrt()
    factor = min(1.0, max_norm / norm)
    return [g * factor for g in grads]


# Right, written differently


def norm_of_norms(grads, max_norm):
    norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g) for g in grads]))
    return [g / torch.clamp(norm / max_norm, min=1.0) for g in grads]


def as_one_vector(grads, max_norm):
    everything = torch.cat([g.flatten() for g in grads])
    norm = torch.linalg.vector_norm(everything)
    if norm > max_norm:
        everything = everything / norm * max_norm
    pieces = everything.split([g.numel() for g in grads])
    return [piece.reshape(g.shape) for piece, g in zip(pieces, grads, strict=True)]


def number_by_number(grads, max_norm):
    total = 0.0
    for g in grads:
        for number in g.flatten().tolist():
            total += number * number
    if total <= max_norm**2:
        return [g.clone() for g in grads]
    return [g * (max_norm / total**0.5) for g in grads]


# Wrong: the docstring is the hint


def _norm(grads):
    return torch.stack([g.norm() for g in grads]).norm()


def _scaled(grads, norm, max_norm):
    return [g * min(1.0, max_norm / norm) for g in grads]


def tensor_by_tensor(grads, max_norm):
    """Each tensor was clipped by its own norm. That changes how long they are compared with each other, and so the direction
    of the step. One norm, that of all numbers together, gives one factor for all."""
    return [g * min(1.0, max_norm / g.norm()) for g in grads]


def global_norm_for_long_ones(grads, max_norm):
    """Only tensors that are longer than max_norm by themselves were shortened. When the gradient is too long as a whole, all
    of it is shortened by the same factor."""
    norm = _norm(grads)
    return [g * (max_norm / norm) if g.norm() > max_norm else g.clone() for g in grads]


def number_by_number_clamped(grads, max_norm):
    """Each number was cut off at max_norm. That is clipping by value: it bends the direction of the step. Multiply
    everything by the same factor."""
    return [g.clamp(-max_norm, max_norm) for g in grads]


def always_scaled(grads, max_norm):
    """Short gradients were made longer. Only a gradient whose norm is above max_norm is changed."""
    norm = _norm(grads)
    return [g * (max_norm / norm) for g in grads]


def always_scaled_but_zero(grads, max_norm):
    """Short gradients were made longer, all but zero ones. Only a gradient whose norm is above max_norm is changed."""
    return [g * (max_norm / (_norm(grads) + 1e-6)) for g in grads]


def to_length_one(grads, max_norm):
    """Long gradients were scaled to length 1. The norm after clipping is max_norm."""
    norm = _norm(grads)
    return [g / norm if norm > max_norm else g.clone() for g in grads]


def not_divided(grads, max_norm):
    """Long gradients were multiplied by max_norm. That makes their norm max_norm times as large; it should become max_norm
    itself. By what must it be divided?"""
    norm = _norm(grads)
    return [g * max_norm if norm > max_norm else g.clone() for g in grads]


def inverted(grads, max_norm):
    """Long gradients were made longer. The factor is upside down: multiplied by the norm, it should give max_norm."""
    norm = _norm(grads)
    return [g * (norm / max_norm) if norm > max_norm else g.clone() for g in grads]


def long_ones_kept(grads, max_norm):
    """Long gradients stayed as they are, and short ones were made longer. The comparison is the wrong way round: which of
    the two is to be changed?"""
    return [g * max(1.0, max_norm / _norm(grads)) for g in grads]


def nan_for_zero(grads, max_norm):
    """When all gradients are zero, the result is not a number: zero was divided by zero. Zero gradients are short enough
    and stay zero; find a way in which they are not divided by their norm."""
    norm = _norm(grads)
    return [g / norm * torch.clamp(norm, max=max_norm) for g in grads]


def norms_added(grads, max_norm):
    """The norms of the tensors were added. As in the theorem of Pythagoras it is their squares that add."""
    return _scaled(grads, sum(g.norm() for g in grads), max_norm)


def no_root(grads, max_norm):
    """The sum of the squares was taken for the norm: the root is missing."""
    return _scaled(grads, _norm(grads) ** 2, max_norm)


def longest_tensor(grads, max_norm):
    """The norm of the longest tensor was taken for the norm of the whole gradient. All numbers of all tensors count."""
    return _scaled(grads, max(g.norm() for g in grads), max_norm)


def last_tensor(grads, max_norm):
    """The norm is that of the last tensor. Collect the squares of all of them before you take the root."""
    return _scaled(grads, grads[-1].norm(), max_norm)


def first_tensor(grads, max_norm):
    """The norm is that of the first tensor. Collect the squares of all of them before you take the root."""
    return _scaled(grads, grads[0].norm(), max_norm)


def mean_of_norms(grads, max_norm):
    """The norms of the tensors were averaged. The whole gradient is one long vector: what is its length?"""
    return _scaled(grads, sum(g.norm() for g in grads) / len(grads), max_norm)


def mean_of_squares(grads, max_norm):
    """The squares were averaged. The norm is the root of their sum, however many numbers there are."""
    numbers = torch.cat([g.flatten() for g in grads])
    return _scaled(grads, (numbers**2).mean().sqrt(), max_norm)


def sum_of_sizes(grads, max_norm):
    """The absolute values of the numbers were added. The norm asked for is Euclidean: the root of the sum of their squares."""
    return _scaled(grads, sum(g.abs().sum() for g in grads), max_norm)


def largest_number(grads, max_norm):
    """The largest number was taken for the norm. The norm asked for is Euclidean: the root of the sum of all squares."""
    return _scaled(grads, max(g.abs().max() for g in grads), max_norm)


def dropped(grads, max_norm):
    """A gradient that is too long was set to zero, so nothing is learned from it. Clipping keeps its direction and shortens
    it to max_norm."""
    norm = _norm(grads)
    return [torch.zeros_like(g) if norm > max_norm else g.clone() for g in grads]


def nothing_clipped(grads, max_norm):
    """The gradients came back as they were. If the norm of all of them together is above max_norm, they have to be
    shortened."""
    return [g.clone() for g in grads]


def one_long_vector(grads, max_norm):
    """The numbers are right, but they come as one long vector. Return a list of tensors with the shapes of those you were
    given."""
    return torch.cat([g.flatten() for g in clip_global_norm(grads, max_norm)])


def in_a_tuple(grads, max_norm):
    """The tensors are right, but they come in a tuple. Return a list."""
    return tuple(clip_global_norm(grads, max_norm))


def cases(rng: random.Random) -> list[Case]:
    return [
        public("norm 13, at most 2.6", [torch.tensor([[3.0, 0.0], [0.0, -4.0]]), torch.tensor([12.0])], 2.6),
        public("the same gradients, at most 20", [torch.tensor([[3.0, 0.0], [0.0, -4.0]]), torch.tensor([12.0])], 20.0),
        public("zero gradients", [torch.zeros(2, 3), torch.zeros(2)], 1.5),
        public("a random gradient", [normal(rng, 3, 2), 2 * normal(rng, 3), normal(rng, 5)], 2.0),
        public("one short tensor, one long", [0.1 * normal(rng, 2, 2), torch.tensor([2.0, -1.0]), normal(rng, 3)], 1.7),
        hidden("one tensor", [normal(rng, 7, 3)], 0.5),
        hidden("one of several is zero", [torch.zeros(3), normal(rng, 2, 5), torch.zeros(2, 2)], 1.0),
        hidden("just below", *_of_norm(rng, 1.4, 1.5)),
        hidden("just above", *_of_norm(rng, 1.6, 1.5)),
        hidden("double precision", [normal(rng, 2, 3, 5).double(), 50 * normal(rng, 7).double()], 2.5),
    ]


def _of_norm(rng: random.Random, norm: float, max_norm: float) -> tuple[list[torch.Tensor], float]:
    """Random gradients with a norm of ``norm`` together."""
    grads = [normal(rng, 5), normal(rng, 2, 3), normal(rng, 1)]
    return [g * (norm / _norm(grads)) for g in grads], max_norm


EXERCISE = Exercise(
    chapter="ch05_vanishing_gradients",
    minutes=10,
    difficulty=1,
    points=2,
    reference=clip_global_norm,
    right=[norm_of_norms, as_one_vector, number_by_number],
    wrong=[
        tensor_by_tensor,
        global_norm_for_long_ones,
        number_by_number_clamped,
        always_scaled,
        always_scaled_but_zero,
        to_length_one,
        not_divided,
        inverted,
        long_ones_kept,
        nan_for_zero,
        norms_added,
        no_root,
        longest_tensor,
        last_tensor,
        first_tensor,
        mean_of_norms,
        mean_of_squares,
        sum_of_sizes,
        largest_number,
        dropped,
        nothing_clipped,
        one_long_vector,
        in_a_tuple,
    ],
    cases=cases,
    ready=READY,
)
