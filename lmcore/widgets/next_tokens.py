"""Next tokens: language models that compute in the page say what may come next, and where they look while they do."""

from collections.abc import Mapping, Sequence
from typing import Any

import traitlets as t
from torch import nn

from lmcore.tokenizer import Tokenizer
from lmcore.widgets.base import in_range
from lmcore.widgets.page_models import ModelFigure, texts_by_model

LONGEST = 600  # characters of a text


class NextTokens(ModelFigure, module="next_tokens.mjs"):
    r"""Next tokens: what a model expects after a text that the reader types, token by token, and where its heads look.

    The models themselves run in the page, on weights rounded to half precision; a built page loads the chosen one when the
    figure comes into view. The table shows the ``top`` most probable tokens. One that is clicked is appended, as that very
    token: ``taken`` are the tokens appended so. Of a GPT the figure also shows where the last token looks, in every layer and
    head.

    ``text``, ``taken``, ``chosen`` (which model, from 0), ``layer`` (from 0) and ``head`` (from 0; −1 is the mean of a layer's
    heads) can be set and read from Python. ``next()`` gives the table and ``attention()`` the weights.

    Args:
        models: label → (model, tokeniser), see :class:`lmcore.widgets.page_models.PageModel`; at least one.
        texts: texts of at most 600 characters to begin with; a list for all models, or label → list.
        top: so many tokens are shown.

    Raises:
        ValueError: no model or no text, a model or tokeniser that cannot run in a page, a text that its model cannot read, or
            a choice that is not there.
    """

    texts = t.List(t.List(t.Unicode())).tag(sync=True)  # for each model
    top = t.Int().tag(sync=True)
    limit = t.Int(LONGEST).tag(sync=True)

    text = t.Unicode().tag(sync=True)
    taken = t.List(t.Int()).tag(sync=True)
    layer = t.Int(0).tag(sync=True)
    head = t.Int(-1).tag(sync=True)

    def __init__(
        self,
        models: Mapping[str, tuple[nn.Module, Tokenizer | Sequence[str]]],
        texts: Sequence[str] | Mapping[str, Sequence[str]],
        *,
        top: int = 10,
        **kwargs: Any,
    ) -> None:
        in_range("top", top, 1, 50)
        lists, first = texts_by_model("texts", models, texts, kwargs.get("chosen", 0))
        super().__init__(models, texts=lists, top=top, **{"text": first, **kwargs})
        for model, given in zip(self._models, lists, strict=True):
            for text in given:
                in_range("the number of characters of a text", len(text), 0, LONGEST)
                model.ids(text)
        self.observe(self._other_model, "chosen")

    def next(self, text: str | None = None) -> dict[str, float]:
        """What the page shows: the ``top`` tokens, as the vocabulary spells them, the likeliest first, with probabilities.

        Args:
            text: what is read; by default the present text and the tokens that were taken after it.

        Raises:
            ValueError: a text that the chosen model cannot read.
        """
        p = self.running.probabilities(self._ids(text))
        best = p.topk(min(self.top, len(p)))
        words = [self.running.tokenizer.vocabulary[i] for i in best.indices.tolist()]
        return dict(zip(words, best.values.tolist(), strict=True))

    def attention(self, text: str | None = None) -> list[list[list[float]]]:
        """Where the last token looks: ``[layer][head][s]``, the weight on token s, the start included; empty for a recurrent
        model. ``text`` as for :meth:`next`."""
        return [layer.tolist() for layer in self.running.attention(self._ids(text))]

    def _ids(self, text: str | None) -> list[int]:
        return self.running.ids(self.text, self.taken) if text is None else self.running.ids(text)

    def describe(self) -> str:
        """The sentence, with what the first model expects after the text that is shown first."""
        expected = " or ".join(f"“{token}” ({p:.0%})" for token, p in [*self.next().items()][:2])
        *others, last = self.labels
        run = f"Models run in the page: {', '.join(others)} and {last}." if others else f"A model runs in the page: {last}."
        place = f"After “{self.text}”" if self.text else "At the beginning"
        return (
            f"Next tokens. {run} After a text that the reader types it lists the {self.top} most probable next tokens. "
            f"{place} {self.labels[self.chosen]} expects {expected}."
        )

    def _other_model(self, change: Any) -> None:
        """Tokens that were taken are another model's, and it may have fewer layers and heads."""
        self.taken, model = [], self.running
        self.layer, self.head = min(self.layer, max(0, model.layers - 1)), min(self.head, max(0, model.heads - 1))

    @t.validate("text")
    def _check_text(self, proposal: Any) -> str:
        in_range("the number of characters of text", len(proposal["value"]), 0, LONGEST)
        return proposal["value"]

    @t.validate("taken")
    def _check_taken(self, proposal: Any) -> list[int]:
        for i in proposal["value"]:
            in_range("a token that was taken", i, 0, len(self.running.tokenizer) - 1)
        return proposal["value"]

    @t.validate("layer")
    def _check_layer(self, proposal: Any) -> int:
        return in_range("layer", proposal["value"], 0, max(0, self.running.layers - 1))

    @t.validate("head")
    def _check_head(self, proposal: Any) -> int:
        return in_range("head", proposal["value"], -1, max(0, self.running.heads - 1))
