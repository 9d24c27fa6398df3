"""What a class has handed in: who, which notebooks, and a line for everything that cannot be graded.

``collect`` takes a folder as it is: notebooks and zips of any name, one folder per student as Canvas and Moodle export them,
or none. Nothing in the folder is written, run or trusted.
"""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import exercises
from exercises.grader import archives, reading, roster
from exercises.grader.apart import TooMuchError
from exercises.grader.reading import Sheet, clean
from exercises.grader.roster import Found, Handed, Problem, Submission, natural

__all__ = ["Collection", "Handed", "Problem", "Submission", "collect"]

DEPTH = 20  # folders in folders


@dataclass(frozen=True)
class Collection:
    """Everything that was found, in the order of the students' keys and of the files."""

    submissions: tuple[Submission, ...]
    problems: tuple[Problem, ...]


def collect(folder: Path, chapters: Sequence[str], student: str = "") -> Collection:
    """The submissions in ``folder`` (or in one file) for these chapters, and a line for each file that is none.

    A student is who ``submission.json`` names, else the cell ``student = "..."``, else the folder, else the file. Of several
    notebooks of one student for one chapter the last packed counts, where that is not known the last by name. Where ``student``
    is given, everything is theirs, whatever names stand in it.

    Raises:
        FileNotFoundError: there is no such folder or file.
    """
    folder = Path(folder)
    if not folder.exists():
        raise FileNotFoundError(f"there is no folder {folder}; give the folder that holds what was handed in")
    problems: list[Problem] = []
    found: list[Found] = []
    paths = _files(folder, problems) if folder.is_dir() else [folder]
    root = folder if folder.is_dir() else folder.parent
    for path in paths:
        found += _notebooks(path, path.relative_to(root), chapters, problems)
    students = [(student, found)] if student else roster.by_student(found, problems)
    chosen = [roster.choose(name, items, chapters, problems) for name, items in students if items]
    roster.say_alike(chosen, problems)
    submissions = roster.with_keys(chosen)
    return Collection(tuple(submissions), tuple(sorted(problems, key=lambda problem: natural(problem.source))))


def _files(folder: Path, problems: list[Problem]) -> Iterator[Path]:
    """The files that may hold notebooks, in natural order; everything else becomes a line, or is nobody's work."""
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        inner, others = [], []
        try:
            entries = sorted(os.scandir(here), key=lambda entry: natural(entry.name))
        except OSError as error:
            problems.append(Problem(_shown(here.relative_to(folder)), f"cannot be opened: {error.strerror}"))
            continue
        for entry in entries:
            path, shown = Path(entry.path), _shown(Path(entry.path).relative_to(folder))
            if archives.is_hidden(entry.name) or entry.name.lower() in archives.COMPANIONS:
                continue
            if entry.is_symlink():
                problems.append(Problem(shown, "is a link; links are not followed"))
            elif entry.is_dir(follow_symlinks=False):
                if archives.kind(entry.name):
                    problems.append(Problem(shown, "is a folder with the name of a notebook; what lies in it is read"))
                if len(path.relative_to(folder).parts) >= DEPTH:
                    problems.append(Problem(shown, f"lies more than {DEPTH} folders deep and is not read"))
                else:
                    inner.append(path)
            elif archives.kind(entry.name):
                yield path
            elif not entry.is_file(follow_symlinks=False):
                problems.append(Problem(shown, "is not a regular file"))
            else:
                others.append(shown)
        # In the folder itself files may be of different people, and each wants to be asked for.
        most = len(others) if here == folder else 5
        problems += [Problem(*line) for line in archives.not_notebooks(others, most)]
        waiting += reversed(inner)


def _notebooks(path: Path, name: Path, chapters: Sequence[str], problems: list[Problem]) -> Iterator[Found]:
    """The notebooks in one file."""
    shown = _shown(name)
    try:
        digest, places, lines = reading.places(path)
    except ValueError as error:
        problems.append(Problem(shown, str(error)))
        return
    problems += [Problem(f"{shown}/{clean(place, 200)}".rstrip("/"), line) for place, line in lines]
    too_much = 0
    for place in places:
        # A submission packed by `pack_submission` is its one notebook; elsewhere the name inside says which it is.
        packed = place == ("notebook.ipynb",)
        source = "/".join([shown, *(clean(part, 200) for part in place if not packed)])
        try:
            if too_much == 3:
                raise ValueError("is not read: three files before it in the same zip took too long or too much memory")
            sheet = reading.read(path, place)
            chapter, notes = _chapter(sheet, chapters)
        except ValueError as error:
            too_much += isinstance(error, TooMuchError)
            problems.append(Problem(source, str(error)))
            continue
        inside = () if packed else place
        yield Found(source, digest, roster.trail(name, inside), roster.origin(name, inside), chapter, sheet, notes)


def _chapter(sheet: Sheet, chapters: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """The chapter a notebook belongs to: the one it names, else the one whose functions it defines."""
    if sheet.chapter in chapters:
        if sheet.edition in ("", exercises.EDITION):
            return sheet.chapter, ()
        note = f"The notebook is of edition {sheet.edition} of {sheet.chapter}, graded was edition {exercises.EDITION}: "
        return sheet.chapter, (note + "a question may have been another one.",)
    names = {*sheet.names, *sheet.exercises}
    asked = {chapter: [exercise.name for exercise in exercises.bank(chapter)] for chapter in chapters}
    ((best, count),) = Counter({chapter: len(names & set(asked[chapter])) for chapter in chapters}).most_common(1) or [("", 0)]
    said = f"names the chapter {sheet.chapter!r}" if sheet.chapter else "does not say which chapter it belongs to"
    if count:
        return best, (f"The notebook {said}; its functions are those of {best}, as which it was graded.",)
    allowed = ", ".join(chapters) if len(chapters) < 6 else f"{chapters[0]} to {chapters[-1]}"
    raise ValueError(f"{said}, and defines no function that is asked for; graded are {allowed}")


def _shown(path: Path) -> str:
    return clean(str(path), 300)
