"""Reading a student's notebook from disk: ``.ipynb``, or a MyST text notebook through jupytext. Nothing in it is run."""

import ast
import json
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
        """What a code cell defines at its top level, by ``def`` or by assignment; a ``SyntaxError`` if it is not Python."""
        lines = ["" if line.lstrip().startswith(("%", "!")) else line for line in self.source.splitlines()]
        found: dict[str, ast.stmt] = {}
        for node in ast.parse("\n".join(lines)).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found[node.name] = node
            elif isinstance(node, ast.Assign):
                found |= {target.id: node for target in node.targets if isinstance(target, ast.Name)}
        return found


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
        content = (_read_json if path.suffix == ".ipynb" else _read_text_notebook)(path)
        cells = tuple(_cell(cell) for cell in content["cells"])
        about = content["metadata"].get(KEY, {})
        chapter, edition = str(about["chapter"]), str(about["edition"])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(
            f"{path} is not one of the book's exercise notebooks ({reason}); start again from the one you were given"
        ) from None
    return Notebook(path, chapter, edition, cells)


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _read_text_notebook(path: Path) -> Any:
    try:
        import jupytext
    except ImportError:
        raise ValueError("a text notebook needs the package jupytext; install it, or save the notebook as .ipynb") from None
    return jupytext.read(path)


def _cell(node: Any) -> Cell:
    source, metadata = node["source"], node["metadata"]
    text = source if isinstance(source, str) else "".join(source)
    return Cell(str(node["cell_type"]), text, tuple(metadata.get("tags", ())), str(metadata.get("exercise", "")))


def is_stub(definition: ast.stmt) -> bool:
    """Whether a definition is a function whose body is still only a docstring and ``raise NotImplementedError``."""
    if not isinstance(definition, ast.FunctionDef):
        return False
    body = definition.body
    if (
        body
        and isinstance(body[0], ast.Expr)
        and isinstance(body[0].value, ast.Constant)
        and isinstance(body[0].value.value, str)
    ):
        body = body[1:]
    return len(body) == 1 and isinstance(body[0], ast.Raise) and "NotImplementedError" in ast.unparse(body[0])
