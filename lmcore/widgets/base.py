"""What every moving figure of the book shares: one class, one style sheet, one drawing core.

A figure is an anywidget: its data are traits, its logic is an ES module. So the same figure runs in JupyterLab with a
kernel and, through ``host.js``, on a built page without one. A module that is loaded from a Blob cannot import a neighbour;
``join`` therefore puts a figure's modules into one file here, in Python.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import anywidget
import numpy as np
import traitlets as t

HERE = Path(__file__).parent
HOST = HERE / "host.js"  # what a page without a kernel loads
VIEW_MIME = "application/vnd.jupyter.widget-view+json"

_IMPORT = re.compile(r'^import \{[^}]*\} from "\./([\w-]+\.mjs)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?!default\b)", re.MULTILINE)


def join(name: str) -> str:
    """One ES module made of ``name`` and of every module it imports, each once, the imported ones first."""
    seen: list[str] = []

    def visit(module: str) -> None:
        if module in seen:
            return
        for needed in _IMPORT.findall((HERE / module).read_text("utf-8")):
            visit(needed)
        seen.append(module)

    visit(name)
    parts = []
    for module in seen:
        source = _IMPORT.sub("", (HERE / module).read_text("utf-8"))
        parts.append(source if module == name else _EXPORT.sub("", source))
    return "\n".join(parts)


class Figure(anywidget.AnyWidget):
    """Base class of the book's figures.

    A subclass names its ES module (``class NextWord(Figure, module="next_word.mjs")``) and describes in ``describe`` what
    the figure shows, in full sentences. That text is the ``alt`` trait: screen readers read it, a page without JavaScript
    and a terminal show it in place of the figure. Pass ``alt="…"`` to say it better for one page.
    """

    _css: ClassVar[Any] = (HERE / "style.css").read_text("utf-8")
    alt = t.Unicode().tag(sync=True)

    def __init_subclass__(cls, module: str | None = None, **kwargs: Any) -> None:
        if module:
            cls._esm = join(module)
        super().__init_subclass__(**kwargs)

    def __init__(self, **kwargs: Any) -> None:
        try:
            super().__init__(**kwargs)
        except t.TraitError as error:  # a value of the wrong type; the message names it and what is expected
            raise ValueError(str(error)) from None
        if not self.alt:
            self.alt = self.describe()

    def describe(self) -> str:
        """What the figure shows, in one or two full sentences."""
        raise NotImplementedError

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict, dict] | None:
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is not None:
            bundle[0]["text/plain"] = self.alt
        return bundle


def packed(values: Any, dtype: str) -> bytes:
    """An array as little-endian bytes, as the drawing core's ``array`` reads them (``"<f4"``, ``"<u2"``)."""
    return np.ascontiguousarray(values, dtype=dtype).tobytes()


def one_of(name: str, value: Any, allowed: Sequence[Any]) -> Any:
    """``value`` if it is among ``allowed``; otherwise a ValueError that lists some of what is allowed."""
    if value not in allowed:
        shown = ", ".join(repr(a) for a in allowed[:12]) + (f", … ({len(allowed)} in all)" if len(allowed) > 12 else "")
        raise ValueError(f"{name} is {value!r}; allowed: {shown}")
    return value


def in_range(name: str, value: int, low: int, high: int) -> int:
    """``value`` if low ≤ value ≤ high; otherwise a ValueError that names both ends."""
    if not low <= value <= high:
        raise ValueError(f"{name} is {value}; allowed: {low} to {high}")
    return value


def whole_heads(dim: int, heads: int, most: Mapping[str, int]) -> None:
    """A ValueError unless both lie between 1 and ``most`` of their name, and every head gets a whole number of ``dim``."""
    in_range("dim", dim, 1, most["dim"])
    in_range("heads", heads, 1, most["heads"])
    if dim % heads:
        raise ValueError(f"dim={dim} is not a multiple of heads={heads}; every head gets dim / heads numbers")
