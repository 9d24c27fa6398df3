"""Zip archives that were handed in: which notebooks lie in them. Nothing is written to disk, and no size is believed.

These functions run in :func:`exercises.grader.apart.apart`.
"""

import io
import re
import stat
import zipfile
from pathlib import PurePosixPath

MOST = 50 << 20  # bytes of a file, packed or not
MEMBERS = 2000
NOTEBOOKS = 20
SUFFIXES = (".ipynb", ".md")
# Files that come with the exercises, and that systems leave behind.
COMPANIONS = ("submission.json", "cases.json", "thumbs.db", "desktop.ini")


def is_archive(data: bytes) -> bool:
    """Whether a file begins as zip archives do; its name does not matter."""
    return data.startswith((b"PK\x03\x04", b"PK\x05\x06"))


def is_hidden(part: str) -> bool:
    """Whether a folder or file is nobody's work: checkpoints, caches and what macOS adds."""
    return part.startswith(".") or part in ("__MACOSX", "__pycache__")


def kind(name: str) -> str:
    """``notebook``, ``zip`` or nothing, by the name; ``exercises.ipynb.txt`` is what a browser made of a notebook."""
    suffixes = [suffix.lower() for suffix in PurePosixPath(name).suffixes[-2:]]
    if suffixes[1:] == [".txt"] or suffixes[1:] == [".json"]:
        suffixes = suffixes[:1]
    last = re.sub(r"\s*\(\d+\)$", "", suffixes[-1]) if suffixes else ""
    return "notebook" if last in SUFFIXES else "zip" if last == ".zip" else ""


def check_size(size: int, known: bool = True) -> None:
    """Refuse a file that is larger than any notebook has to be; ``known`` is whether it was read to its end."""
    if size > MOST:
        much = f"{size >> 20} MB" if known and size >> 20 > MOST >> 20 else f"more than {MOST >> 20} MB"
        raise ValueError(f"has {much}; at most {MOST >> 20} MB are read. Clear the outputs and save it again")


def notebooks(data: bytes, within: tuple[str, ...] = ()) -> tuple[list[tuple[str, ...]], list[tuple[str, str]]]:
    """The places of the notebooks in an archive and in archives in it, and pairs of a place and a line about it."""
    found: list[tuple[str, ...]] = []
    lines: list[tuple[str, str]] = []
    others: list[str] = []
    for info in _listed(data):
        name = info.filename
        if info.is_dir() or any(map(is_hidden, PurePosixPath(name).parts)):
            continue
        if kind(name) == "notebook":
            found.append((*within, name))
        elif kind(name) == "zip" and within:
            lines.append((name, "is a zip in a zip in a zip, which is not opened"))
        elif kind(name) == "zip":
            try:
                inner, said = notebooks(member(data, name), (name,))
            except ValueError as error:
                inner, said = [], [("", str(error))]
            found += inner
            lines += [(f"{name}/{place}".rstrip("/"), line) for place, line in said]
        elif PurePosixPath(name).name.lower() not in COMPANIONS:
            others.append(name)
    lines += not_notebooks(others)
    if len(found) > NOTEBOOKS:
        raise ValueError(f"holds {len(found)} notebooks; from one zip at most {NOTEBOOKS} are read. Unpack it into the folder")
    if not found and not lines:
        raise ValueError("is a zip without a notebook in it")
    return found, lines


def not_notebooks(names: list[str], most: int = 5) -> list[tuple[str, str]]:
    """A line for each file that is something else; for more than ``most`` of them, one line."""
    if len(names) <= most:
        return [(name, "is not a notebook (.ipynb or .md) and not a zip of some; it is not graded") for name in names]
    return [(names[0], f"and {len(names) - 1} more files beside it are not notebooks; they are not graded")]


def _listed(data: bytes) -> list[zipfile.ZipInfo]:
    infos = sorted(_opened(data).infolist(), key=lambda info: info.filename)
    names = [info.filename for info in infos]
    if len(names) > MEMBERS:
        raise ValueError(f"is a zip of {len(names)} files; at most {MEMBERS} are read")
    if len(set(names)) < len(names):
        raise ValueError("is a zip in which two files have the same name")
    for info in infos:
        parts = PurePosixPath(info.filename.replace("\\", "/")).parts
        if ".." in parts or info.filename.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", info.filename):
            raise ValueError("is a zip with a name in it that leads out of its folder")
        if stat.S_ISLNK(info.external_attr >> 16):
            raise ValueError("is a zip with a link in it; links are not followed")
        if info.flag_bits & 1:
            raise ValueError("is a zip with a password; hand in one without")
    return infos


def _opened(data: bytes) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, NotImplementedError, EOFError, OverflowError):
        raise ValueError("is a zip that is cut short or damaged; it has to be packed or sent again") from None


def member(data: bytes, name: str) -> bytes:
    """The bytes of a member; a size that the archive only claims does not matter."""
    try:
        with _opened(data).open(name) as file:
            content = file.read(MOST + 1)
    except (KeyError, OSError, RuntimeError, NotImplementedError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"is damaged ({error})") from None
    except Exception as error:  # zlib's, lzma's and bz2's own
        raise ValueError(f"is damaged ({error})") from None
    check_size(len(content), known=False)
    return content


def beside(data: bytes, name: str) -> bytes:
    """The ``submission.json`` that belongs to a member, or nothing."""
    path = PurePosixPath(name)
    wanted = str(path.with_name("submission.json"))
    if path.name != "notebook.ipynb" or wanted not in _opened(data).namelist():
        return b""
    return member(data, wanted)
