"""Batches: how a pile of token ids becomes the tensors that a training step sees.

Every class here is an iterator over batches that works the same way. An *epoch* is one pass over the data; the order of epoch
number e is a function of the seed and e alone. So the whole state of an iterator is two integers, the epoch and the number of
batches already taken from it, and a run that stops can go on exactly where it was (:meth:`Batches.state_dict`).

The ids stay on the device. A batch is cut out of them there, and only the row numbers travel.
"""

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

IGNORE = -100
"""A target that carries no loss: the default ``ignore_index`` of :func:`torch.nn.functional.cross_entropy`."""

Ids = Sequence | np.ndarray | Tensor  # one flat row of whole numbers; flat() checks it
Self = TypeVar("Self", bound="Batches")


class Batches:
    """The iterator behind every class of this file.

    A subclass says what an epoch consists of (:meth:`rows`) and how some of its rows become tensors (:meth:`batch`).

    Args:
        batch_size: rows per batch; the last batch of an epoch holds what is left.
        shuffle: a new random order in every epoch, or always the order of the data.
        epochs: how many passes; ``None`` never ends.
        seed: of all random choices.
        device: where the batches lie; the CPU by default.
    """

    def __init__(
        self,
        batch_size: int,
        *,
        shuffle: bool = True,
        epochs: int | None = None,
        seed: int = 0,
        device: torch.device | str | None = None,
    ):
        at_least(1, batch_size=batch_size, epochs=1 if epochs is None else epochs)
        at_least(0, seed=seed)
        self.batch_size, self.shuffle, self.epochs, self.seed = batch_size, shuffle, epochs, seed
        try:
            self.device = torch.device(device or "cpu")
        except RuntimeError:
            raise ValueError(f"device={device!r} is none that torch knows; use 'cpu', 'cuda' or 'mps'") from None
        self.epoch = self.index = 0
        self._rows: tuple[int, np.ndarray] | None = None

    def rows(self, rng: np.random.Generator) -> np.ndarray:
        """The examples of one epoch, in order; row i describes example i."""
        raise NotImplementedError

    def batch(self, rows: np.ndarray) -> tuple[Tensor, ...]:
        """The tensors made from these rows."""
        raise NotImplementedError

    def __iter__(self: Self) -> Self:
        return self

    def __next__(self) -> tuple[Tensor, ...]:
        if not self._ended() and self.index * self.batch_size >= len(self._current()):
            self.epoch, self.index = self.epoch + 1, 0
        if self._ended():
            raise StopIteration
        start = self.index * self.batch_size
        rows = self._current()[start : start + self.batch_size]
        self.index += 1
        return self.batch(rows)

    def _ended(self) -> bool:
        return self.epochs is not None and self.epoch >= self.epochs

    def _current(self) -> np.ndarray:
        """The rows of the current epoch, made once."""
        if self._rows is None or self._rows[0] != self.epoch:
            self._rows = self.epoch, self.rows(generator(self.seed, self.epoch))
        return self._rows[1]

    def state_dict(self) -> dict[str, int]:
        """Where the iterator stands: how many batches of which epoch were taken, and what their order depends on."""
        return {"seed": self.seed, "batch_size": self.batch_size, "epoch": self.epoch, "index": self.index}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from ``state``.

        Raises:
            ValueError: the state was saved by an iterator with another seed or batch size.
        """
        for name in ("seed", "batch_size"):
            if state[name] != getattr(self, name):
                raise ValueError(
                    f"the state was saved with {name}={state[name]}, not {getattr(self, name)}; use the same {name}"
                )
        self.epoch, self.index = state["epoch"], state["index"]


class Windows(Batches):
    """Inputs and targets for a language model, cut from one long stream: the target of a token is the token after it.

    With ``shuffle`` every epoch cuts the stream at a fresh random offset into windows that do not overlap, and deals them in
    random order. Without, the windows start at the first token, and every token but the first is a target exactly once: the
    last window is filled up with :data:`IGNORE` targets. That is the order for evaluation.

    Yields ``(inputs, targets)``, both ``Int[Tensor, "B T"]``.

    Args:
        ids: the stream, at least two ids (with ``shuffle``, at least ``length + 1``).
        length: T, tokens per window.
        batch_size, shuffle, epochs, seed, device: as in :class:`Batches`.
    """

    def __init__(self, ids: Ids, length: int, batch_size: int, **how):
        super().__init__(batch_size, **how)
        at_least(1, length=length)
        stream = flat(ids, "ids")
        needed = length + 1 if self.shuffle else 2
        if len(stream) < needed:
            raise ValueError(f"windows of length={length} need a stream of at least {needed} ids; got {len(stream)}")
        self.length, self.size = length, len(stream)
        tail = np.full(length, IGNORE)
        self.ids = torch.as_tensor(np.concatenate([stream, tail]), device=self.device)
        self.steps = torch.arange(length, device=self.device)

    def rows(self, rng: np.random.Generator) -> np.ndarray:
        if not self.shuffle:
            return np.arange(0, self.size - 1, self.length)
        offset = rng.integers(min(self.length, self.size - self.length))
        return rng.permutation(np.arange(offset, self.size - self.length, self.length))

    def batch(self, rows: np.ndarray) -> tuple[Int[Tensor, "B T"], Int[Tensor, "B T"]]:
        at = torch.as_tensor(rows, device=self.device)[:, None] + self.steps
        return self.ids[at].clamp(min=0), self.ids[at + 1]


class LaneBatch(NamedTuple):
    """The next piece of every lane. ``first`` is true at the beginning of a pass: what was remembered must be forgotten."""

    inputs: Int[Tensor, "B T"]
    targets: Int[Tensor, "B T"]
    first: Bool[Tensor, ""]


class Lanes(Batches):
    """A long stream read in B places at once: each of the B lanes is a contiguous part of it, cut into pieces of T tokens.

    Row b of a batch goes on where row b of the batch before stopped, so a model can carry its state from batch to batch: that
    is what truncated backpropagation through time needs (:class:`lmcore.recurrent.TruncatedBPTT`). The lanes are equally long,
    but for the last. With ``shuffle`` every pass begins at a fresh random offset, less than T tokens into the stream. Without,
    every token but the first is a target exactly once. The last piece of a pass is filled up with :data:`IGNORE` targets.

    Yields :class:`LaneBatch`.

    Args:
        ids: the stream, at least ``length + 1`` ids with ``shuffle``, else at least two.
        length: T, tokens per piece.
        batch_size: B, lanes.
        shuffle, epochs, seed, device: as in :class:`Batches`.
    """

    def __init__(self, ids: Ids, length: int, batch_size: int, **how):
        super().__init__(batch_size, **how)
        at_least(1, length=length)
        stream = flat(ids, "ids")
        needed = length + 1 if self.shuffle else 2
        if len(stream) < needed:
            raise ValueError(f"lanes in pieces of length={length} need a stream of at least {needed} ids; got {len(stream)}")
        self.length, self.size = length, len(stream)
        self.ids = torch.as_tensor(stream, device=self.device)
        self.steps = torch.arange(length, device=self.device)

    def rows(self, rng: np.random.Generator) -> np.ndarray:
        """For piece 1 of every lane, then piece 2 of every lane, …: where the piece begins, and where its lane ends."""
        offset = int(rng.integers(min(self.length, self.size - self.length))) if self.shuffle else 0
        lane = -(-(self.size - 1 - offset) // self.batch_size)  # tokens per lane, rounded up
        begins = offset + lane * np.arange(self.batch_size)
        ends = np.minimum(begins + lane, self.size - 1)
        pieces = np.arange(0, lane, self.length)
        return np.stack(np.broadcast_arrays(begins + pieces[:, None], ends), axis=-1).reshape(-1, 2)

    def batch(self, rows: np.ndarray) -> LaneBatch:
        begins, ends = torch.as_tensor(rows, device=self.device).unbind(1)
        at = begins[:, None] + self.steps
        inside = at < ends[:, None]
        at = at.clamp(max=self.size - 2)
        return LaneBatch(self.ids[at], torch.where(inside, self.ids[at + 1], IGNORE), torch.tensor(self.index == 1))


class PaddedBatch(NamedTuple):
    """Whole texts side by side. Where a text has ended, ``inputs`` holds the padding id and ``targets`` :data:`IGNORE`."""

    inputs: Int[Tensor, "B T"]
    targets: Int[Tensor, "B T"]
    lengths: Int[Tensor, " B"]

    @property
    def mask(self) -> Bool[Tensor, "B T"]:
        """True where there is a token."""
        return self.targets != IGNORE


class Padded(Batches):
    """Whole texts for a language model: inputs ⟨start⟩ w₁ … w_n, targets w₁ … w_n ⟨end⟩, as wide as the batch's longest text.

    Yields :class:`PaddedBatch`.

    Args:
        texts: the ids of each text, without start and end.
        batch_size: B, texts per batch.
        pad, start, end: the ids of the special tokens.
        shuffle, epochs, seed, device: as in :class:`Batches`.
    """

    def __init__(self, texts: Sequence[Ids], batch_size: int, *, pad: int, start: int, end: int, **how):
        super().__init__(batch_size, **how)
        at_least(0, pad=pad, start=start, end=end)
        bodies = documents(texts)
        self.pad = pad
        self.lengths = np.array([len(body) + 1 for body in bodies])
        self.starts = np.concatenate([[0], np.cumsum(self.lengths + 1)[:-1]])
        self.ids = torch.as_tensor(np.concatenate([[start, *body, end] for body in bodies]), device=self.device)

    def rows(self, rng: np.random.Generator) -> np.ndarray:
        return rng.permutation(len(self.lengths)) if self.shuffle else np.arange(len(self.lengths))

    def batch(self, rows: np.ndarray) -> PaddedBatch:
        lengths = torch.as_tensor(self.lengths[rows], device=self.device)
        steps = torch.arange(int(self.lengths[rows].max()), device=self.device)
        inside = steps < lengths[:, None]
        at = torch.where(inside, torch.as_tensor(self.starts[rows], device=self.device)[:, None] + steps, 0)
        return PaddedBatch(torch.where(inside, self.ids[at], self.pad), torch.where(inside, self.ids[at + 1], IGNORE), lengths)


class Contexts(Batches):
    """The last n tokens and the one that follows: what a feed-forward language model learns from.

    A context that reaches back before its text begins is filled with ⟨start⟩, and the last target of a text is ⟨end⟩. So the
    examples cover whole texts, and no context looks into another text.

    Yields ``(contexts, targets)``, ``Int[Tensor, "B n"]`` and ``Int[Tensor, "B"]``, oldest token first.

    Args:
        texts: the ids of each text, without start and end. One long stream is a list of one text.
        context: n, tokens of context.
        batch_size: B, examples (not texts) per batch.
        start, end: the ids of the special tokens.
        shuffle, epochs, seed, device: as in :class:`Batches`.
    """

    def __init__(self, texts: Sequence[Ids], context: int, batch_size: int, *, start: int, end: int, **how):
        super().__init__(batch_size, **how)
        at_least(1, context=context)
        at_least(0, start=start, end=end)
        padded = [np.concatenate([np.full(context, start), body, [end]]) for body in documents(texts)]
        lengths = np.array([len(body) for body in padded])
        begins = np.repeat(np.cumsum(lengths) - lengths, lengths)
        where = np.arange(lengths.sum())
        self.targets = where[where - begins >= context]
        self.ids = torch.as_tensor(np.concatenate(padded), device=self.device)
        self.steps = torch.arange(-context, 1, device=self.device)

    def rows(self, rng: np.random.Generator) -> np.ndarray:
        return rng.permutation(self.targets) if self.shuffle else self.targets

    def batch(self, rows: np.ndarray) -> tuple[Int[Tensor, "B n"], Int[Tensor, " B"]]:
        both = self.ids[torch.as_tensor(rows, device=self.device)[:, None] + self.steps]
        return both[:, :-1], both[:, -1]


def generator(seed: int, *key: int) -> np.random.Generator:
    """The random numbers number ``key`` under ``seed``; independent of another key's and of ``default_rng(seed)`` itself."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def at_least(least: int, **given: object) -> None:
    """Refuse anything but whole numbers of at least ``least``, by name."""
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise ValueError(f"{name}={value!r} is not allowed; use a whole number of at least {least}")


def flat(ids: Ids, name: str) -> Int[np.ndarray, " N"]:
    """One row of token ids as an array, or a ValueError that says what is wrong with it."""
    if isinstance(ids, str):
        raise ValueError(f"{name} must be token ids, not a string; encode it with a tokenizer first")
    try:
        array = ids.detach().cpu().numpy() if isinstance(ids, Tensor) else np.asarray(ids)
    except ValueError:
        raise ValueError(f"{name} must be one flat row of token ids; got rows of unequal length") from None
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise ValueError(f"{name} must be one flat row of token ids (whole numbers); got shape {array.shape} of {array.dtype}")
    array = array.astype(np.int64)
    if array.size and array.min() < 0:
        raise ValueError(f"{name} holds {array.min()}; a token id is at least 0")
    return array


def documents(texts: Sequence[Ids]) -> list[Int[np.ndarray, " N"]]:
    """The texts as arrays of ids.

    Raises:
        ValueError: there is no text, a string was given, or something is not a token id.
    """
    if isinstance(texts, str) or any(isinstance(text, str) for text in texts):
        raise ValueError("texts must hold token ids, not strings; encode them with a tokenizer first")
    if not len(texts):
        raise ValueError("texts is empty; give at least one text")
    return [flat(text, f"text {number}") for number, text in enumerate(texts)]
