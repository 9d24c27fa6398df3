"""The states of a recurrent layer as nodes of the graph: gradients with respect to all of them, Jacobians of every step."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lmcore.gradients.jacobians import check_tensor

State = Tensor | tuple[Tensor, ...]


def unroll(
    layer: nn.Module, inputs: Float[Tensor, "B T C"], state: State | None = None
) -> tuple[Float[Tensor, "B T H"], list[State]]:
    """Run a recurrent layer step by step: its outputs, and its states 0 … N as nodes of the graph.

    The outputs equal ``layer(inputs, state)[0]``. In one call of a layer the states between the steps are hidden from autograd;
    here each is a tensor of its own, so that :func:`state_gradients` can ask for it.

    Args:
        layer: anything called as ``layer(inputs, state) -> (outputs, state)`` with the batch first: the layers of
            :mod:`lmcore.rnn`, and ``torch.nn.RNN``, ``LSTM``, ``GRU`` with ``batch_first=True``.
        inputs: (B, T, C).
        state: the state 0; zeros by default.

    Raises:
        ValueError: the inputs have no three axes or no step, or the layer is bidirectional or wants time before batch.
    """
    check_tensor("inputs", inputs, 3)
    if not isinstance(layer, nn.Module):
        raise ValueError(f"layer must be a recurrent module such as torch.nn.RNN; got {layer!r}")
    if getattr(layer, "bidirectional", False) or not getattr(layer, "batch_first", True):
        raise ValueError("the layer is bidirectional, or batch_first=False; use one direction, and batch_first=True")
    if inputs.ndim != 3 or not inputs.shape[1]:
        raise ValueError(f"inputs have shape {tuple(inputs.shape)}; they need three axes (B, T, C) and at least one step")
    if state is None:
        with torch.no_grad():
            _, after = layer(inputs[:, :1])
        state = tuple(map(torch.zeros_like, after)) if isinstance(after, tuple) else torch.zeros_like(after)
    state = tuple(map(_as_node, state)) if isinstance(state, tuple) else _as_node(state)
    states = [state]
    for x in inputs.split(1, dim=1):
        states.append(layer(x, states[-1])[1])
    # The last layer's h is the output. Taken from the state, it lets a loss on the outputs reach that node of the graph.
    return torch.stack([_parts(s)[0][-1] for s in states[1:]], dim=1), states


def state_gradients(loss: Float[Tensor, ""], states: Sequence[State]) -> Float[Tensor, "B T1 D"]:
    r""":math:`\partial \ell / \partial h_n` for n = 0 … N, all of them in one backward pass.

    Args:
        loss: a number computed from what :func:`unroll` returned. A mean over a batch of B makes each text's gradient B times
            smaller than its own loss would; use a sum to see every text's own.
        states: the second result of :func:`unroll`.

    Raises:
        ValueError: the loss is not one number, or there is no path from it to the states.
    """
    if not isinstance(loss, Tensor) or loss.ndim:
        raise ValueError(f"loss must be one number, a tensor without axes; got {loss!r}; use .sum() or .mean()")
    if isinstance(states, Tensor) or not isinstance(states, Sequence) or not states:
        raise ValueError("states must be the list of states that unroll returned; got something else, or none")
    parts = [part for state in states for part in _parts(state)]
    if not loss.requires_grad or not all(part.requires_grad for part in parts):
        raise ValueError("loss or states carry no graph; call unroll outside of torch.no_grad() and compute the loss from it")
    gradients = torch.autograd.grad(loss, parts, retain_graph=True, materialize_grads=True)
    n = len(_parts(states[0]))
    return torch.stack([_rows(gradients[i : i + n]) for i in range(0, len(gradients), n)], dim=1)


def gradient_norms(loss: Float[Tensor, ""], states: Sequence[State]) -> Float[Tensor, "B T1"]:
    r""":math:`\Vert \partial \ell / \partial h_n \Vert_2` for n = 0 … N and every text of the batch, in one backward pass.

    For an LSTM it is the norm over h and c together. Arguments and errors: see :func:`state_gradients`.
    """
    return state_gradients(loss, states).norm(dim=-1)


def state_jacobians(layer: nn.Module, inputs: Float[Tensor, "B T C"], state: State | None = None) -> Float[Tensor, "B T D D"]:
    """The Jacobian of every step of any recurrent layer by automatic differentiation, with respect to its whole state.

    The state is what the layer carries from step to step: h for an RNN or a GRU, h and c, one after the other, for an LSTM; all
    of its layers. D is its size. For a simple layer this equals :func:`step_jacobian`.

    Args, Raises:
        see :func:`unroll`.
    """
    with torch.no_grad():
        _, states = unroll(layer, inputs, state)
    before = [torch.cat([_parts(s)[i] for s in states[:-1]], dim=1) for i in range(len(_parts(states[0])))]  # [L T·B H]
    before = [part.detach().requires_grad_() for part in before]
    with torch.enable_grad():
        given = tuple(before) if isinstance(states[0], tuple) else before[0]
        _, after = layer(inputs.detach().transpose(0, 1).flatten(0, 1)[:, None], given)
        rows = _rows(_parts(after))  # [T·B D]
        jacobian = [
            _rows(torch.autograd.grad(rows[:, d].sum(), before, retain_graph=True, materialize_grads=True))
            for d in range(rows.shape[1])
        ]
    return torch.stack(jacobian, dim=1).unflatten(0, (inputs.shape[1], len(inputs))).transpose(0, 1)


def _parts(state: State) -> tuple[Tensor, ...]:
    return state if isinstance(state, tuple) else (state,)


def _as_node(part: Tensor) -> Tensor:
    """A part of the state 0 as something to differentiate by; what already is such a thing stays connected."""
    return part if part.requires_grad else part.detach().clone().requires_grad_()


def _rows(parts: Sequence[Tensor]) -> Float[Tensor, "B D"]:
    """The parts of a state, (L, B, H) each, as one row per text."""
    return torch.cat([part.transpose(0, 1).flatten(1) for part in parts], dim=1)
