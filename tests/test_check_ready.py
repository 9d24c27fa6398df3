"""A ready-made function is no answer, by whatever door it is called."""

import cProfile
import functools
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.functional import layer_norm as imported

from exercises.grader.exercise import Exercise, hidden, public
from lmcore.attention import masked_softmax
from lmcore.check import sources
from lmcore.check.diagnose import examine
from lmcore.check.question import Question
from lmcore.check.ready import ATTENTION, ReadyMadeError, guarded, named, profile_kept
from lmcore.check.run import Case, run_case

READY = ("torch.nn.functional.layer_norm", "torch.layer_norm", "torch.native_layer_norm", *ATTENTION, "lmcore")
CASE = Case((torch.randn(5, 7, generator=torch.Generator().manual_seed(3)),), "a case")


def helper(x):
    return imported(x, (7,))


DOORS = {
    "the function": lambda x: F.layer_norm(x, (7,)),
    "another import": lambda x: imported(x, (7,)),
    "a helper": helper,
    "a module": lambda x: nn.LayerNorm(7)(x),
    "below it": lambda x: torch.layer_norm(x, (7,)),
    "half of it": lambda x: torch.native_layer_norm(x, (7,), None, None, 1e-5)[0],
    "the operator": lambda x: torch.ops.aten.native_layer_norm(x, (7,), None, None, 1e-5)[0],
    "bound": functools.partial(imported, normalized_shape=(7,)),
    "caught and called again": lambda x: [call(x) for call in (lambda x: x, helper)][1],
    "fused attention": lambda x: F.scaled_dot_product_attention(x, x, x),
    "a module with attention": lambda x: nn.MultiheadAttention(7, 1)(x, x, x)[0],
    "the same in evaluation": lambda x: nn.MultiheadAttention(7, 1).eval()(x, x, x)[0],
    "a layer": lambda x: nn.TransformerEncoderLayer(7, 1)(x),
    "the package": lambda x: masked_softmax(x),
}


@pytest.mark.parametrize("door", DOORS)
def test_a_ready_made_function_is_refused(door):
    given = run_case(DOORS[door], CASE, ready=READY)
    assert (given.status, given.error) == ("raised", "ReadyMadeError")
    assert "asks you to write" in given.message or "book's own" in given.message or "torch.ops" in given.message
    assert run_case(DOORS[door], CASE).status == "ok"
    assert sys.getprofile() is None


def test_everything_else_may_be_called():
    def by_hand(x):
        centred = x - x.mean(-1, keepdim=True)
        weights = F.softmax(torch.einsum("ij,kj->ik", x, x), -1) @ nn.Linear(7, 7)(centred)
        return sorted([1, 2]) and [].append(3) is None and weights

    assert run_case(by_hand, CASE, ready=READY).status == "ok"


def test_what_runs_round_the_function_may_call_it():
    """A model with the student's part in it has other parts, which call what they like."""
    student = guarded(lambda x: x * 2, READY)
    assert student(imported(CASE.args[0], (7,))).shape == (5, 7)
    with pytest.raises(ReadyMadeError):
        guarded(helper, READY)(CASE.args[0])


def test_the_profile_function_is_put_back(monkeypatch):
    seen = []
    before = lambda *_: seen.append(1)  # noqa: E731
    sys.setprofile(before)
    try:
        for function in (DOORS["a helper"], lambda x: x, lambda x: 1 / 0):
            run_case(function, CASE, ready=READY)
            assert sys.getprofile() is before

        def endless(x):
            while True:
                pass

        assert run_case(endless, CASE, ready=READY, seconds=0.05).status == "timeout"
        assert sys.getprofile() is before
    finally:
        sys.setprofile(None)


def test_a_profile_function_left_behind_is_taken_away():
    """As when a time limit strikes just while the guard puts it back."""
    with profile_kept():
        sys.setprofile(lambda *_: None)
    assert sys.getprofile() is None


def test_a_profiler_written_in_c_goes_on():
    profiler = cProfile.Profile()
    profiler.enable()
    assert run_case(lambda x: abs(-1), CASE, ready=READY).status == "ok"
    profiler.disable()
    assert any("abs" in str(entry.code) for entry in profiler.getstats())


def test_names_are_found_or_refused():
    assert named("torch.nn.functional.layer_norm") is F.layer_norm
    assert named("torch.nn.MultiheadAttention.forward") is nn.MultiheadAttention.forward
    for name in ("torch.nn.functional.layernorm", "no_such_package.function"):
        with pytest.raises(ValueError, match=f"there is no function {name}"):
            named(name)


def normalise(x):
    return (x - x.mean(-1, keepdim=True)) / x.std(-1, keepdim=True, correction=0)


def question(ready):
    def wrong(number):
        def one(x):
            return normalise(x) + number

        one.__name__, one.__doc__ = f"wrong_{number}", f"Hint {number}."
        return one

    def right(number):
        def one(x):
            return normalise(x + number)

        one.__name__ = f"right_{number}"
        return one

    return Exercise(
        chapter="ch10_transformer_block",
        minutes=1,
        difficulty=1,
        points=1,
        reference=normalise,
        right=[right(n) for n in range(3)],
        wrong=[wrong(n) for n in range(1, 9)],
        cases=lambda rng: [public("a", *CASE.args), hidden("b", *CASE.args)],
        ready=ready,
    ).question()


def test_an_exercise_tells_the_student_and_the_pack(tmp_path):
    asked = question(READY)
    assert Question.from_record(asked.record()).ready == READY
    public_part = asked.only(lambda case: case.public)
    sources.write([public_part], tmp_path / "cases.json")
    for one in (asked, sources.read(tmp_path / "cases.json")["normalise"]):
        assert one.ready == READY
        result = examine(one, lambda x: F.layer_norm(x, (7,), eps=0.0))
        assert not result.passed
        assert "torch.nn.functional.layer_norm is what this exercise asks you to write" in str(result)
    assert examine(question(()), lambda x: F.layer_norm(x, (7,), eps=0.0)).passed
    with pytest.raises(ValueError, match=r"ready: there is no function torch.no_such"):
        question(("torch.no_such",))
