"""Several attentions side by side: one module for self, cross, grouped, masked and cached attention."""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from lmcore.attention.cache import Cache
from lmcore.attention.masks import causal_mask, check_mask, given
from lmcore.attention.products import attend, scaled_dot_product
from lmcore.batches import at_least

Positions = Callable[[Tensor, int], Tensor]


class MultiHeadAttention(nn.Module):
    r"""Multi-head attention (Vaswani et al. 2017, section 3.2.2).

    .. math:: Y_h = \operatorname{softmax}\!\left(\frac{Q_h K_h^\top}{\sqrt D}\right) V_h, \qquad
              Q_h = X W_{Q,h},\; K_h = M W_{K,h},\; V_h = M W_{V,h}, \qquad
              Y = [Y_1; \dots; Y_H]\, W_O .

    Every head has projections of its own to D = C / H numbers, looks up on its own, and the results, side by side, are C wide
    again. X asks and M, the memory, is asked; in self-attention M = X.

    Parameters have the names and shapes of ``torch.nn.MultiheadAttention``, so that its state loads, and the first values are
    drawn as there. The three projections stand below each other in ``in_proj_weight``, first Q, then K, then V, each with
    one row per output, head after head; with ``key_dim`` or ``value_dim`` they are ``q_proj_weight``, ``k_proj_weight`` and
    ``v_proj_weight``. :math:`W_O^\top` is ``out_proj.weight``.

    Args:
        dim: C, the width of queries and outputs.
        heads: H; it divides C, unless ``head_dim`` is given.
        kv_heads: number of heads of keys and values, which divides H; each is shared by H / kv_heads neighbouring heads
            (grouped-query attention, Ainslie et al. 2023; with 1, multi-query attention, Shazeer 2019). H if not given.
        key_dim, value_dim: widths of the memory's keys and values, if they are not C (torch's ``kdim`` and ``vdim``).
        bias: add a bias in all four projections.
        dropout: probability of dropping a weight, in training.
        head_dim: D, if it is not C / H; :math:`W_O` then leads from H · D numbers back to C.
        qk_norm: bring every query and key to mean square 1 before their products (and before ``positions``), and scale it
            with a learned vector: ``q_norm`` and ``k_norm``, each a :class:`torch.nn.RMSNorm` over the D numbers of a head, the
            same for all heads (Henry et al. 2020, who use the norm itself; with RMSNorm as in Qwen3).

    Raises:
        ValueError: a size is not positive, heads do not divide, or ``dropout`` is no probability.
    """

    in_proj_weight: Tensor | None
    q_proj_weight: Tensor | None
    k_proj_weight: Tensor | None
    v_proj_weight: Tensor | None
    in_proj_bias: Tensor | None

    def __init__(
        self,
        dim: int,
        heads: int,
        *,
        kv_heads: int | None = None,
        key_dim: int | None = None,
        value_dim: int | None = None,
        bias: bool = True,
        dropout: float = 0.0,
        head_dim: int | None = None,
        qk_norm: bool = False,
    ):
        super().__init__()
        shared = heads if kv_heads is None else kv_heads
        k_dim, v_dim = (dim if width is None else width for width in (key_dim, value_dim))
        at_least(1, dim=dim, heads=heads, kv_heads=shared, key_dim=k_dim, value_dim=v_dim)
        at_least(1, head_dim=1 if head_dim is None else head_dim)
        if dim % heads and head_dim is None:
            raise ValueError(f"dim={dim} is not divisible by heads={heads}; every head needs the same whole width")
        if heads % shared:
            raise ValueError(
                f"heads={heads} is not divisible by kv_heads={shared}; each key head serves the same number of heads"
            )
        if not isinstance(dropout, int | float) or isinstance(dropout, bool) or not 0 <= dropout < 1:
            raise ValueError(f"dropout={dropout!r} is not allowed; use a probability from 0 up to, not including, 1")
        self.dim, self.heads, self.kv_heads, self.head_dim = dim, heads, shared, head_dim or dim // heads
        self.key_dim, self.value_dim, self.dropout = k_dim, v_dim, float(dropout)
        wide, narrow = heads * self.head_dim, shared * self.head_dim
        self.rows = (wide, narrow, narrow)  # of the projections to Q, K and V
        separate = (k_dim, v_dim) != (dim, dim)
        for name, shape in (("q", (wide, dim)), ("k", (narrow, k_dim)), ("v", (narrow, v_dim))):
            self.register_parameter(f"{name}_proj_weight", nn.Parameter(torch.empty(shape)) if separate else None)
        self.register_parameter("in_proj_weight", None if separate else nn.Parameter(torch.empty(sum(self.rows), dim)))
        self.register_parameter("in_proj_bias", nn.Parameter(torch.zeros(sum(self.rows))) if bias else None)
        self.out_proj = nn.Linear(wide, dim, bias=bias)
        self.q_norm, self.k_norm = (nn.RMSNorm(self.head_dim, eps=1e-6) if qk_norm else None for _ in "qk")
        for weight in (self.in_proj_weight, self.q_proj_weight, self.k_proj_weight, self.v_proj_weight):
            if weight is not None:
                nn.init.xavier_uniform_(weight)
        if bias:
            nn.init.zeros_(self.out_proj.bias)

    def forward(
        self,
        query: Float[Tensor, "B T C"],
        memory: Float[Tensor, "B S K"] | None = None,
        *,
        values: Float[Tensor, "B S E"] | None = None,
        mask: Bool[Tensor, "*shape"] | None = None,
        causal: bool = False,
        positions: Positions | None = None,
        cache: Cache | None = None,
        weights: bool = False,
    ) -> tuple[Float[Tensor, "B T C"], Float[Tensor, "B H T S"] | None]:
        """What every position of ``query`` finds.

        Args:
            query: X.
            memory: M, what is asked; ``query`` itself if not given (self-attention).
            values: another text of the same length as the memory to take the values from; the memory if not given.
            mask: True where a query may look at a key; its shape broadcasts to (B, H, T, S), see :mod:`lmcore.attention`. S
                counts the keys in the cache too.
            causal: no position may look ahead; with a mask, both hold. With a cache, the new positions come after its own.
            positions: called as ``positions(x, offset)`` on queries and keys (B, H, T, D) before their products, where offset
                is how many positions came before, such as :class:`lmcore.positions.Rotary`; for self-attention only.
            cache: in self-attention the keys and values of what came before; those of ``query`` are appended. With a memory,
                its keys and values are computed at the first call, when the cache is empty, and read from it at all others.
            weights: return the weights too. They are computed in plain steps, which takes longer and holds all of them.

        Returns:
            the outputs, and the weights of every head before dropout, or ``None`` where they were not asked for.

        Raises:
            ValueError: widths, lengths, mask or cache do not fit, or positions are given for attention to a memory.
        """
        self._check(query, memory, values, positions)
        offset = 0 if cache is None else cache.length
        if mask is not None:
            self._check_mask(mask, query, offset + query.shape[1] if memory is None else memory.shape[1])
        if memory is None:
            q, k, v = self._project_self(query)
            q, k = self._normed(q, self.q_norm), self._normed(k, self.k_norm)
            if positions is not None:
                q, k = positions(q, offset), positions(k, offset)
            if cache is not None:
                k, v = cache.append(k, v)
        else:
            q = self._normed(self._project(query, 0), self.q_norm)
            if cache is None or not offset:
                k, v = self._project(memory, 1), self._project(memory if values is None else values, 2)
                k = self._normed(k, self.k_norm)
                if cache is not None:
                    k, v = cache.append(k, v)
            else:
                k, v = cache.keys, cache.values
                if (len(k), k.shape[2]) != memory.shape[:2]:
                    raise ValueError(
                        f"the cache holds {len(k)} texts of {k.shape[2]} keys, and the memory has shape {tuple(memory.shape)}; "
                        "a cache belongs to one memory"
                    )
        if weights:
            output, seen = self._in_plain_steps(q, k, v, mask, causal)
        else:
            dropout = self.dropout if self.training else 0.0
            output, seen = attend(q, k, v, mask, causal=causal, dropout=dropout), None
        return self.out_proj(output.transpose(1, 2).flatten(2)), seen

    def _in_plain_steps(
        self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, causal: bool
    ) -> tuple[Float[Tensor, "B H T D"], Float[Tensor, "B H T S"]]:
        """The reference: every step visible, every weight in memory."""
        k, v = (x.repeat_interleave(self.heads // self.kv_heads, dim=1) for x in (k, v))
        if causal:
            ahead = causal_mask(q.shape[2], k.shape[2], q.device)
            mask = ahead if mask is None else mask & ahead
        output, weights = scaled_dot_product(q, k, v, mask)
        if self.training and self.dropout:
            output = F.dropout(weights, self.dropout) @ v
        return output, weights

    def _project_self(self, x: Float[Tensor, "B T C"]) -> tuple[Tensor, ...]:
        """Queries, keys and values of one text, in one product where the weights lie in one piece."""
        if self.in_proj_weight is None:
            return tuple(self._project(x, part) for part in range(3))
        together = F.linear(x, self.in_proj_weight, self.in_proj_bias).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
        return together.split([self.heads, self.kv_heads, self.kv_heads], dim=1)

    def _project(self, x: Float[Tensor, "B N K"], part: int) -> Float[Tensor, "B H N D"]:
        """Queries (part 0), keys (1) or values (2) of every head."""
        rows = slice(sum(self.rows[:part]), sum(self.rows[: part + 1]))
        if self.in_proj_weight is None:
            weight = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)[part]
            assert weight is not None
        else:
            weight = self.in_proj_weight[rows]
        bias = None if self.in_proj_bias is None else self.in_proj_bias[rows]
        return F.linear(x, weight, bias).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)

    @staticmethod
    def _normed(x: Float[Tensor, "B H N D"], norm: nn.Module | None) -> Float[Tensor, "B H N D"]:
        """Queries or keys as they go into the products."""
        return x if norm is None else norm(x)

    def _check(self, query: Tensor, memory: Tensor | None, values: Tensor | None, positions: Positions | None) -> None:
        wanted = [("query", query, self.dim)]
        if memory is None:
            if values is not None:
                raise ValueError("values are given without a memory; give the memory that the keys come from")
            if (self.key_dim, self.value_dim) != (self.dim, self.dim):
                raise ValueError(
                    f"this module reads keys {self.key_dim} and values {self.value_dim} wide, so a text {self.dim} wide cannot "
                    "ask itself; give a memory"
                )
        else:
            wanted += [("memory", memory, self.key_dim), ("values", memory if values is None else values, self.value_dim)]
            if positions is not None:
                raise ValueError("positions are for self-attention: query and memory are two texts, each with its own count")
        for name, x, width in wanted:
            if not isinstance(x, Tensor) or not x.is_floating_point() or x.ndim != 3 or x.shape[-1] != width:
                raise ValueError(f"{name} must be a floating-point tensor (B, length, {width}); got {given(x)}")
            if len(x) != len(query):
                raise ValueError(f"{name} has {len(x)} texts and query has {len(query)}; every text needs one of each")
        if values is not None and memory is not None and values.shape[1] != memory.shape[1]:
            raise ValueError(f"memory has {memory.shape[1]} keys and values {values.shape[1]}; every key needs one value")

    def _check_mask(self, mask: Tensor, query: Tensor, keys: int) -> None:
        check_mask(mask, torch.Size((len(query), self.heads, query.shape[1], keys)))
        if mask.ndim == 3:
            raise ValueError(
                f"a mask with 3 axes, {tuple(mask.shape)}, may mean texts or heads; use 4 axes, (B, 1, T, S) or (1, H, T, S)"
            )

    def extra_repr(self) -> str:
        return f"dim={self.dim}, heads={self.heads}, kv_heads={self.kv_heads}, dropout={self.dropout:g}"
