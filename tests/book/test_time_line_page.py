"""The time line in Chromium: every milestone at its place with its numbers, by mouse, keyboard and touch."""

import calendar
import math
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe

from lmcore.widgets import TimeLine
from lmcore.widgets.time_line import MILESTONES, told
from tests.book.figures import CHANGE, SMALL, WIDE, status
from tests.book.pages import build, opened
from tests.test_time_line import A, B

pytestmark = pytest.mark.browser

MONTHS = [*calendar.month_name[1:]]
NETWORKS = {"encoder-decoder": "encoder and decoder", "encoder": "encoder alone", "decoder": "decoder alone"}
MARKS = """() => [...document.querySelectorAll('.lmw-epoch-mark')].map((g) => {
  const [x, y] = g.getAttribute('transform').match(/[-\\d.]+/g).map(Number);
  return {name: g.dataset.name, x, y, shape: g.querySelector('.lmw-epoch').getAttribute('d')};
})"""
WALK = (
    """async () => {
  const box = document.querySelector('.lmw-time-line'), found = [];
  """
    + CHANGE
    + """
  for (const button of box.querySelectorAll('.lmw-epochs button')) {
    button.click(); await Promise.resolve();
    found.push({text: box.querySelector('.lmw-epoch-card').innerText, status: box.querySelector('[role=status]').textContent,
      facts: Object.fromEntries([...box.querySelectorAll('[data-fact]')].map((f) => [f.dataset.fact, f.textContent])),
      link: box.querySelector('.lmw-epoch-card a')?.href, current: box.querySelector('[aria-current]').textContent,
      ring: box.querySelector('.lmw-chosen').dataset.name});
  }
  return found;
}"""
)


def test_every_card_says_what_was_published(tmp_path: Path) -> None:
    with opened(build(tmp_path, TimeLine())) as it:
        found = it.page.evaluate(WALK)
        it.clean()
    for m, f in zip(MILESTONES, found, strict=True):
        assert f["facts"] == {
            "Paper": f"{MONTHS[m.month - 1]} {m.year}",
            "Network": NETWORKS[m.kind],
            "Parameters": told(m.parameters),
            "Trained on": m.data,
        }
        for part in (m.name, m.brought, m.source):
            assert part in f["text"]
        assert f["link"] == m.url
        assert f["current"] == f["ring"] == m.name
        assert f["status"].startswith(f"{m.name}, {MONTHS[m.month - 1]} {m.year}: {NETWORKS[m.kind]}")


def test_marks_stand_where_the_numbers_say(tmp_path: Path) -> None:
    """Time is linear, parameters are logarithmic, and the numbers at the axes say so."""
    with opened(build(tmp_path, TimeLine())) as it:
        marks = it.page.evaluate(MARKS)
        numbers = "(ts) => ts.map((t) => [t.textContent, [t.x, t.y].map((v) => v.baseVal[0].value)])"
        axis = dict(it.page.locator(".lmw-axes text").evaluate_all(numbers))
        it.clean()
    when = [m.year + (m.month - 0.5) / 12 for m in MILESTONES]
    size = [math.log10(m.parameters) for m in MILESTONES]
    assert [m["name"] for m in marks] == [m.name for m in MILESTONES]
    (left, _), (right, _) = axis["2014"], axis["2022"]
    (_, low), (_, high) = axis["100\u202fM"], axis["100\u202fB"]
    for i, mark in enumerate(marks):
        assert mark["x"] == pytest.approx(left + (when[i] - 2014) / 8 * (right - left), abs=0.01)
        assert mark["y"] + 4 == pytest.approx(low + (size[i] - 8) / 3 * (high - low), abs=0.01), "numbers stand 4 lower"
    shapes = {m.kind: mark["shape"] for m, mark in zip(MILESTONES, marks, strict=True)}
    assert len(set(shapes.values())) == 3, "the form says the kind, not only the colour"
    assert all(mark["shape"] == shapes[m.kind] for m, mark in zip(MILESTONES, marks, strict=True))


def test_by_keyboard_by_mouse_and_by_touch(tmp_path: Path) -> None:
    with opened(build(tmp_path, TimeLine()), height=1200) as it:
        page, box = it.page, it.page.locator(".lmw-time-line")
        page.keyboard.press("Tab")
        for key, name in (("ArrowRight", "Transformer"), ("End", "InstructGPT"), ("ArrowLeft", "GPT-3"), ("Home", "Seq2seq")):
            page.keyboard.press(key)
            assert page.evaluate("document.activeElement.textContent") == name
            assert status(page, "time-line").startswith(f"{name}, ")
        box.locator("[data-name=BERT] .lmw-epoch").click()
        assert box.locator("[aria-current]").inner_text() == "BERT"
        it.clean()
    with opened(build(tmp_path, TimeLine()), width=390, has_touch=True, is_mobile=True) as it:
        it.page.get_by_role("button", name="GPT-2, 2019").tap()
        assert "GPT-2, February 2019" in status(it.page, "time-line")
        assert it.page.evaluate(SMALL) == []
        it.clean()


def test_a_change_made_elsewhere_is_followed(tmp_path: Path) -> None:
    widget = TimeLine(chosen=3)
    with opened(build(tmp_path, widget, TimeLine([A, B]), widget), height=4000) as it:
        boxes = it.page.locator(".lmw-time-line")
        boxes.nth(2).get_by_role("button", name="GPT-3").click()
        for i, name in enumerate(("GPT-3", "B", "GPT-3")):
            assert boxes.nth(i).locator("[aria-current]").inner_text() == name
        assert boxes.nth(1).locator("[data-fact=Parameters]").inner_text() == "2.5 trillion"
        assert boxes.nth(1).locator(".lmw-note a").get_attribute("href") == "https://example.org/b"
        boxes.nth(1).get_by_role("button", name="A, 2001").click()
        assert boxes.nth(1).locator(".lmw-note a").count() == 0
        assert asdict(A)["source"] in boxes.nth(1).locator(".lmw-note").inner_text()
        it.clean()


OVERLAPS = """() => {
  const boxes = [...document.querySelectorAll('.lmw-labels text')].map((t) => [t.textContent, t.getBoundingClientRect()]);
  return boxes.flatMap(([a, p], i) => boxes.slice(i + 1).filter(([, q]) => p.left < q.right - 1 && q.left < p.right - 1
    && p.top < q.bottom - 4 && q.top < p.bottom - 4).map(([b]) => [a, b])); }"""


@pytest.mark.parametrize(("theme", "width"), [("light", 900), ("dark", 900), ("light", 360), ("dark", 310)])
def test_axe_finds_nothing_and_nothing_overflows(tmp_path: Path, theme: str, width: int) -> None:
    near = [*MILESTONES, replace(A, name="A model with a long name", year=2018, parameters=120_000_000)]
    with opened(build(tmp_path, TimeLine(near), theme=theme), width=width, has_touch=width < 400) as it:
        found = Axe().run(it.page).response["violations"]
        assert [(v["id"], [n["html"][:200] for n in v["nodes"]]) for v in found] == []
        assert it.page.evaluate("document.documentElement.scrollWidth") <= width
        assert it.page.evaluate(WIDE) == []
        for i in range(len(near)):
            it.page.locator(".lmw-epochs button").nth(i).click()
            assert it.page.evaluate(OVERLAPS) == []
            name = it.page.locator(".lmw-epochs [aria-current]").inner_text()
            assert name in it.page.locator(".lmw-labels text").all_text_contents(), "the chosen one is named in the picture"
        it.clean()


def test_prints_in_ink(tmp_path: Path) -> None:
    with opened(build(tmp_path, TimeLine(), theme="dark")) as it:
        it.page.emulate_media(media="print")
        box = it.page.locator(".lmw-time-line")
        style = box.evaluate("e => [getComputedStyle(e).backgroundColor, getComputedStyle(e).color]")
        assert style == ["rgb(255, 255, 255)", "rgb(0, 0, 0)"]
        it.clean()
