"""Direct preference optimisation (Rafailov et al. 2023, equation 7): a loss of pairs of answers, one of them preferred."""

import random

import torch

from exercises.grader.exercise import Exercise, hidden, normal, public
from lmcore.check.run import Case

READY = ("lmcore",)


def dpo_loss(chosen, rejected, reference, beta):
    reward_chosen = beta * (chosen - reference[0])
    reward_rejected = beta * (rejected - reference[1])
    return -torch.nn.functional.logsigmoid(reward_chosen - reward_rejected).mean()


# Right, written differently


def with_softplus(chosen, rejected, reference, beta):
    before = torch.sub(*reference)
    return torch.nn.functional.softplus(beta * (before - (chosen - rejected)), threshold=50).mean()


def with_logaddexp(chosen, rejected, reference, beta):
    margin = (chosen - rejected) - (reference[0] - reference[1])
    return torch.logaddexp(torch.zeros_like(margin), -beta * margin).sum() / len(margin)


def as_two_classes(chosen, rejected, reference, beta):
    """Which of the two rewards belongs to the preferred answer: a softmax over two, and the first is right."""
    rewards = torch.stack([chosen - reference[0], rejected - reference[1]], dim=1)
    return -(beta * rewards).log_softmax(dim=1)[:, 0].mean()


def pair_by_pair(chosen, rejected, reference, beta):
    total = 0.0
    for win, lose, before, other in zip(chosen, rejected, *(part.tolist() for part in reference), strict=True):
        x = beta * ((win - before) - (lose - other))
        total = total + (torch.log1p(torch.exp(-x)) if x > 0 else torch.log1p(torch.exp(x)) - x)
    return total / len(chosen)


# Wrong: the docstring is the hint


def _margin(chosen, rejected, reference, beta):
    return beta * ((chosen - reference[0]) - (rejected - reference[1]))


def _loss(margin):
    return -torch.nn.functional.logsigmoid(margin).mean()


def without_the_reference(chosen, rejected, reference, beta):
    """The reference plays no part: the two answers are compared under the policy alone. A reward says how much likelier an
    answer *has become*. Without that nothing holds the policy near the model it began as."""
    return _loss(beta * (chosen - rejected))


def without_beta(chosen, rejected, reference, beta):
    """β plays no part. It scales both rewards, before the sigmoid."""
    return _loss(_margin(chosen, rejected, reference, 1.0))


def beta_outside(chosen, rejected, reference, beta):
    """The loss was multiplied by β. It belongs to the rewards, inside the sigmoid: there it says how much a change of the
    log-probabilities counts."""
    return beta * _loss(_margin(chosen, rejected, reference, 1.0))


def divided_by_beta(chosen, rejected, reference, beta):
    """The rewards were divided by β. The equation multiplies: with a small β the policy must move far to earn a reward."""
    return _loss(_margin(chosen, rejected, reference, 1 / beta))


def loss_divided_by_beta(chosen, rejected, reference, beta):
    """The loss is divided by β. Did you give β to softplus? Its argument of this name is not only a factor inside: look up
    what it does to the result. The equation has β in the rewards and nowhere else."""
    return _loss(_margin(chosen, rejected, reference, beta)) / beta


def beta_for_one(chosen, rejected, reference, beta):
    """Only the reward of the preferred answer has the factor β. Are there brackets around both?"""
    return _loss(beta * (chosen - reference[0]) - (rejected - reference[1]))


def answers_exchanged(chosen, rejected, reference, beta):
    """The difference has the wrong sign: the loss falls when the *rejected* answer becomes likelier. Were the two answers
    exchanged, or policy and reference in the fraction? Which reward should be the larger?"""
    return _loss(-_margin(chosen, rejected, reference, beta))


def references_exchanged(chosen, rejected, reference, beta):
    """Each answer was compared with the reference of the other one, or the difference of the references was added where it
    should be taken away. What is the loss if policy and reference are the same model?"""
    return _loss(_margin(chosen, rejected, reference[::-1], beta))


def only_the_chosen(chosen, rejected, reference, beta):
    """Only the preferred answer has a reward; the rejected one plays no part. The loss compares two answers."""
    return _loss(beta * (chosen - reference[0]))


def each_by_itself(chosen, rejected, reference, beta):
    """Two sigmoids were taken, one for each answer. The equation has one, of the *difference* of the rewards: how good an
    answer is by itself, a comparison does not say."""
    win, lose = beta * (chosen - reference[0]), beta * (rejected - reference[1])
    return _loss(win) + _loss(-lose)


def without_the_sigmoid(chosen, rejected, reference, beta):
    """The sigmoid and its logarithm are missing: this is the negative difference of the rewards itself. It would fall without
    end, also on pairs that are right by far."""
    return -_margin(chosen, rejected, reference, beta).mean()


def hinge(chosen, rejected, reference, beta):
    """This is a hinge: it is 0 as soon as the difference is 1. The equation has the logarithm of a sigmoid, which is never
    quite 0."""
    return torch.relu(1 - _margin(chosen, rejected, reference, beta)).mean()


def without_the_logarithm(chosen, rejected, reference, beta):
    """The logarithm is missing: this is the negative probability that the preferred answer wins. Where the policy is wrong by
    far, its gradient is nearly 0."""
    return -torch.sigmoid(_margin(chosen, rejected, reference, beta)).mean()


def logarithm_of_sigmoid(chosen, rejected, reference, beta):
    """Where the rejected answer is ahead by far, the result is infinite or nan: the sigmoid is rounded to 0, or e to some
    hundred is more than a float can hold. What is −log σ(x), nearly, for x = −200? torch has a function that computes both in
    one step."""
    return -torch.sigmoid(_margin(chosen, rejected, reference, beta)).log().mean()


def without_the_reference_and_infinite(chosen, rejected, reference, beta):
    """Two things are not as they should be. The reference plays no part, so nothing holds the policy near the model it began
    as. And where the rejected answer is ahead by far, the sigmoid is rounded to 0 and its logarithm is infinite: torch has a
    function that computes both in one step."""
    return -torch.sigmoid(beta * (chosen - rejected)).log().mean()


def exchanged_and_infinite(chosen, rejected, reference, beta):
    """Two things are not as they should be. The difference has the wrong sign: which reward should be the larger? And where
    the sigmoid is rounded to 0, its logarithm is infinite: torch has a function that computes both in one step."""
    return -torch.sigmoid(-_margin(chosen, rejected, reference, beta)).log().mean()


def sigmoid_kept_above_zero(chosen, rejected, reference, beta):
    """The sigmoid was kept above a small number, or one was added to it, so that its logarithm stays finite. But now all
    pairs that are wrong by far cost the same and have no gradient: just these would never be learnt. torch has a function
    that needs no such help."""
    p = torch.sigmoid(_margin(chosen, rejected, reference, beta))
    return -p.clamp(min=1e-8).log().mean()


def probabilities_divided(chosen, rejected, reference, beta):
    """The log-probabilities were turned into probabilities and divided. The probability of an answer of some dozen words is
    smaller than any float: 0 divided by 0 is nan. The logarithm of a fraction is a difference."""
    win, lose = chosen.exp() / reference[0].exp(), rejected.exp() / reference[1].exp()
    return _loss(beta * (win.log() - lose.log()))


def ratios_not_logarithms(chosen, rejected, reference, beta):
    """The log-probabilities were divided by those of the reference. The fraction in the equation is one of probabilities, and
    you are given their logarithms: what is the logarithm of a fraction?"""
    return _loss(beta * (chosen / reference[0] - rejected / reference[1]))


def summed(chosen, rejected, reference, beta):
    """The losses of the pairs were added up. Asked for is their mean."""
    return _loss(_margin(chosen, rejected, reference, beta)) * len(chosen)


def one_loss_per_pair(chosen, rejected, reference, beta):
    """You return a loss for every pair. Training needs one number: their mean."""
    return -torch.nn.functional.logsigmoid(_margin(chosen, rejected, reference, beta))


def loss_of_the_mean(chosen, rejected, reference, beta):
    """The differences were averaged first, and the loss was taken of their mean. A pair that is right by far then makes up
    for one that is wrong. First the loss of each pair, then the mean."""
    return _loss(_margin(chosen, rejected, reference, beta).mean())


def logarithm_of_the_mean(chosen, rejected, reference, beta):
    """The sigmoids were averaged, and the logarithm was taken of their mean. First the loss of each pair, then the mean."""
    margin = _margin(chosen, rejected, reference, beta)
    logs = torch.nn.functional.logsigmoid(margin)
    return torch.log(torch.tensor(1.0 * len(chosen)).to(logs)) - logs.logsumexp(0)


def sign_turned_round(chosen, rejected, reference, beta):
    """The minus sign before the logarithm is missing. The logarithm of a probability is negative, and training would make it
    more so."""
    return -_loss(_margin(chosen, rejected, reference, beta))


def rejected_does_not_learn(chosen, rejected, reference, beta):
    """The value is right, but no gradient reaches the rejected answers. The policy learns from both: one becomes likelier,
    the other less likely."""
    return _loss(_margin(chosen, rejected.detach(), reference, beta))


def without_a_graph(chosen, rejected, reference, beta):
    """The loss is right, but no gradient can flow through it: it was computed under no_grad, or cut from it."""
    return _loss(_margin(chosen, rejected, reference, beta)).detach()


def cases(rng: random.Random) -> list[Case]:
    def row(*numbers: float) -> torch.Tensor:
        return torch.tensor(numbers)

    same, before = row(-3.5, -7.0), (row(-2.5, -4.0, -6.0), row(-2.0, -5.5, -4.5))
    far = row(-180.0, -220.0, -200.0), row(-240.0, -300.0, -280.0)
    return [
        public("one pair, by hand", row(-2.0), row(-4.0), (row(-3.0), row(-3.5)), 2.0),
        public("three pairs", row(-2.0, -5.0, -7.0), row(-3.0, -4.5, -4.0), before, 0.5),
        public("the policy is the reference", same, same - 1, (same, same - 1), 0.1),
        public("long answers", row(-250.0, -310.0, -90.0), row(-130.0, -90.0, -400.0), far, 1.0),
        hidden("many pairs", *_drawn(rng, 13, 20.0), 0.1),
        hidden("a large beta", *_drawn(rng, 3, 60.0), 5),
        hidden("right by far", row(-90.0), row(-400.0), (row(-120.0), row(-100.0)), 1.5),
        hidden("double precision", *_drawn(rng, 5, 7.0, torch.float64), 0.3),
    ]


def _drawn(rng: random.Random, pairs: int, size: float, dtype: torch.dtype = torch.float32) -> tuple:
    chosen, rejected, *reference = (-size * normal(rng, pairs).abs().to(dtype) for _ in range(4))
    return chosen, rejected, tuple(reference)


EXERCISE = Exercise(
    chapter="ch18_prompting",
    minutes=20,
    difficulty=2,
    points=3,
    reference=dpo_loss,
    right=[with_softplus, with_logaddexp, as_two_classes, pair_by_pair],
    wrong=[
        without_the_reference,
        without_beta,
        beta_outside,
        divided_by_beta,
        loss_divided_by_beta,
        beta_for_one,
        answers_exchanged,
        references_exchanged,
        only_the_chosen,
        each_by_itself,
        without_the_sigmoid,
        hinge,
        without_the_logarithm,
        logarithm_of_sigmoid,
        without_the_reference_and_infinite,
        exchanged_and_infinite,
        sigmoid_kept_above_zero,
        probabilities_divided,
        ratios_not_logarithms,
        summed,
        one_loss_per_pair,
        loss_of_the_mean,
        logarithm_of_the_mean,
        sign_turned_round,
        rejected_does_not_learn,
        without_a_graph,
    ],
    cases=cases,
    probe="gradients",
    ready=READY,
)
