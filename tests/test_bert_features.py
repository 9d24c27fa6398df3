"""Features: the vectors of words from every layer, and the six choices of layers."""

import pytest
import torch

from lmcore.batches import IGNORE
from lmcore.bert import (
    CHOICES,
    Bert,
    BertConfig,
    LayerChoice,
    WeightedSum,
    concatenated,
    inputs,
    layer_features,
    word_inputs,
    word_targets,
)
from lmcore.wordpiece import BERT_SPECIAL, WordPiece

C, L = 10, 5  # layers, without the embeddings
TEXTS = [["the", "riverbank", "s"], ["the"], ["banks", "\x00", "of", "zzz", "river", "the", "s"]]
PLACES = [[1, 2, 4], [1], [1, 3, 4, 5, 6, 7, 8]]


@pytest.fixture(scope="module")
def tokenizer() -> WordPiece:
    return WordPiece([*BERT_SPECIAL, "the", "river", "bank", "##bank", "##s", "of", "s"])


@pytest.fixture(scope="module")
def model(tokenizer) -> Bert:
    torch.manual_seed(3)
    model = Bert(BertConfig(len(tokenizer), dim=C, heads=2, layers=L, hidden=13, max_length=11, dropout=0.5))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return model


def states(seed: int = 5) -> torch.Tensor:
    return torch.randn(3, L + 1, 7, C, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


# ---------------------------------------------------------------- words


def test_words_are_cut_into_pieces_and_their_first_ones_are_known(tokenizer):
    given = word_inputs(tokenizer, TEXTS)
    shown = [[tokenizer.vocabulary[i] for i in row[:n]] for row, n in zip(given.ids.tolist(), given.lengths, strict=True)]
    assert shown[0] == ["[CLS]", "the", "river", "##bank", "s", "[SEP]"]
    assert shown[2] == ["[CLS]", "bank", "##s", "[UNK]", "of", "[UNK]", "river", "the", "s", "[SEP]"]  # no word gets lost
    assert given.words.tolist() == [3, 1, 7]
    assert [row[:n] for row, n in zip(given.places.tolist(), given.words, strict=True)] == PLACES
    assert not given.places[1, 1:].any()


def test_a_word_has_the_vector_of_its_first_piece_in_every_layer(model, tokenizer):
    found = layer_features(model, tokenizer, TEXTS)
    assert found.states.shape == (3, L + 1, 7, C)
    assert not found.states.requires_grad
    assert not model.training  # no dropout
    for row, (text, places) in enumerate(zip(TEXTS, PLACES, strict=True)):
        given = word_inputs(tokenizer, [text])
        for layer, alone in enumerate(model.look(given.ids).states):
            torch.testing.assert_close(found.states[row, layer, : len(places)], alone[0, places], atol=1e-5, rtol=1e-5)
    assert not found.states[0, :, 3:].any()
    assert not found.states[1, :, 1:].any()


def test_words_give_the_same_tokens_as_the_text(tokenizer):
    text = ["the", "riverbanks", "of", "banks"]
    assert torch.equal(word_inputs(tokenizer, [text]).ids, inputs(tokenizer, [" ".join(text)]).ids)


def test_a_tag_stands_at_the_first_piece_of_its_word(tokenizer):
    given = word_inputs(tokenizer, TEXTS)
    targets = word_targets(given, [[3, 1, 4], [0], [2, 7, 1, 8, 2, 8, 1]])
    assert targets.shape == given.ids.shape
    assert targets[0].tolist() == [IGNORE, 3, 1, IGNORE, 4, *[IGNORE] * 5]
    assert targets[1].tolist() == [IGNORE, 0, *[IGNORE] * 8]
    assert targets[2].tolist() == [IGNORE, 2, IGNORE, 7, 1, 8, 2, 8, 1, IGNORE]


# ---------------------------------------------------------------- choices


def test_the_six_choices_are_those_of_the_paper():
    x = states()
    rows = {name: LayerChoice(name, L).double()(x) for name in CHOICES}
    assert list(rows) == [
        "embeddings", "last", "second_to_last", "weighted_sum", "weighted_last_four", "concatenated_last_four"
    ]  # fmt: skip
    torch.testing.assert_close(rows["embeddings"], x[:, 0])
    torch.testing.assert_close(rows["last"], x[:, 5])
    torch.testing.assert_close(rows["second_to_last"], x[:, 4])
    torch.testing.assert_close(rows["weighted_sum"], (x[:, 1] + x[:, 2] + x[:, 3] + x[:, 4] + x[:, 5]) / 5)  # fresh: the mean
    torch.testing.assert_close(rows["weighted_last_four"], (x[:, 2] + x[:, 3] + x[:, 4] + x[:, 5]) / 4)
    torch.testing.assert_close(rows["concatenated_last_four"], torch.cat([x[:, 2], x[:, 3], x[:, 4], x[:, 5]], dim=-1))
    for name, row in rows.items():
        assert row.shape == (3, 7, LayerChoice(name, L).width(C)), name
        assert sum(p.numel() for p in LayerChoice(name, L).parameters()) == {
            "weighted_sum": L + 1,
            "weighted_last_four": 5,
        }.get(name, 0)


def test_a_weighted_sum_learns_softmax_weights_and_a_scale():
    x, module = states(), WeightedSum(3).double()
    with torch.no_grad():
        module.weight.copy_(torch.tensor([0.3, -1.0, 0.7]))
        module.scale.fill_(1.7)
    e = torch.tensor([0.3, -1.0, 0.7], dtype=torch.float64).exp()
    torch.testing.assert_close(module.shares(), e / e.sum())
    torch.testing.assert_close(module(x), 1.7 * sum(s * x[:, i] for s, i in zip(e / e.sum(), (3, 4, 5), strict=True)))
    torch.autograd.gradcheck(lambda w, s: torch.func.functional_call(module, {"weight": w, "scale": s}, x).sum((0, 1)),
                             tuple(p.detach().clone().requires_grad_() for p in (module.weight, module.scale)))  # fmt: skip
    target, optimizer = x[:, 4], torch.optim.Adam(module.parameters(), lr=0.1)  # the layer that is wanted is found
    for _ in range(200):
        optimizer.zero_grad()
        (module(x) - target).square().mean().backward()
        optimizer.step()
    assert module.shares().argmax() == 1
    assert module.shares()[1] > 0.95


def test_choices_and_words_that_cannot_be_are_refused(model, tokenizer, unchecked):
    with pytest.raises(ValueError, match="name='first' is no choice; use one of embeddings, last"):
        LayerChoice("first", L)
    with pytest.raises(ValueError, match="'weighted_last_four' needs an encoder of at least 4 layers; this one has 3"):
        LayerChoice("weighted_last_four", 3)
    with pytest.raises(ValueError, match="'second_to_last' needs an encoder of at least 2 layers"):
        LayerChoice("second_to_last", 1)
    with pytest.raises(ValueError, match="states holds 6 layers; 4 and the embeddings are needed"):
        LayerChoice("last", 4)(states())
    with pytest.raises(ValueError, match="states holds 5 layers beside the embeddings; 6 are needed"):
        concatenated(states(), 6)
    with pytest.raises(ValueError, match="n=0"):
        WeightedSum(0)
    for texts in ("the", [], [[]], ["the river"]):
        with pytest.raises(ValueError, match="at least one list of words"):
            word_inputs(tokenizer, texts)
    with pytest.raises(ValueError, match="12 tokens a text; this model reads 1 to 11"):
        layer_features(model, tokenizer, [["the"] * 10])
    given = word_inputs(tokenizer, TEXTS)
    with pytest.raises(ValueError, match="2 rows of tags for 3 texts; give one tag per word"):
        word_targets(given, [[1, 2, 3], [1]])
    with pytest.raises(ValueError, match="2 tags for the 1 words of text 1"):
        word_targets(given, [[1, 2, 3], [1, 2], [1] * 7])
