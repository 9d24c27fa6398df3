"""The merge stepper in Chromium: on any text, every step is the step of lmcore.merges and lmcore.bpe."""

import itertools
import json
import pydoc_data.topics
import random
import unicodedata
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from lmcore.bpe import BPE
from lmcore.merges import merges_of
from lmcore.pieces import BYTE_OF, gpt2_pieces
from lmcore.widgets import MergeStepper
from lmcore.widgets.base import HERE
from lmcore.widgets.merge_stepper import PETER_PIPER
from tests.book.figures import CHANGE, status
from tests.book.pages import build, opened

pytestmark = pytest.mark.browser

WALK = (
    """async ([text, level]) => {
  const box = document.querySelector('.lmw-merges'), all = (selector) => [...box.querySelectorAll(selector)];
  const area = box.querySelector('textarea'), place = box.querySelector('[type=range]');
  const tokens = (nodes) => [...nodes].map((node) => node.dataset.token);
  """
    + CHANGE
    + """
  const radio = all('[type=radio]').find((r) => r.labels[0].textContent === level);
  radio.checked = true; await change(radio, 'change');
  area.value = text; await change(area, 'input');
  const found = [], fact = (name) => box.querySelector(`[data-fact=${name}]`).dataset.value;
  for (let i = 0; i <= +place.max; i++) {
    place.value = i; await change(place, 'input');
    const last = box.querySelector('.lmw-came');
    found.push({step: fact('step'), tokens: +fact('tokens'), vocabulary: +fact('vocabulary'), ratio: +fact('ratio'),
      words: all('.lmw-word').map((word) => tokens(word.children)),
      fresh: [...new Set(tokens(all('.lmw-corpus .lmw-fresh')))],
      pairs: all('tbody tr').map((r) => [r.dataset.a, r.dataset.b, +r.dataset.count]),
      next: last && [last.dataset.a, last.dataset.b], listed: tokens(all('.lmw-vocabulary [data-token]'))});
  }
  return found;
}"""
)


def python_manual() -> str:
    return pydoc_data.topics.topics["lambda"] + pydoc_data.topics.topics["while"]


def random_text(seed: int, alphabet: str, n: int) -> str:
    rng = random.Random(seed)
    return "".join(rng.choice(alphabet) for _ in range(n))


TEXTS = {
    "default": PETER_PIPER,
    "empty": "",
    "blank": " \n\t ",
    "one letter": "a",
    "runs": "aaaa aaa aaaaaa aaaaaaaaa aa a bababab abababa",
    "emoji": "👩‍👩‍👧‍👦 👩‍👩‍👧‍👦 👍🏽👍🏽 👍🏾 🏳️‍🌈 🇳🇱🇳🇱 😀😀😀",
    "scripts": "Здравствуй здравствуйте 日本語 日本 東京 नमस्ते नमस्ते שלום שלומי e\u0301te\u0301 été naïve naïveté ﬃ Ǆ ß ẞ",
    "white space": "a\u00a0b a\u2028b \x1ca\x1cb\x1d\x85ab\u3000ab \u200bab\u200b \ufeffab\tab\n\nab\x0bab",
    "astral order": "\uffe5\U00010000\uffe5\U00010000 \U00010000\uffe5\U00010000\uffe5 z\uffe5 z\U00010000 z\uffe5 z\U00010000",
    "byte order": "íaía ®b®b ¬c¬c \x7fd\x7fd",  # GPT-2 numbers 0xAD and 0x7F after the visible bytes
    "code": "for i in range(10):\n    x[i] += 1  # it's I'll they've WE'LL\n    y_1 = x[i]**2; print(f\"{x!r}\")\n\n\n",
    "quotes": '"</script>" <b>&amp;</b> \\ ${a} `b` "</script>" <b>',
    "manual": python_manual()[:700],
    "coin": random_text(1, "ab ", 400),
    "mixed": random_text(2, "abcé日😀 '\n", 600),
}
MOST = 400


def expected_characters(text: str) -> Iterator[dict[str, Any]]:
    """All states by the reference, as the figure should show them: before the first merge, then after each."""
    words, made, merged = [list(word) for word in text.split()], [], None
    steps = iter(merges_of(text) if words else ())
    while True:
        counts = Counter(pair for word in words for pair in pairwise(word))
        upcoming = next(steps, None)
        stop = upcoming is None or upcoming.count < 2 or len(made) == MOST
        yield {"words": words, "counts": counts, "made": list(made), "merged": merged, "next": None if stop else upcoming.pair}
        if stop:
            return
        words, merged = upcoming.words, upcoming.token
        made.append(upcoming.token)


def pages_text(name: str) -> str:
    return TEXTS[name].replace("\r\n", "\n").replace("\r", "\n")  # as a text area does


@pytest.fixture(scope="module")
def stepper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with opened(build(tmp_path_factory.mktemp("stepper"), MergeStepper(merges=MOST))) as it:
        yield it.page
        it.clean()


@pytest.mark.parametrize("name", TEXTS)
def test_merges_of_characters_equal_lmcores_at_every_step(stepper: Page, name: str) -> None:
    text = pages_text(name)
    found, expected = stepper.evaluate(WALK, [text, "characters"]), list(expected_characters(text))
    assert len(found) == len(expected)
    letters = len("".join(text.split()))
    for step, (f, e) in enumerate(zip(found, expected, strict=True)):
        assert f["step"] == f"{step} of {len(expected) - 1}"
        assert f["words"] == e["words"]
        assert f["tokens"] == sum(map(len, e["words"]))
        assert f["ratio"] == pytest.approx(f["tokens"] / max(letters, 1), rel=1e-12)
        assert f["vocabulary"] == len(set("".join(text.split()))) + len(e["made"])
        assert f["listed"][: len(e["made"])] == e["made"][::-1]
        shown = {(a, b): n for a, b, n in f["pairs"]}
        assert len(shown) == min(8, len(e["counts"]))
        assert sorted(shown.values(), reverse=True) == sorted(e["counts"].values(), reverse=True)[:8]
        assert all(e["counts"][pair] == n for pair, n in shown.items())
        assert (tuple(f["next"]) if f["next"] else None) == e["next"]
        assert set(f["fresh"]) <= {e["merged"]}
        assert bool(f["fresh"]) == any(e["merged"] in word for word in e["words"])


@pytest.mark.parametrize("name", [name for name in TEXTS if TEXTS[name].strip()])
def test_merges_of_bytes_equal_lmcores_at_every_step(stepper: Page, name: str) -> None:
    text = pages_text(name)
    found = stepper.evaluate(WALK, [text, "bytes"])
    trained = BPE.train(text, 256 + MOST, min_count=2)
    spelt = [tuple("".join(chr(BYTE_OF[c]) for c in token) for token in pair) for pair in trained.merges]
    assert len(found) == len(spelt) + 1
    for step, f in enumerate(found):
        assert (tuple(f["next"]) if f["next"] else None) == (spelt[step] if step < len(spelt) else None)
        assert f["vocabulary"] == 256 + step
        assert f["listed"][:step] == ["".join(pair) for pair in spelt[:step]][::-1]
        assert ["".join(word) for word in f["words"]] == [p.encode().decode("latin-1") for p in gpt2_pieces(text)]
        if step in {0, 1, 2, len(spelt) // 2, len(spelt)}:
            partly = BPE.train(text, 256 + step, min_count=2)
            ids = [i for piece in gpt2_pieces(text) for i in partly.encode(piece)]
            tokens = [partly.decode_bytes([i]).decode("latin-1") for i in ids]
            assert list(itertools.chain(*f["words"])) == tokens
            assert f["tokens"] == len(tokens)
            assert f["ratio"] == pytest.approx(len(tokens) / len(text), rel=1e-12)


def test_classes_of_all_characters_are_lmcores(stepper: Page) -> None:
    """JavaScript cuts at every assigned character, between a letter and a digit, as lmcore.pieces and str.split() do."""
    known = [chr(i) for i in range(0x110000) if unicodedata.category(chr(i)) not in ("Cn", "Cs", "Co")]
    source = (HERE / "bpe.mjs").read_text("utf-8").replace("export ", "")
    count = """JSON.parse(codes).map((code) => ["bytes", "characters"].map((level) =>
        pieces("a" + String.fromCodePoint(code) + "1", level).length).join()).join(';')"""
    found = stepper.evaluate(f"(codes) => {{ {source}; return {count}; }}", json.dumps([ord(c) for c in known]))
    expected = [f"{len(gpt2_pieces(f'a{c}1'))},{len(f'a{c}1'.split())}" for c in known]
    assert [(c, a, b) for c, a, b in zip(known, found.split(";"), expected, strict=True) if a != b] == []


def test_merge_stepper_by_keyboard_and_buttons(tmp_path: Path) -> None:
    first = [step.token for step in merges_of(PETER_PIPER)]
    with opened(build(tmp_path, MergeStepper())) as it:
        page, box = it.page, it.page.locator(".lmw-merges")
        page.keyboard.press("Tab")
        assert box.get_by_label("Your text").evaluate("e => e === document.activeElement")
        for label in ("characters", "Next merge"):
            page.keyboard.press("Tab")
            assert label in page.evaluate("(document.activeElement.labels?.[0] ?? document.activeElement).textContent")
        page.keyboard.press("Enter")
        assert box.locator("[data-fact=step]").inner_text().startswith("1 of")
        assert f"“{first[0][0]}” and “{first[0][1]}”" in status(page, "merges")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowLeft")
        assert box.locator(".lmw-vocabulary .lmw-fresh").inner_text() == first[1]
        box.get_by_role("button", name="Start again").click()
        assert "No merge yet" in status(page, "merges")
        box.get_by_label("Your text").fill("tea tea")
        assert box.locator(".lmw-word").all_inner_texts() == ["tea", "tea"]
        box.get_by_role("button", name="Bring back").click()
        assert box.get_by_label("Your text").input_value() == PETER_PIPER
        assert box.get_by_role("button", name="Bring back").is_hidden()
        it.clean()


def test_play_goes_to_the_end_and_stops(tmp_path: Path) -> None:
    with opened(build(tmp_path, MergeStepper())) as it:
        it.page.clock.install()
        box = it.page.locator(".lmw-merges")
        box.get_by_role("button", name="Play").click()
        it.page.clock.run_for(2000)
        assert box.locator("[data-fact=step]").inner_text() == "2 of 6"
        box.get_by_role("button", name="Pause").click()
        it.page.clock.run_for(5000)
        assert box.locator("[data-fact=step]").inner_text() == "2 of 6"
        box.get_by_role("button", name="Play").click()
        it.page.clock.run_for(30_000)
        assert box.locator("[data-fact=step]").inner_text() == "6 of 6"
        assert box.get_by_role("button", name="Play").is_visible()
        assert "nothing left to merge" in status(it.page, "merges")
        it.clean()
