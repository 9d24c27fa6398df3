"""The contexts of a padded batch: a softmax over the real words of each source, and the mean of their states."""

import math
import random

import torch

from exercises.grader.exercise import Exercise, hidden, normal, public
from lmcore.check.ready import ATTENTION
from lmcore.check.run import Case


def source_mask(scores, states, lengths):
    real = torch.arange(states.shape[1]).to(lengths) < lengths[:, None]
    weights = scores.masked_fill(~real[:, None], -math.inf).softmax(dim=2)
    return weights @ states


# Right, written differently


def text_by_text(scores, states, lengths):
    rows = []
    for e, h, n in zip(scores, states, lengths.tolist(), strict=True):
        rows.append(torch.softmax(e[:, :n], dim=1) @ h[:n])
    return torch.stack(rows)


def with_exponentials(scores, states, lengths):
    real = torch.stack([torch.arange(states.shape[1], device=scores.device) < n for n in lengths])[:, None]
    largest = torch.where(real, scores, scores.min()).amax(2, keepdim=True)
    e = torch.where(real, scores - largest, 0.0).exp() * real
    return torch.einsum("bts,bsh->bth", e / e.sum(2, keepdim=True), states)


def with_a_penalty(scores, states, lengths):
    places = torch.arange(states.shape[1], device=scores.device).expand(len(lengths), -1)
    penalty = torch.zeros_like(states[..., 0])
    penalty[places >= lengths[:, None]] = torch.finfo(scores.dtype).min
    weights = (scores + penalty.unsqueeze(1)).softmax(-1)
    return torch.bmm(weights, states)


# Wrong: the docstring is the hint


def _real(states, lengths):
    return (torch.arange(states.shape[1]).to(lengths) < lengths[:, None])[:, None]


def padding_included(scores, states, lengths):
    """The padding has a part in the contexts: `lengths` plays no part."""
    return scores.softmax(2) @ states


def padded_scores_zero(scores, states, lengths):
    """The scores of the padding were set to 0. That is a score like any other: what is e⁰? Which score gives the weight 0?"""
    return (scores * _real(states, lengths)).softmax(2) @ states


def padded_states_zero(scores, states, lengths):
    """The states of the padding were set to 0, but its weights are still there. So the weights of the real words add up to less
    than 1, and the context is too small. The padding has to be out before the softmax."""
    return scores.softmax(2) @ (states * _real(states, lengths).mT)


def all_cleared(scores, states, lengths):
    """Both the scores and the states of the padding were set to 0. A score of 0 still takes part of the weight, and the context
    is too small. Which score takes none?"""
    real = _real(states, lengths)
    return (scores * real).softmax(2) @ (states * real.mT)


def a_small_negative_score(scores, states, lengths):
    """The padding got the score −1, or another that is not low enough: it keeps some weight. How low must a score be for a
    weight of exactly 0?"""
    return scores.masked_fill(~_real(states, lengths), -1.0).softmax(2) @ states


def one_place_too_many(scores, states, lengths):
    """The first place of padding counts as a word. A source of n words has them at the places 0 to n − 1."""
    return source_mask(scores, states, lengths + 1)


def last_word_left_out(scores, states, lengths):
    """The last word of every source is left out. A source of n words has them at the places 0 to n − 1: compare with n, not
    with n − 1."""
    return source_mask(scores, states, (lengths - 1).clamp(min=1))


def padding_in_front(scores, states, lengths):
    """The last n places count as the words of a source. The padding stands behind the words."""
    real = torch.arange(states.shape[1]).to(lengths) >= states.shape[1] - lengths[:, None]
    return scores.masked_fill(~real[:, None], -math.inf).softmax(2) @ states


def only_the_padding(scores, states, lengths):
    """The mask is the wrong way round: the words are left out, and the padding is averaged. What does `masked_fill` do where
    its mask is True?"""
    weights = scores.masked_fill(_real(states, lengths), -math.inf).softmax(2).nan_to_num()
    return weights @ states


def only_the_padding_and_nan(scores, states, lengths):
    """The mask is the wrong way round: the words are left out, the padding is averaged, and a text without padding gets nan.
    What does `masked_fill` do where its mask is True?"""
    return scores.masked_fill(_real(states, lengths), -math.inf).softmax(2) @ states


def only_the_padding_and_mean(scores, states, lengths):
    """The mask is the wrong way round: the words are left out, the padding is averaged, and a text without padding gets the
    plain mean of its states. What does `masked_fill` do where its mask is True?"""
    return scores.masked_fill(_real(states, lengths), -1e9).softmax(2) @ states


def shortest_for_all(scores, states, lengths):
    """All sources were cut to the length of the shortest. Every source has its own length."""
    return source_mask(scores, states, lengths.min().expand(len(lengths)))


def longest_for_all(scores, states, lengths):
    """All sources were masked like the longest. Every source has its own length."""
    return source_mask(scores, states, lengths.max().expand(len(lengths)))


def softmax_over_the_target(scores, states, lengths):
    """The softmax ran over the words of the target. For each of these the words of the source compete: which axis is theirs?"""
    real = _real(states, lengths)
    return (scores.softmax(1) * real) @ states


def softmax_over_the_target_and_nan(scores, states, lengths):
    """The softmax ran over the words of the target, and gave nan where it met nothing but padding. For each word of the target
    the words of the source compete: which axis is theirs?"""
    return scores.masked_fill(~_real(states, lengths), -math.inf).softmax(1) @ states


def softmax_over_the_batch(scores, states, lengths):
    """The softmax ran over the texts of the batch. Texts have nothing to do with each other: the words of one source
    compete."""
    return (scores.softmax(0) * _real(states, lengths)) @ states


def mean_of_the_words(scores, states, lengths):
    """Every real word has the same weight: the scores play no part."""
    return source_mask(0 * scores, states, lengths)


def best_word(scores, states, lengths):
    """The context is the state of the word with the highest score. That is the hard choice; here all words count, each by its
    weight."""
    best = scores.masked_fill(~_real(states, lengths), -math.inf).argmax(2)
    return states.gather(1, best[..., None].expand(-1, -1, states.shape[2]))


def weights_returned(scores, states, lengths):
    """You return the weights. Asked for are the contexts: the means of the states with these weights."""
    return scores.masked_fill(~_real(states, lengths), -math.inf).softmax(2)


def sum_over_the_target(scores, states, lengths):
    """You return one context for each text. Every word of the target has its own."""
    return source_mask(scores, states, lengths).mean(1)


def without_a_graph(scores, states, lengths):
    """The contexts are right, but no gradient reaches the scores: the weights were cut from the graph. The model could not
    learn where to look."""
    return source_mask(scores.detach(), states, lengths)


def padding_out_too_late(scores, states, lengths):
    """The padding still counts when the exponentials are made, or in a first softmax; then it is set to 0, and the rest
    divided by its sum. On paper that is the same. But when padding has by far the largest score, the weights of the words have
    been rounded to 0 by then, and so has their sum. When must the padding be out, so that neither a search for the largest
    score nor a softmax meets it?"""
    weights = scores.softmax(2) * _real(states, lengths)
    return weights / weights.sum(2, keepdim=True) @ states


def padding_out_too_late_with_a_floor(scores, states, lengths):
    """The context is 0 where padding has by far the largest score. It was taken out after the exponentials, or after a first
    softmax, and the weights of the words have been rounded to 0 by then; the small number in your divisor hides it. When must
    the padding be out?"""
    weights = scores.softmax(2) * _real(states, lengths)
    return weights / weights.sum(2, keepdim=True).clamp(min=1e-9) @ states


def exponentials_overflow(scores, states, lengths):
    """With large scores the result is nan: exp(100) is too large for floating point. torch's softmax takes the largest score
    out first."""
    e = scores.masked_fill(~_real(states, lengths), -math.inf).exp()
    return e / e.sum(2, keepdim=True) @ states


def exponentials_of_the_padding_overflow(scores, states, lengths):
    """With large scores the result is nan: exp(100) is too large for floating point, and infinity times 0 is not 0. torch's
    softmax takes the largest score out first; the padding must be out before."""
    e = scores.exp() * _real(states, lengths)
    return e / e.sum(2, keepdim=True) @ states


def cases(rng: random.Random) -> list[Case]:
    by_hand = torch.tensor([[[2.0, 0.0, 5.0]], [[1.0, 1.0, 1.0]]])
    states = torch.tensor([[[10.0], [20.0], [99.0]], [[1.0], [2.0], [6.0]]])
    far_apart = torch.tensor([[[-60.0, -61.0, 100.0]], [[100.0, -100.0, 0.0]]])
    return [
        public("two texts, by hand", by_hand, states, torch.tensor([2, 3])),
        public("three texts", normal(rng, 3, 2, 5), 1 + normal(rng, 3, 5, 4), torch.tensor([2, 4, 3])),
        public("scores far apart", far_apart, states, torch.tensor([2, 3])),
        hidden("one word each", normal(rng, 2, 3, 4), normal(rng, 2, 4, 2), torch.tensor([1, 1])),
        hidden("no padding", normal(rng, 2, 1, 3), normal(rng, 2, 3, 1), torch.tensor([3, 3])),
        hidden("large scores", 200 * normal(rng, 2, 3, 4), normal(rng, 2, 4, 3), torch.tensor([3, rng.randint(1, 4)])),
        hidden("double precision", normal(rng, 4, 3, 7).double(), normal(rng, 4, 7, 2).double(), _lengths(rng, 4, 7)),
    ]


def _lengths(rng: random.Random, batch: int, most: int) -> torch.Tensor:
    return torch.tensor([rng.randint(1, most) for _ in range(batch)])


EXERCISE = Exercise(
    chapter="ch08_attention",
    minutes=20,
    difficulty=2,
    points=3,
    reference=source_mask,
    right=[text_by_text, with_exponentials, with_a_penalty],
    wrong=[
        padding_included,
        padded_scores_zero,
        padded_states_zero,
        all_cleared,
        a_small_negative_score,
        one_place_too_many,
        last_word_left_out,
        padding_in_front,
        only_the_padding,
        only_the_padding_and_nan,
        only_the_padding_and_mean,
        shortest_for_all,
        longest_for_all,
        softmax_over_the_target,
        softmax_over_the_target_and_nan,
        softmax_over_the_batch,
        mean_of_the_words,
        best_word,
        weights_returned,
        sum_over_the_target,
        without_a_graph,
        exponentials_overflow,
        exponentials_of_the_padding_overflow,
        padding_out_too_late,
        padding_out_too_late_with_a_floor,
    ],
    cases=cases,
    probe="gradients",
    ready=(*ATTENTION, "lmcore"),
)
