"""The page a student gets: points, what passed, a hint, and one public example that differs.

It shows nothing of a hidden case but how many pass, no line that is meant for a person who grades, and nobody else.
"""

from collections.abc import Sequence
from pathlib import PurePosixPath

from exercises.grader.pages import (
    About,
    banner,
    chapter_title,
    count,
    how_points,
    joined,
    named,
    number,
    page,
    points,
    prose,
    said,
    status,
)
from exercises.grader.record import NOT_HANDED_IN, QuestionRecord, Record
from exercises.grader.tally import GRADER_FAILED, of_chapter, total
from exercises.grader.tally import lines as lines_of

# One kind sentence per outcome.
WORDS = {
    "passed": "Every case passes. Well done!",
    "partly": "You are on the way: some cases pass already.",
    "failed": "Not there yet.",
    "unwritten": "This one is still to be written. A small case worked out by hand is a good first step.",
    "missing": "No function of this name was found in what you handed in. Was it renamed, or its cell deleted?",
    "crashed": "The code ended before it gave an answer, so the cases could not be run.",
}
# How code was run, in the words of somebody who hands in.
RAN = {
    "bubblewrap": "Your code ran in a sandbox of its own, without a network.",
    "user": "Your code ran as a user of its own (--container), which keeps submissions apart, but less strictly than a "
    "sandbox; whoever graded this has the list of what it does not guarantee.",
    "trust": "Your code ran without a sandbox (--trust).",
}
TRUSTED = (
    "The submissions of this class ran without isolation (--trust), so one of them could have changed the points of another. "
    "If yours surprise you, ask whoever graded this."
)
NOTHING_WRITTEN = (
    "No answer was found in what you handed in. If you wrote some, save the notebook, run its last cell again, and see what it "
    "says it packed."
)
FAULT = "The grader failed here, which is not your fault. Whoever graded this has been told."


def feedback(record: Record, about: About) -> str:
    """The page of one student."""
    handed = [chapter for chapter in about.chapters if of_chapter(record, chapter)]
    absent = {question.chapter: True for question in record.questions if question.chapter not in handed}
    body = f"""<header class="top narrow">
<p class="over">Feedback · {said(about.title, 120)}</p>
<h1>{named(record.student, 120)}</h1>
<p class="score"><strong>{number(record.points)}</strong> of {count(record.possible, "point")}</p>
<p class="lead">{_lead(record)}</p>
</header>
<main class="narrow">
{banner(TRUSTED if about.banner else "")}
{_notes(record.notes, "About what was handed in", "h2")}
{joined(_chapter(record, chapter) for chapter in handed)}
{joined(f"<p>Nothing was handed in for {said(chapter_title(chapter))}.</p>" for chapter in absent)}
</main>
<footer class="narrow">
<p>{_small_print(record, about)}</p>
</footer>"""
    return page(f"Feedback for {record.student}: {points(record.points, record.possible)}", body)


def _lead(record: Record) -> str:
    right = sum(question.status == "passed" for question in record.questions)
    if not record.questions:
        return "There was no exercise in what was handed in."
    if right == len(record.questions):
        return "Everything is right. Well done!"
    of = f"{right} of {count(len(record.questions), 'question')} {'is' if right == 1 else 'are'} right"
    if not right:
        of = "No question is all right yet, and that is where learning starts"
    handed = [question for question in record.questions if question.kind != NOT_HANDED_IN]
    if all(question.status == "unwritten" for question in handed):
        return NOTHING_WRITTEN
    if not any(_has_hint(question) for question in handed):
        return f"{of}."
    return f"{of}. Each hint below names one thing to look at; take them one at a time."


def _chapter(record: Record, chapter: str) -> str:
    questions = of_chapter(record, chapter)
    earned, possible = total(questions.values()), sum(question.possible for question in questions.values())
    notes = [(names, lines) for where, names, lines in lines_of(record, lambda question: question.notes) if where == chapter]
    whole = [line for names, lines in notes if not names for line in lines]
    own = {name: [line for names, lines in notes if name in names for line in lines] for name in questions}
    return f"""<section>
<h2>{said(chapter_title(chapter))} <span class="aside">{points(earned, possible)}</span></h2>
{_notes(whole, "About this notebook", "h3")}
{joined(_question(question, own[question.name]) for question in questions.values())}
</section>"""


def _question(question: QuestionRecord, notes: Sequence[str]) -> str:
    words = FAULT if question.kind == GRADER_FAILED else WORDS[question.status]
    parts = [
        f'<div class="heading"><h3><code>{said(question.name)}</code></h3>'
        f'<p class="worth">{points(question.points, question.possible)}</p></div>',
        f"<p>{status(question.status)}<strong>.</strong> <span>{words}</span></p>",
    ]
    if _has_hint(question):
        parts.append(f'<div class="hint"><h4>Hint</h4>{prose(question.hint)}</div>')
    parts += [_cases(question), _example(question), _notes(notes, "Notes", "h4")]
    return f'<article class="question {question.status}">{joined(parts)}</article>'


def _has_hint(question: QuestionRecord) -> bool:
    return bool(question.hint) and question.status not in ("passed", "unwritten")


def _cases(question: QuestionRecord) -> str:
    if question.status in ("unwritten", "missing", "crashed"):
        return ""
    sign = {True: ("passed", "passes"), False: ("failed", "differs")}
    items = [_case(*sign[ok], said(label, 300)) for label, public, ok in question.cases if public]
    hidden = [ok for _, public, ok in question.cases if not public]
    if hidden:
        text = f"{sum(hidden)} of {count(len(hidden), 'hidden case')}"
        items.append(_case("passed" if all(hidden) else "failed", "passes" if sum(hidden) == 1 else "pass", text, False))
    whole = f'<ul class="cases">{"".join(items)}</ul>'
    if question.status == "passed":
        return f"<details><summary>Cases</summary>{whole}</details>"
    return f"<h4>Cases</h4>{whole}" if items else ""


def _case(which: str, verb: str, text: str, verb_first: bool = True) -> str:
    sign = "✓" if which == "passed" else "✗"
    words = f'<span class="verb">{verb}</span> {text}' if verb_first else f"{text} {verb}"
    return f'<li class="{which}"><span class="sign" aria-hidden="true">{sign}</span> <span>{words}</span></li>'


def _example(question: QuestionRecord) -> str:
    if question.example is None:
        return ""
    label, *texts = question.example
    if not any(public and label == known for known, public, _ in question.cases):
        return ""  # an example is always a public case; what claims another one is not shown
    rows = "".join(
        f"<dt>{word}</dt><dd><pre>{said(text, 4000)}</pre></dd>"
        for word, text in zip(("Called", "Expected", "Got"), texts, strict=True)
    )
    return f'<h4>The first case that differs: {said(label, 300)}</h4><dl class="example">{rows}</dl>'


def _notes(notes: Sequence[str], title: str, heading: str) -> str:
    items = "".join(f"<li>{said(note, 500)}</li>" for note in notes)
    return f'<div class="notes"><{heading}>{title}</{heading}><ul>{items}</ul></div>' if notes else ""


def _small_print(record: Record, about: About) -> str:
    name = said(PurePosixPath(record.source).name, 120)
    edition = f", edition {said(about.edition)}" if about.edition else ""
    return (
        f"{how_points(about)} Hidden cases are inputs that nobody sees, so that an answer has to hold in general. "
        f"{RAN.get(about.isolation, said(about.isolation))} "
        f"Graded from <bdi>{name}</bdi> (SHA-256 {said(record.digest[:12])}){edition}."
    )
