"""What a square matrix does when it is applied again and again, and matrices to begin with."""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lmcore.batches import at_least
from lmcore.gradients.jacobians import check_square, jacobian_products

KINDS = ("gaussian", "uniform", "orthogonal", "identity")


def singular_values(matrix: Float[Tensor, "*b D D"]) -> Float[Tensor, "*b D"]:
    """The singular values of a matrix (or of each of several), largest first."""
    return torch.linalg.svdvals(check_square("matrix", matrix))


def spectral_norm(matrix: Float[Tensor, "*b D D"]) -> Float[Tensor, "*b"]:
    r""":math:`\Vert A \Vert_2`, the largest singular value: by how much A can lengthen a vector in one step."""
    return singular_values(matrix)[..., 0]


def spectral_radius(matrix: Float[Tensor, "*b D D"]) -> Float[Tensor, "*b"]:
    r""":math:`\rho(A) = \max_i |\lambda_i|`: by how much A lengthens a vector per step in the long run.

    Gelfand's formula: :math:`\rho = \lim_{k \to \infty} \Vert A^k \Vert^{1/k}`.
    """
    return torch.linalg.eigvals(check_square("matrix", matrix)).abs().amax(-1)


def henrici(matrix: Float[Tensor, "*b D D"]) -> Float[Tensor, "*b"]:
    r"""Henrici's departure from normality, relative: :math:`\sqrt{\Vert A \Vert_F^2 - \sum_i |\lambda_i|^2} / \Vert A \Vert_F`.

    It is 0 for a normal matrix (:math:`A A^\top = A^\top A`: symmetric, orthogonal, …), whose powers have norm :math:`\rho^k`
    exactly, and 1 for a nilpotent one (Henrici 1962; Trefethen and Embree 2005, section 48).
    """
    frobenius = torch.linalg.matrix_norm(check_square("matrix", matrix))
    eigenvalues = torch.linalg.eigvals(matrix).abs().square().sum(-1)
    return ((frobenius**2 - eigenvalues).clamp(min=0).sqrt() / frobenius).nan_to_num(0.0)


def power_norms(matrix: Float[Tensor, "D D"], steps: int) -> Float[Tensor, " T1"]:
    r""":math:`\Vert A^k \Vert_2` for k = 0 … ``steps``.

    With :math:`\rho < 1` it goes to zero, but if the matrix is not normal it may grow first: a transient.
    """
    check_square("matrix", matrix)
    at_least(0, steps=steps)
    repeated = matrix.expand(max(steps, 1), *matrix.shape)
    return spectral_norm(jacobian_products(repeated)[: steps + 1])


def with_spectral_radius(matrix: Float[Tensor, "D D"], rho: float) -> Float[Tensor, "D D"]:
    """The matrix times the number that gives it spectral radius ``rho``.

    Raises:
        ValueError: rho is negative, or all eigenvalues of the matrix are zero.
    """
    _check_rho(rho)
    radius = spectral_radius(matrix)
    if radius <= len(matrix) * torch.finfo(matrix.dtype).eps * spectral_norm(matrix):
        raise ValueError(f"all eigenvalues of the matrix are zero, and no factor changes that; rho={rho} cannot be had")
    return matrix * (rho / radius)


def initial(
    kind: str,
    size: int,
    rho: float | None = None,
    *,
    generator: torch.Generator | None = None,
    dtype: torch.dtype | None = None,
) -> Float[Tensor, "H H"]:
    r"""An initial recurrent matrix :math:`V_h`.

    ==============  ===============================================  =====================================================
    kind            entries                                          spectral radius, spectral norm
    ==============  ===============================================  =====================================================
    ``gaussian``    independent, normal, variance 1/H                about 1 (circular law, Girko 1985), about 2
    ``uniform``     independent, in ±1/√H: torch.nn.RNN's default    about 1/√3, about 2/√3
    ``orthogonal``  Q of a Gaussian's QR, signs fixed, so uniform    1, 1 (Saxe et al. 2014)
                    over the orthogonal group (Mezzadri 2007)
    ``identity``    1 on the diagonal                                1, 1 (Le et al. 2015)
    ==============  ===============================================  =====================================================

    Args:
        kind: one of the above.
        size: H.
        rho: rescale to exactly this spectral radius (:func:`with_spectral_radius`); by default leave the matrix as drawn.
        generator: the source of randomness; torch's own by default.
        dtype: torch's default dtype by default.

    Raises:
        ValueError: the kind is unknown, the size not positive, or rho negative.
    """
    if kind not in KINDS:
        raise ValueError(f"kind={kind!r} is unknown; use one of {', '.join(KINDS)}")
    at_least(1, size=size)
    if rho is not None:
        _check_rho(rho)
    if kind == "identity":
        matrix = torch.eye(size, dtype=dtype)
    elif kind == "uniform":
        matrix = (2 * torch.rand(size, size, generator=generator, dtype=dtype) - 1) / math.sqrt(size)
    else:
        matrix = torch.randn(size, size, generator=generator, dtype=dtype) / math.sqrt(size)
    if kind == "orthogonal":
        q, r = torch.linalg.qr(matrix)
        matrix = q * r.diagonal().sign()
    return matrix if rho is None else with_spectral_radius(matrix, rho)


def _check_rho(rho: Any) -> None:
    if not isinstance(rho, int | float) or not 0 <= rho < math.inf:
        raise ValueError(f"rho={rho!r} must be a number from 0 on")
