"""Sinusoidal positions (Vaswani et al. 2017, section 3.5)."""

import math
import random

import torch

from exercises.grader.exercise import Exercise, hidden, public
from lmcore.check.run import Case


def sinusoidal_positions(length, dim, base):
    n = torch.arange(length)[:, None]
    angles = n / base ** (torch.arange(0, dim, 2) / dim)
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)


# Right, written differently


def number_by_number(length, dim, base):
    r = torch.zeros(length, dim)
    for n in range(length):
        for j in range(dim):
            angle = n / base ** ((j - j % 2) / dim)
            r[n, j] = math.cos(angle) if j % 2 else math.sin(angle)
    return r


def column_by_column(length, dim, base):
    n, r = torch.arange(length, dtype=torch.float64), torch.empty(length, dim)
    for i in range(dim // 2):
        omega = math.exp(-2 * i / dim * math.log(base))
        r[:, 2 * i], r[:, 2 * i + 1] = torch.sin(omega * n), torch.cos(omega * n)
    return r


def every_other_column(length, dim, base):
    frequency = torch.pow(torch.tensor(float(base)), -torch.arange(dim // 2) * 2 / dim)
    angles = torch.outer(torch.arange(length).float(), frequency)
    r = torch.empty(length, dim)
    r[:, 0::2] = angles.sin()
    r[:, 1::2] = angles.cos()
    return r


def as_a_shifted_sine(length, dim, base):
    """A cosine is a sine a quarter of a turn ahead."""
    j = torch.arange(dim, dtype=torch.float64)
    pairs = 2 * torch.floor(j / 2)
    angles = torch.arange(length)[:, None] * base ** (-pairs / dim) + (j % 2) * math.pi / 2
    return angles.sin().float()


# Wrong: the docstring is the hint


def _angles(length, dim, base):
    return torch.arange(length)[:, None] / base ** (torch.arange(0, dim, 2) / dim)


def _laced(first, second):
    return torch.stack([first, second], dim=2).flatten(1)


def cosines_first(length, dim, base):
    """Sine and cosine have changed places. The numbers at the even places, 0 and 2 and so on, are the sines. What should the
    row of n = 0 look like?"""
    angles = _angles(length, dim, base)
    return _laced(angles.cos(), angles.sin())


def sines_then_cosines(length, dim, base):
    """All sines come first, then all cosines. Many programs do it so, and a model would learn as well; here a sine and its
    cosine stand next to each other."""
    angles = _angles(length, dim, base)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def pair_number_over_the_width(length, dim, base):
    """The exponent is i / C, half of what it should be: your slowest clock is as fast as one in the middle. In the exponent
    stands 2i, with i the number of the pair."""
    angles = torch.arange(length)[:, None] / base ** (torch.arange(dim // 2) / dim)
    return _laced(angles.sin(), angles.cos())


def every_number_its_own_frequency(length, dim, base):
    """The cosines turn a little slower than their sines: the exponent was taken from the place 2i + 1. Both numbers of a pair
    have the same angle, or they would not be the hand of one clock."""
    angles = torch.arange(length)[:, None] / base ** (torch.arange(dim) / dim)
    return torch.where(torch.arange(dim) % 2 == 0, angles.sin(), angles.cos())


def exponent_doubled_twice(length, dim, base):
    """The exponent counts in steps of 4 / C: the places 0, 2, 4 of the sines were doubled again. The place of a sine is
    2i already."""
    angles = torch.arange(length)[:, None] / base ** (2 * torch.arange(0, dim, 2) / dim)
    return _laced(angles.sin(), angles.cos())


def faster_and_faster(length, dim, base):
    """The clocks go faster from pair to pair: n was multiplied by the power of L. It is divided by it, so that the first pair
    is the fastest."""
    angles = torch.arange(length)[:, None] * base ** (torch.arange(0, dim, 2) / dim)
    return _laced(angles.sin(), angles.cos())


def positions_from_one(length, dim, base):
    """The positions begin at 1. Here they begin at 0, so the first row holds sin 0 and cos 0 in turn."""
    angles = _angles(length + 1, dim, base)[1:]
    return _laced(angles.sin(), angles.cos())


def base_of_the_paper(length, dim, base):
    """L is 10,000 in your function, whatever `base` says. That is the paper's number; here it can be chosen."""
    return sinusoidal_positions(length, dim, 10_000)


def slowest_exactly_base(length, dim, base):
    """The exponents were spread evenly from 0 to 1, with the slowest clock at exactly 1 / L. A well-known program of the
    paper's authors does that; the paper's equation divides by C, and ends just before 1."""
    steps = torch.arange(dim // 2) / max(dim // 2 - 1, 1)
    angles = torch.arange(length)[:, None] / base**steps
    return _laced(angles.sin(), angles.cos())


def one_frequency(length, dim, base):
    """All pairs turn at the same speed: every clock shows the same time, and after one turn the positions repeat. Where does i
    come in?"""
    angles = torch.arange(length)[:, None].float().expand(length, dim // 2)
    return _laced(angles.sin(), angles.cos())


def only_sines(length, dim, base):
    """Only sines are there. A sine alone cannot tell going up from coming down: which number of a pair is missing?"""
    angles = _angles(length, dim, base)
    return _laced(angles.sin(), angles.sin())


def whole_turns(length, dim, base):
    """The angles were multiplied by 2π. In the equation they are radians as they stand: the first clock needs 2π ≈ 6.28
    positions for a turn, not 1."""
    angles = 2 * math.pi * _angles(length, dim, base)
    return _laced(angles.sin(), angles.cos())


def angles_returned(length, dim, base):
    """You return the angles. What is added to a word's vector are their sines and cosines, which never grow beyond 1."""
    angles = _angles(length, dim, base)
    return _laced(angles, angles)


def places_in_columns(length, dim, base):
    """The positions are in the columns. One row belongs to one position: the shape is (T, C)."""
    return sinusoidal_positions(length, dim, base).T.contiguous()


def cases(rng: random.Random) -> list[Case]:
    return [
        public("three positions, one pair", 3, 2, 10_000),
        public("five positions, three pairs", 5, 6, 100),
        public("four positions, two pairs", 4, 4, 10_000),
        hidden("one position", 1, 8, 10_000),
        hidden("many positions", 40, 10, 1000.0),
        hidden("some base", rng.randint(3, 20), 2 * rng.randint(3, 8), rng.uniform(20.0, 500.0)),
    ]


EXERCISE = Exercise(
    chapter="ch10_transformer_block",
    minutes=20,
    difficulty=2,
    points=3,
    reference=sinusoidal_positions,
    right=[number_by_number, column_by_column, every_other_column, as_a_shifted_sine],
    wrong=[
        cosines_first,
        sines_then_cosines,
        pair_number_over_the_width,
        every_number_its_own_frequency,
        exponent_doubled_twice,
        faster_and_faster,
        positions_from_one,
        base_of_the_paper,
        slowest_exactly_base,
        one_frequency,
        only_sines,
        whole_turns,
        angles_returned,
        places_in_columns,
    ],
    cases=cases,
    atol=1e-5,
    ready=("lmcore",),
)
