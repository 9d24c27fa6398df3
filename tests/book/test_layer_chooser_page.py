"""The layer chooser in Chromium: for every choice the tags it was given, and the scores that the package computes from them."""

import re
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe

from lmcore.evaluate import span_f1
from lmcore.widgets import LayerChoice, LayerChooser
from tests.book.figures import SMALL, WIDE, status, without_names
from tests.book.pages import build, opened
from tests.test_layer_chooser import GOLD, SENTENCES, choices, chooser, noisy

pytestmark = pytest.mark.browser

SHOWN = (0, 2, 1, 4)

# Go through all choices by pressing the names in the chart, and read everything that the figure shows of each.
WALK = """async () => {
  const box = document.querySelector('.lmw-layers'), found = [];
  const all = (selector, of = box) => [...of.querySelectorAll(selector)], text = (e) => e.textContent;
  const sentences = () => all('.lmw-tagged'), tags = (f) => sentences().map((s) => all('li:not([aria-hidden])', s)
    .map((li) => all('.lmw-tag', li).map(f)));
  const rows = all('tr[data-choice]').length;
  for (let i = 0; i < rows; i++) {
    box.querySelector(`tr[data-choice="${i}"] button`).click(); await Promise.resolve();
    found.push({
      words: sentences().map((s) => all('.lmw-tagged-word', s).map(text)),
      tags: tags((e) => e.dataset.tag), kinds: tags((e) => e.dataset.kind ?? ''),
      signs: sentences().map((s) => all('b', s).map(text).join('')),
      read: all('.lmw-tagged li:not([aria-hidden])').map(text),
      each: all('[data-sentence]').map((p) => [+p.dataset.sentence, +p.dataset.f1]),
      facts: Object.fromEntries(all('[data-fact]').map((f) => [f.dataset.fact, +f.dataset.value])),
      chart: all('tr[data-choice]').map((r) => [text(r.querySelector('button')), +r.dataset.f1,
        text(r.querySelector('.lmw-number'))]),
      pins: all('.lmw-pin').map((p) => parseFloat(p.style.left)),
      marked: all('tr[aria-current]').map((r) => +r.dataset.choice), sign: all('.lmw-f1-sign').map(text),
      ticked: all('input[type=checkbox]').slice(0, -1).flatMap((b, l) => b.checked ? [l] : []),
      way: all('input[type=radio]').findIndex((r) => r.checked), ways: all('input[type=radio]').map((r) => r.disabled),
      notice: !box.querySelector('.lmw-notice').hidden, status: text(box.querySelector('[role=status]'))});
  }
  return found;
}"""


def spans(tags: list[str]) -> set[tuple[int, int, str]]:
    """The spans as seqeval finds them."""
    from seqeval.metrics.sequence_labeling import get_entities

    return {(first, last, kind) for kind, first, last in get_entities(tags)}


def test_page_shows_tags_and_scores_of_every_choice(tmp_path: Path) -> None:
    with opened(build(tmp_path, chooser())) as it:
        found = it.page.evaluate(WALK)
        it.clean()
    given = choices()
    best = max(span_f1(GOLD, c.tags).f1 for c in given)
    low, high = 0.0, 1.0  # the axis: one choice finds nothing, one everything
    assert len(found) == len(given)
    for number, (f, choice) in enumerate(zip(found, given, strict=True)):
        assert f["words"] == [SENTENCES[i] for i in SHOWN]
        shown = [choice.tags[i] for i in SHOWN]
        truth = [GOLD[i] for i in SHOWN]
        assert f["tags"] == [[list(pair) for pair in zip(g, p, strict=True)] for g, p in zip(truth, shown, strict=True)]
        hits = 0
        for g, p, kinds, signs in zip(truth, shown, f["kinds"], f["signs"], strict=True):
            true, said = spans(g), spans(p)
            hits += len(true & said)
            expected = [["", ""] for _ in g]
            for side, group, other, wrong in ((0, true, said, "missed"), (1, said, true, "wrong")):
                for span in group:
                    for t in range(span[0], span[1] + 1):
                        expected[t][side] = "hit" if span in other else wrong
            assert kinds == expected
            assert [signs.count(s) for s in "✓✗○"] == [len(true & said), len(said - true), len(true - said)]
        everything, here = span_f1(GOLD, choice.tags), span_f1(truth, shown)
        assert f["facts"] == pytest.approx(
            {
                "f1": everything.f1,
                "precision": everything.precision,
                "recall": everything.recall,
                "here": here.f1,
                "found": hits,
                "wrong": sum(len(spans(p)) for p in shown) - hits,
            },
            abs=1e-15,
        )
        assert [place for place, _ in f["each"]] == list(SHOWN)
        for (_, score), g, p in zip(f["each"], truth, shown, strict=True):
            assert score == pytest.approx(span_f1([g], [p]).f1, abs=1e-15)
        assert [row[:2] for row in f["chart"]] == [[c.name, span_f1(GOLD, c.tags).f1] for c in given]
        assert [float(row[2]) for row in f["chart"]] == pytest.approx([row[1] for row in f["chart"]], abs=5.01e-4)
        assert f["pins"] == pytest.approx([100 * (row[1] - low) / (high - low) for row in f["chart"]], abs=0.01)
        assert f["marked"] == [number]
        assert f["sign"] == ["▶" if i == number else "" for i in range(len(given))]
        assert f["ticked"] == list(choice.layers)
        if choice.how != "one layer":
            assert f["way"] == ("concatenation", "weighted sum").index(choice.how)
        assert f["ways"] == [choice.how == "one layer"] * 2
        assert not f["notice"]
        rank = 1 + sum(span_f1(GOLD, c.tags).f1 > everything.f1 for c in given)
        said = f"F1 {f['chart'][number][2]} over 5 sentences, {'the best' if rank == 1 else f'number {rank}'} of 8 choices."
        assert said in f["status"]
        assert (everything.f1 == best) == ("the best of" in f["status"])
    assert "Anna, true B-PER, predicted O" in found[0]["read"][0].replace("○", "").replace(", missed", "")
    assert "New, true B-LOC, predicted ✓B-LOC, right" in found[-1]["read"]


def test_spans_are_those_of_conlleval_on_many_tags(tmp_path: Path) -> None:
    """Random tags, many of them I- after O or after another type: the page counts what seqeval counts."""
    guesses = [noisy(seed, 0.9) for seed in range(30)]
    many = [LayerChoice(f"choice {n}", *what, g) for n, (what, g) in enumerate(zip(_grid(30), guesses, strict=True))]
    with opened(build(tmp_path, LayerChooser(SENTENCES, GOLD, many, depth=6))) as it:
        found = it.page.evaluate(WALK)
        it.clean()
    for f, guess in zip(found, guesses, strict=True):
        assert f["facts"]["here"] == pytest.approx(span_f1(GOLD, guess).f1, abs=1e-15)
        assert f["facts"]["here"] == pytest.approx(f["facts"]["f1"], abs=1e-15), "all sentences are shown"


def _grid(count: int) -> list[tuple[tuple[int, ...], str]]:
    """So many different choices of two and more of six layers."""
    sets = [tuple(n for n in range(7) if bits >> n & 1) for bits in range(128)]
    pairs = [(s, how) for s in sets if len(s) > 1 for how in ("concatenation", "weighted sum")]
    return pairs[:count]


def test_only_what_was_computed_can_be_chosen_and_the_figure_says_so(tmp_path: Path) -> None:
    names = [c.name for c in choices()]
    with opened(build(tmp_path, chooser(choice=names.index("last layer")))) as it:
        page, box = it.page, it.page.locator(".lmw-layers")
        notice, chosen = box.locator(".lmw-notice"), box.locator("tr[aria-current] button")
        assert not notice.is_visible()
        box.get_by_label("embeddings", exact=True).check()
        assert (
            "The concatenation of the embeddings and layer 5 was not computed. Still shown: last layer." in notice.inner_text()
        )
        assert status(page, "layers").startswith("The concatenation of the embeddings and layer 5 was not computed.")
        assert chosen.inner_text() == "last layer"
        assert notice.get_by_role("button").count() == 4
        assert {"last layer", "embeddings"} <= set(notice.get_by_role("button").all_inner_texts())
        box.get_by_label("5", exact=True).uncheck()  # now the embeddings alone
        assert not notice.is_visible()
        assert chosen.inner_text() == "embeddings"
        box.get_by_label("2", exact=True).check()
        assert chosen.inner_text() == "embeddings and layer 2"
        box.get_by_label("weighted sum").check()
        assert "The weighted sum of the embeddings and layer 2 was not computed." in notice.inner_text()
        assert notice.get_by_role("button").first.inner_text() == "embeddings and layer 2", (
            "the other way of combining is nearest"
        )
        notice.get_by_role("button").first.click()
        assert not notice.is_visible()
        assert box.get_by_label("concatenation").is_checked()
        box.get_by_label("embeddings", exact=True).uncheck()
        assert "Layer 2 was not computed." in notice.inner_text()
        box.get_by_label("2", exact=True).uncheck()
        assert "No layer is ticked." in notice.inner_text()
        for layer in (1, 3, 5):
            box.get_by_label(f"{layer}", exact=True).check()
        box.get_by_label("weighted sum").check()
        assert chosen.inner_text() == "odd layers, summed"
        assert status(page, "layers").startswith("Odd layers, summed (layers 1, 3, 5, weighted sum): F1 1.000")
        it.clean()


def test_six_choices_of_the_paper_are_buttons(tmp_path: Path) -> None:
    with opened(build(tmp_path, chooser())) as it:
        six = it.page.get_by_role("group", name="The six choices of BERT's Table 7").get_by_role("button")
        ticks = {
            "Embeddings": [0],
            "Second-to-last layer": [4],
            "Last layer": [5],
            "Weighted sum of the last four": [2, 3, 4, 5],
            "Concatenation of the last four": [2, 3, 4, 5],
            "Weighted sum of all layers": [1, 2, 3, 4, 5],
        }
        assert six.all_inner_texts() == list(ticks)
        for place, (name, layers) in enumerate(ticks.items()):
            six.nth(place).click()
            boxes = it.page.locator(".lmw-layers fieldset").first.locator("input").all()
            assert [n for n, box in enumerate(boxes) if box.is_checked()] == layers
            assert it.page.locator("[aria-pressed=true]").all_inner_texts() == [name]
            assert it.page.locator("tr[aria-current] button").inner_text() == name.lower()
        it.clean()


def test_small_encoder_says_which_of_the_six_it_has_not(tmp_path: Path) -> None:
    tags = [["O", "B-LOC"]]
    few = [LayerChoice("last", (3,), "one layer", tags), LayerChoice("all", (1, 2, 3), "weighted sum", tags)]
    four = [LayerChoice("all", (1, 2, 3, 4), "weighted sum", tags)]
    page = build(tmp_path, LayerChooser([["in", "Oslo"]], tags, few), LayerChooser([["in", "Oslo"]], tags, four))
    with opened(page) as it:
        small, large = it.page.locator(".lmw-layers").all()
        assert small.get_by_role("button", name="Last layer", exact=True).is_enabled()
        assert small.get_by_role("button", name="Weighted sum of the last four").is_disabled()
        note = small.locator(".lmw-note").first.inner_text()
        assert "embeddings (not computed)" in note
        assert "concatenation of the last four (there are only 3 layers)" in note
        assert small.get_by_label("embeddings").is_disabled(), "a layer that is in no choice cannot be ticked"
        assert small.get_by_label("2", exact=True).is_enabled()
        pressed = large.locator("[aria-pressed=true]").all_inner_texts()
        assert pressed == ["Weighted sum of the last four", "Weighted sum of all layers"], "with four layers they are the same"
        it.clean()


def test_by_keyboard_alone(tmp_path: Path) -> None:
    with opened(build(tmp_path, chooser())) as it:
        page, box = it.page, it.page.locator(".lmw-layers")
        chosen = box.locator("tr[aria-current] button")
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        assert chosen.inner_text() == "second-to-last layer"
        for _ in range(5):
            page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.labels[0].textContent") == "embeddings"
        page.keyboard.press("Space")
        assert box.locator(".lmw-notice").is_visible()
        for _ in range(5):
            page.keyboard.press("Tab")
        page.keyboard.press("Tab")  # the radio buttons
        page.keyboard.press("Tab")
        nearest = page.evaluate("document.activeElement.textContent")
        page.keyboard.press("Enter")
        assert chosen.inner_text() == nearest
        assert page.evaluate("document.activeElement.getAttribute('aria-label')").startswith("F1 of every choice"), (
            "focus is kept"
        )
        for key, name in (
            ("Home", "embeddings"),
            ("ArrowDown", "last layer"),
            ("End", "odd layers, summed"),
            ("ArrowDown", "odd layers, summed"),
            ("ArrowUp", "embeddings and layer 2"),
        ):
            page.keyboard.press(key)
            assert chosen.inner_text() == name
        box.get_by_label("best first").check()
        scores = [float(x) for x in box.locator("tbody .lmw-number").all_inner_texts()]
        assert scores == sorted(scores, reverse=True)
        box.locator(".lmw-chart-box").focus()
        page.keyboard.press("Home")
        assert chosen.inner_text() == "odd layers, summed", "arrow keys follow the order that is seen"
        it.clean()


def test_by_touch_and_followed_elsewhere(tmp_path: Path) -> None:
    widget = chooser()
    with opened(build(tmp_path, widget, chooser(), widget), width=390, has_touch=True, is_mobile=True) as it:
        boxes = it.page.locator(".lmw-layers")
        boxes.nth(2).get_by_label("4", exact=True).tap()
        assert boxes.nth(2).locator(".lmw-notice").is_visible()
        assert not boxes.nth(0).locator(".lmw-notice").is_visible(), "what was not computed stays in its own view"
        boxes.nth(2).locator("tr[data-choice='5']").tap()
        assert [b.locator("tr[aria-current]").get_attribute("data-choice") for b in boxes.all()] == ["5", "0", "5"]
        assert not boxes.nth(2).locator(".lmw-notice").is_visible()
        inside = [without_names(b.inner_html()) for b in boxes.all()]
        assert re.sub(r"\d", "", inside[0]) == re.sub(r"\d", "", inside[2])
        assert it.page.evaluate(SMALL) == []
        it.clean()


def large() -> LayerChooser:
    """Many choices, long words, a long sentence."""
    words = ["Donaudampfschifffahrtsgesellschaftskapitän", *(f"word{i}" for i in range(40))]
    tags = ["B-organisation", *(["I-organisation", "O"] * 20)]
    many = [LayerChoice(f"choice {n} with a long name", *what, [tags]) for n, what in enumerate(_grid(40))]
    return LayerChooser([words], [tags], many, depth=24, choice=33)


@pytest.mark.parametrize(("theme", "width"), [("light", 900), ("dark", 900), ("light", 360), ("dark", 310)])
def test_axe_finds_nothing_and_nothing_overflows(tmp_path: Path, theme: str, width: int) -> None:
    widgets = [chooser(choice=2), chooser()] if width == 900 else [large(), chooser(choice=3)]
    with opened(build(tmp_path, *widgets, theme=theme), width=width, has_touch=width < 400) as it:
        it.page.locator(".lmw-layers").last.get_by_label("4", exact=True).click()  # with the notice
        found = Axe().run(it.page).response["violations"]
        assert [(v["id"], [n["html"][:200] for n in v["nodes"]]) for v in found] == []
        assert it.page.evaluate("document.documentElement.scrollWidth") <= width
        assert it.page.evaluate(WIDE) == []
        it.clean()


def test_right_and_wrong_differ_without_colour_and_print_in_ink(tmp_path: Path) -> None:
    with opened(build(tmp_path, chooser(choice=2), theme="dark")) as it:
        box, style = it.page.locator(".lmw-layers"), "(e, what) => getComputedStyle(e)[what]"
        look = {
            kind: box.locator(f"li .lmw-tag-{kind}").first.evaluate(
                "(e) => [getComputedStyle(e).borderTopStyle, getComputedStyle(e).backgroundImage.slice(0, 9)]"
            )
            for kind in ("hit", "missed", "wrong")
        }
        assert look == {"hit": ["solid", "none"], "missed": ["dashed", "none"], "wrong": ["solid", "repeating"]}
        pins = [box.locator(f"tr{which} .lmw-pin").first.evaluate(style, "borderRadius") for which in ("[aria-current]", "")]
        assert pins == ["0px", "50%"]
        it.page.emulate_media(media="print")
        assert [box.evaluate(style, what) for what in ("backgroundColor", "color")] == ["rgb(255, 255, 255)", "rgb(0, 0, 0)"]
        assert not box.locator("[aria-pressed]").first.is_visible()
        assert box.locator(".lmw-tag-hit").first.is_visible()
        assert box.locator("tr[aria-current] button").is_visible()
        it.clean()
