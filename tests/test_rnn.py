"""Ours equals torch.nn, value and gradient; the loop equals the kernel; padding changes nothing; a state can be carried."""

import copy
import itertools

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from lmcore import rnn

B, T, C, H = 3, 7, 5, 11
KINDS = {
    "rnn": (rnn.RNN, nn.RNN, {}),
    "rnn_relu": (rnn.RNN, nn.RNN, {"nonlinearity": "relu"}),
    "lstm": (rnn.LSTM, nn.LSTM, {}),
    "gru": (rnn.GRU, nn.GRU, {}),
}
CELLS = {
    "rnn": (rnn.RNNCell, nn.RNNCell, {}),
    "rnn_relu": (rnn.RNNCell, nn.RNNCell, {"nonlinearity": "relu"}),
    "lstm": (rnn.LSTMCell, nn.LSTMCell, {}),
    "gru": (rnn.GRUCell, nn.GRUCell, {}),
}
LENGTHS = torch.tensor([4, 7, 1])


def pair(kind, seed=3, **how):
    """Ours and torch's with the same random parameters, in float64."""
    ours, theirs, more = KINDS[kind]
    torch.manual_seed(seed)
    reference = theirs(C, H, batch_first=True, **how, **more).double()
    model = ours(C, H, **how, **more).double()
    model.load_state_dict(reference.state_dict())
    return model, reference


def flat(state):
    return state if isinstance(state, tuple) else (state,)


def random_state(kind, layers, seed=5):
    generator = torch.Generator().manual_seed(seed)
    states = tuple(torch.randn(layers, B, H, generator=generator, dtype=torch.double) for _ in range(1 + (kind == "lstm")))
    return states if kind == "lstm" else states[0]


def everything(model, x, state, lengths=None):
    """Outputs, states, and the gradients of a loss that touches all of them with respect to all inputs and parameters."""
    x = x.clone().requires_grad_()
    begin = None if state is None else tuple(s.clone().requires_grad_() for s in flat(state))
    model.zero_grad()
    given = () if begin is None else (begin if len(begin) > 1 else begin[0],)
    outputs, last = model(x, *given) if lengths is None else model(x, *(given or (None,)), lengths)
    weights = torch.sin(torch.arange(outputs.numel(), dtype=x.dtype)).reshape(outputs.shape)
    loss = (outputs * weights).sum() + sum((s * (i + 2)).square().sum() for i, s in enumerate(flat(last)))
    loss.backward()
    found = [outputs, *flat(last), x.grad, *(p.grad for _, p in sorted(model.named_parameters()))]
    return [t.detach().clone() for t in found + ([] if begin is None else [s.grad for s in begin])]


# ---------------------------------------------------------------- the same as torch.nn


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize(
    ("layers", "bidirectional", "bias"), [(1, False, True), (1, True, False), (2, False, False), (3, True, True)]
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_stack_is_torchs_outputs_states_and_gradients(kind, layers, bidirectional, bias, given, fused):
    how = {"num_layers": layers, "bidirectional": bidirectional, "bias": bias}
    model, reference = pair(kind, **how)
    model.fused = fused
    x = torch.randn(B, T, C, dtype=torch.double)
    state = random_state(kind, layers * (1 + bidirectional)) if given else None
    for ours, theirs in zip(everything(model, x, state), everything(reference, x, state), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("kind", CELLS)
def test_a_cell_is_torchs(kind, given, bias):
    ours, theirs, how = CELLS[kind]
    torch.manual_seed(1)
    reference = theirs(C, H, bias=bias, **how).double()
    model = ours(C, H, bias=bias, **how).double()
    model.load_state_dict(reference.state_dict())
    x = torch.randn(B, C, dtype=torch.double)
    state = random_state(kind, 1) if given else None
    if given:
        state = tuple(s[0] for s in state) if kind == "lstm" else state[0]
    found = []
    for cell in (model, reference):
        cell.zero_grad()
        after = flat(cell(x, state))
        sum((s * (i + 1)).sin().sum() for i, s in enumerate(after)).backward()
        found.append([*after, *(p.grad for _, p in sorted(cell.named_parameters()))])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_draws_torchs_parameters_and_both_directions_of_loading_work(kind):
    ours, theirs, how = KINDS[kind]
    how = {"num_layers": 2, "bidirectional": True, **how}
    torch.manual_seed(7)
    model = ours(C, H, **how)
    torch.manual_seed(7)
    reference = theirs(C, H, batch_first=True, **how)
    assert list(model.state_dict()) == list(reference.state_dict())
    for name, value in reference.state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(1.5)
    reference.load_state_dict(model.state_dict())
    x = torch.randn(B, T, C)
    torch.testing.assert_close(model(x)[0], reference(x)[0])


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_between_layers_is_torchs_draw_for_draw_and_absent_in_evaluation(kind):
    model, reference = pair(kind, num_layers=3, dropout=0.4)
    x = torch.randn(B, T, C, dtype=torch.double)
    found = []
    for network in (model, reference, copy.deepcopy(model)):
        if network is not model and network is not reference:
            network.fused = True
        torch.manual_seed(11)
        found.append(everything(network, x, None))
    for ours, theirs, fused in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs)
        torch.testing.assert_close(fused, theirs)
    assert not torch.equal(model(x)[0], model(x)[0])
    torch.testing.assert_close(model.eval()(x)[0], reference.eval()(x)[0])


def test_one_layer_with_dropout_says_nothing_and_drops_nothing():
    model, reference = pair("gru"), pair("gru", dropout=0.0)
    model[0].dropout = 0.5
    x = torch.randn(B, T, C, dtype=torch.double)
    assert torch.equal(model[0].train()(x)[0], reference[0].train()(x)[0])


# ---------------------------------------------------------------- the equations


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_an_rnn_is_one_matrix_times_input_and_state_side_by_side(nonlinearity):
    torch.manual_seed(2)
    model = rnn.RNN(C, H, nonlinearity=nonlinearity).double()
    V = torch.cat([model.weight_ih_l0, model.weight_hh_l0], dim=1)
    c = model.bias_ih_l0 + model.bias_hh_l0
    x = torch.randn(B, T, C, dtype=torch.double)
    outputs, last = model(x)
    for b in range(B):
        h = torch.zeros(H, dtype=torch.double)
        for t in range(T):
            h = V @ torch.cat([x[b, t], h]) + c
            h = torch.tanh(h) if nonlinearity == "tanh" else h.clamp(min=0)
            torch.testing.assert_close(outputs[b, t], h)
        torch.testing.assert_close(last[0, b], h)


@pytest.mark.parametrize("kind", KINDS)
def test_a_cell_step_by_step_is_the_stack(kind):
    model, _ = pair(kind)
    ours, _, how = CELLS[kind]
    cell = ours(C, H, **how).double()
    cell.load_state_dict({name.removesuffix("_l0"): value for name, value in model.state_dict().items()})
    x, state = torch.randn(B, T, C, dtype=torch.double), None
    outputs, last = model(x)
    for t in range(T):
        state = cell(x[:, t], state)
        torch.testing.assert_close(outputs[:, t], flat(state)[0])
    for a, b in zip(flat(last), flat(state), strict=True):
        torch.testing.assert_close(a[0], b)


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_an_output_has_no_gradient_from_the_future_and_one_from_all_the_past(kind, fused):
    model, _ = pair(kind, num_layers=2)
    model.fused = fused
    for t in range(T):
        x = torch.randn(B, T, C, dtype=torch.double, requires_grad=True)
        model(x)[0][:, t].square().sum().backward()
        assert (x.grad[:, t + 1 :] == 0).all()
        assert (x.grad[:, : t + 1].abs().sum(-1) > 0).all()


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_carried_state_makes_one_sequence_of_two(kind, fused):
    model, _ = pair(kind, num_layers=2)
    model.fused = fused
    x = torch.randn(B, T, C, dtype=torch.double)
    whole, last = model(x)
    first, state = model(x[:, :3])
    second, end = model(x[:, 3:], state)
    torch.testing.assert_close(torch.cat([first, second], dim=1), whole)
    for a, b in zip(flat(last), flat(end), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("kind", KINDS)
def test_a_detached_state_has_the_numbers_and_no_history(kind):
    model, _ = pair(kind)
    x = torch.randn(B, T, C, dtype=torch.double, requires_grad=True)
    state = model(x)[1]
    cut = rnn.detach(state)
    assert type(cut) is type(state)
    for a, b in zip(flat(cut), flat(state), strict=True):
        assert torch.equal(a, b)
        assert b.requires_grad
        assert not a.requires_grad
    model(x.detach(), cut)[0].sum().backward()
    assert x.grad is None


# ---------------------------------------------------------------- padding


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize(("layers", "bidirectional"), [(1, False), (1, True), (3, False), (2, True)])
@pytest.mark.parametrize("kind", KINDS)
def test_padding_equals_unpadded_runs_and_packed_sequences(kind, layers, bidirectional, fused):
    model, reference = pair(kind, num_layers=layers, bidirectional=bidirectional)
    model.fused = fused
    x = torch.randn(B, T, C, dtype=torch.double)
    state = random_state(kind, layers * (1 + bidirectional))
    found = everything(model, x, state, LENGTHS)

    def packed(x, state, lengths):
        outputs, last = reference(pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False), state)
        return pad_packed_sequence(outputs, batch_first=True, total_length=T)[0], last

    packed.zero_grad, packed.named_parameters = reference.zero_grad, reference.named_parameters
    for ours, theirs in zip(found, everything(packed, x, state, LENGTHS), strict=True):
        torch.testing.assert_close(ours, theirs)

    outputs, *last = found[: 2 + (kind == "lstm")]
    model.fused = False
    for b, length in enumerate(LENGTHS.tolist()):
        alone = tuple(s[:, b : b + 1] for s in flat(state))
        once, end = model(x[b : b + 1, :length], alone if kind == "lstm" else alone[0])
        torch.testing.assert_close(outputs[b, :length], once[0])
        assert (outputs[b, length:] == 0).all()
        for a, s in zip(last, flat(end), strict=True):
            torch.testing.assert_close(a[:, b], s[:, 0])


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_what_stands_in_the_padding_changes_nothing_not_even_a_gradient(kind, fused):
    model, _ = pair(kind, num_layers=2, bidirectional=True)
    model.fused = fused
    x = torch.randn(B, T, C, dtype=torch.double)
    padding = torch.arange(T) >= LENGTHS[:, None]
    found = []
    for filling in (0.0, 1e300, float("nan"), float("inf")):
        changed = x.clone()
        changed[padding] = filling
        found.append(everything(model, changed, None, LENGTHS))
        assert (found[-1][2 + (kind == "lstm")][padding] == 0).all()  # the gradient of the input
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


@pytest.mark.parametrize("fused", [False, True])
def test_full_lengths_are_no_lengths(fused):
    for kind in KINDS:
        model, _ = pair(kind, num_layers=2, bidirectional=True)
        model.fused = fused
        x = torch.randn(B, T, C, dtype=torch.double)
        for a, b in zip(everything(model, x, None, torch.full((B,), T)), everything(model, x, None), strict=True):
            torch.testing.assert_close(a, b)


# ---------------------------------------------------------------- elsewhere


@pytest.mark.parametrize("kind", KINDS)
def test_the_loop_runs_in_mixed_precision(kind):
    torch.manual_seed(0)
    ours, _, how = KINDS[kind]
    model = ours(C, H, num_layers=2, bidirectional=True, **how)
    x = torch.randn(B, T, C)
    expected = model(x, None, LENGTHS)[0]
    with torch.autocast("cpu", torch.bfloat16):
        outputs, _ = model(x, None, LENGTHS)
    torch.testing.assert_close(outputs.float(), expected, atol=0.03, rtol=0.03)
    outputs.float().sum().backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("kind", KINDS)
def test_on_a_gpu_the_kernel_finds_its_weights_in_one_piece_and_agrees_with_the_loop(kind):
    ours, _, how = KINDS[kind]
    model = ours(C, H, num_layers=2, bidirectional=True, fused=True, **how).cuda().double()  # a warning would be an error
    x = torch.randn(B, T, C, dtype=torch.double, device="cuda")
    for lengths in (None, LENGTHS.cuda()):
        outputs, _ = model(x, None, lengths)
        model.fused = False
        torch.testing.assert_close(outputs, model(x, None, lengths)[0])
        model.fused = True
    assert len({p.untyped_storage().data_ptr() for p in model.parameters()}) == 1


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: rnn.RNN(0, H), "input_size=0"),
        (lambda: rnn.GRU(C, H, 0), "num_layers=0"),
        (lambda: rnn.LSTM(C, H, dropout=1.0), "dropout=1.0"),
        (lambda: rnn.RNN(C, H, nonlinearity="sin"), "'sin'.*tanh, relu"),
        (lambda: rnn.RNNCell(C, H, nonlinearity="sin"), "'sin'.*tanh, relu"),
        (lambda: rnn.GRUCell(C, -1), "hidden_size=-1"),
        (lambda: rnn.RNN(C, H)(torch.zeros(B, T, C + 1)), r"\(3, 7, 6\).*\(B, T, 5\)"),
        (lambda: rnn.RNN(C, H)(torch.zeros(B, 0, C)), r"\(3, 0, 5\)"),
        (lambda: rnn.RNN(C, H)(torch.zeros(B, T, C), torch.zeros(1, B, H + 1)), r"\(1, 3, 11\); got \(1, 3, 12\)"),
        (lambda: rnn.LSTM(C, H)(torch.zeros(B, T, C), torch.zeros(1, B, H)), "a pair"),
        (lambda: rnn.GRU(C, H)(torch.zeros(B, T, C), None, torch.tensor([1, 8, 3])), "from 1 to 8; allowed are 1 to 7"),
        (lambda: rnn.GRU(C, H)(torch.zeros(B, T, C), None, torch.tensor([1, 0, 3])), "from 0 to 3"),
    ],
)
def test_bad_input_is_refused_with_what_was_given(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_every_way_of_combining_the_arguments_has_the_promised_shapes():
    for kind, layers, bidirectional, fused in itertools.product(KINDS, (1, 2), (False, True), (False, True)):
        ours, _, how = KINDS[kind]
        model = ours(C, H, layers, bidirectional=bidirectional, fused=fused, **how)
        outputs, state = model(torch.zeros(B, T, C))
        assert outputs.shape == (B, T, H * (1 + bidirectional))
        assert all(s.shape == (layers * (1 + bidirectional), B, H) for s in flat(state))
