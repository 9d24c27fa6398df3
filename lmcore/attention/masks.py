"""Who may look at what, and the softmax that keeps to it."""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lmcore.batches import at_least


def causal_mask(T: int, S: int | None = None, device: torch.device | str | None = None) -> Bool[Tensor, "T S"]:
    """The mask of a text that must not look ahead: query t may look at key s ≤ t.

    With more keys than queries the first S − T keys are the past, such as a cache holds it, and the last query stands at the
    last key: query t may look at key s ≤ t + S − T.

    Args:
        T: how many queries.
        S: how many keys, at least T; T if not given.
        device: where the mask is needed.

    Raises:
        ValueError: a number is not positive, or there are fewer keys than queries.
    """
    keys = T if S is None else S
    at_least(1, T=T, S=keys)
    if keys < T:
        raise ValueError(f"T={T} queries and S={keys} keys: the last query stands at the last key, so S must be at least T")
    return torch.ones(T, keys, dtype=torch.bool, device=device).tril(keys - T)


def padding_mask(lengths: Int[Tensor, " B"], S: int | None = None) -> Bool[Tensor, "B 1 1 S"]:
    """The mask of B texts that are filled up at the end: every query of text b may look at its first ``lengths[b]`` keys.

    The two axes of length 1 stand for heads and queries. For attention without heads, with scores (B, T, S), take
    ``mask[:, 0]``.

    Args:
        lengths: how many keys of each text are real.
        S: how many keys there are, the longest length if not given.

    Raises:
        ValueError: the lengths are no row of whole numbers, or one is negative or above S (looked for on a CPU only).
    """
    if not isinstance(lengths, Tensor) or lengths.dtype not in (torch.int64, torch.int32) or lengths.ndim != 1:
        raise ValueError(f"lengths must be one whole number for each text, a tensor of shape (B,); got {given(lengths)}")
    keys = int(lengths.max()) if S is None and len(lengths) else S or 0
    at_least(0, S=keys)
    if lengths.device.type == "cpu" and len(lengths) and not 0 <= int(lengths.min()) <= int(lengths.max()) <= keys:
        raise ValueError(f"lengths go from {int(lengths.min())} to {int(lengths.max())}; allowed are 0 to S={keys}")
    return (torch.arange(keys, device=lengths.device) < lengths[:, None])[:, None, None]


def masked_softmax(
    scores: Float[Tensor, "*batch T S"], mask: Bool[Tensor, "*shape"] | None = None
) -> Float[Tensor, "*batch T S"]:
    r"""Weights over the keys: softmax of the scores over the last axis, exactly 0 where the mask is False.

    A forbidden key gets the score :math:`-\infty` before the softmax, so that the others share the whole weight. Setting its
    weight to 0 after the softmax would leave a sum below 1. Where a query may look at no key, all its weights are 0.

    Args:
        scores: one score for every query and key.
        mask: True where the query may look at the key; any shape that broadcasts to that of the scores, such as (B, 1, S) for
            the padding of B texts or (T, S) for positions that must not look ahead. ``None`` allows every key.

    Raises:
        ValueError: the mask is not of truth values, or does not fit the scores.
    """
    if not isinstance(scores, Tensor) or not scores.is_floating_point() or scores.ndim < 2:
        raise ValueError(f"scores must be a floating-point tensor of shape (…, T, S); got {given(scores)}")
    if mask is None:
        return scores.softmax(-1)
    check_mask(mask, scores.shape)
    nothing = ~mask.any(-1, keepdim=True)
    return scores.masked_fill(~(mask | nothing), -math.inf).softmax(-1).masked_fill(nothing, 0)


def check_mask(mask: object, shape: torch.Size) -> None:
    """Refuse what is no mask for scores of this shape."""
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        raise ValueError(f"mask must be a tensor of truth values, True where a key may be looked at; got {given(mask)}")
    try:
        fits = mask.ndim > 0 and torch.broadcast_shapes(mask.shape, shape) == shape
    except RuntimeError:
        fits = False
    if not fits:
        raise ValueError(f"a mask of shape {tuple(mask.shape)} does not broadcast to scores of shape {tuple(shape)}")


def given(value: object) -> str:
    """What a message says of a wrong argument."""
    return f"shape {tuple(value.shape)} of {value.dtype}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
