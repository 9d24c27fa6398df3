"""Grading a class: seconds for 200 submissions of two questions in the sandbox of this machine, two at a time, and each
submission against starting a bare ``python -c "import torch"``, two at a time as well.

A sandbox imports torch once, so the ratio says what isolation, two passes over the cases, and comparing add to that.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from exercises.grader import isolation
from exercises.grader.isolation import IsolationError
from tests.small_questions import CLASS, NAMES, hand_in

SUBMISSIONS, JOBS, ALLOWED = 200, 2, 300.0


def seconds(command: list[str], times: int = 1) -> float:
    """Of the clock, for running a command so many times at once."""
    start = time.perf_counter()
    running = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(times)]
    if any([process.wait() for process in running]):
        sys.exit(f"this failed: {' '.join(command)}")
    return time.perf_counter() - start


def bare() -> float:
    """For one of several Pythons that import torch at the same time."""
    return median(seconds([sys.executable, "-c", "import torch"], JOBS) for _ in range(5)) / JOBS


def main() -> None:
    """Print seconds and the ratio."""
    try:
        isolation.choose()
    except IsolationError as error:
        print(f"not measured: {error}")
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "class"
        answers = [given for given, _ in CLASS.values()]
        for number in range(SUBMISSIONS):
            hand_in(folder, f"Student {number:03}", *answers[number % len(answers)])
        command = [sys.executable, "-m", "exercises.grade", str(folder), "-j", str(JOBS), "--questions", *NAMES]
        before = bare()
        whole = seconds(command)
        peer = (before + bare()) / 2
        again = seconds(command)
    each = whole / SUBMISSIONS
    print(f"{SUBMISSIONS} submissions, {JOBS} at a time   {whole:7.1f} s  (at most {ALLOWED:g} s on two cores)")
    print(f"one of them                       {each:7.2f} s  {each / peer:.2f} × a bare import of torch ({peer:.2f} s)")
    print(f"again, when all are graded        {again:7.1f} s")
    print(f"load of the machine               {os.getloadavg()[0]:7.1f}  on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
