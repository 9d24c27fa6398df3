"""The learning rate of Vaswani et al. 2017, equation 3: a climb, then a fall with the root of the step."""

import math
import random

from exercises.grader.exercise import Exercise, hidden, public
from lmcore.check.run import Case


def warm_up(step, dim, warmup):
    return dim**-0.5 * min(step**-0.5, step * warmup**-1.5)


# Right, written differently


def from_its_peak(step, dim, warmup):
    peak = 1 / math.sqrt(dim * warmup)
    return peak * step / warmup if step <= warmup else peak * math.sqrt(warmup / step)


def two_phases(step, dim, warmup):
    rate = 1 / math.sqrt(step * dim)
    if step < warmup:
        rate *= (step / warmup) ** 1.5
    return rate


def with_logarithms(step, dim, warmup):
    climb = math.log(step) - 1.5 * math.log(warmup)
    fall = -0.5 * math.log(step)
    return math.exp(min(climb, fall) - 0.5 * math.log(dim))


# Wrong: the docstring is the hint


def the_larger_of_the_two(step, dim, warmup):
    """You took the larger of the two terms. At the first step the falling one is huge and the climbing one small: which of them
    makes a gentle beginning?"""
    return dim**-0.5 * max(step**-0.5, step * warmup**-1.5)


def no_climb(step, dim, warmup):
    """The rate falls from the first step on, where it is largest: the warm-up is missing."""
    return dim**-0.5 * step**-0.5


def no_fall(step, dim, warmup):
    """The rate climbs for ever. From step `warmup` on it should fall with the root of the step."""
    return dim**-0.5 * step * warmup**-1.5


def stays_at_the_peak(step, dim, warmup):
    """After the warm-up the rate stays where it is. It should fall from then on, with the root of the step."""
    return dim**-0.5 * min(warmup**-0.5, step * warmup**-1.5)


def width_left_out(step, dim, warmup):
    """The factor with the width C is missing: `dim` plays no part. A wider model takes smaller steps."""
    return min(step**-0.5, step * warmup**-1.5)


def wider_means_larger(step, dim, warmup):
    """The rate was multiplied by √C. It is divided by it: a wider model takes smaller steps."""
    return dim**0.5 * min(step**-0.5, step * warmup**-1.5)


def divided_by_the_width(step, dim, warmup):
    """The rate was divided by C. It is divided by the root of C: what is 64 to the power of −1/2?"""
    return min(step**-0.5, step * warmup**-1.5) / dim


def climb_too_steep(step, dim, warmup):
    """The climbing term is n / w, without the root: it meets the falling one long before step w. At n = w both terms should be
    equal: what must w be raised to?"""
    return dim**-0.5 * min(step**-0.5, step / warmup)


def climb_with_the_root(step, dim, warmup):
    """The climbing term is n / √w, so the climb is over almost at once. At n = w both terms should be equal: what must w be
    raised to?"""
    return dim**-0.5 * min(step**-0.5, step * warmup**-0.5)


def fall_without_the_root(step, dim, warmup):
    """The rate falls as 1 / n. It falls with the root: four times as many steps, half the rate."""
    return dim**-0.5 * min(step**-1.0, step * warmup**-1.5)


def fall_from_the_end_of_the_climb(step, dim, warmup):
    """The falling term counts its steps from the end of the warm-up, so that the rate jumps up there. n is the number of the
    step from the very beginning, in both terms."""
    return dim**-0.5 * (step * warmup**-1.5 if step <= warmup else (step - warmup) ** -0.5)


def steps_from_zero(step, dim, warmup):
    """The rate is that of the step before: you took 1 from n, as if the steps were counted from 0. They are counted from 1."""
    return dim**-0.5 * min(max(step - 1, 1e-9) ** -0.5, (step - 1) * warmup**-1.5)


def peak_of_one(step, dim, warmup):
    """The rate was scaled so that its peak is 1. The peak of the equation is 1 / √(C w)."""
    return min(step / warmup, (warmup / step) ** 0.5)


def powers_without_brackets(step, dim, warmup):
    """None of the exponents is that of the equation. In Python `**` comes before `/`, so `x ** -1/2` is one half of 1 / x. What
    needs brackets?"""
    return dim**-1 / 2 * min(step**-1 / 2, step * warmup**-3 / 2)


def steps_one_ahead(step, dim, warmup):
    """The rate is that of the step after: you added 1 to n, as if the steps were counted from 0. They are counted from 1."""
    return warm_up(step + 1, dim, warmup)


def brackets_missing_for_the_steps(step, dim, warmup):
    """The factor with C is right, but the exponents of the two terms are not those of the equation. In Python `**` comes before
    `/`, so `x ** -1/2` is one half of 1 / x. What needs brackets?"""
    return dim**-0.5 * min(step**-1 / 2, step * warmup**-3 / 2)


def fall_begins_anew(step, dim, warmup):
    """After the warm-up you divide the peak by the root of the steps since then, with 1 for the step of the peak. So the rate
    falls far too fast. n counts from the very beginning: which part of the peak is left when n is four times w?"""
    return no_fall(step, dim, warmup) if step <= warmup else (dim * warmup * (step - warmup + 1)) ** -0.5


def fall_begins_anew_at_the_peak(step, dim, warmup):
    """After the warm-up you divide the peak by the root of the steps since then, n − w. So the rate falls far too fast. n
    counts from the very beginning: which part of the peak is left when n is four times w?"""
    return no_fall(step, dim, warmup) if step <= warmup else (dim * warmup * (step - warmup)) ** -0.5


def cases(rng: random.Random) -> list[Case]:
    return [
        public("the first step of four", 1, 64, 4),
        public("half way up", 50, 16, 100),
        public("the peak", 100, 16, 100),
        public("four times as far", 400, 16, 100),
        hidden("no climb at all", 3, 25, 1),
        hidden("the paper's numbers", 10_000, 512, 4000),
        hidden("some step of the climb", rng.randint(2, 40), 2 * rng.randint(2, 99), rng.randint(50, 900)),
        hidden("some step of the fall", rng.randint(1000, 4000), 2 * rng.randint(2, 99), rng.randint(50, 900)),
    ]


EXERCISE = Exercise(
    chapter="ch11_transformer",
    minutes=10,
    difficulty=1,
    points=2,
    reference=warm_up,
    right=[from_its_peak, two_phases, with_logarithms],
    wrong=[
        the_larger_of_the_two,
        no_climb,
        no_fall,
        stays_at_the_peak,
        width_left_out,
        wider_means_larger,
        divided_by_the_width,
        climb_too_steep,
        climb_with_the_root,
        fall_without_the_root,
        fall_from_the_end_of_the_climb,
        steps_from_zero,
        peak_of_one,
        powers_without_brackets,
        steps_one_ahead,
        brackets_missing_for_the_steps,
        fall_begins_anew,
        fall_begins_anew_at_the_peak,
    ],
    cases=cases,
    atol=1e-12,
    ready=("lmcore",),
)
