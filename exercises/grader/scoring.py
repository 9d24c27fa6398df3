"""From what came back from the sandbox to the record of one question: points, a status, and words that hold nothing of a
hidden case."""

from collections.abc import Sequence
from dataclasses import astuple, replace
from typing import Any

from exercises.grader.apart import TooMuchError, apart
from exercises.grader.record import QuestionRecord
from lmcore.check.diagnose import diagnose
from lmcore.check.question import Question
from lmcore.check.run import Answer

# An answer that is right on some cases gets at most this share of the points.
PARTIAL = 0.5
# How long our own comparing may take: what came back may be made to be slow to compare, or to show.
SECONDS = 30.0
TOO_MUCH = "a value that takes too much time or memory to compare or to show"
# How a note begins that says that not the student but the grader failed. Such a record is not kept for the next run.
OUR_FAULT = "The grader failed on this question"


def points(possible: int, passed: Sequence[bool], partial: float = PARTIAL) -> float:
    """``possible`` where every case passes, otherwise ``possible × partial`` times the share of the cases that pass."""
    if passed and all(passed):
        return float(possible)
    return round(possible * partial * sum(passed) / max(1, len(passed)), 2)


def score(
    question: Question,
    possible: int,
    answers: Sequence[Answer],
    partial: float = PARTIAL,
    notes: Sequence[str] = (),
    flags: Sequence[str] = (),
    late: bool = False,
) -> QuestionRecord:
    """The record of a question whose cases were run: one answer per case, in their order.

    Values come from a stranger, so they are compared and shown in a process of its own (:func:`exercises.grader.apart.apart`);
    where that takes too long or too much memory, none of them counts.

    Raises:
        ValueError: there are not as many answers as cases.
    """
    try:
        found = apart(_compare, question, list(answers), seconds=SECONDS)
    except TooMuchError:
        late = True
        answers = [
            replace(one, status="unsupported", value=None, message=TOO_MUCH) if one.value is not None else one
            for one in answers
        ]
        found = apart(_compare, question, list(answers), seconds=SECONDS)
    passed = [ok for _, _, ok in found["cases"]]
    died = any(answer.status == "died" for answer in answers)
    return QuestionRecord(
        name=question.name,
        chapter=question.chapter,
        points=points(possible, passed, partial),
        possible=possible,
        status=_status(found["kind"], passed, died),
        kind=found["kind"],
        recognised=found["recognised"],
        hint=found["hint"],
        headline=found["headline"],
        cases=tuple((label, public, ok) for label, public, ok in found["cases"]),
        example=None if found["example"] is None else tuple(found["example"]),
        flags=tuple(flags),
        notes=tuple(notes),
        late=late,
    )


def _compare(question: Question, answers: list[Answer]) -> dict[str, Any]:
    result = diagnose(question, answers)
    return {
        "kind": result.kind,
        "recognised": result.recognised,
        "hint": result.hint,
        "headline": result.headline,
        "cases": result.cases,
        "example": None if result.example is None else astuple(result.example),
    }


def _status(kind: str, passed: Sequence[bool], died: bool) -> str:
    if kind in ("passed", "unwritten") and (all(passed) or not any(passed)):
        return kind
    if died:
        return "crashed"
    return "partly" if any(passed) else "failed"


def missing(
    question: Question, possible: int, hint: str, notes: Sequence[str] = (), flags: Sequence[str] = ()
) -> QuestionRecord:
    """The record of a question for which there is nothing to run."""
    return _without_points(question, possible, "missing", hint, notes, flags)


def crashed(question: Question, possible: int, why: str, flags: Sequence[str] = ()) -> QuestionRecord:
    """The record of a question on which the grader itself failed."""
    note = f"{OUR_FAULT}: {why} (a bug of the grader; nothing was counted)"
    return _without_points(question, possible, "crashed", "", (note,), flags)


def _without_points(
    question: Question, possible: int, status: str, hint: str, notes: Sequence[str], flags: Sequence[str] = ()
) -> QuestionRecord:
    return QuestionRecord(
        question.name, question.chapter, 0.0, possible, status, status, hint=hint, flags=tuple(flags), notes=tuple(notes)
    )
