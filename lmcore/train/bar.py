"""A progress bar where somebody looks on, and nothing where nobody does."""

import os
import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from lmcore.train.loop import Step

T = TypeVar("T")


def watched() -> bool:
    """Whether somebody looks on: a terminal, or a notebook open in JupyterLab or Colab. A page that is being built has nobody.

    ``LMCORE_BUILD=1`` says so outright; without it, a notebook that runs outside a Jupyter server's session is unwatched.
    """
    notebook = "JPY_SESSION_NAME" in os.environ or "COLAB_RELEASE_TAG" in os.environ
    return not os.environ.get("LMCORE_BUILD") and (sys.stderr.isatty() or notebook)


def progress(items: Iterable[T], total: int | None = None, label: str = "") -> Iterator[T]:
    """``items``, with a progress bar (and the loss, where an item is a :class:`Step`) as long as it is :func:`watched`.

    The bar goes away when the loop ends, so no page or notebook keeps frames of it.
    """
    if not watched():
        yield from items
        return
    from tqdm.auto import tqdm

    with tqdm(total=total, desc=label, leave=False) as bar:
        for item in items:
            if isinstance(item, Step):
                bar.set_postfix(loss=f"{item.loss:.3f}", refresh=False)
                bar.update(item.step - bar.n)
            else:
                bar.update()
            yield item
