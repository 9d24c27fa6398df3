"""BERT's names in Hugging Face's checkpoints, and folders with a BERT and its tokeniser."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from lmcore.bert import Bert, BertConfig
from lmcore.pretrained.tables import from_huggingface, read_json, read_tensors, to_huggingface, write_json, write_tensors
from lmcore.wordpiece import WordPiece

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
    given = read_json(folder / "config.json")
    for name, usual in (("model_type", "bert"), ("hidden_act", "gelu"), ("position_embedding_type", "absolute")):
        if given.get(name, usual) != usual:
            raise ValueError(f"{folder / 'config.json'} says {name}={given[name]!r}; only {usual!r} can be read")
    if missing := [theirs for theirs in CONFIG.values() if theirs not in given]:
        raise ValueError(f"{folder / 'config.json'} lacks {', '.join(missing)}; it is no configuration of a BERT")
    config = BertConfig(**{ours: given[theirs] for ours, theirs in CONFIG.items()}, pooler=pooler)
    with torch.device("meta"):  # no time and memory for random weights that are thrown away
        model = Bert(config)
    from_huggingface(
        model, _bert_only(read_tensors(folder / "model.safetensors"), pooler), bert_names(config.layers, pooler=pooler)
    )
    settings = folder / "tokenizer_config.json"
    lower = read_json(settings).get("do_lower_case", True) if settings.exists() else True
    return model.eval(), WordPiece.load(folder / "vocab.txt", lower=lower)


def save_bert(folder: str | Path, model: Bert, tokenizer: WordPiece) -> None:
    """Write what :func:`load_bert` and ``transformers.BertModel.from_pretrained`` read."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    config = {theirs: getattr(model.config, ours) for ours, theirs in CONFIG.items()}
    config |= {"model_type": "bert", "architectures": ["BertModel"], "hidden_act": "gelu"}
    config["attention_probs_dropout_prob"] = model.config.dropout
    write_json(folder / "config.json", config)
    settings = {"tokenizer_class": "BertTokenizer", "do_lower_case": tokenizer.lower}
    write_json(folder / "tokenizer_config.json", settings)
    table = bert_names(model.config.layers, pooler=model.config.pooler)
    write_tensors(folder / "model.safetensors", to_huggingface(model, table))
    tokenizer.save(folder / "vocab.txt")


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
