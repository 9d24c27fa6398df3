"""What the pages of a report share: what they are about, the frame, and text that may come from anybody.

A page is one file. Its Content-Security-Policy names the hashes of its own style and script, so nothing that a student wrote
can run in it or fetch anything, even if the escaping failed.
"""

import base64
import hashlib
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path

from lmcore.check.result import marked

HERE = Path(__file__).parent
GENERATOR = "lmcore grader"

# Sign and word of each status: colour is never the only channel.
STATUS = {
    "passed": ("✓", "right"),
    "partly": ("◐", "partly"),
    "failed": ("✗", "not right"),
    "unwritten": ("○", "not written"),
    "missing": ("–", "not there"),
    "crashed": ("!", "ended early"),
}

# Controls, line separators, halves of characters, and marks that turn the direction of the text after them.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_MARKS = "[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff]"
_TOWER = re.compile(f"({_MARKS}{{3}}){_MARKS}+")


@dataclass(frozen=True)
class About:
    """What was graded and how, for the words around the records.

    Attributes:
        title: of the class report.
        chapters: each chapter's questions with their possible points, in order.
        isolation: how code was run: ``bubblewrap``, ``user`` or ``trust``.
        banner: stands on top of the class report where the code was trusted; pages of feedback say it in words of their own.
        weaker: what the isolation does not guarantee, a sentence each.
        edition: of the exercises.
        partial: what a question that is right on some cases counts at most, as a share of its points.
        seeds: a sentence on where the hidden cases come from.
        json: where the record of a student stands beside the report, with ``{key}`` in it; no link if it is empty.
    """

    title: str
    chapters: Mapping[str, Mapping[str, int]]
    isolation: str = "bubblewrap"
    banner: str = ""
    weaker: tuple[str, ...] = ()
    edition: str = ""
    partial: float = 0.5
    seeds: str = ""
    json: str = ""


def said(text: str, limit: int = 2000) -> str:
    """Anybody's text as HTML: escaped, cut to ``limit`` characters, with what cannot be seen made visible."""
    if len(text) > limit:
        text = text[:limit] + " …"
    text = _TOWER.sub(r"\1", _UNSEEN.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", text))
    return escape(text)


def prose(text: str, limit: int = 2000) -> str:
    """The same for a hint: a paragraph for each line, and what it marks as code or stresses."""
    lines = [said(line) for line in text[:limit].split("\n") if line.strip()]
    return "".join(f'<p class="said">{marked(line)}</p>' for line in lines)


def named(name: str, limit: int = 60) -> str:
    """A person's name as HTML that keeps its direction to itself."""
    return f"<bdi>{said(' '.join(name.split()), limit) or '(no name)'}</bdi>"


def alphabetic(name: str) -> str:
    """What names are ordered by: Çelik stands between Carla and Chidi."""
    letters = unicodedata.normalize("NFKD", name.casefold())
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def number(value: float) -> str:
    """At most two decimals, none where there is nothing behind the point."""
    return f"{round(value, 2):g}"


def count(n: int, thing: str, things: str = "") -> str:
    """``1 student``, ``2 students``."""
    return f"{n} {thing if n == 1 else things or thing + 's'}"


def points(earned: float, possible: float) -> str:
    """``2.5 of 4 points``."""
    return f"{number(earned)} of {count(int(possible), 'point')}"


def chapter_title(chapter: str) -> str:
    """``ch02_tokens`` as ``Chapter 2: tokens``; the name of a private set in words."""
    if found := re.fullmatch(r"ch(\d\d)_(.+)", chapter):
        return f"Chapter {int(found[1])}: {in_words(found[2])}"
    return in_words(chapter)


def in_words(key: str) -> str:
    """A name from a program as words: ``once_per_word`` as ``once per word``."""
    return " ".join(key.split("_"))


def status(which: str, hidden_word: bool = False) -> str:
    """Sign and word of a status; the word may be for readers aloud only."""
    sign, word = STATUS[which]
    inside = f'<span class="{"aloud" if hidden_word else "word"}">{word}</span>'
    return f'<span class="status {which}"><span class="sign" aria-hidden="true">{sign}</span> {inside}</span>'


def bar(share: float, kind: str = "") -> str:
    """A horizontal bar; the number stands in words beside it."""
    width = f"{100 * share:.4g}%"
    return (
        f'<svg class="bar {kind}" aria-hidden="true"><rect class="all" width="100%" height="100%" rx="4"/>'
        f'<rect class="part" width="{width}" height="100%" rx="4"/></svg>'
    )


def scroll(label: str, table: str) -> str:
    """A table that scrolls inside itself, with the keyboard too."""
    return f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(label)}">{table}</div>'


def joined(parts: Iterable[str]) -> str:
    """The parts that are there, one per line."""
    return "\n".join(part for part in parts if part)


def banner(text: str) -> str:
    """What stands on top of a page where the code was trusted; nothing if there is nothing to say."""
    return f'<p class="banner"><strong>Please note.</strong> {said(text)}</p>' if text else ""


def how_points(about: About) -> str:
    """How the points of a question come about, in one or two sentences."""
    if not about.partial:
        return "A question counts in full when every case passes, and nothing otherwise."
    share = "half" if about.partial == 0.5 else f"{number(100 * about.partial)} %"
    return (
        f"A question counts in full when every case passes. Otherwise it counts {share} of its points times the share of "
        "cases that pass."
    )


def page(title: str, body: str, script: bool = False) -> str:
    """A whole page, on its own in one file; ``title`` is plain text."""
    css, js = _part("report.css"), _part("report.js") if script else ""
    policy = f"default-src 'none'; style-src {_hash(css)}; img-src data:; base-uri 'none'; form-action 'none'"
    policy += f"; script-src {_hash(js)}" if script else ""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="generator" content="{GENERATOR}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>{said(title, 200)}</title>
<link rel="icon" href="data:,">
<style>{css}</style>
</head>
<body>
{body}
{f"<script>{js}</script>" if script else ""}
</body>
</html>
"""


@cache
def _part(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
