"""Caption attention in Chromium: every weight the page draws for a word is the one that Python holds.

What it shares with patch attention (touch, mouse, width, contrast, print) is tested with that figure.
"""

from pathlib import Path

import numpy as np
import pytest

from tests.book.figures import CHANGE, status
from tests.book.pages import build, opened
from tests.book.test_patch_attention_page import breadth, place
from tests.test_patch_attention import CAPTIONS, T, captions, crossed

pytestmark = pytest.mark.browser

# Press every image, every layer and head and every word; read all that the figure shows.
WALK = (
    """async () => {
  const box = document.querySelector('.lmw-captions'), found = [], one = (selector) => box.querySelector(selector);
  const all = (selector) => [...box.querySelectorAll(selector)], [layer, head] = all('select');
  """
    + CHANGE
    + """
  for (let n = 0; n < all('.lmw-thumb').length; n++) {
    all('.lmw-thumb')[n].click(); await Promise.resolve();
    for (let l = 0; l < layer.options.length; l++) for (let k = 0; k < head.options.length; k++) {
      layer.selectedIndex = l; await change(layer, 'change');
      head.selectedIndex = k; await change(head, 'change');
      for (let t = 0; t < all('.lmw-strip-word').length; t++) {
        all('.lmw-strip-word')[t].click(); await Promise.resolve();
        const cls = one('[data-cls]');
        found.push({n, l, k, t, words: all('.lmw-strip-word').map((b) => b.textContent),
          squares: all('.lmw-heat-square').map((r) => +r.dataset.value),
          paths: all('.lmw-strip-word .lmw-weight').map((p) => p.getAttribute('d').split('M').length - 1),
          cls: cls && !cls.closest('p').hidden ? +cls.dataset.cls : null,
          current: one('.lmw-strip-word[aria-current]').textContent, right: one('.lmw-strip-words + p').textContent,
          facts: Object.fromEntries(all('[data-fact]').map((f) => [f.dataset.fact, +f.dataset.value])),
          status: one('[role=status]').textContent});
      }
    }
  }
  return found;
}"""
)


@pytest.mark.parametrize("keys", [T, T - 1])
def test_page_shows_the_weights_of_every_word(tmp_path: Path, keys: int) -> None:
    right = ["a right one", "<i>", "six"]
    widget = captions(attentions=crossed(keys), references=right)
    with opened(build(tmp_path, widget)) as it:
        found = it.page.evaluate(WALK)
        it.clean()
    words = [text.split() if isinstance(text, str) else text for text in CAPTIONS]
    assert len(found) == 2 * 4 * sum(map(len, words))
    for f in found:
        widget.image = f["n"]
        weights = widget.attention()
        every = np.concatenate([weights, weights.mean(1, keepdims=True)], 1)[f["l"], f["k"]]
        row = every[f["t"]]
        assert f["words"] == words[f["n"]]
        assert f["current"] == words[f["n"]][f["t"]]
        assert f["right"] == f"A right caption: {right[f['n']]}"
        assert f["squares"] == pytest.approx(row[-6:].tolist(), abs=1e-14)
        assert f["cls"] == (pytest.approx(row[0], abs=1e-14) if keys == T else None)
        assert f["paths"] == [int((9 * np.sqrt(w / w.max()) >= 0.5).sum()) for w in every]
        assert f["facts"] == pytest.approx({"most": int(row.argmax()), "top": row.max(), "spread": breadth(row)}, rel=1e-9)
        best = place(int(row.argmax()) + (T - keys))
        assert f"Word {f['t'] + 1} of {len(f['words'])}, “{f['current']}”, looks most at {best} (" in f["status"]


def test_by_keyboard_alone(tmp_path: Path) -> None:
    with opened(build(tmp_path, captions())) as it:
        page, box = it.page, it.page.locator(".lmw-captions")
        assert box.locator(".lmw-strip-words + p").is_hidden(), "no reference, no line for it"
        page.keyboard.press("Tab")
        page.keyboard.press("ArrowRight")
        for _ in range(5):  # Back cannot be pressed: next, layer, head, numbers, words
            page.keyboard.press("Tab")
        for key, word in (
            ("ArrowRight", "naïve"),
            ("End", "<end>"),
            ("ArrowRight", "<end>"),
            ("ArrowLeft", "one"),
            ("Home", "a"),
        ):
            page.keyboard.press(key)
            assert box.locator(".lmw-strip-word[aria-current]").inner_text() == word
        box.get_by_role("button", name="Next word").click()
        assert "Word 2 of 5, “naïve”" in status(page, "captions")
        it.clean()
