"""The Python side of the cache sizes: its bytes are those that the caches of real models take."""

from typing import Any

import pytest
import torch

from lmcore.gpt import GPT, GPTConfig
from lmcore.widgets import CacheModel, CacheSizes, cache_bytes
from lmcore.widgets.cache_sizes import MOST, NUMBERS, PUBLISHED, shared

MINE = CacheModel("mine", 3, 6, 2, 5, 48, "this test")


def real_bytes(config: GPTConfig, length: int, batch: int, dtype: torch.dtype) -> int:
    """What the caches of a model hold, after it has read that many tokens of that many texts."""
    model = GPT(config).to(dtype)
    caches = model.begin(torch.zeros(batch, length, dtype=torch.long))
    return sum(tensor.element_size() * tensor.numel() for cache in caches for tensor in (cache.keys, cache.values))


@pytest.mark.parametrize(("heads", "kv_heads", "head_dim"), [(6, 6, 4), (6, 2, 4), (6, 1, 10), (1, 1, 6)])
def test_bytes_are_those_that_a_real_cache_holds(heads: int, kv_heads: int, head_dim: int) -> None:
    sizes = {"dim": 12, "heads": heads, "kv_heads": kv_heads, "head_dim": head_dim, "hidden": 5}
    for layers, length, batch in ((1, 7, 1), (3, 11, 2)):
        config = GPTConfig(13, max_length=17, layers=layers, **sizes)
        for number in ("float32", "float16"):
            found = real_bytes(config, length, batch, getattr(torch, number))
            assert cache_bytes(layers, kv_heads, head_dim, length, batch, number) == found


def test_published_models_have_the_published_sizes() -> None:
    per_token = {model.name: cache_bytes(model.layers, model.kv_heads, model.head_dim, 1) for model in PUBLISHED}
    assert per_token == {
        "GPT-2 small": 2 * 12 * 768 * 2,
        "Llama 2 7B": 524_288,
        "Llama 2 70B": 2 * 80 * 1024 * 2,
        "Llama 3 8B": 131_072,
        "Gemma 2B": 18_432,
    }
    kinds = {model.name: shared(model.heads, model.kv_heads) for model in PUBLISHED}
    assert kinds == {"GPT-2 small": 1, "Llama 2 7B": 1, "Llama 2 70B": 8, "Llama 3 8B": 4, "Gemma 2B": 8}


def test_own_models_come_first() -> None:
    widget = CacheSizes([MINE], length=32, batch=7)
    assert [model["name"] for model in widget.models] == ["mine", *(model.name for model in PUBLISHED)]
    assert (widget.layers, widget.heads, widget.kv_heads, widget.head_dim) == (3, 6, 2, 5)
    assert widget.bytes() == 2 * 3 * 2 * 5 * 32 * 7 * 2
    assert widget.bytes(6) == 3 * widget.bytes()
    assert CacheSizes().models[CacheSizes().chosen]["name"] == "Llama 2 70B"
    assert CacheSizes([MINE], chosen=1).heads == 12


def test_sentence_for_those_who_cannot_see_it() -> None:
    text = CacheSizes([MINE], length=100_000, batch=1000, number="int8").alt
    for part in ("mine has 6 heads of queries in each of 3 layers, 3 for every head", "1000 texts of 100000 tokens in int8"):
        assert part in text
    assert "takes 6 GB" in text
    assert "it would take 18 GB, with one 3 GB." in text
    assert "For 1 text of 4096 tokens" in CacheSizes().alt


def test_choices_travel_both_ways() -> None:
    widget = CacheSizes()
    widget.set_state({"heads": 12, "kv_heads": 4, "layers": 5, "number": "float32", "memory": 24, "chosen": 0, "length": 3})
    assert widget.bytes() == 2 * 5 * 4 * 128 * 3 * 4
    for name, value in {
        "kv_heads": 5,
        "heads": 6,
        "layers": 0,
        "number": "int4",
        "memory": 0,
        "chosen": 5,
        "batch": 1025,
    }.items():
        before = getattr(widget, name)
        with pytest.raises(ValueError, match=r"allowed|divisor"):
            setattr(widget, name, value)
        assert getattr(widget, name) == before


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"models": "Llama"}, "'Llama'; it must be a list of CacheModel"),
        ({"models": [{"name": "x"}]}, "must be a list of CacheModel"),
        ({"kv_heads": 7}, "kv_heads=7 does not divide heads=64"),
        ({"kv_heads": 65}, "kv_heads is 65; allowed: 1 to 64"),
        ({"length": 0}, f"length is 0; allowed: 1 to {MOST['length']}"),
        ({"chosen": 9}, "chosen is 9; allowed: 0 to 4"),
        ({"number": "bfloat16"}, "'bfloat16'; allowed: 'float32', 'float16', 'int8'"),
        ({"memory": 1001}, "memory is 1001; allowed: 1 to 1000"),
    ],
)
def test_refuses(unchecked: None, change: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        CacheSizes(**change)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"layers": 0}, "layers=0 must be a whole number from 1 on"),
        ({"kv_heads": 1.0}, "kv_heads=1.0"),
        ({"batch": True}, "batch=True"),
        ({"number": "int4"}, "number is 'int4'"),
    ],
)
def test_bytes_refuse(unchecked: None, change: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        cache_bytes(**{"layers": 2, "kv_heads": 3, "head_dim": 5, "length": 7, **change})


@pytest.mark.parametrize("change", [{"layers": 0}, {"kv_heads": 4}, {"kv_heads": 0}, {"head_dim": 2000}, {"context": 0}])
def test_a_model_that_cannot_be_is_refused(change: dict[str, int]) -> None:
    sizes = {"layers": 3, "heads": 6, "kv_heads": 2, "head_dim": 5, "context": 48, **change}
    with pytest.raises(ValueError, match=r"allowed|divisor"):
        CacheModel("mine", **sizes, source="this test")
    assert set(NUMBERS.values()) == {1, 2, 4}
