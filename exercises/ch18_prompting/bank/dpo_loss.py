"""Direct preference optimisation (Rafailov et al. 2023, equation 7): a loss of pairs of answers, one of them preferred."""

import random

import torch

from exercises.grader.exercise import Exercise, hidden, normal, public
from lmcore.check.run import Case

READY = ("lmcore",)


def dpo_loss(chosen, rejected, reference_chosen, reference_rejected, beta):
    reward_chosen = beta * (chosen - reference_chosen.detach())
    reward_rejected = beta * (rejected - reference_rejected.detach())
    return -torch.nn.functional.logsigmoid(reward_chosen - reward_rejected).mean()


# Right, written differently


def with_softplus(chosen, rejected, reference_chosen, reference_rejected, beta):
    with torch.no_grad():
        before = reference_chosen - reference_rejected
    return torch.nn.functional.softplus(beta * (before - (chosen - rejected)), threshold=50).mean()


def with_logaddexp(chosen, rejected, reference_chosen, reference_rejected, beta):
    margin = (chosen - rejected) - (reference_chosen - reference_rejected).detach()
    return torch.logaddexp(torch.zeros_like(margin), -beta * margin).sum() / len(margin)


def as_two_classes(chosen, rejected, reference_chosen, reference_rejected, beta):
    """Which of the two rewards belongs to the preferred answer: a softmax over two, and the first is right."""
    rewards = torch.stack([chosen - reference_chosen.detach(), rejected - reference_rejected.detach()], dim=1)
    return -(beta * rewards).log_softmax(dim=1)[:, 0].mean()


def pair_by_pair(chosen, rejected, reference_chosen, reference_rejected, beta):
    total = 0.0
    reference = zip(reference_chosen.tolist(), reference_rejected.tolist(), strict=True)
    for win, lose, (before, other) in zip(chosen, rejected, reference, strict=True):
        x = beta * ((win - before) - (lose - other))
        total = total + (torch.log1p(torch.exp(-x)) if x > 0 else torch.log1p(torch.exp(x)) - x)
    return total / len(chosen)


# Wrong: the docstring is the hint


def _margin(chosen, rejected, reference_chosen, reference_rejected, beta):
    return beta * ((chosen - reference_chosen.detach()) - (rejected - reference_rejected.detach()))


def _loss(margin):
    return -torch.nn.functional.logsigmoid(margin).mean()


def without_the_reference(chosen, rejected, reference_chosen, reference_rejected, beta):
    """The reference plays no part: the two answers are compared under the policy alone. A reward says how much likelier an
    answer *has become*. Without that nothing holds the policy near the model it began as."""
    return _loss(beta * (chosen - rejected))


def without_beta(chosen, rejected, reference_chosen, reference_rejected, beta):
    """β plays no part. It scales both rewards, before the sigmoid."""
    return _loss(_margin(chosen, rejected, reference_chosen, reference_rejected, 1.0))


def beta_outside(chosen, rejected, reference_chosen, reference_rejected, beta):
    """β was multiplied to the loss. It belongs to the rewards, inside the sigmoid: there it says how large a change of the
    log-probabilities is large."""
    return beta * _loss(_margin(chosen, rejected, reference_chosen, reference_rejected, 1.0))


def divided_by_beta(chosen, rejected, reference_chosen, reference_rejected, beta):
    """The rewards were divided by β. The equation multiplies: with a small β the policy must move far to earn a reward."""
    return _loss(_margin(chosen, rejected, reference_chosen, reference_rejected, 1 / beta))


def beta_for_one(chosen, rejected, reference_chosen, reference_rejected, beta):
    """Only the reward of the preferred answer has the factor β. Are there brackets around both?"""
    return _loss(beta * (chosen - reference_chosen.detach()) - (rejected - reference_rejected.detach()))


def answers_exchanged(chosen, rejected, reference_chosen, reference_rejected, beta):
    """The difference has the wrong sign: the loss falls when the *rejected* answer becomes likelier. Were the two answers
    exchanged, or policy and reference in the fraction? Which reward should be the larger?"""
    return _loss(-_margin(chosen, rejected, reference_chosen, reference_rejected, beta))


def references_exchanged(chosen, rejected, reference_chosen, reference_rejected, beta):
    """Each answer was compared with the reference of the other one, or the difference of the references was added where it
    should be taken away. What is the loss if policy and reference are the same model?"""
    return _loss(_margin(chosen, rejected, reference_rejected, reference_chosen, beta))


def only_the_chosen(chosen, rejected, reference_chosen, reference_rejected, beta):
    """Only the preferred answer has a reward; the rejected one plays no part. The loss compares two answers."""
    return _loss(beta * (chosen - reference_chosen.detach()))


def each_by_itself(chosen, rejected, reference_chosen, reference_rejected, beta):
    """Two sigmoids were taken, one for each answer. The equation has one, of the *difference* of the rewards: how good an
    answer is by itself, a comparison does not say."""
    win, lose = beta * (chosen - reference_chosen.detach()), beta * (rejected - reference_rejected.detach())
    return _loss(win) + _loss(-lose)


def without_the_sigmoid(chosen, rejected, reference_chosen, reference_rejected, beta):
    """The sigmoid and its logarithm are missing: this is the negative difference of the rewards itself. It would fall without
    end, also on pairs that are right by far."""
    return -_margin(chosen, rejected, reference_chosen, reference_rejected, beta).mean()


def hinge(chosen, rejected, reference_chosen, reference_rejected, beta):
    """This is a hinge: it is 0 as soon as the difference is 1. The equation has the logarithm of a sigmoid, which is never
    quite 0."""
    return torch.relu(1 - _margin(chosen, rejected, reference_chosen, reference_rejected, beta)).mean()


def without_the_logarithm(chosen, rejected, reference_chosen, reference_rejected, beta):
    """The logarithm is missing: this is the negative probability that the preferred answer wins. Where the policy is wrong by
    far, its gradient is nearly 0."""
    return -torch.sigmoid(_margin(chosen, rejected, reference_chosen, reference_rejected, beta)).mean()


def logarithm_of_sigmoid(chosen, rejected, reference_chosen, reference_rejected, beta):
    """Where the rejected answer is ahead by far, the result is infinite or nan: the sigmoid is rounded to 0, or e to some
    hundred is more than a float can hold. What is −log σ(x), nearly, for x = −200? torch has a function that computes both in
    one step."""
    return -torch.sigmoid(_margin(chosen, rejected, reference_chosen, reference_rejected, beta)).log().mean()


def sigmoid_kept_above_zero(chosen, rejected, reference_chosen, reference_rejected, beta):
    """The sigmoid was kept above a small number, or one was added to it, so that its logarithm stays finite. But now all pairs
    that are wrong by far cost the same and have no gradient: just these would never be learnt. torch has a function that needs
    no such help."""
    p = torch.sigmoid(_margin(chosen, rejected, reference_chosen, reference_rejected, beta))
    return -p.clamp(min=1e-8).log().mean()


def probabilities_divided(chosen, rejected, reference_chosen, reference_rejected, beta):
    """The log-probabilities were turned into probabilities and divided. The probability of an answer of some dozen words is
    smaller than any float: 0 divided by 0 is nan. The logarithm of a fraction is a difference."""
    win, lose = chosen.exp() / reference_chosen.detach().exp(), rejected.exp() / reference_rejected.detach().exp()
    return _loss(beta * (win.log() - lose.log()))


def ratios_not_logarithms(chosen, rejected, reference_chosen, reference_rejected, beta):
    """The log-probabilities were divided by those of the reference. The fraction in the equation is one of probabilities; of
    their logarithms it makes a difference."""
    return _loss(beta * (chosen / reference_chosen.detach() - rejected / reference_rejected.detach()))


def summed(chosen, rejected, reference_chosen, reference_rejected, beta):
    """The losses of the pairs were added up. Asked for is their mean."""
    return _loss(_margin(chosen, rejected, reference_chosen, reference_rejected, beta)) * len(chosen)


def one_loss_per_pair(chosen, rejected, reference_chosen, reference_rejected, beta):
    """You return a loss for every pair. Training needs one number: their mean."""
    return -torch.nn.functional.logsigmoid(_margin(chosen, rejected, reference_chosen, reference_rejected, beta))


def loss_of_the_mean(chosen, rejected, reference_chosen, reference_rejected, beta):
    """The differences were averaged first, and the loss was taken of their mean. A pair that is right by far then makes up for
    one that is wrong. First the loss of each pair, then the mean."""
    return _loss(_margin(chosen, rejected, reference_chosen, reference_rejected, beta).mean())


def logarithm_of_the_mean(chosen, rejected, reference_chosen, reference_rejected, beta):
    """The sigmoids were averaged, and the logarithm was taken of their mean. First the loss of each pair, then the mean."""
    margin = _margin(chosen, rejected, reference_chosen, reference_rejected, beta)
    logs = torch.nn.functional.logsigmoid(margin)
    return torch.log(torch.tensor(1.0 * len(chosen)).to(logs)) - logs.logsumexp(0)


def sign_turned_round(chosen, rejected, reference_chosen, reference_rejected, beta):
    """The minus sign before the logarithm is missing. The logarithm of a probability is negative, and training would make it
    more so."""
    return -_loss(_margin(chosen, rejected, reference_chosen, reference_rejected, beta))


def reference_learns(chosen, rejected, reference_chosen, reference_rejected, beta):
    """The value is right, but gradients flow into the numbers of the reference: it would be trained to make the rewards
    larger. It has to stay what it is. How do you cut a tensor from the graph?"""
    return _loss(beta * ((chosen - reference_chosen) - (rejected - reference_rejected)))


def rejected_does_not_learn(chosen, rejected, reference_chosen, reference_rejected, beta):
    """The value is right, but no gradient reaches the rejected answers. The policy learns from both: one becomes likelier, the
    other less likely. Only the reference is cut from the graph."""
    return _loss(_margin(chosen, rejected.detach(), reference_chosen, reference_rejected, beta))


def without_a_graph(chosen, rejected, reference_chosen, reference_rejected, beta):
    """The loss is right, but no gradient can flow through it: the policy was cut from the graph with the reference."""
    return _loss(_margin(chosen, rejected, reference_chosen, reference_rejected, beta)).detach()


def cases(rng: random.Random) -> list[Case]:
    def row(*numbers: float) -> torch.Tensor:
        return torch.tensor(numbers)

    same = row(-3.5, -7.0)
    return [
        public("one pair, by hand", row(-2.0), row(-4.0), row(-3.0), row(-3.5), 2.0),
        public("three pairs", row(-2.0, -5.0, -7.0), row(-3.0, -4.5, -4.0), row(-2.5, -4.0, -6.0), row(-2.0, -5.5, -4.5), 0.5),
        public("the policy is the reference", same, same - 1, same, same - 1, 0.1),
        public("long answers", row(-250.0, -310.0), row(-130.0, -90.0), row(-180.0, -220.0), row(-240.0, -300.0), 1.0),
        hidden("many pairs", *_drawn(rng, 13, 20.0), 0.1),
        hidden("a large beta", *_drawn(rng, 3, 60.0), 5),
        hidden("right by far", row(-90.0), row(-400.0), row(-120.0), row(-100.0), 1.5),
        hidden("double precision", *(part.double() for part in _drawn(rng, 5, 7.0)), 0.3),
    ]


def _drawn(rng: random.Random, pairs: int, size: float) -> list[torch.Tensor]:
    return [-size * normal(rng, pairs).abs() for _ in range(4)]


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
        beta_for_one,
        answers_exchanged,
        references_exchanged,
        only_the_chosen,
        each_by_itself,
        without_the_sigmoid,
        hinge,
        without_the_logarithm,
        logarithm_of_sigmoid,
        sigmoid_kept_above_zero,
        probabilities_divided,
        ratios_not_logarithms,
        summed,
        one_loss_per_pair,
        loss_of_the_mean,
        logarithm_of_the_mean,
        sign_turned_round,
        reference_learns,
        rejected_does_not_learn,
        without_a_graph,
    ],
    cases=cases,
    probe="gradients",
    ready=READY,
)
