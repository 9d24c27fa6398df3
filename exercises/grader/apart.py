"""A trusted function on hostile data, in a process of its own: what goes wrong there costs this one result and nothing else.

Parsing can end a process: a deeply nested expression overflows the C stack in ``ast.parse``, a small file may ask for
gigabytes or minutes. Here a copy of this process (``fork``, some milliseconds) does it within limits, and what it returns
comes back as JSON.
"""

import faulthandler
import gc
import json
import math
import os
import resource
import select
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any, NoReturn

from exercises.grader.forking import uninterrupted

RESULT = 64 << 20  # bytes of JSON that may come back

_forking = threading.Lock()


class TooMuchError(ValueError):
    """The data asked for more time, memory or room than there is."""


def apart(function: Callable[..., Any], *args: Any, seconds: float = 10, memory: int = 1 << 30) -> Any:
    """``function(*args)`` in a forked process that may take ``seconds`` and ``memory`` more bytes than this one has.

    What is returned is what JSON makes of it: a tuple comes back as a list.

    Raises:
        TooMuchError: it took too long or too much memory, returned too much, or ended its process.
        ValueError: the function raised; the message is that of its ``ValueError``, or names the error.
    """
    ours, theirs = os.pipe()
    child, over = 0, False
    try:
        with uninterrupted():
            try:
                child = _fork((ours, theirs), function, args, seconds, memory)
            finally:
                os.close(theirs)
        said = _read(ours, time.monotonic() + seconds)
        over = True
    finally:
        os.close(ours)
        if child and not over:
            os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1] if child else 0
    if not said:
        raise TooMuchError(_ending(status))
    kind, content = json.loads(said)
    if kind == "value":
        return content
    raise (TooMuchError if kind == "too much" else ValueError)(content)


def _fork(pipe: tuple[int, int], *work: Any) -> int:
    with _forking, warnings.catch_warnings():
        # Python 3.12 warns of fork where there are threads. The child takes no lock but those Python makes anew.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        os.close(pipe[0])  # else a write would wait for ever when the other process is gone
        _answer(pipe[1], *work)
    return child


def _read(pipe: int, deadline: float) -> bytes:
    parts: list[bytes] = []
    size = 0
    while (left := deadline - time.monotonic()) > 0:
        poll = select.poll()
        poll.register(pipe, select.POLLIN)
        if not poll.poll(math.ceil(left * 1000)):
            break
        part = os.read(pipe, 1 << 20)
        if not part:
            return b"".join(parts)
        parts.append(part)
        size += len(part)
        if size > RESULT:
            raise TooMuchError(f"it holds more than {RESULT >> 20} MB")
    raise TooMuchError("it takes too long to read")


def _ending(status: int) -> str:
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU:
        return "it takes too long to read"
    return "reading it ended the process: it is nested too deeply, or made for that"


def _answer(pipe: int, function: Callable[..., Any], args: tuple, seconds: float, memory: int) -> NoReturn:
    """The child: it never returns into the program that it is a copy of."""
    try:
        said = _call(function, args, seconds, memory)
        while said:
            said = said[os.write(pipe, said) :]
    finally:
        os._exit(0)


def _call(function: Callable[..., Any], args: tuple, seconds: float, memory: int) -> bytes:
    try:
        faulthandler.disable()  # a crash here is no crash of the grader
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # of Ctrl+C whoever waits for this process decides
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGALRM, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        gc.disable()  # a collection would touch, and so copy, every page of the process
        sys.settrace(None)
        warnings.simplefilter("ignore")
        _limit(resource.RLIMIT_CORE, 0)
        _limit(resource.RLIMIT_CPU, math.ceil(seconds) + 1)
        _limit(resource.RLIMIT_AS, _held() + memory)
        outcome = ("value", function(*args))
        return json.dumps(outcome).encode()
    except (MemoryError, RecursionError):
        outcome = ("too much", "reading it takes too much memory, or it is nested too deeply")
    except ValueError as error:
        outcome = ("error", str(error)[:1000])
    except Exception as error:
        outcome = ("error", f"{type(error).__name__}: {error}"[:1000])
    return json.dumps(outcome).encode()


def _held() -> int:
    """The address space this process has already; torch alone reserves gigabytes of it."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[0]) * resource.getpagesize()
    except OSError:  # not Linux
        return 1 << 40


def _limit(which: int, most: int) -> None:
    _, hard = resource.getrlimit(which)
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(which, (most, most))
