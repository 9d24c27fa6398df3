"""The measured rows of a chapter's contract: what the run on this page cost, and what a run on a GPU cost when there was one.

A chapter opens with an admonition of class ``contract`` that says what the reader will be able to do and what it needs. The
rows that hold measurements are appended here: from the receipt in the executed notebook (also when its outputs come from the
cache), and from the recorded runs in ``chapters/ledger``. Where nothing was measured, the row gives the command that would
measure it.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from statistics import fmean
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

from lmcore import ledger
from lmcore.ledger import record
from lmcore.site.execution import executed_notebook

CHAPTER = re.compile(r"chapters/\d\d_\w+")
KINDS = {"cpu": ("Time on a CPU", "small"), "cuda": ("Time on a GPU", "full")}
logger = logging.getLogger(__name__)


def rows(receipt: dict[str, Any], records: Sequence[record.Record]) -> list[tuple[str, str, str]]:
    """The measured rows as label, text and command (``""`` where the text says it all).

    Args:
        receipt: what :meth:`lmcore.ledger.Receipt.to_json` gave for the run on the page.
        records: the recorded runs of the chapter.
    """
    setting, run = receipt["setting"], receipt["run"]
    result = []
    for kind, (label, scale) in KINDS.items():
        recorded = [r for r in records if r.setting.device == kind]
        if setting["device"] == kind:
            threads = f", {_count(setting['threads'], 'thread')}" if kind == "cpu" else ""
            result.append((label, f"{minutes(run['minutes'])}: this page ({_where(setting)}{threads})", ""))
        elif recorded:
            best = max(recorded, key=lambda r: (r.setting.scale == scale, len(r.runs)))
            mean = minutes(fmean(r.minutes for r in best.runs))
            where = _where({"device_name": best.setting.device_name, "scale": best.setting.scale})
            result.append((label, f"{mean}: mean of {_count(len(best.runs), 'recorded run')} ({where}, {best.date})", ""))
        else:
            result.append(
                (label, "not recorded yet; this line records it:", record.command(receipt["chapter"], scale=scale, device=kind))
            )
    memory = f"{run['memory_mb']:,.0f} MB"
    if run["gpu_memory_mb"] is not None:
        memory += f", and {run['gpu_memory_mb']:,.0f} MB on the GPU"
    result.insert(1, ("Peak memory", memory, ""))
    return result


def minutes(value: float) -> str:
    """A duration as a reader plans it: seconds below two minutes, else minutes."""
    return f"{value:.1f} minutes" if value >= 2 else f"{value * 60:.0f} seconds" if value > 1.5 / 60 else "about a second"


def _where(setting: dict[str, Any]) -> str:
    return f"scale {setting['scale']}, {setting['device_name']}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def append_rows(app: Sphinx, doctree: nodes.document) -> None:
    """Append the measured rows to the page's contract; warn about a chapter without contract or receipt."""
    docname = app.env.docname
    contracts = [n for n in doctree.findall(nodes.Admonition) if "contract" in n.get("classes", [])]
    if not contracts:
        if CHAPTER.fullmatch(docname):
            _warn("a chapter opens with an admonition of class 'contract'; this one has none", docname)
        return
    path = executed_notebook(app, docname)
    receipt = ledger.find_receipt(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None
    if receipt is None:
        _warn("the contract cannot say what the page costs: no cell ran page.receipt()", docname)
        return
    chapter = PurePosixPath(docname).name
    chapters = Path(app.srcdir) / PurePosixPath(docname).parent
    contracts[0] += _field_list(rows(receipt, record.read(chapter, chapters)))


def _field_list(cells: list[tuple[str, str, str]]) -> nodes.field_list:
    fields = nodes.field_list(classes=["measured"])
    for label, text, command in cells:
        paragraph = nodes.paragraph("", text)
        if command:
            paragraph += [nodes.Text(" "), nodes.literal("", command)]
        fields += nodes.field("", nodes.field_name("", label), nodes.field_body("", paragraph))
    return fields


def _warn(message: str, docname: str) -> None:
    logger.warning(message, location=docname, type="lmcore", subtype="contract")


def setup(app: Sphinx) -> None:
    """Connect the above to Sphinx's events."""
    app.connect("doctree-read", append_rows)
