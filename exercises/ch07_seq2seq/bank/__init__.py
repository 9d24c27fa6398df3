"""Chapter 7, sequence to sequence: the bank, one module per exercise."""

from exercises.ch07_seq2seq.bank import beam_step, masked_loss, teacher_forcing

EXERCISES = (teacher_forcing.EXERCISE, masked_loss.EXERCISE, beam_step.EXERCISE)
