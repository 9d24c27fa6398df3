"""``python -m exercises.grade``: what it says, what it writes, and how it ends."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from exercises import grade
from exercises.grader import batch, isolation, sandbox
from exercises.grader.isolation import IsolationError
from exercises.grader.record import read
from tests.book.contents import ROOT
from tests.small_questions import CLASS, NAMES, hand_in_all, ipynb
from tests.test_grading_batch import in_this_process, tree

ASKED = ["--questions", *NAMES]


@pytest.fixture(autouse=True)
def _ctrl_c_is_heard():
    """Also where the tests were started in the background, by a shell that makes such a command deaf to it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def handed(tmp_path):
    return hand_in_all(tmp_path / "week2")


@pytest.fixture
def fake(monkeypatch):
    monkeypatch.setattr(sandbox, "run", in_this_process)


def said(capfd, *arguments):
    """The exit status, and what was printed, as text."""
    try:
        status = grade.main([str(argument) for argument in arguments])
    except SystemExit as ended:
        status = ended.code
    return status, *capfd.readouterr()


def test_help_shows_how(monkeypatch, capfd):
    monkeypatch.setenv("COLUMNS", "100")
    status, out, _ = said(capfd, "--help")
    assert status == 0
    assert "python -m exercises.grade week2 -j 2 --chapters ch02_tokens" in out
    for written in (batch.GRADES, batch.PROBLEMS, batch.SEED, "report.html", "feedback/", "records/"):
        assert written in out
    assert max(map(len, out.splitlines())) <= 100


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "FOLDER"),
        (["nowhere"], "there is no folder"),
        (["week2", "-o", "week2/grades"], "folder of their own"),
        (["week2", "-j", "0"], "at least 1, got '0'"),
        (["week2", "--partial", "1.5"], "from 0 to 1, got '1.5'"),
        (["week2", "--chapters", "ch99"], "no chapter 'ch99'"),
        (["week2", "--questions", "nothing"], "no exercise is called 'nothing'"),
        (["week2", "--chapters", "ch02_tokens", "--questions", "count_pairs"], "not allowed with"),
        (["week2", "--container", "--trust"], "not allowed with"),
        (["week2", "--private", "nowhere"], "there is no folder"),
        (["week2", "--seed-file", "week2/ada-lovelace.zip"], "holds no seed"),
    ],
)
def test_an_error_of_use_is_one_sentence(handed, monkeypatch, capfd, arguments, words):
    monkeypatch.chdir(handed.parent)
    if "--container" not in arguments:
        arguments = [*arguments, "--trust"]
    status, _, err = said(capfd, *arguments)
    assert status == 1
    line = err.strip().splitlines()[-1]
    assert line.startswith("error: ")
    assert words in line
    assert "Traceback" not in err
    assert not (handed.parent / "week2-grades" / batch.GRADES).exists()


def test_without_a_sandbox_nothing_is_graded(handed, monkeypatch, capfd):
    monkeypatch.setattr(isolation.shutil, "which", lambda name: None)
    status, _, err = said(capfd, handed)
    assert status == 1
    assert isolation.INSTALL in err
    assert not handed.with_name("week2-grades").exists()


def test_trust_is_said_everywhere(handed, fake, capfd):
    status, out, _ = said(capfd, handed, *ASKED, "--trust", "-j", "2")
    assert status == 0
    assert batch.TRUSTED in out
    out = handed.with_name("week2-grades")
    assert "(--trust)" in (out / "report.html").read_text()
    assert all("(--trust)" in page.read_text() for page in (out / "feedback").iterdir())
    assert all('"isolation": "trust"' in record.read_text() for record in (out / "records").iterdir())
    assert (out / "grades.csv").read_text().count(",trust,") == len(CLASS)


def test_a_folder_in_which_nothing_can_be_graded_ends_with_a_report_and_its_own_status(tmp_path, capfd):
    (tmp_path / "week2").mkdir()
    (tmp_path / "week2" / "essay.pdf").write_bytes(b"%PDF")
    status, out, err = said(capfd, tmp_path / "week2", "--trust")
    assert (status, "Traceback" in err) == (grade.NOTHING, False)
    assert "nothing could be graded" in out
    assert f"report: {tmp_path / 'week2-grades' / 'report.html'}" in out
    guide = (ROOT / "chapters" / "grading.md").read_text("utf-8")
    assert f"with {grade.NOTHING} where nothing could be" in guide


def test_a_failure_of_the_grader_is_an_error_at_the_end(handed, monkeypatch, capfd):
    def run(*_):
        raise RuntimeError("out of order")

    monkeypatch.setattr(sandbox, "run", run)
    status, out, err = said(capfd, handed, *ASKED, "--trust")
    assert status == 1
    assert "5 submissions graded" in out
    assert "the grader failed on questions of: ada-lovelace, alan-turing" in err.splitlines()[-1]


def test_a_stop_keeps_what_is_done_and_says_how_to_go_on(handed, fake, monkeypatch, capfd):
    def run(cells, *rest):
        if "raise KeyError(str(words))" in str(cells):
            os.kill(os.getppid(), signal.SIGINT)
            time.sleep(60)
        return in_this_process(cells, *rest)

    monkeypatch.setattr(sandbox, "run", run)
    status, _, err = said(capfd, handed, *ASKED, "--trust", "-j", "1")
    assert status == 130
    assert "the same command goes on" in err
    assert "Traceback" not in err
    assert len(list((handed.with_name("week2-grades") / "records").iterdir())) == len(CLASS) - 1


def test_ctrl_c_beside_a_fork_is_heard_and_leaves_no_lock_held(handed, fake, capfd):
    """Python drops what is raised in a function that it calls beside a fork, as `logging` has one that gives back its lock."""
    pressed, held = [True], []

    def give_back():
        if pressed and pressed.pop():
            signal.raise_signal(signal.SIGINT)
        held.pop()

    os.register_at_fork(before=lambda: held.append(True), after_in_parent=give_back)
    status, _, err = said(capfd, handed, *ASKED, "--trust", "-j", "1")
    assert (status, pressed, held) == (130, [], [])
    assert "the same command goes on" in err
    assert "Traceback" not in err
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


# For real, in bubblewrap


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    try:
        isolation.choose()
    except IsolationError as error:
        pytest.skip(f"submissions cannot be isolated here: {error}")
    return hand_in_all(tmp_path_factory.mktemp("class") / "week2")


HIGHWAY = """
import torch
from torch import nn

class Highway(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.candidate, self.gate = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x):
        t = torch.sigmoid(self.gate(x))
        return t * torch.tanh(self.candidate(x)) + (1 - t) * x
"""


def test_a_private_set_is_graded_like_a_chapter(folder):
    private = Path(__file__).parent / "private_example"
    midterm = folder.with_name("midterm")
    midterm.mkdir()
    (midterm / "Ada.ipynb").write_text(ipynb(private / "exercises.md", Highway=HIGHWAY))
    status, out, err = finished(started(midterm, folder.with_name("marks"), "--private", private))
    assert (status, out.splitlines()[0]) == (0, "1 submission graded (0 of them before), isolation: bubblewrap"), err
    (record,) = (folder.with_name("marks") / "records").iterdir()
    found = {question.name: question.status for question in read(record).questions}
    assert found == {"windows": "unwritten", "Highway": "passed", "momentum_training": "unwritten"}


def started(folder, out, *arguments):
    command = [sys.executable, "-m", "exercises.grade", folder, "-o", out, *arguments]
    temporary = out.with_name(f"{out.name}-tmp")
    temporary.mkdir(exist_ok=True)
    temporary.chmod(0o755)
    return subprocess.Popen(
        list(map(str, command)),
        env={**os.environ, "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finished(process):
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def test_a_class_in_bubblewrap_stopped_and_gone_on_with(folder):
    seed = folder.with_name("seed")
    seed.write_text("an unguessable line of text")
    how = [*ASKED, "--seed-file", seed]
    whole, stopped = folder.with_name("whole"), folder.with_name("stopped")
    status, out, err = finished(started(folder, whole, "-j", "2", *how))
    assert (status, out.splitlines()[0]) == (0, "5 submissions graded (0 of them before), isolation: bubblewrap"), err
    rows = [line.split(",") for line in (whole / "grades.csv").read_text(encoding="utf-8-sig").splitlines()[1:]]
    assert {row[0]: tuple(row[-2:]) for row in rows} == {student: statuses for student, (_, statuses) in CLASS.items()}

    process = started(folder, stopped, "-j", "1", *how)
    while not list((stopped / "records").glob("*.json")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as Ctrl+C in a terminal
    status, _, err = finished(process)
    assert (status, "the same command goes on" in err, "Traceback" in err) == (130, True, False), err
    done = len(list((stopped / "records").glob("*.json")))
    assert done < len(CLASS)
    status, out, _ = finished(started(folder, stopped, "-j", "1", *how))
    assert (status, re.search(r"\((\d+) of them before\)", out)[1]) == (0, str(done))
    assert tree(stopped) == tree(whole)
    for out in (whole, stopped):
        assert list(out.with_name(f"{out.name}-tmp").iterdir()) == []  # no sandbox left anything behind
        shutil.rmtree(out)


def test_a_request_to_end_is_heard_like_ctrl_c(folder):
    """What `kill` sends, and a machine that is shut down. It reaches one process, and that one ends the others."""
    out = folder.with_name("ended")
    process = started(folder, out, *ASKED, "-j", "2")
    while not list((out / "records").glob("*.json")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    status, _, err = finished(process)
    assert (status, "the same command goes on" in err, "Traceback" in err) == (130, True, False), err
    assert list(out.with_name("ended-tmp").iterdir()) == []
