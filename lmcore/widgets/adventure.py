"""A text adventure: its places and rules, and one play of it, in which a language model writes and the rules decide.

The rules are plain code and know nothing of probabilities; the model knows nothing of the rules. They meet in one place: a rule
reads the words that the model has written. ``adventure.mjs`` is the twin of this file; a test in a browser holds them equal.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from lmcore.widgets.base import in_range, one_of
from lmcore.widgets.page_models import random_numbers
from lmcore.world.lexicon import SPLIT

Source = tuple[str, str, float]  # the place and the verb of which a thing comes most likely, and how likely
Writer = Callable[[str, int, Callable[[], float] | None], list[str]]  # the text so far, the most words, random numbers or none
VERBS = tuple(sorted({verb for deeds in SPLIT.values() for verb, _ in deeds}))
THINGS = tuple(sorted({thing for deeds in SPLIT.values() for _, thing in deeds}))
PLACES = {
    "library": (0, 0), "village": (1, 0), "market": (2, 0), "bakery": (3, 0),
    "garden": (0, 1), "forest": (1, 1), "harbour": (2, 1), "beach": (3, 1),
    "castle": (0, 2), "lake": (1, 2),
}  # fmt: skip
PATHS = (
    ("village", "library"), ("village", "market"), ("village", "forest"), ("market", "bakery"), ("market", "harbour"),
    ("harbour", "beach"), ("forest", "garden"), ("forest", "lake"), ("lake", "castle"),
)  # fmt: skip
RIDDLES = (
    ("What is the capital of Norway ?", "Oslo"),
    ("What is the opposite of brave ?", "timid"),
    ("Give the past of swim .", "swam"),
    ("Which number comes after seven ?", "eight"),
    ("Which language do people speak in Egypt ?", "Arabic"),
    ("Make mouse plural .", "mice"),
)
LONGEST = {"deed": 12, "after": 16, "answer": 8}  # words of what the model writes
MOST = {"hours": 48, "wishes": 6}


@dataclass(frozen=True)
class Adventure:
    """Where the game is played, and by what rules. The places, verbs and things are those of the book's world.

    Args:
        places: place → where it stands on the map, (column, row).
        paths: pairs of places that are neighbours.
        start: the place where the game begins.
        hero: the name of the player's person.
        she: "she" or "he".
        hours: how many hours there are; every walk, deed, answer and question takes one.
        wishes: how many things are wished for.
        verbs: words, in the past, that a sentence may begin with after "she".
        things: words for what can be brought home.
        keepers: places whose keeper asks a riddle before anybody may enter.
        riddles: pairs of a question and its right answer; whoever says more words is right if the last ones are the answer.
        likely: a thing can be wished for if the model gives it at least this probability, at some place and after some verb
            that it offers there.

    Raises:
        ValueError: a path, start or keeper without its place, a place that cannot be reached, keepers without riddles, or a
            number outside what is allowed.
    """

    places: Mapping[str, tuple[int, int]] = field(default_factory=lambda: dict(PLACES))
    paths: Sequence[tuple[str, str]] = field(default_factory=lambda: PATHS)
    start: str = "village"
    hero: str = "Alice"
    she: str = "she"
    hours: int = 16
    wishes: int = 3
    verbs: Sequence[str] = field(default_factory=lambda: VERBS)
    things: Sequence[str] = field(default_factory=lambda: THINGS)
    keepers: Sequence[str] = ("library", "castle")
    riddles: Sequence[tuple[str, str]] = field(default_factory=lambda: RIDDLES)
    likely: float | int = 0.1

    def __post_init__(self) -> None:
        in_range("hours", self.hours, 1, MOST["hours"])
        in_range("wishes", self.wishes, 1, MOST["wishes"])
        one_of("she", self.she, ("she", "he"))
        if not 0 <= self.likely < 1:
            raise ValueError(f"likely is {self.likely!r}; allowed: a probability from 0 up to, but not including, 1")
        if not self.places or not self.verbs or not self.things:
            raise ValueError("an adventure needs places, verbs and things; one of them is empty")
        named = {"paths": [place for path in self.paths for place in path], "start": [self.start], "keepers": self.keepers}
        for name, words in named.items():
            if strange := [word for word in words if word not in self.places]:
                raise ValueError(f"{name} names {strange[0]!r}, which is none of the places {', '.join(self.places)}")
        if self.start in self.keepers:
            raise ValueError(f"the game begins at {self.start!r}; a place with a keeper has to be walked to")
        reached = {self.start}
        for _ in self.places:
            reached |= {b for a in reached for b in self.near(a)}
        if lost := [place for place in self.places if place not in reached]:
            raise ValueError(f"no path leads from {self.start!r} to {lost[0]!r}; add one to paths, or leave the place out")
        if self.keepers and not self.riddles:
            raise ValueError(f"the keepers of {', '.join(self.keepers)} have no riddle to ask; give riddles, or keepers=()")

    def near(self, place: str) -> list[str]:
        """The neighbours of a place."""
        return [b if a == place else a for a, b in self.paths if place in (a, b)]

    def rules(self) -> list[str]:
        """The rules, a sentence each."""
        guarded = " and ".join(f"the {place}" for place in self.keepers)
        return [
            f"You are {self.hero}. You win as soon as you have {self.wishes} things that are wished for, and lose when "
            f"{self.hours} hours are over.",
            "You can walk to any place next to yours. A walk takes one hour.",
            "At a place you give one verb, and the model goes on from there: a sentence, and one more. A deed takes one hour.",
            "Wherever the model writes a verb of the game, “a” or “an”, and a thing of the game, one after another, you have "
            "that thing. No rule asks whether it makes sense; that is the model's part.",
            *(
                [
                    f"The keeper of {guarded} asks a riddle. You may answer, or ask the parrot, which is the model: it may be "
                    "wrong. Either takes one hour. With the right answer you are let in."
                ]
                if self.keepers
                else []
            ),
            "A hint takes one hour: where, and after which verb, the model is most likely to write a thing that is missing.",
        ]


def printed(text: str) -> str:
    """Words as one would print them: no space before a punctuation mark."""
    return re.sub(r" ([.,!?:;])", r"\1", text)


def an(word: str) -> str:
    """The word with its article."""
    return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"


def opening(game: Adventure, place: str, first: bool) -> str:
    """What the model reads before a deed: how the hero came here, and the beginning of the next sentence."""
    return f"{game.hero} {'was at' if first else 'went to'} the {place} . There {game.she}"


class Play:
    """One play of an adventure: its state, and what a command does to it.

    Args:
        game: the adventure.
        sources: what can be wished for, and where it is to be had.
        seed: of what is wished for, of the riddles and of what the model writes.
        write: the model. It gets the text so far, the most words that it may write, and random numbers to draw them with, or
            None to write the likeliest; it gives the words up to and with the first full stop.

    Attributes:
        said: the transcript, pairs of who ("rules", "you", "model", "parrot") and what.
        over: "", "won" or "lost".
    """

    def __init__(self, game: Adventure, sources: Mapping[str, Source], seed: int, write: Writer) -> None:
        self.game, self.sources, self.write = game, sources, write
        self.random = random_numbers(seed)
        self.said: list[tuple[str, str]] = []
        self.place, self.first, self.deed, self.over = game.start, True, "", ""
        self.hours, self.bag, self.opened, self.asked = game.hours, list[str](), list[str](), ""
        left = list(sources)
        self.wishes = [left.pop(int(self.random() * len(left))) for _ in range(game.wishes)]
        self.riddles = {place: game.riddles[int(self.random() * len(game.riddles))] for place in game.keepers}
        self.tell(f"You are {game.hero}. Bring home {', '.join(map(an, self.wishes))}. You have {game.hours} hours.")
        self.tell(f"You are at the {self.place}.")

    def tell(self, text: str, who: str = "rules") -> None:
        """Add a line to the transcript."""
        self.said.append((who, text))

    @property
    def before(self) -> str:
        """What the model reads before the next verb: how the hero came here, and the last deed here."""
        text = opening(self.game, self.place, self.first)
        return f"{text} {self.deed} Then {self.game.she}" if self.deed else text

    def act(self, command: str) -> None:
        """Do what a command says: "go beach", a verb, "say Oslo", "ask", "hint". The transcript grows."""
        words = re.sub(r"[.!?]+$", "", command.strip().lower()).split()
        if self.over or not words:
            return
        self.tell(command.strip(), "you")
        rest = [word for word in words[1:] if word not in ("to", "the")]
        if words[0] in ("go", "say", "ask", "hint"):
            getattr(self, words[0])(" ".join(rest if words[0] == "go" else words[1:]))
        else:
            self.do(words[-1] if words[0] in ("she", "he", "i") else words[0])
        self.judge()

    def go(self, place: str) -> None:
        """Walk to a neighbouring place, or be asked at its door."""
        if place not in self.game.near(self.place):
            return self.tell(f"From here you can go to {', '.join('the ' + near for near in self.game.near(self.place))}.")
        if place in self.riddles and place not in self.opened:
            self.asked = place
            return self.tell(f"The keeper of the {place} asks: {printed(self.riddles[place][0])}")
        self.hours -= 1
        self.enter(place)
        return None

    def enter(self, place: str) -> None:
        """Be at a place, where nothing has been done yet."""
        self.place, self.first, self.deed, self.asked = place, False, "", ""
        self.tell(f"You are at the {place}.")

    def say(self, answer: str) -> None:
        """Answer the riddle that was asked."""
        if not self.asked:
            return self.tell("Nobody has asked you anything.")
        self.hours -= 1
        if not f" {answer}".endswith(f" {self.riddles[self.asked][1].lower()}"):  # "at the mine" for "mine"
            return self.tell(f"“No,” says the keeper of the {self.asked}.")
        self.opened.append(self.asked)
        self.tell("“Right,” says the keeper, and lets you in.")
        return self.enter(self.asked)

    def ask(self, _: str) -> None:
        """Have the model answer the riddle: the parrot says its likeliest words."""
        if not self.asked:
            return self.tell("The parrot is silent: nobody has asked you anything.")
        self.hours -= 1
        words = self.write(self.riddles[self.asked][0], LONGEST["answer"], None)
        return self.tell(f"“{printed(' '.join(words))}”", "parrot")

    def hint(self, _: str) -> None:
        """Learn where a thing that is still missing is most likely to be had."""
        self.hours -= 1
        thing = next(thing for thing in self.wishes if thing not in self.bag)
        place, verb, share = self.sources[thing]
        chance = int(100 * share + 0.5)
        self.tell(f"For {an(thing)} go to the {place} and try “{verb}”. The model writes it there about {chance} times in 100.")

    def do(self, verb: str) -> None:
        """Begin a sentence with a verb; the model writes it to its end and one more, and what is in them is won."""
        if verb not in self.game.verbs:
            return self.tell(f"“{verb}” is no verb of this game. Take one that is offered, or another verb in the past.")
        self.hours -= 1
        before, there = self.before, "Then" if self.deed else "There"
        sentence = [verb, *self.write(f"{before} {verb}", LONGEST["deed"], self.random)]
        if sentence[-1] != ".":
            sentence.append(".")
        self.deed = " ".join(sentence)
        after = self.write(f"{before} {self.deed}", LONGEST["after"], self.random)
        self.tell(printed(" ".join([there, self.game.she, *sentence, *after])), "model")
        for words in (sentence, after):
            for thing in self.won_things(words):
                self.take(thing)
        return None

    def won_things(self, words: Sequence[str]) -> list[str]:
        """The things of the game that follow a verb of the game and an article."""
        threes = zip(words, words[1:], words[2:], strict=False)
        return [c for a, b, c in threes if a in self.game.verbs and b in ("a", "an") and c in self.game.things]

    def take(self, thing: str) -> None:
        """Put a thing into the bag."""
        if thing in self.bag:
            return self.tell(f"You have {an(thing)} already.")
        self.bag.append(thing)
        return self.tell(f"You have {an(thing)}{', which is wished for' if thing in self.wishes else ''}.")

    def judge(self) -> None:
        """Whether the game is over."""
        if all(thing in self.bag for thing in self.wishes):
            self.over = "won"
            self.tell(f"You have all that was wished for, and {self.hours} of {self.game.hours} hours are left. You have won.")
        elif self.hours <= 0:
            self.over = "lost"
            self.tell("The last hour is over. You have lost.")
