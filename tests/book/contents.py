"""What the book's table of contents says: its pages in reading order."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from bs4 import BeautifulSoup

ROOT = Path(__file__).parents[2]


def in_order(entries: list[dict[str, Any]]) -> Iterator[str]:
    """The pages of a table of contents in reading order."""
    for entry in entries:
        yield entry["file"].removeprefix("./")
        yield from in_order(entry.get("sections", []))


TOC = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
READING = [TOC["root"], *(page for part in TOC["parts"] for page in in_order(part["chapters"]))]
PAGES = [*READING, "index", "search", "genindex"]
CHAPTERS = [page for page in READING if re.fullmatch(r"chapters/\d\d_\w+", page)]
EXERCISES = [page for page in READING if page.endswith("/exercises")]


@cache
def soup(site: Path, name: str) -> BeautifulSoup:
    """A built page, parsed."""
    return BeautifulSoup((site / f"{name}.html").read_text(encoding="utf-8"), "html.parser")


@cache
def anchors(site: Path, name: str) -> frozenset[str]:
    """The places in a page that a link can lead to."""
    page = soup(site, name)
    return frozenset([e["id"] for e in page.find_all(id=True)] + [e["name"] for e in page.find_all("a", attrs={"name": True})])
