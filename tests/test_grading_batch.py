"""A class: the same folder gives the same bytes, one submission cannot stop or change another, and a stopped run goes on."""

import csv
import io
import json
import os
import re
import signal
import time
import zipfile
from dataclasses import replace

import pytest

import exercises
from exercises.grader import batch, fingerprint, grading, pool, reading, sandbox, scoring, table
from exercises.grader.isolation import Isolation
from exercises.grader.record import QuestionRecord, Record, read
from exercises.grader.sandbox import Run
from exercises.grader.submissions import Problem, Submission, collect
from lmcore.check.run import Answer
from tests.graded import parsed, shown
from tests.small_questions import CHAPTER, CLASS, NAMES, WORTH, hand_in, hand_in_all, right

SEED = "an unguessable line of text\n"


def in_this_process(cells, questions, isolation, limits):
    """A sandbox that is none, for answers that do no harm."""
    space = {}
    for cell in cells:
        if "check" not in cell and "pack_submission" not in cell:
            exec(cell, space)
    runs = []
    for question in questions:
        function = space.get(question.name)
        died = "_exit" in str(cells) and question.name == "count_pairs"
        if died:
            runs.append(Run([Answer("died", message="ended its process")] * len(question.cases)))
        elif callable(function):
            runs.append(Run(question.answers(function)))
        else:
            runs.append(Run([Answer("skipped")] * len(question.cases), "missing"))
    return runs


@pytest.fixture
def fake(monkeypatch, tmp_path):
    """Grading with a sandbox that is none; the lines of the file it returns say which submissions were graded."""
    log = tmp_path / "log"
    log.touch()

    def run(cells, questions, isolation, limits):
        with log.open("a") as file:
            file.write("graded\n")
        return in_this_process(cells, questions, isolation, limits)

    monkeypatch.setattr(sandbox, "run", run)
    for module in (grading, scoring, reading):  # a process for each look at an answer that does no harm takes long
        monkeypatch.setattr(module, "apart", lambda function, *args, seconds=0: json.loads(json.dumps(function(*args))))
    return log


@pytest.fixture
def handed(tmp_path):
    return hand_in_all(tmp_path / "week2")


@pytest.fixture
def choose(tmp_path, handed):
    seed = tmp_path / "seed"
    seed.write_text(SEED)

    def choice(out="grades", **changes):
        settings = {"isolation": Isolation("trust"), "jobs": 2, "questions": NAMES, "seed_file": seed}
        return batch.Choice(handed, tmp_path / out, **{**settings, **changes})

    return choice


def tree(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def count(log):
    return len(log.read_text().split())


def test_every_student_gets_what_the_answers_are_worth(fake, choose):
    outcome = batch.run(choose())
    assert {record.student: tuple(q.status for q in record.questions) for record in outcome.records} == {
        student: statuses for student, (_, statuses) in CLASS.items()
    }
    full = next(record for record in outcome.records if record.student == "Ada Lovelace")
    assert (full.points, full.possible) == (sum(WORTH.values()), sum(WORTH.values()))
    assert outcome.ours == []


def test_the_same_folder_gives_the_same_bytes_whatever_the_jobs(fake, choose):
    batch.run(choose("one", jobs=1))
    batch.run(choose("three", jobs=3))
    one, three = tree(choose("one").out), tree(choose("three").out)
    assert one == three
    assert len([name for name in one if name.startswith("records")]) == len(CLASS)


def test_what_is_graded_is_kept(fake, choose, handed):
    batch.run(choose())
    before = tree(choose().out)
    assert batch.run(choose()).kept == len(CLASS)
    assert count(fake) == len(CLASS)
    assert tree(choose().out) == before
    hand_in(handed, "Emmy Noether", right("count_pairs"), right("merge_pair"))
    outcome = batch.run(choose())
    assert (outcome.kept, count(fake)) == (len(CLASS) - 1, len(CLASS) + 1)
    assert read(choose().out / "records" / "emmy-noether.json").points == sum(WORTH.values())


@pytest.mark.parametrize(
    "change", [{"partial": 0.0}, {"again": True}, {"questions": NAMES[:1]}, {"isolation": Isolation("user")}]
)
def test_another_way_of_grading_grades_all_again(fake, choose, change):
    batch.run(choose())
    assert batch.run(choose(**change)).kept == 0
    assert count(fake) == 2 * len(CLASS)


def test_a_spoilt_record_is_graded_again(fake, choose):
    batch.run(choose())
    before = tree(choose().out)
    (choose().out / "records" / "ada-lovelace.json").write_text('{"format": 1}')
    assert batch.run(choose()).kept == len(CLASS) - 1
    assert tree(choose().out) == before


def test_who_left_leaves_the_report(fake, choose, handed):
    batch.run(choose())
    mine = choose().out / "records" / "notes.json"
    mine.write_text("[]")
    (handed / "alan-turing.zip").unlink()
    batch.run(choose())
    left = tree(choose().out)
    assert not any("alan" in name for name in left)
    assert b"Alan" not in b"".join(left.values())
    assert mine.exists()


def test_a_stopped_run_goes_on_and_ends_in_the_same_bytes(fake, choose, monkeypatch):
    batch.run(choose("whole"))
    graded = grading.grade

    def stopped(submission, plan):
        if submission.student == "Emmy Noether":
            os.kill(os.getppid(), signal.SIGINT)
            time.sleep(60)
        return graded(submission, plan)

    monkeypatch.setattr(batch, "grade", stopped)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a worker of xdist has none
    try:
        with pytest.raises(KeyboardInterrupt):
            batch.run(choose("stopped", jobs=1))
    finally:
        signal.signal(signal.SIGINT, before)
    done = len(list((choose("stopped").out / "records").iterdir()))
    assert 0 < done < len(CLASS)
    assert not (choose("stopped").out / "grades.csv").exists()
    monkeypatch.setattr(batch, "grade", graded)
    assert batch.run(choose("stopped")).kept == done
    assert tree(choose("stopped").out) == tree(choose("whole").out)


@pytest.mark.parametrize("jobs", [1, 2])
def test_who_was_out_of_time_beside_others_is_graded_once_more_alone(fake, choose, monkeypatch, tmp_path, jobs):
    batch.run(choose("whole"))
    graded, seen, running = grading.grade, tmp_path / "seen", tmp_path / "running"

    def slow_at_first(submission, plan):
        record = graded(submission, plan)
        if submission.student == "Emmy Noether":
            first = not seen.exists()
            seen.open("a").write(f"{len(list(running.iterdir()))} ")
            questions = tuple(replace(question, points=0.0, late=True) for question in record.questions)
            return replace(record, questions=questions) if first else record
        one = running / submission.key
        one.touch()
        time.sleep(0.2)
        one.unlink()
        return record

    running.mkdir()
    monkeypatch.setattr(batch, "grade", slow_at_first)
    records = {record.student: record for record in batch.run(choose("slow", jobs=jobs)).records}
    times = seen.read_text().split()
    if jobs == 1:
        assert len(times) == 1
        assert {question.points for question in records["Emmy Noether"].questions} == {0.0}
    else:
        assert len(times) == 2
        assert times[1] == "0", "alone"
        assert tree(choose("slow").out) == tree(choose("whole").out)


def fails(question_name):
    def run(cells, questions, isolation, limits):
        if "raise KeyError(str(words))" in str(cells):
            raise RuntimeError(f"the sandbox broke\x1b[2J {question_name}")
        return in_this_process(cells, questions, isolation, limits)

    return run


def test_our_own_failure_is_said_costs_one_submission_and_is_tried_again(fake, choose, monkeypatch, capfd):
    batch.run(choose("whole"))
    monkeypatch.setattr(sandbox, "run", fails("count_pairs"))
    outcome = batch.run(choose())
    assert [record.student for record in outcome.ours] == ["Zoë Ünal"]
    assert {note for question in outcome.ours[0].questions for note in question.notes} == {
        "The grader failed on this question: RuntimeError (a bug of the grader; nothing was counted)"
    }
    said = capfd.readouterr().err
    assert "the sandbox broke?[2J count_pairs" in said
    assert "\x1b[2J" not in said
    monkeypatch.setattr(sandbox, "run", in_this_process)
    outcome = batch.run(choose())
    assert (outcome.kept, outcome.ours) == (len(CLASS) - 1, [])
    assert tree(choose().out) == tree(choose("whole").out)


def test_our_own_failure_in_comparing_costs_one_question(fake, choose, monkeypatch, capfd):
    scored = scoring.score

    def score(question, *args, **kwargs):
        if question.name == "merge_pair":
            raise ZeroDivisionError
        return scored(question, *args, **kwargs)

    monkeypatch.setattr(scoring, "score", score)
    ada = next(record for record in batch.run(choose()).records if record.student == "Ada Lovelace")
    assert [question.status for question in ada.questions] == ["passed", "crashed"]
    assert ada.points == WORTH["count_pairs"]


def test_a_grader_that_dies_costs_one_submission(fake, choose, monkeypatch, capfd):
    def run(cells, *rest):
        if "os._exit" in str(cells):
            os.kill(os.getpid(), signal.SIGKILL)
        return in_this_process(cells, *rest)

    monkeypatch.setattr(sandbox, "run", run)
    outcome = batch.run(choose())
    assert [record.student for record in outcome.ours] == ["Alan Turing"]
    assert "its process was ended by SIGKILL" in outcome.ours[0].questions[0].notes[0]
    assert len(outcome.records) == len(CLASS)


def test_who_handed_in_another_chapter_gets_nothing_for_this_one(fake, choose):
    plan = grading.plan([exercises.get("sgns_loss")], 1, Isolation("trust"))
    (ada, *_) = collect(choose().folder, exercises.chapters()).submissions
    (question,) = grading.grade(ada, plan).questions
    assert (question.status, question.points, question.possible) == ("missing", 0.0, exercises.get("sgns_loss").points)
    assert question.hint == "Nothing was handed in for ch03_embeddings."


def test_who_handed_in_another_chapter_alone_is_a_line_of_the_report(fake, choose):
    outcome = batch.run(choose(questions=["sgns_loss"]))
    said = {problem.source: problem.text for problem in outcome.problems}
    assert len(said) == len(CLASS)
    assert said["ada-lovelace.zip"] == "holds ch02_tokens and nothing that is graded here: Ada Lovelace has 0 points"
    assert "ada-lovelace.zip" in (choose().out / batch.PROBLEMS).read_text("utf-8-sig")
    assert not any("nothing that is graded" in problem.text for problem in batch.run(choose("other")).problems)


def test_what_is_graded_follows_from_what_was_handed_in(choose):
    collection = collect(choose().folder, exercises.chapters())
    everything = [exercise.name for exercise in exercises.bank(CHAPTER)]
    assert [exercise.name for exercise in batch.chosen(choose(questions=()), collection)] == everything
    two = batch.chosen(choose(questions=("sgns_loss", "count_pairs")), collection)
    assert [exercise.name for exercise in two] == ["count_pairs", "sgns_loss"]
    chapters = batch.chosen(choose(questions=(), chapters=["ch03_embeddings"]), collection)
    assert {exercise.chapter for exercise in chapters} == {"ch03_embeddings"}
    with pytest.raises(ValueError, match="no exercise is called 'count'"):
        batch.chosen(choose(questions=["count"]), collection)


def test_folders_are_checked_before_anything_is_written(fake, choose, tmp_path, handed):
    for out in (handed, handed / "grades", tmp_path):
        with pytest.raises(ValueError, match="folder of their own"):
            batch.run(choose(out))
    with pytest.raises(ValueError, match="is a file"):
        batch.run(choose(tmp_path / "seed"))
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "grades.csv").write_text("mine")
    with pytest.raises(ValueError, match="holds other files"):
        batch.run(choose(foreign))
    assert tree(foreign) == {"grades.csv": b"mine"}
    with pytest.raises(ValueError, match="there is no folder"):
        batch.check_folders(tmp_path / "none", foreign)
    (tmp_path / "empty" / "inner").mkdir(parents=True)
    (tmp_path / "empty" / ".DS_Store").touch()
    with pytest.raises(ValueError, match="no file in"):
        batch.run(replace(choose(), folder=tmp_path / "empty"))
    assert not choose().out.exists()


def test_a_folder_in_which_every_file_is_malformed_gives_a_report(choose, tmp_path):
    folder = tmp_path / "spoilt"
    folder.mkdir()
    for name, content in (("a.ipynb", b"{"), ("b.zip", b"PK\x03\x04"), ("c.pdf", b"%PDF"), ("d.md", b"")):
        (folder / name).write_bytes(content)
    for asked in ({"questions": ()}, {}):
        outcome = batch.run(replace(choose(), folder=folder, **asked))
        assert outcome.records == ()
        assert [problem.source for problem in outcome.problems] == ["a.ipynb", "b.zip", "c.pdf", "d.md"]
        page = parsed((choose().out / "report.html").read_text("utf-8"))
        assert "Nothing could be graded" in shown(page.find(class_="next"))
        for problem in outcome.problems:
            assert f"{problem.source} {problem.text}" in shown(page.find(id="look"))
        rows = list(csv.reader(io.StringIO((choose().out / "problems.csv").read_text("utf-8-sig"))))
        assert rows == [["file", "problem"], *([problem.source, problem.text] for problem in outcome.problems)]
        (head,) = csv.reader(io.StringIO((choose().out / "grades.csv").read_text("utf-8-sig")))
        names = list(asked.get("questions", NAMES))
        assert head == ["student", *names, "total", "possible", "flags", "isolation", "file", *(f"{n} status" for n in names)]


def test_the_folder_of_grades_and_its_secret_are_for_their_owner_alone(fake, choose):
    batch.run(choose(seed_file=None))
    out = choose().out
    assert out.stat().st_mode & 0o777 == 0o700
    assert (out / "grading-seed").stat().st_mode & 0o777 == 0o600
    assert all(path.stat().st_mode & 0o077 == 0 for path in out.rglob("*.*") if path.is_file() and path.name != batch.MARK)


def test_the_secret_is_made_once_and_must_be_one(tmp_path):
    path = tmp_path / "seed"
    first = fingerprint.secret_seed(path)
    assert fingerprint.secret_seed(path) == first
    path.unlink()
    assert fingerprint.secret_seed(path) != first
    for weak in ("", "42\n", "ä" * 40, "two\nlines of what is long enough"):
        path.write_text(weak, encoding="utf-8")
        with pytest.raises(ValueError, match="holds no seed"):
            fingerprint.secret_seed(path)


def test_a_fingerprint_changes_with_the_seed_the_bank_and_the_questions(tmp_path, monkeypatch):
    chosen = [exercises.get(name) for name in NAMES]
    first = fingerprint.fingerprint(chosen, 1, ("trust",))
    assert first == fingerprint.fingerprint(chosen, 1, ("trust",))
    others = {
        fingerprint.fingerprint(chosen, 2, ("trust",)),
        fingerprint.fingerprint(chosen[:1], 1, ("trust",)),
        fingerprint.fingerprint(chosen, 1, ("user",)),
    }
    monkeypatch.setattr(exercises, "HERE", tmp_path)  # another grader
    others.add(fingerprint.fingerprint(chosen, 1, ("trust",)))
    assert len(others | {first}) == 5


def test_another_seed_draws_other_hidden_cases():
    one, two = (grading.plan([exercises.get("count_pairs")], seed, Isolation("trust")) for seed in (1, 2))
    ((a, _),), ((b, _),) = one.chapters[CHAPTER], two.chapters[CHAPTER]
    assert a.cases != b.cases
    assert [case for case in a.cases if case.public] == [case for case in b.cases if case.public]


# Tables


def record_of(student, source="a.zip", **changes):
    question = QuestionRecord("count_pairs", CHAPTER, 1.5, 2, "partly", "raises", flags=("look", "and look"), **changes)
    return Record(student, "key", source, "0", "1", "trust", (question,))


@pytest.mark.parametrize(
    "name",
    ["=1+1", "+1", "-1", "@A1", "\t=1", "\r=1", " =1", "x;=1+1", 'x";=1', "x,=1", "x|=1", "\ufeff=1", "\uff1d1", "a\n=1"],
)
def test_nothing_in_a_table_is_taken_for_a_formula(name):
    for text in (table.grades([record_of(name, source=name)], ["count_pairs"]), table.problems([Problem(name, name)])):
        rows = list(csv.reader(io.StringIO(text)))
        assert len(rows) == 2
        parts = [part.strip() for row in rows for cell in row for part in re.split('[;,|"]', cell)]
        assert not [part for part in parts if part.startswith(tuple("=+-@\uff1d"))], parts


def test_a_table_of_grades(fake, choose):
    batch.run(choose())
    raw = (choose().out / "grades.csv").read_bytes()
    assert raw.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(io.StringIO(raw.decode("utf-8-sig"))))
    assert [row["student"] for row in rows] == sorted(CLASS, key=str.casefold)
    ada = rows[0]
    assert (ada["count_pairs"], ada["merge_pair"], ada["total"], ada["possible"]) == ("2.0", "3.0", "5.0", "5")
    assert (ada["isolation"], ada["file"], ada["count_pairs status"]) == ("trust", "ada-lovelace.zip", "passed")
    assert table.grades([record_of("Ada")], ["count_pairs"]).splitlines()[1] == "Ada,1.5,1.5,2,2,trust,a.zip,partly"


def test_the_bar_on_a_terminal_obeys_no_name(fake, choose, handed, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    hand_in(handed, "Zz\u202e\u009b2J", right("count_pairs"), None)
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    batch.run(choose(jobs=1))
    said = terminal.getvalue()
    assert "6/6" in said
    assert any(name in said for name in (*CLASS, "Zz"))  # whoever was done when the bar was drawn
    assert not re.search("[\x80-\x9f\u202a-\u202e]|\x1b(?!\\[A)", said)


def test_a_zip_of_the_class_does_as_well(fake, choose, tmp_path):
    whole = tmp_path / "week2.zip"
    with zipfile.ZipFile(whole, "w") as archive:
        for path in choose().folder.iterdir():
            archive.write(path, path.name)
    outcome = batch.run(replace(choose(), folder=whole))
    assert {record.student for record in outcome.records} == set(CLASS)
    assert "week2: class report" in outcome.report.read_text()


def test_a_terminal_obeys_no_name():
    said = table.clean("\x1b]0;title\x07\x9b2J\u202eAda\nLove\ud800lace\r")
    assert said == "?]0;title??2J?Ada Love?lace"
    assert table.clean("a\n\x1bb", lines=True) == "a\n?b"
    assert len(table.clean("x" * 99_999)) == 10_000
    assert table.clean("می\u200cخواهم") == "می\u200cخواهم"  # a name needs its joiners


# Processes


def test_what_goes_wrong_with_one_item_costs_that_item(capfd):
    def work(what):
        if what == "raises":
            raise ValueError(what)
        if what == "sleeps":
            time.sleep(60)
        if what == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        return what.upper()

    outcomes = dict(pool.each(work, ["one", "raises", "sleeps", "dies", "two"], jobs=3, seconds=2))
    assert (outcomes["one"], outcomes["two"]) == ("ONE", "TWO")
    assert outcomes["sleeps"] == pool.Lost("it took longer than 2 s")
    assert outcomes["raises"] == pool.Lost("its process ended early")
    assert outcomes["dies"] == pool.Lost("its process was ended by SIGKILL")


def test_no_more_than_so_many_at_a_time(tmp_path):
    def work(number):
        mine = tmp_path / str(number)
        mine.touch()
        time.sleep(0.05)
        most = len(list(tmp_path.iterdir()))
        mine.unlink()
        return str(most)

    assert max(int(most) for _, most in pool.each(work, range(8), jobs=3, seconds=60)) <= 3


class InAFinalizer:
    """Told to stop while Python would drop the exception that says so."""

    def __init__(self, mark):
        self.mark = mark

    def __del__(self):
        self.mark.touch()
        time.sleep(60)


def test_who_stops_waiting_ends_all_and_lets_them_tidy_up(tmp_path):
    def work(number):
        if number == 0:
            while len(list(tmp_path.iterdir())) < 2:
                time.sleep(0.01)
            return ""
        mine = tmp_path / str(os.getpid())
        try:
            if number == 2:
                finalizer = InAFinalizer(mine)
                del finalizer
            mine.touch()
            time.sleep(60)
        finally:
            mine.rename(tmp_path / f"{mine.name} tidy")
        return ""

    outcomes = pool.each(work, range(3), jobs=3, seconds=60)
    next(outcomes)
    outcomes.close()
    left = [path.name.split() for path in tmp_path.iterdir()]
    assert [words[1:] for words in left] == [["tidy"], ["tidy"]]
    assert not [pid for pid, _ in left if os.path.exists(f"/proc/{pid}")]


def test_a_submission_with_nothing_in_it():
    nobody = Submission("Nobody", "nobody", "x.zip", "0", (), ("no notebook",))
    plan = grading.plan([exercises.get("count_pairs")], 1, Isolation("trust"))
    found = grading.grade(nobody, plan)
    assert ([question.status for question in found.questions], found.notes) == (["missing"], ("no notebook",))
