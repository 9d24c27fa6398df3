"""The loop: one step of gradient descent after the other, as a generator."""

import os
import time
from collections.abc import Callable, Generator, Iterable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from lmcore import device as where
from lmcore.batches import at_least
from lmcore.schedules import learning_rate
from lmcore.train.checkpoints import Stream, resume, save
from lmcore.train.team import Loss, gather


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
    final: float | int = 0.0,
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

    Where several processes run (``torch.distributed``), they share every batch among them, and the step is the same; see
    :mod:`lmcore.train.team`.

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
        final: where a linear or a cosine schedule ends, as a share of ``lr``.
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

    rate_of = partial(learning_rate, steps=steps, lr=lr, warmup=warmup, schedule=schedule, final=final)
    rate = rate_of(1)  # refuses a bad plan before any work
    team = gather(model, loss, compile=compile)
    stream = Stream(where.seed() if seed is None else seed, device, team.rank)
    update = (optimizer or fused_adamw)(parameter_groups(team.model, weight_decay), lr=lr)
    source, done, seconds = iter(batches), 0, 0.0
    parts = team.parts({"model": model, "optimizer": update, "batches": source, "random": stream})
    settings = {"steps": steps, "lr": lr, "schedule": schedule, "warmup": warmup, "weight_decay": weight_decay, "clip": clip}
    settings |= {
        "final": final,
        "accumulate": accumulate,
        "seed": stream.seed,
        "optimizer": type(update).__name__,
        "precision": str(precision),
    }
    settings |= team.settings()
    if checkpoint is not None:
        done, seconds = resume(checkpoint, parts, settings)
        team.agree(done)

    while done < steps:
        began, before, total = time.perf_counter(), done, torch.zeros((), device=device)
        team.train()
        with stream:
            for done in range(before + 1, min(before + every, steps) + 1):
                rate = rate_of(done)
                for group in update.param_groups:
                    group["lr"] = rate
                update.zero_grad()
                for left in reversed(range(accumulate)):
                    batch = next(source, None)
                    if batch is None:
                        raise ValueError(f"the batches ended in step {done} of steps={steps}; use epochs=None, or fewer steps")
                    with torch.autocast(device.type, precision, enabled=precision != torch.float32):
                        value = team.loss(batch, last=not left)
                    value = value / accumulate
                    value.backward()
                    total += value.detach()
                if clip is not None:
                    nn.utils.clip_grad_norm_(team.model.parameters(), clip)
                update.step()
        mean = team.mean(total).item() / (done - before)
        if not np.isfinite(mean):
            raise FloatingPointError(f"the loss is {mean} at step {done}; try a lower lr than {lr}, a warm-up, or clip=1.0")
        team.publish()
        seconds += time.perf_counter() - began
        if checkpoint is not None and (done == steps or (save_every and done % save_every == 0)):
            state = {name: part.state_dict() for name, part in parts.items()}
            if team.rank == 0:
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
