"""Chapter 14, fine-tuning: the bank, one module per exercise."""

from exercises.ch14_fine_tuning.bank import entity_f1, layer_concatenation, masked_mean, scalar_mix

EXERCISES = (masked_mean.EXERCISE, layer_concatenation.EXERCISE, scalar_mix.EXERCISE, entity_f1.EXERCISE)
