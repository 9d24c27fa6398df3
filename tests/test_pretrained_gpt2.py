"""GPT-2 in Hugging Face's format: equal logits, losses, gradients and texts, and folders that both sides read."""

import dataclasses
import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from lmcore.bpe import BPE
from lmcore.gpt import GPT, GPTConfig
from lmcore.pretrained import from_huggingface, gpt2_names, load_gpt2, save_gpt2, to_huggingface
from tests.parity import compare, compare_generation, lively, same, some_ids

V, L = 261, 2
CONFIG = GPTConfig(V, max_length=37, dim=15, heads=3, layers=L, hidden=19, activation="gelu_tanh", dropout=0.1)


@pytest.fixture(scope="module")
def transformers():
    return pytest.importorskip("transformers", reason="Hugging Face transformers is not installed")


def tokenizer() -> BPE:
    return BPE.train("the cat sat on the mat, the cat sat", V, special=("<|endoftext|>",))


def make(**changes) -> GPT:
    return lively(GPT(dataclasses.replace(CONFIG, **changes)))


def theirs_of(transformers, **changes):
    sizes = {"vocab_size": V, "n_positions": 37, "n_embd": 15, "n_head": 3, "n_layer": L, "n_inner": 19}
    nothing = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0, "bos_token_id": None, "eos_token_id": None}
    return lively(transformers.GPT2LMHeadModel(transformers.GPT2Config(**(sizes | nothing | changes))))


@pytest.fixture
def folder(tmp_path):
    save_gpt2(tmp_path / "model", make(), tokenizer())
    return tmp_path / "model"


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"tie_word_embeddings": False, "activation_function": "gelu"},
        {"n_embd": 14, "n_head": 1, "n_inner": None, "activation_function": "relu", "layer_norm_epsilon": 0.01},
    ],
)
def test_theirs_loads_with_equal_states_logits_loss_gradients_and_texts(transformers, tmp_path, changes):
    theirs = theirs_of(transformers, **changes)
    theirs.save_pretrained(tmp_path)
    tokenizer().save(tmp_path)
    ours, theirs = load_gpt2(tmp_path)[0].double(), theirs.double()
    assert ours.config.tied == changes.get("tie_word_embeddings", True)
    compare(ours, theirs, gpt2_names(L, tied=ours.config.tied))
    compare_generation(ours, theirs)


@pytest.mark.parametrize("changes", [{}, {"tied": False, "activation": "gelu", "hidden": None}])
def test_transformers_reads_our_folder(transformers, tmp_path, changes):
    ours, words = make(**changes), tokenizer()
    save_gpt2(tmp_path, ours, words)
    theirs = transformers.GPT2LMHeadModel.from_pretrained(tmp_path).double().eval()
    compare(ours.double(), theirs, gpt2_names(L, tied=ours.config.tied))
    read = transformers.AutoTokenizer.from_pretrained(tmp_path)
    for text in ("the cat  sat\n on 12 mats, it's ü", "the<|endoftext|>mat"):
        assert read(text).input_ids == words.encode(text)
    assert theirs.config.eos_token_id == words.number["<|endoftext|>"]


def test_a_folder_comes_back_as_it_went(folder):
    model, words = load_gpt2(folder)
    assert same(model, make())
    assert model.config == CONFIG
    assert not model.training
    assert words.number == tokenizer().number
    assert words.encode("the cat") == tokenizer().encode("the cat")


def test_the_table_names_every_parameter_once_and_turns_matrices_over():
    for tied in (True, False):
        model, table = make(tied=tied), gpt2_names(L, tied=tied)
        assert set(table) == set(model.state_dict())
        state = to_huggingface(model, table)
        assert len(state) == len(table)
        assert state["transformer.h.1.attn.c_attn.weight"].shape == (15, 45)
        assert torch.equal(state["transformer.h.1.mlp.c_fc.weight"].T, model.layers[1].linear1.weight)
        assert state["transformer.wte.weight"].shape == (V, 15)
        other = lively(GPT(model.config), seed=8)
        assert not same(model, other)
        from_huggingface(other, state, table)
        assert same(model, other)


def test_a_matrix_that_was_not_turned_over_is_told():
    state = to_huggingface(make(), gpt2_names(L))
    state["transformer.h.0.mlp.c_fc.weight"] = state["transformer.h.0.mlp.c_fc.weight"].T
    with pytest.raises(ValueError, match=r"c_fc\.weight is \(19, 15\), the model needs \(15, 19\)"):
        from_huggingface(make(), state, gpt2_names(L))


def test_an_old_checkpoint_without_prefix_with_masks_and_a_second_copy_is_read(folder):
    path = folder / "model.safetensors"
    state = load_file(path)
    old = {name.removeprefix("transformer."): tensor for name, tensor in state.items()}
    old |= {"h.0.attn.bias": torch.ones(1, 1, 37, 37), "h.1.attn.masked_bias": torch.tensor(-1e4)}
    old["lm_head.weight"] = old["wte.weight"].clone()
    save_file(old, path)
    assert same(load_gpt2(folder)[0], make())
    old["lm_head.weight"] += 1
    save_file(old, path)
    with pytest.raises(ValueError, match=r"lm_head\.weight is tied to .*wte\.weight, and the two differ"):
        load_gpt2(folder)


def test_what_a_config_does_not_say_is_what_transformers_takes_for_it(transformers, tmp_path):
    """The published config of GPT-2 says nothing of tying and of the hidden width, older ones leave out more."""
    save_gpt2(tmp_path, make(hidden=None), tokenizer())
    path = tmp_path / "config.json"
    said = ("model_type", "vocab_size", "n_positions", "n_embd", "n_head", "n_layer", "layer_norm_epsilon")
    path.write_text(json.dumps({name: value for name, value in json.loads(path.read_text()).items() if name in said}))
    ours, theirs = load_gpt2(tmp_path)[0], transformers.GPT2LMHeadModel.from_pretrained(tmp_path).eval()
    compare(ours.double(), theirs.double(), gpt2_names(L))
    assert (ours.config.dropout, ours.config.std) == (theirs.config.resid_pdrop, theirs.config.initializer_range)


def test_weights_in_several_files_and_in_sixteen_bits_are_read(folder):
    path = folder / "model.safetensors"
    state = {name: tensor.bfloat16() for name, tensor in load_file(path).items()}
    where = {name: f"part-{i % 2}.safetensors" for i, name in enumerate(sorted(state))}
    for file in ("part-0.safetensors", "part-1.safetensors"):
        save_file({name: tensor.contiguous() for name, tensor in state.items() if where[name] == file}, folder / file)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"model\.safetensors"):
        load_gpt2(folder)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": where}))
    model = load_gpt2(folder)[0]
    assert same(model, make().bfloat16().float())
    index.write_text("{}")
    with pytest.raises(ValueError, match="has no weight_map"):
        load_gpt2(folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "vocab.json", "merges.txt"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=name):
        load_gpt2(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "gpt_neo"}, "model_type='gpt_neo'"),
        ({"activation_function": "mish"}, "activation_function='mish'; use one of"),
        ({"scale_attn_by_inverse_layer_idx": True}, "only False can be read"),
        ({"n_embd": None}, "lacks n_embd"),
        ({"n_layer": 3}, "lacks 12 names"),
        ({"tie_word_embeddings": False}, r"lacks 1 names: lm_head\.weight"),
    ],
)
def test_another_kind_of_model_is_refused(folder, change, message):
    path = folder / "config.json"
    config = json.loads(path.read_text()) | change
    path.write_text(json.dumps({name: value for name, value in config.items() if value is not None}))
    with pytest.raises(ValueError, match=message):
        load_gpt2(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"norm": "rms"}, "norm='rms'"),
        ({"positions": "rotary", "head_dim": 4}, "positions='rotary'"),
        ({"bias": False}, "bias=False"),
        ({"kv_heads": 1}, "key_heads=1"),
        ({"head_dim": 7}, "head_width=7; a GPT-2 has 5"),
        ({"activation": "swiglu"}, "activation='swiglu'"),
        ({"vocab_size": 260}, "261 tokens, the model 260"),
    ],
)
def test_what_gpt2_has_not_is_not_saved(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        save_gpt2(tmp_path / "no", make(**change), tokenizer())
    assert not (tmp_path / "no").exists()


def test_a_folder_without_a_tokenizer_holds_the_model_alone(tmp_path):
    save_gpt2(tmp_path, make())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "model.safetensors"]
    assert some_ids(V).max() < V
