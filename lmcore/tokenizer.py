"""From text to numbers and back: what every tokeniser can do, and the two simplest ones, characters and words.

A tokeniser owns a vocabulary, an ordered list of tokens, and a token's number is its place in it. ``encode`` cuts a text into
tokens and gives their numbers; ``decode`` turns numbers into text. Byte-level BPE is in :mod:`lmcore.bpe`, WordPiece in
:mod:`lmcore.wordpiece`.

Special tokens (``<pad>``, ``<start>``, ``<end>``, ``<unk>``, ``<mask>``) stand for something that is not text: padding, the two
ends of a text, an unknown unit, a hidden one. Written in a text they are found before anything else is cut.
"""

import operator
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import SupportsIndex

from lmcore import UNK

# A word keeps the apostrophes inside it; every other visible character is a token of its own.
WORD_PATTERN = r"\w+(?:['’]\w+)*|[^\w\s]"


class Tokenizer(ABC):
    """What all tokenisers share.

    Args:
        vocabulary: the tokens; a token's number is its place here.
        special: those of them that are special tokens.

    Raises:
        ValueError: the vocabulary is empty or holds a token twice, or a special token is missing from it.
    """

    def __init__(self, vocabulary: Iterable[str], special: Iterable[str] = ()) -> None:
        self.vocabulary: tuple[str, ...] = tuple(vocabulary)
        self.special: tuple[str, ...] = check_special(special)
        self.number: dict[str, int] = {token: i for i, token in enumerate(self.vocabulary)}
        if not self.vocabulary:
            raise ValueError("the vocabulary is empty; give at least one token")
        if len(self.number) < len(self.vocabulary):
            twice = next(token for i, token in enumerate(self.vocabulary) if self.number[token] != i)
            raise ValueError(f"the token {twice!r} is in the vocabulary twice; every token needs one number")
        if missing := [token for token in self.special if token not in self.number]:
            raise ValueError(
                f"special tokens {missing} are not in the vocabulary; add them to it, or leave them out of special"
            )
        self._special = special_pattern(self.special)

    def __len__(self) -> int:
        return len(self.vocabulary)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self):,} tokens, special: {' '.join(self.special) or 'none'})"

    def encode(self, text: str, special: bool = True) -> list[int]:
        """The numbers of the tokens of ``text``.

        Args:
            text: any string.
            special: whether a special token written in the text becomes its own number. Say ``False`` for text from
                people you do not trust: then ``<end>`` is five characters like any others.

        Raises:
            ValueError: ``text`` is not a string, or holds a unit that is not in a vocabulary without an unknown token.
        """
        check_text(text)
        if not (special and self._special):
            return self._encode(text)
        ids: list[int] = []
        for i, part in enumerate(self._special.split(text)):  # text, special, text, special, … text
            if part:
                ids.extend([self.number[part]] if i % 2 else self._encode(part))
        return ids

    @abstractmethod
    def _encode(self, text: str) -> list[int]:
        """The numbers of the tokens of ``text``, in which no special token is looked for."""

    @abstractmethod
    def decode(self, ids: Iterable[SupportsIndex]) -> str:
        """The text that these numbers stand for.

        Raises:
            ValueError: a number is not a token's number.
        """

    def tokens(self, text: str, special: bool = True) -> list[str]:
        """The tokens of ``text`` as the vocabulary spells them: ``[vocabulary[i] for i in encode(text)]``."""
        return [self.vocabulary[i] for i in self.encode(text, special)]

    def _spell(self, ids: Iterable[SupportsIndex]) -> list[str]:
        return [self.vocabulary[i] for i in check_ids(ids, len(self))]


class CharTokenizer(Tokenizer):
    """One token per character. A character outside the vocabulary becomes ``<unk>``."""

    @classmethod
    def train(cls, text: str, special: Iterable[str] = (UNK,)) -> "CharTokenizer":
        """The characters of ``text`` in the order of their code points, after the special tokens.

        Raises:
            ValueError: ``text`` is empty or not a string.
        """
        special = check_special(special)
        return cls((*special, *sorted(set(check_training_text(text)))), special)

    def _encode(self, text: str) -> list[int]:
        if UNK in self.number:
            unknown = self.number[UNK]
            return [self.number.get(character, unknown) for character in text]
        if strange := set(text) - set(self.vocabulary):
            raise ValueError(
                f"{sorted(strange)} are not in a vocabulary without {UNK}; train on a text that has them, or add {UNK}"
            )
        return [self.number[character] for character in text]

    def decode(self, ids: Iterable[SupportsIndex]) -> str:
        """The characters, one after the other; a special token as it is spelt."""
        return "".join(self._spell(ids))


class WordTokenizer(Tokenizer):
    """One token per word or punctuation mark. A word outside the vocabulary becomes ``<unk>``.

    The splitter, :data:`WORD_PATTERN`, throws white space away and takes punctuation off words, but leaves apostrophes inside
    them: ``Don't stop.`` has the tokens ``Don't``, ``stop``, ``.``. The pattern ``\\S+`` splits at white space only.

    Args:
        vocabulary, special: see :class:`Tokenizer`; ``<unk>`` must be among them.
        lower: whether ``The`` and ``the`` are one word.
        pattern: what counts as a token, for Python's ``re``.
    """

    def __init__(
        self, vocabulary: Iterable[str], special: Iterable[str] = (UNK,), lower: bool = False, pattern: str = WORD_PATTERN
    ) -> None:
        super().__init__(vocabulary, special)
        if UNK not in self.number:
            raise ValueError(f"a word vocabulary needs {UNK} for the words it does not have; add it")
        self.lower, self.pattern = lower, pattern
        self._find = _findall(pattern)

    @classmethod
    def train(
        cls,
        text: str,
        size: int | None = None,
        lower: bool = False,
        special: Iterable[str] = (UNK,),
        pattern: str = WORD_PATTERN,
        min_count: int = 1,
    ) -> "WordTokenizer":
        """The most frequent words of ``text``, after the special tokens; equally frequent ones in alphabetical order.

        Args:
            text: the training text.
            size: the size of the vocabulary, special tokens included; ``None`` for all words.
            lower, special, pattern: as for the class.
            min_count: rarer words stay out.

        Raises:
            ValueError: the text is empty, or ``size`` leaves no room for a word.
        """
        special = check_special(special)
        if size is not None and (not isinstance(size, int) or size <= len(special)):
            raise ValueError(
                f"size={size!r} leaves no room for a word beside {len(special)} special tokens; use a larger whole number"
            )
        if not isinstance(min_count, int) or min_count < 1:
            raise ValueError(f"min_count={min_count!r} is not a count; use a whole number from 1 on")
        check_training_text(text)
        counts = Counter(_findall(pattern)(text.lower() if lower else text))
        for token in special:
            counts.pop(token, None)
        ranked = sorted((word for word in counts if counts[word] >= min_count), key=lambda word: (-counts[word], word))
        return cls((*special, *ranked[: None if size is None else size - len(special)]), special, lower, pattern)

    def words(self, text: str) -> list[str]:
        """The words and marks of ``text``, whether the vocabulary has them or not."""
        return self._find(check_text(text).lower() if self.lower else check_text(text))

    def _encode(self, text: str) -> list[int]:
        unknown = self.number[UNK]
        return [self.number.get(word, unknown) for word in self.words(text)]

    def decode(self, ids: Iterable[SupportsIndex]) -> str:
        """The words with one space between two. The white space of the text they came from is lost."""
        return " ".join(self._spell(ids))


def _findall(pattern: str) -> Callable[[str], list[str]]:
    try:
        return re.compile(pattern).findall
    except (re.error, TypeError) as error:
        raise ValueError(f"{pattern!r} is not a regular expression for Python's re: {error}") from None


class Cache(dict[str, tuple[int, ...]]):
    """The token numbers of each piece of text, worked out when a piece is asked for the first time."""

    def __init__(self, work_out: Callable[[str], tuple[int, ...]], most: int = 2**20) -> None:
        self.work_out, self.most = work_out, most

    def __missing__(self, piece: str) -> tuple[int, ...]:
        ids = self.work_out(piece)
        if len(self) < self.most:
            self[piece] = ids
        return ids


def check_text(text: str) -> str:
    """``text``, if it is a string.

    Raises:
        ValueError: it is not.
    """
    if not isinstance(text, str):
        hint = "; decode bytes first, or use encode_bytes of a byte-level tokeniser" if isinstance(text, bytes) else ""
        raise ValueError(f"the text is a {type(text).__name__}; give one string{hint}")
    return text


def check_training_text(text: str) -> str:
    """``text``, if it is a string with something to learn from.

    Raises:
        ValueError: it is not a string, or only white space.
    """
    if not check_text(text).strip():
        raise ValueError("the training text is empty; give a text with at least one visible character")
    return text


def check_special(special: Iterable[str]) -> tuple[str, ...]:
    """``special`` as a tuple of different, non-empty strings.

    Raises:
        ValueError: it is one string, or holds something else.
    """
    tokens = () if isinstance(special, str) else tuple(special)
    if isinstance(special, str) or not all(isinstance(t, str) and t for t in tokens) or len(set(tokens)) < len(tokens):
        raise ValueError(
            f"special={special!r} is not a list of different, non-empty strings; use for example ['<pad>', '<end>']"
        )
    return tokens


def check_ids(ids: Iterable[SupportsIndex], size: int) -> list[int]:
    """``ids`` as a list of Python integers from 0 to ``size - 1``; NumPy's and torch's integers will do.

    Raises:
        ValueError: a number is no integer or outside the vocabulary.
    """
    try:
        numbers = list(map(operator.index, ids))
    except TypeError:
        raise ValueError(f"{ids!r} is not a sequence of token numbers; give whole numbers from 0 to {size - 1}") from None
    if numbers and (min(numbers) < 0 or max(numbers) >= size):
        strange = next(i for i in numbers if not 0 <= i < size)
        raise ValueError(f"{strange} is not a token number of this vocabulary; allowed are 0 to {size - 1}")
    return numbers


def special_pattern(special: Sequence[str]) -> re.Pattern[str] | None:
    """A pattern with one group that finds the special tokens, of two at the same place the longer one; ``None`` for none."""
    if not special:
        return None
    return re.compile("(" + "|".join(re.escape(token) for token in sorted(special, key=len, reverse=True)) + ")")


def read_lines(path: str | Path, what: str) -> list[str]:
    """The lines of a UTF-8 file, without their line ends.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not UTF-8.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no {what} at {path}; give the path of an existing file")
    try:
        # Only \n and \r\n end a line here: a vocabulary may well hold U+2028 or U+0085.
        return path.read_bytes().decode("utf-8").replace("\r\n", "\n").removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a UTF-8 text file ({error}); a {what} must be one") from None
