"""Running a student's code where it can do no harm: cells and inputs go in, answers come out.

:func:`run` starts a sandbox with a worker in it, which imports torch once and forks a child for each question. There are two
passes: first the public cases of all questions, then the hidden ones. What anybody is shown comes from the first pass, so no
code that has seen a hidden input can send it out that way.

What the sandbox sends is values, compared by the grader with expected ones that never went in. Code that takes over its
worker can thus make up answers, which it could have returned in the first place.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exercises.grader import launch, replies, staging, users, watch
from exercises.grader.isolation import Isolation
from exercises.grader.limits import Limits
from exercises.grader.replies import GoneError, LateError, Line, LineError
from lmcore.check import wire
from lmcore.check.question import Question
from lmcore.check.run import PROBES, Answer

SKIPPED = Answer("skipped")
MEMORY_OF_A_WORKER = 384 << 20  # what a warm worker and a child of it have before anything of a student runs


class SandboxError(RuntimeError):
    """A sandbox could not be started: a fault of the grader or of the machine, not of a submission."""


class _TooMuchError(Exception):
    """The sandbox takes too much; the message says of what."""


@dataclass
class Run:
    """What one question came to.

    Attributes:
        answers: one for each case, in their order.
        status_note: ``"missing"`` where the notebook defines no function of the question's name; nothing otherwise.
        notes: lines for the student about the cells, from the public pass.
    """

    answers: list[Answer]
    status_note: str = ""
    notes: list[str] = field(default_factory=list)


def run(cells: Sequence[str], questions: Sequence[Question], isolation: Isolation, limits: Limits | None = None) -> list[Run]:
    """Run a notebook's cells and then every case of every question; one :class:`Run` for each question.

    Raises:
        SandboxError: no sandbox can be started here.
    """
    limits = limits or Limits()
    runs = [Run([SKIPPED] * len(question.cases)) for question in questions]
    left = [limits.whole(question) for question in questions]
    # Questions whose probes need the same rooms of the package share a sandbox; what no question asks for is not there.
    rooms = [staging.rooms(question.probe) for question in questions]
    for files in dict.fromkeys(rooms):
        chosen = [i for i, own in enumerate(rooms) if own == files]
        with _Sandbox(isolation.name, files, [questions[i] for i in chosen], limits) as sandbox:
            for public in (True, False):
                for i in chosen:
                    if any(runs[i].answers[j].status in ("died", "timeout") for j in range(len(runs[i].answers))):
                        continue
                    if runs[i].status_note:
                        continue
                    begun = time.monotonic()
                    sandbox.ask(cells, questions[i], runs[i], public, left[i])
                    left[i] -= time.monotonic() - begun
    return runs


class _Sandbox:
    """A sandbox that is started when it is needed, and again when it was lost."""

    def __init__(self, mode: str, files: frozenset[Path], questions: Sequence[Question], limits: Limits) -> None:
        self.mode, self.limits, self.questions = mode, limits, questions
        self.files = files
        self.extra = staging.data(question.probe for question in questions)
        self.stack = contextlib.ExitStack()
        self.process: subprocess.Popen | None = None
        self.memory = 0

    def __enter__(self) -> "_Sandbox":
        self.stage = staging.stage(self.files)
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.end()
        finally:
            shutil.rmtree(self.stage, ignore_errors=True)

    def ask(self, cells: Sequence[str], question: Question, run: Run, public: bool, seconds: float) -> None:
        """Run the public or the hidden cases of a question in a child of its own, and put the answers into ``run``."""
        todo = [i for i, case in enumerate(question.cases) if case.public == public]
        if not todo:
            return
        self.memory = question.memory_mb << 20
        current = todo[0]
        deadline = time.monotonic() + max(1.0, seconds)
        try:
            line = self._fork(question)
            try:
                begun = min(deadline, time.monotonic() + self.limits.cells + self.limits.grace)
                line.send(wire.encode(self._job(cells, question)), begun)
                there, notes = replies.found(line.value(self.limits, begun)[0])
                run.notes += notes if public else []
                if not there:
                    run.status_note = "missing" if public else ""
                    return
                room = self.limits.replies
                for current in todo:
                    until = min(deadline, time.monotonic() + question.seconds + self.limits.grace)
                    line.send(wire.encode(question.cases[current].args), until)
                    record, size = line.value(self.limits, until)
                    room -= size
                    if room < 0:
                        raise LineError(f"returned more than {self.limits.replies >> 20} MB in all")
                    run.answers[current] = replies.answer(record, len(question.cases[current].args))
                    if run.answers[current].status == "timeout":
                        run.answers[current] = Answer("timeout", message=f"{question.seconds:g} s")
                        return
            finally:
                line.close()
                self._settle()
        except LateError:
            run.answers[current] = Answer("timeout", message=f"{question.seconds:g} s")
        except GoneError:
            run.answers[current] = Answer("died", message="ended its process")
        except (LineError, _TooMuchError) as error:
            if isinstance(error, _TooMuchError):
                self.end()
            run.answers[current] = Answer("died", message=str(error))

    def _job(self, cells: Sequence[str], question: Question) -> dict[str, Any]:
        return {
            "cells": list(cells),
            "name": question.name,
            "probe": question.probe,
            "seconds": question.seconds,
            "ready": list(question.ready),
            "seconds_for_cells": self.limits.cells,
            "blocked": staging.blocked(),
        }

    def _fork(self, question: Question) -> Line:
        """A line to a new child of the worker."""
        if self.process is None:
            self._start()
        ours, theirs = replies.pair()
        limits = {
            "import": [PROBES[question.probe].split(":")[0]],
            "cpu": int(self.limits.whole(question)) + 1,
            "file_bytes": self.limits.file_bytes,
            "files": self.limits.files,
            "memory": self.memory + self.limits.slack,
            "processes": self.limits.processes if self.mode != "trust" else 0,
        }
        with theirs:
            try:
                socket.send_fds(self.control.socket, [json.dumps(limits).encode()], [theirs.fileno()])
            except OSError:
                ours.close()
                self.end()
                raise GoneError from None
        return Line(ours, self._watch)

    def _settle(self) -> None:
        """Wait until the child and all that it started are gone; if they will not go, end the sandbox."""
        if self.process is None:
            return
        try:
            self.control.send(b"x", time.monotonic() + 1.0)
            self.control.line(200, time.monotonic() + 3.0)
        except (GoneError, LateError, ValueError, _TooMuchError):
            self.end()

    def _start(self) -> None:
        try:
            self.place = self.stack.enter_context(launch.place(self.mode, self.stage))
            ours, theirs = replies.pair()
            self.control = Line(ours, lambda: None)
            paths = json.dumps(launch.paths(self.mode, self.stage))
            with theirs:
                self.process = subprocess.Popen(
                    [
                        *launch.command(self.mode, self.stage, self.place, self.limits, self.extra),
                        *launch.python(self.mode),
                        *(f"{launch.paths(self.mode, self.stage)[0]}/worker.py", str(theirs.fileno()), paths),
                    ],
                    env=launch.environment(self.mode, self.place),
                    cwd=launch.start_in(self.place),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,
                )
            self.control.line(200, time.monotonic() + self.limits.start)
        except (OSError, GoneError, LateError, ValueError) as error:
            said = self._said()
            self.end()
            raise SandboxError(f"no sandbox could be started: {said or type(error).__name__}") from None
        assert self.process.stderr is not None
        self.process.stderr.close()

    def _said(self) -> str:
        """What a sandbox that did not start has said last. No student's code has run in it."""
        if self.process is None or self.process.stderr is None:
            return ""
        os.killpg(self.process.pid, signal.SIGKILL)
        lines = self.process.stderr.read(1 << 16).decode(errors="replace").strip().splitlines()
        return lines[-1][:300] if lines else ""

    def _watch(self) -> None:
        assert self.process is not None
        memory, threads = watch.taken(watch.members(self.process.pid, self.place.uid))
        if memory > self.memory + MEMORY_OF_A_WORKER:
            raise _TooMuchError(f"used more than {self.memory >> 20} MB of memory")
        if threads > self.limits.processes + 8:
            raise _TooMuchError(f"started more than {self.limits.processes} processes")

    def end(self) -> None:
        """End every process of the sandbox and remove what it left."""
        process, self.process = self.process, None
        if process is not None:
            for member in [process.pid, *watch.members(process.pid, None)]:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(member, signal.SIGKILL)
            process.wait()
            if process.stderr is not None:
                process.stderr.close()
            self.control.close()
        self.stack.close()
