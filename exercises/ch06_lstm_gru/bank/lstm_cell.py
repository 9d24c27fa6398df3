"""One step of an LSTM (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000), in the order of
``torch.nn.LSTM``. The cell is swapped into a network of two layers."""

import random

import torch

from exercises.grader.exercise import Exercise, hidden, normal, public
from lmcore.check.ready import LSTM
from lmcore.check.run import Case


def lstm_cell(x, h, c, weight_ih, weight_hh, bias_ih, bias_hh):
    a = x @ weight_ih.T + bias_ih + h @ weight_hh.T + bias_hh
    i, f, g, o = a.chunk(4, dim=1)
    new_c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    new_h = torch.sigmoid(o) * torch.tanh(new_c)
    return new_h, new_c


# Right, written differently


def gate_by_gate(x, h, c, weight_ih, weight_hh, bias_ih, bias_hh):
    size = h.shape[1]

    def part(number):
        rows = slice(number * size, (number + 1) * size)
        return x @ weight_ih[rows].T + h @ weight_hh[rows].T + bias_ih[rows] + bias_hh[rows]

    i, f, o = part(0).sigmoid(), part(1).sigmoid(), part(3).sigmoid()
    c = f * c + i * part(2).tanh()
    return o * c.tanh(), c


def text_by_text(x, h, c, weight_ih, weight_hh, bias_ih, bias_hh):
    new_h, new_c = [], []
    for x_b, h_b, c_b in zip(x, h, c, strict=True):
        a = torch.cat([weight_ih, weight_hh], dim=1) @ torch.cat([x_b, h_b]) + (bias_ih + bias_hh)
        a = a.reshape(4, -1)
        c_b = a[1].sigmoid() * c_b + a[0].sigmoid() * a[2].tanh()
        new_c.append(c_b)
        new_h.append(a[3].sigmoid() * c_b.tanh())
    return torch.stack(new_h), torch.stack(new_c)


def with_exponentials(x, h, c, weight_ih, weight_hh, bias_ih, bias_hh):
    a = torch.nn.functional.linear(x, weight_ih, bias_ih) + torch.nn.functional.linear(h, weight_hh, bias_hh)
    i, f, g, o = a.unflatten(1, (4, h.shape[1])).unbind(1)
    i, f, o = (1 / (1 + torch.exp(-gate)) for gate in (i, f, o))
    c = torch.addcmul(f * c, i, 2 / (1 + torch.exp(-2 * g)) - 1)
    return o * (2 / (1 + torch.exp(-2 * c)) - 1), c


# Wrong: the docstring is the hint


def _parts(x, h, weight_ih, weight_hh, bias_ih, bias_hh):
    return (x @ weight_ih.T + bias_ih + h @ weight_hh.T + bias_hh).chunk(4, dim=1)


def _state(i, f, g, o, c):
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def input_and_forget_swapped(x, h, c, weight_ih, weight_hh, bias_ih, bias_hh):
    """The input gate and the forget gate have changed places: f now multiplies the candidate, and i the old cell. Check which
    gate each product in the equation of c′ belongs to, and that the first block of rows is i and the second f."""
    f, i, g, o = _parts(x, h, weight_ih, weight_hh, bias_ih, bias_hh)
    return _state(i, f, g, o, c)


def candidate_last(x, h, c, weight_ih, weight_hh, bias_ih, bias_hh):
    """The blocks of the candidate and of the output gate have changed places. The order i, f, o, g is found in some books;
    here the blocks of the weights stand in the order i, f, g, o."""
    i, f, o, g = _parts(x, h, weight_ih, weight_hh, bias_ih, bias_hh)
    return _state(i, f, g, o, c)


def forget_input_output_candidate(x, h, c, weight_ih, weight_hh, bias_ih, bias_hh):
    """You read the blocks in the order f, i, o, g, in which many papers write the equations. These weights keep the order
    i, f, g, o: which rows of `weight_ih` belong to which gate?"""
    f, i, o, g = _parts(x, h, weight_ih, weight_hh, bias_ih, bias_hh)
    return _state(i, f, g, o, c)


def rows_interleaved(x, h, c, weight_ih, weight_hh, bias_ih, bias_hh):
    """Every fourth number was given to the same gate. The gates lie in blocks: the first H of the 4H numbers are those of
    the input gate, the next H those of the forget gate, and so on."""
    a = torch.cat(_parts(x, h, weight_ih, weight_hh, bias_ih, bias_hh), dim=1)
    return _state(*(a[:, k::4] for k in range(4)), c)


def candidate_with_sigmoid(x, h, c, weight_ih, weight_hh, bias_ih, bias_hh):
    """The candidate g went through σ, so it can only be positive, and the cell could never count down. A gate says how
    much, and needs σ; the candidate says what: which function gives numbers between −1 and 1?"""
    i, f, g, o = _parts(x, h, weight_ih, weight_hh, bias_ih, bias_hh)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.sigmoid(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def gates_with_tanh(x, h, c, weight_ih, weight_hh, bias_ih, bias_hh):
    """The three gates went through tanh. A gate is the share that is let through, between 0 and 1: what would a forget
    gate of −0.5 do to the cell?"""
    i, f, g, o = _parts(x, h, weight_ih, weight_hh, bias_ih, bias_hh)
    c = torch.tanh(f) * c + torch.tanh(i) * torch.tanh(g)
    return torch.tanh(o) * torch.tanh(c), c


def candidate_linear(x, h, c, weight_ih, weight_hh, bias_ih, bias_hh):
    """The candidate g was used as it came out of the sum of matrix products. Something squashes it to between −1 and 1
    before it goes into the cell."""
    i, f, g, o = _parts(x, h, weight_ih, weight_hh, bias_ih, bias_hh)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * g
    return torch.sigmoid(o) * torch.tanh(c), c


def output_without_tanh(x, h, c, weight_ih, weight_hh, bias_ih, bias_hh):
    """The hidden state is the output gate times the cell itself. The cell can grow far beyond 1, h must not: what stands
    between c′ and the output gate in the last equation?"""
    i, f, g, o = _parts(x, h, weight_ih, weight_hh, bias_ih, bias_hh)
    _, c = _state(i, f, g, o, c)
    return torch.sigmoid(o) * c, c


def output_of_the_old_cell(x, h, c, weight_ih, weight_hh, bias_ih, bias_hh):
    """The hidden state was computed from the old cell. Which comes first, the update of the cell or the output, and which of
    c and c′ stands in the last equation?"""
    i, f, g, o = _parts(x, h, weight_ih, weight_hh, bias_ih, bias_hh)
    return torch.sigmoid(o) * torch.tanh(c), _state(i, f, g, o, c)[1]


def output_gate_missing(x, h, c, weight_ih, weight_hh, bias_ih, bias_hh):
    """The output gate plays no part: h′ is tanh of the cell. The gate o decides how much of it the rest of the network
    sees."""
    i, f, g, o = _parts(x, h, weight_ih, weight_hh, bias_ih, bias_hh)
    c = _state(i, f, g, o, c)[1]
    return torch.tanh(c), c


def input_gate_missing(x, h, c, weight_ih, weight_hh, bias_ih, bias_hh):
    """The candidate goes into the cell whole. The input gate i decides how much of it is written."""
    _, f, g, o = _parts(x, h, weight_ih, weight_hh, bias_ih, bias_hh)
    c = torch.sigmoid(f) * c + torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def nothing_forgotten(x, h, c, weight_ih, weight_hh, bias_ih, bias_hh):
    """The old cell is kept whole, as in the first LSTM of 1997. The forget gate f decides how much of c is kept: where does it
    stand in the equation of c′?"""
    i, _, g, o = _parts(x, h, weight_ih, weight_hh, bias_ih, bias_hh)
    c = c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def gates_tied(x, h, c, weight_ih, weight_hh, bias_ih, bias_hh):
    """The candidate is written with the share 1 − f, so that keeping and writing share one gate. That is close to a GRU; an
    LSTM has an input gate of its own, which you computed and did not use."""
    _, f, g, o = _parts(x, h, weight_ih, weight_hh, bias_ih, bias_hh)
    f = torch.sigmoid(f)
    c = f * c + (1 - f) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def cell_squashed(x, h, c, weight_ih, weight_hh, bias_ih, bias_hh):
    """The cell itself went through tanh before it was returned. Then every step multiplies the gradient along the cell by a
    slope below 1, which the cell was invented to avoid. The tanh belongs to h′ alone."""
    i, f, g, o = _parts(x, h, weight_ih, weight_hh, bias_ih, bias_hh)
    c = torch.tanh(torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g))
    return torch.sigmoid(o) * c, c


def forgets_the_hidden_state(x, h, c, weight_ih, weight_hh, bias_ih, bias_hh):
    """The forget gate multiplies h where it should multiply c. There are two states: the cell c carries the memory, the hidden
    state h is what the step before showed of it."""
    i, f, g, o = _parts(x, h, weight_ih, weight_hh, bias_ih, bias_hh)
    return _state(i, f, g, o, h)


def gates_read_the_cell(x, h, c, weight_ih, weight_hh, bias_ih, bias_hh):
    """`weight_hh` was multiplied by the cell c. The gates read the input x and the hidden state h."""
    i, f, g, o = _parts(x, c, weight_ih, weight_hh, bias_ih, bias_hh)
    return _state(i, f, g, o, c)


def only_one_bias(x, h, c, weight_ih, weight_hh, bias_ih, bias_hh):
    """Only `bias_ih` was added. There are two biases, one beside each matrix, and both are in the sum."""
    i, f, g, o = _parts(x, h, weight_ih, weight_hh, bias_ih, 0 * bias_hh)
    return _state(i, f, g, o, c)


def biases_missing(x, h, c, weight_ih, weight_hh, bias_ih, bias_hh):
    """No bias was added. At x = 0 and h = 0 all your gates are ½, whatever the biases say."""
    i, f, g, o = _parts(x, h, weight_ih, weight_hh, 0 * bias_ih, 0 * bias_hh)
    return _state(i, f, g, o, c)


def input_alone(x, h, c, weight_ih, weight_hh, bias_ih, bias_hh):
    """The term with `weight_hh` is missing, so the gates do not see the hidden state h. Every gate reads x and h."""
    i, f, g, o = _parts(x, 0 * h, weight_ih, weight_hh, bias_ih, bias_hh)
    return _state(i, f, g, o, c)


def cell_first(x, h, c, weight_ih, weight_hh, bias_ih, bias_hh):
    """Both tensors are right and their order is not: return h′ first and c′ second, as they came in."""
    return lstm_cell(x, h, c, weight_ih, weight_hh, bias_ih, bias_hh)[::-1]


def output_gate_for_h(x, h, c, weight_ih, weight_hh, bias_ih, bias_hh):
    """The first tensor you return is the output gate. The hidden state is the gate times tanh of the new cell."""
    i, f, g, o = _parts(x, h, weight_ih, weight_hh, bias_ih, bias_hh)
    return torch.sigmoid(o), _state(i, f, g, o, c)[1]


def only_the_hidden_state(x, h, c, weight_ih, weight_hh, bias_ih, bias_hh):
    """You return h′ alone. The next step needs the cell as well: return the pair (h′, c′)."""
    return lstm_cell(x, h, c, weight_ih, weight_hh, bias_ih, bias_hh)[0]


def state_detached(x, h, c, weight_ih, weight_hh, bias_ih, bias_hh):
    """The step is right, and its gradient ends there: h and c were cut from the graph, by detach or by making new tensors of
    their numbers. Inside a text the gradient has to run through every step; it is cut between two pieces of a long text."""
    return lstm_cell(x, h.detach(), c.detach(), weight_ih, weight_hh, bias_ih, bias_hh)


def without_a_graph(x, h, c, weight_ih, weight_hh, bias_ih, bias_hh):
    """The step is right, but no gradient can flow through it: it was computed under no_grad, or through numbers taken out of
    their tensors. In a network this cell would never learn."""
    with torch.no_grad():
        return lstm_cell(x, h, c, weight_ih, weight_hh, bias_ih, bias_hh)


def cases(rng: random.Random) -> list[Case]:
    return [
        public("one text, one unit", *_by_hand()),
        public("two texts, three units", *_random_cell(rng, 2, 5, 3)),
        public("three texts, two units", *_random_cell(rng, 3, 1, 2)),
        hidden("one text", *_random_cell(rng, 1, 3, 7)),
        hidden("as many of everything", *_random_cell(rng, 4, 4, 4)),
        hidden("double precision", *(part.double() for part in _random_cell(rng, 5, 2, 3))),
    ]


def _by_hand() -> tuple[torch.Tensor, ...]:
    """One unit whose input is 0 and whose gates are easy to look up: σ(0) = 0.5, σ(±2) = 0.88 and 0.12, tanh(1) = 0.76."""
    weight_ih, weight_hh = torch.tensor([[1.0], [-1.0], [2.0], [0.5]]), torch.tensor([[1.0], [3.0], [-1.0], [2.0]])
    bias_ih, bias_hh = torch.tensor([0.0, 1.0, 1.0, -1.0]), torch.tensor([-2.0, 1.0, 0.0, 1.0])
    return torch.zeros(1, 1), torch.zeros(1, 1), torch.tensor([[2.0]]), weight_ih, weight_hh, bias_ih, bias_hh


def _random_cell(rng: random.Random, batch: int, width: int, size: int) -> tuple[torch.Tensor, ...]:
    states = normal(rng, batch, width), normal(rng, batch, size), 2 * normal(rng, batch, size)
    return *states, normal(rng, 4 * size, width), normal(rng, 4 * size, size), normal(rng, 4 * size), normal(rng, 4 * size)


EXERCISE = Exercise(
    chapter="ch06_lstm_gru",
    minutes=20,
    difficulty=1,
    points=3,
    reference=lstm_cell,
    right=[gate_by_gate, text_by_text, with_exponentials],
    wrong=[
        input_and_forget_swapped,
        candidate_last,
        forget_input_output_candidate,
        rows_interleaved,
        candidate_with_sigmoid,
        gates_with_tanh,
        candidate_linear,
        output_without_tanh,
        output_of_the_old_cell,
        output_gate_missing,
        input_gate_missing,
        nothing_forgotten,
        gates_tied,
        cell_squashed,
        forgets_the_hidden_state,
        gates_read_the_cell,
        only_one_bias,
        biases_missing,
        input_alone,
        cell_first,
        output_gate_for_h,
        only_the_hidden_state,
        state_detached,
        without_a_graph,
    ],
    cases=cases,
    probe="stack",
    ready=(*LSTM, "lmcore"),
)
