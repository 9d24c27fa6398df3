"""What attention remembers of the keys and values it has seen, so that a text is read once and not again for every new word."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lmcore.attention.masks import given


class Cache:
    """Keys and values of one attention layer, (B, H, S, D) each; H is the number of key heads.

    For self-attention every call appends the keys and values of the new words. For attention to another text, they are
    computed at the first call and read again by all others. The numbers stand in a piece of memory that is larger than needed,
    so that appending one word copies one word; when it is full, it is doubled. Where gradients are recorded, which need every
    version of it, the parts are joined to new tensors instead.

    A cache changes when it is appended to. A :meth:`copy` costs nothing and stays what it is: copies share memory for as long
    as only one of them is appended to.

    Args:
        capacity: for how many words to make room at the first call, if the final length is known.
    """

    def __init__(self, capacity: int = 0):
        self.length, self._capacity = 0, capacity
        self._room: _Room | None = None

    def __len__(self) -> int:
        """S, how many words it holds."""
        return self.length

    @property
    def keys(self) -> Float[Tensor, "B H S D"]:
        """The keys of all words so far."""
        return self._of(0)

    @property
    def values(self) -> Float[Tensor, "B H S D"]:
        """The values of all words so far."""
        return self._of(1)

    def append(
        self, keys: Float[Tensor, "B H N D"], values: Float[Tensor, "B H N D"]
    ) -> tuple[Float[Tensor, "B H S D"], Float[Tensor, "B H S D"]]:
        """Take in N more words; the keys and values of all words so far.

        Raises:
            ValueError: the shapes are not those of the words before.
        """
        if keys.ndim != 4 or keys.shape != values.shape:
            raise ValueError(f"keys and values must have one shape (B, H, N, D); got {given(keys)} and {given(values)}")
        new, end = (keys, values), self.length + keys.shape[2]
        room = self._room
        if room is not None:
            have = room.parts[0].shape
            if (have[0], have[1], have[3]) != (keys.shape[0], keys.shape[1], keys.shape[3]):
                raise ValueError(
                    f"the cache holds keys of shape {tuple(self.keys.shape)}, and {tuple(keys.shape)} do not fit behind them: "
                    "batch, heads and width must agree; use select() to choose texts, or begin with a new cache"
                )
        if torch.is_grad_enabled():
            parts = new if room is None else tuple(torch.cat([self._of(i), new[i]], dim=2) for i in (0, 1))
            self._room = _Room(parts, end)
        else:
            if room is None or room.filled != self.length or end > room.parts[0].shape[2]:
                room = self._larger(new, max(end, self._capacity if room is None else 2 * self.length))
            for part, some in zip(room.parts, new, strict=True):
                part[:, :, self.length : end] = some
            room.filled, self._room = end, room
        self.length = end
        return self.keys, self.values

    def select(self, rows: Int[Tensor, " N"]) -> "Cache":
        """A cache of these texts, in this order; a text may be named several times."""
        chosen = Cache(self._capacity)
        if self._room is not None:
            chosen._room = _Room(tuple(part[rows] for part in self._room.parts), self.length)
            chosen.length = self.length
        return chosen

    def copy(self) -> "Cache":
        """The same words; what is appended to the one is not appended to the other."""
        twin = Cache(self._capacity)
        twin.length, twin._room = self.length, self._room
        return twin

    def _of(self, i: int) -> Tensor:
        if self._room is None:
            raise ValueError("the cache is empty; append keys and values first")
        return self._room.parts[i][:, :, : self.length]

    def _larger(self, like: tuple[Tensor, Tensor], capacity: int) -> "_Room":
        """Memory for so many words, with those of this cache in it."""
        B, H, _, D = like[0].shape
        parts = tuple(some.new_empty(B, H, capacity, D) for some in like)
        if self._room is not None:
            for i, part in enumerate(parts):
                part[:, :, : self.length] = self._of(i)
        return _Room(parts, self.length)


class _Room:
    """Memory that several caches may share: two tensors, and how many words have been written into them."""

    def __init__(self, parts: tuple[Tensor, ...], filled: int):
        self.parts, self.filled = parts, filled
