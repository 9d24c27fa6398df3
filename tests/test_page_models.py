"""Language models that run in the page, Python side: what travels, what both sides compute, what is refused."""

import json
from typing import Any

import pytest
import torch
from torch import nn

from lmcore import END, MASK, PAD, START, UNK
from lmcore.bert import BertConfig, BertMaskedLM
from lmcore.bpe import BPE, END_OF_TEXT
from lmcore.gpt import GPT, GPTConfig
from lmcore.recurrent import RecurrentLM
from lmcore.rnn import RNN
from lmcore.tokenizer import CharTokenizer, WordTokenizer
from lmcore.widgets.base import Figure
from lmcore.widgets.model_file import MOST, rounded, unpack
from lmcore.widgets.page_models import ModelFigure, PageModel, WordList, random_numbers
from lmcore.wordpiece import BERT_SPECIAL, WordPiece
from lmcore.world import World

KNOWN = "Alice went to the beach . There she found a shell , T-shirt o'clock naïve don't <b> “ ”"
WORDS = (PAD, START, END, *KNOWN.split())
PROSE = 3 * "A lambda yields a function object. It's naïve: “λ” 日本語 👩‍👧\n    def f(x):\n        return x ** 2\n"
# Every choice of a decoder, once at least; sizes that no axis shares with another.
CHOICES: dict[str, dict[str, Any]] = {
    "GPT": {},
    "GPT-2": {"activation": "gelu_tanh", "tied": False, "eps": 1e-3},
    "no bias": {"bias": False, "positions": "none", "activation": "relu", "dropout": 0.4},
    "Llama": {
        **{"norm": "rms", "activation": "swiglu", "positions": "rotary", "kv_heads": 1, "bias": False, "tied": False},
        **{"dim": 18, "eps": 1e-6},
    },
    "odd heads": {"head_dim": 4, "positions": "rotary", "theta": 500, "qk_norm": True, "activation": "silu"},
    "grouped": {"dim": 20, "heads": 4, "kv_heads": 2},
}
CELLS: dict[str, dict[str, Any]] = {
    "rnn": {"cell": "rnn"},
    "relu": {"cell": "rnn"},
    "lstm": {"cell": "lstm", "layers": 2, "dropout": 0.3},
    "gru": {"cell": "gru", "layers": 3, "fused": False},
    "tied": {"cell": "lstm", "tie": True, "hidden": 7},
}


def shaken(model: Any, seed: int, by: float = 0.25) -> Any:
    """The model with weights large enough for answers that differ."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(by * torch.randn_like(parameter))
    return model


def decoder(name: str = "GPT", V: int = len(WORDS), seed: int = 7, **sizes: Any) -> GPT:
    torch.manual_seed(seed)
    how = {"max_length": 23, "dim": 15, "heads": 3, "layers": 2, "hidden": 22, **CHOICES[name], **sizes}
    return shaken(GPT(GPTConfig(V, **how)), seed)


def recurrent(name: str = "lstm", V: int = len(WORDS), seed: int = 7) -> RecurrentLM:
    torch.manual_seed(seed)
    model = RecurrentLM(V, 7, **{"hidden": 11, **CELLS[name]})
    if name == "relu":
        model.rnn = RNN(7, 11, nonlinearity="relu")
    return shaken(model, seed)


def network(name: str, V: int = len(WORDS), seed: int = 7) -> Any:
    return decoder(name, V, seed) if name in CHOICES else recurrent(name, V, seed)


def bytes_tokenizer(vocab_size: int = 320) -> BPE:
    return BPE.train(PROSE, vocab_size, special=[END_OF_TEXT])


# ---- one model ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*CHOICES, *CELLS])
def test_a_model_computes_on_its_rounded_weights_and_stays_what_it_was(name: str) -> None:
    model = network(name).train()
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    page = PageModel(model, WORDS)
    ids = page.ids("Alice went to the beach .")
    with torch.no_grad():
        found = rounded(model).eval()(torch.tensor([ids]))
    assert torch.equal(page.logits(ids), (found if isinstance(found, torch.Tensor) else found[0])[0, -1])
    assert model.training
    assert all(torch.equal(before[key], tensor) for key, tensor in model.state_dict().items())
    state, config = unpack(page.data)
    assert all(torch.equal(state[key], tensor) for key, tensor in page.net.state_dict().items())
    assert config["kind"] == ("gpt" if name in CHOICES else CELLS[name]["cell"])
    assert config["tokenizer"]["vocabulary"] == [*WORDS]
    assert (config["start"], config["end"], config["never"]) == ([1], 2, [0, 1])
    assert json.dumps(config)


def test_what_cannot_follow_has_no_probability_and_the_rest_sum_to_one() -> None:
    page = PageModel(decoder(), WORDS)
    ids = page.ids("There she")
    p = page.probabilities(ids)
    assert p[[0, 1]].tolist() == [0, 0]
    assert p.sum().item() == pytest.approx(1, abs=1e-6)
    rest = page.logits(ids)[2:].softmax(0)
    assert torch.allclose(p[2:], rest, atol=1e-7)


def test_attention_is_that_of_the_last_token() -> None:
    page = PageModel(decoder(), WORDS)
    ids = page.ids("There she found a shell")
    seen = page.attention(ids)
    assert [tuple(layer.shape) for layer in seen] == [(3, 6)] * 2
    whole = page.net.look(torch.tensor([ids]), weights=True).weights
    assert torch.equal(seen[1], whole[1][0, :, -1])
    assert torch.allclose(seen[0].sum(1), torch.ones(3))
    assert PageModel(recurrent(), WORDS).attention(ids) == []


@pytest.mark.parametrize(
    ("tokenizer", "start", "end", "never"),
    [
        (WordList(WORDS), [1], 2, [0, 1]),
        (list(WORDS), [1], 2, [0, 1]),
        (WordList(("a", UNK)), [], None, []),
        (BPE.train(PROSE, 300, special=[END_OF_TEXT]), [299], 299, []),
        (BPE.train(PROSE, 300), [], None, []),
        (BPE.train(PROSE, 300, special=[END, START, MASK, END_OF_TEXT]), [297], 296, [297, 298]),
        (CharTokenizer.train("abc"), [], None, []),
        (WordTokenizer([UNK, PAD, "b", END], special=[UNK, END]), [], 3, []),
    ],
)
def test_beginning_and_end_are_special_tokens_of_the_tokeniser(tokenizer: Any, start: list, end: Any, never: list) -> None:
    page = PageModel(decoder(V=len(tokenizer)), tokenizer)
    assert (page.start, page.end, page.never) == (start, end, never)
    assert page.ids("b" if "b" in page.tokenizer.number else "a")[: len(start)] == start


def test_a_text_must_have_something_to_read_and_not_too_much() -> None:
    page = PageModel(decoder(V=4), CharTokenizer(["a", "b", "c", UNK]))
    with pytest.raises(ValueError, match="tokens of a text is 0; allowed: 1 to 23"):
        page.ids("")
    assert len(page.ids("ab" * 11, [2])) == 23
    with pytest.raises(ValueError, match="is 24; allowed: 1 to 23"):
        page.ids("ab" * 12)
    assert PageModel(decoder(), WORDS).ids("") == [1]
    assert PageModel(recurrent(), WORDS).room is None


# ---- words of a closed list ---------------------------------------------------------------------------------------------


def test_words_of_a_list_stay_whole_and_others_have_no_encoding() -> None:
    words = WordList(WORDS)
    assert words.whole == ["T-shirt", "<b>"]
    assert words.tokens("Alice went to the T-shirt. “o'clock”<b>,<end>") == [
        *("Alice", "went", "to", "the", "T-shirt", ".", "“", "o'clock", "”", "<b>", ",", END)
    ]
    assert words.decode(words.encode("Alice  went,")) == "Alice went ,"
    for text in ("T-shirts", "Alice Went", "T - shirt"):
        with pytest.raises(ValueError, match="not in the model's vocabulary of 22 words"):
            words.encode(text)
    known = WordList((UNK, "a"))
    assert known.encode("a b-a") == [1, 0, 0, 1]


def test_every_text_of_the_world_has_its_tokens_as_encoding() -> None:
    world = World()
    words = WordList((PAD, START, END, *world.vocabulary))
    for story in world.sample(60, seed=3):
        assert words.tokens(story.text) == list(story.tokens)


# ---- the page's random numbers ------------------------------------------------------------------------------------------


def test_random_numbers_are_even_and_their_own() -> None:
    draw, again, other = random_numbers(7), random_numbers(7 + 2**32), random_numbers(8)
    found = [draw() for _ in range(5000)]
    assert found[:100] == [again() for _ in range(100)]
    assert found[:5] != [other() for _ in range(5)]
    assert 0 <= min(found) < max(found) < 1
    counts = torch.tensor(found).histc(20, 0, 1)
    assert float(((counts - 250) ** 2 / 250).sum()) < 43.8, "χ² of 19 degrees of freedom, 0.1 %"
    pairs = torch.tensor(found).reshape(-1, 2)
    assert abs(float(torch.corrcoef(pairs.T)[0, 1])) < 0.06


# ---- figures with several models ----------------------------------------------------------------------------------------


class Plain(ModelFigure):
    """A figure with nothing to draw."""

    def describe(self) -> str:
        return f"Models: {len(self._models)}."


def test_every_model_travels_in_a_trait_of_its_own_that_is_loaded_later() -> None:
    figure = Plain({"words": (decoder(), WORDS), "bytes": (recurrent(V=320), bytes_tokenizer())}, chosen=1)
    state = figure.get_state()
    assert state["labels"] == ["words", "bytes"]
    assert state["lazy"] == ["weights0", "weights1"]
    for i, label in enumerate(("words", "bytes")):
        _, config = unpack(state[f"weights{i}"])
        assert config["tokenizer"]["kind"] == {"words": "words", "bytes": "bpe"}[label]
    assert figure.running.kind == "lstm"
    assert isinstance(figure, Plain)
    assert isinstance(figure, Figure)
    with pytest.raises(ValueError, match="chosen is 2; allowed: 0 to 1"):
        figure.chosen = 2
    assert "weights1" not in Plain({"one": (decoder(), WORDS)}).get_state(), "traits belong to one figure"


class Large(GPT):
    """A model with a part that no page should carry."""

    def __init__(self, sizes: GPTConfig) -> None:
        super().__init__(sizes)
        self.more = nn.Parameter(torch.zeros(MOST // 2))


def bert() -> BertMaskedLM:
    return BertMaskedLM(BertConfig(11, dim=6, heads=3, layers=1, hidden=7, max_length=5))


@pytest.mark.parametrize(
    ("model", "tokenizer", "says"),
    [
        ("gpt", WORDS, "a page runs a GPT or a RecurrentLM; got a str"),
        (bert(), WORDS, "got a BertMaskedLM"),
        (Large(GPTConfig(len(WORDS), 5, 4, 2, 1)), WORDS, "file takes 4,00.* bytes; a page carries at most 4,000,000 for one"),
        (decoder(), WORDS[:-1], f"the tokeniser has {len(WORDS) - 1} tokens and the model {len(WORDS)}"),
        (decoder(), None, "a WordTokenizer or a list of words; got None"),
        (decoder(), "words", "or a list of words; got 'words'"),
        (decoder(), WordPiece([*BERT_SPECIAL, "a"]), "no twin of this WordPiece"),
        (decoder(V=2), WordTokenizer([UNK, "a"], pattern=r"\w+"), "no twin of this WordTokenizer, or not with its pattern"),
        (decoder(V=256), BPE.train("ab", 256, pattern="(?s)."), "no twin of this BPE, or not with its pattern"),
    ],
)
def test_refuses(unchecked: None, model: Any, tokenizer: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        PageModel(model, tokenizer)


def test_a_figure_refuses_what_is_no_model_with_a_tokeniser(unchecked: None) -> None:
    for models in ({}, [decoder()], None):
        with pytest.raises(ValueError, match="models must map at least one label to"):
            Plain(models)
    for models in ({"a": decoder()}, {"a": (decoder(),)}, {3: (decoder(), WORDS)}):
        with pytest.raises(ValueError, match="must be a pair"):
            Plain(models)
    with pytest.raises(ValueError, match="chosen is 1; allowed: 0 to 0"):
        Plain({"a": (decoder(), WORDS)}, chosen=1)
