"""The figures that the tests of this folder open, on data small enough to look at every point of."""

import functools
import itertools
import re

import numpy as np
import torch
from playwright.sync_api import Page

from lmcore import END, MASK, PAD, START
from lmcore.analogies import WordVectors
from lmcore.ngram import NGram
from lmcore.recurrent import RecurrentLM
from lmcore.rnn import RNN
from lmcore.widgets import EmbeddingMap, Figure, GateExplorer, MergeStepper, NextWord, UnrolledNetwork
from lmcore.world import World

# Every walk of a test changes a native control as a reader does, and waits until the figure has drawn.
CHANGE = """const change = async (input, kind) => {
  input.dispatchEvent(new Event(kind, {bubbles: true}));
  await Promise.resolve();
};"""

# What stands out of its figure to the right, and what is too small for a finger.
WIDE = """[...document.querySelectorAll('.lmw *')].filter((e) => !e.closest('svg *, .lmw-hidden'))
    .filter((e) => !e.parentElement.closest('.lmw-scroller, .lmw-matrix-box, .lmw-operand, .lmw-result'))
    .filter((e) => e.getBoundingClientRect().right > e.closest('.lmw').getBoundingClientRect().right + 1)
    .map((e) => e.outerHTML.slice(0, 99))"""
SMALL = """[...document.querySelectorAll('.lmw :is(button, select, input, summary)')]
    .map((e) => [e, (e.closest('label') ?? e).getBoundingClientRect()])
    .filter(([e, r]) => r.width && (r.height < 24 || r.width < 24)).map(([e]) => e.outerHTML.slice(0, 99))"""


def without_names(html: str) -> str:
    """The inside of a figure without what tells two figures of one kind apart on purpose: ids, and the number in the name."""
    return re.sub(r"<span[^>]*>, figure \d+ of this kind</span>", "", re.sub(r"lmw-(\w+)-\d+", r"lmw-\1", html))


@functools.cache
def next_word() -> tuple[NextWord, dict[str, NGram], World]:
    world = World.tiny()
    texts = [story.tokens for story in world.sample(300, seed=11)]
    models = {f"{n}-gram": NGram(n, smoothing="add-k").fit(texts) for n in (1, 2, 3)}
    models["counts"] = NGram(2, smoothing="none", vocabulary=world.vocabulary).fit(texts[:4])
    stories = [s for s in dict.fromkeys(tuple(s.tokens) for s in world.sample(30, seed=12))][:3]
    return NextWord(stories, models, world, top=4), models, world


GROUPS = {"capitals": ["Paris", "Rome", "Oslo"], "countries": ["France", "Italy", "Norway"], "quotes": ['"', "don't", "né"]}


@functools.cache
def embedding_map() -> tuple[EmbeddingMap, WordVectors]:
    rng = np.random.default_rng(7)
    words = [*itertools.chain(*GROUPS.values()), *(f"word{i}" for i in range(34))]
    vectors = rng.normal(size=(len(words), 11))
    shift = 3 * rng.normal(size=11)
    for a, b in zip(*list(GROUPS.values())[:2], strict=True):
        vectors[words.index(a)] += shift
        vectors[words.index(b)] = vectors[words.index(a)] - 2 * shift + 0.1 * rng.normal(size=11)
    widget = EmbeddingMap(words, vectors, groups=GROUPS, k=6)
    return widget, WordVectors(words, np.frombuffer(widget.vectors, "<f4").reshape(vectors.shape))


# Words that look like markup, that hold an apostrophe, that differ in one letter; special tokens at odd places.
VOCABULARY = [
    *("she", PAD, "likes", "licks", START, "tea", ".", "don't", "naïve", "<b>", END, '"', "o'clock", "She", MASK, ","),
    *(f"word{i}" for i in range(21)),
]
TEXTS = [
    ["she", "likes", "tea", "."],
    ["She", "don't", "licks", "<b>", ",", '"', "naïve", "tea", '"', "word3", ".", "word20", "o'clock"],
    [],
    ["word7"] * 17,
]


@functools.cache
def recurrent(cell: str, seed: int = 0, *, hidden: int = 7, tie: bool = False) -> RecurrentLM:
    """An untrained model of odd sizes, its weights large enough for full gates. Cell "relu" is an RNN with that activation."""
    torch.manual_seed(seed + 31)
    model = RecurrentLM(len(VOCABULARY), hidden if tie else 5, hidden, cell="rnn" if cell == "relu" else cell, tie=tie)
    if cell == "relu":
        model.rnn = RNN(5, hidden, nonlinearity="relu")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2 if cell != "relu" else 1)
    return model.eval()


def unrolled(cell: str = "rnn", **kwargs: object) -> UnrolledNetwork:
    return UnrolledNetwork(recurrent(cell), VOCABULARY, TEXTS, top=4, **kwargs)


def gates(**kwargs: object) -> GateExplorer:
    models = {"LSTM": recurrent("lstm"), "GRU": recurrent("gru", hidden=11)}
    return GateExplorer(models, VOCABULARY, TEXTS, top=4, **kwargs)


def all_three() -> list[Figure]:
    return [next_word()[0], MergeStepper(), embedding_map()[0]]


def status(page: Page, kind: str) -> str:
    """The sentence of a figure's status line."""
    return page.locator(f".lmw-{kind} [role=status]").inner_text()
