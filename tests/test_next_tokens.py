"""The Python side of next tokens: what it hands to the page, what it says, what it refuses."""

from typing import Any

import pytest
import torch

from lmcore.tokenizer import CharTokenizer
from lmcore.widgets import NextTokens
from lmcore.widgets.next_tokens import LONGEST
from tests.test_page_models import PROSE, WORDS, bytes_tokenizer, decoder, recurrent

TEXTS = {"words": ["Alice went to the beach . There she", ""], "bytes": ["The lambda"], "characters": ["A lam", "def f"]}


def characters() -> CharTokenizer:
    return CharTokenizer.train(PROSE)


def models() -> dict[str, Any]:
    """A GPT over words, a Llama over bytes, an LSTM over characters; made anew at every call, and always the same."""
    return {
        "words": (decoder("GPT"), WORDS),
        "bytes": (decoder("Llama", V=320, layers=3, heads=9, max_length=150), bytes_tokenizer()),
        "characters": (recurrent("lstm", V=len(characters())), characters()),
    }


def figure(**kwargs: Any) -> NextTokens:
    return NextTokens(**{"models": models(), "texts": TEXTS, "top": 5, **kwargs})


def test_table_is_that_of_the_chosen_model_after_the_text_and_the_tokens_that_were_taken() -> None:
    widget = figure()
    assert widget.text == TEXTS["words"][0]
    for chosen, text, taken in ((0, "There she", [6, 9]), (1, "naïve λ", [280, 7, 319]), (2, "x y", []), (0, "", [])):
        widget.chosen = chosen
        widget.set_state({"text": text, "taken": taken})
        page = widget.running
        ids = [*page.start, *page.tokenizer.encode(text), *taken]
        p = page.probabilities(ids)
        best = p.topk(5)
        assert list(widget.next()) == [page.tokenizer.vocabulary[i] for i in best.indices.tolist()]
        assert list(widget.next().values()) == pytest.approx(best.values.tolist())
        seen = widget.attention()
        assert len(seen) == page.layers * (page.heads > 0)
        if seen:
            assert torch.allclose(torch.tensor(seen[1]), page.attention(ids)[1])
            assert torch.tensor(seen).shape == (page.layers, page.heads, len(ids))
    widget.set_state({"chosen": 0, "text": "Alice", "taken": [3]})
    assert widget.next("There") != widget.next()
    assert widget.next("Alice Alice") == widget.next()


def test_another_model_starts_without_the_tokens_of_the_first() -> None:
    widget = figure(chosen=1, taken=[300], layer=2, head=5)
    assert widget.taken == [300]
    assert widget.text == "The lambda"
    widget.chosen = 0
    assert (widget.taken, widget.layer, widget.head) == ([], 1, 2)
    widget.chosen = 2
    assert (widget.layer, widget.head) == (1, 0)


def test_one_list_of_texts_serves_all_models() -> None:
    widget = figure(models={label: models()[label] for label in ("bytes", "characters")}, texts=["def f", "A"])
    assert widget.texts == [["def f", "A"]] * 2


def test_sentence_says_what_the_first_model_expects() -> None:
    widget = figure()
    found = [*widget.next().items()][:2]
    for part in (
        "Models run in the page: words, bytes and characters.",
        "the 5 most probable next tokens",
        f"After “{TEXTS['words'][0]}” words expects " + " or ".join(f"“{token}” ({p:.0%})" for token, p in found) + ".",
    ):
        assert part in widget.alt
    alone = figure(models={"GPT": models()["words"]}, texts=[""]).alt
    assert "A model runs in the page: GPT." in alone
    assert "At the beginning GPT expects “" in alone


def test_state_travels_both_ways_and_stays_in_range() -> None:
    widget = figure()
    widget.set_state({"layer": 1, "head": 2, "text": "she", "taken": [4]})
    assert (widget.layer, widget.head, widget.text, widget.taken) == (1, 2, "she", [4])
    for name, value, says in (
        ("layer", 2, "layer is 2; allowed: 0 to 1"),
        ("head", 3, "head is 3; allowed: -1 to 2"),
        ("chosen", 3, "chosen is 3; allowed: 0 to 2"),
        ("taken", [3, len(WORDS)], f"token that was taken is {len(WORDS)}; allowed: 0 to {len(WORDS) - 1}"),
        ("text", "a" * (LONGEST + 1), f"characters of text is {LONGEST + 1}"),
    ):
        with pytest.raises(ValueError, match=says):
            setattr(widget, name, value)
    assert (widget.layer, widget.head, widget.text, widget.taken) == (1, 2, "she", [4])
    widget.text = "unheard of"
    with pytest.raises(ValueError, match="unheard, of: not in the model's vocabulary"):
        widget.next()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"models": {}}, "models must map at least one label"),
        ({"models": {"a": decoder()}}, r"models\['a'\] must be a pair|texts for 'a'"),
        ({"models": decoder()}, "models must map at least one label"),
        ({"texts": {"words": ["she"]}}, "texts for 'bytes' must be a list of at least one text"),
        ({"texts": []}, "texts for 'words' must be a list of at least one text"),
        ({"texts": "she"}, r"write \[text\]"),
        ({"texts": ["she went up"]}, "up: not in the model's vocabulary"),
        ({"texts": {**TEXTS, "words": ["she", "she " * 23]}}, "tokens of a text is 24; allowed: 1 to 23"),
        ({"texts": {**TEXTS, "characters": ["A", ""]}}, "tokens of a text is 0"),
        ({"texts": {**TEXTS, "characters": ["A" * 601]}}, "characters of a text is 601; allowed: 0 to 600"),
        ({"top": 0}, "top is 0; allowed: 1 to 50"),
        ({"chosen": 3}, "chosen is 3"),
        ({"taken": [99]}, "token that was taken is 99"),
        ({"text": "a" * 601}, "characters of text is 601"),
    ],
)
def test_refuses(unchecked: None, change: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        figure(**change)
