"""German to English on descriptions of photographs: a Transformer of 9 million parameters on Multi30k.

Both languages are cut by one byte-level BPE. The learning rate is that of Vaswani et al. (2017), with its warm-up; labels are
smoothed; at the end the parameters of the last epochs are averaged, if that predicts the validation part better.

BLEU is reported twice for each search, because numbers from different tokenisations cannot be compared:

``bleu``
    sacrebleu's standard: the text as it is, in its upper and lower case, cut by its tokenizer ``13a``. The signature is in the
    configuration.
``bleu_lowercased``
    everything in lower case and cut into words by :data:`WORD`, then BLEU over these words. The 36.09 of a well-known tutorial
    (https://github.com/bentrevett/pytorch-seq2seq, notebook 6 at commit 041994c, a Transformer of this size) was counted in
    such a way: ``torchtext.data.metrics.bleu_score`` over the lower-cased tokens of spaCy's English tokenizer. The pattern does
    in the main what spaCy's rules do with such texts (marks and hyphens stand alone, *isn't* is *is n't*, *man's* is *man 's*).
    It is not spaCy: the two numbers are close relatives and not the same measure.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmcore import corpora, device, evaluate, ledger
from lmcore.corpora import Pair
from lmcore.recipes._translation import Languages, Plan, checkpoint_of, learn, score
from lmcore.schedules import vaswani_rate
from lmcore.transformer import TransformerTranslator

BUCKETS = ((1, 8), (9, 11), (12, 14), (15, 99))  # words of the German sentence
WORD = re.compile(r"n't\b|'(?:s|m|d|re|ve|ll)\b|[^\W\d_]+?(?=n't\b)|\d+(?:[.,:]\d+)*|[^\W\d_]+|\S")


@dataclass(frozen=True)
class Sizes(Plan):
    """The model; its learning rate is ``lr`` times that of Vaswani et al."""

    dim: int = 256
    heads: int = 8
    layers: int = 3
    hidden: int = 512
    dropout: float = 0.2


VASWANI: dict[str, Any] = {"schedule": "inverse_sqrt", "label_smoothing": 0.1}
SIZES = {
    "smoke": Sizes(
        vocabulary=300, dim=8, heads=2, layers=1, hidden=7, epochs=2, lr=1.0, warmup=3, average=2, train=300, test=20, beam=2,
        **VASWANI,
    ),
    "small": Sizes(vocabulary=10_000, epochs=12, lr=0.8, warmup=700, average=4, **VASWANI),
    "full": Sizes(vocabulary=10_000, epochs=40, lr=1.0, warmup=2_000, average=10, dropout=0.3, **VASWANI),
}  # fmt: skip


def words(text: str) -> str:
    """The text in lower case, its words and marks separated by spaces; see the head of this file."""
    return " ".join(WORD.findall(text.lower().replace("’", "'")))


def german_to_english(pairs: Sequence[Pair]) -> list[Pair]:
    """The pairs of the corpus, which are English and German, with German as the source."""
    return [Pair(german, english) for english, german in pairs]


def run(sizes: Sizes, page: ledger.Page, checkpoint: Path | None = None) -> None:
    """Train, and log BLEU (of the whole test part and by length), bits per token and bits per character.

    Raises:
        DownloadError: the sentences are not there and cannot be fetched.
        ValueError: the checkpoint belongs to another run.
    """
    corpus = corpora.multi30k()
    train = german_to_english(corpus.train[: sizes.train])
    valid, test = german_to_english(corpus.valid[: sizes.test]), german_to_english(corpus.test[: sizes.test])
    languages = Languages.learn(train, sizes.vocabulary, page.device, sizes.batch_size, shared=True)
    model = TransformerTranslator(
        *languages.sizes, sizes.dim, sizes.heads, sizes.layers, hidden=sizes.hidden, dropout=sizes.dropout
    ).to(page.device)
    learn(model, languages, train, valid, sizes, page, checkpoint, lr=sizes.lr * vaswani_rate(sizes.dim, sizes.warmup))

    sources, references = zip(*test, strict=True)

    def lowercased(name: str, texts: list[str]) -> None:
        found = evaluate.bleu([words(t) for t in texts], [words(t) for t in references], lowercase=True, tokenize="none")
        print(f"{name}: BLEU of lower-case words {page.log(f'{name}.bleu_lowercased', found.score):.2f}", flush=True)

    score(model, languages, test, page, sizes, sources, references, BUCKETS, lowercased)
    page.log("sentences.train", len(train))


def main(argv: Sequence[str] | None = None) -> None:
    """Run at the size of :func:`lmcore.device.scale`."""
    checkpoint = checkpoint_of("multi30k", argv, str(main.__doc__))
    sizes = SIZES[device.scale()]
    signatures = {
        "sacrebleu": evaluate.bleu(["a"], ["a"]).signature,
        "sacrebleu_lowercased": evaluate.bleu(["a"], ["a"], lowercase=True, tokenize="none").signature,
    }
    page = ledger.Page("multi30k", config={**sizes.config(), **signatures})
    run(sizes, page, checkpoint)
    print(page.receipt())


if __name__ == "__main__":
    main()
