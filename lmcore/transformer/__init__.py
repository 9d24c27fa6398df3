"""Transformers: stacks of layers, and the models made of them.

:class:`Encoder`, :class:`Decoder` and :class:`Transformer` go from vectors to vectors, with the parameters of
:class:`torch.nn.Transformer`. Three models go from token ids to logits: :class:`TransformerLM` (a decoder without an encoder),
:class:`TransformerClassifier` (an encoder without a decoder) and :class:`TransformerTranslator` (both).
"""

from lmcore.transformer.classifier import TransformerClassifier
from lmcore.transformer.inputs import POSITIONS, TokenEmbedding
from lmcore.transformer.language import TransformerLanguageModel, TransformerLM, as_language_model, next_token_loss
from lmcore.transformer.stacks import Decoder, Encoder, Transformer
from lmcore.transformer.translator import Reading, TransformerTranslator

__all__ = [
    "POSITIONS",
    "Decoder",
    "Encoder",
    "Reading",
    "TokenEmbedding",
    "Transformer",
    "TransformerClassifier",
    "TransformerLM",
    "TransformerLanguageModel",
    "TransformerTranslator",
    "as_language_model",
    "next_token_loss",
]
