"""Large data of figures leave the page and come back: the same bytes, in files that belong to them and to no earlier build."""

import base64
import json
import re
from pathlib import Path
from typing import Any

import ipywidgets
import nbformat
import pytest
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace, patch_docutils

from lmcore.site import apart
from lmcore.site.widgets import STATE
from lmcore.widgets import MergeStepper
from lmcore.widgets.base import VIEW_MIME


def buffer(data: bytes, *path: str) -> dict[str, Any]:
    return {"path": list(path), "encoding": "base64", "data": base64.b64encode(data).decode()}


def figure(*buffers: dict[str, Any], alt: str = "It shows something.") -> dict[str, Any]:
    found = {"model_module": "anywidget", "model_name": "AnyModel", "state": {"alt": alt, "_esm": "export default {};"}}
    return {**found, "buffers": list(buffers)}


def held(scripts: dict[str, str], names: list[str]) -> bytes:
    """The bytes that scripts hold, read as a browser does."""
    parts = []
    for address in names:
        name = address.rsplit("/", 1)[-1]
        found = re.fullmatch(r'\(globalThis\.lmApart \?\?= \{\}\)\["(.+)"\] = "([A-Za-z0-9+/=]*)";\n', scripts[name])
        assert found
        assert found[1] == name
        parts.append(base64.b64decode(found[2], validate=True))
    return b"".join(parts)


LARGE = apart.LARGE


@pytest.mark.parametrize("size", [LARGE + 1, LARGE + 2, LARGE + 3, apart.PART // 4 * 3, apart.PART // 4 * 3 + 1, 2_500_000])
def test_scripts_hold_the_bytes(size: int) -> None:
    data = bytes(i * i % 251 for i in range(size))
    states = {"one": figure(buffer(b"small", "small"), buffer(data, "weights")), "layout": {"state": {}}}
    before = json.dumps(states)
    left, scripts = apart.move_out(states, "../_static/figures")
    assert json.dumps(states) == before, "what was given stays as it was"
    small, large = left["one"]["buffers"]
    assert small == buffer(b"small", "small")
    assert {**large, "scripts": None} == {"path": ["weights"], "encoding": "scripts", "bytes": size, "scripts": None}
    assert [address.rsplit("/", 1)[0] for address in large["scripts"]] == ["../_static/figures"] * len(scripts)
    assert held(scripts, large["scripts"]) == data
    assert len(scripts) == -(-4 * -(-size // 3) // apart.PART)
    assert max(map(len, scripts.values())) < 4_000_000
    assert apart.move_out(states, "../_static/figures") == (left, scripts), "the same names every time"


def test_what_is_small_or_deep_inside_stays_in_the_page() -> None:
    states = {"one": figure(buffer(bytes(LARGE), "even"), buffer(bytes(LARGE + 1), "parts", "deep"))}
    assert apart.move_out(states, "x") == (states, {})


def test_figures_that_share_data_share_the_files() -> None:
    data, other = bytes(100_000), bytes(100_000 - 1) + b"1"
    left, scripts = apart.move_out({str(i): figure(buffer(d, "w")) for i, d in enumerate((data, other, data))}, "x")
    assert len(scripts) == 2
    named = [left[i]["buffers"][0]["scripts"] for i in "012"]
    assert named[0] == named[2] != named[1]


def output(model: str) -> Any:
    data = {"text/plain": "It shows something.", VIEW_MIME: {"version_major": 2, "version_minor": 0, "model_id": model}}
    return nbformat.v4.new_output("display_data", data=data)


def notebook(**figures: dict[str, Any]) -> Any:
    cells = [nbformat.v4.new_code_cell(f"{name}", outputs=[output(name)], execution_count=1) for name in figures]
    cells = [nbformat.v4.new_markdown_cell("# Title"), *cells]
    for number, cell in enumerate(cells):
        cell["id"] = f"cell{number}"
    widgets = {STATE: {"version_major": 2, "version_minor": 0, "state": figures}}
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel, "widgets": widgets})


def test_a_notebook_to_download_says_in_words_what_is_too_heavy() -> None:
    heavy = figure(buffer(bytes(700_000), "a"), buffer(bytes(700_000), "b"))
    full = notebook(heavy=heavy, light=figure(buffer(bytes(700_000), "a")))
    before = json.dumps(full)
    light = apart.lightened(full)
    assert json.dumps(full) == before
    assert list(light["metadata"]["widgets"][STATE]["state"]) == ["light"]
    assert light["cells"][1]["outputs"][0]["data"] == {"text/plain": "It shows something."}
    assert VIEW_MIME in light["cells"][2]["outputs"][0]["data"]
    nbformat.validate(light)
    assert len(json.dumps(light)) < 1_000_000 < len(before)
    plain = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("text")])
    assert apart.lightened(plain) == plain


def build(folder: Path) -> None:
    """Build a small book of notebooks, with their outputs as they are; a warning is an error."""
    settings = {
        "extensions": ["myst_nb", "lmcore.site.widgets", "lmcore.site.apart"],
        "nb_execution_mode": "off",
        "root_doc": "page",
        "html_theme": "basic",
    }
    with docutils_namespace(), patch_docutils():
        app = Sphinx(
            srcdir=str(folder / "book"),
            confdir=None,
            outdir=str(folder / "out"),
            doctreedir=str(folder / "trees"),
            buildername="html",
            confoverrides=settings,
            status=None,
            warningiserror=True,
        )
        app.build()
        assert app.statuscode == 0


def test_a_built_page_names_its_scripts_and_old_ones_go(tmp_path: Path) -> None:
    path, root = tmp_path / "book" / "sub" / "deep.ipynb", tmp_path / "book" / "page.md"
    scripts = tmp_path / "out" / "_static" / "figures"
    path.parent.mkdir(parents=True)
    root.write_text("# Root\n\n```{toctree}\nsub/deep\n```\n", encoding="utf-8")
    data = {n: bytes([n]) * 900_000 for n in (1, 2)}
    names = {}
    for n in (1, 2):
        nbformat.write(notebook(model=figure(buffer(data[n], "weights"), alt='With "</script>" in it.')), path)
        build(tmp_path)
        page = (tmp_path / "out" / "sub" / "deep.html").read_text(encoding="utf-8")
        (state,) = re.findall(rf'<script[^>]*type="{re.escape(STATE)}"[^>]*>(.*?)</script>', page, flags=re.DOTALL)
        record = json.loads(state)["state"]["model"]
        assert record["state"]["alt"] == 'With "</script>" in it.'
        addresses = record["buffers"][0]["scripts"]
        found = {p.name: p.read_text(encoding="ascii") for p in scripts.iterdir()}
        assert [(tmp_path / "out" / "sub" / a).resolve().is_file() for a in addresses] == [True, True, True]
        assert held(found, addresses) == data[n]
        assert len(found) == 3, "the scripts of the earlier build are gone"
        assert len(page) < 100_000
        assert "AAAAAAAA" not in (tmp_path / "out" / "searchindex.js").read_text(encoding="utf-8")
        names[n] = set(found)
    assert not names[1] & names[2]
    root.write_text("# Root, changed\n\n```{toctree}\nsub/deep\n```\n", encoding="utf-8")
    build(tmp_path)
    assert {p.name for p in scripts.iterdir()} == names[2], "a build that leaves the page alone leaves its scripts too"
    for p in scripts.iterdir():
        p.unlink()
    (tmp_path / "out" / "sub" / "deep.html").unlink()
    build(tmp_path)
    assert {p.name for p in scripts.iterdir()} == names[2], "a page that is written again writes its scripts again"


def test_a_real_figure_has_nothing_that_must_leave() -> None:
    widget = MergeStepper()
    states = ipywidgets.Widget.get_manager_state(drop_defaults=False)["state"]
    assert apart.move_out({widget.model_id: states[widget.model_id]}, "x")[1] == {}
