"""Tests of what only another user can show: an ordinary user for root, and a checkout that root alone can read."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parent.parent
UID = 61_900  # needs no entry in /etc/passwd
# A Python in root's home may start for another user with the library of the system's Python.
WORKS = "import sys, torch, packaging; open(sys.executable, 'rb').close()"
PACKAGES = Path(torch.__file__).parents[1]


def interpreters() -> list[str]:
    """Pythons of this version that may be readable for everybody, even where the one that runs here lies in root's home."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return [os.path.realpath(sys.executable), f"/usr/bin/{version}", f"/usr/local/bin/{version}"]


def as_user(command: list[str]) -> list[str]:
    """A command as an ordinary user, also where these tests run as root."""
    if os.geteuid() != 0:
        return command
    return ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", *command]


def python(folder: Path) -> str:
    """A Python that an ordinary user can run with the packages of this one; the test is skipped where there is none."""
    for path in interpreters():
        if Path(path).is_file() and run(folder, as_user([path, "-c", WORKS])).returncode == 0:
            return path
    pytest.skip(f"an ordinary user can run none of {', '.join(interpreters())} with the packages in {PACKAGES}")


def run(folder: Path, command: list[str], environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command in a copy of the checkout (see :func:`copy`)."""
    variables = {
        **{
            "PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
            "HOME": str(folder),
            "PYTHONDONTWRITEBYTECODE": "1",
            "OMP_NUM_THREADS": "1",
        },
        **{"PYTHONPATH": f"{folder}:{PACKAGES}", "TMPDIR": "/tmp"},
        **(environment or {}),
    }
    return subprocess.run(
        command, cwd=folder, env=variables, capture_output=True, text=True, check=False, timeout=400, stdin=subprocess.DEVNULL
    )


def copy(folder: Path, *, private: bool) -> Path:
    """A copy of what grading needs, for everybody to read or for its owner alone. Afterwards ``folder`` must be removed."""
    for name in ("lmcore", "exercises"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.mjs", "assets", "site"))
    (folder / "tests").mkdir()
    for path in [*(ROOT / "tests").glob("test_grading_*.py"), ROOT / "tests" / "__init__.py", Path(__file__)]:
        shutil.copy(path, folder / "tests")
    shutil.copy(ROOT / "pyproject.toml", folder)
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    folder.chmod(0o700 if private else 0o755)
    return folder
