"""The published table of what was found about the banks is about the banks there are, and says that nothing failed.

Its figures come from ``python -m exercises.validate --markdown``; ``make test`` finds them anew and compares.
"""

import re
from dataclasses import replace
from pathlib import Path

import pytest

import exercises
from exercises import validate
from exercises.grader import published
from exercises.grader.validate import LARGEST_EQUIVALENT_SHARE, Proof

TABLE = Path(__file__).parent.parent / "chapters" / "assets" / "validation.md"


def book():
    return [exercise for chapter in exercises.book() for exercise in exercises.bank(chapter)]


def cells():
    """The table's rows without its head, each cell a text."""
    lines = [line for line in TABLE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    rows = [[cell.strip("`* ") for cell in line.strip("|").split("|")] for line in lines]
    assert rows[0] == ["exercise", "chapter", *published.COLUMNS]
    return rows[2:]


def test_the_table_lists_every_exercise_of_the_book_with_its_numbers():
    *each, total = cells()
    assert [row[0] for row in each] == [exercise.name for exercise in book()]
    assert [f"ch{int(row[1]):02}_" for row in each] == [exercise.chapter[:5] for exercise in book()]
    assert [int(row[2]) for row in each] == [1 + len(exercise.right) for exercise in book()]
    assert [int(row[3]) for row in each] == [len(exercise.wrong) for exercise in book()]
    assert [int(row[8]) for row in each] == [len(exercise.equivalent) for exercise in book()]
    assert total[0] == f"{len(each)} exercises"
    for column in (2, 3, 5, 6, 8):
        assert int(total[column]) == sum(int(row[column]) for row in each)


def test_nothing_failed():
    assert re.match(r"Found by `python -m exercises.validate` over \d+ seeds? of cases\.\n", TABLE.read_text(encoding="utf-8"))
    for name, _, right, wrong, reached, mutants, killed, share, equivalent in cells():
        assert int(right) >= 4, name
        assert reached == f"{wrong} of {wrong}", name
        assert int(killed) + int(equivalent) == int(mutants), name
        assert float(share.removesuffix(" %")) >= 98, name
        assert int(equivalent) <= LARGEST_EQUIVALENT_SHARE * int(mutants), name


def proofs():
    full = Proof("count_pairs", right=4, wrong=13, reached=13, mutants=10, killed=9, equivalent=1)
    return [full, replace(full, name="layer_norm", reached=12, killed=8)]


def test_what_is_written_is_what_was_found():
    lines = published.markdown(proofs(), 3).splitlines()
    assert lines[0] == "Found by `python -m exercises.validate` over 3 seeds of cases."
    assert lines[4:] == [
        "| `count_pairs` | 2 | 4 | 13 | 13 of 13 | 10 | 9 | 100.0 % | 1 |",
        "| `layer_norm` | 10 | 4 | 13 | 12 of 13 | 10 | 8 | 88.9 % | 1 |",
        "| **2 exercises** | **all** | **8** | **26** | **25 of 26** | **20** | **17** | **94.4 %** | **2** |",
    ]


def test_a_table_that_says_something_else_is_noticed(tmp_path):
    path, text = tmp_path / "table.md", published.markdown(proofs(), 3)
    path.write_text(text, encoding="utf-8")
    assert published.differences(path, text) == []
    (found,) = published.differences(path, text.replace("| 9 |", "| 8 |", 1))
    assert "line 5: '| `count_pairs` | 2 | 4 | 13 | 13 of 13 | 10 | 9 " in found
    assert f"write it anew: python -m exercises.validate --markdown {path}" in found
    (found,) = published.differences(path, text + "more\n")
    assert "says in line 8: 'nothing', but what was found is: 'more'" in found
    (found,) = published.differences(tmp_path / "none.md", text)
    assert "cannot be read (No such file or directory)" in found


@pytest.fixture
def small_book(monkeypatch):
    monkeypatch.setattr(exercises, "book", lambda: ["ch02_tokens"])
    monkeypatch.setattr(validate, "_prove", lambda name, seeds: (name, Proof(name, right=seeds), []))


def test_the_command_writes_and_compares(small_book, tmp_path, capsys):
    path = tmp_path / "table.md"
    assert validate.main(["--markdown", str(path), "--seeds", "2", "-j", "1"]) == 0
    assert validate.main(["--check", str(path), "--seeds", "2", "-j", "1"]) == 0
    assert "FAILED" not in capsys.readouterr().out
    assert validate.main(["--check", str(path), "--seeds", "3", "-j", "1"]) == 1
    assert "FAILED" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--check", "table.md", "count_pairs"], "about the whole book"),
        (["--markdown", "table.md", "count_pairs"], "about the whole book"),
        (["-j", "0"], "--jobs is at least 1, got 0"),
    ],
)
def test_the_command_refuses(arguments, says, capsys):
    with pytest.raises(SystemExit):
        validate.main(arguments)
    assert says in capsys.readouterr().err
