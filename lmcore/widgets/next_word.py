"""The next-word explorer: a model's next-word distribution beside the truth's, at every place of a story."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import traitlets as t

from lmcore import END
from lmcore.evaluate import Text, as_tokens, kl
from lmcore.widgets.base import Figure, in_range, one_of, packed

Distribution = Callable[[list[str]], dict[str, float]]
NO_WORD = 0xFFFF  # fills a row of the table that has no word


class NextWord(Figure, module="next_word.mjs"):
    r"""Next-word explorer: at every position of every story, each model against the truth.

    For story :math:`w_1 … w_T` and position :math:`t` (0 … T; the last asks for the end of the text) the figure shows
    :math:`p(w \mid w_1 … w_t)` of the model beside the truth's :math:`q`, the surprise :math:`-\log_2 p` of the word that
    came, and :math:`KL(q‖p) = \sum_w q(w) \log_2 (q(w)/p(w))` in bits. Everything is computed here, once, with the
    functions given; the page only looks up.

    ``story``, ``position`` and ``model`` (a name) can be set and read from Python: the figure follows, and the reader's choice
    comes back. The figure opens with the first model, at the place where that is furthest from the truth.

    Args:
        stories: lists of words, strings that are split at white space, or stories of ``lmcore.world``; no end marker.
        models: name → a model with ``next_distribution``, or a function from a list of words to {word: probability}.
        truth: the same, for the exact distribution.
        top: so many words are shown (those with the largest probability under either), and always the word that came.
        sees: name → number of words the model looks back at; by default ``order - 1`` of a model that has an ``order``, else
            all.

    Raises:
        ValueError: no story or an empty one, no model, probabilities that do not sum to 1, or a choice that is not there.
    """

    stories = t.List(t.List(t.Unicode()), read_only=False).tag(sync=True)
    models = t.List(t.Unicode()).tag(sync=True)
    sees = t.List(t.Int()).tag(sync=True)
    words = t.List(t.Unicode()).tag(sync=True)
    rows = t.Int().tag(sync=True)
    end = t.Unicode(END).tag(sync=True)
    # P positions over all stories, N = models × P grid points, R rows a table
    row_word = t.Bytes().tag(sync=True)  # uint16, N × R
    row_model = t.Bytes().tag(sync=True)  # float32, N × R
    row_truth = t.Bytes().tag(sync=True)  # float32, N × R
    came_model = t.Bytes().tag(sync=True)  # float32, N: p of the word that came
    came_truth = t.Bytes().tag(sync=True)  # float32, P
    divergence = t.Bytes().tag(sync=True)  # float32, N: KL(truth‖model), bits

    story = t.Int(0).tag(sync=True)
    position = t.Int(0).tag(sync=True)
    model = t.Unicode().tag(sync=True)

    def __init__(
        self,
        stories: Sequence[Any],
        models: Mapping[str, Any],
        truth: Any,
        top: int = 10,
        sees: Mapping[str, int] | None = None,
        **kwargs: Any,
    ) -> None:
        told = [as_tokens(getattr(story, "tokens", story)) for story in stories]
        if not told or not all(told):
            raise ValueError(f"stories has {len(told)} texts of lengths {[*map(len, told)]}; allowed: at least one, none empty")
        if not models:
            raise ValueError("models is empty; give at least one, as {name: model or function}")
        in_range("top", top, 1, 50)
        names = list(models)
        context = [(sees or {}).get(name, getattr(model, "order", 0) - 1) for name, model in models.items()]
        grid = _grid(told, {name: _callable(name, model) for name, model in models.items()}, _callable("truth", truth), top)
        chosen = {"story": 0, "model": names[0], **kwargs}
        one_of("model", chosen["model"], names)
        in_range("story", chosen["story"], 0, len(told) - 1)
        if "position" not in chosen:  # a place worth looking at: where the model is furthest from the truth
            gaps = np.frombuffer(grid["divergence"], "<f4").reshape(len(names), -1)[names.index(chosen["model"])]
            start = sum(len(story) + 1 for story in told[: chosen["story"]])
            here = gaps[start : start + len(told[chosen["story"]]) + 1]
            chosen["position"] = int(np.where(np.isfinite(here), here, -1).argmax())
        in_range("position", chosen["position"], 0, len(told[chosen["story"]]))
        super().__init__(stories=told, models=names, sees=context, rows=top + 1, **grid, **chosen)

    def describe(self) -> str:
        return (
            f"Next-word explorer. For each position of {len(self.stories)} short stories it shows, as paired bars, how likely "
            f"a model ({', '.join(self.models)}) and the true distribution find each next word, how surprised both are by the "
            f"word that came, and how far the model is from the truth."
        )

    @t.validate("model")
    def _check_model(self, proposal: Any) -> str:
        return one_of("model", proposal["value"], self.models)

    @t.validate("story")
    def _check_story(self, proposal: Any) -> int:
        return in_range("story", proposal["value"], 0, len(self.stories) - 1)

    @t.validate("position")
    def _check_position(self, proposal: Any) -> int:
        return in_range("position", proposal["value"], 0, len(self.stories[self.story]))

    @t.observe("story")
    def _stay_inside(self, change: Any) -> None:
        self.position = min(self.position, len(self.stories[self.story]))


def _callable(name: str, model: Any) -> Distribution:
    """The function prefix → distribution of a model; what it gives is checked to be a distribution."""
    function = getattr(model, "next_distribution", model)
    if not callable(function):
        raise ValueError(f"{name!r} is {model!r}; allowed: an object with next_distribution, or a function of a list of words")

    def checked(prefix: list[str]) -> dict[str, float]:
        found = function(prefix)
        total = sum(found.values())
        if not abs(total - 1) < 1e-6:
            raise ValueError(f"after {' '.join(prefix)!r} the probabilities of {name!r} sum to {total:.6g}; they must sum to 1")
        return found

    return checked


class _Read:
    """A model that has read one story: its distributions at every position, asked for once; a language model itself."""

    def __init__(self, model: Distribution, story: list[str]) -> None:
        self.distributions = [model(story[:i]) for i in range(len(story) + 1)]

    def next_distribution(self, prefix: Text) -> dict[str, float]:
        return self.distributions[len(as_tokens(prefix))]

    def log_probs(self, tokens: Text) -> np.ndarray:
        chances = [d.get(word, 0.0) for d, word in zip(self.distributions, [*as_tokens(tokens), END], strict=True)]
        with np.errstate(divide="ignore"):
            return np.log(chances)


def shown_words(truth: Mapping[str, float], model: Mapping[str, float], came: str, top: int) -> list[str]:
    """The words of one table: the ``top`` largest under either, and the one that came; the truth's order, then the model's."""
    union = {*truth, *model}
    largest = sorted(union, key=lambda w: (-max(truth.get(w, 0), model.get(w, 0)), w))[:top]
    kept = {w for w in largest if truth.get(w, 0) > 0 or model.get(w, 0) > 0} | {came}
    return sorted(kept, key=lambda w: (-truth.get(w, 0), -model.get(w, 0), w))


def _grid(stories: list[list[str]], models: Mapping[str, Distribution], truth: Distribution, top: int) -> dict[str, Any]:
    shape = (len(models), sum(len(story) + 1 for story in stories))
    index: dict[str, int] = {}
    word = np.full((*shape, top + 1), NO_WORD, dtype="<u2")
    p_rows, q_rows = np.zeros((2, *word.shape), dtype="<f4")
    p_came, gap = np.zeros((2, *shape), dtype="<f4")
    q_came = np.zeros(shape[1], dtype="<f4")
    place = 0
    for story in stories:
        here = slice(place, place + len(story) + 1)
        right = _Read(truth, story)
        q_came[here] = np.exp(right.log_probs(story))
        for m, model in enumerate(models.values()):
            read = _Read(model, story)
            p_came[m, here] = np.exp(read.log_probs(story))
            gap[m, here] = np.maximum(kl(right, read, story), 0) / math.log(2)
            for i, came in enumerate([*story, END]):
                q, p = right.distributions[i], read.distributions[i]
                for r, w in enumerate(shown_words(q, p, came, top)):
                    word[m, place + i, r] = index.setdefault(w, len(index))
                    p_rows[m, place + i, r], q_rows[m, place + i, r] = p.get(w, 0.0), q.get(w, 0.0)
        place += len(story) + 1
    if len(index) >= NO_WORD:
        raise ValueError(f"the tables show {len(index)} different words; at most {NO_WORD - 1} fit. Give fewer stories")
    return {
        "words": list(index),
        "row_word": packed(word, "<u2"),
        "row_model": packed(p_rows, "<f4"),
        "row_truth": packed(q_rows, "<f4"),
        "came_model": packed(p_came, "<f4"),
        "came_truth": packed(q_came, "<f4"),
        "divergence": packed(gap, "<f4"),
    }
