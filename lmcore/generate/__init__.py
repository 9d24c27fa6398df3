r"""Generation: from a model that scores next tokens to whole texts. One decoder for every model of the book.

Everything here works with any model that can do two things:

``step(tokens, state)``
    read one more token of every row and give the logits of the next one, with the state that remembers what was read;
``select(state, rows)``
    the state of these rows, in this order; a row may be named several times.

A recurrent network's state is its hidden vectors, that of a translator holds the source text too, that of a Transformer is its
cache. The functions here never look into it. :func:`greedy`, :func:`beam` and :func:`sample` begin from a state in which
everything was read but the last token of each row: for a translator that is ⟨start⟩, for a prompt its last word.
:func:`generate` makes that state from prompts, if the model can ``begin(ids)``; :class:`Uncached` gives a model that has no
state one that recomputes everything, which is slow and the measure of all others.

Sampling draws from a distribution that may be changed first: :func:`temperature`, :func:`top_k`, :func:`top_p` and
:func:`repetition_penalty` go from logits to logits.
"""

from lmcore.generate.filters import filtered, repetition_penalty, temperature, top_k, top_p
from lmcore.generate.prompts import generate
from lmcore.generate.search import Normalizer, beam, length_normalizer, length_power
from lmcore.generate.steps import Hypothesis, State, Stepper, Uncached, allowed_log_probs
from lmcore.generate.walk import greedy, sample

__all__ = [
    "Hypothesis",
    "Normalizer",
    "State",
    "Stepper",
    "Uncached",
    "allowed_log_probs",
    "beam",
    "filtered",
    "generate",
    "greedy",
    "length_normalizer",
    "length_power",
    "repetition_penalty",
    "sample",
    "temperature",
    "top_k",
    "top_p",
]
