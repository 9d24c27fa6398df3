"""Layers equal torch's in values and gradients, in both orders of norm and sum, and each part can be taken away."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lmcore.attention import Cache, causal_mask, padding_mask
from lmcore.blocks import (
    DecoderLayer,
    EncoderLayer,
    FeedForward,
    LayerNorm,
    RMSNorm,
    SwiGLU,
    layer_norm,
    post_norm,
    pre_norm,
    rms_norm,
    swiglu_hidden,
)

B, T, S, C, H, HIDDEN = 2, 5, 7, 33, 3, 13
LENGTHS = torch.tensor([7, 4])


@pytest.fixture(autouse=True)
def _double():
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(5)
    yield
    torch.set_default_dtype(torch.float32)


def lively(module: nn.Module) -> nn.Module:
    """Random numbers in all parameters: zeros and ones of the beginning hide mistakes."""
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.4)
    return module


def gradients(output: torch.Tensor, inputs: list[torch.Tensor], module: nn.Module) -> dict[str, torch.Tensor]:
    weight = torch.randn(output.shape, generator=torch.Generator().manual_seed(9))
    names = [f"input {i}" for i in range(len(inputs))] + [name for name, _ in module.named_parameters()]
    found = torch.autograd.grad((output * weight).sum(), [*inputs, *module.parameters()])
    return dict(zip(names, found, strict=True))


def same(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        torch.testing.assert_close(value, theirs[name], msg=lambda m, name=name: f"{name}: {m}")


# ---------------------------------------------------------------- layer norm and feed-forward


@pytest.mark.parametrize("bias", [True, False])
def test_the_kernel_is_the_formula_in_values_and_gradients(bias):
    norm = lively(LayerNorm(C, eps=0.3, bias=bias))
    x = (3 + 5 * torch.randn(B, T, C)).requires_grad_()
    reference = layer_norm(x, norm.weight, norm.bias, norm.eps)
    torch.testing.assert_close(norm(x), reference)
    same(gradients(norm(x), [x], norm), gradients(reference, [x], norm))
    theirs = nn.LayerNorm(C, eps=0.3, bias=bias)
    theirs.load_state_dict(norm.state_dict())
    assert torch.equal(norm(x), theirs(x))


def test_epsilon_stands_inside_the_root_and_the_variance_is_divided_by_c():
    x = torch.tensor([[1.0, 3.0]])  # mean 2, variance 1
    one, zero = torch.ones(2), torch.zeros(2)
    expected = 1 / math.sqrt(1 + 0.44)  # 1 / 1.2; outside the root it would be 1 / 1.44
    assert layer_norm(x, one, zero, eps=0.44)[0].tolist() == pytest.approx([-expected, expected])
    assert LayerNorm(2, eps=0.44)(x)[0].tolist() == pytest.approx([-expected, expected])


def test_layer_norm_knows_no_other_vector_no_scale_and_no_shift():
    norm, x = LayerNorm(C, eps=0.0), torch.randn(B, T, C)
    torch.testing.assert_close(norm(x)[1, 2], norm(x[1, 2]))
    torch.testing.assert_close(norm(9 * x + 4), norm(x))
    torch.testing.assert_close(norm(x).mean(-1), torch.zeros(B, T))
    torch.testing.assert_close(norm(x).square().mean(-1), torch.ones(B, T))


def test_the_kernel_of_rms_norm_is_the_formula_in_values_and_gradients():
    norm = lively(RMSNorm(C, eps=0.3))
    x = (3 + 5 * torch.randn(B, T, C)).requires_grad_()
    reference = rms_norm(x, norm.weight, norm.eps)
    torch.testing.assert_close(norm(x), reference)
    same(gradients(norm(x), [x], norm), gradients(reference, [x], norm))
    theirs = nn.RMSNorm(C, eps=0.3)
    theirs.load_state_dict(norm.state_dict())
    torch.testing.assert_close(norm(x), theirs(x))


def test_rms_norm_is_layer_norm_of_what_has_no_mean():
    x, one = torch.randn(B, T, C), torch.ones(C)
    centred = x - x.mean(-1, keepdim=True)
    torch.testing.assert_close(rms_norm(centred, one), layer_norm(x, one))
    norm = RMSNorm(C, eps=0.0)
    torch.testing.assert_close(norm(9 * x), norm(x))
    torch.testing.assert_close(norm(x).square().mean(-1), torch.ones(B, T))
    assert not torch.allclose(norm(x + 4), norm(x))
    # mean square 4; outside the root it would be 1 / (2 + 0.41) of 2
    assert rms_norm(torch.tensor([[2.0, -2.0]]), torch.ones(2), eps=0.41)[0, 0].item() == pytest.approx(2 / 2.1)


@pytest.mark.parametrize("bias", [True, False])
def test_swiglu_is_its_formula_and_as_large_as_two_thirds_of_the_plain_network(bias):
    network, x = lively(SwiGLU(C, HIDDEN, bias=bias)), torch.randn(B, T, C)
    gate, up = network.linear1.weight[:HIDDEN], network.linear1.weight[HIDDEN:]
    shift = network.linear1.bias if bias else torch.zeros(2 * HIDDEN)
    opened = x @ gate.T + shift[:HIDDEN]
    hidden = opened * torch.sigmoid(opened) * (x @ up.T + shift[HIDDEN:])
    torch.testing.assert_close(network(x), hidden @ network.linear2.weight.T + (network.linear2.bias if bias else 0))
    same_network = FeedForward(C, HIDDEN, "swiglu", bias=bias)
    same_network.load_state_dict(network.state_dict())
    assert torch.equal(network(x), same_network(x))


def test_swiglu_is_as_large_as_the_plain_network():
    plain, gated = (sum(p.numel() for p in part.parameters()) for part in (FeedForward(C, bias=False), SwiGLU(C)))
    assert gated == plain  # 4 · 33 = 132, two thirds of it 88
    assert swiglu_hidden(4 * 4096, 256) == 11_008  # Llama, 7B
    assert swiglu_hidden(10) == 7
    assert swiglu_hidden(1) == 1


def test_gelu_by_its_approximation_is_the_formula_of_the_paper():
    network, x = FeedForward(1, 1, "gelu_tanh"), torch.linspace(-4, 4, 17)[:, None]
    for layer in (network.linear1, network.linear2):
        nn.init.ones_(layer.weight)
        nn.init.zeros_(layer.bias)
    expected = 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    torch.testing.assert_close(network(x), expected)
    assert 1e-5 < (network(x) - F.gelu(x)).abs().max() < 1e-3


@pytest.mark.parametrize(("activation", "function"), [("relu", torch.relu), ("gelu", F.gelu)])
def test_the_feed_forward_network_is_its_formula_at_every_position(activation, function):
    network, x = lively(FeedForward(C, HIDDEN, activation)), torch.randn(B, T, C)
    first, second = network.linear1, network.linear2
    for b in range(B):
        for t in range(T):
            by_hand = second.weight @ function(first.weight @ x[b, t] + first.bias) + second.bias
            torch.testing.assert_close(network(x)[b, t], by_hand)
    assert FeedForward(C).linear1.out_features == 4 * C
    exact = 0.5 * 1.3 * (1 + math.erf(1.3 / math.sqrt(2)))
    assert F.gelu(torch.tensor(1.3)).item() == pytest.approx(exact)


# ---------------------------------------------------------------- parity with torch


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("masked", ["no", "causal", "padding", "both"])
def test_an_encoder_layer_is_torchs_in_values_and_gradients(norm, activation, bias, masked):
    theirs = nn.TransformerEncoderLayer(
        C, H, HIDDEN, 0.0, activation, 1e-3, batch_first=True, norm_first=norm == "pre", bias=bias
    )
    lively(theirs)
    ours = EncoderLayer(C, H, HIDDEN, norm=norm, activation=activation, eps=1e-3, bias=bias)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(B, S, C, requires_grad=True)
    real, ahead = padding_mask(LENGTHS, S), causal_mask(S)
    mask = {"no": None, "causal": ahead, "padding": real, "both": ahead & real}[masked]
    expected = theirs(
        x,
        src_mask=~ahead if masked in ("causal", "both") else None,
        src_key_padding_mask=~real[:, 0, 0] if masked in ("padding", "both") else None,
    )
    output = ours(x, mask)
    torch.testing.assert_close(output, expected)
    same(gradients(output, [x], ours), gradients(expected, [x], theirs))
    if masked == "causal":
        torch.testing.assert_close(ours(x, causal=True), expected)
    if masked == "both":
        torch.testing.assert_close(ours(x, real, causal=True), expected)


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("bias", [True, False])
def test_a_decoder_layer_is_torchs_in_values_and_gradients(norm, activation, bias):
    theirs = nn.TransformerDecoderLayer(
        C, H, HIDDEN, 0.0, activation, 1e-3, batch_first=True, norm_first=norm == "pre", bias=bias
    )
    lively(theirs)
    ours = DecoderLayer(C, H, HIDDEN, norm=norm, activation=activation, eps=1e-3, bias=bias)
    ours.load_state_dict(theirs.state_dict())
    x, memory = torch.randn(B, T, C, requires_grad=True), torch.randn(B, S, C, requires_grad=True)
    real = padding_mask(LENGTHS, S)
    expected = theirs(x, memory, tgt_mask=~causal_mask(T), memory_key_padding_mask=~real[:, 0, 0])
    output = ours(x, memory, None, real)
    torch.testing.assert_close(output, expected)
    same(gradients(output, [x, memory], ours), gradients(expected, [x, memory], theirs))
    torch.testing.assert_close(ours(x, memory, causal=False), theirs(x, memory))


# ---------------------------------------------------------------- the two orders


def test_pre_norm_and_post_norm_are_what_they_are_called():
    layer, x = lively(EncoderLayer(C, H, HIDDEN, norm="pre")), torch.randn(B, T, C)
    h = x + layer.self_attn(layer.norm1(x))[0]
    torch.testing.assert_close(layer(x), h + layer.feed_forward(layer.norm2(h)))
    post = EncoderLayer(C, H, HIDDEN, norm="post")
    post.load_state_dict(layer.state_dict())  # one switch, the same parameters
    h = layer.norm1(x + layer.self_attn(x)[0])
    torch.testing.assert_close(post(x), layer.norm2(h + layer.feed_forward(h)))
    three = torch.tensor(3.0)
    assert pre_norm(three, lambda x: 10 * x, lambda x: x + 1) == 3 + 10 * 4
    assert post_norm(three, lambda x: 10 * x, lambda x: x + 1) == 33 + 1


def test_parts_can_be_taken_away():
    x = torch.randn(B, T, C)
    layer = lively(EncoderLayer(C, H, HIDDEN, residual=False))
    torch.testing.assert_close(layer(x), layer.feed_forward(layer.norm2(layer.self_attn(layer.norm1(x))[0])))
    layer = lively(EncoderLayer(C, H, HIDDEN, residual=False, norm="post"))
    torch.testing.assert_close(layer(x), layer.norm2(layer.feed_forward(layer.norm1(layer.self_attn(x)[0]))))
    layer = lively(EncoderLayer(C, H, HIDDEN, norm="none"))
    h = x + layer.self_attn(x)[0]
    torch.testing.assert_close(layer(x), h + layer.feed_forward(h))
    assert not [name for name in layer.state_dict() if "norm" in name]
    layer = lively(EncoderLayer(C, H, HIDDEN, mlp=False))
    torch.testing.assert_close(layer(x), x + layer.self_attn(layer.norm1(x))[0])
    assert not [name for name in layer.state_dict() if "linear" in name or "norm2" in name]
    assert [name for name in DecoderLayer(C, H, HIDDEN).state_dict() if "norm" in name and "weight" in name] == [
        "norm1.weight", "norm2.weight", "norm3.weight",
    ]  # fmt: skip


def test_grouped_heads_share_keys_and_have_fewer_of_them():
    layer = EncoderLayer(36, 6, HIDDEN, kv_heads=2)
    assert layer.self_attn.in_proj_weight.shape == (36 + 2 * 2 * 6, 36)
    assert layer(torch.randn(B, T, 36)).shape == (B, T, 36)


# ---------------------------------------------------------------- weights, caches, dropout


def test_weights_are_handed_out_on_request_and_change_nothing():
    layer, x, memory = lively(DecoderLayer(C, H, HIDDEN)), torch.randn(B, T, C), torch.randn(B, S, C)
    own, other = [], []
    real = padding_mask(LENGTHS, S)
    torch.testing.assert_close(layer(x, memory, None, real, seen=own, seen_memory=other), layer(x, memory, None, real))
    assert [w.shape for w in own + other] == [(B, H, T, T), (B, H, T, S)]
    torch.testing.assert_close(other[0].sum(-1), torch.ones(B, H, T))
    assert (own[0].triu(1) == 0).all()
    assert (other[0][1, :, :, 4:] == 0).all()
    assert torch.equal(layer.self_attn(layer.norm1(x), causal=True, weights=True)[1], own[0])


@torch.no_grad()
def test_word_by_word_with_caches_is_the_same_as_all_at_once():
    layer, x, memory = lively(DecoderLayer(C, H, HIDDEN)), torch.randn(B, T, C), torch.randn(B, S, C)
    expected, caches = layer(x, memory), (Cache(), Cache())
    found = [layer(x[:, t : t + 1], memory, caches=caches) for t in range(T)]
    torch.testing.assert_close(torch.cat(found, dim=1), expected)
    assert (len(caches[0]), len(caches[1])) == (T, S)


def test_dropout_drops_in_training_only_and_keeps_the_mean():
    torch.manual_seed(1)
    layer = EncoderLayer(C, H, HIDDEN, norm="none", dropout=0.3)
    x = torch.randn(1, T, C)
    plain = layer.eval()(x)
    assert torch.equal(plain, layer(x))
    layer.train()
    assert not torch.equal(layer(x), layer(x))
    dropped = layer.mlp and layer.dropout(torch.ones(10_000))
    assert (dropped == 0).double().mean().item() == pytest.approx(0.3, abs=0.03)
    assert dropped.mean().item() == pytest.approx(1, abs=0.05)


# ---------------------------------------------------------------- bad input


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: EncoderLayer(10, 3), "dim=10.*heads=3"),
        (lambda: EncoderLayer(C, H, 0), "hidden=0"),
        (lambda: EncoderLayer(C, H, norm="both"), "'both'.*pre, post, none"),
        (lambda: EncoderLayer(C, H, activation="tanh"), "'tanh'.*relu, gelu"),
        (lambda: EncoderLayer(C, H, dropout=1.0), "dropout=1.0"),
        (lambda: LayerNorm(0), "dim=0"),
        (lambda: LayerNorm(3, eps=-1), "eps=-1"),
        (lambda: FeedForward(C, activation="swish"), "'swish'"),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_a_layer_with_rms_norms_gates_and_heads_of_its_own_width(norm):
    layer = lively(
        EncoderLayer(C, H, HIDDEN, norm=norm, norm_type="rms", activation="swiglu", head_dim=4, kv_heads=1, bias=False)
    )
    x = torch.randn(B, T, C)

    def attend(h: torch.Tensor) -> torch.Tensor:
        return layer.self_attn(h, causal=True)[0]

    def network(h: torch.Tensor) -> torch.Tensor:
        gate, up = (h @ layer.linear1.weight.T).chunk(2, dim=-1)
        return (F.silu(gate) * up) @ layer.linear2.weight.T

    def first(h: torch.Tensor) -> torch.Tensor:
        return rms_norm(h, layer.norm1.weight)

    def second(h: torch.Tensor) -> torch.Tensor:
        return rms_norm(h, layer.norm2.weight)

    if norm == "pre":
        middle = x + attend(first(x))
        expected = middle + network(second(middle))
    else:
        middle = first(x + attend(x))
        expected = second(middle + network(middle))
    torch.testing.assert_close(layer(x, causal=True), expected)
    assert not any("bias" in name for name, _ in layer.named_parameters())


def test_the_hidden_layer_may_drop_another_share():
    seen: list[torch.Tensor] = []
    x = torch.randn(B, T, C)
    for inner, dropped in ((None, True), (0.4, True), (0.0, False)):
        layer = EncoderLayer(C, H, HIDDEN, activation="gelu", dropout=0.4, hidden_dropout=inner).train()
        layer.linear2.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
        layer.feed_forward(x)
        assert bool((seen.pop() == 0).any()) == dropped
