"""Stochastic gradient descent with momentum (Polyak 1964), batch after batch in a seeded order: a training loop."""

import random

import torch
from torch.nn import functional as F

from exercises.grader.exercise import Exercise, hidden, normal, public
from lmcore.check.run import Case


def momentum_training(model, x, y, epochs, size, rate, momentum, seed):
    generator = torch.Generator().manual_seed(seed)
    velocities = [torch.zeros_like(parameter) for parameter in model.parameters()]
    losses = []
    for _ in range(epochs):
        for batch in torch.randperm(len(x), generator=generator).split(size):
            loss = F.cross_entropy(model(x[batch]), y[batch])
            gradients = torch.autograd.grad(loss, list(model.parameters()))
            with torch.no_grad():
                for parameter, velocity, gradient in zip(model.parameters(), velocities, gradients):  # noqa: B905
                    velocity.copy_(momentum * velocity + gradient)
                    parameter.sub_(rate * velocity)
            losses.append(loss.item())
    return losses


# Right, written differently


def with_backward(model, x, y, epochs, size, rate, momentum, seed):
    generator, velocity, losses = torch.Generator().manual_seed(seed), {}, []
    for _ in range(epochs):
        order = torch.randperm(len(x), generator=generator)
        for start in range(0, len(x), size):
            batch = order[start : start + size]
            model.zero_grad()
            loss = -model(x[batch]).log_softmax(1)[range(len(batch)), y[batch]].mean()
            loss.backward()
            losses.append(loss.item())
            for name, parameter in model.named_parameters():
                velocity[name] = momentum * velocity.get(name, 0) + parameter.grad
                parameter.data -= rate * velocity[name]
    return losses


def with_torch(model, x, y, epochs, size, rate, momentum, seed):
    generator, losses = torch.Generator().manual_seed(seed), []
    optimizer = torch.optim.SGD(model.parameters(), lr=rate, momentum=momentum)
    for _ in range(epochs):
        for batch in torch.randperm(len(x), generator=generator).split(size):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x[batch]), y[batch])
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


def rate_in_the_velocity(model, x, y, epochs, size, rate, momentum, seed):
    torch.manual_seed(seed)
    steps = {parameter: torch.zeros_like(parameter) for parameter in model.parameters()}
    losses = []
    for _ in range(epochs):
        for batch in torch.split(torch.randperm(len(x)), size):
            loss = F.nll_loss(F.log_softmax(model(x[batch]), dim=-1), y[batch])
            model.zero_grad(set_to_none=False)
            loss.backward()
            for parameter, step in steps.items():
                with torch.no_grad():
                    step *= momentum
                    step -= rate * parameter.grad
                    parameter += step
            losses += [loss.item()]
    return losses


def by_update_numbers(model, x, y, epochs, size, rate, momentum, seed):
    generator = torch.Generator()
    generator.manual_seed(seed)
    orders = [torch.randperm(len(x), generator=generator) for _ in range(epochs)]
    batches = [order[i : i + size] for order in orders for i in range(0, len(order), size)]
    parameters, history, losses = list(model.parameters()), [], []
    for batch in batches:
        loss = F.cross_entropy(model(x[batch]), y[batch])
        history.append(torch.autograd.grad(loss, parameters))
        losses.append(loss.item())
        for i, parameter in enumerate(parameters):
            past = [momentum ** (len(history) - 1 - t) * gradients[i] for t, gradients in enumerate(history)]
            parameter.data = parameter.data - rate * torch.stack(past).sum(0)
    return losses


# Wrong: the docstring is the hint. They are one loop with one thing changed.


def _loop(model, x, y, epochs, size, rate, momentum, seed, order, update, loss_of=F.cross_entropy):
    """``order(epoch)`` gives the examples of an epoch, ``update(velocity, gradient)`` a new velocity and a step."""
    velocities = [torch.zeros_like(parameter) for parameter in model.parameters()]
    losses = []
    for epoch in range(epochs):
        for batch in order(epoch).split(size):
            loss = loss_of(model(x[batch]), y[batch])
            gradients = torch.autograd.grad(loss, list(model.parameters()))
            with torch.no_grad():
                for i, (parameter, gradient) in enumerate(zip(model.parameters(), gradients, strict=True)):
                    velocities[i], step = update(velocities[i], gradient)
                    parameter.sub_(rate * step)
            losses.append(loss.item())
    return losses


def _orders(x, seed):
    generator = torch.Generator().manual_seed(seed)
    return lambda epoch: torch.randperm(len(x), generator=generator)


def _heavy_ball(momentum):
    return lambda velocity, gradient: (momentum * velocity + gradient,) * 2


def gradients_pile_up(model, x, y, epochs, size, rate, momentum, seed):
    """Each backward pass adds its gradients to those of the batches before. When are they set back to zero?"""
    total = [torch.zeros_like(parameter) for parameter in model.parameters()]
    velocities = [torch.zeros_like(parameter) for parameter in model.parameters()]
    losses, orders = [], _orders(x, seed)
    for epoch in range(epochs):
        for batch in orders(epoch).split(size):
            loss = F.cross_entropy(model(x[batch]), y[batch])
            gradients = torch.autograd.grad(loss, list(model.parameters()))
            for i, parameter in enumerate(model.parameters()):
                total[i] = total[i] + gradients[i]
                velocities[i] = momentum * velocities[i] + total[i]
                parameter.data -= rate * velocities[i]
            losses.append(loss.item())
    return losses


def no_momentum(model, x, y, epochs, size, rate, momentum, seed):
    """Every step follows the gradient of its batch alone. What does the velocity remember of the batches before?"""
    return _loop(model, x, y, epochs, size, rate, momentum, seed, _orders(x, seed), lambda v, g: (v, g))


def dampened(model, x, y, epochs, size, rate, momentum, seed):
    """The new gradient is weighted by $1 - \\mu$, as in a running average. Which factor has $g$ in the equation?"""
    update = _heavy_ball(momentum)
    return _loop(model, x, y, epochs, size, rate, momentum, seed, _orders(x, seed), lambda v, g: update(v, (1 - momentum) * g))


def nesterov(model, x, y, epochs, size, rate, momentum, seed):
    """The step looks one velocity ahead: this is Nesterov's momentum. What is subtracted from the parameters here?"""

    def update(velocity, gradient):
        velocity = momentum * velocity + gradient
        return velocity, gradient + momentum * velocity

    return _loop(model, x, y, epochs, size, rate, momentum, seed, _orders(x, seed), update)


def step_before_the_velocity(model, x, y, epochs, size, rate, momentum, seed):
    """The step is taken with the velocity from before this batch, so the first one goes nowhere. In which order do the two
    equations stand?"""
    update = _heavy_ball(momentum)
    return _loop(model, x, y, epochs, size, rate, momentum, seed, _orders(x, seed), lambda v, g: (update(v, g)[0], v))


def uphill(model, x, y, epochs, size, rate, momentum, seed):
    """The losses grow: each step goes the way the gradient points. Which way does it point?"""
    return _loop(model, x, y, epochs, size, -rate, momentum, seed, _orders(x, seed), _heavy_ball(momentum))


def velocity_forgotten(model, x, y, epochs, size, rate, momentum, seed):
    """The velocity starts at zero again in every epoch. Where is it made, and how often should that be?"""
    orders, losses = _orders(x, seed), []
    for _ in range(epochs):
        losses += _loop(model, x, y, 1, size, rate, momentum, seed, orders, _heavy_ball(momentum))
    return losses


def same_order_in_every_epoch(model, x, y, epochs, size, rate, momentum, seed):
    """The examples come in the same order in every epoch. How often may the generator be seeded?"""
    return _loop(model, x, y, epochs, size, rate, momentum, seed, lambda _: _orders(x, seed)(0), _heavy_ball(momentum))


def not_shuffled(model, x, y, epochs, size, rate, momentum, seed):
    """The examples come in the order in which they are given. What is `seed` for?"""
    return _loop(model, x, y, epochs, size, rate, momentum, seed, lambda _: torch.arange(len(x)), _heavy_ball(momentum))


def without_the_seed(model, x, y, epochs, size, rate, momentum, seed):
    """The order is drawn, but not from `seed`: a second call with the same arguments gives other losses. From which
    generator does `torch.randperm` draw?"""
    return _loop(model, x, y, epochs, size, rate, momentum, seed, lambda _: torch.randperm(len(x)), _heavy_ball(momentum))


def sum_of_losses(model, x, y, epochs, size, rate, momentum, seed):
    """The loss of a batch is the sum over its examples, so larger batches take larger steps. What does the question ask for?"""

    def total(logits, labels):
        return F.cross_entropy(logits, labels, reduction="sum")

    return _loop(model, x, y, epochs, size, rate, momentum, seed, _orders(x, seed), _heavy_ball(momentum), total)


def last_batch_dropped(model, x, y, epochs, size, rate, momentum, seed):
    """The last batch of an epoch is left out where it is smaller than the others. How many losses should there be?"""
    orders = _orders(x, seed)

    def order(epoch):
        return orders(epoch)[: len(x) // size * size]

    return _loop(model, x, y, epochs, size, rate, momentum, seed, order, _heavy_ball(momentum))


def loss_of_epochs(model, x, y, epochs, size, rate, momentum, seed):
    """One loss is returned for each epoch. After what does the question ask for a loss?"""
    losses = momentum_training(model, x, y, epochs, size, rate, momentum, seed)
    each = len(losses) // epochs
    return [sum(losses[i : i + each]) / each for i in range(0, len(losses), each)]


def first_layer_only(model, x, y, epochs, size, rate, momentum, seed):
    """Only the first layer learns. What do all the parameters have that you loop over?"""
    for parameter in list(model.parameters())[2:]:
        parameter.requires_grad_(False)
    velocities, losses, orders = [torch.zeros_like(p) for p in model[0].parameters()], [], _orders(x, seed)
    for epoch in range(epochs):
        for batch in orders(epoch).split(size):
            loss = F.cross_entropy(model(x[batch]), y[batch])
            for i, gradient in enumerate(torch.autograd.grad(loss, list(model[0].parameters()))):
                velocities[i] = momentum * velocities[i] + gradient
                list(model[0].parameters())[i].data -= rate * velocities[i]
            losses.append(loss.item())
    return losses


def _network(rng, *widths):
    """The state of a network with these widths."""
    sizes = list(zip(widths[1:], widths[:-1], strict=True))
    return {
        f"{2 * i}.{part}": normal(rng, *(shape if part == "weight" else shape[:1]))
        for i, shape in enumerate(sizes)
        for part in ("weight", "bias")
    }


def cases(rng: random.Random) -> list[Case]:
    small = {
        "0.weight": torch.tensor([[1.0, -1.0], [0.5, 0.0]]),
        "0.bias": torch.tensor([0.0, 0.5]),
        "2.weight": torch.tensor([[1.0, 0.0], [-1.0, 1.0]]),
        "2.bias": torch.tensor([0.25, -0.25]),
    }
    x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 1.0], [2.0, -1.0], [0.5, 0.5]])
    y = torch.tensor([0, 1, 1, 0, 1])
    features, classes = rng.randint(2, 4), rng.randint(3, 4)
    state = _network(rng, features, rng.randint(3, 5), classes)
    inputs, labels = normal(rng, 7, features), torch.tensor([rng.randrange(classes) for _ in range(7)])
    return [
        public("five examples, batches of two, two epochs", small, x, y, 2, 2, 0.5, 0.75, 3),
        public("another seed, batches of three", small, x, y, 2, 3, 0.25, 0.5, 4),
        hidden("drawn", state, inputs, labels, 3, 3, 0.1, 0.9, rng.randrange(1000)),
        hidden("no momentum", state, inputs, labels, 1, 4, 0.3, 0.0, rng.randrange(1000)),
        hidden("one batch", state, inputs, labels, 4, 7, 0.2, 0.5, rng.randrange(1000)),
        hidden("one linear layer", _network(rng, features, classes), inputs, labels, 2, 2, 0.1, 0.8, rng.randrange(1000)),
        hidden("no epoch", state, inputs, labels, 0, 2, 0.1, 0.9, 1),
    ]


EXERCISE = Exercise(
    chapter="private_example",
    minutes=40,
    difficulty=3,
    points=4,
    reference=momentum_training,
    right=[with_backward, with_torch, rate_in_the_velocity, by_update_numbers],
    wrong=[
        gradients_pile_up, no_momentum, dampened, nesterov, step_before_the_velocity, uphill, velocity_forgotten,
        same_order_in_every_epoch, not_shuffled, without_the_seed, sum_of_losses, last_batch_dropped, loss_of_epochs,
        first_layer_only,
    ],
    cases=cases,
    probe="training",
    rtol=1e-3,
    atol=1e-5,
    seconds=10.0,
)  # fmt: skip
