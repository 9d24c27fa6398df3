"""Folders with a BERT and a head: of older kinds, with words kept whole, with labels, and those that are refused."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from lmcore.bert import Bert, BertClassifier, BertConfig, BertMaskedLM, BertPretraining, inputs, word_tokenizer
from lmcore.pretrained import load_bert_for, load_labels, save_bert
from lmcore.wordpiece import BERT_SPECIAL, WordPiece

TOKENS = [*BERT_SPECIAL, *"abcdefghijklmnop", "##a", "##b"]
CONFIG = BertConfig(23, dim=15, heads=5, layers=2, hidden=19, max_length=31, dropout=0.0)
K = 7


def pretrained_model() -> BertPretraining:
    torch.manual_seed(3)
    model = BertPretraining(CONFIG)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return model.eval()


@pytest.fixture
def folder(tmp_path):
    save_bert(tmp_path, pretrained_model(), WordPiece(TOKENS))
    return tmp_path


def change(folder, edit) -> None:
    state = load_file(folder / "model.safetensors")
    edit(state)
    save_file(state, folder / "model.safetensors")


def test_a_pretrained_model_is_read_as_a_masked_one_and_not_the_other_way_round(folder):
    words, _ = load_bert_for(folder, BertMaskedLM)
    both, _ = load_bert_for(folder, BertPretraining)
    assert words.bert.pooler is None
    given = inputs(WordPiece(TOKENS), ["abba c", "d"])
    torch.testing.assert_close(words(*given), both(*given)[0])
    save_bert(folder, words, WordPiece(TOKENS))
    with pytest.raises(ValueError, match=r"lacks 4 names: bert\.pooler\.dense\.bias.*cls\.seq_relationship"):
        load_bert_for(folder, BertPretraining)


def test_an_old_checkpoint_with_copies_of_the_tied_weights_is_read_and_an_untied_one_refused(folder):
    def copies(state):
        state["cls.predictions.decoder.weight"] = state["bert.embeddings.word_embeddings.weight"].clone()
        state["cls.predictions.decoder.bias"] = state["cls.predictions.bias"].clone()
        state["cls.predictions.transform.LayerNorm.gamma"] = state.pop("cls.predictions.transform.LayerNorm.weight")

    change(folder, copies)
    model, _ = load_bert_for(folder, BertPretraining)
    torch.testing.assert_close(model.mlm.norm.weight, pretrained_model().mlm.norm.weight.float(), atol=0, rtol=0)
    change(folder, lambda state: state["cls.predictions.decoder.weight"].add_(1))
    with pytest.raises(ValueError, match=r"decoder\.weight is not bert\.embeddings\.word_embeddings\.weight"):
        load_bert_for(folder, BertPretraining)


def test_words_that_are_kept_whole_are_so_after_a_journey(tmp_path):
    tokenizer = word_tokenizer(["at", "six", "o'clock"])
    model = BertMaskedLM(BertConfig(len(tokenizer), dim=6, heads=2, layers=1, hidden=5, max_length=9))
    save_bert(tmp_path, model, tokenizer)
    _, back = load_bert_for(tmp_path, BertMaskedLM)
    assert back.tokens("at six o'clock") == ["at", "six", "o'clock"]
    assert back.special == tokenizer.special
    transformers = pytest.importorskip("transformers", reason="Hugging Face transformers is not installed")
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert theirs("at six o'clock").input_ids[1:-1] == back.encode("at six o'clock")


@pytest.mark.parametrize(
    ("labels", "message"),
    [(["a", "b"], "must be 7 different names"), (["a"] * K, "must be 7 different names")],
)
def test_labels_that_do_not_fit_are_refused(tmp_path, labels, message):
    with pytest.raises(ValueError, match=message):
        save_bert(tmp_path, BertClassifier(CONFIG, 7), WordPiece(TOKENS), labels)
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="a BertPretraining has no classes"):
        save_bert(tmp_path, pretrained_model(), WordPiece(TOKENS), labels)


def test_folders_and_models_of_another_kind_are_refused(folder, unchecked):
    change(folder, lambda state: [state.pop(name) for name in list(state) if "pooler" in name])
    with pytest.raises(ValueError, match=r"lacks 4 names: .*classifier\.bias, classifier\.weight"):
        load_bert_for(folder, BertClassifier)
    with pytest.raises(ValueError, match="is no BERT with a head; use one of BertPretraining"):
        load_bert_for(folder, Bert)
    with pytest.raises(ValueError, match="a Linear cannot be saved"):
        save_bert(folder, torch.nn.Linear(1, 1), WordPiece(TOKENS))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"tie_word_embeddings": False}))
    with pytest.raises(ValueError, match="tie_word_embeddings=False; only True"):
        load_bert_for(folder, BertPretraining)
    (folder / "config.json").write_text(json.dumps(config | {"id2label": {"1": "a"}}))
    with pytest.raises(ValueError, match="must name the classes 0, 1, 2"):
        load_labels(folder)
