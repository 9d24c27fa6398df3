"""Check an exercise in a notebook, and pack a finished notebook for submission.

===================  =========================================================================
``values``           plain data: copied without trust, compared with tolerance
``show``             values as text
``wire``             plain data as JSON and raw bytes, without pickle
``limit``, ``run``   one call of a student's function, under a time limit
``stack``, ``swap``  a student's function inside a network or a model of the book
``encoder``          and inside MiniLM
``gradients``        the value of a function and its gradients
``probes``           a student's module, generator or training loop, as plain data
``calls``            the call of a case in words
``ready``            functions that a student's function may not call, as they are the answer
``question``         what a check knows about an exercise
``patterns``         what wrong numbers have in common
``diagnose``         which known mistake was made, or what else to look at
``result``           what the student sees
``sources``          where the questions lie: a student pack's file, or a checkout's banks
``notebook``         a notebook's cells, read from disk
``submission``       the packed notebook
===================  =========================================================================
"""

import builtins
import sys
from collections.abc import Callable

from lmcore.check import sources
from lmcore.check.diagnose import examine
from lmcore.check.result import Result
from lmcore.check.submission import pack_submission

__all__ = ["Result", "check", "pack_submission"]


def check(name: str | Callable, function: Callable | None = None) -> Result:
    """Run an exercise's public cases on ``function`` and say what passes, and which mistake was made if not.

    ``check("count_pairs", count_pairs)`` and ``check(count_pairs)`` are the same. The result shows itself in a
    notebook; in a script it is printed.

    Raises:
        ValueError: no exercise has this name (the message lists those there are), or ``function`` is not a function.
        FileNotFoundError: there are no exercises here.
    """
    if function is None and callable(name):
        function, name = name, str(getattr(name, "__name__", type(name).__name__))
    if not isinstance(name, str):
        raise ValueError(f"check takes the name of an exercise and a function, got {type(name).__name__}: {name!r:.80}")
    question = sources.find(name)
    if not callable(function):
        asked = f'check("{question.name}", {question.name})'
        given = f"{type(function).__name__}: {function!r:.80}"
        raise ValueError(f"check needs the function itself, without calling it: {asked}; got {given}")
    result = examine(question, function)
    if not hasattr(sys, "ps1") and not hasattr(builtins, "get_ipython"):
        print(result)
    return result
