"""Filters leave the distributions that Hugging Face's processors leave, and what is drawn comes as often as it should."""

import importlib
import math

import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor

from lmcore.generate import filtered, greedy, repetition_penalty, sample, temperature, top_k, top_p

B, V, N = 7, 23, 5
INF = math.inf


@pytest.fixture(scope="module")
def processors():
    pytest.importorskip("transformers", reason="the oracle, transformers, is not installed")
    return importlib.import_module("transformers.generation.logits_process")


def random_logits(seed: int) -> Tensor:
    return 3 * torch.randn(B, V, generator=torch.Generator().manual_seed(seed))


def many_logits() -> dict[str, Tensor]:
    """Random ones and those that are awkward: ties, no spread at all, forbidden tokens, extremes of the number format."""
    found = {f"random {seed}": random_logits(seed) for seed in range(5)}
    found["double"] = random_logits(7).double()
    found["ties"] = random_logits(11).round()
    found["pairs of ties"] = random_logits(13).repeat_interleave(2, dim=1)[:, :V]
    found["all alike"] = torch.zeros(B, V)
    forbidden = random_logits(17)
    forbidden[:, ::3] = -INF
    found["forbidden"] = forbidden
    one_left = torch.full((B, V), -INF)
    one_left[:, 4] = -2.0
    found["one left"] = one_left
    found["huge"] = random_logits(19) * 1e30
    found["tiny"] = random_logits(23) * 1e-30
    found["steep"] = 100 * random_logits(29)
    return found


LOGITS = many_logits()
READ = torch.randint(V, (B, N), generator=torch.Generator().manual_seed(31))
READ[:, 1] = READ[:, 0]  # the same token twice counts once


def same(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    shares = ours.double().softmax(1)
    assert torch.isfinite(shares).all()
    torch.testing.assert_close(shares.sum(1), torch.ones(len(ours), dtype=torch.double))


@pytest.mark.parametrize("kind", LOGITS)
def test_the_filters_are_those_of_hugging_face(processors, kind):
    logits = LOGITS[kind]
    before = logits.clone()
    for value in (0.1, 0.7, 1.0, 2.5):
        if kind != "huge" or value >= 1:  # there the quotient is no number of this format any more
            same(temperature(logits, value), processors.TemperatureLogitsWarper(value)(READ, logits))
    for k in (1, 2, 5, V, V + 10):
        same(top_k(logits, k), processors.TopKLogitsWarper(k)(READ, logits))
    for p in (1e-6, 0.1, 0.5, 0.9, 0.999, 1.0):
        same(top_p(logits, p), processors.TopPLogitsWarper(p)(READ, logits))
    for penalty in (0.5, 1.0, 1.2, 3.0):
        same(repetition_penalty(logits, READ, penalty), processors.RepetitionPenaltyLogitsProcessor(penalty)(READ, logits))
    assert torch.equal(logits, before), "a filter changed its argument"


@pytest.mark.parametrize("kind", [kind for kind in LOGITS if kind != "huge"])
def test_a_row_of_filters_is_hugging_face_s_row(processors, kind):
    logits = LOGITS[kind]
    theirs = processors.LogitsProcessorList(
        [
            processors.RepetitionPenaltyLogitsProcessor(1.3),
            processors.TemperatureLogitsWarper(0.8),
            processors.TopKLogitsWarper(11),
            processors.TopPLogitsWarper(0.85),
        ]
    )
    ours = filtered(logits, READ, temperature=0.8, top_k=11, top_p=0.85, repetition=1.3)
    same(ours, theirs(READ, logits))
    assert torch.equal(filtered(logits), logits)


@pytest.mark.parametrize("seed", range(5))
def test_the_nucleus_by_its_definition(seed):
    """The shortest list of the most probable tokens that reaches p, found by adding up one by one."""
    logits = random_logits(100 + seed).double()
    for p in (0.2, 0.55, 0.9):
        for row, kept in zip(logits.softmax(1).tolist(), torch.isfinite(top_p(logits, p)).tolist(), strict=True):
            nucleus, total = set(), 0.0
            for token in sorted(range(V), key=row.__getitem__, reverse=True):
                if total >= p:
                    break
                nucleus.add(token)
                total += row[token]
            assert {token for token in range(V) if kept[token]} == nucleus


def test_a_penalty_lowers_whatever_sign_a_logit_has():
    logits = torch.tensor([[2.0, -2.0, 1.0, -1.0]])
    found = repetition_penalty(logits, torch.tensor([[0, 1, 1]]), 2.0)
    assert found.tolist() == [[1.0, -4.0, 1.0, -1.0]]


def test_a_temperature_near_zero_leaves_the_best_token():
    logits = random_logits(3)
    torch.testing.assert_close(temperature(logits, 1e-4).softmax(1).argmax(1), logits.argmax(1))
    assert (temperature(logits, 1e-4).softmax(1).max(1).values > 0.999).all()
    assert (temperature(logits, 1e4).softmax(1) - 1 / V).abs().max() < 1e-3


# ---------------------------------------------------------------- what is drawn


class Chain:
    """A Markov chain: the logits of the next token are a row of a table, the state counts the steps."""

    def __init__(self, size: int, seed: int):
        self.table = torch.randn(size, size, generator=torch.Generator().manual_seed(seed), dtype=torch.double)

    def step(self, tokens, state):
        return self.table[tokens], state

    def select(self, state, rows):
        return state[rows]


HOW = [
    {},
    {"temperature": 0.6},
    {"temperature": 1.7},
    {"top_k": 3},
    {"top_p": 0.7},
    {"repetition": 1.5},
    {"temperature": 1.4, "top_k": 4, "top_p": 0.8, "repetition": 1.2},
]


@pytest.mark.parametrize("how", HOW, ids=str)
def test_pairs_of_tokens_come_as_often_as_their_probability_says(how):
    size, rows, start, never = 7, 10_000, 6, (5,)
    chain = Chain(size, 1)
    generator = torch.Generator().manual_seed(2)
    first, state = torch.full((rows,), start), torch.zeros(rows)
    texts = sample(chain, state, first, generator=generator, end=(), max_length=2, never=never, **how)

    expected = torch.zeros(size, size, dtype=torch.double)
    banned = chain.table.clone()
    banned[:, list(never)] = -INF
    one = filtered(banned[start][None], torch.tensor([[start]]), **how).softmax(1)[0]
    for token in range(size):
        read = torch.tensor([[start, token]])
        expected[token] = one[token] * filtered(banned[token][None], read, **how).softmax(1)[0]
    seen = torch.zeros(size, size, dtype=torch.double)
    plain = banned.log_softmax(1)
    for number, text in enumerate(texts):
        assert not text.ended
        seen[text.ids] += 1
        if number < 100:
            assert text.score == pytest.approx(math.log(expected[text.ids]))
            assert text.log_prob == pytest.approx(float(plain[start, text.ids[0]] + plain[text.ids]))
    assert (seen[expected == 0] == 0).all(), "a token was drawn that a filter forbids"
    often = rows * expected >= 5  # the rest counts as one: χ² wants some of every kind
    assert often.sum() >= 5
    counts = torch.cat([seen[often], seen[~often].sum()[None]])
    wanted = rows * torch.cat([expected[often], expected[~often].sum()[None]])
    assert chisquare(counts[wanted > 0], wanted[wanted > 0]).pvalue > 1e-4


def test_the_test_of_frequencies_notices_another_distribution():
    chain = Chain(7, 1)
    texts = sample(
        chain, torch.zeros(20_000), torch.full((20_000,), 6), generator=torch.Generator().manual_seed(2), end=(), max_length=1,
        temperature=1.2,
    )  # fmt: skip
    seen = torch.bincount(torch.tensor([text.ids[0] for text in texts]), minlength=7)
    assert chisquare(seen, 20_000 * chain.table[6].softmax(0)).pvalue < 1e-4


def test_the_same_generator_draws_the_same_and_the_number_of_rows_is_free():
    chain = Chain(7, 3)

    def run(seeds, rows):
        sources = [torch.Generator().manual_seed(seed) for seed in seeds]
        first = torch.tensor(rows)
        found = sample(chain, torch.zeros(len(rows)), first, generator=sources, end=0, max_length=9, top_p=0.95)
        return [text.ids for text in found]

    together = run([4, 5, 6], [1, 2, 3])
    assert together == [run([4], [1])[0], run([5], [2])[0], run([6], [3])[0]]
    assert len(set(map(len, together))) > 1, "the test wants texts of different lengths"
    one = [
        sample(chain, torch.zeros(5), torch.ones(5).long(), generator=torch.Generator().manual_seed(seed), end=0, max_length=9)
        for seed in (1, 1, 2)
    ]
    assert one[0] == one[1] != one[2]


def test_greedy_with_a_penalty_takes_the_best_of_the_penalised():
    chain = Chain(7, 5)
    (found,) = greedy(chain, torch.zeros(1), torch.tensor([2]), end=(), max_length=6, repetition=1.8, never=(4,))
    read, log_prob = [2], 0.0
    for _ in range(6):
        row = chain.table[read[-1]].clone()
        row[4] = -INF
        after = [(x / 1.8 if x > 0 else x * 1.8) if i in read else x for i, x in enumerate(row.tolist())]
        log_prob += float(row.log_softmax(0)[max(range(7), key=after.__getitem__)])
        read.append(max(range(7), key=after.__getitem__))
    assert list(found.ids) == read[1:]
    assert found.log_prob == pytest.approx(log_prob)
    (plain,) = greedy(chain, torch.zeros(1), torch.tensor([2]), end=(), max_length=6, never=(4,))
    assert plain.ids != found.ids


# ---------------------------------------------------------------- bad input


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda z: temperature(z, 0), "temperature=0 is not allowed"),
        (lambda z: temperature(z, INF), "temperature=inf"),
        (lambda z: temperature(z[0], 1.0), r"one row for each text, \(B, V\)"),
        (lambda z: temperature(z.long(), 1.0), "torch.int64"),
        (lambda z: top_k(z, 0), "top_k=0"),
        (lambda z: top_k(z, 2.0), r"top_k=2\.0"),
        (lambda z: top_p(z, 0), "top_p=0 is not allowed"),
        (lambda z: top_p(z, 1.1), r"top_p=1\.1"),
        (lambda z: top_p([1.0], 0.5), "a list"),
        (lambda z: repetition_penalty(z, READ, -1.0), r"repetition_penalty=-1\.0"),
        (lambda z: repetition_penalty(z, READ[:2], 1.1), "one row for each of 7"),
        (lambda z: repetition_penalty(z, [1], 1.1), "a list"),
        (lambda z: filtered(z, repetition=1.1), "needs read"),
    ],
)
def test_what_a_filter_cannot_use_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(random_logits(0))


@pytest.mark.usefixtures("unchecked")
def test_generators_must_fit_the_rows():
    for generator in (None, 3, [torch.Generator()], [torch.Generator(), 4]):
        with pytest.raises(ValueError, match="one for each of 2 rows"):
            sample(Chain(7, 0), torch.zeros(2), torch.ones(2).long(), generator=generator, end=0, max_length=3)
