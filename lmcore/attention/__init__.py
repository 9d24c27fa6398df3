r"""Attention: a look-up that need not decide.

A dictionary answers a query with the value of the one key that equals it. Attention answers with a mean of all values, weighted
by how well their keys match. The match is a score, and a softmax over the keys makes weights of the scores. What differs from
one kind of attention to the next is how the score is computed: by a small network (:class:`AdditiveAttention`), by a dot
product (:func:`look_up`), by a dot product divided by the root of its width (:func:`scaled_dot_product`, and :func:`attend`,
the same on torch's fused kernel), or by several such products side by side (:class:`MultiHeadAttention`).

Shapes: T queries look at S keys, and every key has one value.

**Masks** have one convention in the whole book:

- A mask is a tensor of truth values. **True: this query may look at this key.** So it is in torch's
  ``scaled_dot_product_attention``; in ``torch.nn.MultiheadAttention`` True forbids, so a mask for it is ``~mask``.
- Its shape broadcasts to that of the scores, (B, H, T, S) for several heads: (T, S) for every text and head alike, as
  :func:`causal_mask` makes it, and (B, 1, 1, S) for the padding of each text, as :func:`padding_mask` makes it.
- Masks are combined by ``&``: what both allow.
- A query that may look at nothing gets zeros, and passes no gradient on: in every function here, on every device.
"""

from lmcore.attention.additive import AdditiveAttention
from lmcore.attention.cache import Cache
from lmcore.attention.masks import causal_mask, masked_softmax, padding_mask
from lmcore.attention.multihead import MultiHeadAttention
from lmcore.attention.products import attend, look_up, scaled_dot_product

__all__ = [
    "AdditiveAttention",
    "Cache",
    "MultiHeadAttention",
    "attend",
    "causal_mask",
    "look_up",
    "masked_softmax",
    "padding_mask",
    "scaled_dot_product",
]
