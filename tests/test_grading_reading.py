"""Reading what students handed in: hostile data cost the one file, and cells become plain Python."""

import ast
import json
import os
import sys
import time
import zipfile
from functools import partial

import psutil
import pytest

from exercises.grader import archives, reading
from exercises.grader.apart import TooMuchError, apart
from lmcore.check import notebook as notebooks
from lmcore.check.notebook import plain_python

# A trusted function on hostile data


def endless():
    while True:
        pass


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda: len(bytearray(1 << 30)), "too much memory"),
        (lambda: ast.parse("-" * 10**6 + "1"), "nested too deeply"),
        (lambda: json.loads("[" * 10**6), "nested too deeply"),
        (endless, "takes too long"),
        (lambda: time.sleep(60), "takes too long"),
        (lambda: "x" * (65 << 20), "more than 64 MB"),
        (lambda: os.kill(os.getpid(), 11), "ended the process"),
        (lambda: os._exit(0), "ended the process"),
        (lambda: sys.exit(), "ended the process"),
    ],
)
def test_what_goes_wrong_apart_is_an_error_here(function, says):
    before, begun = psutil.Process().children(), time.monotonic()
    with pytest.raises(TooMuchError, match=says):
        apart(function, seconds=1 if "long" in says else 20, memory=1 << 28)
    assert time.monotonic() - begun < 40
    assert psutil.Process().children() == before, "no process is left"


def test_values_and_errors_come_back():
    assert apart(lambda *given: {"a": given, "b": "\ud800é"}, 1, None) == {"a": [1, None], "b": "\ud800é"}
    with pytest.raises(ValueError, match=r"^not so$") as caught:
        apart(lambda: (_ for _ in ()).throw(ValueError("not so")))
    assert not isinstance(caught.value, TooMuchError)
    with pytest.raises(ValueError, match="ZeroDivisionError: division by zero"):
        apart(lambda: 1 / 0)


def test_nothing_done_apart_stays():
    found: list[int] = []
    apart(lambda: found.append(1))
    assert found == []
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    for _ in range(5):
        with pytest.raises(ValueError, match="ended"):
            apart(lambda: os._exit(1))
    assert not before or len(os.listdir("/proc/self/fd")) == before


# Cells as plain Python


@pytest.mark.parametrize(
    ("cell", "plain"),
    [
        ("%matplotlib inline\nx = 1", "\nx = 1"),
        ("!pip install x\nx = 1", "\nx = 1"),
        ("!ls \\\n  here\nx = 1", "\n\nx = 1"),
        ("if x:\n    %timeit f()\ny = 2", "if x:\n    pass\ny = 2"),
        ("torch.nn?\n??f\nx = 1  # or 2?", "\n\nx = 1  # or 2?"),
        ("%%time\nx = 1", "\nx = 1"),
        ("\n%%bash\nrm -r x\n", "\n\n\n"),
        ("%%python\nx = 1", "\n"),
        ("!echo don't (\nx = 1", "\nx = 1"),
        ("x = 1\r\n%timeit y\ry = 2", "x = 1\n\ny = 2"),
    ],
)
def test_magics_are_blanked(cell, plain):
    assert plain_python(cell) == plain
    ast.parse(plain)


@pytest.mark.parametrize(
    "cell",
    [
        'x = """\n%s of\n!them\n"""',
        "x = (7\n% 3)",
        "x = [\n'(',\n%d" + "\n]",
        "x = 7 \\\n% 3",
        "x = f'''{1}\n%'''",
        "x = 'it\\'s'  # don't (\ny = 1",
        "x = r'''\\\n%'''",
        "x = 'a\\\n%b'",
    ],
)
def test_lines_that_only_look_like_magics_stay(cell):
    assert plain_python(cell) == cell


def test_what_stands_behind_a_string_is_a_magic_again():
    assert plain_python('x = "(" + """\n%\n""" # "\n%time') == 'x = "(" + """\n%\n""" # "\n'


@pytest.mark.parametrize("text", ["'" * 10**6, '"""' + "\\" * 10**6, "(" * 10**5, "'\\" * 10**5, "%\n" * 10**5, "a?" * 10**5])
def test_no_cell_takes_long_to_look_through(text):
    apart(lambda: len(plain_python(text)), seconds=10)


# Notebooks


def cell(source, kind="code", **metadata):
    return {"cell_type": kind, "metadata": metadata, "source": source, "outputs": []}


def write(path, *cells, **metadata):
    content = {"cells": list(cells), "metadata": {"lmcore": {"chapter": "ch02_tokens", "edition": "1"}, **metadata}}
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_a_notebook_is_read_and_not_run(tmp_path):
    code = ["import os\n", "%time\n", "def count_pairs(words): return os._exit(1)"]
    path = write(tmp_path / "a.ipynb", cell("text", "markdown"), cell(code, exercise="count_pairs"), cell("student = ' Ada '"))
    sheet = reading.read(path)
    assert (sheet.chapter, sheet.edition, sheet.student, sheet.packed) == ("ch02_tokens", "1", "Ada", 0)
    assert sheet.cells == ("import os\n\ndef count_pairs(words): return os._exit(1)", "student = ' Ada '")
    assert sheet.names == ("count_pairs",)
    assert sheet.exercises == ("count_pairs",)
    assert sheet.written


TEXT = """---
kernelspec:
  display_name: Python 3
  name: python3
lmcore:
  chapter: ch02_tokens
  edition: '1'
---

# Title é

```{code-cell} ipython3
:exercise: count_pairs

def count_pairs(words):
    raise NotImplementedError
```
"""


@pytest.mark.parametrize(
    "data",
    [
        TEXT.encode(),
        b"\xef\xbb\xbf" + TEXT.encode(),
        TEXT.encode("latin-1"),
        TEXT.encode("utf-16"),
        TEXT.replace("\n", "\r\n").encode(),
    ],
)
def test_text_notebooks_in_any_encoding(tmp_path, data):
    pytest.importorskip("jupytext")
    path = tmp_path / "A.MD"
    path.write_bytes(data)
    sheet = reading.read(path)
    assert sheet.cells == ("def count_pairs(words):\n    raise NotImplementedError",)
    assert (sheet.chapter, sheet.names, sheet.exercises, sheet.written) == ("ch02_tokens", *[("count_pairs",)] * 2, False)


@pytest.mark.parametrize("form", ["pandoc", "quarto", "marimo", "markdown"])
def test_a_header_starts_no_converter(tmp_path, form):
    """``jupytext.reads`` would obey it, and start Pandoc."""
    pytest.importorskip("jupytext")
    named = f"---\njupyter:\n  jupytext:\n    text_representation:\n      extension: .md\n      format_name: {form}\n"
    path = tmp_path / "a.md"
    path.write_text(TEXT.replace("---\n", named, 1), encoding="utf-8")
    assert reading.read(path).names == ("count_pairs",)
    assert notebooks.read(path).chapter == "ch02_tokens"


JSON = b'{"cells": [{"cell_type": "code", "source": "x = 1"}], "metadata": {"lmcore": {"chapter": 3, "edition": 1}}}'


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"%PDF-1.7", "is not a notebook but a PDF"),
        (JSON[:-5], "is broken: no JSON in line 1"),
        (b"[1]", "but not a notebook"),
        (b'{"cells": 3}', "no list of cells"),
        (b'{"cells": [1]}', "no list of cells"),
        (b'{"metadata": []}', "not a notebook"),
        (b'{"worksheets": []}', "an old format"),
        (b'{"cells": []}', "holds no code cell"),
        (JSON.replace(b'"x = 1"', b'" "'), "holds no code cell"),
        (JSON.replace(b'"x = 1"', b"7"), "the source of a cell is not text"),
        (JSON.replace(b'"metadata": {', b'"metadata": {"language_info": {"name": "R"}, '), "a notebook for R, not for Python"),
        (JSON.replace(b'"metadata": {', b'"metadata": {"kernelspec": {"name": "julia-1.9"}, '), "a notebook for Julia"),
        (b"[" * 10**6, "nested too deeply"),
        (b'{"cells": ' * 10**6, "nested too deeply"),
        (JSON.replace(b"x = 1", b"x" * (1 << 20) + b"y"), "more than 2000 code cells or 1 MB of code"),
        (b"PK\x03\x04" + bytes(100), "cut short or damaged"),
    ],
)
def test_what_is_no_notebook_says_why(tmp_path, data, says):
    path = tmp_path / "a.ipynb"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=says):
        reading.places(path)[1] and reading.read(path)


def test_a_cell_that_is_nested_too_deeply_costs_only_its_notebook(tmp_path):
    with pytest.raises(TooMuchError):
        reading.read(write(tmp_path / "a.ipynb", cell("-" * 500_000 + "1")))


def test_yaml_that_explodes_costs_only_its_notebook(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "apart", partial(apart, memory=1 << 27))
    pytest.importorskip("jupytext")
    laughs = "a0: &a0 [1]\n" + "".join(f"a{i + 1}: &a{i + 1} [{', '.join([f'*a{i}'] * 10)}]\n" for i in range(12))
    path = tmp_path / "a.md"
    path.write_text(TEXT.replace("---\n", f"---\n{laughs}", 1), encoding="utf-8")
    with pytest.raises(ValueError, match=r"too much memory|takes too long"):
        reading.read(path)


def test_odd_characters_in_cells(tmp_path):
    path = tmp_path / "a.ipynb"
    path.write_bytes(JSON.replace(b"x = 1", rb"x = '\ud800\u0000'"))
    assert reading.read(path).cells == ("x = '?\ufffd'",)


@pytest.mark.parametrize(
    ("given", "cleaned"),
    [
        ("  Ada\t\nLovelace ", "Ada Lovelace"),
        ("Zoe\u0308", "Zoë"),
        ("Bob\u202egnp.exe\x1b[31m", "Bob gnp.exe [31m"),
        ("a" * 300, "a" * 100),
        ("李雷", "李雷"),
        ("\u200b\ud800", ""),
    ],
)
def test_names_are_cleaned(given, cleaned):
    assert reading.clean(given) == cleaned


@pytest.mark.parametrize("code", ["student: str = 'Ada'", "student = ''\nstudent = 'Ada'", "other = student = 'Ada'"])
def test_the_name_in_a_cell(tmp_path, code):
    assert reading.read(write(tmp_path / "a.ipynb", cell(code))).student == "Ada"


@pytest.mark.parametrize("code", ["student = f'{1}'", "student = input()", "student = 3", "student, x = 'Ada', 1"])
def test_only_a_plain_string_is_a_name(tmp_path, code):
    assert reading.read(write(tmp_path / "a.ipynb", cell(code))).student == ""


def test_notebooks_with_the_same_code_are_alike(tmp_path):
    def like(*sources):
        return reading.read(write(tmp_path / "a.ipynb", *map(cell, sources))).likeness

    one = like("def f(x):\n    return x", "student = 'Ada'")
    assert one == like("def f( x ):  # mine\n    return x", "student = 'Bob'")
    assert one != like("def f(x):\n    return x + 1", "student = 'Ada'")
    assert like("def f(x):\n    raise NotImplementedError") == ""


# Archives


def packed(path, files, **more):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        for change in more.values():
            change(archive)
    return path


def link(archive):
    info = zipfile.ZipInfo("a.ipynb")
    info.external_attr = 0o120777 << 16
    archive.writestr(info, "/etc/passwd")


def test_hidden_files_and_companions_are_passed_over(tmp_path):
    names = ["b.ipynb", "__MACOSX/._b.ipynb", ".ipynb_checkpoints/b-checkpoint.ipynb", "cases.json", "d/C.MD", "._b.ipynb"]
    path = packed(tmp_path / "a.zip", dict.fromkeys(names, b"x") | {"d/": b""})
    assert reading.places(path)[1:] == ([("b.ipynb",), ("d/C.MD",)], [])


@pytest.mark.parametrize("name", ["../a.ipynb", "/a.ipynb", "a/../../b.md", "..\\a.md", "C:\\a.md"])
def test_names_that_lead_out_are_refused(tmp_path, name):
    with pytest.raises(ValueError, match="leads out of its folder"):
        reading.places(packed(tmp_path / "a.zip", {name: JSON}))


def test_archives_that_are_refused(tmp_path):
    with pytest.raises(ValueError, match="with a link in it"):
        reading.places(packed(tmp_path / "a.zip", {}, change=link))
    with pytest.raises(ValueError, match="two files have the same name"), pytest.warns(UserWarning, match="Duplicate"):
        reading.places(packed(tmp_path / "a.zip", {"a.md": b""}, change=lambda z: z.writestr("a.md", b"")))
    with pytest.raises(ValueError, match="holds 21 notebooks; from one zip at most 20"):
        reading.places(packed(tmp_path / "a.zip", {f"{i}.md": b"" for i in range(21)}))
    with pytest.raises(ValueError, match="at most 2000 are read"):
        reading.places(packed(tmp_path / "a.zip", {f"{i}.txt": b"" for i in range(2001)}))
    with pytest.raises(ValueError, match="without a notebook in it"):
        reading.places(packed(tmp_path / "a.zip", {"cases.json": b""}))
    (tmp_path / "a.zip").write_bytes(b"Rar!")
    with pytest.raises(ValueError, match="no zip archive"):
        reading.places(tmp_path / "a.zip")


def test_an_encrypted_archive_is_refused(tmp_path):
    path = packed(tmp_path / "a.zip", {"a.ipynb": JSON})
    data = bytearray(path.read_bytes())
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match="with a password"):
        reading.places(path)


def test_one_level_of_archives_in_an_archive(tmp_path):
    deep = packed(tmp_path / "deep.zip", {"z.ipynb": JSON}).read_bytes()
    inner = packed(tmp_path / "inner.zip", {"a.ipynb": JSON, "deep.zip": deep}).read_bytes()
    files = {"inner.zip": inner, "broken.zip": inner[:60], "note.pdf": b""}
    path = packed(tmp_path / "a.zip", files)
    _, found, lines = reading.places(path)
    assert found == [("inner.zip", "a.ipynb")]
    assert [place for place, _ in lines] == ["broken.zip", "inner.zip/deep.zip", "note.pdf"]
    assert "cut short" in lines[0][1]
    assert "zip in a zip in a zip" in lines[1][1]
    assert reading.read(path, found[0]).cells == ("x = 1",)


def test_a_bomb_is_never_unpacked(tmp_path, monkeypatch):
    path = packed(tmp_path / "a.zip", {"a.ipynb": b" " * (150 << 20)})
    assert path.stat().st_size < 200_000
    monkeypatch.setattr(reading, "apart", partial(apart, memory=100 << 20))
    with pytest.raises(ValueError, match="has more than 50 MB; at most 50 MB are read"):
        reading.read(path, ("a.ipynb",))


def test_a_damaged_member_is_refused(tmp_path):
    path = packed(tmp_path / "a.zip", {"a.ipynb": JSON * 100})
    data = bytearray(path.read_bytes())
    data[60:80] = b"\xff" * 20
    path.write_bytes(data)
    with pytest.raises(ValueError, match="is damaged"):
        reading.read(path, ("a.ipynb",))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *((name, "notebook") for name in ("a.IPYNB", "a.ipynb.txt", "a.ipynb.json", "a.md", "a.ipynb (1)")),
        *((name, "zip") for name in ("a.Zip", "a.b.zip", "a.zip (1)")),
        *((name, "") for name in ("a.pdf", "a", ".md", "a.txt", "a.ipynb.pdf", "a.ipynb.bak")),
    ],
)
def test_kinds_by_name(name, kind):
    assert archives.kind(name) == kind
