"""English to Dutch on Tatoeba as the recipe ``tatoeba`` does it, for other models: same sentences, subwords and scores."""

from collections.abc import Callable
from pathlib import Path

from torch import nn

from lmcore import corpora, evaluate, ledger
from lmcore.recipes._translation import Languages, Plan, learn, score
from lmcore.recipes.tatoeba import BUCKETS, references


def run(
    new_model: Callable[[int, int], nn.Module],
    plan: Plan,
    page: ledger.Page,
    checkpoint: Path | None = None,
    lr: float | None = None,
) -> None:
    """Train what ``new_model(source_vocab, target_vocab)`` returns, and log what :func:`lmcore.recipes.tatoeba.run` logs.

    Raises:
        DownloadError: the sentences are not there and cannot be fetched.
        ValueError: the checkpoint belongs to another run.
    """
    corpus = corpora.tatoeba()
    train, valid, test = corpus.train[: plan.train], corpus.valid[: plan.test], corpus.test[: plan.test]
    languages = Languages.learn(train, plan.vocabulary, page.device, plan.batch_size, shared=False)
    model = new_model(*languages.sizes).to(page.device)
    learn(model, languages, train, valid, plan, page, checkpoint, lr)

    known = references(test)
    most = max(map(len, known.values()))
    every = [those + those[-1:] * (most - len(those)) for those in known.values()]

    def all_references(name: str, texts: list[str]) -> None:
        page.log(f"{name}.bleu_all_references", evaluate.bleu(texts, every).score)

    first = [those[0] for those in known.values()]
    score(model, languages, test, page, plan, list(known), first, BUCKETS, all_references)
    page.log("sentences.train", len(train))
