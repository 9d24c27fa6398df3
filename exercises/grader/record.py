"""What grading found out about one submission, as plain data: the file that everything else is made from.

A record holds nothing of a hidden case, no time and no path of the machine: grading the same folder again gives the same
bytes.
"""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

FORMAT = 1

# How a question ended: right; some cases right; none right; the stub; no such function; the code ended its process.
STATUSES = ("passed", "partly", "failed", "unwritten", "missing", "crashed")

# The kind of a question whose whole notebook was not handed in; its status is missing.
NOT_HANDED_IN = "not handed in"


@dataclass(frozen=True)
class QuestionRecord:
    """One question of a submission.

    ``kind``, ``recognised``, ``hint``, ``headline``, ``cases`` and ``example`` are those of
    :class:`lmcore.check.result.Result`; a hidden case has no label, and an example is always a public case. ``flags`` are
    lines for a person to look at, such as a route to a ready-made function; they change no score, and students do not see
    them. ``notes`` are lines for both. ``late`` is whether something of it did not end in
    time.
    """

    name: str
    chapter: str
    points: float
    possible: int
    status: str
    kind: str
    recognised: bool = False
    hint: str = ""
    headline: str = ""
    cases: tuple[tuple[str, bool, bool], ...] = ()
    example: tuple[str, str, str, str] | None = None  # label, call, expected, got
    flags: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    late: bool = False


@dataclass(frozen=True)
class Record:
    """One submission: who, from which file, by which grader, and each question."""

    student: str
    key: str  # the student's name as a file name, unique in a class
    source: str  # the file, relative to the folder of submissions
    digest: str  # SHA-256 of that file
    grader: str  # fingerprint of everything a score depends on (see fingerprint.py)
    isolation: str  # how the code was run: bubblewrap, user or trust
    questions: tuple[QuestionRecord, ...]
    notes: tuple[str, ...] = ()

    @property
    def points(self) -> float:
        """The points of all questions."""
        return round(sum(question.points for question in self.questions), 2)

    @property
    def possible(self) -> int:
        """What all questions are worth."""
        return sum(question.possible for question in self.questions)

    def to_json(self) -> str:
        """As a JSON document; the same record gives the same text."""
        content = {"format": FORMAT, **asdict(self), "points": self.points, "possible": self.possible}
        return json.dumps(content, indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Record":
        """The record that :meth:`to_json` wrote.

        Raises:
            ValueError: ``text`` is something else, or of another format.
        """
        try:
            content = json.loads(text)
            if content["format"] != FORMAT:
                raise ValueError(f"format {content['format']!r}, this grader reads {FORMAT}")
            questions = tuple(_question(question) for question in content["questions"])
            known = {field.name: content[field.name] for field in fields(cls)}
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a record of a submission: {type(error).__name__} {error}") from None
        return cls(**{**known, "questions": questions, "notes": tuple(known["notes"])})


def _question(content: dict[str, Any]) -> QuestionRecord:
    known = {field.name: content[field.name] for field in fields(QuestionRecord)}
    example = known["example"]
    return QuestionRecord(
        **{
            **known,
            "cases": tuple((label, public, ok) for label, public, ok in known["cases"]),
            "example": None if example is None else tuple(example),
            "flags": tuple(known["flags"]),
            "notes": tuple(known["notes"]),
        }
    )


def read(path: Path) -> Record:
    """The record in a file.

    Raises:
        ValueError: the file holds something else; the message names it.
    """
    try:
        return Record.from_json(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise ValueError(f"{path}: {error}") from None
