"""A record comes from executing the page, seed by seed, and nothing else."""

import re

import pytest
import torch

from lmcore import corpora, device
from lmcore.ledger import record, recorder
from tests.ledger.records import PAGE


def test_recording_runs_the_page_once_per_seed_and_resumes(chapters, monkeypatch):
    said: list[str] = []
    (chapters / "broken").touch()
    with pytest.raises(recorder.PageFailed, match=r"99_page\.md failed with seed 1:(.|\n)*no such luck"):
        recorder.record_chapter("99_page", 2, chapters=chapters, say=said.append)
    (kept,) = record.read("99_page", chapters)
    assert [run.seed for run in kept.runs] == [0]
    (chapters / "broken").unlink()
    entry = recorder.record_chapter("99_page", 2, chapters=chapters, say=said.append)
    assert entry.runs[0] == kept.runs[0]
    for run in entry.runs:
        device.seed_all(run.seed)
        assert run.values == {"draw": float(torch.rand(())), "always": 3}
        assert 0 < run.minutes < 1
        assert 50 < run.memory_mb < 10_000
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", run.date)
    own = entry.setting
    assert (own.device, own.scale, own.config) == ("cpu", "small", {"steps": 7, "width": 5})
    assert own.data == {"manual": corpora.sha256("manual")}
    assert "lmcore.corpora" in own.rooms
    assert [line for line in said if "seed 0" in line] == [said[0]]
    assert "far was not computed, because the far corpus is not here" in "\n".join(said)

    said.clear()
    assert recorder.record_chapter("99_page", 2, chapters=chapters, say=said.append) == entry
    assert len(said) == 1

    text = (chapters / "99_page.md").read_text(encoding="utf-8")
    (chapters / "99_page.md").write_text(text.replace('"steps": 7', '"steps": 8'), encoding="utf-8")
    said.clear()
    entry = recorder.record_chapter("99_page", 1, chapters=chapters, say=said.append)
    assert [run.seed for run in entry.runs] == [0]
    assert entry.setting.config == {"steps": 8, "width": 5}
    assert "left out (2), as code, config changed since" in said[0]

    # What only the run itself can tell, here its configuration, starts the record afresh as well.
    monkeypatch.setenv("WIDTH", "6")
    said.clear()
    entry = recorder.record_chapter("99_page", 2, chapters=chapters, say=said.append)
    assert [run.seed for run in entry.runs] == [0, 1]
    assert entry.setting.config == {"steps": 8, "width": 6}
    assert "left out (1), as config changed since" in said[0]


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("page.receipt()\n", "page\n", r"without a receipt.*page\.receipt\(\)"),
        ('ledger.Page("99_page"', 'ledger.Page("98_page"', "receipt for '98_page'"),
        ("page.receipt()\n", "import os\nos._exit(3)\n", "[Kk]ernel died"),
    ],
)
def test_pages_that_cannot_be_recorded(chapters, old, new, complaint):
    (chapters / "99_page.md").write_text(PAGE.replace(old, new), encoding="utf-8")
    with pytest.raises(recorder.PageFailed, match=complaint):
        recorder.record_chapter("99_page", 1, chapters=chapters, say=lambda _: None)
    assert record.read("99_page", chapters) == []


def test_recording_needs_a_chapter_and_a_seed(chapters):
    with pytest.raises(FileNotFoundError, match=r"no chapter '98_gone'.*99_page"):
        recorder.record_chapter("98_gone", 1, chapters=chapters)
    with pytest.raises(ValueError, match="seeds=0"):
        recorder.record_chapter("99_page", 0, chapters=chapters)
