r"""Several processes that train one model together, on one machine or on many.

Every process has the model, takes the same batches, and computes the loss of its own rows of each: process r of N has rows
r, r + N, r + 2 N, … The gradients of all are averaged before every step, weighted by how many targets each had (rows, where a
batch has no ``targets``). So the step is that of the whole batch, and N processes do what one does, apart from the last digits:

.. math:: \nabla \frac1n \sum_{i=1}^n \ell_i = \sum_r \frac{n_r}{n}\, \nabla \frac1{n_r} \sum_{i \in r} \ell_i .

That needs a loss that is a mean over the rows or over the targets, and no dropout, of which every process draws its own. What a
caller does between two steps every process does for itself, with the same model.

:func:`lmcore.train.fit` works so wherever ``torch.distributed`` has been initialised; torchrun and ``python -m lmcore.train``
do it. There are two ways, chosen by the environment variable ``LMCORE_PARALLEL``:

``ddp`` (default)
    :class:`torch.nn.parallel.DistributedDataParallel`: every process keeps gradients and optimiser state for all parameters.
``fsdp``
    :func:`torch.distributed.fsdp.fully_shard`: of the parameters that are trained, their gradients and the optimiser's state,
    every process keeps one part in N. Before each :class:`lmcore.train.Step` is handed out they are put together in the
    caller's model, which stays whole in every process, so that it can be evaluated as always.
"""

import copy
import os
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist

from lmcore.batches import IGNORE

PARALLEL = "LMCORE_PARALLEL"
WAYS = ("ddp", "fsdp")
Loss = Callable[[nn.Module, Any], Tensor]


class Alone:
    """One process, which computes every batch as a whole; and what the other two ways have in common with it."""

    rank, count = 0, 1

    def __init__(self, model: nn.Module, loss: Loss, *, compile: bool = False):
        self.model = model  # the optimiser moves its parameters
        self.compute: Any = _Computed(model, loss)
        self.compiled = compile
        if compile:
            self.compute = torch.compile(self.compute)

    def train(self) -> None:
        """Put the model in training mode."""
        self.model.train()

    def loss(self, batch: Any, last: bool) -> Tensor:
        """The loss of this process's rows, so scaled that the mean over the processes is that of the batch.

        ``last`` says that no other batch of this step follows, so that gradients can be exchanged.
        """
        return one_number(self.compute(batch))

    def mean(self, total: Tensor) -> Tensor:
        """The mean of a number over the processes."""
        return total

    def publish(self) -> None:
        """Bring the caller's model up to date."""

    def settings(self) -> dict[str, Any]:
        """What a checkpoint must agree in."""
        return {}

    def parts(self, parts: dict[str, Any]) -> dict[str, Any]:
        """What a checkpoint holds, as it is to be written and read in this company."""
        return parts

    def agree(self, done: int) -> None:
        """Refuse to go on where the processes have not read the same checkpoint."""


class Replicated(Alone):
    """Every process keeps everything, and gradients are averaged as they are computed (DDP; Li et al. 2020)."""

    def __init__(self, model: nn.Module, loss: Loss, *, compile: bool = False):
        super().__init__(model, loss, compile=compile)
        self.rank, self.count = dist.get_rank(), dist.get_world_size()
        self.together = self._together()

    def _together(self) -> Any:
        return nn.parallel.DistributedDataParallel(self.compute, find_unused_parameters=True)

    def loss(self, batch: Any, last: bool) -> Tensor:
        own, share = part(batch, self.rank, self.count)
        with self._exchanging(last):
            return one_number(self.together(own)) * (share * self.count)

    def _exchanging(self, last: bool) -> Any:
        return nullcontext() if last else self.together.no_sync()

    def mean(self, total: Tensor) -> Tensor:
        dist.all_reduce(total)
        return total / self.count

    def settings(self) -> dict[str, Any]:
        return {"processes": self.count}

    def parts(self, parts: dict[str, Any]) -> dict[str, Any]:
        own = {name: parts[name] for name in ("batches", "random") if hasattr(parts[name], "load_state_dict")}
        return parts | {name: _Each(part, self.rank, self.count) for name, part in own.items()}

    def agree(self, done: int) -> None:
        steps: list[Any] = [None] * self.count
        dist.all_gather_object(steps, done)
        if len(set(steps)) > 1:
            raise ValueError(
                f"the processes found checkpoints of steps {steps}; give a path in a folder that all of them share"
            )


class Sharded(Replicated):
    """Every process keeps one part in N of what is trained (FSDP; Zhao et al. 2023; Rajbhandari et al. 2020)."""

    def _together(self) -> Any:
        from torch.distributed.fsdp import fully_shard

        if self.compiled:
            raise ValueError(f"compile=True does not go with {PARALLEL}=fsdp; use {PARALLEL}=ddp, or compile=False")
        for tensor in (*self.model.parameters(), *self.model.buffers()):
            dist.broadcast(tensor.detach(), 0)
        self.caller = self.model
        self.model = self.compute.model = copy.deepcopy(self.caller)
        return fully_shard(self.compute)

    def train(self) -> None:
        self.model.train()
        self.caller.train()

    def _exchanging(self, last: bool) -> Any:
        self.together.set_requires_gradient_sync(last)
        return nullcontext()

    @torch.no_grad()
    def publish(self) -> None:
        for own, shard in zip(self.caller.parameters(), self.model.parameters(), strict=True):
            own.copy_(shard.full_tensor())  # type: ignore[attr-defined]
        for kept, buffer in zip(self.caller.buffers(), self.model.buffers(), strict=True):
            kept.copy_(buffer)

    def settings(self) -> dict[str, Any]:
        return {"processes": self.count, "parallel": "fsdp"}

    def parts(self, parts: dict[str, Any]) -> dict[str, Any]:
        update = parts["optimizer"]
        if not type(update).__module__.startswith("torch."):
            raise ValueError(
                f"a {type(update).__name__} may do more with its parameters than a step, and with {PARALLEL}=fsdp it holds a "
                f"part of them only; use one of torch.optim, or {PARALLEL}=ddp"
            )
        return super().parts(parts) | {"model": _WholeModel(self), "optimizer": _WholeOptimizer(update)}


def gather(model: nn.Module, loss: Loss, *, compile: bool = False) -> Alone:
    """The company in which this process trains the model: none, unless ``torch.distributed`` has been initialised.

    Raises:
        ValueError: ``LMCORE_PARALLEL`` is unknown, or does not go with ``compile``.
    """
    if not dist.is_available() or not dist.is_initialized() or dist.get_world_size() == 1:
        return Alone(model, loss, compile=compile)
    way = os.environ.get(PARALLEL) or WAYS[0]
    if way not in WAYS:
        raise ValueError(f"{PARALLEL}={way!r} is unknown; use one of {', '.join(WAYS)}")
    return (Sharded if way == "fsdp" else Replicated)(model, loss, compile=compile)


def part(batch: Any, rank: int, count: int) -> tuple[Any, float]:
    """Rows ``rank``, ``rank + count``, … of a batch, and which share of its targets (else of its rows) they hold.

    A batch is a tensor or any nesting of tuples, lists and dictionaries of them. Tensors whose first axis is as long as that of
    the first tensor with axes are cut, everything else is for all processes. A process that has no row or no target is given
    the whole batch with a share of 0: all must go through the same computation, and a mean over nothing is no number.

    Raises:
        ValueError: there is no tensor with rows in the batch.
    """
    rows = _rows(batch)
    if not rows:
        raise ValueError(f"a batch must hold tensors with one row for each example to be shared; got {type(batch).__name__}")
    if rank >= rows:
        return batch, 0.0

    def cut(value: Any) -> Any:
        if isinstance(value, Tensor):
            return value[rank::count] if value.ndim and len(value) == rows else value
        if isinstance(value, Mapping):
            return {name: cut(some) for name, some in value.items()}
        if isinstance(value, tuple | list):
            some = [cut(some) for some in value]
            return type(value)(*some) if hasattr(value, "_fields") else type(value)(some)
        return value

    mine = cut(batch)
    if isinstance(targets := getattr(batch, "targets", None), Tensor):
        real, all_real = int((mine.targets != IGNORE).sum()), int((targets != IGNORE).sum())
        if not real:
            return batch, 0.0 if all_real else 1 / count
        return mine, real / all_real
    return mine, len(range(rank, rows, count)) / rows


def _rows(value: Any) -> int:
    if isinstance(value, Tensor):
        return len(value) if value.ndim else 0
    if isinstance(value, Mapping):
        value = list(value.values())
    return next(filter(None, map(_rows, value)), 0) if isinstance(value, tuple | list) else 0


def one_number(value: Any) -> Tensor:
    """What a loss returned, if it is one number.

    Raises:
        ValueError: it is something else.
    """
    if not isinstance(value, Tensor) or value.ndim:
        raise ValueError(f"loss(model, batch) must return one number as a tensor without axes; got {value!r}")
    return value


class _Computed(nn.Module):
    """The loss as a module around the model: whatever of the model a loss calls is called inside ``forward``.

    So it is compiled, and its gradients are exchanged, also where a loss calls other methods than the model itself.
    """

    def __init__(self, model: nn.Module, loss: Loss):
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, batch: Any) -> Tensor:
        return self.loss(self.model, batch)


class _Each:
    """A part that differs from process to process: its state is the states of all."""

    def __init__(self, part: Any, rank: int, count: int):
        self.part, self.rank, self.count = part, rank, count

    def state_dict(self) -> dict[str, Any]:
        states: list[Any] = [None] * self.count
        dist.all_gather_object(states, self.part.state_dict())
        return {str(rank): state for rank, state in enumerate(states)}

    def load_state_dict(self, states: dict[str, Any]) -> None:
        self.part.load_state_dict(states[str(self.rank)])


class _WholeModel:
    """The caller's model, from which the shards are cut again."""

    def __init__(self, team: Sharded):
        self.team = team

    def state_dict(self) -> dict[str, Any]:
        return self.team.caller.state_dict()

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.team.caller.load_state_dict(state)
        for whole, shard in zip(self.team.caller.parameters(), self.team.model.parameters(), strict=True):
            shard.copy_(_cut(whole, shard))
        for kept, buffer in zip(self.team.caller.buffers(), self.team.model.buffers(), strict=True):
            buffer.copy_(kept)


class _WholeOptimizer:
    """An optimiser of shards, with a state that any number of processes could read."""

    def __init__(self, update: torch.optim.Optimizer):
        self.update = update

    def state_dict(self) -> dict[str, Any]:
        found = self.update.state_dict()
        state = {i: {name: _whole(value) for name, value in own.items()} for i, own in found["state"].items()}
        return found | {"state": state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.update.load_state_dict(state)
        for parameter, own in self.update.state.items():
            for name, value in own.items():
                if isinstance(value, Tensor) and value.shape == parameter.shape and value.ndim:
                    own[name] = _cut(value, parameter)


def _whole(value: Any) -> Any:
    return value.full_tensor() if hasattr(value, "full_tensor") else value


def _cut(whole: Tensor, like: Any) -> Tensor:
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(whole.detach(), like.device_mesh, like.placements, src_data_rank=None)
