"""Figures that move: one class and one ES module each, over a shared drawing core and a host for pages without a kernel."""

from lmcore.widgets.base import HOST, Figure
from lmcore.widgets.embedding_map import EmbeddingMap
from lmcore.widgets.merge_stepper import MergeStepper
from lmcore.widgets.next_word import NextWord

__all__ = ["HOST", "EmbeddingMap", "Figure", "MergeStepper", "NextWord"]
