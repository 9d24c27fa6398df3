"""Attention: the formula beside the fused kernel at several lengths, and our multi-head module beside torch's; interleaved.

One thread on a CPU, where the clock is the processor's, so that neighbours disturb it less. On a GPU the clock is the wall's,
and texts are longer.
"""

import itertools
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from lmcore.attention import Cache, MultiHeadAttention, attend, causal_mask, scaled_dot_product

HEADS, WIDTH = 8, 64
LENGTHS = {"cpu": (64, 256, 1024, 2048), "cuda": (256, 1024, 4096, 8192)}
ROUNDS = 9


def timed(work: Callable[[], object], device: str) -> float:
    """Seconds of one call."""
    clock = time.process_time if device == "cpu" else time.perf_counter
    if device == "cuda":
        torch.cuda.synchronize()
    began = clock()
    work()
    if device == "cuda":
        torch.cuda.synchronize()
    return clock() - began


def compared(ways: dict[str, Callable[[], object]], device: str, rounds: int = ROUNDS) -> str:
    """The median over rounds of each way's time divided by that of the first way in the same round."""
    results = [{name: timed(work, device) for name, work in ways.items()} for _ in range(rounds + 2)][2:]
    first = next(iter(ways))
    ratios = {name: statistics.median(r[name] / r[first] for r in results) for name in ways}
    base = statistics.median(r[first] for r in results)
    return "   ".join(f"{name}: {ratio:.2f}" for name, ratio in ratios.items()) + f"   (1 = {base * 1e3:.2f} ms)"


def kernels(device: str) -> None:
    """The fused kernel with its causal flag is 1; the formula, and the kernel with a mask that says the same."""
    for length, backward in itertools.product(LENGTHS[device], (False, True)):
        batch = max(1, 2048 // length)
        inputs = [torch.randn(batch, HEADS, length, WIDTH, device=device, requires_grad=backward) for _ in range(3)]
        mask = causal_mask(length, device=device)

        def ways(inputs: list[Tensor] = inputs, mask: Tensor = mask, backward: bool = backward) -> dict[str, Callable]:
            def run(attention: Callable[..., Tensor], **how: object) -> Callable[[], object]:
                if not backward:
                    return lambda: attention(*inputs, **how)
                return lambda: torch.autograd.grad(attention(*inputs, **how).sum(), inputs)

            return {
                "fused, flag": run(attend, causal=True),
                "fused, mask": run(attend, mask=mask),
                "formula": run(lambda *given, mask: scaled_dot_product(*given, mask)[0], mask=mask),
            }

        what = "and back" if backward else "forward "
        print(f"T = {length:5} {what}  {compared(ways(), device, 3 if length > 1000 and device == 'cpu' else ROUNDS)}")


def modules(device: str) -> None:
    """A training step of self-attention; torch's module is 1."""
    for dim, length, batch in ((128, 64, 32), (256, 128, 16), (512, 256, 8)):
        theirs = nn.MultiheadAttention(dim, HEADS, batch_first=True).to(device)
        ours = MultiHeadAttention(dim, HEADS).to(device)
        ours.load_state_dict(theirs.state_dict())
        x = torch.randn(batch, length, dim, device=device)
        blocked = ~causal_mask(length, device=device)

        def step(module: nn.Module, attention: Callable[[], Tensor]) -> Callable[[], None]:
            def work() -> None:
                module.zero_grad()
                attention().square().mean().backward()

            return work

        ways = {
            "torch.nn.MultiheadAttention": step(
                theirs,
                lambda m=theirs, x=x, b=blocked: m(x, x, x, attn_mask=b, is_causal=True, need_weights=False)[0],
            ),
            "ours": step(ours, lambda m=ours, x=x: m(x, causal=True)[0]),
            "with weights": step(ours, lambda m=ours, x=x: m(x, causal=True, weights=True)[0]),
        }
        print(f"C = {dim}, T = {length}, B = {batch}:  {compared(ways, device)}")


@torch.no_grad()
def caches(device: str) -> None:
    """Words that come one after the other: keys and values appended to our cache, and joined to new tensors at every word."""
    for count in (64, 256, 1024):
        words = torch.randn(count, 1, HEADS, 1, WIDTH, device=device)

        def appended(words: Tensor = words) -> None:
            cache = Cache()
            for new in words:
                cache.append(new, new)

        def joined(words: Tensor = words) -> None:
            keys = values = words.new_empty(1, HEADS, 0, WIDTH)
            for new in words:
                keys, values = torch.cat([keys, new], dim=2), torch.cat([values, new], dim=2)

        print(f"{count:4} words:  {compared({'cache': appended, 'joined at every word': joined}, device)}")


def main() -> None:
    torch.set_num_threads(1)
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    for device in devices:
        print(f"on the {'CPU, one thread' if device == 'cpu' else torch.cuda.get_device_name()}, {HEADS} heads of {WIDTH}")
        kernels(device)
        print("training step of the module, causal")
        modules(device)
        print(f"keys and values of {HEADS} heads, word by word")
        caches(device)
    if len(devices) == 1:
        print("no GPU here: what these ratios are on one was not measured")


if __name__ == "__main__":
    main()
