"""The architecture walk in Chromium: at every part and setting the page shows the shapes, parameters and masks of lmcore."""

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from lmcore.attention import causal_mask, padding_mask
from lmcore.blocks import EncoderLayer
from lmcore.widgets import ArchitectureWalk
from lmcore.widgets.architecture_parts import NORMS, Part, parts_of
from tests.book.figures import status
from tests.book.pages import build, opened
from tests.test_architecture_walk import SIZES, WORDS, numbers, real_shapes, said, translator

pytestmark = pytest.mark.browser

NAMES = {"post": "Post-norm", "pre": "Pre-norm"}
WALK = """async () => {
  const box = document.querySelector('.lmw-walk'), found = [], all = (selector) => [...box.querySelectorAll(selector)];
  const text = (selector) => { const e = box.querySelector(selector); return e.hidden ? null : e.textContent; };
  const rows = (kind) => all(`[data-${kind}]`).map((r) => [r.dataset[kind], r.dataset.numbers, r.cells[2].textContent]);
  const back = box.querySelector('[aria-label="Part below"]'), next = box.querySelector('[aria-label="Part above"]');
  while (!back.disabled) { back.click(); await Promise.resolve(); }
  for (;;) {
    const chosen = all('[role=radio][aria-checked=true]'), [masked] = all('.lmw-masked');
    found.push({id: chosen[0].dataset.part, chosen: chosen.length, name: chosen[0].ariaLabel, out: text('.lmw-walk-out'),
      title: text('.lmw-walk-title'), text: text('.lmw-walk-side > p'),
      formula: all('.lmw-walk-side > .lmw-formula:not(.lmw-switched) p').map((p) => p.textContent),
      step: all('[data-step]').map((p) => [p.dataset.step, p.textContent])[0] ?? null, code: text('.lmw-walk-side > .lmw-code'),
      shapes: rows('shape'), parameters: rows('parameter'), maskName: masked.querySelector('svg').ariaLabel,
      mask: masked.hidden ? null : all('[data-may]').map((c) => [+c.dataset.row, +c.dataset.column, c.dataset.may]),
      maskCode: masked.hidden ? null : masked.querySelector('.lmw-code').textContent,
      facts: Object.fromEntries(all('[data-fact]').map((f) => [f.dataset.fact, +f.dataset.value])),
      status: text('[role=status]'), order: all('[role=radio]').map((g) => g.dataset.part)});
    if (next.disabled) return found;
    next.click(); await Promise.resolve();
  }
}"""


def walk(**kwargs: Any) -> ArchitectureWalk:
    return ArchitectureWalk(**{**SIZES, "vocabulary": WORDS, **kwargs})


def plain(formula: str) -> str:
    """A formula without its markup."""
    return formula.replace("_{", "").replace("^{", "").replace("}", "")


def masks(part: Part, lengths: tuple[int, int], causal: bool = False) -> list[list[Any]]:
    """The mask of the part as lmcore has it, as rows of query, key and whether it may look."""
    known: dict[str, Any] = {
        "causal_mask": causal_mask,
        "padding_mask": padding_mask,
        "S": SIZES["source"],
        "T": SIZES["target"],
    }
    known |= {"source_lengths": torch.tensor([lengths[0]]), "lengths": torch.tensor([lengths[1]])}
    queries, keys = dict(part.shapes)["weights A"].split()[2:]
    mask = eval(part.mask.split("|")[1 if causal else 0], known)
    mask = mask.broadcast_to(1, 1, known[queries], known[keys])[0, 0]
    return [[t, s, str(bool(mask[t, s])).lower()] for t, s in itertools.product(*map(range, mask.shape))]


def check_part(shown: dict[str, Any], part: Part, norm: str) -> None:
    """What the page says of a part, but for shapes and parameters that only the modules know."""
    assert shown["chosen"] == 1
    assert shown["title"] == part.title
    text = part.text if isinstance(part.text, str) else part.text[norm]
    assert shown["text"].removesuffix(" The causal mask allows it to look back only.") == text
    assert shown["formula"] == [plain(line) for line in part.formula]
    assert shown["step"] == ([part.step[norm], plain(part.step[norm])] if part.step else None)
    assert shown["code"] == (said(part, norm) if part.code else None)
    times = " × ".join(map(str, numbers(part.out, SIZES)))
    assert shown["out"] == f"{times} out"
    assert shown["name"].startswith(part.title)
    assert shown["name"].endswith(f": {times} out")
    assert f"{NAMES[norm].lower()}. {part.title}: {times} out." in shown["status"]


@pytest.mark.parametrize("norm", NORMS)
def test_every_part_of_the_whole_has_the_shapes_of_the_modules(tmp_path: Path, norm: str) -> None:
    lengths = (4, 3)
    with opened(build(tmp_path, walk(norm=norm, source_length=4, target_length=3))) as it:
        found = it.page.evaluate(WALK)
        it.clean()
    real, model = real_shapes(norm), translator(norm)
    parts = {part.id: part for part in parts_of("whole")}
    assert [f["id"] for f in found] == found[0]["order"]
    assert {f["id"] for f in found} == {part.id for part in parts.values() if norm in part.norms}
    place = [f["id"] for f in found].index
    for side, number, kind in (("encoder", 1, "self"), ("decoder", 2, "cross"), ("decoder", 3, "mlp")):
        normed, added, main = place(f"{side}_norm{number}"), place(f"{side}_add{number}"), place(f"{side}_{kind}")
        assert (normed + 1 == main < added) if norm == "pre" else (main < added == normed - 1)
    total = sum(p.numel() for p in model.parameters())
    for f in found:
        part = parts[f["id"]]
        check_part(f, part, norm)
        for name, exact, text in f["shapes"]:
            expected = real.get((part.id, name), numbers(dict(part.shapes)[name], SIZES))
            assert exact == ",".join(map(str, expected)), (part.id, name)
            assert text == " × ".join(map(str, expected))
        assert [name for name, *_ in f["shapes"]] == [name for name, _ in part.shapes]
        mine = 0
        if part.parameters:
            module = model.get_submodule(part.path.format(i=0))
            has = {name: tuple(module.get_parameter(name).shape) for name, _ in part.parameters}
            assert {name: exact for name, exact, _ in f["parameters"]} == {n: ",".join(map(str, s)) for n, s in has.items()}
            mine = sum(torch.Size(s).numel() for s in has.values()) * (SIZES["layers"] if part.repeated else 1)
        assert f["facts"] == {"all": total, "part": mine, "head": 11}
        assert f["mask"] == (masks(part, lengths) if part.mask else None)
        if part.mask:
            allowed = sum(may == "true" for *_, may in f["mask"])
            assert f["maskCode"] == f"mask = {part.mask}"
            assert f"{allowed} of {len(f['mask'])} allowed" in f["maskName"]
            assert f"Of {len(f['mask'])} pairs of a query and a key the mask allows {allowed}." in f["status"]


@pytest.mark.parametrize(("norm", "causal"), [("post", False), ("pre", True)])
def test_every_part_of_the_block(tmp_path: Path, norm: str, causal: bool) -> None:
    layer = EncoderLayer(SIZES["dim"], SIZES["heads"], SIZES["hidden"], norm=norm)
    with opened(build(tmp_path, walk(part="block", norm=norm, causal=causal, target_length=2))) as it:
        found = it.page.evaluate(WALK)
        it.clean()
    parts = {part.id: part for part in parts_of("block")}
    assert len(found) == len(parts)
    for f in found:
        part = parts[f["id"]]
        check_part(f, part, norm)
        assert {n: s for n, s, _ in f["shapes"]} == {n: ",".join(map(str, numbers(s, SIZES))) for n, s in part.shapes}
        assert f["facts"]["all"] == sum(p.numel() for p in layer.parameters())
        assert f["text"].endswith("look back only.") == (causal and bool(part.mask))
        assert f["mask"] == (masks(part, (0, 2), causal) if part.mask else None)
        if part.mask:
            assert f["maskCode"] == f"mask = {part.mask.split('|')[int(causal)]}"


def out(page: Page) -> str:
    return page.locator(".lmw-walk-out").inner_text()


def test_switch_moves_drawing_formula_code_and_text_together(tmp_path: Path) -> None:
    with opened(build(tmp_path, walk(part="block", chosen="block_norm1")), reduced_motion="reduce") as it:
        page, box = it.page, it.page.locator(".lmw-walk")
        seen = {}
        for norm, name in NAMES.items():
            box.get_by_label(name).check()
            places = {e: box.locator(f"[data-part={e}]").bounding_box() for e in ("block_norm1", "block_self", "block_add1")}
            middle = {e: (p["x"] + p["width"] / 2, p["y"] + p["height"] / 2) for e, p in places.items() if p}
            beside = abs(middle["block_norm1"][0] - middle["block_self"][0]) < 2
            road = abs(middle["block_norm1"][0] - middle["block_add1"][0]) < 2
            assert (beside, road) == ((True, False) if norm == "pre" else (False, True))
            above = middle["block_norm1"][1] < middle["block_add1"][1]
            assert above == (norm == "post")
            side = box.locator(".lmw-walk-side")
            seen[norm] = [
                side.locator("> p").inner_text(),
                side.locator("[data-step]").inner_text(),
                side.locator("> .lmw-code").inner_text(),
            ]
            assert box.locator(".lmw-wire-road").count() == (3 if norm == "pre" else 5), "post-norm interrupts the road"
        assert all(a != b for a, b in zip(*seen.values(), strict=True))
        assert "x = x + self.self_attn(self.norm1(x), mask=mask)[0]" in seen["pre"]
        assert "x = self.norm1(x + self.self_attn(x, mask=mask)[0])" in seen["post"]
        assert "pre-norm" in status(page, "walk")
        it.clean()


def test_a_reader_sets_every_size(tmp_path: Path) -> None:
    with opened(build(tmp_path, ArchitectureWalk(chosen="decoder_cross")), height=1700) as it:
        page, box = it.page, it.page.locator(".lmw-walk")
        for label, value in {"Texts B": "3", "Source S": "9", "Target T": "4", "Blocks": "2"}.items():
            box.get_by_role("slider", name=label).fill(value)
        box.get_by_label("Heads H").select_option("4")
        box.get_by_label("Width C").select_option("768")
        assert out(page) == "3 × 4 × 768 out"
        shapes = dict(box.locator("[data-shape]").evaluate_all("(rs) => rs.map((r) => [r.dataset.shape, r.dataset.numbers])"))
        assert shapes["Q, all heads"] == "3,4,4,192"
        assert shapes["K and V, all heads"] == "3,4,9,192"
        assert shapes["weights A"] == "3,4,4,9"
        assert box.get_by_label("Hidden F").input_value() == "3072", "the MLP keeps its proportion"
        box.get_by_label("Hidden F").select_option("768")
        assert box.locator(".lmw-frame-tag + text").all_text_contents() == ["2 ×", "2 ×"]
        expected = translator("post", {**SIZES, "dim": 768, "heads": 4, "layers": 2, "hidden": 768})
        own = {"source.weight": 10_000, "target.weight": 8_000}
        without = sum(p.numel() for n, p in expected.named_parameters() if n not in own) + sum(v * 768 for v in own.values())
        assert box.locator("[data-fact=all]").get_attribute("data-value") == str(without)
        box.get_by_role("slider", name="Source S").fill("2")  # shorter than the real tokens were
        assert "of 2" in box.get_by_role("slider", name="Real tokens, source").get_attribute("aria-valuetext")
        assert box.locator("[data-may]").count() == 8
        assert box.get_by_label("Heads H").locator("option").all_inner_texts() == [str(n) for n in range(1, 33) if 768 % n == 0]
        it.clean()


def test_by_keyboard_alone(tmp_path: Path) -> None:
    with opened(build(tmp_path, walk()), height=1500) as it:
        page = it.page
        label = "(document.activeElement.labels?.[0] ?? document.activeElement).textContent"
        for text in ("Post-norm", "Texts", "Source", "Target", "Blocks", "Width", "Heads", "Hidden"):
            page.keyboard.press("Tab")
            assert page.evaluate(label).startswith(text), text
        page.keyboard.press("Tab")  # the drawing is one stop
        here = "document.activeElement.dataset.part"
        assert page.evaluate(here) == "encoder_self"
        for key, part in (
            ("ArrowUp", "encoder_add1"),
            ("ArrowDown", "encoder_self"),
            ("Home", "source"),
            ("ArrowLeft", "source"),
            ("End", "softmax"),
        ):
            page.keyboard.press(key)
            assert page.evaluate(here) == part
            assert page.locator("[aria-checked=true]").get_attribute("data-part") == part
            assert page.locator("[role=radio][tabindex='0']").count() == 1
        assert "Softmax" in status(page, "walk")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.ariaLabel") == "Part below"
        page.keyboard.press("Enter")
        assert page.locator("[aria-checked=true]").get_attribute("data-part") == "logits"
        for _ in range(2):
            page.keyboard.press("Shift+Tab")
        assert page.evaluate(label).startswith("Hidden")
        it.clean()


def test_every_part_can_be_pointed_at(tmp_path: Path) -> None:
    with opened(build(tmp_path, walk(norm="pre")), height=1600, width=360, has_touch=True) as it:
        page = it.page
        for part in page.locator("[role=radio]").all():
            box = part.bounding_box()
            assert box
            assert min(box["width"], box["height"]) >= 23.9
            part.scroll_into_view_if_needed()
            part.tap(position={"x": 13, "y": 12})
            assert part.get_attribute("aria-checked") == "true"
        it.clean()


def test_norm_at_the_end_goes_with_the_switch_and_the_choice_with_it(tmp_path: Path) -> None:
    with opened(build(tmp_path, walk(norm="pre", chosen="decoder_norm"))) as it:
        box = it.page.locator(".lmw-walk")
        assert box.locator(".lmw-walk-title").inner_text() == "Norm at the end of the decoder"
        box.get_by_label("Post-norm").check()
        assert box.locator("[data-part=decoder_norm]").count() == 0
        assert box.locator("[aria-checked=true]").count() == 1
        box.get_by_label("Pre-norm").check()
        assert box.locator(".lmw-walk-title").inner_text() == "Norm at the end of the decoder"
        it.clean()


def test_a_change_made_elsewhere_is_followed(tmp_path: Path) -> None:
    widget = walk()
    with opened(build(tmp_path, widget, walk(part="block"), widget), height=4000) as it:
        boxes = it.page.locator(".lmw-walk")
        boxes.nth(2).get_by_label("Pre-norm").check()
        boxes.nth(2).locator("[data-part=decoder_cross]").click()
        for i, (part, norm) in enumerate((("decoder_cross", "Pre"), ("block_self", "Post"), ("decoder_cross", "Pre"))):
            assert boxes.nth(i).locator("[aria-checked=true]").get_attribute("data-part") == part
            assert boxes.nth(i).get_by_label(f"{norm}-norm").is_checked()
        it.clean()


@pytest.mark.parametrize(
    ("theme", "width", "part"),
    [("light", 900, "whole"), ("dark", 900, "block"), ("light", 360, "block"), ("dark", 360, "whole"), ("light", 310, "whole")],
)
def test_axe_finds_nothing_and_nothing_overflows(tmp_path: Path, theme: str, width: int, part: str) -> None:
    widget = ArchitectureWalk(part, 8, 12, 12, dim=2048, heads=16, norm="pre")  # wide numbers
    with opened(build(tmp_path, widget, theme=theme), width=width, has_touch=width < 400, reduced_motion="reduce") as it:
        if part == "whole":
            it.page.locator("[data-part=decoder_cross]").click()
        found = Axe().run(it.page).response["violations"]
        assert [(v["id"], [n["html"][:200] for n in v["nodes"]]) for v in found] == []
        assert it.page.evaluate("document.documentElement.scrollWidth") <= width
        wide = """[...document.querySelectorAll('.lmw *')].filter((e) => !e.closest('.lmw-hidden, [hidden], option'))
          .map((e) => [e, e.getBoundingClientRect(), e.closest('.lmw').getBoundingClientRect()])
          .filter(([e, r, b]) => r.right > b.right + 1 || (r.width && r.left < b.left - 1))
          .map(([e]) => e.outerHTML.slice(0, 99))"""
        assert it.page.evaluate(wide) == []
        tight = """[...document.querySelectorAll('.lmw-part:has(rect.lmw-part-box)')].filter((g) => {
            const b = g.querySelector('.lmw-part-box').getBoundingClientRect();
            return [...g.querySelectorAll('text')].map((t) => t.getBoundingClientRect())
              .some((r) => r.width && (r.left < b.left || r.right > b.right)); }).map((g) => g.dataset.part)"""
        assert it.page.evaluate(tight) == [], "a label leaves its box"
        apart = """(() => {
            const all = [...document.querySelectorAll('.lmw-part-box')].map((e) => e.getBoundingClientRect());
            const meet = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
            return all.flatMap((a, i) => all.slice(i + 1).filter((b) => meet(a, b))).length; })()"""
        assert it.page.evaluate(apart) == 0, "two parts overlap"
        it.clean()


def test_parts_and_masks_differ_without_colour_and_print_in_ink(tmp_path: Path) -> None:
    with opened(build(tmp_path, walk(), theme="dark")) as it:
        box = it.page.locator(".lmw-walk")
        assert box.locator(".lmw-may-not path").count() == box.locator(".lmw-may-not").count() > 0
        assert box.locator(".lmw-may-look path").count() == 0
        dash = "e => getComputedStyle(e).strokeDasharray"
        assert box.locator(".lmw-wire-residual").first.evaluate(dash) != box.locator(".lmw-wire-trunk").first.evaluate(dash)
        names = box.locator(".lmw-part:not(.lmw-part-add) .lmw-part-name").all_text_contents()
        assert all(names)
        it.page.emulate_media(media="print")
        assert box.evaluate("e => [getComputedStyle(e).backgroundColor, getComputedStyle(e).color]") == [
            "rgb(255, 255, 255)",
            "rgb(0, 0, 0)",
        ]
        assert box.locator(".lmw-architecture").is_visible()
        assert not box.locator(".lmw-sizes").is_visible()
        it.clean()
