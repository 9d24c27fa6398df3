"""Chapter 4, recurrent networks: the bank, one module per exercise."""

from exercises.ch04_rnn.bank import bptt, rnn_forward, truncated_bptt

EXERCISES = (rnn_forward.EXERCISE, bptt.EXERCISE, truncated_bptt.EXERCISE)
