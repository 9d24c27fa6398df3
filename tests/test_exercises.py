"""The banks are proven, and the proof itself is tested by breaking things."""

import ast
import random
from dataclasses import replace

import pytest
import torch

import exercises
from exercises import validate
from exercises.ch02_tokens.bank import count_pairs as counting
from exercises.grader import mutants, notebook, secrecy
from exercises.grader.exercise import Exercise, hidden, hint, normal, public
from exercises.grader.source import standalone
from exercises.grader.validate import prove
from lmcore.check import calls
from lmcore.check.diagnose import diagnose, examine
from lmcore.check.run import Answer

# Every exercise is proven; three seeds here, all twenty by `python -m exercises.validate`.
SEEDS = 3

# The shapes of lmcore's other rooms are not at stake here, and the banks call the same small functions very often.
pytestmark = pytest.mark.usefixtures("unchecked")


@pytest.mark.parametrize("name", exercises.names())
def test_bank_is_proven(name):
    proof = prove(exercises.get(name), SEEDS)
    assert proof.failures == []
    assert proof.reached == proof.wrong >= 8
    assert proof.killed + proof.equivalent == proof.mutants > 0


@pytest.mark.parametrize("chapter", exercises.chapters())
def test_notebook_agrees_with_its_bank(chapter):
    assert notebook.problems(chapter) == []


@pytest.mark.parametrize("name", exercises.names())
def test_solution_runs_as_it_stands(name):
    exercise = exercises.get(name)
    namespace: dict = {}
    exec(compile(exercises.solution(name), "<solution>", "exec"), namespace)
    assert examine(exercise.question(seed=3), namespace[name]).passed
    assert "exercises.grader" not in exercises.solution(name)


def test_validate_prints_a_table_and_says_when_it_fails(capsys, monkeypatch):
    assert validate.main(["count_pairs", "--seeds", "1"]) == 0
    printed = capsys.readouterr().out
    wrong = len(exercises.get("count_pairs").wrong)
    assert f"{wrong} of {wrong}" in printed
    assert "100.0 %" in printed
    broken = replace(exercises.get("count_pairs"), equivalent={"no such": "reason"})
    monkeypatch.setitem(exercises._all(), "count_pairs", broken)
    assert validate.main(["count_pairs", "--seeds", "1"]) == 1
    assert "FAILED count_pairs: listed as equivalent, but there is no such mutant" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["no_such"], ["--seeds", "0"]])
def test_validate_refuses_what_it_cannot_prove(arguments, capsys):
    with pytest.raises(SystemExit):
        validate.main(arguments)
    assert "no exercise is called" in (error := capsys.readouterr().err) or "at least 1" in error


# The proof notices a broken bank


def only(*cases):
    return lambda rng: [*cases, hidden("drawn", {("a",) * rng.randint(2, 5): rng.randint(1, 9) for _ in range(3)})]


def loses_b(words):
    """You lost b."""
    return {pair: n for pair, n in counting.count_pairs(words).items() if "b" not in pair}


def loses_b_too(words):
    """You lost b again."""
    return loses_b(words)


def never_wrong(words):
    """This is right."""
    return counting.count_pairs(words)


def always_raises(words):
    """You raise."""
    raise KeyError(words)


def brittle(words):
    return {} if ("q",) in words else counting.count_pairs(words)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"right": [*counting.EXERCISE.right, brittle], "cases": only(public("q", {("q",): 1, ("a", "b"): 2}))},
            "brittle fails",
        ),
        ({"wrong": [*counting.EXERCISE.wrong, never_wrong]}, "never_wrong is taken for right"),
        ({"wrong": [*counting.EXERCISE.wrong, always_raises]}, "always_raises returns nothing on any public case"),
        ({"wrong": [*counting.EXERCISE.wrong, loses_b, loses_b_too]}, "loses_b is taken for loses_b and loses_b_too"),
        ({"cases": only(public("one pair", {("a", "b"): 1}))}, "ignores_frequency is taken for"),
        ({"cases": lambda rng: [public("no", {}), hidden("one symbol", {(f"{rng.random()}",): 1})]}, "a mutant survives"),
        ({"cases": lambda rng: [hidden("a", {("a", "b"): 2})]}, "there is no public case"),
        ({"cases": lambda rng: [public("a", {("a", "b"): 2})]}, "there is no hidden case"),
        ({"cases": lambda rng: [public("a", {}), hidden("b", {("a", "b"): 2})]}, "no hidden case depends on the seed"),
        ({"cases": lambda rng: [public(f"{rng.random()}", {}), hidden("b", {})]}, "the labels of the cases depend on the seed"),
        ({"equivalent": {"+= → -=": "not so"}}, "there is no such mutant"),
        ({"equivalent": {"{} → {}": " "}}, "no reason is given"),
    ],
)
def test_proof_notices(changes, says):
    broken = replace(counting.EXERCISE, **changes)
    assert any(says in failure for failure in prove(broken, seeds=2).failures)


def test_proof_notices_a_mutant_that_is_listed_but_dies():
    name = next(mutants.mutants(standalone(counting.count_pairs), "count_pairs")).name
    broken = replace(counting.EXERCISE, equivalent={name: "because"})
    assert any("but a case notices it" in failure for failure in prove(broken, seeds=1).failures)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"difficulty": 4}, "difficulty is 1, 2 or 3"),
        ({"minutes": 0}, "positive"),
        ({"right": counting.EXERCISE.right[:2]}, "at least three right"),
        ({"wrong": counting.EXERCISE.wrong[:7]}, "at least eight wrong"),
        ({"right": [*counting.EXERCISE.right, lambda words: {}]}, "lambda"),
        ({"right": [*counting.EXERCISE.right, counting.EXERCISE.right[0]]}, "two answers are called"),
        ({"wrong": [*counting.EXERCISE.wrong, brittle]}, "has no docstring"),
        ({"equal": "roughly"}, "equal is one of"),
        ({"probe": "guess"}, "probe is one of"),
    ],
)
def test_an_exercise_says_what_it_lacks(changes, says):
    with pytest.raises(ValueError, match=f"exercise count_pairs: .*{says}"):
        replace(counting.EXERCISE, **changes)


def test_an_answer_that_never_ends_is_named():
    def endless(words):
        """You never end."""
        while True:
            pass

    broken = replace(counting.EXERCISE, wrong=[*counting.EXERCISE.wrong, endless], seconds=0.02)
    with pytest.raises(ValueError, match="endless takes too long"):
        broken.question()


def test_hint_keeps_paragraphs_and_joins_lines():
    def wrong():
        """One
        line.

        Another."""

    assert hint(wrong) == "One line.\nAnother."


def test_cases_depend_on_the_seed_alone():
    exercise = exercises.get("merge_pair")
    assert exercise.draw(4) == exercise.draw(4)
    assert exercise.draw(4) != exercise.draw(5)
    first, second = normal(random.Random(1), 2, 3), normal(random.Random(1), 2, 3)
    assert torch.equal(first, second)
    assert first.shape == (2, 3)


def test_names_are_found_or_listed():
    assert exercises.get("count_pairs").chapter == "ch02_tokens"
    for lookup in (exercises.get, exercises.solution, exercises.public_questions):
        with pytest.raises(ValueError, match=r"no exercise is called 'nope'.*count_pairs"):
            lookup("nope")
    with pytest.raises(ValueError, match=r"no chapter 'ch99'.*ch02_tokens"):
        exercises.bank("ch99")


def test_every_exercise_says_its_own_chapter():
    for chapter in exercises.chapters():
        assert {exercise.chapter for exercise in exercises.bank(chapter)} == {chapter}


# Mutants

EXAMPLE = '''
import math

SCALE = 2.0

def half(x):
    return x / SCALE

def f(x, n=3):
    """Not changed."""
    total = 0
    for i in range(n):
        if i < 2 and not x > 9:
            total += half(x)
    return math.exp(total)[1:]
'''


def test_mutants_are_named_by_what_changed_and_are_all_different():
    names = [mutant.name for mutant in mutants.mutants(EXAMPLE, "f")]
    assert len(names) == len(set(names))
    for expected in [
        "i < 2 → i <= 2",
        "i < 2 and (not x > 9) → i < 2 or not x > 9",
        "not x > 9 → x > 9",
        "total += half(x) → total -= half(x)",
        "drop: total += half(x)",
        "x / SCALE → x * SCALE",  # the helper too
        "x / SCALE → x",
        "0 → 1",
        "0 → -1",
        "math.exp(total) → math.log(total)",
        "1: → :",
        "never: if i < 2 and (not x > 9):",
    ]:
        assert expected in names
    assert not any("Not changed" in name or "n=3" in name for name in names)


def test_each_mutant_differs_from_its_source_in_one_place():
    source = standalone(exercises.get("merge_pair").reference)
    before = ast.unparse(ast.parse(source)).splitlines()
    for _, tree in mutants.changes(source):
        after = ast.unparse(tree).splitlines()
        assert after != before
        assert abs(len(after) - len(before)) <= 3  # an if or a loop may go, and no more


# Feedback and hidden cases


@pytest.mark.parametrize("name", exercises.names())
def test_feedback_never_shows_hidden_cases(name):
    assert secrecy.leaks(exercises.get(name).question(seed=11)) == []


@pytest.mark.parametrize("spilled", ["message", "value", "label"])
def test_a_leak_would_be_noticed(spilled):
    question = exercises.get("merge_pair").question(seed=1)

    def careless(question, answers):
        result = diagnose(question, answers)
        i = next(i for i, case in enumerate(question.cases) if not case.public and case.args[0])
        told = {"message": answers[i].message, "value": str(question.expected[i].value), "label": question.cases[i].label}
        return replace(result, hint=result.hint + told[spilled])

    assert secrecy.leaks(question, careless)


# The notebook


def edited(monkeypatch, tmp_path, old, new, chapter="ch02_tokens"):
    text = notebook.path(chapter).read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "exercises.md").write_text(text.replace(old, new, 1), encoding="utf-8")
    monkeypatch.setattr(notebook, "path", lambda chapter: tmp_path / "exercises.md")
    return " ".join(notebook.problems(chapter))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("edition: '1'", "edition: '0'", "the header says chapter ch02_tokens, edition 0"),
        ("lmcore:\n", "other:\n", "not one of the book's exercise notebooks"),
        (":exercise: merge_pair", ":exercise: merge", "the cells tagged exercise are"),
        ("def merge_pair(words, pair):", "def merge_pair(pair, words):", "the stub takes (pair, words)"),
        ('raise NotImplementedError("Not written yet")', "return {}", "not just a docstring"),
        ('"""How often each pair of adjacent symbols occurs.', '_ = """How often', "not just a docstring"),
        ('check("count_pairs", count_pairs)', "count_pairs", "no cell calls check"),
        ("*10 minutes ·", "*9 minutes ·", "no text cell holds the line"),
        ('pack_submission("ch02_tokens"', 'pack_submission("ch01"', "the last code cell"),
        (
            "You need plain Python only.",
            "    merged = {}\n    for word, frequency in words.items():\n",
            "holds code of merge_pair",
        ),
        ("You need plain Python only.", "def disjoint_pairs(words): ...", "names disjoint_pairs"),
    ],
)
def test_notebook_problems_are_found(monkeypatch, tmp_path, old, new, says):
    assert says in edited(monkeypatch, tmp_path, old, new)


@pytest.mark.parametrize("name", exercises.names())
def test_the_call_of_a_public_case_can_be_typed(name):
    question = exercises.public_questions(name)[name]
    for case in question.cases:
        text = calls.call(name, question.probe, question.parameters, case.args)
        assert len(text) < 3000
        if "…" not in text:
            ast.parse(text)


def test_answers_travel_as_plain_data():
    """What a grader in another process needs: inputs out, answers back, and the same diagnosis."""
    from lmcore.check import wire

    for name in exercises.names():
        question = exercises.get(name).question(seed=2)
        for mistake in list(question.mistakes.values())[:3]:
            sent = wire.decode(wire.encode([answer.record() for answer in mistake.answers]))
            back = [Answer.from_record(record) for record in sent]
            assert diagnose(question, back) == diagnose(question, mistake.answers)


def test_exercise_is_a_frozen_value():
    with pytest.raises(AttributeError):
        exercises.get("count_pairs").points = 100
    assert isinstance(exercises.get("count_pairs"), Exercise)
