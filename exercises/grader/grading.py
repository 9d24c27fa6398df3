"""One submission from its notebooks to its record."""

import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch

from exercises.grader import sandbox, scan, scoring, staging
from exercises.grader.apart import apart
from exercises.grader.exercise import Exercise
from exercises.grader.fingerprint import fingerprint
from exercises.grader.isolation import Isolation
from exercises.grader.limits import Limits
from exercises.grader.record import NOT_HANDED_IN, QuestionRecord, Record
from exercises.grader.submissions import Handed, Submission
from exercises.grader.table import clean
from lmcore.check.question import Question

NO_FUNCTION = (
    "The notebook defines no function {name}: is it still called so, and does its cell come to its end when the notebook is "
    "run from the top?"
)


class Asked(NamedTuple):
    """A question with its hidden cases and all expected answers, and what it is worth."""

    question: Question
    possible: int


@dataclass(frozen=True)
class Plan:
    """What every submission of a class is graded with."""

    chapters: Mapping[str, tuple[Asked, ...]]  # the questions of each, in the order of the book
    isolation: Isolation
    limits: Limits
    fingerprint: str  # of everything a score depends on, see exercises.grader.fingerprint
    partial: float = scoring.PARTIAL

    @property
    def seconds(self) -> float:
        """When grading one submission is given up: long after every limit of the sandbox should have ended it."""
        asked = [one.question for questions in self.chapters.values() for one in questions]
        return 120 + sum(self.limits.start + 2 * self.limits.whole(question) + scoring.SECONDS for question in asked)


def plan(
    exercises: Sequence[Exercise],
    seed: int,
    isolation: Isolation,
    limits: Limits | None = None,
    partial: float = scoring.PARTIAL,
) -> Plan:
    """Draw the hidden cases of ``seed`` and compute what the answers of the bank give, once for the whole class."""
    limits = limits or Limits()
    version = fingerprint(exercises, seed, (isolation.name, limits, partial))
    return Plan(ask(exercises, seed), isolation, limits, version, partial)


def ask(exercises: Sequence[Exercise], seed: int) -> dict[str, tuple[Asked, ...]]:
    """The questions of ``exercises`` by chapter, with the hidden cases of ``seed`` and what the answers of the bank give."""
    torch.set_num_threads(1)  # grading forks, and what other threads hold would stay held
    staging.packages()  # found once, not in each process
    chapters: dict[str, tuple[Asked, ...]] = {}
    for exercise in exercises:
        staging.rooms(exercise.probe)
        asked = Asked(exercise.question(seed), exercise.points)
        chapters[exercise.chapter] = (*chapters.get(exercise.chapter, ()), asked)
    return chapters


def grade(submission: Submission, plan: Plan) -> Record:
    """The record of one submission. Never raises for anything that a submission does."""
    handed = {notebook.chapter: notebook for notebook in submission.notebooks}
    questions: list[QuestionRecord] = []
    for chapter, asked in plan.chapters.items():
        if chapter in handed:
            questions += _notebook(submission, handed[chapter], asked, plan)
        else:
            said = f"Nothing was handed in for {chapter}."
            questions += [replace(scoring.missing(*one, said), kind=NOT_HANDED_IN) for one in asked]
    return record(submission, plan, questions)


def lost(submission: Submission, plan: Plan, why: str) -> Record:
    """The record of a submission that the grader could not finish."""
    questions = [scoring.crashed(*one, why) for asked in plan.chapters.values() for one in asked]
    return record(submission, plan, questions)


def record(submission: Submission, plan: Plan, questions: Sequence[QuestionRecord]) -> Record:
    """The questions of a submission with what is known about it."""
    return Record(
        student=submission.student,
        key=submission.key,
        source=submission.source,
        digest=submission.digest,
        grader=plan.fingerprint,
        isolation=plan.isolation.name,
        questions=tuple(questions),
        notes=tuple(submission.notes),
    )


def _notebook(submission: Submission, notebook: Handed, asked: Sequence[Asked], plan: Plan) -> list[QuestionRecord]:
    questions = [question for question, _ in asked]
    flags = _flags(notebook.cells, questions)
    try:
        runs = sandbox.run(notebook.cells, questions, plan.isolation, plan.limits)
        assert len(runs) == len(asked), (len(runs), len(asked))
    except Exception as error:
        why = _report(submission, notebook.chapter, error)
        return [scoring.crashed(*one, why, found) for one, found in zip(asked, flags, strict=True)]
    records = []
    for (question, possible), found, run in zip(asked, flags, runs, strict=True):
        if run.status_note == "missing":
            one = scoring.missing(question, possible, NO_FUNCTION.format(name=question.name), run.notes, found)
            records.append(replace(one, late=run.late))
            continue
        try:
            one = scoring.score(question, possible, run.answers, plan.partial, run.notes, found, run.late)
        except Exception as error:
            one = scoring.crashed(question, possible, _report(submission, question.name, error), found)
        records.append(one)
    return records


def _flags(cells: Sequence[str], questions: Sequence[Question]) -> list[list[str]]:
    """For each question what a person should look at. Hostile code is read in a process of its own."""
    try:
        return apart(_scan, cells, [(question.name, question.ready) for question in questions])
    except ValueError as error:
        return [[f"the code could not be looked through: {error}"]] * len(questions)


def _scan(cells: Sequence[str], asked: Sequence[tuple[str, tuple[str, ...]]]) -> list[list[str]]:
    found = [scan.flags(cells, name, ready) for name, ready in asked]
    # A literal may hold half a character, which no file takes.
    return [[line.encode("utf-8", "replace").decode("utf-8") for line in lines] for lines in found]


def _report(submission: Submission, where: str, error: Exception) -> str:
    """Tell the instructor what went wrong in the grader, and return it in few words that hold nothing of a case."""
    trace = "".join(traceback.format_exception(error))
    print(clean(f"error: grading {where} of {submission.source} failed:\n{trace}", lines=True), file=sys.stderr, flush=True)
    return type(error).__name__
