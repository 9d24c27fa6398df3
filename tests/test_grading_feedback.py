"""Who sees what: flags are for the one who grades, hints for the student, and hidden cases for nobody."""

from dataclasses import replace

import pytest

from exercises.grader import report
from exercises.grader.feedback import feedback
from exercises.grader.pages import prose, said
from tests import graded
from tests.graded import class_page, parsed, shown

CHAPTER = "ch02_tokens"


@pytest.fixture(scope="module")
def klass():
    return graded.a_class(60, CHAPTER)


@pytest.fixture(scope="module")
def about():
    return graded.about(CHAPTER)


def test_what_needs_a_person_stands_near_the_top_for_the_one_and_nowhere_for_the_other(klass, about):
    flagged = [(record, q, line) for record in klass for q in record.questions for line in q.flags]
    assert flagged
    page = class_page(klass, about, graded.PROBLEMS)
    look = page.find(id="look")
    assert page.find("section")["id"] == "look"
    for record, question, line in flagged:
        assert f"{record.student} {question.name} {line}" in shown(look)
        assert line not in feedback(record, about)
    for problem in graded.PROBLEMS:
        assert problem.source in shown(look)
        assert problem.text in shown(look)
    assert shown(look.h2) == f"Look at these {len({record.key for record, *_ in flagged}) + len(graded.PROBLEMS)}"
    assert "Nothing." in shown(class_page(klass[:1], about).find(id="look"))


def test_flags_of_a_whole_notebook_are_said_once_and_long_lists_are_folded(about):
    records = graded.a_class(20, CHAPTER, skill=0.9)
    records = [
        replace(
            record, questions=tuple(replace(q, flags=("cell 2, line 1: uses ctypes", f"on {q.name}")) for q in record.questions)
        )
        for record in records
    ]
    look = class_page(records, about).find(id="look")
    assert shown(look.h2) == "Look at these 20"
    assert shown(look).count("uses ctypes") == 20
    assert shown(look.li) == f"{records[0].student} Chapter 2: tokens cell 2, line 1: uses ctypes"
    assert len(look.find("ul").find_all("li", recursive=False)) == report.MOST_LINES
    assert shown(look.summary) == f"{20 * (1 + len(about.chapters[CHAPTER])) - report.MOST_LINES} more"


def test_notes_on_a_notebook_are_said_once_and_those_on_a_question_beside_it(about):
    (record,) = graded.a_class(1, CHAPTER)
    questions = tuple(replace(q, notes=("cell 4 could not be read", f"on {q.name}")) for q in record.questions)
    record = replace(record, notes=("two files of one student",), questions=questions)
    told = parsed(feedback(record, about))
    notes = [shown(part) for part in told.find_all(class_="notes")]
    assert notes[:2] == ["About what was handed in two files of one student", "About this notebook cell 4 could not be read"]
    assert notes[2:] == [f"Notes on {name}" for name in about.chapters[CHAPTER]]
    assert [shown(article.find(class_="notes")) for article in told.find_all("article")] == notes[2:]
    look = shown(class_page([record], about).find(id="look"))
    assert look.count("cell 4 could not be read") == look.count("two files of one student") == 1


def test_question_on_which_the_grader_failed_is_for_a_person_and_not_the_students_fault(about):
    answered = graded.a_class(1, CHAPTER)[0]
    note = "The grader failed on this question: KeyError (a bug of the grader; nothing was counted)"
    broken = replace(graded.nothing(answered.questions[0], "crashed", "crashed", ""), notes=(note,))
    record = replace(answered, questions=(broken, *answered.questions[1:]))
    assert note in shown(class_page([record], about).find(id="look").find("ul"))
    assert "not your fault" in feedback(record, about)


def test_whoever_wrote_nothing_is_asked_for_the_file_that_was_meant(about):
    nothing = [graded.nothing(q, "unwritten", "unwritten", "Write it.") for q in graded.a_class(1, CHAPTER)[0].questions]
    assert "run its last cell again" in shown(parsed(feedback(graded.student("Ada", "ada", nothing), about)).header)
    right = [graded.question("count_pairs", graded.outcomes("count_pairs")[0]), *nothing[1:]]
    lead = shown(parsed(feedback(graded.student("Ada", "ada", right), about)).find(class_="lead"))
    assert lead == f"1 of {len(right)} questions is right."


def test_nothing_of_a_hidden_case_is_shown(about):
    secret = "SECRET-OF-A-HIDDEN-CASE"
    result = graded.outcomes("count_pairs")[4]
    cases = tuple((label if public else secret, public, ok) for label, public, ok in result.cases)
    question = replace(graded.question("count_pairs", result), cases=cases, example=(secret, secret, secret, secret))
    record = graded.student("Ada", "ada", [question])
    told = parsed(feedback(record, about))
    hidden = [ok for _, public, ok in cases if not public]
    assert secret not in str(told)
    assert secret not in str(class_page([record], about))
    assert f"{sum(hidden)} of {len(hidden)} hidden cases" in shown(told)
    assert all(label in shown(told) for label, public, _ in cases if public)
    seen = replace(question, example=graded.question("count_pairs", result).example)
    assert shown(parsed(feedback(graded.student("Ada", "ada", [seen]), about)).find("dl")).startswith("Called count_pairs(")


def test_feedback_names_nobody_else(tmp_path, klass, about):
    report.write(tmp_path, klass, graded.PROBLEMS, about)
    for record in klass:
        page = (tmp_path / "feedback" / f"{record.key}.html").read_text("utf-8")
        assert said(record.student) in page
        assert [other.student for other in klass if other is not record and said(other.student) in page] == []
        assert "report.html" not in page


def test_a_hint_is_marked_up_as_in_the_notebook():
    assert prose("Is `a<b` what you *really* want?\nx *y* z") == (
        '<p class="said">Is <code>a&lt;b</code> what you <em>really</em> want?</p><p class="said">x <em>y</em> z</p>'
    )
