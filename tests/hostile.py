"""Hostile submissions: the attacks of ``tests/attacks`` as notebooks, graded for real, and what must hold afterwards.

``python -m tests.hostile bubblewrap`` grades all of them and says what went wrong; ``--only WORD`` takes those whose title
holds a word.
"""

import argparse
import contextlib
import functools
import json
import os
import re
import shutil
import socket
import sys
import tempfile
import time
import tracemalloc  # noqa: F401  (imported before the fork, since a warning would import it in a process without files)
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from exercises.ch10_transformer_block.bank import layer_norm
from exercises.grader import grading, isolation, pool, users
from exercises.grader.exercise import Exercise, hidden, normal, public
from exercises.grader.record import Record
from exercises.grader.submissions import Handed, Submission
from lmcore.check.ready import ATTENTION

ATTACKS = Path(__file__).parent / "attacks"
CHAPTER = "ch02_tokens"
MARK = 31337  # in every hidden input, and in nothing that anybody may see
QUESTIONS = 10  # attacks in one notebook
SECONDS = 1.0
SEED = "jabberwocky"  # in a file, and in the environment of the grader
READY = (*layer_norm.READY, *ATTENTION)
ANSWER = """
def normalise(x):
    centred = x - x.mean(1, keepdim=True)
    return centred / centred.square().mean(1, keepdim=True).sqrt()


"""
HONEST = "def total(numbers):\n    return sum(numbers)\n"
# Where a sandbox's user could leave something on this machine.
PLACES = ("/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue", "/run", "/var/lock", "/home", "/var/spool")


@dataclass(frozen=True)
class Attack:
    """One section of a file of ``tests/attacks``."""

    family: str
    title: str
    says: str
    code: str

    @property
    def both(self) -> bool:
        """It acts before any question is asked, so the honest answer beside it may be lost."""
        return "Costs both questions." in self.says

    @property
    def may_score(self) -> bool:
        """Nothing can see it for certain: it is pointed out to a person."""
        return "May score." in self.says

    @property
    def flagged(self) -> bool:
        return "Flagged for a person." in self.says

    def named(self, name: str) -> str:
        """The code, with another name of the question."""
        return re.sub(r"\bnormalise\b", name, self.code)


# Cells that are hard to read; written here, since a text file of them would be as hard to read.
ODD_CELLS = {
    "A hundred thousand parentheses": "(" * 10**5 + ")" * 10**5,
    "A hundred thousand signs": "x = " + "-" * 10**5 + "1",
    "A sum of ten thousand": "x = " + "1+" * 10**4 + "1",
    "A chain of ten thousand names": "x" + ".x" * 10**4,
    "Functions in functions": "x = " + "lambda: " * 5000 + "1",
    "Blocks in blocks": "".join(" " * n + "if True:\n" for n in range(99)) + " " * 99 + "pass",
    "A string that never ends": '"""' + "x" * 10**4,
    "Bytes that are no text": "\0\ufeff\ud800\x1b[2J\u202e = 1",
    "Lines that end in another way": "x = 1\r\rdef y():\r\n    return 1\x0c\x0b",
    "Another encoding": "# -*- coding: rot13 -*-\nvzcbeg bf",
    "Another language": "%%bash\nrm -rf ~/* /tmp/* && kill -9 -1",
    "A shell": "!rm -rf ~/* /tmp/*\nx = !kill -9 -1\n%run /etc/passwd",
}


@functools.cache
def attacks() -> tuple[Attack, ...]:
    """All of them."""
    found = [Attack("cells", title, "", code) for title, code in ODD_CELLS.items()]
    for path in sorted(ATTACKS.glob("*.md")):
        for section in re.split(r"^## ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
            title, _, rest = section.partition("\n")
            says, *code = re.split(r"^```(?:python)?$", rest, flags=re.MULTILINE)
            found.append(Attack(path.stem, title.strip(), " ".join(says.split()), "\n".join(code[::2]).strip() + "\n"))
    return tuple(found)


def _named(name, function):
    function.__name__ = function.__qualname__ = name
    return function


def _normalise(x):
    centred = x - x.mean(1, keepdim=True)
    return centred / centred.square().mean(1, keepdim=True).sqrt()


def _wrong(function, number):
    def wrong(x):
        return function(x) + number

    wrong.__doc__ = "A number was added."
    return _named(f"wrong_{number}", wrong)


def _right(function, number):
    return _named(f"right_{number}", lambda x: function(x))


def _marked(rng, *shape):
    x = normal(rng, *shape)
    x[0, 0] = MARK
    return x


def _normalise_cases(rng):
    return [
        public("two rows", torch.tensor([[1.0, 2.0, 4.0], [3.0, 3.0, 9.0]])),
        public("one row", torch.tensor([[5.0, -1.0, 0.0, 2.0]])),
        hidden("drawn", _marked(rng, 3, 5)),
        hidden("drawn again", _marked(rng, 2, 7)),
    ]


def _total_cases(rng):
    return [public("three numbers", [1, 2, 4]), hidden("drawn", [MARK, *(rng.randrange(1000) for _ in range(5))])]


def _exercise(name, function, cases, ready=(), seconds=10.0):
    return Exercise(
        chapter=CHAPTER,
        minutes=1,
        difficulty=1,
        points=10,
        reference=_named(name, function),
        right=[_right(function, n) for n in range(3)],
        wrong=[_wrong(function, n) for n in range(1, 9)],
        cases=cases,
        ready=ready,
        seconds=seconds,
    )


def exercises() -> list[Exercise]:
    """Copies of the question that is attacked, and one that is answered honestly."""
    copies = [_exercise(f"normalise_{n}", lambda x: _normalise(x), _normalise_cases, READY, SECONDS) for n in range(QUESTIONS)]
    return [*copies, _exercise("total", lambda numbers: sum(numbers), _total_cases)]


@dataclass
class Site:
    """Files that an attack is told of, and a server that it may find."""

    folder: Path
    listening: list[socket.socket] = field(default_factory=list)

    @property
    def names(self) -> dict[str, str]:
        found = {name: str(self.folder / name.lower()) for name in ("CHECKOUT", "GRADES", "SUBMISSIONS")}
        return {**found, "PORT": str(self.listening[0].getsockname()[1])}

    def fill(self, code: str) -> str:
        """The placeholders of an attack's code filled in."""
        for name, value in self.names.items():
            code = code.replace(f"<{name}>", value)
        return code

    def files(self) -> dict[str, str]:
        """What lies there."""
        return {str(path): path.read_text() for path in sorted(self.folder.rglob("*")) if path.is_file()}

    def reached(self) -> int:
        """How often somebody has called."""
        count = 0
        for server in self.listening:
            with contextlib.suppress(BlockingIOError):
                while True:
                    server.accept()[0].close()
                    count += 1
        return count


@contextlib.contextmanager
def site(readable: bool) -> Iterator[Site]:
    """A folder with a solution, somebody's submission and a seed; everybody can read it, or its owner alone."""
    folder = Path(tempfile.mkdtemp(prefix="hostile-"))
    for name, text in {
        "checkout/bank.py": f"import torch\n{ANSWER}",
        "submissions/honest.ipynb": json.dumps({"cells": [{"cell_type": "code", "source": ANSWER}]}),
        "grades/grading-seed": SEED,
        "grades/grades.csv": "name,points\nhonest,20\n",
    }.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    folder.chmod(0o755 if readable else 0o700)
    here = Site(folder)
    try:
        for family, address in ((socket.AF_INET, ("127.0.0.1", 0)), (socket.AF_UNIX, None)):
            server = socket.socket(family)
            here.listening.append(server)
            server.bind(address or f"\0lmcore-hostile-{here.names['PORT']}")
            server.listen(64)
            server.setblocking(False)
        yield here
    finally:
        for server in here.listening:
            server.close()
        shutil.rmtree(folder)


def notebooks(chosen: Sequence[Attack]) -> list[list[Attack]]:
    """Attacks that share a notebook: several questions of one family, those that act when a cell runs alone."""
    found = [[attack] for attack in chosen if attack.both]
    for family in dict.fromkeys(attack.family for attack in chosen):
        own = [attack for attack in chosen if attack.family == family and not attack.both]
        found += [own[i : i + QUESTIONS] for i in range(0, len(own), QUESTIONS)]
    # What was carried out of the first may be found by the second of the same kind, a student later.
    return [*found, *(group for group in found if group[0].family == "leaks")]


def submission(number: int, cells: Sequence[str]) -> Submission:
    """What one student hands in."""
    student = f"student {number:03}"
    return Submission(
        student, student.replace(" ", "-"), f"{student}.ipynb", "0" * 64, (Handed(CHAPTER, "1", tuple(cells), ()),), ()
    )


@dataclass
class Graded:
    """What came of a class of attackers: a line for everything that must not be."""

    records: list[tuple[list[Attack], Record]]
    honest: list[Record]
    wrong: list[str]
    reached: int
    seconds: float


def grade(how: isolation.Isolation, chosen: Sequence[Attack], jobs: int = 2) -> Graded:
    """Grade attackers among honest students, and look at what is left behind."""
    begun = time.monotonic()
    groups = notebooks(chosen)
    with _own_range() as mine, site(readable=how.name == "bubblewrap") as here:
        before, files = left_behind(mine), here.files()
        honest = [ANSWER.replace("normalise", f"normalise_{n}") for n in range(QUESTIONS)] + [HONEST]
        handed = [
            honest,
            *([*(here.fill(a.named(f"normalise_{n}")) for n, a in enumerate(group)), HONEST] for group in groups),
            honest,
        ]
        class_ = [submission(number, cells) for number, cells in enumerate(handed)]
        plan = grading.plan(exercises(), 7, how)
        done = {}
        for one, outcome in pool.each(lambda one: grading.grade(one, plan).to_json(), class_, jobs, plan.seconds):
            done[one.key] = outcome
        records = [done[one.key] for one in class_]
        wrong = [f"the grader lost a submission: {one.why}" for one in records if isinstance(one, pool.Lost)]
        read = [Record.from_json(one) for one in records if isinstance(one, str)]
        if not wrong:
            wrong += [
                f"an honest student got {one.points} of {one.possible} points: {_brief(one)}"
                for one in (read[0], read[-1])
                if one.points != one.possible
            ]
        wrong += [f"left behind: {line}" for line in sorted(left_behind(mine) - before)]
        wrong += [f"a file was changed: {name}" for name in {*files} ^ {*here.files()}]
        wrong += [f"a file was changed: {name}" for name, text in here.files().items() if files.get(name, text) != text]
        graded = Graded(list(zip(groups, read[1:-1], strict=False)), [read[0], read[-1]], wrong, here.reached(), 0.0)
    for group, record in graded.records:
        graded.wrong += [line for line in judged(group, record)]
    graded.seconds = time.monotonic() - begun
    return graded


def _brief(record: Record) -> list[str]:
    return [f"{q.name}: {q.status}, {q.hint} {q.notes}" for q in record.questions if q.points != q.possible]


def judged(group: Sequence[Attack], record: Record) -> list[str]:
    """What is wrong with the record of a notebook full of attacks."""
    wrong = []
    by_name = {question.name: question for question in record.questions}
    for number, attack in enumerate(group):
        question = by_name[f"normalise_{number}"]
        if question.points and not attack.may_score:
            wrong.append(f"{attack.title}: scored {question.points:g} of {question.possible}")
        if attack.flagged and not question.flags:
            wrong.append(f"{attack.title}: is not flagged")
        if any("grader failed" in note for note in question.notes):
            wrong.append(f"{attack.title}: broke the grader: {question.notes}")
    if by_name["total"].points != by_name["total"].possible and not any(attack.both for attack in group):
        wrong.append(f"{[attack.title for attack in group]}: cost another question: {by_name['total']}")
    if str(MARK) in record.to_json():
        wrong.append(f"{[attack.title for attack in group]}: a hidden input is shown: {record.to_json()}")
    if SEED in record.to_json():
        wrong.append(f"{[attack.title for attack in group]}: the seed is shown")
    return wrong


@contextlib.contextmanager
def _own_range() -> Iterator[range]:
    """User ids that no other run on this machine uses, and a folder for temporary files that nobody else has."""
    first, folder = users.FIRST, tempfile.tempdir
    os.environ["LMCORE_HOSTILE"] = SEED
    users.FIRST += 1000 + os.getpid() % 1000 * 1000
    tempfile.tempdir = tempfile.mkdtemp(prefix="hostile-tmp-")
    Path(tempfile.tempdir).chmod(0o755)
    try:
        yield range(users.FIRST, users.FIRST + users.MANY)
    finally:
        shutil.rmtree(tempfile.tempdir, ignore_errors=True)
        users.FIRST, tempfile.tempdir = first, folder
        del os.environ["LMCORE_HOSTILE"]


def left_behind(ids: range) -> set[str]:
    """Processes, files and memory of these users, of our own sandboxes, and what attacks would have made."""
    found = {f"a process of user {uid}: {pid}" for pid, uid in _processes() if uid in ids}
    found |= {f"a process of a sandbox: {pid}" for pid, _ in _processes() if _is_ours(pid)}
    for top in PLACES:
        for folder, folders, files in os.walk(top):
            for name in [*folders, *files]:
                path = os.path.join(folder, name)
                with contextlib.suppress(OSError):
                    if os.lstat(path).st_uid in ids or name in ("owned", "started", "attack.pth", "carry"):
                        found.add(path)
    found |= {str(path) for path in Path(tempfile.gettempdir()).iterdir() if not path.name.startswith("hostile-")}
    for name in ("shm", "sem", "msg"):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/sysvipc/{name}").read_text().splitlines():
                found |= {f"{name}: {line}" for word in line.split() if word.isdigit() and int(word) in ids}
    for place in sys.path:
        found |= {str(path) for path in map(Path(place).joinpath, ("attack.pth", "usercustomize.py")) if path.exists()}
    return found


def _processes() -> list[tuple[int, int]]:
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError, ValueError):
            status = Path(f"/proc/{name}/status").read_text(errors="replace")
            found += [(int(name), int(uid)) for uid in status.partition("Uid:")[2].split()[1:2]]
    return found


def _is_ours(pid: int) -> bool:
    """A descendant of this process, or a worker whose folder lies in ours."""
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
        return tempfile.gettempdir().encode() in words and pid != os.getpid()
    return False


def main() -> int:
    """Grade the attacks in one mode, and print as JSON what went wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mode", choices=("bubblewrap", "user"))
    parser.add_argument("--only", default="")
    parser.add_argument("--family", action="append", default=[])
    parser.add_argument("-v", "--verbose", action="store_true")
    asked = parser.parse_args()
    how = isolation.choose() if asked.mode == "bubblewrap" else isolation.USER
    chosen = [a for a in attacks() if asked.only in a.title and (not asked.family or a.family in asked.family)]
    graded = grade(how, chosen)
    if asked.verbose:
        for group, record in graded.records:
            for number, attack in enumerate(group):
                question = next(q for q in record.questions if q.name == f"normalise_{number}")
                seen = f"{question.status:9} {question.kind:10} {len(question.flags):2} flags"
                print(f"{attack.family:9} {attack.title:55.55} {seen} {question.hint[:60]!r} {question.notes!r:.80}")
    print(
        json.dumps(
            {"wrong": graded.wrong, "attacks": len(chosen), "reached": graded.reached, "seconds": round(graded.seconds, 1)},
            indent=1,
        )
    )
    return bool(graded.wrong)


if __name__ == "__main__":
    sys.exit(main())
