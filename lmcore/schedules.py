"""The learning rate over the steps of a training."""

import math

import numpy as np

SCHEDULES = ("constant", "linear", "cosine", "inverse_sqrt")


def learning_rate(
    step: int, *, steps: int, lr: float, warmup: int = 0, schedule: str = "constant", final: float | int = 0.0
) -> float:
    r"""The learning rate of step number ``step`` = 1 … ``steps``.

    It climbs linearly to ``lr`` over the first ``warmup`` steps. From there, with :math:`p` the share of the remaining steps
    that is already done, it is ``lr`` times 1 (constant), :math:`1 - p` (linear) or :math:`(1 + \cos \pi p) / 2` (cosine). The
    last two reach zero right after the last step. With :math:`f` for ``final`` they end at :math:`f` times ``lr`` instead: what
    they give is :math:`f + (1 - f)` times the above. (GPT fell to zero, Radford et al. 2018; GPT-3 to a tenth, Brown et al.
    2020, and so does nanoGPT.)

    The schedule ``"inverse_sqrt"`` does not look at ``steps``. With :math:`w` for ``warmup``, the rate of step :math:`n` is
    ``lr`` times :math:`\min(n / w, \sqrt{w / n})`: it climbs to ``lr`` at step :math:`w` and then falls as
    :math:`1 / \sqrt{n}`. With ``lr=vaswani_rate(dim, warmup)`` it is that of Vaswani et al. (2017), equation 3.

    Raises:
        ValueError: the schedule is unknown, ``final`` is no share, or the warm-up is not shorter than the training, or it is 0
            and the schedule is ``"inverse_sqrt"``.
    """
    if schedule not in SCHEDULES:
        raise ValueError(f"schedule={schedule!r} is unknown; use one of {', '.join(SCHEDULES)}")
    if isinstance(final, bool) or not isinstance(final, int | float) or not 0 <= final <= 1:
        raise ValueError(f"final={final!r} is not allowed; use a share of lr, from 0 to 1")
    if not 0 <= warmup < steps:
        raise ValueError(f"warmup={warmup} must be at least 0 and below steps={steps}")
    if schedule == "inverse_sqrt":
        if warmup < 1:
            raise ValueError(f"warmup={warmup} is too short for the schedule inverse_sqrt; use at least 1 step")
        return lr * min(step / warmup, math.sqrt(warmup / step))
    if step <= warmup:
        return lr * step / (warmup + 1)
    done = (step - 1 - warmup) / (steps - warmup)
    share = {"constant": 1.0, "linear": 1 - done, "cosine": (1 + float(np.cos(np.pi * done))) / 2}[schedule]
    return lr * (final + (1 - final) * share)


def vaswani_rate(dim: int, warmup: int, factor: float = 1.0) -> float:
    r"""The highest learning rate of Vaswani et al. (2017), which they reach at the end of the warm-up: :math:`1/\sqrt{C w}`.

    Their equation 3 is :math:`C^{-1/2} \min(n^{-1/2}, n \, w^{-3/2})` for step :math:`n`, the width :math:`C` of the model and
    :math:`w` steps of warm-up. Both terms are equal at :math:`n = w`.

    Args:
        dim: :math:`C`.
        warmup: :math:`w`.
        factor: multiplies the rate (the code that goes with the paper has such a constant too).

    Raises:
        ValueError: a number is not positive.
    """
    for name, value in (("dim", dim), ("warmup", warmup), ("factor", factor)):
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
            raise ValueError(f"{name}={value!r} is not allowed; use a positive number")
    return factor / math.sqrt(dim * warmup)
