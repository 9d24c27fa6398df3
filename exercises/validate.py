"""Prove the banks: ``python -m exercises.validate [--seeds 20] [-j N] [NAME ...]``, where a name is an exercise or a chapter.

Prints one line per exercise and the share of mutants killed; exits with 1 if anything fails. ``--markdown FILE`` writes the
table that the book publishes, ``--check FILE`` fails where that table says something else than was found.
"""

import argparse
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch
from tqdm import tqdm

import exercises
from exercises.grader import notebook, published
from exercises.grader.validate import Proof, prove


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m exercises.validate", description="Prove the banks of the exercises.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="an exercise or a chapter (default: all)")
    parser.add_argument("--seeds", type=int, default=20, metavar="N", help="how many seeds of cases (default: 20)")
    parser.add_argument("-j", "--jobs", type=int, default=_cores(), metavar="N", help="processes (default: one per core)")
    parser.add_argument(
        "--private",
        type=Path,
        action="append",
        default=[],
        metavar="FOLDER",
        help="a set of your own, and nothing else by default",
    )
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table that the book publishes")
    parser.add_argument("--check", type=Path, metavar="FILE", help="fail if this published table says something else")
    chosen = parser.parse_args(arguments)
    for option, number in (("--seeds", chosen.seeds), ("--jobs", chosen.jobs)):
        if number < 1:
            parser.error(f"{option} is at least 1, got {number}")
    if (chosen.markdown or chosen.check) and (chosen.names or chosen.private):
        parser.error("--markdown and --check are about the whole book: give no names and no private set")
    try:
        private = [exercises.register(folder) for folder in chosen.private]
        names = [name for given in chosen.names or private or exercises.book() for name in _expand(given)]
    except (ValueError, OSError) as error:
        parser.error(str(error))
    start, failures, proofs = time.perf_counter(), [], []
    for name, proof, failed in tqdm(_proofs(names, chosen.seeds, chosen.jobs), total=len(names), disable=None, leave=False):
        proofs.append(proof)
        failures += [f"{name}{failure}" for failure in failed]
    for chapter in sorted({exercises.get(name).chapter for name in names}):
        failures += [f"{chapter}: {problem}" for problem in notebook.problems(chapter)]
    print(published.plain(proofs))
    print(f"{published.count(chosen.seeds)}, {time.perf_counter() - start:.1f} s")
    if chosen.markdown and not failures:
        chosen.markdown.write_text(published.markdown(proofs, chosen.seeds), encoding="utf-8")
    if chosen.check:
        failures += published.differences(chosen.check, published.markdown(proofs, chosen.seeds))
    for failure in failures:
        print(f"FAILED {failure}")
    return 1 if failures else 0


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _expand(name: str) -> list[str]:
    return [exercise.name for exercise in exercises.bank(name)] if name in exercises.chapters() else [exercises.get(name).name]


def _proofs(names: Sequence[str], seeds: int, jobs: int) -> Iterator[tuple[str, Proof, list[str]]]:
    """Each exercise with its proof and what failed, in the order of ``names``, whatever the number of processes."""
    if min(jobs, len(names)) == 1:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # tensors are small: waking further threads costs more than they do
        try:
            yield from (_prove(name, seeds) for name in names)
        finally:
            torch.set_num_threads(threads)
        return
    # Not forked: a copy of a process that has run torch may wait for threads that it does not have.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(jobs, len(names)), context, _begin, (exercises.private(),)) as pool:
        try:
            yield from pool.map(_prove, names, [seeds] * len(names))
        except BaseException:
            for process in multiprocessing.active_children():  # the pool would wait until they are done
                process.terminate()
            raise


def _begin(private: Sequence[Path]) -> None:
    """What a further process does first."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl+C ends it without a word; the first process speaks
    torch.set_num_threads(1)
    for folder in private:
        exercises.register(folder)


def _prove(name: str, seeds: int) -> tuple[str, Proof, list[str]]:
    proof = prove(exercises.get(name), seeds)
    failed = [f": {failure}" for failure in proof.failures]
    if torch.cuda.is_available():
        failed += [f" on the GPU: {failure}" for failure in prove(exercises.get(name), 2, "cuda").failures]
    return name, proof, failed


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
