"""The public face of the generated language: one frozen configuration with exact answers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from lmcore import MASK
from lmcore.world import lexicon, things  # noqa: F401  (they fill the lexicon)
from lmcore.world import pairs as bilingual
from lmcore.world.automaton import Automaton, words
from lmcore.world.comments import comments, messages
from lmcore.world.grammar import Rule
from lmcore.world.instructions import instructions
from lmcore.world.kinds import KINDS
from lmcore.world.noise import MaskingNoise
from lmcore.world.pairs import Pair
from lmcore.world.program import Program
from lmcore.world.samples import Instruction, Story, sample, sample_instructions, walk
from lmcore.world.stories import stories

TINY = [
    Rule("g:gender", "{She(g)} likes [0.5: apples | 0.3: tea | 0.2: music ] . [0.3: {She(g)} is happy . ]", 3.0, "taste"),
    Rule("g:gender", "{She(g)} licks [0.8: lollipops | 0.2: apples ] .", 1.0, "taste"),
]
KINDS_OF_TEXT = ("stories", "comments", "messages", "instructions", "tiny", "pairs")


@dataclass(frozen=True)
class World:
    """A language: which kinds of text it holds, and how far apart cause and effect are.

    Args:
        distance: how many filler sentences stand between a cause and its effect (place → object, name → pronoun,
            country → capital, …), or filler phrases between a noun and the verb that agrees with it.
        kinds: which kinds of text, in equal shares: "stories", "comments" (reviews with a sentiment, remarks that may be
            toxic), "messages" (that may be spam), "instructions" (with answers), "tiny"; or "pairs" alone, the English side
            of :meth:`pairs`.
        clauses: the least and the largest number of joined clauses in a sentence of :meth:`pairs`, all equally likely.
        topics: which topics the stories have, as in ``Story.kind``, such as ``("travel", "job")``; all of them if empty. Fewer
            topics are a smaller language, with fewer words, that is learnt sooner. Shares among them stay as they were.

    Texts are sequences of words and punctuation marks. Where a method takes a text it takes such a sequence, or a string that
    it splits at white space. The vocabulary holds the words of all texts and no special token; END is a next token only.

    Raises:
        ValueError: a negative distance, an unknown kind, an empty range of clauses, an unknown topic, topics without stories.
    """

    distance: int = 0
    kinds: tuple[str, ...] = ("stories",)
    clauses: tuple[int, int] = (1, 3)
    topics: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.distance, int) or self.distance < 0:
            raise ValueError(f"distance={self.distance!r} must be a whole number of sentences, 0 or more")
        if not isinstance(self.kinds, tuple | list) or not self.kinds or any(kind not in KINDS_OF_TEXT for kind in self.kinds):
            raise ValueError(f"kinds={self.kinds!r}; give a tuple of one or more of {', '.join(KINDS_OF_TEXT)}")
        object.__setattr__(self, "kinds", tuple(self.kinds))
        if "pairs" in self.kinds and len(self.kinds) > 1:
            raise ValueError(f'kinds={self.kinds!r}; "pairs" is a language of its own and is not mixed with others')
        if not (
            isinstance(self.clauses, Sequence)
            and len(self.clauses) == 2
            and all(isinstance(n, int) for n in self.clauses)
            and 1 <= self.clauses[0] <= self.clauses[1]
        ):
            raise ValueError(f"clauses={self.clauses!r}; give (least, largest) with 1 ≤ least ≤ largest")
        object.__setattr__(self, "clauses", tuple(self.clauses))
        known = {rule.label for rule in stories(0)} if self.topics else set()
        if isinstance(self.topics, str) or not set(self.topics) <= known:
            raise ValueError(f"topics={self.topics!r}; give a tuple of topics among {', '.join(sorted(known))}")
        if self.topics and "stories" not in self.kinds:
            raise ValueError(f"topics={self.topics!r} are for stories, and kinds={self.kinds!r} has none; leave topics out")
        object.__setattr__(self, "topics", tuple(self.topics))

    @classmethod
    def tiny(cls) -> "World":
        """A language of 16 texts, all of which can be written down: see :meth:`enumerate_texts`."""
        return cls(kinds=("tiny",))

    @property
    def _program(self) -> Program:
        return self._automaton.program

    @property
    def _automaton(self) -> Automaton:
        return automaton(self)

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """All words of the language in alphabetical order, without special tokens."""
        return self._automaton.vocabulary

    def sample(self, n: int, seed: int) -> list[Story]:
        """``n`` texts. The same seed gives the same texts, and a smaller ``n`` gives the first of them."""
        return sample(self._program, n, seed)

    def next_distribution(self, prefix: str | Sequence[str]) -> dict[str, float]:
        """p(next word | prefix) for every word that can follow, END included, most probable first.

        Raises:
            ValueError: no text starts with the prefix; the message names the first word that cannot stand there.
        """
        return self._automaton.next_distribution(prefix)

    def log_probs(self, text: str | Sequence[str]) -> np.ndarray:
        """log p(w_t | w_1 … w_{t−1}) in nats, one per word and one for END.

        From the first word on that cannot stand where it stands, the entries are −inf.

        Raises:
            ValueError: a word is not in the vocabulary.
        """
        return self._automaton.log_probs(text)

    def log_prob(self, text: str | Sequence[str]) -> float:
        """log p(text) in nats, END included: the sum of :meth:`log_probs`. −inf if the language orders no text like this."""
        return self._automaton.log_prob(text)

    def posterior(
        self, tokens: str | Sequence[str], masked: Sequence[int], noise: MaskingNoise | None = None
    ) -> dict[int, dict[str, float]]:
        """For every position i of ``masked``: p(w_i | tokens, position i was chosen), the best any masked model can do.

        It is conditioned on all that a masked model sees at once: every corrupted token to the left and to the right (a MASK
        says that its position was chosen; any other word is the original, or was put there by the noise, and which of these
        is not known), the length of the text, and the fact that position i was chosen. It is not conditioned on whether the
        other positions of ``masked`` were chosen. Computed by forward–backward over the whole automaton.

        Args:
            tokens: the text after :meth:`MaskingNoise.corrupt`.
            masked: positions that were chosen, from 0.
            noise: the noise that made ``tokens``.

        Returns:
            position → {word: probability}, most probable first.

        Raises:
            ValueError: an unknown word, a position outside the text, or no text that the noise could have turned into this.
        """
        tokens = words(tokens)
        self._automaton.known([t for t in tokens if t != MASK])
        if isinstance(masked, str) or not isinstance(masked, Sequence | np.ndarray):
            raise ValueError(f"masked={masked!r} must be a list of positions in the text")
        bad = [i for i in masked if not isinstance(i, int | np.integer) or not 0 <= i < len(tokens)]
        if bad:
            raise ValueError(f"masked position {bad[0]!r} lies outside the text of {len(tokens)} tokens (positions start at 0)")
        return self._automaton.posterior(tokens, masked, noise or MaskingNoise())

    def corrupt(
        self, tokens: str | Sequence[str], rng: np.random.Generator, noise: MaskingNoise | None = None
    ) -> tuple[list[str], list[int]]:
        """(corrupted tokens, chosen positions) under the masking noise, random words coming from this vocabulary."""
        return (noise or MaskingNoise()).corrupt(words(tokens), rng, self.vocabulary)

    def entropy(self, per: str = "text") -> float:
        """The exact entropy of the language in nats per text, or per token (END counted): no model can have a lower
        cross-entropy on texts drawn from it.

        H = −Σ_x p(x) log p(x); per token: H divided by the expected number of tokens of a text.

        Raises:
            ValueError: ``per`` is neither "text" nor "token", or the language is too large to be summed over.
        """
        if per not in ("text", "token"):
            raise ValueError(f'per={per!r}; choose "text" or "token"')
        entropy, length = self._automaton.entropy()
        return entropy if per == "text" else entropy / length

    def expected_length(self) -> float:
        """The mean number of tokens of a text, END included."""
        return self._automaton.entropy()[1]

    def enumerate_texts(self) -> Iterator[tuple[tuple[str, ...], float]]:
        """Every text and its probability. Meant for :meth:`tiny`: other worlds hold more texts than can be counted."""
        return self._automaton.enumerate()

    def instructions(self, n: int, seed: int) -> list[Instruction]:
        """``n`` instructions with their answers. ``World(kinds=("instructions",))`` gives the probability of their text."""
        return sample_instructions(replace(self, kinds=("instructions",), topics=())._program, n, seed)

    def pairs(self, n: int, seed: int) -> list[Pair]:
        """``n`` English sentences with their Dutch translations and the true word alignment.

        An English sentence has exactly one translation here, so p(Dutch | English) is 1 and p(pair) = p(English).
        ``World(kinds=("pairs",))`` gives the probability of the English side, :meth:`dutch` that of the Dutch side.
        """
        return [bilingual.realise(marks) for _, _, marks in walk(replace(self, kinds=("pairs",), topics=())._program, n, seed)]

    def translate(self, english: str | Sequence[str]) -> tuple[str, ...]:
        """The Dutch translation of an English sentence of :meth:`pairs`.

        Raises:
            ValueError: the sentence is not one of them.
        """
        english = words(english)
        pair = bilingual.derive(replace(self, kinds=("pairs",), topics=())._program, english)
        if pair is None:
            raise ValueError(f"{' '.join(english)!r} is no English sentence of the pairs with {self.clauses} clauses")
        return pair.dutch

    def dutch(self) -> Automaton:
        """The Dutch side of :meth:`pairs` as an exact language model of its own."""
        return dutch_automaton(self.clauses)


@lru_cache(maxsize=32)
def automaton(world: World) -> Automaton:
    """The automaton of a world, shared by equal worlds."""
    if world.kinds == ("pairs",):
        return compiled(bilingual.program(world.clauses, "english"))
    made = {
        "stories": lambda: [rule for rule in stories(world.distance) if not world.topics or rule.label in world.topics],
        "comments": comments,
        "messages": messages,
        "instructions": instructions,
        "tiny": lambda: TINY,
    }
    symbols = {kind: made[kind]() for kind in world.kinds}
    forms = [(1 / len(world.kinds), (kind,)) for kind in world.kinds]
    return compiled(Program(KINDS, symbols, forms, record=("sentiment", "toxic", "spam", "answer", "cause", "effect")))


@lru_cache(maxsize=8)
def dutch_automaton(clauses: tuple[int, int]) -> Automaton:
    """The automaton of the Dutch side of the pairs."""
    return compiled(bilingual.program(clauses, "dutch"))


def compiled(program: Program) -> Automaton:
    """The automaton of a program, over the words that it can write."""
    return Automaton(program, sorted(program.words()))
