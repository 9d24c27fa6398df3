"""Named real corpora."""

import hashlib
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

_used: dict[str, str] = {}


def used() -> dict[str, str]:
    """Every corpus this process has read so far, with its SHA-256: the ledger writes it beside the numbers."""
    return dict(_used)


def manual_topics() -> dict[str, str]:
    """The Python language manual from the standard library, topic by topic in alphabetical order."""
    from pydoc_data.topics import topics

    return {name: topics[name] for name in sorted(topics)}


def manual() -> str:
    """The Python language manual from the standard library as one text: topics in alphabetical order, an empty line between.

    About 465,000 characters of real English technical prose. It differs from one Python version to the next.
    """
    text = "\n".join(manual_topics().values())
    _used["manual"] = hashlib.sha256(text.encode()).hexdigest()
    return text


@dataclass(frozen=True)
class Digits:
    """Handwritten digits: grey levels from 0 to 1 (8 × 8) and the digit that each image shows."""

    images: Float[np.ndarray, "N 8 8"]
    labels: Int[np.ndarray, " N"]


def digits() -> Digits:
    """The 1,797 handwritten digits bundled with scikit-learn."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return Digits(bunch.images / 16.0, bunch.target)
