"""The rules of CONTRIBUTING.md that a program can check: order, size, quiet imports, docstrings, nothing foreign."""

import ast
import importlib
import inspect
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "lmcore"
TOP_LEVEL = {
    *("README.md", "_config.yml", "_toc.yml", "chapters", "lmcore", "exercises", "tests"),
    *("pyproject.toml", "requirements.lock", "Makefile", "LICENSE", "CONTRIBUTING.md", "CHANGELOG.md"),
    *(".ci", ".pre-commit-config.yaml", "labconfig", ".gitignore", ".gitattributes"),
}
MOST_LINES = 320

# Rooms that a reader can import without waiting for torch.
WITHOUT_TORCH = {
    *("world", "corpora", "tokenizer", "pieces", "merges", "bpe", "wordpiece", "evaluate"),
    *("counts", "smoothing", "ngram"),
}
# What takes long to import and is only needed in some call.
LATE = {
    *("sklearn", "pandas", "matplotlib", "transformers", "tokenizers", "tiktoken", "sacrebleu", "seqeval"),
    *("pooch", "requests", "nbclient", "jupytext", "jupyter_client", "nbformat"),
}


def reading_order() -> list[str]:
    """The rooms in the order of CONTRIBUTING.md's table."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = re.search(r"^\| room \|.*?\n\n", text, flags=re.M | re.S)
    assert table
    return re.findall(r"^\| `(\w+)` \|", table[0], flags=re.M)


def room(path: Path) -> str:
    """The room that a file of the package belongs to; ``""`` for ``lmcore/__init__.py``."""
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


def sources(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of everything a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(path.relative_to(ROOT).parts[: -node.level]) if node.level else ""
            module = ".".join(filter(None, [base, node.module]))
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


def tracked() -> list[Path]:
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if done.returncode:
        pytest.skip("this is no git checkout")
    return [ROOT / name for name in done.stdout.decode().split("\0") if name and (ROOT / name).is_file()]


def test_the_table_lists_every_room_once():
    rooms = reading_order()
    assert len(rooms) == len(set(rooms))
    present = {room(path) for path in sources("lmcore")} - {""}
    assert set(rooms) == present


def test_imports_go_up_the_table():
    order = {name: place for place, name in enumerate(["", *reading_order()])}
    wrong = []
    for path in sources("lmcore"):
        for line, name in imports(path):
            parts = name.split(".")
            if parts[0] != "lmcore":
                continue
            target = parts[1] if len(parts) > 1 and parts[1] in order else ""
            if order[target] > order[room(path)]:
                wrong.append(f"{path.relative_to(ROOT)}:{line} imports {name}, which comes later")
    assert wrong == []


def test_the_package_does_not_import_the_exercises_or_the_tests():
    found = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in sources("lmcore")
        for line, name in imports(path)
        if name.split(".")[0] in ("exercises", "tests")
    ]
    assert found == []


IMPORT_QUIETLY = """
import contextlib, importlib, io, json, os, random, sys, threading, warnings
warnings.simplefilter("error")
report = {}
for name in sys.argv[1:]:
    out = io.StringIO()
    before = set(sys.modules)
    state = random.getstate(), dict(os.environ), threading.active_count(), os.getcwd()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        importlib.import_module(name)
    after = random.getstate(), dict(os.environ), threading.active_count(), os.getcwd()
    report[name] = {
        "printed": out.getvalue(),
        "changed": [what for what, a, b in zip(("seed", "environment", "threads", "folder"), state, after) if a != b],
        "loaded": sorted({m.split(".")[0] for m in set(sys.modules) - before}),
    }
print(json.dumps(report))
"""


def _import_quietly(names: list[str], folder: Path) -> dict[str, dict[str, list[str]]]:
    """Import modules one after the other in a Python of its own, in an empty folder, and say what each import did."""
    home = folder / "home"
    home.mkdir()
    done = subprocess.run(
        [sys.executable, "-B", "-c", IMPORT_QUIETLY, *names],
        cwd=folder,
        env={"HOME": str(home), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert [path for path in folder.rglob("*") if path != home] == []
    return json.loads(done.stdout)


def test_an_import_does_nothing_but_define(tmp_path):
    names = [f"lmcore.{name}" for name in reading_order() if name != "site"]
    for name, did in _import_quietly(names, tmp_path).items():
        assert did["printed"] == "", name
        assert did["changed"] == [], name
        assert not LATE & set(did["loaded"]), f"{name} imports {LATE & set(did['loaded'])} before anybody needs it"


def test_light_rooms_do_not_load_torch(tmp_path):
    assert set(reading_order()) >= WITHOUT_TORCH
    names = [f"lmcore.{name}" for name in reading_order() if name in WITHOUT_TORCH]
    for name, did in _import_quietly(names, tmp_path).items():
        assert "torch" not in did["loaded"], name


def test_files_stay_small():
    long = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in sources("lmcore", "exercises")
        if path.parent.name != "bank"
    }
    assert {name: lines for name, lines in long.items() if lines > MOST_LINES} == {}


def _undocumented(path: Path) -> Iterator[str]:
    """The module, its public classes and functions and their public methods, where they have no docstring."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if tree.body and not ast.get_docstring(tree):
        yield "the module"
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            if not ast.get_docstring(node):
                yield node.name
            methods = node.body if isinstance(node, ast.ClassDef) else []
            for method in methods:
                if isinstance(method, ast.FunctionDef) and not method.name.startswith("_") and not ast.get_docstring(method):
                    module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
                    if not inspect.getdoc(getattr(getattr(module, node.name), method.name)):  # nor one to inherit
                        yield f"{node.name}.{method.name}"


def test_public_names_have_docstrings():
    """Banks are spared: what an answer does is for the reader to find out."""
    files = [path for path in sources("lmcore", "exercises") if path.parent.name != "bank"]
    assert [f"{path.relative_to(ROOT)}: {name}" for path in files for name in _undocumented(path)] == []


def test_top_level_is_as_agreed():
    assert {path.relative_to(ROOT).parts[0] for path in tracked()} <= TOP_LEVEL


@pytest.mark.parametrize(
    ("what", "pattern"),
    [
        ("a path of one machine", r"(?<![\w.:/<~*])/(home|root|work|Users|mnt)/\w"),
        ("a note to self", r"\b(TO[D]O|FIX[M]E|XX[X])\b"),
        ("a package index", r"py[p]i\.org|python[h]osted|npm[j]s\.(org|com)|ana[c]onda\.org|download\.py[t]orch"),
        ("a merge conflict", r"^(<{7}|>{7}) "),
    ],
)
def test_no_tracked_file_holds(what, pattern):
    found = []
    for path in tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{path.relative_to(ROOT)}: {m[0]!r}" for m in re.finditer(pattern, text, flags=re.M)]
    assert found == [], what


def test_the_api_page_lists_every_room_in_reading_order() -> None:
    page = (ROOT / "chapters" / "api.md").read_text(encoding="utf-8")
    listed = re.findall(r"automodule:: lmcore\.(\w+)$", page, flags=re.M)
    assert listed == [name for name in reading_order() if name != "site"]


def test_the_lock_can_be_installed_on_every_python_that_is_promised():
    asked = SpecifierSet(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["requires-python"])
    (oldest,) = [each.version for each in asked if each.operator == ">="]
    locked = re.findall(r"^([\w.-]+)==", (ROOT / "requirements.lock").read_text(encoding="utf-8"), flags=re.M)
    needs = {name: metadata.metadata(name).get("Requires-Python") or "" for name in locked}
    assert not {name: need for name, need in needs.items() if f"{oldest}.0" not in SpecifierSet(need)}
