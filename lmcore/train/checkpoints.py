"""A run that can be interrupted: its stream of random numbers, and a file that holds its whole state."""

import os
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

from lmcore.batches import generator


class Stream:
    """A stream of random numbers of its own: inside ``with stream:`` torch draws from it, outside nothing has changed.

    Args:
        seed: where it begins.
        device: whose random numbers are meant, besides the CPU's.
        process: of several processes with one seed, each has a stream of its own.
    """

    def __init__(self, seed: int, device: torch.device, process: int = 0):
        self.seed, self.device = seed, device
        outside = self._get()
        torch.manual_seed(int(generator(seed, process).integers(2**63)) if process else seed)
        self.inside = self._get()
        self._set(outside)

    def __enter__(self) -> None:
        self.outside = self._get()
        self._set(self.inside)

    def __exit__(self, *exception: object) -> None:
        self.inside = self._get()
        self._set(self.outside)

    def state_dict(self) -> dict[str, Tensor]:
        """Where the stream stands, device by device."""
        return self.inside

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from there."""
        self.inside = state

    def _get(self) -> dict[str, Tensor]:
        state = {"cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            state["cuda"] = torch.cuda.get_rng_state(self.device)
        elif self.device.type == "mps":
            state["mps"] = torch.mps.get_rng_state()
        return state

    def _set(self, state: dict[str, Tensor]) -> None:
        torch.set_rng_state(state["cpu"])
        if "cuda" in state:
            torch.cuda.set_rng_state(state["cuda"], self.device)
        elif "mps" in state:
            torch.mps.set_rng_state(state["mps"])


def save(path: str | os.PathLike, state: dict[str, Any]) -> None:
    """Write ``state`` (tensors, numbers, strings, and lists and dictionaries of them) so that ``path`` is never half a file."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with open(unfinished, "wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, target)
    finally:
        unfinished.unlink(missing_ok=True)


def load(path: str | os.PathLike) -> dict[str, Any]:
    """What :func:`save` wrote, on the CPU. Nothing but tensors and plain values is ever built from the file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not a checkpoint.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, UnpicklingError) as error:
        raise ValueError(f"{path} is not a checkpoint of lmcore.train ({error}); delete it, or give another path") from error


def resume(path: str | os.PathLike, parts: dict[str, Any], settings: dict[str, Any]) -> tuple[int, float]:
    """Put every part into the state that ``path`` holds; return the steps and seconds done, (0, 0.0) if there is no such file.

    Raises:
        ValueError: the batches cannot be resumed, or the file belongs to another model or to other settings.
    """
    if not hasattr(parts["batches"], "load_state_dict"):
        raise ValueError(
            "a checkpoint needs batches that can be resumed (state_dict and load_state_dict, as in lmcore.batches)"
        )
    if not Path(path).exists():
        return 0, 0.0
    state = load(path)
    other = {name: value for name, value in state.get("settings", {}).items() if settings.get(name) != value}
    if other or "settings" not in state:
        raise ValueError(f"{path} belongs to a run with {other or 'no settings'}; use the same settings, or delete it")
    for name, part in parts.items():
        try:
            part.load_state_dict(state[name])
        except RuntimeError as error:
            raise ValueError(f"{path} does not fit this {name}: {error}") from error
    return state["step"], state["seconds"]
