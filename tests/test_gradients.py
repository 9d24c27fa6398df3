"""Jacobians and gradients equal autograd, spectra their definitions, clipping and initial matrices their references."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lmcore import gradients, rnn
from lmcore.gradients import (
    backpropagate,
    clip_by_global_norm,
    gradient_norms,
    henrici,
    initial,
    jacobian_product,
    jacobian_products,
    power_norms,
    singular_values,
    slope,
    spectral_norm,
    spectral_radius,
    state_gradients,
    state_jacobians,
    step_jacobian,
    unroll,
    with_spectral_radius,
)

B, T, C, H = 3, 7, 2, 5
LAYERS = {
    "tanh": lambda **more: nn.RNN(C, H, batch_first=True, **more),
    "relu": lambda **more: nn.RNN(C, H, nonlinearity="relu", batch_first=True, **more),
    "lstm": lambda **more: nn.LSTM(C, H, batch_first=True, **more),
    "gru": lambda **more: nn.GRU(C, H, batch_first=True, **more),
}


@pytest.fixture(autouse=True)
def _double():
    torch.manual_seed(11)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def layer_of(name, **more):
    """A layer with larger weights than usual, so that a mistake does not vanish."""
    layer = LAYERS[name](**more)
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.7)
    return layer


def start(layer):
    shape = (layer.num_layers, B, H)
    return (torch.randn(shape), torch.randn(shape)) if isinstance(layer, nn.LSTM) else torch.randn(shape)


def flat(state):
    parts = state if isinstance(state, tuple) else (state,)
    return torch.cat([part.transpose(0, 1).flatten(1) for part in parts], dim=1)


def one_step(layer, x, row):
    """The next state of one text as a function of its state, both as one flat vector: what a Jacobian is taken of."""
    parts = row.unflatten(0, (-1, layer.num_layers, 1, H))
    state = tuple(parts) if isinstance(layer, nn.LSTM) else parts[0]
    return flat(layer(x[None, None], state)[1])[0]


# ---------------------------------------------------------------- Jacobians


@pytest.mark.parametrize("name", ["tanh", "relu"])
def test_the_jacobian_of_a_step_is_diag_times_the_recurrent_matrix(name):
    layer = layer_of(name)
    x, h0 = torch.randn(B, T, C), torch.randn(1, B, H)
    outputs, _ = layer(x, h0)
    found = step_jacobian(layer.weight_hh_l0, outputs, name)
    before = torch.cat([h0.transpose(0, 1), outputs[:, :-1]], dim=1)
    for b in range(B):
        for t in range(T):
            z = layer.weight_ih_l0 @ x[b, t] + layer.bias_ih_l0 + layer.weight_hh_l0 @ before[b, t] + layer.bias_hh_l0
            derivative = 1 / torch.cosh(z) ** 2 if name == "tanh" else (z > 0).double()
            torch.testing.assert_close(found[b, t], torch.diag(derivative) @ layer.weight_hh_l0)
            truth = torch.autograd.functional.jacobian(lambda h: one_step(layer, x[b, t], h), before[b, t])  # noqa: B023
            torch.testing.assert_close(found[b, t], truth)


def test_a_linear_step_has_its_matrix_as_jacobian():
    V = torch.randn(H, H)
    torch.testing.assert_close(step_jacobian(V, torch.randn(B, H), "linear"), V.expand(B, H, H))
    assert torch.equal(slope(torch.randn(B), "linear"), torch.ones(B))


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("layers", [1, 2])
def test_the_jacobians_of_the_whole_state_are_autograds(name, layers):
    layer = layer_of(name, num_layers=layers)
    x, state = torch.randn(B, T, C), start(layer)
    found = state_jacobians(layer, x, state)
    D = layers * H * (2 if name == "lstm" else 1)
    assert found.shape == (B, T, D, D)
    assert not found.requires_grad
    _, states = unroll(layer, x, state)
    for b, t in ((0, 0), (2, 3), (1, T - 1)):
        truth = torch.autograd.functional.jacobian(lambda s: one_step(layer, x[b, t], s), flat(states[t])[b].detach())  # noqa: B023
        torch.testing.assert_close(found[b, t], truth)


def test_the_product_of_the_jacobians_is_the_jacobian_of_all_steps():
    layer = layer_of("tanh")
    x, h0 = torch.randn(1, T, C), torch.randn(1, 1, H)
    steps = step_jacobian(layer.weight_hh_l0, layer(x, h0)[0], "tanh")
    truth = torch.autograd.functional.jacobian(lambda h: layer(x, h[None, None])[1][0, 0], h0[0, 0])
    torch.testing.assert_close(jacobian_product(steps)[0], truth)
    every = jacobian_products(steps)[0]
    assert every.shape == (T + 1, H, H)
    torch.testing.assert_close(every[0], torch.eye(H))
    torch.testing.assert_close(every[T], truth)
    for k in range(1, T):
        torch.testing.assert_close(every[k], jacobian_product(steps[:, T - k :])[0])


# ---------------------------------------------------------------- gradients with respect to all states


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("layers", [1, 2])
def test_unrolling_changes_nothing(name, layers):
    layer = layer_of(name, num_layers=layers)
    x, state = torch.randn(B, T, C), start(layer)
    for given in (None, state):
        outputs, states = unroll(layer, x, given)
        expected, last = layer(x) if given is None else layer(x, given)
        torch.testing.assert_close(outputs, expected)
        torch.testing.assert_close(states[-1], last)
        assert len(states) == T + 1
    assert not any(part.requires_grad for part in (state if isinstance(state, tuple) else (state,)))


@pytest.mark.parametrize("ours", [rnn.RNN, rnn.LSTM, rnn.GRU])
@pytest.mark.parametrize("fused", [False, True])
def test_the_layers_of_this_book_and_torchs_have_the_same_gradients(ours, fused):
    layer, theirs = ours(C, H, 2, fused=fused), getattr(nn, ours.__name__)(C, H, 2, batch_first=True)
    theirs.load_state_dict(layer.state_dict())
    x = torch.randn(B, T, C)
    found = [unroll(each, x) for each in (layer, theirs)]
    torch.testing.assert_close(*(outputs for outputs, _ in found))
    torch.testing.assert_close(*(gradient_norms(outputs[:, -1].square().sum(), states) for outputs, states in found))
    torch.testing.assert_close(*(state_jacobians(each, x) for each in (layer, theirs)))


def test_a_state_that_has_a_history_keeps_it():
    layer, source = layer_of("gru"), torch.randn(1, B, H, requires_grad=True)
    outputs, _ = unroll(layer, torch.randn(B, T, C), 2 * source)
    outputs.sum().backward()
    assert source.grad.abs().sum() > 0


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("where", ["last", "all"])
def test_one_backward_pass_gives_the_gradients_of_n_passes(name, where):
    """Reference: cut the text at n, make the state there a leaf, run the rest, differentiate. N + 1 times."""
    layer = layer_of(name)
    x, state, u = torch.randn(B, T, C), start(layer), torch.randn(H)

    def loss_of(outputs):
        return torch.tanh(outputs @ u)[:, -1].sum() if where == "last" else torch.tanh(outputs @ u).sum()

    outputs, states = unroll(layer, x, state)
    found = state_gradients(loss_of(outputs), states)
    norms = gradient_norms(loss_of(outputs), states)
    for n in range(T + 1):
        given = states[n] if isinstance(states[n], tuple) else (states[n],)
        leaves = [part.detach().clone().requires_grad_() for part in given]
        here = leaves[0][-1][:, None] if n else torch.empty(B, 0, H)
        rest, now = [here], tuple(leaves) if isinstance(states[n], tuple) else leaves[0]
        if n < T:
            rest.append(layer(x[:, n:], now)[0])
        gradient = torch.autograd.grad(loss_of(torch.cat(rest, dim=1)), leaves, materialize_grads=True)
        truth = torch.cat([part[0] for part in gradient], dim=1)
        torch.testing.assert_close(found[:, n], truth)
        torch.testing.assert_close(norms[:, n], truth.norm(dim=1))


@pytest.mark.parametrize("name", ["tanh", "relu", "lstm"])
def test_the_product_of_jacobians_gives_the_same_gradients_as_autograd(name):
    layer = layer_of(name)
    x, state, target = torch.randn(B, T, C), start(layer), torch.tensor([4, 0, 3])
    outputs, states = unroll(layer, x, state)
    loss = F.cross_entropy(outputs[:, -1], target, reduction="sum")
    expected = state_gradients(loss, states)
    steps = state_jacobians(layer, x, state) if name == "lstm" else step_jacobian(layer.weight_hh_l0, outputs, name)
    torch.testing.assert_close(backpropagate(expected[:, -1], steps), expected)
    last, distances = expected[:, -1, None, None, :], jacobian_products(steps)  # δ_N J_N … J_{n+1}
    torch.testing.assert_close((last @ distances)[:, :, 0].flip(1), expected)


def test_the_norm_bound_of_pascanu_holds():
    layer = layer_of("tanh")
    outputs, states = unroll(layer, torch.randn(B, T, C))
    norms = gradient_norms(outputs[:, -1].square().sum(), states)
    steepest = slope(outputs, "tanh").amax()
    bound = norms[:, -1:] * (spectral_norm(layer.weight_hh_l0) * steepest) ** torch.arange(T, -1, -1)
    assert (norms <= bound * (1 + 1e-12)).all()


# ---------------------------------------------------------------- matrices


def test_radius_norm_and_singular_values_of_known_matrices():
    angle = 0.3
    turn = 2 * torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    assert spectral_radius(turn).item() == pytest.approx(2)  # a complex pair of eigenvalues
    assert spectral_norm(turn).item() == pytest.approx(2)
    assert henrici(turn).item() == pytest.approx(0, abs=1e-7)
    shear = torch.tensor([[0.5, 3.0], [0.0, -0.25]])
    assert spectral_radius(shear).item() == pytest.approx(0.5)
    values = torch.linalg.eigvalsh(shear.T @ shear).sqrt().flip(0)
    torch.testing.assert_close(singular_values(shear), values)
    assert spectral_norm(shear).item() == pytest.approx(values[0].item())
    assert henrici(shear).item() == pytest.approx(3 / math.sqrt(0.5**2 + 0.25**2 + 9))  # Schur form: what is off the diagonal
    assert henrici(torch.tensor([[0.0, 1.0], [0.0, 0.0]])).item() == pytest.approx(1)
    assert henrici(torch.zeros(2, 2)).item() == 0


def test_powers_of_a_normal_matrix_follow_the_radius_and_those_of_another_grow_first():
    symmetric = with_spectral_radius((lambda a: a + a.T)(torch.randn(H, H)), 0.9)
    torch.testing.assert_close(power_norms(symmetric, 20), 0.9 ** torch.arange(21.0))
    shear = torch.tensor([[0.9, 2.0], [0.0, 0.9]])
    norms = power_norms(shear, 200)
    assert norms[0] == 1
    assert norms.max() > 5
    assert norms[-1] < 1e-4
    for k in (1, 2, 7):
        torch.testing.assert_close(norms[k], spectral_norm(torch.linalg.matrix_power(shear, k)))
    assert (norms >= 0.9 ** torch.arange(201.0) * (1 - 1e-12)).all()
    assert power_norms(shear, 0).tolist() == [1.0]


def test_several_matrices_at_once():
    many = torch.randn(B, T, H, H)
    for measure in (singular_values, spectral_norm, spectral_radius, henrici):
        torch.testing.assert_close(measure(many)[1, 3], measure(many[1, 3]))


@pytest.mark.parametrize("kind", gradients.spectra.KINDS)
@pytest.mark.parametrize("rho", [0.5, 1.0, 1.7])
def test_a_matrix_with_a_given_spectral_radius_points_the_same_way(kind, rho):
    plain = initial(kind, H, generator=torch.Generator().manual_seed(3))
    scaled = initial(kind, H, rho, generator=torch.Generator().manual_seed(3))
    assert spectral_radius(scaled).item() == pytest.approx(rho)
    torch.testing.assert_close(scaled / scaled.norm(), plain / plain.norm())
    torch.testing.assert_close(with_spectral_radius(plain, rho), scaled)


def test_initial_matrices_have_the_spectra_of_their_table():
    n, generator = 251, torch.Generator().manual_seed(5)
    made = {kind: initial(kind, n, generator=generator) for kind in gradients.spectra.KINDS}
    torch.testing.assert_close(made["orthogonal"] @ made["orthogonal"].T, torch.eye(n), atol=1e-12, rtol=0)
    assert torch.equal(made["identity"], torch.eye(n))
    expected = {"gaussian": (1, 2), "uniform": (3**-0.5, 2 * 3**-0.5), "orthogonal": (1, 1), "identity": (1, 1)}
    for kind, (radius, norm) in expected.items():
        assert spectral_radius(made[kind]).item() == pytest.approx(radius, rel=0.1)
        assert spectral_norm(made[kind]).item() == pytest.approx(norm, rel=0.1)
    assert made["gaussian"].std().item() == pytest.approx(n**-0.5, rel=0.02)
    assert made["uniform"].abs().max().item() <= n**-0.5


def test_orthogonal_matrices_are_uniform_over_the_group():
    """Without the signs of R, QR's first column would not be uniform: its first entry would be negative every time."""
    generator = torch.Generator().manual_seed(7)
    first = torch.stack([initial("orthogonal", 3, generator=generator)[0, 0] for _ in range(400)])
    assert abs((first > 0).double().mean().item() - 0.5) < 0.1
    assert first.square().mean().item() == pytest.approx(1 / 3, abs=0.06)


def test_initial_matrices_repeat_with_their_generator_and_take_a_dtype():
    a, b = (initial("gaussian", H, generator=torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(a, b)
    assert initial("orthogonal", H, 0.9, dtype=torch.float32).dtype == torch.float32


# ---------------------------------------------------------------- clipping


@pytest.mark.parametrize("max_norm", [1e-3, 0.5, 1.0, 1e9, math.inf])
def test_clipping_equals_torchs(max_norm):
    ours, theirs = (layer_of("lstm", num_layers=2) for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(B, T, C)
    for layer in (ours, theirs):
        layer(x)[0].square().sum().backward()
    ours.bias_hh_l1.grad = theirs.bias_hh_l1.grad = None  # a parameter that took no part
    norm = clip_by_global_norm(ours.parameters(), max_norm)
    torch.testing.assert_close(norm, nn.utils.clip_grad_norm_(theirs.parameters(), max_norm))
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)


def test_clipping_keeps_the_direction_and_leaves_short_gradients_alone():
    parameters = [nn.Parameter(torch.randn(2, 3)), nn.Parameter(torch.randn(5))]
    for parameter in parameters:
        parameter.grad = 10 * torch.randn_like(parameter)
    before = [parameter.grad.clone() for parameter in parameters]
    norm = clip_by_global_norm(parameters, 2.0)
    whole = torch.cat([g.flatten() for g in before])
    assert norm.item() == pytest.approx(whole.norm().item())
    after = torch.cat([parameter.grad.flatten() for parameter in parameters])
    assert after.norm().item() == pytest.approx(2.0, rel=1e-5)
    assert F.cosine_similarity(whole, after, dim=0).item() == pytest.approx(1)
    for _ in range(2):  # once clipped, clipping to more does nothing
        clip_by_global_norm(parameters, 2.5)
    assert torch.equal(torch.cat([parameter.grad.flatten() for parameter in parameters]), after)


def test_clipping_takes_one_tensor_and_parameters_without_gradients():
    alone = nn.Parameter(torch.zeros(3))
    assert clip_by_global_norm(alone, 1.0).item() == 0
    alone.grad = torch.tensor([3.0, 4.0, 0.0])
    assert clip_by_global_norm(alone, 1.0).item() == 5
    assert gradients.global_norm([]).item() == 0
