"""Tables of numbers that show themselves as HTML in a notebook and as plain text elsewhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from lmcore.ledger.record import Record, Spread
from lmcore.ledger.rounding import Number, duration, like, number


@dataclass(frozen=True)
class Table:
    """One run beside the recorded runs; :meth:`lmcore.ledger.Page.table` and ``recorded`` fill it.

    Args:
        title: the caption; ``unit`` follows it in brackets.
        this_run: the head of the column with this run's numbers; ``None`` for a table without it.
        records: one further column each.
        stale: for each record, whether the page has changed since.
        cells: a row's label, this run's number, and the spread in each record; ``None`` where there is no number.
        skipped: row label → why this run does not compute it.
        command: the line that would record this page here.
    """

    title: str
    unit: str
    this_run: str | None
    records: list[Record]
    stale: list[bool]
    cells: list[tuple[str, Number | None, list[Spread | None]]]
    skipped: dict[str, str]
    command: str

    def _head(self) -> list[str]:
        here = [] if self.this_run is None else [self.this_run]
        return ["", *here, *(f"recorded ({r.setting.scale}, {r.setting.device})" for r in self.records)]

    def _rows(self) -> list[list[str]]:
        rows = []
        for label, value, spreads in self.cells:
            first = next((s for s in spreads if s), None)
            shown = "–" if value is None else number(value) if first is None else like(value, first.sd)
            here = [] if self.this_run is None else [shown]
            rows.append([label, *here, *("–" if s is None else str(s) for s in spreads)])
        return rows

    def _notes(self) -> list[tuple[str, str]]:
        """Sentences under the table, each with the command that belongs to it (or none)."""
        notes = []
        for entry, stale in zip(self.records, self.stale, strict=True):
            n = len(entry.runs)
            seeds = f"mean ± standard deviation over {n} seeds" if n > 1 else "one seed, so no spread"
            old = "; recorded with an earlier version of the code" if stale else ""
            own = entry.setting
            notes.append(
                (f"Recorded ({own.scale}, {own.device}): {seeds}, {own.device_name}, {entry.date}{old}.", entry.command)
            )
        if not self.records:
            notes.append(("No recorded runs yet; this line records them:", self.command))
        notes += [(f"{label}: not computed in this run, because {reason}.", "") for label, reason in self.skipped.items()]
        return notes

    def __repr__(self) -> str:
        notes = [part for text, line in self._notes() for part in (text, f"  {line}" if line else "") if part]
        return "\n".join([*_text_table(self._caption(), self._head(), self._rows()), *notes])

    def _repr_html_(self) -> str:
        notes = "".join(
            f"<p>{escape(text)}{f' <code>{escape(line)}</code>' if line else ''}</p>" for text, line in self._notes()
        )
        return f'<div class="lm-ledger">{_html_table(self._caption(), self._head(), self._rows())}{notes}</div>'

    def _caption(self) -> str:
        return f"{self.title} ({self.unit})".strip() if self.unit else self.title


@dataclass(frozen=True)
class Overview:
    """Every recorded number of the book, chapter by chapter, as HTML in a notebook and as plain text elsewhere."""

    records: tuple[Record, ...]
    chapters: Path | None = None

    def _parts(self) -> list[tuple[str, list[list[str]], str]]:
        """For each record a caption, its rows, and the command that makes it again."""
        parts = []
        for entry in self.records:
            own = entry.setting
            n = len(entry.runs)
            minutes = sum(run.cpu_minutes for run in entry.runs) / n
            caption = (
                f"{entry.chapter}: {n} seed{'s' if n != 1 else ''} at scale {own.scale} on {own.device} ({own.device_name}), "
                f"{duration(minutes)} of processor time and {max(run.memory_mb for run in entry.runs):,.0f} MB each, "
                f"{entry.date}, "
                + ", ".join(f"{name} {version}" for name, version in own.versions.items())
                + ("; recorded with an earlier version of the code" if entry.stale(self.chapters) else "")
            )
            spreads = {name: entry.spread(name, self.chapters) for name in entry.names()}
            parts.append((caption, [[name, str(s), str(s.n)] for name, s in spreads.items() if s], entry.command))
        return parts

    def __repr__(self) -> str:
        parts = ["\n".join([*_text_table(c, _COLUMNS, rows), f"  {line}"]) for c, rows, line in self._parts()]
        return "\n\n".join(parts) or _NOTHING

    def _repr_html_(self) -> str:
        parts = [f"{_html_table(c, _COLUMNS, rows)}<p><code>{escape(line)}</code></p>" for c, rows, line in self._parts()]
        return f'<div class="lm-ledger">{"".join(parts) or f"<p>{_NOTHING}</p>"}</div>'


_COLUMNS = ["number", "mean ± standard deviation", "seeds"]
_NOTHING = "No run has been recorded yet."


def _text_table(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    grid = [head, *rows]
    widths = [max(len(row[i]) for row in grid) for i in range(len(head))]
    lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in grid]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return [line.rstrip() for line in ([caption] if caption else []) + lines]


def _html_table(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    left, right = ' style="text-align:left"', ' style="text-align:right"'
    top = "".join(
        f'<th scope="col"{right if i else left}>{escape(name)}</th>' if name else "<td></td>" for i, name in enumerate(head)
    )
    body = "".join(
        f'<tr><th scope="row"{left}>{escape(row[0])}</th>'
        + "".join(f"<td{right}>{escape(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f'<table class="dataframe">{title}<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>'
