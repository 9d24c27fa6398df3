"""Cross-entropy with label smoothing (Szegedy et al. 2016, section 7), with a uniform distribution over the whole
vocabulary."""

import random

import torch

from exercises.grader.exercise import Exercise, hidden, normal, public
from lmcore.check.run import Case


def label_smoothing(logits, targets, epsilon):
    log_q = logits.log_softmax(dim=1)
    chosen = log_q[torch.arange(len(targets)), targets]
    return -(1 - epsilon) * chosen.mean() - epsilon * log_q.mean()


# Right, written differently


def with_the_whole_distribution(logits, targets, epsilon):
    p = torch.full_like(logits, epsilon / logits.shape[1])
    p.scatter_add_(1, targets[:, None], torch.full_like(p[:, :1], 1 - epsilon))
    return -(p * torch.log_softmax(logits, 1)).sum(1).mean()


def with_one_hot(logits, targets, epsilon):
    count, size = logits.shape
    p = (1 - epsilon) * torch.eye(size, device=logits.device)[targets] + epsilon / size
    return (p * (logits.logsumexp(1, keepdim=True) - logits)).sum() / count


def token_by_token(logits, targets, epsilon):
    losses = []
    for z, y in zip(logits, targets.tolist(), strict=True):
        surprise = torch.logsumexp(z, 0) - z
        losses.append((1 - epsilon) * surprise[y] + epsilon * surprise.sum() / len(z))
    return torch.stack(losses).mean()


# Wrong: the docstring is the hint


def _terms(logits, targets):
    """log q of every target; log q of everything."""
    log_q = logits.log_softmax(1)
    return log_q.gather(1, targets[:, None])[:, 0], log_q


def not_smoothed(logits, targets, epsilon):
    """This is the plain cross-entropy: ε plays no part."""
    return -_terms(logits, targets)[0].mean()


def shares_exchanged(logits, targets, epsilon):
    """The target got ε and the uniform distribution 1 − ε. It is a small part that goes to all tokens: what is left of the
    target with ε = 0.1?"""
    chosen, log_q = _terms(logits, targets)
    return -(epsilon * chosen + (1 - epsilon) * log_q.mean(1)).mean()


def uniform_over_the_others(logits, targets, epsilon):
    """ε was shared among the V − 1 other tokens, so the target has 1 − ε. Some papers do so. Here all V tokens get a share, the
    target too, which has 1 − ε + ε / V in all."""
    chosen, log_q = _terms(logits, targets)
    others = (log_q.sum(1) - chosen) / (logits.shape[1] - 1)
    return -((1 - epsilon) * chosen + epsilon * others).mean()


def target_gets_no_share(logits, targets, epsilon):
    """The target has 1 − ε and every other token ε / V, which do not add up to 1. The share ε / V goes to all V tokens, the
    target too."""
    chosen, log_q = _terms(logits, targets)
    others = (log_q.sum(1) - chosen) / logits.shape[1]
    return -((1 - epsilon) * chosen + epsilon * others).mean()


def every_token_gets_epsilon(logits, targets, epsilon):
    """Every token got ε, and all of them together ε·V. They share ε: each gets ε / V."""
    chosen, log_q = _terms(logits, targets)
    return -((1 - epsilon) * chosen + epsilon * log_q.sum(1)).mean()


def target_keeps_everything(logits, targets, epsilon):
    """The target kept the whole weight 1, and ε came on top. A distribution adds up to 1: what all tokens share is taken from
    the target."""
    chosen, log_q = _terms(logits, targets)
    return -(chosen + epsilon * log_q.mean(1)).mean()


def model_smoothed(logits, targets, epsilon):
    """The model's distribution q was mixed with the uniform one, inside the logarithm. It is the target that is smoothed: q
    stays as it is."""
    q = logits.softmax(1).gather(1, targets[:, None])[:, 0]
    return -((1 - epsilon) * q + epsilon / logits.shape[1]).log().mean()


def distance_to_the_target(logits, targets, epsilon):
    """The entropy of the smoothed target was taken away: this is the Kullback–Leibler divergence. Its gradient is the same, its
    value is not: the loss asked for is the cross-entropy."""
    p = torch.full_like(logits, epsilon / logits.shape[1])
    p = p.scatter_add(1, targets[:, None], torch.full_like(p[:, :1], 1 - epsilon))
    entropy = -(p * torch.where(p > 0, p, 1.0).log()).sum(1)
    return label_smoothing(logits, targets, epsilon) - entropy.mean()


def logits_of_the_others(logits, targets, epsilon):
    """The mean over the vocabulary was taken of the logits, not of log q. Without the log-sum-exp the loss falls when all
    logits rise together."""
    chosen, _ = _terms(logits, targets)
    return -((1 - epsilon) * chosen + epsilon * logits.mean(1)).mean()


def logarithm_of_the_mean(logits, targets, epsilon):
    """The second term is the logarithm of a mean of q, which is always log 1/V. The logarithm comes first, token by token, and
    the mean after it."""
    chosen, log_q = _terms(logits, targets)
    return -((1 - epsilon) * chosen + epsilon * log_q.exp().mean(1).log()).mean()


def sign_turned_round(logits, targets, epsilon):
    """The sign is turned round: training would make the right tokens improbable. A loss is the negative of the mean
    log-probability."""
    return -label_smoothing(logits, targets, epsilon)


def signs_mixed(logits, targets, epsilon):
    """The two terms have different signs: what all tokens share is taken away where it should be added."""
    chosen, log_q = _terms(logits, targets)
    return (-(1 - epsilon) * chosen + epsilon * log_q.mean(1)).mean()


def summed(logits, targets, epsilon):
    """The losses of the tokens were added up. Asked for is their mean over the N tokens."""
    return label_smoothing(logits, targets, epsilon) * len(targets)


def mean_over_everything(logits, targets, epsilon):
    """The sum was divided by N · V. Over the vocabulary it is a sum, with p as the weights; only over the N tokens a mean is
    taken."""
    return label_smoothing(logits, targets, epsilon) / logits.shape[1]


def one_loss_per_token(logits, targets, epsilon):
    """You return a loss for every token. Training needs one number: their mean."""
    chosen, log_q = _terms(logits, targets)
    return -((1 - epsilon) * chosen + epsilon * log_q.mean(1))


def softmax_over_the_tokens(logits, targets, epsilon):
    """The softmax ran over the N tokens of the batch. At each of them the V words of the vocabulary compete: which axis is
    theirs?"""
    log_q = logits.log_softmax(0)
    chosen = log_q.gather(1, targets[:, None])[:, 0]
    return -((1 - epsilon) * chosen + epsilon * log_q.mean(1)).mean()


def logarithm_of_softmax(logits, targets, epsilon):
    """With large logits the result is infinite or nan: the softmax rounds a small probability to 0, and its logarithm is −∞.
    With smoothing this happens more often, as every token of the vocabulary counts. Compute both in one step."""
    log_q = logits.softmax(1).log()
    chosen = log_q.gather(1, targets[:, None])[:, 0]
    return -((1 - epsilon) * chosen + epsilon * log_q.mean(1)).mean()


def without_a_graph(logits, targets, epsilon):
    """The loss is right, but no gradient can flow through it: it was computed under no_grad, or from numbers taken out of their
    tensors."""
    return label_smoothing(logits.detach(), targets, epsilon)


def cases(rng: random.Random) -> list[Case]:
    by_hand = torch.tensor([[0.5, 0.25, 0.25], [0.2, 0.2, 0.6]]).log()
    large = torch.tensor([[300.0, 0.0, 100.0], [-200.0, 0.0, -90.0]])
    return [
        public("two tokens, three words", by_hand, torch.tensor([0, 2]), 0.3),
        public("three tokens, five words", normal(rng, 3, 5), torch.tensor([4, 0, 1]), 0.1),
        public("large logits", large, torch.tensor([2, 1]), 0.1),
        hidden("no smoothing", normal(rng, 2, 4), torch.tensor([3, 1]), 0.0),
        hidden("nothing but smoothing", normal(rng, 3, 2), torch.tensor([0, 1, 1]), 1.0),
        hidden("double precision", normal(rng, 7, 11).double(), torch.tensor([rng.randrange(11) for _ in range(7)]), 0.25),
    ]


EXERCISE = Exercise(
    chapter="ch11_transformer",
    minutes=20,
    difficulty=2,
    points=3,
    reference=label_smoothing,
    right=[with_the_whole_distribution, with_one_hot, token_by_token],
    wrong=[
        not_smoothed,
        shares_exchanged,
        uniform_over_the_others,
        target_gets_no_share,
        every_token_gets_epsilon,
        target_keeps_everything,
        model_smoothed,
        distance_to_the_target,
        logits_of_the_others,
        logarithm_of_the_mean,
        sign_turned_round,
        signs_mixed,
        summed,
        mean_over_everything,
        one_loss_per_token,
        softmax_over_the_tokens,
        logarithm_of_softmax,
        without_a_graph,
    ],
    cases=cases,
    probe="gradients",
    ready=("torch.nn.functional.cross_entropy", "torch._C._nn.cross_entropy_loss", "lmcore"),
)
