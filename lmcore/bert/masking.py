"""Masking: the noise that BERT learns to undo, and the streams of batches it is pre-trained on."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from lmcore.attention.masks import given
from lmcore.batches import IGNORE, Batches, at_least, generator
from lmcore.bert.texts import special_ids
from lmcore.wordpiece import BERT_SPECIAL, WordPiece
from lmcore.world.noise import MaskingNoise

Piece = tuple[np.ndarray, np.ndarray]  # ids and segments of one example


class Masked(NamedTuple):
    """Texts with some of their words hidden; ``targets`` says which words these were, and is IGNORE everywhere else."""

    ids: Int[Tensor, "B T"]
    targets: Int[Tensor, "B T"]


class MaskedBatch(NamedTuple):
    """What one step of pre-training reads.

    ``next`` holds, for sentence pairs, 0 where the second sentence follows the first and 1 where it does not; else None.
    """

    ids: Int[Tensor, "B T"]
    lengths: Int[Tensor, " B"]
    segments: Int[Tensor, "B T"]
    targets: Int[Tensor, "B T"]
    next: Int[Tensor, " B"] | None = None


def mask_tokens(
    ids: Int[Tensor, "B T"],
    *,
    noise: MaskingNoise | None = None,
    mask_id: int,
    random_ids: Int[Tensor, " N"],
    special: Sequence[int] = (),
    lengths: Int[Tensor, " B"] | None = None,
    rng: np.random.Generator,
) -> Masked:
    """Choose words and hide them, exactly as :class:`lmcore.world.MaskingNoise` says.

    Every word is chosen by a coin of its own (15 %). Of the chosen, 80 % become [MASK], 10 % a word drawn uniformly from
    ``random_ids``, which may be the same word again, and 10 % stay. Special tokens and padding are never chosen. So where
    ``random_ids`` are the words of a :class:`lmcore.world.World`, the best that any model can do with the result is
    :meth:`lmcore.world.World.posterior`.

    Args:
        ids: the texts.
        noise: the rates; by default those of the paper.
        mask_id: the id of [MASK].
        random_ids: what the random words are drawn from.
        special: ids that are never chosen, such as those of [CLS] and [SEP].
        lengths: how many tokens of each text are real; by default all.
        rng: the random numbers. The same generator in the same state makes the same choice on every device.

    Raises:
        ValueError: there is no word to draw from, or something is of the wrong kind.
    """
    noise = MaskingNoise() if noise is None else noise
    if not isinstance(noise, MaskingNoise) or not isinstance(rng, np.random.Generator):
        raise ValueError(
            f"noise must be a MaskingNoise and rng numpy's Generator; got {noise!r} and {rng!r}. Use np.random.default_rng(0)"
        )
    at_least(0, mask_id=mask_id)
    if [getattr(part, "ndim", 0) for part in (ids, random_ids)] != [2, 1] or not len(random_ids):
        raise ValueError(
            f"ids must be a tensor (B, T) and random_ids one of at least one id; got {given(ids)} and {given(random_ids)}"
        )
    choice, fate = (torch.as_tensor(rng.random(ids.shape), device=ids.device) for _ in range(2))
    words = random_ids.to(ids.device)[torch.as_tensor(rng.integers(len(random_ids), size=ids.shape), device=ids.device)]
    may = ~torch.isin(ids, torch.tensor(list(special), dtype=ids.dtype, device=ids.device))
    if lengths is not None:
        may &= torch.arange(ids.shape[1], device=ids.device) < lengths[:, None]
    chosen = may & (choice < noise.rate)
    hidden = torch.where(fate < noise.mask, mask_id, torch.where(fate < noise.mask + noise.random, words, ids))
    return Masked(torch.where(chosen, hidden, ids), torch.where(chosen, ids, IGNORE))


def in_pools(sizes: Int[np.ndarray, " N"], batch_size: int, pool: int, rng: np.random.Generator) -> Int[np.ndarray, " N"]:
    """A random order of examples in which those of a batch are about equally long.

    Of a permutation, ``pool`` batches at a time are sorted by length and cut into batches, which are dealt at random; a batch
    that is not full stays the last. With ``pool=1`` nothing is sorted.
    """
    order = rng.permutation(len(sizes))
    if pool == 1:
        return order
    pools = [order[i : i + pool * batch_size] for i in range(0, len(order), pool * batch_size)]
    order = np.concatenate([part[np.argsort(sizes[part], kind="stable")] for part in pools])
    full = len(order) // batch_size
    batches = order[: full * batch_size].reshape(full, batch_size)[rng.permutation(full)]
    return np.concatenate([batches.ravel(), order[full * batch_size :]])


class MaskedBatches(Batches):
    """What :class:`MaskedTexts` and :class:`SentencePairs` share: special tokens, padding, and fresh noise in every batch.

    The noise of a batch is a function of the seed, the epoch and the batch's number alone, so a stream that is resumed goes on
    with the same noise (:meth:`lmcore.batches.Batches.state_dict`), and no epoch sees a text hidden as in another. (The paper's
    code wrote ten versions of every text once and for all; fresh noise is from Liu et al. 2019, RoBERTa, section 4.1.)
    With ``shuffle=False, epochs=1`` a stream is a fixed set for evaluation: the same seed hides the same words.

    Args:
        batch_size: B, examples per batch.
        tokenizer: a WordPiece tokeniser with BERT's special tokens.
        noise: the rates; by default those of the paper.
        random_words: the tokens that random words are drawn from; by default all that are not special.
        longest: the most tokens of an example, special tokens included; what is longer is cut. By default any number.
        pool: how many batches are sorted by length together, so that less padding is computed; 1 does not sort. Without
            ``shuffle`` nothing is sorted.
        shuffle, epochs, seed, device: as in :class:`lmcore.batches.Batches`.

    Raises:
        ValueError: the tokeniser lacks a special token or a random word, or a number is out of range.
    """

    def __init__(
        self,
        batch_size: int,
        *,
        tokenizer: WordPiece,
        noise: MaskingNoise | None = None,
        random_words: Iterable[str] | None = None,
        longest: int | None = None,
        pool: int = 1,
        **how,
    ):
        super().__init__(batch_size, **how)
        at_least(1, pool=pool)
        self.pool = pool
        at_least(5, longest=5 if longest is None else longest)  # [CLS] a [SEP] b [SEP]
        self.cls, self.sep, self.pad, self.mask = special_ids(tokenizer)
        self.special = [tokenizer.number[token] for token in BERT_SPECIAL if token in tokenizer.number]
        self.tokenizer, self.noise, self.longest = tokenizer, MaskingNoise() if noise is None else noise, longest
        words = [token for token in tokenizer.vocabulary if tokenizer.number[token] not in self.special]
        words = words if random_words is None else list(random_words)
        if strange := [word for word in words if word not in tokenizer.number]:
            raise ValueError(f"random word {strange[0]!r} is no token of the tokeniser ({len(strange)} such in all)")
        if not words:
            raise ValueError("random_words is empty; give at least one token")
        self.random_ids = torch.tensor([tokenizer.number[word] for word in words], device=self.device)

    def example(self, row: Any) -> Piece:
        """Ids and segments of the example that a row describes, special tokens included."""
        raise NotImplementedError

    def dealt(self, sizes: Int[np.ndarray, " N"], rng: np.random.Generator) -> Int[np.ndarray, " N"]:
        """The examples of an epoch in random order, those of a pool sorted into batches of like length."""
        return in_pools(sizes, self.batch_size, self.pool, rng)

    def labels(self, rows: np.ndarray) -> Int[Tensor, " B"] | None:
        """For pairs: 0 where the second text is next, 1 where not."""
        return None

    def __next__(self) -> MaskedBatch:  # type: ignore[override]
        return MaskedBatch(*super().__next__())

    def batch(self, rows: np.ndarray) -> tuple[Tensor, ...]:
        """The fields of :class:`MaskedBatch`; the last only for pairs."""
        examples = [self.example(row) for row in rows]
        sizes = np.array([len(ids) for ids, _ in examples])
        ids, segments = np.full((len(rows), sizes.max()), self.pad), np.zeros((len(rows), sizes.max()), dtype=np.int64)
        for i, (row, kinds) in enumerate(examples):
            ids[i, : len(row)], segments[i, : len(row)] = row, kinds
        lengths = torch.as_tensor(sizes, device=self.device)
        masked = mask_tokens(
            torch.as_tensor(ids, device=self.device), noise=self.noise, mask_id=self.mask, random_ids=self.random_ids,
            special=self.special, lengths=lengths, rng=generator(self.seed, self.epoch, self.index),
        )  # fmt: skip
        fields = (masked.ids, lengths, torch.as_tensor(segments, device=self.device), masked.targets)
        labels = self.labels(rows)
        return fields if labels is None else (*fields, labels)

    def join(self, *parts: np.ndarray) -> Piece:
        """``[CLS] first [SEP]`` or ``[CLS] first [SEP] second [SEP]``; where it is too long, the longer part loses its end."""
        sizes = [len(part) for part in parts]
        while self.longest is not None and sum(sizes) + len(parts) + 1 > self.longest:
            sizes[int(np.argmax(sizes))] -= 1
        pieces = [np.append(part[:size], self.sep) for part, size in zip(parts, sizes, strict=True)]
        segments = np.repeat(np.arange(len(parts)), [len(piece) for piece in pieces])
        return np.concatenate([[self.cls], *pieces]), np.concatenate([[0], segments])


class MaskedTexts(MaskedBatches):
    """Single texts, ``[CLS] text [SEP]``, with words hidden. Yields :class:`MaskedBatch` without ``next``.

    Args:
        texts: the texts, as strings.
        batch_size: B, texts per batch.
        how: the rest of :class:`MaskedBatches`, ``tokenizer=…`` above all.

    Raises:
        ValueError: there is no text, or as :class:`MaskedBatches`.
    """

    def __init__(self, texts: Sequence[str], batch_size: int, **how):
        super().__init__(batch_size, **how)
        if isinstance(texts, str) or not len(texts) or not all(isinstance(text, str) for text in texts):
            raise ValueError("texts must be a list of at least one string; for one text, write [text]")
        self.texts = [np.array(self.tokenizer.encode(text), dtype=np.int64) for text in texts]
        self.sizes = np.array([len(text) for text in self.texts])

    def rows(self, rng: np.random.Generator) -> np.ndarray:
        return self.dealt(self.sizes, rng) if self.shuffle else np.arange(len(self.texts))

    def example(self, row: Any) -> Piece:
        return self.join(self.texts[int(row)])


class SentencePairs(MaskedBatches):
    """Pairs of sentences, ``[CLS] first [SEP] second [SEP]``, with words hidden; half of them are neighbours in a text.

    Every two neighbouring sentences are an example in each epoch. A coin leaves them as they are (``next`` 0), or replaces the
    second by one from another document (``next`` 1), drawn from all sentences there that follow another one. So a false
    second is distributed as a true one is, and neither sentence tells the answer by itself. (The paper draws it from all
    sentences, those that open a document among them.) By chance it may read the same as the true one.

    Args:
        documents: each a list of sentences, strings, in their order. A document of one sentence has no pair.
        batch_size: B, pairs per batch.
        how: the rest of :class:`MaskedBatches`, ``tokenizer=…`` above all.

    Raises:
        ValueError: fewer than two documents have a pair, something is no list of sentences, or as :class:`MaskedBatches`.
    """

    def __init__(self, documents: Sequence[Sequence[str]], batch_size: int, **how):
        super().__init__(batch_size, **how)
        if isinstance(documents, str) or any(
            isinstance(document, str) or not all(isinstance(sentence, str) for sentence in document) for document in documents
        ):
            raise ValueError("documents must be lists of sentences, and a sentence a string; for one document, write [[…], …]")
        kept = [document for document in documents if len(document) > 1]
        if len(kept) < 2:
            raise ValueError(f"{len(kept)} documents have two sentences or more; a false pair needs a second such document")
        self.sentences = [np.array(self.tokenizer.encode(text), dtype=np.int64) for document in kept for text in document]
        self.sizes = np.array([len(sentence) for sentence in self.sentences])
        sizes = np.array([len(document) for document in kept])
        ends = np.cumsum(sizes)
        opens = np.isin(np.arange(ends[-1]), ends - sizes)
        self.seconds = np.flatnonzero(~opens)  # the sentences that follow one
        self.begins = np.repeat(np.cumsum(sizes - 1) - (sizes - 1), sizes - 1)  # of its document, among these
        self.counts = np.repeat(sizes - 1, sizes - 1)

    def rows(self, rng: np.random.Generator) -> np.ndarray:
        """(first sentence, second sentence, label) of every pair."""
        pairs = np.arange(len(self.seconds))
        false = rng.integers(2, size=len(pairs))
        other = rng.integers(len(pairs) - self.counts)  # among the seconds of all other documents
        other += np.where(other >= self.begins, self.counts, 0)
        second = np.where(false == 1, self.seconds[other], self.seconds)
        rows = np.stack([self.seconds - 1, second, false], axis=1)
        sizes = self.sizes[rows[:, 0]] + self.sizes[rows[:, 1]]
        return rows[self.dealt(sizes, rng)] if self.shuffle else rows

    def example(self, row: Any) -> Piece:
        return self.join(self.sentences[int(row[0])], self.sentences[int(row[1])])

    def labels(self, rows: np.ndarray) -> Int[Tensor, " B"]:
        return torch.as_tensor(rows[:, 2], device=self.device)
