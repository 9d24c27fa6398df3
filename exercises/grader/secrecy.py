"""Feedback never shows anything of a hidden case: neither its label, nor its input, nor its expected output."""

import html
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch

from lmcore.check.diagnose import diagnose
from lmcore.check.question import Question
from lmcore.check.result import Result
from lmcore.check.run import Answer, Case
from lmcore.check.values import plain, show


def leaks(question: Question, diagnosis: Callable[[Question, list[Answer]], Result] = diagnose) -> list[str]:
    """What feedback on ``question`` shows of its hidden cases, for every known mistake and for answers made to spill
    them."""
    public = question.only(lambda case: case.public)
    allowed = "\n".join([question.name, *(mistake.hint for mistake in question.mistakes.values()), *_texts(public)])
    secrets = sorted({secret for case in _hidden(question) for secret in case if secret not in allowed}, key=len)
    found = []
    for name, answers in _answers(question):
        result = diagnosis(question, answers)
        shown = f"{result}\n{_words(result._repr_html_())}"
        if spilled := next((secret for secret in secrets if secret in shown), None):
            found.append(f"the feedback on {name} shows {spilled!r} of a hidden case")
    return found


def _words(markup: str) -> str:
    """What a reader sees or hears of HTML: everything but the style, which holds numbers of its own."""
    return html.unescape(re.sub(r' style="[^"]*"', "", markup))


def _answers(question: Question) -> Iterator[tuple[str, list[Answer]]]:
    """The known mistakes, and answers that are right where it can be seen and tell all they are given where it cannot."""
    yield from ((key, list(mistake.answers)) for key, mistake in question.mistakes.items())

    def spill(make: Callable[[Case, Answer], Answer]) -> list[Answer]:
        pairs = zip(question.cases, question.expected, strict=True)
        return [want if case.public else make(case, want) for case, want in pairs]

    yield (
        "an error that tells its input",
        spill(lambda case, _: Answer("raised", error="ValueError", message=show(case.args, 10**6))),
    )
    yield "an error named after its input", spill(lambda case, _: Answer("raised", error=show(case.args, 10**6)))
    yield (
        "an error on a line with its input",
        spill(lambda case, _: Answer("raised", error="KeyError", line=f"line 1: {show(case.args, 10**6)}")),
    )
    yield "its input, returned", spill(lambda case, _: Answer("ok", value=plain(list(case.args))))
    yield "a type named after its input", spill(lambda case, _: Answer("unsupported", message=show(case.args, 10**6)))
    yield "the right value in a list", spill(lambda _, want: Answer("ok", value=[want.value]))
    yield "nothing", spill(lambda *_: Answer("ok", value=None))
    yield "a changed input", spill(lambda _, want: Answer("ok", value=want.value, changed=(0,)))


def _hidden(question: Question) -> Iterator[list[str]]:
    for case, want in zip(question.cases, question.expected, strict=True):
        if not case.public:
            yield [case.label, *_leaves(case.args), *_leaves(want.value), *_leaves(want.message)]


def _leaves(value: Any) -> Iterator[str]:
    """The telling parts of a value as they would appear in feedback: long enough not to occur by chance."""
    if isinstance(value, str):
        texts: Iterable[str] = [value]
    elif isinstance(value, dict):
        texts = (leaf for pair in value.items() for part in pair for leaf in _leaves(part))
    elif isinstance(value, list | tuple | set | frozenset):
        texts = [*(leaf for item in value for leaf in _leaves(item)), *([show(value, 10**6)] if len(value) > 1 else [])]
    elif isinstance(value, torch.Tensor | np.ndarray):
        texts = [f"{number:.4g}" for number in value.reshape(-1)[:100].tolist()]
    else:
        texts = [f"{value:.6g}" if isinstance(value, float) else repr(value)]
    yield from (text for text in texts if len(text) >= 4)


def _texts(public: Question) -> list[str]:
    """Everything feedback may say of public cases."""
    shown = [leaf for case in public.cases for leaf in (case.label, show(case.args, 10**6), *_leaves(case.args))]
    answers = [*public.expected, *(answer for mistake in public.mistakes.values() for answer in mistake.answers)]
    return shown + [text for answer in answers for text in (show(answer.value, 10**6), answer.message, *_leaves(answer.value))]
