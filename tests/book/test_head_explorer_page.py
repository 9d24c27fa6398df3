"""The head explorer in Chromium: for every head the page shows the weights it was given, and what follows."""

import math
from pathlib import Path

import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from torch import Tensor

from lmcore.widgets import HeadExplorer
from lmcore.widgets.head_explorer import LEVELS
from tests.book.figures import CHANGE, SMALL, WIDE, status
from tests.book.pages import build, opened
from tests.test_head_explorer import HEADS, LAYERS, TEXTS, attentions, explorer

pytestmark = pytest.mark.browser

WALK = (
    """async () => {
  const box = document.querySelector('.lmw-heads'), found = [], all = (selector) => [...box.querySelectorAll(selector)];
  const [text, layer, head] = box.querySelectorAll('select');
  """
    + CHANGE
    + """
  for (let x = 0; x < text.options.length; x++) {
    text.selectedIndex = x; await change(text, 'change');
    for (let l = 0; l < layer.options.length; l++) for (let k = 0; k < head.options.length; k++) {
      layer.selectedIndex = l; await change(layer, 'change');
      head.selectedIndex = k; await change(head, 'change');
      const word = (l + k) % all('.lmw-from button').length;
      all('.lmw-from button')[word].click(); await Promise.resolve();
      found.push({x, l, k, word, row: all('.lmw-to li').map((i) => +i.dataset.weight),
        to: all('.lmw-looked').map((i) => i.textContent),
        from: all('.lmw-from button').map((i) => i.textContent),
        matrix: all('.lmw-matrix-box .lmw-weight').map((r) => +r.dataset.value),
        tile: box.querySelector('.lmw-tile[aria-current]').getAttribute('aria-label'), tiles: all('.lmw-tile').length,
        path: box.querySelector('.lmw-tile[aria-current] path').getAttribute('d'),
        facts: Object.fromEntries(all('[data-fact]').map((f) => [f.dataset.fact, +f.dataset.value])),
        status: box.querySelector('[role=status]').textContent});
    }
  }
  return found;
}"""
)


def kept(number: int) -> Tensor:
    """The weights of a text as the page has them, and the mean over heads as one more head."""
    weights = (attentions()[number] * LEVELS).round() / LEVELS
    return torch.cat([weights, weights.mean(1, keepdim=True)], 1)


def breadth(weights: Tensor) -> Tensor:
    return torch.special.entr(weights).sum(-1).exp()


def habits(weights: Tensor) -> dict[str, float]:
    """What a head does, from its T × T weights."""
    found = {
        "previous": weights.diagonal(-1),
        "next": weights.diagonal(1),
        "itself": weights.diagonal(),
        "first": weights[:, 0],
        "last": weights[:, -1],
        "spread": breadth(weights),
    }
    return {name: float(values.mean()) for name, values in found.items()}


def test_page_shows_the_weights_of_every_head(tmp_path: Path) -> None:
    with opened(build(tmp_path, explorer())) as it:
        found = it.page.evaluate(WALK)
        it.clean()
    assert len(found) == len(TEXTS) * LAYERS * (HEADS + 1)
    for f in found:
        words = TEXTS[f["x"]]
        words = words.split() if isinstance(words, str) else words
        weights, name = (
            kept(f["x"])[f["l"], f["k"]],
            f"layer {f['l'] + 1}, " + ("mean of all heads" if f["k"] == HEADS else f"head {f['k'] + 1}"),
        )
        row = weights[f["word"]]
        assert f["from"] == f["to"] == words
        assert f["row"] == pytest.approx(row.tolist(), abs=1e-15)
        assert f["matrix"] == pytest.approx(weights.flatten().tolist(), abs=1e-15)
        assert f["tiles"] == LAYERS * (HEADS + 1)
        assert f["tile"] == name
        assert f["path"].count("M") == int((weights >= 0.02).sum())
        assert f["facts"] == pytest.approx(habits(weights), rel=1e-9, abs=1e-12)
        said = f"{name[0].upper()}{name[1:]}: word {f['word'] + 1} of {len(words)}, “{words[f['word']]}”, looks most at "
        assert f["status"].startswith(f"{said}“{words[int(row.argmax())]}”")
        assert f"evenly over {float(breadth(row)):.1f} words" in f["status"]


def test_small_pictures_have_squares_whose_area_is_the_weight(tmp_path: Path) -> None:
    weights = torch.tensor([[1.0, 0.0], [0.75, 0.25]])
    with opened(build(tmp_path, HeadExplorer(["a b"], [weights[None, None]]))) as it:
        path = it.page.locator(".lmw-tile path").get_attribute("d")
        assert it.page.locator(".lmw-tile").count() == 1, "one head has no mean"
        it.clean()
    side = 100 / 2
    expected = ""
    for t, s, w in ((0, 0, 1.0), (1, 0, 0.75), (1, 1, 0.25)):
        edge = math.sqrt(round(w * LEVELS) / LEVELS) * side
        expected += f"M{(s + 0.5) * side - edge / 2:.1f},{(t + 0.5) * side - edge / 2:.1f}h{edge:.1f}v{edge:.1f}h{-edge:.1f}Z"
    assert path == expected


def test_finders_find_the_head_that_does_it_most(tmp_path: Path) -> None:
    with opened(build(tmp_path, explorer(text=0))) as it:
        box = it.page.locator(".lmw-heads")
        for text in (0, 2):
            box.get_by_label("Text", exact=True).select_option(index=text)
            scores = {(i, k): habits(kept(text)[i, k]) for i in range(LAYERS) for k in range(HEADS)}
            for name in ("previous", "next", "itself", "first", "last", "spread"):
                box.locator(f"[data-find={name}]").click()
                layer, head = max(scores, key=lambda at: scores[at][name])
                assert box.locator(".lmw-tile[aria-current]").get_attribute("title") == f"layer {layer + 1}, head {head + 1}"
                assert (layer, head) == (1, 2) or name != "previous", "the head that was made to look at the word before"
        it.clean()


def test_by_keyboard_alone(tmp_path: Path) -> None:
    with opened(build(tmp_path, explorer(word=0))) as it:
        page, box = it.page, it.page.locator(".lmw-heads")
        chosen = box.locator(".lmw-tile[aria-current]")
        for label in ("Text", "Layer", "Head"):
            page.keyboard.press("Tab")
            assert page.evaluate("document.activeElement.labels[0].textContent") == label
        page.keyboard.press("Tab")
        for key, name in (
            ("ArrowRight", "layer 1, head 2"),
            ("ArrowDown", "layer 2, head 2"),
            ("End", "layer 2, mean of all heads"),
            ("ArrowUp", "layer 1, mean of all heads"),
            ("ArrowRight", "layer 1, mean of all heads"),
            ("Home", "layer 1, head 1"),
        ):
            page.keyboard.press(key)
            assert chosen.get_attribute("title") == name
        for _ in range(6):
            page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "many words"
        page.keyboard.press("Tab")
        for key, word in (("ArrowDown", "the"), ("End", "[SEP]"), ("ArrowUp", "."), ("Home", "[CLS]")):
            page.keyboard.press(key)
            assert box.locator(".lmw-from [aria-current]").inner_text() == word
        page.keyboard.press("Tab")
        page.keyboard.press("ArrowDown")  # in the matrix
        assert "“the”, looks most at" in status(page, "heads")
        it.clean()


def test_mouse_shows_a_word_in_passing_and_touch_chooses(tmp_path: Path) -> None:
    with opened(build(tmp_path, explorer(word=0)), height=1600) as it:
        box, before = it.page.locator(".lmw-heads"), status(it.page, "heads")
        box.locator(".lmw-from button").nth(3).hover()
        assert box.locator(".lmw-now").inner_text() == '"<b>"'
        assert status(it.page, "heads") == before
        it.page.mouse.move(2, 2)
        assert box.locator(".lmw-now").inner_text() == "[CLS]"
        it.clean()
    with opened(build(tmp_path, explorer(word=0)), width=390, has_touch=True, is_mobile=True) as it:
        box = it.page.locator(".lmw-heads")
        box.locator(".lmw-tile").nth(5).tap()
        box.locator(".lmw-from button").nth(2).tap()
        assert status(it.page, "heads").startswith("Layer 2, head 2: word 3 of 7")
        assert it.page.evaluate(SMALL) == []
        it.clean()


def test_a_change_made_elsewhere_is_followed(tmp_path: Path) -> None:
    widget = explorer(word=6)
    with opened(build(tmp_path, widget, explorer(word=6), widget), height=4000) as it:
        boxes = it.page.locator(".lmw-heads")
        boxes.nth(2).get_by_label("Text", exact=True).select_option(index=1)
        boxes.nth(2).get_by_label("Head", exact=True).select_option(label="mean of all")
        for i, (word, name) in enumerate([("swam", "mean of all heads"), ("[SEP]", "head 1"), ("swam", "mean of all heads")]):
            assert boxes.nth(i).locator(".lmw-from [aria-current]").inner_text() == word
            assert boxes.nth(i).locator(".lmw-tile[aria-current]").get_attribute("title") == f"layer 1, {name}"
        it.clean()


def large(**kwargs: int) -> HeadExplorer:
    """Many heads over a long text."""
    words = ["Donaudampfschifffahrtsgesellschaft", *(f"word{i}" for i in range(36))]
    weights = torch.randn(6, 12, 37, 37, generator=torch.Generator().manual_seed(1)).softmax(-1)
    return HeadExplorer([words], [weights], **kwargs)


@pytest.mark.parametrize(("theme", "width"), [("light", 900), ("dark", 900), ("light", 360), ("dark", 310)])
def test_axe_finds_nothing_and_nothing_overflows(tmp_path: Path, theme: str, width: int) -> None:
    widgets = [explorer(), explorer(layer=1)] if width == 900 else [large(layer=5, head=11)]
    with opened(build(tmp_path, *widgets, theme=theme), width=width, has_touch=width < 400) as it:
        found = Axe().run(it.page).response["violations"]
        assert [(v["id"], [n["html"][:200] for n in v["nodes"]]) for v in found] == []
        assert it.page.evaluate("document.documentElement.scrollWidth") <= width
        assert it.page.evaluate(WIDE) == []
        inside = """(e) => { const r = e.getBoundingClientRect(), b = e.closest('.lmw-scroller').getBoundingClientRect();
            return r.left >= b.left && r.right <= b.right; }"""
        assert it.page.locator(".lmw-tile[aria-current]").first.evaluate(inside), "the chosen picture is scrolled into view"
        assert it.page.evaluate("scrollY") == 0
        it.clean()


def test_chosen_head_differs_without_colour_and_prints_in_ink(tmp_path: Path) -> None:
    with opened(build(tmp_path, explorer(), theme="dark")) as it:
        box = it.page.locator(".lmw-heads")
        style = "(e, what) => getComputedStyle(e)[what]"
        assert box.locator(".lmw-tile[aria-current]").evaluate(style, "outlineStyle") == "solid"
        assert box.locator(".lmw-tile:not([aria-current])").first.evaluate(style, "outlineStyle") == "none"
        it.page.emulate_media(media="print")
        assert [box.evaluate(style, what) for what in ("backgroundColor", "color")] == ["rgb(255, 255, 255)", "rgb(0, 0, 0)"]
        assert not box.locator("[data-find=first]").is_visible()
        assert box.locator(".lmw-tile").first.is_visible()
        it.clean()
