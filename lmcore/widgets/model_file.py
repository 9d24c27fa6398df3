"""A model as one run of bytes: what a figure that computes in the page hands to it.

The format is that of safetensors, which any tool reads: the length of a header, the header in JSON with the name, shape and
place of every tensor, then the numbers. They travel in half precision (float16), two bytes each, so the page computes with
rounded weights: :func:`rounded` makes the torch model that has the same ones. What the page needs besides, the sizes and which
tensors are one and the same, stands in the header's metadata. ``engine.mjs`` reads it.
"""

import copy
import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from lmcore import device

Module = TypeVar("Module", bound=nn.Module)
MOST, MOST_AT_FULL = 4_000_000, 16_000_000  # bytes of a model in a page, and where scale ``full`` trains larger ones
ENTRY = "lmcore"  # our one entry of the header's metadata; several would come in no fixed order


def pack(model: nn.Module, config: Mapping[str, Any] | None = None, *, without: Sequence[str] = ()) -> bytes:
    """The model's parameters and buffers in half precision, and its sizes. The same model gives the same bytes.

    A tensor that the model has under two names, such as embeddings tied to the output layer, is stored once.

    Args:
        model: the model, on any device.
        config: what the page must know of it besides; by default the fields of ``model.config``, a dataclass.
        without: tensors whose names start so are left out.

    Raises:
        ValueError: the model has no sizes to tell, nothing is left to pack, or a number has no place in half precision.
    """
    if not isinstance(model, nn.Module):
        raise ValueError(f"model must be a torch module; got a {type(model).__name__}")
    if config is None:
        found = getattr(model, "config", None)
        if not dataclasses.is_dataclass(found) or isinstance(found, type):
            raise ValueError(
                f"{type(model).__name__} has no config that is a dataclass; give its sizes as config={{name: number}}"
            )
        config = dataclasses.asdict(found)
    kept: dict[str, Tensor] = {}
    tied: dict[str, str] = {}
    place: dict[Any, str] = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        if name.startswith(tuple(without)):
            continue
        first = place.setdefault(_place(tensor), name)
        if first != name:
            tied[name] = first
        else:
            kept[name] = _half(name, tensor)
    if not kept:
        raise ValueError(
            f"no tensor of {type(model).__name__} is left to pack; without={list(without)!r} leaves all of them out"
        )
    return safetensors.torch.save(kept, {ENTRY: json.dumps({"config": dict(config), "tied": tied}, sort_keys=True)})


def fitting(data: bytes) -> bytes:
    """The bytes of a packed model, if a page can carry them: 4 MB, or 16 MB at scale ``full``.

    Raises:
        ValueError: they are more.
    """
    most = device.by_scale(smoke=MOST, small=MOST, full=MOST_AT_FULL)
    if len(data) > most:
        raise ValueError(
            f"the model's file takes {len(data):,} bytes; a page carries at most {most:,} for one model. Make it narrower, "
            "give it fewer layers or a smaller vocabulary"
        )
    return data


def unpack(data: bytes) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What :func:`pack` packed: the tensors by name, as float32, and the sizes.

    Raises:
        ValueError: these are not the bytes of a packed model.
    """
    try:
        size = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + size])
        extra = json.loads(header["__metadata__"][ENTRY])
        kept = {name: tensor.float() for name, tensor in safetensors.torch.load(data).items()}
    except (TypeError, KeyError, ValueError, SafetensorError) as error:
        raise ValueError(f"these are not the bytes of a packed model, as pack(model) gives them ({error!r:.80})") from None
    return {**kept, **{name: kept[first] for name, first in extra["tied"].items()}}, extra["config"]


def rounded(model: Module) -> Module:
    """A copy of the model with every number rounded to half precision, in the model's own number format and on its device.

    It computes in torch what the page computes, and shows what the rounding costs.

    Raises:
        ValueError: as :func:`pack`.
    """
    if not isinstance(model, nn.Module):
        raise ValueError(f"model must be a torch module; got a {type(model).__name__}")
    twin = copy.deepcopy(model)
    with torch.no_grad():
        for name, tensor in twin.state_dict(keep_vars=True).items():
            tensor.copy_(_half(name, tensor))
    return twin


def _place(tensor: Tensor) -> Any:
    """The same for two tensors that are the same numbers in memory."""
    return tensor.device, tensor.data_ptr(), tuple(tensor.shape), tensor.stride()


def _half(name: str, tensor: Tensor) -> Tensor:
    """The tensor as float16 on the CPU; a ValueError where it holds what half precision cannot."""
    if not tensor.is_floating_point():
        raise ValueError(f"{name} holds {tensor.dtype}; only floating-point tensors can be packed")
    half = tensor.detach().to("cpu", torch.float16).contiguous()
    if not half.isfinite().all():
        worst = tensor.detach().abs().max().item()
        raise ValueError(
            f"{name} holds {worst:.4g}; half precision has finite numbers up to {torch.finfo(torch.float16).max:,.0f}"
        )
    return half
