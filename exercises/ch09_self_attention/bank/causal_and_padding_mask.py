"""The mask of a decoder's self-attention over a padded batch: no key from the future, and no padding."""

import random

import torch

from exercises.grader.exercise import Exercise, hidden, public
from lmcore.check.run import Case


def causal_and_padding_mask(lengths, size):
    places = torch.arange(size).to(lengths)
    causal = places[None, :] <= places[:, None]
    real = places < lengths[:, None]
    return causal[None, None] & real[:, None, None]


# Right, written differently


def text_by_text(lengths, size):
    masks = []
    for n in lengths.tolist():
        rows = [[s <= t and s < n for s in range(size)] for t in range(size)]
        masks.append([rows])
    return torch.tensor(masks, device=lengths.device)


def with_tril(lengths, size):
    mask = torch.tril(torch.ones(len(lengths), 1, size, size, dtype=torch.bool, device=lengths.device))
    for b, n in enumerate(lengths):
        mask[b, :, :, n:] = False
    return mask


def from_the_last_key(lengths, size):
    """A query may look at the keys up to its own place or to the last word, whichever comes first."""
    place = torch.arange(size, device=lengths.device)
    last = torch.minimum(place, lengths[:, None] - 1)
    return (place <= last[..., None]).unsqueeze(1)


def as_a_product(lengths, size):
    future = torch.ones((size, size), device=lengths.device).triu(1)
    padding = torch.stack([torch.cat([torch.zeros(int(n)), torch.ones(size - int(n))]) for n in lengths]).to(lengths.device)
    return (future + padding.reshape(-1, 1, 1, size)) == 0


# Wrong: the docstring is the hint


def _parts(lengths, size):
    """Query and key places, and the lengths, ready to be compared."""
    places = torch.arange(size, device=lengths.device)
    return places[:, None], places[None, :], lengths[:, None, None, None]


def true_where_forbidden(lengths, size):
    """The mask is turned round: it is True where a query must not look. In this book True means "may look"."""
    return ~causal_and_padding_mask(lengths, size)


def without_itself(lengths, size):
    """No query may look at its own place, so the first has nothing to look at. A word is known when its query is asked; only
    what comes after it is not."""
    t, s, n = _parts(lengths, size)
    return (s < t) & (s < n)


def one_word_ahead(lengths, size):
    """Every query may look one place ahead, at the very word it is to predict. Which keys s may query t look at?"""
    t, s, n = _parts(lengths, size)
    return (s <= t + 1) & (s < n)


def looks_at_the_future(lengths, size):
    """The queries look forward: each at itself and at what comes after. Rows are queries and columns are keys: on which side of
    the diagonal lies the past?"""
    t, s, n = _parts(lengths, size)
    return (s >= t) & (s < n)


def padding_alone(lengths, size):
    """The padding is masked, and nothing else: every query sees the whole text, the future too. That is the mask of an
    encoder."""
    t, s, n = _parts(lengths, size)
    return (s < n) & (t >= 0)


def causal_alone(lengths, size):
    """The future is masked, and the padding is not: `lengths` plays no part."""
    t, s, n = _parts(lengths, size)
    return (s <= t) & (n >= 0)


def either_is_enough(lengths, size):
    """A key counts as allowed if it is past or real. It has to be both."""
    t, s, n = _parts(lengths, size)
    return (s <= t) | (s < n)


def one_key_of_padding(lengths, size):
    """The first place of padding may be looked at. A text of n words has them at the places 0 to n − 1."""
    t, s, n = _parts(lengths, size)
    return (s <= t) & (s <= n)


def last_word_hidden(lengths, size):
    """The last word of every text is hidden. A text of n words has them at the places 0 to n − 1: is the last of these smaller
    than n − 1?"""
    t, s, n = _parts(lengths, size)
    return (s <= t) & (s < n - 1)


def queries_masked(lengths, size):
    """The queries of the padding may look at nothing: its rows are masked. It is the keys that must not be padding. The query
    of a padded place may ask like any other, nobody reads its answer; with nothing to look at it only makes trouble."""
    t, s, n = _parts(lengths, size)
    return (s <= t) & (t < n)


def longest_for_all(lengths, size):
    """All texts got the same mask, that of the longest. Every text has a length of its own."""
    return causal_and_padding_mask(lengths.max().expand(len(lengths)), size)


def padding_in_front(lengths, size):
    """The last n places of a text count as its words. The padding stands behind the text here, not before it."""
    t, s, n = _parts(lengths, size)
    return (s <= t) & (s >= size - n)


def no_axis_for_the_heads(lengths, size):
    """The shape is (B, T, T). Scores have the shape (B, H, T, T), and against them B would stand at the place of the heads: the
    mask needs an axis of length 1 for these."""
    return causal_and_padding_mask(lengths, size)[:, 0]


def axis_for_the_heads_first(lengths, size):
    """The axis for the heads stands before that of the texts. Scores have the shape (B, H, T, T): the texts come first."""
    return causal_and_padding_mask(lengths, size).transpose(0, 1)


def numbers_to_add(lengths, size):
    """You return numbers to be added to the scores, 0 and −∞. Asked for are truth values: True where a query may look."""
    mask = causal_and_padding_mask(lengths, size)
    return torch.zeros(mask.shape, device=mask.device).masked_fill(~mask, float("-inf"))


def ones_and_zeros(lengths, size):
    """You return the numbers 1 and 0. Asked for are truth values, the result of a comparison: `~` of a number means something
    else."""
    return causal_and_padding_mask(lengths, size).float()


def cases(rng: random.Random) -> list[Case]:
    return [
        public("one text, no padding", torch.tensor([3]), 3),
        public("two texts", torch.tensor([4, 2]), 4),
        public("padding behind the longest", torch.tensor([1, 3]), 5),
        hidden("one place", torch.tensor([1, 1, 1]), 1),
        hidden("the same length", torch.tensor([3, 3]), 3),
        hidden("many texts", torch.tensor([rng.randint(1, 7) for _ in range(5)]), 7),
        hidden("much padding", torch.tensor([rng.randint(1, 3) for _ in range(2)]), 11),
    ]


EXERCISE = Exercise(
    chapter="ch09_self_attention",
    minutes=15,
    difficulty=2,
    points=3,
    reference=causal_and_padding_mask,
    right=[text_by_text, with_tril, from_the_last_key, as_a_product],
    wrong=[
        true_where_forbidden,
        without_itself,
        one_word_ahead,
        looks_at_the_future,
        padding_alone,
        causal_alone,
        either_is_enough,
        one_key_of_padding,
        last_word_hidden,
        queries_masked,
        longest_for_all,
        padding_in_front,
        no_axis_for_the_heads,
        axis_for_the_heads_first,
        numbers_to_add,
        ones_and_zeros,
    ],
    cases=cases,
    ready=("lmcore", "torch.nn.Transformer.generate_square_subsequent_mask"),
)
