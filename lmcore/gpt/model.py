"""The model: embeddings, layers that do not look ahead, and the logits of the next token."""

import math
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from lmcore.attention import Cache, padding_mask
from lmcore.bert import Layers
from lmcore.blocks import EncoderLayer, make_norm
from lmcore.embeddings import check_ids
from lmcore.gpt.config import GPTConfig
from lmcore.positions import Learned, Rotary
from lmcore.transformer.stacks import zero_beyond

Caches = tuple[Cache, ...]


class GPT(nn.Module):
    r"""A decoder-only Transformer (Radford et al. 2018, 2019).

    With the embeddings :math:`E` of tokens and :math:`P` of positions,

    .. math:: X^{(0)}_t = E_{w_t} + P_t, \qquad X^{(n)} = \mathrm{layer}_n(X^{(n-1)}), \qquad
              z_t = W_o \operatorname{norm}(X^{(N)}_t),

    where every layer is a :class:`lmcore.blocks.EncoderLayer` with ``norm="pre"`` in which no position looks ahead, and
    :math:`W_o = E` if they are tied. Then :math:`\operatorname{softmax}(z_t)` is the distribution of the token after
    position t, and one pass trains all positions (:func:`lmcore.transformer.next_token_loss`).

    There is one class for GPT and Llama. They differ in what their blocks are made of, and the config says that part by part;
    with rotary positions there is no :math:`P`, and queries and keys are turned instead. :class:`lmcore.llama.Llama` is this
    class under its own name.

    A fresh model begins as GPT-2 (Radford et al. 2019, section 2.3): matrices and embeddings are drawn from
    :math:`\mathcal N(0, s^2)` with :math:`s` the config's ``std``, but those that end a sublayer, whose results are summed up
    along the residual stream, 2 N of them, from :math:`\mathcal N(0, s^2 / 2N)`. Biases are 0.

    Args:
        config: the sizes.

    Raises:
        ValueError: ``config`` is something else.
    """

    def __init__(self, config: GPTConfig):
        super().__init__()
        if not isinstance(config, GPTConfig):
            raise ValueError(f"config must be a {GPTConfig.__name__}; got {config!r}")
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.dim)
        self.positions = Learned(config.max_length, config.dim) if config.positions == "learned" else None
        self.rotary = Rotary(config.head_width, config.theta) if config.positions == "rotary" else None
        self.dropout = nn.Dropout(config.dropout)
        layer: dict[str, Any] = {"norm": "pre", "norm_type": config.norm, "hidden_dropout": 0.0}
        layer |= {name: getattr(config, name) for name in ("activation", "dropout", "eps", "bias")}
        layer |= {name: getattr(config, name) for name in ("kv_heads", "head_dim", "qk_norm")}
        self.layers = nn.ModuleList(EncoderLayer(config.dim, config.heads, config.width, **layer) for _ in range(config.layers))
        self.norm = make_norm(config.norm, config.dim, config.eps, config.bias)
        self.head = None if config.tied else nn.Linear(config.dim, config.vocab_size, bias=False)
        self.initialise()

    def initialise(self) -> None:
        """Draw fresh weights, as the docstring of the class says."""
        narrow = self.config.std / math.sqrt(2 * self.config.layers)
        for name, parameter in self.named_parameters():
            if parameter.ndim > 1:
                ends_sublayer = name.endswith(("out_proj.weight", "linear2.weight"))
                nn.init.normal_(parameter, std=narrow if ends_sublayer else self.config.std)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def forward(
        self, ids: Int[Tensor, "B T"], lengths: Int[Tensor, " B"] | None = None, *, cache: Caches | None = None
    ) -> Float[Tensor, "B T V"]:
        """The logits of the token after each position.

        Args:
            ids: the tokens that are read.
            lengths: how many of them are real, the first ones of each text. As nobody looks ahead, what stands beyond reaches
                no real position; logits there are 0.
            cache: what was read before, as :meth:`begin` makes it; these tokens are appended to it.

        Raises:
            ValueError: not ids of shape (B, T) that this model knows, or more positions than it learned.
        """
        logits = self.output(self.read(ids, cache))
        if lengths is None:
            return logits
        return zero_beyond(logits, padding_mask(lengths, ids.shape[1]))

    def read(self, ids: Int[Tensor, "B T"], cache: Caches | None = None) -> Float[Tensor, "B T C"]:
        """The normalised states of the last layer, from which :meth:`output` makes logits. Otherwise as :meth:`forward`."""
        return self.norm(self._layers(ids, cache)[-1])

    def output(self, states: Float[Tensor, "*shape C"]) -> Float[Tensor, "*shape V"]:
        """The logits that belong to normalised states, :math:`W_o x`."""
        return F.linear(states, self.output_weight)

    @property
    def output_weight(self) -> Float[Tensor, "V C"]:
        """:math:`W_o`: the embeddings, or a matrix of its own."""
        return self.embedding.weight if self.head is None else self.head.weight

    def look(self, ids: Int[Tensor, "B T"], *, weights: bool = False) -> Layers:
        """What every layer makes of the texts, and where every token looks.

        ``states[0]`` are the embeddings, ``states[n]`` is what layer n gives. ``output(norm(states[n]))`` reads any of them as
        logits; of the last layer they are those of :meth:`forward`.

        Args:
            ids: the tokens.
            weights: return the attention weights (B, H, T, T) of every layer too.

        Raises:
            ValueError: as :meth:`forward`.
        """
        looked: list[Tensor] = []
        states = self._layers(ids, None, looked if weights else None)
        return Layers(tuple(states), tuple(looked) if weights else None)

    def begin(self, ids: Int[Tensor, "B T"] | None = None) -> Caches:
        """What is known once these tokens have been read: a cache for every layer, empty if none have.

        A text that is to be continued begins with all of its tokens but the last, which :meth:`step` reads.
        """
        state = tuple(Cache() for _ in self.layers)
        if ids is not None and ids.shape[1]:
            self._layers(ids, state)
        return state

    def step(self, tokens: Int[Tensor, " B"], state: Caches) -> tuple[Float[Tensor, "B V"], Caches]:
        """Read one more token of every text: the logits of the next, and the new state. The old state stays what it was."""
        state = tuple(cache.copy() for cache in state)
        return self.output(self.read(tokens[:, None], state)[:, -1]), state

    def select(self, state: Caches, rows: Int[Tensor, " N"]) -> Caches:
        """The state of these texts, in this order."""
        return tuple(cache.select(rows) for cache in state)

    def _layers(self, ids: Tensor, cache: Caches | None, seen: list[Tensor] | None = None) -> list[Tensor]:
        """The embeddings, then what every layer gives; ``cache`` and ``seen`` are filled on the way."""
        check_ids("ids", ids, 2, self.config.vocab_size)
        x = self.embedding(ids)
        if self.positions is not None:
            x = self.positions(x, len(cache[0]) if cache else 0)
        states = [self.dropout(x)]
        for i, layer in enumerate(self.layers):
            mine = None if cache is None else cache[i]
            states.append(layer(states[-1], causal=True, positions=self.rotary, cache=mine, seen=seen))
        return states
