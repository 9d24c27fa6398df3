"""The generated language of the book: plain English from a grammar whose every probability is known.

``World().sample(3, seed=0)`` writes three stories; :meth:`World.next_distribution`, :meth:`World.log_prob`, :meth:`World.posterior`
and :meth:`World.entropy` are exact, so that every model of the book can be compared with the truth.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lmcore.world.automaton import Automaton
from lmcore.world.grammar import Program, Rule
from lmcore.world.lexicon import KINDS
from lmcore.world.noise import MaskingNoise
from lmcore.world.samples import Story, detokenize, sample
from lmcore.world.stories import stories

__all__ = ["MaskingNoise", "Story", "World", "detokenize"]
LABELS = ("rule", "sentiment", "toxic", "spam")
TINY = [
    Rule("g:gender", "{She(g)} likes [0.5: apples | 0.3: tea | 0.2: music ] . [0.3: {She(g)} is happy . ]", 3),
    Rule("g:gender", "{She(g)} licks [0.8: lollipops | 0.2: apples ] .", 1),
]


@dataclass(frozen=True)
class World:
    """A language: which kinds of text it holds, and how far apart cause and effect are.

    Args:
        distance: filler sentences between a cause and its effect (place → object, name → pronoun, country → capital, …).
        kinds: which kinds of text, in equal shares: "stories", "tiny".

    Texts are lists of words and punctuation marks. Where a method takes a text it takes such a list, or a string that it splits
    at white space. The vocabulary holds the words of all texts and none of the special tokens; END appears only as a next token.

    Raises:
        ValueError: a negative distance or an unknown kind.
    """

    distance: int = 0
    kinds: tuple[str, ...] = ("stories",)

    def __post_init__(self) -> None:
        if not isinstance(self.distance, int) or self.distance < 0:
            raise ValueError(f"distance={self.distance!r} must be a whole number of sentences, 0 or more")
        allowed = ("stories", "tiny")
        if not self.kinds or any(kind not in allowed for kind in self.kinds):
            raise ValueError(f"kinds={self.kinds!r}; choose one or more of {', '.join(allowed)}")

    @classmethod
    def tiny(cls) -> "World":
        """A language of a few texts, all of which can be written down: see :meth:`enumerate_texts`."""
        return cls(kinds=("tiny",))

    @cached_property
    def _program(self) -> Program:
        made = {"stories": lambda: stories(self.distance), "tiny": lambda: TINY}
        rules = []
        for kind in self.kinds:
            group = made[kind]()
            total = sum(rule.weight for rule in group)
            rules += [Rule(r.variables, r.template, r.weight / total, r.label) for r in group]
        return Program(KINDS, rules, record=LABELS)

    @cached_property
    def vocabulary(self) -> tuple[str, ...]:
        """All words of the language in alphabetical order, without special tokens."""
        return tuple(sorted(self._program.words()))

    @cached_property
    def _automaton(self) -> Automaton:
        return Automaton(self._program, self.vocabulary)

    def sample(self, n: int, seed: int) -> list[Story]:
        """``n`` texts. The same seed gives the same texts, and a smaller ``n`` gives the first of them."""
        return sample(self._program, n, seed)

    def next_distribution(self, prefix: str | Sequence[str]) -> dict[str, float]:
        """p(next word | prefix) for every word that can follow, END included, most probable first.

        Raises:
            ValueError: no text starts with the prefix; the message names the first word that cannot stand there.
        """
        edges = self._automaton.edges(self._automaton.after(words(prefix)))
        return {word: p for word, (p, _) in sorted(edges.items(), key=lambda e: -e[1][0])}

    def log_probs(self, text: str | Sequence[str]) -> np.ndarray:
        """log p(w_t | w_1 … w_{t−1}) in nats, one per word and one for END.

        From the first word on that cannot stand where it stands, the entries are −inf.

        Raises:
            ValueError: a word is not in the vocabulary.
        """
        return self._automaton.log_probs(words(text))

    def log_prob(self, text: str | Sequence[str]) -> float:
        """log p(text), END included: the sum of :meth:`log_probs`; −inf for words in an order that the language does not have."""
        return float(self.log_probs(text).sum())

    def posterior(
        self, tokens: str | Sequence[str], masked: Sequence[int], noise: MaskingNoise | None = None
    ) -> dict[int, dict[str, float]]:
        """For every position i of ``masked``: p(w_i | tokens, position i was chosen), the best any masked model can do.

        It is conditioned on all that a masked model sees at once: every corrupted token to the left and to the right (a MASK says
        that its position was chosen; any other word is the original, or was put there by the noise, and which of these is not
        known), the length of the text, and the fact that position i was chosen. It is not conditioned on whether the other
        positions of ``masked`` were chosen. Computed by forward–backward over the whole automaton.

        Args:
            tokens: the text after :meth:`MaskingNoise.corrupt`.
            masked: positions that were chosen, from 0.
            noise: the noise that made ``tokens``.

        Returns:
            position → {word: probability}, most probable first.

        Raises:
            ValueError: an unknown word, a position outside the text, a MASK-free impossible text.
        """
        from lmcore import MASK

        tokens = words(tokens)
        self._automaton.known([t for t in tokens if t != MASK])
        bad = [i for i in masked if not 0 <= i < len(tokens)]
        if bad:
            raise ValueError(f"masked position {bad[0]} lies outside the text of {len(tokens)} tokens (positions start at 0)")
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


def words(text: str | Sequence[str]) -> list[str]:
    return text.split() if isinstance(text, str) else list(text)
