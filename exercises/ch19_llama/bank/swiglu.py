"""The gated network of Llama (Shazeer 2020, equation 6; Touvron et al. 2023, section 2.2). The function is swapped into
a Llama."""

import random

import torch

from exercises.grader.exercise import Exercise, hidden, normal, public
from lmcore.check.run import Case

READY = (
    "torch.nn.functional.silu",
    "torch._C._nn.silu",
    "torch.ops.aten.silu",
    "lmcore",
)


def swiglu(x, W_gate, W_up, W_down):
    gate = x @ W_gate.T
    return (gate * torch.sigmoid(gate) * (x @ W_up.T)) @ W_down.T


# Right, written differently


def with_linear(x, W_gate, W_up, W_down):
    linear = torch.nn.functional.linear
    gate, up = linear(x, torch.cat([W_gate, W_up])).chunk(2, dim=-1)
    return linear(gate.sigmoid().mul(gate).mul(up), W_down)


def with_einsum(x, W_gate, W_up, W_down):
    """σ(g) = (1 + tanh(g / 2)) / 2, which is finite everywhere."""
    g, u = (torch.einsum("...c,fc->...f", x, W) for W in (W_gate, W_up))
    opened = 0.5 * (1 + torch.tanh(0.5 * g))
    return torch.einsum("...f,cf->...c", u * g * opened, W_down)


def unit_by_unit(x, W_gate, W_up, W_down):
    found = torch.zeros_like(x)
    for g_row, u_row, d_column in zip(W_gate, W_up, W_down.unbind(1), strict=True):
        g = (x * g_row).sum(-1, keepdim=True)
        u = (x * u_row).sum(-1, keepdim=True)
        found = found + g * torch.exp(torch.nn.functional.logsigmoid(g)) * u * d_column
    return found


def with_glu(x, W_gate, W_up, W_down):
    """torch's glu multiplies its first half with the sigmoid of its second."""
    g = x @ W_gate.mT
    return torch.nn.functional.glu(torch.cat([g * (x @ W_up.mT), g], -1), -1) @ W_down.mT


# Wrong: the docstring is the hint


def _parts(x, W_gate, W_up):
    return x @ W_gate.T, x @ W_up.T


def _silu(g):
    return g * torch.sigmoid(g)


def gate_and_values_exchanged(x, W_gate, W_up, W_down):
    """SiLU was taken of the values, and the gates were left as they are. It is the product with W_gate that goes through
    SiLU."""
    g, u = _parts(x, W_gate, W_up)
    return (g * _silu(u)) @ W_down.T


def both_through_silu(x, W_gate, W_up, W_down):
    """Both products went through SiLU. Only the gates do; the values stay linear, so that a gate which is wide open lets them
    pass as they are, below 0 too."""
    g, u = _parts(x, W_gate, W_up)
    return (_silu(g) * _silu(u)) @ W_down.T


def sigmoid_alone(x, W_gate, W_up, W_down):
    """The gate is the sigmoid alone: this is a GLU, the older one. SiLU is its argument times its sigmoid."""
    g, u = _parts(x, W_gate, W_up)
    return (torch.sigmoid(g) * u) @ W_down.T


def gelu_gate(x, W_gate, W_up, W_down):
    """The gate went through GELU: this is a GEGLU, which other models use. SiLU has the sigmoid where GELU has the
    distribution function of the normal distribution."""
    g, u = _parts(x, W_gate, W_up)
    return (torch.nn.functional.gelu(g) * u) @ W_down.T


def quick_gelu_gate(x, W_gate, W_up, W_down):
    """The sigmoid was taken of 1.702 times the gate, as in an approximation of GELU. SiLU takes it of the gate itself."""
    g, u = _parts(x, W_gate, W_up)
    return (g * torch.sigmoid(1.702 * g) * u) @ W_down.T


def relu_gate(x, W_gate, W_up, W_down):
    """The gate went through ReLU. SiLU is smooth, and a little below 0 for negative gates: what is it at −1?"""
    g, u = _parts(x, W_gate, W_up)
    return (torch.relu(g) * u) @ W_down.T


def tanh_gate(x, W_gate, W_up, W_down):
    """The gate went through tanh. SiLU is not limited: for large gates it is nearly the gate itself."""
    g, u = _parts(x, W_gate, W_up)
    return (torch.tanh(g) * u) @ W_down.T


def gates_limited(x, W_gate, W_up, W_down):
    """The gates were limited before SiLU, perhaps against an overflow: a larger one comes out as the limit, and no gradient
    reaches it. SiLU of a large gate is nearly the gate itself. Is there a way to compute σ that needs no limit?"""
    g, u = _parts(x, W_gate, W_up)
    return (_silu(g.clamp(-20, 20)) * u) @ W_down.T


def silu_of_the_wrong_sign(x, W_gate, W_up, W_down):
    """The sigmoid was taken of −g, or the exponent lacks its minus sign: large gates would be shut. To which side does σ
    rise?"""
    g, u = _parts(x, W_gate, W_up)
    return (g * torch.sigmoid(-g) * u) @ W_down.T


def without_silu(x, W_gate, W_up, W_down):
    """The two products were multiplied, and SiLU is missing. Then a very negative gate lets through as much as a very
    positive one."""
    g, u = _parts(x, W_gate, W_up)
    return (g * u) @ W_down.T


def added(x, W_gate, W_up, W_down):
    """Gates and values were added. A gate multiplies: where it is shut, nothing comes through."""
    g, u = _parts(x, W_gate, W_up)
    return (_silu(g) + u) @ W_down.T


def without_the_values(x, W_gate, W_up, W_down):
    """W_up plays no part: this is a network with one hidden layer and SiLU. What do the gates open and close?"""
    return _silu(x @ W_gate.T) @ W_down.T + 0 * W_up.sum()


def without_the_gate(x, W_gate, W_up, W_down):
    """W_gate plays no part: the values opened and closed themselves."""
    return _silu(x @ W_up.T) @ W_down.T + 0 * W_gate.sum()


def gate_only_opens_itself(x, W_gate, W_up, W_down):
    """Both factors were made with W_gate. The values come from W_up."""
    g = x @ W_gate.T
    return (_silu(g) * g) @ W_down.T + 0 * W_up.sum()


def silu_of_the_product(x, W_gate, W_up, W_down):
    """Gates and values were multiplied first, and SiLU was taken of the product. First SiLU of the gates, then the
    product."""
    g, u = _parts(x, W_gate, W_up)
    return _silu(g * u) @ W_down.T


def silu_at_the_end(x, W_gate, W_up, W_down):
    """SiLU was taken of what comes out of W_down. It belongs to the gates, in the hidden layer."""
    g, u = _parts(x, W_gate, W_up)
    return _silu((g * u) @ W_down.T)


def silu_of_the_input(x, W_gate, W_up, W_down):
    """SiLU was taken of x, before the product with W_gate. First the product, then SiLU."""
    return ((_silu(x) @ W_gate.T) * (x @ W_up.T)) @ W_down.T


def exponential_overflows(x, W_gate, W_up, W_down):
    """The values are right, but a gradient is nan where a gate is far below 0: there e to the power of −g is more than a
    float can hold, and the derivative of the fraction is infinity divided by infinity. torch.sigmoid computes value and
    gradient without that."""
    g, u = _parts(x, W_gate, W_up)
    return (g / (1 + torch.exp(-g)) * u) @ W_down.T


def not_transposed_and_overflow(x, W_gate, W_up, W_down):
    """Two things are not as they should be. The matrices were not transposed: each of their rows belongs to one number that
    comes *out*. And far below 0, e to the power of −g is more than a float can hold, so that a gradient is nan: use
    torch.sigmoid."""
    g = x @ W_gate
    return (g / (1 + torch.exp(-g)) * (x @ W_up)) @ W_down


def exchanged_and_overflow(x, W_gate, W_up, W_down):
    """Two things are not as they should be. SiLU was taken of the values, where the gates go through it. And far below 0, e
    to the power of −g is more than a float can hold, so that a gradient is nan: use torch.sigmoid."""
    g, u = _parts(x, W_gate, W_up)
    return (g * (u / (1 + torch.exp(-u)))) @ W_down.T


def gates_detached(x, W_gate, W_up, W_down):
    """The values are right, but no gradient passes through the sigmoid: the gates were cut from the graph there. They learn
    how far to open."""
    g, u = _parts(x, W_gate, W_up)
    return (g * torch.sigmoid(g).detach() * u) @ W_down.T


def without_a_graph(x, W_gate, W_up, W_down):
    """The values are right, but no gradient reaches x and the matrices: they were cut from the graph."""
    return swiglu(x, W_gate, W_up, W_down).detach()


def softmax_gate(x, W_gate, W_up, W_down):
    """The gates went through a softmax: they compete, and one opens only where others close. Each gate has a sigmoid of its
    own."""
    g, u = _parts(x, W_gate, W_up)
    return (g.softmax(-1) * u) @ W_down.T


def input_added(x, W_gate, W_up, W_down):
    """x was added to the result. The residual connection is around this part, in the layer; here it is the network alone."""
    return x + swiglu(x, W_gate, W_up, W_down)


def matrices_not_transposed(x, W_gate, W_up, W_down):
    """The matrices were not transposed. Each of their rows belongs to one number that comes *out*, as in torch's linear
    layers: look at their shapes."""
    g, u = x @ W_gate, x @ W_up
    return (_silu(g) * u) @ W_down


def last_matrix_not_transposed(x, W_gate, W_up, W_down):
    """W_down was not transposed. It has C rows, one for each number that comes out."""
    g, u = _parts(x, W_gate, W_up)
    return (_silu(g) * u) @ W_down


def hidden_layer(x, W_gate, W_up, W_down):
    """You return the hidden layer. W_down leads back to the width of x."""
    g, u = _parts(x, W_gate, W_up)
    return _silu(g) * u + 0 * W_down.sum()


def cases(rng: random.Random) -> list[Case]:
    x = torch.tensor([[1.0, -1.0], [2.0, 0.5]])
    square = (
        torch.tensor([[1.0, 2.0], [0.0, -1.0]]),
        torch.tensor([[2.0, 0.0], [1.0, 1.0]]),
        torch.tensor([[1.0, 0.0], [3.0, -1.0]]),
    )
    shut = torch.tensor([[-100.0, 0.0], [0.0, 100.0], [1.0, 1.0]])
    return [
        public("two vectors, by hand", x, *square),
        public("two texts of three places", normal(rng, 2, 3, 4), *_matrices(rng, 4, 5)),
        public("gates wide open and shut", shut, torch.eye(2), torch.tensor([[1.0, 1.0], [0.5, 1.0]]), torch.eye(2)),
        hidden("one vector", normal(rng, 3), *_matrices(rng, 3, 7)),
        hidden("one hidden number", normal(rng, 4, 2), *_matrices(rng, 2, 1)),
        hidden("six vectors", normal(rng, 6, 6), *_matrices(rng, 6, 4)),
        hidden("double precision", *(part.double() for part in (normal(rng, 2, 5, 3), *_matrices(rng, 3, 8)))),
    ]


def _matrices(rng: random.Random, width: int, hidden_width: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return normal(rng, hidden_width, width), normal(rng, hidden_width, width), normal(rng, width, hidden_width)


EXERCISE = Exercise(
    chapter="ch19_llama",
    minutes=15,
    difficulty=1,
    points=2,
    reference=swiglu,
    right=[with_linear, with_einsum, unit_by_unit, with_glu],
    wrong=[
        gate_and_values_exchanged,
        both_through_silu,
        sigmoid_alone,
        gelu_gate,
        quick_gelu_gate,
        relu_gate,
        tanh_gate,
        gates_limited,
        silu_of_the_wrong_sign,
        without_silu,
        added,
        without_the_values,
        without_the_gate,
        gate_only_opens_itself,
        silu_of_the_product,
        silu_at_the_end,
        silu_of_the_input,
        exponential_overflows,
        not_transposed_and_overflow,
        exchanged_and_overflow,
        gates_detached,
        without_a_graph,
        softmax_gate,
        input_added,
        matrices_not_transposed,
        last_matrix_not_transposed,
        hidden_layer,
    ],
    cases=cases,
    probe="gated",
    rtol=1e-3,
    atol=1e-4,
    ready=READY,
)
