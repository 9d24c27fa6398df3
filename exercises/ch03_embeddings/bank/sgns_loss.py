"""The loss of skip-gram with negative sampling (Mikolov et al. 2013b, equation 4, with the sign of a loss)."""

import random

import torch
import torch.nn.functional as F

from exercises.grader.exercise import Exercise, hidden, normal, public
from lmcore.check.run import Case


def sgns_loss(centre, context, noise):
    positive = (centre * context).sum(-1)
    negative = (noise @ centre.unsqueeze(-1)).squeeze(-1)
    return -(F.logsigmoid(positive) + F.logsigmoid(-negative).sum(-1)).mean()


# Right, written differently


def as_classification(centre, context, noise):
    words = torch.cat([context.unsqueeze(1), noise], dim=1)
    scores = torch.einsum("bkc,bc->bk", words, centre)
    labels = torch.zeros_like(scores)
    labels[:, 0] = 1.0
    return F.binary_cross_entropy_with_logits(scores, labels, reduction="none").sum(1).mean()


def with_softplus(centre, context, noise):
    positive = torch.einsum("bc,bc->b", centre, context)
    negative = torch.einsum("bkc,bc->bk", noise, centre)
    return (F.softplus(-positive) + F.softplus(negative).sum(1)).mean()


def in_loops(centre, context, noise):
    total = centre.new_zeros(())
    for v, u, others in zip(centre, context, noise, strict=True):
        total = total - F.logsigmoid(u.dot(v))
        for other in others:
            total = total - F.logsigmoid(-other.dot(v))
    return total / len(centre)


# Wrong: the docstring is the hint


def _scores(centre, context, noise):
    return (centre * context).sum(-1), torch.einsum("bkc,bc->bk", noise, centre)


def noise_not_negated(centre, context, noise):
    """The scores of the noise words have the wrong sign. The model should say no to them, and the probability of no is
    σ(−s)."""
    positive, negative = _scores(centre, context, noise)
    return -(F.logsigmoid(positive) + F.logsigmoid(negative).sum(-1)).mean()


def mean_over_noise(centre, context, noise):
    """The noise terms of a pair were averaged. The equation sums over the K noise words; only the pairs of the batch are
    averaged."""
    positive, negative = _scores(centre, context, noise)
    return -(F.logsigmoid(positive) + F.logsigmoid(-negative).mean(-1)).mean()


def sum_over_batch(centre, context, noise):
    """The loss is summed over the batch. Return the mean over its pairs, so that the batch size does not change the step."""
    positive, negative = _scores(centre, context, noise)
    return -(F.logsigmoid(positive) + F.logsigmoid(-negative).sum(-1)).sum()


def one_loss_per_pair(centre, context, noise):
    """The result has one number per pair. Return their mean, a single number."""
    positive, negative = _scores(centre, context, noise)
    return -(F.logsigmoid(positive) + F.logsigmoid(-negative).sum(-1))


def mean_over_everything(centre, context, noise):
    """The mean runs over pairs and words alike, so each pair's loss is divided by 1 + K. Sum within a pair, then average
    the pairs."""
    positive, negative = _scores(centre, context, noise)
    return -torch.cat([F.logsigmoid(positive).unsqueeze(1), F.logsigmoid(-negative)], 1).mean()


def likelihood(centre, context, noise):
    """The sign is turned round: this is the log-likelihood, which training would make as small as it can. A loss is its
    negative."""
    return -sgns_loss(centre, context, noise)


def no_logarithm(centre, context, noise):
    """The probabilities themselves were added, without the logarithm. Independent decisions multiply, so their logarithms
    add."""
    positive, negative = _scores(centre, context, noise)
    return -(torch.sigmoid(positive) + torch.sigmoid(-negative).sum(-1)).mean()


def positives_only(centre, context, noise):
    """The noise words play no part. Without them every score can grow without bound, and the loss goes to zero with nothing
    learned."""
    positive, _ = _scores(centre, context, noise)
    return -F.logsigmoid(positive).mean()


def noise_only(centre, context, noise):
    """The true context word plays no part: its term −log σ(u·v) is missing."""
    _, negative = _scores(centre, context, noise)
    return -F.logsigmoid(-negative).sum(-1).mean()


def softmax_over_words(centre, context, noise):
    """This is a softmax over the true word and the noise words. Negative sampling makes one yes-or-no decision for each
    word, each with its own σ."""
    positive, negative = _scores(centre, context, noise)
    return -torch.cat([positive.unsqueeze(1), negative], 1).log_softmax(1)[:, 0].mean()


def cosine_scores(centre, context, noise):
    """The scores are cosines. The model's score is the plain dot product; lengths matter here."""
    normal_ = F.normalize
    return sgns_loss(normal_(centre, dim=-1), normal_(context, dim=-1), normal_(noise, dim=-1))


def against_context(centre, context, noise):
    """The noise words were scored against the context word. The question is whether they occur near the centre word."""
    positive, _ = _scores(centre, context, noise)
    _, negative = _scores(context, context, noise)
    return -(F.logsigmoid(positive) + F.logsigmoid(-negative).sum(-1)).mean()


def mean_noise_vector(centre, context, noise):
    """The noise vectors were added up before the score was taken. log σ is not linear: score each noise word by itself."""
    positive, _ = _scores(centre, context, noise)
    return -(F.logsigmoid(positive) + F.logsigmoid(-(centre * noise.sum(1)).sum(-1))).mean()


def log_of_sigmoid(centre, context, noise):
    """For large scores the result is infinite. In floating point σ(−200) is 0 and its logarithm −∞: use a function that
    computes log σ in one step, such as logsigmoid or softplus."""
    positive, negative = _scores(centre, context, noise)
    return -(torch.sigmoid(positive).log() + (1 - torch.sigmoid(negative)).log().sum(-1)).mean()


def small_number_added(centre, context, noise):
    """A small number was added to σ before the logarithm. The loss is finite then, but it stops growing just where the model
    is most wrong, and has no gradient there. A function that computes log σ in one step needs no such number."""
    positive, negative = _scores(centre, context, noise)
    return -((torch.sigmoid(positive) + 1e-8).log() + (torch.sigmoid(-negative) + 1e-8).log().sum(-1)).mean()


def cases(rng: random.Random) -> list[Case]:
    wide = 30 * normal(rng, 3, 7)
    return [
        public(
            "one pair, one noise word", torch.tensor([[1.0, 2.0]]), torch.tensor([[0.5, 1.0]]), torch.tensor([[[1.0, -1.0]]])
        ),
        public("two pairs, three noise words", normal(rng, 2, 5), normal(rng, 2, 5), normal(rng, 2, 3, 5)),
        public("large scores", wide, -wide, torch.stack([wide, -wide], 1)),
        hidden("as many noise words as pairs", normal(rng, 3, 4), normal(rng, 3, 4), normal(rng, 3, 3, 4)),
        hidden("one pair", normal(rng, 1, 11), normal(rng, 1, 11), normal(rng, 1, 5, 11)),
        hidden("a larger batch", normal(rng, 13, 3), normal(rng, 13, 3), normal(rng, 13, 7, 3)),
    ]


EXERCISE = Exercise(
    chapter="ch03_embeddings",
    minutes=20,
    difficulty=2,
    points=4,
    reference=sgns_loss,
    right=[as_classification, with_softplus, in_loops],
    wrong=[
        noise_not_negated,
        mean_over_noise,
        sum_over_batch,
        one_loss_per_pair,
        mean_over_everything,
        likelihood,
        no_logarithm,
        positives_only,
        noise_only,
        softmax_over_words,
        cosine_scores,
        against_context,
        mean_noise_vector,
        log_of_sigmoid,
        small_number_added,
    ],
    cases=cases,
    equivalent={
        "-1 → 1": "centre * context is a matrix: axis 1 is its last",
        "-1 → 1 #4": "the scores of the noise are a matrix: axis 1 is its last",
    },
    ready=("lmcore",),
)
