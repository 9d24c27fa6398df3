"""A soft look-up equals its loops, becomes a hard one in the limit, and never looks where the mask forbids it."""

import math

import pytest
import torch
from torch.nn import functional as F

from lmcore.attention import AdditiveAttention, look_up, masked_softmax

B, T, S, D, E, A = 3, 5, 7, 2, 11, 13


def random(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def some_mask(*shape: int, seed: int = 3) -> torch.Tensor:
    """A mask that leaves every query a key."""
    mask = random(*shape, seed=seed) > 0.3
    mask[..., 1] = True
    return mask


# ---------------------------------------------------------------- masked softmax


def test_weights_are_exponentials_over_the_sum_of_the_allowed_ones():
    scores, mask = random(B, T, S) * 4, some_mask(B, T, S)
    weights = masked_softmax(scores, mask)
    for b in range(B):
        for t in range(T):
            allowed = [math.exp(scores[b, t, s]) if mask[b, t, s] else 0.0 for s in range(S)]
            assert weights[b, t].tolist() == pytest.approx([x / sum(allowed) for x in allowed])
    assert (weights[~mask] == 0).all()
    torch.testing.assert_close(weights.sum(-1), torch.ones(B, T, dtype=torch.double))
    assert torch.equal(masked_softmax(scores), scores.softmax(-1))


@pytest.mark.parametrize("shape", [(B, 1, S), (T, S), (1, S), (S,), (B, T, S)])
def test_a_mask_broadcasts_over_texts_and_queries(shape):
    scores, mask = random(B, T, S), some_mask(*shape)
    assert torch.equal(masked_softmax(scores, mask), masked_softmax(scores, mask.expand(B, T, S).clone()))


def test_forbidden_scores_have_no_influence_however_large_and_no_gradient():
    scores, mask = random(B, T, S), some_mask(B, T, S)
    other = torch.where(mask, scores, 1e300)
    assert torch.equal(masked_softmax(scores, mask), masked_softmax(other, mask))
    torch.testing.assert_close(masked_softmax(scores - 1e6, mask), masked_softmax(scores, mask), rtol=1e-8, atol=1e-8)
    scores.requires_grad_()
    (masked_softmax(scores, mask) * random(B, T, S, seed=2)).sum().backward()
    assert (scores.grad[~mask] == 0).all()
    assert (scores.grad[mask & (mask.sum(-1, keepdim=True) > 1)] != 0).all()
    assert torch.isfinite(scores.grad).all()


# ---------------------------------------------------------------- look-up


def test_a_look_up_is_the_double_loop():
    query, keys, values, mask = random(B, T, D), random(B, S, D, seed=2), random(B, S, E, seed=4), some_mask(B, T, S)
    results, weights = look_up(query, keys, values, mask, scale=0.7)
    for b in range(B):
        for t in range(T):
            match = [math.exp(0.7 * float(query[b, t] @ keys[b, s])) * bool(mask[b, t, s]) for s in range(S)]
            assert weights[b, t].tolist() == pytest.approx([m / sum(match) for m in match])
            mean = sum(m * values[b, s] for s, m in enumerate(match)) / sum(match)
            torch.testing.assert_close(results[b, t], mean)


@pytest.mark.parametrize("masked", [False, True])
def test_a_look_up_agrees_with_torchs_attention_in_values_and_gradients(masked):
    inputs = [random(B, 2, T, D), random(B, 2, S, D, seed=2), random(B, 2, S, E, seed=4)]
    mask = some_mask(B, 1, T, S) if masked else None
    answers = []
    for ours in (True, False):
        given = [x.clone().requires_grad_() for x in inputs]
        found = look_up(*given, mask, scale=0.3)[0] if ours else F.scaled_dot_product_attention(*given, mask, scale=0.3)
        (found * random(B, 2, T, E, seed=5)).sum().backward()
        answers.append([found, *(x.grad for x in given)])
    for ours, theirs in zip(*answers, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_one_hot_keys_and_a_large_scale_make_it_the_look_up_of_a_table():
    """The lecture's example: a list of numbers times a one-hot vector picks one of them."""
    values = torch.tensor([8.0, 7, 9, 6, 0, 8, 4, 10], dtype=torch.double)[:, None]
    keys = torch.eye(8, dtype=torch.double)
    for place in range(8):
        hard, weights = look_up(keys[[place]], keys, values, scale=1e3)
        assert hard.item() == values[place].item()
        assert torch.equal(weights, keys[[place]])
        assert look_up(keys[[place]], keys, values, scale=0.0)[0].item() == pytest.approx(52 / 8)
    errors = [abs(look_up(keys[[2]], keys, values, scale=s)[0].item() - 9) for s in (1.0, 3.0, 9.0, 27.0)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-9


def test_the_order_of_keys_does_not_matter_and_a_key_belongs_to_its_value():
    query, keys, values = random(B, T, D), random(B, S, D, seed=2), random(B, S, E, seed=4)
    order = torch.tensor([3, 0, 6, 2, 5, 1, 4])
    results, weights = look_up(query, keys, values)
    again, moved = look_up(query, keys[:, order], values[:, order])
    torch.testing.assert_close(again, results)
    torch.testing.assert_close(moved, weights[..., order])
    assert not torch.allclose(look_up(query, keys[:, order], values)[0], results)


# ---------------------------------------------------------------- additive attention


@pytest.fixture
def additive():
    torch.manual_seed(0)
    return AdditiveAttention(D, E, A).double()


def test_additive_attention_is_the_formula_of_the_paper(additive):
    query, keys, mask = random(B, T, D), random(B, S, E, seed=2), some_mask(B, 1, S)
    contexts, weights = additive(query, keys, mask)
    assert contexts.shape == (B, T, E)
    for b in range(B):
        for t in range(T):
            scores = []
            for s in range(S):
                hidden = torch.tanh(additive.query.weight @ query[b, t] + additive.key.weight @ keys[b, s])
                scores.append(math.exp((additive.score.weight[0] @ hidden).item()) if mask[b, 0, s] else 0.0)
            assert weights[b, t].tolist() == pytest.approx([x / sum(scores) for x in scores])
            torch.testing.assert_close(contexts[b, t], sum(x * keys[b, s] for s, x in enumerate(scores)) / sum(scores))


def test_keys_that_were_projected_once_give_the_same_and_the_same_gradients(additive):
    answers = []
    for once in (False, True):
        query, keys = random(B, T, D).requires_grad_(), random(B, S, E, seed=2).requires_grad_()
        additive.zero_grad()
        contexts, weights = additive(query, keys, projected=additive.project(keys) if once else None)
        (contexts.square().sum() + weights.square().sum()).backward()
        answers.append([contexts, weights, query.grad, keys.grad, *(p.grad.clone() for p in additive.parameters())])
    for one, other in zip(*answers, strict=True):
        torch.testing.assert_close(one, other)


def test_gradients_are_those_of_finite_differences(additive):
    mask = some_mask(1, 1, 4)
    query, keys = random(1, 3, D).requires_grad_(), random(1, 4, E, seed=2).requires_grad_()
    assert torch.autograd.gradcheck(lambda q, k: additive(q, k, mask), (query, keys))


def test_padding_changes_nothing_and_receives_no_gradient(additive):
    query, keys = random(B, T, D), random(B, S, E, seed=2)
    longer = torch.cat([keys, torch.full((B, 4, E), 1e6, dtype=torch.double)], dim=1).requires_grad_()
    mask = (torch.arange(S + 4) < S)[None, None].expand(B, 1, -1)
    contexts, weights = additive(query, longer, mask)
    plain, plain_weights = additive(query, keys)
    torch.testing.assert_close(contexts, plain)
    torch.testing.assert_close(weights[..., :S], plain_weights)
    assert (weights[..., S:] == 0).all()
    contexts.sum().backward()
    assert (longer.grad[:, S:] == 0).all()


def test_it_learns_to_look_at_the_key_that_is_asked_for():
    """Every key carries a name and a number; the query is a name, the answer its number."""
    torch.manual_seed(0)
    names = torch.eye(6).expand(64, 6, 6)
    attention = AdditiveAttention(6, 7, 16)
    optimizer = torch.optim.Adam(attention.parameters(), lr=0.05)
    for _ in range(150):
        order = torch.stack([torch.randperm(6) for _ in range(64)])
        numbers = torch.randn(64, 6, 1)
        keys = torch.cat([names.gather(1, order[..., None].expand(-1, -1, 6)), numbers], -1)
        asked = torch.randint(6, (64,))
        contexts, weights = attention(F.one_hot(asked, 6).float()[:, None], keys)
        answer = numbers[order == asked[:, None]][:, 0]
        loss = F.mse_loss(contexts[:, 0, -1], answer)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.05
    assert (weights[:, 0].argmax(1) == (order == asked[:, None]).int().argmax(1)).all()


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda a: masked_softmax(torch.zeros(2, 3), torch.tensor([[True, False, False], [False] * 3])), r"row \[1\]"),
        (lambda a: masked_softmax(torch.zeros(B, T, S), torch.ones(B, 1, S - 1, dtype=torch.bool)), "does not broadcast"),
        (lambda a: masked_softmax(torch.zeros(T, S), torch.ones(B, T, S, dtype=torch.bool)), "does not broadcast"),
        (lambda a: look_up(torch.zeros(T, D), torch.zeros(S, D), torch.zeros(S, E), scale=math.inf), "scale=inf"),
        (lambda a: look_up(torch.zeros(T, D), torch.zeros(S, D), torch.zeros(S, E), torch.zeros(S).bool()), "no key"),
        (lambda a: a(torch.zeros(B, T, E), torch.zeros(B, S, E)), "last of width 2"),
        (lambda a: a(torch.zeros(B, T, D), torch.zeros(B, S, D)), "last of width 11"),
        (lambda a: AdditiveAttention(0, 1, 1), "query_size=0"),
    ],
)
def test_what_does_not_fit_is_refused(additive, call, message):
    with pytest.raises(ValueError, match=message):
        call(additive)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda a: masked_softmax(torch.zeros(2, 3), torch.ones(2, 3)), "truth values"),
        (lambda a: masked_softmax(torch.zeros(2, 3, dtype=torch.long)), "torch.int64"),
        (lambda a: look_up(torch.zeros(T, D), torch.zeros(S, D + 1), torch.zeros(S, E)), "2 wide and keys 3"),
        (lambda a: look_up(torch.zeros(T, D), torch.zeros(S, D), torch.zeros(S + 1, E)), "one value"),
        (lambda a: look_up(torch.zeros(B, T, D), torch.zeros(S, D), torch.zeros(S, E)), "batch axes"),
        (lambda a: a(torch.zeros(B, T, D), torch.zeros(B + 1, S, E)), "3 rows and keys have 4"),
        (lambda a: a(torch.zeros(B, T, D), torch.zeros(B, S, E), projected=torch.zeros(B, S, D)), r"\(3, 7, 13\)"),
    ],
)
def test_shapes_that_do_not_fit_are_refused_in_words(additive, call, message):
    with pytest.raises(ValueError, match=message):
        call(additive.float())
