"""One call of a student's function: the only place where a student's code is run.

:func:`run_case` takes inputs and gives an :class:`Answer`. Both are plain data (see :mod:`lmcore.check.values`), so the
call can happen in the notebook, or in a sandboxed process that knows no expected values and no other cases.
"""

import dis
import functools
import importlib
import inspect
import linecache
import math
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any

import numpy as np
import torch

from lmcore.check.limit import TimeLimitError, call_within
from lmcore.check.ready import guarded, profile_kept
from lmcore.check.values import UnsupportedError, difference, plain


@dataclass(frozen=True)
class Case:
    """One input: the positional arguments, a short name for people, and whether students may see it."""

    args: tuple
    label: str
    public: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "args", plain(tuple(self.args)))


@dataclass(frozen=True)
class Answer:
    """What one call did.

    ``status`` is ``ok`` (``value`` is set), ``raised`` (``error``, ``message`` and ``line`` are set), ``unwritten``
    (the stub's ``NotImplementedError``), ``unsupported`` (``message`` names the type returned), ``timeout``, ``skipped`` or,
    in a sandbox, ``died`` (``message`` says how: "ended its process"). ``changed`` holds the positions of the arguments that
    the call changed in place.
    """

    status: str
    value: Any = None
    error: str = ""
    message: str = ""
    line: str = ""
    changed: tuple[int, ...] = ()

    def record(self) -> dict:
        """As plain data, for :mod:`lmcore.check.wire`."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: Any) -> "Answer":
        """The answer that :meth:`record` gave; a ``ValueError`` says what is wrong with one that it did not."""
        kinds = {"status": str, "error": str, "message": str, "line": str, "changed": tuple}
        if not isinstance(record, dict) or set(record) != {*kinds, "value"}:
            raise ValueError(f"an answer has the fields {sorted([*kinds, 'value'])}, got a {type(record).__name__}")
        for name, kind in kinds.items():
            if type(record[name]) is not kind:
                raise ValueError(f"the field {name} of an answer is a {kind.__name__}, got a {type(record[name]).__name__}")
        return cls(**record)


# An exercise names its probe, so that a pack and a sandboxed worker can name it too: no code travels with the data. A probe
# is "module:name" and is imported when it is first used, as most need rooms of the package that others do without; a sandbox
# has only those that its questions' probes import. A new one is a line here and a function (function, args) -> answer there.
PROBES: dict[str, str] = {
    "call": "lmcore.check.run:call",
    "gradients": "lmcore.check.gradients:value_and_gradients",
    "stack": "lmcore.check.stack:step_and_stack",
    "module": "lmcore.check.probes:module",
    "generator": "lmcore.check.probes:generator",
    "stream": "lmcore.check.probes:stream",
    "training": "lmcore.check.probes:training",
    "additive": "lmcore.check.swap:in_additive",
    "norms": "lmcore.check.swap:in_norms",
    "blocks": "lmcore.check.swap:in_blocks",
    "cross": "lmcore.check.swap:in_cross",
    "embeddings": "lmcore.check.encoder:in_embeddings",
    "causal": "lmcore.check.gpt2:in_causal",
    "losses": "lmcore.check.gpt2:in_losses",
    "tied": "lmcore.check.gpt2:in_a_tied_model",
    "cached": "lmcore.check.gpt2:in_cached",
    "rms": "lmcore.check.llama:in_norms",
    "gated": "lmcore.check.llama:in_networks",
    "shared": "lmcore.check.llama:in_shared_heads",
    "pooled": "lmcore.check.llama:in_pooled",
}


def call(function: Callable, args: list) -> Any:
    """The plainest probe: the function's value."""
    return function(*args)


@functools.cache
def probe_named(name: str) -> Callable[[Callable, list], Any]:
    """What :data:`PROBES` calls ``name``; imports what it needs."""
    module, attribute = PROBES[name].split(":")
    return getattr(importlib.import_module(module), attribute)


def run_case(
    function: Callable,
    case: Case,
    *,
    probe: str = "call",
    seconds: float = 5.0,
    device: str = "cpu",
    ready: tuple[str, ...] = (),
) -> Answer:
    """Call ``function`` once on a copy of the case's arguments, seeded, under a time limit, and say what it did.

    A call of one of the ``ready`` functions (see :mod:`lmcore.check.ready`) is an error.

    Never raises what the function raises, except ``KeyboardInterrupt``, so that the kernel's stop button still stops.
    """
    measure = probe_named(probe)
    args = [arg.to(device) if isinstance(arg, torch.Tensor) else arg for arg in plain(list(case.args))]
    try:
        with _seeded(), profile_kept():
            value = call_within(seconds, lambda: measure(guarded(function, ready), args))
    except TimeLimitError:
        if math.isinf(seconds):  # the limit is not ours
            raise
        return Answer("timeout", message=f"{seconds:g} s")
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if isinstance(error, NotImplementedError) and _by_statement(error.__traceback__):
            return Answer("unwritten")
        message, line = _describe(error), _line(function, error.__traceback__)
        return Answer("raised", error=type(error).__name__, message=message, line=line, changed=_changed(case.args, args))
    try:
        return Answer("ok", value=plain(value), changed=_changed(case.args, args))
    except UnsupportedError as error:
        return Answer("unsupported", message=str(error))


def wrong_call(function: Callable, args: tuple) -> str:
    """Why ``function`` cannot be called with these arguments (:func:`lmcore.check.calls.bound`), or nothing."""
    try:
        inspect.signature(function).bind(*args)
    except TypeError as error:
        return str(error)
    except ValueError:  # a built-in without a signature
        pass
    return ""


@contextmanager
def _seeded() -> Iterator[None]:
    """The same random numbers in every call, and the caller's generators untouched."""
    # A student may draw from any of the three global generators, NumPy's old one included.
    python, numpy, torch_state = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    torch.default_generator.manual_seed(0)  # torch.manual_seed also queues a call for each kind of GPU
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
        torch.set_rng_state(torch_state)


def _changed(before: tuple, after: list) -> tuple[int, ...]:
    changed = []
    for i, (old, new) in enumerate(zip(before, after, strict=True)):
        try:
            same = difference(plain(new), old, 0.0, 0.0) is None
        except UnsupportedError:
            same = False
        if not same:
            changed.append(i)
    return tuple(changed)


def _by_statement(trace: TracebackType | None) -> bool:
    """Whether an error comes from a ``raise`` statement, as in a stub. torch raises a ``NotImplementedError`` without one
    where it lacks an operation, such as the comparison of complex numbers."""
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_code.co_code[trace.tb_lasti] == dis.opmap["RAISE_VARARGS"]


def _describe(error: BaseException) -> str:
    try:
        return str(error)[:300]
    except Exception:
        return ""


def _line(function: Callable, trace: TracebackType | None) -> str:
    """The last line of the traceback that lies in the file or cell where the function or class was written."""
    written = inspect.unwrap(function) if callable(function) else function
    parts = vars(written).values() if isinstance(written, type) else [written]
    files = {part.__code__.co_filename for part in parts if hasattr(part, "__code__")}
    found = ""
    while trace is not None:
        frame = trace.tb_frame.f_code
        if frame.co_filename in files:
            source = linecache.getline(frame.co_filename, trace.tb_lineno, trace.tb_frame.f_globals).strip()
            cell = f"{frame.co_filename}, " if frame.co_filename.startswith("cell ") else ""  # in a sandbox
            found = f"{cell}line {trace.tb_lineno}" + (f": {source}" if source else "")
        trace = trace.tb_next
    return found
