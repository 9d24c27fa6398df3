"""Llama's names in Hugging Face's checkpoints, and folders with a model of the Llama family."""

from pathlib import Path
from typing import Any

import torch

from lmcore.bpe import BPE
from lmcore.llama import Llama, LlamaConfig
from lmcore.pretrained.gpt2 import begin_and_end, check_size, without_copy, write_folder
from lmcore.pretrained.tables import NameTable, Part, from_huggingface, read_sizes, read_weights, to_huggingface

PARTS = {  # of a layer, besides queries, keys and values; gates lie above the values they open and close
    "self_attn.out_proj.": ("self_attn.o_proj.",),
    "linear1.": ("mlp.gate_proj.", "mlp.up_proj."),
    "linear2.": ("mlp.down_proj.",),
}
NORMS = {"norm1.weight": "input_layernorm.weight", "norm2.weight": "post_attention_layernorm.weight"}
CONFIG = {
    "vocab_size": "vocab_size",
    "max_length": "max_position_embeddings",
    "dim": "hidden_size",
    "heads": "num_attention_heads",
    "layers": "num_hidden_layers",
    "hidden": "intermediate_size",
    "eps": "rms_norm_eps",
}
MAY_BE_MISSING = {
    "kv_heads": ("num_key_value_heads", None),
    "head_dim": ("head_dim", None),
    "dropout": ("attention_dropout", 0.0),
    "std": ("initializer_range", 0.02),
    "tied": ("tie_word_embeddings", False),
    "bias": ("attention_bias", False),
}
USUAL = {"model_type": "llama", "hidden_act": "silu", "rope_interleaved": False}
EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"


def llama_names(config: LlamaConfig) -> NameTable:
    """The name table of a Llama: our names, and those of ``transformers.LlamaForCausalLM``.

    Queries, keys and values lie one below the other in ours; with shared key heads, the last two have fewer rows.

    Args:
        config: the sizes.
    """
    rows = [config.heads * config.head_width, *[config.key_heads * config.head_width] * 2]
    queries = [(f"self_attn.{name}_proj.", n) for name, n in zip("qkv", rows, strict=True)]
    table: dict[str, tuple[str | Part, ...]] = {"embedding.weight": (EMBEDDING,), "norm.weight": ("model.norm.weight",)}
    for n in range(config.layers):
        ours, theirs = f"layers.{n}.", f"model.layers.{n}."
        for kind in ("weight", "bias") if config.bias else ("weight",):
            table[f"{ours}self_attn.in_proj_{kind}"] = tuple(Part(f"{theirs}{name}{kind}", r) for name, r in queries)
            table |= {f"{ours}{name}{kind}": tuple(f"{theirs}{part}{kind}" for part in parts) for name, parts in PARTS.items()}
        table |= {f"{ours}{name}": (f"{theirs}{norm}",) for name, norm in NORMS.items()}
    return table if config.tied else table | {"head.weight": (HEAD,)}


def load_llama(folder: str | Path) -> Llama:
    """A model of the Llama family from a folder in Hugging Face's format, in evaluation mode.

    Llama, TinyLlama, SmolLM and others that are saved as ``LlamaForCausalLM`` can be read, in one file of weights or several.
    Weights in 16 bits become 32. For the tokeniser see :func:`lmcore.pretrained.load_tokenizer`.

    Args:
        folder: with ``config.json`` and ``model.safetensors``, or ``model.safetensors.index.json`` and the files it lists.

    Raises:
        FileNotFoundError: a file is not there.
        ValueError: a file is broken, the weights do not fit, or it is a kind of Llama that :class:`lmcore.llama.Llama` is not,
            such as one with stretched rotary positions.
    """
    folder = Path(folder)
    config = _config(folder / "config.json")
    with torch.device("meta"):
        model = Llama(config)
    state = {name: tensor for name, tensor in read_weights(folder).items() if not name.endswith("rotary_emb.inv_freq")}
    if config.tied:
        state = without_copy(state, HEAD, EMBEDDING)
    from_huggingface(model, state, llama_names(config))
    return model.eval()


def save_llama(folder: str | Path, model: Llama, tokenizer: BPE | None = None) -> None:
    """Write what :func:`load_llama` and Hugging Face's ``LlamaForCausalLM.from_pretrained`` read.

    Args:
        folder: it is made if it is not there.
        model: a Llama that does not normalise queries and keys.
        tokenizer: its tokeniser; its files are left out if it is not given.

    Raises:
        ValueError: the model is something else, or the tokeniser has more tokens than it.
    """
    if not isinstance(model, Llama):
        raise ValueError(f"model must be a Llama; got a {type(model).__name__}")
    ours = model.config
    if ours.qk_norm:
        raise ValueError("the model has qk_norm=True; Hugging Face's Llama does not normalise queries and keys")
    check_size(model, tokenizer)
    config: dict[str, Any] = {theirs: getattr(ours, name) for name, theirs in CONFIG.items()}
    config |= {theirs: getattr(ours, name) for name, (theirs, _) in MAY_BE_MISSING.items()}
    config |= {"intermediate_size": ours.width, "num_key_value_heads": ours.key_heads, "head_dim": ours.head_width}
    config |= {"mlp_bias": ours.bias, "hidden_act": "silu", "model_type": "llama", "architectures": ["LlamaForCausalLM"]}
    config |= {"rope_theta": ours.theta, "rope_parameters": {"rope_type": "default", "rope_theta": ours.theta}}
    write_folder(folder, config | begin_and_end(tokenizer), to_huggingface(model, llama_names(ours)), tokenizer)


def _config(path: Path) -> LlamaConfig:
    """The sizes that a ``config.json`` names."""
    sizes, given = read_sizes(path, "Llama", CONFIG, MAY_BE_MISSING, USUAL)
    if given.get("mlp_bias", False) != given.get("attention_bias", False):
        raise ValueError(f"{path} has biases in attention or MLP alone; only models with both or none can be read")
    return LlamaConfig(**sizes, theta=_theta(given, path))


def _theta(given: dict[str, Any], path: Path) -> float:
    """The base of the angles, which older and newer files keep in different places."""
    rope = given.get("rope_parameters") or given.get("rope_scaling") or {}
    kind = rope.get("rope_type", rope.get("type", "default")) if isinstance(rope, dict) else rope
    if kind != "default":
        raise ValueError(f"{path} has rotary positions of type {kind!r}; only 'default', which are not stretched, can be read")
    return rope.get("rope_theta", given.get("rope_theta", 10_000.0))
