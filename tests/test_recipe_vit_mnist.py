"""The recipe on pictures: what it compares, and that it runs from beginning to end without a download."""

import json

import numpy as np
import pytest
import torch

from lmcore import corpora, ledger
from lmcore.corpora import Digits, Images
from lmcore.corpora.downloads import DownloadError
from lmcore.recipes import vit_mnist
from lmcore.recipes.vit_mnist import READERS, SIZES, right


@pytest.mark.parametrize("scale", ["small", "full"])
def test_the_three_networks_are_about_as_large(scale):
    with torch.device("meta"):
        sizes = [sum(p.numel() for p in make(SIZES[scale]).parameters()) for make in READERS.values()]
    assert max(sizes) < 1.1 * min(sizes)


def test_all_pictures_count_once():
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(28 * 28, 10))
    with torch.no_grad():
        model[1].weight.zero_()
        model[1].bias.copy_(torch.eye(10)[3])  # always 3
    part = Images(np.zeros((1003, 28, 28)), np.array([3] * 1001 + [4] * 2))
    assert right(model, part, torch.device("cpu")) == pytest.approx(100 * 1001 / 1003)


def test_it_runs_from_beginning_to_end(monkeypatch, tmp_path):
    """On pictures in which one bright band tells the class; ``digits`` stand in for the download."""
    monkeypatch.setenv("LMCORE_SCALE", "smoke")
    path = tmp_path / "receipt.json"
    monkeypatch.setenv("LMCORE_RECEIPT", str(path))
    rng = np.random.default_rng(3)

    def part(count: int) -> Images:
        labels = rng.integers(10, size=count)
        images = 0.1 * rng.random((count, 28, 28))
        for image, label in zip(images, labels, strict=True):
            image[2 * label + 3 : 2 * label + 6] = 1
        return Images(images.astype(np.float32), labels)

    monkeypatch.setattr(corpora, "mnist", lambda: Digits(part(80), part(20), part(30)))
    vit_mnist.main()
    receipt = json.loads(path.read_text(encoding="utf-8"))
    assert receipt["setting"]["config"]["counts"] == "64"
    values = receipt["run"]["values"]
    for name in READERS:
        assert 0 <= values[f"test.{name}.64"] <= 100
        assert values[f"parameters.{name}"] > 0
    assert values["pictures.test"] == 30


def test_without_the_pictures_it_says_how_to_get_them(monkeypatch, tmp_path):
    monkeypatch.setenv("LMCORE_SCALE", "smoke")
    monkeypatch.setenv("LMCORE_DATA", str(tmp_path))
    monkeypatch.setenv("LMCORE_MIRROR", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(DownloadError, match="LMCORE_DATA"):
        vit_mnist.run(SIZES["smoke"], ledger.Page("vit_mnist"))
