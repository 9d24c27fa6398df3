"""Cost curves: what an RNN, an LSTM and a Transformer cost for a text of the reader's length and width."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import traitlets as t

from lmcore.widgets.base import Figure, in_range, one_of, whole_heads

MODELS = ("RNN", "LSTM", "Transformer")
VIEWS = ("arithmetic", "memory", "waiting", "time")
MOST = {"dim": 8192, "heads": 128, "layers": 128, "hidden": 65536, "batch": 4096, "longest": 131072}
SPEED = (0.1, 1e6)  # 10⁹ operations a second: from a phone's core to many GPUs
DELAY = (0.01, 1e4)  # microseconds


class CostCurves(Figure, module="cost_curves.mjs"):
    r"""Cost curves of an RNN, an LSTM and a Transformer against the length of the text, in sizes that the reader sets.

    Four views of B texts of T tokens that go through ``layers`` layers of width C (H heads, F hidden units in the MLP):

    - ``"arithmetic"``: operations in the matrix products of a forward pass; a multiplication and an addition are two. A layer
      takes :math:`4TC^2` (RNN), :math:`16TC^2` (LSTM), :math:`8TC^2 + 4TCF + 4T^2C` (Transformer), for each text;
    - ``"memory"``: bytes kept for the backward pass by the part that connects positions, four a number. A layer of an RNN keeps
      :math:`2TC + C` numbers, of an LSTM :math:`8TC`, attention that holds its weights :math:`3TC + HT^2`, fused attention
      (Dao et al. 2022), which computes them again, :math:`4TC + HT`. Beside it stands what is kept while generating: the
      keys and values of all tokens, :math:`2TC` a layer, or the state of an LSTM, :math:`2C`;
    - ``"waiting"``: matrix products of a forward pass that have to wait for one another: :math:`T + 1` a layer with recurrence,
      6 with attention, whatever T;
    - ``"time"``: operations / speed + products that wait · delay, beside what was measured. Speed and delay are the two numbers
      of a device; the reader sets them, and for a measured device they begin where its points fit best.

    With ``training`` the backward pass counts too: three times the operations, twice the products that wait.

    ``view``, ``length``, ``batch``, ``dim``, ``heads``, ``layers``, ``hidden``, ``training``, ``speed`` (10⁹ operations a
    second), ``delay`` (microseconds) and ``chosen`` (the number of the device among the measured ones) can be set and read from
    Python.

    Args:
        measured: seconds by model and length, ``{"LSTM": [(64, 0.01), (128, 0.02)], …}``, with the models ``"RNN"``,
            ``"LSTM"`` and ``"Transformer"`` in the sizes given here; or one such dict for every device,
            ``{"laptop": {…}, "H200": {…}}``. A point is drawn only while the sizes are those it was measured with.
            ``None``: the reader sets the device.
        dim: C, a multiple of ``heads``.
        heads: H.
        layers: how many layers.
        hidden: F; 4 · C if not given.
        batch: B.
        training: whether ``measured`` is of training steps, forward and backward, or of forward passes.
        length: T, with which the figure begins; 256, or ``longest``, if not given.
        longest: the largest T the reader can set.
        device: what was measured on, if ``measured`` does not say it.

    Raises:
        ValueError: a size outside what is allowed, heads that do not divide the width, or points that are not pairs of a length
            and a number of seconds.
    """

    dim = t.Int(128).tag(sync=True)
    heads = t.Int(4).tag(sync=True)
    layers = t.Int(1).tag(sync=True)
    hidden = t.Int(512).tag(sync=True)
    batch = t.Int(1).tag(sync=True)
    training = t.Bool(False).tag(sync=True)
    length = t.Int(256).tag(sync=True)
    longest = t.Int(16384).tag(sync=True)
    devices = t.List(t.Dict()).tag(sync=True)  # per device its name, its points by model, its speed and delay
    sizes = t.Dict().tag(sync=True)  # of what was measured
    most = t.Dict().tag(sync=True)
    view = t.Unicode("arithmetic").tag(sync=True)
    chosen = t.Int(0).tag(sync=True)
    speed = t.Float(50.0).tag(sync=True)
    delay = t.Float(20.0).tag(sync=True)

    def __init__(
        self,
        measured: Mapping[str, Any] | None = None,
        dim: int = 128,
        heads: int = 4,
        layers: int = 1,
        hidden: int | None = None,
        batch: int = 1,
        training: bool = False,
        length: int | None = None,
        longest: int = 16384,
        device: str = "this computer",
        **kwargs: Any,
    ) -> None:
        in_range("longest", longest, 16, MOST["longest"])
        sizes = {"dim": dim, "heads": heads, "layers": layers, "hidden": 4 * dim if hidden is None else hidden, "batch": batch}
        devices = []
        for name, points in _by_device(measured, device).items():
            speed, delay = fit(points, training=training, **sizes)
            devices.append({"name": name, "points": points, "speed": speed, "delay": delay})
        start = {name: devices[0][name] for name in ("speed", "delay")} if devices else {}
        super().__init__(
            devices=devices,
            sizes={**sizes, "training": training},
            most=MOST,
            training=training,
            length=min(256, longest) if length is None else length,
            longest=longest,
            **{**sizes, **start, **kwargs},
        )

    def describe(self) -> str:
        lengths = [T for device in self.devices for points in device["points"].values() for T, _ in points]
        names = " and ".join(device["name"] for device in self.devices)
        measured = f" Seconds were measured for {min(lengths)} to {max(lengths)} tokens on {names}." if lengths else ""
        return (
            f"Cost curves. For texts of up to {self.longest} tokens the figure shows what an RNN, an LSTM and a Transformer "
            f"cost: operations, memory, products that have to wait for one another, and time. Recurrence grows in proportion "
            f"to the length, and every step waits for the one before. Attention that holds its weights grows with the square "
            f"of the length, and no position waits for another.{measured}"
        )

    @t.validate("view")
    def _check_view(self, proposal: Any) -> str:
        return one_of("view", proposal["value"], VIEWS)

    @t.validate("layers", "hidden", "batch")
    def _check_size(self, proposal: Any) -> int:
        name = proposal["trait"].name
        return in_range(name, proposal["value"], 1, MOST[name])

    @t.validate("dim", "heads")
    def _check_width(self, proposal: Any) -> int:
        now = {"dim": self.dim, "heads": self.heads, proposal["trait"].name: proposal["value"]}
        whole_heads(now["dim"], now["heads"], MOST)
        return proposal["value"]

    @t.validate("length")
    def _check_length(self, proposal: Any) -> int:
        return in_range("length", proposal["value"], 1, self.longest)

    @t.validate("chosen")
    def _check_chosen(self, proposal: Any) -> int:
        return in_range("chosen", proposal["value"], 0, max(0, len(self.devices) - 1))

    @t.validate("speed", "delay")
    def _check_number(self, proposal: Any) -> float:
        low, high = SPEED if proposal["trait"].name == "speed" else DELAY
        if not low <= proposal["value"] <= high:
            raise ValueError(f"{proposal['trait'].name} is {proposal['value']:g}; allowed: {low:g} to {high:g}")
        return proposal["value"]


def operations(
    model: str, T: int, *, dim: int, heads: int, layers: int, hidden: int, batch: int, training: bool = False
) -> int:
    """Operations in the matrix products, as :class:`CostCurves` counts them; the number of heads makes no difference."""
    one = {
        "RNN": 4 * T * dim**2,
        "LSTM": 16 * T * dim**2,
        "Transformer": 8 * T * dim**2 + 4 * T * dim * hidden + 4 * T**2 * dim,
    }
    return batch * layers * one[model] * (3 if training else 1)


def waiting(model: str, length: int, *, layers: int, training: bool = False, **_: int) -> int:
    """Matrix products that have to wait for one another, as :class:`CostCurves` counts them."""
    return layers * (6 if model == "Transformer" else length + 1) * (2 if training else 1)


def fit(points: Mapping[str, list[tuple[int, float]]], **sizes: Any) -> tuple[float, float]:
    """The speed (10⁹ operations a second) and the delay (microseconds) that explain measured seconds best.

    Least squares of the relative errors, neither number negative; both are kept within what the figure allows.
    """
    from scipy.optimize import nnls

    rows = [(operations(m, T, **sizes) / s, waiting(m, T, **sizes) / s) for m, found in points.items() for T, s in found]
    (per_operation, per_product), _ = nnls(np.array(rows), np.ones(len(rows)))
    speed = 1e-9 / per_operation if per_operation else SPEED[1]
    return float(np.clip(speed, *SPEED)), float(np.clip(1e6 * per_product, *DELAY))


def _by_device(measured: Any, device: str) -> dict[str, dict[str, list[tuple[int, float]]]]:
    """What was measured, checked: by device, then by model, sorted by length."""
    if measured is None:
        return {}
    if not isinstance(measured, Mapping):
        raise ValueError(f"measured is {measured!r:.80}; it must be a dict of points by model, or of such dicts by device")
    grouped = measured if measured and all(isinstance(v, Mapping) for v in measured.values()) else {device: measured}
    found: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for name, by_model in grouped.items():
        found[str(name)] = {}
        if not by_model:
            raise ValueError(f"measured has no points for {name!r}; leave it out, or pass measured=None")
        for model, points in by_model.items():
            one_of("model in measured", model, MODELS)
            found[str(name)][model] = sorted(_point(model, point) for point in points)
        if not any(found[str(name)].values()):
            raise ValueError(f"measured has no points for {name!r}; leave it out, or pass measured=None")
    return found


def _point(model: str, point: Any) -> tuple[int, float]:
    try:
        length, seconds = point
        good = int(length) == length and length >= 1 and 0 < float(seconds) < float("inf")
    except (TypeError, ValueError):
        good = False
    if not good:
        raise ValueError(f"a point of {model} is {point!r}; it must be a pair of a length from 1 on and seconds above 0")
    return int(length), float(seconds)
