"""Words as vectors: two models that learn them.

:class:`FeedForwardLM` learns vectors in order to predict the next word (Bengio et al. 2003), :class:`SkipGram` in order to tell
a word's true neighbours from noise (Mikolov et al. 2013b). In both, the vectors are the rows of one matrix E of shape (V, C).
What can be asked of such a matrix is in :mod:`lmcore.analogies`.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from lmcore import END, MASK, PAD, START, UNK
from lmcore.batches import at_least
from lmcore.evaluate import Text, as_tokens


class FeedForwardLM(nn.Module):
    r"""The neural probabilistic language model of Bengio et al. (2003), equation 1.

    With :math:`x = [E_{w_{t-n}}; \dots; E_{w_{t-1}}]`, the rows of E for the last n words one after the other, the logits of
    the next word are

    .. math:: y = b + W x + U \tanh(d + H x).

    In the code E is ``embedding.weight`` (V, C), H and d are ``hidden``, U and b are ``output``, W is ``direct``.

    Args:
        vocab_size: V.
        context: n, how many words the model sees.
        dim: C, the width of a word vector.
        hidden: width of the hidden layer.
        direct: with the direct connections W (the paper trained with and without).
        tie: use E as U too, so that the logit of a word is the dot product of its vector with the hidden layer (Press and Wolf
            2017; Inan et al. 2017). Needs ``hidden == dim``.

    Raises:
        ValueError: a size is not positive, or ``tie`` with ``hidden != dim``.
    """

    def __init__(self, vocab_size: int, context: int, dim: int, hidden: int, *, direct: bool = False, tie: bool = False):
        super().__init__()
        at_least(1, vocab_size=vocab_size, context=context, dim=dim, hidden=hidden)
        if tie and hidden != dim:
            raise ValueError(f"tie=True uses E as the output matrix, so hidden must equal dim; got hidden={hidden}, dim={dim}")
        self.context = context
        self.embedding = nn.Embedding(vocab_size, dim)
        self.hidden = nn.Linear(context * dim, hidden)
        self.output = nn.Linear(hidden, vocab_size)
        self.direct = nn.Linear(context * dim, vocab_size, bias=False) if direct else None
        nn.init.normal_(self.embedding.weight, std=dim**-0.5)
        if tie:
            self.output.weight = self.embedding.weight

    def forward(self, contexts: Int[Tensor, "B n"]) -> Float[Tensor, "B V"]:
        """The logits of the next word; the oldest word of a context comes first.

        Raises:
            ValueError: not ids of shape (B, n), or a context has not the length that the model was made for.
        """
        check_ids("contexts", contexts, 2, self.embedding.num_embeddings)
        if contexts.shape[1] != self.context:
            raise ValueError(f"contexts have {contexts.shape[1]} words; this model was made for context={self.context}")
        x = self.embedding(contexts).flatten(1)
        logits = self.output(torch.tanh(self.hidden(x)))
        return logits if self.direct is None else logits + self.direct(x)


class ContextLanguageModel:
    """A feed-forward model as a language model over whole texts, with the interface of :mod:`lmcore.evaluate`.

    A text begins after n times ``<start>``. ``<pad>``, ``<start>`` and ``<mask>`` cannot follow anything: they get probability
    0, and the others share what the network gave them. A token outside the vocabulary is read as ``<unk>``, if there is one.
    """

    kind: type[nn.Module] = FeedForwardLM
    model: Any

    def __init__(self, model: Any, vocabulary: Sequence[str]):
        if not isinstance(model, self.kind):
            raise ValueError(f"model must be a {self.kind.__name__}; got a {type(model).__name__}: {model!r}")
        self.model, self.vocabulary = model, tuple(vocabulary)
        self.number = {word: i for i, word in enumerate(self.vocabulary)}
        known = self.model.embedding.num_embeddings
        if len(self.number) != known:
            raise ValueError(f"the model knows {known} words, the vocabulary has {len(self.number)} different ones")
        if missing := [token for token in (START, END) if token not in self.number]:
            raise ValueError(f"the vocabulary lacks {' and '.join(missing)}; a language model over whole texts needs them")
        self.never = [self.number[token] for token in (PAD, START, MASK) if token in self.number]

    @torch.no_grad()
    def _log_softmax(self, ids: list[int], first: int) -> Float[Tensor, "T V"]:
        """log p(· | the n ids before) at every position from ``first`` to one past the last."""
        n = self.model.context
        device = self.model.embedding.weight.device
        contexts = torch.tensor([self.number[START]] * n + ids, device=device).unfold(0, n, 1)[first:]
        logits = self.model.eval()(contexts).double()
        logits[:, self.never] = -math.inf
        return logits.log_softmax(1)

    def _ids(self, text: Text) -> list[int]:
        unknown = self.number.get(UNK)
        ids = []
        for token in as_tokens(text):
            i = self.number.get(token, unknown)
            if i is None or i in self.never:
                raise ValueError(f"{token!r} is not a word that this model can predict; write an unknown word as {UNK}")
            ids.append(i)
        return ids

    def log_probs(self, tokens: Text) -> Float[np.ndarray, " T1"]:
        """log p(token | the n tokens before it), one per token and one for the final ``<end>``, natural logarithm.

        Raises:
            ValueError: a token is unknown and the vocabulary has no ``<unk>``.
        """
        ids = self._ids(tokens)
        every = self._log_softmax(ids, 0)
        return every[torch.arange(len(ids) + 1), torch.tensor([*ids, self.number[END]])].cpu().numpy()

    def log_prob(self, tokens: Text) -> float:
        """log p(text), ``<end>`` included."""
        return float(self.log_probs(tokens).sum())

    def next_distribution(self, prefix: Text) -> dict[str, float]:
        """p(next token | prefix) of every token that can follow, ``<end>`` included. Sums to 1."""
        ids = self._ids(prefix)
        p = self._log_softmax(ids, len(ids))[0].exp().tolist()
        return {word: p[i] for i, word in enumerate(self.vocabulary) if i not in self.never}


def check_ids(name: str, ids: Tensor, axes: int, vocab_size: int) -> None:
    """Refuse anything but a tensor of ``axes`` axes that holds token ids below ``vocab_size``.

    The ids themselves are looked at on a CPU only: elsewhere that would make every step wait for the device.

    Raises:
        ValueError: it is something else.
    """
    if not isinstance(ids, Tensor) or ids.dtype not in (torch.int64, torch.int32) or ids.ndim != axes:
        given = f"shape {tuple(ids.shape)} of {ids.dtype}" if isinstance(ids, Tensor) else f"a {type(ids).__name__}"
        raise ValueError(f"{name} must be a tensor of token ids (torch.int64) with {axes} axes; got {given}")
    if ids.device.type == "cpu" and ids.numel() and not torch.compiler.is_compiling():
        low, high = map(int, torch.aminmax(ids))
        if low < 0 or high >= vocab_size:
            strange = low if low < 0 else high
            raise ValueError(f"{name} holds the id {strange}; this model knows the ids 0 … {vocab_size - 1}")


def as_language_model(model: FeedForwardLM, vocabulary: Sequence[str]) -> ContextLanguageModel:
    """``model`` with ``log_probs`` and ``next_distribution`` over texts; word i of the vocabulary has id i.

    Raises:
        ValueError: the vocabulary has another size than the model, or lacks ``<start>`` or ``<end>``.
    """
    return ContextLanguageModel(model, vocabulary)


class SkipGram(nn.Module):
    r"""Skip-gram: a vector :math:`v_c` for a word as a centre, and another, :math:`u_o`, for it as a neighbour.

    Both start as in word2vec: v uniform in ±1/(2C), u zero. The word vectors are v, ``embedding.weight`` (V, C).

    Args:
        vocab_size: V.
        dim: C.
    """

    def __init__(self, vocab_size: int, dim: int):
        super().__init__()
        at_least(1, vocab_size=vocab_size, dim=dim)
        self.embedding = nn.Embedding(vocab_size, dim)
        self.output = nn.Embedding(vocab_size, dim)
        nn.init.uniform_(self.embedding.weight, -0.5 / dim, 0.5 / dim)
        nn.init.zeros_(self.output.weight)

    def forward(self, centres: Int[Tensor, " B"], words: Int[Tensor, "B K1"]) -> Float[Tensor, "B K1"]:
        r"""The scores :math:`u_w \cdot v_c` of some words beside each centre.

        Raises:
            ValueError: not ids of shapes (B,) and (B, 1 + K).
        """
        check_ids("centres", centres, 1, self.embedding.num_embeddings)
        check_ids("words", words, 2, self.output.num_embeddings)
        if len(words) != len(centres):
            raise ValueError(f"words has {len(words)} rows for {len(centres)} centres; every centre needs one row")
        # On a CPU this is two to three times as fast, backward included, as einsum or bmm on matrices that small.
        return (self.output(words) * self.embedding(centres)[:, None]).sum(-1)


def negative_sampling_loss(scores: Float[Tensor, "B K1"]) -> Float[Tensor, ""]:
    r"""Mean over the batch of :math:`-\log\sigma(u_o \cdot v_c) - \sum_{k=1}^{K} \log\sigma(-u_k \cdot v_c)`.

    That is equation 4 of Mikolov et al. (2013b), negated. Column 0 of ``scores`` belongs to the true neighbour o, the others to
    the K noise words.

    Raises:
        ValueError: there is no column for a noise word.
    """
    if not isinstance(scores, Tensor) or not scores.is_floating_point():
        raise ValueError(
            f"scores must be a tensor of floating-point numbers; got {getattr(scores, 'dtype', type(scores).__name__)}"
        )
    if scores.ndim != 2 or scores.shape[1] < 2:
        raise ValueError(
            f"scores have shape {tuple(scores.shape)}; use one column for the neighbour and at least one for noise"
        )
    return (F.softplus(-scores[:, 0]) + F.softplus(scores[:, 1:]).sum(1)).mean()
