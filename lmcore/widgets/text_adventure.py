"""Text adventure: interactive fiction that the book's own model writes in the page, by rules that are not the model's."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any

import torch
import traitlets as t
from torch import nn

from lmcore.tokenizer import Tokenizer
from lmcore.widgets.adventure import LONGEST, Adventure, Play, Source, opening
from lmcore.widgets.base import in_range
from lmcore.widgets.page_models import ModelFigure, PageModel

TEMPERATURE = (0.1, 2.0)
ROOM = 48  # tokens that a model has to read
COMMANDS, LETTERS = 500, 60  # of a play, of a command
OFFERED = 0.02  # the least probability of a verb after which a thing is looked for


class TextAdventure(ModelFigure, module="text_adventure.mjs"):
    """A text adventure. The reader walks from place to place and gives a verb; the model, in the page, goes on from there.

    The model reads the beginning of a short story, such as “Alice went to the beach . There she”, and the reader's verb. It
    writes on to the full stop, and one sentence more. The rules (:class:`lmcore.widgets.Adventure`) are plain code: where one
    can walk, what time it takes, that a thing which the model has written is brought home, when the game is won or lost. The
    page shows both, the rules and what the model has read.

    Things to be wished for are those that this model is likely to write somewhere (:attr:`sources`), so a game can be won.
    ``seed``, ``temperature`` and ``commands``, all that the reader has done since the game began, can be set and read from
    Python; equal ones give the same game, here and in the page.

    Args:
        model: a :class:`lmcore.gpt.GPT` that has learned stories of the book's world, and its instructions for the parrot.
        tokenizer: its tokeniser, or its list of words.
        game: places and rules; without it those of :class:`lmcore.widgets.Adventure`.
        seed: of what is wished for, of the riddles and of what the model writes.
        temperature: of what the model writes, from 0.1 to 2.

    Raises:
        ValueError: a model or tokeniser that cannot run in a page, reads fewer than 48 tokens or lacks a word of the game; or a
            model that is not likely to write as many things as are to be wished for.
    """

    game = t.Dict().tag(sync=True)
    sources = t.Dict().tag(sync=True)
    longest = t.Dict(LONGEST).tag(sync=True)
    letters = t.Int(LETTERS).tag(sync=True)
    most = t.Int(COMMANDS).tag(sync=True)
    seed = t.Int(0).tag(sync=True)
    temperature = t.Float(1.0).tag(sync=True)
    commands = t.List(t.Unicode()).tag(sync=True)

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Tokenizer | Sequence[str],
        game: Adventure | None = None,
        *,
        seed: int = 0,
        temperature: float | int = 1.0,
        **kwargs: Any,
    ) -> None:
        game = Adventure() if game is None else game
        if not isinstance(game, Adventure):
            raise ValueError(f"game is {game!r:.80}; it must be an Adventure")
        page = PageModel(model, tokenizer)
        if page.room is not None and page.room < ROOM:
            raise ValueError(f"the model reads at most {page.room} tokens; a scene of the game needs {ROOM}")
        number = page.tokenizer.number
        texts = [opening(game, place, False) for place in game.places] + [
            question for question, _ in game.riddles if game.keepers
        ]
        if strange := [word for word in " ".join([*texts, "Then was at a an ."]).split() if word not in number]:
            raise ValueError(f"the model's vocabulary lacks {strange[0]!r}, which this game needs; give another game or model")
        found = where_things_are(game, page)
        if len(found) < game.wishes:
            raise ValueError(
                f"the model is likely (p ≥ {game.likely}) to write only {len(found)} things of this game, and "
                f"wishes={game.wishes}; train it longer, lower likely, or wish for less"
            )
        self._adventure = replace(game, verbs=[verb for verb in game.verbs if verb in number])
        rules = {**asdict(self._adventure), "rules": game.rules()}
        super().__init__(
            {"model": (model, tokenizer)}, game=rules, sources=found, seed=seed, temperature=float(temperature), **kwargs
        )

    def play(self, commands: Sequence[str] | None = None, seed: int | None = None) -> list[tuple[str, str]]:
        """The transcript of a game, pairs of who ("rules", "you", "model", "parrot") and what; by default of the present one.

        Args:
            commands: "go beach", a verb such as "built", "say Oslo", "ask", "hint".
            seed: of another game than the present one.
        """
        return self.played(self.commands if commands is None else commands, self.seed if seed is None else seed).said

    def played(self, commands: Sequence[str], seed: int) -> Play:
        """A game after these commands, as :meth:`play` takes them."""
        in_range("seed", seed, 0, 2**31 - 1)
        play = Play(self._adventure, self.sources, seed, writer(self.running, self.temperature))
        for command in commands:
            play.act(command)
        return play

    def offers(self, play: Play, top: int = 6) -> list[tuple[str, float]]:
        """The verbs of the game that the model finds likeliest now, with their probabilities."""
        p, number = self.running.probabilities(self.running.ids(play.before)), self.running.tokenizer.number
        known = [(verb, float(p[number[verb]])) for verb in play.game.verbs]
        return sorted(known, key=lambda pair: (-pair[1], number[pair[0]]))[:top]

    def describe(self) -> str:
        game = self._adventure
        start = self.played([], self.seed)
        first = ", ".join(f"“{verb}”" for verb, _ in self.offers(start, 3))
        return (
            f"A text adventure among {len(game.places)} places, written by a model that runs in the page, by rules that the "
            f"page states. {start.said[0][1]} At the {game.start} the model reads “{start.before}” and finds {first} likeliest."
        )

    @t.validate("seed")
    def _check_seed(self, proposal: Any) -> int:
        return in_range("seed", proposal["value"], 0, 2**31 - 1)

    @t.validate("temperature")
    def _check_temperature(self, proposal: Any) -> float:
        if not TEMPERATURE[0] <= proposal["value"] <= TEMPERATURE[1]:
            raise ValueError(f"temperature is {proposal['value']:g}; allowed: {TEMPERATURE[0]} to {TEMPERATURE[1]}")
        return proposal["value"]

    @t.validate("commands")
    def _check_commands(self, proposal: Any) -> list[str]:
        in_range("the number of commands", len(proposal["value"]), 0, COMMANDS)
        for command in proposal["value"]:
            in_range("the number of characters of a command", len(command), 0, LETTERS)
        return proposal["value"]


def writer(page: PageModel, temperature: float) -> Callable[[str, int, Callable[[], float] | None], list[str]]:
    """What :class:`Play` lets write: a model at a temperature."""

    def write(text: str, most: int, random: Callable[[], float] | None) -> list[str]:
        ids, words = page.ids(text), list[str]()
        while len(words) < most and words[-1:] != ["."] and len(ids) < (page.room or 10**9):
            logits = page.logits(ids).double()
            logits[page.never] = -torch.inf
            token = int(logits.argmax()) if random is None else drawn((logits / temperature).softmax(0), random())
            if token == page.end:
                break
            ids.append(token)
            words.append(page.tokenizer.vocabulary[token])
        return words

    return write


def drawn(p: torch.Tensor, u: float) -> int:
    """The token in whose share of the probabilities, laid end to end, the random number u falls; as in sampling.mjs."""
    token = int(torch.searchsorted(p.cumsum(0), torch.tensor(u, dtype=p.dtype), right=True))
    return min(token, int(p.nonzero()[-1]))


def where_things_are(game: Adventure, page: PageModel) -> dict[str, Source]:
    """Thing → the place and verb after which the model is most likely to write it, and how likely; the likeliest things first.

    Only verbs that the model offers, with a probability of at least 0.02, count, and only things of at least ``game.likely``.
    """
    number, found = page.tokenizer.number, dict[str, Source]()
    things = [thing for thing in game.things if thing in number]
    for place in game.places:
        before = opening(game, place, place == game.start)
        offered = page.probabilities(page.ids(before))
        for verb in (verb for verb in game.verbs if verb in number and offered[number[verb]] >= OFFERED):
            articles = page.probabilities(page.ids(f"{before} {verb}"))
            for article in ("a", "an"):
                p = page.probabilities(page.ids(f"{before} {verb} {article}")) * articles[number[article]]
                for thing in things:
                    share = float(p[number[thing]])
                    if share >= max(game.likely, 1e-6) and share > found.get(thing, ("", "", 0.0))[2]:
                        found[thing] = (place, verb, share)
    return dict(sorted(found.items(), key=lambda item: (-item[1][2], item[0])))
