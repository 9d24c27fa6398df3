"""Fast generation: every number that of the readable model, whatever it is made of; and what one byte per weight costs."""

import math

import pytest
import torch
from torch.nn import functional as F

from lmcore.decode import FastDecoder, Product, RoundedProduct, fast, rounded
from lmcore.generate import beam, generate, greedy
from lmcore.gpt import GPT, GPTConfig
from lmcore.llama import Llama, LlamaConfig

V, LONGEST = 53, 19
DECODERS = {
    "GPT": {},
    "GPT-2": {"activation": "gelu_tanh"},
    "no biases, own output": {"bias": False, "tied": False, "activation": "relu"},
    "no positions": {"positions": "none", "activation": "silu"},
    "wide heads": {"head_dim": 10, "norm": "rms"},
    "rotary, one key head": {"positions": "rotary", "kv_heads": 1, "head_dim": 4},
    "everything": {
        **{"positions": "rotary", "norm": "rms", "activation": "swiglu", "kv_heads": 2, "head_dim": 6},
        **{"qk_norm": True, "bias": False, "tied": False, "theta": 101.0},
    },
    "normalised queries": {"qk_norm": True, "kv_heads": 2},
}


def made(name="GPT", seed=7, double=True, **changed):
    """A model whose weights are large enough for tokens to matter, biases and gains included."""
    torch.manual_seed(seed)
    if name == "Llama":
        model = Llama(LlamaConfig(V, dim=20, heads=4, kv_heads=2, head_dim=6, layers=3, hidden=13, std=0.4))
    else:
        config = {"max_length": LONGEST, "dim": 20, "heads": 4, "layers": 3, "hidden": 13, "std": 0.4} | DECODERS[name]
        model = GPT(GPTConfig(V, **config | changed))
    for parameter in model.parameters():
        if parameter.ndim == 1:
            torch.nn.init.uniform_(parameter, 0.3, 1.4)
    return (model.double() if double else model).eval().requires_grad_(False)


def tokens(*shape, seed=11):
    return torch.randint(V, shape, generator=torch.Generator().manual_seed(seed))


def logits(model, ids, read):
    """The logits after every token from number ``read`` on, one step each."""
    state, found = model.begin(ids[:, :read]), []
    for column in ids[:, read:].unbind(1):
        z, state = model.step(column, state)
        found.append(z)
    return torch.stack(found, 1)


@pytest.mark.parametrize("name", [*DECODERS, "Llama"])
@pytest.mark.parametrize(("read", "rows"), [(0, 1), (1, 3), (7, 2)])
def test_the_numbers_are_those_of_the_model(name, read, rows):
    ids = tokens(rows, 13)
    model = made(name)
    expected = model(ids)[:, read:]
    assert expected.std() > 0.1
    torch.testing.assert_close(logits(fast(model), ids, read), expected, rtol=0, atol=1e-9)
    single = made(name, double=False)
    torch.testing.assert_close(logits(fast(single), ids, read), single(ids)[:, read:], rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("name", ["GPT", "Llama"])
def test_a_text_longer_than_the_first_piece_of_memory(name):
    model = made(name, max_length=211) if name == "GPT" else made(name)
    ids = tokens(2, 149)  # the memory is made larger twice on the way
    torch.testing.assert_close(logits(fast(model), ids, 3), model(ids)[:, 3:], rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", ["GPT", "Llama"])
@pytest.mark.parametrize("penalty", [None, 1.3])
def test_greedy_search_finds_the_same_texts(name, penalty):
    model = made(name)
    prompts = [[3, 1, 4], [1], [5, 9, 2, 6, 5], [3, 5]]
    slow = generate(model, prompts, max_new=11, end=0, repetition=penalty)
    quick = generate(fast(model), prompts, max_new=11, end=0, repetition=penalty)
    assert [h.ids for h in quick] == [h.ids for h in slow]
    assert [h.ended for h in quick] == [h.ended for h in slow]
    assert [h.log_prob for h in quick] == pytest.approx([h.log_prob for h in slow], abs=1e-9)
    assert len({h.ids for h in slow}) > 1


@pytest.mark.parametrize("name", ["GPT", "Llama"])
@pytest.mark.parametrize("per_row", [False, True])
def test_sampling_draws_the_same_texts(name, per_row):
    model = made(name)
    prompts = [[3, 1, 4], [1], [5, 9, 2, 6]]

    def drawn(decoder):
        sources = [torch.Generator().manual_seed(n) for n in (23, 29, 31)]
        how = {"temperature": 1.2, "top_k": 31, "top_p": 0.95, "repetition": 1.1, "max_new": 9, "end": [0, 1]}
        return generate(decoder, prompts, generator=sources if per_row else sources[0], **how)

    slow, quick = drawn(model), drawn(fast(model))
    assert [h.ids for h in quick] == [h.ids for h in slow]
    assert [h.score for h in quick] == pytest.approx([h.score for h in slow], abs=1e-9)


@pytest.mark.parametrize("name", ["GPT", "Llama"])
def test_beam_search_finds_the_same_texts(name):
    model = made(name)
    first, how = tokens(2), {"width": 4, "end": 0, "max_length": 9, "alpha": 0.7}
    slow, quick = (beam(m, m.begin(tokens(2, 3, seed=5)), first, **how) for m in (model, fast(model)))
    assert [[h.ids for h in row] for row in quick] == [[h.ids for h in row] for row in slow]
    assert len({h.ids for row in slow for h in row}) > 4


def test_a_state_stays_what_it_was():
    """Two continuations of one state, a choice of rows, and the first again: nothing of one reaches another."""
    model = made()
    quick, ids = fast(model), tokens(3, 5)
    state = quick.begin(ids)
    one, other = tokens(3, seed=1), tokens(3, seed=2)
    before, after_one = quick.step(one, state)
    quick.step(other, state)
    z, _ = quick.step(other, after_one)  # before anything is written once more where ``one`` stood
    torch.testing.assert_close(z, model(torch.cat([ids, one[:, None], other[:, None]], 1))[:, -1], rtol=0, atol=1e-9)
    again, _ = quick.step(one, state)
    assert torch.equal(again, before)
    rows = torch.tensor([2, 0, 0, 1])
    chosen = quick.select(after_one, rows)
    extended = torch.cat([ids, one[:, None]], 1)[rows]
    for source in (chosen, quick.select(chosen, torch.arange(4))):
        z, _ = quick.step(tokens(4, seed=3), source)
        expected = model(torch.cat([extended, tokens(4, seed=3)[:, None]], 1))[:, -1]
        torch.testing.assert_close(z, expected, rtol=0, atol=1e-9)


def test_it_keeps_its_own_weights_and_records_no_gradients():
    model = made()
    model.requires_grad_(True)
    quick, ids = fast(model), tokens(1, 4)
    before = logits(quick, ids, 1)
    assert not before.requires_grad
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2)
    assert torch.equal(logits(quick, ids, 1), before)
    assert not torch.allclose(logits(fast(model), ids, 1), before)


def test_a_text_too_long_for_the_learned_positions_is_refused_as_the_model_refuses_it():
    for decoder in (made(), fast(made())):
        state = decoder.begin(tokens(1, LONGEST - 1))
        _, state = decoder.step(tokens(1), state)
        with pytest.raises(ValueError, match=rf"positions {LONGEST} to {LONGEST} .* 0 to {LONGEST - 1} were learned; give sho"):
            decoder.step(tokens(1), state)
        with pytest.raises(ValueError, match=f"positions 0 to {LONGEST} "):
            decoder.begin(tokens(1, LONGEST + 1))


@pytest.mark.usefixtures("unchecked")
def test_bad_input_is_refused():
    with pytest.raises(ValueError, match=r"GPT or a Llama .* got a Linear"):
        fast(torch.nn.Linear(2, 2))
    quick = fast(made())
    with pytest.raises(ValueError, match=f"the id {V}; this model knows the ids 0 … {V - 1}"):
        quick.begin(torch.tensor([[V]]))
    with pytest.raises(ValueError, match="the id -1"):
        quick.step(torch.tensor([-1]), quick.begin())
    with pytest.raises(ValueError, match="1 axes"):
        quick.step(torch.tensor([[1]]), quick.begin())


# ---------------------------------------------------------------- one byte per weight


def test_rounding_is_within_half_a_unit():
    x = (
        torch.randn(7, 101, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        * 10.0 ** torch.arange(-3, 4)[:, None]
    )
    x[3] = 0
    scale, whole = rounded(x)
    assert whole.dtype == torch.int8
    assert whole.abs().amax(1).tolist() == [127, 127, 127, 0, 127, 127, 127]
    assert (scale * whole - x).abs().le(scale / 2 * (1 + 1e-9)).all()


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("rows", [1, 3])
def test_a_product_of_whole_numbers_is_the_formula(bias, rows):
    source = torch.Generator().manual_seed(2)
    weight, x = torch.randn(13, 17, generator=source), torch.randn(rows, 17, generator=source)
    b = torch.randn(13, generator=source) if bias else None
    s, r = weight.abs().amax(1) / 127, x.abs().amax(1) / 127
    whole = torch.round(x / r[:, None]).double() @ torch.round(weight / s[:, None]).double().T
    expected = (s * r[:, None]).double() * whole + (0 if b is None else b)
    torch.testing.assert_close(RoundedProduct(weight, b)(x).double(), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(Product(weight, b)(x), F.linear(x, weight, b))
    assert (RoundedProduct(weight, b)(x) - Product(weight, b)(x)).abs().max() > 1e-4


@pytest.mark.parametrize("name", ["GPT", "Llama"])
def test_one_byte_changes_little(name):
    """Close to the model's distribution, which a wrong scale or a wrong row would not be."""
    model, ids = made(name, double=False), tokens(5, 17)
    exact = model(ids).log_softmax(2)
    near = logits(fast(model, int8=True), ids, 0).log_softmax(2)
    divergence = (exact.exp() * (exact - near)).sum(2).mean().item() / math.log(2)
    spread = (exact.exp() * (exact + math.log(V))).sum(2).mean().item() / math.log(2)
    assert 0 < divergence < 0.02 * spread
    assert (exact.argmax(2) == near.argmax(2)).float().mean() > 0.9


def test_one_byte_generates():
    model = made(double=False)
    quick = FastDecoder(model, int8=True)
    found = generate(quick, [[3, 1, 4], [1]], max_new=9)
    assert [len(h.ids) for h in found] == [9, 9]
    for h, prompt in zip(found, ([3, 1, 4], [1]), strict=True):
        text = torch.tensor([[*prompt, *h.ids]])
        assert text[0, len(prompt) :].tolist() == logits(quick, text, 0)[0, len(prompt) - 1 : -1].argmax(1).tolist()
    state = quick.begin(torch.tensor([[3, 1]]))
    assert greedy(quick, state, torch.tensor([4]), end=(), max_length=9)[0].ids == found[0].ids
