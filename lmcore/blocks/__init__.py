"""Blocks: the layers that a Transformer is a stack of.

A layer has two or three *sublayers*: self-attention, in a decoder attention to the encoder's outputs, and a small network that
is applied to every position by itself. Around each sublayer go a residual connection and a normalisation, in one of two orders:
:func:`post_norm`, that of Vaswani et al. (2017), or :func:`pre_norm`. The norm is :class:`LayerNorm` or :class:`RMSNorm`, the
network :class:`FeedForward` or, with gates, :class:`SwiGLU`.

The parameters have the names of :class:`torch.nn.TransformerEncoderLayer` and :class:`torch.nn.TransformerDecoderLayer`, so the
state of one loads into the other. Masks are those of :mod:`lmcore.attention`: True where a query may look.
"""

from lmcore.blocks.layers import NORMS, DecoderLayer, EncoderLayer, Layer, Part, Positions
from lmcore.blocks.mlp import ACTIVATIONS, FeedForward, SwiGLU, gelu_tanh, swiglu, swiglu_hidden
from lmcore.blocks.norms import NORM_TYPES, LayerNorm, RMSNorm, layer_norm, make_norm, post_norm, pre_norm, rms_norm

__all__ = [
    "ACTIVATIONS",
    "NORMS",
    "NORM_TYPES",
    "DecoderLayer",
    "EncoderLayer",
    "FeedForward",
    "Layer",
    "LayerNorm",
    "Part",
    "Positions",
    "RMSNorm",
    "SwiGLU",
    "gelu_tanh",
    "layer_norm",
    "make_norm",
    "post_norm",
    "pre_norm",
    "rms_norm",
    "swiglu",
    "swiglu_hidden",
]
