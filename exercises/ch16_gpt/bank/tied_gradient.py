"""The gradient of tied embeddings (Press and Wolf 2017, section 3.1): a matrix that is used twice gets two gradients. A small
GPT-2 learns one step with the function."""

import random

import torch

from exercises.grader.exercise import Exercise, hidden, normal, public
from lmcore.check.run import Case


def tied_gradient(ids, states, read, written):
    as_output = written.flatten(0, 1).mT @ states.flatten(0, 1)
    as_input = torch.zeros_like(as_output)
    as_input.index_add_(0, ids.flatten(), read.flatten(0, 1))
    return as_input + as_output


# Right, written differently


def token_by_token(ids, states, read, written):
    gradient = states.new_zeros(written.shape[2], states.shape[2])
    for b, text in enumerate(ids.tolist()):
        for t, w in enumerate(text):
            gradient[w] += read[b, t]
            for v in range(len(gradient)):
                gradient[v] += written[b, t, v] * states[b, t]
    return gradient


def with_one_hot(ids, states, read, written):
    which = torch.nn.functional.one_hot(ids, written.size(-1)).to(read)
    return torch.einsum("btv,btc->vc", which, read) + torch.einsum("btv,btc->vc", written, states)


def by_the_chain_rule_of_torch(ids, states, read, written):
    """The matrix is 0; its gradient depends on what it is multiplied with, and not on its numbers."""
    with torch.enable_grad():
        E = torch.zeros(written.shape[2], states.shape[2]).to(states).requires_grad_()
        total = (E[ids] * read).sum() + ((states @ E.mT) * written).sum()
        return torch.autograd.grad(total, E)[0]


# Wrong: the docstring is the hint


def _output(states, written):
    return torch.einsum("btv,btc->vc", written, states)


def _input(ids, read, like):
    return torch.zeros_like(like).index_add(0, ids.flatten(), read.flatten(0, 1))


def only_as_input(ids, states, read, written):
    """This is the gradient of the matrix as what is read. It is also what the last states are multiplied with: what does a
    row of E get from the logits?"""
    return _input(ids, read, _output(states, written))


def only_as_output(ids, states, read, written):
    """This is the gradient of the matrix as what is written. The same matrix was also read: what does the row of a token get
    from the places where it stands?"""
    return _output(states, written)


def last_place_wins(ids, states, read, written):
    """Where a token occurs twice, its row has the gradient of the last place alone: an assignment to a row overwrites, also
    with +=, when the row is named twice. The gradients of all places add up."""
    first = torch.zeros_like(_output(states, written))
    first[ids.flatten()] = read.flatten(0, 1)
    return first + _output(states, written)


def mean_over_the_places(ids, states, read, written):
    """The gradients of the places of a token were averaged. A row that is used twice gets the sum: each use changes the
    loss."""
    as_output = _output(states, written)
    counts = torch.bincount(ids.flatten(), minlength=len(as_output)).clamp(min=1)
    return _input(ids, read, as_output) / counts[:, None].to(read) + as_output


def the_two_averaged(ids, states, read, written):
    """You took the mean of the two gradients. E is one matrix with two uses, and by the chain rule what they give is added."""
    return tied_gradient(ids, states, read, written) / 2


def the_two_subtracted(ids, states, read, written):
    """One gradient was taken from the other. By the chain rule the gradients of all uses of a number are added."""
    as_output = _output(states, written)
    return as_output - _input(ids, read, as_output)


def only_rows_that_were_read(ids, states, read, written):
    """Rows of tokens that do not occur in the texts have no gradient here. As an answer every token of the vocabulary takes
    part at every place, if only because it was not the right one."""
    seen = torch.zeros(written.shape[2]).to(read)
    seen[ids.flatten()] = 1
    return tied_gradient(ids, states, read, written) * seen[:, None]


def one_place_early(ids, states, read, written):
    """What was read at a place was added to the row of the token at the next place. `read` belongs to the token that stands at
    the same place in `ids`: what comes next is the matter of the logits."""
    as_output = _output(states, written)
    return _input(ids[:, 1:], read[:, :-1], as_output) + as_output


def states_one_place_early(ids, states, read, written):
    """The logits of a place were paired with the state of the place before. z_t is made of h_t, and of no other state."""
    as_output = torch.einsum("btv,btc->vc", written[:, 1:], states[:, :-1])
    return _input(ids, read, as_output) + as_output


def divided_by_the_places(ids, states, read, written):
    """The sum was divided by the number of places. If the loss is a mean, that is in `read` and `written` already: divide no
    more."""
    return tied_gradient(ids, states, read, written) / ids.numel()


def output_divided_by_the_places(ids, states, read, written):
    """The gradient as output was divided by the number of places. The two are gradients of the same loss, and are added as
    they are."""
    as_output = _output(states, written)
    return _input(ids, read, as_output) + as_output / ids.numel()


def written_added_up(ids, states, read, written):
    """Gradients of logits and states were each added up over all places, and then multiplied. The products come first: what
    h_t has to do with z_t is lost in the sums."""
    as_output = written.sum((0, 1))[:, None] * states.sum((0, 1))
    return _input(ids, read, as_output) + as_output


def reshaped_not_transposed(ids, states, read, written):
    """The logits' gradients were brought to the shape (V, B·T) by a reshape. It has the right shape, but all numbers keep
    their order in memory: those of one place, which belong to V different tokens, now fill one row. Which axes have to
    change places before the product?"""
    as_output = written.reshape(written.shape[2], -1) @ states.flatten(0, 1)
    return _input(ids, read, as_output) + as_output


def only_the_last_places(ids, states, read, written):
    """From the logits, only the last place of every text counts. A GPT predicts at every place, and every place teaches."""
    as_output = _output(states[:, -1:], written[:, -1:])
    return _input(ids, read, as_output) + as_output


def only_the_first_text(ids, states, read, written):
    """The gradient is that of the first text alone. All texts of the batch share the matrix."""
    return tied_gradient(ids[:1], states[:1], read[:1], written[:1])


def only_the_answers(ids, states, read, written):
    """Of the logits' gradient, each place counted for one token alone, the one that stands there. But each of the V logits
    of a place depends on a row of E."""
    which = torch.nn.functional.one_hot(ids, written.shape[2]).to(written)
    as_output = _output(states, written * which)
    return _input(ids, read, as_output) + as_output


def downhill(ids, states, read, written):
    """The sign is turned round. This is the direction of a step downhill; the gradient points uphill, and the optimiser does
    the rest."""
    return -tied_gradient(ids, states, read, written)


def transposed(ids, states, read, written):
    """The result has the shape (C, V). A gradient has the shape of what it belongs to, and E has a row for every token."""
    return tied_gradient(ids, states, read, written).T.contiguous()


def states_exchanged(ids, states, read, written):
    """The states and the gradients of what was read have changed places: h_t goes with the logits, and `read` goes to the rows
    of the tokens."""
    return tied_gradient(ids, read, states, written)


def two_gradients(ids, states, read, written):
    """You return two gradients. Tied, it is one matrix, and the optimiser wants one: their sum."""
    as_output = _output(states, written)
    return _input(ids, read, as_output), as_output


def cases(rng: random.Random) -> list[Case]:
    ids = torch.tensor([[0, 2, 0]])
    states = torch.tensor([[[1.0, 0.0], [2.0, 1.0], [0.0, 3.0]]])
    read = torch.tensor([[[1.0, 0.0], [0.0, 10.0], [0.0, 4.0]]])
    written = torch.tensor([[[0.0, 0.5, -0.5, 0.0], [-1.0, 0.0, 0.0, 1.0], [0.25, 0.25, -1.0, 0.5]]])
    return [
        public("one text of three tokens, by hand", ids, states, read, written),
        public("two texts", *_drawn(rng, 2, 4, 3, 5)),
        hidden("one token", *_drawn(rng, 1, 1, 3, 2)),
        hidden("a vocabulary of one", *_drawn(rng, 1, 3, 2, 1)),
        hidden("many texts", *_drawn(rng, 5, 7, 3, 11)),
        hidden("a token many times", *_drawn(rng, 3, 13, 5, 2)),
        hidden("double precision", *(x.double() if x.is_floating_point() else x for x in _drawn(rng, 3, 2, 4, 7))),
    ]


def _drawn(rng: random.Random, texts: int, length: int, width: int, size: int) -> list[torch.Tensor]:
    ids = torch.tensor([[rng.randrange(size) for _ in range(length)] for _ in range(texts)])
    return [ids, *(normal(rng, texts, length, n) for n in (width, width, size))]


EXERCISE = Exercise(
    chapter="ch16_gpt",
    minutes=20,
    difficulty=2,
    points=3,
    reference=tied_gradient,
    right=[token_by_token, with_one_hot, by_the_chain_rule_of_torch],
    wrong=[
        only_as_input,
        only_as_output,
        last_place_wins,
        mean_over_the_places,
        the_two_averaged,
        the_two_subtracted,
        only_rows_that_were_read,
        one_place_early,
        states_one_place_early,
        divided_by_the_places,
        output_divided_by_the_places,
        written_added_up,
        reshaped_not_transposed,
        only_the_last_places,
        only_the_first_text,
        only_the_answers,
        downhill,
        transposed,
        states_exchanged,
        two_gradients,
    ],
    cases=cases,
    probe="tied",
    atol=1e-5,
    ready=("lmcore",),
)
