"""A private set: a layer, a stream of windows and a training loop."""

from . import highway, momentum_training, windows

EXERCISES = (highway.EXERCISE, windows.EXERCISE, momentum_training.EXERCISE)
