"""The guides say what the commands do: lists, options, files and limits are those of the code, and pictures are there."""

import inspect
import re

import pytest
from PIL import Image

from exercises import grade
from exercises.grader import archives, batch, exercise, isolation, release, scoring
from exercises.grader.gradescope import build
from tests.book import screenshots
from tests.book.contents import ROOT

GUIDES = ("doing_exercises", "grading")
PICTURE = re.compile(r"```\{image\} (\S+)\n:alt: (.+)\n:class: only-(light|dark)\n```")


def text(name: str) -> str:
    return (ROOT / "chapters" / f"{name}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", screenshots.lists())
def test_lists_are_those_of_the_code(name: str) -> None:
    said = "run python -m tests.book.screenshots --lists"
    assert (screenshots.LISTS / name).read_text(encoding="utf-8") == screenshots.lists()[name], said
    assert f"assets/{name}" in text("grading")


def test_what_is_weaker_is_said_in_the_words_of_the_reports() -> None:
    for how in (isolation.USER, isolation.TRUST):
        assert how.weaker
        for line in how.weaker:
            assert f"- {line}\n" in screenshots.weaker()


@pytest.mark.parametrize("guide", GUIDES)
def test_pictures_come_in_two_themes_with_the_same_words(guide: str) -> None:
    found = PICTURE.findall(text(guide))
    assert len(found) == text(guide).count("{image}") > 0
    for (light, words, first), (dark, same, second) in zip(found[::2], found[1::2], strict=True):
        assert (first, second) == ("light", "dark")
        assert light.replace("-light.", "-dark.") == dark
        assert words == same
        assert len(words) > 60


def test_pictures_are_small_and_all_shown() -> None:
    shown = {name for guide in GUIDES for name, _, _ in PICTURE.findall(text(guide))}
    assert shown == {f"images/guides/{path.name}" for path in screenshots.PICTURES.iterdir()}
    for path in screenshots.PICTURES.iterdir():
        assert path.stat().st_size <= screenshots.LARGEST
        with Image.open(path) as picture:
            assert picture.width >= 1000


def test_options_and_files_are_those_of_the_command() -> None:
    page, usage = text("grading"), grade._parser().format_help()
    options = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", " ".join(re.findall(r"`[^`]+`", page))))
    of_a_release = {"--torch-index"}
    assert all(option in inspect.getsource(release.main) for option in of_a_release & options)
    for option in options - of_a_release - {"-r", "-i", "-rl"}:
        assert option in usage, f"{option} is no option"
    for name in (batch.GRADES, batch.PROBLEMS, batch.SEED, "report.html", "feedback/NAME.html", f"{batch.RECORDS}/NAME.json"):
        assert f"`{name}`" in page
        assert name in usage
    assert isolation.INSTALL in page
    assert f"`--partial` {scoring.PARTIAL:g} " in page
    assert f"at most {archives.NOTEBOOKS} notebooks" in page
    assert build.HERE.name == "gradescope"
    assert "_build/release" in page
    seconds = exercise.Exercise.__dataclass_fields__["seconds"].default
    assert seconds == 5
    assert "(five seconds where nothing else is said)" in text("doing_exercises")
