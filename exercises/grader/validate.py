"""The proof of a bank: see :func:`prove` for what is proven about each exercise, and :func:`exercises.validate.main`
for the command."""

from collections.abc import Callable
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
    problems: dict[str, list[int]] = field(default_factory=dict)  # what is wrong, and on which seeds

    def blame(self, problem: str, seed: int | None = None) -> None:
        """Note a problem; the same one on several seeds is one problem."""
        self.problems.setdefault(problem, []).extend([] if seed is None else [seed])

    @property
    def failures(self) -> list[str]:
        """Every problem in words, with its seeds."""
        named = [(problem, ", ".join(map(str, seeds))) for problem, seeds in self.problems.items()]
        return [f"{problem} (seeds {seeds})" if seeds else problem for problem, seeds in named]


def prove(exercise: Exercise, seeds: int = 20, device: str = "cpu") -> Proof:
    """Over ``seeds`` seeds: every right answer passes every case; every wrong one fails with exactly its own hint, by the
    public cases and by all; every mutant of the reference dies on every seed or is listed as computing the same; feedback
    never shows anything of a hidden case."""
    proof = Proof(exercise.name, right=1 + len(exercise.right), wrong=len(exercise.wrong))
    questions = [exercise.question(seed, device) for seed in range(seeds)]
    for problem in _case_problems(questions):
        proof.blame(problem)
    unreached: set[str] = set()
    for seed, question in enumerate(questions):
        for answer in (exercise.reference, *exercise.right):
            result = examine(question, answer, device)
            if not result.passed:
                proof.blame(f"the right answer {answer.__name__} fails: {result.headline} {result.hint}", seed)
        public = question.only(lambda case: case.public)
        for view, seen in (("public", public), ("all", question)):
            for key in _without_own_hint(seen):
                unreached.add(key)
                proof.blame(f"by {view} cases, the wrong answer {key} is taken for {_taken_for(seen, key)}", seed)
        for key, mistake in public.mistakes.items():
            if all(answer.status != "ok" for answer in mistake.answers):
                proof.blame(f"{key} returns nothing on any public case; a hint needs more than an error", seed)
        for leak in secrecy.leaks(question):
            proof.blame(leak, seed)
    proof.reached = proof.wrong - len(unreached)
    _mutate(exercise, questions, proof)
    return proof


def _without_own_hint(question: Question) -> list[str]:
    """The mistakes that do not fail with exactly their own hint."""
    results = {key: diagnose(question, mistake.answers) for key, mistake in question.mistakes.items()}
    return [key for key, r in results.items() if r.passed or r.kind != key or r.hint != question.mistakes[key].hint]


def _taken_for(question: Question, key: str) -> str:
    answers = question.mistakes[key].answers
    if diagnose(question, answers).passed:
        return "right"
    return " and ".join(question.mistaken_for(answers)) or "an unknown mistake"


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


def _mutate(exercise: Exercise, questions: list[Question], proof: Proof) -> None:
    names = set()
    for mutant in mutants(standalone(exercise.reference), exercise.name):
        names.add(mutant.name)
        listed = mutant.name in exercise.equivalent
        survived = _survives(questions, mutant.function, seconds=exercise.seconds if listed else 0.5)
        if survived is None:
            proof.killed += 1
            if listed:
                proof.blame(f"listed as equivalent, but a case notices it: {mutant.name!r}")
        elif listed:
            proof.equivalent += 1
        else:
            proof.blame(f"a mutant survives: {mutant.name!r}", survived)
    proof.mutants = len(names)
    for name, reason in exercise.equivalent.items():
        if name not in names:
            proof.blame(f"listed as equivalent, but there is no such mutant: {name!r}")
        if not reason.strip():
            proof.blame(f"no reason is given why {name!r} is equivalent")
    if len(exercise.equivalent) > LARGEST_EQUIVALENT_SHARE * proof.mutants:
        proof.blame(f"{len(exercise.equivalent)} of {proof.mutants} mutants are listed as equivalent; at most a tenth may be")


def _survives(questions: list[Question], function: Callable, seconds: float) -> int | None:
    """The first seed on which no case notices ``function``, or ``None`` if it is noticed on every seed."""
    for seed, question in enumerate(questions):
        for case, want in zip(question.cases, question.expected, strict=True):
            # Nobody looks at its calls, which takes long: it calls what the reference calls.
            given = run_case(function, case, probe=question.probe, seconds=seconds)
            if given.status == "timeout":
                return None
            if not question.passed(given, want):
                break
        else:
            return seed
    return None
