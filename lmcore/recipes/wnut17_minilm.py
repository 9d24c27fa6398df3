"""Names in social-media sentences: MiniLM, a small pre-trained BERT, fine-tuned as a tagger on WNUT17.

The test sentences hold names that the training sentences do not (Derczynski et al. 2017, https://aclanthology.org/W17-4418).
A word of several pieces is tagged at its first one; F₁ is over whole entities of all six kinds. The epochs are fixed, nothing
is chosen on the validation part. The whole network is trained; scale ``full`` reads longer sentences for more epochs::

    python -m lmcore.ledger record wnut17_minilm --seeds 5 --scale full --device cuda
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from torch import Tensor, nn

from lmcore import corpora, device, ledger, pretrained
from lmcore.bert import BertTagger, tagging_loss
from lmcore.corpora import Tagged
from lmcore.recipes import _minilm


@dataclass(frozen=True)
class Sizes:
    """The training. ``longest`` is in pieces and for training sentences only; ``sentences`` is for a run that only tries."""

    frozen: int = 0
    longest: int = 64
    batch_size: int = 16
    epochs: int = 4
    lr: float = 1e-4
    weight_decay: float = 0.01
    sentences: int = 10_000


SIZES = {
    "smoke": Sizes(frozen=5, batch_size=4, epochs=1, sentences=12),
    "small": Sizes(),
    "full": Sizes(longest=128, epochs=6),
}


def run(sizes: Sizes, page: ledger.Page) -> None:
    """Fine-tune, and log precision, recall and F₁ in per cent, on the validation and the test part.

    Raises:
        DownloadError: the sentences are not there and cannot be fetched.
        FileNotFoundError: MiniLM is not installed.
    """
    corpus = corpora.wnut17()
    encoder, tokenizer = pretrained.minilm()
    train, *parts = (part[: sizes.sentences] for part in (corpus.train, corpus.valid, corpus.test))
    names = _minilm.tag_names(corpus.train)
    _minilm.freeze(encoder, sizes.frozen)
    model = BertTagger(encoder, len(names)).to(page.device)

    def loss(model: nn.Module, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        ids, lengths, tags = batch
        return tagging_loss(model(ids, lengths), tags)

    def examples(part: Sequence[Tagged], longest: int | None, **how) -> tuple[_minilm.Examples, list[list[int]]]:
        return _minilm.tagged(tokenizer, part, names, sizes.batch_size, longest, device=page.device, **how)

    known, _ = examples(train, sizes.longest, seed=page.seed)
    _minilm.train(
        model, known, loss, epochs=sizes.epochs, lr=sizes.lr, weight_decay=sizes.weight_decay, seed=page.seed, label="tagger"
    )
    for name, part in zip(("valid", "test"), parts, strict=True):
        found = _minilm.score(part, _minilm.predicted_tags(model, *examples(part, encoder.config.max_length), names))
        for kind in ("precision", "recall", "f1"):
            page.log(f"{name}.{kind}", 100 * getattr(found, kind))
        print(f"{name}: F₁ {100 * found.f1:.2f} over {found.spans} entities", flush=True)
        page.log(f"entities.{name}", found.spans)
        page.log(f"sentences.{name}", len(part))
    page.log("sentences.train", len(train))
    page.log("parameters.trained", sum(p.numel() for p in model.parameters() if p.requires_grad))
    page.log("parameters", sum(p.numel() for p in model.parameters()))


def main() -> None:
    """Run at the size of :func:`lmcore.device.scale`."""
    sizes = SIZES[device.scale()]
    page = ledger.Page("wnut17_minilm", config=asdict(sizes))
    run(sizes, page)
    print(page.receipt())


if __name__ == "__main__":
    main()
