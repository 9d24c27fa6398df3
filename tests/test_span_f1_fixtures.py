"""Span F₁ counts as ``conlleval`` does, the Perl script of the CoNLL shared tasks.

Source: Tjong Kim Sang and De Meulder 2003, Introduction to the CoNLL-2003 shared task (https://aclanthology.org/W03-0419),
on evaluation: "a named entity is correct only if it is an exact match of the corresponding entity in the data file". Where an
entity begins and ends is what the script's functions ``startOfChunk`` and ``endOfChunk`` say; ``Conlleval`` below is written
from their rules, tag by tag, as the script reads a file, and shares nothing with :mod:`lmcore.evaluate`.
"""

import random
from dataclasses import dataclass

import pytest

from lmcore import evaluate

# What the script reads: word, true tag, predicted tag; an empty line ends a sentence. Above each file: entities that are right,
# entities that are predicted, entities that there are, counted by hand.
FILES = {
    "everything right": (3, 3, 3, "EU B-ORG B-ORG|rejects O O|German B-MISC B-MISC||Peter B-PER B-PER|Blackburn I-PER I-PER"),
    "B after B begins a second entity": (1, 1, 2, "Ann B-PER B-PER|Bob B-PER O"),
    "two entities taken for one": (0, 1, 2, "Ann B-PER B-PER|Bob B-PER I-PER"),
    "one entity taken for two": (0, 2, 1, "Ann B-PER B-PER|Lee I-PER B-PER"),
    "an entity may begin with I after O": (1, 1, 1, "in O O|New B-LOC I-LOC|York I-LOC I-LOC"),
    "an entity may begin with I at the beginning of a sentence": (1, 1, 1, "Rome I-LOC B-LOC|is O O"),
    "a type that changes within I begins a second entity": (2, 2, 2, "Rome B-LOC I-LOC|FC B-ORG I-ORG"),
    "a type that changes within I ends the first": (1, 2, 1, "Rome B-LOC I-LOC|FC O I-ORG"),
    "a type that changes after B": (1, 2, 2, "Rome B-LOC B-LOC|FC I-ORG I-PER"),
    "a type that changes cuts an entity short": (0, 2, 1, "New B-LOC B-LOC|York I-LOC I-ORG"),
    "right place, wrong type": (0, 1, 1, "Paris B-LOC B-PER"),
    "one word too many at the end": (0, 1, 1, "Ann B-PER B-PER|Lee I-PER I-PER|said O I-PER"),
    "one word too few at the end": (0, 1, 1, "Ann B-PER B-PER|Lee I-PER O"),
    "one word too many at the beginning": (0, 1, 1, "Mrs O B-PER|Lee B-PER I-PER"),
    "one word too few at the beginning": (0, 1, 1, "Ann B-PER O|Lee I-PER B-PER"),
    "O in the middle": (0, 2, 1, "Bank B-ORG B-ORG|of I-ORG O|Japan I-ORG I-ORG"),
    "the end of a sentence ends an entity": (2, 2, 2, "saw O O|Ann B-PER B-PER||Lee I-PER I-PER|left O O"),
    "the end of a sentence ends it where B and I differ": (1, 1, 1, "saw O O|Ann B-PER I-PER||Bob O O"),
    "I after B of another sentence": (1, 2, 1, "Ann B-PER B-PER||Lee O I-PER"),
    "the end of the file ends an entity": (1, 1, 1, "to O O|New B-LOC B-LOC|York I-LOC I-LOC"),
    "the end of the file cuts neither": (0, 1, 1, "to O O|New B-LOC O|York I-LOC I-LOC"),
    "touching entities of two types": (2, 2, 2, "Rome B-LOC B-LOC|Ann B-PER B-PER"),
    "touching entities, the second right": (1, 2, 2, "New B-LOC B-LOC|York I-LOC O|Ann B-PER B-PER"),
    "B within an entity of its own type": (1, 2, 2, "A B-X B-X|b I-X I-X|c B-X I-Y"),
    "nothing predicted": (0, 0, 2, "Ann B-PER O|and O O|Bob B-PER O"),
    "nothing there": (0, 1, 0, "and O B-PER|then O I-PER"),
    "hyphens in a type": (1, 1, 2, "x B-work-of-art B-work-of-art|y I-work-of-art I-work-of-art|z I-work O"),
}  # fmt: skip


@dataclass
class Conlleval:
    """The script's counters, fed tag by tag; tags are read as (prefix, type)."""

    right: int = 0
    predicted: int = 0
    there: int = 0
    open: bool = False  # an entity began in both, with one type, and has ended in neither
    before: tuple[str, str] = ("O", "O")

    @staticmethod
    def starts(before: str, now: str) -> bool:
        """``startOfChunk``: B always begins an entity; I does after O and after another type."""
        return now[0] == "B" or (now[0] == "I" and (before == "O" or before[2:] != now[2:]))

    @staticmethod
    def ends(before: str, now: str) -> bool:
        """``endOfChunk``: O and B end what was open, and so does another type."""
        return before != "O" and (now == "O" or now[0] == "B" or before[2:] != now[2:])

    def read(self, truth: str, guess: str) -> None:
        """One line of the file."""
        ends = self.ends(self.before[0], truth), self.ends(self.before[1], guess)
        if self.open and any(ends):
            self.right += all(ends)
            self.open = False
        starts = self.starts(self.before[0], truth), self.starts(self.before[1], guess)
        self.open = self.open or (all(starts) and truth[2:] == guess[2:])
        self.there += starts[0]
        self.predicted += starts[1]
        self.before = truth, guess

    def file(self, truth: list[list[str]], guess: list[list[str]]) -> tuple[int, int, int]:
        """Sentences with a line of O after each, as the script takes an empty line: (right, predicted, there)."""
        for sentence, guesses in zip(truth, guess, strict=True):
            for pair in zip(sentence, guesses, strict=True):
                self.read(*pair)
            self.read("O", "O")
        return self.right, self.predicted, self.there


def tags(file: str) -> tuple[list[list[str]], list[list[str]]]:
    """True and predicted tags of a file, sentence by sentence."""
    sentences = [[line.split() for line in part.split("|")] for part in file.split("||")]
    return tuple([[line[column] for line in sentence] for sentence in sentences] for column in (1, 2))  # type: ignore[return-value]


def ratios(right: int, predicted: int, there: int) -> tuple[float, float, float, int]:
    """Precision, recall, F₁ and the number of entities; 0/0 is 0."""
    precision = right / predicted if predicted else 0.0
    recall = right / there if there else 0.0
    return precision, recall, 2 * precision * recall / (precision + recall) if right else 0.0, there


@pytest.mark.parametrize("name", FILES)
def test_every_boundary_counts_as_in_the_script(name):
    *counts, file = FILES[name]
    truth, guess = tags(file)
    assert Conlleval().file(truth, guess) == tuple(counts)
    found = evaluate.span_f1(truth, guess)
    assert (found.precision, found.recall, found.f1, found.spans) == pytest.approx(ratios(*counts))


def test_the_files_together_count_as_their_sum():
    truth, guess = ([sentence for *_, file in FILES.values() for sentence in tags(file)[i]] for i in (0, 1))
    counts = [sum(file[i] for file in FILES.values()) for i in range(3)]
    found = evaluate.span_f1(truth, guess)
    assert (found.precision, found.recall, found.f1, found.spans) == pytest.approx(ratios(*counts))


def test_any_tags_count_as_in_the_script():
    """Tags at random, also such as no tagger should give: most of the predictions are the truth with some tags changed."""
    rng = random.Random(3)
    names = ("O", "B-X", "I-X", "B-Y", "I-Y")
    for _ in range(250):
        truth = [[rng.choice(names) for _ in range(rng.randint(1, 7))] for _ in range(rng.randint(1, 5))]
        guess = [[tag if rng.random() < 0.8 else rng.choice(names) for tag in sentence] for sentence in truth]
        found = evaluate.span_f1(truth, guess)
        counts = Conlleval().file(truth, guess)
        assert (found.precision, found.recall, found.f1, found.spans) == pytest.approx(ratios(*counts)), (truth, guess)


def test_prefixes_alone_say_nothing():
    """A tagger that is right on nine of ten tags may be wrong on every entity."""
    truth = [["B-PER", *["I-PER"] * 8, "O"]]
    guess = [["B-PER", *["I-PER"] * 9]]
    assert evaluate.span_f1(truth, guess).f1 == 0
