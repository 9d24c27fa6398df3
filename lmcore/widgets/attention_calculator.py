"""The attention calculator: self-attention on a few words, matrix by matrix, every number of which can be changed."""

import math
from typing import Any

import torch
import traitlets as t
from torch import Tensor

from lmcore.attention import masked_softmax
from lmcore.evaluate import Text, shown
from lmcore.widgets.base import Figure, in_range
from lmcore.widgets.weights import as_numbers, as_words

LARGEST = 8  # rows and columns of a matrix that can be read
LIMIT = 1000.0  # of a number that is put in
STEPS = ("queries", "keys", "values", "scores", "scaled", "masked", "weights", "output")


class AttentionCalculator(Figure, module="attention_calculator.mjs"):
    r"""Attention calculator: masked self-attention with all its matrices, recomputed in the page after every change.

    .. math:: Q = X W_Q, \quad K = X W_K, \quad V = X W_V, \quad
              A = \operatorname{softmax}\!\Bigl(\frac{Q K^\top}{\sqrt D} + M\Bigr), \quad Y = A V ,

    with X of T rows (words) and C columns, :math:`W_Q, W_K` of C × D and :math:`W_V` of C × E numbers. M is 0, or with
    ``causal`` :math:`-\infty` where a word would look at a later one. The figure goes through the steps one by one; a number of
    a result, once chosen, shows the sum it comes from.

    ``x``, ``w_q``, ``w_k``, ``w_v`` (lists of rows), ``causal``, ``scaled`` (whether scores are divided by :math:`\sqrt D`),
    ``step`` (one of eight, from 0), ``row`` and ``column`` (the chosen number of the step's result) can be set and read from
    Python; :meth:`matrices` computes all matrices.

    Args:
        tokens: T words, a string or a list; at most 8.
        x: T × C numbers, one row per word.
        W_q, W_k, W_v: matrices with C rows; the first two are equally wide.
        causal: whether a word may look at later ones.

    Raises:
        ValueError: shapes that do not fit, a matrix with more than 8 rows or columns, a number that is not finite or beyond
            ±1000, or a choice that is not there.
    """

    tokens = t.List(t.Unicode()).tag(sync=True)
    x = t.List(t.List(t.Float())).tag(sync=True)
    w_q = t.List(t.List(t.Float())).tag(sync=True)
    w_k = t.List(t.List(t.Float())).tag(sync=True)
    w_v = t.List(t.List(t.Float())).tag(sync=True)
    given = t.Dict().tag(sync=True)  # the four matrices as they were at first
    limit = t.Float(LIMIT).tag(sync=True)

    causal = t.Bool(False).tag(sync=True)
    scaled = t.Bool(True).tag(sync=True)
    step = t.Int(0).tag(sync=True)
    row = t.Int(0).tag(sync=True)
    column = t.Int(0).tag(sync=True)

    def __init__(self, tokens: Text, x: Any, W_q: Any, W_k: Any, W_v: Any, causal: bool = False, **kwargs: Any) -> None:
        words = as_words("tokens", tokens, LARGEST)
        given = {"x": as_numbers("x", x, (len(words), None))}
        width = given["x"].shape[1]
        given["w_q"] = as_numbers("W_q", W_q, (width, None))
        given["w_k"] = as_numbers("W_k", W_k, (width, given["w_q"].shape[1]))
        given["w_v"] = as_numbers("W_v", W_v, (width, None))
        for name, matrix in given.items():
            in_range(f"the number of columns of {name}", matrix.shape[1], 1, LARGEST)
        if not isinstance(causal, bool):
            raise ValueError(f"causal is {shown(causal)}; allowed: True, False")
        self._shapes = {name: matrix.shape for name, matrix in given.items()}
        lists = {name: matrix.tolist() for name, matrix in given.items()}
        super().__init__(tokens=words, given=lists, **lists, **{"causal": causal, **kwargs})

    def matrices(self) -> dict[str, Tensor]:
        """Every matrix of the calculation as it is set now, in float64, by the names of its steps."""
        x, w_q, w_k, w_v = (torch.tensor(part, dtype=torch.float64) for part in (self.x, self.w_q, self.w_k, self.w_v))
        queries, keys, values = x @ w_q, x @ w_k, x @ w_v
        scores = queries @ keys.T
        scaled = scores / math.sqrt(keys.shape[1]) if self.scaled else scores
        mask = torch.ones(len(x), len(x), dtype=torch.bool)
        mask = mask.tril() if self.causal else mask
        weights = masked_softmax(scaled, mask)
        masked = scaled.masked_fill(~mask, -math.inf)
        return dict(zip(STEPS, (queries, keys, values, scores, scaled, masked, weights, weights @ values), strict=True))

    def describe(self) -> str:
        words, width = " ".join(self.tokens), len(self.w_q[0])
        return (
            f"Attention calculator. Self-attention over the {len(self.tokens)} words “{words}” in eight steps, matrix by "
            f"matrix: queries, keys and values from the inputs and their weight matrices, scores, division by the square root "
            f"of {width}, mask, softmax, output. Every number of the inputs and the weight matrices can be changed, and the "
            f"sum behind every number of a result can be looked at."
        )

    @t.validate("x", "w_q", "w_k", "w_v")
    def _check_numbers(self, proposal: Any) -> list[list[float]]:
        name = proposal["trait"].name
        found = as_numbers(name, proposal["value"], self._shapes[name])
        if abs(found).max() > LIMIT:
            raise ValueError(f"{name} holds {found.flat[abs(found).argmax()]:g}; allowed: {-LIMIT:g} to {LIMIT:g}")
        return found.tolist()

    @t.validate("step")
    def _check_step(self, proposal: Any) -> int:
        return in_range("step", proposal["value"], 0, len(STEPS) - 1)

    @t.validate("row")
    def _check_row(self, proposal: Any) -> int:
        return in_range("row", proposal["value"], 0, len(self.tokens) - 1)

    @t.validate("column")
    def _check_column(self, proposal: Any) -> int:
        return in_range("column", proposal["value"], 0, self._columns() - 1)

    @t.observe("step")
    def _stay_inside(self, change: Any) -> None:
        self.column = min(self.column, self._columns() - 1)

    def _columns(self) -> int:
        """How many columns the result of the present step has."""
        widths = {"queries": len(self.w_q[0]), "keys": len(self.w_k[0]), "values": len(self.w_v[0]), "output": len(self.w_v[0])}
        return widths.get(STEPS[self.step], len(self.tokens))
