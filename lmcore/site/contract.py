"""The measured rows of a chapter's contract: what the run on this page cost, and what a GPU run cost when there was one.

A chapter opens with an admonition of class ``contract`` that says what the reader will be able to do and what it needs. The rows that
hold measurements are appended here: from the receipt in the executed notebook (also when its outputs come from the cache), and from
the recorded runs in ``chapters/ledger``. Where nothing was measured, the row gives the command that would measure it.
"""

import json
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

RECEIPT = "application/vnd.lmcore.receipt+json"
logger = logging.getLogger(__name__)


def find_receipt(notebook: dict[str, Any]) -> dict[str, Any] | None:
    """The last receipt among the outputs of an executed notebook, as ``lmcore.ledger.Page.receipt`` wrote it."""
    found = [
        output["data"][RECEIPT]
        for cell in notebook["cells"]
        for output in cell.get("outputs", [])
        if RECEIPT in output.get("data", {})
    ]
    return found[-1] if found else None


def rows(receipt: dict[str, Any], record: dict[str, Any] | None, chapter: str) -> list[tuple[str, str, str]]:
    """Name, value and command ("" for none) of each measured row."""
    raise NotImplementedError


def append_rows(app: Sphinx, doctree: nodes.document) -> None:
    """Append the measured rows to the page's contract."""


def setup(app: Sphinx) -> None:
    """Connect the above to Sphinx's events."""
    app.connect("doctree-read", append_rows)
