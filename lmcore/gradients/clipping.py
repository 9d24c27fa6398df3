"""The norm of a whole gradient, and a limit to it."""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor


def global_norm(tensors: Iterable[Tensor]) -> Float[Tensor, ""]:
    """The Euclidean norm of all numbers of all tensors together, as if they were one long vector; 0 for none."""
    norms = [torch.linalg.vector_norm(tensor) for tensor in tensors]
    return torch.stack([norm.to(norms[0].device) for norm in norms]).norm() if norms else torch.zeros(())


@torch.no_grad()
def clip_by_global_norm(parameters: Tensor | Iterable[Tensor], max_norm: float) -> Float[Tensor, ""]:
    r"""Shorten the gradient of all parameters together to ``max_norm``, if it is longer; keep its direction.

    .. math:: g \leftarrow g \cdot \min\Bigl(1, \frac{\text{max\_norm}}{\Vert g \Vert + 10^{-6}}\Bigr)

    Pascanu et al. (2013), algorithm 1. Works in place, as ``torch.nn.utils.clip_grad_norm_`` does, and equals it.

    Args:
        parameters: parameters after ``backward()``; those without a gradient are left out.
        max_norm: the largest norm allowed.

    Returns:
        the norm before clipping.

    Raises:
        ValueError: max_norm is not a positive number, or something among the parameters is no tensor.
    """
    if not isinstance(max_norm, int | float) or not max_norm > 0:
        raise ValueError(f"max_norm={max_norm!r} must be a positive number")
    given = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    if wrong := [item for item in given if not isinstance(item, Tensor)]:
        raise ValueError(f"parameters must be tensors, such as model.parameters(); got {wrong[0]!r}")
    gradients = [parameter.grad for parameter in given if parameter.grad is not None]
    norm = global_norm(gradients)
    factor = (max_norm / (norm + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(factor.to(gradient.device))
    return norm
