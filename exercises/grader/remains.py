"""What a sandbox without a file system of its own may leave on the machine, and how it is removed: files of its user wherever
everybody may write, and memory that outlives its process.
"""

import contextlib
import ctypes
import functools
import itertools
import os
import re
import subprocess
from pathlib import Path

# Removing one of each kind: the function of the C library, and what stands between its number and IPC_RMID, 0.
KINDS = {"shm": ("shmctl", ()), "sem": ("semctl", (0,)), "msg": ("msgctl", ())}
_numbers = itertools.count()


@functools.cache
def places(top: str = "/") -> tuple[str, ...]:
    """The folders of this machine in which everybody may write."""
    search = ["find", top, "(", "-path", "/proc", "-o", "-path", "/sys", ")", "-prune"]
    search += ["-o", "-type", "d", "-perm", "-0002", "-print0"]
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}
    found = subprocess.run(search, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return tuple(sorted(os.fsdecode(name) for name in found.stdout.split(b"\0") if name))


def remove(uid: int) -> None:
    """Remove everything that belongs to a user. None of the user's processes runs any more."""
    for place in places():
        with contextlib.suppress(OSError):
            _clear(place, uid)
    library = ctypes.CDLL(None)
    for kind, (function, arguments) in KINDS.items():
        for number in _ipc(kind, uid):
            getattr(library, function)(number, *arguments, 0, None)


def _clear(place: str, uid: int) -> None:
    """Remove a user's files and folders from a place, with all that is in them.

    A folder is moved to where root alone may go, and the folders in it beside it: that follows no link, gives nobody the time
    to put another folder in the way, and takes as long for folders in folders as for folders side by side. A submission that
    runs beside this one may still fill a folder that it holds open: that stays on the heap for who tidies up next.
    """
    here = os.open(place, os.O_DIRECTORY | os.O_NOFOLLOW)
    heap = f".lmcore-{os.getpid()}-{uid}"
    names = (f"{heap}/{number}" for number in _numbers)
    try:
        own = [entry for entry in os.scandir(here) if _left(entry, uid)]
        if not own:
            return
        with contextlib.suppress(FileExistsError):
            os.mkdir(heap, 0o700, dir_fd=here)
        todo = []
        for entry in own:
            todo += _take(entry, here, here, next(names))
        while todo:
            name = todo.pop()
            folder = os.open(name, os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=here)
            try:
                for entry in os.scandir(folder):
                    todo += _take(entry, folder, here, next(names))
            finally:
                os.close(folder)
            with contextlib.suppress(OSError):
                os.rmdir(name, dir_fd=here)
    finally:
        with contextlib.suppress(OSError):
            os.rmdir(heap, dir_fd=here)
        os.close(here)


def _left(entry: os.DirEntry, uid: int) -> bool:
    """Whether something belongs to a user, or is the heap of a process that is gone."""
    try:
        owner = entry.stat(follow_symlinks=False).st_uid
    except OSError:  # somebody else's, gone since
        return False
    heap = re.fullmatch(r"\.lmcore-(\d+)-\d+", entry.name)
    return owner == uid or (owner == os.geteuid() and heap is not None and not os.path.exists(f"/proc/{heap[1]}"))


def _take(entry: os.DirEntry, folder: int, here: int, name: str) -> list[str]:
    """Remove a file; move a folder away, and say where it is now. What changes meanwhile is left alone."""
    with contextlib.suppress(OSError):
        if entry.is_dir(follow_symlinks=False):
            os.rename(entry.name, name, src_dir_fd=folder, dst_dir_fd=here)
            return [name]
        os.unlink(entry.name, dir_fd=folder)
    return []


def _ipc(kind: str, uid: int) -> list[int]:
    """The numbers of what a user has of System V's segments, semaphores or queues."""
    with contextlib.suppress(OSError):
        names, *lines = (line.split() for line in Path(f"/proc/sysvipc/{kind}").read_text(encoding="ascii").splitlines())
        rows = [dict(zip(names, line, strict=False)) for line in lines]
        return [int(row[names[1]]) for row in rows if str(uid) in (row["uid"], row["cuid"])]
    return []
