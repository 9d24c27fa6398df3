"""``python -m lmcore.train RECIPE``: run a recipe, in as many processes as torchrun starts.

Under torchrun every process computes its part of each batch (:mod:`lmcore.train.team`), with NCCL on GPUs, one for each process
of a machine, and gloo on CPUs. One process speaks, writes the receipt and the checkpoints. Without torchrun, or with one
process, it is ``python -m lmcore.recipes.RECIPE``.

torch warns once of ``find_unused_parameters=True`` where a loss uses all parameters of its model; there are some that do not.
"""

import argparse
import os
import runpy
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import torch
from torch import distributed as dist

from lmcore import device
from lmcore.train.team import PARALLEL, WAYS

RECIPES = Path(__file__).parents[1] / "recipes"
SILENT = {"LMCORE_BUILD": "1", "LMCORE_RECEIPT": ""}  # no progress bar, no receipt


@contextmanager
def company() -> Iterator[None]:
    """Join the processes that torchrun has started, if it has started more than one."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield
        return
    if device.get().type == "cuda":
        os.environ["LMCORE_DEVICE"] = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device.get())
    dist.init_process_group("nccl" if device.get().type == "cuda" else "gloo")
    try:
        if dist.get_rank() == 0:
            way = os.environ.get(PARALLEL) or WAYS[0]
            print(f"{count} processes share every batch ({way}, {dist.get_backend()})", flush=True)
            yield
        else:
            os.environ.update(SILENT)
            with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):
                yield
    finally:
        dist.destroy_process_group()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the recipe that the command line names; 2 if there is none of that name."""
    known = sorted(path.stem for path in RECIPES.glob("[!_]*.py"))
    parser = argparse.ArgumentParser(
        prog="python -m lmcore.train",
        description="Run a recipe; torchrun --nproc-per-node N -m lmcore.train RECIPE does it in N processes.",
    )
    parser.add_argument("--fsdp", action="store_true", help="share parameters, gradients and optimiser state among them too")
    parser.add_argument("recipe", choices=known, metavar="RECIPE", help=", ".join(known))
    parser.add_argument("rest", nargs=argparse.REMAINDER, metavar="...", help="options of the recipe")
    given = parser.parse_args(argv)
    if given.fsdp:
        os.environ[PARALLEL] = "fsdp"
    name = f"lmcore.recipes.{given.recipe}"
    sys.argv = [name, *given.rest]
    with company():
        runpy.run_module(name, run_name="__main__", alter_sys=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
