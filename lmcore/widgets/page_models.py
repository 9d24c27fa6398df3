"""Language models that run in the page: one file for a model with its tokeniser, and what every figure with such models shares.

A figure that shows what models do takes ``{label: (model, tokenizer)}``. Each model travels with its tokeniser in one trait of
its own, packed by :mod:`lmcore.widgets.model_file`, so that a built page loads only the one that is chosen, when it is needed.
``runner.mjs`` reads tokens with it and ``tokenizers.mjs`` makes them. :class:`PageModel` is the same in Python: the model with
the rounded weights that the page computes with.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, SupportsIndex

import torch
import traitlets as t
from jaxtyping import Float
from torch import Tensor, nn

from lmcore import END, MASK, PAD, START, UNK
from lmcore.bpe import BPE, END_OF_TEXT
from lmcore.gpt import GPT
from lmcore.pieces import GPT2_PATTERN
from lmcore.recurrent import LAYERS, RecurrentLM
from lmcore.tokenizer import WORD_PATTERN, CharTokenizer, Tokenizer, WordTokenizer
from lmcore.widgets.base import Figure, in_range
from lmcore.widgets.model_file import fitting, pack, rounded

SPACES = r"\S+"  # the other pattern of words that the page knows


class WordList(Tokenizer):
    """Words of a closed list, such as ``(PAD, START, END, *world.vocabulary)``; a text with another word has no encoding.

    A text is cut as by :class:`lmcore.tokenizer.WordTokenizer`, but a word of the list stays whole where that would cut it
    (T-shirt). The special tokens are those of :mod:`lmcore` that the list has; with ``<unk>`` among them every text has an
    encoding.
    """

    def __init__(self, vocabulary: Iterable[str]) -> None:
        words = tuple(vocabulary)
        super().__init__(words, [token for token in (PAD, START, END, UNK, MASK) if token in words])
        cut = re.compile(WORD_PATTERN)
        self.whole = [word for word in words if word not in self.special and cut.fullmatch(word) is None]
        kept = "|".join(map(re.escape, sorted(self.whole, key=len, reverse=True)))
        self._find = re.compile((rf"(?:{kept})(?!\w)|" if kept else "") + WORD_PATTERN).findall

    def _encode(self, text: str) -> list[int]:
        unknown = self.number.get(UNK)
        found = {word: self.number.get(word, unknown) for word in self._find(text)}
        if strange := [word for word, i in found.items() if i is None]:
            raise ValueError(f"{', '.join(strange[:5])}: not in the model's vocabulary of {len(self):,} words")
        return [i for word in self._find(text) if (i := found[word]) is not None]

    def decode(self, ids: Iterable[SupportsIndex]) -> str:
        """The words with one space between two."""
        return " ".join(self._spell(ids))


class PageModel:
    """A language model with its tokeniser, as the page has it. The model that is given stays as it was.

    Args:
        model: a :class:`lmcore.gpt.GPT` or :class:`lmcore.recurrent.RecurrentLM`.
        tokenizer: a :class:`lmcore.bpe.BPE`, :class:`lmcore.tokenizer.CharTokenizer` or
            :class:`lmcore.tokenizer.WordTokenizer` with its usual pattern, or a list of words (see :class:`WordList`); token i
            has id i.

    Attributes:
        net: the model with its weights rounded to half precision, on the CPU, in single precision.
        tokenizer: the tokeniser.
        start: the ids that every text begins with: ``<start>``, or else ``<|endoftext|>``, as far as the tokeniser has them.
        end: the id that ends a text, ``<end>`` or else ``<|endoftext|>``; ``None`` where there is none.
        never: ids that cannot follow anything: ``<pad>``, ``<start>`` and ``<mask>``.
        room: the most tokens that the model reads, ``start`` included; ``None`` for no limit.
        layers, heads: how many; a recurrent model has no heads, 0.
        data: the bytes for the page.

    Raises:
        ValueError: another kind of model or tokeniser, or the two differ in their number of tokens, or a model that is too
            large for a page.
    """

    def __init__(self, model: nn.Module, tokenizer: Tokenizer | Sequence[str]) -> None:
        sizes = _sizes(model)
        if isinstance(tokenizer, list | tuple) and all(isinstance(word, str) for word in tokenizer):
            tokenizer = WordList(tokenizer)
        spec = _spec(tokenizer)
        assert isinstance(tokenizer, Tokenizer)
        if len(tokenizer) != sizes["vocab_size"]:
            raise ValueError(
                f"the tokeniser has {len(tokenizer)} tokens and the model {sizes['vocab_size']}; give the model's own"
            )
        self.tokenizer = tokenizer
        self.kind: str = sizes["kind"]
        self.room: int | None = sizes.get("room")
        self.layers, self.heads = int(sizes["layers"]), int(sizes.get("heads", 0))
        first, last = (
            next((tokenizer.number[token] for token in (one, END_OF_TEXT) if token in tokenizer.special), None)
            for one in (START, END)
        )
        self.start = [] if first is None else [first]
        self.end = last
        self.never = [tokenizer.number[token] for token in (PAD, START, MASK) if token in tokenizer.special]
        self.net = rounded(model).cpu().float().eval()
        here = {"tokenizer": spec, "start": self.start, "end": self.end, "never": self.never}
        self.data = fitting(pack(model, {**sizes, **here}))

    def ids(self, text: str, taken: Sequence[int] = ()) -> list[int]:
        """What the model reads: the start, the tokens of the text, and tokens that were chosen after it.

        Raises:
            ValueError: no string, a word that the vocabulary lacks, nothing to read, or more than the model reads.
        """
        found = [*self.start, *self.tokenizer.encode(text), *taken]
        in_range("the number of tokens of a text", len(found), 1, self.room or 10**9)
        return found

    @torch.no_grad()
    def logits(self, ids: Sequence[int]) -> Float[Tensor, " V"]:
        """The logits of the token after these."""
        found = self.net(torch.tensor([list(ids)]))
        return (found[0] if isinstance(found, tuple) else found)[0, -1]

    def probabilities(self, ids: Sequence[int]) -> Float[Tensor, " V"]:
        """The probabilities of the token after these; those that cannot come have 0 and leave their share to the others."""
        logits = self.logits(ids)
        logits[self.never] = -torch.inf
        return logits.softmax(0)

    @torch.no_grad()
    def attention(self, ids: Sequence[int]) -> list[Float[Tensor, "H S"]]:
        """Where the last of these tokens looks: for every layer the weights of every head. Empty for a recurrent model."""
        if not isinstance(self.net, GPT):
            return []
        seen = self.net.look(torch.tensor([list(ids)]), weights=True).weights
        assert seen is not None
        return [layer[0, :, -1] for layer in seen]


class ModelFigure(Figure):
    """A figure whose models run in the page; the reader chooses one by its label. ``page_models.mjs`` loads it.

    Args:
        models: label → (model, tokeniser), as :class:`PageModel` takes them; at least one.

    Raises:
        ValueError: there is none, or a model or tokeniser that cannot run in a page.
    """

    labels = t.List(t.Unicode()).tag(sync=True)
    lazy = t.List(t.Unicode()).tag(sync=True)  # what the host of a built page loads only when it is asked
    chosen = t.Int(0).tag(sync=True)  # which of the models

    def __init__(self, models: Mapping[str, tuple[nn.Module, Tokenizer | Sequence[str]]], **kwargs: Any) -> None:
        if not isinstance(models, Mapping) or not models:
            raise ValueError(f"models must map at least one label to (model, tokenizer); got {models!r:.80}")
        self._models: list[PageModel] = []
        for label, given in models.items():
            if not isinstance(label, str) or not isinstance(given, tuple) or len(given) != 2:
                raise ValueError(f"models[{label!r}] must be a pair (model, tokenizer), and a label words; got {given!r:.80}")
            self._models.append(PageModel(*given))
        traits = {f"weights{i}": t.Bytes(model.data).tag(sync=True) for i, model in enumerate(self._models)}
        in_range("chosen", kwargs.get("chosen", 0), 0, len(self._models) - 1)
        self.add_traits(**traits)
        super().__init__(labels=list(models), lazy=list(traits), **kwargs)

    @property
    def running(self) -> PageModel:
        """The model that is chosen."""
        return self._models[self.chosen]

    @t.validate("chosen")
    def _check_chosen(self, proposal: Any) -> int:
        return in_range("chosen", proposal["value"], 0, len(self._models) - 1)


def texts_by_model(
    name: str, models: object, texts: Sequence[str] | Mapping[str, Sequence[str]], chosen: object = 0
) -> tuple[list[list[str]], str]:
    """A list of texts for each model, and the text that is shown first: the first of the chosen model's.

    Args:
        name: of the argument, for the message.
        models: label → (model, tokeniser).
        texts: a list for all models, or label → list.
        chosen: which of the models, from 0.

    Raises:
        ValueError: a model has no list of at least one text.
    """
    labels = list(models) if isinstance(models, Mapping) else []
    lists = [texts.get(label, ()) if isinstance(texts, Mapping) else texts for label in labels]
    for label, given in zip(labels, lists, strict=True):
        if isinstance(given, str) or not isinstance(given, Sequence) or not len(given):
            raise ValueError(
                f"{name} for {label!r} must be a list of at least one text; got {given!r:.80}. For one text, write [text]"
            )
    first = lists[chosen][0] if isinstance(chosen, int) and 0 <= chosen < len(lists) else ""
    return [list(given) for given in lists], first


def random_numbers(seed: int) -> Callable[[], float]:
    """The page's random numbers from 0 up to, not including, 1: mulberry32, the twin of ``randomNumbers`` in sampling.mjs."""
    state = seed % 2**32

    def draw() -> float:
        nonlocal state
        state = (state + 0x6D2B79F5) % 2**32
        x = (state ^ state >> 15) * (state | 1) % 2**32
        x ^= (x + (x ^ x >> 7) * (x | 61)) % 2**32
        return (x ^ x >> 14) / 2**32

    return draw


def _sizes(model: object) -> dict[str, Any]:
    """What the page must know of a model besides its weights."""
    if isinstance(model, GPT):
        return {"kind": "gpt", **asdict(model.config), "room": model.config.max_length}
    if isinstance(model, RecurrentLM):
        (kind,) = (name for name, layers in LAYERS.items() if isinstance(model.rnn, layers))
        sizes = {"vocab_size": model.embedding.num_embeddings, "dim": model.embedding.embedding_dim}
        sizes |= {"hidden": model.rnn.hidden_size, "layers": model.rnn.num_layers}
        return {"kind": kind, **sizes, "nonlinearity": getattr(model.rnn, "nonlinearity", "tanh")}
    raise ValueError(f"a page runs a GPT or a RecurrentLM; got a {type(model).__name__}")


def _spec(tokenizer: object) -> dict[str, Any]:
    """What the page must know of a tokeniser."""
    if not isinstance(tokenizer, Tokenizer):
        raise ValueError(f"tokenizer must be a BPE, a CharTokenizer, a WordTokenizer or a list of words; got {tokenizer!r:.60}")
    known = {"vocabulary": tokenizer.vocabulary, "special": tokenizer.special}
    if isinstance(tokenizer, CharTokenizer):
        return {"kind": "characters", **known}
    if isinstance(tokenizer, WordList):
        return {"kind": "words", **known, "lower": False, "spaces": False, "whole": tokenizer.whole}
    if isinstance(tokenizer, WordTokenizer) and tokenizer.pattern in (WORD_PATTERN, SPACES):
        return {"kind": "words", **known, "lower": tokenizer.lower, "spaces": tokenizer.pattern == SPACES, "whole": []}
    if isinstance(tokenizer, BPE) and tokenizer.pattern == GPT2_PATTERN:
        number = tokenizer.number
        return {"kind": "bpe", **known, "merges": [[number[a], number[b]] for a, b in tokenizer.merges]}
    raise ValueError(
        f"the page has no twin of this {type(tokenizer).__name__}, or not with its pattern; use a BPE with GPT-2's pattern, a "
        rf"CharTokenizer, a WordTokenizer with WORD_PATTERN or '\S+', or a list of words"
    )
