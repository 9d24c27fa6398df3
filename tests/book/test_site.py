"""Every page of the built site in Chromium: offline, silent, readable by everyone, on every screen and on paper."""

import re
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.book.contents import CHAPTERS, EXERCISES, PAGES, READING
from tests.book.pages import Opened, opened

pytestmark = [pytest.mark.book, pytest.mark.browser]
every_page = pytest.mark.parametrize("name", PAGES)


def settle(view: Opened) -> None:
    """Wait until the page has done what it does on its own: scripts, figures, formulas."""
    page = view.page
    page.wait_for_function("!document.querySelector('meta[http-equiv=refresh]')")  # the site's root leads on to the cover
    page.wait_for_load_state("load")
    page.wait_for_function(
        "!document.querySelector('script[src$=\"host.js\"]') || document.documentElement.dataset.lmWidgets === 'ready'"
    )
    page.wait_for_function("!document.querySelector('.math') || document.querySelector('mjx-container')")
    page.evaluate("() => window.MathJax?.startup?.promise")


@every_page
@pytest.mark.parametrize("scheme", ["file", "http"])
def test_page_needs_no_other_host_and_reports_no_error(site: Path, served: str, name: str, scheme: str) -> None:
    address = (site / f"{name}.html").as_uri() if scheme == "file" else f"{served}/{name}.html"
    with opened(address, ready=False) as view:
        settle(view)
        view.clean()
        assert view.page.locator("body").inner_text().strip()


@every_page
@pytest.mark.parametrize("mode", ["light", "dark"])
def test_page_is_accessible(site: Path, name: str, mode: Any) -> None:
    if name == "index":
        pytest.skip("leads on to the cover at once")
    with opened(site / f"{name}.html", width=1280, ready=False, color_scheme=mode, reduced_motion="reduce") as view:
        settle(view)
        assert view.page.evaluate("document.documentElement.dataset.theme") == mode
        view.page.evaluate("document.querySelectorAll('details').forEach((d) => (d.open = true))")
        found = Axe().run(view.page).response["violations"]
        problems = [f"{v['id']}: {node['html'][:160]} {node['failureSummary'][:300]}" for v in found for node in v["nodes"][:3]]
        assert not problems, "\n".join(problems)


@every_page
def test_page_fits_a_phone(site: Path, name: str) -> None:
    with opened(site / f"{name}.html", width=360, height=740, ready=False) as view:
        settle(view)
        view.page.evaluate("document.querySelectorAll('details').forEach((d) => (d.open = true))")
        assert view.page.evaluate("document.documentElement.scrollWidth") <= 360, view.page.evaluate(TOO_WIDE)
        names = Axe().run(view.page, options={"runOnly": ["button-name", "link-name"]}).response  # here some are icons alone
        assert [node["html"][:160] for rule in names["violations"] for node in rule["nodes"]] == []


TOO_WIDE = """() => [...document.querySelectorAll('body *')].filter((e) => {
  if (e.getBoundingClientRect().right <= innerWidth + 1) return false;
  for (let a = e.parentElement; a && a !== document.body; a = a.parentElement)
    if (getComputedStyle(a).overflowX !== 'visible') return false;
  return true;
}).slice(0, 5).map((e) => e.outerHTML.slice(0, 120))"""


@pytest.mark.parametrize("name", CHAPTERS)
def test_formulas_are_set(site: Path, name: str) -> None:
    with opened(site / f"{name}.html", ready=False) as view:
        settle(view)
        page = view.page
        assert page.locator(".math").count() > 0
        assert page.locator(".math:not(:has(mjx-container))").count() == 0
        assert page.locator("mjx-merror, mjx-container [data-mjx-error]").count() == 0
        page.wait_for_function("document.fonts.status === 'loaded'")
        assert page.evaluate("[...document.fonts].some((f) => f.family.startsWith('MJXTEX') && f.status === 'loaded')")


@pytest.mark.parametrize("scheme", ["file", "http"])
def test_search_finds_a_word_of_a_chapter(site: Path, served: str, scheme: str) -> None:
    base = site.as_uri() if scheme == "file" else served
    with opened(f"{base}/{READING[0]}.html", width=1280, ready=False) as view:
        view.page.keyboard.press("Control+k")
        view.page.locator("#pst-search-dialog input[name=q]").fill("perplexity")
        view.page.keyboard.press("Enter")
        link = view.page.locator("#search-results li a").first
        link.wait_for()
        if scheme == "http":
            view.page.locator("#search-results li .context").first.wait_for()
        link.click()
        expect(view.page.locator("article")).to_contain_text("perplexity", ignore_case=True)
        expect(view.page).not_to_have_url(re.compile(r"search\.html"))
        view.clean()


def test_the_colour_mode_can_be_chosen_and_is_kept(site: Path) -> None:
    with opened(site / f"{READING[1]}.html", width=1280, ready=False, color_scheme="light") as view:
        page, seen = view.page, set()
        for _ in range(3):
            page.get_by_role("button", name="Colour mode").click()
            seen.add(
                (
                    page.evaluate("document.documentElement.dataset.mode"),
                    page.evaluate("document.documentElement.dataset.theme"),
                )
            )
        assert seen == {("auto", "light"), ("light", "light"), ("dark", "dark")}
        while page.evaluate("document.documentElement.dataset.mode") != "dark":
            page.get_by_role("button", name="Colour mode").click()
        page.goto((site / f"{READING[2]}.html").as_uri())
        assert page.evaluate("document.documentElement.dataset.theme") == "dark"
        view.clean()


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_figure_stands_on_light_ground_in_dark_mode(site: Path, name: str) -> None:
    """matplotlib draws black axes: on a dark page they need a light card, and no filter that changes their colours."""
    with opened(site / f"{name}.html", width=1280, ready=False, color_scheme="dark") as view:
        settle(view)
        styles = view.page.evaluate(
            "[...document.querySelectorAll('.cell_output img')].map(getComputedStyle).map((s) => [s.backgroundColor, s.filter])"
        )
        assert all(style == ["rgb(255, 255, 255)", "none"] for style in styles)


@pytest.mark.parametrize("name", [*CHAPTERS[:1], *EXERCISES[:1]])
def test_paper_shows_the_text_and_what_was_folded(site: Path, name: str) -> None:
    with opened(site / f"{name}.html", width=1000, ready=False) as view:
        page = view.page
        settle(view)
        page.emulate_media(media="print")
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        for gone in ("#pst-primary-sidebar", "#pst-secondary-sidebar", ".bd-header-article", ".prev-next-footer"):
            assert not page.locator(gone).first.is_visible(), gone
        assert page.locator("article h1").first.is_visible()
        folds = page.locator("article details")
        assert folds.count() > 0
        assert all(folds.nth(i).evaluate("(d) => d.open && d.lastElementChild.checkVisibility()") for i in range(folds.count()))
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert not any(folds.nth(i).evaluate("(d) => d.open") for i in range(folds.count()))
        assert len(page.pdf()) > 20_000


def test_focus_can_be_seen(site: Path) -> None:
    with opened(site / f"{CHAPTERS[0]}.html", width=1280, ready=False) as view:
        settle(view)
        for _ in range(12):
            view.page.keyboard.press("Tab")
            element = view.page.evaluate("document.activeElement.outerHTML.slice(0, 200)")
            style, width = view.page.evaluate(
                "[getComputedStyle(document.activeElement)].map((s) => [s.outlineStyle, parseFloat(s.outlineWidth)])[0]"
            )
            assert style != "none", element
            assert width >= 2, element


def test_a_link_into_a_fold_opens_it(site: Path) -> None:
    with opened(site / f"{EXERCISES[0]}.html", ready=False) as view:
        page = view.page
        page.locator("details.lm-fold").first.evaluate("(d) => { d.lastElementChild.id = 'inside'; location.hash = 'inside'; }")
        page.wait_for_function("document.querySelector('details.lm-fold').open")
