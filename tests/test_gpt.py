"""GPT: causal, the same token by token, as large and as initialised as it should be, every choice alone, and it learns."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from lmcore import END, PAD, START
from lmcore.attention import MultiHeadAttention
from lmcore.batches import IGNORE, Padded
from lmcore.generate import Stepper, Uncached, beam, generate, greedy
from lmcore.gpt import GPT, GPT2_SIZES, GPTConfig, as_language_model, next_token_loss, parameter_groups, pretrain
from lmcore.positions import Rotary, rotate
from tests.parity import lively

B, T, V, C, H = 3, 7, 23, 30, 3
SMALL = GPTConfig(V, max_length=11, dim=C, heads=H, layers=2, hidden=13)
CHOICES = {
    "gpt": {},
    "gpt-2": {"activation": "gelu_tanh", "hidden": None},
    "no bias": {"bias": False},
    "untied": {"tied": False},
    "rms": {"norm": "rms"},
    "swiglu": {"activation": "swiglu"},
    "swiglu, width not given": {"activation": "swiglu", "hidden": None},
    "rotary": {"positions": "rotary"},
    "no positions": {"positions": "none"},
    "grouped": {"heads": 6, "kv_heads": 2},
    "narrow heads": {"head_dim": 4, "kv_heads": 1},
    "normalised queries": {"qk_norm": True},
    "all": {"norm": "rms", "activation": "swiglu", "positions": "rotary", "kv_heads": 1, "bias": False, "tied": False}
    | {"qk_norm": True},
}  # fmt: skip


@pytest.fixture(autouse=True)
def _double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def make(**changes) -> GPT:
    return lively(GPT(dataclasses.replace(SMALL, **changes)))


def ids(rows: int = B, length: int = T, seed: int = 3) -> torch.Tensor:
    return torch.randint(0, V, (rows, length), generator=torch.Generator().manual_seed(seed))


# ---------------------------------------------------------------- sizes and beginnings


@pytest.mark.parametrize("kind", CHOICES)
def test_the_config_knows_how_many_parameters_there_are(kind):
    model = GPT(dataclasses.replace(SMALL, **CHOICES[kind]))
    assert model.config.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert model.config.width == (model.layers[0].linear2.in_features)


def test_gpt2_has_the_published_numbers_of_parameters():
    counted = {size: GPTConfig.gpt2(size).parameters for size in GPT2_SIZES}
    assert counted == {"small": 124_439_808, "medium": 354_823_168, "large": 774_030_080, "xl": 1_557_611_200}


def test_weights_begin_as_gpt2s():
    torch.manual_seed(1)
    model = GPT(GPTConfig(97, max_length=89, dim=80, heads=5, layers=8, std=0.05))
    narrow = 0.05 / math.sqrt(2 * 8)
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1:
            wanted = narrow if "out_proj" in name or "linear2" in name else 0.05
            assert parameter.std().item() == pytest.approx(wanted, rel=0.06), name
            assert abs(parameter.mean().item()) < 4 * wanted / math.sqrt(parameter.numel()), name
        else:
            assert torch.equal(parameter, torch.full_like(parameter, float("norm" in name and "weight" in name))), name


def test_the_residual_stream_does_not_grow_with_the_depth_at_the_beginning():
    """What the scaled matrices are for: 2 N sublayers add up to about as much whatever N is."""

    def growth(layers: int) -> float:
        torch.manual_seed(4)
        states = GPT(GPTConfig(V, max_length=T, dim=64, heads=4, layers=layers, std=0.1)).look(ids()).states
        return (states[-1] - states[0]).std().item()

    assert growth(24) == pytest.approx(growth(3), rel=0.25)


def test_matrices_and_embeddings_decay_and_vectors_do_not():
    model = GPT(dataclasses.replace(SMALL, qk_norm=True))
    decayed, left = parameter_groups(model, 0.1)
    assert (decayed["weight_decay"], left["weight_decay"]) == (0.1, 0.0)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    assert {names[id(p)] for p in left["params"]} == {n for n in names.values() if n.endswith("bias") or "norm" in n}
    assert {"embedding.weight", "positions.weight"} < {names[id(p)] for p in decayed["params"]}
    assert len(decayed["params"]) + len(left["params"]) == len(names)


def test_tied_weights_are_one_parameter_and_its_gradient_comes_from_both_ends():
    model = make()
    assert model.output_weight is model.embedding.weight
    words = torch.tensor([[1, 2, 3]])
    next_token_loss(model, (words, words + 1)).backward()
    gradient = model.embedding.weight.grad
    assert (gradient[4:].abs().sum(-1) > 0).all()  # words that were not read: as outputs
    apart = make(tied=False)
    with torch.no_grad():
        apart.embedding.weight.copy_(model.embedding.weight)
        apart.head.weight.copy_(model.embedding.weight)
        for name, parameter in model.named_parameters():
            apart.get_parameter(name).copy_(parameter)
    next_token_loss(apart, (words, words + 1)).backward()
    torch.testing.assert_close(gradient, apart.embedding.weight.grad + apart.head.weight.grad)


# ---------------------------------------------------------------- what it computes


def test_it_is_the_formula_layer_by_layer():
    model, words = make(), ids()
    x = model.embedding.weight[words] + model.positions.weight[:T]
    for layer in model.layers:
        h = F.layer_norm(x, (C,), layer.norm1.weight, layer.norm1.bias)
        q, k, v = (
            part.unflatten(-1, (H, C // H)).transpose(1, 2)
            for part in F.linear(h, layer.self_attn.in_proj_weight, layer.self_attn.in_proj_bias).chunk(3, dim=-1)
        )
        scores = q @ k.mT / math.sqrt(C / H)
        scores = scores.masked_fill(torch.ones(T, T, dtype=torch.bool).triu(1), -math.inf)
        x = x + layer.self_attn.out_proj((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))
        x = x + layer.linear2(F.gelu(layer.linear1(F.layer_norm(x, (C,), layer.norm2.weight, layer.norm2.bias))))
    expected = F.layer_norm(x, (C,), model.norm.weight, model.norm.bias) @ model.embedding.weight.T
    torch.testing.assert_close(model(words), expected)


def test_rotary_positions_turn_queries_and_keys_by_theta():
    model, other = make(positions="rotary", theta=50.0), make(positions="rotary")
    assert model.positions is None
    attention = model.layers[0].self_attn
    x = torch.randn(B, T, C)
    q, k, v = attention._project_self(x)
    turned = [rotate(part, torch.arange(T), 50.0) for part in (q, k)]
    expected = F.scaled_dot_product_attention(*turned, v, is_causal=True).transpose(1, 2).flatten(2)
    found, _ = attention(x, causal=True, positions=model.rotary)
    torch.testing.assert_close(found, attention.out_proj(expected))
    assert not torch.allclose(model(ids()), other(ids()))


@pytest.mark.parametrize("kind", CHOICES)
def test_no_logit_depends_on_a_later_token_and_each_on_all_before(kind):
    model, words = make(**CHOICES[kind]), ids()
    vectors = model.embedding(words).detach().requires_grad_()
    handle = model.embedding.register_forward_hook(lambda *_: vectors)
    logits = model(words)
    handle.remove()
    for t in (0, 3, T - 1):
        (gradient,) = torch.autograd.grad(logits[:, t].square().sum(), vectors, retain_graph=True)
        assert (gradient[:, t + 1 :] == 0).all()
        assert (gradient[:, : t + 1].abs().sum(-1) > 0).all()


def test_what_stands_beyond_a_text_reaches_no_logit_and_no_gradient():
    model, words, lengths = make(), ids(), torch.tensor([7, 1, 4])
    together = model(words, lengths)
    for b, n in enumerate(lengths.tolist()):
        torch.testing.assert_close(together[b, :n], model(words[b : b + 1, :n])[0])
        assert (together[b, n:] == 0).all()
    together.sum().backward()
    assert (model.positions.weight.grad[T:] == 0).all()
    with pytest.raises(ValueError, match="lengths"):
        model(words, torch.tensor([8, 1, 4]))


def test_dropout_acts_in_training_alone_and_not_in_the_hidden_layer():
    model = make(dropout=0.5)
    assert torch.equal(model(ids()), model(ids()))
    model.train()
    assert not torch.equal(model(ids()), model(ids()))
    assert model.layers[0].hidden_dropout.p == 0
    assert model.layers[0].dropout.p == model.layers[0].self_attn.dropout == model.dropout.p == 0.5


def test_look_gives_every_layer_and_where_it_looks():
    model, words = make(kv_heads=1), ids()
    states, weights = model.look(words, weights=True)
    assert [state.shape for state in states] == [(B, T, C)] * 3
    torch.testing.assert_close(states[0], model.embedding(words) + model.positions.weight[:T])
    torch.testing.assert_close(model.output(model.norm(states[-1])), model(words))
    torch.testing.assert_close(model.layers[1](states[1], causal=True), states[2])
    assert [weight.shape for weight in weights] == [(B, H, T, T)] * 2
    for weight in weights:
        torch.testing.assert_close(weight.sum(-1), torch.ones(B, H, T))
        assert (weight.triu(1) == 0).all()
    assert model.look(words).weights is None


# ---------------------------------------------------------------- token by token


@torch.no_grad()
@pytest.mark.parametrize("kind", CHOICES)
def test_step_by_step_is_the_same_as_all_at_once(kind):
    model, words = make(**CHOICES[kind]), ids()
    assert isinstance(model, Stepper)
    expected = model(words)
    cache = model.begin()
    torch.testing.assert_close(model(words[:, :3], cache=cache), expected[:, :3])
    torch.testing.assert_close(model(words[:, 3:], cache=cache), expected[:, 3:])
    state = model.begin(words[:, :2])
    for t in range(2, T):
        before = [len(part) for part in state]
        logits, after = model.step(words[:, t], state)
        torch.testing.assert_close(logits, expected[:, t])
        assert [len(part) for part in state] == before
        state = after
    rows = torch.tensor([2, 0, 2])
    logits, _ = model.step(words[rows, 0], model.select(state, rows))
    torch.testing.assert_close(logits, model(torch.cat([words, words[:, :1]], 1)[rows])[:, -1])


@pytest.mark.parametrize("kind", ["gpt", "all"])
def test_texts_with_a_cache_are_those_without(kind):
    model = make(**CHOICES[kind])
    prompts = [[1, 2, 3], [4], [5, 6]]
    for how in ({}, {"width": 3}, {"repetition": 1.3}):
        with_cache = generate(model, prompts, max_new=6, end=0, **how)
        without = generate(model, prompts, max_new=6, end=0, cache=False, **how)
        assert [text.ids for text in with_cache] == [text.ids for text in without]
        assert [text.log_prob for text in with_cache] == pytest.approx([text.log_prob for text in without])
    one = generate(model, prompts, max_new=6, generator=torch.Generator().manual_seed(2))
    assert one == generate(model, prompts, max_new=6, generator=torch.Generator().manual_seed(2))
    state, first = model.begin(torch.tensor([[1, 2]])), torch.tensor([3])
    slow = Uncached(model).begin(torch.tensor([[1, 2]]))
    assert (
        greedy(model, state, first, end=(), max_length=5)[0].ids
        == greedy(Uncached(model), slow, first, end=(), max_length=5)[0].ids
    )
    assert beam(model, state, first, width=2, end=(), max_length=5)[0][0].ids


def test_positions_end_where_they_were_learned_and_rotary_ones_do_not():
    with pytest.raises(ValueError, match=r"positions 0 to 11 .* only 0 to 10"):
        make()(ids(length=12))
    assert make(positions="rotary")(ids(length=29)).shape == (B, 29, V)


# ---------------------------------------------------------------- learning, and texts


WORDS = (PAD, START, END, "a", "b", "c", "d")


def test_it_learns_and_is_a_language_model():
    texts = [[3, 4, 3, 4, 3], [4, 3, 4, 3], [5, 6, 5, 6], [6, 5, 6]] * 4
    torch.manual_seed(3)
    model = GPT(GPTConfig(len(WORDS), max_length=8, dim=16, heads=2, layers=2, std=0.1))
    batches = Padded(texts, 8, pad=0, start=1, end=2, seed=5)
    losses = [step.loss for step in pretrain(model, batches, steps=120, lr=1e-2, every=10)]
    words = as_language_model(model, WORDS)
    # The first word is one of four, then the length is the only surprise: 1 of 4 texts ends after 3, 2 after 4, 1 after 5.
    assert losses[-1] < 0.55 < losses[0]
    first = words.next_distribution([])
    assert first.keys() == {END, "a", "b", "c", "d"}
    assert sum(first.values()) == pytest.approx(1)
    assert words.next_distribution(["a"])["b"] > 0.9
    assert words.next_distribution(["c"])["d"] > 0.9
    assert words.log_probs(["a", "b"]).shape == (3,)
    padded = next(Padded([texts[0], texts[3]], 2, pad=0, start=1, end=2, shuffle=False))
    expected = np.concatenate([words.log_probs([WORDS[i] for i in text]) for text in (texts[0], texts[3])])
    logits = model(padded.inputs)
    logits[..., :2] = -math.inf
    real = padded.targets != IGNORE
    found = -F.cross_entropy(logits[real], padded.targets[real], reduction="none")
    np.testing.assert_allclose(found.detach(), expected)


def test_pretraining_is_adamw_with_a_cosine_and_can_be_changed():
    texts = [[3, 4, 3]] * 4

    def run(**how):
        torch.manual_seed(3)
        model = GPT(GPTConfig(len(WORDS), max_length=8, dim=8, heads=2, layers=1))
        steps = list(pretrain(model, Padded(texts, 2, pad=0, start=1, end=2, seed=5), steps=20, lr=0.01, **how))
        return model, [step.lr for step in steps]

    model, rates = run()
    assert rates[:2] == pytest.approx([0.01 / 3, 0.02 / 3])  # two steps of climb
    assert rates[2] == pytest.approx(0.01)
    assert rates[-1] == pytest.approx(0.005 * (1 + math.cos(math.pi * 17 / 18)))
    assert run(schedule="constant", warmup=0)[1] == [0.01] * 20
    without, _ = run(weight_decay=0.0)
    assert without.layers[0].linear1.weight.norm() > model.layers[0].linear1.weight.norm()
    assert not torch.equal(run(beta2=0.5)[0].embedding.weight, model.embedding.weight)


def test_the_recipe_of_pretraining_is_that_of_nanogpt(monkeypatch):
    """Decay 0.1 of matrices and embeddings alone, β of 0.9 and 0.95, gradients clipped at 1."""
    made, clipped, adamw, clip = [], [], torch.optim.AdamW, torch.nn.utils.clip_grad_norm_
    monkeypatch.setattr(torch.optim, "AdamW", lambda *args, **how: made.append(adamw(*args, **how)) or made[-1])
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", lambda given, norm: clipped.append(norm) or clip(given, norm))
    model = GPT(GPTConfig(len(WORDS), max_length=8, dim=8, heads=2, layers=1))
    list(pretrain(model, Padded([[3, 4, 3]] * 4, 2, pad=0, start=1, end=2, seed=5), steps=1, lr=6e-4, warmup=0))
    (optimizer,) = made
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.1, 0.0]
    assert {(group["betas"], group["eps"], group["lr"]) for group in optimizer.param_groups} == {((0.9, 0.95), 1e-8, 6e-4)}
    assert {p.ndim for p in optimizer.param_groups[0]["params"]} == {2}
    assert clipped == [1.0]


@pytest.mark.parametrize("shared", [3, 1])
def test_attention_with_a_head_width_of_its_own_and_normalised_queries(shared):
    torch.manual_seed(6)
    part = lively(MultiHeadAttention(C, H, head_dim=4, kv_heads=shared, qk_norm=True))
    x = torch.randn(B, T, C)
    q, k, v = F.linear(x, part.in_proj_weight, part.in_proj_bias).split([12, 4 * shared, 4 * shared], dim=-1)
    q, k, v = (y.unflatten(-1, (-1, 4)).transpose(1, 2) for y in (q, k, v))
    q = q / q.square().mean(-1, keepdim=True).add(1e-6).sqrt() * part.q_norm.weight
    k = k / k.square().mean(-1, keepdim=True).add(1e-6).sqrt() * part.k_norm.weight
    k, v = (y.repeat_interleave(H // shared, dim=1) for y in (k, v))
    weights = (q @ k.mT / 2).softmax(-1)
    output, looked = part(x, weights=True)
    torch.testing.assert_close(looked, weights)
    torch.testing.assert_close(output, part.out_proj((weights @ v).transpose(1, 2).flatten(2)))
    torch.testing.assert_close(part(x)[0], output)
    torch.testing.assert_close(part(x, memory=x)[0], output)
    assert part.out_proj.weight.shape == (C, 12)
    turned = [rotate(y, torch.arange(T)) for y in (q, k)]  # normalised and scaled first, then turned
    expected = F.scaled_dot_product_attention(*turned, v).transpose(1, 2).flatten(2)
    torch.testing.assert_close(part(x, positions=Rotary(4))[0], part.out_proj(expected))
