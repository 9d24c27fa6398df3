"""Recurrent cells: one step from a state and an input to the next state.

The three kinds of step stand first, each in two methods: ``project`` is the part that needs the input alone, so that it can be
computed for all positions of a sequence at once; ``step`` is the part that has to wait for the state before. A cell is a step
with its parameters. :mod:`lmcore.rnn` takes whole sequences through the same steps. Parameters have the names, shapes and
first values that :mod:`torch.nn` gives them, so weights can be exchanged both ways.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from lmcore.batches import at_least

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"tanh": torch.tanh, "relu": torch.relu}
States = tuple[Tensor, ...]  # inside: (h,) of an RNN and a GRU, (h, c) of an LSTM
State = Tensor | States  # outside, as torch.nn has it: h of an RNN and a GRU, (h, c) of an LSTM
Weights = tuple[Tensor, Tensor, Tensor | None, Tensor | None]  # weight_ih, weight_hh, bias_ih, bias_hh


class RNNStep:
    r"""The simple recurrent network (Elman 1990).

    .. math:: h_n = \sigma(W_{ih} x_n + b_{ih} + W_{hh} h_{n-1} + b_{hh})

    With :math:`V = [W_{ih}\; W_{hh}]` and :math:`c = b_{ih} + b_{hh}` this is :math:`h_n = \sigma(V [x_n; h_{n-1}] + c)`.
    """

    gates, states = 1, 1
    nonlinearity = "tanh"

    def project(
        self, x: Float[Tensor, "*N C"], weight: Tensor, bias_ih: Tensor | None, bias_hh: Tensor | None
    ) -> Float[Tensor, "*N GH"]:
        """The input's part, both biases included, for any number of inputs at once."""
        return F.linear(x, weight, None if bias_ih is None or bias_hh is None else bias_ih + bias_hh)

    def step(self, x: Float[Tensor, "B H"], state: States, weight: Float[Tensor, "H H"], bias: Tensor | None) -> States:
        """(h_n,) from the projected input and (h_{n−1},). ``weight`` is W_hh transposed."""
        return (ACTIVATIONS[self.nonlinearity](torch.addmm(x, state[0], weight)),)


class LSTMStep:
    r"""Long short-term memory (Hochreiter and Schmidhuber 1997) with a forget gate (Gers et al. 2000).

    .. math::
        i, f, g, o &= W_{ih} x_n + b_{ih} + W_{hh} h_{n-1} + b_{hh} \quad\text{(four parts of one vector)} \\
        c_n &= \sigma(f) \odot c_{n-1} + \sigma(i) \odot \tanh(g) \\
        h_n &= \sigma(o) \odot \tanh(c_n)
    """

    gates, states = 4, 2
    project = RNNStep.project

    def step(self, x: Float[Tensor, "B GH"], state: States, weight: Float[Tensor, "H GH"], bias: Tensor | None) -> States:
        """(h_n, c_n) from the projected input and (h_{n−1}, c_{n−1}). ``weight`` is W_hh transposed."""
        h, c = state
        i, f, g, o = torch.addmm(x, h, weight).chunk(4, dim=1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c


class GRUStep:
    r"""The gated recurrent unit (Cho et al. 2014) as cuDNN and PyTorch compute it: r acts after the product with W_hh.

    .. math::
        a_r, a_z, a_n &= W_{ih} x_n + b_{ih} \qquad b_r, b_z, b_n = W_{hh} h_{n-1} + b_{hh} \\
        r &= \sigma(a_r + b_r) \qquad z = \sigma(a_z + b_z) \qquad m = \tanh(a_n + r \odot b_n) \\
        h_n &= (1 - z) \odot m + z \odot h_{n-1}
    """

    gates, states = 3, 1

    def project(
        self, x: Float[Tensor, "*N C"], weight: Tensor, bias_ih: Tensor | None, bias_hh: Tensor | None
    ) -> Float[Tensor, "*N GH"]:
        """The input's part for any number of inputs at once. The other bias has to wait, because r multiplies it."""
        return F.linear(x, weight, bias_ih)

    def step(self, x: Float[Tensor, "B GH"], state: States, weight: Float[Tensor, "H GH"], bias: Tensor | None) -> States:
        """(h_n,) from the projected input and (h_{n−1},). ``weight`` is W_hh transposed."""
        (h,) = state
        recurrent = h @ weight if bias is None else torch.addmm(bias, h, weight)
        sizes = 2 * h.shape[1], h.shape[1]
        (a_rz, a_n), (b_rz, b_n) = x.split(sizes, dim=1), recurrent.split(sizes, dim=1)
        r, z = (a_rz + b_rz).sigmoid().chunk(2, dim=1)
        m = (a_n + r * b_n).tanh()
        return (m + z * (h - m),)


class Cell(nn.Module):
    """One step with its parameters; :class:`RNNCell`, :class:`LSTMCell` and :class:`GRUCell` say which step.

    Args:
        input_size: C, the width of an input.
        hidden_size: H, the width of the state.
        bias: with the two bias vectors.
    """

    gates: int
    states: int
    project: Callable[..., Tensor]
    step: Callable[..., States]

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True):
        super().__init__()
        at_least(1, input_size=input_size, hidden_size=hidden_size)
        self.input_size, self.hidden_size = input_size, hidden_size
        add_weights(self, "", input_size, hidden_size, self.gates, bias)

    def forward(self, x: Float[Tensor, "B C"], state: State | None = None) -> State:
        """The state after reading x: (B, H), or a pair of such for an LSTM. Without a state it begins at zero.

        Raises:
            ValueError: the input or the state has the wrong shape.
        """
        check_input(x, 2, self.input_size)
        before = as_states(state, (x.shape[0], self.hidden_size), self.states, x)
        weight_ih, weight_hh, bias_ih, bias_hh = weights_of(self, "")
        after = self.step(self.project(x, weight_ih, bias_ih, bias_hh), before, weight_hh.t(), bias_hh)
        return as_state(after)


class RNNCell(RNNStep, Cell):
    """One step of a simple recurrent network; see :class:`RNNStep`, and :class:`Cell` for sizes. As ``torch.nn.RNNCell``."""

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: str = "tanh"):
        super().__init__(input_size, hidden_size, bias)
        self.nonlinearity = known_nonlinearity(nonlinearity)


class LSTMCell(LSTMStep, Cell):
    """One step of an LSTM; see :class:`LSTMStep`, and :class:`Cell` for sizes. As ``torch.nn.LSTMCell``."""


class GRUCell(GRUStep, Cell):
    """One step of a GRU; see :class:`GRUStep`, and :class:`Cell` for sizes. As ``torch.nn.GRUCell``."""


def add_weights(module: nn.Module, suffix: str, input_size: int, hidden_size: int, gates: int, bias: bool) -> None:
    """The parameters of one step, named and drawn as :mod:`torch.nn` does it: uniform within ±1/√H, biases too."""
    shapes: dict[str, tuple[int, ...]]
    shapes = {"weight_ih": (gates * hidden_size, input_size), "weight_hh": (gates * hidden_size, hidden_size)}
    if bias:
        shapes |= {"bias_ih": (gates * hidden_size,), "bias_hh": (gates * hidden_size,)}
    for name, shape in shapes.items():
        first = torch.empty(shape).uniform_(-1 / math.sqrt(hidden_size), 1 / math.sqrt(hidden_size))
        module.register_parameter(name + suffix, nn.Parameter(first))


def weights_of(module: nn.Module, suffix: str) -> Weights:
    """weight_ih, weight_hh, bias_ih, bias_hh of one step; the biases are None if it has none."""
    weight_ih, weight_hh, *biases = (
        getattr(module, name + suffix, None) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    return weight_ih, weight_hh, biases[0], biases[1]  # type: ignore[return-value]


def as_states(state: State | None, shape: tuple[int, ...], count: int, x: Tensor) -> States:
    """A given state as a tuple of ``count`` tensors of this shape; zeros if there is none."""
    if state is None:
        return (x.new_zeros(shape),) * count
    check_state(state)
    states = (state,) if isinstance(state, Tensor) else state
    if len(states) != count or isinstance(state, Tensor) != (count == 1) or any(s.shape != shape for s in states):
        wanted = f"one tensor of shape {shape}" if count == 1 else f"a pair (h, c) of tensors of shape {shape}"
        raise ValueError(f"the state must be {wanted}; got {' and '.join(str(tuple(s.shape)) for s in states)}")
    return states


def as_state(states: States) -> State:
    """A state as :mod:`torch.nn` hands it out: a tensor, or a pair of them."""
    return states if len(states) > 1 else states[0]


def check_state(state: object) -> None:
    """Refuse anything but a tensor or a tuple of tensors."""
    if not isinstance(state, Tensor) and not (isinstance(state, tuple) and state and all(isinstance(s, Tensor) for s in state)):
        raise ValueError(f"a state is a tensor or a pair (h, c) of tensors; got a {type(state).__name__}: {state!r}")


def check_input(x: object, axes: int, width: int) -> None:
    """Refuse anything but numbers with so many axes, none of them empty, the last one ``width`` wide."""
    if not isinstance(x, Tensor) or not x.is_floating_point():
        given = f"a tensor of {x.dtype}" if isinstance(x, Tensor) else f"a {type(x).__name__}"
        raise ValueError(
            f"the input must be a tensor of floating-point numbers; got {given}. Token ids need an embedding first"
        )
    if x.ndim != axes or x.shape[-1] != width or not x.numel():
        wanted = f"(B, {width})" if axes == 2 else f"(B, T, {width}) with B and T at least 1"
        raise ValueError(f"the input has shape {tuple(x.shape)}; it must be {wanted}")


def known_nonlinearity(name: object) -> str:
    """``name`` if there is such a non-linearity.

    Raises:
        ValueError: there is none.
    """
    if not isinstance(name, str) or name not in ACTIVATIONS:
        raise ValueError(f"nonlinearity={name!r} is unknown; use one of {', '.join(ACTIVATIONS)}")
    return name
