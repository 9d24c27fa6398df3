"""The vanishing-gradient lab: a recurrent network run forward and back in the page, as the reader sets it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import traitlets as t
from jaxtyping import Float
from torch import Tensor

from lmcore.gradients import backpropagate, initial, power_norms, singular_values, step_jacobian, with_spectral_radius
from lmcore.widgets.base import Figure, in_range, one_of, packed

NONLINEARITIES = ("linear", "tanh", "relu")
APPLY = {"linear": lambda z: z, "tanh": torch.tanh, "relu": torch.relu}
STRETCH = 4.0  # how far the default non-normal matrix is from a normal one; its gradient grows some tens of times, then decays


def non_normal(matrix: Float[Tensor, "H H"], stretch: float = STRETCH) -> Float[Tensor, "H H"]:
    r"""A matrix with the eigenvalues of ``matrix`` and larger singular values: the same spectrum, farther from normal.

    In the real Schur form :math:`A = Q (D + U) Q^\top` the block diagonal D holds the eigenvalues; U, strictly above it, is
    what a normal matrix does not have. The result is :math:`Q (D + s\,U) Q^\top`: for s = 0 normal, for s = 1 the matrix itself
    (Trefethen and Embree 2005, section 48).

    Raises:
        ValueError: the matrix is not square, or the stretch is negative.
    """
    from scipy.linalg import schur

    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"matrix has shape {tuple(matrix.shape)}; it must be square")
    if not stretch >= 0:
        raise ValueError(f"stretch is {stretch}; allowed: 0 and more")
    upper, turn = schur(matrix.detach().numpy(), output="real")
    above = np.triu(upper, 1)
    inside = np.flatnonzero(np.diagonal(upper, -1))  # a 2 × 2 block on the diagonal is a pair of complex eigenvalues
    above[inside, inside + 1] = 0
    return torch.as_tensor(turn @ (upper + (stretch - 1) * above) @ turn.T, dtype=matrix.dtype)


class VanishingLab(Figure, module="vanishing_lab.mjs"):
    r"""Vanishing-gradient lab: the gradient of the last step's loss with respect to every earlier state.

    The page runs the network :math:`h_n = \sigma(V_h h_{n-1} + s\,V_x x_n)`, :math:`h_0 = 0`, for N steps, with the loss
    :math:`\ell_N = w^\top h_N`, :math:`\Vert w \Vert = 1`, and takes the gradient back through
    :math:`\delta_{n-1} = \delta_n\, \mathrm{diag}(\sigma'(z_n))\, V_h`. It shows :math:`\Vert \delta_{N-k} \Vert` against the
    distance k beside :math:`\rho^k` and the bound :math:`\Vert V_h \Vert_2^k` (for the linear network also
    :math:`\Vert V_h^k \Vert_2`), and the eigenvalues and singular values of :math:`V_h`. Every norm is kept as a logarithm, so
    none under- or overflows; the figure says where numbers of 32 bits would.

    Python draws the matrices with :func:`lmcore.gradients.initial`, in float64 and with spectral radius 1; the page scales
    them. ``radius``, ``nonlinearity``, ``length``, ``initialisation``, ``strength`` (s), ``draw`` and ``distance`` (the k that
    is read out) can be set and read from Python.

    Args:
        size: width H of the state.
        draws: so many networks of every kind; "Draw again" walks through them.
        longest: the most steps the reader can set.
        radii: the smallest and the largest spectral radius.
        inputs: width of :math:`x_n`, standard normal numbers; :math:`V_x` has variance 1/inputs.
        matrices: further matrices by name, such as a trained layer's ``weight_hh_l0``; scaled like the others.
        seed: of all that is drawn.

    Raises:
        ValueError: a number outside what is allowed, a matrix of another shape or without a positive eigenvalue, or a name
            that is not there.
    """

    size = t.Int().tag(sync=True)
    inputs = t.Int().tag(sync=True)
    longest = t.Int().tag(sync=True)
    draws = t.Int().tag(sync=True)
    radii = t.List(t.Float()).tag(sync=True)
    initialisations = t.List(t.Unicode()).tag(sync=True)
    # all float64; I initialisations, D draws, H size, L longest
    matrices = t.Bytes().tag(sync=True)  # I × D × H × H, spectral radius 1
    eigenvalues = t.Bytes().tag(sync=True)  # I × D × H × 2: real and imaginary part
    singular = t.Bytes().tag(sync=True)  # I × D × H, largest first
    powers = t.Bytes().tag(sync=True)  # I × D × (L + 1): log10 of the norm of the k-th power
    input_weights = t.Bytes().tag(sync=True)  # D × H × inputs
    series = t.Bytes().tag(sync=True)  # D × L × inputs
    readouts = t.Bytes().tag(sync=True)  # D × H

    radius = t.Float(0.9).tag(sync=True)
    nonlinearity = t.Unicode("linear").tag(sync=True)
    length = t.Int(100).tag(sync=True)
    initialisation = t.Unicode("orthogonal").tag(sync=True)
    strength = t.Float(0.3).tag(sync=True)
    draw = t.Int(0).tag(sync=True)
    distance = t.Int(50).tag(sync=True)

    def __init__(
        self,
        size: int = 32,
        draws: int = 4,
        longest: int = 200,
        radii: tuple[float, float] = (0.5, 1.5),
        inputs: int = 4,
        matrices: Mapping[str, Tensor] | None = None,
        seed: int = 1,
        **kwargs: Any,
    ) -> None:
        for name, value, low, high in [
            ("size", size, 2, 64), ("draws", draws, 1, 8), ("longest", longest, 2, 1000), ("inputs", inputs, 1, 64),
        ]:  # fmt: skip
            in_range(name, value, low, high)
        if len(radii) != 2 or not 0 < radii[0] < radii[1] <= 10:
            raise ValueError(f"radii is {radii!r}; allowed: two numbers, the smaller first, above 0 and at most 10")
        source = torch.Generator().manual_seed(seed)
        drawn = [_draw_matrices(size, source) for _ in range(draws)]
        for name, given in (matrices or {}).items():
            for kinds in drawn:
                kinds[name] = _unit(name, given, size)
        names = list(drawn[0])
        stacked = torch.stack([torch.stack([kinds[name] for kinds in drawn]) for name in names])
        eigenvalues = torch.linalg.eigvals(stacked)
        readouts = torch.randn(draws, size, generator=source, dtype=torch.float64)
        weights = torch.randn(draws, size, inputs, generator=source, dtype=torch.float64) / inputs**0.5
        series = torch.randn(draws, longest, inputs, generator=source, dtype=torch.float64)
        powers = torch.stack([power_norms(matrix, longest).log10() for matrix in stacked.flatten(0, 1)])
        length = kwargs.setdefault("length", min(100, longest))
        super().__init__(
            size=size,
            draws=draws,
            longest=longest,
            inputs=inputs,
            radii=[float(r) for r in radii],
            initialisations=names,
            matrices=packed(stacked, "<f8"),
            eigenvalues=packed(torch.view_as_real(eigenvalues), "<f8"),
            singular=packed(singular_values(stacked), "<f8"),
            powers=packed(powers, "<f8"),
            input_weights=packed(weights, "<f8"),
            series=packed(series, "<f8"),
            readouts=packed(readouts / readouts.norm(dim=1, keepdim=True), "<f8"),
            **{"distance": length // 2, "radius": min(max(0.9, radii[0]), radii[1]), **kwargs},
        )

    def weight(self) -> Float[Tensor, "H H"]:
        """The recurrent matrix :math:`V_h` of the network that is set now."""
        bases = np.frombuffer(self.matrices, "<f8").reshape(-1, self.draws, self.size, self.size)
        base = bases[self.initialisations.index(self.initialisation), self.draw]
        return with_spectral_radius(torch.tensor(base), self.radius)

    def states(self) -> Float[Tensor, "N H"]:
        r"""The states :math:`h_1 … h_N` of the network that is set now."""
        weights = np.frombuffer(self.input_weights, "<f8").reshape(self.draws, self.size, self.inputs)[self.draw]
        series = np.frombuffer(self.series, "<f8").reshape(self.draws, self.longest, self.inputs)[self.draw]
        weight, state, found = self.weight(), torch.zeros(self.size, dtype=torch.float64), []
        for x in torch.tensor(series[: self.length]):
            state = APPLY[self.nonlinearity](weight @ state + self.strength * (torch.tensor(weights) @ x))
            found.append(state)
        return torch.stack(found)

    def readout(self) -> Float[Tensor, " H"]:
        r"""The direction w in which the loss :math:`\ell_N = w^\top h_N` reads the last state; of length 1."""
        return torch.tensor(np.frombuffer(self.readouts, "<f8").reshape(self.draws, self.size)[self.draw])

    def profile(self) -> Float[Tensor, " T1"]:
        r""":math:`\Vert \partial \ell_N / \partial h_{N-k} \Vert_2` for k = 0 … N, by :mod:`lmcore.gradients`."""
        jacobians = step_jacobian(self.weight(), self.states(), self.nonlinearity)
        return backpropagate(self.readout(), jacobians).norm(dim=-1).flip(0)

    def describe(self) -> str:
        return (
            f"Vanishing-gradient lab. A recurrent network of {self.size} units is run forward and back in the page, for a "
            f"spectral radius of {self.radii[0]:g} to {self.radii[1]:g}, a non-linearity, a length of up to {self.longest} "
            f"steps and an initial matrix ({', '.join(self.initialisations)}) of your choice. One plot shows how the norm of "
            f"the gradient changes with the distance it travels back, beside what theory expects; the other shows the "
            f"eigenvalues of the recurrent matrix and the unit circle, with the singular values below."
        )

    @t.validate("radius")
    def _check_radius(self, proposal: Any) -> float:
        return _between("radius", proposal["value"], *self.radii)

    @t.validate("strength")
    def _check_strength(self, proposal: Any) -> float:
        return _between("strength", proposal["value"], 0.0, 1.0)

    @t.validate("length")
    def _check_length(self, proposal: Any) -> int:
        return in_range("length", proposal["value"], 2, self.longest)

    @t.validate("draw")
    def _check_draw(self, proposal: Any) -> int:
        return in_range("draw", proposal["value"], 0, self.draws - 1)

    @t.validate("distance")
    def _check_distance(self, proposal: Any) -> int:
        return in_range("distance", proposal["value"], 0, self.length)

    @t.validate("nonlinearity")
    def _check_nonlinearity(self, proposal: Any) -> str:
        return one_of("nonlinearity", proposal["value"], NONLINEARITIES)

    @t.validate("initialisation")
    def _check_initialisation(self, proposal: Any) -> str:
        return one_of("initialisation", proposal["value"], self.initialisations)

    @t.observe("length")
    def _stay_inside(self, change: Any) -> None:
        self.distance = min(self.distance, self.length)


def _draw_matrices(size: int, source: torch.Generator) -> dict[str, Tensor]:
    """One matrix of every kind, of spectral radius 1; the non-normal one has the eigenvalues of the Gaussian one."""
    gaussian = initial("gaussian", size, 1.0, generator=source, dtype=torch.float64)
    orthogonal = initial("orthogonal", size, 1.0, generator=source, dtype=torch.float64)
    identity = initial("identity", size, dtype=torch.float64)
    return {
        "Gaussian": gaussian,
        "orthogonal": orthogonal,
        "identity": identity,
        "non-normal": _unit("", non_normal(gaussian), size),
    }


def _unit(name: str, matrix: Any, size: int) -> Tensor:
    """A matrix as float64 of spectral radius 1."""
    found = torch.as_tensor(matrix).detach().to("cpu", torch.float64)
    if found.shape != (size, size):
        raise ValueError(f"matrices[{name!r}] has shape {tuple(found.shape)}; with size={size} it must be ({size}, {size})")
    return with_spectral_radius(found, 1.0)


def _between(name: str, value: float, low: float, high: float) -> float:
    if not low <= value <= high:
        raise ValueError(f"{name} is {value:g}; allowed: {low:g} to {high:g}")
    return value
