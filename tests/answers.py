"""Functions as a student may write them, and what answers are compared with."""

import torch

import exercises


def raises(error):
    """A function of one argument that raises ``error``."""

    def function(x):
        raise error

    return function


def run_forever(*_):
    """Never returns."""
    while True:
        pass


def reference(name):
    """The reference of an exercise."""
    return exercises.get(name).reference


def drawn(*shape, seed=7):
    """Numbers from a normal distribution, in double precision."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def integers(most, *shape, seed=7):
    """Integers below ``most``."""
    return torch.randint(most, shape, generator=torch.Generator().manual_seed(seed))


def same(got, want, leaves):
    """Equal values, and equal gradients of a weighted sum."""
    torch.testing.assert_close(got, want)
    weights = drawn(*want.shape, seed=99)
    for one, other in zip(
        *(torch.autograd.grad((y * weights).sum(), leaves, retain_graph=True) for y in (got, want)), strict=True
    ):
        torch.testing.assert_close(one, other)
