"""A training step of one encoder layer, forward and backward, beside torch.nn.TransformerEncoderLayer; interleaved.

The same parameters, the same arithmetic, no dropout. On a CPU one thread, and the clock is the processor's, so that neighbours
disturb it less; on a GPU the wall clock, in float32 and in bfloat16. A ratio below 1 means that ours is faster.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import torch
from torch import Tensor, nn

from lmcore.attention import causal_mask
from lmcore.blocks import EncoderLayer

SIZES = {  # width, heads, texts, length; on a CPU and on a GPU
    "cpu": ((64, 4, 16, 16), (128, 4, 12, 64), (256, 8, 8, 128), (384, 6, 4, 256)),
    "cuda": ((128, 4, 12, 64), (384, 6, 64, 256), (512, 8, 64, 128), (768, 12, 16, 1024)),
}
ROUNDS = {"cpu": 25, "cuda": 50}


def pair(dim: int, heads: int, norm: str, device: str) -> tuple[nn.Module, nn.Module]:
    """Ours and torch's, with one state."""
    ours = EncoderLayer(dim, heads, norm=norm).to(device)
    theirs = nn.TransformerEncoderLayer(dim, heads, 4 * dim, 0.0, batch_first=True, norm_first=norm == "pre").to(device)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def step(work: Callable[[], Tensor], model: nn.Module, x: Tensor, clock: Callable[[], float]) -> float:
    """Seconds of forward and backward, gradient of the input included."""
    model.zero_grad()
    x.grad = None
    if x.is_cuda:
        torch.cuda.synchronize()
    began = clock()
    work().square().mean().backward()
    if x.is_cuda:
        torch.cuda.synchronize()
    return clock() - began


def ratios(device: str, kind: torch.dtype | None) -> Iterator[tuple[str, float, float]]:
    """For every size, order of norm and mask: its name, our median time relative to torch's, and torch's in milliseconds."""
    clock = time.process_time if device == "cpu" else time.perf_counter
    for dim, heads, batch, length in SIZES[device]:
        x = torch.randn(batch, length, dim, device=device, requires_grad=True)
        forbidden = ~causal_mask(length, device=device)
        for norm in ("pre", "post"):
            ours, theirs = pair(dim, heads, norm, device)
            for causal in (False, True):
                works = {
                    "ours": (partial(ours, x, causal=causal), ours),
                    "torch": (partial(theirs, x, src_mask=forbidden if causal else None, is_causal=causal), theirs),
                }
                mixed: AbstractContextManager = torch.autocast(device, kind) if kind else nullcontext()
                with mixed:
                    close = 0.1 if kind else 1e-4
                    torch.testing.assert_close(works["ours"][0](), works["torch"][0](), rtol=close, atol=close)
                    rounds = [{name: step(*work, x, clock) for name, work in works.items()} for _ in range(ROUNDS[device] + 3)]
                kept = rounds[3:]
                ratio = statistics.median(r["ours"] / r["torch"] for r in kept)
                name = (
                    f"width {dim:4} heads {heads:3} texts {batch:3} length {length:5}  {norm:5}{'causal' if causal else '':8}"
                )
                yield name, ratio, statistics.median(r["torch"] for r in kept) * 1e3


def main() -> None:
    torch.set_num_threads(1)
    runs: list[tuple[str, torch.dtype | None]] = [("cpu", None)]
    if torch.cuda.is_available():
        runs += [("cuda", None), ("cuda", torch.bfloat16)]
    for device, kind in runs:
        where = "CPU, one thread" if device == "cpu" else torch.cuda.get_device_name()
        print(f"encoder layer, forward and backward, {where}, {kind or torch.float32}; time relative to torch.nn (target 1.0)")
        found = []
        for name, ratio, base in ratios(device, kind):
            found.append(ratio)
            print(f"{name} {ratio:5.2f}   (1 = {base:.2f} ms)", flush=True)
        print(f"geometric mean {statistics.geometric_mean(found):.3f}, largest {max(found):.2f}")
    if len(runs) == 1:
        print("no GPU here: the layer was not measured on one")


if __name__ == "__main__":
    main()
