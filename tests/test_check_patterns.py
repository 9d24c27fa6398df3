"""What wrong numbers have in common is said where it holds everywhere, and nowhere else."""

import math

import numpy as np
import pytest
import torch

from lmcore.check.patterns import pattern

WANT = torch.tensor([[0.5, -1.25, 3.0], [2.0, 0.75, -0.1]])
MORE = torch.tensor([4.0, 0.3])


def told(*functions, wants=(WANT, MORE), tolerance=1e-4):
    function = functions[0]
    return pattern([(function(want), want) for want in wants], tolerance, 1e-6)


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda w: -w, "with the other sign"),
        (lambda w: 3 * w, "times 3."),
        (lambda w: w / 4, "times 0.25."),
        (lambda w: w / math.log(2), "in bits, the other in nats"),
        (lambda w: -w * math.log(2), "in nats, the other in bits"),
        (lambda w: w + 1, "larger than the expected ones by 1"),
        (lambda w: w - 0.5, "smaller than the expected ones by 0.5"),
        (lambda w: 1 / w, "1 divided by"),
        (lambda w: w.exp(), "exponentials"),
        (lambda w: w**2, "squares"),
        (lambda w: 1 - w, "1 minus"),
        (lambda w: w.flip(0), "another order"),
        (lambda w: w / 0, "infinite"),
        (lambda w: w * math.nan, "nan"),
    ],
)
def test_each_pattern_is_told(function, says):
    assert says in told(function)
    assert told(lambda w: w) == ""
    spoilt = [(function(WANT), WANT), (torch.tensor([1.7, 9.1]), MORE)]
    assert pattern(spoilt, 1e-4, 1e-6) == "" or says in ("infinite", "nan")  # one nan is enough to be told


def test_logarithms_and_roots():
    positive = (WANT.abs(), MORE)
    assert "logarithms" in told(torch.log, wants=positive)
    assert "square roots" in told(torch.sqrt, wants=positive)


def test_axes_that_changed_places():
    assert told(lambda w: w.T, wants=(WANT,)).endswith("yours become right in the order (1, 0).")
    three = torch.arange(24.0).reshape(2, 3, 4)
    assert "(1, 0, 2)" in told(lambda w: w.transpose(0, 1), wants=(three,))
    assert told(lambda w: w.T.flip(0), wants=(WANT,)) == ""
    assert told(lambda w: w.reshape(3, 2), wants=(WANT,)) == ""


def test_parts_that_are_right_do_not_count():
    want = {"value": WANT, "gradients": [WANT, MORE]}
    got = {"value": WANT, "gradients": [-WANT, -MORE]}
    assert "other sign" in pattern([(got, want)], 1e-4, 1e-6)
    assert pattern([({**got, "value": WANT + 1}, want)], 1e-4, 1e-6) == ""


def test_numbers_of_python_and_numpy():
    assert "by 1" in pattern([({"a": 3, "b": 5}, {"a": 2, "b": 4})], 1e-4, 1e-6)
    assert "times 2" in pattern([((2.0, [4.0]), (1.0, [2.0]))], 1e-4, 1e-6)
    assert "other sign" in pattern([(-np.array([1.0, 2.0]), np.array([1.0, 2.0]))], 1e-4, 1e-6)


@pytest.mark.parametrize(
    "pairs",
    [
        [],
        [(2.0, 1.0)],  # one number fits every pattern
        [(2.0, 1.0), (2.0, 1.0)],  # and so does the same one twice
        [("abc", "cba"), (None, 1.0), ([1.0], [1.0, 2.0]), (True, False)],
        [(10**30, 3), (2, 5)],
    ],
)
def test_nothing_is_said_of_too_little_or_of_other_things(pairs):
    assert pattern(pairs, 1e-4, 1e-6) == ""
