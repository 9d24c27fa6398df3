"""From answers to the record of a question: points, statuses, and nothing of a hidden case."""

import json
from dataclasses import asdict

import pytest

import exercises
from exercises.grader import scoring, secrecy
from exercises.grader.record import Record
from lmcore.check.run import Answer
from tests.small_questions import CHAPTER, NAMES

DIED = Answer("died", message="ended its process")


@pytest.fixture(scope="module")
def question():
    return exercises.get("count_pairs").question(seed=20251121)


def graded(question, answers, possible=4, **settings):
    return scoring.score(question, possible, answers, **settings)


def answered(question, right):
    """The expected answers where ``right`` says so, elsewhere a value that is wrong."""
    return [
        want if right(case) else Answer("ok", value=-1) for case, want in zip(question.cases, question.expected, strict=True)
    ]


@pytest.mark.parametrize(
    ("possible", "passed", "partial", "want"),
    [
        (4, [True] * 10, 0.5, 4.0),
        (4, [True] * 10, 0.0, 4.0),
        (4, [True] * 9 + [False], 0.5, 1.8),
        (4, [True] * 9 + [False], 0.0, 0.0),
        (4, [True] * 9 + [False], 1.0, 3.6),
        (3, [True, False, False], 0.5, 0.5),
        (1, [True, True, False], 0.5, 0.33),
        (5, [False] * 3, 1.0, 0.0),
        (5, [], 1.0, 0.0),
    ],
)
def test_points(possible, passed, partial, want):
    assert scoring.points(possible, passed, partial) == want


def test_all_right_is_worth_everything(question):
    found = graded(question, question.expected)
    assert (found.status, found.kind, found.points, found.hint, found.example) == ("passed", "passed", 4.0, "", None)
    assert [ok for _, _, ok in found.cases] == [True] * len(question.cases)


def test_partly_right_is_worth_the_share_of_cases(question):
    answers = answered(question, lambda case: case.public)
    share = sum(case.public for case in question.cases) / len(question.cases)
    for partial in (0.5, 1.0, 0.0):
        found = graded(question, answers, partial=partial)
        assert (found.status, found.points) == ("partly", round(4 * partial * share, 2))


def test_a_known_mistake_is_named_with_its_hint(question):
    known = question.mistakes["ignores_frequency"]
    found = graded(question, known.answers)
    assert (found.kind, found.recognised, found.hint) == ("ignores_frequency", True, known.hint)
    assert found.example is not None


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (Answer("unwritten"), "unwritten"),
        (Answer("raised", error="KeyError", message="x"), "failed"),
        (Answer("ok", value=None), "failed"),
        (Answer("unsupported", message="an object of type X"), "failed"),
        (DIED, "crashed"),
    ],
)
def test_nothing_right_is_worth_nothing(question, answer, status):
    found = graded(question, [answer] * len(question.cases))
    assert (found.status, found.points) == (status, 0.0)


def test_one_call_that_does_not_end_or_ends_the_process_costs_its_cases_alone(question):
    first = next(i for i, case in enumerate(question.cases) if not case.public)
    for answer, status in ((Answer("timeout", message="5 s"), "partly"), (DIED, "crashed")):
        answers = [*question.expected[:first], answer, *[Answer("skipped")] * (len(question.cases) - first - 1)]
        found = graded(question, answers)
        assert (found.status, found.points) == (status, round(2 * first / len(question.cases), 2))


def test_a_stub_on_some_cases_is_not_called_unwritten(question):
    answers = [Answer("unwritten"), *question.expected[1:]]
    assert graded(question, answers).status == "partly"


def test_missing_and_our_own_failure_are_worth_nothing_and_say_why(question):
    assert scoring.missing(question, 4, "There is no function.").hint == "There is no function."
    ours = scoring.crashed(question, 4, "ZeroDivisionError")
    assert (ours.points, ours.status) == (0.0, "crashed")
    assert ours.notes == ("The grader failed on this question: ZeroDivisionError (a bug of the grader; nothing was counted)",)


def test_a_value_made_to_be_slow_costs_the_question_and_not_the_grader(question, monkeypatch):
    compare = scoring._compare

    def slow(question, answers):
        while any(answer.value == "slow" for answer in answers):
            pass
        return compare(question, answers)

    monkeypatch.setattr(scoring, "SECONDS", 2.0)
    monkeypatch.setattr(scoring, "_compare", slow)
    found = graded(question, [Answer("ok", value="slow"), *question.expected[1:]])
    assert (found.status, found.points, found.notes) == ("failed", 0.0, ())
    assert "too much time or memory" in found.hint


def test_as_many_answers_as_cases_are_needed(question):
    with pytest.raises(ValueError, match="zip"):
        graded(question, question.expected[:-1])


def test_what_could_not_be_compared_in_time_is_known(question, monkeypatch):
    """Memory may have been short for another reason than this answer."""
    answers = answered(question, bool)
    compared = scoring.apart

    def once(*how, **limits):
        monkeypatch.setattr(scoring, "apart", compared)
        raise scoring.TooMuchError("it ended its process")

    assert not scoring.score(question, 2, answers).late
    monkeypatch.setattr(scoring, "apart", once)
    assert scoring.score(question, 2, answers).late


def test_notes_and_flags_are_kept(question):
    found = graded(question, question.expected, notes=["cell 4 raised"], flags=["calls sys._getframe"])
    assert (found.notes, found.flags) == (("cell 4 raised",), ("calls sys._getframe",))


def test_a_record_survives_its_file(question):
    found = graded(question, question.mistakes["ignores_frequency"].answers, notes=["n"], flags=["f"])
    record = Record("Ada", "ada", "ada.zip", "0" * 64, "1" * 64, "bubblewrap", (found,), ("late",))
    assert Record.from_json(record.to_json()) == record


class Shown(str):
    """A record as :func:`exercises.grader.secrecy.leaks` reads a result: every text of it."""

    def _repr_html_(self):
        return ""


def texts(node):
    if isinstance(node, dict):
        node = list(node.values())
    return [text for item in node for text in texts(item)] if isinstance(node, list | tuple) else [str(node)]


@pytest.mark.parametrize("name", [*NAMES, "masked_loss", "wordpiece"])
def test_a_record_holds_nothing_of_a_hidden_case(name, monkeypatch):
    question = exercises.get(name).question(seed=777)
    monkeypatch.setattr(scoring, "apart", lambda function, *args, seconds: json.loads(json.dumps(function(*args))))

    def recorded(question, answers):
        return Shown("\n".join(texts(asdict(graded(question, answers)))))

    assert secrecy.leaks(question, recorded) == []


@pytest.mark.parametrize("status", ["died", "timeout", "skipped", "unwritten"])
def test_a_hidden_case_that_ends_badly_is_told_without_its_words(question, status):
    secret = "the input was xyzzy"
    answers = [
        want if case.public else Answer(status, message=secret, error=secret, line=secret)
        for case, want in zip(question.cases, question.expected, strict=True)
    ]
    text = json.dumps(asdict(graded(question, answers)))
    assert "xyzzy" not in text
    assert not any(case.label in text for case in question.cases if not case.public)


def test_the_chapter_of_the_small_class_is_there():
    assert {exercises.get(name).chapter for name in NAMES} == {CHAPTER}
