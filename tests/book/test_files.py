"""The files of the built site: links, downloads, contracts, solutions and outputs are what they should be."""

import gzip
import json
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import exercises
from tests.book.contents import CHAPTERS, EXERCISES, PAGES, READING, TOC, anchors, soup
from tests.book.pages import STATE_MIME

pytestmark = pytest.mark.book
every_page = pytest.mark.parametrize("name", PAGES)


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
                if unquote(parts.fragment) not in anchors(site, page):
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
def test_a_page_is_light(site: Path, name: str) -> None:
    assert len(gzip.compress((site / f"{name}.html").read_bytes())) < 1_000_000


def test_large_data_of_figures_lie_beside_the_pages_and_no_others(site: Path) -> None:
    named = set()
    for name in READING:
        for tag in soup(site, name).find_all("script", type=STATE_MIME):
            buffers = [b for record in json.loads(tag.text)["state"].values() for b in record.get("buffers", ())]
            assert all(b["encoding"] == "scripts" or len(b["data"]) < 90_000 for b in buffers), "64 KB, and base64 takes 4/3"
            named |= {((site / name).parent / address).resolve() for b in buffers for address in b.get("scripts", ())}
    there = {path.resolve() for path in (site / "_static" / "figures").glob("*")}
    assert there == named
    assert all(path.stat().st_size < 4_000_000 for path in there)


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
        assert not re.search(r"\d+%\|[ █▉-▏#]|it/s\]|\r", text), text[:200]
        assert "Traceback (most recent call last)" not in text
        assert not output.select(".stderr, .traceback"), text[:200]
    assert "FloatProgressModel" not in str(soup(site, name))


@pytest.mark.parametrize("name", EXERCISES)
def test_an_exercise_page_folds_a_solution_for_each_exercise(site: Path, name: str) -> None:
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
    for suffix in (".md", ".ipynb"):
        text = re.sub(r"\\n|\s+", " ", (site / "_sources" / f"{name}{suffix}").read_text(encoding="utf-8")).replace('\\"', '"')
        for exercise in exercises.bank(name.split("/")[1]):
            body = exercises.solution(exercise.name).strip().splitlines()[-3:]
            assert re.sub(r"\s+", " ", " ".join(body)) not in text
