"""Patch attention in Chromium: every weight the page draws is the one that Python holds."""

import base64
import io
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from axe_playwright_python.sync_playwright import Axe

from lmcore.widgets import CaptionAttention, PatchAttention
from tests.book.figures import SMALL, WIDE, status
from tests.book.pages import build, opened
from tests.test_patch_attention import (
    CLASSES,
    HEADS,
    HEIGHT,
    LAYERS,
    PATCH,
    WIDTH,
    K,
    N,
    T,
    captions,
    patches,
)

pytestmark = pytest.mark.browser

# Press every image, every small picture of a head and every patch and [CLS]; read all that the figure shows.
WALK = """async () => {
  const box = document.querySelector('section.lmw-patches'), found = [], next = () => Promise.resolve();
  const all = (selector) => [...box.querySelectorAll(selector)], one = (selector) => box.querySelector(selector);
  const numbers = (selector, name) => all(selector).map((e) => +e.getAttribute(name));
  const tiles = all('.lmw-tile').length, pads = all('.lmw-patch-free');
  for (let n = 0; n < all('.lmw-thumb').length; n++) {
    all('.lmw-thumb')[n].click(); await next();
    for (let tile = 0; tile < tiles; tile++) {
      all('.lmw-tile')[tile].click(); await next();
      for (let q = 0; q <= pads.length; q++) {
        if (q) pads[q - 1].dispatchEvent(new MouseEvent('click', {bubbles: true})); else one('.lmw-cls').click();
        await next();
        found.push({n, tile, q, weights: [...numbers('[data-cls]', 'data-cls'), ...numbers('.lmw-heat-square', 'data-value')],
          edges: numbers('.lmw-heat-square', 'width'), heat: numbers('.lmw-heat', 'opacity'),
          asks: all('.lmw-asks').map((p) => p.getAttribute('d')), pressed: one('.lmw-cls').getAttribute('aria-pressed'),
          path: one('.lmw-tile[aria-current] .lmw-weight').getAttribute('d'),
          name: one('.lmw-tile[aria-current]').getAttribute('aria-label'),
          layer: all('select')[0].value, head: all('select')[1].value,
          facts: Object.fromEntries(all('[data-fact]').map(({dataset: d}) => [d.fact, d.value === '' ? null : +d.value])),
          classes: numbers('[data-class]', 'data-value'), flags: all('[data-class] th').map((r) => r.textContent),
          came: numbers('.lmw-came', 'data-class'), status: one('[role=status]').textContent});
      }
    }
  }
  return found;
}"""
ROWS, COLUMNS = HEIGHT // PATCH, WIDTH // PATCH


def place(s: int) -> str:
    return f"the patch in row {(s - 1) // COLUMNS + 1}, column {(s - 1) % COLUMNS + 1}" if s else "[CLS]"


def breadth(weights: np.ndarray) -> float:
    return float(np.exp(-(weights * np.log(weights, where=weights > 0, out=np.zeros_like(weights))).sum()))


def distance(weights: np.ndarray, query: int) -> float | None:
    """Mean distance from the asking patch, in pixels, over the weight on patches."""
    if query == 0 or weights[1:].sum() == 0:
        return None
    at = [PATCH * np.array(divmod(s, COLUMNS)) for s in range(ROWS * COLUMNS)]
    far = np.array([math.dist(at[query - 1], other) for other in at])
    return float(weights[1:] @ far / weights[1:].sum())


def test_page_shows_the_weights_of_every_layer_head_and_patch(tmp_path: Path) -> None:
    widget = patches()
    with opened(build(tmp_path, widget)) as it:
        found = it.page.evaluate(WALK)
        it.clean()
    columns = [*range(HEADS), "mean", "rollout"]
    assert len(found) == N * LAYERS * len(columns) * T
    known = {}
    for n in range(N):
        widget.image = n
        weights, rolled = widget.attention(), widget.rollout()
        known[n] = np.concatenate([weights, weights.mean(1, keepdims=True), rolled[:, None]], 1)
    chances = np.frombuffer(widget.probabilities, "<f4").reshape(N, K)
    for f in found:
        (layer, k), q = divmod(f["tile"], len(columns)), f["q"]
        row = known[f["n"]][layer, k, q]
        assert f["weights"] == pytest.approx(row.tolist(), abs=1e-14)
        top = row.max()
        assert f["edges"] == pytest.approx((94 * np.sqrt(row[1:] / top)).tolist(), abs=1e-9), "the area is the weight"
        assert f["heat"] == pytest.approx((0.5 * row[1:] / top).tolist(), abs=1e-12)
        x, y = 100 * ((q - 1) % COLUMNS), 100 * ((q - 1) // COLUMNS)
        assert f["asks"] == ([f"M{x}.0,{y}.0h100.0v100.0h-100.0Z"] * 2 if q else [])
        assert f["pressed"] == str(q == 0).lower()
        assert f["path"].count("M") == int((9 * np.sqrt(row / top) >= 0.5).sum())
        head = columns[k]
        name = {"mean": f"layer {layer + 1}, mean of all heads", "rollout": f"rollout up to layer {layer + 1}"}.get(
            str(head), f"layer {layer + 1}, head {k + 1}"
        )
        assert f["name"] == name
        assert f["layer"] == f"{layer + 1}"
        assert f["head"] == {"mean": "mean of all", "rollout": "rollout through the layers"}.get(str(head), f"{k + 1}")
        best = int(np.argmax(f["weights"]))
        expected = {
            "most": best,
            "top": top,
            "own": row[q],
            "cls": row[0],
            "spread": breadth(row),
            "distance": distance(row, q),
        }
        far = expected.pop("distance")
        assert f["facts"].pop("distance") == (None if far is None else pytest.approx(far, rel=1e-9))
        assert f["facts"] == pytest.approx(expected, rel=1e-9, abs=1e-14)
        assert f["classes"] == pytest.approx(chances[f["n"]].tolist(), abs=1e-12)
        label, guess = widget.labels[f["n"]], int(chances[f["n"]].argmax())
        assert f["flags"] == [name + (" (true)" if c == label else "") for c, name in enumerate(CLASSES)]
        assert f["came"] == [guess]
        assert f["status"].startswith(f"Image {f['n'] + 1} of 3, true class {CLASSES[label]}, predicted {CLASSES[guess]} (")
        said = "itself" if best == q else place(best)
        assert f"{name[0].upper()}{name[1:]}: {place(q)} looks most at {said} (" in f["status"]
        assert f"evenly over {f['facts']['spread']:.1f} of 7 places" in f["status"]


def test_pictures_are_the_images(tmp_path: Path) -> None:
    from matplotlib.image import imread

    with opened(build(tmp_path, patches())) as it:
        addresses = it.page.evaluate("[...document.querySelectorAll('.lmw-thumb img')].map((i) => i.src)")
        first = it.page.locator("svg.lmw-patch-picture image").evaluate_all("(all) => all.map((i) => i.getAttribute('href'))")
    assert first == [addresses[0]] * 2
    bytes_ = np.frombuffer(patches().pixels, "u1").reshape(N, HEIGHT, WIDTH)
    for address, expected in zip(addresses, bytes_, strict=True):
        picture = imread(io.BytesIO(base64.b64decode(address.partition("base64,")[2])))
        assert (255 * picture[..., :3]).round().astype(int).tolist() == np.repeat(expected[..., None], 3, 2).tolist()


def test_by_keyboard_alone(tmp_path: Path) -> None:
    with opened(build(tmp_path, patches())) as it:
        page, box = it.page, it.page.locator("section.lmw")
        page.keyboard.press("Tab")
        for key, n in (("ArrowRight", 2), ("End", 3), ("ArrowRight", 3), ("ArrowLeft", 2)):
            page.keyboard.press(key)
            assert box.locator(".lmw-thumb[aria-current]").get_attribute("title").startswith(f"image {n}:")
        for label in ("Layer", "Head", "numbers, in per cent"):
            page.keyboard.press("Tab")
            assert page.evaluate("document.activeElement.labels[0].textContent") == label
        page.keyboard.press("Space")
        assert box.locator(".lmw-heat-number").count() == 6
        page.keyboard.press("Tab")
        for key, s in (
            ("ArrowUp", 1),  # from [CLS] to the first patch
            ("ArrowUp", 1),
            ("ArrowRight", 2),
            ("ArrowDown", 5),
            ("ArrowRight", 6),
            ("ArrowRight", 6),  # no way round the edge
            ("ArrowDown", 6),
            ("ArrowUp", 3),
            ("ArrowRight", 3),
            ("Home", 0),
            ("End", 6),
            ("ArrowLeft", 5),
        ):
            page.keyboard.press(key)
            assert f": {place(s)} looks most at" in status(page, "patches")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")  # [CLS]
        assert ": [CLS] looks most at" in status(page, "patches")
        page.keyboard.press("Tab")
        chosen = box.locator(".lmw-tile[aria-current]")
        for key, name in (
            ("ArrowUp", "layer 2, mean of all heads"),
            ("ArrowRight", "rollout up to layer 2"),
            ("ArrowRight", "rollout up to layer 2"),
            ("Home", "layer 2, head 1"),
            ("ArrowDown", "layer 3, head 1"),
        ):
            page.keyboard.press(key)
            assert chosen.get_attribute("title") == name
        it.clean()


def test_numbers_are_the_weights_in_per_cent(tmp_path: Path) -> None:
    weights = torch.zeros(1, 1, 1, 5, 5)
    weights[..., :] = torch.tensor([0.125, 0.5, 0.25, 0.0625, 0.0625])
    widget = PatchAttention(torch.arange(4.0).reshape(1, 2, 2), weights, [0], [[0.75, 0.25]], 1, numbers=True, query=2)
    with opened(build(tmp_path, widget)) as it:
        assert it.page.locator(".lmw-heat-number").all_text_contents() == ["50", "25", "6.3", "6.3"]
        assert it.page.locator(".lmw-tile").count() == 2, "one head has no mean"
        assert (
            it.page.locator("svg.lmw-patch-picture").nth(1).locator("title").first.text_content() == "row 1, column 1: 50.0 %"
        )
        it.clean()


def test_mouse_shows_a_patch_in_passing_and_touch_chooses(tmp_path: Path) -> None:
    with opened(build(tmp_path, patches(query=3), captions()), height=2600) as it:
        page, before = it.page, status(it.page, "patches")
        page.locator(".lmw-patch-free").nth(4).hover()
        assert page.locator(".lmw-asks").first.get_attribute("d").startswith("M100.0,100.0")
        assert status(page, "patches") == before
        page.mouse.move(2, 2)
        assert page.locator(".lmw-asks").first.get_attribute("d").startswith("M200.0,0.0")
        said = status(page, "captions")
        page.locator(".lmw-strip-word").nth(2).hover()
        assert page.locator(".lmw-strip-word.lmw-now").inner_text() == "seven"
        assert status(page, "captions") == said
        it.clean()
    with opened(build(tmp_path, patches(), captions()), width=390, has_touch=True, is_mobile=True) as it:
        page = it.page
        page.locator(".lmw-thumb").nth(1).tap()
        page.locator(".lmw-patch-free").nth(4).tap()
        page.locator(".lmw-tile").nth(3).tap()
        assert f"Rollout up to layer 1: {place(5)} looks most at" in status(page, "patches")
        page.locator(".lmw-strip-word").nth(2).tap()
        assert "Word 3 of 3, “seven”" in status(page, "captions")
        assert page.evaluate(SMALL) == []
        it.clean()


def test_a_change_made_elsewhere_is_followed(tmp_path: Path) -> None:
    widget = patches(query=2)
    with opened(build(tmp_path, widget, patches(query=2), widget), height=6000) as it:
        boxes = it.page.locator("section.lmw")
        boxes.nth(2).locator(".lmw-patch-free").nth(5).click()
        boxes.nth(2).get_by_label("Head", exact=True).select_option(index=0)
        for i, (start, head) in enumerate((("M200.0,100.0", "1"), ("M100.0,0.0", "mean of all"), ("M200.0,100.0", "1"))):
            assert boxes.nth(i).locator(".lmw-asks").first.get_attribute("d").startswith(start)
            assert boxes.nth(i).get_by_label("Head", exact=True).evaluate("(e) => e.value") == head
        it.clean()


def large() -> list[PatchAttention | CaptionAttention]:
    """Many patches, heads, images and classes, a wide image, long words."""
    g = torch.Generator().manual_seed(2)
    pictures = torch.rand(9, 6, 10, generator=g)
    weights = torch.randn(9, 4, 12, 16, 16, generator=g).softmax(-1)
    chances = torch.randn(9, 40, generator=g).softmax(-1)
    names = [f"Donaudampfschifffahrtsgesellschaft {i}" for i in range(40)]
    long = ["Donaudampfschifffahrtsgesellschaftskapitän", *("word" for _ in range(30))]
    cross = torch.randn(9, 1, 1, 31, 15, generator=g).softmax(-1)
    return [
        PatchAttention(pictures, weights, [39] * 9, chances, 2, classes=names, layer=3, head=11, image=8, numbers=True),
        CaptionAttention(pictures, [long] * 9, cross, 2, references=[long] * 9, image=8),
    ]


@pytest.mark.parametrize(("theme", "width"), [("light", 900), ("dark", 900), ("light", 360), ("dark", 310)])
def test_axe_finds_nothing_and_nothing_overflows(tmp_path: Path, theme: str, width: int) -> None:
    widgets = [patches(query=2), patches(numbers=True), captions(word=1)] if width == 900 else large()
    with opened(build(tmp_path, *widgets, theme=theme), width=width, has_touch=width < 400) as it:
        found = Axe().run(it.page).response["violations"]
        assert [(v["id"], [n["html"][:200] for n in v["nodes"]]) for v in found] == []
        assert it.page.evaluate("document.documentElement.scrollWidth") <= width
        assert it.page.evaluate(WIDE) == []
        inside = """(e) => { const r = e.getBoundingClientRect(), b = e.closest('.lmw-scroller').getBoundingClientRect();
            return r.left >= b.left && r.right <= b.right; }"""
        for chosen in it.page.locator(":is(.lmw-tile, .lmw-thumb)[aria-current]").all():
            assert chosen.evaluate(inside), "what is chosen is scrolled into view"
        assert it.page.evaluate("scrollY") == 0
        it.clean()


def test_many_classes_show_the_most_probable_and_the_true_one(tmp_path: Path) -> None:
    widget = large()[0]
    with opened(build(tmp_path, widget)) as it:
        shown = [int(r.get_attribute("data-class")) for r in it.page.locator("[data-class]").all()]
        it.clean()
    chances = np.frombuffer(widget.probabilities, "<f4").reshape(9, 40)[8]
    top = np.argsort(-chances)[:10].tolist()
    assert shown == top + ([39] if 39 not in top else [])


def test_weights_differ_without_colour_and_print_in_ink(tmp_path: Path) -> None:
    with opened(build(tmp_path, patches(query=4), theme="dark")) as it:
        box, style = it.page.locator("section.lmw"), "(e, what) => getComputedStyle(e)[what]"
        assert box.locator(".lmw-asks").first.evaluate(style, "strokeDasharray") != "none"
        assert box.locator(".lmw-tile[aria-current]").evaluate(style, "outlineStyle") == "solid"
        it.page.emulate_media(media="print")
        assert [box.evaluate(style, what) for what in ("backgroundColor", "color")] == ["rgb(255, 255, 255)", "rgb(0, 0, 0)"]
        assert box.locator(".lmw-heat-square").first.is_visible()
        assert box.locator(".lmw-tile").first.is_visible()
        it.clean()
