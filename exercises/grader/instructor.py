"""What an instructor keeps and no student gets: notebooks with the reference answers in their cells, and for each
exercise the mistakes it knows with their hints."""

import json
from pathlib import Path

import exercises
from exercises.grader import notebook
from exercises.grader.exercise import Exercise, hint
from exercises.grader.pack import replace
from exercises.grader.source import standalone
from lmcore.check import notebook as notebooks
from lmcore.check.question import Question
from lmcore.check.run import Answer
from lmcore.check.show import show

README = """# For the instructor

Nothing in this folder is for students. For each chapter: `solved.md` and `solved.ipynb`, the notebook with the reference
answers in its cells, and `mistakes.md`, the mistakes that are recognised, each with the hint a student reads.

## Hand out

Give students a zip of `students/`, or the whole folder. It holds no answer.

## Grade on your own machine

Put everything that was handed in into one folder: notebooks and zips, under any names, in folders or not. In the
checkout:

    make grade SUBMISSIONS=folder
    .venv/bin/python -m exercises.grade --help

The first writes a table, a report of the class, and a page for each student, all of it to `folder-grades`; begin with
`report.html`. The code of students runs in bubblewrap; without it the command refuses, and says what to install. The page
"Grading a class" of the book says more.

## Grade on Gradescope

1. Create a Programming Assignment, with the points of the table below.
2. Under Configure Autograder take the base image Ubuntu 22.04 and upload the chapter's zip of `gradescope/`. The build
   tries the reference answers, the empty notebook, and code that looks for the grader; it ends with an error where one of
   them gets other points than it should.
3. Choose a container with at least 3 GB of memory, and a time-out of at least 10 minutes.
4. Test Autograder with `solved.ipynb`, which gets all points, and with the notebook that students get, which gets none.

Each question is a test, with its hint. One more test is for instructors alone: what a person should look at, and what the
isolation of Gradescope's containers does not guarantee. A submission that could not be graded has no score, and says so.

The file `gradescope/grading-seed` decides the hidden cases. It is kept when you release again, so that a new zip has the
same cases; `--new-seed` draws others. Keep it and the zips to yourself: they hold the bank.

## What the numbers mean

A question whose public and hidden cases all pass gets its points. Otherwise it gets half of its points times the share of
cases that pass. A function that is missing or not written gets nothing. Difficulty is 1 (follow the equation), 2 (put two
ideas together) or 3 (find the algorithm). Minutes are for a student who has read the chapter. A mistake is recognised
where the outputs equal those of one in `mistakes.md` on every case, or on more than half of the public cases that differ.

## Exercises

"""


def write(chapter: str, folder: Path) -> Path:
    """Write the instructor's files of one chapter to ``folder / chapter``.

    Raises:
        ValueError: there is no such chapter, or a stub does not stand in its notebook word for word.
    """
    target = folder / chapter
    text, ipynb = solved(chapter)
    replace(target / "solved.md", text)
    replace(target / "solved.ipynb", ipynb)
    replace(target / "mistakes.md", mistakes(chapter))
    return target


def solved(chapter: str) -> tuple[str, str]:
    """A chapter's notebook with the reference answers in the cells, as text and as ``.ipynb``; nothing is run."""
    path = notebook.path(chapter)
    text, document = path.read_text(encoding="utf-8"), notebooks.read(path).to_ipynb()
    answers = {exercise.name: standalone(exercise.reference).rstrip("\n") for exercise in exercises.bank(chapter)}
    for cell in document["cells"]:
        if (name := cell["metadata"].get("exercise", "")) in answers:
            if text.count(cell["source"]) != 1:
                raise ValueError(f"{path}: the cell of {name} stands {text.count(cell['source'])} times in the text, not once")
            text = text.replace(cell["source"], answers[name])
            cell["source"] = answers[name]
    return text, json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def table(chapters: list[str]) -> str:
    """The exercises of these chapters, one row each."""
    rows = ["| chapter | exercise | minutes | difficulty | points |", "|---|---|---|---|---|"]
    for chapter in chapters:
        bank = exercises.bank(chapter)
        rows += [f"| {chapter} | `{e.name}` | {e.minutes} | {e.difficulty} | {e.points} |" for e in bank]
        rows.append(f"| **{chapter}** | | **{sum(e.minutes for e in bank)}** | | **{sum(e.points for e in bank)}** |")
    return "\n".join(rows) + "\n"


def mistakes(chapter: str) -> str:
    """The mistakes of a chapter as a sheet to read: each with its hint and the first public case that shows it."""
    about = "Each with the hint a student reads, and the first public case that shows it."
    parts = [f"# Mistakes that are recognised: {chapter}\n\n{about}"]
    for exercise in exercises.bank(chapter):
        question = exercises.public_questions(exercise.name)[exercise.name]
        parts.append(f"## {exercise.name}\n\n{exercise.facts}\n\n{_about(exercise)}")
        for wrong in exercise.wrong:
            parts.append(f"### {wrong.__name__}\n\n{_paragraphs(hint(wrong))}\n\n{_shown(question, wrong.__name__)}")
    return "\n\n".join(parts) + "\n"


def _paragraphs(text: str) -> str:
    return "\n\n".join(text.splitlines())


def _about(exercise: Exercise) -> str:
    cases = exercise.draw(0)
    public = sum(case.public for case in cases)
    names = [f"`{name}`" for name in exercise.ready if "._" not in name]
    names += ["what torch has behind them"] if len(names) < len(exercise.ready) else []
    ready = f" No answer may call {', '.join(names)}." if names else ""
    return (
        f"`{exercise.name}({', '.join(exercise.parameters)})`: {public} public and {len(cases) - public} hidden cases, "
        f"{exercise.seconds:g} s for a call.{ready}"
    )


def _shown(question: Question, key: str) -> str:
    """The first public case that a mistake fails, as a block of text."""
    for case, want, got in zip(question.cases, question.expected, question.mistakes[key].answers, strict=True):
        if not question.passed(got, want):
            given = ", ".join(show(value, 300) for value in case.args)
            lines = f"{case.label}: {question.name}({given})\nexpected: {_output(want)}\nreturned: {_output(got)}"
            return "\n".join(f"    {line}" for line in lines.splitlines())
    raise AssertionError(f"{key} passes every public case of {question.name}")


def _output(answer: Answer) -> str:
    value = show(answer.value, 300) if answer.status == "ok" else f"{answer.status} {answer.error}".strip()
    changed = ", ".join(str(i + 1) for i in answer.changed)
    return f"{value}, and changes argument {changed}" if changed else value
