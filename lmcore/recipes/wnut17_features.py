"""Names in social-media sentences from MiniLM's vectors, which stay as they are: which layers hold what a tagger needs?

BERT's Table 7 (Devlin et al. 2019, section 5.3) with MiniLM's six layers and WNUT17's entities: a bidirectional LSTM of two
layers and a linear layer read the vectors of every word's first piece, from one of six choices of layers. The paper's LSTM is
768 wide and its entities are those of CoNLL 2003, so its figures and these are not to be compared one by one; the order may be.
What the paper leaves open, the weights of the sums, is learnt.
The vectors are computed once for all choices and kept as 16-bit numbers, and the epoch with the best F₁ on the validation part
is tested. A concatenation gives the LSTM four times as many inputs, and so more parameters::

    python -m lmcore.ledger record wnut17_features --seeds 5 --scale full --device cuda
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from lmcore import corpora, device, ledger, pretrained
from lmcore.batches import IGNORE, Batches
from lmcore.bert import CHOICES, Bert, LayerChoice, layer_features, tagging_loss
from lmcore.corpora import Tagged
from lmcore.recipes import _minilm
from lmcore.rnn import LSTM
from lmcore.train import fit, progress
from lmcore.wordpiece import WordPiece


@dataclass(frozen=True)
class Sizes:
    """The LSTM and its training. ``sentences`` is how many of each part are read, for a run that only tries."""

    hidden: int = 64
    dropout: float = 0.3
    batch_size: int = 32
    epochs: int = 4
    lr: float = 3e-3
    weight_decay: float = 0.01
    sentences: int = 10_000


SIZES = {
    "smoke": Sizes(hidden=3, batch_size=4, epochs=1, sentences=9),
    "small": Sizes(),
    "full": Sizes(hidden=384, dropout=0.5, epochs=20, lr=1e-3),
}
ROWS = dict(
    zip(
        CHOICES,
        ("embeddings", "last", "second_to_last", "weighted_sum_all", "weighted_sum_last_four", "concatenation_last_four"),
        strict=True,
    )
)
"""What the numbers of each choice are called: those of the last are ``concatenation_last_four.f1`` and so on."""


class Vectors(Batches):
    """Every layer's vectors of the words of each sentence, and their tags. Yields ``(states, lengths, tags)``.

    Args:
        states: of all words of all sentences, one after the other, layer by layer.
        tags: of each sentence.
        batch_size, shuffle, epochs, seed, device: as in :class:`lmcore.batches.Batches`.
    """

    def __init__(self, states: Float[Tensor, "N L C"], tags: Sequence[list[int]], batch_size: int, **how):
        super().__init__(batch_size, **how)
        self.states = states.to(self.device)
        self.lengths = np.array([len(row) for row in tags])
        self.starts = np.cumsum(self.lengths) - self.lengths
        self.tags = torch.tensor([tag for row in tags for tag in row], device=self.device)

    def rows(self, rng: np.random.Generator) -> np.ndarray:
        return _minilm.pooled(rng if self.shuffle else None, self.lengths, self.batch_size)

    def batch(self, rows: np.ndarray) -> tuple[Float[Tensor, "B L W C"], Int[Tensor, " B"], Int[Tensor, "B W"]]:  # type: ignore[override]
        """The vectors of some sentences, how many words these have, and the tags."""
        lengths = torch.as_tensor(self.lengths[rows], device=self.device)
        steps = torch.arange(int(self.lengths[rows].max()), device=self.device)
        inside = steps < lengths[:, None]
        at = torch.where(inside, torch.as_tensor(self.starts[rows], device=self.device)[:, None] + steps, 0)
        return self.states[at].float().transpose(1, 2), lengths, torch.where(inside, self.tags[at], IGNORE)


class FeatureTagger(nn.Module):
    """What Table 7 puts on frozen vectors: a choice of layers, an LSTM in both directions, and a linear layer.

    Args:
        choice: one of :data:`lmcore.bert.CHOICES`.
        layers: how many layers the encoder has.
        dim: C, the width of its vectors.
        hidden: width of the LSTM, in each of its two layers and directions.
        tags: K.
        dropout: of the LSTM's inputs, between its layers, and of its outputs.
    """

    def __init__(self, choice: str, layers: int, dim: int, *, hidden: int, tags: int, dropout: float):
        super().__init__()
        self.choice = LayerChoice(choice, layers)
        self.lstm = LSTM(self.choice.width(dim), hidden, 2, dropout=dropout, bidirectional=True, fused=True)
        self.dropout, self.output = nn.Dropout(dropout), nn.Linear(2 * hidden, tags)

    def forward(self, states: Float[Tensor, "B L W C"], lengths: Int[Tensor, " B"]) -> Float[Tensor, "B W K"]:
        """The logits of the tags of every word."""
        return self.output(self.dropout(self.lstm(self.dropout(self.choice(states)), None, lengths)[0]))


def features(bert: Bert, tokenizer: WordPiece, sentences: Sequence[Tagged], batch_size: int) -> Float[Tensor, "N L C"]:
    """The vectors of every layer, the embeddings first, of every word of these sentences, in 16 bits."""
    order = _minilm.pooled(None, np.array([len(sentence.tokens) for sentence in sentences]), batch_size)
    found: list[Tensor] = [torch.empty(0)] * len(sentences)
    for rows in (order[i : i + batch_size] for i in range(0, len(order), batch_size)):
        states, words = layer_features(bert, tokenizer, [sentences[row].tokens for row in rows])
        for row, vectors, count in zip(rows, states.half().cpu(), words.tolist(), strict=True):
            found[row] = vectors[:, :count].transpose(0, 1)
    return torch.cat(found)


def loss(model: nn.Module, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """The cross-entropy of the tags."""
    states, lengths, tags = batch
    return tagging_loss(model(states, lengths), tags)


@torch.no_grad()
def predicted(model: nn.Module, vectors: Vectors, names: Sequence[str]) -> list[list[str]]:
    """The most probable tag of every word."""
    model.eval()
    order = _minilm.pooled(None, vectors.lengths, vectors.batch_size)
    found: list[list[str]] = [[] for _ in order]
    for rows in (order[i : i + vectors.batch_size] for i in range(0, len(order), vectors.batch_size)):
        states, lengths, _ = vectors.batch(rows)
        best = model(states, lengths).argmax(-1)
        for row, length, tags in zip(rows, lengths.tolist(), best.tolist(), strict=True):
            found[row] = [names[tag] for tag in tags[:length]]
    return found


def run(sizes: Sizes, page: ledger.Page) -> None:
    """Log, for each of :data:`ROWS`, precision, recall and F₁ in per cent, and the learnt weights of layers.

    Raises:
        DownloadError: the sentences are not there and cannot be fetched.
        FileNotFoundError: MiniLM is not installed.
    """
    corpus = corpora.wnut17()
    encoder, tokenizer = pretrained.minilm()
    encoder.to(page.device)
    train, valid, test = (part[: sizes.sentences] for part in (corpus.train, corpus.valid, corpus.test))
    names = _minilm.tag_names(corpus.train)
    states = [features(encoder, tokenizer, part, sizes.batch_size) for part in (train, valid, test)]
    print(f"vectors of {sum(map(len, states)):,} words, {sum(part.nbytes for part in states) / 1e6:,.0f} MB", flush=True)
    epoch = -(-len(train) // sizes.batch_size)
    for choice, row in ROWS.items():
        torch.manual_seed(page.seed)
        known, *others = (
            Vectors(
                part, [[names.index(tag) for tag in sentence.tags] for sentence in sentences], sizes.batch_size,
                seed=page.seed, device=page.device,
            )
            for part, sentences in zip(states, (train, valid, test), strict=True)
        )  # fmt: skip
        model = FeatureTagger(
            choice, encoder.config.layers, encoder.config.dim, hidden=sizes.hidden, tags=len(names), dropout=sizes.dropout
        ).to(page.device)  # fmt: skip
        best, kept = -1.0, model.state_dict()
        steps = fit(
            model, known, loss, steps=sizes.epochs * epoch, lr=sizes.lr, schedule="linear", weight_decay=sizes.weight_decay,
            every=epoch, seed=page.seed,
        )  # fmt: skip
        for step in progress(steps, sizes.epochs, choice):
            f1 = _minilm.score(valid, predicted(model, others[0], names)).f1
            print(f"{choice}, epoch {step.step // epoch}: F₁ {100 * f1:.2f} on valid, {step.seconds:.0f} s", flush=True)
            if f1 > best:
                best, kept = f1, deepcopy(model.state_dict())
        model.load_state_dict(kept)
        found = _minilm.score(test, predicted(model, others[1], names))
        page.log(f"{row}.valid_f1", 100 * best)
        for kind in ("f1", "precision", "recall"):
            page.log(f"{row}.{kind}", 100 * getattr(found, kind))
        page.log(f"{row}.parameters", sum(p.numel() for p in model.parameters()))
        if model.choice.sum is not None:
            shares = model.choice.sum.shares().tolist()
            for layer, share in enumerate(shares, encoder.config.layers - len(shares) + 1):
                page.log(f"{row}.weight_{layer}", share)
        print(f"{choice}: F₁ {100 * found.f1:.2f} on test", flush=True)
    page.log("entities.test", found.spans)
    page.log("sentences.train", len(train))
    page.log("sentences.test", len(test))


def main() -> None:
    """Run at the size of :func:`lmcore.device.scale`."""
    sizes = SIZES[device.scale()]
    page = ledger.Page("wnut17_features", config=asdict(sizes))
    run(sizes, page)
    print(page.receipt())


if __name__ == "__main__":
    main()
