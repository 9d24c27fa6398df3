"""The Python side of the prompt laboratory: how prompts are composed, what the models make of them, what is refused."""

from typing import Any

import pytest
import torch

from lmcore.tuning import few_shot_prompt
from lmcore.widgets import PromptLab, PromptTask
from lmcore.widgets.model_file import rounded
from lmcore.widgets.prompt_lab import LONGEST
from tests.test_text_adventure import WORDS, network, untrained

BIG = PromptTask("big", [("What is big ?", "bears .")], [("What is small ?", "Alice ."), ("shell", "was big .")], arrow="")
PLACES = PromptTask(
    "places",
    [("Alice", "went to the castle ."), ("There", "she saw .")],
    [("the beach", "shell ."), ("the forest", "owl .")],
    instruction="she saw",
    arrow="was",
)

OPEN = PromptTask("open", [("There she", "")], arrow="")


def lab(**kwargs: Any) -> PromptLab:
    models = {"trained": network(), "fresh": untrained()}
    return PromptLab(**{"models": models, "tokenizer": WORDS, "tasks": [BIG, PLACES], "top": 3, "longest": 7, **kwargs})


def written(model: Any, prompt: str, most: int) -> list[str]:
    """What a model finds likeliest, token by token, on its rounded weights."""
    ids = [1, *(WORDS.index(word) for word in prompt.split())]
    net, found = rounded(model).eval(), list[str]()
    while len(found) < most:
        with torch.no_grad():
            logits = net(torch.tensor([ids]))[0, -1]
        logits[[0, 1]] = -torch.inf
        ids.append(int(logits.argmax()))
        if ids[-1] == 2:
            break
        found.append(WORDS[ids[-1]])
    return found


def test_prompt_is_made_of_instruction_shots_and_question() -> None:
    assert BIG.prompt() == "What is big ?"
    assert BIG.prompt(shots=2) == "What is small ? Alice . shell was big . What is big ?"
    assert PLACES.prompt() == "she saw Alice was"
    assert PLACES.prompt(1, 1, instructed=False) == "the beach was shell . There was"
    shots = [("France", "Paris"), ("Kenya", "Nairobi")]
    task = PromptTask("capital", [("Italy", "Rome .")], [(q, f"{a} .") for q, a in shots], instruction="capital :")
    for n in (0, 1, 2):
        assert task.prompt(0, n).split() == few_shot_prompt(shots[:n], "Italy", title="capital"), "as the tuning room writes it"


def test_models_write_to_the_stop_the_end_or_the_last_token() -> None:
    widget = lab()
    assert widget.complete()["trained"] == "Bears ."
    assert widget.complete("What is big ? Bears .")["trained"] == "", "the model ends the text"
    assert lab(stop="").complete()["trained"] == "Bears ."
    assert lab(stop="").complete("There she")["fresh"].split() == written(untrained(), "There she", 7)
    assert lab(stop="Bears").complete()["trained"] == "Bears"
    assert lab(longest=1).complete()["trained"] == "Bears"
    full = " ".join(["a"] * 48)
    assert len(widget.complete(full)["trained"].split()) <= 1, "the model reads 50 tokens"


def test_first_tokens_are_the_likeliest_with_their_probabilities() -> None:
    widget = lab()
    for label, model in {"trained": network(), "fresh": untrained()}.items():
        ids = torch.tensor([[1, *(WORDS.index(word) for word in ["What", "is", "big", "?"])]])
        with torch.no_grad():
            logits = rounded(model)(ids)[0, -1]
        logits[[0, 1]] = -torch.inf
        best = logits.softmax(0).topk(3)
        found = widget.begins()[label]
        assert list(found) == [WORDS[i] for i in best.indices.tolist()]
        assert list(found.values()) == pytest.approx(best.values.tolist(), abs=1e-5)


def test_right_whatever_the_capitals() -> None:
    widget = lab()
    assert widget.right("Bears .")
    assert widget.right("bears  .")
    assert not widget.right("bears")
    widget.task = 1
    widget.question = 1
    assert widget.right("SHE saw .")
    assert lab(tasks=[OPEN]).right("She saw .") is None, "nobody says what is right"


def test_own_prompt_takes_the_place_of_the_composed_one() -> None:
    widget = lab(shots=2)
    assert widget.prompt == BIG.prompt(0, 2)
    widget.own = "There she"
    assert widget.prompt == "There she"
    assert widget.complete() == widget.complete("There she")


def test_sentence_says_how_the_models_go_on() -> None:
    text = lab().alt
    for part in ("“big”, “places”", "After “What is big ?”", "“trained” goes on with “Bears .”", "“fresh” goes on with"):
        assert part in text


def test_choices_travel_both_ways() -> None:
    widget = lab()
    widget.set_state({"task": 1, "question": 1, "shots": 2, "instructed": False, "own": ""})
    assert widget.prompt == PLACES.prompt(1, 2, instructed=False)
    widget.task = 0
    assert (widget.question, widget.shots) == (0, 2), "the other task has one question"
    for name, value in {"task": 2, "question": 1, "shots": 3, "own": "a" * (LONGEST + 1)}.items():
        before = getattr(widget, name)
        with pytest.raises(ValueError, match="allowed"):
            setattr(widget, name, value)
        assert getattr(widget, name) == before
    assert widget.lazy == ["weights0", "weights1"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"models": {}}, r"one to three labels to a model each; got \{\}"),
        ({"models": {"a": "gpt"}}, "a page runs a GPT or a RecurrentLM; got a str"),
        ({"models": {str(i): untrained() for i in range(4)}}, "one to three labels"),
        ({"tokenizer": WORDS[:-1]}, "the tokeniser has .* tokens and the model"),
        ({"tasks": []}, "number of tasks is 0"),
        ({"tasks": ["big"]}, "must be a list of PromptTask"),
        ({"longest": 0}, "longest is 0; allowed: 1 to 64"),
        ({"top": 0}, "top is 0; allowed: 1 to 20"),
        ({"stop": "!"}, "stop is '!', which is no token"),
        ({"shots": 3}, "shots is 3; allowed: 0 to 2"),
        ({"tasks": [PromptTask("long", [("a " * 60, "a")])]}, "number of tokens of a text is 6"),
    ],
)
def test_refuses(unchecked: None, change: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        lab(**change)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"name": ""}, "give the task a name"),
        ({"questions": []}, "number of questions of 'x' is 0"),
        ({"questions": "Kenya"}, "'Kenya'; give a list of pairs"),
        ({"questions": [("", "Nairobi")]}, r"it must be \(question, answer\)"),
        ({"questions": [("Kenya",)]}, r"it must be \(question, answer\)"),
        ({"shots": [("Kenya", "")]}, r"among the shots of 'x' is \('Kenya', ''\)"),
        ({"shots": [("a", "b")] * 9}, "number of shots of 'x' is 9; allowed: 0 to 8"),
    ],
)
def test_a_task_refuses(unchecked: None, change: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        PromptTask(**{"name": "x", "questions": [("a", "b")], **change})
