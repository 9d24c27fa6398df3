"""The report on a class: ``report.html`` for whoever teaches it, and a page of feedback for each student.

The class report answers, from the top: what needs a person, what to teach again, how each question went and who made which
mistake, and at last how all this was computed.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol

from exercises.grader import marks, misconceptions, tally
from exercises.grader.feedback import feedback
from exercises.grader.marks import People, anchor
from exercises.grader.pack import replace
from exercises.grader.pages import GENERATOR, About, alphabetic, banner, chapter_title, count, how_points, joined, page, said
from exercises.grader.record import QuestionRecord, Record
from exercises.grader.tally import GRADER_FAILED, Asked

__all__ = ["About", "write"]

MOST_LINES = 12
PRIVATE = 0o600  # marks are for the eyes of whoever graded
ISOLATION = {
    "bubblewrap": "Every submission ran in a sandbox of its own (bubblewrap): without a network, without this computer's "
    "files, with limits on time, memory and processes.",
    "user": "Every submission ran as a user of its own, with limits on time, memory and processes, but not in a sandbox.",
    "trust": "The submissions were trusted: they ran with the rights of whoever graded them.",
}
FLAGGED = (
    "<p>These answers may get at a ready-made function, or at something an answer has no need of. Nothing was taken off for "
    "it: that is for you to judge.</p>"
)
WHOSE = "<p>Everything here was graded. Was it written by whoever handed it in?</p>"
FILES = (
    "<p>Not graded, or not as they came. Whoever handed in nothing else has no points, or is in no table: ask them to hand in "
    "again.</p>"
)


class Problem(Protocol):
    """A file that could not be graded, and why."""

    @property
    def source(self) -> str:
        """The file, relative to the folder of submissions."""
        ...

    @property
    def text(self) -> str:
        """What a person should know about it."""
        ...

    @property
    def whose(self) -> bool:
        """Whether it asks whose work a file is."""
        ...


def write(out: Path, records: Sequence[Record], problems: Sequence[Problem], about: About) -> Path:
    """Write ``out/report.html`` and ``out/feedback/KEY.html`` for each record; the path of the former.

    Each file appears complete or not at all; the same arguments give the same bytes. Pages of feedback that an earlier report
    wrote for somebody who is not in this one are removed.

    Raises:
        ValueError: two records have the same key, a key is no file name, or a record does not fit ``about``.
    """
    records = sorted(records, key=lambda record: (alphabetic(record.student), record.key))
    _check_keys(records)
    report = class_page(records, problems, about)
    folder = out / "feedback"
    folder.mkdir(parents=True, exist_ok=True)
    for record in records:
        replace(folder / f"{record.key}.html", feedback(record, about), PRIVATE)
    wanted = {f"{record.key}.html" for record in records}
    for path in [path for path in folder.glob("*.html") if path.name not in wanted]:
        with path.open(encoding="utf-8", errors="replace") as stream:
            ours = f'content="{GENERATOR}"' in stream.read(2000)
        if ours:
            path.unlink()
    replace(out / "report.html", report, PRIVATE)
    return out / "report.html"


def _check_keys(records: Sequence[Record]) -> None:
    for key, times in Counter(record.key for record in records).items():
        if times > 1:
            raise ValueError(f"two records have the key {key!r}; a key names one student's files")
        if not key or key.startswith(".") or set(key) & set('/\\\0"<>&'):
            raise ValueError(f"the key of a record names a file, and {key!r} cannot")


def class_page(records: Sequence[Record], problems: Sequence[Problem], about: About) -> str:
    """The page for whoever teaches the class; ``records`` in the order in which they are shown."""
    questions = tally.asked(records, about)
    people = People(records)
    chapters = [
        _chapter(chapter, records, [questions[chapter, name] for name in about.chapters[chapter]], people, about)
        for chapter in about.chapters
    ]
    facts = [count(len(records), "student"), count(len(about.chapters), "chapter"), count(len(questions), "question")]
    body = f"""<header class="top">
<p class="over">Class report</p>
<h1>{said(about.title, 120)}</h1>
<p class="lead">{" · ".join(facts)}</p>
</header>
<main>
{banner(about.banner)}
{_weaker(about) if about.weaker else ""}
{_next(records, problems)}
{_contents(about, bool(records))}
{_look(records, problems, people)}
{misconceptions.teach(list(questions.values()), about) if records else ""}
{marks.totals(records, people, about) if len(about.chapters) > 1 else ""}
{joined(chapters)}
{_how(about)}
</main>"""
    return page(f"{about.title}: class report", body, script=True)


def _chapter(chapter: str, records: Sequence[Record], questions: Sequence[Asked], people: People, about: About) -> str:
    handed = [(record, part) for record in records if (part := tally.of_chapter(record, chapter))]
    heading = f'<section id="{anchor(chapter)}" class="chapter">\n<h2>{said(chapter_title(chapter))}</h2>'
    if not handed:
        return f"{heading}\n<p>Nobody has handed in this chapter.</p>\n</section>"
    earned = [tally.total(part.values()) for _, part in handed]
    return f"""{heading}
{marks.spread(earned, len(records), sum(asked.possible for asked in questions))}
{joined(misconceptions.of_question(asked, people) for asked in questions)}
<h3>Students and questions</h3>
{marks.table(chapter, handed, questions, people, about)}
</section>"""


def _next(records: Sequence[Record], problems: Sequence[Problem]) -> str:
    """What whoever graded does now, in order."""
    if not records:
        return '<div class="next"><p><strong>Nothing could be graded.</strong> The lines below say why, file by file.</p></div>'
    flagged = sum(any(question.flags for question in record.questions) for record in records)
    failed = sum(any(question.kind == GRADER_FAILED for question in record.questions) for record in records)
    lines = sum(not problem.whose for problem in problems)
    found = [
        count(flagged, "flagged student") if flagged else "",
        count(failed, "student on whom the grader failed", "students on whom the grader failed") if failed else "",
        f"{count(whose, 'question')} of whose work it is" if (whose := len(problems) - lines) else "",
        f"{count(lines, 'line')} about files" if lines else "",
    ]
    steps = [f'<a href="#look">Look at</a> {", ".join(filter(None, found))}.'] if any(found) else []
    steps += [
        'See <a href="#teach">what to teach again</a>.',
        "Send each student their page in the folder <code>feedback</code>. It names nobody else and shows no flag.",
        "Take the points from <code>grades.csv</code>.",
    ]
    return f'<div class="next"><h2>What to do now</h2><ol>{"".join(f"<li>{step}</li>" for step in steps)}</ol></div>'


def _contents(about: About, graded: bool) -> str:
    links = [("look", "Look at these"), *([("teach", "What to teach again")] if graded else [])]
    links += [("students", "All students")] if len(about.chapters) > 1 else []
    links += [(anchor(chapter), chapter_title(chapter)) for chapter in about.chapters]
    links += [("how", "How this was graded")]
    items = "".join(f'<li><a href="#{place}">{said(text)}</a></li>' for place, text in links)
    return f'<nav aria-label="On this page"><ul>{items}</ul></nav>'


def _look(records: Sequence[Record], problems: Sequence[Problem], people: People) -> str:
    flagged = [record for record in records if any(question.flags for question in record.questions)]
    flags = [item for record in flagged for item in _about(record, lambda question: question.flags, people)]
    failed = [record for record in records if any(question.kind == GRADER_FAILED for question in record.questions)]
    faults = [item for record in failed for item in _about(record, _fault, people)]
    whose, files = (
        [
            f"<li><p><bdi><code>{said(problem.source, 200)}</code></bdi></p>{_lines([problem.text])}</li>"
            for problem in problems
            if problem.whose is which
        ]
        for which in (True, False)
    )
    noted = [f"<li><p>{people.link(record)}</p>{_lines(record.notes)}</li>" for record in records if record.notes]
    noted += [item for record in records for item in _about(record, lambda question: question.notes, people)]
    parts = [
        f"{_heading('Flagged answers', len(flagged))}{FLAGGED}{_list(flags)}" if flagged else "",
        f"{_heading('Questions on which the grader failed', len(failed))}{_list(faults)}" if failed else "",
        f"{_heading('Whose work is it?', len(whose))}{WHOSE}{_list(whose)}" if whose else "",
        f"{_heading('Files', len(files))}{FILES}{_list(files)}" if files else "",
        f"<details><summary>{count(len(noted), 'note')} that the students see as well</summary>"
        f'<ul class="lines">{"".join(noted)}</ul></details>'
        if noted
        else "",
    ]
    if not flagged and not problems and not failed:
        parts.insert(0, "<p>Nothing. Every file was graded, and no answer was flagged.</p>")
    elif not flagged and records:
        parts.insert(0, "<p>No answer was flagged.</p>")
    much = f' <span class="aside">{n}</span>' if (n := len(flagged) + len(failed) + len(problems)) else ""
    return f'<section id="look"><h2>Look at these{much}</h2>{joined(parts)}</section>'


def _heading(text: str, number: int) -> str:
    return f'<h3>{text} <span class="aside">{number}</span></h3>'


def _fault(question: QuestionRecord) -> Iterable[str]:
    return question.notes if question.kind == GRADER_FAILED else ()


def _about(record: Record, of: Callable[[QuestionRecord], Iterable[str]], people: People) -> list[str]:
    """What is said of the questions of one student, as items of a list."""
    items = []
    for chapter, names, lines in tally.lines(record, of):
        where = ", ".join(f"<code>{said(name)}</code>" for name in names) or said(chapter_title(chapter))
        items.append(f"<li><p>{people.link(record)} {where}</p>{_lines(lines)}</li>")
    return items


def _list(items: Sequence[str]) -> str:
    """The first items, and the others behind a fold."""
    shown, folded = items[:MOST_LINES], items[MOST_LINES:]
    more = f'<details><summary>{len(folded)} more</summary><ul class="lines">{"".join(folded)}</ul></details>' if folded else ""
    return f'<ul class="lines">{"".join(shown)}</ul>{more}'


def _lines(texts: Iterable[str]) -> str:
    return "".join(f'<p class="line">{said(text, 500)}</p>' for text in texts)


def _weaker(about: About) -> str:
    items = "".join(f"<li>{said(text)}</li>" for text in about.weaker)
    return (
        '<div class="banner"><p><strong>Graded without a sandbox.</strong> What this way of running code does not '
        f"guarantee:</p><ul>{items}</ul></div>"
    )


def _how(about: About) -> str:
    edition = f"<p>Edition {said(about.edition)} of the exercises.</p>" if about.edition else ""
    return f"""<section id="how">
<h2>How this was graded</h2>
<p>{how_points(about)} Points are rounded to two decimals. Means and medians are over those who have handed in the chapter.</p>
<p>A mistake is named where an answer gives the same as a known wrong answer, on every case or on most of those that differ. Its
bar is amber, and the hint beside it is what students read. Whatever else went wrong has a grey bar.</p>
<p>{ISOLATION.get(about.isolation, said(about.isolation))}</p>
{f"<p>{said(about.seeds)}</p>" if about.seeds else ""}
{edition}
<p>Feedback for students lies in the folder <code>feedback</code>, one page each, named after them. It shows how many hidden
cases pass and nothing else of them, none of the flags above, and nobody else.</p>
</section>"""
