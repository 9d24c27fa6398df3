"""The decoder-only Transformer: a language model."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from lmcore import START
from lmcore.attention import Cache
from lmcore.batches import IGNORE
from lmcore.embeddings import ContextLanguageModel
from lmcore.transformer.inputs import TokenEmbedding, rotary_for
from lmcore.transformer.stacks import Encoder

Caches = tuple[Cache, ...]


class TransformerLM(nn.Module):
    r"""A language model: a stack of layers in which no position looks ahead, and a linear layer that predicts the next token.

    With vectors :math:`x_t` from :class:`TokenEmbedding`, :math:`z_t = W_o\, \mathrm{layers}(x_1 \dots x_t)_t + b`. All
    positions of a text are computed at once.

    Args:
        vocab_size: V.
        dim: C, the width of a token's vector and of every layer.
        heads: H, attention heads per layer.
        layers: how many layers.
        hidden: width of the feed-forward networks; 4 · C if not given.
        positions: ``"sinusoidal"``, ``"learned"``, ``"rotary"`` or ``"none"``.
        max_length: how many learned positions there are; the other kinds know no longest text.
        norm: ``"pre"`` or ``"post"``.
        dropout: probability of dropping a number, in training: of the inputs, of attention weights, of hidden layers and of
            what a sublayer gives.
        tie: use the embedding as the output matrix too; then there is no bias either.
        layer: further arguments of :class:`lmcore.blocks.Layer`.

    Raises:
        ValueError: a size does not fit, or a name is unknown.
    """

    def __init__(
        self,
        vocab_size: int,
        dim: int,
        heads: int,
        layers: int,
        *,
        hidden: int | None = None,
        positions: str = "sinusoidal",
        max_length: int = 512,
        norm: str = "pre",
        dropout: float | int = 0.0,
        tie: bool = True,
        **layer: Any,
    ):
        super().__init__()
        self.embedding = TokenEmbedding(vocab_size, dim, positions, max_length, dropout)
        self.rotary = rotary_for(positions, dim, heads)
        self.stack = Encoder(dim, heads, layers, hidden, norm=norm, dropout=dropout, **layer)
        self.output = nn.Linear(dim, vocab_size, bias=not tie)
        if tie:
            self.output.weight = self.embedding.weight

    def forward(self, ids: Int[Tensor, "B T"], cache: Caches | None = None) -> Float[Tensor, "B T V"]:
        """The logits of the token after each position.

        Args:
            ids: the tokens that are read.
            cache: what was read before, as :meth:`begin` makes it; these tokens are appended to it.

        Raises:
            ValueError: not ids of shape (B, T) that this model knows, or more positions than it learned.
        """
        return self.output(self.read(ids, cache))

    def read(
        self, ids: Int[Tensor, "B T"], cache: Caches | None = None, seen: list[Tensor] | None = None
    ) -> Float[Tensor, "B T C"]:
        """As :meth:`forward`, but what the output layer is to be applied to instead of logits.

        ``seen`` is a list that every layer appends its attention weights (B, H, T, S) to, if it is given.
        """
        x = self.embedding(ids, len(cache[0]) if cache else 0)
        return self.stack(x, causal=True, positions=self.rotary, caches=cache, seen=seen)

    def begin(self, ids: Int[Tensor, "B T"] | None = None) -> Caches:
        """What is known once these tokens have been read: a cache for every layer, empty if none have.

        A text that is to be continued begins with all of its tokens but the last, which :meth:`step` reads.
        """
        state = tuple(Cache() for _ in self.stack.layers)
        if ids is not None and ids.shape[1]:
            self.read(ids, state)
        return state

    def step(self, tokens: Int[Tensor, " B"], state: Caches) -> tuple[Float[Tensor, "B V"], Caches]:
        """Read one more token of every text: the logits of the next, and the new state. The old state stays what it was."""
        state = tuple(cache.copy() for cache in state)
        return self(tokens[:, None], state)[:, -1], state

    def select(self, state: Caches, rows: Int[Tensor, " N"]) -> Caches:
        """The state of these texts, in this order."""
        return tuple(cache.select(rows) for cache in state)


def next_token_loss(model: Any, batch: Any) -> Float[Tensor, ""]:
    """The mean cross-entropy, in nats, of the targets of a batch that begins with inputs and targets.

    Takes what :class:`lmcore.batches.Padded` and :class:`lmcore.batches.Windows` yield. No position looks ahead, so padding at
    the end of a text cannot reach a real token, and needs no mask. Where there is no target no logits are computed.
    """
    real = batch[1] != IGNORE
    return F.cross_entropy(model.output(model.read(batch[0])[real]), batch[1][real])


class TransformerLanguageModel(ContextLanguageModel):
    """A Transformer as a language model over whole texts, with the interface of :mod:`lmcore.evaluate`.

    A text begins with one ``<start>``; the context is everything since. Otherwise as its base class.
    """

    kind: type[nn.Module] = TransformerLM

    @torch.no_grad()
    def _log_softmax(self, ids: list[int], first: int) -> Float[Tensor, "T V"]:
        device = self.model.embedding.weight.device
        logits = self.model.eval()(torch.tensor([[self.number[START], *ids]], device=device))[0, first:].double()
        logits[:, self.never] = -torch.inf
        return logits.log_softmax(1)


def as_language_model(model: TransformerLM, vocabulary: Sequence[str]) -> TransformerLanguageModel:
    """``model`` with ``log_probs`` and ``next_distribution`` over texts; word i of the vocabulary has id i.

    Raises:
        ValueError: the vocabulary has another size than the model, or lacks ``<start>`` or ``<end>``.
    """
    return TransformerLanguageModel(model, vocabulary)
