"""From prompts to texts, for any model and any way to choose."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lmcore.batches import Ids, at_least, documents
from lmcore.generate.search import Normalizer, beam, length_normalizer
from lmcore.generate.steps import Hypothesis, Uncached
from lmcore.generate.walk import Generators, greedy, sample


@torch.no_grad()
def generate(
    model: Any,
    prompts: Sequence[Ids],
    *,
    max_new: int,
    end: int | Sequence[int] = (),
    never: Sequence[int] = (),
    width: int = 1,
    alpha: float = 0.0,
    normalizer: Normalizer = length_normalizer,
    generator: Generators | None = None,
    temperature: float | None = None,
    top_k: int | None = None,
    top_p: float | None = None,
    repetition: float | None = None,
    given: Sequence[Tensor] = (),
    cache: bool = True,
    batch_size: int = 128,
) -> list[Hypothesis]:
    """Continue every prompt: greedily, by beam search (``width`` above 1), or by drawing (with a ``generator``).

    Prompts of different lengths go through the model side by side, without padding. All are read up to the end of the shortest
    one at once. From there every row takes one token after the other: one that is left of its prompt, or a new one. So all
    rows are at the same position at any time, and each gets what it would get alone. Prompts of about one length share a
    batch, so that little is left to read in this way.

    Args:
        model: ``begin(ids)`` reads (B, T) tokens, T ≥ 0, and returns a state; then ``step`` and ``select`` go on from it. It
            is put in evaluation mode.
        prompts: the ids of each, at least one; what a model expects at the beginning of a text, such as ⟨start⟩, included.
        max_new: the most tokens to add, ⟨end⟩ counted.
        end: the id, or ids, that end a text; none by default.
        never: ids that are not to be generated.
        width, alpha, normalizer: see :func:`beam`; the best of its hypotheses is returned.
        generator: draw, with these random numbers; one, or one per prompt. See :func:`sample`.
        temperature, top_k, top_p: change what is drawn from, see :func:`filtered`.
        repetition: see :func:`repetition_penalty`; greedily or drawing.
        given: for a translator, ``(sources, lengths)``: handed to ``begin`` instead of tokens, one row per prompt.
        cache: ``False`` computes everything anew at every step, by :class:`Uncached`; the result is the same.
        batch_size: how many prompts at a time.

    Returns:
        for every prompt what follows it, in the order of the prompts.

    Raises:
        ValueError: a prompt is empty or not ids, a setting is out of range, or settings exclude each other.
    """
    at_least(1, max_new=max_new, width=width, batch_size=batch_size)
    texts = documents(prompts)
    if empty := [number for number, text in enumerate(texts) if not len(text)]:
        raise ValueError(f"prompt {empty[0]} is empty; give at least one token, such as ⟨start⟩")
    choose = _way(width, alpha, normalizer, generator, temperature, top_k, top_p, repetition)
    if isinstance(generator, list | tuple) and len(generator) != len(texts):
        raise ValueError(f"there are {len(generator)} generators for {len(texts)} prompts; give one, or one per prompt")
    if not isinstance(generator, torch.Generator | list | tuple | None):
        raise ValueError(f"generator must be a torch.Generator, or a list of one per prompt; got {generator!r}")
    if any(len(part) != len(texts) for part in given):
        raise ValueError(f"given has {[len(part) for part in given]} rows for {len(texts)} prompts; every prompt needs one")
    reader: Any = model if cache else Uncached(model)
    if not hasattr(reader, "begin"):
        raise ValueError(f"a {type(model).__name__} has no begin(ids); use cache=False, which needs only model(ids)")
    device = getattr(model, "device", torch.device("cpu"))
    if isinstance(model, nn.Module):
        model.eval()
        device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))

    order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
    found: dict[int, Hypothesis] = {}
    for rows in (order[i : i + batch_size] for i in range(0, len(order), batch_size)):
        place = 0 if given else len(texts[rows[0]]) - 1  # where the first token stands that is read step by step
        begun = torch.tensor([texts[row][: place + 1].tolist() for row in rows], device=device)
        read, first = begun[:, :place], begun[:, place]
        handed = [part[torch.tensor(rows, device=part.device)] for part in given]
        state = reader.begin(*handed) if given and cache else reader.begin(read, *handed)
        how: dict[str, Any] = {"end": end, "max_length": max_new, "never": never}
        how["rest"] = [texts[row][place + 1 :].tolist() for row in rows]
        found.update(zip(rows, choose(reader, state, first, read, rows, how), strict=True))
    return [found[row] for row in range(len(texts))]


def _way(
    width: int,
    alpha: float,
    normalizer: Normalizer,
    generator: Generators | None,
    temperature: float | None,
    top_k: int | None,
    top_p: float | None,
    repetition: float | None,
) -> Callable[..., list[Hypothesis]]:
    """The search that these settings ask for."""
    if generator is None:
        for name, value in (("temperature", temperature), ("top_k", top_k), ("top_p", top_p)):
            if value is not None:
                raise ValueError(f"{name}={value!r} changes what is drawn; to draw, give a generator (torch.Generator) too")
    if width > 1:
        if generator is not None or repetition is not None:
            name = "generator" if generator is not None else "repetition"
            raise ValueError(f"width={width} is a beam search, which has no place for {name}; use width=1, or leave it out")
        beams = {"width": width, "alpha": alpha, "normalizer": normalizer, "results": 1}
        return lambda model, state, first, read, rows, how: [
            best
            for (best, *_) in beam(model, state, first, **beams, **how)  # type: ignore[arg-type]
        ]
    if generator is None:
        return lambda model, state, first, read, rows, how: greedy(model, state, first, repetition=repetition, read=read, **how)
    filters = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "repetition": repetition}

    def draw(model: Any, state: Any, first: Tensor, read: Tensor, rows: list[int], how: dict[str, Any]) -> list[Hypothesis]:
        mine = generator if isinstance(generator, torch.Generator) else [generator[row] for row in rows]
        return sample(model, state, first, generator=mine, read=read, **filters, **how)  # type: ignore[arg-type]

    return draw
