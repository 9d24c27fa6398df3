"""Classes, generators and training loops: what they do, as plain data that can be compared.

These probes know nothing but torch, so that a sandbox needs no room of the package for them. An answer's keys are words that
a student reads in a hint, such as ``at ['gradients']['weight']``; they stand in the order in which they help.
"""

import copy
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn

from lmcore.check.show import a_type, type_name
from lmcore.check.values import UnsupportedError, difference, plain

MOST_ITEMS = 20  # of a generator; one that goes on for ever is asked for no more


class NotAsAskedError(TypeError):
    """What was written is not the kind of thing that was asked for; the message follows the name in a sentence."""


def module(build: Callable, args: list) -> dict[str, Any]:
    """``build`` is a class, or a function that returns a module; ``args`` are the arguments of its constructor as a tuple, the
    numbers to put into its parameters as a dict of tensors, or ``None`` to leave those it starts with, and its inputs.

    Returns:
        ``{"not registered": {name: type}, "parameters": {name: shape}, "output": …, "gradients": {name: tensor}}``. The
        gradients are those of a weighted sum of the output, with respect to every parameter and every floating-point
        input; ``None`` where none flows. Output and gradients are ``None`` where the parameters are not those of the dict.
    """
    constructor, state, *inputs = args
    built = _built(build, constructor)
    if device := next((given.device for given in inputs if isinstance(given, Tensor)), None):
        built.to(device)
    parameters = dict(built.named_parameters())
    answer: dict[str, Any] = {
        "not registered": _not_registered(built),
        "parameters": {name: str(tuple(parameter.shape)) for name, parameter in parameters.items()},
    }
    if state is not None:
        places = {**{name: buffer for name, buffer in built.named_buffers() if name in state}, **parameters}
        if {name: place.shape for name, place in places.items()} != {name: given.shape for name, given in state.items()}:
            return {**answer, "output": None, "gradients": None}
        with torch.no_grad():
            for name, place in places.items():
                place.copy_(state[name])
    leaves = [given.requires_grad_() for given in inputs if isinstance(given, Tensor) and given.is_floating_point()]
    # torch lets nobody change a leaf in place; a copy may be, and the caller sees it in args
    args[2:] = [given.clone() if isinstance(given, Tensor) else given for given in inputs]
    output = built(*args[2:])
    names = ["the input"] if len(leaves) == 1 else [f"input {number}" for number in range(1, len(leaves) + 1)]
    return {
        **answer,
        "output": output,
        "gradients": _gradients(output, {**parameters, **dict(zip(names, leaves, strict=True))}),
    }


def _built(build: Callable, constructor: tuple) -> nn.Module:
    forgotten = "does not call super().__init__() before it sets its first attribute: torch has no place for it yet."
    try:
        built = build(*constructor)
    except AttributeError as error:
        if "before Module.__init__() call" in str(error):
            raise NotAsAskedError(forgotten) from error
        raise
    if not isinstance(built, nn.Module):
        raise NotAsAskedError(f"makes {type_name(built)}, which is no torch module. Does its class derive from nn.Module?")
    if "_parameters" not in vars(built):
        raise NotAsAskedError(forgotten)
    return built


def _not_registered(built: nn.Module) -> dict[str, str]:
    """Attributes that hold parameters or modules which torch does not find there, and the type of each."""
    known = {id(part) for part in [*built.parameters(), *built.modules()]}
    found = {}
    for path, part in built.named_modules():
        for name, held in vars(part).items():
            inside = held.values() if isinstance(held, dict) else held if isinstance(held, list | tuple) else [held]
            if any(_learns(item) and id(item) not in known for item in inside):
                found[f"{path}.{name}".lstrip(".")] = type_name(held)
    return found


def _learns(item: Any) -> bool:
    return isinstance(item, nn.Module) or (isinstance(item, Tensor) and item.requires_grad and item.is_leaf)


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict | list | tuple):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _tensors(part)


def _gradients(output: Any, leaves: dict[str, Tensor]) -> dict[str, Tensor] | None:
    parts = [part for part in _tensors(output) if part.requires_grad]
    if not parts:
        return None
    weights = [torch.cos(torch.arange(part.numel(), dtype=part.dtype, device=part.device)).view(part.shape) for part in parts]
    total = torch.stack([(part * weight).sum() for part, weight in zip(parts, weights, strict=True)]).sum()
    try:
        found = torch.autograd.grad(total, list(leaves.values()), materialize_grads=True)
    except RuntimeError as error:
        question = "does forward change a tensor in place, as += and an assignment to a part of it do?"
        raise RuntimeError(f"no gradient can be computed; {question} ({error})") from error
    return dict(zip(leaves, found, strict=True))


def generator(function: Callable, args: list) -> dict[str, Any]:
    """The items that ``function(*args)`` yields, each copied at once, at most :data:`MOST_ITEMS`.

    Returns:
        ``{"items": […], "ends": whether there are no more, "lasting": whether all of them are afterwards what they were when
        they were yielded}``. A generator that yields one list again and again, and changes it in between, has none that last.
    """
    return _drawn(function, args, None)


def stream(function: Callable, args: list) -> dict[str, Any]:
    """Like :func:`generator`, but the first argument, a list, is handed over as an iterator that counts what is read of it.

    Returns:
        ``{"items": […], "ends": …, "lasting": …, "read": {"when called": 0, "for item 0": …, "at the end": …}}``. The last
        says how many elements were read by then: what reads further ahead than the reference is not as lazy.
    """
    source = _Counted(args[0])
    return _drawn(function, [source, *args[1:]], source)


class _Counted:
    """An iterator over a list that knows how much was read of it."""

    def __init__(self, items: list) -> None:
        self.rest, self.count = iter(items), 0

    def __iter__(self) -> "_Counted":
        return self

    def __next__(self) -> Any:
        item = next(self.rest)
        self.count += 1
        return item


def _drawn(function: Callable, args: list, source: _Counted | None) -> dict[str, Any]:
    made = function(*args)
    if not isinstance(made, Iterator):
        raise NotAsAskedError(f"returns {a_type(made)}, where a generator is expected. Does it yield its items?")
    given: list[Any] = []
    items: list[Any] = []
    read = {"when called": source.count if source else 0}
    ends = True
    for item in made:
        if len(items) == MOST_ITEMS:
            ends = False
            break
        try:
            items.append(plain(item))  # now, because the next turn may change it
            given.append(item)
        except UnsupportedError as error:
            raise NotAsAskedError(f"yields {error}, where plain data is expected.") from error
        read[f"for item {len(items) - 1}"] = source.count if source else 0
    with suppress(AttributeError):  # not every iterator can be closed
        made.close()  # type: ignore[attr-defined]
    if source and ends:
        read["at the end"] = source.count
    lasting = difference(plain(given), items, 0.0, 0.0) is None
    return {"items": items, "ends": ends, "lasting": lasting, **({"read": read} if source else {})}


def training(function: Callable, args: list) -> dict[str, Any]:
    """What a training loop returns and leaves behind, and whether a second run from the same start gives the same.

    Where the first argument is a dict, the state of a :func:`network`, the function gets that network in its place.

    Returns:
        ``{"returned": …, "parameters": {name: tensor}, "repeats": …}``, without the parameters if no network is given.
    """
    again = copy.deepcopy(args)
    first, second = plain(_trained(function, args)), plain(_trained(function, again))
    return {**first, "repeats": difference(second, first, 1e-4, 1e-6) is None}


def _trained(function: Callable, args: list) -> dict[str, Any]:
    if not args or not isinstance(args[0], dict):
        return {"returned": function(*args)}
    device = next((given.device for given in args[1:] if isinstance(given, Tensor)), None)
    model = network(args[0]).to(device)
    returned = function(model, *args[1:])
    return {"returned": returned, "parameters": dict(model.named_parameters())}


def network(state: dict[str, Tensor]) -> nn.Sequential:
    """The linear layers that ``state`` names, ``{"0.weight": …, "0.bias": …, "2.weight": …}``, with a tanh at each number that
    is left out."""
    last = max(int(name.split(".")[0]) for name in state)
    layers: list[nn.Module] = []
    for number in range(last + 1):
        weight = state.get(f"{number}.weight")
        if weight is None:
            layers.append(nn.Tanh())
        else:
            layers.append(nn.Linear(weight.shape[1], weight.shape[0], bias=f"{number}.bias" in state))
    model = nn.Sequential(*layers)
    model.load_state_dict(state)
    return model
