"""The beam tree, Python side: its hypotheses are those of lmcore.generate.beam, and the tree says where they came from."""

from typing import Any

import pytest
import torch

from lmcore.generate import beam, greedy
from lmcore.widgets import BeamTree
from tests.test_decoding_playground import large
from tests.test_page_models import WORDS, bytes_tokenizer, recurrent

PROMPTS = ["Alice went", "", "There she found a shell"]


def figure(**kwargs: Any) -> BeamTree:
    given = {"model": large(len(WORDS)), "tokenizer": WORDS, "prompts": PROMPTS, "steps": 7}
    return BeamTree(**{**given, **kwargs})


def searched(widget: BeamTree, prompt: str, width: int) -> list[tuple[tuple[int, ...], float, bool]]:
    """What lmcore's own beam finds: ids, an end included, log-probability, and whether it ended."""
    model, ids = widget.running, widget.running.ids(prompt)
    found = beam(
        model.net,
        model.net.begin(torch.tensor([ids[:-1]], dtype=torch.long)),
        torch.tensor(ids[-1:]),
        width=width,
        end=() if model.end is None else model.end,
        max_length=widget.steps,
        never=model.never,
    )[0]
    return [((*h.ids, model.end) if h.ended else h.ids, h.log_prob, h.ended) for h in found]


@pytest.mark.parametrize("seed", [3, 4, 5])
@pytest.mark.parametrize("width", [1, 2, 5])
def test_hypotheses_are_those_of_the_beam(width: int, seed: int) -> None:
    model = large(len(WORDS), seed)
    with torch.no_grad():
        model.embedding.weight[2] *= 2.5  # the end comes often enough
    widget, ended = figure(model=model, width=width), 0
    for prompt in PROMPTS:
        found, wanted = widget.hypotheses(prompt), searched(widget, prompt, width)
        assert [h.ids for h in found] == [ids for ids, _, _ in wanted]
        assert [h.log_prob for h in found] == pytest.approx([q for _, q, _ in wanted], abs=1e-5)
        assert [h.ended for h in found] == [done for _, _, done in wanted]
        ended += sum(done for _, _, done in wanted)
    assert ended or (width, seed) != (5, 3), "complete hypotheses are among those tested"


def test_every_branch_extends_its_parent_and_the_best_stay() -> None:
    model = large(len(WORDS), 3)
    with torch.no_grad():
        model.embedding.weight[2] *= 2.5
    widget = figure(model=model, width=3)
    levels, complete = widget.tree("There she found a shell"), 0
    for n, level in enumerate(levels):
        room = 3 - complete
        assert [b.kept for b in level] == [True] * min(room, len(level)) + [False] * (len(level) - room)
        assert len(level) == room + 3
        assert [b.log_prob for b in level] == sorted((b.log_prob for b in level), reverse=True)
        for branch in level:
            assert len(branch.ids) == n + 1
            assert branch.ended == (branch.ids[-1] == 2)
            if n:
                parent = levels[n - 1][branch.parent]
                assert parent.kept
                assert not parent.ended
                assert branch.ids[:-1] == parent.ids
                assert branch.log_prob <= parent.log_prob + 1e-9
        complete += sum(b.kept and b.ended for b in level)
    for branch in levels[-1]:
        ids = [*widget.running.ids("There she found a shell")]
        total = 0.0
        for token in branch.ids:
            total += float(widget.running.probabilities(ids).double().log()[token])
            ids.append(token)
        assert branch.log_prob == pytest.approx(total, abs=1e-6)


def test_a_beam_of_one_is_the_greedy_search_also_for_a_recurrent_model() -> None:
    widget = figure(model=recurrent("gru"), width=1)
    model, ids = widget.running, widget.running.ids("Alice went")
    (wanted,) = greedy(
        model.net, model.net.begin(torch.tensor([ids[:-1]])), torch.tensor(ids[-1:]), end=2, max_length=7, never=model.never
    )
    (found,) = widget.hypotheses("Alice went")
    assert [i for i in found.ids if i != 2] == list(wanted.ids)


def test_sentence_names_the_best() -> None:
    widget = figure(width=4)
    best = widget.hypotheses()[0]
    assert f"is “{' '.join(WORDS[i] for i in best.ids if i != 2)}”." in widget.alt
    assert "at most 4 hypotheses" in widget.alt
    tokens = bytes_tokenizer()
    assert "From the beginning" not in BeamTree(large(len(tokens)), tokens, ["def"]).alt
    assert "From the beginning" in figure(prompts=[""]).alt


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"model": "gpt"}, "a page runs a GPT or a RecurrentLM; got a str"),
        ({"tokenizer": WORDS[:5]}, "the tokeniser has 5 tokens"),
        ({"prompts": []}, "at least one text"),
        ({"prompts": ["she " * 33]}, "and the 7 after it is 41; allowed: 1 to 40"),
        ({"width": 0}, "width is 0; allowed: 1 to 6"),
        ({"width": 7}, "width is 7; allowed: 1 to 6"),
        ({"steps": 31}, "steps is 31; allowed: 1 to 30"),
        ({"step": 8}, "step is 8; allowed: 0 to 7"),
    ],
)
def test_refuses(unchecked: None, change: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        figure(**change)


def test_a_prompt_of_the_reader_that_leaves_no_room_is_refused() -> None:
    with pytest.raises(ValueError, match="the 7 after it is 48; allowed: 1 to 40"):
        figure().tree("she " * 40)
