"""Reading a student's notebook from disk: ``.ipynb``, or a MyST text notebook through jupytext. Nothing in it is run."""

import ast
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KEY = "lmcore"  # the notebook's metadata: {"lmcore": {"chapter": ..., "edition": ...}}


@dataclass(frozen=True)
class Cell:
    """A cell: ``code`` or ``markdown``, its text, its tags, and the exercise it answers (or nothing)."""

    kind: str
    source: str
    tags: tuple[str, ...] = ()
    exercise: str = ""

    def definitions(self) -> dict[str, ast.stmt]:
        """What a code cell defines outside functions and classes, by ``def`` or by assignment, in a block too; a
        ``SyntaxError`` if it is not Python. An import is no definition: what it brings is not in the notebook."""
        return dict(_defined(ast.parse(plain_python(self.source)).body))


def _defined(nodes: Iterable[ast.AST], within: ast.stmt | None = None) -> Iterator[tuple[str, ast.stmt]]:
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, node
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and within is not None:
            yield node.id, within
        elif not isinstance(node, ast.Lambda | ast.comprehension):
            yield from _defined(ast.iter_child_nodes(node), node if isinstance(node, ast.stmt) else within)


@dataclass(frozen=True)
class Notebook:
    """The cells and what the notebook says about itself."""

    path: Path
    chapter: str
    edition: str
    cells: tuple[Cell, ...]

    @property
    def code(self) -> list[Cell]:
        """The code cells, in order."""
        return [cell for cell in self.cells if cell.kind == "code"]

    def to_ipynb(self) -> dict:
        """As Jupyter's notebook format 4, without outputs."""
        cells: list[dict[str, Any]] = []
        for i, cell in enumerate(self.cells):
            metadata: dict[str, Any] = {"tags": list(cell.tags)} if cell.tags else {}
            if cell.exercise:
                metadata["exercise"] = cell.exercise
            node = {"id": f"cell-{i}", "cell_type": cell.kind, "metadata": metadata, "source": cell.source}
            cells.append(node | ({"execution_count": None, "outputs": []} if cell.kind == "code" else {}))
        kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
        metadata = {"kernelspec": kernel, KEY: {"chapter": self.chapter, "edition": self.edition}}
        return {"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": cells}


def read(path: Path) -> Notebook:
    """The notebook at ``path``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not a notebook, or does not say which chapter and edition it belongs to.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no notebook {path}")
    try:
        content = (from_json if path.suffix == ".ipynb" else from_text)(path.read_text(encoding="utf-8-sig"))
        cells = tuple(_cell(cell) for cell in content["cells"])
        about = content["metadata"].get(KEY, {})
        chapter, edition = str(about["chapter"]), str(about["edition"])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(
            f"{path} is not one of the book's exercise notebooks ({reason}); start again from the one you were given"
        ) from None
    return Notebook(path, chapter, edition, cells)


def from_json(text: str) -> Any:
    """The content of an ``.ipynb``: a dictionary with cells and metadata, if it is one."""
    return json.loads(text)


def from_text(text: str) -> Any:
    """The content of a MyST text notebook, in the same form.

    Raises:
        ValueError: jupytext is not installed.
    """
    try:
        # Not `jupytext.reads`: it takes the format that the file's header names, and some of those start programs.
        from jupytext.myst import myst_to_notebook
    except ImportError:
        raise ValueError("a text notebook needs the package jupytext; install it, or save the notebook as .ipynb") from None
    return myst_to_notebook(text)


def _cell(node: Any) -> Cell:
    source, metadata = node["source"], node["metadata"]
    text = source if isinstance(source, str) else "".join(source)
    return Cell(str(node["cell_type"]), text, tuple(metadata.get("tags", ())), str(metadata.get("exercise", "")))


# What a line of a cell is made of, as far as it matters here: a comment, a string, a bracket, a backslash at the end.
_PIECES = re.compile(r"""\#.*|\'\'\'|\"\"\"|'(?:\\.|[^'\\])*'?|"(?:\\.|[^"\\])*"?|[][(){}]|\\$""")
_MAGIC = re.compile(r"\s*(?:[%!?]|[\w.*\[\]]+\?{1,2}\s*$)")  # %magic, !command, ?name, name??
_KEPT = re.compile(r"(\s*[^\W\d][\w.,:*\s]*(?:\[[^\]]*\]\s*)?=)\s*([%!].*)")  # name = %magic, table[i] = !command
_STATEMENT = re.compile(r"\s*%(?:time|prun)\s+(.+)")  # which are run as they stand
_PROMPT = re.compile(r"^(?:>>>|\.\.\.|In \[\d+\]:|\s*\.{3,}:)(?: |$)")
_INSTALLED = re.compile(r"(?:pip|conda|mamba|uv)\s")  # without a % that is a magic where nothing else stands in a cell
# What runs the rest of its cell as it stands.
_TIMED = ("%%time", "%%capture", "%%prun", "%%debug", "%%ipytest", "%%pyinstrument", "%%snakeviz", "%%wandb")


def plain_python(source: str) -> str:
    """A cell as Python alone: IPython's magics and shell lines are blanked, so that line numbers stay.

    What such a line would have given is given a stand-in: ``files = !ls`` becomes ``files = get_ipython()``. The statement
    behind ``%time`` stays. A cell under ``%%bash``, ``%%timeit`` and the like defines nothing in the notebook: all of it is
    blanked. A line inside a string or a bracket is left alone, whatever it begins with. What else is not Python stays.
    """
    lines = _unindented(source.replace("\r\n", "\n").replace("\r", "\n").split("\n"))
    code = [line for line in map(str.strip, lines) if line and not line.startswith("#")] or [""]
    if (code[0].startswith("%%") and code[0].split()[0] not in _TIMED) or (len(code) == 1 and _INSTALLED.match(code[0])):
        return "\n" * (len(lines) - 1)
    quote, depth, goes_on, is_magic = "", 0, False, False
    for i, line in enumerate(lines):
        if not quote and depth <= 0:
            # A backslash at the end of a magic carries it on into the next line.
            carried = is_magic and goes_on
            instead = "" if carried else None if goes_on else _instead(line)
            is_magic = instead is not None
            if instead is not None:
                lines[i], goes_on = instead, line.endswith("\\")
                continue
        quote, depth, goes_on = _after(line, quote, depth)
        is_magic = False
    return "\n".join(lines)


def _unindented(lines: list[str]) -> list[str]:
    """Without what stands before each line of a cell that was copied out of a block, or out of a session with prompts."""
    first = next((line for line in lines if line.strip()), "")
    indent = first[: len(first) - len(first.lstrip())]
    if indent:
        lines = [line.removeprefix(indent) for line in lines]
    return [_PROMPT.sub("", line) for line in lines] if _PROMPT.match(first) else lines


def _instead(line: str) -> str | None:
    """What stands for a line of IPython's; nothing for a line of Python."""
    if kept := _KEPT.match(line):
        return f"{kept[1]} {_timed(kept[2]) or 'get_ipython()'}"
    if not _MAGIC.match(line):
        return None
    indent = line[: len(line) - len(line.lstrip())]
    return f"{indent}{_timed(line) or ('pass' if indent else '')}"  # a block may hold nothing else


def _timed(magic: str) -> str:
    """The statement that ``%time`` runs, if it is one."""
    if found := _STATEMENT.match(magic):
        with suppress(SyntaxError, ValueError, RecursionError, MemoryError):
            ast.parse(found[1])
            return found[1]
    return ""


def _after(line: str, quote: str, depth: int) -> tuple[str, int, bool]:
    """The state behind a line: the open triple quote, open brackets, and whether the next line carries this one on."""
    place = 0
    while True:
        if quote:
            end = re.compile(rf"(?:\\.|(?!{quote})[^\\])*{quote}").match(line, place)
            if end is None:
                return quote, depth, False
            quote, place = "", end.end()
        found = _PIECES.search(line, place)
        if found is None or found[0].startswith("#"):
            return quote, depth, False
        piece, place = found[0], found.end()
        if piece in ("'''", '"""'):
            quote = piece
        elif piece == "\\":
            return quote, depth, True
        elif len(piece) == 1 and piece in "()[]{}":
            depth += 1 if piece in "([{" else -1


def is_stub(definition: ast.stmt) -> bool:
    """Whether a definition is a function whose body is still only a docstring and ``raise NotImplementedError``, or a class
    of such methods; they may call ``super().__init__()`` first."""
    if isinstance(definition, ast.ClassDef):
        methods = [part for part in definition.body if isinstance(part, ast.FunctionDef)]
        return bool(methods) and all(is_stub(method) for method in methods)
    if not isinstance(definition, ast.FunctionDef):
        return False
    body = [statement for statement in definition.body if ast.unparse(statement) != "super().__init__()"]
    if (
        body
        and isinstance(body[0], ast.Expr)
        and isinstance(body[0].value, ast.Constant)
        and isinstance(body[0].value.value, str)
    ):
        body = body[1:]
    return len(body) == 1 and isinstance(body[0], ast.Raise) and "NotImplementedError" in ast.unparse(body[0])
