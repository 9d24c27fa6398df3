"""Every page of the built site: offline, silent, readable by everyone, on every screen, with all its parts in place."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from axe_playwright_python.sync_playwright import Axe
from bs4 import BeautifulSoup

from tests.book.conftest import ROOT
from tests.book.pages import Opened, opened

pytestmark = pytest.mark.book


def in_order(entries: list[dict[str, Any]]) -> Iterator[str]:
    """The pages of a table of contents in reading order."""
    for entry in entries:
        yield entry["file"].removeprefix("./")
        yield from in_order(entry.get("sections", []))


TOC = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
READING = [TOC["root"], *(page for part in TOC["parts"] for page in in_order(part["chapters"]))]
PAGES = [*READING, "index", "search", "genindex"]
CHAPTERS = [page for page in READING if re.fullmatch(r"chapters/\d\d_\w+", page)]
EXERCISES = [page for page in READING if page.endswith("/exercises")]
every_page = pytest.mark.parametrize("name", PAGES)
browser = pytest.mark.browser


def soup(site: Path, name: str) -> BeautifulSoup:
    return BeautifulSoup((site / f"{name}.html").read_text(encoding="utf-8"), "html.parser")


def settle(view: Opened) -> None:
    """Wait until the page has done what it does on its own: scripts, figures, formulas."""
    page = view.page
    page.wait_for_load_state("load")
    page.wait_for_function(
        "!document.querySelector('script[src$=\"host.js\"]') || document.documentElement.dataset.lmWidgets === 'ready'"
    )
    page.wait_for_function("!document.querySelector('.math') || document.querySelector('mjx-container')")
    page.evaluate("() => window.MathJax?.startup?.promise")


# ---- in the browser ----


@browser
@every_page
@pytest.mark.parametrize("scheme", ["file", "http"])
def test_page_needs_no_other_host_and_reports_no_error(site: Path, served: str, name: str, scheme: str) -> None:
    address = (site / f"{name}.html").as_uri() if scheme == "file" else f"{served}/{name}.html"
    with opened(address, ready=False) as view:
        settle(view)
        view.clean()
        assert view.page.locator("body").inner_text().strip()


@browser
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


@browser
@every_page
def test_page_fits_a_phone(site: Path, name: str) -> None:
    with opened(site / f"{name}.html", width=360, height=740, ready=False) as view:
        settle(view)
        view.page.evaluate("document.querySelectorAll('details').forEach((d) => (d.open = true))")
        assert view.page.evaluate("document.documentElement.scrollWidth") <= 360, view.page.evaluate(TOO_WIDE)


TOO_WIDE = """() => [...document.querySelectorAll('body *')].filter((e) => {
  if (e.getBoundingClientRect().right <= innerWidth + 1) return false;
  for (let a = e.parentElement; a && a !== document.body; a = a.parentElement)
    if (getComputedStyle(a).overflowX !== 'visible') return false;
  return true;
}).slice(0, 5).map((e) => e.outerHTML.slice(0, 120))"""


@browser
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


@browser
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
        assert "perplexity" in view.page.locator("main").inner_text().lower()
        view.clean()


@browser
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


@browser
@pytest.mark.parametrize("name", CHAPTERS)
def test_a_figure_stands_on_light_ground_in_dark_mode(site: Path, name: str) -> None:
    """matplotlib draws black axes: on a dark page they need a light card, and no filter that changes their colours."""
    with opened(site / f"{name}.html", width=1280, ready=False, color_scheme="dark") as view:
        settle(view)
        styles = view.page.evaluate(
            "[...document.querySelectorAll('.cell_output img')].map(getComputedStyle).map((s) => [s.backgroundColor, s.filter])"
        )
        assert all(style == ["rgb(255, 255, 255)", "none"] for style in styles)


@browser
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


@browser
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


@browser
def test_a_link_into_a_fold_opens_it(site: Path) -> None:
    with opened(site / f"{EXERCISES[0]}.html", ready=False) as view:
        page = view.page
        page.locator("details.lm-fold").first.evaluate("(d) => { d.lastElementChild.id = 'inside'; location.hash = 'inside'; }")
        page.wait_for_function("document.querySelector('details.lm-fold').open")


# ---- in the files ----


def test_every_page_of_the_table_of_contents_is_there_and_no_other(site: Path) -> None:
    built = {path.relative_to(site).with_suffix("").as_posix() for path in site.rglob("*.html") if "_static" not in path.parts}
    assert built == set(PAGES)


@every_page
def test_internal_links_lead_somewhere(site: Path, name: str) -> None:
    here = site / f"{name}.html"
    missing = []
    for tag, attribute in (("a", "href"), ("img", "src"), ("script", "src"), ("link", "href")):
        for element in soup(site, name).find_all(tag, **{attribute: True}):
            parts = urlsplit(element[attribute])
            if parts.scheme in ("http", "https", "mailto", "data"):
                continue
            target = (here.parent / unquote(parts.path)).resolve() if parts.path else here
            if not target.is_file():
                missing.append(element[attribute])
            elif parts.fragment and target.suffix == ".html":
                page = target.relative_to(site.resolve()).with_suffix("").as_posix() if parts.path else name
                if not soup(site, page).find(id=unquote(parts.fragment)) and not soup(site, page).find(
                    attrs={"name": parts.fragment}
                ):
                    missing.append(element[attribute])
    assert missing == []


@every_page
def test_nothing_is_loaded_from_another_host(site: Path, name: str) -> None:
    page = soup(site, name)
    sources = [e["src"] for e in page.find_all(["script", "img", "iframe", "source", "video", "audio"], src=True)]
    sources += [e["href"] for e in page.find_all("link", href=True)]
    assert [s for s in sources if re.match(r"(https?:)?//", s)] == []
    assert not [s for s in page.find_all("script") if "THEBE" in s.text or "unpkg" in s.text or "jsdelivr" in s.text]


@every_page
def test_pictures_have_a_sentence_for_those_who_cannot_see_them(site: Path, name: str) -> None:
    for image in soup(site, name).select("article img"):
        words = image.get("alt", "").split()
        assert len(words) >= 3, f"{image.get('src')}: alt={image.get('alt')!r}"


@pytest.mark.parametrize("name", READING)
def test_pages_follow_each_other_in_the_order_of_the_contents(site: Path, name: str) -> None:
    page, place = soup(site, name), READING.index(name)
    for link, neighbour in (("a.left-prev", place - 1), ("a.right-next", place + 1)):
        found = page.select_one(link)
        if not 0 <= neighbour < len(READING):
            assert found is None
        else:
            assert found is not None
            assert ((site / name).parent / unquote(found["href"])).resolve() == (site / f"{READING[neighbour]}.html").resolve()


@pytest.mark.parametrize("name", READING)
def test_the_sidebar_shows_the_parts(site: Path, name: str) -> None:
    captions = [c.get_text(strip=True) for c in soup(site, name).select("nav.bd-links p.caption")]
    assert captions == [part["caption"] for part in TOC["parts"]]


@pytest.mark.parametrize("name", READING)
def test_a_page_can_be_downloaded(site: Path, name: str) -> None:
    links = [a["href"] for a in soup(site, name).select(".dropdown-download-buttons a[download]")]
    suffixes = {Path(urlsplit(link).path).suffix for link in links}
    assert suffixes == ({".md", ".ipynb"} if name in [*CHAPTERS, *EXERCISES] else suffixes | {".md"})
    assert all(((site / name).parent / unquote(link)).is_file() for link in links)


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_opens_with_its_contract(site: Path, name: str) -> None:
    page = soup(site, name)
    contract = page.select_one("article div.admonition.contract")
    assert contract is not None
    before = [h.get_text() for h in contract.find_all_previous(["h2", "h3"]) if h.find_parent("article")]
    assert before == [], "the contract stands before the first section"
    rows = {
        dt.get_text(strip=True).rstrip(":"): dd.get_text(" ", strip=True)
        for dt, dd in zip(contract.select("dl.measured > dt"), contract.select("dl.measured > dd"), strict=True)
    }
    assert list(rows) == ["Time on a CPU", "Peak memory", "Time on a GPU"]
    assert re.search(r"\d[\d,.]* MB", rows["Peak memory"])
    for label in ("Time on a CPU", "Time on a GPU"):
        measured = re.match(r"(about a second|\d+ seconds|[\d.]+ minutes)", rows[label])
        assert measured or "python -m lmcore.ledger record" in rows[label]


@pytest.mark.parametrize("name", CHAPTERS)
def test_outputs_hold_no_progress_bars_warnings_or_errors(site: Path, name: str) -> None:
    for output in soup(site, name).select(".cell_output"):
        text = output.get_text()
        assert not re.search(r"\d+%\|[ █▏-▉#]|it/s\]|\r", text), text[:200]
        assert "Traceback (most recent call last)" not in text
        assert not output.select(".stderr, .traceback"), text[:200]
    assert "FloatProgressModel" not in str(soup(site, name))


@pytest.mark.parametrize("name", EXERCISES)
def test_an_exercise_page_folds_a_solution_for_each_exercise(site: Path, name: str) -> None:
    import exercises

    page = soup(site, name)
    bank = exercises.bank(name.split("/")[1])
    folds = {fold.summary.get_text(): fold for fold in page.select("details.lm-fold")}
    assert list(folds) == [f"Solution: {exercise.name}" for exercise in bank]
    for exercise in bank:
        fold = folds[f"Solution: {exercise.name}"]
        assert not fold.has_attr("open")
        assert fold.pre.get_text().strip() == exercises.solution(exercise.name).strip()
        assert exercise.facts.strip("*") in [p.get_text() for p in page.select("p.lm-effort")]


@pytest.mark.parametrize("name", EXERCISES)
def test_what_a_student_downloads_holds_no_solution(site: Path, name: str) -> None:
    import exercises

    for suffix in (".md", ".ipynb"):
        text = re.sub(r"\\n|\s+", " ", (site / "_sources" / f"{name}{suffix}").read_text(encoding="utf-8")).replace('\\"', '"')
        for exercise in exercises.bank(name.split("/")[1]):
            body = exercises.solution(exercise.name).strip().splitlines()[-3:]
            assert re.sub(r"\s+", " ", " ".join(body)) not in text
