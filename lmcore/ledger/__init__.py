"""Every number a page prints: this run's, beside the spread of the recorded runs.

A chapter logs its numbers, shows them in tables, and ends with a receipt::

    page = ledger.Page("01_language_models")          # starts the clock, seeds everything
    page.log("kn5.bits", 5.31)                        # one number that this page computed
    page.table({"Kneser–Ney": "kn5.bits"}, title="Bits per token")
    page.receipt()                                    # minutes, memory, device, scale, seed, versions

``python -m lmcore.ledger record 01_language_models --seeds 5`` executes the same page once per seed and keeps what its receipt
says, so a number and its spread come from the same code. Nothing else writes a record.

The receipt is also read by programs; :mod:`lmcore.ledger.receipt` describes it.
"""

import argparse
import json
import math
import os
import re
import sys
import time
from collections.abc import Mapping
from numbers import Real
from pathlib import Path
from typing import Any

import torch

from lmcore import corpora, device
from lmcore.ledger import record, recorder
from lmcore.ledger.receipt import RECEIPT, Receipt, find_receipt
from lmcore.ledger.record import Record, Run, Setting, Spread
from lmcore.ledger.rounding import Number
from lmcore.ledger.tables import Overview, Table

__all__ = ["Page", "all_records", "find_receipt", "overview"]

_FILE = re.compile(r"[A-Za-z0-9_-]+")
_NAME = re.compile(r"[A-Za-z0-9_+-]+(\.[A-Za-z0-9_+-]+)*")


class Page:
    """The numbers of one execution of a chapter. Make it in the first cell: it starts the clock and seeds everything.

    On a CPU the page then computes with one thread, unless ``OMP_NUM_THREADS`` names another number: the models of a page are
    small, and several threads lose more by waiting for each other than they gain.

    Args:
        chapter: the chapter's file name without ``.md``.
        config: the page's own settings (sizes, steps, …), written to the record.
        chapters: the folder of the chapters; by default that of the checkout.
    """

    def __init__(
        self, chapter: str, *, config: Mapping[str, float | int | str | bool] | None = None, chapters: Path | None = None
    ) -> None:
        if not isinstance(chapter, str) or not _FILE.fullmatch(chapter):
            raise ValueError(
                f"{chapter!r} is not a chapter's name; use the file name without .md, such as '01_language_models'"
            )
        self.chapter = chapter
        self.config = _checked_config({} if config is None else config)
        self.seed = device.seed_all()
        self.device = device.get()
        if self.device.type == "cpu" and "OMP_NUM_THREADS" not in os.environ:
            torch.set_num_threads(1)
        self.scale = device.scale()
        self.records: list[Record] = record.read(chapter, chapters)
        self._chapters = chapters
        self._values: dict[str, Number] = {}
        self._cells: dict[str, str | None] = {}
        self._skipped: dict[str, str] = {}
        self._start = _clocks()

    def log(self, name: str, value: Any) -> Number:
        """Note one finite number under a name such as ``"kn5.bits"`` and return it as a Python number.

        A name stands for one number in the whole page. Only running the same JupyterLab cell again replaces it.

        Raises:
            ValueError: the name has other characters than letters, digits, ``_ + -`` and single dots; the value is not one
                finite number; or the name already stands for another number.
        """
        _check_name(name)
        if hasattr(value, "item") and math.prod(getattr(value, "shape", ())) == 1:
            value = value.item()
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
        """Say that this run does not compute a number, and why (``"tiny Shakespeare is not downloaded"``).

        Raises:
            ValueError: the name is none (:meth:`log`), or the reason is no text.
        """
        _check_name(name)
        if not isinstance(reason, str) or not reason.strip():
            raise ValueError(f"reason={reason!r} says nothing; say in words why {name} is not computed")
        self._skipped[name] = reason

    def spread(self, name: str) -> Spread | None:
        """The recorded mean and standard deviation on this kind of device at this scale; ``None`` without a record.

        Raises:
            ValueError: the name is none (:meth:`log`).
        """
        _check_name(name)
        for entry in self.records:
            if (entry.setting.device, entry.setting.scale) == (self.device.type, self.scale):
                return entry.spread(name, self._chapters)
        return None

    def table(self, rows: Mapping[str, str], title: str = "", *, unit: str = "") -> Table:
        """This run beside the recorded runs: one row per entry ``label: name``.

        Raises:
            ValueError: there are no rows, or a name was neither logged, nor skipped (:meth:`skip`), nor ever recorded.
        """
        _check_rows(rows)
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

    def recorded(self, recipe: str, rows: Mapping[str, str], title: str = "", *, unit: str = "") -> Table:
        """The recorded runs of a recipe, a run too long for a page: one row per entry ``label: name``.

        Without a record the table names the line that makes one, and shows no number.

        Raises:
            ValueError: there are no rows, there is no such recipe, or its runs logged no number of that name.
        """
        _check_rows(rows)
        if not isinstance(recipe, str) or not _FILE.fullmatch(recipe) or record.source_of(recipe, self._chapters) is None:
            known = ", ".join(sorted(path.stem for path in record.recipes_folder().glob("[!_]*.py")))
            raise ValueError(f"{recipe!r} is not a recipe; use one of {known or 'none'}")
        records = record.read(recipe, self._chapters)
        names = {name for entry in records for name in entry.names()}
        for name in rows.values():
            _check_name(name)
            if records and name not in names:
                raise ValueError(f"the recorded runs of {recipe} have no number {name!r}; they have {', '.join(sorted(names))}")
        return Table(
            title,
            unit,
            None,
            records,
            [entry.stale(self._chapters) for entry in records],
            [(label, None, [entry.spread(name, self._chapters) for entry in records]) for label, name in rows.items()],
            {},
            record.command(recipe, 3, scale=self.scale, device=self.device.type),
        )

    def receipt(self) -> Receipt:
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
            versions=record.versions(),
        )
        run = Run(self.seed, dict(self._values), minutes, cpu_minutes, device.peak_memory() / 1e6, gpu)
        receipt = Receipt(self.chapter, setting, run, dict(self._skipped))
        if path := os.environ.get(RECEIPT):
            Path(path).write_text(json.dumps(receipt.to_json(), ensure_ascii=False), encoding="utf-8")
        return receipt


def _clocks() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _check_rows(rows: Any) -> None:
    if not isinstance(rows, Mapping) or not rows:
        raise ValueError(f"rows={rows!r} is no table; give a dict from label to name, such as {{'Kneser–Ney': 'kn5.bits'}}")


def _check_name(name: Any) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} cannot name a number; use letters, digits, _ + - and dots, such as 'kn5.bits'")


def _checked_config(config: Any) -> dict[str, float | int | str | bool]:
    if not isinstance(config, Mapping) or not all(
        isinstance(name, str) and isinstance(value, int | float | str) for name, value in config.items()
    ):
        raise ValueError(f"config={config!r} is not allowed; give a dict from names to numbers, texts and truth values")
    return dict(config)


def _current_cell() -> str | None:
    """JupyterLab's name of the running cell; ``None`` in a script and in a build."""
    ipython = sys.modules.get("IPython")
    shell: Any = ipython.get_ipython() if ipython else None
    parent = shell.get_parent() if hasattr(shell, "get_parent") else {}
    return (parent.get("metadata") or {}).get("cellId")


def all_records(chapters: Path | None = None) -> list[Record]:
    """Every record of every chapter, in the order of the chapters."""
    return list(record.read_all(chapters))


def overview(chapters: Path | None = None) -> Overview:
    """The results ledger: every recorded number with its spread, device, seeds and command."""
    return Overview(tuple(all_records(chapters)), chapters)


def main(argv: list[str] | None = None) -> int:
    """``record`` a chapter over seeds, or ``list`` all that has been recorded."""
    parser = argparse.ArgumentParser(
        prog="python -m lmcore.ledger", description="Record a chapter over seeds, or list the records."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="print every record")
    one = commands.add_parser("record", help="execute a chapter once per seed and keep its numbers")
    one.add_argument("chapter", help="file name without .md, such as 01_language_models")
    one.add_argument("--seeds", type=int, default=5, help="how many seeds (default 5)")
    one.add_argument("--scale", choices=device.SCALES, help="instead of LMCORE_SCALE")
    one.add_argument("--device", help="instead of LMCORE_DEVICE: cpu, cuda, mps")
    one.add_argument("--again", action="store_true", help="run every seed, also those that are recorded")
    options = parser.parse_args(argv)
    if options.command == "list":
        print(overview())
        for entry in all_records():
            if rooms := entry.changed_rooms():
                print(f"{entry.chapter} ({entry.setting.scale}, {entry.setting.device}): changed since: {', '.join(rooms)}")
        return 0
    for variable, value in (("LMCORE_SCALE", options.scale), ("LMCORE_DEVICE", options.device)):
        if value:
            os.environ[variable] = value
    return recorder.main(options.chapter, options.seeds, options.again)
