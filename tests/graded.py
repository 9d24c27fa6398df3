"""Records of a class that never was, from a seed: names of many languages, real mistakes of the banks with their real hints."""

import functools
import random
from dataclasses import dataclass, replace

from bs4 import BeautifulSoup

import exercises
from exercises.grader import report
from exercises.grader.record import QuestionRecord, Record
from exercises.grader.report import About
from lmcore.check.diagnose import diagnose
from lmcore.check.result import Result
from lmcore.check.run import Answer

FIRST = (
    "Ada Amir Anna Ayşe Björn Carla Chidi Chloé Daan Dilnoza Elif Emeka Fatima Femke Giulia Hana Hiroshi Ines Ingrid Jakub Jan "
    "Jiayi Joris Kwame Lars Leyla Lotte Mehdi Mina Mohammed Nadia Noor Oluwaseun Pieter Priya Ravi Sanne Sofia Thijs Yusuf Zoë "
    "Łukasz 美咲 محمد Юлия"
)
LAST = (
    "Achebe Andersson Bakker Çelik Chen de-Vries Dubois Eze García Haddad Ito Jansen Kaya Kowalska Kumar López Meijer Mensah "
    "Müller Nguyen Nowak Okafor Özdemir Patel Petrov Rossi Sato Schmidt Silva Smit van-den-Berg Visser Wang Yılmaz Zhang"
)
OTHER = {
    "raises": [Answer("raised", error="KeyError", message="('a', 'b')", line="line 7: counts[pair] += frequency")],
    "none": [Answer("ok", value=None)],
    "timeout": [Answer("timeout", message="5 seconds")],
    "type": [Answer("unsupported", message="a generator")],
}


@dataclass(frozen=True)
class Problem:
    """As ``exercises.grader.submissions.Problem``."""

    source: str
    text: str
    whose: bool = False


@functools.cache
def outcomes(name: str) -> tuple[Result, ...]:
    """What can be said about the exercise: right, not written, known mistakes, other failures."""
    question = exercises.get(name).question(seed=7)
    n = len(question.cases)
    answers = [list(question.expected), [Answer("unwritten")] * n]
    answers += [list(mistake.answers) for mistake in question.mistakes.values()]
    answers += [kind * n for kind in OTHER.values()]
    return tuple(diagnose(question, given) for given in answers)


def about(*chapters: str, **others) -> About:
    """What these chapters ask."""
    asked = {chapter: {exercise.name: exercise.points for exercise in exercises.bank(chapter)} for chapter in chapters}
    defaults = {
        "title": "Language models, autumn",
        "edition": exercises.EDITION,
        "seeds": "Hidden cases were drawn from a secret seed, the same for everybody.",
        "json": "records/{key}.json",
    }
    return About(chapters=asked, **{**defaults, **others})


def questions(rng: random.Random, chapter: str, skill: float) -> list[QuestionRecord]:
    """What one student did in one chapter."""
    made = []
    for exercise in exercises.bank(chapter):
        passed, unwritten, *wrong = outcomes(exercise.name)
        known, other = wrong[: -len(OTHER)], wrong[-len(OTHER) :]
        often = sorted(known, key=lambda result: random.Random(result.kind).random())
        if rng.random() < skill:
            result = passed
        elif rng.random() < 0.12:
            result = unwritten
        elif rng.random() < 0.2:
            result = rng.choice(other)
        else:  # few mistakes are made by many
            result = often[min(int(rng.expovariate(0.5)), len(often) - 1)]
        made.append(question(exercise.name, result))
    return made


def question(name: str, result: Result) -> QuestionRecord:
    """The record of one result, with the points it counts."""
    exercise = exercises.get(name)
    share = sum(ok for *_, ok in result.cases) / len(result.cases)
    points = float(exercise.points) if result.passed else round(exercise.points * 0.5 * share, 2)
    status = result.kind if result.kind in ("passed", "unwritten") else "partly" if share else "failed"
    seen = result.example
    example = None if seen is None else (seen.label, seen.call, seen.expected, seen.got)
    return QuestionRecord(
        name, exercise.chapter, points, exercise.points, status, result.kind, result.recognised, result.hint,
        result.headline, result.cases, example,
    )  # fmt: skip


def nothing(answered: QuestionRecord, status: str, kind: str, hint: str) -> QuestionRecord:
    """The same question without an answer."""
    return QuestionRecord(answered.name, answered.chapter, 0.0, answered.possible, status, kind, hint=hint)


def student(name: str, key: str, answered: list[QuestionRecord], **others) -> Record:
    """A record around these answers."""
    return Record(name, key, f"week 3/{key}.ipynb", "3f" * 32, "0a" * 32, "bubblewrap", tuple(answered), **others)


def a_class(size: int, *chapters: str, seed: int = 1, skill: float | None = None) -> list[Record]:
    """Some students; with a class of more than ten, a few flags, notes and functions that are not there."""
    rng = random.Random(seed)
    names = rng.sample([f"{first} {last.replace('-', ' ')}" for first in FIRST.split() for last in LAST.split()], size)
    records = []
    for i, name in enumerate(names):
        able = rng.betavariate(3, 1.6) if skill is None else skill
        handed = [chapter for chapter in chapters if len(chapters) == 1 or rng.random() < 0.95] or [chapters[0]]
        answered = [answer for chapter in handed for answer in questions(rng, chapter, able)]
        notes: tuple[str, ...] = ()
        if size > 10 and skill is None:
            which = rng.randrange(len(answered))
            if i % 37 == 5:
                line = "calls getattr(torch, …) with a name that is computed (cell 3, line 2)"
                answered[which] = replace(answered[which], flags=(line,))
            if i % 29 == 3:
                notes = ("cell 4 could not be read: invalid syntax (line 2)",)
            if i % 23 == 7:
                answered[which] = nothing(
                    answered[which], "missing", "missing", "There is no function of this name in your notebook."
                )
            if i % 41 == 11:
                died = f"{answered[which].name} used more than 1024 MB of memory, so nothing came back from it."
                answered[which] = nothing(answered[which], "crashed", "died", died)
        records.append(student(name, "-".join(name.lower().split()), answered, notes=notes))
    return records


PROBLEMS = (
    Problem("week 3/notes.pdf", "is not a notebook; hand in a .ipynb, a text notebook (.md) or the packed .zip"),
    Problem("week 3/lab (1).ipynb", "is not valid JSON: it ends in the middle of cell 3"),
)


def parsed(page: str) -> BeautifulSoup:
    """A page as a tree."""
    return BeautifulSoup(page, "html.parser")


def class_page(records, about, problems=()) -> BeautifulSoup:
    """The class report as a tree."""
    return parsed(report.class_page(records, problems, about))


def shown(element) -> str:
    """The words of a part of a page."""
    return " ".join(element.get_text(" ").split())
