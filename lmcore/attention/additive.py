"""Attention whose score is a small network."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from lmcore.attention.masks import given, masked_softmax
from lmcore.batches import at_least


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


def _check_width(name: str, tensor: Tensor, width: int) -> None:
    if not isinstance(tensor, Tensor) or not tensor.is_floating_point() or tensor.ndim != 3 or tensor.shape[-1] != width:
        raise ValueError(f"{name} must be a floating-point tensor with 3 axes, the last of width {width}; got {given(tensor)}")
