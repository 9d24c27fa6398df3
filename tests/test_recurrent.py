"""Losses equal loops, a stopped run goes on with the same numbers, padding and pooling see real tokens only, models learn."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from lmcore import END, MASK, PAD, START, UNK, evaluate
from lmcore.batches import IGNORE, Lanes, Padded, Windows
from lmcore.recurrent import (
    RecurrentClassifier,
    RecurrentLM,
    TruncatedBPTT,
    as_language_model,
    next_token_loss,
    stream_cross_entropy,
)
from lmcore.rnn import detach
from lmcore.train import fit

V, C, H, B, T, K = 13, 5, 7, 3, 11, 2
CELLS = ("rnn", "lstm", "gru")
LENGTHS = torch.tensor([4, 11, 1])


def flat(state):
    return state if isinstance(state, tuple) else (state,)


# ---------------------------------------------------------------- the language model


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_the_language_model_is_look_up_steps_and_a_linear_layer(cell, fused):
    torch.manual_seed(0)
    model = RecurrentLM(V, C, H, cell=cell, layers=2, fused=fused).double()
    ids = torch.randint(V, (B, T))
    logits, state = model(ids)
    outputs, last = model.rnn(model.embedding.weight[ids])
    torch.testing.assert_close(logits, outputs @ model.output.weight.T + model.output.bias)
    for a, b in zip(flat(state), flat(last), strict=True):
        torch.testing.assert_close(a, b)
    assert model.rnn.fused is fused


@pytest.mark.parametrize("cell", CELLS)
def test_a_text_read_in_two_parts_gives_the_logits_of_the_whole(cell):
    model = RecurrentLM(V, C, H, cell=cell).double()
    ids = torch.randint(V, (B, T))
    whole, _ = model(ids)
    first, state = model(ids[:, :4])
    torch.testing.assert_close(torch.cat([first, model(ids[:, 4:], state)[0]], dim=1), whole)


def test_lengths_change_the_state_and_no_logit_of_a_real_token():
    model = RecurrentLM(V, C, H, cell="lstm").double()
    ids = torch.randint(V, (B, T))
    whole, _ = model(ids)
    logits, state = model(ids, None, LENGTHS)
    for b, length in enumerate(LENGTHS.tolist()):
        torch.testing.assert_close(logits[b, :length], whole[b, :length])
        for a, s in zip(state, model(ids[b : b + 1, :length])[1], strict=True):
            torch.testing.assert_close(a[:, b], s[:, 0])


def test_a_tied_model_has_one_matrix_and_the_gradient_of_both_uses():
    tied, loose = RecurrentLM(V, H, H, tie=True).double(), RecurrentLM(V, H, H).double()
    assert sum(p.numel() for p in loose.parameters()) - sum(p.numel() for p in tied.parameters()) == V * H
    loose.load_state_dict(tied.state_dict())
    batch = torch.randint(V, (B, T)), torch.randint(V, (B, T))
    for model in (tied, loose):
        next_token_loss(model, batch).backward()
    torch.testing.assert_close(tied.embedding.weight.grad, loose.embedding.weight.grad + loose.output.weight.grad)


def test_dropout_is_drawn_before_between_and_after_the_layers_in_training_only():
    torch.manual_seed(0)
    model = RecurrentLM(V, C, H, layers=2, dropout=0.5, fused=False)
    ids = torch.randint(V, (B, T))
    calls = []
    original = F.dropout
    try:
        F.dropout = lambda x, p, training, *rest: calls.append((tuple(x.shape[-1:]), p, training)) or x
        model.train()(ids)
        model.eval()(ids)
    finally:
        F.dropout = original
    assert calls == [((n,), 0.5, training) for training in (True, False) for n in (C, H, H)]


def test_the_loss_is_the_mean_over_real_targets_whatever_the_padding_holds():
    torch.manual_seed(1)
    model = RecurrentLM(V, C, H, cell="gru").double()
    texts = [[3, 4, 5], [6], [], [7, 8, 9, 10, 11]]
    (batch,) = Padded(texts, 4, pad=0, start=1, end=2, epochs=1)
    total, count = 0.0, 0
    for text in texts:
        inputs = torch.tensor([[1, *text]])
        log_q = model(inputs)[0][0].log_softmax(-1).detach()
        total -= sum(float(log_q[t, w]) for t, w in enumerate([*text, 2]))
        count += len(text) + 1
    assert next_token_loss(model, batch).item() == pytest.approx(total / count)
    every = F.cross_entropy(model(batch.inputs)[0].flatten(0, 1), batch.targets.flatten(), ignore_index=IGNORE)
    expected = torch.autograd.grad(every, list(model.parameters()))
    for p, q in zip(torch.autograd.grad(next_token_loss(model, batch), list(model.parameters())), expected, strict=True):
        torch.testing.assert_close(p, q)
    filled = batch._replace(inputs=torch.where(batch.mask, batch.inputs, 12))
    assert next_token_loss(model, filled).item() == pytest.approx(total / count)
    (window,) = Windows(range(10), 9, 1, shuffle=False, epochs=1)
    expected = F.cross_entropy(model(window[0])[0][0], window[1][0])
    assert next_token_loss(model, window).item() == pytest.approx(expected.item())


@pytest.mark.parametrize("cell", CELLS)
def test_it_learns_a_dependency_longer_than_any_short_context(cell):
    """Texts are x, a coin's outcome three times, and x again: who remembers x pays three bits and those of one choice of x."""
    rng = np.random.default_rng(0)
    vocabulary = (PAD, START, END, "a", "b", "c", "heads", "tails")
    texts = [[x, *rng.integers(6, 8, 3).tolist(), x] for x in rng.integers(3, 6, 600).tolist()]
    torch.manual_seed(1)
    model = RecurrentLM(len(vocabulary), 8, 16, cell=cell)
    source = Padded(texts, 32, pad=0, start=1, end=2)
    list(fit(model, source, next_token_loss, steps=200, lr=0.03, schedule="linear", seed=0))
    spelled = [[vocabulary[i] for i in text] for text in texts]
    floor = (math.log2(3) + 3) / 6
    assert evaluate.bits(evaluate.cross_entropy(as_language_model(model, vocabulary), spelled)) == pytest.approx(
        floor, abs=0.03
    )


# ---------------------------------------------------------------- as a language model over whole texts


@pytest.fixture(params=CELLS)
def small(request):
    torch.manual_seed(2)
    vocabulary = (PAD, START, "x", END, MASK, "y", UNK, "z")
    return RecurrentLM(len(vocabulary), C, H, cell=request.param), vocabulary


def test_probabilities_of_all_texts_of_a_language_sum_to_one(small):
    model = as_language_model(*small)
    words = ("x", "y", "z", UNK)
    ended = sum(math.exp(model.log_prob(text)) for n in range(3) for text in itertools.product(words, repeat=n))
    at_least_three = sum(math.exp(model.log_probs(text)[:-1].sum()) for text in itertools.product(words, repeat=3))
    assert ended + at_least_three == pytest.approx(1)


def test_log_probs_are_the_next_distributions_one_after_the_other(small):
    model = as_language_model(*small)
    text = "x y z z strange x"
    known = text.replace("strange", UNK).split()
    steps = [model.next_distribution(known[:i]) for i in range(len(known) + 1)]
    assert model.log_probs(text) == pytest.approx(
        [math.log(p[word]) for p, word in zip(steps, [*known, END], strict=True)], abs=1e-6
    )
    assert model.log_prob(text.split()) == pytest.approx(model.log_probs(text).sum())
    for p in steps:
        assert set(p) == {"x", "y", "z", UNK, END}
        assert sum(p.values()) == pytest.approx(1)


def test_the_first_word_is_never_forgotten(small):
    model = as_language_model(*small)
    assert model.next_distribution("x z z z z") != model.next_distribution("y z z z z")


def test_the_training_loss_of_a_batch_is_the_cross_entropy_of_its_texts():
    vocabulary = (PAD, START, END, "x", "y", "z")
    model = RecurrentLM(6, C, H, cell="lstm").double()
    with torch.no_grad():
        model.output.bias[:2] = -1e4  # what cannot follow has no probability in training either
    (batch,) = Padded([[3, 4], [5], [3, 3, 5]], 3, pad=0, start=1, end=2, epochs=1)
    found = evaluate.cross_entropy(as_language_model(model, vocabulary), ["x y", "z", "x x z"])
    assert next_token_loss(model, batch).item() == pytest.approx(found)


# ---------------------------------------------------------------- truncated backpropagation through time


@pytest.mark.parametrize("cell", CELLS)
def test_truncated_bptt_is_the_loop_that_carries_numbers_and_cuts_the_graph(cell):
    torch.manual_seed(0)
    stream = torch.randint(V, (2 * 10 + 1,)).tolist()
    model = RecurrentLM(V, C, H, cell=cell).double()
    source = TruncatedBPTT(Lanes(stream, 4, 2, shuffle=False, epochs=2))
    lanes = torch.tensor([stream[:11], stream[10:]])  # inputs and targets overlap by one
    for _ in range(2):  # the second pass begins at zero again
        state = None
        for start in (0, 4, 8):
            model.zero_grad()
            loss = source.loss(model, next(source))
            loss.backward()
            found = [p.grad.clone() for p in model.parameters()]
            model.zero_grad()
            stop = min(start + 4, 10)
            logits, state = model(lanes[:, start:stop], state)
            expected = F.cross_entropy(logits.flatten(0, 1), lanes[:, start + 1 : stop + 1].flatten())
            expected.backward()
            state = detach(state)
            assert loss.item() == pytest.approx(expected.item())
            for a, p in zip(found, model.parameters(), strict=True):
                torch.testing.assert_close(a, p.grad)
    with pytest.raises(StopIteration):
        next(source)


def test_carrying_the_state_gives_the_logits_of_the_whole_stream():
    """What is cut is the gradient. Going forwards, pieces with a carried state are the stream in one go."""
    stream = torch.randint(V, (30,)).tolist()
    model = RecurrentLM(V, C, H, cell="lstm").double().eval()
    whole = F.cross_entropy(model(torch.tensor([stream[:-1]]))[0][0], torch.tensor(stream[1:]), reduction="sum")
    source = TruncatedBPTT(Lanes(stream, 7, 1, shuffle=False, epochs=1))
    parts = sum(source.loss(model, batch) * (batch.targets != IGNORE).sum() for batch in source)
    assert parts.item() == pytest.approx(whole.item())


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("cell", CELLS)
def test_an_interrupted_run_goes_on_with_the_very_numbers(cell, accumulate, tmp_path):
    stream = np.random.default_rng(0).integers(V, size=400)

    def run(path, stop=None):
        torch.manual_seed(3)
        model = RecurrentLM(V, C, H, cell=cell, layers=2, dropout=0.2)
        source = TruncatedBPTT(Lanes(stream, 9, 4, seed=5))
        how = {"steps": 30, "lr": 0.01, "schedule": "linear", "seed": 1, "checkpoint": path, "save_every": 6}
        steps = fit(model, source, source.loss, accumulate=accumulate, **how)
        losses = [(s.step, s.loss) for s in (itertools.islice(steps, stop) if stop else steps)]
        steps.close()
        return losses, model.state_dict(), source.state_dict()

    straight, weights, end = run(tmp_path / "straight")
    torch.manual_seed(99)
    broken, *_ = run(tmp_path / "broken", stop=20)  # 18 steps are saved, two are lost
    resumed, found, stopped = run(tmp_path / "broken")
    assert broken == straight[:20]
    assert resumed == straight[18:]
    assert all(torch.equal(weights[name], found[name]) for name in weights)
    assert end["lanes"] == stopped["lanes"]
    for a, b in zip(flat(end["state"]), flat(stopped["state"]), strict=True):
        assert torch.equal(a, b)
        assert a.abs().max() > 0


def test_the_first_piece_of_a_pass_remembers_nothing_even_after_a_resumed_one():
    stream = [*range(12), 0]
    model = RecurrentLM(V, C, H)
    source = TruncatedBPTT(Lanes(stream, 6, 1, shuffle=False))
    for _ in range(2):
        source.loss(model, next(source))
    again = TruncatedBPTT(Lanes(stream, 6, 1, shuffle=False))
    again.load_state_dict(source.state_dict())
    assert again.state is not None
    batch = next(again)
    assert batch.first
    assert again.state is None
    torch.testing.assert_close(again.loss(model, batch), next_token_loss(model, batch))


# ---------------------------------------------------------------- the classifier


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("pool", ["last", "mean", "max"])
@pytest.mark.parametrize("cell", CELLS)
def test_a_padded_text_is_classified_as_it_is_alone(cell, pool, bidirectional, fused):
    torch.manual_seed(0)
    model = RecurrentClassifier(V, C, H, K, cell=cell, layers=2, bidirectional=bidirectional, pool=pool, fused=fused).double()
    ids = torch.randint(V, (B, T))
    logits = model(ids, LENGTHS)
    for b, length in enumerate(LENGTHS.tolist()):
        torch.testing.assert_close(logits[b : b + 1], model(ids[b : b + 1, :length]))
    changed = torch.where(torch.arange(T) < LENGTHS[:, None], ids, (ids + 1) % V)
    torch.testing.assert_close(model(changed, LENGTHS), logits)


@pytest.mark.parametrize("pool", ["last", "mean", "max"])
def test_pooling_is_what_it_says(pool):
    model = RecurrentClassifier(V, C, H, K, cell="gru", bidirectional=True, pool=pool).double()
    ids = torch.randint(V, (1, T))
    outputs, _ = model.rnn(model.embedding(ids))
    pooled = {
        "last": torch.cat([outputs[0, -1, :H], outputs[0, 0, H:]]),
        "mean": outputs[0].mean(0),
        "max": outputs[0].max(0).values,
    }[pool]
    torch.testing.assert_close(model(ids)[0], model.output(pooled))


@pytest.mark.parametrize("bidirectional", [False, True])
def test_it_learns_which_of_two_tokens_came_first(bidirectional):
    """Order is all there is: both classes have the same tokens."""
    rng = np.random.default_rng(0)
    rows = [rng.permutation([1, 2, 3, 3, 3, 3])[:6] for _ in range(256)]
    ids = torch.tensor(np.stack(rows))
    labels = torch.tensor([int(row.tolist().index(1) < row.tolist().index(2)) for row in rows])
    torch.manual_seed(0)
    model = RecurrentClassifier(4, 8, 16, 2, cell="gru", bidirectional=bidirectional)
    batches = itertools.repeat((ids, labels))
    list(fit(model, batches, lambda m, b: F.cross_entropy(m(b[0]), b[1]), steps=100, lr=0.02, seed=0))
    assert (model.eval()(ids).argmax(1) == labels).float().mean() > 0.98


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RecurrentLM(V, C, H, cell="elman"), "'elman'.*rnn, lstm, gru"),
        (lambda: RecurrentLM(V, C, H, tie=True), "hidden=7, dim=5"),
        (lambda: RecurrentLM(V, C, 0), "hidden=0"),
        (lambda: RecurrentLM(V, C, H, dropout=1.5), "dropout=1.5"),
        (lambda: RecurrentLM(V, C, H)(torch.full((B, T), V)), "id 13"),
        (lambda: RecurrentClassifier(V, C, H, 0), "classes=0"),
        (lambda: RecurrentClassifier(V, C, H, K, pool="sum"), "'sum'.*last, mean, max"),
        (lambda: RecurrentClassifier(V, C, H, K)(torch.zeros(B, T, dtype=torch.long), torch.tensor([1, 2, 12])), "1 to 11"),
        (lambda: as_language_model(RecurrentLM(3, C, H), (START, END)), "knows 3 words"),
        (lambda: as_language_model(RecurrentLM(3, C, H), (START, END, "a")).log_probs("b"), "'b' is not a word"),
    ],
)
def test_bad_input_is_refused_with_what_was_given(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_what_is_no_model_or_no_lanes_is_refused(unchecked):
    with pytest.raises(ValueError, match="RecurrentLM; got a str"):
        as_language_model("model", (START, END))
    with pytest.raises(ValueError, match=r"Lanes.*got a list"):
        TruncatedBPTT([1, 2])


# ---------------------------------------------------------------- a long stream


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("length", [1, 5, 512])
def test_a_stream_is_scored_in_one_go_however_it_is_cut(cell, length):
    torch.manual_seed(3)
    model = RecurrentLM(V, C, H, cell=cell, layers=2, dropout=0.5).double()
    ids = torch.randint(V, (23,))
    logits, _ = model.eval()(ids[None, :-1])
    expected = F.cross_entropy(logits[0], ids[1:]).item()
    assert math.isclose(stream_cross_entropy(model.train(), ids, length), expected, rel_tol=1e-12)
