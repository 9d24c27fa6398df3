"""Attention: a look-up that need not decide.

A dictionary answers a query with the value of the one key that equals it. Attention answers with a mean of all values, weighted
by how well their keys match. The match is a score, and a softmax over the keys makes weights of the scores. What differs from
one kind of attention to the next is how the score is computed: here by a dot product (:func:`look_up`) or by a small network
(:class:`AdditiveAttention`).

Shapes: T queries look at S keys, and every key has one value. A mask is True where a query may look at a key.
"""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from lmcore.batches import at_least


def masked_softmax(
    scores: Float[Tensor, "*batch T S"], mask: Bool[Tensor, "*shape"] | None = None
) -> Float[Tensor, "*batch T S"]:
    r"""Weights over the keys: softmax of the scores over the last axis, exactly 0 where the mask is False.

    A forbidden key gets the score :math:`-\infty` before the softmax, so that the others share the whole weight. Setting its
    weight to 0 after the softmax would leave a sum below 1.

    Args:
        scores: one score for every query and key.
        mask: True where the query may look at the key; any shape that broadcasts to that of the scores, such as (B, 1, S) for
            the padding of B texts or (T, S) for positions that must not look ahead. ``None`` allows every key.

    Raises:
        ValueError: the mask is not of truth values, or does not fit the scores, or leaves a query no key at all: a softmax over
            nothing does not exist. (The last is looked for on a CPU only, as elsewhere it would make every step wait for the
            device; there the weights of such a query are nan.)
    """
    if not isinstance(scores, Tensor) or not scores.is_floating_point() or scores.ndim < 2:
        raise ValueError(f"scores must be a floating-point tensor of shape (…, T, S); got {_given(scores)}")
    if mask is None:
        return scores.softmax(-1)
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        raise ValueError(f"mask must be a tensor of truth values, True where a key may be looked at; got {_given(mask)}")
    try:
        fits = torch.broadcast_shapes(mask.shape, scores.shape) == scores.shape
    except RuntimeError:
        fits = False
    if not fits:
        raise ValueError(f"a mask of shape {tuple(mask.shape)} does not broadcast to scores of shape {tuple(scores.shape)}")
    if mask.device.type == "cpu" and not torch.compiler.is_compiling() and not mask.any(-1).all():
        where = [int(i) for i in (~mask.any(-1)).nonzero()[0]]
        row = f" in row {where}" if where else ""
        raise ValueError(f"the mask leaves no key at all{row}; every query needs at least one key")
    return scores.masked_fill(~mask, -math.inf).softmax(-1)


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
    for name, given in (("query", query), ("keys", keys), ("values", values)):
        if not isinstance(given, Tensor) or not given.is_floating_point() or given.ndim < 2:
            raise ValueError(f"{name} must be a floating-point tensor with at least 2 axes; got {_given(given)}")
    if query.shape[-1] != keys.shape[-1]:
        raise ValueError(f"queries are {query.shape[-1]} wide and keys {keys.shape[-1]}; their dot product needs one width")
    _one_value_per_key(keys, values)
    if query.shape[:-2] != keys.shape[:-2]:
        raise ValueError(f"query {tuple(query.shape)} and keys {tuple(keys.shape)} need the same batch axes")
    if isinstance(scale, bool) or not isinstance(scale, int | float) or not math.isfinite(scale):
        raise ValueError(f"scale={scale!r} is not allowed; use a finite number")
    weights = masked_softmax(scale * query @ keys.mT, mask)
    return weights @ values, weights


class AdditiveAttention(nn.Module):
    r"""The attention of Bahdanau et al. (2015), appendix A.1.2: a small network scores a query against a key.

    .. math:: e_{ts} = v_a^\top \tanh(W_a q_t + U_a k_s), \qquad a_{ts} = \operatorname{softmax}_s(e_{ts}), \qquad
              c_t = \sum_s a_{ts} k_s .

    In the paper a query is the decoder's last state :math:`s_{i-1}`, and the keys, which are the values as well, are the
    encoder's states :math:`h_j`. The part :math:`U_a k_s` does not depend on the query. While a decoder takes step after step,
    it is computed once (:meth:`project`) and handed in again.

    In the code :math:`W_a` is ``query.weight``, :math:`U_a` is ``key.weight``, :math:`v_a` is ``score.weight``. There are no
    biases, as in the paper.

    Args:
        query_size: width of a query.
        key_size: width of a key.
        hidden: width of the network's hidden layer.
    """

    def __init__(self, query_size: int, key_size: int, hidden: int):
        super().__init__()
        at_least(1, query_size=query_size, key_size=key_size, hidden=hidden)
        self.query = nn.Linear(query_size, hidden, bias=False)
        self.key = nn.Linear(key_size, hidden, bias=False)
        self.score = nn.Linear(hidden, 1, bias=False)

    def project(self, keys: Float[Tensor, "B S K"]) -> Float[Tensor, "B S A"]:
        """The keys' part of the scores, :math:`U_a k_s`: the same for every query."""
        _check_width("keys", keys, self.key.in_features)
        return self.key(keys)

    def forward(
        self,
        query: Float[Tensor, "B T Q"],
        keys: Float[Tensor, "B S K"],
        mask: Bool[Tensor, "*shape"] | None = None,
        *,
        projected: Float[Tensor, "B S A"] | None = None,
    ) -> tuple[Float[Tensor, "B T K"], Float[Tensor, "B T S"]]:
        """The contexts :math:`c`, one per query, and the weights :math:`a`.

        Args:
            query: T queries for each of B texts (a decoder asks one at a time, T = 1).
            keys: the S keys of each text, which are its values too.
            mask: True where there is a key, see :func:`masked_softmax`; (B, 1, S) for padded texts.
            projected: :meth:`project` of these keys, if it is at hand.

        Raises:
            ValueError: widths or batch sizes that do not fit, or a mask that :func:`masked_softmax` refuses.
        """
        _check_width("query", query, self.query.in_features)
        _check_width("keys", keys, self.key.in_features)
        if len(query) != len(keys):
            raise ValueError(f"query has {len(query)} rows and keys have {len(keys)}; every text needs one row of each")
        if projected is None:
            projected = self.project(keys)
        elif projected.shape != (*keys.shape[:2], self.key.out_features):
            expected = (*keys.shape[:2], self.key.out_features)
            raise ValueError(f"projected has shape {tuple(projected.shape)}; project(keys) has {expected}")
        hidden = torch.tanh(self.query(query)[:, :, None] + projected[:, None])  # B T S A
        weights = masked_softmax(self.score(hidden).squeeze(-1), mask)
        return weights @ keys, weights


def _one_value_per_key(keys: Tensor, values: Tensor) -> None:
    if keys.shape[:-1] != values.shape[:-1]:
        raise ValueError(f"keys {tuple(keys.shape)} and values {tuple(values.shape)} differ; every key needs one value")


def _check_width(name: str, given: Tensor, width: int) -> None:
    if not isinstance(given, Tensor) or not given.is_floating_point() or given.ndim != 3 or given.shape[-1] != width:
        raise ValueError(f"{name} must be a floating-point tensor with 3 axes, the last of width {width}; got {_given(given)}")


def _given(value: object) -> str:
    return f"shape {tuple(value.shape)} of {value.dtype}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
