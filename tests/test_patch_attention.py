"""The Python side of patch attention and caption attention: what they hand to the page, and what they refuse."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lmcore.widgets import CaptionAttention, PatchAttention
from lmcore.widgets.patches import LEVELS

N, HEIGHT, WIDTH, PATCH = 3, 10, 15, 5
T, LAYERS, HEADS, K = 1 + 6, 3, 2, 5
CLASSES = ["zero", "<b>", "two", "drie", '"4"']
CAPTIONS = ["the </script> seven", ["a", "naïve", '"<b>"', "one", "<end>"], "five"]


def images(seed: int = 3) -> Tensor:
    return 16 * torch.rand(N, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) - 3


def attentions(seed: int = 5) -> Tensor:
    """Weights of random heads; head 1 of layer 0 looks at itself, head 0 of layer 2 at [CLS]."""
    source = torch.Generator().manual_seed(seed)
    weights = (2 * torch.randn(N, LAYERS, HEADS, T, T, generator=source, dtype=torch.float64)).softmax(-1)
    weights[:, 0, 1] = torch.eye(T, dtype=torch.float64)
    weights[:, 2, 0] = torch.eye(T, dtype=torch.float64)[torch.zeros(T, dtype=torch.long)]
    return weights


def probabilities(kinds: int = K, seed: int = 7) -> Tensor:
    return (3 * torch.randn(N, kinds, generator=torch.Generator().manual_seed(seed))).softmax(-1)


def patches(**kwargs: Any) -> PatchAttention:
    given = {"images": images(), "attentions": attentions(), "labels": [2, 0, 4], "probabilities": probabilities()}
    return PatchAttention(**{**given, "patch": PATCH, "classes": CLASSES, **kwargs})


def crossed(keys: int = T, seed: int = 8) -> list[Tensor]:
    """Weights of every word of the captions over the patches, with [CLS] if ``keys`` is 7."""
    source = torch.Generator().manual_seed(seed)
    lengths = [len(text.split() if isinstance(text, str) else text) for text in CAPTIONS]
    return [(2 * torch.randn(2, 3, t, keys, generator=source, dtype=torch.float64)).softmax(-1) for t in lengths]


def captions(**kwargs: Any) -> CaptionAttention:
    given = {"images": images(), "captions": CAPTIONS, "attentions": crossed(), "patch": PATCH}
    return CaptionAttention(**{**given, **kwargs})


def test_page_gets_every_weight_and_every_pixel() -> None:
    widget = patches()
    assert (widget.size, widget.grid, widget.layers, widget.heads) == ([HEIGHT, WIDTH], [2, 3], LAYERS, HEADS)
    for number, weights in enumerate(attentions()):
        widget.image = number
        assert widget.attention().shape == weights.shape
        assert np.abs(widget.attention() - weights.numpy()).max() <= 0.5 / LEVELS + 1e-12
        assert np.array_equal(widget.attention()[0, 1], np.eye(T)), "0 and 1 are exact"
    pixels = np.frombuffer(widget.pixels, "u1").reshape(N, HEIGHT, WIDTH).astype(float)
    assert (pixels.min(), pixels.max()) == (0, 255)
    low, high = float(images().min()), float(images().max())
    assert np.abs(low + pixels * (high - low) / 255 - images().numpy()).max() <= (high - low) / 510 + 1e-12
    assert np.frombuffer(widget.probabilities, "<f4") == pytest.approx(probabilities().flatten().numpy(), rel=1e-6)


def test_rollout_is_the_product_over_layers_of_half_mean_and_half_identity() -> None:
    widget = patches(image=1)
    mean, same = widget.attention().mean(1), np.eye(T)
    expected = same
    for layer, found in enumerate(widget.rollout()):
        expected = (0.5 * mean[layer] + 0.5 * same) @ expected
        assert found == pytest.approx(expected, abs=1e-15)
        assert found.sum(-1) == pytest.approx(np.ones(T), abs=LAYERS * T / LEVELS)


def test_what_models_return_is_taken() -> None:
    """A channel axis, gradients, half precision, labels as a tensor, a list with one entry per image, one flat image."""
    plain = patches()
    same = patches(
        images=images()[:, None].float(),
        attentions=[w.float().requires_grad_() for w in attentions()],
        labels=torch.tensor([2, 0, 4]),
    )
    assert (same.pixels, same.labels) == (plain.pixels, plain.labels)
    assert np.abs(same.attention() - plain.attention()).max() <= 1 / LEVELS
    assert np.abs(patches(attentions=attentions().half()).attention() - plain.attention()).max() < 1e-3
    assert patches(classes=None).classes == ["0", "1", "2", "3", "4"]
    assert set(patches(images=torch.ones(N, HEIGHT, WIDTH)).pixels) == {0}
    assert patches().layer == LAYERS - 1, "the last layer opens"


def test_choices_travel_both_ways() -> None:
    for widget, chosen, wrong in (
        (
            patches(),
            {"image": 2, "layer": 1, "head": -2, "query": 6, "numbers": True},
            {"image": (3, -1), "layer": (3,), "head": (2, -3), "query": (7, -1)},
        ),
        (
            captions(),
            {"image": 1, "word": 4, "layer": 0, "head": 2, "numbers": True},
            {"image": (3,), "word": (5, -1), "layer": (2,), "head": (3, -2)},
        ),
    ):
        widget.set_state(chosen)
        assert {name: getattr(widget, name) for name in chosen} == chosen
        for name, values in wrong.items():
            for value in values:
                with pytest.raises(ValueError, match=f"{name} is {value}; allowed"):
                    setattr(widget, name, value)
                assert getattr(widget, name) == chosen[name]


def test_caption_page_gets_every_weight_with_and_without_cls() -> None:
    for keys in (T, T - 1):
        widget = captions(attentions=crossed(keys), references=["right </b>", "two", ["three"]])
        assert (widget.sources, widget.layers, widget.heads) == (keys, 2, 3)
        assert widget.references == ["right </b>", "two", "three"]
        for number, weights in enumerate(crossed(keys)):
            widget.image = number
            assert widget.attention().shape == weights.shape
            assert np.abs(widget.attention() - weights.numpy()).max() <= 0.5 / LEVELS + 1e-12


def test_another_image_keeps_the_word_inside() -> None:
    widget = captions(image=1, word=4)
    widget.image = 0
    assert widget.word == 2


def test_sentences_for_those_who_cannot_see_them() -> None:
    for text, parts in (
        (patches().alt, ("3 images of 10 by 15 pixels", "2 rows of 3 patches", "3 layers with 2 heads")),
        (captions().alt, ("3 images of 10 by 15", "“the </script> seven”")),
    ):
        assert text.endswith(".")
        for part in parts:
            assert part in text


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"images": images()[0]}, r"images has shape \(10, 15\); allowed: \(any, any, any\)"),
        ({"images": images()[:, None].expand(-1, 3, -1, -1)}, r"\(3, 3, 10, 15\); allowed: \(any, 1, any, any\)"),
        ({"images": "digits"}, "images must be numbers"),
        ({"images": images() / 0}, "images holds -?inf; allowed: finite"),
        ({"images": np.zeros((3, 400, 300))}, "number of pixels is 360000; allowed: 1 to 300000"),
        ({"patch": 4}, "patch is int 4; allowed: a whole number that divides the height 10 and width 15"),
        ({"patch": 0}, "patch is int 0"),
        ({"patch": 2.5}, "patch is float 2.5"),
        ({"attentions": attentions()[:2]}, "3 images, but attentions of 2"),
        ({"attentions": None}, "3 images, but attentions of NoneType None"),
        (
            {"attentions": attentions()[..., 1:, 1:]},
            r"attentions of image 0 has shape \(3, 2, 6, 6\); allowed: \(any, any, 7, any\)",
        ),
        ({"attentions": attentions()[..., 1:]}, r"\(3, 2, 7, 6\); allowed: \(any, any, 7, 7\)"),
        (
            {"attentions": [attentions()[0], attentions()[1, :2], attentions()[2]]},
            r"image 1 has shape \(2, .*allowed: \(3, 2, 7",
        ),
        ({"attentions": 2 * attentions()}, r"row \(.*\) of attentions of image 0 sums to 2"),
        ({"attentions": -attentions()}, "never negative"),
        ({"labels": [1, 2]}, r"labels is list \[1, 2\]; allowed: 3 numbers"),
        ({"labels": [1, 2, 5]}, "a label is 5; allowed: 0 to 4"),
        ({"labels": ["a", "b", "c"]}, "labels holds str 'a'; allowed: whole numbers from 0 to 4"),
        ({"probabilities": probabilities()[:2]}, r"probabilities has shape \(2, 5\); allowed: \(3, any\)"),
        ({"probabilities": 3 * probabilities()}, "sums to 3"),
        ({"classes": ["a", "b"]}, "2 classes, but probabilities of 5"),
        ({"image": 3}, "image is 3; allowed: 0 to 2"),
        ({"layer": -1}, "layer is -1; allowed: 0 to 2"),
        ({"head": -3}, "head is -3; allowed: -2 to 1"),
        ({"query": 7}, "query is 7; allowed: 0 to 6"),
    ],
)
def test_refuses(unchecked: None, change: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        patches(**change)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"captions": CAPTIONS[:2]}, "3 images, but 2 captions"),
        ({"captions": ["", *CAPTIONS[1:]]}, "caption 0 has 0 tokens; allowed: 1 to 48"),
        ({"references": ["one"]}, "3 images, but 1 references"),
        ({"attentions": crossed()[:2]}, "3 images, but attentions of 2"),
        ({"attentions": crossed(8)}, r"\(2, 3, 3, 8\); allowed: \(any, any, 3, 6\)"),
        (
            {"attentions": [crossed()[0], crossed(6)[1], crossed()[2]]},
            r"image 1 .* \(2, 3, 5, 6\); allowed: \(2, 3, 5, 7\)",
        ),
        ({"word": 3}, "word is 3; allowed: 0 to 2"),
        ({"head": -2}, "head is -2; allowed: -1 to 2"),
    ],
)
def test_caption_refuses(unchecked: None, change: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        captions(**change)


def test_refuses_more_than_a_page_can_hold() -> None:
    weights = torch.full((1, 12, 12, 50, 50), 1 / 50)
    with pytest.raises(ValueError, match="number of weights is 360000; allowed: 1 to 250000"):
        PatchAttention(torch.zeros(1, 28, 28), weights, [0], [[1.0]], 4)
