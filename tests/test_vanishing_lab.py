"""The Python side of the vanishing-gradient lab: what it hands to the page, and the numbers the page is compared with."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from lmcore.gradients import henrici, power_norms, singular_values, spectral_norm, spectral_radius
from lmcore.widgets import VanishingLab
from lmcore.widgets.vanishing_lab import NONLINEARITIES, STRETCH, non_normal

KINDS = ["Gaussian", "orthogonal", "identity", "non-normal"]


def small(**kwargs: object) -> VanishingLab:
    return VanishingLab(**{"size": 7, "draws": 3, "longest": 23, "inputs": 2, "seed": 5, **kwargs})


def held(widget: VanishingLab, name: str, *shape: int) -> Tensor:
    return torch.tensor(np.frombuffer(getattr(widget, name), "<f8").reshape(shape))


def random_matrix(size: int, seed: int) -> Tensor:
    return torch.randn(size, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def moduli(matrix: Tensor) -> Tensor:
    return torch.linalg.eigvals(matrix).abs().sort().values


# ---- the stretched matrix ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [2, 7, 32])
def test_stretching_keeps_the_eigenvalues_and_leaves_normality(size: int) -> None:
    matrix = random_matrix(size, 3)
    stretched = non_normal(matrix, 3.0)
    assert torch.allclose(moduli(stretched), moduli(matrix), rtol=1e-6)
    assert henrici(stretched) > henrici(matrix)
    assert torch.allclose(non_normal(matrix, 1.0), matrix, atol=1e-12)


def test_without_stretch_the_upper_part_is_gone() -> None:
    """A symmetric matrix has nothing to stretch; of any other, stretch 0 leaves what acts inside the pairs of eigenvalues."""
    matrix = random_matrix(7, 4)
    symmetric = matrix + matrix.T
    assert torch.allclose(non_normal(symmetric, 9.0), symmetric, atol=1e-12)
    assert henrici(non_normal(matrix, 0.0)) < henrici(matrix)
    triangular = torch.tensor([[0.5, 1.0, 2.0], [0.0, 0.3, 3.0], [0.0, 0.0, 0.1]], dtype=torch.float64)
    assert henrici(non_normal(triangular, 0.0)) < 1e-7


def test_stretching_refuses(unchecked: None) -> None:
    with pytest.raises(ValueError, match=r"shape \(2, 3\).*square"):
        non_normal(torch.zeros(2, 3))
    with pytest.raises(ValueError, match="stretch is -1"):
        non_normal(torch.eye(2), -1.0)


# ---- what the page gets ------------------------------------------------------------------------------------------------


def test_matrices_have_spectral_radius_1_and_known_spectra() -> None:
    widget = small()
    assert widget.initialisations == KINDS
    matrices = held(widget, "matrices", 4, 3, 7, 7)
    assert torch.allclose(spectral_radius(matrices), torch.ones(4, 3, dtype=torch.float64), atol=1e-10)
    assert torch.equal(matrices[2], torch.eye(7, dtype=torch.float64).expand(3, 7, 7))
    assert torch.allclose(matrices[1] @ matrices[1].mT, torch.eye(7, dtype=torch.float64).expand(3, 7, 7), atol=1e-12)
    values = torch.view_as_complex(held(widget, "eigenvalues", 4, 3, 7, 2).contiguous())
    for kind in range(4):
        for draw in range(3):
            for value in values[kind, draw]:  # det(V − λI) = 0
                assert torch.linalg.svdvals(matrices[kind, draw] - value * torch.eye(7, dtype=torch.complex128))[-1] < 1e-12
            expected = power_norms(matrices[kind, draw], 23).log10()
            assert torch.allclose(held(widget, "powers", 4, 3, 24)[kind, draw], expected, atol=1e-12)
    assert torch.allclose(values.abs().sort().values[0], values.abs().sort().values[3], atol=1e-9), "same eigenvalues"
    assert (spectral_norm(matrices[3]) > 1.5 * spectral_norm(matrices[0])).all(), "other singular values"
    assert torch.allclose(held(widget, "singular", 4, 3, 7), singular_values(matrices), atol=1e-12)
    assert torch.allclose(held(widget, "readouts", 3, 7).norm(dim=1), torch.ones(3, dtype=torch.float64))


def test_draws_and_seeds_differ_and_repeat() -> None:
    first = small()
    assert all(getattr(first, name) == getattr(small(), name) for name in ("matrices", "series", "readouts", "input_weights"))
    assert small(seed=6).matrices != first.matrices
    matrices, series = held(first, "matrices", 4, 3, 49), held(first, "series", 3, 46)
    for kind in (0, 1, 3):
        assert len(matrices[kind].unique(dim=0)) == 3
    assert len(series.unique(dim=0)) == 3


def test_default_non_normal_matrix_rises_before_it_falls() -> None:
    widget = VanishingLab(initialisation="non-normal", nonlinearity="linear", radius=0.85)
    for draw in range(widget.draws):
        widget.draw = draw
        profile = widget.profile()
        assert profile.max() > 4
        assert profile[-1] < 1e-4
    assert STRETCH == 4.0


# ---- the numbers -------------------------------------------------------------------------------------------------------


def by_autograd(widget: VanishingLab) -> Tensor:
    """The gradient norms by autograd alone, on a network written out once more."""
    kind = widget.initialisations.index(widget.initialisation)
    base = held(widget, "matrices", len(widget.initialisations), widget.draws, widget.size, widget.size)[kind, widget.draw]
    weight = base * widget.radius
    inputs = held(widget, "input_weights", widget.draws, widget.size, widget.inputs)[widget.draw]
    series = held(widget, "series", widget.draws, widget.longest, widget.inputs)[widget.draw]
    sigma = {"linear": lambda z: z, "tanh": torch.tanh, "relu": torch.relu}[widget.nonlinearity]
    states = [torch.zeros(widget.size, dtype=torch.float64, requires_grad=True)]
    for n in range(widget.length):
        states.append(sigma(weight @ states[-1] + widget.strength * inputs @ series[n]))
    loss = held(widget, "readouts", widget.draws, widget.size)[widget.draw] @ states[-1]
    return torch.stack([g.norm() for g in torch.autograd.grad(loss, states, materialize_grads=True)]).flip(0)


@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
@pytest.mark.parametrize("kind", KINDS)
def test_profile_is_the_gradient_autograd_finds(nonlinearity: str, kind: str) -> None:
    widget = small(nonlinearity=nonlinearity, initialisation=kind, strength=0.35)
    for draw, radius, length in ((0, 0.7, 23), (2, 1.0, 11), (1, 1.3, 17)):
        widget.draw, widget.radius, widget.length = draw, radius, length
        assert widget.profile().shape == (length + 1,)
        assert torch.allclose(widget.profile(), by_autograd(widget), rtol=1e-9, atol=1e-300)


def test_profile_of_a_normal_linear_network_is_rho_to_the_k() -> None:
    for kind in ("orthogonal", "identity"):
        widget = small(initialisation=kind, radius=0.93, length=23)
        expected = 0.93 ** torch.arange(24, dtype=torch.float64)
        assert torch.allclose(widget.profile(), expected, rtol=1e-12)


def test_profile_keeps_below_the_bound() -> None:
    for nonlinearity in NONLINEARITIES:
        for kind in KINDS:
            widget = small(initialisation=kind, nonlinearity=nonlinearity, radius=1.2, length=23)
            bound = spectral_norm(widget.weight()) ** torch.arange(24)
            assert (widget.profile() <= bound * (1 + 1e-9)).all()


def test_a_trained_matrix_joins_in() -> None:
    given = torch.nn.Parameter(random_matrix(7, 8).float())
    widget = small(matrices={"trained": given}, initialisation="trained", radius=0.8)
    assert widget.initialisations == [*KINDS, "trained"]
    assert torch.allclose(
        widget.weight() / spectral_norm(widget.weight()), given.detach().double() / spectral_norm(given.detach().double())
    )
    assert spectral_radius(widget.weight()) == pytest.approx(0.8)
    assert "trained" in widget.alt


# ---- use and misuse ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"size": 1}, "size is 1; allowed: 2 to 64"),
        ({"draws": 0}, "draws is 0; allowed: 1 to 8"),
        ({"longest": 1001}, "longest is 1001"),
        ({"inputs": 0}, "inputs is 0"),
        ({"radii": (1.0,)}, r"radii is \(1.0,\)"),
        ({"radii": (1.5, 0.5)}, "the smaller first"),
        ({"radii": (0.0, 0.5)}, "above 0"),
        ({"radius": 1.6}, "radius is 1.6; allowed: 0.5 to 1.5"),
        ({"radius": math.nan}, "radius is nan"),
        ({"strength": -0.1}, "strength is -0.1; allowed: 0 to 1"),
        ({"length": 24}, "length is 24; allowed: 2 to 23"),
        ({"length": 11, "distance": 12}, "distance is 12; allowed: 0 to 11"),
        ({"draw": 3}, "draw is 3; allowed: 0 to 2"),
        ({"nonlinearity": "sigmoid"}, "'sigmoid'; allowed: 'linear', 'tanh', 'relu'"),
        ({"initialisation": "xavier"}, "'xavier'; allowed: 'Gaussian'"),
        ({"matrices": {"mine": torch.zeros(3, 5)}}, r"matrices\['mine'\] has shape \(3, 5\).*\(7, 7\)"),
        ({"matrices": {"mine": torch.zeros(7, 7)}}, "eigenvalues of the matrix are zero"),
    ],
)
def test_refuses(unchecked: None, change: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        small(**change)


def test_choices_travel_both_ways() -> None:
    widget = small()
    assert (widget.length, widget.distance) == (23, 11)
    widget.set_state({"length": 5, "distance": 5, "radius": 1.25, "nonlinearity": "relu"})  # as the page sends them
    assert (widget.length, widget.distance, widget.radius) == (5, 5, 1.25)
    assert widget.states().shape == (5, 7)
    widget.length = 3
    assert widget.distance == 3
    for name, value in {"length": 1, "draw": 3, "distance": 4, "radius": 2.0, "initialisation": "x"}.items():
        before = getattr(widget, name)
        with pytest.raises(ValueError, match="allowed"):
            setattr(widget, name, value)
        assert getattr(widget, name) == before


def test_sentence_for_those_who_cannot_see_it() -> None:
    text = small().alt
    assert text.endswith(".")
    for part in ("7 units", "0.5 to 1.5", "23 steps", *KINDS):
        assert part in text
