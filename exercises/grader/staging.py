"""The folder that a sandbox sees: the code inside it, and the parts of ``lmcore`` that its questions' probes import."""

import ast
import functools
import importlib.metadata
import importlib.util
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

import lmcore
from lmcore.check.run import PROBES
from lmcore.pretrained.minilm import MINILM

PACKAGE = Path(lmcore.__path__[0])
BOX = Path(__file__).parent / "box"

# Packages that hold ready-made answers to the book's exercises.
READY_MADE = frozenset(
    {
        "transformers",
        "tokenizers",
        "tiktoken",
        "sacrebleu",
        "seqeval",
        "sentencepiece",
        "nltk",
        "spacy",
        "keras",
        "tensorflow",
        "jax",
    }
    | {"flax", "gensim", "fairseq", "torchtext", "torchaudio", "torchvision", "timm", "einops", "x_transformers", "xformers"}
    | {"lmcore_solutions", "exercises", "evaluate", "accelerate", "peft", "trl", "datasets", "huggingface_hub", "minbpe"}
)


def closure(module: str) -> frozenset[Path]:
    """The files of ``lmcore`` that importing a module of it can need, at once or when one of its functions is called."""
    found: set[Path] = set()
    todo = [module]
    while todo:
        for path in _files(todo.pop()):
            if path not in found:
                found.add(path)
                todo += _imports(path)
    return frozenset(found)


def _files(module: str) -> list[Path]:
    """A module's file, and those of the packages it lies in."""
    parts = module.split(".")[1:]
    files = [PACKAGE / "__init__.py"]
    folder = PACKAGE
    for part in parts:
        folder = folder / part
        files += [path for path in (folder / "__init__.py", folder.with_suffix(".py")) if path.is_file()]
    return files


@functools.cache
def _imports(path: Path) -> tuple[str, ...]:
    def names() -> Iterator[str]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield node.module
                yield from (f"{node.module}.{alias.name}" for alias in node.names)

    return tuple(name for name in names() if name.split(".")[0] == "lmcore")


@functools.cache
def rooms(probe: str) -> frozenset[Path]:
    """The files of ``lmcore`` that a question with this probe needs: ``lmcore.check`` always, other rooms where it imports
    them."""
    always = frozenset((PACKAGE / "check").glob("*.py")) | {PACKAGE / "__init__.py"}
    return always | closure(PROBES[probe].split(":")[0])


def stage(files: Iterable[Path]) -> Path:
    """A new folder with ``box`` and these files of ``lmcore``, which only its owner may enter (see :func:`let_in`); whoever
    asked removes it."""
    folder = Path(tempfile.mkdtemp(prefix="lmcore-sandbox-"))
    try:
        shutil.copytree(BOX, folder / "box", ignore=shutil.ignore_patterns("__pycache__"))
        for path in files:
            target = folder / "lmcore" / path.relative_to(PACKAGE)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        for path in folder.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)
    except BaseException:  # told to end, for one
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def let_in(folder: Path, uid: int | None) -> None:
    """Let the user of one sandbox into its folder, and of no other: that holds what its questions may need, and theirs not."""
    if uid is not None:
        os.chown(folder, -1, uid)
        folder.chmod(0o750)


@functools.cache
def packages() -> dict[str, Path]:
    """What lies beside each other in a folder of packages, by name: that which ``lmcore`` needs to run, without packages that
    hold ready-made answers."""
    found: dict[str, Path] = {}
    for distribution in _distributions():
        root = Path(str(distribution.locate_file("")))
        for name in {file.parts[0] for file in distribution.files or []}:
            if name not in ("..", "__pycache__", "bin") and not name.endswith(".pth") and (root / name).exists():
                found[name] = root / name
    return {name: path for name, path in sorted(found.items()) if name.split("-")[0].lower() not in READY_MADE}


def _distributions() -> list[importlib.metadata.Distribution]:
    """Those that ``lmcore`` needs, without itself: what it needs, what that needs, and so on."""
    found: dict[str, importlib.metadata.Distribution] = {}
    todo = [*_required("lmcore")]
    while todo:
        name = todo.pop()
        if name not in found and name.replace("-", "_") not in READY_MADE:
            try:
                found[name] = importlib.metadata.distribution(name)
            except importlib.metadata.PackageNotFoundError:
                continue
            todo += _required(name)
    return list(found.values())


def _required(name: str) -> Iterator[str]:
    for line in importlib.metadata.requires(name) or []:
        try:
            needed = Requirement(line)
        except InvalidRequirement:
            continue
        if needed.marker is None or needed.marker.evaluate({"extra": ""}):
            yield re.sub(r"[-_.]+", "-", needed.name).lower()


def blocked() -> list[str]:
    """Names that may not be imported where the packages of the machine can be read."""
    return sorted(READY_MADE)


def data(probes: Iterable[str]) -> tuple[Path, ...]:
    """Packages of weights that some of these probes look at, where they are installed."""
    found = importlib.util.find_spec(MINILM) if "embeddings" in probes else None
    return (Path(found.origin).parent,) if found is not None and found.origin is not None else ()
