"""The decoding playground: the same model, continued in different ways."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import traitlets as t

from lmcore.generate import filtered
from lmcore.widgets.base import in_range, one_of
from lmcore.widgets.page_models import random_numbers
from lmcore.widgets.prompts import Given, PromptFigure

METHODS = ("greedy", "draw")
RANGES = {"temperature": (0.1, 2.0), "top_p": (0.05, 1.0), "repetition": (1.0, 2.0)}


@dataclass(frozen=True)
class Written:
    """A token that was written.

    Attributes:
        id: its number.
        probability: what the model itself gives it.
        drawn_from: what it has in the distribution that it was taken from; of the greedy choice, 1.
        choices: how many tokens that distribution leaves.
    """

    id: int
    probability: float
    drawn_from: float
    choices: int


class DecodingPlayground(PromptFigure, module="decoding_playground.mjs"):
    r"""The decoding playground: a model in the page goes on from a prompt, greedily or by drawing, and the reader says how.

    Temperature, top-k, top-p and the repetition penalty are those of :mod:`lmcore.generate`, in the order of
    :func:`lmcore.generate.filtered`. The text grows token by token, each with the probability that the model gives it, and can
    be stopped. A token that is clicked shows what else could have stood there. The same settings and the same ``seed`` write
    the same text; every change of a setting writes it anew.

    ``prompt``, ``chosen`` (which model, from 0), ``method`` (``"greedy"`` or ``"draw"``), ``temperature``, ``top_k`` (0 keeps
    all), ``top_p``, ``repetition``, ``seed``, ``upto`` (so many tokens at most) and ``place`` (the token that is looked at,
    from 0; −1 for none) can be set and read from Python. ``write()`` gives the tokens that the page shows.

    Args:
        models: label → (model, tokeniser), see :class:`lmcore.widgets.page_models.PageModel`; at least one.
        prompts: texts of at most 300 characters to go on from, "" for the beginning; a list for all models, or label → list.
        length: the most tokens to write.

    Raises:
        ValueError: no model or no prompt, a model or tokeniser that cannot run in a page, a prompt that leaves no room for
            ``length`` tokens, or a setting that is out of range.
    """

    length = t.Int().tag(sync=True)
    ranges = t.Dict({name: list(ends) for name, ends in RANGES.items()}).tag(sync=True)

    method = t.Unicode("draw").tag(sync=True)
    temperature = t.Float(1.0).tag(sync=True)
    top_k = t.Int(0).tag(sync=True)
    top_p = t.Float(1.0).tag(sync=True)
    repetition = t.Float(1.0).tag(sync=True)
    seed = t.Int(0).tag(sync=True)
    upto = t.Int().tag(sync=True)
    place = t.Int(-1).tag(sync=True)

    def __init__(
        self, models: Given, prompts: Sequence[str] | Mapping[str, Sequence[str]], *, length: int = 60, **kwargs: Any
    ) -> None:
        in_range("length", length, 1, 400)
        super().__init__(models, prompts, more=length, length=length, **{"upto": length, **kwargs})
        in_range("upto", self.upto, 0, length)

    def write(self, prompt: str | None = None) -> list[Written]:
        """The tokens that the page writes after a prompt, by default the present one, with the present settings.

        Raises:
            ValueError: a prompt that the chosen model cannot read and continue.
        """
        model, ids = self.running, self._ids(prompt)
        found: list[Written] = []
        draw, greedy = random_numbers(self.seed), self.method == "greedy"
        how: dict[str, Any] = {"repetition": self.repetition if self.repetition != 1 else None}
        if not greedy:
            how |= {
                "temperature": self.temperature,
                "top_k": self.top_k or None,
                "top_p": self.top_p if self.top_p < 1 else None,
            }
        while len(found) < self.upto and not (found and found[-1].id == model.end):
            logits = model.logits(ids).double()[None]
            logits[:, model.never] = -torch.inf
            left = filtered(logits, torch.tensor([ids]), **how)[0]
            shares = left.softmax(0)
            if greedy:
                new = int(left.argmax())
            else:
                reached = (shares.cumsum(0) > draw()) & (shares > 0)
                new = int(reached.nonzero()[0]) if reached.any() else int(shares.nonzero()[-1])
            p = float(logits[0].softmax(0)[new])
            found.append(Written(new, p, 1.0 if greedy else float(shares[new]), 1 if greedy else int((shares > 0).sum())))
            ids = [*ids, new]
        return found

    def describe(self) -> str:
        """The sentence, with how the first text goes on."""
        *others, last = self.labels
        run = f"Models run in the page: {', '.join(others)} and {last}." if others else f"A model runs in the page: {last}."
        found = [written.id for written in self.write() if written.id != self.running.end]
        after = f"After “{self.prompt}”" if self.prompt else "From the beginning"
        return (
            f"Decoding playground. {run} It goes on from a prompt, greedily or by drawing, with temperature, top-k, top-p and "
            f"a repetition penalty that the reader sets, and shows how probable every token was. {after} "
            f"{self.labels[self.chosen]} writes: “{self._spelt(found)}”."
        )

    @t.validate("method")
    def _check_method(self, proposal: Any) -> str:
        return one_of("method", proposal["value"], METHODS)

    @t.validate("temperature", "top_p", "repetition")
    def _check_number(self, proposal: Any) -> float:
        name, value = proposal["trait"].name, proposal["value"]
        low, high = RANGES[name]
        if not low <= value <= high:
            raise ValueError(f"{name} is {value}; allowed: {low} to {high}")
        return value

    @t.validate("top_k", "seed", "upto", "place")
    def _check_whole(self, proposal: Any) -> int:
        name = proposal["trait"].name
        most = {"top_k": 10**6, "seed": 2**31 - 1, "upto": self.length or 400, "place": 400}[name]
        return in_range(name, proposal["value"], -1 if name == "place" else 0, most)
