"""The command that starts a sandbox, in each of the three ways of isolation."""

import contextlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from exercises.grader import remains, staging, users
from exercises.grader.limits import Limits

# The Python that runs the grader, without its virtual environment.
PYTHON = Path(os.path.realpath(sys.executable))
# Where things lie inside bubblewrap: no path of the machine is to be seen there.
STAGE, SITE, HOME, TMP = "/course", "/packages", "/student", "/tmp"
WRITABLE = (TMP, HOME, "/dev/shm")  # each a file system of its own
NOT_SHOWN = ("site-packages", "dist-packages")


@dataclass(frozen=True)
class Place:
    """What belongs to one sandbox while it runs: its user id (root starts it), and a folder it may write to (not bubblewrap,
    which has one of its own)."""

    uid: int | None
    folder: Path | None


@contextlib.contextmanager
def place(mode: str) -> Iterator[Place]:
    """A place for one sandbox, and afterwards no trace of it."""
    with contextlib.ExitStack() as stack:
        uid = stack.enter_context(users.claimed()) if os.geteuid() == 0 and mode != "trust" else None
        folder = None
        if uid is not None and mode == "user":
            remains.remove(uid)  # left by a grader that was killed
            stack.callback(remains.remove, uid)
        if mode != "bubblewrap":
            folder = Path(tempfile.mkdtemp(prefix="lmcore-home-"))
            # Not Python's own way of removing: what a student's code made may be nested too deep for it.
            stack.callback(subprocess.run, ["rm", "-rf", "--", str(folder)], check=False, stderr=subprocess.DEVNULL)
            if uid is not None:
                os.chown(folder, uid, uid)
        if uid is not None:
            stack.callback(users.end, uid)
        yield Place(uid, folder)


def command(mode: str, stage: Path, here: Place, limits: Limits, extra: tuple[Path, ...] = ()) -> list[str]:
    """What stands before the Python of a sandbox. ``extra`` are further packages that its questions need."""
    drop = []
    if here.uid is not None:
        ids = [f"--reuid={here.uid}", f"--regid={here.uid}", "--clear-groups"]
        drop = ["setpriv", *ids, "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]
        drop[0] = shutil.which("setpriv") or "setpriv"
    if mode != "bubblewrap":
        return drop
    return [shutil.which("bwrap") or "bwrap", *_namespaces(), *_files(stage, limits, extra), "--chdir", HOME, "--", *drop]


def _namespaces() -> list[str]:
    options = ["--unshare-all", "--die-with-parent", "--new-session", "--hostname", "sandbox"]
    if os.geteuid() == 0:
        # With root's own user namespace the user below is one that the kernel counts processes of, and nobody else's.
        options.remove("--unshare-all")
        options += [f"--unshare-{kind}" for kind in ("ipc", "pid", "net", "uts", "cgroup-try")]
        return [*options, "--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID", "--cap-add", "CAP_SETPCAP"]
    return [*options, "--unshare-user", "--disable-userns"]


def _files(stage: Path, limits: Limits, extra: tuple[Path, ...]) -> list[str]:
    options = []
    # bubblewrap makes missing folders for root alone.
    for folder in ("/usr", "/usr/bin", "/etc", "/python", "/python/bin", SITE):
        options += ["--perms", "0755", "--dir", folder]
    for folder in ("/usr/lib", "/usr/lib32", "/usr/lib64"):
        if os.path.isdir(folder):
            options += ["--ro-bind", folder, folder]
    for name in ("lib", "lib32", "lib64", "bin"):
        if os.path.islink(f"/{name}"):
            options += ["--symlink", f"usr/{name}", f"/{name}"]
        elif os.path.isdir(f"/{name}") and name != "bin":
            options += ["--ro-bind", f"/{name}", f"/{name}"]
    if os.path.isfile("/etc/ld.so.cache"):
        options += ["--ro-bind", "/etc/ld.so.cache", "/etc/ld.so.cache"]
    if os.geteuid() == 0 and (setpriv := shutil.which("setpriv")):
        options += ["--ro-bind", os.path.realpath(setpriv), setpriv]
    options += _own_python()
    for path in [*staging.packages().values(), *extra]:
        options += ["--ro-bind", str(path), f"{SITE}/{path.name}"]
    options += ["--ro-bind", str(stage), STAGE, "--proc", "/proc", "--dev", "/dev"]
    for folder in WRITABLE:
        options += ["--perms", "1777", "--size", str(limits.disk), "--tmpfs", folder]
    # Pages of /dev/zero that processes share would belong to none of them, and count nowhere.
    return [*options, "--ro-bind", "/dev/null", "/dev/zero", "--remount-ro", "/dev", "--remount-ro", "/"]


def _own_python() -> list[str]:
    """The interpreter and its library without any installed package. That of the system stays where it is; another one is put
    where its path does not name a user of this machine."""
    base, version = Path(sys.base_prefix).resolve(), f"python{sys.version_info.major}.{sys.version_info.minor}"
    library = Path(sysconfig.get_path("stdlib")).resolve()
    options = []
    if base == Path("/usr"):
        options += ["--ro-bind", str(PYTHON), str(PYTHON)]
        hidden = [Path("/usr/lib/python3/dist-packages"), *(library / name for name in NOT_SHOWN)]
    else:
        options += ["--ro-bind", str(PYTHON), inside_python(), "--ro-bind", str(base / "lib"), "/python/lib"]
        hidden = [Path("/usr/lib/python3/dist-packages"), *(Path("/python/lib") / version / name for name in NOT_SHOWN)]
        real = {Path("/python/lib") / version / name: library / name for name in NOT_SHOWN}
        return [*options, *_hide([path for path in hidden if real.get(path, path).is_dir()])]
    return [*options, *_hide([path for path in hidden if path.is_dir()])]


def _hide(folders: list[Path]) -> list[str]:
    return [word for folder in folders for word in ("--size", "4096", "--tmpfs", str(folder), "--remount-ro", str(folder))]


def inside_python() -> str:
    """The path of the interpreter inside bubblewrap."""
    return str(PYTHON) if Path(sys.base_prefix).resolve() == Path("/usr") else f"/python/bin/{PYTHON.name}"


def python(mode: str) -> list[str]:
    """The interpreter of a sandbox. It sees no package of this machine but by the path it is given. Unlike ``-I``, it takes
    the fixed hash seed from its environment, in which there is nothing else of use."""
    return [inside_python() if mode == "bubblewrap" else str(PYTHON), "-s", "-S", "-P", "-B"]


def paths(mode: str, stage: Path) -> list[str]:
    """Where the Python of a sandbox finds modules, beside its own."""
    if mode == "bubblewrap":
        return [f"{STAGE}/box", STAGE, SITE]
    found = {str(path.parent) for path in staging.packages().values()}
    return [str(stage / "box"), str(stage), *sorted(found)]


def environment(mode: str, here: Place) -> dict[str, str]:
    """All variables of a sandbox."""
    home = HOME if here.folder is None else str(here.folder)
    tmp = TMP if here.folder is None else str(here.folder)
    return {
        "HOME": home,
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "LD_LIBRARY_PATH": "/python/lib" if here.folder is None else "",
        "TMPDIR": tmp,
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "MPLBACKEND": "Agg",
        "MPLCONFIGDIR": tmp,
    }


def start_in(here: Place) -> str:
    """The folder in which the command is started."""
    return str(here.folder or "/")


def readable(path: Path) -> bool:
    """Whether any user may read something of a file or folder."""
    path = path.resolve()
    if any(not parent.stat().st_mode & 0o001 for parent in path.parents):
        return False
    return bool(path.stat().st_mode & (0o005 if path.is_dir() else 0o004))
