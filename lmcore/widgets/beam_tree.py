"""The beam as a tree: a few hypotheses, each extended by one token, again and again."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import traitlets as t
from torch import nn

from lmcore.tokenizer import Tokenizer
from lmcore.widgets.base import in_range
from lmcore.widgets.prompts import PromptFigure

WIDEST, LONGEST = 6, 30


@dataclass(frozen=True)
class Branch:
    """One hypothesis of the tree: another, extended by one token.

    Attributes:
        ids: its tokens after the prompt, an end included.
        log_prob: log q(ids | prompt), natural logarithm.
        parent: the number, in the level before, of the hypothesis that was extended.
        kept: whether it is among the best, of which there are as many as have a place.
        ended: whether its last token ends the text.
    """

    ids: tuple[int, ...]
    log_prob: float
    parent: int
    kept: bool
    ended: bool


class BeamTree(PromptFigure, module="beam_tree.mjs"):
    r"""Beam search as a tree: at every step each open hypothesis is extended by one token, and the best ``width`` stay.

    It is the search of :func:`lmcore.generate.beam` with α = 0. Below the line of a step stand the best of those that fell: as
    many as the beam is wide. A hypothesis that ends is complete and keeps its place. What the greedy search finds in as many
    steps is given beside it. The model itself runs in the page.

    ``prompt``, ``width`` and ``step`` (how many steps are shown) can be set and read from Python. ``tree()`` gives the tree.

    Args:
        model: a model that can run in a page, see :class:`lmcore.widgets.page_models.PageModel`.
        tokenizer: its tokeniser, or a list of words.
        prompts: texts of at most 300 characters to go on from, "" for the beginning.
        width: B, from 1 to 6.
        steps: how many tokens to go on, at most 30.

    Raises:
        ValueError: a model or tokeniser that cannot run in a page, a prompt that leaves no room for so many steps, or a size
            out of range.
    """

    steps = t.Int().tag(sync=True)
    widest = t.Int(WIDEST).tag(sync=True)

    width = t.Int().tag(sync=True)
    step = t.Int().tag(sync=True)

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Tokenizer | Sequence[str],
        prompts: Sequence[str],
        *,
        width: int = 3,
        steps: int = 6,
        **kwargs: Any,
    ) -> None:
        in_range("steps", steps, 1, LONGEST)
        super().__init__(
            {"the model": (model, tokenizer)}, prompts, more=steps, steps=steps, width=width, **{"step": steps, **kwargs}
        )

    def tree(self, prompt: str | None = None) -> list[list[Branch]]:
        """What the page draws: for every step its branches, the most probable first, those that are kept before the others.

        The search ends with ``steps``, or when every place of the beam is taken by a complete hypothesis.

        Args:
            prompt: by default the present one.

        Raises:
            ValueError: a prompt that the model cannot read and continue.
        """
        model, begin = self.running, self._ids(prompt)
        open_, complete = [(0, Branch((), 0.0, 0, True, False))], 0
        levels: list[list[Branch]] = []
        while len(levels) < self.steps and open_ and complete < self.width:
            found = []
            for place, hypothesis in open_:
                best = (
                    model.probabilities([*begin, *hypothesis.ids])
                    .double()
                    .log()
                    .topk(min(2 * self.width, len(model.tokenizer)))
                )
                for log_prob, token in zip(best.values.tolist(), best.indices.tolist(), strict=True):
                    if log_prob > float("-inf"):
                        found.append((hypothesis.log_prob + log_prob, place, token, hypothesis.ids))
            found.sort(key=lambda candidate: -candidate[0])
            room = self.width - complete
            level = [
                Branch((*ids, token), log_prob, place, i < room, token == model.end)
                for i, (log_prob, place, token, ids) in enumerate(found[: room + self.width])
            ]
            levels.append(level)
            open_ = [(i, branch) for i, branch in enumerate(level) if branch.kept and not branch.ended]
            complete += sum(branch.kept and branch.ended for branch in level)
        return levels

    def hypotheses(self, prompt: str | None = None) -> list[Branch]:
        """What the search has found: the complete ones, then those that are still open, each kind by probability."""
        levels = self.tree(prompt)
        complete = [branch for level in levels for branch in level if branch.kept and branch.ended]
        still_open = [branch for branch in levels[-1] if branch.kept and not branch.ended]
        return [*sorted(complete, key=lambda branch: -branch.log_prob), *still_open]

    def describe(self) -> str:
        """The sentence, with the best hypothesis for the first prompt."""
        best = self.hypotheses()[0]
        ids = best.ids[:-1] if best.ended else best.ids
        after = f"After “{self.prompt}”" if self.prompt else "From the beginning"
        return (
            f"Beam search as a tree. At every step each of at most {self.width} hypotheses is extended by one token, and the "
            f"{self.width} most probable stay. The model runs in the page. {after} the best hypothesis with {len(best.ids)} "
            f"tokens is “{self._spelt(ids)}”."
        )

    @t.validate("width")
    def _check_width(self, proposal: Any) -> int:
        return in_range("width", proposal["value"], 1, WIDEST)

    @t.validate("step")
    def _check_step(self, proposal: Any) -> int:
        return in_range("step", proposal["value"], 0, self.steps or LONGEST)
