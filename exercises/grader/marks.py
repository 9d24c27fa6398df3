"""Who got how many points: how they are spread over a chapter, and tables of students."""

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import quote

from exercises.grader import tally
from exercises.grader.pages import About, alphabetic, chapter_title, in_words, joined, named, number, said, scroll, status
from exercises.grader.record import QuestionRecord, Record
from exercises.grader.tally import Asked


class People:
    """Links to students; of two with the same name, each is told apart by the key."""

    def __init__(self, records: Sequence[Record]) -> None:
        self.same = {name for name, times in Counter(record.student for record in records).items() if times > 1}

    def link(self, record: Record) -> str:
        """The student's name as a link to the feedback; two of the same name are told apart."""
        key = f' <span class="aside">({said(record.key, 60)})</span>' if record.student in self.same else ""
        return f'<a href="feedback/{quote(record.key, safe="", errors="replace")}.html">{named(record.student)}</a>{key}'


def anchor(chapter: str, *question: str) -> str:
    """The place of a chapter or a question on the page."""
    return quote("-".join(["in", chapter, *question]), safe="")


def totals(records: Sequence[Record], people: People, about: About) -> str:
    """The table over all chapters."""
    rows = []
    for record in records:
        parts = [tally.of_chapter(record, chapter) for chapter in about.chapters]
        cells = [
            f'<td class="number" data-sort="{tally.total(part.values())}">{number(tally.total(part.values()))}</td>'
            if part
            else f'<td class="number" data-sort="-1">{status("missing", hidden_word=True)}</td>'
            for part in parts
        ]
        rows.append(_student(record, people, record.points, cells, about))
    worth = {chapter: sum(questions.values()) for chapter, questions in about.chapters.items()}
    heads = [f"{said(chapter_title(chapter))} <small>of {points}</small>" for chapter, points in worth.items()]
    whole = _student_table(heads, rows, sum(worth.values()), about)
    return f'<section id="students"><h2>All students</h2>{scroll("All students", whole)}</section>'


def _student(record: Record, people: People, earned: float, cells: Iterable[str], about: About) -> str:
    """A student's row: name, points, ``cells``, and the file of the record."""
    flag = ' <a class="flag" href="#look"><span aria-hidden="true">⚑</span><span class="aloud">look at this</span></a>'
    flagged = flag if any(question.flags for question in record.questions) else ""
    href = about.json.replace("{key}", quote(record.key, safe="", errors="replace"))
    json = f'<td><a href="{href}"><span class="aloud">{named(record.student)} as </span>JSON</a></td>' if about.json else ""
    return (
        f'<tr><th scope="row" data-sort="{said(alphabetic(record.student), 60)}">{people.link(record)}{flagged}</th>'
        f'<td class="number total" data-sort="{earned}">{number(earned)}</td>{"".join(cells)}{json}</tr>'
    )


def _student_table(heads: Sequence[str], rows: Sequence[str], possible: int, about: About) -> str:
    """``heads`` are HTML."""
    texts = ["Student", f"Points <small>of {possible}</small>", *heads, *(["Record"] if about.json else [])]
    head = "".join(f'<th scope="col">{text}</th>' for text in texts)
    return f'<table class="students" data-sortable><thead><tr>{head}</tr></thead><tbody>{joined(rows)}</tbody></table>'


def table(
    chapter: str,
    handed: Sequence[tuple[Record, Mapping[str, QuestionRecord]]],
    questions: Sequence[Asked],
    people: People,
    about: About,
) -> str:
    """The table of one chapter: who has handed it in, and the questions."""
    rows = [
        _student(record, people, tally.total(part.values()), [_cell(part.get(asked.name)) for asked in questions], about)
        for record, part in handed
    ]
    heads = [f"<code>{said(asked.name)}</code> <small>of {asked.possible}</small>" for asked in questions]
    whole = _student_table(heads, rows, sum(asked.possible for asked in questions), about)
    return scroll(f"{chapter_title(chapter)}: students and questions", whole)


def spread(earned: Sequence[float], students: int, possible: int) -> str:
    """How the points of a chapter are spread, as numbers and as columns."""
    facts = [
        ("Handed in", f"{len(earned)} of {students}"),
        ("Mean", f"{number(statistics.fmean(earned))} of {possible}"),
        ("Median", f"{number(statistics.median(earned))} of {possible}"),
        ("With all points", str(sum(value >= possible for value in earned))),
    ]
    terms = "".join(f"<div><dt>{word}</dt><dd>{value}</dd></div>" for word, value in facts)
    columns = tally.columns(earned, possible)
    most = max(n for _, n in columns)
    bars = "".join(
        f'<li><span class="n">{n}<span class="aloud"> {"student" if n == 1 else "students"} with </span></span>'
        f'<svg aria-hidden="true" height="{round(96 * n / most) + (2 if n else 0)}">'
        f'<rect width="100%" height="100%" rx="3"/></svg><span class="x">{name}<span class="aloud"> points</span></span></li>'
        for name, n in columns
    )
    return (
        f'<dl class="facts">{terms}</dl><figure><figcaption>Students by points, rounded down</figcaption>'
        f'<ol class="columns">{bars}</ol></figure>'
    )


def _cell(question: QuestionRecord | None) -> str:
    if question is None:
        return f'<td class="number" data-sort="-1">{status("missing")}</td>'
    mistake = f'<span class="said">{said(in_words(question.kind), 60)}</span>' if question.recognised else ""
    return (
        f'<td class="number" data-sort="{question.points}"><span class="one">'
        f'<span class="earned">{number(question.points)}</span> {status(question.status)}</span>{mistake}</td>'
    )
