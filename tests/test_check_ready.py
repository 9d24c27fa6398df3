"""A ready-made function is no answer, by whatever door it is called."""

import cProfile
import functools
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.attention.flex_attention import flex_attention
from torch.nn.functional import layer_norm as imported
from torch.overrides import BaseTorchFunctionMode, _len_torch_function_stack

from exercises.grader.exercise import Exercise, hidden, public
from lmcore.attention import masked_softmax
from lmcore.check import ready, sources
from lmcore.check.diagnose import examine
from lmcore.check.question import Question
from lmcore.check.ready import ATTENTION, ReadyMadeError, guarded, named, profile_kept
from lmcore.check.run import Case, run_case

READY = ("torch.nn.functional.layer_norm", "torch.layer_norm", "torch.native_layer_norm", *ATTENTION, "lmcore")
CASE = Case((torch.randn(5, 7, generator=torch.Generator().manual_seed(3)),), "a case")


def helper(x):
    return imported(x, (7,))


def twice(x):
    with suppress(ReadyMadeError):
        helper(x)
    return helper(x)


def in_a_thread(x):
    found = []

    def work():
        with suppress(ReadyMadeError):
            helper(x)
        found.append(1)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return found


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
    "called by C": lambda x: list(map(torch.layer_norm, [x], [(7,)])),
    "bound in C": functools.partial(lambda call, x: call(x, (7,)), functools.partial(torch.layer_norm)),
    "caught, and called once more": lambda x: twice(x),
    "in a thread": lambda x: in_a_thread(x),
    "in a pool": lambda x: ThreadPoolExecutor(1).submit(helper, x).result(),
    "torch's second implementation": lambda x: torch._refs.nn.functional.layer_norm(x, (7,)),
    "private attention": lambda x: torch._scaled_dot_product_attention_math(x, x, x)[0],
    "attention for the processor": lambda x: torch._scaled_dot_product_flash_attention_for_cpu(*[x[None, None]] * 3)[0],
}


@pytest.mark.parametrize("door", DOORS)
def test_a_ready_made_function_is_refused(door):
    given = run_case(DOORS[door], CASE, ready=READY)
    assert (given.status, given.error) == ("raised", "ReadyMadeError")
    assert (
        "asks you to write" in given.message
        or "book's own" in given.message
        or "goes round the functions of torch" in given.message
    )
    assert run_case(DOORS[door], CASE).status == "ok"
    assert sys.getprofile() is None
    assert threading.getprofile() is None
    assert not _len_torch_function_stack()


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


def test_what_a_function_returns_for_later_is_looked_at_too():
    def items(x):
        yield x + 1
        yield imported(x, (7,))

    class Layer(nn.Module):
        def forward(self, x):
            return imported(x, (7,))

    made = guarded(items, READY)(CASE.args[0])
    assert torch.equal(next(made), CASE.args[0] + 1)
    for call in (lambda: next(made), lambda: guarded(Layer, READY)()(CASE.args[0])):
        with pytest.raises(ReadyMadeError):
            call()
    assert list(guarded(lambda x: map(abs, x), READY)([-1, 2])) == [1, 2]
    assert guarded(nn.Linear, READY)(7, 3)(CASE.args[0]).shape == (5, 3)


def test_the_line_of_the_call_is_named():
    assert "line" in run_case(helper, CASE, ready=READY).line


def test_a_package_that_is_not_written_in_python():
    tokenizers = pytest.importorskip("tokenizers")
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    assert run_case(lambda x: tokenizer.encode("low").ids, CASE).status == "ok"
    assert run_case(lambda x: tokenizer.encode("low").ids, CASE, ready=("tokenizers",)).error == "ReadyMadeError"


def test_flexible_attention():
    with pytest.raises(ReadyMadeError):
        guarded(lambda x: flex_attention(*[x[None, None]] * 3), READY)(CASE.args[0])


def test_a_name_of_another_version_is_passed_over(monkeypatch):
    assert run_case(lambda x: x, CASE, ready=("torch.no_such_function", *ATTENTION)).status == "ok"
    monkeypatch.setattr(ready, "SOMETIMES", (*ready.SOMETIMES, "torch.of_another_version", "not_installed"))
    assert named("torch.of_another_version") is None
    assert named("not_installed") is None
    for name in (*ready.ATTENTION, *ready.RNN, *ready.LSTM, *ready.GRU, *ready.TOKENIZERS):
        named(name)


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
        threading.setprofile(lambda *_: None)
        BaseTorchFunctionMode().__enter__()
    assert sys.getprofile() is None
    assert threading.getprofile() is None
    assert not _len_torch_function_stack()


def test_a_profiler_written_in_c_goes_on():
    profiler = cProfile.Profile()
    profiler.enable()
    assert run_case(lambda x: abs(-1), CASE, ready=READY).status == "ok"
    profiler.disable()
    assert any("abs" in str(entry.code) for entry in profiler.getstats())


def test_names_are_found_or_refused():
    assert named("torch.nn.functional.layer_norm") is F.layer_norm
    assert named("torch.nn.MultiheadAttention.forward") is nn.MultiheadAttention.forward
    for name in ("torch.nn.functional.layernorm", "no_such_package.function", "no_such_package"):
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


@pytest.mark.parametrize("says", [print, str, repr, "{}".format])
def test_torch_may_go_round_itself(says):
    """It prints a tensor by functions that nobody else may reach for."""
    assert run_case(lambda x: len(str(says(x))), CASE, ready=READY).status == "ok"
