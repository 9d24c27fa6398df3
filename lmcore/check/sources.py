"""Where a check finds its questions: in a student pack's file beside the notebook, or in the banks of a checkout."""

import importlib
import json
from pathlib import Path

from lmcore.check import wire
from lmcore.check.question import Question

FILE = "cases.json"
FORMAT = 1


def write(questions: list[Question], path: Path) -> None:
    """Write the questions of one chapter for students: public cases only, as data only.

    Raises:
        ValueError: a question holds a hidden case.
    """
    for question in questions:
        if hidden := [case.label for case in question.cases if not case.public]:
            raise ValueError(f"{question.name} holds the hidden case {hidden[0]!r}; a pack gets public cases only")
    path.write_text(wire.encode_text({"format": FORMAT, "questions": [q.record() for q in questions]}) + "\n", encoding="utf-8")


def read(path: Path) -> dict[str, Question]:
    """The questions that :func:`write` wrote, by name.

    Raises:
        ValueError: the file is damaged or of another format.
    """
    try:
        content = wire.decode_text(path.read_text(encoding="utf-8"))
        found = content["format"]
        questions = [Question.from_record(record) for record in content["questions"]] if found == FORMAT else []
    except (ValueError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is damaged ({error}); unpack the exercises again") from None
    if found != FORMAT:
        raise ValueError(
            f"{path} has format {found!r}, this lmcore reads {FORMAT}; install the lmcore that came with the exercises"
        )
    return {question.name: question for question in questions}


_packs: dict[tuple[Path, int], dict[str, Question]] = {}


def find(name: str) -> Question:
    """The question called ``name``: from ``cases.json`` in the working folder if there is one, else from the checkout's
    banks.

    Raises:
        ValueError: there is no such exercise; the message lists those there are.
        FileNotFoundError: there are no exercises at all.
    """
    path = Path.cwd() / FILE
    if path.is_file():
        key = (path, path.stat().st_mtime_ns)
        if key not in _packs:
            _packs[key] = read(path)
        return _choose(name, _packs[key])
    try:
        exercises = importlib.import_module("exercises")
    except ImportError:
        exercises = None
    if exercises is None or not hasattr(exercises, "public_questions"):
        raise FileNotFoundError(
            f"no exercises found: there is no {FILE} in {Path.cwd()}, and the book's exercises cannot be imported; "
            "open the notebook in the folder where you unpacked the exercises"
        )
    return _choose(name, exercises.public_questions(name))


def _choose(name: str, questions: dict[str, Question]) -> Question:
    if name in questions:
        return questions[name]
    raise ValueError(f"no exercise is called {name!r}; the exercises here are: {', '.join(sorted(questions)) or 'none'}")
