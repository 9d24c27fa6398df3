"""Fill in the blank: a BERT that computes in the page says which words it expects where one is left out."""

import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch
import traitlets as t

from lmcore.bert import BertMaskedLM, inputs
from lmcore.widgets.base import Figure, in_range
from lmcore.widgets.model_file import fitting, pack, rounded
from lmcore.wordpiece import WordPiece

MASK = "[MASK]"
BLANK = re.compile(r"_+|\[mask\]", re.IGNORECASE)  # the same in fill_blank.mjs
LONGEST = 600  # characters of a text


class FillBlank(Figure, module="fill_blank.mjs"):
    r"""Fill in the blank: for every blank of a text, the words that a BERT finds most likely there, with their probabilities.

    The reader chooses one of ``texts`` or writes another; ``___`` and ``[MASK]`` stand for a missing word. The model itself
    runs in the page, on weights rounded to half precision (:func:`lmcore.widgets.model_file.rounded`); a built page loads them
    when the figure comes into view. Words that are not in the vocabulary are marked, with the pieces that stand for them.

    ``text`` can be set and read from Python.

    Args:
        model: the masked language model; it is not changed.
        tokenizer: its tokeniser, with BERT's special tokens.
        texts: texts of at most 600 characters, each with a blank.
        top: so many words are shown for every blank.

    Raises:
        ValueError: a model that is no masked language model or too large for a page, a tokeniser with another vocabulary, or
            a text that is too long or has no blank.
    """

    vocabulary = t.List(t.Unicode()).tag(sync=True)
    special = t.List(t.Unicode()).tag(sync=True)
    lower = t.Bool().tag(sync=True)
    longest = t.Int().tag(sync=True)  # characters of a word that is cut into pieces
    room = t.Int().tag(sync=True)  # tokens that the model reads
    weights = t.Bytes().tag(sync=True)  # as model_file packs them
    lazy = t.List(t.Unicode(), ["weights"]).tag(sync=True)  # what the host of a built page loads only when it is asked
    texts = t.List(t.Unicode()).tag(sync=True)
    top = t.Int().tag(sync=True)
    limit = t.Int(LONGEST).tag(sync=True)

    text = t.Unicode().tag(sync=True)

    def __init__(self, model: BertMaskedLM, tokenizer: WordPiece, texts: Sequence[str], *, top: int = 8, **kwargs: Any) -> None:
        if not isinstance(model, BertMaskedLM):
            raise ValueError(f"model must be a BertPretraining or another BertMaskedLM; got a {type(model).__name__}")
        if not isinstance(tokenizer, WordPiece):
            raise ValueError(f"tokenizer must be a WordPiece tokeniser; got a {type(tokenizer).__name__}")
        if MASK not in tokenizer.special:
            raise ValueError(f"{MASK} is not among the tokeniser's special tokens; a blank is read as {MASK}")
        sizes = model.bert.config
        if len(tokenizer) != sizes.vocab_size:
            raise ValueError(
                f"the tokeniser has {len(tokenizer)} tokens and the model {sizes.vocab_size}; give the model's own"
            )
        in_range("top", top, 1, min(50, sizes.vocab_size))
        if isinstance(texts, str) or not isinstance(texts, Sequence) or not len(texts):
            raise ValueError(f"texts must be a list of at least one text; got {texts!r:.80}. For one text, write [text]")
        self._net, self._tokenizer = rounded(model).cpu().float().eval(), tokenizer
        for given in texts:
            self._ids(given)
        packed = fitting(pack(model, asdict(sizes), without=("bert.pooler.", "nsp.")))
        super().__init__(
            vocabulary=list(tokenizer.vocabulary),
            special=list(tokenizer.special),
            lower=tokenizer.lower,
            longest=tokenizer.longest,
            room=sizes.max_length,
            weights=packed,
            texts=list(texts),
            top=top,
            **{"text": texts[0], **kwargs},
        )

    def fill(self, text: str | None = None) -> list[dict[str, float]]:
        """What the page shows for a text, by default the present one: for every blank, the ``top`` words, likeliest first.

        Raises:
            ValueError: something else than a text with a blank, or more than the model reads.
        """
        ids = self._ids(self.text if text is None else text)
        with torch.no_grad():
            scores = self._net.words(self._net.bert(ids), ids == self._tokenizer.number[MASK])
        best = scores.softmax(-1).topk(self.top)
        words = [[self.vocabulary[i] for i in row] for row in best.indices.tolist()]
        return [dict(zip(row, shares, strict=True)) for row, shares in zip(words, best.values.tolist(), strict=True)]

    def _ids(self, text: str) -> torch.Tensor:
        """The text as the model reads it, [CLS] and [SEP] around it, blanks as [MASK]: (1, T)."""
        if not isinstance(text, str) or not BLANK.search(text):
            raise ValueError(f"{text!r:.80} is no text with a blank; write ___ or {MASK} where a word is missing")
        in_range("the number of characters of a text", len(text), 1, LONGEST)
        ids = inputs(self._tokenizer, [BLANK.sub(f" {MASK} ", text)]).ids
        in_range("the number of tokens of a text, special ones included,", ids.shape[1], 1, self._net.bert.config.max_length)
        return ids

    def describe(self) -> str:
        """The sentence, with what the model expects in the text that is shown first."""
        found = [" or ".join(f"“{word}” ({p:.0%})" for word, p in [*blank.items()][:2]) for blank in self.fill(self.texts[0])]
        answer = found[0] if len(found) == 1 else "; ".join(f"blank {n}: {words}" for n, words in enumerate(found, 1))
        sizes = self._net.bert.config
        return (
            f"Fill in the blank. A BERT of {sizes.layers} layers, {sizes.dim} numbers wide, runs in the page. For every blank "
            f"of a text it gives the {self.top} words it finds most likely there. In “{self.texts[0]}” it expects {answer}."
        )

    @t.validate("text")
    def _check_text(self, proposal: Any) -> str:
        in_range("the number of characters of text", len(proposal["value"]), 0, LONGEST)
        return proposal["value"]
