"""Ready-made functions that an exercise asks a student to write: calling one of them is no answer.

An exercise names them, ``torch.nn.functional.layer_norm``, or a whole package, ``lmcore``. While a student's function runs,
every call is looked at, wherever it comes from: another import, an alias, a thread or a module's ``forward`` changes nothing,
and an error that is caught comes back at the end. This helps a student who reaches for the library out of habit. It does not
stop one who sets out to deceive; what such a one needs is pointed out to a person when a class is graded.
"""

import functools
import importlib
import importlib.util
import inspect
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import BuiltinFunctionType, FrameType, ModuleType
from typing import Any

from torch import nn
from torch.overrides import TorchFunctionMode, _len_torch_function_stack, _pop_mode

OWN = "lmcore.check"  # the check itself runs around the student's function, and is none of the package's rooms
# Further doors to every function of torch: its operators, and its own second implementations in Python.
DOORS = ("torch._ops", "torch._refs", "torch._decomp", "torch._prims", "torch._inductor", "torch.ao")
COMPILER = "torch._inductor.codecache"  # started in threads, where nobody can see who asked for it; it computes nothing

# Functions that are there in some versions of torch and not in others, and packages that need not be installed.
SOMETIMES = (
    "torch.nn.attention.flex_attention.flex_attention",
    "torch._scaled_dot_product_attention_math",
    "torch._scaled_dot_product_attention_math_for_mps",
    "torch._scaled_dot_product_cudnn_attention",
    "torch._scaled_dot_product_efficient_attention",
    "torch._scaled_dot_product_flash_attention",
    "torch._scaled_dot_product_flash_attention_for_cpu",
    "torch._scaled_dot_product_fused_attention_overrideable",
    "torch._flash_attention_forward",
    "torch._flash_attention_forward_no_dropout_inplace",
    "torch._efficient_attention_forward",
    "torch._triton_multi_head_attention",
    "torch._triton_scaled_dot_attention",
    "torch._native_multi_head_attention",
    "torch._transformer_encoder_layer_fwd",
    "torch._cudnn_rnn",
    "torch._lstm_mps",
    "torch.miopen_rnn",
    "torch.mkldnn_rnn_layer",
    "torch.quantized_lstm_cell",
    "torch.quantized_gru_cell",
    "torch.quantized_rnn_tanh_cell",
    "torch.nn.utils.get_total_norm",
    "torch.nn.utils.clip_grads_with_norm_",
    "tokenizers",
    "transformers",
    "tiktoken",
    "seqeval",
)

# Functions that compute attention in one call.
ATTENTION = (
    "torch.nn.functional.scaled_dot_product_attention",
    "torch.nn.functional.multi_head_attention_forward",
    "torch.nn.MultiheadAttention.forward",
    "torch.nn.TransformerEncoderLayer.forward",
    "torch.nn.TransformerDecoderLayer.forward",
    *SOMETIMES[: SOMETIMES.index("torch._cudnn_rnn")],
)

_KERNELS = ("torch._cudnn_rnn", "torch.miopen_rnn", "torch.mkldnn_rnn_layer")
# Functions that run a recurrent network over a text, and those that take one step.
RNN = ("torch.nn.RNN.forward", "torch.rnn_tanh", *_KERNELS)
LSTM = (
    "torch.nn.LSTM.forward",
    "torch.nn.LSTMCell.forward",
    "torch.lstm",
    "torch.lstm_cell",
    "torch._lstm_mps",
    "torch.quantized_lstm_cell",
    *_KERNELS,
)
GRU = ("torch.nn.GRU.forward", "torch.nn.GRUCell.forward", "torch.gru", "torch.gru_cell", "torch.quantized_gru_cell", *_KERNELS)
# Packages that cut words into tokens.
TOKENIZERS = ("tokenizers", "transformers", "tiktoken")


# What functions of a module in C belong to; a method of an object is none of those that an exercise names.
OWNERS = (ModuleType, type, type(None))


class ReadyMadeError(RuntimeError):
    """A student's function calls what the exercise asks it to be."""


@functools.cache
def named(name: str) -> Any:
    """The function that a dotted name stands for; ``None`` for a package, and for one of :data:`SOMETIMES` that is not here.

    Raises:
        ValueError: there is nothing of this name.
    """
    if "." not in name:
        if name in SOMETIMES or importlib.util.find_spec(name):  # in a sandbox, looking for some of these is an error
            return None
        raise ValueError(f"there is no function {name}; name one by its full path, such as torch.nn.functional.layer_norm")
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:cut]))
            return functools.reduce(getattr, parts[cut:], found)
        except (ImportError, AttributeError):
            continue
    if name in SOMETIMES:
        return None
    raise ValueError(f"there is no function {name}; name one by its full path, such as torch.nn.functional.layer_norm")


def guarded(function: Callable, ready: tuple[str, ...]) -> Callable:
    """``function``, which may call none of the functions and packages ``ready`` names; nor may a generator or a module that it
    returns. A name that this machine's torch does not know is passed over."""
    if not ready:
        return function
    watch = _Watch(ready)

    @functools.wraps(function)
    def watched(*args: Any, **kwargs: Any) -> Any:
        return watch.result(watch.run(function, *args, **kwargs))

    return watched


class _Watch:
    """Looks at every call while a student's function runs."""

    def __init__(self, ready: tuple[str, ...]) -> None:
        self.packages = {name for name in ready if "." not in name}
        self.known: dict[Any, str] = {}  # a function of torch, or the code of one written in Python, and its name
        for name in ready:
            with suppress(ValueError):
                if (found := named(name)) is not None:
                    # What stands round a function, such as a `no_grad`, is shared with others that nobody named.
                    inner = inspect.unwrap(found) if callable(found) else found
                    self.known[found] = self.known[getattr(inner, "__code__", found)] = name
        self.refused: list[str] = []
        self.harmless: set[Any] = set()  # code, and types of objects that have built-in methods

    def run(self, function: Callable, *args: Any, **kwargs: Any) -> Any:
        before, of_threads = sys.getprofile(), threading.getprofile()
        if before is not None and not callable(before):  # a profiler written in C, which could not be put back
            return function(*args, **kwargs)
        self.refused.clear()
        threading.setprofile(self.look)
        sys.setprofile(self.look)
        try:
            with _Operations(self):
                value = function(*args, **kwargs)
        except ReadyMadeError:
            raise
        except Exception:
            self._say()  # CPython stops looking after the first error, and the function may have caught it and gone on
            raise
        finally:
            sys.setprofile(before)
            threading.setprofile(of_threads)  # type: ignore[arg-type]
        self._say()
        return value

    def result(self, value: Any) -> Any:
        """What runs later belongs to the function too."""
        if isinstance(value, nn.Module):
            value.__class__ = self._called(type(value))
        elif isinstance(value, Iterator):
            return self._items(value)
        return value

    def _called(self, kind: type) -> type:
        """The same class of modules, whose calls are looked at: their hooks and a ``__call__`` of their own as well."""

        def call(module: Any, *args: Any, **kwargs: Any) -> Any:
            return self.run(functools.partial(kind.__call__, module), *args, **kwargs)  # type: ignore[operator]

        return type(kind)(kind.__name__, (kind,), {"__call__": call, "__module__": kind.__module__, "__doc__": kind.__doc__})

    def _items(self, items: Iterator) -> Iterator:
        try:
            while True:
                try:
                    item = self.run(next, items)
                except StopIteration:
                    return
                yield item
        finally:
            if close := getattr(items, "close", None):
                self.run(close)

    def look(self, frame: FrameType, event: str, called: Any) -> None:
        """A profile function. It is called some thousand times for each call of a model, so what was harmless once is kept."""
        if event == "call":
            if frame.f_code not in self.harmless:
                self._look_at(frame)
        elif event == "c_call":
            owner = called.__self__ if type(called) is BuiltinFunctionType else called
            kind = type(owner)
            if kind in OWNERS:
                self.operation(called)
            if kind not in self.harmless:
                module = str(kind.__module__)
                if module.split(".")[0] in self.packages:
                    self.refuse(f"{module}.{called.__name__} is {_whose(module)}: write this without its help")
                self.harmless.add(kind)

    def _look_at(self, frame: FrameType) -> None:
        module = frame.f_globals.get("__name__") or ""
        if frame.f_code in self.known:
            self.refuse(f"{self.known[frame.f_code]} is what this exercise asks you to write")
        if module.split(".")[0] in self.packages and not module.startswith(OWN):
            self.refuse(f"{module}.{frame.f_code.co_name} is {_whose(module)}: write this without its help")
        if module.startswith(DOORS) and module != COMPILER:
            if _for_torch(frame.f_back):
                return  # as when it prints a tensor, or takes the step of an optimiser; the next caller may be somebody else
            self.refuse(f"{'torch.ops' if module == DOORS[0] else module} goes round the functions of torch: use those")
        self.harmless.add(frame.f_code)

    def operation(self, called: Any) -> None:
        """Refuse a function of torch that the exercise names."""
        try:
            name = self.known.get(called)
        except TypeError:  # something that cannot be hashed
            return
        if name:
            self.refuse(f"{name} is what this exercise asks you to write")

    def refuse(self, why: str) -> None:
        self.refused.append(why)
        raise ReadyMadeError(why)

    def _say(self) -> None:
        if self.refused:
            raise ReadyMadeError(self.refused[0])


class _Operations(TorchFunctionMode):
    """Sees functions of torch that C code calls, such as ``map`` and ``functools.partial``."""

    def __init__(self, watch: _Watch) -> None:
        super().__init__()
        self.watch = watch

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        self.watch.operation(func)
        return func(*args, **(kwargs or {}))


def _for_torch(frame: FrameType | None) -> bool:
    """Whether a call is torch's own: it comes from torch or an import, perhaps through Python's library, this module, or code
    that torch has written itself, which lies in no module."""
    while frame is not None:
        module = frame.f_globals.get("__name__") or ""
        package = module.partition(".")[0]
        if package in ("torch", "importlib"):
            return True
        if module not in ("", __name__) and package not in sys.stdlib_module_names:
            return False
        frame = frame.f_back
    return False


def _whose(module: str) -> str:
    return "the book's own" if module.startswith("lmcore") else "ready-made"


@contextmanager
def profile_kept() -> Iterator[None]:
    """Who looks at calls afterwards is who did before, even if a time limit struck while :func:`guarded` put it back."""
    before, of_threads, modes = sys.getprofile(), threading.getprofile(), _len_torch_function_stack()
    try:
        yield
    finally:
        if sys.getprofile() is not before:
            sys.setprofile(before)
        if threading.getprofile() is not of_threads:
            threading.setprofile(of_threads)  # type: ignore[arg-type]
        while _len_torch_function_stack() > modes:
            _pop_mode()
