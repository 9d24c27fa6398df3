"""What must not be interrupted: a fork."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uninterrupted() -> Iterator[None]:
    """A Ctrl+C that comes in this block is heard after it.

    Beside a fork Python calls functions, and one of them gives back the lock of ``logging``. What a signal raises in them is
    dropped: the Ctrl+C is lost, and the lock is held for ever. Only the main thread hears it; in others this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pressed: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: pressed.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if pressed:
            signal.raise_signal(signal.SIGINT)
