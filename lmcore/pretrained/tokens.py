"""Tokenisers of other people's models, where they are byte-level BPE: GPT-2's, and those that came after it."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lmcore.bpe import BPE
from lmcore.pieces import GPT2_PATTERN, SYMBOLS
from lmcore.pretrained.tables import read_json

# GPT-2's pattern after every digit was cut out alone: white space before a digit is at the end of its piece.
DIGITS_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d|\p{N}| ?\p{L}+| ?[^\s\p{L}\p{N}]+|\s+(?![^\s\p{N}])|\s+"


class SparseBPE(BPE):
    """A byte-level BPE whose vocabulary lacks some bytes, as SmolLM's does: such bytes are left out of every text
    before anything is merged, as Hugging Face's tokenizers do.

    They are bytes that occur in no text, or in none that the tokeniser has learned from. Otherwise it is a
    :class:`lmcore.bpe.BPE`, with the same arguments.
    """

    def __init__(
        self,
        vocabulary: Iterable[str],
        merges: Iterable[tuple[str, str]],
        pattern: str = GPT2_PATTERN,
        special: Iterable[str] = (),
    ) -> None:
        known = list(vocabulary)
        missing = set(SYMBOLS) - set(known)
        super().__init__([*known, *sorted(missing)], merges, pattern, special)
        self.vocabulary = tuple(known)
        for symbol in missing:
            del self.number[symbol]
        self._absent = dict.fromkeys(SYMBOLS.index(symbol) for symbol in missing)

    def _units_of(self, piece: str) -> str:
        return super()._units_of(piece).translate(self._absent)


def load_tokenizer(folder: str | Path) -> BPE:
    """The tokeniser of a model's folder, if it is a byte-level BPE.

    ``tokenizer.json`` is read if it is there; it says how texts are cut into pieces, as in SmolLM and Llama 3. Otherwise
    ``vocab.json`` and ``merges.txt`` are read, whose pieces are GPT-2's. Added tokens are special tokens. What a tokeniser puts
    in front of every text is left to the caller.

    Args:
        folder: with one or the other.

    Raises:
        FileNotFoundError: neither is there.
        ValueError: a file is broken, or it is another kind of tokeniser, such as SentencePiece of Llama 1 and 2.
    """
    path = Path(folder) / "tokenizer.json"
    if not path.is_file():
        return BPE.load(folder)
    given = read_json(path)
    model = given.get("model")
    if not isinstance(model, dict) or not {"vocab", "merges"} <= model.keys() or model.get("type", "BPE") != "BPE":
        raise ValueError(f"{path} holds no byte-pair encoding; read it with another library, such as Hugging Face's tokenizers")
    pattern = _pattern(given, path)
    number = dict(model["vocab"]) | {token["content"]: token["id"] for token in given.get("added_tokens") or ()}
    if sorted(number.values()) != list(range(len(number))):
        raise ValueError(f"{path} must number its tokens 0, 1, 2, … and use every number once")
    pairs = [pair.split(" ") if isinstance(pair, str) else pair for pair in model["merges"]]
    special = [token["content"] for token in given.get("added_tokens") or ()]
    kind = BPE if set(SYMBOLS) <= number.keys() else SparseBPE
    return kind(sorted(number, key=number.__getitem__), [(left, right) for left, right in pairs], pattern, special)


def _pattern(given: Mapping[str, Any], path: Path) -> str:
    """The pattern that cuts a text as the steps in the file do."""
    before = given.get("pre_tokenizer") or {}
    steps = before.get("pretokenizers", [before])
    kinds = [step.get("type") for step in steps]
    plain = not given.get("normalizer") and kinds[-1] == "ByteLevel" and not steps[-1].get("add_prefix_space", True)
    own = bool(steps[-1].get("use_regex", True))  # ByteLevel's own pattern is GPT-2's
    if plain and kinds == ["ByteLevel"] and own:
        return GPT2_PATTERN
    if plain and kinds == ["Digits", "ByteLevel"] and own and steps[0].get("individual_digits"):
        return DIGITS_PATTERN
    if plain and kinds == ["Split", "ByteLevel"] and not own and steps[0].get("behavior") == "Isolated":
        pattern = (steps[0].get("pattern") or {}).get("Regex")
        if isinstance(pattern, str) and not steps[0].get("invert"):
            return pattern
    raise ValueError(
        f"{path} cuts texts by {', '.join(map(str, kinds))}, which is no byte-level BPE that can be read here (SentencePiece "
        "is none either); read it with Hugging Face's tokenizers, whose numbers the model takes"
    )
