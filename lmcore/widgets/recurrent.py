"""What the figures that run a recurrent language model share: its weights as bytes, and the text that is stepped through."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import traitlets as t

from lmcore import END, MASK, PAD, START, UNK
from lmcore.evaluate import as_tokens
from lmcore.widgets.base import Figure, in_range, packed

CELLS = {1: "rnn", 4: "lstm", 3: "gru"}  # rows of weight_hh for each hidden unit
MOST_WORDS = 60
MOST_NUMBERS = 60_000  # more weights than this travel in half precision


class RecurrentFigure(Figure):
    """A figure whose page runs recurrent language models over a text, token by token, after ``<start>``.

    ``words`` (the text) and ``step`` (0 after ``<start>``, n after word n) can be set and read from Python; the reader can
    choose one of ``texts`` or write another one. Weights travel as float32, or as float16 where all models together have more
    than 60,000; ``half=True`` and ``half=False`` decide it by hand.
    """

    vocabulary = t.List(t.Unicode()).tag(sync=True)
    texts = t.List(t.List(t.Unicode())).tag(sync=True)
    models = t.List(t.Dict()).tag(
        sync=True
    )  # name, cell, hidden, nonlinearity, parts: [name, rows, columns] in the order of weights
    weights = t.Bytes().tag(sync=True)
    half = t.Bool().tag(sync=True)
    start = t.Int().tag(sync=True)
    end = t.Int().tag(sync=True)
    unknown = t.Int(-1).tag(sync=True)  # the number of <unk>, or -1
    never = t.List(t.Int()).tag(sync=True)  # tokens that cannot follow anything
    top = t.Int().tag(sync=True)
    limit = t.Int(MOST_WORDS).tag(sync=True)

    words = t.List(t.Unicode()).tag(sync=True)
    step = t.Int(0).tag(sync=True)

    def __init__(
        self,
        models: Mapping[str, Any],
        vocabulary: Sequence[str],
        texts: Sequence[Any],
        top: int,
        half: bool | None = None,
        **kwargs: Any,
    ) -> None:
        listed = isinstance(vocabulary, Sequence) and not isinstance(vocabulary, str)
        if not listed or not all(isinstance(word, str) for word in vocabulary):
            raise ValueError(f"vocabulary must be a list of words; got {vocabulary!r:.80}")
        known = [*vocabulary]
        number = {token: i for i, token in enumerate(known)}
        if missing := [token for token in (START, END) if token not in number]:
            raise ValueError(f"the vocabulary lacks {' and '.join(missing)}; the figure reads a text from {START} to {END}")
        never = [number[token] for token in (PAD, START, MASK) if token in number]
        if not isinstance(models, Mapping) or not models:
            raise ValueError(f"models must be a dict from name to model, with at least one; got {models!r:.80}")
        specs, arrays = zip(*(_weights(name, model, len(number)) for name, model in models.items()), strict=True)
        numbers = np.concatenate([np.concatenate(parts) for parts in arrays])
        half = numbers.size > MOST_NUMBERS if half is None else half
        if half and np.abs(numbers).max() > np.finfo(np.float16).max:
            raise ValueError(f"a weight is {np.abs(numbers).max():.3g}, too large for half precision; use half=False")
        if isinstance(texts, str) or not isinstance(texts, Sequence) or not texts:
            raise ValueError(f"texts must be a list of at least one text; got {texts!r:.80}. For one text, write [text]")
        told = [as_tokens(getattr(text, "tokens", text)) for text in texts]
        for words in told:
            _check_words(words, set(known) - {PAD, START, MASK, END}, UNK in number)
        shown = kwargs.pop("words", told[0])
        shown = [shown] if isinstance(shown, str) else shown
        if isinstance(shown, Sequence):  # before the step, which must lie inside: traits are validated in no fixed order
            _check_words(shown, set(known) - {END, *never}, UNK in number)
        super().__init__(
            vocabulary=known,
            texts=told,
            models=list(specs),
            weights=packed(numbers, "<f2" if half else "<f4"),
            half=half,
            start=number[START],
            end=number[END],
            unknown=number.get(UNK, -1),
            never=never,
            top=top,
            **{"words": shown, "step": self._opening(shown), **kwargs},
        )

    def _opening(self, words: Sequence[str]) -> int:
        """The step at which the figure opens, where none is given: the last."""
        return len(words) if isinstance(words, Sequence) else 0

    @t.validate("top")
    def _check_top(self, proposal: Any) -> int:
        return in_range("top", proposal["value"], 1, 50)

    @t.validate("words")
    def _check_text(self, proposal: Any) -> list[str]:
        cannot = {self.end, *self.never}
        spellable = {token for i, token in enumerate(self.vocabulary) if i not in cannot}
        return _check_words(proposal["value"], spellable, self.unknown >= 0)

    @t.validate("step")
    def _check_step(self, proposal: Any) -> int:
        return in_range("step", proposal["value"], 0, len(self.words))

    @t.observe("words")
    def _stay_inside(self, change: Any) -> None:
        self.step = min(self.step, len(self.words))


def _check_words(words: Sequence[str], spellable: set[str], unknown: bool) -> list[str]:
    in_range("number of words in a text", len(words), 0, MOST_WORDS)
    strange = [word for word in words if word not in spellable and (not unknown or word in (PAD, START, MASK, END))]
    if strange:
        known = ", ".join(sorted(spellable)[:12])
        raise ValueError(
            f"{strange[0]!r} in a text is not one of the {len(spellable)} words that the model can read: {known}, …"
        )
    return [*words]


def _weights(name: str, model: Any, size: int) -> tuple[dict[str, Any], list[np.ndarray]]:
    """What a model is, for the page, and its numbers in the order of ``parts``. Missing biases are zeros; tied weights go
    once."""
    state = dict(model.state_dict()) if hasattr(model, "state_dict") else {}
    needed = ["embedding.weight", "rnn.weight_ih_l0", "rnn.weight_hh_l0", "output.weight"]
    if missing := [key for key in needed if key not in state]:
        raise ValueError(f"model {name!r} has no {', '.join(missing)}; allowed: an lmcore.recurrent.RecurrentLM")
    if more := [key for key in state if key.startswith("rnn.") and not key.endswith("_l0")]:
        raise ValueError(f"model {name!r} has {more[0]}; the figure shows one layer that reads in one direction")
    arrays = {key: value.detach().cpu().float().numpy() for key, value in state.items()}
    rows, hidden = arrays["rnn.weight_hh_l0"].shape
    if len(arrays["embedding.weight"]) != size:
        given = len(arrays["embedding.weight"])
        raise ValueError(f"model {name!r} knows {given} words, the vocabulary has {size} different ones")
    for bias in ("rnn.bias_ih_l0", "rnn.bias_hh_l0"):
        arrays.setdefault(bias, np.zeros(rows, np.float32))
    arrays.setdefault("output.bias", np.zeros(size, np.float32))
    tied = state["output.weight"].data_ptr() == state["embedding.weight"].data_ptr()
    order = [*needed[: 3 if tied else 4], "rnn.bias_ih_l0", "rnn.bias_hh_l0", "output.bias"]
    if bad := [key for key in order if not np.isfinite(arrays[key]).all()]:
        raise ValueError(f"{bad[0]} of model {name!r} holds numbers that are not finite; train it again")
    spec = {
        "name": name,
        "cell": CELLS[rows // hidden],
        "hidden": hidden,
        "nonlinearity": getattr(model.rnn, "nonlinearity", "tanh"),
        "parts": [[key, len(arrays[key]), arrays[key].shape[1] if arrays[key].ndim == 2 else 1] for key in order],
    }
    return spec, [arrays[key].ravel() for key in order]
