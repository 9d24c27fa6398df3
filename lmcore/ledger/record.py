"""Recorded runs: what a chapter or a recipe computed on a named machine, once per seed.

A chapter's record file is ``chapters/ledger/<chapter>.json``, and that of a recipe (:mod:`lmcore.recipes`), a run too long for
a page, lies beside it under the recipe's name. It holds one :class:`Record` for each device kind and scale,
and a record holds one :class:`Run` per seed. All runs of a record share one :class:`Setting`: the page's code, the
configuration, the data, the versions and the machine. A run under any other setting starts the record afresh, so a spread
never mixes two experiments.

:mod:`lmcore.ledger.recorder` writes these files (``python -m lmcore.ledger record CHAPTER``), :mod:`lmcore.ledger` reads them.
"""

import hashlib
import json
import math
import os
import platform
import re
import statistics
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path

from lmcore import __version__
from lmcore.ledger.rounding import Number, plus_minus

FORMAT = 1
# Rooms that print, check or build, and never compute a number.
_SILENT = re.compile(r"lmcore\.(check|corpora\.downloads|ledger|site|widgets)\b")


def chapters_folder() -> Path:
    """``chapters/`` of the checkout that ``lmcore`` was imported from (it need not exist: a reader may have one page only)."""
    return Path(__file__).resolve().parents[2] / "chapters"


def recipes_folder() -> Path:
    """``lmcore/recipes/``."""
    return Path(__file__).resolve().parents[1] / "recipes"


@dataclass(frozen=True)
class Setting:
    """What must be equal for two runs to be two seeds of one experiment.

    ``code`` is :func:`code_hash` of the page; ``rooms`` maps each file of ``lmcore`` that the page imported to its hash;
    ``data`` maps each corpus to its SHA-256; ``versions`` maps python, torch, numpy and lmcore to their versions.
    """

    device: str
    device_name: str
    scale: str
    threads: int
    code: str
    config: dict[str, float | int | str | bool] = field(default_factory=dict)
    data: dict[str, str] = field(default_factory=dict)
    rooms: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """One seed: its numbers and what they cost. Memory is in MB (10⁶ bytes); ``cpu_minutes`` adds up all threads."""

    seed: int
    values: dict[str, Number]
    minutes: float
    cpu_minutes: float
    memory_mb: float
    gpu_memory_mb: float | None = None
    date: str = ""


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation (n − 1 in the denominator; ``nan`` for one seed) of one number over recorded seeds."""

    mean: float
    sd: float
    n: int
    device: str
    device_name: str
    scale: str
    date: str
    command: str
    stale: bool

    def __str__(self) -> str:
        return plus_minus(self.mean, self.sd)


@dataclass(frozen=True)
class Record:
    """All recorded seeds of one chapter on one kind of device at one scale."""

    chapter: str
    setting: Setting
    runs: tuple[Run, ...]

    @property
    def command(self) -> str:
        """The line that records these runs again."""
        return command(self.chapter, len(self.runs), scale=self.setting.scale, device=self.setting.device)

    @property
    def date(self) -> str:
        """The day of the latest run."""
        return max(run.date for run in self.runs)

    def names(self) -> list[str]:
        """The names of all numbers, in the order in which the page logged them."""
        return list(dict.fromkeys(name for run in self.runs for name in run.values))

    def stale(self, chapters: Path | None = None) -> bool:
        """Whether the page's code has changed since. ``False`` where the page is not at hand."""
        now = code_hash(self.chapter, chapters)
        return bool(now) and now != self.setting.code

    def changed_rooms(self) -> list[str]:
        """The files of ``lmcore`` that the runs imported and that have changed since."""
        return [room for room, old in self.setting.rooms.items() if room_hash(room) != old]

    def spread(self, name: str, chapters: Path | None = None) -> Spread | None:
        """Mean and standard deviation of one number, or ``None`` if no run has it."""
        values = [run.values[name] for run in self.runs if name in run.values]
        if not values:
            return None
        sd = statistics.stdev(values) if len(values) > 1 else math.nan
        own = self.setting
        return Spread(
            statistics.fmean(values),
            sd,
            len(values),
            own.device,
            own.device_name,
            own.scale,
            self.date,
            self.command,
            self.stale(chapters),
        )

    def with_run(self, setting: Setting, run: Run) -> "Record":
        """The record with one run more: beside the others under the same setting, alone under another."""
        kept = [old for old in self.runs if old.seed != run.seed] if setting == self.setting else []
        return Record(self.chapter, setting, tuple(sorted([*kept, run], key=lambda r: r.seed)))


def command(chapter: str, seeds: int = 5, *, scale: str, device: str) -> str:
    """The shell line that records a chapter."""
    return f"python -m lmcore.ledger record {chapter} --seeds {seeds} --scale {scale} --device {device}"


def code_cells(text: str) -> list[str]:
    """The code of a MyST text notebook, cell by cell, without the cells' options (tags, alternative texts)."""
    cells = []
    for fence, body in re.findall(r"^(`{3,})\{code-cell\}[^\n]*\n(.*?)^\1[ \t]*$", text, flags=re.M | re.S):
        assert fence
        body = re.sub(r"\A---\n.*?^---\n", "", body, flags=re.M | re.S)
        body = re.sub(r"\A(?::[\w-]+:[^\n]*\n)+", "", body)
        cells.append(body.strip("\n"))
    return cells


def source_of(name: str, chapters: Path | None = None) -> Path | None:
    """The file that a record comes from: the chapter ``<name>.md``, else the recipe ``<name>.py``; ``None`` without either."""
    for path in ((chapters or chapters_folder()) / f"{name}.md", recipes_folder() / f"{name}.py"):
        if path.is_file() and not name.startswith("_"):
            return path
    return None


def code_hash(chapter: str, chapters: Path | None = None) -> str:
    """SHA-256 of the code cells of a chapter or of a recipe's file, or ``""`` where neither is at hand.

    Prose, cell options and the package do not count: a corrected sentence does not make a record old. Which files of the
    package a run used is recorded separately (:attr:`Setting.rooms`).
    """
    path = source_of(chapter, chapters)
    if path is None:
        return ""
    if path.suffix == ".py":
        return _sha256(path.read_bytes().replace(b"\r\n", b"\n"))
    return _sha256("\n\n".join(code_cells(path.read_text(encoding="utf-8"))).encode())


def room_hash(room: str) -> str:
    """SHA-256 of one file of ``lmcore``, by module name, or ``""`` if there is none any more."""
    base = Path(__file__).resolve().parents[2].joinpath(*room.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return _sha256(path.read_bytes().replace(b"\r\n", b"\n"))
    return ""


def imported_rooms() -> dict[str, str]:
    """The hash of every file of ``lmcore`` that this process has imported and that can change a number."""
    names = sorted(name for name in sys.modules if name.startswith("lmcore.") and not _SILENT.match(name))
    return {name: room_hash(name) for name in names}


def versions() -> dict[str, str]:
    """The versions that a number depends on."""
    names = {name: version(name) for name in ("torch", "numpy")}
    return {"python": platform.python_version(), **names, "lmcore": __version__}


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def path_of(chapter: str, chapters: Path | None = None) -> Path:
    """The record file of a chapter."""
    return (chapters or chapters_folder()) / "ledger" / f"{chapter}.json"


def read(chapter: str, chapters: Path | None = None) -> list[Record]:
    """The records of a chapter; an empty list if nothing has been recorded.

    Raises:
        ValueError: the file is not a record file of this format.
    """
    path = path_of(chapter, chapters)
    if not path.is_file():
        return []
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise ValueError(f"format {content['format']}, this version reads {FORMAT}")
        return [
            Record(content["chapter"], Setting(**entry["setting"]), tuple(Run(**run) for run in entry["runs"]))
            for entry in content["records"]
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a record of runs ({error}); restore it, or delete it and record again") from error


def read_all(chapters: Path | None = None) -> Iterator[Record]:
    """Every record of every chapter, in the order of the chapters."""
    for path in sorted(path_of("*", chapters).parent.glob("*.json")):
        yield from read(path.stem, chapters)


def write(chapter: str, records: list[Record], chapters: Path | None = None) -> Path:
    """Write the records of a chapter, all or nothing: the file is complete at every moment."""
    path = path_of(chapter, chapters)
    path.parent.mkdir(parents=True, exist_ok=True)
    entries = [
        {"command": record.command, "setting": asdict(record.setting), "runs": [asdict(run) for run in record.runs]}
        for record in sorted(records, key=lambda r: (r.setting.device, r.setting.scale))
    ]
    text = json.dumps({"format": FORMAT, "chapter": chapter, "records": entries}, indent=1, ensure_ascii=False) + "\n"
    unfinished = path.with_name(f".{chapter}.{os.getpid()}")
    try:
        unfinished.write_text(text, encoding="utf-8")
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
    return path
