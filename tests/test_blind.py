"""Answers by strangers to the banks: no wrong one passes, each right one does, and hints were judged as they are shown."""

import pytest

import exercises
from tests import blind

WRONG = [answer for folder in blind.ROUNDS for answer in blind.answers(folder)]


@pytest.mark.parametrize("answer", WRONG, ids=lambda answer: f"{answer.folder}/{answer.place}")
def test_no_wrong_answer_passes_and_its_hints_are_those_that_were_judged(answer):
    pack, grader = blind.results(answer)
    assert not grader.passed
    judged = blind.judgements(answer.folder)[answer.place]
    assert (judged["pack"], judged["grader"]) == (blind.shown(pack), blind.shown(grader)), "judge it again: tests/blind"
    verdicts = {judged["pack_verdict"], judged["grader_verdict"]} - {""}
    assert verdicts <= set(blind.VERDICTS)
    assert judged["grader_verdict"]
    assert judged["pack_verdict"] or not judged["pack"]


@pytest.mark.parametrize("answer", blind.answers("right"), ids=lambda answer: answer.place)
def test_right_answers_pass(answer):
    _, grader = blind.results(answer)
    assert grader.passed, grader.hint


@pytest.mark.parametrize("folder", blind.ROUNDS)
def test_there_are_at_least_a_hundred_and_every_one_is_judged(folder):
    places = [answer.place for answer in blind.answers(folder)]
    assert len(places) == len(set(places)) >= 100
    assert list(blind.judgements(folder)) == places == list(blind.judgements(folder, "at_first"))


@pytest.mark.parametrize("folder", [*blind.ROUNDS, "right"])
def test_every_exercise_is_answered(folder):
    assert {answer.name for answer in blind.answers(folder)} == set(exercises.names())


def test_the_page_shows_the_tables():
    shown = (blind.HERE.parents[1] / "chapters" / "assets" / "blind.md").read_text(encoding="utf-8")
    assert shown == blind.tables() + "\n", "python -m tests.blind > chapters/assets/blind.md"
