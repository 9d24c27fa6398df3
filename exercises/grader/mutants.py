"""Small changes of a reference answer. A change that no case notices shows a gap in the cases, or a part of the code
that does nothing.

Operators after DeMillo, Lipton and Sayward, "Hints on test data selection" (1978): swap an operator or a comparison,
drop an operand, move a number by one, negate a condition, drop a statement, an argument or a method.
"""

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

SWAPS: dict[type, tuple[type, ...]] = {
    ast.Add: (ast.Sub,), ast.Sub: (ast.Add,), ast.Mult: (ast.Add, ast.Div), ast.Div: (ast.Mult,), ast.FloorDiv: (ast.Div,),
    ast.Mod: (ast.Mult,), ast.Pow: (ast.Mult,), ast.MatMult: (ast.Mult,), ast.BitAnd: (ast.BitOr,), ast.BitOr: (ast.BitAnd,),
    ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt), ast.Gt: (ast.GtE, ast.LtE), ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,), ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,), ast.And: (ast.Or,), ast.Or: (ast.And,),
}  # fmt: skip
CALLS = {
    "min": "max", "max": "min", "any": "all", "all": "any", "argmin": "argmax", "argmax": "argmin", "sum": "mean",
    "mean": "sum",
    "log": "exp", "exp": "log", "log2": "log", "softmax": "log_softmax", "log_softmax": "softmax", "logsigmoid": "sigmoid",
    "sigmoid": "tanh", "tanh": "sigmoid", "cumsum": "cumprod", "floor": "ceil", "ceil": "floor", "startswith": "endswith",
    "endswith": "startswith", "append": "extend", "tril": "triu", "triu": "tril", "sqrt": "exp",
}  # fmt: skip
DROPPED_METHODS = {
    "lower",
    "strip",
    "transpose",
    "masked_fill",
    "unsqueeze",
    "squeeze",
    "clone",
    "copy",
    "detach",
    "sqrt",
    "log",
    "exp",
}


@dataclass(frozen=True)
class Mutant:
    """A changed reference: ``name`` says what became what, and stays the same when lines move."""

    name: str
    function: Callable


def _variants(node: ast.AST) -> Iterator[tuple[str, ast.AST | None]]:
    """What ``node`` may become; ``None`` drops a statement."""
    if isinstance(node, ast.BinOp | ast.AugAssign | ast.BoolOp):
        for swap in SWAPS.get(type(node.op), ()):
            yield "", _with(node, op=swap())
    if isinstance(node, ast.BinOp):
        yield "", node.left
        yield "", node.right
    if isinstance(node, ast.BoolOp):
        yield from (("", value) for value in node.values)
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        for swap in SWAPS.get(type(node.ops[0]), ()):
            yield "", _with(node, ops=[swap()])
    if isinstance(node, ast.UnaryOp):
        yield "", node.operand
    if isinstance(node, ast.Constant):
        if isinstance(node.value, bool):
            yield "", ast.Constant(not node.value)
        elif isinstance(node.value, int | float):
            yield from (("", ast.Constant(node.value + step)) for step in (1, -1))
        elif isinstance(node.value, str):
            yield "", ast.Constant("" if node.value else "x")
    if isinstance(node, ast.If | ast.IfExp | ast.While):
        yield "never", _with(node, test=ast.Constant(False))
        yield "always", _with(node, test=ast.Constant(True))
    if isinstance(node, ast.comprehension) and node.ifs:
        yield "", _with(node, ifs=[])
    if isinstance(node, ast.Slice):
        yield from (("", _with(node, **{part: None})) for part in ("lower", "upper", "step") if getattr(node, part) is not None)
    if isinstance(node, ast.Call):
        yield from _call_variants(node)
    if isinstance(node, ast.Assign | ast.AugAssign | ast.Break | ast.Continue | ast.Raise) or (
        isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant)
    ):
        yield "drop", None


def _call_variants(node: ast.Call) -> Iterator[tuple[str, ast.AST | None]]:
    for i, keyword in enumerate(node.keywords):
        yield f"drop {keyword.arg}", _with(node, keywords=[k for j, k in enumerate(node.keywords) if j != i])
    if isinstance(node.func, ast.Attribute):
        if node.func.attr in CALLS:
            yield "", _with(node, func=_with(node.func, attr=CALLS[node.func.attr]))
        if node.func.attr in DROPPED_METHODS and not isinstance(node.func.value, ast.Name):
            yield "", node.func.value
    elif isinstance(node.func, ast.Name):
        if node.func.id in CALLS:
            yield "", _with(node, func=ast.Name(CALLS[node.func.id], ast.Load()))
        if node.func.id in ("sorted", "reversed", "abs", "set") and node.args:
            yield "", node.args[0]


def _with(node: ast.AST, **changes: object) -> ast.AST:
    """A copy of ``node`` with some fields replaced."""
    changed = copy.copy(node)
    for name, value in changes.items():
        setattr(changed, name, value)
    return changed


class _Replace(ast.NodeTransformer):
    def __init__(self, old: ast.AST, new: ast.AST | None) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        if node is not self.old:
            return self.generic_visit(node)
        return copy.deepcopy(self.new) if self.new is not None else ast.Pass()


def _sites(function: ast.FunctionDef) -> Iterator[ast.AST]:
    """The nodes that may change: the body without docstring, annotations and defaults."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    for statement in body:
        inside_annotation: set[ast.AST] = {
            inner for node in ast.walk(statement) if isinstance(node, ast.AnnAssign) for inner in ast.walk(node.annotation)
        }
        yield from (node for node in ast.walk(statement) if node not in inside_annotation)


def changes(source: str) -> Iterator[tuple[str, ast.Module]]:
    """Every small change of the functions and methods in ``source``: its name and the changed program."""
    seen: dict[str, int] = {}
    for i in range(len(_functions(ast.parse(source)))):
        count = len([None for node in _sites(_functions(ast.parse(source))[i]) for _ in _variants(node)])
        for number in range(count):
            tree = ast.parse(source)
            function = _functions(tree)[i]
            site, (note, new) = [(node, variant) for node in _sites(function) for variant in _variants(node)][number]
            label = _label(site, note, new)
            seen[label] = seen.get(label, 0) + 1
            _Replace(site, new).visit(tree)
            yield label if seen[label] == 1 else f"{label} #{seen[label]}", ast.fix_missing_locations(tree)


def mutants(source: str, name: str) -> Iterator[Mutant]:
    """Every mutant of ``source`` (which runs on its own), each with its function called ``name``."""
    for label, tree in changes(source):
        namespace: dict = {"__name__": "mutant"}
        exec(compile(tree, "<mutant>", "exec"), namespace)
        yield Mutant(label, namespace[name])


def _functions(tree: ast.Module) -> list[ast.FunctionDef]:
    """The functions of a program, and the methods of its classes."""
    bodies = [tree.body, *(statement.body for statement in tree.body if isinstance(statement, ast.ClassDef))]
    return [statement for body in bodies for statement in body if isinstance(statement, ast.FunctionDef)]


def _label(site: ast.AST, note: str, new: ast.AST | None) -> str:
    first = _line(site)
    if note in ("drop", "never", "always"):
        return f"{note}: {first}"
    return f"{first} → {_line(new)}" + (f" ({note})" if note else "")


def _line(node: ast.AST | None) -> str:
    return ast.unparse(node).splitlines()[0].strip() if node is not None else ""
