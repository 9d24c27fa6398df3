"""An exercise: a reference, right answers written differently, wrong answers with their hints, and cases from a seed.

The bank is two things at once: the wrong answers test the cases (each must fail), and they are the source of hints (a
student whose outputs equal those of a wrong answer on every case has made that mistake).
"""

import inspect
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

import exercises
from lmcore.check.limit import TimeLimitError, call_within
from lmcore.check.question import Mistake, Question
from lmcore.check.ready import named
from lmcore.check.run import PROBES, Answer, Case, run_case
from lmcore.check.values import EQUALITIES


def public(label: str, *args: Any) -> Case:
    """A case a student sees, whatever the outcome."""
    return Case(args, label)


def hidden(label: str, *args: Any) -> Case:
    """A case that only grading runs; neither it nor its label is ever shown."""
    return Case(args, label, public=False)


def normal(rng: random.Random, *shape: int) -> torch.Tensor:
    """A float32 tensor of independent standard normal numbers, from the case's own random numbers."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(rng.getrandbits(31)))


def hint(answer: Callable) -> str:
    """The hint of a wrong answer: its own docstring, one paragraph per line."""
    paragraphs = inspect.cleandoc(answer.__doc__ or "").split("\n\n")  # getdoc would take that of a class it derives from
    return "\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def _unknown(ready: tuple[str, ...]) -> Iterator[str]:
    for name in ready:
        try:
            named(name)
        except ValueError as error:
            yield str(error)


@dataclass(frozen=True)
class Exercise:
    """One exercise. Its name is the name of ``reference``, which is the name of the function a student writes.

    Attributes:
        chapter: the folder, ``ch02_tokens``.
        minutes: how long it takes a student who has read the chapter.
        difficulty: 1 (follow the equation), 2 (put two ideas together) or 3 (find the algorithm).
        points: what it counts when it is graded.
        reference: the answer a page shows; plain, in the words of the chapter.
        right: at least three more right answers, written differently.
        wrong: at least eight wrong answers; the name is the mistake, the docstring its hint.
        cases: from a seeded generator to the cases, in a fixed order with fixed labels, some public, some hidden.
        equal: how two outputs are compared (:data:`lmcore.check.values.EQUALITIES`).
        probe: what is done with the function (:data:`lmcore.check.run.PROBES`).
        rtol, atol: the tolerance on floating-point numbers.
        seconds: the time limit of one call.
        memory_mb: how much memory an answer may take, in all, when it is graded.
        equivalent: mutants of the reference that compute the same, each with the reason.
        ready: functions and packages that no answer may call, as they would be the answer (:mod:`lmcore.check.ready`).
    """

    chapter: str
    minutes: int
    difficulty: int
    points: int
    reference: Callable
    right: Sequence[Callable]
    wrong: Sequence[Callable]
    cases: Callable[[random.Random], list[Case]]
    equal: str = "close"
    probe: str = "call"
    rtol: float = 1e-4
    atol: float = 1e-6
    seconds: float = 5.0
    memory_mb: int = 1024
    equivalent: Mapping[str, str] = field(default_factory=dict)
    ready: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for problem in self._problems():
            raise ValueError(f"exercise {self.name}: {problem}")

    def _problems(self) -> list[str]:
        answers = [self.reference, *self.right, *self.wrong]
        names = [answer.__name__ for answer in answers]
        return [
            *([f"difficulty is 1, 2 or 3, got {self.difficulty}"] if self.difficulty not in (1, 2, 3) else []),
            *(
                [f"minutes and points are positive, got {self.minutes}, {self.points}"]
                if min(self.minutes, self.points) < 1
                else []
            ),
            *([f"at least three right answers, got {len(self.right)}"] if len(self.right) < 3 else []),
            *([f"at least eight wrong answers, got {len(self.wrong)}"] if len(self.wrong) < 8 else []),
            *[f"two answers are called {name}" for name in names if names.count(name) > 1][:1],
            *["an answer is a lambda; write a function" for name in names if not name.isidentifier()],
            *[f"the wrong answer {wrong.__name__} has no docstring; it is the hint" for wrong in self.wrong if not hint(wrong)],
            *([f"equal is one of {sorted(EQUALITIES)}, got {self.equal!r}"] if self.equal not in EQUALITIES else []),
            *([f"probe is one of {sorted(PROBES)}, got {self.probe!r}"] if self.probe not in PROBES else []),
            *[f"ready: {problem}" for problem in _unknown(self.ready)],
        ]

    @property
    def name(self) -> str:
        """The function's name, unique in the book."""
        return self.reference.__name__

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of the function's parameters; of a class, those of its constructor."""
        given = inspect.signature(self.reference).parameters.values()
        bare = isinstance(self.reference, type) and "__init__" not in vars(self.reference)  # nn.Module's takes anything
        return () if bare else tuple(parameter.name for parameter in given)

    @property
    def facts(self) -> str:
        """The line under the exercise's heading in the notebook."""
        points = "1 point" if self.points == 1 else f"{self.points} points"
        return f"*{self.minutes} minutes · difficulty {self.difficulty} of 3 · {points}*"

    def draw(self, seed: int) -> tuple[Case, ...]:
        """The cases of one seed, public and hidden."""
        return tuple(self.cases(random.Random(f"{self.name} {seed}")))

    def question(self, seed: int = 0, device: str = "cpu") -> Question:
        """The exercise as data: every case of ``seed``, what the reference outputs, and what each wrong answer outputs."""
        cases = self.draw(seed)
        answered: dict[str, tuple[Answer, ...]] = {}

        def answer_all() -> None:
            for answer in (self.reference, *self.wrong):
                answered[answer.__name__] = tuple(self._answer(answer, case, device) for case in cases)

        try:
            call_within(40.0 * self.seconds, answer_all)  # one limit for all: these answers are ours, and a machine may be busy
        except TimeLimitError:
            slow = [answer.__name__ for answer in (self.reference, *self.wrong) if answer.__name__ not in answered]
            raise ValueError(
                f"exercise {self.name}: {slow[0]} takes too long for its time limit of {self.seconds:g} s"
            ) from None
        return Question(
            name=self.name,
            chapter=self.chapter,
            parameters=self.parameters,
            edition=exercises.EDITION,
            cases=cases,
            expected=answered[self.name],
            mistakes={wrong.__name__: Mistake(hint(wrong), answered[wrong.__name__]) for wrong in self.wrong},
            equal=self.equal,
            probe=self.probe,
            rtol=float(self.rtol),
            atol=float(self.atol),
            seconds=float(self.seconds),
            memory_mb=self.memory_mb,
            ready=self.ready,
        )

    def _answer(self, function: Callable, case: Case, device: str) -> Answer:
        """What an answer of the bank does. An error's words and line are the bank's own; only its type is compared."""
        given = run_case(function, case, probe=self.probe, seconds=math.inf, device=device, ready=self.ready)
        return replace(given, message="", line="") if given.status == "raised" else given
