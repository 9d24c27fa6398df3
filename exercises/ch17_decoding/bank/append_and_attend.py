"""Attention with a cache, as a GPT-2 does it: the keys and values of the new tokens are appended, and their queries look at all
that there are. The function is swapped into a small GPT-2, and into the real one where it is installed."""

import math
import random

import torch

from exercises.grader.exercise import Exercise, hidden, normal, public
from lmcore.check.ready import ATTENTION
from lmcore.check.run import Case


def append_and_attend(x, keys, values, parameters):
    B, T, C = x.shape
    _, H, S, D = keys.shape
    together = x @ parameters["c_attn.weight"] + parameters["c_attn.bias"]
    query, key, value = together.view(B, T, 3, H, D).permute(2, 0, 3, 1, 4)
    keys = torch.cat([keys, key], dim=2)
    values = torch.cat([values, value], dim=2)
    scores = query @ keys.mT / math.sqrt(D)
    ahead = torch.ones_like(scores).triu(S + 1) > 0
    weights = scores.masked_fill(ahead, -math.inf).softmax(dim=3)
    found = (weights @ values).transpose(1, 2).reshape(B, T, C)
    return found @ parameters["c_proj.weight"] + parameters["c_proj.bias"], keys, values


# Right, written differently


def token_after_token(x, keys, values, parameters):
    """One new token after another: the last one that was appended needs no mask."""
    B, T, C = x.shape
    H, D = keys.shape[1], keys.shape[3]
    W, b = parameters["c_attn.weight"], parameters["c_attn.bias"]
    outputs = []
    for t in range(T):
        q, k, v = ((x[:, t] @ W[:, i * C : (i + 1) * C] + b[i * C : (i + 1) * C]).reshape(B, H, 1, D) for i in range(3))
        keys, values = torch.cat((keys, k), 2), torch.cat((values, v), 2)
        a = torch.softmax((q * keys).sum(-1) * D**-0.5, -1)
        outputs.append((a[..., None] * values).sum(2).flatten(1))
    return torch.stack(outputs, 1) @ parameters["c_proj.weight"] + parameters["c_proj.bias"], keys, values


def with_einsum(x, keys, values, parameters):
    H, S, D = keys.shape[1:]
    q, k, v = (torch.einsum("btc,cn->btn", x, parameters["c_attn.weight"]) + parameters["c_attn.bias"]).chunk(3, dim=2)
    q, k, v = (part.unflatten(2, (H, D)).movedim(2, 1) for part in (q, k, v))
    keys, values = torch.concat([keys, k], -2), torch.concat([values, v], -2)
    scores = torch.einsum("bhtd,bhsd->bhts", q, keys) / D**0.5
    places = torch.arange(scores.shape[3]).to(x.device)
    scores = torch.where(places <= places[S:, None], scores, torch.tensor(-math.inf).to(scores))
    found = torch.einsum("bhts,bhsd->bthd", scores.softmax(-1), values).flatten(2)
    return torch.nn.functional.linear(found, parameters["c_proj.weight"].T, parameters["c_proj.bias"]), keys, values


def head_by_head(x, keys, values, parameters):
    T, C = x.shape[1:]
    H, S, D = keys.shape[1:]
    W, b, y = parameters["c_attn.weight"], parameters["c_attn.bias"], parameters["c_proj.bias"]
    all_keys, all_values = [], []
    for h in range(H):
        q, k, v = (x @ W[:, i * C + h * D :][:, :D] + b[i * C + h * D :][:D] for i in range(3))
        k, v = torch.cat([keys[:, h], k], 1), torch.cat([values[:, h], v], 1)
        e = (q @ k.transpose(1, 2) / math.sqrt(D)).tril(S) + torch.full((T, S + T), -math.inf).triu(S + 1).to(x)
        y = y + e.softmax(2) @ v @ parameters["c_proj.weight"][h * D : (h + 1) * D]
        all_keys.append(k)
        all_values.append(v)
    return y, torch.stack(all_keys, 1), torch.stack(all_values, 1)


# Wrong: the docstring is the hint


def _parts(x, keys, parameters, order=(0, 1, 2)):
    B, T, _ = x.shape
    H, D = keys.shape[1], keys.shape[3]
    together = x @ parameters["c_attn.weight"] + parameters["c_attn.bias"]
    parts = together.view(B, T, 3, H, D).permute(2, 0, 3, 1, 4)
    return [parts[i] for i in order]


def _attend(query, keys, values, scale=None, diagonal=None):
    """What the queries find: (B, H, T, D)."""
    scores = query @ keys.mT * (query.shape[-1] ** -0.5 if scale is None else scale)
    S = keys.shape[2] - query.shape[2]
    ahead = torch.ones_like(scores, dtype=torch.bool).triu(S + 1 if diagonal is None else diagonal)
    return scores.masked_fill(ahead, -math.inf).softmax(-1) @ values


def _out(found, parameters):
    return found.transpose(1, 2).flatten(2) @ parameters["c_proj.weight"] + parameters["c_proj.bias"]


def _longer(old, new):
    return torch.cat([old, new], dim=2)


def new_tokens_see_each_other(x, keys, values, parameters):
    """The new tokens see each other, also those after them. A single new token needs no mask; when a prompt is read at once,
    each of its tokens must see only what stands before it, and itself."""
    q, k, v = _parts(x, keys, parameters)
    keys, values = _longer(keys, k), _longer(values, v)
    return _out(_attend(q, keys, values, diagonal=keys.shape[2] + 1), parameters), keys, values


def no_mask_behind_a_cache(x, keys, values, parameters):
    """With an empty cache the mask is right; behind a cache there is none. A single new token needs none, since it comes last.
    When two are read at once behind a cache, may the first see the second?"""
    q, k, v = _parts(x, keys, parameters)
    S, keys, values = keys.shape[2], _longer(keys, k), _longer(values, v)
    return _out(_attend(q, keys, values, diagonal=keys.shape[2] + 1 if S else 1), parameters), keys, values


def triangle_from_the_first_key(x, keys, values, parameters):
    """The triangle of the mask begins at the first key, as if nothing had been read before. At which place stands the first
    of the new tokens?"""
    q, k, v = _parts(x, keys, parameters)
    keys, values = _longer(keys, k), _longer(values, v)
    return _out(_attend(q, keys, values, diagonal=1), parameters), keys, values


def does_not_see_itself(x, keys, values, parameters):
    """A new token does not see itself: its own key was forbidden, or was appended too late. When nothing was read before,
    the first one is left with nothing."""
    q, k, v = _parts(x, keys, parameters)
    keys, values = _longer(keys, k), _longer(values, v)
    return _out(_attend(q, keys, values, diagonal=keys.shape[2] - x.shape[1]), parameters), keys, values


def cache_not_read(x, keys, values, parameters):
    """The new tokens look at each other only: what the cache holds was not used for the output. Why was it kept?"""
    q, k, v = _parts(x, keys, parameters)
    return _out(_attend(q, k, v), parameters), _longer(keys, k), _longer(values, v)


def cache_left_as_it_was(x, keys, values, parameters):
    """The output is right, but the keys and values you return do not hold the new tokens. What will the next token look at?"""
    y, _, _ = append_and_attend(x, keys, values, parameters)
    return y, keys.clone(), values.clone()


def only_the_new_returned(x, keys, values, parameters):
    """You return the keys and values of the new tokens alone. The next token needs those of all tokens before it."""
    _, k, v = _parts(x, keys, parameters)
    y, _, _ = append_and_attend(x, keys, values, parameters)
    return y, k, v


def new_tokens_in_front(x, keys, values, parameters):
    """In what you return, the new tokens stand before the old ones. The cache holds the text in its order: without it,
    nobody can say which key lies ahead."""
    y, longer_keys, longer_values = append_and_attend(x, keys, values, parameters)
    S = keys.shape[2]
    return y, longer_keys.roll(-S, 2), longer_values.roll(-S, 2)


def caches_exchanged(x, keys, values, parameters):
    """You return the values before the keys. Asked for are the output, all keys and all values, in this order."""
    y, keys, values = append_and_attend(x, keys, values, parameters)
    return y, values, keys


def cache_detached(x, keys, values, parameters):
    """The numbers are right, but no gradient reaches the keys and values that were read before: the old ones were cut from the
    graph. For writing that would do; a model that is trained with a cache would not learn through it."""
    return append_and_attend(x, keys.detach(), values.detach(), parameters)


def keys_before_queries(x, keys, values, parameters):
    """Queries and keys were exchanged: of the 3C numbers, the first C are the query, then come the key and the value."""
    q, k, v = _parts(x, keys, parameters, (1, 0, 2))
    keys, values = _longer(keys, k), _longer(values, v)
    return _out(_attend(q, keys, values), parameters), keys, values


def values_before_keys(x, keys, values, parameters):
    """Keys and values were exchanged: of the 3C numbers, the first C are the query, then come the key and the value."""
    q, k, v = _parts(x, keys, parameters, (0, 2, 1))
    keys, values = _longer(keys, k), _longer(values, v)
    return _out(_attend(q, keys, values), parameters), keys, values


def parts_of_each_head_together(x, keys, values, parameters):
    """The 3C numbers were dealt out head by head, as if query, key and value of a head stood together. First come the
    queries of all heads, then all keys, then all values."""
    B, T, _ = x.shape
    H, D = keys.shape[1], keys.shape[3]
    together = x @ parameters["c_attn.weight"] + parameters["c_attn.bias"]
    q, k, v = together.view(B, T, H, 3, D).permute(3, 0, 2, 1, 4)
    keys, values = _longer(keys, k), _longer(values, v)
    return _out(_attend(q, keys, values), parameters), keys, values


def heads_interleaved(x, keys, values, parameters):
    """The C numbers of a query were dealt out to the heads in turn. A head owns D numbers that stand next to each other."""
    B, T, _ = x.shape
    H, D = keys.shape[1], keys.shape[3]
    together = x @ parameters["c_attn.weight"] + parameters["c_attn.bias"]
    q, k, v = together.view(B, T, 3, D, H).permute(2, 0, 4, 1, 3)
    keys, values = _longer(keys, k), _longer(values, v)
    return _out(_attend(q, keys, values), parameters), keys, values


def heads_mixed_up_at_the_end(x, keys, values, parameters):
    """What the heads found was put together in the wrong order. For each token, c_proj expects all numbers of the first
    head, then all of the second: which axes have to change places before the heads are joined?"""
    q, k, v = _parts(x, keys, parameters)
    keys, values = _longer(keys, k), _longer(values, v)
    found = _attend(q, keys, values).reshape(x.shape)
    return found @ parameters["c_proj.weight"] + parameters["c_proj.bias"], keys, values


def first_bias_forgotten(x, keys, values, parameters):
    """The bias of c_attn is missing: in a GPT-2, queries, keys and values have one."""
    none = {**parameters, "c_attn.bias": 0 * parameters["c_attn.bias"]}
    return append_and_attend(x, keys, values, none)


def last_bias_forgotten(x, keys, values, parameters):
    """The bias of c_proj is missing from the output."""
    y, keys, values = append_and_attend(x, keys, values, parameters)
    return y - parameters["c_proj.bias"], keys, values


def heads_not_joined(x, keys, values, parameters):
    """What the heads found was returned side by side. One product is still to come, that with c_proj."""
    q, k, v = _parts(x, keys, parameters)
    keys, values = _longer(keys, k), _longer(values, v)
    return _attend(q, keys, values).transpose(1, 2).flatten(2), keys, values


def output_transposed(x, keys, values, parameters):
    """The matrix of c_proj was used transposed. GPT-2's files hold their matrices as (in, out): a row x is multiplied from
    the right, x W."""
    turned = {**parameters, "c_proj.weight": parameters["c_proj.weight"].T}
    return append_and_attend(x, keys, values, turned)


def not_scaled(x, keys, values, parameters):
    """The scores are plain dot products. What are they divided by?"""
    q, k, v = _parts(x, keys, parameters)
    keys, values = _longer(keys, k), _longer(values, v)
    return _out(_attend(q, keys, values, scale=1.0), parameters), keys, values


def root_of_the_models_width(x, keys, values, parameters):
    """The scores were divided by the root of C, the width of the model. A dot product is a sum over the D numbers of one
    head."""
    q, k, v = _parts(x, keys, parameters)
    keys, values = _longer(keys, k), _longer(values, v)
    return _out(_attend(q, keys, values, scale=x.shape[2] ** -0.5), parameters), keys, values


def keys_averaged(x, keys, values, parameters):
    """The output is made of keys. The weights belong to the values."""
    q, k, v = _parts(x, keys, parameters)
    keys, values = _longer(keys, k), _longer(values, v)
    return _out(_attend(q, keys, keys), parameters), keys, values


def input_added(x, keys, values, parameters):
    """The input was added to the output. That is the residual connection, and the block around attention does it."""
    y, keys, values = append_and_attend(x, keys, values, parameters)
    return x + y, keys, values


def cases(rng: random.Random) -> list[Case]:
    eye = torch.eye(2)
    parameters = {
        "c_attn.weight": torch.cat([eye, torch.tensor([[0.0, 1.0], [1.0, 0.0]]), torch.tensor([[10.0, 0.0], [0.0, 20.0]])], 1),
        "c_attn.bias": torch.tensor([0.0, 0.0, 0.0, 0.5, 1.0, 0.0]),
        "c_proj.weight": torch.tensor([[1.0, 1.0], [0.0, 2.0]]),
        "c_proj.bias": torch.tensor([0.0, -1.0]),
    }
    kept = torch.tensor([[[[1.0], [2.0]], [[0.0], [1.0]]]]), torch.tensor([[[[30.0], [50.0]], [[0.0], [40.0]]]])
    return [
        public("one new token behind two, two heads of width 1", torch.tensor([[[1.0, 0.5]]]), *kept, parameters),
        public("three new tokens and an empty cache", *_random(rng, 1, 2, 2, 3, 0)),
        public("two texts, two new tokens behind three", *_random(rng, 2, 2, 2, 2, 3)),
        hidden("the first token", *_random(rng, 1, 3, 2, 1, 0)),
        hidden("one head", *_random(rng, 3, 1, 3, 2, 2)),
        hidden("heads of width 1", *_random(rng, 1, 3, 1, 3, 4)),
        hidden("double precision", *_double(*_random(rng, 1, 2, 2, 3, 2))),
    ]


def _random(rng: random.Random, B: int, H: int, D: int, T: int, S: int) -> list:
    C = H * D
    past = [normal(rng, B, H, S, D) if S else torch.zeros(B, H, 0, D) for _ in range(2)]
    shapes = {"c_attn.weight": (C, 3 * C), "c_attn.bias": (3 * C,), "c_proj.weight": (C, C), "c_proj.bias": (C,)}
    return [normal(rng, B, T, C), *past, {name: normal(rng, *shape) for name, shape in shapes.items()}]


def _double(x: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, parameters: dict) -> list:
    return [x.double(), keys.double(), values.double(), {name: part.double() for name, part in parameters.items()}]


EXERCISE = Exercise(
    chapter="ch17_decoding",
    minutes=30,
    difficulty=3,
    points=5,
    reference=append_and_attend,
    right=[token_after_token, with_einsum, head_by_head],
    wrong=[
        new_tokens_see_each_other,
        no_mask_behind_a_cache,
        triangle_from_the_first_key,
        does_not_see_itself,
        cache_not_read,
        cache_left_as_it_was,
        only_the_new_returned,
        new_tokens_in_front,
        caches_exchanged,
        cache_detached,
        keys_before_queries,
        values_before_keys,
        parts_of_each_head_together,
        heads_interleaved,
        heads_mixed_up_at_the_end,
        first_bias_forgotten,
        last_bias_forgotten,
        heads_not_joined,
        output_transposed,
        not_scaled,
        root_of_the_models_width,
        keys_averaged,
        input_added,
    ],
    cases=cases,
    equal="where_installed",
    probe="cached",
    rtol=1e-3,
    atol=1e-4,
    ready=(*ATTENTION, "lmcore"),
)
