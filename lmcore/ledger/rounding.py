"""How a number is written: as many digits as its spread supports, and no more."""

import math

Number = int | float

# A deviation of this share of the mean or less comes from the order in which floating-point numbers were added.
SAME = 1e-12


def plus_minus(mean: Number, sd: float) -> str:
    """``mean ± sd`` with as many digits as the standard deviation supports.

    The Particle Data Group's rule: the three leading digits of the deviation decide. Up to 354 it keeps two digits, up to 949
    one, above that it is rounded up to 1000 and keeps two. The mean is cut at the same place. Without a deviation
    (``nan``, or 0 up to what the order of a floating-point sum changes) the mean has four significant digits. Where both are
    tiny they share a power of ten.

    Source: Review of Particle Physics, introduction, section 5.3.
    """
    if math.isnan(sd):
        return number(mean)
    if sd <= SAME * abs(mean):
        return f"{number(mean)} ± 0"
    if (largest := max(abs(mean), sd)) < 1e-4:
        power = math.floor(math.log10(largest))
        return f"({plus_minus(mean / 10.0**power, sd / 10.0**power)})e{power}"
    exponent = math.floor(math.log10(sd))
    leading = round(sd / 10.0 ** (exponent - 2))
    if leading >= 950:
        sd, exponent = 10.0 ** (exponent + 1), exponent + 1
        leading = 100
    places = -exponent + (1 if leading < 355 else 0)
    if places <= 0:
        return f"{round(mean, places):,.0f} ± {round(sd, places):,.0f}"
    return f"{round(mean, places) + 0.0:,.{places}f} ± {sd:.{places}f}"  # + 0.0 turns -0.0 into 0.0


def number(value: Number, digits: int = 4) -> str:
    """A number with ``digits`` significant digits; whole numbers in full."""
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    exponent = math.floor(math.log10(abs(float(f"{value:.{digits - 1}e}"))))
    if exponent < -4 or exponent >= 15:
        return f"{value:.{digits - 1}e}"
    return f"{value:,.{max(digits - 1 - exponent, 0)}f}"


def like(value: Number, sd: float) -> str:
    """A single value, cut where :func:`plus_minus` cuts a mean with this deviation, so that two columns read alike."""
    both = plus_minus(value, sd)
    alone = both.split(" ± ")[0]
    return alone[1:] + both[both.rindex("e") :] if both.startswith("(") else alone  # (1.9 ± 0.6)e-5


def duration(minutes: Number) -> str:
    """A duration as a reader plans it: seconds below two minutes, else minutes."""
    if minutes >= 2:
        return f"{minutes:.1f} minutes"
    return f"{minutes * 60:.{1 if minutes * 60 < 9.95 else 0}f} seconds"
