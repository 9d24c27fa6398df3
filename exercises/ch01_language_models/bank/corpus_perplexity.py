"""Perplexity of a test text from the log-probabilities of its tokens, ``<end>`` counted (as SRILM and KenLM report it)."""

import math
import random

import torch

from exercises.grader.exercise import Exercise, hidden, public
from lmcore.check.run import Case


def corpus_perplexity(log_probs):
    total = sum(sum(sentence) for sentence in log_probs)
    tokens = sum(len(sentence) for sentence in log_probs)
    return math.exp(-total / tokens)


# Right, written differently


def in_one_list(log_probs):
    everything = [value for sentence in log_probs for value in sentence]
    return math.exp(-math.fsum(everything) / len(everything))


def with_torch(log_probs):
    everything = torch.cat([torch.tensor(sentence, dtype=torch.float64) for sentence in log_probs])
    return (-everything.mean()).exp().item()


def through_bits(log_probs):
    total, tokens = 0.0, 0
    for sentence in log_probs:
        for value in sentence:
            total -= value / math.log(2)
            tokens += 1
    return 2 ** (total / tokens)


# Wrong: the docstring is the hint


def forgot_the_sign(log_probs):
    """The result is below 1. Log-probabilities are negative, and perplexity is the exponential of their negative
    mean."""
    return 1 / corpus_perplexity(log_probs)


def mean_of_perplexities(log_probs):
    """You averaged the perplexities of the sentences. Average the log-probabilities of all tokens first; take the
    exponential once, at the end."""
    return sum(math.exp(-sum(s) / len(s)) for s in log_probs) / len(log_probs)


def mean_of_sentence_means(log_probs):
    """You averaged within each sentence, and then over sentences. A token of a short sentence now weighs more than
    one of a long sentence. Divide one sum by one number of tokens."""
    return math.exp(-sum(sum(s) / len(s) for s in log_probs) / len(log_probs))


def per_sentence(log_probs):
    """You divided by the number of sentences. Perplexity is per token."""
    return math.exp(min(-sum(map(sum, log_probs)) / len(log_probs), 700))


def end_not_counted(log_probs):
    """The log-probability of the end token is in your sum, but the token is not in your count: you divided by the
    number of words. The last entry of each sentence is a prediction like any other."""
    words = sum(len(s) - 1 for s in log_probs)
    return math.exp(-sum(map(sum, log_probs)) / words) if words else float("inf")


def end_counted_twice(log_probs):
    """You divided by one more than the length of each sentence, for the end token. To which token does the last entry of a
    sentence belong? Count the predictions of the first case by hand."""
    return math.exp(-sum(map(sum, log_probs)) / sum(len(s) + 1 for s in log_probs))


def end_left_out(log_probs):
    """The last entry of each sentence is missing from sum and count. It belongs to the end token, which a model
    must predict too; without it a model is never charged for not knowing where to stop."""
    words = [value for s in log_probs for value in s[:-1]]
    return math.exp(-sum(words) / len(words)) if words else float("inf")


def base_two(log_probs):
    """You raised 2 to a number of nats. The log-probabilities are natural, so the exponential must be natural too
    (or divide by ln 2 first)."""
    return 2 ** (-sum(map(sum, log_probs)) / sum(map(len, log_probs)))


def cross_entropy(log_probs):
    """This is the cross-entropy in nats per token. Perplexity is its exponential."""
    return -sum(map(sum, log_probs)) / sum(map(len, log_probs))


def of_the_whole_text(log_probs):
    """You took the exponential of the sum, without dividing by the number of tokens. Such a number grows with the
    length of the text."""
    return math.exp(min(-sum(map(sum, log_probs)), 700))


def mean_of_inverse_probabilities(log_probs):
    """You averaged 1/p over the tokens. Average log p, and take the exponential afterwards: the mean of
    exponentials is larger than the exponential of the mean."""
    everything = [value for s in log_probs for value in s]
    return sum(math.exp(min(-value, 700)) for value in everything) / len(everything)


def inverse_of_mean_probability(log_probs):
    """You averaged the probabilities and inverted the mean. The probability of a text is a product, so its mean
    per token is geometric: average the logarithms."""
    everything = [value for s in log_probs for value in s]
    return 1 / (sum(map(math.exp, everything)) / len(everything))


def underflows(log_probs):
    """On a long text the product of the probabilities is smaller than the smallest floating-point number and becomes 0, and
    the result is infinite. Stay with sums of logarithms until the end."""
    probability = 1.0
    for s in log_probs:
        for value in s:
            probability *= math.exp(value)
    return probability ** (-1 / sum(map(len, log_probs))) if probability else float("inf")


def underflows_with_an_error(log_probs):
    """On a long text the product of the probabilities is smaller than the smallest floating-point number and becomes 0.
    Nothing can be divided by it, and it has no logarithm. Stay with sums of logarithms until the end."""
    return math.prod(math.exp(value) for s in log_probs for value in s) ** (-1 / sum(map(len, log_probs)))


def first_sentence(log_probs):
    """Only the first sentence was scored. Is your `return` inside the loop?"""
    return math.exp(-sum(log_probs[0]) / len(log_probs[0]))


def cases(rng: random.Random) -> list[Case]:
    log = math.log
    return [
        public("always one of 8 equally likely tokens", [[log(1 / 8)] * 3, [log(1 / 8)] * 2]),
        public("a long and a short sentence", [[log(1 / 2), log(1 / 4), log(1 / 2), log(1 / 8)], [log(1 / 16)]]),
        public("a long text", [[log(0.01), log(0.2), log(0.5)] for _ in range(400)]),
        public("one sentence", [[-0.5, -2.25, -0.125]]),
        hidden("a certain text", [[0.0, 0.0], [0.0]]),
        *[hidden(f"random text {i}", _random_text(rng)) for i in (1, 2, 3)],
    ]


def _random_text(rng: random.Random) -> list[list[float]]:
    return [[-rng.expovariate(0.7) for _ in range(rng.randint(1, 9))] for _ in range(rng.randint(2, 6))]


EXERCISE = Exercise(
    chapter="ch01_language_models",
    minutes=10,
    difficulty=1,
    points=2,
    reference=corpus_perplexity,
    right=[in_one_list, with_torch, through_bits],
    wrong=[
        forgot_the_sign,
        mean_of_perplexities,
        mean_of_sentence_means,
        per_sentence,
        end_not_counted,
        end_counted_twice,
        end_left_out,
        base_two,
        cross_entropy,
        of_the_whole_text,
        mean_of_inverse_probabilities,
        inverse_of_mean_probability,
        underflows,
        underflows_with_an_error,
        first_sentence,
    ],
    cases=cases,
    ready=("lmcore",),
)
