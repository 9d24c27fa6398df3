"""The vision transformer's names in Hugging Face's checkpoints, and folders with one.

Hugging Face applies the matrix on patches as a convolution whose kernel is as large as its stride. That is the same product:
kernel (C, c, P, P) and matrix (C, P · P · c) hold the same numbers in another order.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lmcore.pretrained.tables import from_huggingface, read_sizes, read_tensors, to_huggingface, write_json, write_tensors
from lmcore.vit import Vit, VitClassifier, VitConfig, patchify, unpatchify

CLS, POSITIONS, KERNEL = (
    f"vit.embeddings.{name}" for name in ("cls_token", "position_embeddings", "patch_embeddings.projection.weight")
)
EMBEDDINGS = {
    "vit.cls": CLS,
    "vit.positions.weight": POSITIONS,
    "vit.patches.weight": KERNEL,
    "vit.patches.bias": "vit.embeddings.patch_embeddings.projection.bias",
}
PARTS = {  # of a layer, each with weight and bias
    "self_attn.in_proj_": tuple(f"attention.attention.{name}." for name in ("query", "key", "value")),
    "self_attn.out_proj.": ("attention.output.dense.",),
    "norm1.": ("layernorm_before.",),
    "linear1.": ("intermediate.dense.",),
    "linear2.": ("output.dense.",),
    "norm2.": ("layernorm_after.",),
}
CONFIG = {
    "channels": "num_channels",
    "dim": "hidden_size",
    "heads": "num_attention_heads",
    "layers": "num_hidden_layers",
    "hidden": "intermediate_size",
    "dropout": "hidden_dropout_prob",
    "eps": "layer_norm_eps",
}


def vit_names(layers: int, *, classifier: bool = True) -> dict[str, tuple[str, ...]]:
    """The name table of a vision transformer: our names, and those in a file of ``transformers.ViTForImageClassification``.

    Three tensors have other axes there, which :func:`load_vit` and :func:`save_vit_classifier` see to: the vector of [CLS], the
    positions, and the matrix on patches.

    Args:
        layers: how many layers.
        classifier: of a :class:`lmcore.vit.VitClassifier`; otherwise of a :class:`lmcore.vit.Vit`, whose own names have no
            ``vit.`` in front.
    """
    table: dict[str, tuple[str, ...]] = {ours: (theirs,) for ours, theirs in EMBEDDINGS.items()}
    for kind in ("weight", "bias"):
        for n in range(layers):
            for ours, theirs in PARTS.items():
                table[f"vit.layers.{n}.{ours}{kind}"] = tuple(f"vit.encoder.layer.{n}.{name}{kind}" for name in theirs)
        table[f"vit.norm.{kind}"] = (f"vit.layernorm.{kind}",)
    if not classifier:
        return {ours.removeprefix("vit."): theirs for ours, theirs in table.items()}
    return table | {f"output.{kind}": (f"classifier.{kind}",) for kind in ("weight", "bias")}


def load_vit(folder: str | Path) -> Vit:
    """The encoder of a vision transformer from a folder in Hugging Face's format, in evaluation mode; its head is left out.

    Args:
        folder: with ``config.json`` and ``model.safetensors``.

    Raises:
        FileNotFoundError: a file is not there.
        ValueError: a file is broken, the weights do not fit, or it is a kind that :class:`lmcore.vit.Vit` is not.
    """
    config, state = _read(Path(folder))
    with torch.device("meta"):  # no time and memory for random weights that are thrown away
        model = Vit(config)
    state = {name: tensor for name, tensor in state.items() if not name.startswith("classifier.")}
    from_huggingface(model, state, vit_names(config.layers, classifier=False))
    return model.eval()


def load_vit_classifier(folder: str | Path) -> VitClassifier:
    """A whole classifier, ``transformers.ViTForImageClassification``, otherwise as :func:`load_vit`."""
    config, state = _read(Path(folder))
    if "classifier.weight" not in state:
        raise ValueError(f"{Path(folder) / 'model.safetensors'} has no classifier; load the encoder alone with load_vit")
    with torch.device("meta"):
        model = VitClassifier(config, len(state["classifier.weight"]))
    from_huggingface(model, state, vit_names(config.layers))
    return model.eval()


def save_vit_classifier(folder: str | Path, model: VitClassifier, labels: Sequence[str] | None = None) -> None:
    """Write what :func:`load_vit_classifier` and ``transformers.ViTForImageClassification.from_pretrained`` read.

    Args:
        folder: where to; it is made if it is not there.
        model: the classifier.
        labels: the names of the classes; their numbers if not given.

    Raises:
        ValueError: not a classifier, or not one label for each class.
    """
    if not isinstance(model, VitClassifier):
        raise ValueError(f"model must be a VitClassifier; got a {type(model).__name__}")
    names = [str(k) for k in range(model.output.out_features)] if labels is None else list(map(str, labels))
    if len(names) != model.output.out_features:
        raise ValueError(f"{len(names)} labels for {model.output.out_features} classes; every class needs one")
    ours = model.vit.config
    config: dict[str, Any] = {theirs: getattr(ours, name) for name, theirs in CONFIG.items()}
    config |= {"image_size": [ours.height, ours.width] if ours.height != ours.width else ours.height, "patch_size": ours.patch}
    config |= {"model_type": "vit", "architectures": ["ViTForImageClassification"], "hidden_act": "gelu", "qkv_bias": True}
    config |= {
        "id2label": {str(k): name for k, name in enumerate(names)},
        "label2id": {name: k for k, name in enumerate(names)},
    }
    config["attention_probs_dropout_prob"] = ours.dropout
    state = to_huggingface(model, vit_names(ours.layers))
    state[CLS], state[POSITIONS] = state[CLS][None, None], state[POSITIONS][None]
    state[KERNEL] = unpatchify(state[KERNEL][:, None], ours.patch, ours.patch, ours.patch)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", config)
    write_tensors(folder / "model.safetensors", state)


def _read(folder: Path) -> tuple[VitConfig, dict[str, Tensor]]:
    """The sizes and the tensors of a folder, these with our axes."""
    path = folder / "config.json"
    usual = {"model_type": "vit", "hidden_act": "gelu", "qkv_bias": True}
    named = CONFIG | {"image_size": "image_size", "patch": "patch_size"}
    sizes, given = read_sizes(path, "vision transformer", named, usual=usual)
    sides, patch = _pair(sizes.pop("image_size")), _pair(sizes.pop("patch"))
    if patch[0] != patch[1]:
        raise ValueError(f"{path} says patch_size={given['patch_size']!r}; only square patches can be read")
    config = VitConfig(image_size=sides[0] if sides[0] == sides[1] else sides, patch=patch[0], **sizes)
    return config, _our_axes(read_tensors(folder / "model.safetensors"), config)


def _our_axes(state: Mapping[str, Tensor], config: VitConfig) -> dict[str, Tensor]:
    """The tensors under the names of the table, with the axes of :class:`lmcore.vit.Vit`; those without use are left out."""
    found = {}
    for name, tensor in state.items():
        whole = name if name.startswith(("vit.", "classifier.")) else f"vit.{name}"
        if not whole.startswith(("vit.pooler.", "vit.embeddings.mask_token")):
            found[whole] = tensor
    for name, axes in ((CLS, 3), (POSITIONS, 3), (KERNEL, 4)):
        if name in found and found[name].ndim != axes:
            raise ValueError(f"{name} has shape {tuple(found[name].shape)}; a vision transformer's has {axes} axes")
    if CLS in found:
        found[CLS] = found[CLS].flatten()
    if POSITIONS in found:
        found[POSITIONS] = found[POSITIONS].flatten(0, 1)
    if KERNEL in found:
        if found[KERNEL].shape[2:] != (config.patch, config.patch):
            raise ValueError(f"{KERNEL} has shape {tuple(found[KERNEL].shape)}; config.json says patches of {config.patch}")
        found[KERNEL] = patchify(found[KERNEL], config.patch)[:, 0]
    return found


def _pair(size: object) -> tuple[Any, Any]:
    return (size[0], size[1]) if isinstance(size, list | tuple) and len(size) == 2 else (size, size)
