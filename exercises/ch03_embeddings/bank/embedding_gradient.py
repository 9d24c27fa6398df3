"""The gradient of a look-up: the transpose of the one-hot matrix times the gradient of what was looked up."""

import random

import torch

from exercises.grader.exercise import Exercise, hidden, normal, public
from lmcore.check.run import Case


def embedding_gradient(ids, grad, vocab_size):
    result = torch.zeros(vocab_size, grad.shape[1], dtype=grad.dtype)
    for t, token in enumerate(ids):
        result[token] += grad[t]
    return result


# Right, written differently


def with_a_one_hot_matrix(ids, grad, vocab_size):
    one_hot = (ids[:, None] == torch.arange(vocab_size)).to(grad.dtype)
    return one_hot.T @ grad


def with_index_add(ids, grad, vocab_size):
    return torch.zeros(vocab_size, grad.shape[1], dtype=grad.dtype).index_add(0, ids, grad)


def with_autograd(ids, grad, vocab_size):
    weight = torch.zeros(vocab_size, grad.shape[1], dtype=grad.dtype, requires_grad=True)
    (weight[ids] * grad).sum().backward()
    return weight.grad


# Wrong: the docstring is the hint


def last_one_wins(ids, grad, vocab_size):
    """When a token occurs twice, only its last gradient is left: a row was written over, or all ids were used as one index,
    where even += reaches each row only once. Every use of a row adds to the loss: what happens to derivatives of a sum?"""
    result = torch.zeros(vocab_size, grad.shape[1], dtype=grad.dtype)
    for token, row in zip(ids, grad, strict=True):
        result[token] = row
    return result


def first_one_wins(ids, grad, vocab_size):
    """When a token occurs twice, only its first gradient is left. Every use of a row adds to the loss."""
    result = torch.zeros(vocab_size, grad.shape[1], dtype=grad.dtype)
    for token, row in reversed(list(zip(ids, grad, strict=True))):
        result[token] = row
    return result


def averages(ids, grad, vocab_size):
    """The gradients of a token that occurs twice were averaged. The loss is a function of the same row used twice, so the
    two derivatives add."""
    counts = torch.bincount(ids, minlength=vocab_size).clamp(min=1)
    return embedding_gradient(ids, grad, vocab_size) / counts[:, None]


def divided_by_length(ids, grad, vocab_size):
    """The result was divided by the number of tokens. If the loss is a mean, that factor is already inside `grad`."""
    return embedding_gradient(ids, grad, vocab_size) / max(len(ids), 1)


def spread_over_all_rows(ids, grad, vocab_size):
    """Every row received the same gradient. A row that was not looked up had no part in the loss: what is its
    derivative?"""
    return grad.sum(0).repeat(vocab_size, 1)


def in_order_of_appearance(ids, grad, vocab_size):
    """The gradients stand in the order of the text. They belong in the rows of the tokens: row i of the result is for
    token i."""
    result = torch.zeros(vocab_size, grad.shape[1], dtype=grad.dtype)
    rows = min(vocab_size, len(grad))
    result[:rows] = grad[:rows]
    return result


def transposed(ids, grad, vocab_size):
    """The result is transposed. The embedding matrix has one row per token, and its gradient has the same shape."""
    return embedding_gradient(ids, grad, vocab_size).T


def counts_only(ids, grad, vocab_size):
    """Each row holds how often its token occurred. Multiply each occurrence by its own gradient before you add."""
    counts = torch.bincount(ids, minlength=vocab_size).to(grad.dtype)
    return counts[:, None].repeat(1, grad.shape[1])


def count_times_last(ids, grad, vocab_size):
    """The gradient of a repeated token is its count times one of its gradients. Its occurrences have different gradients;
    add all of them."""
    counts = torch.bincount(ids, minlength=vocab_size).to(grad.dtype)
    return counts[:, None] * last_one_wins(ids, grad, vocab_size)


def descends(ids, grad, vocab_size):
    """The sign is turned round. The minus belongs to the update of the weights, not to the gradient."""
    return -embedding_gradient(ids, grad, vocab_size)


def only_seen_rows(ids, grad, vocab_size):
    """The result has a row for each token that occurred. It needs a row for every token of the vocabulary, zero where the
    token did not occur."""
    return embedding_gradient(ids, grad, vocab_size)[ids.unique()]


def always_float32(ids, grad, vocab_size):
    """The result is float32, whatever the dtype of `grad`: torch.zeros makes float32 if it is not told otherwise. In double
    precision the digits behind the seventh are lost."""
    return embedding_gradient(ids, grad.float(), vocab_size)


def cases(rng: random.Random) -> list[Case]:
    return [
        public("each token once", torch.tensor([2, 0, 4]), torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), 5),
        public("one token three times", torch.tensor([1, 3, 1, 1, 0]), normal(rng, 5, 3), 4),
        public("another text", torch.tensor([6, 6, 5, 0, 2, 5]), normal(rng, 6, 2), 7),
        public("double precision", torch.tensor([0, 2, 2]), normal(rng, 3, 5).double(), 3),
        *[hidden(f"random text {i}", *_random_text(rng)) for i in (1, 2)],
    ]


def _random_text(rng: random.Random) -> tuple[torch.Tensor, torch.Tensor, int]:
    vocab_size, length = rng.randint(4, 9), rng.randint(11, 17)
    ids = torch.tensor([rng.randrange(vocab_size) for _ in range(length)])
    return ids, normal(rng, length, 3), vocab_size


EXERCISE = Exercise(
    chapter="ch03_embeddings",
    minutes=15,
    difficulty=2,
    points=3,
    reference=embedding_gradient,
    right=[with_a_one_hot_matrix, with_index_add, with_autograd],
    wrong=[
        last_one_wins,
        first_one_wins,
        averages,
        divided_by_length,
        spread_over_all_rows,
        in_order_of_appearance,
        transposed,
        counts_only,
        count_times_last,
        descends,
        only_seen_rows,
        always_float32,
    ],
    cases=cases,
    ready=("lmcore",),
)
