"""Pre-training: the recipe, the measure, the best that is possible, and filling blanks with what was learnt."""

from collections.abc import Generator, Iterable, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from torch import nn

from lmcore import MASK
from lmcore.batches import IGNORE, at_least
from lmcore.bert.heads import BertMaskedLM
from lmcore.bert.losses import pretraining_loss
from lmcore.bert.masking import MaskedBatch
from lmcore.bert.texts import MASK_TOKEN, inputs, special_ids
from lmcore.train import Step, fit
from lmcore.wordpiece import WordPiece
from lmcore.world.noise import MaskingNoise


@runtime_checkable
class Posterior(Protocol):
    """What knows the truth about masked words, such as a :class:`lmcore.world.World`."""

    def posterior(
        self, tokens: Sequence[str], masked: Sequence[int], noise: MaskingNoise | None = None
    ) -> dict[int, dict[str, float]]:
        """As :meth:`lmcore.world.World.posterior`."""
        ...


def pretrain(
    model: nn.Module,
    batches: Iterable[MaskedBatch],
    *,
    steps: int,
    lr: float,
    warmup: int | None = None,
    weight_decay: float = 0.01,
    **how: Any,
) -> Generator[Step, None, None]:
    """Pre-train a model in place, by the recipe of the paper: :func:`lmcore.train.fit` with :func:`pretraining_loss`.

    AdamW with weight decay 0.01, gradients clipped at norm 1, a learning rate that climbs and then falls linearly to 0 (Devlin
    et al. 2019, appendix A.2; there 10,000 of 1,000,000 steps climb, here a tenth of the steps, since a short run needs it).

    Args:
        model: a :class:`~lmcore.bert.BertPretraining`, or a :class:`~lmcore.bert.BertMaskedLM` for batches without pairs.
        batches: :class:`~lmcore.bert.MaskedTexts` or :class:`~lmcore.bert.SentencePairs`.
        steps, lr, weight_decay: as in :func:`lmcore.train.fit`; a small model bears a larger ``lr`` than BERT's 1e-4.
        warmup: steps of climb; a tenth by default.
        how: whatever else :func:`lmcore.train.fit` takes, such as ``every``, ``seed`` and ``checkpoint``.

    Raises:
        ValueError: as :func:`lmcore.train.fit`.
    """
    at_least(1, steps=steps)
    warmup = steps // 10 if warmup is None else warmup
    return fit(
        model, batches, pretraining_loss, steps=steps, lr=lr, warmup=warmup, weight_decay=weight_decay,
        **{"schedule": "linear"} | how,
    )  # fmt: skip


class Measured(NamedTuple):
    """How a model does on masked texts: means over all places that were chosen, and over all pairs.

    ``loss`` and ``next_loss`` in nats, ``accuracy`` and ``next_accuracy`` as shares; without pairs the last two are NaN.
    """

    loss: float
    accuracy: float
    places: int
    next_loss: float
    next_accuracy: float
    pairs: int


@torch.no_grad()
def measure(model: BertMaskedLM, batches: Iterable[MaskedBatch]) -> Measured:
    """The loss and the accuracy of a model, which is put in evaluation mode.

    Args:
        model: what predicts.
        batches: batches that end, such as those of ``MaskedTexts(…, shuffle=False, epochs=1)``. They are moved to the model.

    Raises:
        ValueError: no word was chosen in any batch.
    """
    model.eval()
    device = next(model.parameters()).device
    word, pair = np.zeros(3), np.zeros(3)
    for ids, lengths, segments, targets, follows in batches:
        ids, lengths, segments, targets = (part.to(device) for part in (ids, lengths, segments, targets))
        places = targets != IGNORE
        given = model(ids, lengths, segments, places=places)
        words, neighbours = given if isinstance(given, tuple) else (given, None)
        word += _scores(words, targets[places])
        if neighbours is not None and follows is not None:
            pair += _scores(neighbours, follows.to(device))
    if not word[2]:
        raise ValueError("no word was chosen in these batches; give more texts, or a noise with a higher rate")
    (loss, accuracy), (next_loss, next_accuracy) = (
        (scores[:2] / scores[2] if scores[2] else np.full(2, np.nan)).tolist() for scores in (word, pair)
    )
    return Measured(loss, accuracy, int(word[2]), next_loss, next_accuracy, int(pair[2]))


def _scores(logits: torch.Tensor, targets: torch.Tensor) -> np.ndarray:
    """(sum of the losses, how many are right, how many there are)."""
    loss = nn.functional.cross_entropy(logits.double(), targets, reduction="sum")
    return np.array([float(loss), int((logits.argmax(-1) == targets).sum()), len(targets)])


class Best(NamedTuple):
    """What no model can beat on average, in nats per chosen place.

    ``loss`` is what the exact posterior loses on these very words; ``entropy`` is the loss that it expects before it sees them.
    Both estimate the same number; ``entropy`` with less noise.
    """

    loss: float
    entropy: float
    places: int


def best_possible(
    truth: Posterior, tokenizer: WordPiece, batches: Iterable[MaskedBatch], noise: MaskingNoise | None = None
) -> Best:
    """The loss of the exact posterior on masked texts of a known language, :meth:`lmcore.world.World.posterior`.

    Args:
        truth: the language that wrote the texts.
        tokenizer: theirs; every word of the language must be one token (:func:`lmcore.bert.word_tokenizer`).
        batches: of :class:`~lmcore.bert.MaskedTexts` that end, with ``random_words`` the language's vocabulary.
        noise: of the batches; by default that of the paper.

    Raises:
        ValueError: no word was chosen, the batches hold pairs, or a text is none of the language's.
    """
    total, n = np.zeros(2), 0
    for batch in batches:
        if batch.next is not None:
            raise ValueError("the batches hold sentence pairs, of which the language knows nothing; use MaskedTexts")
        for row, length, targets in zip(batch.ids.tolist(), batch.lengths.tolist(), batch.targets.tolist(), strict=True):
            words = [tokenizer.vocabulary[i] for i in row[1 : length - 1]]  # without [CLS] and [SEP]
            tokens = [MASK if word == MASK_TOKEN else word for word in words]
            chosen = [i for i, target in enumerate(targets[1 : length - 1]) if target != IGNORE]
            if chosen:
                for place, found in truth.posterior(tokens, chosen, noise).items():
                    p = np.array(list(found.values()))
                    right = tokenizer.vocabulary[targets[place + 1]]
                    total += -np.log(found.get(right, 0.0) or np.nextafter(0, 1)), -(p * np.log(np.where(p > 0, p, 1))).sum()
                    n += 1
    if not n:
        raise ValueError("no word was chosen in these batches; give more texts, or a noise with a higher rate")
    loss, entropy = (total / n).tolist()
    return Best(loss, entropy, n)


@torch.no_grad()
def fill(
    model: BertMaskedLM, tokenizer: WordPiece, text: str | tuple[str, str], *, top: int | None = 8
) -> list[dict[str, float]]:
    """What the model puts into the blanks of a text: for every [MASK], token → probability, most probable first.

    Args:
        model: it is put in evaluation mode.
        tokenizer: its tokeniser.
        text: with one or more ``[MASK]``; or a pair of texts.
        top: how many tokens for each blank; None for all. Their probabilities are those among all tokens.

    Raises:
        ValueError: there is no blank, the text is too long for the model, or the tokeniser is that of another model.
    """
    device = next(model.parameters()).device
    at_least(1, top=1 if top is None else top)
    if len(tokenizer) != model.bert.config.vocab_size:
        raise ValueError(
            f"the tokeniser has {len(tokenizer)} tokens, the model {model.bert.config.vocab_size}; take the model's own"
        )
    given = inputs(tokenizer, [text], device)
    places = given.ids == special_ids(tokenizer, (MASK_TOKEN,))[0]
    if not bool(places.any()):
        raise ValueError(f"{text!r} has no blank; write {MASK_TOKEN} where a word is to be filled in")
    out = model.eval()(*given, places=places)
    logits = out[0] if isinstance(out, tuple) else out
    found = logits.double().softmax(-1).sort(dim=-1, descending=True, stable=True)
    top = len(tokenizer) if top is None else min(top, len(tokenizer))
    return [
        {tokenizer.vocabulary[i]: p for i, p in zip(ids, values, strict=True)}
        for ids, values in zip(found.indices[:, :top].tolist(), found.values[:, :top].tolist(), strict=True)
    ]
