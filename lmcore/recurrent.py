"""Models made of recurrent layers: a language model, a classifier, and training on a stream longer than memory.

The layers are those of :mod:`lmcore.rnn`. By default their steps are done by torch's kernel (``fused=True``); the loop that can
be read gives the same numbers.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from lmcore import START
from lmcore.batches import IGNORE, Ids, LaneBatch, Lanes, at_least
from lmcore.cells import State
from lmcore.embeddings import ContextLanguageModel, check_ids
from lmcore.rnn import GRU, LSTM, RNN, Stack, detach

LAYERS: dict[str, type[Stack]] = {"rnn": RNN, "lstm": LSTM, "gru": GRU}
POOLS = ("last", "mean", "max")


class RecurrentLM(nn.Module):
    r"""A recurrent language model: the state has read all tokens so far, and a linear layer predicts the next from it.

    .. math:: h_t = \mathrm{step}(E_{w_t}, h_{t-1}) \qquad z_t = W_2 h_t + b_2

    Its context has no fixed length (Mikolov et al. 2010). In the code E is ``embedding.weight`` (V, C), W_2 and b_2 are
    ``output``.

    Args:
        vocab_size: V.
        dim: C, the width of a token's vector.
        hidden: H, the width of the state.
        cell: the kind of step, ``"rnn"``, ``"lstm"`` or ``"gru"``.
        layers: how many recurrent layers.
        dropout: probability of dropping a number, in training, from what goes into a layer and from what comes out of the last
            one. Nothing is dropped on the way from one step to the next (Zaremba et al. 2014).
        tie: use E as the output matrix too. Needs ``hidden == dim``.
        fused: let torch's kernel take the steps.

    Raises:
        ValueError: a size is not positive, the cell is unknown, or ``tie`` with ``hidden != dim``.
    """

    def __init__(
        self,
        vocab_size: int,
        dim: int,
        hidden: int,
        *,
        cell: str = "rnn",
        layers: int = 1,
        dropout: float = 0.0,
        tie: bool = False,
        fused: bool = True,
    ):
        super().__init__()
        at_least(1, vocab_size=vocab_size, dim=dim, hidden=hidden, layers=layers)
        if tie and hidden != dim:
            raise ValueError(f"tie=True uses E as the output matrix, so hidden must equal dim; got hidden={hidden}, dim={dim}")
        self.embedding = nn.Embedding(vocab_size, dim)
        self.rnn = layers_of(cell)(dim, hidden, layers, dropout=dropout, fused=fused)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(hidden, vocab_size)
        nn.init.normal_(self.embedding.weight, std=dim**-0.5)
        if tie:
            self.output.weight = self.embedding.weight

    def forward(
        self, ids: Int[Tensor, "B T"], state: State | None = None, lengths: Int[Tensor, " B"] | None = None
    ) -> tuple[Float[Tensor, "B T V"], State]:
        """The logits of the token after each position, and the state at the end.

        Args:
            ids: the tokens that are read.
            state: what came before, as :meth:`lmcore.rnn.Stack.forward` takes it.
            lengths: where the texts end, for the sake of the state. The logits at real positions do not depend on it.

        Raises:
            ValueError: not ids of shape (B, T) that this model knows, or a state or lengths of another shape.
        """
        outputs, state = self.read(ids, state, lengths)
        return self.output(outputs), state

    def read(
        self, ids: Int[Tensor, "B T"], state: State | None = None, lengths: Int[Tensor, " B"] | None = None
    ) -> tuple[Float[Tensor, "B T H"], State]:
        """As :meth:`forward`, but what the output layer is to be applied to instead of logits."""
        check_ids("ids", ids, 2, self.embedding.num_embeddings)
        outputs, state = self.rnn(self.dropout(self.embedding(ids)), state, lengths)
        return self.dropout(outputs), state

    def begin(self, ids: Int[Tensor, "B T"]) -> State | None:
        """The state after these tokens, for :mod:`lmcore.generate`; ``None`` before the first, T = 0."""
        return self.read(ids)[1] if ids.shape[1] else None

    def step(self, tokens: Int[Tensor, " B"], state: State | None) -> tuple[Float[Tensor, "B V"], State]:
        """Read one more token of every text: the logits of the next, and the state."""
        logits, state = self(tokens[:, None], state)
        return logits[:, 0], state

    def select(self, state: State | None, rows: Int[Tensor, " N"]) -> State | None:
        """The state of these texts, in this order."""
        if state is None or isinstance(state, Tensor):
            return None if state is None else state[:, rows]
        return tuple(part[:, rows] for part in state)


def next_token_loss(model: RecurrentLM, batch: Any) -> Float[Tensor, ""]:
    """The mean cross-entropy, in nats, of the targets of a batch that begins with inputs and targets.

    Takes what :class:`lmcore.batches.Padded` and :class:`lmcore.batches.Windows` yield. A state goes from left to right, so
    padding at the end of a text cannot reach a real token, and needs no mask. Where there is no target no logits are computed;
    with a large vocabulary they are the largest part of the work.
    """
    outputs, _ = model.read(batch[0])
    real = batch[1] != IGNORE
    return F.cross_entropy(model.output(outputs[real]), batch[1][real])


class TruncatedBPTT:
    """Training on a stream that is longer than one can backpropagate through: the state is carried on, its history is not.

    Every batch begins with the state in which the batch before ended. The numbers of that state are kept, but
    :func:`lmcore.rnn.detach` cuts the graph, so that gradients reach back at most T tokens (Williams and Peng 1990, the special
    case in which the cut is made every T steps). At the beginning of a pass over the stream the state is zero. ::

        source = TruncatedBPTT(Lanes(ids, length=64, batch_size=32))
        for step in fit(model, source, source.loss, steps=1000, lr=3e-3): ...

    The carried state is part of :meth:`state_dict`, which ``fit`` writes into its checkpoint with the batches; so a run that is
    interrupted goes on with the very numbers it had.

    Args:
        lanes: the batches; any iterator over :class:`lmcore.batches.LaneBatch` that can be resumed.
    """

    def __init__(self, lanes: Lanes):
        if not isinstance(lanes, Lanes):
            raise ValueError(
                f"lanes must be lmcore.batches.Lanes, whose batches follow each other; got a {type(lanes).__name__}"
            )
        self.lanes = lanes
        self.state: State | None = None

    def __iter__(self) -> Iterator[LaneBatch]:
        return self

    def __next__(self) -> LaneBatch:
        batch: Any = next(self.lanes)
        if batch.first:
            self.state = None
        return batch

    def loss(self, model: nn.Module, batch: LaneBatch) -> Float[Tensor, ""]:
        """The mean cross-entropy of the batch, in nats, from the carried state; the state at its end is carried on."""
        logits, state = model(batch.inputs, self.state)
        self.state = detach(state)
        return F.cross_entropy(logits.flatten(0, 1), batch.targets.flatten(), ignore_index=IGNORE)

    def state_dict(self) -> dict[str, Any]:
        """Where the lanes stand, and the state that is carried."""
        return {"lanes": self.lanes.state_dict(), "state": self.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there.

        Raises:
            ValueError: it was saved from lanes with another seed or number of lanes.
        """
        self.lanes.load_state_dict(state["lanes"])
        carried = state["state"]
        if carried is not None:
            one = isinstance(carried, Tensor)
            carried = carried.to(self.lanes.device) if one else tuple(part.to(self.lanes.device) for part in carried)
        self.state = carried


@torch.no_grad()
def stream_cross_entropy(model: RecurrentLM, ids: Ids, length: int = 512) -> float:
    """The mean cross-entropy, in nats, of a long stream that is read once, with the state carried from beginning to end.

    Every token but the first is predicted from all that came before it. ``length`` is how many are read at a time; it changes
    the memory that is needed, not the result.

    Raises:
        ValueError: the stream has fewer than two ids.
    """
    state: State | None = None
    total, count = 0.0, 0
    model.eval()
    for inputs, targets, _ in Lanes(ids, length, 1, shuffle=False, epochs=1, device=model.embedding.weight.device):
        logits, state = model(inputs, state)
        total += F.cross_entropy(logits[0], targets[0], ignore_index=IGNORE, reduction="sum").item()
        count += int((targets != IGNORE).sum())
    return total / count


class RecurrentLanguageModel(ContextLanguageModel):
    """A recurrent model as a language model over whole texts, with the interface of :mod:`lmcore.evaluate`.

    A text begins with one ``<start>``; the context is everything since. Otherwise as its base class.
    """

    kind = RecurrentLM

    @torch.no_grad()
    def _log_softmax(self, ids: list[int], first: int) -> Float[Tensor, "T V"]:
        device = self.model.embedding.weight.device
        logits, _ = self.model.eval()(torch.tensor([[self.number[START], *ids]], device=device))
        logits = logits[0, first:].double()
        logits[:, self.never] = -torch.inf
        return logits.log_softmax(1)


def as_language_model(model: RecurrentLM, vocabulary: Sequence[str]) -> RecurrentLanguageModel:
    """``model`` with ``log_probs`` and ``next_distribution`` over texts; word i of the vocabulary has id i.

    Raises:
        ValueError: the vocabulary has another size than the model, or lacks ``<start>`` or ``<end>``.
    """
    return RecurrentLanguageModel(model, vocabulary)


class RecurrentClassifier(nn.Module):
    """One class for a whole text: recurrent layers read it, a linear layer scores what they leave.

    Args:
        vocab_size: V.
        dim: C, the width of a token's vector.
        hidden: H, the width of the state.
        classes: K.
        cell, layers, fused: as for :class:`RecurrentLM`.
        bidirectional: with a second direction, so that what is scored is 2H wide.
        dropout: probability of dropping a number from the inputs of the layers and of the linear layer.
        pool: what is scored. ``"last"``: the state after the last token (and, reading backwards, after the first).
            ``"mean"``, ``"max"``: the mean or the largest value over all real positions, number by number.

    Raises:
        ValueError: a size is not positive, or the cell or the pool is unknown.
    """

    def __init__(
        self,
        vocab_size: int,
        dim: int,
        hidden: int,
        classes: int,
        *,
        cell: str = "lstm",
        layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        pool: str = "last",
        fused: bool = True,
    ):
        super().__init__()
        at_least(1, vocab_size=vocab_size, dim=dim, hidden=hidden, classes=classes, layers=layers)
        if pool not in POOLS:
            raise ValueError(f"pool={pool!r} is unknown; use one of {', '.join(POOLS)}")
        self.pool = pool
        self.embedding = nn.Embedding(vocab_size, dim)
        self.rnn = layers_of(cell)(dim, hidden, layers, dropout=dropout, bidirectional=bidirectional, fused=fused)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(hidden * self.rnn.directions, classes)
        nn.init.normal_(self.embedding.weight, std=dim**-0.5)

    def forward(self, ids: Int[Tensor, "B T"], lengths: Int[Tensor, " B"] | None = None) -> Float[Tensor, "B K"]:
        """The logits of the classes; ``lengths`` says how many tokens of each text are real, all if not given.

        Raises:
            ValueError: not ids of shape (B, T) that this model knows, or lengths of another shape or range.
        """
        check_ids("ids", ids, 2, self.embedding.num_embeddings)
        outputs, state = self.rnn(self.dropout(self.embedding(ids)), None, lengths)
        return self.output(self.dropout(self._pooled(outputs, state, lengths)))

    def _pooled(self, outputs: Float[Tensor, "B T O"], state: State, lengths: Tensor | None) -> Float[Tensor, "B O"]:
        if self.pool == "last":
            h = state if isinstance(state, Tensor) else state[0]
            return torch.cat(h[-self.rnn.directions :].unbind(0), dim=1)
        if lengths is None:
            return outputs.mean(1) if self.pool == "mean" else outputs.amax(1)
        if self.pool == "mean":  # beyond a text's end the outputs are 0
            return outputs.sum(1) / lengths[:, None]
        real = torch.arange(outputs.shape[1], device=outputs.device) < lengths[:, None]
        return outputs.masked_fill(~real[..., None], -torch.inf).amax(1)


def layers_of(cell: str) -> type[Stack]:
    """The stack for the name of a cell.

    Raises:
        ValueError: there is no such cell.
    """
    if cell not in LAYERS:
        raise ValueError(f"cell={cell!r} is unknown; use one of {', '.join(LAYERS)}")
    return LAYERS[cell]
