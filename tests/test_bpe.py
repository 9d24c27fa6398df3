"""Byte-level BPE beside its references: the naive algorithm, Hugging Face tokenizers and tiktoken."""

import json
import time
from functools import cache
from itertools import islice
from pathlib import Path

import pytest
import tiktoken
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from lmcore import END, PAD, START, corpora
from lmcore.bpe import BPE, END_OF_TEXT
from lmcore.merges import merge, merges_of
from lmcore.pieces import BYTES, GPT2_PATTERN, SYMBOLS, gpt2_pieces
from tests.test_pieces import SETTLED

TEXT = "low low low lower lowest newer newer wider naïve 東京 🙂 1234 it's they'll\n\n  \n"
settled = st.text(st.sampled_from(SETTLED))


@cache
def of_manual(vocab_size: int = 2000) -> BPE:
    return BPE.train(corpora.manual(), vocab_size)


def huggingface(texts: list[str], vocab_size: int, special: list[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, special_tokens=special, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def merges(tokenizer: Tokenizer) -> tuple[tuple[str, str], ...]:
    return tuple((left, right) for left, right in json.loads(tokenizer.to_str())["model"]["merges"])


def naive_encode(tokenizer: BPE, text: str) -> list[int]:
    """Replay every merge, first to last, on the bytes of every piece."""
    ids = []
    for piece in gpt2_pieces(text):
        word = [SYMBOLS[BYTES.index(byte)] for byte in piece.encode()]
        for pair in tokenizer.merges:
            word = merge(word, pair)
        ids += [tokenizer.number[token] for token in word]
    return ids


def symbols(text: str) -> list[str]:
    return ["".join(SYMBOLS[BYTES.index(byte)] for byte in piece.encode()) for piece in gpt2_pieces(text)]


@given(st.text("ab '’é東1\n", min_size=1, max_size=60).filter(str.strip), st.integers(256, 290))
def test_training_is_the_naive_algorithm(text: str, vocab_size: int) -> None:
    # All 256 bytes have a number. Adding every symbol as a word of its own gives the reference the same numbers, and no pair.
    steps = islice(merges_of([*symbols(text), *SYMBOLS]), vocab_size - 256)
    assert BPE.train(text, vocab_size).merges == tuple(step.pair for step in steps)


@given(settled)
def test_encoding_is_the_naive_algorithm(text: str) -> None:
    tokenizer = BPE.train(TEXT, 300)
    assert tokenizer.encode(text + TEXT) == naive_encode(tokenizer, text + TEXT)


def test_the_manual_gives_hugging_faces_merges_and_encoding() -> None:
    manual = corpora.manual()
    theirs = huggingface([manual], 2000, [])
    assert of_manual().merges == merges(theirs)
    assert of_manual().number == theirs.get_vocab()
    assert of_manual().encode(manual) == theirs.encode(manual).ids


def test_tiny_shakespeare_gives_hugging_faces_merges() -> None:
    if not corpora.available("tiny_shakespeare"):
        pytest.skip("tiny Shakespeare is not in the cache (make data)")
    text = corpora.tiny_shakespeare()
    assert BPE.train(text, 1000).merges == merges(huggingface([text], 1000, []))


def test_english_and_dutch_sentences_give_hugging_faces_merges() -> None:
    if not corpora.available("tatoeba"):
        pytest.skip("Tatoeba is not in the cache (make data)")
    pairs = corpora.tatoeba()
    for language in ("source", "target"):
        sentences = [getattr(pair, language) for pair in pairs.train[:5000]]
        tokenizer = BPE.train(sentences, 1500)
        theirs = huggingface(sentences, 1500, [])
        assert tokenizer.merges == merges(theirs)
        sample = [getattr(pair, language) for pair in pairs.test[:1000]]
        assert [tokenizer.encode(s) for s in sample] == [e.ids for e in theirs.encode_batch(sample)]


@settings(max_examples=300)
@given(settled)
def test_encoding_is_tiktokens(text: str) -> None:
    assert of_manual().encode(text) == tiktoken_of_manual().encode_ordinary(text)


@cache
def tiktoken_of_manual() -> tiktoken.Encoding:
    ranks = {of_manual().decode_bytes([i]): i for i in range(len(of_manual()))}
    return tiktoken.Encoding("manual", pat_str=GPT2_PATTERN, mergeable_ranks=ranks, special_tokens={})


def test_the_manual_and_its_scraps_are_tiktokens() -> None:
    manual = corpora.manual()
    scraps = manual.upper() + manual[::-1] + manual.replace(" ", "")[:50_000] + "é".join(manual[:20_000])
    for text in (manual, scraps):
        assert of_manual().encode(text) == tiktoken_of_manual().encode_ordinary(text)


@given(st.text())
def test_any_text_comes_back(text: str) -> None:
    assert of_manual().decode(of_manual().encode(text)) == text
    assert of_manual().encode_bytes(text.encode()) == of_manual().encode(text)
    assert "".join(of_manual().tokens(text)) == "".join(symbols(text))


@given(st.binary())
def test_any_bytes_come_back(data: bytes) -> None:
    ids = of_manual().encode_bytes(data)
    assert of_manual().decode_bytes(ids) == data
    assert of_manual().decode(ids) == data.decode(errors="replace")


def test_half_a_character_is_not_text() -> None:
    half = BPE.train("abc", 256).encode("é")[:1]
    assert BPE.train("abc", 256).decode(half) == "\ufffd"
    with pytest.raises(ValueError, match="decode"):
        BPE.train("abc", 256).decode(half, errors="strict")


@given(st.text("ab 東\n", min_size=100, max_size=400), st.integers(256, 320))
def test_long_pieces_are_cut_as_short_ones_are(text: str, vocab_size: int) -> None:
    tokenizer = BPE.train(text + "a", vocab_size, pattern=r"(?s).+")
    units = "".join(chr(BYTES.index(byte)) for byte in text.encode())
    assert "".join(tokenizer._merge_long(units)) == tokenizer._merge(units)


def test_a_very_long_piece_does_not_take_for_ever() -> None:
    words = "".join(corpora.manual().split())
    tokenizer = BPE.train(words[:20_000], 600, pattern=r"(?s).+")
    start = time.perf_counter()
    assert tokenizer.decode(tokenizer.encode(words)) == words
    assert time.perf_counter() - start < 60  # some minutes if every merge looked at the whole text


def test_training_leaves_a_warm_cache_that_is_right() -> None:
    tokenizer = BPE.train(corpora.manual()[:50_000], 700)
    cold = BPE(tokenizer.vocabulary, tokenizer.merges)
    assert len(tokenizer._cache) == len(set(gpt2_pieces(corpora.manual()[:50_000])))
    assert all(cold._ids_of_piece(piece) == ids for piece, ids in tokenizer._cache.items())


def test_no_token_crosses_white_space_unless_the_pattern_lets_it() -> None:
    assert not [token for token in of_manual().vocabulary if set("ĠĊ") & set(token[1:]) and token.strip("ĠĊ")]
    assert "teĠr" in BPE.train("note rate re" * 9, 300, pattern=r"(?s).+").vocabulary


def test_several_texts_are_not_glued_together() -> None:
    assert BPE.train(["ab", "ab"], 300).merges == (("a", "b"),)
    assert len(BPE.train("abab", 300).merges) == 2


def test_special_tokens() -> None:
    tokenizer = BPE.train(f"{START}abab{END}abab{END}", 270, special=[PAD, START, END])
    plain = huggingface(["abab", "abab"], 270, [])
    assert tokenizer.merges == merges(plain)  # no merge inside or across a special token
    assert tokenizer.vocabulary[-3:] == (PAD, START, END)
    assert tokenizer.tokens(f"abab{END}é{END}") == ["abab", END, "Ã", "©", END]
    assert tokenizer.decode(tokenizer.encode(f"a{END}{PAD}")) == f"a{END}{PAD}"
    assert END not in tokenizer.tokens(f"a{END}", special=False)
    assert tokenizer.decode(tokenizer.encode(f"a{END}", special=False)) == f"a{END}"


@pytest.mark.parametrize("special", [[], [PAD, END]])
def test_export_to_hugging_face(special: list[str]) -> None:
    tokenizer = BPE.train(corpora.manual()[:60_000], 600, special=special)
    fast = tokenizer.to_huggingface()
    for text in (corpora.manual()[60_000:90_000], TEXT, f"a{END}b {PAD} c", ""):
        assert fast.encode(text).ids == tokenizer.encode(text)
        assert fast.encode(text).tokens == tokenizer.tokens(text)
        assert fast.decode(tokenizer.encode(text), skip_special_tokens=False) == text
    digits = BPE.train("call 123 456", 270, pattern=r"\d| ?[a-z]+|[\s\S]")
    assert digits.to_huggingface().encode("x123 call").ids == digits.encode("x123 call")


def test_files_of_hugging_face_load(tmp_path: Path) -> None:
    theirs = huggingface([corpora.manual()[:60_000]], 700, [END_OF_TEXT])
    theirs.model.save(str(tmp_path))
    ours = BPE.load(tmp_path)
    assert (ours.number, ours.merges, ours.special) == (theirs.get_vocab(), merges(theirs), (END_OF_TEXT,))
    for text in (corpora.manual()[60_000:90_000], TEXT, f"one{END_OF_TEXT}two"):
        assert ours.encode(text) == theirs.encode(text).ids
        assert ours.decode(ours.encode(text)) == text


def test_files_are_written_as_hugging_face_writes_them(tmp_path: Path) -> None:
    tokenizer = BPE.train(corpora.manual()[:60_000], 500, special=[PAD, END])
    tokenizer.save(tmp_path / "ours")
    loaded = BPE.load(tmp_path / "ours")
    assert (loaded.vocabulary, loaded.merges, loaded.special) == (tokenizer.vocabulary, tokenizer.merges, (PAD, END))
    (tmp_path / "theirs").mkdir()
    tokenizer.to_huggingface().model.save(str(tmp_path / "theirs"))
    for name in ("vocab.json", "merges.txt"):
        ours, theirs = ((tmp_path / who / name).read_text(encoding="utf-8") for who in ("ours", "theirs"))
        assert (json.loads(ours) == json.loads(theirs)) if name == "vocab.json" else (ours == theirs)


def test_merges_with_windows_line_ends_load(tmp_path: Path) -> None:
    BPE.train("low lower", 260).save(tmp_path)
    path = tmp_path / "merges.txt"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert BPE.load(tmp_path).merges == BPE.train("low lower", 260).merges


def break_files(folder: Path, how: str) -> None:
    vocab, merges = folder / "vocab.json", folder / "merges.txt"
    lines = merges.read_text(encoding="utf-8").split("\n")
    number = json.loads(vocab.read_text(encoding="utf-8"))
    match how:
        case "no vocab":
            vocab.unlink()
        case "no merges":
            merges.unlink()
        case "vocab not json":
            vocab.write_text(vocab.read_text(encoding="utf-8")[:-9], encoding="utf-8")
        case "vocab a list":
            vocab.write_text(json.dumps(list(number)), encoding="utf-8")
        case "numbers with a gap":
            vocab.write_text(json.dumps({token: i + (i > 99) for token, i in number.items()}), encoding="utf-8")
        case "no byte":
            vocab.write_text(json.dumps({token.replace("ÿ", "zzz"): i for token, i in number.items()}), encoding="utf-8")
        case "not utf-8":
            merges.write_bytes(b"\xff\xfe l o")
        case "one token":
            merges.write_text("\n".join([*lines[:2], "low", *lines[2:]]), encoding="utf-8")
        case "three tokens":
            merges.write_text("\n".join([*lines[:2], "l o w", *lines[2:]]), encoding="utf-8")
        case "stranger":
            merges.write_text("\n".join([*lines[:2], "q q", *lines[2:]]), encoding="utf-8")
        case "cut short":
            merges.write_text("\n".join(lines[:2]), encoding="utf-8")
        case "reversed":
            merges.write_text("\n".join(reversed(lines)), encoding="utf-8")
        case "twice":
            merges.write_text("\n".join([*lines[:-1], lines[-2]]), encoding="utf-8")


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        ("no vocab", FileNotFoundError, "no vocabulary at"),
        ("no merges", FileNotFoundError, "no list of merges at"),
        ("vocab not json", ValueError, "is not JSON"),
        ("vocab a list", ValueError, "must map each token to its number"),
        ("numbers with a gap", ValueError, "must map each token to its number"),
        ("no byte", ValueError, "lacks 1 of the 256 byte symbols"),
        ("not utf-8", ValueError, "not a UTF-8"),
        ("one token", ValueError, "line 3 of .* 'low'"),
        ("three tokens", ValueError, "line 3 of .* 'l o w'"),
        ("stranger", ValueError, "makes 'qq', which is not in the vocabulary"),
        ("cut short", ValueError, "made by no merge"),
        ("reversed", ValueError, "out of order"),
        ("twice", ValueError, "merged twice"),
    ],
)
def test_broken_files(tmp_path: Path, how: str, error: type[Exception], message: str) -> None:
    BPE.train("low lower lowest", 262).save(tmp_path)
    break_files(tmp_path, how)
    with pytest.raises(error, match=message):
        BPE.load(tmp_path)


def test_bad_training(unchecked) -> None:
    for make, message in (
        (lambda: BPE.train("", 300), "training text is empty"),
        (lambda: BPE.train([" ", ""], 300), "training text is empty"),
        (lambda: BPE.train([], 300), "training text is empty"),
        (lambda: BPE.train(None, 300), "text is a NoneType"),
        (lambda: BPE.train(b"abc", 300), "text is a bytes"),
        (lambda: BPE.train([b"abc"], 300), "text is a bytes"),
        (lambda: BPE.train("abc", 255), "vocab_size=255; give a whole number from 256"),
        (lambda: BPE.train("abc", 257, special=[PAD, END]), "from 258 "),
        (lambda: BPE.train("abc", 300.0), "vocab_size=300.0"),
        (lambda: BPE.train("abc", 2**21), "to 1114111"),
        (lambda: BPE.train("abc", 300, pattern="("), "not a regular expression"),
        (lambda: BPE.train("a b", 300, pattern="b"), "every character"),
        (lambda: BPE.train("a\ud800", 300), "surrogate pair at place 1"),
        (lambda: BPE.train("a", 300, special="<end>"), "not a list"),
    ):
        with pytest.raises(ValueError, match=message):
            make()


def test_bad_input(unchecked) -> None:
    tokenizer = BPE.train("abc", 256)
    for call, message in (
        (lambda: tokenizer.encode(b"abc"), "use encode_bytes"),
        (lambda: tokenizer.encode(None), "give one string"),
        (lambda: tokenizer.encode("a\udc80"), "surrogate pair at place 1"),
        (lambda: tokenizer.encode_bytes("abc"), "use encode for a string"),
        (lambda: tokenizer.decode([256]), "256 is not a token number.*0 to 255"),
        (lambda: tokenizer.decode([-1]), "-1 is not a token number"),
        (lambda: tokenizer.decode("abc"), "not a sequence of token numbers"),
        (lambda: tokenizer.decode_bytes(None), "not a sequence of token numbers"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_the_vocabulary_stays_smaller_when_nothing_is_left_to_merge() -> None:
    assert BPE.train("low low", 1000).vocabulary[256:] == ("lo", "low", "Ġlow")
