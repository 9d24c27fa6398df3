"""The Python side of the head explorer: the weights it hands to the page, and what it refuses."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lmcore.widgets import HeadExplorer
from lmcore.widgets.head_explorer import LEVELS

TEXTS = ['[CLS] the naïve "<b>" bank . [SEP]', ["she", "swam"], "don't </script> ##ing x y"]
LAYERS, HEADS = 2, 3


def attentions(seed: int = 9) -> list[Tensor]:
    """Weights of random heads; head 2 of layer 1 looks at the word before, and the first word at itself."""
    source, found = torch.Generator().manual_seed(seed), []
    for text in TEXTS:
        length = len(text.split() if isinstance(text, str) else text)
        weights = (2 * torch.randn(LAYERS, HEADS, length, length, generator=source, dtype=torch.float64)).softmax(-1)
        weights[1, 2] = torch.eye(length)[[0, *range(length - 1)]]
        found.append(weights)
    return found


def explorer(**kwargs: Any) -> HeadExplorer:
    return HeadExplorer(**{"texts": TEXTS, "attentions": attentions(), **kwargs})


def test_page_gets_every_weight() -> None:
    widget = explorer()
    assert (widget.layers, widget.heads) == (LAYERS, HEADS)
    assert widget.texts[1] == ["she", "swam"]
    for number, weights in enumerate(attentions()):
        widget.text = number
        assert widget.attention().shape == weights.shape
        assert np.abs(widget.attention() - weights.numpy()).max() <= 0.5 / LEVELS + 1e-12
        assert np.array_equal(widget.attention()[1, 2], weights[1, 2].numpy()), "0 and 1 are exact"
    assert len(widget.weights) == 2 * sum(w.numel() for w in attentions())


def test_half_precision_and_gradients_are_taken() -> None:
    weights = [w.float().requires_grad_().half() for w in attentions()]
    assert np.abs(explorer(attentions=weights).attention() - explorer().attention()).max() < 1e-3


def test_another_text_keeps_the_word_inside() -> None:
    widget = explorer(word=6)
    widget.text = 1
    assert widget.word == 1
    widget.set_state({"text": 2, "layer": 1, "head": -1, "word": 4})
    assert (widget.text, widget.layer, widget.head, widget.word) == (2, 1, -1, 4)
    for name, values in {"text": (3,), "layer": (2, -1), "head": (3, -2), "word": (5, -1)}.items():
        for value in values:
            before = getattr(widget, name)
            with pytest.raises(ValueError, match="allowed"):
                setattr(widget, name, value)
            assert getattr(widget, name) == before


def test_sentence_for_those_who_cannot_see_it() -> None:
    text = explorer().alt
    assert text.endswith(".")
    for part in ("3 texts", TEXTS[0], "2 layers", "3 heads"):
        assert part in text


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"texts": []}, "at least one text; got none"),
        ({"texts": "one text"}, "expected a list of texts"),
        ({"texts": ["", *TEXTS[1:]]}, "text 0 has 0 tokens; allowed: 1 to 48"),
        ({"attentions": attentions()[:2]}, "3 texts, but attentions of 2"),
        ({"attentions": 3}, "3 texts, but attentions of int 3"),
        ({"attentions": [w[0] for w in attentions()]}, r"text 0 has shape \(3, 7, 7\); allowed: \(any, any, 7, 7\)"),
        ({"attentions": [attentions()[0], attentions()[1][:1], attentions()[2]]}, r"allowed: \(2, 3, 2, 2\)"),
        ({"attentions": [2 * w for w in attentions()]}, r"row \(0, 0, 0\) of the attention of text 0 sums to 2"),
        ({"attentions": [-w for w in attentions()]}, "never negative"),
        ({"text": 3}, "text is 3; allowed: 0 to 2"),
        ({"layer": 2}, "layer is 2; allowed: 0 to 1"),
        ({"head": -2}, "head is -2; allowed: -1 to 2"),
        ({"word": 7}, "word is 7; allowed: 0 to 6"),
    ],
)
def test_refuses(unchecked: None, change: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        explorer(**change)


def test_refuses_more_than_a_page_can_hold() -> None:
    words = ["word"] * 48
    weights = torch.full((12, 12, 48, 48), 1 / 48)
    with pytest.raises(ValueError, match="number of weights is 331776; allowed: 1 to 250000"):
        HeadExplorer([words], [weights])
