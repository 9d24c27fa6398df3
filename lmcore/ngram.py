"""N-gram language models: the next word given the n−1 words before it.

    from lmcore.ngram import NGram, read
    model = NGram(5).fit(read("train.txt"))
    print(model.perplexity(read("test.txt")))

or, from the command line, ``python -m lmcore.ngram --order 5 train.txt test.txt``. Files hold one sentence a line.

Perplexity is what SRILM and KenLM report: the vocabulary is closed, ``<end>`` is predicted and counted, ``<start>`` is
neither, and words outside the vocabulary are an error, or are left out and counted.
"""

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from tqdm import tqdm

from lmcore import END, UNK, evaluate
from lmcore.counts import UNKNOWN, Counts, Stream, Vocabulary, positive, read
from lmcore.evaluate import Text, as_tokens
from lmcore.smoothing import SMOOTHING, Discount, Estimate, smooth

__all__ = ["SMOOTHING", "NGram", "Score", "read"]


@dataclass(frozen=True)
class Score:
    """What a model made of a test text.

    Attributes:
        sentences: how many; each has one ``<end>`` that is predicted.
        words: how many, ``<end>`` not counted.
        unknown: words outside the vocabulary, left out of ``log_prob`` unless the model has ``<unk>`` to read them as.
        skipped: how many of the unknown words were left out.
        impossible: tokens to which the model gives probability 0.
        log_prob: natural logarithm of the probability of all that was not left out.
    """

    sentences: int
    words: int
    unknown: int
    skipped: int
    impossible: int
    log_prob: float

    @property
    def tokens(self) -> int:
        """Predictions scored: words − skipped + sentences."""
        return self.words - self.skipped + self.sentences

    @property
    def cross_entropy(self) -> float:
        """Nats per token, ``<end>`` counted."""
        return -self.log_prob / self.tokens

    @property
    def perplexity(self) -> float:
        """exp(cross-entropy): SRILM's ``ppl``, KenLM's "perplexity excluding OOVs"."""
        return evaluate.perplexity(self.cross_entropy)

    def __str__(self) -> str:
        treatment = f"read as {UNK}" if self.unknown and not self.skipped else "left out"
        return (
            f"{self.sentences:,} sentences, {self.words:,} words, {self.unknown:,} unknown ({treatment})\n"
            f"  {self.tokens:,} predictions with {END}, {self.impossible:,} of probability 0\n"
            f"  cross-entropy {self.cross_entropy:.4f} nats = {evaluate.bits(self.cross_entropy):.4f} bits per prediction\n"
            f"  perplexity {self.perplexity:.2f}"
        )


@dataclass(frozen=True)
class _Fitted:
    """What training makes."""

    words: Vocabulary
    counts: Counts
    estimate: Estimate


class NGram:
    """An n-gram language model.

    Args:
        order: the n of n-gram: how many words a prediction sees, itself included. 1 is a unigram model.
        smoothing: ``"modified-kneser-ney"`` (interpolated, three discounts per length), ``"kneser-ney"`` (interpolated, one
            discount), ``"backoff"`` (Katz's scheme with absolute discounts), ``"add-k"`` or ``"none"`` (maximum likelihood).
            The equations are in :mod:`lmcore.smoothing`.
        k: what add-k adds.
        min_count: words seen less often in training are read as ``<unk>``, and so is, later, every word not in the vocabulary.
        vocabulary: the words that can be predicted, if they are known beforehand. By default: those seen in training.

    Raises:
        ValueError: an order or ``min_count`` below 1, an unknown smoothing, a k that is not positive, a vocabulary of no words.
    """

    def __init__(
        self,
        order: int,
        smoothing: str = "modified-kneser-ney",
        *,
        k: float = 1.0,
        min_count: int = 1,
        vocabulary: Iterable[str] | None = None,
    ) -> None:
        self.order = positive(order, "order")
        if smoothing not in SMOOTHING:
            raise ValueError(f"smoothing {smoothing!r} is not known; use one of {', '.join(SMOOTHING)}")
        if isinstance(k, bool) or not isinstance(k, int | float) or not 0 < k < float("inf"):
            raise ValueError(f"k must be a number above 0; got {k!r}")
        self.smoothing, self.k, self.min_count = smoothing, float(k), positive(min_count, "min_count")
        if vocabulary is not None and (isinstance(vocabulary, str) or not isinstance(vocabulary, Iterable)):
            raise ValueError(f"vocabulary must be a list of words; got {evaluate.shown(vocabulary)}")
        self._given = None if vocabulary is None else as_tokens(list(vocabulary))
        self._state: _Fitted | None = None

    def __repr__(self) -> str:
        sizes = f", {len(self.vocabulary)} words" if self._state else ", not fitted"
        return f"NGram({self.order}, {self.smoothing!r}{sizes})"

    def fit(self, sentences: Iterable[Text]) -> "NGram":
        """Count and smooth. Shows a progress bar on a terminal.

        Args:
            sentences: strings, split on white space, or sequences of tokens.

        Returns:
            The model itself.

        Raises:
            ValueError: one string instead of sentences, no sentence, a word outside a given vocabulary without ``<unk>``, or
                ``<start>`` or ``<end>`` among the words: the model adds them itself.
        """
        seen: dict[str, int] = {}
        bar = tqdm(evaluate.as_texts(sentences), desc="counting words", unit=" sentences", leave=False, disable=None)
        coded = [[seen.setdefault(token, len(seen)) for token in as_tokens(sentence)] for sentence in bar]
        words = self._words(seen, coded)
        rename = words.encode(list(seen))
        counts = Counts(words.stream([[rename[w] for w in sentence] for sentence in coded]), self.order, len(words))
        self._state = _Fitted(words, counts, smooth(counts, self.smoothing, self.k))
        return self

    def _words(self, seen: dict[str, int], coded: list[list[int]]) -> Vocabulary:
        if self._given is not None:
            words = self._given
        else:
            frequency = np.bincount([w for sentence in coded for w in sentence], minlength=len(seen))
            words = [word for word, i in seen.items() if frequency[i] >= self.min_count]
        return Vocabulary([*words, UNK] if self.min_count > 1 else words)

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """All that can be predicted: the words, sorted, and ``<end>``."""
        return self._fitted.words.words

    @property
    def counts(self) -> Counts:
        """How often every n-gram of the training text occurs."""
        return self._fitted.counts

    @property
    def discounts(self) -> dict[int, Discount]:
        """Per length: what was subtracted from counts of 1, 2, …; empty for add-k and none."""
        return dict(self._fitted.estimate.discounts)

    @property
    def fallbacks(self) -> tuple[int, ...]:
        """The lengths whose counts gave no valid discounts, so that fixed ones were used: usual for a small vocabulary."""
        return tuple(self._fitted.estimate.fallbacks)

    def next_distribution(self, prefix: Text = ()) -> dict[str, float]:
        """P(w | prefix) of every word of the vocabulary and ``<end>``; sums to 1.

        Raises:
            ValueError: a word outside the vocabulary, ``<start>`` or ``<end>`` in the prefix, or no training yet.
        """
        probability = self._next(self._fitted.words.encode(as_tokens(prefix)))
        return dict(zip(self.vocabulary, probability.tolist(), strict=True))

    def log_probs(self, tokens: Text) -> Float[np.ndarray, "T"]:
        """log P(w | the words before it) for every token and, last, for ``<end>``; −inf where the model excludes it.

        Raises:
            ValueError: a word outside the vocabulary, ``<start>`` or ``<end>`` among the tokens, or no training yet.
        """
        vocabulary = self._fitted.words
        text = vocabulary.stream([vocabulary.encode(as_tokens(tokens))])
        with np.errstate(divide="ignore"):
            return np.log(self._probabilities(text)[1:])

    def log_prob(self, tokens: Text) -> float:
        """log P(tokens, ``<end>``): the sum of :meth:`log_probs`."""
        return float(self.log_probs(tokens).sum())

    def sample(self, rng: np.random.Generator | int, prefix: Text = (), max_tokens: int | None = None) -> list[str]:
        """Draw a sentence, word by word, until ``<end>`` is drawn.

        Args:
            rng: a NumPy generator, or a seed for one.
            prefix: how the sentence begins; part of what is returned.
            max_tokens: stop at this length at the latest. By default the sentence ends only with ``<end>``.

        Raises:
            ValueError: as :meth:`next_distribution`, or ``rng`` is neither.
        """
        seed = isinstance(rng, int | np.integer) and not isinstance(rng, bool) and rng >= 0
        if not seed and not isinstance(rng, np.random.Generator):
            raise ValueError(f"rng must be a seed or numpy.random.default_rng(seed); got {rng!r}")
        rng = np.random.default_rng(rng)
        limit = float("inf") if max_tokens is None else positive(max_tokens, "max_tokens")
        words, vocabulary = as_tokens(prefix), self._fitted.words
        ids = vocabulary.encode(words)
        while len(words) < limit:
            cumulative = np.cumsum(self._next(ids))
            word = int(np.searchsorted(cumulative, rng.random() * cumulative[-1], side="right"))
            if word == vocabulary.end:
                break
            ids.append(word)
            words.append(vocabulary.words[word])
        return words

    def score(self, sentences: Iterable[Text], skip_unknown: bool = False) -> Score:
        """Log-probability of a test text with all that is needed to compare it with published figures.

        Args:
            sentences: strings, split on white space, or sequences of tokens.
            skip_unknown: leave words outside the vocabulary out of the sum and count them, as SRILM and KenLM do, instead of
                raising an error; the next word then sees a context that begins behind the unknown one. Without effect when
                the vocabulary has ``<unk>``: unknown words are then read as ``<unk>``.

        Raises:
            ValueError: no sentence, or a word outside the vocabulary.
        """
        vocabulary, coded = self._fitted.words, []
        unknown = words = 0
        for sentence in tqdm(evaluate.as_texts(sentences), desc="scoring", unit=" sentences", leave=False, disable=None):
            tokens = as_tokens(sentence)
            words += len(tokens)
            unknown += sum(token not in vocabulary for token in tokens)
            coded.append(vocabulary.encode(tokens, skip_unknown))
        text = vocabulary.stream(coded)
        probability = self._probabilities(text)[(text.place > 0) & (text.word != UNKNOWN)]
        with np.errstate(divide="ignore"):
            log_prob = float(np.log(probability).sum())
        skipped = unknown if vocabulary.unk == UNKNOWN else 0
        return Score(len(coded), words, unknown, skipped, int((probability == 0).sum()), log_prob)

    def perplexity(self, sentences: Iterable[Text], skip_unknown: bool = False) -> float:
        """exp(−log P / tokens), ``<end>`` counted; arguments and errors as :meth:`score`."""
        return self.score(sentences, skip_unknown).perplexity

    @property
    def _fitted(self) -> _Fitted:
        if self._state is None:
            raise ValueError("this model has seen no text yet; call fit(sentences) first")
        return self._state

    def _probabilities(self, text: Stream) -> Float[np.ndarray, "T"]:
        """P(word | the words before it in its sentence) at every place of a stream; no meaning where ``<start>`` is."""
        estimate, uniform = self._fitted.estimate, 1 / len(self._fitted.words)
        result = np.where(text.word == UNKNOWN, 0.0, estimate.probability[0][text.word])
        for n, at, context, found in self.counts.indices(text):
            weight = np.where(context == UNKNOWN, 1.0, estimate.weight[n - 1][context])
            below = uniform if estimate.uniform else result[at]
            seen = found != UNKNOWN
            result[at] = weight * below
            result[at[seen]] = estimate.probability[n - 1][found[seen]]
        result[text.word == UNKNOWN] = 0.0
        return result

    def _next(self, ids: Sequence[int]) -> Float[np.ndarray, "V"]:
        """P(w | ids) of every word of the vocabulary, in its order."""
        estimate, size = self._fitted.estimate, len(self._fitted.words)
        uniform = np.full(size, 1 / size)
        context = (self._fitted.words.start, *ids)[-(self.order - 1) :] if self.order > 1 else ()
        result = estimate.probability[0][:size]
        for n, node, continuations in self.counts.contexts(context):
            weight = 1.0 if node == UNKNOWN else estimate.weight[n - 1][node]
            result = weight * (uniform if estimate.uniform else result)
            result[self.counts[n].word[continuations]] = estimate.probability[n - 1][continuations]
        return result


def main(arguments: Sequence[str] | None = None) -> None:
    """Train on one file, report on others (one sentence a line)."""
    parser = argparse.ArgumentParser(prog="python -m lmcore.ngram", description=main.__doc__)
    parser.add_argument("train", help="a text file with one sentence a line")
    parser.add_argument("test", nargs="+")
    parser.add_argument("--order", type=int, default=5, help="the n of n-gram (default 5)")
    parser.add_argument("--smoothing", default="modified-kneser-ney", help=", ".join(SMOOTHING) + " (default: the first)")
    parser.add_argument("--k", type=float, default=1.0, help="what add-k adds (default 1)")
    parser.add_argument("--min-count", type=int, default=1, help=f"read words rarer than this as {UNK} (default 1: none)")
    parser.add_argument("--sample", type=int, default=0, metavar="N", help="print N sentences drawn from the model")
    parser.add_argument("--seed", type=int, default=0, help="for --sample (default 0)")
    options = parser.parse_args(arguments)
    try:
        model = NGram(options.order, options.smoothing, k=options.k, min_count=options.min_count)
        model.fit(read(options.train))
        sizes = ", ".join(f"{int((level.count > 0).sum()):,}" for _, level in model.counts.by_length())
        print(f"{model!r}: {sizes} n-grams of length 1 to {model.order}")
        for n, discount in model.discounts.items():
            note = " (fixed: the counts give none)" if n in model.fallbacks else ""
            print(f"  discounts of length {n}: {', '.join(f'{d:.4f}' for d in discount)}{note}")
        for path in options.test:
            print(f"{path}: {model.score(read(path), skip_unknown=True)}")
        for i in range(options.sample):
            print(" ".join(model.sample(np.random.default_rng((options.seed, i)))))
    except (ValueError, FileNotFoundError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
