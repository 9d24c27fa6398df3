"""From logits to logits: what is done to a model's distribution before a token is drawn from it.

A filter that forbids a token gives it the logit −∞. The softmax of what is left is the distribution that is drawn from, so the
others share the forbidden tokens' probability. All of these keep the shape, and none changes its argument.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lmcore.batches import at_least


def temperature(logits: Float[Tensor, "B V"], value: float) -> Float[Tensor, "B V"]:
    r"""Logits divided by the temperature: :math:`q(w) \propto e^{z_w / \tau}`.

    Below 1 the probable tokens become more probable, and towards 0 the distribution approaches the most probable token. Above
    1 it becomes flatter. (Ackley, Hinton and Sejnowski 1985, section 2.)

    Args:
        logits: z.
        value: τ > 0.

    Raises:
        ValueError: τ is not a positive finite number.
    """
    return _logits(logits) / _positive("temperature", value)


def top_k(logits: Float[Tensor, "B V"], k: int) -> Float[Tensor, "B V"]:
    """Only the k most probable tokens (Fan et al. 2018, section 5.1).

    Tokens that tie with the k-th stay as well, since nothing prefers one of them to the other. So more than k may be left.

    Args:
        logits: of the next token.
        k: at least 1; from V on, nothing changes.

    Raises:
        ValueError: k is no positive whole number.
    """
    at_least(1, top_k=k)
    least = _logits(logits).topk(min(k, logits.shape[1]), dim=1).values[:, -1:]
    return logits.masked_fill(logits < least, -math.inf)


def top_p(logits: Float[Tensor, "B V"], p: float) -> Float[Tensor, "B V"]:
    """Only the nucleus: the fewest most probable tokens with probability p together (Holtzman et al. 2020, section 3.1).

    It is large where the model is unsure, and a single token where it is sure. A token goes when all tokens up to it, counted
    from the least probable, have at most 1 − p together. So the token that makes p full stays, and at least one always does.
    Of tokens that tie at this border some may stay and some go, in the order of ``torch.sort``.

    Args:
        logits: of the next token.
        p: above 0, at most 1. At 1 only tokens go that have no probability at all in this number format.

    Raises:
        ValueError: p is not in that range.
    """
    if isinstance(p, bool) or not isinstance(p, int | float) or not 0 < p <= 1:
        raise ValueError(f"top_p={p!r} is not allowed; use a probability above 0 and at most 1")
    ascending, places = _logits(logits).sort(dim=1)
    gone = ascending.softmax(1).cumsum(1) <= 1 - p
    gone[:, -1] = False
    return logits.masked_fill(gone.scatter(1, places, gone), -math.inf)


def repetition_penalty(logits: Float[Tensor, "B V"], read: Int[Tensor, "B N"], penalty: float) -> Float[Tensor, "B V"]:
    """Make tokens that are in the text already less probable (Keskar et al. 2019, section 4.1).

    A positive logit of such a token is divided by the penalty, a negative one is multiplied by it, so that it falls either
    way. The paper divides always, which would favour a repeated token whose logit is negative. How often a token occurred
    does not matter. Note that the result depends on where the logits have their zero, which a softmax does not.

    Args:
        logits: of the next token.
        read: the tokens of each text so far.
        penalty: above 1 discourages repetition, 1 changes nothing, below 1 encourages it.

    Raises:
        ValueError: the penalty is not a positive finite number, or ``read`` has other rows than the logits.
    """
    _positive("repetition_penalty", penalty)
    if not isinstance(read, Tensor) or read.dtype != torch.int64 or read.ndim != 2 or len(read) != len(_logits(logits)):
        given = f"shape {tuple(read.shape)} of {read.dtype}" if isinstance(read, Tensor) else f"a {type(read).__name__}"
        raise ValueError(f"read must be token ids (torch.int64), one row for each of {len(logits)} rows of logits; got {given}")
    before = logits.gather(1, read)
    return logits.scatter(1, read, torch.where(before < 0, before * penalty, before / penalty))


def filtered(
    logits: Float[Tensor, "B V"],
    read: Int[Tensor, "B N"] | None = None,
    *,
    temperature: float | None = None,
    top_k: int | None = None,
    top_p: float | None = None,
    repetition: float | None = None,
) -> Float[Tensor, "B V"]:
    """Several of these filters, in the usual order: repetition penalty, temperature, top-k, top-p. ``None`` leaves one out.

    The order matters. A temperature after top-p would leave the nucleus of another distribution.

    Raises:
        ValueError: as the filters do, or there is a repetition penalty and no ``read``.
    """
    if repetition is not None:
        if read is None:
            raise ValueError(f"repetition={repetition!r} needs read, the tokens of each text so far")
        logits = repetition_penalty(logits, read, repetition)
    for name, value in (("temperature", temperature), ("top_k", top_k), ("top_p", top_p)):
        if value is not None:
            logits = _IN_ORDER[name](logits, value)
    return logits


_IN_ORDER: dict[str, Callable[..., Tensor]] = {"temperature": temperature, "top_k": top_k, "top_p": top_p}


def _logits(logits: Tensor) -> Tensor:
    if not isinstance(logits, Tensor) or not logits.is_floating_point() or logits.ndim != 2 or not logits.shape[1]:
        given = f"shape {tuple(logits.shape)} of {logits.dtype}" if isinstance(logits, Tensor) else f"a {type(logits).__name__}"
        raise ValueError(f"logits must be a floating-point tensor with one row for each text, (B, V); got {given}")
    return logits


def _positive(name: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ValueError(f"{name}={value!r} is not allowed; use a positive finite number")
    return value
