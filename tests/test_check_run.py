"""One call of a student's function, under a time limit."""

import ctypes
import math
import random
import sys
import threading
import time
from contextlib import suppress
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from lmcore.check import limit, wire
from lmcore.check.limit import TimeLimitError, call_within
from lmcore.check.run import Answer, Case, run_case
from lmcore.check.values import difference
from tests.answers import raises, run_forever


def busy(seconds):
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass
    return "ended"


def test_time_limit_ends_a_loop_and_leaves_nothing_behind():
    start = time.perf_counter()
    with pytest.raises(TimeLimitError):
        call_within(0.1, run_forever)
    assert time.perf_counter() - start < 5
    busy(0.8)  # longer than the pause between two attempts
    assert not [thread for thread in threading.enumerate() if thread.name == "time limit"]


def test_time_limit_ends_a_loop_that_swallows_it():
    def stubborn():
        swallowed = 0
        while True:
            try:
                run_forever()
            except:  # noqa: E722
                swallowed += 1
                if swallowed == 2:
                    raise

    with pytest.raises(TimeLimitError):
        call_within(0.05, stubborn)


def test_time_limit_returns_the_value_and_passes_errors_on():
    assert call_within(60.0, lambda: 7) == call_within(math.inf, lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        call_within(60.0, lambda: 1 / 0)


def test_time_limit_at_the_very_end_neither_escapes_nor_stays():
    """The function ends at about the moment the limit is reached: the exception may arrive while the limit is lifted."""
    ended = 0
    for _ in range(400):
        with suppress(TimeLimitError):
            ended += call_within(0.0005, lambda: busy(0.0005)) == "ended"
        sum(range(1000))
    assert ended > 0
    busy(0.6)


def test_time_limit_that_fires_while_it_is_lifted_is_taken_back(monkeypatch):
    lifted = []

    class Late(threading.Event):
        def set(self):
            lifted.append(self)
            if len(lifted) == 2:  # the first call says that the function begins, the second that it is over
                target = ctypes.c_ulong(threading.get_ident())
                ctypes.pythonapi.PyThreadState_SetAsyncExc(target, ctypes.py_object(TimeLimitError))
            super().set()

    names = {name: getattr(threading, name) for name in ("Thread", "Lock", "get_ident")}
    monkeypatch.setattr(limit, "threading", SimpleNamespace(Event=Late, **names))
    assert call_within(60.0, lambda: "value") == "value"
    assert len(lifted) == 3  # and lifted once more
    assert lifted[2].is_set()


def test_time_limit_works_beside_a_profiler_and_in_any_thread():
    seen = []

    def work():
        sys.setprofile(lambda *_: None)
        for _ in range(3):
            try:
                call_within(0.05, run_forever)
            except TimeLimitError:
                seen.append("stopped")
        seen.append(call_within(60.0, lambda: sum(map(abs, range(1000)))))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(20)
    assert seen == ["stopped", "stopped", "stopped", 499500]


def test_run_case_says_what_happened():
    case = Case(([3, 4],), "a list")
    assert run_case(sum, case) == Answer("ok", value=7)
    assert run_case(raises(NotImplementedError()), case).status == "unwritten"
    missing = run_case(lambda _: max(torch.tensor([1j, 2j])), case)  # torch has no order for complex numbers
    assert (missing.status, missing.error) == ("raised", "NotImplementedError")
    assert run_case(lambda x: iter(x), case).message == "an object of type list_iterator"
    assert run_case(lambda x: x.append(5), case).changed == (0,)
    answer = run_case(raises(KeyError("gone")), case)
    assert (answer.status, answer.error, answer.message) == ("raised", "KeyError", "'gone'")
    assert answer.line.endswith(": raise error")
    assert run_case(raises(SystemExit(3)), case).error == "SystemExit"
    assert run_case(run_forever, case, seconds=0.1).status == "timeout"
    assert case.args == ([3, 4],)
    with pytest.raises(KeyboardInterrupt):
        run_case(raises(KeyboardInterrupt()), case)


def test_run_case_survives_an_error_that_cannot_be_shown():
    class Rude(Exception):
        def __str__(self):
            raise ValueError

    assert run_case(raises(Rude()), Case((1,), "")).error == "Rude"


def test_run_case_seeds_every_generator_and_leaves_the_callers_alone(unchecked):
    def draw(x):
        return [random.random(), np.random.rand(), torch.rand(1).item()]  # noqa: NPY002

    case = Case((0,), "")
    random.seed(5), np.random.seed(5), torch.manual_seed(5)  # noqa: NPY002
    first = run_case(draw, case)
    after = draw(0)
    random.seed(5), np.random.seed(5), torch.manual_seed(5)  # noqa: NPY002
    assert draw(0) == after
    assert run_case(draw, case) == first


def test_gradient_probe_compares_what_flows_back():
    x = torch.tensor([0.5, -1.0, 2.0])
    case = Case((x, 3), "")
    right = run_case(lambda x, n: (x**2).sum() * n, case, probe="gradients")
    assert right.value["gradients"][0].tolist() == (6 * x).tolist()
    detached = run_case(lambda x, n: (x.detach() ** 2).sum() * n, case, probe="gradients")
    assert detached.value["gradients"] is None
    vector = run_case(lambda x, n: x.softmax(0), case, probe="gradients").value["gradients"][0]
    assert vector.abs().max() > 0.01  # a plain sum of a softmax would have no gradient


def test_answers_survive_the_wire():
    for answer in [
        Answer("ok", value={"a": torch.ones(2)}, changed=(0, 2)),
        Answer("raised", error="E", message="m", line="l"),
    ]:
        again = Answer.from_record(wire.decode(wire.encode(answer.record())))
        assert difference(again.record(), answer.record(), 0.0, 0.0) is None
    for bad in [{}, {"status": 1}, {**Answer("ok").record(), "changed": [0]}, {**Answer("ok").record(), "more": 1}, None]:
        with pytest.raises(ValueError, match="answer"):
            Answer.from_record(bad)
    for bad in (torch.zeros(4, 4, 4), {**Answer("ok").record(), "line": torch.zeros(4, 4, 4)}):
        with pytest.raises(ValueError, match=r"got a Tensor$"):  # to show one may take gigabytes
            Answer.from_record(bad)
