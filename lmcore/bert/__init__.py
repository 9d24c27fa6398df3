"""BERT: an encoder that reads a text from both sides, and gives every token a vector that depends on all the others.

The model of Devlin et al. (2019, https://aclanthology.org/N19-1423): token, position and segment embeddings, and post-norm
encoder layers with GELU. Weights that were trained elsewhere come in through :mod:`lmcore.pretrained`.

A text is ``[CLS] text [SEP]``, a pair of texts ``[CLS] first [SEP] second [SEP]``; :func:`inputs` makes the tensors.
"""

from lmcore.bert.model import Bert, BertConfig, Layers
from lmcore.bert.texts import Inputs, contextual_vectors, inputs, mean_pool, sentence_vectors, word_places

__all__ = [
    "Bert",
    "BertConfig",
    "Inputs",
    "Layers",
    "contextual_vectors",
    "inputs",
    "mean_pool",
    "sentence_vectors",
    "word_places",
]
