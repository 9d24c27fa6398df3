"""Attention of one new word, with the keys and values of all earlier words kept from the steps before."""

import math
import random

import torch

from exercises.grader.exercise import Exercise, hidden, normal, public
from lmcore.check.ready import ATTENTION
from lmcore.check.run import Case


def cached_step(x, W_Q, W_K, W_V, W_O, keys, values):
    B, H, _, D = keys.shape
    query, key, value = ((x @ W).view(B, H, 1, D) for W in (W_Q, W_K, W_V))
    keys = torch.cat([keys, key], dim=2)
    values = torch.cat([values, value], dim=2)
    weights = (query @ keys.mT / math.sqrt(D)).softmax(dim=-1)
    found = (weights @ values).view(B, H * D)
    return found @ W_O, keys, values


# Right, written differently


def with_einsum(x, W_Q, W_K, W_V, W_O, keys, values):
    B, H, _, D = keys.shape
    q, k, v = (torch.einsum("bc,cn->bn", x, W).reshape(B, H, D) for W in (W_Q, W_K, W_V))
    keys, values = torch.cat([keys, k[:, :, None]], 2), torch.cat([values, v.unsqueeze(2)], 2)
    scores = torch.einsum("bhd,bhsd->bhs", q, keys) * D**-0.5
    return torch.einsum("bhs,bhsd->bhd", scores.softmax(2), values).flatten(1) @ W_O, keys, values


def head_by_head(x, W_Q, W_K, W_V, W_O, keys, values):
    B, H, S, D = keys.shape
    longer_keys, longer_values = keys.new_zeros(B, H, S + 1, D), values.new_zeros(B, H, S + 1, D)
    y = 0
    for h in range(H):
        own = slice(h * D, (h + 1) * D)
        longer_keys[:, h, :S], longer_values[:, h, :S] = keys[:, h], values[:, h]
        longer_keys[:, h, S], longer_values[:, h, S] = x @ W_K[:, own], x @ W_V[:, own]
        scores = (longer_keys[:, h] * (x @ W_Q[:, own])[:, None]).sum(-1) / math.sqrt(D)
        e = torch.exp(scores - scores.amax(1, keepdim=True))
        y = y + ((e / e.sum(1, keepdim=True))[..., None] * longer_values[:, h]).sum(1) @ W_O[own]
    return y, longer_keys, longer_values


def text_by_text(x, W_Q, W_K, W_V, W_O, keys, values):
    H, D = keys.shape[1], keys.shape[3]
    outputs, all_keys, all_values = [], [], []
    for word, past_keys, past_values in zip(x, keys, values, strict=True):
        k = torch.cat([past_keys, (word @ W_K).view(H, 1, D)], dim=1)
        v = torch.cat([past_values, (word @ W_V).view(H, 1, D)], dim=1)
        a = torch.softmax(k @ (word @ W_Q).view(H, D, 1) / D**0.5, dim=1)  # H S+1 1
        outputs.append((a * v).sum(1).reshape(-1) @ W_O)
        all_keys.append(k)
        all_values.append(v)
    return torch.stack(outputs), torch.stack(all_keys), torch.stack(all_values)


# Wrong: the docstring is the hint


def _parts(x, W_Q, W_K, W_V, keys):
    """Query, key and value of the new word, head by head."""
    B, H, _, D = keys.shape
    return [(x @ W).view(B, H, 1, D) for W in (W_Q, W_K, W_V)]


def _attend(query, keys, values, scale=None):
    """What the new word finds, with the heads side by side."""
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    return ((query @ keys.mT * scale).softmax(-1) @ values).flatten(1)


def _longer(keys, key):
    return torch.cat([keys, key], dim=2)


def does_not_see_itself(x, W_Q, W_K, W_V, W_O, keys, values):
    """The new word looked at the earlier words only. In masked self-attention a word may look at itself too: when do its own
    key and value go into the cache, before or after it looks?"""
    query, key, value = _parts(x, W_Q, W_K, W_V, keys)
    return _attend(query, keys, values) @ W_O, _longer(keys, key), _longer(values, value)


def cache_left_as_it_was(x, W_Q, W_K, W_V, W_O, keys, values):
    """The output is right, but the cache you return does not hold the new word. What will the next word look at?"""
    y, _, _ = cached_step(x, W_Q, W_K, W_V, W_O, keys, values)
    return y, keys, values


def new_word_in_front(x, W_Q, W_K, W_V, W_O, keys, values):
    """The new word was put before the earlier ones. The output does not show it, as attention does not know the order. But the
    cache is to hold the words in the order in which they came."""
    query, key, value = _parts(x, W_Q, W_K, W_V, keys)
    keys, values = torch.cat([key, keys], dim=2), torch.cat([value, values], dim=2)
    return _attend(query, keys, values) @ W_O, keys, values


def last_word_replaced(x, W_Q, W_K, W_V, W_O, keys, values):
    """The new word took the place of the last one in the cache, which is as long as before. Every word read makes the cache one
    longer."""
    query, key, value = _parts(x, W_Q, W_K, W_V, keys)
    keys, values = _longer(keys[:, :, :-1], key), _longer(values[:, :, :-1], value)
    return _attend(query, keys, values) @ W_O, keys, values


def first_word_dropped(x, W_Q, W_K, W_V, W_O, keys, values):
    """The first word fell out of the cache when the new one came in. A state of fixed size must forget; a cache keeps all
    words."""
    query, key, value = _parts(x, W_Q, W_K, W_V, keys)
    keys, values = _longer(keys[:, :, 1:], key), _longer(values[:, :, 1:], value)
    return _attend(query, keys, values) @ W_O, keys, values


def only_itself(x, W_Q, W_K, W_V, W_O, keys, values):
    """The new word looked at nothing but itself: the earlier keys and values in the cache were not used for the output."""
    query, key, value = _parts(x, W_Q, W_K, W_V, keys)
    return _attend(query, key, value) @ W_O, _longer(keys, key), _longer(values, value)


def masked_by_a_triangle(x, W_Q, W_K, W_V, W_O, keys, values):
    """The new word looked at the first word only. A causal mask for one query and S + 1 keys was made as a triangle that begins
    at the first key. Where does the new word stand among the keys, and does it need a mask at all?"""
    query, key, value = _parts(x, W_Q, W_K, W_V, keys)
    keys, values = _longer(keys, key), _longer(values, value)
    return _attend(query, keys[:, :, :1], values[:, :, :1]) @ W_O, keys, values


def not_scaled(x, W_Q, W_K, W_V, W_O, keys, values):
    """The scores are plain dot products. What are they divided by?"""
    query, key, value = _parts(x, W_Q, W_K, W_V, keys)
    keys, values = _longer(keys, key), _longer(values, value)
    return _attend(query, keys, values, scale=1.0) @ W_O, keys, values


def root_of_the_models_width(x, W_Q, W_K, W_V, W_O, keys, values):
    """The scores were divided by the root of C, the width of the model. A dot product is a sum over the width of one head."""
    query, key, value = _parts(x, W_Q, W_K, W_V, keys)
    keys, values = _longer(keys, key), _longer(values, value)
    return _attend(query, keys, values, scale=x.shape[1] ** -0.5) @ W_O, keys, values


def root_of_the_number_of_keys(x, W_Q, W_K, W_V, W_O, keys, values):
    """The scores were divided by the root of the number of keys, so that they shrink with every word that is read. The divisor
    does not depend on how long the text is."""
    query, key, value = _parts(x, W_Q, W_K, W_V, keys)
    keys, values = _longer(keys, key), _longer(values, value)
    return _attend(query, keys, values, scale=keys.shape[2] ** -0.5) @ W_O, keys, values


def heads_interleaved(x, W_Q, W_K, W_V, W_O, keys, values):
    """The C numbers were dealt out to the heads in turn, one to each. A head owns D numbers that stand next to each other: the
    first head the first D, the second head the next."""
    B, H, _, D = keys.shape
    query, key, value = ((x @ W).view(B, D, H).mT.reshape(B, H, 1, D) for W in (W_Q, W_K, W_V))
    keys, values = _longer(keys, key), _longer(values, value)
    return _attend(query, keys, values) @ W_O, keys, values


def heads_mixed_up_at_the_end(x, W_Q, W_K, W_V, W_O, keys, values):
    """What the heads found was laid side by side in the wrong order: the first number of every head, then the second of every
    head. W_O expects all numbers of the first head first."""
    B, H, _, D = keys.shape
    query, key, value = _parts(x, W_Q, W_K, W_V, keys)
    keys, values = _longer(keys, key), _longer(values, value)
    return _attend(query, keys, values).view(B, H, D).mT.reshape(B, -1) @ W_O, keys, values


def heads_not_mixed(x, W_Q, W_K, W_V, W_O, keys, values):
    """What the heads found was returned as it is, side by side. One matrix is still to come, the one that mixes the heads."""
    query, key, value = _parts(x, W_Q, W_K, W_V, keys)
    keys, values = _longer(keys, key), _longer(values, value)
    return _attend(query, keys, values), keys, values


def one_head(x, W_Q, W_K, W_V, W_O, keys, values):
    """All C numbers were compared at once, as if there were one head. Every head has a softmax of its own over its own D
    numbers."""
    B, H, _, D = keys.shape
    query, key, value = _parts(x, W_Q, W_K, W_V, keys)
    keys, values = _longer(keys, key), _longer(values, value)
    whole = [part.transpose(1, 2).reshape(B, 1, -1, H * D) for part in (query, keys, values)]
    return _attend(*whole, scale=D**-0.5) @ W_O, keys, values


def softmax_over_the_heads(x, W_Q, W_K, W_V, W_O, keys, values):
    """The softmax ran over the heads: for each word the weights of the heads add up to 1. Each head shares out a weight of 1
    among the words."""
    query, key, value = _parts(x, W_Q, W_K, W_V, keys)
    keys, values = _longer(keys, key), _longer(values, value)
    weights = (query @ keys.mT / math.sqrt(query.shape[-1])).softmax(1)
    return (weights @ values).flatten(1) @ W_O, keys, values


def softmax_over_one_query(x, W_Q, W_K, W_V, W_O, keys, values):
    """The softmax ran over the queries. There is one, so every weight is 1, and the values were simply added up. Over which
    axis do the keys lie?"""
    query, key, value = _parts(x, W_Q, W_K, W_V, keys)
    keys, values = _longer(keys, key), _longer(values, value)
    weights = (query @ keys.mT).softmax(2)
    return (weights @ values).flatten(1) @ W_O, keys, values


def mean_of_the_values(x, W_Q, W_K, W_V, W_O, keys, values):
    """The output is the plain mean of the values: neither the query nor the keys count."""
    query, key, value = _parts(x, W_Q, W_K, W_V, keys)
    keys, values = _longer(keys, key), _longer(values, value)
    return _attend(query, keys, values, scale=0.0) @ W_O, keys, values


def keys_averaged(x, W_Q, W_K, W_V, W_O, keys, values):
    """What the heads found is made of keys. The weights belong to the values."""
    query, key, value = _parts(x, W_Q, W_K, W_V, keys)
    keys, values = _longer(keys, key), _longer(values, value)
    return _attend(query, keys, keys) @ W_O, keys, values


def query_kept(x, W_Q, W_K, W_V, W_O, keys, values):
    """The query of the new word went into the cache in the place of its key. A query is used once, by the word that asks; what
    later words need is the key."""
    query, _, value = _parts(x, W_Q, W_K, W_V, keys)
    keys, values = _longer(keys, query), _longer(values, value)
    return _attend(query, keys, values) @ W_O, keys, values


def key_kept_as_value(x, W_Q, W_K, W_V, W_O, keys, values):
    """The key of the new word went into both caches. Which matrix makes the value?"""
    query, key, _ = _parts(x, W_Q, W_K, W_V, keys)
    keys, values = _longer(keys, key), _longer(values, key)
    return _attend(query, keys, values) @ W_O, keys, values


def caches_exchanged(x, W_Q, W_K, W_V, W_O, keys, values):
    """The output is right, but the two caches came back in the wrong order. The keys come first, then the values."""
    y, keys, values = cached_step(x, W_Q, W_K, W_V, W_O, keys, values)
    return y, values, keys


def the_word_itself_kept(x, W_Q, W_K, W_V, W_O, keys, values):
    """The vector of the new word went into the caches as it is. What is kept are its key and its value."""
    B, H, _, D = keys.shape
    query, own = (x @ W_Q).view(B, H, 1, D), x.view(B, H, 1, D)
    keys, values = _longer(keys, own), _longer(values, own)
    return _attend(query, keys, values) @ W_O, keys, values


def matrices_transposed(x, W_Q, W_K, W_V, W_O, keys, values):
    """The matrices were used transposed. Here a row x is multiplied from the right: x W. (A module of torch keeps its matrix
    the other way round.)"""
    return cached_step(x, W_Q.T, W_K.T, W_V.T, W_O.T, keys, values)


def word_added(x, W_Q, W_K, W_V, W_O, keys, values):
    """The vector of the word was added to the output. That is the residual connection: it belongs to the block around
    attention, and not to this step."""
    y, keys, values = cached_step(x, W_Q, W_K, W_V, W_O, keys, values)
    return x + y, keys, values


def key_scaled_in_the_cache(x, W_Q, W_K, W_V, W_O, keys, values):
    """The new key was divided by √D, and so it went into the cache; the scores were not divided. The keys of the earlier words
    lie there as they were made. What is divided by √D in the equation, and when?"""
    query, key, value = _parts(x, W_Q, W_K, W_V, keys)
    keys, values = _longer(keys, key / math.sqrt(key.shape[-1])), _longer(values, value)
    return _attend(query, keys, values, scale=1.0) @ W_O, keys, values


def exponentials_overflow(x, W_Q, W_K, W_V, W_O, keys, values):
    """With large scores the output is nan: exp(100) is too large for floating point. torch's softmax takes the largest score
    out first."""
    query, key, value = _parts(x, W_Q, W_K, W_V, keys)
    keys, values = _longer(keys, key), _longer(values, value)
    e = (query @ keys.mT / math.sqrt(query.shape[-1])).exp()
    return (e / e.sum(-1, keepdim=True) @ values).flatten(1) @ W_O, keys, values


def cases(rng: random.Random) -> list[Case]:
    eye = torch.eye(2)
    W_V = torch.tensor([[10.0, 0.0], [0.0, 20.0]])
    W_K, W_O = torch.tensor([[0.0, 1.0], [1.0, 0.0]]), torch.tensor([[1.0, 1.0], [0.0, 2.0]])
    first = torch.tensor([[[[1.0], [2.0]], [[0.0], [1.0]]]])
    kept = torch.tensor([[[[30.0], [50.0]], [[0.0], [40.0]]]])
    return [
        public("one text, two heads of width 1, two words so far", torch.tensor([[1.0, 0.5]]), eye, W_K, W_V, W_O, first, kept),
        public("two texts, two heads of width 2, three words so far", *_random(rng, 2, 2, 2, 3)),
        public("large scores", *_large(rng, 2)),
        hidden("the first word", *_random(rng, 2, 3, 2, 0)),
        hidden("one head", *_random(rng, 3, 1, 4, 2)),
        hidden("heads of width 1", *_random(rng, 1, 5, 1, 4)),
        hidden("double precision", *(part.double() for part in _random(rng, 2, 2, 3, 7))),
        hidden("large scores in a longer text", *_large(rng, 5)),
    ]


def _random(rng: random.Random, B: int, H: int, D: int, S: int) -> list[torch.Tensor]:
    C = H * D
    past = [normal(rng, B, H, S, D) if S else torch.zeros(B, H, 0, D) for _ in range(2)]
    return [normal(rng, B, C), *(normal(rng, C, C) for _ in range(4)), *past]


def _large(rng: random.Random, S: int) -> list[torch.Tensor]:
    """Scores in the hundreds, whose exponentials no float holds."""
    x, W_Q, W_K, W_V, W_O, keys, values = _random(rng, 2, 2, 2, S)
    return [100 * x, W_Q, W_K, W_V, W_O, 10 * keys, values]


EXERCISE = Exercise(
    chapter="ch12_rnn_or_transformer",
    minutes=20,
    difficulty=2,
    points=3,
    reference=cached_step,
    right=[with_einsum, head_by_head, text_by_text],
    wrong=[
        does_not_see_itself,
        cache_left_as_it_was,
        new_word_in_front,
        last_word_replaced,
        first_word_dropped,
        only_itself,
        masked_by_a_triangle,
        not_scaled,
        root_of_the_models_width,
        root_of_the_number_of_keys,
        heads_interleaved,
        heads_mixed_up_at_the_end,
        heads_not_mixed,
        one_head,
        softmax_over_the_heads,
        softmax_over_one_query,
        mean_of_the_values,
        keys_averaged,
        query_kept,
        key_kept_as_value,
        caches_exchanged,
        the_word_itself_kept,
        matrices_transposed,
        word_added,
        key_scaled_in_the_cache,
        exponentials_overflow,
    ],
    cases=cases,
    rtol=1e-3,
    atol=1e-4,
    ready=(*ATTENTION, "lmcore"),
)
