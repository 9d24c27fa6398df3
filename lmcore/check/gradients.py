"""The value of a student's function, and its gradients."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor


def value_and_gradients(function: Callable, args: list) -> Any:
    """The value, and the gradients of its weighted sum with respect to every floating-point tensor among the arguments.

    The value may be a tuple of tensors: then of all of them. What the function changes in place can be seen in ``args``
    afterwards.

    Returns:
        ``{"value": …, "gradients": [tensor, …]}``; the gradients are ``None`` where none can flow.
    """
    leaves = [leaf.requires_grad_() for leaf in leaves_of(args)]
    args[:] = [copied(arg) for arg in args]  # torch lets nobody change a leaf in place; a copy may be, and the caller sees it
    value = function(*args)
    parts = value if isinstance(value, tuple) and value else (value,)
    if not all(isinstance(part, Tensor) for part in parts) or not any(part.requires_grad for part in parts):
        return {"value": value, "gradients": None}
    return {"value": value, "gradients": list(gradients_of(sum(_weighted_sum(part) for part in parts), leaves))}


def _weighted_sum(value: Tensor) -> Any:
    weights = torch.cos(torch.arange(value.numel(), dtype=value.dtype, device=value.device)).reshape(value.shape)
    return (value * weights).sum()


def gradients_of(loss: Tensor, leaves: list[Tensor]) -> tuple[Tensor, ...]:
    """The gradients of ``loss``; zeros where none flows."""
    try:
        return torch.autograd.grad(loss, leaves, materialize_grads=True)
    except RuntimeError as error:
        question = "does your function change a tensor in place, as += and an assignment to a part of it do?"
        raise RuntimeError(f"no gradient can be computed; {question} ({error})") from error


def leaves_of(args: list) -> Iterator[Tensor]:
    """The floating-point tensors among the arguments."""
    for arg in args:
        for part in arg.values() if isinstance(arg, dict) else [arg]:
            if isinstance(part, Tensor) and part.is_floating_point():
                yield part


def copied(arg: Any) -> Any:
    """An independent copy of an argument that the gradients still pass."""
    if isinstance(arg, dict):
        return {key: copied(part) for key, part in arg.items()}
    return arg.clone() if isinstance(arg, Tensor) else arg
