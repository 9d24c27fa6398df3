"""Look-ups equal matrix products, losses equal loops, gradients equal derivations by hand, arithmetic finds what was hidden."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lmcore import END, MASK, PAD, START, UNK, evaluate
from lmcore.analogies import AnalogyScore, WordVectors, analogy_questions, project
from lmcore.batches import Contexts
from lmcore.embeddings import FeedForwardLM, SkipGram, as_language_model, negative_sampling_loss
from lmcore.skipgrams import SkipGrams
from lmcore.train import fit

V, N, C, HIDDEN, B, K = 23, 3, 5, 7, 11, 2


# ---------------------------------------------------------------- the feed-forward language model


@pytest.mark.parametrize("direct", [False, True])
def test_the_feed_forward_model_is_bengios_equation_with_one_hot_vectors(direct):
    torch.manual_seed(0)
    model = FeedForwardLM(V, N, C, HIDDEN, direct=direct).double()
    contexts = torch.randint(V, (B, N))
    E = model.embedding.weight
    for row, context in zip(model(contexts), contexts, strict=True):
        x = torch.cat([F.one_hot(word, V).double() @ E for word in context])
        y = model.output.bias + model.output.weight @ torch.tanh(model.hidden.bias + model.hidden.weight @ x)
        if direct:
            y = y + model.direct.weight @ x
        torch.testing.assert_close(row, y)


def test_word_order_matters_to_the_feed_forward_model_and_every_word_is_seen():
    model = FeedForwardLM(V, N, C, HIDDEN)
    context = torch.tensor([[1, 2, 3]])
    for changed in ([2, 1, 3], [4, 2, 3], [1, 4, 3], [1, 2, 4]):
        assert not torch.allclose(model(context), model(torch.tensor([changed])))


def test_a_tied_model_has_one_matrix_and_the_gradient_of_both_uses():
    torch.manual_seed(0)
    tied = FeedForwardLM(V, N, C, C, tie=True).double()
    loose = FeedForwardLM(V, N, C, C).double()
    assert sum(p.numel() for p in loose.parameters()) - sum(p.numel() for p in tied.parameters()) == V * C
    state = tied.state_dict()
    loose.load_state_dict(state)
    contexts, targets = torch.randint(V, (B, N)), torch.randint(V, (B,))
    for model in (tied, loose):
        F.cross_entropy(model(contexts), targets).backward()
    torch.testing.assert_close(tied(contexts), loose(contexts))
    torch.testing.assert_close(tied.embedding.weight.grad, loose.embedding.weight.grad + loose.output.weight.grad)


@pytest.mark.parametrize("tie", [False, True])
def test_the_feed_forward_model_learns_a_language_with_known_probabilities(tie):
    """Texts are x y z with y fixed by x and z fixed by y, except that a third of the time z is a coin's."""
    rng = np.random.default_rng(0)
    vocabulary = (PAD, START, END, "a", "b", "c", "d", "e")
    texts = []
    for _ in range(400):
        x = int(rng.integers(3, 5))
        z = x + 2 if rng.random() < 2 / 3 else 7
        texts.append([x, x + 2, z])
    entropy = (math.log(2) - (2 / 3 * math.log(2 / 3) + 1 / 3 * math.log(1 / 3))) / 4
    torch.manual_seed(1)
    model = FeedForwardLM(len(vocabulary), 2, 16, 16, tie=tie)
    source = Contexts(texts, 2, 64, start=1, end=2)
    list(fit(model, source, lambda m, b: F.cross_entropy(m(b[0]), b[1]), steps=400, lr=0.02, schedule="linear"))
    model_over_texts = as_language_model(model, vocabulary)
    spelled = [[vocabulary[i] for i in text] for text in texts]
    assert evaluate.cross_entropy(model_over_texts, spelled) == pytest.approx(entropy, abs=0.03)


# ---------------------------------------------------------------- as a language model over whole texts


@pytest.fixture
def small():
    torch.manual_seed(2)
    vocabulary = (PAD, START, "x", END, MASK, "y", UNK, "z")
    return FeedForwardLM(len(vocabulary), 2, C, HIDDEN), vocabulary


def test_probabilities_of_all_texts_of_a_language_sum_to_one(small):
    model = as_language_model(*small)
    words = ("x", "y", "z", UNK)
    ended = sum(math.exp(model.log_prob(text)) for n in range(4) for text in itertools.product(words, repeat=n))
    open_ = sum(
        math.exp(model.log_probs(text)[:-1].sum()) for text in itertools.product(words, repeat=4)
    )  # texts with at least four words
    assert ended + open_ == pytest.approx(1)


def test_log_probs_are_the_next_distributions_one_after_the_other(small):
    model = as_language_model(*small)
    text = "x y z z strange x"
    known = text.replace("strange", UNK).split()
    steps = [model.next_distribution(known[:i]) for i in range(len(known) + 1)]
    assert model.log_probs(text) == pytest.approx(
        [math.log(p[word]) for p, word in zip(steps, [*known, END], strict=True)], abs=1e-6
    )
    assert model.log_prob(text.split()) == pytest.approx(model.log_probs(text).sum())
    for p in steps:
        assert set(p) == {"x", "y", "z", UNK, END}
        assert sum(p.values()) == pytest.approx(1)


def test_a_context_longer_than_the_models_changes_nothing(small):
    model = as_language_model(*small)
    assert model.next_distribution("y x z") == model.next_distribution("z z y x z")
    assert model.next_distribution("x z") != model.next_distribution("y z")


# ---------------------------------------------------------------- skip-gram with negative sampling


def test_scores_are_dot_products_of_a_row_of_each_matrix():
    torch.manual_seed(0)
    model = SkipGram(V, C)
    nn.init.normal_(model.output.weight)
    centres, words = torch.randint(V, (B,)), torch.randint(V, (B, 1 + K))
    scores = model(centres, words)
    E, U = model.embedding.weight.detach(), model.output.weight.detach()
    for b, k in itertools.product(range(B), range(1 + K)):
        expected = sum(float(E[centres[b], i] * U[words[b, k], i]) for i in range(C))
        assert scores[b, k].item() == pytest.approx(expected, abs=1e-6)


def test_the_loss_is_the_loop_of_the_paper():
    scores = torch.randn(B, 1 + K, dtype=torch.double) * 5
    sigmoid = lambda x: 1 / (1 + math.exp(-x))  # noqa: E731
    total = 0.0
    for row in scores.tolist():
        total -= math.log(sigmoid(row[0]))
        for noise in row[1:]:
            total -= math.log(sigmoid(-noise))
    assert negative_sampling_loss(scores).item() == pytest.approx(total / B)
    far = torch.tensor([[-1e4, 1e4]])
    assert negative_sampling_loss(far).item() == pytest.approx(2e4)  # no overflow


def test_gradients_are_the_ones_derived_by_hand():
    torch.manual_seed(0)
    model = SkipGram(V, C).double()
    nn.init.normal_(model.output.weight)
    centres = torch.tensor([3, 3, 8, 1])
    words = torch.tensor([[4, 9, 4], [3, 1, 1], [8, 8, 2], [3, 0, 22]])
    negative_sampling_loss(model(centres, words)).backward()
    E, U = model.embedding.weight.detach(), model.output.weight.detach()
    dE, dU = torch.zeros_like(E), torch.zeros_like(U)
    for c, row in zip(centres.tolist(), words.tolist(), strict=True):
        for k, w in enumerate(row):
            error = torch.sigmoid(U[w] @ E[c]) - float(k == 0)
            dE[c] += error * U[w] / len(centres)
            dU[w] += error * E[c] / len(centres)
    torch.testing.assert_close(model.embedding.weight.grad, dE)
    torch.testing.assert_close(model.output.weight.grad, dU)


def test_at_the_optimum_a_score_is_shifted_pointwise_mutual_information():
    """Levy and Goldberg (2014b): u_o · v_c = log(p(o, c) / (p(c) P_n(o))) − log K, once the vectors are wide enough."""
    rng = np.random.default_rng(0)
    text = rng.choice(4, p=[0.4, 0.3, 0.2, 0.1], size=4000)
    text[1::2] = np.where(rng.random(2000) < 0.5, (text[::2] + 1) % 4, text[1::2])
    texts = text.reshape(-1, 2).tolist()
    source = SkipGrams(texts, 4000, vocab_size=4, window=1, negatives=3, subsample=None, seed=1)
    torch.manual_seed(0)
    model = SkipGram(4, 8)
    list(fit(model, source, lambda m, b: negative_sampling_loss(m(*b)), steps=1200, lr=0.03, schedule="linear"))
    joint = np.zeros((4, 4))
    for a, b in texts:
        joint[a, b] += 1
        joint[b, a] += 1
    conditional = joint / joint.sum(1, keepdims=True)
    expected = np.log(conditional / source.noise) - math.log(3)
    with torch.no_grad():
        found = model(torch.arange(4), torch.arange(4).repeat(4, 1)).numpy()
    assert np.abs(found - expected).max() < 0.1


def test_words_of_the_same_company_become_neighbours():
    rng = np.random.default_rng(3)
    texts = []
    for _ in range(1500):  # words 0–4 keep company with 10–14, words 5–9 with 15–19
        side = int(rng.integers(2))
        texts.append([int(rng.integers(5)) + 5 * side, int(rng.integers(5)) + 10 + 5 * side])
    source = SkipGrams(texts, 256, vocab_size=20, window=1, negatives=3, subsample=None)
    torch.manual_seed(0)
    model = SkipGram(20, 8)
    list(fit(model, source, lambda m, b: negative_sampling_loss(m(*b)), steps=300, lr=0.02))
    vectors = WordVectors([str(i) for i in range(20)], model.embedding.weight)
    for i in range(20):
        assert {int(w) // 5 for w, _ in vectors.neighbours(str(i), 4)} == {i // 5}


# ---------------------------------------------------------------- word vectors


@pytest.fixture
def planted():
    """Countries and capitals whose difference is the same vector, and words that have nothing to do with them."""
    rng = np.random.default_rng(0)
    places, shift = rng.normal(size=(7, 13)), 2 * rng.normal(size=13)
    others = rng.normal(size=(19, 13))
    words = [f"land{i}" for i in range(7)] + [f"city{i}" for i in range(7)] + [f"w{i}" for i in range(19)]
    return WordVectors(words, np.concatenate([places, places + shift, others]) * rng.uniform(0.5, 2, size=(33, 1)))


def test_neighbours_are_sorted_by_cosine_and_leave_the_word_out(planted):
    found = planted.neighbours("w3", 32)
    cosines = {w: float(planted["w3"] @ planted[w]) for w in planted.words if w != "w3"}
    assert [w for w, _ in found] == sorted(cosines, key=cosines.get, reverse=True)
    assert dict(found) == pytest.approx(cosines)
    assert planted.neighbours("w3", 5) == found[:5]


@pytest.mark.parametrize("exclude", [True, False])
def test_scoring_a_set_is_asking_one_by_one(planted, exclude):
    questions = [*analogy_questions([(f"city{i}", f"land{i}") for i in range(7)]), ("w1", "w2", "w3", "w4")]
    score = planted.score_analogies(questions, exclude=exclude)
    one_by_one = tuple(planted.analogy(a, b, c, exclude=exclude)[0][0] for a, b, c, _ in questions)
    assert score.answers == one_by_one
    assert score.correct == sum(answer == q[3] for answer, q in zip(one_by_one, questions, strict=True))
    assert score.total == 43
    assert score.chance == pytest.approx(1 / (30 if exclude else 33))
    if exclude:
        assert score.accuracy > 0.5
        assert not any(answer in q[:3] for answer, q in zip(score.answers, questions, strict=True))


def test_an_analogy_is_the_cosine_with_the_sum_of_unit_vectors(planted):
    target = planted["city1"] - planted["land1"] + planted["land2"]
    for word, cosine in planted.analogy("city1", "land1", "land2", k=30):
        assert cosine == pytest.approx(float(planted[word] @ target / np.linalg.norm(target)))


def test_candidates_restrict_the_answers_and_raise_the_chance(planted):
    cities = [f"city{i}" for i in range(7)]
    questions = analogy_questions([(c, c.replace("city", "land")) for c in cities])
    score = planted.score_analogies(questions, candidates=cities)
    assert set(score.answers) <= set(cities)
    assert score.chance == pytest.approx(1 / 6)
    assert planted.score_analogies(questions, candidates=["w1", "city0"]).chance == pytest.approx((6 / 2) / 42)


def test_chance_is_what_random_vectors_reach():
    pairs = [(f"a{i}", f"b{i}") for i in range(7)]
    words = [w for pair in pairs for w in pair]
    questions = analogy_questions(pairs)
    scores = [
        WordVectors(words, np.random.default_rng(seed).normal(size=(14, 50))).score_analogies(questions) for seed in range(60)
    ]
    mean = np.mean([s.accuracy for s in scores])
    assert abs(mean - scores[0].chance) < 4 * np.std([s.accuracy for s in scores]) / np.sqrt(60)


def test_questions_are_all_ordered_choices_of_two_pairs():
    questions = analogy_questions([("Paris", "France"), ("Rome", "Italy"), ("Oslo", "Norway")])
    assert len(questions) == len(set(questions)) == 6
    assert ("Paris", "France", "Italy", "Rome") in questions


def test_the_interval_is_wilsons():
    score = AnalogyScore(correct=9, total=10, chance=0.1, answers=())
    # https://en.wikipedia.org/wiki/Binomial_proportion_confidence_interval, solved for the bounds: (p̂ − p)² = z² p(1 − p)/n
    for p in score.interval:
        assert (0.9 - p) ** 2 == pytest.approx(1.959964**2 * p * (1 - p) / 10)
    assert score.standard_error == pytest.approx(math.sqrt(0.9 * 0.1 / 10))
    assert AnalogyScore(0, 5, 0.1, ()).interval[0] == 0
    assert AnalogyScore(5, 5, 0.1, ()).interval[1] == 1
    assert "9 of 10 (90.0%" in str(score)


def test_projection_keeps_the_directions_of_largest_variance():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(211, 5)) @ np.diag([1, 7, 0.1, 3, 0.5]) + 9
    places, axes, kept = project(vectors, 3)
    assert np.allclose(axes @ axes.T, np.eye(3))
    values = np.sort(np.linalg.eigvalsh(np.cov(vectors.T)))[::-1]
    assert np.allclose(places.var(axis=0, ddof=1), values[:3])
    assert kept == pytest.approx(values[:3].sum() / values.sum())
    assert np.abs(axes).argmax(axis=1).tolist() == [1, 3, 0]
    assert np.allclose(project(vectors.copy())[0], places[:, :2])
    assert (axes[np.arange(3), np.abs(axes).argmax(axis=1)] > 0).all()


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda v: FeedForwardLM(V, N, C, HIDDEN, tie=True), "hidden=7, dim=5"),
        (lambda v: FeedForwardLM(V, 0, C, HIDDEN), "context=0"),
        (lambda v: FeedForwardLM(V, N, C, HIDDEN)(torch.zeros(1, 4, dtype=torch.long)), "context=3"),
        (lambda v: as_language_model(FeedForwardLM(3, N, C, HIDDEN), (START, END)), "knows 3 words"),
        (lambda v: as_language_model(FeedForwardLM(2, N, C, HIDDEN), ("a", START)), "lacks <end>"),
        (lambda v: as_language_model(FeedForwardLM(3, N, C, HIDDEN), ("a", START, END)).log_probs("a b"), "'b' is not a word"),
        (lambda v: as_language_model(FeedForwardLM(3, N, C, HIDDEN), ("a", START, END)).log_probs(START), "<start>"),
        (lambda v: SkipGram(0, C), "vocab_size=0"),
        (lambda v: negative_sampling_loss(torch.zeros(3, 1)), "at least one for noise"),
        (lambda v: WordVectors(["a", "b"], torch.ones(3, 2)), "shape"),
        (lambda v: WordVectors(["a", "a"], torch.ones(2, 2)), "twice"),
        (lambda v: WordVectors(["a", "b"], torch.tensor([[1.0], [0.0]])), "'b' is zero"),
        (lambda v: WordVectors(["a", "b"], torch.tensor([[1.0], [math.nan]])), "'b' is zero or not finite"),
        (lambda v: v["city9"], "did you mean city"),
        (lambda v: v.neighbours("nowhere"), "'nowhere' is not one of the 33"),
        (lambda v: v.neighbours("w1", 33), "k=33"),
        (lambda v: v.neighbours("w1", 0), "k=0"),
        (lambda v: v.analogy("w1", "w2", "w3", k=31), "k=31"),
        (lambda v: v.score_analogies([]), "at least one"),
        (lambda v: v.score_analogies([("w1", "w2", "w3")]), "four words"),
        (lambda v: v.score_analogies([("w1", "w2", "w3", "w99")]), "w99"),
        (lambda v: v.score_analogies([("w1", "w2", "w3", "w4")], candidates=["w1"]), "without a possible answer"),
        (lambda v: analogy_questions([("a", "b")]), "two pairs"),
        (lambda v: project(np.ones((3, 1)), 2), "k=2"),
    ],
)
def test_bad_input_is_refused_with_what_was_given(planted, make, message):
    with pytest.raises(ValueError, match=message):
        make(planted)
