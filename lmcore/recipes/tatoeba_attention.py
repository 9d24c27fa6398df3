"""English to Dutch on real sentences: the LSTM encoder–decoder of the recipe ``tatoeba``, and it may look back.

The decoder attends to the encoder's states (Bahdanau et al. 2015). Attention needs parameters of its own, so the states are
narrower than in ``tatoeba``, and the two models are equally large. All else is as there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from lmcore import device, evaluate, ledger
from lmcore.recipes import _tatoeba
from lmcore.recipes._translation import Plan, checkpoint_of
from lmcore.seq2seq import Seq2Seq


@dataclass(frozen=True)
class Sizes(Plan):
    """The model and its training; the learning rate falls linearly to zero."""

    vocabulary: int = 3_000
    dim: int = 128
    hidden: int = 210
    layers: int = 1
    reverse: bool = True
    dropout: float = 0.3
    epochs: int = 7
    lr: float = 4e-3


SIZES = {
    "smoke": Sizes(vocabulary=300, dim=5, hidden=7, epochs=1, train=640, test=20, beam=2),
    "small": Sizes(),
    "full": Sizes(vocabulary=6_000, dim=512, hidden=908, layers=2, batch_size=64, epochs=12, lr=1e-3),
}


def run(sizes: Sizes, page: ledger.Page, checkpoint: Path | None = None) -> None:
    """Train, and log BLEU (of all test sentences and by length), bits per token and bits per character.

    Raises:
        DownloadError: the sentences are not there and cannot be fetched.
        ValueError: the checkpoint belongs to another run.
    """
    how: dict[str, Any] = {"layers": sizes.layers, "reverse": sizes.reverse, "dropout": sizes.dropout, "attention": True}
    _tatoeba.run(partial(Seq2Seq, dim=sizes.dim, hidden=sizes.hidden, **how), sizes, page, checkpoint)


def main(argv: Sequence[str] | None = None) -> None:
    """Run at the size of :func:`lmcore.device.scale`."""
    checkpoint = checkpoint_of("tatoeba_attention", argv, str(main.__doc__))
    sizes = SIZES[device.scale()]
    signature = evaluate.bleu(["een"], ["een"]).signature
    page = ledger.Page("tatoeba_attention", config={**sizes.config(), "attention": True, "sacrebleu": signature})
    run(sizes, page, checkpoint)
    print(page.receipt())


if __name__ == "__main__":
    main()
