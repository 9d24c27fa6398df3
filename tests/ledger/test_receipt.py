"""What a receipt says, and that programs find it again."""

import json

import pytest
import torch

from lmcore import corpora, device, ledger
from lmcore.ledger import receipt, record


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
    cells.append({"cell_type": "code", "outputs": [{"output_type": "display_data", "data": {"text/html": "<p>the end</p>"}}]})
    assert receipt.find_receipt({"cells": cells})["run"]["values"] == {"n1": 1, "n2": 2}
    both = "".join(output["data"]["text/html"] for output in outputs)
    assert receipt.in_html(both)["run"]["values"] == {"n1": 1, "n2": 2}
    split_lines = {"data": {"text/html": outputs[0]["data"]["text/html"].splitlines(keepends=True)}}
    assert receipt.find_receipt({"cells": [{"outputs": [split_lines]}]})["run"]["values"] == {"n1": 1}
    assert receipt.find_receipt({"cells": [{"outputs": [{"output_type": "stream", "text": "x"}]}]}) is None


def test_a_receipt_of_another_format_is_refused(chapters):
    content = {**ledger.Page("99_page", chapters=chapters).receipt().to_json(), "format": 0}
    with pytest.raises(ValueError, match="format 0"):
        receipt.Receipt.from_json(content)
