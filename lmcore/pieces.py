"""What comes before the merges of byte-level BPE: cutting a text into pieces, and writing bytes as visible characters.

A piece is a word with the space before it, a number, a run of punctuation, or white space. GPT-2 (Radford et al. 2019, section
2.2) cuts so that no token holds parts of two words, or letters and punctuation; the pattern is the one of its released code,
https://github.com/openai/gpt-2, ``src/encoder.py``.
"""

import re
from collections.abc import Callable
from functools import partial

import regex

GPT2_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
# The same for text in ASCII, in the standard library's faster `re`. Its \s is spelt out, because it takes U+001C to U+001F.
ASCII_PATTERN = (
    r"'(?:[stmd]|re|ve|ll)| ?[A-Za-z]+| ?[0-9]+| ?[^ \t\n\v\f\rA-Za-z0-9]+|[ \t\n\v\f\r]+(?![^ \t\n\v\f\r])|[ \t\n\v\f\r]+"
)

# GPT-2 writes a byte as a visible character: itself if it is visible in Latin-1, else the next character from U+0100 on.
# Its vocabulary starts with the bytes in the order of these characters, and so does ours.
VISIBLE = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
BYTES = bytes([*VISIBLE, *sorted(set(range(256)) - set(VISIBLE))])  # byte of each of the first 256 tokens
SYMBOLS = [*map(chr, VISIBLE), *(chr(0x100 + i) for i in range(256 - len(VISIBLE)))]  # and how it is written
BYTE_OF = dict(zip(SYMBOLS, BYTES, strict=True))
_TO_UNITS = bytes(BYTES.index(byte) for byte in range(256))
_find_ascii = re.compile(ASCII_PATTERN).findall
_find_unicode = regex.compile(GPT2_PATTERN).findall


def gpt2_pieces(text: str) -> list[str]:
    """The pieces of ``text`` by :data:`GPT2_PATTERN`; joined, they are the text."""
    return _find_ascii(text) if text.isascii() else _find_unicode(text)


def finder(pattern: str) -> Callable[[str], list[str]]:
    """The function that cuts a text into the pieces that ``pattern`` matches.

    Raises:
        ValueError: ``pattern`` is no regular expression. The function raises it where the pattern leaves out part of a text.
    """
    if pattern == GPT2_PATTERN:
        return gpt2_pieces
    try:
        return partial(_matches, regex.compile(pattern))
    except (regex.error, TypeError) as error:
        raise ValueError(f"{pattern!r} is not a regular expression for the regex module: {error}") from None


def _matches(pattern: regex.Pattern[str], text: str) -> list[str]:
    pieces = [match.group() for match in pattern.finditer(text)]
    if sum(map(len, pieces)) < len(text):
        raise ValueError(f"the pattern {pattern.pattern!r} leaves out part of the text; give one that takes every character")
    return [piece for piece in pieces if piece]


def units_of(piece: str) -> str:
    """The bytes of ``piece``, each as the character whose code is the byte's token number."""
    return piece.encode("utf-8", errors="surrogateescape").translate(_TO_UNITS).decode("latin-1")
