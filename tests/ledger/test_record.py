"""Record files: complete at every moment, never two experiments in one, and old only when the code is."""

import math
import statistics

import numpy as np
import pytest

from lmcore import corpora, device
from lmcore.ledger import record
from tests.ledger.records import PAGE, recorded, run, setting


def test_the_deviation_is_that_of_a_sample(chapters):
    values = [0.3, 0.9, 0.35, 0.4]
    entry = recorded(chapters, *(run(seed, x=v) for seed, v in enumerate(values)))
    spread = entry.spread("x", chapters)
    assert spread.sd == pytest.approx(np.std(values, ddof=1))
    assert spread.mean == pytest.approx(statistics.mean(values))
    one = recorded(chapters, run(0, x=0.3)).spread("x", chapters)
    assert math.isnan(one.sd)
    assert str(one) == "0.3000"


def test_a_number_that_only_some_seeds_have(chapters):
    entry = recorded(chapters, run(0, x=1.0), run(1, x=3.0, y=2.0))
    assert entry.names() == ["x", "y"]
    assert (entry.spread("x").n, entry.spread("y").n, entry.spread("z")) == (2, 1, None)


def test_what_is_written_is_read(chapters):
    records = [recorded(chapters), recorded(chapters, run(2, x=1.5), scale="full", config={"a": 1}, data={"b": "c"})]
    path = record.write("99_page", records, chapters)
    assert sorted(record.read("99_page", chapters), key=str) == sorted(records, key=str)
    assert path == chapters / "ledger" / "99_page.json"
    assert list(path.parent.iterdir()) == [path]
    assert path.stat().st_mode == (chapters / "99_page.md").stat().st_mode
    assert record.read("98_other", chapters) == []


def test_a_failed_write_leaves_the_old_file(chapters, monkeypatch):
    path = record.write("99_page", [recorded(chapters)], chapters)
    before = path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(record.os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        record.write("99_page", [], chapters)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("content", ["", "{}", '{"format": 99}', '{"format": 1, "chapter": "a", "records": [{}]}', "[1]"])
def test_a_file_that_is_no_record_is_refused(chapters, content):
    path = record.path_of("99_page", chapters)
    path.parent.mkdir()
    path.write_text(content)
    with pytest.raises(ValueError, match="not a record of runs") as caught:
        record.read("99_page", chapters)
    assert str(path) in str(caught.value)


def test_a_record_never_mixes_settings(chapters):
    entry = recorded(chapters)
    again = entry.with_run(entry.setting, run(1, bits=9.0))
    assert [(run.seed, run.values["bits"]) for run in again.runs] == [(0, 5), (1, 9.0), (2, 7)]
    for name in ("code", "scale", "device_name", "threads", "config", "data", "rooms", "versions"):
        value = {"threads": 9, "config": {"x": 1}}.get(
            name, {"x": "y"} if isinstance(getattr(entry.setting, name), dict) else "other"
        )
        changed = setting(chapters, **{name: value})
        assert entry.with_run(changed, run(1, bits=9.0)).runs == (run(1, bits=9.0),)


def test_code_cells_are_those_that_jupytext_runs():
    import jupytext

    cells = [cell.source for cell in jupytext.reads(PAGE, fmt="md:myst").cells if cell.cell_type == "code"]
    assert record.code_cells(PAGE) == cells
    for path in sorted(record.chapters_folder().glob("[0-9]*.md")):
        text = path.read_text(encoding="utf-8")
        assert record.code_cells(text) == [c.source for c in jupytext.reads(text, fmt="md:myst").cells if c.cell_type == "code"]


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("# A page", "# Another page", True),
        ("not_a_cell = True", "not_a_cell = False", True),
        (":tags: [hide-input]", ":tags: [remove-cell]", True),
        ("alt: nothing", "alt: something", True),
        ('"steps": 7', '"steps": 8', False),
        ("page.receipt()", "page.receipt() ", False),
    ],
)
def test_only_code_makes_a_record_old(chapters, old, new, same):
    entry = recorded(chapters)
    assert old in PAGE
    (chapters / "99_page.md").write_text(PAGE.replace(old, new), encoding="utf-8")
    assert entry.stale(chapters) is not same


def test_without_the_page_at_hand_nothing_is_called_old(chapters):
    entry = recorded(chapters)
    (chapters / "99_page.md").unlink()
    assert record.code_hash("99_page", chapters) == ""
    assert not entry.stale(chapters)


def test_changed_files_of_the_package_are_named(chapters):
    rooms = {**record.imported_rooms(), "lmcore.gone": "1" * 64}
    assert {corpora.__name__, device.__name__} < rooms.keys()
    assert not rooms.keys() & {"lmcore.ledger", "lmcore.ledger.record", "lmcore.site", "lmcore.ledger.tables"}
    assert recorded(chapters, rooms=rooms).changed_rooms() == ["lmcore.gone"]
    assert record.room_hash("lmcore.corpora") != record.room_hash("lmcore.device") != ""
