"""Name tables in both directions, and folders in Hugging Face's format."""

import dataclasses
import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from lmcore.bert import Bert, BertConfig, inputs
from lmcore.pretrained import bert_names, from_huggingface, load_bert, save_bert, to_huggingface
from lmcore.wordpiece import BERT_SPECIAL, WordPiece

CONFIG = BertConfig(23, dim=15, heads=5, layers=2, hidden=19, max_length=31, segments=2, dropout=0.1)
TOKENS = [*BERT_SPECIAL, *"abcdefghijklmnop", "##a", "##b"]


def make(config: BertConfig = CONFIG, seed: int = 1) -> Bert:
    torch.manual_seed(seed)
    model = Bert(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    return model


def same(a: Bert, b: Bert) -> bool:
    ours, theirs = a.state_dict(), b.state_dict()
    return set(ours) == set(theirs) and all(torch.equal(ours[name], theirs[name]) for name in ours)


# ---------------------------------------------------------------- name tables


@pytest.mark.parametrize("pooler", [True, False])
def test_the_table_names_every_parameter_once(pooler):
    model = make(dataclasses.replace(CONFIG, pooler=pooler))
    table = bert_names(2, pooler=pooler)
    assert set(table) == set(model.state_dict())
    theirs = [name for names in table.values() for name in names]
    assert len(set(theirs)) == len(theirs)


def test_names_go_out_and_come_back():
    model, table = make(), bert_names(2)
    state = to_huggingface(model, table)
    for matrix in ("query", "key", "value"):
        assert state[f"encoder.layer.1.attention.self.{matrix}.weight"].shape == (15, 15)
    other = make(seed=2)
    assert not same(model, other)
    from_huggingface(other, state, table)
    assert same(model, other)
    state["encoder.layer.0.output.dense.bias"].zero_()  # what came out is a copy
    assert same(model, other)
    with torch.no_grad():
        other.layers[0].linear2.bias.zero_()
    assert not same(model, other)
    assert all(parameter.requires_grad and parameter.is_leaf for parameter in other.parameters())


def test_a_model_without_numbers_gets_them_on_the_cpu():
    with torch.device("meta"):
        empty = Bert(CONFIG)
    model, table = make(), bert_names(2)
    from_huggingface(empty, to_huggingface(model, table), table)
    assert same(model, empty)


def test_query_key_and_value_are_not_mixed_up():
    model, table = make(), bert_names(2)
    state = to_huggingface(model, table)
    query, value = (f"encoder.layer.0.attention.self.{name}.weight" for name in ("query", "value"))
    torch.testing.assert_close(state[query], model.layers[0].self_attn.in_proj_weight[:15])
    torch.testing.assert_close(state[value], model.layers[0].self_attn.in_proj_weight[30:])


def test_names_that_do_not_fit_are_all_told():
    model, table = make(), bert_names(2)
    state = to_huggingface(model, table)
    del state["pooler.dense.bias"], state["embeddings.LayerNorm.weight"]
    state["encoder.layer.7.strange"] = torch.ones(1)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(
        ValueError, match=r"lacks 2 names: embeddings\.LayerNorm\.weight, pooler\.dense\.bias and has 1 names .*"
    ):
        from_huggingface(model, state, table)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_wrong_shapes_are_all_told_with_both_shapes():
    state = to_huggingface(make(dataclasses.replace(CONFIG, max_length=30, hidden=20)), bert_names(2))
    with pytest.raises(
        ValueError,
        match=r"7 shapes do not fit: embeddings\.position_embeddings\.weight is \(30, 15\), the model needs \(31, 15\)",
    ):
        from_huggingface(make(), state, bert_names(2))


def test_a_table_of_another_model_is_refused():
    model = make()
    with pytest.raises(ValueError, match=r"the name table does not fit the model: it has 12 names"):
        from_huggingface(model, to_huggingface(make(dataclasses.replace(CONFIG, layers=3)), bert_names(3)), bert_names(3))
    with pytest.raises(ValueError, match=r"lacks 12 names: layers\.1"):
        to_huggingface(model, bert_names(1))


# ---------------------------------------------------------------- folders


@pytest.fixture
def folder(tmp_path):
    save_bert(tmp_path / "model", make(), WordPiece(TOKENS, lower=False))
    return tmp_path / "model"


def test_a_folder_comes_back_as_it_went(folder):
    model, tokenizer = load_bert(folder)
    assert same(model, make())
    assert model.config == CONFIG
    assert not model.training
    assert tokenizer.vocabulary == tuple(TOKENS)
    assert not tokenizer.lower
    assert model.layers[0].self_attn.in_proj_weight.device.type == "cpu"


def test_transformers_reads_the_folder_too(folder):
    transformers = pytest.importorskip("transformers", reason="Hugging Face transformers is not installed")
    theirs = transformers.BertModel.from_pretrained(folder).eval()
    model, tokenizer = load_bert(folder)
    given = inputs(tokenizer, ["abba c", "d"])
    mask = (torch.arange(given.ids.shape[1]) < given.lengths[:, None]).long()
    with torch.no_grad():
        want = theirs(given.ids, attention_mask=mask, token_type_ids=given.segments).last_hidden_state
        torch.testing.assert_close(model(*given), want, atol=1e-5, rtol=1e-5)


def test_a_checkpoint_with_a_head_and_old_names_is_read(folder):
    state = load_file(folder / "model.safetensors")
    old = {f"bert.{name}".replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): tensor
           for name, tensor in state.items() if not name.startswith("pooler")}  # fmt: skip
    old |= {"cls.predictions.bias": torch.ones(23), "bert.embeddings.position_ids": torch.arange(31)[None]}
    save_file(old, folder / "model.safetensors")
    model, _ = load_bert(folder, pooler=False)
    expected = make()
    expected.pooler = None
    assert same(model, expected)
    with pytest.raises(ValueError, match=r"lacks 2 names: pooler\.dense\.bias, pooler\.dense\.weight"):
        load_bert(folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "vocab.txt"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=name):
        load_bert(folder)


@pytest.mark.parametrize(("name", "message"), [("config.json", "is no JSON"), ("model.safetensors", "is no safetensors file")])
def test_a_broken_file_is_named(folder, name, message):
    (folder / name).write_text("{")
    with pytest.raises(ValueError, match=message):
        load_bert(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_act": "relu"}, "hidden_act='relu'"),
        ({"model_type": "roberta"}, "model_type='roberta'"),
        ({"position_embedding_type": "relative_key"}, "only 'absolute'"),
        ({"hidden_size": None}, "lacks hidden_size"),
        ({"num_hidden_layers": 3}, "lacks 16 names"),
    ],
)
def test_another_kind_of_model_is_refused(folder, change, message):
    path = folder / "config.json"
    config = json.loads(path.read_text()) | change
    path.write_text(json.dumps({name: value for name, value in config.items() if value is not None}))
    with pytest.raises(ValueError, match=message):
        load_bert(folder)
