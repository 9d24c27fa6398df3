"""The prompt laboratory in Chromium: the page composes and goes on as Python does."""

from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from lmcore.widgets import PromptLab
from tests.book.figures import SMALL, WIDE, status
from tests.book.pages import build, opened
from tests.test_prompt_lab import BIG, OPEN, PLACES, WORDS, lab

pytestmark = pytest.mark.browser

CARDS = """(box) => [...box.querySelectorAll('.lmw-prompt-card')].map((c) => ({label: c.dataset.label, right: c.dataset.right,
  answer: c.dataset.answer,
  words: [...c.querySelectorAll('.lmw-prompt-text .lmw-word')].map((w) => [w.textContent, +w.dataset.p]),
  first: [...c.querySelectorAll('tbody tr')].map((r) => [r.dataset.word, +r.dataset.p])}))"""


RIGHT = {True: "true", False: "false", None: "null"}


def cards(page: Page, prompt: str, number: int = 0) -> list[dict[str, Any]]:
    """What the cards show, once all of them have gone on from this prompt."""
    box = page.locator("section.lmw-prompt").nth(number)
    for card in box.locator(".lmw-prompt-card").all():
        expect(card).to_have_attribute("data-prompt", prompt, timeout=20_000)
    return box.evaluate(CARDS)


def check(found: list[dict[str, Any]], widget: PromptLab) -> None:
    """The cards against Python, for what is set in the widget."""
    answers, begins = widget.complete(), widget.begins()
    assert [card["label"] for card in found] == list(answers)
    for card in found:
        answer = answers[card["label"]]
        assert card["answer"] == answer == " ".join(word for word, _ in card["words"])
        first = begins[card["label"]]
        assert [word for word, _ in card["first"]] == list(first)
        assert [p for _, p in card["first"]] == pytest.approx(list(first.values()), abs=1e-6)
        if card["words"]:
            assert card["words"][0][1] == pytest.approx(first[card["words"][0][0]], abs=1e-6)
        assert card["right"] == (RIGHT[None if widget.own else widget.right(answer)])


def test_page_goes_on_as_python_does_from_every_prompt(tmp_path: Path) -> None:
    tasks = (BIG, PLACES, OPEN)
    widget = lab(tasks=tasks)
    with opened(build(tmp_path, widget), height=1600) as it:
        box = it.page.locator("section.lmw-prompt")
        for number, task in enumerate(tasks):
            if number:
                box.get_by_label("Task").select_option(task.name)
            widget.task = number
            for question in range(len(task.questions)):
                box.get_by_label("Question").select_option(index=question)
                for shots in range(len(task.shots) + 1):
                    if task.shots:
                        box.get_by_label("Examples").fill(str(shots))
                    for instructed in (True, False) if task.instruction else (True,):
                        if task.instruction:
                            box.get_by_label("with the instruction").set_checked(instructed)
                        widget.question, widget.shots, widget.instructed = question, shots, instructed
                        check(cards(it.page, widget.prompt), widget)
                        parts = box.locator(".lmw-prompt-part")
                        texts = [text.split(": ", 1)[1] for text in parts.all_inner_texts()]
                        assert " ".join(texts) == widget.prompt == box.get_by_label("The prompt", exact=True).input_value()
                        kinds = parts.evaluate_all("(ps) => ps.map((p) => p.dataset.kind)")
                        with_it = ["instruction"] if task.instruction and instructed else []
                        assert kinds == [*with_it, *["shot"] * shots, "question"]
            widget.question, widget.shots, widget.instructed = 0, 0, True
        it.clean()


def test_own_prompts_and_what_cannot_be_read(tmp_path: Path) -> None:
    widget = lab(shots=1)
    with opened(build(tmp_path, widget), height=1600) as it:
        box = it.page.locator("section.lmw-prompt")
        own = box.get_by_label("The prompt", exact=True)
        for text, strange in (("There she", ""), ("Alice zebra", "“zebra”"), ("a <unk>", ""), ("What is big ? Bears .", "")):
            own.fill(text)
            widget.own = text
            check(cards(it.page, text), widget)
            assert box.locator(".lmw-prompt-part").inner_text() == f"Your prompt: {text}"
            assert box.get_by_text("✓").count() + box.get_by_text("✗").count() == 0, "nobody knows what is right"
            note = f"Not in the models' vocabulary of {len(WORDS)} words, and read as <unk>: {strange}." if strange else ""
            assert box.locator("p[role=alert]").inner_text() == note
        assert "(nothing: the text ends)" in box.inner_text()
        for text, says in (
            ("a " * 50, "it has 51 tokens, and the model reads at most 50"),
            (" ", "there is nothing to go on from"),
        ):
            own.fill(text)
            cards(it.page, text)
            expect(box.get_by_text("The models cannot read this prompt").first).to_contain_text(says)
            assert says in status(it.page, "prompt")
            assert box.locator("tbody tr").count() == 0
        box.get_by_role("button", name="Back to the composed prompt").click()
        widget.own = ""
        check(cards(it.page, widget.prompt), widget)
        expect(box.get_by_role("button", name="Back to the composed prompt")).to_be_hidden()
        it.clean()


def test_the_last_prompt_is_answered_and_two_views_follow(tmp_path: Path) -> None:
    widget = lab()
    with opened(build(tmp_path, widget, lab(task=1), widget), height=6000) as it:
        it.page.evaluate(
            """async () => { const own = document.querySelector('section.lmw-prompt textarea');
            let time = 0;
            performance.now = () => (time += 20); // every step of a run is a slice, so that the two runs overlap
            for (own.value of ['a '.repeat(20), 'Alice saw']) {
              own.dispatchEvent(new Event('input'));
              await new Promise((done) => requestAnimationFrame(done));
            } }"""
        )
        widget.own = "Alice saw"
        for number in (0, 2):
            check(cards(it.page, "Alice saw", number), widget)
        check(cards(it.page, PLACES.prompt(), 1), lab(task=1))
        it.clean()


def test_by_keyboard(tmp_path: Path) -> None:
    widget = lab(task=1)
    with opened(build(tmp_path, widget), height=1600) as it:
        page, label = it.page, "(document.activeElement.labels?.[0] ?? document.activeElement).textContent"
        for text in ("Task", "Question, 1 of 2", "with the instruction", "Examples"):
            page.keyboard.press("Tab")
            assert page.evaluate(label).startswith(text)
        page.keyboard.press("ArrowRight")
        widget.shots = 1
        check(cards(page, widget.prompt), widget)
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("Space")
        widget.instructed = False
        check(cards(page, widget.prompt), widget)
        first = cards(page, widget.prompt)[0]
        assert f"trained: “{first['answer']}”, " in status(page, "prompt")
        it.clean()


@pytest.mark.parametrize(("theme", "width"), [("light", 900), ("dark", 900), ("light", 360), ("dark", 310)])
def test_axe_finds_nothing_and_nothing_overflows(tmp_path: Path, theme: str, width: int) -> None:
    models = dict(
        zip(("before instruction tuning", "after instruction tuning", "after preferences"), lab()._models * 2, strict=False)
    )
    widget = lab(models={label: model.net for label, model in models.items()}, shots=2, top=5)
    with opened(build(tmp_path, widget, theme=theme), width=width, height=1800, has_touch=width < 400) as it:
        cards(it.page, widget.prompt)
        found = Axe().run(it.page).response["violations"]
        assert [(v["id"], [n["html"][:200] for n in v["nodes"]]) for v in found] == []
        assert it.page.evaluate("document.documentElement.scrollWidth") <= width
        assert it.page.evaluate(WIDE) == []
        inside = """() => [...document.querySelectorAll('.lmw-prompt-card')].filter((c) => [...c.querySelectorAll('*')].some(
          (e) => !e.closest('[hidden]') && e.getBoundingClientRect().right > c.getBoundingClientRect().right + 1)).length"""
        assert it.page.evaluate(inside) == 0, "no table stands out of its card"
        assert it.page.evaluate(SMALL) == []
        it.clean()
