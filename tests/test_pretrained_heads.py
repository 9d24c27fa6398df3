"""BERT with its heads against Hugging Face's classes: logits, loss, gradients, and folders in both directions."""

from dataclasses import replace
from typing import NamedTuple

import pytest
import torch
from safetensors.torch import load_file

from lmcore.batches import IGNORE
from lmcore.bert import (
    Bert,
    BertClassifier,
    BertConfig,
    BertMaskedLM,
    BertPretraining,
    BertSpans,
    BertTagger,
    MaskedBatch,
    classification_loss,
    masked_loss,
    pretraining_loss,
    span_loss,
    tagging_loss,
)
from lmcore.pretrained import head_names, load_bert, load_bert_for, load_labels, save_bert, to_huggingface
from lmcore.wordpiece import BERT_SPECIAL, WordPiece

transformers = pytest.importorskip("transformers", reason="Hugging Face transformers is not installed")

V, C, H, L, F, M, G, K = 53, 21, 3, 2, 37, 29, 3, 7  # all different; C is a multiple of H
B, T = 5, 17
LENGTHS = torch.tensor([17, 5, 3, 11, 16])
CONFIG = BertConfig(V, dim=C, heads=H, layers=L, hidden=F, max_length=M, segments=G, dropout=0.25)
TOKENS = [*BERT_SPECIAL, *"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTU", "##a"]


class Case(NamedTuple):
    """One of our classes beside one of theirs."""

    ours: torch.nn.Module
    theirs: str
    logits: tuple[str, ...]  # what Hugging Face calls the outputs
    labels: int = 2

    def __str__(self) -> str:
        return self.theirs


def make(model: torch.nn.Module, seed: int = 3) -> torch.nn.Module:
    torch.manual_seed(seed)
    for parameter in model.parameters():  # biases and scales that are not 0 and 1, so that none of them can be forgotten
        torch.nn.init.normal_(parameter, std=0.4)
    return model.double().eval()


CASES = [
    Case(make(BertPretraining(CONFIG)), "BertForPreTraining", ("prediction_logits", "seq_relationship_logits")),
    Case(make(BertMaskedLM(replace(CONFIG, pooler=False))), "BertForMaskedLM", ("logits",)),
    Case(make(BertClassifier(CONFIG, K)), "BertForSequenceClassification", ("logits",), K),
    Case(make(BertTagger(CONFIG, K)), "BertForTokenClassification", ("logits",), K),
    Case(make(BertSpans(CONFIG)), "BertForQuestionAnswering", ("start_logits", "end_logits")),
]
every_head = pytest.mark.parametrize("case", CASES, ids=str)


class Given(NamedTuple):
    """Inputs and the targets of every head."""

    ids: torch.Tensor
    segments: torch.Tensor
    mask: torch.Tensor
    words: torch.Tensor
    next: torch.Tensor
    label: torch.Tensor
    tags: torch.Tensor
    start: torch.Tensor
    end: torch.Tensor


@pytest.fixture
def given() -> Given:
    rng = torch.Generator().manual_seed(7)
    real = torch.arange(T) < LENGTHS[:, None]
    ids = torch.randint(1, V, (B, T), generator=rng)  # padding is of any word, so that a look at it would show
    chosen = (torch.rand(B, T, generator=rng) < 0.3) & real
    words = torch.where(chosen, torch.randint(0, V, (B, T), generator=rng), IGNORE)
    words[2] = IGNORE  # a text with no word chosen
    tags = torch.where(real & (torch.rand(B, T, generator=rng) < 0.7), torch.randint(0, K, (B, T), generator=rng), IGNORE)
    place = torch.rand(B, 2, generator=rng) * LENGTHS[:, None]
    return Given(
        ids, torch.randint(0, G, (B, T), generator=rng), real.long(), words, torch.tensor([0, 1, 1, 0, 1]),
        torch.tensor([6, 0, 3, 3, 1]), tags, place.long().amin(1), place.long().amax(1),
    )  # fmt: skip


def outputs(model: torch.nn.Module, given: Given) -> tuple[torch.Tensor, ...]:
    out = model(given.ids, LENGTHS, given.segments)
    return tuple(out) if isinstance(out, tuple) else (out,)


def loss(model: torch.nn.Module, given: Given) -> torch.Tensor:
    """Our losses."""
    if isinstance(model, BertMaskedLM):
        follows = given.next if isinstance(model, BertPretraining) else None
        return pretraining_loss(model, MaskedBatch(given.ids, LENGTHS, given.segments, given.words, follows))
    out = model(given.ids, LENGTHS, given.segments)
    if isinstance(model, BertClassifier):
        return classification_loss(out, given.label)
    return tagging_loss(out, given.tags) if isinstance(model, BertTagger) else span_loss(out, given.start, given.end)


def targets(case: Case, given: Given) -> dict[str, torch.Tensor]:
    """The same targets under Hugging Face's names."""
    return {
        "BertForPreTraining": {"labels": given.words, "next_sentence_label": given.next},
        "BertForMaskedLM": {"labels": given.words},
        "BertForSequenceClassification": {"labels": given.label},
        "BertForTokenClassification": {"labels": given.tags},
        "BertForQuestionAnswering": {"start_positions": given.start, "end_positions": given.end},
    }[case.theirs]


def build(case: Case, seed: int = 11) -> torch.nn.Module:
    """Theirs, with random weights of its own, in float64."""
    config = transformers.BertConfig(
        vocab_size=V, hidden_size=C, num_attention_heads=H, num_hidden_layers=L, intermediate_size=F, max_position_embeddings=M,
        type_vocab_size=G, num_labels=case.labels, attn_implementation="eager",
    )  # fmt: skip
    return make(getattr(transformers, case.theirs)(config), seed)


def compare(ours: torch.nn.Module, theirs: torch.nn.Module, case: Case, given: Given, atol: float = 1e-10) -> None:
    """Logits, loss and every gradient."""
    want = theirs(given.ids, attention_mask=given.mask, token_type_ids=given.segments, **targets(case, given))
    have = outputs(ours, given)
    assert len(have) == len(case.logits)
    for logits, name in zip(have, case.logits, strict=True):
        torch.testing.assert_close(logits, getattr(want, name), atol=atol, rtol=0, msg=name)
    ours.zero_grad()
    theirs.zero_grad()
    value = loss(ours, given)
    torch.testing.assert_close(value, want.loss, atol=atol, rtol=0)
    value.backward()
    want.loss.backward()
    of_theirs = dict(theirs.named_parameters())
    table = head_names(type(ours), L)
    assert {name for names in table.values() for name in names} == set(of_theirs)
    for name, parameter in ours.named_parameters():
        expected = torch.cat([of_theirs[n].grad for n in table[name]])
        assert parameter.grad.abs().max() > 0, name
        torch.testing.assert_close(parameter.grad, expected, atol=atol, rtol=atol, msg=name)


@every_head
def test_a_folder_of_hugging_face_gives_the_same_logits_loss_and_gradients(case, given, tmp_path):
    theirs = build(case)
    theirs.save_pretrained(tmp_path)
    stored = load_file(tmp_path / "model.safetensors")
    assert "cls.predictions.decoder.weight" not in stored  # the tied decoder has no copy in the file
    WordPiece(TOKENS, lower=False).save(tmp_path / "vocab.txt")
    ours, tokenizer = load_bert_for(tmp_path, type(case.ours))
    assert ours.bert.config.vocab_size == V == len(tokenizer)
    assert not ours.training
    double = type(ours)(ours.bert.config, *([K] if case.labels == K else []))
    double.double().eval().load_state_dict(ours.state_dict())  # the file's numbers, in float64 from here on
    compare(double, theirs.double(), case, given, atol=1e-9)


@every_head
def test_a_saved_folder_is_read_by_hugging_face_and_by_us(case, given, tmp_path):
    labels = [f"tag{n}" for n in range(K)] if case.labels == K else []
    save_bert(tmp_path, case.ours, WordPiece(TOKENS, lower=False), labels)
    theirs, report = getattr(transformers, case.theirs).from_pretrained(
        tmp_path, attn_implementation="eager", dtype=torch.float64, output_loading_info=True
    )
    assert not any(report.values()), report
    compare(case.ours, theirs.eval(), case, given)
    back, tokenizer = load_bert_for(tmp_path, type(case.ours))
    assert tokenizer.vocabulary == tuple(TOKENS)
    assert not tokenizer.lower
    for name, tensor in case.ours.state_dict().items():
        torch.testing.assert_close(back.state_dict()[name], tensor.float(), atol=0, rtol=0)
    assert load_labels(tmp_path) == tuple(labels)
    if labels:
        assert [theirs.config.id2label[n] for n in range(K)] == labels
        assert back.dropout.p == case.ours.dropout.p == 0.25


@every_head
def test_the_head_is_left_out_where_only_the_encoder_is_wanted(case, tmp_path):
    save_bert(tmp_path, case.ours, WordPiece(TOKENS))
    encoder, _ = load_bert(tmp_path, pooler=False)
    expected = {name: tensor for name, tensor in case.ours.bert.state_dict().items() if not name.startswith("pooler")}
    assert set(encoder.state_dict()) == set(expected)
    for name, tensor in encoder.state_dict().items():
        torch.testing.assert_close(tensor, expected[name].float(), atol=0, rtol=0)


def test_a_pooler_that_a_head_does_not_read_stays_out_of_its_folder(given, tmp_path):
    tagger = make(BertTagger(make(Bert(CONFIG)), K))  # on an encoder that was pre-trained with a pooler
    assert tagger.bert.pooler is not None
    save_bert(tmp_path, tagger, WordPiece(TOKENS))
    assert not [name for name in load_file(tmp_path / "model.safetensors") if "pooler" in name]
    back, _ = load_bert_for(tmp_path, BertTagger)
    assert back.bert.pooler is None
    torch.testing.assert_close(outputs(back, given)[0], outputs(tagger, given)[0].float(), atol=1e-4, rtol=1e-4)


def test_weights_travel_to_hugging_face_and_back_in_float64(given):
    for case in CASES:
        theirs, table = build(case), head_names(type(case.ours), L)
        report = theirs.load_state_dict(to_huggingface(case.ours, table), strict=False)
        assert not report.unexpected_keys
        assert set(report.missing_keys) <= {"cls.predictions.decoder.weight", "cls.predictions.decoder.bias"}  # tied
        compare(case.ours, theirs, case, given)


def test_hugging_face_alone_stops_the_gradient_to_the_vector_of_padding(given):
    """The one difference: its embeddings have a ``padding_idx``. It shows only where padding takes part in a loss."""
    case, table = CASES[-1], head_names(BertSpans, L)
    theirs = build(case)
    theirs.load_state_dict(to_huggingface(case.ours, table))
    padded = given._replace(ids=given.ids * given.mask)
    case.ours.zero_grad()
    loss(case.ours, padded).backward()
    theirs(padded.ids, attention_mask=given.mask, token_type_ids=given.segments, **targets(case, padded)).loss.backward()
    have, want = case.ours.bert.tokens.weight.grad, theirs.bert.embeddings.word_embeddings.weight.grad
    torch.testing.assert_close(have[1:], want[1:], atol=1e-10, rtol=1e-10)
    assert have[0].abs().max() > 0
    assert not want[0].any()
    case.ours.zero_grad()
    span_loss(case.ours(padded.ids, LENGTHS, given.segments), given.start, given.end, LENGTHS).backward()
    assert not case.ours.bert.tokens.weight.grad[0].any()  # padding has no part once the loss knows the lengths


def test_the_loss_of_the_words_is_that_of_all_logits(given):
    model = CASES[1].ours
    torch.testing.assert_close(loss(model, given), masked_loss(outputs(model, given)[0], given.words))
