"""Training: one loop for every model of the book.

:func:`fit` is a generator. It does one thing, a step of gradient descent, and hands back what happened. The caller owns the
rest: its plot, its bar, its evaluation, its ``break``. ::

    for step in progress(fit(model, batches, loss, steps=1000, lr=3e-3, schedule="linear"), total=1000):
        if step.step % 100 == 0:
            print(step.step, step.loss)

Several processes, on one machine or on many, train one model together if torchrun starts them; :mod:`lmcore.train.team` says
what they share. Any recipe runs so, unchanged::

    torchrun --nproc-per-node 2 -m lmcore.train char_lstm
"""

from lmcore.schedules import SCHEDULES, learning_rate
from lmcore.train.bar import progress, watched
from lmcore.train.checkpoints import Stream, load, resume, save
from lmcore.train.loop import Loss, Step, fit, fused_adamw, parameter_groups

__all__ = [
    "SCHEDULES",
    "Loss",
    "Step",
    "Stream",
    "fit",
    "fused_adamw",
    "learning_rate",
    "load",
    "parameter_groups",
    "progress",
    "resume",
    "save",
    "watched",
]
