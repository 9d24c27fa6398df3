"""A class: from a folder of submissions to a folder of grades.

The folder of grades holds ``grades.csv``, ``problems.csv``, ``report.html``, ``feedback/KEY.html``, ``records/KEY.json``, and
the secret seed of the hidden cases. A record is written as soon as its submission is graded, so a run that was stopped goes
on where it was; a record of the same file by the same grader is kept.
"""

import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from tqdm import tqdm

import exercises
from exercises.grader import pool, report, scoring, table
from exercises.grader.exercise import Exercise
from exercises.grader.fingerprint import secret_seed
from exercises.grader.grading import Plan, grade, lost, plan
from exercises.grader.isolation import Isolation
from exercises.grader.pack import replace as write
from exercises.grader.record import Record, read
from exercises.grader.submissions import Collection, Problem, Submission, collect

SEED, GRADES, PROBLEMS, RECORDS = "grading-seed", "grades.csv", "problems.csv", "records"
MARK = ".lmcore-grades"  # an empty file: this folder is ours
TRUSTED = "These submissions were run without isolation (--trust): any of them can have changed any score, its own included."
# What a spreadsheet needs to read names that are not in English.
BOM = "\ufeff"


@dataclass(frozen=True)
class Choice:
    """What to grade, and how; see ``python -m exercises.grade --help``."""

    folder: Path
    out: Path
    isolation: Isolation
    jobs: int = 1
    chapters: Sequence[str] = ()  # none: all that occur in the submissions
    questions: Sequence[str] = ()  # none: all of these chapters
    partial: float = scoring.PARTIAL
    seed_file: Path | None = None  # none: in the folder of grades
    again: bool = False  # grade also what is already graded


@dataclass(frozen=True)
class Outcome:
    """What became of a class."""

    records: tuple[Record, ...]
    problems: tuple[Problem, ...]
    kept: int
    report: Path

    @property
    def ours(self) -> list[Record]:
        """Those with a question on which the grader failed."""
        return [record for record in self.records if broken(record)]


def run(choice: Choice) -> Outcome:
    """Grade a class and write everything; also where no file of it can be graded, since the report says why.

    Raises:
        ValueError: there is no file to grade, or what was asked for does not fit; the message says what to do.
        OSError: the folder of submissions cannot be read, or that of grades cannot be written.
        KeyboardInterrupt: stopped; what was graded until then is kept.
    """
    check_folders(choice.folder, choice.out)
    collection = collect(choice.folder, exercises.chapters())
    if not collection.submissions and not collection.problems:
        raise ValueError(f"there is no file in {choice.folder}; name the folder, or the zip, that holds the submissions")
    asked = chosen(choice, collection)
    problems = (*collection.problems, *_of_other_chapters(asked, collection))
    say(_what(asked, collection))
    make_folder(choice.out)
    seed = secret_seed(choice.seed_file or choice.out / SEED)
    what = plan(asked, seed, choice.isolation, partial=choice.partial)
    done = {} if choice.again else kept(choice.out, collection.submissions, what)
    todo = [submission for submission in collection.submissions if submission.key not in done]
    records = {**done, **grade_all(todo, what, choice, len(done))}
    ordered = tuple(sorted(records.values(), key=lambda record: (record.student.casefold(), record.key)))
    page = _write_all(choice, ordered, problems, asked)
    return Outcome(ordered, problems, len(done), page)


def check_folders(folder: Path, out: Path) -> None:
    """Neither folder lies in the other, and nothing that is not ours would be overwritten.

    Raises:
        ValueError: see above; also where ``folder`` does not exist.
    """
    if not folder.exists():
        raise ValueError(f"there is no folder {folder}; name the folder, or the zip, that holds the submissions")
    inside, outside = out.resolve(), folder.resolve()
    if inside == outside or outside in inside.parents or inside in outside.parents:
        raise ValueError(f"grades ({out}) and submissions ({folder}) each need a folder of their own; choose another with -o")
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is a file; choose a folder for the grades with -o")
    if out.is_dir() and any(out.iterdir()) and not (out / MARK).is_file():
        raise ValueError(f"{out} holds other files and no grades of an earlier run; choose a new folder with -o")


def title(folder: Path) -> str:
    """What a class is called: its folder or zip."""
    whole = folder.resolve()
    return whole.stem if whole.is_file() else whole.name


def make_folder(out: Path) -> None:
    """The folder of grades, for its owner alone: it holds the secret seed, and marks."""
    out.mkdir(parents=True, exist_ok=True)
    out.chmod(0o700)
    (out / MARK).touch()
    (out / RECORDS).mkdir(exist_ok=True)


def chosen(choice: Choice, collection: Collection) -> list[Exercise]:
    """The exercises that are graded, in the order of the book.

    Raises:
        ValueError: a chapter or a question that was asked for does not exist, or there is no notebook to grade.
    """
    names = {exercises.get(name).name for name in choice.questions}
    if names:
        return [exercise for name in exercises.names() if (exercise := exercises.get(name)).name in names]
    handed = {notebook.chapter for submission in collection.submissions for notebook in submission.notebooks}
    banks = {chapter: exercises.bank(chapter) for chapter in choice.chapters or handed}
    return [exercise for chapter in exercises.chapters() for exercise in banks.get(chapter, ())]


def _of_other_chapters(asked: Sequence[Exercise], collection: Collection) -> Iterator[Problem]:
    """A line for each student who handed in nothing that is asked for."""
    chapters = {exercise.chapter for exercise in asked}
    for submission in collection.submissions:
        handed = [notebook.chapter for notebook in submission.notebooks]
        if not chapters.intersection(handed):
            line = f"holds {', '.join(handed)} and nothing that is graded here: {submission.student} has 0 points"
            yield Problem(submission.source, line)


def _what(asked: Sequence[Exercise], collection: Collection) -> str:
    handed = Counter(notebook.chapter for one in collection.submissions for notebook in one.notebooks)
    lines = []
    for chapter in dict.fromkeys(exercise.chapter for exercise in asked):
        names = ", ".join(exercise.name for exercise in asked if exercise.chapter == chapter)
        lines.append(f"{chapter}: {names}; handed in by {handed[chapter]} of {len(collection.submissions)}")
    return "\n".join(lines)


def kept(out: Path, submissions: Sequence[Submission], what: Plan) -> dict[str, Record]:
    """The records of an earlier run that grading again would write in the same way."""
    found = {}
    for submission in submissions:
        try:
            record = read(_path(out, submission.key))
        except ValueError:
            continue
        same = (submission.student, submission.key, submission.digest, what.fingerprint)
        if (record.student, record.key, record.digest, record.grader) == same and not broken(record):
            found[submission.key] = replace(record, source=submission.source, notes=tuple(submission.notes))
    return found


def broken(record: Record) -> bool:
    """Whether the grader itself failed on a question."""
    return any(note.startswith(scoring.OUR_FAULT) for question in record.questions for note in question.notes)


def grade_all(todo: Sequence[Submission], what: Plan, choice: Choice, already: int = 0) -> dict[str, Record]:
    """Grade submissions, ``jobs`` at a time, and write each record at once; a bar shows how far it is on a terminal.

    Limits are of time by the clock, so what ran beside a submission may have been what was too slow: whoever did not end in
    time is graded once more at the end, alone, and that counts.
    """
    records: dict[str, Record] = {}
    late: list[Submission] = []
    tqdm.monitor_interval = 0  # its thread would be there when a process is forked
    with tqdm(total=len(todo) + already, initial=already, unit="submission", disable=None, dynamic_ncols=True) as bar:
        for jobs, some in ((choice.jobs, todo), (1, late)):
            with closing(pool.each(partial(_graded, what), some, jobs, what.seconds)) as work:
                for submission, outcome in work:
                    if isinstance(outcome, pool.Lost):
                        say(f"error: grading {submission.source} was given up: {outcome.why}")
                        record = lost(submission, what, outcome.why)
                    else:
                        record = Record.from_json(outcome)
                    if jobs > 1 and out_of_time(record):
                        late.append(submission)
                        continue
                    write(_path(choice.out, record.key), record.to_json(), 0o600)
                    records[record.key] = record
                    bar.set_postfix_str(table.clean(record.student, 30), refresh=False)
                    bar.update()
    return records


def out_of_time(record: Record) -> bool:
    """Whether a call or a cell of a submission, or comparing what it gave, did not end in time."""
    return any(question.late for question in record.questions)


def _graded(what: Plan, submission: Submission) -> str:
    return grade(submission, what).to_json()


def _path(out: Path, key: str) -> Path:
    return out / RECORDS / f"{key}.json"


def say(text: str) -> None:
    """A line for whoever grades, beside the progress bar, without anything a terminal obeys."""
    tqdm.write(table.clean(text, lines=True), file=sys.stderr)


def _write_all(choice: Choice, records: Sequence[Record], problems: Sequence[Problem], asked: Sequence[Exercise]) -> Path:
    out = choice.out
    for record in records:
        text = record.to_json()
        path = _path(out, record.key)
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            write(path, text, 0o600)
    _remove_others(out, {record.key for record in records})
    write(out / GRADES, BOM + table.grades(records, [exercise.name for exercise in asked]), 0o600)
    write(out / PROBLEMS, BOM + table.problems(problems), 0o600)
    chapters: dict[str, dict[str, int]] = {}
    for exercise in asked:
        chapters.setdefault(exercise.chapter, {})[exercise.name] = exercise.points
    about = report.About(
        title=title(choice.folder),
        chapters=chapters,
        isolation=choice.isolation.name,
        banner=TRUSTED if choice.isolation.name == "trust" else "",
        weaker=tuple(choice.isolation.weaker),
        edition=exercises.EDITION,
        partial=choice.partial,
        seeds="Hidden cases were drawn from a secret seed, the same for everybody.",
        json=f"{RECORDS}/{{key}}.json",
    )
    return report.write(out, records, problems, about)


def _remove_others(out: Path, keys: set[str]) -> None:
    """Records of those who are no longer in the folder of submissions."""
    for path in sorted((out / RECORDS).glob("*.json")):
        if path.stem not in keys:
            try:
                read(path)
            except ValueError:  # not ours
                continue
            os.remove(path)
