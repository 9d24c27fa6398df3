"""A student's function swapped into a real model of the book: the same logits, the same loss, the same gradients.

A model of :mod:`lmcore.seq2seq` or :mod:`lmcore.transformer` is made in a small size, with the parameters of the case in its
first place and drawn ones elsewhere. Wherever it would do its own computation of the part in question, the student's function
is called instead. A case that is meant to be followed by hand (one text, or no batch at all) runs the function alone.

A model that others publish gets its weights through a checkpoint of theirs (:func:`with_checkpoint`), and its gradients have
the names and shapes of that checkpoint.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lmcore.attention import masked_softmax
from lmcore.bert import Bert, BertConfig
from lmcore.blocks import LayerNorm
from lmcore.check.gradients import copied, gradients_of, leaves_of, value_and_gradients
from lmcore.pretrained import NameTable, from_huggingface, to_huggingface
from lmcore.seq2seq import Seq2Seq
from lmcore.transformer import TransformerLM, TransformerTranslator

VOCABULARY = 7
EMBEDDING = 3  # of the recurrent model


@dataclass
class Swap:
    """A model with a place for a student's function.

    Attributes:
        model: the model.
        run: gives its logits, B T V, for its own input.
        put: puts a function in the place of the model's own computation.
        shape: of what the function returns for the arguments of the case; of each part, if that is a tuple.
        names: those of the checkpoint that the weights came from; the gradients are given under them.
        loss: from logits to the loss; if not given, a cross-entropy that asks each place for some token.
    """

    model: nn.Module
    run: Callable[[], Tensor]
    put: Callable[[Callable], None]
    shape: torch.Size | tuple[torch.Size, ...]
    names: NameTable | None = None
    loss: Callable[[Tensor], Tensor] | None = None

    def outcome(self) -> dict[str, Any]:
        """Logits, loss and the gradient of every parameter; the gradients are ``None`` if none reaches the loss."""
        logits = self.run()
        loss = (self.loss or _some_loss)(logits)
        if not loss.requires_grad:
            return {"logits": logits, "loss": loss, "gradients": None}
        named = dict(self.model.named_parameters())
        gradients = dict(zip(named, gradients_of(loss, list(named.values())), strict=True))
        if self.names is not None:
            gradients = in_their_names(self.model, gradients, self.names)
        return {"logits": logits, "loss": loss, "gradients": gradients}


def _some_loss(logits: Tensor) -> Tensor:
    return F.cross_entropy(logits.flatten(0, 1), torch.arange(logits[..., 0].numel(), device=logits.device) % VOCABULARY)


def _fits(value: Any, shape: tuple, dtype: torch.dtype) -> bool:
    """Whether a value is a tensor of this shape and format, or a tuple of such tensors."""
    if isinstance(shape, torch.Size):
        return isinstance(value, Tensor) and (value.shape, value.dtype) == (shape, dtype)
    same = isinstance(value, tuple) and len(value) == len(shape)
    return same and all(_fits(part, size, dtype) for part, size in zip(value, shape, strict=True))


Maker = Callable[..., Swap | None]


def in_a_model(
    make: Maker, real: Callable[[Callable, torch.device], Any] | None = None, real_name: str = "MiniLM"
) -> Callable[[Callable, list], Any]:
    """A probe: value and gradients of one call, and for a case with a model what the model with this function does.

    The answer of the second kind is that of :func:`value_and_gradients` with one more entry, ``model``, which is
    :meth:`Swap.outcome`, or ``None`` if the function does not return a tensor like the one the model needs. With ``real``
    the answer for a case of two texts has a further entry, called ``real_name``: what this says of the function on the case's
    device.
    """

    def probe(function: Callable, args: list) -> Any:
        kept = [copied(arg) for arg in args]
        found = value_and_gradients(function, args)
        swap = make(*kept)
        if swap is None:
            return found
        value, like = found["value"], next(leaves_of(kept))
        fits = _fits(value, swap.shape, like.dtype)
        if fits:
            swap.put(function)
        found["model"] = swap.outcome() if fits else None
        if real is not None and len(kept[0]) == 2:  # one such case is enough: a model with real weights takes time
            found[real_name] = real(function, like.device) if fits else None
        return found

    return probe


def drawn(model: nn.Module, like: Tensor) -> Any:
    """The model with all its parameters drawn from a generator of its own, on the device and in the format of ``like``."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / parameter.shape[-1] ** 0.5)
    return model.to(like)


def put_values(module: nn.Module, values: Mapping[str, Tensor]) -> None:
    """Replace the parameters that ``values`` names; all others stay."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name in values:
                parameter.copy_(values[name])


def with_checkpoint(model: nn.Module, names: NameTable, given: Mapping[str, Tensor], like: Tensor) -> Any:
    """The model with the weights of a checkpoint, on the device and in the format of ``like``.

    The checkpoint has the names and shapes of ``names``, as :mod:`lmcore.pretrained` reads it; what is not ``given`` is drawn.
    """
    model = drawn(model, like)
    from_huggingface(model, to_huggingface(model, names) | dict(given), names)
    return model


def in_their_names(model: nn.Module, values: Mapping[str, Tensor], names: NameTable) -> dict[str, Tensor]:
    """One tensor for each parameter of the model, such as its gradients, under the names and in the shapes of a checkpoint."""
    return to_huggingface(_Values(model.state_dict() | dict(values)), names)


class _Values(nn.Module):
    """Tensors under a model's names: all of it that a name table looks at."""

    def __init__(self, values: dict[str, Tensor]):
        super().__init__()
        self.values = values

    def state_dict(self, *args: Any, **how: Any) -> dict[str, Tensor]:  # type: ignore[override]
        return self.values


def ids_like(like: Tensor) -> Tensor:
    """A token for each of the vectors in ``like``."""
    return (torch.arange(like[..., 0].numel(), device=like.device) * 3 % VOCABULARY).view(like.shape[:2])


def replace_forward(module: nn.Module, forward: Callable) -> None:
    """From now on ``module`` computes ``forward``, with the parameters it has."""
    module.forward = forward  # type: ignore[method-assign]


def additive(query: Tensor, keys: Tensor, W_a: Tensor, U_a: Tensor, v_a: Tensor) -> Swap | None:
    """A recurrent translator whose decoder scores the encoder's states with ``function(query, keys, W_a, U_a, v_a)``.

    The model has as many units as v_a has numbers. A case whose queries and keys do not fit that has no model.
    """
    hidden = len(v_a)
    if len(query) == 1 or W_a.shape[1] != hidden or U_a.shape[1] not in (hidden, 2 * hidden):
        return None
    both = U_a.shape[1] == 2 * hidden
    how: dict[str, Any] = {"cell": "gru", "attention": True, "bidirectional": both, "fused": False}
    model = drawn(Seq2Seq(VOCABULARY, VOCABULARY, EMBEDDING, hidden, **how), query)
    attention = model.decoder.attention
    put_values(attention, {"query.weight": W_a, "key.weight": U_a, "score.weight": v_a[None]})
    lengths = torch.arange(len(keys), device=keys.device) % keys.shape[1] + 1
    sources, inputs = ids_like(keys), ids_like(query)

    def put(function: Callable) -> None:
        def forward(query: Tensor, keys: Tensor, mask: Tensor | None = None, *, projected: Tensor) -> tuple[Tensor, Tensor]:
            part = attention.query.weight, attention.key.weight, attention.score.weight[0]
            weights = masked_softmax(function(query.clone(), keys.clone(), *part), mask)
            return weights @ keys, weights

        replace_forward(attention, forward)

    shape = torch.Size((*query.shape[:2], keys.shape[1]))
    return Swap(model, lambda: model(sources, lengths, inputs), put, shape)


def norms(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Swap | None:
    """A language model of one layer, all of whose three layer normalisations are ``function(x, weight, bias, eps)``."""
    if x.ndim != 3 or len(x) == 1:
        return None
    how: dict[str, Any] = {"positions": "learned", "max_length": x.shape[1], "eps": eps}
    model = drawn(TransformerLM(VOCABULARY, len(weight), 1, 1, hidden=5, **how), x)
    parts = [part for part in model.modules() if isinstance(part, LayerNorm)]
    put_values(parts[0], {"weight": weight, "bias": bias})
    ids = ids_like(x)

    def put(function: Callable) -> None:
        for part in parts:
            replace_forward(part, lambda x, part=part: function(x.clone(), part.weight, part.bias, part.eps))

    return Swap(model, lambda: model(ids), put, x.shape)


def blocks(x: Tensor, parameters: dict[str, Tensor], heads: int) -> Swap | None:
    """A language model of two layers, which are both ``function(x, parameters, heads)``, pre-norm and causal."""
    if len(x) == 1:
        return None
    hidden, width = parameters["linear1.weight"].shape
    how: dict[str, Any] = {"positions": "learned", "max_length": x.shape[1]}
    model = drawn(TransformerLM(VOCABULARY, width, heads, 2, hidden=hidden, **how), x)
    put_values(model.stack.layers[0], parameters)
    ids = ids_like(x)

    def put(function: Callable) -> None:
        for layer in model.stack.layers:
            own = dict(layer.named_parameters())
            replace_forward(layer, lambda x, mask=None, own=own, **how: function(x.clone(), dict(own), heads))

    return Swap(model, lambda: model(ids), put, x.shape)


def cross(
    x: Tensor, memory: Tensor, lengths: Tensor, W_q: Tensor, W_k: Tensor, W_v: Tensor, W_o: Tensor, heads: int
) -> Swap | None:
    """A Transformer that translates, whose decoder looks at the encoder's outputs with ``function``."""
    if len(x) == 1:
        return None
    how: dict[str, Any] = {"positions": "learned", "max_length": max(x.shape[1], memory.shape[1]), "bias": False}
    model = drawn(TransformerTranslator(VOCABULARY, VOCABULARY, len(W_q), heads, 1, hidden=5, **how), x)
    part = model.transformer.decoder.layers[0].multihead_attn
    put_values(part, {"in_proj_weight": torch.cat([W_q, W_k, W_v]), "out_proj.weight": W_o})
    sources, inputs = ids_like(memory), ids_like(x)

    def put(function: Callable) -> None:
        def forward(query: Tensor, memory: Tensor, **how: Any) -> tuple[Tensor, None]:
            matrices = *part.in_proj_weight.chunk(3), part.out_proj.weight
            return function(query.clone(), memory.clone(), lengths.clone(), *matrices, heads), None

        replace_forward(part, forward)

    return Swap(model, lambda: model(sources, lengths, inputs), put, x.shape)


def embeddings(
    ids: Tensor, segments: Tensor, E: Tensor, P: Tensor, S: Tensor, weight: Tensor, bias: Tensor, eps: float
) -> Swap | None:
    """A BERT of one layer that reads the vectors ``function(ids, segments, E, P, S, weight, bias, eps)``; its logits are the
    products of its last vectors with the embeddings E of the first seven words."""
    if len(ids) == 1:
        return None
    sizes = {"vocab_size": len(E), "dim": len(weight), "max_length": len(P), "segments": len(S)}
    config = BertConfig(**sizes, heads=1, layers=1, hidden=5, dropout=0.0, eps=eps, pooler=False)
    model = drawn(Bert(config), weight)
    put_values(
        model, {"tokens.weight": E, "positions.weight": P, "segments.weight": S, "norm.weight": weight, "norm.bias": bias}
    )
    lengths = torch.arange(len(ids), device=ids.device) % ids.shape[1] + 1

    def run() -> Tensor:
        return model(ids, lengths, segments) @ model.tokens.weight[:VOCABULARY].T

    return Swap(model, run, partial(put_embeddings, model, ids=ids, segments=segments), torch.Size((*ids.shape, len(weight))))


def put_embeddings(model: Bert, function: Callable, ids: Tensor, segments: Tensor) -> None:
    """From now on a BERT that is given ``ids`` and ``segments`` reads ``function`` of them and its tables instead."""
    tables = model.tokens.weight, model.positions.weight, model.segments.weight

    def forward(x: Tensor) -> Tensor:  # the norm is the last step of the embeddings
        return function(ids.clone(), segments.clone(), *tables, model.norm.weight, model.norm.bias, model.config.eps)

    replace_forward(model.norm, forward)


in_additive = in_a_model(additive)
in_norms = in_a_model(norms)
in_blocks = in_a_model(blocks)
in_cross = in_a_model(cross)
