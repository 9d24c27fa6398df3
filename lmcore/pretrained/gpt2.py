"""GPT-2's names in Hugging Face's checkpoints, and folders with a GPT-2 and its tokeniser.

Hugging Face kept the layers of the released code: ``Conv1D`` computes x W + b with W (in, out), where torch.nn.Linear has
(out, in). The name table says so, and the models know nothing of it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lmcore import END, START
from lmcore.bpe import BPE, END_OF_TEXT
from lmcore.gpt import GPT, GPTConfig
from lmcore.pretrained.tables import (
    NameTable,
    Part,
    from_huggingface,
    read_sizes,
    read_weights,
    to_huggingface,
    write_json,
    write_tensors,
)

PARTS = {  # of a layer; those of norms are vectors, the others Conv1D's
    "norm1.": "ln_1.",
    "self_attn.in_proj_": "attn.c_attn.",
    "self_attn.out_proj.": "attn.c_proj.",
    "norm2.": "ln_2.",
    "linear1.": "mlp.c_fc.",
    "linear2.": "mlp.c_proj.",
}
CONFIG = {
    "vocab_size": "vocab_size",
    "max_length": "n_positions",
    "dim": "n_embd",
    "heads": "n_head",
    "layers": "n_layer",
    "eps": "layer_norm_epsilon",
}
MAY_BE_MISSING = {  # of a model that is not trained on
    "hidden": ("n_inner", None),
    "dropout": ("resid_pdrop", 0.1),
    "std": ("initializer_range", 0.02),
    "tied": ("tie_word_embeddings", True),
}
ACTIVATIONS = {"gelu_tanh": "gelu_new", "gelu": "gelu", "relu": "relu", "silu": "silu"}
SAME_ACTIVATION = {"gelu_pytorch_tanh": "gelu_tanh", "swish": "silu"} | {theirs: ours for ours, theirs in ACTIVATIONS.items()}
USUAL = {  # what a GPT-2 could be, and lmcore.gpt.GPT is not
    "model_type": "gpt2",
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "add_cross_attention": False,
}


def gpt2_names(layers: int, *, tied: bool = True) -> NameTable:
    """The name table of a GPT-2: our names, and those of ``transformers.GPT2LMHeadModel``.

    Args:
        layers: how many.
        tied: the output matrix is that of the embeddings and has no name of its own.
    """
    table: dict[str, tuple[str | Part, ...]] = {
        "embedding.weight": ("transformer.wte.weight",),
        "positions.weight": ("transformer.wpe.weight",),
    }
    for n in range(layers):
        for ours, theirs in PARTS.items():
            for kind in ("weight", "bias"):
                matrix = kind == "weight" and not ours.startswith("norm")
                table[f"layers.{n}.{ours}{kind}"] = (Part(f"transformer.h.{n}.{theirs}{kind}", transposed=matrix),)
    table |= {f"norm.{kind}": (f"transformer.ln_f.{kind}",) for kind in ("weight", "bias")}
    return table if tied else table | {"head.weight": ("lm_head.weight",)}


def load_gpt2(folder: str | Path) -> tuple[GPT, BPE]:
    """A GPT-2 and its tokeniser from a folder in Hugging Face's format; the model is in evaluation mode.

    Older checkpoints without the prefix ``transformer.`` are read, and the tables of the causal mask in them are left out.

    Args:
        folder: with ``config.json``, ``model.safetensors``, ``vocab.json`` and ``merges.txt``.

    Raises:
        FileNotFoundError: a file is not there.
        ValueError: a file is broken, the weights do not fit, or it is a kind of GPT-2 that :class:`lmcore.gpt.GPT` is not.
    """
    folder = Path(folder)
    config = _config(folder / "config.json")
    with torch.device("meta"):  # no time and memory for random weights that are thrown away
        model = GPT(config)
    state = _plain(read_weights(folder), config.tied)
    from_huggingface(model, state, gpt2_names(config.layers, tied=config.tied))
    return model.eval(), BPE.load(folder)


def save_gpt2(folder: str | Path, model: GPT, tokenizer: BPE | None = None) -> None:
    """Write what :func:`load_gpt2` and Hugging Face's ``GPT2LMHeadModel.from_pretrained`` read.

    Args:
        folder: it is made if it is not there.
        model: a GPT with the choices of GPT-2: LayerNorm, learned positions, biases, heads that share no keys.
        tokenizer: its tokeniser; its files are left out if it is not given.

    Raises:
        ValueError: the model is something else, or has a choice that GPT-2 has not; or the tokeniser has more tokens than it.
    """
    if not isinstance(model, GPT):
        raise ValueError(f"model must be a GPT; got a {type(model).__name__}")
    ours = model.config
    strange = {"norm": "layer", "positions": "learned", "bias": True, "qk_norm": False} | {
        "key_heads": ours.heads,
        "head_width": ours.dim // ours.heads,
    }
    for name, value in strange.items():
        if getattr(ours, name) != value:
            raise ValueError(f"the model has {name}={getattr(ours, name)!r}; a GPT-2 has {value!r}, this is another kind")
    if ours.activation not in ACTIVATIONS:
        raise ValueError(f"the model has activation={ours.activation!r}; a GPT-2 has one of {', '.join(ACTIVATIONS)}")
    check_size(model, tokenizer)
    config: dict[str, Any] = {theirs: getattr(ours, name) for name, theirs in CONFIG.items()}
    config |= {theirs: getattr(ours, name) for name, (theirs, _) in MAY_BE_MISSING.items()}
    config |= {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "activation_function": ACTIVATIONS[ours.activation]}
    config |= {"attn_pdrop": ours.dropout, "embd_pdrop": ours.dropout} | begin_and_end(tokenizer)
    write_folder(folder, config, to_huggingface(model, gpt2_names(ours.layers, tied=ours.tied)), tokenizer)


def write_folder(folder: str | Path, config: Mapping[str, Any], state: Mapping[str, Tensor], tokenizer: BPE | None) -> None:
    """A model's files, and those of its tokeniser if it is given."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", config)
    write_tensors(folder / "model.safetensors", state)
    if tokenizer is not None:
        tokenizer.save(folder)
        write_json(folder / "tokenizer_config.json", {"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": False})


def begin_and_end(tokenizer: BPE | None) -> dict[str, int | None]:
    """The numbers of the tokens that begin and end a text, for ``config.json``: GPT-2's, or this book's, or none."""
    known = {} if tokenizer is None else tokenizer.number
    both = known.get(END_OF_TEXT)
    return {"bos_token_id": known.get(START, both), "eos_token_id": known.get(END, both)}


def check_size(model: GPT, tokenizer: BPE | None) -> None:
    """Refuse a tokeniser with more tokens than the model has."""
    if tokenizer is not None and len(tokenizer) > model.config.vocab_size:
        raise ValueError(
            f"the tokeniser has {len(tokenizer)} tokens, the model {model.config.vocab_size}; take the model's own"
        )


def _config(path: Path) -> GPTConfig:
    """The sizes that a ``config.json`` names."""
    sizes, given = read_sizes(path, "GPT-2", CONFIG, MAY_BE_MISSING, USUAL)
    activation = given.get("activation_function", "gelu_new")
    if activation not in SAME_ACTIVATION:
        raise ValueError(f"{path} says activation_function={activation!r}; use one of {', '.join(SAME_ACTIVATION)}")
    return GPTConfig(**sizes, activation=SAME_ACTIVATION[activation])


def _plain(state: Mapping[str, Tensor], tied: bool) -> dict[str, Tensor]:
    """The weights of a checkpoint under the names of today."""
    found = {}
    for name, tensor in state.items():
        whole = name if name.startswith(("transformer.", "lm_head.")) else f"transformer.{name}"
        if not whole.endswith((".attn.bias", ".attn.masked_bias")):  # 1s and 0s: who may look at whom
            found[whole] = tensor
    return without_copy(found, "lm_head.weight", "transformer.wte.weight") if tied else found


def without_copy(state: dict[str, Tensor], copy: str, original: str) -> dict[str, Tensor]:
    """The checkpoint without a second copy of what is tied.

    Raises:
        ValueError: it is no copy.
    """
    if copy in state and original in state and not torch.equal(state[copy], state[original]):
        raise ValueError(
            f"config.json says that {copy} is tied to {original}, and the two differ; say tie_word_embeddings=false"
        )
    return {name: tensor for name, tensor in state.items() if name != copy}
