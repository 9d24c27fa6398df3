"""The student's notebook agrees with the bank and gives nothing away."""

import ast
import inspect
import re
from collections.abc import Callable, Iterable
from functools import cache
from itertools import pairwise
from pathlib import Path

import exercises
from exercises.grader.exercise import Exercise
from exercises.grader.source import standalone
from lmcore.check import notebook as notebooks
from lmcore.check.diagnose import examine
from lmcore.check.notebook import Cell, Notebook, is_stub


def path(chapter: str) -> Path:
    """The notebook of a chapter."""
    return exercises.folder(chapter) / "exercises.md"


def problems(chapter: str) -> list[str]:
    """What is wrong with a chapter's notebook; empty if nothing is."""
    try:
        book = notebooks.read(path(chapter))
    except (FileNotFoundError, ValueError) as error:
        return [str(error)]
    bank = exercises.bank(chapter)
    found = []
    if (book.chapter, book.edition) != (chapter, exercises.EDITION):
        found.append(
            f"the header says chapter {book.chapter}, edition {book.edition}; it is {chapter}, edition {exercises.EDITION}"
        )
    asked = [cell.exercise for cell in book.code if "exercise" in cell.tags or cell.exercise]
    if asked != [exercise.name for exercise in bank]:
        found.append(f"the cells tagged exercise are {asked}; the bank holds {[exercise.name for exercise in bank]}")
    if not any(f'pack_submission("{chapter}", student=student)' in cell.source for cell in book.code[-1:]):
        found.append(f'the last code cell does not call pack_submission("{chapter}", student=student)')
    for exercise in bank:
        found += [f"{exercise.name}: {problem}" for problem in _stub_problems(book, exercise)]
        found += [f"{exercise.name}: {problem}" for problem in leaks(exercise, (cell.source for cell in book.cells))]
    return found


def _stub_problems(book: Notebook, exercise: Exercise) -> list[str]:
    cells = [cell for cell in book.code if cell.exercise == exercise.name]
    if len(cells) != 1:
        return [f"expected one cell with the metadata exercise: {exercise.name}, found {len(cells)}"]
    stub = cells[0].definitions().get(exercise.name)
    reference = ast.parse(inspect.getsource(exercise.reference)).body[0]
    if not isinstance(stub, ast.FunctionDef | ast.ClassDef):
        return [f"its cell does not define {exercise.name}"]
    found = []
    if (given := _heads(stub)) != (wanted := _heads(reference)):
        found.append(f"the stub takes {given}, the reference {wanted}")
    if not is_stub(stub) or ast.get_docstring(stub) is None:
        found.append("the stub is not just a docstring and raise NotImplementedError")
    if not any(f'check("{exercise.name}", {exercise.name})' in cell.source for cell in book.code):
        found.append(f'no cell calls check("{exercise.name}", {exercise.name})')
    if not any(cell.kind == "markdown" and exercise.facts in cell.source for cell in book.cells):
        found.append(f"no text cell holds the line {exercise.facts}")
    if not found:
        function = _defined(book, cells[0], exercise.name)
        result = examine(exercises.public_questions(exercise.name)[exercise.name], function)
        if result.kind != "unwritten" or "Not written yet" not in str(result):
            found.append(f"the stub does not fail kindly: {result}")
    return found


def _heads(node: ast.stmt) -> str:
    """The parameters of a function; the bases of a class, and the parameters of its methods, private ones left out."""
    if isinstance(node, ast.ClassDef):
        methods = [part for part in node.body if isinstance(part, ast.FunctionDef)]
        shown = [f"{part.name}{_heads(part)}" for part in methods if part.name.endswith("__") or not part.name.startswith("_")]
        return f"({', '.join(map(ast.unparse, node.bases))}): {'; '.join(shown)}"
    return f"({ast.unparse(node.args)})" if isinstance(node, ast.FunctionDef) else ast.unparse(node)


def _defined(book: Notebook, cell: Cell, name: str) -> Callable:
    """The function or class that a trusted cell of ours defines, with what the notebook imports."""
    namespace: dict = {"__name__": "student"}
    parsed = [ast.parse(other.source).body for other in book.code if "skip-execution" not in other.tags]
    imports: list[ast.stmt] = [node for body in parsed for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
    exec(compile(ast.Module(imports, []), "<imports>", "exec"), namespace)
    exec(compile(cell.source, "<stub>", "exec"), namespace)
    return namespace[name]


def leaks(exercise: Exercise, texts: Iterable[str]) -> list[str]:
    """The answers of ``exercise`` whose code occurs in ``texts``: two lines of a body in a row, or a body of one line."""
    lines = [squeezed for text in texts for line in text.splitlines() if (squeezed := _squeeze(line))]
    joined = "\n" + "\n".join(lines) + "\n"
    found = []
    for answer in [exercise.reference, *exercise.right, *exercise.wrong]:
        body = _body_lines(answer)
        pieces = ["\n".join(pair) for pair in pairwise(body)] or list(body)
        if shown := [piece for piece in pieces if f"\n{piece}\n" in joined]:
            found.append(f"the notebook or pack holds code of {answer.__name__}: {shown[0]!r}")
        named = any(f"\n{word}{answer.__name__}{end}" in joined for word, end in (("def", "("), ("class", "("), ("class", ":")))
        if answer is not exercise.reference and named:
            found.append(f"the notebook or pack names {answer.__name__}")
    return found


@cache
def _body_lines(answer: Callable) -> tuple[str, ...]:
    """The lines of the bodies of an answer and its helpers, without docstrings, white space and lines of no content."""
    lines = []
    for node in ast.walk(ast.parse(standalone(answer))):
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            lines += [_squeeze(line) for statement in body for line in ast.unparse(statement).splitlines()]
    return tuple(line for line in lines if line not in ("", "else:", "break", "continue", "pass", "super().__init__()"))


def _squeeze(line: str) -> str:
    return re.sub(r"\s+", "", line).replace('"', "'")
