"""Vision transformers in Hugging Face's format: equal logits, losses and gradients, and folders that both sides read."""

import dataclasses
import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from lmcore.pretrained import from_huggingface, load_vit, load_vit_classifier, save_vit_classifier, to_huggingface, vit_names
from lmcore.vit import Vit, VitClassifier, VitConfig, patchify, picture_loss

B, c, P, K, L = 5, 2, 3, 7, 2
CONFIG = VitConfig((6, 15), patch=P, channels=c, dim=21, heads=3, layers=L, hidden=13)
KERNEL = "vit.embeddings.patch_embeddings.projection.weight"


def make(config: VitConfig = CONFIG, seed: int = 3) -> VitClassifier:
    torch.manual_seed(seed)
    model = VitClassifier(config, K)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return model.eval()


def some(seed: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(B, c, 6, 15, generator=generator, dtype=torch.float64), torch.randint(0, K, (B,), generator=generator)


def same(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    ours, theirs = a.state_dict(), b.state_dict()
    return set(ours) == set(theirs) and all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.fixture(scope="module")
def transformers():
    return pytest.importorskip("transformers", reason="Hugging Face transformers is not installed")


@pytest.fixture
def theirs(transformers):
    """A ViTForImageClassification of Hugging Face's own making, nothing in it at 0 or 1."""
    config = transformers.ViTConfig(
        image_size=[6, 15], patch_size=P, num_channels=c, hidden_size=21, num_attention_heads=3, num_hidden_layers=L,
        intermediate_size=13, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, num_labels=K,
        attn_implementation="eager",
    )  # fmt: skip
    torch.manual_seed(11)
    model = transformers.ViTForImageClassification(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return model.eval()


@pytest.fixture
def folder(tmp_path):
    save_vit_classifier(tmp_path / "model", make())
    return tmp_path / "model"


def test_theirs_loads_with_equal_states_logits_loss_and_gradients(theirs, tmp_path):
    """Through torch's own attention, since what transformers calls eager takes the softmax in 32 bits."""
    theirs.save_pretrained(tmp_path)
    ours, theirs = load_vit_classifier(tmp_path).double(), theirs.double()
    assert ours.vit.config == CONFIG
    theirs.set_attn_implementation("sdpa")
    images, labels = some()
    want = theirs(images, labels=labels, output_hidden_states=True)
    states, logits = ours.vit.look(images).states, ours(images)
    assert len(states) == L + 1
    for have, other in zip(states, want.hidden_states, strict=True):
        torch.testing.assert_close(have, other, atol=1e-12, rtol=0)
    torch.testing.assert_close(logits, want.logits, atol=1e-12, rtol=0)
    loss = picture_loss(ours, (images, labels))
    torch.testing.assert_close(loss, want.loss, atol=1e-12, rtol=0)
    loss.backward()
    want.loss.backward()
    compare_gradients(ours, theirs)


def test_where_it_looks_is_where_theirs_looks(theirs, tmp_path):
    theirs.save_pretrained(tmp_path)
    images = some()[0].float()
    have = load_vit(tmp_path).look(images, weights=True).weights
    want = theirs(images, output_attentions=True).attentions
    assert len(have) == len(want) == L
    for a, b in zip(have, want, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=0)


def compare_gradients(ours, theirs):
    """Every parameter's gradient, with the names that transformers has in memory."""
    found = {name: p.grad for name, p in theirs.named_parameters()}
    table = {
        "vit.cls": ("embeddings.cls_token",),
        "vit.positions.weight": ("embeddings.position_embeddings",),
        "vit.patches.weight": ("embeddings.patch_embeddings.projection.weight",),
        "vit.patches.bias": ("embeddings.patch_embeddings.projection.bias",),
        "vit.norm.weight": ("layernorm.weight",),
        "vit.norm.bias": ("layernorm.bias",),
    }
    parts = {
        "self_attn.in_proj_": ("attention.q_proj.", "attention.k_proj.", "attention.v_proj."),
        "self_attn.out_proj.": ("attention.o_proj.",),
        "norm1.": ("layernorm_before.",), "norm2.": ("layernorm_after.",),
        "linear1.": ("mlp.fc1.",), "linear2.": ("mlp.fc2.",),
    }  # fmt: skip
    for n in range(L):
        for name, names in parts.items():
            for kind in ("weight", "bias"):
                table[f"vit.layers.{n}.{name}{kind}"] = tuple(f"layers.{n}.{other}{kind}" for other in names)
    for name, parameter in ours.named_parameters():
        if name.startswith("output."):
            expected = found[name.replace("output", "classifier")]
        else:
            expected = torch.cat([found[f"vit.{other}"] for other in table[name]])
        if name == "vit.patches.weight":
            expected = patchify(expected, P)[:, 0]
        assert parameter.grad.abs().max() > 0, name
        torch.testing.assert_close(parameter.grad, expected.reshape(parameter.shape), atol=1e-11, rtol=0, msg=name)


def test_what_we_save_they_load(transformers, folder):
    theirs, report = transformers.ViTForImageClassification.from_pretrained(folder, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert not report["mismatched_keys"]
    theirs = theirs.eval().double()
    images, _ = some()
    torch.testing.assert_close(theirs(images).logits, make().double()(images), atol=1e-10, rtol=0)
    assert theirs.config.image_size == [6, 15]
    assert theirs.config.num_labels == K


def test_the_names_of_classes_go_along(transformers, tmp_path):
    names = [f"a {k}" for k in range(K)]
    save_vit_classifier(tmp_path, make(dataclasses.replace(CONFIG, image_size=6)), names)
    theirs = transformers.ViTForImageClassification.from_pretrained(tmp_path)
    assert theirs.config.id2label == dict(enumerate(names))
    assert theirs.config.image_size == 6


def test_a_folder_comes_back_as_it_went(folder):
    model = load_vit_classifier(folder)
    assert same(model, make())
    assert model.vit.config == CONFIG
    assert not model.training
    assert all(parameter.requires_grad and parameter.device.type == "cpu" for parameter in model.parameters())
    assert same(load_vit(folder), make().vit)


def test_the_encoder_of_a_model_without_head_is_read(transformers, theirs, tmp_path):
    theirs.vit.save_pretrained(tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    assert not any(name.startswith("vit.") for name in state)
    state |= {"pooler.dense.weight": torch.ones(21, 21), "embeddings.mask_token": torch.zeros(1, 1, 21)}
    save_file(state, tmp_path / "model.safetensors")
    images, _ = some()
    have = load_vit(tmp_path)(images.float())
    torch.testing.assert_close(have, theirs.vit(images.float()).last_hidden_state, atol=1e-5, rtol=1e-5)
    with pytest.raises(ValueError, match="no classifier; load the encoder alone with load_vit"):
        load_vit_classifier(tmp_path)


@pytest.mark.parametrize("classifier", [True, False])
def test_the_table_names_every_parameter_once(classifier):
    model = make() if classifier else make().vit
    table = vit_names(L, classifier=classifier)
    assert set(table) == set(model.state_dict())
    theirs = [name for names in table.values() for name in names]
    assert len(set(theirs)) == len(theirs)
    other = VitClassifier(CONFIG, K) if classifier else Vit(CONFIG)
    from_huggingface(other, to_huggingface(model, table), table)
    assert same(other, model)


def test_the_kernel_of_the_file_does_to_a_picture_what_our_matrix_does(folder):
    state, model = load_file(folder / "model.safetensors"), make()
    images = some()[0].float()
    bias = state[KERNEL.replace("weight", "bias")]
    expected = F.conv2d(images, state[KERNEL], bias, stride=P).flatten(2).transpose(1, 2)
    torch.testing.assert_close(model.vit.patches(patchify(images, P)), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_missing_or_broken_file_is_named(folder, name):
    (folder / name).write_text("{")
    with pytest.raises(ValueError, match=name):
        load_vit_classifier(folder)
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=name):
        load_vit(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "bert"}, "model_type='bert'"),
        ({"hidden_act": "relu"}, "hidden_act='relu'; only 'gelu'"),
        ({"qkv_bias": False}, "qkv_bias=False"),
        ({"patch_size": [3, 5]}, "only square patches"),
        ({"hidden_size": None}, "lacks hidden_size"),
        ({"image_size": None}, "lacks image_size"),
        ({"num_hidden_layers": 3}, "lacks 16 names"),
        ({"image_size": [6, 18]}, r"position_embeddings is \(11, 21\), the model needs \(13, 21\)"),
        ({"patch_size": 1}, r"projection\.weight has shape \(21, 2, 3, 3\); config\.json says patches of 1"),
    ],
)
def test_another_kind_of_model_is_refused(folder, change, message):
    path = folder / "config.json"
    config = json.loads(path.read_text()) | change
    path.write_text(json.dumps({name: value for name, value in config.items() if value is not None}))
    with pytest.raises(ValueError, match=message):
        load_vit_classifier(folder)


def test_tensors_with_other_axes_are_refused(folder):
    state = load_file(folder / "model.safetensors")
    save_file(state | {KERNEL: state[KERNEL].flatten(1)}, folder / "model.safetensors")
    with pytest.raises(ValueError, match=r"has shape \(21, 18\); a vision transformer's has 4 axes"):
        load_vit(folder)


def test_labels_and_models_that_do_not_fit_are_refused(tmp_path, unchecked):
    with pytest.raises(ValueError, match="2 labels for 7 classes"):
        save_vit_classifier(tmp_path, make(), ["a", "b"])
    with pytest.raises(ValueError, match="got a Vit"):
        save_vit_classifier(tmp_path, make().vit)
