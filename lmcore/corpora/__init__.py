"""Real texts and pictures by name.

=====================  ==========================================================  =========================
name                   what :func:`load` returns                                   where from
=====================  ==========================================================  =========================
``manual``             the Python language manual, one ``str``                     the standard library
``digits``             :class:`Digits`, 1,797 handwritten digits, 8 × 8            scikit-learn
``mnist``              :class:`Digits`, 70,000 handwritten digits, 28 × 28         download, 11 MB
``tiny_shakespeare``   plays, one ``str`` of 1,115,394 characters                  download, 1.1 MB
``tatoeba``            :class:`Corpus` of English–Dutch :class:`Pair`              download, 1.9 MB
``multi30k``           :class:`Corpus` of English–German :class:`Pair`             download, 1.3 MB
``wnut17``             :class:`Corpus` of :class:`Tagged`, named entities          download, 0.8 MB
``film_reviews``       :class:`Corpus` of :class:`Review`, two classes             download, 0.5 MB
=====================  ==========================================================  =========================

``manual`` and ``digits`` are always there. The others are downloaded once, from an address and with a checksum that never
change, into one cache (:mod:`lmcore.corpora.downloads`). ``python -m lmcore.corpora`` lists them;
with ``--all`` it fetches them.
"""

import argparse
import gzip
import hashlib
import io
import re
import sys
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from jaxtyping import Float, Int

from lmcore.corpora.downloads import DownloadError, fetch, folder, present
from lmcore.corpora.sources import SOURCES, about

T = TypeVar("T")


@dataclass(frozen=True)
class Corpus(Generic[T]):
    """A corpus in three parts that share no example: learn from ``train``, choose with ``valid``, report on ``test``."""

    train: tuple[T, ...]
    valid: tuple[T, ...]
    test: tuple[T, ...]


class Pair(NamedTuple):
    """A sentence and its translation."""

    source: str
    target: str


class Tagged(NamedTuple):
    """A sentence word by word, with one IOB tag for each word (``B-person``, ``I-person``, …, ``O``)."""

    tokens: tuple[str, ...]
    tags: tuple[str, ...]


class Review(NamedTuple):
    """One sentence of a film review, in lower case and already split into words; ``label`` is 1 if it is positive, else 0."""

    text: str
    label: int


class Images(NamedTuple):
    """Pictures of digits: grey levels from 0 (paper) to 1 (ink), S × S, and the digit that each of them shows."""

    images: Float[np.ndarray, "N S S"]
    labels: Int[np.ndarray, " N"]


@dataclass(frozen=True)
class Digits:
    """Handwritten digits in three parts, which are stretches of the file.

    Neighbours in the file were often written by the same hand, so that a random split would test on known handwriting.
    """

    train: Images
    valid: Images
    test: Images


def load(name: str) -> Any:
    """A corpus by name, downloaded first if necessary.

    Raises:
        ValueError: there is no corpus of that name.
        DownloadError: a file of it is not there and cannot be fetched (a ``FileNotFoundError``).
    """
    about(name)
    return READERS[name]()


def available(name: str) -> bool:
    """Whether :func:`load` needs no network: every file of the corpus is in the cache, unchanged."""
    return all(present(file) for file in about(name).files)


def sha256(name: str) -> str:
    """What exactly the corpus is: the SHA-256 of its file; of several files, that of the list of their checksums.

    For ``manual`` it is the SHA-256 of the text (it differs by Python version), for ``digits`` that of images and labels.
    """
    files = about(name).files
    if len(files) == 1:
        return files[0].sha256
    if files:
        return hashlib.sha256("".join(f"{file.sha256}  {file.path}\n" for file in files).encode()).hexdigest()
    content = load(name)
    if isinstance(content, str):
        return hashlib.sha256(content.encode()).hexdigest()
    return hashlib.sha256(
        b"".join(a.tobytes() for part in (content.train, content.valid, content.test) for a in part)
    ).hexdigest()


_used: set[str] = set()


def used() -> dict[str, str]:
    """Every corpus this process has read so far, with its :func:`sha256`; the ledger writes it beside the numbers."""
    return {name: sha256(name) for name in sorted(_used)}


def manual_topics() -> dict[str, str]:
    """The Python language manual from the standard library, topic by topic in alphabetical order."""
    from pydoc_data.topics import topics

    _used.add("manual")
    return {name: topics[name] for name in sorted(topics)}


def manual() -> str:
    """The Python language manual from the standard library as one text: topics in alphabetical order, an empty line between.

    About 465,000 characters of real English technical prose. It differs from one Python version to the next.
    """
    return "\n".join(manual_topics().values())


def digits() -> Digits:
    """The 1,797 handwritten digits, 8 × 8, bundled with scikit-learn (Alpaydin and Kaynak, 1998): 1,197, 300 and 300."""
    from sklearn.datasets import load_digits

    _used.add("digits")
    bunch = load_digits()
    stretches = slice(0, 1197), slice(1197, 1497), slice(1497, None)
    return Digits(*(Images(bunch.images[part] / 16.0, bunch.target[part]) for part in stretches))


def mnist() -> Digits:
    """MNIST: 70,000 handwritten digits, 28 × 28 (LeCun et al., 1998): 55,000, 5,000 (its last training images) and 10,000."""
    (data,) = _contents("mnist")
    with np.load(io.BytesIO(data)) as file:
        known, new = (
            Images((file[f"x_{part}"] / 255).astype(np.float32), file[f"y_{part}"].astype(np.int64))
            for part in ("train", "test")
        )
    cut = -(len(known.labels) // 12)
    return Digits(Images(known.images[:cut], known.labels[:cut]), Images(known.images[cut:], known.labels[cut:]), new)


def tiny_shakespeare() -> str:
    """40,000 lines from Shakespeare's plays in one text of 1,115,394 characters (Karpathy, 2015)."""
    (data,) = _contents("tiny_shakespeare")
    return data.decode("utf-8")


def tatoeba() -> Corpus[Pair]:
    """52,652 short English sentences with Dutch translations by the contributors of Tatoeba.

    Many sentences have several translations. Sentences that are linked by a translation, directly or through others, stay in
    one part (capitals and punctuation do not count), so neither an English nor a Dutch sentence of the test part was in the
    training part. About 80 % train, 10 % valid, 10 % test.
    """
    (data,) = _contents("tatoeba")
    lines = _unzip(data, "nld.txt").split("\n")
    pairs = [Pair(*line.split("\t")[:2]) for line in lines if line]
    return _split(pairs, _groups(pairs))


def multi30k() -> Corpus[Pair]:
    """English image descriptions with German translations (Elliott et al., 2016), split as published: 29,000, 1,014, 1,000."""
    texts = [gzip.decompress(data).decode("utf-8").removesuffix("\n").split("\n") for data in _contents("multi30k")]
    parts = [tuple(map(Pair, texts[i], texts[i + 1])) for i in (0, 2, 4)]
    return Corpus(*parts)


def wnut17() -> Corpus[Tagged]:
    """Social-media sentences with rare named entities of six kinds: 3,394, 1,009 and 1,287 (Derczynski et al., 2017)."""
    return Corpus(*(_tagged(data.decode("utf-8")) for data in _contents("wnut17")))


def film_reviews() -> Corpus[Review]:
    """10,662 sentences from film reviews, half positive, half negative (Pang and Lee, 2005); 80, 10 and 10 % of them."""
    (data,) = _contents("film_reviews")
    reviews = []
    for name, label in (("neg", 0), ("pos", 1)):
        text = _unzip(data, f"sentence_polarity/rt-polarity.{name}")
        # Dashes and quotes of Windows' code page 1252 were left behind when the file was converted.
        text = re.sub("[\x80-\x9f]", lambda c: c[0].encode("latin-1").decode("cp1252", "ignore"), text)
        reviews += [Review(line.strip(), label) for line in text.split("\n") if line.strip()]
    return _split(reviews, [review.text for review in reviews])


def _contents(name: str) -> list[bytes]:
    """The bytes of every file of a corpus; all are fetched before the first is read."""
    paths = [fetch(file) for file in about(name).files]
    _used.add(name)
    return [path.read_bytes() for path in paths]


def _unzip(data: bytes, member: str) -> str:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return archive.read(member).decode("utf-8")


def _tagged(text: str) -> tuple[Tagged, ...]:
    sentences = []
    for block in re.split(r"\n\s*\n", text.strip("\n")):
        words = [line.split("\t") for line in block.split("\n") if line.strip()]
        if words:
            sentences.append(Tagged(tuple(word for word, _ in words), tuple(tag.strip() for _, tag in words)))
    return tuple(sentences)


def _split(items: list[T], groups: Iterable[str]) -> Corpus[T]:
    """80, 10 and 10 %, cut and ordered by a hash of each item's group: the same everywhere, and well mixed."""

    def share(group: str) -> float:
        return int.from_bytes(hashlib.sha256(group.encode()).digest()[:6], "big") / 2**48

    hashed = sorted(zip(map(share, groups), items, strict=True), key=lambda pair: pair[0])
    parts = ((0.0, 0.8), (0.8, 0.9), (0.9, 1.0))
    return Corpus(*(tuple(item for where, item in hashed if low <= where < high) for low, high in parts))


def _groups(pairs: list[Pair]) -> list[str]:
    """For every pair the alphabetically first sentence among all that its sentences are linked with by translations."""
    parent: dict[str, str] = {}

    def root(sentence: str) -> str:
        while (above := parent.setdefault(sentence, sentence)) != sentence:
            parent[sentence] = parent[above]
            sentence = above
        return sentence

    keys = [[f"{side}:" + " ".join(re.findall(r"\w+", s.casefold())) for side, s in enumerate(pair)] for pair in pairs]
    for source, target in keys:
        first, second = sorted((root(source), root(target)))
        parent[second] = first
    return [root(source) for source, _ in keys]


READERS: dict[str, Callable[[], Any]] = {
    "manual": manual,
    "digits": digits,
    "mnist": mnist,
    "tiny_shakespeare": tiny_shakespeare,
    "tatoeba": tatoeba,
    "multi30k": multi30k,
    "wnut17": wnut17,
    "film_reviews": film_reviews,
}


def main(argv: list[str] | None = None) -> int:
    """List or fetch corpora; 1 if one could not be had."""
    parser = argparse.ArgumentParser(
        prog="python -m lmcore.corpora", description="List the corpora, or fetch some into the cache."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(SOURCES)}")
    parser.add_argument("--all", action="store_true", help="fetch all of them")
    parser.add_argument("--list", action="store_true", help="list them with licence and origin (the default)")
    options = parser.parse_args(argv)
    names = list(SOURCES) if options.all else options.names
    failed = False
    for name in names:
        try:
            for file in about(name).files:
                fetch(file)
            print(f"{name}: ready", flush=True)
        except (DownloadError, ValueError) as error:
            print(f"{name}: {error}", file=sys.stderr, flush=True)
            failed = True
    if options.list or not names:
        print(f"Cache: {folder()}")
        for name, source in SOURCES.items():
            print(f"\n{name} ({'here' if available(name) else 'not here yet'})")
            print(f"  {source.title}\n  Licence: {source.licence}\n  From: {source.origin}")
    return int(failed)
