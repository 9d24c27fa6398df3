"""Work done in several processes, one for each item: what goes wrong with one item costs that item and nothing else."""

import gc
import multiprocessing
import signal
import sys
import time
import warnings
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Generic, NoReturn, TypeVar, cast

from exercises.grader.forking import uninterrupted

T = TypeVar("T")

# A process that is told to stop first tidies up: it ends its sandbox and removes what lies there.
SECONDS_TO_STOP = 10.0


@dataclass(frozen=True)
class Lost:
    """An item without an outcome, and why."""

    why: str


@dataclass
class _Job(Generic[T]):
    item: T
    process: BaseProcess
    deadline: float


def each(work: Callable[[T], str], items: Sequence[T], jobs: int, seconds: float) -> Generator[tuple[T, str | Lost]]:
    """Every item with ``work(item)``, a text, in the order in which they are done.

    Each item has a process of its own, a copy of this one (``fork``), so that what was computed before is shared; ``jobs`` of
    them run at a time. A process that takes longer than ``seconds``, raises or dies gives :class:`Lost`. Whoever stops
    iterating ends all of them.
    """
    waiting = list(reversed(items))
    running: dict[Connection, _Job[T]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                item = waiting.pop()
                with uninterrupted():
                    ours, process = _start(work, item)
                    running[ours] = _Job(item, process, time.monotonic() + seconds)
            patience = min(job.deadline for job in running.values()) - time.monotonic()
            done = cast(list[Connection], wait(list(running), timeout=max(0.0, patience)))
            late = [ours for ours, job in running.items() if ours not in done and job.deadline <= time.monotonic()]
            for ours in [*done, *late]:
                job = running.pop(ours)
                outcome = Lost(f"it took longer than {seconds:g} s") if ours in late else _outcome(ours, job.process)
                _stop(job.process, patience=0.0 if ours in late else 1.0)
                ours.close()
                yield job.item, outcome
    finally:
        for job in running.values():
            job.process.terminate()
        for ours, job in running.items():
            _stop(job.process)
            ours.close()


def _start(work: Callable[[T], str], item: T) -> tuple[Connection, BaseProcess]:
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(work, item, ours, theirs), daemon=True)
    with warnings.catch_warnings():
        # Python 3.12 warns of fork where there are threads; here they are those of a numerical library, which waits.
        warnings.simplefilter("ignore", DeprecationWarning)
        process.start()
    theirs.close()
    return ours, process


def _work(work: Callable[[T], str], item: T, ours: Connection, pipe: Connection) -> None:
    ours.close()  # else a write would wait for ever when the other process is gone
    gc.freeze()  # a collection would touch, and so copy, every page of the process
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C reaches every process of a terminal; the first one decides
    sys.unraisablehook = _swallowed
    signal.signal(signal.SIGALRM, _leave)
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGHUP, _leave)
    pipe.send_bytes(work(item).encode())
    pipe.close()


def _leave(*_: object) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once: the rest is tidying up
    sys.exit(1)


def _swallowed(unraisable: "sys.UnraisableHookArgs") -> None:
    """Python drops what is raised in a finalizer or beside a fork: then leaving has not begun, and is tried again."""
    if unraisable.exc_type is SystemExit:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
    else:
        sys.__unraisablehook__(unraisable)


def _outcome(pipe: Connection, process: BaseProcess) -> str | Lost:
    try:
        return pipe.recv_bytes().decode()
    except (EOFError, OSError):
        process.join(SECONDS_TO_STOP)
        code = process.exitcode or 0
        return Lost(f"its process was ended by {signal.Signals(-code).name}" if code < 0 else "its process ended early")


def _stop(process: BaseProcess, patience: float = 0.0) -> None:
    """End a process: wait ``patience`` seconds for it, ask it, make it."""
    process.join(patience)
    if process.is_alive():
        process.terminate()
        process.join(SECONDS_TO_STOP)
    if process.is_alive():
        process.kill()
        process.join()
    process.close()
