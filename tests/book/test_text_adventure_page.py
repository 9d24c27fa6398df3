"""The text adventure in Chromium: the page plays the very game that Python plays, for everyone."""

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

from lmcore.widgets import TextAdventure
from tests.book.figures import SMALL, WIDE, status
from tests.book.pages import build, opened
from tests.test_text_adventure import adventure

pytestmark = pytest.mark.browser

GAMES = {
    0: ["found", "saw", "go to the castle", "hint", "sang", "go forest"],
    1: ["go forest", "Go castle.", "ask", "say dogs", "say A Bears.", "saw"],
    5: ["She found", "go forest", "built", "built", "say bears", "hint", "hint"],
}
LINES = """(box) => [...box.querySelectorAll('.lmw-tale-line')].map(
  (li) => [li.dataset.who, li.querySelector('.lmw-tale-text').textContent])"""
OFFERS = """(box) => [...box.querySelectorAll('[data-p]')].map((b) => [b.dataset.command, +b.dataset.p])"""


def still(box: Locator) -> Locator:
    """The figure, once the model has written what was to be written."""
    expect(box).to_have_attribute("data-busy", "false", timeout=20_000)
    return box


def do(page: Page, command: str) -> None:
    box = page.locator("section.lmw-tale").first
    box.get_by_label("Or type it").fill(command)
    box.get_by_label("Or type it").press("Enter")
    still(box)


def lines(box: Locator) -> list[tuple[str, str]]:
    return [(who, text) for who, text in still(box).evaluate(LINES)]


def same(box: Locator, widget: TextAdventure, commands: list[str], seed: int) -> None:
    """Transcript, offers, wishes, bag and hours are Python's."""
    it = widget.played(commands, seed)
    assert lines(box) == it.said
    if not it.over and not it.asked:
        offers = box.evaluate(OFFERS)
        expected = widget.offers(it)
        assert [verb for verb, _ in offers] == [verb for verb, _ in expected]
        assert [p for _, p in offers] == pytest.approx([p for _, p in expected], abs=1e-6)
    wishes = [("✓" if thing in it.bag else "○") + f"\u00a0{thing}" for thing in it.wishes]
    assert box.locator("[data-fact=wishes]").inner_text() == ", ".join(wishes)
    rest = [thing for thing in it.bag if thing not in it.wishes]
    assert box.locator("[data-fact=bag]").inner_text() == (", ".join(rest) or "nothing")
    assert box.locator("[data-fact=hours]").inner_text() == str(it.hours)
    assert box.locator(".lmw-tale-here").get_attribute("data-place") == it.place
    near = box.locator(".lmw-tale-near").evaluate_all("(gs) => gs.map((g) => g.dataset.place)")
    assert sorted(near) == sorted(it.game.near(it.place))


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_page_plays_the_game_that_python_plays(tmp_path: Path, temperature: float) -> None:
    widget = adventure(temperature=temperature)
    with opened(build(tmp_path, widget), height=1600) as it:
        box = it.page.locator("section.lmw-tale")
        for seed, commands in GAMES.items():
            while widget.play([], seed)[0][1] != lines(box)[0][1] or len(lines(box)) > 2:
                box.get_by_role("button", name="Another game").click()
            seed = next(s for s in range(seed, 9) if widget.play([], s) == lines(box))
            for n, command in enumerate(commands, 1):
                if box.locator("input[type=text]").is_disabled():
                    break
                do(it.page, command)
                same(box, widget, commands[:n], seed)
        it.clean()


def test_buttons_map_and_keys_do_what_words_do(tmp_path: Path) -> None:
    widget = adventure(seed=2)
    with opened(build(tmp_path, widget), height=1600) as it:
        page, box = it.page, still(it.page.locator("section.lmw-tale"))
        box.get_by_role("button", name="found").click()
        assert lines(box) == widget.play(["found"])
        box.get_by_role("button", name="found").focus()
        page.keyboard.press("Enter")
        assert lines(box) == widget.play(["found", "found"])
        assert page.evaluate("document.activeElement.dataset.command") == "found", "a button that stays keeps the focus"
        box.locator("[data-place=forest]").click()
        box.get_by_role("button", name="Ask to enter the castle").focus()
        page.keyboard.press("Space")
        done = ["found", "found", "go forest", "go castle"]
        assert lines(box) == widget.play(done)
        assert "waits for an answer" in box.inner_text()
        box.get_by_role("button", name="Ask the parrot").click()
        assert lines(box) == widget.play([*done, "ask"])
        box.locator("[data-place=castle]").click()
        for n in (1, 2):
            box.get_by_role("button", name="Hint").click()
            assert lines(box) == widget.play([*done, "ask", "go castle", *["hint"] * n])
        expect(box.get_by_role("button", name="Hint")).to_be_disabled()
        assert status(page, "tale") == "You have lost. Start again, or take another game."
        box.get_by_role("button", name="Start again").click()
        assert lines(box) == widget.play([])
        box.get_by_text("The rules", exact=True).click()
        assert box.locator("details li").all_inner_texts() == widget.game["rules"]
        box.get_by_text("What the model reads").click()
        assert box.locator(".lmw-tale-read").inner_text() == widget.played([], 2).before
        it.clean()


def test_a_game_that_was_begun_goes_on_and_two_views_follow_it(tmp_path: Path) -> None:
    widget, other = adventure(seed=3, commands=["found", "go forest"]), adventure(seed=1)
    with opened(build(tmp_path, widget, other, widget), height=6000) as it:
        boxes = it.page.locator("section.lmw-tale")
        assert lines(boxes.nth(0)) == widget.play()
        it.page.evaluate(
            """() => { const box = document.querySelectorAll('section.lmw-tale')[2];
            for (const _ of [1, 2]) box.querySelector('[data-place=beach]').dispatchEvent(new MouseEvent('click'));
            box.querySelector('[data-command^="go beach"]').click(); }"""
        )
        commands = ["found", "go forest", "go beach", "go beach", "go beach"]
        for i in (0, 2):
            expect(boxes.nth(i).locator(".lmw-tale-line")).to_have_count(len(widget.play(commands)))
            assert lines(boxes.nth(i)) == widget.play(commands), "what is asked for meanwhile is done in its turn"
        boxes.nth(2).get_by_label("Temperature").fill("3")
        expect(boxes.nth(0).locator(".lmw-tale-line")).to_have_count(2)
        assert lines(boxes.nth(1)) == other.play()
        widget.temperature = 0.3
        do(it.page, "found")
        assert lines(boxes.nth(0)) == widget.play(["found"])
        it.clean()


@pytest.mark.parametrize(("theme", "width"), [("light", 900), ("dark", 900), ("light", 360), ("dark", 310)])
def test_axe_finds_nothing_and_nothing_overflows(tmp_path: Path, theme: str, width: int) -> None:
    widget = adventure(seed=1, commands=["found", "go forest", "go castle", "ask"])
    touch = width < 400
    with opened(build(tmp_path, widget, theme=theme), width=width, has_touch=touch, is_mobile=touch) as it:
        box = still(it.page.locator("section.lmw-tale"))
        box.get_by_text("The rules", exact=True).click()
        found = Axe().run(it.page).response["violations"]
        assert [(v["id"], [n["html"][:200] for n in v["nodes"]]) for v in found] == []
        assert it.page.evaluate("document.documentElement.scrollWidth") <= width
        assert it.page.evaluate(WIDE) == []
        if touch:
            assert it.page.evaluate(SMALL) == []
            box.get_by_role("button", name="Go to the beach").tap()
            assert lines(box) == widget.play([*widget.commands, "go beach"])
        it.clean()


def test_story_is_a_log_that_says_who_speaks_and_prints_in_ink(tmp_path: Path) -> None:
    widget = adventure(seed=1, commands=["found"])
    with opened(build(tmp_path, widget, theme="dark")) as it:
        box = still(it.page.locator("section.lmw-tale"))
        log = box.get_by_role("log", name="The story so far")
        assert [text.split(":")[0] for text in log.locator("li").all_inner_texts()][:4] == ["Rules", "Rules", "You", "Model"]
        style = "(e) => getComputedStyle(e).borderLeftStyle"
        assert log.locator(".lmw-tale-model").evaluate(style) == "solid", "not by colour alone"
        assert "next to the forest" in (box.locator("svg").get_attribute("aria-label") or "")
        it.page.emulate_media(media="print")
        shown = box.evaluate("e => [getComputedStyle(e).backgroundColor, getComputedStyle(e).color]")
        assert shown == ["rgb(255, 255, 255)", "rgb(0, 0, 0)"]
        it.clean()
