"""What to teach again: how each question went, and a histogram of the mistakes that were made in it, with who made them."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from exercises.grader.marks import People, anchor
from exercises.grader.pages import STATUS, About, bar, chapter_title, count, number, prose, said, scroll, status
from exercises.grader.record import QuestionRecord
from exercises.grader.tally import Asked, Mistake
from lmcore.check.result import marked

MOST_TAUGHT = 6
FEW_NAMES = 4  # from more on, they are folded
QUESTION_COLUMNS = ("Question", "All right", "Mean points", "Most frequent mistake")


def teach(questions: Sequence[Asked], about: About) -> str:
    """The mistakes that most students made over all questions, and a line for each question."""
    known = [(asked, mistake) for asked in questions for mistake in asked.mistakes() if mistake.known]
    known.sort(key=lambda pair: -len(pair[1].made))
    often = [pair for pair in known if len(pair[1].made) > 1][:MOST_TAUGHT]
    items = "".join(
        _mistake(
            mistake,
            len(often[0][1].made),
            f'<p><a href="#{anchor(asked.chapter, asked.name)}"><code>{said(asked.name)}</code></a></p>',
        )
        for asked, mistake in often
    )
    several = len(about.chapters) > 1
    rows = "".join(_overview_row(asked, several) for asked in questions)
    head = ("Chapter", *QUESTION_COLUMNS) if several else QUESTION_COLUMNS
    table = f"<table><thead><tr>{_heads(head)}</tr></thead><tbody>{rows}</tbody></table>"
    first = f'<ol class="mistakes">{items}</ol>' if items else "<p>No known mistake was made by more than one student.</p>"
    return (
        f'<section id="teach"><h2>What to teach again</h2>{first}'
        f"<h3>Question by question</h3>{scroll('Question by question', table)}</section>"
    )


def _heads(names: Iterable[str]) -> str:
    return "".join(f'<th scope="col">{said(name)}</th>' for name in names)


def _overview_row(asked: Asked, several: bool) -> str:
    known = [mistake for mistake in asked.mistakes() if mistake.known]
    most = f"{said(known[0].what)} ({len(known[0].made)})" if known else "–"
    share = asked.right / len(asked.given) if asked.given else 0.0
    chapter = f"<td>{said(chapter_title(asked.chapter))}</td>" if several else ""
    link = f'<a href="#{anchor(asked.chapter, asked.name)}"><code>{said(asked.name)}</code></a>'
    right = f'<td class="bars" data-sort="{share:.4f}">{bar(share, "good")} {asked.right} of {len(asked.given)}</td>'
    mean = f'<td class="number" data-sort="{asked.mean:.4f}">{number(asked.mean)} <small>of {asked.possible}</small></td>'
    return f'<tr>{chapter}<th scope="row">{link}</th>{right}{mean}<td>{most}</td></tr>'


def of_question(asked: Asked, people: People) -> str:
    """One question: how it ended, and every mistake with who made it."""
    tallies = Counter(question.status for _, question in asked.given)
    legend = "".join(f"<li>{status(which)} {tallies[which]}</li>" for which in STATUS if tallies[which])
    worth = f'<span class="aside">mean {number(asked.mean)} of {count(asked.possible, "point")}</span>'
    found = asked.mistakes()
    most = max((len(mistake.made) for mistake in found), default=0)
    items = "".join(_mistake(mistake, most, _made(mistake, people)) for mistake in found)
    mistakes = f'<h4>Mistakes, by how many students made them</h4><ul class="mistakes">{items}</ul>' if items else ""
    return f"""<article class="asked" id="{anchor(asked.chapter, asked.name)}">
<h3><code>{said(asked.name)}</code> {worth}</h3>
{_stack(tallies, len(asked.given)) if asked.given else ""}{f'<ul class="legend">{legend}</ul>' if legend else ""}
{mistakes}
</article>"""


def _stack(tallies: Mapping[str, int], total: int) -> str:
    """One bar cut into the statuses; the legend below says the same in words."""
    parts, start = [], 0
    for which in STATUS:
        if n := tallies[which]:
            x, width = 100 * start / total, 100 * n / total
            parts.append(f'<rect class="{which}" x="{x:.4g}%" width="{width:.4g}%" height="100%"/>')
            start += n
    return f'<svg class="stack" aria-hidden="true">{"".join(parts)}</svg>'


def _mistake(mistake: Mistake, most: int, below: str) -> str:
    """A row of the histogram: how many, a bar, and in words what; ``below`` is HTML."""
    n = len(mistake.made)
    hint = prose(mistake.hint) if mistake.known else ""
    return (
        f'<li class="{"known" if mistake.known else "other"}"><p class="much">{n}<span class="aloud"> '
        f"{'student' if n == 1 else 'students'}: </span></p>{bar(n / most)}"
        f'<div><p class="what">{said(mistake.what)}</p>{hint}{below}</div></li>'
    )


def _made(mistake: Mistake, people: People) -> str:
    """Who made it; where that says more, with what each was told."""
    tell = mistake.varied and any(question.hint for _, question in mistake.made)
    items = "".join(f"<li>{people.link(record)}{_told(question) if tell else ''}</li>" for record, question in mistake.made)
    names = f'<ul class="{"told" if tell else "names"}">{items}</ul>'
    if len(mistake.made) <= FEW_NAMES:
        return names
    return f"<details><summary>{count(len(mistake.made), 'student')}</summary>{names}</details>"


def _told(question: QuestionRecord) -> str:
    return f' <span class="said">{marked(said(question.hint, 240))}</span>'
