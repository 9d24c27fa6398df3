"""Chapter 16, GPT: the bank, one module per exercise."""

from exercises.ch16_gpt.bank import causal_weights, residual_init, shifted_loss, tied_gradient

EXERCISES = (shifted_loss.EXERCISE, causal_weights.EXERCISE, tied_gradient.EXERCISE, residual_init.EXERCISE)
