"""Cache sizes: what a Transformer remembers while it writes, with many, few or one head of keys and values."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import traitlets as t

from lmcore.widgets.base import Figure, in_range, one_of

MOST = {"layers": 256, "heads": 256, "head_dim": 1024, "length": 131_072, "batch": 1024}
NUMBERS = {"float32": 4, "float16": 2, "int8": 1}  # bytes of a number; bfloat16 takes as many as float16
MEMORY = (1, 1000)  # 10⁹ bytes


def shared(heads: int, kv_heads: int) -> int:
    """How many heads of queries share one head of keys and values; a ValueError if they cannot be shared out evenly."""
    in_range("heads", heads, 1, MOST["heads"])
    in_range("kv_heads", kv_heads, 1, heads)
    if heads % kv_heads:
        raise ValueError(f"kv_heads={kv_heads} does not divide heads={heads}; choose a divisor, so that they share evenly")
    return heads // kv_heads


@dataclass(frozen=True)
class CacheModel:
    """The sizes of a model that decide how large its cache is.

    Args:
        name: its name.
        layers: how many blocks.
        heads: heads of queries.
        kv_heads: heads of keys and values; a divisor of ``heads``. As many as ``heads`` is multi-head attention, 1 multi-query
            attention, anything between them grouped-query attention.
        head_dim: the width of a head.
        context: the most tokens it was trained to read.
        source: where these numbers stand.

    Raises:
        ValueError: a size outside what is allowed, or heads that cannot be shared out.
    """

    name: str
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    context: int
    source: str

    def __post_init__(self) -> None:
        for name in ("layers", "heads", "head_dim"):
            in_range(name, getattr(self, name), 1, MOST[name])
        in_range("context", self.context, 1, MOST["length"])
        shared(self.heads, self.kv_heads)


PUBLISHED = (
    CacheModel("GPT-2 small", 12, 12, 12, 64, 1024, "Radford et al. 2019, Table 2; heads as in the released model"),
    CacheModel("Llama 2 7B", 32, 32, 32, 128, 4096, "Touvron et al. 2023b, Table 1; layers and heads as in the released model"),
    CacheModel("Llama 2 70B", 80, 64, 8, 128, 4096, "Touvron et al. 2023b, Table 1; layers and heads as in the released model"),
    CacheModel("Llama 3 8B", 32, 32, 8, 128, 8192, "Grattafiori et al. 2024, Table 3; context as first released"),
    CacheModel("Gemma 2B", 18, 8, 1, 256, 8192, "Gemma Team 2024, Table 1"),
)


def cache_bytes(layers: int, kv_heads: int, head_dim: int, length: int, batch: int = 1, number: str = "float16") -> int:
    r"""Bytes of the keys and values that a Transformer keeps while it generates.

    .. math:: 2 \cdot \text{layers} \cdot \text{kv heads} \cdot \text{head dim} \cdot T \cdot B \cdot \text{bytes of a number}

    Every layer keeps a key and a value for each of the T tokens of each of the B texts and for each head of keys and values.
    The heads of queries do not count: queries are used once (Shazeer 2019, section 3; Ainslie et al. 2023, section 2).

    Args:
        layers: how many blocks.
        kv_heads: heads of keys and values.
        head_dim: the width of a head.
        length: T.
        batch: B.
        number: "float32", "float16" (or bfloat16, as large) or "int8".

    Raises:
        ValueError: a size that is not a positive whole number, or an unknown format of numbers.
    """
    sizes = {"layers": layers, "kv_heads": kv_heads, "head_dim": head_dim, "length": length, "batch": batch}
    for name, value in sizes.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name}={value!r} must be a whole number from 1 on")
    return 2 * layers * kv_heads * head_dim * length * batch * NUMBERS[one_of("number", number, [*NUMBERS])]


class CacheSizes(Figure, module="cache_sizes.mjs"):
    r"""Cache sizes: the heads of MHA, GQA and MQA drawn, and the bytes of the cache against the length of the text.

    The reader chooses a published model or sets its sizes, shares the heads of keys and values among more or fewer heads of
    queries, and makes texts longer or more numerous. The bytes are those of :func:`cache_bytes`.

    ``chosen`` (the number of the model), ``layers``, ``heads``, ``kv_heads``, ``head_dim``, ``length``, ``batch``, ``number``
    ("float32", "float16", "int8") and ``memory`` (10⁹ bytes that the cache may take) can be set and read from Python.

    Args:
        models: models to choose from, besides those of the literature (:data:`PUBLISHED`); they come first.
        length: T with which the figure begins.
        batch: B.

    Raises:
        ValueError: models that are no list of :class:`CacheModel`, a size outside what is allowed, or heads of keys and values
            that do not divide the heads of queries.
    """

    models = t.List(t.Dict()).tag(sync=True)
    most = t.Dict().tag(sync=True)
    numbers = t.Dict().tag(sync=True)
    chosen = t.Int(0).tag(sync=True)
    layers = t.Int(1).tag(sync=True)
    heads = t.Int(1).tag(sync=True)
    kv_heads = t.Int(1).tag(sync=True)
    head_dim = t.Int(1).tag(sync=True)
    length = t.Int(1).tag(sync=True)
    batch = t.Int(1).tag(sync=True)
    number = t.Unicode("float16").tag(sync=True)
    memory = t.Int(80).tag(sync=True)

    def __init__(self, models: Sequence[CacheModel] = (), *, length: int = 4096, batch: int = 1, **kwargs: Any) -> None:
        if isinstance(models, str) or not isinstance(models, Sequence) or not all(isinstance(m, CacheModel) for m in models):
            raise ValueError(f"models is {models!r:.80}; it must be a list of CacheModel(name, layers, heads, kv_heads, …)")
        every = [*models, *PUBLISHED]
        first = every[in_range("chosen", kwargs.pop("chosen", 0 if models else 2), 0, len(every) - 1)]
        sizes = {name: getattr(first, name) for name in ("layers", "heads", "kv_heads", "head_dim")}
        super().__init__(
            models=[asdict(model) for model in every],
            most=MOST,
            numbers=NUMBERS,
            chosen=every.index(first),
            length=length,
            batch=batch,
            **{**sizes, **kwargs},
        )

    def bytes(self, kv_heads: int | None = None) -> int:
        """The bytes of the cache in the present sizes, or with another number of heads of keys and values."""
        kv_heads = self.kv_heads if kv_heads is None else kv_heads
        return cache_bytes(self.layers, kv_heads, self.head_dim, self.length, self.batch, self.number)

    def describe(self) -> str:
        now, all_heads, one = (self.bytes(n) / 1e9 for n in (self.kv_heads, self.heads, 1))
        name, per = self.models[self.chosen]["name"], self.heads // self.kv_heads
        texts = "1 text" if self.batch == 1 else f"{self.batch} texts"
        return (
            f"Cache sizes. While a Transformer writes, it keeps a key and a value for every token, layer and head of keys and "
            f"values. {name} has {self.heads} heads of queries in each of {self.layers} layers, {per} for every head of keys "
            f"and values. For {texts} of {self.length} tokens in {self.number} its cache takes {now:.3g} GB. With as many "
            f"heads of keys and values as of queries it would take {all_heads:.3g} GB, with one {one:.3g} GB."
        )

    @t.validate("layers", "head_dim", "length", "batch")
    def _check_size(self, proposal: Any) -> int:
        name = proposal["trait"].name
        return in_range(name, proposal["value"], 1, MOST[name])

    @t.validate("heads", "kv_heads")
    def _check_heads(self, proposal: Any) -> int:
        now = {"heads": self.heads, "kv_heads": self.kv_heads, proposal["trait"].name: proposal["value"]}
        shared(now["heads"], now["kv_heads"])
        return proposal["value"]

    @t.validate("number")
    def _check_number(self, proposal: Any) -> str:
        return one_of("number", proposal["value"], [*NUMBERS])

    @t.validate("memory")
    def _check_memory(self, proposal: Any) -> int:
        return in_range("memory", proposal["value"], *MEMORY)

    @t.validate("chosen")
    def _check_chosen(self, proposal: Any) -> int:
        return in_range("chosen", proposal["value"], 0, max(0, len(self.models) - 1))
