"""What a sandbox may take that no limit of one process holds, and what its answers may cost whoever reads them."""

import errno
import json
import os
import stat
import struct
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from exercises.grader import replies, sandbox, staging
from exercises.grader.box import calls
from exercises.grader.isolation import TRUST
from exercises.grader.limits import Limits
from exercises.grader.process import Sandbox
from lmcore.check import wire
from tests.test_grading_sandbox import QUICK, needs_bubblewrap, question, run

LINUX = sys.platform == "linux"


def written(node: object, *blocks: bytes) -> bytes:
    header = json.dumps({"value": node, "blocks": [len(block) for block in blocks]}).encode()
    return wire.LENGTH.pack(len(header), sum(map(len, blocks))) + header + b"".join(blocks)


@pytest.mark.parametrize("node", [{"tensor": ["uint8", [4], 0]}, {"array": ["int16", [2], 0]}, {"bytes": 0}])
def test_bytes_that_came_once_are_one_value(node: object) -> None:
    assert wire.decode(written([node], b"1234")) is not None
    with pytest.raises(wire.WireError):
        wire.decode(written([node, node], b"1234"))


def test_keys_of_one_hash_are_few() -> None:
    numbers = [number * (2**61 - 1) for number in range(20_000)]
    begun = time.monotonic()
    for kind, items in (("dict", [[number, 0] for number in numbers]), ("set", numbers), ("frozenset", numbers)):
        with pytest.raises(wire.WireError, match="hash"):
            wire.decode(written({kind: items}))
    assert time.monotonic() - begun < 2.0
    table = {number: [str(number), -1.5] for number in range(-5000, 5000)} | {number: 0 for number in numbers[:50]}
    assert wire.decode(wire.encode(table)) == table


def test_a_sandbox_is_watched_while_it_sends() -> None:
    """Bytes that come one at a time, without a pause in which nothing is there."""
    ours, theirs = replies.pair()
    looked: list[float] = []
    line = replies.Line(ours, lambda: looked.append(time.monotonic()))

    def drip() -> None:
        for _ in range(100):
            theirs.send(b"x")
            time.sleep(0.005)

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        line.exactly(100, time.monotonic() + 60)
    finally:
        thread.join()
        theirs.close()
        line.close()
    assert len(looked) >= 5


# System calls by name, and the numbers of their arguments: what becomes of them on each kind of processor.
SHARED, PRIVATE, ANONYMOUS = 1, 2, 0x20
NUMBERS = {
    "x86_64": {"read": 0, "mmap": 9, "socket": 41, "socketpair": 53, "clone": 56, "ptrace": 101, "vmsplice": 278, "pipe2": 293},
    "aarch64": {
        "read": 63,
        "mmap": 222,
        "socket": 198,
        "socketpair": 199,
        "clone": 220,
        "ptrace": 117,
        "vmsplice": 75,
        "pipe2": 59,
    },
}
ALLOWED = [("read",), ("pipe2",), ("mmap", 0, 4096, 3, PRIVATE | ANONYMOUS), ("mmap", 0, 4096, 3, SHARED), ("clone", 17)]
REFUSED = [
    *(("socket", 1), ("socketpair",), ("vmsplice",), ("ptrace",), ("clone", 0x10000000)),
    *(("mmap", 0, 4096, 3, SHARED | ANONYMOUS), ("mmap", 0, 4096, 3, SHARED | ANONYMOUS | 0x4000)),
]


def said(program: bytes, data: bytes) -> int:
    """What the kernel would return for a system call."""
    value, at = 0, 0
    steps = list(struct.iter_unpack("<HBBI", program))
    while True:
        code, true, false, operand = steps[at]
        if code == calls.RETURN:
            return operand
        if code == calls.LOAD:
            (value,) = struct.unpack_from("<I", data, operand)
        elif code == calls.AND:
            value &= operand
        else:
            holds = {calls.EQUAL: value == operand, calls.AT_LEAST: value >= operand, calls.ANY_BIT: bool(value & operand)}
            at += true if holds[code] else false
        at += 1


@pytest.mark.parametrize("machine", calls.REFUSED)
def test_the_kernel_refuses_what_no_limit_counts(machine: str) -> None:
    program = calls.program(*calls.REFUSED[machine])
    for name, *arguments in ALLOWED + REFUSED:
        values = [*arguments, 0, 0, 0, 0, 0, 0][:6]
        data = struct.pack("<IIQ6Q", NUMBERS[machine][name], calls.REFUSED[machine][0], 0, *values)
        wanted = calls.ALLOW if (name, *arguments) in ALLOWED else calls.ERROR | errno.EPERM
        assert said(program, data) == wanted, (machine, name, arguments)
    other = struct.pack("<IIQ6Q", 0, 0x40000003, 0, *[0] * 6)  # a program of another architecture
    assert said(program, other) == calls.KILL


TRIED = """
import mmap, os, socket, sys
sys.path.insert(0, sys.argv[1])
import calls
assert calls.refuse()
for what in (socket.socket, socket.socketpair, lambda: mmap.mmap(-1, 4096)):
    try:
        what()
    except PermissionError:
        continue
    sys.exit(f"{what} is not refused")
mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
os.pipe()
os.waitpid(os.fork() or os._exit(0), 0)
"""


@pytest.mark.skipif(not LINUX, reason="only Linux takes system calls away from a process")
def test_this_kernel_refuses_it() -> None:
    command = [sys.executable, "-I", "-c", TRIED, str(staging.BOX)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


NAMES = """
import os, time

def few(x):
    for number in range(100):
        open(f"/tmp/{number}", "w").close()
    time.sleep(0.2)
    return os.access("/dev/zero", os.F_OK), open_zero()

def open_zero():
    try:
        return open("/dev/zero", "rb").read(1)
    except PermissionError:
        return b""

def many(x):
    for number in range(2000):
        os.symlink("nowhere", f"/dev/shm/{number}")
    time.sleep(20)
"""


@needs_bubblewrap
def test_files_without_content_are_counted() -> None:
    few, many = run([NAMES], question("few", 0), question("many", 0, seconds=20.0), limits=replace(QUICK, names=1000))
    assert (few.answers[0].status, few.answers[0].value) == ("ok", (True, b""))  # nothing that processes could share
    assert (many.answers[0].status, many.answers[0].message) == ("died", "made more than 1,000 files")


@pytest.mark.skipif(os.geteuid() != 0 or not LINUX, reason="where nobody is root, all sandboxes are one user's")
@needs_bubblewrap
def test_a_sandbox_reads_its_own_files_alone() -> None:
    with Sandbox("bubblewrap", staging.rooms("call"), (), Limits()) as one, one.child(question("few", 0)):
        about = one.stage.stat()
        assert (stat.S_IMODE(about.st_mode), about.st_uid, about.st_gid) == (0o750, 0, one.place.uid)


def test_nothing_public_is_run_after_anything_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where questions have sandboxes of their own: code may leave signs outside of them that nobody can remove."""
    open_now: list[frozenset[Path]] = []
    asked: list[tuple[str, bool]] = []

    @contextmanager
    def fake(mode, files, extra, limits):
        open_now.append(files)
        yield None
        open_now.remove(files)

    monkeypatch.setattr(sandbox, "Sandbox", fake)
    monkeypatch.setattr(sandbox._Notebook, "ask", lambda self, one, run, public: asked.append((one.name, public)))
    probes = {"a": "call", "b": "norms", "c": "call", "d": "blocks"}
    run([], *(question(name, 0, hidden=(1,), probe=probe) for name, probe in probes.items()), isolation=TRUST)
    assert asked == [(name, public) for public in (True, False) for name in probes]
    assert not open_now
