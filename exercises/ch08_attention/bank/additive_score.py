"""The additive score (Bahdanau et al. 2015, appendix A.1.2). It is swapped into a translator with attention."""

import random

import torch

from exercises.grader.exercise import Exercise, hidden, normal, public
from lmcore.check.run import Case


def additive_score(query, keys, W_a, U_a, v_a):
    asked = (query @ W_a.T)[:, :, None]
    offered = (keys @ U_a.T)[:, None]
    return torch.tanh(asked + offered) @ v_a


# Right, written differently


def query_by_query(query, keys, W_a, U_a, v_a):
    offered = keys @ U_a.T
    rows = [torch.tanh(offered + q @ W_a.T) @ v_a for q in query.transpose(0, 1)[:, :, None]]
    return torch.stack(rows, dim=1)


def pair_by_pair(query, keys, W_a, U_a, v_a):
    texts = []
    for asks, offers in zip(query, keys, strict=True):
        scores = [[torch.dot(v_a, torch.tanh(W_a @ q + U_a @ k)) for k in offers] for q in asks]
        texts.append(torch.stack([torch.stack(row) for row in scores]))
    return torch.stack(texts)


def with_one_matrix(query, keys, W_a, U_a, v_a):
    """Query and key side by side, times both matrices side by side."""
    shape = (len(query), query.shape[1], keys.shape[1], -1)
    both = torch.cat([query.unsqueeze(2).expand(shape), keys.unsqueeze(1).expand(shape)], dim=3)
    hidden_layer = torch.nn.functional.linear(both, torch.cat([W_a, U_a], dim=1)).tanh()
    return torch.einsum("btsa,a->bts", hidden_layer, v_a)


# Wrong: the docstring is the hint


def _hidden(query, keys, W_a, U_a):
    return (query @ W_a.T)[:, :, None] + (keys @ U_a.T)[:, None]


def tanh_left_out(query, keys, W_a, U_a, v_a):
    """There is no tanh. Without it the score is a sum of one number for the query and one for the key: then all queries look at
    the same keys. Why?"""
    return _hidden(query, keys, W_a, U_a) @ v_a


def tanh_of_the_score(query, keys, W_a, U_a, v_a):
    """tanh was applied to the finished score. It belongs to the hidden layer, before v_a: a score may be larger than 1."""
    return torch.tanh(_hidden(query, keys, W_a, U_a) @ v_a)


def tanh_of_each(query, keys, W_a, U_a, v_a):
    """tanh was applied to the query's part and to the key's part, and then they were added. First the sum, then tanh: only so
    do the two meet inside it."""
    return (torch.tanh(query @ W_a.T)[:, :, None] + torch.tanh(keys @ U_a.T)[:, None]) @ v_a


def parts_multiplied(query, keys, W_a, U_a, v_a):
    """The two parts were multiplied. This score is called additive since they are added."""
    return torch.tanh((query @ W_a.T)[:, :, None] * (keys @ U_a.T)[:, None]) @ v_a


def dot_product(query, keys, W_a, U_a, v_a):
    """tanh was applied to each part, and the two were then multiplied: this is a dot product, weighted by v_a. Here a small
    network scores: what happens to the two parts before tanh?"""
    return torch.tanh(query @ W_a.T) * v_a @ torch.tanh(keys @ U_a.T).mT


def with_sigmoid(query, keys, W_a, U_a, v_a):
    """The hidden layer went through σ instead of tanh."""
    return torch.sigmoid(_hidden(query, keys, W_a, U_a)) @ v_a


def with_relu(query, keys, W_a, U_a, v_a):
    """The hidden layer went through ReLU instead of tanh."""
    return torch.relu(_hidden(query, keys, W_a, U_a)) @ v_a


def hidden_layer_averaged(query, keys, W_a, U_a, v_a):
    """The hidden layer was averaged: v_a plays no part. It is learned, and says how much each number of the hidden layer
    counts."""
    return torch.tanh(_hidden(query, keys, W_a, U_a)).mean(-1) + 0 * v_a.sum()


def v_before_tanh(query, keys, W_a, U_a, v_a):
    """The hidden layer was multiplied by v_a before tanh, and then added up. v_a comes after it."""
    return torch.tanh(_hidden(query, keys, W_a, U_a) * v_a).sum(-1)


def softmax_applied(query, keys, W_a, U_a, v_a):
    """You return weights: a softmax has been applied. Asked for are the scores, which the model masks first."""
    return additive_score(query, keys, W_a, U_a, v_a).softmax(-1)


def keys_in_rows(query, keys, W_a, U_a, v_a):
    """The result has the keys in its rows. Row t belongs to the query t: the shape is (B, T, S)."""
    return additive_score(query, keys, W_a, U_a, v_a).mT


def query_left_out(query, keys, W_a, U_a, v_a):
    """The query plays no part: every row is the same. Which matrix brings it into the hidden layer?"""
    return additive_score(0 * query, keys, W_a, U_a, v_a)


def key_left_out(query, keys, W_a, U_a, v_a):
    """The keys play no part: all keys get the same score. Which matrix brings them into the hidden layer?"""
    return additive_score(query, 0 * keys, W_a, U_a, v_a)


def matrices_exchanged(query, keys, W_a, U_a, v_a):
    """W_a and U_a have changed places. W_a belongs to the query, U_a to the keys."""
    return additive_score(query, keys, U_a, W_a, v_a)


def not_transposed(query, keys, W_a, U_a, v_a):
    """The matrices were not transposed. A row of them belongs to one number of the hidden layer: with vectors as rows, the
    hidden layer is q Wᵀ."""
    return additive_score(query, keys, W_a.T, U_a.T, v_a)


def same_places_only(query, keys, W_a, U_a, v_a):
    """The query at each place was scored against the key at the same place alone. Every query meets every key: T × S pairs in
    each text. Which axis has to be put in where?"""
    short = min(query.shape[1], keys.shape[1])
    hidden_layer = torch.tanh((query[:, :short] @ W_a.T) + (keys[:, :short] @ U_a.T))
    return (hidden_layer @ v_a)[:, None].expand(-1, query.shape[1], -1)


def divided_by_the_root(query, keys, W_a, U_a, v_a):
    """The scores were divided by a root, as those of chapter 9 are. The additive score is used as it is: tanh keeps it from
    growing."""
    return additive_score(query, keys, W_a, U_a, v_a) / len(v_a) ** 0.5


def without_a_graph(query, keys, W_a, U_a, v_a):
    """The scores are right, but no gradient can flow through them to the keys: they were cut from the graph. The encoder would
    not learn what the decoder looks for."""
    return additive_score(query, keys.detach(), W_a, U_a.detach(), v_a)


def reshaped_for_transposed(query, keys, W_a, U_a, v_a):
    """The shape is right, but the scores stand in the wrong places. Your scores had the keys in their rows, and reshape or view
    reads them on in that order. Which operation exchanges two axes?"""
    return additive_score(query, keys, W_a, U_a, v_a).mT.reshape(len(query), query.shape[1], keys.shape[1])


def cases(rng: random.Random) -> list[Case]:
    turned, same, v_a = torch.tensor([[0.0, 2.0], [1.0, 0.0]]), torch.eye(2), torch.tensor([2.0, -1.0])
    query, keys = torch.tensor([[[1.0, 0.0], [0.0, -1.0]]]), torch.tensor([[[0.0, 0.0], [1.0, 0.5], [-2.0, 3.0]]])
    return [
        public("two queries, three keys, by hand", query, keys, turned, same, v_a),
        public(
            "a translator", normal(rng, 3, 2, 3), normal(rng, 3, 4, 3), normal(rng, 3, 3), normal(rng, 3, 3), normal(rng, 3)
        ),
        hidden("one query, one key", *_drawn(rng, 1, 1, 1, 2, 5, 3)),
        hidden("three widths", *_drawn(rng, 2, 3, 4, 2, 5, 7)),
        hidden("a translator that reads in both directions", *(part.double() for part in _drawn(rng, 2, 3, 4, 2, 4, 2))),
    ]


def _drawn(rng: random.Random, batch: int, queries: int, keys: int, q: int, k: int, a: int) -> tuple[torch.Tensor, ...]:
    shapes = (batch, queries, q), (batch, keys, k), (a, q), (a, k), (a,)
    return tuple(normal(rng, *shape) for shape in shapes)


EXERCISE = Exercise(
    chapter="ch08_attention",
    minutes=20,
    difficulty=2,
    points=3,
    reference=additive_score,
    right=[query_by_query, pair_by_pair, with_one_matrix],
    wrong=[
        tanh_left_out,
        tanh_of_the_score,
        tanh_of_each,
        parts_multiplied,
        dot_product,
        with_sigmoid,
        with_relu,
        hidden_layer_averaged,
        v_before_tanh,
        softmax_applied,
        keys_in_rows,
        query_left_out,
        key_left_out,
        matrices_exchanged,
        not_transposed,
        same_places_only,
        divided_by_the_root,
        without_a_graph,
        reshaped_for_transposed,
    ],
    cases=cases,
    probe="additive",
    rtol=1e-3,
    atol=1e-5,
    ready=("lmcore",),
)
