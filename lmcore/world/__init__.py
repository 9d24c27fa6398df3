"""The generated language of the book: plain English from a grammar whose every probability is known.

``World().sample(3, seed=0)`` writes three stories. :meth:`World.next_distribution`, :meth:`World.log_prob`,
:meth:`World.posterior` and :meth:`World.entropy` are exact, so that every model of the book can be compared with the truth.
"""

from lmcore.world.noise import MaskingNoise
from lmcore.world.pairs import Pair
from lmcore.world.relations import relations
from lmcore.world.samples import Instruction, Story, detokenize
from lmcore.world.sheets import Sheet, Sheets
from lmcore.world.world import KINDS_OF_TEXT, World

__all__ = [
    "KINDS_OF_TEXT",
    "Instruction",
    "MaskingNoise",
    "Pair",
    "Sheet",
    "Sheets",
    "Story",
    "World",
    "detokenize",
    "relations",
]
