"""Values and types as text a reader can take in."""

import math
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch

WIDTH = 84  # columns of a line
LONGEST = 360  # characters of an array; of a longer one the middle is left out
MOST_AXES = 4  # of an array that is shown in nested brackets; every further one would double what is shown, and the time


def type_name(value: Any) -> str:
    """The type's name as a reader writes it: ``list``, ``torch.Tensor``, ``numpy.ndarray``, ``None``."""
    if value is None:
        return "None"
    kind = type(value)
    module = kind.__module__.split(".")[0]
    return kind.__name__ if module in ("builtins", "collections", "__main__") else f"{module}.{kind.__name__}"


def a_type(value: Any) -> str:
    """The same with its article: ``a list``, ``an int``, ``None``."""
    name = type_name(value)
    return name if value is None else f"an {name}" if name[0] in "aeiou" else f"a {name}"


def show(value: Any, limit: int = 500) -> str:
    """``value`` as text a reader can take in: numbers rounded, long tensors and long text shortened to ``limit``
    characters, behind a whole item where there is one."""
    text = _text(value, 0)
    if len(text) <= limit:
        return text
    text = text[: limit - 2]
    ends = [found.end() for found in re.finditer(r",(?=\s)", text)]
    return text[: ends[-1] if ends and 2 * ends[-1] > limit else None] + " …"


def fill(parts: Sequence[str], column: int) -> str:
    """``parts`` with commas between them, as many on a line as fit; a part of several lines has them to itself. Lines after
    the first begin at ``column``."""
    lines: list[list[str]] = []
    room, alone = 0, True
    for part in parts:
        room -= len(part) + 2
        if alone or "\n" in part or room < 0:
            lines.append([])
            room, alone = WIDTH - column - len(part) - 2, "\n" in part
        lines[-1].append(part)
    return (",\n" + " " * column).join(", ".join(line) for line in lines)


def shifted(text: str, column: int) -> str:
    """``text`` as it reads when its first line begins at ``column``."""
    return text.replace("\n", "\n" + " " * column)


def _text(value: Any, column: int) -> str:
    """``value`` in lines, of which the first begins at ``column``."""
    if isinstance(value, float):
        text = repr(value) if not math.isfinite(value) or value == int(value) else f"{value:.6g}"
        return f"{text}.0" if text.lstrip("-").isdigit() else text
    if isinstance(value, torch.Tensor):
        dtype = "" if value.dtype in (torch.float32, torch.int64, torch.bool) else f", dtype={value.dtype}"
        numbers = value.new_empty(0) if not value.numel() else value  # NumPy refuses some shapes, such as (0, 2**31, 2**31)
        numbers = numbers.float() if value.dtype == torch.bfloat16 else numbers
        return shifted(f"tensor({_array_text(numbers.numpy(), value.shape, 'tensor(')}{dtype})", column)
    if isinstance(value, np.ndarray):
        return shifted(f"array({_array_text(value, value.shape, 'array(')})", column)
    if isinstance(value, dict) and value:
        items = []
        for key, item in value.items():
            head = f"{_text(key, column + 1)}: "
            items.append(head + _text(item, column + 1 + len(head.rsplit("\n")[-1])))
        return _enclosed("{", items, "}", column, apart=True)
    if isinstance(value, set | frozenset) and value:
        items = sorted(map(repr, value))
        return _enclosed("{", items, "}", column) if isinstance(value, set) else _enclosed("frozenset({", items, "})", column)
    if isinstance(value, list):
        return _enclosed("[", [_text(item, column + 1) for item in value], "]", column)
    if isinstance(value, tuple):
        return _enclosed("(", [_text(item, column + 1) for item in value], ",)" if len(value) == 1 else ")", column)
    return repr(value)


def _enclosed(before: str, items: Sequence[str], after: str, column: int, apart: bool = False) -> str:
    """Items between brackets, on one line if they fit; else each on its own if they are to stand ``apart``."""
    line = before + ", ".join(items) + after
    if "\n" not in line and column + len(line) <= WIDTH:
        return line
    column += len(before)
    return before + ((",\n" + " " * column).join(items) if apart else fill(items, column)) + after


def _array_text(numbers: np.ndarray, shape: Sequence[int], prefix: str) -> str:
    text = _numbers(numbers.tobytes(), numbers.dtype.str, numbers.shape, prefix)
    # Whether the numbers do not show the shape.
    unseen = "..." in text or (not numbers.size and len(shape) > 1) or len(shape) > MOST_AXES
    return f"{text}, shape={tuple(shape)}" if unseen else text


@lru_cache(maxsize=4096)  # the proof of a bank shows the same input and the same output again and again
def _numbers(raw: bytes, dtype: str, shape: tuple[int, ...], prefix: str) -> str:
    numbers = np.ndarray(shape if len(shape) <= MOST_AXES else math.prod(shape), dtype, raw)
    options: dict[str, Any] = {"precision": 4, "suppress_small": True, "max_line_width": WIDTH, "prefix": prefix}
    text = np.array2string(numbers, separator=", ", threshold=LONGEST, **options)
    for edge in (3, 2, 1):
        if len(text) > LONGEST:
            text = np.array2string(numbers, separator=", ", threshold=0, edgeitems=edge, **options)
    return re.sub(r"\n\n+", "\n", text)  # the brackets show where a block ends
