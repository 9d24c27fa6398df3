"""A word-level LSTM in the shape of Zaremba et al. (2014), for any three plain-text files. ::

    python -m lmcore.recipes.word_lstm --train train.txt --valid valid.txt --test test.txt

Words are what stands between white space, every line ends with a token of its own, and a word that the vocabulary lacks counts
as ``<unk>``: on the prepared Penn Treebank this is what the literature counts. Perplexity is that of the whole file, read once
from beginning to end with the state carried all the way. Without files, the Python manual is used, split by topic without the
paragraphs that topics share, and the small model is trained twice, without dropout as in the paper and with dropout 0.5.

What the paper prescribes and this recipe keeps: two layers of 200, 650 or 1,500; weights drawn uniformly within ±0.1, ±0.05 or
±0.04; 20 lanes, 20 or 35 steps of backpropagation, state carried over; plain gradient descent on the loss *summed* over the
steps, clipped at norm 5 or 10; a rate of 1 that shrinks by a factor every epoch after the first few; dropout of 0, 0.5 or 0.65
on what goes into a layer and out of the last, never from step to step.
"""

import argparse
import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lmcore import END, UNK, corpora, device, evaluate, ledger
from lmcore.batches import IGNORE, LaneBatch, Lanes
from lmcore.recurrent import RecurrentLM, TruncatedBPTT, stream_cross_entropy
from lmcore.tokenizer import WordTokenizer
from lmcore.train import fit, load, progress, save

PARTS = ("train", "valid", "test")


@dataclass(frozen=True)
class Sizes:
    """The paper's settings; the rate is ``lr`` for ``flat`` epochs and then divided by ``decay`` in each further one."""

    hidden: int = 200
    layers: int = 2
    dropout: float = 0.0
    init: float = 0.1
    length: int = 20
    batch_size: int = 20
    epochs: int = 13
    flat: int = 4
    decay: float = 2.0
    lr: float = 1.0
    clip: float = 5.0
    vocabulary: int = 10_000

    def rate(self, epoch: int) -> float:
        """The learning rate of epoch 1, 2, …"""
        return self.lr / self.decay ** max(0, epoch - self.flat)


SIZES = {
    "small": Sizes(),
    "medium": Sizes(hidden=650, dropout=0.5, init=0.05, length=35, epochs=39, flat=6, decay=1.2),
    "large": Sizes(hidden=1_500, dropout=0.65, init=0.04, length=35, epochs=55, flat=14, decay=1.15, clip=10.0),
}
OPTIONS = ("hidden", "layers", "epochs", "vocabulary")


class SummedBPTT(TruncatedBPTT):
    """Truncated backpropagation on the loss summed over the steps and averaged over the lanes, as the paper clips it."""

    def loss(self, model: nn.Module, batch: LaneBatch) -> Float[Tensor, ""]:
        """The mean loss times the number of targets per lane."""
        return super().loss(model, batch) * (batch.targets != IGNORE).sum() / len(batch.targets)


def read(paths: dict[str, Path | None]) -> dict[str, str]:
    """The three texts: from files, or from the Python manual if no file is given.

    Of the manual a tenth of the topics each is there to choose and to test, a paragraph is a line, and paragraphs that another
    part has already are left out: the manual repeats whole sections, and a model that knows them by heart would look good.

    Raises:
        ValueError: some files are given and others not, or a file is empty or not UTF-8.
        FileNotFoundError: a file is not there.
    """
    given = {name: path for name, path in paths.items() if path is not None}
    if not given:
        topics = [*corpora.manual_topics().values()]
        parts = {"train": [topic for i, topic in enumerate(topics) if i % 10 > 1], "valid": topics[::10], "test": topics[1::10]}
        words = WordTokenizer.train("\n".join(topics), lower=True).words
        texts, seen = {}, set()
        for name, part in parts.items():
            lines = dict.fromkeys(" ".join(words(text)) for topic in part for text in topic.split("\n\n"))
            texts[name] = "\n".join(line for line in lines if line and line not in seen)
            seen |= set(lines)
        return texts
    if missing := [name for name in PARTS if name not in given]:
        raise ValueError(f"give all three files, or none: --{' and --'.join(missing)} missing")
    texts = {}
    for name, path in given.items():
        try:
            texts[name] = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} is not UTF-8 text ({error}); convert it first") from error
        if not texts[name].strip():
            raise ValueError(f"{path} holds no words; give a text of several lines")
    return texts


def run(sizes: Sizes, page: ledger.Page, texts: dict[str, str], checkpoint: Path | None = None, variant: str = "") -> None:
    """Train, print the perplexities after every epoch, and log those after the last as ``test.perplexity`` + ``variant``.

    With a ``checkpoint`` path the model is kept there after every epoch, and a run that finds it goes on from it.
    """
    tokenizer = WordTokenizer.train(texts["train"], size=sizes.vocabulary, special=(UNK, END), pattern=r"\S+")
    end = tokenizer.number[END]
    # The first word is predicted too: from the end of a line that was before it.
    streams = {
        name: [end, *(i for line in text.splitlines() for i in (*tokenizer.encode(line), end))] for name, text in texts.items()
    }
    page.log("vocabulary", len(tokenizer))
    for name, ids in streams.items():
        page.log(f"{name}.words", len(ids) - 1)
        page.log(f"{name}.unknown", 100 * ids.count(tokenizer.number[UNK]) / (len(ids) - 1))
    model = RecurrentLM(len(tokenizer), sizes.hidden, sizes.hidden, cell="lstm", layers=sizes.layers, dropout=sizes.dropout)
    for parameter in model.parameters():
        nn.init.uniform_(parameter, -sizes.init, sizes.init)
    model.to(page.device)
    page.log("parameters", sum(parameter.numel() for parameter in model.parameters()))
    print(f"{len(tokenizer):,} words, " + ", ".join(f"{name}: {len(ids) - 1:,}" for name, ids in streams.items()), flush=True)

    settings: dict[str, Any] = asdict(sizes) | {"seed": page.seed, "train": len(streams["train"])}
    done, perplexity = resume(checkpoint, model, settings)
    tokens = len(streams["train"]) - 1
    pieces = math.ceil(math.ceil(tokens / sizes.batch_size) / sizes.length)
    for epoch in range(done + 1, sizes.epochs + 1):
        source = SummedBPTT(Lanes(streams["train"], sizes.length, sizes.batch_size, shuffle=False, device=page.device))
        steps = fit(
            model, source, source.loss, steps=pieces, lr=sizes.rate(epoch), clip=sizes.clip, optimizer=torch.optim.SGD,
            every=pieces if page.device.type == "cuda" else 1, seed=1_000 * page.seed + epoch,
        )  # fmt: skip
        total, seconds = 0.0, 0.0
        for step in progress(steps, pieces, f"epoch {epoch}"):
            total, seconds = total + step.loss, step.seconds
        if page.device.type == "cuda":  # one Step with the mean of all
            total *= pieces
        perplexity = {"train": evaluate.perplexity(total * sizes.batch_size / tokens)}
        perplexity["valid"] = evaluate.perplexity(stream_cross_entropy(model, streams["valid"]))
        print(
            f"epoch {epoch}: rate {sizes.rate(epoch):.4g}, perplexity {perplexity['train']:.1f} in training, "
            f"{perplexity['valid']:.1f} on valid; {tokens / seconds:,.0f} words/s", flush=True,
        )  # fmt: skip
        if checkpoint is not None:
            save(checkpoint, {"model": model.state_dict(), "settings": settings, "epoch": epoch, "perplexity": perplexity})
    perplexity["test"] = evaluate.perplexity(stream_cross_entropy(model, streams["test"]))
    for name, value in perplexity.items():
        page.log(f"{name}.perplexity{variant}", value)
    print(f"perplexity: {perplexity['valid']:.2f} on valid, {perplexity['test']:.2f} on test")


def resume(path: Path | None, model: nn.Module, settings: dict[str, Any]) -> tuple[int, dict[str, float]]:
    """How many epochs are done, and their perplexities; the model is put into that state.

    Raises:
        ValueError: the file is no checkpoint, or one of a run with other settings.
    """
    if path is None or not path.exists():
        return 0, {}
    state = load(path)
    if state.get("settings") != settings:
        raise ValueError(f"{path} belongs to a run with other settings, {state.get('settings')}; use the same, or delete it")
    model.load_state_dict(state["model"])
    return state["epoch"], state["perplexity"]


def main(argv: list[str] | None = None) -> None:
    """The command line; ``--help`` says what can be set."""
    parser = argparse.ArgumentParser(
        prog="python -m lmcore.recipes.word_lstm", description="A word-level LSTM after Zaremba et al."
    )
    for name in PARTS:
        parser.add_argument(f"--{name}", type=Path, metavar="FILE", help="plain text; by default a part of the Python manual")
    parser.add_argument("--size", choices=SIZES, default="small", help="2 × 200, 2 × 650 or 2 × 1,500 (default: small)")
    parser.add_argument(
        "--dropout",
        type=float,
        nargs="+",
        metavar="P",
        help="instead of that size's dropout; several values: one training each",
    )
    for name in OPTIONS:
        kind = type(getattr(Sizes, name))
        parser.add_argument(f"--{name}", type=kind, metavar="N", help=f"instead of that size's {name}")
    parser.add_argument(
        "--checkpoint", type=Path, metavar="FILE", help="keep the model there after every epoch, and go on from it"
    )
    options = parser.parse_args(argv)
    sizes = replace(SIZES[options.size], **{n: getattr(options, n) for n in OPTIONS if getattr(options, n) is not None})
    variants = options.dropout or ([0.0, 0.5] if options.train is None and options.size == "small" else [sizes.dropout])
    if device.scale() == "smoke":
        sizes = replace(sizes, hidden=8, epochs=1, vocabulary=100)
    try:
        if options.checkpoint and len(variants) > 1:
            raise ValueError(f"--checkpoint keeps one training, and these are {len(variants)}; give one --dropout")
        texts = read({name: getattr(options, name) for name in PARTS})
        page = ledger.Page("word_lstm", config=asdict(sizes) | {"dropout": ", ".join(map(str, variants))})
        for number, dropout in enumerate(variants):
            variant = f".dropout{dropout}" if number else ""
            run(replace(sizes, dropout=dropout), page, texts, options.checkpoint, variant)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    print(page.receipt())


if __name__ == "__main__":
    main()
