"""Where a chapter runs: what the environment may say, and what a seed fixes."""

import os
import random
import subprocess
import sys

import numpy as np
import pytest
import torch

from lmcore import device


def test_default_is_a_device_torch_has(monkeypatch):
    monkeypatch.delenv("LMCORE_DEVICE", raising=False)
    expected = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    assert device.get().type == expected
    assert torch.zeros(3, device=device.get()).sum() == 0


def test_environment_overrides_device(monkeypatch):
    monkeypatch.setenv("LMCORE_DEVICE", "cpu")
    assert device.get() == torch.device("cpu")


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "CPU!", "meta"])
def test_a_device_that_is_none_is_refused(monkeypatch, name):
    monkeypatch.setenv("LMCORE_DEVICE", name)
    with pytest.raises(ValueError, match="LMCORE_DEVICE") as caught:
        device.get()
    assert repr(name) in str(caught.value)
    assert "cpu" in str(caught.value)


def test_a_device_that_is_not_here_is_refused(monkeypatch):
    absent = next(name for name in ("cuda", "mps") if not getattr(torch, name).is_available())
    monkeypatch.setenv("LMCORE_DEVICE", absent)
    with pytest.raises(ValueError, match=f"{absent}.*allowed on this machine: cpu"):
        device.get()


def test_a_second_gpu_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setenv("LMCORE_DEVICE", "cuda:0")
    assert device.get() == torch.device("cuda:0")
    monkeypatch.setenv("LMCORE_DEVICE", "cuda:1")
    with pytest.raises(ValueError, match=r"cuda:1.*1 CUDA GPU"):
        device.get()


def test_scale(monkeypatch):
    monkeypatch.setenv("LMCORE_DEVICE", "cpu")
    assert device.scale() == "small"
    for name, value in (("smoke", 1), ("small", 2), ("full", 3)):
        monkeypatch.setenv("LMCORE_SCALE", name)
        assert device.scale() == name
        assert device.by_scale(smoke=1, small=2, full=3) == value
    monkeypatch.setenv("LMCORE_SCALE", "large")
    with pytest.raises(ValueError, match=r"'large'.*smoke, small, full"):
        device.scale()


def test_a_gpu_means_full_scale(monkeypatch):
    monkeypatch.setattr(device, "get", lambda: torch.device("cuda"))
    assert device.scale() == "full"


def test_seed(monkeypatch):
    assert device.seed() == 0
    monkeypatch.setenv("LMCORE_SEED", "17")
    assert device.seed() == 17
    for wrong in ("-1", "1.5", "one", "²"):
        monkeypatch.setenv("LMCORE_SEED", wrong)
        with pytest.raises(ValueError, match="non-negative integer") as caught:
            device.seed()
        assert repr(wrong) in str(caught.value)


def _draws() -> tuple[float, float, float]:
    return random.random(), float(np.random.random()), float(torch.rand(()))  # noqa: NPY002 (the global generator is the point)


@pytest.mark.parametrize("number", [0, 3, 2**32 + 5])
def test_a_seed_fixes_all_three_generators(number):
    assert device.seed_all(number) == number
    first = _draws()
    assert _draws() != first
    device.seed_all(number)
    assert _draws() == first
    device.seed_all(number + 1)
    assert all(a != b for a, b in zip(_draws(), first, strict=True))


def test_without_a_number_the_environment_seeds(monkeypatch):
    monkeypatch.setenv("LMCORE_SEED", "23")
    assert device.seed_all() == 23
    drawn = _draws()
    device.seed_all(23)
    assert _draws() == drawn


def test_a_negative_seed_is_refused():
    with pytest.raises(ValueError, match=r"-1.*non-negative"):
        device.seed_all(-1)


def test_number_format_on_cpu_is_single():
    assert device.dtype(torch.device("cpu")) == torch.float32


def test_the_processor_has_a_name():
    assert device.name(torch.device("cpu")).strip()


SCRIPT = """
import numpy as np, sys
from lmcore import device
before = device.peak_memory()
block = np.ones(int(sys.argv[1]) // 8)
after = device.peak_memory()
del block
print(before, after, device.peak_memory())
"""


def test_peak_memory_is_the_process_s_own_and_does_not_fall():
    """A large parent must not show in its child's figure, which getrusage's does on Linux."""
    ballast = np.ones(600_000_000 // 8)
    size = 200_000_000
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(size)], capture_output=True, text=True, check=True, env={**os.environ}
    )
    before, after, later = map(int, done.stdout.split())
    assert ballast[-1] == 1
    assert 20_000_000 < before < 500_000_000
    assert 0.9 * size < after - before < 1.2 * size
    assert later > 0.99 * after  # the kernel counts pages approximately
