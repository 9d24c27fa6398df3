"""What a class did, as numbers: who handed in what, how the points are spread, and which mistakes were made by whom."""

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from exercises.grader.pages import About, in_words
from exercises.grader.record import NOT_HANDED_IN, QuestionRecord, Record

MOST_COLUMNS = 11
GRADER_FAILED = "crashed"  # the kind of a question on which the grader itself failed

# Failures that are no known mistake of the bank: what a lecturer reads for each kind.
KINDS = {
    "raises": "raises an error",
    "no error": "returns a value where an error is asked for",
    "none": "returns None",
    "type": "returns another type",
    "shape": "returns another shape",
    "dtype": "returns numbers of another type",
    "length": "returns another length",
    "missing": "leaves something out",
    "extra": "returns something more",
    "value": "other values, by no mistake that is known",
    "changed": "changes its input",
    "signature": "cannot be called as it is asked to be",
    "timeout": "does not end in time",
    "unwritten": "is not written for some inputs",
    "died": "ends its process, or needs too much memory",
}
WITHOUT_ANSWER = {
    "unwritten": "not written yet",
    "missing": "the function is not there",
}


@dataclass(frozen=True)
class Mistake:
    """One mistake of one question: in words, with its hint if it is a known one, and who made it."""

    what: str
    known: bool
    varied: bool  # whether what the students were told says more than ``what``
    hint: str
    made: tuple[tuple[Record, QuestionRecord], ...]


@dataclass
class Asked:
    """One question over the whole class."""

    chapter: str
    name: str
    possible: int
    given: list[tuple[Record, QuestionRecord]] = field(default_factory=list)

    @property
    def right(self) -> int:
        """How many have all of it right."""
        return sum(question.status == "passed" for _, question in self.given)

    @property
    def mean(self) -> float:
        """Points, over those who handed the chapter in."""
        return statistics.fmean(question.points for _, question in self.given) if self.given else 0.0

    def mistakes(self) -> list[Mistake]:
        """What went wrong, the most frequent first: known mistakes, other kinds of failure, nothing written."""
        groups: dict[tuple[int, str], list[tuple[Record, QuestionRecord]]] = {}
        for record, question in self.given:
            if question.status != "passed":
                groups.setdefault(_group(question), []).append((record, question))
        ordered = sorted(groups.items(), key=lambda item: (item[0][0], -len(item[1]), item[0][1]))
        return [
            # Several known mistakes may fit at once, and then their hints are joined: the shortest is this one's own.
            Mistake(what, rank == 0, rank == 1, min((q.hint for _, q in made), key=lambda text: (len(text), text)), tuple(made))
            for (rank, what), made in ordered
        ]


def _group(question: QuestionRecord) -> tuple[int, str]:
    if question.recognised:
        return 0, in_words(question.kind)
    if question.kind == GRADER_FAILED:
        return 2, "the grader failed"
    if question.status in WITHOUT_ANSWER:
        return 2, WITHOUT_ANSWER[question.status]
    return 1, KINDS.get(question.kind, in_words(question.kind))


def asked(records: Sequence[Record], about: About) -> dict[tuple[str, str], Asked]:
    """Every question of ``about``, with what each student did.

    Raises:
        ValueError: a record holds a question that ``about`` does not have, or the same one twice.
    """
    questions = {(chapter, name): Asked(chapter, name, worth) for chapter, all_ in about.chapters.items()
                 for name, worth in all_.items()}  # fmt: skip
    for record in records:
        for question in record.questions:
            if (question.chapter, question.name) not in questions:
                raise ValueError(f"the record of {record.key!r} holds {question.chapter}/{question.name}, which was not asked")
            if question.kind == NOT_HANDED_IN:
                continue
            given = questions[question.chapter, question.name].given
            if given and given[-1][0] is record:
                raise ValueError(f"the record of {record.key!r} holds {question.chapter}/{question.name} twice")
            given.append((record, question))
    return questions


def of_chapter(record: Record, chapter: str) -> dict[str, QuestionRecord]:
    """The questions of one chapter in one record; none if the chapter was not handed in."""
    found = {question.name: question for question in record.questions if question.chapter == chapter}
    return {} if all(question.kind == NOT_HANDED_IN for question in found.values()) else found


def lines(record: Record, of: Callable[[QuestionRecord], Iterable[str]]) -> list[tuple[str, tuple[str, ...], list[str]]]:
    """What is said of a student's questions, each line once: the chapter, the questions it holds for (none: all of them, as
    of the whole notebook), and the lines."""
    chapters: dict[str, list[str]] = {}
    holds: dict[tuple[str, str], list[str]] = {}
    for question in record.questions:
        chapters.setdefault(question.chapter, []).append(question.name)
        for line in of(question):
            holds.setdefault((question.chapter, line), []).append(question.name)
    groups: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (chapter, line), names in holds.items():
        whole = len(names) > 1 and names == chapters[chapter]
        groups.setdefault((chapter, () if whole else tuple(names)), []).append(line)
    return [(chapter, names, said) for (chapter, names), said in groups.items()]


def total(questions: Iterable[QuestionRecord]) -> float:
    """The points of some questions."""
    return round(sum(question.points for question in questions), 2)


def columns(earned: Sequence[float], possible: int) -> list[tuple[str, int]]:
    """How the points are spread: for each step of whole points, its name and how many students; all points on their own."""
    step = max(1, -(-possible // (MOST_COLUMNS - 1)))
    starts = range(0, possible, step)
    counts = [sum(start <= value < min(start + step, possible) for value in earned) for start in starts]
    ends = [min(start + step, possible) - 1 for start in starts]
    names = [f"{start}–{end}" if end > start else str(start) for start, end in zip(starts, ends, strict=True)]
    return [*zip(names, counts, strict=True), (str(possible), sum(value >= possible for value in earned))]
