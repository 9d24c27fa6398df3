"""Plain data: copied, compared, shown, and carried as JSON and raw bytes."""

import itertools
import json
import math
import re
from collections import Counter, namedtuple
from contextlib import suppress

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lmcore.check import wire
from lmcore.check.show import show
from lmcore.check.values import UnsupportedError, difference, plain, unordered


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


NESTED = [
    (torch.arange(6).view(2, 3), [torch.eye(2), 2.0]),
    {"V_x": torch.eye(2), (1, "a"): [torch.zeros(2, 1, 2), {"c": torch.ones(1), "none": None}]},
    [[list(range(12))] * 9, ("x",), {}, {"a"}, frozenset({1, 2}), set(), True],
    np.arange(4.0).reshape(2, 2),
]


@pytest.mark.parametrize("value", NESTED)
def test_what_is_shown_can_be_typed_and_stands_in_columns(value):
    text = show(value, 10**6)
    typed = eval(text, {"tensor": torch.tensor, "array": np.array})
    assert difference(plain(typed), plain(value), 0.0, 0.0) is None
    assert max(map(len, text.split("\n"))) <= 84
    for before, line in itertools.pairwise(text.split("\n")):  # a row begins under the row above it
        if before.rstrip(",").endswith("]") and line.lstrip().startswith("[") and "tensor" in before:
            assert line.index("[") in [place for place, letter in enumerate(before) if letter == "["]


def test_a_shape_is_shown_where_the_numbers_do_not_show_it():
    assert show(torch.zeros(0, 3)) == "tensor([], shape=(0, 3))"
    assert show(torch.zeros(0)) == "tensor([])"
    assert "shape" not in show(torch.zeros(3, 2))
    assert show(torch.ones([1] * 5)) == "tensor([1.], shape=(1, 1, 1, 1, 1))"
    assert show(torch.zeros([3] * 12)).endswith("], shape=(3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3))")
    for shape in [(1000,), (4, 5, 6), (2, 3, 4, 5), (300, 2)]:
        assert show(torch.rand(shape)).endswith(f"], shape={shape})")
        assert show(np.random.default_rng(0).random(shape)).endswith(f"], shape={shape})")
        assert len(show(torch.rand(shape))) < 500


def test_a_long_value_is_cut_behind_an_item():
    assert re.fullmatch(r"\[(0\.123457,\s+)+…", show([0.1234567] * 100))
    assert show("x" * 600).endswith("xx …")  # no item ends


def test_a_float_looks_like_one():
    assert show(8.0) == show(8.0000000001) == "8.0"
    assert show(-8.0000000001) == "-8.0"
    assert [show(x) for x in (1e-7, 1e30, math.inf, math.nan)] == ["1e-07", "1e+30", "inf", "nan"]
