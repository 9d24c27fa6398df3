"""The Jacobian of one step of a simple recurrent layer, and products of Jacobians."""

from functools import reduce
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

SLOPES = {
    "tanh": lambda h: 1 - h**2,
    "relu": lambda h: (h > 0).to(h.dtype),
    "linear": torch.ones_like,
}


def slope(states: Float[Tensor, "*n H"], nonlinearity: str = "tanh") -> Float[Tensor, "*n H"]:
    r""":math:`\sigma'(z)`, read from :math:`h = \sigma(z)`: :math:`1 - h^2` for tanh, 1 where h > 0 for relu, 1 for linear.

    Raises:
        ValueError: the non-linearity is none of these.
    """
    if nonlinearity not in SLOPES:
        raise ValueError(f"nonlinearity={nonlinearity!r} is unknown; use one of {', '.join(SLOPES)}")
    check_tensor("states", states, 1)
    return SLOPES[nonlinearity](states)


def step_jacobian(
    weight: Float[Tensor, "H H"], states: Float[Tensor, "*n H"], nonlinearity: str = "tanh"
) -> Float[Tensor, "*n H H"]:
    r"""The Jacobian :math:`\partial h_n / \partial h_{n-1} = \mathrm{diag}(\sigma'(z_n))\, V_h` of a simple recurrent layer.

    Args:
        weight: :math:`V_h`, a layer's ``weight_hh_l0``.
        states: :math:`h_n`, the states *after* the step; any axes in front, such as batch and time of a layer's outputs.
        nonlinearity: ``"tanh"``, ``"relu"`` or ``"linear"``.

    Raises:
        ValueError: the matrix is not square or does not fit the states, or the non-linearity is unknown.
    """
    check_square("weight", weight)
    derivative = slope(states, nonlinearity)
    if states.shape[-1] != len(weight):
        raise ValueError(f"states are {states.shape[-1]} wide, weight is {len(weight)} × {len(weight)}; they must agree")
    return derivative[..., :, None] * weight


def jacobian_products(jacobians: Float[Tensor, "*b T D D"]) -> Float[Tensor, "*b T1 D D"]:
    r"""The Jacobian of the last state over every distance, from those of the steps, :math:`J_1 \dots J_N`.

    Entry k is :math:`\partial h_N / \partial h_{N-k} = J_N J_{N-1} \cdots J_{N-k+1}`; entry 0 is the identity matrix.
    """
    _check_jacobians(jacobians)
    products = [
        torch.eye(jacobians.shape[-1], dtype=jacobians.dtype, device=jacobians.device).expand_as(jacobians[..., 0, :, :])
    ]
    for jacobian in reversed(jacobians.unbind(-3)):
        products.append(products[-1] @ jacobian)
    return torch.stack(products, dim=-3)


def jacobian_product(jacobians: Float[Tensor, "*b T D D"]) -> Float[Tensor, "*b D D"]:
    r""":math:`\partial h_N / \partial h_0 = J_N J_{N-1} \cdots J_1`. The last step stands on the left."""
    _check_jacobians(jacobians)
    return reduce(lambda done, jacobian: jacobian @ done, jacobians.unbind(-3))


def backpropagate(gradient: Float[Tensor, "*b D"], jacobians: Float[Tensor, "*b T D D"]) -> Float[Tensor, "*b T1 D"]:
    r""":math:`\partial \ell_N / \partial h_n` for n = 0 … N from :math:`\partial \ell_N / \partial h_N`, in one pass.

    The recursion is :math:`\delta_{n-1} = \delta_n J_n`: one vector times one matrix per step, no product of matrices.
    """
    _check_jacobians(jacobians)
    check_tensor("gradient", gradient, 1)
    if gradient.shape != jacobians.shape[:-3] + jacobians.shape[-1:]:
        raise ValueError(f"gradient of shape {tuple(gradient.shape)} does not fit jacobians of shape {tuple(jacobians.shape)}")
    deltas = [gradient]
    for jacobian in reversed(jacobians.unbind(-3)):
        deltas.append((deltas[-1][..., None, :] @ jacobian)[..., 0, :])
    return torch.stack(deltas[::-1], dim=-2)


def check_tensor(name: str, tensor: Any, axes: int) -> None:
    """Refuse anything but a floating-point tensor with at least so many axes.

    Raises:
        ValueError: it is something else.
    """
    if not isinstance(tensor, Tensor) or not tensor.is_floating_point() or tensor.ndim < axes:
        given = f"shape {tuple(tensor.shape)} of {tensor.dtype}" if isinstance(tensor, Tensor) else f"a {type(tensor).__name__}"
        raise ValueError(f"{name} must be a floating-point tensor with at least {axes} axes; got {given}")


def check_square(name: str, matrix: Any) -> Tensor:
    """The matrix (or several, in the last two axes), if it is square and finite.

    Raises:
        ValueError: it is not.
    """
    check_tensor(name, matrix, 2)
    if matrix.shape[-1] != matrix.shape[-2] or not matrix.shape[-1]:
        raise ValueError(f"{name} must be square; got shape {tuple(matrix.shape)}")
    if not matrix.isfinite().all():
        raise ValueError(f"{name} holds a number that is not finite; its eigenvalues and singular values are not defined")
    return matrix


def _check_jacobians(jacobians: Any) -> None:
    check_tensor("jacobians", jacobians, 3)
    if jacobians.shape[-1] != jacobians.shape[-2] or not jacobians.shape[-3]:
        raise ValueError(f"jacobians must be square matrices, one per step (…, T, D, D); got shape {tuple(jacobians.shape)}")
