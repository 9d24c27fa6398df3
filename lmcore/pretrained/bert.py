"""BERT's names in Hugging Face's checkpoints, and folders with a BERT, with or without a head, and its tokeniser."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from lmcore.bert import Bert, BertClassifier, BertConfig, BertMaskedLM, BertPretraining, BertSpans, BertTagger
from lmcore.pretrained.tables import (
    from_huggingface,
    read_json,
    read_sizes,
    read_tensors,
    to_huggingface,
    write_json,
    write_tensors,
)
from lmcore.wordpiece import BERT_SPECIAL, WordPiece

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
MAY_BE_MISSING = {"std": ("initializer_range", 0.02)}  # it says nothing about weights that are there
WORDS = {
    "mlm.dense.weight": "cls.predictions.transform.dense.weight",
    "mlm.dense.bias": "cls.predictions.transform.dense.bias",
    "mlm.norm.weight": "cls.predictions.transform.LayerNorm.weight",
    "mlm.norm.bias": "cls.predictions.transform.LayerNorm.bias",
    "mlm.bias": "cls.predictions.bias",
}
NEIGHBOURS = {"nsp.weight": "cls.seq_relationship.weight", "nsp.bias": "cls.seq_relationship.bias"}
CLASSES = {"classifier.weight": "classifier.weight", "classifier.bias": "classifier.bias"}
SPANS = {"spans.weight": "qa_outputs.weight", "spans.bias": "qa_outputs.bias"}
HEADS: dict[type, tuple[str, dict[str, str]]] = {  # our class → Hugging Face's, and the names of the head
    BertPretraining: ("BertForPreTraining", WORDS | NEIGHBOURS),
    BertMaskedLM: ("BertForMaskedLM", WORDS),
    BertClassifier: ("BertForSequenceClassification", CLASSES),
    BertTagger: ("BertForTokenClassification", CLASSES),
    BertSpans: ("BertForQuestionAnswering", SPANS),
}
WITH_POOLER = (BertPretraining, BertClassifier)

WithHead = BertPretraining | BertMaskedLM | BertClassifier | BertTagger | BertSpans
H = TypeVar("H", BertPretraining, BertMaskedLM, BertClassifier, BertTagger, BertSpans)


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


def head_names(kind: type[WithHead], layers: int, *, pooler: bool | None = None) -> dict[str, tuple[str, ...]]:
    """The name table of a BERT with a head, such as :class:`lmcore.bert.BertClassifier`.

    The decoder of the masked words is no name of its own: its matrix is that of the token embeddings.

    Args:
        kind: the class.
        layers: how many layers.
        pooler: whether the encoder has a pooler; by default where the head reads it.

    Raises:
        ValueError: there is no such head.
    """
    if kind not in HEADS:
        raise ValueError(f"kind={kind!r} is no BERT with a head; use one of {', '.join(each.__name__ for each in HEADS)}")
    encoder = bert_names(layers, pooler=kind in WITH_POOLER if pooler is None else pooler)
    table = {f"bert.{ours}": tuple(f"bert.{name}" for name in theirs) for ours, theirs in encoder.items()}
    return table | {ours: (theirs,) for ours, theirs in HEADS[kind][1].items()}


def load_bert(folder: str | Path, *, pooler: bool = True) -> tuple[Bert, WordPiece]:
    """A BERT and its tokeniser from a folder in Hugging Face's format; the model is in evaluation mode.

    Checkpoints of BERT with a head are read too: the prefix ``bert.`` and the old names ``gamma`` and ``beta`` are understood,
    and the head (``cls.…``, ``classifier.…``, ``qa_outputs.…``) is left out. :func:`load_bert_for` reads the head as well.

    Args:
        folder: with ``config.json``, ``model.safetensors`` and ``vocab.txt``.
        pooler: whether to load the layer behind :meth:`lmcore.bert.Bert.pooled`.

    Raises:
        FileNotFoundError: a file is not there.
        ValueError: a file is broken, the weights do not fit, or it is a kind of BERT that :class:`lmcore.bert.Bert` is not.
    """
    folder = Path(folder)
    config = replace(_config(folder)[0], pooler=pooler)
    with torch.device("meta"):  # no time and memory for random weights that are thrown away
        model = Bert(config)
    state = _without(_plain(read_tensors(folder / "model.safetensors")), "cls.", "classifier.", "qa_outputs.")
    state = {name.removeprefix("bert."): tensor for name, tensor in state.items()}
    from_huggingface(model, state if pooler else _without(state, "pooler."), bert_names(config.layers, pooler=pooler))
    return model.eval(), _tokenizer(folder)


def load_bert_for(folder: str | Path, kind: type[H]) -> tuple[H, WordPiece]:
    """A BERT with its head and its tokeniser from a folder in Hugging Face's format; the model is in evaluation mode.

    ============================================  ===================================
    Hugging Face's class                          ``kind``
    ============================================  ===================================
    ``BertForPreTraining``                        :class:`lmcore.bert.BertPretraining`
    ``BertForMaskedLM``, ``BertForPreTraining``   :class:`lmcore.bert.BertMaskedLM`
    ``BertForSequenceClassification``             :class:`lmcore.bert.BertClassifier`
    ``BertForTokenClassification``                :class:`lmcore.bert.BertTagger`
    ``BertForQuestionAnswering``                  :class:`lmcore.bert.BertSpans`
    ============================================  ===================================

    The number of classes is that of the weights; their names are in :func:`load_labels`. The loss beside the head is that of
    one class per text, token or span, whatever ``problem_type`` the folder was trained for.

    Args:
        folder: with ``config.json``, ``model.safetensors`` and ``vocab.txt``.
        kind: the class of the model.

    Raises:
        FileNotFoundError: a file is not there.
        ValueError: as :func:`load_bert`, ``kind`` is none of these, or the decoder of the words is not that of the embeddings.
    """
    folder = Path(folder)
    config, given = _config(folder)
    table = head_names(kind, config.layers)
    state = _untied(_plain(read_tensors(folder / "model.safetensors")))
    if kind not in WITH_POOLER:
        state = _without(state, "bert.pooler.")
    if kind is BertMaskedLM:
        state = _without(state, "cls.seq_relationship.")
    config = replace(config, pooler=kind in WITH_POOLER)
    more: dict[str, Any] = {}
    if issubclass(kind, BertClassifier | BertTagger):
        known = "classifier.weight" in state  # where it is not, from_huggingface says so
        more["classes" if kind is BertClassifier else "tags"] = len(state["classifier.weight"]) if known else 1
        more["dropout"] = given.get("classifier_dropout")
    with torch.device("meta"):
        model = kind(config, **more)
    from_huggingface(model, state, table)
    return model.eval(), _tokenizer(folder)


def load_labels(folder: str | Path) -> tuple[str, ...]:
    """The names of a folder's classes or tags, in the order of their numbers; none if it does not name them.

    Raises:
        FileNotFoundError: there is no ``config.json``.
        ValueError: it is broken.
    """
    path = Path(folder) / "config.json"
    names = read_json(path).get("id2label") or {}
    if not isinstance(names, dict) or (sorted(names, key=len) and set(names) != {str(n) for n in range(len(names))}):
        raise ValueError(f"{path} says id2label={names!r}; it must name the classes 0, 1, 2, …")
    return tuple(names[str(n)] for n in range(len(names)))


def save_bert(folder: str | Path, model: Bert | WithHead, tokenizer: WordPiece, labels: Sequence[str] = ()) -> None:
    """Write what :func:`load_bert`, :func:`load_bert_for` and Hugging Face's ``from_pretrained`` read.

    Args:
        folder: it is made if it is not there.
        model: a BERT, with or without a head.
        tokenizer: its tokeniser.
        labels: the names of a classifier's classes or a tagger's tags.

    Raises:
        ValueError: the model is something else, or there are not as many labels as classes.
    """
    table, architecture = _table(model)
    bert = model if isinstance(model, Bert) else model.bert
    named = CONFIG | {ours: theirs for ours, (theirs, _) in MAY_BE_MISSING.items()}
    config = {theirs: getattr(bert.config, ours) for ours, theirs in named.items()}
    config |= {"model_type": "bert", "architectures": [architecture], "hidden_act": "gelu"}
    config["attention_probs_dropout_prob"] = bert.config.dropout
    if isinstance(model, BertClassifier | BertTagger):
        names = tuple(labels) or tuple(f"LABEL_{n}" for n in range(model.classifier.out_features))
        if len(names) != model.classifier.out_features or len(set(names)) != len(names):
            raise ValueError(f"labels={labels!r} must be {model.classifier.out_features} different names, one for each class")
        config |= {"id2label": dict(enumerate(names)), "label2id": {name: n for n, name in enumerate(names)}}
        config["classifier_dropout"] = model.dropout.p
    elif labels:
        raise ValueError(f"labels={labels!r} are given, and a {type(model).__name__} has no classes")
    settings: dict[str, Any] = {"tokenizer_class": "BertTokenizer", "do_lower_case": tokenizer.lower}
    if whole := [token for token in tokenizer.special if token not in BERT_SPECIAL]:
        settings["extra_special_tokens"] = whole
    state = to_huggingface(model, table)
    if not isinstance(model, Bert | BertPretraining | BertClassifier):  # Hugging Face has no pooler there
        state = _without(state, "bert.pooler.")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", config)
    write_json(folder / "tokenizer_config.json", settings)
    write_tensors(folder / "model.safetensors", state)
    tokenizer.save(folder / "vocab.txt")


def _table(model: Bert | WithHead) -> tuple[dict[str, tuple[str, ...]], str]:
    """The name table of a model, and what Hugging Face calls its class."""
    if isinstance(model, Bert):
        return bert_names(model.config.layers, pooler=model.config.pooler), "BertModel"
    if type(model) not in HEADS:
        raise ValueError(f"a {type(model).__name__} cannot be saved; save a Bert or one of its heads")
    return head_names(type(model), model.bert.config.layers, pooler=model.bert.pooler is not None), HEADS[type(model)][0]


def _config(folder: Path) -> tuple[BertConfig, dict[str, Any]]:
    """The sizes that a folder's ``config.json`` names, and the whole of it."""
    usual = {"model_type": "bert", "hidden_act": "gelu", "position_embedding_type": "absolute", "tie_word_embeddings": True}
    sizes, given = read_sizes(folder / "config.json", "BERT", CONFIG, MAY_BE_MISSING, usual)
    return BertConfig(**sizes), given


def _tokenizer(folder: Path) -> WordPiece:
    path = folder / "tokenizer_config.json"
    settings = read_json(path) if path.exists() else {}
    plain = WordPiece.load(folder / "vocab.txt", lower=settings.get("do_lower_case", True))
    more = settings.get("extra_special_tokens") or settings.get("additional_special_tokens") or []
    whole = [token for token in more if token in plain.number and token not in plain.special]
    return WordPiece(plain.vocabulary, (*plain.special, *whole), plain.lower) if whole else plain


def _plain(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a checkpoint under the names of today."""
    old = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}
    found = {}
    for name, tensor in state.items():
        for before, now in old.items():
            name = name.replace(before, now)
        if name.removeprefix("bert.") != "embeddings.position_ids":  # 0, 1, 2, …: no weights
            found[name] = tensor
    return found


def _untied(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The checkpoint without second copies of what the decoder of the words shares, which older ones hold."""
    shared = {
        "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
        "cls.predictions.decoder.bias": "cls.predictions.bias",
    }
    for copy, original in shared.items():
        if copy in state and original in state and not torch.equal(state[copy], state[original]):
            raise ValueError(f"{copy} is not {original}; only a decoder whose weights are tied to the embeddings can be read")
    return {shared.get(name, name): tensor for name, tensor in state.items()}


def _without(state: Mapping[str, Tensor], *prefixes: str) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in state.items() if not name.startswith(prefixes)}
