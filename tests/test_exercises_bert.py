"""The banks of chapters 13 to 15 ask for what the package computes: references beside ``lmcore``, and embeddings in MiniLM."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import exercises
from lmcore import bert, evaluate, pretrained, vit
from lmcore.bert.features import LayerFeatures, WeightedSum, concatenated, layer_features, word_inputs
from lmcore.check import encoder, swap, wire
from lmcore.check.diagnose import examine
from lmcore.check.run import Answer, Case, run_case
from lmcore.check.values import EQUALITIES, NOT_INSTALLED, difference
from lmcore.wordpiece import BERT_SPECIAL, WordPiece
from tests.answers import drawn, integers, reference, same

B, T, C, V, W = 3, 7, 5, 11, 4
IGNORED = -100


# Chapter 13


@pytest.mark.parametrize("seed", [3, 5, 11])
def test_choose_and_mask_is_the_noise_of_the_package_with_its_draws(seed):
    special, mask, size = [0, 3, 4, 8], 3, 23
    ids, words = integers(size, 5, 4001, seed=seed), [word for word in range(size) if word not in special]
    want = bert.mask_tokens(
        ids, mask_id=mask, random_ids=torch.tensor(words), special=special, rng=np.random.default_rng(seed)
    )  # fmt: skip
    rng = np.random.default_rng(seed)
    choose, kind = (torch.as_tensor(rng.random(ids.shape)) for _ in range(2))
    which = torch.as_tensor((rng.integers(len(words), size=ids.shape) + 0.5) / len(words))
    got = reference("choose_and_mask")(ids, special, mask, size, choose, kind, which)
    assert torch.equal(got[0], want.ids)
    assert torch.equal(got[1], want.targets)
    assert {int(n) for n in got[0][got[1] != IGNORED]} == {mask, *words}  # every fate, every word


@pytest.mark.parametrize("share", [0.0, 0.2, 1.0])
def test_masked_language_loss_is_that_of_the_package_and_of_torch(share):
    states, E, bias = (part.requires_grad_() for part in (drawn(B, T, C), drawn(V, C, seed=1), drawn(V, seed=2)))
    targets = torch.where(torch.rand(B, T, generator=torch.Generator().manual_seed(3)) < share, integers(V, B, T), IGNORED)

    def by_torch(logits, targets):
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())

    for loss in (bert.masked_loss, by_torch) if share else (bert.masked_loss,):
        got = reference("masked_language_loss")(states, targets, E, bias)
        same(got, loss(states @ E.T + bias, targets), [states, E, bias])
        assert (got == 0) == (not share)


def tokenizer():
    return WordPiece([*BERT_SPECIAL, *"abcdefghij", *(f"##{letter}" for letter in "abcdefghij")])


@pytest.mark.parametrize("seed", [2, 3])
def test_sentence_pairs_are_those_of_the_package_with_its_draws(seed):
    documents = [["a b", "c", "d e f"], ["g"], ["h", "i j"], ["abc", "b", "c d", "e"], ["f", "g h"]]
    pieces = tokenizer()
    stream = bert.SentencePairs(documents, 3, tokenizer=pieces, shuffle=False, epochs=1, seed=seed)
    rows = stream.rows(np.random.default_rng(seed))
    rng = np.random.default_rng(seed)
    false = rng.integers(2, size=len(rows))
    others = len(rows) - stream.counts
    draws = (rng.integers(others) + 0.5) / others
    numbers = [[pieces.encode(sentence) for sentence in document] for document in documents]
    cls, sep = (pieces.number[token] for token in ("[CLS]", "[SEP]"))
    got = reference("sentence_pairs")(numbers, (0.25 + 0.5 * false).tolist(), draws.tolist(), cls, sep)
    assert {label for *_, label in got} == {0, 1}
    assert [label for *_, label in got] == stream.labels(rows).tolist()
    for (ids, segments, _), row in zip(got, rows, strict=True):
        want = stream.example(row)
        assert (ids, segments) == (want[0].tolist(), want[1].tolist())


def small_bert(eps=1e-12):
    torch.manual_seed(3)
    config = bert.BertConfig(V, 6, 2, 1, hidden=5, max_length=T + 2, segments=3, dropout=0.0, eps=eps)
    model = bert.Bert(config).double()
    with torch.no_grad():
        for i, parameter in enumerate(model.parameters()):
            parameter.copy_(drawn(*parameter.shape, seed=i))
    return model


def tables(model):
    return model.tokens.weight, model.positions.weight, model.segments.weight, model.norm.weight, model.norm.bias


@pytest.mark.parametrize("eps", [1e-12, 0.3])
def test_bert_embeddings_are_those_of_the_package(eps):
    model, ids, segments = small_bert(eps), integers(V, B, T), integers(3, B, T, seed=1)
    got = reference("bert_embeddings")(ids, segments, *tables(model), eps)
    same(got, model.look(ids, None, segments).states[0], tables(model))


# Chapter 14


def test_masked_mean_is_the_pooling_of_the_package():
    states, lengths = drawn(B, T, C).requires_grad_(), torch.tensor([7, 1, 4])
    mask = torch.arange(T) < lengths[:, None]
    same(reference("masked_mean")(states, mask), bert.mean_pool(states, lengths), [states])


@pytest.mark.parametrize("count", [1, 4, 5])
def test_layer_concatenation_is_that_of_the_package(count):
    states = drawn(6, B, T, C)
    first = integers(T, B, W)
    words = torch.stack([states[:, b, first[b]] for b in range(B)])  # B L W C
    assert torch.equal(reference("layer_concatenation")(states, count, first), concatenated(words, count))


def test_layer_concatenation_reads_the_features_of_words():
    model, pieces = bert.Bert(bert.BertConfig(25, 6, 2, 3, hidden=5, max_length=13, dropout=0.0)).double().eval(), tokenizer()
    texts = [["ab", "c"], ["d", "efg"]]
    given, found = word_inputs(pieces, texts), layer_features(model, pieces, texts)
    states = torch.stack(model.look(given.ids, given.lengths).states)
    assert isinstance(found, LayerFeatures)
    torch.testing.assert_close(reference("layer_concatenation")(states, 2, given.places), concatenated(found.states, 2))


def test_scalar_mix_is_the_weighted_sum_of_the_package():
    mix = WeightedSum(4).double()
    with torch.no_grad():
        mix.weight.copy_(drawn(4, seed=1))
        mix.scale.fill_(-1.3)
    states = drawn(4, B, W, C).requires_grad_()
    below = torch.zeros(B, 1, W, C, dtype=torch.float64)  # embeddings, which a sum of four layers does not reach
    want = mix(torch.cat([below, states.transpose(0, 1)], 1))
    same(reference("scalar_mix")(states, mix.weight, mix.scale), want, [states, mix.weight, mix.scale])


@pytest.mark.parametrize("seed", range(20))
def test_entity_f1_is_that_of_seqeval(seed):
    """Tags of any kind, also those that no model should write."""
    rng = np.random.default_rng(seed)
    tags = ["O", *(f"{begin}-{kind}" for begin in "BI" for kind in ("PER", "LOC", "DAY"))]
    truth = [rng.choice(tags, size=size, p=[0.4, *[0.1] * 6]).tolist() for size in rng.integers(1, 12, size=9)]
    predicted = [[str(rng.choice(tags)) if rng.random() < 0.3 else tag for tag in row] for row in truth]
    want = evaluate.span_f1(truth, predicted)
    got = reference("entity_f1")(truth, predicted)
    assert got == pytest.approx((want.precision, want.recall, want.f1))
    assert 0 < got[2] < 1


# Chapter 15


@pytest.mark.parametrize(("channels", "height", "width", "size"), [(1, 8, 8, 4), (3, 6, 10, 2), (2, 9, 3, 3), (5, 2, 3, 1)])
def test_patches_and_back_are_those_of_the_package(channels, height, width, size):
    images = integers(256, B, channels, height, width).double()
    cut = reference("patches")(images, size)
    assert torch.equal(cut, vit.patchify(images, size))
    assert torch.equal(vit.unpatchify(cut, size, height, width), images)
    shuffled = cut[:, torch.randperm(cut.shape[1], generator=torch.Generator().manual_seed(5))]
    back = reference("unpatches")(shuffled, size, height, width)
    assert torch.equal(back, vit.unpatchify(shuffled, size, height, width))
    assert torch.equal(reference("unpatches")(cut, size, height, width), images)


def test_patches_times_a_matrix_are_a_convolution_with_the_stride_of_a_patch():
    images, kernel = drawn(B, 3, 4, 6), drawn(C, 3, 2, 2, seed=1)
    want = F.conv2d(images, kernel, stride=2).flatten(2).mT
    torch.testing.assert_close(reference("patches")(images, 2) @ kernel.permute(2, 3, 1, 0).flatten(0, 2), want)


# Ready-made functions


def masked_by_the_package(ids, special, mask, size, choose, kind, which):
    random_ids = torch.tensor([word for word in range(size) if word not in special])
    bert.mask_tokens(ids, mask_id=mask, random_ids=random_ids, special=special, rng=np.random.default_rng(0))
    return reference("choose_and_mask")(ids, special, mask, size, choose, kind, which)


def pairs_of_the_package(documents, coins, draws, cls, sep):
    bert.SentencePairs([["a", "b"], ["c", "d"]], 2, tokenizer=tokenizer())
    return reference("sentence_pairs")(documents, coins, draws, cls, sep)


def cross_entropy(states, targets, E, bias):
    loss = F.cross_entropy((states @ E.T + bias).flatten(0, 1), targets.flatten(), reduction="sum")
    return loss / (targets != IGNORED).sum().clamp(min=1)


def nll(states, targets, E, bias):
    loss = F.nll_loss((states @ E.T + bias).log_softmax(-1).flatten(0, 1), targets.flatten(), reduction="sum")
    return loss / (targets != IGNORED).sum().clamp(min=1)


def with_layer_norm(ids, segments, E, P, S, weight, bias, eps):
    return F.layer_norm(E[ids] + P[: ids.shape[1]] + S[segments], weight.shape, weight, bias, eps)


class Embeddings(nn.Module):
    """The first of the vectors of a BERT."""

    def __init__(self, config):
        super().__init__()
        self.bert = bert.Bert(config)

    def forward(self, ids, segments):
        return self.bert.look(ids, None, segments).states[0]


def embeddings_of_the_package(ids, segments, E, P, S, weight, bias, eps):
    config = bert.BertConfig(len(E), len(weight), 1, 1, hidden=1, max_length=len(P), segments=len(S), dropout=0.0, eps=eps)
    given = {"tokens.weight": E, "positions.weight": P, "segments.weight": S, "norm.weight": weight, "norm.bias": bias}
    named = {f"bert.{name}": part for name, part in given.items()}
    return torch.func.functional_call(Embeddings(config).to(E), named, (ids, segments))


def masked_tensor_mean(states, mask):
    shape = states.shape
    found = torch.masked.mean(states, 1, mask=mask[..., None].expand(shape))
    return torch.where(mask.any(1, keepdim=True), found, 0.0 * states.sum(1))


def concatenated_by_the_package(states, count, first):
    words = torch.stack([states[:, b, first[b]] for b in range(len(first))])
    return concatenated(words, count)


def mixed_by_the_package(states, weights, scale):
    mix = WeightedSum(len(weights)).to(states)
    values = {"weight": weights, "scale": scale}
    below = torch.zeros_like(states[:1])
    return torch.func.functional_call(mix, values, (torch.cat([below, states]).transpose(0, 1),))


def scored_by_the_package(truth, predicted):
    if not truth:
        evaluate.as_tokens("O")
        return 0.0, 0.0, 0.0
    score = evaluate.span_f1(truth, predicted)
    return score.precision, score.recall, score.f1


def scored_by_seqeval(truth, predicted):
    from seqeval.metrics.sequence_labeling import precision_recall_fscore_support as scores

    if not truth or all(tag == "O" for part in (truth, predicted) for tags in part for tag in tags):
        scores([["B-A"]], [["B-A"]], average="micro")
        return 0.0, 0.0, 0.0
    return tuple(float(score) for score in scores(truth, predicted, average="micro", zero_division=0)[:3])


def unfolded(images, size):
    if images.shape[2] % size or images.shape[3] % size:
        return vit.patchify(images, size)
    found = F.unfold(images.double(), size, stride=size).mT.unflatten(2, (images.shape[1], -1)).mT
    return found.flatten(2).to(images.dtype)


def unshuffled(images, size):
    if images.shape[2] % size or images.shape[3] % size:
        return vit.patchify(images, size)
    found = F.pixel_unshuffle(images, size)  # c · P · P
    return found.flatten(2).mT.unflatten(2, (images.shape[1], -1)).mT.flatten(2)


def folded(vectors, size, height, width):
    given = vectors.double().unflatten(2, (size * size, -1)).mT.flatten(2).mT
    return F.fold(given, (height, width), size, stride=size).to(vectors.dtype)


CHEATS = {
    "choose_and_mask": [masked_by_the_package],
    "masked_language_loss": [
        lambda x, y, E, b: bert.masked_loss(x @ E.T + b, y),
        cross_entropy,
        nll,
    ],
    "sentence_pairs": [pairs_of_the_package],
    "bert_embeddings": [with_layer_norm, embeddings_of_the_package],
    "masked_mean": [masked_tensor_mean],
    "layer_concatenation": [concatenated_by_the_package],
    "scalar_mix": [mixed_by_the_package],
    "entity_f1": [scored_by_the_package, scored_by_seqeval],
    "patches": [lambda images, size: vit.patchify(images, size), unfolded, unshuffled],
    "unpatches": [lambda vectors, size, h, w: vit.unpatchify(vectors, size, h, w), folded],
}  # fmt: skip


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("name", CHEATS)
def test_what_is_ready_made_is_no_answer(name):
    question = exercises.get(name).question(seed=1)
    for cheat in CHEATS[name]:
        allowed = examine(replace(question, ready=()), cheat)
        assert allowed.passed, allowed
        result = examine(question, cheat)
        called = [ok for (_, _, ok), want in zip(result.cases, question.expected, strict=True) if want.status == "ok"]
        assert not any(called)
        assert "ReadyMadeError" in str(result)


def test_every_exercise_of_these_chapters_refuses_the_package():
    for chapter in ("ch13_bert", "ch14_fine_tuning", "ch15_vision_transformer"):
        for exercise in exercises.bank(chapter):
            assert "lmcore" in exercise.ready
            assert exercise.name in CHEATS


# The embeddings in whole models


def embedding_args(texts, seed=0):
    model = small_bert()
    return [integers(V, texts, T, seed=seed), integers(3, texts, T, seed=seed + 1), *(p.detach() for p in tables(model)), 1e-3]


def installed():
    try:
        pretrained.minilm_folder()
    except FileNotFoundError:
        return False
    return True


needs_minilm = pytest.mark.skipif(not installed(), reason="the weights of MiniLM are not installed")


@pytest.fixture
def without_minilm(monkeypatch):
    def nothing():
        raise FileNotFoundError("not here")

    encoder._minilm.cache_clear()
    monkeypatch.setattr(pretrained, "minilm", nothing)
    yield
    encoder._minilm.cache_clear()


def asked(function, args):
    return run_case(function, Case(tuple(args), "a case"), probe="embeddings")


def exact(got, want):
    return difference(got, want, 1e-9, 1e-9) is None


def test_the_random_model_is_the_book_s_own():
    args = embedding_args(B)
    own, swapped, calls = swap.embeddings(*args), swap.embeddings(*args), []
    swapped.put(lambda *given: calls.append(1) or reference("bert_embeddings")(*given))
    want, got = own.outcome(), swapped.outcome()
    assert len(calls) == 1
    assert exact(got["gradients"], want["gradients"])
    assert exact([got[k].detach() for k in ("logits", "loss")], [want[k].detach() for k in ("logits", "loss")])
    assert set(want["gradients"]) == {name for name, _ in own.model.named_parameters()}
    for i in range(2, 7):  # every table of the case is in the model
        changed = swap.embeddings(*args[:i], args[i] + 0.5 * drawn(*args[i].shape, seed=91), *args[i + 1 :]).outcome()
        assert not exact(changed["logits"].detach(), want["logits"].detach())
    assert swap.embeddings(*embedding_args(1)) is None


@pytest.mark.usefixtures("unchecked")
def test_two_texts_go_into_minilm_too_and_more_or_fewer_do_not():
    parts = {texts: list(asked(reference("bert_embeddings"), embedding_args(texts)).value) for texts in (1, 2, 3)}
    whole = ["value", "gradients", "model"]
    assert parts == {1: whole[:2], 2: [*whole, "MiniLM"], 3: whole}


@pytest.mark.usefixtures("unchecked")
def test_the_exercise_is_swapped_on_a_public_and_on_a_hidden_case():
    exercise = exercises.get("bert_embeddings")
    assert (exercise.probe, exercise.equal) == ("embeddings", "where_installed")
    question = exercise.question(seed=1)
    cases = list(zip(question.cases, question.expected, strict=True))
    assert {case.public for case, want in cases if "model" in want.value} == {True, False}
    assert [case.public for case, want in cases if "MiniLM" in want.value] == [True]


@needs_minilm
@pytest.mark.usefixtures("unchecked")
def test_the_vectors_of_minilm_stay_the_same_at_every_layer_with_the_reference_and_only_with_it():
    exercise = exercises.get("bert_embeddings")
    layers = ["embeddings", *(f"layer {n}" for n in range(1, 7))]
    for answer in (exercise.reference, *exercise.right):
        found = encoder.in_minilm(answer, torch.device("cpu"))
        assert list(found) == layers
        assert max(found.values()) < 1e-5
    # The probe does not put in the first of these, and the second has no row for most words of MiniLM.
    fits = [wrong for wrong in exercise.wrong if wrong.__name__ not in ("side_by_side", "position_of_the_word")]
    unnoticed = {wrong.__name__ for wrong in fits if max(encoder.in_minilm(wrong, torch.device("cpu")).values()) < 1e-4}
    # Two have the right values and wrong gradients; an epsilon of 1e-12 is too small to show.
    of_gradients = {"statistics_detached", "no_gradient_for_token_0"}
    assert unnoticed == {*of_gradients, "no_epsilon", "epsilon_outside_the_root", "mean_of_the_three"}


@needs_minilm
def test_a_function_that_changes_a_table_of_minilm_spoils_nothing():
    def spoils(ids, segments, E, P, S, weight, bias, eps):
        y = reference("bert_embeddings")(ids, segments, E, P, S, weight, bias, eps)
        E += 1.0
        return y

    device = torch.device("cpu")
    encoder.in_minilm(spoils, device)
    assert max(encoder.in_minilm(reference("bert_embeddings"), device).values()) < 1e-5

    def raises(*_):
        raise KeyError("no")

    with pytest.raises(KeyError):
        encoder.in_minilm(raises, device)
    model, given, want = encoder._minilm(device)
    assert torch.equal(model.look(*given).states[-1], want[-1])


@pytest.mark.usefixtures("unchecked", "without_minilm")
def test_without_minilm_the_answer_and_a_sentence_say_so():
    given = asked(reference("bert_embeddings"), embedding_args(2))
    assert given.value["MiniLM"] == NOT_INSTALLED
    assert set(given.value["model"]) == {"logits", "loss", "gradients"}
    assert pretrained.INSTALL_MINILM in encoder.real_encoder()


@needs_minilm
def test_with_minilm_a_sentence_says_so():
    assert encoder.real_encoder() == "The check uses a random BERT and MiniLM: 6 layers, width 384, 30,522 tokens."


@needs_minilm
@pytest.mark.usefixtures("unchecked")
def test_a_pack_made_with_minilm_checks_answers_without_it_and_the_other_way_round(monkeypatch):
    exercise = exercises.get("bert_embeddings")
    tried = (exercise.reference, *exercise.wrong[:3])

    def made():
        question = exercise.question(seed=2).only(lambda case: case.public)
        return question, {answer.__name__: question.answers(answer) for answer in tried}

    here, elsewhere = made(), None
    with monkeypatch.context() as patch:
        patch.setattr(encoder, "_minilm", lambda device: None)
        elsewhere = made()
    for question, answers in ((here[0], elsewhere[1]), (elsewhere[0], here[1])):
        for answer in tried:
            given = [Answer.from_record(wire.decode(wire.encode(one.record()))) for one in answers[answer.__name__]]
            passed = all(question.passed(got, want) for got, want in zip(given, question.expected, strict=True))
            assert passed == (answer is exercise.reference)
            assert question.mistaken_for(given) == ([] if passed else [answer.__name__])


def test_what_is_not_installed_does_not_count_and_everything_else_does():
    equal = EQUALITIES["where_installed"]
    assert equal({"a": 1.0, "b": NOT_INSTALLED}, {"a": 1.0, "b": {"c": 2.0}}, 0.0, 0.0) is None
    assert equal({"a": 1.0, "b": {"c": 2.0}}, {"a": 1.0, "b": NOT_INSTALLED}, 0.0, 0.0) is None
    assert equal({"a": 1.0, "b": None}, {"a": 1.0, "b": {"c": 2.0}}, 0.0, 0.0).path == ("b",)
    assert equal({"a": 2.0, "b": NOT_INSTALLED}, {"a": 1.0, "b": 3.0}, 0.0, 0.0).path == ("a",)
    assert equal({"a": 1.0}, {"a": 1.0, "b": 3.0}, 0.0, 0.0).kind == "missing"
    assert equal({"a": torch.ones(2), "b": NOT_INSTALLED}, {"a": torch.ones(2), "b": torch.ones(3)}, 0.0, 0.0) is None
    assert equal([1.0], [2.0], 0.0, 0.0).path == (0,)
