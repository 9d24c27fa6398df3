"""Where a chapter runs, in which number format, from which seed and at which scale.

Every choice has a default that is right on a reader's machine and an environment variable that overrides it:

=================  ==========================  =====================================================
variable           values                      default
=================  ==========================  =====================================================
``LMCORE_DEVICE``  ``cpu``, ``cuda``, ``mps``  a CUDA GPU if torch sees one, then an Apple GPU, else the CPU
``LMCORE_SCALE``   ``smoke``, ``small``,       ``full`` on a CUDA GPU, else ``small``
                   ``full``
``LMCORE_SEED``    a non-negative integer      0
=================  ==========================  =====================================================

``small`` is what the published pages run; ``full`` is the same experiment with a GPU's budget; ``smoke`` only asks whether a
chapter runs at all.
"""

import os
import platform
import random
import subprocess
import sys
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

SCALES = ("smoke", "small", "full")
T = TypeVar("T")


def get() -> torch.device:
    """The device every chapter computes on.

    Raises:
        ValueError: ``LMCORE_DEVICE`` names a device that torch does not know or does not see.
    """
    name = os.environ.get("LMCORE_DEVICE", "")
    if not name:
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(f"LMCORE_DEVICE={name!r} is not a device; use cpu, cuda, cuda:0, cuda:1, … or mps") from None
    seen = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not seen.get(device.type, False):
        allowed = ", ".join(k for k, v in seen.items() if v)
        raise ValueError(f"LMCORE_DEVICE={name!r}, but torch sees no such device here; allowed on this machine: {allowed}")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"LMCORE_DEVICE={name!r}, but torch sees {torch.cuda.device_count()} CUDA GPU(s), counted from cuda:0")
    return device


def dtype(device: torch.device | None = None) -> torch.dtype:
    """The number format for training: bfloat16 on a CUDA GPU that computes in it, float32 elsewhere."""
    device = device or get()
    return torch.bfloat16 if device.type == "cuda" and torch.cuda.is_bf16_supported() else torch.float32


def scale() -> str:
    """``"smoke"``, ``"small"`` or ``"full"``.

    Raises:
        ValueError: ``LMCORE_SCALE`` is none of the three.
    """
    name = os.environ.get("LMCORE_SCALE") or ("full" if get().type == "cuda" else "small")
    if name not in SCALES:
        raise ValueError(f"LMCORE_SCALE={name!r} is not a scale; use one of {', '.join(SCALES)}")
    return name


def by_scale(*, smoke: T, small: T, full: T) -> T:
    """The one of three values that fits the current scale: ``steps = by_scale(smoke=10, small=500, full=20_000)``."""
    return {"smoke": smoke, "small": small, "full": full}[scale()]


def seed() -> int:
    """The seed of this run.

    Raises:
        ValueError: ``LMCORE_SEED`` is not a non-negative integer.
    """
    text = os.environ.get("LMCORE_SEED", "0")
    if not text.isdecimal():
        raise ValueError(f"LMCORE_SEED={text!r} is not a seed; use a non-negative integer")
    return int(text)


def seed_all(number: int | None = None) -> int:
    """Seed Python, NumPy and torch with ``number`` (by default :func:`seed`) and return it.

    Raises:
        ValueError: ``number`` is negative or not an integer.
    """
    number = seed() if number is None else number
    if not isinstance(number, int | np.integer) or number < 0:
        raise ValueError(f"{number!r} is not a seed; use a non-negative integer")
    number = int(number)
    random.seed(number)
    np.random.seed(number % 2**32)  # noqa: NPY002 — libraries that draw from the global state must be seeded too
    torch.manual_seed(number)
    return number


def name(device: torch.device | None = None) -> str:
    """What the hardware calls itself: the GPU's name, or the processor's model."""
    device = device or get()
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if sys.platform == "linux":
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
        models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        if models:
            return models[0]
    if sys.platform == "darwin":
        asked = subprocess.run(["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True, check=False)
        if asked.stdout.strip():
            return asked.stdout.strip()
    return platform.processor() or platform.machine() or "unknown processor"


def peak_memory() -> int:
    """The most physical memory this process has held at once, in bytes (GPU memory not counted)."""
    if sys.platform == "linux":
        # Not getrusage: there a process starts from the peak of the process that started it.
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        return _peak_working_set()
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _peak_working_set() -> int:
    """Windows' word for the peak of :func:`peak_memory`, from ``GetProcessMemoryInfo``."""
    import ctypes
    from ctypes import wintypes

    class Counters(ctypes.Structure):
        _fields_ = [("cb", wintypes.DWORD), ("PageFaultCount", wintypes.DWORD), ("PeakWorkingSetSize", ctypes.c_size_t)] + [
            (field, ctypes.c_size_t) for field in "abcdefg"
        ]

    counters = Counters()
    counters.cb = ctypes.sizeof(counters)
    kernel32 = ctypes.WinDLL("kernel32")  # type: ignore[attr-defined]
    kernel32.GetCurrentProcess.restype = wintypes.HANDLE
    ask = kernel32.K32GetProcessMemoryInfo
    ask.argtypes = [wintypes.HANDLE, ctypes.POINTER(Counters), wintypes.DWORD]
    if not ask(kernel32.GetCurrentProcess(), ctypes.byref(counters), counters.cb):
        return 0
    return int(counters.PeakWorkingSetSize)
