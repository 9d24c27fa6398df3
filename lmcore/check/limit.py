"""A time limit for code that may never end, without losing the process it runs in."""

import ctypes
import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class TimeLimitError(BaseException):
    """Raised inside the code that ran too long. Not an ``Exception``, so that ``except Exception`` does not swallow it."""


class _LastError(BaseException):
    """Takes the place of a :class:`TimeLimitError` that may still be on its way."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise :class:`TimeLimitError` in the body after ``seconds``.

    A watching thread asks CPython to raise the exception in the thread that runs the body. This is the same on Linux,
    macOS and Windows, works in any thread, and leaves signals to Jupyter (``signal.alarm`` exists on POSIX and in the
    main thread only). The exception arrives between two Python instructions: an endless loop ends, but one call into C
    that does not return (a sleep, a product of huge matrices) ends only by itself or by the kernel's interrupt button.
    If the body swallows the exception with a bare ``except:``, it is raised again twice a second. A grader must not
    rely on this: it kills a process. An infinite number of seconds is no limit.
    """
    if math.isinf(seconds):
        yield
        return
    body, guard = threading.get_ident(), threading.Lock()
    begun, over, fired = threading.Event(), threading.Event(), threading.Event()

    def watch() -> None:
        begun.wait()
        wait = seconds
        while not over.wait(wait):
            with guard:
                if not over.is_set():
                    fired.set()
                    _raise_in(body, TimeLimitError)
            wait = 0.5

    threading.Thread(target=watch, name="time limit", daemon=True).start()
    try:
        begun.set()
        yield
    finally:
        _settle(body, over, guard, fired)


def _raise_in(thread: int, exception: type[BaseException]) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(exception))


def _settle(body: int, over: threading.Event, guard: threading.Lock, fired: threading.Event) -> None:
    """Stop the watching thread and make sure that no exception is still on its way.

    One that is cannot be called back: clearing it leaves CPython's flag for it set, which slows the interpreter down
    and hangs a profiler. So another takes its place (there is room for one), and is waited for.
    """
    while True:
        try:
            with guard:
                over.set()
            if fired.is_set():
                _raise_in(body, _LastError)
                while True:
                    time.sleep(0)
            return
        except TimeLimitError:  # it arrived right here
            continue
        except _LastError:
            return
