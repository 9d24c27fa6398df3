"""A fingerprint of everything a score depends on: a record with another one is graded again."""

import hashlib
import inspect
import os
import platform
import re
import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch

import exercises
import lmcore
from exercises.grader.exercise import Exercise

# A seed that can be guessed makes the hidden cases known.
SHORTEST_SEED = 16


def fingerprint(chosen: Sequence[Exercise], seed: int, settings: Iterable[object]) -> str:
    """SHA-256 of the seed, the settings, the exercises with their banks, the grader, ``lmcore``, and the versions of Python,
    torch and NumPy."""
    total = hashlib.sha256()
    for part in (
        hashlib.sha256(str(seed).encode()).hexdigest(),
        exercises.EDITION,
        platform.python_version(),
        platform.machine(),
        torch.__version__,
        np.__version__,
        *(f"{exercise.chapter} {exercise.name}" for exercise in chosen),
        *settings,
    ):
        total.update(f"{part!r}\n".encode())
    banks = {Path(inspect.getfile(exercise.reference)).parent for exercise in chosen}
    for folder in [Path(lmcore.__path__[0]), exercises.HERE / "grader", *sorted(banks)]:
        for path in sorted(folder.rglob("*.py")):
            total.update(path.relative_to(folder).as_posix().encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def secret_seed(path: Path) -> int:
    """The number in the file ``path``, from which hidden cases are drawn; the file is made, for its owner alone, if it is not
    there.

    Raises:
        ValueError: the file holds too little to be a secret.
        OSError: it can be neither read nor made.
    """
    try:
        with open(path, "x", encoding="utf-8", opener=_private) as file:
            file.write(secrets.token_hex(32) + "\n")
    except FileExistsError:
        pass
    with open(path, encoding="utf-8", errors="replace") as file:
        text = file.read(1000).strip()
    if len(text) < SHORTEST_SEED or not re.fullmatch(r"[ -~]+", text):
        raise ValueError(
            f"{path} holds no seed: one line of at least {SHORTEST_SEED} letters or digits that nobody can guess is needed; "
            "delete the file, and one is made"
        )
    return int.from_bytes(hashlib.sha256(text.encode()).digest())


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, mode=0o600)
