"""Positive or negative? Sentences of film reviews, classified by a bidirectional LSTM without pretrained vectors.

The epoch with the best accuracy on the validation part is the one that is tested. Beside it stands a bag of words: the mean of
the word vectors and a linear layer, trained alike, which cannot see the order.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from lmcore import END, PAD, START, UNK, corpora, device, ledger
from lmcore.batches import Padded
from lmcore.corpora import Review
from lmcore.recurrent import RecurrentClassifier
from lmcore.tokenizer import WordTokenizer
from lmcore.train import fit, progress


@dataclass(frozen=True)
class Sizes:
    """The model and its training; the learning rate falls linearly to zero.

    ``forget`` is the share of words that a training step reads as ``<unk>``, so that no single word decides.
    """

    dim: int = 128
    hidden: int = 128
    dropout: float = 0.5
    forget: float = 0.2
    min_count: int = 2
    batch_size: int = 32
    epochs: int = 7
    lr: float = 1e-3
    bag_lr: float = 5e-3
    weight_decay: float = 0.01


SIZES = {"smoke": Sizes(dim=4, hidden=3, epochs=1, batch_size=512), "small": Sizes(), "full": Sizes(dim=256, hidden=256)}


class Labelled(Padded):
    """Padded texts with a label each. Yields ``(ids, lengths, labels)``."""

    def __init__(self, texts: Sequence[Sequence[int]], labels: Sequence[int], batch_size: int, **how):
        super().__init__(texts, batch_size, **how)
        self.labels = torch.tensor(labels, device=self.device)

    def batch(self, rows: np.ndarray) -> tuple[Int[Tensor, "B T"], Int[Tensor, " B"], Int[Tensor, " B"]]:  # type: ignore[override]
        """⟨start⟩ and the words of some texts, how many these are, and the labels."""
        padded = super().batch(rows)
        return padded.inputs, padded.lengths, self.labels[torch.as_tensor(rows, device=self.device)]


class Bag(nn.Module):
    """The mean of the word vectors, and a linear layer on it."""

    def __init__(self, vocab_size: int, dim: int, classes: int, dropout: float):
        super().__init__()
        self.embedding, self.dropout, self.output = nn.Embedding(vocab_size, dim), nn.Dropout(dropout), nn.Linear(dim, classes)
        nn.init.normal_(self.embedding.weight, std=dim**-0.5)

    def forward(self, ids: Int[Tensor, "B T"], lengths: Int[Tensor, " B"]) -> Float[Tensor, "B K"]:
        """The logits of the classes."""
        real = torch.arange(ids.shape[1], device=ids.device) < lengths[:, None]
        vectors = self.dropout(self.embedding(ids)).masked_fill(~real[..., None], 0)
        return self.output(self.dropout(vectors.sum(1) / lengths[:, None]))


def run(sizes: Sizes, page: ledger.Page) -> None:
    """Train both models and log their accuracy in per cent.

    Raises:
        DownloadError: the reviews are not there and cannot be fetched.
    """
    reviews = corpora.film_reviews()
    tokenizer = WordTokenizer.train(
        "\n".join(review.text for review in reviews.train),
        special=(PAD, UNK, START, END),
        pattern=r"\S+",
        min_count=sizes.min_count,
    )
    pad, unk, start, end = (tokenizer.number[token] for token in (PAD, UNK, START, END))

    def batches(part: Sequence[Review], **how) -> Labelled:
        texts, labels = [tokenizer.encode(review.text) for review in part], [review.label for review in part]
        return Labelled(texts, labels, sizes.batch_size, pad=pad, start=start, end=end, device=page.device, **how)

    def loss(model: nn.Module, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        ids, lengths, labels = batch
        forgotten = (torch.rand(ids.shape, device=ids.device) < sizes.forget) & (ids != pad)
        return F.cross_entropy(model(ids.masked_fill(forgotten, unk), lengths), labels)

    @torch.no_grad()
    def accuracy(model: nn.Module, part: Sequence[Review]) -> float:
        model.eval()
        right = [model(ids, lengths).argmax(1) == labels for ids, lengths, labels in batches(part, shuffle=False, epochs=1)]
        return 100 * torch.cat(right).double().mean().item()

    recurrent = RecurrentClassifier(
        len(tokenizer), sizes.dim, sizes.hidden, 2, bidirectional=True, dropout=sizes.dropout, pool="max"
    )
    bag = Bag(len(tokenizer), sizes.dim, 2, sizes.dropout)
    epoch = -(-len(reviews.train) // sizes.batch_size)
    for name, model, lr in (("bag", bag, sizes.bag_lr), ("test", recurrent, sizes.lr)):
        model.to(page.device)
        best, kept = -1.0, model.state_dict()
        steps = fit(
            model, batches(reviews.train, seed=page.seed), loss, steps=sizes.epochs * epoch, lr=lr, schedule="linear",
            weight_decay=sizes.weight_decay, every=epoch,
        )  # fmt: skip
        for step in progress(steps, sizes.epochs, type(model).__name__):
            valid = accuracy(model, reviews.valid)
            print(f"{type(model).__name__}, step {step.step:,}: {valid:.2f} % on valid, {step.seconds:.0f} s", flush=True)
            if valid > best:
                best, kept = valid, deepcopy(model.state_dict())
        model.load_state_dict(kept)
        page.log("valid.accuracy" if name == "test" else "bag.valid", best)
        page.log(f"{name}.accuracy", accuracy(model, reviews.test))
    page.log("vocabulary", len(tokenizer))
    page.log("sentences.train", len(reviews.train))
    page.log("sentences.test", len(reviews.test))


def main() -> None:
    """Run at the size of :func:`lmcore.device.scale`."""
    sizes = SIZES[device.scale()]
    page = ledger.Page("film_reviews", config=asdict(sizes))
    run(sizes, page)
    print(page.receipt())


if __name__ == "__main__":
    main()
