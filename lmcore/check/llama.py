"""A student's part of Llama in a small model of that family, whose weights come through a checkpoint of Hugging Face's names.

See :mod:`lmcore.check.swap`. The gradients are given under the names of ``transformers.LlamaForCausalLM``.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from lmcore.attention import causal_mask, scaled_dot_product
from lmcore.blocks import RMSNorm
from lmcore.check.swap import VOCABULARY, Swap, ids_like, in_a_model, replace_forward, with_checkpoint
from lmcore.llama import Llama, LlamaConfig
from lmcore.pretrained import llama_names


def _llama(given: dict[str, Tensor], like: Tensor, **sizes: Any) -> Llama:
    """A Llama with some weights given, under their names."""
    config = LlamaConfig(VOCABULARY, max_length=64, **sizes)
    return with_checkpoint(Llama(config), llama_names(config), given, like)


def norms(x: Tensor, weight: Tensor, eps: float) -> Swap | None:
    """A Llama of one layer, all of whose three norms are ``function(x, weight, eps)``."""
    if x.ndim != 3 or len(x) == 1:
        return None
    given = {"model.layers.0.input_layernorm.weight": weight}
    model = _llama(given, x, dim=len(weight), heads=1, head_dim=2, layers=1, hidden=5, eps=eps)
    ids = ids_like(x)

    def put(function: Callable) -> None:
        for part in model.modules():
            if isinstance(part, RMSNorm):
                replace_forward(part, lambda x, part=part: function(x.clone(), part.weight, part.eps))

    return Swap(model, lambda: model(ids), put, x.shape, llama_names(model.config))


def networks(x: Tensor, W_gate: Tensor, W_up: Tensor, W_down: Tensor) -> Swap | None:
    """A Llama of one layer, whose network is ``function(x, W_gate, W_up, W_down)``."""
    if x.ndim != 3 or len(x) == 1:
        return None
    matrices = {"gate_proj": W_gate, "up_proj": W_up, "down_proj": W_down}
    given = {f"model.layers.0.mlp.{name}.weight": matrix for name, matrix in matrices.items()}
    hidden, width = W_gate.shape
    model = _llama(given, x, dim=width, heads=1, head_dim=2, layers=1, hidden=hidden)
    ids = ids_like(x)

    def put(function: Callable) -> None:
        layer: Any = model.layers[0]
        layer.feed_forward = lambda x: function(x.clone(), *layer.linear1.weight.chunk(2), layer.linear2.weight)

    return Swap(model, lambda: model(ids), put, x.shape, llama_names(model.config))


def shared_heads(x: Tensor, heads: int) -> Swap | None:
    """A Llama of one layer with as many key heads as x, [B G S D]: keys and values go through ``function(x, heads)``."""
    texts, groups, length, width = x.shape
    if texts == 1 or width % 2 or heads % groups:
        return None
    model = _llama({}, x, dim=heads, heads=heads, kv_heads=groups, head_dim=width, layers=1, hidden=7)
    ids = ids_like(x[:, 0])

    def put(function: Callable) -> None:
        def attend(q: Tensor, k: Tensor, v: Tensor, *how: Any) -> tuple[Tensor, Tensor]:
            keys, values = function(k.clone(), heads), function(v.clone(), heads)
            return scaled_dot_product(q, keys, values, causal_mask(length, length, x.device))

        layer: Any = model.layers[0]
        layer.self_attn._in_plain_steps = attend

    def run() -> Tensor:
        return model.output(model.norm(model.look(ids, weights=True).states[-1]))

    return Swap(model, run, put, torch.Size((texts, heads, length, width)), llama_names(model.config))


def pooled(weight: Tensor, heads: int, groups: int) -> Swap | None:
    """A Llama of one layer and as many key heads as query heads, which uses ``function(matrix, heads, groups)`` of the matrices
    that make keys and values."""
    rows, dim = weight.shape
    width = rows // heads
    if dim < 4 or width % 2 or heads % groups:
        return None
    given = {"model.layers.0.self_attn.k_proj.weight": weight}
    model = _llama(given, weight, dim=dim, heads=heads, head_dim=width, layers=1, hidden=7)
    ids = torch.arange(6, device=weight.device).view(2, 3)

    def put(function: Callable) -> None:
        layer: Any = model.layers[0]

        def project(x: Tensor) -> tuple[Tensor, ...]:
            queries, *shared = layer.self_attn.in_proj_weight.chunk(3)
            matrices = queries, *(function(matrix.clone(), heads, groups) for matrix in shared)
            return tuple(F.linear(x, matrix).unflatten(-1, (-1, width)).transpose(1, 2) for matrix in matrices)

        layer.self_attn._project_self = project

    return Swap(model, lambda: model(ids), put, torch.Size((groups * width, dim)), llama_names(model.config))


in_norms = in_a_model(norms)
in_networks = in_a_model(networks)
in_shared_heads = in_a_model(shared_heads)
in_pooled = in_a_model(pooled)
