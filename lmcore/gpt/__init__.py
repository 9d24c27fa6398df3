"""GPT: a decoder-only Transformer, which reads a text from left to right and predicts every next token.

The model of Radford et al. (2018, 2019): token and learned position embeddings, pre-norm layers with GELU in which no position
looks ahead, a last norm, and the embeddings again as the output matrix (:class:`GPT`, :class:`GPTConfig`). Every choice in
which Llama differs is a field of the config, so both are one class, composed of the blocks of :mod:`lmcore.blocks`.

It generates with everything in :mod:`lmcore.generate`, learns from :func:`lmcore.transformer.next_token_loss`, and its weights
come from elsewhere through :mod:`lmcore.pretrained`.
"""

from lmcore.gpt.config import GPT2_SIZES, POSITIONS, GPTConfig
from lmcore.gpt.language import GPTLanguageModel, as_language_model, pretrain
from lmcore.gpt.model import GPT
from lmcore.train import parameter_groups
from lmcore.transformer import next_token_loss

__all__ = [
    "GPT",
    "GPT2_SIZES",
    "POSITIONS",
    "GPTConfig",
    "GPTLanguageModel",
    "as_language_model",
    "next_token_loss",
    "parameter_groups",
    "pretrain",
]
