"""The causal mask as −∞ before the softmax (Vaswani et al. 2017, section 3.2.3), also behind a cache. The function is swapped
into a small GPT-2."""

import math
import random

import torch

from exercises.grader.exercise import Exercise, hidden, normal, public
from lmcore.check.ready import ATTENTION
from lmcore.check.run import Case


def causal_weights(scores):
    _, _, T, S = scores.shape
    ahead = torch.ones_like(scores).triu(S - T + 1) > 0
    return scores.masked_fill(ahead, -math.inf).softmax(dim=-1)


# Right, written differently


def with_places(scores):
    """Query t stands at place S − T + t of the text, and key s at place s."""
    keys = torch.arange(scores.shape[3])
    queries = keys[scores.shape[3] - scores.shape[2] :]
    allowed = (keys[None, :] <= queries[:, None]).to(scores.device)
    return torch.softmax(torch.where(allowed, scores, torch.full_like(scores, -math.inf)), 3)


def query_by_query(scores):
    B, H, T, S = scores.shape
    rows = []
    for t in range(T):
        seen = S - T + t + 1
        weights = torch.softmax(scores[:, :, t, :seen], dim=2)
        rows.append(torch.cat([weights, weights.new_zeros(B, H, S - seen)], dim=2))
    return torch.stack(rows, dim=2)


def exponentials_by_hand(scores):
    T, S = scores.shape[2], scores.shape[3]
    added = torch.zeros(T, S).to(scores)
    for t in range(T):
        added[t, S - T + t + 1 :] = -math.inf
    forbidden = scores + added
    e = torch.exp(forbidden - forbidden.detach().amax(3, keepdim=True))
    return e / e.sum(3, keepdim=True)


# Wrong: the docstring is the hint


def _ahead(scores, diagonal=None):
    T, S = scores.shape[-2:]
    return torch.ones_like(scores, dtype=torch.bool).triu(S - T + 1 if diagonal is None else diagonal)


def zero_before_the_softmax(scores):
    """The forbidden scores were set to 0. A score of 0 is a score like others, since e⁰ = 1: the future gets its share. Which
    score has the exponential 0?"""
    return scores.masked_fill(_ahead(scores), 0.0).softmax(-1)


def zero_after_the_softmax(scores):
    """The future has the weight 0, but what is left of a row no longer sums to 1: the forbidden scores were still in the
    denominator of the softmax. When do they have to be gone?"""
    return scores.softmax(-1).masked_fill(_ahead(scores), 0.0)


def divided_by_the_new_sum(scores):
    """The future was taken out after the softmax, and the rest divided by its sum. On paper that is right. But one large
    forbidden score takes all of the probability, and 0 is divided by 0. Take the future out before anything is
    exponentiated."""
    weights = scores.softmax(-1).masked_fill(_ahead(scores), 0.0)
    return weights / weights.sum(-1, keepdim=True)


def zero_times_infinity(scores):
    """The result holds nan. Did you multiply a mask of zeros and ones by −∞? Zero times infinity is no number: set −∞ only
    where it belongs."""
    return (scores + _ahead(scores).to(scores) * -math.inf).softmax(-1)


def zeros_taken_for_the_future(scores):
    """The future was set to 0, and then every 0 became −∞. But an allowed score may be 0 too: its key is lost, and a row that
    has no other score is nan. How does one know the future, by its score or by its place?"""
    T, S = scores.shape[-2:]
    lower = scores.tril(S - T)
    return lower.masked_fill(lower == 0, -math.inf).softmax(-1)


def a_small_number(scores):
    """The forbidden scores were set to a moderate number, such as −10. The future then gets a little weight, and more than a
    little where the other scores are low too. Only −∞ leaves nothing for any scores."""
    return scores.masked_fill(_ahead(scores), -10.0).softmax(-1)


def triangle_from_the_first_key(scores):
    """The triangle begins at the first key, as if the first query were the first token of the text. With a cache there are
    more keys than queries. At which place of the text does the first of the T queries stand?"""
    return scores.masked_fill(_ahead(scores, 1), -math.inf).softmax(-1)


def offset_subtracted(scores):
    """The triangle was moved by S − T in the wrong direction: behind a cache, early queries see no key at all, and their rows
    are nan. The tokens in the cache came before the queries: the more there are, the more keys a query may look at."""
    T, S = scores.shape[-2:]
    return scores.masked_fill(_ahead(scores, T - S + 1), -math.inf).softmax(-1)


def no_mask_with_a_cache(scores):
    """Where there are more keys than queries, nothing was forbidden. A single new token needs no mask, as it comes last. But
    when several new tokens are read at once, the first of them must not see the second."""
    return scores.softmax(-1) if scores.shape[-1] > scores.shape[-2] else causal_weights(scores)


def cache_not_seen(scores):
    """The new tokens look at each other, and at nothing in the cache. What came before is the text they go on with: every
    query sees all of it."""
    T, S = scores.shape[-2:]
    forbidden = _ahead(scores).clone()
    forbidden[..., : S - T] = True
    return scores.masked_fill(forbidden, -math.inf).softmax(-1)


def not_itself(scores):
    """A token does not see itself: the diagonal was forbidden too, and the first token of a text is left with nothing. A query
    may look at its own key. It predicts the token after it, so that is no look ahead."""
    T, S = scores.shape[-2:]
    return scores.masked_fill(_ahead(scores, S - T), -math.inf).softmax(-1)


def one_ahead(scores):
    """Every query sees one token too many: the next one, which it is to predict. Such a model has a loss near 0 and has
    learned to copy."""
    return scores.masked_fill(_ahead(scores, scores.shape[-1] - scores.shape[-2] + 2), -math.inf).softmax(-1)


def the_past_forbidden(scores):
    """The triangle is the wrong one: a query sees itself and what comes after it. Rows are queries and columns are keys; which
    keys have a larger number than the query?"""
    past = torch.ones_like(scores, dtype=torch.bool).tril(scores.shape[-1] - scores.shape[-2] - 1)
    return scores.masked_fill(past, -math.inf).softmax(-1)


def not_masked(scores):
    """Every query sees every key: this is the softmax without a mask, the attention of an encoder."""
    return scores.softmax(-1)


def softmax_over_the_queries(scores):
    """The softmax ran over the queries: the columns sum to 1. Each query shares a weight of 1 among the keys. Which axis is
    that of the keys?"""
    return scores.masked_fill(_ahead(scores), -math.inf).softmax(-2)


def softmax_over_the_heads(scores):
    """The softmax ran over the heads, which gives nan where a key is forbidden to all of them. Each head looks on its own: its
    weights for one query sum to 1."""
    return scores.masked_fill(_ahead(scores), -math.inf).softmax(1)


def no_softmax(scores):
    """You return the scores with −∞ in them. Asked for are the weights: the softmax is still to come."""
    return scores.masked_fill(_ahead(scores), -math.inf)


def logarithms(scores):
    """You return the logarithms of the weights. A weight lies between 0 and 1."""
    return scores.masked_fill(_ahead(scores), -math.inf).log_softmax(-1)


def scaled_again(scores):
    """The scores were divided by a root before the softmax. They are scaled already: take them as they are."""
    return causal_weights(scores / math.sqrt(scores.shape[-1]))


def weights_detached(scores):
    """The weights are right, but no gradient flows through them to the scores: the model could never learn where to look."""
    return causal_weights(scores).detach()


def scores_overwritten(scores):
    """The weights are right, but the scores that you were given have −∞ in them now. The caller may still need them: work on a
    new tensor."""
    scores.masked_fill_(_ahead(scores), -math.inf)
    return scores.softmax(-1)


def cases(rng: random.Random) -> list[Case]:
    plain = torch.tensor([[[[0.0, 5.0, 5.0], [1.0, 1.0, 5.0], [0.0, 1.0, 0.0]]]])
    behind = torch.tensor([[[[0.0, 1.0, 0.0, 1.0, 2.0], [1.0, 0.0, 0.0, 2.0, 1.0]]]])
    loud = torch.tensor([[[[1.0, 200.0], [1.0, 2.0]], [[-60.0, 0.0], [-30.0, -31.0]]]])
    return [
        public("three tokens, no cache", plain),
        public("two new tokens behind three in a cache", behind),
        public("a loud token ahead, and two heads", loud),
        public("two texts, two heads, two new tokens behind two", normal(rng, 2, 2, 2, 4)),
        hidden("one new token", normal(rng, 3, 2, 1, 5)),
        hidden("the first token", normal(rng, 1, 3, 1, 1)),
        hidden("no cache", 3 * normal(rng, 3, 2, 7, 7)),
        hidden("double precision", normal(rng, 1, 3, 5, 11).double()),
    ]


EXERCISE = Exercise(
    chapter="ch16_gpt",
    minutes=15,
    difficulty=1,
    points=2,
    reference=causal_weights,
    right=[with_places, query_by_query, exponentials_by_hand],
    wrong=[
        zero_before_the_softmax,
        zero_after_the_softmax,
        divided_by_the_new_sum,
        zero_times_infinity,
        a_small_number,
        triangle_from_the_first_key,
        offset_subtracted,
        no_mask_with_a_cache,
        zeros_taken_for_the_future,
        cache_not_seen,
        not_itself,
        one_ahead,
        the_past_forbidden,
        not_masked,
        softmax_over_the_queries,
        softmax_over_the_heads,
        no_softmax,
        logarithms,
        scaled_again,
        weights_detached,
        scores_overwritten,
    ],
    cases=cases,
    probe="causal",
    ready=(*ATTENTION, "lmcore"),
)
