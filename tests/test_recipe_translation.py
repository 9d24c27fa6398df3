"""Recipes for translation: equal sizes, averaged parameters, a training that goes on after a kill, and BLEU of two kinds."""

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from lmcore import corpora, evaluate
from lmcore.corpora import Corpus, Pair
from lmcore.ledger import Page
from lmcore.recipes import _tatoeba, _translation, multi30k, tatoeba, tatoeba_attention, tatoeba_transformer
from lmcore.recipes._translation import AveragedAdam, Languages
from lmcore.seq2seq import Seq2Seq
from lmcore.transformer import TransformerTranslator

WORDS = {"red": "rode", "old": "oude", "house": "huis", "horse": "paard", "sees": "ziet", "Tom": "Tom", "my": "mijn"}
PLAN = tatoeba_transformer.Sizes(
    vocabulary=290, dim=16, heads=2, layers=1, hidden=23, epochs=3, warmup=5, lr=1.0, average=2, batch_size=11, beam=2,
    dropout=0.3, train=60, test=10,
)  # fmt: skip


def corpus_of(count: int) -> Corpus:
    """Word by word, but for the first two words, which change places."""
    rng = np.random.default_rng(3)
    pairs: dict[str, Pair] = {}
    while len(pairs) < count:
        source = rng.choice(list(WORDS), size=rng.integers(3, 6)).tolist()
        target = [WORDS[word] for word in source]
        target[:2] = target[1::-1]
        pairs[" ".join(source)] = Pair(f"{' '.join(source)}.", f"{' '.join(target)}.")
    parts = list(pairs.values())
    cut = count // 8
    return Corpus(tuple(parts[2 * cut :]), tuple(parts[:cut]), tuple(parts[cut : 2 * cut]))


@pytest.fixture(scope="module")
def language():
    return corpus_of(400)


@pytest.fixture
def small_tatoeba(language, monkeypatch):
    monkeypatch.setattr(corpora, "tatoeba", lambda: language)


@pytest.fixture
def receipt(monkeypatch, tmp_path):
    """Reads the receipt that a recipe leaves."""
    path = tmp_path / "receipt.json"
    monkeypatch.setenv("LMCORE_RECEIPT", str(path))
    return lambda: json.loads(path.read_text(encoding="utf-8"))


def size(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


# ---------------------------------------------------------------- sizes


@pytest.mark.parametrize("scale", ["small", "full"])
def test_the_three_tatoeba_models_are_equally_large(scale):
    plain, looking, transformer = (recipe.SIZES[scale] for recipe in (tatoeba, tatoeba_attention, tatoeba_transformer))
    V = plain.vocabulary
    assert looking.vocabulary == transformer.vocabulary == V
    with torch.device("meta"):
        sizes = [
            size(Seq2Seq(V, V, plain.dim, plain.hidden, layers=plain.layers)),
            size(Seq2Seq(V, V, looking.dim, looking.hidden, layers=looking.layers, attention=True)),
            size(
                TransformerTranslator(V, V, transformer.dim, transformer.heads, transformer.layers, hidden=transformer.hidden)
            ),
        ]
    assert max(sizes) < 1.005 * min(sizes)


@pytest.mark.parametrize("scale", ["small", "full"])
def test_multi30k_has_about_nine_million_parameters(scale):
    sizes = multi30k.SIZES[scale]
    V = sizes.vocabulary
    with torch.device("meta"):
        model = TransformerTranslator(V, V, sizes.dim, sizes.heads, sizes.layers, hidden=sizes.hidden)
    assert 8.5e6 < size(model) < 9.5e6


def test_every_setting_can_be_kept_by_the_ledger():
    for recipe in (multi30k, tatoeba_attention, tatoeba_transformer):
        for sizes in recipe.SIZES.values():
            assert all(isinstance(value, int | float | str | bool) for value in sizes.config().values())


# ---------------------------------------------------------------- averages and interruptions


def test_the_mean_is_over_the_parameters_after_the_chosen_steps():
    torch.manual_seed(1)
    model = nn.Linear(5, 3)
    optimizer = AveragedAdam(list(model.parameters()), 0.1, begin=3, every=2)
    x, seen = torch.randn(7, 5), []
    for step in range(1, 9):
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()
        if step in (3, 5, 7):
            seen.append([p.detach().clone() for p in model.parameters()])
    last = [p.detach().clone() for p in model.parameters()]
    assert optimizer.swap()
    for p, *parts in zip(model.parameters(), *seen, strict=True):
        torch.testing.assert_close(p.detach(), torch.stack(parts).mean(0))
    assert optimizer.swap()
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), last, strict=True))


def test_before_the_first_of_these_steps_there_is_no_mean():
    model = nn.Linear(5, 3)
    optimizer = AveragedAdam(list(model.parameters()), 0.1, begin=2, every=2)
    model(torch.randn(7, 5)).sum().backward()
    optimizer.step()
    before = model.weight.detach().clone()
    assert not optimizer.swap()
    assert torch.equal(model.weight, before)


@pytest.mark.parametrize("stop", [1, 2])
def test_a_killed_training_ends_with_the_same_numbers(language, small_tatoeba, monkeypatch, tmp_path, stop):
    def numbers(checkpoint):
        page = Page("tatoeba_transformer", config={"test": True})
        tatoeba_transformer.run(PLAN, page, checkpoint)
        return {name: value for name, value in page.receipt().run.values.items() if name != "training.minutes"}

    whole = numbers(None)
    real, kept = _translation.progress, tmp_path / "kept.pt"

    def interrupted(steps, *args):
        for number, step in enumerate(real(steps, *args), 1):
            if number == stop:
                raise KeyboardInterrupt
            yield step

    monkeypatch.setattr(_translation, "progress", interrupted)
    with pytest.raises(KeyboardInterrupt):
        numbers(kept)
    assert kept.is_file()
    monkeypatch.setattr(_translation, "progress", real)
    assert numbers(kept) == whole
    assert numbers(kept) == whole  # of the finished training: nothing is trained any more
    assert {"valid.bits", "valid.bits.last", "valid.bits.averaged"} <= whole.keys()
    assert whole["valid.bits"] == min(whole["valid.bits.last"], whole["valid.bits.averaged"])


def test_a_checkpoint_of_another_plan_is_refused(small_tatoeba, tmp_path):
    short = replace(PLAN, epochs=1, average=0, train=33, warmup=1)
    tatoeba_transformer.run(short, Page("tatoeba_transformer"), tmp_path / "kept.pt")
    with pytest.raises(ValueError, match="belongs to a run with"):
        tatoeba_transformer.run(replace(short, lr=0.5), Page("tatoeba_transformer"), tmp_path / "kept.pt")


def test_the_environment_names_a_folder_and_the_command_line_a_file(monkeypatch, tmp_path):
    monkeypatch.setenv("LMCORE_SCALE", "smoke")
    monkeypatch.setenv("LMCORE_SEED", "7")
    monkeypatch.setenv("LMCORE_DEVICE", "cpu")
    monkeypatch.delenv("LMCORE_CHECKPOINTS", raising=False)
    find = partial(_translation.checkpoint_of, "multi30k", description="what it does")
    assert find([]) is None
    monkeypatch.setenv("LMCORE_CHECKPOINTS", str(tmp_path))
    assert find([]) == tmp_path / "multi30k-cpu-smoke-7.pt"
    assert find(["--checkpoint", "x.pt"]).name == "x.pt"


# ---------------------------------------------------------------- learning and scores


def test_it_learns_to_translate_a_small_language(language, small_tatoeba, capsys):
    page = Page("tatoeba_transformer", config={"test": True})
    how = {"epochs": 10, "lr": 0.6, "warmup": 60, "dropout": 0.0, "dim": 32, "hidden": 64, "train": None, "test": None}
    tatoeba_transformer.run(replace(PLAN, **how), page)
    values = page.receipt().run.values
    assert values["greedy.bleu"] > 30  # without training: below 1
    assert values["beam.bleu"] > 30
    assert values["greedy.bleu_all_references"] == pytest.approx(values["greedy.bleu"])
    assert values["sentences.test"] == 50 == sum(values[f"sentences.words_{low}-{high}"] for low, high in [(1, 4), (5, 6)])
    assert values["sentences.train"] == len(language.train)
    characters = sum(len(pair.target) + 1 for pair in language.test)
    tokens = values["test.bits_per_character"] * characters / values["test.bits"]
    assert tokens == pytest.approx(round(tokens))
    assert "valid" in capsys.readouterr().out


def test_both_sides_of_a_shared_vocabulary_are_cut_by_one_tokenizer():
    pairs = [Pair("das Haus", "the house"), Pair("ein Haus", "a house")]
    shared = Languages.learn(pairs, 270, torch.device("cpu"), 2, shared=True)
    assert shared.source is shared.target
    own = Languages.learn(pairs, 270, torch.device("cpu"), 2, shared=False)
    assert own.source.vocabulary != own.target.vocabulary


def test_german_is_the_source_of_multi30k():
    assert multi30k.german_to_english([Pair("a house", "ein Haus")]) == [Pair("ein Haus", "a house")]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("A man's T-shirt isn't red.", "a man 's t - shirt is n't red ."),
        ("Two girls’ hats, 1,000 beads!", "two girls ' hats , 1,000 beads !"),
        ("He can't (or won't) go at 10:30", "he ca n't ( or wo n't ) go at 10:30"),
        ('"Oh", they\'re here...', '" oh " , they \'re here . . .'),
        ("", ""),
    ],
)
def test_words_are_cut_as_the_docstring_says(text, tokens):
    assert multi30k.words(text) == tokens


def test_no_character_is_lost_between_the_words():
    if not corpora.available("multi30k"):
        pytest.skip("Multi30k is not downloaded")
    for english, _ in corpora.multi30k().test:
        assert multi30k.words(english).replace(" ", "") == "".join(english.lower().replace("’", "'").split())


def test_bleu_in_lower_case_over_given_words():
    ours, theirs = ["The Dog runs - fast"], ["the dog Runs - fast"]
    assert evaluate.bleu(ours, theirs).score < 50
    found = evaluate.bleu(ours, theirs, lowercase=True, tokenize="none")
    assert found.score == pytest.approx(100)
    assert "case:lc" in found.signature
    assert "tok:none" in found.signature
    apart, together = "a b c d e f-g", "a b c d e f - g"
    assert evaluate.bleu([apart], [together], tokenize="none").score < 100


@pytest.mark.parametrize("recipe", [multi30k, tatoeba_attention, tatoeba_transformer])
def test_recipes_run_from_beginning_to_end_and_say_how_bleu_was_counted(recipe, receipt, monkeypatch):
    name = recipe.__name__.rpartition(".")[2]
    corpus = name.partition("_")[0]
    if not corpora.available(corpus):
        pytest.skip(f"{corpus} is not downloaded")
    monkeypatch.setenv("LMCORE_SCALE", "smoke")
    monkeypatch.setitem(recipe.SIZES, "smoke", replace(recipe.SIZES["smoke"], test=7, train=130))
    recipe.main([])
    found = receipt()
    setting, values = found["setting"], found["run"]["values"]
    assert found["chapter"] == name
    assert setting["config"]["sacrebleu"].startswith("nrefs:1|case:mixed|")
    assert setting["config"].items() >= recipe.SIZES["smoke"].config().items()
    assert setting["data"][corpus] == corpora.sha256(corpus)
    assert "lmcore.recipes._translation" in setting["rooms"]
    assert 0 <= values["greedy.bleu"] <= 100
    assert 0 < values["test.bits"] < 10
    if recipe is multi30k:
        assert setting["config"]["sacrebleu_lowercased"].startswith("nrefs:1|case:lc|eff:no|tok:none")
        assert 0 <= values["beam.bleu_lowercased"] <= 100


@pytest.mark.parametrize("attention", [False, True])
def test_the_shared_run_trains_and_scores_as_the_recipe_for_the_plain_model(small_tatoeba, attention):
    """Same sentences, subwords, batches and scores: a model trained by either gives the same numbers."""
    plain = tatoeba.Sizes(vocabulary=290, dim=5, hidden=7, dropout=0.0, batch_size=10, epochs=1, beam=2, train=100, test=30)
    page = Page("tatoeba", config={"test": True})
    tatoeba.run(plain, page, attention=attention)
    wanted = page.receipt().run.values
    page = Page("tatoeba_attention", config={"test": True})
    how = {"vocabulary": 290, "dropout": 0.0, "batch_size": 10, "epochs": 1, "beam": 2, "train": 100, "test": 30}
    new_model = partial(Seq2Seq, dim=5, hidden=7, reverse=True, attention=attention)
    _tatoeba.run(new_model, tatoeba_attention.Sizes(**how), page)
    found = page.receipt().run.values
    assert {name: found[name] for name in wanted} == pytest.approx(wanted)
