"""The decoding playground, Python side: it writes what lmcore.generate writes, and refuses what it cannot run."""

from typing import Any

import pytest
import torch

from lmcore.bpe import END_OF_TEXT
from lmcore.generate import filtered, generate
from lmcore.gpt import GPT, GPTConfig
from lmcore.widgets import DecodingPlayground
from lmcore.widgets.page_models import random_numbers
from tests.test_page_models import WORDS, bytes_tokenizer, recurrent, shaken

PROMPTS = {"words": ["Alice went", "", "There she found a shell"], "bytes": ["def f(", "It's naïve: “λ”"]}
TOKENS = bytes_tokenizer()


def large(V: int, seed: int = 3, room: int = 40) -> GPT:
    """A small model with some liking for the text it has read."""
    torch.manual_seed(seed)
    return shaken(GPT(GPTConfig(V, max_length=room, dim=15, heads=3, layers=2, hidden=22)), seed, 0.45)


def playground(**kwargs: Any) -> DecodingPlayground:
    models = {"words": (large(len(WORDS)), WORDS), "bytes": (large(len(TOKENS), 5), TOKENS)}
    return DecodingPlayground(**{"models": models, "prompts": PROMPTS, "length": 13, **kwargs})


@pytest.mark.parametrize(("chosen", "repetition"), [(0, 1.0), (0, 1.6), (1, 1.0), (1, 1.3)])
def test_greedy_writes_what_generate_writes(chosen: int, repetition: float) -> None:
    widget = playground(chosen=chosen, method="greedy", repetition=repetition)
    model = widget.running
    end = () if model.end is None else model.end
    for prompt in PROMPTS[widget.labels[chosen]]:
        (wanted,) = generate(model.net, [model.ids(prompt)], max_new=13, end=end, never=model.never, repetition=repetition)
        found = widget.write(prompt)
        assert [step.id for step in found if step.id != model.end] == list(wanted.ids)
        assert (found[-1].id == model.end) == wanted.ended
        assert sum(torch.tensor([step.probability for step in found]).log().tolist()) == pytest.approx(
            wanted.log_prob, rel=1e-4
        )
        assert {(step.drawn_from, step.choices) for step in found} == {(1.0, 1)}


@pytest.mark.parametrize(
    "how", [{}, {"temperature": 0.6}, {"top_k": 3}, {"top_p": 0.7}, {"top_k": 9, "top_p": 0.85, "repetition": 1.5}]
)
def test_a_drawn_token_lies_where_the_random_number_falls(how: dict[str, Any]) -> None:
    """Against the definition, in another order: the distribution of every place, and the numbers one after the other."""
    widget = playground(method="draw", seed=11, **how)
    model, draw, ids = widget.running, random_numbers(11), widget.running.ids("Alice went")
    found = widget.write("Alice went")
    assert found
    for step in found:
        logits = model.logits(ids).double()[None]
        logits[:, model.never] = -torch.inf
        shares = filtered(logits, torch.tensor([ids]), **how).softmax(1)[0]
        below, u = float(shares[: step.id].sum()), draw()
        assert below <= u < below + float(shares[step.id])
        assert step.drawn_from == pytest.approx(float(shares[step.id]))
        assert step.probability == pytest.approx(float(logits[0].softmax(0)[step.id]))
        assert step.choices == int((shares > 0).sum())
        ids.append(step.id)
    assert found[-1].id == model.end or len(found) == 13


def test_the_same_seed_writes_the_same_text_and_a_prefix_of_it() -> None:
    widget = playground(chosen=1, seed=5)
    whole = widget.write()
    assert whole == widget.write()
    widget.upto = 4
    assert widget.write() == whole[:4]
    widget.upto, widget.seed = 13, 6
    assert widget.write() != whole


def test_the_end_ends_a_text_and_what_cannot_come_does_not() -> None:
    model = large(len(WORDS))
    with torch.no_grad():
        model.embedding.weight[2] = 3 * model.embedding.weight[2]
    widget = DecodingPlayground({"words": (model, WORDS)}, [""], length=25, temperature=2.0)
    ended = []
    for seed in range(30):
        widget.seed = seed
        ids = [step.id for step in widget.write()]
        assert not {0, 1} & {*ids}
        assert 2 not in ids[:-1]
        ended.append(ids[-1] == 2)
    assert any(ended)
    assert sum(ended) < 30 or len(widget.write()) < 25


def test_a_recurrent_model_writes_too() -> None:
    model = recurrent("lstm")
    widget = DecodingPlayground({"LSTM": (model, WORDS)}, ["There she"], length=6, method="greedy")
    (wanted,) = generate(widget.running.net, [widget.running.ids("There she")], max_new=6, end=2, never=(0, 1))
    assert [step.id for step in widget.write() if step.id != 2] == list(wanted.ids)


def test_sentence_says_how_the_first_prompt_goes_on() -> None:
    widget = playground(method="greedy")
    ids = [step.id for step in widget.write("Alice went") if step.id != 2]
    assert f"After “Alice went” words writes: “{' '.join(WORDS[i] for i in ids)}”." in widget.alt
    assert "Models run in the page: words and bytes." in widget.alt
    assert "From the beginning words writes" in playground(prompts={**PROMPTS, "words": [""]}).alt


def test_settings_travel_from_the_page_and_bad_ones_are_refused() -> None:
    widget = playground()
    widget.set_state(
        {"method": "greedy", "temperature": 0.35, "top_k": 20, "top_p": 0.9, "repetition": 1.2, "seed": 3, "upto": 5}
    )
    assert (widget.method, widget.top_k, widget.upto) == ("greedy", 20, 5)
    for name, value, says in (
        ("method", "beam", "allowed: 'greedy', 'draw'"),
        ("temperature", 0.0, "temperature is 0.0; allowed: 0.1 to 2.0"),
        ("top_p", 0.0, "allowed: 0.05 to 1.0"),
        ("repetition", 3.0, "allowed: 1.0 to 2.0"),
        ("top_k", -1, "allowed: 0 to"),
        ("seed", -1, "seed is -1"),
        ("upto", 14, "upto is 14; allowed: 0 to 13"),
        ("prompt", "a" * 301, "characters of prompt is 301"),
    ):
        with pytest.raises(ValueError, match=says):
            setattr(widget, name, value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"models": {}}, "at least one label"),
        ({"prompts": []}, "prompts for 'words' must be a list of at least one text"),
        ({"prompts": "Alice"}, r"write \[text\]"),
        ({"prompts": {"words": ["a"]}}, "prompts for 'bytes'"),
        ({"prompts": {**PROMPTS, "words": ["Alice zebra"]}}, "zebra: not in the model's vocabulary"),
        ({"prompts": {**PROMPTS, "words": ["she " * 76]}}, "characters of prompt is 304; allowed: 0 to 300"),
        ({"prompts": {**PROMPTS, "words": ["she " * 30]}}, "and the 13 after it is 44; allowed: 1 to 40"),
        ({"length": 0}, "length is 0; allowed: 1 to 400"),
        ({"upto": 14}, "upto is 14; allowed: 0 to 13"),
    ],
)
def test_refuses(unchecked: None, change: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        playground(**change)


def test_a_prompt_of_the_reader_that_leaves_no_room_is_refused() -> None:
    widget = playground()
    with pytest.raises(ValueError, match="the 13 after it is 54; allowed: 1 to 40"):
        widget.write("she " * 40)
    assert END_OF_TEXT in TOKENS.special
