"""How the kinds of the lexicon are written down: one call adds one kind to :data:`KINDS`.

Word lists are in order of frequency; ``_`` in them stands for a space.
"""

from collections.abc import Mapping

from lmcore.world.grammar import Kind

KINDS: dict[str, Kind] = {}
SKEW, SHIFT = 1.0, 3.0


def words(text: str) -> list[str]:
    """The words of a list as it is written here."""
    return [word.replace("_", " ") for word in text.split()]


def zipf(values: list[str]) -> dict[str, float]:
    """The Zipf–Mandelbrot law: p(rank r) ∝ 1 / (r + shift), so that common words are common and none is lost."""
    weights = [1 / (rank + SHIFT) ** SKEW for rank in range(1, len(values) + 1)]
    return {value: weight / sum(weights) for value, weight in zip(values, weights, strict=True)}


def even(values: list[str]) -> dict[str, float]:
    """All values equally likely."""
    return {value: 1 / len(values) for value in values}


def add(name: str, table: Mapping[tuple[str, ...], Mapping[str, float]], tag: str = "") -> None:
    """Put a kind into :data:`KINDS`; a name can be given once."""
    if name in KINDS:
        raise ValueError(f"kind {name!r} exists")
    KINDS[name] = Kind(name, table, tag)


def plain(name: str, text: str, tag: str = "", flat: bool = False) -> list[str]:
    """A kind that depends on nothing."""
    values = words(text)
    add(name, {(): even(values) if flat else zipf(values)}, tag)
    return values


def by(name: str, table: Mapping[str, str], tag: str = "") -> None:
    """A kind that depends on one variable: parent value → word list."""
    add(name, {(parent.replace("_", " "),): zipf(words(text)) for parent, text in table.items()}, tag)


def weighted(name: str, **weights: float) -> None:
    """A kind that depends on nothing, with its probabilities written out."""
    add(name, {(): weights})


def records(fields: str, text: str, tags: Mapping[str, str] | None = None) -> dict[str, list[str]]:
    """A table of facts, one line each: the first field is a kind that depends on nothing, the others are its attributes."""
    names = fields.split()
    rows = [words(line) for line in text.strip().splitlines()]
    tags = tags or {}
    if any(len(row) != len(names) for row in rows):
        raise ValueError(f"a row of {names} has the wrong length: {next(row for row in rows if len(row) != len(names))}")
    columns = {name: [row[i] for row in rows] for i, name in enumerate(names)}
    add(names[0], {(): zipf(columns[names[0]])}, tags.get(names[0], ""))
    for name in names[1:]:
        rows_of = zip(columns[names[0]], columns[name], strict=True)
        add(name, {(key,): {value: 1.0} for key, value in rows_of}, tags.get(name, ""))
    return columns
