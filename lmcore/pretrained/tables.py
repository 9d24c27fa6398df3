"""Name tables between a checkpoint and a model, read in both directions, and the files of a model's folder."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

NameTable = Mapping[str, tuple[str, ...]]  # our name → theirs


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


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it holds something else.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}; a model's folder needs it")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no JSON: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}; it must be a JSON object")
    return content


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors in a safetensors file, on the CPU.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is broken.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}; a model's folder needs it")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} is no safetensors file: {error}") from None


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON object as Hugging Face writes it, indented by two."""
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def write_tensors(path: Path, state: Mapping[str, Tensor]) -> None:
    """Write tensors as safetensors, with the mark that Hugging Face asks for."""
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, path, metadata={"format": "pt"})


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
