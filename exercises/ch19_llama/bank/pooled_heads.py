"""From a checkpoint with a key head for every query head to one with shared key heads (Ainslie et al. 2023, section 2.1): the
heads of a group are averaged. The function is swapped into a Llama."""

import random

import torch

from exercises.grader.exercise import Exercise, hidden, normal, public
from lmcore.check.run import Case


def pooled_heads(weight, heads, groups):
    parts = weight.unflatten(0, (groups, heads // groups, -1))
    return parts.mean(dim=1).flatten(0, 1)


# Right, written differently


def group_by_group(weight, heads, groups):
    by_head, share = weight.chunk(heads), heads // groups
    pooled = [sum(by_head[g * share : (g + 1) * share]) / share for g in range(groups)]
    return torch.cat(pooled)


def with_a_product(weight, heads, groups):
    """A matrix with a row for each group, which is 1 / n at the n heads of the group."""
    share = heads // groups
    average = torch.kron(torch.eye(groups), torch.full((1, share), 1 / share)).to(weight)
    return torch.einsum("gh,hdc->gdc", average, weight.view(heads, -1, weight.shape[1])).reshape(-1, weight.shape[1])


def row_by_row(weight, heads, groups):
    share, width = heads // groups, weight.shape[0] // heads
    rows = []
    for group in range(groups):
        for d in range(width):
            same = [weight[(group * share + n) * width + d] for n in range(share)]
            rows.append(torch.stack(same).sum(0) / share)
    return torch.stack(rows)


# Wrong: the docstring is the hint


def _parts(weight, heads, groups):
    """The weight with the axes G, H/G, D, C."""
    return weight.unflatten(0, (groups, heads // groups, -1))


def heads_in_turn(weight, heads, groups):
    """The heads were dealt out in turn: 0, 2, 4 to one group and 1, 3, 5 to the other. Neighbours make a group: which heads
    of the queries will look into it?"""
    return weight.unflatten(0, (heads // groups, groups, -1)).mean(0).flatten(0, 1)


def neighbouring_rows(weight, heads, groups):
    """Rows that stand next to each other were averaged. They are different numbers of one key. All rows of the first head
    stand first, then all of the second: at what distance are the two rows that hold the same number?"""
    return weight.unflatten(0, (-1, heads // groups)).mean(1)


def summed(weight, heads, groups):
    """The heads of a group were added up. Keys that are several times as large make every attention sharper: take the
    mean."""
    return _parts(weight, heads, groups).sum(1).flatten(0, 1)


def divided_by_the_root(weight, heads, groups):
    """The sum of the heads was divided by the root of their number. That keeps the size of random numbers; asked for is the
    mean."""
    return _parts(weight, heads, groups).sum(1).flatten(0, 1) / (heads // groups) ** 0.5


def divided_by_all_heads(weight, heads, groups):
    """The sum was divided by H. A group has H / G heads."""
    return _parts(weight, heads, groups).sum(1).flatten(0, 1) / heads


def divided_by_the_groups(weight, heads, groups):
    """The sum was divided by G. A group has H / G heads."""
    return _parts(weight, heads, groups).sum(1).flatten(0, 1) / groups


def first_of_each_group(weight, heads, groups):
    """The first head of each group was kept, and what the others had learned is thrown away. Take their mean."""
    return _parts(weight, heads, groups)[:, 0].flatten(0, 1) + 0


def last_of_each_group(weight, heads, groups):
    """The last head of each group was kept, and what the others had learned is thrown away. Take their mean."""
    return _parts(weight, heads, groups)[:, -1].flatten(0, 1) + 0


def largest_of_each_group(weight, heads, groups):
    """The largest number of each group was taken. Asked for is the mean."""
    return _parts(weight, heads, groups).amax(1).flatten(0, 1)


def middle_of_each_group(weight, heads, groups):
    """The median of each group was taken. Asked for is the mean."""
    return _parts(weight, heads, groups).median(1).values.flatten(0, 1)


def first_heads(weight, heads, groups):
    """The first G heads were kept, and the rest thrown away. Every new head is the mean of H / G old ones."""
    return weight[: len(weight) // heads * groups] + 0


def one_mean_for_all(weight, heads, groups):
    """All heads went into one mean, which is repeated. Every group has its own."""
    parts = _parts(weight, heads, groups)
    return parts.mean((0, 1), keepdim=True).expand(groups, 1, -1, -1).flatten(0, 2)


def groups_and_sizes_exchanged(weight, heads, groups):
    """The result has H / G heads, each the mean of G. Asked for are G heads, each the mean of H / G."""
    return weight.unflatten(0, (heads // groups, groups, -1)).mean(1).flatten(0, 1)


def along_the_columns(weight, heads, groups):
    """Columns were averaged, so that the result reads narrower vectors. The heads lie in the rows; the C columns stay."""
    return torch.stack([part.mean(1) for part in weight.tensor_split(max(1, weight.shape[1] * groups // heads), 1)], 1)


def not_pooled(weight, heads, groups):
    """All H heads are still there, each of them the mean of its group. The cache would not become smaller: keep one for each
    group."""
    parts = _parts(weight, heads, groups)
    return parts.mean(1, keepdim=True).expand_as(parts).flatten(0, 2)


def axes_kept(weight, heads, groups):
    """The result has the axes G, D, C. A matrix of a linear layer has two: join the first two."""
    return _parts(weight, heads, groups).mean(1)


def gradient_of_one_head(weight, heads, groups):
    """The values are right, but only the first head of each group gets a gradient: the others were cut from the graph. All of
    them are in the mean."""
    parts = _parts(weight, heads, groups)
    rest = parts[:, 1:].detach().sum(1)
    return ((parts[:, 0] + rest) / parts.shape[1]).flatten(0, 1)


def a_new_parameter(weight, heads, groups):
    """The numbers are right, but what you return is a tensor with a graph of its own, as a new parameter is: no gradient
    reaches the weights that were given. Return the means as they come from these weights."""
    return torch.nn.Parameter(_parts(weight, heads, groups).mean(1).flatten(0, 1))


def without_a_graph(weight, heads, groups):
    """The values are right, but no gradient reaches the weights: they were cut from the graph."""
    return _parts(weight, heads, groups).mean(1).flatten(0, 1).detach()


def cases(rng: random.Random) -> list[Case]:
    by_hand = torch.tensor([[1.0, 0.0], [2.0, 5.0], [3.0, 0.0], [4.0, 8.0], [0.0, 6.0], [9.0, 1.0], [10.0, 2.0], [1.0, 4.0]])
    return [
        public("four heads in two groups, by hand", by_hand, 4, 2),
        public("six heads in two groups", normal(rng, 12, 5), 6, 2),
        public("one group", by_hand[:6], 3, 1),
        hidden("a group for each head", normal(rng, 6, 2), 3, 3),
        hidden("heads of width one", normal(rng, 8, 3), 8, 4),
        hidden("heads of width three", normal(rng, 18, 2), 6, 3),
        hidden("double precision", normal(rng, 24, 7).double(), 6, 3),
    ]


EXERCISE = Exercise(
    chapter="ch19_llama",
    minutes=20,
    difficulty=2,
    points=3,
    reference=pooled_heads,
    right=[group_by_group, with_a_product, row_by_row],
    wrong=[
        heads_in_turn,
        neighbouring_rows,
        summed,
        divided_by_the_root,
        divided_by_all_heads,
        divided_by_the_groups,
        first_of_each_group,
        last_of_each_group,
        largest_of_each_group,
        middle_of_each_group,
        first_heads,
        one_mean_for_all,
        groups_and_sizes_exchanged,
        along_the_columns,
        not_pooled,
        axes_kept,
        gradient_of_one_head,
        a_new_parameter,
        without_a_graph,
    ],
    cases=cases,
    probe="pooled",
    rtol=1e-3,
    atol=1e-4,
    ready=("lmcore",),
)
