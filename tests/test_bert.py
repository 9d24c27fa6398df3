"""The encoder: equal to transformers' in values and gradients, blind to padding, looking both ways; words in their texts."""

import dataclasses

import numpy as np
import pytest
import torch

from lmcore.bert import (
    Bert,
    BertClassifier,
    BertConfig,
    BertPretraining,
    MaskedTexts,
    SentencePairs,
    contextual_vectors,
    inputs,
    mean_pool,
    sentence_vectors,
    word_places,
)
from lmcore.pretrained import bert_names, from_huggingface, to_huggingface
from lmcore.wordpiece import BERT_SPECIAL, WordPiece
from lmcore.world import MaskingNoise

V, C, H, L, F, M, G = 53, 21, 3, 2, 37, 29, 3  # all different; C is a multiple of H
B, T = 4, 17
LENGTHS = (17, 5, 1, 11)
CONFIG = BertConfig(V, dim=C, heads=H, layers=L, hidden=F, max_length=M, segments=G, dropout=0.0)


def make(config: BertConfig = CONFIG, seed: int = 3) -> Bert:
    torch.manual_seed(seed)
    model = Bert(config).double()
    for parameter in model.parameters():  # biases and scales that are not 0 and 1, so that none of them can be forgotten
        torch.nn.init.normal_(parameter, std=0.4)
    return model


def some(seed: int = 7) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(1, V, (B, T), generator=generator)
    lengths = torch.tensor(LENGTHS)
    ids[torch.arange(T) >= lengths[:, None]] = 0
    return ids, lengths, torch.randint(0, G, (B, T), generator=generator)


@pytest.fixture(scope="module")
def transformers():
    return pytest.importorskip("transformers", reason="Hugging Face transformers is not installed")


@pytest.fixture
def pair(transformers):
    """Our model and transformers' BertModel with the same random weights, in float64."""
    config = transformers.BertConfig(
        vocab_size=V, hidden_size=C, num_attention_heads=H, num_hidden_layers=L, intermediate_size=F, max_position_embeddings=M,
        type_vocab_size=G, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, attn_implementation="eager",
    )  # fmt: skip
    ours, theirs = make(), transformers.BertModel(config).double()
    theirs.load_state_dict(to_huggingface(ours, bert_names(L)))
    return ours, theirs


def test_every_layer_equals_transformers(pair):
    ours, theirs = pair
    ids, lengths, segments = some()
    mask = (torch.arange(T) < lengths[:, None]).long()
    have = ours.look(ids, lengths, segments, weights=True)
    want = theirs(ids, attention_mask=mask, token_type_ids=segments, output_hidden_states=True, output_attentions=True)
    assert len(have.states) == len(want.hidden_states) == L + 1
    for a, b in zip(have.states, want.hidden_states, strict=True):
        torch.testing.assert_close(a, b, atol=1e-10, rtol=0)
    for a, b in zip(have.weights, want.attentions, strict=True):
        assert a.shape == (B, H, T, T)
        torch.testing.assert_close(a, b, atol=1e-10, rtol=0)
    torch.testing.assert_close(ours.pooled(have.states[-1]), want.pooler_output, atol=1e-10, rtol=0)
    torch.testing.assert_close(ours(ids, lengths, segments), have.states[-1], atol=1e-12, rtol=0)


def test_every_gradient_equals_transformers(pair):
    ours, theirs = pair
    ids, lengths, segments = some()
    real = torch.arange(T) < lengths[:, None]
    generator = torch.Generator().manual_seed(11)
    direction = torch.randn(B, T, C, generator=generator, dtype=torch.float64) * real[..., None]
    states = ours(ids, lengths, segments)
    (states * direction).sum().backward(retain_graph=True)
    ours.pooled(states).square().sum().backward()
    want = theirs(ids, attention_mask=real.long(), token_type_ids=segments)
    ((want.last_hidden_state * direction).sum() + want.pooler_output.square().sum()).backward()
    table = bert_names(L)
    of_theirs = dict(theirs.named_parameters())
    assert {name for names in table.values() for name in names} == set(of_theirs)
    for name, parameter in ours.named_parameters():
        expected = torch.cat([of_theirs[n].grad for n in table[name]])
        assert parameter.grad.abs().max() > 0, name
        torch.testing.assert_close(parameter.grad, expected, atol=1e-9, rtol=1e-9, msg=name)


def test_weights_travel_to_transformers_and_back(pair):
    ours, theirs = pair
    other = make(seed=5)
    from_huggingface(other, theirs.state_dict(), bert_names(L))
    for name, parameter in ours.state_dict().items():
        assert torch.equal(parameter, other.state_dict()[name]), name


def test_without_lengths_and_segments_all_is_real_and_of_the_first_segment():
    model, (ids, _, _) = make(), some()
    everything = torch.full((B,), T)
    torch.testing.assert_close(model(ids), model(ids, everything, torch.zeros_like(ids)))
    assert not torch.allclose(model(ids), model(ids, everything, torch.ones_like(ids)))


def test_padding_changes_no_vector_and_no_gradient():
    model, (ids, lengths, segments) = make(), some()
    together = model(ids, lengths, segments)
    for row, n in enumerate(LENGTHS):
        alone = model(ids[row : row + 1, :n], None, segments[row : row + 1, :n])
        torch.testing.assert_close(together[row, :n], alone[0], atol=1e-12, rtol=0)
    other = torch.where(torch.arange(T) < lengths[:, None], ids, 7)
    real = (torch.arange(T) < lengths[:, None])[..., None]
    torch.testing.assert_close(model(other, lengths, segments) * real, together * real, atol=1e-12, rtol=0)
    gradients = []
    for padded in (ids, other):
        (model(padded, lengths, segments) * real).square().sum().backward()
        gradients.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
        model.zero_grad()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, atol=1e-10, rtol=0, msg=name)


def test_every_word_depends_on_every_other_in_both_directions():
    model, (ids, _, _) = make(), some()
    vectors = model.tokens.weight.detach()[ids[:1]].requires_grad_()
    model.tokens.register_forward_hook(lambda module, given, out: vectors)
    states = model(ids[:1])
    for t in (0, 8, T - 1):
        (gradient,) = torch.autograd.grad(states[0, t].sum(), vectors, retain_graph=True)
        assert (gradient[0].abs().sum(-1) > 0).all()


def test_positions_and_segments_make_a_difference_and_dropout_only_in_training():
    model = make(dataclasses.replace(CONFIG, dropout=0.5))
    ids = torch.tensor([[4, 9, 9, 4]])
    model.eval()
    states = model(ids)
    assert not torch.allclose(states[0, 1], states[0, 2])
    assert torch.equal(model(ids), states)
    model.train()
    assert not torch.equal(model(ids), states)


def test_a_fresh_model_starts_as_the_paper_says():
    model = Bert(dataclasses.replace(CONFIG, dim=60, vocab_size=997))
    assert float(model.tokens.weight.detach().std()) == pytest.approx(0.02 * 0.880, rel=0.03)  # cut at two deviations
    assert float(model.tokens.weight.detach().abs().max()) <= 0.04
    assert all(not p.any() for n, p in model.named_parameters() if n.endswith("bias"))
    assert all((p == 1).all() for n, p in model.named_parameters() if n.endswith("norm1.weight"))
    assert model.norm.eps == model.layers[0].norm1.eps == 1e-12


def test_another_deviation_holds_for_the_encoder_and_its_heads():
    config = dataclasses.replace(CONFIG, dim=60, vocab_size=997, std=0.1)
    for model in (BertPretraining(config), BertClassifier(Bert(config), 211)):
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1 and parameter.numel() > 3_000:
                assert float(parameter.detach().std()) == pytest.approx(0.088, rel=0.05), name


@pytest.mark.parametrize("pairs", [False, True])
def test_a_pool_brings_texts_of_like_length_together_and_leaves_none_out(tokenizer, pairs):
    rng, how = np.random.default_rng(3), {"tokenizer": tokenizer, "noise": MaskingNoise(rate=0.0), "seed": 5}
    texts = [" ".join(rng.choice(["the", "river", "bank", "party"], size=n)) for n in rng.integers(1, 40, size=211)]

    def epoch(pool):
        if pairs:
            batches = SentencePairs([texts[i : i + 7] for i in range(0, 210, 7)], 4, pool=pool, epochs=1, **how)
        else:
            batches = MaskedTexts(texts, 4, pool=pool, epochs=1, **how)
        rows = [row[:n] for batch in batches for row, n in zip(batch.ids.tolist(), batch.lengths.tolist(), strict=True)]
        batches.epoch, batches.index = 0, 0
        return rows, sum(batch.ids.numel() for batch in batches)

    (plain, computed), (pooled, less) = epoch(1), epoch(13)
    assert sorted(plain) == sorted(pooled)
    assert plain != pooled
    real = sum(map(len, plain))
    assert less - real < (computed - real) / 3
    assert pooled[:4] != sorted(pooled, key=len)[:4]  # the batches themselves come in random order


# ---------------------------------------------------------------- texts


@pytest.fixture(scope="module")
def tokenizer() -> WordPiece:
    pieces = ["the", "bank", "##s", "of", "riv", "##er", ".", "new", "york", "party", "a", "##rt", "'", "don", "t"]
    return WordPiece([*BERT_SPECIAL, *pieces])


def spelt(tokenizer: WordPiece, ids: torch.Tensor) -> str:
    return " ".join(tokenizer.vocabulary[i] for i in ids.tolist())


def test_texts_and_pairs_between_their_special_tokens(tokenizer):
    given = inputs(tokenizer, ["The river.", ("The banks", "of the River"), ""])
    assert spelt(tokenizer, given.ids[0]) == "[CLS] the riv ##er . [SEP] [PAD] [PAD] [PAD] [PAD]"
    assert spelt(tokenizer, given.ids[1]) == "[CLS] the bank ##s [SEP] of the riv ##er [SEP]"
    assert given.segments.tolist() == [[0] * 10, [0] * 5 + [1] * 5, [0] * 10]
    assert given.lengths.tolist() == [6, 10, 2]


def test_a_word_is_found_with_all_its_pieces_and_as_a_whole(tokenizer):
    text = "The river. [MASK] don't art party, the banks of the RIVER"
    (row,) = inputs(tokenizer, [text]).ids

    def found(*word):
        return spelt(tokenizer, row[word_places(tokenizer, text, *word)])

    assert found("river") == found("River", 1) == "riv ##er"
    assert word_places(tokenizer, text, "river", 1) == word_places(tokenizer, text, "river", -1) != [2, 3]
    assert found("[MASK]") == "[MASK]"
    assert found("don't") == "don ' t"
    assert found("art") == "a ##rt"
    assert found("the banks") == "the bank ##s"
    assert found("of the river") == "of the riv ##er"
    for strange in (("bank",), ("river", 2), ("river", -3), ("",)):
        with pytest.raises(ValueError, match="occurs"):
            word_places(tokenizer, text, *strange)


def test_a_vector_in_context_is_the_mean_over_the_pieces(tokenizer):
    model = make(dataclasses.replace(CONFIG, vocab_size=len(tokenizer))).float()
    where = [("the banks of the river", "river"), ("river", "river"), ("the party. the bank", "the")]
    for layer in (0, 1, -1):
        vectors = contextual_vectors(model, tokenizer, where, layer=layer)
        for (text, _), vector, places in zip(where, vectors, ([6, 7], [1, 2], [1]), strict=True):
            states = model.look(inputs(tokenizer, [text]).ids).states
            torch.testing.assert_close(vector, states[layer][0, places].mean(0))
    assert not torch.allclose(vectors[0], vectors[1])  # the context counts


def test_pooling_is_the_mean_over_real_tokens(tokenizer):
    ids, lengths, _ = some()
    states = make()(ids, lengths)
    expected = torch.stack([row[:n].mean(0) for row, n in zip(states, LENGTHS, strict=True)])
    torch.testing.assert_close(mean_pool(states, lengths), expected)
    model = make(dataclasses.replace(CONFIG, vocab_size=len(tokenizer))).float()
    vectors = sentence_vectors(model, tokenizer, ["the river", "the banks of the river ."])
    alone = sentence_vectors(model, tokenizer, ["the river"])
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(2))
    torch.testing.assert_close(vectors[:1], alone)


# ---------------------------------------------------------------- wrong calls


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"heads": 4}, "dim=21 cannot be shared among heads=4"),
        ({"layers": 0}, "layers=0"),
        ({"dropout": 1.0}, r"dropout=1\.0 is no probability"),
        ({"eps": 0.0}, r"eps=0\.0"),
        ({"std": -0.1}, r"std=-0\.1"),
    ],
)
def test_sizes_that_cannot_be_are_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(CONFIG, **changed)


def test_what_does_not_fit_the_model_is_refused(tokenizer, unchecked):
    model, (ids, lengths, segments) = make(), some()
    with pytest.raises(ValueError, match="30 tokens a text; this model reads 1 to 29"):
        model(torch.ones(1, M + 1, dtype=torch.long))
    with pytest.raises(ValueError, match="one number for each of 4 texts"):
        model(ids, lengths[:3])
    with pytest.raises(ValueError, match="they must be the same"):
        model(ids, lengths, segments[:, :3])
    with pytest.raises(ValueError, match="0 … 52"):
        model(ids + V)
    with pytest.raises(ValueError, match="pooler=False"):
        make(dataclasses.replace(CONFIG, pooler=False)).pooled(model(ids))
    with pytest.raises(ValueError, match="layer=3 is none; use 0"):
        contextual_vectors(
            make(dataclasses.replace(CONFIG, vocab_size=len(tokenizer))).float(), tokenizer, [("river", "river")], layer=3
        )
    with pytest.raises(ValueError, match=r"no \[CLS\] \[SEP\]"):
        inputs(WordPiece(["[PAD]", "[UNK]"], special=["[PAD]", "[UNK]"]), ["a"])
    with pytest.raises(ValueError, match="for one text"):
        inputs(tokenizer, "a text")
