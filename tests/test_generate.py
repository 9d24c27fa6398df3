"""Greedy and beam search equal plain searches that compute everything anew, and a wide beam finds the true best."""

import itertools
import math

import pytest
import torch
from torch import nn

from lmcore.generate import Hypothesis, allowed_log_probs, beam, greedy, length_normalizer, length_power

V, END, FIRST = 5, 1, 0
ROWS = 7


class Small(nn.Module):
    """A recurrent model over five tokens whose rows differ by a context; its state is the hidden vector."""

    def __init__(self, seed: int, sharpness: float = 1.0):
        super().__init__()
        torch.manual_seed(seed)
        self.read, self.cell, self.write = nn.Embedding(V, 3), nn.RNNCell(3, 7), nn.Linear(7, V)
        for parameter in self.parameters():
            nn.init.normal_(parameter)  # wide enough for the texts to differ
        self.sharpness = sharpness
        self.double()
        self.steps = 0

    def step(self, tokens, state):
        self.steps += len(tokens)
        state = self.cell(self.read(tokens), state)
        return self.sharpness * self.write(state), state

    def select(self, state, rows):
        return state[rows]

    def log_probs(self, ids, context, never=()):
        """log q(w | context, ⟨first⟩ ids) from the very beginning: no state is kept, nothing is shared."""
        state = context[None]
        for token in (FIRST, *ids):
            state = self.cell(self.read(torch.tensor([token])), state)
        logits = self.sharpness * self.write(state)[0]
        values = [-math.inf if i in never else x for i, x in enumerate(logits.tolist())]
        total = math.log(sum(math.exp(x) for x in values))
        return [x - total for x in values]


@pytest.fixture(params=[0, 1, 5])  # seeds whose texts end at different lengths
def model(request):
    return Small(request.param)


def contexts(rows: int = ROWS) -> torch.Tensor:
    return torch.randn(rows, 7, dtype=torch.double, generator=torch.Generator().manual_seed(11))


def first(rows: int = ROWS) -> torch.Tensor:
    return torch.full((rows,), FIRST)


@torch.no_grad()
def naive_greedy(model, context, max_length, never=()):
    ids, total = (), 0.0
    while len(ids) < max_length:
        scores = model.log_probs(ids, context, never)
        token = max(range(V), key=scores.__getitem__)
        total += scores[token]
        if token == END:
            return ids, total, True
        ids += (token,)
    return ids, total, False


@torch.no_grad()
def naive_beam(model, context, width, max_length, alpha=0.0, never=(), refill=False):
    """Every hypothesis of every step scored from the beginning; the whole list sorted; nothing ends early."""
    open_, complete, cut = [((), 0.0)], [], []
    for length in range(1, max_length + 1):
        extended = []
        for ids, before in open_:
            for token, log_prob in enumerate(model.log_probs(ids, context, never)):
                if log_prob > -math.inf:
                    extended.append(((*ids, token), before + log_prob))
        extended.sort(key=lambda hypothesis: -hypothesis[1])
        kept = extended[:width] if refill else extended[: width - len(complete)]
        norm = ((5 + length) ** alpha) / (6**alpha)
        complete += [(ids[:-1], total, True, total / norm) for ids, total in kept if ids[-1] == END]
        going = [(ids, total) for ids, total in (extended if refill else kept) if ids[-1] != END]
        open_ = going[:width]
        if length == max_length:
            open_ = [(ids, total) for ids, total in kept if ids[-1] != END]
            cut = [(ids, total, False, total / norm) for ids, total in open_]
    by_score = lambda hypothesis: -hypothesis[3]  # noqa: E731
    if refill:
        return sorted(complete + cut, key=by_score)[:width]
    return sorted(complete, key=by_score) + sorted(cut, key=by_score)


def same(found: Hypothesis, expected: tuple) -> None:
    ids, log_prob, ended, *score = expected
    assert found.ids == ids
    assert found.ended == ended
    assert found.log_prob == pytest.approx(log_prob)
    assert found.score == pytest.approx(score[0] if score else log_prob)


@torch.no_grad()
def every_text(model, context, max_length):
    """All texts that end within ``max_length`` tokens, ⟨end⟩ counted, with their log-probabilities."""
    words = [i for i in range(V) if i != END]
    table = {(): model.log_probs((), context)}
    texts = {}
    for n in range(max_length):
        for ids in itertools.product(words, repeat=n):
            if ids not in table:
                table[ids] = model.log_probs(ids, context)
            texts[ids] = sum(table[ids[:i]][token] for i, token in enumerate((*ids, END)))
    return texts


# ---------------------------------------------------------------- greedy


@pytest.mark.parametrize("never", [(), (0, 3)])
def test_greedy_takes_the_best_token_of_every_step(model, never):
    context = contexts()
    found = greedy(model, context, first(), end=END, max_length=9, never=never)
    expected = [naive_greedy(model, row, 9, never) for row in context]
    for ours, theirs in zip(found, expected, strict=True):
        same(ours, theirs)
    lengths = {len(hypothesis.ids) for hypothesis in found}
    assert len(lengths) > 1, "the test wants rows that end at different steps"


def test_greedy_can_be_fooled_and_a_wider_beam_is_not():
    """Two steps: the most probable first word leads only to improbable texts."""
    table = {
        (): [0.0, 0.0, 0.55, 0.45, 0.0],
        (2,): [0.34, 0.33, 0.33, 0.0, 0.0],
        (3,): [0.05, 0.95, 0.0, 0.0, 0.0],
    }

    class Table:
        def step(self, tokens, state):
            state = [(*ids, token) if begun else () for (ids, begun), token in zip(state, tokens.tolist(), strict=True)]
            rows = [table.get(ids, [0.0, 1.0, 0.0, 0.0, 0.0]) for ids in state]
            return torch.tensor(rows).log(), [(ids, True) for ids in state]

        def select(self, state, rows):
            return [state[i] for i in rows.tolist()]

    begin = [((), False)]
    (fooled,) = greedy(Table(), begin, first(1), end=END, max_length=5)
    (found,) = beam(Table(), begin, first(1), width=2, end=END, max_length=5)
    assert fooled.ids[0] == 2
    assert found[0].ids == (3,)
    assert found[0].log_prob == pytest.approx(math.log(0.45 * 0.95))
    assert found[0].log_prob > fooled.log_prob


# ---------------------------------------------------------------- beam


@pytest.mark.parametrize("width", [1, 2, 3, 7])
@pytest.mark.parametrize("alpha", [0.0, 0.7])
def test_a_beam_is_the_plain_search(model, width, alpha):
    context = contexts()
    found = beam(model, context, first(), width=width, end=END, max_length=6, alpha=alpha)
    for ours, row in zip(found, context, strict=True):
        theirs = naive_beam(model, row, width, 6, alpha)
        assert len(ours) == len(theirs)
        for hypothesis, expected in zip(ours, theirs, strict=True):
            same(hypothesis, expected)


@pytest.mark.parametrize("width", [1, 2, 3, 7])
@pytest.mark.parametrize("alpha", [0.0, 0.7])
def test_a_beam_that_is_filled_up_is_its_plain_search_too(model, width, alpha):
    context, other = contexts(), []
    found = beam(model, context, first(), width=width, end=END, max_length=6, alpha=alpha, refill=True)
    for ours, row in zip(found, context, strict=True):
        theirs = naive_beam(model, row, width, 6, alpha, refill=True)
        assert len(ours) == len(theirs) == width
        for hypothesis, expected in zip(ours, theirs, strict=True):
            same(hypothesis, expected)
        other.append([text[0] for text in theirs] != [text[0] for text in naive_beam(model, row, width, 6, alpha)])
    assert any(other) or width == 1


@pytest.mark.parametrize("alpha", [0.0, 1.3])
@pytest.mark.parametrize("normalizer", [length_normalizer, length_power])
@pytest.mark.parametrize("results", [1, 2])
def test_to_stop_early_changes_no_result_and_saves_steps(model, results, alpha, normalizer):
    model.sharpness = 2.0
    context = contexts(23)
    how = {"width": 4, "end": END, "max_length": 12, "alpha": alpha, "normalizer": normalizer}
    all_of_it = beam(model, context, first(23), **how)
    steps, model.steps = model.steps, 0
    some = beam(model, context, first(23), results=results, **how)
    for best, full in zip(some, all_of_it, strict=True):
        assert len(best) == results
        for ours, theirs in zip(best, full, strict=False):
            same(ours, (theirs.ids, theirs.log_prob, theirs.ended, theirs.score))
    certain = results == 1 and not (normalizer is length_power and alpha > 1)  # there a late text can still win by far
    assert model.steps < steps if certain else model.steps <= steps


def test_a_beam_of_width_one_is_greedy(model):
    context = contexts(23)
    narrow = beam(model, context, first(23), width=1, end=END, max_length=9, never=(0,))
    plain = greedy(model, context, first(23), end=END, max_length=9, never=(0,))
    for (ours,), theirs in zip(narrow, plain, strict=True):
        same(ours, (theirs.ids, theirs.log_prob, theirs.ended))


@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0, 2.0])
@pytest.mark.parametrize(
    ("normalizer", "divisor"),
    [(length_normalizer, lambda n, alpha: (5 + n) ** alpha / 6**alpha), (length_power, lambda n, alpha: n**alpha)],
)
def test_a_beam_as_wide_as_the_tree_finds_the_true_best(model, alpha, normalizer, divisor):
    context = contexts(3)
    found = beam(model, context, first(3), width=V**4, end=END, max_length=4, alpha=alpha, normalizer=normalizer)
    for ours, row in zip(found, context, strict=True):
        texts = every_text(model, row, 4)
        score = {ids: log_prob / divisor(len(ids) + 1, alpha) for ids, log_prob in texts.items()}
        assert ours[0].ids == max(score, key=score.get)
        complete = [hypothesis for hypothesis in ours if hypothesis.ended]
        assert {hypothesis.ids for hypothesis in complete} == set(texts)
        for hypothesis in complete:
            assert hypothesis.log_prob == pytest.approx(texts[hypothesis.ids])
            assert hypothesis.score == pytest.approx(score[hypothesis.ids])
        # All texts there are: those that ended, and those that would have gone on.
        assert sum(math.exp(hypothesis.log_prob) for hypothesis in ours) == pytest.approx(1)


def test_a_longer_text_can_win_by_its_normalised_score():
    found = [
        beam(Small(seed), contexts(), first(), width=50, end=END, max_length=5, alpha=alpha, results=1)
        for seed in (0, 1, 5)
        for alpha in (0.0, 2.0)
    ]
    mean = [sum(len(best.ids) for (best,) in texts) / len(texts) for texts in found]
    assert all(short < long for short, long in zip(mean[::2], mean[1::2], strict=True))
    assert length_normalizer(1, 0.6) == 1
    assert length_normalizer(13, 0.6) == pytest.approx(18**0.6 / 6**0.6)
    assert length_power(13, 0.6) == pytest.approx(13**0.6)


def test_the_two_normalisers_rank_differently(model):
    """At α = 1 the plain one ranks by the mean log-probability of a token, which favours length more than the other does."""
    how = {"width": 60, "end": END, "max_length": 5, "alpha": 1.0, "results": 1}
    plain = [best for (best,) in beam(model, contexts(23), first(23), normalizer=length_power, **how)]
    other = [best for (best,) in beam(model, contexts(23), first(23), **how)]
    for found in plain:
        assert found.score == pytest.approx(found.log_prob / (len(found.ids) + 1))
    assert sum(len(found.ids) for found in plain) > sum(len(found.ids) for found in other)


# ---------------------------------------------------------------- rows do not disturb each other


@pytest.mark.parametrize("width", [None, 1, 3])
def test_a_batch_gives_what_single_rows_give(model, width):
    context = contexts()
    limits = [3, 9, 1, 5, 9, 9, 2]

    def run(rows):
        how = {"end": END, "max_length": [limits[i] for i in rows]}
        if width is None:
            return [[hypothesis] for hypothesis in greedy(model, context[rows], first(len(rows)), **how)]
        return beam(model, context[rows], first(len(rows)), width=width, **how)

    together = run(list(range(ROWS)))
    alone = [run([i])[0] for i in range(ROWS)]
    shuffled = run([4, 2, 6, 0, 1, 5, 3])
    for i, found in enumerate(together):
        for other in (alone[i], shuffled[[4, 2, 6, 0, 1, 5, 3].index(i)]):
            assert [h.ids for h in found] == [h.ids for h in other]
            assert [h.score for h in found] == pytest.approx([h.score for h in other])
        assert all(len(h.ids) + h.ended <= limits[i] for h in found)


def test_rows_that_ended_are_not_computed_any_more(model):
    found = greedy(model, contexts(), first(), end=END, max_length=9)
    assert model.steps == sum(len(hypothesis.ids) + hypothesis.ended for hypothesis in found)


def test_tokens_that_never_come_give_their_probability_to_the_others():
    logits = torch.randn(3, V, dtype=torch.double)
    before = logits.clone()
    found = allowed_log_probs(logits, (0, 3)).exp()
    assert torch.equal(logits, before)
    assert (found[:, [0, 3]] == 0).all()
    expected = before.softmax(1)[:, [1, 2, 4]]
    torch.testing.assert_close(found[:, [1, 2, 4]], expected / expected.sum(1, keepdim=True))


def test_no_row_gives_no_text(model):
    assert greedy(model, contexts(0), first(0), end=END, max_length=3) == []
    assert beam(model, contexts(0), first(0), width=2, end=END, max_length=3) == []


def test_no_gradient_is_kept(model):
    (found,) = beam(model, contexts(1).requires_grad_(), first(1), width=2, end=END, max_length=3, results=1)
    assert isinstance(found[0].log_prob, float)


# ---------------------------------------------------------------- several tokens that end a text


@pytest.mark.parametrize("width", [None, 3])
def test_any_of_several_tokens_ends_a_text(model, width):
    def run(end):
        how = {"end": end, "max_length": 7}
        if width is None:
            return greedy(model, contexts(11), first(11), **how)
        return [best for (best, *_) in beam(model, contexts(11), first(11), width=width, **how)]

    both = run((END, 3))
    assert run([END]) == run(END)
    assert all(END not in found.ids and 3 not in found.ids for found in both)
    if width is None:
        for ours, one in zip(both, run(END), strict=True):
            cut = one.ids.index(3) if 3 in one.ids else len(one.ids)
            assert ours.ids == one.ids[:cut]
            assert ours.ended == (one.ended or cut < len(one.ids))
        assert both != run(END)
    never_ends = run(())
    assert all(not found.ended and len(found.ids) == 7 for found in never_ends)


# ---------------------------------------------------------------- bad input


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"model": nn.Linear(2, 2)}, r"a Linear has not"),
        ({"first": torch.zeros(2)}, "torch.float32"),
        ({"first": [0]}, "a list"),
        ({"end": -1}, "end=-1"),
        ({"end": (END, -2)}, r"end\[1\]=-2"),
        ({"end": (4, END), "never": (END,)}, f"end={END} is in never"),
        ({"rest": [[1]]}, "rest has 1 rows for 2"),
        ({"never": (END,)}, "could not end"),
        ({"never": (-3,)}, r"never\[0\]=-3"),
        ({"max_length": 0}, "max_length=0"),
        ({"max_length": [3, 0]}, r"max_length\[1\]=0"),
        ({"max_length": [3]}, "1 numbers for 2 rows"),
        ({"width": 0}, "width=0"),
        ({"results": 4}, "results=4 is more than width=3"),
        ({"results": 0}, "results=0"),
        ({"alpha": -0.1}, "alpha=-0.1"),
        ({"alpha": "much"}, "alpha='much'"),
    ],
)
def test_what_does_not_fit_is_refused(changed, message):
    given = {"model": Small(0), "state": contexts(2), "first": first(2), "end": END, "max_length": 3, "width": 3, **changed}
    positional = [given.pop(name) for name in ("model", "state", "first")]
    with pytest.raises(ValueError, match=message):
        beam(*positional, **given)
    if not {"width", "results", "alpha"} & set(changed):
        given.pop("width")
        with pytest.raises(ValueError, match=message):
            greedy(*positional, **given)
