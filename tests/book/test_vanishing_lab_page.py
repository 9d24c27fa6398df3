"""The vanishing-gradient lab in Chromium: at every setting the page's network and its gradient are lmcore's."""

import functools
import itertools
import math
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page

from lmcore.gradients import backpropagate, step_jacobian
from lmcore.widgets import VanishingLab
from lmcore.widgets.base import HERE
from tests.book.figures import CHANGE, status
from tests.book.pages import build, opened

pytestmark = pytest.mark.browser

NONLINEARITIES, NAMES = ["linear", "tanh", "relu"], ["linear", "tanh", "ReLU"]
WALK = (
    """async (points) => {
  const box = document.querySelector('.lmw-vanishing'), found = [];
  const [radius, length, strength] = box.querySelectorAll('[type=range]');
  const pick = (text) => [...box.querySelectorAll('[type=radio]')].find((r) => r.labels[0].textContent === text);
  const draw = [...box.querySelectorAll('button')].find((b) => b.textContent.startsWith('Draw again'));
  const chart = box.querySelector('[role=slider]'), fact = (name) => +box.querySelector(`[data-fact=${name}]`).dataset.value;
  const logs = (kind) => box.querySelector(`.lmw-curve-${kind}[data-logs]`)?.dataset.logs.split(',');
  """
    + CHANGE
    + """
  for (const p of points) {
    for (const r of [pick(p.kind), pick(p.sigma)]) { r.checked = true; await change(r, 'change'); }
    const wanted = [[radius, p.radius], [length, p.length], [strength, p.strength]];
    for (const [input, v] of wanted) { input.value = v; await change(input, 'input'); }
    while (!draw.textContent.includes(`(${p.draw + 1} of`)) { draw.click(); await Promise.resolve(); }
    chart.dispatchEvent(new KeyboardEvent('keydown', {key: p.key}));
    await Promise.resolve();
    found.push({measured: logs('measured'), rho: logs('rho'), bound: logs('bound'), power: logs('power'),
      distance: +chart.ariaValueNow, status: box.querySelector('[role=status]').textContent,
      facts: [fact('measured'), fact('rho'), fact('bound'), fact('factor'), fact('slope')].map(String),
      eigen: [...box.querySelectorAll('.lmw-eigen path')].map((d) => [+d.dataset.re, +d.dataset.im, d.getAttribute('class')]),
      singular: [...box.querySelectorAll('.lmw-singular')].map((r) => +r.dataset.value),
      sets: [...box.querySelectorAll('.lmw-set')].map((e) => e.textContent)});
  }
  return found;
}"""
)


def lab(**kwargs: Any) -> VanishingLab:
    return VanishingLab(**{"size": 7, "draws": 2, "longest": 29, "inputs": 3, "seed": 11, **kwargs})


def numbers(texts: list[str]) -> torch.Tensor:
    """What JavaScript wrote, as float64."""
    return torch.tensor([float(t.replace("Infinity", "inf")) for t in texts], dtype=torch.float64)


def agree(shown: list[str], exact: torch.Tensor, tolerance: float = 1e-10) -> None:
    """Two curves of base-10 logarithms; −∞, the logarithm of 0, only where it belongs."""
    found = numbers(shown)
    assert found.shape == exact.shape
    assert torch.equal(found.isinf(), exact.isinf())
    assert torch.allclose(found[~found.isinf()], exact[~exact.isinf()], rtol=0, atol=tolerance)


def settings(widget: VanishingLab, radii: list[float], lengths: list[int], strengths: list[float]) -> list[dict[str, Any]]:
    points = itertools.product(widget.initialisations, NAMES, radii, lengths, strengths, range(widget.draws))
    keys = itertools.cycle(["End", "ArrowLeft", "Home", "PageUp", "ArrowRight", "PageDown"])
    names = ("kind", "sigma", "radius", "length", "strength", "draw")
    return [{**dict(zip(names, point, strict=True)), "key": key} for point, key in zip(points, keys, strict=False)]


def put(widget: VanishingLab, point: dict[str, Any]) -> None:
    widget.set_state({k: point[k] for k in ("radius", "length", "strength", "draw")} | {"initialisation": point["kind"]})
    widget.nonlinearity = NONLINEARITIES[NAMES.index(point["sigma"])]


def test_page_shows_lmcores_numbers_at_every_point_of_a_grid(tmp_path: Path) -> None:
    page_widget, widget = lab(), lab()
    points = settings(widget, [0.5, 0.83, 1.0, 1.17, 1.5], [2, 13, 29], [0.0, 0.3, 1.0])
    with opened(build(tmp_path, page_widget)) as it:
        found = it.page.evaluate(WALK, points)
        it.clean()
    zeros = grown = 0
    for point, f in zip(points, found, strict=True):
        put(widget, point)
        weight, profile, k = widget.weight(), widget.profile(), torch.arange(point["length"] + 1, dtype=torch.float64)
        agree(f["measured"], profile.log10())
        agree(f["rho"], k * math.log10(point["radius"]))
        singular = torch.linalg.svdvals(weight)
        agree(f["bound"], k * singular[0].log10())
        powers = torch.stack([torch.linalg.matrix_norm(torch.linalg.matrix_power(weight, int(i)), 2) for i in k]).log10()
        assert (f["power"] is None) == (point["sigma"] != "linear")
        if f["power"]:
            agree(f["power"], powers, 1e-9)
        at = f["distance"]
        assert 0 <= at <= point["length"]
        most = powers if f["power"] else k * singular[0].log10()
        agree(
            f["facts"][:3],
            torch.stack([profile[at].log10(), k[at] * math.log10(point["radius"]), most[at]]),
            1e-9,
        )
        slopes = {"linear": torch.ones_like, "tanh": lambda h: 1 - h**2, "relu": lambda h: (h > 0).double()}[
            widget.nonlinearity
        ]
        assert float(f["facts"][4]) == pytest.approx(float(slopes(widget.states()).mean()), rel=1e-10)
        eigen = torch.tensor([[re, im] for re, im, _ in f["eigen"]])
        exact = torch.view_as_real(torch.linalg.eigvals(weight))
        order = lambda v: v[np.lexsort((v[:, 1].round(decimals=6), v[:, 0].round(decimals=6)))]  # noqa: E731
        assert torch.allclose(order(eigen.double()), order(exact), atol=1e-6)
        outside = sum(kind == "lmw-outside" for *_, kind in f["eigen"])
        assert outside == int((exact.norm(dim=1) > 1 + 1e-7).sum())
        assert torch.allclose(torch.tensor(f["singular"]).double(), singular, atol=1e-6)
        assert f["sets"] == [f"{point['radius']:.2f}", f"{point['length']} steps", f"{point['strength']:.2f}"]
        assert f"{outside or 'no'} eigenvalue" in f["status"]
        assert ("exactly 0" in f["status"]) == bool((profile == 0).any())
        zeros += bool((profile == 0).any())
        grown += bool(profile[-1] > 10)
    assert zeros > 10, "dead ReLUs must be among the points"
    assert grown > 10, "so must exploding gradients"


@functools.cache
def source() -> str:
    return (HERE / "vanishing.mjs").read_text("utf-8").replace("export ", "")


RUN = """([p, source]) => {
  const run = new Function(source + 'return { forward, backward, drive };')(), size = p.readout.length;
  const given = { ...p, size, matrix: Float64Array.from(p.matrix), driven: run.drive(p.weights, p.series, p.inputs) };
  const out = run.forward(given), profile = run.backward({ ...given, slopes: out.slopes });
  return { states: [...out.states], exponents: [...out.exponents],
    norms: [...out.norms].map(String), profile: [...profile].map(String) };
}"""


def in_page(page: Page, widget: VanishingLab) -> dict[str, Any]:
    """The page's own network at the widget's setting, with its states."""
    part = lambda name: np.frombuffer(getattr(widget, name), "<f8").reshape(widget.draws, -1)[widget.draw].tolist()  # noqa: E731
    given = {name: getattr(widget, name) for name in ("inputs", "length", "strength", "nonlinearity")}
    given |= {"weights": part("input_weights"), "series": part("series"), "readout": part("readouts")}
    given["matrix"] = widget.weight().flatten().tolist()
    return page.evaluate(RUN, [given, source()])


def test_every_step_holds_even_where_rounding_decides_the_states(tmp_path: Path) -> None:
    """In a chaotic network two correct programs part after some steps. So: each step from the page's own state before it, and
    the gradient through the page's own states, by lmcore.gradients; both tight at any setting."""
    widget = VanishingLab(draws=1, longest=200, length=200, strength=0.3, seed=3)
    inputs = np.frombuffer(widget.input_weights, "<f8").reshape(32, 4) @ np.frombuffer(widget.series, "<f8").reshape(200, 4).T
    sensitive = 0.0
    with opened(build(tmp_path, widget)) as it:
        for kind, sigma, radius in itertools.product(widget.initialisations, NONLINEARITIES, (0.6, 1.0, 1.5)):
            widget.set_state({"initialisation": kind, "nonlinearity": sigma, "radius": radius})
            found = in_page(it.page, widget)
            scale = torch.tensor(found["exponents"], dtype=torch.float64).exp2()[:, None]
            states = torch.tensor(found["states"], dtype=torch.float64).reshape(200, 32) * scale
            before = torch.cat([torch.zeros(1, 32, dtype=torch.float64), states[:-1]])
            z = before @ widget.weight().T + 0.3 * torch.tensor(inputs.T)
            exact = {"linear": z, "tanh": z.tanh(), "relu": z.relu()}[sigma]
            assert torch.allclose(states, exact, rtol=0, atol=1e-13 * (1 + float(before.abs().max()) * 10))
            gradient = backpropagate(widget.readout(), step_jacobian(widget.weight(), states, sigma)).norm(dim=-1).flip(0)
            agree(found["profile"], gradient.log10(), 1e-10)
            agree(found["norms"], states.norm(dim=1).log10(), 1e-10)
            if sigma == "tanh":
                sensitive = max(sensitive, float(gradient.max()))
    assert sensitive > 1e6, "a chaotic network must be among them"


def decimal_profile(widget: VanishingLab) -> tuple[list[float], list[float]]:
    """log10 of the gradient norms and of the state norms, in decimal arithmetic, which knows no largest number."""
    exact = lambda rows: [[Decimal(v) for v in row] for row in rows.tolist()]  # noqa: E731
    draw = lambda name, *shape: np.frombuffer(getattr(widget, name), "<f8").reshape(widget.draws, *shape)[widget.draw]  # noqa: E731
    weight = exact(widget.weight())
    driven = exact(
        draw("series", widget.longest, widget.inputs) @ draw("input_weights", widget.size, widget.inputs).T * widget.strength
    )
    log = lambda v: float(sum(x * x for x in v).sqrt().log10()) if any(v) else -math.inf  # noqa: E731
    state, states = [Decimal(0)] * widget.size, []
    for n in range(widget.length):
        z = [sum(a * b for a, b in zip(row, state, strict=True)) + u for row, u in zip(weight, driven[n], strict=True)]
        state = [max(v, Decimal(0)) for v in z] if widget.nonlinearity == "relu" else z
        states.append(state)
    delta = [Decimal(v) for v in widget.readout().tolist()]
    profile = [log(delta)]
    for state in reversed(states):
        on = [d if widget.nonlinearity == "linear" or h > 0 else Decimal(0) for d, h in zip(delta, state, strict=True)]
        delta = [sum(d * row[j] for d, row in zip(on, weight, strict=True)) for j in range(widget.size)]
        profile.append(log(delta))
    return profile, [log(s) for s in states]


SAID = {
    "0 from": r"In 32-bit numbers it would be 0 from (\d+) steps on",
    "overflow": r"overflow from (\d+) steps on",
    "outgrows": r"outgrows 32-bit numbers at step (\d+) of 600",
    "exactly 0": r"From (\d+) steps on it is exactly 0",
}


def test_numbers_beyond_float64_are_kept_and_said(tmp_path: Path) -> None:
    widget = VanishingLab(size=5, draws=1, longest=600, radii=(0.05, 10.0), inputs=2, seed=4, length=600, distance=600)
    kinds = [
        ("orthogonal", "linear"),
        ("Gaussian", "relu"),
        ("non-normal", "linear"),
        ("identity", "relu"),
        ("Gaussian", "linear"),
    ]
    fixed = {"length": 600, "strength": 0.3, "draw": 0, "key": "End"}
    points = [
        {"kind": kind, "sigma": NAMES[NONLINEARITIES.index(sigma)], "radius": radius, **fixed}
        for (kind, sigma), radius in itertools.product(kinds, (0.05, 10.0))
    ]
    with opened(build(tmp_path, widget)) as it:
        found = it.page.evaluate(WALK, points)
        below = it.page.locator(".lmw-beyond").count()
        it.clean()
    assert below == 1
    seen = {"0 from": 0, "overflow": 0, "outgrows": 0, "exactly 0": 0}
    for point, f in zip(points, found, strict=True):
        put(widget, point)
        profile, states = decimal_profile(widget)
        agree(f["measured"], torch.tensor(profile, dtype=torch.float64), 1e-8)
        told = {key: re.search(pattern, f["status"]) for key, pattern in SAID.items()}
        small = [np.float32(10.0 ** min(v, 0)) == 0 for v in profile]
        large = [v > math.log10(np.finfo(np.float32).max) for v in profile]
        grown = [v > math.log10(np.finfo(np.float32).max) for v in states]
        dead = [v == -math.inf for v in profile]
        expected = {"exactly 0": (dead, 0), "overflow": (large, 0), "outgrows": (grown, 1)}
        if small.index(True) < dead.index(True) if True in dead and True in small else True in small:
            expected["0 from"] = (small, 0)
        else:
            assert told["0 from"] is None
        for key, (where, shift) in expected.items():
            assert (told[key] is not None) == (True in where), (point, key, f["status"])
            if told[key]:
                assert int(told[key][1]) == where.index(True) + shift
                seen[key] += 1
        assert "NaN" not in f["status"] + "".join(f["facts"])
    assert min(seen.values()) >= 1, seen
    assert max(v for f in found for v in numbers(f["measured"]).tolist()) > 590, "beyond the largest float64"
    assert min(v for f in found for v in numbers(f["measured"]).tolist() if v > -math.inf) < -700, "below the smallest"


def fact(box: Locator, name: str) -> float:
    return float(box.locator(f"[data-fact={name}]").get_attribute("data-value") or "nan")


def test_by_keyboard_alone(tmp_path: Path) -> None:
    with opened(build(tmp_path, lab())) as it:
        page, box = it.page, it.page.locator(".lmw-vanishing")
        label = "(document.activeElement.labels?.[0] ?? document.activeElement).textContent"
        order = [
            "Vanish",
            "Hold",
            "Explode",
            "Rise, then vanish",
            "Saturate",
            "orthogonal",
            "linear",
            "Draw again",
            "Keep",
            "Spectral",
            "Length",
            "Input",
        ]
        for text in order:
            page.keyboard.press("Tab")
            assert page.evaluate(label).startswith(text), text
        page.keyboard.press("Tab")
        chart = box.get_by_role("slider", name="Distance that is read out")
        assert chart.evaluate("e => e === document.activeElement")
        page.keyboard.press("Home")
        assert chart.get_attribute("aria-valuenow") == "0"
        assert fact(box, "measured") == pytest.approx(0, abs=1e-12)
        for key in ("ArrowRight", "ArrowUp", "PageUp"):
            page.keyboard.press(key)
        assert chart.get_attribute("aria-valuenow") == "12"
        page.keyboard.press("End")
        assert chart.get_attribute("aria-valuenow") == "29"
        assert chart.get_attribute("aria-valuetext") == "29 steps back: gradient 0.0471"
        assert fact(box, "measured") == pytest.approx(29 * math.log10(0.9))
        for _ in range(3):
            page.keyboard.press("Shift+Tab")
        page.keyboard.press("ArrowRight")
        assert fact(box, "rho") == pytest.approx(29 * math.log10(0.91))
        for _ in range(4):
            page.keyboard.press("Shift+Tab")
        page.keyboard.press("ArrowRight")  # radio buttons
        assert box.get_by_label("identity").is_checked()
        assert "Identity, linear, ρ = 0.91" in status(page, "vanishing")
        it.clean()


def test_experiments_show_what_their_names_say(tmp_path: Path) -> None:
    with opened(build(tmp_path, VanishingLab())) as it:
        box = it.page.locator(".lmw-vanishing")
        said = {}
        for name in ("Vanish", "Hold", "Explode", "Rise, then vanish", "Saturate"):
            box.get_by_role("button", name=name, exact=True).click()
            said[name] = status(it.page, "vanishing")
        assert "shrinks, from 1 to" in said["Vanish"]
        assert "keeps its size, from 1 to 1:" in said["Hold"]
        assert "grows, from 1 to" in said["Explode"]
        assert re.search(r"first rises to \d\S+, \d+ steps back, and is [\d.]+ · 10⁻\S+ after 100", said["Rise, then vanish"])
        assert re.search("32 eigenvalues outside.*shrinks", said["Saturate"]), "a radius above 1, and still it vanishes"
        it.clean()


def test_ring_can_be_dragged_and_a_distance_pointed_at(tmp_path: Path) -> None:
    with opened(build(tmp_path, lab()), height=1300) as it:
        page, box = it.page, it.page.locator(".lmw-vanishing")
        knob = box.locator(".lmw-knob").bounding_box()
        circle = box.locator(".lmw-unit").bounding_box()
        assert knob
        assert circle
        unit = box.locator(".lmw-unit").evaluate("e => +e.getAttribute('r')")
        centre = [circle["x"] + circle["width"] / 2, circle["y"] + circle["height"] / 2]
        page.mouse.move(knob["x"] + knob["width"] / 2, knob["y"] + knob["height"] / 2)
        page.mouse.down()
        for radius in (1.0, 1.3, 9.0):
            page.mouse.move(centre[0], centre[1] - radius * unit)
            shown = float(box.get_by_label("Spectral radius").input_value())
            assert shown == pytest.approx(min(radius, 1.5), abs=0.006)
            assert box.locator(".lmw-radius").evaluate("e => +e.getAttribute('r')") == pytest.approx(
                shown * circle["width"] / 2, rel=0.03
            )
        page.mouse.up()
        page.mouse.move(*centre)
        assert float(box.get_by_label("Spectral radius").input_value()) == 1.5
        pad = box.locator(".lmw-pad").bounding_box()
        assert pad
        page.mouse.click(pad["x"] + pad["width"] * 10 / 29, pad["y"] + 40)
        assert box.get_by_role("slider", name="Distance").get_attribute("aria-valuenow") == "10"
        it.clean()


def test_a_kept_curve_stays_while_the_network_changes(tmp_path: Path) -> None:
    with opened(build(tmp_path, lab())) as it:
        box = it.page.locator(".lmw-vanishing")
        logs = "e => e.dataset.logs"
        before = box.locator(".lmw-curve-measured[data-logs]").evaluate(logs)
        box.get_by_role("button", name="Keep this curve").click()
        box.get_by_label("ReLU").check()
        box.get_by_label("Gaussian").check()
        assert box.locator(".lmw-curve-kept[data-logs]").evaluate(logs) == before
        assert box.locator(".lmw-curve-measured[data-logs]").evaluate(logs) != before
        assert "kept: orthogonal, linear, ρ = 0.90" in box.locator(".lmw-legend").last.inner_text()
        box.get_by_role("button", name="Drop the kept curve").click()
        assert box.locator(".lmw-curve-kept[data-logs]").count() == 0
        it.clean()


def test_a_change_made_elsewhere_is_followed(tmp_path: Path) -> None:
    widget = lab()
    with opened(build(tmp_path, widget, lab(radius=1.1), widget), height=3000) as it:
        boxes = it.page.locator(".lmw-vanishing")
        boxes.nth(2).get_by_label("Length").fill("7")
        boxes.nth(2).get_by_label("tanh").check()
        for i, (length, sigma) in enumerate([("7", "tanh"), ("29", "linear"), ("7", "tanh")]):
            assert boxes.nth(i).get_by_label("Length").input_value() == length
            assert boxes.nth(i).get_by_label(sigma).is_checked()
        assert boxes.nth(0).locator(".lmw-curve-measured[data-logs]").evaluate("e => e.dataset.logs.split(',').length") == 8
        it.clean()


@pytest.mark.parametrize(("theme", "width"), [("light", 900), ("dark", 900), ("light", 360), ("dark", 310)])
def test_axe_finds_nothing_and_nothing_overflows(tmp_path: Path, theme: str, width: int) -> None:
    with opened(build(tmp_path, lab(longest=200), theme=theme), width=width, has_touch=width < 400) as it:
        box = it.page.locator(".lmw-vanishing")
        for name in ("Rise, then vanish", "Keep this curve", "Saturate"):
            box.get_by_role("button", name=name).click()
        found = Axe().run(it.page).response["violations"]
        assert [(v["id"], [n["html"][:200] for n in v["nodes"]]) for v in found] == []
        assert it.page.evaluate("document.documentElement.scrollWidth") <= width
        wide = """[...document.querySelectorAll('.lmw *')].filter((e) => !e.closest('svg *, .lmw-hidden'))
            .filter((e) => e.getBoundingClientRect().right > e.closest('.lmw').getBoundingClientRect().right + 1)
            .map((e) => e.outerHTML.slice(0, 99))"""
        assert it.page.evaluate(wide) == []
        texts = """[...document.querySelectorAll('.lmw svg text')].filter((e) => {
            const r = e.getBoundingClientRect(), b = e.closest('.lmw').getBoundingClientRect();
            return r.left < b.left || r.right > b.right; }).map((e) => e.textContent)"""
        assert it.page.evaluate(texts) == []
        it.clean()


def test_lines_and_marks_differ_without_colour_and_print_in_ink(tmp_path: Path) -> None:
    with opened(build(tmp_path, lab(radius=1.2, initialisation="Gaussian"), theme="dark")) as it:
        box = it.page.locator(".lmw-vanishing")
        box.get_by_role("button", name="Keep this curve").click()
        dashes = box.locator(".lmw-curve[data-logs]").evaluate_all("(es) => es.map((e) => getComputedStyle(e).strokeDasharray)")
        assert len(dashes) == len(set(dashes)) == 5
        shapes = [box.locator(f".lmw-eigen .lmw-{side}").first.get_attribute("d") for side in ("inside", "outside")]
        assert shapes[0] != shapes[1]
        it.page.emulate_media(media="print")
        assert box.evaluate("e => [getComputedStyle(e).backgroundColor, getComputedStyle(e).color]") == [
            "rgb(255, 255, 255)",
            "rgb(0, 0, 0)",
        ]
        assert not box.get_by_role("button", name="Keep").or_(box.get_by_role("button", name="Drop")).is_visible()
        assert box.locator(".lmw-curve-measured[data-logs]").is_visible()
        it.clean()
