"""A recurrent matrix rescaled to a given spectral radius: the largest absolute value of its eigenvalues."""

import random

import torch

from exercises.grader.exercise import Exercise, hidden, normal, public
from lmcore.check.run import Case


def set_spectral_radius(V_h, rho):
    radius = torch.linalg.eigvals(V_h).abs().max()
    return V_h * (rho / radius)


# Right, written differently


def with_numpy(V_h, rho):
    import numpy as np

    eigenvalues = np.linalg.eig(V_h.cpu().numpy())[0]
    return V_h * float(rho / np.abs(eigenvalues).max())


def from_real_and_imaginary_parts(V_h, rho):
    largest = 0.0
    for eigenvalue in torch.linalg.eig(V_h).eigenvalues:
        squared = eigenvalue.real**2 + eigenvalue.imag**2
        largest = max(largest, squared.item())
    return V_h / largest**0.5 * rho


def by_gelfand(V_h, rho):
    power, log_norm, exponent = V_h.double(), 0.0, 1
    for _ in range(40):
        norm = torch.linalg.matrix_norm(power)
        log_norm += norm.log().item() / exponent
        power = power / norm @ (power / norm)
        exponent *= 2
    return (V_h.double() * rho / torch.tensor(log_norm).double().exp().item()).to(V_h.dtype)


# Wrong: the docstring is the hint


def _scaled(V_h, size, rho):
    return V_h * (rho / size)


def spectral_norm(V_h, rho):
    """The largest singular value was set to rho. It says by how much V_h can lengthen a vector in one step. The spectral
    radius, which says what happens in the long run, is never larger, and often smaller: it is made of eigenvalues."""
    return _scaled(V_h, torch.linalg.matrix_norm(V_h, 2), rho)


def spectral_norm_squared(V_h, rho):
    """The eigenvalues are those of V_h transposed times V_h: the squared singular values. Take the eigenvalues of V_h
    itself."""
    return _scaled(V_h, torch.linalg.eigvalsh(V_h.T @ V_h).max(), rho)


def frobenius_norm(V_h, rho):
    """The Frobenius norm was set to rho: the root of the sum of all squared entries. The spectral radius is made of
    eigenvalues."""
    return _scaled(V_h, V_h.norm(), rho)


def largest_entry(V_h, rho):
    """The largest entry was set to rho. The spectral radius is made of eigenvalues, which depend on all entries together."""
    return _scaled(V_h, V_h.abs().max(), rho)


def largest_row_sum(V_h, rho):
    """The largest sum of the absolute values of a row was set to rho. That is an upper bound of the spectral radius. Compute
    the eigenvalues."""
    return _scaled(V_h, V_h.abs().sum(1).max(), rho)


def largest_real_part(V_h, rho):
    """Only the real parts of the eigenvalues were compared, with their signs. An eigenvalue can be complex or negative: how
    far does it lie from 0?"""
    return _scaled(V_h, torch.linalg.eigvals(V_h).real.max(), rho)


def size_of_real_part(V_h, rho):
    """Only the real parts of the eigenvalues count here. A rotation has complex eigenvalues, and turns a vector without
    shortening it: how far does a complex number lie from 0?"""
    return _scaled(V_h, torch.linalg.eigvals(V_h).real.abs().max(), rho)


def size_of_imaginary_part(V_h, rho):
    """Real and imaginary parts were compared separately. The distance of a complex number from 0 is made of both."""
    values = torch.view_as_real(torch.linalg.eigvals(V_h))
    return _scaled(V_h, values.abs().max(), rho)


def symmetric_eigenvalues(V_h, rho):
    """These are the eigenvalues of a symmetric matrix: `eigvalsh` reads one half of V_h and mirrors it. A recurrent matrix
    is not symmetric in general."""
    return _scaled(V_h, torch.linalg.eigvalsh(V_h).abs().max(), rho)


def symmetric_part(V_h, rho):
    """The eigenvalues are those of the symmetric part of V_h. They are always real, but they are not the eigenvalues of
    V_h."""
    return _scaled(V_h, torch.linalg.eigvalsh((V_h + V_h.T) / 2).abs().max(), rho)


def first_eigenvalue(V_h, rho):
    """The first eigenvalue was taken. They come in no particular order: look for the one farthest from 0."""
    return _scaled(V_h, torch.linalg.eigvals(V_h)[0].abs(), rho)


def last_eigenvalue(V_h, rho):
    """The last eigenvalue was taken. Only the eigenvalues of a symmetric matrix are returned in order. Those of V_h come in no
    particular one: look for the one farthest from 0."""
    return _scaled(V_h, torch.linalg.eigvals(V_h)[-1].abs(), rho)


def smallest_eigenvalue(V_h, rho):
    """The eigenvalue nearest to 0 was taken. In the long run the one farthest from 0 decides."""
    return _scaled(V_h, torch.linalg.eigvals(V_h).abs().min(), rho)


def mean_eigenvalue(V_h, rho):
    """The absolute values of the eigenvalues were averaged. In the long run the largest of them decides alone."""
    return _scaled(V_h, torch.linalg.eigvals(V_h).abs().mean(), rho)


def sum_of_eigenvalues(V_h, rho):
    """The absolute values of the eigenvalues were added. In the long run the largest of them decides alone."""
    return _scaled(V_h, torch.linalg.eigvals(V_h).abs().sum(), rho)


def determinant(V_h, rho):
    """The determinant is the product of all eigenvalues. The spectral radius is the largest of their absolute values."""
    return _scaled(V_h, torch.linalg.det(V_h).abs(), rho)


def radius_one(V_h, rho):
    """The spectral radius is 1 now, whatever rho is. Multiplying by rho is missing."""
    return set_spectral_radius(V_h, 1.0)


def radius_not_divided(V_h, rho):
    """The matrix was multiplied by rho. That multiplies its spectral radius by rho: which radius did it have before?"""
    return V_h * rho


def inverted(V_h, rho):
    """The factor is upside down. What must the old radius be multiplied by to give rho?"""
    radius = torch.linalg.eigvals(V_h).abs().max()
    return V_h * (radius / rho)


def circular_law(V_h, rho):
    """The matrix was divided by the root of its size. That gives a random matrix a radius of about 1 when it is large and
    its entries have variance 1. Here the radius of the given matrix is set exactly."""
    return V_h * rho / len(V_h) ** 0.5


def only_shrinks(V_h, rho):
    """A matrix with a radius below rho was left alone. Set the radius to rho, whether it was larger or smaller."""
    radius = torch.linalg.eigvals(V_h).abs().max()
    return V_h * (rho / radius).clamp(max=1.0)


def by_the_eigenvalue(V_h, rho):
    """The matrix was divided by the eigenvalue itself. Its sign turned the matrix round, or its imaginary part was lost.
    Divide by its absolute value."""
    eigenvalues = torch.linalg.eigvals(V_h)
    return (V_h * (rho / eigenvalues[eigenvalues.abs().argmax()])).real


def every_eigenvalue(V_h, rho):
    """Every eigenvalue has the absolute value rho now, so this is another matrix, not a multiple of V_h. One factor for all
    entries is enough."""
    eigenvalues, vectors = torch.linalg.eig(V_h)
    return (vectors * (rho * eigenvalues / eigenvalues.abs()) @ torch.linalg.inv(vectors)).real


def the_radius(V_h, rho):
    """This is the spectral radius of the matrix. Return the matrix, rescaled."""
    return torch.linalg.eigvals(V_h).abs().max()


def cases(rng: random.Random) -> list[Case]:
    return [
        public("a turn that stretches", torch.tensor([[1.2, -1.6], [1.6, 1.2]]), 0.9),
        public("long transients", torch.tensor([[0.5, 4.0], [0.0, -0.8]]), 1.2),
        public("a chain of three", torch.tensor([[0.75, 2.0, 0.0], [0.0, -1.0, 3.0], [0.0, 0.0, 0.5]]), 0.9),
        public("a random matrix", normal(rng, 5, 5), 0.95),
        public("another", 0.1 * normal(rng, 3, 3), 1.5),
        hidden("one neuron", torch.tensor([[-3.0 - rng.random()]]), 0.5),
        hidden("no change", torch.tensor([[0.6, -0.8, 0.0], [0.8, 0.6, 0.0], [0.0, 0.0, 0.5]]), 1.0),
        hidden("radius 0", normal(rng, 4, 4), 0.0),
        hidden("double precision", normal(rng, 11, 11).double(), 1.1),
    ]


EXERCISE = Exercise(
    chapter="ch05_vanishing_gradients",
    minutes=10,
    difficulty=1,
    points=2,
    reference=set_spectral_radius,
    right=[with_numpy, from_real_and_imaginary_parts, by_gelfand],
    wrong=[
        spectral_norm,
        spectral_norm_squared,
        frobenius_norm,
        largest_entry,
        largest_row_sum,
        largest_real_part,
        size_of_real_part,
        size_of_imaginary_part,
        symmetric_eigenvalues,
        symmetric_part,
        first_eigenvalue,
        last_eigenvalue,
        smallest_eigenvalue,
        mean_eigenvalue,
        sum_of_eigenvalues,
        determinant,
        radius_one,
        radius_not_divided,
        inverted,
        circular_law,
        only_shrinks,
        by_the_eigenvalue,
        every_eigenvalue,
        the_radius,
    ],
    cases=cases,
    ready=("lmcore",),
)
