"""One file that was handed in: which notebooks it holds, and what one of them says. Nothing in it is run.

Whatever parses runs in :func:`exercises.grader.apart.apart`; a file that cannot be read is a ``ValueError`` that says why.
"""

import ast
import hashlib
import json
import os
import re
import stat
import unicodedata
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from exercises.grader import archives
from exercises.grader.apart import apart
from lmcore.check.notebook import KEY, from_json, from_text, is_stub, plain_python

CODE = 1 << 20  # characters of code in one notebook
CELLS = 2000


@dataclass(frozen=True)
class Sheet:
    """A notebook as it was handed in, with what it says about itself; an empty string where it says nothing."""

    chapter: str
    edition: str
    student: str
    packed: float  # seconds since 1970, or 0
    cells: tuple[str, ...]  # the code cells as plain Python, in order
    names: tuple[str, ...]  # what they define
    exercises: tuple[str, ...]  # what their metadata say they answer
    written: bool  # whether any function is more than a stub
    likeness: str  # equal for two notebooks with the same code, apart from the student's name


def clean(text: str, most: int = 100) -> str:
    """``text`` on one line: no control, invisible or direction-changing characters, composed, at most ``most`` long."""
    text = "".join(" " if unicodedata.category(letter)[0] in "ZC" else letter for letter in text[: 4 * most])
    return unicodedata.normalize("NFC", " ".join(text.split()))[:most].strip()


def places(path: Path) -> tuple[str, list[tuple[str, ...]], list[tuple[str, str]]]:
    """A file's SHA-256, where notebooks lie in it, and what else lies there that should be said: pairs of a place and a line.

    A place is the names of the members of archives that lead to it: none for a notebook that is a file of its own.

    Raises:
        ValueError: the file cannot be read.
    """
    digest, found, lines = apart(_places, path)
    return digest, [tuple(place) for place in found], [(place, line) for place, line in lines]


def read(path: Path, place: tuple[str, ...] = ()) -> Sheet:
    """The notebook at a place of a file.

    Raises:
        ValueError: it is not a notebook, not one for Python, or too large.
    """
    if Path((path.name, *place)[-1]).suffix.lower() == ".md":
        from_text("")  # imports jupytext, here and once, instead of in every child
    content = apart(_read, path, place)
    tuples = {name: tuple(content[name]) for name in ("cells", "names", "exercises")}
    return Sheet(**{**content, **tuples})


# What follows runs apart


def _places(path: Path) -> tuple[str, list[tuple[str, ...]], list[tuple[str, str]]]:
    data = _bytes(path)
    digest = hashlib.sha256(data).hexdigest()
    if archives.is_archive(data):
        return digest, *archives.notebooks(data)
    if path.suffix.lower() == ".zip":
        raise ValueError("is no zip archive, whatever its name says" if data else "is empty")
    return digest, [()], []


def _bytes(path: Path) -> bytes:
    """The content of a file: never of a link, a pipe or a device, and never more than there should be."""
    try:
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(number, "rb") as file:
            if not stat.S_ISREG(os.fstat(number).st_mode):
                raise ValueError("is not a regular file")
            data = file.read(archives.MOST + 1)
            size = os.fstat(number).st_size
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
    archives.check_size(max(len(data), size))
    return data


def _read(path: Path, place: tuple[str, ...]) -> dict[str, Any]:
    data, about = _bytes(path), b""
    if not place and path.name == "notebook.ipynb":
        with suppress(ValueError):
            about = _bytes(path.parent / "submission.json")
    for name in place:
        with suppress(ValueError):
            about = archives.beside(data, name)
        data = archives.member(data, name)
    return _sheet(_content(data, (path.name, *place)[-1]), _about(about))


def _content(data: bytes, name: str) -> dict[str, Any]:
    text = _text(data)
    if not text.strip():
        raise ValueError("is empty")
    if data.startswith(b"%PDF"):
        raise ValueError("is not a notebook but a PDF, whatever its name says")
    as_json = text.lstrip().startswith("{") or ".md" not in name.lower()
    try:
        content = from_json(text) if as_json else from_text(text)
    except json.JSONDecodeError as error:
        what = "is broken" if text.lstrip().startswith("{") else "is not a notebook"
        raise ValueError(f"{what}: no JSON in line {error.lineno} ({error.msg})") from None
    except (RecursionError, MemoryError):
        raise
    except Exception as error:
        raise ValueError(f"is not a notebook: {clean(str(error), 200)}") from None
    if not isinstance(content, dict) or not isinstance(content.get("metadata", {}), dict):
        raise ValueError("is JSON, but not a notebook")
    if "worksheets" in content:
        raise ValueError("is a notebook of an old format; open it in JupyterLab and save it")
    if not isinstance(content.get("cells"), list) or not all(isinstance(cell, dict) for cell in content["cells"]):
        raise ValueError("is JSON, but not a notebook: there is no list of cells")
    return content


def _text(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _about(data: bytes) -> dict[str, str]:
    """The strings of ``submission.json``; nothing if it is no such file."""
    try:
        content = json.loads(_text(data))
    except ValueError:
        return {}
    return {k: v for k, v in content.items() if isinstance(v, str)} if isinstance(content, dict) else {}


def _sheet(content: dict[str, Any], about: dict[str, str]) -> dict[str, Any]:
    metadata = content.get("metadata", {})
    metadata = {**_dict(metadata, "jupyter"), **metadata}
    if (language := _language(metadata)) != "python":
        raise ValueError(f"is a notebook for {language}, not for Python; its cells cannot be run")
    nodes = [cell for cell in content["cells"] if cell.get("cell_type") == "code"]
    sources = [_source(cell) for cell in nodes]
    if not any(source.strip() for source in sources):
        raise ValueError("holds no code cell")
    if len(sources) > CELLS or sum(map(len, sources)) > CODE:
        raise ValueError(f"holds more than {CELLS} code cells or {CODE >> 20} MB of code; a long text belongs into a file")
    cells = [plain_python(source) for source in sources]
    student, names, written, likeness = _definitions(cells)
    key = _dict(metadata, KEY)
    return {
        "chapter": clean(str(key.get("chapter") or about.get("chapter") or "")),
        "edition": clean(str(key.get("edition") or about.get("edition") or "")),
        "student": clean(about.get("student", "")) or student,
        "packed": _seconds(about.get("packed", "")),
        "cells": cells,
        "names": sorted(names),
        "exercises": sorted({clean(str(_dict(cell, "metadata").get("exercise") or "")) for cell in nodes} - {""}),
        "written": written,
        "likeness": likeness,
    }


def _dict(node: dict[str, Any], key: str) -> dict[str, Any]:
    return node[key] if isinstance(node.get(key), dict) else {}


def _language(metadata: dict[str, Any]) -> str:
    info, kernel = _dict(metadata, "language_info"), _dict(metadata, "kernelspec")
    name = clean(str(kernel.get("name") or ""))
    guess = "R" if name == "ir" else "Julia" if name.startswith("julia") else "python"
    said = clean(str(kernel.get("language") or info.get("name") or guess), 30)
    return "python" if re.match(r"i?python", said, re.IGNORECASE) else said


def _source(cell: dict[str, Any]) -> str:
    source = cell.get("source", "")
    text = "".join(part for part in source if isinstance(part, str)) if isinstance(source, list) else source
    if not isinstance(text, str):
        raise ValueError("is not a notebook: the source of a cell is not text")
    # Half a character, or the character 0, is nothing that Python can read.
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", "\ufffd")


def _seconds(text: str) -> float:
    try:
        time = datetime.fromisoformat(text)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return 0


def _definitions(cells: list[str]) -> tuple[str, set[str], bool, str]:
    """The student's name, what is defined, whether any of it is written, and a fingerprint of the code."""
    student, names, written = "", set(), False
    code = hashlib.sha256()
    for cell in cells:
        try:
            body = ast.parse(cell).body
        except (SyntaxError, ValueError):
            names |= set(re.findall(r"^(?:def|class) +(\w+)", cell, re.MULTILINE))
            written = True
            code.update(cell.encode())
            continue
        for node in body:
            if name := _named(node):
                student = name
                continue
            code.update(ast.dump(node).encode())
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                names.add(node.name)
                written = written or not is_stub(node)
            elif isinstance(node, ast.Assign):
                names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return student, names, written, code.hexdigest() if written else ""


def _named(node: ast.stmt) -> str:
    """The name in ``student = "..."``."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    value = getattr(node, "value", None)
    is_name = any(isinstance(target, ast.Name) and target.id == "student" for target in targets)
    return clean(value.value) if is_name and isinstance(value, ast.Constant) and isinstance(value.value, str) else ""
