"""The cache figure, Python side: its counts are those of the products that a model computes."""

from typing import Any

import pytest
import torch

from lmcore.gpt import GPT, GPTConfig
from lmcore.widgets import CacheSteps
from tests.test_decoding_playground import large
from tests.test_page_models import WORDS, decoder, recurrent

PROMPTS = ["Alice went", "There she found a shell"]


def figure(**kwargs: Any) -> CacheSteps:
    return CacheSteps(**{"model": large(len(WORDS)), "tokenizer": WORDS, "prompts": PROMPTS, "steps": 5, **kwargs})


def by_loops(before: int, new: int, C: int, F: int, N: int, V: int) -> int:
    """Every multiplication of reading so many tokens after so many others, counted one product at a time."""
    count = 0
    for _ in range(N):
        for t in range(new):
            count += 3 * C * C  # query, key, value
            for _ in range(before + t + 1):
                count += C + C  # its score in all heads, and its value times the weight
            count += C * C + C * F + F * C  # the output of attention, and the two products of the feed-forward network
    return count + C * V


def test_counts_are_those_of_plain_loops() -> None:
    widget = figure()
    C, F, N, V = 15, 22, 2, len(WORDS)
    assert widget.sizes == {"dim": C, "hidden": F, "layers": N, "vocabulary": V}
    for prompt in PROMPTS:
        first = len(widget.running.ids(prompt))
        found = widget.multiplications(prompt)
        assert len(found) == 6
        assert found[0][0] == found[0][1] == by_loops(0, first, C, F, N, V)
        for n in range(1, 6):
            assert found[n] == (by_loops(0, first + n, C, F, N, V), by_loops(first + n - 1, 1, C, F, N, V))
            assert found[n][1] < found[n][0]


def test_products_with_weights_are_those_that_torch_counts() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    model = GPT(GPTConfig(17, max_length=23, dim=15, heads=3, layers=2, hidden=22)).eval()
    words = ["<pad>", "<start>", "<end>", *(f"w{i}" for i in range(14))]
    widget = CacheSteps(model, words, ["w1 w2"], steps=4)
    for n, (without, _) in enumerate(widget.multiplications()):
        t = 3 + n
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            model.output(model.read(torch.ones(1, t, dtype=torch.long))[:, -1])
        scores = 2 * 2 * 15 * t * (t + 1) // 2  # layers, key and value, width, pairs
        assert counter.get_total_flops() // 2 == without - scores


def test_sentence_has_the_sums() -> None:
    widget = figure()
    without, cached = (sum(column) for column in zip(*widget.multiplications(), strict=True))
    assert f"{without / 1e6:,.1f} million multiplications without and {cached / 1e6:,.1f} million with" in widget.alt
    assert "For 5 tokens after “Alice went”" in widget.alt


def test_lengths_to_measure_fit_the_model() -> None:
    assert figure().timed == [8, 16, 32]
    assert figure(model=large(len(WORDS), room=128)).timed == [8, 16, 32, 64, 128]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"model": recurrent()}, "model must be a GPT, whose cache can be counted; got a RecurrentLM"),
        ({"model": decoder("Llama")}, "activation='swiglu'"),
        (
            {"model": decoder("grouped")},
            "keys 10 wide; the figure counts for a GPT without gates, .* 20",
        ),
        ({"prompts": ["she " * 20]}, "and the 5 after it is 26; allowed: 1 to 24"),
        ({"prompts": []}, "at least one text"),
        ({"steps": 24}, "steps is 24; allowed: 1 to 23"),
        ({"step": 6}, "step is 6; allowed: 0 to 5"),
    ],
)
def test_refuses(unchecked: None, change: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        figure(**change)
