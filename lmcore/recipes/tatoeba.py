"""English to Dutch on real sentences: an LSTM encoder–decoder on Tatoeba, with or without attention.

Both languages are cut into byte-level BPE tokens, so no word is unknown and a translation is plain text again. The English
sentences of the test part are translated once each. BLEU counts against one reference, the first that the corpus lists; beside
it stands BLEU against all references there are. (A sentence with fewer references than another repeats its own: that changes
nothing in BLEU.)
"""

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lmcore import END, START, corpora, device, evaluate, ledger
from lmcore.bpe import BPE
from lmcore.corpora import Pair
from lmcore.pairs import Pairs
from lmcore.seq2seq import Seq2Seq, target_log_probs, translate, translation_loss
from lmcore.train import fit, progress

BUCKETS = ((1, 4), (5, 6), (7, 8), (9, 11), (12, 99))  # words of the English sentence


@dataclass(frozen=True)
class Sizes:
    """The model and its training; the learning rate falls linearly to zero."""

    vocabulary: int = 3_000
    dim: int = 128
    hidden: int = 256
    layers: int = 1
    reverse: bool = True
    dropout: float = 0.3
    batch_size: int = 128
    epochs: int = 7
    lr: float = 4e-3
    beam: int = 5
    alpha: float = 0.6
    train: int | None = None  # how many pairs to learn from; None for all
    test: int | None = None


SIZES = {
    "smoke": Sizes(vocabulary=300, dim=5, hidden=7, epochs=1, train=640, test=20, beam=2),
    "small": Sizes(),
    "full": Sizes(vocabulary=6_000, dim=512, hidden=1024, layers=2, batch_size=64, epochs=12, lr=1e-3),
}


def references(pairs: Sequence[Pair]) -> dict[str, list[str]]:
    """Every source, in the order of its first pair, with its translations in the order of the corpus."""
    found: dict[str, list[str]] = {}
    for source, target in pairs:
        found.setdefault(source, []).append(target)
    return found


def run(sizes: Sizes, page: ledger.Page, *, attention: bool = False) -> None:
    """Train, and log BLEU (of all test sentences and by length), bits per token and bits per character.

    Raises:
        DownloadError: the sentences are not there and cannot be fetched.
    """
    corpus = corpora.tatoeba()
    train, test = corpus.train[: sizes.train], corpus.test[: sizes.test]
    special = (START, END)
    english, dutch = (BPE.train("\n".join(side), sizes.vocabulary, special=special) for side in zip(*train, strict=True))
    start, end = (dutch.number[token] for token in special)
    pad = 0  # any token that both languages have: nobody looks beyond the end of a text

    def batches(part: Sequence[Pair], **how) -> Pairs:
        ids = [(english.encode(source), dutch.encode(target)) for source, target in part]
        return Pairs(ids, sizes.batch_size, pad=pad, start=start, end=end, device=page.device, **how)

    def bits(part: Sequence[Pair]) -> tuple[float, int]:
        """The bits of all translations of a part, and how many tokens they are."""
        total, tokens = 0.0, 0
        batch: Any
        for batch in batches(part, shuffle=False, epochs=1):
            total -= evaluate.bits(target_log_probs(model, batch).double().sum().item())
            tokens += int(batch.mask.sum())
        return total, tokens

    model = Seq2Seq(
        len(english), len(dutch), sizes.dim, sizes.hidden, layers=sizes.layers, attention=attention, reverse=sizes.reverse,
        dropout=sizes.dropout,
    ).to(page.device)  # fmt: skip
    epoch = -(-len(train) // sizes.batch_size)
    steps = fit(
        model, batches(train, pool=50, seed=page.seed), translation_loss, steps=sizes.epochs * epoch, lr=sizes.lr,
        schedule="linear", every=epoch,
    )  # fmt: skip
    for step in progress(steps, sizes.epochs):
        total, tokens = bits(corpus.valid[: sizes.test])
        print(f"step {step.step:,}: {total / tokens:.3f} bits per token on valid, {step.seconds:.0f} s", flush=True)
    page.log("valid.bits", total / tokens)
    total, tokens = bits(test)
    page.log("test.bits", total / tokens)
    page.log("test.bits_per_character", total / sum(len(target) + 1 for _, target in test))

    known = references(test)
    first = [those[0] for those in known.values()]
    most = max(map(len, known.values()))
    every = [those + those[-1:] * (most - len(those)) for those in known.values()]
    for name, width in (("greedy", 1), ("beam", sizes.beam)):
        found = translate(
            model, [english.encode(source) for source in known], start=start, end=end,
            width=width, alpha=sizes.alpha,
        )  # fmt: skip
        texts = [dutch.decode(hypothesis.ids) for hypothesis in found]
        page.log(f"{name}.bleu", evaluate.bleu(texts, first).score)
        page.log(f"{name}.bleu_all_references", evaluate.bleu(texts, every).score)
        for low, high in BUCKETS:
            chosen = [i for i, source in enumerate(known) if low <= len(source.split()) <= high]
            if chosen:
                score = evaluate.bleu([texts[i] for i in chosen], [first[i] for i in chosen]).score
                page.log(f"{name}.bleu.words_{low}-{high}", score)
                if name == "greedy":
                    page.log(f"sentences.words_{low}-{high}", len(chosen))
        for source, text, those in list(zip(known, texts, known.values(), strict=True))[:8]:
            print(f"{name}: {source} → {text} ({' | '.join(those)})", flush=True)
    page.log("sentences.train", len(train))
    page.log("sentences.test", len(known))
    page.log("parameters", sum(parameter.numel() for parameter in model.parameters()))


def main(argv: Sequence[str] | None = None, *, attention: bool = False) -> None:
    """Run at the size of :func:`lmcore.device.scale`; ``--attention`` lets the decoder look at all of the encoder's states.

    The run with attention is noted under the name ``tatoeba_attention``.
    """
    parser = argparse.ArgumentParser(prog="python -m lmcore.recipes.tatoeba", description=main.__doc__)
    parser.add_argument("--attention", action="store_true", help="let the decoder look at all of the encoder's states")
    attention = parser.parse_args(argv).attention or attention
    sizes = SIZES[device.scale()]
    signature = evaluate.bleu(["een"], ["een"]).signature
    settings = {name: value for name, value in asdict(sizes).items() if value is not None}
    page = ledger.Page(
        "tatoeba_attention" if attention else "tatoeba", config={**settings, "attention": attention, "sacrebleu": signature}
    )
    run(sizes, page, attention=attention)
    print(page.receipt())


if __name__ == "__main__":
    main()
