"""Wrong answers by somebody who had never seen the banks, and what a check says to them.

One file per chapter: for each answer the exercise, the mistake in the writer's words, and the code. The writer had the packs
that students get. Somebody else then read mistake and hint side by side and judged each hint. ``first.json`` holds hints and
judgements as the banks were when the answers came; afterwards statements, cases and banks were mended with their help.
``judgements.json`` holds the same for the banks as they are, and a hint that changes has to be judged again.
``python -m tests.blind`` prints the table.
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
ANSWER = re.compile(r"^## (?P<name>\w+)\n+(?P<mistake>.+?)\n+```python\n(?P<code>.+?)^```$", re.MULTILINE | re.DOTALL)
VERDICTS = {
    "right": "names the mistake, or leads straight to it",
    "helps": "true, and points to the right place",
    "none": "says no more than that something differs",
    "wrong": "names a mistake that was not made",
}


@dataclass(frozen=True)
class Blind:
    """One wrong answer: its place, ``ch02_tokens/count_pairs/1``, the exercise, the mistake in words, and the code."""

    place: str
    name: str
    mistake: str
    code: str


@cache
def answers() -> tuple[Blind, ...]:
    """All of them, in the order of the book."""
    return tuple(answer for path in sorted(HERE.glob("ch*.md")) for answer in _read(path))


def _read(path: Path) -> Iterator[Blind]:
    text, seen = path.read_text(encoding="utf-8"), Counter[str]()
    for found in ANSWER.finditer(text):
        seen[found["name"]] += 1
        place = f"{path.stem}/{found['name']}/{seen[found['name']]}"
        yield Blind(place, found["name"], " ".join(found["mistake"].split()), found["code"])
    assert sum(seen.values()) == len(re.findall(r"^## ", text, re.MULTILINE)), f"{path.name} holds an answer in another form"


@cache
def results(answer: Blind) -> tuple[Result, Result]:
    """What the check of a student's pack says, and what the grader says, who runs the hidden cases too."""
    file = f"<{answer.place}>"
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


def judgements(file: str = "judgements.json") -> dict[str, dict[str, str]]:
    """By place: ``pack`` and ``grader``, the two hints, and ``pack_verdict`` and ``grader_verdict``, what they are worth."""
    return json.loads((HERE / file).read_text(encoding="utf-8"))


def table() -> str:
    """How many hints were and are worth what, by the check in a pack and by the grader, in Markdown."""
    then, now = list(judgements("first.json").values()), list(judgements().values())
    columns = [(then, "pack"), (then, "grader"), (now, "pack"), (now, "grader")]
    lines = ["| the hint | at first: pack | grader | now: pack | grader |", "|---|--:|--:|--:|--:|"]
    for verdict, words in [*VERDICTS.items(), ("", "is none, as the answer passes")]:
        counts = [sum(one[f"{by}_verdict"] == verdict for one in judged) for judged, by in columns]
        lines.append("| " + " | ".join([words, *(f"{n} ({100 * n / len(now):.0f} %)" for n in counts)]) + " |")
    return "\n".join([f"{len(now)} wrong answers to {len({answer.name for answer in answers()})} exercises.", "", *lines])
