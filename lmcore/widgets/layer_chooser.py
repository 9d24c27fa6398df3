"""The layer chooser: which layers of an encoder make good features for finding names, and the tags each choice predicts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import traitlets as t

from lmcore.evaluate import Text, as_texts, as_tokens, shown, span_f1
from lmcore.widgets.base import Figure, in_range, one_of, packed
from lmcore.widgets.weights import as_words

HOW = ("one layer", "concatenation", "weighted sum")
LONGEST, SENTENCES = 60, 12  # words of a sentence, sentences on the page
DEEPEST, CHOICES, TAGS = 24, 120, 250


@dataclass(frozen=True)
class LayerChoice:
    """One way to make features from an encoder's layers, and what a tagger on top of them said.

    Attributes:
        name: what the figure calls it, such as ``"last layer"``.
        layers: which layers, ascending: 0 is the embeddings, 1 the first layer, and so on.
        how: ``"one layer"``, ``"concatenation"`` or ``"weighted sum"``; the first if and only if there is one layer.
        tags: the predicted IOB tags of every sentence that F1 is measured on.
    """

    name: str
    layers: Sequence[int]
    how: str
    tags: Sequence[Sequence[str]]


def table_7(depth: int) -> dict[str, tuple[tuple[int, ...], str]]:
    """The six choices of Table 7 of Devlin et al. (2019) for an encoder of ``depth`` layers: name → (layers, how).

    Layer 0 is the embeddings. What there is not, or what is another choice again, is left out: the last four of fewer
    layers, the weighted sum of the last four of exactly four (it is the sum of all), and with one layer all but two choices.

    Raises:
        ValueError: a depth below 1 or above 24.
    """
    in_range("depth", depth, 1, DEEPEST)
    every, four = tuple(range(1, depth + 1)), tuple(range(depth - 3, depth + 1))
    found: dict[str, tuple[tuple[int, ...], str]] = {"embeddings": ((0,), "one layer"), "last layer": ((depth,), "one layer")}
    if depth > 1:
        found["second-to-last layer"] = ((depth - 1,), "one layer")
        found["weighted sum of all layers"] = (every, "weighted sum")
    if depth > 4:
        found["weighted sum of the last four"] = (four, "weighted sum")
    if depth >= 4:
        found["concatenation of the last four"] = (four, "concatenation")
    return found


class LayerChooser(Figure, module="layer_chooser.mjs"):
    r"""Layer chooser: choose layers and how they are combined; see the entity tags found in sentences, and every choice's F1.

    A reader ticks the embeddings and layers, and says whether they are concatenated or summed with weights; the six choices
    of Table 7 of Devlin et al. (2019) are buttons. Every sentence shows the true and the predicted spans word by word, each
    right, wrong or missed. A chart compares the span F1 of all choices. Only the combinations in ``choices`` can be chosen;
    the figure says which these are.

    F1 is :func:`lmcore.evaluate.span_f1`, over all sentences for the chart, and over each shown sentence and all shown ones.

    ``choice`` (its place in the list) can be set and read from Python.

    Args:
        sentences: the words of every sentence that F1 is measured on.
        gold: their true IOB tags.
        choices: what was computed, as :class:`LayerChoice`; at most 120.
        depth: how many layers the encoder has; by default the highest that a choice names.
        shown: the places of at most 12 sentences of at most 60 words that the page shows; by default the first six.

    Raises:
        ValueError: nothing to show, numbers of sentences, words and tags that differ, a tag that is none, a choice given
            twice, layers that are not there, more than the page can hold, or a choice that is not there.

    Source: Devlin, Chang, Lee & Toutanova 2019, section 5.3 and Table 7.
    """

    sentences = t.List(t.List(t.Unicode())).tag(sync=True)  # those that are shown
    places = t.List(t.Int()).tag(sync=True)  # which of all sentences these are
    measured = t.Int().tag(sync=True)  # how many sentences F1 is measured on
    spans = t.Int().tag(sync=True)  # how many true spans these have
    depth = t.Int().tag(sync=True)
    names = t.List(t.Unicode()).tag(sync=True)
    layers = t.List(t.List(t.Int())).tag(sync=True)
    how = t.List(t.Unicode()).tag(sync=True)
    scores = t.List(t.List(t.Float())).tag(sync=True)  # precision, recall and F1 of every choice over all sentences
    tags = t.List(t.Unicode()).tag(sync=True)  # the tags that occur
    gold = t.Bytes().tag(sync=True)  # uint8, a place in tags for every word of one shown sentence after the other
    predicted = t.Bytes().tag(sync=True)  # the same for one choice after the other

    choice = t.Int(0).tag(sync=True)

    def __init__(
        self,
        sentences: Sequence[Text],
        gold: Sequence[Sequence[str]],
        choices: Iterable[LayerChoice],
        *,
        depth: int | None = None,
        shown: Sequence[int] | None = None,
        **kwargs: Any,
    ) -> None:
        words = [as_tokens(sentence) for sentence in as_texts(sentences)]
        truth = _tags_of("gold", gold, words)
        found = _checked(choices, words, depth)
        deepest = max(max(choice.layers) for choice in found)
        on_page = _places(shown, words)
        in_range("choice", kwargs.get("choice", 0), 0, len(found) - 1)
        guesses = [_tags_of(f"the tags of the choice {choice.name!r}", choice.tags, words) for choice in found]
        measures = [span_f1(truth, guess) for guess in guesses]
        names = sorted({tag for part in (truth, *guesses) for i in on_page for tag in part[i]}, key=lambda tag: (tag[2:], tag))
        in_range("the number of different tags", len(names), 1, TAGS)
        number = {tag: i for i, tag in enumerate(names)}

        def codes(part: list[list[str]]) -> list[int]:
            return [number[tag] for i in on_page for tag in part[i]]

        super().__init__(
            sentences=[words[i] for i in on_page],
            places=on_page,
            measured=len(words),
            spans=measures[0].spans,
            depth=deepest if depth is None else depth,
            names=[choice.name for choice in found],
            layers=[list(choice.layers) for choice in found],
            how=[choice.how for choice in found],
            scores=[[m.precision, m.recall, m.f1] for m in measures],
            tags=names,
            gold=packed(codes(truth), "u1"),
            predicted=packed([codes(guess) for guess in guesses], "u1"),
            **kwargs,
        )

    @property
    def f1(self) -> dict[str, float]:
        """Span F1 over all sentences, of every choice by name."""
        return {name: score[2] for name, score in zip(self.names, self.scores, strict=True)}

    def page_tags(self, choice: int | None = None) -> list[list[str]]:
        """The tags of the shown sentences as the page has them: predicted by a choice, or the true ones for ``None``."""
        length = len(self.gold)
        if choice is None:
            flat = np.frombuffer(self.gold, "u1")
        else:
            in_range("choice", choice, 0, len(self.names) - 1)
            flat = np.frombuffer(self.predicted, "u1")[choice * length : (choice + 1) * length]
        ends = np.cumsum([len(sentence) for sentence in self.sentences])[:-1]
        return [[self.tags[code] for code in part] for part in np.split(flat, ends)]

    def describe(self) -> str:
        best = max(range(len(self.names)), key=lambda i: self.scores[i][2])
        return (
            f"Layer chooser. For {len(self.names)} choices of features from the embeddings and {self.depth} layers it shows "
            f"the entity tags predicted in {len(self.sentences)} sentences beside the true ones, and the span F1 of every "
            f"choice over {self.measured} sentences. The best is “{self.names[best]}” with F1 {self.scores[best][2]:.3f}."
        )

    @t.validate("choice")
    def _check_choice(self, proposal: Any) -> int:
        return in_range("choice", proposal["value"], 0, len(self.names) - 1)


def _tags_of(name: str, tags: Any, sentences: list[list[str]]) -> list[list[str]]:
    """Tags with a list for every sentence and a tag for every word."""
    found = [as_tokens(part) for part in as_texts(tags)]
    if len(found) != len(sentences):
        raise ValueError(f"{name} has {len(found)} sentences, but {len(sentences)} were given; every sentence needs its tags")
    for number, (part, words) in enumerate(zip(found, sentences, strict=True)):
        if len(part) != len(words):
            raise ValueError(f"{name} has {len(part)} tags for sentence {number}, which has {len(words)} words")
    return found


def _checked(choices: Any, sentences: list[list[str]], depth: int | None) -> list[LayerChoice]:
    """The choices, each once and each with layers that are there."""
    if depth is not None:
        in_range("depth", depth, 1, DEEPEST)
    found = list(choices) if isinstance(choices, Iterable) else [choices]
    for choice in found:
        if not isinstance(choice, LayerChoice):
            raise ValueError(f"choices must be LayerChoice(name, layers, how, tags); got {shown(choice)}")
    in_range("the number of choices", len(found), 1, CHOICES)
    seen: dict[tuple[tuple[int, ...], str], str] = {}
    for choice in found:
        one_of(f"how of the choice {choice.name!r}", choice.how, HOW)
        layers = tuple(choice.layers)
        most = DEEPEST if depth is None else depth
        if not layers or any(not isinstance(n, int | np.integer) or not 0 <= n <= most for n in layers):
            raise ValueError(f"the choice {choice.name!r} has the layers {layers}; allowed: 0 (the embeddings) to {most}")
        if list(layers) != sorted(set(layers)):
            raise ValueError(f"the choice {choice.name!r} has the layers {layers}; allowed: each once, ascending")
        if (len(layers) == 1) != (choice.how == HOW[0]):
            raise ValueError(
                f"the choice {choice.name!r} has {len(layers)} layers and how={choice.how!r}; {HOW[0]!r} is for exactly one"
            )
        if (layers, choice.how) in seen:
            raise ValueError(f"{choice.name!r} and {seen[layers, choice.how]!r} are the same choice: {layers}, {choice.how}")
        if choice.name in seen.values():
            raise ValueError(f"two choices have the name {choice.name!r}; every choice needs its own")
        seen[layers, choice.how] = choice.name
    return [LayerChoice(choice.name, tuple(map(int, choice.layers)), choice.how, choice.tags) for choice in found]


def _places(chosen: Sequence[int] | None, sentences: list[list[str]]) -> list[int]:
    """Which sentences the page shows."""
    places = list(range(min(6, len(sentences)))) if chosen is None else [int(i) for i in chosen]
    in_range("the number of shown sentences", len(places), 1, min(SENTENCES, len(sentences)))
    for i in places:
        in_range("a place in shown", i, 0, len(sentences) - 1)
        as_words(f"sentence {i}", sentences[i], LONGEST)
    return places
