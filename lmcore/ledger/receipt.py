"""What one execution of a page took, where it ran and which numbers it logged.

The receipt is the output of a chapter's last cell. Its HTML shows a table and carries a JSON object in the attribute
``data-lmcore-receipt``, which survives every way from a kernel to a page: caches, converters, the site. (With a MIME type of
its own it would make myst-nb warn of an output that it cannot show.) :func:`find_receipt` finds it in an executed notebook,
:func:`in_html` in a piece of HTML::

    {"format": 1, "chapter": "01_language_models",
     "setting": {"device": "cpu", "device_name": …, "scale": "small", "threads": 2, "code": sha256, "config": {…},
                 "data": {corpus: sha256}, "rooms": {module: sha256}, "versions": {"python": …, "torch": …, …}},
     "run": {"seed": 0, "values": {name: number}, "minutes": wall clock from Page() to receipt(), "cpu_minutes": all threads,
             "memory_mb": peak of the process in 10⁶ bytes, "gpu_memory_mb": peak or null, "date": ""},
     "skipped": {name: reason}}

``setting`` and ``run`` are :class:`lmcore.ledger.record.Setting` and :class:`lmcore.ledger.record.Run`, field by field.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from html import escape, unescape
from typing import Any

from lmcore.ledger.record import FORMAT, Run, Setting
from lmcore.ledger.rounding import duration

RECEIPT = "LMCORE_RECEIPT"
"""Environment variable: a file into which :meth:`lmcore.ledger.Page.receipt` writes the receipt's JSON object as well."""

_ATTRIBUTE = re.compile(r'data-lmcore-receipt="([^"]*)"')


@dataclass(frozen=True)
class Receipt:
    """A run and its setting."""

    chapter: str
    setting: Setting
    run: Run
    skipped: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The JSON object described at the top of :mod:`lmcore.ledger.receipt`."""
        return {
            "format": FORMAT,
            "chapter": self.chapter,
            "setting": asdict(self.setting),
            "run": asdict(self.run),
            "skipped": self.skipped,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Receipt":
        """The receipt that :meth:`to_json` wrote.

        Raises:
            ValueError: it was written by another version of ``lmcore`` in another format.
        """
        if content["format"] != FORMAT:
            raise ValueError(f"a receipt of format {content['format']}; this version reads {FORMAT}: run the page again")
        return cls(content["chapter"], Setting(**content["setting"]), Run(**content["run"]), dict(content["skipped"]))

    def facts(self) -> dict[str, str]:
        """What the receipt says, as label and text."""
        own, run = self.setting, self.run
        threads = f", {own.threads} thread{'s' if own.threads != 1 else ''}" if own.device == "cpu" else ""
        memory = f"{run.memory_mb:,.0f} MB"
        if run.gpu_memory_mb is not None:
            memory += f", on the GPU {run.gpu_memory_mb:,.0f} MB"
        return {
            "Time": f"{duration(run.minutes)} ({duration(run.cpu_minutes)} of processor time)",
            "Peak memory": memory,
            "Device": f"{own.device} ({own.device_name}{threads})",
            "Scale": own.scale,
            "Seed": str(run.seed),
            "Versions": ", ".join(f"{name} {version}" for name, version in own.versions.items()),
        }

    def __repr__(self) -> str:
        facts = self.facts()
        width = max(map(len, facts))
        return "\n".join(f"{label.ljust(width)}  {text}" for label, text in facts.items())

    def _repr_html_(self) -> str:
        left = ' style="text-align:left"'
        rows = "".join(
            f'<tr><th scope="row"{left}>{escape(label)}</th><td{left}>{escape(text)}</td></tr>'
            for label, text in self.facts().items()
        )
        caption = "<caption>This page, as it ran</caption>"
        content = escape(json.dumps(self.to_json(), ensure_ascii=False))
        return (
            f'<div class="lm-receipt" data-lmcore-receipt="{content}">'
            f'<table class="dataframe">{caption}<tbody>{rows}</tbody></table></div>'
        )


def in_html(text: str) -> dict[str, Any] | None:
    """The JSON object of the last receipt in a piece of HTML, or ``None``."""
    found = _ATTRIBUTE.findall(text)
    return json.loads(unescape(found[-1])) if found else None


def find_receipt(notebook: Mapping[str, Any]) -> dict[str, Any] | None:
    """The JSON object of the last receipt among the outputs of an executed notebook (nbformat 4), or ``None``."""
    found = None
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            html = output.get("data", {}).get("text/html", "")
            found = in_html("".join(html)) or found
    return found
