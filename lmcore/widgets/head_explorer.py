"""The head explorer: what every head of every layer of a Transformer looks at, in a few texts."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import traitlets as t

from lmcore.evaluate import Text, as_texts, shown
from lmcore.widgets.base import Figure, in_range, packed
from lmcore.widgets.weights import as_weights, as_words

LONGEST = 48  # tokens of a text
MOST = 250_000  # weights in all: half a megabyte of page before compression
LEVELS = 65_535  # a weight is kept as a whole number of so many parts


class HeadExplorer(Figure, module="head_explorer.mjs"):
    r"""Head explorer: the attention weights of every layer and head over a text, head by head and word by word.

    Small pictures of all heads stand in a grid, a row per layer. The chosen head, or the mean over the heads of the chosen
    layer, is shown as lines from every word to the words it looks at and as a matrix. The figure measures how much weight a
    head puts on the previous word, the next one, the word itself and the first one, and finds the head that does each most.

    Weights are kept in steps of 1/65,535.

    ``text``, ``layer``, ``head`` (0 is the first, −1 the mean of all) and ``word`` can be set and read from Python.

    Args:
        texts: texts of at most 48 tokens, strings or lists.
        attentions: for every text the weights, layers × heads × T × T, rows (the words that look) summing to 1; layers and
            heads the same for all texts. One tensor per layer, as Hugging Face gives them, must be stacked first.

    Raises:
        ValueError: no text, one of another length, numbers of texts and attentions that differ, shapes that do not fit, numbers
            that are no weights, more than 250,000 of them, or a choice that is not there.
    """

    texts = t.List(t.List(t.Unicode())).tag(sync=True)
    layers = t.Int().tag(sync=True)
    heads = t.Int().tag(sync=True)
    weights = t.Bytes().tag(sync=True)  # uint16, one text after the other, each layers × heads × T × T
    levels = t.Int(LEVELS).tag(sync=True)

    text = t.Int(0).tag(sync=True)
    layer = t.Int(0).tag(sync=True)
    head = t.Int(0).tag(sync=True)
    word = t.Int(0).tag(sync=True)

    def __init__(self, texts: Sequence[Text], attentions: Sequence[Any], **kwargs: Any) -> None:
        words = [as_words(f"text {number}", text, LONGEST) for number, text in enumerate(as_texts(texts))]
        if not hasattr(attentions, "__len__") or len(attentions) != len(words):
            given = len(attentions) if hasattr(attentions, "__len__") else shown(attentions)
            raise ValueError(f"{len(words)} texts, but attentions of {given}; every text needs its own, [layers heads T T]")
        found: list[np.ndarray] = []
        for number, (text, given) in enumerate(zip(words, attentions, strict=True)):
            shape = (*(found[0].shape[:2] if found else (None, None)), len(text), len(text))
            found.append(as_weights(f"the attention of text {number}", given, shape))
        in_range("the number of weights", sum(part.size for part in found), 1, MOST)
        layers, heads = found[0].shape[:2]
        chosen = {"text": 0, "layer": 0, "head": 0, **kwargs}
        in_range("text", chosen["text"], 0, len(words) - 1)
        chosen.setdefault("word", len(words[chosen["text"]]) // 2)
        for name, low, high in (("layer", 0, layers - 1), ("head", -1, heads - 1), ("word", 0, len(words[chosen["text"]]) - 1)):
            in_range(name, chosen[name], low, high)
        whole = np.concatenate([part.ravel() for part in found])
        super().__init__(
            texts=words, layers=layers, heads=heads, weights=packed(np.rint(whole.clip(0, 1) * LEVELS), "<u2"), **chosen
        )

    def attention(self) -> np.ndarray:
        """The weights of the chosen text, layers × heads × T × T, as the page has them."""
        sizes = [self.layers * self.heads * len(text) ** 2 for text in self.texts]
        start, length = sum(sizes[: self.text]), len(self.texts[self.text])
        part = np.frombuffer(self.weights, "<u2")[start : start + sizes[self.text]]
        return part.reshape(self.layers, self.heads, length, length) / LEVELS

    def describe(self) -> str:
        return (
            f"Head explorer. For {len(self.texts)} texts, the first being “{' '.join(self.texts[0])}”, it shows the attention "
            f"weights of {self.layers} layers with {self.heads} heads each: all heads as small pictures, and the chosen one as "
            f"lines from each word to the words it looks at and as a matrix."
        )

    @t.validate("text")
    def _check_text(self, proposal: Any) -> int:
        return in_range("text", proposal["value"], 0, len(self.texts) - 1)

    @t.validate("layer")
    def _check_layer(self, proposal: Any) -> int:
        return in_range("layer", proposal["value"], 0, self.layers - 1)

    @t.validate("head")
    def _check_head(self, proposal: Any) -> int:
        return in_range("head", proposal["value"], -1, self.heads - 1)

    @t.validate("word")
    def _check_word(self, proposal: Any) -> int:
        return in_range("word", proposal["value"], 0, len(self.texts[self.text]) - 1)

    @t.observe("text")
    def _stay_inside(self, change: Any) -> None:
        self.word = min(self.word, len(self.texts[self.text]) - 1)
