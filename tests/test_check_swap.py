"""A student's function swapped into a model: the model is the book's own, and what the function gets wrong inside it shows."""

import pytest
import torch
from torch.nn import functional as F

import exercises
from lmcore.blocks import EncoderLayer
from lmcore.check import swap, wire
from lmcore.check.run import Answer, Case, run_case
from lmcore.check.values import difference

B, T, S, C, HIDDEN = 3, 2, 5, 4, 7

# The models are checked elsewhere; here they are also given what a student's function may return.
pytestmark = pytest.mark.usefixtures("unchecked")


def drawn(*shape, seed=11):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed + len(shape)), dtype=torch.float64)


def block_parameters():
    torch.manual_seed(5)
    layer = EncoderLayer(C, 2, HIDDEN).double()
    return {name: drawn(*part.shape, seed=i) for i, (name, part) in enumerate(layer.named_parameters())}


LENGTHS = torch.tensor([5, 1, 3])
# The exercise, its probe and its maker, arguments, how many calls a run of the model makes.
SWAPS = {
    "additive_score": (
        *("additive", swap.additive),
        [drawn(B, T, C), drawn(B, S, C), *(drawn(C, C, seed=s) for s in (1, 2)), drawn(C)],
        T,
    ),
    "read in both directions": (
        *("additive", swap.additive),
        [drawn(B, T, C), drawn(B, S, 2 * C), drawn(C, C, seed=1), drawn(C, 2 * C), drawn(C)],
        T,
    ),
    "layer_norm": ("norms", swap.norms, [drawn(B, T, C), drawn(C, seed=1), drawn(C, seed=2), 0.01], 3),
    "pre_norm_block": ("blocks", swap.blocks, [drawn(B, T, C), block_parameters(), 2], 2),
    "cross_attention": (
        *("cross", swap.cross),
        [drawn(B, T, C), drawn(B, S, C), LENGTHS, *(drawn(C, C, seed=s) for s in range(4)), 2],
        1,
    ),
}  # fmt: skip
NAMES = {"read in both directions": "additive_score"}


def prepared(kind):
    probe, make, args, calls = SWAPS[kind]
    return probe, make, args, calls, exercises.get(NAMES.get(kind, kind)).reference


def examined(kind, function):
    probe, _, args, _, _ = prepared(kind)
    return run_case(function, Case(tuple(args), "a case"), probe=probe)


def agree(got, want):
    return difference(got, want, 1e-9, 1e-9) is None


@pytest.mark.parametrize("kind", SWAPS)
def test_the_model_is_the_book_s_own(kind):
    """Left alone and with the reference in its place, it gives the same logits, the same loss and the same gradients."""
    _, make, args, calls, reference = prepared(kind)
    own, swapped, count = make(*args), make(*args), []
    swapped.put(lambda *given: count.append(1) or reference(*given))
    want, got = own.outcome(), swapped.outcome()
    assert len(count) == calls
    assert agree({k: v.detach() for k, v in got.items() if k != "gradients"}, {k: want[k].detach() for k in ("logits", "loss")})
    assert agree(got["gradients"], want["gradients"])
    assert set(want["gradients"]) == {name for name, _ in own.model.named_parameters()}
    for name, gradient in want["gradients"].items():
        dead = ("in_proj_bias", "embedding.positions") if kind == "pre_norm_block" else ()
        assert gradient.abs().max() > 1e-6 or any(part in name for part in dead), name


@pytest.mark.parametrize("kind", SWAPS)
def test_the_answer_of_the_probe_is_that_outcome(kind):
    _, make, args, _, reference = prepared(kind)
    given = examined(kind, reference)
    assert given.status == "ok"
    assert given.changed == ()
    assert list(given.value) == ["value", "gradients", "model"]
    assert agree(given.value["model"]["gradients"], make(*args).outcome()["gradients"])
    again = Answer.from_record(wire.decode(wire.encode(given.record())))
    assert difference(again.value, given.value, 0.0, 0.0) is None


@pytest.mark.parametrize("kind", SWAPS)
def test_the_first_place_has_the_parameters_of_the_case(kind):
    """With another number among the arguments the model does something else."""
    _, make, args, _, _ = prepared(kind)
    want = make(*args).outcome()["loss"]
    for i, arg in enumerate(args):
        if (
            isinstance(arg, torch.Tensor)
            and arg.is_floating_point()
            and i >= (1 if kind in ("layer_norm", "pre_norm_block") else 2)
        ):
            assert not agree(make(*args[:i], 2.0 * arg + 0.1, *args[i + 1 :]).outcome()["loss"].detach(), want.detach())
    if kind == "pre_norm_block":
        for name, part in args[1].items():
            changed = {**args[1], name: part + 0.5 * drawn(*part.shape, seed=91)}
            assert not agree(make(args[0], changed, args[2]).outcome()["loss"].detach(), want.detach()), name


@pytest.mark.parametrize("kind", SWAPS)
def test_a_gradient_cut_inside_shows_in_the_model(kind):
    *_, reference = prepared(kind)
    given = examined(kind, lambda x, *rest: reference(x.detach(), *rest))
    want = examined(kind, reference)
    assert agree(given.value["model"]["logits"], want.value["model"]["logits"])
    assert not agree(given.value["model"]["gradients"], want.value["model"]["gradients"])
    frozen = examined(kind, torch.no_grad()(reference))
    assert frozen.value["gradients"] is None
    assert agree(frozen.value["model"]["loss"], want.value["model"]["loss"])


@pytest.mark.parametrize("kind", SWAPS)
def test_one_text_runs_the_function_alone(kind):
    probe, make, args, _, reference = prepared(kind)
    one = [arg[:1] if isinstance(arg, torch.Tensor) and len(arg) == B else arg for arg in args]
    assert make(*one) is None
    given = run_case(reference, Case(tuple(one), "a case"), probe=probe)
    assert list(given.value) == ["value", "gradients"]
    assert agree(given.value["value"], reference(*one))


@pytest.mark.parametrize("kind", SWAPS)
@pytest.mark.parametrize("spoil", [lambda y: None, lambda y: y[..., :-1], lambda y: y.float(), lambda y: [y], lambda y: 0.5])
def test_what_does_not_fit_is_not_put_into_the_model(kind, spoil):
    *_, reference = prepared(kind)
    given = examined(kind, lambda *args: spoil(reference(*args)))
    assert given.status == "ok"
    assert given.value["model"] is None


def test_widths_that_do_not_fit_have_no_model():
    query, keys = drawn(B, T, 3), drawn(B, S, C)
    assert swap.additive(query, keys, drawn(C, 3), drawn(C, C), drawn(C)) is None
    assert swap.additive(drawn(B, T, C), drawn(B, S, 3), drawn(C, C), drawn(C, 3), drawn(C)) is None


@pytest.mark.parametrize("kind", SWAPS)
@pytest.mark.parametrize("unnoticed", [False, True])
def test_a_change_of_an_input_is_seen_outside_the_model_alone(kind, unnoticed):
    *_, reference = prepared(kind)

    def in_place(x, *rest):
        result = reference(x.clone(), *rest)
        if unnoticed:
            x.data.mul_(2.0)
        else:
            x *= 2.0
        return result

    given, want = examined(kind, in_place), examined(kind, reference)
    assert (given.changed, want.changed) == ((0,), ())
    assert agree(given.value["model"]["logits"], want.value["model"]["logits"])
    assert agree(given.value["gradients"], want.value["gradients"])


def test_a_changed_parameter_in_a_dictionary_is_seen():
    *_, reference = prepared("pre_norm_block")

    def in_place(x, p, heads):
        p["norm1.bias"] = p["norm1.bias"] * 1.5
        return reference(x, p, heads)

    assert examined("pre_norm_block", in_place).changed == (1,)


def in_place_after_exp(x, weight, bias, eps):
    y = torch.exp(x)  # its gradient needs the result
    y += 1.0
    return y * weight + bias


def test_a_change_that_breaks_the_gradient_is_named():
    given = examined("layer_norm", in_place_after_exp)
    assert (given.status, given.error) == ("raised", "RuntimeError")
    assert "does your function change a tensor in place" in given.message
    given = run_case(in_place_after_exp, Case(tuple(prepared("layer_norm")[2]), "a case"), probe="gradients")
    assert "does your function change a tensor in place" in given.message


def test_a_change_that_breaks_the_gradient_inside_the_model_is_named():
    def in_place(x, weight, bias, eps):
        own = F.layer_norm(x, weight.shape, weight, bias, eps)
        first = weight[0] == SWAPS["layer_norm"][2][1][0]  # the single call, and the first place of the model
        return own if first else in_place_after_exp(x, weight, bias, eps)

    given = examined("layer_norm", in_place)
    assert (given.status, given.error) == ("raised", "RuntimeError")
    assert "does your function change a tensor in place" in given.message


def test_an_error_inside_the_model_is_the_function_s():
    calls = []

    def once(x, weight, bias, eps):
        calls.append(1)
        if len(calls) > 1:
            raise ValueError("this function knows no model")
        return F.layer_norm(x, weight.shape, weight, bias, eps)

    given = examined("layer_norm", once)
    assert (given.status, given.error) == ("raised", "ValueError")
