"""A training step of the recipe for tiny Shakespeare beside a plain loop of nanoGPT's shape; interleaved, step by step.

Ours is what the recipe runs: its model, its batches, :func:`lmcore.train.fit`. The plain loop has the same model written down
in torch's own parts, with the fused attention kernel, draws its windows at random, takes torch's AdamW as it comes and clips,
as nanoGPT's does on a CPU. One thread, the processor's clock; a ratio below 1 means that ours is faster. ``full`` is measured
with few windows, and in both loops without dropout.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lmcore.batches import Windows
from lmcore.recipes import shakespeare, shakespeare_rotary
from lmcore.recipes.shakespeare import Sizes
from lmcore.train import fit

V, TEXT = 65, 1_003_854  # characters of the alphabet, and of the training part
ROUNDS = {"small": 60, "full": 8}


class Layer(nn.Module):
    """Attention and a network, pre-norm, without biases."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(dim, bias=False), nn.LayerNorm(dim, bias=False)
        self.rows, self.out = nn.Linear(dim, 3 * dim, bias=False), nn.Linear(dim, dim, bias=False)
        self.up, self.down = nn.Linear(dim, 4 * dim, bias=False), nn.Linear(4 * dim, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        shape = (*x.shape[:2], self.heads, -1)
        q, k, v = (part.view(shape).transpose(1, 2) for part in self.rows(self.norm1(x)).split(x.shape[2], dim=2))
        found = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(found.transpose(1, 2).contiguous().view(x.shape))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class Plain(nn.Module):
    """The model of the recipe."""

    def __init__(self, sizes: Sizes):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(V, sizes.dim), nn.Embedding(sizes.length, sizes.dim)
        self.layers = nn.ModuleList(Layer(sizes.dim, sizes.heads) for _ in range(sizes.layers))
        self.norm, self.head = nn.LayerNorm(sizes.dim, bias=False), nn.Linear(sizes.dim, V, bias=False)
        self.tokens.weight = self.head.weight
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.tokens(ids) + self.positions(torch.arange(ids.shape[1]))
        for layer in self.layers:
            x = layer(x)
        return self.head(self.norm(x))


def plain(sizes: Sizes, ids: Tensor) -> Callable[[], None]:
    """A step of the plain loop."""
    model = Plain(sizes)
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim < 2]
    groups = [{"params": matrices, "weight_decay": sizes.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=sizes.lr, betas=(0.9, sizes.beta2))

    def step() -> None:
        at = torch.randint(len(ids) - sizes.length, (sizes.batch_size,))
        inputs = torch.stack([ids[i : i + sizes.length] for i in at])
        targets = torch.stack([ids[i + 1 : i + 1 + sizes.length] for i in at])
        value = F.cross_entropy(model(inputs).view(-1, V), targets.view(-1))
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        value.item()

    return step


def ours(sizes: Sizes, ids: Tensor) -> Callable[[], object]:
    """A step of the recipe."""
    source = Windows(ids, sizes.length, sizes.batch_size)
    steps = fit(
        shakespeare.model_of(sizes, V), source, shakespeare.loss, steps=10**6, lr=sizes.lr, schedule="linear",
        weight_decay=sizes.weight_decay, optimizer=shakespeare.adamw(sizes),
    )  # fmt: skip
    return lambda: next(steps)


def ratios() -> Iterator[tuple[str, float, float]]:
    """For every size: its name, our median time relative to the plain loop's, and the plain loop's in milliseconds."""
    ids = torch.randint(V, (TEXT,))
    for scale, rounds in ROUNDS.items():
        sizes = shakespeare.SIZES[scale]
        sizes = replace(sizes, dropout=0.0, batch_size=min(sizes.batch_size, 12))
        ways = {"plain": plain(sizes, ids), "learned positions": ours(sizes, ids)}
        changed = shakespeare_rotary.SIZES[scale]
        ways["rotary positions, normalised queries and keys"] = ours(
            replace(sizes, positions=changed.positions, qk_norm=changed.qk_norm), ids
        )
        taken: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(rounds + 3):
            for way, step in ways.items():
                began = time.process_time()
                step()
                taken[way].append(time.process_time() - began)
        for way in list(ways)[1:]:
            both = zip(taken[way][3:], taken["plain"][3:], strict=True)
            name = f"{sizes.layers}×{sizes.dim}, {sizes.batch_size} windows of {sizes.length}, {way}"
            yield name, statistics.median(a / b for a, b in both), statistics.median(taken["plain"][3:]) * 1e3


def main() -> None:
    torch.set_num_threads(1)
    print("training step, time relative to a plain loop of nanoGPT's shape (target 1.0 with learned positions)")
    for name, ratio, base in ratios():
        print(f"{name:80} {ratio:5.2f}   (1 = {base:.1f} ms)", flush=True)


if __name__ == "__main__":
    main()
