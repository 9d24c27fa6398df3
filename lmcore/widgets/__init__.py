"""Figures that move: one class and one ES module each, over a shared drawing core and a host for pages without a kernel."""

from lmcore.widgets.base import HOST, Figure
from lmcore.widgets.bottleneck_squeezer import BottleneckSqueezer
from lmcore.widgets.embedding_map import EmbeddingMap
from lmcore.widgets.gate_explorer import GateExplorer
from lmcore.widgets.merge_stepper import MergeStepper
from lmcore.widgets.next_word import NextWord
from lmcore.widgets.unrolled_network import UnrolledNetwork
from lmcore.widgets.vanishing_lab import VanishingLab

__all__ = [
    "HOST",
    "BottleneckSqueezer",
    "EmbeddingMap",
    "Figure",
    "GateExplorer",
    "MergeStepper",
    "NextWord",
    "UnrolledNetwork",
    "VanishingLab",
]
