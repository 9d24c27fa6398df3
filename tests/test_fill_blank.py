"""The Python side of fill in the blank: what it hands to the page, what it says, what it refuses."""

from typing import Any

import pytest
import torch

from lmcore.bert import BertClassifier, BertConfig, BertMaskedLM, BertPretraining
from lmcore.widgets import FillBlank
from lmcore.widgets.fill_blank import LONGEST
from lmcore.widgets.model_file import MOST, rounded, unpack
from lmcore.wordpiece import BERT_SPECIAL, WordPiece

WORDS = 'the a bank river money swam went naïve <b> Bob bob , . " to by in strasse ##s ##e ##r b o ##o ##b é 日 ##\u0301 i'
TEXTS = ["the ___ went to the river .", "Bob swam by [MASK] ___ ,", "_"]


def tokenizer(lower: bool = False) -> WordPiece:
    return WordPiece([*BERT_SPECIAL, *WORDS.split()], lower=lower)


V = len(tokenizer())


def network(kind: type = BertPretraining, seed: int = 7) -> Any:
    """An untrained model of odd sizes, its weights large enough for answers that differ."""
    torch.manual_seed(seed)
    sizes = BertConfig(V, dim=15, heads=3, layers=2, hidden=19, max_length=23, dropout=0.3)
    model = kind(sizes)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.25 * torch.randn_like(parameter))
    return model


def blank(**kwargs: Any) -> FillBlank:
    return FillBlank(**{"model": network(), "tokenizer": tokenizer(), "texts": TEXTS, "top": 4, **kwargs})


def expected(model: BertMaskedLM, ids: list[int]) -> torch.Tensor:
    """The probabilities of all words at every blank, on the rounded weights in double precision."""
    twin = rounded(model).double().eval()
    with torch.no_grad():
        given = torch.tensor([ids])
        return twin.words(twin.bert(given), given == tokenizer().number["[MASK]"]).softmax(-1)


def test_page_gets_the_rounded_weights_and_the_vocabulary() -> None:
    model = network()
    widget = blank(model=model)
    state, sizes = unpack(widget.weights)
    assert sizes["max_length"] == widget.room == 23
    assert widget.vocabulary == list(tokenizer().vocabulary)
    assert (widget.lower, widget.longest, widget.special) == (False, 100, list(BERT_SPECIAL))
    for name, tensor in rounded(model).state_dict().items():
        if name.startswith(("bert.pooler.", "nsp.")):
            assert name not in state, "what no blank needs stays away"
        else:
            assert torch.equal(state[name], tensor), name


@pytest.mark.parametrize("kind", [BertMaskedLM, BertPretraining])
def test_fill_gives_the_likeliest_words_of_every_blank(kind: type) -> None:
    model, pieces = network(kind), tokenizer()
    model.train()
    widget = blank(model=model)
    ids = [pieces.number[token] for token in ("[CLS]", "Bob", "swam", "by", "[MASK]", "[MASK]", ",", "[SEP]")]
    found = widget.fill(TEXTS[1])
    assert len(found) == 2
    for given, row in zip(found, expected(model, ids), strict=True):
        best = row.topk(4)
        assert list(given) == [pieces.vocabulary[i] for i in best.indices.tolist()]
        assert list(given.values()) == pytest.approx(best.values.tolist(), abs=1e-6)
    assert model.training, "the model stays as it was"
    widget.text = TEXTS[1]
    assert widget.fill() == found


def test_sentence_says_what_the_model_expects() -> None:
    widget = blank()
    (first,) = widget.fill(TEXTS[0])
    for part in ("2 layers, 15 numbers wide", "4 words", TEXTS[0], *(f"“{w}” ({p:.0%})" for w, p in [*first.items()][:2])):
        assert part in widget.alt
    assert widget.alt.endswith(".")
    both = blank(texts=[TEXTS[1]]).alt
    assert "blank 1: “" in both
    assert "; blank 2: “" in both


def test_text_travels_both_ways_and_may_lack_a_blank() -> None:
    widget = blank(text="by ___ .")
    widget.set_state({"text": "no blank"})
    assert widget.text == "no blank"
    with pytest.raises(ValueError, match="no text with a blank; write ___ or"):
        widget.fill()
    with pytest.raises(ValueError, match=f"characters of text is {LONGEST + 1}"):
        widget.text = "a" * (LONGEST + 1)
    assert widget.text == "no blank"


class Large(BertMaskedLM):
    """A model with a part that no page should carry."""

    def __init__(self, sizes: BertConfig) -> None:
        super().__init__(sizes)
        self.more = torch.nn.Parameter(torch.zeros(MOST // 2))


def without_mask() -> WordPiece:
    words = [*BERT_SPECIAL, *WORDS.split()]
    return WordPiece(words, special=[token for token in BERT_SPECIAL if token != "[MASK]"])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"model": "bert"}, "BertPretraining or another BertMaskedLM; got a str"),
        ({"model": BertClassifier(network().bert, 3)}, "got a BertClassifier"),
        ({"model": network(Large)}, "takes 4,0.* bytes; a page carries at most 4,000,000"),
        ({"tokenizer": None}, "WordPiece tokeniser; got a NoneType"),
        ({"tokenizer": WordPiece([*BERT_SPECIAL, "a"])}, f"the tokeniser has 6 tokens and the model {V}"),
        ({"tokenizer": without_mask()}, r"\[MASK\] is not among the tokeniser's special tokens"),
        ({"texts": []}, "at least one text"),
        ({"texts": "the ___"}, r"write \[text\]"),
        ({"texts": ["the ___", "the"]}, "'the' is no text with a blank"),
        ({"texts": [3]}, "3 is no text with a blank"),
        ({"texts": ["___" + "a" * 600]}, "characters of a text is 603; allowed: 1 to 600"),
        ({"texts": ["___" + " a" * 21]}, "special ones included, is 24; allowed: 1 to 23"),
        ({"top": 0}, f"top is 0; allowed: 1 to {V}"),
        ({"top": V + 1}, f"top is {V + 1}; allowed: 1 to {V}"),
        ({"text": "a" * 601}, "characters of text is 601"),
    ],
)
def test_refuses(unchecked: None, change: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        blank(**change)
