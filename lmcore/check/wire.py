"""Plain data as JSON and raw bytes, so that a value can be stored or sent, and read back, without running any code.

A number, string, list or ``None`` is itself in JSON. Everything else is an object with one key that names the type::

    {"float": "0.1"}   {"tuple": [...]}   {"dict": [[key, value], ...]}   {"set": [...]}   {"frozenset": [...]}
    {"bytes": 0}   {"tensor": ["float32", [2, 3], 1]}   {"array": ["int64", [5], 2]}

where the last number is the index of a block of raw, little-endian bytes that follows the JSON (:func:`encode`) or stands
beside it in base64 (:func:`encode_text`). The reader checks every field, because what it reads may come from a stranger: a
block belongs to one value alone, so that nothing read is much larger than what came.
"""

import base64
import binascii
import json
import math
import struct
from collections import Counter
from typing import Any

import numpy as np
import torch

from lmcore.check.values import ARRAY_DTYPES, DEEPEST, TENSOR_DTYPES, plain

LARGEST_HEADER = 16 << 20
LARGEST_BODY = 256 << 20
LENGTH = struct.Struct("<IQ")
ALIKE = 100  # keys that may share a hash: with very many, a dictionary takes minutes to build


class WireError(ValueError):
    """Bytes that are not a plain value written by this module."""


def encode(value: Any) -> bytes:
    """``value`` as bytes: the lengths of both parts, the JSON, the raw blocks.

    Raises:
        UnsupportedError: ``value`` is not plain data.
    """
    blocks: list[bytes] = []
    node = _node(plain(value), blocks)
    header = json.dumps({"value": node, "blocks": [len(block) for block in blocks]}).encode("ascii")
    return LENGTH.pack(len(header), sum(map(len, blocks))) + header + b"".join(blocks)


def decode(data: bytes) -> Any:
    """The value that :func:`encode` wrote.

    Raises:
        WireError: ``data`` is cut short, too long, too large, or malformed in any field.
    """
    if len(data) < LENGTH.size:
        raise WireError(f"expected at least {LENGTH.size} bytes, got {len(data)}")
    header_size, body_size = LENGTH.unpack_from(data)
    if header_size > LARGEST_HEADER or body_size > LARGEST_BODY:
        raise WireError(f"{header_size} + {body_size} bytes are more than {LARGEST_HEADER} + {LARGEST_BODY}")
    if len(data) != LENGTH.size + header_size + body_size:
        raise WireError(f"expected {LENGTH.size + header_size + body_size} bytes, got {len(data)}")
    head = _load(data[LENGTH.size : LENGTH.size + header_size])
    lengths = head.get("blocks")
    if not isinstance(lengths, list) or not all(_natural(n) for n in lengths) or sum(lengths) != body_size:
        raise WireError("the lengths of the blocks do not add up")
    blocks, start = [], LENGTH.size + header_size
    for length in lengths:
        blocks.append(data[start : start + length])
        start += length
    return _read(head, blocks)


def encode_text(value: Any) -> str:
    """``value`` as one JSON document, its raw blocks in base64."""
    blocks: list[bytes] = []
    node = _node(plain(value), blocks)
    return json.dumps({"value": node, "blocks": [base64.b64encode(block).decode("ascii") for block in blocks]})


def decode_text(text: str) -> Any:
    """The value that :func:`encode_text` wrote.

    Raises:
        WireError: ``text`` is malformed in any field.
    """
    head = _load(text)
    try:
        blocks = [base64.b64decode(block, validate=True) for block in head["blocks"]]
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise WireError(f"the blocks are not base64: {error}") from None
    return _read(head, blocks)


def _load(data: bytes | str) -> dict:
    try:
        head = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise WireError(f"not JSON: {error}") from None
    if not isinstance(head, dict) or set(head) != {"value", "blocks"}:
        raise WireError("expected an object with the keys value and blocks")
    return head


def _read(head: dict, blocks: list[bytes]) -> Any:
    try:
        return _value(head["value"], dict(enumerate(blocks)), 0)
    except WireError:
        raise
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, RuntimeError) as error:
        raise WireError(f"malformed value: {error}") from None


def _natural(number: Any) -> bool:
    return type(number) is int and number >= 0


def _block(data: bytes, blocks: list[bytes]) -> int:
    blocks.append(data)
    return len(blocks) - 1


def _node(value: Any, blocks: list[bytes]) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return {"float": repr(value)}
    if isinstance(value, bytes):
        return {"bytes": _block(value, blocks)}
    if isinstance(value, list):
        return [_node(item, blocks) for item in value]
    if isinstance(value, dict):
        return {"dict": [[_node(key, blocks), _node(item, blocks)] for key, item in value.items()]}
    if isinstance(value, tuple):
        return {"tuple": [_node(item, blocks) for item in value]}
    if isinstance(value, set | frozenset):
        return {type(value).__name__: [_node(item, blocks) for item in sorted(value, key=repr)]}
    if isinstance(value, torch.Tensor):
        raw = value.reshape(-1).view(torch.uint8).numpy().tobytes() if value.numel() else b""
        return {"tensor": [str(value.dtype).removeprefix("torch."), list(value.shape), _block(raw, blocks)]}
    assert isinstance(value, np.ndarray), type(value)
    return {"array": [str(value.dtype), list(value.shape), _block(value.tobytes(), blocks)]}


def _value(node: Any, blocks: dict[int, bytes], depth: int) -> Any:
    if depth > DEEPEST:
        raise WireError(f"data nested more than {DEEPEST} levels deep")
    if node is None or isinstance(node, bool | int | str):
        return node
    if isinstance(node, list):
        return [_value(item, blocks, depth + 1) for item in node]
    if not isinstance(node, dict) or len(node) != 1:
        raise WireError(f"expected an object with one key, got {type(node).__name__}")
    ((kind, content),) = node.items()
    if kind == "float" and isinstance(content, str):
        return float(content)
    if kind == "bytes" and _natural(content):
        return blocks.pop(content)
    if kind in ("tensor", "array"):
        return _array(kind, content, blocks)
    items = {"tuple": tuple, "set": set, "frozenset": frozenset, "dict": dict}
    if kind in items and isinstance(content, list):
        if kind == "dict":
            pairs = [(_value(key, blocks, depth + 1), _value(item, blocks, depth + 1)) for key, item in content]
            _check_hashes([key for key, _ in pairs])
            return dict(pairs)
        values = [_value(item, blocks, depth + 1) for item in content]
        if kind != "tuple":
            _check_hashes(values)
        return items[kind](values)
    raise WireError(f"unknown kind {kind!r}")


def _check_hashes(keys: list[Any]) -> None:
    if len(keys) > ALIKE and max(Counter(map(hash, keys)).values()) > ALIKE:
        raise WireError(f"more than {ALIKE} keys of the same hash")


def _array(kind: str, content: Any, blocks: dict[int, bytes]) -> Any:
    dtype, shape, index = content
    natural = isinstance(shape, list) and all(_natural(n) and n < 2**31 for n in [*shape, index])
    if not natural or len(shape) > 16:
        raise WireError(f"bad shape {shape!r} or block {index!r}")
    raw, count = bytearray(blocks.pop(index)), math.prod(shape)
    size = TENSOR_DTYPES[dtype].itemsize if kind == "tensor" else ARRAY_DTYPES[dtype].itemsize
    if count * size != len(raw):
        raise WireError(f"{len(raw)} bytes do not fill shape {shape} of {dtype}")
    if kind == "array":
        return np.frombuffer(raw, ARRAY_DTYPES[dtype]).reshape(shape).copy()
    if not raw:
        return torch.empty(shape, dtype=TENSOR_DTYPES[dtype])
    if dtype == "bool":
        return torch.frombuffer(raw, dtype=torch.uint8).reshape(shape) != 0
    return torch.frombuffer(raw, dtype=TENSOR_DTYPES[dtype]).reshape(shape).clone()
