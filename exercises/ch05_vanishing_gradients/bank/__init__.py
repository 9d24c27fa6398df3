"""Chapter 5, vanishing gradients: the bank, one module per exercise."""

from exercises.ch05_vanishing_gradients.bank import clip_global_norm, gradient_norms, set_spectral_radius

EXERCISES = (gradient_norms.EXERCISE, clip_global_norm.EXERCISE, set_spectral_radius.EXERCISE)
