"""Positions: the printed formulas, the shift as a matrix, and rotations equal to the published implementations."""

import math

import pytest
import torch

from lmcore.attention import MultiHeadAttention
from lmcore.positions import Learned, Rotary, Sinusoidal, frequencies, rotate, shift_matrix, sinusoidal

B, H, T, C, D = 2, 3, 7, 22, 10


@pytest.fixture(autouse=True)
def _double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def random(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


# ---------------------------------------------------------------- sinusoidal


@pytest.mark.parametrize("base", [7.0, 10_000.0])
def test_sinusoids_are_the_formula_of_the_paper(base):
    r = sinusoidal(T, C, base, offset=5)
    for row, n in enumerate(range(5, 5 + T)):
        for i in range(C // 2):
            assert r[row, 2 * i].item() == pytest.approx(math.sin(n / base ** (2 * i / C)), abs=1e-12)
            assert r[row, 2 * i + 1].item() == pytest.approx(math.cos(n / base ** (2 * i / C)), abs=1e-12)


def test_sinusoids_equal_those_of_hugging_face():
    """RoFormer's table holds all sines first, then all cosines; GPT-J's function does the same for one head."""
    from transformers.models.gptj.modeling_gptj import create_sinusoidal_positions
    from transformers.models.roformer.modeling_roformer import RoFormerSinusoidalPositionalEmbedding

    theirs = RoFormerSinusoidalPositionalEmbedding(T, C).create_weight().double()
    ours = sinusoidal(T, C)
    torch.testing.assert_close(torch.cat([ours[:, 0::2], ours[:, 1::2]], dim=1), theirs, rtol=0, atol=1e-6)
    torch.testing.assert_close(theirs, create_sinusoidal_positions(T, C).double(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("k", [0, 1, 13, -4, 2.5])
@pytest.mark.parametrize("base", [11.0, 10_000.0])
def test_a_shift_is_one_matrix_for_all_positions(k, base):
    whole = sinusoidal(40, C, base)
    shift = shift_matrix(k, C, base)
    steps = torch.arange(40) + k
    angles = torch.outer(steps, frequencies(C, base))
    moved = torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)
    torch.testing.assert_close(whole @ shift.T, moved)
    if isinstance(k, int) and k > 0:
        torch.testing.assert_close(whole[:-k] @ shift.T, whole[k:])


def test_shifts_are_rotations_and_add_up():
    a, b = shift_matrix(3, C), shift_matrix(11, C)
    torch.testing.assert_close(a @ b, shift_matrix(14, C))
    torch.testing.assert_close(b @ a, shift_matrix(14, C))
    torch.testing.assert_close(a @ a.T, torch.eye(C))
    torch.testing.assert_close(torch.linalg.det(a), torch.tensor(1.0))


def test_the_product_of_two_positions_depends_on_their_distance_alone():
    r = sinusoidal(50, C)
    products = r @ r.T
    for k in (0, 1, 17):
        along = products.diagonal(k)
        torch.testing.assert_close(along, along[:1].expand_as(along))
        assert along[0].item() == pytest.approx(frequencies(C).mul(k).cos().sum().item())


def test_the_module_adds_the_table_at_its_offset_in_any_number_format():
    module, x = Sinusoidal(C, 50.0), random(B, T, C)
    torch.testing.assert_close(module(x), x + sinusoidal(T, C, 50.0))
    torch.testing.assert_close(module(x, 30), x + sinusoidal(T, C, 50.0, offset=30))  # beyond what it has kept
    torch.testing.assert_close(module(x, 3), x + sinusoidal(T, C, 50.0, offset=3))  # and back again
    single = module(x.float())
    assert single.dtype == torch.float32
    torch.testing.assert_close(module.double()(x), x + sinusoidal(T, C, 50.0), rtol=0, atol=1e-12)  # nothing was rounded
    assert not module.state_dict()


def test_learned_positions_are_rows_of_their_weight_and_learn():
    module, x = Learned(9, C), random(B, T, C)
    torch.testing.assert_close(module(x, 2), x + module.weight[2:9])
    (module(x, 2) * random(B, T, C, seed=2)).sum().backward()
    assert (module.weight.grad[:2] == 0).all()
    torch.testing.assert_close(module.weight.grad[2:], random(B, T, C, seed=2).sum(0))
    with pytest.raises(ValueError, match=r"positions 3 to 9 .* only 0 to 8"):
        module(x, 3)


# ---------------------------------------------------------------- rotary


@pytest.mark.parametrize("layout", ["halves", "pairs"])
def test_a_rotation_turns_each_pair_by_its_angle(layout):
    x, where = random(B, H, T, D), torch.tensor([0, 5, 1, 40, 2, 9, 3])
    turned = rotate(x, where, 30.0, layout)
    for t, n in enumerate(where.tolist()):
        for i in range(D // 2):
            a, b = (i, i + D // 2) if layout == "halves" else (2 * i, 2 * i + 1)
            angle = n * 30.0 ** (-2 * i / D)
            expected = torch.complex(x[:, :, t, a], x[:, :, t, b]) * complex(math.cos(angle), math.sin(angle))
            torch.testing.assert_close(turned[:, :, t, a], expected.real)
            torch.testing.assert_close(turned[:, :, t, b], expected.imag)


def test_halves_equal_hugging_faces_llama():
    from transformers.models.llama.configuration_llama import LlamaConfig
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding, apply_rotary_pos_emb

    config = LlamaConfig(hidden_size=D * H, num_attention_heads=H, max_position_embeddings=64)
    q, k = random(B, H, T, D).float(), random(B, H, T, D, seed=2).float()
    where = torch.arange(4, 4 + T)
    cos, sin = LlamaRotaryEmbedding(config)(q, where[None].expand(B, T))
    theirs = apply_rotary_pos_emb(q, k, cos, sin)
    ours = Rotary(D, layout="halves")
    for x, expected in zip((q, k), theirs, strict=True):
        torch.testing.assert_close(ours(x, 4), expected, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(rotate(x, where), expected, rtol=1e-5, atol=1e-5)


def test_pairs_equal_the_interleaved_original():
    """RoFormer is the model of the paper; GPT-J took its layout over."""
    from transformers.models.gptj.modeling_gptj import apply_rotary_pos_emb, create_sinusoidal_positions
    from transformers.models.roformer.modeling_roformer import RoFormerSelfAttention, RoFormerSinusoidalPositionalEmbedding

    q, k = random(B, H, T, D), random(B, H, T, D, seed=2)
    table = RoFormerSinusoidalPositionalEmbedding(T, D).create_weight().double()[None, None]
    theirs = RoFormerSelfAttention.apply_rotary_position_embeddings(table, q, k)
    ours = Rotary(D, layout="pairs")
    for x, expected in zip((q, k), theirs, strict=True):
        torch.testing.assert_close(ours(x), expected, rtol=1e-6, atol=1e-6)
    sin, cos = create_sinusoidal_positions(T, D).double().chunk(2, dim=-1)
    swapped = apply_rotary_pos_emb(q.transpose(1, 2), sin[None].expand(B, -1, -1), cos[None].expand(B, -1, -1))
    torch.testing.assert_close(ours(q), swapped.transpose(1, 2), rtol=1e-6, atol=1e-6)


def test_the_layouts_differ_by_the_order_of_columns():
    x, order = random(B, T, D), torch.tensor([*range(0, D, 2), *range(1, D, 2)])
    torch.testing.assert_close(Rotary(D, layout="halves")(x[..., order], 3), Rotary(D, layout="pairs")(x, 3)[..., order])


@pytest.mark.parametrize("layout", ["halves", "pairs"])
def test_products_depend_on_the_distance_alone_and_lengths_on_nothing(layout):
    turn, q, k = Rotary(D, 100.0, layout), random(1, D), random(1, D, seed=2)
    product = (turn(q, 9) @ turn(k, 2).T).item()
    assert (turn(q, 907) @ turn(k, 900).T).item() == pytest.approx(product)
    assert (turn(q, 7) @ k.T).item() == pytest.approx(product)
    assert (turn(q, 8) @ turn(k, 2).T).item() != pytest.approx(product)
    assert turn(q, 55).norm().item() == pytest.approx(q.norm().item())
    torch.testing.assert_close(turn(q, 0), q)


@pytest.mark.parametrize("layout", ["halves", "pairs"])
def test_the_module_is_the_function_with_gradients_in_any_number_format(layout):
    turn = Rotary(D, 20.0, layout)
    turn(random(T, D).float())  # what it keeps now is single precision
    x = random(B, H, T, D).requires_grad_()
    weight = random(B, H, T, D, seed=3)
    (one,) = torch.autograd.grad((turn(x, 6) * weight).sum(), x)
    (two,) = torch.autograd.grad((rotate(x, torch.arange(6, 6 + T), 20.0, layout) * weight).sum(), x)
    torch.testing.assert_close(turn(x, 6), rotate(x, torch.arange(6, 6 + T), 20.0, layout), rtol=0, atol=1e-12)
    torch.testing.assert_close(one, two)
    torch.testing.assert_close(one, rotate(weight, -torch.arange(6, 6 + T), 20.0, layout))  # back is the other way round


def test_positions_of_each_text_may_differ():
    x, where = random(B, H, T, D), torch.stack([torch.arange(T), torch.arange(T) + 11])
    both = rotate(x, where[:, None])
    for b in range(B):
        torch.testing.assert_close(both[b], rotate(x[b], where[b]))


def test_attention_with_rotary_positions_sees_distances_only():
    """The same text, further back: nothing changes. In another order: something does, unlike without positions."""
    torch.manual_seed(0)
    attention, turn = MultiHeadAttention(H * D, H), Rotary(D)
    x = random(B, T, H * D)
    here, _ = attention(x, positions=turn)
    later, _ = attention(x, positions=lambda y, offset: turn(y, offset + 29))
    torch.testing.assert_close(later, here)
    order = torch.tensor([3, 0, 6, 2, 5, 1, 4])
    assert not torch.allclose(attention(x[:, order], positions=turn)[0], here[:, order])
    torch.testing.assert_close(attention(x[:, order])[0], attention(x)[0][:, order])


# ---------------------------------------------------------------- bad input


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sinusoidal(3, 5), "dim=5 is odd"),
        (lambda: sinusoidal(-1, 4), "length=-1"),
        (lambda: sinusoidal(3, 4, 0), "base=0"),
        (lambda: sinusoidal(3, 4, offset=-1), "offset=-1"),
        (lambda: shift_matrix("1", 4), "k='1'"),
        (lambda: Sinusoidal(4)(torch.ones(2, 3, 5)), r"\(B, T, 4\)"),
        (lambda: Learned(0, 4), "max_length=0"),
        (lambda: Learned(5, 4)(torch.ones(2, 3, 4), -1), "offset=-1"),
        (lambda: Rotary(5), "dim=5 is odd"),
        (lambda: Rotary(4, layout="thirds"), "'thirds'.*halves, pairs"),
        (lambda: Rotary(4)(torch.ones(3, 6)), "6 wide.* width 4"),
        (lambda: rotate(torch.ones(3, 4), torch.arange(2)), "each of the 3 rows"),
        (lambda: rotate(torch.ones(3, 4), 2), "a int"),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
