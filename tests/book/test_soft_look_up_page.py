"""The soft look-up in Chromium: at every query and temperature the page answers as lmcore does."""

import itertools
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator

from lmcore.widgets import SoftLookUp
from tests.book.figures import CHANGE, SMALL, WIDE, status
from tests.book.pages import build, opened
from tests.test_soft_look_up import LABELS, VALUES, figure

pytestmark = pytest.mark.browser

WALK = (
    """async (points) => {
  const box = document.querySelector('.lmw-look-up'), found = [], all = (selector) => [...box.querySelectorAll(selector)];
  const inputs = box.querySelectorAll('[type=range]');
  """
    + CHANGE
    + """
  for (const point of points) {
    for (let i = 0; i < 3; i++) { inputs[i].value = point[i]; await change(inputs[i], 'input'); }
    found.push({query: [+inputs[0].value, +inputs[1].value], heat: inputs[2].getAttribute('aria-valuetext'),
      sets: all('.lmw-set').map((s) => s.textContent),
      scores: all('tr[data-score]').map((r) => +r.dataset.score), weights: all('tr[data-weight]').map((r) => +r.dataset.weight),
      winners: all('.lmw-scores .lmw-came th').map((r) => r.textContent),
      discs: all('.lmw-share-disc[data-weight]').map((d) => +d.getAttribute('r')),
      answer: box.querySelector('.lmw-answer').dataset.answer, pulls: all('.lmw-pull').length,
      facts: Object.fromEntries(all('[data-fact]').map((f) => [f.dataset.fact, f.dataset.value])),
      knob: box.querySelector('.lmw-grab').getAttribute('transform'), status: box.querySelector('[role=status]').textContent});
  }
  return found;
}"""
)


def heat(place: int) -> float:
    """The temperature at a place of the slider."""
    return 0.0 if place == 0 else float(f"{10 ** (-2 + (place - 1) / 20):.2g}")


def numbers(text: str) -> list[float]:
    return [float(part) for part in text.split(",")]


@pytest.mark.parametrize("width", [1, 2])
def test_page_answers_as_the_package_does(tmp_path: Path, width: int) -> None:
    values = [row[:width] for row in VALUES]
    widget = figure(values=values)
    points = [
        [*q, h]
        for q, h in itertools.product(itertools.product((-1.3, -0.47, 0, 0.5, 1.3), (-0.91, 0, 0.5)), (0, 1, 20, 41, 61))
    ]
    with opened(build(tmp_path, figure(values=values))) as it:
        found = it.page.evaluate(WALK, points)
        it.clean()
    ties = 0
    for (x, y, place), f in zip(points, found, strict=True):
        widget.query, widget.temperature = [float(x), float(y)], heat(place)
        answer, weights = widget.answer()
        scores = torch.tensor(widget.key_vectors, dtype=torch.float64) @ torch.tensor([x, y], dtype=torch.float64)
        assert f["query"] == [x, y]
        assert f["scores"] == pytest.approx(scores.tolist(), abs=1e-14)
        assert f["weights"] == pytest.approx(weights.tolist(), rel=1e-11, abs=1e-300)
        assert numbers(f["answer"]) == pytest.approx(answer.tolist(), rel=1e-11, abs=1e-12)
        assert numbers(f["facts"]["answer"]) == numbers(f["answer"])
        best = [label for label, s in zip(LABELS, scores, strict=True) if s == scores.max()]
        ties += len(best) > 1
        assert f["winners"] == best
        sure = torch.tensor([values[LABELS.index(label)] for label in best], dtype=torch.float64).mean(0)
        assert numbers(f["facts"]["hard"]) == pytest.approx(sure.tolist(), abs=1e-12)
        seen = weights[weights > 0]
        assert float(f["facts"]["breadth"]) == pytest.approx(math.exp(-float((seen * seen.log()).sum())), rel=1e-9)
        assert [r**2 / 17**2 for r in f["discs"]] == pytest.approx(weights.tolist(), abs=1e-9), "the area is the weight"
        assert f["pulls"] == 5
        assert f["heat"] == ("0, hard" if place == 0 else f"{heat(place):g}")
        assert f["sets"][2] == f"= {f['heat']}"
        assert all(f"“{label}”" in f["status"] for label in best)
        assert ("equally well" in f["status"]) == (len(best) > 1)
    assert ties >= 10, "equally good keys must be among the points"


def fact(box: Locator, name: str) -> list[float]:
    return numbers(box.locator(f"[data-fact={name}]").get_attribute("data-value") or "nan")


def shown_query(box: Locator) -> list[float]:
    return [float(box.get_by_label(f"Query, number {i}").input_value()) for i in (1, 2)]


def test_query_can_be_dragged_and_stays_inside(tmp_path: Path) -> None:
    widget = figure(query=(0.5, 0.5))
    with opened(build(tmp_path, figure(query=(0.5, 0.5)))) as it:
        page, box = it.page, it.page.locator(".lmw-look-up")
        knob, sheet = box.locator(".lmw-knob").bounding_box(), box.locator(".lmw-sheet").bounding_box()
        assert knob
        assert sheet
        middle = sheet["x"] + sheet["width"] / 2, sheet["y"] + sheet["height"] / 2
        unit = sheet["width"] / 2 / widget.reach
        assert knob["x"] + knob["width"] / 2 == pytest.approx(middle[0] + 0.5 * unit, abs=1)
        page.mouse.move(knob["x"] + knob["width"] / 2, knob["y"] + knob["height"] / 2)
        page.mouse.down()
        for x, y in ((0.9, -0.4), (-1.0, 0.8), (5, -5)):
            page.mouse.move(middle[0] + x * unit, middle[1] - y * unit)
            expected = [max(-1.3, min(1.3, v)) for v in (x, y)]
            assert shown_query(box) == pytest.approx(expected, abs=0.011)
            widget.query = shown_query(box)
            assert fact(box, "answer") == pytest.approx(widget.answer()[0].tolist(), rel=1e-10)
        page.mouse.up()
        page.mouse.move(*middle)
        assert shown_query(box) == [1.3, -1.3]
        page.mouse.click(middle[0] - 0.5 * unit, middle[1] - 0.25 * unit)
        assert shown_query(box) == pytest.approx([-0.5, 0.25], abs=0.011)
        it.clean()


def test_by_keyboard_alone(tmp_path: Path) -> None:
    with opened(build(tmp_path, figure(query=(0.5, 0.5)))) as it:
        page, box = it.page, it.page.locator(".lmw-look-up")
        active = "(document.activeElement.labels?.[0] ?? document.activeElement).textContent"
        for text in ("Put the query on", "Hard look-up", "▶ Cool down", "Query, number 1", "Query, number 2", "Temperature"):
            page.keyboard.press("Tab")
            assert page.evaluate(active).startswith(text)
        page.keyboard.press("Home")
        assert "temperature 0, hard" in status(page, "look-up").lower()
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.getAttribute('aria-label')").startswith("Query at (0.5; 0.5) among 5 keys")
        for key, expected in (
            ("ArrowRight", [0.55, 0.5]),
            ("ArrowDown", [0.55, 0.45]),
            ("Shift+ArrowLeft", [0.05, 0.45]),
            ("Shift+ArrowUp", [0.05, 0.95]),
        ):
            page.keyboard.press(key)
            assert shown_query(box) == pytest.approx(expected)
        assert fact(box, "answer") == VALUES[1]
        page.keyboard.press("Shift+ArrowUp")
        assert shown_query(box) == [0.05, 1.3]
        it.clean()


def test_a_key_can_be_asked_for(tmp_path: Path) -> None:
    with opened(build(tmp_path, figure(temperature=0.0))) as it:
        box = it.page.locator(".lmw-look-up")
        pick = box.get_by_label("Put the query on")
        for i, label in enumerate(LABELS):
            pick.select_option(label=label)
            assert shown_query(box) == figure().key_vectors[i]
            assert fact(box, "answer") == VALUES[i]
        pick.select_option(label="the middle (0; 0)")
        mean = torch.tensor(VALUES, dtype=torch.float64).mean(0).tolist()
        assert fact(box, "answer") == pytest.approx(mean)
        assert fact(box, "breadth")[0] == pytest.approx(5)
        it.clean()


def test_cooling_down_ends_in_the_hard_look_up(tmp_path: Path) -> None:
    with opened(build(tmp_path, figure(query=(0.6, 0.5), temperature=1.0))) as it:
        page, box = it.page, it.page.locator(".lmw-look-up")
        page.clock.install()
        box.get_by_role("button", name="Cool down").click()
        page.clock.run_for(600)
        box.get_by_role("button", name="Pause").click()
        middle = fact(box, "breadth")[0]
        page.clock.run_for(9000)
        assert fact(box, "breadth")[0] == middle
        box.get_by_role("button", name="Cool down").click()
        page.clock.run_for(9000)
        assert fact(box, "answer") == fact(box, "hard") == VALUES[0]
        assert box.get_by_role("button", name="Hard look-up").is_disabled()
        box.get_by_role("button", name="Cool down").click()  # again, from the top
        assert fact(box, "breadth")[0] > 4.5
        box.get_by_label("Temperature").fill("41")  # the reader takes over
        page.clock.run_for(9000)
        assert box.get_by_label("Temperature").get_attribute("aria-valuetext") == "1"
        it.clean()


def test_by_touch(tmp_path: Path) -> None:
    with opened(build(tmp_path, figure(query=(0.5, 0.5))), width=390, height=1500, has_touch=True, is_mobile=True) as it:
        box = it.page.locator(".lmw-look-up")
        sheet = box.locator(".lmw-sheet").bounding_box()
        assert sheet
        it.page.touchscreen.tap(sheet["x"] + sheet["width"] * 0.25, sheet["y"] + sheet["height"] * 0.75)
        assert shown_query(box) == pytest.approx([-0.65, -0.65], abs=0.02)
        assert box.locator(".lmw-grab").evaluate("e => getComputedStyle(e).touchAction") == "none"
        assert it.page.evaluate(SMALL) == []
        it.clean()


def test_a_change_made_elsewhere_is_followed(tmp_path: Path) -> None:
    widget = figure()
    with opened(build(tmp_path, widget, figure(), widget), height=4000) as it:
        boxes = it.page.locator(".lmw-look-up")
        boxes.nth(2).get_by_label("Put the query on").select_option(label="size")
        boxes.nth(2).get_by_role("button", name="Hard look-up").click()
        assert [fact(boxes.nth(i), "answer") == VALUES[2] for i in range(3)] == [True, False, True]
        it.clean()


def many(**kwargs: Any) -> SoftLookUp:
    """Twelve keys, long names, long numbers."""
    angles = [2 * math.pi * i / 12 for i in range(12)]
    keys = [[0.3 * math.cos(a), 0.3 * math.sin(a)] for a in angles]
    return SoftLookUp(
        keys, [[1e3 * i, -i / 1e3] for i in range(12)], [f"Donaudampfschiff {i}" for i in range(12)], temperature=0.01, **kwargs
    )


@pytest.mark.parametrize(("theme", "width"), [("light", 900), ("dark", 900), ("light", 360), ("dark", 310)])
def test_axe_finds_nothing_and_nothing_overflows(tmp_path: Path, theme: str, width: int) -> None:
    widget = {"light900": figure, "dark900": lambda: figure(values=[1, 2, 3, 4, 5])}.get(f"{theme}{width}", many)()
    with opened(build(tmp_path, widget, theme=theme), width=width, has_touch=width < 400) as it:
        found = Axe().run(it.page).response["violations"]
        assert [(v["id"], [n["html"][:200] for n in v["nodes"]]) for v in found] == []
        assert it.page.evaluate("document.documentElement.scrollWidth") <= width
        assert it.page.evaluate(WIDE) == []
        texts = """[...document.querySelectorAll('.lmw svg text')].filter((e) => {
            const r = e.getBoundingClientRect(), b = e.closest('.lmw').getBoundingClientRect();
            return r.left < b.left || r.right > b.right; }).map((e) => e.textContent)"""
        assert it.page.evaluate(texts) == []
        it.clean()


def test_answer_differs_without_colour_and_prints_in_ink(tmp_path: Path) -> None:
    with opened(build(tmp_path, figure(), theme="dark")) as it:
        box = it.page.locator(".lmw-look-up")
        style = "(e, what) => getComputedStyle(e)[what]"
        assert box.locator(".lmw-sure").evaluate(style, "fill") == "none"
        assert box.locator(".lmw-answer").evaluate(style, "fill") != "none"
        assert box.locator(".lmw-answer").get_attribute("d") != box.locator(".lmw-key-ring").first.get_attribute("d")
        it.page.emulate_media(media="print")
        assert [box.evaluate(style, what) for what in ("backgroundColor", "color")] == ["rgb(255, 255, 255)", "rgb(0, 0, 0)"]
        assert not box.get_by_role("button", name="Cool down").is_visible()
        assert box.locator(".lmw-answer").is_visible()
        it.clean()
