"""Grouped-query attention (Ainslie et al. 2023): several heads of queries share one head of keys and values."""

import math
import random

import torch

from exercises.grader.exercise import Exercise, hidden, normal, public
from lmcore.check.ready import ATTENTION
from lmcore.check.run import Case


def grouped_queries(query, key, value):
    shared = query.shape[1] // key.shape[1]
    k, v = (part.repeat_interleave(shared, dim=1) for part in (key, value))
    weights = (query @ k.mT / math.sqrt(query.shape[-1])).softmax(dim=-1)
    return weights @ v


# Right, written differently


def head_by_head(query, key, value):
    found = []
    for h in range(query.shape[1]):
        g = h * key.shape[1] // query.shape[1]
        weights = torch.softmax(query[:, h] @ key[:, g].transpose(1, 2) * query.shape[3] ** -0.5, 2)
        found.append(weights @ value[:, g])
    return torch.stack(found, dim=1)


def group_by_group(query, key, value):
    q = query.unflatten(1, (key.shape[1], -1))
    scores = q @ key.unsqueeze(2).mT / q.shape[-1] ** 0.5
    return (scores.softmax(-1) @ value.unsqueeze(2)).flatten(1, 2)


def with_einsum(query, key, value):
    q = query.reshape(query.shape[0], key.shape[1], -1, *query.shape[2:])
    scores = torch.einsum("bgntd,bgsd->bgnts", q, key) / math.sqrt(query.shape[-1])
    return torch.einsum("bgnts,bgse->bgnte", scores.softmax(-1), value).reshape(*query.shape[:3], -1)


def one_long_query_per_group(query, key, value):
    """The queries of a group, one after the other, ask the same keys."""
    b, heads, t, d = query.shape
    q = query.reshape(b, key.shape[1], heads // key.shape[1] * t, d)
    return ((q / d**0.5) @ key.mT).softmax(-1).matmul(value).reshape(b, heads, t, value.shape[-1])


# Wrong: the docstring is the hint


def _attended(query, key, value, width=0):
    return (query @ key.mT / math.sqrt(width or query.shape[-1])).softmax(-1) @ value


def _shared(query, key, value):
    shared = query.shape[1] // key.shape[1]
    return key.repeat_interleave(shared, 1), value.repeat_interleave(shared, 1)


def groups_taken_in_turn(query, key, value):
    """The heads took the groups in turn: 0, 1, 0, 1 where it should be 0, 0, 1, 1. The heads of a group stand side by side;
    does your function repeat the whole list, or each of its entries?"""
    shared = query.shape[1] // key.shape[1]
    return _attended(query, key.repeat(1, shared, 1, 1), value.repeat(1, shared, 1, 1))


def values_in_turn(query, key, value):
    """The keys are shared as they should be, the values in another order: a head looks with the keys of one group and reads the
    values of another."""
    shared = query.shape[1] // key.shape[1]
    return _attended(query, _shared(query, key, value)[0], value.repeat(1, shared, 1, 1))


def first_group_for_all(query, key, value):
    """All heads use the keys and values of the first group. With G = 1 that would be right (multi-query attention); here each
    group has its own."""
    return _attended(query, key[:, :1], value[:, :1])


def groups_averaged(query, key, value):
    """All heads use the average over the groups. A head has one group, whose keys and values it uses as they are."""
    return _attended(query, key.mean(1, keepdim=True), value.mean(1, keepdim=True))


def queries_averaged(query, key, value):
    """The queries of a group were averaged, so that one result per group is left. The heads of a group share keys and values;
    each asks with its own query and gets its own result."""
    q = query.unflatten(1, (key.shape[1], -1)).mean(2)
    return _attended(q, key, value)


def one_head_per_group(query, key, value):
    """Only the first head of every group is there. All H heads are asked for, in their order."""
    return _attended(query[:, :: query.shape[1] // key.shape[1]], key, value)


def groups_backwards(query, key, value):
    """The first heads use the last group. Head 0 belongs to group 0."""
    k, v = _shared(query, key, value)
    return _attended(query, k.flip(1), v.flip(1))


def softmax_over_the_group(query, key, value):
    """The heads of a group share one softmax: the weights of a key add up to 1 over the heads and keys together. Each query of
    each head shares out a weight of 1 of its own."""
    k, v = _shared(query, key, value)
    scores = (query @ k.mT / math.sqrt(query.shape[-1])).unflatten(1, (key.shape[1], -1))
    together = scores.movedim(2, -1)
    weights = together.flatten(-2).softmax(-1).view_as(together).movedim(-1, 2).flatten(1, 2)
    return weights @ v


def softmax_over_the_queries(query, key, value):
    """The softmax ran over the places of the queries. Each query shares out a weight of 1 among the keys: which axis is
    theirs?"""
    k, v = _shared(query, key, value)
    return (query @ k.mT / math.sqrt(query.shape[-1])).softmax(-2) @ v


def not_scaled(query, key, value):
    """The scores are the plain dot products. As in every head of attention they are divided by a root first."""
    return _attended(query, *_shared(query, key, value), width=1)


def root_of_the_model_width(query, key, value):
    """The scores were divided by the root of H·D. A dot product adds up D products, however many heads there are."""
    return _attended(query, *_shared(query, key, value), width=query.shape[1] * query.shape[3])


def root_of_the_groups_width(query, key, value):
    """The scores were divided by the root of G·D. A dot product adds up D products, however many groups there are."""
    return _attended(query, *_shared(query, key, value), width=key.shape[1] * query.shape[3])


def divided_by_the_groups(query, key, value):
    """The heads were dealt out in runs of G, where a group has H / G of them. Write down for H = 6 and G = 3 which
    group the heads 0 to 5 should have, and what `h // 3` gives."""
    groups = [h // key.shape[1] for h in range(query.shape[1])]
    return _attended(query, key[:, groups], value[:, groups])


def weights_returned(query, key, value):
    """You return the weights. Asked for is what they make of the values."""
    k, _ = _shared(query, key, value)
    return (query @ k.mT / math.sqrt(query.shape[-1])).softmax(-1)


def without_a_graph(query, key, value):
    """The result is right, but no gradient reaches the keys and values: the copies you made of them were cut from the graph, by
    detach, by no_grad or as new tensors of their numbers. Every head of a group adds its part to their gradient."""
    return grouped_queries(query, key.detach(), value.detach())


def root_of_the_values_width(query, key, value):
    """The scores were divided by the root of the width of the values. Scores are made of queries and keys; the values may have
    another width."""
    return _attended(query, *_shared(query, key, value), width=value.shape[-1])


def first_heads_of_all_groups_first(query, key, value):
    """Every head asks the right group, but the results stand in another order: first the first heads of all groups, then the
    second ones. Write down for H = 6 and G = 3 in which order your function finds the heads 0 to 5."""
    shared = query.shape[1] // key.shape[1]
    return torch.cat([_attended(query[:, j::shared], key, value) for j in range(shared)], dim=1)


def cases(rng: random.Random) -> list[Case]:
    query = torch.tensor([[[[2.0]], [[-2.0]], [[2.0]], [[0.0]]]])
    key, value = torch.tensor([[[[1.0], [0.0]], [[0.0], [3.0]]]]), torch.tensor([[[[0.0], [10.0]], [[100.0], [200.0]]]])
    return [
        public("four heads, two groups, by hand", query, key, value),
        public("six heads, three groups", normal(rng, 2, 6, 3, 4), normal(rng, 2, 3, 5, 4), normal(rng, 2, 3, 5, 2)),
        public("six heads, two groups", normal(rng, 1, 6, 2, 3), normal(rng, 1, 2, 2, 3), normal(rng, 1, 2, 2, 3)),
        hidden("one group", normal(rng, 2, 3, 2, 2), normal(rng, 2, 1, 3, 2), normal(rng, 2, 1, 3, 2)),
        hidden("as many groups as heads", normal(rng, 2, 3, 5, 2), normal(rng, 2, 3, 4, 2), normal(rng, 2, 3, 4, 2)),
        hidden("double precision", *(normal(rng, 3, n, 2, 5).double() for n in (10, 5, 5))),
    ]


EXERCISE = Exercise(
    chapter="ch09_self_attention",
    minutes=20,
    difficulty=2,
    points=3,
    reference=grouped_queries,
    right=[head_by_head, group_by_group, with_einsum, one_long_query_per_group],
    wrong=[
        groups_taken_in_turn,
        values_in_turn,
        first_group_for_all,
        groups_averaged,
        queries_averaged,
        one_head_per_group,
        groups_backwards,
        softmax_over_the_group,
        softmax_over_the_queries,
        not_scaled,
        root_of_the_model_width,
        root_of_the_groups_width,
        divided_by_the_groups,
        weights_returned,
        without_a_graph,
        root_of_the_values_width,
        first_heads_of_all_groups_first,
    ],
    cases=cases,
    probe="gradients",
    ready=(*ATTENTION, "lmcore"),
)
