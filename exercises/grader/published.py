"""What was found about all banks, as tables: one for a terminal, and one that the book publishes."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import exercises
from exercises.grader.validate import Proof

COLUMNS = ("right", "wrong", "hints reached", "mutants", "killed", "share killed", "equivalent")


def rows(proofs: Sequence[Proof]) -> Iterator[list[str]]:
    """One row per exercise, and their sum; a killed share leaves out the mutants that compute the same."""
    for name, some in [*((proof.name, [proof]) for proof in proofs), ("in all", list(proofs))]:
        right, wrong, reached, mutants, killed, equivalent = (
            sum(getattr(proof, field) for proof in some)
            for field in ("right", "wrong", "reached", "mutants", "killed", "equivalent")
        )
        share = f"{100 * killed / max(1, mutants - equivalent):.1f} %"
        yield [name, str(right), str(wrong), f"{reached} of {wrong}", str(mutants), str(killed), share, str(equivalent)]


def plain(proofs: Sequence[Proof]) -> str:
    """The table for a terminal."""
    lines = [["exercise", *COLUMNS], *rows(proofs)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))])
        for line in lines
    )


def markdown(proofs: Sequence[Proof], seeds: int) -> str:
    """The table for the book; the text that is written is the same on every machine."""
    *each, total = rows(proofs)
    lines = [
        f"Found by `python -m exercises.validate` over {count(seeds)} of cases.",
        "",
        _line(["exercise", "chapter", *COLUMNS]),
        _line([":--", ":--", *(["--:"] * len(COLUMNS))]),
        *(_line([f"`{row[0]}`", exercises.get(row[0]).chapter[2:4].lstrip("0"), *row[1:]]) for row in each),
        _line([f"**{cell}**" for cell in (f"{len(each)} exercises", "all", *total[1:])]),
    ]
    return "\n".join(lines) + "\n"


def count(seeds: int) -> str:
    """How many seeds, in words."""
    return "1 seed" if seeds == 1 else f"{seeds} seeds"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def differences(path: Path, text: str) -> list[str]:
    """Why the file is not ``text``: the first line that differs; nothing if it is."""
    again = f"write it anew: python -m exercises.validate --markdown {path}"
    try:
        published = path.read_text(encoding="utf-8")
    except OSError as error:
        return [f"{path} cannot be read ({error.strerror}); {again}"]
    if published == text:
        return []
    old, new = published.splitlines(), text.splitlines()
    number = next((i for i, pair in enumerate(zip(old, new, strict=False)) if pair[0] != pair[1]), min(len(old), len(new)))
    said, found = ("".join(lines[number : number + 1]) or "nothing" for lines in (old, new))
    return [f"{path} says in line {number + 1}: {said!r}, but what was found is: {found!r}; {again}"]
