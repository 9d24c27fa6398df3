"""Figures that move: one class and one ES module each, over a shared drawing core and a host for pages without a kernel."""

from lmcore.widgets.adventure import Adventure
from lmcore.widgets.alignment_explorer import AlignmentExplorer
from lmcore.widgets.architecture_walk import ArchitectureWalk
from lmcore.widgets.attention_calculator import AttentionCalculator
from lmcore.widgets.base import HOST, Figure
from lmcore.widgets.beam_tree import BeamTree
from lmcore.widgets.bottleneck_squeezer import BottleneckSqueezer
from lmcore.widgets.cache_sizes import CacheModel, CacheSizes, cache_bytes
from lmcore.widgets.cache_steps import CacheSteps
from lmcore.widgets.caption_attention import CaptionAttention
from lmcore.widgets.cost_curves import CostCurves
from lmcore.widgets.decoding_playground import DecodingPlayground
from lmcore.widgets.embedding_map import EmbeddingMap
from lmcore.widgets.fill_blank import FillBlank
from lmcore.widgets.gate_explorer import GateExplorer
from lmcore.widgets.head_explorer import HeadExplorer
from lmcore.widgets.layer_chooser import LayerChoice, LayerChooser, table_7
from lmcore.widgets.merge_stepper import MergeStepper
from lmcore.widgets.next_tokens import NextTokens
from lmcore.widgets.next_word import NextWord
from lmcore.widgets.patch_attention import PatchAttention
from lmcore.widgets.position_viewer import PositionViewer
from lmcore.widgets.prompt_lab import PromptLab, PromptTask
from lmcore.widgets.soft_look_up import SoftLookUp
from lmcore.widgets.text_adventure import TextAdventure
from lmcore.widgets.time_line import Milestone, TimeLine
from lmcore.widgets.unrolled_network import UnrolledNetwork
from lmcore.widgets.vanishing_lab import VanishingLab

__all__ = [
    "HOST",
    "Adventure",
    "AlignmentExplorer",
    "ArchitectureWalk",
    "AttentionCalculator",
    "BeamTree",
    "BottleneckSqueezer",
    "CacheModel",
    "CacheSizes",
    "CacheSteps",
    "CaptionAttention",
    "CostCurves",
    "DecodingPlayground",
    "EmbeddingMap",
    "Figure",
    "FillBlank",
    "GateExplorer",
    "HeadExplorer",
    "LayerChoice",
    "LayerChooser",
    "MergeStepper",
    "Milestone",
    "NextTokens",
    "NextWord",
    "PatchAttention",
    "PositionViewer",
    "PromptLab",
    "PromptTask",
    "SoftLookUp",
    "TextAdventure",
    "TimeLine",
    "UnrolledNetwork",
    "VanishingLab",
    "cache_bytes",
    "table_7",
]
