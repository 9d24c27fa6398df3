"""The position viewer in Chromium: at every setting its vectors, hands and products are those of lmcore.positions."""

import functools
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator
from torch import Tensor

from lmcore.positions import frequencies, rotate, sinusoidal
from lmcore.widgets import PositionViewer
from lmcore.widgets.base import join
from tests.book.figures import CHANGE, status
from tests.book.pages import build, opened

pytestmark = pytest.mark.browser

LENGTH, DIM = 11, 6
BASES = [2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000]
LABELS = {"sinusoidal": "Sinusoidal, added", "rotary": "Rotary, turned", "learned": "Learned, added"}
WALK = (
    """async (points) => {
  const box = document.querySelector('.lmw-positions'), found = [], all = (selector) => [...box.querySelectorAll(selector)];
  const [base, pair, position, other] = all('[type=range]'), numbers = (e, name) => e.dataset[name].split(',').map(Number);
  const pick = (text) => all('[type=radio]').find((r) => r.labels[0].textContent === text);
  """
    + CHANGE
    + """
  for (const p of points) {
    const kind = pick(p.label);
    kind.checked = true; await change(kind, 'change');
    const wanted = [[base, p.step], [pair, p.pair], [position, p.m], [other, p.n]];
    for (const [input, v] of wanted) { input.value = v; await change(input, 'input'); }
    found.push({facts: Object.fromEntries(all('[data-fact]').map((f) => [f.dataset.fact, +f.dataset.value])),
      hands: [box.querySelector('.lmw-hand-position'), box.querySelector('.lmw-hand-other')].map((e) => numbers(e, 'hand')),
      curve: numbers(box.querySelector('.lmw-curve-chosen[data-values]'), 'values'),
      status: box.querySelector('[role=status]').textContent,
      set: [base, pair, position, other].map((e) => e.ariaValueText), hidden: base.parentElement.hidden,
      plus: box.querySelector('.lmw-plus').getAttribute('d'), minus: box.querySelector('.lmw-minus').getAttribute('d'),
      rows: all('.lmw-row-mark').map((r) => +r.getAttribute('y')), size: box.querySelector('svg').viewBox.baseVal.height});
  }
  return found;
}"""
)


@pytest.fixture(autouse=True)
def double() -> Iterator[None]:
    """lmcore's numbers in float64, as JavaScript's are."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def viewer(**kwargs: Any) -> PositionViewer:
    torch.manual_seed(7)
    return PositionViewer(**{"length": LENGTH, "dim": DIM, "learned": torch.randn(13, DIM), **kwargs})


def rows(widget: PositionViewer, kind: str, base: float) -> tuple[Tensor, Tensor]:
    """The vectors that meet in a dot product, by lmcore."""
    held = {name: torch.tensor(np.frombuffer(getattr(widget, name), "<f8")) for name in ("query", "key", "table")}
    if kind == "rotary":
        places = torch.arange(widget.length)
        query, key = (rotate(held[name].expand(widget.length, -1), places, base, "pairs") for name in ("query", "key"))
        return query, key
    found = held["table"].reshape(widget.length, -1) if kind == "learned" else sinusoidal(widget.length, widget.dim, base)
    return found, found


def differ(products: Tensor) -> float:
    """By how much products of equal distance differ at most."""
    lines = [torch.diagonal(products, k) for k in range(1 - len(products), len(products))]
    return max(float(line.max() - line.min()) for line in lines)


def squares(path: str) -> int:
    return len(re.findall("M", path or ""))


def test_page_shows_lmcores_numbers_at_every_point_of_a_grid(tmp_path: Path) -> None:
    widget = viewer()
    points = [
        {"kind": kind, "label": LABELS[kind], "step": step, "pair": pair, "m": m, "n": n}
        for kind, step, pair in itertools.product(LABELS, range(len(BASES)), range(DIM // 2))
        for m, n in ((0, 10), (3, 3), (4 + pair, step % LENGTH))
    ]
    with opened(build(tmp_path, widget)) as it:
        found = it.page.evaluate(WALK, points)
        it.clean()
    for p, f in zip(points, found, strict=True):
        base, m, n, pair = float(BASES[p["step"]]), p["m"], p["n"], p["pair"]
        left, right = rows(widget, p["kind"], base)
        products = left @ right.T
        assert torch.allclose(torch.tensor(f["curve"]), products[m], rtol=0, atol=1e-12)
        swap = (lambda hand: hand.flip(0)) if p["kind"] == "sinusoidal" else (lambda hand: hand)
        hands = torch.stack([swap(left[m, 2 * pair : 2 * pair + 2]), swap(right[n, 2 * pair : 2 * pair + 2])])
        assert torch.allclose(torch.tensor(f["hands"]), hands, rtol=0, atol=1e-12)
        expected = {"product": float(products[m, n]), "spread": differ(products)}
        omega = float(frequencies(DIM, base)[pair])
        if p["kind"] != "learned":
            expected |= {"turn": 2 * np.pi / omega, "angle": (n - m) * omega}
            assert f["facts"]["spread"] < 1e-12, "the distance alone decides"
            assert "the same for every two positions at this distance" in f["status"]
        else:
            assert f["facts"]["spread"] > 1
            assert "not on the distance alone" in f["status"]
        assert f["facts"] == pytest.approx(expected, rel=1e-9, abs=1e-12)
        assert f["hidden"] == (p["kind"] == "learned")
        assert f["set"][1:] == [f"{pair}: numbers {2 * pair} and {2 * pair + 1}", str(m), str(n)]
        assert f["set"][0].replace("\u202f", "") == str(BASES[p["step"]])
        assert f"Positions {m} and {n} are {abs(m - n)} apart" in f["status"]
        large = left.abs() > 0.01 * left.abs().max()
        assert squares(f["plus"]) >= int((left[large] > 0).sum())
        assert squares(f["minus"]) >= int((left[large] < 0).sum())
        assert squares(f["plus"]) + squares(f["minus"]) <= int((left != 0).sum())
        height = (f["rows"][1] - f["rows"][0]) / (m - n) if m != n else None
        assert height is None or height == pytest.approx((f["size"] - 46) / LENGTH, rel=1e-6)


@functools.cache
def source() -> str:
    return join("positions.mjs")


def test_whole_matrices_are_lmcores(tmp_path: Path) -> None:
    """All rows and all products, at the sizes of a chapter."""
    run = """async ([source, kind, given]) => {
      const module = await import(URL.createObjectURL(new Blob([source], {type: 'text/javascript'})));
      const found = module.rowsOf(kind, given);
      return [[...found.left], [...found.right], [...module.products(found, given.length, given.dim)]]; }"""
    torch.manual_seed(2)
    widget = PositionViewer(50, 32, learned=torch.randn(50, 32))
    given = {name: np.frombuffer(getattr(widget, name), "<f8").tolist() for name in ("query", "key", "table")}
    with opened(build(tmp_path, viewer())) as it:
        for kind, base in itertools.product(widget.kinds, (2.0, 100.0, 10_000.0, 1e6)):
            asked = {**given, "length": 50, "dim": 32, "base": base}
            left, right, products = (torch.tensor(v) for v in it.page.evaluate(run, [source(), kind, asked]))
            exact = rows(widget, kind, base)
            assert torch.allclose(left.reshape(50, 32), exact[0], rtol=0, atol=1e-12)
            assert torch.allclose(right.reshape(50, 32), exact[1], rtol=0, atol=1e-12)
            assert torch.allclose(products.reshape(50, 50), exact[0] @ exact[1].T, rtol=0, atol=1e-11)
        it.clean()


def fact(box: Locator, name: str) -> float:
    return float(box.locator(f"[data-fact={name}]").get_attribute("data-value") or "nan")


def test_moving_both_leaves_the_product_unless_it_is_learned(tmp_path: Path) -> None:
    with opened(build(tmp_path, viewer(position=2, other=7))) as it:
        box = it.page.locator(".lmw-positions")
        on, back = box.get_by_role("button", name="Both on"), box.get_by_role("button", name="Both back")
        for kind, label in LABELS.items():
            box.get_by_label(label).check()
            seen = [fact(box, "product")]
            for _ in range(3):
                on.click()
                seen.append(fact(box, "product"))
            assert on.is_disabled()
            for _ in range(5):
                back.click()
            assert back.is_disabled()
            assert (max(seen) - min(seen) < 1e-12) == (kind != "learned")
            on.click()
            on.click()
        it.clean()


def test_by_keyboard_alone(tmp_path: Path) -> None:
    with opened(build(tmp_path, viewer())) as it:
        page, box = it.page, it.page.locator(".lmw-positions")
        label = "(document.activeElement.labels?.[0] ?? document.activeElement).textContent"
        for text in ("Sinusoidal", "Base L", "Pair i", "Position m", "Position n", "◀ Both back", "Both on"):
            page.keyboard.press("Tab")
            assert page.evaluate(label).startswith(text), text
        page.keyboard.press("Enter")
        assert "Positions 3 and 8 are 5 apart" in status(page, "positions")
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("End")
        assert "Positions 3 and 10 are 7 apart" in status(page, "positions")
        for _ in range(3):
            page.keyboard.press("Shift+Tab")
        page.keyboard.press("Home")
        assert "L = 2." in status(page, "positions")
        assert fact(box, "turn") == pytest.approx(2 * np.pi * 2 ** (4 / 6))
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("ArrowRight")
        assert "Rotary" in status(page, "positions")
        it.clean()


def test_a_place_in_the_matrix_and_a_distance_can_be_pointed_at(tmp_path: Path) -> None:
    with opened(build(tmp_path, viewer(position=5)), height=1500, width=360, has_touch=True) as it:
        page, box = it.page, it.page.locator(".lmw-positions")
        pads = [pad.bounding_box() for pad in box.locator(".lmw-pad").all()]
        assert pads[0]
        page.touchscreen.tap(pads[0]["x"] + pads[0]["width"] * 5 / 6, pads[0]["y"] + pads[0]["height"] * 4.5 / LENGTH)
        assert box.get_by_role("slider", name="Position m").input_value() == "4"
        assert box.get_by_role("slider", name="Pair i").input_value() == "2"
        box.locator(".lmw-pad").nth(1).scroll_into_view_if_needed()
        pad = box.locator(".lmw-pad").nth(1).bounding_box()
        assert pad
        page.touchscreen.tap(pad["x"] + pad["width"] * (10 - 3) / 20, pad["y"] + 30)
        assert box.get_by_role("slider", name="Position n").input_value() == "1"
        it.clean()


def test_own_base_is_a_step_of_the_slider_and_changes_are_followed(tmp_path: Path) -> None:
    widget = viewer(base=700.0)
    with opened(build(tmp_path, widget, viewer(), widget), height=4000) as it:
        boxes = it.page.locator(".lmw-positions")
        assert boxes.nth(0).get_by_role("slider", name="Base L").get_attribute("aria-valuetext") == "700"
        boxes.nth(2).get_by_role("slider", name="Position m").fill("9")
        boxes.nth(2).get_by_label("Rotary").check()
        for i, (m, kind) in enumerate((("9", "Rotary"), ("2", "Sinusoidal"), ("9", "Rotary"))):
            assert boxes.nth(i).get_by_role("slider", name="Position m").input_value() == m
            assert boxes.nth(i).get_by_label(kind).is_checked()
        it.clean()


@pytest.mark.parametrize(("theme", "width"), [("light", 900), ("dark", 900), ("light", 360), ("dark", 310)])
def test_axe_finds_nothing_and_nothing_overflows(tmp_path: Path, theme: str, width: int) -> None:
    widget = PositionViewer(learned=torch.randn(50, 32))
    with opened(build(tmp_path, widget, theme=theme), width=width, has_touch=width < 400) as it:
        it.page.get_by_label("Rotary").check()
        found = Axe().run(it.page).response["violations"]
        assert [(v["id"], [n["html"][:200] for n in v["nodes"]]) for v in found] == []
        assert it.page.evaluate("document.documentElement.scrollWidth") <= width
        wide = """[...document.querySelectorAll('.lmw *')].filter((e) => !e.closest('.lmw-hidden, [hidden], option'))
          .map((e) => [e, e.getBoundingClientRect(), e.closest('.lmw').getBoundingClientRect()])
          .filter(([e, r, b]) => r.right > b.right + 1 || (r.width && r.left < b.left - 1))
          .map(([e]) => e.outerHTML.slice(0, 99))"""
        assert it.page.evaluate(wide) == []
        small = """[...document.querySelectorAll('.lmw :is(button, select, input)')].map((e) => [e, e.getBoundingClientRect()])
            .filter(([e, r]) => r.width && r.height < 24 && e.type !== 'radio').map(([e]) => e.outerHTML.slice(0, 99))"""
        assert it.page.evaluate(small) == []
        it.clean()


def test_marks_differ_without_colour_and_print_in_ink(tmp_path: Path) -> None:
    with opened(build(tmp_path, viewer(), theme="dark")) as it:
        box = it.page.locator(".lmw-positions")
        dash = "e => getComputedStyle(e).strokeDasharray"
        for kind in ("row", "hand"):
            assert box.locator(f".lmw-{kind}-position").evaluate(dash) != box.locator(f".lmw-{kind}-other").evaluate(dash)
        fill = "e => getComputedStyle(e).fill"
        back = box.evaluate("e => getComputedStyle(e).backgroundColor")
        assert box.locator(".lmw-minus").evaluate(fill) == back != box.locator(".lmw-plus").evaluate(fill)
        it.page.emulate_media(media="print")
        assert box.evaluate("e => [getComputedStyle(e).backgroundColor, getComputedStyle(e).color]") == [
            "rgb(255, 255, 255)",
            "rgb(0, 0, 0)",
        ]
        assert not box.get_by_role("button", name="Both on").is_visible()
        assert box.locator(".lmw-plus").is_visible()
        it.clean()
