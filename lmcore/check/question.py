"""What a check knows about one exercise: inputs, expected outputs, and what each known mistake outputs. It holds no
source of an answer."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from lmcore.check.run import Answer, Case, run_case
from lmcore.check.values import EQUALITIES, Difference


@dataclass(frozen=True)
class Mistake:
    """A known wrong answer: the hint for whoever makes it, and what it outputs on every case."""

    hint: str
    answers: tuple[Answer, ...]


@dataclass(frozen=True)
class Question:
    """An exercise as data: built from a bank in a checkout, read from a file in a student pack."""

    name: str  # of the exercise and of the function it asks for
    chapter: str
    parameters: tuple[str, ...]
    edition: str
    cases: tuple[Case, ...]
    expected: tuple[Answer, ...]
    mistakes: dict[str, Mistake] = field(default_factory=dict)
    equal: str = "close"
    probe: str = "call"
    rtol: float = 1e-4
    atol: float = 1e-6
    seconds: float = 5.0
    memory_mb: int = 1024  # for the whole process that answers, when it is graded
    ready: tuple[str, ...] = ()  # what may not be called

    def answers(self, function: Callable, device: str = "cpu") -> list[Answer]:
        """What ``function`` does on every case. After a case that does not end in time, the rest is skipped."""
        given: list[Answer] = []
        for case in self.cases:
            if given and given[-1].status in ("timeout", "skipped"):
                given.append(Answer("skipped"))
            else:
                given.append(run_case(function, case, probe=self.probe, seconds=self.seconds, device=device, ready=self.ready))
        return given

    def difference(self, got: Answer, want: Answer) -> Difference | None:
        """How the values of two ``ok`` answers differ, within the exercise's tolerance."""
        return EQUALITIES[self.equal](got.value, want.value, self.rtol, self.atol)

    def agree(self, got: Answer, want: Answer) -> bool:
        """Whether two answers are the same behaviour: equal values, or the same type of error."""
        if got.status == want.status == "ok":
            return self.difference(got, want) is None
        if got.status == want.status == "unsupported":
            return got.message == want.message
        return got.status == want.status == "raised" and got.error == want.error

    def passed(self, got: Answer, want: Answer) -> bool:
        """Whether an answer is right: it agrees with the expected one and left its input alone."""
        return self.agree(got, want) and not got.changed

    def mistaken_for(self, answers: Sequence[Answer]) -> list[str]:
        """The known mistakes that behave like ``answers`` on every case.

        A mistake that changes its input must be matched in that too; for the others, only the values count.
        """
        fits = []
        for key, mistake in self.mistakes.items():
            pairs = list(zip(answers, mistake.answers, strict=True))
            changes = any(known.changed for known in mistake.answers)
            if all(self.agree(got, known) and (not changes or got.changed == known.changed) for got, known in pairs):
                fits.append(key)
        exact = [k for k in fits if all(a.changed == m.changed for a, m in zip(answers, self.mistakes[k].answers, strict=True))]
        return exact or fits

    def mostly(self, answers: Sequence[Answer]) -> str:
        """The one known mistake that explains most of what is wrong with ``answers``, or nothing.

        For a mistake, count the cases that it gets wrong and that the answers get wrong in the same way, and take away
        those that contradict it: the mistake gets them wrong, the answers do not. It must be left with more than half of
        the cases that are wrong, and no other mistake with as many.
        """
        wrong = [not self.passed(got, want) for got, want in zip(answers, self.expected, strict=True)]
        counts = {}
        for key, mistake in self.mistakes.items():
            count = 0
            for got, want, known, fails in zip(answers, self.expected, mistake.answers, wrong, strict=True):
                if not self.passed(known, want):
                    count += 1 if fails and got.status == "ok" and self.agree(got, known) else 0 if fails else -1
            counts[key] = count
        best = max(counts, key=lambda key: counts[key], default="")
        alone = sum(count == counts.get(best) for count in counts.values()) == 1
        return best if alone and 2 * counts[best] > sum(wrong) else ""

    def only(self, keep: Callable[[Case], bool]) -> "Question":
        """The same question with the cases for which ``keep`` is true."""
        chosen = [i for i, case in enumerate(self.cases) if keep(case)]

        def pick(items: Iterable) -> tuple:
            items = tuple(items)
            return tuple(items[i] for i in chosen)

        mistakes = {key: Mistake(m.hint, pick(m.answers)) for key, m in self.mistakes.items()}
        return replace(self, cases=pick(self.cases), expected=pick(self.expected), mistakes=mistakes)

    def record(self) -> dict:
        """As plain data, for :mod:`lmcore.check.wire`."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: Any) -> "Question":
        """The question that :meth:`record` gave; a ``ValueError``, ``KeyError`` or ``TypeError`` if it did not."""

        def answers(records: Iterable[dict]) -> tuple[Answer, ...]:
            return tuple(Answer.from_record(r) for r in records)

        parts = {
            "cases": tuple(Case(**case) for case in record["cases"]),
            "expected": answers(record["expected"]),
            "mistakes": {key: Mistake(m["hint"], answers(m["answers"])) for key, m in record["mistakes"].items()},
        }
        return cls(**{**record, **parts})
