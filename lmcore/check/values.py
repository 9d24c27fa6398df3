"""Plain data: copied without trust, compared with tolerance.

What goes into a student's function and what comes out of it is plain data: ``None``, ``bool``, ``int``, ``float``, ``str``,
``bytes``, lists, tuples, dicts, sets, NumPy arrays and torch tensors of numbers, nested up to :data:`DEEPEST` levels.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from lmcore.check.show import show, type_name

DEEPEST = 20
NOT_INSTALLED = "not installed"  # what stands in an answer where something is missing on the machine that computed it
TENSOR_DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        *(torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
        *(torch.float16, torch.bfloat16, torch.float32, torch.float64),
    )
}
ARRAY_DTYPES = {name: np.dtype(name) for name in TENSOR_DTYPES if name != "bfloat16"}


class UnsupportedError(ValueError):
    """A value that is not plain data."""


def plain(value: Any, depth: int = 0) -> Any:
    """An independent copy of ``value`` in exactly the built-in types, so that nothing a student overrides is ever called.

    A ``Counter`` becomes a dict, a named tuple a tuple, a NumPy number a Python number, a parameter a detached CPU tensor.

    Raises:
        UnsupportedError: ``value`` holds something else (a generator, a view of a dict, an object), or is nested too deep.
    """
    if depth > DEEPEST:
        raise UnsupportedError(f"data nested more than {DEEPEST} levels deep")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        if int.bit_length(value) > 4096:
            raise UnsupportedError("an integer of more than 1,200 digits")
        return int.__index__(value)
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bytes):
        return bytes(memoryview(value))
    if isinstance(value, torch.Tensor):
        return _plain_tensor(value)
    if isinstance(value, np.ndarray):
        if str(value.dtype) not in ARRAY_DTYPES:
            raise UnsupportedError(f"a numpy.ndarray of dtype {value.dtype}")
        return np.array(value, copy=True, order="C", subok=False)
    if isinstance(value, np.generic):
        return plain(np.generic.item(value), depth + 1)
    if isinstance(value, list):
        return [plain(item, depth + 1) for item in list.__iter__(value)]
    if isinstance(value, tuple):
        return tuple(plain(item, depth + 1) for item in tuple.__iter__(value))
    if isinstance(value, dict):
        return {_key(key, depth + 1): plain(item, depth + 1) for key, item in dict.items(value)}
    if isinstance(value, set):
        return {_key(item, depth + 1) for item in set.__iter__(value)}
    if isinstance(value, frozenset):
        return frozenset(_key(item, depth + 1) for item in frozenset.__iter__(value))
    raise UnsupportedError(f"an object of type {type_name(value)}")


def _key(value: Any, depth: int) -> Any:
    if isinstance(value, torch.Tensor):
        raise UnsupportedError("a torch.Tensor as a dictionary key or set element")
    return plain(value, depth)


def _plain_tensor(value: torch.Tensor) -> torch.Tensor:
    with torch._C.DisableTorchFunctionSubclass():
        try:
            tensor = torch.Tensor.as_subclass(torch.Tensor.detach(value), torch.Tensor)
        except (RuntimeError, NotImplementedError):
            raise UnsupportedError("a torch.Tensor with a sparse layout") from None
        if tensor.layout != torch.strided or tensor.is_meta or tensor.dtype not in TENSOR_DTYPES.values():
            raise UnsupportedError(f"a torch.Tensor of dtype {tensor.dtype}, layout {tensor.layout}, device {tensor.device}")
        return tensor.cpu().resolve_neg().clone(memory_format=torch.contiguous_format)


@dataclass(frozen=True)
class Difference:
    """The first place where two values differ.

    ``kind`` is type, shape, dtype, length, missing, extra or value; ``path`` holds the keys and indices that lead
    there. The words are made only when somebody reads them.
    """

    kind: str
    path: tuple
    got: Any
    want: Any

    def __str__(self) -> str:
        return (f"at {''.join(f'[{show(step, 60)}]' for step in self.path)}: " if self.path else "") + self._words()

    def _words(self) -> str:
        got, want = self.got, self.want
        if self.kind == "type":
            return f"expected {type_name(want)}, got {type_name(got)}"
        if self.kind in ("shape", "dtype"):
            shapes = tuple(want.shape), tuple(got.shape)
            return "expected {} {}, got {}".format(self.kind, *(shapes if self.kind == "shape" else (want.dtype, got.dtype)))
        if self.kind == "length":
            return f"expected {_items(len(want))}, got {_items(len(got))}"
        if self.kind == "missing":
            return f"{show(want, 80)} is missing"
        if self.kind == "extra":
            return f"{show(got, 80)} should not be there"
        return f"expected {show(want, 80)}, got {show(got, 80)}"


@dataclass(frozen=True)
class ArrayDifference(Difference):
    """Numbers of a tensor or an array that differ: ``wrong`` marks them."""

    wrong: torch.Tensor

    def _words(self) -> str:
        first = tuple(self.wrong.nonzero()[0].tolist())
        want, got = show(self.want[first].item()), show(self.got[first].item())
        if not first:
            return f"expected {want}, got {got}"
        count = f"{int(self.wrong.sum())} of {self.wrong.numel()} values differ; the first at index {first}"
        return f"{count}: expected {want}, got {got}"


def difference(got: Any, want: Any, rtol: float, atol: float, path: tuple = ()) -> Difference | None:
    """The first difference between two plain values, or ``None`` if ``|got − want| ≤ atol + rtol·|want|`` everywhere.

    An ``int`` may stand where a ``float`` is wanted; otherwise the types must be the same, and so must shape and dtype.
    """
    if type(got) is not type(want) and not (isinstance(want, float) and type(got) is int):
        return Difference("type", path, got, want)
    if isinstance(want, float):
        return None if _close(float(got), want, rtol, atol) else Difference("value", path, got, want)
    if isinstance(want, torch.Tensor | np.ndarray):
        return _array_difference(got, want, rtol, atol, path)
    if isinstance(want, set | frozenset):
        return _key_difference(got, want, path)
    if isinstance(want, dict):
        if found := _key_difference(got, want, path):
            return found
        return _first(((got[key], item, key) for key, item in want.items()), rtol, atol, path)
    if isinstance(want, list | tuple):
        if len(got) != len(want):
            return Difference("length", path, got, want)
        return _first(zip(got, want, range(len(want)), strict=True), rtol, atol, path)
    return None if got == want else Difference("value", path, got, want)


def _first(parts: Iterable[tuple[Any, Any, Any]], rtol: float, atol: float, path: tuple) -> Difference | None:
    for got, want, step in parts:
        if found := difference(got, want, rtol, atol, (*path, step)):
            return found
    return None


def _items(count: int) -> str:
    return "1 item" if count == 1 else f"{count} items"


def _close(got: float, want: float, rtol: float, atol: float) -> bool:
    if math.isfinite(got) and math.isfinite(want):
        return abs(got - want) <= atol + rtol * abs(want)
    return got == want or (math.isnan(got) and math.isnan(want))


def _key_difference(got: Any, want: Any, path: tuple) -> Difference | None:
    """Keys of a dict or elements of a set that are not in both."""
    for key in want:
        if key not in got:
            return Difference("missing", path, got, key)
    for key in got:
        if key not in want:
            return Difference("extra", path, key, want)
    return None


def _array_difference(got: Any, want: Any, rtol: float, atol: float, path: tuple) -> Difference | None:
    if tuple(got.shape) != tuple(want.shape):
        return Difference("shape", path, got, want)
    if got.dtype != want.dtype:
        return Difference("dtype", path, got, want)
    g, w = torch.as_tensor(got), torch.as_tensor(want)
    if torch.equal(g, w):  # what isclose says too, and takes ten times as long for
        return None
    wrong = ~torch.isclose(g, w, rtol, atol, equal_nan=True) if w.is_floating_point() else g != w
    return ArrayDifference("value", path, g, w, wrong) if wrong.any() else None


def unordered(got: Any, want: Any, rtol: float, atol: float) -> Difference | None:
    """Like :func:`difference`, but the order of the items of a list does not count."""
    if type(got) is not list or type(want) is not list or len(got) != len(want):
        return difference(got, want, rtol, atol)
    left = list(got)
    for item in want:
        match = next((i for i, g in enumerate(left) if difference(g, item, rtol, atol) is None), None)
        if match is None:
            return Difference("missing", (), got, item)
        del left[match]
    return None


def where_installed(got: Any, want: Any, rtol: float, atol: float) -> Difference | None:
    """Like :func:`difference`, but an entry of a dict does not count if either of the two says :data:`NOT_INSTALLED`: the
    expected answers and the student's may have been computed on different machines."""
    if type(got) is dict and type(want) is dict:
        absent = {key for part in (got, want) for key, item in part.items() if type(item) is str and item == NOT_INSTALLED}
        got, want = ({key: item for key, item in part.items() if key not in absent} for part in (got, want))
    return difference(got, want, rtol, atol)


# An exercise names its equality, so that a pack can name it too: no code travels with the data.
EQUALITIES: dict[str, Callable[[Any, Any, float, float], Difference | None]] = {
    "close": difference,
    "unordered": unordered,
    "where_installed": where_installed,
}
