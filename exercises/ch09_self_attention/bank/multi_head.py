"""Multi-head attention without its matrices (Vaswani et al. 2017, section 3.2.2): split, attend in every head, join again."""

import math
import random

import torch

from exercises.grader.exercise import Exercise, hidden, normal, public
from lmcore.check.ready import ATTENTION
from lmcore.check.run import Case


def multi_head(query, key, value, heads):
    q, k, v = (_split(part, heads) for part in (query, key, value))
    weights = (q @ k.mT / math.sqrt(q.shape[-1])).softmax(dim=-1)
    return (weights @ v).transpose(1, 2).flatten(2)


def _split(x, heads):
    return x.unflatten(2, (heads, -1)).transpose(1, 2)


# Right, written differently


def head_by_head(query, key, value, heads):
    width, found = query.shape[2] // heads, []
    for h in range(heads):
        q, k, v = (part[:, :, h * width : (h + 1) * width] for part in (query, key, value))
        found.append(torch.softmax(q @ k.transpose(1, 2) / width**0.5, 2) @ v)
    return torch.cat(found, dim=2)


def with_einsum(query, key, value, heads):
    q, k, v = (part.reshape(*part.shape[:2], heads, part.shape[2] // heads) for part in (query, key, value))
    scores = torch.einsum("bthd,bshd->bhts", q, k) * q.shape[3] ** -0.5
    return torch.einsum("bhts,bshd->bthd", scores.softmax(3), v).reshape(query.shape)


def heads_in_the_batch(query, key, value, heads):
    q, k, v = (torch.cat(part.chunk(heads, dim=2), dim=0) for part in (query, key, value))
    weights = torch.bmm(q, k.mT).div(math.sqrt(q.shape[2])).softmax(2)
    return torch.cat(torch.bmm(weights, v).chunk(heads, dim=0), dim=2)


# Wrong: the docstring is the hint


def _attended(q, k, v, width=0):
    return (q @ k.mT / math.sqrt(width or q.shape[-1])).softmax(-1) @ v


def _joined(x):
    return x.transpose(1, 2).flatten(2)


def cut_without_transposing(query, key, value, heads):
    """The vectors were cut in the order of the numbers in memory, by one reshape to (B, H, T, D). The first head then holds all
    numbers of the first words, instead of the first D numbers of every word. Split the last axis first, then move an axis."""
    q, k, v = (part.reshape(part.shape[0], heads, part.shape[1], -1) for part in (query, key, value))
    return _attended(q, k, v).reshape(query.shape)


def joined_without_transposing(query, key, value, heads):
    """The heads attend as they should, and are put together in the wrong order: (B, H, T, D) was reshaped to (B, T, C) at once,
    so that one row holds several words of one head. Bring the axes into the order (B, T, H, D) first."""
    q, k, v = (_split(part, heads) for part in (query, key, value))
    return _attended(q, k, v).reshape(query.shape)


def cut_without_and_joined_with(query, key, value, heads):
    """The vectors were cut in the order of the numbers in memory, and joined with their axes exchanged: one does not undo the
    other. Follow one number of `value` to its head, and back to its place."""
    q, k, v = (part.reshape(part.shape[0], heads, part.shape[1], -1) for part in (query, key, value))
    return _joined(_attended(q, k, v))


def every_other_number(query, key, value, heads):
    """A head took every H-th number of a vector. The heads lie in blocks: the first D numbers are those of the first head, the
    next D those of the second."""
    q, k, v = (part.unflatten(2, (-1, heads)).permute(0, 3, 1, 2) for part in (query, key, value))
    return _attended(q, k, v).permute(0, 2, 3, 1).flatten(2)


def blocks_read_and_laced(query, key, value, heads):
    """The heads attend as they should, but their results were laced: one number of each head in turn. They belong side by
    side, the whole first head, then the whole second."""
    q, k, v = (_split(part, heads) for part in (query, key, value))
    return _attended(q, k, v).permute(0, 2, 3, 1).flatten(2)


def heads_taken_for_the_width(query, key, value, heads):
    """Each head got `heads` numbers, and there are as many heads as a head should be wide. H is how many there are; their
    width is D = C / H."""
    q, k, v = (_split(part, part.shape[2] // heads) for part in (query, key, value))
    return _joined(_attended(q, k, v))


def one_head(query, key, value, heads):
    """One head attends with the whole width C: `heads` plays no part, or the vectors were put together again before the
    softmax."""
    return _attended(query, key, value)


def root_of_the_whole_width(query, key, value, heads):
    """The scores were divided by √C. A head multiplies vectors of width D: how many products are added up in one of its
    scores?"""
    q, k, v = (_split(part, heads) for part in (query, key, value))
    return _joined(_attended(q, k, v, width=query.shape[2]))


def root_of_the_heads(query, key, value, heads):
    """The scores were divided by √H. How large a dot product is depends on the width of the vectors, not on how many heads
    there are."""
    q, k, v = (_split(part, heads) for part in (query, key, value))
    return _joined(_attended(q, k, v, width=heads))


def not_scaled(query, key, value, heads):
    """The scores are the plain dot products. They are divided by a root before the softmax, in every head."""
    q, k, v = (_split(part, heads) for part in (query, key, value))
    return _joined(_attended(q, k, v, width=1))


def softmax_over_the_queries(query, key, value, heads):
    """The softmax ran over the queries. Each query of each head shares out a weight of 1 among the keys: which axis is
    theirs?"""
    q, k, v = (_split(part, heads) for part in (query, key, value))
    return _joined((q @ k.mT / math.sqrt(q.shape[-1])).softmax(-2) @ v)


def softmax_over_the_heads(query, key, value, heads):
    """The softmax ran over the heads, so that they share the weight of a key. Heads know nothing of each other: each shares out
    a weight of 1 among the keys."""
    q, k, v = (_split(part, heads) for part in (query, key, value))
    return _joined((q @ k.mT / math.sqrt(q.shape[-1])).softmax(1) @ v)


def heads_averaged(query, key, value, heads):
    """The heads were averaged. They lie side by side in the result, so that nothing of any head is lost: D numbers each, C in
    all."""
    q, k, v = (_split(part, heads) for part in (query, key, value))
    return _attended(q, k, v).mean(1)


def weights_averaged(query, key, value, heads):
    """All heads look at the same words: their weights were averaged before the values were. Each head has weights of its
    own, which it uses on its own part of the values."""
    q, k, v = (_split(part, heads) for part in (query, key, value))
    weights = (q @ k.mT / math.sqrt(q.shape[-1])).softmax(-1).mean(1, keepdim=True)
    return _joined(weights @ v)


def heads_not_joined(query, key, value, heads):
    """You return (B, H, T, D), one result per head. The heads are to be joined again: (B, T, C)."""
    q, k, v = (_split(part, heads) for part in (query, key, value))
    return _attended(q, k, v)


def heads_look_at_each_other(query, key, value, heads):
    """At each word the heads look at each other, and no word looks at another: the heads' axis is where the words' axis should
    be in the product. In q, k and v the last two axes are words and width."""
    q, k, v = (part.unflatten(2, (heads, -1)) for part in (query, key, value))
    return _attended(q, k[:, : q.shape[1]], v[:, : q.shape[1]]).flatten(2)


def without_a_graph(query, key, value, heads):
    """The result is right, but no gradient reaches the queries and keys: something was cut from the graph, by detach or
    no_grad."""
    return multi_head(query.detach(), key.detach(), value, heads)


def cases(rng: random.Random) -> list[Case]:
    by_hand = torch.tensor([[[2.0, 0.0, 0.0, 3.0], [0.0, 2.0, 3.0, 0.0]]])
    values = torch.tensor([[[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]]])
    return [
        public("two words, two heads", by_hand, by_hand, values, 2),
        public("two texts, three heads", *(normal(rng, 2, 4, 6) for _ in range(3)), 3),
        public("two queries, five keys", *(normal(rng, 2, n, 12) for n in (2, 5, 5)), 3),
        hidden("one head", *(normal(rng, 2, 3, 4) for _ in range(3)), 1),
        hidden("heads of width 1", *(normal(rng, 1, 3, 5) for _ in range(3)), 5),
        hidden("double precision", *(normal(rng, 3, n, 14).double() for n in (5, 2, 2)), 7),
    ]


EXERCISE = Exercise(
    chapter="ch09_self_attention",
    minutes=20,
    difficulty=2,
    points=3,
    reference=multi_head,
    right=[head_by_head, with_einsum, heads_in_the_batch],
    wrong=[
        cut_without_transposing,
        joined_without_transposing,
        cut_without_and_joined_with,
        every_other_number,
        blocks_read_and_laced,
        heads_taken_for_the_width,
        one_head,
        root_of_the_whole_width,
        root_of_the_heads,
        not_scaled,
        softmax_over_the_queries,
        softmax_over_the_heads,
        heads_averaged,
        weights_averaged,
        heads_not_joined,
        heads_look_at_each_other,
        without_a_graph,
    ],
    cases=cases,
    probe="gradients",
    ready=(*ATTENTION, "lmcore"),
)
