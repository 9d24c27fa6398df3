"""One step of a GRU (Cho et al. 2014), in the order and the variant of ``torch.nn.GRU``: the reset gate multiplies the
product with h. The cell is swapped into a network of two layers."""

import random

import torch

from exercises.grader.exercise import Exercise, hidden, normal, public
from lmcore.check.ready import GRU
from lmcore.check.run import Case


def gru_cell(x, h, weight_ih, weight_hh, bias_ih, bias_hh):
    r_x, z_x, n_x = (x @ weight_ih.T + bias_ih).chunk(3, dim=1)
    r_h, z_h, n_h = (h @ weight_hh.T + bias_hh).chunk(3, dim=1)
    r = torch.sigmoid(r_x + r_h)
    z = torch.sigmoid(z_x + z_h)
    n = torch.tanh(n_x + r * n_h)
    return (1 - z) * n + z * h


# Right, written differently


def by_rows(x, h, weight_ih, weight_hh, bias_ih, bias_hh):
    size = h.shape[1]
    reset, update, new = slice(size), slice(size, 2 * size), slice(2 * size, None)

    def gate(rows):
        return (x @ weight_ih[rows].T + bias_ih[rows] + h @ weight_hh[rows].T + bias_hh[rows]).sigmoid()

    inner = gate(reset) * (h @ weight_hh[new].T + bias_hh[new])
    n = (x @ weight_ih[new].T + bias_ih[new] + inner).tanh()
    return torch.lerp(n, h, gate(update))


def text_by_text(x, h, weight_ih, weight_hh, bias_ih, bias_hh):
    rows = []
    for x_b, h_b in zip(x, h, strict=True):
        from_x = (weight_ih @ x_b + bias_ih).reshape(3, -1)
        from_h = (weight_hh @ h_b + bias_hh).reshape(3, -1)
        r, z = (from_x + from_h)[:2].sigmoid()
        n = (from_x[2] + r * from_h[2]).tanh()
        rows.append(n + z * (h_b - n))
    return torch.stack(rows)


def with_one_matrix_for_the_gates(x, h, weight_ih, weight_hh, bias_ih, bias_hh):
    split = 2 * h.shape[1]
    both = torch.cat([x, h], dim=1) @ torch.cat([weight_ih[:split], weight_hh[:split]], dim=1).T
    r, z = (1 / (1 + torch.exp(-(both + bias_ih[:split] + bias_hh[:split])))).chunk(2, dim=1)
    linear = torch.nn.functional.linear
    n = torch.tanh(linear(x, weight_ih[split:], bias_ih[split:]) + r * linear(h, weight_hh[split:], bias_hh[split:]))
    return n - z * n + z * h


# Wrong: the docstring is the hint


def _parts(x, h, weight_ih, weight_hh, bias_ih, bias_hh):
    """r, z, and the two parts of the candidate: from the input and from the state."""
    (r_x, z_x, n_x), (r_h, z_h, n_h) = (x @ weight_ih.T + bias_ih).chunk(3, 1), (h @ weight_hh.T + bias_hh).chunk(3, 1)
    return torch.sigmoid(r_x + r_h), torch.sigmoid(z_x + z_h), n_x, n_h


def _mixed(z, n, h):
    return (1 - z) * n + z * h


def update_gate_swapped(x, h, weight_ih, weight_hh, bias_ih, bias_hh):
    """z and 1 − z have changed places. Papers write it both ways; here, as in torch, z = 1 keeps the old state. Put z = 1 into
    your equation: what is left?"""
    r, z, n_x, n_h = _parts(x, h, weight_ih, weight_hh, bias_ih, bias_hh)
    return z * torch.tanh(n_x + r * n_h) + (1 - z) * h


def reset_and_update_swapped(x, h, weight_ih, weight_hh, bias_ih, bias_hh):
    """The reset gate and the update gate have changed places. The first block of rows belongs to r, the second to z."""
    z, r, n_x, n_h = _parts(x, h, weight_ih, weight_hh, bias_ih, bias_hh)
    return _mixed(z, torch.tanh(n_x + r * n_h), h)


def candidate_first(x, h, weight_ih, weight_hh, bias_ih, bias_hh):
    """You took the first block of rows for the candidate. The blocks stand in the order r, z, candidate: it comes last."""
    size = h.shape[1]
    turned = [torch.roll(part, -size, 0) for part in (weight_ih, weight_hh, bias_ih, bias_hh)]
    return gru_cell(x, h, *turned)


def rows_interleaved(x, h, weight_ih, weight_hh, bias_ih, bias_hh):
    """Every third number was given to the same gate. The gates lie in blocks: the first H of the 3H numbers are those of r,
    the next H those of z, the last H those of the candidate."""
    size = h.shape[1]
    order = torch.arange(3 * size, device=h.device).reshape(size, 3).T.flatten()
    return gru_cell(x, h, *(part[order] for part in (weight_ih, weight_hh, bias_ih, bias_hh)))


def reset_before_the_product(x, h, weight_ih, weight_hh, bias_ih, bias_hh):
    """The reset gate was applied to h before the matrix product, as in the first paper. Here, as in torch, it multiplies what
    comes out of the product, bias included. The two differ: r ⊙ (W h) scales rows of W, W (r ⊙ h) scales its columns."""
    r, z, n_x, _ = _parts(x, h, weight_ih, weight_hh, bias_ih, bias_hh)
    new = slice(2 * h.shape[1], None)
    return _mixed(z, torch.tanh(n_x + (r * h) @ weight_hh[new].T + bias_hh[new]), h)


def bias_outside_the_reset(x, h, weight_ih, weight_hh, bias_ih, bias_hh):
    """The reset gate multiplies the product with h, but not its bias. In the equation of the candidate r multiplies u_g: what
    is u_g made of?"""
    r, z, n_x, n_h = _parts(x, h, weight_ih, weight_hh, bias_ih, bias_hh)
    bias = bias_hh[2 * h.shape[1] :]
    return _mixed(z, torch.tanh(n_x + r * (n_h - bias) + bias), h)


def reset_on_everything(x, h, weight_ih, weight_hh, bias_ih, bias_hh):
    """The reset gate multiplies the whole sum, the part from the input included. It decides how much of the old state the
    candidate sees; the input always counts in full."""
    r, z, n_x, n_h = _parts(x, h, weight_ih, weight_hh, bias_ih, bias_hh)
    return _mixed(z, torch.tanh(r * (n_x + n_h)), h)


def reset_on_the_input(x, h, weight_ih, weight_hh, bias_ih, bias_hh):
    """The reset gate multiplies the part that comes from the input x. It belongs to the part that comes from h: to reset is to
    look away from the past."""
    r, z, n_x, n_h = _parts(x, h, weight_ih, weight_hh, bias_ih, bias_hh)
    return _mixed(z, torch.tanh(r * n_x + n_h), h)


def reset_after_the_tanh(x, h, weight_ih, weight_hh, bias_ih, bias_hh):
    """The reset gate multiplies the finished candidate. It works inside the tanh, on the part that comes from h."""
    r, z, n_x, n_h = _parts(x, h, weight_ih, weight_hh, bias_ih, bias_hh)
    return _mixed(z, r * torch.tanh(n_x + n_h), h)


def reset_on_the_old_state(x, h, weight_ih, weight_hh, bias_ih, bias_hh):
    """The reset gate multiplies the h of the last equation. There z alone decides how much of h is kept; the reset gate works
    inside the candidate."""
    r, z, n_x, n_h = _parts(x, h, weight_ih, weight_hh, bias_ih, bias_hh)
    return _mixed(z, torch.tanh(n_x + n_h), r * h)


def reset_missing(x, h, weight_ih, weight_hh, bias_ih, bias_hh):
    """The reset gate plays no part. It multiplies the part of the candidate that comes from h."""
    _, z, n_x, n_h = _parts(x, h, weight_ih, weight_hh, bias_ih, bias_hh)
    return _mixed(z, torch.tanh(n_x + n_h), h)


def update_for_reset(x, h, weight_ih, weight_hh, bias_ih, bias_hh):
    """The update gate stands in the candidate too. The candidate uses the reset gate r, which has rows of its own."""
    _, z, n_x, n_h = _parts(x, h, weight_ih, weight_hh, bias_ih, bias_hh)
    return _mixed(z, torch.tanh(n_x + z * n_h), h)


def candidate_alone(x, h, weight_ih, weight_hh, bias_ih, bias_hh):
    """You return the candidate. The new state is a mixture of it and the old state, with the shares 1 − z and z."""
    r, _, n_x, n_h = _parts(x, h, weight_ih, weight_hh, bias_ih, bias_hh)
    return torch.tanh(n_x + r * n_h)


def shares_above_one(x, h, weight_ih, weight_hh, bias_ih, bias_hh):
    """The candidate is added whole, though z of the old state is kept. The two shares of the mixture add up to 1: what is the
    share of the candidate?"""
    r, z, n_x, n_h = _parts(x, h, weight_ih, weight_hh, bias_ih, bias_hh)
    return torch.tanh(n_x + r * n_h) + z * h


def nothing_forgotten(x, h, weight_ih, weight_hh, bias_ih, bias_hh):
    """The old state is kept whole, and the candidate comes on top. The two shares of the mixture add up to 1: what is the
    share of h?"""
    r, z, n_x, n_h = _parts(x, h, weight_ih, weight_hh, bias_ih, bias_hh)
    return h + (1 - z) * torch.tanh(n_x + r * n_h)


def candidate_with_sigmoid(x, h, weight_ih, weight_hh, bias_ih, bias_hh):
    """The candidate went through σ, so it can only be positive. A gate says how much, and needs σ; the candidate says what:
    which function gives numbers between −1 and 1?"""
    r, z, n_x, n_h = _parts(x, h, weight_ih, weight_hh, bias_ih, bias_hh)
    return _mixed(z, torch.sigmoid(n_x + r * n_h), h)


def candidate_linear(x, h, weight_ih, weight_hh, bias_ih, bias_hh):
    """The candidate was used as it came out of the sum. Something squashes it to between −1 and 1 before it is mixed with h;
    without, the state could grow without bound."""
    r, z, n_x, n_h = _parts(x, h, weight_ih, weight_hh, bias_ih, bias_hh)
    return _mixed(z, n_x + r * n_h, h)


def gates_with_tanh(x, h, weight_ih, weight_hh, bias_ih, bias_hh):
    """The gates went through tanh. A gate is a share between 0 and 1: with z = −0.5, what would be the shares of the
    candidate and h?"""
    r, z, n_x, n_h = _parts(x, h, weight_ih, weight_hh, bias_ih, bias_hh)
    r, z = (torch.tanh(torch.logit(gate)) for gate in (r, z))
    return _mixed(z, torch.tanh(n_x + r * n_h), h)


def only_one_bias(x, h, weight_ih, weight_hh, bias_ih, bias_hh):
    """Only `bias_ih` was added. There are two biases, one beside each matrix, and in the candidate they stand in different
    places."""
    return gru_cell(x, h, weight_ih, weight_hh, bias_ih, 0 * bias_hh)


def biases_missing(x, h, weight_ih, weight_hh, bias_ih, bias_hh):
    """No bias was added. At x = 0 and h = 0 both your gates are ½, whatever the biases say."""
    return gru_cell(x, h, weight_ih, weight_hh, 0 * bias_ih, 0 * bias_hh)


def gates_from_the_input_alone(x, h, weight_ih, weight_hh, bias_ih, bias_hh):
    """The gates do not see the old state: the products of `weight_hh` are missing in them. What does each gate add before
    σ?"""
    gates = 2 * h.shape[1]
    without = torch.cat([0 * weight_hh[:gates], weight_hh[gates:]])
    return gru_cell(x, h, weight_ih, without, bias_ih, bias_hh)


def gates_without_the_state(x, h, weight_ih, weight_hh, bias_ih, bias_hh):
    """The gates do not see the old state: u_r and u_z are missing. What does each gate add before σ?"""
    _, _, n_x, n_h = _parts(x, h, weight_ih, weight_hh, bias_ih, bias_hh)
    r, z, _ = torch.sigmoid(x @ weight_ih.T + bias_ih).chunk(3, 1)
    return _mixed(z, torch.tanh(n_x + r * n_h), h)


def in_a_pair(x, h, weight_ih, weight_hh, bias_ih, bias_hh):
    """You return two tensors. A GRU has one state, and its output is that state: return h′ alone."""
    new = gru_cell(x, h, weight_ih, weight_hh, bias_ih, bias_hh)
    return new, new


def state_detached(x, h, weight_ih, weight_hh, bias_ih, bias_hh):
    """The step is right, and its gradient ends there: h was cut from the graph, by detach or by making a new tensor of its
    numbers. Inside a text the gradient has to run through every step; it is cut between two pieces of a long text."""
    return gru_cell(x, h.detach(), weight_ih, weight_hh, bias_ih, bias_hh)


def without_a_graph(x, h, weight_ih, weight_hh, bias_ih, bias_hh):
    """The step is right, but no gradient can flow through it: it was computed under no_grad, or through numbers taken out of
    their tensors. In a network this cell would never learn."""
    with torch.no_grad():
        return gru_cell(x, h, weight_ih, weight_hh, bias_ih, bias_hh)


def cases(rng: random.Random) -> list[Case]:
    return [
        public("one text, one unit", *_by_hand()),
        public("two texts, three units", *_random_cell(rng, 2, 5, 3)),
        public("three texts, two units", *_random_cell(rng, 3, 1, 2)),
        hidden("one text", *_random_cell(rng, 1, 3, 7)),
        hidden("as many of everything", *_random_cell(rng, 3, 3, 3)),
        hidden("double precision", *(part.double() for part in _random_cell(rng, 5, 2, 3))),
    ]


def _by_hand() -> tuple[torch.Tensor, ...]:
    """One unit whose sums are easy: with x = 0 and h = 1 they are −2 for r, 2 for z, and 1 + r·3 for the candidate."""
    weight_ih, weight_hh = torch.tensor([[1.0], [-1.0], [2.0]]), torch.tensor([[-1.0], [3.0], [4.0]])
    bias_ih, bias_hh = torch.tensor([-2.0, 0.0, 1.0]), torch.tensor([1.0, -1.0, -1.0])
    return torch.zeros(1, 1), torch.ones(1, 1), weight_ih, weight_hh, bias_ih, bias_hh


def _random_cell(rng: random.Random, batch: int, width: int, size: int) -> tuple[torch.Tensor, ...]:
    states = normal(rng, batch, width), 2 * normal(rng, batch, size)
    return *states, normal(rng, 3 * size, width), normal(rng, 3 * size, size), normal(rng, 3 * size), normal(rng, 3 * size)


EXERCISE = Exercise(
    chapter="ch06_lstm_gru",
    minutes=20,
    difficulty=2,
    points=3,
    reference=gru_cell,
    right=[by_rows, text_by_text, with_one_matrix_for_the_gates],
    wrong=[
        update_gate_swapped,
        reset_and_update_swapped,
        candidate_first,
        rows_interleaved,
        reset_before_the_product,
        bias_outside_the_reset,
        reset_on_everything,
        reset_on_the_input,
        reset_after_the_tanh,
        reset_on_the_old_state,
        reset_missing,
        update_for_reset,
        candidate_alone,
        shares_above_one,
        nothing_forgotten,
        candidate_with_sigmoid,
        candidate_linear,
        gates_with_tanh,
        only_one_bias,
        biases_missing,
        gates_from_the_input_alone,
        gates_without_the_state,
        in_a_pair,
        state_detached,
        without_a_graph,
    ],
    cases=cases,
    probe="stack",
    ready=(*GRU, "lmcore"),
)
