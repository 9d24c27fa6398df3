"""Characters of Shakespeare's plays, predicted by a GPT: nanoGPT's two recipes, with its architecture and its tokens.

Scale ``small`` is the recipe for a CPU (4 layers, 4 heads, 128 wide, 2,000 batches of 12 windows of 64 characters), ``full``
that for a GPU (6, 6, 384; 5,000 batches of 64 windows of 256). No linear layer and no norm has a bias, the embeddings are the
output matrix, and the first nine tenths of the text train the model, as there. Three things about the training differ:

- the learning rate is six times as high and falls linearly to zero;
- at scale ``small`` fresh matrices have a standard deviation of 0.05 instead of 0.02, which is GPT-2's for six times the width;
- windows are dealt, not drawn: every pass cuts the text at a fresh offset into windows that do not overlap.

**What is reported** is the last tenth, nanoGPT's validation part, all of it: windows that do not overlap, so that every
character but the first is predicted once, from what precedes it in its window, in nats per character (``valid.nats``). Beside
it stands the same model with windows that overlap by half (``valid.nats.overlap``), where every character has at least half a
window before it.

**What the settings were chosen on** is another text: with ``--choose`` the first nine tenths of the training part train the
model, the rest of the training part is reported, and the validation part is not touched. So the standard deviation was chosen,
with a plain loop of the same arithmetic, one seed each: 0.05 made the difference, with it 0.09 and a learning rate of 0.01 were
worse after 500 steps, and dealing windows instead of drawing them changed nothing. Warm-up, β₂ and weight decay are nanoGPT's.
The learning rate and its fall are the exception: they come from an earlier measurement, which did look at the validation part.
:mod:`lmcore.recipes.shakespeare_rotary` takes over everything as it is. Such runs are::

    python -m lmcore.recipes.shakespeare --choose --std 0.02
    python -m lmcore.recipes.shakespeare --choose
    python -m lmcore.recipes.shakespeare --choose --steps 500
    python -m lmcore.recipes.shakespeare --choose --steps 500 --std 0.09
    python -m lmcore.recipes.shakespeare --choose --steps 500 --lr 0.01

At scale ``full`` a model reads its text about 80 times, and may learn it by heart before the training ends. So the last
twentieth of the training part is kept from it, and the parameters that predict that best, looked up every 250 steps, are those
that are reported::

    python -m lmcore.ledger record shakespeare --seeds 3 --scale full --device cuda
"""

import argparse
import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from lmcore import corpora, device, evaluate, ledger
from lmcore.batches import IGNORE, Ids, Windows, at_least, flat
from lmcore.gpt import GPT, GPTConfig
from lmcore.tokenizer import CharTokenizer
from lmcore.train import fit, progress


@dataclass(frozen=True)
class Sizes:
    """The model and its training; the learning rate climbs for ``warmup`` steps and then falls linearly to zero.

    ``hold`` is the share of the text that is kept from the training, if any is, to choose the best parameters by; they are
    looked at every ``every`` steps.
    """

    dim: int = 128
    heads: int = 4
    layers: int = 4
    positions: str = "learned"
    qk_norm: bool = False
    std: float = 0.05
    dropout: float = 0.0
    length: int = 64
    batch_size: int = 12
    steps: int = 2_000
    lr: float = 6e-3
    warmup: int = 100
    beta2: float = 0.99
    weight_decay: float = 0.1
    hold: float = 0.0
    every: int = 250
    compile: bool = False


SIZES = {
    "smoke": Sizes(dim=8, heads=2, layers=2, length=16, batch_size=4, steps=6, warmup=2, hold=0.05, every=3),
    "small": Sizes(),
    "full": Sizes(
        dim=384, heads=6, layers=6, std=0.02, dropout=0.4, length=256, batch_size=64, steps=5_000, lr=1e-3, hold=0.05,
        compile=True,
    ),
}  # fmt: skip


def model_of(sizes: Sizes, vocab_size: int) -> GPT:
    """A fresh model of these sizes: GPT-2's blocks without biases."""
    config = GPTConfig(
        vocab_size, sizes.length, sizes.dim, sizes.heads, sizes.layers, dropout=sizes.dropout, bias=False, std=sizes.std,
        positions=sizes.positions, qk_norm=sizes.qk_norm,
    )  # fmt: skip
    return GPT(config)


def loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Float[Tensor, ""]:
    """The mean cross-entropy over all positions of full windows, in nats."""
    return F.cross_entropy(model(batch[0]).flatten(0, 1), batch[1].flatten())


@torch.no_grad()
def nats_per_character(model: nn.Module, ids: Ids, length: int, stride: int | None = None, batch_size: int = 64) -> float:
    """The mean cross-entropy of a whole text but its first character, in nats, with windows of ``length`` characters.

    A window begins every ``stride`` characters. In the first one all predictions count, in the others the last ``stride``. So
    every character is counted once, and is predicted from at least ``length - stride`` characters before it (as long as there
    are so many).

    Args:
        model: gives logits (B, T, V) for ids (B, T).
        ids: the text.
        length: T.
        stride: from 1 to ``length``; ``length`` if not given, windows that do not overlap.
        batch_size: windows at a time.

    Raises:
        ValueError: the text has fewer than two characters, or a number is out of range.
    """
    text, stride = torch.as_tensor(flat(ids, "ids")), length if stride is None else stride
    at_least(1, length=length, stride=stride, batch_size=batch_size)
    if stride > length or len(text) < 2:
        raise ValueError(
            f"stride={stride} must not be above length={length}, and a text of {len(text)} ids must have 2 or more"
        )
    where = next(model.parameters()).device
    rest = max(0, len(text) - 1 - length)
    begins = stride * torch.arange(1 + -(-rest // stride))
    padded = F.pad(text, (0, length)).to(where)
    targets = F.pad(text, (0, length), value=IGNORE).to(where)
    steps, total = torch.arange(length), 0.0
    model.eval()
    for some in begins.split(batch_size):
        at = some[:, None] + steps
        counts = (steps >= length - stride) | (some[:, None] == 0)
        wanted = torch.where(counts.to(where), targets[at + 1], IGNORE)
        logits = model(padded[at]).flatten(0, 1).float()
        total += F.cross_entropy(logits, wanted.flatten(), reduction="sum").double().item()
    return total / (len(text) - 1)


def adamw(sizes: Sizes) -> Callable[..., torch.optim.Optimizer]:
    """AdamW with this β₂, all of its update in one kernel."""
    return partial(torch.optim.AdamW, betas=(0.9, sizes.beta2), fused=True)


def train(sizes: Sizes, ids: Sequence[int], model: nn.Module, page: ledger.Page, label: str) -> None:
    """Train the model on this text, less its share ``hold``; if there is one, it ends with the parameters best on that."""
    cut = round(len(ids) * (1 - sizes.hold))
    known, held = ids[:cut], ids[cut:]
    source = Windows(known, sizes.length, sizes.batch_size, seed=page.seed, device=page.device)
    best: tuple[float, int, Mapping[str, Any]] | None = None
    steps = fit(
        model, source, loss, steps=sizes.steps, lr=sizes.lr, schedule="linear", warmup=sizes.warmup,
        weight_decay=sizes.weight_decay, optimizer=adamw(sizes), every=min(sizes.every, sizes.steps),
        compile=sizes.compile and page.device.type == "cuda",
    )  # fmt: skip
    for step in progress(steps, sizes.steps, label):
        line = f"step {step.step:5,}: loss {step.loss:.4f} nats, {step.seconds:.0f} s"
        if held:
            nats = nats_per_character(model, held, sizes.length)
            line += f"; kept from it {nats:.4f}"
            if best is None or nats < best[0]:
                best = nats, step.step, copy.deepcopy(model.state_dict())
        print(line, flush=True)
    page.log("train.nats", step.loss)
    if best is not None:
        model.load_state_dict(best[2])
        page.log("held.nats", best[0])
        page.log("best.step", best[1])
    page.log("passes", sizes.steps * sizes.length * sizes.batch_size / len(known))


def run(sizes: Sizes, page: ledger.Page, *, choose: bool = False) -> None:
    """Train, then log the nats and the bits per character of the validation part, or with ``choose`` of ``choice``, see above.

    Raises:
        DownloadError: tiny Shakespeare is not there and cannot be fetched.
    """
    text = corpora.tiny_shakespeare()
    tokenizer = CharTokenizer.train(text, special=())
    ids = tokenizer.encode(text)
    cut = len(ids) * 9 // 10
    known, name, new = ids[:cut], "valid", ids[cut:]
    if choose:
        cut = cut * 9 // 10
        known, name, new = known[:cut], "choice", known[cut:]
    torch.manual_seed(page.seed)
    model = model_of(sizes, len(tokenizer)).to(page.device)
    page.log("parameters", sum(parameter.numel() for parameter in model.parameters()))
    train(sizes, known, model, page, page.chapter)
    for label, stride in (("", sizes.length), (".overlap", max(1, sizes.length // 2))):
        nats = page.log(f"{name}.nats{label}", nats_per_character(model, new, sizes.length, stride))
        bits = page.log(f"{name}.bpc{label}", evaluate.bits(nats))
        print(f"{name}: {nats:.4f} nats, {bits:.4f} bits per character, windows of {sizes.length} every {stride}", flush=True)


def start(name: str, plans: Mapping[str, Sizes], argv: Sequence[str] | None, description: str) -> None:
    """The command line of a recipe: the plan of :func:`lmcore.device.scale`, and whatever is set instead."""
    parser = argparse.ArgumentParser(prog=f"python -m lmcore.recipes.{name}", description=description)
    parser.add_argument("--choose", action="store_true", help="report a part of the training text, to choose settings by")
    for field in fields(Sizes):
        if field.type in (int, float):
            flag = f"--{field.name.replace('_', '-')}"
            parser.add_argument(flag, type=field.type, metavar="N", help=f"instead of this scale's {field.name}")
    given = {key: value for key, value in vars(parser.parse_args(argv)).items() if value is not None}
    choose = given.pop("choose")
    sizes = replace(plans[device.scale()], **given)
    page = ledger.Page(name, config=asdict(sizes) | {"choose": choose})
    try:
        if not 0 <= sizes.hold < 1:
            raise ValueError(f"hold={sizes.hold} is no share; use a number from 0 up to, but not including, 1")
        run(sizes, page, choose=choose)
    except ValueError as error:
        parser.error(str(error))
    print(page.receipt())


def main(argv: Sequence[str] | None = None) -> None:
    """Characters of Shakespeare's plays, predicted by a GPT."""
    start("shakespeare", SIZES, argv, str(main.__doc__))


if __name__ == "__main__":
    main()
