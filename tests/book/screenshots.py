"""Do what the guides say and take their pictures: ``python -m tests.book.screenshots`` (about three minutes).

A student opens a pack in JupyterLab, sees the stub, a hint and a right answer, and packs the notebook; the packed file and
those of invented classmates are graded with the real command; the reports are opened. Pictures go to
``chapters/images/guides``, in light and dark. The lists that the guides include are written too; ``--lists`` writes them alone.
"""

import io
import json
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Locator, Page, expect

import exercises
from exercises.grader import isolation, pack
from exercises.grader.source import standalone
from lmcore.check import notebook as notebooks
from tests.book.contents import ROOT
from tests.book.pages import chromium
from tests.book.test_lab import Lab

CHAPTER = "ch02_tokens"
PICTURES = ROOT / "chapters" / "images" / "guides"
LISTS = ROOT / "chapters" / "assets"
LARGEST = 60 << 10  # bytes of a picture
WAIT = 120_000  # milliseconds, on a busy machine
SETTINGS = {
    "apputils-extension/themes": {"adaptive-theme": True},
    "notebook-extension/tracker": {"windowingMode": "none"},
}
CLASS = {  # student: exercise: the answer of the bank that they hand in
    "Alan Turing": {"count_pairs": "reference", "merge_pair": "reference", "bpe_encode": "reference", "wordpiece": "reference"},
    "Grace Hopper": {"count_pairs": "ignores_frequency", "merge_pair": "reference", "bpe_encode": "reference"},
    "Emmy Noether": {"count_pairs": "ignores_frequency", "merge_pair": "reference", "wordpiece": "reference"},
    "Kurt Gödel": {"count_pairs": "once_per_word", "merge_pair": "reference"},
    "Sofia Kovalevskaya": {"count_pairs": "right", "bpe_encode": "reference", "wordpiece": "right"},
    "Srinivasa Ramanujan": {"count_pairs": "ignores_frequency", "wordpiece": "reference"},
}


# Lists


def lists() -> dict[str, str]:
    """The parts of the guides that are made from the code: file name to text."""
    return {"weaker.md": weaker(), "attacks.md": attacks()}


def weaker() -> str:
    """What each way of running submissions does not guarantee, in the words that the reports use."""
    parts = []
    for option, how in (("`--container`", isolation.USER), ("`--trust`", isolation.TRUST)):
        parts.append(f"With {option}:\n\n" + "\n".join(f"- {line}" for line in how.weaker))
    return "\n\n".join(parts) + "\n"


def attacks() -> str:
    """The titles of the attacks in ``tests/attacks``."""
    parts, total = [], 0
    for path in sorted((ROOT / "tests" / "attacks").glob("*.md")):
        text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        titles = re.findall(r"^## (.+)$", text, re.MULTILINE)
        (group,) = re.findall(r"^# (.+)$", text, re.MULTILINE)
        total += len(titles)
        parts.append(f"{group} ({len(titles)})\n: " + " · ".join(titles))
    return f"There are {total}.\n\n" + "\n\n".join(parts) + "\n"


# Pictures


def save(name: str, theme: str, shot: bytes) -> None:
    """Write a picture as WebP, as good as it may be at its size."""
    picture = Image.open(io.BytesIO(shot)).convert("RGB")
    for quality in (90, 80, 70, 60, 45, 30):
        out = io.BytesIO()
        picture.save(out, "WEBP", quality=quality, method=6)
        if len(out.getvalue()) <= LARGEST:
            break
    (PICTURES / f"{name}-{theme}.webp").write_bytes(out.getvalue())
    print(f"{name}-{theme}.webp: {picture.width} × {picture.height}, {len(out.getvalue()) >> 10} KB, quality {quality}")


def shoot(name: str, page: Page, first: Locator, last: Locator, most: int = 700, margin: int = 6) -> None:
    """A picture of everything from one element to another, in both themes."""
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        page.wait_for_timeout(1500)
        first.scroll_into_view_if_needed()
        start, end = first.bounding_box(), last.bounding_box()
        assert start is not None
        assert end is not None
        clip = {
            "x": start["x"] - margin,
            "y": start["y"] - margin,
            "width": max(start["width"], end["width"]) + 2 * margin,
            "height": min(end["y"] + end["height"] - start["y"] + 2 * margin, most),
        }
        save(name, theme, page.screenshot(clip=clip))
    page.emulate_media(color_scheme="light")


@contextmanager
def lab(folder: Path) -> Iterator[Lab]:
    """JupyterLab on a folder, with settings that follow the theme of the browser."""
    for name, settings in SETTINGS.items():
        path = folder / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(settings), encoding="utf-8")
    started = Lab(folder)
    try:
        started.wait()
        yield started
    finally:
        started.process.terminate()
        started.process.wait(30)
        started.log.close()


def cells(page: Page) -> Locator:
    """The code cells of the open notebook."""
    return page.locator(".jp-Notebook .jp-CodeCell")


def cell(page: Page, text: str) -> Locator:
    """The code cell that holds a text."""
    return cells(page).filter(has_text=text).first


def run(page: Page, which: Locator, text: str = "", says: str = "") -> None:
    """Write into a cell, if there is something to write, run it, and wait for what it shows."""
    which.scroll_into_view_if_needed()
    which.locator(".cm-content").click()
    if text:
        page.keyboard.press("Control+A")
        page.keyboard.insert_text(text)
    page.keyboard.press("Control+Enter")
    expect(which.locator(".jp-InputArea-prompt")).to_have_text(re.compile(r"\[\d+\]:"), timeout=WAIT)
    if says:
        expect(which.locator(".jp-OutputArea")).to_contain_text(says, timeout=WAIT)


def student(folder: Path) -> Path:
    """What the student's guide says, in JupyterLab; the packed submission."""
    bank = {exercise.name: exercise for exercise in exercises.bank(CHAPTER)}["count_pairs"]
    wrong = next(answer for answer in bank.wrong if answer.__name__ == "ignores_frequency")
    with lab(folder) as server:
        desk = folder / "book" / "tokens"
        shutil.copytree(pack.pack(CHAPTER, folder / "packs"), desk)
        context = chromium().new_context(viewport={"width": 1000, "height": 1600}, device_scale_factor=1.5)
        page = context.new_page()
        page.goto(server.address("tokens"))
        page.locator(".jp-DirListing-item", has_text="exercises.ipynb").dblclick(timeout=WAIT)
        cells(page).first.wait_for(timeout=WAIT)
        expect(page.get_by_text(re.compile(r"^Kernel status: Idle|\| Idle$")).first).to_be_visible(timeout=WAIT)
        page.keyboard.press("Control+B")
        written, checked = cell(page, "def count_pairs"), cell(page, 'check("count_pairs"')

        run(page, cell(page, "from lmcore.check import check"))
        run(page, written)
        run(page, checked, says="Not written yet")
        shoot("stub", page, written, checked)

        run(page, written, as_student(standalone(wrong), wrong.__name__, "count_pairs"))
        run(page, checked, says="Hint.")
        shoot("hint", page, written, checked, most=1000)

        run(page, written, standalone(bank.reference).rstrip())
        run(page, checked, says="Passed")
        shoot("passed", page, checked, checked)  # the answer stays the student's to find

        hand_in = cell(page, "pack_submission(")
        pack_it = f'pack_submission("{CHAPTER}", student=student)'
        source = f'from lmcore.check import pack_submission\n\nstudent = "Ada Lovelace"\n{pack_it}'
        page.keyboard.press("Control+S")
        run(page, hand_in, source)
        page.keyboard.press("Control+S")
        page.wait_for_timeout(2000)
        run(page, hand_in, says="Hand in this file")
        shoot("packed", page, hand_in, hand_in)
        context.close()
        (packed,) = desk.glob("*.zip")
        return Path(shutil.copy(packed, folder / packed.name))


def as_student(source: str, name: str, wanted: str) -> str:
    """An answer of the bank as a student would write it: under the name that is asked for, without the hint."""
    source = source.replace(f"def {name}(", f"def {wanted}(")
    return re.sub(r'\n    """.*?"""', "", source, count=1, flags=re.DOTALL).rstrip()


def classmates(folder: Path) -> None:
    """Submissions of an invented class, and a file that is none."""
    book = notebooks.read(exercises.folder(CHAPTER) / "exercises.md").to_ipynb()
    banks = {exercise.name: exercise for exercise in exercises.bank(CHAPTER)}
    for name, given in CLASS.items():
        handed = json.loads(json.dumps(book))
        for node in handed["cells"]:
            if (asked := node["metadata"].get("exercise")) in given:
                bank, which = banks[asked], given[asked]
                answers = {"reference": bank.reference, "right": bank.right[0]}
                answers |= {answer.__name__: answer for answer in bank.wrong}
                node["source"] = as_student(standalone(answers[which]), answers[which].__name__, asked)
        about = {"student": name, "packed": "2026-11-02T10:00:00+00:00"}
        with zipfile.ZipFile(folder / f"{CHAPTER}-{name.lower().replace(' ', '-')}.zip", "w") as archive:
            archive.writestr("submission.json", json.dumps(about))
            archive.writestr("notebook.ipynb", json.dumps(handed))
    (folder / "essay.pdf").write_bytes(b"%PDF-1.7")


def instructor(folder: Path, handed: Path) -> None:
    """What the instructor's guide says: grade a folder, look at the report and at a student's page."""
    week = folder / "week 2"
    week.mkdir()
    classmates(week)
    shutil.copy(handed, week)
    seed = folder / "seed"
    seed.write_text("the pictures of the guides\n", encoding="utf-8")
    command = [sys.executable, "-m", "exercises.grade", str(week), "--seed-file", str(seed)]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=False)
    print(done.stdout, done.stderr)
    assert done.returncode == 0, "grading failed"
    grades = folder / "week 2-grades"
    for name, path, height in (
        ("report", grades / "report.html", 1250),
        ("feedback", grades / "feedback/grace-hopper.html", 950),
    ):
        for theme in ("light", "dark"):
            context = chromium().new_context(
                viewport={"width": 900, "height": height}, color_scheme=theme, device_scale_factor=1.25
            )
            page = context.new_page()
            page.goto(path.as_uri())
            page.wait_for_timeout(500)
            save(name, theme, page.screenshot())
            context.close()


def main() -> None:
    """Write the lists, then do everything and take the pictures."""
    LISTS.mkdir(exist_ok=True)
    for name, text in lists().items():
        (LISTS / name).write_text(text, encoding="utf-8")
    if "--lists" in sys.argv[1:]:
        return
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="guides-") as temporary:
        folder = Path(temporary)
        instructor(folder, student(folder))


if __name__ == "__main__":
    main()
