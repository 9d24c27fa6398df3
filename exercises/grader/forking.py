"""What must not be interrupted: a fork."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

ASKED_TO_END = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """A Ctrl+C, or another request to end, that comes in this block is heard after it.

    Beside a fork Python calls functions, and one of them gives back the lock of ``logging``. What a signal raises in them is
    dropped: the request is lost, and the lock is held for ever. Only the main thread hears signals; in others this does
    nothing. The new process, which has nothing to tidy up yet, ends at once, or leaves a Ctrl+C to the one that made it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ours, came = os.getpid(), []

    def later(number: int, _: object) -> None:
        if os.getpid() == ours:
            came.append(number)
        elif number != signal.SIGINT:
            os._exit(1)

    before = {number: signal.signal(number, later) for number in ASKED_TO_END}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for late in came:
            signal.raise_signal(late)
