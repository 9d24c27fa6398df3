"""Every number a page prints: this run's, beside the spread of the recorded runs.

A chapter logs its numbers, shows them in tables, and ends with a receipt::

    page = ledger.Page("01_language_models")          # starts the clock, seeds everything
    page.log("kn5.bits", 5.31)                        # one number that this page computed
    page.table({"Kneser–Ney": "kn5.bits"}, title="Bits per token")
    page.receipt()                                    # minutes, memory, device, scale, seed, versions

``python -m lmcore.ledger record 01_language_models --seeds 5`` executes the same page once per seed and keeps what its receipt
says, so a number and its spread come from the same code. Nothing else writes a record.

The receipt is an output with a MIME type of its own, :data:`RECEIPT_MIME`, beside its HTML and its text. Whoever reads an
executed notebook (the recorder, the Sphinx extension ``lmcore.site``) finds it with :func:`find_receipt` as a JSON object::

    {"format": 1, "chapter": "01_language_models",
     "setting": {"device": "cpu", "device_name": …, "scale": "small", "threads": 2, "code": sha256, "config": {…},
                 "data": {corpus: sha256}, "rooms": {module: sha256}, "versions": {"python": …, "torch": …, …}},
     "run": {"seed": 0, "values": {name: number}, "minutes": wall clock from Page() to receipt(), "cpu_minutes": all threads,
             "memory_mb": peak of the process in 10⁶ bytes, "gpu_memory_mb": peak or null, "date": ""},
     "skipped": {name: reason}}
"""

import math
import platform
import re
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from html import escape
from importlib.metadata import version
from numbers import Real
from pathlib import Path
from typing import Any

import torch

from lmcore import __version__, corpora, device, record
from lmcore.record import Number, Record, Run, Setting, Spread, number, plus_minus

RECEIPT_MIME = "application/vnd.lmcore.receipt+json"
_NAME = re.compile(r"[A-Za-z0-9_+-]+(\.[A-Za-z0-9_+-]+)*")


class Page:
    """The numbers of one execution of a chapter. Make it in the first cell: it starts the clock and seeds everything.

    Args:
        chapter: the chapter's file name without ``.md``.
        config: the page's own settings (sizes, steps, …), written to the record.
        chapters: the folder of the chapters; by default that of the checkout.
    """

    def __init__(
        self, chapter: str, *, config: Mapping[str, float | int | str | bool] | None = None, chapters: Path | None = None
    ) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_-]+", chapter):
            raise ValueError(
                f"{chapter!r} is not a chapter's name; use the file name without .md, such as '01_language_models'"
            )
        self.chapter = chapter
        self.config = dict(config or {})
        self.seed = device.seed_all()
        self.device = device.get()
        self.scale = device.scale()
        self.records: list[Record] = record.read(chapter, chapters)
        self._chapters = chapters
        self._values: dict[str, Number] = {}
        self._cells: dict[str, str | None] = {}
        self._skipped: dict[str, str] = {}
        self._start = time.perf_counter(), time.process_time()

    def log(self, name: str, value: Any) -> Number:
        """Note one finite number under a name such as ``"kn5.bits"`` and return it as a Python number.

        A name stands for one number in the whole page. Only running the same JupyterLab cell again replaces it.

        Raises:
            ValueError: the name has other characters than letters, digits, ``_ + -`` and single dots; the value is not one
                finite number; or the name already stands for another number.
        """
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} cannot name a number; use letters, digits, _ + - and dots, such as 'kn5.bits'")
        if hasattr(value, "item") and getattr(value, "size", 1) != 0:
            value = value.item() if _single(value) else value
        if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
            raise ValueError(f"{name} = {value!r} is not one finite number; log numbers one by one")
        value = int(value) if isinstance(value, int) else float(value)
        cell = _current_cell()
        if self._values.get(name, value) != value and (cell is None or cell != self._cells[name]):
            raise ValueError(
                f"{name} = {value!r}, but this page has already logged {self._values[name]!r} under that name; "
                "choose another name, or run the page again from its first cell"
            )
        self._values[name] = value
        self._cells[name] = cell
        return value

    def skip(self, name: str, reason: str) -> None:
        """Say that this run does not compute a number, and why (``"tiny Shakespeare is not downloaded"``)."""
        self._skipped[name] = reason

    def spread(self, name: str) -> Spread | None:
        """The recorded mean and standard deviation on this kind of device at this scale; ``None`` without a record."""
        for entry in self.records:
            if (entry.setting.device, entry.setting.scale) == (self.device.type, self.scale):
                return entry.spread(name, self._chapters)
        return None

    def table(self, rows: Mapping[str, str], title: str = "", *, unit: str = "") -> "Table":
        """This run beside the recorded runs: one row per entry ``label: name``.

        Raises:
            ValueError: a name was neither logged, nor skipped (:meth:`skip`), nor ever recorded.
        """
        known = {*self._values, *self._skipped, *(name for entry in self.records for name in entry.names())}
        for name in rows.values():
            if name not in known:
                raise ValueError(
                    f"no number is named {name!r} on this page; known so far: {', '.join(sorted(known)) or 'none'}"
                )
        here = (self.device.type, self.scale)
        records = sorted(self.records, key=lambda r: (r.setting.device, r.setting.scale) != here)
        cells = []
        for label, name in rows.items():
            spreads = [entry.spread(name, self._chapters) for entry in records]
            cells.append((label, self._values.get(name), spreads))
        skipped = {label: self._skipped[name] for label, name in rows.items() if name in self._skipped}
        return Table(
            title,
            unit,
            f"this run (seed {self.seed}, {self.scale}, {self.device.type})",
            records,
            [entry.stale(self._chapters) for entry in records],
            cells,
            skipped,
            record.command(self.chapter, scale=self.scale, device=self.device.type),
        )

    def receipt(self) -> "Receipt":
        """What this run took and where it ran; the last cell of a chapter."""
        gpu = None
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
            gpu = torch.cuda.max_memory_allocated(self.device) / 1e6
        minutes, cpu_minutes = ((now - then) / 60 for now, then in zip(_clocks(), self._start, strict=True))
        setting = Setting(
            device=self.device.type,
            device_name=device.name(self.device),
            scale=self.scale,
            threads=torch.get_num_threads(),
            code=record.code_hash(self.chapter, self._chapters),
            config=self.config,
            data=corpora.used(),
            rooms=record.imported_rooms(),
            versions=versions(),
        )
        run = Run(self.seed, dict(self._values), minutes, cpu_minutes, device.peak_memory() / 1e6, gpu)
        return Receipt(self.chapter, setting, run, dict(self._skipped))


def versions() -> dict[str, str]:
    """The versions that a number depends on."""
    return {"python": platform.python_version(), "torch": torch.__version__, "numpy": version("numpy"), "lmcore": __version__}


def _clocks() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _single(value: Any) -> bool:
    return math.prod(getattr(value, "shape", ())) == 1


def _current_cell() -> str | None:
    """JupyterLab's name of the running cell; ``None`` in a script and in a build."""
    ipython = sys.modules.get("IPython")
    shell: Any = ipython.get_ipython() if ipython else None
    parent = shell.get_parent() if hasattr(shell, "get_parent") else {}
    return (parent.get("metadata") or {}).get("cellId")


@dataclass(frozen=True)
class Table:
    """A table of numbers that shows itself as HTML in a notebook and as plain text elsewhere."""

    title: str
    unit: str
    this_run: str
    records: list[Record]
    stale: list[bool]
    cells: list[tuple[str, Number | None, list[Spread | None]]]
    skipped: dict[str, str]
    command: str

    def _head(self) -> list[str]:
        return ["", self.this_run, *(f"recorded ({r.setting.scale}, {r.setting.device})" for r in self.records)]

    def _rows(self) -> list[list[str]]:
        rows = []
        for label, value, spreads in self.cells:
            like = next((s for s in spreads if s), None)
            shown = "–" if value is None else number(value) if like is None else _like(value, like)
            rows.append([label, shown, *("–" if s is None else str(s) for s in spreads)])
        return rows

    def _notes(self) -> list[tuple[str, str]]:
        """Sentences under the table, each with the command that belongs to it (or none)."""
        notes = []
        for entry, stale in zip(self.records, self.stale, strict=True):
            n = len(entry.runs)
            seeds = f"mean ± standard deviation over {n} seeds" if n > 1 else "one seed, so no spread"
            old = "; recorded with an earlier version of this page" if stale else ""
            own = entry.setting
            notes.append(
                (f"Recorded ({own.scale}, {own.device}): {seeds}, {own.device_name}, {entry.date}{old}.", entry.command)
            )
        if not self.records:
            notes.append(("No recorded runs yet; this line records them:", self.command))
        notes += [(f"{label}: not computed in this run, because {reason}.", "") for label, reason in self.skipped.items()]
        return notes

    def __repr__(self) -> str:
        grid = [self._head(), *self._rows()]
        widths = [max(len(row[i]) for row in grid) for i in range(len(grid[0]))]
        lines = [
            "  ".join(c.rjust(w) if i else c.ljust(w) for i, (c, w) in enumerate(zip(r, widths, strict=True))) for r in grid
        ]
        lines.insert(1, "  ".join("-" * w for w in widths))
        title = [self.title + (f" ({self.unit})" if self.unit else "")] if self.title or self.unit else []
        notes = [part for note in self._notes() for part in (note[0], f"  {note[1]}" if note[1] else "") if part]
        return "\n".join(line.rstrip() for line in [*title, *lines, *notes])

    def _repr_html_(self) -> str:
        caption = escape(self.title + (f" ({self.unit})" if self.unit else ""))
        right = ' style="text-align:right"'
        head = "".join(f'<th scope="col"{right if h else ""}>{escape(h)}</th>' if h else "<td></td>" for h in self._head())
        body = "".join(
            f'<tr><th scope="row" style="text-align:left">{escape(label)}</th>'
            + "".join(f"<td{right}>{escape(value)}</td>" for value in values)
            + "</tr>"
            for label, *values in self._rows()
        )
        notes = "".join(
            f"<p>{escape(text)}{f' <code>{escape(line)}</code>' if line else ''}</p>" for text, line in self._notes()
        )
        return (
            f'<div class="lm-ledger"><table class="dataframe"><caption>{caption}</caption>'
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{notes}</div>"
        )


def _like(value: Number, spread: Spread) -> str:
    """A value cut where its spread is cut, so that the two columns read alike."""
    shown = plus_minus(value, spread.sd)
    return shown.split(" ± ")[0]


@dataclass(frozen=True)
class Receipt:
    """What one execution of a page took, and where: for the eye, and (as :data:`RECEIPT_MIME`) for programs."""

    chapter: str
    setting: Setting
    run: Run
    skipped: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        """The JSON object described at the top of :mod:`lmcore.ledger`."""
        return {
            "format": record.FORMAT,
            "chapter": self.chapter,
            "setting": asdict(self.setting),
            "run": asdict(self.run),
            "skipped": self.skipped,
        }

    def facts(self) -> dict[str, str]:
        """What the receipt says, as label and text."""
        own, run = self.setting, self.run
        threads = f", {own.threads} thread{'s' if own.threads != 1 else ''}" if own.device == "cpu" else ""
        memory = f"{run.memory_mb:,.0f} MB" + (
            f", on the GPU {run.gpu_memory_mb:,.0f} MB" if run.gpu_memory_mb is not None else ""
        )
        return {
            "Minutes": f"{run.minutes:.2f} ({run.cpu_minutes:.2f} of processor time)",
            "Peak memory": memory,
            "Device": f"{own.device} ({own.device_name}{threads})",
            "Scale": own.scale,
            "Seed": str(run.seed),
            "Versions": ", ".join(f"{name} {number}" for name, number in own.versions.items()),
        }

    def __repr__(self) -> str:
        facts = self.facts()
        width = max(map(len, facts))
        return "\n".join(f"{label.ljust(width)}  {text}" for label, text in facts.items())

    def _repr_html_(self) -> str:
        left = ' style="text-align:left"'
        rows = "".join(
            f'<tr><th scope="row"{left}>{escape(label)}</th><td{left}>{escape(text)}</td></tr>'
            for label, text in self.facts().items()
        )
        caption = "<caption>This page, as it ran</caption>"
        return f'<div class="lm-receipt"><table class="dataframe">{caption}<tbody>{rows}</tbody></table></div>'

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return {"text/plain": repr(self), "text/html": self._repr_html_(), RECEIPT_MIME: self.to_json()}


def find_receipt(notebook: Mapping[str, Any]) -> dict[str, Any] | None:
    """The JSON object of the last receipt among the outputs of an executed notebook (nbformat 4), or ``None``."""
    found = None
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            found = output.get("data", {}).get(RECEIPT_MIME, found)
    return found
