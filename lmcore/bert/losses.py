"""The losses beside the heads, and what a head's logits say in the end."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from lmcore.batches import IGNORE, at_least
from lmcore.bert.heads import Spans
from lmcore.bert.masking import MaskedBatch


def masked_loss(logits: Float[Tensor, "*shape V"], targets: Int[Tensor, "*shape"]) -> Float[Tensor, ""]:
    r"""The mean cross-entropy in nats over the positions that have a target.

    .. math:: L = -\frac{1}{|M|} \sum_{t \in M} \log p_t(w_t), \qquad M = \{t : \mathrm{target}_t \neq -100\}

    Where no position has one the loss is 0, not NaN: a batch of short texts may have no word chosen.

    Args:
        logits: one row per position.
        targets: the word at each position, or :data:`lmcore.batches.IGNORE` where it does not count.

    Raises:
        ValueError: shapes that do not fit, or a target that is neither a word nor IGNORE.
    """
    _tensors(logits=logits, targets=targets)
    if logits.shape[:-1] != targets.shape:
        raise ValueError(
            f"logits {tuple(logits.shape)} need one target for each of their rows, {tuple(logits.shape[:-1])}; "
            f"got targets of shape {tuple(targets.shape)}"
        )
    _in_range("targets", targets, logits.shape[-1])
    total = F.cross_entropy(logits.reshape(-1, logits.shape[-1]), targets.reshape(-1), ignore_index=IGNORE, reduction="sum")
    return total / (targets != IGNORE).sum().clamp(min=1)


def pretraining_loss(model: nn.Module, batch: MaskedBatch) -> Float[Tensor, ""]:
    """The loss of pre-training: :func:`masked_loss`, and where the batch holds pairs the cross-entropy of *is next*, added.

    Logits of words are computed only at the places that were chosen. Source: Devlin et al. 2019, appendix A.2.

    Args:
        model: a :class:`~lmcore.bert.BertPretraining`, or a :class:`~lmcore.bert.BertMaskedLM` for batches without pairs.
        batch: the texts.

    Raises:
        ValueError: the batch says which pairs are neighbours, and the model has no head for it.
    """
    places = batch.targets != IGNORE
    given = model(batch.ids, batch.lengths, batch.segments, places=places)
    words, neighbours = given if isinstance(given, tuple) else (given, None)
    loss = masked_loss(words, batch.targets[places])
    if batch.next is None:
        return loss
    if neighbours is None:
        raise ValueError("the batch holds sentence pairs, and this model only predicts words; use BertPretraining")
    return loss + F.cross_entropy(neighbours, batch.next)


def classification_loss(logits: Float[Tensor, "B K"], labels: Int[Tensor, " B"]) -> Float[Tensor, ""]:
    """The mean cross-entropy in nats.

    Raises:
        ValueError: shapes that do not fit, or a label that is no class.
    """
    _tensors(logits=logits, labels=labels)
    if logits.ndim != 2 or labels.shape != logits.shape[:1]:
        raise ValueError(f"logits must be (B, K) and labels (B,); got {tuple(logits.shape)} and {tuple(labels.shape)}")
    _in_range("labels", labels, logits.shape[-1], ignored=False)
    return F.cross_entropy(logits, labels)


def tagging_loss(logits: Float[Tensor, "B T K"], tags: Int[Tensor, "B T"]) -> Float[Tensor, ""]:
    """:func:`masked_loss` over the tokens that have a tag: the first piece of each word.

    Raises:
        ValueError: as :func:`masked_loss`.
    """
    return masked_loss(logits, tags)


def span_loss(
    spans: Spans, starts: Int[Tensor, " B"], ends: Int[Tensor, " B"], lengths: Int[Tensor, " B"] | None = None
) -> Float[Tensor, ""]:
    """The mean of the cross-entropies of the first and of the last token of the answer.

    Args:
        spans: the logits.
        starts, ends: the places of the answer's first and last token.
        lengths: how many tokens of each text are real; padding then has probability 0. Without, it takes part, as it does in
            the paper's code and in Hugging Face's.

    Raises:
        ValueError: a place outside its text.
    """
    _tensors(starts=starts, ends=ends)
    T = spans.start.shape[1]
    most = torch.full_like(starts, T) if lengths is None else lengths
    for name, places in (("starts", starts), ("ends", ends)):
        if places.shape != spans.start.shape[:1] or bool(((places < 0) | (places >= most)).any()):
            raise ValueError(f"{name}={places.tolist()} must be one place in each text, from 0 to below {most.tolist()}")
    both = [_real(logits, lengths) for logits in spans]
    return (F.cross_entropy(both[0], starts) + F.cross_entropy(both[1], ends)) / 2


def best_span(spans: Spans, places: Bool[Tensor, "B T"] | None = None, *, longest: int | None = None) -> Int[Tensor, "B 2"]:
    """The places of the first and the last token of the best span: the largest sum of its two logits, with start ≤ end.

    Args:
        spans: the logits.
        places: where an answer may begin and end, such as ``segments == 1`` for the second text of each pair (padding belongs
            to segment 0); by default everywhere.
        longest: the most tokens of a span; by default any number.

    Raises:
        ValueError: ``longest`` is not positive, shapes do not fit, or a text has no place for an answer.
    """
    B, T = spans.start.shape
    at_least(1, longest=T if longest is None else longest)
    pairs = spans.start[:, :, None] + spans.end[:, None, :]
    allowed = torch.ones(T, T, dtype=torch.bool, device=pairs.device).triu().tril((longest or T) - 1).expand(B, T, T)
    if places is not None:
        if places.shape != spans.start.shape:
            raise ValueError(f"places has shape {tuple(places.shape)}, the logits {(B, T)}; they must be the same")
        if not bool(places.any(1).all()):
            raise ValueError(f"text {int((~places.any(1)).nonzero()[0])} has no place where an answer may stand")
        allowed = allowed & places[:, :, None] & places[:, None, :]
    best = pairs.masked_fill(~allowed, -torch.inf).flatten(1).argmax(1)
    return torch.stack([best // T, best % T], dim=1)


def _real(logits: Tensor, lengths: Tensor | None) -> Tensor:
    if lengths is None:
        return logits
    return logits.masked_fill(torch.arange(logits.shape[1], device=logits.device) >= lengths[:, None], -torch.inf)


def _tensors(**given: object) -> None:
    for name, value in given.items():
        if not isinstance(value, Tensor):
            raise ValueError(f"{name} must be a tensor; got a {type(value).__name__}. Use torch.tensor(…)")


def _in_range(name: str, targets: Tensor, classes: int, ignored: bool = True) -> None:
    if targets.device.type != "cpu" or torch.compiler.is_compiling():  # looking would make the device wait
        return
    wrong = (targets < 0) | (targets >= classes)
    wrong = wrong & (targets != IGNORE) if ignored else wrong
    if bool(wrong.any()):
        allowed = f"0 to {classes - 1}" + (f", or {IGNORE} where there is no target" if ignored else "")
        raise ValueError(f"{name} hold {int(targets[wrong][0])}; allowed are {allowed}")
