"""What `make release` writes: students get everything they need and no answer, instructors the rest."""

import json
import re
import shutil
import stat
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

import exercises
from exercises.grader import instructor, notebook, pack, release
from exercises.grader.exercise import hint
from exercises.grader.gradescope import build
from exercises.grader.source import standalone
from lmcore.check import notebook as notebooks
from lmcore.check.diagnose import examine

pytestmark = pytest.mark.usefixtures("unchecked")

CHAPTER = "ch02_tokens"
BANK = exercises.bank(CHAPTER)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("release") / "new"
    assert release.main([str(folder), CHAPTER]) == 0
    return folder


def contents(path: Path) -> dict[str, bytes]:
    """Every file below ``path`` by its name; a zip or wheel is opened, and what it holds follows its name."""
    found = {}
    for file in sorted(path.rglob("*")):
        if file.is_file():
            found[str(file.relative_to(path))] = file.read_bytes()
        if file.suffix in (".zip", ".whl"):
            with zipfile.ZipFile(file) as archive:
                found |= {f"{file.name}/{name}": archive.read(name) for name in archive.namelist()}
    return found


# Students


def test_students_get_packs_a_wheel_and_how_to_start(folder):
    wheel = release.wheel()[0]
    pack_files = [f"{CHAPTER}/{name}" for name in pack.FILES]
    written = [str(path.relative_to(folder / "students")) for path in (folder / "students").rglob("*") if path.is_file()]
    assert sorted(written) == sorted([*pack_files, f"{CHAPTER}.zip", "README.txt", wheel])
    with zipfile.ZipFile(folder / "students" / f"{CHAPTER}.zip") as archive:
        assert sorted(archive.namelist()) == sorted([*pack_files, "README.txt", wheel])
        assert all(archive.read(name) == (folder / "students" / name).read_bytes() for name in archive.namelist())
    readme = (folder / "students" / "README.txt").read_text()
    assert f"pip install {wheel} " in readme
    assert len(readme.splitlines()) <= 15


def test_students_get_no_answer_and_no_bank(folder):
    held = contents(folder / "students")
    assert not [name for name in held if "bank" in name or "grader" in name or "/exercises/" in name]
    wheel = [name.split(".whl/")[1] for name in held if ".whl/" in name]
    assert len(wheel) > 50
    assert {name.split("/")[0].split("-")[0] for name in wheel} == {"lmcore"}
    assert not [name for name in wheel if "__pycache__" in name]
    texts = [content.decode() for name, content in held.items() if Path(name).suffix in (".md", ".ipynb", ".json", ".txt")]
    for exercise in BANK:
        assert notebook.leaks(exercise, [*texts, *pack._strings(texts)]) == []


STUDENT = """
import sys
sys.path[:0] = {path}
import torch
try:
    import exercises
except ImportError:
    print("no exercises")
from lmcore.check import check
import lmcore
print(lmcore.__file__)
cells = [cell for cell in __import__("json").load(open("exercises.ipynb"))["cells"]]
exec(next(cell["source"] for cell in cells if cell["metadata"].get("exercise") == "count_pairs"))
check("count_pairs", count_pairs)
for answer in {answers}:
    exec(answer)
check("count_pairs", ignores_frequency)
check("count_pairs", count_pairs)
"""


def test_check_needs_only_the_wheel_and_the_pack(folder, tmp_path):
    with zipfile.ZipFile(folder / "students" / f"{CHAPTER}.zip") as archive:
        archive.extractall(tmp_path)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as archive:
        archive.extractall(tmp_path / "installed")
    # -I -S: neither the environment nor a .pth file leads to the checkout; third packages are found, as after an install.
    path = [str(tmp_path / "installed"), *{sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}]
    wrong = next(answer for answer in BANK[0].wrong if answer.__name__ == "ignores_frequency")
    answers = [standalone(wrong), exercises.solution("count_pairs")]
    command = [sys.executable, "-I", "-S", "-c", STUDENT.format(path=path, answers=answers)]
    done = subprocess.run(command, cwd=tmp_path / CHAPTER, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "no exercises" in done.stdout
    assert str(tmp_path / "installed") in done.stdout
    assert "Not written yet: count_pairs" in done.stdout
    assert hint(wrong) in " ".join(done.stdout.split())
    assert "Passed: count_pairs: all 6 public cases pass." in done.stdout


# Instructors


def test_solved_notebooks_hold_the_reference_answers_and_pass(folder):
    target = folder / "instructor" / CHAPTER
    assert sorted(path.name for path in target.iterdir()) == ["mistakes.md", "solved.ipynb", "solved.md"]
    text, ipynb = notebooks.read(target / "solved.md"), notebooks.read(target / "solved.ipynb")
    assert [cell.source for cell in text.cells] == [cell.source for cell in ipynb.cells]
    assert (text.chapter, text.edition) == (CHAPTER, exercises.EDITION)
    assert all(cell.get("outputs", []) == [] for cell in json.loads((target / "solved.ipynb").read_text())["cells"])
    given = notebooks.read(notebook.path(CHAPTER))
    changed = [new.exercise for old, new in zip(given.cells, text.cells, strict=True) if old.source != new.source]
    assert changed == [exercise.name for exercise in BANK]
    for exercise in BANK:
        namespace: dict = {}
        exec(next(cell.source for cell in ipynb.code if cell.exercise == exercise.name), namespace)
        assert examine(exercise.question(seed=7), namespace[exercise.name]).passed


@pytest.mark.parametrize("chapter", exercises.chapters())
def test_every_chapter_can_be_solved_in_its_notebook(chapter):
    text, ipynb = instructor.solved(chapter)
    sources = {cell["metadata"].get("exercise"): cell["source"] for cell in json.loads(ipynb)["cells"]}
    for exercise in exercises.bank(chapter):
        assert sources[exercise.name] == exercises.solution(exercise.name).rstrip("\n")
        assert text.count(sources[exercise.name]) == 1


def test_the_sheet_of_mistakes_names_each_with_hint_and_example(folder):
    sheet = (folder / "instructor" / CHAPTER / "mistakes.md").read_text()
    for exercise in BANK:
        parts = re.split(r"^### ", sheet.split(f"\n## {exercise.name}\n")[1].split("\n## ")[0], flags=re.MULTILINE)
        assert exercise.facts in parts[0]
        assert len(parts) == 1 + len(exercise.wrong)
        for wrong in exercise.wrong:
            part = next(part for part in parts if part.startswith(f"{wrong.__name__}\n"))
            assert all(line in part for line in hint(wrong).splitlines())
            assert f": {exercise.name}(" in part
            expected, returned = part.split("    expected: ")[1].split("    returned: ")
            assert expected.split() != returned.split()


def test_the_instructor_reads_points_and_minutes(folder):
    readme = (folder / "instructor" / "README.md").read_text()
    for exercise in BANK:
        row = f"| {CHAPTER} | `{exercise.name}` | {exercise.minutes} | {exercise.difficulty} | {exercise.points} |"
        assert row in readme
    minutes, points = sum(e.minutes for e in BANK), sum(e.points for e in BANK)
    assert f"| **{CHAPTER}** | | **{minutes}** | | **{points}** |" in readme
    assert "make grade SUBMISSIONS=folder" in readme


def test_what_is_not_for_students_is_closed_to_others(folder):
    modes = {name: stat.S_IMODE((folder / name).stat().st_mode) for name in ("students", "instructor", "gradescope")}
    assert modes["instructor"] == modes["gradescope"] == 0o700
    assert modes["students"] & 0o005
    assert stat.S_IMODE((folder / "gradescope" / "grading-seed").stat().st_mode) == 0o600
    assert stat.S_IMODE((folder / "gradescope" / f"{CHAPTER}.zip").stat().st_mode) == 0o600


# Again


def test_a_release_can_be_repeated_byte_by_byte(folder, tmp_path):
    (tmp_path / "gradescope").mkdir()
    shutil.copy(folder / "gradescope" / "grading-seed", tmp_path / "gradescope")
    release.wheel.cache_clear()
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "students").mkdir()
    (tmp_path / "students" / "README.txt").write_text("old")
    assert release.main([str(tmp_path), CHAPTER]) == 0
    again = contents(tmp_path)
    assert again.pop("notes.txt") == b"mine"
    assert again == contents(folder)


def test_the_secret_seed_is_kept_unless_another_is_asked_for(tmp_path):
    first = build.seed(tmp_path)
    assert build.seed(tmp_path) == first
    assert build.seed(tmp_path, new=True) != first
    (tmp_path / "other").mkdir()
    assert build.seed(tmp_path / "other") not in (first, build.seed(tmp_path))


def test_only_the_autograder_holds_the_seed(folder):
    seed = str(build.seed(folder / "gradescope"))
    holding = [name for name, content in contents(folder).items() if seed.encode() in content]
    assert holding == [f"{CHAPTER}.zip/settings.json"]
    with zipfile.ZipFile(folder / "gradescope" / f"{CHAPTER}.zip") as archive:
        assert json.loads(archive.read("settings.json"))["seed"] == seed


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([CHAPTER], f"name the folder before the chapter: _build/release {CHAPTER}"),
        (["{here}", "ch99_nothing"], "no chapter 'ch99_nothing' has exercises; those that have: ch01"),
        (
            ["{here}", CHAPTER, "--torch-index", "somewhere"],
            "the index of torch is an address that begins with https://, got 'somewhere'",
        ),
    ],
)
def test_wrong_use_is_said_and_writes_nothing(arguments, said, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert release.main([argument.format(here=tmp_path / "new") for argument in arguments]) == 1
    assert said in capsys.readouterr().err
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_release_needs_a_checkout(tmp_path, capsys, monkeypatch):
    release.wheel.cache_clear()
    monkeypatch.setattr(exercises, "HERE", tmp_path / "exercises")
    with pytest.raises(ValueError, match=r"made from a checkout of the book; there is no pyproject\.toml in"):
        release.wheel()


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    pack.replace(tmp_path / "file", "old")

    def stop(*_):
        raise OSError("full")

    monkeypatch.setattr(pack.os, "replace", stop)
    with pytest.raises(OSError, match="full"):
        pack.replace(tmp_path / "file", "new")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("file", "old")]
