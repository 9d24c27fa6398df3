"""The parts of the site's extension that need no build: what the cache depends on, the contract's rows, what is refused."""

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydata_sphinx_theme
import pytest
import sphinx_book_theme

from lmcore import corpora
from lmcore.ledger import find_receipt
from lmcore.ledger.record import Record, Run, Setting
from lmcore.site import contract, cover, execution, offline, pages, widgets
from lmcore.world import World


@pytest.fixture
def book(tmp_path: Path) -> Path:
    (tmp_path / "chapters" / "ledger").mkdir(parents=True)
    return tmp_path


def test_the_cache_depends_on_scale_seed_and_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LMCORE_DEVICE", "cpu")
    keys = [execution.cache_key()]
    assert execution.cache_key() == keys[0]
    monkeypatch.setenv("LMCORE_SCALE", "smoke")
    keys.append(execution.cache_key())
    monkeypatch.setenv("LMCORE_SEED", "7")
    keys.append(execution.cache_key())
    there = corpora.available
    monkeypatch.setattr(corpora, "available", lambda name: not there(name))
    keys.append(execution.cache_key())
    assert len(set(keys)) == len(keys)


def test_a_page_depends_on_the_records_it_shows(book: Path) -> None:
    pages = {"01_a": "text", "02_b": 'page.recorded("long", rows)', "ledger": "all"}
    for name, text in pages.items():
        (book / "chapters" / f"{name}.md").write_text(text, encoding="utf-8")

    def keys() -> list[str]:
        return [execution.records_key(book, f"chapters/{name}") for name in pages]

    before = keys()
    for record, changed in (("01_a", [True, False, True]), ("long", [False, True, True]), ("03_c", [False, False, True])):
        (book / "chapters" / "ledger" / f"{record}.json").write_text("{}", encoding="utf-8")
        after = keys()
        assert [a != b for a, b in zip(after, before, strict=True)] == changed, record
        before = after


def test_the_cache_depends_on_the_package_and_the_look_on_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "lmcore"
    for name in ("ngram.py", "widgets/draw.mjs", "site/offline.py", "assets/static/book.css"):
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text("1", encoding="utf-8")
    monkeypatch.setattr(execution, "PACKAGE", package)

    def keys() -> tuple[str, str]:
        return execution.cache_key(), execution.look_key()

    first = keys()
    for name in ("ngram.py", "widgets/draw.mjs"):
        (package / name).write_text("2", encoding="utf-8")
        second = keys()
        assert (second[0] != first[0], second[1] == first[1]) == (True, True), name
        first = second
    for name in ("site/offline.py", "assets/static/book.css"):
        (package / name).write_text("2", encoding="utf-8")
        second = keys()
        assert (second[0] == first[0], second[1] != first[1]) == (True, True), name
        first = second
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "ngram.cpython-311.pyc").write_bytes(b"3")
    assert keys() == first


def receipt(device: str, minutes: float, gpu_memory: float | None = None) -> dict[str, Any]:
    return {
        "chapter": "07_x",
        "setting": {"device": device, "device_name": "Some Chip", "scale": "small", "threads": 2},
        "run": {"minutes": minutes, "memory_mb": 1234.5, "gpu_memory_mb": gpu_memory},
    }


def record(device: str, scale: str, minutes: list[float]) -> Record:
    setting = Setting(device, "Big Chip", scale, 4, "code")
    runs = tuple(Run(seed, {}, m, m, 100.0, date="2026-01-02") for seed, m in enumerate(minutes))
    return Record("07_x", setting, runs)


def test_a_contract_on_a_cpu_without_records_names_the_command() -> None:
    cpu, memory, gpu = contract.rows(receipt("cpu", 3.26), [])
    assert cpu == ("Time on a CPU", "3.3 minutes: this page (scale small, Some Chip, 2 threads)", "")
    assert memory == ("Peak memory", "1,234 MB", "")
    assert gpu[:2] == ("Time on a GPU", "not recorded yet; this line records it:")
    assert gpu[2] == "python -m lmcore.ledger record 07_x --seeds 5 --scale full --device cuda"


def test_a_contract_takes_gpu_minutes_from_the_recorded_runs() -> None:
    records = [record("cuda", "small", [9.0, 9.0, 9.0]), record("cuda", "full", [2.0, 3.0]), record("cpu", "full", [50.0])]
    _, _, gpu = contract.rows(receipt("cpu", 1.0), records)
    assert gpu == ("Time on a GPU", "2.5 minutes: mean of 2 recorded runs (scale full, Big Chip, 2026-01-02)", "")


def test_a_contract_built_on_a_gpu_measures_the_gpu() -> None:
    cpu, memory, gpu = contract.rows(receipt("cuda", 0.5, 2000.0), [record("cpu", "small", [4.0])])
    assert cpu[1].startswith("4.0 minutes: mean of 1 recorded run (")
    assert memory[1] == "1,234 MB, and 2,000 MB on the GPU"
    assert gpu == ("Time on a GPU", "30 seconds: this page (scale small, Some Chip)", "")


@pytest.mark.parametrize(
    ("value", "text"), [(0.001, "about a second"), (1.5, "90 seconds"), (2.0, "2.0 minutes"), (11.26, "11.3 minutes")]
)
def test_durations_are_said_as_one_plans_them(value: float, text: str) -> None:
    assert contract.minutes(value) == text


def test_a_notebook_without_a_receipt_has_none() -> None:
    assert find_receipt({"cells": [{"cell_type": "code", "outputs": []}]}) is None


def test_only_anywidgets_and_their_layout_are_shown() -> None:
    def model(module: str, name: str) -> dict[str, str]:
        return {"model_module": module, "model_name": name}

    good = {"a": model("anywidget", "AnyModel"), "b": model("@jupyter-widgets/base", "LayoutModel")}
    assert widgets.unsupported(good) == []
    bad = {
        **good,
        "c": model("@jupyter-widgets/controls", "IntSliderModel"),
        "d": model("@jupyter-widgets/controls", "VBoxModel"),
    }
    assert widgets.unsupported(bad) == ["@jupyter-widgets/controls.IntSliderModel", "@jupyter-widgets/controls.VBoxModel"]


@pytest.mark.parametrize("text", ["chapters/_build/abc.png", "_build\\jupyter_execute\\x.svg", "figure-1.png", "../a/b"])
def test_a_path_is_no_alternative_text(text: str) -> None:
    assert pages.PATH_LIKE.fullmatch(text)


@pytest.mark.parametrize(
    "text", ["Two falling curves of loss against order", "Loss and/or accuracy over time", "The file model.png, opened"]
)
def test_a_sentence_is(text: str) -> None:
    assert not pages.PATH_LIKE.fullmatch(text)


def test_the_icon_font_is_cut_and_nothing_else() -> None:
    style = (
        "a{color:red}@font-face{font-family:Font Awesome\\ 6 Free;src:url(x.woff2)}"
        '.fa-0:before{content:"0"}.fa-user:before,.fa-person:before{content:"\\f007"}'
        '.admonition:before{content:"x"}@font-face{font-family:Other;src:url(y)}'
    )
    left = offline.ICON_FONT.sub("", style)
    assert "Awesome" not in left
    assert "f007" not in left
    assert all(kept in left for kept in ("a{color:red}", '.admonition:before{content:"x"}', "font-family:Other"))


def test_every_icon_of_the_templates_is_drawn() -> None:
    """The theme's own templates and ours name icons by class; each needs its drawing in icons.css."""
    drawn = set(re.findall(r"^\.fa-([\w-]+) ", (offline.ASSETS / "static" / "icons.css").read_text(encoding="utf-8"), re.M))
    theme = Path(sphinx_book_theme.__file__).parent / "theme" / "sphinx_book_theme"
    base = Path(pydata_sphinx_theme.__file__).parent / "theme" / "pydata_sphinx_theme"
    used_templates = [*theme.rglob("*.html"), *(offline.ASSETS / "templates").rglob("*.html"), base / "layout.html"]
    used_templates += [base / "components" / f"{n}.html" for n in ("prev-next", "search-field", "search-button", "page-toc")]
    text = "".join(path.read_text(encoding="utf-8") for path in used_templates)
    named = set(re.findall(r"fa-solid fa-([\w-]+)", text))
    assert named - drawn == set()


def test_settings_of_jupyterlab_are_valid_json() -> None:
    folder = Path(__file__).parents[1] / "labconfig"
    settings = json.loads((folder / "default_setting_overrides.json").read_text(encoding="utf-8"))
    assert settings["@jupyterlab/docmanager-extension:plugin"]["defaultViewers"]["markdown"] == "Jupytext Notebook"
    disabled = json.loads((folder / "page_config.json").read_text(encoding="utf-8"))["disabledExtensions"]
    assert all(disabled.values())


def test_the_cover_draws_what_is_true() -> None:
    """Only the place and the verb decide what is built on a beach, and the marks stand at the world's probabilities."""
    world = World()
    worth = {cover.PREFIX[i]: cover.needed(world, cover.PREFIX, i) for i in (0, 2, 4, 8)}
    assert worth["Alice"] == pytest.approx(0, abs=1e-12)
    assert worth["to"] == pytest.approx(0, abs=1e-12)
    assert worth["beach"] > worth["built"] > 0.1
    drawn = cover.drawing()
    for word, p in world.next_distribution(cover.PREFIX).items():
        assert f"{word}: model" in drawn
        assert f"truth {p:.0%}" in drawn
        assert f"M{452 + cover.FULL * p:.1f} " in drawn


def test_what_a_word_is_worth_is_a_divergence_from_the_mean_over_the_words_it_could_be() -> None:
    """Checked by summing over every text of the language that can be enumerated."""
    world = World.tiny()
    texts = [(tokens, p) for tokens, p in world.enumerate_texts() if len(tokens) > 2]
    prefix = texts[0][0][:2]

    def following(fits: Callable[[tuple[str, ...]], bool]) -> dict[str, float]:
        weight: dict[str, float] = {}
        for tokens, p in texts:
            if fits(tokens):
                weight[tokens[2]] = weight.get(tokens[2], 0.0) + p
        return {word: p / sum(weight.values()) for word, p in weight.items()}

    for i in (0, 1):
        known = following(lambda tokens: tokens[:2] == prefix)
        blind = following(lambda tokens, i=i: tokens[1 - i] == prefix[1 - i])
        expected = sum(p * math.log2(p / blind[word]) for word, p in known.items())
        assert cover.needed(world, prefix, i) == pytest.approx(expected, abs=1e-12)
