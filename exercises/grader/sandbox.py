"""Running a student's code where it can do no harm: cells and inputs go in, answers come out.

:func:`run` starts a sandbox with a worker in it, which imports torch once and forks a child for each question; questions that
need other parts of the package have another sandbox. There are two passes over all of them: first the public cases, then the
hidden ones. What anybody is shown comes from the first pass, so code that has seen a hidden input has no such way to its own
student.

What the sandbox sends is values, compared by the grader with expected ones that never went in. Code that takes over its
worker can thus make up answers, which it could have returned in the first place.
"""

import contextlib
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from exercises.grader import replies, staging
from exercises.grader.isolation import Isolation
from exercises.grader.limits import Limits
from exercises.grader.process import Sandbox, TooMuchError
from exercises.grader.replies import GoneError, LateError, Line, LineError, Place
from lmcore.check import wire
from lmcore.check.question import Question
from lmcore.check.run import Answer

SKIPPED = Answer("skipped")
ATTEMPTS = 4  # to run the cells of a notebook that end their process
MOST_STATEMENTS = 20_000


@dataclass
class Run:
    """What one question came to.

    Attributes:
        answers: one for each case, in their order.
        status_note: ``"missing"`` where the notebook defines no function of the question's name; nothing otherwise.
        notes: lines for the student about the cells, from the public pass.
        late: whether a cell or a call was stopped because it took too long, in the public pass or in the hidden one.
    """

    answers: list[Answer]
    status_note: str = ""
    notes: list[str] = field(default_factory=list)
    late: bool = False

    @property
    def over(self) -> bool:
        """Whether there is nothing more to run."""
        return bool(self.status_note) or any(answer.status in ("died", "timeout") for answer in self.answers)


def run(cells: Sequence[str], questions: Sequence[Question], isolation: Isolation, limits: Limits | None = None) -> list[Run]:
    """Run a notebook's cells and then every case of every question; one :class:`Run` for each question.

    Raises:
        SandboxError: no sandbox can be started here.
    """
    limits = limits or Limits()
    runs = [Run([SKIPPED] * len(question.cases)) for question in questions]
    # Questions whose probes need the same rooms of the package share a sandbox; what no question asks for is not there.
    rooms = [staging.rooms(question.probe) for question in questions]
    with contextlib.ExitStack() as stack:
        notebooks = {}
        for files in dict.fromkeys(rooms):
            extra = staging.data(question.probe for question, own in zip(questions, rooms, strict=True) if own == files)
            sandbox = stack.enter_context(Sandbox(isolation.name, files, extra, limits))
            notebooks[files] = _Notebook(cells, sandbox, limits)
        for public in (True, False):
            for question, one, files in zip(questions, runs, rooms, strict=True):
                if not one.over:
                    notebooks[files].ask(question, one, public)
    return runs


class _Notebook:
    """The cells of one notebook, and what is known about them."""

    def __init__(self, cells: Sequence[str], sandbox: Sandbox, limits: Limits) -> None:
        self.cells, self.sandbox, self.limits = list(cells), sandbox, limits
        self.stops: dict[int, int] = {}  # the statement at which a cell is left
        self.notes: list[str] = []  # why
        self.slow = False  # whether for its time
        self.used: defaultdict[str, float] = defaultdict(float)  # seconds, by question

    def ask(self, question: Question, run: Run, public: bool) -> None:
        """Run the public or the hidden cases of a question, each time in a new process, and put the answers into ``run``."""
        todo = [i for i, case in enumerate(question.cases) if case.public == public]
        if not todo:
            return
        for attempt in range(1, ATTEMPTS + 1):
            at: list[Place] = []  # the statement that runs, until the cells are done
            asked = todo[:1]  # the case that runs
            try:
                with self.sandbox.child(question) as line:
                    begun = time.monotonic()
                    deadline = begun + max(1.0, self.limits.whole(question) - self.used[question.name])
                    try:
                        self._run_cells(line, question, run, public, deadline, at)
                        self._run_cases(line, question, run, todo, deadline, asked)
                    finally:
                        self.used[question.name] += time.monotonic() - begun
                run.late |= self.slow
                return
            except (LateError, GoneError, LineError, TooMuchError) as error:
                how = self._words(error)
                self.slow |= isinstance(error, LateError) and bool(at)
                run.late |= self.slow or isinstance(error, LateError)
                if at and attempt < ATTEMPTS and self._leave(at[0], how):
                    continue
                late = isinstance(error, LateError) and not at
                run.answers[asked[0]] = late_answer(question) if late else Answer("died", message=how)
                run.notes += self.notes if public and at else []
                return

    def _run_cells(self, line: Line, question: Question, run: Run, public: bool, deadline: float, at: list[Place]) -> None:
        end = min(deadline, time.monotonic() + self.limits.cells + self.limits.grace)
        line.send(wire.encode(self._job(question)), end)
        for _ in range(MOST_STATEMENTS):
            soon = min(end, time.monotonic() + self.limits.cell + self.limits.grace)
            said = replies.cells(line.value(self.limits, soon)[0])
            if isinstance(said, Place):
                at[:] = [said]
                continue
            at.clear()
            for cell, statement in said.slow:
                self.stops.setdefault(cell, statement)
                self.slow = True
            if public:
                run.notes += [*self.notes, *said.notes]
                slow = tuple(f"cell {cell}, " for cell, _ in said.slow)
                self.notes += [note for note in said.notes if note.startswith(slow)]
                run.status_note = "" if said.found else "missing"
            return
        raise LineError("has cells of more statements than can be run")

    def _run_cases(self, line: Line, question: Question, run: Run, todo: list[int], deadline: float, asked: list[int]) -> None:
        room = self.limits.replies
        for i in todo if not run.status_note else []:
            asked[:] = [i]
            soon = min(deadline, time.monotonic() + question.seconds + self.limits.grace)
            line.send(wire.encode(question.cases[i].args), soon)
            record, size = line.value(self.limits, soon)
            room -= size
            if room < 0:
                raise LineError(f"returned more than {self.limits.replies >> 20} MB in all")
            run.answers[i] = replies.answer(record, len(question.cases[i].args))
            if run.answers[i].status == "timeout":
                run.answers[i], run.late = late_answer(question), True
                return

    def _job(self, question: Question) -> dict[str, Any]:
        return {
            "cells": self.cells,
            "stops": list(self.stops.items()),
            "name": question.name,
            "probe": question.probe,
            "seconds": question.seconds,
            "ready": list(question.ready),
            "seconds_for_a_cell": self.limits.cell,
            "seconds_for_cells": self.limits.cells,
            "reply": self.limits.reply,
            "blocked": [] if self.sandbox.mode == "bubblewrap" else staging.blocked(),  # there they are not to be found
        }

    def _leave(self, at: Place, how: str) -> bool:
        """From now on leave a cell where it ended its process; whether that is any news."""
        if at.cell > len(self.cells) or self.stops.get(at.cell, at.statement + 1) <= at.statement:
            return False
        self.stops[at.cell] = at.statement
        self.notes.append(f"cell {at.cell}, line {at.line} {how}; this cell was left there")
        return True

    def _words(self, error: Exception) -> str:
        if isinstance(error, GoneError):
            return "ended its process"
        return "takes too long" if isinstance(error, LateError) else str(error)


def late_answer(question: Question) -> Answer:
    """A call that took too long."""
    return Answer("timeout", message=f"{question.seconds:g} s")
