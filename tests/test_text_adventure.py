"""The text adventure: what the rules decide, whatever is written; what a model is let write; what the figure refuses."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

from lmcore import END, PAD, START, UNK
from lmcore.batches import Padded
from lmcore.gpt import GPT, GPTConfig, pretrain
from lmcore.recurrent import RecurrentLM
from lmcore.widgets import Adventure, TextAdventure
from lmcore.widgets.adventure import RIDDLES, Play, an, opening, printed
from lmcore.widgets.page_models import PageModel, random_numbers
from lmcore.widgets.text_adventure import drawn, where_things_are, writer
from lmcore.world import World

SMALL = Adventure(
    places={"beach": (0, 0), "forest": (1, 0), "castle": (1, 1)},
    paths=(("beach", "forest"), ("castle", "forest")),
    start="beach",
    hours=6,
    wishes=2,
    verbs=("found", "built", "saw"),
    things=("shell", "owl", "hut", "ghost"),
    keepers=("castle",),
    riddles=(("What is big ?", "Bears"),),
)
SOURCES = {"shell": ("beach", "found", 0.625), "hut": ("forest", "built", 0.3)}


def script(*lines: str) -> Callable[..., list[str]]:
    """A model that writes these lines, one after the other, and keeps what it was given."""
    left = list(lines)

    def write(text: str, most: int, random: Any) -> list[str]:
        read.append((text, most, random is None))
        return left.pop(0).split()

    read: list[tuple[str, int, bool]] = []
    write.read = read  # type: ignore[attr-defined]
    return write


def play(commands: Sequence[str], *lines: str, game: Adventure = SMALL) -> tuple[Play, Any]:
    write = script(*lines)
    it = Play(game, SOURCES, 3, write)
    for command in commands:
        it.act(command)
    return it, write


# ---- the rules -----------------------------------------------------------------------------------------------------------


def test_a_game_can_be_won() -> None:
    it, write = play(
        ["found", "Go to the forest.", "She built"], "a shell .", "It was a long day .", "a big hut .", "Then she built a hut ."
    )
    assert it.over == "won"
    assert (it.bag, it.hours) == (["shell", "hut"], 3)
    assert [text for who, text in it.said if who == "model"] == [
        "There she found a shell. It was a long day.",
        "There she built a big hut. Then she built a hut.",
    ], "a big hut is no hut by the rules, but what comes after counts as well"
    assert write.read == [
        ("Alice was at the beach . There she found", 12, False),
        ("Alice was at the beach . There she found a shell .", 16, False),
        ("Alice went to the forest . There she built", 12, False),
        ("Alice went to the forest . There she built a big hut .", 16, False),
    ]
    said = it.said[-1]
    it.act("saw")
    assert it.said[-1] == said == ("rules", "You have all that was wished for, and 3 of 6 hours are left. You have won.")


def test_a_game_is_lost_when_its_hours_are_over() -> None:
    it, _ = play(["hint"] * 9)
    assert it.over == "lost"
    assert sum(who == "you" for who, _ in it.said) == 6
    assert it.said[-1] == ("rules", "The last hour is over. You have lost.")


def test_the_last_hour_may_win() -> None:
    game = replace(SMALL, hours=1, wishes=1)
    it, _ = play(["found"], "a shell .", "She saw an owl .", game=game)
    other, _ = play(["found"], "a hut .", "", game=game)
    assert {it.wishes[0], other.wishes[0]} <= {"shell", "hut"}
    assert {it.over, other.over} == {"won", "lost"}


def test_only_the_next_places_can_be_walked_to() -> None:
    it, _ = play(["go castle", "go to the moon", "go", "go forest"])
    assert it.place == "forest"
    assert it.hours == 5, "what cannot be done takes no time"
    assert [text for who, text in it.said[2:] if who == "rules"] == ["From here you can go to the forest."] * 3 + [
        "You are at the forest."
    ]


def test_a_second_deed_reads_the_first_and_coming_back_begins_anew() -> None:
    lines = ["a shell .", "", "an owl", "", "a shell .", ""]
    it, write = play(["found", "saw", "go forest", "go beach", "found"], *lines)
    assert [text for text, _, _ in write.read[::2]] == [
        "Alice was at the beach . There she found",
        "Alice was at the beach . There she found a shell . Then she saw",
        "Alice went to the beach . There she found",
    ]
    assert write.read[3][0].endswith("Then she saw an owl ."), "a sentence that does not end is ended"
    assert [text for who, text in it.said if who == "model"][1] == "Then she saw an owl."
    assert it.said[-1] == ("rules", "You have a shell already.")


def test_a_keeper_lets_in_whoever_knows_the_answer() -> None:
    it, write = play(["go forest", "go castle", "ask", "say bears and lions", "say bears."], "Dogs and cats .")
    assert (it.place, it.opened, it.asked) == ("castle", ["castle"], "")
    assert it.hours == 2
    assert ("parrot", "“Dogs and cats.”") in it.said
    assert ("rules", "“No,” says the keeper of the castle.") in it.said
    assert write.read == [("What is big ?", 8, True)]
    for command in ("go forest", "go castle"):
        it.act(command)
    assert it.place == "castle", "the keeper asks once"
    assert it.over == "lost"


@pytest.mark.parametrize(
    ("answer", "right"),
    [("bears", True), ("Two big Bears!", True), ("bears and", False), ("polarbears", False), ("bear", False), ("", False)],
)
def test_an_answer_may_begin_with_more_words(answer: str, right: bool) -> None:
    it, _ = play(["go forest", "go castle", f"say {answer}"])
    assert (it.place == "castle") is right


def test_nobody_answers_what_was_not_asked() -> None:
    it, _ = play(["say bears", "ask", "go forest", "go castle", "go beach", "say bears"])
    assert it.place == "beach"
    assert it.hours == 4
    assert it.asked == "", "who walks away has not answered"


def test_a_verb_must_be_one_of_the_game() -> None:
    it, write = play(["sang", "", "  ", "found"], "nothing at all .", "")
    assert ("rules", "“sang” is no verb of this game. Take one that is offered, or another verb in the past.") in it.said
    assert it.hours == 5
    assert len(write.read) == 2
    assert it.bag == []


def test_hint_names_a_thing_that_is_missing() -> None:
    it, _ = play(["hint"])
    thing = it.wishes[0]
    place, verb, share = SOURCES[thing]
    chance = {0.625: 63, 0.3: 30}[share]
    text = f"For {an(thing)} go to the {place} and try “{verb}”. The model writes it there about {chance} times in 100."
    assert it.said[-1] == ("rules", text)


def test_the_seed_decides_wishes_and_riddles() -> None:
    game = replace(SMALL, riddles=tuple((f"What is {i} ?", str(i)) for i in range(5)), wishes=1)
    plays = [Play(game, SOURCES, seed, script()) for seed in range(40)]
    assert {it.wishes[0] for it in plays} == set(SOURCES)
    assert {it.riddles["castle"][1] for it in plays} == set("01234")
    assert [it.wishes for it in plays] == [Play(game, SOURCES, seed, script()).wishes for seed in range(40)]
    assert sorted(Play(SMALL, SOURCES, 1, script()).wishes) == ["hut", "shell"], "none is wished for twice"


def test_rules_are_said_and_agree_with_the_game() -> None:
    rules = SMALL.rules()
    assert "2 things" in rules[0]
    assert "6 hours" in rules[0]
    assert any("the castle" in rule for rule in rules)
    assert len(replace(SMALL, keepers=()).rules()) == len(rules) - 1
    assert printed("Well , an owl ! Was it ?") == "Well, an owl! Was it?"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"hours": 0}, "hours is 0; allowed: 1 to 48"),
        ({"wishes": 7}, "wishes is 7; allowed: 1 to 6"),
        ({"she": "it"}, "she is 'it'; allowed: 'she', 'he'"),
        ({"likely": 1.0}, "likely is 1.0"),
        ({"start": "moon"}, "start names 'moon', which is none of the places beach, forest, castle"),
        ({"keepers": ("moon",)}, "keepers names 'moon'"),
        ({"paths": (("beach", "moon"),)}, "paths names 'moon'"),
        ({"paths": (("beach", "forest"),)}, "no path leads from 'beach' to 'castle'"),
        ({"keepers": ("beach",)}, "the game begins at 'beach'"),
        ({"riddles": ()}, "the keepers of castle have no riddle"),
        ({"verbs": ()}, "one of them is empty"),
    ],
)
def test_an_adventure_that_cannot_be_played_is_refused(change: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        replace(SMALL, **change)


def test_default_game_stands_in_the_book_s_world() -> None:
    """Every riddle has the answer that the world gives, and every opening is a text of the world."""
    asked, told = World(kinds=("instructions",)), World()
    for question, answer in RIDDLES:
        (first,) = asked.next_distribution(question)
        assert first.lower() == answer.lower()
    game = Adventure()
    for place in game.places:
        for first_here in (True, False):
            assert set(told.next_distribution(opening(game, place, first_here))) <= set(game.verbs)
    assert {word for pair in game.paths for word in pair} == set(game.places)


# ---- the model -----------------------------------------------------------------------------------------------------------

TALES = [
    "Alice {went} the beach . There she found a shell . The shell was big .",
    "Alice {went} the beach . There she saw an owl . Then she found a shell .",
    "Alice {went} the forest . There she built a hut . It was a long day .",
    "Alice {went} the castle . There she saw a ghost .",
    "What is big ? Bears .",
]
TEXTS = [tale.format(went=went).split() for tale in TALES for went in ("went to", "was at")]
WORDS = (PAD, START, END, UNK, *sorted({word for text in TEXTS for word in text} | {"Then", "small"}))


@functools.cache
def network(seed: int = 5) -> GPT:
    """A model that has learned the tales by heart, nearly."""
    torch.manual_seed(seed)
    model = GPT(GPTConfig(len(WORDS), max_length=50, dim=20, heads=2, layers=1, std=0.15))
    ids = [[WORDS.index(word) for word in text] for text in TEXTS]
    for _ in pretrain(model, Padded(ids, 5, pad=0, start=1, end=2, seed=seed, epochs=None), steps=150, lr=2e-2):
        pass
    return model


def adventure(**kwargs: Any) -> TextAdventure:
    return TextAdventure(**{"model": network(), "tokenizer": WORDS, "game": SMALL, **kwargs})


def test_writer_writes_to_the_full_stop_the_end_or_the_last_word() -> None:
    page = PageModel(network(), WORDS)
    write = writer(page, 0.1)
    assert write("What is big ?", 8, None) == ["Bears", "."]
    assert write("What is big ?", 1, None) == ["Bears"]
    assert write("What is big ? Bears .", 8, None) == [], "the model ends the text"
    assert write(" ".join(["a"] * 48), 8, None) == write(" ".join(["a"] * 48), 1, None), "there is room for one word more"
    assert write(" ".join(["a"] * 49), 8, None) == []


def test_writer_draws_as_often_as_the_model_says() -> None:
    page = PageModel(network(), WORDS)
    p = page.probabilities(page.ids("Alice went to the beach . There she")).double()
    for temperature in (0.7, 2.0):
        write, random = writer(page, temperature), random_numbers(9)
        n = 150
        found = sum(write("Alice went to the beach . There she", 1, random) == ["found"] for _ in range(n))
        share = p ** (1 / temperature) / (p ** (1 / temperature)).sum()
        expected = float(share[WORDS.index("found")])
        assert abs(found / n - expected) < 4 * (expected * (1 - expected) / n) ** 0.5


def test_drawn_takes_the_token_in_whose_share_the_number_falls() -> None:
    p = torch.tensor([0.0, 0.25, 0.0, 0.5, 0.25, 0.0], dtype=torch.float64)
    assert [drawn(p, u) for u in (0.0, 0.2499, 0.25, 0.7499, 0.75, 0.9999, 1.0)] == [1, 1, 3, 3, 4, 4, 4]


def test_sources_are_where_the_model_writes_things() -> None:
    page = PageModel(network(), WORDS)
    found = where_things_are(SMALL, page)
    assert [found[thing][:2] for thing in ("shell", "hut")] == [("beach", "found"), ("forest", "built")]
    for place, verb, share in found.values():
        assert place in SMALL.places
        assert verb in SMALL.verbs
        assert 0.1 <= share <= 1
    assert list(found) == sorted(found, key=lambda thing: -found[thing][2])
    place, verb, share = found["hut"]
    ids = page.ids(f"Alice {'was at' if place == 'beach' else 'went to'} the {place} . There she {verb}")
    a = page.probabilities(ids)[WORDS.index("a")]
    assert share == pytest.approx(float(a * page.probabilities([*ids, WORDS.index("a")])[WORDS.index("hut")]), rel=1e-6)
    surest = next(iter(found.values()))[2]
    assert where_things_are(replace(SMALL, likely=(surest + 1) / 2), page) == {}


def test_python_plays_the_game() -> None:
    widget = adventure(temperature=0.1)
    said = widget.play(["found", "go forest", "built"])
    assert said[0][0] == "rules"
    assert ("model", "There she found a shell. The shell was big.") in [(who, text) for who, text in said]
    assert widget.play(["found"], seed=4) == widget.play(["found"], seed=4)
    widget.commands = ["found"]
    assert widget.play() == widget.play(["found"], seed=0)
    it = widget.played([], 0)
    offers = widget.offers(it, 2)
    assert {verb for verb, _ in offers} == {"found", "saw"}
    assert offers[0][1] >= offers[1][1] > 0.2


def test_sentence_says_what_the_game_is() -> None:
    text = adventure(seed=3).alt
    for part in ("among 3 places", "You are Alice. Bring home", "“Alice was at the beach . There she”", "“found”", "“saw”"):
        assert part in text


def test_choices_travel_both_ways_and_the_model_is_packed_once() -> None:
    widget = adventure()
    widget.set_state({"seed": 7, "commands": ["found", "hint"], "temperature": 0.5})
    assert (widget.seed, widget.commands, widget.temperature) == (7, ["found", "hint"], 0.5)
    for name, value in {"seed": -1, "temperature": 0.05, "commands": ["a" * 61]}.items():
        before = getattr(widget, name)
        with pytest.raises(ValueError, match="allowed"):
            setattr(widget, name, value)
        assert getattr(widget, name) == before
    assert widget.lazy == ["weights0"]
    assert set(widget.game) >= {"places", "paths", "rules", "verbs"}


def untrained(**sizes: int) -> GPT:
    torch.manual_seed(1)
    return GPT(GPTConfig(len(WORDS), **{"max_length": 50, "dim": 8, "heads": 2, "layers": 1, **sizes}))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"model": "gpt"}, "a page runs a GPT or a RecurrentLM; got a str"),
        ({"model": RecurrentLM(len(WORDS), 3, 4)}, "likely .* to write only 0 things"),
        ({"model": untrained(max_length=47)}, "at most 47 tokens; a scene of the game needs 48"),
        ({"model": untrained()}, r"p ≥ 0.1\) to write only 0 things of this game, and wishes=2"),
        ({"game": "castle"}, "'castle'; it must be an Adventure"),
        ({"game": None}, "vocabulary lacks 'library'"),
        ({"game": replace(SMALL, riddles=(("What is blue ?", "Sky"),))}, "vocabulary lacks 'blue'"),
        ({"temperature": 3}, "temperature is 3; allowed: 0.1 to 2.0"),
        ({"seed": -1}, "seed is -1"),
        ({"commands": ["a"] * 501}, "number of commands is 501"),
    ],
)
def test_refuses(unchecked: None, change: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        adventure(**change)
