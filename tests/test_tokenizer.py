"""Characters and words, and what all tokenisers share."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lmcore import END, MASK, PAD, START, UNK
from lmcore.tokenizer import CharTokenizer, WordTokenizer

TEXT = "The cook cooks. Don't the cooks' cookers cook? 'No' — 3.14 e-mails!"


@given(st.text(min_size=1).filter(str.strip))
def test_characters_round_trip(text: str) -> None:
    tokenizer = CharTokenizer.train(text)
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert len(tokenizer.encode(text, special=False)) == len(text)
    assert tokenizer.vocabulary == (UNK, *sorted(set(text)))


def test_an_unknown_character() -> None:
    assert CharTokenizer.train("abc").tokens("abx") == ["a", "b", UNK]
    with pytest.raises(ValueError, match=r"'x'.*not in a vocabulary without"):
        CharTokenizer.train("abc", special=()).encode("abx")


def test_words_and_punctuation() -> None:
    tokenizer = WordTokenizer.train(TEXT)
    expected = "The cook cooks . Don't the cooks ' cookers cook ? ' No ' — 3 . 14 e - mails !"
    assert tokenizer.tokens(TEXT) == tokenizer.words(TEXT) == expected.split()
    assert tokenizer.decode(tokenizer.encode(TEXT)) == expected
    assert WordTokenizer.train(TEXT, pattern=r"\S+").tokens(TEXT) == TEXT.split()


@given(st.text(min_size=1).filter(str.strip))
def test_words_lose_only_white_space(text: str) -> None:
    assert "".join(WordTokenizer.train("a").words(text)) == "".join(text.split())


def test_the_most_frequent_words_are_kept_and_ties_are_alphabetical() -> None:
    tokenizer = WordTokenizer.train("b b b d a c d a", size=4)
    assert tokenizer.vocabulary == (UNK, "b", "a", "d")
    assert tokenizer.tokens("a b c z") == ["a", "b", UNK, UNK]
    assert WordTokenizer.train("b b b d a c d a", min_count=2).vocabulary == (UNK, "b", "a", "d")


def test_lower_case() -> None:
    assert WordTokenizer.train("The the THE", lower=True).vocabulary == (UNK, "the")
    assert WordTokenizer.train("The the", lower=True).encode("tHe") == [1]
    assert WordTokenizer.train("The the").encode("tHe") == [0]


def test_special_tokens_are_found_whole_and_the_longest_wins() -> None:
    special = [PAD, START, END, UNK, MASK, "<end>!"]
    for tokenizer in (CharTokenizer.train("ab <>end!", special), WordTokenizer.train("ab < > end !", special=special)):
        assert tokenizer.tokens(f"{START}ab{END}") == [START, *tokenizer.tokens("ab"), END]
        assert tokenizer.tokens("<end>!") == ["<end>!"]
        assert tokenizer.tokens("<end>", special=False) == [
            *tokenizer.tokens("<"),
            *tokenizer.tokens("end"),
            *tokenizer.tokens(">"),
        ]
        assert [tokenizer.vocabulary.index(token) for token in special] == list(range(6))
        assert len(tokenizer) == len(tokenizer.vocabulary)
        assert repr(tokenizer) == f"{type(tokenizer).__name__}({len(tokenizer)} tokens, special: {' '.join(special)})"


def test_numpy_and_torch_integers_are_token_numbers() -> None:
    tokenizer = CharTokenizer.train("abc")
    assert tokenizer.decode(np.array([1, 2])) == tokenizer.decode(torch.tensor([1, 2])) == "ab"


@pytest.mark.parametrize("ids", [[4], [-1], [1.0], ["a"], 3, None, [[1]]])
def test_no_token_number(ids, unchecked) -> None:
    with pytest.raises(ValueError, match=r"0 to 3"):
        CharTokenizer.train("abc").decode(ids)


@pytest.mark.parametrize("text", [3, None, b"abc", ["abc"]])
def test_no_text(text, unchecked) -> None:
    for tokenizer in (CharTokenizer.train("abc"), WordTokenizer.train("abc")):
        with pytest.raises(ValueError, match="give one string"):
            tokenizer.encode(text)
        with pytest.raises(ValueError, match="give one string"):
            type(tokenizer).train(text)


def test_bad_vocabularies(unchecked) -> None:
    for make, message in (
        (lambda: CharTokenizer.train(" \n"), "training text is empty"),
        (lambda: WordTokenizer.train(""), "training text is empty"),
        (lambda: CharTokenizer([]), "vocabulary is empty"),
        (lambda: CharTokenizer("aba"), "'a' is in the vocabulary twice"),
        (lambda: CharTokenizer("ab", [END]), "not in the vocabulary"),
        (lambda: WordTokenizer(["a"], []), "needs <unk>"),
        (lambda: WordTokenizer.train("a b", special=[END]), "needs <unk>"),
        (lambda: WordTokenizer.train("a b", size=1), "size=1 leaves no room"),
        (lambda: WordTokenizer.train("a b", pattern="("), "not a regular expression"),
        (lambda: CharTokenizer.train("a", special=UNK), "not a list"),
        (lambda: CharTokenizer.train("a", special=[UNK, ""]), "not a list"),
        (lambda: CharTokenizer.train("a", special=[UNK, UNK]), "not a list"),
    ):
        with pytest.raises(ValueError, match=message):
            make()
