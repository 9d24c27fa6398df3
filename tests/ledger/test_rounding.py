"""As many digits as the spread supports."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmcore.ledger.rounding import duration, like, number, plus_minus


@pytest.mark.parametrize(
    ("mean", "sd", "expected"),
    [
        (0.827, 0.119, "0.83 ± 0.12"),  # the two examples of the rule's source
        (0.827, 0.367, "0.8 ± 0.4"),
        (1.23456, 0.0354, "1.235 ± 0.035"),
        (1.23456, 0.0355, "1.23 ± 0.04"),
        (5.0, 0.949, "5.0 ± 0.9"),
        (5.0, 0.950, "5.0 ± 1.0"),
        (5.0, 0.9999, "5.0 ± 1.0"),
        (12345.6, 123.0, "12,350 ± 120"),
        (12345.6, 99.0, "12,350 ± 100"),
        (-0.031, 0.0021, "-0.0310 ± 0.0021"),
        (0.00004, 0.2, "0.00 ± 0.20"),
        (-0.00004, 0.2, "0.00 ± 0.20"),
        (65501, 0.0, "65,501 ± 0"),
        (1.85, 0.0, "1.850 ± 0"),
        (1.23456, math.nan, "1.235"),
        (1e-7, 2e-9, "(1.000 ± 0.020)e-7"),
        (3.2e9, 4.1e7, "3,200,000,000 ± 40,000,000"),
    ],
)
def test_mean_and_deviation(mean, sd, expected):
    assert plus_minus(mean, sd) == expected


@given(st.floats(-1e6, 1e6), st.floats(1e-4, 1e5))
def test_mean_and_deviation_are_cut_at_one_place_with_one_or_two_digits(mean, sd):
    shown_mean, shown_sd = plus_minus(mean, sd).replace(",", "").split(" ± ")
    assert len(shown_mean.partition(".")[2]) == len(shown_sd.partition(".")[2])
    assert float(shown_sd) == pytest.approx(sd, rel=0.15)
    assert abs(float(shown_mean) - mean) <= 0.51 * sd
    assert 1 <= len(shown_sd.replace(".", "").strip("0")) <= 2
    assert like(mean, sd) == plus_minus(mean, sd).split(" ± ")[0]


@given(st.floats(1e-9, 9e-5), st.floats(1e-11, 9e-5))
def test_a_tiny_value_alone_keeps_its_power_of_ten(mean, sd):
    assert abs(float(like(mean, sd)) - mean) <= 0.51 * sd


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "0"),
        (-3, "-3"),
        (465048, "465,048"),
        (2.0, "2"),
        (1.23456, "1.235"),
        (0.000123456, "0.0001235"),
        (123456.7, "123,457"),
        (1.5e-9, "1.500e-09"),
        (9.9996, "10.00"),
        (1e300, "1.000e+300"),
    ],
)
def test_a_number_alone(value, expected):
    assert number(value) == expected


def test_durations():
    assert [duration(m) for m in (0.005, 0.7, 1.99, 2, 75.04)] == [
        "0.3 seconds",
        "42 seconds",
        "119 seconds",
        "2.0 minutes",
        "75.0 minutes",
    ]


def test_a_deviation_from_the_order_of_a_sum_is_none():
    same = [sum(order) for order in ([0.1, 0.2, 0.3], [0.3, 0.2, 0.1])]
    assert same[0] != same[1]
    assert plus_minus(same[0], abs(same[0] - same[1])) == "0.6000 ± 0"
    assert plus_minus(0.6, 1e-9) == "0.6000000000 ± 0.0000000010"
