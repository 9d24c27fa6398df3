"""Byte-level byte-pair encoding, the tokeniser of GPT-2: every text has an encoding, and no token is ever unknown.

A text is cut into pieces by a pattern (a word with the space before it, a number, a run of punctuation, white space). Each
piece is written as UTF-8 bytes, and the merges, replayed in the order in which they were learned, make tokens of them.

Source: Radford et al. 2019, *Language Models are Unsupervised Multitask Learners*, section 2.2; the file format and the byte
symbols are those of its released code (https://github.com/openai/gpt-2, ``src/encoder.py``).
"""

import json
from collections import Counter
from collections.abc import Iterable
from heapq import heapify, heappop, heappush
from itertools import chain, repeat
from operator import add
from pathlib import Path
from typing import Any, SupportsIndex

from lmcore import END, MASK, PAD, START, UNK
from lmcore.merges import MOST_TOKENS, learn
from lmcore.pieces import BYTE_OF, GPT2_PATTERN, SYMBOLS, finder, units_of
from lmcore.tokenizer import (
    Cache,
    Tokenizer,
    check_ids,
    check_special,
    check_text,
    check_training_text,
    read_lines,
    special_pattern,
)

END_OF_TEXT = "<|endoftext|>"

_NEVER = 2**62
_LONG = 200


class BPE(Tokenizer):
    """Byte-level BPE with a vocabulary and an ordered list of merges.

    ``vocabulary`` spells a token in GPT-2's visible characters, where a space is ``Ġ`` and a line end ``Ċ``;
    :meth:`decode_bytes` gives the bytes themselves.

    Args:
        vocabulary: all 256 byte symbols, the results of all merges, and the special tokens, in any order.
        merges: pairs of tokens, the first learned first.
        pattern: what is one piece, for the ``regex`` module; every character of a text must belong to a piece.
        special: the special tokens.

    Raises:
        ValueError: the vocabulary lacks a byte or the result of a merge; a token is made by no merge and is not special; or a
            merge uses a token that an earlier merge has not made.
    """

    def __init__(
        self,
        vocabulary: Iterable[str],
        merges: Iterable[tuple[str, str]],
        pattern: str = GPT2_PATTERN,
        special: Iterable[str] = (),
    ) -> None:
        super().__init__(vocabulary, special)
        self.merges: tuple[tuple[str, str], ...] = tuple(merges)
        self.pattern = pattern
        self._find = finder(pattern)
        self._set_units()
        self._cache = Cache(self._ids_of_piece)

    def _set_units(self) -> None:
        """Give every byte and every merged token a character of its own, its unit, so that a piece is a short string."""
        if missing := [symbol for symbol in SYMBOLS if symbol not in self.number]:
            raise ValueError(
                f"the vocabulary lacks {len(missing)} of the 256 byte symbols (first: {missing[0]!r}); is it a byte-level one?"
            )
        unit = {symbol: chr(i) for i, symbol in enumerate(SYMBOLS)}
        self._pairs: list[str] = []  # the pair that merge i joins, in units
        self._made: list[str] = []  # and the unit it becomes
        used: set[str] = set()
        for i, (left, right) in enumerate(self.merges):
            if (token := left + right) not in self.number:
                raise ValueError(
                    f"merge {i + 1} makes {token!r}, which is not in the vocabulary; the two do not belong together"
                )
            if left not in unit or right not in unit or token in used:
                raise ValueError(
                    f"merge {i + 1}, {left!r} and {right!r}, is out of order: a token must be made before it is used"
                )
            self._pairs.append(unit[left] + unit[right])
            self._made.append(unit.setdefault(token, chr(len(unit))))
            used |= {left, right}
        self._rank = {pair: i for i, pair in enumerate(self._pairs)}
        if len(self._rank) < len(self._pairs):
            raise ValueError("a pair is merged twice; every merge must be a different pair")
        if left_over := [token for token in self.vocabulary if token not in unit and token not in self.special]:
            raise ValueError(
                f"{len(left_over)} tokens, such as {left_over[0]!r}, are made by no merge; "
                "name them in special if they are special tokens, otherwise the list of merges was cut short"
            )
        self._id_of_unit = [self.number[token] for token in unit]
        spelt = set(self.special)
        self._bytes = [
            token.encode() if token in spelt else bytes(BYTE_OF[symbol] for symbol in token) for token in self.vocabulary
        ]

    @classmethod
    def train(
        cls,
        text: str | Iterable[str],
        vocab_size: int,
        pattern: str = GPT2_PATTERN,
        special: Iterable[str] = (),
        min_count: int = 1,
    ) -> "BPE":
        """Learn the merges of ``text``: the 256 bytes come first, then the merged tokens, then the special ones.

        Equally frequent pairs: see the tie rule of :mod:`lmcore.merges`. The tokeniser remembers how the pieces of the
        training text are cut, so that encoding starts warm.

        Args:
            text: a text, or several (then no piece crosses from one into the next).
            vocab_size: the size of the vocabulary, bytes and special tokens included; it stays smaller if the text has no
                pair left to merge.
            pattern: what is one piece.
            special: special tokens, cut out of the text before anything is counted.
            min_count: rarer pairs are not merged.

        Raises:
            ValueError: the text is empty, or ``vocab_size`` is below 256 plus the number of special tokens.
        """
        special = check_special(special)
        least = 256 + len(special)
        if not isinstance(vocab_size, int) or not least <= vocab_size < MOST_TOKENS:
            reason = f"256 bytes and {len(special)} special tokens" if special else "the 256 bytes"
            raise ValueError(f"vocab_size={vocab_size!r}; give a whole number from {least} ({reason}) to {MOST_TOKENS - 1}")
        if not isinstance(min_count, int) or min_count < 1:
            raise ValueError(f"min_count={min_count!r} is not a count; use a whole number from 1 on")
        texts = list(text) if isinstance(text, Iterable) and not isinstance(text, str | bytes) else [text]
        check_training_text("".join(map(_check_encodable, texts)))
        find, separator = finder(pattern), special_pattern(special)
        parts = chain.from_iterable(separator.split(t)[::2] if separator else [t] for t in texts)
        counts = Counter(chain.from_iterable(map(find, parts)))
        words = {units_of(piece): count for piece, count in counts.items()}
        pairs, segmented = learn(words, 256, vocab_size - least, min_count)
        symbols, merges = list(SYMBOLS), []
        for pair in pairs:
            left, right = (symbols[ord(unit)] for unit in pair)
            symbols.append(left + right)
            merges.append((left, right))
        tokenizer = cls([*symbols, *special], merges, pattern, special)
        for piece, units in zip(counts, segmented, strict=True):
            tokenizer._cache[piece] = tuple(map(ord, units))
        return tokenizer

    def _encode(self, text: str) -> list[int]:
        return self._ids(_check_encodable(text))

    def encode_bytes(self, data: bytes) -> list[int]:
        """The numbers of the tokens of any bytes; of UTF-8, the same as ``encode`` of the text. No special tokens.

        Raises:
            ValueError: ``data`` is not bytes.
        """
        if not isinstance(data, bytes | bytearray | memoryview):
            raise ValueError(f"data is a {type(data).__name__}; give bytes, or use encode for a string")
        return self._ids(bytes(data).decode("utf-8", errors="surrogateescape"))

    def _ids(self, text: str) -> list[int]:
        return list(chain.from_iterable(map(self._cache.__getitem__, self._find(text))))

    def _ids_of_piece(self, piece: str) -> tuple[int, ...]:
        units = self._units_of(piece)
        merged = self._merge(units) if len(units) < _LONG else self._merge_long(units)
        return tuple(self._id_of_unit[ord(unit)] for unit in merged)

    def _units_of(self, piece: str) -> str:
        """What is merged: the bytes of the piece, as units."""
        return units_of(piece)

    def _merge(self, units: str) -> str:
        """Replay the merges: join the pair that was learned first, wherever it stands, until no pair is left.

        The next pair is always one that was learned later, because a merge uses only tokens that earlier merges made.
        """
        while len(units) > 1:
            first = min(map(self._rank.get, map(add, units, units[1:]), repeat(_NEVER)))
            if first == _NEVER:
                break
            units = units.replace(self._pairs[first], self._made[first])
        return units

    def _merge_long(self, units: str) -> list[str]:
        """The same in O(n log n) steps for n units, where :meth:`_merge` needs n times the number of different merges."""
        at = [*units, ""]  # the token that starts at each place, "" for none
        left, right = [*range(-1, len(units))], [*range(1, len(units) + 2)]
        rank, pairs = self._rank, self._pairs
        heap = [(rank[pair], i) for i, pair in enumerate(map(add, units, units[1:])) if pair in rank]
        heapify(heap)
        while heap:
            first, i = heappop(heap)
            gone = right[i]
            if not at[i] or at[i] + at[gone] != pairs[first]:
                continue  # another merge took one of the two
            at[i], at[gone] = self._made[first], ""
            right[i] = right[gone]
            left[right[i]] = i
            for start, pair in ((left[i], at[left[i]] + at[i]), (i, at[i] + at[right[i]])):
                if pair in rank:
                    heappush(heap, (rank[pair], start))
        return [token for token in at if token]

    def decode_bytes(self, ids: Iterable[SupportsIndex]) -> bytes:
        """The bytes that these numbers stand for; a special token as it is spelt, in UTF-8.

        Raises:
            ValueError: a number is not a token's number.
        """
        return b"".join([self._bytes[i] for i in check_ids(ids, len(self))])

    def decode(self, ids: Iterable[SupportsIndex], errors: str = "replace") -> str:
        """The text that these numbers stand for.

        A token may end in the middle of a character, so that a part of an encoding need not be UTF-8.

        Args:
            ids: token numbers.
            errors: what to do then, as for ``bytes.decode``: ``"replace"`` writes U+FFFD, ``"strict"`` raises, ``"ignore"``
                leaves the bytes out.

        Raises:
            ValueError: a number is not a token's number; or, with ``errors="strict"``, the bytes are not UTF-8.
        """
        data = self.decode_bytes(ids)
        try:
            return data.decode("utf-8", errors=errors)
        except LookupError:
            raise ValueError(f"errors={errors!r} is not a way to treat errors; use 'replace', 'strict' or 'ignore'") from None

    def save(self, folder: str | Path) -> None:
        """Write ``vocab.json`` and ``merges.txt`` in GPT-2's format. The pattern is not part of it."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "vocab.json").write_text(json.dumps(self.number, ensure_ascii=False), encoding="utf-8")
        lines = ["#version: 0.2", *map(" ".join, self.merges), ""]
        (folder / "merges.txt").write_text("\n".join(lines), encoding="utf-8", newline="\n")

    @classmethod
    def load(cls, folder: str | Path, pattern: str = GPT2_PATTERN, special: Iterable[str] | None = None) -> "BPE":
        """Read ``vocab.json`` and ``merges.txt``, as GPT-2, Hugging Face ``tokenizers`` and :meth:`save` write them.

        Args:
            folder: where the two files are.
            pattern: what is one piece; the files do not say.
            special: which tokens are special; the files do not say. By default ``<|endoftext|>`` and the five of
                :mod:`lmcore`, as far as the vocabulary has them.

        Raises:
            FileNotFoundError: one of the files is missing.
            ValueError: one of them is broken, or the two do not belong together.
        """
        path = Path(folder) / "vocab.json"
        try:
            number = json.loads("\n".join(read_lines(path, "vocabulary")))
        except json.JSONDecodeError as error:
            raise ValueError(f"{path} is not JSON ({error}); it must map each token to its number") from None
        if not isinstance(number, dict) or sorted(map(repr, number.values())) != sorted(map(repr, range(len(number)))):
            raise ValueError(f"{path} must map each token to its number, with the numbers 0, 1, 2, … used once each")
        merges = _read_merges(Path(folder) / "merges.txt")
        if special is None:
            special = [token for token in (END_OF_TEXT, PAD, START, END, UNK, MASK) if token in number]
        return cls(sorted(number, key=number.__getitem__), merges, pattern, special)

    def to_huggingface(self) -> Any:
        """The same tokeniser as a ``tokenizers.Tokenizer``, which works on many texts in parallel.

        Its ``decode`` leaves special tokens out unless told ``skip_special_tokens=False``.
        """
        import tokenizers
        from tokenizers import decoders, models, pre_tokenizers

        fast = tokenizers.Tokenizer(models.BPE(vocab=self.number, merges=list(self.merges)))
        split = pre_tokenizers.Split(tokenizers.Regex(self.pattern), "isolated")
        fast.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
        fast.decoder = decoders.ByteLevel()
        fast.add_special_tokens(list(self.special))
        return fast


def _check_encodable(text: str) -> str:
    try:
        check_text(text).encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"the text has half of a surrogate pair at place {error.start}, which is no character; "
            "use encode_bytes for raw bytes, or text.encode(errors='replace').decode()"
        ) from None
    return text


def _read_merges(path: Path) -> list[tuple[str, str]]:
    merges = []
    for i, line in enumerate(read_lines(path, "list of merges")):
        if line and not (i == 0 and line.startswith("#version")):
            left, _, right = line.partition(" ")
            if not (left and right) or " " in right:
                raise ValueError(
                    f"line {i + 1} of {path} is {line!r}; every line must hold two tokens and one space between them"
                )
            merges.append((left, right))
    return merges
