"""The vision transformer: a picture cut into patches, and read like a text whose words they are.

The model of Dosovitskiy et al. (2021, https://openreview.net/forum?id=YicbFdNTTy): every patch becomes a vector by one matrix,
a learned vector [CLS] goes in front, learned positions are added, and pre-norm encoder layers with GELU do the rest.
:class:`Captioner` puts a text decoder behind it, which looks at the patches while it writes.

A picture is a tensor of channels, rows and columns, ``[B c h w]``. Weights that were trained elsewhere come in through
:mod:`lmcore.pretrained`.
"""

from lmcore.vit.captioner import Captioner, Seeing, caption_loss
from lmcore.vit.model import Vit, VitClassifier, VitConfig, picture_loss
from lmcore.vit.patches import patchify, unpatchify
from lmcore.vit.pictures import CaptionBatch, Captions, Pictures, moved

__all__ = [
    "CaptionBatch",
    "Captioner",
    "Captions",
    "Pictures",
    "Seeing",
    "Vit",
    "VitClassifier",
    "VitConfig",
    "caption_loss",
    "moved",
    "patchify",
    "picture_loss",
    "unpatchify",
]
