"""Whose notebooks they are: names, several notebooks of one student, one name of several students, and a key for each.

A name that a notebook gives itself is believed, since it need not be true to be graded. Only in one place it must not be:
a submission that calls itself as another student does cannot take that student's place where folders tell the two apart.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from exercises.grader.reading import Sheet, clean


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
    whose: bool = False  # whether it asks whose work a file is


@dataclass(frozen=True)
class Found:
    """A notebook on its way to a submission."""

    source: str
    digest: str
    trail: tuple[str, ...]  # the folders and the name that lead to it, as names of students
    origin: tuple[str, ...]  # the folders alone, and whom Canvas names: not for the student to choose
    chapter: str
    sheet: Sheet
    notes: tuple[str, ...]


def by_student(found: Sequence[Found], problems: list[Problem]) -> list[tuple[str, list[Found]]]:
    """Each student's name, as it is shown, and notebooks. Names that differ in case or spaces only are one."""
    named = [(item.sheet.student, item) for item in found if item.sheet.student]
    named += _from_trails(list(found))
    spelling: dict[str, str] = {}
    students: dict[str, list[Found]] = defaultdict(list)
    for name, item in sorted(named, key=lambda pair: (natural(pair[0]), pair[0], natural(pair[1].source))):
        students[spelling.setdefault(name.casefold(), name)].append(item)
    return [pair for student in students for pair in _told_apart(student, students[student], problems)]


def _told_apart(student: str, found: list[Found], problems: list[Problem]) -> Iterator[tuple[str, list[Found]]]:
    """One name, unless the same chapter comes under it out of several students' folders."""
    origins: dict[tuple[str, ...], list[Found]] = defaultdict(list)
    for item in found:
        origins[item.origin].append(item)
    chapters = [chapter for items in origins.values() for chapter in {item.chapter for item in items}]
    if len(set(chapters)) == len(chapters):
        yield student, found
        return
    for origin, items in origins.items():
        yield clean(f"{student} ({' / '.join(origin) or items[0].trail[-1]})", 200), items
    sources = ", ".join(item.source for item in found)
    line = f"several folders hold the name {student} ({sources}); they are graded apart. Is one of them somebody else?"
    problems.append(Problem(found[0].source, line, whose=True))


def _from_trails(found: list[Found], depth: int = 1) -> Iterator[tuple[str, Found]]:
    """Names for the nameless, from folders and files: the first folder, unless it holds one chapter of several people."""
    groups = defaultdict(list)
    for item in found:
        groups[item.trail[:depth]].append(item)
    for start, group in groups.items():
        name = clean(" / ".join(start))
        ways: dict[str, set[tuple[str, ...]]] = defaultdict(set)
        for item in group:
            if item.sheet.student.casefold() != name.casefold():
                ways[item.chapter].add(item.trail[depth:])
        if any(len(way) > 1 for way in ways.values()):
            yield from _from_trails(group, depth + 1)
        else:
            yield from ((name, item) for item in group if not item.sheet.student)


def trail(name: Path, place: tuple[str, ...]) -> tuple[str, ...]:
    """The folders and the name that lead to a notebook, without what learning systems add."""
    # Moodle: "Ada Lovelace_1234_assignsubmission_file_"; Canvas: "lovelaceada_LATE_1234_5678_exercises".
    parts = [re.sub(r"_\d+_assignsubmission_.*$", "", part) for part in _parts(name, place)]
    parts = [re.sub(r"(_LATE)?_\d{3,}_\d{3,}_.*$", "", part) for part in parts]
    return tuple(part for part in (clean(part) for part in parts) if part) or ("nameless",)


def origin(name: Path, place: tuple[str, ...]) -> tuple[str, ...]:
    """What tells whose folder a notebook lies in; files beside each other have the same, unless Canvas named them."""
    *folders, last = _parts(name, place)
    canvas = re.match(r"(.+?)(?:_LATE)?_(\d{3,})_\d{3,}_.*$", last)
    return tuple(clean(part) for part in [*folders, *([f"{canvas[1]}_{canvas[2]}"] if canvas else [])])


def _parts(name: Path, place: tuple[str, ...]) -> list[str]:
    paths = (name, *map(PurePosixPath, place))
    # A zip can hold names of thousands of folders.
    return [clean(part, 200) for path in paths for part in (*path.parts[:-1][:20], _stem(clean(path.name, 200)))]


def _stem(name: str) -> str:
    """A file's name without suffixes and without what marks a copy."""
    stem = re.sub(r"(\.(ipynb|md|zip|txt|json))+(\s*\(\d+\))?$", "", name, flags=re.IGNORECASE)
    return re.sub(r"(\s*\(\d+\)|-Copy\d*|\s+copy(\s+\d+)?)+$", "", stem, flags=re.IGNORECASE) or name


# One submission of each


def choose(
    student: str, found: list[Found], chapters: Sequence[str], problems: list[Problem]
) -> tuple[Submission, list[Found]]:
    """The submission of one student, without its key, and the notebooks in it."""
    kept, notes = [], []
    for chapter in sorted({item.chapter for item in found}, key=list(chapters).index):
        same = sorted(
            (item for item in found if item.chapter == chapter),
            key=lambda item: (item.sheet.written, item.sheet.packed, natural(item.source), item.source),
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


def _not_graded(student: str, item: Found, best: Found) -> str:
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


def say_alike(chosen: list[tuple[Submission, list[Found]]], problems: list[Problem]) -> None:
    """A line where several students handed in the same code; untouched notebooks are alike and say nothing."""
    alike: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for submission, kept in chosen:
        for item in kept:
            alike[item.sheet.likeness].append((submission.student, item.source))
    for likeness, pairs in alike.items():
        if likeness and len(pairs) > 1:
            others = ", ".join(f"{source} ({student})" for student, source in pairs[1:])
            problems.append(Problem(pairs[0][1], f"({pairs[0][0]}) holds the same code as {others}", whose=True))


def with_keys(chosen: list[tuple[Submission, list[Found]]]) -> list[Submission]:
    """The submissions, each with a key of its own, in the order of the keys."""
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
        keyed.append(replace(submission, key=key))
    return sorted(keyed, key=lambda submission: submission.key)


def natural(text: str) -> tuple:
    """A key that sorts ``b2`` before ``b10``."""
    pieces = re.split(r"([0-9]+)", text.casefold())
    return tuple((len(piece.lstrip("0")), piece.lstrip("0")) if i % 2 else (0, piece) for i, piece in enumerate(pieces))
