"""From answers to feedback: which mistake was made, what a student sees, and where the questions come from."""

import math
import os
import sys
import time

import pytest
import torch

from lmcore.check import check, sources
from lmcore.check.diagnose import MOSTLY, diagnose, examine
from lmcore.check.question import Mistake, Question
from lmcore.check.result import Result
from lmcore.check.run import Answer, Case, run_case
from tests.answers import raises, run_forever


def make_question(reference, mistakes=None, inputs=((2,), (5,)), hidden=((7,),), **settings):
    cases = [*(Case(args, f"input {args}") for args in inputs), *(Case(args, "secret", public=False) for args in hidden)]

    def outputs(function):
        return tuple(run_case(function, case) for case in cases)

    known = {function.__name__: Mistake(function.__doc__, outputs(function)) for function in mistakes or []}
    return Question("f", "ch00", ("x",), "1", tuple(cases), outputs(reference), known, **settings)


def square(x):
    return x * x


def doubled(x):
    """You doubled."""
    return 2 * x


def negative(x):
    """You lost the sign."""
    return -x * x


def kind_of(question, function):
    return examine(question, function).kind


def test_a_mistake_is_recognised_where_every_case_agrees():
    question = make_question(square, [doubled, negative])
    assert kind_of(question, square) == "passed"
    result = examine(question, lambda x: 2 * x)
    assert (result.kind, result.hint, result.recognised) == ("doubled", "You doubled.", True)


def test_a_mistake_that_explains_most_is_named_as_such():
    question = make_question(square, [doubled, negative], inputs=((3,), (5,), (11,)))
    for other_on_hidden in (lambda x: 2 * x if x != 7 else x, lambda x: 2 * x if x != 11 else x):
        result = examine(question, other_on_hidden)
        assert (result.kind, result.hint) == ("doubled", f"{MOSTLY}\nYou doubled.")
    public = question.only(lambda case: case.public)
    assert examine(public, lambda x: 2 * x if x != 7 else x).hint == "You doubled."
    for no_majority in (
        lambda x: {3: 2 * x, 5: -x * x}.get(x, x),  # one case each, and one of neither
        lambda x: x * x if x == 3 else 2 * x,  # explained twice, contradicted once
    ):
        assert kind_of(question, no_majority) == "value"
    wrong_where_hidden = examine(question, lambda x: 2 * x if x == 7 else x * x)
    assert wrong_where_hidden.kind == "value"
    assert "doubled" not in str(wrong_where_hidden)  # nothing said of a hidden case


def test_two_mistakes_that_explain_as_much_are_not_named():
    def doubled_too(x):
        """You doubled as well."""
        return 2 * x if x != 5 else 0

    def doubled_three(x):
        """You doubled a third time."""
        return 2 * x if x != 3 else 0

    question = make_question(square, [doubled_too, doubled_three], inputs=((3,), (5,), (11,)))
    assert kind_of(question, lambda x: 2 * x) == "value"


def test_an_answer_that_ended_its_process_is_told_so():
    question = make_question(square, [doubled])
    died = [Answer("died", message="ended its process"), *[Answer("skipped")] * 2]
    result = diagnose(question, died)
    assert (result.kind, result.hint) == ("died", "f ended its process, so nothing came back from it.")
    assert "nothing: the process ended" in str(result)
    good = [Answer("ok", value=4), Answer("ok", value=25)]
    result = diagnose(question, [*good, Answer("died", message="sent 7, the hidden input")])
    assert "7" not in str(result).replace("2 public", "")
    assert result.kind == "died"


@pytest.mark.parametrize(
    ("function", "kind", "says"),
    [
        (raises(NotImplementedError()), "unwritten", "in place of the line that raises"),
        (raises(ZeroDivisionError("by zero")), "raises", "ZeroDivisionError: by zero, at line"),
        (lambda x: None, "none", "return statement"),
        (lambda x: str(x * x), "type", "returns a str, where an int is expected"),
        (lambda x: torch.tensor(x * x), "type", "tensor.item()"),
        (lambda x: (x for _ in range(3)), "type", "collect them"),
        (lambda x: x, "value", "expected 4, got 2"),
        (lambda: 4, "signature", "f(x)"),
        (lambda x, y: 4, "signature", "f(x)"),
        (lambda x: x * x if x == 2 else raises(NotImplementedError())(x), "unwritten", "this part"),
    ],
)
def test_general_feedback_names_what_to_look_at(function, kind, says):
    result = examine(make_question(square, [doubled]).only(lambda case: case.public), function)
    assert result.kind == kind
    assert says in result.hint
    assert not result.passed
    assert says in str(result)


def test_an_endless_loop_is_stopped_once_and_the_rest_skipped():
    question = make_question(square, [doubled], seconds=0.2)
    start = time.perf_counter()
    result = examine(question, run_forever)
    assert result.kind == "timeout"
    assert "Does every loop end" in result.hint
    assert time.perf_counter() - start < 5


def test_a_changed_input_fails_although_the_value_is_right():
    question = make_question(sum, inputs=(([1, 2],),), hidden=(([4],),))
    result = examine(question, lambda x: sum(x) + (x.clear() or 0))
    assert result.kind == "changed"
    assert "changes its input x" in result.hint
    assert result.example.got == "3\nand x was changed"


def test_a_known_mistake_that_changes_its_input_is_told_apart():
    def clears(x):
        """You cleared it."""
        total = sum(x)
        x.clear()
        return total

    def longest(x):
        """You took the largest."""
        return max(x)

    def sorts(x):
        """You took the largest and sorted the input."""
        x.sort()
        return x[-1]

    question = make_question(sum, [clears, longest, sorts], inputs=(([2, 1],),), hidden=(([4, 3],),))
    assert kind_of(question, sum) == "passed"
    for mistake in (clears, longest, sorts):
        result = examine(question, mistake)
        assert (result.kind, result.hint) == (mistake.__name__, mistake.__doc__)
    without = make_question(sum, [longest], inputs=(([2, 1],),), hidden=(([4, 3],),))
    assert kind_of(without, sorts) == "longest"  # where no mistake is known to change its input, the value counts


def test_an_input_for_which_an_error_is_asked():
    def root(x):
        if x < 0:
            raise ValueError("negative")
        return math.sqrt(x)

    question = make_question(root, inputs=((4,), (-1,)))
    assert kind_of(question, root) == "passed"
    assert kind_of(question, math.sqrt) == "passed"  # another message, the same type
    result = examine(question, lambda x: abs(x) ** 0.5)
    assert (result.kind, "should raise ValueError" in result.hint) == ("no error", True)
    result = examine(question, lambda x: root(x) if x >= 0 else {}[x])
    assert "should raise ValueError, but it raises KeyError" in result.hint


def test_feedback_on_a_hidden_case_tells_nothing_of_it():
    question = make_question(square, [doubled], hidden=((77123,),))

    class Named77123(Exception):
        pass

    def spill(x):
        if x == 77123:
            raise Named77123(f"input was {x}")
        return x * x

    result = examine(question, spill)
    shown = str(result) + result._repr_html_()
    assert "77123" not in shown
    assert "secret" not in shown
    assert result.kind == "raises"
    assert "all 2 public cases pass. The hidden case does not pass." in str(result)


def test_result_is_words_first_and_escaped():
    question = make_question(lambda x: f"<b>{x}</b>", [], inputs=(("<i>",),), hidden=())
    html = examine(question, lambda x: "<script>")._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "<b>" not in html
    good = examine(question, lambda x: f"<b>{x}</b>")
    assert str(good).startswith("✓ Passed: f: the public case passes.")
    assert "Hidden cases are run when your work is graded." in str(good)
    assert 'aria-label="Passed: f"' in good._repr_html_()


def test_code_in_a_hint_is_shown_as_code():
    def halved(x):
        """Look at `x < 2` and at `y`."""
        return x / 2

    result = examine(make_question(square, [halved]), halved)
    assert "Look at <code>x &lt; 2</code> and at <code>y</code>." in result._repr_html_()
    assert "Look at `x < 2`" in str(result)


def test_a_stressed_word_in_a_hint_is_shown_as_one():
    def halved(x):
        """It is the *half of it*, x * 2 * 3, and `a * b` or `*args*`."""
        return x / 2

    result = examine(make_question(square, [halved]), halved)
    assert "It is the <em>half of it</em>, x * 2 * 3, and <code>a * b</code> or <code>*args*</code>." in result._repr_html_()


def test_the_line_of_an_error_is_shown_as_code():
    def look_up(x):
        return {}[x * x]

    result = examine(make_question(square), look_up)
    assert "<code>return {}[x * x]</code>" in result._repr_html_()
    assert "f raises KeyError: 4, at line" in result.hint


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ([True], "the public case passes."),
        ([False], "the public case does not pass."),
        ([True, False], "1 of 2 public cases passes."),
        ([False, False], "0 of 2 public cases pass."),
        ([True, True], "all 2 public cases pass."),
    ],
)
def test_the_headline_counts_in_whole_sentences(flags, says):
    assert Result("f", tuple(("case", True, ok) for ok in flags), "value").headline == says


def test_diagnose_needs_one_answer_for_each_case():
    with pytest.raises(ValueError, match=r"shorter|longer"):
        diagnose(make_question(square), [Answer("ok", value=4)])


# The student's function


def test_check_by_name_by_function_and_in_a_script(capsys):
    result = check("count_pairs", lambda words: {})
    assert result.kind == "missing"
    assert capsys.readouterr().out.startswith("✗ Not yet: count_pairs: 0 of 6 public cases pass.")

    def count_pairs(words):
        return {}

    assert str(check(count_pairs)) == str(result)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("no_such", len), "no exercise is called 'no_such'.*count_pairs"),
        ((len,), "no exercise is called 'len'.*count_pairs"),
        (("count_pairs", {("a", "b"): 1}), r"without calling it: check\(\"count_pairs\", count_pairs\); got dict"),
        (("count_pairs",), "got NoneType"),
        ((3, len), "takes the name of an exercise"),
    ],
)
def test_check_answers_bad_calls_clearly(unchecked, arguments, says):
    with pytest.raises(ValueError, match=says):
        check(*arguments)


def test_a_pack_file_is_checked_when_it_is_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    question = make_question(square, [doubled])
    with pytest.raises(ValueError, match="public cases only"):
        sources.write([question], tmp_path / sources.FILE)
    sources.write([question.only(lambda case: case.public)], tmp_path / sources.FILE)
    assert check("f", square).passed
    with pytest.raises(ValueError, match="the exercises here are: f"):
        check("count_pairs", square)
    text = (tmp_path / sources.FILE).read_text()
    for damaged, says in [
        (text[:-40], "damaged"),
        ("", "damaged"),
        (text.replace('["format", 1]', '["format", 9]'), "format 9"),
    ]:
        (tmp_path / sources.FILE).write_text(damaged)
        os.utime(tmp_path / sources.FILE, ns=(time.time_ns(), time.time_ns() + len(damaged)))
        with pytest.raises(ValueError, match=says):
            check("f", square)


def test_without_any_exercises_check_says_where_to_go(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "exercises", None)
    with pytest.raises(FileNotFoundError, match="open the notebook in the folder"):
        check("count_pairs", len)
