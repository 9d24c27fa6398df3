"""Ready-made functions that an exercise asks a student to write: calling one of them is no answer.

An exercise names them, ``torch.nn.functional.layer_norm``, or a whole package, ``lmcore``. While a student's function runs,
every call is looked at, wherever it comes from: another import, an alias or a module's ``forward`` changes nothing. This helps
a student who reaches for the library out of habit. It does not stop one who sets out to deceive.
"""

import functools
import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

OWN = "lmcore.check"  # the check itself runs around the student's function, and is none of the package's rooms
OPERATORS = "torch._ops"  # torch.ops.aten.…: a second door to every function of torch

# Functions that compute attention in one call.
ATTENTION = (
    "torch.nn.functional.scaled_dot_product_attention",
    "torch.nn.functional.multi_head_attention_forward",
    "torch.nn.MultiheadAttention.forward",
    "torch._native_multi_head_attention",
    "torch._transformer_encoder_layer_fwd",
)


class ReadyMadeError(RuntimeError):
    """A student's function calls what the exercise asks it to be."""


@functools.cache
def named(name: str) -> Any:
    """The function that a dotted name stands for.

    Raises:
        ValueError: there is nothing of this name.
    """
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:cut]))
            return functools.reduce(getattr, parts[cut:], found)
        except (ImportError, AttributeError):
            continue
    raise ValueError(f"there is no function {name}; name one by its full path, such as torch.nn.functional.layer_norm")


def guarded(function: Callable, ready: tuple[str, ...]) -> Callable:
    """``function``, which may call none of the functions and packages ``ready`` names.

    Raises:
        ValueError: there is nothing of one of these names.
    """
    if not ready:
        return function
    packages = tuple(name for name in ready if "." not in name)
    objects = {name: named(name) for name in ready if "." in name}
    codes = {found.__code__: name for name, found in objects.items() if hasattr(found, "__code__")}
    builtins = {found: name for name, found in objects.items() if not hasattr(found, "__code__")}

    def look(frame: FrameType, event: str, called: Any) -> None:
        if event == "call":
            if name := codes.get(frame.f_code):
                raise ReadyMadeError(f"{name} is what this exercise asks you to write")
            module = frame.f_globals.get("__name__") or ""
            if module.split(".")[0] in packages and not module.startswith(OWN):
                raise ReadyMadeError(f"{module}.{frame.f_code.co_name} is the book's own: write this without its help")
            if module == OPERATORS:
                raise ReadyMadeError("torch.ops goes round the functions of torch: use those")
        elif event == "c_call" and (name := _known(builtins, called)):
            raise ReadyMadeError(f"{name} is what this exercise asks you to write")

    @functools.wraps(function)
    def watched(*args: Any) -> Any:
        before = sys.getprofile()
        if before is not None and not callable(before):  # a profiler written in C, which could not be put back
            return function(*args)
        sys.setprofile(look)
        try:
            return function(*args)
        finally:
            sys.setprofile(before)

    return watched


def _known(builtins: dict[Any, str], called: Any) -> str:
    try:
        return builtins.get(called, "")
    except TypeError:  # a method of something that cannot be hashed, such as a list's append
        return ""


@contextmanager
def profile_kept() -> Iterator[None]:
    """The profile function afterwards is the one from before, even if a time limit struck while :func:`guarded` put it back."""
    before = sys.getprofile()
    try:
        yield
    finally:
        if sys.getprofile() is not before:
            sys.setprofile(before)
