"""What a submission may do in a sandbox and what it gets back, in every way of isolation that this machine has."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from exercises.grader import sandbox, watch
from exercises.grader.isolation import Isolation, IsolationError, choose
from exercises.grader.limits import Limits
from lmcore.check.notebook import plain_python
from lmcore.check.question import Question
from lmcore.check.run import Answer, Case

QUICK = Limits(cell=1.0, cells=2.0, grace=0.5)
WAYS = os.environ.get("LMCORE_TEST_ISOLATION", "bubblewrap trust").split()  # test_grading_isolation.py sets it


def question(name: str, *inputs: Any, hidden: tuple = (), **how: Any) -> Question:
    """A question without expected answers: nothing here compares."""
    cases = [Case((value,), "seen") for value in inputs] + [Case((value,), "unseen", public=False) for value in hidden]
    return Question(name, "ch00_test", ("x",), "1", tuple(cases), (Answer("ok"),) * len(cases), **how)


def bubblewrap() -> Isolation | None:
    try:
        return choose()
    except IsolationError:
        return None


BUBBLEWRAP = bubblewrap()
needs_bubblewrap = pytest.mark.skipif(BUBBLEWRAP is None, reason="bubblewrap cannot make a sandbox here")


@pytest.fixture(params=WAYS)
def isolation(request: pytest.FixtureRequest) -> Isolation:
    if request.param != "bubblewrap":
        return choose(trust=request.param == "trust", container=request.param == "user")
    if BUBBLEWRAP is None:
        pytest.skip("bubblewrap cannot make a sandbox here")
    return BUBBLEWRAP


def run(
    cells: list[str], *questions: Question, isolation: Isolation | None = BUBBLEWRAP, limits: Limits = QUICK
) -> list[sandbox.Run]:
    assert isolation is not None
    return sandbox.run(cells, questions, isolation, limits)


def statuses(one: sandbox.Run) -> list[str]:
    return [answer.status for answer in one.answers]


HONEST = [
    "import math, functools\nimport torch\nfrom lmcore.check import check\nfrom IPython.display import display",
    "",
    "from __future__ import annotations\ndef helper(x: 'NoSuchName') -> int:\n    return x + 1",
    "def double(x: Undefined):\n    return x",
    "check('double', double)\ndisplay(double)\nget_ipython().run_line_magic('time', '')\nprint('x' * 10_000_000)",
    "class Scaled:\n    def __call__(self, x):\n        return 3 * x\nscaled = Scaled()",
    "@functools.cache\ndef cached(x):\n    return helper(x)",
    "@torch.no_grad()\ndef graded(x):\n    return (x * 2).requires_grad",
    "def fails(x):\n    raise KeyError('no such key')",
    "def unwritten(x):\n    raise NotImplementedError",
    "1 / 0",
    "y = = 2",
    "if __name__ == '__main__':\n    def double(x):\n        return helper(x) * 2 - 2",
    "from lmcore.check import pack_submission\npack_submission('ch00', student='Ada')",
    "import lmcore.attention",
    "import sys\nsys.exit(3)",
    "import random, numpy as np\n"
    "drawn = (random.random(), np.random.rand(), torch.rand(1).item())\ndef draws(x):\n    return drawn",
    "def odd(x):\n    return object()",
    "def changes(x):\n    x.append(1)\n    return 0",
]


CAREFUL = [
    "import no_such_package\nimport math\nhelp(math)\nopen('notes.txt')\nfloor = math.floor\n"
    "def floored(x):\n    return math.floor(x)",
    "import time\ntime.sleep(30)\nlate = 1\ndef below(x):\n    return x + 1",
    "import cProfile, torch\ncProfile.Profile().enable()\n"
    "def printed(x):\n    print(x, f'{x}')\n    return x + 1\ndef ready(x):\n    return torch.softmax(x, 0)",
]


def test_what_a_cell_defines_below_an_error_counts_and_torch_may_print(isolation: Isolation) -> None:
    ready = ("torch.softmax",)
    questions = [
        question("floored", 2.5, hidden=(3.5,)),
        question("below", 1, hidden=(2,)),
        *(replace(question(name, torch.ones(2), hidden=(torch.zeros(2),)), ready=ready) for name in ("printed", "ready")),
    ]
    limits = replace(Limits(), cell=0.5)
    floored, below, printed, refused = run(CAREFUL, *questions, isolation=isolation, limits=limits)
    assert [answer.value for answer in floored.answers] == [2, 3]
    assert [answer.value for answer in below.answers] == [2, 3]
    assert [answer.status for answer in printed.answers] == ["ok", "ok"], printed.answers
    assert [answer.error for answer in refused.answers] == ["ReadyMadeError"] * 2
    assert floored.notes == [
        "cell 1, line 1 raised ModuleNotFoundError: No module named 'no_such_package'",
        "cell 2, line 2 was stopped: it takes too long",
    ]


def test_an_honest_notebook_is_run_as_a_notebook_runs(isolation: Isolation) -> None:
    names = ("double", "scaled", "cached", "graded", "fails", "unwritten", "gone", "odd", "draws", "changes")
    inputs: dict[str, Any] = {"graded": torch.ones(2), "changes": [2]}
    questions = [question(name, inputs.get(name, 4), hidden=(inputs.get(name, 5),)) for name in names]
    runs = dict(zip(names, run(HONEST, *questions, isolation=isolation), strict=True))
    assert [answer.value for answer in runs["double"].answers] == [8, 10], "the last definition counts"
    assert [answer.value for answer in runs["scaled"].answers] == [12, 15]
    assert [answer.value for answer in runs["cached"].answers] == [5, 6]
    assert runs["graded"].answers[0].value is False
    assert runs["fails"].answers[0] == Answer(
        "raised", error="KeyError", message="'no such key'", line="cell 9, line 2: raise KeyError('no such key')"
    )
    assert statuses(runs["unwritten"]) == ["unwritten"] * 2
    assert runs["gone"].status_note == "missing"
    assert statuses(runs["gone"]) == ["skipped"] * 2
    assert runs["odd"].answers[0] == Answer("unsupported", message="an object of type object")
    first, second = (answer.value for answer in runs["draws"].answers)
    assert first == second, "the same random numbers whenever the cells are run"
    assert runs["double"].notes == [
        "cell 11, line 1 raised ZeroDivisionError: division by zero",
        "cell 12 could not be read: SyntaxError: invalid syntax (cell 12, line 1)",
        "cell 16, line 2 raised SystemExit: 3",
    ]
    assert [answer.changed for answer in runs["changes"].answers] == [(0,), (0,)]


HABITS = [
    "from google.colab import drive\ndrive.mount('/content/drive')\nWIDTH = 2\nfor i in range(3):\n    WIDTH += 1\n"
    "assert WIDTH == 2\nif WIDTH:\n    import math as m\ndef below(x):\n    return m.floor(x * WIDTH)",
    plain_python("files = !ls\nbest = %timeit -o f(1)\nprint(f'{best.average:.3f}', len(files), files[:3])\nMAGIC = 3"),
    "import asyncio\nasync def later(x):\n    await asyncio.sleep(0.01)\n    return x\n"
    "SLEPT = await later(4)\nBOTH = [one for one in [await later(1), await later(2)]]",
    "async def one():\n    yield 5\nasync for LOOPED in one():\n    pass\n"
    "GATHERED = await asyncio.gather(later(6), later(7))\nTHREAD = await asyncio.to_thread(abs, -8)",
    "name = input('Who are you? ')\ntotal = lambda x: [x, MAGIC, SLEPT, BOTH, LOOPED, GATHERED, THREAD, name]",
    "return 3",
    "kept = lambda x: x\nnonlocal y\nkept_below = kept",
    "import time\nwhile True:\n    time.sleep(1)\nstopped = lambda x: x",
]


def test_what_a_notebook_can_do_costs_no_more_than_its_statement(isolation: Isolation) -> None:
    names = ("below", "total", "kept_below", "stopped")
    runs = run(
        HABITS, *(question(name, 2, hidden=(3,)) for name in names), isolation=isolation, limits=replace(QUICK, cells=8.0)
    )
    below, total, kept, stopped = runs
    assert [answer.value for answer in below.answers] == [10, 15]
    assert [answer.value for answer in total.answers] == [[x, 3, 4, [1, 2], 5, [6, 7], 8, ""] for x in (2, 3)]
    assert [answer.value for answer in kept.answers + stopped.answers] == [2, 3] * 2
    assert below.notes == [
        "cell 1, line 1 raised ModuleNotFoundError: No module named 'google'",
        "cell 6 raised SyntaxError: 'return' outside function (cell 6, line 1)",
        "cell 7 raised SyntaxError: nonlocal declaration not allowed at module level (cell 7, line 2)",
        "cell 8, line 2 was stopped: it takes too long",
    ], "what follows from an error is not said"


@pytest.mark.parametrize("cell", ["while True:\n    pass", "import time\ntime.sleep(0.4)"])
def test_many_cells_that_take_long_leave_time_for_what_they_stand_before(cell: str) -> None:
    """A notebook full of small experiments."""
    cells = [*[f"{cell}\nd = {n}" for n in range(12)], "def f(x):\n    return x + d"]
    (one,) = run(cells, question("f", 1, hidden=(2,)), isolation=BUBBLEWRAP or choose(trust=True))
    assert [answer.value for answer in one.answers] == [12, 13]


STEPS = """
import sys
import torch

@torch.compile
def steps(x):
    weight = torch.nn.Parameter(x.clone())
    optimiser = torch.optim.SGD([weight], lr=1.0)
    weight.sum().backward()
    optimiser.step()
    return weight

@torch.compile(dynamic=True)
def looks(x):
    return "torch._dynamo" in sys.modules
"""


def test_what_torch_imports_late_is_not_on_the_clock_and_nothing_is_compiled(isolation: Isolation) -> None:
    """A notebook has imported it long before, and the first step of an optimiser takes no second there."""
    asked = [replace(question(name, torch.ones(2)), ready=("lmcore",), seconds=20.0) for name in ("steps", "looks")]
    steps, looks = run([STEPS], *asked, isolation=isolation, limits=Limits(cell=60.0, cells=60.0))
    assert torch.equal(steps.answers[0].value, torch.zeros(2)), steps
    assert looks.answers[0].value is True


@pytest.mark.parametrize(
    ("cells", "late"),
    [
        (["def f(x):\n    return x"], False),
        (["def f(x):\n    1 / 0"], False),
        (["import time\ndef f(x):\n    time.sleep(20 * (x == 2))"], True),
        (["while True: pass", "def f(x):\n    return x"], True),
        (["while True: pass"], True),
        (["try:\n    while True: pass\nfinally:\n    while True: pass", "def f(x):\n    return x"], True),
    ],
)
def test_whatever_took_too_long_is_known_also_of_hidden_cases(cells: list[str], late: bool) -> None:
    """Beside other work it may have been only just too slow, so it is graded once more, alone."""
    asked = question("f", 1, hidden=(2,), seconds=1.0)
    (one,) = run(cells, asked, isolation=BUBBLEWRAP or choose(trust=True))
    assert one.late == late, one


def test_a_cell_that_took_too_long_makes_every_later_question_late() -> None:
    """The cell stays stopped for them, and what it would have set is missing in hidden cases too."""
    cells = ["def f(x):\n    return 1", "def g(x):\n    return 1", "while True: pass"]
    runs = run(cells, question("f", 1), question("g", 1), isolation=BUBBLEWRAP or choose(trust=True))
    assert [one.late for one in runs] == [True, True]


LOADED = """
import torch
from torch.utils.data import DataLoader, TensorDataset

WORKERS = dict(num_workers=2, persistent_workers=True, prefetch_factor=4, multiprocessing_context="fork")

def loaded(x):
    batches = DataLoader(TensorDataset(x), 2, False, drop_last=True, timeout=30, **WORKERS)
    return [float(part.sum()) for (part,) in batches], isinstance(batches, DataLoader)
"""


def test_a_loader_with_processes_of_its_own_does_without(isolation: Isolation) -> None:
    """They would share memory through files and sockets, and a sandbox has neither."""
    (one,) = run([LOADED], question("loaded", torch.arange(5.0)), isolation=isolation, limits=Limits(cell=60.0, cells=60.0))
    assert one.answers[0].value == ([1.0, 5.0], True), one


LITTERED = ("/tmp", "/var/tmp", "/dev/shm")
HOSTILE = """
import ctypes, os, signal, socket, sys, time

def honest(x):
    return x + 1

def exits(x):
    os._exit(0)

def crashes(x):
    ctypes.string_at(0)

def loops(x):
    while True:
        pass

def stubborn(x):
    while True:
        try:
            while True:
                time.sleep(0.01)
        except BaseException:
            pass

def sleeps(x):
    time.sleep(1000)

def grows(x):
    return len(bytearray(4 << 30))

def grows_in_many(x):
    for _ in range(12):
        if os.fork() == 0:
            kept = bytearray(b"x" * (200 << 20))
            time.sleep(100)
    time.sleep(100)

def bombs(x):
    while True:
        try:
            os.fork()
        except OSError:
            pass

def haunts(x):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(1000)
        os._exit(0)
    return x

def counts(x):
    return len([name for name in os.listdir("/proc") if name.isdigit()])

def fills(x):
    with open("large", "wb") as file:
        for _ in range(200):
            file.write(bytes(1 << 20))

def prints(x):
    for _ in range(75):
        print("x" * (1 << 20))
        sys.stderr.write("y" * (1 << 20))
    return x

def floods(x):
    return bytes(20 << 20)

def numbers(x):
    return 1 << 100_000

def nests(x):
    found = []
    for _ in range(100_000):
        found = [found]
    return found

def _socket():
    for name in os.listdir("/proc/self/fd" if os.path.exists("/proc/self/fd") else "/dev/fd"):
        try:
            yield socket.socket(fileno=os.dup(int(name)))
        except OSError:
            pass

def garbles(x):
    for each in _socket():
        each.send(b"garbage" * 1000)
    return x

def promises(x):
    for each in _socket():
        each.send(b"\\xff" * 12)
    time.sleep(100)

def recurses(x):
    sys.setrecursionlimit(1 << 30)
    def deeper():
        deeper()
    deeper()

def kills(x):
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(100)

def litters(x):
    for folder in %r:
        try:
            os.mkdir(f"{folder}/litter-{os.path.basename(x)}-1")
            os.chmod(f"{folder}/litter-{os.path.basename(x)}-1", 0)
            open(f"{folder}/litter-{os.path.basename(x)}-2", "w").close()
        except OSError:
            pass
    here = ""
    for _ in range(3000):
        os.mkdir("deeper")
        os.chdir("deeper")
    return x

def reaches(x):
    import tokenizers

def hides(x):
    libc = ctypes.CDLL(None)
    clone = {"x86_64": 56, "aarch64": 220}[os.uname().machine]
    return [libc.memfd_create(b"x", 0), libc.unshare(0x10000000), libc.syscall(clone, 0x10000011, 0, 0, 0, 0)]

def lowers(x):
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
""".replace("%r", repr(LITTERED))
DIED = Answer("died", message="ended its process")
LATE = Answer("timeout", message="0.5 s")
OUTCOMES = {
    "exits": DIED,
    "crashes": DIED,
    "loops": LATE,
    "stubborn": LATE,
    "sleeps": LATE,
    "grows": ("raised", "MemoryError"),
    "grows_in_many": Answer("died", message="used more than 1024 MB of memory"),
    "bombs": ("timeout", "died"),
    "haunts": Answer("ok", 4),
    "counts": Answer("ok", 3),
    "fills": ("raised", "OSError"),
    "prints": Answer("ok", 4),
    "floods": Answer("unsupported", message="more than 16 MB"),
    "numbers": Answer("unsupported", message="an integer of more than 1,200 digits"),
    "nests": Answer("unsupported", message="data nested more than 20 levels deep"),
    "garbles": ("died",),
    "promises": ("died",),
    "recurses": ("died", "raised", "timeout"),
    "kills": ("died", "timeout"),
    "litters": Answer("ok", str(os.getpid())),
    "reaches": ("raised", "ModuleNotFoundError"),
    "hides": Answer("ok", [-1, -1, -1]),
    "lowers": ("raised", "ValueError"),
}
IN_EVERY_WAY = ("exits", "sleeps", "grows", "grows_in_many", "haunts", "kills", "hides", "reaches")


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder for temporary files, which nobody else uses, and which every user can see."""
    folder = Path(tempfile.mkdtemp(prefix="test-lmcore-"))
    folder.chmod(0o755)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    shutil.rmtree(folder)


def test_what_is_hostile_costs_its_own_question_alone(isolation: Isolation, temporary: Path) -> None:
    names = list(OUTCOMES if isolation.name == "bubblewrap" else IN_EVERY_WAY)
    names += ["bombs", "litters"] if isolation.name == "user" else []
    questions = [
        question(name, str(os.getpid()) if name == "litters" else 4, seconds=0.5 if "timeout" in str(OUTCOMES[name]) else 20.0)
        for name in names
    ]
    questions[0] = question(names[0], 4, hidden=(5,))
    honest = question("honest", 1, 2, hidden=(3,))
    before = set(watch.members(os.getpid()))  # a browser of another test's, say
    begun = time.monotonic()
    runs = run([HOSTILE], honest, *questions, honest, isolation=isolation)
    assert time.monotonic() - begun < 200
    for one in (runs[0], runs[-1]):
        assert [answer.value for answer in one.answers] == [2, 3, 4]
    for name, one in zip(names, runs[1:-1], strict=True):
        want, got = OUTCOMES[name], one.answers[0]
        if isinstance(want, Answer):
            assert got == want, name
        else:
            assert {got.status, got.error} <= {*want, ""}, (name, got)
        assert statuses(one)[1:] in ([], ["skipped"]), name
    assert list(temporary.iterdir()) == []
    if isolation.name != "trust":
        assert [path for folder in LITTERED for path in Path(folder).glob(f"litter-{os.getpid()}-*")] == []
    assert watch.alive(set(watch.members(os.getpid())) - before) == [], "no process is left"


def test_cells_that_end_their_process_are_left_there() -> None:
    cells = [
        "def f(x):\n    return x\nimport os\nos._exit(1)\ndef f(x):\n    return -x",
        "def g(x):\n    return 2 * x",
        "while True: pass",
    ]
    f, g = run(cells, question("f", 1, hidden=(2,)), question("g", 1, hidden=(2,)), isolation=BUBBLEWRAP or choose(trust=True))
    assert [answer.value for answer in f.answers + g.answers] == [-1, -2, 2, 4], "what a cell defines below counts"
    said = "cell 1, line 4 ended its process; this cell was left there"
    assert f.notes == [said, "cell 3, line 1 was stopped: it takes too long"]


@needs_bubblewrap
def test_cells_that_end_every_process_cost_no_more_than_their_notebook() -> None:
    cells = [*["import os\nos._exit(1)"] * 6, "def f(x):\n    return x"]
    (one,) = run(cells, question("f", 1, hidden=(2,)))
    assert statuses(one) == ["died", "skipped"]
    assert len(one.notes) == sandbox.ATTEMPTS - 1


ORDER = """
import ctypes, os, re

def first(x):
    with open(os.path.expanduser("~/log"), "a+") as file:
        file.write(f"{x} ")
        file.seek(0)
        return file.read().split()

second = first

def remembers(x):
    found = set()
    for line in open("/proc/self/maps").read().splitlines():
        if " rw-p " in line:
            start, end = (int(part, 16) for part in line.split()[0].split("-"))
            found |= set(re.findall(rb"sesame-[0-9]+", (ctypes.c_char * (end - start)).from_address(start)))
    return sorted(match.decode() for match in found)
"""


@needs_bubblewrap
def test_hidden_cases_come_after_all_public_ones_and_nothing_else_comes() -> None:
    """So no code that has seen a hidden input gives an answer that anybody is shown; labels, expected values and other cases
    stay outside."""
    case, secret = Case(("sesame-1",), "sesame-2"), Case(("sesame-3",), "sesame-4", public=False)
    answers = (Answer("ok", "sesame-5"), Answer("ok", ["sesame-6"]))
    remembers = Question("remembers", "ch00", ("x",), "1", (case, secret), answers, seconds=60.0)
    first, second, third = run([ORDER], question("first", 1, hidden=(2,)), question("second", 3, hidden=(4,)), remembers)
    assert [answer.value for answer in first.answers] == [["1"], ["1", "3", "2"]]
    assert [answer.value for answer in second.answers] == [["1", "3"], ["1", "3", "2", "4"]]
    assert [answer.value for answer in third.answers] == [["sesame-1"], ["sesame-3"]]
