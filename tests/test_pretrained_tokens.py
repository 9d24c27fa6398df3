"""Tokenisers of other models give the numbers that Hugging Face's tokenizers give for the same file."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmcore.bpe import BPE
from lmcore.pretrained import SparseBPE, load_tokenizer

TEXT = (
    "In 2024 the cat sat 3 times on 12 mats, it's naïve — the cats' 7 hats\n\n  don't fit: 東京 and Ünal! " * 3
    + "of  7  8  9  " * 4
)
TEXTS = (TEXT, "of  7  of", "a  1", "  12 ab", "it's  9\n 9", "\t 5x", "²½ Ⅳ 1", "x<|endoftext|> 12", "naïve Zoë 東", " b東")
LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


@pytest.fixture(scope="module")
def tokenizers():
    return pytest.importorskip("tokenizers", reason="Hugging Face tokenizers is not installed")


def theirs_of(tokenizers, kind: str):
    """A tokeniser that their library trained, cutting texts as GPT-2, SmolLM or Llama 3 do."""
    from tokenizers import decoders, models, pre_tokenizers, trainers

    fast = tokenizers.Tokenizer(models.BPE())
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=kind != "llama 3")
    digits = pre_tokenizers.Digits(individual_digits=True)
    split = pre_tokenizers.Split(tokenizers.Regex(LLAMA3), "isolated")
    steps = {"gpt-2": [], "smollm": [digits], "llama 3": [split]}[kind]
    fast.pre_tokenizer = pre_tokenizers.Sequence([*steps, byte_level]) if steps else byte_level
    fast.decoder = decoders.ByteLevel()
    whole = pre_tokenizers.ByteLevel.alphabet() if kind == "gpt-2" else []
    trainer = trainers.BpeTrainer(
        vocab_size=330, special_tokens=["<|endoftext|>", "<|im_start|>"], initial_alphabet=whole, show_progress=False
    )
    fast.train_from_iterator([TEXT], trainer)
    return fast


@pytest.mark.parametrize("kind", ["gpt-2", "smollm", "llama 3"])
def test_the_numbers_are_theirs(tokenizers, kind, tmp_path):
    theirs = theirs_of(tokenizers, kind)
    theirs.save(str(tmp_path / "tokenizer.json"))
    ours = load_tokenizer(tmp_path)
    assert isinstance(ours, SparseBPE) == (kind != "gpt-2")
    assert len(ours) == theirs.get_vocab_size()
    assert ours.special == ("<|endoftext|>", "<|im_start|>")

    @given(st.text(alphabet="ab1 29\n\t'sZéü東²½,.-", max_size=30))
    def equal(text: str) -> None:
        assert ours.encode(text) == theirs.encode(text).ids

    for text in TEXTS:
        assert ours.encode(text) == theirs.encode(text).ids, text
    equal()
    assert ours.decode(ours.encode(TEXT)) == TEXT


def test_old_and_new_spellings_of_merges_are_read(tokenizers, tmp_path):
    theirs_of(tokenizers, "smollm").save(str(tmp_path / "tokenizer.json"))
    content = json.loads((tmp_path / "tokenizer.json").read_text())
    one = load_tokenizer(tmp_path)
    content["model"]["merges"] = [" ".join(pair) for pair in content["model"]["merges"]]
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    assert load_tokenizer(tmp_path).merges == one.merges


def test_without_that_file_it_is_gpt2s_format(tmp_path):
    words = BPE.train("the cat sat on the mat", 260)
    words.save(tmp_path)
    assert load_tokenizer(tmp_path).number == words.number
    with pytest.raises(FileNotFoundError, match=r"vocab\.json"):
        load_tokenizer(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": {"type": "Unigram", "vocab": []}}, "no byte-pair encoding"),
        ({"normalizer": {"type": "Prepend", "prepend": "▁"}}, "SentencePiece"),
        ({"pre_tokenizer": {"type": "Metaspace"}}, "cuts texts by Metaspace"),
        ({"pre_tokenizer": None}, "cuts texts by None"),
        ({"added_tokens": [{"content": "<a>", "id": 9_999}]}, "use every number once"),
    ],
)
def test_another_kind_is_refused(tokenizers, tmp_path, change, message):
    theirs_of(tokenizers, "gpt-2").save(str(tmp_path / "tokenizer.json"))
    content = json.loads((tmp_path / "tokenizer.json").read_text())
    (tmp_path / "tokenizer.json").write_text(json.dumps(content | change))
    with pytest.raises(ValueError, match=message):
        load_tokenizer(tmp_path)
