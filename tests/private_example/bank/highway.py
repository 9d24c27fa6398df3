"""A highway layer (Srivastava, Greff and Schmidhuber 2015, "Highway networks", equation 3): a module."""

import random

import torch
from torch import nn
from torch.nn import functional as F

from exercises.grader.exercise import Exercise, hidden, normal, public
from lmcore.check.run import Case


class Highway(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.candidate = nn.Linear(width, width)
        self.gate = nn.Linear(width, width)

    def forward(self, x):
        t = torch.sigmoid(self.gate(x))
        return t * torch.tanh(self.candidate(x)) + (1 - t) * x


# Right, written differently


class WithLerp(Highway):
    def forward(self, x):
        return torch.lerp(x, self.candidate(x).tanh(), self.gate(x).sigmoid())


class Named(nn.ModuleDict):
    def __init__(self, width):
        super().__init__({name: nn.Linear(width, width) for name in ("candidate", "gate")})

    def forward(self, x):
        return x + torch.sigmoid(self["gate"](x)) * (torch.tanh(self["candidate"](x)) - x)


class OneProduct(Highway):
    def forward(self, x):
        weight = torch.cat([self.candidate.weight, self.gate.weight])
        bias = torch.cat([self.candidate.bias, self.gate.bias])
        h, t = F.linear(x, weight, bias).chunk(2, dim=-1)
        return torch.where(torch.ones_like(x) > 0, h.tanh() * t.sigmoid() + x / (1 + t.exp()), x)


class _Affine(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width, width))
        self.bias = nn.Parameter(torch.zeros(width))
        nn.init.normal_(self.weight)

    def forward(self, x):
        return torch.stack([(x * row).sum(-1) for row in self.weight], dim=-1) + self.bias


class ByHand(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.gate, self.candidate = _Affine(width), _Affine(width)

    def forward(self, x):
        t = 1 / (1 + torch.exp(-self.gate(x)))
        kept = x - t * x
        return kept + t * torch.tanh(self.candidate(x))


# Wrong: the docstring is the hint


class GateTurned(Highway):
    """Where the gate is open, the input goes through, and where it is closed, the candidate: the other way round. What should
    come out if $t$ is 1 everywhere?"""

    def forward(self, x):
        t = torch.sigmoid(self.gate(x))
        return (1 - t) * torch.tanh(self.candidate(x)) + t * x


class NothingCarried(Highway):
    """Only the gated candidate comes out. What does the second term of the sum do where the gate is closed?"""

    def forward(self, x):
        return torch.sigmoid(self.gate(x)) * torch.tanh(self.candidate(x))


class CarriedInFull(Highway):
    """The input is added in full, as in a residual connection. How much of $x$ should remain where $t$ is 1?"""

    def forward(self, x):
        return torch.sigmoid(self.gate(x)) * torch.tanh(self.candidate(x)) + x


class PlainResidual(Highway):
    """The candidate is added to the input without a gate. Which layer of yours has no influence on the output?"""

    def forward(self, x):
        return torch.tanh(self.candidate(x)) + x


class CandidateWithoutTanh(Highway):
    """The candidate is used as the linear layer gives it. Which function bounds $h$ between −1 and 1?"""

    def forward(self, x):
        t = torch.sigmoid(self.gate(x))
        return t * self.candidate(x) + (1 - t) * x


class CandidateWithRelu(Highway):
    """The candidate is never negative. Look up which function stands in front of $W_h x + b_h$."""

    def forward(self, x):
        t = torch.sigmoid(self.gate(x))
        return t * torch.relu(self.candidate(x)) + (1 - t) * x


class GateWithTanh(Highway):
    """The gate takes values between −1 and 1. A gate says which share goes through: which function has values from 0 to 1?"""

    def forward(self, x):
        t = torch.tanh(self.gate(x))
        return t * torch.tanh(self.candidate(x)) + (1 - t) * x


class GateWithSoftmax(Highway):
    """The gates of one input sum to one, so that its features compete. Each feature has a gate of its own: may all be open?"""

    def forward(self, x):
        t = torch.softmax(self.gate(x), dim=-1)
        return t * torch.tanh(self.candidate(x)) + (1 - t) * x


class GateReadsTheCandidate(Highway):
    """The gate is computed from the candidate. Both layers read the same thing: what stands behind $W_t$ in the equation?"""

    def forward(self, x):
        h = torch.tanh(self.candidate(x))
        t = torch.sigmoid(self.gate(h))
        return t * h + (1 - t) * x


class OneLayerForBoth(nn.Module):
    """Gate and candidate share one linear layer, so the gate cannot learn anything of its own. How many matrices stand in the
    equations?"""

    def __init__(self, width):
        super().__init__()
        self.candidate = nn.Linear(width, width)

    def forward(self, x):
        z = self.candidate(x)
        return torch.sigmoid(z) * torch.tanh(z) + (1 - torch.sigmoid(z)) * x


class GateWithoutBias(nn.Module):
    """The gate has no bias $b_t$. With what could a new layer start, so that it lets nearly everything through unchanged?"""

    def __init__(self, width):
        super().__init__()
        self.candidate = nn.Linear(width, width)
        self.gate = nn.Linear(width, width, bias=False)

    def forward(self, x):
        t = torch.sigmoid(self.gate(x))
        return t * torch.tanh(self.candidate(x)) + (1 - t) * x


class GateDoesNotLearn(Highway):
    """The output is right, but no gradient reaches the gate: its weights would stay as they are for ever. Where does the
    gate leave the graph?"""

    def forward(self, x):
        t = torch.sigmoid(self.gate(x)).detach()
        return t * torch.tanh(self.candidate(x)) + (1 - t) * x


class InAList(nn.Module):
    """The layers lie in a plain list, where torch does not look for parameters: an optimiser would never see them. As what
    must a layer be kept, so that `parameters()` finds it?"""

    def __init__(self, width):
        super().__init__()
        self.layers = [nn.Linear(width, width), nn.Linear(width, width)]

    def forward(self, x):
        h, t = torch.tanh(self.layers[0](x)), torch.sigmoid(self.layers[1](x))
        return t * h + (1 - t) * x


def _state(rng, width):
    """Numbers for the parameters of a layer of this width."""
    shapes = {"weight": (width, width), "bias": (width,)}
    return {f"{layer}.{part}": normal(rng, *shape) for layer in ("candidate", "gate") for part, shape in shapes.items()}


def cases(rng: random.Random) -> list[Case]:
    by_hand = {
        "candidate.weight": torch.tensor([[-1.0, 0.0], [1.0, -1.0]]),
        "candidate.bias": torch.tensor([0.0, -0.5]),
        "gate.weight": torch.tensor([[0.0, 2.0], [0.5, 0.0]]),
        "gate.bias": torch.tensor([1.0, -1.0]),
    }
    closed = {**by_hand, "gate.weight": torch.zeros(2, 2), "gate.bias": torch.full((2,), -30.0)}
    width = rng.randint(3, 5)
    return [
        public("one input of two features", (2,), by_hand, torch.tensor([[1.0, -2.0]])),
        public("the gates are closed", (2,), closed, torch.tensor([[1.0, -2.0], [0.5, 3.0]])),
        hidden("a batch of sequences", (width,), _state(rng, width), normal(rng, 2, 3, width)),
        hidden("a vector", (width,), _state(rng, width), normal(rng, width)),
        hidden("larger numbers", (2,), _state(rng, 2), 5 * normal(rng, 3, 2)),
        hidden("one feature", (1,), _state(rng, 1), normal(rng, 4, 1)),
    ]


EXERCISE = Exercise(
    chapter="private_example",
    minutes=20,
    difficulty=2,
    points=3,
    reference=Highway,
    right=[WithLerp, Named, OneProduct, ByHand],
    wrong=[
        GateTurned, NothingCarried, CarriedInFull, PlainResidual, CandidateWithoutTanh, CandidateWithRelu, GateWithTanh,
        GateWithSoftmax, GateReadsTheCandidate, OneLayerForBoth, GateWithoutBias, GateDoesNotLearn, InAList,
    ],
    cases=cases,
    probe="module",
    atol=1e-5,
    ready=("lmcore",),
)  # fmt: skip
