"""``results.json`` in the shape that Gradescope documents: https://gradescope-autograders.readthedocs.io/en/latest/specs/

Students see each question with its points and its hint. What is for a person to look at stands in a test of its own that only
instructors see.
"""

import json
from collections.abc import Sequence
from typing import Any

from exercises.grader.feedback import WORDS
from exercises.grader.pages import points, said
from exercises.grader.record import QuestionRecord, Record
from exercises.grader.scoring import OUR_FAULT
from lmcore.check.result import marked

NOT_GRADED = (
    "The grader stopped before it was done, so this submission has no score yet. This says nothing about your answers. "
    "Please tell your instructor, who can see more here and can run the grading again."
)


def text(content: dict[str, Any]) -> str:
    """``content`` as the text of ``results.json``."""
    return json.dumps(content, indent=1) + "\n"


def not_graded(for_instructors: str = "") -> dict[str, Any]:
    """What is there when grading did not come to its end: a message and no score, since a zero would say something else.

    ``for_instructors`` says why.
    """
    tests = [{"name": "Not graded", "status": "failed", "output": NOT_GRADED, "output_format": "text", "visibility": "visible"}]
    if for_instructors:
        tests.append({**tests[0], "name": "For instructors: why not", "output": for_instructors, "visibility": "hidden"})
    return {"output": f"<p>{said(NOT_GRADED)}</p>", "output_format": "html", "stdout_visibility": "hidden", "tests": tests}


def results(record: Record, problems: Sequence[str] = (), weaker: Sequence[str] = (), seconds: float = 0.0) -> dict[str, Any]:
    """A submission for Gradescope. Where the grader failed on a question, its points would be wrong, and there are none.

    Args:
        record: what was found; it holds nothing of a hidden case.
        problems: files of the submission that could not be read, in words.
        weaker: what the isolation does not guarantee here, for instructors.
        seconds: how long it took.
    """
    if ours := [f"{one.name}: {note}" for one in record.questions for note in one.notes if note.startswith(OUR_FAULT)]:
        return not_graded("\n".join(ours))
    summary = [f"{points(record.points, record.possible)} for {record.student}."]
    tests = [_test(number, question) for number, question in enumerate(record.questions, start=1)]
    return {
        "score": record.points,
        "execution_time": round(seconds),
        "output": _paragraphs([*summary, *record.notes, *problems]),
        "output_format": "html",
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "tests": [*tests, _for_instructors(record, weaker)],
    }


def _test(number: int, question: QuestionRecord) -> dict[str, Any]:
    return {
        "name": said(question.name, 200),
        "name_format": "text",
        "number": str(number),
        "score": question.points,
        "max_score": question.possible,
        "status": "passed" if question.status == "passed" else "failed",
        "output": _feedback(question),
        "output_format": "html",
        "visibility": "visible",
    }


def _feedback(question: QuestionRecord) -> str:
    """What a student reads about a question; everything is escaped, since it may hold what the student wrote."""
    parts = [_paragraphs([WORDS[question.status]])]
    if question.hint and question.status != "passed":
        first, *rest = [marked(said(line)) for line in question.hint.splitlines() if line]
        parts.append("".join(f"<p>{line}</p>" for line in (f"<strong>Hint.</strong> {first}", *rest)))
    if question.status in ("passed", "partly", "failed"):
        parts.append(_cases(question))
    return "".join([*parts, _paragraphs(question.notes)])


def _cases(question: QuestionRecord) -> str:
    parts = [_paragraphs([question.headline])]
    public = {label: ok for label, seen, ok in question.cases if seen}
    if question.example is not None and question.example[0] in public:  # what claims another case is not shown
        label, call, expected, got = question.example
        rows = [("Case", label), ("Call", call), ("Expected", expected), ("Your answer", got)]
        parts.append("".join(f"<p>{name}:</p><pre>{said(shown, 4000)}</pre>" for name, shown in rows if shown))
    if len(failed := [label for label, ok in public.items() if not ok]) > 1:
        parts.append(_paragraphs([f"Public cases that do not pass: {', '.join(failed)}."]))
    return "".join(parts)


def _for_instructors(record: Record, weaker: Sequence[str]) -> dict[str, Any]:
    """How it was graded and what a person should look at. It has no points, so hiding it does not hide the total."""
    flags = [f"{question.name}: {flag}" for question in record.questions for flag in question.flags]
    lines = [
        *(["Look at these lines; they changed no score:", *flags] if flags else ["Nothing to look at."]),
        "",
        f"Isolation: {record.isolation}. Grader: {record.grader}. Submission: {record.source}, SHA-256 {record.digest}.",
        *(["What this isolation does not guarantee:", *weaker] if weaker else []),
    ]
    return {
        "name": f"For instructors: {len(flags)} {'line' if len(flags) == 1 else 'lines'} to look at",
        "status": "failed" if flags else "passed",
        "output": "\n".join(lines),
        "output_format": "text",
        "visibility": "hidden",
    }


def _paragraphs(lines: Sequence[str]) -> str:
    return "".join(f"<p>{said(line)}</p>" for line in lines if line)
