"""WordPiece, the tokeniser of BERT: plain words first, then the longest known pieces of each, from left to right.

``##`` marks a piece that continues a word: ``tokenization`` may become ``token ##ization``. A word that the pieces cannot spell
becomes ``[UNK]`` as a whole.

Sources: Devlin et al. 2019 (https://aclanthology.org/N19-1423) and its released code
(https://github.com/google-research/bert, ``tokenization.py``) for encoding; Schuster and Nakajima 2012, section 2, and Wu et
al. 2016, section 4.1 (https://arxiv.org/abs/1609.08144), for learning, of which no code was released.
"""

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import chain
from pathlib import Path
from typing import Any, SupportsIndex

from lmcore.merges import frequency, gain, learn, learn_by, ratio
from lmcore.tokenizer import Cache, Tokenizer, check_special, check_text, check_training_text, read_lines

BERT_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
UNKNOWN = "[UNK]"
PREFIX = "##"
SCORES = {"frequency": frequency, "ratio": ratio, "gain": gain}
# As in the code of BERT. Hugging Face has left out U+2B820 to U+2B91F.
CHINESE = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)


class WordPiece(Tokenizer):
    """BERT's tokeniser with a given vocabulary.

    Args:
        vocabulary: the tokens, ``[UNK]`` among them; those that continue a word start with ``##``.
        special: the special tokens.
        lower: whether text is lower-cased and loses its accents (BERT "uncased").
        longest: a word of more characters is ``[UNK]``.

    Raises:
        ValueError: the vocabulary is empty, holds a token twice, or lacks ``[UNK]`` or a special token.
    """

    def __init__(
        self, vocabulary: Iterable[str], special: Iterable[str] = BERT_SPECIAL, lower: bool = True, longest: int = 100
    ) -> None:
        super().__init__(vocabulary, special)
        if UNKNOWN not in self.number:
            raise ValueError(f"the vocabulary lacks {UNKNOWN}, the token of words that cannot be spelt; add it")
        self.lower, self.longest = lower, longest
        self._reach = max(map(len, self.vocabulary))
        self._cache = Cache(self._ids_of_word)

    @classmethod
    def train(
        cls,
        text: str,
        vocab_size: int,
        special: Iterable[str] = BERT_SPECIAL,
        lower: bool = True,
        score: str = "frequency",
        min_count: int = 1,
    ) -> "WordPiece":
        """Start from characters, and make the best pair one piece until the vocabulary is full.

        The vocabulary holds the special tokens, the characters, the characters with ``##``, and the pieces in the order of
        their making. Google never published its trainer; ``score`` says which account of it to follow.

        Args:
            text: the training text.
            vocab_size: the size of the vocabulary, all included; it stays smaller if nothing is left to merge.
            special, lower: as for the class.
            score: what the best pair has most of. ``"frequency"``: its count, as in BPE and in Hugging Face ``tokenizers``.
                ``"ratio"``: count(ab) / (count(a) count(b)), as in Hugging Face's course; best with a ``min_count``.
                ``"gain"``: the gain in the log-likelihood of the text, as in Schuster and Nakajima.
            min_count: rarer pairs are not merged.

        Raises:
            ValueError: the text is empty, ``vocab_size`` has no room for all characters, or ``score`` is none of the three.
        """
        special = check_special(special)
        if score not in SCORES:
            raise ValueError(f"score={score!r} is not a score; use one of {', '.join(SCORES)}")
        counts = Counter(basic_tokens(check_training_text(text), lower))
        if not counts:
            raise ValueError("the training text has no word in it, only control characters; give a text that one can see")
        alphabet = sorted(set(chain.from_iterable(counts)))
        inside = sorted(set(chain.from_iterable(word[1:] for word in counts)))
        tokens = [*alphabet, *(PREFIX + character for character in inside)]
        least = len(special) + len(tokens)
        if not isinstance(vocab_size, int) or vocab_size < least:
            raise ValueError(
                f"vocab_size={vocab_size!r}; this text needs at least {least}: {len(special)} special tokens, {len(alphabet)} "
                f"characters and {len(inside)} that continue a word"
            )
        # One character per token, as `learn` wants it: its place in `tokens`.
        opens = {character: chr(i) for i, character in enumerate(alphabet)}
        continues = {character: chr(len(alphabet) + i) for i, character in enumerate(inside)}
        words = {opens[word[0]] + "".join(continues[c] for c in word[1:]): count for word, count in counts.items()}
        wanted = (len(tokens), vocab_size - least, min_count)
        pairs, _ = learn(words, *wanted) if score == "frequency" else learn_by(SCORES[score], words, *wanted)
        for pair in pairs:
            tokens.append(tokens[ord(pair[0])] + tokens[ord(pair[1])].removeprefix(PREFIX))
        return cls([*special, *tokens], special, lower)

    def _encode(self, text: str) -> list[int]:
        return list(chain.from_iterable(map(self._cache.__getitem__, basic_tokens(text, self.lower))))

    def _ids_of_word(self, word: str) -> tuple[int, ...]:
        """The longest piece in the vocabulary that starts the word, then the longest that goes on from there, to the end."""
        ids: list[int] = []
        start = 0
        while start < len(word) <= self.longest:
            prefix = PREFIX if start else ""
            for end in range(min(len(word), start + self._reach), start, -1):
                if (piece := self.number.get(prefix + word[start:end])) is not None:
                    ids.append(piece)
                    start = end
                    break
            else:
                return (self.number[UNKNOWN],)
        return tuple(ids) or (self.number[UNKNOWN],)

    def decode(self, ids: Iterable[SupportsIndex]) -> str:
        """The pieces, put together to words, with one space between two words. Case, accents and white space are lost."""
        return " ".join(self._spell(ids)).replace(f" {PREFIX}", "")

    def save(self, path: str | Path) -> None:
        """Write a ``vocab.txt`` in BERT's format: one token per line, in the order of their numbers."""
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text("".join(f"{token}\n" for token in self.vocabulary), encoding="utf-8", newline="\n")

    @classmethod
    def load(cls, path: str | Path, special: Iterable[str] | None = None, lower: bool = True) -> "WordPiece":
        """Read BERT's ``vocab.txt``.

        Args:
            path: the file.
            special: which tokens are special; by default BERT's five, as far as the vocabulary has them.
            lower: whether it is the vocabulary of an uncased model; the file does not say.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is broken.
        """
        vocabulary = read_lines(path, "vocabulary")
        if special is None:
            special = [token for token in BERT_SPECIAL if token in vocabulary]
        return cls(vocabulary, special, lower)

    def to_huggingface(self) -> Any:
        """The same tokeniser as a ``tokenizers.Tokenizer``, which works on many texts in parallel."""
        import tokenizers
        from tokenizers import decoders, models, normalizers, pre_tokenizers

        model = models.WordPiece(
            vocab=self.number, unk_token=UNKNOWN, max_input_chars_per_word=self.longest, continuing_subword_prefix=PREFIX
        )
        fast = tokenizers.Tokenizer(model)
        fast.normalizer = normalizers.BertNormalizer(lowercase=self.lower)
        fast.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        fast.decoder = decoders.WordPiece(prefix=PREFIX, cleanup=False)
        fast.add_special_tokens(list(self.special))
        return fast


def basic_tokens(text: str, lower: bool = True) -> list[str]:
    """BERT's words: text without control characters, cut at white space, punctuation marks and Chinese characters.

    With ``lower``, accents are taken off (canonical decomposition, then no combining marks) and letters become lower case.
    What is a mark, an accent or a control character is what Python's ``unicodedata`` says.
    """
    text = check_text(text).translate(_CLEAN)
    if lower:
        text = unicodedata.normalize("NFD", text).translate(_PLAIN)
    return text.translate(_APART).split()


class _Table(dict[int, str]):
    """A table for ``str.translate`` that works out what becomes of a character when it is met for the first time."""

    def __init__(self, becomes: Callable[[str], str]) -> None:
        self.becomes = becomes

    def __missing__(self, code: int) -> str:
        self[code] = self.becomes(chr(code))
        return self[code]


def _clean(c: str) -> str:
    if c in "\t\n\r":
        return " "
    if c == "\ufffd" or unicodedata.category(c).startswith("C"):  # controls, formats, unassigned
        return ""
    if any(first <= ord(c) <= last for first, last in CHINESE):
        return f" {c} "
    return " " if c.isspace() else c


def _plain(c: str) -> str:
    return "" if unicodedata.category(c) == "Mn" else c.lower()


def _apart(c: str) -> str:
    # BERT counts all visible ASCII characters that are no letter or digit, such as $ and ^, as punctuation.
    mark = unicodedata.category(c).startswith("P") or (c.isascii() and c.isprintable() and not c.isalnum())
    return f" {c} " if mark else c


_CLEAN, _PLAIN, _APART = _Table(_clean), _Table(_plain), _Table(_apart)
