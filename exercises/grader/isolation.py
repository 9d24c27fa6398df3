"""Which isolation this machine can give to code that is not trusted, tried out and not guessed."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from exercises.grader import launch, staging
from exercises.grader.limits import Limits

# A Python in root's home may start for another user, but with the library of the system's Python.
WORKS = "import json, sys; open(sys.executable, 'rb').close(); sys.path.insert(0, sys.argv[1]); import calls"
WORKS += "; sys.exit(None if calls.refuse() else sys.argv[2])"
NO_FILTER = "this kernel, or this kind of processor, cannot take system calls away from a process (seccomp)"
INSTALL = "sudo apt-get install bubblewrap"
RESTRICTED = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")


class IsolationError(RuntimeError):
    """Code that is not trusted cannot be isolated here; the message says what to do."""


@dataclass(frozen=True)
class Isolation:
    """How code is run: ``bubblewrap``, ``user`` or ``trust``; and in sentences what this does not guarantee."""

    name: str
    weaker: tuple[str, ...] = ()


USER = Isolation(
    "user",
    (
        "Every file that all users of this container may read can be read by a submission, other installed packages included; "
        "imports of ready-made answers are refused, which a determined submission can go round.",
        "Disk space, and memory in /dev/shm and /dev/zero, is shared with the grader: a submission can fill it until it ends, "
        "and what it wrote is removed then.",
        "Other processes are visible to a submission in /proc, though it can neither read nor end them.",
        "Submissions can tell each other what they see, hidden inputs too: at the same time directly, later by signs that "
        "stay, such as when a file was last read.",
    ),
)
TRUST = Isolation(
    "trust",
    (
        "Nothing is isolated: a submission can read, change and delete whatever you can, the scores of all others included.",
        "The network is not cut off.",
        "Limits on time and memory hold for code that does not set out to escape them.",
    ),
)


def choose(trust: bool = False, container: bool = False, private: Sequence[Path] = ()) -> Isolation:
    """The isolation for a class: ``trust`` is none, ``container`` is for where namespaces are forbidden, otherwise bubblewrap.

    ``private`` are files and folders that a submission must not be able to read in a container, beside the grader's own.

    Raises:
        IsolationError: it is not to be had here.
    """
    if trust and container:
        raise IsolationError("--trust and --container exclude each other; choose one")
    if not hasattr(os, "fork"):
        raise IsolationError("grading needs Linux (or macOS with --trust); on Windows, run it in WSL")
    if trust:
        return TRUST
    if sys.platform != "linux":
        raise IsolationError("isolating submissions needs Linux; grade in a Linux machine or container, or trust them: --trust")
    return _container(private) if container else _bubblewrap()


def _bubblewrap() -> Isolation:
    if shutil.which("bwrap") is None:
        raise IsolationError(f"bubblewrap is not installed; install it with: {INSTALL}")
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        raise IsolationError("setpriv is not installed; install it with: sudo apt-get install util-linux")
    said = _try("bubblewrap")
    if said is None:
        return Isolation("bubblewrap")
    if "Unknown option" in said:
        raise IsolationError(
            f"bubblewrap is too old ({said}); version 0.8 or later is needed, as Debian 12 and Ubuntu 24.04 have it"
        )
    if _restricted():
        raise IsolationError(
            f"bubblewrap is installed, but AppArmor does not let it make a sandbox ({said}), as on Ubuntu since 23.10. "
            "Allow it until the next start of the machine with: sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0"
        )
    root = "as root in a container, use --container; " if os.geteuid() == 0 else ""
    raise IsolationError(
        f"bubblewrap is installed, but this machine does not let it make a sandbox ({said}). User namespaces may be forbidden, "
        f"as in most containers: {root}if you trust every submission, use --trust"
    )


def _restricted() -> bool:
    """Whether AppArmor keeps ordinary users from making namespaces."""
    try:
        return os.geteuid() != 0 and RESTRICTED.read_text(encoding="ascii").strip() == "1"
    except OSError:  # no AppArmor, or one that knows no such restriction
        return False


def _container(private: Sequence[Path]) -> Isolation:
    if os.geteuid() != 0:
        raise IsolationError("--container gives each submission a user of its own, which root alone can do; run it as root")
    if shutil.which("setpriv") is None:
        raise IsolationError("setpriv is not installed; install it with: apt-get install util-linux")
    readable = [path for path in (Path(__file__).parents[1], *private) if launch.readable(path)]
    if readable:
        named = " ".join(str(path) for path in readable)
        raise IsolationError(f"every user of this machine can read {named}; let root alone do so: chmod -R go-rwx {named}")
    if (said := _try("user")) is not None:
        raise IsolationError(
            f"{launch.PYTHON} cannot be run by an ordinary user ({said}); Python and packages must lie where everybody can read"
        )
    return USER


def _try(mode: str) -> str | None:
    """Start the Python of a sandbox and end it; what went wrong, or nothing.

    Raises:
        IsolationError: it starts, but system calls cannot be refused in it.
    """
    folder = staging.stage([])
    try:
        box = launch.paths(mode, folder)[0]
        with launch.place(mode) as here:
            staging.let_in(folder, here.uid)
            done = subprocess.run(
                [*launch.command(mode, folder, here, Limits()), *launch.python(mode), "-c", WORKS, box, NO_FILTER],
                env=launch.environment(mode, here),
                cwd=launch.start_in(here),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if done.returncode == 0:
        return None
    said = (done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"])[-1][:300]
    if said == NO_FILTER:
        raise IsolationError(f"submissions cannot be isolated here: {NO_FILTER}; if you trust every submission, use --trust")
    return said
