"""Top-p, or nucleus sampling (Holtzman et al. 2020, section 3.1): the fewest most probable tokens that make p full."""

import random

import torch

from exercises.grader.exercise import Exercise, hidden, normal, public
from lmcore.check.run import Case


def nucleus(probs, p):
    ranked = probs.sort(descending=True).values
    before = ranked.cumsum(dim=1) - ranked
    count = (before < p).sum(dim=1, keepdim=True)
    least = ranked.gather(1, count - 1)
    kept = probs * (probs >= least)
    return kept / kept.sum(dim=1, keepdim=True)


# Right, written differently


def token_by_token(probs, p):
    rows = []
    for row in probs.tolist():
        total, least = 0.0, 1.0
        for q in sorted(row, reverse=True):
            if total >= p:
                break
            total, least = total + q, q
        kept = [q if q >= least else 0.0 for q in row]
        rows.append([q / sum(kept) for q in kept])
    return torch.tensor(rows).to(probs)


def by_the_probability_above(probs, p):
    """A token stays if those that are more probable than it do not make p full."""
    above = (probs[:, None, :] * (probs[:, None, :] > probs[:, :, None])).sum(2)
    return torch.nn.functional.normalize(torch.where(above < p, probs, 0.0 * probs), p=1.0, dim=1)


def with_searchsorted(probs, p):
    ranked, _ = torch.sort(probs, descending=True)
    totals = torch.cumsum(ranked, -1).contiguous()
    border = torch.full((len(probs), 1), p).to(probs)
    crossing = torch.searchsorted(totals, border).clamp(max=probs.shape[1] - 1)
    kept = probs.masked_fill(probs < torch.take_along_dim(ranked, crossing, 1), 0.0)
    return kept.div(kept.sum(1)[:, None])


# Wrong: the docstring is the hint


def _shared(kept):
    return kept / kept.sum(1, keepdim=True)


def _ranked(probs):
    ranked = probs.sort(dim=1, descending=True).values
    return ranked, ranked.cumsum(1)


def _from(probs, ranked, count):
    """Everything that is at least as probable as the last of so many."""
    return probs * (probs >= ranked.gather(1, count.clamp(1, probs.shape[1])[:, None] - 1))


def crossing_token_dropped(probs, p):
    """The token that makes p full was dropped: what is left has less than p together. It belongs to the nucleus."""
    ranked, total = _ranked(probs)
    return _shared(_from(probs, ranked, (total <= p).sum(1)))


def p_never_reached(probs, p):
    """Where rounding keeps the sum of all below p, one token stayed instead of all. You looked for the first place where the
    sum reaches p: what does your search give when there is no such place?"""
    ranked, total = _ranked(probs)
    return _shared(_from(probs, ranked, (total >= p).int().argmax(1) + 1))


def nothing_left(probs, p):
    """Where the most probable token alone has more than p, nothing is left, and 0 is divided by 0. The token that makes p full
    stays, also when it is the first."""
    ranked, total = _ranked(probs)
    kept = _from(probs, ranked, (total <= p).sum(1))
    return _shared(kept * (total[:, :1] <= p))


def one_too_many(probs, p):
    """Where the tokens so far make exactly p, one more was taken. The fewest tokens are wanted that have *at least* p
    together."""
    ranked, total = _ranked(probs)
    return _shared(_from(probs, ranked, (total - ranked <= p).sum(1)))


def not_renormalised(probs, p):
    """What is left does not sum to 1. Those that stay share the probability of those that go, in proportion to their own."""
    return probs * (nucleus(probs, p) > 0)


def divided_by_p(probs, p):
    """The probabilities that stay were divided by p. Together they have p or more, as the last one reaches across the border:
    divide by what they really have."""
    return not_renormalised(probs, p) / p


def softmax_of_the_rest(probs, p):
    """The softmax was taken of probabilities. It is for logits: here, proportions are to stay, so divide by the sum."""
    return probs.masked_fill(nucleus(probs, p) == 0, -torch.inf).softmax(1)


def least_probable_first(probs, p):
    """The tokens were taken from the least probable on. The nucleus begins with the most probable one."""
    ascending = probs.sort(1).values
    count = (ascending.cumsum(1) - ascending < p).sum(1, keepdim=True)
    return _shared(probs * (probs <= ascending.gather(1, count - 1)))


def in_the_order_of_the_vocabulary(probs, p):
    """The sum was formed in the order of the vocabulary, and what comes late in it was cut. First bring the probabilities into
    the order of their size."""
    return _shared(probs * (probs.cumsum(1) - probs < p))


def left_in_order(probs, p):
    """The probabilities stand in the order of their size. Number v of a row belongs to the token v: each has to go back to its
    own place."""
    return nucleus(probs, p).sort(1, descending=True).values


def ties_cut(probs, p):
    """Of tokens that are equally probable, one stayed and another went. Nothing prefers one of them: what is as probable as
    the last of the nucleus stays too."""
    ranked, places = probs.sort(dim=1, descending=True, stable=True)
    kept = ranked * (ranked.cumsum(1) - ranked < p)
    return _shared(torch.zeros_like(probs).scatter(1, places, kept))


def mass_cut_off(probs, p):
    """Tokens with probability 1 − p together stayed. p says how much is kept, and not how much is cut."""
    return nucleus(probs, 1 - p) if p < 1 else nucleus(probs, 1e-6)


def compared_with_the_best(probs, p):
    """Tokens stayed that have at least p times the probability of the best. That is another filter, min-p. Here it is what
    they have *together* that counts."""
    return _shared(probs * (probs >= p * probs.amax(1, keepdim=True)))


def each_compared_with_the_rest(probs, p):
    """Each token was compared with 1 − p by itself. It is the sum over the tokens before it that decides."""
    return _shared(probs * (probs >= (1 - p) * (1 - 1e-9))).nan_to_num(0.0)


def share_of_the_vocabulary(probs, p):
    """A share p of the tokens stayed, whatever they have: that is top-k with k = pV. The size of a nucleus depends on the
    probabilities."""
    count = torch.full((len(probs),), int(p * probs.shape[1] + 0.5)).to(probs.device)
    return _shared(_from(probs, _ranked(probs)[0], count))


def one_nucleus_for_all(probs, p):
    """The border of the first text was used for all of them. Each row has a nucleus of its own: small where the model is
    sure, and large where it is not."""
    ranked, total = _ranked(probs)
    least = ranked[0, int((total[0] - ranked[0] < p).sum()) - 1]
    return _shared(probs * (probs >= least))


def as_many_for_all(probs, p):
    """The same number of tokens stayed in every row, as many as the row needs that needs most. Where the model is sure, fewer
    have p together: count for each row by itself."""
    ranked, total = _ranked(probs)
    count = (total - ranked < p).sum(1)
    return _shared(_from(probs, ranked, count.amax().expand_as(count)))


def summed_over_the_texts(probs, p):
    """The running sum went on from text to text. Each row is a distribution by itself."""
    ranked = probs.sort(dim=1, descending=True).values
    before = (ranked.flatten().cumsum(0) - ranked.flatten()).view_as(ranked)
    return _shared(_from(probs, ranked, (before < p).sum(1)))


def all_alike(probs, p):
    """The tokens of the nucleus have the same probability. They keep their proportions."""
    return _shared((nucleus(probs, p) > 0).to(probs))


def the_best_alone(probs, p):
    """Only the most probable token stayed, whatever p is. How many are needed before they have p together?"""
    return _shared(probs * (probs >= probs.amax(1, keepdim=True)))


def everything_stays(probs, p):
    """No token was cut: p plays no part."""
    return probs.clone()


def probabilities_overwritten(probs, p):
    """The result is right, but the probabilities that you were given have changed. The caller may still need them: work on a
    new tensor."""
    right = nucleus(probs, p)
    probs.copy_(right)
    return right


def which_tokens(probs, p):
    """You return which tokens stay. Asked for are the probabilities that are then drawn from."""
    return nucleus(probs, p) > 0


def cases(rng: random.Random) -> list[Case]:
    mixed = torch.tensor([[0.125, 0.5, 0.0625, 0.25, 0.0625]])
    two = torch.tensor([[0.75, 0.125, 0.03125, 0.09375], [0.0625, 0.1875, 0.4375, 0.3125]])
    return [
        public("p = 0.7 is crossed by the second token", mixed, 0.7),
        public("exactly p", mixed, 0.75),
        public("two texts, one of them sure", two, 0.6),
        public("a tie at the border", torch.tensor([[0.25, 0.0625, 0.4375, 0.25]]), 0.5),
        public("rounded to a sum below p", torch.tensor([[0.16666, 0.5, 0.33333]]), 1.0),
        hidden("everything", _drawn(rng, 2, 7), 1.0),
        hidden("next to nothing", _drawn(rng, 3, 5), 0.001),
        hidden("some cannot follow", torch.tensor([[0.5, 0.0, 0.25, 0.0, 0.25], [0.0, 1.0, 0.0, 0.0, 0.0]]), 1.0),
        hidden("a vocabulary of one", torch.ones(2, 1), 0.3),
        hidden("many texts", _drawn(rng, 11, 13), 0.8),
        hidden("double precision", _drawn(rng, 5, 11).double().softmax(1), 0.55),
    ]


def _drawn(rng: random.Random, texts: int, size: int) -> torch.Tensor:
    return (2 * normal(rng, texts, size)).softmax(1)


EXERCISE = Exercise(
    chapter="ch17_decoding",
    minutes=25,
    difficulty=2,
    points=3,
    reference=nucleus,
    right=[token_by_token, by_the_probability_above, with_searchsorted],
    wrong=[
        crossing_token_dropped,
        p_never_reached,
        nothing_left,
        one_too_many,
        not_renormalised,
        divided_by_p,
        softmax_of_the_rest,
        least_probable_first,
        in_the_order_of_the_vocabulary,
        left_in_order,
        ties_cut,
        mass_cut_off,
        compared_with_the_best,
        each_compared_with_the_rest,
        share_of_the_vocabulary,
        one_nucleus_for_all,
        as_many_for_all,
        summed_over_the_texts,
        all_alike,
        the_best_alone,
        everything_stays,
        probabilities_overwritten,
        which_tokens,
    ],
    cases=cases,
    ready=("lmcore",),
)
