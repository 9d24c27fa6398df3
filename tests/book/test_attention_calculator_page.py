"""The attention calculator in Chromium: after every change every matrix of every step is lmcore's."""

import math
import random
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, expect

from lmcore.widgets import AttentionCalculator
from lmcore.widgets.attention_calculator import STEPS
from tests.book.figures import CHANGE, SMALL, WIDE, status
from tests.book.pages import build, opened
from tests.test_attention_calculator import C, D, E, T, calculator, fused

pytestmark = pytest.mark.browser

WALK = (
    """async (edits) => {
  const box = document.querySelector('.lmw-calculator'), found = [], all = (selector) => [...box.querySelectorAll(selector)];
  const [causal, scaled] = all('[type=checkbox]'), steps = all('[type=radio]');
  const cells = (node) => [...node.querySelectorAll('tbody tr')]
    .map((r) => [...r.querySelectorAll('td')].map((c) => c.dataset.value));
  """
    + CHANGE
    + """
  for (const {label, value, mask, divide} of edits) {
    const input = all('input[type=number]').find((i) => i.getAttribute('aria-label') === label);
    input.value = value; await change(input, 'input'); await change(input, 'change');
    for (const [it, on] of [[causal, mask], [scaled, divide]]) { it.checked = on; await change(it, 'change'); }
    const shown = {};
    for (const step of steps) {
      step.checked = true; await change(step, 'change');
      const result = box.querySelector('.lmw-result');
      shown[step.labels[0].textContent] = {result: cells(result), name: result.querySelector('[data-matrix]').dataset.matrix,
        operands: all('.lmw-equation > .lmw-operands [data-matrix]').map((o) => o.dataset.matrix),
        shapes: all('.lmw-equation caption').map((c) => c.textContent.match(/\\d+ × \\d+/)[0])};
    }
    found.push(shown);
  }
  return found;
}"""
)
LABELS = ["Q", "K", "V", "QKᵀ", "÷ √D", "mask", "softmax", "AV"]
WORDS = ["the", "naïve", '"<b>"', "bank", "."]
TRAITS = {"X": "x", "W Q": "w_q", "W K": "w_k", "W V": "w_v"}


def label(name: str, row: int, column: int) -> str:
    return f"{name}, {f'“{WORDS[row]}”' if name == 'X' else f'row {row + 1}'}, column {column + 1}"


def edits(count: int) -> list[dict[str, Any]]:
    """Random numbers at random places, from tiny to the largest that are allowed."""
    source = random.Random(5)
    shapes = {"X": (T, C), "W Q": (C, D), "W K": (C, D), "W V": (C, E)}
    found = []
    for n in range(count):
        name = list(shapes)[n % 4]
        place = tuple(source.randrange(size) for size in shapes[name])
        value = source.choice(["0", "-0.5", "3", "1e-3", "1000", "-1000", "0.333", "-7.25"])
        found.append(
            {"name": name, "place": place, "value": value, "mask": source.random() < 0.5, "divide": source.random() < 0.7}
        )
    return found


def test_every_matrix_of_every_step_is_lmcores_after_every_edit(tmp_path: Path) -> None:
    changes, widget = edits(16), calculator()
    with opened(build(tmp_path, calculator())) as it:
        asked = [
            {"label": label(e["name"], *e["place"]), "value": e["value"], "mask": e["mask"], "divide": e["divide"]}
            for e in changes
        ]
        found = it.page.evaluate(WALK, asked)
        it.clean()
    largest = 0.0
    for edit, shown in zip(changes, found, strict=True):
        name, (row, column) = TRAITS[edit["name"]], edit["place"]
        numbers = [list(r) for r in getattr(widget, name)]
        numbers[row][column] = float(edit["value"])
        widget.set_state({name: numbers, "causal": edit["mask"], "scaled": edit["divide"]})
        exact = widget.matrices()
        assert list(shown) == LABELS
        for step, key in zip(LABELS, STEPS, strict=True):
            cells = [[float(v.replace("Infinity", "inf")) for v in r] for r in shown[step]["result"]]
            values = torch.tensor(cells, dtype=torch.float64)
            assert values.shape == exact[key].shape
            size = max(1.0, float(exact[key][exact[key].isfinite()].abs().max()))
            assert torch.equal(values.isinf(), exact[key].isinf())
            seen = ~values.isinf()
            assert torch.allclose(values[seen], exact[key][seen], rtol=1e-9, atol=1e-12 * size), (edit, key)
            assert shown[step]["shapes"][-1] == f"{values.shape[0]} × {values.shape[1]}"
            largest = max(largest, size)
        weights = torch.tensor([[float(v) for v in r] for r in shown["softmax"]["result"]], dtype=torch.float64)
        if edit["mask"]:
            assert not weights.triu(1).any(), "what is forbidden weighs exactly nothing"
        parts = [torch.tensor(getattr(widget, n), dtype=torch.float64) for n in ("x", "w_q", "w_k", "w_v")]
        output = torch.tensor([[float(v) for v in r] for r in shown["AV"]["result"]], dtype=torch.float64)
        oracle = fused(*parts, causal=edit["mask"], scale=None if edit["divide"] else 1.0)
        assert torch.allclose(output, oracle, rtol=1e-8, atol=1e-9 * max(1.0, float(oracle.abs().max())))
    assert largest > 1e6, "scores beyond what exp can take must be among them"
    operands = {step: shown["operands"] for step, shown in found[0].items()}
    assert operands == {
        "Q": ["x", "w_q"], "K": ["x", "w_k"], "V": ["x", "w_v"], "QKᵀ": ["q", "kt"], "÷ √D": ["scores"],
        "mask": ["divided", "mask"], "softmax": ["masked"], "AV": ["weights", "v"],
    }  # fmt: skip


def simple(**kwargs: Any) -> AttentionCalculator:
    """Numbers that two decimals write out in full."""
    x, eye = [[1, 0], [0.5, -1], [2, 0.25]], [[1, 0], [0, 1]]
    return AttentionCalculator("we swam home", x, eye, [[0, 1], [1, 0]], [[2], [-0.5]], **kwargs)


def test_sums_are_written_out(tmp_path: Path) -> None:
    with opened(build(tmp_path, simple(causal=True))) as it:
        box = it.page.locator(".lmw-calculator")
        sums = []
        for step in range(8):
            box.get_by_role("radio").nth(step).check()
            box.locator(".lmw-result button").nth({2: 2, 7: 2}.get(step, -2)).click()
            sums.append(box.locator(".lmw-sum").inner_text())
        it.clean()
    assert sums[0] == "Q (“home”, 1): 2·1 + 0.25·0 = 2"
    assert sums[1] == "K (“home”, 1): 2·0 + 0.25·1 = 0.25"
    assert sums[2] == "V (“home”, 1): 2·2 + 0.25·(−0.5) ≈ 3.88"
    assert sums[3] == "“home” and “swam”: 2·(−1) + 0.25·0.5 ≈ −1.87"
    assert sums[4] == "“home” and “swam”: −1.87 / √2 ≈ −1.33"
    assert sums[5] == "“home” and “swam”: −1.33 + 0 ≈ −1.33"
    total = math.exp(0.25 / math.sqrt(2)) + math.exp(-1.875 / math.sqrt(2)) + math.exp(1 / math.sqrt(2))
    weight = math.exp(-1.875 / math.sqrt(2)) / total
    assert re.sub(r"\s", "", sums[6]).endswith(
        f"≈0.27/{total:.2f}≈{weight:.2f}".replace(f"{total:.2f}", f"{round(total, 2):g}")
    )
    assert sums[7].startswith("Y (“home”, 1): ")


def test_a_forbidden_word_is_explained(tmp_path: Path) -> None:
    with opened(build(tmp_path, simple(causal=True, step=5, row=0, column=2))) as it:
        box = it.page.locator(".lmw-calculator")
        assert "“we” may not look at “home”" in status(it.page, "calculator")
        assert box.locator(".lmw-sum").inner_text() == "“we” and “home”: 0.18 + (−∞) = −∞"
        box.get_by_role("button", name="Next step").click()
        assert "weighs exactly nothing" in box.locator(".lmw-sum").inner_text()
        box.get_by_label("causal mask").uncheck()
        assert "weighs exactly nothing" not in box.locator(".lmw-sum").inner_text()
        box.get_by_label("divide by √D").uncheck()
        box.get_by_role("button", name="Back").click()
        box.get_by_role("button", name="Back").click()
        assert "switched off" in status(it.page, "calculator")
        it.clean()


def result(box: Locator) -> list[float]:
    return [float(v) for v in box.locator(".lmw-result td[data-value]").evaluate_all("(cs) => cs.map((c) => c.dataset.value)")]


def test_numbers_are_edited_by_keyboard_and_the_cursor_stays(tmp_path: Path) -> None:
    with opened(build(tmp_path, simple())) as it:
        page, box = it.page, it.page.locator(".lmw-calculator")
        first = box.get_by_label("X, “we”, column 1")
        first.focus()
        page.keyboard.press("ControlOrMeta+a")
        page.keyboard.type("-2.5")
        assert result(box)[:2] == [-2.5, 0]
        assert first.evaluate("e => e === document.activeElement")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "X, “we”, column 2"
        page.keyboard.press("ArrowUp")  # as number fields do
        assert result(box)[:2] == [-2.5, pytest.approx(0.1)]
        box.get_by_role("button", name="Numbers as given").click()
        assert result(box)[:2] == [1, 0]
        assert first.input_value() == "1"
        it.clean()


def test_what_is_no_number_is_refused_in_words(tmp_path: Path) -> None:
    with opened(build(tmp_path, simple())) as it:
        box = it.page.locator(".lmw-calculator")
        field = box.get_by_label("X, “swam”, column 2")
        for bad in ("", "1001"):
            field.fill(bad)
            assert field.get_attribute("aria-invalid") == "true"
            expect(box.get_by_role("alert")).to_have_text("X, “swam”, column 2: write a number from −1000 to 1000.")
            assert result(box)[3] == -1
        field.blur()
        assert field.input_value() == "-1"
        assert field.get_attribute("aria-invalid") == "false"
        field.fill("4")
        expect(box.locator(".lmw-warning")).to_have_text("")
        assert result(box)[3] == 4
        it.clean()


def test_by_keyboard_alone(tmp_path: Path) -> None:
    with opened(build(tmp_path, simple())) as it:
        page, box = it.page, it.page.locator(".lmw-calculator")
        page.keyboard.press("Tab")
        page.keyboard.press("ArrowRight")  # radio buttons: to K
        assert status(page, "calculator").startswith("Step 2 of 8. The key of “we”")
        for _ in range(3):
            page.keyboard.press("ArrowRight")
        assert status(page, "calculator").startswith("Step 5 of 8.")
        for _ in range(6):
            page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.getAttribute('aria-label')").startswith("S, 3 rows, 3 columns")
        for key, place in (
            ("ArrowDown", (1, 0)),
            ("End", (1, 2)),
            ("ArrowDown", (2, 2)),
            ("ArrowDown", (2, 2)),
            ("ArrowLeft", (2, 1)),
            ("Home", (2, 0)),
        ):
            page.keyboard.press(key)
            assert box.locator(".lmw-result button").nth(place[0] * 3 + place[1]).get_attribute("aria-current") == "true"
            assert page.evaluate("document.activeElement.classList.contains('lmw-result')")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")  # opens the numbers to change
        expect(box.get_by_label("W Q, row 1, column 1")).to_be_visible()
        it.clean()


def test_a_number_can_be_tapped_and_the_inputs_changed_at_every_step(tmp_path: Path) -> None:
    with opened(build(tmp_path, simple(step=6)), width=390, has_touch=True, is_mobile=True) as it:
        box = it.page.locator(".lmw-calculator")
        box.locator(".lmw-result button").nth(5).tap()
        assert "The row of “swam” sums to 1" in status(it.page, "calculator")
        before = result(box)
        box.locator("summary").tap()
        box.get_by_label("X, “home”, column 1").fill("-3")
        assert result(box) != before
        assert it.page.evaluate(SMALL) == []
        it.clean()


def test_a_change_made_elsewhere_is_followed(tmp_path: Path) -> None:
    widget = simple()
    with opened(build(tmp_path, widget, simple(), widget), height=3000) as it:
        boxes = it.page.locator(".lmw-calculator")
        boxes.nth(2).get_by_label("X, “we”, column 1").fill("9")
        assert [result(boxes.nth(i))[0] for i in range(3)] == [9, 1, 9]
        assert boxes.nth(0).get_by_label("X, “we”, column 1").input_value() == "9"
        it.clean()


def largest() -> AttentionCalculator:
    """The largest matrices that are allowed, of long numbers, with long words."""
    words = ["Donaudampfschiff", *(f"word{i}" for i in range(7))]
    return AttentionCalculator(words, *(-123.456 * torch.ones(8, 8) + torch.arange(8) for _ in range(4)), causal=True)


@pytest.mark.parametrize(("theme", "width"), [("light", 900), ("dark", 900), ("light", 360), ("dark", 310)])
def test_axe_finds_nothing_and_nothing_overflows(tmp_path: Path, theme: str, width: int) -> None:
    with opened(
        build(tmp_path, largest() if width != 900 else calculator(causal=True), theme=theme), width=width, has_touch=width < 400
    ) as it:
        box = it.page.locator(".lmw-calculator")
        for step in (0, 6):
            box.get_by_role("radio").nth(step).check()
            if step == 6:
                box.locator("summary").click()
            found = Axe().run(it.page).response["violations"]
            assert [(v["id"], [n["html"][:200] for n in v["nodes"]]) for v in found] == []
            assert it.page.evaluate("document.documentElement.scrollWidth") <= width
            assert it.page.evaluate(WIDE) == []
        it.clean()


def test_chosen_numbers_differ_without_colour_and_print_in_ink(tmp_path: Path) -> None:
    with opened(build(tmp_path, calculator(step=3), theme="dark")) as it:
        box = it.page.locator(".lmw-calculator")
        style = "(e, what) => getComputedStyle(e)[what]"
        assert box.locator(".lmw-result [aria-current]").evaluate(style, "outlineStyle") == "solid"
        lit = box.locator(".lmw-equation td.lmw-lit")
        assert lit.count() == D + D
        assert lit.first.evaluate(style, "fontWeight") == "700"
        it.page.emulate_media(media="print")
        assert [box.evaluate(style, what) for what in ("backgroundColor", "color")] == ["rgb(255, 255, 255)", "rgb(0, 0, 0)"]
        assert not box.get_by_role("button", name="Next step").is_visible()
        assert box.locator(".lmw-result button").first.is_visible()
        it.clean()
