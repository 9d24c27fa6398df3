"""The exercises of the book: per chapter a student's notebook and a bank of answers.

:data:`CHAPTERS` names the chapters that have exercises. A bank is imported only when it is asked for::

    exercises.names()                # every exercise
    exercises.get("count_pairs")     # the Exercise: reference, right and wrong answers, cases
    exercises.solution("count_pairs")  # the reference's source, as a page shows it behind a fold
"""

import importlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from exercises.grader.exercise import Exercise
    from lmcore.check.question import Question

# Raised when a statement, a stub or a case changes so that an older submission could be graded differently. Every
# notebook says it.
EDITION = "1"

HERE = Path(__file__).parent


def chapters() -> list[str]:
    """The chapters that have exercises, in the order of the book: the folders ``chNN_name`` that hold a bank."""
    return sorted(path.parent.parent.name for path in HERE.glob("ch[0-9][0-9]_*/bank/__init__.py"))


@cache
def bank(chapter: str) -> "tuple[Exercise, ...]":
    """The exercises of one chapter, in the order of its notebook.

    Raises:
        ValueError: there is no such chapter.
    """
    if chapter not in chapters():
        raise ValueError(f"no chapter {chapter!r} has exercises; those that have: {', '.join(chapters())}")
    return tuple(importlib.import_module(f"exercises.{chapter}.bank").EXERCISES)


@cache
def _all() -> "dict[str, Exercise]":
    found: dict[str, Exercise] = {}
    for chapter in chapters():
        for exercise in bank(chapter):
            if exercise.name in found:
                raise ValueError(
                    f"two exercises are called {exercise.name!r}: in {found[exercise.name].chapter} and in {chapter}"
                )
            found[exercise.name] = exercise
    return found


def names() -> list[str]:
    """Every exercise of the book, in order."""
    return list(_all())


def get(name: str) -> "Exercise":
    """The exercise called ``name``.

    Raises:
        ValueError: there is none; the message lists those there are.
    """
    if name not in _all():
        raise ValueError(f"no exercise is called {name!r}; the exercises are: {', '.join(names())}")
    return _all()[name]


def solution(name: str) -> str:
    """The source of the reference answer, with the imports, constants and helpers it uses: it runs as it stands.

    Raises:
        ValueError: there is no such exercise.
    """
    from exercises.grader.source import standalone

    return standalone(get(name).reference)


@cache
def _public(name: str) -> "Question":
    return get(name).question(seed=0).only(lambda case: case.public)


def public_questions(name: str) -> "dict[str, Question]":
    """What :func:`lmcore.check.check` needs about ``name``: public cases, expected outputs, known mistakes.

    Raises:
        ValueError: there is no such exercise.
    """
    return {get(name).name: _public(name)}
