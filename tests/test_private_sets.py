"""An instructor's own set of exercises, in a folder anywhere, is proven, checked and handed in like a chapter of the book."""

import inspect
import re
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import exercises
from exercises import validate
from exercises.grader import notebook, pack, pool
from exercises.grader.source import standalone
from exercises.grader.validate import prove
from lmcore.check import check, pack_submission, submission
from lmcore.check.diagnose import examine

pytestmark = pytest.mark.usefixtures("unchecked")

EXAMPLE = Path(__file__).parent / "private_example"
NAMES = ["Highway", "windows", "momentum_training"]


def forget():
    """The book alone, as a new process has it."""
    for name in exercises._private:
        exercises._forget(name)
    exercises._private.clear()
    for cached in (exercises.bank, exercises._all, exercises._public):
        cached.cache_clear()


@pytest.fixture(autouse=True)
def alone():
    forget()
    yield
    forget()


@pytest.fixture
def example():
    return exercises.register(EXAMPLE)


def copied(folder, name="midterm", **changes):
    """A copy of the example under another name; ``changes`` are pairs of old and new text for a module of its bank."""
    target = folder / name
    shutil.copytree(EXAMPLE, target, ignore=shutil.ignore_patterns("__pycache__"))
    for path in [*target.glob("bank/*.py"), target / "exercises.md"]:
        text = path.read_text(encoding="utf-8").replace("private_example", name)
        old, new = changes.get(path.stem, ("", ""))
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")
    return target


def test_a_registered_folder_is_a_chapter(example):
    assert example == "private_example"
    assert exercises.chapters() == [*exercises.book(), example]
    assert exercises.names()[-3:] == NAMES
    assert [exercise.name for exercise in exercises.bank(example)] == NAMES
    assert exercises.folder(example) == EXAMPLE
    assert exercises.private() == [EXAMPLE]
    assert notebook.problems(example) == []
    assert exercises.register(str(EXAMPLE)) == example  # again
    assert exercises.get("windows").chapter == example
    assert list(exercises.public_questions("windows")) == ["windows"]


def test_nothing_is_written_into_the_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    folder = copied(tmp_path)
    before = sorted(folder.rglob("*"))
    exercises.register(folder)
    assert notebook.problems("midterm") == []
    assert sorted(folder.rglob("*")) == before
    assert sys.dont_write_bytecode is False


@pytest.mark.parametrize("name", NAMES)
def test_the_example_is_proven(name, example):
    proof = prove(exercises.get(name), seeds=2)
    assert proof.failures == []
    assert proof.right >= 4
    assert proof.reached == proof.wrong >= 8
    assert proof.killed == proof.mutants > 10


def test_a_solution_that_is_a_class_runs_as_it_stands(example):
    text = exercises.solution("Highway")
    namespace: dict = {}
    exec(compile(text, "<solution>", "exec"), namespace)
    assert examine(exercises.get("Highway").question(seed=3), namespace["Highway"]).passed
    assert "GateTurned" not in text
    assert "class Highway" in standalone(exercises.get("Highway").wrong[0])  # which derives from it


def test_a_mistake_in_a_class_gets_its_hint(example, capsys):
    for wrong in exercises.get("Highway").wrong:
        assert check("Highway", wrong).hint == " ".join((wrong.__doc__ or "").split())


def test_a_pack_of_a_private_set_is_checked_without_its_bank(example, tmp_path, monkeypatch, capsys):
    answers = [one for name in NAMES for one in (exercises.get(name).reference, *exercises.get(name).wrong[:2])]
    names = [name for name in NAMES for _ in range(3)]
    here = [check(name, answer) for name, answer in zip(names, answers, strict=True)]
    assert [result.passed for result in here] == [True, False, False] * 3
    monkeypatch.chdir(pack.pack(example, tmp_path))
    monkeypatch.setitem(sys.modules, "exercises", None)
    assert [check(name, answer) for name, answer in zip(names, answers, strict=True)] == here


def test_a_stub_of_a_class_and_an_unsaved_class_are_noticed(example, tmp_path, monkeypatch):
    folder = pack.pack(example, tmp_path)
    (folder / "exercises.md").unlink()
    monkeypatch.chdir(folder)
    answers = pack_submission(example, student="Ada").answers
    assert set(answers.values()) == {"not written yet"}

    ran = exercises.get("Highway").reference  # the notebook on disk holds the stub
    for method in filter(inspect.isfunction, vars(ran).values()):
        monkeypatch.setattr(method, "__module__", "__main__")  # as if a cell had defined it
    monkeypatch.setattr(submission, "_shell", lambda: SimpleNamespace(user_ns={"Highway": ran}))
    with pytest.raises(ValueError, match="on disk does not hold the Highway you ran: save the notebook"):
        pack_submission(example, student="Ada")


def test_a_hint_is_not_taken_from_the_class_that_a_mistake_derives_from():
    from exercises.grader.exercise import hint

    class Base:
        """This is no hint."""

    class Wrong(Base):
        pass

    assert hint(Wrong) == ""


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            "def __init__(self, width):",
            "def __init__(self, size):",
            "the stub takes (nn.Module): __init__(self, size); forward",
        ),
        ("class Highway(nn.Module):", "class Highway:", "the stub takes (): __init__"),
        (
            "    def forward(self, x):",
            "    def call(self, x):",
            "call(self, x), the reference (nn.Module): __init__(self, width)",
        ),
        (
            "        super().__init__()\n        raise",
            "        super().__init__()\n        return\n        raise",
            "not just a docstring",
        ),
        ("Run the next cell first.", "    class GateTurned(Highway):", "names GateTurned"),
        (
            "Run the next cell first.",
            "    t = torch.sigmoid(self.gate(x))\n    return t * self.candidate(x) + (1 - t) * x\n",
            "holds code of CandidateWithoutTanh",
        ),
    ],
)
def test_problems_of_a_notebook_with_a_class_are_found(tmp_path, old, new, says):
    folder = copied(tmp_path, exercises=(old, new))
    assert any(says in problem for problem in notebook.problems(exercises.register(folder)))


def broken(tmp_path, kind):
    if kind == "nowhere":
        return tmp_path / "nowhere"
    if kind == "error":
        return copied(tmp_path, windows=("import random", "import random\nimport no_such_package"))
    if kind == "syntax":
        return copied(tmp_path, windows=("def windows(", "def windows(("))
    if kind == "chapter":
        return copied(tmp_path, windows=('chapter="midterm"', 'chapter="final"'))
    if kind == "clash":
        return copied(tmp_path, windows=("def windows(", "def count_pairs("))
    folder = copied(
        tmp_path, {"spaces": "my set", "grader": "grader", "book": "ch02_tokens", "get": "get"}.get(kind, "midterm")
    )
    if kind == "notebook":
        (folder / "exercises.md").unlink()
    if kind == "bank":
        shutil.rmtree(folder / "bank")
    return folder


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("nowhere", "there is no folder .*nowhere; a set of exercises is a folder with exercises.md and bank"),
        ("notebook", "it has no exercises.md; "),
        ("bank", "it has no bank/__init__.py; "),
        ("error", "cannot be imported: ModuleNotFoundError: No module named 'no_such_package'"),
        ("syntax", "cannot be imported: SyntaxError"),
        ("chapter", "windows says chapter='final', not 'midterm'"),
        ("clash", "count_pairs is the name of an exercise of ch02_tokens"),
        ("spaces", "small letters, digits and _, such as midterm_1; got 'my set'"),
        ("grader", "the name 'grader' is taken by the book; rename the folder"),
        ("book", "the name 'ch02_tokens' is taken"),
        ("get", "the name 'get' is taken"),
    ],
)
def test_a_folder_that_cannot_be_used_is_refused_and_leaves_nothing(tmp_path, kind, says):
    folder = broken(tmp_path, kind)
    if kind == "clash":
        replaced = folder / "bank" / "windows.py"
        text = replaced.read_text(encoding="utf-8")
        replaced.write_text(re.sub(r"reference=windows", "reference=count_pairs", text) + "\n", encoding="utf-8")
    modules = set(sys.modules)
    with pytest.raises((ValueError, FileNotFoundError), match=says):
        exercises.register(folder)
    assert exercises.chapters() == exercises.book()
    assert [name for name in set(sys.modules) - modules if re.match(r"exercises\.(?!ch\d\d_|grader\.)", name)] == []


def test_several_sets_and_two_of_one_name(tmp_path, example):
    first, second = tmp_path / "a", tmp_path / "b"
    for folder in (first, second):
        folder.mkdir()
    with pytest.raises(ValueError, match="Highway is the name of an exercise of private_example"):
        exercises.register(copied(first))
    forget()
    exercises.register(first / "midterm")
    with pytest.raises(ValueError, match=r"two sets are called 'midterm': .*rename one of the folders"):
        exercises.register(copied(second))
    with pytest.raises(ValueError, match="Highway is the name of an exercise of midterm"):
        exercises.register(EXAMPLE)


def test_a_copy_of_the_process_knows_the_set(example):
    found = list(pool.each(lambda name: exercises.get(name).chapter, NAMES[:1], 1, 60))
    assert found == [("Highway", "private_example")]


def test_validate_says_the_same_from_one_process_and_from_two(capsys):
    tables = []
    for jobs in ("1", "2"):
        assert validate.main(["--private", str(EXAMPLE), "windows", "Highway", "count_pairs", "--seeds", "1", "-j", jobs]) == 0
        tables.append(capsys.readouterr().out.split("1 seed")[0])
        forget()
    assert tables[0] == tables[1]
    assert [line.split()[0] for line in tables[0].splitlines()] == ["exercise", "windows", "Highway", "count_pairs", "in"]


def test_validate_refuses_a_folder_that_is_no_set(tmp_path, capsys):
    with pytest.raises(SystemExit):
        validate.main(["--private", str(tmp_path / "none")])
    assert "there is no folder" in capsys.readouterr().err
