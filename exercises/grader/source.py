"""The source of a bank's function together with everything it needs from its module."""

import ast
import copy
import inspect
import sys
from collections.abc import Callable
from functools import cache

Statement = ast.stmt


def _bound(statement: Statement) -> set[str]:
    """The names a top-level statement gives a value to."""
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return {statement.name}
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return {(alias.asname or alias.name).split(".")[0] for alias in statement.names}
    if isinstance(statement, ast.Assign):
        return {node.id for target in statement.targets for node in ast.walk(target) if isinstance(node, ast.Name)}
    if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        return {statement.target.id}
    return set()


def _used(statement: Statement) -> set[str]:
    return {node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}


@cache
def _module(name: str) -> tuple[str, list[Statement]]:
    text = inspect.getsource(sys.modules[name])
    return text, ast.parse(text).body


@cache
def standalone(function: Callable) -> str:
    """The source of ``function``, after the imports, constants and helper functions of its module that it uses.

    Imports are reduced to the names in use. The order is the module's, the text its own, comments included.
    """
    text, body = _module(function.__module__)
    owner = {name: statement for statement in body for name in _bound(statement)}
    needed, names, queue = [], set(), [function.__name__]
    while queue:
        name = queue.pop()
        if name in names or name not in owner:
            continue
        names.add(name)
        needed.append(owner[name])
        queue += _used(owner[name]) - names
    imports, parts = [], []
    for statement in body:
        if statement not in needed:
            continue
        if isinstance(statement, ast.Import | ast.ImportFrom):
            kept = copy.copy(statement)
            kept.names = [alias for alias in statement.names if (alias.asname or alias.name).split(".")[0] in names]
            imports.append(ast.unparse(kept))
        else:
            parts.append((statement, _text(text, statement)))
    blocks = ["\n".join(imports)] if imports else []
    for statement, part in parts:
        blocks.append(("\n" if isinstance(statement, ast.FunctionDef | ast.ClassDef) and blocks else "") + part)
    return "\n\n".join(blocks) + "\n"


def _text(text: str, statement: Statement) -> str:
    """A statement's own lines, with its decorators."""
    decorators = getattr(statement, "decorator_list", [])
    first = min([statement.lineno, *(decorator.lineno for decorator in decorators)])
    return "\n".join(text.splitlines()[first - 1 : statement.end_lineno])
