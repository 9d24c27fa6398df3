"""Models as bytes: what is packed comes back, rounded to half precision and no further."""

import dataclasses
import json

import pytest
import safetensors.torch
import torch
from torch import nn

from lmcore.bert import Bert, BertConfig
from lmcore.gpt import GPTConfig
from lmcore.widgets.model_file import MOST, MOST_AT_FULL, fitting, pack, rounded, unpack

CONFIG = BertConfig(37, dim=12, heads=3, layers=2, hidden=19, max_length=11, dropout=0.0)


class Tied(nn.Module):
    """Two layers that share their weight, as a language model's first and last, and a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(7, 5)
        self.out = nn.Linear(5, 7)
        self.out.weight = self.embedding.weight
        self.register_buffer("scale", torch.tensor([1 / 3, 65504.0, 2.0**-24]))


def test_bytes_hold_every_number_in_half_precision_and_the_sizes() -> None:
    torch.manual_seed(3)
    model = Bert(CONFIG)
    data = pack(model)
    state, config = unpack(data)
    assert config == dataclasses.asdict(CONFIG)
    assert {name: tuple(t.shape) for name, t in state.items()} == {n: tuple(t.shape) for n, t in model.state_dict().items()}
    for name, tensor in model.state_dict().items():
        assert torch.equal(state[name], tensor.half().float()), name
    assert pack(model) == data, "the same model gives the same bytes"
    numbers = sum(p.numel() for p in model.parameters())
    assert 2 * numbers < len(data) < 2 * numbers + 5000


def test_any_reader_of_safetensors_reads_it() -> None:
    found = safetensors.torch.load(pack(Tied(), {"width": 5}))
    assert {t.dtype for t in found.values()} == {torch.float16}
    assert set(found) == {"embedding.weight", "out.bias", "scale"}


def test_a_shared_tensor_is_stored_once_and_comes_back_under_both_names() -> None:
    model = Tied()
    state, _ = unpack(pack(model, {}))
    assert set(state) == set(model.state_dict())
    assert torch.equal(state["out.weight"], model.embedding.weight.half().float())
    assert state["scale"].tolist() == [torch.tensor(1 / 3).half().item(), 65504.0, 2.0**-24]
    separate = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    separate[1].load_state_dict(separate[0].state_dict())  # equal numbers at two places are two tensors
    assert len(safetensors.torch.load(pack(separate, {}))) == 2


def test_parts_can_be_left_out() -> None:
    state, _ = unpack(pack(Bert(CONFIG), without=("pooler.", "layers.1.")))
    assert not [name for name in state if name.startswith(("pooler", "layers.1"))]
    assert "layers.0.norm1.weight" in state


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rounded_model_computes_with_the_packed_numbers(dtype: torch.dtype) -> None:
    torch.manual_seed(5)
    model = Bert(CONFIG).to(dtype).eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    twin = rounded(model)
    assert type(twin) is Bert
    fresh = Bert(CONFIG).to(dtype).eval()
    fresh.load_state_dict(unpack(pack(model))[0])
    ids = torch.randint(37, (2, 7))
    assert next(twin.parameters()).dtype == dtype
    assert torch.equal(twin(ids), fresh(ids))
    assert not torch.equal(twin(ids), model(ids)), "rounding changes something"
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items()), "the model stays as it was"
    for name, tensor in twin.state_dict().items():
        assert ((tensor - before[name]).abs() <= 2.0**-11 * before[name].abs() + 2.0**-25).all(), name


def test_rounded_keeps_shared_tensors_shared() -> None:
    twin = rounded(Tied())
    assert twin.out.weight is twin.embedding.weight


def test_a_page_carries_four_megabytes_of_a_model_and_more_at_scale_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """As much as the models of chapter 16 take there, which a GPU trains."""
    for scale, most in (("smoke", MOST), ("small", MOST), ("full", MOST_AT_FULL)):
        monkeypatch.setenv("LMCORE_SCALE", scale)
        data = bytes(most)
        assert fitting(data) is data
        with pytest.raises(ValueError, match=f"takes {most + 1:,} bytes; a page carries at most {most:,} for one model"):
            fitting(bytes(most + 1))
    assert MOST == 4_000_000
    assert 2 * GPTConfig(5_000, max_length=160, dim=256, heads=8, layers=6).parameters < MOST_AT_FULL


def test_refuses_what_half_precision_cannot_hold() -> None:
    for value, says in ((70_000.0, "7e[+]04; half precision has finite numbers up to 65,504"), (float("nan"), "holds nan")):
        model = nn.Linear(3, 2)
        with torch.no_grad():
            model.weight[1, 2] = value
        for refuse in (lambda model=model: pack(model, {}), lambda model=model: rounded(model)):
            with pytest.raises(ValueError, match=f"weight .*{says}"):
                refuse()
    counting = nn.BatchNorm1d(3)
    with pytest.raises(ValueError, match=r"num_batches_tracked holds torch.int64; only floating-point"):
        pack(counting, {})


def test_refuses_what_is_no_model_or_has_nothing_to_tell(unchecked: None) -> None:
    with pytest.raises(ValueError, match="torch module; got a dict"):
        pack({})
    with pytest.raises(ValueError, match="torch module; got a str"):
        rounded("model")
    with pytest.raises(ValueError, match="Linear has no config that is a dataclass"):
        pack(nn.Linear(2, 3))
    with pytest.raises(ValueError, match=r"no tensor of Linear is left to pack; without=\[''\]"):
        pack(nn.Linear(2, 3), {}, without=("",))
    foreign = safetensors.torch.save({"a": torch.ones(2)}, {"other": json.dumps({})})
    for data in (b"", b"not a model at all", foreign, pack(Tied(), {})[:-3]):
        with pytest.raises(ValueError, match="not the bytes of a packed model"):
            unpack(data)
