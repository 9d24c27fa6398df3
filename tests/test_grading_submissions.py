"""Collecting what a class handed in: who it is, what counts, and a line for everything else."""

import json
import os
import shutil
import zipfile
from pathlib import Path

import pytest

import exercises
from exercises.grader import archives
from exercises.grader.submissions import collect
from lmcore.check import pack_submission

CHAPTERS = ["ch02_tokens", "ch03_embeddings"]
ANSWER = "def count_pairs(words):\n    return {}"
STUB = "def count_pairs(words):\n    raise NotImplementedError"


def notebook(*sources, chapter="ch02_tokens", edition=exercises.EDITION, **metadata):
    cells = [{"cell_type": "code", "metadata": {}, "source": source, "outputs": []} for source in sources]
    about = {"lmcore": {"chapter": chapter, "edition": edition}} if chapter else {}
    return json.dumps({"cells": cells, "metadata": {**about, **metadata}, "nbformat": 4})


def packed(student, source=ANSWER, when="2026-01-01T00:00:00+00:00", chapter="ch02_tokens"):
    about = {"student": student, "packed": when, "chapter": chapter, "edition": exercises.EDITION}
    return {"submission.json": json.dumps(about), "notebook.ipynb": notebook(source, chapter=chapter)}


def put(folder: Path, files: dict):
    """Write files; a dictionary of files is a zip."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, dict):
            with zipfile.ZipFile(path, "w") as archive:
                for inner, data in content.items():
                    archive.writestr(inner, data)
        elif isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content, encoding="utf-8")
    return folder


def who(folder, files):
    """Each student with the sources, and each line of a problem with its file."""
    found = collect(put(folder, files), CHAPTERS)
    return {one.student: one.source for one in found.submissions}, {line.source: line.text for line in found.problems}


def zipped(folder, files):
    path = put(folder, {"made.zip": files}) / "made.zip"
    data = path.read_bytes()
    path.unlink()
    return data


# The book's own way


def test_what_pack_submission_writes_is_taken_back(tmp_path, monkeypatch):
    pytest.importorskip("jupytext")
    desk, folder = tmp_path / "desk", tmp_path / "class"
    for path in (desk, folder):
        path.mkdir()
    shutil.copy(exercises.HERE / "ch02_tokens" / "exercises.md", desk / "exercises.md")
    monkeypatch.chdir(desk)
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    handed = pack_submission("ch02_tokens", student="Ada Lovelace").path
    shutil.copy(handed, folder / "Whatever It Is Called.ZIP")
    shutil.copy(desk / "exercises.md", folder / "bob.MD")
    found = collect(folder, exercises.chapters())
    assert found.problems == ()
    ada, bob = found.submissions
    assert (ada.student, ada.key, ada.source, ada.notes) == ("Ada Lovelace", "ada-lovelace", "Whatever It Is Called.ZIP", ())
    assert (bob.student, bob.source) == ("bob", "bob.MD")
    assert ada.notebooks == bob.notebooks
    (book,) = ada.notebooks
    assert (book.chapter, book.edition) == ("ch02_tokens", exercises.EDITION)
    assert {exercise.name for exercise in exercises.bank("ch02_tokens")} <= set(book.names)
    assert collect(folder / "bob.MD", exercises.chapters()).submissions == (bob,)


# Who


def test_names_from_inside_then_the_folder_then_the_file(tmp_path):
    students, problems = who(
        tmp_path,
        {
            "x.zip": packed("Ada"),
            "y/z.ipynb": notebook(ANSWER, "student = 'Bob'"),
            "Cem/old/homework.ipynb": notebook(ANSWER + " # c", "student = ''"),
            "Dora_12_assignsubmission_file_/deep/exercises.md.ipynb": notebook(STUB),
            "elleneve_LATE_123_456_exercises-1.ipynb": notebook(STUB),
            "fay (2).ipynb": notebook(STUB),
            "unpacked/notebook.ipynb": packed("Gus")["notebook.ipynb"],
            "unpacked/submission.json": packed("Gus")["submission.json"],
        },
    )
    assert list(students) == ["Ada", "Bob", "Cem", "Dora", "elleneve", "fay", "Gus"]
    assert students["Cem"] == "Cem/old/homework.ipynb"
    assert all("holds the same code" in text for text in problems.values())


def test_a_folder_that_holds_a_class_is_nobody(tmp_path):
    files = {"week 1/ada.ipynb": notebook(STUB), "week 1/bob.ipynb": notebook(STUB), "Cem/b.ipynb": notebook(STUB)}
    files["Cem/c.ipynb"] = notebook("def sgns_loss(): ...", chapter="ch03_embeddings")
    students, problems = who(tmp_path, files)
    assert students == {
        "Cem": "Cem/b.ipynb, Cem/c.ipynb",
        "week 1 / ada": "week 1/ada.ipynb",
        "week 1 / bob": "week 1/bob.ipynb",
    }
    assert problems == {}
    cem = collect(tmp_path, CHAPTERS).submissions[0]
    assert [book.chapter for book in cem.notebooks] == CHAPTERS


def test_zips_of_zips_and_of_plain_notebooks(tmp_path):
    files = {
        "export.zip": {
            "Ada_1_assignsubmission_file_/ch02.zip": zipped(tmp_path, packed("Ada")),
            "Bob_2_assignsubmission_file_/exercises.ipynb": notebook(STUB),
            "Bob_2_assignsubmission_file_/__MACOSX/exercises.ipynb": "no",
        },
        "eve.zip": {"one.ipynb": notebook(STUB), "two.ipynb": notebook(STUB, chapter="ch03_embeddings")},
    }
    students, problems = who(tmp_path, files)
    assert problems == {}
    assert list(students) == ["Ada", "eve", "export / Bob"]
    assert students["Ada"] == "export.zip/Ada_1_assignsubmission_file_/ch02.zip/notebook.ipynb"
    assert students["eve"] == "eve.zip/one.ipynb, eve.zip/two.ipynb"


def test_keys_are_file_names_and_differ(tmp_path):
    names = ["Ada L.", "ada-l", "Ada--L", "李雷", "../..", "A" * 100, "...", "Zoë", "nul\ud800", "CON/x"]
    found = collect(put(tmp_path, {f"{i}.zip": packed(name, f"{STUB} # {i}") for i, name in enumerate(names)}), CHAPTERS)
    keys = [one.key for one in found.submissions]
    assert len(set(keys)) == len(names)
    assert keys == sorted(keys)
    assert {"ada-l", "ada-l-2", "ada-l-3", "李雷", "student", "student-2", "a" * 50, "zoë", "nul", "con-x"} == set(keys)
    assert collect(tmp_path, CHAPTERS) == found


def test_names_are_on_one_line_and_hold_no_tricks(tmp_path):
    (one,) = collect(put(tmp_path, {"a.zip": packed("Ada\u202e\x1b[1m\n=1+1")}), CHAPTERS).submissions
    assert one.student == "Ada [1m =1+1"


# What counts


def test_the_last_packed_counts(tmp_path):
    files = {
        "a.zip": packed("Ada", when="2026-03-01T12:00:00+02:00"),
        "b.zip": packed("ada ", when="2026-03-01T11:00:00+00:00"),
        "c.zip": packed("Ada", when="soon"),
        "d.ipynb": notebook(ANSWER, "student = 'Ada'"),
    }
    found = collect(put(tmp_path, files), CHAPTERS)
    (ada,) = found.submissions
    assert (ada.student, ada.source) == ("Ada", "b.zip")
    assert ada.notes == ("Handed in 4 times for ch02_tokens; graded is b.zip.",)
    assert [line.source for line in found.problems] == ["a.zip", "c.zip", "d.ipynb"]
    for line in found.problems:
        assert "b.zip counts (it was packed later)" in line.text
        assert "If these are two people" in line.text


def test_without_a_time_the_last_by_name_counts(tmp_path):
    files = {f"x{i}.ipynb": notebook(ANSWER + f" # {i}", "student = 'Ada'") for i in (2, 9, 10)}
    students, problems = who(tmp_path, files)
    assert students == {"Ada": "x10.ipynb"}
    assert list(problems) == ["x2.ipynb", "x9.ipynb"]
    assert "it is the last by name" in problems["x9.ipynb"]


def test_an_untouched_copy_does_not_count(tmp_path):
    files = {"Ada/exercises.ipynb": notebook(ANSWER), "Ada/exercises.md.ipynb": notebook(STUB), "Ada/cases.json": "{}"}
    students, problems = who(tmp_path, files)
    assert students == {"Ada": "Ada/exercises.ipynb"}
    assert "is not written yet" in problems["Ada/exercises.md.ipynb"]


def test_nobody_takes_the_place_of_another_student(tmp_path):
    files = {
        "Bob_1_assignsubmission_file_/x.zip": packed("Bob"),
        "Mallory_2_assignsubmission_file_/x.zip": packed("Bob", STUB, when="2099-01-01T00:00:00+00:00"),
    }
    students, problems = who(tmp_path, files)
    assert sorted(students.values()) == sorted(files)
    assert all(name.startswith("Bob (") for name in students)
    assert "Is one of them somebody else?" in next(iter(problems.values()))
    canvas = {
        "bob_1111_2222_x.zip": packed("Bob"),
        "mallory_3333_4444_x.zip": packed("Bob", STUB, when="2099-01-01T00:00:00+00:00"),
    }
    assert sorted(who(tmp_path / "canvas", canvas)[0].values()) == sorted(canvas)


def test_two_chapters_in_two_folders_are_one_submission(tmp_path):
    files = {"1/a.zip": packed("Ada"), "2/a.zip": packed("Ada", "def sgns_loss(): ...", chapter="ch03_embeddings")}
    students, problems = who(tmp_path, files)
    assert (students, problems) == ({"Ada": "1/a.zip, 2/a.zip"}, {})


def test_the_same_code_under_two_names_is_a_line(tmp_path):
    files = {"a.zip": packed("Ada"), "b.zip": packed("Bob", ANSWER + "  # all mine"), "c.zip": packed("Cem", STUB)}
    _, problems = who(tmp_path, files | {"d.zip": packed("Dora", STUB)})
    assert problems == {"a.zip": "(Ada) holds the same code as b.zip (Bob)"}


def test_digests_follow_the_bytes(tmp_path):
    first = collect(put(tmp_path, {"a.ipynb": notebook(ANSWER), "b.ipynb": notebook(STUB)}), CHAPTERS).submissions
    again = collect(put(tmp_path, {"a.ipynb": notebook(ANSWER + " ")}), CHAPTERS).submissions
    assert first[0].digest != again[0].digest
    assert first[1] == again[1]


# Which chapter


def test_a_notebook_that_lost_its_chapter_is_recognised(tmp_path):
    files = {
        "ada.ipynb": notebook("def wordpiece(w, v): ...", chapter=""),
        "bob.ipynb": notebook("def sgns_loss(): ...", chapter="my_chapter"),
        "cem.ipynb": notebook("x = (\ndef count_pairs(words): ...\n", "%%bash\ndef wordpiece", chapter=""),
    }
    ada, bob, cem = collect(put(tmp_path, files), CHAPTERS).submissions
    assert [one.notebooks[0].chapter for one in (ada, bob, cem)] == ["ch02_tokens", "ch03_embeddings", "ch02_tokens"]
    assert "does not say which chapter" in ada.notes[0]
    assert "names the chapter 'my_chapter'; its functions are those of ch03_embeddings" in bob.notes[0].replace("The ", "")


def test_another_edition_is_said(tmp_path):
    (one,) = collect(put(tmp_path, {"ada.ipynb": notebook(ANSWER, edition="0")}), CHAPTERS).submissions
    assert f"edition 0 of ch02_tokens, graded was edition {exercises.EDITION}" in one.notes[0]


# Malformed: a line each, never a stop

BROKEN = {
    "no notebook": ("a.ipynb", b"%PDF-1.7", "is not a notebook"),
    "a pdf": ("a.pdf", b"%PDF-1.7", r"is not a notebook \(.ipynb or .md\)"),
    "no suffix": ("homework", b"x", r"is not a notebook \(.ipynb or .md\)"),
    "empty": ("a.ipynb", b"", "is empty"),
    "an empty zip": ("a.zip", b"", "is empty"),
    "broken JSON": ("a.ipynb", notebook(ANSWER).encode()[:-9], "is broken: no JSON in line 1"),
    "no cells": ("a.ipynb", b"{}", "no list of cells"),
    "no code": ("a.ipynb", notebook().encode(), "holds no code cell"),
    "a text": ("a.md", b"# My thoughts\n\nNone.", "holds no code cell"),
    "R": ("a.ipynb", notebook(ANSWER, kernelspec={"name": "ir", "language": "R"}).encode(), "is a notebook for R"),
    "Julia": ("a.ipynb", notebook(ANSWER, language_info={"name": "julia"}).encode(), "is a notebook for julia"),
    "too deep": ("a.ipynb", b"[" * 10**6, "nested too deeply"),
    "another chapter": ("a.ipynb", notebook("x = 1", chapter="ch99").encode(), "names the chapter 'ch99', and defines no"),
    "another book": ("a.ipynb", notebook("x = 1", chapter="").encode(), "does not say which chapter it belongs to"),
    "no zip": ("a.zip", b"Rar!", "is no zip archive"),
    "half a zip": ("a.zip", "half", "cut short or damaged"),
    "nothing in it": ("a.zip", {"readme.txt": "x"}, "is not a notebook"),
    "a broken one in a zip": ("a.zip", {"a.ipynb": "{"}, "is broken"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_malformed_file_is_a_line(tmp_path, what):
    name, content, says = BROKEN[what]
    if content == "half":
        content = zipped(tmp_path, packed("Ada"))[:-40]
    found = collect(put(tmp_path, {"bob.ipynb": notebook(ANSWER), name: content}), CHAPTERS)
    assert [one.student for one in found.submissions] == ["bob"]
    (line,) = found.problems
    assert line.source.startswith(name)
    with pytest.raises(ValueError, match=says):
        raise ValueError(line.text)


def test_a_large_file_is_a_line_and_not_read(tmp_path):
    with open(put(tmp_path, {"bob.ipynb": notebook(ANSWER)}) / "a.ipynb", "wb") as file:
        file.truncate(100 << 20)
    found = collect(tmp_path, CHAPTERS)
    assert len(found.submissions) == 1
    assert found.problems[0].text.startswith("has 100 MB; at most 50 MB are read")


def test_what_is_no_file_is_a_line(tmp_path):
    secret = put(tmp_path / "elsewhere", {"mallory.ipynb": notebook(ANSWER)})
    folder = put(tmp_path / "class", {"bob.ipynb": notebook(ANSWER), "b.ipynb/cem.ipynb": notebook(STUB)})
    (folder / "link.ipynb").symlink_to(secret / "mallory.ipynb")
    (folder / "out").symlink_to(secret)
    (folder / "loop").symlink_to(folder)
    (folder / "submission.json").symlink_to("/dev/zero")
    os.mkfifo(folder / "pipe.ipynb")
    os.mkfifo(folder / "pipe")
    found = collect(folder, CHAPTERS)
    assert [one.source for one in found.submissions] == ["b.ipynb/cem.ipynb", "bob.ipynb"]
    lines = {line.source: line.text for line in found.problems}
    assert list(lines) == ["b.ipynb", "link.ipynb", "loop", "out", "pipe", "pipe.ipynb"]
    assert all(lines[name] == "is a link; links are not followed" for name in ("link.ipynb", "loop", "out"))
    assert all(lines[name] == "is not a regular file" for name in ("pipe", "pipe.ipynb"))


def test_a_linked_name_is_not_read(tmp_path):
    other = put(tmp_path, packed("Ada")) / "submission.json"
    other.rename(tmp_path / "other.json")
    folder = put(tmp_path / "class", {"x/notebook.ipynb": notebook(ANSWER)})
    (folder / "x" / "submission.json").symlink_to(tmp_path / "other.json")
    found = collect(folder, CHAPTERS)
    assert [one.student for one in found.submissions] == ["x"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file_is_a_line(tmp_path):
    put(tmp_path, {"a.ipynb": notebook(ANSWER), "b/c.ipynb": notebook(ANSWER)})
    (tmp_path / "a.ipynb").chmod(0)
    (tmp_path / "b").chmod(0)
    try:
        found = collect(tmp_path, CHAPTERS)
    finally:
        (tmp_path / "b").chmod(0o700)
    assert [line.text for line in found.problems] == [
        "cannot be read: Permission denied",
        "cannot be opened: Permission denied",
    ]


def test_numbers_in_a_name_are_no_numbers_of_canvas(tmp_path):
    students, problems = who(tmp_path, {"ex_2_1_ada.ipynb": notebook(ANSWER), "ex_2_1_bob.ipynb": notebook(ANSWER + "\nx = 1")})
    assert sorted(students) == ["ex_2_1_ada", "ex_2_1_bob"]
    assert problems == {}


def test_names_of_files_hold_no_tricks(tmp_path):
    put(tmp_path, {"a\u202e\x1b[2J.pdf": "x", "=b\n.ipynb": notebook(ANSWER)})
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.ipynb"))).write_text("x")
    found = collect(tmp_path, CHAPTERS)
    assert [line.source for line in found.problems] == [".ipynb", "a [2J.pdf"]
    assert [(one.student, one.source) for one in found.submissions] == [("=b", "=b .ipynb")]


def test_many_files_that_are_none_are_one_line(tmp_path):
    students, problems = who(tmp_path, {"a.ipynb": notebook(STUB)} | {f"pictures/{i}.png": "x" for i in range(300)})
    assert list(students) == ["a"]
    assert problems == {"pictures/0.png": "and 299 more files beside it are not notebooks; they are not graded"}


def test_of_many_files_in_the_folder_itself_each_has_a_line(tmp_path):
    """Canvas puts the files of all students beside each other."""
    _, problems = who(tmp_path, {"a.ipynb": notebook(STUB)} | {f"student{i}_{i}_9_essay.pdf": "x" for i in range(8)})
    assert set(problems) == {f"student{i}_{i}_9_essay.pdf" for i in range(8)}


def test_folders_in_folders_end_somewhere(tmp_path):
    put(tmp_path, {"/".join(["x"] * 40) + "/a.ipynb": notebook(ANSWER)})
    found = collect(tmp_path, CHAPTERS)
    assert found.submissions == ()
    assert "lies more than 20 folders deep" in found.problems[0].text


def test_a_zip_of_notebooks_that_take_too_long_does_not_hold_up_a_class(tmp_path):
    files = {"a.zip": {f"{i}.ipynb": "[" * 10**6 for i in range(6)}, "bob.ipynb": notebook(ANSWER)}
    students, problems = who(tmp_path, files)
    assert list(students) == ["bob"]
    assert ["nested" in line for line in problems.values()] == [True] * 3 + [False] * 3


def test_endless_names_in_a_zip(tmp_path):
    long = "x/" * 30_000
    files = {"a.zip": {f"{long}{i}.ipynb": notebook(STUB) for i in range(3)}, "bob.ipynb": notebook(ANSWER)}
    students, problems = who(tmp_path, files)
    assert len(students) + len(problems) == 4
    assert "bob" in students


def test_no_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*gone; give the folder"):
        collect(tmp_path / "gone", CHAPTERS)
    assert collect(tmp_path, CHAPTERS).submissions == ()


def test_companions_are_what_a_pack_holds():
    from lmcore.check.sources import FILE

    assert FILE in archives.COMPANIONS
