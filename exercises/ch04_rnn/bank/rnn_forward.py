"""A tanh network over a padded batch: the states of every text, and the state after its last real step."""

import random

import torch

from exercises.grader.exercise import Exercise, hidden, normal, public
from lmcore.check.ready import RNN
from lmcore.check.run import Case


def rnn_forward(x, lengths, h_0, V_x, V_h, c):
    h, states = h_0, []
    for n in range(x.shape[1]):
        real = (n < lengths)[:, None]
        h = torch.where(real, torch.tanh(x[:, n] @ V_x.T + h @ V_h.T + c), h)
        states.append(torch.where(real, h, 0))
    return torch.stack(states, dim=1), h


# Right, written differently


def text_by_text(x, lengths, h_0, V_x, V_h, c):
    states = x.new_zeros(x.shape[0], x.shape[1], len(c))
    final = h_0.clone()
    for b, length in enumerate(lengths.tolist()):
        for n in range(length):
            final[b] = torch.tanh(V_x @ x[b, n] + V_h @ final[b] + c)
            states[b, n] = final[b]
    return states, final


def with_one_matrix(x, lengths, h_0, V_x, V_h, c):
    V = torch.cat([V_x, V_h], dim=1)
    history = [h_0]
    for n in range(x.shape[1]):
        history.append(torch.tanh(torch.cat([x[:, n], history[-1]], dim=1) @ V.T + c))
    history = torch.stack(history, dim=1)
    rows = torch.arange(len(x), device=x.device)
    real = torch.arange(x.shape[1], device=x.device) < lengths[:, None]
    return history[:, 1:].masked_fill(~real[:, :, None], 0.0), history[rows, lengths]


def with_a_torch_cell(x, lengths, h_0, V_x, V_h, c):
    states, h = x.new_zeros(x.shape[0], x.shape[1], len(c)), h_0.clone()
    for n in range(x.shape[1]):
        running = n < lengths
        if running.any():
            h[running] = torch.rnn_tanh_cell(x[running, n], h[running], V_x, V_h, c, torch.zeros_like(c))
            states[running, n] = h[running]
    return states, h


# Wrong: the docstring is the hint


def _run(x, h_0, V_x, V_h, c, activation=torch.tanh):
    """The states of every step, padding included, behind h_0: shape (B, N + 1, H)."""
    states = [h_0]
    for n in range(x.shape[1]):
        states.append(activation(x[:, n] @ V_x.T + states[-1] @ V_h.T + c))
    return torch.stack(states, dim=1)


def _mask(states, lengths):
    real = torch.arange(states.shape[1], device=states.device) < lengths[:, None]
    return states * real[:, :, None]


def _at(states, places):
    return states[torch.arange(len(states), device=states.device), places]


def _finish(states, lengths):
    """What is returned, when the states behind h_0 are given."""
    return _mask(states[:, 1:], lengths), _at(states, lengths)


def final_state_reads_padding(x, lengths, h_0, V_x, V_h, c):
    """The final state of a short text is the one after the last column, so it has read padding. A text ends at its own
    length: what should its state do in the columns behind?"""
    states = _run(x, h_0, V_x, V_h, c)
    return _mask(states[:, 1:], lengths), states[:, -1]


def final_state_is_zero(x, lengths, h_0, V_x, V_h, c):
    """The final state of a short text is zero. The returned states are 0 behind its end, but the state itself stays what it
    was after the last real step."""
    states = _mask(_run(x, h_0, V_x, V_h, c)[:, 1:], lengths)
    return states, states[:, -1]


def states_not_zeroed(x, lengths, h_0, V_x, V_h, c):
    """The final states are right, but in the padded columns stand states that have read padding. Behind the end of a text
    the returned states are 0."""
    states = _run(x, h_0, V_x, V_h, c)
    return states[:, 1:], _at(states, lengths)


def nothing_masked(x, lengths, h_0, V_x, V_h, c):
    """The lengths play no part: padding is read as if it were text. Where n is larger than a text's length, its state stays
    and the returned states are 0."""
    states = _run(x, h_0, V_x, V_h, c)
    return states[:, 1:], states[:, -1]


def last_state_repeated(x, lengths, h_0, V_x, V_h, c):
    """The final states are right, but the last real state is repeated in the padded columns. Behind the end of a text the
    returned states are 0."""
    states = _run(x, h_0, V_x, V_h, c)
    columns = torch.arange(1, states.shape[1], device=x.device)
    places = torch.minimum(columns, lengths[:, None])
    return torch.stack([row[place] for row, place in zip(states, places, strict=True)]), _at(states, lengths)


def one_step_too_far(x, lengths, h_0, V_x, V_h, c):
    """Each text is read one step too far, where it has padding. If the columns are numbered from 0, which is the last one of
    a text of 3 tokens?"""
    states = _run(x, h_0, V_x, V_h, c)
    return _finish(states, (lengths + 1).clamp(max=x.shape[1]))


def one_step_too_few(x, lengths, h_0, V_x, V_h, c):
    """The last token of each text is not read. If the columns are numbered from 0, which is the last one of a text of 3
    tokens?"""
    states = _run(x, h_0, V_x, V_h, c)
    return _finish(states, lengths - 1)


def final_before_last_step(x, lengths, h_0, V_x, V_h, c):
    """The states are right, but the final state is the one before the last real step. Which state has read the whole
    text?"""
    states = _run(x, h_0, V_x, V_h, c)
    return _mask(states[:, 1:], lengths), _at(states, lengths - 1)


def trimmed_to_longest(x, lengths, h_0, V_x, V_h, c):
    """The states end with the longest text of the batch. Return all N columns of x, zeros where no text is left, so that the
    result fits beside x."""
    states, final = _finish(_run(x, h_0, V_x, V_h, c), lengths)
    return states[:, : int(lengths.max())], final


def states_before_the_step(x, lengths, h_0, V_x, V_h, c):
    """The states are shifted: at place n stands the state before token n was read, h_0 at the first. Store the state after
    the step."""
    states = _run(x, h_0, V_x, V_h, c)
    return _mask(states[:, :-1], lengths), _at(states, lengths)


def starts_at_zero(x, lengths, h_0, V_x, V_h, c):
    """Every text starts from zero. The state before the first step is given: h_0."""
    return rnn_forward(x, lengths, torch.zeros_like(h_0), V_x, V_h, c)


def no_memory(x, lengths, h_0, V_x, V_h, c):
    """Every step starts from h_0 again, so no token knows of the one before. The state that goes into step n is the one
    that came out of step n − 1."""
    states = torch.tanh(x @ V_x.T + (h_0 @ V_h.T)[:, None] + c)
    return _finish(torch.cat([h_0[:, None], states], dim=1), lengths)


def linear(x, lengths, h_0, V_x, V_h, c):
    """The states are not squashed: tanh is missing."""
    return _finish(_run(x, h_0, V_x, V_h, c, activation=lambda z: z), lengths)


def logistic(x, lengths, h_0, V_x, V_h, c):
    """The non-linearity is the logistic function, with values between 0 and 1. This network uses tanh."""
    return _finish(_run(x, h_0, V_x, V_h, c, activation=torch.sigmoid), lengths)


def no_bias(x, lengths, h_0, V_x, V_h, c):
    """The bias c is missing."""
    return rnn_forward(x, lengths, h_0, V_x, V_h, torch.zeros_like(c))


def bias_twice(x, lengths, h_0, V_x, V_h, c):
    """The bias was added twice. torch.nn.RNN has two of them, one beside each matrix; here c is already their sum."""
    return rnn_forward(x, lengths, h_0, V_x, V_h, 2 * c)


def bias_outside(x, lengths, h_0, V_x, V_h, c):
    """The bias was added after tanh. The non-linearity is applied to the whole sum."""
    return _finish(_run(x, h_0, V_x, V_h, torch.zeros_like(c), activation=lambda z: torch.tanh(z) + c), lengths)


def two_squashings(x, lengths, h_0, V_x, V_h, c):
    """tanh was applied to the part from x and to the part from h separately. It is applied once, to their sum."""
    states = [h_0]
    for n in range(x.shape[1]):
        states.append(torch.tanh(x[:, n] @ V_x.T + c) + torch.tanh(states[-1] @ V_h.T))
    return _finish(torch.stack(states, dim=1), lengths)


def recurrent_matrix_transposed(x, lengths, h_0, V_x, V_h, c):
    """V_h is transposed, which its square shape lets pass. The states are rows here: for a column you would write V_h h, and
    for a row?"""
    return rnn_forward(x, lengths, h_0, V_x, V_h.T, c)


def from_right_to_left(x, lengths, h_0, V_x, V_h, c):
    """The texts are read from right to left, padding first. Step n reads token n."""
    states = _run(x.flip(1), h_0, V_x, V_h, c)
    return _finish(states, lengths)


def time_first(x, lengths, h_0, V_x, V_h, c):
    """The numbers of the states are right, but time is the first axis. Here the batch comes first, as in x."""
    states, final = rnn_forward(x, lengths, h_0, V_x, V_h, c)
    return states.transpose(0, 1), final


def only_the_states(x, lengths, h_0, V_x, V_h, c):
    """The states are right. Return the final state of each text as well, as the second of two results."""
    return rnn_forward(x, lengths, h_0, V_x, V_h, c)[0]


def padding_read_as_zeros(x, lengths, h_0, V_x, V_h, c):
    """You set the padding of x to zero, but the short texts are still read to the last column. Even where x is 0, V_h and c
    change the state: what should the state of a text do behind its end?"""
    real = torch.arange(x.shape[1], device=x.device) < lengths[:, None]
    states = _run(x * real[:, :, None], h_0, V_x, V_h, c)
    return _mask(states[:, 1:], lengths), states[:, -1]


def sorted_without_their_starts(x, lengths, h_0, V_x, V_h, c):
    """You sorted the texts by their length, and brought the results back into the old order. But the texts start from each
    other's states: which of the inputs belong to one text, row by row, and which of them did you sort?"""
    order = lengths.argsort(descending=True, stable=True)
    states, final = rnn_forward(x[order], lengths[order], h_0, V_x, V_h, c)
    back = order.argsort()
    return states[back], final[back]


def cases(rng: random.Random) -> list[Case]:
    one = torch.ones(1, 1)
    return [
        public(
            "one neuron, two texts",
            *(torch.tensor([[[1.0], [0.0], [2.0]], [[0.5], [1.0], [9.0]]]), torch.tensor([3, 2]), torch.zeros(2, 1)),
            *(one, one / 2, torch.zeros(1)),
        ),
        public("lengths 4, 2 and 3 in five columns", *_network(rng, torch.tensor([4, 2, 3]), 5, 2, 3)),
        public("lengths 2 and 4 in four columns", *_network(rng, torch.tensor([2, 4]), 4, 3, 2)),
        hidden("every text fills its row", *_network(rng, torch.tensor([7, 7, 7]), 7, 3, 5)),
        hidden("texts of one token", *_network(rng, torch.tensor([1, 5, 1]), 5, 2, 7)),
        hidden("one text", *_network(rng, torch.tensor([rng.randint(3, 11)]), 11, 5, 2)),
        hidden("double precision", *_network(rng, torch.tensor([rng.randint(1, 6) for _ in range(5)]), 7, 3, 2, torch.float64)),
    ]


def _network(
    rng: random.Random, lengths: torch.Tensor, steps: int, width: int, hidden_size: int, dtype: torch.dtype = torch.float32
) -> list[torch.Tensor]:
    """Random texts, states and parameters. The padding holds numbers like any other."""
    x, h_0 = normal(rng, len(lengths), steps, width), 0.5 * normal(rng, len(lengths), hidden_size)
    V_x, V_h, c = normal(rng, hidden_size, width), 0.7 * normal(rng, hidden_size, hidden_size), 0.5 * normal(rng, hidden_size)
    return [x.to(dtype), lengths, *(tensor.to(dtype) for tensor in (h_0, V_x, V_h, c))]


EXERCISE = Exercise(
    chapter="ch04_rnn",
    minutes=20,
    difficulty=2,
    points=3,
    reference=rnn_forward,
    right=[text_by_text, with_one_matrix, with_a_torch_cell],
    wrong=[
        final_state_reads_padding,
        final_state_is_zero,
        states_not_zeroed,
        nothing_masked,
        last_state_repeated,
        one_step_too_far,
        one_step_too_few,
        final_before_last_step,
        trimmed_to_longest,
        states_before_the_step,
        starts_at_zero,
        no_memory,
        linear,
        logistic,
        no_bias,
        bias_twice,
        bias_outside,
        two_squashings,
        recurrent_matrix_transposed,
        from_right_to_left,
        time_first,
        only_the_states,
        padding_read_as_zeros,
        sorted_without_their_starts,
    ],
    cases=cases,
    ready=(*RNN, "lmcore"),
)
