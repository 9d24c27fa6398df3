"""Models of the Llama family in Hugging Face's format: equal logits, losses, gradients and texts, and folders for both."""

import dataclasses
import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from lmcore.bpe import BPE
from lmcore.gpt import GPT
from lmcore.llama import Llama, LlamaConfig
from lmcore.pretrained import from_huggingface, llama_names, load_llama, save_llama, to_huggingface
from tests.parity import compare, compare_generation, lively, same, some_ids

V, L = 59, 2
CONFIG = LlamaConfig(V, max_length=37, dim=42, heads=6, kv_heads=2, head_dim=10, layers=L, hidden=19, theta=700.0, tied=True)
SIZES = {"vocab_size": V, "max_position_embeddings": 37, "hidden_size": 42, "num_hidden_layers": L, "intermediate_size": 19}
KINDS = {
    "every head its own keys": {"num_attention_heads": 3},
    "shared keys, odd number of heads": {"num_attention_heads": 7, "num_key_value_heads": 1, "tie_word_embeddings": True},
    "shared keys, heads wider than their share": {"num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 10},
    "biases": {"num_attention_heads": 6, "num_key_value_heads": 3, "head_dim": 4, "attention_bias": True, "mlp_bias": True},
    "another base": {"num_attention_heads": 3, "rope_parameters": {"rope_type": "default", "rope_theta": 55.5}},
    "another epsilon": {"num_attention_heads": 1, "rms_norm_eps": 0.03, "tie_word_embeddings": True},
}


@pytest.fixture(scope="module")
def transformers():
    return pytest.importorskip("transformers", reason="Hugging Face transformers is not installed")


@pytest.fixture
def exact(transformers, monkeypatch):
    """Theirs in 64 bits throughout: as it is, its norm and its angles are computed in 32 whatever the model is in."""
    from transformers.models.llama import modeling_llama

    def norm(self, x):
        return self.weight * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon)

    def angles(self, x, position_ids):
        rope, width = self.config.rope_parameters, self.config.head_dim
        speeds = 1 / rope["rope_theta"] ** (torch.arange(0, width, 2, dtype=torch.float64) / width)
        both = (position_ids[..., None].double() * speeds).repeat(1, 1, 2)
        return both.cos().to(x.dtype), both.sin().to(x.dtype)

    monkeypatch.setattr(modeling_llama.LlamaRMSNorm, "forward", norm)
    monkeypatch.setattr(modeling_llama.LlamaRotaryEmbedding, "forward", angles)


def make(**changes) -> Llama:
    return lively(Llama(dataclasses.replace(CONFIG, **changes)))


def theirs_of(transformers, **changes):
    return lively(
        transformers.LlamaForCausalLM(transformers.LlamaConfig(**SIZES, bos_token_id=None, eos_token_id=None, **changes))
    )


@pytest.fixture
def folder(tmp_path):
    save_llama(tmp_path / "model", make())
    return tmp_path / "model"


@pytest.mark.parametrize("kind", KINDS)
def test_theirs_loads_with_equal_states_logits_loss_gradients_and_texts(transformers, exact, tmp_path, kind):
    theirs = theirs_of(transformers, **KINDS[kind])
    theirs.save_pretrained(tmp_path)
    ours, theirs = load_llama(tmp_path).double(), theirs.double()
    compare(ours, theirs, llama_names(ours.config))
    compare_generation(ours, theirs)


def test_theirs_as_it_is_gives_our_logits_in_32_bits(transformers, tmp_path):
    theirs = theirs_of(transformers, **KINDS["shared keys, heads wider than their share"])
    theirs.save_pretrained(tmp_path)
    ids = some_ids(V, length=31)
    with torch.no_grad():
        torch.testing.assert_close(load_llama(tmp_path)(ids), theirs(ids).logits, atol=2e-4, rtol=2e-5)


@pytest.mark.parametrize("changes", [{}, {"tied": False, "bias": True, "hidden": None}, {"kv_heads": None, "head_dim": 8}])
def test_transformers_reads_our_folder(transformers, exact, tmp_path, changes):
    ours = make(**changes)
    save_llama(tmp_path, ours)
    theirs = transformers.LlamaForCausalLM.from_pretrained(tmp_path).double().eval()
    compare(ours.double(), theirs, llama_names(ours.config))
    assert theirs.config.rope_parameters["rope_theta"] == 700.0


def test_a_folder_comes_back_as_it_went(folder):
    model = load_llama(folder)
    assert same(model, make())
    assert model.config == CONFIG
    assert not model.training


def test_a_folder_with_a_tokenizer(transformers, tmp_path):
    words = BPE.train("the cat sat on the mat, the cat sat", 261, special=("<|endoftext|>",))
    save_llama(tmp_path, make(vocab_size=263), words)
    read = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert read("the cat  sat, it's ü<|endoftext|>").input_ids == words.encode("the cat  sat, it's ü<|endoftext|>")
    with pytest.raises(ValueError, match="261 tokens, the model 260"):
        save_llama(tmp_path / "no", make(vocab_size=260), words)
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize("changes", [{}, {"tied": False, "bias": True, "kv_heads": 3}])
def test_the_table_names_every_parameter_once(changes):
    model = make(**changes)
    table = llama_names(model.config)
    assert set(table) == set(model.state_dict())
    state = to_huggingface(model, table)
    groups = 3 if changes else 2
    assert state["model.layers.1.self_attn.q_proj.weight"].shape == (60, 42)
    assert state["model.layers.1.self_attn.v_proj.weight"].shape == (10 * groups, 42)
    first = model.layers[0]
    assert torch.equal(state["model.layers.0.self_attn.k_proj.weight"], first.self_attn.in_proj_weight[60 : 60 + 10 * groups])
    assert torch.equal(state["model.layers.0.mlp.gate_proj.weight"], first.linear1.weight[:19])
    other = lively(Llama(model.config), seed=8)
    from_huggingface(other, state, table)
    assert same(model, other)


def test_keys_of_another_number_of_heads_are_told():
    state = to_huggingface(make(kv_heads=3), llama_names(make(kv_heads=3).config))
    with pytest.raises(ValueError, match=r"k_proj\.weight is \(30, 42\), the model needs \(20, 42\)"):
        from_huggingface(make(), state, llama_names(CONFIG))


def test_an_old_checkpoint_with_angles_a_second_copy_and_an_old_config_is_read(folder):
    path = folder / "model.safetensors"
    state = load_file(path)
    state["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(5)
    state["lm_head.weight"] = state["model.embed_tokens.weight"].clone()
    save_file(state, path)
    config = json.loads((folder / "config.json").read_text())
    del config["rope_parameters"], config["mlp_bias"]
    (folder / "config.json").write_text(json.dumps(config | {"rope_scaling": None}))
    model = load_llama(folder)
    assert same(model, make())
    assert model.config == CONFIG
    state["lm_head.weight"] += 1
    save_file(state, path)
    with pytest.raises(ValueError, match="is tied to"):
        load_llama(folder)


def test_what_a_config_does_not_say_is_what_transformers_takes_for_it(transformers, exact, tmp_path):
    """As in the first Llama's: no key heads, no width of a head, no base of the angles, no tying, no biases."""
    save_llama(tmp_path, make(tied=False, kv_heads=None, head_dim=None, heads=3, theta=10_000.0))
    path = tmp_path / "config.json"
    said = {"model_type", "vocab_size", "max_position_embeddings", "hidden_size", "num_attention_heads", "num_hidden_layers"}
    said |= {"intermediate_size", "rms_norm_eps"}
    path.write_text(json.dumps({name: value for name, value in json.loads(path.read_text()).items() if name in said}))
    ours, theirs = load_llama(tmp_path), transformers.LlamaForCausalLM.from_pretrained(tmp_path).eval()
    compare(ours.double(), theirs.double(), llama_names(ours.config))
    assert (ours.config.dropout, ours.config.std) == (theirs.config.attention_dropout, theirs.config.initializer_range)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=name):
        load_llama(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "mistral"}, "model_type='mistral'"),
        ({"hidden_act": "gelu"}, "only 'silu' can be read"),
        ({"rope_parameters": {"rope_type": "llama3", "rope_theta": 5e5}}, "rotary positions of type 'llama3'"),
        ({"rope_parameters": None, "rope_scaling": {"type": "linear", "factor": 2.0}}, "rotary positions of type 'linear'"),
        ({"attention_bias": True}, "attention or MLP alone"),
        ({"rms_norm_eps": None}, "lacks rms_norm_eps"),
        ({"num_hidden_layers": 3}, "lacks 9 names"),
        ({"num_key_value_heads": 4}, "heads=6 cannot be shared among kv_heads=4"),
    ],
)
def test_another_kind_of_model_is_refused(folder, change, message):
    path = folder / "config.json"
    config = json.loads(path.read_text()) | change
    path.write_text(json.dumps({name: value for name, value in config.items() if value is not None}))
    with pytest.raises(ValueError, match=message):
        load_llama(folder)


def test_what_llama_has_not_is_not_saved(tmp_path, unchecked):
    with pytest.raises(ValueError, match="qk_norm=True"):
        save_llama(tmp_path / "no", make(qk_norm=True))
    with pytest.raises(ValueError, match="must be a Llama; got a GPT"):
        save_llama(tmp_path / "no", GPT(CONFIG))
    assert not (tmp_path / "no").exists()
