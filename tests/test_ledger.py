"""The numbers of a page: logged once, rounded by rule, shown beside their recorded spread, recorded from receipts alone."""

import json
import math
import re
import statistics
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lmcore import corpora, device, ledger, receipt, record, recorder
from lmcore.record import Record, Run, Setting
from lmcore.rounding import duration, like, number, plus_minus

PAGE = """\
---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3 (ipykernel)
  language: python
  name: python3
---

# A page

Text with `code` and

```python
not_a_cell = True
```

```{code-cell} ipython3
:tags: [hide-input]

from pathlib import Path
import torch
from lmcore import corpora, ledger
page = ledger.Page("99_page", chapters=Path.cwd(), config={"steps": 7})
```

````{code-cell}
---
mystnb:
  image:
    alt: nothing
---
fence = '''
```
'''
page.log("draw", torch.rand(()))
page.log("always", 3)
if (Path.cwd() / "broken").exists() and page.seed:
    raise RuntimeError("no such luck")
````

```{code-cell}
page.skip("far", "the far corpus is not here")
len(corpora.manual())
page.table({"draw": "draw", "far": "far"})
```

```{code-cell}
page.receipt()
```
"""


@pytest.fixture(autouse=True)
def _on_cpu(monkeypatch):
    monkeypatch.setenv("LMCORE_DEVICE", "cpu")


@pytest.fixture
def chapters(tmp_path):
    (tmp_path / "99_page.md").write_text(PAGE, encoding="utf-8")
    return tmp_path


def _setting(chapters: Path, **changes) -> Setting:
    facts = {"device": "cpu", "device_name": "A <fast> CPU", "scale": "small", "threads": 1}
    return Setting(**{**facts, "code": record.code_hash("99_page", chapters), **changes})


def _run(seed: int, **values: float) -> Run:
    return Run(seed, values, 0.5, 0.4, 300.0, None, f"2026-01-0{seed + 1}")


def _recorded(chapters: Path, *runs: Run, **changes) -> Record:
    return Record("99_page", _setting(chapters, **changes), runs or tuple(_run(s, bits=5 + s, gain=-0.1 * s) for s in range(3)))


# --- how a number is written ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mean", "sd", "expected"),
    [
        (0.827, 0.119, "0.83 ± 0.12"),  # the two examples of the rule's source
        (0.827, 0.367, "0.8 ± 0.4"),
        (1.23456, 0.0354, "1.235 ± 0.035"),
        (1.23456, 0.0355, "1.23 ± 0.04"),
        (5.0, 0.949, "5.0 ± 0.9"),
        (5.0, 0.950, "5.0 ± 1.0"),
        (5.0, 0.9999, "5.0 ± 1.0"),
        (12345.6, 123.0, "12,350 ± 120"),
        (12345.6, 99.0, "12,350 ± 100"),
        (-0.031, 0.0021, "-0.0310 ± 0.0021"),
        (0.00004, 0.2, "0.00 ± 0.20"),
        (-0.00004, 0.2, "0.00 ± 0.20"),
        (65501, 0.0, "65,501 ± 0"),
        (1.85, 0.0, "1.850 ± 0"),
        (1.23456, math.nan, "1.235"),
        (1e-7, 2e-9, "(1.000 ± 0.020)e-7"),
        (3.2e9, 4.1e7, "3,200,000,000 ± 40,000,000"),
    ],
)
def test_mean_and_deviation(mean, sd, expected):
    assert plus_minus(mean, sd) == expected


@given(st.floats(-1e6, 1e6), st.floats(1e-4, 1e5))
def test_mean_and_deviation_are_cut_at_one_place_with_one_or_two_digits(mean, sd):
    shown_mean, shown_sd = plus_minus(mean, sd).replace(",", "").split(" ± ")
    assert len(shown_mean.partition(".")[2]) == len(shown_sd.partition(".")[2])
    assert float(shown_sd) == pytest.approx(sd, rel=0.15)
    assert abs(float(shown_mean) - mean) <= 0.51 * sd
    assert 1 <= len(shown_sd.replace(".", "").strip("0")) <= 2
    assert like(mean, sd) == plus_minus(mean, sd).split(" ± ")[0]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "0"),
        (-3, "-3"),
        (465048, "465,048"),
        (2.0, "2"),
        (1.23456, "1.235"),
        (0.000123456, "0.0001235"),
        (123456.7, "123,457"),
        (1.5e-9, "1.500e-09"),
        (9.9996, "10.00"),
        (1e300, "1.000e+300"),
    ],
)
def test_a_number_alone(value, expected):
    assert number(value) == expected


def test_durations():
    assert [duration(m) for m in (0.005, 0.7, 1.99, 2, 75.04)] == [
        "0.3 seconds",
        "42 seconds",
        "119 seconds",
        "2.0 minutes",
        "75.0 minutes",
    ]


# --- logging -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (3, 3),
        (2.5, 2.5),
        (np.float32(0.5), 0.5),
        (np.int64(7), 7),
        (np.array([[1.5]]), 1.5),
        (torch.tensor(4), 4),
        (torch.tensor([0.25], requires_grad=True), 0.25),
        (torch.tensor(0.5, dtype=torch.bfloat16), 0.5),
    ],
)
def test_log_returns_a_plain_number(chapters, value, plain):
    page = ledger.Page("99_page", chapters=chapters)
    logged = page.log("kn5.bits", value)
    assert logged == plain
    assert type(logged) is type(plain)


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, -math.inf, "3", None, True, 1j, [1], np.array([1, 2]), np.array([]), torch.tensor([]), torch.eye(2)],
)
def test_what_is_not_one_finite_number_is_refused(chapters, value):
    page = ledger.Page("99_page", chapters=chapters)
    with pytest.raises(ValueError, match="one finite number") as caught:
        page.log("x", value)
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize("name", ["", "two words", ".bits", "bits.", "a..b", "ä", "a/b", "x\n"])
def test_names_that_are_refused(chapters, name):
    with pytest.raises(ValueError, match="cannot name a number") as caught:
        ledger.Page("99_page", chapters=chapters).log(name, 1)
    assert repr(name) in str(caught.value)


def test_a_name_stands_for_one_number(chapters):
    page = ledger.Page("99_page", chapters=chapters)
    page.log("bits", 5.25)
    page.log("bits", 5.25)
    with pytest.raises(ValueError, match=r"bits = 5\.5.*already logged 5\.25"):
        page.log("bits", 5.5)


def test_in_jupyterlab_a_cell_that_runs_again_replaces_its_number(chapters, monkeypatch):
    page = ledger.Page("99_page", chapters=chapters)
    monkeypatch.setattr(ledger, "_current_cell", lambda: "cell-1")
    page.log("bits", 5.25)
    page.log("bits", 5.5)
    monkeypatch.setattr(ledger, "_current_cell", lambda: "cell-2")
    with pytest.raises(ValueError, match="already logged"):
        page.log("bits", 6)
    assert page.receipt().run.values == {"bits": 5.5}


def test_jupyterlab_names_the_running_cell(tmp_path):
    """The same against a kernel, asked as JupyterLab asks it, and as a build does."""
    from jupyter_client.manager import KernelManager

    manager = KernelManager(kernel_name="python3", transport="ipc", ip=str(tmp_path / "kernel"))
    manager.start_kernel(cwd=str(tmp_path))
    client = manager.blocking_client()
    client.start_channels()

    def run(code: str, cell: str | None) -> str:
        message = client.session.msg("execute_request", {"code": code, "silent": False, "store_history": True})
        message["metadata"] = {"cellId": cell} if cell else {}
        client.shell_channel.send(message)
        while (reply := client.get_shell_msg(timeout=60))["parent_header"].get("msg_id") != message["header"]["msg_id"]:
            pass
        return reply["content"].get("evalue", "")

    try:
        client.wait_for_ready(timeout=60)
        assert run("from lmcore import ledger; page = ledger.Page('99_page')", "a") == ""
        assert run("page.log('bits', 1)", "b") == ""
        assert run("page.log('bits', 2)", "b") == ""
        assert "already logged 2" in run("page.log('bits', 3)", "c")
        assert run("page.log('far', 1)", None) == ""
        assert "already logged 1" in run("page.log('far', 2)", None)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@pytest.mark.parametrize("name", ["", "01 language", "chapters/01_x", "01_x.md"])
def test_chapter_names_that_are_refused(name):
    with pytest.raises(ValueError, match="not a chapter's name") as caught:
        ledger.Page(name)
    assert repr(name) in str(caught.value)


def test_a_page_seeds_everything(chapters, monkeypatch):
    monkeypatch.setenv("LMCORE_SEED", "11")
    assert ledger.Page("99_page", chapters=chapters).seed == 11
    drawn = torch.rand(3)
    device.seed_all(11)
    assert torch.equal(torch.rand(3), drawn)


# --- tables --------------------------------------------------------------------------------------------------------------


class Markup(HTMLParser):
    """The elements and texts of a piece of HTML, checked to be closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.elements, self.texts = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def test_without_a_record_a_table_has_the_command_and_no_spread(chapters):
    page = ledger.Page("99_page", chapters=chapters)
    page.log("bits", 5.25)
    assert page.spread("bits") is None
    table = page.table({"Kneser–Ney": "bits"}, "Cross-entropy", unit="bits per token")
    line = "python -m lmcore.ledger record 99_page --seeds 5 --scale small --device cpu"
    for text in (repr(table), "".join(Markup(table._repr_html_()).texts)):
        assert "Cross-entropy (bits per token)" in text
        assert "5.250" in text
        assert line in text
        assert "±" not in text


def test_with_a_record_a_table_has_mean_and_deviation(chapters):
    record.write("99_page", [_recorded(chapters)], chapters)
    page = ledger.Page("99_page", chapters=chapters)
    page.log("bits", 5.123)
    spread = page.spread("bits")
    assert (spread.mean, spread.sd, spread.n) == (6.0, 1.0, 3)
    assert page.spread("none") is None
    text = repr(page.table({"A": "bits", "B": "gain"}))
    assert re.search(r"A +5\.1 +6\.0 ± 1\.0", text)
    assert re.search(r"B +– +-0\.10 ± 0\.10", text)
    assert "over 3 seeds, A <fast> CPU, 2026-01-03." in text
    assert "earlier version" not in text
    assert "python -m lmcore.ledger record 99_page --seeds 3 --scale small --device cpu" in text


def test_the_deviation_is_that_of_a_sample(chapters):
    values = [0.3, 0.9, 0.35, 0.4]
    entry = _recorded(chapters, *(_run(seed, x=v) for seed, v in enumerate(values)))
    spread = entry.spread("x", chapters)
    assert spread.sd == pytest.approx(np.std(values, ddof=1))
    assert spread.mean == pytest.approx(statistics.mean(values))
    one = _recorded(chapters, _run(0, x=0.3)).spread("x", chapters)
    assert math.isnan(one.sd)
    assert str(one) == "0.3000"


def test_a_number_that_only_some_seeds_have(chapters):
    entry = _recorded(chapters, _run(0, x=1.0), _run(1, x=3.0, y=2.0))
    assert entry.names() == ["x", "y"]
    assert (entry.spread("x").n, entry.spread("y").n, entry.spread("z")) == (2, 1, None)


def test_an_old_record_says_so(chapters):
    record.write("99_page", [_recorded(chapters, code="0" * 64)], chapters)
    page = ledger.Page("99_page", chapters=chapters)
    assert page.spread("bits").stale
    table = page.table({"A": "bits"})
    assert "recorded with an earlier version of this page" in repr(table)
    assert "recorded with an earlier version of this page" in table._repr_html_()


def test_records_of_other_devices_stand_beside(chapters):
    gpu = _recorded(chapters, _run(0, bits=4.0), device="cuda", device_name="A GPU", scale="full")
    record.write("99_page", [gpu, _recorded(chapters)], chapters)
    page = ledger.Page("99_page", chapters=chapters)
    assert page.spread("bits").device == "cpu"
    text = repr(page.table({"A": "bits"}))
    assert text.index("recorded (small, cpu)") < text.index("recorded (full, cuda)")
    assert "one seed, so no spread, A GPU" in text


def test_another_scale_has_no_spread(chapters, monkeypatch):
    record.write("99_page", [_recorded(chapters)], chapters)
    monkeypatch.setenv("LMCORE_SCALE", "smoke")
    assert ledger.Page("99_page", chapters=chapters).spread("bits") is None


def test_a_table_of_unknown_names_is_refused_unless_skipped(chapters):
    page = ledger.Page("99_page", chapters=chapters)
    page.log("bits", 1.5)
    with pytest.raises(ValueError, match=r"'bitz'.*known so far: bits"):
        page.table({"A": "bitz"})
    page.skip("bitz", "the corpus <X> is not here")
    table = page.table({"A": "bitz"})
    assert "A: not computed in this run, because the corpus <X> is not here." in repr(table)
    assert any("the corpus <X>" in text for text in Markup(table._repr_html_()).texts)
    assert page.receipt().skipped == {"bitz": "the corpus <X> is not here"}


def test_tables_are_accessible_and_escaped(chapters):
    record.write("99_page", [_recorded(chapters)], chapters)
    page = ledger.Page("99_page", chapters=chapters)
    page.log("bits", 5.25)
    for shown in (page.table({"<b>A</b>": "bits"}, "1 < 2"), page.receipt(), ledger.overview(chapters)):
        markup = Markup(shown._repr_html_())
        tags = [tag for tag, _ in markup.elements]
        assert "caption" in tags
        assert "b" not in tags
        assert "fast" not in tags
        heads = [attributes.get("scope") for tag, attributes in markup.elements if tag == "th"]
        assert heads
        assert set(heads) <= {"row", "col"}
    assert "<b>A</b>" in Markup(page.table({"<b>A</b>": "bits"})._repr_html_()).texts


def test_overview_shows_every_recorded_number(chapters):
    assert repr(ledger.overview(chapters)) == "No run has been recorded yet."
    assert "No run has been recorded yet." in ledger.overview(chapters)._repr_html_()
    record.write("99_page", [_recorded(chapters), _recorded(chapters, _run(0, far=1.5), scale="full")], chapters)
    text = repr(ledger.overview(chapters))
    assert len(ledger.all_records(chapters)) == 2
    for part in ("6.0 ± 1.0", "-0.10 ± 0.10", "1.500", "A <fast> CPU", "2026-01-03", "--scale full", "30 seconds"):
        assert part in text


# --- receipts ------------------------------------------------------------------------------------------------------------


def test_a_receipt_says_what_ran_and_survives_html(chapters, monkeypatch):
    monkeypatch.setenv("LMCORE_SEED", "4")
    page = ledger.Page("99_page", chapters=chapters, config={"model": 'a "large" <one> & more', "steps": 7})
    page.log("bits", 5.25)
    corpora.manual()
    result = page.receipt()
    assert result.setting.data["manual"] == corpora.sha256("manual")
    assert result.setting.code == record.code_hash("99_page", chapters)
    assert result.setting.versions.keys() == {"python", "torch", "numpy", "lmcore"}
    assert result.setting.threads == torch.get_num_threads()
    assert result.run.seed == 4
    assert 0 < result.run.minutes < 1
    assert 30 < result.run.memory_mb < 100_000
    content = receipt.in_html(f"<p>{result._repr_html_()}</p>")
    assert content == json.loads(json.dumps(result.to_json()))
    assert receipt.Receipt.from_json(content) == result
    assert receipt.in_html("<p>none</p>") is None
    for part in ("seconds", f"{result.run.memory_mb:,.0f} MB", device.name(), "Seed", "4", "torch"):
        assert part in repr(result)
        assert part in result._repr_html_()


def test_minutes_run_from_the_page_to_the_receipt(chapters, monkeypatch):
    times = iter([(100.0, 7.0), (190.0, 37.0)])
    monkeypatch.setattr(ledger, "_clocks", lambda: next(times))
    run = ledger.Page("99_page", chapters=chapters).receipt().run
    assert (run.minutes, run.cpu_minutes) == (1.5, 0.5)


def test_the_last_receipt_of_a_notebook_counts(chapters):
    page = ledger.Page("99_page", chapters=chapters)
    outputs = []
    for value in (1, 2):
        page.log(f"n{value}", value)
        outputs.append({"output_type": "execute_result", "data": {"text/html": page.receipt()._repr_html_()}})
    cells = [{"cell_type": "code", "outputs": outputs}, {"cell_type": "markdown"}, {"cell_type": "code", "outputs": []}]
    assert receipt.find_receipt({"cells": cells})["run"]["values"] == {"n1": 1, "n2": 2}
    split_lines = {"data": {"text/html": outputs[0]["data"]["text/html"].splitlines(keepends=True)}}
    assert receipt.find_receipt({"cells": [{"outputs": [split_lines]}]})["run"]["values"] == {"n1": 1}
    assert receipt.find_receipt({"cells": [{"outputs": [{"output_type": "stream", "text": "x"}]}]}) is None


def test_a_receipt_of_another_format_is_refused(chapters):
    content = {**ledger.Page("99_page", chapters=chapters).receipt().to_json(), "format": 0}
    with pytest.raises(ValueError, match="format 0"):
        receipt.Receipt.from_json(content)


# --- record files --------------------------------------------------------------------------------------------------------


def test_what_is_written_is_read(chapters):
    records = [_recorded(chapters), _recorded(chapters, _run(2, x=1.5), scale="full", config={"a": 1}, data={"b": "c"})]
    path = record.write("99_page", records, chapters)
    assert sorted(record.read("99_page", chapters), key=str) == sorted(records, key=str)
    assert path == chapters / "ledger" / "99_page.json"
    assert list(path.parent.iterdir()) == [path]
    assert record.read("98_other", chapters) == []


def test_a_failed_write_leaves_the_old_file(chapters, monkeypatch):
    path = record.write("99_page", [_recorded(chapters)], chapters)
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
    entry = _recorded(chapters)
    again = entry.with_run(entry.setting, _run(1, bits=9.0))
    assert [(run.seed, run.values["bits"]) for run in again.runs] == [(0, 5), (1, 9.0), (2, 7)]
    for name in ("code", "scale", "device_name", "threads", "config", "data", "rooms", "versions"):
        value = {"threads": 9, "config": {"x": 1}}.get(
            name, {"x": "y"} if isinstance(getattr(entry.setting, name), dict) else "other"
        )
        changed = _setting(chapters, **{name: value})
        assert entry.with_run(changed, _run(1, bits=9.0)).runs == (_run(1, bits=9.0),)


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
    entry = _recorded(chapters)
    assert old in PAGE
    (chapters / "99_page.md").write_text(PAGE.replace(old, new), encoding="utf-8")
    assert entry.stale(chapters) is not same


def test_without_the_page_at_hand_nothing_is_called_old(chapters):
    entry = _recorded(chapters)
    (chapters / "99_page.md").unlink()
    assert record.code_hash("99_page", chapters) == ""
    assert not entry.stale(chapters)


def test_changed_files_of_the_package_are_named(chapters):
    rooms = {**record.imported_rooms(), "lmcore.gone": "1" * 64}
    assert {"lmcore.corpora", "lmcore.device"} < rooms.keys()
    assert not rooms.keys() & {"lmcore.ledger", "lmcore.record", "lmcore.site", "lmcore.tables"}
    assert _recorded(chapters, rooms=rooms).changed_rooms() == ["lmcore.gone"]
    assert record.room_hash("lmcore.corpora") != record.room_hash("lmcore.device") != ""


# --- recording -----------------------------------------------------------------------------------------------------------


def test_recording_runs_the_page_once_per_seed_and_resumes(chapters):
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
    assert (own.device, own.scale, own.config) == ("cpu", "small", {"steps": 7})
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
    assert entry.setting.config == {"steps": 8}
    assert "2 older seeds left out, as code, config changed since" in said[0]


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("page.receipt()\n", "page\n", r"without a receipt.*page\.receipt\(\)"),
        ('ledger.Page("99_page"', 'ledger.Page("98_page"', "receipt for page '98_page'"),
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


def test_command_line(capsys, monkeypatch):
    assert ledger.main(["list"]) == 0
    capsys.readouterr()
    monkeypatch.setenv("LMCORE_SCALE", "small")
    assert ledger.main(["record", "98_gone", "--scale", "full"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert "98_gone" in err
    assert ledger.main(["record", "98_gone", "--device", "abacus"]) == 1
    for wrong in ([], ["record"], ["record", "98_gone", "--scale", "huge"]):
        with pytest.raises(SystemExit) as caught:
            ledger.main(wrong)
        assert caught.value.code == 2


def test_the_book_s_own_records_and_pages():
    """Every record file can be read, and every chapter opens and closes its page under its own name."""
    assert all(entry.runs for entry in ledger.all_records())
    for path in sorted(record.chapters_folder().glob("[0-9]*.md")):
        cells = record.code_cells(path.read_text(encoding="utf-8"))
        assert re.findall(r"ledger\.Page\(\s*[\"']([^\"']*)", "\n".join(cells)) == [path.stem]
        assert "page.receipt()" in cells[-1], f"{path.name} must end with page.receipt()"
