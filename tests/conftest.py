"""Shape annotations are enforced while the tests run, and the quick tests come first."""

import os
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import hypothesis
import jaxtyping
import pytest
import torch
from jaxtyping import install_import_hook

# Not `check`: a student's function is watched call by call there, and each look at a call would be checked as well.
PACKAGE = Path(__file__).parents[1] / "lmcore"
ROOMS = sorted({path.stem for path in PACKAGE.iterdir()} - {"__init__", "__pycache__", "assets", "py", "check"})
install_import_hook([f"lmcore.{room}" for room in ROOMS], "beartype.beartype")
# How long an example takes says more about the machine than about the code.
hypothesis.settings.register_profile("book", deadline=None)
hypothesis.settings.load_profile("book")

BOOK = Path(__file__).parent / "book"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: BOOK in item.path.parents)


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the scale or the seed of the shell that started it."""
    for name in ("LMCORE_SCALE", "LMCORE_SEED"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def unchecked() -> Iterator[None]:
    """What a student's machine does with a wrong type: the package's own checks answer, not the ones above."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
