"""Harmless replacements for what only a notebook has, and for what a student's cells call beside their answers."""

import builtins
import functools
import inspect
import os
import socket
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader

import lmcore.check


class Quiet:
    """Takes every call and attribute, and says nothing."""

    passed = True

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> "Quiet":
        return self

    def __str__(self) -> str:
        return ""

    def __format__(self, form: str) -> str:
        return ""

    def __len__(self) -> int:
        return 0

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __float__(self) -> float:
        return 0.0

    def __int__(self) -> int:
        return 0

    def __bool__(self) -> bool:
        return True

    __repr__ = __str__
    __getitem__ = __call__


def _as_it_is(model: Any = None, **how: Any) -> Any:
    return model or _as_it_is


# What a loader is asked for its processes. They share memory through files and sockets, of which there are none.
WORKERS = ("num_workers", "timeout", "prefetch_factor", "persistent_workers", "multiprocessing_context")


def _alone(start: Callable[..., None]) -> Callable[..., None]:
    """The start of a loader of data, without processes of its own."""
    takes = inspect.signature(start)

    @functools.wraps(start)
    def started(*args: Any, **how: Any) -> None:
        asked = takes.bind(*args, **how)
        for name in WORKERS:
            asked.arguments.pop(name, None)
        start(*asked.args, **asked.kwargs)

    return started


class End:
    """One end of a pipe, with what asyncio asks of a socket: no socket is to be had in a sandbox."""

    def __init__(self, descriptor: int) -> None:
        self.fileno = lambda: descriptor
        self.setblocking = lambda flag: os.set_blocking(descriptor, flag)
        self.recv = lambda size: os.read(descriptor, size)
        self.send = lambda data: os.write(descriptor, data)
        self.close = lambda: os.close(descriptor)


def _pair(*how: Any) -> tuple[End, ...]:
    return tuple(map(End, os.pipe()))


def put(blocked: Iterable[str]) -> dict[str, Any]:
    """Put them in place; what a notebook's cells find without an import is returned."""
    quiet = Quiet()
    lmcore.check.check = lmcore.check.pack_submission = quiet  # type: ignore[assignment]
    for name in blocked:  # weak, but enough for who reaches for one out of habit; whoever asks whether it is there, is told no
        sys.modules[name] = None  # type: ignore[assignment]
    sys.argv[:] = [""]
    sys.path[:0] = [os.getcwd()]
    builtins.get_ipython = lambda: quiet  # type: ignore[attr-defined]
    for name in ("help", "exit", "quit"):  # of a Python that people type into
        setattr(builtins, name, quiet)
    torch.compile = _as_it_is  # type: ignore[assignment]  # it needs a compiler
    DataLoader.__init__ = _alone(DataLoader.__init__)  # type: ignore[method-assign]
    socket.socketpair = _pair  # type: ignore[assignment]
    builtins.input = lambda *prompt: ""  # nobody types
    return {"display": quiet, "get_ipython": builtins.get_ipython}  # type: ignore[attr-defined]
