"""Direct preference optimisation: from pairs of answers, one of them preferred, to a model that prefers it too."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from lmcore.batches import Batches
from lmcore.tuning.answers import AnswerBatch, Answers, answer_log_probs


class PreferenceBatch(NamedTuple):
    """Two answers to each prompt, with what the reference model gives them: log q_ref(answer | prompt)."""

    begins: Int[Tensor, " B"]
    chosen_ids: Int[Tensor, "B T"]
    chosen_lengths: Int[Tensor, " B"]
    rejected_ids: Int[Tensor, "B U"]
    rejected_lengths: Int[Tensor, " B"]
    reference_chosen: Float[Tensor, " B"]
    reference_rejected: Float[Tensor, " B"]

    @property
    def chosen(self) -> AnswerBatch:
        """The prompts with the answers that are preferred."""
        return AnswerBatch(self.chosen_ids, self.begins, self.chosen_lengths)

    @property
    def rejected(self) -> AnswerBatch:
        """The prompts with the other answers."""
        return AnswerBatch(self.rejected_ids, self.begins, self.rejected_lengths)


class Preferences(Batches):
    """Pairs of answers. The reference model reads every answer once, here at the beginning, and is not needed again.

    Yields :class:`PreferenceBatch`.

    Args:
        triples: the ids of a prompt, of the answer that is preferred and of the other one.
        batch_size: B, pairs per batch.
        reference: the model that the policy is to stay close to, usually what it begins as.
        pad, start, end: the ids of the special tokens.
        shuffle, epochs, seed, device: as in :class:`lmcore.batches.Batches`.

    Raises:
        ValueError: there is no triple, or something in one is not ids.
    """

    def __init__(self, triples: Sequence, batch_size: int, *, reference: Any, pad: int, start: int, end: int, **how: Any):
        super().__init__(batch_size, **how)
        special: dict[str, Any] = {"pad": pad, "start": start, "end": end, "shuffle": False, "device": self.device}
        if bad := [number for number, triple in enumerate(triples) if isinstance(triple, str) or len(triple) != 3]:
            raise ValueError(
                f"triple {bad[0]} must be a prompt, the preferred answer and the other; got {triples[bad[0]]!r:.80}"
            )
        self.sides = [Answers([(t[0], t[place]) for t in triples], batch_size, **special) for place in (1, 2)]
        self.reference = [_of_all(reference, side) for side in self.sides]

    def rows(self, rng: np.random.Generator) -> np.ndarray:
        size = len(self.sides[0].table)
        return rng.permutation(size) if self.shuffle else np.arange(size)

    def batch(self, rows: np.ndarray) -> PreferenceBatch:
        at = torch.as_tensor(rows, device=self.device)
        chosen, rejected = (side.batch(rows) for side in self.sides)
        sides = chosen.ids, chosen.lengths, rejected.ids, rejected.lengths
        return PreferenceBatch(chosen.begins, *sides, self.reference[0][at], self.reference[1][at])


@torch.no_grad()
def _of_all(model: Any, answers: Answers) -> Float[Tensor, " N"]:
    rows = np.arange(len(answers.table))
    model.eval()
    return torch.cat([answer_log_probs(model, answers.batch(part)) for part in np.array_split(rows, -(-len(rows) // 256))])


def rewards(log_probs: Float[Tensor, " B"], reference: Float[Tensor, " B"], beta: float | int) -> Float[Tensor, " B"]:
    r"""The implicit reward :math:`\hat r = \beta \log \frac{q(y \mid x)}{q_{\text{ref}}(y \mid x)}` of each answer.

    A policy that maximises the expected reward minus β times its divergence from the reference has exactly this reward, up to
    a constant per prompt. (Rafailov et al. 2023, equation 5.)

    Args:
        log_probs, reference: log q of the answers under the policy and under the reference, in nats.
        beta: how dear it is to leave the reference, above 0.

    Raises:
        ValueError: β is not positive.
    """
    if isinstance(beta, bool) or not isinstance(beta, int | float) or not 0 < beta < float("inf"):
        raise ValueError(f"beta={beta!r} is not allowed; use a positive finite number, such as 0.1")
    return beta * (log_probs - reference)


def dpo_loss(
    chosen: Float[Tensor, " B"],
    rejected: Float[Tensor, " B"],
    reference_chosen: Float[Tensor, " B"],
    reference_rejected: Float[Tensor, " B"],
    beta: float | int = 0.1,
) -> Float[Tensor, ""]:
    r"""The mean of :math:`-\log \sigma(\hat r(x, y_w) - \hat r(x, y_l))` over pairs, with the rewards of :func:`rewards`.

    It is the loss of a Bradley–Terry model, in which :math:`\sigma` of the difference of two rewards is the probability that
    the first answer is preferred. It is log 2 as long as the policy is the reference. (Rafailov et al. 2023, equation 7.)

    Args:
        chosen, rejected: log q(answer | prompt) under the policy, in nats.
        reference_chosen, reference_rejected: the same under the reference, which carries no gradient.
        beta: how dear it is to leave the reference, above 0.

    Raises:
        ValueError: β is not positive.
    """
    margin = rewards(chosen, reference_chosen.detach(), beta) - rewards(rejected, reference_rejected.detach(), beta)
    return -F.logsigmoid(margin).mean()


def preference_loss(beta: float | int = 0.1) -> Callable[[Any, PreferenceBatch], Tensor]:
    """:func:`dpo_loss` as :func:`lmcore.train.fit` takes it: a function of a model and a :class:`PreferenceBatch`."""

    def loss(model: Any, batch: PreferenceBatch) -> Tensor:
        chosen, rejected = answer_log_probs(model, batch.chosen), answer_log_probs(model, batch.rejected)
        return dpo_loss(chosen, rejected, batch.reference_chosen, batch.reference_rejected, beta)

    rewards(torch.zeros(1), torch.zeros(1), beta)
    return loss


@torch.no_grad()
def sequence_kl(policy: Any, reference: Any, batch: AnswerBatch) -> Float[Tensor, " B"]:
    r"""KL(policy ‖ reference) over answers, in nats, estimated from answers that the *policy* wrote.

    .. math:: \mathrm{KL}(q \,\|\, q_{\text{ref}}) = \mathbb{E}_{y \sim q} \sum_t \sum_w q(w \mid x, y_{<t})
              \log \frac{q(w \mid x, y_{<t})}{q_{\text{ref}}(w \mid x, y_{<t})}

    The sum over words is exact at every position; only the answers are drawn. The mean over many answers is an estimate
    without bias if they were drawn from the policy's whole distribution, without filters.

    Returns:
        the sum over the positions of each answer, ⟨end⟩ included.
    """
    answered = batch.answered
    ours, theirs = (m.output(m.eval().read(batch.ids[:, :-1])[answered]).log_softmax(-1) for m in (policy, reference))
    each = (ours.exp() * (ours - theirs)).sum(-1)
    return torch.zeros(len(batch.ids), dtype=each.dtype, device=each.device).index_add(0, answered.nonzero()[:, 0], each)
