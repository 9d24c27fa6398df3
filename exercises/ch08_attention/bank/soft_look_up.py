"""The soft look-up: a mean of all values, weighted by how well their keys match a query."""

import math
import random

import torch

from exercises.grader.exercise import Exercise, hidden, normal, public
from lmcore.check.ready import ATTENTION
from lmcore.check.run import Case


def soft_look_up(query, keys, values, scale):
    weights = (scale * keys @ query).softmax(dim=0)
    return weights @ values


# Right, written differently


def with_exponentials(query, keys, values, scale):
    scores = scale * (keys * query).sum(1)
    e = torch.exp(scores - scores.max())
    return (e[:, None] * values).sum(0) / e.sum()


def key_by_key(query, keys, values, scale):
    scores = [scale * torch.dot(query, key) for key in keys]
    weights = torch.softmax(torch.stack(scores), 0)
    total = torch.zeros_like(values[0])
    for weight, value in zip(weights, values, strict=True):
        total = total + weight * value
    return total


def as_a_matrix_product(query, keys, values, scale):
    weights = torch.nn.functional.softmax((query[None] @ keys.T).mul(scale), dim=1)
    return (weights @ values).squeeze(0)


# Wrong: the docstring is the hint


def _scores(query, keys, scale):
    return scale * keys @ query


def hard_choice(query, keys, values, scale):
    """This is the hard look-up: the value of the best key alone. The others count too, each by its weight."""
    best = _scores(query, keys, scale).argmax()
    return values[best]


def scale_left_out(query, keys, values, scale):
    """λ plays no part. It is what makes the look-up harder or softer: with λ = 0 all values count the same."""
    return soft_look_up(query, keys, values, 1.0)


def divided_by_the_scale(query, keys, values, scale):
    """The scores were divided by λ. They are multiplied by it: the larger λ, the harder the choice."""
    return soft_look_up(query, keys, values, 1.0 / scale if scale else 1e9)


def scaled_after_the_softmax(query, keys, values, scale):
    """λ came after the softmax, so that the weights add up to λ. It belongs to the scores."""
    return scale * soft_look_up(query, keys, values, 1.0)


def no_softmax(query, keys, values, scale):
    """The values were added up with the scores as weights. Scores may be negative, and do not add up to 1: the softmax is
    missing."""
    return _scores(query, keys, scale) @ values


def scores_divided_by_their_sum(query, keys, values, scale):
    """The scores were divided by their sum. Then a negative score gives a negative weight, and λ cancels out: which function
    comes before the division?"""
    scores = _scores(query, keys, scale)
    return scores / (scores.sum() + (scores.sum() == 0)) @ values


def not_normalised(query, keys, values, scale):
    """The weights are the exponentials of the scores, and do not add up to 1. What are they divided by?"""
    return _scores(query, keys, scale).exp() @ values


def each_by_itself(query, keys, values, scale):
    """Every score went through σ by itself. The keys compete: their weights add up to 1."""
    return _scores(query, keys, scale).sigmoid() @ values


def softmax_of_base_two(query, keys, values, scale):
    """The weights are powers of 2. The softmax takes powers of e."""
    return soft_look_up(query, keys, values, scale * math.log(2.0))


def by_the_angle(query, keys, values, scale):
    """Query and keys were brought to length 1: this is the cosine. The score is the plain dot product, in which a longer key
    counts for more."""
    units = keys / keys.norm(dim=1, keepdim=True).clamp(min=1e-9)
    return soft_look_up(query / query.norm().clamp(min=1e-9), units, values, scale)


def by_the_distance(query, keys, values, scale):
    """The score is minus the distance between query and key. Here it is their dot product."""
    distance = (keys - query).square().sum(1).sqrt()
    return (-scale * distance).softmax(0) @ values


def farthest_key(query, keys, values, scale):
    """The worse a key matches, the more its value counts: a sign is turned round."""
    return soft_look_up(query, keys, values, -scale)


def divided_by_the_root(query, keys, values, scale):
    """The scores were divided by the root of their width as well. That is chapter 9's scale; here λ takes its place."""
    return soft_look_up(query, keys, values, scale / math.sqrt(len(query)))


def keys_averaged(query, keys, values, scale):
    """What you return is made of the keys. They only decide how much each value counts."""
    return soft_look_up(query, keys, keys, scale)


def weights_returned(query, keys, values, scale):
    """You return the weights. Asked for is what they make of the values."""
    return _scores(query, keys, scale).softmax(0)


def best_two(query, keys, values, scale):
    """Only the two best keys count. All keys have a weight above 0, however small."""
    scores = _scores(query, keys, scale)
    lowest = scores.topk(min(2, len(scores))).values[-1]
    return scores.masked_fill(scores < lowest, -math.inf).softmax(0) @ values


def exponentials_overflow(query, keys, values, scale):
    """With large scores the result is nan: exp(100) is too large for floating point. torch's softmax takes the largest score
    out first."""
    e = _scores(query, keys, scale).exp()
    return e / e.sum() @ values


def without_a_graph(query, keys, values, scale):
    """The result is right, but the query gets no gradient: the weights were cut from the graph. This is just what the soft
    look-up has over the hard one: it can learn what to look for."""
    return soft_look_up(query.detach(), keys.detach(), values, scale)


def largest_match_taken_from_the_scores(query, keys, values, scale):
    """Before the exponentials you took away the largest match as it is without λ. If λ is not 1, that is not the largest of
    the scores: all exponentials may be rounded to 0, or some may be infinite. What is the largest number in your exponents?"""
    e = torch.exp(_scores(query, keys, scale) - (keys @ query).max())
    return e / e.sum() @ values


def cases(rng: random.Random) -> list[Case]:
    keys = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [-1.0, 2.0]])
    values = torch.tensor([[8.0], [7.0], [9.0], [6.0]])
    large = torch.tensor([[300.0, 0.0], [299.0, 1.0], [0.0, -20.0]])
    return [
        public("four keys", torch.tensor([2.0, 1.0]), keys, values, 0.5),
        public("as wide as the keys", normal(rng, 3), normal(rng, 5, 3), normal(rng, 5, 3), 2.0),
        public("large scores", torch.tensor([1.0, 0.5]), large, torch.eye(3), 1.0),
        public("large matches, a soft choice", torch.tensor([1.0, 0.5]), large, torch.eye(3), 0.2),
        hidden("the mean of all", normal(rng, 2), normal(rng, 4, 2), normal(rng, 4, 1), 0.0),
        hidden("one key", normal(rng, 4), normal(rng, 1, 4), normal(rng, 1, 2), 3.0),
        hidden("double precision", *(normal(rng, *shape).double() for shape in ((7,), (3, 7), (3, 5))), rng.uniform(0.2, 0.6)),
    ]


EXERCISE = Exercise(
    chapter="ch08_attention",
    minutes=10,
    difficulty=1,
    points=2,
    reference=soft_look_up,
    right=[with_exponentials, key_by_key, as_a_matrix_product],
    wrong=[
        hard_choice,
        scale_left_out,
        divided_by_the_scale,
        scaled_after_the_softmax,
        no_softmax,
        scores_divided_by_their_sum,
        not_normalised,
        each_by_itself,
        softmax_of_base_two,
        by_the_angle,
        by_the_distance,
        farthest_key,
        divided_by_the_root,
        keys_averaged,
        weights_returned,
        best_two,
        exponentials_overflow,
        without_a_graph,
        largest_match_taken_from_the_scores,
    ],
    cases=cases,
    probe="gradients",
    equivalent={"0 → -1": "the scores have one axis, which is the first and the last"},
    ready=(*ATTENTION, "lmcore"),
)
