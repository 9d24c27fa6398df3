"""The loop equals the loop one would write by hand, and a run that was interrupted equals one that was not."""

import json
import math
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lmcore import train
from lmcore.batches import Windows
from lmcore.schedules import vaswani_rate
from lmcore.train import Step, fit, learning_rate, progress


def tiny(seed=3, dropout=0.2):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Embedding(13, 7), nn.Dropout(dropout), nn.Linear(7, 13))


def data(seed=5):
    torch.manual_seed(1)
    return Windows(torch.randint(13, (97,)), 5, 3, seed=seed)


def loss(model, batch):
    inputs, targets = batch
    return F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())


def parameters(model):
    return [p.detach().clone() for p in model.parameters()]


def equal(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


# ---------------------------------------------------------------- the schedule


@pytest.mark.parametrize("schedule", [name for name in train.SCHEDULES if name != "inverse_sqrt"])
@pytest.mark.parametrize(("steps", "warmup"), [(1, 0), (11, 0), (11, 3), (11, 10)])
def test_the_schedule_climbs_to_lr_and_falls_to_zero(schedule, steps, warmup):
    rates = [learning_rate(n, steps=steps, lr=0.7, warmup=warmup, schedule=schedule) for n in range(1, steps + 2)]
    assert rates[warmup] == pytest.approx(0.7)
    assert max(rates) == rates[warmup]
    assert rates[:warmup] == pytest.approx([0.7 * n / (warmup + 1) for n in range(1, warmup + 1)])
    assert all(rate > 0 for rate in rates[:-1])
    assert rates[-1] == pytest.approx(0.7 if schedule == "constant" else 0.0, abs=1e-12)
    if schedule == "linear":
        falls = [a - b for a, b in zip(rates[warmup:], rates[warmup + 1 :], strict=False)]
        assert falls == pytest.approx([falls[0]] * len(falls))
    if schedule == "cosine" and steps - warmup == 8:
        assert rates[warmup + 4] == pytest.approx(0.35)


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_a_schedule_may_end_above_zero(schedule):
    how = {"steps": 11, "lr": 0.7, "warmup": 3, "schedule": schedule}
    rates, to_zero = ([learning_rate(n, **how, final=f) for n in range(1, 13)] for f in (0.1, 0.0))
    assert rates[-1] == pytest.approx(0.07)
    assert rates[:4] == pytest.approx(to_zero[:4])
    assert rates[4:] == pytest.approx([0.07 + 0.9 * rate for rate in to_zero[4:]])
    model, batches = torch.nn.Linear(2, 1), [torch.ones(1, 2)] * 2
    done = fit(model, batches, lambda model, x: model(x).sum(), steps=2, lr=0.2, schedule=schedule, final=1.0)
    assert [step.lr for step in done] == [0.2, 0.2]


@pytest.mark.parametrize(("steps", "warmup"), [(17, 5), (200, 20)])
def test_the_cosine_is_that_of_nanogpt(steps, warmup):
    """Its ``get_lr``, which counts from 0, with a smallest rate of a tenth."""
    for it in range(steps):
        share = (it - warmup) / (steps - warmup)
        wanted = 0.06 + 0.5 * (1 + math.cos(math.pi * share)) * (0.6 - 0.06)
        wanted = 0.6 * (it + 1) / (warmup + 1) if it < warmup else wanted
        assert learning_rate(it + 1, steps=steps, lr=0.6, warmup=warmup, schedule="cosine", final=0.1) == pytest.approx(wanted)


@pytest.mark.parametrize(("dim", "warmup"), [(512, 4000), (64, 7), (3, 1)])
def test_inverse_sqrt_is_equation_3_of_vaswani_et_al(dim, warmup):
    peak = vaswani_rate(dim, warmup)
    how = {"steps": 10**6, "lr": peak, "warmup": warmup, "schedule": "inverse_sqrt"}
    for n in (1, 2, warmup, warmup + 1, 5 * warmup, 123_456):
        assert learning_rate(n, **how) == pytest.approx(dim**-0.5 * min(n**-0.5, n * warmup**-1.5))
    rates = [learning_rate(n, **how) for n in range(1, 3 * warmup + 2)]
    assert max(rates) == rates[warmup - 1] == pytest.approx(peak)
    assert learning_rate(4 * warmup, **how) == pytest.approx(peak / 2)
    assert vaswani_rate(dim, warmup, 3.0) == pytest.approx(3 * peak)


def test_the_inverse_sqrt_does_not_depend_on_the_number_of_steps():
    how = {"lr": 0.7, "warmup": 3, "schedule": "inverse_sqrt"}
    short = [learning_rate(n, steps=11, **how) for n in range(1, 12)]
    assert short == [learning_rate(n, steps=1_000, **how) for n in range(1, 12)]
    assert min(short) > 0


def test_fit_trains_at_the_rates_of_the_schedule():
    how = {"steps": 6, "lr": 0.02, "warmup": 2, "schedule": "inverse_sqrt"}
    steps = list(fit(tiny(), data(), loss, **how))
    assert [step.lr for step in steps] == [learning_rate(n, **how) for n in range(1, 7)]
    assert steps[0].lr == pytest.approx(0.01)


# ---------------------------------------------------------------- the step


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("clip", [None, 0.05])
def test_fit_is_the_loop_one_would_write_by_hand(accumulate, clip):
    model, reference = tiny(dropout=0.0), tiny(dropout=0.0)
    taken = list(
        fit(model, data(), loss, steps=6, lr=0.01, schedule="linear", weight_decay=0.1, clip=clip, accumulate=accumulate)
    )
    matrices = [p for p in reference.parameters() if p.ndim == 2]
    vectors = [p for p in reference.parameters() if p.ndim == 1]
    optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}])
    source = data()
    for n in range(6):
        for group in optimizer.param_groups:
            group["lr"] = 0.01 * (6 - n) / 6
        optimizer.zero_grad()
        value = sum(loss(reference, next(source)) for _ in range(accumulate)) / accumulate
        value.backward()
        if clip is not None:
            norm = torch.sqrt(sum((p.grad**2).sum() for p in reference.parameters()))
            assert norm > clip
            for p in reference.parameters():
                p.grad *= clip / norm
        optimizer.step()
        assert taken[n].loss == pytest.approx(value.item(), rel=1e-5)
        assert (taken[n].step, taken[n].lr) == (n + 1, pytest.approx(0.01 * (6 - n) / 6))
    for mine, his in zip(model.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(mine, his, rtol=1e-5, atol=1e-6)
    assert [s.seconds for s in taken] == sorted(s.seconds for s in taken)


def test_another_optimizer_can_be_given():
    model, reference = tiny(dropout=0.0), tiny(dropout=0.0)
    list(fit(model, data(), loss, steps=2, lr=0.5, clip=None, optimizer=torch.optim.SGD))
    for batch, _ in zip(data(), range(2), strict=False):
        gradients = torch.autograd.grad(loss(reference, batch), list(reference.parameters()))
        with torch.no_grad():
            for p, g in zip(reference.parameters(), gradients, strict=True):
                p -= 0.5 * g
    for mine, his in zip(model.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(mine, his)


def test_every_yields_the_mean_of_the_steps_since_the_last():
    single = list(fit(tiny(), data(), loss, steps=11, lr=0.01, seed=7))
    grouped = list(fit(tiny(), data(), loss, steps=11, lr=0.01, seed=7, every=4))
    assert [s.step for s in grouped] == [4, 8, 11]
    for s, (a, b) in zip(grouped, [(0, 4), (4, 8), (8, 11)], strict=True):
        assert s.loss == pytest.approx(sum(x.loss for x in single[a:b]) / (b - a))


def test_what_the_caller_does_between_steps_changes_nothing():
    quiet, busy = tiny(), tiny()
    plain = [s.loss for s in fit(quiet, data(), loss, steps=8, lr=0.01, seed=7)]
    source, disturbed = data(), []
    torch.manual_seed(99)
    outside = torch.get_rng_state()
    for s in fit(busy, source, loss, steps=8, lr=0.01, seed=7):
        assert torch.equal(torch.get_rng_state(), outside)  # and the steps change nothing for the caller
        assert busy.training
        disturbed.append(s.loss)
        torch.rand(3)
        busy.eval()
        outside = torch.get_rng_state()
    assert disturbed == plain
    assert equal(parameters(quiet), parameters(busy))
    assert [s.loss for s in fit(tiny(), data(), loss, steps=8, lr=0.01, seed=8)] != plain


def test_fit_learns():
    model = tiny(dropout=0.0)
    stream = list(range(13)) * 9
    losses = [s.loss for s in fit(model, Windows(stream, 5, 3), loss, steps=150, lr=0.05, schedule="linear")]
    assert losses[0] > 2
    assert losses[-1] < 0.05


@pytest.mark.skipif(sys.platform == "win32", reason="compiling needs a C++ compiler that Windows has not by default")
@pytest.mark.parametrize("whole", [True, False])
def test_a_compiled_model_learns_the_same(whole):
    """Also where the loss calls parts of the model, and never the model."""

    def parts(model, batch):
        inputs, targets = batch
        return F.cross_entropy(model[2](model[1](model[0](inputs))).flatten(0, 1), targets.flatten())

    computed = loss if whole else parts
    plain, compiled = tiny(dropout=0.0), tiny(dropout=0.0)
    a = [s.loss for s in fit(plain, data(), computed, steps=3, lr=0.01)]
    torch._dynamo.reset()
    called = []

    def backend(graph, example):
        called.append(graph)
        return graph.forward

    original = torch.compile
    try:
        torch.compile = lambda model: original(model, backend=backend)
        b = [s.loss for s in fit(compiled, data(), computed, steps=3, lr=0.01, compile=True)]
    finally:
        torch.compile = original
    assert called
    assert a == pytest.approx(b)


# ---------------------------------------------------------------- checkpoints


@pytest.mark.parametrize("stop", [1, 5, 8, 14])
@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_interrupted_and_resumed_equals_uninterrupted_bit_for_bit(tmp_path, stop, schedule):
    how = dict(steps=17, lr=0.02, schedule=schedule, warmup=3, weight_decay=0.1, accumulate=2, seed=11)
    whole = tiny()
    straight = [s[:3] for s in fit(whole, data(), loss, **how)]

    path = tmp_path / "run" / "state.pt"
    for s in fit(tiny(), data(), loss, checkpoint=path, save_every=1, **how):
        if s.step == stop:
            break
    fresh = tiny(seed=123)  # nothing of it may survive
    torch.manual_seed(321)
    rest = list(fit(fresh, data(), loss, checkpoint=path, save_every=1, **how))
    assert [s[:3] for s in rest] == straight[stop:]
    assert equal(parameters(whole), parameters(fresh))
    assert rest[0].seconds > 0
    assert list(fit(tiny(), data(), loss, checkpoint=path, save_every=1, **how)) == []


def test_a_run_that_is_killed_at_any_moment_leaves_a_whole_checkpoint(tmp_path):
    script = tmp_path / "run.py"
    script.write_text(
        "import sys, torch\nfrom torch import nn\nfrom torch.nn import functional as F\n"
        "from lmcore.batches import Windows\nfrom lmcore.train import fit\n"
        "torch.set_num_threads(1); torch.manual_seed(3)\n"
        "model = nn.Sequential(nn.Embedding(13, 700), nn.Dropout(0.2), nn.Linear(700, 13))\n"
        "loss = lambda m, b: F.cross_entropy(m(b[0]).flatten(0, 1), b[1].flatten())\n"
        "source = Windows([i * i % 13 for i in range(97)], 5, 3, seed=5)\n"
        "for s in fit(model, source, loss, steps=400, lr=0.01, seed=1, checkpoint=sys.argv[1], save_every=1):\n"
        "    print(s.step, s.loss.hex(), flush=True)\n"
    )
    environment = os.environ | {"OMP_NUM_THREADS": "1"}

    def run(path, lines):
        """Read so many lines, then kill without mercy; return all that came."""
        process = subprocess.Popen([sys.executable, script, path], stdout=subprocess.PIPE, text=True, env=environment)
        seen = [line for _, line in zip(range(lines), process.stdout, strict=False)]  # in this order no line is read in vain
        time.sleep(0.003 * (lines % 5))
        process.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))
        seen += process.stdout.readlines()
        process.stdout.close()
        process.wait()
        return [line.split() for line in seen if line.endswith("\n")]

    straight = {step: value for step, value in run(tmp_path / "straight.pt", 60)}
    broken = tmp_path / "broken.pt"
    at = 0
    for lines in (3, 9, 17):
        found = run(broken, lines)
        first = int(found[0][0])
        assert at <= first <= at + 2  # the last step before the kill may have been saved and not printed
        at = int(found[-1][0])
        assert all(straight[step] == value for step, value in found if step in straight)
        assert train.load(broken)["step"] >= at


def test_an_interrupt_while_saving_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "state.pt"
    train.save(path, {"step": 1})

    def half(state, file):
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(KeyboardInterrupt):
        train.save(path, {"step": 2})
    assert train.load(path) == {"step": 1}
    assert os.listdir(tmp_path) == ["state.pt"]


def test_a_file_from_somebody_else_runs_no_code(tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    torch.save({"settings": Trap()}, tmp_path / "trap.pt")
    with pytest.raises(ValueError, match="not a checkpoint"):
        train.load(tmp_path / "trap.pt")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x03\x04 torn", json.dumps({"a": 1}).encode()])
def test_a_damaged_file_is_refused(tmp_path, content):
    (tmp_path / "bad.pt").write_bytes(content)
    with pytest.raises(ValueError, match=r"bad\.pt is not a checkpoint"):
        next(fit(tiny(), data(), loss, steps=3, lr=0.1, checkpoint=tmp_path / "bad.pt"))


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    path = tmp_path / "state.pt"
    list(fit(tiny(), data(), loss, steps=3, lr=0.1, checkpoint=path))
    with pytest.raises(ValueError, match=r"belongs to a run with \{'lr': 0.1\}"):
        next(fit(tiny(), data(), loss, steps=3, lr=0.2, checkpoint=path))
    with pytest.raises(ValueError, match="seed=5"):
        next(fit(tiny(), data(seed=6), loss, steps=3, lr=0.1, checkpoint=path))
    with pytest.raises(ValueError, match="does not fit this model"):
        next(fit(nn.Embedding(13, 13), data(), loss, steps=3, lr=0.1, checkpoint=path))
    train.save(path, {"weights": torch.ones(2)})
    with pytest.raises(ValueError, match="no settings"):
        next(fit(tiny(), data(), loss, steps=3, lr=0.1, checkpoint=path))
    with pytest.raises(FileNotFoundError):
        train.load(tmp_path / "absent.pt")


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (dict(steps=0), "steps=0"),
        (dict(lr=0.0), "lr=0.0"),
        (dict(clip=0.0), "clip=0.0"),
        (dict(weight_decay=-0.1), "weight_decay=-0.1"),
        (dict(accumulate=0), "accumulate=0"),
        (dict(every=0), "every=0"),
        (dict(schedule="step"), "constant, linear, cosine"),
        (dict(warmup=3), "below steps=3"),
        (dict(save_every=2), "needs a checkpoint path"),
        (dict(checkpoint="x.pt", every=2, save_every=3), "multiple of every=2"),
        (dict(precision=torch.float16), "float16 is not supported on cpu"),
        (dict(precision=torch.bfloat16), "bfloat16 is not supported on cpu"),
        (dict(batches=[1, 2], checkpoint="x.pt"), "can be resumed"),
        (dict(batches=Windows(list(range(9)), 4, 1, epochs=1, shuffle=False)), "ended in step 3"),
    ],
)
def test_bad_settings_are_refused_with_what_was_given(how, message):
    how = dict(batches=data(), steps=3, lr=0.1) | how
    with pytest.raises(ValueError, match=message):
        list(fit(tiny(), loss=loss, **how))


def test_a_loss_that_explodes_stops_the_training():
    with pytest.raises(FloatingPointError, match="at step 1"):
        list(fit(tiny(), data(), lambda model, batch: loss(model, batch) * float("inf"), steps=3, lr=0.1))


# ---------------------------------------------------------------- the bar


def test_no_bar_where_nobody_looks(monkeypatch, capsys):
    for name in ("LMCORE_BUILD", "JPY_SESSION_NAME", "COLAB_RELEASE_TAG"):
        monkeypatch.delenv(name, raising=False)
    assert not train.watched()
    steps = [Step(n, 0.5, 0.1, 0.0) for n in (4, 8, 9)]
    assert list(progress(steps, total=9)) == steps
    assert capsys.readouterr() == ("", "")
    monkeypatch.setenv("JPY_SESSION_NAME", "chapters/03.ipynb")
    assert train.watched()
    monkeypatch.setenv("LMCORE_BUILD", "1")
    assert not train.watched()


def test_a_bar_on_a_terminal_that_goes_away(monkeypatch, capsys):
    monkeypatch.delenv("LMCORE_BUILD", raising=False)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert list(progress([Step(n, 0.5, 0.1, 0.0) for n in (4, 8, 9)], total=9, label="fit"))[-1].step == 9
    assert list(progress("abc", total=3)) == ["a", "b", "c"]
    out, err = capsys.readouterr()
    assert out == ""
    assert "fit" in err
    assert err.rstrip(" ").endswith("\r")
