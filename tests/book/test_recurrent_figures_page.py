"""Both figures that run a recurrent model, for everyone: axe, small screens, touch, paper, no colour, no motion."""

from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.book.figures import TEXTS, gates, status, unrolled
from tests.book.pages import build, opened

pytestmark = pytest.mark.browser

KIND = "gates"


def both(**kwargs: Any) -> list[Any]:
    return [unrolled(**kwargs), gates(**kwargs)]


@pytest.mark.parametrize(("theme", "width"), [("light", 900), ("dark", 310), ("light", 360)])
def test_axe_finds_nothing_and_nothing_overflows(tmp_path: Path, theme: str, width: int) -> None:
    with opened(build(tmp_path, *both(words=TEXTS[1], step=6), theme=theme), width=width) as it:
        for unit in (False, True):
            if unit:
                it.page.get_by_role("button", name="Busiest switch").click()
                it.page.get_by_label("Wipe the state").check()
                it.page.get_by_label("Your text").first.fill("she liks")
                it.page.get_by_label("Your text").first.press("Enter")
            found = Axe().run(it.page).response["violations"]
            assert [(v["id"], [n["html"][:200] for n in v["nodes"]]) for v in found] == []
        assert it.page.evaluate("document.documentElement.scrollWidth") <= width
        wide = """[...document.querySelectorAll('.lmw *')]
            .filter((e) => !e.closest('.lmw-unrolled *, .lmw-scroller *, .lmw-hidden, svg'))
            .filter((e) => e.getBoundingClientRect().right > e.closest('.lmw').getBoundingClientRect().right + 1)
            .map((e) => e.outerHTML.slice(0, 99))"""
        assert it.page.evaluate(wide) == []
        for kind, column in (("unrolled-network", ".lmw-current"), (KIND, "thead [data-now]")):
            inside = """(e) => { const a = e.getBoundingClientRect(), b = e.closest('[tabindex="0"]').getBoundingClientRect();
                return a.left >= b.left && a.right <= b.right; }"""
            assert it.page.locator(f".lmw-{kind} {column}").evaluate(inside), "the present step is in view"
        it.clean()


def test_both_work_by_touch_with_targets_large_enough(tmp_path: Path) -> None:
    with opened(build(tmp_path, *both(words=TEXTS[0])), width=390, has_touch=True, is_mobile=True) as it:
        page = it.page
        page.locator(".lmw-col button").nth(1).tap()
        assert "Step 1 of 4" in status(page, "unrolled-network")
        page.get_by_role("button", name="Next step").tap()
        assert "Step 2 of 4" in status(page, "unrolled-network")
        page.locator(".lmw-gatesheet thead button").nth(2).tap()
        assert "At step 2" in status(page, KIND)
        page.locator(".lmw-gates .lmw-link").first.tap()
        assert "At step 3" in status(page, KIND)
        small = """[...document.querySelectorAll('.lmw :is(button, select, input)')]
            .map((e) => [e, (e.closest('label') ?? e).getBoundingClientRect()])
            .filter(([e, r]) => r.width && (r.height < 24 || (r.width < 24 && !e.matches('.lmw-token, .lmw-link'))))
            .map(([e]) => e.outerHTML.slice(0, 99))"""
        assert page.evaluate(small) == []
        it.clean()


def test_print_shows_all_steps_in_ink(tmp_path: Path) -> None:
    with opened(build(tmp_path, *both(words=TEXTS[1], step=6), theme="dark"), width=720) as it:
        it.page.emulate_media(media="print")
        for box in it.page.locator(".lmw").all():
            assert box.evaluate("e => getComputedStyle(e).backgroundColor") == "rgb(255, 255, 255)"
            hidden = """(e) => { const edge = e.getBoundingClientRect().right + 1;
                const cells = [...e.querySelectorAll('.lmw-col, .lmw-gatesheet td')];
                return cells.filter((c) => c.getBoundingClientRect().right > edge).length; }"""
            assert box.evaluate(hidden) == 0, "no step is cut off"
        assert not it.page.get_by_role("button", name="Next step").is_visible()


def test_sign_and_size_do_not_rest_on_colour(tmp_path: Path) -> None:
    with opened(build(tmp_path, *both(words=TEXTS[1], step=6))) as it:
        bars = """(kind) => [...document.querySelectorAll(`.lmw-col ${kind}`)].map((r) => {
            const middle = r.closest('svg').querySelector('.lmw-middle').getBoundingClientRect().left;
            const a = r.getBoundingClientRect();
            return (a.left + a.right) / 2 - middle; })"""
        assert max(it.page.evaluate(bars, ".lmw-minus")) < 1
        assert min(it.page.evaluate(bars, ".lmw-plus")) > -1
        fill = "(e) => getComputedStyle(e).fill"
        minus, plus = (it.page.locator(f".lmw-col .lmw-{sign}").first.evaluate(fill) for sign in ("minus", "plus"))
        assert minus == "rgb(255, 255, 255)", "hollow"
        assert plus != minus
        shown = it.page.locator(".lmw-gate[data-value] span").all_inner_texts()
        assert all(any(c.isdigit() for c in text) for text in shown), "every bar has its number"


def test_reduced_motion_moves_nothing(tmp_path: Path) -> None:
    with opened(build(tmp_path, *both(step=2)), reduced_motion="reduce") as it:
        assert it.page.locator(".lmw-well i").first.evaluate("e => getComputedStyle(e).transitionDuration") == "0s"
        assert it.page.locator(".lmw-current rect").last.evaluate("e => getComputedStyle(e).animationName") == "none"
