"""Shared keys and values, repeated for every head of the queries (Ainslie et al. 2023, section 2.2), as it is done where no
kernel knows groups. The function is swapped into a Llama."""

import random

import torch

from exercises.grader.exercise import Exercise, hidden, normal, public
from lmcore.check.run import Case


def repeat_heads(x, heads):
    return x.repeat_interleave(heads // x.shape[1], dim=1)


# Right, written differently


def with_expand(x, heads):
    """As in Hugging Face's Llama: a new axis of length one behind the heads, stretched, and joined with them."""
    return x.unsqueeze(2).expand(-1, -1, heads // x.size(1), -1, -1).flatten(1, 2)


def head_by_head(x, heads):
    texts, groups, length, width = x.shape
    result = x.new_zeros(texts, heads, length, width)
    for h in range(heads):
        result[:, h] = x[:, h // (heads // groups)]
    return result


def with_an_index(x, heads):
    head = torch.arange(heads).to(x.device)
    return x[:, head * x.shape[1] // heads]


def with_a_matrix(x, heads):
    """A product with a matrix of zeros and ones: row h has its one in the column of the group that h looks into."""
    groups = x.shape[1]
    which = torch.kron(torch.eye(groups), torch.ones(heads // groups, 1)).to(x)
    return torch.einsum("hg,bgsd->bhsd", which, x)


# Wrong: the docstring is the hint


def _times(x, heads):
    return heads // x.shape[1]


def taken_in_turn(x, heads):
    """The heads took the groups in turn: 0, 1, 0, 1 where it should be 0, 0, 1, 1. A model that was trained with neighbours
    sharing would look with the wrong keys. Does your function repeat the whole list of heads, or each of its entries?"""
    return x.repeat(1, _times(x, heads), 1, 1)


def groups_backwards(x, heads):
    """The groups stand in the opposite order: the first heads got the last group."""
    return x.flip(1).repeat_interleave(_times(x, heads), 1)


def heads_times(x, heads):
    """Every head was repeated `heads` times, so there are G · H of them. How often must each of G heads stand there, so that
    there are H?"""
    return x.repeat_interleave(heads, 1)


def group_number_times(x, heads):
    """Every head was repeated G times. It is the number of heads *per group* that counts: how many heads of the queries share
    one of the keys?"""
    return x.repeat_interleave(x.shape[1], 1)


def not_repeated(x, heads):
    """This is x itself. With more heads in the queries than in the keys, the product of the two does not fit."""
    return x.clone()


def first_group_for_all(x, heads):
    """All heads got the first group. With G = 1 that would be right (multi-query attention); here each group has its own."""
    return x[:, :1].expand(-1, heads, -1, -1).contiguous()


def mean_for_all(x, heads):
    """All heads got the mean of the groups. Each group is kept, and repeated for its own heads."""
    return x.mean(1, keepdim=True).expand(-1, heads, -1, -1).contiguous()


def others_empty(x, heads):
    """The first head of every group got the keys, and the others zeros. All heads of a group share the same ones."""
    times = _times(x, heads)
    empty = torch.zeros_like(x)
    return torch.stack([x, *[empty] * (times - 1)], 2).flatten(1, 2)


def zeros_behind(x, heads):
    """The groups stand at the beginning, each once, and zeros fill the rest. Each group stands as often as heads share it."""
    return torch.cat([x, torch.zeros_like(x[:, :1]).expand(-1, heads - x.shape[1], -1, -1)], 1)


def divided(x, heads):
    """The values were divided by the number of heads that share them. Sharing is no dividing: each head reads the whole
    key."""
    return x.repeat_interleave(_times(x, heads), 1) / _times(x, heads)


def along_the_texts(x, heads):
    """The texts were repeated, not the heads: the first axis is B. Which one are the heads?"""
    return x.repeat_interleave(_times(x, heads), 0)


def along_the_places(x, heads):
    """The places were repeated, not the heads. A text would seem longer than it is. Which axis are the heads?"""
    return x.repeat_interleave(_times(x, heads), 2)


def places_repeated_and_reshaped(x, heads):
    """The places were repeated, and a reshape made heads of them: the shape is right, but a head gets the same place several
    times, and other places not at all. Which axis are the heads, and along which one did you repeat?"""
    return x.repeat_interleave(_times(x, heads), 2).reshape(x.shape[0], heads, *x.shape[2:])


def along_the_width(x, heads):
    """The numbers of each vector were repeated, not the heads. Which axis are the heads?"""
    return x.repeat_interleave(_times(x, heads), 3)


def seen_as_another_shape(x, heads):
    """The shape is right, but every number stands several times next to itself, and each head holds only a part of its group's
    numbers: the copies were made at the last axis, and a reshape spread them over the heads. At which axis are copies of whole
    heads made?"""
    times = _times(x, heads)
    return torch.stack([x] * times, -1).reshape(x.shape[0], heads, *x.shape[2:])


def texts_mixed(x, heads):
    """The copies were put in front of the texts and then joined with the heads: the heads of one text hold keys of another.
    Compare the first text of your result with x when there are two."""
    return torch.stack([x] * _times(x, heads)).reshape(x.shape[0], heads, *x.shape[2:])


def heads_behind_the_places(x, heads):
    """The result has the axes B, S, H, D. Asked for is B, H, S, D, the order of the queries."""
    return x.repeat_interleave(_times(x, heads), 1).transpose(1, 2).contiguous()


def axis_kept(x, heads):
    """The groups and the heads in each are two axes, B, G, H/G, S, D. They have to become one."""
    return x[:, :, None].expand(-1, -1, _times(x, heads), -1, -1).contiguous()


def gradient_of_one_head(x, heads):
    """The values are right, their gradient is not: only the first head of each group passes one back, the others are copies
    cut from the graph. A key that serves several heads learns from all of them."""
    return torch.stack([x, *[x.detach()] * (_times(x, heads) - 1)], 2).flatten(1, 2)


def without_a_graph(x, heads):
    """The values are right, but no gradient reaches the keys: they were cut from the graph."""
    return x.detach().repeat_interleave(_times(x, heads), 1)


def cases(rng: random.Random) -> list[Case]:
    by_hand = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]]]])
    return [
        public("two heads for four, by hand", by_hand, 4),
        public("two texts, six heads", normal(rng, 2, 2, 3, 4), 6),
        public("one head for three", by_hand[:, :1], 3),
        hidden("as many as before", normal(rng, 2, 3, 2, 1), 3),
        hidden("three texts", normal(rng, 3, 4, 1, 3), 8),
        hidden("nothing in the cache", normal(rng, 1, 2, 0, 3), 4),
        hidden("double precision", normal(rng, 2, 3, 5, 6).double(), 9),
    ]


EXERCISE = Exercise(
    chapter="ch19_llama",
    minutes=10,
    difficulty=1,
    points=2,
    reference=repeat_heads,
    right=[with_expand, head_by_head, with_an_index, with_a_matrix],
    wrong=[
        taken_in_turn,
        groups_backwards,
        heads_times,
        group_number_times,
        not_repeated,
        first_group_for_all,
        mean_for_all,
        others_empty,
        zeros_behind,
        divided,
        along_the_texts,
        along_the_places,
        places_repeated_and_reshaped,
        along_the_width,
        seen_as_another_shape,
        texts_mixed,
        heads_behind_the_places,
        axis_kept,
        gradient_of_one_head,
        without_a_graph,
    ],
    cases=cases,
    probe="shared",
    rtol=1e-3,
    atol=1e-4,
    ready=("lmcore",),
)
