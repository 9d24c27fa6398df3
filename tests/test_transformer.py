"""Whole Transformers: equal to torch's, causal, blind to padding, the same word by word, and they learn."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lmcore import END, PAD, START, evaluate
from lmcore.attention import causal_mask, padding_mask
from lmcore.batches import Padded
from lmcore.generate import Stepper, beam, greedy
from lmcore.pairs import Pairs
from lmcore.seq2seq import target_log_probs, translate, translation_loss
from lmcore.train import fit
from lmcore.transformer import (
    POSITIONS,
    Decoder,
    Encoder,
    TokenEmbedding,
    Transformer,
    TransformerClassifier,
    TransformerLM,
    TransformerTranslator,
    as_language_model,
    next_token_loss,
)
from tests.test_blocks import gradients, lively, same

B, T, S, C, H, HIDDEN, V, W = 3, 5, 7, 30, 3, 13, 19, 23
LENGTHS = torch.tensor([7, 1, 4])
NORMS = ("pre", "post")


@pytest.fixture(autouse=True)
def _double():
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(5)
    yield
    torch.set_default_dtype(torch.float32)


def ids(rows: int, length: int, size: int, seed: int = 3) -> torch.Tensor:
    return torch.randint(3, size, (rows, length), generator=torch.Generator().manual_seed(seed))


def language_model(positions: str = "sinusoidal", **how) -> TransformerLM:
    torch.manual_seed(2)
    return TransformerLM(V, C, H, 2, hidden=HIDDEN, positions=positions, max_length=11, **how)


def translator(positions: str = "sinusoidal", **how) -> TransformerTranslator:
    torch.manual_seed(2)
    return TransformerTranslator(V, W, C, H, (2, 3), hidden=HIDDEN, positions=positions, max_length=11, **how)


# ---------------------------------------------------------------- parity with torch


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("layers", [2, (1, 3)])
@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
def test_the_transformer_is_torchs_in_values_and_gradients(norm, layers):
    up, down = (layers, layers) if isinstance(layers, int) else layers
    theirs = lively(nn.Transformer(C, H, up, down, HIDDEN, 0.0, batch_first=True, norm_first=norm == "pre"))
    ours = Transformer(C, H, layers, HIDDEN, norm=norm)
    ours.load_state_dict(theirs.state_dict())
    source, target = torch.randn(B, S, C, requires_grad=True), torch.randn(B, T, C, requires_grad=True)
    beyond = ~padding_mask(LENGTHS, S)[:, 0, 0]
    expected = theirs(source, target, tgt_mask=~causal_mask(T), src_key_padding_mask=beyond, memory_key_padding_mask=beyond)
    output = ours(source, target, lengths=LENGTHS)
    torch.testing.assert_close(output, expected)
    same(gradients(output, [source, target], ours), gradients(expected, [source, target], theirs))


@pytest.mark.parametrize("norm", NORMS)
def test_a_stack_loads_torchs_state_without_its_final_norm(norm):
    layer = lively(nn.TransformerEncoderLayer(C, H, HIDDEN, 0.0, batch_first=True, norm_first=norm == "pre"))
    theirs = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    ours = Encoder(C, H, 2, HIDDEN, norm=norm, final_norm=False)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(B, S, C)
    torch.testing.assert_close(ours(x), theirs(x))
    assert ("norm.weight" in Encoder(C, H, 2, norm=norm).state_dict()) == (norm == "pre")


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
def test_matrices_begin_as_torchs_do():
    theirs, ours = nn.Transformer(C, H, 1, 1, HIDDEN, batch_first=True), Transformer(C, H, 1, HIDDEN)
    for (name, one), (other_name, two) in zip(theirs.named_parameters(), ours.named_parameters(), strict=True):
        assert name == other_name
        if one.ndim > 1:
            bound = math.sqrt(6 / sum(one.shape))
            assert 0.8 * bound < two.abs().max() <= bound
        elif "norm" in name or "proj" in name:
            assert torch.equal(one, two)


# ---------------------------------------------------------------- order, causality, padding


@pytest.mark.parametrize("norm", NORMS)
def test_an_encoder_without_positions_is_equivariant_and_a_pooled_one_invariant(norm):
    order = torch.tensor([3, 0, 6, 2, 5, 1, 4])
    stack, x = lively(Encoder(C, H, 2, HIDDEN, norm=norm)), torch.randn(B, S, C)
    torch.testing.assert_close(stack(x[:, order]), stack(x)[:, order])
    assert not torch.allclose(stack(x[:, order], causal=True), stack(x, causal=True)[:, order])
    some = ids(B, S, V)
    for positions in POSITIONS:
        torch.manual_seed(2)
        model = TransformerClassifier(V, C, H, 2, 5, hidden=HIDDEN, positions=positions, norm=norm)
        assert torch.allclose(model(some[:, order]), model(some), rtol=0, atol=1e-9) == (positions == "none")


@pytest.mark.parametrize("positions", POSITIONS)
@pytest.mark.parametrize("norm", NORMS)
def test_no_logit_depends_on_a_later_word(positions, norm):
    model, words = language_model(positions, norm=norm), ids(B, S, V)
    vectors = model.embedding(words).detach().requires_grad_()
    handle = model.embedding.register_forward_hook(lambda *_: vectors)
    logits = model(words)
    handle.remove()
    for t in (0, 3, S - 1):
        (gradient,) = torch.autograd.grad(logits[:, t].square().sum(), vectors, retain_graph=True)
        assert (gradient[:, t + 1 :] == 0).all()
        assert (gradient[:, : t + 1].abs().sum(-1) > 0).all()  # and on all words up to its own


@pytest.mark.parametrize("norm", NORMS)
def test_what_lies_beyond_an_end_has_no_influence_even_if_it_is_not_a_number(norm):
    stack, x = lively(Encoder(C, H, 2, HIDDEN, norm=norm)), torch.randn(B, S, C)
    beyond = torch.arange(S) >= LENGTHS[:, None]
    spoilt = x.clone()
    spoilt[beyond] = torch.nan
    spoilt.requires_grad_()
    together = stack(spoilt, lengths=LENGTHS)
    assert (together[beyond] == 0).all()
    for b, n in enumerate(LENGTHS.tolist()):
        torch.testing.assert_close(together[b, :n], stack(x[b : b + 1, :n])[0])
    together.square().sum().backward()
    assert torch.isfinite(spoilt.grad).all()
    assert (spoilt.grad[beyond] == 0).all()
    assert all(torch.isfinite(parameter.grad).all() for parameter in stack.parameters())


@pytest.mark.parametrize("positions", POSITIONS)
def test_padding_changes_no_logit_and_no_gradient_of_a_translator(positions):
    model = translator(positions)
    sources, inputs = ids(B, S, V), ids(B, T, W, seed=4)
    together = model(sources, LENGTHS, inputs)
    other = torch.where(torch.arange(S) < LENGTHS[:, None], sources, 17)
    assert torch.equal(model(other, LENGTHS, inputs), together)
    (together[2, :3] ** 2).sum().backward()
    padded = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    alone = model(sources[2:, : LENGTHS[2]], LENGTHS[2:], inputs[2:, :3])
    (alone**2).sum().backward()
    torch.testing.assert_close(together[2:, :3], alone)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, padded[name], msg=name)


@pytest.mark.parametrize("pool", ["mean", "max", "first"])
def test_padding_does_not_change_a_class(pool):
    model = TransformerClassifier(V, C, H, 2, 5, hidden=HIDDEN, pool=pool)
    texts = ids(B, S, V)
    together = model(texts, LENGTHS)
    assert together.shape == (B, 5)
    for b, n in enumerate(LENGTHS.tolist()):
        torch.testing.assert_close(together[b : b + 1], model(texts[b : b + 1, :n]))


def test_a_translation_depends_on_every_real_word_of_the_source_and_on_no_later_word_of_its_own():
    model, sources, inputs = translator(), ids(B, S, V), ids(B, T, W, seed=4)
    vectors = {name: getattr(model, name)(x).detach().requires_grad_() for name, x in (("source", sources), ("target", inputs))}
    hooks = [getattr(model, name).register_forward_hook(lambda *_, x=x: x) for name, x in vectors.items()]
    logits = model(sources, LENGTHS, inputs)
    for hook in hooks:
        hook.remove()
    for t in range(T):
        source, target = torch.autograd.grad(logits[:, t].square().sum(), [*vectors.values()], retain_graph=True)
        real = torch.arange(S) < LENGTHS[:, None]
        assert (source.abs().sum(-1)[real] > 0).all()
        assert (source[~real] == 0).all()
        assert (target[:, t + 1 :] == 0).all()
        assert (target[:, : t + 1].abs().sum(-1) > 0).all()


# ---------------------------------------------------------------- word by word


@torch.no_grad()
@pytest.mark.parametrize("positions", POSITIONS)
@pytest.mark.parametrize("how", [{}, {"norm": "post", "kv_heads": 1, "tie": False}])
def test_step_by_step_is_the_same_as_all_at_once(positions, how):
    model, words = language_model(positions, **how).eval(), ids(B, S, V)
    assert isinstance(model, Stepper)
    expected, state = model(words), model.begin()
    for t in range(S):
        logits, state = model.step(words[:, t], state)
        torch.testing.assert_close(logits, expected[:, t])
    for begun in (model.begin(), model.begin(words[:, :3])):  # a step leaves the state that it began from as it was
        once, again = (model.step(words[:, len(begun[0])], begun)[0] for _ in range(2))
        torch.testing.assert_close(once, again)
    state = model.begin(words[:, :3])
    older = model.select(state, torch.tensor([2, 0, 2, 1]))
    for t in range(3, S):
        logits, state = model.step(words[:, t], state)
        torch.testing.assert_close(logits, expected[:, t])
    logits, _ = model.step(words[[2, 0, 2, 1], 3], older)  # the old state is what it was
    torch.testing.assert_close(logits, expected[[2, 0, 2, 1], 3])
    rest = model(words[:, 3:], model.begin(words[:, :3]))  # several words behind a cache
    torch.testing.assert_close(rest, expected[:, 3:])


@torch.no_grad()
@pytest.mark.parametrize("positions", POSITIONS)
def test_a_translator_says_the_same_word_by_word(positions):
    model, sources, inputs = translator(positions).eval(), ids(B, S, V), ids(B, T, W, seed=4)
    expected, state = model(sources, LENGTHS, inputs), model.begin(sources, LENGTHS)
    for t in range(T):
        torch.testing.assert_close(model.step(inputs[:, t], state)[0], expected[:, t])  # asked twice, the same answer
        if t == 2:
            chosen = model.select(state, torch.tensor([1, 1, 0]))
        logits, state = model.step(inputs[:, t], state)
        torch.testing.assert_close(logits, expected[:, t])
    logits, _ = model.step(inputs[[1, 1, 0], 2], chosen)
    torch.testing.assert_close(logits, expected[[1, 1, 0], 2])


@pytest.mark.parametrize("width", [1, 3])
def test_a_translation_has_the_probability_that_teacher_forcing_gives_it(width):
    model = translator().eval()
    texts = [row[:n].tolist() for row, n in zip(ids(B, S, V), LENGTHS.tolist(), strict=True)]
    how = {"start": 1, "end": 2, "never": (0,), "width": width, "max_length": 6}
    for text, found in zip(texts, translate(model, texts, **how), strict=True):
        assert [found.ids] == [one.ids for one in translate(model, [text], **how)]
        inputs, targets = torch.tensor([[1, *found.ids]]), [*found.ids, 2]
        logits = model(torch.tensor([text]), torch.tensor([len(text)]), inputs)[0].detach()
        logits[:, [0, 1]] = -math.inf
        steps = logits.log_softmax(-1)[range(len(targets)), targets]
        assert found.log_prob == pytest.approx(float((steps if found.ended else steps[:-1]).sum()))


def test_a_wide_beam_of_a_language_model_finds_the_most_probable_text():
    torch.manual_seed(3)
    model = TransformerLM(5, 8, 2, 2, hidden=7, positions="rotary", tie=False).eval()
    first, how = torch.tensor([1]), {"end": 2, "max_length": 3, "never": (0, 1)}
    with torch.no_grad():
        (found,) = beam(model, model.begin(), first, width=64, **how)
        best, score = None, -math.inf
        for text in [(), *((a,) for a in (3, 4)), *((a, b) for a in (3, 4) for b in (3, 4))]:
            logits = model(torch.tensor([[1, *text]]))[0]
            logits[:, [0, 1]] = -math.inf
            value = logits.log_softmax(-1)[range(len(text) + 1), [*text, 2]].sum().item()
            if value > score:
                best, score = text, value
        ended = [hypothesis for hypothesis in found if hypothesis.ended]
        assert ended[0].ids == best
        assert ended[0].log_prob == pytest.approx(score)
        assert greedy(model, model.begin(), first, **how)[0].ids == beam(model, model.begin(), first, width=1, **how)[0][0].ids


# ---------------------------------------------------------------- parts


def test_token_vectors_are_scaled_and_positions_added():
    embedding = TokenEmbedding(V, C)
    words = ids(B, T, V)
    from lmcore.positions import sinusoidal

    torch.testing.assert_close(embedding(words, 4), embedding.weight[words] * math.sqrt(C) + sinusoidal(T, C, offset=4))
    assert embedding.weight.std().item() == pytest.approx(C**-0.5, rel=0.1)


def test_ties_and_shares_are_one_tensor_and_count_once():
    model = language_model()
    assert model.output.weight is model.embedding.weight
    assert model.output.bias is None
    assert language_model(tie=False).output.bias is not None
    both = TransformerTranslator(V, V, C, H, 1, share=True)
    assert both.source.weight is both.target.weight is both.output.weight
    sizes = [
        sum(p.numel() for p in TransformerTranslator(V, V, C, H, 1, share=s, tie=False).parameters()) for s in (True, False)
    ]
    assert sizes[1] - sizes[0] == V * C


def test_cross_weights_are_those_of_every_head_and_layer():
    model, sources, inputs = translator(), ids(B, S, V), ids(B, T, W, seed=4)
    weights = model.cross_weights(sources, LENGTHS, inputs)
    assert weights.shape == (B, 3, H, T, S)
    torch.testing.assert_close(weights.sum(-1), torch.ones(B, 3, H, T))
    assert (weights.permute(0, 4, 1, 2, 3)[torch.arange(S) >= LENGTHS[:, None]] == 0).all()
    torch.testing.assert_close(model.align(sources, LENGTHS, inputs), weights[:, 2].mean(1))
    torch.testing.assert_close(model.align(sources, LENGTHS, inputs, layer=0), weights[:, 0].mean(1))
    seen = []
    reader = language_model("rotary")
    torch.testing.assert_close(reader.output(reader.read(sources, seen=seen)), reader(sources))
    assert [w.shape for w in seen] == [(B, H, S, S)] * 2


def test_ablations_reach_every_layer():
    model = language_model(residual=False, mlp=False)
    assert not any("linear" in name for name in model.state_dict())
    assert all(not layer.residual for layer in model.stack.layers)


# ---------------------------------------------------------------- learning


def test_a_language_model_learns_a_world_and_is_scored_against_its_floor():
    """Alternating letters, begun with either: the first is a coin, all others are certain, and the length is told by ⟨end⟩."""
    torch.set_default_dtype(torch.float32)
    words = (PAD, START, END, "a", "b")
    texts = [[3 + (i + first) % 2 for i in range(6)] for first in (0, 1)] * 20
    source = Padded(texts, 10, pad=0, start=1, end=2)
    torch.manual_seed(0)
    model = TransformerLM(5, 16, 2, 2, tie=False)
    *_, last = fit(model, source, next_token_loss, steps=150, lr=0.01, schedule="linear", seed=0, every=50)
    assert last.loss == pytest.approx(math.log(2) / 7, abs=0.02)
    scorer = as_language_model(model, words)
    assert evaluate.cross_entropy(scorer, ["a b a b a b", "b a b a b a"]) == pytest.approx(math.log(2) / 7, abs=0.02)
    after = scorer.next_distribution("a b a")
    assert after["b"] > 0.95
    assert sum(after.values()) == pytest.approx(1)
    assert PAD not in after


def test_the_loss_is_the_mean_over_real_targets():
    rng = np.random.default_rng(0)
    texts = [rng.integers(3, V, size=n).tolist() for n in (4, 1, 6)]
    batch, model = next(Padded(texts, 3, pad=0, start=1, end=2)), language_model()
    logits = model(batch.inputs)
    expected = F.cross_entropy(logits[batch.mask], batch.targets[batch.mask])
    torch.testing.assert_close(next_token_loss(model, batch), expected)


def test_a_translator_learns_to_say_a_text_backwards():
    torch.set_default_dtype(torch.float32)
    rng = np.random.default_rng(0)
    texts = [rng.integers(3, 9, size=rng.integers(1, 5)).tolist() for _ in range(400)]
    source = Pairs([(text, text[::-1]) for text in texts], 50, pad=0, start=1, end=2)
    torch.manual_seed(1)
    model = TransformerTranslator(9, 9, 32, 2, 1, hidden=32)
    steps = list(fit(model, source, translation_loss, steps=300, lr=0.01, schedule="linear", warmup=20, seed=0, every=100))
    assert steps[-1].loss < 0.1 < steps[0].loss
    found = translate(model, texts[:100], start=1, end=2, never=(0,))
    assert np.mean([one.ids == tuple(text[::-1]) for one, text in zip(found, texts, strict=False)]) > 0.9
    batch = next(Pairs([(texts[0], texts[0][::-1])], 1, pad=0, start=1, end=2))
    assert target_log_probs(model, batch).sum().item() > -1


# ---------------------------------------------------------------- bad input


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: TransformerLM(0, C, H, 1), "vocab_size=0"),
        (lambda: TransformerLM(V, C, H, 0), "layers=0"),
        (lambda: TransformerLM(V, C, 7, 1), "dim=30.*heads=7"),
        (lambda: TransformerLM(V, C, H, 1, positions="relative"), "'relative'.*sinusoidal, learned, rotary, none"),
        (lambda: TransformerLM(V, 9, 3, 1, positions="rotary"), "dim=3 is odd"),
        (lambda: TransformerLM(V, 9, 3, 1), "dim=9 is odd"),
        (lambda: language_model()(torch.full((1, 2), V)), "id 19"),
        (lambda: language_model("learned")(torch.ones(1, 12).long()), "0 to 10 were"),
        (lambda: TransformerClassifier(V, C, H, 1, 0), "classes=0"),
        (lambda: TransformerClassifier(V, C, H, 1, 2, pool="last"), "'last'.*mean, max, first"),
        (lambda: TransformerTranslator(V, W, C, H, 1, share=True), "source_vocab=19, target_vocab=23"),
        (lambda: translator()(ids(2, 3, V), torch.tensor([3, 3]), ids(1, 2, W)), "1 rows for 2 sources"),
        (lambda: translator()(ids(1, 3, V), torch.tensor([4]), ids(1, 2, W)), "allowed are 0 to S=3"),
        (lambda: translator().begin(ids(1, 3, V), torch.tensor([3]), lambda x: x), "squeeze"),
        (lambda: Decoder(C, H, 0), "layers=0"),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
