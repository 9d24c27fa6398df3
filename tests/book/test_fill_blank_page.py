"""Fill in the blank in Chromium: what the page computes, how it gets its weights, what it says when it cannot."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
import traitlets as t
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from lmcore.site import apart
from lmcore.widgets import FillBlank, HeadExplorer
from lmcore.widgets.base import Figure
from tests.book.figures import SMALL, WIDE, status
from tests.book.pages import STATE_MIME, Opened, build, opened, script
from tests.book.test_widgets_page import served
from tests.test_fill_blank import TEXTS, blank, expected, network, tokenizer

pytestmark = pytest.mark.browser

ANSWERS = """() => [...document.querySelectorAll('.lmw-fill .lmw-answer')].map(
  (a) => [...a.querySelectorAll('tbody tr')].map((r) => [r.dataset.word, +r.dataset.p]))"""


def answered(page: Page, text: str) -> list[list[tuple[str, float]]]:
    """What the first figure shows once it has answered this text: for every blank, words and probabilities."""
    expect(page.locator(".lmw-fill .lmw-answers").first).to_have_attribute("data-text", text, timeout=20_000)
    return [[(word, p) for word, p in rows] for rows in page.evaluate(ANSWERS)]


def ids(text: str) -> list[int]:
    return tokenizer().encode(f"[CLS] {re.sub('_+', '[MASK]', text)} [SEP]")


# ---- what it computes --------------------------------------------------------------------------------------------------


def test_page_computes_what_torch_computes(tmp_path: Path) -> None:
    model, vocabulary = network(), tokenizer().vocabulary
    widget = blank(model=model, top=6)
    with opened(build(tmp_path, widget)) as it:
        box = it.page.locator(".lmw-fill")
        for text in [*TEXTS, "zebra € bors ___ \n Strasse [mask] instr", "____", "by " * 20 + "_"]:
            box.get_by_label("Your text").fill(text)
            found = answered(it.page, text)
            wanted = expected(model, ids(text.replace("[mask]", "[MASK]")))
            assert len(found) == len(wanted) > 0
            for rows, p in zip(found, wanted, strict=True):
                best = p.topk(6)
                assert [word for word, _ in rows] == [vocabulary[i] for i in best.indices.tolist()]
                assert [share for _, share in rows] == pytest.approx(best.values.tolist(), abs=1e-6)
            assert [dict(rows) for rows in found] == [pytest.approx(row, abs=1e-6) for row in widget.fill(text)]
            assert box.locator("[data-fact=tokens]").get_attribute("data-value") == str(len(ids(text.replace("[mask]", "_"))))
            word, p = found[0][0]
            assert f"most likely “{word}” ({100 * p:.1f} %)" in status(it.page, "fill")
        it.clean()


def test_words_that_the_model_does_not_know_are_marked(tmp_path: Path) -> None:
    with opened(build(tmp_path, blank(texts=["zebra € bors ___ Bob ."]))) as it:
        words = it.page.locator(".lmw-reading .lmw-word")
        assert [w.get_attribute("data-word") for w in words.all()] == ["zebra", "€", "bors", "[MASK]", "Bob", "."]
        strange = it.page.locator(".lmw-reading .lmw-strange")
        assert [s.locator(".lmw-piece").all_inner_texts() for s in strange.all()] == [
            ["[UNK]"],
            ["[UNK]"],
            ["b", "##o", "##r", "##s"],
        ]
        assert strange.first.inner_text().startswith("zebra")
        assert strange.first.evaluate("(e) => getComputedStyle(e).borderBottomStyle") == "dashed"
        note = it.page.locator(".lmw-note", has_text="Dashed")
        assert "3 words that are not in the model's vocabulary" in note.inner_text()
        assert "[UNK] stands for any word that it cannot spell" in note.inner_text()
        it.page.get_by_label("Your text").fill("Bob ___")
        expect(note).to_have_count(0)
        assert it.page.locator(".lmw-reading").inner_text().split() == ["Bob", "blank", "1"]
        it.clean()


def test_it_says_what_a_text_lacks_and_answers_only_the_last(tmp_path: Path) -> None:
    with opened(build(tmp_path, blank())) as it:
        box, own = it.page.locator(".lmw-fill"), it.page.get_by_label("Your text")
        for text, says in (
            ("", "No word is missing."),
            ("the bank", "Write ___ in place of a word."),
            ("the " * 21 + "_", "The text has 24 tokens, [CLS] and [SEP] among them. This model reads at most 23"),
        ):
            own.fill(text)
            expect(box.locator("[role=status]")).to_contain_text(says)
            assert box.locator(".lmw-answer").count() == 0
        it.page.evaluate(
            """async () => { const own = document.querySelector('.lmw-fill textarea');
            let time = 0;
            performance.now = () => (time += 20); // every step of a run is a slice, so that the two runs overlap
            for (own.value of ['_ '.repeat(20), 'river _ Bob']) {
              own.dispatchEvent(new Event('input'));
              await new Promise((done) => requestAnimationFrame(done));
            } }"""
        )
        it.page.wait_for_timeout(500)
        found = answered(it.page, "river _ Bob")
        assert [dict(rows) for rows in found] == [pytest.approx(row, abs=1e-6) for row in blank().fill("river _ Bob")]
        it.clean()


def test_a_word_that_is_put_into_a_blank_changes_the_others(tmp_path: Path) -> None:
    widget = blank(texts=["___ swam by [MASK] ."])
    with opened(build(tmp_path, widget)) as it:
        before = answered(it.page, widget.text)
        word = next(word for word, _ in before[1] if not word.startswith("##"))
        it.page.locator(".lmw-answer").nth(1).get_by_role("button", name=f"{word}: put it into blank 2").click()
        after = answered(it.page, f"___ swam by {word} .")
        assert len(after) == 1
        assert after[0] != before[0]
        assert dict(after[0]) == pytest.approx(widget.fill(f"___ swam by {word} .")[0], abs=1e-6)
        it.clean()


def test_two_views_follow_one_text_and_a_change_made_elsewhere(tmp_path: Path) -> None:
    widget = blank()
    with opened(build(tmp_path, widget, blank(), widget), height=3000) as it:
        boxes = it.page.locator(".lmw-fill")
        expect(boxes.nth(2).locator(".lmw-answer")).to_have_count(1)
        boxes.nth(2).get_by_label("Example").select_option(index=1)
        for i, blanks in enumerate((2, 1, 2)):
            expect(boxes.nth(i).locator(".lmw-answer")).to_have_count(blanks)
            assert boxes.nth(i).get_by_label("Your text").input_value() == TEXTS[blanks - 1]
        it.clean()


# ---- how it gets its weights -------------------------------------------------------------------------------------------


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the small models of these tests were large."""
    monkeypatch.setattr(apart, "LARGE", 2000)
    monkeypatch.setattr(apart, "PART", 4000)


def built_apart(folder: Path, *widgets: Figure, above: int = 0) -> Path:
    """A page as the site builds it, its large data beside it; so many pixels stand above the first figure."""
    page = build(folder, *widgets)
    text = page.read_text("utf-8")
    start = text.index(f'<script type="{STATE_MIME}">')
    end = text.index("</script>", start)
    state = json.loads(text[text.index(">", start) + 1 : end])
    state["state"], files = apart.move_out(state["state"], "data")
    (folder / "data").mkdir()
    for name, source in files.items():
        (folder / "data" / name).write_text(source, "ascii")
    text = text[:start] + script(STATE_MIME, state) + text[end + len("</script>") :]
    page.write_text(text.replace("</h1>", f'</h1><div style="height: {above}px"></div>'), "utf-8")
    return page


@contextmanager
def both(scheme: str, page: Path) -> Iterator[Opened]:
    if scheme == "file":
        with opened(page) as it:
            yield it
    else:
        with served(page.parent) as address, opened(f"{address}/{page.name}") as it:
            yield it


LOADED = "performance.getEntriesByType('resource').map((e) => e.name).filter((name) => name.includes('/data/'))"


@pytest.mark.parametrize("scheme", ["file", "http"])
def test_weights_are_loaded_when_the_figure_comes_into_view(tmp_path: Path, small_parts: None, scheme: str) -> None:
    widget = blank()
    page = built_apart(tmp_path, widget, above=3000)
    parts = len([*(tmp_path / "data").iterdir()])
    assert parts > 2
    with both(scheme, page) as it:
        box = it.page.locator(".lmw-fill")
        assert box.get_attribute("data-state") == "waiting"
        assert box.locator(".lmw-loading").inner_text().strip() == "The model is loaded when this figure comes into view."
        assert box.locator(".lmw-answer").count() == 0
        assert it.page.evaluate("globalThis.lmApart") is None
        it.page.evaluate(
            """() => { globalThis.said = [];
            new MutationObserver(() => said.push(document.querySelector('.lmw-loading span').textContent))
              .observe(document.querySelector('.lmw-loading'), {subtree: true, childList: true, characterData: true}); }"""
        )
        box.scroll_into_view_if_needed()
        found = answered(it.page, widget.text)
        assert box.get_attribute("data-state") == "ready"
        assert box.locator(".lmw-loading").is_hidden()
        assert [dict(rows) for rows in found] == [pytest.approx(row, abs=1e-6) for row in widget.fill()]
        said = it.page.evaluate("said")
        assert said
        assert all(re.fullmatch(r"Loading the model: \d\.\d MB of \d\.\d MB\.", text) for text in said)
        assert it.page.evaluate("Object.keys(globalThis.lmApart)") == [], "no text is kept twice"
        if scheme == "http":
            assert len(it.page.evaluate(LOADED)) == parts
        it.clean()


class Watched(Figure):
    """A figure that asks for its data and writes down what it is told meanwhile."""

    _esm = """export default { async render({ model, el }) {
      const steps = [], before = model.get("weights");
      const view = await model.load("weights", (part, all) => steps.push([part, all])), again = await model.load("weights");
      const same = view === again && view === model.get("weights");
      const found = { before: before === undefined, same, size: view.byteLength, steps };
      el.append(Object.assign(document.createElement("p"), { className: "found", textContent: JSON.stringify(found) }));
    } };"""
    weights = t.Bytes().tag(sync=True)
    lazy = t.List(t.Unicode(), ["weights"]).tag(sync=True)

    def describe(self) -> str:
        return "What it was told."


def test_progress_is_said_in_bytes(tmp_path: Path, small_parts: None) -> None:
    """By the host itself: from nothing to everything, as the parts arrive. What is loaded once is there."""
    size = 15_001
    with opened(built_apart(tmp_path, Watched(weights=bytes(size)))) as it:
        found = json.loads(it.page.locator(".found").inner_text())
        it.clean()
    steps = found.pop("steps")
    assert found == {"before": True, "same": True, "size": size}
    assert steps[0] == [0, size]
    assert steps[-1] == [size, size]
    assert sorted(steps) == steps
    assert len(steps) == len([*(tmp_path / "data").iterdir()]) + 1 > 4


def test_a_figure_that_cannot_load_its_model_says_so_and_can_try_again(tmp_path: Path, small_parts: None) -> None:
    widget = blank()
    page = built_apart(tmp_path, widget)
    lost = sorted((tmp_path / "data").iterdir())[1]
    text = lost.read_text("ascii")
    lost.unlink()
    with opened(page) as it:
        box = it.page.locator(".lmw-fill[data-state=failed]")
        trouble = box.get_by_role("alert").inner_text()
        assert f"This figure could not start: its data in {lost.name} could not be loaded." in trouble
        assert widget.alt in trouble
        assert len(it.errors) == 2, "the browser's complaint and ours"
        lost.write_text(text, "ascii")
        it.page.get_by_role("button", name="Try again").click()
        found = answered(it.page, widget.text)
        assert [dict(rows) for rows in found] == [pytest.approx(row, abs=1e-6) for row in widget.fill()]
        assert it.page.get_by_role("alert").count() == 0, "an empty box is not shown"
        lost.write_text("// emptied", "ascii")
        it.page.reload()
        expect(it.page.locator(".lmw-fill[data-state=failed]")).to_contain_text("could not be loaded")
        assert it.requests == []


def test_a_figure_that_does_not_ask_gets_its_large_data_before_it_draws(tmp_path: Path, small_parts: None) -> None:
    weights = torch.randn(5, 6, 9, 9, generator=torch.Generator().manual_seed(1)).softmax(-1)
    explorer = HeadExplorer(["a b c d e f g h i"], [weights])
    page = built_apart(tmp_path, explorer, explorer)
    assert len(explorer.weights) > 2000
    with opened(page) as it:
        assert it.page.locator(".lm-widget[data-ready=true]").count() == 2
        shown = it.page.locator(".lmw-heads").first.locator(".lmw-matrix-box .lmw-weight")
        values = [float(rect.get_attribute("data-value")) for rect in shown.all()]
        assert values == pytest.approx(explorer.attention()[0, 0].flatten().tolist(), abs=1e-12)
        it.clean()
    for part in (tmp_path / "data").iterdir():
        part.unlink()
    with opened(page) as it:
        assert "could not start: its data in" in it.page.locator(".lm-widget[data-ready=failed]").first.inner_text()
        assert explorer.alt in it.page.locator(".lm-widget-error").first.inner_text()


# ---- for everyone ------------------------------------------------------------------------------------------------------


def test_by_keyboard_alone(tmp_path: Path) -> None:
    with opened(build(tmp_path, blank())) as it:
        page = it.page
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.labels[0].textContent") == "Example"
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.labels[0].textContent") == "Your text"
        page.keyboard.press("Control+a")
        page.keyboard.type("Bob swam . ")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")  # inserts a blank where the cursor was, and goes back to the text
        assert page.evaluate("document.activeElement.tagName") == "TEXTAREA"
        word = answered(page, "Bob swam . ___")[0][0][0]
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.get_by_label("Your text")).to_have_value(f"Bob swam . {word.removeprefix('##')}")
        it.clean()


def test_by_touch(tmp_path: Path) -> None:
    with opened(build(tmp_path, blank()), width=390, has_touch=True, is_mobile=True) as it:
        answered(it.page, TEXTS[0])
        assert it.page.evaluate(SMALL) == []
        it.page.get_by_role("button", name="Insert a blank").tap()
        expect(it.page.get_by_label("Your text")).to_have_value(re.compile("___.*___"))
        it.page.locator(".lmw-answer .lmw-link").first.tap()
        assert it.page.get_by_label("Your text").input_value().count("___") == 1
        it.clean()


def long_words() -> FillBlank:
    return blank(texts=["___ " + "Donaudampfschifffahrtsgesellschaft" * 3 + " bob instrasse [MASK]", TEXTS[0]], top=34)


@pytest.mark.parametrize(("theme", "width"), [("light", 900), ("dark", 900), ("light", 360), ("dark", 310)])
def test_axe_finds_nothing_and_nothing_overflows(tmp_path: Path, theme: str, width: int) -> None:
    with opened(build(tmp_path, long_words(), blank(), theme=theme), width=width, has_touch=width < 400) as it:
        answered(it.page, long_words().text)
        found = Axe().run(it.page).response["violations"]
        assert [(v["id"], [n["html"][:200] for n in v["nodes"]]) for v in found] == []
        assert it.page.evaluate("document.documentElement.scrollWidth") <= width
        assert it.page.evaluate(WIDE) == []
        it.clean()


def test_a_figure_that_waits_or_has_failed_is_accessible_too(tmp_path: Path, small_parts: None) -> None:
    page = built_apart(tmp_path, blank(), above=2500)
    for part in (tmp_path / "data").iterdir():
        part.unlink()
    with opened(page, width=360) as it:
        for state in ("waiting", "failed"):
            assert it.page.locator(".lmw-fill").get_attribute("data-state") == state
            assert [v["id"] for v in Axe().run(it.page).response["violations"]] == []
            assert it.page.evaluate(WIDE) == []
            it.page.locator(".lmw-fill").scroll_into_view_if_needed()
            it.page.wait_for_selector("[data-state=failed]")


def test_print_and_no_javascript(tmp_path: Path) -> None:
    widget = blank()
    page = build(tmp_path, widget, theme="dark")
    with opened(page) as it:
        answered(it.page, widget.text)
        it.page.emulate_media(media="print")
        box, style = it.page.locator(".lmw-fill"), "(e, what) => getComputedStyle(e)[what]"
        assert [box.evaluate(style, what) for what in ("backgroundColor", "color")] == ["rgb(255, 255, 255)", "rgb(0, 0, 0)"]
        assert not box.get_by_role("button", name="Insert a blank").is_visible()
        assert box.locator(".lmw-answer").is_visible()
        it.clean()
    with opened(page, ready=False, java_script_enabled=False) as it:
        (word, _), *_ = widget.fill()[0].items()
        said: Any = it.page.locator("noscript p").inner_text()
        assert "it expects “" in said
        assert f"“{word}”" in said
        assert "needs JavaScript" in said
