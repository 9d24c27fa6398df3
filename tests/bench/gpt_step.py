"""A training step of a GPT beside a plain loop of nanoGPT's shape: tokens, model, AdamW; interleaved.

The plain loop is what one writes who knows torch and has nobody to explain it to: one class per part, fused projections,
torch's fused attention, tied embeddings, windows drawn at random, gradients clipped, AdamW as torch has it by default. Ours is
:func:`lmcore.gpt.pretrain`. Both have the same parameters and the same arithmetic, which is checked first. A ratio below 1
means that ours is faster. ``--compile`` measures both compiled as well, which takes a minute more.

One thread by the processor's clock, so that neighbours disturb it less; two threads by the wall's, which says something on an
idle machine only.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lmcore.batches import Windows
from lmcore.gpt import GPT, GPTConfig, next_token_loss, pretrain

V = 65
SIZES = {"4×128, block 64, batch 12": (4, 4, 128, 64, 12, 12, 9), "6×384, block 256, batch 8": (6, 6, 384, 256, 8, 2, 5)}
LR, DECAY, BETAS = 1e-3, 0.1, (0.9, 0.99)


class Block(nn.Module):
    """Attention and MLP, pre-norm, without biases."""

    def __init__(self, heads: int, dim: int):
        super().__init__()
        self.heads = heads
        self.ln_1, self.ln_2 = nn.LayerNorm(dim, bias=False), nn.LayerNorm(dim, bias=False)
        self.c_attn, self.c_proj = nn.Linear(dim, 3 * dim, bias=False), nn.Linear(dim, dim, bias=False)
        self.c_fc, self.c_out = nn.Linear(dim, 4 * dim, bias=False), nn.Linear(4 * dim, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        B, T, C = x.shape
        q, k, v = (y.view(B, T, self.heads, -1).transpose(1, 2) for y in self.c_attn(self.ln_1(x)).split(C, dim=2))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.c_proj(y.transpose(1, 2).contiguous().view(B, T, C))
        return x + self.c_out(F.gelu(self.c_fc(self.ln_2(x))))


class Plain(nn.Module):
    """nanoGPT's shape."""

    def __init__(self, layers: int, heads: int, dim: int, block: int):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(V, dim), nn.Embedding(block, dim)
        self.h = nn.ModuleList(Block(heads, dim) for _ in range(layers))
        self.ln_f = nn.LayerNorm(dim, bias=False)

    def forward(self, ids: Tensor, targets: Tensor) -> Tensor:
        x = self.wte(ids) + self.wpe(torch.arange(ids.shape[1], device=ids.device))
        for block in self.h:
            x = block(x)
        return F.cross_entropy(F.linear(self.ln_f(x), self.wte.weight).view(-1, V), targets.view(-1))

    def take(self, model: GPT) -> "Plain":
        """The parameters of ours."""
        state = {"wte.weight": model.embedding.weight, "wpe.weight": model.positions.weight, "ln_f.weight": model.norm.weight}
        names = {"norm1": "ln_1", "norm2": "ln_2", "self_attn.out_proj": "c_proj", "linear1": "c_fc", "linear2": "c_out"}
        for i, layer in enumerate(model.layers):
            own = layer.state_dict()
            state[f"h.{i}.c_attn.weight"] = own["self_attn.in_proj_weight"]
            state |= {f"h.{i}.{theirs}.weight": own[f"{ours}.weight"] for ours, theirs in names.items()}
        self.load_state_dict(state)
        return self


def plain_steps(model: Plain, text: Tensor, block: int, batch: int, steps: int, *, compiled: bool = False) -> Iterator[float]:
    """nanoGPT's loop."""
    matrices, vectors = ([p for p in model.parameters() if (p.ndim > 1) is big] for big in (True, False))
    groups = [{"params": matrices, "weight_decay": DECAY}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=LR, betas=BETAS)
    network = torch.compile(model) if compiled else model
    for _ in range(steps):
        starts = torch.randint(len(text) - block, (batch,)).tolist()
        ids, targets = (torch.stack([text[i + o : i + o + block] for i in starts]) for o in (0, 1))
        loss = network(ids, targets)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        yield loss.item()


def compared(layers: int, heads: int, dim: int, block: int, batch: int, steps: int, rounds: int, *, compiled: bool) -> None:
    """One line per number of threads: our time divided by that of the plain loop in the same round."""
    torch.manual_seed(0)
    text = torch.randint(V, (100_000,))
    model = GPT(GPTConfig(V, block, dim, heads, layers, bias=False))
    plain = Plain(layers, heads, dim, block).take(model)
    ids, targets = text[: block * batch].view(batch, -1), text[1 : block * batch + 1].view(batch, -1)
    torch.testing.assert_close(next_token_loss(model, (ids, targets)), plain(ids, targets))

    def ours(compile: bool = False) -> Callable[[], object]:
        source = Windows(text, block, batch, seed=0)
        running = pretrain(
            model, source, steps=10**6, lr=LR, warmup=0, schedule="constant", weight_decay=DECAY, beta2=BETAS[1],
            every=steps, compile=compile,
        )  # fmt: skip
        return lambda: next(running)

    def theirs(compile: bool = False) -> Callable[[], object]:
        running = plain_steps(plain, text, block, batch, 10**6, compiled=compile)
        return lambda: [next(running) for _ in range(steps)]

    ways = {"plain": theirs(), "ours": ours()}
    if compiled:
        ways |= {"plain, compiled": theirs(True), "ours, compiled": ours(True)}
    for threads, clock in ((1, time.process_time), (2, time.perf_counter)):
        torch.set_num_threads(threads)
        times: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds + 1):
            for name, work in ways.items():
                began = clock()
                work()
                times[name].append((clock() - began) / steps)
        kept = {name: some[1:] for name, some in times.items()}
        ratios = {
            name: statistics.median(a / b for a, b in zip(some, kept["plain"], strict=True)) for name, some in kept.items()
        }
        base = statistics.median(kept["plain"])
        found = "   ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items() if name != "plain")
        print(f"  {threads} thread{'s' * (threads > 1)}: {found}   (1 = {base * 1e3:.1f} ms a step)", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--compile", action="store_true", help="measure both compiled as well")
    compiled = parser.parse_args().compile
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    print(f"training step, time relative to a plain loop of nanoGPT's shape with AdamW as it comes{load}")
    for name, sizes in SIZES.items():
        print(name)
        compared(*sizes, compiled=compiled)


if __name__ == "__main__":
    main()
