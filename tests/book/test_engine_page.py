"""The engine and the tokeniser that run in the page, in Chromium: equal to lmcore's on real text and at odd sizes."""

import itertools
import pydoc_data.topics
import unicodedata
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from playwright.sync_api import Page
from torch import Tensor, nn

from lmcore.attention import causal_mask
from lmcore.blocks import EncoderLayer
from lmcore.widgets.model_file import pack, rounded
from lmcore.wordpiece import BERT_SPECIAL, WordPiece, basic_tokens
from tests.book.modules import module_page, sent
from tests.test_fill_blank import TEXTS, blank, network, tokenizer

pytestmark = pytest.mark.browser

EXPORTED = (
    "attend basicTokens encoderLayer gelu inSlices layerNorm linear maskedScores part readModel softmax stack whole wordPiece"
)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A page with the parts of the figure's own module."""
    with module_page(tmp_path_factory.mktemp("engine"), "fill_blank.mjs", EXPORTED) as page:
        yield page


# ---- model files -------------------------------------------------------------------------------------------------------


class Numbers(nn.Module):
    """Every finite number of half precision, some of them under a second name."""

    def __init__(self) -> None:
        super().__init__()
        halves = torch.from_numpy(np.arange(2**16, dtype=np.uint16).view(np.float16).astype(np.float32))
        self.every = nn.Parameter(halves[halves.isfinite()])
        self.odd = nn.Parameter(torch.arange(35.0).reshape(5, 7))
        self.again = self.odd


def test_every_half_precision_number_is_read_exactly(engine: Page) -> None:
    model = Numbers()
    found = engine.evaluate(
        """(text) => { const {config, weights} = lm.readModel(view(text)), again = weights.get("again");
        return {config, names: [...weights.keys()].sort(), shape: again.shape, odd: [...again.data],
          same: weights.get("odd") === again, bits: new Int32Array(weights.get("every").data.buffer).join(" ")}; }""",
        sent(pack(model, {"width": 7, "name": "naïve"})),
    )
    assert found["config"] == {"width": 7, "name": "naïve"}
    assert found["names"] == ["again", "every", "odd"]
    assert found["shape"] == [5, 7]
    assert found["odd"] == list(range(35))
    assert found["same"]
    wanted = model.every.detach().view(torch.int32).tolist()
    assert [*map(int, found["bits"].split())] == wanted, "to the last bit, −0 too"


# ---- parts -------------------------------------------------------------------------------------------------------------


def randn(*shape: int, seed: int = 1) -> Tensor:
    """Numbers that float32 holds exactly, as float64."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).double()


@pytest.mark.parametrize(("T", "I", "O"), [(1, 1, 1), (3, 5, 7), (4, 7, 3), (9, 13, 6), (8, 16, 5)])
def test_linear_and_layer_norm_equal_torch(engine: Page, T: int, I: int, O: int) -> None:  # noqa: E741
    x, weight, bias, gain = randn(T, I), randn(O, I, seed=2), randn(O, seed=3), randn(I, seed=4)
    found = engine.evaluate(
        """([T, x, w, b, g]) => [lm.linear(f32(x), T, f32(w), f32(b)), lm.linear(f32(x), T, f32(w)),
        lm.layerNorm(f32(x), T, f32(g), f32(g), 1e-5)].map((y) => [...y])""",
        [T, x.flatten().tolist(), weight.flatten().tolist(), bias.tolist(), gain.tolist()],
    )
    wanted = [x @ weight.T + bias, x @ weight.T, nn.functional.layer_norm(x, (I,), gain, gain, 1e-5)]
    for given, want in zip(found, wanted, strict=True):
        assert given == pytest.approx(want.flatten().tolist(), rel=1e-6, abs=1e-6)


def test_gelu_is_the_exact_one(engine: Page) -> None:
    x = torch.cat([torch.linspace(-9, 9, 5003, dtype=torch.float64), torch.tensor([-700.0, -8, 0, 8, 700, 1 / 128, -1 / 256])])
    found = engine.evaluate("(x) => x.map(lm.gelu)", x.tolist())
    wanted = nn.functional.gelu(x)
    assert np.abs(np.array(found) - wanted.numpy()).max() < 1e-10
    tanh = nn.functional.gelu(x, approximate="tanh")
    assert (tanh - wanted).abs().max() > 1e-4, "the usual approximation would be seen"
    assert engine.evaluate("[lm.gelu(NaN), lm.gelu(-Infinity), lm.gelu(Infinity)].map(String)") == ["NaN", "0", "Infinity"]


@pytest.mark.parametrize(
    ("norm", "activation", "causal"), [*itertools.product(("pre", "post"), ("gelu", "relu"), (False, True))]
)
def test_a_stack_of_layers_equals_torch(engine: Page, norm: str, activation: str, causal: bool) -> None:
    """Pre-norm and causal too: a GPT is a stack of these."""
    torch.manual_seed(11)
    layers = nn.ModuleList(EncoderLayer(15, 5, 22, norm=norm, activation=activation, eps=1e-3) for _ in range(2))
    twin = rounded(layers).double()
    for T in (1, 6, 13):
        x = randn(T, 15, seed=T)
        found = engine.evaluate(
            """([text, x, T, how, causal]) => { const {weights} = lm.readModel(view(text));
            return [...lm.whole(lm.stack(f32(x), T, weights, "", 2, {...how, sees: causal ? (t) => t + 1 : undefined}))]; }""",
            [
                sent(pack(layers, {})),
                x.flatten().tolist(),
                T,
                {"heads": 5, "norm": norm, "activation": activation, "eps": 1e-3},
                causal,
            ],
        )
        y = x[None]
        for layer in twin:
            y = layer(y, causal_mask(T) if causal else None)
        assert found == pytest.approx(y.flatten().tolist(), abs=2e-6)


def test_attention_looks_at_more_keys_than_there_are_queries(engine: Page) -> None:
    """As with a cache of keys and values: the queries are the last of the positions."""
    q, k, v = randn(2, 6), randn(7, 6, seed=2), randn(7, 6, seed=3)
    found = engine.evaluate(
        "([q, k, v]) => [...lm.whole(lm.attend(f32(q), f32(k), f32(v), 2, 3, (t) => 6 + t))]",
        [part.flatten().tolist() for part in (q, k, v)],
    )
    heads = [part.reshape(-1, 3, 2).transpose(0, 1) for part in (q, k, v)]
    wanted = nn.functional.scaled_dot_product_attention(*heads, attn_mask=causal_mask(7)[5:]).transpose(0, 1)
    assert found == pytest.approx(wanted.flatten().tolist(), abs=1e-6)


# ---- running -----------------------------------------------------------------------------------------------------------


def test_the_page_is_not_blocked_and_a_run_can_be_given_up(engine: Page) -> None:
    found = engine.evaluate(
        """async () => {
          const clock = performance.now; let time = 0;
          performance.now = () => (time += 4); // every look at the clock takes four milliseconds
          try {
            const log = [], {port1, port2} = new MessageChannel();
            port1.onmessage = () => log.push("page");
            const steps = function* () {
              for (let i = 0; i < 9; i++) { if (i === 1) port2.postMessage(0); log.push(i); yield; }
              return "done";
            };
            const result = await lm.inSlices(steps());
            const before = log.slice(), none = await lm.inSlices(steps(), () => true);
            return {result, before, none, more: log.length - before.length, whole: lm.whole(steps())};
          } finally { performance.now = clock; }
        }"""
    )
    assert found["result"] == found["whole"] == "done"
    assert [x for x in found["before"] if x != "page"] == list(range(9))
    assert 1 < found["before"].index("page") < 9, "the page had its turn before the end"
    assert found["none"] is None
    assert found["more"] < 9


# ---- BERT --------------------------------------------------------------------------------------------------------------

SENTENCES = [*TEXTS, "[MASK] [MASK] [MASK]", "zebra € strasse Strasse ___ bob", "the " * 20 + "___"]


@pytest.mark.parametrize("seed", [7, 8])
def test_scores_of_every_blank_equal_torch(engine: Page, seed: int) -> None:
    """To 1e-5 on the rounded weights; what the rounding itself does is larger by far."""
    model, mask = network(seed=seed), tokenizer().number["[MASK]"]
    widget, exact, twin = blank(model=model), model.double().eval(), rounded(model).double().eval()
    page_error, rounding = 0.0, 0.0
    for text in SENTENCES:
        ids = widget._ids(text)
        where = ids == mask
        found = engine.evaluate(
            "([text, ids, places]) => lm.whole(lm.maskedScores(lm.readModel(view(text)), ids, places)).map((row) => [...row])",
            [sent(widget.weights), ids[0].tolist(), where[0].nonzero()[:, 0].tolist()],
        )
        with torch.no_grad():
            wanted, unrounded = (m.words(m.bert(ids), where) for m in (twin, exact))
        assert len(found) == int(where.sum()) > 0
        page_error = max(page_error, float((torch.tensor(found, dtype=torch.float64) - wanted).abs().max()))
        rounding = max(rounding, float((unrounded - wanted).abs().max()))
    assert page_error < 1e-5
    assert 20 * page_error < rounding < 0.1


# ---- tokeniser ---------------------------------------------------------------------------------------------------------

MANUAL = "".join(pydoc_data.topics.topics[name] for name in ("lambda", "while", "strings", "formatstrings"))
UNUSUAL = [
    "",
    " \n\t\r ",
    "Über naïve CAFÉ e\u0301te\u0301 İstanbul ǅ ß ẞ ﬃ ΑΣ ΣΑΣ ς K Å",
    "日本語です 東京 한국어 \U00020000\U0002b820 \uf900\U0002f800 नमस्ते שלום Здравствуй",
    "a\u00a0b a\u2028b \x1ca\x1cb\x1d\x85ab\u3000ab \u200bab\u200b \ufeffab\x0bab \ufffd a\u00adb",
    "👩\u200d👩\u200d👧 👍🏽 \U0001f1f3\U0001f1f1",
    "$5+5=10 a^b `c` ~d |e| <f> don't o'clock x_y “q” – — … ¿no?",
    "[MASK] [mask] [CLS][SEP]x[UNK] [ MASK ] <|end-of-text|><|end-of-text|>y <|end",
    "a" * 100 + " " + "a" * 101 + " " + "é" * 51 + " " + "\u0301" * 120,
    '</script> <b>&amp;</b> \\ ${a} "',
]


def tokenizers() -> dict[str, WordPiece]:
    text = MANUAL + " ".join(UNUSUAL)
    learnt = {f"lower={lower}": WordPiece.train(text, 900, lower=lower) for lower in (True, False)}
    special = [*BERT_SPECIAL, "<|end", "<|end-of-text|>", "x"]
    known = dict.fromkeys([*special, *learnt["lower=False"].vocabulary])
    gaps = WordPiece([token for i, token in enumerate(known) if i < len(special) or i % 3], special, lower=False, longest=7)
    return {**learnt, "gaps": gaps, "small": tokenizer()}


@pytest.mark.parametrize("name", ["lower=True", "lower=False", "gaps", "small"])
def test_tokeniser_equals_lmcores(engine: Page, name: str) -> None:
    pieces = tokenizers()[name]
    texts = [*UNUSUAL, *(MANUAL[i : i + 700] for i in range(0, len(MANUAL), 700))]
    found = engine.evaluate(
        "([how, texts]) => { const t = lm.wordPiece(how); return texts.map((text) => t.words(text).flatMap((w) => w.ids)); }",
        [
            {"vocabulary": pieces.vocabulary, "special": pieces.special, "lower": pieces.lower, "longest": pieces.longest},
            texts,
        ],
    )
    wanted = [pieces.encode(text) for text in texts]
    assert found == wanted
    unknown = sum(ids.count(pieces.number["[UNK]"]) for ids in wanted)
    assert unknown > 0, "unknown words must be among those tested"


@pytest.mark.parametrize("lower", [True, False])
def test_every_character_is_treated_as_in_lmcore(engine: Page, lower: bool) -> None:
    """Python and the browser may have Unicode tables of different age: what either does not know yet is left out."""
    codes = [c for c in range(0x110000) if unicodedata.category(chr(c)) not in ("Cn", "Co", "Cs")]
    codes = [c for c in codes if unicodedata.category(chr(c)) != "Lo" or c < 0x3400 or c % 29 == 0]  # of Chinese, a part
    text = " 7 ".join(f"a{chr(c)}b" for c in codes)
    found = engine.evaluate("([text, lower]) => lm.basicTokens(text, lower).join(' ')", [text, lower]).split(" 7 ")
    wanted = " ".join(basic_tokens(text, lower)).split(" 7 ")
    different = [hex(c) for c, f, w in zip(codes, found, wanted, strict=True) if f != w]
    assert len(codes) > 25_000
    assert len(different) <= 10, different
    assert not [c for c in different if int(c, 16) < 0x1000]
    alone = engine.evaluate("(lower) => lm.basicTokens('a\\ud800b\\udc00 \\ue000c', lower)", lower)
    assert alone == basic_tokens("a\ud800b\udc00 \ue000c", lower) == ["ab", "c"]
