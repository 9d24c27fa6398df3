"""Grading a class: seconds for 200 submissions of two questions in the sandbox of this machine, two at a time, and each
submission against starting a bare ``python -c "import torch"``.

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


def bare(repeats: int = 5) -> float:
    """Median seconds of a Python that imports torch, as many at a time as submissions are graded."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        running = [subprocess.Popen([sys.executable, "-c", "import torch"]) for _ in range(JOBS)]
        for process in running:
            process.wait()
        times.append((time.perf_counter() - start) / JOBS)
    return median(times)


def main() -> None:
    """Print seconds and ratios."""
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
        start = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - start
        if done.returncode:
            sys.exit(f"grading failed:\n{done.stdout[-1000:]}\n{done.stderr[-2000:]}")
        peer = (before + bare()) / 2
        start = time.perf_counter()
        subprocess.run(command, capture_output=True, check=True)
        again = time.perf_counter() - start
    each = seconds / SUBMISSIONS
    print(f"{SUBMISSIONS} submissions, {JOBS} at a time   {seconds:7.1f} s  (at most {ALLOWED:g} s on two cores)")
    print(f"a submission                      {each:7.2f} s  {each / peer:.2f} of a bare import of torch ({peer:.2f} s)")
    print(f"again, when all are graded        {again:7.1f} s")
    print(f"load of the machine               {os.getloadavg()[0]:7.1f}  on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
