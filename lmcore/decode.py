r"""Fast generation: the numbers of a model's own ``step``, without anything that a single token does not need.

To generate one token, a processor reads every weight once. With one text at a time that, and not the arithmetic, takes the
time, and in a small model the calls around the products take more than the products. So :class:`FastDecoder` keeps

* the matrices transposed, in the order in which the product with one vector reads them,
* the keys and values of all layers in one piece of memory, with room for the words to come,
* no modules: a step is a few operations per layer, and the logits of the last position alone.

With ``int8=True`` a weight takes one byte instead of four. Row j of a matrix, the weights of output j, is divided by
:math:`s_j = \max_i |W_{ji}| / 127` and rounded, and so is every vector x that meets it, by :math:`r = \max_i |x_i| / 127`:

.. math:: (W x)_j \approx s_j\, r \sum_i \operatorname{round}(W_{ji} / s_j)\, \operatorname{round}(x_i / r) .

The sum is one of whole numbers, and exact (the vector-wise quantization of Dettmers et al. 2022). What rounding costs depends
on the model: measure it, in bits per token and in how often the most probable token is another. What it saves depends on the
processor, which must have instructions for products of bytes, and on the model: in a small one rounding the vectors takes
longer than reading fewer bytes saves. ``python -m tests.bench generate`` measures both.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from lmcore.blocks import ACTIVATIONS, LayerNorm
from lmcore.embeddings import check_ids
from lmcore.gpt import GPT
from lmcore.positions import frequencies

LEAST_ROOM = 64


@dataclass(slots=True)
class Memory:
    """Keys and values of all layers, (N, 2, B, K, S, D), with room for S words, of which ``filled`` are written."""

    numbers: Tensor
    filled: int


class Read(NamedTuple):
    """A text that was read: the first ``length`` words of a memory that several states may share."""

    memory: Memory
    length: int


class Product:
    """``x ↦ W x + b`` for every row of x, with a copy of W that is transposed once."""

    def __init__(self, weight: Float[Tensor, "O I"], bias: Float[Tensor, " O"] | None = None):
        self.weight = weight.detach().t().clone(memory_format=torch.contiguous_format)
        self.bias = None if bias is None else bias.detach().clone()

    def __call__(self, x: Float[Tensor, "R I"]) -> Float[Tensor, "R O"]:
        """The product, row by row."""
        return x @ self.weight if self.bias is None else torch.addmm(self.bias, x, self.weight)


class RoundedProduct:
    """A :class:`Product` of whole numbers: weights and vectors are rounded as :mod:`lmcore.decode` says."""

    def __init__(self, weight: Float[Tensor, "O I"], bias: Float[Tensor, " O"] | None = None):
        scale, whole = rounded(weight.detach())
        self.scale, self.weight = scale.t().contiguous(), whole.t()  # a view: the kernel reads one output's weights in a row
        self.bias = None if bias is None else bias.detach().clone()

    def __call__(self, x: Float[Tensor, "R I"]) -> Float[Tensor, "R O"]:
        """The product, row by row."""
        scale, whole = rounded(x)
        y = torch._int_mm(whole, self.weight) * scale  # 127² times the width stays far below what 32 bits hold
        return y.mul_(self.scale) if self.bias is None else torch.addcmul(self.bias, y, self.scale)


def rounded(x: Float[Tensor, "R I"]) -> tuple[Float[Tensor, "R 1"], Int[Tensor, "R I"]]:
    """For every row the largest size divided by 127, and the row divided by that, rounded to whole numbers of one byte.

    Halves are rounded to even. A row of zeros stays one.
    """
    scale = torch.linalg.vector_norm(x, math.inf, dim=1, keepdim=True) / 127
    return scale, (x / scale.clamp(min=torch.finfo(x.dtype).tiny)).round_().to(torch.int8)


class FastDecoder:
    """A :class:`lmcore.gpt.GPT` or a :class:`lmcore.llama.Llama` that generates fast, with all of :mod:`lmcore.generate`.

    It keeps copies of the weights as they are now; after more training, make it anew.

    Args:
        model: the model.
        int8: round weights and vectors to one byte; on a CPU.

    Raises:
        ValueError: the model is none of the two, or ``int8`` is asked for on another device than a CPU.
    """

    def __init__(self, model: GPT, *, int8: bool = False):
        if not isinstance(model, GPT):
            raise ValueError(f"model must be a GPT or a Llama (lmcore.gpt, lmcore.llama); got a {type(model).__name__}")
        self.config, self.device = model.config, model.embedding.weight.device
        if int8 and self.device.type != "cpu":
            raise ValueError(f"int8=True computes on a CPU, and the model is on {self.device}; move it, or use int8=False")
        product: Any = RoundedProduct if int8 else Product
        self.embedding = model.embedding.weight.detach().clone()
        self.learned = None if model.positions is None else model.positions.weight.detach().clone()
        self.layers = [_Layer(layer, product) for layer in model.layers]
        self.norm, self.output = _norm(model.norm), product(model.output_weight)
        self.turns = self.embedding.new_empty(0, 2, 1, self.config.head_width)

    def begin(self, ids: Int[Tensor, "B T"] | None = None) -> Read:
        """What is known once these tokens have been read; nothing, if there are none.

        Raises:
            ValueError: not ids that the model knows, or more than it has positions for.
        """
        nothing = Read(Memory(self.embedding.new_empty(0), 0), 0)
        if ids is None:
            return nothing
        check_ids("ids", ids, 2, self.config.vocab_size)
        return self._read(ids, nothing)[1] if ids.shape[1] else nothing

    def step(self, tokens: Int[Tensor, " B"], state: Read) -> tuple[Float[Tensor, "B V"], Read]:
        """Read one more token of every text: the logits of the next, and the new state. The old state stays what it was.

        Raises:
            ValueError: as :meth:`begin`.
        """
        check_ids("tokens", tokens, 1, self.config.vocab_size)
        x, state = self._read(tokens[:, None], state)
        with torch.no_grad():
            return self.output(self.norm(x)), state

    @torch.no_grad()
    def select(self, state: Read, rows: Int[Tensor, " N"]) -> Read:
        """The state of these texts, in this order; a text may be named several times."""
        memory, length = state
        if not length:
            return state
        chosen = self._room(len(rows), length)
        chosen[..., :length, :] = memory.numbers[..., :length, :].index_select(2, rows)
        return Read(Memory(chosen, length), length)

    @torch.no_grad()
    def _read(self, ids: Tensor, state: Read) -> tuple[Float[Tensor, "R C"], Read]:
        """What the last layer makes of these tokens, row by row, and the state after them."""
        (B, T), start = ids.shape, state.length
        end, c = start + T, self.config
        H, K, D = c.heads, c.key_heads, c.head_width
        x = F.embedding(ids, self.embedding)
        if self.learned is not None:
            if end > len(self.learned):
                raise ValueError(
                    f"positions {start} to {end - 1} were asked for, and only 0 to {len(self.learned) - 1} were learned; give "
                    "shorter texts, or make the model with a larger max_length"
                )
            x = x + self.learned[start:end]
        x = x.view(B * T, c.dim)
        memory = self._room_for(state, B, end)
        own = memory.numbers[..., start:end, :].permute(0, 2, 4, 1, 3, 5).unbind()  # per layer (B, T, 2, K, D)
        known = memory.numbers[..., :end, :].flatten(0, 1).unbind()
        turns = self._turns(start, end) if c.positions == "rotary" else None
        for i, layer in enumerate(self.layers):
            every = layer.project(layer.norm1(x)).view(B, T, H + 2 * K, D)
            if turns is not None or layer.stretch is not None:
                asking = every[:, :, : H + K]
                if layer.stretch is not None:
                    asking = torch.rms_norm(asking, (D,), None, layer.small) * layer.stretch
                every[:, :, : H + K] = asking if turns is None else turned(asking, turns)
            own[i].copy_(every[:, :, H:].unflatten(2, (2, K)))
            keys, values = known[2 * i], known[2 * i + 1]
            if T == 1:  # the queries that share a key stand below each other, and each of them sees all there is
                y = F.scaled_dot_product_attention(every[:, 0, :H].unflatten(1, (K, H // K)), keys, values).view(B, H * D)
            else:
                asking = every[:, :, :H].transpose(1, 2)
                y = F.scaled_dot_product_attention(asking, keys, values, is_causal=True, enable_gqa=H != K)
                y = y.transpose(1, 2).reshape(B * T, H * D)
            x = layer.out(y).add_(x)
            x = layer.down(layer.activate(layer.up(layer.norm2(x)))).add_(x)
        return x, Read(memory, end)

    def _room_for(self, state: Read, rows: int, end: int) -> Memory:
        """The state's memory if the next words fit behind it and nothing stands there yet, otherwise a larger copy of it."""
        memory, length = state
        if length and memory.filled == length and end <= memory.numbers.shape[4]:
            memory.filled = end
            return memory
        larger = self._room(rows, max(end, 2 * length))
        if length:
            larger[..., :length, :] = memory.numbers[..., :length, :]
        return Memory(larger, end)

    def _room(self, rows: int, words: int) -> Float[Tensor, "N 2 B K S D"]:
        c = self.config
        words = max(words, LEAST_ROOM)
        return self.embedding.new_empty(c.layers, 2, rows, c.key_heads, words, c.head_width)

    def _turns(self, start: int, end: int) -> Float[Tensor, "T 2 1 D"]:
        """For every position the cosines, and the sines with the signs of :func:`turned`; kept from call to call."""
        if end > len(self.turns):
            places = torch.arange(max(end, 2 * len(self.turns), LEAST_ROOM), dtype=torch.float64)
            angles = places[:, None] * frequencies(self.config.head_width, self.config.theta)
            both = torch.stack([torch.cat([angles.cos()] * 2, 1), torch.cat([-angles.sin(), angles.sin()], 1)], 1)
            self.turns = both[:, :, None].to(self.embedding)
        return self.turns[start:end]


def fast(model: GPT, *, int8: bool = False) -> FastDecoder:
    """A :class:`FastDecoder` of this model: ``generate(fast(model), prompts, …)`` is ``generate(model, prompts, …)``, faster.

    The numbers are equal up to the last digits of their format; with ``int8=True`` they are approximations.
    """
    return FastDecoder(model, int8=int8)


def turned(x: Float[Tensor, "B T H D"], turns: Float[Tensor, "T 2 1 D"]) -> Float[Tensor, "B T H D"]:
    """What :class:`lmcore.positions.Rotary` does to queries and keys, in the layout ``"halves"``."""
    return torch.addcmul(x * turns[:, 0], x.roll(x.shape[-1] // 2, -1), turns[:, 1])


class _Layer:
    """The parts of one layer, each to be applied to rows of numbers."""

    def __init__(self, layer: Any, product: Any):
        own = layer.self_attn
        self.norm1, self.norm2 = _norm(layer.norm1), _norm(layer.norm2)
        self.project, self.out = product(own.in_proj_weight, own.in_proj_bias), product(own.out_proj.weight, own.out_proj.bias)
        self.up, self.down = (product(part.weight, part.bias) for part in (layer.linear1, layer.linear2))
        self.activate = ACTIVATIONS[layer.activation]
        self.stretch: Tensor | None = None
        if own.q_norm is not None:
            self.small = own.q_norm.eps
            scales = [own.q_norm.weight.detach()] * own.heads + [own.k_norm.weight.detach()] * own.kv_heads
            self.stretch = torch.stack(scales)


def _norm(norm: Any) -> Any:
    """The norm as one call, with copies of its parameters."""
    weight, eps = norm.weight.detach().clone(), norm.eps
    shape = tuple(weight.shape)
    if isinstance(norm, LayerNorm):
        bias = None if norm.bias is None else norm.bias.detach().clone()
        return lambda x: torch.layer_norm(x, shape, weight, bias, eps)
    return lambda x: torch.rms_norm(x, shape, weight, eps)
