"""Encoder–decoder: equal to a plain loop, blind to padding and to the future, fast and slow decoding alike, able to learn."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lmcore.batches import IGNORE
from lmcore.generate import beam, greedy
from lmcore.pairs import PairBatch, Pairs, reversed_within
from lmcore.seq2seq import Seq2Seq, target_log_probs, translate, translation_loss
from lmcore.train import fit

VS, VT, C, H, B, S, T = 19, 23, 5, 7, 3, 11, 13
PAD, START, END = 0, 1, 2
LENGTHS = (11, 4, 1)

SHAPES = {
    "lstm": {},
    "gru": {"cell": "gru"},
    "rnn": {"cell": "rnn"},
    "two layers": {"layers": 2},
    "reversed": {"reverse": True},
    "both directions": {"bidirectional": True, "layers": 2},
    "narrow": {"context": 3},
    "attention": {"attention": True},
    "attention, reversed": {"attention": True, "reverse": True, "cell": "gru"},
    "attention, both directions": {"attention": True, "bidirectional": True, "layers": 2},
}


def make(**how) -> Seq2Seq:
    torch.manual_seed(0)
    return Seq2Seq(VS, VT, C, H, **how).double()


@pytest.fixture(params=SHAPES)
def model(request):
    return make(**SHAPES[request.param])


@pytest.fixture(params=[name for name in SHAPES if "attention" in name])
def attentive(request):
    return make(**SHAPES[request.param])


def some_batch(seed: int = 1) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    sources = torch.randint(3, VS, (B, S), generator=generator)
    lengths = torch.tensor(LENGTHS)
    sources[torch.arange(S) >= lengths[:, None]] = PAD
    inputs = torch.randint(3, VT, (B, T), generator=generator)
    inputs[:, 0] = START
    return sources, lengths, inputs


# ---------------------------------------------------------------- the pairs


def words(rng, n, low, vocabulary):
    return [rng.integers(3, vocabulary, size=rng.integers(low, 17)).tolist() for _ in range(n)]


@pytest.fixture
def corpus():
    rng = np.random.default_rng(5)
    return list(zip(words(rng, 101, 1, VS), words(rng, 101, 0, VT), strict=True))


@pytest.mark.parametrize("pool", [1, 3])
def test_every_pair_comes_once_per_epoch_with_its_own_translation(corpus, pool):
    source = Pairs(corpus, 7, pad=PAD, start=START, end=END, pool=pool, epochs=1, seed=3)
    seen = []
    for batch in source:
        for row, length, inputs, targets in zip(*batch, strict=True):
            n = int((targets != IGNORE).sum())
            assert (row[length:] == PAD).all()
            assert (inputs[n:] == PAD).all()
            assert (targets[n:] == IGNORE).all()
            assert inputs[0] == START
            assert targets[n - 1] == END
            assert torch.equal(inputs[1:n], targets[: n - 1])  # what was said is what is read next
            seen.append((row[:length].tolist(), targets[: n - 1].tolist()))
        assert batch.sources.shape[1] == batch.lengths.max()
        assert torch.equal(batch.mask.any(0), torch.ones(batch.inputs.shape[1], dtype=torch.bool))
    assert sorted(seen) == sorted(corpus)


def test_a_pool_saves_padding_and_only_the_last_batch_is_short(corpus):
    padding, sizes = {}, {}
    for pool in (1, 5):
        batches = list(Pairs(corpus, 7, pad=PAD, start=START, end=END, pool=pool, epochs=1))
        padding[pool] = sum(int((~batch.mask).sum()) for batch in batches)
        sizes[pool] = [len(batch.lengths) for batch in batches]
    assert padding[5] < padding[1] / 3
    assert sizes[1] == sizes[5] == [7] * 14 + [3]
    first = [next(Pairs(corpus, 7, pad=PAD, start=START, end=END, pool=5, seed=seed)).inputs.shape[1] for seed in range(30)]
    assert len(set(first)) > 5  # short and long batches come in random order


def test_an_interrupted_stream_of_pairs_goes_on_where_it_was(corpus):
    def fresh():
        return Pairs(corpus, 7, pad=PAD, start=START, end=END, pool=2, seed=4)

    whole, part = fresh(), fresh()
    for _ in range(20):
        expected = next(whole)
        next(part)
    again = fresh()
    again.load_state_dict(part.state_dict())
    for _ in range(20):
        for ours, theirs in zip(next(again), next(whole), strict=True):
            assert torch.equal(ours, theirs)
    assert isinstance(expected, PairBatch)


def test_reversing_within_the_length_leaves_the_padding_where_it_is():
    ids, lengths = torch.arange(1, 13).reshape(3, 4), torch.tensor([4, 1, 3])
    assert reversed_within(ids, lengths).tolist() == [[4, 3, 2, 1], [5, 6, 7, 8], [11, 10, 9, 12]]
    vectors = torch.randn(3, 4, 2)
    assert torch.equal(reversed_within(reversed_within(vectors, lengths), lengths), vectors)
    assert torch.equal(reversed_within(vectors, lengths)[2, 0], vectors[2, 2])


# ---------------------------------------------------------------- the model against a plain loop


def by_hand(model: Seq2Seq, source: list[int], inputs: list[int]) -> tuple[torch.Tensor, torch.Tensor | None]:
    """One layer, one direction, one text: torch's cells, one word at a time, and the equations of the paper."""
    encoder, decoder = model.encoder, model.decoder
    make_cell = {"LSTM": nn.LSTMCell, "GRU": nn.GRUCell, "RNN": nn.RNNCell}[type(encoder.rnn).__name__]

    def cell_of(stack):
        cell = make_cell(stack.input_size, stack.hidden_size).double()
        cell.load_state_dict({name.removesuffix("_l0"): value for name, value in stack.state_dict().items()})
        return cell

    read, write = cell_of(encoder.rnn), cell_of(decoder.rnn)
    state, states = None, {}
    order = range(len(source))
    for j in reversed(order) if encoder.reverse else order:
        state = read(encoder.embedding.weight[source[j]], state)
        states[j] = state[0] if isinstance(state, tuple) else state
    memory = torch.stack([states[j] for j in order])
    logits, weights = [], []
    for token in inputs:
        x = decoder.embedding.weight[token]
        if decoder.attention is None:
            state = write(x, state)
            logits.append(decoder.output(state[0] if isinstance(state, tuple) else state))
            continue
        asking = state[0] if isinstance(state, tuple) else state
        a = decoder.attention
        e = torch.stack([a.score.weight[0] @ torch.tanh(a.query.weight @ asking + a.key.weight @ h) for h in memory])
        weight = e.exp() / e.exp().sum()
        context = sum(w * h for w, h in zip(weight, memory, strict=True))
        state = write(torch.cat([x, context]), state)
        s = state[0] if isinstance(state, tuple) else state
        logits.append(decoder.output(torch.tanh(decoder.combine(torch.cat([s, context])))))
        weights.append(weight)
    return torch.stack(logits), torch.stack(weights) if weights else None


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("shape", ["lstm", "gru", "rnn", "reversed", "attention", "attention, reversed"])
def test_the_model_is_the_loop_over_single_texts(shape, fused):
    model = make(**SHAPES[shape], fused=fused)
    sources, lengths, inputs = some_batch()
    logits = model(sources, lengths, inputs)
    for b in range(B):
        expected, weights = by_hand(model, sources[b, : lengths[b]].tolist(), inputs[b].tolist())
        torch.testing.assert_close(logits[b], expected)
        if weights is not None:
            torch.testing.assert_close(model.align(sources, lengths, inputs)[b, :, : lengths[b]], weights)


def test_without_attention_only_the_context_passes():
    """Two sources with one context would have one translation: the decoder gets the context and nothing else."""
    model = make(context=3)
    sources, lengths, inputs = some_batch()
    other = some_batch(seed=8)[0]
    narrow = model.bridge[0](model.context(sources, lengths))
    assert narrow.shape == (B, 3)
    known = model.begin(other, torch.tensor([S] * B), squeeze=lambda _: model.context(sources, lengths))
    torch.testing.assert_close(model.decoder(inputs, known)[0], model(sources, lengths, inputs))


def test_the_context_is_the_encoders_last_state_and_is_handed_over_as_it_is():
    model = make(layers=2)
    sources, lengths, _ = some_batch()
    context = model.context(sources, lengths)
    h, c = model.encoder(sources, lengths)[1]
    assert torch.equal(context, torch.cat([h[0], h[1], c[0], c[1]], dim=1))
    state = model.begin(sources, lengths).state
    assert torch.equal(state[0], h)
    assert torch.equal(state[1], c)
    halved = model.begin(sources, lengths, squeeze=lambda x: x / 2).state
    assert torch.equal(halved[1], c / 2)


# ---------------------------------------------------------------- padding


def test_padding_changes_no_logit_no_weight_and_no_gradient(model):
    sources, lengths, inputs = some_batch()
    together = model(sources, lengths, inputs)
    (together[1, :5] ** 2).sum().backward()
    padded = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    alone = model(sources[1:2, : LENGTHS[1]], lengths[1:2], inputs[1:2, :5])
    (alone**2).sum().backward()
    torch.testing.assert_close(together[1:2, :5], alone)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, padded[name], msg=name)


def test_what_the_padding_holds_does_not_matter(model):
    sources, lengths, inputs = some_batch()
    other = torch.where(torch.arange(S) < lengths[:, None], sources, 17)
    assert torch.equal(model(sources, lengths, inputs), model(other, lengths, inputs))


def test_attention_never_looks_at_padding_and_its_weights_sum_to_one(attentive):
    sources, lengths, inputs = some_batch()
    weights = attentive.align(sources, lengths, inputs)
    assert weights.shape == (B, T, S)
    beyond = torch.arange(S) >= lengths[:, None]
    assert (weights.masked_select(beyond[:, None]) == 0).all()
    torch.testing.assert_close(weights.sum(-1), torch.ones(B, T, dtype=torch.double))


def test_columns_of_the_alignment_belong_to_the_words_however_they_are_read():
    """A word that the attention is made to love gets its weight at its own place, reversed or not."""
    for reverse in (False, True):
        model = make(attention=True, reverse=reverse)
        sources, lengths, inputs = some_batch()
        plain = model.align(sources, lengths, inputs)
        known = model.begin(sources, lengths)
        known.memory[0, 3] += 100  # the state at word 3 of text 0
        known = known._replace(projected=model.decoder.attention.project(known.memory))
        moved = model.decoder(inputs, known)[1]
        change = (moved - plain).abs().mean(1)[0]
        assert change.argmax() == 3
        single = model.encoder(sources[:1], lengths[:1])[0]
        step = model.encoder.rnn(model.encoder.embedding(sources[:1].flip(1) if reverse else sources[:1]))[0][0]
        torch.testing.assert_close(single[0, 3], step[S - 1 - 3 if reverse else 3])


# ---------------------------------------------------------------- causality


def test_no_logit_depends_on_a_later_word_of_the_translation(model):
    sources, lengths, inputs = some_batch()
    vectors = model.decoder.embedding(inputs).detach().requires_grad_()
    handle = model.decoder.embedding.register_forward_hook(lambda *_: vectors)
    logits = model(sources, lengths, inputs)
    handle.remove()
    for t in (0, 4, T - 1):
        (gradient,) = torch.autograd.grad(logits[:, t].square().sum(), vectors, retain_graph=True)
        assert (gradient[:, t + 1 :] == 0).all()
        assert (gradient[:, : t + 1].abs().sum(-1) > 0).all()  # and on all the words before it


def test_every_logit_depends_on_every_word_of_the_source(model):
    sources, lengths, inputs = some_batch()
    vectors = model.encoder.embedding(sources).detach().requires_grad_()
    handle = model.encoder.embedding.register_forward_hook(lambda *_: vectors)
    logits = model(sources, lengths, inputs)
    handle.remove()
    (gradient,) = torch.autograd.grad(logits[:, 0].square().sum(), vectors)
    real = torch.arange(S) < lengths[:, None]
    assert (gradient.abs().sum(-1)[real] > 0).all()
    assert (gradient.abs().sum(-1)[~real] == 0).all()


# ---------------------------------------------------------------- losses


def test_the_loss_is_the_mean_over_target_tokens_and_not_over_places(corpus):
    model = make()
    batch = next(Pairs(corpus, 7, pad=PAD, start=START, end=END))
    total, count = 0.0, 0
    for b in range(7):
        n = int(batch.mask[b].sum())
        logits = model(batch.sources[b : b + 1, : batch.lengths[b]], batch.lengths[b : b + 1], batch.inputs[b : b + 1, :n])
        total += F.cross_entropy(logits[0], batch.targets[b, :n], reduction="sum").item()
        count += n
    assert translation_loss(model, batch).item() == pytest.approx(total / count)
    log_probs = target_log_probs(model, batch)
    assert -log_probs.sum().item() / count == pytest.approx(total / count)
    assert (log_probs[~batch.mask] == 0).all()


def test_targets_beyond_the_end_receive_no_gradient(corpus):
    model = make(attention=True)
    batch = next(Pairs(corpus, 7, pad=PAD, start=START, end=END))
    logits = model(batch.sources, batch.lengths, batch.inputs)
    logits.retain_grad()
    F.cross_entropy(logits.flatten(0, 1), batch.targets.flatten(), ignore_index=IGNORE).backward()
    assert (logits.grad[~batch.mask] == 0).all()
    assert (logits.grad[batch.mask].abs().sum(-1) > 0).all()


@pytest.mark.parametrize("epsilon", [0.0, 0.1, 0.37, 1.0])
def test_label_smoothing_asks_for_a_mixture_with_the_uniform_distribution(corpus, epsilon):
    model = make().double()
    batch = next(Pairs(corpus, 7, pad=PAD, start=START, end=END))
    logits = model(batch.sources, batch.lengths, batch.inputs)
    asked = (1 - epsilon) * F.one_hot(batch.targets[batch.mask], VT) + epsilon / VT
    by_hand = -(asked * logits[batch.mask].log_softmax(-1)).sum(-1).mean()
    ours = translation_loss(model, batch, label_smoothing=epsilon)
    torch.testing.assert_close(ours, by_hand)
    wanted = torch.autograd.grad(by_hand, list(model.parameters()))
    for got, expected in zip(torch.autograd.grad(ours, list(model.parameters())), wanted, strict=True):
        torch.testing.assert_close(got, expected)


def test_a_smoothed_loss_ignores_padding(corpus):
    model = make()
    batch = next(Pairs(corpus, 7, pad=PAD, start=START, end=END))
    longer = batch._replace(inputs=F.pad(batch.inputs, (0, 5), value=PAD), targets=F.pad(batch.targets, (0, 5), value=IGNORE))
    how = {"label_smoothing": 0.2}
    torch.testing.assert_close(translation_loss(model, longer, **how), translation_loss(model, batch, **how))


# ---------------------------------------------------------------- decoding


def test_step_by_step_is_the_same_as_all_at_once(model):
    sources, lengths, inputs = some_batch()
    expected = model(sources, lengths, inputs)
    state = model.begin(sources, lengths)
    for t in range(T):
        logits, state = model.step(inputs[:, t], state)
        torch.testing.assert_close(logits, expected[:, t])


def test_selected_rows_go_on_as_they_would_have(model):
    sources, lengths, inputs = some_batch()
    expected = model(sources, lengths, inputs)
    state = model.begin(sources, lengths)
    for t in range(3):
        _, state = model.step(inputs[:, t], state)
    rows = torch.tensor([2, 0, 2])
    logits, _ = model.step(inputs[rows, 3], model.select(state, rows))
    torch.testing.assert_close(logits, expected[rows, 3])


@pytest.mark.parametrize("width", [1, 3])
def test_a_translation_does_not_depend_on_its_batch(model, width):
    rng = np.random.default_rng(7)
    sources = words(rng, 9, 1, VS)
    how = {"start": START, "end": END, "never": (PAD,), "width": width}
    together = translate(model, sources, **how, batch_size=4)
    for source, found in zip(sources, together, strict=True):
        (alone,) = translate(model, [source], **how)
        assert alone.ids == found.ids
        assert alone.log_prob == pytest.approx(found.log_prob)
        assert not {PAD, START, END} & set(found.ids)
        assert len(found.ids) + found.ended <= 2 * len(source) + 10


def test_translating_is_searching_from_the_beginning_of_a_text(model):
    source = [5, 3, 8, 4]
    known = model.begin(torch.tensor([source]), torch.tensor([4]))
    how = {"end": END, "max_length": 6, "never": (START,)}
    with torch.no_grad():
        plain = greedy(model, known, torch.tensor([START]), **how)
        wide = beam(model, known, torch.tensor([START]), width=4, alpha=0.5, **how)
    assert translate(model, [source], start=START, end=END, max_length=6) == plain
    assert translate(model, [source], start=START, end=END, max_length=6, width=4, alpha=0.5) == [wide[0][0]]


def test_a_hypothesis_has_the_probability_that_teacher_forcing_gives_it(model):
    rng = np.random.default_rng(7)
    sources = words(rng, 7, 1, VS)
    for source, found in zip(sources, translate(model, sources, start=START, end=END, width=3, max_length=9), strict=True):
        inputs, targets = torch.tensor([[START, *found.ids]]), [*found.ids, END]
        logits = model(torch.tensor([source]), torch.tensor([len(source)]), inputs)[0]
        logits[:, START] = -math.inf
        steps = logits.log_softmax(-1)[range(len(targets)), targets]
        assert found.log_prob == pytest.approx(float((steps if found.ended else steps[:-1]).sum().detach()))


def test_nothing_is_dropped_when_it_translates_or_is_scored(corpus):
    torch.manual_seed(0)
    model = Seq2Seq(VS, VT, C, H, dropout=0.5).train()
    sources = [source for source, _ in corpus[:5]]
    assert translate(model, sources, start=START, end=END) == translate(model.train(), sources, start=START, end=END)
    batch = next(Pairs(corpus, 7, pad=PAD, start=START, end=END))
    assert torch.equal(target_log_probs(model.train(), batch), target_log_probs(model.train(), batch))
    losses = {translation_loss(model.train(), batch).item() for _ in range(3)}
    assert len(losses) == 3  # in training something is


# ---------------------------------------------------------------- learning


@pytest.mark.parametrize("how", [{"reverse": True}, {"attention": True, "cell": "gru"}])
def test_it_learns_to_say_a_text_backwards(how):
    """With attention the alignment is the one that is known: word t of the copy is word n − t of the text."""
    rng = np.random.default_rng(0)
    texts = [rng.integers(3, 9, size=rng.integers(1, 5)).tolist() for _ in range(400)]
    source = Pairs([(text, text[::-1]) for text in texts], 50, pad=PAD, start=START, end=END)
    torch.manual_seed(1)
    model = Seq2Seq(9, 9, 8, 24, **how)
    steps = list(fit(model, source, translation_loss, steps=250, lr=0.03, schedule="linear", seed=0, every=50))
    assert steps[-1].loss < 0.1 < steps[0].loss
    found = translate(model, texts[:100], start=START, end=END, never=(PAD,))
    assert np.mean([hypothesis.ids == tuple(text[::-1]) for hypothesis, text in zip(found, texts, strict=False)]) > 0.9
    if "attention" in how:
        ids = torch.tensor([[3, 8, 5, 6]])
        weights = model.align(ids, torch.tensor([4]), torch.tensor([[START, 6, 5, 8]]))[0]
        assert weights.argmax(1).tolist() == [3, 2, 1, 0]


# ---------------------------------------------------------------- bad input


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: Seq2Seq(0, VT, C, H), "source_vocab=0"),
        (lambda m: Seq2Seq(VS, VT, C, H, cell="tcn"), "'tcn'"),
        (lambda m: Seq2Seq(VS, VT, C, H, context=0), "context=0"),
        (lambda m: Seq2Seq(VS, VT, C, H, dropout=1.5), "dropout"),
        (lambda m: m(torch.full((1, 2), VS), torch.tensor([2]), torch.tensor([[1]])), "id 19"),
        (lambda m: m(torch.ones(1, 2).long(), torch.tensor([2]), torch.full((1, 2), VT)), "id 23"),
        (lambda m: m(torch.ones(2, 2).long(), torch.tensor([2, 2]), torch.tensor([[1]])), "1 rows for 2 sources"),
        (lambda m: m(torch.ones(1, 2).long(), torch.tensor([3]), torch.tensor([[1]])), "3"),
        (lambda m: m(torch.ones(1, 2).long(), torch.tensor([0]), torch.tensor([[1]])), "0"),
        (lambda m: m.align(torch.ones(1, 2).long(), torch.tensor([2]), torch.tensor([[1]])), "attention=True"),
        (lambda m: translate(m, [[3], []], start=1, end=2), "text 1 is empty"),
        (lambda m: translate(m, "ab", start=1, end=2), "not strings"),
        (lambda m: translate(m, [[3]], start=1, end=2, width=0), "width=0"),
        (lambda m: translate(m, [[3]], start=1, end=2, max_length=0), "max_length=0"),
        (lambda m: translation_loss(m, None, label_smoothing=1.1), "label_smoothing=1.1"),
        (lambda m: translation_loss(m, None, label_smoothing="0.1"), "from 0 to 1"),
        (lambda m: Pairs([], 2, pad=0, start=1, end=2), "empty"),
        (lambda m: Pairs([([3], [4]), ([], [4])], 2, pad=0, start=1, end=2), "source of pair 1 is empty"),
        (lambda m: Pairs([([3], [4], [5])], 2, pad=0, start=1, end=2), "pair 0"),
        (lambda m: Pairs([([3], [4])], 2, pad=0, start=1, end=2, pool=0), "pool=0"),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(make())
