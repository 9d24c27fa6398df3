"""The bank of chapter 12 asks for what the package computes: references beside ``lmcore``, operations counted by torch."""

from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import exercises
from lmcore.attention import Cache, MultiHeadAttention
from lmcore.check.diagnose import examine

B, T, C, H = 3, 5, 12, 4


def module() -> MultiHeadAttention:
    torch.manual_seed(3)
    return MultiHeadAttention(C, H, bias=False).double()


def packaged(x, W_Q, W_K, W_V, W_O, keys, values):
    """The same by the package, with the matrices put into its module."""
    layer = MultiHeadAttention(x.shape[1], keys.shape[1], bias=False).to(x.dtype)
    cache = Cache()
    with torch.no_grad():
        layer.in_proj_weight.copy_(torch.cat([W_Q, W_K, W_V], dim=1).T)
        layer.out_proj.weight.copy_(W_O.T)
        cache.append(keys, values)
        y, _ = layer(x[:, None], cache=cache)
    return y[:, 0], cache.keys.contiguous(), cache.values.contiguous()


def test_cached_steps_are_the_masked_self_attention_of_the_package():
    layer, step = module(), exercises.get("cached_step").reference
    x = torch.randn(B, T, C, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    matrices = [*layer.in_proj_weight.detach().T.split(C, dim=1), layer.out_proj.weight.detach().T]
    keys = values = torch.zeros(B, H, 0, C // H, dtype=torch.float64)
    outputs = []
    for t in range(T):
        y, keys, values = step(x[:, t], *matrices, keys, values)
        outputs.append(y)
    cache = Cache()
    whole, _ = layer(x, causal=True, cache=cache)
    torch.testing.assert_close(torch.stack(outputs, 1), whole.detach())
    torch.testing.assert_close((keys, values), (cache.keys.detach(), cache.values.detach()))


def test_the_package_is_no_answer():
    question = exercises.get("cached_step").question(seed=1)
    assert examine(replace(question, ready=()), packaged).passed
    result = examine(question, packaged)
    assert not any(passed for _, _, passed in result.cases)
    assert "ReadyMadeError" in str(result)


@torch.no_grad()
@pytest.mark.parametrize("cache", [True, False])
@pytest.mark.parametrize(("prompt", "new"), [(1, 4), (5, 1), (7, 6)])
def test_the_cost_is_what_torch_counts_and_what_the_cache_holds(prompt, new, cache):
    layer, text, kept, most = module().float(), torch.randn(1, prompt + new, C), Cache(), 0
    with FlopCounterMode(display=False) as counted:
        for step in range(new):
            end = prompt + step
            if cache:
                _, weights = layer(text[:, kept.length : end], causal=True, cache=kept, weights=True)
            else:
                _, weights = layer(text[:, :end], causal=True, weights=True)
            most = max(most, weights.numel())
    held = kept.keys.numel() + kept.values.numel() if cache else 0
    cost = exercises.get("attention_cost").reference(prompt, new, C, H, cache)
    assert cost == (counted.get_total_flops(), most, held)
