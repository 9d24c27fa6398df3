"""The call of a case in words: as a reader may type it, and what its arguments are called."""

from collections.abc import Sequence
from typing import Any

from lmcore.check.show import WIDTH, fill, shifted, show

NETWORK = "model = lmcore.check.probes.network"  # what makes the network of a training loop
LASTING = "An item that was yielded is changed later: who keeps all of them finds them altered. Yield a new one each time."
# What more there is to say where an answer of a probe differs, by the first key.
ADVICE = {
    "generator": {"lasting": LASTING},
    "module": {
        "not registered": "torch finds what learns in attributes, nn.ParameterList and nn.ModuleList, but not in a plain list, "
        "tuple or dict, and only an nn.Parameter is one.",
        "parameters": "Names and shapes of the parameters are part of the question: the check puts its own numbers into them.",
        "gradients": "The output is right, its gradient is not. Is a tensor detached, or made anew, on the way?",
    },
    "stream": {
        "lasting": LASTING,
        "read": "How much must be read before this item can be yielded? The rest of the input may not be there yet.",
    },
    "training": {
        "parameters": "What is returned is right, but not what the network is left with.",
        "repeats": "A second call with the same arguments gives something else. Where does it draw at random, and what does it "
        "keep from one call to the next?",
    },
}


def advice(probe: str, path: tuple) -> str:
    """A sentence to follow a difference at ``path``, or nothing."""
    words = ADVICE.get(probe, {}).get(path[0], "") if path else ""
    return f" {words}" if words else ""


def bound(probe: str, args: tuple) -> tuple:
    """The arguments of the call that a student's first line must allow: a class is called with those of its constructor."""
    return args[0] if probe == "module" else args


def argument(probe: str, parameters: Sequence[str], position: int) -> str:
    """What the argument at ``position`` of a case is called."""
    if probe == "module":
        return ("arguments of the constructor", "parameters")[position] if position < 2 else f"no. {position - 1}"
    return parameters[position]


def call(name: str, probe: str, parameters: Sequence[str], args: tuple) -> str:
    """The call of a case as Python, long values cut."""
    if probe == "module":
        constructor, state, *inputs = args
        it = "layer" if name != "layer" else "it"
        lines = [f"{it} = {_called(name, _named(parameters, constructor))}"]
        lines += [] if state is None else [_called(f"{it}.load_state_dict", [show(state, 400)])]
        return "\n".join([*lines, _called(it, [show(given, 400) for given in inputs])])
    if probe == "stream":
        head = f"{parameters[0]}=iter("
        return _called(name, [f"{head}{shifted(show(args[0], 400), len(head))})", *_named(parameters[1:], args[1:])])
    if probe == "training" and args and isinstance(args[0], dict):
        return f"{_called(NETWORK, [show(args[0], 400)])}\n{_called(name, ['model', *_named(parameters[1:], args[1:])])}"
    return _called(name, _named(parameters, args))


def _named(parameters: Sequence[str], args: Sequence[Any]) -> list[str]:
    pairs = zip(parameters, args, strict=False)
    return [f"{name}={shifted(show(arg, 400), len(name) + 1)}" for name, arg in pairs]


def _called(name: str, arguments: Sequence[str]) -> str:
    """A call on one line, or with its arguments in lines of their own."""
    line = f"{name}({', '.join(arguments)})"
    if "\n" not in line and len(line) <= WIDTH:
        return line
    if len(arguments) == 1 and len(name) < WIDTH // 3:
        return f"{name}({shifted(arguments[0], len(name) + 1)})"
    return f"{name}(\n    {fill([shifted(argument, 4) for argument in arguments], 4)}\n)"
