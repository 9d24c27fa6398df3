"""Back-propagation through time, by hand: the gradients of a tanh network over one text (Werbos 1990; Rumelhart, Hinton and
Williams 1986)."""

import random

import torch

from exercises.grader.exercise import Exercise, hidden, normal, public
from lmcore.check.run import Case

READY = ("torch.autograd.grad", "torch.autograd.backward", "torch.autograd.forward_ad.make_dual", "lmcore")


def bptt(x, h_0, V_x, V_h, c, grad):
    h = [h_0]
    for x_n in x:
        h.append(torch.tanh(V_x @ x_n + V_h @ h[-1] + c))
    grad_V_x, grad_V_h, grad_c = torch.zeros_like(V_x), torch.zeros_like(V_h), torch.zeros_like(c)
    from_later = torch.zeros_like(h_0)
    for n in range(len(x), 0, -1):
        delta = (1 - h[n] ** 2) * (grad[n - 1] + from_later)
        grad_V_x += torch.outer(delta, x[n - 1])
        grad_V_h += torch.outer(delta, h[n - 1])
        grad_c += delta
        from_later = delta @ V_h
    return {"V_x": grad_V_x, "V_h": grad_V_h, "c": grad_c, "h_0": from_later}


# Right, written differently


def _backward(x, h_0, V_x, V_h, c, grad):
    """The states before each step, the deltas of each step, and the gradient of h_0."""
    before, h = [], h_0
    for n in range(x.shape[0]):
        before.append(h)
        h = torch.tanh(V_x @ x[n] + V_h @ h + c)
    after = [*before[1:], h]
    deltas, g = [], h_0.new_zeros(h_0.shape)
    for n in reversed(range(x.shape[0])):
        deltas.append((g + grad[n]) * (1 - after[n] * after[n]))
        g = V_h.T @ deltas[-1]
    return before, deltas[::-1], g


def products_at_the_end(x, h_0, V_x, V_h, c, grad):
    before, deltas, g = _backward(x, h_0, V_x, V_h, c, grad)
    delta = torch.stack(deltas)
    return {"V_x": delta.T @ x, "V_h": delta.T @ torch.stack(before), "c": delta.sum(dim=0), "h_0": g}


def carried_forward(x, h_0, V_x, V_h, c, grad):
    size, width = V_x.shape
    eye, parts = torch.eye(size).to(c), [size * width, size * size, size, size]
    h, total = h_0, c.new_zeros(sum(parts))
    slopes = torch.cat([c.new_zeros(size, sum(parts[:3])), eye], dim=1)  # of h, with respect to everything
    for n in range(len(x)):
        here = torch.cat([torch.kron(eye, x[n][None]), torch.kron(eye, h[None]), eye, torch.zeros_like(eye)], dim=1)
        h = torch.tanh(V_x @ x[n] + V_h @ h + c)
        slopes = (1 - h * h)[:, None] * (here + V_h @ slopes)
        total = total + grad[n] @ slopes
    g_x, g_h, g_c, g_0 = total.split(parts)
    return {"V_x": g_x.view_as(V_x), "V_h": g_h.view_as(V_h), "c": g_c, "h_0": g_0}


def each_pair_of_steps(x, h_0, V_x, V_h, c, grad):
    h, slopes, products = h_0, [], []
    before = []
    for x_n in x:
        before.append(h)
        h = torch.tanh(V_x @ x_n + V_h @ h + c)
        slopes.append(torch.diag(1 - h**2))
    grads = {name: torch.zeros_like(t) for name, t in (("V_x", V_x), ("V_h", V_h), ("c", c), ("h_0", h_0))}
    for n in range(len(x)):
        row = grad[n] @ slopes[n]
        for m in range(n, -1, -1):
            grads["V_x"] += row[:, None] * x[m]
            grads["V_h"] += row[:, None] * before[m]
            grads["c"] += row
            products.append(row @ V_h)
            if m > 0:
                row = products[-1] @ slopes[m - 1]
        grads["h_0"] += products[-1]
    return grads


# Wrong: the docstring is the hint


def _forward(x, h_0, V_x, V_h, c):
    h = [h_0]
    for x_n in x:
        h.append(torch.tanh(V_x @ x_n + V_h @ h[-1] + c))
    return h


def _tanh_slope(h, n):
    return 1 - h[n] ** 2


def _solve(x, h_0, V_x, V_h, c, grad, slope=_tanh_slope, back=None, carry=1.0, order=None):
    """Back-propagation with parts exchanged: the slope of step n, the matrix a delta goes back through, the factor of what
    is carried, and the order of the steps."""
    h = _forward(x, h_0, V_x, V_h, c)
    back = V_h if back is None else back
    g, deltas = torch.zeros_like(h_0), {}
    for n in range(len(x), 0, -1) if order is None else order:
        deltas[n] = slope(h, n) * (grad[n - 1] + carry * g)
        g = deltas[n] @ back
    delta = torch.stack([deltas[n] for n in range(1, len(x) + 1)])
    return {"V_x": delta.T @ x, "V_h": delta.T @ torch.stack(h[:-1]), "c": delta.sum(0), "h_0": g}


def no_slope(x, h_0, V_x, V_h, c, grad):
    """The derivative of tanh is missing: these are the gradients of a linear network run through these states. On its way
    back to z, a gradient passes through tanh."""
    return _solve(x, h_0, V_x, V_h, c, grad, slope=lambda h, n: torch.ones_like(h[n]))


def slope_not_squared(x, h_0, V_x, V_h, c, grad):
    """The derivative of tanh is not 1 − h, though both are 1 at z = 0. At a large negative z tanh is flat: what is its
    derivative there, and what is 1 − h?"""
    return _solve(x, h_0, V_x, V_h, c, grad, slope=lambda h, n: 1 - h[n])


def slope_of_the_logistic(x, h_0, V_x, V_h, c, grad):
    """h (1 − h) is the derivative of the logistic function. What is it for tanh? At z = 0 it is 1."""
    return _solve(x, h_0, V_x, V_h, c, grad, slope=lambda h, n: h[n] * (1 - h[n]))


def squashed_twice(x, h_0, V_x, V_h, c, grad):
    """tanh was applied once more inside its derivative. The state is tanh of z already: which of the two belongs in the
    formula you use?"""
    return _solve(x, h_0, V_x, V_h, c, grad, slope=lambda h, n: 1 - torch.tanh(h[n]) ** 2)


def slope_one_step_early(x, h_0, V_x, V_h, c, grad):
    """The derivative of tanh was taken at the state before the step. The gradient goes back through the tanh that made
    h_n: at which state is it taken?"""
    return _solve(x, h_0, V_x, V_h, c, grad, slope=lambda h, n: 1 - h[n - 1] ** 2)


def slope_on_own_loss_only(x, h_0, V_x, V_h, c, grad):
    """What comes from later steps skipped the derivative of tanh. It arrives at h_n beside the gradient of step n's own
    loss; from there on both take the same way."""
    h = _forward(x, h_0, V_x, V_h, c)
    g, deltas = torch.zeros_like(h_0), []
    for n in range(len(x), 0, -1):
        deltas.append((1 - h[n] ** 2) * grad[n - 1] + g)
        g = deltas[-1] @ V_h
    delta = torch.stack(deltas[::-1])
    return {"V_x": delta.T @ x, "V_h": delta.T @ torch.stack(h[:-1]), "c": delta.sum(0), "h_0": g}


def slope_on_later_losses_only(x, h_0, V_x, V_h, c, grad):
    """The gradient of step n's own loss skipped the derivative of tanh. It is given with respect to h_n, behind the tanh,
    like what comes back from later steps: add the two first."""
    h = _forward(x, h_0, V_x, V_h, c)
    g, deltas = torch.zeros_like(h_0), []
    for n in range(len(x), 0, -1):
        deltas.append(grad[n - 1] + (1 - h[n] ** 2) * g)
        g = deltas[-1] @ V_h
    delta = torch.stack(deltas[::-1])
    return {"V_x": delta.T @ x, "V_h": delta.T @ torch.stack(h[:-1]), "c": delta.sum(0), "h_0": g}


def no_path_through_time(x, h_0, V_x, V_h, c, grad):
    """Each step only receives the gradient of its own loss. A state also acts on all later losses, through the next state:
    add what comes back from there."""
    return _solve(x, h_0, V_x, V_h, c, grad, carry=0.0)


def last_loss_only(x, h_0, V_x, V_h, c, grad):
    """Only the last loss is propagated back. Every step has a loss of its own: when you come to step n on the way back, its
    row of `grad` is added."""
    return _solve(x, h_0, V_x, V_h, c, torch.cat([torch.zeros_like(grad[:-1]), grad[-1:]]))


def not_transposed(x, h_0, V_x, V_h, c, grad):
    """On the way back V_h was applied as on the way forward, which its square shape lets pass. Write ∂ℓ/∂h_{n−1} for one
    component: over which index of V_h does the sum run?"""
    return _solve(x, h_0, V_x, V_h, c, grad, back=V_h.T)


def recurrent_gradient_transposed(x, h_0, V_x, V_h, c, grad):
    """The gradient of V_h is transposed, which its square shape lets pass. Entry (i, j) of V_h leads from component j of the
    old state to component i of the new one."""
    grads = bptt(x, h_0, V_x, V_h, c, grad)
    return {**grads, "V_h": grads["V_h"].T}


def input_gradient_transposed(x, h_0, V_x, V_h, c, grad):
    """The gradient of V_x is transposed. It should have the shape of V_x, and row i belongs to component i of the state."""
    grads = bptt(x, h_0, V_x, V_h, c, grad)
    return {**grads, "V_x": grads["V_x"].T}


def state_after_the_step(x, h_0, V_x, V_h, c, grad):
    """The gradient of V_h was made with h_n, the state after the step. Which state did V_h multiply in step n?"""
    h, (_, deltas, _) = _forward(x, h_0, V_x, V_h, c), _backward(x, h_0, V_x, V_h, c, grad)
    return {**bptt(x, h_0, V_x, V_h, c, grad), "V_h": torch.stack(deltas).T @ torch.stack(h[1:])}


def first_step_left_out(x, h_0, V_x, V_h, c, grad):
    """In the gradient of V_h the first step is missing. There V_h multiplied h_0, which is not always zero."""
    _, deltas, _ = _backward(x, h_0, V_x, V_h, c, grad)
    grads = bptt(x, h_0, V_x, V_h, c, grad)
    return {**grads, "V_h": grads["V_h"] - torch.outer(deltas[0], h_0)}


def stops_before_the_first(x, h_0, V_x, V_h, c, grad):
    """The loop back ends too early: step 1 is left out of every sum, and the gradient called h_0 is what came back to h_1. How
    many steps are there, and which is the last one on the way back?"""
    before, deltas, _ = _backward(x, h_0, V_x, V_h, c, grad)
    delta = torch.stack([torch.zeros_like(c), *deltas[1:]])
    g = deltas[1] @ V_h if len(x) > 1 else torch.zeros_like(h_0)
    return {"V_x": delta.T @ x, "V_h": delta.T @ torch.stack(before), "c": delta.sum(0), "h_0": g}


def first_step_only(x, h_0, V_x, V_h, c, grad):
    """The parameters have the gradient of step 1 alone: each step on the way back wrote over the one before. The same
    parameters are used in every step: what happens to the derivatives of a sum?"""
    before, deltas, g = _backward(x, h_0, V_x, V_h, c, grad)
    return {"V_x": torch.outer(deltas[0], x[0]), "V_h": torch.outer(deltas[0], before[0]), "c": deltas[0], "h_0": g}


def last_step_only(x, h_0, V_x, V_h, c, grad):
    """The parameters have the gradient of step N alone. They are used in every step, and the gradients of all uses add."""
    before, deltas, g = _backward(x, h_0, V_x, V_h, c, grad)
    return {"V_x": torch.outer(deltas[-1], x[-1]), "V_h": torch.outer(deltas[-1], before[-1]), "c": deltas[-1], "h_0": g}


def averaged_over_time(x, h_0, V_x, V_h, c, grad):
    """The gradients were averaged over the steps. The loss here is a sum over the steps, and the parameters are used in each:
    their gradients add."""
    grads = bptt(x, h_0, V_x, V_h, c, grad)
    return {name: g if name == "h_0" else g / len(x) for name, g in grads.items()}


def bias_per_step(x, h_0, V_x, V_h, c, grad):
    """The gradient of c has one row for each step. The same c was added in every step."""
    _, deltas, _ = _backward(x, h_0, V_x, V_h, c, grad)
    return {**bptt(x, h_0, V_x, V_h, c, grad), "c": torch.stack(deltas)}


def start_without_the_matrix(x, h_0, V_x, V_h, c, grad):
    """The gradient of h_0 stops at z_1, the sum inside the first tanh. How does h_0 enter that sum?"""
    _, deltas, _ = _backward(x, h_0, V_x, V_h, c, grad)
    return {**bptt(x, h_0, V_x, V_h, c, grad), "h_0": deltas[0]}


def start_is_squashed(x, h_0, V_x, V_h, c, grad):
    """The gradient of h_0 was multiplied by a derivative of tanh at h_0. h_0 is given: no tanh made it."""
    grads = bptt(x, h_0, V_x, V_h, c, grad)
    return {**grads, "h_0": (1 - h_0**2) * grads["h_0"]}


def forward_in_time(x, h_0, V_x, V_h, c, grad):
    """The gradients were passed on from early steps to late ones. A state acts on what comes after it, so its gradient comes
    from there: begin with the last step."""
    return _solve(x, h_0, V_x, V_h, c, grad, order=range(1, len(x) + 1))


def downhill(x, h_0, V_x, V_h, c, grad):
    """The signs are turned round. The minus belongs to the update of the parameters, not to the gradient."""
    return bptt(x, h_0, V_x, V_h, c, -grad)


def starts_at_zero(x, h_0, V_x, V_h, c, grad):
    """The states were computed from zero. They start at h_0, and its value changes all of them."""
    return bptt(x, torch.zeros_like(h_0), V_x, V_h, c, grad)


def no_bias(x, h_0, V_x, V_h, c, grad):
    """The states were computed without the bias c, so the derivatives of tanh are taken in the wrong places."""
    return bptt(x, h_0, V_x, V_h, torch.zeros_like(c), grad)


def a_tuple(x, h_0, V_x, V_h, c, grad):
    """The gradients are right, but they come as a tuple. Return a dictionary with the keys "V_x", "V_h", "c" and "h_0", so
    that nobody has to know their order."""
    return tuple(bptt(x, h_0, V_x, V_h, c, grad).values())


def slope_left_out_on_the_way_back(x, h_0, V_x, V_h, c, grad):
    """The gradients of the parameters are made with the derivative of tanh, but what goes back to the step before is not.
    h_{n−1} acts on h_n through V_h first and then through tanh: in which order are the two passed on the way back?"""
    h = _forward(x, h_0, V_x, V_h, c)
    g, deltas = torch.zeros_like(h_0), []
    for n in range(len(x), 0, -1):
        arrived = grad[n - 1] + g
        deltas.append((1 - h[n] ** 2) * arrived)
        g = arrived @ V_h
    delta = torch.stack(deltas[::-1])
    return {"V_x": delta.T @ x, "V_h": delta.T @ torch.stack(h[:-1]), "c": delta.sum(0), "h_0": g}


def carried_gradients_pile_up(x, h_0, V_x, V_h, c, grad):
    """What you hand to the step before was added to what you had handed on before, so the gradient of h_{n+1} also reaches
    h_{n−1} directly, past step n. The parameters are used in every step, and their gradients add up. In how many steps is
    h_{n−1} used?"""
    h = _forward(x, h_0, V_x, V_h, c)
    g, deltas = torch.zeros_like(h_0), []
    for n in range(len(x), 0, -1):
        deltas.append((1 - h[n] ** 2) * (grad[n - 1] + g))
        g = g + deltas[-1] @ V_h
    delta = torch.stack(deltas[::-1])
    return {"V_x": delta.T @ x, "V_h": delta.T @ torch.stack(h[:-1]), "c": delta.sum(0), "h_0": g}


def cases(rng: random.Random) -> list[Case]:
    one = torch.ones(1, 1)
    return [
        public(
            "one neuron, two steps",
            *(torch.tensor([[0.25], [-0.5]]), torch.tensor([0.5]), one, one / 2, torch.zeros(1), torch.ones(2, 1)),
        ),
        public("three steps, two neurons", *_network(rng, 3, 3, 2)),
        public("four steps, three neurons", *_network(rng, 4, 2, 3)),
        hidden("one step", *_network(rng, 1, 3, 2)),
        hidden("loss after the last step only", *_network(rng, 7, 2, 5, losses=1)),
        hidden("as wide as the input", *_network(rng, 5, 3, 3)),
        hidden("a longer text, double precision", *_network(rng, rng.randint(11, 19), 2, 3, dtype=torch.float64)),
    ]


def _network(
    rng: random.Random, steps: int, width: int, size: int, losses: int = 0, dtype: torch.dtype = torch.float32
) -> list[torch.Tensor]:
    """A random text, parameters and the gradients of the losses; ``losses`` counts the last steps that have one, 0 for all."""
    x, h_0, grad = normal(rng, steps, width), 0.5 * normal(rng, size), normal(rng, steps, size)
    V_x, V_h, c = 0.5 * normal(rng, size, width), 0.7 * normal(rng, size, size), 0.5 * normal(rng, size)
    grad[: steps - losses if losses else 0] = 0.0
    return [tensor.to(dtype) for tensor in (x, h_0, V_x, V_h, c, grad)]


EXERCISE = Exercise(
    chapter="ch04_rnn",
    minutes=30,
    difficulty=3,
    points=5,
    reference=bptt,
    right=[products_at_the_end, carried_forward, each_pair_of_steps],
    wrong=[
        no_slope,
        slope_not_squared,
        slope_of_the_logistic,
        squashed_twice,
        slope_one_step_early,
        slope_on_own_loss_only,
        slope_on_later_losses_only,
        no_path_through_time,
        last_loss_only,
        not_transposed,
        recurrent_gradient_transposed,
        input_gradient_transposed,
        state_after_the_step,
        first_step_left_out,
        stops_before_the_first,
        first_step_only,
        last_step_only,
        averaged_over_time,
        bias_per_step,
        start_without_the_matrix,
        start_is_squashed,
        forward_in_time,
        downhill,
        starts_at_zero,
        no_bias,
        a_tuple,
        slope_left_out_on_the_way_back,
        carried_gradients_pile_up,
    ],
    cases=cases,
    atol=1e-5,
    ready=READY,
)
