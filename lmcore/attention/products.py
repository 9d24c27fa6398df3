"""Attention by dot products: the look-up, the scaled look-up of Transformers, and the same on a fused kernel."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from lmcore.attention.masks import causal_mask, check_mask, given, masked_softmax


def look_up(
    query: Float[Tensor, "*batch T D"],
    keys: Float[Tensor, "*batch S D"],
    values: Float[Tensor, "*batch S E"],
    mask: Bool[Tensor, "*shape"] | None = None,
    *,
    scale: float = 1.0,
) -> tuple[Float[Tensor, "*batch T E"], Float[Tensor, "*batch T S"]]:
    r"""Soft look-up: for every query the mean of the values, weighted by how well their keys match it.

    .. math:: a_{ts} = \frac{e^{\lambda\, q_t \cdot k_s}}{\sum_{s'} e^{\lambda\, q_t \cdot k_{s'}}}, \qquad
              c_t = \sum_s a_{ts} v_s .

    As λ grows, the weights of a query approach the one-hot vector of its best key, and the result the value of that key: the
    hard look-up. At λ = 0 the result is the mean of all values.

    Args:
        query: T queries of width D (any number of batch axes, the same for all three).
        keys: S keys, as wide as the queries.
        values: S values, of any width.
        mask: see :func:`masked_softmax`.
        scale: λ.

    Returns:
        the results :math:`c` and the weights :math:`a`.

    Raises:
        ValueError: shapes that do not fit, a scale that is not a finite number, or a mask that :func:`masked_softmax` refuses.
    """
    _check(query, keys, values, scale)
    weights = masked_softmax(scale * query @ keys.mT, mask)
    return weights @ values, weights


def scaled_dot_product(
    query: Float[Tensor, "*batch T D"],
    key: Float[Tensor, "*batch S D"],
    value: Float[Tensor, "*batch S E"],
    mask: Bool[Tensor, "*shape"] | None = None,
    *,
    scale: float | None = None,
) -> tuple[Float[Tensor, "*batch T E"], Float[Tensor, "*batch T S"]]:
    r"""Scaled dot-product attention (Vaswani et al. 2017, equation 1), written as the formula is:

    .. math:: Y = \operatorname{softmax}\!\left(\frac{Q K^\top}{\sqrt{D}}\right) V .

    If the numbers of a query and a key are independent with mean 0 and variance 1, their dot product has variance D. Divided by
    :math:`\sqrt D` its variance is 1 again, whatever the width.

    Args:
        query, key, value: Q, K and V, with the same batch axes (texts, heads).
        mask: True where a query may look at a key; see :mod:`lmcore.attention`.
        scale: what to multiply the dot products by, instead of :math:`1/\sqrt D`.

    Returns:
        the outputs Y, and the weights, which :func:`attend` never holds in memory.

    Raises:
        ValueError: as :func:`look_up`.
    """
    _check(query, key, value, scale)
    if scale is None:
        scale = 1 / math.sqrt(query.shape[-1])
    scores = query @ key.mT * scale
    weights = masked_softmax(scores, mask)
    return weights @ value, weights


def attend(
    query: Float[Tensor, "*batch T D"],
    key: Float[Tensor, "*keys S D"],
    value: Float[Tensor, "*keys S E"],
    mask: Bool[Tensor, "*shape"] | None = None,
    *,
    causal: bool = False,
    dropout: float = 0.0,
    scale: float | None = None,
) -> Float[Tensor, "*batch T E"]:
    """The outputs of :func:`scaled_dot_product` by torch's fused kernel, which never holds all T · S weights at once.

    Args:
        query, key, value, mask, scale: as there. With 4 axes (B, H, T, D), keys and values may have fewer heads than the
            queries, if their number divides that of the queries: each is then shared by so many neighbouring heads.
        causal: no query may look ahead, see :func:`causal_mask`; with a mask, both hold. The kernel has a flag for this, which
            is faster than a mask, and it is used where it means the same: as many queries as keys, and no mask. One query at
            the end needs neither.
        dropout: probability of dropping a weight. (The kernel does as it is told: pass 0 when not training.)

    Raises:
        ValueError: shapes, a scale, a mask or a dropout that do not fit.
    """
    _check(query, key, value, scale, grouped=True)
    if isinstance(dropout, bool) or not isinstance(dropout, int | float) or not 0 <= dropout < 1:
        raise ValueError(f"dropout={dropout!r} is not allowed; use a probability from 0 up to, not including, 1")
    T, S = query.shape[-2], key.shape[-2]
    flag = causal and mask is None and T == S
    if causal and not flag and T > 1:
        ahead = causal_mask(T, S, query.device)
        mask = ahead if mask is None else mask & ahead
    nothing = None
    if mask is not None:
        check_mask(mask, torch.Size((*query.shape[:-1], S)))
        # A softmax over nothing does not exist: such a row looks anywhere, and what it finds is wiped out.
        nothing = ~mask.any(-1, keepdim=True)
        mask = torch.atleast_2d(mask | nothing)
    grouped = query.ndim > 3 and query.shape[-3] != key.shape[-3]
    output = F.scaled_dot_product_attention(query, key, value, mask, dropout, flag, scale=scale, enable_gqa=grouped)
    return output if nothing is None else output.masked_fill(nothing, 0)


def _check(query: Tensor, key: Tensor, value: Tensor, scale: float | None, grouped: bool = False) -> None:
    for name, tensor in (("query", query), ("keys", key), ("values", value)):
        if not isinstance(tensor, Tensor) or not tensor.is_floating_point() or tensor.ndim < 2:
            raise ValueError(f"{name} must be a floating-point tensor with at least 2 axes; got {given(tensor)}")
    if query.shape[-1] != key.shape[-1]:
        raise ValueError(f"queries are {query.shape[-1]} wide and keys {key.shape[-1]}; their dot product needs one width")
    if key.shape[:-1] != value.shape[:-1]:
        raise ValueError(f"keys {tuple(key.shape)} and values {tuple(value.shape)} differ; every key needs one value")
    same, what = query.shape[:-2] == key.shape[:-2], "need the same batch axes"
    if not same and grouped and query.ndim == key.ndim > 3:
        heads, shared, what = query.shape[-3], key.shape[-3], "need the same batch axes, and heads that divide evenly"
        same = query.shape[:-3] == key.shape[:-3] and shared > 0 and heads % shared == 0
    if not same:
        raise ValueError(f"query {tuple(query.shape)} and keys {tuple(key.shape)} {what}")
    if scale is not None and (isinstance(scale, bool) or not isinstance(scale, int | float) or not math.isfinite(scale)):
        raise ValueError(f"scale={scale!r} is not allowed; use a finite number")
