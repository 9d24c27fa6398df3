"""Chapter 1, language models: the bank, one module per exercise."""

from exercises.ch01_language_models.bank import add_k_distribution, corpus_perplexity, kneser_ney

EXERCISES = (add_k_distribution.EXERCISE, corpus_perplexity.EXERCISE, kneser_ney.EXERCISE)
