"""Root mean square normalisation (Zhang and Sennrich 2019, equation 4), computed in single precision or better. The function is
swapped into a Llama."""

import random

import torch

from exercises.ch10_transformer_block.bank import layer_norm
from exercises.grader.exercise import Exercise, hidden, normal, public
from lmcore.check.run import Case

READY = (*layer_norm.READY, "torch.rms_norm")


def rms_norm(x, weight, eps):
    h = x.to(torch.promote_types(x.dtype, torch.float32))
    mean_square = h.square().mean(dim=-1, keepdim=True)
    return weight * (h / (mean_square + eps).sqrt()).to(x.dtype)


# Right, written differently


def in_double_precision(x, weight, eps):
    h = x.double()
    scale = torch.rsqrt((h * h).sum(-1, keepdim=True) / h.shape[-1] + eps)
    return (h * scale * weight.double()).to(x.dtype)


def vector_by_vector(x, weight, eps):
    found = []
    for vector in x.reshape(-1, x.shape[-1]):
        h = vector.float() if vector.dtype == torch.float16 else vector
        size = torch.sqrt(torch.dot(h, h) / len(h) + eps)
        found.append((weight * (h / size)).to(x.dtype))
    return torch.stack(found).view(x.shape)


def with_vector_norm(x, weight, eps):
    """The length of a vector, divided by the root of C, is its root mean square."""
    wide = torch.float64 if x.dtype == torch.float64 else torch.float32
    h = x.to(wide)
    eps_too = torch.cat([h / h.shape[-1] ** 0.5, torch.full_like(h[..., :1], eps**0.5)], dim=-1)
    return h.div(torch.linalg.vector_norm(eps_too, dim=-1, keepdim=True)).to(x.dtype) * weight


def scaled_down_first(x, weight, eps):
    """In the format of x all the way: divided by its largest number, no square overflows."""
    largest = x.detach().abs().amax(-1, keepdim=True).clamp(min=1.0)
    h = x / largest
    return (h / (h.square().float().mean(-1, keepdim=True) + eps / largest.float().square()).sqrt()).to(x.dtype) * weight


# Wrong: the docstring is the hint


def _normalised(x, eps, dims=-1):
    h = x.to(torch.promote_types(x.dtype, torch.float32))
    return (h / torch.sqrt(h.square().mean(dims, keepdim=True) + eps)).to(x.dtype)


def _divided(x, size):
    return (x.to(size.dtype) / size).to(x.dtype)


def _wide(x):
    return x.to(torch.promote_types(x.dtype, torch.float32))


def epsilon_outside_the_root(x, weight, eps):
    """ε was added after the root. It belongs to the mean square, inside the root. What does each of the two give for a vector
    of zeros and a one with ε = 0.25?"""
    return weight * _divided(x, _wide(x).square().mean(-1, keepdim=True).sqrt() + eps)


def no_epsilon(x, weight, eps):
    """ε plays no part. With a vector of zeros you divide 0 by 0."""
    return weight * _normalised(x, 0.0)


def epsilon_squared(x, weight, eps):
    """ε was squared before it was added to the mean square. It is added as it is."""
    return weight * _normalised(x, eps * eps)


def epsilon_in_the_sum(x, weight, eps):
    """ε is C times too small: it was added to the sum of the squares, and then divided by C with it. To what does the equation
    add it?"""
    return weight * _divided(x, ((_wide(x).square().sum(-1, keepdim=True) + eps) / x.shape[-1]).sqrt())


def largest_of_mean_square_and_epsilon(x, weight, eps):
    """The mean square was kept from falling below ε. The equation adds ε to it, always."""
    return weight * _divided(x, _wide(x).square().mean(-1, keepdim=True).clamp(min=eps).sqrt())


def layer_normalisation(x, weight, eps):
    """The mean was taken away: this is layer normalisation. RMSNorm leaves the mean where it is, and divides by the root of
    the mean square alone."""
    h = _wide(x)
    return weight * _normalised(h - h.mean(-1, keepdim=True), eps).to(x.dtype)


def divided_by_the_deviation(x, weight, eps):
    """The vectors were divided by their standard deviation, the mean square of the numbers *minus their mean*. Here it is the
    mean square of the numbers themselves."""
    return weight * _divided(x, torch.sqrt(_wide(x).var(-1, keepdim=True, correction=0) + eps))


def divided_by_the_mean_square(x, weight, eps):
    """The vectors were divided by their mean square, without the root. Numbers around 100 would then come out around 0.01;
    the root brings them to 1."""
    return weight * _divided(x, _wide(x).square().mean(-1, keepdim=True) + eps)


def multiplied_by_the_root(x, weight, eps):
    """The vectors were multiplied by the root. Is a vector of large numbers made larger or smaller? torch's `rsqrt` is one
    divided by the root, `sqrt` is the root."""
    return weight * (_wide(x) * torch.sqrt(_wide(x).square().mean(-1, keepdim=True) + eps)).to(x.dtype)


def divided_by_the_length(x, weight, eps):
    """The squares were added up and not divided by C: this brings every vector to length 1. RMSNorm brings the *mean* of the
    squares to 1, so that the size of a number does not depend on the width."""
    return weight * _divided(x, torch.sqrt(_wide(x).square().sum(-1, keepdim=True) + eps))


def divided_by_one_less(x, weight, eps):
    """The sum of the squares was divided by C − 1. No mean was taken away, so nothing is lost: divide by C."""
    return weight * _divided(x, torch.sqrt(_wide(x).square().sum(-1, keepdim=True) / (x.shape[-1] - 1) + eps))


def mean_of_the_sizes(x, weight, eps):
    """The mean of the absolute values was taken for the root mean square. First the squares, then their mean, then the
    root."""
    return weight * _divided(x, _wide(x).abs().mean(-1, keepdim=True) + eps)


def square_of_the_mean(x, weight, eps):
    """The mean was taken first and squared afterwards. First the squares, then their mean."""
    return weight * _divided(x, torch.sqrt(_wide(x).mean(-1, keepdim=True).square() + eps))


def along_the_first_axis(x, weight, eps):
    """The mean square runs along the first axis, over the vectors of a batch. A vector is normalised by its own C numbers."""
    return weight * _normalised(x, eps, 0)


def along_the_places(x, weight, eps):
    """The mean square runs over the places of a text. Each vector is normalised by its own C numbers: which axis is that?"""
    return weight * _normalised(x, eps, max(x.dim() - 2, 0))


def over_everything(x, weight, eps):
    """One mean square was taken over the whole tensor. Every vector has its own."""
    return weight * _normalised(x, eps, tuple(range(x.dim())))


def over_a_whole_text(x, weight, eps):
    """One mean square was taken for each text. Every vector has its own: a text has as many as it has places."""
    return weight * _normalised(x, eps, (-2, -1) if x.dim() > 2 else -1)


def without_weight(x, weight, eps):
    """The vectors are normalised, and then left like that: the gain γ is missing."""
    return _normalised(x, eps)


def weight_around_one(x, weight, eps):
    """The vectors were multiplied by 1 + γ. Some models store the gain so, Gemma among them; here γ is the factor itself."""
    return (1 + weight) * _normalised(x, eps)


def weight_first(x, weight, eps):
    """γ was multiplied before the mean square was taken, so that its size is divided away again. First the norm, then γ."""
    return _normalised(weight * x, eps)


def size_detached(x, weight, eps):
    """The values are right, their gradient is not: the root mean square was cut from the graph. A change of one number of x
    changes it, and so moves the whole vector."""
    return weight * _divided(x, torch.sqrt(_wide(x).square().mean(-1, keepdim=True) + eps).detach())


def squares_in_half_precision(x, weight, eps):
    """The squares were taken in half precision, whose largest number is 65,504. The square of 300 is more than that: what is
    300 divided by infinity? Change the format of x before anything else, and that of the result at the end."""
    return weight * (x / (x.square().mean(-1, keepdim=True) + eps).sqrt())


def epsilon_outside_and_half(x, weight, eps):
    """Two things are not as they should be: ε was added after the root, where it belongs to the mean square inside it; and
    the squares were taken in half precision, where that of 300 is infinite. Change the format of x first."""
    return weight * (x / (x.square().mean(-1, keepdim=True).sqrt() + eps))


def layer_normalisation_and_half(x, weight, eps):
    """Two things are not as they should be: the mean was taken away, as in layer normalisation; and the squares were taken in
    half precision, where that of 300 is infinite. Change the format of x first."""
    h = x - x.mean(-1, keepdim=True)
    return weight * (h / (h.square().mean(-1, keepdim=True) + eps).sqrt())


def divided_by_the_length_and_half(x, weight, eps):
    """Two things are not as they should be: the squares were added up and not divided by C; and they were taken in half
    precision, where that of 300 is infinite. Change the format of x first."""
    return weight * (x / (x.square().sum(-1, keepdim=True) + eps).sqrt())


def without_weight_and_half(x, weight, eps):
    """Two things are missing: the gain γ; and another format for the squares, as in half precision that of 300 is infinite.
    Change the format of x first."""
    return x / (x.square().mean(-1, keepdim=True) + eps).sqrt()


def format_not_changed_back(x, weight, eps):
    """The result has another number format than x. The next part of the model expects the format of the weights: change it
    back."""
    h = x.float()
    return weight.float() * (h / torch.sqrt(h.square().mean(-1, keepdim=True) + eps))


def cases(rng: random.Random) -> list[Case]:
    by_hand = torch.tensor([[1.0, 7.0, -5.0, 5.0], [0.0, 0.0, 0.0, 1.0], [0.0, 0.0, 0.0, 0.0]])
    half = torch.tensor([[300.0, -400.0, 0.0, 500.0], [1.0, 2.0, 0.0, -2.0]]).half()
    return [
        public("three vectors, by hand", by_hand, torch.tensor([1.0, 1.0, 2.0, -1.0]), 0.25),
        public("two texts of three places", normal(rng, 2, 3, 4), normal(rng, 4), 0.01),
        public("half precision", half, torch.tensor([1.0, 0.5, 2.0, 1.0]).half(), 1e-5),
        public("small numbers", torch.tensor([[0.01, 0.03, 0.05], [0.02, 0.0, 0.04]]), torch.ones(3), 1e-4),
        hidden("one vector", normal(rng, 5), normal(rng, 5), 1e-5),
        hidden("four axes", 3 * normal(rng, 2, 2, 1, 3) + 5, normal(rng, 3), 0.1),
        hidden("half precision, drawn", (1000 * normal(rng, 3, 6)).half(), normal(rng, 6).half(), 1e-3),
        hidden("double precision", normal(rng, 3, 2, 5).double(), normal(rng, 5).double(), 1e-3),
    ]


EXERCISE = Exercise(
    chapter="ch19_llama",
    minutes=15,
    difficulty=1,
    points=2,
    reference=rms_norm,
    right=[in_double_precision, vector_by_vector, with_vector_norm, scaled_down_first],
    wrong=[
        epsilon_outside_the_root,
        no_epsilon,
        epsilon_squared,
        epsilon_in_the_sum,
        largest_of_mean_square_and_epsilon,
        layer_normalisation,
        divided_by_the_deviation,
        divided_by_the_mean_square,
        multiplied_by_the_root,
        divided_by_the_length,
        divided_by_one_less,
        mean_of_the_sizes,
        square_of_the_mean,
        along_the_first_axis,
        along_the_places,
        over_everything,
        over_a_whole_text,
        without_weight,
        weight_around_one,
        weight_first,
        size_detached,
        squares_in_half_precision,
        epsilon_outside_and_half,
        layer_normalisation_and_half,
        divided_by_the_length_and_half,
        without_weight_and_half,
        format_not_changed_back,
    ],
    cases=cases,
    probe="rms",
    rtol=4e-3,  # half precision rounds to three digits, and where it rounds differs from one right answer to another
    atol=2e-3,
    ready=READY,
)
