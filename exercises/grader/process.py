"""One running sandbox, seen from outside: started when needed, again when it was lost, and ended without a trace."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from exercises.grader import launch, replies, staging, watch
from exercises.grader.limits import Limits
from exercises.grader.replies import GoneError, LateError, Line
from lmcore.check.question import Question
from lmcore.check.run import PROBES

# What a warm worker and a child of it have before anything of a student runs.
MEMORY_OF_A_WORKER = 384 << 20


class SandboxError(RuntimeError):
    """A sandbox could not be started: a fault of the grader or of the machine, not of a submission."""


class TooMuchError(Exception):
    """A sandbox takes too much; the message says of what."""


class Sandbox:
    """A worker that forks children (see :mod:`exercises.grader.box`)."""

    def __init__(self, mode: str, files: frozenset[Path], extra: tuple[Path, ...], limits: Limits) -> None:
        self.mode, self.files, self.extra, self.limits = mode, files, extra, limits
        self.stack = contextlib.ExitStack()
        self.process: subprocess.Popen | None = None
        self.memory = 0  # that a question may take, in bytes

    def __enter__(self) -> "Sandbox":
        self.stage = staging.stage(self.files)
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.end()
        finally:
            shutil.rmtree(self.stage, ignore_errors=True)

    @contextlib.contextmanager
    def child(self, question: Question) -> Iterator[Line]:
        """A line to a new child of the worker. Afterwards the child and all that it started are gone.

        Raises:
            SandboxError: no sandbox can be started.
        """
        self.memory = question.memory_mb << 20
        line = self._fork(question) or self._fork(question)  # the second time in a new sandbox
        if line is None:
            raise SandboxError("a new sandbox ended before anything ran in it")
        try:
            yield line
        except TooMuchError:
            self.end()
            raise
        finally:
            line.close()
            self._settle()

    def _fork(self, question: Question) -> Line | None:
        if self.process is None:
            self._start()
        ours, theirs = replies.pair()
        job = {
            "import": [PROBES[question.probe].split(":")[0]],
            "cpu": int(self.limits.whole(question)) + 2,
            "file_bytes": self.limits.file_bytes,
            "files": self.limits.files,
            "memory": self.memory + self.limits.slack,
            "processes": self.limits.processes if self.mode != "trust" else 0,
        }
        with theirs:
            try:
                socket.send_fds(self.control.socket, [json.dumps(job).encode()], [theirs.fileno()])
            except OSError:
                ours.close()
                self.end()
                return None
        return Line(ours, self._watch)

    def _settle(self) -> None:
        """Wait until nothing of the child runs; if it does not go, end the sandbox."""
        if self.process is None:
            return
        try:
            self.control.send(b"x", time.monotonic() + 1.0)
            self.control.line(200, time.monotonic() + 5.0)
        except (GoneError, LateError, ValueError):
            self.end()

    def _start(self) -> None:
        self.place = self.stack.enter_context(launch.place(self.mode))
        staging.let_in(self.stage, self.place.uid)
        ours, theirs = replies.pair()
        self.control = Line(ours, lambda: None)
        paths = launch.paths(self.mode, self.stage)
        command = [
            *launch.command(self.mode, self.stage, self.place, self.limits, self.extra),
            *launch.python(self.mode),
            *(f"{paths[0]}/worker.py", str(theirs.fileno()), json.dumps(paths)),
        ]
        try:
            with theirs:
                self.process = subprocess.Popen(
                    command,
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
            said = self._said() or type(error).__name__
            self.end()
            raise SandboxError(f"no sandbox could be started: {said}") from None
        assert self.process.stderr is not None
        self.process.stderr.close()

    def _said(self) -> str:
        """The last line of a sandbox that did not start. No student's code has run in it."""
        if self.process is None or self.process.stderr is None:
            return ""
        self._kill(self.process)
        lines = self.process.stderr.read(1 << 16).decode(errors="replace").strip().splitlines()
        return lines[-1][:300] if lines else ""

    def _watch(self) -> None:
        assert self.process is not None
        members = watch.members(self.process.pid)
        memory, threads = watch.taken(members)
        if memory > self.memory + MEMORY_OF_A_WORKER:
            raise TooMuchError(f"used more than {self.memory >> 20} MB of memory")
        if threads > self.limits.processes + 8:
            raise TooMuchError(f"started more than {self.limits.processes} processes")
        if self.mode == "bubblewrap" and members[1:] and watch.names(members[1], launch.WRITABLE) > self.limits.names:
            raise TooMuchError(f"made more than {self.limits.names:,} files")

    def end(self) -> None:
        """End every process of the sandbox and remove what it left."""
        process, self.process = self.process, None
        if process is not None:
            self._kill(process)
            if process.stderr is not None:
                process.stderr.close()
        if hasattr(self, "control"):
            self.control.close()
        self.stack.close()

    def _kill(self, process: subprocess.Popen) -> None:
        """The worker last: until then it is the parent of what its children leave behind, which can be found there."""
        below = watch.members(process.pid)[1:]
        deadline = time.monotonic() + 2.0
        while below and time.monotonic() < deadline:
            for member in [*below[1:], *below[:1]] if self.mode == "bubblewrap" else below:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(member, signal.SIGKILL)
            below = watch.alive(watch.members(process.pid)[1:])
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
        process.wait()
