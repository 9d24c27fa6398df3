"""The next-word explorer in Chromium: every story, position and model shows lmcore's numbers; the keyboard suffices."""

import math
from pathlib import Path

import numpy as np
import pytest

from lmcore import END, evaluate
from lmcore.widgets import NextWord
from tests.book.figures import CHANGE, next_word, status
from tests.book.pages import build, opened

pytestmark = pytest.mark.browser

WALK = (
    """async () => {
  const box = document.querySelector('.lmw-nextword'), models = [...box.querySelectorAll('[type=radio]')], found = [];
  const story = box.querySelector('select'), place = box.querySelector('[type=range]');
  const fact = (name) => +box.querySelector(`[data-fact=${name}]`).dataset.value;
  """
    + CHANGE
    + """
  for (let s = 0; s < story.options.length; s++) {
    story.selectedIndex = s; await change(story, 'change');
    for (let m = 0; m < models.length; m++) {
      models[m].checked = true; await change(models[m], 'change');
      for (let i = 0; i <= +place.max; i++) {
        place.value = i; await change(place, 'input');
        found.push({s, m, i, length: +place.max, model: fact('model'), truth: fact('truth'), kl: fact('kl'),
          rows: [...box.querySelectorAll('tbody tr')].map((r) => [r.dataset.word, +r.dataset.p, +r.dataset.q, r.className]),
          strip: [...box.querySelectorAll('.lmw-step')].map((c) => [+c.dataset.model, +c.dataset.truth]),
          now: box.querySelector('[aria-current]').textContent, seen: box.querySelectorAll('.lmw-seen').length,
          status: box.querySelector('[role=status]').textContent});
      }
    }
  }
  return found;
}"""
)


def close(shown: float, exact: float) -> bool:
    return shown == exact or math.isclose(shown, exact, rel_tol=1e-6, abs_tol=2e-7)


def bits_of(p: float) -> float:
    return -math.log2(p) if p else math.inf


def test_next_word_shows_lmcores_numbers_at_every_grid_point(tmp_path: Path) -> None:
    widget, models, world = next_word()
    with opened(build(tmp_path, widget)) as it:
        found = it.page.evaluate(WALK)
        it.clean()
    names = list(models)
    assert len(found) == sum(len(s) + 1 for s in widget.stories) * len(models)
    gaps = {
        (s, m): evaluate.kl(world, models[names[m]], widget.stories[s]) for s in range(len(widget.stories)) for m in range(4)
    }
    for f in found:
        story, model, i = widget.stories[f["s"]], models[names[f["m"]]], f["i"]
        came = [*story, END][i]
        p, q = model.next_distribution(story[:i]), world.next_distribution(story[:i])
        assert f["length"] == len(story)
        assert close(f["model"], bits_of(p.get(came, 0)))
        assert close(f["truth"], bits_of(q[came]))
        assert close(f["kl"], evaluate.bits(gaps[f["s"], f["m"]][i]))
        assert {row[0] for row in f["rows"]} >= {came, *sorted(q, key=lambda w: -q[w])[:1]}
        for word, shown_p, shown_q, kind in f["rows"]:
            assert close(shown_p, p.get(word, 0))
            assert close(shown_q, q.get(word, 0))
            assert ("lmw-came" in kind) == (word == came)
        for (shown_model, shown_truth), a, b in zip(f["strip"], model.log_probs(story), world.log_probs(story), strict=True):
            assert close(shown_model, -a / math.log(2))
            assert close(shown_truth, -b / math.log(2))
        assert f["now"] == ("(end)" if came == END else came)
        assert f["seen"] == min(i, model.order - 1)
        assert names[f["m"]] in f["status"]
        assert f"{f['kl']:.2f} bits" in f["status"] or f["kl"] == math.inf
    assert any(f["model"] == math.inf for f in found), "an impossible word must be among the points"


def test_next_word_by_keyboard_alone(tmp_path: Path) -> None:
    widget, models, _ = next_word()
    with opened(build(tmp_path, widget)) as it:
        page, box = it.page, it.page.locator(".lmw-nextword")
        page.keyboard.press("Tab")
        assert box.get_by_label("Story", exact=True).evaluate("e => e === document.activeElement")
        page.keyboard.press("ArrowDown")
        assert box.get_by_label("Story", exact=True).evaluate("e => e.selectedIndex") == 1
        page.keyboard.press("Tab")
        page.keyboard.press("ArrowRight")  # radio buttons
        assert box.get_by_label(list(models)[1]).is_checked()
        page.keyboard.press("Tab")
        page.keyboard.press("Home")
        current = box.locator("[aria-current]")
        assert current.inner_text() == widget.stories[1][0]
        page.keyboard.press("ArrowRight")
        assert current.inner_text() == widget.stories[1][1]
        assert current.evaluate("e => e === document.activeElement")
        assert box.locator(".lmw-tokens [tabindex='0']").count() == 1
        page.keyboard.press("End")
        assert current.inner_text() == "(end)"
        assert "came the end" in status(page, "nextword")
        assert box.get_by_role("button", name="Next").is_disabled()
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("ArrowLeft")
        assert box.get_by_label(next(iter(models))).is_checked()
        it.clean()


def test_many_models_become_a_list(tmp_path: Path) -> None:
    _, models, world = next_word()
    many = {f"{name} {i}": model for i in range(2) for name, model in models.items()}
    with opened(build(tmp_path, NextWord(["He likes tea ."], many, world, model="3-gram 1"))) as it:
        pick = it.page.get_by_label("Model", exact=True)
        assert pick.input_value() == "3-gram 1"
        pick.select_option("1-gram 0")
        assert "1-gram 0 gave it" in status(it.page, "nextword")
        it.clean()


def test_widest_gap_is_the_widest(tmp_path: Path) -> None:
    widget, models, world = next_word()
    with opened(build(tmp_path, widget)) as it:
        box = it.page.locator(".lmw-nextword")
        for name, model in list(models.items())[:3]:
            box.get_by_label(name).check()
            box.get_by_role("button", name="Widest gap").click()
            place = int(box.get_by_label("Place in the story").input_value())
            assert place == int(np.argmax(evaluate.kl(world, model, widget.stories[0])))
