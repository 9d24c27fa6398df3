"""A user id of its own for each sandbox that root starts.

The limit on processes counts all processes of a user, so two sandboxes that run at a time must not share one. No entry in
``/etc/passwd`` is needed.
"""

import contextlib
import os
import pwd
import signal
import socket
import time
from collections.abc import Iterator

from exercises.grader import watch

FIRST, MANY = 60_706, 478  # no range that systemd or Debian hands out, and below 65,536: all that some containers have


@contextlib.contextmanager
def claimed() -> Iterator[int]:
    """A user id that no other sandbox and nobody else on this machine has.

    Raises:
        OSError: all are taken.
    """
    for uid in range(FIRST, FIRST + MANY):
        # A name of Linux's abstract namespace belongs to one socket at a time and goes with it, however this process ends.
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as claim:
            try:
                claim.bind(f"\0lmcore sandbox of user {uid}")
            except OSError:
                continue
            if not _known(uid) and not processes(uid):
                yield uid
                return
    raise OSError(f"all user ids from {FIRST} to {FIRST + MANY - 1} are taken; are there sandboxes of a run that was killed?")


def _known(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def processes(uid: int) -> list[int]:
    """The processes of a user."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if os.stat(f"/proc/{name}").st_uid == uid or uid in _ids(name):
                found.append(int(name))
    return found


def _ids(process: str) -> set[int]:
    """Real, effective, saved and file-system user id: a process that may not be read belongs to root in /proc's listing."""
    with open(f"/proc/{process}/status", encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith("Uid:"):
                return {int(word) for word in line.split()[1:]}
    return set()


def end(uid: int, seconds: float = 5.0) -> bool:
    """End every process of a user; whether none is left."""
    deadline = time.monotonic() + seconds
    while found := watch.alive(processes(uid)):
        if time.monotonic() > deadline:
            return False
        for process in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.002)
    return True
