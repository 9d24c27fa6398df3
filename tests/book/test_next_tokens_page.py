"""Next tokens in Chromium: the page's numbers are torch's, for every kind of model, from the first text to the last token."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from lmcore import END
from lmcore.bpe import END_OF_TEXT
from lmcore.tokenizer import CharTokenizer
from lmcore.widgets import NextTokens
from tests.book.figures import SMALL, WIDE, status
from tests.book.pages import build, opened
from tests.book.test_fill_blank_page import LOADED, both, built_apart, small_parts  # noqa: F401
from tests.test_next_tokens import TEXTS, figure, models
from tests.test_page_models import PROSE, WORDS, decoder, recurrent

pytestmark = pytest.mark.browser

FIRST = "[...document.querySelector('.lmw-next').querySelectorAll"
TABLE = FIRST + "('tbody tr:not([hidden])')].map((r) => [r.dataset.token, +r.dataset.p])"
TOWERS = FIRST + "('.lmw-read')].map((e) => [+e.dataset.token, +e.dataset.weight])"


def answered(page: Page, chosen: int, text: str, taken: list[int] | None = None) -> list[tuple[str, float]]:
    """The table of the first figure once it has answered this."""
    key = json.dumps([chosen, text, taken or []], ensure_ascii=False, separators=(",", ":"))
    expect(page.locator(".lmw-next .lmw-answer").first).to_have_attribute("data-key", key, timeout=20_000)
    return [(token, p) for token, p in page.evaluate(TABLE)]


def same(found: list[tuple[str, float]], widget: NextTokens) -> None:
    """The table is the one that Python gives for the same state."""
    wanted = widget.next()
    assert [token for token, _ in found] == list(wanted)
    assert [p for _, p in found] == pytest.approx(list(wanted.values()), abs=1e-6)


def test_page_computes_what_torch_computes_whatever_the_model(tmp_path: Path) -> None:
    widget = figure()
    texts = [
        *((0, text) for text in ("There she found", "a T-shirt, o'clock naïve", " don't“”<b> ", f"she{END} she")),
        *((1, text) for text in ("lambda x: x**2", "naïve 日本 👩‍👧\n\tdef", f"a{END_OF_TEXT}b", " ")),
        *((2, text) for text in ("A lambda yields a function", "ZZ", "x" * 300)),
    ]
    with opened(build(tmp_path, widget)) as it:
        box = it.page.locator(".lmw-next")
        same(answered(it.page, 0, widget.text), widget)
        for chosen, text in texts:
            box.get_by_label("Model", exact=True).select_option(index=chosen)
            widget.chosen = chosen
            box.get_by_label("Your text").fill(text)
            widget.text = text
            same(found := answered(it.page, chosen, text), widget)
            ids = widget.running.ids(text)
            assert box.locator("[data-fact=tokens]").get_attribute("data-value") == str(len(ids))
            towers = it.page.evaluate(TOWERS)
            assert [token for token, _ in towers] == ids
            heads = box.locator(".lmw-tile")
            if chosen == 2:
                assert heads.count() == 0
                assert "no attention" in box.inner_text()
            else:
                mean = [sum(weights) / len(weights) for weights in zip(*widget.attention()[0], strict=True)]
                assert [weight for _, weight in towers] == pytest.approx(mean, abs=1e-6)
                assert heads.count() == widget.running.layers * (widget.running.heads + 1)
            assert f"{list(TEXTS)[chosen]}: most likely next “" in status(it.page, "next")
            assert f"({100 * found[0][1]:.1f} %)" in status(it.page, "next")
        it.clean()


def test_taken_tokens_are_read_as_these_very_tokens(tmp_path: Path) -> None:
    """Not as the text they make: the merges of a whole text may cut it elsewhere, and a token may be half a character."""
    widget = figure(chosen=1, text="def", top=50)
    bpe = widget.running.tokenizer
    with opened(build(tmp_path, widget)) as it:
        page, box, taken = it.page, it.page.locator(".lmw-next"), list[int]()
        for n in (3, 0, 41, 17, 49):
            found = answered(page, 1, "def", taken)
            same(found, widget)
            work = box.locator("[data-fact=work]").get_attribute("data-value")
            assert work == ("1" if taken else str(len(widget.running.ids("def"))))
            box.locator("tbody tr").nth(n).get_by_role("button").click()
            taken.append(bpe.number[found[n][0]])
            widget.taken = list(taken)
        same(answered(page, 1, "def", taken), widget)
        ids = widget.running.ids("def", taken)
        assert [token for token, _ in page.evaluate(TOWERS)] == ids
        assert box.locator(".lmw-taken").count() == 5
        whole = bpe.decode(ids[len(widget.running.start) :])
        assert box.get_by_label("Your text").input_value() == whole
        assert bpe.encode(whole) != ids[len(widget.running.start) :], "here the difference shows"
        box.get_by_role("button", name="Take back").click()
        answered(page, 1, "def", taken[:-1])
        box.get_by_role("button", name="Take the likeliest").click()
        best, *_ = figure(chosen=1, text="def", taken=taken[:-1]).next()
        answered(page, 1, "def", [*taken[:-1], bpe.number[best]])
        box.get_by_label("Your text").fill("x")
        answered(page, 1, "x")
        assert box.get_by_role("button", name="Take back").is_disabled()
        it.clean()


def test_every_head_is_shown_and_can_be_chosen(tmp_path: Path) -> None:
    widget = figure(chosen=1, text="lambda x")
    with opened(build(tmp_path, widget), height=1400) as it:
        page, box = it.page, it.page.locator(".lmw-next")
        answered(page, 1, "lambda x")
        attention = widget.attention()
        for layer, head in ((0, 4), (2, 0), (1, 8)):
            box.get_by_role("button", name=f"layer {layer + 1}, head {head + 1}", exact=True).click()
            expect(box.locator(".lmw-tile[aria-current]")).to_have_attribute("data-place", f"{layer} {head}")
            weights = attention[layer][head]
            assert [weight for _, weight in page.evaluate(TOWERS)] == pytest.approx(weights, abs=1e-6)
            most = max(weights)
            tower = page.evaluate("[...document.querySelectorAll('.lmw-look i')].map((e) => parseFloat(e.style.height))")
            assert tower == pytest.approx([100 * w / most for w in weights], abs=0.01)
            note = box.locator(".lmw-note", has_text=f"Layer {layer + 1}, head {head + 1}: the last token looks most at")
            assert f"({100 * most:.1f} %)" in note.inner_text()
        box.get_by_role("group", name="All heads").focus()
        for key, place in (
            ("ArrowUp", "0 8"),
            ("ArrowRight", "0 -1"),
            ("ArrowRight", "0 -1"),
            ("ArrowLeft", "0 8"),
            ("ArrowDown", "1 8"),
        ):
            page.keyboard.press(key)
            expect(box.locator(".lmw-tile[aria-current]")).to_have_attribute("data-place", place)
        it.clean()


def test_it_says_what_it_cannot_read_and_answers_only_the_last_text(tmp_path: Path) -> None:
    widget = figure()
    empty, ended = figure(chosen=2), figure(taken=[WORDS.index(END)])
    empty.text = ""
    letters = CharTokenizer.train(PROSE, special=())
    closed = NextTokens({"closed": (recurrent("lstm", V=len(letters)), letters)}, ["def f"])
    with opened(build(tmp_path, widget, empty, ended, closed)) as it:
        box, own = it.page.locator(".lmw-next").first, it.page.get_by_label("Your text").first
        for text, says in (
            ("Alice sang a song, sang", f"Not in the model's vocabulary of {len(WORDS)} words: “sang”, “song”."),
            ("she " * 30, "The text has 31 tokens. This model reads at most 23; shorten the text."),
        ):
            own.fill(text)
            expect(box.locator("[role=status]")).to_contain_text(says)
            assert box.locator(".lmw-answer").is_hidden()
            assert box.get_by_role("button", name="Take the likeliest").is_disabled()
        said = [it.page.locator(".lmw-next").nth(i).locator("[role=status]") for i in (1, 2)]
        expect(said[0]).to_contain_text("Write something: this model needs at least one token to begin with.")
        it.page.get_by_label("Your text").nth(3).fill("def ¤ f")
        says = f"Not in the model's vocabulary of {len(letters)} characters: “¤”. Use other characters."
        expect(it.page.locator(".lmw-next").nth(3).locator("[role=status]")).to_contain_text(says)
        expect(said[1]).to_contain_text("The model has ended the text. Take the end back to go on.")
        it.page.evaluate(
            """async () => { const own = document.querySelector('.lmw-next textarea');
            let time = 0;
            performance.now = () => (time += 20); // every step of a run is a slice, so that the runs overlap
            for (own.value of ['she '.repeat(20), 'she found the', 'she found a']) {
              own.dispatchEvent(new Event('input'));
              await new Promise((done) => requestAnimationFrame(done));
            } }"""
        )
        it.page.wait_for_timeout(300)
        widget.text = "she found a"
        same(answered(it.page, 0, "she found a"), widget)
        it.clean()


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("scheme", ["file", "http"])
def test_only_the_chosen_model_is_loaded(tmp_path: Path, scheme: str) -> None:
    widget = figure()
    page = built_apart(tmp_path, widget, above=3000)
    with both(scheme, page) as it:
        box = it.page.locator(".lmw-next")
        assert box.get_attribute("data-state") == "waiting"
        assert box.locator(".lmw-loading").inner_text().strip() == "The model is loaded when this figure comes into view."
        box.scroll_into_view_if_needed()
        same(answered(it.page, 0, widget.text), widget)
        first = len(it.page.evaluate(LOADED)) if scheme == "http" else None
        box.get_by_label("Model", exact=True).select_option(index=1)
        widget.chosen, widget.text = 1, TEXTS["bytes"][0]
        same(answered(it.page, 1, widget.text), widget)
        assert box.locator(".lmw-loading").is_hidden()
        if first is not None:
            both_models = it.page.evaluate(LOADED)
            assert 0 < first < len(both_models) < len([*(tmp_path / "data").iterdir()]), "the third was never asked for"
            box.get_by_label("Model", exact=True).select_option(index=0)
            answered(it.page, 0, TEXTS["words"][0])
            assert it.page.evaluate(LOADED) == both_models
        it.clean()


@pytest.mark.usefixtures("small_parts")
def test_a_model_that_cannot_be_loaded_says_so_and_can_be_asked_for_again(tmp_path: Path) -> None:
    widget = figure(models={"GPT": models()["words"]}, texts=TEXTS["words"])
    page = built_apart(tmp_path, widget)
    lost = sorted((tmp_path / "data").iterdir())[1]
    text = lost.read_text("ascii")
    lost.unlink()
    with opened(page) as it:
        box = it.page.locator(".lmw-next[data-state=failed]")
        trouble = box.get_by_role("alert").inner_text()
        assert f"This figure could not start: its data in {lost.name} could not be loaded." in trouble
        assert widget.alt in trouble
        assert [v["id"] for v in Axe().run(it.page).response["violations"]] == []
        lost.write_text(text, "ascii")
        it.page.get_by_role("button", name="Try again").click()
        same(answered(it.page, 0, widget.text), widget)
        assert it.page.get_by_role("alert").count() == 0, "an empty box is not shown"


def test_two_views_follow_one_state(tmp_path: Path) -> None:
    widget = figure()
    with opened(build(tmp_path, widget, widget), height=3000) as it:
        boxes = it.page.locator(".lmw-next")
        for i in (0, 1):
            expect(boxes.nth(i).locator("tbody tr").first).to_have_attribute("data-token", re.compile(".+"))
        boxes.nth(1).get_by_label("Model", exact=True).select_option(index=2)
        answered(it.page, 2, "A lam")  # an example of the one model is none of the other
        boxes.nth(1).get_by_label("Example").select_option(index=1)
        answered(it.page, 2, "def f")
        for i in (0, 1):
            assert boxes.nth(i).get_by_label("Your text").input_value() == "def f"
            assert boxes.nth(i).get_by_label("Model", exact=True).evaluate("(e) => e.selectedIndex") == 2
        it.clean()


# ---- for everyone ------------------------------------------------------------------------------------------------------


def test_by_keyboard_alone(tmp_path: Path) -> None:
    widget = figure(texts=["she"], models={"GPT": (decoder(), WORDS)})
    with opened(build(tmp_path, widget)) as it:
        page, taken = it.page, list[int]()
        answered(page, 0, "she")
        for label in ("Your text", "Take the likeliest"):
            page.keyboard.press("Tab")
            assert page.evaluate("(document.activeElement.labels?.[0] ?? document.activeElement).textContent") == label
        for key in ("Tab", None, None):  # to the first row of the table, whose button stays where it is
            if key:
                page.keyboard.press(key)
            found = answered(page, 0, "she", taken)
            page.keyboard.press("Enter")
            taken.append(WORDS.index(found[0][0]))
        widget.taken = taken
        same(answered(page, 0, "she", taken), widget)
        it.clean()


def test_by_touch(tmp_path: Path) -> None:
    widget = figure()
    with opened(build(tmp_path, widget), width=390, has_touch=True, is_mobile=True) as it:
        found = answered(it.page, 0, widget.text)
        assert it.page.evaluate(SMALL) == []
        it.page.locator(".lmw-next tbody .lmw-link").nth(2).tap()
        answered(it.page, 0, widget.text, [WORDS.index(found[2][0])])
        it.page.locator(".lmw-tile").nth(1).tap()
        expect(it.page.locator(".lmw-tile[aria-current]")).to_have_attribute("data-place", "0 1")
        it.clean()


@pytest.mark.parametrize(("theme", "width"), [("light", 900), ("dark", 900), ("light", 360), ("dark", 310)])
def test_axe_finds_nothing_and_nothing_overflows(tmp_path: Path, theme: str, width: int) -> None:
    text = "A lambda   yields\n" + "Donaudampfschifffahrt" * 3
    wide: dict[str, Any] = {"chosen": 1, "text": text, "taken": [300, 319, 7], "top": 12}
    with opened(build(tmp_path, figure(**wide), figure(chosen=2), theme=theme), width=width, has_touch=width < 400) as it:
        answered(it.page, 1, text, [300, 319, 7])
        found = Axe().run(it.page).response["violations"]
        assert [(v["id"], [n["html"][:200] for n in v["nodes"]]) for v in found] == []
        assert it.page.evaluate("document.documentElement.scrollWidth") <= width
        assert it.page.evaluate(WIDE) == []
        it.clean()


def test_print_and_no_javascript(tmp_path: Path) -> None:
    widget = figure()
    page = build(tmp_path, widget, theme="dark")
    with opened(page) as it:
        answered(it.page, 0, widget.text)
        it.page.emulate_media(media="print")
        box, style = it.page.locator(".lmw-next"), "(e, what) => getComputedStyle(e)[what]"
        assert [box.evaluate(style, what) for what in ("backgroundColor", "color")] == ["rgb(255, 255, 255)", "rgb(0, 0, 0)"]
        assert box.locator(".lmw-answer").is_visible()
        assert not box.get_by_role("button", name="Take back").is_visible()
        it.clean()
    with opened(page, ready=False, java_script_enabled=False) as it:
        said = it.page.locator("noscript p").inner_text()
        assert widget.alt in said
        assert "needs JavaScript" in said
