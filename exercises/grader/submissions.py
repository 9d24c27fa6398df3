"""What a class has handed in: who, which notebooks, and a line for everything that cannot be graded.

``collect`` takes a folder as it is: notebooks and zips of any name, one folder per student as Canvas and Moodle export them,
or none. Nothing in the folder is written, run or trusted.
"""

import hashlib
import os
import re
import stat
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import exercises
from exercises.grader import archives, reading
from exercises.grader.apart import TooMuchError
from exercises.grader.reading import Sheet, clean

DEPTH = 20  # folders in folders


@dataclass(frozen=True)
class Handed:
    """A notebook to grade: its chapter and edition, its code cells as plain Python in order, and what they define."""

    chapter: str
    edition: str
    cells: tuple[str, ...]
    names: tuple[str, ...]


@dataclass(frozen=True)
class Submission:
    """What one student handed in: at most one notebook of each chapter. ``notes`` are lines for the student too."""

    student: str
    key: str  # the student's name as a file name, unique in the class
    source: str  # the file or files, relative to the folder
    digest: str  # SHA-256 of that file; of the files' digests where there are several
    notebooks: tuple[Handed, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Problem:
    """A line of the report: a file, and what a person should know about it."""

    source: str
    text: str


@dataclass(frozen=True)
class Collection:
    """Everything that was found, in the order of the students' keys and of the files."""

    submissions: tuple[Submission, ...]
    problems: tuple[Problem, ...]


@dataclass(frozen=True)
class _Found:
    """A notebook on its way to a submission."""

    source: str
    digest: str
    trail: tuple[str, ...]  # the folders and the name that lead to it, as names of students
    chapter: str
    sheet: Sheet
    notes: tuple[str, ...]


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
    found: list[_Found] = []
    paths = _files(folder, problems) if folder.is_dir() else [folder]
    root = folder if folder.is_dir() else folder.parent
    for path in paths:
        found += _notebooks(path, path.relative_to(root), chapters, problems)
    students = _by_student(found) if not student else {student: found} if found else {}
    chosen = [_choose(name, students[name], chapters, problems) for name in students]
    _say_alike(chosen, problems)
    submissions = _with_keys(chosen)
    return Collection(tuple(submissions), tuple(sorted(problems, key=lambda problem: _natural(problem.source))))


def _files(folder: Path, problems: list[Problem]) -> Iterator[Path]:
    """The files that may hold notebooks, in natural order; everything else becomes a line, or is nobody's work."""
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        inner, others = [], []
        try:
            entries = sorted(os.scandir(here), key=lambda entry: _natural(entry.name))
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
            elif not stat.S_ISREG(entry.stat(follow_symlinks=False).st_mode):
                problems.append(Problem(shown, "is not a regular file"))
            else:
                others.append(shown)
        problems += [Problem(*line) for line in archives.not_notebooks(others)]
        waiting += reversed(inner)


def _notebooks(path: Path, name: Path, chapters: Sequence[str], problems: list[Problem]) -> Iterator[_Found]:
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
        yield _Found(source, digest, _trail(name, () if packed else place), chapter, sheet, notes)


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
    allowed = ", ".join(chapters)
    raise ValueError(f"{said}, and defines no function that is asked for; graded are {allowed}")


# Who


def _by_student(found: Iterable[_Found]) -> dict[str, list[_Found]]:
    """The notebooks of each student, by the name that is shown. Names that differ in case or spaces only are one."""
    named = [(item.sheet.student, item) for item in found if item.sheet.student]
    named += _from_trails([item for item in found if not item.sheet.student])
    spelling: dict[str, str] = {}
    students = defaultdict(list)
    for name, item in sorted(named, key=lambda pair: (_natural(pair[0]), pair[0], _natural(pair[1].source))):
        students[spelling.setdefault(name.casefold(), name)].append(item)
    return students


def _from_trails(found: list[_Found], depth: int = 1) -> Iterator[tuple[str, _Found]]:
    """Names from folders and files: the first folder, unless it holds one chapter under several names (a whole class)."""
    groups = defaultdict(list)
    for item in found:
        groups[item.trail[:depth]].append(item)
    for start, group in groups.items():
        ways: dict[str, set[tuple[str, ...]]] = defaultdict(set)
        for item in group:
            ways[item.chapter].add(item.trail[depth:])
        if any(len(way) > 1 for way in ways.values()):
            yield from _from_trails(group, depth + 1)
        else:
            yield from ((clean(" / ".join(start)) or "nameless", item) for item in group)


def _trail(name: Path, place: tuple[str, ...]) -> tuple[str, ...]:
    parts = [part for path in (name, *map(PurePosixPath, place)) for part in (*path.parts[:-1], _stem(path.name))]
    # Moodle: "Ada Lovelace_1234_assignsubmission_file_"; Canvas: "lovelaceada_LATE_1234_5678_exercises".
    parts = [re.sub(r"_\d+_assignsubmission_.*$", "", part) for part in parts]
    parts = [re.sub(r"(_LATE)?_\d+_\d+_.*$", "", part) for part in parts]
    return tuple(part for part in (clean(part) for part in parts) if part)


def _stem(name: str) -> str:
    """A file's name without suffixes and without what marks a copy."""
    stem = re.sub(r"(\.(ipynb|md|zip|txt|json))+(\s*\(\d+\))?$", "", name, flags=re.IGNORECASE)
    return re.sub(r"(\s*\(\d+\)|-Copy\d*|\s+copy(\s+\d+)?)+$", "", stem, flags=re.IGNORECASE) or name


# One submission of each


def _choose(
    student: str, found: list[_Found], chapters: Sequence[str], problems: list[Problem]
) -> tuple[Submission, list[_Found]]:
    """The submission of one student, without its key, and the notebooks in it."""
    kept, notes = [], []
    for chapter in sorted({item.chapter for item in found}, key=list(chapters).index):
        same = sorted(
            (item for item in found if item.chapter == chapter),
            key=lambda item: (item.sheet.written, item.sheet.packed, _natural(item.source), item.source),
        )
        best = same[-1]
        kept.append(best)
        notes += [note for note in best.notes if note not in notes]
        if len(same) > 1:
            notes.append(f"Handed in {len(same)} times for {chapter}; graded is {best.source}.")
        for item in same[:-1]:
            problems.append(Problem(item.source, _not_graded(student, item, best)))
    digests = sorted({item.digest for item in kept})
    digest = digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()
    sources = dict.fromkeys(item.source for item in kept)
    notebooks = [Handed(item.chapter, item.sheet.edition, item.sheet.cells, item.sheet.names) for item in kept]
    return Submission(student, "", ", ".join(sources), digest, tuple(notebooks), tuple(notes)), kept


def _not_graded(student: str, item: _Found, best: _Found) -> str:
    why = (
        "this one is not written yet"
        if item.sheet.written < best.sheet.written
        else "it was packed later"
        if item.sheet.packed < best.sheet.packed
        else "it is the last by name"
    )
    return (
        f"is not graded: {student} handed in {item.chapter} again, {best.source} counts ({why}). "
        "If these are two people, write their names into student = ... or give each a folder"
    )


def _say_alike(chosen: list[tuple[Submission, list[_Found]]], problems: list[Problem]) -> None:
    """A line where several students handed in the same code; untouched notebooks are alike and say nothing."""
    alike: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for submission, kept in chosen:
        for item in kept:
            alike[item.sheet.likeness].append((submission.student, item.source))
    for likeness, pairs in alike.items():
        if likeness and len(pairs) > 1:
            others = ", ".join(f"{source} ({student})" for student, source in pairs[1:])
            problems.append(Problem(pairs[0][1], f"({pairs[0][0]}) holds the same code as {others}"))


def _with_keys(chosen: list[tuple[Submission, list[_Found]]]) -> list[Submission]:
    taken: set[str] = set()
    keyed = []
    for submission, _ in chosen:
        letters = "".join(letter if letter.isalnum() else "-" for letter in submission.student.casefold())
        slug = "-".join(filter(None, letters.split("-")))[:50].strip("-") or "student"
        key, number = slug, 1
        while key in taken:
            number += 1
            key = f"{slug}-{number}"
        taken.add(key)
        fields = {**vars(submission), "key": key}
        keyed.append(Submission(**fields))
    return sorted(keyed, key=lambda submission: submission.key)


def _natural(text: str) -> tuple:
    """A key that sorts ``b2`` before ``b10``."""
    pieces = re.split(r"([0-9]+)", text.casefold())
    return tuple((len(piece.lstrip("0")), piece.lstrip("0")) if i % 2 else (0, piece) for i, piece in enumerate(pieces))


def _shown(path: Path) -> str:
    return clean(str(path), 300)
