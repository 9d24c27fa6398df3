"""From answers to feedback: which cases pass, which known mistake was made, and what to look at.

Hidden cases are graded but never described: feedback about them names no input, no output, no message and no number.
"""

from collections.abc import Callable, Sequence

from lmcore.check import calls
from lmcore.check.patterns import pattern
from lmcore.check.question import Question
from lmcore.check.result import Example, Result
from lmcore.check.run import Answer, wrong_call
from lmcore.check.show import a_type, show

# The errors that are named where a hidden case raises one.
USUAL = (
    "AttributeError",
    "IndexError",
    "KeyError",
    "NameError",
    "RuntimeError",
    "TypeError",
    "ValueError",
    "ZeroDivisionError",
)
MOSTLY = "Not all of it fits, but this mistake explains most of what differs:"


def examine(question: Question, function: Callable, device: str = "cpu") -> Result:
    """Run ``function`` on every case of ``question`` and diagnose what it does."""
    for case in question.cases[:1]:
        if problem := wrong_call(function, calls.bound(question.probe, case.args)):
            asked = f"{question.name}({', '.join(question.parameters)})"
            hint = f"Your function cannot be called as {asked}: {problem}. Keep the first line of the function as it was given."
            return _result(question, [Answer("skipped")] * len(question.cases), "signature", hint)
    return diagnose(question, question.answers(function, device))


def diagnose(question: Question, answers: Sequence[Answer]) -> Result:
    """What ``answers``, one per case, say about the student's function."""
    passed = [question.passed(got, want) for got, want in zip(answers, question.expected, strict=True)]
    if all(passed):
        return _result(question, answers, "passed")
    if all(answer.status == "unwritten" for answer in answers):
        hint = f"Write {question.name} in place of the line that raises NotImplementedError, run its cell, then this one."
        return _result(question, answers, "unwritten", hint)
    if known := question.mistaken_for(answers):
        return _result(question, answers, known[0], "\n".join(question.mistakes[key].hint for key in known), recognised=True)
    if nearly := _nearly_known(question, answers):
        return _result(question, answers, nearly, f"{MOSTLY}\n{question.mistakes[nearly].hint}", recognised=True)
    i = min((i for i, ok in enumerate(passed) if not ok), key=lambda i: (not question.cases[i].public, i))
    if question.cases[i].public:
        kind, hint = _public_hint(question, answers[i], question.expected[i])
        return _result(question, answers, kind, hint + (_common(question, answers) if kind in ("value", "shape") else ""))
    return _result(question, answers, *_hidden_hint(question, answers[i], question.expected[i]))


def _nearly_known(question: Question, answers: Sequence[Answer]) -> str:
    """The known mistake that fits all public cases, or else most of what is wrong; nothing if there is none."""
    seen = [case.public for case in question.cases]
    public = question.only(lambda case: case.public)
    given = [answer for answer, shown in zip(answers, seen, strict=True) if shown]
    if all(public.passed(got, want) for got, want in zip(given, public.expected, strict=True)):
        return ""
    fits = public.mistaken_for(given)
    return fits[0] if len(fits) == 1 else public.mostly(given)


def _public_hint(question: Question, got: Answer, want: Answer) -> tuple[str, str]:
    """The kind of failure, and what to say about it, where the student may see everything."""
    name = question.name
    at = f", at {_place(got.line)}" if got.line else ""
    if got.status == "timeout":
        return "timeout", f"{name} did not finish within {got.message}. Does every loop end? Does each turn make progress?"
    if got.status == "died":
        return "died", f"{name} {got.message}, so nothing came back from it."
    if got.status == "unwritten":
        return "unwritten", f"{name} raises NotImplementedError on this input: this part is not written yet."
    if got.status == "raised" and want.status == "raised":
        return "raises", f"On this input {name} should raise {want.error}, but it raises {got.error}: {got.message}{at}"
    if got.status == "raised" and got.error == "NotAsAskedError":
        return "type", f"{name} {got.message}"
    if got.status == "raised":
        return "raises", f"{name} raises {got.error}: {got.message}{at}"
    if want.status == "raised":
        return "no error", f"On this input {name} should raise {want.error}, but it returns a value."
    if got.status == "unsupported":
        return "type", _type_hint(name, got.message, want)
    if got.value is None:
        return "none", f"{name} returns None. Is there a return statement, and is it reached on this input?"
    found = question.difference(got, want)
    if found is None:
        names = _arguments(question, got)
        return (
            "changed",
            f"The value is right, but {name} changes its input {names}. The caller still needs it: work on a copy.",
        )
    if found.kind == "type" and not found.path:
        return "type", _type_hint(name, a_type(got.value), want)
    return found.kind, f"The result differs from the expected one: {found}.{calls.advice(question.probe, found.path)}"


def _place(line: str) -> str:
    """Where an error was raised, the student's own line as code."""
    where, colon, source = line.partition(": ")
    return f"{where}: `{source}`" if colon and "`" not in source else line


def _arguments(question: Question, got: Answer) -> str:
    """The arguments that were changed."""
    return " and ".join(calls.argument(question.probe, question.parameters, i) for i in got.changed)


def _common(question: Question, answers: Sequence[Answer]) -> str:
    """What the numbers of all public cases have in common, as a sentence that follows a hint, or nothing."""
    pairs = [
        (got.value, want.value)
        for case, got, want in zip(question.cases, answers, question.expected, strict=True)
        if case.public and got.status == want.status == "ok"
    ]
    words = pattern(pairs, question.rtol, question.atol)
    return f" {words}" if words else ""


def _type_hint(name: str, got: str, want: Answer) -> str:
    advice = ""
    if "Tensor" in got:
        advice = " tensor.item() gives the number in a tensor of one element, tensor.tolist() the numbers of a longer one."
    elif any(lazy in got for lazy in ("generator", "map", "zip", "filter", "range", "dict_", "reversed")):
        advice = " It makes its items one at a time: collect them first."
    return f"{name} returns {got}, where {a_type(want.value)} is expected.{advice}"


def _hidden_hint(question: Question, got: Answer, want: Answer) -> tuple[str, str]:
    """The same without anything that depends on the hidden input."""
    error = got.error if got.error in USUAL else "an error"  # the type of an error can be chosen to tell of the input
    if got.status == "timeout":
        kind, says = "timeout", "does not finish in time"
    elif got.status == "died":
        kind, says = "died", "ends its process or needs too much memory"
    elif got.status == "raised" and want.status != "raised":
        kind, says = "raises", f"raises {error}"
    elif got.status == want.status == "ok" and question.agree(got, want):
        kind, says = "changed", "changes its input"
    else:
        kind, says = "value", "gives another result than expected"
    hint = f"{question.name} is right on the public cases, but on a hidden one it {says}."
    return kind, f"{hint} What may an input look like that the public cases do not show?"


def _result(question: Question, answers: Sequence[Answer], kind: str, hint: str = "", recognised: bool = False) -> Result:
    passed = [question.passed(got, want) for got, want in zip(answers, question.expected, strict=True)]
    cases = tuple((case.label if case.public else "", case.public, ok) for case, ok in zip(question.cases, passed, strict=True))
    example = None
    if kind not in ("passed", "unwritten", "signature"):
        first = next((i for i, ok in enumerate(passed) if not ok and question.cases[i].public), None)
        if first is not None:
            example = _example(question, first, answers[first])
    return Result(question.name, cases, kind, hint, recognised, example)


def _example(question: Question, i: int, got: Answer) -> Example:
    """A public case as the reader may try it."""
    case, want = question.cases[i], question.expected[i]
    outcome = {
        "ok": show(got.value),
        "raised": f"{got.error}: {got.message}",
        "timeout": "no answer in time",
        "unsupported": got.message,
        "unwritten": "not written yet",
        "died": "nothing: the process ended",
        "skipped": "not run",
    }[got.status]
    if got.changed:
        outcome += f"\nand {_arguments(question, got)} was changed"
    expected = show(want.value) if want.status == "ok" else f"raises {want.error}"
    called = calls.call(question.name, question.probe, question.parameters, case.args)
    return Example(case.label, called, expected, outcome)
