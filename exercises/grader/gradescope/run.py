"""Grade one submission on Gradescope: what ``run_autograder`` calls, as root, in a container of its own."""

import argparse
import json
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import exercises
from exercises.grader import grading, instructor, isolation, notebook, submissions
from exercises.grader.gradescope import results
from exercises.grader.gradescope.build import FORMAT
from exercises.grader.pack import replace as write
from exercises.grader.record import Record

NOTHING = "Nothing of this chapter was found in what you handed in"
UNKNOWN = "the student"
CLOSED = ("source", "submission", "results", "submission_metadata.json")  # for root alone


def grade(root: Path, folder: Path, student: str) -> tuple[Record, list[str], isolation.Isolation]:
    """The record of what lies in ``folder``, what could not be read, and how the code was run. ``root`` is Gradescope's folder.

    Raises:
        IsolationError: a student's code could not be kept away from the grader here.
    """
    chosen = settings(root)
    chapter = chosen["chapter"]
    how = isolation.choose(container=True, private=[path for name in CLOSED if (path := root / name).exists()])
    plan = grading.plan(exercises.bank(chapter), int(chosen["seed"]), how)
    found = submissions.collect(folder, [chapter], student)  # one person hands in here, whatever names stand in the files
    problems = [f"{problem.source}: {problem.text}" for problem in found.problems]
    if found.submissions:
        return grading.grade(found.submissions[0], plan), problems, how
    nobody = submissions.Submission(student, "student", source="", digest="", notebooks=())
    return (
        grading.grade(nobody, plan),
        [*problems, f"{NOTHING}: hand in the zip that the last cell of the notebook writes"],
        how,
    )


def student(path: Path) -> str:
    """Who hands in, from Gradescope's ``submission_metadata.json``; a group is one student here."""
    try:
        users = json.loads(path.read_text(encoding="utf-8"))["users"]
        names = [" ".join(str(user["name"]).split())[:100] for user in users]
    except (OSError, ValueError, KeyError, TypeError):
        return UNKNOWN
    return " and ".join(filter(None, names)) or UNKNOWN


def settings(root: Path) -> dict[str, Any]:
    """What the release wrote for this grader; a private set that came with it is registered.

    Raises:
        ValueError: it is of another format.
    """
    content = json.loads((root / "source" / "settings.json").read_text(encoding="utf-8"))
    if content.get("format") != FORMAT:
        raise ValueError(f"settings.json has format {content.get('format')!r}, this grader reads {FORMAT}")
    for folder in (root / "source").glob("private/*"):
        exercises.register(folder)
    return content


def prove(root: Path) -> list[str]:
    """What is wrong with this autograder, tried with the real thing: the reference answers together with code that looks for
    the grader, and the notebook that students get."""
    chapter = settings(root)["chapter"]
    possible = sum(exercise.points for exercise in exercises.bank(chapter))
    document = json.loads(instructor.solved(chapter)[1])
    names = [exercise.name for exercise in exercises.bank(chapter)]
    places = [str(root / name) for name in CLOSED if (root / name).is_dir()]
    cell: dict[str, Any] = {
        "id": "looks-for-the-grader",
        "cell_type": "code",
        "metadata": {},
        "execution_count": None,
        "outputs": [],
    }
    document["cells"].append({**cell, "source": LOOKING.format(names=names, places=places)})
    found = []
    for text, name, expected in (
        (json.dumps(document), "solved.ipynb", possible),
        (notebook.path(chapter).read_text(encoding="utf-8"), "exercises.md", 0),
    ):
        with tempfile.TemporaryDirectory() as temporary:
            (Path(temporary) / name).write_text(text, encoding="utf-8")
            record, problems, how = grade(root, Path(temporary), UNKNOWN)
        print(f"{name}: {record.points:g} of {possible} points; {how.name}; {'; '.join(problems) or 'no problems'}")
        if record.points != expected:
            found.append(f"{name} gets {record.points:g} of {possible} points instead of {expected}: {record.questions}")
    return found


# Added to the reference answers: all of them are taken away where the grader can be seen.
LOOKING = """
import os

for place in {places}:
    try:
        os.listdir(place)
    except OSError:
        continue
    for name in {names}:
        globals().pop(name, None)
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit status. Whatever happens, ``results.json`` is there when it ends."""
    parser = argparse.ArgumentParser(prog="python -m exercises.grader.gradescope.run", description="Grade one submission.")
    parser.add_argument("--root", type=Path, default=Path("/autograder"), help="where Gradescope puts everything")
    parser.add_argument("--prove", action="store_true", help="try this autograder on the reference answers, and grade nobody")
    chosen = parser.parse_args(arguments)
    root: Path = chosen.root
    if chosen.prove:
        problems = prove(root)
        print("\n".join(f"error: {problem}" for problem in problems), file=sys.stderr)
        return 1 if problems else 0
    begun = time.monotonic()
    try:
        who = student(root / "submission_metadata.json")
        record, problems, how = grade(root, root / "submission", who)
        content = results.results(record, problems, how.weaker, time.monotonic() - begun)
        status = 0 if "score" in content else 1
    except Exception as error:
        traceback.print_exc()  # instructors see this, students do not
        content, status = results.not_graded(f"{type(error).__name__}: {error}"), 1
    write(root / "results" / "results.json", results.text(content), mode=0o600)
    return status


if __name__ == "__main__":
    sys.exit(main())
