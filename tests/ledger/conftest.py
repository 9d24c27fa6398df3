"""A folder with one page, and the CPU as the device, for every test of the ledger."""

from pathlib import Path

import pytest

from tests.ledger.records import PAGE


@pytest.fixture(autouse=True)
def _on_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LMCORE_DEVICE", "cpu")


@pytest.fixture
def chapters(tmp_path: Path) -> Path:
    (tmp_path / "99_page.md").write_text(PAGE, encoding="utf-8")
    return tmp_path
