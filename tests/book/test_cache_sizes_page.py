"""The cache sizes in Chromium: at every point of a grid the page says what lmcore computes."""

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator

from lmcore.widgets import CacheModel, CacheSizes, cache_bytes
from lmcore.widgets.cache_sizes import NUMBERS, PUBLISHED
from tests.book.figures import CHANGE, SMALL, WIDE, status
from tests.book.pages import build, opened

pytestmark = pytest.mark.browser

LENGTHS = [2**i for i in range(18)]
WALK = (
    """async ({models, kvs, lengths, batches, numbers}) => {
  const box = document.querySelector('.lmw-cache'), found = [], all = (selector) => [...box.querySelectorAll(selector)];
  const field = (name) => [...box.querySelectorAll('label')].find((l) => l.textContent.startsWith(name)).control;
  """
    + CHANGE
    + """
  const slide = async (name, i) => { field(name).value = i; await change(field(name), 'input'); };
  for (const m of models) {
    field('Model').selectedIndex = m; await change(field('Model'), 'change');
    for (let kv = 0; kv <= (kvs ? field('Heads of keys').max : -1) || kv === 0; kv++) {
      if (kvs) await slide('Heads of keys', kv);
      for (const length of lengths) for (const batch of batches) for (const number of numbers) {
        await slide('Tokens', length); await slide('Texts at once', batch);
        const radio = all('[type=radio]').slice(3)[number];
        radio.checked = true; await change(radio, 'change');
        found.push({m, kv, length, batch, number,
          facts: Object.fromEntries(all('[data-fact]').map((f) => [f.dataset.fact, +f.dataset.value])),
          curves: Object.fromEntries(all('[data-curve]').map(
            (c) => [c.dataset.curve, c.dataset.values.split(',').map(Number)])),
          queries: all('.lmw-cache-query').length, kept: all('.lmw-cache-kv').length, lines: all('.lmw-cache-line').length,
          kind: all('[type=radio]').slice(0, 3).findIndex((r) => r.checked)});
      }
    }
  }
  return found;
}"""
)


def fact(box: Locator, name: str) -> float:
    return float(box.locator(f"[data-fact={name}]").get_attribute("data-value") or "nan")


def walk(tmp_path: Path, **points: object) -> list[dict]:
    with opened(build(tmp_path, CacheSizes(memory=24))) as it:
        found = it.page.evaluate(WALK, points)
        it.clean()
    return found


def check(found: list[dict], kept: dict[tuple[int, int], int]) -> None:
    """Every number of the walk against lmcore; ``kept`` gives the heads of keys and values by model and place of the slider."""
    names = [*NUMBERS]
    for f in found:
        model, length, batch, number = PUBLISHED[f["m"]], LENGTHS[f["length"]], 2 ** f["batch"], names[f["number"]]
        now = kept[f["m"], f["kv"]]

        def size(kv: int, n: int, b: int, model: CacheModel = model, number: str = number) -> int:
            return cache_bytes(model.layers, kv, model.head_dim, n, b, number)

        bytes_ = size(now, length, batch)
        assert f["facts"] == {
            "bytes": bytes_,
            "mha": size(model.heads, length, batch),
            "saved": model.heads / now,
            "token": size(now, 1, 1),
            "text": size(now, length, 1),
            "fit": 24 * 10**9 // size(now, length, 1),
        }
        kind = ["MHA", "GQA", "MQA"][0 if now == model.heads else 2 if now == 1 else 1]
        heads = {"MHA": model.heads, "MQA": 1} | ({"GQA": now} if kind == "GQA" else {})
        assert f["curves"] == {name: [size(kv, n, batch) for n in LENGTHS] for name, kv in heads.items()}
        assert (f["queries"], f["lines"], f["kept"]) == (model.heads, model.heads, now)
        assert f["kind"] == ["MHA", "GQA", "MQA"].index(kind)


def test_every_model_at_every_length_batch_and_number(tmp_path: Path) -> None:
    found = walk(tmp_path, models=[*range(5)], kvs=False, lengths=[*range(18)], batches=[0, 1, 10], numbers=[0, 1, 2])
    assert len(found) == 5 * 18 * 3 * 3
    check(found, {(m, 0): model.kv_heads for m, model in enumerate(PUBLISHED)})


def test_every_number_of_heads_of_keys_and_values(tmp_path: Path) -> None:
    found = walk(tmp_path, models=[0, 2, 4], kvs=True, lengths=[12], batches=[3], numbers=[1])
    divisors = {m: [n for n in range(1, 65) if PUBLISHED[m].heads % n == 0] for m in (0, 2, 4)}
    assert len(found) == sum(map(len, divisors.values())) == 6 + 7 + 4
    check(found, {(m, i): n for m, ns in divisors.items() for i, n in enumerate(ns)})


def test_kinds_of_attention_are_a_click_away(tmp_path: Path) -> None:
    with opened(build(tmp_path, CacheSizes([CacheModel("mine", 2, 12, 12, 8, 64, "This book")]))) as it:
        box = it.page.locator(".lmw-cache")
        assert "This book. Trained on up to 64 tokens." in box.locator(".lmw-note").first.inner_text()
        for name, kept in (("GQA", 12), ("MQA", 1), ("MHA", 12)):
            box.get_by_role("radio", name=name).check()
            heads = box.locator(".lmw-cache-kv").count()
            assert heads == kept or (name == "GQA" and heads in (2, 3, 4, 6))
            assert status(it.page, "cache").startswith(f"mine with {name}" if name == "MHA" else f"Your model with {name}")
        box.get_by_label("Model").select_option("Llama 3 8B")
        for name, kept in (("MHA", 32), ("GQA", 8)):
            box.get_by_role("radio", name=name).check()
            assert box.locator(".lmw-cache-kv").count() == kept, "back to its own"
        box.get_by_role("radio", name="MQA").check()
        assert "Changed: Llama 3 8B has 32 layers, 32 heads of queries, 8 of keys and values" in box.inner_text()
        it.clean()


def test_by_keyboard_and_by_touch(tmp_path: Path) -> None:
    with opened(build(tmp_path, CacheSizes()), width=360, height=2000, has_touch=True) as it:
        page, box = it.page, it.page.locator(".lmw-cache")
        label = "(document.activeElement.labels?.[0] ?? document.activeElement).textContent"
        for text in ("Model", "GQA", "Heads of keys", "Layers", "Width", "Tokens", "Texts at once"):
            page.keyboard.press("Tab")
            assert page.evaluate(label).startswith(text), text
        before = fact(box, "bytes")
        page.keyboard.press("ArrowRight")
        assert fact(box, "bytes") == 2 * before
        assert box.get_by_label("Texts at once").get_attribute("aria-valuetext") == "2"
        pad = box.locator(".lmw-pad").bounding_box()
        assert pad
        page.touchscreen.tap(pad["x"] + pad["width"] * 10 / 17, pad["y"] + 20)
        assert "2 texts of 1\u202f024 tokens" in status(page, "cache")
        assert page.evaluate(SMALL) == []
        it.clean()


def test_a_change_made_elsewhere_is_followed(tmp_path: Path) -> None:
    widget = CacheSizes()
    with opened(build(tmp_path, widget, CacheSizes(length=100), widget), height=5000) as it:
        boxes = it.page.locator(".lmw-cache")
        assert "of 100 tokens" in boxes.nth(1).locator("[role=status]").inner_text()
        boxes.nth(2).get_by_role("radio", name="MQA").check()
        for i, kept in enumerate((1, 8, 1)):
            assert boxes.nth(i).locator(".lmw-cache-kv").count() == kept
        it.clean()


@pytest.mark.parametrize(("theme", "width"), [("light", 900), ("dark", 900), ("light", 360), ("dark", 310)])
def test_axe_finds_nothing_and_nothing_overflows(tmp_path: Path, theme: str, width: int) -> None:
    widget = CacheSizes(length=131072, batch=1024, memory=1000, layers=256)
    with opened(build(tmp_path, widget, theme=theme), width=width, has_touch=width < 400) as it:
        found = Axe().run(it.page).response["violations"]
        assert [(v["id"], [n["html"][:200] for n in v["nodes"]]) for v in found] == []
        assert it.page.evaluate("document.documentElement.scrollWidth") <= width
        assert it.page.evaluate(WIDE) == []
        it.clean()


def test_lines_differ_without_colour_and_print_in_ink(tmp_path: Path) -> None:
    with opened(build(tmp_path, CacheSizes(), theme="dark")) as it:
        box = it.page.locator(".lmw-cache")
        dashes = box.locator("[data-curve]").evaluate_all("(es) => es.map((e) => getComputedStyle(e).strokeDasharray)")
        assert len(dashes) == len(set(dashes)) == 3
        fills = [
            box.locator(f".lmw-cache-{kind}").first.evaluate("(e) => getComputedStyle(e).fill") for kind in ("query", "kv")
        ]
        assert fills[0] != fills[1]
        it.page.emulate_media(media="print")
        style = box.evaluate("e => [getComputedStyle(e).backgroundColor, getComputedStyle(e).color]")
        assert style == ["rgb(255, 255, 255)", "rgb(0, 0, 0)"]
        it.clean()
