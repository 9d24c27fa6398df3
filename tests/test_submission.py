"""The last cell of a notebook: one file to hand in, or a clear word why not."""

import builtins
import json
import linecache
import zipfile
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

import exercises
from lmcore.check import pack_submission

NOTEBOOK = exercises.HERE / "ch02_tokens" / "exercises.md"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "exercises.md").write_text(NOTEBOOK.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    return tmp_path


def contents(path: Path) -> tuple[dict, dict]:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist()) == ["notebook.ipynb", "submission.json"]
        return json.loads(archive.read("submission.json")), json.loads(archive.read("notebook.ipynb"))


def write_answer(path: Path, name: str, body: str) -> None:
    before, stub, after = path.read_text(encoding="utf-8").partition(f":exercise: {name}\n")
    path.write_text(before + stub + after.replace('raise NotImplementedError("Not written yet")', body, 1), encoding="utf-8")


def test_a_submission_names_student_edition_and_state(folder, capsys):
    write_answer(folder / "exercises.md", "merge_pair", "return words")
    result = pack_submission("ch02_tokens", student=" Ada Lovelace ")
    assert result.path == folder / "ch02_tokens-ada-lovelace.zip"
    about, notebook = contents(result.path)
    assert about["student"] == "Ada Lovelace"
    assert about["edition"] == exercises.EDITION
    assert about["answers"]["merge_pair"] == "written"
    assert about["answers"]["count_pairs"] == "not written yet"
    cells = [cell for cell in notebook["cells"] if cell["metadata"].get("exercise") == "merge_pair"]
    assert cells[0]["source"].endswith("return words")
    assert all(cell["outputs"] == [] for cell in notebook["cells"] if cell["cell_type"] == "code")
    assert "1 of 4 exercises written" in capsys.readouterr().out
    assert not list(folder.glob(".packing*"))


def test_a_submission_from_an_ipynb_is_a_valid_notebook(folder):
    nbformat = pytest.importorskip("nbformat")
    jupytext = pytest.importorskip("jupytext")
    book = jupytext.read(folder / "exercises.md")
    book.cells[1].outputs = [nbformat.v4.new_output("stream", text="x" * 10_000)]
    nbformat.write(book, folder / "exercises.ipynb")
    with pytest.raises(ValueError, match=r"several notebooks here.*exercises.ipynb, exercises.md"):
        pack_submission("ch02_tokens", student="李雷")
    result = pack_submission("ch02_tokens", student="李雷", notebook="exercises.ipynb")
    assert result.path.name == "ch02_tokens-李雷.zip"
    _, notebook = contents(result.path)
    nbformat.validate(notebook)
    assert "x" * 100 not in json.dumps(notebook)


def test_the_running_notebook_is_the_one_that_is_packed(folder, monkeypatch):
    (folder / "copy.md").write_text(NOTEBOOK.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setenv("JPY_SESSION_NAME", "some/folder/copy.md")
    about, _ = contents(pack_submission("ch02_tokens", student="A").path)
    assert about["notebook"] == "copy.md"


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"student": ""}, ValueError, "write your name"),
        ({"student": None}, ValueError, "write your name"),
        ({"student": "a\nb"}, ValueError, "line breaks"),
        ({"student": "A", "notebook": "gone.md"}, FileNotFoundError, "gone.md"),
        ({"student": "A", "chapter": "ch01_other"}, FileNotFoundError, "no notebook of 'ch01_other'"),
        ({"student": "A", "chapter": "ch01_other", "notebook": "exercises.md"}, ValueError, "belongs to 'ch02_tokens'"),
    ],
)
def test_packing_says_what_is_missing_and_writes_nothing(unchecked, folder, arguments, error, says):
    with pytest.raises(error, match=says):
        pack_submission(**{"chapter": "ch02_tokens", **arguments})
    assert [path.name for path in folder.iterdir()] == ["exercises.md"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"cells": 3}', "# a page\n", "---\nlmcore: 3\n---\n"])
@pytest.mark.parametrize("name", ["exercises.md", "exercises.ipynb"])
def test_a_file_that_is_no_exercise_notebook_is_refused(folder, name, text):
    (folder / name).write_text(text)
    with pytest.raises(ValueError, match="not one of the book's exercise notebooks"):
        pack_submission("ch02_tokens", student="A", notebook=name)


def test_a_cell_that_is_not_python_is_named(folder):
    write_answer(folder / "exercises.md", "merge_pair", "return (")
    result = pack_submission("ch02_tokens", student="A")
    assert result.answers["merge_pair"] == "missing"
    assert "merge_pair) is not valid Python" in result.problems[0]


def test_no_half_written_file_when_writing_fails(folder, monkeypatch):
    first = pack_submission("ch02_tokens", student="A").path.read_bytes()

    def full(*_, **__):
        raise OSError("no space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    with pytest.raises(OSError, match="no space"):
        pack_submission("ch02_tokens", student="A")
    assert sorted(path.name for path in folder.iterdir()) == ["ch02_tokens-a.zip", "exercises.md"]
    assert (folder / "ch02_tokens-a.zip").read_bytes() == first


def test_an_unsaved_notebook_is_noticed(folder, monkeypatch):
    namespace: dict = {}
    monkeypatch.setattr(builtins, "get_ipython", lambda: type("Shell", (), {"user_ns": namespace})(), raising=False)

    def count_pairs(words):
        return dict(Counter(pair for word in words for pair in pairwise(word)))

    count_pairs.__module__ = "__main__"
    namespace["count_pairs"] = count_pairs
    with pytest.raises(ValueError, match="does not hold the count_pairs you ran: save the notebook"):
        pack_submission("ch02_tokens", student="A")
    text = (folder / "exercises.md").read_text(encoding="utf-8")
    line = "    return dict(Counter(pair for word in words for pair in pairwise(word)))"
    body = f"```{{code-cell}} ipython3\ndef count_pairs(words):\n{line}\n```\n"
    (folder / "exercises.md").write_text(text + "\n" + body, encoding="utf-8")
    assert pack_submission("ch02_tokens", student="A").answers["count_pairs"] == "written"


WRITTEN = {
    "a function": "def count_pairs(words):\n    return words",
    "a lambda": "count_pairs = lambda words: words",
    "a function that was made": "def make(by):\n    def two(words):\n        return by\n    return two\ncount_pairs = make(3)",
    "a lambda that was made": "def make(by):\n    return lambda words: by\ncount_pairs = make(3)",
    "in a block": "if True:\n    def count_pairs(words):\n        return words",
    "with a type": "from typing import Any\ncount_pairs: Any = lambda words: words",
    "decorated": "import functools\n@functools.cache\ndef count_pairs(words):\n    return words",
    "with magics": "def count_pairs(words):\n    %time x = 1\n    files = !ls\n    !ls\n    return words",
    "among others": "count_pairs, other = (lambda words: words), 2",
    "bound": "import functools\ncount_pairs = functools.partial(sorted)",
}


@pytest.mark.parametrize("how", WRITTEN)
def test_what_was_run_and_saved_can_be_packed_however_it_is_written(folder, monkeypatch, how):
    manager = pytest.importorskip("IPython.core.inputtransformer2").TransformerManager()
    namespace = {"__name__": "__main__"}
    monkeypatch.setattr(builtins, "get_ipython", lambda: type("Shell", (), {"user_ns": namespace})(), raising=False)
    text = (folder / "exercises.md").read_text(encoding="utf-8")
    run = manager.transform_cell(WRITTEN[how])
    monkeypatch.setitem(linecache.cache, "of-a-kernel.py", (len(run), None, run.splitlines(keepends=True), "of-a-kernel.py"))
    exec(compile(run, "of-a-kernel.py", "exec"), namespace)
    (folder / "exercises.md").write_text(f"{text}\n```{{code-cell}} ipython3\n{WRITTEN[how]}\n```\n", encoding="utf-8")
    assert pack_submission("ch02_tokens", student="A").answers["count_pairs"] == "written"


def test_a_helper_that_a_later_cell_replaces_is_named(folder):
    path = folder / "exercises.md"
    write_answer(path, "count_pairs", "return [scale(word) for word in words]")
    text = path.read_text(encoding="utf-8")
    cell = "\n```{{code-cell}} ipython3\n{}\n```\n".format
    first = text.index("```{code-cell}")
    before = cell("def scale(x):\n    return x\nword = 1")
    path.write_text(text[:first] + before + text[first:], encoding="utf-8")
    assert pack_submission("ch02_tokens", student="A").problems == ()
    after = cell("word = 2\ndef scale(x):\n    return 2 * x")
    path.write_text(text[:first] + before + text[first:] + after, encoding="utf-8")
    (problem,) = pack_submission("ch02_tokens", student="A").problems
    assert problem.startswith("count_pairs uses scale, which is defined in code cells 1, ")
    path.write_text(text + cell("def scale(x):\n    return x"), encoding="utf-8")
    assert pack_submission("ch02_tokens", student="A").problems == (), "one below it, which a check had to wait for"
