"""Questions on modules, generators and training loops: what a student's code does becomes plain data, and hints say what is
wrong in words that fit."""

import ast
import itertools
import math
import re
from pathlib import Path

import pytest
import torch
from torch import nn

from lmcore.check import calls, probes, wire
from lmcore.check.diagnose import examine
from lmcore.check.question import Question
from lmcore.check.run import Case, run_case


def question(reference, probe, *cases, parameters, **more):
    """A question whose expected answers are those of ``reference``."""
    cases = tuple(Case(args, f"case {i}") for i, args in enumerate(cases))
    expected = tuple(run_case(reference, case, probe=probe) for case in cases)
    assert all(answer.status == "ok" for answer in expected), expected
    made = Question(reference.__name__, "ch00", parameters, "1", cases, expected, probe=probe, **more)
    return Question.from_record(wire.decode(wire.encode(made.record())))  # it must be able to travel


def told(asked, function):
    """What a check says."""
    return str(examine(asked, function))


# Modules


class Scaled(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width))
        self.mix = nn.Linear(width, 1)

    def forward(self, x):
        return self.mix(self.scale * x)


STATE = {"scale": torch.tensor([2.0, -1.0]), "mix.weight": torch.tensor([[1.0, 3.0]]), "mix.bias": torch.tensor([0.5])}
X = torch.tensor([[1.0, 2.0], [0.0, -1.0]])
SCALED = question(Scaled, "module", ((2,), STATE, X), parameters=("width",))


def test_a_module_becomes_plain_data():
    answer = SCALED.expected[0].value
    assert answer["parameters"] == {"scale": "(2,)", "mix.weight": "(1, 2)", "mix.bias": "(1,)"}
    torch.testing.assert_close(answer["output"], torch.tensor([[2.0 - 6.0 + 0.5], [3.0 + 0.5]]))
    weights = torch.tensor([1.0, math.cos(1.0)])  # of the sum whose gradients these are
    torch.testing.assert_close(answer["gradients"]["mix.bias"], weights.sum()[None])
    torch.testing.assert_close(answer["gradients"]["the input"], weights[:, None] * torch.tensor([[2.0, -3.0]]))
    torch.testing.assert_close(answer["gradients"]["scale"], (weights[:, None] * torch.tensor([[1.0, 3.0]]) * X).sum(0))


def test_a_module_written_otherwise_passes_and_so_does_a_function_that_makes_one():
    class Mine(nn.Module):
        def __init__(self, n):
            nn.Module.__init__(self)
            self.mix = nn.Linear(n, 1)
            self.scale = nn.Parameter(torch.randn(n))
            self.register_buffer("mask", torch.ones(n))  # a buffer is nobody's business
            self.both = [self.mix, self.scale]  # registered, whoever else holds it

        def forward(self, x):
            return x @ (self.scale * self.mix.weight[0])[:, None] + self.mix.bias

    def make(width):
        return Mine(width)

    assert examine(SCALED, Mine).passed
    assert examine(SCALED, make).passed


class Broken(Scaled):
    """Where ``width`` is the only argument, and all is right that is not changed below."""


def without_super(self, width):
    self.scale = nn.Parameter(torch.ones(width))


def without_anything(self, width):
    self.width = width


def with_other_names(self, width):
    Scaled.__init__(self, width)
    self.weight = self.scale
    del self.scale


def with_other_shapes(self, width):
    Scaled.__init__(self, width)
    self.scale = nn.Parameter(torch.ones(width, 1))


def with_a_list(self, width):
    nn.Module.__init__(self)
    self.scale = nn.Parameter(torch.ones(width))
    self.layers = [nn.Linear(width, 1)]


def with_a_tensor(self, width):
    nn.Module.__init__(self)
    self.scale = torch.ones(width, requires_grad=True)
    self.mix = nn.Linear(width, 1)


def with_two_arguments(self, width, depth):
    Scaled.__init__(self, width)


def detached(self, x):
    return self.mix(self.scale.detach() * x)


def without_gradient(self, x):
    return Scaled.forward(self, x).detach()


def in_place(self, x):
    x *= self.scale
    return self.mix(x)


def into_its_output(self, x):
    y = torch.exp(self.mix(self.scale * x))
    y += 1
    return y


@pytest.mark.parametrize(
    ("method", "says"),
    [
        (without_super, ["does not call super().__init__() before"]),
        (without_anything, ["does not call super().__init__() before"]),
        (with_other_names, ["at ['parameters']: 'scale' is missing", "Names and shapes of the parameters are part"]),
        (with_other_shapes, ["at ['parameters']['scale']: expected '(2,)', got '(2, 1)'"]),
        (with_a_list, ["at ['not registered']: 'layers' should not be there", "nn.ModuleList"]),
        (with_a_tensor, ["at ['not registered']: 'scale' should not be there", "only an nn.Parameter is one"]),
        (with_two_arguments, ["cannot be called as Scaled(width): missing a required argument: 'depth'"]),
        (detached, ["at ['gradients']['scale']: 2 of 2 values differ", "The output is right, its gradient is not"]),
        (without_gradient, ["at ['gradients']: expected dict, got None"]),
        (in_place, ["The value is right, but Scaled changes its input no. 1."]),
        (into_its_output, ["no gradient can be computed; does forward change a tensor in place"]),
    ],
)
def test_what_is_wrong_with_a_module_is_said(method, says):
    changed = "__init__" if "width" in method.__code__.co_varnames else "forward"
    hint = told(SCALED, type("Scaled", (Broken,), {changed: method}))
    assert not hint.startswith("✓")
    for words in says:
        assert words in hint


def test_what_is_no_module_is_said():
    assert "Scaled makes dict, which is no torch module" in told(SCALED, lambda width: {})
    assert "Not written yet" in told(SCALED, Stub)


class Stub(nn.Module):
    def __init__(self, width):
        super().__init__()
        raise NotImplementedError("Not written yet")


def test_the_example_of_a_module_can_be_typed():
    class Wrong(Scaled):
        def forward(self, x):
            return x

    example = examine(SCALED, Wrong).example.call
    assert example.startswith("layer = Scaled(width=2)\nlayer.load_state_dict({'scale': tensor([ 2., -1.]),")
    exec(example, {"Scaled": Scaled, "layer": None, "tensor": torch.tensor})
    assert example.endswith("layer(tensor([[ 1.,  2.],\n              [ 0., -1.]]))")


def test_a_module_may_keep_what_it_starts_with_and_have_several_inputs_and_outputs():
    class Pair(nn.Module):
        def __init__(self):
            super().__init__()
            self.shift = nn.Parameter(torch.full((2,), 3.0))

        def forward(self, x, ids, y):
            return {"sum": x + y[ids] + self.shift, "ids": ids}

    asked = question(Pair, "module", ((), None, X, torch.tensor([1, 0]), 2 * X), parameters=())
    answer = asked.expected[0].value
    assert list(answer["gradients"]) == ["shift", "input 1", "input 2"]
    assert examine(asked, Pair).passed

    class Zero(Pair):
        def __init__(self):
            super().__init__()
            nn.init.zeros_(self.shift)

    assert "at ['output']['sum']: 4 of 4 values differ" in told(asked, Zero)


# Generators


def pairs(items):
    first = None
    for item in items:
        if first is not None:
            yield [first, item]
        first = item


PAIRS = question(pairs, "stream", ([1, 2, 3],), ([5],), parameters=("items",))
EAGER = question(pairs, "generator", ([1, 2, 3],), parameters=("items",))


def reads_all(items):
    yield from pairs(list(items))


def list_of(items):
    return list(pairs(items))


def iterator_of(items):
    return iter(list(pairs(items)))


def one_list(items):
    kept = []
    for pair in pairs(items):
        kept[:] = pair
        yield kept


def no_end(items):
    yield from pairs(items)
    while True:
        yield [0, 0]


def stuck(items):
    while True:
        if not items:
            yield


def of_objects(items):
    yield object()


def without_yield(items):
    for item in items:
        pairs(item)


def test_items_are_taken_as_they_come():
    assert PAIRS.expected[0].value == {
        "items": [[1, 2], [2, 3]],
        "ends": True,
        "lasting": True,
        "read": {"when called": 0, "for item 0": 2, "for item 1": 3, "at the end": 3},
    }
    assert EAGER.expected[0].value == {"items": [[1, 2], [2, 3]], "ends": True, "lasting": True}
    assert examine(EAGER, reads_all).passed
    assert examine(PAIRS, lambda items: (list(pair) for pair in itertools.pairwise(items))).passed


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (reads_all, ["at ['read']['for item 0']: expected 2, got 3", "How much must be read"]),
        (list_of, ["pairs returns a list, where a generator is expected. Does it yield its items?"]),
        (without_yield, ["pairs returns None, where a generator is expected"]),
        (iterator_of, ["at ['read']['when called']: expected 0, got 3"]),
        (one_list, ["at ['lasting']: expected True, got False", "Yield a new one each time"]),
        (no_end, ["at ['items']: expected 2 items, got 20 items"]),
        (of_objects, ["pairs yields an object of type object, where plain data is expected"]),
    ],
)
def test_what_is_wrong_with_a_generator_is_said(function, says):
    hint = told(PAIRS, function)
    for words in says:
        assert words in hint


def test_a_generator_without_end_is_asked_for_no_more_than_some_items():
    def counting():
        yield from itertools.count()

    asked = question(counting, "generator", (), parameters=())
    assert asked.expected[0].value["items"] == list(range(probes.MOST_ITEMS))
    assert asked.expected[0].value["ends"] is False
    assert run_case(stuck, Case(([1],), "never yields"), probe="generator", seconds=0.2).status == "timeout"


def test_a_generator_that_fails_halfway_says_where():
    def halfway(items):
        yield [1, 2]
        raise KeyError("here")

    hint = told(PAIRS, halfway)
    assert "pairs raises KeyError: 'here', at line" in hint
    assert "pairs(items=iter([1, 2, 3]))" in hint


# Training loops


def descend(model, x, steps, rate):
    losses = []
    for _ in range(steps):
        loss = (model(x) ** 2).mean()
        model.zero_grad()
        loss.backward()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter -= rate * parameter.grad
        losses.append(loss.item())
    return losses


NET = {
    "0.weight": torch.tensor([[1.0, -1.0], [0.5, 2.0]]),
    "0.bias": torch.tensor([0.0, 1.0]),
    "2.weight": torch.tensor([[1.0, 1.0]]),
}
DESCEND = question(descend, "training", (NET, X, 3, 0.1), parameters=("model", "x", "steps", "rate"))


def test_a_network_is_made_of_its_state():
    model = probes.network(NET)
    torch.testing.assert_close(model(X), torch.tanh(X @ NET["0.weight"].T + NET["0.bias"]) @ NET["2.weight"].T)
    assert [name for name, _ in model.named_parameters()] == list(NET)


def test_training_compares_what_is_returned_what_is_left_and_a_second_run():
    answer = DESCEND.expected[0].value
    assert list(answer) == ["returned", "parameters", "repeats"]
    assert answer["returned"][0] > answer["returned"][-1]
    assert answer["repeats"] is True
    assert list(answer["parameters"]) == list(NET)
    torch.testing.assert_close(DESCEND.cases[0].args[0], NET)  # the case's own numbers are left alone


def forgets_the_step(model, x, steps, rate):
    return descend(probes.network({name: p.detach() for name, p in model.named_parameters()}), x, steps, rate)


def noisy(model, x, steps, rate):
    return descend(model, x + 0.01 * torch.randn(x.shape), steps, rate)


def remembers(model, x, steps, rate, before=[]):  # noqa: B006 – this is the mistake
    before.append(1)
    return descend(model, x, steps, rate * len(before))


def rebinds(model, x, steps, rate):
    losses = descend(model, x, steps, rate)
    for parameter in model.parameters():
        parameter = parameter + 1
    return [*losses, 0.0]


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (forgets_the_step, ["at ['parameters']['0.weight']", "not what the network is left with"]),
        (rebinds, ["at ['returned']: expected 3 items, got 4 items"]),
    ],
)
def test_what_is_wrong_with_training_is_said(function, says):
    hint = told(DESCEND, function)
    for words in says:
        assert words in hint
    assert "model = lmcore.check.probes.network(" in hint
    assert "{'0.weight': tensor(" in hint
    assert re.search(r"descend\(\s*model,\s*x=tensor\(", hint)


@pytest.mark.parametrize("function", [noisy, remembers])
def test_training_must_repeat(function):
    answer = run_case(function, DESCEND.cases[0], probe="training").value
    assert answer["repeats"] is False


def test_training_without_a_network_takes_what_it_is_given():
    def move(w, g, steps):
        for _ in range(steps):
            w = w - g
        return w

    asked = question(move, "training", (torch.ones(2), torch.ones(2), 3), parameters=("w", "g", "steps"))
    assert list(asked.expected[0].value) == ["returned", "repeats"]

    def in_place(w, g, steps):
        for _ in range(steps):
            w -= g
        return w

    assert "changes its input w" in told(asked, in_place)


# What these probes need


def test_the_probes_know_nothing_but_torch():
    """So a sandbox for them need not hold a room of the package."""
    for module in (probes, calls):
        tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
        names = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        assert all(name.startswith("lmcore.check.") for name in names if name.startswith("lmcore"))
