"""A cell swapped into a network: the network is that of torch.nn, and what a cell gets wrong inside it shows."""

import pytest
import torch

from lmcore.check import stack, wire
from lmcore.check.run import Answer, Case, run_case
from lmcore.check.stack import step_and_stack
from lmcore.check.values import difference

BATCH, WIDTH, SIZE = 7, 3, 5
GATES = {"LSTM": 4, "GRU": 3}


def lstm(x, h, c, *parameters):
    return torch.lstm_cell(x, (h, c), *parameters)


def gru(x, h, *parameters):
    return torch.gru_cell(x, h, *parameters)


CELLS = {"LSTM": lstm, "GRU": gru}


def arguments(kind, dtype=torch.float64, seed=11):
    generator = torch.Generator().manual_seed(seed)
    rows = GATES[kind] * SIZE
    states = [(BATCH, SIZE)] * (2 if kind == "LSTM" else 1)
    shapes = [(BATCH, WIDTH), *states, (rows, WIDTH), (rows, SIZE), (rows,), (rows,)]
    return [torch.randn(shape, generator=generator, dtype=dtype) for shape in shapes]


def recorded(cell, calls):
    """``cell`` with a note of what every call was given."""

    def noting(*args):
        calls.append(args)
        return cell(*args)

    return noting


@pytest.mark.parametrize("kind", CELLS)
def test_the_network_is_that_of_torch(kind):
    """Outputs, loss and gradients equal those of torch.nn.LSTM and torch.nn.GRU with two layers and the same numbers."""
    args, calls = arguments(kind), []
    given = step_and_stack(recorded(CELLS[kind], calls), args)
    steps = calls[1:]  # the first call is the single step; then layer by layer, step by step
    assert len(steps) == 2 * stack.STEPS
    layer = getattr(torch.nn, kind)(WIDTH, SIZE, num_layers=2, batch_first=True, dtype=torch.float64)
    named = {f"{name}_l{n}": steps[n][-4 + i] for n in (0, 1) for i, name in enumerate(stack.NAMES)}
    layer.load_state_dict({name: value.detach() for name, value in named.items()})
    x = torch.stack([call[0] for call in steps[::2]], dim=1).detach()
    assert torch.equal(x[:, 0], args[0])
    assert not torch.equal(x[:, 1], x[:, 2])
    first = [torch.stack([steps[n][1 + i] for n in (0, 1)]) for i in range(len(args) - 5)]
    outputs, _ = layer(x, tuple(first) if kind == "LSTM" else first[0])
    torch.testing.assert_close(given["stack"]["outputs"], outputs)

    loss = stack.cross_entropy(outputs)
    torch.testing.assert_close(given["stack"]["loss"], loss)
    loss.backward()
    for name, parameter in layer.named_parameters():
        torch.testing.assert_close(given["stack"]["gradients"][name], parameter.grad)
        assert parameter.grad.abs().max() > 1e-4
    assert list(given["stack"]["gradients"]) == list(named)


@pytest.mark.parametrize("kind", CELLS)
def test_the_step_is_the_cell_s_own(kind):
    args = arguments(kind)
    given, want = step_and_stack(CELLS[kind], args)["step"], CELLS[kind](*args)
    assert isinstance(given, tuple) == isinstance(want, tuple) == (kind == "LSTM")
    torch.testing.assert_close(given, want)


@pytest.mark.parametrize("kind", CELLS)
def test_with_one_text_only_the_step_is_made(kind):
    args = [arg[:1] if i < len(arguments(kind)) - 4 else arg for i, arg in enumerate(arguments(kind))]
    calls = []
    given = step_and_stack(recorded(CELLS[kind], calls), args)
    torch.testing.assert_close(given, CELLS[kind](*args))
    assert len(calls) == 1


def examined(cell, kind="LSTM"):
    return run_case(cell, Case(tuple(arguments(kind)), "a case"), probe="stack")


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("number", [1, 2])
def test_a_gradient_cut_in_the_state_shows_in_the_stack_alone(kind, number):
    def cut(*args):
        return CELLS[kind](*(arg.detach() if i == number and i < len(args) - 4 else arg for i, arg in enumerate(args)))

    given, want = examined(cut, kind).value, examined(CELLS[kind], kind).value
    assert difference(given["step"], want["step"], 1e-9, 1e-9) is None
    assert difference(given["stack"]["loss"], want["stack"]["loss"], 1e-9, 1e-9) is None
    found = difference(given["stack"]["gradients"], want["stack"]["gradients"], 1e-4, 1e-6)
    assert (found is None) == (kind == "GRU" and number == 2)  # a GRU has one state: nothing is cut


def test_a_parameter_that_is_not_used_has_a_gradient_of_zeros():
    given = examined(lambda *args: lstm(*args[:-1], torch.zeros_like(args[-1])))
    for number in (0, 1):
        assert torch.equal(given.value["stack"]["gradients"][f"bias_hh_l{number}"], torch.zeros(4 * SIZE, dtype=torch.float64))


def test_no_gradient_at_all_is_none():
    def frozen(*args):
        with torch.no_grad():
            return lstm(*args)

    assert examined(frozen).value["stack"]["gradients"] is None


@pytest.mark.parametrize(
    "state",
    [
        lambda h, c: h,
        lambda h, c: [h, c],
        lambda h, c: (h, c, c),
        lambda h, c: (h, c.float()),
        lambda h, c: (h, c[:, :-1]),
        lambda h, c: (h, 0.0),
    ],
)
def test_what_is_no_state_is_not_run_on(state):
    given = examined(lambda *args: state(*lstm(*args)))
    assert given.status == "ok"
    assert given.value["stack"] is None


def test_a_cell_that_returns_nothing_says_so():
    assert examined(lambda *args: None) == Answer("ok", value=None)


def test_a_changed_input_is_seen_and_changes_nothing_else():
    def in_place(x, h, c, *parameters):
        c *= 2.0
        return lstm(x, h, c, *parameters)

    given, want = examined(in_place), examined(lambda x, h, c, *parameters: lstm(x, h, 2.0 * c, *parameters))
    assert (given.changed, want.changed) == ((2,), ())
    assert difference(given.value, want.value, 1e-9, 1e-9) is None


def test_a_change_that_breaks_the_gradient_is_named():
    def in_place(x, h, c, *parameters):
        new_h, new_c = lstm(x, h, c, *parameters)
        c.copy_(new_c)
        return new_h, c

    given = examined(in_place)
    assert given.status == "raised"
    assert "does the cell change a tensor in place" in given.message


def test_an_error_inside_the_network_is_the_cell_s():
    def one_width(x, *rest):
        if x.shape[1] != WIDTH:
            raise ValueError("this cell knows one width")
        return lstm(x, *rest)

    given = examined(one_width)
    assert (given.status, given.error) == ("raised", "ValueError")


def test_the_answer_travels_between_processes():
    given = examined(gru, "GRU")
    again = Answer.from_record(wire.decode(wire.encode(given.record())))
    assert difference(again.value, given.value, 0.0, 0.0) is None
