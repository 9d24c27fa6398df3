"""What each corpus is, under which licence it may be used, and the pinned files that it consists of."""

from dataclasses import dataclass

from lmcore.corpora.downloads import Pinned


@dataclass(frozen=True)
class Source:
    """What a corpus is, under which licence, from where, and in which files (none: it comes with a package)."""

    title: str
    licence: str
    origin: str
    files: tuple[Pinned, ...] = ()


def about(name: str) -> Source:
    """Title, licence, origin and files of a corpus.

    Raises:
        ValueError: there is no corpus of that name.
    """
    if not isinstance(name, str) or name not in SOURCES:
        raise ValueError(f"{name!r} is not a corpus; use one of {', '.join(SOURCES)}")
    return SOURCES[name]


def _github(repository: str, commit: str, files: dict[str, tuple[str, str]]) -> tuple[Pinned, ...]:
    """Files of one commit: path in the cache → (path in the repository, SHA-256)."""
    base = f"https://raw.githubusercontent.com/{repository}/{commit}"
    return tuple(Pinned(path, f"{base}/{there}", digest) for path, (there, digest) in files.items())


SOURCES: dict[str, Source] = {
    "manual": Source(
        "The Python language manual, as the standard library carries it for help()",
        "PSF License Version 2",
        "https://docs.python.org/3/reference, in the standard library as pydoc_data.topics",
    ),
    "digits": Source(
        "Optical recognition of handwritten digits, test part: 1,797 images of 8 × 8 grey levels",
        "CC BY 4.0; E. Alpaydin and C. Kaynak",
        "https://archive.ics.uci.edu/dataset/80, bundled with scikit-learn",
    ),
    "mnist": Source(
        "MNIST: 70,000 images of handwritten digits, 28 × 28 grey levels",
        "CC BY-SA 3.0; Y. LeCun and C. Cortes",
        "http://yann.lecun.com/exdb/mnist, as the one NumPy file that Keras serves",
        (
            Pinned(
                "mnist/mnist.npz",
                "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz",
                "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1",
            ),
        ),
    ),
    "tiny_shakespeare": Source(
        "Tiny Shakespeare: 40,000 lines of plays, 1,115,394 characters",
        "MIT, as its repository states; the plays themselves are in the public domain",
        "https://github.com/karpathy/char-rnn",
        _github(
            "karpathy/char-rnn",
            "6f9487a6fe5b420b7ca9afb0d7c078e37c1d1b4e",
            {
                "tiny_shakespeare/input.txt": (
                    "data/tinyshakespeare/input.txt",
                    "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
                ),
            },
        ),
    ),
    "tatoeba": Source(
        "Tatoeba: 52,652 English sentences with Dutch translations",
        "CC BY 2.0 FR; sentences by the contributors of Tatoeba, named line by line in the file",
        "https://tatoeba.org by way of https://www.manythings.org/anki, copied in https://github.com/BMKessels/lstm_lecture",
        _github(
            "BMKessels/lstm_lecture",
            "2ef6fb5a6e851a258e29f348bc8c54a4dc04a530",
            {
                "tatoeba_nl_en/nld-eng.zip": (
                    "nld-eng.zip",
                    "58102e8188bf5520d2d2491150bbee58bc4c528e635f224a135299b919849eee",
                ),
            },
        ),
    ),
    "multi30k": Source(
        "Multi30k, task 1: 31,014 English image descriptions with German translations",
        "research and education, not commercial",
        "https://github.com/multi30k/dataset",
        _github(
            "multi30k/dataset",
            "a3d2e0d26b56f3846f66a952536ffed4e401d05a",
            {
                "multi30k/train.en.gz": (
                    "data/task1/raw/train.en.gz",
                    "d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f",
                ),
                "multi30k/train.de.gz": (
                    "data/task1/raw/train.de.gz",
                    "726e39b2fa9eb9ffb6dc763fb35a179f80fae06ffc5d28b6ace5faa883de28a6",
                ),
                "multi30k/val.en.gz": (
                    "data/task1/raw/val.en.gz",
                    "14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28",
                ),
                "multi30k/val.de.gz": (
                    "data/task1/raw/val.de.gz",
                    "f0cba2f995189cf5770f29a8a9a537a3ad3f51657ad873405082ff6863a5e75a",
                ),
                "multi30k/test_2016_flickr.en.gz": (
                    "data/task1/raw/test_2016_flickr.en.gz",
                    "611d361c6334bc7246101d48097c13cf5c4413c5befc793cc629934359d532d9",
                ),
                "multi30k/test_2016_flickr.de.gz": (
                    "data/task1/raw/test_2016_flickr.de.gz",
                    "9204244e408ccb38d2a55cfcd344df15005fc42a07a6e55ca6c52b6ababb8cc8",
                ),
            },
        ),
    ),
    "wnut17": Source(
        "WNUT 2017: 5,690 social-media sentences with emerging and rare named entities",
        "CC BY 4.0",
        "https://github.com/leondz/emerging_entities_17",
        _github(
            "leondz/emerging_entities_17",
            "e52a2d2a71ac1a051ca2d532eef28653c5c02603",
            {
                "wnut17/wnut17train.conll": (
                    "wnut17train.conll",
                    "731820e13f71af324c6b55a1575ec2ce59fbaa2a0806f8f0400b98d56cd6a7a5",
                ),
                "wnut17/emerging.dev.conll": (
                    "emerging.dev.conll",
                    "e053b752b8155113ca66e7db08af5f2f5f43ab993694e4774f1ec5bad42312d8",
                ),
                "wnut17/emerging.test.annotated": (
                    "emerging.test.annotated",
                    "2aa79b764e56ec9264a1b30fdd9b70195bd00ff400b62edd8f399d5f13c178f0",
                ),
            },
        ),
    ),
    "film_reviews": Source(
        "Sentence polarity 1.0: 10,662 sentences of film reviews, positive or negative",
        "CC BY 4.0; Bo Pang and Lillian Lee",
        "https://www.cs.cornell.edu/people/pabo/movie-review-data, copied in https://github.com/nltk/nltk_data",
        _github(
            "nltk/nltk_data",
            "5db857e6f7df11eabb5e5665836db9ec8df07e28",
            {
                "rt_polarity/sentence_polarity.zip": (
                    "packages/corpora/sentence_polarity.zip",
                    "6e1ed4405b65c7eabf1d199a7f7c437091ac21da0ea7467b410a74062574566b",
                ),
            },
        ),
    ),
}
