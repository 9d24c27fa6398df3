"""The bottleneck squeezer in Chromium: at every sentence and every k the page shows lmcore's translations, marks and scores."""

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from lmcore.evaluate import bleu
from lmcore.widgets import BottleneckSqueezer
from lmcore.widgets.bottleneck_squeezer import marks
from tests.book.figures import CHANGE, status
from tests.book.pages import build, opened
from tests.test_bottleneck_squeezer import pairs, squeezer, translate

pytestmark = pytest.mark.browser

WALK = (
    """async () => {
  const box = document.querySelector('.lmw-squeezer'), found = [], all = (selector) => [...box.querySelectorAll(selector)];
  const pick = box.querySelector('select'), width = box.querySelector('[type=range]'), [glass] = all('.lmw-flow svg');
  """
    + CHANGE
    + """
  for (let s = 0; s < pick.options.length; s++) for (let i = 0; i <= +width.max; i++) {
    pick.selectedIndex = s; await change(pick, 'change');
    width.value = i; await change(width, 'input');
    found.push({s, i, source: all('.lmw-sentence')[0].textContent, translation: all('.lmw-sentence')[1].textContent,
      pairs: all('.lmw-pair').map((p) => [p.dataset.letter, p.dataset.want ?? null, p.dataset.have ?? null,
        p.querySelector('.lmw-want').textContent, p.querySelector('.lmw-have').textContent]),
      facts: Object.fromEntries(all('[data-fact]').map((f) => [f.dataset.fact, +f.dataset.value])),
      scores: all('.lmw-score').map((d) => [d.dataset.group, +d.dataset.value]),
      shares: all('.lmw-share').map((r) => +r.dataset.value), cells: all('.lmw-cell').length,
      here: all('.lmw-share').findIndex((r) => r.classList.contains('lmw-here-share')),
      glass: glass.getAttribute('aria-label'), text: width.ariaValueText,
      status: box.querySelector('[role=status]').textContent});
  }
  return found;
}"""
)


def test_page_shows_lmcores_numbers_at_every_grid_point(tmp_path: Path) -> None:
    widget, right = squeezer(full=13), dict(pairs())
    with opened(build(tmp_path, widget)) as it:
        found = it.page.evaluate(WALK)
        options = it.page.locator("select option").all_inner_texts()
        it.clean()
    assert len(found) == 19 * 4
    lengths = [len(text.split()) for text in widget.texts]
    assert options == [
        f"{n} words: {' '.join(text.split()[:7])}{' …' if n > 7 else ''}" for n, text in zip(lengths, widget.texts, strict=True)
    ]
    groups = {"all": list(right), "short": [t for t in right if len(t.split()) <= widget.split]}
    groups["long"] = [t for t in right if t not in groups["short"]]
    scores = {
        name: [bleu(translate(group, k), [right[t] for t in group]).score for k in widget.squeezes]
        for name, group in groups.items()
    }
    assert {f["source"] for f in found} == set(right)
    seen = set()
    for f in found:
        k, reference = widget.squeezes[f["i"]], right[f["source"]]
        [translation] = translate([f["source"]], k)
        letters = marks(reference, translation)
        assert f["source"] == widget.texts[f["s"]]
        assert f["translation"] == translation
        assert "".join(p[0] for p in f["pairs"]) == letters
        assert [p[1] for p in f["pairs"] if p[1] is not None] == reference.split()
        assert [p[2] for p in f["pairs"] if p[2] is not None] == translation.split()
        for letter, want, have, above, below in f["pairs"]:
            seen.add(letter)
            said = {"=": (want, have), "x": (f"instead of {want}", f"wrong: ≠{have}"), "-": (f"missing: {want}", "?")}
            assert (above, below) == said.get(letter, ("\u00a0", f"too many: +{have}"))
        assert f["facts"] == pytest.approx(
            {"right": letters.count("="), **{name: values[f["i"]] for name, values in scores.items()}}, abs=1e-9
        )
        for name, values in scores.items():
            assert [value for group, value in f["scores"] if group == name] == pytest.approx(values, abs=1e-9)
        assert len(f["scores"]) == 3 * 4
        shares = [marks(reference, translate([f["source"]], j)[0]).count("=") / len(reference.split()) for j in widget.squeezes]
        assert f["shares"] == pytest.approx(shares)
        assert f["here"] == f["i"]
        assert f["cells"] == k
        assert f["glass"] == f"The context vector keeps {k} of 13 numbers."
        assert f["text"] == f"{k} of 13 numbers"
        assert (
            f"BLEU over all 19 sentences is {scores['all'][f['i']]:.1f}, {scores['short'][f['i']]:.1f} over the short"
            in f["status"]
        )
        assert f"of this reference {letters.count('=')} " in f["status"]
        assert f"{letters.count('x')} wrong and {letters.count('-')} missing; {letters.count('+')} word" in f["status"]
    assert seen == set("=x-+")


def test_by_keyboard_alone(tmp_path: Path) -> None:
    widget = squeezer()
    with opened(build(tmp_path, widget)) as it:
        page, box = it.page, it.page.locator(".lmw-squeezer")
        active = "(document.activeElement.labels?.[0] ?? document.activeElement).textContent"
        page.keyboard.press("Tab")
        assert page.evaluate(active).startswith("Sentence, shortest first")
        page.keyboard.press("Home")
        assert box.locator(".lmw-sentence").first.inner_text() == widget.texts[0]
        assert box.get_by_role("button", name="Shorter").is_disabled()
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")  # Longer
        assert box.locator(".lmw-sentence").first.inner_text() == widget.texts[1]
        page.keyboard.press("Tab")
        assert page.evaluate(active).startswith("Numbers kept, k")
        for key, k in (("ArrowLeft", 5), ("Home", 1), ("ArrowRight", 3), ("End", 11)):
            page.keyboard.press(key)
            assert f"With {k} of 11 numbers" in status(page, "squeezer")
        page.keyboard.press("Tab")
        assert "Squeeze it" in page.evaluate(active)
        it.clean()


def test_squeeze_it_goes_down_to_the_smallest_and_stops(tmp_path: Path) -> None:
    with opened(build(tmp_path, squeezer())) as it:
        page, box = it.page, it.page.locator(".lmw-squeezer")
        page.clock.install()
        box.get_by_role("button", name="Squeeze it").click()
        page.clock.run_for(1200)
        assert "With 5 of 11" in status(page, "squeezer")
        box.get_by_role("button", name="Pause").click()
        page.clock.run_for(9000)
        assert "With 5 of 11" in status(page, "squeezer")
        box.get_by_role("button", name="Squeeze it").click()
        page.clock.run_for(9000)
        assert "With 1 of 11" in status(page, "squeezer")
        expect(box.get_by_role("button", name="Squeeze it")).to_be_visible()
        box.get_by_role("button", name="Squeeze it").click()  # again, from the top
        assert "With 11 of 11" in status(page, "squeezer")
        box.get_by_label("Numbers kept").fill("1")  # the reader takes over
        page.clock.run_for(9000)
        assert "With 3 of 11" in status(page, "squeezer")
        it.clean()


def test_a_point_of_the_curve_can_be_chosen(tmp_path: Path) -> None:
    with opened(build(tmp_path, squeezer()), height=1500) as it:
        box = it.page.locator(".lmw-squeezer")
        pad = box.locator(".lmw-pad").bounding_box()
        assert pad
        for i, k in enumerate((1, 3, 5, 11)):
            it.page.mouse.click(pad["x"] + pad["width"] * (i + 0.5) / 4, pad["y"] + 60)
            assert f"With {k} of 11" in status(it.page, "squeezer")
        it.clean()


def test_a_change_made_elsewhere_is_followed(tmp_path: Path) -> None:
    widget = squeezer()
    with opened(build(tmp_path, widget, squeezer(), widget), height=4000) as it:
        boxes = it.page.locator(".lmw-squeezer")
        boxes.nth(2).get_by_label("Sentence, shortest first").select_option(index=4)
        boxes.nth(2).get_by_label("Numbers kept").fill("0")
        for i, k in enumerate((1, 11, 1)):
            assert f"With {k} of 11" in boxes.nth(i).locator("[role=status]").inner_text()
        assert boxes.nth(0).locator(".lmw-sentence").first.inner_text() == widget.texts[4]
        it.clean()


def test_one_group_and_an_empty_translation(tmp_path: Path) -> None:
    """Texts of one length have no split; a model that says nothing is shown as all words missing."""
    widget = BottleneckSqueezer(
        ['a "<b>"', "c </script>"], ["A B", "C D"], lambda t, k: ["A B", "C D"] if k > 1 else ["", ""], (1, 2)
    )
    with opened(build(tmp_path, widget)) as it:
        box = it.page.locator(".lmw-squeezer")
        assert box.locator("[data-fact]").count() == 2
        box.get_by_label("Numbers kept").fill("0")
        assert box.locator(".lmw-pair-missing").count() == 2
        assert "2 missing; 0 words too many" in status(it.page, "squeezer")
        assert "short" not in status(it.page, "squeezer")
        assert box.locator(".lmw-sentence").first.inner_text() == widget.texts[widget.sentence]
        it.clean()


@pytest.mark.parametrize(("theme", "width"), [("light", 900), ("dark", 900), ("light", 360), ("dark", 310)])
def test_axe_finds_nothing_and_nothing_overflows(tmp_path: Path, theme: str, width: int) -> None:
    with opened(build(tmp_path, squeezer(sentence=18), theme=theme), width=width, has_touch=width < 400) as it:
        for place in ("3", "1"):
            it.page.get_by_label("Numbers kept").fill(place)
            found = Axe().run(it.page).response["violations"]
            assert [(v["id"], [n["html"][:200] for n in v["nodes"]]) for v in found] == []
            assert it.page.evaluate("document.documentElement.scrollWidth") <= width
            wide = """[...document.querySelectorAll('.lmw *')].filter((e) => !e.closest('svg :not(text), .lmw-hidden'))
                .filter((e) => e.getBoundingClientRect().right > e.closest('.lmw').getBoundingClientRect().right + 1)
                .map((e) => e.outerHTML.slice(0, 99))"""
            assert it.page.evaluate(wide) == []
        small = """[...document.querySelectorAll('.lmw :is(button, select, input)')].map((e) => [e, e.getBoundingClientRect()])
            .filter(([e, r]) => r.width && r.height < 24).map(([e]) => e.outerHTML.slice(0, 99))"""
        assert it.page.evaluate(small) == []
        it.clean()


def test_fates_differ_without_colour_and_print_in_ink(tmp_path: Path) -> None:
    widget = BottleneckSqueezer(["a b c d", "a"], ["A B C D", "A"], lambda texts, k: ["Y A X C", "A"], (1, 2), sentence=1)
    with opened(build(tmp_path, widget, theme="dark")) as it:
        box = it.page.locator(".lmw-squeezer")
        borders, lines = set(), set()
        for fate in ("wrong", "missing", "extra"):
            part = box.locator(f".lmw-pair-{fate}").first
            borders.add(part.evaluate("e => getComputedStyle(e).borderTopStyle"))
            lines.add(part.locator(".lmw-word-now").evaluate("e => getComputedStyle(e).textDecorationLine"))
        assert borders == {"solid", "dashed", "dotted"}
        assert lines == {"underline", "none", "line-through"}
        assert box.locator(".lmw-pairs").get_attribute("lang") == "nl"
        shapes = box.locator(".lmw-score").evaluate_all(
            "(es) => [...new Set(es.map((e) => e.dataset.group + e.getAttribute('d')))]"
        )
        assert len(shapes) == 3
        it.page.emulate_media(media="print")
        assert box.evaluate("e => [getComputedStyle(e).backgroundColor, getComputedStyle(e).color]") == [
            "rgb(255, 255, 255)",
            "rgb(0, 0, 0)",
        ]
        assert not box.get_by_role("button", name="Squeeze it").is_visible()
        assert box.locator(".lmw-pair-wrong").first.is_visible()
        it.clean()
