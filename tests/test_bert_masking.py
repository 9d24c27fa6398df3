"""Masked batches: the rates of the noise, what is never chosen, the best possible loss, pairs, and streams that resume."""

import itertools
from collections import Counter

import numpy as np
import pytest
import torch
from scipy.stats import binom, chi2_contingency, chisquare

from lmcore import MASK
from lmcore.batches import IGNORE
from lmcore.bert import MaskedTexts, SentencePairs, best_possible, mask_tokens, word_tokenizer
from lmcore.wordpiece import BERT_SPECIAL, WordPiece
from lmcore.world import MaskingNoise, World

PAPER = MaskingNoise()
R = 23  # words
SPECIAL, FIRST, HIDDEN = range(5), 5, 4  # as BERT's vocabulary begins: [PAD] [UNK] [CLS] [SEP] [MASK], then words
UNLIKELY = 1e-4  # all seeds are fixed: a test that passes once passes always


def masked(noise: MaskingNoise, shape=(397, 503), seed: int = 3, **how):
    rng = np.random.default_rng(seed)
    ids = torch.as_tensor(rng.integers(FIRST, FIRST + R, size=shape))
    given = {"mask_id": HIDDEN, "random_ids": torch.arange(FIRST, FIRST + R), "special": tuple(SPECIAL), "rng": rng} | how
    return ids, mask_tokens(ids, noise=noise, **given)


def fits(counts, shares) -> bool:
    """Whether counts come from these shares, by a chi-square test."""
    expected = np.asarray(shares) * np.sum(counts)
    return chisquare(counts, expected).pvalue > UNLIKELY


def fates(noise: MaskingNoise, **how) -> list[int]:
    """How many words were left alone, hidden, replaced by another word, and chosen but the same."""
    ids, (seen, targets) = masked(noise, **how)
    chosen = targets != IGNORE
    counts = [~chosen, chosen & (seen == HIDDEN), chosen & (seen != HIDDEN) & (seen != ids), chosen & (seen == ids)]
    return [int(count.sum()) for count in counts]


def test_fifteen_per_cent_are_chosen_and_of_these_eighty_ten_and_ten():
    other = 0.1 * (R - 1) / R  # a random word may be the same word
    expected = [0.85, 0.15 * 0.8, 0.15 * other, 0.15 * (0.2 - other)]
    assert fits(fates(PAPER), expected)
    for wrong in (
        MaskingNoise(rate=0.16),
        MaskingNoise(rate=0.14),
        MaskingNoise(mask=0.78),
        MaskingNoise(mask=0.82),
        MaskingNoise(random=0.12),
        MaskingNoise(random=0.08),
    ):
        assert not fits(fates(wrong), expected), wrong


@pytest.mark.parametrize("chosen", [False, True])
def test_what_is_seen_of_a_word_has_the_likelihood_that_the_posterior_assumes(chosen):
    word = 7
    ids, (seen, targets) = masked(PAPER)
    of = (ids == FIRST + word) & ((targets != IGNORE) | (not chosen))
    counts = torch.bincount(torch.where(seen[of] == HIDDEN, 0, seen[of] - FIRST + 1), minlength=R + 1).numpy()
    shares = np.array([PAPER.likelihood(s, R, chosen=chosen)[word] for s in range(-1, R)])
    assert shares.sum() == pytest.approx(1)
    assert fits(counts, shares)
    other = np.array([MaskingNoise(mask=0.7, random=0.2).likelihood(s, R, chosen=chosen)[word] for s in range(-1, R)])
    assert not fits(counts, other)


def test_every_position_has_a_coin_of_its_own():
    _, (_, targets) = masked(PAPER, shape=(20_011, 13))
    chosen = (targets != IGNORE).numpy()
    per_text = np.bincount(chosen.sum(1), minlength=14)
    shares = binom.pmf(np.arange(14), 13, 0.15)
    assert fits([*per_text[:7], per_text[7:].sum()], [*shares[:7], shares[7:].sum()])
    assert fits(chosen.sum(0), np.full(13, 1 / 13))  # no place is preferred
    a, b = chosen[:, 3], chosen[:, 4]
    assert fits(np.bincount(2 * a + b), np.outer([0.85, 0.15], [0.85, 0.15]).ravel())  # nor are neighbours chosen together


def test_random_words_are_drawn_evenly_from_those_that_are_allowed():
    allowed = torch.tensor([7, 11, 13, 19])
    ids, (seen, targets) = masked(MaskingNoise(rate=1.0, mask=0.0, random=1.0), random_ids=allowed)
    assert fits(torch.bincount(seen.flatten())[allowed].numpy(), np.full(4, 1 / 4))
    assert set(seen.flatten().tolist()) == set(allowed.tolist())
    assert torch.equal(targets, ids)


def test_special_tokens_and_padding_are_never_chosen_and_targets_are_the_words_that_were_there():
    rng = np.random.default_rng(5)
    ids = torch.as_tensor(rng.integers(0, FIRST + R, size=(61, 47)))
    lengths = torch.as_tensor(rng.integers(1, 48, size=61))
    before = ids.clone()
    seen, targets = mask_tokens(
        ids, noise=MaskingNoise(rate=1.0, mask=0.5, random=0.25), mask_id=HIDDEN, random_ids=torch.arange(FIRST, FIRST + R),
        special=tuple(SPECIAL), lengths=lengths, rng=rng,
    )  # fmt: skip
    may = (ids >= FIRST) & (torch.arange(47) < lengths[:, None])
    assert torch.equal(targets, torch.where(may, ids, IGNORE))  # at rate 1 all others are chosen
    assert torch.equal(seen[~may], ids[~may])
    assert torch.equal(ids, before)


# ---------------------------------------------------------------- the best possible


def stream(noise: MaskingNoise, n: int = 1_999, seed: int = 7, **how):
    tiny = World.tiny()
    tokenizer = word_tokenizer(tiny.vocabulary)
    texts = [story.text for story in tiny.sample(n, seed)]
    how = {"random_words": tiny.vocabulary} | how
    return tiny, tokenizer, MaskedTexts(texts, 31, tokenizer=tokenizer, noise=noise, shuffle=False, epochs=1, seed=seed, **how)


def surprise(noise: MaskingNoise, **how) -> float:
    """By how many standard errors the exact posterior's loss differs from what it expects (its entropy), on these batches."""
    tiny, tokenizer, batches = stream(noise, **how)
    found = []
    for batch in batches:
        if (batch.targets != IGNORE).any():
            best = best_possible(tiny, tokenizer, [batch])
            found.append((best.places, best.loss - best.entropy))
    places, gaps = np.array(found).T
    return float((places * gaps).sum() / np.sqrt(((places * (gaps - np.average(gaps, weights=places))) ** 2).sum()))


def test_the_posterior_loses_on_these_batches_what_it_expects_to_lose():
    assert abs(surprise(PAPER)) < 2
    for wrong in (MaskingNoise(mask=0.3, random=0.0), MaskingNoise(mask=0.0, random=0.9)):  # what it does not expect
        assert abs(surprise(wrong)) > 4, wrong


def test_the_best_possible_loss_is_that_of_bayes_over_all_sixteen_texts():
    noise = MaskingNoise(rate=0.3, mask=0.5, random=0.3)
    tiny, tokenizer, batches = stream(noise, n=101)
    texts, number = dict(tiny.enumerate_texts()), {word: n for n, word in enumerate(tiny.vocabulary)}

    def likelihood(shown: list[str], text: tuple[str, ...], place: int) -> float:
        seen = [number.get(word, -1) for word in shown]
        ways = [noise.likelihood(s, len(number), chosen=i == place)[number[text[i]]] for i, s in enumerate(seen)]
        return float(np.prod(ways))

    losses, entropies = [], []
    for batch in batches:
        for ids, n, targets in zip(batch.ids.tolist(), batch.lengths.tolist(), batch.targets.tolist(), strict=True):
            shown = [tokenizer.vocabulary[i] for i in ids[1 : n - 1]]
            for place in (place for place in range(n - 2) if targets[place + 1] != IGNORE):
                found: Counter = Counter()
                for text in (text for text in texts if len(text) == n - 2):
                    found[text[place]] += texts[text] * likelihood(shown, text, place)
                shares = np.array([value for value in found.values() if value > 0]) / found.total()
                losses.append(-np.log(found[tokenizer.vocabulary[targets[place + 1]]] / found.total()))
                entropies.append(-(shares * np.log(shares)).sum())
    best = best_possible(tiny, tokenizer, stream(noise, n=101)[2], noise)
    assert best.places == len(losses) > 50
    assert best.loss == pytest.approx(np.mean(losses), abs=1e-9)
    assert best.entropy == pytest.approx(np.mean(entropies), abs=1e-9)


def test_the_noise_of_the_batches_is_that_of_the_world():
    """The same text, hidden by either: as often in every way that it can be hidden."""
    tiny, tokenizer, _ = stream(PAPER)
    text, noise = "She likes tea .", MaskingNoise(rate=0.5, mask=0.6, random=0.2)
    n, rng = 4_003, np.random.default_rng(11)
    batches = MaskedTexts([text] * n, 97, tokenizer=tokenizer, noise=noise, random_words=tiny.vocabulary, epochs=1, seed=3)
    ours: Counter = Counter()
    for batch in batches:
        for row, targets in zip(batch.ids.tolist(), batch.targets.tolist(), strict=True):
            shown = tuple(MASK if tokenizer.vocabulary[i] == "[MASK]" else tokenizer.vocabulary[i] for i in row[1:-1])
            ours[shown, tuple(target != IGNORE for target in targets[1:-1])] += 1
    theirs: Counter = Counter()
    for _ in range(n):
        shown, chosen = tiny.corrupt(text, rng, noise)
        theirs[tuple(shown), tuple(i in chosen for i in range(4))] += 1
    often = [way for way in ours | theirs if ours[way] + theirs[way] > 40]
    assert len(often) > 30
    assert chi2_contingency([[counts[way] for way in often] for counts in (ours, theirs)]).pvalue > UNLIKELY


# ---------------------------------------------------------------- streams


@pytest.fixture(scope="module")
def tokenizer() -> WordPiece:
    return WordPiece([*BERT_SPECIAL, *(f"{letter}{n}" for letter in "abcdefghijk" for n in range(7))], lower=False)


DOCUMENTS = [
    [f"{letter}{n} {letter}{(n + 1) % 7}" for n in range(size)]
    for letter, size in zip("abcdefghij", itertools.cycle((2, 3, 7, 1)))
]


def texts(tokenizer, **how):
    return MaskedTexts([" ".join(document) for document in DOCUMENTS], 3, tokenizer=tokenizer, **how)


def pairs(tokenizer, **how):
    return SentencePairs(DOCUMENTS, 4, tokenizer=tokenizer, **how)


def same(a, b) -> bool:
    return all(x is y is None or torch.equal(x, y) for x, y in zip(a, b, strict=True))


def sorted_pairs(tokenizer, **how):
    return pairs(tokenizer, pool=3, **how)


@pytest.mark.parametrize("make", [texts, pairs, sorted_pairs])
def test_a_stream_goes_on_exactly_where_it_stopped(make, tokenizer):
    whole = list(itertools.islice(make(tokenizer, seed=5), 23))
    again = make(tokenizer, seed=5)
    assert all(same(batch, next(again)) for batch in whole)
    for stop in (1, 4, 11):  # in the first epoch, at its end or beyond
        first = make(tokenizer, seed=5)
        assert all(same(batch, next(first)) for batch in whole[:stop])
        resumed = make(tokenizer, seed=5)
        resumed.load_state_dict(first.state_dict())
        assert all(same(batch, next(resumed)) for batch in whole[stop:])
    other = make(tokenizer, seed=7)
    assert not any(batch.ids.shape == (b := next(other)).ids.shape and same(batch, b) for batch in whole[:9])


def test_every_epoch_hides_other_words_and_an_evaluation_always_the_same(tokenizer):
    how = {"shuffle": False, "noise": MaskingNoise(rate=0.5)}
    epochs = list(texts(tokenizer, epochs=2, **how))
    half = len(epochs) // 2
    first, second = epochs[:half], epochs[half:]
    for a, b in zip(first, second, strict=True):
        assert torch.equal(
            torch.where(a.targets == IGNORE, a.ids, a.targets), torch.where(b.targets == IGNORE, b.ids, b.targets)
        )
        assert not torch.equal(a.targets, b.targets)
    assert all(same(a, b) for a, b in zip(first, texts(tokenizer, epochs=1, **how), strict=True))


def test_texts_stand_between_their_special_tokens_which_are_never_hidden(tokenizer):
    (batch,) = MaskedTexts(
        ["a1 a2 zz", "b1", ""], 3, tokenizer=tokenizer, noise=MaskingNoise(1.0, 1.0, 0.0), shuffle=False, epochs=1
    )
    shown = [" ".join(tokenizer.vocabulary[i] for i in row) for row in batch.ids.tolist()]
    assert shown == ["[CLS] [MASK] [MASK] [UNK] [SEP]", "[CLS] [MASK] [SEP] [PAD] [PAD]", "[CLS] [SEP] [PAD] [PAD] [PAD]"]
    assert batch.lengths.tolist() == [5, 3, 2]
    assert not batch.segments.any()
    assert batch.next is None
    assert batch.targets[0].tolist() == [IGNORE, *tokenizer.encode("a1 a2"), IGNORE, IGNORE]


def test_half_of_the_pairs_are_neighbours_and_no_sentence_tells_which(tokenizer):
    order = [sentence for document in DOCUMENTS for sentence in document]
    document = {sentence: n for n, group in enumerate(DOCUMENTS) for sentence in group}
    labels, seconds = [], Counter()
    for batch in SentencePairs(DOCUMENTS, 21, tokenizer=tokenizer, noise=MaskingNoise(rate=0.0), epochs=301):
        for ids, n, kinds, label in zip(
            *(part.tolist() for part in (batch.ids, batch.lengths, batch.segments, batch.next)), strict=True
        ):
            sep = ids.index(tokenizer.number["[SEP]"])
            first, second = tokenizer.decode(ids[1:sep]), tokenizer.decode(ids[sep + 1 : n - 1])
            assert ids[0] == tokenizer.number["[CLS]"]
            assert ids[n - 1] == tokenizer.number["[SEP]"]
            assert kinds == [0] * (sep + 1) + [1] * (n - sep - 1) + [0] * (len(ids) - n)
            follows = order.index(second) == order.index(first) + 1 and document[first] == document[second]
            assert follows == (label == 0)
            assert label == 0 or document[first] != document[second]
            labels.append(label)
            seconds[second, label] += 1
    assert len(labels) == 301 * sum(len(group) - 1 for group in DOCUMENTS)
    assert fits(np.bincount(labels), [0.5, 0.5])
    assert not fits(np.bincount(labels), [0.45, 0.55])
    follow = [sentence for group in DOCUMENTS for sentence in group[1:]]
    assert {sentence for sentence, _ in seconds} == set(follow)  # no sentence that opens a document gives a false pair away


def test_what_is_too_long_loses_its_end_the_longer_sentence_first(tokenizer):
    how = {"tokenizer": tokenizer, "noise": MaskingNoise(rate=0.0), "shuffle": False, "epochs": 1}
    batches = SentencePairs(DOCUMENTS, 2, longest=8, **how)
    first, second = (np.array(tokenizer.encode(text)) for text in ("a1 a2 a3 a4 a5 a6", "b1 b2"))
    for pair, segments in (((first, second), [0] * 5 + [1] * 3), ((second, first), [0] * 4 + [1] * 4)):
        ids, kinds = batches.join(*pair)
        kept = ["b1 b2" if part is second else "a1 a2 a3" for part in pair]
        assert tokenizer.decode(ids) == "[CLS] {} [SEP] {} [SEP]".format(*kept)
        assert kinds.tolist() == segments
    (row,) = MaskedTexts(["a1 a2 a3 a4 a5 a6"], 1, longest=5, **how)
    assert tokenizer.decode(row.ids[0]) == "[CLS] a1 a2 a3 [SEP]"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: MaskedTexts("a1", 3, tokenizer=t), "for one text, write"),
        (lambda t: MaskedTexts([], 3, tokenizer=t), "at least one string"),
        (lambda t: MaskedTexts(["a1"], 0, tokenizer=t), "batch_size=0"),
        (lambda t: MaskedTexts(["a1"], 3, tokenizer=t, longest=4), "longest=4"),
        (lambda t: MaskedTexts(["a1"], 3, tokenizer=t, random_words=["a1", "zz"]), "'zz' is no token"),
        (lambda t: MaskedTexts(["a1"], 3, tokenizer=t, random_words=[]), "random_words is empty"),
        (lambda t: SentencePairs([["a1", "a2"], ["b1"]], 3, tokenizer=t), "1 documents have two sentences"),
        (lambda t: SentencePairs(["a1 a2"], 3, tokenizer=t), "must be lists of sentences"),
        (lambda t: masked(PAPER, random_ids=torch.ones(0).long()), "at least one id"),
        (lambda t: masked(PAPER, rng=7), "rng numpy's Generator; got .* and 7"),
        (lambda t: masked(PAPER, mask_id=-1), "mask_id=-1"),
        (lambda t: best_possible(World.tiny(), t, pairs(t, epochs=1)), "the batches hold sentence pairs"),
        (lambda t: best_possible(World.tiny(), t, texts(t, epochs=1, noise=MaskingNoise(rate=0.0))), "no word was chosen"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(call, message, tokenizer, unchecked):
    with pytest.raises(ValueError, match=message):
        call(tokenizer)
