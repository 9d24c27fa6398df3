"""What every figure must do on a page: start over file:// and http, fail in words, print, and be usable by everyone."""

import contextlib
import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from lmcore.widgets import Figure, MergeStepper
from lmcore.widgets.base import join
from tests.book.figures import GROUPS, all_three, embedding_map, next_word, status
from tests.book.pages import build, opened

pytestmark = pytest.mark.browser


def test_two_views_of_one_model_share_it(tmp_path: Path) -> None:
    stepper = MergeStepper()
    with opened(build(tmp_path, stepper, MergeStepper("other text"), stepper)) as it:
        boxes = it.page.locator(".lmw-merges")
        assert boxes.count() == 3
        boxes.nth(2).get_by_role("button", name="Next merge").click()
        assert [boxes.nth(i).locator("[data-fact=step]").inner_text()[0] for i in range(3)] == ["1", "0", "1"]
        ids = it.page.evaluate("[...document.querySelectorAll('[id]')].map((e) => e.id)")
        assert len(ids) == len(set(ids))
        it.clean()


class Broken(Figure):
    """A figure whose module throws while it draws."""

    _esm = "export default { render({ el }) { el.append('half'); throw new Error('no canvas here'); } };"

    def describe(self) -> str:
        return "It would have shown a broken thing."


class Garbled(Figure):
    """A figure whose module is no JavaScript."""

    _esm = "export default {"

    def describe(self) -> str:
        return "It would have shown a garbled thing."


def test_figure_that_cannot_start_says_so_in_its_place(tmp_path: Path) -> None:
    with opened(build(tmp_path, Broken(), MergeStepper(), Garbled())) as it:
        places = it.page.locator(".lm-widget")
        assert [places.nth(i).get_attribute("data-ready") for i in range(3)] == ["failed", "true", "failed"]
        assert places.nth(0).inner_text().split("\n\n") == [
            "This figure could not start: no canvas here.",
            "It would have shown a broken thing.",
        ]
        assert "could not start" in places.nth(2).inner_text()
        assert "garbled thing" in places.nth(2).inner_text()
        places.nth(1).get_by_role("button", name="Next merge").click()
        assert len(it.errors) == 2  # and the console has both
        assert it.requests == []


def test_view_without_state_says_so(tmp_path: Path) -> None:
    page = build(tmp_path, MergeStepper())
    page.write_text(page.read_text("utf-8").replace('"model_module": "anywidget"', '"model_module": "other"'), "utf-8")
    with opened(page) as it:
        assert "needs a kernel" in it.page.locator(".lm-widget").inner_text()
    page.write_text(page.read_text("utf-8").replace("widget-state+json", "nothing"), "utf-8")
    with opened(page) as it:
        assert "no state" in it.page.locator(".lm-widget").inner_text()


def test_without_javascript_the_sentence_stands_in_place(tmp_path: Path) -> None:
    figures = all_three()
    with opened(build(tmp_path, *figures), ready=False, java_script_enabled=False) as it:
        assert it.page.locator("noscript p").count() == 3
        for i, figure in enumerate(figures):
            assert figure.alt in it.page.locator(".cell_output").nth(i).inner_text()


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """A folder over http."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_works_over_http_too(tmp_path: Path) -> None:
    build(tmp_path, *all_three())
    with served(tmp_path) as address, opened(f"{address}/page.html") as it:
        assert it.page.locator(".lm-widget[data-ready=true]").count() == 3
        it.clean()


@pytest.mark.parametrize(("theme", "width"), [("light", 900), ("dark", 310)])
def test_axe_finds_nothing_and_nothing_overflows(tmp_path: Path, theme: str, width: int) -> None:
    with opened(build(tmp_path, *all_three(), theme=theme), width=width) as it:
        for analogy in (False, True):
            if analogy:
                it.page.get_by_label("Analogy").check()
                it.page.get_by_role("button", name="Next merge").click()
            found = Axe().run(it.page).response["violations"]
            assert [(v["id"], [n["html"][:200] for n in v["nodes"]]) for v in found] == []
        assert it.page.evaluate("document.documentElement.scrollWidth") <= width
        wide = """[...document.querySelectorAll('.lmw *')]
            .filter((e) => !e.closest('svg, .lmw-hidden'))
            .filter((e) => e.getBoundingClientRect().right > e.closest('.lmw').getBoundingClientRect().right + 1)
            .map((e) => e.outerHTML.slice(0, 99))"""
        assert it.page.evaluate(wide) == []
        it.clean()


def test_figures_work_by_touch(tmp_path: Path) -> None:
    widget, _, _ = next_word()
    with opened(build(tmp_path, *all_three()), width=390, has_touch=True, is_mobile=True) as it:
        page = it.page
        page.locator(".lmw-token").nth(2).tap()
        assert page.locator("[aria-current]").inner_text() == widget.stories[0][2]
        page.locator(f".lmw-point[data-index='{embedding_map()[0].words.index('Rome')}']").tap(force=True)
        assert "“Rome”" in status(page, "map")
        page.get_by_role("button", name="Next merge").tap()
        assert "Merge 1 joined" in status(page, "merges")
        small = """[...document.querySelectorAll('.lmw :is(button, select, input)')]
            .map((e) => [e, (e.closest('label') ?? e).getBoundingClientRect()])
            .filter(([e, r]) => r.width && (r.height < 24 || (r.width < 24 && !e.matches('.lmw-token'))))
            .map(([e]) => e.outerHTML.slice(0, 99))"""
        assert page.evaluate(small) == []
        it.clean()


def test_print_shows_the_present_state_in_ink(tmp_path: Path) -> None:
    with opened(build(tmp_path, *all_three(), theme="dark")) as it:
        it.page.get_by_role("button", name="Next merge").click()
        it.page.emulate_media(media="print")
        colour = "(e, what) => getComputedStyle(e)[what]"
        for box in it.page.locator(".lmw").all():
            assert box.evaluate(colour, "backgroundColor") == "rgb(255, 255, 255)"
            assert box.evaluate(colour, "color") == "rgb(0, 0, 0)"
        assert not it.page.get_by_role("button", name="Next merge").is_visible()
        assert it.page.locator(".lmw-token").first.is_visible()
        assert it.page.locator("[data-fact=step]").inner_text().startswith("1 of")


def test_reduced_motion_moves_nothing(tmp_path: Path) -> None:
    with opened(build(tmp_path, next_word()[0]), reduced_motion="reduce") as it:
        assert it.page.locator(".lmw-bar").first.evaluate("e => getComputedStyle(e).transitionDuration") == "0s"


def test_colour_is_never_the_only_channel(tmp_path: Path) -> None:
    with opened(build(tmp_path, *all_three())) as it:
        fill = "(e) => getComputedStyle(e).backgroundImage"
        assert it.page.locator(".lmw-bar.lmw-fill-model").first.evaluate(fill) == "none"
        assert "gradient" in it.page.locator(".lmw-bar.lmw-fill-truth").first.evaluate(fill)
        shapes = it.page.evaluate("[...document.querySelectorAll('.lmw-groups path')].map((p) => p.getAttribute('d'))")
        assert len(set(shapes)) == len(GROUPS)
        it.page.get_by_role("button", name="Next merge").click()
        fresh = it.page.locator(".lmw-corpus .lmw-fresh").first
        assert "underline" in fresh.evaluate("e => getComputedStyle(e).textDecorationLine")


HOSTILE = '"</script>" <b>&amp;</b> \\ ${a} `b` "</script>" <!-- <script>'


def test_a_text_in_the_state_cannot_leave_its_tag(tmp_path: Path) -> None:
    with opened(build(tmp_path, MergeStepper(HOSTILE))) as it:
        assert it.page.get_by_label("Your text").input_value() == HOSTILE
        it.clean()


def test_source_that_is_tested_is_the_source_that_is_shipped() -> None:
    assert MergeStepper().get_state()["_esm"] == join("merge_stepper.mjs")
