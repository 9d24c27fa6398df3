"""N-gram models against KenLM's own output, against definitions written out with dictionaries, and as distributions."""

import itertools
import math
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from lmcore import END, START, UNK
from lmcore.counts import Counts, Vocabulary
from lmcore.ngram import SMOOTHING, NGram, main, read
from lmcore.smoothing import one_discount, three_discounts
from tests import plain

# "This is the house that Jack built", whole. KenLM 0.3 (lmplz -o N --discount_fallback, then query) gave the numbers below.
LINES = (
    "the house that jack built",
    "the malt that lay in",
    "the rat that ate",
    "the cat that killed",
    "the dog that worried",
    "the cow with the crumpled horn that tossed",
    "the maiden all forlorn that milked",
    "the man all tattered and torn that kissed",
    "the priest all shaven and shorn that married",
    "the cock that crowed in the morn that waked",
    "the farmer sowing his corn that kept",
)
JACK = ["this is " + " ".join(reversed(LINES[: i + 1])) for i in range(len(LINES))]
JACK_WORDS = {*" ".join(JACK).split(), UNK}  # KenLM's vocabulary always has an unknown word
KENLM_3 = {
    "this is the cat that jack kissed": [
        -0.06258552,
        -0.019876303,
        -0.017254757,
        -1.1478311,
        -0.023906238,
        -2.2078068,
        -3.1431794,
        -2.1017869,
    ],
    "the dog and the horse that ate the malt": [
        -1.7097714,
        -1.2891304,
        -2.6155744,
        -1.1455001,
        -2.1398888,
        -0.84447,
        -1.3047168,
        -0.021184053,
        -0.0483717,
        -3.1017869,
    ],
    "": [-2.6660583],
    "house": [-2.6660583, -2.1017869],
}
KENLM_DISCOUNTS = {
    1: {1: (0.384615, 0.846154, 1.46154)},
    2: {1: (0.906977, 0.639535, 3), 2: (0.304348, 1.08696, 1.78261)},
    3: {1: (0.906977, 0.639535, 3), 2: (0.5, 1, 1.5), 3: (0.5, 0.666667, 1)},
    4: {1: (0.906977, 0.639535, 3), 2: (0.5, 1, 1.5), 3: (0.5, 1, 1.5), 4: (0.617021, 0.35461, 0.531915)},
}
SAM = ["I am Sam", "Sam I am", "I do not like green eggs and ham"]  # Jurafsky and Martin, chapter 3


@pytest.mark.parametrize("text", KENLM_3)
def test_log_probs_are_kenlms(text: str) -> None:
    model = NGram(3, vocabulary=JACK_WORDS).fit(JACK)
    assert model.log_probs(text) / math.log(10) == pytest.approx(KENLM_3[text], abs=2e-6)


def test_perplexity_is_kenlms() -> None:
    """KenLM: "Perplexity including OOVs" of the four sentences above, one of which is empty and one holds an unknown word."""
    assert NGram(3, vocabulary=JACK_WORDS).fit(JACK).perplexity(list(KENLM_3)) == pytest.approx(27.96381412735098, rel=1e-6)
    assert NGram(4, vocabulary=JACK_WORDS).fit(JACK).perplexity(list(KENLM_3)) == pytest.approx(27.53485615645418, rel=1e-6)


@pytest.mark.parametrize("order", KENLM_DISCOUNTS)
def test_discounts_and_fallbacks_are_kenlms(order: int) -> None:
    model = NGram(order).fit(JACK)
    assert model.discounts.keys() == KENLM_DISCOUNTS[order].keys()
    for n, discounts in KENLM_DISCOUNTS[order].items():
        assert model.discounts[n] == pytest.approx(discounts, abs=1e-5)
    assert model.fallbacks == {1: (), 2: (), 3: (2,), 4: (2, 3)}[order]


def test_maximum_likelihood_of_the_textbook() -> None:
    """The bigrams of Jurafsky and Martin, section 3.1."""
    model = NGram(2, "none").fit(SAM)
    given = lambda word, *before: model.next_distribution(before)[word]  # noqa: E731
    assert given("I") == pytest.approx(2 / 3)
    assert given("Sam") == pytest.approx(1 / 3)
    assert given("am", "I") == pytest.approx(2 / 3)
    assert given("do", "I") == pytest.approx(1 / 3)
    assert given(END, "Sam") == pytest.approx(1 / 2)
    assert given("Sam", "I", "am") == pytest.approx(1 / 2)


def test_the_longest_end_that_was_seen_decides_without_smoothing() -> None:
    model = NGram(3, "none").fit(SAM)
    assert model.next_distribution("ham I") == pytest.approx(NGram(2, "none").fit(SAM).next_distribution("I"))


class Reference:
    """Every method of ``lmcore.smoothing`` from its definition, one word and one context at a time, on lists of tuples."""

    def __init__(self, order: int, smoothing: str, sentences: list[str], k: float) -> None:
        self.order, self.smoothing, self.k = order, smoothing, k
        padded = [(START, *s.split(), END) for s in sentences]
        self.vocabulary = sorted({w for s in padded for w in s} - {START})
        self.raw = {
            n: Counter(g for s in padded for g in zip(*(s[i:] for i in range(n)), strict=False)) for n in range(1, order + 2)
        }
        del self.raw[1][(START,)]

    def count(self, gram: tuple[str, ...]) -> int:
        n = len(gram)
        if "kneser" in self.smoothing and n < self.order and gram[0] != START:
            return sum(1 for longer in self.raw[n + 1] if longer[1:] == gram)
        return self.raw[n][gram]

    def prepare(self) -> None:
        self.a = {n: {g: self.count(g) for g in self.raw[n]} for n in range(1, self.order + 1)}
        self.after = defaultdict(dict)
        for n in self.a:
            for gram, value in self.a[n].items():
                self.after[gram[:-1]][gram[-1]] = value

    def discount(self, n: int, value: int) -> float:
        many = Counter(self.a[n].values())
        n1, n2, n3, n4 = (many[j] for j in (1, 2, 3, 4))
        if self.smoothing != "modified-kneser-ney":
            return n1 / (n1 + 2 * n2) if n1 and n2 else 0.75
        if n1 and n2 and n3:
            y = n1 / (n1 + 2 * n2)
            found = 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3
            if all(0 < d <= j for j, d in zip((1, 2, 3), found, strict=True)):
                return found[min(value, 3) - 1]
        return (0.5, 1.0, 1.5)[min(value, 3) - 1]

    def p(self, word: str, context: tuple[str, ...]) -> float:
        size = len(self.vocabulary)
        if self.smoothing == "add-k":
            following = self.after[context]
            return (following.get(word, 0) + self.k) / (sum(following.values()) + self.k * size)
        return self.shorter(word, context)

    def shorter(self, word: str, context: tuple[str, ...] | None) -> float:
        if context is None:
            return 1 / len(self.vocabulary)
        below = context[1:] if context else None
        following, n = self.after[context], len(context) + 1
        if not following:
            return self.shorter(word, below)
        total, value = sum(following.values()), following.get(word, 0)
        if self.smoothing == "none":
            return value / total
        if "kneser" in self.smoothing:
            left = sum(self.discount(n, v) for v in following.values()) / total
            return (value - self.discount(n, value) if value else 0) / total + left * self.shorter(word, below)
        if len(following) == len(self.vocabulary):
            return value / total
        if value:
            return (value - self.discount(n, value)) / total
        left = sum(self.discount(n, v) for v in following.values()) / total
        return left * self.shorter(word, below) / sum(self.shorter(w, below) for w in self.vocabulary if w not in following)


def _corpus(seed: int) -> list[str]:
    """Sentences of 0 to 8 words in which every word is likely after some words and absent after others."""
    rng = np.random.default_rng(seed)
    words = np.array(list("abcdefg"))
    table = rng.dirichlet(np.full(7, 0.3), size=8)
    sentences = []
    for length in rng.integers(0, 9, size=41):
        state, sentence = 7, []
        for _ in range(length):
            state = rng.choice(7, p=table[state])
            sentence.append(words[state])
        sentences.append(" ".join(sentence))
    return sentences


@pytest.mark.parametrize("smoothing", SMOOTHING)
@pytest.mark.parametrize(("order", "seed"), [(1, 0), (2, 1), (3, 2), (3, 3), (4, 4), (5, 5)])
def test_every_method_equals_its_definition(smoothing: str, order: int, seed: int) -> None:
    """On seen and unseen contexts of every length up to 3, and the distribution sums to 1 on every one."""
    sentences = _corpus(seed)
    model = NGram(order, smoothing, k=0.37).fit(sentences)
    reference = Reference(order, smoothing, sentences, k=0.37)
    reference.prepare()
    assert model.vocabulary == (*sorted(set(reference.vocabulary) - {END}), END)
    words = [w for w in reference.vocabulary if w != END]
    for length in range(4):
        for i, prefix in enumerate(itertools.product(words, repeat=length)):
            context = (START, *prefix)[-(order - 1) :] if order > 1 else ()
            found = model.next_distribution(prefix)
            assert sum(found.values()) == pytest.approx(1, abs=1e-12)
            if length < 3 or i % 11 == seed:
                for word, p in found.items():
                    assert p == pytest.approx(reference.p(word, context), rel=1e-9, abs=1e-14)


@pytest.mark.parametrize("smoothing", SMOOTHING)
def test_log_probs_are_those_of_next_distribution(smoothing: str) -> None:
    model = NGram(3, smoothing).fit(_corpus(6))
    for text in (*_corpus(7), "g a a g a g c", ""):
        tokens = text.split()
        with np.errstate(divide="ignore"):
            stepwise = [np.log(model.next_distribution(tokens[:i])[w]) for i, w in enumerate([*tokens, END])]
        assert model.log_probs(text) == pytest.approx(stepwise)
        assert model.log_prob(tokens) == pytest.approx(sum(stepwise))


@pytest.mark.parametrize("smoothing", SMOOTHING)
def test_all_strings_together_have_probability_one(smoothing: str) -> None:
    """What is missing in the sum over all strings of up to n words is the probability of being longer."""
    model = NGram(3, smoothing, k=2.0).fit(["a b", "b a a", "b", "a"])
    done, longer = 0.0, {(): 1.0}
    for _ in range(6):
        following = {}
        for prefix, p in longer.items():
            for word, q in model.next_distribution(prefix).items():
                if word == END:
                    assert math.log(p * q or 1e-300) == pytest.approx(max(model.log_prob(prefix), math.log(1e-300)))
                    done += p * q
                else:
                    following[(*prefix, word)] = p * q
        longer = following
    assert 0.5 < done < 1 + 1e-12
    assert done + sum(longer.values()) == pytest.approx(1)


def test_a_distribution_over_a_large_vocabulary_sums_to_one() -> None:
    rng = np.random.default_rng(8)
    sentences = [" ".join(f"w{i}" for i in rng.zipf(1.3, size=11) % 3001) for _ in range(2003)]
    for smoothing in SMOOTHING:
        model = NGram(5, smoothing).fit(sentences)
        for sentence in sentences[::311]:
            for end in range(0, 11, 3):
                assert sum(model.next_distribution(sentence.split()[:end]).values()) == pytest.approx(1, abs=1e-12)


def test_start_is_never_predicted_and_end_is() -> None:
    model = NGram(2, "add-k").fit(SAM)
    assert START not in model.vocabulary
    assert model.vocabulary[-1] == END
    assert len(model.log_probs("I am")) == 3


def test_kneser_ney_counts_contexts_not_occurrences() -> None:
    """The most frequent word follows one word only, so after a new context it is as unlikely as a rare word."""
    sentences = ["san francisco"] * 9 + ["my glasses", "your glasses", "old glasses", "his glasses", "san jose", "new house"]
    fresh = NGram(2, "kneser-ney").fit(sentences).next_distribution("house")
    assert fresh["glasses"] > 2 * fresh["francisco"]
    assert fresh["francisco"] == pytest.approx(fresh["jose"])
    assert NGram(1, "none").fit(sentences).next_distribution()["francisco"] > 9 / 15 / 4


def test_counts_of_a_sentence() -> None:
    words = Vocabulary(["b", "a"])
    counts = Counts(words.stream([words.encode(list("abab"))]), order=3, words=len(words))
    grams = {}
    for n, level in counts.by_length():
        names = [*words.words, START]
        for i in range(len(level)):
            context, gram = i, []
            for m in range(n, 0, -1):
                gram.insert(0, names[counts[m].word[context]])
                context = counts[m].context[context]
            grams[tuple(gram)] = int(level.count[i])
    assert grams == {
        ("a",): 2, ("b",): 2, (END,): 1, (START,): 0,
        (START, "a"): 1, ("a", "b"): 2, ("b", "a"): 1, ("b", END): 1,
        (START, "a", "b"): 1, ("a", "b", "a"): 1, ("b", "a", "b"): 1, ("a", "b", END): 1,
    }  # fmt: skip


def test_an_order_longer_than_every_sentence() -> None:
    for smoothing in SMOOTHING:
        model = NGram(17, smoothing).fit(["a b", "a", ""])
        assert sum(model.next_distribution("a b a b a").values()) == pytest.approx(1)


def test_characters_are_tokens_too() -> None:
    model = NGram(3).fit([list("he likes"), list("he licks")])
    assert " " in model.vocabulary
    assert model.sample(0, prefix=list("he ")) != []


@pytest.mark.parametrize("smoothing", SMOOTHING)
def test_samples_follow_the_model(smoothing: str) -> None:
    """χ² of whole sentences: those with an expected number of at least 5, and all others together."""
    model = NGram(2, smoothing, k=0.1).fit(["a b", "b a a", "b", "a", "c b a"])
    rng = np.random.default_rng(9)
    draws = Counter(" ".join(model.sample(rng)) for _ in range(2500))
    expected = {text: 2500 * math.exp(model.log_prob(text)) for text in draws}
    likely = [text for text in draws if expected[text] >= 5]
    observed = [draws[text] for text in likely]
    ideal = [expected[text] for text in likely]
    assert stats.chisquare([*observed, 2500 - sum(observed)], [*ideal, 2500 - sum(ideal)]).pvalue > 1e-3


def test_samples_are_seeded_and_continue_a_prefix() -> None:
    model = NGram(3).fit(JACK)
    assert model.sample(11) == model.sample(11)
    assert len({tuple(model.sample(seed)) for seed in range(20)}) > 5
    assert model.sample(1, prefix="this is the")[:3] == ["this", "is", "the"]
    assert len(model.sample(2, max_tokens=4)) <= 4
    assert NGram(4, "none").fit(["a b c"]).sample(0) == ["a", "b", "c"]


def test_rare_words_become_unknown_words() -> None:
    model = NGram(2, min_count=2).fit(["a a b", "a b z", "b a y"])
    assert model.vocabulary == (UNK, "a", "b", END)
    assert model.log_prob("a never") == model.log_prob("a z") == model.log_prob(["a", UNK])
    score = model.score(["a never b", "a"])
    assert (score.words, score.unknown, score.skipped, score.tokens) == (4, 1, 0, 6)


def test_unknown_words_are_left_out_and_counted() -> None:
    """A skipped word costs nothing, and the next word sees nothing from before it: as after a word that was never in a text."""
    model = NGram(3, vocabulary=[*" ".join(SAM).split(), "never"]).fit(SAM)
    score = model.score(["I am zzz Sam", "yyy"], skip_unknown=True)
    assert (score.sentences, score.words, score.unknown, score.skipped, score.tokens) == (2, 5, 2, 2, 5)
    first, second = model.log_probs("I am never Sam"), model.log_probs("never")
    assert score.log_prob == pytest.approx(first.sum() - first[2] + second[1])
    with pytest.raises(ValueError, match="'zzz'"):
        model.score(["I am zzz Sam"])


def test_a_vocabulary_can_be_given() -> None:
    model = NGram(2, vocabulary=["a", "b", "never"]).fit(["a b"])
    assert 0 < model.next_distribution("a")["never"] < model.next_distribution("a")["b"]
    assert NGram(2, "none", vocabulary=["a", "b", "never"]).fit(["a b"]).next_distribution("never")["a"] == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match="not in the vocabulary of 3 words: 'c'"):
        NGram(2, vocabulary=["a", "b"]).fit(["a c"])


def test_perplexity_by_hand() -> None:
    """p(a) = p(b) = 1/4 and p(<end>) = 1/2; three predictions, <end> among them."""
    model = NGram(1, "none").fit(["a", "b"])
    assert model.perplexity(["a b"]) == pytest.approx((4 * 4 * 2) ** (1 / 3))
    assert model.score(["a b", "a"]).cross_entropy == pytest.approx(math.log(4 * 4 * 2 * 4 * 2) / 5)
    assert NGram(2, "none").fit(["a", "b"]).perplexity(["a b"]) == math.inf
    assert NGram(2, "none").fit(["a", "b"]).score(["a b"]).impossible == 1


def test_more_context_helps_and_smoothing_orders_as_published() -> None:
    """Chen and Goodman 1999: modified Kneser–Ney ahead of Kneser–Ney ahead of backoff, and add-one far behind."""
    rng = np.random.default_rng(10)
    table = rng.dirichlet(np.full(200, 0.05), size=(200, 3))
    sentences = []
    for _ in range(1500):
        sentence, state, before = [], 0, 0
        for _ in range(12):
            before, state = state, rng.choice(200, p=table[state, before % 3])
            sentence.append(f"w{state}")
        sentences.append(sentence)
    train, test = sentences[:1200], sentences[1200:]
    vocabulary = [f"w{i}" for i in range(200)]
    by_order = [NGram(n, vocabulary=vocabulary).fit(train).perplexity(test) for n in (1, 2, 3)]
    assert by_order[0] > by_order[1] > by_order[2]
    by_method = {s: NGram(3, s, vocabulary=vocabulary).fit(train).perplexity(test) for s in SMOOTHING}
    assert by_method["modified-kneser-ney"] < by_method["backoff"] < by_method["add-k"] < by_method["none"] == math.inf
    assert by_method["kneser-ney"] < by_method["backoff"]


def test_discounts_need_counts_that_fall() -> None:
    """With few pairs and many triples the formula would subtract less than nothing."""
    assert three_discounts(np.array([1, 1, 1, 1, 2, 2, 3, 4])) == pytest.approx((0.5, 2 - 1.5 / 2, 3 - 2))
    assert three_discounts(np.array([1, 1, 1, 1, 2, 3, 3, 3])) is None
    assert three_discounts(np.array([1, 1, 3, 3])) is None
    assert one_discount(np.array([1, 1, 2, 5])) == pytest.approx((0.5,))
    assert one_discount(np.array([1, 1, 3])) is None
    assert one_discount(np.array([], dtype=int)) is None


def test_a_model_can_be_fitted_again_and_survives_a_failed_fit() -> None:
    model = NGram(2).fit(["a b"])
    before = model.log_prob("a b")
    with pytest.raises(ValueError, match=START):
        model.fit(["a", f"{START} b"])
    assert model.log_prob("a b") == before
    assert model.fit(["c"]).vocabulary == ("c", END)


def test_the_command_reports_what_the_library_computes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "train.txt").write_text("\n".join(JACK) + "\n\n", encoding="utf-8")
    (tmp_path / "test.txt").write_text("this is the cat\n\nthe dog that zebra\n", encoding="utf-8")
    main([str(tmp_path / "train.txt"), str(tmp_path / "test.txt"), "--order", "3", "--sample", "2"])
    out = capsys.readouterr().out
    model = NGram(3).fit(JACK)
    expected = model.perplexity(["this is the cat", "the dog that zebra"], skip_unknown=True)
    assert f"perplexity {expected:.2f}" in out
    assert "2 sentences, 8 words, 1 unknown (left out)" in out
    assert "discounts of length 2: 0.5000, 1.0000, 1.5000 (fixed" in out
    assert " ".join(model.sample(np.random.default_rng((0, 1)))) in out


def test_the_command_runs_as_documented(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a b\nb a\n", encoding="utf-8")
    command = [sys.executable, "-W", "error", "-m", "lmcore.ngram", "--order", "2"]
    good = subprocess.run([*command, "a.txt", "a.txt"], cwd=tmp_path, capture_output=True, text=True)
    assert good.returncode == 0, good.stderr
    assert "perplexity" in good.stdout
    assert good.stderr == ""  # no progress bar away from a terminal
    bad = subprocess.run([*command, "a.txt", "missing.txt"], cwd=tmp_path, capture_output=True, text=True)
    assert bad.returncode == 2
    assert "there is no file 'missing.txt'" in bad.stderr


def test_reading_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(" a b \n\n \nc\u2028d\n", encoding="utf-8")
    assert [line.split() for line in read(tmp_path / "a.txt")] == [["a", "b"], ["c", "d"]]
    (tmp_path / "latin.txt").write_bytes("café".encode("latin-1"))
    with pytest.raises(ValueError, match=r"not UTF-8"):
        read(tmp_path / "latin.txt")
    (tmp_path / "empty.txt").write_text("\n\n")
    with pytest.raises(ValueError, match="holds no sentence"):
        read(tmp_path / "empty.txt")
    with pytest.raises(FileNotFoundError, match=r"no file .*nowhere"):
        read(tmp_path / "nowhere")


BAD_INPUT = {
    "NGram(0)": "ValueError: order must be a whole number from 1 on; got 0",
    "NGram(-2)": "ValueError: order must be a whole number from 1 on; got -2",
    "NGram('3')": "ValueError: order must be a whole number from 1 on; got '3'",
    "NGram(2.0)": "ValueError: order must be a whole number from 1 on; got 2.0",
    "NGram(True)": "ValueError: order must be a whole number from 1 on; got True",
    "NGram(None)": "ValueError: order must be a whole number from 1 on; got None",
    "NGram(2, 'laplace')": "ValueError: smoothing 'laplace' is not known; use one of modified-kneser-ney, kneser-ney,",
    "NGram(2, 3)": "ValueError: smoothing 3 is not known",
    "NGram(2, ['none'])": "ValueError: smoothing ['none'] is not known",
    "NGram(2, k=0)": "ValueError: k must be a number above 0; got 0",
    "NGram(2, k=-1.5)": "ValueError: k must be a number above 0; got -1.5",
    "NGram(2, k=float('nan'))": "ValueError: k must be a number above 0; got nan",
    "NGram(2, k=float('inf'))": "ValueError: k must be a number above 0; got inf",
    "NGram(2, k='1')": "ValueError: k must be a number above 0; got '1'",
    "NGram(2, min_count=0)": "ValueError: min_count must be a whole number from 1 on; got 0",
    "NGram(2, vocabulary='a b')": "ValueError: vocabulary must be a list of words; got str 'a b'",
    "NGram(2, vocabulary=[1])": "ValueError: a text must be a string or a sequence of strings; got list [1]",
    "NGram(2, vocabulary=3)": "ValueError: vocabulary must be a list of words; got int 3",
    "NGram(2).fit('a b c')": "ValueError: expected a list of texts; got str 'a b c'. For one text, write [text]",
    "NGram(2).fit([])": "ValueError: expected at least one text; got none",
    "NGram(2).fit(3)": "ValueError: expected a list of texts; got int 3",
    "NGram(2).fit([['a', 3]])": "ValueError: a text must be a string or a sequence of strings; got list ['a', 3]",
    "NGram(2).fit([b'a b'])": "ValueError: a text must be a string or a sequence of strings; got bytes b'a b'",
    "NGram(2).fit(['a <start> b'])": "ValueError: the text contains <start>, which the model adds itself; remove it",
    "NGram(2).fit(['a <end>'])": "ValueError: the text contains <end>, which the model adds itself; remove it",
    "NGram(2).log_prob('a')": "ValueError: this model has seen no text yet; call fit(sentences) first",
    "NGram(2).vocabulary": "ValueError: this model has seen no text yet",
    "NGram(2).discounts": "ValueError: this model has seen no text yet",
    "model.log_probs('a zebra')": "ValueError: not in the vocabulary of 3 words: 'zebra'. Train with min_count=2",
    "model.next_distribution('zebra')": "ValueError: not in the vocabulary of 3 words: 'zebra'",
    "model.next_distribution('a <end>')": "ValueError: the text contains <end>",
    "model.next_distribution(3)": "ValueError: a text must be a string or a sequence of strings; got int 3",
    "model.perplexity('a b')": "ValueError: expected a list of texts; got str 'a b'",
    "model.perplexity([])": "ValueError: expected at least one text; got none",
    "model.perplexity(['a c d'])": "ValueError: not in the vocabulary of 3 words: 'c', 'd'",
    "model.sample('0')": "ValueError: rng must be a seed or numpy.random.default_rng(seed); got '0'",
    "model.sample(-1)": "ValueError: rng must be a seed or numpy.random.default_rng(seed); got -1",
    "model.sample(0, max_tokens=0)": "ValueError: max_tokens must be a whole number from 1 on; got 0",
    "read('missing.txt')": "FileNotFoundError: there is no file 'missing.txt'; give a text file with one sentence a line",
    "read('.')": "FileNotFoundError: there is no file '.'",
}


@pytest.fixture(scope="module")
def answers() -> dict[str, str]:
    prelude = "from lmcore.ngram import NGram, read\nmodel = NGram(2).fit(['a b', 'b a'])"
    return plain.errors(prelude, BAD_INPUT)


@pytest.mark.parametrize("call", BAD_INPUT)
def test_bad_input_is_answered_in_words(call: str, answers: dict[str, str]) -> None:
    assert answers[call].startswith(BAD_INPUT[call])
