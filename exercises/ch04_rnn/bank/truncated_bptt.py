"""Truncated back-propagation through time: the state is carried from piece to piece, the gradient is not (Williams and Peng
1990; the form with pieces that do not overlap)."""

import random

import torch

from exercises.grader.exercise import Exercise, hidden, normal, public
from lmcore.check.run import Case


def truncated_bptt(x, h_0, V_x, V_h, c, length):
    h, states = h_0, []
    for piece in x.split(length, dim=1):
        for x_n in piece.unbind(dim=1):
            h = torch.tanh(x_n @ V_x.T + h @ V_h.T + c)
            states.append(h)
        h = h.detach()
    return torch.stack(states, dim=1)


# Right, written differently


def by_remainder(x, h_0, V_x, V_h, c, length):
    states = []
    for n in range(x.shape[1]):
        before = states[-1] if n else h_0
        if n and n % length == 0:
            before = before.detach()
        states.append(torch.tanh(x[:, n] @ V_x.T + before @ V_h.T + c))
    return torch.stack(states, dim=1)


def with_the_fused_kernel(x, h_0, V_x, V_h, c, length):
    weights = [tensor.double() for tensor in (V_x, V_h, c, torch.zeros_like(c))]  # GPUs round a float32 in this kernel
    outputs, state = [], h_0.double().unsqueeze(0)
    for start in range(0, x.shape[1], length):
        piece = x[:, start : start + length].double()
        output, state = torch.rnn_tanh(piece, state, weights, True, 1, 0.0, True, False, True)
        outputs.append(output)
        state = state.detach()
    return torch.cat(outputs, dim=1).to(x.dtype)


def by_recursion(x, h_0, V_x, V_h, c, length):
    columns, h = [], h_0
    for n in range(min(length, x.shape[1])):
        h = torch.tanh(torch.cat([x[:, n], h], dim=1) @ torch.cat([V_x, V_h], dim=1).T + c)
        columns.append(h[:, None])
    if x.shape[1] > length:
        columns.append(by_recursion(x[:, length:], h.detach(), V_x, V_h, c, length))
    return torch.cat(columns, dim=1)


# Wrong: the docstring is the hint


def _step(x_n, h, V_x, V_h, c):
    return torch.tanh(x_n @ V_x.T + h @ V_h.T + c)


def _cut(x, h_0, V_x, V_h, c, cut, restart=lambda h: h.detach(), stored=lambda h: h):
    """Before each step n with ``cut(n)``, the state becomes ``restart(h)``."""
    h, states = h_0, []
    for n in range(x.shape[1]):
        h = _step(x[:, n], restart(h) if cut(n) else h, V_x, V_h, c)
        states.append(stored(h))
    return torch.stack(states, dim=1)


def never_cut(x, h_0, V_x, V_h, c, length):
    """The states are right, but the gradient runs back to the beginning of the text: nothing is cut. The state that goes from
    one piece to the next has to leave its graph behind."""
    return _cut(x, h_0, V_x, V_h, c, lambda n: False)


def cut_at_every_step(x, h_0, V_x, V_h, c, length):
    """The gradient is cut at every step. Within a piece it runs back through all steps; the cut comes between pieces."""
    return _cut(x, h_0, V_x, V_h, c, lambda n: n > 0)


def returned_states_cut(x, h_0, V_x, V_h, c, length):
    """The last state of each piece was detached before it was kept, so the loss of that step teaches nothing. Keep the state
    as it is; what is detached is the copy that goes into the next piece."""
    states = _cut(x, h_0, V_x, V_h, c, lambda n: n > 0 and n % length == 0)
    last = [n for n in range(x.shape[1]) if (n + 1) % length == 0 or n + 1 == x.shape[1]]
    return torch.stack([h.detach() if n in last else h for n, h in enumerate(states.unbind(1))], dim=1)


def all_states_cut(x, h_0, V_x, V_h, c, length):
    """The returned states have no gradient at all. Detach only the state that goes from one piece to the next, and compute
    with the tensors you were given."""
    return never_cut(x, h_0, V_x, V_h, c, length).detach()


def last_piece_only(x, h_0, V_x, V_h, c, length):
    """Only the last piece has gradients: the states of all earlier pieces were detached. Every piece learns from its own
    losses. Which single state goes from one piece to the next?"""
    last = (x.shape[1] - 1) // length * length
    states = never_cut(x[:, :last], h_0, V_x, V_h, c, length).detach() if last else x.new_zeros(len(x), 0, len(c))
    start = states[:, -1] if last else h_0
    return torch.cat([states, never_cut(x[:, last:], start, V_x, V_h, c, length)], dim=1)


def cut_once(x, h_0, V_x, V_h, c, length):
    """The gradient is cut after the first piece only. Every piece ends with a cut."""
    return _cut(x, h_0, V_x, V_h, c, lambda n: n == length)


def starts_at_zero(x, h_0, V_x, V_h, c, length):
    """Each later piece starts with a state of zeros, so nothing is remembered from one piece to the next. The value of the
    state is carried on; only its gradient is not."""
    return _cut(x, h_0, V_x, V_h, c, lambda n: n > 0 and n % length == 0, restart=torch.zeros_like)


def starts_at_h_0(x, h_0, V_x, V_h, c, length):
    """Each piece starts with h_0 again. It starts with the last state of the piece before, without its gradient."""
    return _cut(x, h_0, V_x, V_h, c, lambda n: n % length == 0, restart=lambda h: h_0)


def first_state_cut(x, h_0, V_x, V_h, c, length):
    """The gradient of h_0 is missing. Nothing is cut before the first piece: whoever gave you h_0 may want to train it."""
    return _cut(x, h_0, V_x, V_h, c, lambda n: n % length == 0)


def cut_one_step_early(x, h_0, V_x, V_h, c, length):
    """The first cut comes one step too early. How many steps does the first piece have in your loop?"""
    return _cut(x, h_0, V_x, V_h, c, lambda n: n > 0 and (n + 1) % length == 0)


def cut_one_step_late(x, h_0, V_x, V_h, c, length):
    """The first cut comes one step too late. How many steps does the first piece have in your loop?"""
    return _cut(x, h_0, V_x, V_h, c, lambda n: n > 1 and (n - 1) % length == 0)


def short_piece_first(x, h_0, V_x, V_h, c, length):
    """The pieces were counted from the end of the text. Count from the beginning: if one is shorter, it is the last."""
    return _cut(x, h_0, V_x, V_h, c, lambda n: n > 0 and (x.shape[1] - n) % length == 0)


def number_of_pieces(x, h_0, V_x, V_h, c, length):
    """`length` was taken as the number of pieces. It is the number of steps in each."""
    steps = -(-x.shape[1] // length)
    return truncated_bptt(x, h_0, V_x, V_h, c, steps)


def rest_is_dropped(x, h_0, V_x, V_h, c, length):
    """The steps behind the last full piece are missing. The last piece may be shorter than the others."""
    whole = max(x.shape[1] // length, 1) * length
    return truncated_bptt(x[:, :whole], h_0, V_x, V_h, c, length)


def window_slides(x, h_0, V_x, V_h, c, length):
    """Here every state reaches back through `length` steps of its own. That is truncation too, but it computes each step
    `length` times. In this exercise the text is cut into pieces that do not overlap, and the first step of a piece reaches
    back no further than itself."""
    history = [h_0, *never_cut(x, h_0, V_x, V_h, c, length).unbind(dim=1)]
    states = []
    for n in range(1, len(history)):
        first = max(n - length, 0)
        h = history[first].detach() if first else h_0
        for m in range(first, n):
            h = _step(x[:, m], h, V_x, V_h, c)
        states.append(h)
    return torch.stack(states, dim=1)


def product_cut(x, h_0, V_x, V_h, c, length):
    """At the start of a piece the product with V_h was detached, so V_h learns nothing from these steps. The state is cut
    off, the matrix it meets is not."""
    h, states = h_0, []
    for n in range(x.shape[1]):
        product = h @ V_h.T
        h = torch.tanh(x[:, n] @ V_x.T + (product.detach() if n and n % length == 0 else product) + c)
        states.append(h)
    return torch.stack(states, dim=1)


def step_cut(x, h_0, V_x, V_h, c, length):
    """The first step of each later piece was detached as a whole, so its loss teaches nothing. Only what goes into this step
    from before is cut off: the old state."""
    h, states = h_0, []
    for n in range(x.shape[1]):
        h = _step(x[:, n], h, V_x, V_h, c)
        h = h.detach() if n and n % length == 0 else h
        states.append(h)
    return torch.stack(states, dim=1)


def matrix_cut(x, h_0, V_x, V_h, c, length):
    """V_h was detached at the start of a piece in place of the state. The gradient still runs through to the steps before.
    Which of the two leads back in time?"""
    h, states = h_0, []
    for n in range(x.shape[1]):
        h = _step(x[:, n], h, V_x, V_h.detach() if n and n % length == 0 else V_h, c)
        states.append(h)
    return torch.stack(states, dim=1)


def input_cut(x, h_0, V_x, V_h, c, length):
    """The input was detached in place of the state. Nothing comes back through x from other steps; what leads back in time is
    the state."""
    return never_cut(x.detach(), h_0, V_x, V_h, c, length)


def recurrent_matrix_transposed(x, h_0, V_x, V_h, c, length):
    """V_h is transposed, which its square shape lets pass. The states are rows here: for a column you would write V_h h, and
    for a row?"""
    return truncated_bptt(x, h_0, V_x, V_h.T, c, length)


def linear(x, h_0, V_x, V_h, c, length):
    """The states are not squashed: tanh is missing."""
    h, states = h_0, []
    for n in range(x.shape[1]):
        h = x[:, n] @ V_x.T + (h.detach() if n and n % length == 0 else h) @ V_h.T + c
        states.append(h)
    return torch.stack(states, dim=1)


def last_states(x, h_0, V_x, V_h, c, length):
    """Only the last state of each piece is returned. The loss needs the state of every step."""
    states = truncated_bptt(x, h_0, V_x, V_h, c, length)
    return torch.stack([piece[:, -1] for piece in states.split(length, dim=1)], dim=1)


def list_of_pieces(x, h_0, V_x, V_h, c, length):
    """The pieces come as a list. Join them along the axis of time, so that the result fits beside x."""
    return list(truncated_bptt(x, h_0, V_x, V_h, c, length).split(length, dim=1))


def time_first(x, h_0, V_x, V_h, c, length):
    """The states are right, but time is the first axis. Here the batch comes first, as in x."""
    return truncated_bptt(x, h_0, V_x, V_h, c, length).transpose(0, 1)


def cut_before_it_is_kept(x, h_0, V_x, V_h, c, length):
    """The last state of each full piece was detached before it was kept, so the loss of that step teaches nothing. Keep the
    state as it is; what is detached is the copy that goes into the next piece."""
    h, states = h_0, []
    for n, x_n in enumerate(x.unbind(1), start=1):
        h = _step(x_n, h, V_x, V_h, c)
        h = h.detach() if n % length == 0 else h
        states.append(h)
    return torch.stack(states, dim=1)


def cases(rng: random.Random) -> list[Case]:
    one = torch.ones(1, 1)
    return [
        public(
            "one neuron, four steps in pieces of 2",
            *(torch.tensor([[[1.0], [0.0], [2.0], [0.5]]]), torch.tensor([[0.5]]), one, one / 2, torch.zeros(1), 2),
        ),
        public("five steps in pieces of 3", *_network(rng, 2, 5, 3, 2), 3),
        public("seven steps in pieces of 2", *_network(rng, 1, 7, 2, 3), 2),
        hidden("one piece", *_network(rng, 3, 5, 2, 3), 7),
        hidden("exactly one piece", *_network(rng, 2, 5, 2, 3), 5),
        hidden("pieces of one step", *_network(rng, 2, 5, 3, 2), 1),
        hidden(
            "a longer text, double precision", *_network(rng, 3, rng.randint(13, 19), 2, 5, torch.float64), rng.randint(3, 6)
        ),
    ]


def _network(
    rng: random.Random, batch: int, steps: int, width: int, size: int, dtype: torch.dtype = torch.float32
) -> list[torch.Tensor]:
    """Random texts, states and parameters."""
    x, h_0 = normal(rng, batch, steps, width), 0.5 * normal(rng, batch, size)
    V_x, V_h, c = 0.5 * normal(rng, size, width), 0.7 * normal(rng, size, size), 0.5 * normal(rng, size)
    return [tensor.to(dtype) for tensor in (x, h_0, V_x, V_h, c)]


EXERCISE = Exercise(
    chapter="ch04_rnn",
    minutes=20,
    difficulty=2,
    points=3,
    reference=truncated_bptt,
    right=[by_remainder, with_the_fused_kernel, by_recursion],
    wrong=[
        never_cut,
        cut_at_every_step,
        returned_states_cut,
        all_states_cut,
        last_piece_only,
        cut_once,
        starts_at_zero,
        starts_at_h_0,
        first_state_cut,
        cut_one_step_early,
        cut_one_step_late,
        short_piece_first,
        number_of_pieces,
        rest_is_dropped,
        window_slides,
        product_cut,
        step_cut,
        matrix_cut,
        input_cut,
        recurrent_matrix_transposed,
        linear,
        last_states,
        list_of_pieces,
        time_first,
        cut_before_it_is_kept,
    ],
    cases=cases,
    probe="gradients",
    atol=1e-5,
    ready=("lmcore",),
)
