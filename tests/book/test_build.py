"""The build itself, on a book of two pages: what executes again and when, and what makes it fail, each time anew."""

import json
import math
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from bs4 import BeautifulSoup

from lmcore.ledger import record
from lmcore.ledger.record import Record, Run, Setting
from lmcore.ledger.rounding import plus_minus
from tests.book.contents import ROOT

pytestmark = pytest.mark.book

HEADER = """---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

"""
CONTRACT = """```{admonition} What this chapter gives you
:class: contract

You will be able to count.
```

"""


def cell(source: str, options: str = "") -> str:
    """A code cell of a text notebook."""
    return f"```{{code-cell}} ipython3\n{options}{source}\n```\n\n"


def chapter(name: str, *cells: str) -> str:
    """A chapter with its contract and its receipt."""
    start = cell(f'from lmcore import ledger\npage = ledger.Page("{name}")')
    return "".join([HEADER, f"# {name}\n\n", CONTRACT, start, *cells, cell("page.receipt()")])


class Book:
    """A copy of the package and the configuration with two pages of its own, built as a reader builds it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        ignore = shutil.ignore_patterns("__pycache__", "_build")
        for name in ("lmcore", "exercises"):
            shutil.copytree(ROOT / name, folder / name, ignore=ignore)
        (folder / "chapters").mkdir()
        shutil.copy(ROOT / "_config.yml", folder)
        (folder / "chapters" / "references.bib").write_text("", encoding="utf-8")
        self.pages({"index": "# Cover\n\nText.\n", "01_first": chapter("01_first", cell("print(6 * 7)"))})

    def pages(self, texts: dict[str, str]) -> None:
        """Make these the pages of the book; the first is the cover."""
        for name, text in texts.items():
            (self.folder / "chapters" / f"{name}.md").write_text(text, encoding="utf-8")
        first, *others = (f"chapters/{name}" for name in texts)
        toc = {"format": "jb-book", "root": first, "chapters": [{"file": name} for name in others]}
        (self.folder / "_toc.yml").write_text(yaml.safe_dump(toc), encoding="utf-8")

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace a text in a file, as an author would."""
        file = self.folder / path
        text = file.read_text(encoding="utf-8")
        assert old in text
        file.write_text(text.replace(old, new), encoding="utf-8")

    def build(self) -> tuple[int, str]:
        """Exit status and everything printed."""
        env = {**os.environ, "PYTHONPATH": str(self.folder), "LMCORE_SCALE": "smoke", "LMCORE_DEVICE": "cpu", "NO_COLOR": "1"}
        done = subprocess.run(
            [sys.executable, "-m", "lmcore.site"],
            cwd=self.folder,
            env=env,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=300,
            check=False,
        )
        return done.returncode, done.stdout

    def page(self, name: str) -> BeautifulSoup:
        """A built page."""
        path = self.folder / "_build" / "html" / "chapters" / f"{name}.html"
        return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def test_what_is_executed_again_and_when(tmp_path: Path) -> None:
    book = Book(tmp_path)

    status, printed = book.build()
    assert status == 0, printed
    assert re.search(r"^\[\d/2\] chapters/01_first \d+\.\d s, executed$", printed, re.M), printed
    rows = contract(book)
    assert re.fullmatch(r"(about a second|\d+ seconds): this page \(scale smoke, .+, \d+ threads?\)", rows["Time on a CPU"])
    assert "record 01_first --seeds 5 --scale full --device cuda" in rows["Time on a GPU"]

    status, printed = book.build()
    assert status == 0, printed
    assert "Every page is up to date." in printed
    assert "s, executed" not in printed

    book.edit("chapters/01_first.md", "able to count", "able to count again")
    status, printed = book.build()
    assert status == 0, printed
    assert "chapters/01_first" in printed
    assert "outputs from the cache" in printed
    assert "able to count again" in book.page("01_first").get_text()
    assert contract(book) == rows, "the receipt comes with the cached outputs"
    notebook = json.loads((tmp_path / "_build/html/_sources/chapters/01_first.ipynb").read_text(encoding="utf-8"))
    assert [o["text"] for c in notebook["cells"] for o in c.get("outputs", []) if "text" in o] == [["42\n"]]

    book.edit("lmcore/device.py", '"""Where a chapter runs', '"""Here a chapter runs')
    status, printed = book.build()
    assert status == 0, printed
    assert re.search(r"chapters/01_first .* s, executed$", printed, re.M), printed

    book.edit("lmcore/assets/static/book.css", "/* The look", "/* A look")
    status, printed = book.build()
    assert status == 0, printed
    assert "s, executed" not in printed, "a style sheet changes no number"
    assert (tmp_path / "_build/html/_static/book.css").read_text(encoding="utf-8").startswith("/* A look")


def test_a_new_record_executes_the_pages_that_show_it(tmp_path: Path) -> None:
    shown = 'page.recorded("word_lstm", {"test": "test.perplexity"})'
    book = Book(tmp_path)
    book.pages(
        {
            "index": "# Cover\n\nText.\n",
            "01_first": chapter("01_first", cell("page.log('x', 1)")),
            "02_second": chapter("02_second", cell("page.log('x', 2)"), cell(shown)),
            "ledger": HEADER + "# Ledger\n\n" + cell("from lmcore import ledger\nledger.overview()"),
        }
    )
    status, printed = book.build()
    assert status == 0, printed
    assert executed(printed) == {"01_first", "02_second", "ledger"}

    for name, expected in (("01_first", {"01_first", "ledger"}), ("word_lstm", {"02_second", "ledger"})):
        setting = Setting(device="cpu", device_name="A CPU", scale="small", threads=1, code="0")
        run = Run(0, {"x": 1, "test.perplexity": 123.456}, 1.0, 1.0, 1.0, date="2026-01-01")
        record.write(name, [Record(name, setting, (run,))], tmp_path / "chapters")
        status, printed = book.build()
        assert status == 0, printed
        assert executed(printed) - {"ledger"} == expected - {"ledger"}, printed
        assert f"{name}: 1 seed at scale small" in book.page("ledger").get_text(), printed
    assert plus_minus(123.456, math.nan) in book.page("02_second").get_text()

    status, printed = book.build()
    assert status == 0, printed
    assert "Every page is up to date." in printed


def executed(printed: str) -> set[str]:
    """The pages that a build says it executed."""
    # What a kernel prints may stand in the middle of a page's line.
    return set(re.findall(r"chapters/(\w+) (?:(?!chapters/).)* s, executed$", printed, re.M | re.S))


def contract(book: Book) -> dict[str, str]:
    found = book.page("01_first").select_one("div.admonition.contract dl.measured")
    assert found is not None
    names, values = found.find_all("dt"), found.find_all("dd")
    return {n.get_text(strip=True).rstrip(":"): v.get_text(" ", strip=True) for n, v in zip(names, values, strict=True)}


def test_a_failing_notebook_fails_every_build_until_it_is_mended(tmp_path: Path) -> None:
    book = Book(tmp_path)
    book.edit("chapters/01_first.md", "print(6 * 7)", "print(6 / 0)")
    for _ in range(2):
        status, printed = book.build()
        assert status != 0, printed
        assert "ZeroDivisionError" in printed
        assert "01_first" in printed
    book.edit("chapters/01_first.md", "print(6 / 0)", "print(6 * 7)")
    status, printed = book.build()
    assert status == 0, printed


FAULTS = {
    "02_reference": ("See {doc}`nowhere`.\n\n", "nowhere"),
    "03_picture": (cell("import matplotlib.pyplot as plt\nplt.plot([1, 2]);"), "alternative text"),
    "04_widget": (cell("import ipywidgets\nipywidgets.IntSlider()"), "IntSliderModel"),
    "05_warning": (cell("import warnings\nwarnings.warn('mind the gap')"), "stderr was found"),
    "06_solution": (cell("def f():\n    raise NotImplementedError", "---\nexercise: nobody_asked\n---\n"), "nobody_asked"),
}


def test_each_fault_is_named_and_fails_every_build(tmp_path: Path) -> None:
    book = Book(tmp_path)
    faulty = {name: chapter(name, text) for name, (text, _) in FAULTS.items()}
    faulty["07_no_receipt"] = HEADER + "# No receipt\n\n" + CONTRACT + cell("print(1)")
    faulty["08_no_contract"] = "# No contract\n\nText.\n"
    named = {
        **{name: message for name, (_, message) in FAULTS.items()},
        "07_no_receipt": "page.receipt()",
        "08_no_contract": "has none",
    }
    book.pages({"index": "# Cover\n\nText.\n", "01_first": chapter("01_first"), **faulty})
    for _ in range(2):
        status, printed = book.build()
        assert status != 0, printed
        warnings = re.findall(r"^.*(?:WARNING|ERROR).*$", printed, re.M)
        for name, message in named.items():
            assert any(name in line and message in line for line in warnings), f"{name} is not reported:\n{printed}"
        assert not any("01_first" in line for line in warnings), printed


def test_progress_bars_leave_nothing_on_a_page(tmp_path: Path) -> None:
    book = Book(tmp_path)
    bars = "for bar in (notebook_bar, bar_of_text):\n    for _ in bar(range(3)):\n        pass\nprint('done')"
    imports = "from tqdm import tqdm as bar_of_text\nfrom tqdm.auto import tqdm as notebook_bar\n"
    book.pages({"index": "# Cover\n\nText.\n", "01_first": chapter("01_first", cell(imports + bars))})
    status, printed = book.build()
    assert status == 0, printed
    outputs = [output.get_text(strip=True) for output in book.page("01_first").select(".cell_output")]
    assert outputs[0] == "done"
