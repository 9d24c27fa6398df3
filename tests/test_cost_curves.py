"""The Python side of the cost curves: its formulas are what is counted when the real modules run."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from lmcore.attention import attend, scaled_dot_product
from lmcore.blocks import EncoderLayer
from lmcore.rnn import LSTM, RNN
from lmcore.widgets import CostCurves
from lmcore.widgets.cost_curves import MODELS, fit, operations, waiting

SIZES = {"dim": 12, "heads": 3, "layers": 2, "hidden": 17, "batch": 5}
POINTS = {"RNN": [(64, 0.02), (16, 0.006)], "Transformer": [(16, 0.001)]}


def build(model: str, sizes: dict[str, int]) -> list[nn.Module]:
    """The layers of a model, from the bottom up."""
    if model == "Transformer":
        return [EncoderLayer(sizes["dim"], sizes["heads"], sizes["hidden"]) for _ in range(sizes["layers"])]
    kind = RNN if model == "RNN" else LSTM
    return [kind(sizes["dim"], sizes["dim"]) for _ in range(sizes["layers"])]


def first_state(model: str, sizes: dict[str, int]) -> Any:
    """A state to begin with that wants a gradient, so that the backward pass goes all the way."""
    zeros = [torch.zeros(1, sizes["batch"], sizes["dim"], requires_grad=True) for _ in range(2)]
    return {"RNN": zeros[0], "LSTM": tuple(zeros)}.get(model)


def run(model: str, length: int, sizes: dict[str, int]) -> Tensor:
    """The outputs of the last layer. Attention in plain steps: torch counts no operations in its fused kernel on a CPU."""
    x = torch.randn(sizes["batch"], length, sizes["dim"], requires_grad=True)
    for layer in build(model, sizes):
        x = layer(x, seen=[]) if model == "Transformer" else layer(x, first_state(model, sizes))[0]
    return x


def counted(model: str, length: int, sizes: dict[str, int], training: bool) -> int:
    """Operations that torch counts in a pass."""
    with FlopCounterMode(display=False) as counter:
        x = run(model, length, sizes)
        if training:
            x.sum().backward()
    return counter.get_total_flops()


PRODUCTS = ("MmBackward", "AddmmBackward", "BmmBackward")


def chain(x: Tensor) -> int:
    """The longest chain of matrix products, one waiting for the next, that led to x."""
    depth: dict[Any, int] = {}
    stack = [x.grad_fn]
    while stack:
        node = stack[-1]
        below = [n for n, _ in node.next_functions if n is not None]
        missing = [n for n in below if n not in depth]
        if missing:
            stack += missing
            continue
        depth[stack.pop()] = max((depth[n] for n in below), default=0) + node.name().startswith(PRODUCTS)
    return depth[x.grad_fn]


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("model", MODELS)
def test_operations_are_those_that_torch_counts(model: str, training: bool) -> None:
    for length, change in ((7, {}), (23, {}), (7, {"dim": 21, "batch": 2}), (11, {"hidden": 40, "heads": 4, "layers": 1})):
        sizes = {**SIZES, **change}
        assert operations(model, length, training=training, **sizes) == counted(model, length, sizes, training)


@pytest.mark.parametrize("model", MODELS)
def test_products_that_wait_are_the_longest_chain(model: str) -> None:
    for length, layers in ((1, 1), (7, 1), (7, 3), (19, 2)):
        sizes = {**SIZES, "layers": layers}
        assert waiting(model, length, **sizes) == chain(run(model, length, sizes))
        assert waiting(model, length, training=True, **sizes) == 2 * waiting(model, length, **sizes)


def test_measured_points_of_a_device_with_two_numbers_give_these_numbers() -> None:
    sizes = {**SIZES, "dim": 96}
    true = lambda m, n: operations(m, n, **sizes) / 37e9 + waiting(m, n, **sizes) * 12e-6  # noqa: E731
    points = {model: [(n, true(model, n)) for n in (8, 64, 700)] for model in MODELS}
    assert fit(points, **sizes) == pytest.approx((37, 12), rel=1e-6)
    widget = CostCurves({"A": points, "B": {"RNN": points["RNN"][:1]}}, **sizes)
    assert (widget.speed, widget.delay) == pytest.approx((37, 12), rel=1e-6)
    assert [device["name"] for device in widget.devices] == ["A", "B"]


def test_a_fit_is_never_negative_and_stays_in_what_can_be_set() -> None:
    assert fit({"Transformer": [(8, 1e-9), (8000, 1e-9)]}, **SIZES)[1] >= 0.01
    assert fit({"RNN": [(8, 1e6)]}, **SIZES)[1] <= 1e4


def test_measured_is_kept_in_order_with_its_sizes() -> None:
    widget = CostCurves(POINTS, dim=24, heads=2, training=True, device="my laptop")
    assert widget.devices[0]["name"] == "my laptop"
    assert widget.devices[0]["points"] == {"RNN": [(16, 0.006), (64, 0.02)], "Transformer": [(16, 0.001)]}
    assert widget.sizes == {"dim": 24, "heads": 2, "layers": 1, "hidden": 96, "batch": 1, "training": True}
    assert widget.training
    assert CostCurves().devices == []
    assert (CostCurves().speed, CostCurves().delay) == (50.0, 20.0)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"dim": 30, "heads": 4}, "dim=30 is not a multiple of heads=4"),
        ({"dim": 8193}, "dim is 8193; allowed: 1 to 8192"),
        ({"layers": 0}, "layers is 0; allowed: 1 to 128"),
        ({"batch": 0}, "batch is 0"),
        ({"longest": 15}, "longest is 15; allowed: 16 to 131072"),
        ({"length": 16385}, "length is 16385; allowed: 1 to 16384"),
        ({"view": "energy"}, "view is 'energy'; allowed: 'arithmetic', 'memory', 'waiting', 'time'"),
        ({"speed": 0.0}, "speed is 0; allowed: 0.1 to 1e"),
        ({"delay": 1e5}, r"delay is 100000; allowed: 0.01 to 10000"),
        ({"chosen": 1}, "chosen is 1; allowed: 0 to 0"),
        ({"measured": [1]}, r"\[1\]; it must be a dict of points"),
        ({"measured": {"GRU": [(8, 0.1)]}}, "'GRU'; allowed: 'RNN', 'LSTM', 'Transformer'"),
        ({"measured": {"RNN": [(8, 0.0)]}}, r"a point of RNN is \(8, 0.0\)"),
        ({"measured": {"RNN": [8]}}, "a point of RNN is 8; it must be a pair"),
        ({"measured": {"RNN": [(7.5, 0.1)]}}, r"\(7.5, 0.1\)"),
        ({"measured": {}}, "no points for 'this computer'"),
        ({"measured": {"A": {}}}, "no points for 'A'"),
        ({"measured": {"A": {"RNN": []}}}, "no points for 'A'"),
    ],
)
def test_refuses(unchecked: None, change: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        CostCurves(**change)


def test_choices_travel_both_ways() -> None:
    widget = CostCurves({"A": POINTS, "B": POINTS})
    widget.set_state({"dim": 96, "heads": 6, "view": "time", "chosen": 1, "speed": 5.5, "training": True})
    assert (widget.dim, widget.heads, widget.view, widget.chosen, widget.speed) == (96, 6, "time", 1, 5.5)
    for name, value in {"heads": 5, "dim": 0, "view": "x", "chosen": 2, "speed": 0, "length": 0}.items():
        before = getattr(widget, name)
        with pytest.raises(ValueError, match=r"allowed|multiple"):
            setattr(widget, name, value)
        assert getattr(widget, name) == before


def test_sentence_for_those_who_cannot_see_it() -> None:
    text = CostCurves({"a laptop": POINTS}).alt
    assert text.endswith("Seconds were measured for 16 to 64 tokens on a laptop.")
    assert "Seconds" not in CostCurves().alt
    assert "16384 tokens" in CostCurves().alt


# ---- memory, as the page says it ----------------------------------------------------------------------------------------


def kept(run_it: Any, parameters: Any = ()) -> int:
    """Bytes that the backward pass of a function needs, each piece of memory once, parameters not counted."""
    pieces: dict[int, int] = {}
    own = {p.untyped_storage().data_ptr() for p in parameters}
    alive = []

    def note(x: Tensor) -> Tensor:
        storage = x.untyped_storage()
        alive.append(storage)  # or the next piece might get the same address
        if storage.data_ptr() not in own:
            pieces[storage.data_ptr()] = storage.nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(note, lambda x: x):
        run_it()
    return sum(pieces.values())


def counted_memory(kind: str, length: int, sizes: dict[str, int]) -> int:
    """The same for the part of a model that connects positions, over all its layers."""
    dim, heads, batch = sizes["dim"], sizes["heads"], sizes["batch"]
    if kind in ("held", "fused"):
        q, k, v = (torch.randn(batch, heads, length, dim // heads, requires_grad=True) for _ in range(3))
        function = scaled_dot_product if kind == "held" else attend
        return sizes["layers"] * kept(lambda: function(q, k, v))
    module = (RNN if kind == "RNN" else LSTM)(dim, dim)
    x, state = torch.randn(batch, length, dim, requires_grad=True), first_state(kind, sizes)
    return sizes["layers"] * kept(lambda: module(x, state), module.parameters())


def bytes_of(kind: str, length: int, sizes: dict[str, int]) -> int:
    """The formula of the docstring."""
    n, dim, heads = length, sizes["dim"], sizes["heads"]
    each = {
        "RNN": 2 * n * dim + dim,
        "LSTM": 8 * n * dim,
        "held": 3 * n * dim + heads * n**2,
        "fused": 4 * n * dim + heads * n,
    }[kind]
    return 4 * sizes["batch"] * sizes["layers"] * each


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "held", "fused"])
def test_memory_is_what_the_backward_pass_keeps(kind: str) -> None:
    for length, change in ((7, {}), (23, {}), (11, {"dim": 20, "heads": 5, "batch": 2})):
        sizes = {**SIZES, **change}
        assert bytes_of(kind, length, sizes) == counted_memory(kind, length, sizes), length
