"""How much a running sandbox takes in all, by what /proc says; the limits of the kernel hold for one process."""

import contextlib
import os
from collections.abc import Iterable

from exercises.grader.box import held


def members(root: int) -> list[int]:
    """The processes of a sandbox: its first one and what descends from it."""
    return [root, *held.descendants(root)]


def taken(processes: Iterable[int]) -> tuple[int, int]:
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


def names(process: int, folders: Iterable[str]) -> int:
    """How many files there are in file systems that are a sandbox's own, as a process in it sees them. Each takes memory of the
    kernel even if nothing is in it."""
    found = 0
    for folder in folders:
        with contextlib.suppress(OSError):
            system = os.statvfs(f"/proc/{process}/root{folder}")
            found += system.f_files - system.f_ffree
    return found


def alive(processes: Iterable[int]) -> list[int]:
    """Those that still run: not those that only wait for their parent to take note of their end."""
    found = []
    for process in processes:
        with contextlib.suppress(OSError), open(f"/proc/{process}/stat", "rb") as file:
            if file.read().rpartition(b")")[2].split()[0] not in (b"Z", b"X"):
                found.append(process)
    return found
