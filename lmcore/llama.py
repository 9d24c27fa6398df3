"""Llama: the same decoder as GPT with other parts, and the way from the one to the other, change by change.

Touvron et al. (2023) changed three parts of GPT: the norm (:class:`~lmcore.blocks.RMSNorm`), the feed-forward network
(:class:`~lmcore.blocks.SwiGLU`) and the positions (:class:`~lmcore.positions.Rotary`). Biases went too, as before in PaLM, and
later several heads came to share their keys and values (:class:`~lmcore.attention.MultiHeadAttention`). Each is a switch of
:class:`lmcore.gpt.GPTConfig`, so :class:`Llama` is :class:`lmcore.gpt.GPT` with all of them set, and nothing else. To make one
change at a time, at equal size, see :func:`changed`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from lmcore.batches import at_least
from lmcore.blocks import RMSNorm, SwiGLU, rms_norm, swiglu, swiglu_hidden
from lmcore.gpt import GPT, GPTConfig

__all__ = [
    "CHANGES",
    "Llama",
    "LlamaConfig",
    "RMSNorm",
    "SwiGLU",
    "changed",
    "rms_norm",
    "swiglu",
    "swiglu_hidden",
    "with_parameters",
]

CHANGES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "RMSNorm": {"norm": "rms"},
        "SwiGLU": {"activation": "swiglu"},
        "rotary positions": {"positions": "rotary"},
        "grouped queries": {},  # how many groups is a number, see changed()
        "no biases": {"bias": False},
    }
)
"""What Llama changed in GPT: name → fields of :class:`lmcore.gpt.GPTConfig`."""


@dataclass(frozen=True, slots=True)
class LlamaConfig(GPTConfig):
    """The sizes of a Llama; those that are not named here are the 7 B model's of Touvron et al. (2023).

    It is a :class:`lmcore.gpt.GPTConfig` whose ``norm``, ``activation`` and ``positions`` are Llama's and cannot be given.

    Attributes:
        vocab_size: V.
        max_length: for which length it was trained; a longer text can be read, and the model has seen nothing like it.
        dim: C, the width of every vector.
        heads: H, of each layer's attention.
        kv_heads: heads of keys and values; H if not given.
        head_dim: D, even; C / H if not given.
        layers: N, how many.
        hidden: F, the width of the feed-forward network's hidden layer; two thirds of 4 C if not given
            (:func:`lmcore.blocks.swiglu_hidden`).
        eps: added inside the root of every norm.
        theta: base of the angles of rotary positions.
        tied: the output matrix is that of the embeddings; in the larger models it is not.
        bias, dropout, std, qk_norm: as there; Llama has no biases, no dropout and does not normalise queries and keys.

    Raises:
        ValueError: as there.
    """

    max_length: int = 2048
    dim: int = 4096
    heads: int = 32
    layers: int = 32
    bias: bool = False
    tied: bool = False
    eps: float | int = 1e-6
    activation: str = field(default="swiglu", init=False)
    norm: str = field(default="rms", init=False)
    positions: str = field(default="rotary", init=False)


class Llama(GPT):
    """The model of Touvron et al. (2023): :class:`lmcore.gpt.GPT`, with all of its methods, made of Llama's parts.

    Args:
        config: the sizes.

    Raises:
        ValueError: ``config`` is something else.
    """

    config: LlamaConfig

    def __init__(self, config: LlamaConfig):
        if not isinstance(config, LlamaConfig):
            raise ValueError(f"config must be a LlamaConfig; got {config!r}")
        super().__init__(config)


def changed(config: GPTConfig, *names: str, kv_heads: int | None = None) -> GPTConfig:
    """A config with some of Llama's changes, and as many parameters as before: the hidden width makes up for the difference.

    Gates need a third matrix, rotary positions save the table of learned ones, and shared key heads save rows of the
    projections. Without :func:`with_parameters` a comparison would measure these too. (Touvron et al. 2023b, section A.2.1,
    widen the hidden layer likewise.)

    Args:
        config: the beginning, such as a GPT's.
        names: keys of :data:`CHANGES`; none changes nothing, ``*CHANGES`` gives a Llama's choices.
        kv_heads: for ``"grouped queries"``, how many heads keys and values have; a quarter, or the next smaller divisor of the
            number of heads, if not given.

    Raises:
        ValueError: a name is unknown, or no hidden width gives this number of parameters.
    """
    fields: dict[str, Any] = {}
    for name in names:
        if name not in CHANGES:
            raise ValueError(f"{name!r} is none of Llama's changes; use some of {', '.join(map(repr, CHANGES))}")
        fields |= CHANGES[name]
    if kv_heads is not None and "grouped queries" not in names:
        raise ValueError(f"kv_heads={kv_heads!r} belongs to the change 'grouped queries', which is not named")
    if "grouped queries" in names:
        quarter = max(1, config.heads // 4)
        fewer = max(n for n in range(1, quarter + 1) if config.heads % n == 0)
        fields["kv_heads"] = fewer if kv_heads is None else kv_heads
    return with_parameters(replace(config, **fields), config.parameters) if fields else config


def with_parameters(config: GPTConfig, parameters: int) -> GPTConfig:
    """The config with the hidden width that brings its number of parameters closest to this one.

    One more hidden unit adds 2 C or, with gates, 3 C parameters to every layer, and its biases. The result is off by half of
    that at most.

    Raises:
        ValueError: even one hidden unit makes the model larger than that by more than half a unit.
    """
    at_least(1, parameters=parameters)
    least = replace(config, hidden=1)
    unit = replace(config, hidden=2).parameters - least.parameters
    hidden = 1 + round((parameters - least.parameters) / unit)
    if hidden < 1:
        raise ValueError(
            f"this model has {least.parameters} parameters with a hidden layer of width 1 already; parameters={parameters} "
            "cannot be met, make it narrower or give it fewer layers"
        )
    return replace(config, hidden=hidden)
