"""Execute a chapter once per seed and keep what its receipts say.

The chapter runs as the notebook it is, in a kernel of its own, with ``LMCORE_SEED`` set; device and scale are those of the
environment (:mod:`lmcore.device`). A seed is on disk as soon as it has run. A seed that is there already, from the same code on
the same machine with the same versions, is not run again, so an interrupted recording continues where it stopped.
"""

import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from lmcore import device
from lmcore.ledger import record
from lmcore.ledger.receipt import Receipt, find_receipt
from lmcore.ledger.record import Record
from lmcore.ledger.rounding import duration


class PageFailed(RuntimeError):
    """A chapter could not be executed to its end, or it left no receipt of its own."""


def record_chapter(
    chapter: str, seeds: int = 5, *, chapters: Path | None = None, again: bool = False, say: Callable[[str], object] = print
) -> Record:
    """Run seeds 0 to ``seeds`` − 1 of a chapter, those that are missing, and write them to its record file.

    Args:
        chapter: the chapter's file name without ``.md``.
        seeds: how many seeds the record shall have.
        chapters: the folder of the chapters; by default that of the checkout.
        again: run all of them, also those that are recorded.
        say: takes one line per seed.

    Raises:
        ValueError: ``seeds`` is not positive.
        FileNotFoundError: there is no such chapter.
        PageFailed: a cell raised, or the page ended without ``page.receipt()``. What ran before is kept.
    """
    if seeds < 1:
        raise ValueError(f"seeds={seeds} is not allowed; record at least 1")
    path = _page(chapter, chapters)
    here = device.get().type, device.scale()
    done: set[int] = set()
    while True:
        records = record.read(chapter, chapters)
        entry = next((r for r in records if (r.setting.device, r.setting.scale) == here), None)
        current = entry if entry and _is_current(entry, chapters) else None
        if current and not again:
            done |= {run.seed for run in current.runs}
        missing = [seed for seed in range(seeds) if seed not in done]
        if not missing:
            assert entry
            say(f"{chapter}: {len(entry.runs)} seeds recorded ({here[1]}, {here[0]}) in {record.path_of(chapter, chapters)}")
            return entry
        receipt = execute(path, missing[0])
        run = replace(receipt.run, date=datetime.now(UTC).date().isoformat())
        new = entry.with_run(receipt.setting, run) if entry else Record(chapter, receipt.setting, (run,))
        if entry and entry.setting != new.setting:
            changed = [name for name in vars(new.setting) if getattr(new.setting, name) != getattr(entry.setting, name)]
            say(f"{chapter}: seeds recorded before left out ({len(entry.runs)}), as {', '.join(changed)} changed since")
            done.clear()
        done.add(run.seed)
        record.write(chapter, [new, *(r for r in records if r is not entry)], chapters)
        cost = f"{duration(run.minutes)}, {run.memory_mb:,.0f} MB"
        say(f"{chapter}: seed {run.seed} ({len(done & set(range(seeds)))} of {seeds}), {len(run.values)} numbers, {cost}")
        for name, reason in receipt.skipped.items():
            say(f"{chapter}:   {name} was not computed, because {reason}")


def execute(path: Path, seed: int) -> Receipt:
    """Run a MyST text notebook from first to last cell in a kernel of its own, and return its receipt.

    Raises:
        ModuleNotFoundError: jupytext or nbclient is not installed.
        PageFailed: a cell raised, or the page has no receipt of its own.
    """
    try:
        import jupytext
        import nbclient
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"recording runs the page as a notebook and needs {error.name}: pip install 'lmcore[book]'"
        ) from error
    notebook = jupytext.read(path)
    try:
        with tempfile.TemporaryDirectory(prefix="lmcore") as sockets:
            client = nbclient.NotebookClient(
                notebook, kernel_name="python3", timeout=None, resources={"metadata": {"path": str(path.parent)}}
            )
            # Sockets in a folder of our own where the system has them: an open TCP port makes the kernel warn of listeners.
            manager = client.create_kernel_manager()
            if sys.platform != "win32":
                manager.transport, manager.ip = "ipc", f"{sockets}/kernel"
            client.execute(env={**os.environ, "LMCORE_SEED": str(seed)})
    except nbclient.exceptions.CellExecutionError as error:
        raise PageFailed(f"{path.name} failed with seed {seed}:\n{error}") from error
    except RuntimeError as error:  # the kernel died, or never answered
        raise PageFailed(f"{path.name} failed with seed {seed}: {error} (out of memory?)") from error
    found = find_receipt(notebook)
    if found is None:
        raise PageFailed(f"{path.name} ended without a receipt; its last cell must be page.receipt()")
    receipt = Receipt.from_json(found)
    if receipt.chapter != path.stem or receipt.run.seed != seed:
        raise PageFailed(
            f"{path.name} gave a receipt for page {receipt.chapter!r} and seed {receipt.run.seed}; "
            f"its first cell must be page = ledger.Page({path.stem!r})"
        )
    return receipt


def _page(chapter: str, chapters: Path | None) -> Path:
    folder = chapters or record.chapters_folder()
    path = folder / f"{chapter}.md"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in folder.glob("[0-9]*.md"))) or "none"
        raise FileNotFoundError(f"there is no chapter {chapter!r} in {folder}; there: {known}")
    return path


def _is_current(entry: Record, chapters: Path | None) -> bool:
    """Whether a run made now would be one more seed of this record, as far as that can be known before running it."""
    own = entry.setting
    return (
        not entry.stale(chapters)
        and not entry.changed_rooms()
        and own.versions == record.versions()
        and own.device_name == device.name()
    )


def main(chapter: str, seeds: int, again: bool) -> int:
    """The ``record`` command; 1 and the reason on standard error if the page could not be recorded."""
    try:
        record_chapter(chapter, seeds, again=again, say=lambda line: print(line, flush=True))
    except (ValueError, OSError, ModuleNotFoundError, PageFailed) as error:
        print(error, file=sys.stderr)
        return 1
    return 0
