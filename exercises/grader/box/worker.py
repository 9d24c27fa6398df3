"""The worker of a sandbox: imports what takes long, then forks a child for each question that it is told of.

Started as ``python worker.py SOCKET``. The socket takes one line of JSON for each question, with a socket of the child's own
beside it, and gives one line back when the child and everything it has started are gone. The worker runs no student's code. A
student's code has the same rights as the worker and could end it: that spoils the student's own answers, and a new sandbox
goes on with the next question.
"""

import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
from typing import Any, NoReturn

HERE = os.path.dirname(os.path.abspath(__file__))


def main(number: int) -> None:
    """Serve until the grader hangs up."""
    control = socket.socket(fileno=number)
    held.guard_worker()
    if sys.platform == "linux":
        calls.refuse()
    woken, wake = os.pipe()
    for end in (woken, wake):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    gc.collect()
    gc.freeze()  # a collection in a child would touch, and so copy, every page of it
    control.sendall(b'{"ready": true}\n')
    with open(os.devnull, "w") as nothing:
        for descriptor in (1, 2):
            os.dup2(nothing.fileno(), descriptor)
    while True:
        line, descriptors, _, _ = socket.recv_fds(control, 1 << 16, 1)
        if not line:
            return
        line = line.lstrip(b"x")  # a word to end a child that had ended already
        if not line:
            continue
        (theirs,), job = descriptors, json.loads(line)
        for name in job["import"]:
            importlib.import_module(name)
        child = os.fork()
        if child == 0:
            _child(theirs, [control.detach(), woken, wake], job)
        os.close(theirs)
        code = _wait(child, control, woken)
        held.end_all()
        control.sendall(json.dumps({"ended": code}).encode() + b"\n")


def _child(descriptor: int, others: list[int], job: dict[str, Any]) -> NoReturn:
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for other in others:
            os.close(other)
        held.guard_child(job)
        answering.serve(socket.socket(fileno=descriptor))
        code = 0
    finally:
        os._exit(code)


def _wait(child: int, control: socket.socket, woken: int) -> int:
    """How the child ended; a word from the grader ends it."""
    while True:
        ready, _, _ = select.select([control.fileno(), woken], [], [], 1.0)
        if woken in ready:
            os.read(woken, 4096)
        if control.fileno() in ready:  # "end it", or the grader hung up
            if not control.recv(1):
                held.end_all()
                sys.exit()
            os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            return os.waitstatus_to_exitcode(status)
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.path[:0] = json.loads(sys.argv[2])
    import answering
    import calls
    import held

    main(int(sys.argv[1]))
