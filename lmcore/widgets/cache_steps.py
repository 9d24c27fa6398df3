"""The cache, step by step: which numbers a model computes anew, and which it still has."""

from collections.abc import Sequence
from typing import Any

import traitlets as t

from lmcore.gpt import GPT
from lmcore.tokenizer import Tokenizer
from lmcore.widgets.base import in_range
from lmcore.widgets.prompts import PromptFigure

LONGEST = 24  # tokens of prompt and text that the figure can draw
TIMED = (8, 16, 32, 64, 128)  # lengths at which the page measures, as far as the model reads so many


class CacheSteps(PromptFigure, module="cache_steps.mjs"):
    r"""The KV cache, step by step: which keys, values and scores are computed anew for the next token, and which are there.

    Two pictures stand side by side, without a cache and with one. Both write the same tokens, greedily, by the model that
    runs in the page. For each step the multiplications are counted: with C the width, F that of the hidden layer, N layers
    and V tokens in the vocabulary, reading t tokens after n others takes

    .. math:: N \Bigl(t\,(4 C^2 + 2 C F) + 2 C \sum_{i=1}^{t} (n + i)\Bigr) + C V,

    where the sum counts the scores, each multiplied once by a key and once by a value, and the logits are those of the last
    position. Without a cache n = 0 and t grows; with one t = 1. (Norms, softmax and activation are left out.) The page can
    also measure the time of both.

    ``prompt`` and ``step`` (0 reads the prompt) can be set and read from Python; ``multiplications()`` gives the counts.

    Args:
        model: a :class:`lmcore.gpt.GPT` that can run in a page, with one key and value for every head.
        tokenizer: its tokeniser, or a list of words.
        prompts: texts to go on from.
        steps: how many tokens to write; with the prompt at most 24 in all.

    Raises:
        ValueError: another model, or a prompt that is too long.
    """

    steps = t.Int().tag(sync=True)
    sizes = t.Dict().tag(sync=True)
    timed = t.List(t.Int()).tag(sync=True)

    step = t.Int(0).tag(sync=True)

    def __init__(
        self, model: GPT, tokenizer: Tokenizer | Sequence[str], prompts: Sequence[str], *, steps: int = 8, **kwargs: Any
    ) -> None:
        if not isinstance(model, GPT):
            raise ValueError(f"model must be a GPT, whose cache can be counted; got a {type(model).__name__}")
        config = model.config
        if config.activation == "swiglu" or config.key_heads * config.head_width != config.dim:
            raise ValueError(
                f"model has activation={config.activation!r} and keys {config.key_heads * config.head_width} wide; the figure "
                f"counts for a GPT without gates, whose keys are as wide as the model, {config.dim}"
            )
        in_range("steps", steps, 1, LONGEST - 1)
        how = {"dim": config.dim, "hidden": config.width, "layers": config.layers, "vocabulary": config.vocab_size}
        timed = [n for n in TIMED if n <= config.max_length]
        super().__init__({"the model": (model, tokenizer)}, prompts, more=steps, steps=steps, sizes=how, timed=timed, **kwargs)
        for text in self.prompts[0]:
            in_range(f"the number of tokens of {text!r:.60} and the {steps} after it", len(self._ids(text)) + steps, 1, LONGEST)

    def multiplications(self, prompt: str | None = None) -> list[tuple[int, int]]:
        """For every step from 0 on the multiplications without and with a cache, after a prompt, by default the present one."""
        first = len(self._ids(prompt))
        return [
            (self._count(0, first + n), self._count(0, first) if n == 0 else self._count(first + n - 1, 1))
            for n in range(self.steps + 1)
        ]

    def _count(self, before: int, new: int) -> int:
        """The multiplications of reading so many tokens after so many others."""
        C, F, N, V = (self.sizes[name] for name in ("dim", "hidden", "layers", "vocabulary"))
        scores = sum(before + i for i in range(1, new + 1))
        return N * (new * (4 * C * C + 2 * C * F) + 2 * C * scores) + C * V

    def describe(self) -> str:
        """The sentence, with what the cache saves for the first prompt."""
        without, with_ = (sum(column) for column in zip(*self.multiplications(), strict=True))
        return (
            f"The cache, step by step. Without one, every new token makes the model read the whole text again; with one, it "
            f"computes keys, values and scores of the new token only and finds the others in the cache. For {self.steps} "
            f"tokens after “{self.prompt}” that is {without / 1e6:,.1f} million multiplications without and "
            f"{with_ / 1e6:,.1f} million with."
        )

    @t.validate("step")
    def _check_step(self, proposal: Any) -> int:
        return in_range("step", proposal["value"], 0, self.steps or LONGEST)
