"""Chapter 8, attention: the bank, one module per exercise."""

from exercises.ch08_attention.bank import additive_score, soft_look_up, source_mask

EXERCISES = (soft_look_up.EXERCISE, additive_score.EXERCISE, source_mask.EXERCISE)
