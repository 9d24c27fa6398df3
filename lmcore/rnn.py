"""Recurrent networks: one step is used again and again, and hands a state from each position of a sequence to the next.

A *stack* takes a batch of sequences through the steps of :mod:`lmcore.cells`, in one or several layers, in one or both
directions. The loop is written to be read, and is about as fast on a CPU as torch's own kernel, because all gates are one
product and the inputs' part is computed once for all positions. ``fused=True`` hands the same parameters to that kernel.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from lmcore.batches import at_least
from lmcore.cells import GRUCell as GRUCell
from lmcore.cells import (
    GRUStep,
    LSTMStep,
    RNNStep,
    State,
    States,
    Weights,
    add_weights,
    as_state,
    as_states,
    check_input,
    check_state,
    known_nonlinearity,
    weights_of,
)
from lmcore.cells import LSTMCell as LSTMCell
from lmcore.cells import RNNCell as RNNCell

S = TypeVar("S", bound=State)


class Stack(nn.Module):
    """Layers of one kind of step over whole sequences; :class:`RNN`, :class:`LSTM` and :class:`GRU` say which step.

    Layer 1 reads the inputs, and every further layer the outputs of the layer below. With ``bidirectional`` a layer has a
    second set of parameters that reads from the end to the beginning; its outputs are put beside the others.

    Args:
        input_size: C, the width of an input.
        hidden_size: H, the width of a state.
        num_layers: how many layers.
        bias: with the two bias vectors of every layer and direction.
        dropout: probability of dropping a number between two layers, in training.
        bidirectional: with a second direction.
        fused: let torch's own kernel do all steps in one call. Same parameters, same results.
    """

    gates: int
    states: int
    project: Callable[..., Tensor]
    step: Callable[..., States]
    mode: str  # the name of torch's kernel; cuDNN's name is the same in capitals

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        bias: bool = True,
        dropout: float = 0.0,
        bidirectional: bool = False,
        fused: bool = False,
    ):
        super().__init__()
        at_least(1, input_size=input_size, hidden_size=hidden_size, num_layers=num_layers)
        if not isinstance(dropout, int | float) or isinstance(dropout, bool) or not 0 <= dropout < 1:
            raise ValueError(f"dropout={dropout!r} is not allowed; use a probability from 0 up to, not including, 1")
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.dropout, self.bidirectional, self.fused = bias, float(dropout), bidirectional, fused
        self.directions = 2 if bidirectional else 1
        self.suffixes = [f"_l{n}{way}" for n in range(num_layers) for way in ("", "_reverse")[: self.directions]]
        for i, suffix in enumerate(self.suffixes):
            below = input_size if i < self.directions else hidden_size * self.directions
            add_weights(self, suffix, below, hidden_size, self.gates, bias)

    def forward(
        self, x: Float[Tensor, "B T C"], state: State | None = None, lengths: Int[Tensor, " B"] | None = None
    ) -> tuple[Float[Tensor, "B T O"], State]:
        """The last layer's state at every position, and every layer's state at the end.

        Args:
            x: the inputs.
            state: where each layer and direction begins, (layers · directions, B, H), for an LSTM a pair (h, c) of such; zero
                if not given. Layer 1 forwards comes first, then layer 1 backwards, then layer 2.
            lengths: how many inputs of each sequence are real, at least one; all of them if not given. What lies beyond has
                no influence: outputs there are 0, and the final state is that of the last real step. Reading backwards
                begins at the last real input.

        Returns:
            The outputs, O = H · directions wide, and the state, shaped as above.

        Raises:
            ValueError: a shape is wrong, or a length is not from 1 to T.
        """
        check_input(x, 3, self.input_size)
        first = as_states(state, (len(self.suffixes), x.shape[0], self.hidden_size), self.states, x)
        if lengths is not None:
            check_lengths(lengths, x)
        outputs, last = (self._kernel if self.fused else self._loop)(x, first, lengths)
        return outputs, as_state(last)

    def _loop(self, x: Tensor, first: States, lengths: Tensor | None) -> tuple[Tensor, States]:
        """Layer by layer, direction by direction. In here time is the first axis, so that a step is a piece of memory."""
        real, layer, last = None, x.transpose(0, 1), []
        if lengths is not None:
            real = (torch.arange(x.shape[1], device=x.device)[:, None] < lengths)[..., None]  # (T, B, 1)
            layer = layer.masked_fill(~real, 0)
        for i in range(0, len(self.suffixes), self.directions):
            if i:
                layer = F.dropout(layer, self.dropout, self.training)
            both = []
            for j in range(i, i + self.directions):
                weights = weights_of(self, self.suffixes[j])
                outputs, end = self._pass(layer, tuple(s[j] for s in first), weights, real, backwards=j > i)
                both.append(outputs)
                last.append(end)
            layer = both[0] if len(both) == 1 else torch.cat(both, dim=-1)
        if real is not None:
            layer = layer.masked_fill(~real, 0)
        return layer.transpose(0, 1), tuple(torch.stack(s) for s in zip(*last, strict=True))

    def _pass(
        self, x: Float[Tensor, "T B C"], state: States, weights: Weights, real: Bool[Tensor, "T B 1"] | None, backwards: bool
    ) -> tuple[Float[Tensor, "T B H"], States]:
        """One layer in one direction, step by step. Where a sequence has no input, its state stays what it was."""
        weight_ih, weight_hh, bias_ih, bias_hh = weights
        projected, weight = self.project(x, weight_ih, bias_ih, bias_hh).unbind(0), weight_hh.t()
        outputs = [x] * len(projected)
        for t in reversed(range(len(projected))) if backwards else range(len(projected)):
            after = self.step(projected[t], state, weight, bias_hh)
            state = after if real is None else tuple(torch.where(real[t], a, b) for a, b in zip(after, state, strict=True))
            outputs[t] = state[0]
        return torch.stack(outputs), state

    def _kernel(self, x: Tensor, first: States, lengths: Tensor | None) -> tuple[Tensor, States]:
        """The same by torch's kernel: oneDNN or native code on a CPU, cuDNN on a GPU."""
        weights = [w for suffix in self.suffixes for w in weights_of(self, suffix) if w is not None]
        if x.is_cuda:
            self._in_one_piece(weights, x)
        kernel: Any = getattr(torch, self.mode)
        how = self.bias, self.num_layers, self.dropout, self.training, self.bidirectional
        if lengths is None:
            outputs, *last = kernel(x, as_state(first), weights, *how, True)
            return outputs, tuple(last)
        packed = pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
        order, back = packed.sorted_indices, packed.unsorted_indices
        assert order is not None
        assert back is not None
        begin = as_state(tuple(s.index_select(1, order) for s in first))
        data, *last = kernel(packed.data, packed.batch_sizes, begin, weights, *how)
        outputs, _ = pad_packed_sequence(PackedSequence(data, *packed[1:]), batch_first=True, total_length=x.shape[1])
        return outputs, tuple(s.index_select(1, back) for s in last)

    def _in_one_piece(self, weights: list[Tensor], x: Tensor) -> None:
        """Lay the parameters side by side in memory, as cuDNN wants them; elsewhere it would copy them at every call."""
        places = {w.untyped_storage().data_ptr() for w in weights}
        if len(places) == 1 or not torch.backends.cudnn.is_acceptable(x) or not torch._use_cudnn_rnn_flatten_weight():
            return
        mode = torch.backends.cudnn.rnn.get_cudnn_mode(self.mode.upper())
        sizes = self.input_size, mode, self.hidden_size, 0, self.num_layers, True, self.bidirectional
        with torch.no_grad():
            torch._cudnn_rnn_flatten_weight(weights, 4 if self.bias else 2, *sizes)


class RNN(RNNStep, Stack):
    """Simple recurrent layers; see :class:`RNNStep`, and :class:`Stack` for the rest. As ``torch.nn.RNN(batch_first=True)``.

    Args:
        nonlinearity: σ, ``"tanh"`` or ``"relu"``.
    """

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1, *, nonlinearity: str = "tanh", **how: Any):
        super().__init__(input_size, hidden_size, num_layers, **how)
        self.nonlinearity = known_nonlinearity(nonlinearity)
        self.mode = f"rnn_{nonlinearity}"


class LSTM(LSTMStep, Stack):
    """LSTM layers; see :class:`LSTMStep`, and :class:`Stack` for the rest. As ``torch.nn.LSTM(batch_first=True)``."""

    mode = "lstm"


class GRU(GRUStep, Stack):
    """GRU layers; see :class:`GRUStep`, and :class:`Stack` for the rest. As ``torch.nn.GRU(batch_first=True)``."""

    mode = "gru"


def detach(state: S) -> S:
    """The same numbers without their history: no gradient flows from what comes after into what came before.

    Raises:
        ValueError: neither a tensor nor a tuple of tensors.
    """
    check_state(state)
    return state.detach() if isinstance(state, Tensor) else tuple(part.detach() for part in state)  # type: ignore[return-value]


def check_lengths(lengths: object, x: Tensor) -> None:
    """Refuse anything but a whole number from 1 to T for every sequence (the values are looked at on a CPU only)."""
    batch, longest = x.shape[:2]
    if not isinstance(lengths, Tensor) or lengths.dtype not in (torch.int64, torch.int32) or lengths.shape != (batch,):
        given = f"{tuple(lengths.shape)} of {lengths.dtype}" if isinstance(lengths, Tensor) else f"a {type(lengths).__name__}"
        raise ValueError(f"lengths must be a tensor of {batch} whole numbers, one for each sequence; got {given}")
    if lengths.device.type == "cpu" and not (int(lengths.min()) >= 1 and int(lengths.max()) <= longest):
        raise ValueError(f"lengths go from {int(lengths.min())} to {int(lengths.max())}; allowed are 1 to {longest}")
