"""Gates and memory in the page equal torch's, and the gate explorer shows them at every step, unit and model."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from lmcore import END
from lmcore.recurrent import RecurrentLM, as_language_model
from lmcore.widgets.gate_explorer import QUANTITIES
from tests.book.figures import CHANGE, TEXTS, VOCABULARY, gates, recurrent, status, without_names
from tests.book.forward import forward, numbers, states
from tests.book.pages import build, opened

pytestmark = pytest.mark.browser

MODELS = {"LSTM": recurrent("lstm"), "GRU": recurrent("gru", hidden=11)}
KIND = "gates"


def anatomy(model: RecurrentLM, words: list[str]) -> dict[str, np.ndarray]:
    """Gates, candidate and memory at every step, T × H, from the equations of torch's documentation."""
    ids = numbers(words)
    h, c = (torch.tensor(part) for part in states(model, ids))
    rnn, before = model.rnn, torch.cat([torch.zeros_like(h[:1]), h[:-1]])
    with torch.no_grad():
        x = model.embedding.weight[ids] @ rnn.weight_ih_l0.T + rnn.bias_ih_l0
        s = before @ rnn.weight_hh_l0.T + rnn.bias_hh_l0
        if model is MODELS["LSTM"]:
            i, f, g, o = (x + s).chunk(4, dim=1)
            found = {"forget": f.sigmoid(), "input": i.sigmoid(), "output": o.sigmoid(), "candidate": g.tanh(), "memory": c}
            keep, write = found["forget"], found["input"] * found["candidate"]
        else:
            (xr, xz, xn), (sr, sz, sn) = x.chunk(3, dim=1), s.chunk(3, dim=1)
            found = {"reset": (xr + sr).sigmoid(), "update": (xz + sz).sigmoid(), "memory": h}
            found["candidate"] = (xn + found["reset"] * sn).tanh()
            keep, write = found["update"], (1 - found["update"]) * found["candidate"]
    old = torch.cat([torch.zeros_like(c[:1]), found["memory"][:-1]])
    assert torch.allclose(keep * old + write, found["memory"], atol=1e-5), "the equations are torch's"
    found["keep"], found["write"] = keep, write
    return {name: value.double().numpy() for name, value in found.items()}


def traces(parts: dict[str, np.ndarray], n: int) -> np.ndarray:
    """What the memory after step n holds, by the step m that wrote it: (n + 1) × H, in plain loops."""
    keep, write = parts["keep"], parts["write"]
    return np.array([write[m] * np.prod(keep[m + 1 : n + 1], axis=0) for m in range(n + 1)])


@pytest.mark.parametrize("name", MODELS)
def test_gates_and_traces_equal_torchs_at_every_step(tmp_path: Path, name: str) -> None:
    with opened(build(tmp_path), ready=False) as it:
        found = forward(it.page, gates(), [numbers(words) for words in TEXTS])[list(MODELS).index(name)]
        it.clean()
    for words, steps in zip(TEXTS, found, strict=True):
        exact = anatomy(MODELS[name], words)
        for gate in steps[0]["gates"]:
            np.testing.assert_allclose([s["gates"][gate] for s in steps], exact[gate], rtol=2e-5, atol=2e-6)
        np.testing.assert_allclose([s["candidate"] for s in steps], exact["candidate"], rtol=2e-5, atol=3e-6)
        for n, s in enumerate(steps):
            np.testing.assert_allclose(np.array(s["kept"]).T, traces(exact, n), rtol=1e-4, atol=3e-6)
            np.testing.assert_allclose(np.sum(s["kept"], axis=1), s["c" if name == "LSTM" else "h"], rtol=1e-9, atol=1e-12)
    every = np.concatenate([anatomy(MODELS[name], words)["keep"].ravel() for words in TEXTS])
    assert every.min() < 0.3
    assert every.max() > 0.7, "gates that open and shut"


WALK = (
    """async () => {
  const box = document.querySelector('.lmw-gates'), found = [], all = (q, root = box) => [...root.querySelectorAll(q)];
  const models = all('[type=radio]'), [text, shown] = all('select'), [place, unit] = all('[type=range]');
  const fact = (name) => +box.querySelector(`[data-fact=${name}]`).dataset.value;
  """
    + CHANGE
    + """
  const read = () => ({length: +place.max, words: all('thead button').map((b) => b.textContent),
    now: all('thead th').findIndex((t) => t.hasAttribute('data-now')), marked: all('[data-now]').length,
    rows: Object.fromEntries(all('tbody tr[data-row]').filter((r) => r.dataset.row !== 'units').map((r) => [r.dataset.row,
      all('td', r).map((d) => (d.dataset.value === undefined ? null : +d.dataset.value))])),
    tall: all('.lmw-well i').map((i) => parseFloat(i.style.height)),
    hollow: all('.lmw-well i').map((i) => i.className === 'lmw-minus'),
    wall: all('[data-row=units] svg').map((s) => all('[data-value]', s).map((r) => +r.dataset.value)),
    of: box.querySelector('[data-row=units]').dataset.of,
    table: all('.lmw-words tbody tr').map((r) => [r.dataset.word, +r.dataset.p, r.className === 'lmw-came']),
    reach: fact('reach'), came: fact('came'), status: box.querySelector('[role=status]').textContent});
  for (let m = 0; m < models.length; m++) {
    models[m].checked = true; await change(models[m], 'change');
    for (let s = 0; s < text.options.length - 1; s++) {
      text.selectedIndex = s; await change(text, 'change');
      const forward = Array.from({length: +place.max + 1}, (_, n) => n);
      for (const n of m ? forward.reverse() : forward) {
        place.value = n; await change(place, 'input');
        for (const k of [0, 1 + (7 * n + s) % +unit.max]) {
          unit.value = k; await change(unit, 'input');
          shown.selectedIndex = (n + k) % shown.options.length; await change(shown, 'change');
          found.push({m, s, n, k: k - 1, units: +unit.max, ...read()});
        }
      }
    }
  }
  return found;
}"""
)


def test_the_page_shows_torchs_gates_at_every_grid_point(tmp_path: Path) -> None:
    with opened(build(tmp_path, gates())) as it:
        found = it.page.evaluate(WALK)
        it.clean()
    assert len(found) == 2 * 2 * sum(len(text) + 1 for text in TEXTS)
    names = list(MODELS)
    exact = {(m, s): anatomy(MODELS[names[m]], text) for m in range(2) for s, text in enumerate(TEXTS)}
    truth = [as_language_model(MODELS[name], VOCABULARY) for name in names]
    seen: set[tuple[int, str]] = set()
    for f in found:
        words, n, k, parts = TEXTS[f["s"]], f["n"], f["k"], exact[f["m"], f["s"]]
        quantities = [row for row in f["rows"] if row != "kept"]
        assert [*f["rows"]] == [*quantities, "kept"]
        assert len(quantities) == len(QUANTITIES[names[f["m"]].lower()])
        assert f["words"] == ["(start)", *words]
        assert f["now"] == n
        assert f["marked"] == len(f["rows"]) + 2  # one cell in every row of the sheet
        for row in quantities:
            value = parts[row] if k >= 0 or row != "memory" else np.abs(parts[row])
            np.testing.assert_allclose(f["rows"][row], value[:, k] if k >= 0 else value.mean(1), rtol=1e-4, atol=3e-6)
        shares = traces(parts, n)
        shares = shares[:, k] if k >= 0 else np.abs(shares).mean(1)
        kept = f["rows"]["kept"]
        np.testing.assert_allclose(kept[: n + 1], shares, rtol=2e-4, atol=3e-6)
        assert kept[n + 1 :] == [None] * (len(words) - n)
        if k >= 0:
            assert sum(kept[: n + 1]) == pytest.approx(f["rows"]["memory"][n], rel=1e-9, abs=1e-12)
        # the bars: a gate fills its well as far as it is open, what has a sign starts in the middle and goes either way
        values = [value for row in f["rows"].values() for value in row if value is not None]
        assert f["hollow"] == [value < 0 for value in values]
        count = len(words) + 1
        for j, row in enumerate(quantities):
            top = 1 if row != "memory" else max(map(abs, f["rows"][row]))
            whole = 50 if row == "memory" and k >= 0 else 100
            tall = f["tall"][j * count : (j + 1) * count]
            np.testing.assert_allclose(tall, [whole * abs(value) / top for value in f["rows"][row]], atol=0.01)
        assert f["of"] in quantities
        seen.add((f["m"], f["of"]))
        np.testing.assert_allclose(f["wall"], parts[f["of"]], rtol=1e-4, atol=3e-6)
        large = np.abs(shares) >= 0.1 * np.abs(shares).sum()
        assert f["reach"] == n - int(large.argmax())
        exact_next = truth[f["m"]].next_distribution(words[:n])
        came = [*words, END][n]
        order = sorted(exact_next, key=lambda word: -exact_next[word])[:4]
        assert [row[0] for row in f["table"]][:4] == order
        assert {row[0]: pytest.approx(row[1], rel=2e-4) for row in f["table"]} == {w: exact_next[w] for w in {*order, came}}
        assert [row[0] for row in f["table"] if row[2]] == [came]
        assert f["came"] == pytest.approx(-math.log2(exact_next[came]), rel=1e-4)
        assert f"At step {n}," in f["status"]
    assert seen == {(m, row) for m in range(2) for row in (["forget", "input", "output"], ["reset", "update"])[m]} | {
        (0, "memory"),
        (1, "memory"),
    }, "every quantity was shown unit by unit"


def test_buttons_find_the_keeper_and_the_switch(tmp_path: Path) -> None:
    with opened(build(tmp_path, gates(words=TEXTS[1]))) as it:
        box = it.page.locator(f".lmw-{KIND}")
        unit = box.get_by_label("Unit", exact=True)
        for name, model in MODELS.items():
            box.get_by_label(name).check()
            keep = anatomy(model, TEXTS[1])["keep"]
            box.get_by_role("button", name="Best keeper").click()
            assert int(unit.input_value()) == 1 + keep.mean(0).argmax()
            box.get_by_role("button", name="Busiest switch").click()
            assert int(unit.input_value()) == 1 + keep.var(0).argmax()
            box.get_by_role("button", name="Mean of all").click()
            assert unit.input_value() == "0"
            assert box.get_by_role("button", name="Mean of all").is_disabled()
        it.clean()


def test_by_keyboard_alone(tmp_path: Path) -> None:
    with opened(build(tmp_path, gates(step=1))) as it:
        page, box = it.page, it.page.locator(f".lmw-{KIND}")
        page.keyboard.press("Tab")
        page.keyboard.press("ArrowRight")
        assert box.get_by_label("GRU").is_checked()
        page.keyboard.press("Tab")
        page.keyboard.press("ArrowDown")
        assert box.get_by_label("Text", exact=True).evaluate("e => e.selectedIndex") == 1
        page.keyboard.press("Tab")
        page.keyboard.press("Control+A")
        page.keyboard.type("tea likes she .")
        page.keyboard.press("Enter")
        assert "At step 4, “.”" in status(page, KIND)
        sheet = box.get_by_role("group", name="Gates and memory")
        for _ in range(5):
            page.keyboard.press("Tab")
            if sheet.evaluate("e => e === document.activeElement"):
                break
        page.keyboard.press("ArrowLeft")
        assert "At step 3, “she”" in status(page, KIND)
        page.keyboard.press("Home")
        assert "At step 0, the start" in status(page, KIND)
        page.keyboard.press("Tab")
        page.keyboard.press("ArrowRight")
        assert "unit 1 of GRU keeps" in status(page, KIND)
        page.keyboard.press("End")
        assert "unit 11 of GRU keeps" in status(page, KIND)
        it.clean()


def test_the_smaller_model_takes_its_own_last_unit(tmp_path: Path) -> None:
    with opened(build(tmp_path, gates(model="GRU", unit=10, shown=2))) as it:
        box = it.page.locator(f".lmw-{KIND}")
        assert "unit 11 of GRU" in status(it.page, KIND)
        box.get_by_label("LSTM").check()
        assert "unit 7 of LSTM" in status(it.page, KIND)
        assert box.locator("[data-row=units]").get_attribute("data-of") == "output"
        it.clean()


def test_a_click_in_the_wall_chooses_unit_and_step(tmp_path: Path) -> None:
    with opened(build(tmp_path, gates(words=TEXTS[0], step=0))) as it:
        box = it.page.locator(f".lmw-{KIND}")
        tower = box.locator("[data-row=units] svg").nth(2)
        area = tower.bounding_box()
        assert area
        tower.click(position={"x": 5, "y": area["height"] * 4.5 / 7})
        assert "At step 2, “likes”, unit 5 of LSTM" in status(it.page, KIND)
        it.clean()


def test_what_python_sets_and_what_clicks_reach_are_one_page(tmp_path: Path) -> None:
    made = gates(words=TEXTS[1], step=5, unit=3, model="GRU", shown=1)
    with opened(build(tmp_path, made, gates())) as it:
        left, right = (it.page.locator(f".lmw-{KIND}").nth(i) for i in range(2))
        right.get_by_label("Text", exact=True).select_option(index=1)
        right.locator("thead button").nth(5).click()
        right.get_by_label("GRU").check()
        right.get_by_label("Unit", exact=True).fill("4")
        right.get_by_label("Every unit of the").select_option(index=1)
        pages = [without_names(box.inner_html()) for box in (left, right)]
        assert pages[0] == pages[1]
        it.clean()
