"""English to Dutch on real sentences: a Transformer, as large as the LSTM encoder–decoder of the recipe ``tatoeba``.

Same sentences, same subwords, same searches and scores. The training is the Transformer's own: warm-up, smoothed labels, and
at the end an average of the parameters of the last epochs, if that predicts the validation part better.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from lmcore import device, evaluate, ledger
from lmcore.recipes import _tatoeba
from lmcore.recipes._translation import Plan, checkpoint_of
from lmcore.schedules import vaswani_rate
from lmcore.transformer import TransformerTranslator


@dataclass(frozen=True)
class Sizes(Plan):
    """The model and its training; the learning rate is ``lr`` times that of Vaswani et al. (2017)."""

    vocabulary: int = 3_000
    dim: int = 128
    heads: int = 4
    layers: int = 3
    hidden: int = 624
    dropout: float = 0.2
    epochs: int = 9
    lr: float = 0.8
    schedule: str = "inverse_sqrt"
    warmup: int = 800
    label_smoothing: float = 0.1
    average: int = 3


SIZES = {
    "smoke": Sizes(
        vocabulary=300, dim=8, heads=2, layers=1, hidden=7, epochs=2, warmup=3, average=2, train=640, test=20, beam=2
    ),
    "small": Sizes(),
    "full": Sizes(
        vocabulary=6_000, dim=512, heads=8, layers=6, hidden=1_350, dropout=0.3, batch_size=64, epochs=30, lr=0.5, warmup=4_000,
        average=8,
    ),
}  # fmt: skip


def run(sizes: Sizes, page: ledger.Page, checkpoint: Path | None = None) -> None:
    """Train, and log BLEU (of all test sentences and by length), bits per token and bits per character.

    Raises:
        DownloadError: the sentences are not there and cannot be fetched.
        ValueError: the checkpoint belongs to another run.
    """
    how: dict[str, Any] = {
        "dim": sizes.dim,
        "heads": sizes.heads,
        "layers": sizes.layers,
        "hidden": sizes.hidden,
        "dropout": sizes.dropout,
    }
    rate = sizes.lr * vaswani_rate(sizes.dim, sizes.warmup)
    _tatoeba.run(partial(TransformerTranslator, **how), sizes, page, checkpoint, rate)


def main(argv: Sequence[str] | None = None) -> None:
    """Run at the size of :func:`lmcore.device.scale`."""
    checkpoint = checkpoint_of("tatoeba_transformer", argv, str(main.__doc__))
    sizes = SIZES[device.scale()]
    signature = evaluate.bleu(["een"], ["een"]).signature
    page = ledger.Page("tatoeba_transformer", config={**sizes.config(), "sacrebleu": signature})
    run(sizes, page, checkpoint)
    print(page.receipt())


if __name__ == "__main__":
    main()
