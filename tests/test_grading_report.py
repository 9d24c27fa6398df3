"""The report on a class and the feedback say what the records say: all of it to the one, little of it to the other."""

from collections import Counter
from dataclasses import replace
from types import SimpleNamespace
from urllib.parse import unquote

import pytest
from bs4 import BeautifulSoup
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import exercises
from exercises.grader import report, tally
from exercises.grader.feedback import feedback
from exercises.grader.gradescope import results
from exercises.grader.pages import STATUS, About, chapter_title, number, said
from exercises.grader.record import STATUSES, QuestionRecord, Record
from tests import graded
from tests.graded import class_page, parsed, shown

CHAPTER = "ch02_tokens"
NASTY = [
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "javascript:alert(1)", "</title></style>", "&lt;b&gt;",
    "\u202eevil", "\ud800", "\x1b[31m", "", "a" * 3000, "{key}", "الاسم", "👩‍💻", "a" + "\u0301" * 50, "one\ntwo", "`<b>`",
]  # fmt: skip
texts = st.sampled_from(NASTY) | st.text(max_size=40)


@pytest.fixture(scope="module")
def klass():
    return graded.a_class(60, CHAPTER)


@pytest.fixture(scope="module")
def about():
    return graded.about(CHAPTER)


def rows(page: BeautifulSoup, label: str) -> dict[str, list]:
    """The cells of each student's row, by the address of the feedback."""
    table = page.find("div", attrs={"aria-label": label}).table
    found = {}
    for row in table.tbody.find_all("tr"):
        head, *cells = row.find_all(["th", "td"])
        key = unquote(head.a["href"]).removeprefix("feedback/").removesuffix(".html")
        assert key not in found
        found[key] = cells
    return found


@st.composite
def classes(draw):
    """A few students and two chapters, with any text where a student may put some."""
    chapters = {"ch01_first": {"alpha": 2, "beta": 3}, "own_set": {"gamma": 1}}
    records = []
    for i in range(draw(st.integers(0, 4))):
        questions = []
        for chapter in chapters if draw(st.booleans()) else list(chapters)[:1]:
            for name, possible in chapters[chapter].items():
                share = draw(st.sampled_from([0.0, 0.17, 0.5, 1.0]))
                label = draw(texts)
                questions.append(
                    QuestionRecord(
                        name, chapter, round(share * possible, 2), possible,
                        status="passed" if share == 1 else draw(st.sampled_from(STATUSES[1:])),
                        kind=draw(texts), recognised=draw(st.booleans()), hint=draw(texts),
                        cases=((label, True, False), ("", False, True)),
                        example=draw(st.none() | st.tuples(st.just(label), texts, texts, texts)),
                        flags=tuple(draw(st.lists(texts, max_size=2))), notes=tuple(draw(st.lists(texts, max_size=2))),
                    )
                )  # fmt: skip
        records.append(Record(draw(texts), f"s{i}", draw(texts), draw(texts), "g", "user", tuple(questions), (draw(texts),)))
    return records, About("Title", chapters, json="records/{key}.json")


# A failure is shown as it was found: making it smaller would take minutes, and a class is small already.
@settings(max_examples=30, phases=[Phase.generate], suppress_health_check=[HealthCheck.too_slow])
@given(classes(), st.lists(st.builds(SimpleNamespace, source=texts, text=texts, whose=st.booleans()), max_size=2))
def test_every_question_stands_once_with_its_points_and_text_stays_text(made, problems):
    records, about = made
    page = class_page(records, about, problems)
    totals = rows(page, "All students")
    assert {key: float(cells[0].get_text()) for key, cells in totals.items()} == {r.key: r.points for r in records}
    for chapter, questions in about.chapters.items():
        handed = [record for record in records if tally.of_chapter(record, chapter)]
        table = rows(page, f"{chapter_title(chapter)}: students and questions") if handed else {}
        assert set(table) == {record.key for record in handed}
        for record in handed:
            whole, *cells, json = table[record.key]
            asked = tally.of_chapter(record, chapter)
            assert [shown(cell).split()[0] for cell in cells] == [number(asked[name].points) for name in questions]
            assert sum(float(cell["data-sort"]) for cell in cells) == pytest.approx(float(whole.get_text()), abs=0.011)
            assert json.a["href"] == f"records/{record.key}.json"
    pages = {"report": page, **{record.key: parsed(feedback(record, about)) for record in records}}
    for record in records:
        articles = pages[record.key].find_all("article")
        assert [(a.h3.get_text(), shown(a.find(class_="worth"))) for a in articles] == [
            (q.name, f"{number(q.points)} of {q.possible} point{'s' * (q.possible > 1)}") for q in record.questions
        ]
    for which, one in pages.items():
        one.encode("utf-8")
        assert len(one.find_all("script")) == (which == "report")
        assert one.find_all(["img", "iframe", "object", "embed", "form", "base", "b"]) == []
        assert [
            tag for tag in one.find_all(True) for name in tag.attrs if name.startswith("on") or name in ("style", "src")
        ] == []
        for link in one.find_all("a"):
            assert link["href"].startswith(("#", "feedback/s", "records/s"))


def test_histogram_counts_each_mistake_and_names_who_made_it(klass, about):
    page = class_page(klass, about)
    for name in about.chapters[CHAPTER]:
        given = [(record.key, q) for record in klass for q in record.questions if q.name == name and q.status != "passed"]
        article = page.find(id=f"in-{CHAPTER}-{name}")
        listed = {}
        for item in article.find(class_="mistakes").find_all("li", recursive=False):
            people = {unquote(link["href"])[9:-5] for link in item.find_all("a")}
            assert int(item.find(class_="much").next_element) == len(people)
            listed[item.find(class_="what").get_text()] = people
        for kind in {q.kind for _, q in given if q.recognised}:
            words = kind.replace("_", " ")
            assert listed.pop(words) == {key for key, q in given if q.kind == kind}
        assert sum(map(len, listed.values())) == sum(not q.recognised for _, q in given)
        counts = Counter(q.status for record in klass for q in record.questions if q.name == name)
        legend = shown(article.find(class_="legend"))
        assert all(f"{STATUS[which][1]} {n}" in legend for which, n in counts.items())
        hints = {q.kind: q.hint for _, q in given if q.recognised}
        assert all(hint.split("`")[0][:60].strip() in shown(article) for hint in hints.values())


def test_known_mistakes_come_first_and_the_most_frequent_of_all_are_what_to_teach(klass, about):
    page = class_page(klass, about)
    most = Counter((q.name, q.kind) for record in klass for q in record.questions if q.recognised).most_common()
    items = page.find(id="teach").find("ol").find_all("li", recursive=False)
    assert [int(item.find(class_="much").next_element) for item in items] == [n for _, n in most[: len(items)]]
    for article in page.find_all(class_="asked"):
        kinds = [item["class"] for item in article.find(class_="mistakes").find_all("li", recursive=False)]
        assert kinds == sorted(kinds)  # ["known"] before ["other"]


def test_same_records_give_the_same_bytes_in_any_order_and_old_feedback_goes(tmp_path, klass, about):
    first, second = tmp_path / "a", tmp_path / "b"
    assert report.write(first, klass, graded.PROBLEMS, about) == first / "report.html"
    (second / "feedback").mkdir(parents=True)
    (second / "feedback" / "mine.html").write_text("<p>a page of somebody else</p>", "utf-8")
    report.write(second, [*klass[:5], replace(klass[5], key="renamed")], [], about)
    report.write(second, klass[::-1], graded.PROBLEMS, about)
    assert (second / "feedback" / "mine.html").exists()
    (second / "feedback" / "mine.html").unlink()
    written = [{p.relative_to(f).as_posix(): p.read_bytes() for p in f.rglob("*") if p.is_file()} for f in (first, second)]
    assert written[0] == written[1]
    assert set(written[0]) == {"report.html", *(f"feedback/{record.key}.html" for record in klass)}
    assert not any(str(tmp_path).encode() in page for page in written[0].values())


def test_file_that_cannot_be_written_leaves_the_old_one_and_no_remains(tmp_path, klass, about, monkeypatch):
    report.write(tmp_path, klass[:1], [], about)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.html")}
    monkeypatch.setattr("os.replace", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        report.write(tmp_path, klass[:1], graded.PROBLEMS, about)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_trust_stands_on_every_page_and_weaker_guarantees_on_the_class_report(klass):
    plain = graded.about(CHAPTER)
    trusting = graded.about(CHAPTER, isolation="trust", banner="Nothing was isolated.")
    weaker = graded.about(CHAPTER, isolation="user", weaker=("The network is not cut.", "The disk is shared."))
    assert "Nothing was isolated." in shown(class_page(klass, trusting).find(class_="banner"))
    assert "(--trust)" in shown(parsed(feedback(klass[0], trusting)).find(class_="banner"))
    for about, words in ((plain, "in a sandbox of its own"), (weaker, "less strictly than a sandbox"), (trusting, "without a")):
        assert words in shown(parsed(feedback(klass[0], about)).footer)
    page = class_page(klass, weaker)
    assert all(text in shown(page.find(class_="banner")) for text in weaker.weaker)
    for page in (report.class_page(klass, [], plain), feedback(klass[0], plain)):
        assert parsed(page).find(class_="banner") is None


@pytest.mark.parametrize("partial", [0.5, 0.0, 0.25])
def test_how_points_are_computed_is_said_as_it_is(klass, partial):
    words = {0.5: "half of its points", 0.0: "and nothing otherwise", 0.25: "25 % of its points"}[partial]
    about = graded.about(CHAPTER, partial=partial)
    assert words in shown(class_page(klass, about).find(id="how"))
    assert words in shown(parsed(feedback(klass[0], about)).footer)


def test_no_student_one_student_and_a_perfect_class(about):
    page = class_page([], about)
    assert "0 students · 1 chapter" in shown(page)
    assert "Nobody has handed in this chapter." in shown(page)
    (one,) = graded.a_class(1, CHAPTER)
    page = class_page([one], about)
    assert "1 student ·" in shown(page)
    assert "1 students" not in shown(page)
    perfect = graded.a_class(12, CHAPTER, skill=1.0)
    page = class_page(perfect, about)
    assert "No known mistake was made" in shown(page)
    assert page.find("ul", class_="mistakes") is None
    assert "Everything is right. Well done!" in feedback(perfect[0], about)


def test_chapter_that_was_not_handed_in_counts_in_no_mean_and_in_no_histogram():
    about = About("Two", {"ch01_a": {"f": 4}, "ch02_b": {"g": 2}})
    right = QuestionRecord("f", "ch01_a", 4.0, 4, "passed", "passed")
    absent = QuestionRecord("g", "ch02_b", 0.0, 2, "missing", "not handed in", hint="Nothing was handed in for ch02_b.")
    wrong = QuestionRecord("g", "ch02_b", 1.0, 2, "partly", "value", hint="The result differs.")
    records = [graded.student("A", "a", [right, absent]), graded.student("B", "b", [right, wrong])]
    page = class_page(records, about)
    chapter = page.find(id="in-ch02_b")
    assert "Handed in 1 of 2 Mean 1 of 2" in shown(chapter)
    assert [shown(item) for item in chapter.find(class_="legend").find_all("li")] == ["◐ partly 1"]
    assert set(rows(page, "Chapter 2: b: students and questions")) == {"b"}
    assert "Nothing was handed in for Chapter 2: b." in feedback(records[0], about)


def test_six_chapters_stand_in_order_each_with_its_questions():
    chapters = exercises.chapters()[:6]
    about = graded.about(*chapters)
    right = [
        QuestionRecord(name, chapter, float(worth), worth, "passed", "passed")
        for chapter, asked in about.chapters.items()
        for name, worth in asked.items()
    ]
    page = class_page([graded.student(name, name, right) for name in ("ada", "bo")], about)
    assert [section["id"] for section in page.find_all(class_="chapter")] == [f"in-{chapter}" for chapter in chapters]
    asked = [f"in-{chapter}-{name}" for chapter in chapters for name in about.chapters[chapter]]
    assert [article["id"] for article in page.find_all(class_="asked")] == asked
    links = [link["href"] for link in page.nav.find_all("a")]
    assert links == ["#look", "#teach", "#students", *(f"#in-{chapter}" for chapter in chapters), "#how"]


def test_code_in_a_hint_is_shown_as_code_wherever_the_hint_stands(about):
    (record,) = graded.a_class(1, CHAPTER)
    told = replace(record.questions[0], status="failed", kind="raises", recognised=False, hint="It raises, at `x[<0>]`.")
    record = replace(record, questions=(told, *record.questions[1:]))
    output = results.results(record)["tests"][0]["output"]
    for page in (class_page([record], about), parsed(feedback(record, about)), parsed(output)):
        assert "x[<0>]" in {code.get_text() for code in page.find_all("code")}
        assert "`" not in shown(page)


def test_what_to_do_stands_first_and_whose_work_it_is_before_other_files(klass, about):
    asks = graded.Problem("a.ipynb", "holds the same code as b.ipynb", whose=True)
    page = class_page(klass, about, [*graded.PROBLEMS, asks])
    flagged = sum(any(q.flags for q in record.questions) for record in klass)
    steps = [shown(step) for step in page.find(class_="next").find_all("li")]
    assert steps[0] == f"Look at {flagged} flagged students, 1 question of whose work it is, 2 lines about files."
    assert page.main.find(True)["class"] == ["next"]
    assert [shown(head) for head in page.find(id="look").find_all("h3")] == [
        f"Flagged answers {flagged}", "Whose work is it? 1", "Files 2",
    ]  # fmt: skip
    assert shown(class_page(klass[:1], about).find(class_="next").li).startswith("See what to teach again")


def test_students_of_one_name_are_told_apart(about):
    twins = [replace(record, student="Jan Jansen") for record in graded.a_class(2, CHAPTER)]
    heads = [shown(row.th) for row in class_page(twins, about).find(class_="students").tbody.find_all("tr")]
    assert sorted(heads) == sorted(f"Jan Jansen ({record.key})" for record in twins)


def test_names_stand_in_the_order_of_the_alphabet(tmp_path, about):
    names = ["zoe", "Çelik", "Zhang", "carla", "Chidi", "Ada"]
    records = [replace(record, student=name) for name, record in zip(names, graded.a_class(6, CHAPTER), strict=True)]
    page = parsed(report.write(tmp_path, records, [], about).read_text("utf-8"))
    heads = [shown(row.th) for row in page.find(class_="students").tbody.find_all("tr")]
    assert heads == ["Ada", "carla", "Çelik", "Chidi", "Zhang", "zoe"]


@pytest.mark.parametrize("key", ["", ".hidden", "../out", "a/b", "a\\b", 'a"b'])
def test_key_that_names_no_file_is_refused(tmp_path, about, key):
    with pytest.raises(ValueError, match="names a file"):
        report.write(tmp_path, [graded.student("Ada", key, [])], [], about)
    assert list(tmp_path.iterdir()) == []


def test_records_that_do_not_fit_are_refused(tmp_path, klass, about):
    one = klass[0]
    with pytest.raises(ValueError, match="two records have the key"):
        report.write(tmp_path, [one, one], [], about)
    with pytest.raises(ValueError, match="twice"):
        report.write(tmp_path, [replace(one, questions=one.questions[:1] * 2)], [], about)
    with pytest.raises(ValueError, match="which was not asked"):
        report.write(tmp_path, [one], [], graded.about("ch03_embeddings"))
    assert list(tmp_path.iterdir()) == []


@given(st.integers(1, 40), st.data())
def test_columns_hold_everybody_once_and_all_points_stand_alone(possible, data):
    earned = data.draw(st.lists(st.floats(0, possible).map(lambda value: round(value, 2)), max_size=20))
    columns = tally.columns(earned, possible)
    assert sum(n for _, n in columns) == len(earned)
    assert columns[-1] == (str(possible), earned.count(possible))
    assert len(columns) <= tally.MOST_COLUMNS
    bounds = [int(part) for name, _ in columns for part in name.split("–")]
    assert bounds == sorted(set(bounds))
    assert bounds[0] == 0


def test_text_of_anybody_is_shown_for_what_it_is():
    assert said("\u202eevil\u2066\x1b[0m\ud800") == "⟨U+202E⟩evil⟨U+2066⟩⟨U+001B⟩[0m⟨U+D800⟩"
    assert said("a" + "\u0301" * 50) == "a" + "\u0301" * 3
    assert said("<&\"'>") == "&lt;&amp;&quot;&#x27;&gt;"
    assert said("x" * 30, 10) == "x" * 10 + " …"
    assert said("👩‍💻 שלום\n\t") == "👩‍💻 שלום\n\t"
