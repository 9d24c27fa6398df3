"""What a person should look at in a submission's code: routes to a ready-made answer, or past the sandbox, that the
sandbox and :mod:`lmcore.check.ready` cannot see for certain.

A flag changes no score. The code is only read, never run; call this through :func:`exercises.grader.apart.apart`, since parsing
a stranger's code can end a process.
"""

import ast
import dis
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import CodeType

import torch

from exercises.grader.suspects import (
    ATTRIBUTES,
    BUILTINS,
    HIDDEN,
    INNARDS,
    KERNELS,
    METHODS,
    MODULES,
    OF_OS,
    OUTSIDE,
    OWN,
    PARTS,
    PATCHED,
    STARS,
)
from lmcore.check.notebook import plain_python

LARGEST_CODE = 256 << 10  # bytes of a notebook's code
MOST_FLAGS = 20

PLACES = re.compile(
    r"(~|/(proc|sys|etc|dev|root|home|tmp|var|usr|mnt|opt|srv|run|boot|work|autograder|course|packages)\b)[\w/.{}*-]*$"
)


def flags(cells: Sequence[str], name: str, ready: Sequence[str]) -> list[str]:
    """Lines such as ``cell 3, line 2: uses sys.setprofile: reaches into the interpreter``.

    Args:
        cells: the code cells of a notebook, as they were handed in.
        name: the function that the question asks for.
        ready: what it may not call (see :mod:`lmcore.check.ready`).
    """
    if sum(len(cell.encode("utf-8", "replace")) for cell in cells) > LARGEST_CODE:
        return [f"the notebook holds more than {LARGEST_CODE >> 10} KiB of code, which nobody has looked through"]
    notebook, lines = _Notebook(), []
    for number, cell in enumerate(cells, start=1):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                notebook.add(number, ast.parse(plain_python(cell)))
        except (RecursionError, MemoryError):
            lines.append((number, 1, "is nested too deep to be looked through"))
        except (SyntaxError, ValueError):  # it does not run either, and is reported as such
            continue
    for number, tree in notebook.trees:
        lines += [(number, line, text) for line, text in _general(tree, notebook)]
    for number, node in notebook.reached(name):
        lines += [(number, line, text) for line, text in _ready_made(node, notebook, name, ready)]
    found = [f"cell {number}, line {line}: {text}" for number, line, text in sorted(set(lines))]
    return found[:MOST_FLAGS] + ([f"and {len(found) - MOST_FLAGS} more"] if len(found) > MOST_FLAGS else [])


@dataclass
class _Notebook:
    """All cells, what their names stand for, and where each is defined."""

    trees: list[tuple[int, ast.Module]] = field(default_factory=list)
    imported: dict[str, str] = field(default_factory=dict)  # np → numpy
    defined: dict[str, list[tuple[int, ast.stmt]]] = field(default_factory=dict)

    def add(self, number: int, tree: ast.Module) -> None:
        self.trees.append((number, tree))
        for node in ast.walk(tree):
            for alias, full in _imports(node):
                if alias:
                    self.imported[alias] = full
        for node in tree.body:
            for name in {*_names(node, "STORE_"), *_changed(node)}:
                self.defined.setdefault(name, []).append((number, node))

    def reached(self, name: str) -> Iterator[tuple[int, ast.stmt]]:
        """The statements at the top of cells that define ``name`` and what it uses, directly or not."""
        waiting, seen = [name], {name}
        while waiting:
            for number, node in self.defined.get(waiting.pop(), ()):
                yield number, node
                new = _names(node, "LOAD_") - seen
                seen |= new
                waiting += sorted(new)

    def full(self, node: ast.AST) -> str:
        """The dotted name that an expression stands for, ``torch.nn.functional`` for ``nn.functional``, or nothing."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if isinstance(node, ast.Call) and len(node.args) > 1 and isinstance(node.args[1], ast.Constant):  # getattr(torch, "…")
            called, text = node.func, node.args[1].value
            if isinstance(called, ast.Name) and called.id == "getattr" and isinstance(text, str):
                parts.append(text)
                node = node.args[0]
                while isinstance(node, ast.Attribute):
                    parts.append(node.attr)
                    node = node.value
        if not isinstance(node, ast.Name) or node.id not in self.imported:
            return ""
        return ".".join([self.imported[node.id], *reversed(parts)])


def _names(node: ast.stmt, what: str) -> set[str]:
    """The names of the notebook that a statement loads or stores, in functions inside it too."""
    try:
        waiting = [compile(ast.Module([node], []), "cell", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)]
    except (SyntaxError, ValueError, RecursionError):
        return set()
    found = set()
    while waiting:
        code = waiting.pop()
        waiting += [part for part in code.co_consts if isinstance(part, CodeType)]
        found |= {step.argval for step in dis.get_instructions(code) if step.opname in (f"{what}NAME", f"{what}GLOBAL")}
    return found


def _changed(node: ast.stmt) -> Iterator[str]:
    """The names whose parts a statement changes, or whose methods it calls: ``table`` in ``table["f"] = torch.sum``."""
    targets: Sequence[ast.expr] = []
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, ast.AugAssign):
        targets = [node.target]
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Attribute):
        targets = [node.value.func]
    for target in targets:
        while isinstance(target, ast.Attribute | ast.Subscript):
            target = target.value
        if isinstance(target, ast.Name):
            yield target.id


def _imports(node: ast.AST) -> Iterator[tuple[str, str]]:
    """Names that an import binds, and what they stand for; a star binds none."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            if alias.asname:
                yield alias.asname, alias.name
            else:
                yield alias.name.split(".")[0], alias.name.split(".")[0]
                if "." in alias.name:
                    yield "", alias.name
    elif isinstance(node, ast.ImportFrom):
        for alias in node.names:
            full = f"{node.module or ''}.{alias.name}".removesuffix(".*")
            yield ("" if alias.name == "*" else alias.asname or alias.name), full


def _general(tree: ast.Module, notebook: _Notebook) -> Iterator[tuple[int, str]]:
    """What stands out wherever it is."""
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 1)
        for name, full in _imports(node):
            yield from _named(full, line)
            if isinstance(node, ast.ImportFrom) and not name and full.split(".")[0] in STARS:
                yield line, f"imports * from {_short(full)}: {HIDDEN}"
        if isinstance(node, ast.Attribute | ast.Call):
            yield from _named(notebook.full(node), line)
        if isinstance(node, ast.Name) and node.id in BUILTINS and node.id not in notebook.defined:
            yield line, f"uses {node.id}: {BUILTINS[node.id]}"
        elif isinstance(node, ast.Attribute):
            yield from _attribute(node, notebook)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name in METHODS:
            yield line, f"defines {node.name}: {METHODS[node.name]}"
        elif isinstance(node, ast.ClassDef):
            for base in node.bases:
                if (full := notebook.full(base)) in ("torch.Tensor", "numpy.ndarray"):
                    yield line, f"derives {_short(node.name)} from {full}: its values may not be what they seem"
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and PLACES.match(node.value):
            yield line, f"names {_short(node.value)}: {OUTSIDE}"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield from _call(node, notebook)


def _named(full: str, line: int) -> Iterator[tuple[int, str]]:
    """A module or a part of one, by its full name."""
    root, *rest = full.split(".")
    if root in MODULES:
        yield line, f"uses {_short(full)}: {MODULES[root]}"
    elif part := next((part for part in PARTS if full == part or full.startswith(f"{part}.")), None):
        yield line, f"uses {_short(full)}: {PARTS[part]}"
    elif root == "os" and rest and rest[0] not in OF_OS:
        yield line, f"uses {_short(full)}: {OUTSIDE}"
    elif root in ("torch", "numpy") and any(part.startswith("_") and not part.endswith("__") for part in rest):
        yield line, f"uses {_short(full)}: {KERNELS}"
    elif full.startswith("lmcore.check.") and not any(f"{own}.".startswith(f"{full}.") for own in OWN):
        yield line, f"uses {_short(full)}: {INNARDS}"


def _attribute(node: ast.Attribute, notebook: _Notebook) -> Iterator[tuple[int, str]]:
    if node.attr in ATTRIBUTES:
        yield node.lineno, f"uses {node.attr}: {ATTRIBUTES[node.attr]}"
    full = notebook.full(node)
    if node.attr == "__dict__" and full:
        yield node.lineno, f"uses {_short(full)}: {INNARDS}"
    changed = isinstance(node.ctx, ast.Store | ast.Del) and not full.startswith("torch.backends.")
    if changed and (node.attr in METHODS or full.split(".")[0] in PATCHED):
        yield node.lineno, f"changes {_short(full or node.attr)}: everything that uses it"


def _call(node: ast.Call, notebook: _Notebook) -> Iterator[tuple[int, str]]:
    """Built-in functions that are harmless or not by what they are given."""
    assert isinstance(node.func, ast.Name)
    name, first = node.func.id, node.args[0] if node.args else None
    of = notebook.full(first) if first is not None else ""
    if name in notebook.defined or first is None:
        return
    if name in ("getattr", "hasattr") and len(node.args) > 1 and not isinstance(node.args[1], ast.Constant) and of:
        yield node.lineno, f"calls {name} on {_short(of)} with a computed name: {HIDDEN}"
    elif name in ("setattr", "delattr") and of.split(".")[0] in PATCHED:
        yield node.lineno, f"calls {name} on {_short(of)}: everything that uses it"
    elif name in ("vars", "dir") and of:
        yield node.lineno, f"calls {name} on {_short(of)}: {INNARDS}"
    elif name == "open" and not (isinstance(first, ast.Constant) and str(first.value)[:1] not in ("/", "~", ".")):
        yield node.lineno, f"calls open with a path outside or a computed one: {OUTSIDE}"


def _ready_made(node: ast.stmt, notebook: _Notebook, name: str, ready: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Names like those of the functions that this answer may not call, and the packages it may not use."""
    packages = {each for each in ready if "." not in each}
    lasts = {each: each.removesuffix(".forward").split(".")[-1] for each in ready if "." in each}
    alike = {_alike(last): each for each, last in lasts.items() if not hasattr(torch.Tensor, last)}  # not mean, nor unfold
    for part in ast.walk(node):
        found = [full for _, full in _imports(part)]
        if isinstance(part, ast.Attribute | ast.Call):
            found.append(notebook.full(part))
        elif isinstance(part, ast.Name) and part.id in notebook.imported:
            found.append(notebook.imported[part.id])
        for full in filter(None, found):
            root, last = full.split(".")[0], full.split(".")[-1]
            if root in packages and "." in full and not full.startswith("lmcore.check") and not last.isupper():
                yield getattr(part, "lineno", 1), f"uses {_short(full)}: {name} may not be written with it"
            elif like := alike.get(_alike(last)):
                yield getattr(part, "lineno", 1), f"uses {_short(full)}: much like {like}, which would be the answer"


def _alike(word: str) -> str:
    return word.replace("_", "").lower()


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}…"
