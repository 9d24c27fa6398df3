"""The unrolled network in Chromium: every step of every text shows lmcore's numbers; what the reader writes and clicks."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from lmcore import END, MASK, PAD, START, UNK
from lmcore.recurrent import as_language_model
from lmcore.widgets import UnrolledNetwork
from tests.book.figures import CHANGE, TEXTS, VOCABULARY, recurrent, status, unrolled, without_names
from tests.book.forward import numbers, states
from tests.book.pages import build, opened

pytestmark = pytest.mark.browser

CELLS = ["rnn", "relu", "lstm", "gru"]

WALK = (
    """async () => {
  const box = document.querySelector('.lmw-unrolled-network'), found = [];
  const all = (q, root = box) => [...root.querySelectorAll(q)];
  const pick = box.querySelector('select'), [place, unit] = all('[type=range]'), forget = box.querySelector('[type=checkbox]');
  const fact = (name) => +box.querySelector(`[data-fact=${name}]`).dataset.value;
  """
    + CHANGE
    + """
  for (const memory of [true, false]) {
    forget.checked = !memory; await change(forget, 'change');
    for (let s = 0; s < pick.options.length - 1; s++) {
      pick.selectedIndex = s; await change(pick, 'change');
      const forward = Array.from({length: +place.max + 1}, (_, n) => n);
      for (const n of memory ? forward : forward.reverse()) { // columns are taken back, too
        place.value = n; await change(place, 'input');
        unit.value = 1 + n % +unit.max; await change(unit, 'input');
        found.push({memory, s, n, unit: +unit.value - 1, length: +place.max,
          columns: all('.lmw-col').map((c) => {
            const bars = all('[data-h]', c);
            return {h: bars.map((r) => +r.dataset.h), signs: bars.map((r) => r.classList.contains('lmw-minus')),
              width: bars.map((r) => +r.getAttribute('width')), kind: c.className, now: !!c.querySelector('[aria-current]'),
              word: c.querySelector('button').title, guess: c.querySelector('.lmw-guess').title};
          }),
          rows: all('.lmw-words tbody tr').map((r) => [r.dataset.word, +r.dataset.p, r.classList.contains('lmw-came')]),
          parts: Object.fromEntries(all('[data-part]').map((r) => [r.dataset.part, +r.dataset.value])),
          inside: box.querySelector('.lmw-why .lmw-caption').textContent,
          came: fact('came'), mean: fact('mean'), moved: fact('moved'),
          status: box.querySelector('[role=status]').textContent});
      }
    }
  }
  return found;
}"""
)


@pytest.mark.parametrize("cell", CELLS)
def test_the_page_shows_lmcores_numbers_at_every_grid_point(tmp_path: Path, cell: str) -> None:
    widget, model = unrolled(cell), recurrent(cell)
    with opened(build(tmp_path, widget)) as it:
        found = it.page.evaluate(WALK)
        it.clean()
    assert len(found) == 2 * sum(len(text) + 1 for text in TEXTS)
    if cell != "relu":  # as_language_model
        truth = as_language_model(model, VOCABULARY)
    for f in found:
        words, n = TEXTS[f["s"]], f["n"]
        ids = numbers(words)
        all_h = states(model, ids)[0] if f["memory"] else np.stack([states(model, [i])[0][0] for i in ids])
        with torch.no_grad():
            scores = model.output(torch.tensor(all_h)).double()
        scores[:, [VOCABULARY.index(token) for token in (PAD, START, MASK)]] = -math.inf
        chances = scores.softmax(1).numpy()
        came = [*ids[1:], VOCABULARY.index(END)]
        assert f["length"] == len(words)
        assert [c["word"] for c in f["columns"]] == ["(start)", *words]
        assert [i for i, c in enumerate(f["columns"]) if c["now"]] == [n]
        for i, column in enumerate(f["columns"]):
            assert ("lmw-ahead" in column["kind"]) == (i > n)
            if i > n:
                assert column["h"] == []
                assert column["guess"] == ""
                continue
            np.testing.assert_allclose(column["h"], all_h[i], rtol=5e-5, atol=5e-6)
            assert column["signs"] == [value < 0 for value in column["h"]]
            assert np.argsort(column["width"], kind="stable")[-1] == np.abs(column["h"]).argmax()
            best = VOCABULARY[chances[i].argmax()]
            assert column["guess"] == ("(end)" if best == END else best)
        shown = {word: p for word, p, _ in f["rows"]}
        order = [VOCABULARY[i] for i in np.argsort(-chances[n], kind="stable")[: widget.top]]
        assert [word for word, *_ in f["rows"]][: widget.top] == order
        assert set(shown) == {*order, VOCABULARY[came[n]]}
        assert [word for word, _, flag in f["rows"] if flag] == [VOCABULARY[came[n]]]
        for word, p in shown.items():
            assert p == pytest.approx(chances[n][VOCABULARY.index(word)], rel=2e-4)
        if f["memory"] and cell != "relu":
            exact = truth.next_distribution(words[:n])
            assert {word: pytest.approx(exact[word], rel=2e-4) for word in shown} == shown
        assert f["came"] == pytest.approx(-math.log2(chances[n][came[n]]), rel=1e-4)
        assert f["mean"] == pytest.approx(-np.log2(chances[range(len(came)), came]).mean(), rel=1e-4)
        before = all_h[n - 1] if n else np.zeros_like(all_h[0])
        assert f["moved"] == pytest.approx(np.linalg.norm(all_h[n] - before), rel=1e-4, abs=1e-5)
        old, new = (values[f["unit"]] for values in (before if f["memory"] else 0 * before, all_h[n]))
        title, *moves = re.split(r": | → ", f["inside"].replace("−", "-"))
        assert title == f"Unit {f['unit'] + 1} at step {n}"
        assert [float(x) for x in moves] == [pytest.approx(old, abs=0.006), pytest.approx(new, abs=0.006)]
        if cell in ("rnn", "relu"):
            k, rnn = f["unit"], model.rnn
            word = (rnn.weight_ih_l0 @ model.embedding.weight[ids[n]])[k].item()
            old = before if f["memory"] else np.zeros_like(before)
            memory = (rnn.weight_hh_l0 @ torch.tensor(old))[k].item()
            bias = (rnn.bias_ih_l0 + rnn.bias_hh_l0)[k].item()
            exact = {"word": word, "memory": memory, "bias": bias, "sum": word + memory + bias, "h": all_h[n][k]}
            assert f["parts"] == {name: pytest.approx(value, rel=1e-4, abs=1e-5) for name, value in exact.items()}
        else:
            assert f["parts"] == {}
        assert f"Step {n} of {len(words)}" in f["status"]


def test_by_keyboard_alone(tmp_path: Path) -> None:
    with opened(build(tmp_path, unrolled())) as it:
        page, box = it.page, it.page.locator(".lmw-unrolled-network")
        page.keyboard.press("Tab")
        page.keyboard.press("ArrowDown")
        assert box.get_by_label("Text", exact=True).evaluate("e => e.selectedIndex") == 1
        page.keyboard.press("Tab")
        page.keyboard.press("Control+A")
        page.keyboard.type("she likes she")
        page.keyboard.press("Enter")
        assert "Step 3 of 3 read “she”" in status(page, "unrolled-network")
        assert box.get_by_label("Text", exact=True).evaluate("e => e.options[e.selectedIndex].text") == "your own"
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "◀ Back"
        page.keyboard.press("Enter")
        assert "Step 2 of 3 read “likes”" in status(page, "unrolled-network")
        page.keyboard.press("Tab")
        page.keyboard.press("Space")
        assert "Step 3 of 3" in status(page, "unrolled-network")
        graph = box.get_by_role("group", name="The network")
        graph.focus()
        page.keyboard.press("Home")
        assert "Step 0 of 3 is at the start" in status(page, "unrolled-network")
        page.keyboard.press("ArrowRight")
        assert "Step 1 of 3 read “she”" in status(page, "unrolled-network")
        assert graph.evaluate("e => e === document.activeElement")
        page.keyboard.press("End")
        assert "Step 3 of 3" in status(page, "unrolled-network")
        it.clean()


def test_own_text_is_cut_into_words_and_a_strange_word_is_named(tmp_path: Path) -> None:
    with opened(build(tmp_path, unrolled())) as it:
        box = it.page.locator(".lmw-unrolled-network")
        own = box.get_by_label("Your text")

        def words() -> list[str]:
            return [button.get_attribute("title") or "" for button in box.locator(".lmw-col button").all()][1:]

        def write(text: str) -> str:
            own.fill(text)
            own.press("Enter")
            return box.locator(".lmw-warning").text_content() or ""

        assert write("  she likes, don't   \"licks <b> o'clock.") == ""
        assert words() == ["she", "likes", ",", "don't", '"', "licks", "<b>", "o'clock", "."]
        before = words()
        note = write("she liks tea")
        assert "“liks” is not among the 33 words that the model knows" in note
        assert "licks" in note
        assert "likes" in note
        assert words() == before
        assert "at most 60" in write("tea " * 61)
        for token in (PAD, START, MASK, END):
            assert "is not among" in write(f"she {token}")
        assert words() == before
        assert write("") == ""
        assert words() == []
        own.press_sequentially("she lik")
        completions = box.locator("datalist option").evaluate_all("all => all.map((o) => o.value)")
        assert completions == ["she likes"]
        it.clean()


def test_a_model_with_an_unknown_token_reads_strange_words_as_that(tmp_path: Path) -> None:
    vocabulary = [UNK if word == "word7" else word for word in VOCABULARY]
    widget = UnrolledNetwork(recurrent("rnn"), vocabulary, [["she", "strange", "tea"]])
    with opened(build(tmp_path, widget)) as it:
        box = it.page.locator(".lmw-unrolled-network")
        assert box.locator(".lmw-col button").nth(2).inner_text() == "strange"
        box.get_by_label("Your text").fill("she other tea")
        box.get_by_label("Your text").press("Enter")
        assert f"reads it as {UNK}" in box.get_by_role("alert").inner_text()
        found = box.locator(".lmw-col").last.locator("[data-h]").evaluate_all("all => all.map((r) => +r.dataset.h)")
        h, _ = states(recurrent("rnn"), [VOCABULARY.index(word) for word in (START, "she", "word7", "tea")])
        np.testing.assert_allclose(found, h[-1], rtol=2e-5, atol=2e-6)
        it.clean()


def test_a_predicted_word_continues_the_text(tmp_path: Path) -> None:
    with opened(build(tmp_path, unrolled(step=2))) as it:
        box = it.page.locator(".lmw-unrolled-network")
        link = box.locator("tbody .lmw-link").first
        chosen = link.inner_text()
        link.click()
        assert box.get_by_label("Your text").input_value() == f"she likes {chosen}"
        assert f"Step 3 of 3 read “{chosen}”" in status(it.page, "unrolled-network")
        assert box.locator(".lmw-words").get_by_role("button", name="(end)").count() == 0
        it.clean()


def test_a_click_in_a_state_opens_that_unit(tmp_path: Path) -> None:
    with opened(build(tmp_path, unrolled(step=4))) as it:
        box = it.page.locator(".lmw-unrolled-network")
        bar = box.locator(".lmw-col").nth(2).locator("[data-h]").nth(5)
        value = float(bar.get_attribute("data-h") or "nan")
        bar.click(force=True)
        assert "Step 2 of 4" in status(it.page, "unrolled-network")
        assert float(box.locator("[data-part=h]").get_attribute("data-value") or "nan") == value
        assert "6 of 7" in box.get_by_label("Look inside unit").get_attribute("aria-valuetext")
        it.clean()


def test_play_goes_to_the_end_and_stops(tmp_path: Path) -> None:
    with opened(build(tmp_path, unrolled(step=1))) as it:
        page = it.page
        page.clock.install()
        page.get_by_role("button", name="Play").click()
        page.clock.run_for(2000)
        assert "Step 3 of 4" in status(page, "unrolled-network")
        page.get_by_role("button", name="Pause").click()
        page.clock.run_for(5000)
        assert "Step 3 of 4" in status(page, "unrolled-network")
        page.get_by_role("button", name="Play").click()
        page.clock.run_for(9000)
        assert "Step 4 of 4" in status(page, "unrolled-network")
        assert page.get_by_role("button", name="Play").is_visible()
        it.clean()


def test_what_python_sets_and_what_clicks_reach_are_one_page(tmp_path: Path) -> None:
    """A figure made in a state shows what a figure brought there by hand shows."""
    made = unrolled(words=TEXTS[1], step=5, unit=3, memory=False)
    with opened(build(tmp_path, made, unrolled())) as it:
        left, right = (it.page.locator(".lmw-unrolled-network").nth(i) for i in range(2))
        right.get_by_label("Text", exact=True).select_option(index=1)
        right.locator(".lmw-col button").nth(5).click()
        right.get_by_label("Look inside unit").fill("4")
        right.get_by_label("Wipe the state").check()
        pages = [without_names(box.inner_html()) for box in (left, right)]
        assert pages[0] == pages[1]
        it.clean()
