"""Execute a chapter or a recipe once per seed and keep what its receipts say.

A chapter runs as the notebook it is, in a kernel of its own, and a recipe as ``python -m lmcore.recipes.NAME``, both with
``LMCORE_SEED`` set; device and scale are those of the
environment (:mod:`lmcore.device`). A seed is on disk as soon as it has run. A seed that is there already, from the same code on
the same machine with the same versions, is not run again, so an interrupted recording continues where it stopped.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lmcore import device
from lmcore.ledger import record
from lmcore.ledger.receipt import RECEIPT, Receipt, find_receipt
from lmcore.ledger.record import Record
from lmcore.ledger.rounding import duration


class PageFailed(RuntimeError):
    """A chapter could not be executed to its end, or it left no receipt of its own."""


def record_chapter(
    chapter: str, seeds: int = 5, *, chapters: Path | None = None, again: bool = False, say: Callable[[str], object] = print
) -> Record:
    """Run seeds 0 to ``seeds`` − 1 of a chapter, those that are missing, and write them to its record file.

    Args:
        chapter: the chapter's file name without ``.md``, or the name of a recipe.
        seeds: how many seeds the record shall have.
        chapters: the folder of the chapters; by default that of the checkout.
        again: run all of them, also those that are recorded.
        say: takes one line per seed.

    Raises:
        ValueError: ``seeds`` is not positive.
        FileNotFoundError: there is neither such a chapter nor such a recipe.
        PageFailed: it raised, or it ended without ``page.receipt()``. What ran before is kept.
    """
    if seeds < 1:
        raise ValueError(f"seeds={seeds} is not allowed; record at least 1")
    path = _source(chapter, chapters)
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
    """Run a chapter (``.md``) or a recipe (``.py``) from beginning to end in a process of its own, and return its receipt.

    Raises:
        ModuleNotFoundError: jupytext or nbclient is not installed.
        PageFailed: it raised, or it left no receipt of its own.
    """
    found = run_recipe(path.stem, seed) if path.suffix == ".py" else run_notebook(path, seed)
    if found is None:
        raise PageFailed(f"{path.name} ended without a receipt; its last step must be page.receipt()")
    receipt = Receipt.from_json(found)
    if receipt.chapter != path.stem or receipt.run.seed != seed:
        raise PageFailed(
            f"{path.name} gave a receipt for {receipt.chapter!r} and seed {receipt.run.seed}; "
            f"it must begin with page = ledger.Page({path.stem!r})"
        )
    return receipt


def run_recipe(name: str, seed: int) -> dict[str, Any] | None:
    """Run ``python -m lmcore.recipes.NAME`` and return the JSON object of its receipt, or ``None`` if it wrote none.

    Raises:
        PageFailed: it ended with an error, which is on standard error.
    """
    with tempfile.TemporaryDirectory(prefix="lmcore") as folder:
        receipt = Path(folder) / "receipt.json"
        environment = {**os.environ, "LMCORE_SEED": str(seed), RECEIPT: str(receipt)}
        done = subprocess.run([sys.executable, "-m", f"lmcore.recipes.{name}"], env=environment, check=False)
        if done.returncode:
            raise PageFailed(f"the recipe {name} failed with seed {seed}: exit status {done.returncode}, see its output above")
        return json.loads(receipt.read_text(encoding="utf-8")) if receipt.is_file() else None


def run_notebook(path: Path, seed: int) -> dict[str, Any] | None:
    """Run a MyST text notebook in a kernel of its own, and return the JSON object of its receipt, or ``None``.

    Raises:
        ModuleNotFoundError: jupytext or nbclient is not installed.
        PageFailed: a cell raised.
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
    return find_receipt(notebook)


def _source(name: str, chapters: Path | None) -> Path:
    path = record.source_of(name, chapters)
    if path is None:
        folder = chapters or record.chapters_folder()
        pages = ", ".join(sorted(p.stem for p in folder.glob("[0-9]*.md"))) or "none"
        recipes = ", ".join(sorted(p.stem for p in record.recipes_folder().glob("[!_]*.py"))) or "none"
        raise FileNotFoundError(
            f"there is no chapter {name!r} in {folder} and no recipe of that name; chapters there: {pages}; recipes: {recipes}"
        )
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
