"""The weighted sum of the layers, with learned weights (Peters et al. 2018, equation 1)."""

import random

import torch

from exercises.grader.exercise import Exercise, hidden, normal, public
from lmcore.check.run import Case


def scalar_mix(states, weights, scale):
    shares = weights.view(-1, 1, 1, 1).softmax(dim=0)
    return scale * (shares * states).sum(dim=0)


# Right, written differently


def with_einsum(states, weights, scale):
    return torch.einsum("l,lbtc->btc", torch.softmax(weights, -1) * scale, states)


def layer_by_layer(states, weights, scale):
    e = torch.exp(weights - weights.detach().max())
    total = 0.0
    for share, layer in zip(e / e.sum(), states, strict=True):
        total = total + share * layer
    return total * scale


def as_a_product(states, weights, scale):
    log_shares = weights - weights.logsumexp(0)
    return scale * (log_shares.exp() @ states.flatten(1)).unflatten(0, states.shape[1:])


# Wrong: the docstring is the hint


def _mixed(shares, states):
    return torch.tensordot(shares, states, 1)


def scale_forgotten(states, weights, scale):
    """γ plays no part. The shares add up to 1, so without it the sum cannot grow beyond the layers themselves."""
    return _mixed(weights.softmax(0), states)


def no_softmax(states, weights, scale):
    """The layers were multiplied by the weights themselves. The shares are their softmax: positive, with the sum 1."""
    return scale * _mixed(weights, states)


def divided_by_the_sum(states, weights, scale):
    """The weights were divided by their sum. That fails where they are negative or add up to 0. The softmax takes e to their
    power first."""
    return scale * _mixed(weights / weights.sum(), states)


def not_normalised(states, weights, scale):
    """The exponentials were not divided by their sum: the shares have to add up to 1."""
    return scale * _mixed(weights.exp(), states)


def overflows(states, weights, scale):
    """With large weights the result is nan: e to the power of some hundred is more than a float can hold. Take the largest away
    from all of them first, or use a function that does."""
    e = weights.exp()
    return scale * _mixed(e / e.sum(), states)


def mean_taken_away(states, weights, scale):
    """With weights far apart the result is nan. The mean of the weights was taken away before the exponential: that leaves the
    shares as they are, but a weight far above the mean still gives infinity. What has to be taken away so that no exponent
    is above 0?"""
    e = (weights - weights.mean()).exp()
    return scale * _mixed(e / e.sum(), states)


def sigmoid_of_each(states, weights, scale):
    """Each weight went through a sigmoid by itself. The layers compete: all shares together are 1."""
    return scale * _mixed(weights.sigmoid(), states)


def softmax_over_the_numbers(states, weights, scale):
    """The softmax ran over the C numbers of the vectors. It belongs to the weights, one for each layer; the vectors stay as
    they are."""
    return scale * _mixed(weights, states.softmax(-1))


def softmax_over_the_layers_states(states, weights, scale):
    """The softmax ran over the layers, but over their vectors, after they were multiplied by the weights. It belongs to the
    weights alone."""
    product = weights.view(-1, 1, 1, 1) * states
    return scale * (product.softmax(0) * states).sum(0)


def logarithms(states, weights, scale):
    """The shares are logarithms: log_softmax stands where softmax belongs."""
    return scale * _mixed(weights.log_softmax(0), states)


def scale_in_the_softmax(states, weights, scale):
    """γ was multiplied with the weights before the softmax. There it makes the shares more or less equal; it belongs outside,
    in front of the sum."""
    return _mixed((scale * weights).softmax(0), states)


def scale_added(states, weights, scale):
    """γ was added. It is a factor."""
    return scale + _mixed(weights.softmax(0), states)


def scale_squared(states, weights, scale):
    """γ is in the result twice. It comes once: in the shares, or in front of the sum."""
    return scale * _mixed(scale * weights.softmax(0), states)


def divided_by_the_layers(states, weights, scale):
    """The mean over the layers was taken after the multiplication: the sum is divided by their number. The shares make a mean
    of it already."""
    return scale * (weights.softmax(0).view(-1, 1, 1, 1) * states).mean(0)


def equal_shares(states, weights, scale):
    """All layers have the same share: `weights` plays no part."""
    return scale * states.mean(0)


def largest_alone(states, weights, scale):
    """Only the layer with the largest weight was taken. The softmax is soft: every layer has a share, and the weights can
    learn."""
    return scale * states[weights.argmax()]


def first_layer_left_out(states, weights, scale):
    """The first of the given layers was left out. It would be so if it were the embeddings and they were not wanted; here all
    that is given is mixed, and each layer has a weight of its own."""
    return scale * _mixed(weights[1:].softmax(0), states[1:])


def order_turned_round(states, weights, scale):
    """The last weight went to the first layer. They have the same order."""
    return scale * _mixed(weights.softmax(0).flip(0), states)


def side_by_side(states, weights, scale):
    """The layers stand side by side, each with its share. They are added, which keeps the width."""
    return scale * torch.cat(list(weights.softmax(0).view(-1, 1, 1, 1) * states), -1)


def shares_along_the_width(states, weights, scale):
    """The shares were laid along the last axis: each of the C numbers of a vector got one, and not each layer. If C is another
    number than L, it does not even fit. With which axis of the states does torch line up a tensor that has one axis, and
    which axis are the layers?"""
    return scale * (weights.softmax(0) * states).sum(0)


def normalised(states, weights, scale):
    """Each layer was normalised before it was mixed. The paper says that this may help, but here the vectors are mixed as they
    are."""
    centred = states - states.mean(-1, keepdim=True)
    return scale * _mixed(weights.softmax(0), centred / (centred.square().mean(-1, keepdim=True) + 1e-12).sqrt())


def weights_detached(states, weights, scale):
    """The value is right, but no gradient reaches the weights, so they would never learn: they were cut from the graph."""
    return scale * _mixed(weights.softmax(0).detach(), states)


def scale_detached(states, weights, scale):
    """The value is right, but no gradient reaches γ: it was taken out of its tensor."""
    return scale.item() * _mixed(weights.softmax(0), states)


def cases(rng: random.Random) -> list[Case]:
    by_hand = torch.tensor([[[[1.0, 0.0]]], [[[0.0, 4.0]]]])
    small = random.Random(14)
    return [
        public("two layers, by hand", by_hand, torch.tensor([1.0, 4.0]).log(), torch.tensor(2.0)),
        public("four layers", normal(small, 4, 2, 3, 5), torch.tensor([0.5, -400.0, 2.0, 0.1]), torch.tensor(1.5)),
        public("large weights", by_hand, torch.tensor([300.0, 299.0]), torch.tensor(0.5)),
        hidden("one layer", normal(rng, 1, 2, 2, 3), normal(rng, 1), torch.tensor(-1.25)),
        hidden("equal weights", normal(rng, 3, 1, 4, 2), torch.full((3,), -7.0), torch.tensor(1.0)),
        hidden("very unequal", normal(rng, 2, 1, 2, 2), torch.tensor([0.0, -400.0]), torch.tensor(3.0)),
        hidden("many layers", normal(rng, 13, 2, 5, 3), 2 * normal(rng, 13), normal(rng, 1)[0]),
        hidden("double precision", *(part.double() for part in (normal(rng, 5, 3, 2, 4), normal(rng, 5), torch.tensor(0.7)))),
    ]


EXERCISE = Exercise(
    chapter="ch14_fine_tuning",
    minutes=15,
    difficulty=1,
    points=2,
    reference=scalar_mix,
    right=[with_einsum, layer_by_layer, as_a_product],
    wrong=[
        scale_forgotten,
        no_softmax,
        divided_by_the_sum,
        not_normalised,
        overflows,
        mean_taken_away,
        sigmoid_of_each,
        softmax_over_the_numbers,
        softmax_over_the_layers_states,
        logarithms,
        scale_in_the_softmax,
        scale_added,
        scale_squared,
        divided_by_the_layers,
        equal_shares,
        largest_alone,
        first_layer_left_out,
        order_turned_round,
        side_by_side,
        shares_along_the_width,
        normalised,
        weights_detached,
        scale_detached,
    ],
    cases=cases,
    probe="gradients",
    ready=("lmcore",),
)
