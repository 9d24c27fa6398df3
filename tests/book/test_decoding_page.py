"""The figures in which the page's own model writes, in Chromium: playground, beam and cache give what lmcore gives."""

import json
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

from lmcore.tokenizer import CharTokenizer
from lmcore.widgets import BeamTree, CacheSteps, DecodingPlayground
from tests.book.figures import SMALL, WIDE, status
from tests.book.pages import build, opened
from tests.book.test_fill_blank_page import built_apart, small_parts  # noqa: F401
from tests.test_beam_tree import figure as beam
from tests.test_cache_steps import figure as cache
from tests.test_decoding_playground import large, playground
from tests.test_page_models import WORDS

pytestmark = pytest.mark.browser

CHIPS = (
    "[...document.querySelector('.lmw-playground').querySelectorAll('.lmw-chip')].map((e) => [+e.dataset.token, +e.dataset.p])"
)
NODES = """[...document.querySelector('.lmw-beam').querySelectorAll('.lmw-node[data-level]')].map(({dataset: d}) =>
  [+d.level, d.ids.split(' ').map(Number), +d.log, +d.parent, d.kept === 'true'])"""
CUT = """[...document.querySelectorAll('.lmw *:not(.lmw-hidden)')].filter((e) => getComputedStyle(e).overflow !== 'visible')
  .filter((e) => e.scrollHeight > e.clientHeight + 1 || e.scrollWidth > e.clientWidth + 1).map((e) => e.className)"""
ROWS = """[...document.querySelector('.lmw-cache').querySelectorAll('.lmw-kv-counts tbody tr')].map(({dataset: d}) =>
  [d.row, +d.without, +d.with])"""


def drag(control: Locator, place: int) -> None:
    """Set a slider as a finger does."""
    control.evaluate("(e, n) => { e.value = n; e.dispatchEvent(new Event('input', {bubbles: true})); }", place)


# ---- the playground ----------------------------------------------------------------------------------------------------


def written(page: Page, widget: DecodingPlayground, count: int | None = None) -> list[tuple[int, float]]:
    """What the first playground has written, once it is there for the state of this widget."""
    names = ("chosen", "prompt", "method", "temperature", "top_k", "top_p", "repetition", "seed")
    state = {name: getattr(widget, name) for name in names}
    state = {name: int(v) if isinstance(v, float) and v == int(v) else v for name, v in state.items()}
    key = json.dumps(state, ensure_ascii=False, separators=(",", ":"))
    count = len(widget.write()) if count is None else count
    expect(page.locator(".lmw-playground").first).to_have_attribute("data-written", f"{key} {count}", timeout=20_000)
    return [(token, p) for token, p in page.evaluate(CHIPS)]


def same(found: list[tuple[int, float]], widget: DecodingPlayground) -> None:
    wanted = widget.write()
    assert [token for token, _ in found] == [step.id for step in wanted]
    assert [p for _, p in found] == pytest.approx([step.probability for step in wanted], abs=1e-6)


def test_playground_writes_what_python_writes(tmp_path: Path) -> None:
    widget = playground()
    with opened(build(tmp_path, widget)) as it:
        page, box = it.page, it.page.locator(".lmw-playground")
        same(written(page, widget), widget)
        for label, place, name, value in (
            ("Temperature", 10, "temperature", 0.6),
            ("Top-k", 4, "top_k", 10),
            ("Top-p", 14, "top_p", 0.75),
            ("Repetition penalty", 8, "repetition", 1.4),
        ):
            drag(box.get_by_label(label), place)
            setattr(widget, name, value)
            same(written(page, widget), widget)
        box.get_by_role("button", name="Another seed").click()
        widget.seed = 1
        same(written(page, widget), widget)
        left = sum(step.choices for step in widget.write()) / len(widget.write())
        assert float(box.locator("[data-fact=left]").get_attribute("data-value") or 0) == pytest.approx(left)
        box.get_by_label("Greedy").check()
        widget.method = "greedy"
        same(written(page, widget), widget)
        assert box.get_by_label("Temperature").is_disabled()
        assert f"words, greedily: {len(widget.write())} tokens" in status(page, "playground")
        box.get_by_label("Model", exact=True).select_option(index=1)
        widget.chosen, widget.prompt = 1, widget.prompts[1][0]
        same(written(page, widget), widget)
        box.get_by_label("Your prompt").fill("naïve 日本 λ")
        widget.prompt = "naïve 日本 λ"
        box.get_by_label("Draw").check()
        widget.method = "draw"
        same(written(page, widget), widget)
        it.clean()


def test_text_stops_goes_on_and_shows_what_else_could_have_stood_there(tmp_path: Path) -> None:
    widget = playground(chosen=1, seed=3, top_p=0.9)
    whole = widget.write()
    with opened(build(tmp_path, widget)) as it:
        page, box = it.page, it.page.locator(".lmw-playground")
        same(written(page, widget), widget)
        box.get_by_role("button", name="Begin anew").click()
        assert written(page, widget, 0) == []
        for count in (1, 2):
            box.get_by_role("button", name="One token").click()
            assert [token for token, _ in written(page, widget, count)] == [step.id for step in whole[:count]]
        box.get_by_role("button", name="Go on").click()
        same(written(page, widget), widget)
        box.locator(".lmw-chip").nth(1).click()
        rows = box.locator(".lmw-answer tbody tr")
        assert rows.count() == 8
        taken = box.locator(".lmw-answer tr.lmw-came")
        assert taken.get_attribute("data-token") == str(whole[1].id)
        assert float(taken.get_attribute("data-p") or 0) == pytest.approx(whole[1].probability, abs=1e-6)
        assert float(taken.get_attribute("data-q") or 0) == pytest.approx(whole[1].drawn_from, abs=1e-6)
        assert "← taken" in taken.inner_text()
        it.clean()


def test_a_long_text_can_be_stopped_while_it_grows(tmp_path: Path) -> None:
    letters = CharTokenizer.train("abcdefg", special=())  # no token ends a text
    models = {"long": (large(len(letters), room=400), letters)}
    widget = DecodingPlayground(models, ["abba"], length=300, method="greedy", upto=0)
    with opened(build(tmp_path, widget)) as it:
        page, box = it.page, it.page.locator(".lmw-playground")
        written(page, widget, 0)
        page.evaluate(
            """() => {
            const stop = [...document.querySelectorAll('.lmw-playground button')].find((b) => b.textContent === 'Stop');
            const watch = new MutationObserver(() => {
              if (document.querySelectorAll('.lmw-chip').length < 5 || stop.disabled) return;
              watch.disconnect();
              stop.click();
            });
            watch.observe(document.querySelector('.lmw-chips'), {childList: true}); }"""
        )
        box.get_by_role("button", name="Go on").click()
        expect(box.locator(".lmw-chip").nth(4)).to_be_attached(timeout=20_000)
        expect(box.get_by_role("button", name="Stop")).to_be_disabled(timeout=20_000)
        page.wait_for_timeout(100)
        count = box.locator(".lmw-chip").count()
        assert 5 <= count < 300
        widget.upto = count
        assert [token for token, _ in page.evaluate(CHIPS)] == [step.id for step in widget.write()]
        it.clean()


# ---- the beam ----------------------------------------------------------------------------------------------------------


def drawn(page: Page, widget: Any, kind: str) -> None:
    state = [0, widget.prompt, *([widget.width] if kind == "beam" else [])]
    key = json.dumps(state, ensure_ascii=False, separators=(",", ":"))
    expect(page.locator(f".lmw-{kind}").first).to_have_attribute("data-drawn", key, timeout=20_000)


def tree(page: Page, widget: BeamTree, steps: int | None = None) -> None:
    """The first tree is that of Python, up to this step."""
    drawn(page, widget, "beam")
    levels = widget.tree()[:steps]
    wanted = [(n, list(b.ids), b.log_prob, b.parent, b.kept) for n, level in enumerate(levels) for b in level]
    found = page.evaluate(NODES)
    assert [(n, ids, parent, kept) for n, ids, _, parent, kept in found] == [(n, i, p, k) for n, i, _, p, k in wanted]
    assert [row[2] for row in found] == pytest.approx([row[2] for row in wanted], abs=1e-5)


def test_tree_is_that_of_python_at_every_width_and_step(tmp_path: Path) -> None:
    widget = beam()
    with opened(build(tmp_path, widget)) as it:
        page, box = it.page, it.page.locator(".lmw-beam")
        tree(page, widget)
        for width in (1, 2, 5):
            box.get_by_label(str(width), exact=True).check()
            widget.width = width
            tree(page, widget)
            rows = box.locator("tbody tr:not(.lmw-apart)")
            wanted = widget.hypotheses()
            assert [row.get_attribute("data-ids") for row in rows.all()] == [" ".join(map(str, b.ids)) for b in wanted]
            plain = box.locator("tr.lmw-apart").get_attribute("data-ids")
            widget.width = 1
            assert plain == " ".join(map(str, widget.hypotheses()[0].ids))
            widget.width = width
        box.get_by_label("Prompt", exact=True).select_option(index=2)
        widget.prompt = widget.prompts[0][2]
        tree(page, widget)
        box.get_by_role("button", name="Back").click()
        expect(box).to_have_attribute("data-step", str(len(widget.tree()) - 1))
        tree(page, widget, len(widget.tree()) - 1)
        drag(box.get_by_label("Tokens added"), 0)
        expect(box).to_have_attribute("data-step", "0")
        assert page.evaluate(NODES) == []
        assert "one hypothesis, the prompt" in status(page, "beam")
        it.clean()


IN_SIGHT = """() => {
  const box = document.querySelector('.lmw-tree-box').getBoundingClientRect();
  const nodes = [...document.querySelectorAll('.lmw-node')].map((node) => node.getBoundingClientRect());
  const last = nodes.at(-1);
  return [box.left - 1 <= last.left && last.right <= box.right + 1, box.left - 1 <= nodes[0].left]; }"""


def test_step_that_is_shown_is_in_sight_on_a_phone(tmp_path: Path) -> None:
    widget = beam(step=0)
    with opened(build(tmp_path, widget), width=360) as it:
        page, box = it.page, it.page.locator(".lmw-beam")
        drawn(page, widget, "beam")
        for n in range(1, 1 + len(widget.tree())):
            box.get_by_role("button", name="Next").click()
            expect(box).to_have_attribute("data-step", str(n))
            page.wait_for_function(f"({IN_SIGHT})()[0]")
        assert not page.evaluate(IN_SIGHT)[1]
        drag(box.get_by_label("Tokens added"), 1)
        expect(box).to_have_attribute("data-step", "1")
        page.wait_for_function(f"({IN_SIGHT})().every(Boolean)")
        it.clean()


# ---- the cache ---------------------------------------------------------------------------------------------------------


def test_counts_are_those_of_python_at_every_step(tmp_path: Path) -> None:
    widget: CacheSteps = cache()
    with opened(build(tmp_path, widget)) as it:
        page, box = it.page, it.page.locator(".lmw-cache")
        drawn(page, widget, "cache")
        counts, first = widget.multiplications(), len(widget.running.ids(widget.prompt))
        for n in range(6):
            if n:
                box.get_by_role("button", name="Next").click()
            expect(box).to_have_attribute("data-step", str(n))
            rows = {name: (a, b) for name, a, b in page.evaluate(ROWS)}
            assert rows["tokens"] == (first + n, 1 if n else first)
            assert rows["now"] == counts[n]
            assert rows["all"] == tuple(sum(column) for column in zip(*counts[: n + 1], strict=True))
            assert rows["bytes"] == (0, 2 * 2 * 15 * (first + n) * 4)
            fresh = [int(kv.get_attribute("data-fresh") or -1) for kv in box.locator(".lmw-kv").all()]
            assert fresh == [first + n, 1 if n else first]
            squares = box.locator(".lmw-kv").nth(1).locator(".lmw-kv-fresh")
            assert squares.count() == (2 + first + n if n else 2 * first + first * (first + 1) // 2)
        (text,) = [box.locator(".lmw-written").inner_text()]
        best = BeamTree(widget.running.net, WORDS, [widget.prompt], width=1, steps=5).hypotheses()[0]
        assert text.split()[:2] == widget.prompt.split()
        assert text.split()[2:] == [WORDS[i] for i in best.ids][: len(text.split()) - 2]
        it.clean()


def test_both_ways_write_the_same_tokens_when_they_are_timed(tmp_path: Path) -> None:
    widget = cache()
    with opened(build(tmp_path, widget)) as it:
        box = it.page.locator(".lmw-cache")
        drawn(it.page, widget, "cache")
        box.get_by_role("button", name="Measure").click()
        expect(box.get_by_role("button", name="Measure in this browser")).to_be_enabled(timeout=20_000)
        expect(box.locator("tr[data-length]")).to_have_count(3, timeout=20_000)
        assert [row.get_attribute("data-same") for row in box.locator("tr[data-length]").all()] == ["true"] * 3
        it.clean()


def test_a_prompt_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    widgets = [playground(), beam(), cache()]
    with opened(build(tmp_path, *widgets), height=4000) as it:
        for kind in ("playground", "beam", "cache"):
            box = it.page.locator(f".lmw-{kind}")
            expect(box).to_have_attribute("data-state", "ready")
            for text, says in (
                ("Alice zebra", "Not in the model's vocabulary of 22 words: “zebra”. Use other words."),
                ("she " * 36, "The prompt has 37 tokens. "),
            ):
                box.get_by_label("Your prompt").fill(text)
                expect(box.locator("[role=status]")).to_contain_text(says.replace("22", str(len(WORDS))))
        it.clean()


# ---- for everyone ------------------------------------------------------------------------------------------------------


def test_weights_are_loaded_once_for_all_figures_of_a_model(tmp_path: Path, small_parts: None) -> None:  # noqa: F811
    model = large(len(WORDS))
    widgets = [BeamTree(model, WORDS, ["Alice"]), CacheSteps(model, WORDS, ["Alice"])]
    page = built_apart(tmp_path, *widgets, above=3000)
    with opened(page) as it:
        assert [box.get_attribute("data-state") for box in it.page.locator(".lmw").all()] == ["waiting", "waiting"]
        files = {path.name.rsplit("-", 1)[0] for path in (tmp_path / "data").iterdir()}
        assert len(files) == 1
        it.page.locator(".lmw-cache").scroll_into_view_if_needed()
        drawn(it.page, widgets[1], "cache")
        it.page.locator(".lmw-beam").scroll_into_view_if_needed()
        drawn(it.page, widgets[0], "beam")
        it.clean()


def test_by_keyboard_alone(tmp_path: Path) -> None:
    widget = playground(method="greedy")
    with opened(build(tmp_path, widget)) as it:
        page = it.page
        same(written(page, widget), widget)
        page.get_by_label("Your prompt").focus()
        page.keyboard.press("Control+a")
        page.keyboard.type("There she")
        widget.prompt = "There she"
        same(written(page, widget), widget)
        for _ in range(20):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.classList.contains('lmw-chip')"):
                break
        page.keyboard.press("Enter")
        expect(page.locator(".lmw-playground .lmw-answer caption, .lmw-playground .lmw-answer .lmw-caption")).to_contain_text(
            "Token 1"
        )
        it.clean()


@pytest.mark.parametrize(("theme", "width"), [("light", 900), ("dark", 900), ("light", 360), ("dark", 310)])
def test_axe_finds_nothing_and_nothing_overflows(tmp_path: Path, theme: str, width: int) -> None:
    widgets = [playground(place=1), beam(width=5), cache()]
    page = build(tmp_path, *widgets, theme=theme)
    with opened(page, width=width, height=5000, has_touch=width < 400) as it:
        written(it.page, widgets[0])
        drawn(it.page, widgets[1], "beam")
        drawn(it.page, widgets[2], "cache")
        found = Axe().run(it.page).response["violations"]
        assert [(v["id"], [n["html"][:200] for n in v["nodes"]]) for v in found] == []
        assert it.page.evaluate("document.documentElement.scrollWidth") <= width
        assert it.page.evaluate(WIDE) == []
        assert it.page.evaluate(SMALL) == []
        it.clean()


def test_on_paper_all_of_it_is_there(tmp_path: Path) -> None:
    """A sheet has no scroll bars: a long text and a wide tree stand on it whole, and what can only be clicked does not."""
    letters = CharTokenizer.train("abcdefg", special=())
    long = DecodingPlayground({"long": (large(len(letters), room=400), letters)}, ["abba"], length=200, place=1)
    with opened(build(tmp_path, long, beam(width=5), cache(), theme="dark"), width=690, height=4000) as it:
        page = it.page
        written(page, long)
        for widget, kind in ((beam(width=5), "beam"), (cache(), "cache")):
            drawn(page, widget, kind)
        assert page.evaluate(CUT) != []
        page.emulate_media(media="print")
        style = "(e) => [getComputedStyle(e).backgroundColor, getComputedStyle(e).color]"
        for kind, shown in (("playground", ".lmw-chip"), ("beam", ".lmw-tree"), ("cache", ".lmw-kv-counts")):
            box = page.locator(f".lmw-{kind}")
            assert box.evaluate(style) == ["rgb(255, 255, 255)", "rgb(0, 0, 0)"]
            assert box.locator(shown).last.is_visible()
            assert [b for b in box.locator(".lmw-controls button").all() if b.is_visible()] == []
        assert page.locator(".lmw-chip").count() == 200
        assert page.evaluate(CUT) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= 690
        it.clean()


def test_without_javascript_the_figures_are_told(tmp_path: Path) -> None:
    widgets = [playground(), beam(), cache()]
    page = build(tmp_path, *widgets, theme="dark")
    with opened(page, ready=False, java_script_enabled=False) as it:
        said = it.page.locator("noscript p").all_inner_texts()
        assert len(said) == 3
        for widget, text in zip(widgets, said, strict=True):
            assert widget.alt in text
            assert "needs JavaScript" in text
