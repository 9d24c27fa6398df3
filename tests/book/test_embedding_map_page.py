"""The embedding map in Chromium: neighbours and analogies of every word are lmcore's; the map moves as it should."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.book.figures import CHANGE, embedding_map, status
from tests.book.pages import build, opened

pytestmark = pytest.mark.browser

NUMBERS = "getAttribute('transform').match(/-?[\\d.]+/g).map(Number)"
MARKS = f"() => [...document.querySelectorAll('.lmw-point')].map((p) => p.{NUMBERS})"  # where they stand, in pixels
ENDS = """() => ['given', 'asked'].flatMap((kind) => [1, 2].map((end) =>
  ['x', 'y'].map((axis) => +document.querySelector(`.lmw-line-${kind}`).getAttribute(axis + end))))"""

WALK = (
    """async ([words, triples]) => {
  const box = document.querySelector('.lmw-map'), [near, ask] = box.querySelectorAll('[type=radio]');
  const [word, a, b, c] = box.querySelectorAll('input[list]'), exclude = box.querySelector('[type=checkbox]');
  """
    + CHANGE
    + """
  const rows = () => [...box.querySelectorAll('tbody tr')].map((r) => [r.dataset.word, +r.dataset.cosine]);
  const lines = () => box.querySelectorAll('.lmw-line-near').length, found = {near: [], ask: []};
  near.checked = true; await change(near, 'change');
  for (const w of words) { word.value = w; await change(word, 'change'); found.near.push({rows: rows(), lines: lines()}); }
  ask.checked = true; await change(ask, 'change');
  for (const [x, y, z, without] of triples) {
    for (const [input, value] of [[a, x], [b, y], [c, z]]) {
      input.value = value; await change(input, 'change');
    }
    exclude.checked = without; await change(exclude, 'change');
    const at = (name) => ['x1', 'y1', 'x2', 'y2'].map((k) => +box.querySelector(`.lmw-line-${name}`).getAttribute(k));
    found.ask.push({rows: rows(), given: at('given'), asked: at('asked')});
  }
  return found;
}"""
)


def same_ranking(shown: list[list[Any]], exact: list[tuple[str, float]]) -> bool:
    return [row[0] for row in shown] == [word for word, _ in exact] and np.allclose(
        [row[1] for row in shown], [cosine for _, cosine in exact], rtol=0, atol=3e-7
    )


def test_neighbours_and_analogies_equal_lmcores(tmp_path: Path) -> None:
    widget, vectors = embedding_map()
    rng = random.Random(5)
    triples = [(*rng.sample(widget.words, 3), rng.random() < 0.5) for _ in range(150)]
    triples += [("Paris", "France", "Italy", True), ("Paris", "France", "Italy", False), ("Paris", "Paris", "Rome", True)]
    with opened(build(tmp_path, widget)) as it:
        found = it.page.evaluate(WALK, [widget.words, triples])
        it.clean()
    for word, f in zip(widget.words, found["near"], strict=True):
        assert same_ranking(f["rows"], vectors.neighbours(word, widget.k)), word
        assert f["lines"] == widget.k
    for (a, b, c, without), f in zip(triples, found["ask"], strict=True):
        assert same_ranking(f["rows"], vectors.analogy(a, b, c, widget.k, exclude=without)), (a, b, c, without)
        given, asked = np.array(f["given"]).reshape(2, 2), np.array(f["asked"]).reshape(2, 2)
        assert np.allclose(given[1] - given[0], asked[1] - asked[0], atol=1e-3), "the two arrows are one step"
    answers = [f["rows"][0][0] for f in found["ask"][-3:]]
    assert answers[0] == "Rome"


def test_marks_stand_where_the_projection_puts_them_at_every_zoom(tmp_path: Path) -> None:
    widget, _ = embedding_map()
    places = np.frombuffer(widget.places, "<f4").reshape(-1, 2)
    with opened(build(tmp_path, widget)) as it:
        plane = it.page.locator(".lmw-plane")

        def scale() -> float:
            pixels = np.array(it.page.evaluate(MARKS))
            x, y = (np.polyfit(places[:, d], pixels[:, d], 1) for d in (0, 1))
            assert np.allclose(np.polyval(x, places[:, 0]), pixels[:, 0], atol=0.12)
            assert np.allclose(np.polyval(y, places[:, 1]), pixels[:, 1], atol=0.12)
            assert x[0] == pytest.approx(-y[0], rel=1e-3), "one scale for both axes"
            return float(x[0])

        whole = scale()
        it.page.get_by_role("button", name="Zoom in").click()
        assert scale() == pytest.approx(1.4 * whole, rel=1e-3)
        plane.focus()
        it.page.keyboard.press("+")
        assert scale() == pytest.approx(1.4**2 * whole, rel=1e-3)
        before = it.page.evaluate(MARKS)[0]
        it.page.keyboard.press("ArrowRight")
        assert it.page.evaluate(MARKS)[0] == pytest.approx([before[0] - 40, before[1]], abs=0.11)
        it.page.keyboard.press("0")
        assert scale() == pytest.approx(whole, rel=1e-3)
        box = plane.bounding_box()
        assert box
        it.page.mouse.move(box["x"] + 200, box["y"] + 200)
        it.page.mouse.wheel(0, -300)  # the map has the focus
        assert scale() > 2 * whole
        x0, y0 = it.page.evaluate(MARKS)[0]
        it.page.mouse.down()
        it.page.mouse.move(box["x"] + 230, box["y"] + 180, steps=4)
        it.page.mouse.up()
        assert it.page.evaluate(MARKS)[0] == pytest.approx([x0 + 30, y0 - 20], abs=0.11)
        it.page.get_by_role("button", name="Show all").click()
        it.page.get_by_label("Word", exact=True).focus()
        it.page.mouse.move(box["x"] + 200, box["y"] + 200)
        it.page.mouse.wheel(0, -300)  # it has not: the page may scroll, the map stays
        assert scale() == pytest.approx(whole, rel=1e-3)
        it.page.get_by_role("button", name="Zoom to these words").click()
        assert scale() > whole
        it.clean()


def test_an_analogy_turns_the_map_to_its_plane(tmp_path: Path) -> None:
    widget, vectors = embedding_map()
    with opened(build(tmp_path, widget)) as it:
        it.page.get_by_label("Analogy").check()
        a, b, c = (vectors[word] for word in widget.analogy)
        x = (a - b) / np.linalg.norm(a - b)
        y = (c - b) - (c - b) @ x * x
        places = vectors.unit @ np.stack([x, y / np.linalg.norm(y)], axis=1)
        marks = np.array(it.page.evaluate(MARKS))
        for d in (0, 1):
            line = np.polyfit(places[:, d], marks[:, d], 1)
            assert np.allclose(np.polyval(line, places[:, d]), marks[:, d], atol=0.12)
            assert (line[0] > 0) == (d == 0)
        corners = np.array(it.page.evaluate(ENDS))
        assert corners[1, 1] == pytest.approx(corners[0, 1], abs=0.1), "the full arrow lies flat"
        assert np.allclose(corners[:2], marks[[widget.words.index("France"), widget.words.index("Paris")]], atol=0.12)
        it.page.get_by_label("take away").fill("Paris")  # a − a + c: three words in a line span no plane
        it.page.keyboard.press("Enter")
        assert "flat map keeps" in it.page.locator(".lmw-map .lmw-note").last.inner_text()
        it.clean()


def test_two_fingers_zoom_and_the_end_of_an_arrow_is_always_in_view(tmp_path: Path) -> None:
    widget, _ = embedding_map()
    with opened(build(tmp_path, widget), has_touch=True) as it:
        box = it.page.locator(".lmw-plane").bounding_box()
        assert box
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        session = it.page.context.new_cdp_session(it.page)

        def fingers(kind: str, *apart: float) -> None:
            points = [{"x": x + sign * d, "y": y, "id": sign + 1} for d in apart for sign in (-1, 1)]
            session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

        def across() -> float:
            marks = np.array(it.page.evaluate(MARKS))
            return float(np.linalg.norm(marks[0] - marks[-1]))

        before = across()
        fingers("touchStart", 40)
        for d in (50, 60, 70, 80):
            fingers("touchMove", d)
        fingers("touchEnd")
        assert across() == pytest.approx(2 * before, rel=0.02)
        it.page.get_by_label("Analogy").check()
        for a, b, c in [("word1", "word2", "word3"), ("Oslo", "France", "Rome"), ("word5", "Italy", "word20")]:
            for label, word in zip(("Start with", "take away", "add"), (a, b, c), strict=True):
                it.page.get_by_label(label, exact=True).fill(word)
                it.page.keyboard.press("Enter")
            cross = it.page.locator(".lmw-target").bounding_box()
            assert cross
            assert box["x"] - 8 <= cross["x"] <= box["x"] + box["width"]
            assert box["y"] - 8 <= cross["y"] <= box["y"] + box["height"]
            ends = it.page.evaluate(ENDS)
            spans = [max(side) - min(side) for side in zip(*ends, strict=True)]
            assert max(spans[0] / (box["width"] - 136), spans[1] / (box["height"] - 136)) > 0.5, "the arrows fill the map"
        it.page.get_by_label("Neighbours of a word").check()
        assert across() == pytest.approx(before, rel=1e-3), "and the whole map comes back"
        it.clean()


def test_map_answers_clicks_names_and_strangers(tmp_path: Path) -> None:
    widget, vectors = embedding_map()
    with opened(build(tmp_path, widget)) as it:
        page, box = it.page, it.page.locator(".lmw-map").first
        box.locator(f".lmw-point[data-index='{widget.words.index('Oslo')}']").click(force=True)  # marks may lie on it
        assert box.get_by_label("Word", exact=True).input_value() == "Oslo"
        nearest = vectors.neighbours("Oslo", 1)[0][0]
        assert f"nearest neighbours of “Oslo” are “{nearest}”" in status(page, "map")
        box.get_by_label("Word", exact=True).fill("Pariis")
        page.keyboard.press("Enter")
        assert "“Pariis” is not among the 43 words" in box.get_by_role("alert").inner_text()
        assert "Paris" in box.get_by_role("alert").inner_text()
        assert "Oslo" in status(page, "map")
        box.locator("tbody button").first.click()
        assert box.get_by_label("Word", exact=True).input_value() == nearest
        assert box.locator(".lmw-warning").inner_text() == ""
        it.clean()
