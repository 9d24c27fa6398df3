"""Measures against hand computation, against torch, against sacrebleu's and conlleval's published behaviour."""

import math

import numpy as np
import pytest
import torch

from lmcore import END, evaluate
from lmcore.ngram import NGram
from tests import plain

TEXTS = ["a b b", "b", "", "a a b"]


def _models() -> tuple[NGram, NGram]:
    """A truth from which texts can be drawn, and a model of it that knows one word of context less."""
    truth = NGram(3, "add-k", k=0.05).fit(["a b a b", "b b a", "a a", "b", "c a b c"])
    return truth, NGram(1, "none", vocabulary=["a", "b", "c"]).fit([truth.sample(seed) for seed in range(300)])


def test_cross_entropy_weighs_every_token_the_same() -> None:
    """p(a) = 2/7, p(b) = 3/7, p(<end>) = 2/7; 11 predictions, four of them <end>."""
    model = NGram(1, "none").fit(["a b b", "a b"])
    by_hand = -(3 * math.log(2 / 7) + 4 * math.log(3 / 7) + 4 * math.log(2 / 7)) / 11
    assert evaluate.cross_entropy(model, TEXTS) == pytest.approx(by_hand)
    assert evaluate.cross_entropy(model, [t.split() for t in TEXTS]) == pytest.approx(by_hand)
    assert evaluate.perplexity(by_hand) == pytest.approx(model.perplexity(TEXTS))


def test_cross_entropy_is_torchs() -> None:
    torch.manual_seed(0)
    logits, targets = torch.randn(11, 7), torch.randint(7, (11,))

    class Net:
        def log_probs(self, tokens: evaluate.Text) -> np.ndarray:
            return torch.log_softmax(logits, -1)[range(11), targets].double().numpy()

    expected = torch.nn.functional.cross_entropy(logits, targets).item()
    assert evaluate.cross_entropy(Net(), ["x"]) == pytest.approx(expected)


def test_units() -> None:
    assert evaluate.bits(math.log(8)) == pytest.approx(3)
    assert evaluate.perplexity(math.log(8)) == pytest.approx(8)
    assert evaluate.perplexity(math.inf) == math.inf
    assert evaluate.perplexity(1e6) == math.inf
    assert math.isnan(evaluate.perplexity(math.nan))


def test_impossible_text_costs_infinitely_much() -> None:
    model = NGram(2, "none").fit(["a b"])
    assert evaluate.cross_entropy(model, ["a b", "b a"]) == math.inf
    assert evaluate.bits_per_character(model, ["b a"]) == math.inf


def test_bits_per_character_do_not_depend_on_the_unit() -> None:
    """One of two words of three letters is 1 bit, however the word is cut; the end is one more character."""
    words = NGram(2, "none").fit(["the", "cat"])
    characters = NGram(4, "none").fit([list("the"), list("cat")])
    assert evaluate.bits_per_character(words, ["the", "cat"]) == pytest.approx(1 / 4)
    assert evaluate.bits_per_character(characters, [list("the"), list("cat")], separator="") == pytest.approx(1 / 4)
    assert evaluate.bits_per_character(words, [["the"]]) == pytest.approx(1 / 4)
    two = NGram(1, "none").fit(["a bc"])
    assert evaluate.bits_per_character(two, ["a bc"]) == evaluate.bits_per_character(two, [["a", "bc"]])
    assert evaluate.bits_per_character(two, ["a bc"]) == pytest.approx(3 * math.log2(3) / 5)


def test_excess_is_the_difference_of_cross_entropies_and_is_zero_for_the_truth() -> None:
    truth, model = _models()
    texts = [truth.sample(seed) for seed in range(1000, 1200)]
    found = evaluate.excess(model, truth, texts)
    assert found.mean == pytest.approx(evaluate.cross_entropy(model, texts) - evaluate.cross_entropy(truth, texts))
    assert (found.texts, found.tokens) == (200, sum(len(t) + 1 for t in texts))
    same = evaluate.excess(truth, truth, texts)
    assert (same.mean, same.standard_error) == (0, 0)
    assert math.isnan(evaluate.excess(model, truth, texts[:1]).standard_error)
    assert str(found) == f"{found.mean:.4f} ± {found.standard_error:.4f}"


def test_the_standard_error_by_hand() -> None:
    """Two texts of 2 and 3 tokens that differ by x and y: mean m = (x + y) / 5, error √(2 ((x − 2m)² + (y − 3m)²)) / 5."""
    truth, model = _models()
    x, y = (truth.log_prob(t) - model.log_prob(t) for t in ("a", "b b"))
    found, m = evaluate.excess(model, truth, ["a", "b b"]), (x + y) / 5
    assert found.mean == pytest.approx(m)
    assert found.standard_error == pytest.approx(math.sqrt(2 * ((x - 2 * m) ** 2 + (y - 3 * m) ** 2)) / 5)


def test_the_standard_error_is_the_spread_over_new_texts() -> None:
    truth, model = _models()
    found = [evaluate.excess(model, truth, [truth.sample(1000 * r + s) for s in range(60)]) for r in range(1, 61)]
    spread = np.std([f.mean for f in found], ddof=1)
    assert np.mean([f.standard_error for f in found]) == pytest.approx(spread, rel=0.3)


def test_an_impossible_token_makes_the_excess_infinite() -> None:
    truth, _ = _models()
    model = NGram(2, "none", vocabulary=["a", "b", "c"]).fit(["a b"])
    assert evaluate.excess(model, truth, ["a b", "b a"]).mean == math.inf
    with pytest.raises(ValueError, match="the truth gives this text probability 0"):
        evaluate.excess(truth, model, ["b a"])


def test_kl_by_hand_and_where_it_is_zero_and_infinite() -> None:
    truth = NGram(1, "none").fit(["a", "b b"])  # a 1/5, b 2/5, <end> 2/5
    model = NGram(1, "none").fit(["a b"])  # 1/3 each
    by_hand = 0.2 * math.log(0.6) + 0.8 * math.log(1.2)
    assert evaluate.kl(truth, model, "a b") == pytest.approx([by_hand] * 3)
    assert evaluate.kl(truth, truth, "a b a") == pytest.approx([0] * 4)
    never_b = NGram(2, "none", vocabulary=["a", "b"]).fit(["a a"])
    found = evaluate.kl(truth, never_b, "a")
    assert found.tolist() == [math.inf, math.inf]
    assert evaluate.kl(never_b, truth, "a")[0] == pytest.approx(math.log(5))


def test_kl_summed_over_positions_estimates_the_excess() -> None:
    truth, model = _models()
    texts = [truth.sample(seed) for seed in range(2000, 2400)]
    excess = evaluate.excess(model, truth, texts)
    kl = sum(evaluate.kl(truth, model, text).sum() for text in texts) / excess.tokens
    assert excess.mean == pytest.approx(kl, abs=4 * excess.standard_error)


def test_kl_by_position_averages_over_the_texts_that_get_there() -> None:
    truth, model = _models()
    texts = ["a b", "a", "b a b c"]
    each = [evaluate.kl(truth, model, t) for t in texts]
    found = evaluate.kl_by_position(truth, model, texts)
    assert found.texts.tolist() == [3, 3, 2, 1, 1]
    assert found.mean == pytest.approx([np.mean([k[i] for k in each if i < len(k)]) for i in range(5)])
    third = [each[0][2], each[2][2]]
    assert found.standard_error[2] == pytest.approx(np.std(third, ddof=1) / math.sqrt(2))
    assert np.isnan(found.standard_error[3:]).all()


def test_bleu_is_sacrebleus() -> None:
    hypotheses = ["the cat is on the mat", "there is a cat here", "hello world again"]
    references = ["the cat is on the mat", "there is a cat on the mat", "hello big world"]
    found = evaluate.bleu(hypotheses, references)
    import sacrebleu

    assert found.score == pytest.approx(sacrebleu.corpus_bleu(hypotheses, [references]).score)
    assert found.signature.startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")
    assert evaluate.bleu(references, references).score == pytest.approx(100)


def test_bleu_with_two_references_takes_the_better_of_each() -> None:
    both = [["the cat is on the mat", "a cat sits on the mat"], ["hello there big world", "hello world all of you"]]
    assert evaluate.bleu([both[0][1], both[1][0]], both).score == pytest.approx(100)
    assert "nrefs:2" in evaluate.bleu([both[0][1], both[1][0]], both).signature


def test_span_f1_is_conllevals() -> None:
    """There are PER 0-1, LOC 3-3; PER 0-0, PER 1-1. Found are PER 0-1, LOC 3-4; PER 0-1."""
    truth = [["B-PER", "I-PER", "O", "B-LOC", "O"], ["B-PER", "B-PER", "O"]]
    predicted = [["I-PER", "I-PER", "O", "B-LOC", "I-LOC"], ["B-PER", "I-PER", "O"]]
    found = evaluate.span_f1(truth, predicted)
    assert (found.precision, found.recall, found.spans) == (pytest.approx(1 / 3), pytest.approx(1 / 4), 4)
    assert found.f1 == pytest.approx(2 / 7)
    assert evaluate.span_f1(truth, truth).f1 == 1


def test_a_change_of_type_begins_a_span_as_in_conlleval() -> None:
    found = evaluate.span_f1([["B-PER", "B-LOC", "O"]], [["I-PER", "I-LOC", "O"]])
    assert (found.precision, found.recall) == (1, 1)


def test_span_f1_without_spans_is_zero_and_silent() -> None:
    nothing, something = [["O", "O"]], [["B-PER", "O"]]
    assert evaluate.span_f1(nothing, nothing) == evaluate.SpanScore(0.0, 0.0, 0.0, 0)
    assert evaluate.span_f1(something, nothing) == evaluate.SpanScore(0.0, 0.0, 0.0, 1)
    assert evaluate.span_f1(nothing, something) == evaluate.SpanScore(0.0, 0.0, 0.0, 0)


def test_every_language_model_is_one_here() -> None:
    model = NGram(2).fit(TEXTS)
    assert isinstance(model, evaluate.LanguageModel)
    assert END in model.next_distribution("a")


BAD_INPUT = {
    "evaluate.cross_entropy(model, 'a b')": "ValueError: expected a list of texts; got str 'a b'. For one text, write [text]",
    "evaluate.cross_entropy(model, [])": "ValueError: expected at least one text; got none",
    "evaluate.cross_entropy(model, 3)": "ValueError: expected a list of texts; got int 3",
    "evaluate.cross_entropy(model, [3])": "ValueError: a text must be a string or a sequence of strings; got int 3",
    "evaluate.cross_entropy('model', ['a'])": "ValueError: model must have log_probs, as a language model has; got str 'model'",
    "evaluate.bits_per_character(model, 'a b')": "ValueError: expected a list of texts; got str 'a b'",
    "evaluate.bits_per_character(model, [])": "ValueError: expected at least one text; got none",
    "evaluate.excess(model, model, [])": "ValueError: expected at least one text; got none",
    "evaluate.excess(model, 3, ['a'])": "ValueError: truth must have log_probs, as a language model has; got int 3",
    "evaluate.excess(longer, model, ['a'])": "ValueError: the model reads 3 tokens where the truth reads 2: str 'a'",
    "evaluate.kl(model, longer, 'a')": "ValueError: model must have next_distribution, as a language model has; got Longer",
    "evaluate.kl(model, model, 3)": "ValueError: a text must be a string or a sequence of strings; got int 3",
    "evaluate.kl_by_position(model, model, 'a')": "ValueError: expected a list of texts; got str 'a'",
    "evaluate.bleu('a', ['a'])": "ValueError: expected a list of texts; got str 'a'",
    "evaluate.bleu([], [])": "ValueError: expected at least one text; got none",
    "evaluate.bleu([['a']], ['a'])": "ValueError: hypotheses must be strings; got list ['a']",
    "evaluate.bleu(['a', 'b'], ['a'])": "ValueError: 2 hypotheses, but references for 1",
    "evaluate.bleu(['a', 'b'], [['a'], ['b', 'c']])": "ValueError: every hypothesis needs the same number",
    "evaluate.span_f1(['O'], ['O'])": "ValueError: predicted[0] must be a list of tags; got str 'O'",
    "evaluate.span_f1([['O']], [['O', 'O']])": "ValueError: sentence 0: truth has 1 tags, predicted has 2",
    "evaluate.span_f1([['O']], [['O'], ['O']])": "ValueError: truth has 1 sentences, predicted has 2",
    "evaluate.span_f1([['PER']], [['O']])": "ValueError: truth[0] holds the tag 'PER'; a tag is 'O', 'B-TYPE' or 'I-TYPE'",
    "evaluate.span_f1([['O']], [['E-PER']])": "ValueError: predicted[0] holds the tag 'E-PER'",
    "evaluate.span_f1([['B-']], [['O']])": "ValueError: truth[0] holds the tag 'B-'",
    "evaluate.span_f1([], [])": "ValueError: expected at least one text; got none",
}


@pytest.fixture(scope="module")
def answers() -> dict[str, str]:
    prelude = """
import numpy as np
from lmcore import evaluate
from lmcore.ngram import NGram
model = NGram(2).fit(['a b', 'b a'])
class Longer:
    def log_probs(self, tokens): return np.zeros(3)
    def __repr__(self): return 'longer'
longer = Longer()
"""
    return plain.errors(prelude, BAD_INPUT)


@pytest.mark.parametrize("call", BAD_INPUT)
def test_bad_input_is_answered_in_words(call: str, answers: dict[str, str]) -> None:
    assert answers[call].startswith(BAD_INPUT[call])
