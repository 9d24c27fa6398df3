"""Chapter 11, the Transformer: the bank, one module per exercise."""

from exercises.ch11_transformer.bank import cross_attention, label_smoothing, penalised_beam_step, warm_up

EXERCISES = (cross_attention.EXERCISE, label_smoothing.EXERCISE, warm_up.EXERCISE, penalised_beam_step.EXERCISE)
