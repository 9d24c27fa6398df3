"""Pre-training: the recipe learns, stops and goes on; what is measured; blanks; a tokeniser of known words."""

import math

import pytest
import torch
from torch.nn import functional as F

from lmcore.batches import IGNORE
from lmcore.bert import (
    BertConfig,
    BertMaskedLM,
    BertPretraining,
    MaskedTexts,
    SentencePairs,
    best_possible,
    fill,
    inputs,
    measure,
    pretrain,
    pretraining_loss,
    word_tokenizer,
)
from lmcore.train import fit
from lmcore.wordpiece import WordPiece
from lmcore.world import MaskingNoise, World

TINY = World.tiny()
TOKENIZER = word_tokenizer(TINY.vocabulary)
STORIES = [story.text for story in TINY.sample(401, 3)]


def make(kind: type[BertMaskedLM] = BertMaskedLM, seed: int = 5, **changed) -> BertMaskedLM:
    torch.manual_seed(seed)
    sizes = {"dim": 22, "heads": 2, "layers": 1, "hidden": 31, "max_length": 17, "dropout": 0.1, "std": 0.1}
    return kind(BertConfig(len(TOKENIZER), **sizes | changed))


def texts(seed: int = 7, **how) -> MaskedTexts:
    return MaskedTexts(STORIES, 29, tokenizer=TOKENIZER, random_words=TINY.vocabulary, seed=seed, **how)


def evaluation() -> MaskedTexts:
    return texts(seed=11, shuffle=False, epochs=1)


def test_a_small_model_comes_near_the_best_possible_loss_on_a_small_language_and_never_below():
    model = make(dropout=0.0)
    best = best_possible(TINY, TOKENIZER, evaluation())
    before = measure(model, evaluation())
    assert before.loss > 5 * best.loss
    *_, last = pretrain(model, texts(), steps=350, lr=0.01, seed=1)
    after = measure(model, evaluation())
    assert best.loss - 0.02 < after.loss < best.loss + 0.12
    assert last.lr < 1e-3 * 0.01 + 0.01 / 350
    assert after.places == best.places == before.places
    assert after.accuracy > before.accuracy


def test_pairs_are_learnt_too():
    documents = [[word, word] for word in ("apples", "tea", "music", "She", "He")]  # a second like the first is the true one
    noise = MaskingNoise(rate=0.02)
    pairs = SentencePairs(documents, 23, tokenizer=TOKENIZER, noise=noise, seed=3)
    model = make(BertPretraining, layers=2, std=0.4, dropout=0.0)
    for _ in pretrain(model, pairs, steps=250, lr=0.003, seed=1):
        pass
    found = measure(model, SentencePairs(documents, 6, tokenizer=TOKENIZER, noise=noise, shuffle=False, epochs=40, seed=5))
    assert found.pairs == 200
    assert found.next_accuracy > 0.8
    assert found.next_loss < math.log(2) * 0.7


def test_the_recipe_is_that_of_the_paper_in_the_terms_of_fit():
    ours = [step[:3] for step in pretrain(make(), texts(), steps=23, lr=0.003, seed=1)]
    same = fit(
        make(), texts(), pretraining_loss, steps=23, lr=0.003, warmup=2, weight_decay=0.01, clip=1.0, schedule="linear", seed=1
    )  # fmt: skip
    assert ours == [step[:3] for step in same]
    rates = [step.lr for step in pretrain(make(), texts(), steps=10, lr=1.0, warmup=5, schedule="constant", seed=1)]
    assert rates[:5] == pytest.approx([n / 6 for n in range(1, 6)])
    assert rates[5:] == [1.0] * 5


def test_a_run_that_stops_goes_on_as_if_it_had_not(tmp_path):
    how = {"steps": 12, "lr": 0.01, "seed": 1}
    whole, stopped, resumed = make(), make(), make()
    for _ in pretrain(whole, texts(), **how):
        pass
    for step in pretrain(stopped, texts(), checkpoint=tmp_path / "run", save_every=4, **how):
        if step.step == 9:
            break
    steps = [step.step for step in pretrain(resumed, texts(), checkpoint=tmp_path / "run", save_every=4, **how)]
    assert steps == [9, 10, 11, 12]
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_what_is_measured_is_the_mean_over_all_places_and_all_pairs():
    documents = [[STORIES[i], STORIES[i + 1], STORIES[i + 2]] for i in range(0, 30, 3)]
    batches = list(SentencePairs(documents, 7, tokenizer=TOKENIZER, shuffle=False, epochs=1, seed=3))
    model = make(BertPretraining, max_length=40).eval()
    losses, right, pair, next_right = [], [], [], []
    for batch in batches:
        words, neighbours = model(batch.ids, batch.lengths, batch.segments)
        chosen = batch.targets != IGNORE
        losses.append(F.cross_entropy(words[chosen], batch.targets[chosen], reduction="none"))
        right.append(words[chosen].argmax(-1) == batch.targets[chosen])
        pair.append(F.cross_entropy(neighbours, batch.next, reduction="none"))
        next_right.append(neighbours.argmax(-1) == batch.next)
    found = measure(model.train(), batches)
    assert not model.training
    assert found.loss == pytest.approx(torch.cat(losses).mean().item(), abs=1e-6)
    assert found.accuracy == pytest.approx(torch.cat(right).double().mean().item())
    assert found.next_loss == pytest.approx(torch.cat(pair).mean().item(), abs=1e-6)
    assert found.next_accuracy == pytest.approx(torch.cat(next_right).double().mean().item())
    assert (found.places, found.pairs) == (len(torch.cat(losses)), len(torch.cat(pair))) == (found.places, 20)
    alone = measure(make(), evaluation())
    assert alone.pairs == 0
    assert math.isnan(alone.next_loss)
    assert math.isnan(alone.next_accuracy)


# ---------------------------------------------------------------- blanks


@pytest.mark.parametrize("kind", [BertMaskedLM, BertPretraining])
def test_blanks_are_filled_with_the_most_probable_words(kind):
    model = make(kind)
    text = "She [MASK] tea . She is [MASK] ."
    found = fill(model, TOKENIZER, text, top=3)
    logits = model(*inputs(TOKENIZER, [text]))
    logits = logits[0] if isinstance(logits, tuple) else logits
    for blank, place in zip(found, (2, 7), strict=True):
        values, ids = logits[0, place].softmax(-1).topk(3)
        assert list(blank) == [TOKENIZER.vocabulary[i] for i in ids]
        assert list(blank.values()) == pytest.approx(values.tolist(), abs=1e-6)
    (everything, _) = fill(model, TOKENIZER, text, top=None)
    assert len(everything) == len(TOKENIZER)
    assert sum(everything.values()) == pytest.approx(1)
    assert list(everything.values()) == sorted(everything.values(), reverse=True)
    assert list(everything.items())[:3] == list(found[0].items())


def test_the_second_text_of_a_pair_is_of_the_second_segment():
    model = make(BertPretraining)
    together, apart = fill(model, TOKENIZER, ("She likes tea .", "She is [MASK] .")), fill(model, TOKENIZER, "She is [MASK] .")
    assert together != apart
    given = inputs(TOKENIZER, [("She likes tea .", "She is [MASK] .")])
    assert next(iter(together[0])) == TOKENIZER.vocabulary[int(model(*given)[0][0, 8].argmax())]


# ---------------------------------------------------------------- a tokeniser of known words


def test_every_word_of_the_world_is_one_token_and_other_words_fall_into_letters():
    world = World(kinds=("stories", "comments", "messages"))
    tokenizer = word_tokenizer(world.vocabulary)
    assert "o'clock" in world.vocabulary  # BERT's rules alone would make three words of it
    for story in world.sample(97, 3):
        assert tuple(tokenizer.tokens(story.text)) == story.tokens
    assert tokenizer.tokens("The axolotl") == ["The", "a", "##x", "##o", "##l", "##o", "##t", "##l"]
    assert tokenizer.tokens("Ω") == ["[UNK]"]
    assert isinstance(tokenizer, WordPiece)
    assert len(set(tokenizer.vocabulary)) == len(tokenizer)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "an empty list is no word"),
        (["a", "b c"], "'b c' is no word"),
        ([""], "'' is no word"),
        (["[MASK]"], r"'\[MASK\]' is no word"),
        (["a", "a"], "twice"),
        ([7], "7 is no word"),
    ],
)
def test_what_is_no_word_is_refused(words, message, unchecked):
    with pytest.raises(ValueError, match=message):
        word_tokenizer(words)
    with pytest.raises(ValueError, match=r"'Tea' is no word; .* in lower case"):
        word_tokenizer(["Tea"], lower=True)


def test_wrong_calls_are_answered(unchecked):
    with pytest.raises(ValueError, match=r"has no blank; write \[MASK\]"):
        fill(make(), TOKENIZER, "She likes tea .")
    with pytest.raises(ValueError, match="top=0"):
        fill(make(), TOKENIZER, "[MASK]", top=0)
    with pytest.raises(ValueError, match="18 tokens a text; this model reads 1 to 17"):
        fill(make(), TOKENIZER, "[MASK] " * 16)
    with pytest.raises(ValueError, match="no word was chosen in these batches"):
        measure(make(), [])
    with pytest.raises(ValueError, match="steps=0"):
        pretrain(make(), texts(), steps=0, lr=0.1)
