"""The alignment explorer in Chromium: for every word of every example the page shows the weights it was given, and what follows
from them."""

import math
from pathlib import Path

import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from torch import Tensor

from lmcore.widgets import AlignmentExplorer
from tests.book.figures import CHANGE, SMALL, WIDE, status
from tests.book.pages import build, opened
from tests.test_alignment_explorer import examples, explorer

pytestmark = pytest.mark.browser

WALK = (
    """async () => {
  const box = document.querySelector('.lmw-alignment'), found = [], all = (selector) => [...box.querySelectorAll(selector)];
  const pick = box.querySelector('select');
  """
    + CHANGE
    + """
  for (let e = 0; e < pick.options.length; e++) {
    pick.selectedIndex = e; await change(pick, 'change');
    for (let t = 0; t < all('.lmw-from button').length; t++) {
      all('.lmw-from button')[t].click(); await Promise.resolve();
      found.push({e, t, from: all('.lmw-from button').map((b) => b.textContent),
        now: all('.lmw-from .lmw-now').map((b) => b.textContent),
        current: all('[aria-current]').map((b) => b.textContent), row: all('.lmw-to li').map((l) => +l.dataset.weight),
        to: all('.lmw-looked').map((w) => w.textContent),
        most: all('.lmw-most .lmw-looked').map((w) => w.textContent),
        shares: all('.lmw-to .lmw-number').map((n) => n.textContent),
        matrix: all('.lmw-weight').map((r) => [+r.dataset.value, +r.getAttribute('width')]),
        gold: all('.lmw-gold').map((r) => r.dataset.gold),
        strands: all('.lmw-strand-now').map((p) => [+p.dataset.s, +p.dataset.weight]),
        goldStrands: all('.lmw-strand-gold').map((p) => +p.dataset.gold),
        facts: Object.fromEntries(all('[data-fact]').map((f) => [f.dataset.fact, f.dataset.value])),
        status: box.querySelector('[role=status]').textContent});
    }
  }
  return found;
}"""
)


def crossings(links: list[tuple[int, int]]) -> int:
    return sum(i < k and j > m for i, j in links for k, m in links)


def percent(p: float) -> str:
    """As the page writes it, for shares that are neither tiny nor nearly whole."""
    return f"{100 * p:.{2 if p < 0.01 else 1}f} %"


def test_page_shows_the_weights_of_every_word(tmp_path: Path) -> None:
    with opened(build(tmp_path, explorer())) as it:
        found = it.page.evaluate(WALK)
        options = it.page.locator("select option").all_inner_texts()
        it.clean()
    assert len(found) == sum(len(e[1]) for e in examples())
    assert options[3] == '<b>"x"</b> naïve'
    assert options[0].startswith(f"{examples()[0][4]}: {examples()[0][0][0]}")
    crossed = 0
    for f in found:
        source, target, weights, gold, *_ = examples()[f["e"]]
        source = source.split() if isinstance(source, str) else list(source)
        weights, t = weights.float().double(), f["t"]
        row = weights[t]
        top = int(row.argmax())
        true = sorted({i for i, j in gold or [] if j == t})
        assert f["from"] == list(target)
        assert f["now"] == f["current"] == [target[t]]
        assert f["row"] == row.tolist()
        assert [word.removesuffix(", true alignment") for word in f["to"]] == source
        assert [i for i, word in enumerate(f["to"]) if word.endswith(", true alignment")] == true
        assert [word.removesuffix(", true alignment") for word in f["most"]] == [source[top]]
        assert [text for text, w in zip(f["shares"], row.tolist(), strict=True) if 1e-4 < w < 0.999] == [
            percent(w) for w in row.tolist() if 1e-4 < w < 0.999
        ]
        assert [value for value, _ in f["matrix"]] == weights.flatten().tolist()
        areas: Tensor = torch.tensor([side for _, side in f["matrix"]], dtype=torch.float64) ** 2
        assert torch.allclose(areas / areas.max(), weights.flatten() / weights.max(), atol=1e-6), "the area is the weight"
        assert f["gold"] == [f"{i},{j}" for i, j in gold or []]
        assert f["strands"] == [[s, w] for s, w in enumerate(row.tolist()) if w >= 0.02]
        assert sorted(f["goldStrands"]) == true
        links = [(int(w.argmax()), j) for j, w in enumerate(weights)]
        facts = {key: float(value) for key, value in f["facts"].items() if value}
        assert facts["top"] == float(row[top])
        assert facts["breadth"] == pytest.approx(math.exp(-float((row * row.log()).sum())), rel=1e-9)
        assert facts["crossings"] == crossings(links)
        crossed += crossings(links) > 0
        assert set(f["facts"]) == ({"top", "breadth", "crossings"} if gold is None else {*facts, "truth", "hits"})
        if gold is not None:
            aligned = {j for _, j in gold}
            assert facts["hits"] == sum((int(weights[j].argmax()), j) in set(gold) for j in aligned)
            assert facts.get("truth", 0) == pytest.approx(float(row[true].sum()) if true else 0, abs=1e-12)
            assert ("truth" in facts) == bool(true)
        assert f"word {t + 1} of {len(target)}, “{target[t]}”, looks at “{source[top]}” ({f['shares'][top]})" in f["status"]
        assert ("The true alignment is" in f["status"]) == bool(true)
        count = crossings(links)
        assert ("1 pair of lines crosses." if count == 1 else f"{count} pairs of lines cross.") in f["status"]
    assert crossed > 5, "re-ordering must be among the examples"


def test_by_keyboard_alone(tmp_path: Path) -> None:
    widget = explorer(word=0)
    with opened(build(tmp_path, widget)) as it:
        page, box = it.page, it.page.locator(".lmw-alignment")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.labels[0].textContent") == "Sentence"
        page.keyboard.press("End")
        assert "“een”" in status(page, "alignment")
        assert box.get_by_role("button", name="Back").is_disabled()
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")  # Next word
        assert "word 2 of 5, “heel”" in status(page, "alignment")
        page.keyboard.press("Tab")
        for key, word in (
            ("ArrowDown", "erg"),
            ("End", "Donaudampfschifffahrt"),
            ("ArrowRight", "Donaudampfschifffahrt"),
            ("Home", "een"),
        ):
            page.keyboard.press(key)
            assert f"“{word}”, looks" in status(page, "alignment")
            assert box.locator("[aria-current]").inner_text() == word
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.getAttribute('aria-label')").startswith("Matrix of weights")
        page.keyboard.press("ArrowDown")
        assert "“heel”, looks" in status(page, "alignment")
        it.clean()


def test_mouse_shows_a_word_in_passing_and_a_click_chooses_it(tmp_path: Path) -> None:
    with opened(build(tmp_path, explorer(word=0)), height=1600) as it:
        page, box = it.page, it.page.locator(".lmw-alignment")
        before, target = status(page, "alignment"), examples()[0][1]
        box.locator(".lmw-from button").nth(3).hover()
        assert box.locator(".lmw-now").inner_text() == target[3]
        assert box.locator("[aria-current]").inner_text() == target[0]
        row = box.locator(".lmw-to li").evaluate_all("(ls) => ls.map((l) => +l.dataset.weight)")
        assert row == examples()[0][2][3].tolist()
        assert status(page, "alignment") == before, "nothing is read aloud in passing"
        page.mouse.move(2, 2)
        assert box.locator(".lmw-now").inner_text() == target[0]
        box.locator(".lmw-row-pad").nth(5).hover()
        assert box.locator(".lmw-now").inner_text() == target[5]
        box.locator(".lmw-row-pad").nth(5).click()
        page.mouse.move(2, 2)
        assert f"“{target[5]}”, looks" in status(page, "alignment")
        it.clean()


def test_by_touch(tmp_path: Path) -> None:
    with opened(build(tmp_path, explorer(word=0)), width=390, has_touch=True, is_mobile=True) as it:
        box = it.page.locator(".lmw-alignment")
        box.locator(".lmw-from button").nth(4).tap()
        assert f"“{examples()[0][1][4]}”, looks" in status(it.page, "alignment")
        box.locator(".lmw-row-pad").nth(2).tap(force=True)
        assert f"“{examples()[0][1][2]}”, looks" in status(it.page, "alignment")
        assert it.page.evaluate(SMALL) == []
        it.clean()


def test_a_change_made_elsewhere_is_followed(tmp_path: Path) -> None:
    widget = explorer()
    with opened(build(tmp_path, widget, explorer(word=0), widget), height=4000) as it:
        boxes = it.page.locator(".lmw-alignment")
        boxes.nth(2).get_by_label("Sentence").select_option(index=3)
        boxes.nth(2).locator(".lmw-from button").nth(2).click()
        for i, word in enumerate(("erg", examples()[0][1][0], "erg")):
            assert boxes.nth(i).locator("[aria-current]").inner_text() == word
        it.clean()


def long() -> AlignmentExplorer:
    """The longest texts that are allowed, with a long word."""
    words = ["Donaudampfschifffahrtsgesellschaft", *(f"word{i}" for i in range(47))]
    return AlignmentExplorer([*examples()[:2], (words, words, torch.eye(48), [(i, i) for i in range(48)])], example=2)


@pytest.mark.parametrize(("theme", "width"), [("light", 900), ("dark", 900), ("light", 360), ("dark", 310)])
def test_axe_finds_nothing_and_nothing_overflows(tmp_path: Path, theme: str, width: int) -> None:
    with opened(build(tmp_path, long(), theme=theme), width=width, has_touch=width < 400) as it:
        for example in (2, 0):
            it.page.get_by_label("Sentence").select_option(index=example)
            found = Axe().run(it.page).response["violations"]
            assert [(v["id"], [n["html"][:200] for n in v["nodes"]]) for v in found] == []
            assert it.page.evaluate("document.documentElement.scrollWidth") <= width
            assert it.page.evaluate(WIDE) == []
        assert it.page.locator(".lmw-strands").bounding_box()["width"] >= 36  # type: ignore[index]
        it.clean()


def test_truth_differs_without_colour_and_prints_in_ink(tmp_path: Path) -> None:
    with opened(build(tmp_path, explorer(), theme="dark")) as it:
        box = it.page.locator(".lmw-alignment")
        style = "(e, what) => getComputedStyle(e)[what]"
        assert box.locator(".lmw-gold").first.evaluate(style, "strokeDasharray") != "none"
        assert box.locator(".lmw-strand-gold").first.evaluate(style, "strokeDasharray") != "none"
        assert box.locator(".lmw-strand-now").first.evaluate(style, "strokeDasharray") == "none"
        assert box.locator(".lmw-to").get_attribute("lang") == "en"
        assert box.locator(".lmw-from").get_attribute("lang") == "nl"
        it.page.emulate_media(media="print")
        assert [box.evaluate(style, what) for what in ("backgroundColor", "color")] == ["rgb(255, 255, 255)", "rgb(0, 0, 0)"]
        assert not box.get_by_role("button", name="Next word").is_visible()
        assert box.locator(".lmw-weight").first.is_visible()
        it.clean()
