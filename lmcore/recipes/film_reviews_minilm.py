"""Positive or negative? Sentences of film reviews, by MiniLM, a small pre-trained BERT, from few labels and from many.

For every number of labels two classifiers are compared on the whole test part: MiniLM fine-tuned, and a linear layer on its
sentence vectors, which stay as they are. The third, the same network with random weights, says what pre-training was worth. The
labelled sentences are drawn at random with the seed. The epochs are fixed, nothing is chosen on the validation part.

All parts of the network are trained. At scale ``small`` the random network gets the largest number of labels only; scale
``full`` trains both with every number, and with all labels as well::

    python -m lmcore.ledger record film_reviews_minilm --seeds 5 --scale full --device cuda
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from lmcore import corpora, device, ledger, pretrained
from lmcore.batches import generator
from lmcore.bert import Bert, BertClassifier, classification_loss, mean_pool
from lmcore.corpora import Review
from lmcore.recipes import _minilm


@dataclass(frozen=True)
class Sizes:
    """The training. With n labels it makes about ``passes / n`` epochs, at least ``epochs`` and at most ``most_epochs``.

    ``labels`` are the numbers of labels, 0 for all; ``fresh`` those for the network with random weights. ``longest`` is in
    pieces and for training sentences only. ``test`` is how many test sentences are read, for a run that only tries.
    """

    labels: str = "64 512 2048"
    fresh: str = "2048"
    frozen: int = 0
    longest: int = 64
    batch_size: int = 16
    epochs: int = 3
    most_epochs: int = 20
    passes: int = 4_096
    lr: float = 1e-4
    fresh_lr: float = 3e-4
    weight_decay: float = 0.01
    test: int = 10_000

    def epochs_of(self, labels: int) -> int:
        """How many epochs this number of labels gets."""
        return min(max(self.epochs, self.passes // labels), self.most_epochs)


SIZES = {
    "smoke": Sizes(labels="4 9", fresh="9", frozen=5, batch_size=4, passes=9, test=13),
    "small": Sizes(),
    "full": Sizes(
        labels="64 512 2048 0", fresh="64 512 2048 0", longest=128, passes=6_144, lr=5e-5, fresh_lr=1e-4,
    ),
}  # fmt: skip


def run(sizes: Sizes, page: ledger.Page) -> None:
    """Log the accuracies in per cent: ``tuned.64.accuracy``, ``frozen.64.accuracy``, …, ``fresh.2048.accuracy``.

    Raises:
        DownloadError: the reviews are not there and cannot be fetched.
        FileNotFoundError: MiniLM is not installed.
    """
    reviews = corpora.film_reviews()
    encoder, tokenizer = pretrained.minilm()
    test = reviews.test[: sizes.test]
    order = generator(page.seed, 0).permutation(len(reviews.train))
    wanted = [int(n) or len(order) for n in sizes.labels.split()]
    fresh = [int(n) or len(order) for n in sizes.fresh.split()]

    def examples(part: Sequence[Review], longest: int | None) -> _minilm.Examples:
        texts = [_minilm.pieces(tokenizer, review.text, longest) for review in part]
        return _minilm.Examples(texts, [review.label for review in part], sizes.batch_size, seed=page.seed, device=page.device)

    def labelled(n: int) -> list[Review]:
        return [reviews.train[i] for i in order[:n]]

    unseen = examples(test, encoder.config.max_length)
    right = np.array([review.label for review in test])
    known = labelled(max(wanted))
    vectors = [sentence_vectors(encoder.to(page.device), part) for part in (examples(known, sizes.longest), unseen)]
    for n in wanted:
        probe = LogisticRegression(max_iter=2_000).fit(vectors[0][:n], [review.label for review in known[:n]])
        say(page, f"frozen.{n}.accuracy", 100 * np.mean(probe.predict(vectors[1]) == right))

    for kind, numbers in (("tuned", wanted), ("fresh", fresh)):
        for n in numbers:
            torch.manual_seed(page.seed)
            bert = deepcopy(encoder) if kind == "tuned" else Bert(encoder.config)
            _minilm.freeze(bert, sizes.frozen if kind == "tuned" else 0)
            model = BertClassifier(bert, 2).to(page.device)
            _minilm.train(
                model, examples(labelled(n), sizes.longest), loss, epochs=sizes.epochs_of(n),
                lr=sizes.lr if kind == "tuned" else sizes.fresh_lr, weight_decay=sizes.weight_decay, seed=page.seed,
                label=f"{kind}, {n} labels",
            )  # fmt: skip
            found = sum(int(logits.argmax()) == right[row] for row, logits in _minilm.outputs(model.eval(), unseen))
            say(page, f"{kind}.{n}.accuracy", 100 * found / len(right))
            page.log(f"{kind}.parameters", sum(p.numel() for p in model.parameters() if p.requires_grad))
    for n in wanted:
        page.log(f"epochs.{n}", sizes.epochs_of(n))
    page.log("sentences.train", len(order))
    page.log("sentences.test", len(test))


def loss(model: nn.Module, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """The cross-entropy of the labels."""
    ids, lengths, labels = batch
    return classification_loss(model(ids, lengths), labels)


def sentence_vectors(encoder: Bert, texts: _minilm.Examples) -> np.ndarray:
    """MiniLM's vectors of whole sentences: the mean over the tokens, scaled to length 1."""
    found = np.zeros((len(texts), encoder.config.dim), dtype=np.float32)
    for row, states in _minilm.outputs(encoder.eval(), texts):
        vector = mean_pool(states[None], torch.tensor([len(states)]))[0]
        found[row] = (vector / vector.norm()).numpy()
    return found


def say(page: ledger.Page, name: str, value: float) -> None:
    """Log a number and print it."""
    print(f"{name}: {page.log(name, value):.2f} %", flush=True)


def main() -> None:
    """Run at the size of :func:`lmcore.device.scale`."""
    sizes = SIZES[device.scale()]
    page = ledger.Page("film_reviews_minilm", config=asdict(sizes))
    run(sizes, page)
    print(page.receipt())


if __name__ == "__main__":
    main()
