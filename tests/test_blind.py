"""Wrong answers by somebody who had not seen the banks: none passes, and every hint has been judged as it is shown."""

import pytest

from tests import blind


@pytest.mark.parametrize("answer", blind.answers(), ids=lambda answer: answer.place)
def test_no_wrong_answer_passes_and_its_hints_are_those_that_were_judged(answer):
    pack, grader = blind.results(answer)
    assert not grader.passed
    judged = blind.judgements()[answer.place]
    assert (judged["pack"], judged["grader"]) == (blind.shown(pack), blind.shown(grader)), "judge it again: tests/blind"
    verdicts = {judged["pack_verdict"], judged["grader_verdict"]} - {""}
    assert verdicts <= set(blind.VERDICTS)
    assert judged["grader_verdict"]
    assert judged["pack_verdict"] or not judged["pack"]


def test_there_are_at_least_a_hundred_and_every_one_is_judged():
    places = [answer.place for answer in blind.answers()]
    assert len(places) == len(set(places)) >= 100
    assert list(blind.judgements()) == places


def test_the_page_shows_the_table():
    shown = (blind.HERE.parents[1] / "chapters" / "assets" / "blind.md").read_text(encoding="utf-8")
    assert shown == blind.table() + "\n", "python -m tests.blind > chapters/assets/blind.md"
