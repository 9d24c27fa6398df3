"""The repetition penalty of CTRL (Keskar et al. 2019, section 4.1), with the rule for negative logits that its implementations
have."""

import random

import torch

from exercises.grader.exercise import Exercise, hidden, normal, public
from lmcore.check.run import Case


def repetition_penalty(logits, ids, penalty):
    seen = torch.nn.functional.one_hot(ids, logits.shape[1]).any(dim=1)
    punished = torch.where(logits > 0, logits / penalty, logits * penalty)
    return torch.where(seen, punished, logits)


# Right, written differently


def with_gather_and_scatter(logits, ids, penalty):
    """A token that occurs twice is written twice, with the same number."""
    before = logits.gather(1, ids)
    after = torch.where(before < 0, before * penalty, before / penalty)
    return logits.scatter(1, ids, after)


def token_by_token(logits, ids, penalty):
    found = logits.clone()
    for row, text in zip(found, ids.tolist(), strict=True):
        for v in set(text):
            row[v] = row[v] * penalty if row[v] < 0 else row[v] / penalty
    return found


def with_an_exponent(logits, ids, penalty):
    """The factor is penalty to the power of minus the sign of the logit, and 1 where a token is new."""
    counts = torch.zeros_like(logits).scatter_add(1, ids, torch.ones_like(ids).to(logits))
    return logits * torch.pow(penalty, -torch.sign(logits) * counts.clamp(max=1))


# Wrong: the docstring is the hint


def _seen(logits, ids):
    return torch.zeros_like(logits).scatter(1, ids, 1.0) > 0


def _punished(logits, penalty):
    return torch.where(logits > 0, logits / penalty, logits * penalty)


def always_divided(logits, ids, penalty):
    """Negative logits were divided too. With θ above 1 such a logit rises towards 0, and the token becomes more probable. What
    must be done with a negative number to make it smaller?"""
    return torch.where(_seen(logits, ids), logits / penalty, logits)


def always_multiplied(logits, ids, penalty):
    """Positive logits were multiplied too, and their tokens became more probable. What must be done with a positive number to
    make it smaller?"""
    return torch.where(_seen(logits, ids), logits * penalty, logits)


def the_wrong_way_round(logits, ids, penalty):
    """Positive logits were multiplied and negative ones divided: repetition was rewarded. Check with a logit of 2 and θ =
    2."""
    return torch.where(_seen(logits, ids), _punished(logits, 1 / penalty), logits)


def always_lower(logits, ids, penalty):
    """With θ below 1 the tokens of the text became less probable, where they are to gain. You took the smaller of z / θ and
    z · θ. Which of the two is it for z = 2 and θ = ½, and which does the rule say?"""
    return torch.where(_seen(logits, ids), torch.minimum(logits / penalty, logits * penalty), logits)


def once_per_occurrence(logits, ids, penalty):
    """A token that occurs three times was punished three times. How often it occurs does not matter in this rule: once for
    each distinct token."""
    counts = torch.zeros_like(logits).scatter_add(1, ids, torch.ones_like(ids).to(logits))
    return logits * penalty ** (-logits.sign() * counts)


def subtracted(logits, ids, penalty):
    """The penalty was subtracted from the logits. That is a rule too, a presence penalty, and it does not depend on the sign.
    Here a factor is asked for."""
    return torch.where(_seen(logits, ids), logits - penalty, logits)


def all_tokens(logits, ids, penalty):
    """All tokens of the vocabulary were punished. Only those that are in the text so far have been repeated."""
    return _punished(logits, penalty)


def the_others_punished(logits, ids, penalty):
    """The tokens that are not in the text were punished, and those that are were left alone."""
    return torch.where(_seen(logits, ids), logits, _punished(logits, penalty))


def only_the_last_token(logits, ids, penalty):
    """Only the last token of each text was punished. The rule looks at the whole text so far."""
    return torch.where(_seen(logits, ids[:, -1:]), _punished(logits, penalty), logits)


def last_token_spared(logits, ids, penalty):
    """The last token of each text was spared. It is in the text like the others."""
    return torch.where(_seen(logits, ids[:, :-1]), _punished(logits, penalty), logits)


def only_what_is_repeated(logits, ids, penalty):
    """Only tokens that occur twice or more were punished. The first time is enough: the next would be the repetition."""
    counts = torch.zeros_like(logits).scatter_add(1, ids, torch.ones_like(ids).to(logits))
    return torch.where(counts > 1, _punished(logits, penalty), logits)


def texts_mixed(logits, ids, penalty):
    """A token was punished in all texts if it occurs in one. Each text has its own row of logits and its own past."""
    return torch.where(_seen(logits, ids).any(0), _punished(logits, penalty), logits)


def places_for_tokens(logits, ids, penalty):
    """The first T logits of each row were punished: the places of the text were taken for tokens. Which logits do the numbers
    in `ids` stand for?"""
    return torch.where(torch.arange(logits.shape[1]).to(ids) < ids.shape[1], _punished(logits, penalty), logits)


def forbidden(logits, ids, penalty):
    """Tokens of the text have the logit −∞: they can never come again. A text must repeat some words. How far are they to
    fall?"""
    return logits.masked_fill(_seen(logits, ids), -torch.inf)


def probabilities_divided(logits, ids, penalty):
    """The penalty was applied to probabilities. The rule is for logits, and returns logits: the softmax comes later."""
    q = logits.softmax(1)
    return torch.where(_seen(logits, ids), q / penalty, q)


def logarithms_first(logits, ids, penalty):
    """The logits were turned into log-probabilities first. These are all negative, so the penalty falls on other numbers.
    The rule takes the logits as the model gives them."""
    return repetition_penalty(logits.log_softmax(1), ids, penalty)


def softmax_at_the_end(logits, ids, penalty):
    """You return probabilities. Asked for are logits: temperature and other filters may still follow."""
    return repetition_penalty(logits, ids, penalty).softmax(1)


def sign_of_the_largest(logits, ids, penalty):
    """One sign decided for the whole row. Whether a logit is divided or multiplied depends on its own sign."""
    sign = logits.amax(1, keepdim=True) > 0
    return torch.where(_seen(logits, ids), torch.where(sign, logits / penalty, logits * penalty), logits)


def sizes_alone(logits, ids, penalty):
    """The punished logits have lost their sign. A negative logit becomes more negative: it stays negative."""
    return torch.where(_seen(logits, ids), _punished(logits, penalty).abs(), logits)


def only_positive_ones(logits, ids, penalty):
    """Negative logits were left as they are. A token of the text is punished whatever the sign of its logit."""
    return torch.where(_seen(logits, ids) & (logits > 0), logits / penalty, logits)


def logits_overwritten(logits, ids, penalty):
    """The result is right, but the logits that you were given have changed. The caller may still need them: work on a new
    tensor."""
    right = repetition_penalty(logits, ids, penalty)
    logits.copy_(right)
    return right


def cases(rng: random.Random) -> list[Case]:
    row = torch.tensor([[2.0, -1.0, 3.0, -2.0, 0.0, 1.0]])
    two = torch.tensor([[1.0, 2.0, -3.0, 0.5, -0.5], [-1.0, -2.0, -0.25, -0.5, -4.0]])
    return [
        public("one text, one token twice", row, torch.tensor([[2, 3, 2]]), 2.0),
        public("two texts", two, torch.tensor([[1, 1, 1, 2], [3, 0, 3, 4]]), 1.5),
        public("a reward", row, torch.tensor([[0, 1]]), 0.5),
        hidden("nothing read yet", normal(rng, 3, 5), torch.zeros(3, 0, dtype=torch.long), 1.2),
        hidden("the whole vocabulary", normal(rng, 2, 3), torch.tensor([[0, 1, 2, 0], [2, 2, 1, 0]]), 1.1),
        hidden("a reward, drawn", normal(rng, 2, 7), _drawn(rng, 2, 3, 7), 0.8),
        hidden("forbidden tokens", torch.tensor([[-torch.inf, 1.0, -torch.inf]]), torch.tensor([[0, 1]]), 1.3),
        hidden("many texts", normal(rng, 7, 13), _drawn(rng, 7, 11, 13), 1.3),
        hidden("double precision", normal(rng, 3, 5).double(), _drawn(rng, 3, 2, 5), 1.7),
    ]


def _drawn(rng: random.Random, texts: int, length: int, size: int) -> torch.Tensor:
    return torch.tensor([[rng.randrange(size) for _ in range(length)] for _ in range(texts)])


EXERCISE = Exercise(
    chapter="ch17_decoding",
    minutes=20,
    difficulty=2,
    points=3,
    reference=repetition_penalty,
    right=[with_gather_and_scatter, token_by_token, with_an_exponent],
    wrong=[
        always_divided,
        always_multiplied,
        the_wrong_way_round,
        always_lower,
        once_per_occurrence,
        subtracted,
        all_tokens,
        the_others_punished,
        only_the_last_token,
        last_token_spared,
        only_what_is_repeated,
        texts_mixed,
        places_for_tokens,
        forbidden,
        probabilities_divided,
        logarithms_first,
        softmax_at_the_end,
        sign_of_the_largest,
        sizes_alone,
        only_positive_ones,
        logits_overwritten,
    ],
    cases=cases,
    equivalent={"logits > 0 → logits >= 0": "a logit of 0 is 0 whether it is divided or multiplied"},
    ready=("lmcore",),
)
