"""Byte-level BPE: training beside minbpe's way and Hugging Face ``tokenizers``, encoding beside tiktoken and Hugging Face.

``python -m tests.bench.bpe`` trains minbpe's way on the first 20,000 characters only. ``--full`` does it on the whole text,
which takes some minutes. Every ratio is of medians of interleaved runs.
"""

import argparse
import time
from collections.abc import Callable
from itertools import pairwise
from statistics import median

import regex
import tiktoken
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from lmcore import corpora
from lmcore.bpe import BPE
from lmcore.pieces import GPT2_PATTERN
from lmcore.wordpiece import WordPiece

REPEATS = 5
SLICE = 20_000


def minbpe_style(text: str, vocab_size: int) -> dict[tuple[int, int], int]:
    """Training as in karpathy/minbpe's ``RegexTokenizer.train``: every merge counts and rewrites every chunk of the text.

    Written for this benchmark after its description; a chunk that occurs a thousand times is a thousand lists.
    """

    def count_pairs(ids: list[int], counts: dict[tuple[int, int], int]) -> None:
        for pair in pairwise(ids):
            counts[pair] = counts.get(pair, 0) + 1

    def merge(ids: list[int], pair: tuple[int, int], new: int) -> list[int]:
        merged, i = [], 0
        while i < len(ids):
            if ids[i] == pair[0] and i < len(ids) - 1 and ids[i + 1] == pair[1]:
                merged.append(new)
                i += 2
            else:
                merged.append(ids[i])
                i += 1
        return merged

    chunks = [list(chunk.encode("utf-8")) for chunk in regex.findall(GPT2_PATTERN, text)]
    merges: dict[tuple[int, int], int] = {}
    for new in range(256, vocab_size):
        counts: dict[tuple[int, int], int] = {}
        for chunk in chunks:
            count_pairs(chunk, counts)
        pair = max(counts, key=counts.__getitem__)
        chunks = [merge(chunk, pair, new) for chunk in chunks]
        merges[pair] = new
    return merges


def huggingface(text: str, vocab_size: int) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        [text], trainers.BpeTrainer(vocab_size=vocab_size, initial_alphabet=alphabet, show_progress=False)
    )
    return tokenizer


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def interleaved(repeats: int, **calls: Callable[[], object]) -> dict[str, float]:
    """The median seconds of each call, the calls taking turns."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            times[name].append(seconds(call))
    return {name: median(values) for name, values in times.items()}


def bench_training(text: str, full: bool) -> None:
    for vocab_size in (1000, 5000):
        same = BPE.train(text, vocab_size).number == huggingface(text, vocab_size).get_vocab()
        s = interleaved(REPEATS, ours=lambda v=vocab_size: BPE.train(text, v), theirs=lambda v=vocab_size: huggingface(text, v))
        print(
            f"training, vocabulary {vocab_size:,}: ours {s['ours']:.2f} s, Hugging Face {s['theirs']:.2f} s; ours takes "
            f"{s['ours'] / s['theirs']:.2f} of its time; the vocabularies are {'equal' if same else 'DIFFERENT'}"
        )
    part = text if full else text[:SLICE]
    ours = interleaved(REPEATS, part=lambda: BPE.train(part, 1000), whole=lambda: BPE.train(text, 1000))
    theirs = seconds(lambda: minbpe_style(part, 1000))
    what = "the whole text" if full else f"its first {SLICE:,} characters"
    print(
        f"training, vocabulary 1,000, {what}: ours {ours['part']:.3f} s, "
        f"minbpe's way {theirs:.1f} s; ours is {theirs / ours['part']:,.0f} times as fast"
    )
    if not full:
        # Every merge of minbpe's goes through every chunk of the text, so that its time grows with the length; ours grows less.
        whole = theirs * len(text) / len(part)
        print(
            f"  in proportion to the length, minbpe's way would take {whole:,.0f} s for the whole text; "
            f"ours took {ours['whole']:.2f} s: {whole / ours['whole']:,.0f} times as fast (--full measures it)"
        )


def bench_encoding(text: str) -> None:
    ours = BPE.train(text, 5000)
    ranks = {ours.decode_bytes([i]): i for i in range(len(ours))}
    tik = tiktoken.Encoding("ours", pat_str=GPT2_PATTERN, mergeable_ranks=ranks, special_tokens={})
    fast = ours.to_huggingface()
    # One character outside ASCII sends the whole text through `regex`.
    for name, sample in (("ASCII text, split by re", text), ("the same and one é, split by regex", text + "é")):
        assert ours.encode(sample) == tik.encode_ordinary(sample)

        def cold(sample: str = sample) -> None:
            BPE(ours.vocabulary, ours.merges).encode(sample)

        s = interleaved(
            REPEATS,
            warm=lambda t=sample: ours.encode(t),
            cold=cold,
            tiktoken=lambda t=sample: tik.encode_ordinary(t),
            huggingface=lambda t=sample: fast.encode(t),
        )
        rate = {key: len(sample.encode()) / 1e6 / value for key, value in s.items()}
        print(
            f"encoding, vocabulary 5,000, {name}: warm {rate['warm']:.1f} MB/s, cold {rate['cold']:.1f}, tiktoken "
            f"{rate['tiktoken']:.1f}, Hugging Face {rate['huggingface']:.1f}; warm is {rate['warm'] / rate['tiktoken']:.2f} of "
            f"tiktoken's rate, cold {rate['cold'] / rate['tiktoken']:.2f} (cold includes building the tokeniser)"
        )


def bench_wordpiece(text: str) -> None:
    ours = WordPiece.train(text, 5000)
    fast = ours.to_huggingface()
    s = interleaved(3, ours=lambda: ours.encode(text), theirs=lambda: fast.encode(text))
    rate = len(text) / 1e6 / s["ours"]
    print(f"WordPiece encoding, warm: {rate:.1f} million characters/s, {s['theirs'] / s['ours']:.1f} times Hugging Face's rate")


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="train minbpe's way on the whole text")
    full = parser.parse_args().full
    name = "tiny_shakespeare" if corpora.available("tiny_shakespeare") else "manual"
    text = corpora.load(name)
    print(f"text: {name}, {len(text):,} characters, {len(text.encode()) / 1e6:.2f} MB")
    bench_training(text, full)
    bench_encoding(text)
    bench_wordpiece(text)


if __name__ == "__main__":
    main()
