"""The cost curves in Chromium: at every point of a grid the page says what is counted when the real modules run."""

import functools
import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, expect

from lmcore.attention import Cache
from lmcore.widgets import CostCurves
from lmcore.widgets.cost_curves import MODELS, VIEWS, operations, waiting
from tests.book.figures import CHANGE, status
from tests.book.pages import build, opened
from tests.test_cost_curves import POINTS, bytes_of, chain, counted, counted_memory, run
from tests.test_cost_curves import build as layers_of

pytestmark = pytest.mark.browser

COUNTED = functools.cache(lambda m, n, training, sizes: counted(m, n, dict(sizes), training))
CHAIN = functools.cache(lambda m, n, sizes: chain(run(m, n, dict(sizes))))
MEMORY = functools.cache(lambda k, n, sizes: counted_memory(k, n, dict(sizes)))
WALK = (
    """async (points) => {
  const box = document.querySelector('.lmw-cost'), found = [], all = (selector) => [...box.querySelectorAll(selector)];
  const field = (name) => [...box.querySelectorAll('label')].find((l) => l.textContent.startsWith(name)).control;
  const training = box.querySelector('[type=checkbox]'), views = all('[type=radio]');
  """
    + CHANGE
    + """
  const pick = async (name, v) => {
    const input = field(name);
    input.selectedIndex = [...input.options].findIndex((o) => o.textContent.replaceAll('\\u202f', '') === String(v));
    await change(input, 'change');
  };
  for (const p of points) {
    views[p.view].checked = true; await change(views[p.view], 'change');
    await pick('Width', p.dim); await pick('Heads', p.heads); await pick('Hidden', p.hidden); await pick('Texts', p.batch);
    training.checked = p.training; await change(training, 'change');
    for (const [name, v] of [['Length', p.step], ['Layers', p.layers]]) {
      field(name).value = v; await change(field(name), 'input');
    }
    found.push({facts: Object.fromEntries(all('[data-fact]').map((f) => [f.dataset.fact, +f.dataset.value])),
      curves: Object.fromEntries(all('[data-curve]').map((c) => [c.dataset.curve, c.dataset.values.split(',').map(Number)])),
      dots: all('circle.lmw-dot').length, status: box.querySelector('[role=status]').textContent,
      name: box.querySelector('svg').ariaLabel});
  }
  return found;
}"""
)
NAMES = ("dim", "heads", "layers", "hidden", "batch")


def grid(dims: list[tuple[int, int, int]], steps: list[int], rest: list[tuple[int, int]]) -> list[dict[str, Any]]:
    """Settings of the figure: widths with heads and hidden units, steps of the length, layers with texts; all views."""
    return [
        {"view": v, "dim": d, "heads": h, "hidden": f, "step": step, "layers": n, "batch": b, "training": training}
        for v, (d, h, f), step, (n, b), training in itertools.product(range(4), dims, steps, rest, (False, True))
    ]


def cached(length: int, sizes: dict[str, int]) -> int:
    """Bytes that the layers of a Transformer keep of a text, by their caches."""
    x, total = torch.randn(sizes["batch"], length, sizes["dim"]), 0
    for layer in layers_of("Transformer", sizes):
        cache = Cache()
        x = layer(x, causal=True, cache=cache)
        total += cache.keys.nbytes + cache.values.nbytes
    return total


def sizes_of(point: dict[str, Any]) -> dict[str, int]:
    return {name: point[name] for name in NAMES}


def test_page_says_what_is_counted_at_every_point_of_a_small_grid(tmp_path: Path) -> None:
    """Short texts: here the modules themselves run."""
    widget = CostCurves(dim=12, heads=3, hidden=24, longest=32)
    points = [p for p in grid([(12, 3, 24), (32, 4, 128)], [0, 2], [(1, 1), (2, 4)]) if not (p["view"] == 1 and p["training"])]
    with opened(build(tmp_path, widget)) as it:
        found = it.page.evaluate(WALK, points)
        it.clean()
    for p, f in zip(points, found, strict=True):
        sizes, length, view = sizes_of(p), 8 * 2 ** p["step"], VIEWS[p["view"]]
        frozen = tuple(sizes.items())
        if view == "arithmetic":
            expected = {m: COUNTED(m, length, p["training"], frozen) for m in MODELS}
            square = length * expected["Transformer"] / length - operations("Transformer", 0, **sizes)
            linear = p["batch"] * p["layers"] * length * (8 * p["dim"] ** 2 + 4 * p["dim"] * p["hidden"])
            expected |= {"square": square - linear * (3 if p["training"] else 1), "meet": 2 * p["dim"] + p["hidden"]}
        elif view == "waiting":
            expected = {m: CHAIN(m, length, frozen) * (2 if p["training"] else 1) for m in MODELS}
        elif view == "memory":
            expected = {kind: MEMORY(kind, length, frozen) for kind in ("RNN", "LSTM", "held", "fused")}
            expected |= {"ratio": expected["held"] / expected["fused"], "cache": cached(length, sizes)}
            expected["state"] = 4 * p["batch"] * p["layers"] * 2 * p["dim"]  # h and c
        else:
            how = {**sizes, "training": p["training"]}
            expected = {m: operations(m, length, **how) / 50e9 + waiting(m, length, **how) * 20e-6 for m in MODELS}
        assert f["facts"] == pytest.approx(expected, rel=1e-9), p


def test_curves_follow_the_formulas_at_every_length_and_size(tmp_path: Path) -> None:
    points = grid([(64, 8, 256), (2048, 16, 2048)], [0, 5, 11], [(2, 8), (24, 256)])
    lengths = [8 * 2**i for i in range(12)]
    with opened(build(tmp_path, CostCurves(dim=128, speed=1e3, delay=3.0))) as it:
        found = it.page.evaluate(WALK, points)
        it.clean()
    for p, f in zip(points, found, strict=True):
        sizes, view = sizes_of(p), VIEWS[p["view"]]
        how = {**sizes, "training": p["training"]}
        value = {
            "arithmetic": lambda m, n, how=how: operations(m, n, **how),
            "waiting": lambda m, n, how=how: waiting(m, n, **how),
            "memory": lambda m, n, sizes=sizes: bytes_of(m, n, sizes),
            "time": lambda m, n, how=how: operations(m, n, **how) / 1e12 + waiting(m, n, **how) * 3e-6,
        }[view]
        names = ("RNN", "LSTM", "held", "fused") if view == "memory" else MODELS
        for name in names:
            assert f["curves"][name] == pytest.approx([value(name, n) for n in lengths], rel=1e-9)
            assert f["facts"][name] == pytest.approx(value(name, lengths[p["step"]]), rel=1e-9)
        assert f["dots"] == len(f["curves"]) == len(names) + (view == "arithmetic")
        if view == "arithmetic":
            extra = 12 if p["training"] else 4
            expected = [extra * p["batch"] * p["layers"] * p["dim"] * n**2 for n in lengths]
            assert f["curves"]["square"] == pytest.approx(expected, rel=1e-9)
            half = f["facts"]["meet"]
            both = operations("Transformer", int(half), **how)
            assert both == 2 * extra * p["batch"] * p["layers"] * p["dim"] * half**2, "there the square is half of it"
        assert f"{lengths[p['step']]} tokens" in f["status"].replace("\u202f", "")
        assert "both axes logarithmic" in f["name"]


DEVICES = {"a laptop": POINTS, "another": {"LSTM": [(32, 0.5)]}}


def test_measured_points_belong_to_their_device_and_sizes(tmp_path: Path) -> None:
    widget = CostCurves(DEVICES, dim=64, batch=2, view="time")
    with opened(build(tmp_path, widget), height=1400) as it:
        box = it.page.locator(".lmw-cost")

        def marks() -> list[tuple[str, int, float]]:
            found = box.locator("[data-model]").evaluate_all(
                "(es) => es.map((e) => [e.dataset.model, +e.dataset.length, +e.dataset.value])"
            )
            return sorted(map(tuple, found))

        assert marks() == [("RNN", 16, 0.006), ("RNN", 64, 0.02), ("Transformer", 16, 0.001)]
        places = box.locator("[data-model]").evaluate_all("(es) => es.map((e) => e.getAttribute('d'))")
        assert len(set(places)) == 2, "a mark has the form of its model"
        assert "a laptop" in box.locator(".lmw-note").inner_text()
        box.get_by_label("Width C").select_option("128")
        assert marks() == []
        assert "come back" in box.locator(".lmw-note").inner_text()
        box.get_by_label("Delay").fill("0")
        box.get_by_role("button", name="As measured").click()
        assert len(marks()) == 3
        assert box.get_by_label("Width C").input_value() == "64"
        speed, delay = widget.devices[1]["speed"], widget.devices[1]["delay"]
        box.get_by_label("Device").select_option("another")
        assert marks() == [("LSTM", 32, 0.5)]
        how = {"dim": 64, "heads": 4, "layers": 1, "hidden": 256, "batch": 2}
        seconds = operations("LSTM", 256, **how) / (speed * 1e9) + waiting("LSTM", 256, **how) * delay * 1e-6
        assert fact(box, "LSTM") == pytest.approx(seconds, rel=1e-9)
        for view in ("Arithmetic", "Memory", "Waiting"):
            box.get_by_label(view, exact=True).check()
            assert marks() == []
            expect(box.get_by_label("Device")).to_be_hidden()
        it.clean()


def fact(box: Locator, name: str) -> float:
    return float(box.locator(f"[data-fact={name}]").get_attribute("data-value") or "nan")


def test_speed_and_delay_make_the_time(tmp_path: Path) -> None:
    with opened(build(tmp_path, CostCurves(view="time", length=1024))) as it:
        box = it.page.locator(".lmw-cost")
        box.get_by_label("Delay").fill("0")
        box.get_by_label("Speed").fill("100")
        how = {"dim": 128, "heads": 4, "layers": 1, "hidden": 512, "batch": 1}
        for model in MODELS:
            seconds = operations(model, 1024, **how) / (0.1 * 10**5 * 1e9) + waiting(model, 1024, **how) * 0.01e-6
            assert fact(box, model) == pytest.approx(seconds, rel=1e-9)
        assert box.get_by_label("Speed").get_attribute("aria-valuetext") == "10000 billion operations a second"
        assert status(it.page, "cost").startswith("At 1\u202f024 tokens and width 128, this device would need")
        assert "speed and delay are yours" in box.locator(".lmw-note").inner_text()
        it.clean()


def test_by_keyboard_alone_and_by_touch(tmp_path: Path) -> None:
    with opened(build(tmp_path, CostCurves()), width=360, height=1400, has_touch=True) as it:
        page, box = it.page, it.page.locator(".lmw-cost")
        label = "(document.activeElement.labels?.[0] ?? document.activeElement).textContent"
        for text in ("Arithmetic", "Length", "Layers", "Width", "Heads", "Hidden", "Texts", "training"):
            page.keyboard.press("Tab")
            assert page.evaluate(label).startswith(text), text
        page.keyboard.press("Space")
        assert fact(box, "RNN") == 3 * 4 * 256 * 128**2
        for _ in range(5):
            page.keyboard.press("Shift+Tab")
        page.keyboard.press("ArrowRight")
        assert page.evaluate(label).startswith("Layers")
        assert fact(box, "RNN") == 2 * 3 * 4 * 256 * 128**2
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("End")
        assert "16\u202f384 tokens" in status(page, "cost")
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("ArrowRight")
        assert "keeps" in status(page, "cost")
        pad = box.locator(".lmw-pad").bounding_box()
        assert pad
        page.touchscreen.tap(pad["x"] + pad["width"] * 4 / 11, pad["y"] + 20)
        assert "At 128 tokens" in status(page, "cost")
        it.clean()


def test_a_change_made_elsewhere_is_followed(tmp_path: Path) -> None:
    widget = CostCurves()
    with opened(build(tmp_path, widget, CostCurves(length=100), widget), height=4000) as it:
        boxes = it.page.locator(".lmw-cost")
        assert "At 100 tokens" in boxes.nth(1).locator("[role=status]").inner_text()
        boxes.nth(2).get_by_role("slider", name="Length").fill("0")
        boxes.nth(2).get_by_label("Waiting").check()
        for i, view in enumerate(("Waiting", "Arithmetic", "Waiting")):
            assert boxes.nth(i).get_by_label(view).is_checked()
        assert fact(boxes.nth(0), "LSTM") == 9
        it.clean()


@pytest.mark.parametrize(("theme", "width"), [("light", 900), ("dark", 900), ("light", 360), ("dark", 310)])
def test_axe_finds_nothing_and_nothing_overflows(tmp_path: Path, theme: str, width: int) -> None:
    widget = CostCurves(DEVICES, dim=64, length=8192, layers=24, batch=256)
    with opened(build(tmp_path, widget, theme=theme), width=width, has_touch=width < 400) as it:
        for view in ("Memory", "Time"):
            it.page.get_by_label(view, exact=True).check()
            found = Axe().run(it.page).response["violations"]
            assert [(v["id"], [n["html"][:200] for n in v["nodes"]]) for v in found] == []
            assert it.page.evaluate("document.documentElement.scrollWidth") <= width
            wide = """[...document.querySelectorAll('.lmw *')].filter((e) => !e.closest('.lmw-hidden, [hidden], option'))
              .map((e) => [e, e.getBoundingClientRect(), e.closest('.lmw').getBoundingClientRect()])
              .filter(([e, r, b]) => r.right > b.right + 1 || (r.width && r.left < b.left - 1))
              .map(([e]) => e.outerHTML.slice(0, 99))"""
            assert it.page.evaluate(wide) == []
        it.clean()


def test_lines_differ_without_colour_and_print_in_ink(tmp_path: Path) -> None:
    with opened(build(tmp_path, CostCurves(view="memory"), theme="dark")) as it:
        box = it.page.locator(".lmw-cost")
        dashes = box.locator("[data-curve]").evaluate_all("(es) => es.map((e) => getComputedStyle(e).strokeDasharray)")
        assert len(dashes) == len(set(dashes)) == 4
        it.page.emulate_media(media="print")
        assert box.evaluate("e => [getComputedStyle(e).backgroundColor, getComputedStyle(e).color]") == [
            "rgb(255, 255, 255)",
            "rgb(0, 0, 0)",
        ]
        assert box.locator("[data-curve=held]").is_visible()
        it.clean()
