"""The recipes for tiny Shakespeare: nanoGPT's model and tokens, a measure of a whole text, no look at what is reported."""

import json
import math
from dataclasses import asdict, replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lmcore import corpora, ledger
from lmcore.gpt import GPT, GPTConfig
from lmcore.ledger import record
from lmcore.llama import CHANGES
from lmcore.recipes import shakespeare, shakespeare_llama, shakespeare_rotary

SMOKE = shakespeare.SIZES["smoke"]
LINES = "the cat sat on the mat. a dog ran to the cat; the cat ran.\nno dog sat!\n"


@pytest.fixture
def receipt(monkeypatch, tmp_path):
    """Reads the receipt that a recipe leaves."""
    path = tmp_path / "receipt.json"
    monkeypatch.setenv("LMCORE_RECEIPT", str(path))
    monkeypatch.setenv("LMCORE_SCALE", "smoke")
    return lambda: json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture
def play(monkeypatch):
    """Instead of tiny Shakespeare a short text; called with another one it takes that."""

    def put(text):
        monkeypatch.setattr(corpora, "tiny_shakespeare", lambda: text)

    put(LINES * 31)
    return put


def numbers(sizes, seed=0, **how):
    page = ledger.Page("shakespeare", config={"test": True})
    page.seed = seed
    shakespeare.run(sizes, page, **how)
    return page.receipt().run.values


# ---------------------------------------------------------------- the model


class Head(nn.Module):
    """nanoGPT's attention and network of one layer, as its model.py has them."""

    def __init__(self, C, H):
        super().__init__()
        self.H = H
        self.ln_1, self.ln_2 = nn.LayerNorm(C, bias=False), nn.LayerNorm(C, bias=False)
        self.c_attn, self.c_proj = nn.Linear(C, 3 * C, bias=False), nn.Linear(C, C, bias=False)
        self.c_fc, self.mlp_proj = nn.Linear(C, 4 * C, bias=False), nn.Linear(4 * C, C, bias=False)

    def forward(self, x):
        B, T, C = x.shape
        q, k, v = (y.view(B, T, self.H, C // self.H).transpose(1, 2) for y in self.c_attn(self.ln_1(x)).split(C, dim=2))
        scores = (q @ k.transpose(-2, -1)) / math.sqrt(C // self.H)
        scores = scores.masked_fill(torch.ones(T, T).tril() == 0, -math.inf)
        x = x + self.c_proj((scores.softmax(-1) @ v).transpose(1, 2).reshape(B, T, C))
        return x + self.mlp_proj(F.gelu(self.c_fc(self.ln_2(x))))


def test_the_model_is_that_of_nanogpt():
    torch.manual_seed(3)
    sizes = replace(SMOKE, dim=12, heads=3, layers=2, length=7)
    ours, wte, wpe = shakespeare.model_of(sizes, 11).double(), nn.Embedding(11, 12), nn.Embedding(7, 12)
    layers, last = nn.ModuleList(Head(12, 3) for _ in range(2)), nn.LayerNorm(12, bias=False)
    theirs = nn.ModuleList([wte, wpe, layers, last]).double()
    wte.weight.data, wpe.weight.data = ours.embedding.weight.data.clone(), ours.positions.weight.data.clone()
    for layer, other in zip(ours.layers, layers, strict=True):
        other.c_attn.weight.data = layer.self_attn.in_proj_weight.data.clone()
        other.c_proj.weight.data = layer.self_attn.out_proj.weight.data.clone()
        other.c_fc.weight.data, other.mlp_proj.weight.data = (
            layer.linear1.weight.data.clone(),
            layer.linear2.weight.data.clone(),
        )
    ids = torch.randint(11, (5, 7))
    x = wte(ids) + wpe(torch.arange(7))
    for layer in layers:
        x = layer(x)
    torch.testing.assert_close(ours(ids), last(x) @ wte.weight.T)
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())


def test_sizes_parameters_and_tokens_are_those_of_nanogpt():
    small, full = shakespeare.SIZES["small"], shakespeare.SIZES["full"]
    assert (small.layers, small.heads, small.dim, small.length, small.batch_size, small.steps) == (4, 4, 128, 64, 12, 2_000)
    assert (full.layers, full.heads, full.dim, full.length, full.batch_size, full.steps) == (6, 6, 384, 256, 64, 5_000)
    assert small.dropout == small.hold == 0
    with torch.device("meta"):
        counts = [sum(p.numel() for p in shakespeare.model_of(sizes, 65).parameters()) for sizes in (small, full)]
    assert counts == [804_096, 10_745_088]  # nanoGPT says 0.80M and 10.65M, as it leaves the positions out


def test_the_rotary_recipe_differs_in_positions_and_norms_of_queries_and_keys_alone():
    for name, sizes in shakespeare_rotary.SIZES.items():
        assert replace(sizes, positions="learned", qk_norm=False) == shakespeare.SIZES[name]
        assert (sizes.positions, sizes.qk_norm) == ("rotary", True)
    model = shakespeare.model_of(shakespeare_rotary.SIZES["smoke"], 65)
    assert model.positions is None
    assert model.rotary is not None


# ---------------------------------------------------------------- the measure


@pytest.mark.parametrize(
    ("count", "length", "stride"), [(53, 7, None), (53, 7, 3), (50, 7, 1), (5, 7, 3), (8, 7, 7), (2, 7, 7)]
)
def test_every_character_but_the_first_is_predicted_once(count, length, stride):
    torch.manual_seed(5)
    model = GPT(GPTConfig(11, length, 6, 3, 1, std=0.5)).double()
    ids = torch.randint(11, (count,))
    step, total = stride or length, 0.0
    for t in range(1, count):
        windows = [begin for begin in range(0, count, step) if begin < t <= begin + length]
        begin = windows[0]  # the earliest window has the most characters before t
        total -= model(ids[None, begin:t]).log_softmax(-1)[0, -1, ids[t]].item()
    found = shakespeare.nats_per_character(model, ids.tolist(), length, stride, batch_size=3)
    assert found == pytest.approx(total / (count - 1), rel=1e-6)


def test_the_measure_drops_nothing_and_leaves_no_gradient():
    torch.manual_seed(6)
    model = GPT(GPTConfig(11, 7, 6, 3, 1, std=0.5, dropout=0.9)).train()
    found = {shakespeare.nats_per_character(model.train(), list(range(11)) * 3, 7) for _ in range(3)}
    assert len(found) == 1
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize(
    ("ids", "length", "stride", "complaint"),
    [([1], 7, 7, "must have 2 or more"), ([1, 2], 7, 8, "stride=8"), ([1, 2], 7, 0, "stride=0"), ([1, 2], 0, 1, "length=0")],
)
def test_what_cannot_be_measured_is_refused(ids, length, stride, complaint):
    with pytest.raises(ValueError, match=complaint):
        shakespeare.nats_per_character(GPT(GPTConfig(11, 7, 6, 3, 1)), ids, length, stride)


# ---------------------------------------------------------------- what is learnt from, and what is reported


def test_settings_are_chosen_without_a_look_at_the_validation_part(play):
    before = numbers(SMOKE, choose=True)
    assert not any(name.startswith("valid") for name in before)
    text = corpora.tiny_shakespeare()
    cut = len(text) * 9 // 10
    play(text[:cut] + text[cut:][::-1])
    assert numbers(SMOKE, choose=True) == before
    chosen = cut * 9 // 10
    play(text[:chosen] + text[chosen:cut][::-1] + text[cut:])
    after = numbers(SMOKE, choose=True)
    assert after["train.nats"] == before["train.nats"]
    assert after["choice.nats"] != before["choice.nats"]


def test_nothing_is_learnt_from_the_validation_part(play):
    before = numbers(SMOKE)
    text = corpora.tiny_shakespeare()
    cut = len(text) * 9 // 10
    play(text[:cut] + text[cut:][::-1])
    after = numbers(SMOKE)
    assert {name for name in before if before[name] != after[name]} == {
        "valid.nats", "valid.bpc", "valid.nats.overlap", "valid.bpc.overlap",
    }  # fmt: skip


def test_the_best_parameters_are_kept_by_a_part_that_is_not_learnt_from(play, monkeypatch):
    sizes = replace(SMOKE, steps=12, every=3, hold=0.2)
    seen, held, real = [], [], shakespeare.nats_per_character

    def measured(model, ids, *rest):
        if len(seen) < 4:
            seen.append({name: value.clone() for name, value in model.state_dict().items()})
            held.append(list(ids))
            return [3.0, 1.0, 2.0, 1.5][len(seen) - 1]
        assert all(torch.equal(value, seen[1][name]) for name, value in model.state_dict().items())
        assert any(not torch.equal(value, seen[3][name]) for name, value in model.state_dict().items())
        return real(model, ids, *rest)

    learnt = []
    windows = shakespeare.Windows
    monkeypatch.setattr(shakespeare, "nats_per_character", measured)
    monkeypatch.setattr(shakespeare, "Windows", lambda ids, *a, **k: (learnt.extend(ids), windows(ids, *a, **k))[1])
    values = numbers(sizes)
    assert (values["held.nats"], values["best.step"]) == (1.0, 6)
    text = corpora.tiny_shakespeare()
    cut = len(text) * 9 // 10
    vocabulary = sorted(set(text))
    assert "".join(vocabulary[i] for i in learnt + held[0]) == text[:cut]
    assert len(held[0]) == pytest.approx(0.2 * cut, abs=1)


def test_a_run_is_repeated_by_its_seed(play):
    first, second, other = numbers(SMOKE, 1), numbers(SMOKE, 1), numbers(SMOKE, 2)
    assert first == second
    assert first["valid.nats"] != other["valid.nats"]


@pytest.mark.parametrize("recipe", [shakespeare, shakespeare_rotary])
def test_it_learns_more_than_frequencies(recipe, play):
    sizes = replace(recipe.SIZES["smoke"], dim=32, steps=120, lr=2e-2, warmup=10, hold=0.0, std=0.1, every=120)
    values = numbers(sizes)
    text = corpora.tiny_shakespeare()
    frequencies = torch.tensor([text.count(character) / len(text) for character in sorted(set(text))])
    assert values["valid.nats"] < 0.6 * -(frequencies * frequencies.log()).sum()
    assert values["valid.bpc"] == pytest.approx(values["valid.nats"] / math.log(2))
    assert values["passes"] == pytest.approx(120 * 4 * 16 / (len(text) * 9 // 10))
    assert "held.nats" not in values


# ---------------------------------------------------------------- Llama's changes


def ablation(sizes, seed=0):
    page = ledger.Page("shakespeare_llama", config={"test": True})
    page.seed = seed
    shakespeare_llama.run(sizes, page)
    return page.receipt().run.values


def test_every_change_stands_alone_and_all_stand_together_at_equal_parameters():
    own = {"rmsnorm": "norm", "swiglu": "activation", "rotary": "positions", "grouped": "kv_heads"}
    assert [*shakespeare_llama.VARIANTS] == ["gpt", *own, "all"]
    assert set(shakespeare_llama.VARIANTS["all"]) == set(CHANGES)
    for scale in ("small", "full"):
        sizes = shakespeare_llama.SIZES[scale]
        gpt = shakespeare.model_of(sizes, 65).config
        found = {name: shakespeare_llama.config_of(name, sizes, 65) for name in shakespeare_llama.VARIANTS}
        assert found["gpt"] == gpt
        for name, field in own.items():
            assert getattr(found[name], field) == getattr(found["all"], field) != getattr(gpt, field)
            assert replace(found[name], **{field: getattr(gpt, field)}, hidden=None) == gpt
        assert found["grouped"].kv_heads == sizes.heads // 2
        assert all(abs(config.parameters / gpt.parameters - 1) < 0.001 for config in found.values())


def test_the_variants_are_compared_with_half_the_steps_and_nothing_else_is_changed():
    for scale, sizes in shakespeare_llama.SIZES.items():
        assert replace(sizes, steps=shakespeare.SIZES[scale].steps) == shakespeare.SIZES[scale]
    assert shakespeare_llama.SIZES["small"].steps * 2 == shakespeare.SIZES["small"].steps


def test_the_first_variant_is_the_gpt_and_all_read_the_same_batches(play, monkeypatch):
    read, windows = [], shakespeare.Windows

    class Watched(windows):
        def batch(self, rows):
            read.append(tuple(rows.tolist()))
            return super().batch(rows)

    monkeypatch.setattr(shakespeare, "Windows", Watched)
    values = ablation(SMOKE, seed=3)
    each = [tuple(read[i : i + SMOKE.steps]) for i in range(0, len(read), SMOKE.steps)]
    assert len(each) == len(shakespeare_llama.VARIANTS)
    assert len(set(each)) == 1
    assert values["valid.nats.gpt"] == numbers(SMOKE, seed=3)["valid.nats"]
    nats = {values[f"valid.nats.{name}"] for name in shakespeare_llama.VARIANTS}
    assert len(nats) == len(shakespeare_llama.VARIANTS)
    for name in shakespeare_llama.VARIANTS:
        assert values[f"above.{name}"] == values[f"valid.nats.{name}"] - values["valid.nats.gpt"]


def test_no_variant_learns_from_the_validation_part(play):
    before = ablation(SMOKE)
    text = corpora.tiny_shakespeare()
    cut = len(text) * 9 // 10
    play(text[:cut] + text[cut:][::-1])
    after = ablation(SMOKE)
    assert {name.rpartition(".")[0] for name in before if before[name] != after[name]} == {"valid.nats", "above"}


def test_every_variant_learns_more_than_frequencies(play):
    values = ablation(replace(SMOKE, dim=32, steps=120, lr=2e-2, warmup=10, hold=0.0, std=0.1, every=120))
    text = corpora.tiny_shakespeare()
    frequencies = torch.tensor([text.count(character) / len(text) for character in sorted(set(text))])
    for name in shakespeare_llama.VARIANTS:
        assert values[f"valid.nats.{name}"] < 0.6 * -(frequencies * frequencies.log()).sum()


# ---------------------------------------------------------------- the command line


@pytest.mark.parametrize("recipe", [shakespeare, shakespeare_rotary, shakespeare_llama])
def test_recipes_run_from_beginning_to_end(recipe, receipt):
    if not corpora.available("tiny_shakespeare"):
        pytest.skip("tiny_shakespeare is not downloaded")
    recipe.main([])
    found = receipt()
    assert found["chapter"] == recipe.__name__.rpartition(".")[2]
    assert found["setting"]["data"]["tiny_shakespeare"] == corpora.sha256("tiny_shakespeare")
    extra = {} if recipe is shakespeare_llama else {"choose": False}
    assert found["setting"]["config"] == asdict(recipe.SIZES["smoke"]) | extra
    nats = [value for name, value in found["run"]["values"].items() if name.startswith("valid.nats")]
    assert nats
    assert max(nats) < math.log(65)


def test_settings_of_the_command_line_are_used_and_noted(play, receipt, monkeypatch):
    monkeypatch.setattr(corpora, "sha256", lambda name: "0")
    shakespeare.main(["--choose", "--steps=4", "--weight-decay=0.5", "--hold=0"])
    found = receipt()
    config = found["setting"]["config"]
    assert (config["choose"], config["steps"], config["weight_decay"], config["hold"]) == (True, 4, 0.5, 0)
    assert "choice.nats" in found["run"]["values"]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--hold=1.5"], "hold=1.5"),
        (["--steps=0"], "steps=0"),
        (["--lr=fast"], "--lr"),
        (["--heads=3"], "heads=3"),
        (["--std=0"], "std=0"),
    ],
)
def test_a_wrong_command_line_says_what_to_do(options, complaint, play, capsys, monkeypatch):
    monkeypatch.setenv("LMCORE_SCALE", "smoke")
    with pytest.raises(SystemExit) as end:
        shakespeare.main(options)
    assert end.value.code == 2
    message = capsys.readouterr().err
    assert complaint in message
    assert "Traceback" not in message


@pytest.mark.parametrize("recipe", [shakespeare, shakespeare_rotary])
def test_help_says_what_can_be_set(recipe, capsys):
    with pytest.raises(SystemExit) as end:
        recipe.main(["--help"])
    assert end.value.code == 0
    shown = capsys.readouterr().out
    assert "--weight-decay" in shown
    assert "--choose" in shown
    assert f"python -m {recipe.__name__} " in shown


def test_the_ablation_takes_no_settings_and_says_so(capsys):
    with pytest.raises(SystemExit) as end:
        shakespeare_llama.main(["--steps=3"])
    assert end.value.code == 2
    assert "unrecognized arguments: --steps=3" in capsys.readouterr().err


def test_every_size_is_a_setting_that_the_ledger_can_keep():
    for recipe in (shakespeare, shakespeare_rotary, shakespeare_llama):
        for sizes in recipe.SIZES.values():
            assert all(isinstance(value, int | float | str | bool) for value in asdict(sizes).values())


@pytest.mark.parametrize(("recipe", "most"), [("shakespeare", 1.75), ("shakespeare_rotary", 1.71)])
def test_the_recorded_runs_reach_the_goal(recipe, most):
    [kept] = [entry for entry in record.read(recipe) if (entry.setting.device, entry.setting.scale) == ("cpu", "small")]
    assert kept.setting.config["choose"] is False
    assert len(kept.runs) >= 3
    spread = kept.spread("valid.nats")
    assert spread is not None
    assert spread.mean <= most


def test_the_recorded_changes_are_three_runs_at_equal_parameters():
    [kept] = [
        entry for entry in record.read("shakespeare_llama") if (entry.setting.device, entry.setting.scale) == ("cpu", "small")
    ]
    assert kept.setting.config == asdict(shakespeare_llama.SIZES["small"])
    assert len(kept.runs) >= 3
    assert not kept.stale()
    for run in kept.runs:
        sizes = [run.values[f"parameters.{name}"] for name in shakespeare_llama.VARIANTS]
        assert max(sizes) / min(sizes) < 1.001
        assert run.values["above.all"] < run.values["above.rotary"] < 0
