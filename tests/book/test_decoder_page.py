"""Models that read one token after the other, in Chromium: logits, attention, tokens and filters equal lmcore's."""

import json
import pydoc_data.topics
import unicodedata
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from playwright.sync_api import Page

from lmcore import END, PAD, START, UNK
from lmcore.bpe import BPE, END_OF_TEXT
from lmcore.generate import filtered, generate
from lmcore.generate import filters as reference
from lmcore.gpt import GPT, GPTConfig
from lmcore.tokenizer import CharTokenizer, Tokenizer, WordTokenizer
from lmcore.widgets.page_models import SPACES, PageModel, WordList, random_numbers
from tests.book.modules import module_page, sent
from tests.book.test_engine_page import UNUSUAL
from tests.test_page_models import CELLS, CHOICES, WORDS, decoder, network, shaken

pytestmark = pytest.mark.browser

EXPORTED = (
    "Runner drawn filtered inSlices likeliest linear makeTokenizer randomNumbers ranked readModel softmax topK topP whole"
)
# A runner of the bytes of a model; what its generators return, as a list; where its last token looked, as lists.
RUNNER = """const runner = lm.Runner.of(lm.readModel(view(file))), all = (steps) => [...lm.whole(steps)];
const looks = () => runner.looked?.map((layer) => layer.map((weights) => [...weights]));
const said = (f) => { try { return f(); } catch (error) { return error.message; } };"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A page with the parts of the figure's own module as `lm`."""
    with module_page(tmp_path_factory.mktemp("decoder"), "next_tokens.mjs", EXPORTED) as found:
        yield found


def logits(model: Any, ids: list[int]) -> torch.Tensor:
    """Of the token after each of these, in the model's precision: (T, V)."""
    with torch.no_grad():
        found = model.eval()(torch.tensor([ids]))
    return (found[0] if isinstance(found, tuple) else found)[0]


# ---- logits and attention ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*CHOICES, *CELLS])
def test_logits_and_attention_equal_torch_with_and_without_the_cache(page: Page, name: str) -> None:
    """To 1e-5 on the rounded weights, at every place of two texts; what the rounding itself does is larger by far."""
    model = network(name)
    given, exact = PageModel(model, WORDS), model.double()
    twin = given.net.double()
    torch.manual_seed(3)
    for ids in ([1], torch.randint(len(WORDS), (23,)).tolist()):
        found = page.evaluate(
            f"""([file, ids]) => {{ {RUNNER}
            const fresh = ids.map((_, t) => all(runner.begin(ids.slice(0, t + 1), {{fresh: true}})));
            const stepped = ids.map((id, t) => all(t ? runner.step(id, {{look: true}}) : runner.begin([id], {{look: true}})));
            const looked = looks();
            lm.whole(runner.begin([0]));
            return {{fresh, stepped, looked, atOnce: all(runner.begin(ids, {{look: true}})), again: looks()}}; }}""",
            [sent(given.data), ids],
        )
        wanted = logits(twin, ids)
        for way in ("fresh", "stepped"):
            assert (torch.tensor(found[way], dtype=torch.float64) - wanted).abs().max() < 1e-5, way
        assert torch.tensor(found["atOnce"], dtype=torch.float64).sub(wanted[-1]).abs().max() < 1e-5
        assert 20 * 1e-6 < (logits(exact, ids) - wanted).abs().max() < 0.5
        if name in CHOICES:
            seen = twin.look(torch.tensor([ids]), weights=True).weights
            for layer, *shown in zip(seen, found["looked"], found["again"], strict=True):
                for weights in shown:
                    assert torch.tensor(weights, dtype=torch.float64).sub(layer[0, :, -1]).abs().max() < 1e-6
        else:
            assert found["looked"] is found["again"] is None


def test_a_model_as_large_as_the_books_is_as_exact_and_no_slice_of_its_work_is_long(page: Page) -> None:
    """A full text at once. From one breath to the next a run does less than the largest product of a layer, some milliseconds
    of work, so that the page can react. Everything is timed at its best: other programs may hold one run up."""
    V, T, C = 1203, 128, 128
    model = shaken(GPT(GPTConfig(V, max_length=T, dim=C, heads=4, layers=2, std=0.1)), 3, by=0.06)
    given = PageModel(model, [UNK, *map(str, range(V - 1))])
    ids = torch.randint(V, (T,)).tolist()
    found = page.evaluate(
        """([file, ids, T, C]) => {
        const model = lm.readModel(view(file)), x = new Float32Array(T * C).fill(1), best = [], product = [];
        const timed = (f) => { const began = performance.now(), value = f(); return [performance.now() - began, value]; };
        let logits = null;
        for (let run = 0; run < 16; run++) {
          product.push(timed(() => lm.linear(x, T, model.weights.get("layers.0.linear1.weight").data))[0]);
          const steps = lm.Runner.of(model).begin(ids, {look: true});
          for (let n = 0, end = false; !end; n++) {
            const [time, {done, value}] = timed(() => steps.next());
            best[n] = Math.min(best[n] ?? Infinity, time);
            if (done) [end, logits] = [true, [...value]];
          }
        }
        return {logits, longest: Math.max(...best), product: Math.min(...product)}; }""",
        [sent(given.data), ids, T, C],
    )
    wanted = logits(given.net.double(), ids)[-1]
    assert (torch.tensor(found["logits"], dtype=torch.float64) - wanted).abs().max() < 1e-5
    assert wanted.abs().max() > 2
    assert found["longest"] < found["product"]


@pytest.mark.parametrize("name", ["GPT", "Llama", "gru"])
def test_what_was_read_already_is_not_computed_again_and_copies_go_on_by_themselves(page: Page, name: str) -> None:
    given = PageModel(network(name), WORDS)
    twin = given.net.double()
    first, second, other = [1, 3, 4, 5, 6], [1, 3, 4, 7, 8, 9], [1, 3]
    found = page.evaluate(
        f"""([file, first, second, other]) => {{ {RUNNER}
        const log = [first, second, second, other, first].map((ids) => [ids, all(runner.begin(ids)), runner.work]);
        lm.whole(runner.begin(first));
        const a = runner.copy(), b = a.copy(), turns = [[a, 10], [b, 11], [runner, 12], [a, 13], [b, 14], [runner, 15]];
        return {{log, last: turns.map(([one, id]) => [[...one.ids, id], all(one.step(id)), one.ids])}}; }}""",
        [sent(given.data), first, second, other],
    )
    assert [work for _, _, work in found["log"]] == [5, 3, 1, 1, 3]
    for ids, shown, *_ in [*found["log"], *found["last"]]:
        assert torch.tensor(shown, dtype=torch.float64).sub(logits(twin, ids)[-1]).abs().max() < 1e-5, ids
    for ids, _, kept in found["last"]:
        assert ids == kept
    assert found["last"][3][0] == [*first, 10, 13]


@pytest.mark.parametrize("name", ["GPT", "lstm"])
def test_a_run_that_is_given_up_changes_nothing(page: Page, name: str) -> None:
    given = PageModel(network(name), WORDS)
    found = page.evaluate(
        f"""([file]) => {{ {RUNNER}
        lm.whole(runner.begin([1, 3, 4]));
        const before = [...runner.logits], steps = runner.begin([1, 3, 4, 5, 6, 7]);
        for (let i = 0; i < 4; i++) steps.next();
        const kept = [[...runner.logits], runner.ids.slice()], other = runner.step(8); // a second run while the first one waits
        for (const one of [other, steps]) one.next();
        const last = all(other), {{ids}} = runner;
        const tooMany = [[], Array(24).fill(3)].map((ids) => said(() => lm.whole(runner.begin(ids)).length));
        return {{before, kept, last, ids, tooMany}}; }}""",
        [sent(given.data)],
    )
    assert found["kept"] == [found["before"], [1, 3, 4]]
    assert found["ids"] == [1, 3, 4, 8]
    wanted = logits(given.net.double(), [1, 3, 4, 8])[-1]
    assert torch.tensor(found["last"], dtype=torch.float64).sub(wanted).abs().max() < 1e-5
    limit = "the text has 24 tokens, and this model reads at most 23" if name == "GPT" else len(WORDS)
    assert found["tooMany"] == ["there is nothing to read", limit]


# ---- from logits to tokens ---------------------------------------------------------------------------------------------

FILTERS: list[dict[str, Any]] = [
    {},
    {"temperature": 0.4},
    {"temperature": 3.0},
    {"top_k": 1},
    {"top_k": 4},
    {"top_k": 99},
    {"top_p": 1e-9},
    {"top_p": 0.3},
    {"top_p": 0.9},
    {"top_p": 1.0},
    {"repetition": 1.7},
    {"repetition": 0.6},
    {"temperature": 0.7, "top_k": 9, "top_p": 0.8, "repetition": 1.2},
]


@pytest.mark.parametrize("how", FILTERS, ids=str)
def test_filters_equal_lmcores(page: Page, how: dict[str, Any]) -> None:
    torch.manual_seed(5)
    scores = 2.5 * torch.randn(7, 23, dtype=torch.float64)
    scores[1, :9] = scores[1, 0]  # ties
    scores[2, 3:20] = -torch.inf
    scores[3] = torch.linspace(40, -40, 23)
    read = torch.randint(23, (7, 5))
    found = page.evaluate(
        "([rows, read, how]) => rows.map((row, i) => [...lm.filtered(row.map(Number), {...how, read: read[i]})].map(String))",
        [[[str(z).replace("inf", "Infinity") for z in row] for row in scores.tolist()], read.tolist(), how],
    )
    wanted = filtered(scores, read, **how)
    for shown, want, ties in zip(found, wanted, range(7), strict=True):
        got = torch.tensor([float(z.replace("Infinity", "inf")) for z in shown], dtype=torch.float64)
        if ties == 1 and "top_p" in how:  # of equals some may stay: which, torch does not say
            assert (got > -torch.inf).sum() == (want > -torch.inf).sum()
            continue
        assert torch.equal(got > -torch.inf, want > -torch.inf)
        assert torch.allclose(got, want, atol=1e-12)


def test_the_token_that_makes_p_full_stays(page: Page) -> None:
    z = torch.tensor([[0.5, 0.25, 0.125, 0.125]], dtype=torch.float64).log()
    for p, left in ((0.49, 1), (0.51, 2), (0.74, 2), (0.76, 3), (0.874, 3), (0.876, 4)):
        found = page.evaluate("([z, p]) => [...lm.topP(Float64Array.from(z), p)].map((x) => x > -Infinity)", [z[0].tolist(), p])
        assert sum(found) == left == int((reference.top_p(z, p) > -torch.inf).sum())


def test_random_numbers_and_draws_are_those_of_python(page: Page) -> None:
    for seed in (0, 1, 7, 2**31 + 5, 2**32 - 1):
        draw = random_numbers(seed)
        found = page.evaluate("(seed) => { const u = lm.randomNumbers(seed); return Array.from({length: 200}, u); }", seed)
        assert found == [draw() for _ in range(200)]
    p = [0, 0.25, 0, 0.5, 0.25, 0]
    us = [0, 0.2499, 0.25, 0.7499, 0.75, 0.999999, 1]
    assert page.evaluate("([p, us]) => us.map((u) => lm.drawn(p, u))", [p, us]) == [1, 1, 3, 3, 4, 4, 4]
    assert page.evaluate("lm.likeliest([1, 5, 2, 5])") == 1
    assert page.evaluate("lm.ranked(Float64Array.from([1, 5, 2, 5, -Infinity]))") == [1, 3, 2, 0, 4]


@pytest.mark.parametrize("name", ["GPT-2", "Llama", "lstm"])
def test_greedy_and_drawn_texts_are_those_of_python(page: Page, name: str) -> None:
    """Token for token: greedily as lmcore.generate, and drawn with filters and the page's random numbers."""
    given = PageModel(network(name, seed=9), WORDS)
    how = {"temperature": 1.3, "top_k": 12, "top_p": 0.9, "repetition": 1.1}
    prompt = given.ids("Alice went")
    found = page.evaluate(
        f"""([file, prompt, how]) => {{ {RUNNER}
        const go = (choose) => {{
          const ids = [];
          for (let z = all(runner.begin(prompt)); ids.length < 18; z = all(runner.step(ids.at(-1)))) {{
            ids.push(choose(z, [...prompt, ...ids]));
            if (ids.at(-1) === runner.end) break;
          }}
          return ids;
        }};
        const {{never}} = runner, u = lm.randomNumbers(5);
        const drawn = (z, read) => lm.drawn(lm.softmax(lm.filtered(z, {{...how, read, never}})), u());
        return [go((z) => lm.likeliest(lm.filtered(z, {{never}}))), go(drawn)]; }}""",
        [sent(given.data), prompt, how],
    )
    (best,) = generate(given.net, [prompt], max_new=18, end=given.end, never=given.never)
    assert found[0] == [*best.ids, *([given.end] if best.ended else [])]
    draw, ids = random_numbers(5), []
    while len(ids) < 18 and given.end not in ids:
        z = given.logits([*prompt, *ids])[None].double()
        z[:, given.never] = -torch.inf
        p = filtered(z, torch.tensor([[*prompt, *ids]]), **how).softmax(1)[0]
        ids.append(int((p.cumsum(0) <= draw()).sum()))
    assert found[1] == ids
    assert len(set(ids)) > 3


# ---- tokenisers --------------------------------------------------------------------------------------------------------

TOPICS = pydoc_data.topics.topics
MANUAL = "".join(TOPICS[name] for name in sorted(TOPICS))
PARTS = [MANUAL[i : i + 1009] for i in range(0, len(MANUAL), 7 * 1009)]
STRANGE = [
    *UNUSUAL,
    "x <end><|endoftext|> <unk>y<pad>",
    "İSTANBUL ΑΣ don’t rock'n'roll 'tis it's it''s 's 'Ll a'b’c'",
    "½ Ⅷ ٣ x² _a_ a_b 3.14",
]


def tokenizers() -> dict[str, Tokenizer]:
    text = MANUAL[:60_000] + " ".join(UNUSUAL)
    words = [word for word in dict.fromkeys(text.split()) if not word.startswith("<")][::3]
    return {
        "bytes": BPE.train(text, 900, special=[END_OF_TEXT, END]),
        "few bytes": BPE.train("abababab", 258),
        "characters": CharTokenizer.train(MANUAL, special=[PAD, UNK, END]),
        "words": WordTokenizer.train(text, 1500, special=[UNK, END]),
        "lower": WordTokenizer.train(text, 1500, lower=True),
        "spaces": WordTokenizer.train(text, 1500, pattern=SPACES),
        "list": WordList((UNK, START, END, *words)),
    }


def spec(tokenizer: Tokenizer) -> dict[str, Any]:
    """What travels with a model, through JSON as it does."""
    config = PageModel(decoder(V=len(tokenizer), dim=3, layers=1), tokenizer).data
    size = int.from_bytes(config[:8], "little")
    return json.loads(json.loads(config[8 : 8 + size])["__metadata__"]["lmcore"])["config"]["tokenizer"]


@pytest.mark.parametrize("name", tokenizers())
def test_tokenisers_equal_lmcores(page: Page, name: str) -> None:
    tokenizer = tokenizers()[name]
    texts = [*STRANGE, *PARTS]
    wanted = [tokenizer.encode(text) for text in texts]
    torch.manual_seed(2)
    drawn = torch.randint(len(tokenizer), (60, 9)).tolist()  # parts of characters among them
    found = page.evaluate(
        """([how, texts, drawn]) => { const t = lm.makeTokenizer(how);
        const ids = texts.map(t.encode);
        return {ids, back: ids.map(t.decode), drawn: drawn.map(t.decode),
          same: texts.every((text) => t.pieces(text).flatMap(({ids}) => ids).join() === t.encode(text).join()),
          spelt: t.vocabulary.map((_, i) => t.spell(i))}; }""",
        [spec(tokenizer), texts, drawn],
    )
    assert found["ids"] == wanted
    assert found["back"] == [tokenizer.decode(ids) for ids in wanted]
    assert found["drawn"] == [tokenizer.decode(ids) for ids in drawn]
    assert found["same"]
    assert all(found["spelt"]), "every token can be seen"
    if name == "bytes":
        assert found["back"] == texts
        assert any("\ufffd" in text for text in found["drawn"])


def test_words_are_cut_between_the_same_characters(page: Page) -> None:
    """Python and the browser may have Unicode tables of different age: what either does not know yet is left out."""
    codes = [c for c in range(0x110000) if unicodedata.category(chr(c)) not in ("Cn", "Co", "Cs")]
    codes = [c for c in codes if unicodedata.category(chr(c)) != "Lo" or c < 0x3400 or c % 29 == 0]  # of Chinese, a part
    tokenizer = WordTokenizer([UNK, "7"])
    found = page.evaluate(
        "([how, text]) => lm.makeTokenizer(how).pieces(text).map((p) => p.text).join('\\0').split('\\0\\x37\\0')",
        [spec(tokenizer), " 7 ".join(f"a{chr(c)}b" for c in codes)],
    )
    wanted = ["\0".join(tokenizer.words(f"a{chr(c)}b")) for c in codes]
    different = [hex(c) for c, f, w in zip(codes, found, wanted, strict=True) if f != w]
    assert len(codes) > 25_000
    assert len(different) <= 10, different
    assert not [c for c in different if int(c, 16) < 0x1000]


def test_a_word_that_is_unknown_is_named_and_taken_tokens_go_behind_a_text(page: Page) -> None:
    words, bpe = spec(WordList(WORDS)), spec(BPE.train(MANUAL[:3000], 300, special=[END_OF_TEXT]))
    found = page.evaluate(
        """([words, bpe]) => { const t = lm.makeTokenizer(words), b = lm.makeTokenizer(bpe), e = b.encode("\\u00e9");
        const said = (text) => { try { t.encode(text); } catch (error) { return error.message; } };
        const strange = t.pieces("Alice sang").map(({ids}) => ids.length);
        const cut = [e.slice(0, 1), e].map((ids) => b.extend("caf", ids));
        const extended = [t.extend("There  she ", [12, 5]), t.extend("", [4]), ...cut];
        return {one: said("Alice sang"), two: said("Alice sang a song"), strange, extended}; }""",
        [words, bpe],
    )
    assert found["one"] == "“sang” is not in the model's vocabulary"
    assert found["two"] == "“sang”, “song” are not in the model's vocabulary"
    assert found["strange"] == [1, 0]
    assert found["extended"] == [f"There  she {WORDS[12]} {WORDS[5]}", WORDS[4], "caf\ufffd", "café"]
