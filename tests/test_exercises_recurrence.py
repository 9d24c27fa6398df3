"""The banks of chapters 4 and 5 ask for what the package computes: references swapped into ``lmcore``, in double precision."""

import pytest
import torch
from torch.nn import functional as F

import exercises
from exercises.ch04_rnn.bank import truncated_bptt as truncation
from exercises.grader import notebook
from lmcore import gradients
from lmcore.check import notebook as notebooks
from lmcore.rnn import RNN

B, N, C, H = 3, 7, 5, 2


@pytest.fixture
def layer():
    torch.manual_seed(5)
    return RNN(C, H).double()


@pytest.fixture
def inputs():
    torch.manual_seed(7)
    return torch.randn(B, N, C).double(), torch.randn(B, H).double()


def parameters(layer):
    """What the exercises call V_x, V_h and c."""
    return [layer.weight_ih_l0.detach(), layer.weight_hh_l0.detach(), (layer.bias_ih_l0 + layer.bias_hh_l0).detach()]


def test_rnn_forward_is_the_layer_over_a_padded_batch(layer, inputs):
    x, h_0 = inputs
    lengths = torch.tensor([4, 1, 6])
    outputs, state = layer(x, h_0[None], lengths)
    states, final = exercises.get("rnn_forward").reference(x, lengths, h_0, *parameters(layer))
    torch.testing.assert_close(states, outputs)
    torch.testing.assert_close(final, state[0])


def test_bptt_gives_the_gradients_of_the_layer(layer, inputs):
    x, h_0 = inputs[0][0], inputs[1][0].requires_grad_()
    grad = torch.randn(N, H).double()
    (layer(x[None], h_0[None, None])[0][0] * grad).sum().backward()
    found = exercises.get("bptt").reference(x, h_0.detach(), *parameters(layer), grad)
    expected = {"V_x": layer.weight_ih_l0, "V_h": layer.weight_hh_l0, "c": layer.bias_ih_l0, "h_0": h_0}
    assert found.keys() == expected.keys()
    for name, leaf in expected.items():
        torch.testing.assert_close(found[name], leaf.grad)


def swapped(function):
    """The cell of the notebook that swaps ``function`` into a language model, run; what it leaves behind."""
    cells = [cell for cell in notebooks.read(notebook.path("ch04_rnn")).code if "TruncatedBPTT(" in cell.source]
    assert len(cells) == 1
    assert "skip-execution" in cells[0].tags  # it comes before the function is written
    torch.manual_seed(3)
    names = {"torch": torch, "truncated_bptt": function}
    exec(compile(cells[0].source, "<swap>", "exec"), names)
    names["apart"] = max((p.grad - names["expected"][name]).abs().max() for name, p in names["model"].named_parameters())
    return names


def test_truncated_bptt_swapped_into_a_model_gives_the_same_loss_and_gradients(capsys):
    names = swapped(truncation.truncated_bptt)
    torch.testing.assert_close(sum(names["theirs"]), names["yours"])
    assert names["apart"] < 1e-6
    assert "gradients differ by at most" in capsys.readouterr().out
    assert swapped(truncation.never_cut)["apart"] > 1e-5
    assert swapped(truncation.cut_one_step_late)["apart"] > 1e-5


def test_gradient_norms_are_those_of_the_package(layer, inputs):
    x, h_0 = inputs
    outputs, nodes = gradients.unroll(layer, x, h_0[None])
    loss = F.softplus(outputs[:, -1]).sum()
    (grad,) = torch.autograd.grad(loss, outputs, retain_graph=True)
    norms = gradients.gradient_norms(loss, nodes)[:, 1:]
    for b in range(B):
        found = exercises.get("gradient_norms").reference(outputs[b].detach(), parameters(layer)[1], grad[b, -1])
        torch.testing.assert_close(found, norms[b])


@pytest.mark.parametrize("max_norm", [0.5, 50.0])
def test_clip_global_norm_is_that_of_the_package_and_of_torch(max_norm):
    grads = [0.01 * torch.randn(2, 3).double(), torch.randn(5).double()]
    found = exercises.get("clip_global_norm").reference(grads, max_norm)
    for clip in (gradients.clip_by_global_norm, torch.nn.utils.clip_grad_norm_):
        leaves = [torch.nn.Parameter(torch.zeros_like(g)) for g in grads]
        for leaf, g in zip(leaves, grads, strict=True):
            leaf.grad = g.clone()
        clip(leaves, max_norm)
        for leaf, g in zip(leaves, found, strict=True):
            torch.testing.assert_close(g, leaf.grad, rtol=1e-5, atol=0)  # the others add 1e-6 to the norm


@pytest.mark.parametrize("rho", [0.9, 7.0])
def test_set_spectral_radius_is_that_of_the_package(rho):
    matrix = torch.randn(5, 5).double().triu()
    matrix[3:, 3:] = torch.tensor([[3.0, -4.0], [4.0, 3.0]])  # the eigenvalues farthest from 0 are complex
    found = exercises.get("set_spectral_radius").reference(matrix, rho)
    torch.testing.assert_close(found, gradients.with_spectral_radius(matrix, rho))
    torch.testing.assert_close(gradients.spectral_radius(found), torch.tensor(rho).double())
