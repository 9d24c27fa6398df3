"""Mean pooling (Reimers and Gurevych 2019, section 3): one vector for a text, the mean over those of its tokens that count."""

import random

import torch

from exercises.grader.exercise import Exercise, hidden, normal, public
from lmcore.check.run import Case


def masked_mean(states, mask):
    total = (states * mask.unsqueeze(2)).sum(dim=1)
    return total / mask.sum(dim=1, keepdim=True).clamp(min=1)


# Right, written differently


def text_by_text(states, mask):
    rows = []
    for vectors, real in zip(states, mask, strict=True):
        kept = vectors[real]
        rows.append(kept.mean(0) if len(kept) else vectors.sum(0) * 0)
    return torch.stack(rows)


def with_weights(states, mask):
    """Every token that counts has the weight 1/n."""
    counts = mask.to(states.dtype).sum(1)
    weights = mask / torch.where(counts == 0, 1.0, counts)[:, None].to(states.dtype)
    return torch.bmm(weights[:, None], states)[:, 0]


def with_einsum(states, mask):
    total = torch.einsum("btc,bt->bc", states, mask.to(states))
    return total / torch.maximum(mask.sum(1), torch.ones_like(mask[:, 0], dtype=torch.long))[:, None]


# Wrong: the docstring is the hint


def all_places(states, mask):
    """This is the mean over all places: `mask` plays no part, and what stands in the padding changes the result."""
    return states.mean(1)


def divided_by_the_padded_length(states, mask):
    """What does not count was left out of the sum, but the sum was divided by T. How many tokens does the text have?"""
    return (states * mask[..., None]).mean(1)


def divided_by_the_longest(states, mask):
    """All sums were divided by the number of tokens of the longest text. Each text has a number of its own."""
    return (states * mask[..., None]).sum(1) / mask.sum(1).max().clamp(min=1)


def divided_by_all(states, mask):
    """The sums were divided by the number of tokens of the whole batch. Each text has a number of its own."""
    return (states * mask[..., None]).sum(1) / mask.sum().clamp(min=1)


def summed(states, mask):
    """This is the sum. It has to be divided by the number of tokens that count."""
    return (states * mask[..., None]).sum(1)


def nan_without_tokens(states, mask):
    """A text without any token that counts gives nan: you divided 0 by 0. Its vector is 0."""
    return (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)


def nan_replaced_afterwards(states, mask):
    """The values are right, but a gradient is nan: for a text without tokens 0 was divided by 0, and the nan was replaced
    afterwards. The gradient still goes through the division. How can the divisor be mended before anything is divided?"""
    return nan_without_tokens(states, mask).nan_to_num(0.0)


def one_token_more(states, mask):
    """All sums were divided by one more than the number of tokens, perhaps so that it is never 0. Only a text without tokens
    needs help: use the larger of the number and 1."""
    return (states * mask[..., None]).sum(1) / (mask.sum(1, keepdim=True) + 1)


def mask_turned_round(states, mask):
    """This is the mean over the tokens that do not count. True marks those that do."""
    return masked_mean(states, ~mask)


def first_places(states, mask):
    """You counted the tokens and took as many from the beginning of the text. Those that count may stand anywhere: a mask may
    leave out [CLS] in front, or a word in the middle."""
    counted = torch.arange(mask.shape[1]).to(mask.device) < mask.sum(1, keepdim=True)
    return masked_mean(states, counted)


def up_to_the_last(states, mask):
    """Everything up to the last token that counts was taken. There may be gaps: the mask says of every place whether it
    counts."""
    place = torch.arange(mask.shape[1]).to(mask.device) + 1
    return masked_mean(states, place <= (mask * place).amax(1, keepdim=True))


def first_token(states, mask):
    """This is the vector of the first token, [CLS]. That is another way to get one vector for a text; here it is the mean."""
    return states[:, 0]


def largest(states, mask):
    """For each of the C numbers the largest was taken. That is max pooling; here it is the mean."""
    return states.masked_fill(~mask[..., None], -1e9).amax(1)


def mean_of_the_numbers(states, mask):
    """The mean ran over the C numbers of each vector, and one number for every token is left. Over which axis do the tokens of
    a text lie?"""
    return states.mean(2) * mask


def mean_over_the_texts(states, mask):
    """The mean ran over the texts of the batch, place by place. Over which axis do the tokens of a text lie?"""
    return (states * mask[..., None]).sum(0) / mask.sum(0)[:, None].clamp(min=1)


def one_vector_for_all(states, mask):
    """The tokens of all texts went into one mean. Asked for is a row for each text."""
    return (states * mask[..., None]).sum((0, 1), keepdim=True)[0] / mask.sum().clamp(min=1)


def scaled_to_length_one(states, mask):
    """The mean was scaled to length 1. That comes after it, where cosines are wanted; here it is the mean itself."""
    found = masked_mean(states, mask)
    return found / found.norm(dim=1, keepdim=True).clamp(min=1e-9)


def axis_kept(states, mask):
    """The result has the shape (B, 1, C): the axis that was summed over is still there, with length 1."""
    return masked_mean(states, mask)[:, None]


def detached(states, mask):
    """The values are right, but no gradient reaches the vectors: they were cut from the graph."""
    return masked_mean(states, mask).detach()


def cases(rng: random.Random) -> list[Case]:
    yes, no = True, False
    by_hand = torch.tensor([[[2.0, 0.0], [4.0, 1.0], [9.0, 9.0]], [[1.0, 1.0], [1.0, 3.0], [4.0, 2.0]]])
    return [
        public("two texts, by hand", by_hand, torch.tensor([[yes, yes, no], [yes, yes, yes]])),
        public("gaps", normal(random.Random(14), 2, 4, 3), torch.tensor([[no, yes, no, yes], [no, yes, yes, no]])),
        public("no token at all", by_hand, torch.tensor([[no, no, no], [yes, no, no]])),
        hidden("one place", normal(rng, 3, 1, 2), torch.tensor([[yes], [no], [yes]])),
        hidden("many texts", normal(rng, 5, 11, 3), torch.tensor([[rng.random() < 0.6 for _ in range(11)] for _ in range(5)])),
        hidden("double precision", normal(rng, 2, 7, 5).double(), torch.arange(7) < torch.tensor([[rng.randint(1, 6)], [7]])),
    ]  # fmt: skip


EXERCISE = Exercise(
    chapter="ch14_fine_tuning",
    minutes=10,
    difficulty=1,
    points=2,
    reference=masked_mean,
    right=[text_by_text, with_weights, with_einsum],
    wrong=[
        all_places,
        divided_by_the_padded_length,
        divided_by_the_longest,
        divided_by_all,
        summed,
        nan_without_tokens,
        nan_replaced_afterwards,
        one_token_more,
        mask_turned_round,
        first_places,
        up_to_the_last,
        first_token,
        largest,
        mean_of_the_numbers,
        mean_over_the_texts,
        one_vector_for_all,
        scaled_to_length_one,
        axis_kept,
        detached,
    ],
    cases=cases,
    probe="gradients",
    ready=("torch.masked.mean", "torch.masked._ops.mean", "lmcore"),
)
