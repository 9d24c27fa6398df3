"""Chapter 12, RNN or Transformer: the bank, one module per exercise."""

from exercises.ch12_rnn_or_transformer.bank import attention_cost, cached_step

EXERCISES = (cached_step.EXERCISE, attention_cost.EXERCISE)
