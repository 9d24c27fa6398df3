"""A student's function swapped into a GPT-2: a small one with random weights, and GPT-2 itself where it is installed.

A case of two texts has a model, all others run the function alone. The small models have the names and shapes of a GPT-2's
checkpoint, and read their weights through it (:func:`lmcore.check.swap.with_checkpoint`). The real one need not be there. Where
it is not, the answer says so, and the comparison leaves it out (:func:`lmcore.check.values.where_installed`); nothing is
fetched.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lmcore.attention import Cache, MultiHeadAttention
from lmcore.bpe import BPE
from lmcore.check.swap import VOCABULARY, Swap, ids_like, in_a_model, replace_forward, with_checkpoint
from lmcore.check.values import NOT_INSTALLED
from lmcore.gpt import GPT, GPTConfig
from lmcore.pretrained import gpt2_names

TEXT = "The keys to the old house are on the table, and the door"
FIRST = "transformer.h.0.attn."


def _small(
    like: Tensor,
    width: int,
    heads: int,
    length: int,
    *,
    vocabulary: int = VOCABULARY,
    given: dict[str, Tensor] | None = None,
) -> GPT:
    """A GPT-2 of one layer; ``given`` are parameters of its attention."""
    config = GPTConfig(vocabulary, max_length=length, dim=width, heads=heads, layers=1, hidden=5, activation="gelu_tanh")
    first = {f"{FIRST}{name}": tensor for name, tensor in (given or {}).items()}
    return with_checkpoint(GPT(config), gpt2_names(1), first, like)


def causal(scores: Tensor) -> Swap | None:
    """A GPT-2 whose weights of attention are ``function(scores)``.

    With more keys than queries, (B, H, T, S), it reads S − T tokens first, and then T at once with a cache.
    """
    if len(scores) != 2:
        return None
    texts, heads, new, length = scores.shape
    model = _small(scores, 2 * heads, heads, length)
    ids = ids_like(scores.new_zeros(texts, length, 1))

    def run() -> Tensor:
        state = model.begin()
        parts = [part for part in ids.split([length - new, new], dim=1) if part.shape[1]]
        return torch.cat([model(part, cache=state) for part in parts], dim=1)

    def put(function: Callable) -> None:
        for attention in _attentions(model):

            def forward(x: Tensor, *, cache: Cache, attention: MultiHeadAttention = attention, **how: Any) -> Any:
                q, k, v = attention._project_self(x)
                k, v = cache.append(k, v)
                found = function(q @ k.mT / attention.head_dim**0.5) @ v
                return attention.out_proj(found.transpose(1, 2).flatten(2)), None

            replace_forward(attention, forward)

    return Swap(model, run, put, scores.shape, gpt2_names(1))


def losses(logits: Tensor, ids: Tensor, lengths: Tensor) -> Swap | None:
    """A GPT-2 that learns with the loss ``function(logits, ids, lengths)``."""
    if len(ids) != 2:
        return None
    model = _small(logits, 6, 2, ids.shape[1], vocabulary=logits.shape[2])
    swap = Swap(model, lambda: model(ids), lambda function: None, torch.Size(()), gpt2_names(1))

    def put(function: Callable) -> None:
        swap.loss = lambda logits: function(logits, ids.clone(), lengths.clone())

    swap.put = put
    return swap


def in_a_tied_model(function: Callable, args: list) -> Any:
    """A probe: ``function(ids, states, read, written)``, and for two texts a GPT-2 that learns one step with it.

    Returns:
        the value alone; for two texts ``{"value": …, "model": …}``, where ``model`` is what the function makes of the states
        and gradients of that GPT-2, and its loss before and after a step against all gradients; ``None`` if the function does
        not return a gradient of the matrix.
    """
    ids, states, size = args[0].clone(), args[1].clone(), args[3].shape[2]
    value = function(*args)
    if len(ids) != 2:
        return value
    fits = isinstance(value, Tensor) and (value.shape, value.dtype) == ((size, states.shape[2]), states.dtype)
    return {"value": value, "model": _one_step(function, ids, states, size) if fits else None}


def _one_step(function: Callable, ids: Tensor, like: Tensor, size: int) -> dict[str, Tensor]:
    model = _small(like, like.shape[2], 1, ids.shape[1], vocabulary=size)
    kept: dict[nn.Module, Tensor] = {}
    for part in (model.embedding, model.norm):
        part.register_forward_hook(lambda part, given, value: kept.update({part: value}))

    def loss_and_logits() -> tuple[Tensor, Tensor]:
        logits = model(ids)
        return F.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten()), logits

    loss, logits = loss_and_logits()
    read, written = torch.autograd.grad(loss, [kept[model.embedding], logits], retain_graph=True)
    gradients = list(torch.autograd.grad(loss, list(model.parameters())))
    table = model.embedding.weight
    tied = function(ids.clone(), kept[model.norm].detach(), read, written)
    with torch.no_grad():
        for parameter, gradient in zip(model.parameters(), gradients, strict=True):
            parameter.sub_(tied if parameter is table else gradient, alpha=0.1)
        after, _ = loss_and_logits()
    return {"gradient": tied, "loss": loss, "loss after a step": after}


class _Past(Cache):
    """A cache whose contents are replaced: what a function returns is what it is given next."""

    def replace(self, keys: Tensor, values: Tensor) -> None:
        fresh = Cache()
        fresh.append(keys, values)
        self._room, self.length = fresh._room, fresh.length


def cached(x: Tensor, keys: Tensor, values: Tensor, parameters: dict[str, Tensor]) -> Swap | None:
    """A GPT-2 that reads two tokens at once and then one by one, with ``function(x, keys, values, parameters)`` for attention.

    Its logits are those of all tokens, as if it had read them in one pass.
    """
    if len(x) != 2:
        return None
    texts, new, width = x.shape
    heads, length = keys.shape[1], 4
    model = _small(x, width, heads, length, given=parameters)
    ids = ids_like(x.new_zeros(texts, length, 1))

    def put(function: Callable) -> None:
        put_steps(model, function)

    longer = torch.Size((*keys.shape[:2], keys.shape[2] + new, keys.shape[3]))
    return Swap(model, lambda: _step_by_step(model, ids), put, (x.shape, longer, longer), gpt2_names(1))


def _step_by_step(model: GPT, ids: Tensor, first: int = 2) -> Tensor:
    """The logits of all tokens: the first few are read at once, the others one by one, with a cache."""
    state = tuple(_Past() for _ in model.layers)
    return torch.cat([model(part, cache=state) for part in (ids[:, :first], *ids[:, first:].split(1, dim=1))], dim=1)


def put_steps(model: GPT, function: Callable) -> None:
    """From now on the attention of every layer is ``function``, which is given the parameters as GPT-2's files hold them."""
    for attention in _attentions(model):
        own = {
            "c_attn.weight": attention.in_proj_weight.mT,
            "c_attn.bias": attention.in_proj_bias,
            "c_proj.weight": attention.out_proj.weight.mT,
            "c_proj.bias": attention.out_proj.bias,
        }

        def forward(x: Tensor, *, cache: _Past, attention: Any = attention, own: dict = own, **how: Any) -> Any:
            nothing = x.new_empty(len(x), attention.heads, 0, attention.head_dim)
            past = (cache.keys, cache.values) if len(cache) else (nothing, nothing)
            y, keys, values = function(x.clone(), *past, dict(own))
            cache.replace(keys, values)
            return y, None

        replace_forward(attention, forward)


def _attentions(model: GPT) -> list[Any]:
    return [layer.self_attn for layer in model.layers]


# GPT-2 itself


@cache
def _gpt2(device: torch.device) -> tuple[GPT, BPE] | None:
    """GPT-2 small and its tokeniser; ``None`` where it is not installed."""
    from lmcore import pretrained

    where = pretrained.installed("gpt2")
    if where is None:
        return None
    model, tokenizer = pretrained.load_gpt2(where)
    return model.requires_grad_(False).to(device), tokenizer


def real_gpt2() -> str:
    """A sentence that says which GPT-2 takes a student's function here."""
    found = _gpt2(torch.device("cpu"))
    if found is None:
        fetch = 'from lmcore import pretrained; pretrained.load("gpt2")'
        return f"GPT-2 is not installed: the check uses a small random one alone. To have both, fetch it once, 550 MB: {fetch}"
    c = found[0].config
    return f"The check uses a small random GPT-2 and the real one: {c.layers} layers, width {c.dim}, {c.vocab_size:,} tokens."


def in_gpt2(function: Callable, device: torch.device) -> dict[str, Any] | str:
    """What GPT-2 makes of :data:`TEXT`, read token by token with ``function`` for its attention.

    Returns:
        Its loss in nats per token, and the text with the next tokens that it finds likeliest, or
        :data:`lmcore.check.values.NOT_INSTALLED`.
    """
    found = _gpt2(device)
    if found is None:
        return NOT_INSTALLED
    model, tokenizer = found
    ids = torch.tensor([tokenizer.encode(TEXT)], device=device)
    try:
        put_steps(model, function)
        with torch.no_grad():
            logits = _step_by_step(model, ids)
    finally:
        for attention in _attentions(model):
            attention.__dict__.pop("forward", None)  # its own again
    loss = F.cross_entropy(logits[0, :-1], ids[0, 1:])
    return {"loss": loss.item(), "likeliest": tokenizer.decode([int(logits[0, -1].argmax())])}


in_causal = in_a_model(causal)
in_losses = in_a_model(losses)
in_cached = in_a_model(cached, in_gpt2, "GPT-2")
