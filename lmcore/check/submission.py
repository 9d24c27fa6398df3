"""The last cell of an exercise notebook: check that everything is saved, then write one file to hand in."""

import ast
import builtins
import dis
import inspect
import json
import os
import platform
import sys
import tempfile
import textwrap
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import CodeType
from typing import Any

from lmcore import __version__
from lmcore.check import notebook as notebooks
from lmcore.check.notebook import Notebook, is_stub, plain_python

FORMAT = 1


@dataclass(frozen=True)
class Submission:
    """What was packed: the file, and for each exercise ``written`` or what is missing."""

    path: Path
    chapter: str
    edition: str
    student: str
    answers: dict[str, str]
    problems: tuple[str, ...] = ()

    def __str__(self) -> str:
        written = sum(state == "written" for state in self.answers.values())
        done = f"{written} of {len(self.answers)} exercises written, edition {self.edition}"
        lines = [f"Packed {self.path.name} for {self.student}: {done}."]
        lines += [f"  {name}: {state}" for name, state in self.answers.items()]
        lines += [f"  Look again: {problem}" for problem in self.problems]
        return "\n".join([*lines, "Hand in this file. You may pack again; the file is replaced."])

    __repr__ = __str__


def pack_submission(chapter: str, student: str, notebook: str | Path | None = None) -> Submission:
    """Write ``CHAPTER-STUDENT.zip`` beside the notebook: the notebook without outputs, and who, what and which edition.

    Nothing is run. The zip appears complete or not at all.

    Raises:
        ValueError: no name is given, the notebook belongs to another chapter, it is not clear which notebook is meant, or the
            notebook on disk is not the one that was run (it has not been saved).
        FileNotFoundError: there is no such notebook here.
    """
    student = _student(student)
    book = notebooks.read(_find(chapter, Path(notebook) if notebook else None))
    if book.chapter != chapter:
        raise ValueError(f"{book.path.name} belongs to {book.chapter!r}, not to {chapter!r}")
    _check_saved(book)
    answers, problems = _state(book)
    about = {
        "format": FORMAT,
        "chapter": chapter,
        "edition": book.edition,
        "student": student,
        "packed": datetime.now(UTC).isoformat(timespec="seconds"),
        "notebook": book.path.name,
        "answers": answers,
        "lmcore": __version__,
        "python": platform.python_version(),
    }
    path = book.path.resolve().parent / f"{chapter}-{_slug(student)}.zip"
    _write(path, {"submission.json": about, "notebook.ipynb": book.to_ipynb()})
    result = Submission(path, chapter, book.edition, student, answers, tuple(problems))
    if not hasattr(sys, "ps1") and _shell() is None:
        print(result)
    return result


def _student(student: str) -> str:
    if not isinstance(student, str) or not student.strip():
        raise ValueError(f'write your name between the quotes: student = "Ada Lovelace"; got {student!r}')
    if len(student) > 100 or not student.isprintable():
        raise ValueError(f"a name has at most 100 characters and no line breaks; got {student[:40]!r}")
    return student.strip()


def _slug(student: str) -> str:
    kept = "".join(letter if letter.isalnum() else "-" for letter in student.lower())
    return "-".join(filter(None, kept.split("-")))[:60] or "student"


def _shell() -> Any:
    get = getattr(builtins, "get_ipython", None)
    return get() if get else None


def _find(chapter: str, given: Path | None) -> Path:
    """The notebook that is running, or the only one of this chapter in the working folder."""
    if given is not None:
        return given
    shell = _shell()
    # Set by Jupyter's server for the kernel of a notebook, and by VS Code.
    names = [os.environ.get("JPY_SESSION_NAME", ""), str(shell.user_ns.get("__vsc_ipynb_file__", "")) if shell else ""]
    for running in [Path.cwd() / Path(name).name for name in names if name]:
        if running.suffix in (".ipynb", ".md") and running.is_file():
            return running
    found = []
    for path in sorted([*Path.cwd().glob("*.ipynb"), *Path.cwd().glob("*.md")]):
        try:
            found += [path] if notebooks.read(path).chapter == chapter else []
        except ValueError:
            continue
    if not found:
        raise FileNotFoundError(f"there is no notebook of {chapter!r} in {Path.cwd()}; run this cell in the exercises' folder")
    if len(found) > 1:
        listed = ", ".join(path.name for path in found)
        raise ValueError(f'several notebooks here belong to {chapter!r}: {listed}; say which one: notebook="{found[0].name}"')
    return found[0]


def _check_saved(book: Notebook) -> None:
    """Compare what the kernel ran with what lies on disk, because only the latter is packed."""
    shell = _shell()
    namespace: Mapping[str, Any] = shell.user_ns if shell is not None else {}
    on_disk: set[str] = set()
    for cell in book.code:
        with suppress(SyntaxError):  # what a function or a block defines may be an answer, too
            nodes = ast.walk(ast.parse(plain_python(cell.source)))
            on_disk |= {ast.unparse(node) for node in nodes if isinstance(node, ast.stmt)}
    for name, function in [pair for cell in book.code for pair in _functions(cell.exercise, namespace.get(cell.exercise))]:
        try:
            ran = ast.unparse(ast.parse(textwrap.dedent(inspect.getsource(function))).body[0])
        except (OSError, TypeError, SyntaxError):  # not written in a cell
            continue
        # What comes from a module is in no cell, and what a kernel keeps of a cell has no magics.
        if function.__module__ == "__main__" and "get_ipython()" not in ran and ran not in on_disk:
            raise ValueError(
                f"{book.path.name} on disk does not hold the {name} you ran: save the notebook (Ctrl+S, on a Mac ⌘S), "
                "then run this cell again"
            )


def _functions(name: str, ran: object) -> list[tuple[str, Callable]]:
    """A function that was run, or the methods of a class: a class alone does not say where it was written."""
    parts = vars(ran).values() if isinstance(ran, type) else [ran]
    return [(name, part) for part in parts if inspect.isfunction(part)]


def _state(book: Notebook) -> tuple[dict[str, str], list[str]]:
    """For each exercise: written, not written yet, or missing; and what would keep a cell from being graded."""
    found: dict[str, list[tuple[int, ast.stmt]]] = {}  # where each name is defined: the number of a cell, and the statement
    problems = []
    for number, cell in enumerate(book.code, start=1):
        try:
            for name, node in cell.definitions().items():
                found.setdefault(name, []).append((number, node))
        except SyntaxError as error:
            where = f"code cell {number}" + (f" ({cell.exercise})" if cell.exercise else "")
            problems.append(f"{where} is not valid Python (line {error.lineno}: {error.msg}) and cannot be graded")
    answers = {}
    for name in [cell.exercise for cell in book.code if cell.exercise]:
        if name not in found:
            answers[name] = "missing"
            continue
        number, node = found[name][-1]
        answers[name] = "not written yet" if is_stub(node) else "written"
        problems += _replaced(name, number, node, found)
    return answers, problems


def _replaced(name: str, number: int, node: ast.stmt, found: Mapping[str, list[tuple[int, ast.stmt]]]) -> list[str]:
    """What an answer uses and a cell further down defines once more. A check may have run before that cell; grading runs all
    cells first."""
    problems = []
    try:
        code = compile(ast.Module([node], []), "cell", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError):
        return []
    for used in sorted(_globals(code) - {name}):
        places = found.get(used, [])
        if len({ast.unparse(one) for _, one in places}) > 1 and places[0][0] <= number < places[-1][0]:
            cells = ", ".join(str(place) for place in dict.fromkeys(place for place, _ in places))
            problems.append(
                f"{name} uses {used}, which is defined in code cells {cells}. All cells are run before an answer is graded, so "
                "the last counts: give them different names, or run all cells and check again"
            )
    return problems


def _globals(code: CodeType) -> set[str]:
    names = {step.argval for step in dis.get_instructions(code) if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    return names.union(*(_globals(part) for part in code.co_consts if isinstance(part, CodeType)))


def _write(path: Path, files: Mapping[str, dict]) -> None:
    """Write the zip under another name first, so that no half-written file is ever handed in."""
    handle, temporary = tempfile.mkstemp(prefix=".packing-", suffix=".zip", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, json.dumps(content, indent=1, ensure_ascii=False))
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
