"""The exercises of the book: per chapter a student's notebook and a bank of answers.

A bank is imported only when it is asked for::

    exercises.names()                # every exercise
    exercises.get("count_pairs")     # the Exercise: reference, right and wrong answers, cases
    exercises.solution("count_pairs")  # the reference's source, as a page shows it behind a fold

An instructor's own set, kept in a folder anywhere, is used like a chapter once it is registered::

    exercises.register("~/courses/midterm")
    exercises.bank("midterm")
"""

import importlib
import sys
from functools import cache
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from exercises.grader.exercise import Exercise
    from lmcore.check.question import Question

# Raised when a statement, a stub or a case changes so that an older submission could be graded differently. Every
# notebook says it.
EDITION = "1"

HERE = Path(__file__).parent

_private: dict[str, Path] = {}


def book() -> list[str]:
    """The chapters of the book that have exercises, in its order: the folders ``chNN_name`` that hold a bank."""
    return sorted(path.parent.parent.name for path in HERE.glob("ch[0-9][0-9]_*/bank/__init__.py"))


def chapters() -> list[str]:
    """The chapters that have exercises: those of the book, then registered folders."""
    return [*book(), *_private]


def folder(chapter: str) -> Path:
    """Where a chapter's notebook and bank lie."""
    return _private.get(chapter, HERE / chapter)


def private() -> list[Path]:
    """The folders that were registered; another process must register them too."""
    return list(_private.values())


def register(path: str | Path) -> str:
    """Use a private set of exercises, a folder that holds ``exercises.md`` and ``bank``, like a chapter of the book.

    Its name is the folder's, and its modules are imported as ``exercises.NAME.bank``. Nothing is written into the folder.
    Registering the same folder again changes nothing.

    Returns:
        the name.

    Raises:
        ValueError: the folder lacks a notebook or a bank, or the bank cannot be imported, or a name is taken.
        FileNotFoundError: there is no such folder.
    """
    home = Path(path).expanduser().resolve()
    name = home.name
    if _private.get(name) == home:
        return name
    if not home.is_dir():
        raise FileNotFoundError(f"there is no folder {home}; a set of exercises is a folder with exercises.md and bank")
    if missing := [part for part in ("exercises.md", "bank/__init__.py") if not (home / part).is_file()]:
        raise ValueError(f"{home} is no set of exercises: it has no {' and no '.join(missing)}; exercises/README.md says how")
    if not name.isidentifier() or not name.isascii() or name != name.lower():
        raise ValueError(f"a set's folder is named in small letters, digits and _, such as midterm_1; got {name!r}")
    if name in _private:
        raise ValueError(f"two sets are called {name!r}: {_private[name]} and {home}; rename one of the folders")
    if name in globals() or (HERE / name).exists() or (HERE / f"{name}.py").exists():
        raise ValueError(f"the name {name!r} is taken by the book; rename the folder {home}")
    found = _import_bank(name, home)
    taken = {exercise.name: exercise.chapter for exercise in _all().values()}
    problems = [f"{one.name} says chapter={one.chapter!r}, not {name!r}" for one in found if one.chapter != name]
    problems += [f"{one.name} is the name of an exercise of {taken[one.name]}" for one in found if one.name in taken]
    if problems:
        _forget(name)
        raise ValueError(f"the bank of {home} cannot be used: {'; '.join(problems)}")
    _private[name] = home
    bank.cache_clear()
    _all.cache_clear()
    return name


def _import_bank(name: str, home: Path) -> "tuple[Exercise, ...]":
    package = module_from_spec(ModuleSpec(f"{__name__}.{name}", None, is_package=True))
    package.__path__ = [str(home)]
    sys.modules[package.__name__] = package
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        importlib.invalidate_caches()
        return tuple(importlib.import_module(f"{package.__name__}.bank").EXERCISES)
    except Exception as error:
        _forget(name)
        raise ValueError(f"the bank of {home} cannot be imported: {type(error).__name__}: {error}") from error
    finally:
        sys.dont_write_bytecode = before


def _forget(name: str) -> None:
    for module in [key for key in sys.modules if f"{key}.".startswith(f"{__name__}.{name}.")]:
        del sys.modules[module]


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
