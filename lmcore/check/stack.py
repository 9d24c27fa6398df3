"""A student's recurrent cell swapped into a network: two layers over several steps, with a loss and all its gradients."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

STEPS = 3
CLASSES = 3
NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def step_and_stack(cell: Callable, args: list) -> Any:
    """What ``cell(x, *state, weight_ih, weight_hh, bias_ih, bias_hh)`` does in one step, and in a network made of it.

    The state is one tensor for a GRU (``cell`` returns a tensor), and the two tensors h and c for an LSTM (it returns a
    tuple). The network has the names and shapes of ``torch.nn.LSTM`` and ``torch.nn.GRU`` with two layers. The first has
    the parameters among ``args`` and starts with x and the state given; everything else is drawn with a fixed seed. A case with
    one text is meant to be followed by hand, and runs the step alone.

    Returns:
        what the cell returned for one text, and for a batch
        ``{"step": what the cell returned, "stack": {"outputs": [B T H], "loss": …, "gradients": {name: tensor}}}``. The
        stack is ``None`` if the step does not return a state like the one it was given, the gradients are ``None`` if no
        gradient reaches the loss.
    """
    x, *states, weight_ih, weight_hh, bias_ih, bias_hh = [arg.clone() for arg in args]
    step = cell(*args)
    if step is None or len(x) == 1:
        return step
    if not _alike(step, states):
        return {"step": step, "stack": None}
    return {"step": step, "stack": _stack(cell, x, states, [weight_ih, weight_hh, bias_ih, bias_hh])}


def cross_entropy(outputs: Tensor) -> Tensor:
    """The loss of a network with these outputs, [B T H], which guesses one of a few classes at every step."""
    batch, steps, hidden = outputs.shape
    read_out = torch.cos(torch.arange(hidden * CLASSES).to(outputs)).view(hidden, CLASSES)
    classes = torch.arange(batch * steps, device=outputs.device) % CLASSES
    return F.cross_entropy(outputs.flatten(0, 1) @ read_out, classes)


def _alike(step: Any, states: list[Tensor]) -> bool:
    """Whether ``step`` can be the state of the next step."""
    if isinstance(step, tuple) != (len(states) > 1) or len(_tensors(step)) != len(states):
        return False
    return all(
        isinstance(new, Tensor) and (new.shape, new.dtype) == (old.shape, old.dtype)
        for new, old in zip(_tensors(step), states, strict=True)
    )


def _tensors(state: Any) -> tuple:
    return state if isinstance(state, tuple) else (state,)


def _stack(cell: Callable, x: Tensor, states: list[Tensor], parameters: list[Tensor]) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(x)

    batch, hidden = states[0].shape
    shapes = [(len(parameter), *([hidden] if parameter.dim() == 2 else [])) for parameter in parameters]
    layers = [
        [parameter.clone().requires_grad_() for parameter in parameters],
        [(draw(*shape) / hidden**0.5).requires_grad_() for shape in shapes],
    ]
    current: list[tuple[Tensor, ...]] = [tuple(states), tuple(draw(batch, hidden) for _ in states)]
    outputs = []
    for signal in [x, *(draw(*x.shape) for _ in range(STEPS - 1))]:
        for number, layer in enumerate(layers):
            copies = [part.clone() for part in (signal, *current[number])]  # whether it changes its input, the one step tells
            current[number] = _tensors(cell(*copies, *layer))
            signal = current[number][0]
        outputs.append(signal)
    stacked = torch.stack(outputs, 1)
    loss = cross_entropy(stacked)
    gradients = None
    if loss.requires_grad:
        named = {
            f"{name}_l{number}": part for number, layer in enumerate(layers) for name, part in zip(NAMES, layer, strict=True)
        }
        try:
            found = torch.autograd.grad(loss, list(named.values()), materialize_grads=True)
        except RuntimeError as error:
            question = "does the cell change a tensor in place, as += does?"
            raise RuntimeError(f"no gradient can be computed in a network of this cell; {question} ({error})") from error
        gradients = dict(zip(named, found, strict=True))
    return {"outputs": stacked, "loss": loss, "gradients": gradients}
