"""Temperature (Ackley, Hinton and Sejnowski 1985, section 2) and top-k (Fan et al. 2018, section 5.1): from logits to the
distribution that is drawn from."""

import math
import random

import torch

from exercises.grader.exercise import Exercise, hidden, normal, public
from lmcore.check.run import Case


def temperature_and_top_k(logits, temperature, k):
    z = logits / temperature
    ranked = z.sort(descending=True).values
    least = ranked[:, min(k, z.shape[1]) - 1].unsqueeze(1)
    return z.masked_fill(z < least, -math.inf).softmax(dim=1)


# Right, written differently


def filtered_first(logits, temperature, k):
    """A temperature does not change the order, so the filter may come before it."""
    k = min(k, logits.shape[-1])
    least = torch.topk(logits, k, dim=-1).values.amin(-1, keepdim=True)
    kept = torch.where(logits >= least, logits, torch.full_like(logits, -math.inf))
    return torch.softmax(kept / temperature, -1)


def row_by_row(logits, temperature, k):
    rows = []
    for row in logits.tolist():
        least = sorted(row)[-k:][0]
        largest = max(row)
        shares = [math.exp((z - largest) / temperature) if z >= least else 0.0 for z in row]
        rows.append([share / sum(shares) for share in shares])
    return torch.tensor(rows).to(logits)


def by_counting(logits, temperature, k):
    """A token stays if fewer than k are more probable."""
    better = (logits[:, None, :] > logits[:, :, None]).sum(2)
    z = (logits - logits.amax(1, keepdim=True)) / temperature
    shares = z.exp() * (better < k)
    return shares / shares.sum(1, keepdim=True)


# Wrong: the docstring is the hint


def _least(z, k):
    return z.topk(min(k, z.shape[1]), dim=1).values[:, -1:]


def _kept(z, k):
    return z.masked_fill(z < _least(z, k), -math.inf)


def multiplied_by_the_temperature(logits, temperature, k):
    """The logits were multiplied by the temperature: a low one makes the distribution flat, and a high one makes it sharp.
    It is to be the other way round."""
    return temperature_and_top_k(logits, 1 / temperature, k)


def temperature_left_out(logits, temperature, k):
    """The temperature plays no part: the result is the same for every τ."""
    return temperature_and_top_k(logits, 1.0, k)


def probabilities_divided(logits, temperature, k):
    """The probabilities were divided by the temperature, after the softmax: a row no longer sums to 1, and its proportions are
    the same for every τ. What does the equation divide by τ?"""
    return _kept(logits, k).softmax(1) / temperature


def softmax_twice(logits, temperature, k):
    """The softmax was taken of probabilities. They lie between 0 and 1, so the result is nearly uniform. Divide the logits
    themselves."""
    return (_kept(logits, k).softmax(1) / temperature).softmax(1)


def not_renormalised(logits, temperature, k):
    """What is left does not sum to 1: the softmax was taken of all tokens, and then some were set to 0. How do those that stay
    get the probability of those that go?"""
    z = logits / temperature
    return z.softmax(1).masked_fill(z < _least(z, k), 0.0)


def zero_for_infinity(logits, temperature, k):
    """The tokens that go have a logit of 0, which is a logit like others: e⁰ = 1. Which logit has the exponential 0?"""
    z = logits / temperature
    return z.masked_fill(z < _least(z, k), 0.0).softmax(1)


def the_least_probable(logits, temperature, k):
    """The k least probable tokens stayed. Which end of the order is to stay?"""
    z = logits / temperature
    most = (-z).topk(min(k, z.shape[1]), dim=1).values[:, -1:]
    return z.masked_fill(-z < most, -math.inf).softmax(1)


def everything_stays(logits, temperature, k):
    """No token was forbidden: k plays no part."""
    return (logits / temperature).softmax(1)


def one_too_many(logits, temperature, k):
    """One token too many stays, the one after the k-th. In a row counted from 0, at which place does the k-th stand?"""
    return temperature_and_top_k(logits, temperature, k + 1)


def one_too_few(logits, temperature, k):
    """One token too few stays: the k-th went too. Only what is less probable than the k-th has to go."""
    return temperature_and_top_k(logits, temperature, max(1, k - 1))


def ties_cut(logits, temperature, k):
    """Exactly k tokens stayed, though another is as probable as the k-th. Nothing prefers one of them to the other: all of
    them stay."""
    z = logits / temperature
    best = z.topk(min(k, z.shape[1]), dim=1)
    return torch.full_like(z, -math.inf).scatter(1, best.indices, best.values).softmax(1)


def equal_logits_counted_once(logits, temperature, k):
    """Too many tokens stay where two of the most probable have the same logit: the two were counted as one. They are two
    tokens. With the logits 2, 2, 1 and 0, which is the second largest?"""
    rows = []
    for z in logits / temperature:
        different = z.unique(sorted=True)
        rows.append(z.masked_fill(z < different[-min(k, len(different))], -math.inf).softmax(0))
    return torch.stack(rows)


def one_border_for_all(logits, temperature, k):
    """The border of the first text was used for all of them. Each row has its own k-th token."""
    z = logits / temperature
    return z.masked_fill(z < _least(z, k)[:1], -math.inf).softmax(1).nan_to_num(0.0)


def k_of_all_texts(logits, temperature, k):
    """The k most probable tokens were chosen from all texts together. Each text is a distribution of its own and keeps k."""
    z = logits / temperature
    least = z.flatten().topk(min(k, z.numel())).values[-1]
    return z.masked_fill(z < least, -math.inf).softmax(1).nan_to_num(0.0)


def softmax_over_the_texts(logits, temperature, k):
    """The softmax ran over the texts: the columns sum to 1, or are nan where every text dropped the token. The V tokens of one
    text compete with each other."""
    return _kept(logits / temperature, k).softmax(0)


def all_alike(logits, temperature, k):
    """The k tokens that stayed have the same probability. They keep their proportions: only the others go."""
    z = logits / temperature
    return torch.zeros_like(z).masked_fill(z < _least(z, k), -math.inf).softmax(1)


def the_best_alone(logits, temperature, k):
    """All of the probability lies on the most probable token: that is the greedy choice, or what k = 1 does."""
    return temperature_and_top_k(logits, temperature, 1)


def sorted_by_probability(logits, temperature, k):
    """The probabilities stand in the order of their size. Number v of a row belongs to the token v: where does each of them
    belong?"""
    return temperature_and_top_k(logits, temperature, k).sort(1, descending=True).values


def logits_returned(logits, temperature, k):
    """You return logits. Asked for is the distribution that is drawn from: its rows sum to 1."""
    return _kept(logits / temperature, k)


def logarithms(logits, temperature, k):
    """You return logarithms of probabilities. Asked for are the probabilities: they lie between 0 and 1."""
    return _kept(logits / temperature, k).log_softmax(1)


def exponentials_overflow(logits, temperature, k):
    """With large logits the result holds nan: e to the power of some hundred is more than a float can hold. Take the largest
    logit away first, or use a function that does."""
    e = _kept(logits / temperature, k).exp()
    return e / e.sum(1, keepdim=True)


def power_of_probabilities(logits, temperature, k):
    """The softmax came before the temperature. On paper, probabilities to the power of 1/τ are the same. But where logits lie
    hundreds apart, the smaller probability is rounded to 0 before a high temperature can raise it. What is divided by τ in
    the equation?"""
    q = logits.softmax(1).masked_fill(logits < _least(logits, k), 0.0) ** (1 / temperature)
    return q / q.sum(1, keepdim=True)


def logits_overwritten(logits, temperature, k):
    """The probabilities are right, but the logits that you were given have changed. The caller may still need them: work on a
    new tensor."""
    right = temperature_and_top_k(logits, temperature, k)
    logits /= temperature
    return right


def cases(rng: random.Random) -> list[Case]:
    logs = torch.tensor([[4.0, 1.0, 2.0, 1.0]]).log()
    two = torch.tensor([[1.0, 3.0, 0.0, 2.0, 2.5], [2.25, -1.0, -4.0, 1.0, -2.0]])
    return [
        public("temperature 0.5, two tokens", logs, 0.5, 2),
        public("a tie, temperature 1", logs, 1.0, 3),
        public("a tie at the border", torch.tensor([[2.0, 1.0, 1.0, 0.0]]), 2.0, 2),
        public("a tie of the most probable", torch.tensor([[1.0, 2.0, 0.0, 2.0]]), 1.0, 2),
        public("two texts, temperature 1.5, three tokens", two, 1.5, 3),
        public("large logits", torch.tensor([[300.0, 299.0, -500.0]]), 0.5, 2),
        public("large logits far apart, a high temperature", torch.tensor([[100.0, 300.0, -500.0]]), 200.0, 2),
        hidden("more than there are", normal(rng, 2, 3), 0.7, 11),
        hidden("the most probable alone", normal(rng, 3, 5), 1.3, 1),
        hidden("a vocabulary of one", normal(rng, 2, 1), 0.9, 1),
        hidden("many texts", normal(rng, 7, 13), 0.8, 5),
        hidden("double precision", normal(rng, 3, 11).double(), 1.7, 7),
    ]


EXERCISE = Exercise(
    chapter="ch17_decoding",
    minutes=20,
    difficulty=1,
    points=2,
    reference=temperature_and_top_k,
    right=[filtered_first, row_by_row, by_counting],
    wrong=[
        multiplied_by_the_temperature,
        temperature_left_out,
        probabilities_divided,
        softmax_twice,
        not_renormalised,
        zero_for_infinity,
        the_least_probable,
        everything_stays,
        one_too_many,
        one_too_few,
        ties_cut,
        equal_logits_counted_once,
        one_border_for_all,
        k_of_all_texts,
        softmax_over_the_texts,
        all_alike,
        the_best_alone,
        sorted_by_probability,
        logits_returned,
        logarithms,
        exponentials_overflow,
        power_of_probabilities,
        logits_overwritten,
    ],
    cases=cases,
    ready=("lmcore",),
)
