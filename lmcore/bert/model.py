"""The model: embeddings and encoder layers."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from lmcore.attention import padding_mask
from lmcore.batches import at_least
from lmcore.blocks import EncoderLayer, LayerNorm
from lmcore.embeddings import check_ids
from lmcore.positions import Learned


@dataclass(frozen=True, slots=True)
class BertConfig:
    """The sizes of a BERT; those that are not named here are BERT-base's.

    Attributes:
        vocab_size: V.
        dim: C, the width of every vector.
        heads: H, of each layer's attention.
        layers: how many encoder layers.
        hidden: width of the feed-forward network's hidden layer; 4 C in the paper.
        max_length: the most tokens of a text, since every position has a vector of its own.
        segments: how many kinds of segment, such as the first and the second text of a pair.
        dropout: probability of dropping a number, in training: of embeddings, attention weights and what a sublayer adds; in
            :class:`lmcore.blocks.EncoderLayer` also of the hidden layer, where the paper's code drops nothing.
        eps: added to the variance inside the root of every LayerNorm.
        pooler: with the layer that makes one vector of a text from that of its first token (:meth:`Bert.pooled`).
        std: standard deviation of the matrices of a fresh model. The paper's 0.02 is about 0.55 / √C at its C = 768; a narrow
            model learns faster with a larger one.

    Raises:
        ValueError: a size is not positive, ``heads`` does not divide ``dim``, or ``dropout`` is no probability.
    """

    vocab_size: int
    dim: int = 768
    heads: int = 12
    layers: int = 12
    hidden: int = 3072
    max_length: int = 512
    segments: int = 2
    dropout: float = 0.1
    eps: float = 1e-12
    pooler: bool = True
    std: float = 0.02

    def __post_init__(self) -> None:
        sizes = ("vocab_size", "dim", "heads", "layers", "hidden", "max_length", "segments")
        at_least(1, **{name: getattr(self, name) for name in sizes})
        if self.dim % self.heads:
            raise ValueError(f"dim={self.dim} cannot be shared among heads={self.heads}; use a multiple of heads")
        if isinstance(self.dropout, bool) or not isinstance(self.dropout, int | float) or not 0 <= self.dropout < 1:
            raise ValueError(f"dropout={self.dropout!r} is no probability; use a number from 0 up to, but not including, 1")
        for name in ("eps", "std"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
                raise ValueError(f"{name}={value!r} is not allowed; use a small number above 0")


def initialise(module: nn.Module, std: float | int = 0.02) -> None:
    """Fresh weights as in the code of the paper: matrices from a normal distribution with deviation ``std`` that is cut at two
    deviations, biases zero."""
    for name, parameter in module.named_parameters():
        if parameter.ndim > 1:
            nn.init.trunc_normal_(parameter, std=std, a=-2 * std, b=2 * std)
        elif name.endswith("bias"):
            nn.init.zeros_(parameter)


class Layers(NamedTuple):
    """What every layer made of the texts: ``states[0]`` are the embeddings, ``states[n]`` is what layer n gives."""

    states: tuple[Float[Tensor, "B T C"], ...]
    weights: tuple[Float[Tensor, "B H T T"], ...] | None  # of every layer's attention, where asked for


class Bert(nn.Module):
    r"""The encoder of Devlin et al. (2019).

    With the embeddings :math:`E` of tokens, :math:`P` of positions and :math:`S` of segments,

    .. math:: X^{(0)}_t = \operatorname{LayerNorm}(E_{w_t} + P_t + S_{s_t}), \qquad
              X^{(n)} = \mathrm{layer}_n(X^{(n-1)}),

    where every layer is :class:`lmcore.blocks.EncoderLayer` with ``norm="post"`` and GELU. Every token looks at every other;
    only padding is not looked at.

    Args:
        config: the sizes.

    Raises:
        ValueError: ``config`` is something else.
    """

    def __init__(self, config: BertConfig):
        super().__init__()
        if not isinstance(config, BertConfig):
            raise ValueError(f"config must be a BertConfig; got {config!r}")
        self.config = config
        self.tokens = nn.Embedding(config.vocab_size, config.dim)
        self.positions = Learned(config.max_length, config.dim)
        self.segments = nn.Embedding(config.segments, config.dim)
        self.norm = LayerNorm(config.dim, eps=config.eps)
        self.dropout = nn.Dropout(config.dropout)
        self.layers = nn.ModuleList(
            EncoderLayer(
                config.dim, config.heads, config.hidden, norm="post", activation="gelu", dropout=config.dropout, eps=config.eps
            )
            for _ in range(config.layers)
        )
        self.pooler = nn.Linear(config.dim, config.dim) if config.pooler else None
        initialise(self, config.std)

    def forward(
        self, ids: Int[Tensor, "B T"], lengths: Int[Tensor, " B"] | None = None, segments: Int[Tensor, "B T"] | None = None
    ) -> Float[Tensor, "B T C"]:
        """The last layer's vector of every token.

        Args:
            ids: token ids, filled up at the end with any id.
            lengths: how many of them are real, at least one; by default all.
            segments: which segment a token belongs to; by default all to the first, 0.

        Raises:
            ValueError: ids that the model does not know, more tokens than it has positions, or shapes that do not fit.
        """
        return self.look(ids, lengths, segments).states[-1]

    def look(
        self,
        ids: Int[Tensor, "B T"],
        lengths: Int[Tensor, " B"] | None = None,
        segments: Int[Tensor, "B T"] | None = None,
        *,
        weights: bool = False,
    ) -> Layers:
        """The vectors of every layer and, with ``weights``, where every token looked; otherwise as :meth:`forward`."""
        self._check(ids, lengths, segments)
        x = self.positions(self.tokens(ids)) + (self.segments.weight[0] if segments is None else self.segments(segments))
        x = self.dropout(self.norm(x))
        mask = None if lengths is None else padding_mask(lengths, ids.shape[1])
        states: list[Tensor] = [x]
        looked: list[Tensor] = []
        for layer in self.layers:
            states.append(layer(states[-1], mask, seen=looked if weights else None))
        return Layers(tuple(states), tuple(looked) if weights else None)

    def pooled(self, states: Float[Tensor, "B T C"]) -> Float[Tensor, "B C"]:
        """One vector per text, tanh(W x + b) of the last layer's vector x of its first token, [CLS].

        Raises:
            ValueError: the model was made without this layer.
        """
        if self.pooler is None:
            raise ValueError("this model was made with pooler=False; make it with pooler=True, or take states[:, 0]")
        return torch.tanh(self.pooler(states[:, 0]))

    def _check(self, ids: Tensor, lengths: Tensor | None, segments: Tensor | None) -> None:
        check_ids("ids", ids, 2, self.config.vocab_size)
        if not 0 < ids.shape[1] <= self.config.max_length:
            raise ValueError(f"ids has {ids.shape[1]} tokens a text; this model reads 1 to {self.config.max_length}")
        if lengths is not None and (not isinstance(lengths, Tensor) or lengths.shape != ids.shape[:1]):
            given = f"shape {tuple(lengths.shape)}" if isinstance(lengths, Tensor) else f"a {type(lengths).__name__}"
            raise ValueError(f"lengths must hold one number for each of {len(ids)} texts; got {given}")
        if segments is not None:
            check_ids("segments", segments, 2, self.config.segments)
            if segments.shape != ids.shape:
                raise ValueError(f"segments has shape {tuple(segments.shape)}, ids {tuple(ids.shape)}; they must be the same")
