"""How good is a model? Cross-entropy in its units, its distance from the truth, and scores for translations and for tags.

Any model that gives every token of a text its log-probability can be measured here: the generated language itself, the
n-gram models and the neural ones. A text is a string, split on white space, or a sequence of tokens; the ``<end>`` of a text
is predicted and counted like a token.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

Text = str | Sequence[str]


@runtime_checkable
class Scorer(Protocol):
    """A model that can say how probable a text is."""

    def log_probs(self, tokens: Text) -> np.ndarray:
        """Natural logarithm of p(token | the tokens before it), one per token and one for the final ``<end>``."""
        ...


@runtime_checkable
class LanguageModel(Scorer, Protocol):
    """A model that can also say what comes next. The generated language and the n-gram models are such."""

    def next_distribution(self, prefix: Text) -> dict[str, float]:
        """p(next token | prefix) of every token that can follow, ``<end>`` included. Sums to 1."""
        ...


def as_tokens(text: Text) -> list[str]:
    """The tokens of a text: a string is split on white space.

    Raises:
        ValueError: ``text`` is neither a string nor a sequence of strings.
    """
    if isinstance(text, str):
        return text.split()
    if isinstance(text, Sequence):
        tokens = list(text)
        if all(isinstance(token, str) for token in tokens):
            return tokens
    raise ValueError(f"a text must be a string or a sequence of strings; got {shown(text)}")


def as_texts(texts: Iterable[Text]) -> list[Text]:
    """The texts as a list.

    Raises:
        ValueError: ``texts`` is one string, is not iterable, or is empty.
    """
    if isinstance(texts, str) or not isinstance(texts, Iterable):
        raise ValueError(f"expected a list of texts; got {shown(texts)}. For one text, write [text]")
    found = list(texts)
    if not found:
        raise ValueError("expected at least one text; got none")
    return found


def shown(value: object) -> str:
    """A value for an error message: its type and the beginning of what it looks like."""
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 60 else text[:59] + '…'}"


def _check(model: object, name: str, kind: type) -> None:
    if not isinstance(model, kind):
        missing = "log_probs" if not isinstance(model, Scorer) else "next_distribution"
        raise ValueError(f"{name} must have {missing}, as a language model has; got {shown(model)}")


@dataclass(frozen=True)
class Mean:
    """A mean per token with its standard error over texts, in the unit of the function that returned it.

    Attributes:
        mean: Σ_texts x / Σ_texts tokens, so that every token weighs the same.
        standard_error: of this ratio, with texts as the independent units (Cochran 1977, section 6.4); nan for one text.
        texts: how many texts.
        tokens: how many tokens, the ``<end>`` of every text included.
    """

    mean: float
    standard_error: float
    texts: int
    tokens: int

    def __str__(self) -> str:
        return f"{self.mean:.4f} ± {self.standard_error:.4f}"


def _mean(values: np.ndarray, sizes: np.ndarray) -> Mean:
    """Σ values / Σ sizes, with the standard error of a ratio: √(T/(T−1) · Σ (value − mean · size)²) / Σ size."""
    mean, n = values.sum() / sizes.sum(), len(values)
    with np.errstate(invalid="ignore"):
        spread = float(np.square(values - mean * sizes).sum()) * n / (n - 1) if n > 1 else math.nan
    return Mean(float(mean), math.sqrt(spread) / float(sizes.sum()), n, int(sizes.sum()))


def cross_entropy(model: Scorer, texts: Iterable[Text]) -> float:
    """−(1/N) Σ log p(token | the tokens before it), in nats per token, over all N tokens of all texts, ``<end>`` counted.

    Infinite if the model gives any of the texts probability 0.

    Raises:
        ValueError: ``texts`` is a string or empty.
    """
    _check(model, "model", Scorer)
    scores = [model.log_probs(text) for text in as_texts(texts)]
    return -float(sum(s.sum() for s in scores)) / sum(len(s) for s in scores)


def bits(nats: float) -> float:
    """Nats in bits: nats / ln 2."""
    try:
        return nats / math.log(2)
    except TypeError:
        raise ValueError(f"nats must be a number; got {shown(nats)}") from None


def perplexity(nats: float) -> float:
    """exp(cross-entropy in nats per token): as uncertain as a fair choice among this many tokens."""
    try:
        return math.exp(nats)
    except OverflowError:
        return math.inf
    except TypeError:
        raise ValueError(f"nats must be a number; got {shown(nats)}") from None


def bits_per_character(model: Scorer, texts: Iterable[Text], separator: str = " ") -> float:
    """−Σ log₂ p(text) / Σ (characters of the text + 1), so that models over words, subwords and characters compare.

    The 1 is the end of a text, which every model predicts, as the line break of a file with one text a line.

    Args:
        separator: what stands between two tokens when a text is given as tokens: ``""`` for characters.

    Raises:
        ValueError: ``texts`` is a string or empty.
    """
    _check(model, "model", Scorer)
    if not isinstance(separator, str):
        raise ValueError(f"separator must be a string, such as ' '; got {shown(separator)}")
    found = as_texts(texts)
    characters = sum(len(t if isinstance(t, str) else separator.join(t)) + 1 for t in found)
    return -bits(float(sum(model.log_probs(t).sum() for t in found))) / characters


def excess(model: Scorer, truth: Scorer, texts: Iterable[Text]) -> Mean:
    """The model's cross-entropy minus the floor, in nats per token: how far it is above the best any model can reach.

    (1/N) Σ log [truth(token | before) / model(token | before)] over the same texts, with its standard error. On texts drawn
    from ``truth`` this estimates KL(truth ‖ model) per token. The difference varies much less between texts than either
    cross-entropy does.

    Raises:
        ValueError: ``texts`` is a string or empty, the truth gives a text probability 0, or the two models read a text as
            different numbers of tokens.
    """
    _check(model, "model", Scorer)
    _check(truth, "truth", Scorer)
    values, sizes = [], []
    for text in as_texts(texts):
        ours, theirs = model.log_probs(text), truth.log_probs(text)
        if len(ours) != len(theirs):
            raise ValueError(f"the model reads {len(ours)} tokens where the truth reads {len(theirs)}: {shown(text)}")
        if not np.isfinite(theirs).all():
            raise ValueError(f"the truth gives this text probability 0: {shown(text)}")
        values.append(float(theirs.sum() - ours.sum()))
        sizes.append(len(ours))
    return _mean(np.array(values), np.array(sizes))


def kl(truth: LanguageModel, model: LanguageModel, text: Text) -> Float[np.ndarray, "T"]:
    """KL(truth ‖ model) of the next token at every position of a text, in nats; the last entry is where ``<end>`` is due.

    Σ_w truth(w | prefix) · log [truth(w | prefix) / model(w | prefix)]. Infinite where the model excludes what can happen.
    """
    _check(truth, "truth", LanguageModel)
    _check(model, "model", LanguageModel)
    tokens = as_tokens(text)
    return np.array(
        [_kl(truth.next_distribution(tokens[:t]), model.next_distribution(tokens[:t])) for t in range(len(tokens) + 1)]
    )


def _kl(p: dict[str, float], q: dict[str, float]) -> float:
    total = 0.0
    for word, chance in p.items():
        if chance > 0:
            other = q.get(word, 0.0)
            total += chance * math.log(chance / other) if other > 0 else math.inf
    return total


@dataclass(frozen=True)
class Curve:
    """A mean at every position of a text, with its standard error over the texts that reach the position (nan for one text)."""

    mean: Float[np.ndarray, "T"]
    standard_error: Float[np.ndarray, "T"]
    texts: Int[np.ndarray, "T"]


def kl_by_position(truth: LanguageModel, model: LanguageModel, texts: Iterable[Text]) -> Curve:
    """The mean over texts of :func:`kl` at position 0, 1, …: where in a text the model knows least.

    Raises:
        ValueError: ``texts`` is a string or empty.
    """
    each = [kl(truth, model, text) for text in as_texts(texts)]
    table = np.full((len(each), max(map(len, each))), np.nan)
    for row, values in zip(table, each, strict=True):
        row[: len(values)] = values
    texts_there = (~np.isnan(table)).sum(axis=0)
    mean = np.nansum(table, axis=0) / texts_there
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = np.nansum(np.square(table - mean), axis=0) / (texts_there - 1)
    return Curve(mean, np.sqrt(variance / texts_there), texts_there)


@dataclass(frozen=True)
class Bleu:
    """A BLEU score, 0 to 100, and sacrebleu's signature, which names every choice that made it."""

    score: float
    signature: str


def bleu(
    hypotheses: Sequence[str], references: Sequence[str | Sequence[str]], lowercase: bool = False, tokenize: str = "13a"
) -> Bleu:
    """Corpus BLEU by sacrebleu (Post 2018), on plain, untokenised strings.

    Args:
        hypotheses: the translations.
        references: one string per translation, or several in a list each (the same number for all).
        lowercase, tokenize: sacrebleu's; ``"none"`` splits at spaces only, for texts that are tokenised already.

    Raises:
        ValueError: a string instead of a list, nothing to score, or numbers that do not agree.
    """
    from sacrebleu.metrics import BLEU

    ours = _strings(hypotheses, "hypotheses")
    theirs = [[r] if isinstance(r, str) else _strings(r, "references") for r in as_texts(references)]
    if len(ours) != len(theirs):
        raise ValueError(f"{len(ours)} hypotheses, but references for {len(theirs)}; every hypothesis needs its own")
    if len({len(r) for r in theirs}) > 1:
        raise ValueError("every hypothesis needs the same number of references")
    metric = BLEU(lowercase=lowercase, tokenize=tokenize, force=tokenize == "none")
    return Bleu(
        metric.corpus_score(ours, [list(column) for column in zip(*theirs, strict=True)]).score, str(metric.get_signature())
    )


def _strings(items: Iterable[str], name: str) -> list[str]:
    found = as_texts(items)
    if not all(isinstance(item, str) for item in found):
        raise ValueError(f"{name} must be strings; got {shown(next(i for i in found if not isinstance(i, str)))}")
    return [str(item) for item in found]


@dataclass(frozen=True)
class SpanScore:
    """Precision, recall and F₁ over whole spans, each 0 to 1, and the number of spans that exist."""

    precision: float
    recall: float
    f1: float
    spans: int


def span_f1(truth: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> SpanScore:
    """Micro-averaged F₁ of entity spans in IOB tags, by seqeval, which counts as CoNLL's script ``conlleval`` does.

    A span is right if its type and both its ends are. A span may begin with I-. Where nothing is predicted, or nothing
    exists, a score that is 0/0 is 0.

    Args:
        truth: one list of tags per sentence: ``O``, ``B-TYPE`` or ``I-TYPE``.
        predicted: the same shape.

    Raises:
        ValueError: not lists of tags, lengths that differ, or a tag that is none of the three.
    """
    from seqeval.metrics.sequence_labeling import precision_recall_fscore_support

    ours, theirs = _tags(predicted, "predicted"), _tags(truth, "truth")
    if len(ours) != len(theirs):
        raise ValueError(f"truth has {len(theirs)} sentences, predicted has {len(ours)}")
    for i, (a, b) in enumerate(zip(theirs, ours, strict=True)):
        if len(a) != len(b):
            raise ValueError(f"sentence {i}: truth has {len(a)} tags, predicted has {len(b)}")
    if all(tag == "O" for tags in (*ours, *theirs) for tag in tags):
        return SpanScore(0.0, 0.0, 0.0, 0)
    precision, recall, f1, spans = precision_recall_fscore_support(theirs, ours, average="micro", zero_division=0)
    return SpanScore(float(precision), float(recall), float(f1), int(spans))


def _tags(sentences: Sequence[Sequence[str]], name: str) -> list[list[str]]:
    found = []
    for i, sentence in enumerate(as_texts(sentences)):
        if isinstance(sentence, str):
            raise ValueError(f"{name}[{i}] must be a list of tags; got {shown(sentence)}")
        tags = as_tokens(sentence)
        for tag in tags:
            if tag != "O" and not (tag[:2] in ("B-", "I-") and len(tag) > 2):
                raise ValueError(f"{name}[{i}] holds the tag {tag!r}; a tag is 'O', 'B-TYPE' or 'I-TYPE'")
        found.append(tags)
    return found
