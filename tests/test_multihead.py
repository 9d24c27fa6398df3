"""Multi-head attention is torch's, with the mask the other way round; cached, grouped, masked and fused are one thing."""

import itertools

import pytest
import torch
from torch import nn

from lmcore.attention import Cache, MultiHeadAttention, causal_mask, padding_mask

B, T, S, H, D, K, E = 3, 5, 7, 4, 11, 13, 17
C = H * D


def random(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def some_mask(*shape: int, seed: int = 3) -> torch.Tensor:
    """A mask that leaves every query a key."""
    mask = random(*shape, seed=seed) > 0.3
    mask[..., 1] = True
    return mask


def made(seed: int = 0, **how) -> MultiHeadAttention:
    """Our module in double precision; biases that are not zero, so that a forgotten one is noticed."""
    torch.manual_seed(seed)
    module = MultiHeadAttention(C, H, **how).double()
    for name, parameter in module.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(parameter)
    return module


def pair(**how) -> tuple[MultiHeadAttention, nn.MultiheadAttention]:
    """Torch's module, and ours with its state."""
    torch.manual_seed(7)
    renamed = {"key_dim": "kdim", "value_dim": "vdim"}
    theirs = nn.MultiheadAttention(C, H, batch_first=True, **{renamed.get(k, k): v for k, v in how.items()}).double()
    for name, parameter in theirs.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(parameter)
    ours = made(seed=1, **how)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


# ---------------------------------------------------------------- torch's module


MASKS = {
    "none": (None, False),
    "causal": (None, True),
    "padding": (padding_mask(torch.tensor([5, 2, 7]), S), False),
    "arbitrary": (some_mask(T, S), False),
    "each head its own": (some_mask(B, H, T, S), False),
    "padding and causal": (padding_mask(torch.tensor([5, 3, 7]), S), True),
}


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize("wide", ["self", "memory", "other widths"])
@pytest.mark.parametrize("seen", [False, True])
def test_the_state_of_torchs_module_loads_and_gives_the_same(wide, kind, bias, seen):
    how = {"key_dim": K, "value_dim": E} if wide == "other widths" else {}
    ours, theirs = pair(bias=bias, **how)
    mask, causal = MASKS[kind]
    queries = S if wide == "self" else T
    if mask is not None and mask.shape[-2] == T:
        mask = mask[..., [t % T for t in range(queries)], :]
    inputs = [random(B, queries, C)]
    if wide != "self":
        inputs += [random(B, S, how.get("key_dim", C), seed=2), random(B, S, how.get("value_dim", C), seed=4)]
    both = torch.ones(B, H, queries, S, dtype=torch.bool) if mask is None else mask.expand(B, H, queries, S)
    both = both & causal_mask(queries, S) if causal else both
    pull, look = random(B, queries, C, seed=5), random(B, H, queries, S, seed=6)
    answers = []
    for module in (ours, theirs):
        given = [x.clone().requires_grad_() for x in inputs]
        if module is ours:
            values = {"values": given[2]} if wide != "self" else {}
            output, weights = ours(*given[:2], **values, mask=mask, causal=causal, weights=seen)
            assert (weights is not None) == seen
        else:
            query, key, value = given if wide != "self" else given * 3
            output, weights = theirs(query, key, value, attn_mask=~both.flatten(0, 1), average_attn_weights=False)
        loss = (output * pull).sum()
        (loss + (weights * look).sum() if seen else loss).backward()
        gradients = [x.grad for x in given] + [module.get_parameter(name).grad for name, _ in theirs.named_parameters()]
        answers.append([output, *([weights] if seen else []), *gradients])
    assert all(x is not None for answer in answers for x in answer)
    for one, other in zip(*answers, strict=True):
        torch.testing.assert_close(one, other)


def test_their_average_is_our_mean_over_heads():
    ours, theirs = pair()
    x, mask = random(B, S, C), padding_mask(torch.tensor([5, 2, 7]), S)
    _, weights = ours(x, mask=mask, weights=True)
    _, average = theirs(x, x, x, key_padding_mask=~mask[:, 0, 0])
    torch.testing.assert_close(weights.mean(1), average)


@pytest.mark.parametrize("how", [{}, {"bias": False}, {"key_dim": K, "value_dim": E}])
def test_names_shapes_and_first_values_are_torchs(how):
    states = []
    for make in (MultiHeadAttention, nn.MultiheadAttention):
        torch.manual_seed(3)
        if make is nn.MultiheadAttention:
            how = {{"key_dim": "kdim", "value_dim": "vdim"}.get(k, k): v for k, v in how.items()}
        states.append(make(C, H, **how).state_dict())
    assert list(states[0]) == list(states[1])
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name


def test_the_output_is_the_formula_head_by_head():
    module, x = made(), random(B, T, C)
    weight, bias = module.in_proj_weight, module.in_proj_bias
    heads = []
    for h in range(H):
        q, k, v = (x @ weight[rows].T + bias[rows] for rows in (slice(p * C + h * D, p * C + (h + 1) * D) for p in range(3)))
        heads.append((q @ k.mT / D**0.5).softmax(-1) @ v)
    torch.testing.assert_close(module(x)[0], torch.cat(heads, -1) @ module.out_proj.weight.T + module.out_proj.bias)


# ---------------------------------------------------------------- what attention knows and does not know


@pytest.mark.parametrize("kv_heads", [H, 2, 1])
def test_self_attention_does_not_know_the_order(kv_heads):
    """Equivariance: permuted inputs give the same outputs, permuted."""
    module, x, order = made(kv_heads=kv_heads), random(B, T, C), torch.tensor([3, 0, 4, 1, 2])
    output, weights = module(x, weights=True)
    again, seen = module(x[:, order], weights=True)
    torch.testing.assert_close(again, output[:, order])
    torch.testing.assert_close(seen, weights[:, :, order][..., order])
    assert not torch.allclose(module(x, causal=True)[0][:, order], module(x[:, order], causal=True)[0])


@pytest.mark.parametrize("weights", [False, True])
def test_no_gradient_from_later_positions(weights):
    module, x = made(), random(B, T, C).requires_grad_()
    for t in range(T):
        (grad,) = torch.autograd.grad(module(x, causal=True, weights=weights)[0][:, t].sum(), x)
        assert (grad[:, t + 1 :] == 0).all()
        assert (grad[:, : t + 1] != 0).any(-1).all()


@pytest.mark.parametrize("weights", [False, True])
def test_padding_has_no_influence_and_no_gradient(weights):
    module, lengths = made(), torch.tensor([5, 2, 7])
    x = random(B, S, C)
    x[torch.arange(S) >= lengths[:, None]] = 1e4
    x.requires_grad_()
    output, _ = module(x, mask=padding_mask(lengths, S), weights=weights)
    real = torch.arange(S) < lengths[:, None]
    output[real].sum().backward()
    assert (x.grad[~real] == 0).all()
    for b, length in enumerate(lengths.tolist()):
        torch.testing.assert_close(output[b, :length], module(x[b : b + 1, :length])[0][0])


@pytest.mark.parametrize("weights", [False, True])
def test_a_position_that_may_look_at_nothing_gets_the_bias_alone(weights):
    """Its attention is zero, so the last projection adds only its bias; and nothing flows back through it."""
    module, x = made(), random(B, T, C).requires_grad_()
    mask = some_mask(B, 1, T, T)
    mask[0, 0, 2], mask[1] = False, False
    with torch.autograd.set_detect_anomaly(True):
        output, seen = module(x, mask=mask, weights=weights)
        nothing = ~mask[:, 0].any(-1)
        torch.testing.assert_close(output[nothing], module.out_proj.bias.expand(1 + T, C))
        assert seen is None or (seen.transpose(1, 2)[nothing] == 0).all()
        output.square().sum().backward()
    assert (x.grad[1] == 0).all()
    assert all(torch.isfinite(p.grad).all() for p in module.parameters())


def test_gradients_are_those_of_finite_differences():
    torch.manual_seed(0)
    module = MultiHeadAttention(6, 2, kv_heads=1).double()
    x, memory, mask = random(2, 3, 6).requires_grad_(), random(2, 4, 6, seed=2).requires_grad_(), some_mask(2, 1, 3, 4)
    mask[0, 0, 1] = False
    assert torch.autograd.gradcheck(lambda a, b: module(a, b, mask=mask)[0], (x, memory))
    assert torch.autograd.gradcheck(lambda a: module(a, causal=True)[0], (x,))


# ---------------------------------------------------------------- grouped keys


@pytest.mark.parametrize("kv_heads", [1, 2])
@pytest.mark.parametrize("where", ["self", "memory"])
@pytest.mark.parametrize("weights", [False, True])
def test_shared_key_heads_equal_repeated_ones(kv_heads, where, weights):
    """Ours with few key heads, and torch's with each of them written down as often as it is shared."""
    few, (_, theirs) = made(kv_heads=kv_heads), pair()

    def repeated(rows: torch.Tensor) -> torch.Tensor:
        return rows.unflatten(0, (kv_heads, D)).repeat_interleave(H // kv_heads, 0).flatten(0, 1)

    state = few.state_dict()
    for name in ("in_proj_weight", "in_proj_bias"):
        q, k, v = state[name].split([C, kv_heads * D, kv_heads * D])
        state[name] = torch.cat([q, repeated(k), repeated(v)])
    theirs.load_state_dict(state)
    x = random(B, T, C).requires_grad_()
    memory = x if where == "self" else random(B, S, C, seed=2)
    mask = some_mask(B, 1, T, memory.shape[1])
    pull = random(B, T, C, seed=5)
    ours, seen = few(x, None if where == "self" else memory, mask=mask, weights=weights)
    blocked = ~mask.expand(B, H, -1, -1).flatten(0, 1)
    expected, full = theirs(x, memory, memory, attn_mask=blocked, average_attn_weights=False)
    torch.testing.assert_close(ours, expected)
    if weights:
        torch.testing.assert_close(seen, full)
    gradients = [
        torch.autograd.grad((y * pull).sum(), (x, w))
        for y, w in ((ours, few.in_proj_weight), (expected, theirs.in_proj_weight))
    ]
    torch.testing.assert_close(gradients[0][0], gradients[1][0])
    q, k, v = gradients[1][1].split(C)
    k, v = (g.unflatten(0, (kv_heads, H // kv_heads, D)).sum(1).flatten(0, 1) for g in (k, v))
    torch.testing.assert_close(gradients[0][1], torch.cat([q, k, v]))


# ---------------------------------------------------------------- the cache


def turned(x: torch.Tensor, offset: int) -> torch.Tensor:
    """Something that depends on the position: every row is multiplied by a number of its own."""
    return x * torch.cos(torch.arange(offset, offset + x.shape[-2], dtype=x.dtype))[:, None]


@pytest.mark.parametrize("gradients", [False, True])
@pytest.mark.parametrize("positions", [None, turned])
@pytest.mark.parametrize("kv_heads", [H, 2])
@pytest.mark.parametrize("parts", [(1,) * S, (3, 1, 1, 2), (S,), (2, 5)])
def test_word_by_word_with_a_cache_equals_all_at_once(parts, kv_heads, positions, gradients):
    module, x = made(kv_heads=kv_heads), random(B, S, C)
    whole, weights = module(x, causal=True, positions=positions, weights=True)
    with torch.set_grad_enabled(gradients):
        cache, found, seen = Cache(), [], []
        for part in x.split(parts, dim=1):
            look = len(found) % 2 == 1
            y, some = module(part, causal=True, positions=positions, cache=cache, weights=look)
            found.append(y)
            seen.append(some)
        assert len(cache) == cache.length == S
        torch.testing.assert_close(torch.cat(found, 1), whole)
    end = 0
    for some, part in zip(seen, parts, strict=True):
        if some is not None:
            torch.testing.assert_close(some, weights[:, :, end : end + part, : end + part])
        end += part
    if gradients:
        pull = random(B, S, C, seed=5)
        ours = torch.autograd.grad((torch.cat(found, 1) * pull).sum(), list(module.parameters()))
        theirs = torch.autograd.grad((whole * pull).sum(), list(module.parameters()))
        torch.testing.assert_close(ours, theirs)


@torch.no_grad()
def test_padding_at_the_front_and_a_cache():
    """Prompts of different lengths, filled up at the front: each text goes on as if it were alone."""
    module, lengths = made(), [2, 5, 4]
    texts = [random(1, n + 3, C, seed=n) for n in lengths]
    x = torch.cat(
        [
            torch.cat([torch.full((1, 5 - n, C), 1e4, dtype=torch.double), text], 1)
            for n, text in zip(lengths, texts, strict=True)
        ]
    )
    real = torch.arange(8) >= 5 - torch.tensor(lengths)[:, None]
    cache, found = Cache(), []
    for end in (5, 6, 7, 8):
        begin = cache.length
        found.append(module(x[:, begin:end], mask=real[:, None, None, :end], causal=True, cache=cache)[0])
    for b, (n, text) in enumerate(zip(lengths, texts, strict=True)):
        torch.testing.assert_close(torch.cat(found, 1)[b : b + 1, 5 - n :], module(text, causal=True)[0])


@torch.no_grad()
def test_a_memory_is_projected_once():
    module, query, memory = made(), random(B, T, C), random(B, S, C, seed=2)
    whole, _ = module(query, memory)
    cache, projected = Cache(), []
    module._project = lambda x, part, original=module._project: projected.append(part) or original(x, part)
    found = [module(query[:, t : t + 1], memory, cache=cache)[0] for t in range(T)]
    torch.testing.assert_close(torch.cat(found, 1), whole)
    assert projected == [0, 1, 2, *[0] * (T - 1)]
    assert cache.length == S


@torch.no_grad()
def test_chosen_texts_go_on_as_if_nothing_else_had_been_there():
    module, x, rows = made(), random(B, S, C), torch.tensor([2, 0, 0, 1, 2])
    cache = Cache()
    module(x[:, :4], causal=True, cache=cache)
    chosen = cache.select(rows)
    for t in range(4, S):
        y, _ = module(x[rows, t : t + 1], causal=True, cache=chosen)
    torch.testing.assert_close(y, module(x[rows], causal=True)[0][:, -1:])
    assert (cache.length, chosen.length) == (4, S)
    assert len(Cache().select(rows)) == 0


@torch.no_grad()
@pytest.mark.parametrize("capacity", [0, 2, 50])
def test_two_continuations_of_one_cache_do_not_mix(capacity):
    module, x = made(), random(B, S, C)
    cache = Cache(capacity)
    module(x[:, :2], causal=True, cache=cache)
    module(x[:, 2:3], causal=True, cache=cache)
    ways = [([3, 4], cache.copy()), ([5, 6], cache.copy()), ([4, 3], cache)]
    found = {i: [] for i in range(3)}
    for step in (0, 1):  # in turn, so that what one writes could disturb the next look of another
        for i, (order, own) in enumerate(ways):
            found[i].append(module(x[:, order[step] : order[step] + 1], causal=True, cache=own)[0])
    for i, (order, own) in enumerate(ways):
        torch.testing.assert_close(torch.cat(found[i], 1), module(x[:, [0, 1, 2, *order]], causal=True)[0][:, 3:])
        assert own.length == 5


@torch.no_grad()
def test_appending_a_word_copies_a_word():
    """Memory grows by doubling: it is moved a few times for many words, and never with room made in advance."""
    moves = {}
    for capacity in (0, 200):
        cache, places = Cache(capacity), []
        for t in range(200):
            keys, _ = cache.append(random(1, 2, 1, 3, seed=t), random(1, 2, 1, 3, seed=-t))
            places.append(keys.data_ptr())
        moves[capacity] = sum(a != b for a, b in itertools.pairwise(places))
        torch.testing.assert_close(cache.keys[:, :, 77:78], random(1, 2, 1, 3, seed=77))
        torch.testing.assert_close(cache.values[:, :, 78:79], random(1, 2, 1, 3, seed=-78))
    assert moves == {0: 8, 200: 0}


def test_a_refused_call_leaves_the_cache_as_it_was():
    module, x = made(), random(B, S, C)
    cache = Cache()
    module(x[:, :3], causal=True, cache=cache)
    before = cache.keys.clone()
    with pytest.raises(ValueError, match="do not fit behind them"):
        module(x[:2, 3:4], causal=True, cache=cache)
    with pytest.raises(ValueError, match="does not broadcast"):
        module(x[:, 3:4], mask=torch.ones(1, 1, 1, 3, dtype=torch.bool), cache=cache)
    assert cache.length == 3
    assert torch.equal(cache.keys, before)


# ---------------------------------------------------------------- dropout and compiled


def test_dropout_acts_in_training_only_and_alike_in_both_paths():
    module, x = made(dropout=0.5), random(1, T, C)
    module.eval()
    assert torch.equal(module(x)[0], module(x)[0])
    exact = module(x)[0]
    module.train()
    torch.manual_seed(0)
    for weights in (False, True):
        some = torch.stack([module(x, weights=weights)[0] for _ in range(3_000)])
        assert not torch.equal(some[0], some[1])
        error = (some.mean(0) - exact).abs() / (some.std(0) / 3_000**0.5)
        assert error.max() < 5, "the mean over many masks is the result without dropout"
    assert torch.equal(module(x, weights=True)[1].sum(-1).round(decimals=9), torch.ones(1, H, T).double())
