"""Exercise sheets: what they hold, what is withheld, and the exact answers, held against enumeration and sampling."""

from collections import Counter, defaultdict

import numpy as np
import pytest

from lmcore.world import Sheets
from lmcore.world.sheets import CATEGORIES, TASKS, categories, facts

DRAWN = Sheets(lines=5).sample(4_001, seed=3)


def test_a_sheet_of_facts_tells_facts_of_one_task():
    known = facts()
    assert set(known) == set(TASKS)
    assert known["capital"]["France"] == "Paris"
    assert known["number"]["nine"] == "ten"
    for sheet in DRAWN:
        if sheet.task == "labels":
            continue
        assert all(known[sheet.task][x] == y for x, y in sheet.lines)
        assert len({x for x, _ in sheet.lines}) == 5
        assert sheet.title in ("", sheet.task)


def test_a_sheet_of_labels_gives_one_label_to_all_words_of_a_category_and_to_no_other():
    kind = {word: name for name, words in categories().items() for word in words}
    found = [sheet for sheet in DRAWN if sheet.task == "labels"]
    seen = Counter()
    for sheet in found:
        stands = {(kind[x], y) for x, y in sheet.lines}
        assert len({name for name, _ in stands}) == len({label for _, label in stands}) == len(stands) <= 2
        assert len({x for x, _ in sheet.lines}) == 5
        assert not sheet.title
        seen.update(stands)
    assert len(seen) == len(CATEGORIES) * 10, "every label stands for every category on some sheet"


def test_shares_are_what_they_are_said_to_be():
    tasks = Counter(sheet.task for sheet in DRAWN)
    assert 0.46 < tasks["labels"] / len(DRAWN) < 0.54
    assert all(0.8 < count / (len(DRAWN) / 2 / len(TASKS)) < 1.2 for task, count in tasks.items() if task != "labels")
    assert 0.45 < np.mean([bool(sheet.title) for sheet in DRAWN if sheet.task != "labels"]) < 0.55
    assert {sheet.task for sheet in Sheets(share=1).sample(50, 0)} <= set(TASKS)
    assert all(sheet.title for sheet in Sheets(share=1, titled=1).sample(50, 0))


def test_text_and_vocabulary():
    sheets = Sheets(lines=2, share=1, titled=1, tasks=("capital",))
    sheet = sheets.sample(1, seed=5)[0]
    (a, b), (c, d) = sheet.lines
    assert sheet.text == f"capital : {a} → {b} . {c} → {d} ."
    assert all(word in Sheets().vocabulary for other in Sheets().sample(301, 7) for word in other.tokens)


def test_equal_seeds_give_equal_sheets_and_a_longer_row_begins_with_the_shorter():
    assert Sheets().sample(7, 5) == Sheets().sample(13, 5)[:7]
    assert Sheets().sample(7, 5) != Sheets().sample(7, 6)


def test_what_is_withheld_is_never_asked():
    sheets = Sheets(withheld={"capital": ("Norway", "Peru"), "young": ("duck",)}, share=0.9)
    asked = defaultdict(set)
    for sheet in sheets.sample(3_001, seed=1):
        asked[sheet.task] |= {x for x, _ in sheet.lines}
    assert not asked["capital"] & {"Norway", "Peru"}
    assert "duck" not in asked["young"]
    assert "Norway" in asked["language"]
    assert len(asked["capital"]) == len(sheets.facts["capital"]) - 2
    assert sheets.facts["capital"]["Norway"] == "Oslo"
    assert "Oslo" in sheets.vocabulary


@pytest.mark.parametrize("slips", [0, 0.3])
@pytest.mark.parametrize("title", ["", "young"])
def test_answers_are_the_frequencies_of_sampled_sheets(title, slips):
    """χ² on all sheets that begin alike, in a small language, so that there are enough of them."""
    sheets = Sheets(lines=3, tasks=("young", "plural"), labels=("Ann", "Ben", "Cem"), share=0.7, titled=0.3, slips=slips)
    animals = Counter()
    for sheet in sheets.sample(25_000, seed=2):
        (x, y), *_ = sheet.lines
        if sheet.title == title and x == "dog":
            animals[y] += 1
    expected = sheets.answers([], "dog", title)
    assert set(animals) == set(expected)
    total = sum(animals.values())
    assert total > 60
    square = sum((animals[a] - total * p) ** 2 / (total * p) for a, p in expected.items())
    assert square < 20, f"χ² of {len(expected) - 1} degrees of freedom"


def test_answers_after_lines_agree_with_samples():
    sheets = Sheets(lines=3, tasks=("young",), labels=("Ann", "Ben", "Cem"), share=0.01, mixed=2)
    again, fresh = [], []
    kind = {word: name for name, words in sheets.words.items() for word in words}
    for sheet in sheets.sample(20_000, seed=4):
        if sheet.task != "labels":
            continue
        (x1, _), (x2, _), (x3, y3) = sheet.lines
        p = sheets.answers(sheet.lines[:2], x3)
        if kind[x3] in (kind[x1], kind[x2]):
            again.append(p[y3])
        else:
            fresh.append(y3)
            assert len(p) == 2, "one label is taken, and one of the two others comes"
            assert all(abs(value - 1 / 2) < 1e-12 for value in p.values())
    assert set(again) == {1.0}
    assert fresh


def test_lines_above_settle_the_task():
    sheets = Sheets()
    assert sheets.answers([], "France", "capital") == {"Paris": 1.0}
    open_ = sheets.answers([], "France")
    assert abs(open_["Paris"] - open_["French"]) < 1e-12
    assert 0 < sum(open_[label] for label in sheets.labels) < 1
    assert abs(sum(open_.values()) - 1) < 1e-12
    assert sheets.answers([("Italy", "Italian")], "France") == {"French": 1.0}
    assert sheets.answers([("dog", "Bob"), ("France", "Nora")], "Italy") == {"Nora": 1.0}
    after_one = sheets.answers([("dog", "Bob")], "Italy")
    assert "Bob" not in after_one
    assert len(after_one) == len(sheets.labels) - 1


def test_both_kinds_of_sheets_weigh_as_bayes_rule_says():
    """By hand: p(facts) = share · (1 − titled) / tasks / questions; p(labels) = (1 − share) / categories · 1 / words · …"""
    sheets = Sheets(tasks=("capital", "language", "opposite"), share=0.25, titled=0.2, mixed=3, labels=("a", "b", "c", "d"))
    n, words = len(sheets.questions["capital"]), len(sheets.words["country"])
    fact = 0.25 * 0.8 / 3 / n
    label = 0.75 * (3 / 6) / 3 / words / 4
    found = sheets.answers([], "Peru")
    assert abs(found["Lima"] / found["a"] - fact / label) < 1e-9


def test_the_same_lines_weigh_by_how_many_questions_each_task_has():
    """By hand: a task with n questions asks two of them in this order with probability 1 / n / (n − 1)."""
    sheets = Sheets(tasks=("young", "plural"), share=1, titled=0, slips=0.5, withheld={"young": ("duck", "goose", "swan")})
    young, plural = (len(sheets.questions[task]) for task in sheets.tasks)
    assert young == plural - 3
    found = sheets.answers([("cat", "kitten")], "dog")
    weights = {"puppy": 1 / young / (young - 1), "dogs": 1 / plural / (plural - 1)}  # × 0.5 × 0.5 for either task
    assert abs(found["puppy"] - 0.5) < 1e-12, "half of the lines are slips, so either answer may come from either task"
    assert set(found) == set(weights)
    few = Sheets(tasks=("young", "plural"), share=1, titled=0, slips=0.1, withheld={"young": ("duck", "goose", "swan")})
    sure, slipped = 0.9 * weights["puppy"], 0.1 * weights["dogs"]
    expected = (sure * 0.9 + slipped * 0.1) / (sure + slipped)
    assert abs(few.answers([("cat", "kitten")], "dog")["puppy"] - expected) < 1e-12


def test_a_sheet_of_labels_may_look_like_one_of_facts():
    """Labels that are capitals, by hand: lines of one category have one label, and no word comes twice."""
    sheets = Sheets(tasks=("capital",), labels=("Paris", "Rome", "Oslo"), share=0.3, titled=0, mixed=2)
    n = len(sheets.questions["capital"])
    fact = 0.3 / n / (n - 1)
    one_of_both = 1 / 3  # the countries are among the two of six categories
    label = 0.7 * one_of_both / 3 * (1 / 2 / n) * (1 / 2 / (n - 1))
    found = sheets.answers([("France", "Paris")], "Italy")
    assert set(found) == {"Rome", "Paris"}
    assert abs(found["Rome"] / found["Paris"] - fact / label) < 1e-9


@pytest.mark.parametrize(
    ("lines", "question"),
    [
        ([("dog", "Bob"), ("cat", "Nora")], "Italy"),
        ([("dog", "Bob"), ("France", "Bob")], "Italy"),
        ([("dog", "Bob"), ("France", "Nora")], "baker"),
        ([(digit, "two") for digit in ("one",) * 10], "one"),
    ],
    ids=["a category with two labels", "a label for two categories", "a third category", "a question again and again"],
)
def test_what_no_sheet_says(lines, question):
    with pytest.raises(ValueError, match="no sheet begins"):
        Sheets().answers(lines, question)


def test_answers_come_most_probable_first_and_equal_ones_by_name():
    found = list(Sheets(slips=0.2).answers([("Italy", "Rome")], "France").items())
    assert found == sorted(found, key=lambda item: (-item[1], item[0]))
    assert found[0][0] == "Paris"
    labels = list(Sheets().answers([("dog", "Bob")], "Italy"))
    assert labels == sorted(labels)


def test_the_answers_of_a_line_are_a_distribution():
    sheets = Sheets(slips=0.3)
    for task, questions in sheets.questions.items():
        for question in questions:
            p = sheets.answered(task, question)
            assert abs(sum(p.values()) - 1) < 1e-12
            assert p[sheets.facts[task][question]] == (1 if task == "number" else 0.7)


def test_a_slip_makes_the_task_less_certain_and_more_lines_settle_it():
    """Two tasks about animals; by hand: p(young | one line as young) = 0.8, two such lines 0.64 / (0.64 + 0.04)."""
    sheets = Sheets(tasks=("young", "plural"), share=1, titled=0, slips=0.2)
    one = sheets.answers([("cat", "kitten")], "dog")
    assert abs(one["puppy"] - (0.8 * 0.8 + 0.2 * 0.2)) < 1e-12
    both = 0.64 / 0.68
    two = sheets.answers([("cat", "kitten"), ("cow", "calf")], "dog")
    assert abs(two["puppy"] - (0.8 * both + 0.2 * (1 - both))) < 1e-12
    torn = sheets.answers([("cat", "kitten"), ("cow", "cows")], "dog")
    assert abs(torn["puppy"] - 0.5) < 1e-12


def test_slips_are_as_frequent_as_they_are_said_to_be_and_tell_nothing_that_is_withheld():
    sheets = Sheets(share=1, slips=0.25, withheld={"capital": ("Norway",)})
    right, lines = 0, 0
    for sheet in sheets.sample(1_501, seed=9):
        for x, y in sheet.lines:
            assert (x, y) != ("Norway", "Oslo")
            if sheets.others(sheet.task, x):
                right += y == sheets.facts[sheet.task][x]
                lines += 1
    assert abs(right / lines - 0.75) < 4 * np.sqrt(0.75 * 0.25 / lines)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: Sheets(lines=0), "lines=0"),
        (lambda: Sheets(lines=12), "number has 10 questions"),
        (lambda: Sheets(share=1.5), "share=1.5"),
        (lambda: Sheets(mixed=9), "mixed=9"),
        (lambda: Sheets(tasks=("colour",)), "the tasks are capital"),
        (lambda: Sheets(withheld={"colour": ()}), "the tasks are capital"),
        (lambda: Sheets(labels=("Ann",)), "at least mixed=2"),
        (lambda: Sheets().sample(-1, 0), "n=-1"),
        (lambda: Sheets().answers([("dog", "Paris")], "cat"), "no sheet begins"),
        (lambda: Sheets().answers([("dog", "Bob")], "dog"), "no sheet begins"),
    ],
)
def test_bad_input(call, says):
    with pytest.raises(ValueError, match=says):
        call()
