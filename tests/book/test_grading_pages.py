"""The class report and the feedback in Chromium: for everyone to use, on every width and on paper, and safe whatever a student
wrote."""

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe

from exercises.grader import report
from tests import graded
from tests.book.pages import Opened, opened

pytestmark = pytest.mark.browser
CHAPTER = "ch02_tokens"
LONG = "W" * 5000
HOSTILE = [
    "<script>document.title = 'run'; fetch('https://example.org/a')</script>",
    "\"><img src='https://example.org/b' onerror=\"document.title = 'run'\">",
    "'><svg onload=\"document.title = 'run'\"><style>body { display: none }</style>",
    "</title></style></script><script>document.title = 'run'</script>",
    "<a href=\"javascript:document.title = 'run'\">click</a><meta http-equiv=refresh content='0;url=https://example.org/c'>",
    "\u202egnirts a\u2066 backwards\u202b",
    LONG,
    "",
    "👩‍💻🏳️‍🌈 e" + "\u0301" * 200,
    "عبد الرحمن الخوارزمي",
    "\x00\x07\x1b[2J\ud800",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A class of two chapters, and one of hostile students."""
    out = tmp_path_factory.mktemp("graded")
    two = graded.about(CHAPTER, "ch03_embeddings", isolation="user", weaker=("The network is not cut.",), banner="Trusted.")
    report.write(out / "class", graded.a_class(14, CHAPTER, "ch03_embeddings"), graded.PROBLEMS, two)
    report.write(out / "hostile", hostile(), [graded.Problem(text, text) for text in HOSTILE], graded.about(CHAPTER))
    return out


def hostile() -> list:
    """A student for each text, who has put it, and those that follow, wherever a student can."""
    records = []
    for i, text in enumerate(HOSTILE):
        (record,) = graded.a_class(1, CHAPTER, seed=i, skill=0.0)
        questions = []
        for k, question in enumerate(record.questions):
            said = HOSTILE[(i + k) % len(HOSTILE)]
            example = None if question.example is None else (*question.example[:3], said)
            questions.append(
                replace(
                    question, status="failed", kind="raises", recognised=False, hint=f"It raises {said}: `{said}`\n{said}",
                    example=example, flags=(said,), notes=(said,),
                )
            )  # fmt: skip
        records.append(
            replace(record, student=text, key=f"s{i}", source=f"{text}/{text}", notes=(text,), questions=tuple(questions))
        )
    return records


def usable(it: Opened) -> None:
    """Axe finds nothing in it."""
    found = Axe().run(it.page).response["violations"]
    assert [(v["id"], [n["html"][:200] for n in v["nodes"]][:5]) for v in found] == []


def sound(it: Opened, width: int) -> None:
    """Nothing is wider than the page, headings go down one step at a time, and nobody was called."""
    assert it.page.evaluate("document.documentElement.scrollWidth") <= width
    wide = """[...document.querySelectorAll('body *')].filter((e) => !e.closest('.scroll, .aloud, bdi'))
      .filter((e) => e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.outerHTML.slice(0, 99))"""
    assert it.page.evaluate(wide) == []
    levels = it.page.evaluate("[...document.querySelectorAll('h1, h2, h3, h4')].map((e) => Number(e.tagName[1]))")
    assert levels[0] == 1
    assert all(below <= above + 1 for above, below in itertools.pairwise(levels))
    it.clean()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1100), ("dark", 360)])
def test_axe_finds_nothing_and_nothing_overflows(folder: Path, scheme: str, width: int) -> None:
    for page in (folder / "class" / "report.html", min((folder / "class" / "feedback").iterdir())):
        with opened(page, width=width, ready=False, color_scheme=scheme) as it:
            it.page.evaluate("document.querySelectorAll('details').forEach((e) => { e.open = true; })")
            usable(it)
            sound(it, width)
            it.page.set_viewport_size({"width": 320, "height": 700})
            sound(it, 320)


def test_nothing_that_a_student_wrote_runs_or_calls_or_breaks_the_page(folder: Path) -> None:
    feedback = folder / "hostile" / "feedback"
    for page in (folder / "hostile" / "report.html", feedback / "s0.html", feedback / "s4.html", feedback / "s8.html"):
        with opened(page, width=360, ready=False) as it:
            title = it.page.title()
            it.page.evaluate("document.querySelectorAll('details').forEach((e) => { e.open = true; })")
            sound(it, 360)
            if page.name in ("report.html", "s0.html"):
                usable(it)
            assert it.page.title() == title != "run"
            assert it.page.locator("img, svg[onload], a[href^='javascript'], iframe").count() == 0
            assert it.page.locator("script").count() == (page.name == "report.html")
            names = "Math.max(0, ...[...document.querySelectorAll('.students tbody th')].map((e) => e.offsetWidth))"
            assert it.page.evaluate(names) < 180  # and points beside them
            outside = "[...document.querySelectorAll('a')].filter((a) => a.protocol !== 'file:').length"
            assert it.page.evaluate(outside) == 0


def test_policy_stops_what_would_get_past_the_escaping(folder: Path, tmp_path: Path) -> None:
    text = (folder / "hostile" / "report.html").read_text("utf-8")
    broken = tmp_path / "report.html"
    broken.write_text(
        text.replace("<main>", f"<main>{''.join(HOSTILE[:3])}<p onclick='document.title = `run`'>click</p>"), "utf-8"
    )
    with opened(broken, ready=False) as it:
        it.page.get_by_text("click", exact=True).first.click()
        it.page.wait_for_timeout(200)
        assert it.page.title() != "run"
        assert it.requests == []
        assert it.page.locator("main").is_visible()
        assert len(it.errors) >= 4
        assert all("Content Security Policy" in error for error in it.errors)


def test_table_sorts_by_a_click_and_by_the_keyboard(folder: Path) -> None:
    with opened(folder / "class" / "report.html", ready=False) as it:
        table = it.page.locator("#students table")
        names = table.locator("tbody th").all_inner_texts()
        points = [float(text) for text in table.locator("tbody td:nth-child(2)").all_inner_texts()]
        button = table.get_by_role("button", name="Points")
        head = table.get_by_role("columnheader", name="Points")
        assert table.get_by_role("columnheader", name="Student").get_attribute("aria-sort") == "ascending"
        button.click()
        assert [float(text) for text in table.locator("tbody td:nth-child(2)").all_inner_texts()] == sorted(points)
        assert head.get_attribute("aria-sort") == "ascending"
        button.press("Enter")
        assert [float(text) for text in table.locator("tbody td:nth-child(2)").all_inner_texts()] == sorted(points)[::-1]
        assert table.locator("[aria-sort]").count() == 1
        table.get_by_role("button", name="Student").press("Space")
        assert table.locator("tbody th").all_inner_texts() == names
        assert "↑" in table.locator("thead th").first.evaluate(
            "e => getComputedStyle(e.querySelector('.arrow'), '::after').content"
        )
        it.clean()


def test_links_lead_to_feedback_and_to_places_on_the_page(folder: Path) -> None:
    with opened(folder / "class" / "report.html", ready=False) as it:
        places = it.page.evaluate(
            "[...document.querySelectorAll('a[href^=\"#\"]')]"
            ".filter((a) => !document.getElementById(decodeURIComponent(a.hash.slice(1)))).length"
        )
        assert places == 0
        ids = it.page.evaluate("[...document.querySelectorAll('[id]')].map((e) => e.id)")
        assert len(ids) == len(set(ids))
        link = it.page.locator("#students tbody th a").first
        name = link.inner_text()
        link.click()
        assert it.page.get_by_role("heading", level=1).inner_text() == name
        it.clean()


def test_without_scripts_everything_can_be_read(folder: Path) -> None:
    with opened(folder / "class" / "report.html", ready=False, java_script_enabled=False) as it:
        assert it.page.get_by_role("button").count() == 0
        it.page.locator("summary").first.click()
        assert it.page.locator("details[open] li").first.is_visible()
        assert it.page.locator("#students tbody tr").count() == 14
        it.clean()


def test_scrolling_table_is_reached_by_the_keyboard_and_keeps_names_and_heads(folder: Path) -> None:
    with opened(folder / "class" / "report.html", width=360, height=700, ready=False) as it:
        table = it.page.get_by_role("region", name="All students")
        table.focus()
        for _ in range(12):
            it.page.keyboard.press("ArrowRight")
            it.page.keyboard.press("ArrowDown")
        it.page.wait_for_function("document.activeElement.scrollLeft > 20 && document.activeElement.scrollTop > 20")
        apart = """e => {  // both at once, as the table may still be moving
          const [box, head] = [e, e.querySelector('thead th')].map((one) => one.getBoundingClientRect());
          return [Math.abs(head.x - box.x), Math.abs(head.y - box.y)];
        }"""
        assert max(table.evaluate(apart)) < 3
        it.clean()


def test_on_paper_everything_is_open_and_nothing_is_cut(folder: Path) -> None:
    with opened(folder / "class" / "report.html", ready=False, color_scheme="dark") as it:
        it.page.emulate_media(media="print", color_scheme="dark")
        it.page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert it.page.locator("details:not([open])").count() == 0
        assert it.page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
        assert it.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        cut = "[...document.querySelectorAll('.scroll')].filter((e) => e.scrollHeight > e.clientHeight + 1).length"
        assert it.page.evaluate(cut) == 0
        it.page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert it.page.locator("details[open]").count() == 0
        it.clean()
