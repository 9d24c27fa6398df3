"""What a child of the worker does: run a notebook's cells, find what the question asks for, and answer one case at a time.

The label of a case, what is expected, and other cases never come here.
"""

import __future__

import contextlib
import linecache
import random
import signal
import socket
import sys
import time
import types
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import standins
import torch

from lmcore.check import wire
from lmcore.check.limit import TimeLimitError
from lmcore.check.run import Answer, Case, run_case

FUTURES = 0
for _name in __future__.all_feature_names:
    FUTURES |= getattr(__future__, _name).compiler_flag

MOST_NOTES = 20

torch.set_num_threads(1)


def serve(pipe: socket.socket) -> None:
    """Answer until the grader hangs up."""
    job = receive(pipe)
    if job is None:
        return
    _seed()
    module = types.ModuleType("__main__")
    vars(module).update(standins.put(job["blocked"]))
    sys.modules["__main__"] = module
    notes = run_cells(job["cells"], vars(module), job["seconds_for_cells"], job["name"])
    function = vars(module).get(job["name"])
    send(pipe, {"found": callable(function), "notes": notes[:MOST_NOTES]})
    while function is not None and (args := receive(pipe)) is not None:
        # An answer that the wire does not take ends this child. That is the student's doing: run_case gives plain data.
        answer = run_case(function, Case(args, ""), probe=job["probe"], seconds=job["seconds"], ready=tuple(job["ready"]))
        send(pipe, answer.record())


def _seed() -> None:
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    torch.manual_seed(0)


def run_cells(cells: Sequence[str], namespace: dict[str, Any], seconds: float, name: str) -> list[str]:
    """Run cells as a notebook does, the next ones also where one raises; lines that say what went wrong."""
    notes, flags, deadline = [], 0, time.monotonic() + seconds
    for number, source in enumerate(cells, start=1):
        if not source.strip():
            continue
        where = f"cell {number}"
        linecache.cache[where] = (len(source), None, source.splitlines(keepends=True), where)
        try:
            code = compile(source, where, "exec", flags, dont_inherit=True)
            flags |= code.co_flags & FUTURES
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            notes.append(f"{where} could not be read: {_words(error)}")
            continue
        try:
            with _time_limit(max(0.1, deadline - time.monotonic())):
                exec(code, namespace)
        except TimeLimitError:
            notes.append(f"{where} was stopped: all cells together may take {seconds:g} s")
        except BaseException as error:
            if not (_of_the_package(error) and name not in source):  # the book's own cell, which no answer needs
                notes.append(f"{_place(error, where)} raised {_words(error)}")
    return notes


@contextlib.contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Raise in the main thread after some time, in a sleep too. Whoever defeats this is ended from outside."""

    def stop(*_: Any) -> None:
        raise TimeLimitError

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)


def _of_the_package(error: BaseException) -> bool:
    return isinstance(error, ModuleNotFoundError) and str(error.name).startswith("lmcore")


def _place(error: BaseException, where: str) -> str:
    line, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename.startswith("cell "):
            where, line = trace.tb_frame.f_code.co_filename, trace.tb_lineno
        trace = trace.tb_next
    return f"{where}, line {line}" if line else where


def _words(error: BaseException) -> str:
    try:
        text = f"{type(error).__name__}: {error}"
    except BaseException:
        text = type(error).__name__
    return " ".join(text[:500].split())[:200]


def send(pipe: socket.socket, value: Any) -> None:
    """One value to the grader."""
    pipe.sendall(wire.encode(value))


def receive(pipe: socket.socket) -> Any:
    """One value from the grader; ``None`` when it hung up."""
    head = _exactly(pipe, wire.LENGTH.size)
    if not head:
        return None
    return wire.decode(head + _exactly(pipe, sum(wire.LENGTH.unpack(head))))


def _exactly(pipe: socket.socket, size: int) -> bytes:
    parts = []
    while size:
        part = pipe.recv(min(size, 1 << 20))
        if not part:
            return b""
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


__all__ = ["Answer", "serve"]
