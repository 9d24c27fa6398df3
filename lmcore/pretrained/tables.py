"""Name tables between a checkpoint and a model, read in both directions, and the files of a model's folder."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn


@dataclass(frozen=True)
class Part:
    """One of their tensors as a part of ours, where the name alone does not say how it lies in it.

    Attributes:
        name: theirs.
        rows: how many rows of ours it fills; without, all parts of a tensor fill as many.
        transposed: theirs is (in, out), as the matrices of GPT-2's ``Conv1D`` are, and ours (out, in).
    """

    name: str
    rows: int | None = None
    transposed: bool = False


NameTable = Mapping[str, tuple[str | Part, ...]]  # our name → theirs


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
    known = {_part(theirs).name for names in table.values() for theirs in names}
    _same_names("the checkpoint", set(state), known)
    ours = model.state_dict()
    _same_names("the name table", set(table), set(ours))
    new, wrong = {}, []
    for name, theirs in table.items():
        parts = []
        for part, rows in zip(map(_part, theirs), _rows(theirs, len(ours[name])), strict=True):
            tensor, expected = state[part.name], (rows, *ours[name].shape[1:])
            expected = expected[::-1] if part.transposed else expected
            if tuple(tensor.shape) != expected:
                wrong.append(f"{part.name} is {tuple(tensor.shape)}, the model needs {expected}")
            parts.append(tensor.T if part.transposed else tensor)
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
    found = {}
    for name, theirs in table.items():
        for part, tensor in zip(map(_part, theirs), ours[name].split(_rows(theirs, len(ours[name]))), strict=True):
            found[part.name] = (tensor.T if part.transposed else tensor).clone()
    return found


def _part(theirs: str | Part) -> Part:
    return Part(theirs) if isinstance(theirs, str) else theirs


def _rows(theirs: Sequence[str | Part], rows: int) -> list[int]:
    """How many of a tensor's rows each of its parts fills."""
    return [rows // len(theirs) if part.rows is None else part.rows for part in map(_part, theirs)]


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


def read_sizes(
    path: Path,
    kind: str,
    names: Mapping[str, str],
    may_be_missing: Mapping[str, tuple[str, Any]] | None = None,
    usual: Mapping[str, Any] | None = None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a ``config.json`` says under our names, and the whole of it.

    Args:
        path: the file.
        kind: what it is to be the configuration of, for the message.
        names: our name → theirs.
        may_be_missing: our name → theirs, and what it is where the file does not say it.
        usual: their name → the one value that can be read.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it lacks a name, or has another value.
    """
    given = read_json(path)
    for name, value in (usual or {}).items():
        if given.get(name, value) != value:
            raise ValueError(f"{path} says {name}={given[name]!r}; only {value!r} can be read")
    if missing := [theirs for theirs in names.values() if theirs not in given]:
        raise ValueError(f"{path} lacks {', '.join(missing)}; it is no configuration of a {kind}")
    sizes = {ours: given[theirs] for ours, theirs in names.items()}
    return sizes | {ours: given.get(theirs, usually) for ours, (theirs, usually) in (may_be_missing or {}).items()}, given


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


def read_weights(folder: Path) -> dict[str, Tensor]:
    """All tensors of a folder: of ``model.safetensors``, or of the files that ``model.safetensors.index.json`` lists.

    Raises:
        FileNotFoundError: a file is not there.
        ValueError: a file is broken.
    """
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return read_tensors(folder / "model.safetensors")
    where = read_json(index).get("weight_map")
    if not isinstance(where, dict) or not all(isinstance(name, str) for name in where.values()):
        raise ValueError(f"{index} has no weight_map from names to files; take the one that came with the files")
    return {name: tensor for file in sorted(set(where.values())) for name, tensor in read_tensors(folder / file).items()}


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
