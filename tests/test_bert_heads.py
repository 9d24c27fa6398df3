"""The heads and their losses: what is shared, what is tied, what does not count, and which span is the best."""

import copy
import dataclasses

import pytest
import torch
from torch.nn import functional as F

from lmcore.batches import IGNORE
from lmcore.bert import (
    Bert,
    BertClassifier,
    BertConfig,
    BertMaskedLM,
    BertPretraining,
    BertSpans,
    BertTagger,
    MaskedBatch,
    Spans,
    best_span,
    classification_loss,
    masked_loss,
    pretraining_loss,
    span_loss,
    tagging_loss,
)

V, C, H, L, M, K = 53, 21, 3, 2, 29, 7  # all different; C is a multiple of H
B, T = 5, 11
LENGTHS = torch.tensor([11, 5, 2, 7, 10])
CONFIG = BertConfig(V, dim=C, heads=H, layers=L, hidden=37, max_length=M, dropout=0.0)


@pytest.fixture
def encoder() -> Bert:
    torch.manual_seed(3)
    encoder = Bert(CONFIG)
    for parameter in encoder.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return encoder.double()


@pytest.fixture
def ids() -> torch.Tensor:
    return torch.randint(1, V, (B, T), generator=torch.Generator().manual_seed(5))


@pytest.fixture
def targets(ids) -> torch.Tensor:
    chosen = torch.rand(B, T, generator=torch.Generator().manual_seed(7)) < 0.3
    return torch.where(chosen & (torch.arange(T) < LENGTHS[:, None]), (ids + 11) % V, IGNORE)


def randn(*shape: int, seed: int = 9) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


# ---------------------------------------------------------------- heads


@pytest.mark.parametrize(
    ("make", "shapes"),
    [
        (BertMaskedLM, [(B, T, V)]),
        (BertPretraining, [(B, T, V), (B, 2)]),
        (lambda encoder: BertClassifier(encoder, K), [(B, K)]),
        (lambda encoder: BertTagger(encoder, K), [(B, T, K)]),
        (BertSpans, [(B, T), (B, T)]),
    ],
)
def test_a_head_takes_an_encoder_as_it_is_or_makes_a_fresh_one(make, shapes, encoder, ids):
    def first(out):
        return out[0] if isinstance(out, tuple) else out

    model = make(encoder).double()
    assert model.bert is encoder
    before = model(ids, LENGTHS)
    for out in (before, make(CONFIG).double()(ids, LENGTHS)):
        assert [tuple(part.shape) for part in (out if isinstance(out, tuple) else (out,))] == shapes
    with torch.no_grad():
        encoder.tokens.weight[ids[0, 3]] += 1  # what is learnt in the encoder is learnt in the model
    assert not torch.equal(first(model(ids, LENGTHS)), first(before))


def test_a_copy_of_the_encoder_stays_as_it_is_while_another_is_trained(encoder, ids):
    before = copy.deepcopy(encoder.state_dict())
    model = BertClassifier(copy.deepcopy(encoder), K).double()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    classification_loss(model(ids, LENGTHS), torch.tensor([0, 6, 3, 3, 1])).backward()
    optimizer.step()
    assert all(torch.equal(before[name], value) for name, value in encoder.state_dict().items())
    assert not torch.equal(model.bert.tokens.weight, encoder.tokens.weight)


def test_a_head_without_use_for_the_pooler_makes_no_fresh_one_and_the_others_always_do():
    without = dataclasses.replace(CONFIG, pooler=False)
    assert BertTagger(CONFIG, K).bert.pooler is BertSpans(CONFIG).bert.pooler is BertMaskedLM(without).bert.pooler is None
    assert BertClassifier(without, K).bert.pooler is not None
    assert BertPretraining(without).bert.pooler is not None


def test_the_words_are_read_off_by_the_equation_and_the_decoder_is_the_embedding(encoder, ids):
    model = BertPretraining(encoder).double()
    torch.nn.init.normal_(model.mlm.bias)
    assert len(list(model.parameters())) == len(list(encoder.parameters())) + 5 + 2  # the decoder's matrix is none of its own
    words, neighbours = model(ids, LENGTHS)
    x = encoder(ids, LENGTHS)
    z = x @ model.mlm.dense.weight.T + model.mlm.dense.bias
    hidden = z * (1 + torch.erf(z / 2**0.5)) / 2  # the exact GELU
    normed = (hidden - hidden.mean(-1, keepdim=True)) / (hidden.var(-1, correction=0, keepdim=True) + 1e-12).sqrt()
    torch.testing.assert_close(words, normed @ encoder.tokens.weight.T + model.mlm.bias)
    torch.testing.assert_close(neighbours, encoder.pooled(x) @ model.nsp.weight.T + model.nsp.bias)


def test_logits_at_some_places_are_those_of_all_there(encoder, ids, targets):
    model, places = BertPretraining(encoder).double(), targets != IGNORE
    everything, neighbours = model(ids, LENGTHS)
    some, same = model(ids, LENGTHS, places=places)
    torch.testing.assert_close(some, everything[places])
    torch.testing.assert_close(same, neighbours)
    assert model(ids, LENGTHS, places=torch.zeros_like(places))[0].shape == (0, V)


# ---------------------------------------------------------------- losses


def test_only_positions_with_a_target_count(targets):
    logits = randn(B, T, V).requires_grad_()
    loss = masked_loss(logits, targets)
    by_hand = [-logits[b, t].log_softmax(-1)[targets[b, t]] for b in range(B) for t in range(T) if targets[b, t] != IGNORE]
    torch.testing.assert_close(loss, torch.stack(by_hand).mean())
    torch.testing.assert_close(loss, tagging_loss(logits, targets))
    (gradient,) = torch.autograd.grad(loss, logits)
    assert not gradient[targets == IGNORE].any()
    assert (gradient[targets != IGNORE].abs().sum(-1) > 0).all()


def test_where_no_word_was_chosen_the_loss_is_zero_and_no_gradient_is_nan(encoder, ids):
    nothing = torch.full((B, T), IGNORE)
    assert masked_loss(randn(B, T, V), nothing) == 0
    model = BertMaskedLM(encoder).double()
    loss = pretraining_loss(model, MaskedBatch(ids, LENGTHS, torch.zeros_like(ids), nothing))
    loss.backward()
    assert loss == 0
    assert all(p.grad is None or not p.grad.any() for p in model.parameters())


def test_the_loss_of_pretraining_is_the_sum_of_both_and_asks_for_the_head_that_it_needs(encoder, ids, targets):
    model, follows = BertPretraining(encoder).double(), torch.tensor([0, 1, 1, 0, 1])
    batch = MaskedBatch(ids, LENGTHS, (torch.arange(T) > 3).long().expand(B, T), targets, follows)
    words, neighbours = model(ids, LENGTHS, batch.segments)
    expected = masked_loss(words, targets)
    torch.testing.assert_close(pretraining_loss(model, batch._replace(next=None)), expected)
    torch.testing.assert_close(pretraining_loss(model, batch), expected + F.cross_entropy(neighbours, follows))
    with pytest.raises(ValueError, match="use BertPretraining"):
        pretraining_loss(BertMaskedLM(encoder).double(), batch)


def test_padding_changes_no_loss_of_a_span_that_knows_the_lengths():
    starts, ends = torch.tensor([2, 1, 0, 3, 9]), torch.tensor([4, 4, 1, 3, 9])
    spans = Spans(randn(B, T), randn(B, T, seed=11))
    loss = span_loss(spans, starts, ends, LENGTHS)
    by_hand = [
        -(part[b, :n].log_softmax(-1)[place[b]]) / 2
        for b, n in enumerate(LENGTHS.tolist())
        for part, place in ((spans.start, starts), (spans.end, ends))
    ]
    torch.testing.assert_close(loss, torch.stack(by_hand).sum() / B)
    other = Spans(*(torch.where(torch.arange(T) < LENGTHS[:, None], part, 5.0) for part in spans))
    torch.testing.assert_close(span_loss(other, starts, ends, LENGTHS), loss)
    assert span_loss(other, starts, ends) > span_loss(spans, starts, ends)  # without lengths padding takes part


@pytest.mark.parametrize("longest", [None, 1, 3])
@pytest.mark.parametrize("placed", [False, True])
def test_the_best_span_is_the_best_of_all(longest, placed):
    for seed in range(7):
        spans = Spans(randn(B, T, seed=seed), randn(B, T, seed=seed + 100))
        places = torch.arange(T) % 5 != seed % 5 if placed else torch.ones(T, dtype=torch.bool)
        places = places.expand(B, T) & (torch.arange(T) < LENGTHS[:, None])
        for b, found in enumerate(best_span(spans, places, longest=longest).tolist()):
            every = [
                (float(spans.start[b, i] + spans.end[b, j]), [i, j])
                for i in range(T)
                for j in range(i, min(T, i + (longest or T)))
                if places[b, i] and places[b, j]
            ]
            assert found == max(every)[1]


def test_what_does_not_fit_a_loss_is_refused(encoder, unchecked):
    logits, spans = randn(B, T, V), Spans(randn(B, T), randn(B, T))
    with pytest.raises(ValueError, match=r"need one target for each of their rows, \(5, 11\); got targets of shape \(5, 3\)"):
        masked_loss(logits, torch.zeros(B, 3).long())
    with pytest.raises(ValueError, match="targets hold 53; allowed are 0 to 52, or -100"):
        masked_loss(logits, torch.full((B, T), V))
    with pytest.raises(ValueError, match="labels hold -100; allowed are 0 to 52"):
        classification_loss(logits[:, 0], torch.full((B,), IGNORE))
    with pytest.raises(ValueError, match=r"labels \(B,\); got \(5, 53\) and \(5, 1\)"):
        classification_loss(logits[:, 0], torch.zeros(B, 1).long())
    with pytest.raises(ValueError, match=r"ends=\[10, 10, 10, 10, 10\] must be one place in each text, from 0 to below \[11"):
        span_loss(spans, torch.zeros(B).long(), torch.full((B,), 10), LENGTHS)
    with pytest.raises(ValueError, match="text 2 has no place where an answer may stand"):
        best_span(spans, (torch.arange(T) < LENGTHS[:, None]) & (torch.arange(T) > 1))
    with pytest.raises(ValueError, match="they must be the same"):
        best_span(spans, torch.ones(B, 3).bool())
    with pytest.raises(ValueError, match="longest=0"):
        best_span(spans, longest=0)
    with pytest.raises(ValueError, match="encoder was made with pooler=False"):
        BertClassifier(Bert(dataclasses.replace(CONFIG, pooler=False)), K)
    with pytest.raises(ValueError, match="must be a Bert, or the BertConfig of a fresh one; got a Linear"):
        BertTagger(torch.nn.Linear(1, 1), K)
    with pytest.raises(ValueError, match=r"dropout=1\.5"):
        BertTagger(encoder, K, dropout=1.5)
    with pytest.raises(ValueError, match="classes=0"):
        BertClassifier(encoder, 0)
