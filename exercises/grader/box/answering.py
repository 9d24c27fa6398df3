"""What a child of the worker does: run a notebook's cells, find what the question asks for, and answer one case at a time.

The label of a case, what is expected, and other cases never come here.
"""

import __future__

import ast
import asyncio
import contextlib
import importlib
import inspect
import linecache
import random
import re
import signal
import socket
import sys
import threading
import time
import types
from collections.abc import Iterator
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
SHORT = 1.0  # seconds for what stands below a statement that was stopped
SHORTEST = 0.05  # seconds for a cell, whatever the cells above have used
# Their first use imports parts of torch, which takes two seconds, and twice that while calls are looked at. A notebook has done
# that once; here each process must, and the call in which it happens would be out of time.
SLOW_TO_IMPORT = re.compile(r"\boptim\b|\bcheckpoint\b|torch\.func\b|\bjacrev\b|\buse_deterministic_algorithms\b")
# What a cell gives to others: it is run also below a statement that was stopped.
DEFINES = (
    *(ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef),
    *(ast.Assign, ast.AnnAssign),
)

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
    said = _Cells(job, vars(module), pipe).run()
    function: Any = vars(module).get(job["name"])
    send(pipe, {"found": callable(function), **said})
    while (args := receive(pipe)) is not None:
        sys.setprofile(None)  # one that a cell has left on would keep the check from looking at calls
        threading.setprofile(None)  # type: ignore[arg-type]
        torch.set_num_threads(1)  # a cell may have asked for more than there are processors
        answer = run_case(function, Case(args, ""), probe=job["probe"], seconds=job["seconds"], ready=tuple(job["ready"]))
        data = wire.encode(answer.record())
        if len(data) > job["reply"]:
            data = wire.encode(Answer("unsupported", message=f"more than {job['reply'] >> 20} MB").record())
        pipe.sendall(data)


def _seed() -> None:
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    torch.manual_seed(0)


class _Cells:
    """Runs cells as a notebook does, the next ones also where one raises.

    It says before each statement which it is, so that the grader knows where a process ended; the next process then leaves that
    cell there, but for what it imports and defines below, and goes on with the cell after it. A package that is not here, such
    as that of the service where the notebook was written, costs its own statement: after an error, the next statement is run.
    """

    def __init__(self, job: dict[str, Any], namespace: dict[str, Any], pipe: socket.socket) -> None:
        self.job, self.namespace, self.pipe = job, namespace, pipe
        self.stops = {cell: statement for cell, statement in job["stops"]}
        self.deadline = time.monotonic() + job["seconds_for_cells"]
        self.notes: list[str] = []
        self.slow: list[tuple[int, int]] = []
        self.flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT  # and what one cell imports from __future__ holds for those below, too
        self.loop: asyncio.AbstractEventLoop | None = None

    def run(self) -> dict[str, Any]:
        """Lines that say what went wrong, and where a cell was stopped."""
        if any(SLOW_TO_IMPORT.search(source) for source in self.job["cells"]):
            with contextlib.suppress(TimeLimitError, Exception), _time_limit(self.job["seconds_for_a_cell"]):
                importlib.import_module("torch._dynamo")
        for number, source in enumerate(self.job["cells"], start=1):
            if source.strip():
                self._cell(number, source)
        return {"notes": self.notes[:MOST_NOTES], "slow": self.slow}

    def _cell(self, number: int, source: str) -> None:
        where = f"cell {number}"
        linecache.cache[where] = (len(source), None, source.splitlines(keepends=True), where)
        try:
            statements = ast.parse(source, where).body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            self.notes.append(f"{where} could not be read: {_words(error)}")
            return
        first, stop, seconds = 0, self.stops.get(number, len(statements)), self.job["seconds_for_a_cell"]
        raised: list[BaseException] = []
        while first < len(statements):
            todo = [i for i in range(first, len(statements)) if i < stop or (i > stop and isinstance(statements[i], DEFINES))]
            first, late = self._run(number, statements, todo, self._seconds(seconds), raised)
            if late:
                stop, seconds = -1, SHORT
        # Of several errors the first is the cause. One of the book's own cell, which no answer needs, is nobody's.
        if raised and not (_of_the_package(raised[0]) and self.job["name"] not in source):
            self.notes.append(f"{_place(raised[0], where)} raised {_words(raised[0])}")

    def _seconds(self, most: float) -> float:
        """The time for a cell: when several take long, each gets half of what is left, so that the last are run as well."""
        return min(most, max(SHORTEST, (self.deadline - time.monotonic()) / 2))

    def _run(
        self, number: int, statements: list[ast.stmt], todo: list[int], seconds: float, raised: list[BaseException]
    ) -> tuple[int, bool]:
        """Run some statements of a cell; where to go on, and whether the time was up."""
        where, at = f"cell {number}", 0
        try:
            with _time_limit(seconds):
                for at in todo:
                    send(self.pipe, {"at": (number, at, statements[at].lineno)})
                    self._execute(statements[at], where)
        except TimeLimitError:
            self.notes.append(f"{where}, line {statements[at].lineno} was stopped: it takes too long")
            if seconds > min(SHORT, self.job["seconds_for_a_cell"]) / 2:  # else a later process may have time for it
                self.slow.append((number, at))
            return at + 1, True
        except BaseException as error:
            if not raised:
                raised.append(error)
            return at + 1, False
        return len(statements), False

    def _execute(self, node: ast.stmt, where: str) -> None:
        code = compile(ast.Module([node], []), where, "exec", self.flags, dont_inherit=True)
        self.flags |= code.co_flags & FUTURES
        awaited = eval(code, self.namespace)
        if code.co_flags & inspect.CO_COROUTINE:  # it awaits something, which a notebook may do outside functions
            self.loop = self.loop or asyncio.new_event_loop()
            self.loop.run_until_complete(awaited)


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
