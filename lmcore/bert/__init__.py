"""BERT: an encoder that reads a text from both sides, and gives every token a vector that depends on all the others.

The model of Devlin et al. (2019, https://aclanthology.org/N19-1423): token, position and segment embeddings, and post-norm
encoder layers with GELU (:class:`Bert`). On it stand the heads: for pre-training (:class:`BertPretraining`: which word was
hidden, which sentence is next), for texts (:class:`BertClassifier`), tags (:class:`BertTagger`) and spans
(:class:`BertSpans`). Weights that were trained elsewhere come in through :mod:`lmcore.pretrained`.

Or the vectors of its layers become the inputs of another model: :func:`layer_features`, :class:`LayerChoice`.

A text is ``[CLS] text [SEP]``, a pair of texts ``[CLS] first [SEP] second [SEP]``; :func:`inputs` makes the tensors, and
:class:`MaskedTexts` and :class:`SentencePairs` make endless batches of them with words hidden, for :func:`pretrain`.
"""

from lmcore.bert.features import (
    CHOICES,
    LayerChoice,
    LayerFeatures,
    WeightedSum,
    WordInputs,
    concatenated,
    layer_features,
    word_inputs,
    word_targets,
)
from lmcore.bert.heads import BertClassifier, BertMaskedLM, BertPretraining, BertSpans, BertTagger, MaskedHead, Spans
from lmcore.bert.losses import best_span, classification_loss, masked_loss, pretraining_loss, span_loss, tagging_loss
from lmcore.bert.masking import Masked, MaskedBatch, MaskedBatches, MaskedTexts, SentencePairs, mask_tokens
from lmcore.bert.model import Bert, BertConfig, Layers
from lmcore.bert.pretraining import Best, Measured, best_possible, fill, measure, pretrain
from lmcore.bert.texts import (
    Inputs,
    contextual_vectors,
    inputs,
    mean_pool,
    sentence_vectors,
    word_places,
    word_tokenizer,
)

__all__ = [
    "CHOICES",
    "Bert",
    "BertClassifier",
    "BertConfig",
    "BertMaskedLM",
    "BertPretraining",
    "BertSpans",
    "BertTagger",
    "Best",
    "Inputs",
    "LayerChoice",
    "LayerFeatures",
    "Layers",
    "Masked",
    "MaskedBatch",
    "MaskedBatches",
    "MaskedHead",
    "MaskedTexts",
    "Measured",
    "SentencePairs",
    "Spans",
    "WeightedSum",
    "WordInputs",
    "best_possible",
    "best_span",
    "classification_loss",
    "concatenated",
    "contextual_vectors",
    "fill",
    "inputs",
    "layer_features",
    "mask_tokens",
    "masked_loss",
    "mean_pool",
    "measure",
    "pretrain",
    "pretraining_loss",
    "sentence_vectors",
    "span_loss",
    "tagging_loss",
    "word_inputs",
    "word_places",
    "word_targets",
    "word_tokenizer",
]
