"""The gate explorer: what the gates of an LSTM and of a GRU do over a sentence, unit by unit, in the page."""

from collections.abc import Mapping, Sequence
from typing import Any

import traitlets as t

from lmcore.widgets.base import in_range, one_of
from lmcore.widgets.recurrent import RecurrentFigure

QUANTITIES = {
    "lstm": ("forget gate", "input gate", "output gate", "cell state"),
    "gru": ("reset gate", "update gate", "state"),
}


class GateExplorer(RecurrentFigure, module="gate_explorer.mjs"):
    r"""Gate explorer: gates and memory of gated recurrent networks over a text, step by step, of one unit or as a mean.

    An LSTM shows its forget, input and output gate and its cell state :math:`c_n = f_n c_{n-1} + i_n g_n`; a GRU its reset and
    update gate (as torch writes it: 1 keeps, 0 rewrites) and its state :math:`h_n = z_n h_{n-1} + (1 - z_n) \tilde h_n`. Both
    memories are sums over the past, and the figure shows the terms at the chosen step n, by the step m that wrote them:

    .. math:: c_n = \sum_{m=0}^{n} \Bigl(\prod_{j=m+1}^{n} f_j\Bigr)\, i_m g_m .

    Over all units it shows the mean of a gate, and of a memory and its terms the mean size. The page runs the models itself, in
    double precision, on the given texts or on any text that the reader writes in the models' words. Step 0 has read
    ``<start>``.

    ``words``, ``step``, ``model`` (a name), ``unit`` (0 is the first, −1 the mean of all) and ``shown`` (whose units stand one
    by one: the number of a row) can be set and read from Python.

    Args:
        models: name → a ``lmcore.recurrent.RecurrentLM`` of one layer, cell "lstm" or "gru". Their weights go into the page:
            4 bytes each, or 2 where there are more than 60,000 (see ``half``). Two models of the world's vocabulary stay below
            250 kB with ``dim + hidden`` up to 40, or with ``tie=True`` and ``hidden=32``.
        vocabulary: V words, word i with id i, the same for all models; with ``<start>`` and ``<end>``.
        texts: lists of at most 60 words, strings that are split at white space, or stories of ``lmcore.world``.
        top: how many of the likeliest next words are listed.
        half: weights in half precision, that is 11 bits instead of 24.

    Raises:
        ValueError: a model without gates or of another size, a vocabulary without ``<start>`` or ``<end>``, no text, a word
            that the models cannot read, or a choice that is not there.
    """

    model = t.Unicode().tag(sync=True)
    unit = t.Int(-1).tag(sync=True)
    shown = t.Int(0).tag(sync=True)

    def __init__(
        self, models: Mapping[str, Any], vocabulary: Sequence[str], texts: Sequence[Any], top: int = 5, **kwargs: Any
    ) -> None:
        first = next(iter(models), "") if isinstance(models, Mapping) else ""
        super().__init__(models, vocabulary, texts, top, **{"model": first, **kwargs})

    def _spec(self) -> dict[str, Any]:
        """The model that is shown."""
        return next((spec for spec in self.models if spec["name"] == self.model), self.models[0])

    def describe(self) -> str:
        rows = "; ".join(f"for {spec['name']} the {', '.join(QUANTITIES[spec['cell']])}" for spec in self.models)
        return (
            f"Gate explorer. Recurrent networks with gates read a text word by word, such as “{' '.join(self.texts[0])}”. For "
            f"each step the figure shows as bars, of one unit or as a mean over all units, {rows}; then what the memory still "
            f"holds from each word, and the likeliest next words."
        )

    @t.validate("models")
    def _check_models(self, proposal: Any) -> list[dict[str, Any]]:
        for spec in proposal["value"]:
            if spec["cell"] not in QUANTITIES:
                raise ValueError(
                    f"model {spec['name']!r} has cell={spec['cell']!r}, which has no gates; allowed: 'lstm', 'gru'"
                )
        return proposal["value"]

    @t.validate("model")
    def _check_model(self, proposal: Any) -> str:
        return one_of("model", proposal["value"], [spec["name"] for spec in self.models])

    @t.validate("unit")
    def _check_unit(self, proposal: Any) -> int:
        return in_range("unit", proposal["value"], -1, self._spec()["hidden"] - 1)

    @t.validate("shown")
    def _check_shown(self, proposal: Any) -> int:
        return in_range("shown", proposal["value"], 0, len(QUANTITIES[self._spec()["cell"]]) - 1)

    @t.observe("model")
    def _stay_in_the_model(self, change: Any) -> None:
        self.unit = min(self.unit, self._spec()["hidden"] - 1)
        self.shown = min(self.shown, len(QUANTITIES[self._spec()["cell"]]) - 1)
