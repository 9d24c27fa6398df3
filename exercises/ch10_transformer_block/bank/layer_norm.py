"""Layer normalisation (Ba et al. 2016), with ε inside the root. The function is swapped into a Transformer."""

import random

import torch

from exercises.grader.exercise import Exercise, hidden, normal, public
from lmcore.check.run import Case

READY = (
    "torch.nn.functional.layer_norm",
    "torch.layer_norm",
    "torch.native_layer_norm",
    "torch.nn.functional.group_norm",
    "torch.nn.functional.instance_norm",
    "torch.nn.functional.batch_norm",
    "torch.nn.functional.rms_norm",
    "lmcore",
)


def layer_norm(x, weight, bias, eps):
    centred = x - x.mean(dim=-1, keepdim=True)
    variance = (centred * centred).mean(dim=-1, keepdim=True)
    return weight * (centred / (variance + eps).sqrt()) + bias


# Right, written differently


def with_var(x, weight, bias, eps):
    variance, mean = torch.var_mean(x, dim=-1, keepdim=True, correction=0)
    return torch.addcmul(bias, (x - mean) * torch.rsqrt(variance + eps), weight)


def vector_by_vector(x, weight, bias, eps):
    found = []
    for vector in x.reshape(-1, x.shape[-1]):
        mu = vector.sum() / len(vector)
        sigma = torch.sqrt(((vector - mu) ** 2).sum() / len(vector) + eps)
        found.append((vector - mu) / sigma * weight + bias)
    return torch.stack(found).view(x.shape)


def from_the_last_axis_first(x, weight, bias, eps):
    rows = x.movedim(-1, 0)
    rows = rows - rows.mean(0)
    rows = rows / (rows.square().mean(0) + eps) ** 0.5
    return rows.movedim(0, -1) * weight + bias


# Wrong: the docstring is the hint


def _normalised(x, eps, dims=-1):
    centred = x - x.mean(dims, keepdim=True)
    return centred / torch.sqrt(centred.square().mean(dims, keepdim=True) + eps)


def epsilon_outside_the_root(x, weight, bias, eps):
    """ε was added to the standard deviation, after the root. It belongs to the variance, inside the root. By what does each of
    the two divide a vector of variance 1 if ε = 0.25?"""
    centred = x - x.mean(-1, keepdim=True)
    return weight * centred / (centred.square().mean(-1, keepdim=True).sqrt() + eps) + bias


def divided_by_one_less(x, weight, bias, eps):
    """The variance was divided by C − 1, which is what torch's `var` and `std` do if nothing else is said. Here it is the mean
    of the squares: they are divided by C."""
    centred = x - x.mean(-1, keepdim=True)
    return weight * centred / torch.sqrt(x.var(-1, keepdim=True) + eps) + bias


def standard_deviation_of_one_less(x, weight, bias, eps):
    """Two things are not as in the equation: the standard deviation was made with C − 1, as torch's `std` does if nothing else
    is said, and ε was added to it instead of to the variance inside the root."""
    return weight * (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + eps) + bias


def no_epsilon(x, weight, bias, eps):
    """ε plays no part. With a vector of equal numbers the variance is 0: what do you divide by then?"""
    return weight * _normalised(x, 0.0) + bias


def epsilon_squared(x, weight, bias, eps):
    """ε was squared before it was added to the variance. It is added as it is."""
    return weight * _normalised(x, eps * eps) + bias


def divided_by_the_variance(x, weight, bias, eps):
    """The vectors were divided by their variance, without the root. Numbers about 100 away from their mean would come out
    around 0.01; the standard deviation brings them to 1."""
    centred = x - x.mean(-1, keepdim=True)
    return weight * centred / (centred.square().mean(-1, keepdim=True) + eps) + bias


def not_centred(x, weight, bias, eps):
    """The mean was not taken away. Dividing by the root of the mean square alone is RMSNorm, which comes in a later chapter."""
    return weight * x / torch.sqrt(x.square().mean(-1, keepdim=True) + eps) + bias


def numerator_not_centred(x, weight, bias, eps):
    """The variance is that of the centred numbers, but x itself was divided by its root. The mean must go from the numerator
    too."""
    centred = x - x.mean(-1, keepdim=True)
    return weight * x / torch.sqrt(centred.square().mean(-1, keepdim=True) + eps) + bias


def square_around_zero(x, weight, bias, eps):
    """The mean square of x was taken for the variance. The variance is the mean square of something else: what is taken away
    from each number before it is squared?"""
    return weight * (x - x.mean(-1, keepdim=True)) / torch.sqrt(x.square().mean(-1, keepdim=True) + eps) + bias


def only_centred(x, weight, bias, eps):
    """The mean was taken away, and nothing was divided: the numbers keep their size."""
    return weight * (x - x.mean(-1, keepdim=True)) + bias


def along_the_first_axis(x, weight, bias, eps):
    """Mean and variance run along the first axis, over the vectors of a batch. That is close to batch normalisation. A vector
    is normalised by its own C numbers, whatever else is in the batch."""
    return weight * _normalised(x, eps, 0) + bias


def along_the_places(x, weight, bias, eps):
    """Mean and variance run over the places of a text. Each vector is normalised by its own C numbers: which axis is that?"""
    return weight * _normalised(x, eps, max(x.dim() - 2, 0)) + bias


def over_everything(x, weight, bias, eps):
    """One mean and one variance were taken over the whole tensor. Every vector has its own."""
    return weight * _normalised(x, eps, tuple(range(x.dim()))) + bias


def over_a_whole_text(x, weight, bias, eps):
    """One mean and one variance were taken for each text. Every vector has its own: a text has as many as it has places."""
    return weight * _normalised(x, eps, (-2, -1) if x.dim() > 2 else -1) + bias


def without_weight_and_bias(x, weight, bias, eps):
    """The vectors are normalised, and then left like that: the gain γ and the shift β are missing."""
    return _normalised(x, eps)


def without_bias(x, weight, bias, eps):
    """The shift β is missing."""
    return weight * _normalised(x, eps)


def bias_before_weight(x, weight, bias, eps):
    """β was added before γ was multiplied, so that γ scales the shift as well. First γ, then β."""
    return weight * (_normalised(x, eps) + bias)


def weight_around_one(x, weight, bias, eps):
    """The vectors were multiplied by 1 + γ. Some libraries store the gain so; here γ is the factor itself."""
    return (1 + weight) * _normalised(x, eps) + bias


def statistics_detached(x, weight, bias, eps):
    """The values are right, their gradient is not: mean or variance were cut from the graph, by detach or no_grad. A change of
    one number of x changes both, and so moves the whole vector."""
    centred = x - x.mean(-1, keepdim=True).detach()
    return weight * centred / torch.sqrt(centred.square().mean(-1, keepdim=True).detach() + eps) + bias


def epsilon_as_a_floor(x, weight, bias, eps):
    """ε was taken for the smallest number that the variance may be: you divide by the root of the larger of the two. In the
    equation both stand in the root. By what is a vector of variance 1 divided if ε = 0.25?"""
    centred = x - x.mean(-1, keepdim=True)
    return weight * centred / centred.square().mean(-1, keepdim=True).clamp(min=eps).sqrt() + bias


def cases(rng: random.Random) -> list[Case]:
    by_hand = torch.tensor([[1.0, 3.0, 1.0, 3.0], [-2.0, -2.0, -2.0, -2.0]])
    gain, shift = torch.tensor([1.0, 1.0, 2.0, -1.0]), torch.tensor([0.0, 0.5, 0.0, 10.0])
    one = torch.ones(3), torch.zeros(3)
    return [
        public("two vectors, by hand", by_hand, gain, shift, 0.25),
        public("two texts of three places", normal(rng, 2, 3, 4), normal(rng, 4), normal(rng, 4), 0.01),
        public("small numbers", torch.tensor([[0.01, 0.03, 0.05], [0.02, 0.0, 0.04]]), *one, 1e-4),
        hidden("one vector", normal(rng, 5), normal(rng, 5), normal(rng, 5), 1e-5),
        hidden("four axes", 3 * normal(rng, 2, 2, 1, 3) + 5, normal(rng, 3), normal(rng, 3), 0.1),
        hidden("double precision", *(part.double() for part in (normal(rng, 3, 2, 5), normal(rng, 5), normal(rng, 5))), 1e-3),
    ]


EXERCISE = Exercise(
    chapter="ch10_transformer_block",
    minutes=15,
    difficulty=1,
    points=2,
    reference=layer_norm,
    right=[with_var, vector_by_vector, from_the_last_axis_first],
    wrong=[
        epsilon_outside_the_root,
        divided_by_one_less,
        standard_deviation_of_one_less,
        no_epsilon,
        epsilon_squared,
        divided_by_the_variance,
        not_centred,
        numerator_not_centred,
        square_around_zero,
        only_centred,
        along_the_first_axis,
        along_the_places,
        over_everything,
        over_a_whole_text,
        without_weight_and_bias,
        without_bias,
        bias_before_weight,
        weight_around_one,
        statistics_detached,
        epsilon_as_a_floor,
    ],
    cases=cases,
    probe="norms",
    ready=READY,
)
