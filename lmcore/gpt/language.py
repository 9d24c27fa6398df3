"""A GPT as a language model over whole texts, and the recipe of its pre-training."""

from collections.abc import Generator, Iterable, Sequence
from functools import partial
from typing import Any

import torch

from lmcore.batches import at_least
from lmcore.gpt.model import GPT
from lmcore.train import Step, fit
from lmcore.transformer import TransformerLanguageModel, next_token_loss


class GPTLanguageModel(TransformerLanguageModel):
    """A :class:`GPT` with ``log_probs`` and ``next_distribution`` over texts of words, the interface of :mod:`lmcore.evaluate`.

    A text begins with one ``<start>``; the context is everything since. Otherwise as its base class.
    """

    kind = GPT


def as_language_model(model: GPT, vocabulary: Sequence[str]) -> GPTLanguageModel:
    """``model`` with ``log_probs`` and ``next_distribution`` over texts; word i of the vocabulary has id i.

    Raises:
        ValueError: the vocabulary has another size than the model, or lacks ``<start>`` or ``<end>``.
    """
    return GPTLanguageModel(model, vocabulary)


def pretrain(
    model: GPT,
    batches: Iterable[Any],
    *,
    steps: int,
    lr: float | int,
    warmup: int | None = None,
    weight_decay: float | int = 0.1,
    beta2: float | int = 0.95,
    **how: Any,
) -> Generator[Step, None, None]:
    """Train a model in place to predict the next token: :func:`lmcore.train.fit` with the recipe of GPT.

    AdamW that averages squared gradients over about 20 steps (β₂ = 0.95), weight decay 0.1 for matrices and embeddings
    (:func:`lmcore.train.parameter_groups`), gradients clipped at norm 1, a learning rate that climbs and then falls as a cosine
    to 0 (Radford et al. 2018, section 4.1; β₂ and the decay from Brown et al. 2020, appendix B, and nanoGPT, which both end at
    a tenth: ``final=0.1``).

    Args:
        model: a :class:`GPT`.
        batches: of inputs and targets, such as :class:`lmcore.batches.Padded` and :class:`lmcore.batches.Windows`.
        steps, lr, weight_decay: as in :func:`lmcore.train.fit`; a small model bears a larger ``lr`` than GPT-2 small's 6e-4.
        warmup: steps of climb; a tenth by default.
        beta2: how much of the average of squared gradients stays from step to step.
        how: whatever else :func:`lmcore.train.fit` takes, such as ``schedule``, ``final``, ``every`` and ``checkpoint``.

    Raises:
        ValueError: as :func:`lmcore.train.fit`.
    """
    at_least(1, steps=steps)
    warmup = steps // 10 if warmup is None else warmup
    adamw = partial(torch.optim.AdamW, betas=(0.9, beta2), fused=True)
    recipe: dict[str, Any] = {"schedule": "cosine", "optimizer": adamw, "weight_decay": weight_decay}
    return fit(model, batches, next_token_loss, steps=steps, lr=lr, warmup=warmup, **(recipe | how))
