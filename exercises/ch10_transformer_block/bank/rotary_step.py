"""Rotary positions (Su et al. 2021) for one new token of every text, with the pairs in halves."""

import random

import torch

from exercises.grader.exercise import Exercise, hidden, normal, public
from lmcore.check.run import Case


def rotary_step(x, position, base):
    half = x.shape[2] // 2
    angle = position[:, None, None] / base ** (torch.arange(half).to(x) / half)
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()], dim=2)


# Right, written differently


def with_half_turned(x, position, base):
    """Cosine times x, plus sine times x turned by a quarter."""
    frequency = base ** -(torch.arange(0, x.shape[-1], 2, device=x.device).double() / x.shape[-1])
    angle = torch.einsum("b,f->bf", position.double(), frequency).repeat(1, 2).unsqueeze(1)
    first, second = x.chunk(2, dim=-1)
    return x * angle.cos().to(x) + torch.cat([-second, first], dim=-1) * angle.sin().to(x)


def with_complex_numbers(x, position, base):
    pairs = torch.complex(*x.chunk(2, dim=2))
    exponents = 2 * torch.arange(pairs.shape[2], dtype=x.dtype, device=x.device) / x.shape[2]
    angle = position[:, None, None].to(x.dtype) * float(base) ** (-exponents)
    turned = pairs * torch.polar(torch.ones_like(angle), angle)
    return torch.cat([turned.real, turned.imag], dim=2)


def pair_by_pair(x, position, base):
    half = x.shape[-1] // 2
    found = [None] * (2 * half)
    for i in range(half):
        angle = (position.to(x) * base ** (-2 * i / x.shape[-1]))[:, None]
        rows = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], dim=-1).unflatten(-1, (2, 2))
        pair = torch.stack([x[..., i], x[..., i + half]], dim=-1)
        turned = (rows @ pair.unsqueeze(-1)).squeeze(-1)
        found[i], found[i + half] = turned[..., 0], turned[..., 1]
    return torch.stack(found, dim=-1)


# Wrong: the docstring is the hint


def _angles(x, position, base):
    half = x.shape[-1] // 2
    return position[:, None, None] / base ** (torch.arange(half).to(x) / half)


def _turned(x, angle):
    a, b = x.chunk(2, -1)
    return torch.cat([a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()], -1)


def turned_backwards(x, position, base):
    """The pairs were turned in the other direction: the signs of the two sines are exchanged. Where does the pair (1, 0) go
    when it is turned by a small angle forwards?"""
    return _turned(x, -_angles(x, position, base))


def both_signs_plus(x, position, base):
    """Both parts add their sine. A rotation has one minus: without it the pair is not only turned, its length changes too."""
    angle = _angles(x, position, base)
    a, b = x.chunk(2, -1)
    return torch.cat([a * angle.cos() + b * angle.sin(), a * angle.sin() + b * angle.cos()], -1)


def neighbours_paired(x, position, base):
    """The numbers 2i and 2i + 1 make a pair in your function, as in the paper. Here, as in Llama, the numbers i and i + D/2
    do."""
    angle = _angles(x, position, base)
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack([a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()], -1).flatten(-2)


def angles_of_neighbours(x, position, base):
    """The pairs are i and i + D/2, as they should be, but their angles were laid out for neighbours, each twice in a row: 0, 0,
    1, 1. The numbers i and i + D/2 need the same angle."""
    angle = _angles(x, position, base).repeat_interleave(2, -1)
    a, b = x.chunk(2, -1)
    return x * angle.cos() + torch.cat([-b, a], -1) * angle.sin()


def sine_and_cosine_exchanged(x, position, base):
    """Sine and cosine have changed places. At the position 0 nothing should be turned: what do you get there?"""
    angle = _angles(x, position, base)
    a, b = x.chunk(2, -1)
    return torch.cat([a * angle.sin() - b * angle.cos(), a * angle.cos() + b * angle.sin()], -1)


def second_from_the_new_first(x, position, base):
    """The second number of a pair was computed from the new first one. Both need the old numbers: keep them until both are
    done."""
    angle = _angles(x, position, base)
    a, b = x.chunk(2, -1)
    a = a * angle.cos() - b * angle.sin()
    return torch.cat([a, a * angle.sin() + b * angle.cos()], -1)


def second_half_left(x, position, base):
    """The second half of x is as it was. A rotation changes both numbers of a pair."""
    angle = _angles(x, position, base)
    a, b = x.chunk(2, -1)
    return torch.cat([a * angle.cos() - b * angle.sin(), b], -1)


def only_cosines(x, position, base):
    """The numbers were multiplied by cosines, and no pair was turned: the two numbers of a pair do not meet. Where are the
    sines?"""
    return x * _angles(x, position, base).cos().repeat(1, 1, 2)


def exponent_of_half(x, position, base):
    """The exponent is i / D, half of what it should be. In the exponent stands 2i, with i the number of the pair and D the
    whole width of the head."""
    half = x.shape[-1] // 2
    return _turned(x, position[:, None, None] / base ** (torch.arange(half).to(x) / (2 * half)))


def faster_and_faster(x, position, base):
    """The angles grow from pair to pair, but the first pair is the fastest. Which sign stands in the exponent of ω_i, and is
    ω_1 larger or smaller than ω_0?"""
    half = x.shape[-1] // 2
    return _turned(x, position[:, None, None] * base ** (torch.arange(half).to(x) / half))


def one_angle(x, position, base):
    """All pairs were turned by the same angle, n. Each pair has a speed of its own: where does i come in?"""
    return _turned(x, position[:, None, None].to(x))


def first_position_for_all(x, position, base):
    """All texts were turned as far as the first one. They have different lengths, so their new tokens stand at different
    positions."""
    return _turned(x, _angles(x, position[:1], base))


def position_in_the_batch(x, position, base):
    """The position plays no part: the texts were turned by their number in the batch, 0, 1, 2. Text b is turned by the position
    of its own new token."""
    return _turned(x, _angles(x, torch.arange(len(x)).to(position), base))


def positions_from_one(x, position, base):
    """Everything was turned one position too far. A token at the position 0 is not turned at all."""
    return _turned(x, _angles(x, position + 1, base))


def base_of_the_paper(x, position, base):
    """L is 10,000 in your function, whatever `base` says."""
    return _turned(x, _angles(x, position, 10_000))


def added(x, position, base):
    """Sines and cosines were added to x. That is the older way; rotary positions turn the vector instead, and leave its length
    as it is."""
    angle = _angles(x, position, base)
    return x + torch.cat([angle.sin(), angle.cos()], -1)


def width_of_everything(x, position, base):
    """The angles run on from head to head: the exponent was divided by H·D. Every head is turned in the same way, by the angles
    of its own width D."""
    whole = x.flatten(1)[:, None]
    half = whole.shape[-1] // 2
    angle = position[:, None, None] / base ** (torch.arange(half).to(x) / half)
    angle = angle.view(len(x), x.shape[1], -1)
    return _turned(x, angle)


def without_a_graph(x, position, base):
    """The result is right, but no gradient can flow through it: x was cut from the graph, by detach, by no_grad or as a new
    tensor of its numbers. Queries and keys would not learn."""
    return rotary_step(x.detach(), position, base)


def no_axis_for_the_heads(x, position, base):
    """The angles have an axis for the texts and one for the pairs, but none for the heads. So the axis of the texts is laid
    along the heads of x. Write down the axes of both below each other, from the last one on: what is missing where?"""
    return _turned(x, _angles(x, position, base)[:, 0])


def cases(rng: random.Random) -> list[Case]:
    by_hand = torch.tensor([[[1.0, 0.0, 0.0, 2.0]], [[1.0, 0.0, 0.0, 2.0]]])
    return [
        public("two texts, by hand", by_hand, torch.tensor([0, 2]), 16),
        public("three texts, two heads", normal(rng, 3, 2, 6), torch.tensor([4, 1, 7]), 100),
        hidden("one pair", normal(rng, 2, 3, 2), torch.tensor([3, 5]), 10_000),
        hidden("far into a text", normal(rng, 2, 1, 8), torch.tensor([50, 31]), 10_000),
        hidden("some positions", normal(rng, 4, 3, 4), torch.tensor([rng.randint(0, 20) for _ in range(4)]), 500.0),
        hidden("double precision", normal(rng, 1, 2, 10).double(), torch.tensor([rng.randint(1, 9)]), 1000),
    ]


EXERCISE = Exercise(
    chapter="ch10_transformer_block",
    minutes=20,
    difficulty=2,
    points=3,
    reference=rotary_step,
    right=[with_half_turned, with_complex_numbers, pair_by_pair],
    wrong=[
        turned_backwards,
        both_signs_plus,
        neighbours_paired,
        angles_of_neighbours,
        sine_and_cosine_exchanged,
        second_from_the_new_first,
        second_half_left,
        only_cosines,
        exponent_of_half,
        faster_and_faster,
        one_angle,
        first_position_for_all,
        position_in_the_batch,
        positions_from_one,
        base_of_the_paper,
        added,
        width_of_everything,
        without_a_graph,
        no_axis_for_the_heads,
    ],
    cases=cases,
    probe="gradients",
    atol=1e-5,
    ready=("lmcore",),
)
