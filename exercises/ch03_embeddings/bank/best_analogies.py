"""Analogies by vector arithmetic: 3CosAdd (Mikolov, Yih and Zweig 2013; the name is from Levy and Goldberg 2014)."""

import random

import torch
import torch.nn.functional as F

from exercises.grader.exercise import Exercise, hidden, normal, public
from lmcore.check.run import Case


def best_analogies(E, a, b, c, k):
    unit = E / E.norm(dim=1, keepdim=True)
    target = unit[b] - unit[a] + unit[c]
    scores = unit @ target
    scores[[a, b, c]] = float("-inf")
    return scores.topk(k).indices.tolist()


# Right, written differently


def by_sorting(E, a, b, c, k):
    unit = F.normalize(E, dim=1)
    target = unit[b] - unit[a] + unit[c]
    ranked = (unit @ target).argsort(descending=True).tolist()
    return [i for i in ranked if i not in (a, b, c)][:k]


def by_three_similarities(E, a, b, c, k):
    unit = F.normalize(E, dim=1)
    similar = unit @ unit.T
    scores = similar[b] - similar[a] + similar[c]
    allowed = [i for i in range(len(E)) if i not in {a, b, c}]
    return sorted(allowed, key=lambda i: -scores[i].item())[:k]


def in_a_loop(E, a, b, c, k):
    unit = F.normalize(E, dim=1)
    target = unit[b] - unit[a] + unit[c]
    answers, left = [], set(range(len(unit))) - {a, b, c}
    for _ in range(k):
        best = None
        for i in left:
            score = F.cosine_similarity(unit[i], target, dim=0).item()
            if best is None or score > best[0]:
                best = score, i
        answers.append(best[1])
        left.remove(best[1])
    return answers


# Wrong: the docstring is the hint


def _solve(E, k, plus, minus, exclude, normalise=True, candidates=True):
    unit = F.normalize(E, dim=1)
    source = unit if normalise else E
    target = sum(source[i] for i in plus) - sum(source[i] for i in minus)
    scores = (unit if candidates else E) @ target
    scores[list(exclude)] = float("-inf")
    return scores.topk(k).indices.tolist()


def keeps_the_three(E, a, b, c, k):
    """Given words are among the answers. The target lies close to b and c, so they have to be left out of the
    search."""
    return _solve(E, k, (b, c), (a,), ())


def excludes_c_only(E, a, b, c, k):
    """Only c was left out. a and b are given too, and b often lies nearest to the target."""
    return _solve(E, k, (b, c), (a,), (c,))


def excludes_b_only(E, a, b, c, k):
    """Only b was left out. a and c are given too, and c often lies nearest to the target."""
    return _solve(E, k, (b, c), (a,), (b,))


def wrong_way_round(E, a, b, c, k):
    """This solves the question with a and b swapped. a is to b as c is to the answer: what leads from a to b, applied
    to c?"""
    return _solve(E, k, (a, c), (b,), (a, b, c))


def sum_of_all(E, a, b, c, k):
    """All three vectors were added. The step from a to b is a difference."""
    return _solve(E, k, (a, b, c), (), (a, b, c))


def minus_c(E, a, b, c, k):
    """You added a and subtracted c. The step from a to b is a difference, and c is where it starts: which one of the three has
    the minus?"""
    return _solve(E, k, (a, b), (c,), (a, b, c))


def lengths_kept(E, a, b, c, k):
    """The vectors were not scaled to length 1 before the arithmetic, so a long vector (a frequent word, say) decides the
    sum."""
    return _solve(E, k, (b, c), (a,), (a, b, c), normalise=False)


def dot_product(E, a, b, c, k):
    """The candidates were compared by dot product, so the longest vectors win. Compare directions: scale the candidates to
    length 1."""
    return _solve(E, k, (b, c), (a,), (a, b, c), candidates=False)


def no_scaling_at_all(E, a, b, c, k):
    """Nothing was scaled to length 1, neither the three words nor the candidates. Cosine compares directions only."""
    return _solve(E, k, (b, c), (a,), (a, b, c), normalise=False, candidates=False)


def euclidean(E, a, b, c, k):
    """The nearest vector by distance is not the one with the largest cosine. Scale, and compare by the dot product of
    directions."""
    distance = (E - (E[b] - E[a] + E[c])).norm(dim=1)
    distance[[a, b, c]] = float("inf")
    return distance.topk(k, largest=False).indices.tolist()


def neighbour_of_c(E, a, b, c, k):
    """These are the nearest neighbours of c. The step from a to b is missing."""
    return _solve(E, k, (c,), (), (a, b, c))


def least_similar(E, a, b, c, k):
    """These are the words farthest from the target. Look for the largest cosines."""
    unit = F.normalize(E, dim=1)
    scores = unit @ (unit[b] - unit[a] + unit[c])
    scores[[a, b, c]] = float("inf")
    return scores.topk(k, largest=False).indices.tolist()


def zero_for_excluded(E, a, b, c, k):
    """The three given words got the score 0. When every other cosine is negative, 0 is the largest. Which score can never
    win?"""
    unit = F.normalize(E, dim=1)
    scores = unit @ (unit[b] - unit[a] + unit[c])
    scores[[a, b, c]] = 0.0
    return scores.topk(k).indices.tolist()


def place_among_the_rest(E, a, b, c, k):
    """The numbers are places in the list without the three given words. Translate them back to rows of E."""
    rest = [i for i in range(len(E)) if i not in (a, b, c)]
    return [rest.index(i) for i in best_analogies(E, a, b, c, k)]


def worst_first(E, a, b, c, k):
    """The right rows, but the worst of them comes first. Sort by falling cosine."""
    return best_analogies(E, a, b, c, k)[::-1]


def excludes_after_the_cut(E, a, b, c, k):
    """There are fewer than k answers. You took the k best first and then removed the given words; remove them first."""
    return [i for i in _solve(E, k, (b, c), (a,), ()) if i not in (a, b, c)]


def gives_the_cosines(E, a, b, c, k):
    """These are the cosines. Return the numbers of the rows."""
    unit = F.normalize(E, dim=1)
    scores = unit @ F.normalize(unit[b] - unit[a] + unit[c], dim=0)
    scores[[a, b, c]] = float("-inf")
    return scores.topk(k).values.tolist()


def zero_for_excluded_sorted(E, a, b, c, k):
    """The three given words got the score 0. When every other cosine is negative, 0 is the largest. Which score can never
    win?"""
    unit = F.normalize(E, dim=1)
    scores = unit @ (unit[b] - unit[a] + unit[c])
    scores[[a, b, c]] = 0.0
    return scores.argsort(descending=True, stable=True)[:k].tolist()


# Chosen so that each mistake leads to another row; rows are not of length 1.
PLANE = torch.tensor(
    [[1.0, 0.2], [0.9, 1.1], [0.3, -0.8], [0.2, 0.4], [2.0, -1.0], [-0.6, 1.5], [4.0, 3.0], [-0.5, -0.2], [0.1, -3.0]]
)
OPPOSITE = torch.tensor([[1.0, 0.1], [1.0, 0.3], [1.0, -0.2], [-1.0, 0.4], [-3.0, 0.1], [-2.0, -2.5]])


def cases(rng: random.Random) -> list[Case]:
    return [
        public("nine words in the plane", PLANE, 0, 1, 2, 3),
        public("the same words, another question", PLANE, 3, 5, 4, 4),
        public("every other word points away", OPPOSITE, 0, 1, 2, 2),
        *[public(f"twenty-three words {i}", *_random_question(rng, 23)) for i in (1, 2, 3)],
        *[hidden(f"words {i}", *_random_question(rng, 41)) for i in (1, 2, 3)],
    ]


def _random_question(rng: random.Random, words: int) -> tuple[torch.Tensor, int, int, int, int]:
    """Vectors of very different lengths, a question about three of them whose b and c lie near the target, and k."""
    k = 7
    lengths = torch.tensor([[rng.choice([0.2, 1.0, 5.0])] for _ in range(words)])
    E = normal(rng, words, 5) * lengths
    while True:
        a, b, c = rng.sample(range(words), 3)
        if {b, c} <= set(keeps_the_three(E, a, b, c, k)):
            return E, a, b, c, k


EXERCISE = Exercise(
    chapter="ch03_embeddings",
    minutes=20,
    difficulty=2,
    points=3,
    reference=best_analogies,
    right=[by_sorting, by_three_similarities, in_a_loop],
    wrong=[
        keeps_the_three,
        excludes_c_only,
        excludes_b_only,
        wrong_way_round,
        sum_of_all,
        minus_c,
        lengths_kept,
        dot_product,
        no_scaling_at_all,
        euclidean,
        neighbour_of_c,
        least_similar,
        zero_for_excluded,
        place_among_the_rest,
        worst_first,
        excludes_after_the_cut,
        gives_the_cosines,
        zero_for_excluded_sorted,
    ],
    cases=cases,
    ready=("lmcore",),
)
