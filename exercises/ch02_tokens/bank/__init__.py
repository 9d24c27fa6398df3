"""Chapter 2, tokens: the bank, one module per exercise."""

from exercises.ch02_tokens.bank import bpe_encode, count_pairs, merge_pair, wordpiece

EXERCISES = (count_pairs.EXERCISE, merge_pair.EXERCISE, bpe_encode.EXERCISE, wordpiece.EXERCISE)
