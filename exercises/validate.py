"""Prove the banks: ``python -m exercises.validate [--seeds 20] [NAME ...]``, where a name is an exercise or a chapter.

Prints one line per exercise and the share of mutants killed; exits with 1 if anything fails.
"""

import argparse
import sys
import time
from collections.abc import Sequence

import torch

import exercises
from exercises.grader import notebook
from exercises.grader.validate import Proof, prove

COLUMNS = ("right", "wrong", "hints reached", "mutants", "killed", "equivalent")


def table(proofs: Sequence[Proof]) -> str:
    """One line per exercise and their sum; a killed share leaves out the mutants that compute the same."""
    rows = [("exercise", *COLUMNS)]
    for name, some in [(proof.name, [proof]) for proof in proofs] + [(f"{len(proofs)} exercises", list(proofs))]:
        right, wrong, reached, mutants, killed, equivalent = (
            sum(getattr(proof, field) for proof in some)
            for field in ("right", "wrong", "reached", "mutants", "killed", "equivalent")
        )
        share = f"{killed} ({100 * killed / max(1, mutants - equivalent):.1f} %)"
        rows.append((name, str(right), str(wrong), f"{reached} of {wrong}", str(mutants), share, str(equivalent)))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m exercises.validate", description="Prove the banks of the exercises.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="an exercise or a chapter (default: all)")
    parser.add_argument("--seeds", type=int, default=20, help="how many seeds of cases (default: 20)")
    chosen = parser.parse_args(arguments)
    if chosen.seeds < 1:
        parser.error(f"--seeds is at least 1, got {chosen.seeds}")
    try:
        names = [name for given in chosen.names or exercises.chapters() for name in _expand(given)]
    except ValueError as error:
        parser.error(str(error))
    start, failures, proofs = time.perf_counter(), [], []
    for name in names:
        proof = prove(exercises.get(name), chosen.seeds)
        proofs.append(proof)
        failures += [f"{name}: {failure}" for failure in proof.failures]
        if torch.cuda.is_available():
            failures += [f"{name} on the GPU: {failure}" for failure in prove(exercises.get(name), 2, "cuda").failures]
    for chapter in sorted({exercises.get(name).chapter for name in names}):
        failures += [f"{chapter}: {problem}" for problem in notebook.problems(chapter)]
    print(table(proofs))
    print(f"{chosen.seeds} seeds, {time.perf_counter() - start:.1f} s")
    for failure in failures:
        print(f"FAILED {failure}")
    return 1 if failures else 0


def _expand(name: str) -> list[str]:
    return [exercise.name for exercise in exercises.bank(name)] if name in exercises.chapters() else [exercises.get(name).name]


if __name__ == "__main__":
    sys.exit(main())
