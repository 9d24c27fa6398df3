"""Training: one loop for every model of the book.

:func:`fit` is a generator. It does one thing, a step of gradient descent, and hands back what happened. The caller owns the
rest: its plot, its bar, its evaluation, its ``break``. ::

    for step in progress(fit(model, batches, loss, steps=1000, lr=3e-3, schedule="linear"), total=1000):
        if step.step % 100 == 0:
            print(step.step, step.loss)
"""

import os
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from functools import partial
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from lmcore import device as where
from lmcore.batches import at_least
from lmcore.schedules import SCHEDULES as SCHEDULES
from lmcore.schedules import learning_rate

Loss = Callable[[nn.Module, Any], Tensor]
T = TypeVar("T")


class Step(NamedTuple):
    """What one step of :func:`fit` (or several, see its ``every``) did."""

    step: int  # steps taken so far, from 1
    loss: float  # mean training loss since the last Step
    lr: float  # the learning rate of this step
    seconds: float  # spent in training so far, without what the caller did between steps


def fit(
    model: nn.Module,
    batches: Iterable[Any],
    loss: Loss,
    *,
    steps: int,
    lr: float,
    schedule: str = "constant",
    warmup: int = 0,
    weight_decay: float = 0.0,
    clip: float | None = 1.0,
    accumulate: int = 1,
    optimizer: Callable[..., torch.optim.Optimizer] | None = None,
    precision: torch.dtype | None = None,
    compile: bool = False,
    every: int = 1,
    seed: int | None = None,
    checkpoint: str | os.PathLike | None = None,
    save_every: int | None = None,
) -> Generator[Step, None, None]:
    """Train ``model`` in place; yield a :class:`Step` after every ``every`` steps and after the last.

    Random numbers: the steps draw from a stream of their own, begun from ``seed``. What the caller draws between two steps
    (a sampled text, an evaluation with dropout) therefore changes nothing in the training.

    Checkpoints: with a ``checkpoint`` path the whole state is written there every ``save_every`` steps and after the last, and
    a call that finds the file goes on from it. On a CPU an interrupted and resumed run equals an uninterrupted one bit for bit.
    The file holds tensors and plain numbers, is read without unpickling objects, and is replaced in one move, so an interrupt
    leaves the old one or the new one, never half of one. A run that was finished yields nothing more.

    Args:
        model: a module; it is put in training mode before every step.
        batches: an iterator that does not end before the training does. To be resumed it needs ``state_dict`` and
            ``load_state_dict``, as everything in :mod:`lmcore.batches` has.
        loss: ``loss(model, batch)`` returns the mean loss of the batch, a scalar tensor.
        steps: updates of the parameters in all.
        lr: the highest learning rate.
        schedule: ``"constant"``, ``"linear"`` or ``"cosine"`` (both to zero), ``"inverse_sqrt"``; see
            :func:`lmcore.schedules.learning_rate`.
        warmup: steps of linear climb at the start.
        weight_decay: of the matrices; vectors (biases, gains) are not decayed.
        clip: the largest global norm of the gradient; ``None`` does not clip.
        accumulate: batches per update. Their losses count equally, whatever their sizes.
        optimizer: called as ``optimizer(parameter_groups, lr=lr)``; fused AdamW by default.
        precision: ``torch.bfloat16`` runs the forward pass in mixed precision, on CUDA only; ``None`` takes
            :func:`lmcore.device.dtype`.
        compile: run the model through :func:`torch.compile` (pays only in long runs).
        every: yield after so many steps. Reading a loss waits for the device; a GPU likes 10 or more.
        seed: of dropout and whatever else the loss draws; :func:`lmcore.device.seed` by default.
        checkpoint, save_every: see above; ``save_every`` is a multiple of ``every``.

    Raises:
        ValueError: a setting is out of range, the batches ran out, or the checkpoint belongs to a run with other settings.
        FloatingPointError: the loss is no longer a finite number.
    """
    at_least(1, steps=steps, accumulate=accumulate, every=every, save_every=steps if save_every is None else save_every)
    if not all(isinstance(x, int | float) for x in (lr, weight_decay, 1 if clip is None else clip)) or not (
        lr > 0 and weight_decay >= 0 and (clip is None or clip > 0)
    ):
        raise ValueError(
            f"lr={lr!r} and clip={clip!r} must be positive numbers (or clip=None), weight_decay={weight_decay!r} not negative"
        )
    at_least(0, seed=0 if seed is None else seed)
    if not isinstance(model, nn.Module) or not isinstance(batches, Iterable) or not callable(loss):
        raise ValueError(
            f"fit takes a torch module, an iterable of batches and a function loss(model, batch); got {type(model).__name__}, "
            f"{type(batches).__name__}, {type(loss).__name__}"
        )
    if optimizer is not None and not callable(optimizer):
        raise ValueError(f"optimizer={optimizer!r} cannot be called; give a class or a function, such as torch.optim.SGD")
    if save_every is not None and (checkpoint is None or save_every % every):
        raise ValueError(f"save_every={save_every} needs a checkpoint path, and must be a multiple of every={every}")
    device = next(model.parameters()).device
    precision = precision or where.dtype(device)
    if precision not in (torch.float32, where.dtype(device)):
        raise ValueError(f"precision={precision} is not supported on {device}; use torch.float32 (or bfloat16 on a CUDA GPU)")

    rate_of = partial(learning_rate, steps=steps, lr=lr, warmup=warmup, schedule=schedule)
    rate = rate_of(1)  # refuses a bad plan before any work
    stream = Stream(where.seed() if seed is None else seed, device)
    network: Any = torch.compile(model) if compile else model
    update = (optimizer or fused_adamw)(parameter_groups(model, weight_decay), lr=lr)
    source, done, seconds = iter(batches), 0, 0.0
    parts: dict[str, Any] = {"model": model, "optimizer": update, "batches": source, "random": stream}
    settings = {"steps": steps, "lr": lr, "schedule": schedule, "warmup": warmup, "weight_decay": weight_decay, "clip": clip}
    settings |= {"accumulate": accumulate, "seed": stream.seed, "optimizer": type(update).__name__, "precision": str(precision)}
    if checkpoint is not None:
        done, seconds = resume(checkpoint, parts, settings)

    while done < steps:
        began, before, total = time.perf_counter(), done, torch.zeros((), device=device)
        model.train()
        with stream:
            for done in range(before + 1, min(before + every, steps) + 1):
                rate = rate_of(done)
                for group in update.param_groups:
                    group["lr"] = rate
                update.zero_grad()
                for _ in range(accumulate):
                    batch = next(source, None)
                    if batch is None:
                        raise ValueError(f"the batches ended in step {done} of steps={steps}; use epochs=None, or fewer steps")
                    with torch.autocast(device.type, precision, enabled=precision != torch.float32):
                        value = loss(network, batch)
                    if not isinstance(value, Tensor) or value.ndim:
                        raise ValueError(f"loss(model, batch) must return one number as a tensor without axes; got {value!r}")
                    value = value / accumulate
                    value.backward()
                    total += value.detach()
                if clip is not None:
                    nn.utils.clip_grad_norm_(model.parameters(), clip)
                update.step()
        mean = total.item() / (done - before)
        if not np.isfinite(mean):
            raise FloatingPointError(f"the loss is {mean} at step {done}; try a lower lr than {lr}, a warm-up, or clip=1.0")
        seconds += time.perf_counter() - began
        if checkpoint is not None and (done == steps or (save_every and done % save_every == 0)):
            state = {name: part.state_dict() for name, part in parts.items()}
            save(checkpoint, state | {"settings": settings, "step": done, "seconds": seconds})
        yield Step(done, mean, rate, seconds)


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """The trainable parameters in two groups: matrices, which weight decay pulls towards zero, and vectors, which it leaves."""
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    matrices = {"params": [p for p in trainable if p.ndim >= 2], "weight_decay": weight_decay}
    vectors = {"params": [p for p in trainable if p.ndim < 2], "weight_decay": 0.0}
    return [group for group in (matrices, vectors) if group["params"]]


def fused_adamw(groups: list[dict[str, Any]], lr: float) -> torch.optim.Optimizer:
    """AdamW (Loshchilov and Hutter 2019) with all of its update in one kernel."""
    return torch.optim.AdamW(groups, lr=lr, fused=True)


class Stream:
    """A stream of random numbers of its own: inside ``with stream:`` torch draws from it, outside nothing has changed."""

    def __init__(self, seed: int, device: torch.device):
        self.seed, self.device = seed, device
        outside = self._get()
        torch.manual_seed(seed)
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


def watched() -> bool:
    """Whether somebody looks on: a terminal, or a notebook open in JupyterLab or Colab. A page that is being built has nobody.

    ``LMCORE_BUILD=1`` says so outright; without it, a notebook that runs outside a Jupyter server's session is unwatched.
    """
    notebook = "JPY_SESSION_NAME" in os.environ or "COLAB_RELEASE_TAG" in os.environ
    return not os.environ.get("LMCORE_BUILD") and (sys.stderr.isatty() or notebook)


def progress(items: Iterable[T], total: int | None = None, label: str = "") -> Iterator[T]:
    """``items``, with a progress bar (and the loss, where an item is a :class:`Step`) as long as it is :func:`watched`.

    The bar goes away when the loop ends, so no page or notebook keeps frames of it.
    """
    if not watched():
        yield from items
        return
    from tqdm.auto import tqdm

    with tqdm(total=total, desc=label, leave=False) as bar:
        for item in items:
            if isinstance(item, Step):
                bar.set_postfix(loss=f"{item.loss:.3f}", refresh=False)
                bar.update(item.step - bar.n)
            else:
                bar.update()
            yield item
