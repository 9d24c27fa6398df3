"""The unrolled network: a recurrent language model that reads a text step by step, in the page."""

from collections.abc import Sequence
from typing import Any

import traitlets as t

from lmcore.widgets.base import in_range
from lmcore.widgets.recurrent import RecurrentFigure


class UnrolledNetwork(RecurrentFigure, module="unrolled_network.mjs"):
    r"""Unrolled network: at every step n of a text the word :math:`x_n`, the state :math:`h_n` and the prediction of the next.

    The page runs the model itself, in double precision, on the given texts or on any text that the reader writes in the
    model's words: :math:`h_n = \sigma(V [x_n; h_{n-1}] + c)` from :math:`h_0 = 0`, then the softmax of the logits, without the
    tokens that cannot follow anything (as ``lmcore.recurrent.as_language_model``). Step 0 has read ``<start>``. For an RNN it
    also shows how one unit came about: what the word, the state before and the bias each add to its sum. ``memory = False``
    sets the state to 0 before every step.

    ``words``, ``step``, ``unit`` (0 is the first) and ``memory`` can be set and read from Python.

    Args:
        model: a ``lmcore.recurrent.RecurrentLM`` of one layer; any cell. Its weights go into the page: 4 bytes each, or 2 where
            there are more than 60,000 (see ``half``).
        vocabulary: its V words, word i with id i; with ``<start>`` and ``<end>``.
        texts: lists of at most 60 words, strings that are split at white space, or stories of ``lmcore.world``.
        top: how many of the likeliest next words are listed.
        half: weights in half precision, that is 11 bits instead of 24.

    Raises:
        ValueError: a model of another kind or size, a vocabulary without ``<start>`` or ``<end>``, no text, a word that the
            model cannot read, or a choice that is not there.
    """

    unit = t.Int(0).tag(sync=True)
    memory = t.Bool(True).tag(sync=True)

    def __init__(self, model: Any, vocabulary: Sequence[str], texts: Sequence[Any], top: int = 8, **kwargs: Any) -> None:
        super().__init__({"model": model}, vocabulary, texts, top, **kwargs)

    def _opening(self, words: Sequence[str]) -> int:
        """Near the beginning: the reader takes the steps."""
        return min(2, super()._opening(words))

    def describe(self) -> str:
        return (
            f"Unrolled network. A recurrent network with a state of {self._hidden()} numbers reads a text word by word, such "
            f"as “{' '.join(self.texts[0])}”. For each step the figure shows the word that goes in, the state as a column of "
            f"signed bars, and the likeliest next words with their probabilities."
        )

    def _hidden(self) -> int:
        return int(self.models[0]["hidden"])

    @t.validate("unit")
    def _check_unit(self, proposal: Any) -> int:
        return in_range("unit", proposal["value"], 0, self._hidden() - 1)
