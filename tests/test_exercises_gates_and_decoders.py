"""The banks of chapters 6 and 7 ask for what the package computes: references beside ``lmcore``, in double precision."""

import pytest
import torch

import exercises
from lmcore.cells import GRUCell, LSTMCell
from lmcore.generate import beam
from lmcore.pairs import Pairs
from lmcore.seq2seq import translation_loss

B, T, C, H, V = 3, 7, 5, 2, 11
PARAMETERS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def drawn(*shape, seed=7):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def made(cell, **changed):
    torch.manual_seed(5)
    layer = cell(C, H).double().requires_grad_(False)
    for name, value in changed.items():
        getattr(layer, name).fill_(value)
    return layer


def test_lstm_cell_is_the_cell_of_the_package():
    layer, h, c = made(LSTMCell), drawn(B, H, seed=1), drawn(B, H, seed=2)
    given = exercises.get("lstm_cell").reference(drawn(B, C), h, c, *(getattr(layer, name) for name in PARAMETERS))
    torch.testing.assert_close(given, layer(drawn(B, C), (h, c)))


def test_gru_cell_is_the_cell_of_the_package():
    layer, h = made(GRUCell), drawn(B, H, seed=1)
    given = exercises.get("gru_cell").reference(drawn(B, C), h, *(getattr(layer, name) for name in PARAMETERS))
    torch.testing.assert_close(given, layer(drawn(B, C), h))


@pytest.mark.parametrize("recurrent", [0.0, 0.5])
def test_memory_left_is_the_gradient_of_a_cell_whose_gates_do_not_see_the_state(recurrent):
    """With W_hh = 0 nothing but the cell leads from step to step, and the product of the gates is the whole gradient."""
    layer, x, lengths = made(LSTMCell, weight_hh=recurrent), drawn(B, T, C), torch.tensor([7, 1, 4])
    left = torch.zeros(B, T, H, dtype=torch.float64)
    gates = torch.zeros(B, T, H, dtype=torch.float64)
    for b, n in enumerate(lengths.tolist()):
        h, c = torch.zeros(1, H).double(), torch.zeros(1, H).double()
        cells = []
        for t in range(n):
            sums = x[b : b + 1, t] @ layer.weight_ih.T + layer.bias_ih + h @ layer.weight_hh.T + layer.bias_hh
            gates[b, t] = sums.detach()[0, H : 2 * H].sigmoid()
            h, c = layer(x[b : b + 1, t], (h, c.requires_grad_()))
            cells.append(c)
        left[b, :n] = torch.cat(torch.autograd.grad(cells[-1].sum(), cells))
    given = exercises.get("memory_left").reference(gates, lengths)
    assert torch.allclose(given, left) == (recurrent == 0.0)


def batch_of_pairs():
    targets = [[4, 9, 5, 6], [8], [7, 10, 4]]
    (batch,) = list(Pairs([([3], words) for words in targets], 3, pad=0, start=1, end=2, shuffle=False, epochs=1))
    lengths = torch.tensor([len(words) for words in targets])
    padded = torch.tensor([words + [0] * (4 - len(words)) for words in targets])
    return batch, padded, lengths


def test_teacher_forcing_gives_the_batch_of_the_package():
    batch, padded, lengths = batch_of_pairs()
    inputs, targets = exercises.get("teacher_forcing").reference(padded, lengths, 1, 2, 0)
    assert torch.equal(inputs, batch.inputs)
    assert torch.equal(targets, batch.targets)


def test_masked_loss_is_the_loss_of_the_package():
    batch, _, _ = batch_of_pairs()
    logits = drawn(*batch.targets.shape, V)

    class Fixed(torch.nn.Module):
        def forward(self, sources, lengths, inputs):
            return logits

    torch.testing.assert_close(exercises.get("masked_loss").reference(logits, batch.targets), translation_loss(Fixed(), batch))


class Small:
    """A model that reads tokens and keeps a vector; one token ends a text."""

    def __init__(self, seed):
        self.read, self.turn, self.write = drawn(V, H, seed=seed), drawn(H, H, seed=seed + 1), drawn(H, V, seed=seed + 2)
        self.often = torch.zeros(V).index_fill(0, torch.tensor(1), 1.5).double()  # a text ends soon

    def step(self, tokens, state):
        state = torch.tanh(self.read[tokens] + state @ self.turn)
        return 2.0 * state @ self.write + self.often, state

    def select(self, state, rows):
        return state[rows]


@pytest.mark.parametrize("width", [1, 2, 5])
@pytest.mark.parametrize("seed", [23, 31, 41])
def test_beam_step_repeated_is_the_search_of_the_package(seed, width):
    start, end, most = 0, 1, 12
    model, hypotheses, scores, state = Small(seed), [[start]], drawn(1) * 0.0, drawn(1, H)
    (want,) = beam(model, state, torch.tensor([start]), width=width, end=end, max_length=most)
    for _ in range(most):
        logits, state = model.step(torch.tensor([tokens[-1] for tokens in hypotheses]), state)
        hypotheses, scores, state = exercises.get("beam_step").reference(hypotheses, scores, state, logits, width, end)
    found = [(tokens[1:], score) for tokens, score in zip(hypotheses, scores.tolist(), strict=True)]
    found.sort(key=lambda one: one[0][-1] != end)  # those that ended come first
    assert [tokens for tokens, _ in found] == [[*one.ids, *([end] if one.ended else [])] for one in want]
    torch.testing.assert_close([score for _, score in found], [one.log_prob for one in want])
    assert len(want) == width
