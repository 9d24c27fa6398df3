"""The pre-tokeniser of GPT-2: the standard library's `re` on ASCII, `regex` elsewhere, the reference everywhere."""

import sys
import unicodedata
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import pre_tokenizers

from lmcore.pieces import BYTE_OF, GPT2_PATTERN, SYMBOLS, _find_ascii, _find_unicode, finder, gpt2_pieces, units_of

ASCII = [chr(i) for i in range(128)]
# The class of a character seldom changes. What version 3.2 of Unicode had assigned and kept is the same in every library.
SETTLED = [
    chr(i)
    for i in range(sys.maxunicode + 1)
    if "Cs" != unicodedata.category(chr(i)) == unicodedata.ucd_3_2_0.category(chr(i)) != "Cn"
]


def theirs(text: str) -> list[str]:
    """Hugging Face's pieces of ``text``, which it writes in byte symbols."""
    pieces = pre_tokenizers.ByteLevel(add_prefix_space=False).pre_tokenize_str(text)
    return [bytes(BYTE_OF[symbol] for symbol in piece).decode() for piece, _ in pieces]


def test_re_splits_ascii_as_regex_does() -> None:
    """The two patterns ask only which class a character is in, and for the seven endings.

    So it is enough that every single character is in the same class, and that all short texts over members of each class and
    the letters of the endings are cut alike.
    """
    for c in ASCII:
        for text in (c, f"a{c}a", f"1{c}1", f"!{c}!", f" {c} ", f"{c}{c}", f"'{c}"):
            assert _find_ascii(text) == _find_unicode(text), text
    for letters, length in (("a1! \n'", 6), ("'sre a", 5), ("'tvl.d", 5), ("'mLe \x1c", 5)):
        for characters in product(letters, repeat=length):
            text = "".join(characters)
            assert _find_ascii(text) == _find_unicode(text), text


@given(st.text(st.sampled_from(ASCII)))
def test_re_splits_ascii_as_regex_does_at_random(text: str) -> None:
    assert _find_ascii(text) == _find_unicode(text)


def test_every_settled_character_is_cut_as_the_reference_does() -> None:
    for start in range(0, len(SETTLED), 5000):
        text = "".join(f"a{c}1{c}!{c} {c}" for c in SETTLED[start : start + 5000])
        assert gpt2_pieces(text) == theirs(text)


@given(st.text(st.sampled_from(SETTLED)))
def test_pieces_are_the_references(text: str) -> None:
    assert gpt2_pieces(text) == theirs(text)


@given(st.text())
def test_pieces_join_to_the_text(text: str) -> None:
    assert "".join(gpt2_pieces(text)) == text
    assert "".join(finder(r"\d|\D+")(text)) == text


def test_byte_symbols() -> None:
    assert sorted(SYMBOLS) == SYMBOLS  # so that the numbers of the tokens are in the order of the symbols: the tie rule
    assert set(SYMBOLS) == set(pre_tokenizers.ByteLevel.alphabet())
    assert BYTE_OF["Ġ"] == ord(" ")
    assert BYTE_OF["Ċ"] == ord("\n")
    assert [ord(unit) for unit in units_of("é !")] == [SYMBOLS.index(symbol) for symbol in "Ã©Ġ!"]


def test_a_pattern_with_groups() -> None:
    assert finder(r"(a|b)+|.")("abc") == ["ab", "c"]


@pytest.mark.parametrize("pattern", ["(", None, 3])
def test_no_pattern(pattern, unchecked) -> None:
    with pytest.raises(ValueError, match="regular expression"):
        finder(pattern)


def test_a_pattern_that_drops_text() -> None:
    with pytest.raises(ValueError, match="every character"):
        finder(r"\w+")("two words")


def test_the_published_pattern() -> None:
    # Copied from encoder.py of openai/gpt-2.
    assert GPT2_PATTERN == r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
    assert _find_unicode("I'll've 12 cats!!  \n ok") == ["I", "'ll", "'ve", " 12", " cats", "!!", "  \n", " ok"]
