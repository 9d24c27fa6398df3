"""A soft look-up equals its loops, becomes a hard one in the limit, and never looks where the mask forbids it."""

import math

import pytest
import torch
from torch.nn import functional as F

from lmcore.attention import (
    AdditiveAttention,
    attend,
    causal_mask,
    look_up,
    masked_softmax,
    padding_mask,
    scaled_dot_product,
)

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


# ---------------------------------------------------------------- masks, and rows with nothing to attend to


def test_a_causal_mask_lets_a_query_look_at_itself_and_back():
    assert causal_mask(3).tolist() == [[True, False, False], [True, True, False], [True, True, True]]
    mask = causal_mask(T, S)
    assert mask.shape == (T, S)
    for t in range(T):
        assert mask[t].tolist() == [s <= t + S - T for s in range(S)]
    assert torch.equal(causal_mask(S)[-T:], mask), "the last rows of the whole are those of the new words behind a cache"


def test_a_padding_mask_lets_every_query_look_at_what_is_real():
    lengths = torch.tensor([3, 0, 7])
    mask = padding_mask(lengths, S)
    assert mask.shape == (3, 1, 1, S)
    for b, length in enumerate(lengths.tolist()):
        assert mask[b, 0, 0].tolist() == [s < length for s in range(S)]
    assert torch.equal(padding_mask(lengths), mask)
    both = mask & causal_mask(S)
    assert both.shape == (3, 1, S, S)
    assert all(both[b, 0, t, s] == (s < lengths[b] and s <= t) for b in range(3) for t in range(S) for s in range(S))


def blind(*shape: int) -> torch.Tensor:
    """A mask in which one query of the first text, and all of the second, may look at nothing."""
    mask = some_mask(*shape)
    mask[0, ..., 2, :] = False
    mask[1] = False
    return mask


@pytest.mark.parametrize("way", ["look_up", "scaled_dot_product", "attend", "additive"])
def test_a_query_that_may_look_at_nothing_gets_zeros_and_passes_no_gradient_on(way, additive):
    width = E if way == "additive" else D
    inputs = [random(B, T, D), random(B, S, width, seed=2), random(B, S, E, seed=4)]
    mask, pull = blind(B, T, S), random(B, T, E, seed=5)
    ways = {
        "look_up": lambda q, k, v, m: look_up(q, k, v, m),
        "scaled_dot_product": lambda q, k, v, m: scaled_dot_product(q, k, v, m),
        "attend": lambda q, k, v, m: (attend(q, k, v, m), None),
        "additive": lambda q, k, v, m: additive(q, k, m),
    }
    given = [x.clone().requires_grad_() for x in inputs]
    with torch.autograd.set_detect_anomaly(True):
        output, weights = ways[way](*given, mask)
        (output * pull).sum().backward()
    nothing = ~mask.any(-1)
    assert nothing.sum() == 1 + T
    assert (output[nothing] == 0).all()
    assert weights is None or (weights[nothing] == 0).all()
    assert (given[0].grad[nothing] == 0).all()
    assert (given[1].grad[1] == 0).all(), "keys that nobody may look at"
    assert all(torch.isfinite(x.grad).all() for x in given if x.grad is not None)

    # The other rows are what they are without the blind ones.
    alone = [x[:1].clone().requires_grad_() for x in inputs]
    rows = torch.tensor([0, 1, 3, 4])
    expected, _ = ways[way](alone[0][:, rows], alone[1], alone[2], mask[:1, rows])
    (expected * pull[:1, rows]).sum().backward()
    torch.testing.assert_close(output[:1, rows], expected)
    for x, y in zip(given, alone, strict=True):
        assert (x.grad is None) == (y.grad is None)
        if x.grad is not None:
            torch.testing.assert_close(x.grad[:1], y.grad)


# ---------------------------------------------------------------- scaled dot products and the fused kernel


def test_scaled_dot_product_is_the_look_up_with_one_over_the_root_of_the_width():
    query, keys, values, mask = random(B, T, D), random(B, S, D, seed=2), random(B, S, E, seed=4), some_mask(B, T, S)
    for ours, theirs in zip(
        scaled_dot_product(query, keys, values, mask), look_up(query, keys, values, mask, scale=D**-0.5), strict=True
    ):
        torch.testing.assert_close(ours, theirs)
    mean = values.mean(1, keepdim=True).expand(-1, T, -1)
    torch.testing.assert_close(scaled_dot_product(query, keys, values, scale=0.0)[0], mean)


MASKS = {
    "none": lambda: None,
    "padding": lambda: padding_mask(torch.tensor([5, 0, 7]), S),
    "arbitrary": lambda: some_mask(B, 2, T, S),
    "one row for all": lambda: some_mask(S),
    "blind": lambda: blind(B, 2, T, S),
}


@pytest.mark.parametrize("dtype", [torch.double, torch.float])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize(("queries", "scale"), [(T, None), (S, 0.7), (1, None)])
def test_the_fused_kernel_equals_the_reference_in_values_and_gradients(kind, causal, queries, scale, dtype):
    inputs = [random(B, 2, queries, D), random(B, 2, S, D, seed=2), random(B, 2, S, E, seed=4)]
    mask = MASKS[kind]()
    if mask is not None and mask.ndim == 4 and mask.shape[2] == T:
        mask = mask[:, :, [i % T for i in range(queries)]]
    whole = mask
    if causal:
        whole = causal_mask(queries, S) if mask is None else mask & causal_mask(queries, S)
    answers = []
    for fused in (True, False):
        given = [x.to(dtype).requires_grad_() for x in inputs]
        found = attend(*given, mask, causal=causal, scale=scale) if fused else scaled_dot_product(*given, whole, scale=scale)[0]
        (found * random(B, 2, queries, E, seed=5)).sum().backward()
        answers.append([found, *(x.grad for x in given)])
    for ours, theirs in zip(*answers, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("queries", [T, S, 1])
def test_no_gradient_comes_from_what_lies_ahead(queries):
    """Output t depends on keys and values up to its own place, and on each of them."""
    query, keys, values = (
        random(B, queries, D),
        random(B, S, D, seed=2).requires_grad_(),
        random(B, S, E, seed=4).requires_grad_(),
    )
    for t in range(queries):
        for x in torch.autograd.grad(attend(query, keys, values, causal=True)[:, t].sum(), (keys, values)):
            seen = t + S - queries + 1
            assert (x[:, seen:] == 0).all()
            assert (x[:, :seen] != 0).any(-1).all() or seen == 1  # a single key has weight 1, whatever it is


def test_fewer_key_heads_are_shared_by_neighbours():
    query, keys, values = random(B, 6, T, D), random(B, 2, S, D, seed=2), random(B, 2, S, E, seed=4)
    shared = attend(query, keys, values)
    for head in range(6):
        torch.testing.assert_close(
            shared[:, head], scaled_dot_product(query[:, head], keys[:, head // 3], values[:, head // 3])[0]
        )


def test_dropout_drops_weights_and_keeps_their_mean():
    torch.manual_seed(0)
    query, keys, values = random(1, 1, D), random(1, S, D, seed=2), torch.ones(1, S, 1, dtype=torch.double)
    found = torch.stack([attend(query, keys, values, dropout=0.5) for _ in range(4_000)])
    assert len(found.unique()) > 50, "different weights are dropped every time"
    assert found.mean().item() == pytest.approx(1, abs=0.05)


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda a: masked_softmax(torch.zeros(B, T, S), torch.ones(B, 1, S - 1, dtype=torch.bool)), "does not broadcast"),
        (lambda a: masked_softmax(torch.zeros(T, S), torch.ones(B, T, S, dtype=torch.bool)), "does not broadcast"),
        (lambda a: look_up(torch.zeros(T, D), torch.zeros(S, D), torch.zeros(S, E), scale=math.inf), "scale=inf"),
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
