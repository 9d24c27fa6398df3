"""Grade a class: ``python -m exercises.grade FOLDER``, where FOLDER holds what was handed in."""

import argparse
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

EXAMPLES = """\
what may lie in FOLDER:
  .ipynb and text notebooks, the zips that students pack, small zips of several;
  any names, nested folders; unpack the export of a class

what is written to OUT, for you alone:
  report.html            scores, mistakes per question, what a person should look at
  grades.csv             a line per student, for a spreadsheet
  feedback/NAME.html     a page for each student: hints, and nothing of hidden cases
  records/NAME.json      everything that was found out about a submission
  problems.csv           what could not be read, or should be looked at
  grading-seed           the secret that hidden cases are drawn from

examples:
  python -m exercises.grade week2
      every chapter that occurs; writes to week2-grades. After Ctrl+C, the same command goes on
  python -m exercises.grade week2 -j 2 --chapters ch02_tokens
  python -m exercises.grade week2 --questions count_pairs merge_pair --partial 0
  python -m exercises.grade resit -o resit-grades --seed-file week2-grades/grading-seed
      later, with the same hidden cases
  python -m exercises.grade midterm --private ~/private/midterm

It ends with 0 when everything is graded, {nothing} where nothing could be graded (the report says
why), 1 for an error, 130 after Ctrl+C.

Each submission runs in a sandbox (bubblewrap, on Linux). Where there is none, nothing is
graded unless you say --trust.
"""
# The exit status where a report was written, but none of the files is a submission. 2 is what make and shells use.
NOTHING = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit status: 0 if all is graded, ``NOTHING``, 1 for an error, 130 if stopped."""
    chosen = _parser().parse_args(arguments)
    if not hasattr(os, "fork"):
        return _error("grading needs Linux, or macOS with --trust; on Windows, use WSL 2")
    # Before torch is there, so that no library starts threads: the work is spread over processes.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    from exercises.grader.isolation import IsolationError

    try:
        with _ended_like_ctrl_c():
            return _grade(chosen)
    except KeyboardInterrupt:
        print("\nstopped: what is graded is kept; the same command goes on with the rest", file=sys.stderr)
        return 130
    except (ValueError, OSError, IsolationError) as error:
        return _error(str(error))


@contextmanager
def _ended_like_ctrl_c() -> Iterator[None]:
    """A request to end, and a terminal that is closed, stop the command as Ctrl+C does: nothing of a sandbox is left."""
    asked = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) is signal.SIG_DFL]
    for number in asked:
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number in asked:
            signal.signal(number, signal.SIG_DFL)


def _error(text: str) -> int:
    print(f"error: {text}", file=sys.stderr)
    return 1


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(_error(f"{message}; --help shows examples"))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m exercises.grade",
        description="Grade a class.",
        epilog=EXAMPLES.format(nothing=NOTHING),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("folder", type=Path, metavar="FOLDER", help="what was handed in; one zip does as well")
    add("-o", "--out", type=Path, metavar="OUT", help="where to write (default: FOLDER-grades)")
    add("-j", "--jobs", type=_jobs, default=_cores(), metavar="N", help="submissions at a time (default: one for each core)")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--chapters", nargs="+", default=[], metavar="NAME", help="grade these (default: all that occur)")
    what.add_argument("--questions", nargs="+", default=[], metavar="NAME", help="grade these questions only")
    add("--partial", type=_share, metavar="SHARE", default=0.5, help=PARTIAL)
    add("--seed-file", type=Path, metavar="FILE", help="the secret (default: OUT/grading-seed; made if it is not there)")
    add("--private", type=Path, action="append", default=[], metavar="SET", help="a folder of your own exercises")
    add("--again", action="store_true", help="grade also what is already graded")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--trust", action="store_true", help="run submissions without isolation; every report says so")
    how.add_argument("--container", action="store_true", help="in a container without namespaces: a user for each submission")
    return parser


PARTIAL = "of the points, the most for an answer that is right on some cases (0 to 1; default: 0.5)"


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _jobs(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a number of at least 1, got {text!r}")
    return int(text)


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"a number from 0 to 1, got {text!r}")
    return share


def _grade(chosen: argparse.Namespace) -> int:
    import exercises
    from exercises.grader import batch, isolation

    out = chosen.out or chosen.folder.resolve().with_name(f"{batch.title(chosen.folder)}-grades")
    batch.check_folders(chosen.folder, out)
    sets = [exercises.register(folder) for folder in chosen.private]
    # In a container a submission runs as a user beside these, and must not be able to read them.
    secret = [path for path in (chosen.folder, out, *chosen.private, chosen.seed_file) if path is not None and path.exists()]
    how = isolation.choose(trust=chosen.trust, container=chosen.container, private=secret)
    outcome = batch.run(
        batch.Choice(
            folder=chosen.folder,
            out=out,
            isolation=how,
            jobs=chosen.jobs,
            chapters=chosen.chapters or sets if not chosen.questions else (),
            questions=chosen.questions,
            partial=chosen.partial,
            seed_file=chosen.seed_file,
            again=chosen.again,
        )
    )
    return _say(outcome, how.name)


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


def _say(outcome, isolation: str) -> int:
    from exercises.grader import batch

    records = outcome.records
    if not records:
        why = _count(len(outcome.problems), "line")
        print(f"nothing could be graded: {why} in the report and in {batch.PROBLEMS} say why\nreport: {outcome.report}")
        return NOTHING
    mean = sum(record.points for record in records) / len(records)
    flagged = sum(any(question.flags for question in record.questions) for record in records)
    found = _count(len(outcome.problems), "problem")
    lines = [
        f"{_count(len(records), 'submission')} graded ({outcome.kept} of them before), isolation: {isolation}",
        f"mean {mean:.2f} of {records[0].possible} points; to look at: {flagged} flagged, {found}",
        f"report: {outcome.report}",
    ]
    if isolation == "trust":
        lines.insert(0, f"NOTE: {batch.TRUSTED}")
    if isolation == "user":
        lines.insert(0, "NOTE: graded without a sandbox (--container); the report lists what this does not guarantee")
    print("\n".join(lines))
    if outcome.ours:
        names = ", ".join(sorted(record.key for record in outcome.ours))
        return _error(f"the grader failed on questions of: {names} (see above); the same command tries these again")
    return 0


if __name__ == "__main__":
    sys.exit(main())
