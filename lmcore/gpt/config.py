"""The sizes and the choices of a decoder-only model."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from lmcore.batches import at_least
from lmcore.blocks import ACTIVATIONS, NORM_TYPES, swiglu_hidden

POSITIONS = ("learned", "rotary", "none")
GPT2_SIZES = {"small": (768, 12, 12), "medium": (1024, 16, 24), "large": (1280, 20, 36), "xl": (1600, 25, 48)}


@dataclass(frozen=True, slots=True)
class GPTConfig:
    """The sizes of a decoder-only model, and every choice in which GPT and Llama differ.

    What is not named here is GPT-2 small's, but for dropout and the exact GELU: so ``GPTConfig(V)`` is a GPT. With
    ``dataclasses.replace`` one choice is changed at a time, up to a Llama (:class:`lmcore.llama.LlamaConfig`); the model is
    :class:`GPT` all the way.

    Attributes:
        vocab_size: V.
        max_length: the most tokens of a text, where every position has a learned vector. With ``positions="rotary"`` no text is
            too long for the model, and this only says for which length it was trained.
        dim: C, the width of every vector.
        heads: H, of each layer's attention.
        layers: N, how many.
        hidden: F, the width of the feed-forward network's hidden layer; 4 C if not given, with gates
            :func:`lmcore.blocks.swiglu_hidden` of it, so that the number of weights stays. :attr:`width` is the number.
        dropout: probability of dropping a number, in training: of the embeddings, of attention weights and of what a sublayer
            adds. The hidden layer drops nothing, as in GPT-2.
        activation: of the feed-forward network, see :class:`lmcore.blocks.FeedForward`: ``"gelu"``, GPT-2's ``"gelu_tanh"``,
            Llama's ``"swiglu"``, or another.
        bias: with a bias in all linear layers and norms.
        tied: the output matrix is that of the embeddings.
        eps: added inside the root of every norm.
        std: standard deviation of the matrices of a fresh model. GPT-2's 0.02 is about 0.55 / √C at C = 768; a narrow model
            learns faster with a larger one.
        norm: ``"layer"``, or ``"rms"`` as in Llama.
        positions: ``"learned"``, ``"rotary"`` as in Llama, or ``"none"``.
        theta: base of the angles of rotary positions.
        kv_heads: heads of keys and values; H if not given.
        head_dim: D, the width of a head; C / H if not given.
        qk_norm: normalise queries and keys, see :class:`lmcore.attention.MultiHeadAttention`.

    Raises:
        ValueError: a size is not positive, does not fit the others, or a name is unknown.
    """

    vocab_size: int
    max_length: int = 1024
    dim: int = 768
    heads: int = 12
    layers: int = 12
    hidden: int | None = None
    dropout: float | int = 0.0
    activation: str = "gelu"
    bias: bool = True
    tied: bool = True
    eps: float | int = 1e-5
    std: float | int = 0.02
    norm: str = "layer"
    positions: str = "learned"
    theta: float | int = 10_000.0
    kv_heads: int | None = None
    head_dim: int | None = None
    qk_norm: bool = False

    def __post_init__(self) -> None:
        given = {name: getattr(self, name) for name in ("vocab_size", "max_length", "dim", "heads", "layers")}
        optional = {name: getattr(self, name) for name in ("hidden", "kv_heads", "head_dim")}
        at_least(1, **given, **{name: value for name, value in optional.items() if value is not None})
        if self.head_dim is None and self.dim % self.heads:
            raise ValueError(f"dim={self.dim} cannot be shared among heads={self.heads}; use a multiple of heads, or head_dim")
        if self.heads % self.key_heads:
            raise ValueError(f"heads={self.heads} cannot be shared among kv_heads={self.kv_heads}; use a divisor of heads")
        if isinstance(self.dropout, bool) or not isinstance(self.dropout, int | float) or not 0 <= self.dropout < 1:
            raise ValueError(f"dropout={self.dropout!r} is no probability; use a number from 0 up to, but not including, 1")
        for name in ("eps", "std", "theta"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
                raise ValueError(f"{name}={value!r} is not allowed; use a number above 0")
        names = {"activation": tuple(ACTIVATIONS), "norm": NORM_TYPES, "positions": POSITIONS}
        for name, allowed in names.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name}={getattr(self, name)!r} is unknown; use one of {', '.join(allowed)}")
        if self.positions == "rotary" and self.head_width % 2:
            raise ValueError(f"rotary positions turn pairs of numbers, and a head has {self.head_width}; use an even head_dim")

    @staticmethod
    def gpt2(size: str = "small", *, dropout: float | int = 0.1) -> "GPTConfig":
        """The sizes of Radford et al. (2019, table 2): ``"small"``, ``"medium"``, ``"large"`` or ``"xl"``.

        Raises:
            ValueError: there is no such size.
        """
        if size not in GPT2_SIZES:
            raise ValueError(f"size={size!r} is none of GPT-2's; use one of {', '.join(GPT2_SIZES)}")
        dim, heads, layers = GPT2_SIZES[size]
        return GPTConfig(50_257, dim=dim, heads=heads, layers=layers, activation="gelu_tanh", dropout=dropout)

    @property
    def width(self) -> int:
        """F, the width of the hidden layer."""
        if self.hidden is not None:
            return self.hidden
        return swiglu_hidden(4 * self.dim) if self.activation == "swiglu" else 4 * self.dim

    @property
    def head_width(self) -> int:
        """D, the width of a head."""
        return self.dim // self.heads if self.head_dim is None else self.head_dim

    @property
    def key_heads(self) -> int:
        """How many heads keys and values have."""
        return self.heads if self.kv_heads is None else self.kv_heads

    @property
    def parameters(self) -> int:
        """How many numbers are learned in all."""
        return sum(prod(shape) for shape in self._shapes())

    def _shapes(self) -> Iterator[tuple[int, ...]]:
        C, F, norm = self.dim, self.width, (1 + (self.bias and self.norm == "layer"), self.dim)
        rows, both = (self.heads + 2 * self.key_heads) * self.head_width, 2 if self.activation == "swiglu" else 1
        yield from [(self.vocab_size, C)] * (1 if self.tied else 2)
        if self.positions == "learned":
            yield self.max_length, C
        layer: list[tuple[int, ...]] = [(rows, C), (self.heads * self.head_width, C), (both * F, C), (F, C), norm, norm]
        layer += [(rows,), (C,), (both * F,), (C,)] if self.bias else []
        layer += [(2, self.head_width)] if self.qk_norm else []
        yield from self.layers * layer
        yield norm
