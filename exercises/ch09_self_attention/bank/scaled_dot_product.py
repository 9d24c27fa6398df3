"""Scaled dot-product attention (Vaswani et al. 2017, equation 1) with a mask, and zeros where nothing may be looked at."""

import math
import random

import torch

from exercises.grader.exercise import Exercise, hidden, normal, public
from lmcore.check.ready import ATTENTION
from lmcore.check.run import Case


def scaled_dot_product(query, key, value, mask):
    scores = query @ key.mT / math.sqrt(query.shape[-1])
    weights = scores.masked_fill(~mask, -math.inf).softmax(dim=-1)
    return weights.masked_fill(~mask, 0.0) @ value


# Right, written differently


def with_exponentials(query, key, value, mask):
    scores = torch.einsum("...td,...sd->...ts", query, key) * query.shape[-1] ** -0.5
    scores = torch.where(mask, scores, torch.full_like(scores, -1e30))
    e = torch.exp(scores - scores.amax(-1, keepdim=True)) * mask
    return torch.einsum("...ts,...se->...te", e / e.sum(-1, keepdim=True).clamp(min=1e-30), value)


def query_by_query(query, key, value, mask):
    shape = (*query.shape[:-1], key.shape[-2])
    allowed = mask.expand(shape).reshape(-1, *shape[-2:])
    batches = zip(*(part.reshape(-1, *part.shape[-2:]) for part in (query, key, value)), allowed, strict=True)
    out = []
    for q, k, v, allow in batches:
        for q_t, allow_t in zip(q, allow, strict=True):
            if allow_t.any():
                match = k[allow_t] @ q_t / math.sqrt(len(q_t))
                out.append(match.softmax(0) @ v[allow_t])
            else:
                out.append(torch.zeros_like(v[0]))
    return torch.stack(out).view(*query.shape[:-1], value.shape[-1])


def scaled_before_the_product(query, key, value, mask):
    root = query.shape[-1] ** 0.25
    scores = torch.matmul(query / root, (key / root).transpose(-1, -2))
    forbidden = torch.zeros(mask.shape, dtype=scores.dtype, device=scores.device).masked_fill(
        ~mask, torch.finfo(scores.dtype).min
    )
    weights = torch.softmax(scores + forbidden, -1) * mask.any(-1, keepdim=True)
    return weights @ value


# Wrong: the docstring is the hint


def _attend(scores, value, mask):
    """From scores to the result."""
    return scores.masked_fill(~mask, -math.inf).softmax(dim=-1).masked_fill(~mask, 0.0) @ value


def not_scaled(query, key, value, mask):
    """The scores are the plain dot products. The wider the vectors, the larger these are, and the softmax gives nearly
    everything to one key: what are they divided by?"""
    return _attend(query @ key.mT, value, mask)


def divided_by_the_width(query, key, value, mask):
    """The scores were divided by D. The dot product of two random vectors of width D has a standard deviation of √D: that is
    what brings it back to 1."""
    return _attend(query @ key.mT / query.shape[-1], value, mask)


def multiplied_by_the_root(query, key, value, mask):
    """The scores were multiplied by √D, which makes large scores larger. Take two vectors of four ones: their dot product is 4,
    and their score 2."""
    return _attend(query @ key.mT * math.sqrt(query.shape[-1]), value, mask)


def root_of_the_number_of_keys(query, key, value, mask):
    """The scores were divided by the root of the number of keys. How large a dot product is depends on how many products are
    added up in it: which axis is that?"""
    return _attend(query @ key.mT / math.sqrt(key.shape[-2]), value, mask)


def root_of_the_values_width(query, key, value, mask):
    """The scores were divided by the root of the width of the values. Scores are made of queries and keys; the values may have
    another width."""
    return _attend(query @ key.mT / math.sqrt(value.shape[-1]), value, mask)


def scaled_after_the_softmax(query, key, value, mask):
    """The division by √D came after the softmax, so the weights of a query no longer add up to 1. It belongs to the scores."""
    return _attend(query @ key.mT, value, mask) / math.sqrt(query.shape[-1])


def mask_the_other_way_round(query, key, value, mask):
    """The queries look at exactly the keys they must not look at. True in `mask` means "may look": torch's
    MultiheadAttention uses the opposite, this book does not."""
    return scaled_dot_product(query, key, value, ~mask)


def mask_the_other_way_round_and_nan(query, key, value, mask):
    """The queries look at exactly the keys they must not look at, and where nothing is forbidden the result is nan. True in
    `mask` means "may look", and `masked_fill` writes where its mask is True: what has to stand between the two?"""
    scores = query @ key.mT / math.sqrt(query.shape[-1])
    return scores.masked_fill(mask, -math.inf).softmax(-1) @ value


def mask_the_other_way_round_and_mean(query, key, value, mask):
    """The queries look at exactly the keys they must not look at; a query to which no key is forbidden gets the plain mean of
    all values. True in `mask` means "may look", and `masked_fill` writes where its mask is True: what has to stand between the
    two?"""
    scores = query @ key.mT / math.sqrt(query.shape[-1])
    return scores.masked_fill(mask, -1e9).softmax(-1) @ value


def not_scaled_and_nan(query, key, value, mask):
    """Two things are missing. The scores are the plain dot products: what are they divided by? And a query with no key to look
    at gets nan, where it should get zeros."""
    return (query @ key.mT).masked_fill(~mask, -math.inf).softmax(-1) @ value


def not_scaled_and_mean(query, key, value, mask):
    """Two things are missing. The scores are the plain dot products: what are they divided by? And a query with no key to look
    at gets the mean of all values, where it should get zeros."""
    return (query @ key.mT).masked_fill(~mask, -1e9).softmax(-1) @ value


def divided_by_the_width_and_nan(query, key, value, mask):
    """Two things differ from the equation. The scores were divided by D, where it should be its root. And a query with no key
    to look at gets nan, where it should get zeros."""
    return (query @ key.mT / query.shape[-1]).masked_fill(~mask, -math.inf).softmax(-1) @ value


def mask_not_used(query, key, value, mask):
    """Every query looks at every key: `mask` plays no part."""
    return scaled_dot_product(query, key, value, torch.ones_like(mask))


def forbidden_scores_zero(query, key, value, mask):
    """Forbidden keys got the score 0. A score of 0 is not a weight of 0: what is e⁰? Which score would give the weight 0?"""
    scores = query @ key.mT / math.sqrt(query.shape[-1])
    return (scores * mask).softmax(-1) @ value


def mask_after_the_softmax(query, key, value, mask):
    """The weights of forbidden keys were set to 0 after the softmax, and those that remain add up to less than 1. The forbidden
    keys must be out before the softmax shares the weight among the others."""
    scores = query @ key.mT / math.sqrt(query.shape[-1])
    return (scores.softmax(-1) * mask) @ value


def a_large_negative_number(query, key, value, mask):
    """A query with no key to look at gets the mean of all values. With the same large negative score for all of them, the
    softmax sees no difference and treats all alike. Such a query should get zeros."""
    scores = query @ key.mT / math.sqrt(query.shape[-1])
    return scores.masked_fill(~mask, -1e9).softmax(-1) @ value


def nothing_to_look_at_is_nan(query, key, value, mask):
    """A query with no key to look at gets nan. Its scores are all −∞, and a softmax over nothing does not exist. Where do you
    put the zeros it should get?"""
    scores = query @ key.mT / math.sqrt(query.shape[-1])
    return scores.masked_fill(~mask, -math.inf).softmax(-1) @ value


def softmax_over_the_queries(query, key, value, mask):
    """The softmax ran over the queries, so that the weights of each key add up to 1. Each query shares out a weight of 1 among
    the keys: which axis is theirs?"""
    scores = query @ key.mT / math.sqrt(query.shape[-1])
    return scores.masked_fill(~mask, -math.inf).softmax(-2).nan_to_num() @ value


def softmax_over_everything(query, key, value, mask):
    """One softmax ran over all pairs of a query and a key, so that all weights together add up to 1. Each query has a
    softmax of its own."""
    scores = (query @ key.mT / math.sqrt(query.shape[-1])).masked_fill(~mask, -math.inf)
    return scores.flatten(-2).softmax(-1).view_as(scores) @ value


def no_softmax(query, key, value, mask):
    """The values were added up with the scores as their weights. Scores can be negative, and do not add up to 1: the softmax is
    missing."""
    return (query @ key.mT / math.sqrt(query.shape[-1]) * mask) @ value


def weights_returned(query, key, value, mask):
    """You return the weights. Asked for is what they make of the values."""
    return _attend(
        query @ key.mT / math.sqrt(query.shape[-1]), torch.eye(key.shape[-2], dtype=key.dtype, device=key.device), mask
    )


def keys_averaged(query, key, value, mask):
    """What you return is made of the keys. The keys only decide how much each value counts: it is the values that are
    averaged."""
    return scaled_dot_product(query, key, key, mask)


def exponentials_overflow(query, key, value, mask):
    """With large scores the result is nan: exp(100) is too large for floating point. torch's softmax takes the largest score
    out first."""
    e = torch.exp(query @ key.mT / math.sqrt(query.shape[-1])) * mask
    return e / e.sum(-1, keepdim=True).clamp(min=1e-30) @ value


def without_a_graph(query, key, value, mask):
    """The result is right, but the queries and keys get no gradient: the weights were cut from the graph, by detach or no_grad.
    The model could not learn where to look."""
    return scaled_dot_product(query.detach(), key.detach(), value, mask)


def nan_replaced_in_the_result(query, key, value, mask):
    """The result is right, but gradients are nan: the nan of a query with no key to look at was replaced at the very end. On
    the way back its weights, which are nan, meet the values. Replace the weights, before they are multiplied."""
    scores = (query @ key.mT / math.sqrt(query.shape[-1])).masked_fill(~mask, -math.inf)
    return (scores.softmax(-1) @ value).nan_to_num(0.0)


def forbidden_keys_out_too_late(query, key, value, mask):
    """The forbidden keys still count when the exponentials are made, or in a first softmax, and are only taken out afterwards.
    When one of them has by far the largest score, the weights of the allowed keys have been rounded to 0 by then. When must
    the forbidden keys be out, so that neither a search for the largest score nor a softmax meets them?"""
    weights = (query @ key.mT / math.sqrt(query.shape[-1])).softmax(-1) * mask
    return weights / weights.sum(-1, keepdim=True).clamp(min=1e-20) @ value


def forbidden_keys_out_too_late_and_nan(query, key, value, mask):
    """The forbidden keys were taken out after the softmax, and the weights of the others divided by their sum. This sum is 0
    where no key is allowed. It is also rounded to 0 where a forbidden key has by far the largest score: when must that key be
    out?"""
    weights = (query @ key.mT / math.sqrt(query.shape[-1])).softmax(-1) * mask
    return weights / weights.sum(-1, keepdim=True) @ value


def masked_by_a_sum(query, key, value, mask):
    """The result is right, but the queries and keys get nan as gradients. −∞ was added to the scores. On the way back a sum
    hands everything on, also the nan of a query with no key to look at. Is −∞ to be added to a score, or to stand in its
    place?"""
    penalty = torch.zeros_like(mask, dtype=query.dtype).masked_fill(~mask, -math.inf)
    weights = (query @ key.mT / math.sqrt(query.shape[-1]) + penalty).softmax(-1)
    return weights.nan_to_num(0.0) @ value


def cases(rng: random.Random) -> list[Case]:
    two = torch.tensor([[1.0, 1.0, 1.0, 1.0], [2.0, 0.0, 0.0, 0.0]])
    keys = torch.tensor([[1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 2.0], [0.0, 0.0, 0.0, 0.0]])
    values = torch.tensor([[10.0, 0.0, 0.0, 0.0], [0.0, 10.0, 0.0, 0.0], [0.0, 0.0, 10.0, 1.0]])
    some = torch.tensor([[True, False, True], [True, True, True]])
    causal = torch.ones(3, 3).tril().bool()
    empty = torch.tensor([[[True, False, True, True]], [[False, False, False, False]]])
    large = torch.tensor([[200.0, 0.0], [0.0, -300.0]])
    return [
        public("two queries, three keys", two, keys, values, some),
        public("two texts, causal", *(normal(rng, 2, 3, n) for n in (5, 5, 2)), causal),
        public("a text with nothing to look at", normal(rng, 2, 3, 2), normal(rng, 2, 4, 2), normal(rng, 2, 4, 3), empty),
        public("large scores", large, large, torch.eye(2), torch.ones(1, 2).bool()),
        public("one key forbidden, scores far apart", *_far_apart(), torch.tensor([[True, False, True]])),
        hidden("heads", normal(rng, 2, 3, 5, 4), normal(rng, 2, 3, 7, 4), normal(rng, 2, 3, 7, 1), _mask(rng, 2, 1, 1, 7)),
        hidden("one key", normal(rng, 3, 2), normal(rng, 1, 2), normal(rng, 1, 5), torch.tensor([[True], [False], [True]])),
        hidden("double precision", *(normal(rng, 3, n, 6).double() for n in (2, 5, 5)), _mask(rng, 3, 2, 5)),
    ]


def _far_apart() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Scores of −60, 60 and −61: every exponential is a float, but not the quotient of two."""
    query, key = torch.tensor([[2.0, 0.0, 0.0, 0.0]]), torch.zeros(3, 4)
    key[:, 0] = torch.tensor([-60.0, 60.0, -61.0])
    return query, key, torch.tensor([[1.0], [2.0], [3.0]])


def _mask(rng: random.Random, *shape: int) -> torch.Tensor:
    return normal(rng, *shape) > -0.5


EXERCISE = Exercise(
    chapter="ch09_self_attention",
    minutes=20,
    difficulty=1,
    points=3,
    reference=scaled_dot_product,
    right=[with_exponentials, query_by_query, scaled_before_the_product],
    wrong=[
        not_scaled,
        divided_by_the_width,
        multiplied_by_the_root,
        root_of_the_number_of_keys,
        root_of_the_values_width,
        scaled_after_the_softmax,
        mask_the_other_way_round,
        mask_the_other_way_round_and_nan,
        mask_the_other_way_round_and_mean,
        not_scaled_and_nan,
        not_scaled_and_mean,
        divided_by_the_width_and_nan,
        mask_not_used,
        forbidden_scores_zero,
        mask_after_the_softmax,
        a_large_negative_number,
        nothing_to_look_at_is_nan,
        softmax_over_the_queries,
        softmax_over_everything,
        no_softmax,
        weights_returned,
        keys_averaged,
        exponentials_overflow,
        without_a_graph,
        nan_replaced_in_the_result,
        forbidden_keys_out_too_late,
        forbidden_keys_out_too_late_and_nan,
        masked_by_a_sum,
    ],
    cases=cases,
    probe="gradients",
    ready=(*ATTENTION, "lmcore"),
)
