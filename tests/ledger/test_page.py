"""The numbers of a page: logged once, named once, seeded, and closed with a receipt."""

import math
import re

import numpy as np
import pytest
import torch

from lmcore import device, ledger
from lmcore.ledger import record
from tests.ledger.records import Markup, recorded


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
        # An error must not make the kernel drop the request after it.
        content = {"code": code, "silent": False, "store_history": True, "stop_on_error": False}
        message = client.session.msg("execute_request", content)
        message["metadata"] = {"cellId": cell} if cell else {}
        client.shell_channel.send(message)
        while (reply := client.get_shell_msg(timeout=60))["parent_header"].get("msg_id") != message["header"]["msg_id"]:
            pass
        assert reply["content"]["status"] in ("ok", "error"), reply["content"]
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


def test_another_scale_has_no_spread(chapters, monkeypatch):
    record.write("99_page", [recorded(chapters)], chapters)
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


def test_a_page_computes_with_one_thread_unless_told_otherwise(chapters, monkeypatch):
    monkeypatch.setenv("LMCORE_DEVICE", "cpu")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    try:
        torch.set_num_threads(2)
        assert ledger.Page("99_page", chapters=chapters).receipt().setting.threads == 1
        torch.set_num_threads(2)
        monkeypatch.setenv("OMP_NUM_THREADS", "2")
        assert ledger.Page("99_page", chapters=chapters).receipt().setting.threads == 2
    finally:
        torch.set_num_threads(1)
