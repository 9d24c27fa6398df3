"""N-gram models: training and evaluation, a dictionary of tuples beside the sorted arrays of ``lmcore.counts``."""

import time
from collections import Counter

import numpy as np

from lmcore import END, START
from lmcore.corpora import manual
from lmcore.ngram import NGram, Score

ORDER = 5


def dictionary_counts(sentences: list[str]) -> Counter:
    """The yardstick: count every n-gram of length 1 to 5 as a tuple of words, and do nothing else."""
    counts: Counter = Counter()
    for sentence in sentences:
        words = (START, *sentence.split(), END)
        for n in range(1, ORDER + 1):
            counts.update(zip(*(words[i:] for i in range(n)), strict=False))
    return counts


def measure(sentences: list[str], repeats: int = 3) -> tuple[float, float, float, Score]:
    """Median seconds to count with the dictionary, to train, and to evaluate, and the score on every tenth sentence."""
    train = [s for i, s in enumerate(sentences) if i % 10]
    test = [s for i, s in enumerate(sentences) if i % 10 == 0]
    times: dict[str, list[float]] = {"dictionary": [], "train": [], "evaluate": []}
    for _ in range(repeats):
        for name in times:
            begin = time.perf_counter()
            if name == "dictionary":
                dictionary_counts(train)
            elif name == "train":
                model = NGram(ORDER).fit(train)
            else:
                score = model.score(test, skip_unknown=True)
            times[name].append(time.perf_counter() - begin)
    dictionary, fit, evaluate = (sorted(t)[repeats // 2] for t in times.values())
    return dictionary, fit, evaluate, score


def main() -> None:
    """Print training and evaluation rates of a 5-gram model with modified Kneser–Ney smoothing."""
    once = [line for line in manual().splitlines() if line.strip()]
    zipf = np.random.default_rng(0).zipf(1.2, size=1_000_000) % 30_011  # hardly any n-gram comes twice: the slowest case
    million = [" ".join(map(str, row)) for row in zipf.reshape(-1, 20)]
    for name, sentences in (("the manual", once), ("a million words drawn by Zipf's law", million)):
        words = sum(len(s.split()) for s in sentences)
        dictionary, fit, evaluate, score = measure(sentences)
        print(f"{name}: {words:,} words, order {ORDER}, modified Kneser–Ney")
        print(
            f"  train    {fit:6.2f} s, {0.9 * words / fit / 1e3:,.0f} thousand words/s; {dictionary / fit:.1f} times as fast as"
        )
        print(f"           only counting tuples in a dictionary ({dictionary:.2f} s)")
        print(f"  evaluate {evaluate:6.2f} s, {score.tokens / evaluate / 1e3:,.0f} thousand tokens/s")


if __name__ == "__main__":
    main()
