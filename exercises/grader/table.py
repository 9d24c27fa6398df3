"""The class as tables for a spreadsheet, and text from strangers made safe for a line of a table or a terminal."""

import csv
import io
import re
from collections.abc import Iterable, Sequence

from exercises.grader.record import Record
from exercises.grader.submissions import Problem

# Controls, separators of lines, halves of characters, and marks that turn the direction of the text after them.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
# What makes a spreadsheet compute: at the start of a cell, also of one that begins where a spreadsheet of another country
# splits a line.
_FORMULA = re.compile(r"(^|[;,|\"'])(\s*)(?=[=+\-@\uff1d\uff0b\uff0d\uff20\u2212])")


def clean(text: str, limit: int = 10_000, lines: bool = False) -> str:
    """``text`` without anything that a terminal obeys: what cannot be seen becomes ``?``, with ``lines`` all but line breaks,
    and what is longer than ``limit`` is cut."""
    parts = [_UNSEEN.sub("?", part) for part in (text.split("\n") if lines else [" ".join(text.split())])]
    joined = "\n".join(parts)
    return joined if len(joined) <= limit else joined[: limit - 2] + " …"


def cell(text: str) -> str:
    """``text`` for a cell of a table, where nothing is taken for a formula."""
    return _FORMULA.sub(r"\1'\2", clean(text, 500))


def grades(records: Iterable[Record], names: Sequence[str]) -> str:
    """One line per submission: points of each question, and their sum; then how it was graded, and how each question ended.

    ``names`` are those of the questions, in the order in which every record holds them.
    """
    head = ["student", *names, "total", "possible", "flags", "isolation", "file", *(f"{name} status" for name in names)]
    return _text(head, [_line(record) for record in records])


def _line(record: Record) -> list[str | float]:
    return [
        cell(record.student),
        *(question.points for question in record.questions),
        record.points,
        record.possible,
        sum(len(question.flags) for question in record.questions),
        record.isolation,
        cell(record.source),
        *(question.status for question in record.questions),
    ]


def problems(found: Iterable[Problem]) -> str:
    """One line per file that could not be read as it was handed in."""
    return _text(["file", "problem"], [[cell(problem.source), cell(problem.text)] for problem in found])


def _text(head: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(lines)
    return file.getvalue()
