"""Chapter 2, tokens: the bank, one module per exercise."""

from exercises.ch02_tokens.bank import count_pairs

EXERCISES = (count_pairs.EXERCISE,)
