"""Values and types as text a reader can take in."""

import math
import pprint
import textwrap
from functools import lru_cache
from typing import Any

import numpy as np
import torch


def type_name(value: Any) -> str:
    """The type's name as a reader writes it: ``list``, ``torch.Tensor``, ``numpy.ndarray``, ``None``."""
    if value is None:
        return "None"
    kind = type(value)
    module = kind.__module__.split(".")[0]
    return kind.__name__ if module in ("builtins", "collections", "__main__") else f"{module}.{kind.__name__}"


class _Shown:
    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def _shown(value: Any) -> Any:
    if isinstance(value, float):
        return _Shown(f"{value:.6g}" if value != int(value) else repr(value)) if math.isfinite(value) else _Shown(repr(value))
    if isinstance(value, torch.Tensor):
        if not value.numel():  # NumPy refuses some shapes that torch takes, such as (0, 2**31, 2**31)
            value = value.new_empty(0)
        numbers = value.float().numpy() if value.dtype == torch.bfloat16 else value.numpy()
        dtype = "" if value.dtype in (torch.float32, torch.int64, torch.bool) else f", dtype={value.dtype}"
        return _Shown(f"tensor({_array_text(numbers)}{dtype})")
    if isinstance(value, np.ndarray):
        return _Shown(f"array({_array_text(value)})")
    if isinstance(value, dict):
        return {key: _shown(item) for key, item in value.items()}
    if isinstance(value, set | frozenset) and value:
        text = textwrap.fill(", ".join(sorted(map(repr, value))), 82, break_long_words=False)
        return _Shown(("{%s}" if isinstance(value, set) else "frozenset({%s})") % text)
    if isinstance(value, list | tuple):
        return type(value)(_shown(item) for item in value)
    return value


def _array_text(numbers: np.ndarray) -> str:
    return _text(numbers.tobytes(), numbers.dtype.str, numbers.shape)


@lru_cache(maxsize=4096)  # the proof of a bank shows the same input and the same output again and again
def _text(raw: bytes, dtype: str, shape: tuple[int, ...]) -> str:
    options: dict[str, Any] = {"precision": 4, "threshold": 60, "edgeitems": 3, "suppress_small": True, "max_line_width": 84}
    return np.array2string(np.ndarray(shape, dtype, raw), separator=", ", **options)


def show(value: Any, limit: int = 500) -> str:
    """``value`` as text a reader can take in: numbers rounded, long tensors and long text shortened to ``limit``
    characters."""
    text = pprint.pformat(_shown(value), width=84, compact=True, sort_dicts=False)
    return text if len(text) <= limit else text[: limit - 2] + " …"
