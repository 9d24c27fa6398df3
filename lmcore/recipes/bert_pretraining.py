"""Pre-train a BERT on real text: which word was hidden, and does the second sentence follow the first?

The Python manual is always there: topics are documents, and every tenth is held out, less the paragraphs that the others have
too. Scale ``full`` adds what is there of tiny Shakespeare, in documents as well, and of the sentences of film reviews, captions
(Multi30k) and Tatoeba's English, which have no neighbours: of these the model only learns words. The pieces are learnt
(WordPiece) from the training texts.

In training more pieces are hidden than in the paper (``rate``; Wettig et al. 2023, https://arxiv.org/abs/2202.08005), so that
every text teaches more; in the test 15 %. The measure is bits per hidden piece on held-out text, over all pieces that the noise
chose; beside it what the frequencies of the pieces alone would give. At scale ``full``, on a GPU::

    LMCORE_CHECKPOINTS=checkpoints python -m lmcore.ledger record bert_pretraining --seeds 3 --scale full --device cuda

With ``LMCORE_CHECKPOINTS`` or ``--checkpoint`` the training is kept in a file as it goes, and a run that was killed goes on
from there; on a CPU it ends with the same numbers, bit for bit, as one that was not.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lmcore import corpora, device, evaluate, ledger
from lmcore.batches import IGNORE
from lmcore.bert import BertConfig, BertPretraining, MaskedBatch, MaskedTexts, SentencePairs, measure, pretrain
from lmcore.recipes._translation import checkpoint_of
from lmcore.train import progress
from lmcore.wordpiece import WordPiece
from lmcore.world.noise import MaskingNoise

Parts = dict[str, tuple[list[Any], list[Any]]]  # of each source, what is learnt from and what is held out
SINGLE = ("film_reviews", "multi30k", "tatoeba")
SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[^a-z\s])")


@dataclass(frozen=True)
class Sizes:
    """The model and its training.

    ``least`` is the fewest words of a "sentence": shorter ones are joined with the next. ``std`` is of the first weights: a
    narrow model wants larger ones than the 0.02 of the paper. ``rate`` is the share of pieces that are hidden in training.
    """

    more: bool = False
    vocabulary: int = 2_000
    least: int = 10
    longest: int = 64
    dim: int = 128
    heads: int = 4
    layers: int = 2
    hidden: int = 512
    dropout: float = 0.1
    std: float = 0.06
    rate: float = 0.4
    batch_size: int = 16
    steps: int = 6_000
    lr: float = 2e-3
    save_every: int = 500


SIZES = {
    "smoke": Sizes(vocabulary=500, longest=16, dim=8, heads=2, layers=1, hidden=9, batch_size=4, steps=6, save_every=2),
    "small": Sizes(),
    "full": Sizes(
        more=True, vocabulary=8_000, longest=128, dim=384, heads=6, layers=6, hidden=1_536, std=0.04,
        batch_size=256, steps=20_000, lr=5e-4, save_every=1_000,
    ),
}  # fmt: skip


def sentences(paragraphs: Iterable[str], least: int) -> list[str]:
    """A document as its sentences, those of fewer than ``least`` words joined with what follows."""
    found, begun = [], ""
    for paragraph in paragraphs:
        for sentence in SENTENCE_END.split(" ".join(paragraph.split())):
            begun = f"{begun} {sentence}".strip()
            if len(begun.split()) >= least:
                found.append(begun)
                begun = ""
    return [*found, begun] if begun else found


def documents(whole: Sequence[Sequence[str]], least: int) -> tuple[list[list[str]], list[list[str]]]:
    """Documents, given as paragraphs, to learn from, and every tenth to test, without the paragraphs that the others have."""
    known = [[*dict.fromkeys(paragraphs)] for i, paragraphs in enumerate(whole) if i % 10]
    seen = {paragraph for paragraphs in known for paragraph in paragraphs}
    new = [[paragraph for paragraph in paragraphs if paragraph not in seen] for paragraphs in whole[::10]]
    return tuple([sentences(document, least) for document in part] for part in (known, new))  # type: ignore[return-value]


def read(sizes: Sizes, page: ledger.Page) -> tuple[Parts, Parts]:
    """The sources in documents, and those in single sentences; what is not downloaded is left out, and the page says so."""
    manual = [topic.split("\n\n") for topic in corpora.manual_topics().values()]
    paired: Parts = {"manual": documents(manual, sizes.least)}
    single: Parts = {}
    for name in ("tiny_shakespeare", *SINGLE) if sizes.more else ():
        if not corpora.available(name):
            page.skip(f"{name}.bits", f"{name} is not downloaded")
        elif name == "tiny_shakespeare":
            speeches = corpora.tiny_shakespeare().split("\n\n")
            paired[name] = documents([speeches[i : i + 40] for i in range(0, len(speeches), 40)], sizes.least)
        else:
            corpus = corpora.load(name)
            single[name] = tuple([*dict.fromkeys(item[0] for item in part)] for part in (corpus.train, corpus.test))  # type: ignore[assignment]
    return paired, single


class Mixed:
    """Batches from several streams in turn, each as often as its share; a resumed mixture goes on as it would have gone."""

    def __init__(self, streams: Sequence[MaskedTexts | SentencePairs], shares: Sequence[int]):
        self.streams, self.shares, self.taken = streams, shares, [0] * len(streams)

    def __iter__(self) -> "Mixed":
        return self

    def __next__(self) -> MaskedBatch:
        i = min(range(len(self.streams)), key=lambda i: (self.taken[i] + 1) / self.shares[i])
        self.taken[i] += 1
        return next(self.streams[i])  # type: ignore[return-value]

    def state_dict(self) -> dict[str, Any]:
        """Where every stream stands, and how many batches came from each."""
        return {"taken": list(self.taken), "streams": [stream.state_dict() for stream in self.streams]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.taken = list(state["taken"])
        for stream, own in zip(self.streams, state["streams"], strict=True):
            stream.load_state_dict(own)


def unigram_bits(counts: np.ndarray, batches: Iterable[MaskedBatch]) -> float:
    """Bits per hidden piece of a model that knows how often every piece occurs, and nothing else (add-one smoothing)."""
    bits = -np.log2((counts + 1) / (counts + 1).sum())
    found = [bits[batch.targets[batch.targets != IGNORE].cpu().numpy()] for batch in batches]
    return float(np.concatenate(found).mean())


def run(sizes: Sizes, page: ledger.Page, checkpoint: Path | None = None) -> None:
    """Pre-train, and log for every source bits per hidden piece, those of the frequencies, and how often the model is right.

    Raises:
        ValueError: the checkpoint belongs to another run.
    """
    paired, single = read(sizes, page)
    whole = [document for part, _ in paired.values() for document in part]
    loose = [text for part, _ in single.values() for text in part]
    tokenizer = WordPiece.train("\n".join([*map("\n".join, whole), *loose]), sizes.vocabulary)
    how: dict[str, Any] = {"tokenizer": tokenizer, "longest": sizes.longest, "device": page.device}
    noise = MaskingNoise(rate=sizes.rate)
    pairs = SentencePairs(whole, sizes.batch_size, seed=page.seed, noise=noise, **how)
    streams: list[MaskedTexts | SentencePairs] = [pairs]
    ids = list(pairs.sentences)
    if loose:
        texts = MaskedTexts(loose, sizes.batch_size, seed=page.seed + 1, noise=noise, **how)
        streams.append(texts)
        ids += texts.texts
    counts = np.bincount(np.concatenate(ids), minlength=len(tokenizer))
    page.log("vocabulary", len(tokenizer))
    page.log("pieces.train", int(counts.sum()))
    print(f"{counts.sum():,} pieces of {len(tokenizer):,} kinds to learn from", flush=True)

    torch.manual_seed(page.seed)
    config = BertConfig(
        len(tokenizer), dim=sizes.dim, heads=sizes.heads, layers=sizes.layers, hidden=sizes.hidden, max_length=sizes.longest,
        dropout=sizes.dropout, std=sizes.std,
    )  # fmt: skip
    model = BertPretraining(config).to(page.device)
    page.log("parameters", sum(parameter.numel() for parameter in model.parameters()))
    running = pretrain(
        model, Mixed(streams, [len(pairs.sentences), len(loose)][: len(streams)]), steps=sizes.steps, lr=sizes.lr,
        every=sizes.save_every, seed=page.seed, checkpoint=checkpoint, save_every=sizes.save_every if checkpoint else None,
    )  # fmt: skip
    began = sizes.steps
    for step in progress(running, sizes.steps):
        began = min(began, step.step - sizes.save_every)
        print(f"step {step.step:,} of {sizes.steps:,}: loss {step.loss:.3f} nats, {step.seconds:.0f} s", flush=True)
    page.log("resumed.step", max(0, began))

    for name, (_, new) in {**paired, **single}.items():
        kind: Any = SentencePairs if name in paired else MaskedTexts
        held = [kind(new, sizes.batch_size, shuffle=False, epochs=1, **how) for _ in range(2)]  # the same pieces are hidden
        found = measure(model, held[0])
        bits = page.log(f"{name}.bits", evaluate.bits(found.loss))
        alone = page.log(f"{name}.unigram_bits", unigram_bits(counts, held[1]))
        page.log(f"{name}.accuracy", 100 * found.accuracy)
        page.log(f"{name}.hidden_pieces", found.places)
        if found.pairs:
            page.log(f"{name}.next_accuracy", 100 * found.next_accuracy)
            page.log(f"{name}.pairs", found.pairs)
        print(f"{name}: {bits:.3f} bits per hidden piece, {alone:.3f} by frequency alone", flush=True)


def main(argv: Sequence[str] | None = None) -> None:
    """Run at the size of :func:`lmcore.device.scale`."""
    checkpoint = checkpoint_of("bert_pretraining", argv, str(main.__doc__))
    sizes = SIZES[device.scale()]
    page = ledger.Page("bert_pretraining", config=asdict(sizes))
    run(sizes, page, checkpoint)
    print(page.receipt())


if __name__ == "__main__":
    main()
