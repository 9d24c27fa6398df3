"""Reading what comes out of a sandbox: every byte of it may be made to harm, and none is read without limits."""

import contextlib
import json
import select
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from exercises.grader.limits import Limits
from lmcore.check import wire
from lmcore.check.run import Answer
from lmcore.check.values import UnsupportedError, plain

# What a sandbox may claim. That a process died is said by the grader alone.
CLAIMS = ("ok", "raised", "unwritten", "unsupported", "timeout")
TICK = 0.05  # seconds between two looks at the memory and the processes of a sandbox


class GoneError(Exception):
    """The other end closed its socket."""


class LateError(Exception):
    """The deadline has passed."""


class LineError(ValueError):
    """What came is none of the answers that may come."""


class Line:
    """A socket to a process that is not trusted. Every :data:`TICK`, whether something comes or not, it calls ``watch``, which
    may raise."""

    def __init__(self, ours: socket.socket, watch: Callable[[], None]) -> None:
        ours.setblocking(False)
        self.socket, self.watch = ours, watch
        self.watched = time.monotonic()

    def send(self, data: bytes, deadline: float) -> None:
        """Write all of ``data``, or raise :class:`GoneError` or :class:`LateError`."""
        view = memoryview(data)
        while view:
            self._wait(select.POLLOUT, deadline)
            try:
                view = view[self.socket.send(view) :]
            except BlockingIOError:
                continue
            except OSError:
                raise GoneError from None

    def exactly(self, size: int, deadline: float) -> bytes:
        """Read ``size`` bytes, or raise :class:`GoneError` or :class:`LateError`."""
        parts = bytearray()
        while len(parts) < size:
            self._wait(select.POLLIN, deadline)
            try:
                part = self.socket.recv(min(size - len(parts), 1 << 20))
            except BlockingIOError:
                continue
            except OSError:
                raise GoneError from None
            if not part:
                raise GoneError
            parts += part
        return bytes(parts)

    def line(self, most: int, deadline: float) -> dict[str, Any]:
        """Read a line of JSON, an object of at most ``most`` bytes."""
        found = bytearray()
        while not found.endswith(b"\n"):
            if len(found) >= most:
                raise LineError("a line is too long")
            found += self.exactly(1, deadline)
        content = json.loads(found)
        if not isinstance(content, dict):
            raise LineError("expected an object")
        return content

    def value(self, limits: Limits, deadline: float) -> tuple[Any, int]:
        """Read a plain value, and how many bytes it took.

        Raises:
            LineError: it is too large, or malformed.
        """
        head = self.exactly(wire.LENGTH.size, deadline)
        header, body = wire.LENGTH.unpack(head)
        if header > limits.header or header + body > limits.reply:
            raise LineError(f"returned more than {limits.reply >> 20} MB")
        data = head + self.exactly(header + body, deadline)
        try:
            return plain(wire.decode(data)), len(data)
        except UnsupportedError as error:
            raise LineError(f"returned {error}") from None
        except (ValueError, RecursionError, MemoryError):
            raise LineError("sent back what is no value") from None

    def close(self) -> None:
        """Hang up."""
        with contextlib.suppress(OSError):
            self.socket.close()

    def _wait(self, event: int, deadline: float) -> None:
        poll = select.poll()
        poll.register(self.socket, event)
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise LateError
            ready = poll.poll(max(1, min(left, TICK) * 1000))
            if time.monotonic() > self.watched + TICK:
                self.watch()
                self.watched = time.monotonic()
            if ready:
                return


def answer(record: Any, arguments: int) -> Answer:
    """The answer that a sandbox sent for a case with so many arguments, cut to what an answer can be.

    Whether an argument was changed is the sandbox's word: a lie gains its author that one point of the question.

    Raises:
        LineError: it is none.
    """
    try:
        given = Answer.from_record(record)
    except ValueError:
        raise LineError("sent back what is no answer") from None
    changed = tuple(sorted({place for place in given.changed if type(place) is int and 0 <= place < arguments}))
    if given.status not in CLAIMS or (given.status == "raised") != bool(given.error):
        raise LineError("sent back what is no answer")
    value = given.value if given.status == "ok" else None
    error = given.error if given.error.isidentifier() else "Exception" if given.error else ""
    return Answer(given.status, value, error[:80], text(given.message, 300), text(given.line, 200), changed)


def text(words: str, most: int) -> str:
    """Words of a stranger that can be written to a file: cut, without half characters."""
    return words[:most].encode("utf-8", "replace").decode("utf-8")


@dataclass(frozen=True)
class Place:
    """A statement of a notebook: the number of its cell, its own in the cell from 0, and its line."""

    cell: int
    statement: int
    line: int


@dataclass(frozen=True)
class Ran:
    """What a sandbox says about the cells: whether the function that the question asks for is there, lines for the student, and
    the statements (cell, number) that took too long."""

    found: bool
    notes: tuple[str, ...]
    slow: tuple[tuple[int, int], ...]


def cells(record: Any) -> Place | Ran:
    """Which statement of a notebook is about to be run, or what came of all of them.

    Raises:
        LineError: it is neither.
    """
    if isinstance(record, dict) and set(record) == {"at"} and _numbers(record["at"], 3):
        return Place(*record["at"])
    if not isinstance(record, dict) or set(record) != {"found", "notes", "slow"} or type(record["found"]) is not bool:
        raise LineError("sent back what is no answer")
    notes, slow = record["notes"], record["slow"]
    if type(notes) is not list or len(notes) > 20 or not all(type(note) is str for note in notes):
        raise LineError("sent back what is no answer")
    if type(slow) is not list or not all(_numbers(place, 2) for place in slow):
        raise LineError("sent back what is no answer")
    return Ran(record["found"], tuple(text(note, 300) for note in notes), tuple(slow))


def _numbers(record: Any, many: int) -> bool:
    return type(record) is tuple and len(record) == many and all(type(n) is int and 0 <= n < 1 << 20 for n in record)


def pair() -> tuple[socket.socket, socket.socket]:
    """Two ends of a new connection; neither is inherited by a program that is started."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
