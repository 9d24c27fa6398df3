"""How long the gradient of the last loss is at every step: one Jacobian per step on the way back (Pascanu, Mikolov and Bengio
2013, section 2)."""

import random

import torch

from exercises.grader.exercise import Exercise, hidden, normal, public
from lmcore.check.run import Case


def gradient_norms(h, V_h, grad):
    g, norms = grad, [grad.norm()]
    for h_n in h[1:].flip(0):
        g = g * (1 - h_n**2) @ V_h
        norms.append(g.norm())
    return torch.stack(norms[::-1])


# Right, written differently


def with_jacobians(h, V_h, grad):
    product = torch.eye(len(grad), dtype=grad.dtype, device=grad.device)
    norms = []
    for n in range(len(h) - 1, -1, -1):
        norms.insert(0, torch.linalg.vector_norm(grad @ product))
        product = product @ torch.diag(1 - h[n] ** 2) @ V_h
    return torch.stack(norms)


def with_autograd(h, V_h, grad):
    h, V_h = h.double(), V_h.double()
    inputs = torch.atanh(h[1:]) - h[:-1] @ V_h.T
    states = [h[0].clone().requires_grad_()]
    for u in inputs:
        states.append(torch.tanh(u + V_h @ states[-1]))
    gradients = torch.autograd.grad((states[-1] * grad).sum(), states)
    return torch.stack([g.norm() for g in gradients]).to(grad.dtype)


def every_step_by_itself(h, V_h, grad):
    jacobians = (1 - h * h).unsqueeze(2) * V_h
    norms = grad.new_zeros(len(h))
    for n in range(len(h)):
        g = grad
        for m in reversed(range(n + 1, len(h))):
            g = jacobians[m].T @ g
        norms[n] = (g**2).sum().sqrt()
    return norms


# Wrong: the docstring is the hint


def _slope(h):
    return 1 - h**2


def _gradients(h, grad, step):
    """The gradients of steps 1 to N, where ``step(g, n)`` takes one from index n to n − 1."""
    gradients = [grad]
    for n in range(len(h) - 1, 0, -1):
        gradients.append(step(gradients[-1], n))
    return torch.stack(gradients[::-1])


def _solve(h, grad, step):
    return _gradients(h, grad, step).norm(dim=1)


def not_transposed(h, V_h, grad):
    """V_h was applied as on the way forward, which its square shape lets pass. A gradient is a row and J stands to its right:
    over which index of V_h does the sum run?"""
    return _solve(h, grad, lambda g, n: V_h @ (g * _slope(h[n])))


def jacobian_on_the_left(h, V_h, grad):
    """Each Jacobian was multiplied by the gradient as a column, J g, as if a small change of the state were passed on. That
    is the way forward. A gradient is a row, and J stands to its right."""
    return _solve(h, grad, lambda g, n: _slope(h[n]) * (V_h @ g))


def no_slope(h, V_h, grad):
    """The derivative of tanh is missing: these are the norms for a linear network. The Jacobian of a step has two factors."""
    return _solve(h, grad, lambda g, n: g @ V_h)


def slope_not_squared(h, V_h, grad):
    """The derivative of tanh is not 1 − h, though both are 1 at z = 0. At a large negative z tanh is flat: what is its
    derivative there, and what is 1 − h?"""
    return _solve(h, grad, lambda g, n: g * (1 - h[n]) @ V_h)


def slope_of_the_logistic(h, V_h, grad):
    """h (1 − h) is the derivative of the logistic function. What is it for tanh? At z = 0 it is 1."""
    return _solve(h, grad, lambda g, n: g * h[n] * (1 - h[n]) @ V_h)


def squashed_twice(h, V_h, grad):
    """tanh was applied once more inside its derivative. The rows of h are states, tanh of z already: which of the two belongs
    in the formula you use?"""
    return _solve(h, grad, lambda g, n: g * _slope(torch.tanh(h[n])) @ V_h)


def factors_exchanged(h, V_h, grad):
    """The two factors of the Jacobian are in the wrong order. Going back, what does the gradient meet first: the tanh that
    made h_n, or the matrix inside it?"""
    return _solve(h, grad, lambda g, n: (g @ V_h) * _slope(h[n]))


def slope_one_step_early(h, V_h, grad):
    """The derivative of tanh was taken at the state before the step. The step from h_{n−1} to h_n ends in the tanh that made
    h_n: at which state is it taken?"""
    return _solve(h, grad, lambda g, n: g * _slope(h[n - 1]) @ V_h)


def steps_in_wrong_order(h, V_h, grad):
    """The Jacobians were multiplied in the wrong order: first step first. Matrices do not commute. The gradient comes from
    the end: which Jacobian does it meet first?"""
    jacobians = [torch.diag(_slope(h_n)) @ V_h for h_n in h]
    norms = []
    for n in range(len(h)):
        g = grad
        for jacobian in jacobians[n + 1 :]:
            g = g @ jacobian
        norms.append(g.norm())
    return torch.stack(norms)


def one_step_only(h, V_h, grad):
    """Each norm goes through one Jacobian only. The way from h_N back to h_n leads through every step between them."""
    norms = [(grad * _slope(h_n) @ V_h).norm() for h_n in h[1:]]
    return torch.stack([*norms, grad.norm()])


def same_slope_everywhere(h, V_h, grad):
    """The derivative of tanh at the last state was used for every step. Each step has its own state, and so its own
    Jacobian."""
    return _solve(h, grad, lambda g, n: g * _slope(h[-1]) @ V_h)


def last_first(h, V_h, grad):
    """The right norms, but the last step comes first. Place n − 1 is for h_n."""
    return gradient_norms(h, V_h, grad).flip(0)


def one_too_many(h, V_h, grad):
    """There is one norm too many: the gradient was taken back one step further, to h_0. How many Jacobians lie between h_1
    and h_N?"""
    g = _gradients(h, grad, lambda g, n: g * _slope(h[n]) @ V_h)
    return torch.cat([(g[0] * _slope(h[0]) @ V_h)[None], g]).norm(dim=1)


def one_step_too_far(h, V_h, grad):
    """Every gradient went through one Jacobian too many. ∂ℓ/∂h_N is given: how many Jacobians lie between h_N and itself?"""
    g = _gradients(h, grad, lambda g, n: g * _slope(h[n]) @ V_h)
    return torch.cat([(g[:1] * _slope(h[0]) @ V_h), g[:-1]]).norm(dim=1)


def last_left_out(h, V_h, grad):
    """The norm for the last step is missing. Its gradient is the one you were given."""
    return gradient_norms(h, V_h, grad)[:-1]


def before_the_matrix(h, V_h, grad):
    """These are the norms of the gradients at z_n, inside the tanh, not at the state h_n. A step back ends with the matrix
    V_h."""
    return (_gradients(h, grad, lambda g, n: g * _slope(h[n]) @ V_h) * _slope(h)).norm(dim=1)


def squared(h, V_h, grad):
    """These are the squared norms: the root is missing."""
    return gradient_norms(h, V_h, grad) ** 2


def sum_of_sizes(h, V_h, grad):
    """The absolute values of the components were added. The norm asked for is Euclidean: the root of the sum of their
    squares."""
    return _gradients(h, grad, lambda g, n: g * _slope(h[n]) @ V_h).abs().sum(1)


def relative(h, V_h, grad):
    """The norms are relative to the last one. Return them as they are."""
    norms = gradient_norms(h, V_h, grad)
    return norms / norms[-1]


def logarithms(h, V_h, grad):
    """These are the logarithms of the norms. They are good for a plot; return the norms."""
    return gradient_norms(h, V_h, grad).log()


def bound(h, V_h, grad):
    """This is an upper bound: norms of the Jacobians were multiplied. A product of matrices can be much smaller than the
    product of their norms. Multiply the matrices, take the norm at the end."""
    norms = [grad.norm()]
    for n in range(len(h) - 1, 0, -1):
        norms.append(norms[-1] * torch.linalg.matrix_norm(torch.diag(_slope(h[n])) @ V_h, 2))
    return torch.stack(norms[::-1])


def _norms_of_products(h, V_h, grad, order):
    product, norms = torch.eye(len(grad), dtype=grad.dtype, device=grad.device), []
    for n in range(len(h) - 1, -1, -1):
        norms.append(torch.linalg.matrix_norm(product, order))
        product = product @ torch.diag(_slope(h[n])) @ V_h
    return torch.stack(norms[::-1])


def without_the_loss(h, V_h, grad):
    """These are the norms of the products of Jacobians by themselves: by how much each can lengthen a row at most. The
    gradient at h_N is one particular row in front of each product: how long is what results?"""
    return _norms_of_products(h, V_h, grad, 2)


def without_the_loss_frobenius(h, V_h, grad):
    """These are the Frobenius norms of the products of Jacobians. Put the gradient of the loss at h_N in front of each
    product, and take the norm of the vector that results."""
    return _norms_of_products(h, V_h, grad, "fro")


def the_gradients(h, V_h, grad):
    """These are the gradients themselves, one row per step. Return the length of each."""
    return _gradients(h, grad, lambda g, n: g * _slope(h[n]) @ V_h)


def cases(rng: random.Random) -> list[Case]:
    return [
        public("one neuron, three steps", torch.tensor([[0.9], [0.5], [0.0]]), torch.tensor([[0.8]]), torch.tensor([2.0])),
        public("four steps, two neurons", *_network(rng, 4, 2, 0.9)),
        public("five steps, three neurons", *_network(rng, 5, 3, 0.9)),
        hidden("one step", *_network(rng, 1, 5, 0.9)),
        hidden("two steps", *_network(rng, 2, 3, 0.9)),
        hidden("a gradient that grows", *_network(rng, 11, 5, 3.0, spread=0.3)),
        hidden("a gradient that vanishes", *_network(rng, rng.randint(17, 29), 3, 0.3, dtype=torch.float64)),
    ]


def _network(
    rng: random.Random, steps: int, size: int, scale: float, spread: float = 0.7, dtype: torch.dtype = torch.float32
) -> list[torch.Tensor]:
    """States between −1 and 1, a matrix and a gradient."""
    h, V_h, grad = torch.tanh(spread * normal(rng, steps, size)), scale * normal(rng, size, size), normal(rng, size)
    return [tensor.to(dtype) for tensor in (h, V_h, grad)]


EXERCISE = Exercise(
    chapter="ch05_vanishing_gradients",
    minutes=20,
    difficulty=2,
    points=3,
    reference=gradient_norms,
    right=[with_jacobians, with_autograd, every_step_by_itself],
    wrong=[
        not_transposed,
        jacobian_on_the_left,
        no_slope,
        slope_not_squared,
        slope_of_the_logistic,
        squashed_twice,
        factors_exchanged,
        slope_one_step_early,
        steps_in_wrong_order,
        one_step_only,
        same_slope_everywhere,
        last_first,
        one_too_many,
        one_step_too_far,
        last_left_out,
        before_the_matrix,
        squared,
        sum_of_sizes,
        relative,
        logarithms,
        bound,
        without_the_loss,
        without_the_loss_frobenius,
        the_gradients,
    ],
    cases=cases,
    atol=1e-12,
    ready=("lmcore",),
)
