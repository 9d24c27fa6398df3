"""Llama: GPT's class with other parts, every change alone, at equal size."""

import dataclasses

import pytest
import torch

from lmcore.blocks import LayerNorm, RMSNorm
from lmcore.generate import generate
from lmcore.gpt import GPT, GPTConfig
from lmcore.llama import CHANGES, Llama, LlamaConfig, changed, with_parameters
from tests.parity import lively, some_ids

V = 53
BASE = GPTConfig(V, max_length=31, dim=48, heads=8, layers=3)
SMALL = LlamaConfig(V, max_length=31, dim=24, heads=6, kv_heads=3, layers=2, hidden=17)


def test_llama_has_the_published_numbers_of_parameters():
    assert LlamaConfig(32_000, hidden=11_008).parameters == 6_738_415_616  # 7B (Touvron et al. 2023)
    large = LlamaConfig(32_000, dim=8192, heads=64, kv_heads=8, layers=80, hidden=28_672)
    assert large.parameters == 68_976_648_192  # Llama 2, 70B
    tiny = LlamaConfig(32_000, dim=2048, heads=32, kv_heads=4, layers=22, hidden=5632)
    assert tiny.parameters == 1_100_048_384  # TinyLlama
    smol = LlamaConfig(49_152, dim=576, heads=9, kv_heads=3, layers=30, hidden=1536, tied=True)
    assert smol.parameters == 134_515_008  # SmolLM, SmolLM2


def test_it_is_the_gpt_with_all_switches_set():
    config = dataclasses.replace(SMALL, tied=True)
    switched = GPTConfig(
        V, max_length=31, dim=24, heads=6, kv_heads=3, layers=2, hidden=17, eps=1e-6, bias=False,
        norm="rms", activation="swiglu", positions="rotary",
    )  # fmt: skip
    ours, same = lively(Llama(config)), lively(GPT(switched))
    ids = some_ids(V)
    assert ours.state_dict().keys() == same.state_dict().keys()
    assert torch.equal(ours(ids), same(ids))
    assert isinstance(ours, GPT)
    assert generate(ours, [[1, 2]], max_new=5)[0].ids == generate(ours, [[1, 2]], max_new=5, cache=False)[0].ids


def test_it_is_made_of_llamas_parts():
    model = Llama(SMALL)
    names = dict(model.named_modules())
    assert not any(isinstance(module, LayerNorm) for module in names.values())
    assert sum(isinstance(module, RMSNorm) for module in names.values()) == 2 * 2 + 1
    assert not any("bias" in name for name, _ in model.named_parameters())
    assert model.positions is None
    assert model.layers[0].linear1.weight.shape == (34, 24)
    assert model.layers[0].self_attn.in_proj_weight.shape == (24 + 2 * 12, 24)
    assert model.head is not None


def test_its_parts_cannot_be_taken_out_of_its_config():
    with pytest.raises(TypeError):
        LlamaConfig(V, norm="layer")
    with pytest.raises(ValueError, match="norm"):
        dataclasses.replace(SMALL, norm="layer")
    assert dataclasses.replace(SMALL, kv_heads=1).norm == "rms"
    assert LlamaConfig(V, dim=48, heads=4).width == 128  # two thirds of 4 · 48
    assert hash(SMALL) == hash(dataclasses.replace(SMALL))


@pytest.mark.parametrize("names", [(name,) for name in CHANGES] + [("RMSNorm", "SwiGLU"), tuple(CHANGES)])
def test_every_change_keeps_the_number_of_parameters(names):
    config = changed(BASE, *names)
    unit = dataclasses.replace(config, hidden=config.width + 1).parameters - config.parameters
    assert abs(config.parameters - BASE.parameters) <= unit / 2
    made = GPT(config)
    assert sum(parameter.numel() for parameter in made.parameters()) == config.parameters
    plain = {"norm": "layer", "activation": "gelu", "positions": "learned", "key_heads": 8, "bias": True}
    switched = {"norm": "rms", "activation": "swiglu", "positions": "rotary", "key_heads": 2, "bias": False}
    for name, (field, value) in zip(CHANGES, switched.items(), strict=True):
        assert getattr(config, field) == (value if name in names else plain[field])


def test_nothing_changes_without_a_name_and_key_heads_can_be_chosen():
    assert changed(BASE) is BASE
    assert changed(BASE, "grouped queries", kv_heads=4).kv_heads == 4
    assert changed(dataclasses.replace(BASE, heads=6), "grouped queries").kv_heads == 1
    assert changed(dataclasses.replace(BASE, dim=40, heads=10), "grouped queries").kv_heads == 2
    one = changed(BASE, "grouped queries", kv_heads=1)
    assert one.width > changed(BASE, "grouped queries", kv_heads=4).width > BASE.width


def test_with_parameters_is_exact_where_it_can_be():
    wider = dataclasses.replace(BASE, hidden=77)
    assert with_parameters(BASE, wider.parameters) == wider
    assert with_parameters(BASE, wider.parameters + 1) == wider
    for smallest in (dataclasses.replace(BASE, hidden=1), dataclasses.replace(SMALL, hidden=1)):
        assert with_parameters(smallest, smallest.parameters).width == 1
        with pytest.raises(ValueError, match="with a hidden layer of width 1 already"):
            with_parameters(smallest, smallest.parameters // 2)
