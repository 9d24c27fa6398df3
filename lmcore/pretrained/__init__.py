"""Weights that were trained elsewhere: name tables between Hugging Face's checkpoints and the models of this book.

A model here names its parameters as torch.nn does, a checkpoint names them as its authors did. A name table says which is
which, and it is read in both directions. Where one of our parameters is several of theirs (torch.nn.MultiheadAttention keeps
the matrices of query, key and value as one), theirs lie one below the other in ours, in the order of the table. The models
know nothing of this.

:func:`load` takes a model by its name, such as ``"gpt2"``, and fetches it once, or reads it from a folder.

Weights are read and written as safetensors: numbers and names, nothing that could run.
"""

from lmcore.pretrained.bert import bert_names, head_names, load_bert, load_bert_for, load_labels, save_bert
from lmcore.pretrained.gpt2 import gpt2_names, load_gpt2, save_gpt2
from lmcore.pretrained.hub import MODELS, Hosted, download, installed, load
from lmcore.pretrained.llama import llama_names, load_llama, save_llama
from lmcore.pretrained.minilm import INSTALL_MINILM, MINILM, minilm, minilm_folder
from lmcore.pretrained.tables import NameTable, Part, from_huggingface, to_huggingface
from lmcore.pretrained.tokens import SparseBPE, load_tokenizer
from lmcore.pretrained.vit import load_vit, load_vit_classifier, save_vit_classifier, vit_names

__all__ = [
    "INSTALL_MINILM",
    "MINILM",
    "MODELS",
    "Hosted",
    "NameTable",
    "Part",
    "SparseBPE",
    "bert_names",
    "download",
    "from_huggingface",
    "gpt2_names",
    "head_names",
    "installed",
    "llama_names",
    "load",
    "load_bert",
    "load_bert_for",
    "load_gpt2",
    "load_labels",
    "load_llama",
    "load_tokenizer",
    "load_vit",
    "load_vit_classifier",
    "minilm",
    "minilm_folder",
    "save_bert",
    "save_gpt2",
    "save_llama",
    "save_vit_classifier",
    "to_huggingface",
    "vit_names",
]
