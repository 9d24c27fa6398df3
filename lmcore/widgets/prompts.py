"""Figures that continue a text: the reader chooses one of some prompts, or writes another."""

from collections.abc import Mapping, Sequence
from typing import Any

import traitlets as t
from torch import nn

from lmcore.tokenizer import Tokenizer
from lmcore.widgets.base import in_range
from lmcore.widgets.page_models import ModelFigure, PageModel, texts_by_model

LONGEST = 300  # characters of a prompt

Given = Mapping[str, tuple[nn.Module, Tokenizer | Sequence[str]]]


class PromptFigure(ModelFigure):
    """A :class:`lmcore.widgets.page_models.ModelFigure` with prompts for each of its models; ``prompts.mjs`` shows them.

    Args:
        models: label → (model, tokeniser).
        prompts: texts of at most 300 characters, "" for the beginning of a text; a list for all models, or label → list.
        more: so many tokens have to find room in the model after every prompt.

    Raises:
        ValueError: no model, no prompt, or a prompt that its model cannot read and continue.
    """

    prompts = t.List(t.List(t.Unicode())).tag(sync=True)  # for each model
    prompt = t.Unicode().tag(sync=True)
    limit = t.Int(LONGEST).tag(sync=True)

    def __init__(
        self, models: Given, prompts: Sequence[str] | Mapping[str, Sequence[str]], *, more: int, **kwargs: Any
    ) -> None:
        self._more = more
        lists, first = texts_by_model("prompts", models, prompts, kwargs.get("chosen", 0))
        super().__init__(models, prompts=lists, **{"prompt": first, **kwargs})
        for model, given in zip(self._models, lists, strict=True):
            for text in given:
                self._checked(model, text)

    def _ids(self, prompt: str | None) -> list[int]:
        """What the chosen model reads of a prompt, by default of the present one; a ValueError where it cannot go on."""
        return self._checked(self.running, self.prompt if prompt is None else prompt)

    def _checked(self, model: PageModel, prompt: str) -> list[int]:
        in_range("the number of characters of a prompt", len(prompt), 0, LONGEST)
        found = [*model.start, *model.tokenizer.encode(prompt)]
        in_range(f"the number of tokens of {prompt!r:.60}", len(found), 1, 10**9)
        name = f"the number of tokens of {prompt!r:.60} and the {self._more} after it"
        in_range(name, len(found) + self._more, 1, model.room or 10**9)
        return found

    def _spelt(self, ids: Sequence[int]) -> str:
        """Tokens for a sentence."""
        return self.running.tokenizer.decode(ids).strip()

    @t.validate("prompt")
    def _check_prompt(self, proposal: Any) -> str:
        in_range("the number of characters of prompt", len(proposal["value"]), 0, LONGEST)
        return proposal["value"]
