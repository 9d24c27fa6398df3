"""Chapter 10, the Transformer block: the bank, one module per exercise."""

from exercises.ch10_transformer_block.bank import layer_norm, pre_norm_block, rotary_step, sinusoidal_positions

EXERCISES = (layer_norm.EXERCISE, sinusoidal_positions.EXERCISE, rotary_step.EXERCISE, pre_norm_block.EXERCISE)
