"""The student's check: data, comparison, one call, diagnosis, feedback, submission."""

import builtins
import ctypes
import json
import math
import os
import random
import sys
import threading
import time
import zipfile
from collections import Counter, namedtuple
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import exercises
from lmcore.check import check, limit, pack_submission, sources, wire
from lmcore.check.diagnose import diagnose, examine
from lmcore.check.limit import TimeLimitError, call_within
from lmcore.check.question import Mistake, Question
from lmcore.check.run import Answer, Case, run_case
from lmcore.check.show import show
from lmcore.check.values import UnsupportedError, difference, plain, unordered

NOTEBOOK = exercises.HERE / "ch02_tokens" / "exercises.md"


def differs(got, want, rtol=1e-4, atol=1e-6):
    found = difference(got, want, rtol, atol)
    return found.kind if found else None


# Values

numbers = st.one_of(st.integers(-(2**60), 2**60), st.floats(), st.booleans())
keys = st.recursive(
    st.one_of(st.none(), numbers.filter(lambda n: n == n), st.text(), st.binary()), lambda k: st.tuples(k, k), max_leaves=3
)
tensors = st.sampled_from([torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.uint8, torch.bool]).flatmap(
    lambda dtype: st.lists(st.integers(0, 3), max_size=3).map(
        lambda shape: (torch.arange(math.prod(shape)) % 5).reshape(shape).to(dtype)
    )
)
values = st.recursive(
    st.one_of(keys, tensors, tensors.filter(lambda t: t.dtype != torch.bfloat16).map(lambda t: t.numpy())),
    lambda v: st.one_of(
        st.lists(v, max_size=3), st.tuples(v, v), st.dictionaries(keys, v, max_size=3), st.sets(keys, max_size=3)
    ),
    max_leaves=8,
)


@given(values)
def test_wire_returns_what_it_was_given(value):
    for again in (plain(value), wire.decode(wire.encode(value)), wire.decode_text(wire.encode_text(value))):
        assert difference(again, plain(value), 0.0, 0.0) is None
        assert wire.encode(again) == wire.encode(value)


@given(values, st.data())
def test_wire_answers_damage_with_its_own_error(value, data):
    good = wire.encode(value)
    cut = data.draw(st.integers(0, len(good) - 1))
    with pytest.raises(wire.WireError):
        wire.decode(good[:cut])
    flipped = bytearray(good)
    flipped[cut] ^= data.draw(st.integers(1, 255))
    with suppress(wire.WireError):
        wire.decode(bytes(flipped))
    text = wire.encode_text(value)
    with suppress(wire.WireError):
        wire.decode_text(text[:cut] + "[" + text[cut + 1 :])


@pytest.mark.parametrize(
    "node",
    [
        {"tensor": ["float32", [2, 3], 0]},  # no such block
        {"tensor": ["float32", [-1], 0]},
        {"tensor": ["object", [1], 0]},
        {"tensor": ["float32", [2**40], 0]},
        {"float": 1},
        {"set": [[]]},
        {"dict": [[[], 1]]},
        {"pickle": "x"},
        {"tuple": 3},
        {"bytes": -1},
        {"float": "1", "tuple": []},
    ],
)
def test_wire_refuses_malformed_nodes(node):
    with pytest.raises(wire.WireError):
        wire.decode_text(json.dumps({"value": node, "blocks": []}))


def test_wire_refuses_deep_nesting_and_announced_gigabytes():
    with pytest.raises(wire.WireError, match="deep"):
        wire.decode_text(json.dumps({"value": json.loads("[" * 30 + "]" * 30), "blocks": []}))
    with pytest.raises(wire.WireError):
        wire.decode_text('{"value": ' + "[" * 100_000 + "]" * 100_000 + ', "blocks": []}')
    with pytest.raises(wire.WireError, match="more than"):
        wire.decode(wire.LENGTH.pack(10, 1 << 60))


def test_plain_strips_everything_a_student_could_override():
    class Liar(torch.Tensor):
        @classmethod
        def __torch_function__(cls, function, types, args=(), kwargs=None):
            raise AssertionError("never called")

    class Equal(list):
        def __eq__(self, other):
            return True

        def __iter__(self):
            raise AssertionError("never called")

    lied = torch.arange(3.0).as_subclass(Liar)
    assert type(plain(lied)) is torch.Tensor
    assert plain(lied).tolist() == [0.0, 1.0, 2.0]
    assert type(plain(Equal([1]))) is list
    assert differs(plain(Equal([1])), [2]) == "value"
    assert plain(Counter(a=2)) == {"a": 2}
    assert type(plain(Counter(a=2))) is dict
    assert plain(namedtuple("P", "x y")(1, 2)) == (1, 2)
    assert type(plain(np.float64(0.5))) is type(plain(np.float32(0.5))) is float
    assert type(plain(np.int32(3))) is int
    assert plain(np.bool_(True)) is True
    parameter = plain(torch.nn.Parameter(torch.ones(2)))
    assert type(parameter) is torch.Tensor
    assert not parameter.requires_grad


def test_plain_copies():
    inner = torch.zeros(2)
    value = {"a": [inner]}
    copied = plain(value)
    inner += 1
    value["a"].append(1)
    assert differs(copied, {"a": [torch.zeros(2)]}) is None


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ((i for i in range(3)), "generator"),
        ({}.keys(), "dict_keys"),
        ([object()], "object"),
        (range(3), "range"),
        (lambda: 1, "function"),
        (torch.ones(2).to_sparse(), "layout"),
        (torch.ones(2, device="meta"), "meta"),
        (np.array([object()]), "object"),
        ({torch.ones(1)}, "set element"),
        (10**2000, "digits"),
    ],
)
def test_plain_refuses_what_is_not_data(value, says):
    with pytest.raises(UnsupportedError, match=says):
        plain(value)


def test_plain_refuses_a_list_that_holds_itself():
    loop: list = []
    loop.append(loop)
    with pytest.raises(UnsupportedError, match="deep"):
        plain(loop)


@pytest.mark.parametrize(
    ("got", "want", "kind"),
    [
        (1, 1.0, None),
        (1.0, 1, "type"),
        (True, 1, "type"),
        (True, 1.0, "type"),
        (0.30000001, 0.3, None),
        (0.301, 0.3, "value"),
        (math.nan, math.nan, None),
        (math.inf, math.inf, None),
        (math.inf, -math.inf, "value"),
        (math.inf, 1.0, "value"),
        ([1, 2], (1, 2), "type"),
        ([1, 2], [1, 2, 3], "length"),
        ({"a": 1.0}, {"a": 1.00000001}, None),
        ({"a": 1}, {"b": 1}, "missing"),
        ({"a": 1, "b": 1}, {"a": 1}, "extra"),
        ({1, 2}, {1, 3}, "missing"),
        ("a", "b", "value"),
        (torch.ones(2, 3), torch.ones(3, 2), "shape"),
        (torch.ones(2), torch.ones(2, dtype=torch.float64), "dtype"),
        (torch.ones(2), [1.0, 1.0], "type"),
        (torch.tensor([1.0, math.nan]), torch.tensor([1.0, math.nan]), None),
        (torch.tensor([1, 2]), torch.tensor([1, 3]), "value"),
        (np.ones(2), torch.ones(2, dtype=torch.float64), "type"),
        (np.ones(2), np.ones(2) + 1e-9, None),
        ([[1, 2], [3, 4]], [[1, 2], [3, 5]], "value"),
    ],
)
def test_difference_finds_the_first_kind_of_difference(got, want, kind):
    assert differs(got, want) == kind


def test_difference_is_told_with_its_place():
    assert str(difference([{"a": 1}], [{"a": 2}], 0.0, 0.0)) == "at [0]['a']: expected 2, got 1"
    grid = torch.zeros(2, 3)
    grid[1, 2] = 5
    assert "1 of 6 values differ; the first at index (1, 2)" in str(difference(grid, torch.zeros(2, 3), 0.0, 0.0))
    assert str(difference([1], [1, 2], 0.0, 0.0)) == "expected 2 items, got 1 item"


def test_unordered_lists_are_compared_as_bags():
    assert unordered([1, 2, 2], [2, 1, 2], 0.0, 0.0) is None
    assert str(unordered([1, 2, 2], [2, 1, 1], 0.0, 0.0)) == "1 is missing"
    assert unordered([1], [1, 1], 0.0, 0.0).kind == "length"


def test_show_is_short_and_rounded():
    assert show(0.1 + 0.2) == "0.3"
    assert show(torch.tensor([1 / 3])) == "tensor([0.3333])"
    assert len(show(list(range(10_000)), 200)) <= 200
    assert "..." in show(torch.zeros(1000))


# One call


def run_forever():
    while True:
        pass


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


def raises(error):
    def function(x):
        raise error

    return function


def test_run_case_says_what_happened():
    case = Case(([3, 4],), "a list")
    assert run_case(sum, case) == Answer("ok", value=7)
    assert run_case(raises(NotImplementedError()), case).status == "unwritten"
    assert run_case(lambda x: iter(x), case).message == "an object of type list_iterator"
    assert run_case(lambda x: x.append(5), case).changed == (0,)
    answer = run_case(raises(KeyError("gone")), case)
    assert (answer.status, answer.error, answer.message) == ("raised", "KeyError", "'gone'")
    assert answer.line.endswith(": raise error")
    assert run_case(raises(SystemExit(3)), case).error == "SystemExit"
    assert run_case(lambda x: run_forever(), case, seconds=0.1).status == "timeout"
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


# Diagnosis


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


def test_a_mistake_is_recognised_only_if_every_case_agrees():
    question = make_question(square, [doubled, negative])
    assert kind_of(question, square) == "passed"
    result = examine(question, lambda x: 2 * x)
    assert (result.kind, result.hint, result.recognised) == ("doubled", "You doubled.", True)
    assert kind_of(question, lambda x: 2 * x if x < 6 else x) == "value"  # differs from it on the hidden case
    public = question.only(lambda case: case.public)
    assert kind_of(public, lambda x: 2 * x if x < 6 else x) == "doubled"


@pytest.mark.parametrize(
    ("function", "kind", "says"),
    [
        (raises(NotImplementedError()), "unwritten", "in place of the line that raises"),
        (raises(ZeroDivisionError("by zero")), "raises", "ZeroDivisionError: by zero, at line"),
        (lambda x: None, "none", "return statement"),
        (lambda x: str(x * x), "type", "returns str, where an int is expected"),
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
    result = examine(question, lambda x: run_forever())
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
    assert "all 2 public cases pass. 0 of 1 hidden case pass" in str(result)


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


# The student's function


def test_check_by_name_by_function_and_in_a_script(capsys):
    result = check("count_pairs", lambda words: {})
    assert result.kind == "missing"
    assert capsys.readouterr().out.startswith("✗ Not yet: count_pairs: 0 of 5 public cases pass.")

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


# Handing in


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "exercises.md").write_text(NOTEBOOK.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    return tmp_path


def contents(path: Path) -> tuple[dict, dict]:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist()) == ["notebook.ipynb", "submission.json"]
        return json.loads(archive.read("submission.json")), json.loads(archive.read("notebook.ipynb"))


def write_answer(path: Path, name: str, body: str) -> None:
    before, stub, after = path.read_text(encoding="utf-8").partition(f":exercise: {name}\n")
    path.write_text(before + stub + after.replace('raise NotImplementedError("Not written yet")', body, 1), encoding="utf-8")


def test_a_submission_names_student_edition_and_state(folder, capsys):
    write_answer(folder / "exercises.md", "merge_pair", "return words")
    result = pack_submission("ch02_tokens", student=" Ada Lovelace ")
    assert result.path == folder / "ch02_tokens-ada-lovelace.zip"
    about, notebook = contents(result.path)
    assert about["student"] == "Ada Lovelace"
    assert about["edition"] == exercises.EDITION
    assert about["answers"]["merge_pair"] == "written"
    assert about["answers"]["count_pairs"] == "not written yet"
    cells = [cell for cell in notebook["cells"] if cell["metadata"].get("exercise") == "merge_pair"]
    assert cells[0]["source"].endswith("return words")
    assert all(cell["outputs"] == [] for cell in notebook["cells"] if cell["cell_type"] == "code")
    assert "1 of 4 exercises written" in capsys.readouterr().out
    assert not list(folder.glob(".packing*"))


def test_a_submission_from_an_ipynb_is_a_valid_notebook(folder):
    nbformat = pytest.importorskip("nbformat")
    jupytext = pytest.importorskip("jupytext")
    book = jupytext.read(folder / "exercises.md")
    book.cells[1].outputs = [nbformat.v4.new_output("stream", text="x" * 10_000)]
    nbformat.write(book, folder / "exercises.ipynb")
    with pytest.raises(ValueError, match=r"several notebooks here.*exercises.ipynb, exercises.md"):
        pack_submission("ch02_tokens", student="李雷")
    result = pack_submission("ch02_tokens", student="李雷", notebook="exercises.ipynb")
    assert result.path.name == "ch02_tokens-李雷.zip"
    _, notebook = contents(result.path)
    nbformat.validate(notebook)
    assert "x" * 100 not in json.dumps(notebook)


def test_the_running_notebook_is_the_one_that_is_packed(folder, monkeypatch):
    (folder / "copy.md").write_text(NOTEBOOK.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setenv("JPY_SESSION_NAME", "some/folder/copy.md")
    about, _ = contents(pack_submission("ch02_tokens", student="A").path)
    assert about["notebook"] == "copy.md"


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"student": ""}, ValueError, "write your name"),
        ({"student": None}, ValueError, "write your name"),
        ({"student": "a\nb"}, ValueError, "line breaks"),
        ({"student": "A", "notebook": "gone.md"}, FileNotFoundError, "gone.md"),
        ({"student": "A", "chapter": "ch01_other"}, FileNotFoundError, "no notebook of 'ch01_other'"),
        ({"student": "A", "chapter": "ch01_other", "notebook": "exercises.md"}, ValueError, "belongs to 'ch02_tokens'"),
    ],
)
def test_packing_says_what_is_missing_and_writes_nothing(unchecked, folder, arguments, error, says):
    with pytest.raises(error, match=says):
        pack_submission(**{"chapter": "ch02_tokens", **arguments})
    assert [path.name for path in folder.iterdir()] == ["exercises.md"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"cells": 3}', "# a page\n", "---\nlmcore: 3\n---\n"])
@pytest.mark.parametrize("name", ["exercises.md", "exercises.ipynb"])
def test_a_file_that_is_no_exercise_notebook_is_refused(folder, name, text):
    (folder / name).write_text(text)
    with pytest.raises(ValueError, match="not one of the book's exercise notebooks"):
        pack_submission("ch02_tokens", student="A", notebook=name)


def test_a_cell_that_is_not_python_is_named(folder):
    write_answer(folder / "exercises.md", "merge_pair", "return (")
    result = pack_submission("ch02_tokens", student="A")
    assert result.answers["merge_pair"] == "missing"
    assert "merge_pair) is not valid Python" in result.problems[0]


def test_no_half_written_file_when_writing_fails(folder, monkeypatch):
    first = pack_submission("ch02_tokens", student="A").path.read_bytes()

    def full(*_, **__):
        raise OSError("no space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    with pytest.raises(OSError, match="no space"):
        pack_submission("ch02_tokens", student="A")
    assert sorted(path.name for path in folder.iterdir()) == ["ch02_tokens-a.zip", "exercises.md"]
    assert (folder / "ch02_tokens-a.zip").read_bytes() == first


def test_an_unsaved_notebook_is_noticed(folder, monkeypatch):
    namespace: dict = {}
    monkeypatch.setattr(builtins, "get_ipython", lambda: type("Shell", (), {"user_ns": namespace})(), raising=False)

    def count_pairs(words):
        return dict(Counter(pair for word in words for pair in pairwise(word)))

    namespace["count_pairs"] = count_pairs
    with pytest.raises(ValueError, match="does not hold the count_pairs you ran: save the notebook"):
        pack_submission("ch02_tokens", student="A")
    text = (folder / "exercises.md").read_text(encoding="utf-8")
    line = "    return dict(Counter(pair for word in words for pair in pairwise(word)))"
    body = f"```{{code-cell}} ipython3\ndef count_pairs(words):\n{line}\n```\n"
    (folder / "exercises.md").write_text(text + "\n" + body, encoding="utf-8")
    assert pack_submission("ch02_tokens", student="A").answers["count_pairs"] == "written"


def test_diagnose_needs_one_answer_for_each_case():
    with pytest.raises(ValueError, match=r"shorter|longer"):
        diagnose(make_question(square), [Answer("ok", value=4)])
