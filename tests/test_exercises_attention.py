"""The banks of chapters 8 to 11 ask for what the package computes: references beside ``lmcore``, in double precision."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import exercises
from lmcore import attention, blocks, positions, schedules
from lmcore.check.diagnose import examine
from lmcore.generate import beam

B, T, S, C, H, V = 3, 5, 7, 6, 2, 11
LENGTHS = torch.tensor([4, 7, 1])


def reference(name):
    return exercises.get(name).reference


def drawn(*shape, seed=7):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def same(got, want, leaves):
    """Equal values, and equal gradients of a weighted sum."""
    torch.testing.assert_close(got, want)
    weights = drawn(*want.shape, seed=99)
    for one, other in zip(*(torch.autograd.grad((y * weights).sum(), leaves) for y in (got, want)), strict=True):
        torch.testing.assert_close(one, other)


def test_soft_look_up_is_that_of_the_package():
    q, k, v = (part.requires_grad_() for part in (drawn(C, seed=1), drawn(S, C, seed=2), drawn(S, 2, seed=3)))
    same(reference("soft_look_up")(q, k, v, 0.7), attention.look_up(q[None], k, v, scale=0.7)[0][0], [q, k, v])


def additive():
    torch.manual_seed(3)
    return attention.AdditiveAttention(C, 4, 5).double(), drawn(B, T, C), drawn(B, S, 4)


def test_additive_score_makes_the_weights_of_the_package():
    layer, query, keys = additive()
    scores = reference("additive_score")(query, keys, layer.query.weight, layer.key.weight, layer.score.weight[0])
    mask = attention.padding_mask(LENGTHS, S)[:, 0]
    weights = layer(query, keys, mask)[1]
    same(attention.masked_softmax(scores, mask), weights, list(layer.parameters()))


def test_source_mask_gives_the_contexts_of_the_package():
    layer, query, keys = additive()
    scores = layer.score(torch.tanh(layer.query(query)[:, :, None] + layer.key(keys)[:, None]))[..., 0]
    contexts = layer(query, keys, attention.padding_mask(LENGTHS, S)[:, 0])[0]
    same(reference("source_mask")(scores, keys, LENGTHS), contexts, list(layer.parameters()))


@pytest.mark.parametrize("empty", [False, True])
def test_scaled_dot_product_is_that_of_the_package_and_of_torch(empty):
    q, k, v = (drawn(B, H, n, 3, seed=n).requires_grad_() for n in (T, S, S))
    mask = attention.padding_mask(LENGTHS * (0 if empty else 1), S)
    got = reference("scaled_dot_product")(q, k, v, mask)
    same(got, attention.scaled_dot_product(q, k, v, mask)[0], [q, k, v])
    if not empty:
        same(reference("scaled_dot_product")(q, k, v, mask), F.scaled_dot_product_attention(q, k, v, mask), [q, k, v])


def test_multi_head_is_the_module_of_the_package_without_its_matrices():
    layer = attention.MultiHeadAttention(C, H, bias=False).double().requires_grad_(False)
    layer.in_proj_weight.copy_(torch.eye(C).repeat(3, 1))
    layer.out_proj.weight.copy_(torch.eye(C))
    q, k, v = (drawn(B, n, C, seed=s).requires_grad_() for s, n in enumerate((T, S, S)))
    same(reference("multi_head")(q, k, v, H), layer(q, k, values=v)[0], [q, k, v])


def test_causal_and_padding_mask_is_both_of_the_package():
    both = attention.causal_mask(S) & attention.padding_mask(LENGTHS, S)
    assert torch.equal(reference("causal_and_padding_mask")(LENGTHS, S), both)


@pytest.mark.parametrize("groups", [1, 2, 6])
def test_grouped_queries_are_those_of_the_package(groups):
    q, k, v = (drawn(B, n, t, 3, seed=t).requires_grad_() for n, t in ((6, T), (groups, S), (groups, S)))
    same(reference("grouped_queries")(q, k, v), attention.attend(q, k, v), [q, k, v])


def test_layer_norm_is_that_of_the_package_and_of_torch():
    x, weight, bias = (part.requires_grad_() for part in (drawn(B, T, C), drawn(C, seed=1), drawn(C, seed=2)))
    for want in (blocks.layer_norm(x, weight, bias, 0.01), F.layer_norm(x, (C,), weight, bias, 0.01)):
        same(reference("layer_norm")(x, weight, bias, 0.01), want, [x, weight, bias])


@pytest.mark.parametrize("base", [20, 10_000.0])
def test_positions_are_those_of_the_package(base):
    torch.testing.assert_close(
        reference("sinusoidal_positions")(T, C, base), positions.sinusoidal(T, C, float(base)), atol=1e-6, rtol=1e-5
    )
    x = drawn(B, H, C)
    turned = positions.rotate(x, LENGTHS[:, None, None].expand(B, H, 1)[..., 0], float(base))
    torch.testing.assert_close(reference("rotary_step")(x, LENGTHS, base), turned)


def test_pre_norm_block_is_the_layer_of_the_package_and_of_torch():
    layer = blocks.EncoderLayer(C, H, 4).double()
    other = nn.TransformerEncoderLayer(C, H, 4, dropout=0.0, batch_first=True, norm_first=True).double()
    parameters = dict(layer.named_parameters())
    for i, part in enumerate(parameters.values()):
        part.data.copy_(drawn(*part.shape, seed=i))
    x = drawn(B, T, C)
    same(reference("pre_norm_block")(x, parameters, H), layer(x, causal=True), list(parameters.values()))
    other.load_state_dict(layer.state_dict())
    torch.testing.assert_close(
        reference("pre_norm_block")(x, parameters, H), other(x, nn.Transformer.generate_square_subsequent_mask(T).double())
    )


def test_cross_attention_is_the_module_of_the_package():
    layer = attention.MultiHeadAttention(C, H, bias=False).double()
    x, memory = drawn(B, T, C).requires_grad_(), drawn(B, S, C).requires_grad_()
    want, _ = layer(x, memory, mask=attention.padding_mask(LENGTHS, S))
    got = reference("cross_attention")(x, memory, LENGTHS, *layer.in_proj_weight.chunk(3), layer.out_proj.weight, H)
    same(got, want, [x, memory, *layer.parameters()])


@pytest.mark.parametrize("epsilon", [0.0, 0.1, 1.0])
def test_label_smoothing_is_that_of_torch(epsilon):
    logits, targets = drawn(T, V).requires_grad_(), torch.tensor([3, 0, 10, 3, 7])
    want = F.cross_entropy(logits, targets, label_smoothing=epsilon)
    same(reference("label_smoothing")(logits, targets, epsilon), want, [logits])


@pytest.mark.parametrize("step", [1, 17, 40, 41, 900])
def test_warm_up_is_the_schedule_of_the_package(step):
    how = {"steps": 1000, "lr": schedules.vaswani_rate(C, 40), "warmup": 40, "schedule": "inverse_sqrt"}
    assert reference("warm_up")(step, C, 40) == pytest.approx(schedules.learning_rate(step, **how), rel=1e-12)


class Small:
    """A model that reads tokens and keeps a vector; one token ends a text."""

    def __init__(self, seed):
        self.read, self.turn, self.write = drawn(V, H, seed=seed), drawn(H, H, seed=seed + 1), drawn(H, V, seed=seed + 2)
        self.often = torch.zeros(V).index_fill(0, torch.tensor(1), 1.0).double()

    def step(self, tokens, state):
        state = torch.tanh(self.read[tokens] + state @ self.turn)
        return 2.0 * state @ self.write + self.often, state

    def select(self, state, rows):
        return state[rows]

    def log_probs(self, texts, start):
        """log q of the next token of each text, read from its beginning."""
        found = []
        for text in texts:
            state = drawn(1, H)
            for token in [start, *text]:
                logits, state = self.step(torch.tensor([token]), state)
            found.append(logits[0].log_softmax(0))
        return torch.stack(found)


@pytest.mark.parametrize(("width", "alpha"), [(1, 0.6), (3, 0.0), (4, 0.7), (5, 1.5)])
@pytest.mark.parametrize("seed", [23, 31, 41])
def test_penalised_beam_step_repeated_is_the_search_of_the_package(seed, width, alpha):
    """The best text and its score, and whether the search needed all the steps it was given."""
    start, end, most = 0, 1, 9
    model, texts, scores, complete, over, taken = Small(seed), [[]], [0.0], [], False, 0
    how = {"width": width, "end": end, "max_length": most, "alpha": alpha, "results": 1}
    ((want,),) = beam(model, drawn(1, H), torch.tensor([start]), **how)
    while not over and texts and taken < most:
        step = reference("penalised_beam_step")
        texts, scores, complete, over = step(
            texts, scores, model.log_probs(texts, start), complete, width, end, alpha, most
        )  # fmt: skip
        taken += 1
    if want.ended:
        assert complete[0][0] == [*want.ids, end]
        assert complete[0][1] == pytest.approx(want.score)
    else:
        assert complete == []
        assert texts[0] == list(want.ids)


# Ready-made functions


def packaged_multi_head(query, key, value, heads):
    width = query.shape[2]
    layer = attention.MultiHeadAttention(width, heads, bias=False).to(query)
    with torch.no_grad():
        layer.in_proj_weight.copy_(torch.eye(width).repeat(3, 1))
        layer.out_proj.weight.copy_(torch.eye(width))
    return layer(query, key, values=value)[0]


def module_for_cross(x, memory, lengths, W_q, W_k, W_v, W_o, heads):
    padding = torch.arange(memory.shape[1]) >= lengths[:, None]
    return F.multi_head_attention_forward(
        *(part.transpose(0, 1) for part in (x, memory, memory)), x.shape[2], heads, torch.cat([W_q, W_k, W_v]), None,
        None, None, False, 0.0, W_o, None, training=True, key_padding_mask=padding, need_weights=False,
    )[0].transpose(0, 1)  # fmt: skip


def module_for_block(x, p, heads):
    layer = nn.TransformerEncoderLayer(
        x.shape[2], heads, len(p["linear1.bias"]), 0.0, batch_first=True, norm_first=True, dtype=x.dtype
    )
    mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1], dtype=x.dtype)
    return torch.func.functional_call(layer, p, (x, mask), {"is_causal": True})


def packaged_block(x, p, heads):
    layer = blocks.EncoderLayer(x.shape[2], heads, len(p["linear1.bias"])).to(x)
    return torch.func.functional_call(layer, p, (x,), {"causal": True})


def packaged_score(query, keys, W_a, U_a, v_a):
    layer = attention.AdditiveAttention(W_a.shape[1], U_a.shape[1], len(v_a)).to(query)
    named = {"query.weight": W_a, "key.weight": U_a, "score.weight": v_a[None]}
    weights = torch.func.functional_call(layer, named, (query, keys))[1]
    hidden = torch.tanh((query @ W_a.T)[:, :, None] + (keys @ U_a.T)[:, None])
    return 0 * weights + hidden @ v_a


def packaged_rate(step, dim, warmup):
    how = {"steps": 10**6, "warmup": warmup, "schedule": "inverse_sqrt"}
    return schedules.learning_rate(step, lr=schedules.vaswani_rate(dim, warmup), **how)


def steps_of_the_package(hypotheses, scores, log_probs, complete, width, end, alpha, limit):
    from lmcore.generate import length_normalizer

    assert length_normalizer(1, alpha) == 1.0
    return reference("penalised_beam_step")(hypotheses, scores, log_probs, complete, width, end, alpha, limit)


CHEATS = {
    "soft_look_up": [lambda q, k, v, scale: attention.look_up(q[None], k, v, scale=float(scale))[0][0]],
    "additive_score": [packaged_score],
    "source_mask": [lambda e, h, n: attention.masked_softmax(e, attention.padding_mask(n, h.shape[1])[:, 0]) @ h],
    "scaled_dot_product": [lambda q, k, v, mask: attention.scaled_dot_product(q, k, v, mask)[0]],
    "multi_head": [packaged_multi_head],
    "causal_and_padding_mask": [lambda n, size: attention.causal_mask(size) & attention.padding_mask(n, size)],
    "grouped_queries": [
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, enable_gqa=True),
        lambda q, k, v: attention.attend(q, k, v),
    ],
    "layer_norm": [
        lambda x, weight, bias, eps: F.layer_norm(x, weight.shape, weight, bias, eps),
        lambda x, weight, bias, eps: blocks.layer_norm(x, weight, bias, eps),
    ],
    "sinusoidal_positions": [lambda length, dim, base: positions.sinusoidal(length, dim, float(base))],
    "rotary_step": [lambda x, n, base: positions.rotate(x, n[:, None].expand(x.shape[:2]), float(base))],
    "pre_norm_block": [module_for_block, packaged_block],
    "cross_attention": [module_for_cross],
    "label_smoothing": [lambda z, y, epsilon: F.cross_entropy(z, y, label_smoothing=epsilon)],
    "warm_up": [packaged_rate],
    "penalised_beam_step": [steps_of_the_package],
}  # fmt: skip


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("name", CHEATS)
def test_what_is_ready_made_is_no_answer(name):
    question = exercises.get(name).question(seed=1)
    for cheat in CHEATS[name]:
        assert examine(replace(question, ready=(), rtol=1e-3, atol=1e-4), cheat).passed
        result = examine(question, cheat)
        assert not any(passed for _, _, passed in result.cases)
        assert "ReadyMadeError" in str(result)


def test_every_exercise_of_these_chapters_refuses_the_package():
    for chapter in ("ch08_attention", "ch09_self_attention", "ch10_transformer_block", "ch11_transformer"):
        for exercise in exercises.bank(chapter):
            assert "lmcore" in exercise.ready
            assert exercise.name in CHEATS


@pytest.mark.parametrize(
    ("name", "probe"),
    [("additive_score", "additive"), ("layer_norm", "norms"), ("pre_norm_block", "blocks"), ("cross_attention", "cross")],
)
def test_these_run_in_a_model_on_a_public_and_on_a_hidden_case(name, probe):
    exercise = exercises.get(name)
    assert exercise.probe == probe
    question = exercise.question(seed=1)
    swapped = [case.public for case, want in zip(question.cases, question.expected, strict=True) if "model" in want.value]
    assert set(swapped) == {True, False}
    assert all(want.value.get("model", 1) for want in question.expected)
