"""What the recipes with MiniLM share: texts and tagged words as its pieces, batches of about equal length, and the training.

A word of several pieces is tagged at its first one, as Devlin et al. (2019, section 5.3) do it.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor, nn

from lmcore import evaluate
from lmcore.batches import IGNORE, Batches
from lmcore.bert import Bert
from lmcore.bert.masking import in_pools
from lmcore.corpora import Tagged
from lmcore.pairs import Ragged
from lmcore.train import Loss, fit, progress
from lmcore.wordpiece import WordPiece

POOL = 50  # so many batches are sorted by length together


class Words(NamedTuple):
    """A sentence between [CLS] and [SEP], and where the first piece of each of its words stands."""

    ids: list[int]
    first: list[int]


def pieces(tokenizer: WordPiece, text: str, longest: int | None = None) -> list[int]:
    """The ids of a text between [CLS] and [SEP], cut to ``longest`` of them, the two included."""
    body = tokenizer.encode(text, special=False)
    cls, sep = tokenizer.number["[CLS]"], tokenizer.number["[SEP]"]
    return [cls, *(body if longest is None else body[: longest - 2]), sep]


def words(tokenizer: WordPiece, tokens: Sequence[str], longest: int | None = None) -> Words:
    """The pieces of these words; a word without pieces is [UNK]. A sentence that is cut lacks the words at its end."""
    ids, first = [tokenizer.number["[CLS]"]], []
    for token in tokens:
        piece = tokenizer.encode(token, special=False) or [tokenizer.number["[UNK]"]]
        if longest is not None and len(ids) + len(piece) >= longest:
            break
        first.append(len(ids))
        ids += piece
    return Words([*ids, tokenizer.number["[SEP]"]], first)


def tag_names(sentences: Sequence[Tagged]) -> list[str]:
    """Every tag that occurs, O first."""
    return ["O", *sorted({tag for sentence in sentences for tag in sentence.tags} - {"O"})]


def pooled(rng: np.random.Generator | None, lengths: Int[np.ndarray, " N"], batch_size: int) -> Int[np.ndarray, " N"]:
    """An order in which the texts of a batch are about equally long; random, or by length where no ``rng`` is given."""
    return np.argsort(lengths, kind="stable") if rng is None else in_pools(lengths, batch_size, POOL, rng)


class Examples(Batches):
    """Texts with their targets, in batches of about equal length. Yields ``(ids, lengths, targets)``.

    Args:
        texts: the ids of each text.
        targets: for each text either one label, or one tag per id (:data:`lmcore.batches.IGNORE` where there is none).
        batch_size, shuffle, epochs, seed, device: as in :class:`lmcore.batches.Batches`.
    """

    def __init__(self, texts: Sequence[list[int]], targets: Sequence[int] | Sequence[list[int]], batch_size: int, **how):
        super().__init__(batch_size, **how)
        self.texts = Ragged([np.array(text) for text in texts], self.device)
        self.tags = None if isinstance(targets[0], int) else Ragged([np.array(tags) for tags in targets], self.device)
        self.labels = torch.tensor(targets, device=self.device) if self.tags is None else None

    def __len__(self) -> int:
        """The number of texts."""
        return len(self.texts.lengths)

    def rows(self, rng: np.random.Generator) -> np.ndarray:
        return pooled(rng if self.shuffle else None, self.texts.lengths, self.batch_size)

    def batch(self, rows: np.ndarray) -> tuple[Int[Tensor, "B T"], Int[Tensor, " B"], Tensor]:  # type: ignore[override]
        """The ids of some texts, how many these are, and the targets."""
        ids, lengths = self.texts.padded(rows, 0)  # 0 is [PAD], which nobody looks at
        if self.labels is not None:
            return ids, lengths, self.labels[torch.as_tensor(rows, device=self.device)]
        assert self.tags is not None
        return ids, lengths, self.tags.padded(rows, IGNORE)[0]


def tagged(
    tokenizer: WordPiece, sentences: Sequence[Tagged], names: Sequence[str], batch_size: int, longest: int | None, **how
) -> tuple[Examples, list[list[int]]]:
    """Sentences as :class:`Examples` for a tagger, and where the first pieces of their words stand."""
    number = {name: i for i, name in enumerate(names)}
    cut = [words(tokenizer, sentence.tokens, longest) for sentence in sentences]
    targets = []
    for sentence, (ids, first) in zip(sentences, cut, strict=True):
        row = [IGNORE] * len(ids)
        for place, tag in zip(first, sentence.tags, strict=False):  # words that were cut off have no place
            row[place] = number[tag]
        targets.append(row)
    return Examples([ids for ids, _ in cut], targets, batch_size, **how), [first for _, first in cut]


def freeze(bert: Bert, layers: int) -> None:
    """Keep the embeddings and the first ``layers`` layers as they are: training changes the others. With 0, nothing is kept."""
    if layers:
        for part in (bert.tokens, bert.positions, bert.segments, bert.norm, *bert.layers[:layers]):
            part.requires_grad_(False)


def outputs(model: Callable[[Tensor, Tensor], Tensor], examples: Examples) -> Iterator[tuple[int, Tensor]]:
    """The number of every text, and what ``model(ids, lengths)`` says of it; of one output per token those of real tokens."""
    order = pooled(None, examples.texts.lengths, examples.batch_size)
    for rows in (order[i : i + examples.batch_size] for i in range(0, len(order), examples.batch_size)):
        ids, lengths, _ = examples.batch(rows)
        with torch.no_grad():
            found = model(ids, lengths).float().cpu()
        for row, length, output in zip(rows, lengths.tolist(), found, strict=True):
            yield int(row), output if output.ndim == 1 else output[:length]


def train(
    model: nn.Module, examples: Examples, loss: Loss, *, epochs: int, lr: float, weight_decay: float, seed: int, label: str
) -> None:
    """Train for so many passes over the examples; the rate climbs for a tenth of the steps, and falls to zero."""
    epoch = -(-len(examples) // examples.batch_size)
    steps = epochs * epoch
    running = fit(
        model, examples, loss, steps=steps, lr=lr, schedule="linear", warmup=steps // 10, weight_decay=weight_decay,
        every=epoch, seed=seed,
    )  # fmt: skip
    for step in progress(running, steps, label):
        print(f"{label}: epoch {step.step // epoch} of {epochs}, loss {step.loss:.4f}, {step.seconds:.0f} s", flush=True)


def predicted_tags(model: nn.Module, examples: Examples, first: Sequence[list[int]], names: Sequence[str]) -> list[list[str]]:
    """The most probable tag of every word."""
    found: list[list[str]] = [[] for _ in first]
    for row, logits in outputs(model.eval(), examples):
        found[row] = [names[i] for i in logits[first[row]].argmax(-1).tolist()]
    return found


def score(sentences: Sequence[Tagged], tags: Sequence[list[str]]) -> evaluate.SpanScore:
    """Precision, recall and F₁ of whole entities, as ``conlleval`` counts them. Words that were cut off count as O."""
    whole = [[*row, *["O"] * (len(sentence.tokens) - len(row))] for sentence, row in zip(sentences, tags, strict=True)]
    return evaluate.span_f1([sentence.tags for sentence in sentences], whole)
