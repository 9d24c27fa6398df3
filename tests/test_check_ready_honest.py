"""What torch does on its own behalf is no ready-made answer, under the list of any question of the book."""

import functools
import io

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, TensorDataset

import exercises
from lmcore.check.ready import guarded
from lmcore.check.run import Case, run_case

X = torch.randn(5, 7, generator=torch.Generator().manual_seed(3))
LISTS = sorted({exercises.get(name).ready for name in exercises.names()} - {()})


def step(kind, **how):
    def function(x):
        layer = nn.Linear(7, 3)
        optimiser = kind(layer.parameters(), lr=0.1, **how)
        for _ in range(2):
            optimiser.zero_grad()
            layer(x).square().sum().backward()
            optimiser.step()

    return function


def scheduled(x):
    optimiser = torch.optim.SGD(nn.Linear(7, 3).parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda n: 1 / (n + 1))
    optimiser.step()
    scheduler.step()


def closed(x):
    layer = nn.Linear(7, 1)

    def closure():
        loss = layer(x).square().sum()
        loss.backward()
        return loss

    torch.optim.LBFGS(layer.parameters(), max_iter=2).step(closure)


def hooked(x):
    layer, seen = nn.Linear(7, 7), []
    layer.register_forward_hook(lambda module, inputs, output: seen.append(output))
    layer.register_forward_pre_hook(lambda module, inputs: None)
    layer(x)
    return len(seen)


def hooked_backwards(x):
    y = x.clone().requires_grad_()
    y.register_hook(lambda gradient: 2 * gradient)
    y.square().sum().backward()
    return y.grad


def initialised(x):
    for fill in (nn.init.xavier_uniform_, nn.init.kaiming_normal_, nn.init.orthogonal_, nn.init.trunc_normal_, nn.init.zeros_):
        fill(torch.empty(7, 7))


def saved(x):
    file = io.BytesIO()
    torch.save({"x": x, **nn.Linear(3, 3).state_dict()}, file)
    file.seek(0)
    return torch.load(file)["x"]


def cast(x):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return x @ x.T


def clipped(x):
    layer = nn.Linear(7, 7)
    layer(x).sum().backward()
    nn.utils.clip_grad_value_(layer.parameters(), 0.1)


class Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, gradient):
        return 2 * ctx.saved_tensors[0] * gradient


def square(y):
    return (y * y).sum()


# What needs gradients is no answer where gradients are the question.
WITH_GRADIENTS = {
    "SGD": step(torch.optim.SGD, momentum=0.9),
    "Adam": step(torch.optim.Adam),
    "AdamW, one by one": step(torch.optim.AdamW, foreach=False),
    "Adam, fused": step(torch.optim.Adam, fused=True),
    "L-BFGS": closed,
    "backward": lambda x: square(x.requires_grad_()).backward(),
    "autograd.grad": lambda x: torch.autograd.grad(square(x.requires_grad_()), x),
    "gradients of gradients": lambda x: torch.autograd.functional.hessian(square, x[0]),
    "gradcheck": lambda x: torch.autograd.gradcheck(square, (x.double().requires_grad_(),)),
    "a function with its own gradient": lambda x: Square.apply(x.requires_grad_()).sum().backward(),
    "func.grad": torch.func.grad(square),
    "a gradient for each": torch.func.vmap(torch.func.grad(square)),
    "jacrev": torch.func.jacrev(torch.sin),
    "jacfwd": lambda x: torch.func.jacfwd(torch.sin)(x[0]),
    "checkpoint": lambda x: checkpoint(square, x.requires_grad_(), use_reentrant=False).backward(),
    "an old checkpoint": lambda x: checkpoint(square, x.requires_grad_(), use_reentrant=True).backward(),
    "a hook of a tensor": hooked_backwards,
    "clip_grad_value_": clipped,
}
HONEST = WITH_GRADIENTS | {
    "a scheduler": scheduled,
    "vmap": torch.func.vmap(torch.sin),
    "printing": lambda x: [repr(one) for one in (x, [x], x > 0, x.long(), nn.Parameter(x), x * 1e9, x[:0], nn.Linear(3, 3))],
    "formatting": lambda x: f"{x.mean():.3f} {x} {x.shape}",
    "hooks": hooked,
    "init": initialised,
    "saving": saved,
    "autocast": cast,
    "a loader": lambda x: [part.sum() for (part,) in DataLoader(TensorDataset(x), batch_size=2, shuffle=True)],
    "einsum": lambda x: torch.einsum("ij,kj,kl->il", x, x, x),
    "no_grad": torch.no_grad()(lambda x: x * 2),
    "a trace": lambda x: torch.jit.trace(lambda y: y * 2 + 1, (x,))(x),
    "a profile": lambda x: torch.profiler.profile().__enter__().__exit__(None, None, None),
    "a distribution": lambda x: torch.distributions.Categorical(logits=x).sample(),
    "comparing": lambda x: torch.testing.assert_close(x, x),
    "a module called otherwise": lambda x: torch.func.functional_call(nn.Linear(7, 7), {"weight": torch.ones(7, 7)}, (x,)),
}


@pytest.mark.filterwarnings("ignore")  # of torch about itself
@pytest.mark.parametrize("habit", HONEST)
def test_an_honest_answer_is_let_through(habit):
    asked = [ready for ready in LISTS if habit not in WITH_GRADIENTS or not any("torch.autograd" in name for name in ready)]
    assert len(asked) >= len(LISTS) - 1
    case = Case((X,), "a case")
    for ready in [(), *asked]:
        given = run_case(HONEST[habit], case, ready=ready, seconds=60.0)
        assert given.status in ("ok", "unsupported"), (ready, given)


@pytest.mark.parametrize("habit", WITH_GRADIENTS)
def test_gradients_are_no_answer_where_they_are_the_question(habit):
    (ready,) = (ready for ready in LISTS if any("torch.autograd" in name for name in ready))
    if habit != "gradcheck":  # which compares them with what it computes itself
        given = run_case(HONEST[habit], Case((X,), "a case"), ready=ready, seconds=60.0)
        assert given.error == "ReadyMadeError", given


LIST = ("torch.nn.functional.layer_norm", "torch.layer_norm", "torch.native_layer_norm", "lmcore")


@pytest.mark.parametrize(
    "call",
    [
        lambda x: torch._refs.nn.functional.layer_norm(x, (7,)),
        lambda x: list(map(functools.partial(torch._refs.nn.functional.layer_norm, normalized_shape=(7,)), [x])),
        lambda x: sorted([x], key=lambda y: torch.ops.aten.native_layer_norm(y, (7,), None, None, 1e-5)),
        lambda x: functools.reduce(lambda y, _: torch.ops.aten.relu(y), range(2), x),
        lambda x: nn.Sequential(nn.LayerNorm(7))(x),
        lambda x: checkpoint(F.layer_norm, x, (7,), use_reentrant=False),
        torch.func.vmap(lambda y: F.layer_norm(y, (7,))),
    ],
)
def test_what_a_student_calls_is_refused_beside_what_torch_calls(call):
    def answer(x):
        step(torch.optim.SGD)(x)
        print(x)
        return call(x)

    assert run_case(answer, Case((X,), "a case"), ready=LIST, seconds=60.0).error == "ReadyMadeError"


class OwnCall(nn.Module):
    def __call__(self, x):
        return F.layer_norm(x, (7,))


class Child(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(7)

    def forward(self, x):
        return self.norm(x)


class Found(nn.Module):
    def __getattr__(self, name):
        return (lambda x: F.layer_norm(x, (7,))) if name == "norm" else super().__getattr__(name)

    def forward(self, x):
        return self.norm(x)


def with_a_hook():
    module = nn.Identity()
    module.register_forward_hook(lambda module, inputs, output: F.layer_norm(output, (7,)))
    return module


def bent():
    module = nn.Identity()
    module.forward = lambda x: F.layer_norm(x, (7,))
    return module


def with_a_hook_that_swallows():
    def hook(module, inputs, output):
        try:
            F.layer_norm(output, (7,))
        except RuntimeError:
            return output

    module = nn.Identity()
    module.register_forward_hook(hook)
    return module


@pytest.mark.parametrize("build", [OwnCall, Child, Found, with_a_hook, with_a_hook_that_swallows, bent])
def test_all_of_a_module_is_looked_at(build):
    case = Case(((), None, X), "a case")
    assert run_case(build, case, probe="module").status == "ok"
    assert run_case(build, case, probe="module", ready=LIST).error == "ReadyMadeError"


def test_a_module_stays_what_it_is():
    module = guarded(Child, ("torch.rms_norm",))()
    assert type(module).__name__ == "Child"
    assert isinstance(module, Child)
    assert repr(module) == repr(Child())
    assert module(X).shape == X.shape
