"""Characters of Shakespeare's plays with each of Llama's changes alone, and with all of them, at equal parameters.

Text, tokens, training and measure are those of :mod:`lmcore.recipes.shakespeare`, and the GPT there is the first of the
variants. It has no biases, so its norms differ from RMSNorm in one thing only, the mean. Each variant is a fresh model with the
page's seed that reads the same batches in the same order. What a change adds to the parameters or saves, the width of the
hidden layer makes up for (:func:`lmcore.llama.changed`), and ``parameters.<variant>`` says how well. At scale ``small`` there
are half as many steps as there: the training part is read a little less than once. No setting was chosen for a variant.

The validation part is measured in windows that do not overlap, in nats per character: ``valid.nats.<variant>``. How much that
is above the GPT of the same run is ``above.<variant>``::

    python -m lmcore.ledger record shakespeare_llama --seeds 3 --scale small --device cpu
"""

import argparse
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import torch

from lmcore import corpora, device, ledger
from lmcore.gpt import GPT, GPTConfig
from lmcore.ledger.rounding import Number
from lmcore.llama import CHANGES, changed
from lmcore.recipes import shakespeare
from lmcore.tokenizer import CharTokenizer

SIZES = shakespeare.SIZES | {"small": replace(shakespeare.SIZES["small"], steps=1_000)}
VARIANTS: dict[str, tuple[str, ...]] = {
    "gpt": (),
    "rmsnorm": ("RMSNorm",),
    "swiglu": ("SwiGLU",),
    "rotary": ("rotary positions",),
    "grouped": ("grouped queries",),
    "all": tuple(CHANGES),
}
"""Name of a variant → keys of :data:`lmcore.llama.CHANGES`."""


class Part(ledger.Page):
    """The page of the whole run, as one variant sees it: every number is logged with the variant's name behind its own."""

    def __init__(self, page: ledger.Page, variant: str):
        vars(self).update(vars(page))
        self.variant = variant

    def log(self, name: str, value: Any) -> Number:
        """As :meth:`lmcore.ledger.Page.log`."""
        return super().log(f"{name}.{self.variant}", value)


def config_of(variant: str, sizes: shakespeare.Sizes, vocab_size: int) -> GPTConfig:
    """The GPT of these sizes with a variant's changes; where queries are grouped, two heads share one of keys and values."""
    names = VARIANTS[variant]
    kv_heads = sizes.heads // 2 if "grouped queries" in names else None
    return changed(shakespeare.model_of(sizes, vocab_size).config, *names, kv_heads=kv_heads)


def run(sizes: shakespeare.Sizes, page: ledger.Page) -> None:
    """Train every variant, and log its nats per character of the validation part.

    Raises:
        DownloadError: tiny Shakespeare is not there and cannot be fetched.
    """
    text = corpora.tiny_shakespeare()
    tokenizer = CharTokenizer.train(text, special=())
    ids = tokenizer.encode(text)
    cut = len(ids) * 9 // 10
    nats: dict[str, Number] = {}
    for variant in VARIANTS:
        part, config = Part(page, variant), config_of(variant, sizes, len(tokenizer))
        torch.manual_seed(page.seed)
        model = GPT(config).to(page.device)
        part.log("parameters", config.parameters)
        shakespeare.train(sizes, ids[:cut], model, part, variant)
        nats[variant] = part.log("valid.nats", shakespeare.nats_per_character(model, ids[cut:], sizes.length))
        part.log("above", nats[variant] - nats["gpt"])
        print(f"{variant}: {nats[variant]:.4f} nats per character, {config.parameters:,} parameters", flush=True)


def main(argv: Sequence[str] | None = None) -> None:
    """Characters of Shakespeare's plays, predicted by a GPT with each of Llama's changes, at equal parameters."""
    argparse.ArgumentParser(prog="python -m lmcore.recipes.shakespeare_llama", description=main.__doc__).parse_args(argv)
    sizes = SIZES[device.scale()]
    page = ledger.Page("shakespeare_llama", config=asdict(sizes))
    run(sizes, page)
    print(page.receipt())


if __name__ == "__main__":
    main()
