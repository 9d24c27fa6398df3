"""The proof of a bank: see :func:`prove` for what is proven about each exercise, and :func:`exercises.validate.main`
for the command."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from exercises.grader import secrecy
from exercises.grader.exercise import Exercise
from exercises.grader.mutants import mutants
from exercises.grader.source import standalone
from lmcore.check.diagnose import diagnose, examine
from lmcore.check.question import Question
from lmcore.check.run import run_case
from lmcore.check.values import show

# At most this share of the mutants may be listed as computing the same.
LARGEST_EQUIVALENT_SHARE = 0.1


@dataclass
class Proof:
    """What was found about one exercise over all seeds."""

    name: str
    right: int = 0
    wrong: int = 0
    reached: int = 0  # wrong answers that get exactly their own hint on every seed, by public cases alone and by all cases
    mutants: int = 0
    killed: int = 0
    equivalent: int = 0
    failures: list[str] = field(default_factory=list)


def prove(exercise: Exercise, seeds: int = 20, device: str = "cpu") -> Proof:
    """Over ``seeds`` seeds: every right answer passes every case; every wrong one fails with exactly its own hint, by
    the public cases and by all; every mutant of the reference dies on every seed or is listed; feedback never shows
    anything of a hidden case."""
    proof = Proof(exercise.name, right=1 + len(exercise.right), wrong=len(exercise.wrong))
    questions = [exercise.question(seed, device) for seed in range(seeds)]
    proof.failures += _case_problems(questions)
    unreached: set[str] = set()
    for seed, question in enumerate(questions):
        proof.failures += [f"seed {seed}: {problem}" for problem in _right(exercise, question, device)]
        for view, seen in (("public cases", question.only(lambda case: case.public)), ("all cases", question)):
            for key, mistake in seen.mistakes.items():
                result = diagnose(seen, mistake.answers)
                if result.kind != key or result.hint != mistake.hint:
                    unreached.add(key)
                    proof.failures.append(f"seed {seed}, {view}: {key} gets {result.kind}: {result.hint}")
                if view == "public cases" and all(answer.status != "ok" for answer in mistake.answers):
                    proof.failures.append(
                        f"seed {seed}: {key} returns nothing on any public case; a hint needs more than an error"
                    )
    proof.reached = proof.wrong - len(unreached)
    proof.failures += [f"seed {seed}: {leak}" for seed, question in enumerate(questions) for leak in secrecy.leaks(question)]
    _mutate(exercise, questions, proof)
    return proof


def _case_problems(questions: list[Question]) -> list[str]:
    shapes = {tuple((case.label, case.public) for case in question.cases) for question in questions}
    found = ["the labels of the cases depend on the seed"] if len(shapes) > 1 else []
    for kind, public in (("public", True), ("hidden", False)):
        if not any(case.public is public for case in questions[0].cases):
            found.append(f"there is no {kind} case")
    if len(questions) > 1:
        hidden = [show([case.args for case in question.cases if not case.public], 10**6) for question in questions]
        if len(set(hidden)) == 1:
            found.append("no hidden case depends on the seed")
    return found


def _right(exercise: Exercise, question: Question, device: str) -> Iterable[str]:
    for answer in (exercise.reference, *exercise.right):
        result = examine(question, answer, device)
        if not result.passed:
            yield f"the right answer {answer.__name__} fails: {result}"


def _mutate(exercise: Exercise, questions: list[Question], proof: Proof) -> None:
    names = []
    for mutant in mutants(standalone(exercise.reference), exercise.name):
        names.append(mutant.name)
        listed = mutant.name in exercise.equivalent
        survived = _survives(questions, mutant.function, seconds=exercise.seconds if listed else 0.5)
        if survived is None:
            proof.killed += 1
            proof.failures += [f"listed as equivalent, but a case notices it: {mutant.name!r}"] if listed else []
        elif listed:
            proof.equivalent += 1
        else:
            proof.failures.append(f"a mutant survives seed {survived}: {mutant.name!r}")
    proof.mutants = len(names)
    proof.failures += [
        f"listed as equivalent, but there is no such mutant: {name!r}" for name in set(exercise.equivalent) - set(names)
    ]
    proof.failures += [
        f"no reason is given why {name!r} is equivalent" for name, why in exercise.equivalent.items() if not why.strip()
    ]
    if len(exercise.equivalent) > LARGEST_EQUIVALENT_SHARE * proof.mutants:
        proof.failures.append(
            f"{len(exercise.equivalent)} of {proof.mutants} mutants are listed as equivalent; at most a tenth may be"
        )


def _survives(questions: list[Question], function: Callable, seconds: float) -> int | None:
    """The first seed on which no case notices ``function``, or ``None`` if it is noticed on every seed."""
    for seed, question in enumerate(questions):
        for case, want in zip(question.cases, question.expected, strict=True):
            given = run_case(function, case, probe=question.probe, seconds=seconds)
            if given.status == "timeout":
                return None
            if not question.passed(given, want):
                break
        else:
            return seed
    return None
