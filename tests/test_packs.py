"""What a class is handed: complete without the banks, and without any answer."""

import re
import sys
from html import escape

import pytest

import exercises
from exercises.grader import pack
from exercises.grader.source import standalone
from lmcore.check import check, notebook, sources
from lmcore.check.result import marked

pytestmark = pytest.mark.usefixtures("unchecked")


@pytest.fixture(scope="module")
def packs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("release")
    assert pack.main([str(folder)]) == 0
    return folder


def test_pack_holds_three_files_and_no_answer(packs):
    assert sorted(path.name for path in packs.iterdir()) == exercises.chapters()
    for chapter in exercises.chapters():
        assert sorted(path.name for path in (packs / chapter).iterdir()) == ["cases.json", "exercises.ipynb", "exercises.md"]
        text = "\n".join(path.read_text(encoding="utf-8") for path in (packs / chapter).iterdir())
        for exercise in exercises.bank(chapter):
            for answer in [exercise.reference, *exercise.right, *exercise.wrong]:
                body = [line.strip() for line in standalone(answer).splitlines() if line.startswith("    ")]
                code = [line for line in body if len(line) > 25 and ("=" in line or line.startswith("return"))]
                assert sum(line in text for line in code) <= len(code) / 2, answer.__name__
        assert "exercises.ch" not in text
        for name, question in sources.read(packs / chapter / "cases.json").items():
            drawn = [case for case in exercises.get(name).draw(0) if case.public]
            assert [case.label for case in question.cases] == [case.label for case in drawn]
            assert all(case.public for case in question.cases)


def test_pack_notebooks_are_the_same_and_valid(packs):
    nbformat, jupytext = pytest.importorskip("nbformat"), pytest.importorskip("jupytext")
    for chapter in exercises.chapters():
        text = jupytext.read(packs / chapter / "exercises.md")
        ipynb = nbformat.read(packs / chapter / "exercises.ipynb", 4)
        nbformat.validate(ipynb)
        assert [cell.source for cell in ipynb.cells] == [cell.source for cell in text.cells]
        assert ipynb.metadata["lmcore"] == {"chapter": chapter, "edition": exercises.EDITION}


def test_pack_reads_well_without_the_site(packs):
    """What only Sphinx understands stands in no statement, and what a student does not have is not linked."""
    for chapter in exercises.chapters():
        cells = notebook.read(packs / chapter / "exercises.ipynb").cells
        text = "\n".join(cell.source for cell in cells if cell.kind == "markdown")
        assert not re.search(r"\{[\w:-]+\}`|^:::|^```\{", text, re.MULTILINE), chapter
        assert not re.search(r"\]\((?!https?://)", text), chapter


@pytest.mark.parametrize("name", exercises.names())
def test_check_says_the_same_from_a_pack_as_in_the_checkout(name, packs, monkeypatch, capsys):
    exercise = exercises.get(name)
    answers = [exercise.reference, *exercise.right, *exercise.wrong, lambda *_: None, lambda *_: 1 / 0]
    here = [check(name, answer) for answer in answers]
    monkeypatch.chdir(packs / exercise.chapter)
    monkeypatch.setitem(sys.modules, "exercises", None)  # a student has no bank
    assert [check(name, answer) for answer in answers] == here
    assert [result._repr_html_() for result in here] == [check(name, answer)._repr_html_() for answer in answers]
    assert all(result.passed for result in here[: 1 + len(exercise.right)])
    assert [result.kind for result in here[1 + len(exercise.right) : -2]] == [wrong.__name__ for wrong in exercise.wrong]


def test_packing_again_replaces_its_files_only(packs, tmp_path, capsys):
    assert pack.main([str(tmp_path), "ch02_tokens"]) == 0
    target = tmp_path / "ch02_tokens"
    (target / "cases.json").write_text("old")
    (target / "notes.txt").write_text("mine")
    assert pack.main([str(tmp_path), "ch02_tokens"]) == 0
    assert (target / "cases.json").read_text() == (packs / "ch02_tokens" / "cases.json").read_text()
    assert (target / "notes.txt").read_text() == "mine"
    assert pack.main([str(tmp_path), "ch99"]) == 1
    assert "no chapter 'ch99'" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["ch02_tokens"]


def test_a_pack_with_an_answer_in_it_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "write", lambda questions, path: path.write_text(exercises.solution("wordpiece")))
    with pytest.raises(ValueError, match=r"ch02_tokens cannot be packed: .*code of wordpiece"):
        pack.pack("ch02_tokens", tmp_path)
    assert list((tmp_path / "ch02_tokens").iterdir()) == []


# A student with a kernel


def shown_by(cell) -> str:
    """What a cell shows a reader: text and HTML of its results, and its error."""
    texts = []
    for output in cell.get("outputs", []):
        texts += [*output.get("data", {}).values(), output.get("text", ""), output.get("evalue", "")]
    return "\n".join(texts)


def test_student_in_a_kernel_sees_hints_and_hands_in(tmp_path):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pack.pack("ch02_tokens", tmp_path)
    folder = tmp_path / "ch02_tokens"
    (folder / "exercises.md").unlink()
    book = nbformat.read(folder / "exercises.ipynb", 4)
    cells = {cell.metadata.exercise: cell for cell in book.cells if "exercise" in cell.metadata}
    cells["count_pairs"].source = exercises.solution("count_pairs")
    cells["bpe_encode"].source = "def bpe_encode(word, merges):\n    while True:\n        pass"
    nbformat.write(book, folder / "exercises.ipynb")

    told = {}  # three mistakes in a row, then a right answer that is not saved
    for wrong in (exercises.get("wordpiece").wrong[i] for i in (4, 5, 9)):
        told[wrong.__name__] = exercises.grader.exercise.hint(wrong)
        source = standalone(wrong).replace(f"def {wrong.__name__}(", "def wordpiece(")
        book.cells += [nbformat.v4.new_code_cell(text) for text in (source, 'check("wordpiece", wordpiece)')]
    right = [exercises.solution("wordpiece"), 'check("wordpiece", wordpiece)']
    hand_in = 'from lmcore.check import pack_submission\npack_submission("ch02_tokens", student="Ada")'
    book.cells += [nbformat.v4.new_code_cell(text) for text in [*right, hand_in, cells["wordpiece"].source, hand_in]]
    book.cells[-3].metadata.tags = ["raises-exception"]
    nbclient.NotebookClient(book, timeout=120, resources={"metadata": {"path": str(folder)}}).execute()

    first = [shown_by(cell) for cell in book.cells if cell.source.startswith("check(")]
    assert "✓ Passed: count_pairs: all 6 public cases pass." in first[0]
    assert "Not written yet: merge_pair" in first[1]
    assert "did not finish within 5 s" in first[2]
    assert "Not written yet: wordpiece" in first[3]
    for shown, hint in zip(first[4:7], told.values(), strict=True):
        assert hint in shown
        assert f"<strong>Hint.</strong> {marked(escape(hint))}" in shown
    assert "✓ Passed: wordpiece" in first[7]
    assert "on disk does not hold the wordpiece you ran: save the notebook" in shown_by(book.cells[-3])
    assert "2 of 4 exercises written, edition 1" in shown_by(book.cells[-1])
    assert (folder / "ch02_tokens-ada.zip").is_file()
