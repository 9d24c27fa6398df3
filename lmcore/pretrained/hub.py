"""Models by name: fetched once from Hugging Face's hub, or read from a folder where there is no network.

Every file is pinned: an address that names a commit, and a checksum. Files lie in the cache of :mod:`lmcore.corpora`, under
``models/``; ``LMCORE_DATA`` names another place, ``LMCORE_MIRROR`` another server. What Hugging Face's own library has fetched
already is found in its cache and not fetched again.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from lmcore.corpora.downloads import DownloadError, Pinned, address, fetch, folder
from lmcore.pretrained.bert import load_bert, load_labels
from lmcore.pretrained.gpt2 import load_gpt2
from lmcore.pretrained.llama import load_llama
from lmcore.pretrained.tables import read_json
from lmcore.pretrained.tokens import load_tokenizer
from lmcore.pretrained.vit import load_vit_classifier

HUB = "https://huggingface.co"


@dataclass(frozen=True)
class Hosted:
    """A model on the hub.

    Attributes:
        title: what it is.
        licence: under which its authors gave it.
        repository: whose it is and what it is called there.
        revision: the commit.
        megabytes: how much is fetched.
        files: name → SHA-256, or the name that git gives to the content, which has 40 digits.
    """

    title: str
    licence: str
    repository: str
    revision: str
    megabytes: int
    files: Mapping[str, str]

    def pinned(self) -> tuple[Pinned, ...]:
        """Its files: where they lie in the cache, from where they come, and their checksums."""
        base = f"{HUB}/{self.repository}/resolve/{self.revision}"
        there = f"models/{self.repository}"
        return tuple(Pinned(f"{there}/{name}", f"{base}/{name}", digest) for name, digest in self.files.items())


MODELS: dict[str, Hosted] = {
    "gpt2": Hosted(
        "GPT-2 small: 124 million parameters (Radford et al. 2019)",
        "MIT",
        "openai-community/gpt2",
        "607a30d783dfa663caf39e06633721c8d4cfcd7e",
        550,
        {
            "config.json": "0daed7749b4f02b8f76240d5444551d7b08712dab4d0adb8239c56ba823bb7b4",
            "vocab.json": "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
            "merges.txt": "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
            "model.safetensors": "248dfc3911869ec493c76e65bf2fcf7f615828b0254c12b473182f0f81d3a707",
        },
    ),
    "bert-base-uncased": Hosted(
        "BERT base, lower case: 110 million parameters (Devlin et al. 2019)",
        "Apache 2.0",
        "google-bert/bert-base-uncased",
        "86b5e0934494bd15c9632b12f734a8a67f723594",
        441,
        {
            "config.json": "7160e1553ad2ca51d8c1cb066be533db31826e12d173824c1bb0cb1a4f187d20",
            "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
            "model.safetensors": "68d45e234eb4a928074dfd868cead0219ab85354cc53d20e772753c6bb9169d3",
        },
    ),
    "vit-base-patch16-224": Hosted(
        "ViT-B/16: 86 million parameters, 1,000 classes of ImageNet (Dosovitskiy et al. 2021)",
        "Apache 2.0",
        "google/vit-base-patch16-224",
        "3f49326eb077187dfe1c2a2bb15fbd74e6ab91e3",
        346,
        {
            "config.json": "21c61d3f8f3e50137a8c5fdd5bc9b085e286315a",
            "model.safetensors": "1cea07110a4a47edc51420b2dda6f3b8b58e7256e8f44b4ea6aa9696162ccb5d",
        },
    ),
    "SmolLM2-135M": Hosted(
        "SmolLM2: 135 million parameters, a small model of the Llama family (Allal et al. 2025)",
        "Apache 2.0",
        "HuggingFaceTB/SmolLM2-135M",
        "93efa2f097d58c2a74874c7e644dbc9b0cee75a2",
        271,
        {
            "config.json": "1d556eab73b69c7f11f64c557a2f9c6f440bd4c6b89bb2584a6b498c92603843",
            "tokenizer.json": "9ca9acddb6525a194ec8ac7a87f24fbba7232a9a15ffa1af0c1224fcd888e47c",
            "model.safetensors": "80521b40281d6ce74e35c9282c22539e75aa0ac8578892b2a59955ef78d55da1",
        },
    ),
}
"""The models that are known by name."""


def load(name_or_folder: str | Path) -> tuple[nn.Module, Any]:
    """A model and what goes with it, by name or from a folder in Hugging Face's format; the model is in evaluation mode.

    ========================  ==========  =================================================================================
    name                      model type  what is returned
    ========================  ==========  =================================================================================
    ``gpt2``                  ``gpt2``    :class:`lmcore.gpt.GPT`, :class:`lmcore.bpe.BPE`
    ``bert-base-uncased``     ``bert``    :class:`lmcore.bert.Bert`, :class:`lmcore.wordpiece.WordPiece`
    ``vit-base-patch16-224``  ``vit``     :class:`lmcore.vit.VitClassifier`, the names of its classes
    ``SmolLM2-135M``          ``llama``   :class:`lmcore.llama.Llama`, :class:`lmcore.bpe.BPE`
    ========================  ==========  =================================================================================

    A head for another task is read by the loader of its kind from ``download(name)``, such as
    :func:`lmcore.pretrained.load_bert_for`.

    Args:
        name_or_folder: a name of :data:`MODELS`, with or without its owner (``"openai-community/gpt2"``); or a folder, whose
            ``config.json`` says which kind of model it is. A folder that is called like a model is written ``"./gpt2"``.

    Raises:
        FileNotFoundError: a file is not there, and could not be fetched. The message says which are needed, from where, and
            where to put them.
        ValueError: it is no name and no folder, or its kind of model is none of these.
    """
    where = download(str(name_or_folder)) if _hosted(name_or_folder) else Path(name_or_folder)
    if not where.is_dir():
        raise ValueError(
            f"{str(name_or_folder)!r} is no folder and no model that is known by name; the names are {', '.join(MODELS)}"
        )
    kind = read_json(where / "config.json").get("model_type")
    if kind not in READERS:
        raise ValueError(f"{where / 'config.json'} says model_type={kind!r}; use one of {', '.join(READERS)}")
    return READERS[kind](where)


def download(name: str) -> Path:
    """The folder of a model that is known by name; its files are fetched first if they are not there.

    Args:
        name: a name of :data:`MODELS`, with or without its owner.

    Raises:
        FileNotFoundError: it could not be fetched. The message lists the files, their addresses, and where to put them.
        ValueError: there is no model of that name.
    """
    model = _known(name)
    theirs, here = _folders(model)
    if all((theirs / file).is_file() for file in model.files):
        return theirs
    try:
        for file in model.pinned():
            fetch(file)
    except DownloadError as error:
        missing = [address(file) for file in model.pinned() if not (folder() / file.path).exists()]
        raise DownloadError(
            f"{error}. For {name} ({model.megabytes} MB) these files are missing in {here}: {' '.join(missing) or 'none'} . "
            "Fetch them with a browser on any computer, put them there, and try again; or give the folder that holds them: "
            f"load('path/of/folder')"
        ) from error
    return here


def installed(name: str) -> Path | None:
    """The folder of a model that is known by name, or ``None`` if its files are not all there; nothing is fetched.

    Args:
        name: a name of :data:`MODELS`, with or without its owner.

    Raises:
        ValueError: there is no model of that name.
    """
    model = _known(name)
    return next((where for where in _folders(model) if all((where / file).is_file() for file in model.files)), None)


def _folders(model: Hosted) -> tuple[Path, Path]:
    """Where its files may lie: in the cache of Hugging Face's own library, and in that of this package."""
    theirs = _huggingface_cache() / f"models--{model.repository.replace('/', '--')}" / "snapshots" / model.revision
    return theirs, folder() / "models" / model.repository


def _known(name: object) -> Hosted:
    model = _hosted(name)
    if model is None:
        raise ValueError(f"{name!r} is no model that is known by name; use one of {', '.join(MODELS)}")
    return model


def _llama(where: Path) -> tuple[nn.Module, Any]:
    return load_llama(where), load_tokenizer(where)


def _vit(where: Path) -> tuple[nn.Module, Any]:
    return load_vit_classifier(where), load_labels(where)


READERS: dict[str, Callable[[Path], tuple[nn.Module, Any]]] = {
    "gpt2": load_gpt2,
    "bert": load_bert,
    "vit": _vit,
    "llama": _llama,
}


def _hosted(name: object) -> Hosted | None:
    """The model of that name; None for a folder."""
    if not isinstance(name, str):
        return None
    return MODELS.get(name) or next((model for model in MODELS.values() if model.repository == name), None)


def _huggingface_cache() -> Path:
    """Where Hugging Face's library keeps what it fetches, as its documentation says."""
    if named := os.environ.get("HF_HUB_CACHE"):
        return Path(named).expanduser()
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    return Path(home).expanduser() / "hub"
