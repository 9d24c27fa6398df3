"""Several processes that train one model: two of them, over gloo, do what one does."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lmcore.batches import IGNORE, Padded, Windows
from lmcore.train import fit
from lmcore.train.team import gather, part

TEXTS = [[i * i % 11 for i in range(n)] for n in (3, 1, 8, 2, 5, 1, 9, 4, 2, 6, 7)]
WAYS = ("ddp", "fsdp")


class Tied(nn.Module):
    """Reads a token, predicts the next with the matrix it has read with; ``spare`` never gets a gradient."""

    def __init__(self, dropout=0.0):
        super().__init__()
        torch.manual_seed(3)
        self.read, self.mix, self.spare = nn.Embedding(13, 7), nn.Linear(7, 7), nn.Linear(2, 3)
        self.output = nn.Linear(7, 13, bias=False)
        self.output.weight, self.dropout = self.read.weight, nn.Dropout(dropout)
        self.register_buffer("calls", torch.zeros(()))

    def states(self, ids):
        return torch.tanh(self.mix(self.dropout(self.read(ids))))


def loss(model, batch):
    """Calls parts of the model and never the model, as the losses of the book do; a mean over real targets."""
    real = batch[1] != IGNORE
    return F.cross_entropy(model.output(model.states(batch[0])[real]), batch[1][real])


def windows(rows):
    return Windows([i * i % 13 for i in range(97)], 5, rows, seed=5)


def padded():
    return Padded(TEXTS, 3, pad=0, start=11, end=12, seed=5)


# name → model, batches, and how to train: rows that do not divide, fewer rows than processes, targets of unequal number
RUNS = {
    "windows": (lambda: Tied().double(), lambda: windows(3), {"clip": 0.05, "weight_decay": 0.1}),
    "single rows": (lambda: Tied().double(), lambda: windows(1), {"clip": None, "schedule": "linear"}),
    "texts": (lambda: Tied().double(), padded, {"accumulate": 3, "every": 2}),
    "sgd": (lambda: Tied().double(), padded, {"optimizer": torch.optim.SGD}),
}
STEPS = 6


def trained(name):
    """The losses, and the model's parameters after every step that was handed out."""
    make, source, how = RUNS[name]
    model, losses, states = make(), [], []
    for step in fit(model, source(), loss, steps=STEPS, lr=0.05, **how):
        losses.append(step.loss)
        states.append({key: value.clone() for key, value in model.state_dict().items()})
    return losses, states


def resumed(folder, way):
    """A run with dropout, whole and interrupted: the parameters at the end of both, and the dropout of this process."""
    how = {"steps": 7, "lr": 0.05, "seed": 1, "accumulate": 2}
    whole, broken = Tied(0.3), Tied(0.3)
    for _ in fit(whole, padded(), loss, **how):
        pass
    path = folder / f"{way}.pt"
    for step in fit(Tied(0.3), padded(), loss, checkpoint=path, save_every=1, **how):
        if step.step == 3:
            break
    torch.distributed.barrier()
    done = [step.step for step in fit(broken, padded(), loss, checkpoint=path, save_every=1, **how)]
    again = [step.step for step in fit(Tied(0.3), padded(), loss, checkpoint=path, save_every=1, **how)]
    return whole.state_dict(), broken.state_dict(), done, again


def refused(call):
    try:
        call()
    except ValueError as error:
        return str(error)
    return ""


class Own(torch.optim.SGD):
    pass


def work(rank, folder):
    """What each of the two processes does."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=(folder / "meet").as_uri(), rank=rank, world_size=2)
    found = {}
    for way in WAYS:
        os.environ["LMCORE_PARALLEL"] = way
        for name in RUNS:
            found[way, name] = trained(name)
        found[way, "resumed"] = resumed(folder, way)
    how = {"steps": 1, "lr": 0.1}
    found["own"] = refused(lambda: list(fit(Tied(), padded(), loss, optimizer=Own, **how)))
    found["compile"] = refused(lambda: list(fit(Tied(), padded(), loss, compile=True, **how)))
    os.environ["LMCORE_PARALLEL"] = "mpi"
    found["unknown"] = refused(lambda: list(fit(Tied(), padded(), loss, **how)))
    os.environ["LMCORE_PARALLEL"] = "ddp"
    elsewhere = folder / f"seen by {rank}.pt"
    if rank:
        torch.save(torch.load(folder / "ddp.pt", weights_only=True), elsewhere)
    settings = {"steps": 7, "lr": 0.05, "seed": 1, "accumulate": 2}
    found["elsewhere"] = refused(lambda: list(fit(Tied(0.3), padded(), loss, checkpoint=elsewhere, **settings)))
    torch.save(found, folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """What both processes found."""
    folder = tmp_path_factory.mktemp("team")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, __file__]
    how = {"env": environment, "stderr": subprocess.PIPE, "text": True}
    running = [subprocess.Popen([*command, str(rank), str(folder)], **how) for rank in (0, 1)]
    errors = [process.communicate(timeout=500)[1] for process in running]
    assert [process.returncode for process in running] == [0, 0], "\n".join(errors)
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in (0, 1)]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", RUNS)
def test_two_processes_do_what_one_does(two, way, name):
    losses, states = trained(name)
    assert losses[0] != pytest.approx(losses[-1], rel=1e-2)
    for found in two:
        assert found[way, name][0] == pytest.approx(losses, rel=1e-6)
        for state, expected in zip(found[way, name][1], states, strict=True):
            torch.testing.assert_close(state, expected, rtol=1e-9, atol=1e-11)
    first, second = (found[way, name][1][-1] for found in two)
    assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("way", WAYS)
def test_an_interrupted_run_of_two_processes_goes_on_bit_for_bit(two, way):
    for whole, broken, done, again in (found[way, "resumed"] for found in two):
        assert (done, again) == ([4, 5, 6, 7], [])
        assert all(torch.equal(whole[key], broken[key]) for key in whole)
    assert all(torch.equal(a, b) for a, b in zip(*(found[way, "resumed"][0].values() for found in two), strict=True))


def test_what_the_processes_refuse(two):
    for found in two:
        assert "a Own may do more with its parameters than a step" in found["own"]
        assert "compile=True does not go with LMCORE_PARALLEL=fsdp" in found["compile"]
        assert "LMCORE_PARALLEL='mpi' is unknown; use one of ddp, fsdp" in found["unknown"]
        assert "checkpoints of steps [0, 7]; give a path in a folder that all of them share" in found["elsewhere"]


def test_one_process_stays_alone(monkeypatch):
    monkeypatch.setenv("LMCORE_PARALLEL", "fsdp")
    model = Tied()
    team = gather(model, loss)
    assert (team.model, team.compute.model, team.rank, team.count, team.settings()) == (model, model, 0, 1, {})


# ---------------------------------------------------------------- the rows of each


class Batch(NamedTuple):
    inputs: Tensor
    targets: Tensor
    first: Tensor
    more: dict | None = None


@pytest.mark.parametrize("count", [2, 3, 5])
def test_the_parts_hold_every_row_once_and_their_shares_are_one(count):
    targets = torch.arange(28).view(7, 4)
    targets[5:, 1:] = IGNORE
    targets[0] = IGNORE
    batch = Batch(torch.arange(7), targets, torch.tensor(True), {"words": [torch.arange(7), torch.arange(3)]})
    parts = [part(batch, rank, count) for rank in range(count)]
    assert sum(share for _, share in parts) == pytest.approx(1)
    assert sorted(torch.cat([own.inputs for own, _ in parts]).tolist()) == list(range(7))
    for own, share in parts:
        assert isinstance(own, Batch)
        assert torch.equal(own.targets, targets[own.inputs])
        assert torch.equal(own.more["words"][0], own.inputs)
        assert own.first.item()
        assert len(own.more["words"][1]) == 3
        assert share == pytest.approx((own.targets != IGNORE).sum().item() / 18)


def test_a_part_without_rows_or_targets_counts_nothing():
    batch = Batch(torch.arange(3), torch.tensor([[1, 2], [IGNORE, IGNORE], [3, IGNORE]]), torch.tensor(False))
    assert part(batch, 1, 3) == (batch, 0.0)
    assert part(batch, 3, 4) == (batch, 0.0)
    assert [part((torch.arange(5), "x"), rank, 2)[1] for rank in (0, 1)] == [0.6, 0.4]
    with pytest.raises(ValueError, match="tensors with one row for each example to be shared; got str"):
        part("abc", 0, 2)


# ---------------------------------------------------------------- recipes


def run(folder, *command):
    """The receipt of a recipe at smoke scale, and what was printed."""
    folder.mkdir()
    environment = os.environ | {"OMP_NUM_THREADS": "1", "LMCORE_SCALE": "smoke", "LMCORE_DEVICE": "cpu"}
    environment |= {"LMCORE_RECEIPT": str(folder / "receipt.json"), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, "-m", *command], env=environment, cwd=folder, capture_output=True, text=True, check=False, timeout=500
    )
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "receipt.json").read_text())["run"]["values"], done.stdout


def test_a_recipe_runs_under_torchrun(tmp_path):
    recipe = ("lmcore.train", "bert_pretraining")
    alone, _ = run(tmp_path / "one", *recipe)
    launcher = ("torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m")
    found, said = run(tmp_path / "two", *launcher, *recipe, "--checkpoint", "state.pt")
    assert said.count("2 processes share every batch (ddp, gloo)") == said.count("Peak memory") == 1
    assert found.keys() == alone.keys()
    assert found == pytest.approx(alone, rel=0.01)
    assert (tmp_path / "two" / "state.pt").is_file()


def test_an_unknown_recipe_is_refused_with_those_there_are(capsys):
    from lmcore.train.__main__ import main

    with pytest.raises(SystemExit) as stopped:
        main(["no_such_recipe"])
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert "no_such_recipe" in said
    assert "bert_pretraining" in said


if __name__ == "__main__":
    work(int(sys.argv[1]), Path(sys.argv[2]))
