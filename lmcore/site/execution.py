"""How the chapters are executed: from which cache, with which progress lines, and what makes a build fail.

jupyter-cache compares code cells only, so after a change in the package it would serve yesterday's numbers. Here the cache
folder is named after everything else a cell's output depends on (:func:`cache_key`): the package's files, the installed
versions, the Python version, the device, scale and seed and the real corpora at hand. The recorded runs, and what an exercise's
check says, are kept track of page by page (:func:`records_key`), so that a new record executes the pages that show it and no
others.
"""

import hashlib
import importlib.metadata
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import nbformat
from jupyter_cache import get_cache
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

from lmcore import device

PACKAGE = Path(__file__).parents[1]
NOT_COMPUTED = ("site", "assets", "check", "__pycache__")  # parts of the package that no chapter's output depends on
STYLE = PACKAGE / "assets" / "matplotlibrc"
KERNEL = """\
c = get_config()
c.IPKernelApp.log_level = "ERROR"
c.InlineBackend.figure_formats = {"svg"}
c.IPKernelApp.exec_lines = [  # a bar drawn by a widget ignores TQDM_DISABLE
    "import tqdm.auto, tqdm.notebook, tqdm.std",
    "tqdm.auto.tqdm = tqdm.notebook.tqdm = tqdm.std.tqdm",
    "tqdm.auto.trange = tqdm.notebook.trange = tqdm.std.trange",
    "del tqdm",
]
"""
KEPT = 4  # cache folders of earlier states that are not thrown away


def cache_key() -> str:
    """Sixteen hexadecimal digits that change whenever the outputs of any chapter could, but for its recorded runs."""
    digest = hashlib.sha256()
    _add_files(digest, (p for p in PACKAGE.rglob("*") if not set(p.relative_to(PACKAGE).parts) & set(NOT_COMPUTED)))
    _add(digest, KERNEL, STYLE.read_bytes())
    for line in _environment():
        _add(digest, line)
    return digest.hexdigest()[:16]


def records_key(book: Path, docname: str) -> str:
    """Sixteen hexadecimal digits that change with the recorded runs that a page shows.

    A chapter shows its own and those of the recipes that its text names; any other page may show all of them. The pages of
    exercises show none: they show what a check says.
    """
    page = book / f"{docname}.md"
    digest = hashlib.sha256()
    if docname.startswith("exercises/"):
        _add_files(digest, (PACKAGE / "check").rglob("*"))
        return digest.hexdigest()[:16]
    records = (book / "chapters" / "ledger").glob("*.json")
    if re.match(r"\d", page.stem):
        text = page.read_text(encoding="utf-8")
        records = (path for path in records if path.stem == page.stem or f'"{path.stem}"' in text)
    _add_files(digest, records)
    return digest.hexdigest()[:16]


def look_key() -> str:
    """Sixteen hexadecimal digits that change with what makes pages of outputs: this extension and its assets."""
    digest = hashlib.sha256()
    for part in ("site", "assets"):
        _add_files(digest, (PACKAGE / part).rglob("*"))
    return digest.hexdigest()[:16]


def _add_files(digest: Any, paths: Iterable[Path]) -> None:
    for path in sorted(p for p in paths if p.is_file() and p.suffix != ".pyc"):
        _add(digest, path.name, path.read_bytes())


def _add(digest: Any, *parts: str | bytes) -> None:
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        digest.update(len(raw).to_bytes(8, "little") + raw)


def _environment() -> Iterable[str]:
    """What the outputs depend on besides files of the project, one line each."""
    yield f"python {sys.version.split()[0]}"
    yield f"{device.get()} {device.scale()} {device.seed()}"
    found = {(d.metadata["Name"] or "").lower(): d.version for d in importlib.metadata.distributions()}
    yield from (f"{name}=={version}" for name, version in sorted(found.items()))
    yield from _corpora()


def _corpora() -> Iterable[str]:
    """The real corpora this machine has: a chapter prints other numbers where they are absent."""
    from lmcore import corpora

    yield from (f"{name} {corpora.available(name)}" for name in corpora.READERS)


def use_cache(app: Sphinx, config: Any) -> None:
    """Point jupyter-cache at the folder of the present state; forget the oldest others."""
    root = Path(app.outdir).parent / "executed"
    folder = root / cache_key()
    folder.mkdir(parents=True, exist_ok=True)
    os.utime(folder)
    config.nb_execution_cache_path = str(folder)
    config.lmcore_look = look_key()  # another value, and Sphinx reads and writes every page again
    for old in sorted(root.iterdir(), key=lambda p: p.stat().st_mtime, reverse=True)[KEPT + 1 :]:
        shutil.rmtree(old)


def pages_with_new_records(app: Sphinx, env: BuildEnvironment, added: set, changed: set, removed: set) -> list[str]:
    """The pages whose recorded runs have changed since their outputs were made; those outputs leave the cache."""
    path = Path(app.config.nb_execution_cache_path) / "records.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    app.config.lmcore_records = {name: records_key(Path(app.srcdir), name) for name in sorted(env.found_docs)}
    stale = [name for name, key in app.config.lmcore_records.items() if known.get(name, key) != key]
    cache = get_cache(app.config.nb_execution_cache_path)
    sources = {str(env.doc2path(name)) for name in stale}
    for record in cache.list_cache_records() if stale else ():
        if record.uri in sources:
            cache.remove_cache(record.pk)
    return stale


def keep_records(app: Sphinx, exception: Exception | None) -> None:
    """After a build without trouble, note which recorded runs its pages show."""
    if not exception:
        path = Path(app.config.nb_execution_cache_path) / "records.json"
        path.write_text(json.dumps(app.config.lmcore_records, indent=1), encoding="utf-8")


def prepare_kernels(app: Sphinx) -> None:
    """Give kernels an environment of their own, so that a page does not depend on the reader's settings.

    No progress bars (a page is no terminal), no IPython start-up files or matplotlib settings from the home folder, and the
    same ``lmcore`` that builds the page.
    """
    profile = Path(app.outdir).parent / "ipython" / "profile_default"
    profile.mkdir(parents=True, exist_ok=True)
    (profile / "ipython_kernel_config.py").write_text(KERNEL, encoding="utf-8")
    paths = [str(PACKAGE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ |= {
        "TQDM_DISABLE": "1",
        "IPYTHONDIR": str(profile.parent),
        "MATPLOTLIBRC": str(STYLE),
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths)),
    }


def executed_notebook(app: Sphinx, docname: str) -> Path:
    """Where myst-nb writes the executed notebook of a page."""
    return Path(app.outdir).parent / "jupyter_execute" / f"{docname}.ipynb"


def keep_outputs(app: Sphinx, doctree: Any) -> None:
    """Write the executed notebook with its outputs also when they come from the cache; myst-nb then writes it without."""
    path = executed_notebook(app, app.env.docname)
    if _run(app.env) and path.is_file():
        cache = get_cache(app.config.nb_execution_cache_path)
        _, notebook = cache.merge_match_into_notebook(nbformat.read(path, nbformat.NO_CONVERT))
        nbformat.write(notebook, path)


def _run(env: BuildEnvironment) -> dict[str, Any]:
    """What myst-nb notes about the execution of the page being read: seconds and time; empty for a page without code."""
    return getattr(env, "nb_metadata", {}).get(env.docname, {}).get("exec_data") or {}


class Progress:
    """One line per page: its number, its name, its seconds, and whether it was executed or came from the cache."""

    def __init__(self) -> None:
        self.total = self.done = 0
        self.began = 0.0
        self.started = time.time()

    def start(self, app: Sphinx, env: BuildEnvironment, docnames: list[str]) -> None:
        """Called once, with the pages that are to be read."""
        self.total, self.done, self.started = len(docnames), 0, time.time()
        if not docnames:
            print("Every page is up to date.", flush=True)

    def page(self, app: Sphinx, docname: str, content: list[str]) -> None:
        """Called before a page is read, and so before it is executed."""
        self.done += 1
        self.began = time.time()
        print(f"[{self.done:>{len(str(self.total))}}/{self.total}] {docname} ", end="", flush=True)

    def page_done(self, app: Sphinx, doctree: Any) -> None:
        """Called when a page is read."""
        seconds = time.time() - self.began
        run = _run(app.env)
        if not run:
            text = f"{seconds:.1f} s"
        elif run["mtime"] < self.began:
            text = f"{seconds:.1f} s, outputs from the cache (executed in {run['runtime']:.1f} s)"
        else:
            text = f"{seconds:.1f} s, executed"
        print(text, flush=True)

    def finish(self, app: Sphinx, exception: Exception | None) -> None:
        """Called at the end of the build."""
        if self.total and not exception:
            print(f"{self.total} pages read in {time.time() - self.started:.1f} s", flush=True)


def forget_after_trouble(app: Sphinx, exception: Exception | None) -> None:
    """After a warning or an error, read every page again next time.

    Sphinx keeps what it has read and warns about a page only when it reads it, so the same command, run a second time, would
    succeed. Executed outputs stay in the cache; reading again costs seconds.
    """
    if exception or app._warncount:
        (Path(app.doctreedir) / "environment.pickle").unlink(missing_ok=True)


def setup(app: Sphinx) -> None:
    """Connect the above to Sphinx's events."""
    progress = Progress()
    app.add_config_value("lmcore_look", "", "env")
    app.add_config_value("lmcore_records", {}, "")
    app.connect("config-inited", use_cache, priority=900)
    app.connect("env-get-outdated", pages_with_new_records)
    app.connect("build-finished", keep_records)
    app.connect("builder-inited", prepare_kernels)
    app.connect("env-before-read-docs", progress.start, priority=900)
    app.connect("source-read", progress.page, priority=100)
    app.connect("doctree-read", keep_outputs, priority=100)
    app.connect("doctree-read", progress.page_done, priority=900)
    app.connect("build-finished", progress.finish, priority=100)
    app.connect("build-finished", forget_after_trouble, priority=950)
