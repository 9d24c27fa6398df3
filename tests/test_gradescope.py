"""The autograder for Gradescope, unpacked into a folder that stands for /autograder and run for real, as root."""

import json
import os
import shutil
import stat
import subprocess
import sys
import sysconfig
import tempfile
import time
import zipfile
from pathlib import Path

import pytest

import exercises
from exercises.grader import instructor, isolation, notebook
from exercises.grader.gradescope import build, results, run
from exercises.grader.record import QuestionRecord, Record
from exercises.grader.release import wheel
from exercises.grader.scoring import OUR_FAULT
from exercises.grader.source import standalone
from lmcore.check import notebook as notebooks

jsonschema = pytest.importorskip("jsonschema")
pytestmark = pytest.mark.usefixtures("unchecked")
as_root = pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="Gradescope runs autograders as root")

CHAPTER = "ch02_tokens"
BANK = exercises.bank(CHAPTER)
POSSIBLE = sum(exercise.points for exercise in BANK)
SEED = 2**61 - 1
SCRIPTS = Path(build.__file__).parent

VISIBLE = {"enum": ["hidden", "after_due_date", "after_published", "visible"]}
TEXT = {"enum": ["text", "html", "simple_format", "md", "ansi"]}
# Written by hand from https://gradescope-autograders.readthedocs.io/en/latest/specs/ (read in November 2026).
SHAPE = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "score": {"type": "number"},
        "execution_time": {"type": "number"},
        "output": {"type": "string"},
        "output_format": TEXT,
        "test_output_format": TEXT,
        "test_name_format": TEXT,
        "visibility": VISIBLE,
        "stdout_visibility": VISIBLE,
        "extra_data": {"type": "object"},
        "leaderboard": {"type": "array"},
        "tests": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "score": {"type": "number"},
                    "max_score": {"type": "number"},
                    "status": {"enum": ["passed", "failed"]},
                    "name": {"type": "string"},
                    "name_format": TEXT,
                    "number": {"type": "string"},
                    "output": {"type": "string"},
                    "output_format": TEXT,
                    "tags": {"type": "array", "items": {"type": "string"}},
                    "visibility": VISIBLE,
                    "extra_data": {"type": "object"},
                },
            },
        },
    },
    "required": ["tests"],
}
# "Optional, but required if not on each test case": what was graded has it, what was not graded must not have it.
GRADED = {"allOf": [SHAPE, {"required": ["score"]}]}
NOT_GRADED = {"allOf": [SHAPE, {"not": {"required": ["score"]}}]}
METADATA = {
    "id": 123456,
    "created_at": "2026-11-21T14:22:32.365935-07:00",
    "assignment": {"title": "Tokens", "total_points": "20.0", "group_size": 2, "id": 1, "course_id": 2},
    "submission_method": "upload",
    "users": [{"email": "ada@example.com", "id": 1, "name": "Ada <b>Lovelace</b>"}, {"id": 2, "name": "Alan Turing"}],
    "previous_submissions": [],
}


class Autograder:
    """A folder that stands for /autograder: the harness makes it, unpacks the zip, and puts submissions in."""

    def __init__(self, root: Path, archive: bytes, venv: Path) -> None:
        self.root, self.venv = root, venv
        (root / "zip").write_bytes(archive)
        for name in ("source", "submission", "results"):
            (root / name).mkdir(mode=0o755)
        with zipfile.ZipFile(root / "zip") as packed:
            packed.extractall(root / "source")
        (root / "zip").unlink()
        for name in build.PROGRAMS:  # copied beside the source, and what zipfile does not do
            (root / "source" / name).chmod(0o755)
            shutil.copy(root / "source" / name, root / name)

    def run(self, files: dict[str, str | bytes], venv: str = "") -> tuple[dict, subprocess.CompletedProcess]:
        """Hand these files in; ``results.json`` and the finished process."""
        shutil.rmtree(self.root / "submission")
        (self.root / "submission").mkdir(mode=0o755)
        (self.root / "results" / "results.json").unlink(missing_ok=True)
        (self.root / "submission_metadata.json").write_text(json.dumps(METADATA))
        for name, content in files.items():
            path = self.root / "submission" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        done = self.start("run_autograder", AUTOGRADER_VENV=venv or str(self.venv))
        return json.loads((self.root / "results" / "results.json").read_text()), done

    def start(self, program: str, **environment: str) -> subprocess.CompletedProcess:
        environment = {"PATH": os.environ["PATH"], "AUTOGRADER_ROOT": str(self.root), **environment}
        command = [str(self.root / program)]
        return subprocess.run(command, cwd=self.root, env=environment, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def archive():
    return build.autograder(CHAPTER, wheel()[1], SEED)


@pytest.fixture(scope="module")
def python():
    """A Python that every user of this machine may run, with this one's packages: a user's own may lie where nobody else can
    look."""
    for path in (Path(sys.executable).resolve(), Path(f"/usr/bin/python3.{sys.version_info.minor}")):
        if path.is_file() and all(parent.stat().st_mode & 0o001 for parent in path.parents):
            return path
    pytest.skip(f"only {Path.home()} holds a Python 3.{sys.version_info.minor}; an ordinary user could not run it")


@pytest.fixture(scope="module")
def autograder(archive, python, tmp_path_factory):
    program = tmp_path_factory.mktemp("venv") / "bin" / "python"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nPYTHONPATH="$PYTHONPATH:{sysconfig.get_path("purelib")}" exec {python} "$@"\n')
    program.chmod(0o755)
    # Not pytest's own folder, which only root can enter: what is closed here was closed by the autograder.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Autograder(Path(folder), archive, program.parents[1])


def written(answers: dict[str, str], before: str = "") -> str:
    """The student's notebook with these sources in the cells, and a first cell before them."""
    document = notebooks.read(notebook.path(CHAPTER)).to_ipynb()
    for cell in document["cells"]:
        cell["source"] = answers.get(cell["metadata"].get("exercise", ""), cell["source"])
    first = {"id": "first", "cell_type": "code", "metadata": {}, "execution_count": None, "outputs": [], "source": before}
    document["cells"].insert(0, first)
    return json.dumps(document)


def wrong(name: str, mistake: str) -> str:
    answer = next(answer for answer in exercises.get(name).wrong if answer.__name__ == mistake)
    return standalone(answer).replace(f"def {mistake}(", f"def {name}(")


def scores(content: dict) -> dict[str, float]:
    return {test["name"]: test["score"] for test in content["tests"] if "score" in test}


# The zip


def test_the_zip_holds_what_gradescope_asks_for_at_its_root(archive, tmp_path):
    (tmp_path / "zip").write_bytes(archive)
    with zipfile.ZipFile(tmp_path / "zip") as packed:
        names = packed.namelist()
        modes = {name: packed.getinfo(name).external_attr >> 16 for name in names}
        assert packed.read("run_autograder").startswith(b"#!/usr/bin/env bash\n")
        assert json.loads(packed.read("settings.json"))["chapter"] == CHAPTER
        assert packed.read("torch-index") == b"\n"
        jsonschema.validate(json.loads(packed.read("not_graded.json")), NOT_GRADED)
    assert all(modes[name] == 0o100755 for name in build.PROGRAMS)
    assert f"exercises/{CHAPTER}/bank/count_pairs.py" in names
    assert "exercises/grader/record.py" in names
    assert "lmcore/check/run.py" in names
    others = [chapter for chapter in exercises.chapters() if chapter != CHAPTER]
    assert not [name for name in names if any(other in name for other in others) or "__pycache__" in name]
    assert archive == build.autograder(CHAPTER, wheel()[1], SEED)


def test_requirements_are_the_lock_s_and_enough():
    lock = (exercises.HERE.parent / "requirements.lock").read_text().splitlines()
    lines = build.requirements(CHAPTER).splitlines()
    assert set(lines) <= set(lock)
    names = {line.split("==")[0].lower() for line in lines}
    assert {"torch", "numpy", "jupytext", "nbformat", "jaxtyping", "regex", "sympy", "scikit-learn"} <= names
    assert not names & {"jupyterlab", "pytest", "sphinx", "playwright", "transformers", "ruff"}
    assert not names & {"seqeval", "sacrebleu", "tokenizers"}  # a student could read them
    assert build.MINILM in build.requirements("ch13_bert").splitlines()
    assert build.MINILM in (exercises.HERE.parent / "Makefile").read_text()


BUILT = """
import exercises
from exercises.grader.gradescope import build

chapter = exercises.register({folder!r})
open("zip", "wb").write(build.autograder(chapter, open("wheel", "rb").read(), {seed}))
"""
REGISTERED = """
from pathlib import Path
import exercises
from exercises.grader.gradescope import run

chapter = run.settings(Path.cwd())["chapter"]
print(*(exercise.name for exercise in exercises.bank(chapter)), exercises.__file__)
"""


def test_a_private_set_comes_along_and_is_registered(tmp_path):
    # In processes of their own: here, the set would be registered for all other tests.
    folder = Path(__file__).parent / "private_example"
    (tmp_path / "wheel").write_bytes(wheel()[1])
    program = BUILT.format(folder=str(folder), seed=SEED)
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
    with zipfile.ZipFile(tmp_path / "zip") as packed:
        packed.extractall(tmp_path / "source")
    packed_files = {path.name for path in (tmp_path / "source" / "private" / folder.name / "bank").iterdir()}
    assert packed_files == {path.name for path in (folder / "bank").glob("*.py")}
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "source")}
    command = [sys.executable, "-P", "-c", REGISTERED]
    done = subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["Highway", "windows", "momentum_training", str(tmp_path / "source/exercises/__init__.py")]


@pytest.mark.parametrize("script", build.PROGRAMS)
def test_scripts_are_bash_that_stops_at_errors(script):
    assert subprocess.run(["bash", "-n", SCRIPTS / script]).returncode == 0
    text = (SCRIPTS / script).read_text()
    assert "\r" not in text
    assert "set -euo pipefail\n" in text or "set -u\n" in text
    if shellcheck := shutil.which("shellcheck"):
        assert subprocess.run([shellcheck, SCRIPTS / script]).returncode == 0


# Records


def record(**changes) -> Record:
    question = {
        "name": "count_pairs",
        "chapter": CHAPTER,
        "points": 0.5,
        "possible": 2,
        "status": "partly",
        "kind": "once_per_word",
        "recognised": True,
        "hint": "First <i>line</i>.\nSecond line.",
        "headline": "1 of 2 public cases passes. The hidden case does not pass.",
        "cases": (("one word", True, True), ("two <words>", True, False), ("", False, False)),
        "example": ("two <words>", "count_pairs({})", "{}", "<script>alert(1)</script>\x1b[31m\u202e"),
        "flags": ("cell 2 calls <eval>",),
        "notes": ("cell 3 raised ValueError",),
        **changes,
    }
    return Record("Ada <b>", "student", "x.ipynb", "0" * 64, "1" * 64, "user", (QuestionRecord(**question),), ("a <note>",))


def test_a_record_becomes_a_test_with_its_hint_and_everything_escaped():
    content = results.results(record(), ["broken.ipynb: no <notebook>"], ["the network is not cut"], 3.7)
    jsonschema.validate(content, GRADED)
    test, for_instructors = content["tests"]
    assert (content["score"], test["score"], test["max_score"], test["status"]) == (0.5, 0.5, 2, "failed")
    assert content["execution_time"] == 4
    for said in ("First &lt;i&gt;line&lt;/i&gt;.", "Second line.", "1 of 2 public cases passes.", "cell 3 raised ValueError"):
        assert said in test["output"]
    for said in ("a &lt;note&gt;", "no &lt;notebook&gt;", "Ada &lt;b&gt;", "0.5 of 2 points"):
        assert said in content["output"]
    assert "count_pairs({})" in test["output"]
    shown = content["output"] + test["output"] + test["name"]
    assert not [mark for mark in ("<script", "<i>", "<b>", "\x1b", "\u202e", "<eval>") if mark in shown]
    assert "eval" not in shown
    assert "network" not in shown
    assert for_instructors["visibility"] == "hidden"
    assert "score" not in for_instructors
    assert "count_pairs: cell 2 calls <eval>" in for_instructors["output"]
    assert "the network is not cut" in for_instructors["output"]
    assert for_instructors["output_format"] == "text"


def test_an_example_of_a_case_that_is_not_public_is_not_shown():
    content = results.results(record(example=("secret", "count_pairs(secret)", "7", "8")))
    assert "secret" not in json.dumps(content)


def test_a_question_the_grader_failed_on_has_no_points_and_nobody_reads_a_zero():
    note = f"{OUR_FAULT}: KeyError (a bug of the grader; nothing was counted)"
    content = results.results(record(status="crashed", kind="crashed", points=0.0, notes=(note,), flags=()))
    jsonschema.validate(content, NOT_GRADED)
    assert [test["output"] for test in content["tests"] if test["visibility"] == "hidden"] == [f"count_pairs: {note}"]
    assert "KeyError" not in content["output"] + content["tests"][0]["output"]


# The real thing


@as_root
def test_right_answers_get_all_points_and_of_several_notebooks_the_written_one_counts(autograder, tmp_path):
    about = {"format": 1, "chapter": CHAPTER, "edition": exercises.EDITION, "student": "Somebody else", "notebook": "x.ipynb"}
    with zipfile.ZipFile(tmp_path / "zip", "w") as packed:
        packed.writestr("submission.json", json.dumps(about))
        packed.writestr("notebook.ipynb", instructor.solved(CHAPTER)[1])
    files = {"deep/down/Meine Lösung (1).zip": (tmp_path / "zip").read_bytes(), "exercises.ipynb": written({})}
    content, done = autograder.run(files)
    assert done.returncode == 0, done.stderr
    jsonschema.validate(content, GRADED)
    assert content["score"] == POSSIBLE
    assert scores(content) == {exercise.name: exercise.points for exercise in BANK}
    assert "Ada &lt;b&gt;Lovelace&lt;/b&gt; and Alan Turing" in content["output"]
    assert "Somebody else" not in content["output"]
    assert "exercises.ipynb: is not graded" in content["output"]
    assert content["stdout_visibility"] == "hidden"
    assert content["tests"][-1]["visibility"] == "hidden"
    assert "Isolation: user." in content["tests"][-1]["output"]
    assert "What this isolation does not guarantee:" in content["tests"][-1]["output"]


@as_root
def test_each_question_gets_its_points_and_its_hint(autograder):
    answers = {
        "count_pairs": exercises.solution("count_pairs"),
        "merge_pair": "import os\n\ndef merge_pair(*_):\n    os._exit(0)",
        "wordpiece": wrong("wordpiece", exercises.get("wordpiece").wrong[4].__name__),
    }
    files = {"a.ipynb": written(answers), "broken.ipynb": "{", "notes.txt": "hello", "photo.zip": b"PK\x03\x04"}
    content, done = autograder.run(files)
    assert done.returncode == 0, done.stderr
    jsonschema.validate(content, GRADED)
    given = {test["name"]: test for test in content["tests"]}
    assert given["count_pairs"]["score"] == exercises.get("count_pairs").points
    assert given["count_pairs"]["status"] == "passed"
    assert given["merge_pair"]["score"] == given["bpe_encode"]["score"] == 0
    assert results.WORDS["unwritten"] in given["bpe_encode"]["output"]
    assert "cases pass" not in given["bpe_encode"]["output"]
    hint = exercises.grader.exercise.hint(exercises.get("wordpiece").wrong[4])
    assert results.said(hint.splitlines()[0]) in given["wordpiece"]["output"]
    assert 0 <= given["wordpiece"]["score"] < exercises.get("wordpiece").points / 2
    assert content["score"] == pytest.approx(sum(scores(content).values()))
    assert "broken.ipynb" in content["output"]


HOSTILE = """
import json, os, time
ROOT, FULL = {root!r}, json.dumps({{"score": 1000, "tests": []}})
LEFT = [folder + "/{marker}" for folder in ("/tmp", "/var/tmp", "/dev/shm")]
AIMS = [ROOT + "/results/results.json", ROOT + "/source/settings.json", ROOT + "/run_autograder", *LEFT]

def overwrite():
    for path in AIMS:
        try:
            open(path, "w").write(FULL)
        except OSError:
            pass

overwrite()
if os.fork() == 0:  # one that stays behind and tries again
    os.setsid()
    for _ in range(600):
        overwrite()
        time.sleep(0.1)
    os._exit(0)
print(FULL * 1000)

def tell(*_):
    bank = ROOT + "/source/exercises/{chapter}/bank/count_pairs.py"
    raise ValueError("".join(open(path).read() for path in (ROOT + "/source/settings.json", bank) if os.access(path, os.R_OK)))

count_pairs = merge_pair = bpe_encode = wordpiece = tell
"""


@as_root
def test_code_that_attacks_the_grader_gets_nothing_and_leaves_nothing(autograder):
    marker = f"left-behind-{os.getpid()}"
    before = HOSTILE.format(root=str(autograder.root), chapter=CHAPTER, marker=marker)
    content, _ = autograder.run({"a.ipynb": written({exercise.name: "" for exercise in BANK}, before)})
    jsonschema.validate(content, GRADED)
    assert content["score"] == 0
    assert set(scores(content).values()) == {0}
    told = json.dumps([test for test in content["tests"] if test["visibility"] == "visible"]) + content["output"]
    assert not [secret for secret in (str(SEED), "ignores_frequency", "1000") if secret in told]
    assert (autograder.root / "run_autograder").read_bytes() == (SCRIPTS / "run_autograder").read_bytes()
    for name in ("source", "results", "submission", "submission_metadata.json"):
        assert stat.S_IMODE((autograder.root / name).stat().st_mode) & 0o077 == 0
    time.sleep(0.5)  # the one that stays behind would have tried again
    assert [path.name for path in (autograder.root / "results").iterdir()] == ["results.json"]
    assert json.loads((autograder.root / "results" / "results.json").read_text()) == content
    assert not [folder for folder in ("/tmp", "/var/tmp", "/dev/shm") if (Path(folder) / marker).exists()]


@as_root
def test_nothing_handed_in_is_zero_points_and_says_what_to_hand_in(autograder):
    content, done = autograder.run({})
    assert done.returncode == 0, done.stderr
    jsonschema.validate(content, GRADED)
    assert content["score"] == 0
    assert scores(content) == {exercise.name: 0 for exercise in BANK}
    assert "hand in the zip that the last cell of the notebook writes" in content["output"]


@as_root
def test_a_failure_of_the_grader_is_no_score_and_told_to_the_instructor_alone(autograder):
    settings = autograder.root / "source" / "settings.json"
    before = settings.read_text()
    try:
        settings.write_text(json.dumps({**json.loads(before), "format": 99}))
        content, done = autograder.run({"a.ipynb": written({})})
    finally:
        settings.write_text(before)
    jsonschema.validate(content, NOT_GRADED)
    assert done.returncode == 1
    assert "settings.json has format 99" in done.stderr
    visible, hidden = content["tests"]
    assert "settings.json" not in content["output"] + visible["output"]
    assert "settings.json has format 99" in hidden["output"]
    assert hidden["visibility"] == "hidden"
    assert "has no score yet" in content["output"]
    content, done = autograder.run({"a.ipynb": written({})}, venv="/nonexistent")
    jsonschema.validate(content, NOT_GRADED)
    assert done.returncode != 0


# Setting up. pip and apt need a network, so a Python of ours stands in for the one that installs.

PYTHON = """#!/usr/bin/env bash
case "$*" in
    "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
    "-m pip install "*) echo "pip $*" >> {log} ;;
    *) exec {python} "$@" ;;
esac
"""


@pytest.fixture
def installing(autograder, tmp_path):
    """The environment in which ``setup.sh`` finds this Python, and the file in which it notes what would be installed."""
    python, log = tmp_path / "bin" / "python3", tmp_path / "log"
    python.parent.mkdir()
    python.write_text(PYTHON.format(log=log, python=autograder.venv / "bin" / "python"))
    python.chmod(0o755)
    return {"PATH": f"{python.parent}:{os.environ['PATH']}", "AUTOGRADER_VENV": str(tmp_path / "venv")}, log


@as_root
def test_setting_up_installs_what_is_pinned_closes_the_grader_and_proves_itself(autograder, installing):
    environment, log = installing
    subprocess.run(["chmod", "-R", "a+rX", autograder.root / "source"], check=True)
    done = autograder.start("setup.sh", **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"solved.ipynb: {POSSIBLE} of {POSSIBLE} points; user" in done.stdout
    assert f"exercises.md: 0 of {POSSIBLE} points; user" in done.stdout
    assert done.stdout.endswith("The autograder is ready.\n")
    first, second = log.read_text().splitlines()
    assert "--no-cache-dir torch==" in first  # with all that pip's own build needs
    assert second.endswith(f"--no-deps -r {autograder.root}/source/requirements.txt")
    assert stat.S_IMODE((autograder.root / "source").stat().st_mode) & 0o077 == 0


@as_root
def test_torch_comes_from_the_index_that_the_release_names(autograder, installing):
    environment, log = installing
    index = autograder.root / "source" / "torch-index"
    index.write_text("https://packages.example/cpu\n")
    try:
        assert autograder.start("setup.sh", **environment).returncode == 0
    finally:
        index.write_text("\n")
    assert "--no-deps --index-url https://packages.example/cpu torch==" in log.read_text().splitlines()[0]


@as_root
def test_setting_up_fails_loudly(autograder, installing):
    bank = autograder.root / "source" / "exercises" / CHAPTER / "bank" / "count_pairs.py"
    before = bank.read_text()
    assert "cases=cases," in before
    try:
        bank.write_text(before.replace("cases=cases,", "cases=lambda rng: 1 / 0,"))
        done = autograder.start("setup.sh", **installing[0])
    finally:
        bank.write_text(before)
    assert done.returncode != 0
    assert "ZeroDivisionError" in done.stderr
    assert "The autograder is ready." not in done.stdout


@pytest.mark.parametrize(("solved", "empty", "wrong"), [(13, 0, []), (12.5, 0, ["solved.ipynb"]), (13, 1, ["exercises.md"])])
def test_an_autograder_proves_itself_by_points_alone(solved, empty, wrong, tmp_path, monkeypatch):
    def grade(root, folder, student):
        points = solved if (folder / "solved.ipynb").exists() else empty
        return record(points=points, possible=POSSIBLE), [], isolation.USER

    monkeypatch.setattr(run, "grade", grade)
    monkeypatch.setattr(run, "settings", lambda root: {"chapter": CHAPTER})
    assert [problem.split()[0] for problem in run.prove(tmp_path)] == wrong
