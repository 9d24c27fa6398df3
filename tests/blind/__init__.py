"""Answers by strangers, who had never seen the banks, and what a check says to them.

Two strangers, one after the other, had the packs that students get, and wrote wrong answers to every exercise, as students make
them. A folder each, :data:`ROUNDS`, holds one file per chapter: for each answer the exercise, the mistake in the writer's
words, and the code. Somebody else then read mistake and hint side by side and judged each hint. ``at_first.json`` holds hints
and judgements as the banks were when the answers came; afterwards statements, cases and banks were mended with their help.
``now.json`` holds the same for the banks as they are, and a hint that changes has to be judged again. ``python -m tests.blind``
prints the tables. The folder ``right`` holds right answers, in the same form.
"""

import json
import linecache
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import exercises
from lmcore.check.diagnose import diagnose
from lmcore.check.result import Result

HERE = Path(__file__).parent
ROUNDS = ("first", "second")
ANSWER = re.compile(r"^## (?P<name>\w+)\n+(?P<text>.+?)\n+```python\n(?P<code>.+?)^```$", re.MULTILINE | re.DOTALL)
VERDICTS = {
    "right": "names the mistake, or leads straight to it",
    "helps": "true, and points to the right place",
    "none": "says no more than that something differs",
    "wrong": "names a mistake that was not made",
}


@dataclass(frozen=True)
class Blind:
    """One answer: its place, ``ch02_tokens/count_pairs/1``, the exercise, the mistake in words, and the code."""

    folder: str
    place: str
    name: str
    text: str
    code: str


@cache
def answers(folder: str) -> tuple[Blind, ...]:
    """All answers of a folder, in the order of the book."""
    return tuple(answer for path in sorted((HERE / folder).glob("ch*.md")) for answer in _read(path))


def _read(path: Path) -> Iterator[Blind]:
    content, seen = path.read_text(encoding="utf-8"), Counter[str]()
    for found in ANSWER.finditer(content):
        seen[found["name"]] += 1
        place = f"{path.stem}/{found['name']}/{seen[found['name']]}"
        yield Blind(path.parent.name, place, found["name"], " ".join(found["text"].split()), found["code"])
    assert sum(seen.values()) == len(re.findall(r"^## ", content, re.MULTILINE)), f"{path.name} holds an answer in another form"


@cache
def results(answer: Blind) -> tuple[Result, Result]:
    """What the check of a student's pack says, and what the grader says, who runs the hidden cases too."""
    file = f"<{answer.folder}/{answer.place}>"
    linecache.cache[file] = (len(answer.code), None, answer.code.splitlines(keepends=True), file)
    namespace: dict = {"__name__": "student"}
    exec(compile(answer.code, file, "exec"), namespace)
    question = exercises.get(answer.name).question(seed=0)
    given = question.answers(namespace[answer.name])
    public = question.only(lambda case: case.public)
    seen = [got for got, case in zip(given, question.cases, strict=True) if case.public]
    return diagnose(public, seen), diagnose(question, given)


def shown(result: Result) -> str:
    """The words that are judged: of a pass there are none."""
    return "" if result.passed else result.hint


def judgements(folder: str, when: str = "now") -> dict[str, dict[str, str]]:
    """By place: ``pack`` and ``grader``, the two hints, and ``pack_verdict`` and ``grader_verdict``, what they are worth."""
    return json.loads((HERE / folder / f"{when}.json").read_text(encoding="utf-8"))


def table(folder: str) -> str:
    """How many hints were and are worth what, by the check in a pack and by the grader, in Markdown."""
    then, now = (list(judgements(folder, when).values()) for when in ("at_first", "now"))
    columns = [(then, "pack"), (then, "grader"), (now, "pack"), (now, "grader")]
    lines = ["| the hint | at first: pack | grader | now: pack | grader |", "|---|--:|--:|--:|--:|"]
    for verdict, words in [*VERDICTS.items(), ("", "is none, as the answer passes")]:
        counts = [sum(one[f"{by}_verdict"] == verdict for one in judged) for judged, by in columns]
        lines.append(
            "| "
            + " | ".join([words, *(f"{n}\N{NO-BREAK SPACE}({100 * n / len(now):.0f}\N{NO-BREAK SPACE}%)" for n in counts)])
            + " |"
        )
    return "\n".join(lines)


def tables() -> str:
    """A table for each of the rounds, and what became of the right answers."""
    parts = []
    for folder in ROUNDS:
        number = len({answer.name for answer in answers(folder)})
        parts += [f"The {folder} stranger: {len(answers(folder))} wrong answers to {number} exercises.", table(folder)]
    right = answers("right")
    passed = sum(results(answer)[1].passed for answer in right)
    parts.append(f"{passed} of {len(right)} right answers by the second stranger pass.")
    return "\n\n".join(parts)
