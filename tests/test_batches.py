"""Every token is dealt exactly as often as promised, every draw follows its distribution, every iterator resumes."""

import itertools
from collections import Counter

import numpy as np
import pytest
import torch
from scipy import stats

from lmcore.batches import IGNORE, Contexts, Lanes, Padded, Windows
from lmcore.skipgrams import SkipGrams, noise_distribution

PAD, START, END = 0, 1, 2
TEXTS = [[3, 4, 5, 6, 7], [8], [], [9, 10, 11], [12, 13, 14, 15, 16, 17, 18]]
STREAM = list(range(100, 100 + 61))


def every_kind(**how):
    yield Windows(STREAM, 7, 3, **how)
    yield Padded(TEXTS, 2, pad=PAD, start=START, end=END, **how)
    yield Contexts(TEXTS, 3, 5, start=START, end=END, **how)
    yield SkipGrams(TEXTS, 5, vocab_size=19, window=3, negatives=2, subsample=0.05, **how)
    yield Lanes(STREAM, 7, 2, **how)


def flatten(batch):
    return [tensor.tolist() for tensor in batch]


# ---------------------------------------------------------------- what all have in common


@pytest.mark.parametrize("kind", range(5))
@pytest.mark.parametrize("taken", [0, 1, 3, 4, 11])
def test_a_resumed_iterator_goes_on_where_the_first_one_was(kind, taken):
    first, second = (list(every_kind(seed=5))[kind] for _ in range(2))
    for _ in range(taken):
        next(first)
    second.load_state_dict(first.state_dict())
    assert [flatten(next(first)) for _ in range(9)] == [flatten(next(second)) for _ in range(9)]


@pytest.mark.parametrize("kind", range(5))
def test_the_seed_decides_the_order_and_every_epoch_has_its_own(kind):
    def epochs(seed):
        return [flatten(b) for b in itertools.islice(list(every_kind(seed=seed))[kind], 40)]

    assert epochs(1) == epochs(1)
    assert epochs(1) != epochs(2)
    one = [flatten(b) for b in list(every_kind(seed=1, epochs=1))[kind]]
    two = [flatten(b) for b in list(every_kind(seed=1, epochs=2))[kind]]
    assert two[: len(one)] == one
    assert two[len(one) :] != one


@pytest.mark.parametrize("kind", range(5))
def test_a_finite_iterator_ends_and_stays_ended(kind):
    source = list(every_kind(epochs=2))[kind]
    assert len(list(source)) >= 4
    assert list(source) == []


def test_a_state_of_another_seed_or_batch_size_is_refused():
    state = Windows(STREAM, 7, 3, seed=1).state_dict()
    with pytest.raises(ValueError, match="seed=1"):
        Windows(STREAM, 7, 3, seed=2).load_state_dict(state)
    with pytest.raises(ValueError, match="batch_size=3"):
        Windows(STREAM, 7, 5, seed=1).load_state_dict(state)


# ---------------------------------------------------------------- windows


@pytest.mark.parametrize("size", [2, 7, 8, 9, 15, 16, 61])
def test_in_order_every_token_but_the_first_is_a_target_once(size):
    stream, inputs, targets = STREAM[:size], [], []
    for x, y in Windows(stream, 7, 3, shuffle=False, epochs=1):
        assert x.shape == y.shape
        assert x.shape[1] == 7
        inputs += x[y != IGNORE].tolist()
        targets += y[y != IGNORE].tolist()
    assert inputs == stream[:-1]
    assert targets == stream[1:]


@pytest.mark.parametrize("size", [8, 9, 14, 15, 16, 61])
def test_random_windows_do_not_overlap_and_every_offset_comes_up(size):
    starts = Counter()
    for epoch in range(200):
        seen = []
        for x, y in Windows(STREAM[:size], 7, 3, epochs=1, seed=epoch):
            assert torch.equal(x[:, 1:], y[:, :-1])
            assert torch.equal(y, x + 1)
            seen += x.flatten().tolist()
        assert len(set(seen)) == len(seen) == 7 * ((size - 1 - (min(seen) - 100)) // 7)
        starts[min(seen) - 100] += 1
    assert set(starts) == set(range(min(7, size - 7)))


# ---------------------------------------------------------------- lanes


@pytest.mark.parametrize("lanes", [1, 2, 3, 5])
@pytest.mark.parametrize("size", [2, 6, 7, 8, 15, 16, 29, 61])
def test_in_order_the_lanes_side_by_side_are_the_stream_and_every_target_comes_once(size, lanes):
    stream, rows = STREAM[:size], [[] for _ in range(lanes)]
    for number, (x, y, first) in enumerate(Lanes(stream, 7, lanes, shuffle=False, epochs=1)):
        assert x.shape == y.shape == (lanes, 7)
        assert bool(first) == (number == 0)
        assert (y != IGNORE).any()
        for row, inputs, targets in zip(rows, x, y, strict=True):
            real = targets != IGNORE
            assert torch.equal(targets[real], inputs[real] + 1)
            assert (real[1:] <= real[:-1]).all()  # once a lane has ended it does not begin again
            row += inputs[real].tolist()
    assert sum(rows, []) == stream[:-1]  # noqa: RUF017
    assert all(len(row) == -(-(size - 1) // lanes) for row in rows[: (size - 1) // -(-(size - 1) // lanes)])


def test_a_lane_goes_on_where_it_stopped_and_passes_begin_everywhere_in_the_first_piece():
    begins = Counter()
    for seed in range(60):
        source, last = Lanes(STREAM, 7, 3, seed=seed, epochs=3), None
        for x, y, first in source:
            if first:
                begins[int(x[0, 0]) - 100] += 1
            else:
                goes_on = y[:, 0] != IGNORE
                assert torch.equal(x[goes_on, 0], last[goes_on] + 1)
            last = x[:, -1]
    assert set(begins) == set(range(7))


# ---------------------------------------------------------------- whole texts


def test_padded_texts_come_out_as_they_went_in():
    dealt = {}
    for batch in Padded(TEXTS, 2, pad=PAD, start=START, end=END, epochs=1, seed=3):
        assert batch.inputs.shape == batch.targets.shape == batch.mask.shape
        assert batch.inputs.shape[1] == batch.lengths.max()
        for x, y, length in zip(batch.inputs, batch.targets, batch.lengths, strict=True):
            assert (x[length:] == PAD).all()
            assert (y[length:] == IGNORE).all()
            assert x[0] == START
            assert y[length - 1] == END
            assert torch.equal(x[1:length], y[: length - 1])
            dealt[tuple(x[1:length].tolist())] = int(length)
        assert torch.equal(batch.mask.sum(1), batch.lengths)
    assert dealt == {tuple(text): len(text) + 1 for text in TEXTS}


def test_contexts_are_the_loop_over_whole_texts():
    n, expected = 3, []
    for text in TEXTS:
        padded = [START] * n + text + [END]
        expected += [(padded[i - n : i], padded[i]) for i in range(n, len(padded))]
    for shuffle in (False, True):
        found = [
            (c, t)
            for contexts, targets in Contexts(TEXTS, n, 5, start=START, end=END, epochs=1, shuffle=shuffle)
            for c, t in zip(contexts.tolist(), targets.tolist(), strict=True)
        ]
        assert (sorted(found) if shuffle else found) == (sorted(expected) if shuffle else expected)


# ---------------------------------------------------------------- skip-grams


def test_with_radius_one_the_pairs_are_the_neighbours_and_none_crosses_a_text():
    pairs = Counter()
    for centres, words in SkipGrams(TEXTS, 5, vocab_size=19, window=1, negatives=2, subsample=None, epochs=1):
        assert words.shape == (len(centres), 3)
        pairs.update(zip(centres.tolist(), words[:, 0].tolist(), strict=True))
    expected = Counter()
    for text in TEXTS:
        expected.update(itertools.pairwise(text))
        expected.update(zip(text[1:], text, strict=False))
    assert pairs == expected


def test_a_neighbour_at_distance_d_is_paired_with_probability_one_minus_d_less_one_over_window():
    window, size = 5, 40_000
    source = SkipGrams([list(range(size))], size, vocab_size=size, window=window, negatives=1, subsample=None, epochs=1)
    distances = Counter()
    for centres, words in source:
        distances.update((words[:, 0] - centres).tolist())
    assert set(distances) == {d for d in range(-window, window + 1) if d}
    for d, count in distances.items():
        expected = (size - abs(d)) * (window + 1 - abs(d)) / window
        assert abs(count - expected) <= 5 * np.sqrt(size) / 2, d


def test_frequent_words_are_dropped_as_mikolov_has_it_and_gaps_close():
    rng, threshold = np.random.default_rng(0), 0.02
    text = rng.choice(4, p=[0.7, 0.2, 0.09, 0.01], size=60_000)
    source = SkipGrams([text], 1000, vocab_size=5, window=1, negatives=1, subsample=threshold, epochs=1)
    centres = np.concatenate([c.numpy() for c, _ in source])
    frequency = np.bincount(text) / len(text)
    kept = len(text) * np.bincount(centres) / 2 / len(text)  # each occurrence that is left has two neighbours
    expected = len(text) * frequency * np.minimum(1, np.sqrt(threshold / frequency))
    assert np.abs(kept - expected).max() < 5 * np.sqrt(expected.max())
    assert np.abs(kept / expected - 1).max() < 0.03


def test_noise_words_follow_counts_to_the_three_quarters():
    counts = np.array([0, 50, 0, 7, 1, 900, 0])
    text = np.repeat(np.arange(7), counts)
    source = SkipGrams([np.random.default_rng(1).permutation(text)], 211, vocab_size=7, negatives=13, subsample=None, epochs=1)
    drawn = np.bincount(np.concatenate([words[:, 1:].flatten().numpy() for _, words in source]), minlength=7)
    p = counts**0.75 * (counts > 0)
    p = p / p.sum()
    assert (drawn[p == 0] == 0).all()
    assert stats.chisquare(drawn[p > 0], drawn.sum() * p[p > 0]).pvalue > 1e-4
    assert np.allclose(source.noise, p)
    assert np.allclose(noise_distribution(counts, power=0.0), (counts > 0) / 4)


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Windows([5], 1, 1, shuffle=False), "at least 2 ids; got 1"),
        (lambda: Windows(STREAM, 61, 1), "at least 62 ids; got 61"),
        (lambda: Windows(STREAM, 0, 1), "length=0"),
        (lambda: Windows(STREAM, 7, 0), "batch_size=0"),
        (lambda: Windows(STREAM, 7, 1, epochs=0), "epochs=0"),
        (lambda: Windows(STREAM, 7, 1, seed=-1), "seed=-1"),
        (lambda: Windows([[1, 2], [3]], 1, 1), "unequal length"),
        (lambda: Windows(np.ones(9), 1, 1), "float64"),
        (lambda: Windows([3, -1, 4], 1, 1), "at least 0"),
        (lambda: Windows("to be", 1, 1), "encode"),
        (lambda: Lanes([5], 1, 1, shuffle=False), "at least 2 ids; got 1"),
        (lambda: Lanes(STREAM, 61, 1), "at least 62 ids; got 61"),
        (lambda: Lanes(STREAM, 0, 1), "length=0"),
        (lambda: Lanes(STREAM, 7, 0), "batch_size=0"),
        (lambda: Padded([], 1, pad=0, start=1, end=2), "empty"),
        (lambda: Padded(["to be"], 1, pad=0, start=1, end=2), "encode"),
        (lambda: Contexts(TEXTS, 0, 1, start=1, end=2), "context=0"),
        (lambda: SkipGrams(TEXTS, 1, vocab_size=18), "holds? id 18"),
        (lambda: SkipGrams([[3], [4], []], 1, vocab_size=5), "two words"),
        (lambda: SkipGrams(TEXTS, 1, vocab_size=19, window=0), "window=0"),
        (lambda: SkipGrams(TEXTS, 1, vocab_size=19, negatives=0), "negatives=0"),
        (lambda: SkipGrams(TEXTS, 1, vocab_size=19, subsample=0.0), "subsample=0.0"),
        (lambda: next(SkipGrams([[3, 4]], 1, vocab_size=5, subsample=1e-12)), "raise subsample"),
        (lambda: noise_distribution(np.zeros(3, dtype=int)), "at least one positive"),
        (lambda: noise_distribution(np.array([1, -1])), "non-negative"),
    ],
)
def test_bad_input_is_refused_with_what_was_given(make, message):
    with pytest.raises(ValueError, match=message):
        make()
