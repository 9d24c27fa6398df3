"""The notation table and the code agree: every name in its last column exists, and no symbol has two meanings."""

import importlib
import inspect
import re
from pathlib import Path

import pytest

CHAPTERS = Path(__file__).parent.parent / "chapters"


def rows() -> list[list[str]]:
    """The cells of every table row on the notation page, header and rule left out."""
    lines = (CHAPTERS / "notation.md").read_text(encoding="utf-8").splitlines()
    table = [line for line in lines if line.startswith("|")]
    cells = [[c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table]
    return [row for row in cells if row[0] != "symbol" and not set(row[0]) <= set("-: ")]


def names() -> list[str]:
    return sorted({name for row in rows() for name in re.findall(r"`(lmcore[^`]*)`", row[-1])})


def resolve(name: str) -> object:
    """``lmcore.room.Thing.part`` or ``lmcore.room.thing(parameter)``."""
    path, _, parameter = name.rstrip(")").partition("(")
    parts = path.split(".")
    is_room = parts[1].islower()
    found: object = importlib.import_module(".".join(parts[: 1 + is_room]))
    for part in parts[1 + is_room :]:
        fields = getattr(found, "__annotations__", {})
        found = fields[part] if part in fields else getattr(found, part)
    if parameter and parameter not in inspect.signature(found).parameters:  # type: ignore[arg-type]
        raise AttributeError(f"{path} has no parameter {parameter!r}")
    return found


def test_table_has_four_columns_and_no_symbol_twice() -> None:
    table = rows()
    assert len(table) > 10
    assert all(len(row) == 4 and all(row[:3]) for row in table), [row for row in table if len(row) != 4]
    symbols = [row[0] for row in table]
    assert len(symbols) == len(set(symbols))


@pytest.mark.parametrize("name", names())
def test_name_in_code_exists(name: str) -> None:
    resolve(name)


@pytest.mark.parametrize("wrong", ["lmcore.device.nowhere", "lmcore.device.seed_all(colour)"])
def test_a_wrong_name_would_be_noticed(wrong: str) -> None:
    with pytest.raises(AttributeError):
        resolve(wrong)
