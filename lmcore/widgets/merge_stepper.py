"""The merge stepper: byte-pair encoding trained merge by merge, in the page, on the reader's own text."""

from typing import Any

import traitlets as t

from lmcore.widgets.base import Figure, in_range, one_of

LEVELS = ("characters", "bytes")
MAX_TEXT = 5000
PETER_PIPER = "Peter Piper picked a peck of pickled peppers"


class MergeStepper(Figure, module="merge_stepper.mjs"):
    """Merge stepper: what byte-pair encoding does to a text, one merge at a time.

    ``text``, ``step`` (merges done) and ``level`` can be set and read from Python. The page trains by itself, on any text; a
    test in a browser holds it equal to ``lmcore.merges`` and ``lmcore.bpe``.

    Args:
        text: what is shown first, at most 5,000 characters; the reader types another one over it.
        merges: at most so many merges are offered; training ends earlier when no pair occurs ``min_count`` times.
        level: "characters" starts from the characters of each word, "bytes" from its UTF-8 bytes.
        min_count: rarer pairs are not merged.

    Raises:
        ValueError: a text that is too long, a negative number, an unknown level.
    """

    text = t.Unicode(PETER_PIPER).tag(sync=True)
    merges = t.Int(60).tag(sync=True)
    min_count = t.Int(2).tag(sync=True)
    level = t.Unicode("characters").tag(sync=True)
    step = t.Int(0).tag(sync=True)
    limit = t.Int(MAX_TEXT, read_only=True).tag(sync=True)

    def __init__(
        self, text: str = PETER_PIPER, merges: int = 60, level: str = "characters", min_count: int = 2, **kwargs: Any
    ) -> None:
        super().__init__(text=text, merges=merges, level=level, min_count=min_count, **kwargs)

    def describe(self) -> str:
        opening = self.text if len(self.text) <= 60 else self.text[:57] + "…"
        return (
            f"Merge stepper. Byte-pair encoding starts from the single {self.level} of a text and joins, step by step, the "
            f"pair of neighbours that occurs most often. The figure does this on “{opening}”, or on a text of your own, and "
            f"shows the counts of the pairs, the text cut into tokens and the vocabulary after each step."
        )

    @t.validate("text")
    def _check_text(self, proposal: Any) -> str:
        in_range("number of characters in text", len(proposal["value"]), 0, MAX_TEXT)
        return proposal["value"]

    @t.validate("level")
    def _check_level(self, proposal: Any) -> str:
        return one_of("level", proposal["value"], LEVELS)

    @t.validate("merges")
    def _check_merges(self, proposal: Any) -> int:
        return in_range("merges", proposal["value"], 1, 1000)

    @t.validate("min_count")
    def _check_min_count(self, proposal: Any) -> int:
        return in_range("min_count", proposal["value"], 1, MAX_TEXT)

    @t.validate("step")
    def _check_step(self, proposal: Any) -> int:
        return in_range("step", proposal["value"], 0, self.merges)
