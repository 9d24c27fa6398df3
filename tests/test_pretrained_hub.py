"""Models by name from a server on this machine, from a cache, from a folder; and what is said when there is none."""

import dataclasses
import hashlib
import socket
import threading
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from lmcore.bert import Bert, BertConfig
from lmcore.bpe import BPE
from lmcore.corpora.downloads import DownloadError
from lmcore.gpt import GPT, GPTConfig
from lmcore.llama import Llama, LlamaConfig
from lmcore.pretrained import (
    MODELS,
    SparseBPE,
    download,
    hub,
    load,
    save_bert,
    save_gpt2,
    save_llama,
    save_vit_classifier,
)
from lmcore.vit import VitClassifier, VitConfig
from lmcore.wordpiece import BERT_SPECIAL, WordPiece
from tests.parity import same
from tests.serving import Handler, Server, files_in

WORDS = BPE.train("the cat sat on the mat, the cat sat", 262, special=("<|endoftext|>",))
PIECES = WordPiece([*BERT_SPECIAL, "a", "b"])


def small(name: str) -> torch.nn.Module:
    """A small model of each kind; the hub's own are too large for a test."""
    torch.manual_seed(3)
    return {
        "gpt2": lambda: GPT(GPTConfig(262, max_length=7, dim=6, heads=2, layers=1)),
        "bert-base-uncased": lambda: Bert(BertConfig(7, dim=6, heads=2, layers=1, hidden=5, max_length=4)),
        "vit-base-patch16-224": lambda: VitClassifier(
            VitConfig((4, 6), patch=2, channels=1, dim=6, heads=2, layers=1, hidden=5), 3
        ),
        "SmolLM2-135M": lambda: Llama(LlamaConfig(262, max_length=7, dim=12, heads=6, kv_heads=3, layers=1, tied=True)),
    }[name]()


def write(name: str, folder: Path) -> Path:
    """The small model as a folder with the files that the hub has for this name."""
    model = small(name)
    if isinstance(model, Llama):
        save_llama(folder, model, WORDS)
        WORDS.to_huggingface().save(str(folder / "tokenizer.json"))
    elif isinstance(model, GPT):
        save_gpt2(folder, model, WORDS)
    elif isinstance(model, Bert):
        save_bert(folder, model, PIECES)
    else:
        save_vit_classifier(folder, model, ["cat", "hat", "mat"])
    return folder


def digest(data: bytes, like: str) -> str:
    if len(like) == 64:
        return hashlib.sha256(data).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@pytest.fixture
def no_network(monkeypatch, tmp_path):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        for name, value in {
            "LMCORE_DATA": str(tmp_path / "cache"),
            "LMCORE_MIRROR": f"http://127.0.0.1:{closed.getsockname()[1]}",
            "HF_HUB_CACHE": str(tmp_path / "theirs"),
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }.items():
            monkeypatch.setenv(name, value)
        yield


@pytest.fixture
def server(no_network, monkeypatch, tmp_path):
    """The four models, small, under the hub's names; what is pinned are their checksums, of the kind that is pinned."""
    with Server(("127.0.0.1", 0), Handler) as http:
        for name, model in MODELS.items():
            folder = write(name, tmp_path / "made" / name)
            files = {file: (folder / file).read_bytes() for file in model.files}
            http.files |= {f"models/{model.repository}/{file}": data for file, data in files.items()}
            pins = {file: digest(data, model.files[file]) for file, data in files.items()}
            monkeypatch.setitem(hub.MODELS, name, dataclasses.replace(model, files=pins))
        thread = threading.Thread(target=http.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setenv("LMCORE_MIRROR", f"http://127.0.0.1:{http.server_address[1]}/")
        try:
            yield http
        finally:
            http.shutdown()
            thread.join()


def test_the_pins_are_addresses_of_one_commit_and_whole_checksums():
    for name, model in MODELS.items():
        assert len(model.revision) == 40, name
        for file in model.pinned():
            assert file.url.startswith(f"https://huggingface.co/{model.repository}/resolve/{model.revision}/")
            assert len(file.sha256) in (40, 64)
            assert set(file.sha256) <= set("0123456789abcdef")
            assert file.path == f"models/{model.repository}/{file.url.rpartition('/')[2]}"
        assert {"config.json", "model.safetensors"} <= model.files.keys()


@pytest.mark.parametrize("name", MODELS)
def test_a_model_comes_by_name_once(server, name, tmp_path):
    model, other = load(name)
    assert isinstance(server, ThreadingHTTPServer)
    assert same(model, small(name))
    assert not model.training
    assert type(model) is type(small(name))
    expected = {"gpt2": WORDS, "bert-base-uncased": PIECES, "SmolLM2-135M": WORDS}.get(name)
    if expected is None:
        assert other == ("cat", "hat", "mat")
    else:
        assert other.vocabulary == expected.vocabulary
        assert other.encode("a cat") == expected.encode("a cat")
    assert len(server.requests) == len(MODELS[name].files)
    assert download(MODELS[name].repository) == tmp_path / "cache" / "models" / MODELS[name].repository
    load(MODELS[name].repository)
    assert len(server.requests) == len(MODELS[name].files)


@pytest.mark.parametrize("name", MODELS)
def test_the_same_comes_from_a_folder_without_a_network(no_network, name, tmp_path):
    model, _ = load(write(name, tmp_path / name))
    assert same(model, small(name))
    assert same(load(str(tmp_path / name))[0], model)


def test_a_folder_that_is_called_like_a_model_is_written_as_a_path(no_network, monkeypatch, tmp_path):
    write("gpt2", tmp_path / "gpt2")
    monkeypatch.chdir(tmp_path)
    assert same(load("./gpt2")[0], small("gpt2"))
    assert same(load(Path("gpt2"))[0], small("gpt2"))
    with pytest.raises(DownloadError):
        load("gpt2")


def test_without_a_network_the_error_says_which_files_from_where_and_where_to(no_network, monkeypatch, tmp_path):
    monkeypatch.delenv("LMCORE_MIRROR")

    def refuse(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    for proxy in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(proxy, raising=False)
        monkeypatch.delenv(proxy.upper(), raising=False)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for name, model in MODELS.items():
        with pytest.raises(FileNotFoundError) as caught:
            load(name)
        message = str(caught.value)
        assert "no connection" in message
        assert all(file.url in message for file in model.pinned())
        assert str(tmp_path / "cache" / "models" / model.repository) in message
        assert "LMCORE_DATA" in message
        assert "load('path/of/folder')" in message
        assert "\n" not in message
    assert not (tmp_path / "cache").exists()


def test_files_that_were_put_there_by_hand_are_used_and_only_the_others_asked_for(no_network, server, tmp_path):
    model = hub.MODELS["gpt2"]
    there = tmp_path / "cache" / "models" / model.repository
    there.mkdir(parents=True)
    (there / "config.json").write_bytes(server.files[f"models/{model.repository}/config.json"])
    server.mode = "404"
    with pytest.raises(FileNotFoundError) as caught:
        load("gpt2")
    missing = str(caught.value).partition("missing in")[2]
    assert "config.json" not in missing
    assert all(name in missing for name in ("vocab.json", "merges.txt", "model.safetensors"))
    for name in model.files:
        (there / name).write_bytes(server.files[f"models/{model.repository}/{name}"])
    assert same(load("gpt2")[0], small("gpt2"))


@pytest.mark.parametrize("name", ["gpt2", "vit-base-patch16-224"])  # SHA-256, and git's name
@pytest.mark.parametrize(
    ("mode", "says"),
    [("other file", "another checksum"), ("cut short", "broke off before its end"), ("cut short without a length", "checksum")],
)
def test_what_is_not_the_pinned_file_never_gets_its_name(server, name, mode, says, tmp_path):
    server.mode = mode
    with pytest.raises(DownloadError, match=says):
        load(name)
    assert not (tmp_path / "cache").exists()
    server.mode = "well"
    load(name)
    config = tmp_path / "cache" / "models" / MODELS[name].repository / "config.json"
    config.write_bytes(config.read_bytes() + b" ")
    with pytest.raises(DownloadError, match="is not the expected file"):
        load(name)
    assert config.read_bytes().endswith(b" ")
    assert {Path(path).name for path in files_in(tmp_path / "cache")} == set(MODELS[name].files)


def test_what_huggingface_has_fetched_is_not_fetched_again(no_network, monkeypatch, tmp_path):
    model = MODELS["gpt2"]
    theirs = tmp_path / "theirs" / "models--openai-community--gpt2" / "snapshots" / model.revision
    write("gpt2", theirs)
    (theirs / "merges.txt").rename(tmp_path / "merges.txt")
    with pytest.raises(DownloadError):  # theirs is not whole
        download("gpt2")
    (tmp_path / "merges.txt").rename(theirs / "merges.txt")
    assert download("gpt2") == theirs
    assert same(load("gpt2")[0], small("gpt2"))
    monkeypatch.delenv("HF_HUB_CACHE")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    with pytest.raises(DownloadError):
        load("gpt2")
    (tmp_path / "home").mkdir()
    (tmp_path / "theirs").rename(tmp_path / "home" / "hub")
    assert same(load("gpt2")[0], small("gpt2"))
    monkeypatch.delenv("HF_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "home").rename(tmp_path / "huggingface")
    assert same(load("gpt2")[0], small("gpt2"))


def test_what_is_no_model_is_told(no_network, tmp_path):
    with pytest.raises(ValueError, match=r"'gpt3' is no folder and no model .* gpt2, bert-base-uncased"):
        load("gpt3")
    with pytest.raises(ValueError, match="'gpt3' is no model"):
        download("gpt3")
    (tmp_path / "config.json").write_text('{"model_type": "t5"}')
    with pytest.raises(ValueError, match="model_type='t5'; use one of gpt2, bert, vit, llama"):
        load(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"config\.json"):
        load(tmp_path / "..")


def test_a_vocabulary_without_some_bytes_leaves_them_out():
    known = [token for token in WORDS.vocabulary if token not in ("Ã", "Z")]
    words = SparseBPE(known, WORDS.merges, special=WORDS.special)
    assert len(words) == len(WORDS) - 2
    assert max(words.encode("the Zebra sät")) < len(words)
    assert words.decode(words.encode("the Zebra")) == "the ebra"
    assert words.decode(words.encode("the cat<|endoftext|>")) == "the cat<|endoftext|>"
    with pytest.raises(ValueError, match=str(len(words))):
        words.decode([len(words)])
