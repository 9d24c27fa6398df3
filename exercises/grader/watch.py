"""How much a running sandbox takes, by what /proc says: the limits of the kernel hold for one process, these for all together."""

import contextlib

from exercises.grader import users
from exercises.grader.box import held


def members(root: int, uid: int | None) -> list[int]:
    """The processes of a sandbox: what descends from its first one, and all of its user."""
    found = [root, *held.descendants(root)]
    return found if uid is None else sorted({*found, *users.processes(uid)})


def taken(processes: list[int]) -> tuple[int, int]:
    """Bytes of memory that belong to processes and not to a file, and how many threads they have."""
    memory = threads = 0
    for process in processes:
        with contextlib.suppress(OSError, ValueError), open(f"/proc/{process}/status", "rb") as file:
            for line in file:
                name, _, rest = line.partition(b":")
                if name in (b"RssAnon", b"RssShmem", b"VmSwap"):
                    memory += int(rest.split()[0]) << 10
                elif name == b"Threads":
                    threads += int(rest)
    return memory, threads
