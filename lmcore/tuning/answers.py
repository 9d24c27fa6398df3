"""Instruction tuning: texts of a prompt and an answer, and a loss that asks for the answer alone."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from lmcore.batches import Batches, at_least, documents


class AnswerBatch(NamedTuple):
    """Prompts with their answers, side by side.

    Text b is ``ids[b, : lengths[b]]``; its answer begins at ``begins[b]``, and ⟨end⟩ is its last token. Padding
    follows.
    """

    ids: Int[Tensor, "B T"]
    begins: Int[Tensor, " B"]
    lengths: Int[Tensor, " B"]

    @property
    def answered(self) -> Bool[Tensor, "B U"]:
        """Where the *next* token belongs to the answer: position t is true if token t + 1 does; U = T − 1."""
        next_one = torch.arange(1, self.ids.shape[1], device=self.ids.device)
        return (next_one >= self.begins[:, None]) & (next_one < self.lengths[:, None])


class Answers(Batches):
    """Instructions with their answers: ⟨start⟩ prompt answer ⟨end⟩, padded on the right.

    Yields :class:`AnswerBatch`.

    Args:
        pairs: the ids of each prompt and of its answer, without start and end. An answer may be empty: then ⟨end⟩ is all of it.
        batch_size: B, texts per batch.
        pad, start, end: the ids of the special tokens.
        shuffle, epochs, seed, device: as in :class:`lmcore.batches.Batches`.

    Raises:
        ValueError: there is no pair, or something in one is not ids.
    """

    def __init__(self, pairs: Sequence, batch_size: int, *, pad: int, start: int, end: int, **how: Any):
        super().__init__(batch_size, **how)
        at_least(0, pad=pad, start=start, end=end)
        prompts, answers = documents([prompt for prompt, _ in pairs]), documents([answer for _, answer in pairs])
        texts = [np.concatenate([[start], *both, [end]]) for both in zip(prompts, answers, strict=True)]
        self.begins = torch.tensor([len(prompt) + 1 for prompt in prompts], device=self.device)
        self.lengths = torch.tensor([len(text) for text in texts], device=self.device)
        table = np.full((len(texts), max(map(len, texts))), pad)
        for row, text in zip(table, texts, strict=True):
            row[: len(text)] = text
        self.table = torch.as_tensor(table, device=self.device)

    def rows(self, rng: np.random.Generator) -> np.ndarray:
        return rng.permutation(len(self.table)) if self.shuffle else np.arange(len(self.table))

    def batch(self, rows: np.ndarray) -> AnswerBatch:
        chosen = torch.as_tensor(rows, device=self.device)
        lengths = self.lengths[chosen]
        return AnswerBatch(self.table[chosen, : int(lengths.max())], self.begins[chosen], lengths)


def answer_loss(model: Any, batch: AnswerBatch) -> Float[Tensor, ""]:
    r"""The mean cross-entropy, in nats, of the tokens of the answers, ⟨end⟩ included; the prompts carry no loss.

    With answers :math:`y` to prompts :math:`x` it is :math:`-\frac{1}{N} \sum_{b,t} \log q(y_{b,t} \mid x_b, y_{b,<t})`, a
    mean over all N tokens of all answers. The model reads the prompts like any text, but is not asked to write them.
    (Ouyang et al. 2022, section 3.5, step 1.)
    """
    answered = batch.answered
    return F.cross_entropy(model.output(model.read(batch.ids[:, :-1])[answered]), batch.ids[:, 1:][answered])


def answer_log_probs(model: Any, batch: AnswerBatch) -> Float[Tensor, " B"]:
    """log q(answer | prompt) of each text in nats: the sum over the tokens of its answer, ⟨end⟩ included."""
    answered = batch.answered
    logits = model.output(model.read(batch.ids[:, :-1])[answered])
    each = -F.cross_entropy(logits, batch.ids[:, 1:][answered], reduction="none")
    rows = answered.nonzero()[:, 0]
    return torch.zeros(len(batch.ids), dtype=each.dtype, device=each.device).index_add(0, rows, each)
