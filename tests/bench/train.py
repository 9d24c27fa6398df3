"""What :func:`lmcore.train.fit` costs beside a bare loop, and how fast skip-grams are learned; one thread, interleaved."""

import statistics
import time

import torch
from torch.nn import functional as F

from lmcore.batches import Contexts
from lmcore.embeddings import FeedForwardLM, SkipGram, negative_sampling_loss
from lmcore.skipgrams import SkipGrams
from lmcore.train import fit
from lmcore.world import World

STEPS, ROUNDS = 60, 5


def loss(model, batch):
    return F.cross_entropy(model(batch[0]), batch[1])


def bare(model, batches):
    """The shortest loop that does the same: AdamW as torch has it by default, clipping, a loss read every step."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.0)
    for _, batch in zip(range(STEPS), batches, strict=False):
        optimizer.zero_grad()
        value = loss(model, batch)
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        value.item()


def main() -> None:
    torch.set_num_threads(1)
    world = World()
    number = {word: i for i, word in enumerate(("<start>", "<end>", *world.vocabulary))}
    texts = [[number[word] for word in story.tokens] for story in world.sample(4_000, seed=0)]

    def run(train) -> float:
        model, batches = FeedForwardLM(len(number), 8, 64, 64), Contexts(texts, 8, 512, start=0, end=1)
        next(batches)
        began = time.perf_counter()
        train(model, batches)
        return time.perf_counter() - began

    ratios = []
    for _ in range(ROUNDS):
        plain = run(bare)
        ratios.append(run(lambda model, batches: list(fit(model, batches, loss, steps=STEPS, lr=0.01))) / plain)
    print(f"feed-forward LM, V={len(number)}: fit (fused AdamW) takes {statistics.median(ratios):.2f} of a bare loop's time")

    began, tokens = time.perf_counter(), sum(map(len, texts))
    pairs = SkipGrams(texts, 1024, vocab_size=len(number), window=10)
    training = fit(SkipGram(len(number), 48), pairs, lambda m, b: negative_sampling_loss(m(*b)), steps=10**6, lr=0.01)
    while pairs.epoch == 0:
        next(training)
    print(f"skip-gram, window 10, 5 noise words, width 48: {tokens / (time.perf_counter() - began):,.0f} tokens/s")


if __name__ == "__main__":
    main()
