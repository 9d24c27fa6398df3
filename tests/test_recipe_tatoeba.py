"""The translation recipe counts what it says it counts, learns a small language, and runs with and without attention."""

import json
import math
from dataclasses import asdict

import numpy as np
import pytest

from lmcore import corpora, evaluate
from lmcore.corpora import Corpus, Pair
from lmcore.ledger import Page
from lmcore.recipes import tatoeba

WORDS = {"red": "rode", "old": "oude", "house": "huis", "horse": "paard", "sees": "ziet", "Tom": "Tom", "my": "mijn"}
SMALL = tatoeba.Sizes(vocabulary=290, dim=16, hidden=40, dropout=0.0, batch_size=10, epochs=12, lr=0.01, beam=3)


@pytest.fixture(scope="module")
def language():
    """Word by word, but for the first two words, which change places; every fifth source has a second translation."""
    rng = np.random.default_rng(3)
    pairs: dict[str, list[Pair]] = {}
    while len(pairs) < 400:
        source = rng.choice(list(WORDS), size=rng.integers(3, 6)).tolist()
        target = [WORDS[word] for word in source]
        target[:2] = target[1::-1]
        text = f"{' '.join(source)}."
        pairs.setdefault(text, [Pair(text, f"{' '.join(target)}.")])
        if len(pairs) % 5 == 0 and len(pairs[text]) == 1:
            pairs[text].append(Pair(text, f"{' '.join(target)}!"))
    groups = list(pairs.values())
    return Corpus(*(tuple(pair for group in part for pair in group) for part in (groups[:320], groups[320:350], groups[350:])))


@pytest.fixture
def run(language, monkeypatch, capsys):
    monkeypatch.setattr(corpora, "tatoeba", lambda: language)

    def numbers(sizes: tatoeba.Sizes, **how) -> tuple[dict[str, float], str]:
        page = Page("tatoeba", config={"test": True})
        tatoeba.run(sizes, page, **how)
        return page.receipt().run.values, capsys.readouterr().out

    return numbers


@pytest.mark.parametrize("attention", [False, True])
def test_it_learns_to_translate_a_small_language(run, language, attention):
    values, printed = run(SMALL, attention=attention)
    assert values["greedy.bleu"] > 30  # without training: below 1
    assert values["beam.bleu"] > 30
    assert values["greedy.bleu_all_references"] >= values["greedy.bleu"]
    assert values["sentences.test"] == 50 == sum(values[f"sentences.words_{low}-{high}"] for low, high in [(1, 4), (5, 6)])
    assert "greedy.bleu.words_7-8" not in values
    assert values["sentences.train"] == len(language.train) > 320
    assert printed.count("bits per token on valid") == SMALL.epochs
    characters = sum(len(pair.target) + 1 for pair in language.test)
    tokens = values["test.bits_per_character"] * characters / values["test.bits"]
    assert tokens == pytest.approx(round(tokens))
    assert len(language.test) < tokens < characters


def test_attention_is_one_argument_and_more_parameters(run):
    tiny = tatoeba.Sizes(vocabulary=290, dim=3, hidden=5, epochs=1, train=40, test=20, beam=2)
    plain, attentive = (run(tiny, attention=attention)[0] for attention in (False, True))
    # W_a, U_a, v_a; the step reads the context too; the tanh layer before the output
    assert attentive["parameters"] - plain["parameters"] == (25 + 25 + 5) + 4 * 5 * 5 + (10 * 5 + 5)


def test_sources_are_translated_once_and_references_stay_together(language):
    known = tatoeba.references(language.test)
    assert list(known) == list(dict.fromkeys(pair.source for pair in language.test))
    assert [(source, target) for source, those in known.items() for target in those] == sorted(
        language.test, key=lambda pair: list(known).index(pair.source)
    )
    assert any(len(those) == 2 for those in known.values())


def test_repeating_a_reference_changes_nothing_in_bleu():
    ours = ["de rode oude fiets staat voor het huis .", "Tom ziet mijn paard niet meer"]
    one = ["de oude rode fiets staat voor het huis .", "Tom ziet mijn oude paard niet meer"]
    assert evaluate.bleu(ours, [[r, r, r] for r in one]).score == pytest.approx(evaluate.bleu(ours, one).score)


def test_every_length_is_in_one_bucket():
    assert [sum(low <= n <= high for low, high in tatoeba.BUCKETS) for n in range(1, 100)] == [1] * 99


def test_the_recipe_runs_from_beginning_to_end_and_says_how_bleu_was_counted(monkeypatch, tmp_path):
    if not corpora.available("tatoeba"):
        pytest.skip("Tatoeba is not downloaded")
    monkeypatch.setenv("LMCORE_SCALE", "smoke")
    path = tmp_path / "receipt.json"
    monkeypatch.setenv("LMCORE_RECEIPT", str(path))
    tatoeba.main(["--attention"])
    receipt = json.loads(path.read_text(encoding="utf-8"))
    assert receipt["chapter"] == "tatoeba_attention"
    setting, values = receipt["setting"], receipt["run"]["values"]
    assert setting["config"]["sacrebleu"].startswith("nrefs:1|case:mixed|")
    assert setting["config"]["attention"] is True
    assert setting["config"] == setting["config"] | {k: v for k, v in asdict(tatoeba.SIZES["smoke"]).items() if v is not None}
    assert setting["data"]["tatoeba"] == corpora.sha256("tatoeba")
    assert 0 <= values["greedy.bleu"] <= 100
    assert 0 < values["test.bits"] < math.log2(300) + 1
