"""Chapter 15, the vision transformer: the bank, one module per exercise."""

from exercises.ch15_vision_transformer.bank import patches, unpatches

EXERCISES = (patches.EXERCISE, unpatches.EXERCISE)
