"""What a student sees after a check: words first, then the same as HTML for a notebook."""

import re
from dataclasses import dataclass
from html import escape


@dataclass(frozen=True)
class Example:
    """One public case that differs, in words."""

    label: str
    call: str
    expected: str
    got: str


@dataclass(frozen=True)
class Result:
    """The outcome of one check.

    ``cases`` holds label, public or not, passed or not for each case; a hidden case has no label. ``kind`` is
    ``passed``, the name of the recognised mistake, or a general kind such as ``raises`` or ``shape``.
    """

    name: str
    cases: tuple[tuple[str, bool, bool], ...]
    kind: str
    hint: str = ""
    recognised: bool = False
    example: Example | None = None

    @property
    def passed(self) -> bool:
        """Whether every case that was run passes."""
        return self.kind == "passed"

    @property
    def headline(self) -> str:
        """How many cases pass."""
        public, hidden = self._count(True), self._count(False)
        return f"{public} {hidden[0].upper()}{hidden[1:]}" if public and hidden else public or hidden

    @property
    def title(self) -> str:
        """The outcome in two or three words, and the exercise."""
        words = {"passed": "Passed", "unwritten": "Not written yet"}
        return f"{words.get(self.kind, 'Not yet')}: {self.name}"

    def _count(self, public: bool) -> str:
        flags = [ok for _, seen, ok in self.cases if seen == public]
        kind, total, good = "public" if public else "hidden", len(flags), sum(flags)
        if not flags:
            return ""
        cases = f"{kind} case" if total == 1 else f"{kind} cases"
        if total == 1 and not good:
            return f"the {cases} does not pass."
        if good == total:
            return f"the {cases} passes." if total == 1 else f"all {total} {cases} pass."
        return f"{good} of {total} {cases} {'passes' if good == 1 else 'pass'}."

    @property
    def note(self) -> str:
        """What a pass does not show."""
        hidden = any(not public for _, public, _ in self.cases)
        return "Hidden cases are run when your work is graded." if self.passed and not hidden else ""

    def __str__(self) -> str:
        lines = [f"{'✓' if self.passed else '✗'} {self.title}: {self.headline}"]
        if self.note:
            lines.append(f"  {self.note}")
        if self.kind != "unwritten":
            lines += [f"  {'✓ passes ' if ok else '✗ differs'} {label}" for label, public, ok in self.cases if public]
        if self.hint:
            lines.append(_indent("Hint: " + self.hint, "  "))
        if self.example:
            lines.append(f"  The first public case that differs: {self.example.label}")
            for word, text in (("called", self.example.call), ("expected", self.example.expected), ("got", self.example.got)):
                lines.append(_indent(f"{word:<9}{text}", "    ", 9))
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return _html(self)


def _indent(text: str, margin: str, hang: int = 0) -> str:
    first, *rest = text.split("\n")
    return "\n".join([margin + first, *(margin + " " * hang + line for line in rest)])


# JupyterLab names its colours --jp-*, the site --pst-*; both follow light and dark. Text keeps the page's own colour, and
# so its contrast; colour marks only the edge and the sign, and the words say the same.
_GREEN = "var(--pst-color-success, var(--jp-success-color1, #2e7d32))"
_RED = "var(--pst-color-danger, var(--jp-error-color1, #c62828))"
_BOX = "padding:.5rem .8rem;margin:.3rem 0;line-height:1.45;max-width:60rem"
_PRE = (
    "margin:.1rem 0 .5rem;padding:.35rem .6rem;border:0;color:inherit;white-space:pre-wrap;overflow-wrap:anywhere;"
    "background:color-mix(in srgb, currentColor 8%, transparent);font-size:.9em;"
    "font-family:var(--pst-font-family-monospace, var(--jp-code-font-family, monospace))"
)


def _sign(ok: bool) -> str:
    return f'<span aria-hidden="true" style="color:{_GREEN if ok else _RED};font-weight:bold">{"✓" if ok else "✗"}</span>'


# What stands between backticks is code, and what stands between stars is stressed.
_MARKED = re.compile(r"`([^`]+)`|(?<![\w*])\*(\w(?:[^`*]*\w)?)\*(?![\w*])")


def marked(html: str) -> str:
    """Escaped text with its code and its stressed words as HTML."""
    return _MARKED.sub(lambda found: f"<code>{found[1]}</code>" if found[1] else f"<em>{found[2]}</em>", html)


def _paragraph(content: str) -> str:
    return f'<p style="margin:0 0 .4rem">{content}</p>'


def _html(result: Result) -> str:
    parts = [_paragraph(f"{_sign(result.passed)} <strong>{escape(result.title)}</strong>: {escape(result.headline)}")]
    if result.note:
        parts.append(_paragraph(escape(result.note)))
    if result.hint:
        parts += [_paragraph(f"<strong>Hint.</strong> {marked(escape(text))}") for text in result.hint.split("\n")]
    if result.kind not in ("unwritten", "signature"):
        public = [(label, ok) for label, seen, ok in result.cases if seen]
        items = "".join(f"<li>{_sign(ok)} {'passes' if ok else 'differs'}: {escape(label)}</li>" for label, ok in public)
        parts.append(f'<ul style="list-style:none;margin:0 0 .4rem;padding:0">{items}</ul>')
    if result.example:
        parts.append(_example(result.example, folded=result.recognised))
    style = f"border-inline-start:.3rem solid {_GREEN if result.passed else _RED};{_BOX}"
    return f'<div role="group" aria-label="{escape(result.title)}" style="{style}">{"".join(parts)}</div>'


def _example(example: Example, folded: bool) -> str:
    rows = (("Called", example.call), ("Expected", example.expected), ("Got", example.got))
    body = "".join(f'<div>{word}</div><pre style="{_PRE}">{escape(text)}</pre>' for word, text in rows)
    summary = f'<summary style="margin-bottom:.3rem">The first public case that differs: {escape(example.label)}</summary>'
    return f"<details{'' if folded else ' open'}>{summary}{body}</details>"
