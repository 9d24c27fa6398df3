"""Generation with a cache, one text at a time, beside Hugging Face's ``generate``; and what one byte per weight costs.

Models of three shapes with random weights, greedy, the same number of new tokens; interleaved. A ratio above 1 means that ours
is faster. One thread by the processor's clock, so that neighbours disturb it less; two threads by the wall's, which says
something on an idle machine only. ``model`` is the readable path, ``fast`` and ``int8`` are :mod:`lmcore.decode`.

What rounding costs is measured on a character model of the Python manual that is trained here for a minute: bits per character
on text it has not seen, the divergence of its distributions from the exact ones, and how often the most probable one changes.
"""

import math
import os
import statistics
import time
from collections.abc import Callable
from functools import partial

import torch

from lmcore import corpora
from lmcore.batches import Windows
from lmcore.decode import FastDecoder, fast
from lmcore.generate import generate
from lmcore.gpt import GPT, GPTConfig, pretrain
from lmcore.pretrained import from_huggingface
from lmcore.pretrained.gpt2 import gpt2_names
from lmcore.tokenizer import CharTokenizer

# vocabulary, longest text, width, heads, layers; new tokens, rounds; what is to be beaten by fast on 1 and 2 threads, and int8
SHAPES = {
    "GPT-2 small": ((50_257, 1024, 768, 12, 12), 48, 5, "1.12, 1.2 on two threads; int8 2.4"),
    "6×384": ((65, 512, 384, 6, 6), 256, 5, "1.4"),
    "4×128": ((65, 512, 128, 4, 4), 256, 7, "2.8"),
}
PROMPT = [11, 5, 3, 2]


def pair(vocab_size: int, longest: int, dim: int, heads: int, layers: int) -> tuple[GPT, torch.nn.Module]:
    """Our model, and Hugging Face's of the same shape and with the same weights."""
    from transformers import GPT2Config, GPT2LMHeadModel

    sizes = {"n_positions": longest, "n_embd": dim, "n_head": heads, "n_layer": layers}
    theirs = GPT2LMHeadModel(GPT2Config(vocab_size=vocab_size, bos_token_id=0, eos_token_id=None, **sizes)).eval()
    state = {name: tensor for name, tensor in theirs.state_dict().items() if name != "lm_head.weight"}
    ours = GPT(GPTConfig(vocab_size, longest, dim, heads, layers, activation="gelu_tanh"))
    from_huggingface(ours, state, gpt2_names(layers))
    return ours.eval(), theirs


def speed() -> None:
    """Tokens per second of every way, relative to Hugging Face's."""
    for name, (shape, new, rounds, wanted) in SHAPES.items():
        torch.manual_seed(0)
        ours, theirs = pair(*shape)
        ids = torch.tensor([PROMPT])
        given = {"max_new_tokens": new, "min_new_tokens": new, "do_sample": False, "use_cache": True, "pad_token_id": 0}
        ways: dict[str, Callable[[], object]] = {"Hugging Face": partial(theirs.generate, ids, **given)}
        for way, model in (("model", ours), ("fast", fast(ours)), ("int8", fast(ours, int8=True))):
            ways[way] = partial(generate, model, [PROMPT], max_new=new)
        assert theirs.generate(ids, **given)[0, len(PROMPT) :].tolist() == list(ways["fast"]()[0].ids)
        print(f"{name}, {new} new tokens (to beat: {wanted})")
        for threads, clock in ((1, time.process_time), (2, time.perf_counter)):
            torch.set_num_threads(threads)
            times: dict[str, list[float]] = {way: [] for way in ways}
            for _ in range(rounds + 1):
                for way, work in ways.items():
                    began = clock()
                    work()
                    times[way].append(clock() - began)
            first = times["Hugging Face"]
            ratios = {
                way: statistics.median(a / b for a, b in list(zip(first, own, strict=True))[1:])
                for way, own in times.items()
                if own is not first
            }
            found = "   ".join(f"{way} {ratio:.2f}" for way, ratio in ratios.items())
            base = new / statistics.median(first[1:])
            print(f"  {threads} thread{'s' * (threads > 1)}: {found}   (1 = {base:.1f} tokens/s)", flush=True)


def quality(steps: int = 600, length: int = 128) -> None:
    """What int8 costs a trained model."""
    torch.set_num_threads(1)
    text = "\n\n".join(corpora.manual_topics().values())
    cut = len(text) * 9 // 10
    tokenizer = CharTokenizer.train(text)
    known, new = (tokenizer.encode(part) for part in (text[:cut], text[cut:]))
    torch.manual_seed(0)
    model = GPT(GPTConfig(len(tokenizer), length, 128, 4, 4, std=0.05))
    for _ in pretrain(model, Windows(known, length, 16), steps=steps, lr=3e-3, every=steps):
        pass
    model.eval()
    inputs, targets = next(Windows(new, length, 200, shuffle=False, epochs=1))
    with torch.no_grad():
        exact = model(inputs).log_softmax(2)
        near = torch.stack(_logits(fast(model, int8=True), inputs), 1).log_softmax(2)
    bits = [-q.gather(2, targets[..., None]).mean().item() / math.log(2) for q in (exact, near)]
    divergence = (exact.exp() * (exact - near)).sum(2).mean().item() / math.log(2)
    same = (exact.argmax(2) == near.argmax(2)).double().mean().item()
    print(f"int8, 4×128 after {steps} steps on characters of the manual, {targets.numel():,} characters it has not seen:")
    print(f"  bits per character {bits[0]:.4f}, with int8 {bits[1]:.4f} ({bits[1] - bits[0]:+.4f}); KL {divergence:.5f} bits;")
    print(f"  the most probable character is the same in {100 * same:.2f} %")


@torch.no_grad()
def _logits(decoder: FastDecoder, ids: torch.Tensor) -> list[torch.Tensor]:
    state, found = decoder.begin(), []
    for column in ids.unbind(1):
        logits, state = decoder.step(column, state)
        found.append(logits)
    return found


def main() -> None:
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    print(f"tokens per second relative to Hugging Face's generate with a cache{load}")
    speed()
    quality()


if __name__ == "__main__":
    main()
