"""Prompt laboratory: a prompt made of an instruction, examples and a question, and what several models make of it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import traitlets as t
from torch import nn

from lmcore.tokenizer import Tokenizer
from lmcore.widgets.base import in_range
from lmcore.widgets.page_models import ModelFigure, PageModel

LONGEST = 600  # characters of a prompt
MOST_WORDS = 64
Pair = tuple[str, str]


@dataclass(frozen=True)
class PromptTask:
    """Something that a model is asked for: an instruction, examples (shots), and questions whose answer is known.

    A shot is written ``question arrow answer``, the question that is asked ``question arrow``, all with one space between.

    Args:
        name: of the task.
        questions: pairs of a question and its right answer; at least one. The answer is empty where no one answer is right.
        shots: pairs of a question and its answer, in the order in which they are added to a prompt; at most eight.
        instruction: what may stand first in a prompt; empty for none.
        arrow: what stands between a question and its answer; may be empty.

    Raises:
        ValueError: no question, more than eight shots, or something that is no pair of texts.
    """

    name: str
    questions: Sequence[Pair]
    shots: Sequence[Pair] = ()
    instruction: str = ""
    arrow: str = "→"

    def __post_init__(self) -> None:
        if not self.name or not isinstance(self.name, str):
            raise ValueError(f"name is {self.name!r}; give the task a name in words")
        for kind, pairs, low, high in (("questions", self.questions, 1, 100), ("shots", self.shots, 0, 8)):
            if isinstance(pairs, str) or not isinstance(pairs, Sequence):
                raise ValueError(f"{kind} of {self.name!r} are {pairs!r:.60}; give a list of pairs (question, answer)")
            in_range(f"the number of {kind} of {self.name!r}", len(pairs), low, high)
            for pair in pairs:
                good = isinstance(pair, tuple | list) and len(pair) == 2 and all(isinstance(x, str) for x in pair)
                if not good or not pair[0] or (kind == "shots" and not pair[1]):
                    raise ValueError(f"among the {kind} of {self.name!r} is {pair!r:.60}; it must be (question, answer)")

    def prompt(self, question: int = 0, shots: int = 0, instructed: bool = True) -> str:
        """The prompt that asks a question after the first so many shots.

        Raises:
            ValueError: there is no such question, or there are fewer shots.
        """
        in_range("question", question, 0, len(self.questions) - 1)
        in_range("shots", shots, 0, len(self.shots))
        parts = [self.instruction] if instructed else []
        parts += [part for q, a in self.shots[:shots] for part in (q, self.arrow, a)]
        return " ".join(part for part in [*parts, self.questions[question][0], self.arrow] if part)


class PromptLab(ModelFigure, module="prompt_lab.mjs"):
    """A prompt laboratory. The reader composes a prompt, or writes one, and sees how each model goes on, side by side.

    The models run in the page. Each writes what it finds likeliest, word by word, up to the first ``stop``, its own end, or
    ``longest`` words; beside it stand the words with which it might have begun, with their probabilities. Where the prompt asks
    one of a task's questions that has a right answer, the answers are marked right or wrong.

    ``task``, ``question``, ``shots`` (how many), ``instructed`` (with the instruction) and ``own`` (a prompt that the reader
    has written in place of the composed one) can be set and read from Python; ``prompt`` is what the models read.

    Args:
        models: label → model; one to three of :class:`lmcore.gpt.GPT`, such as before and after instruction tuning.
        tokenizer: their tokeniser, or their list of words; one for all.
        tasks: what can be asked; at least one :class:`PromptTask`.
        longest: the most tokens that a model writes.
        stop: the token after which it stops; empty for none.
        top: so many first tokens are shown.

    Raises:
        ValueError: no model or more than three, tasks that are none, a task with words that the models do not know or with a
            prompt longer than they read, or a number outside what is allowed.
    """

    tasks = t.List(t.Dict()).tag(sync=True)
    longest = t.Int(16).tag(sync=True)
    stop = t.Unicode(".").tag(sync=True)
    top = t.Int(5).tag(sync=True)
    limit = t.Int(LONGEST).tag(sync=True)

    task = t.Int(0).tag(sync=True)
    question = t.Int(0).tag(sync=True)
    shots = t.Int(0).tag(sync=True)
    instructed = t.Bool(True).tag(sync=True)
    own = t.Unicode("").tag(sync=True)

    def __init__(
        self,
        models: Mapping[str, nn.Module],
        tokenizer: Tokenizer | Sequence[str],
        tasks: Sequence[PromptTask],
        *,
        longest: int = 16,
        stop: str = ".",
        top: int = 5,
        **kwargs: Any,
    ) -> None:
        if not isinstance(models, Mapping) or not 1 <= len(models) <= 3:
            raise ValueError(f"models must map one to three labels to a model each; got {models!r:.80}")
        if isinstance(tasks, str) or not isinstance(tasks, Sequence) or not all(isinstance(it, PromptTask) for it in tasks):
            raise ValueError(f"tasks is {tasks!r:.80}; it must be a list of PromptTask(name, questions, …)")
        in_range("the number of tasks", len(tasks), 1, 50)
        in_range("longest", longest, 1, MOST_WORDS)
        self._tasks = list(tasks)
        given = {label: (model, tokenizer) for label, model in models.items()}
        super().__init__(given, tasks=[asdict(it) for it in tasks], longest=longest, stop=stop, top=top, **kwargs)
        first = self.running
        if stop and stop not in first.tokenizer.number:
            raise ValueError(f"stop is {stop!r}, which is no token of the models; give one that is, or an empty string")
        in_range("top", top, 1, min(20, len(first.tokenizer)))
        for it in self._tasks:
            for question in range(len(it.questions)):
                first.ids(it.prompt(question, len(it.shots)))

    @property
    def prompt(self) -> str:
        """What the models read: the reader's own prompt, or the one that is composed."""
        return self.own or self._tasks[self.task].prompt(self.question, self.shots, self.instructed)

    def complete(self, prompt: str | None = None) -> dict[str, str]:
        """How each model goes on from a prompt, by default from the present one: label → text."""
        text = self.prompt if prompt is None else prompt
        return {label: self._written(model, text) for label, model in zip(self.labels, self._models, strict=True)}

    def begins(self, prompt: str | None = None) -> dict[str, dict[str, float]]:
        """The likeliest first tokens of each model with their probabilities: label → token → probability."""
        found = {}
        for label, model in zip(self.labels, self._models, strict=True):
            p = model.probabilities(model.ids(self.prompt if prompt is None else prompt))
            best = p.topk(self.top)
            names = [model.tokenizer.vocabulary[i] for i in best.indices.tolist()]
            found[label] = dict(zip(names, best.values.tolist(), strict=True))
        return found

    def right(self, answer: str) -> bool | None:
        """Whether a text is the right answer to the present question, whatever its capitals; None if no one answer is."""
        wanted = self._tasks[self.task].questions[self.question][1]
        if not wanted:
            return None
        return [word.lower() for word in answer.split()] == [word.lower() for word in wanted.split()]

    def _written(self, model: PageModel, prompt: str) -> str:
        ids, words = model.ids(prompt), list[str]()
        while len(words) < self.longest and (not words or words[-1] != self.stop) and len(ids) < (model.room or 10**9):
            token = int(model.probabilities(ids).argmax())
            if token == model.end:
                break
            ids.append(token)
            words.append(model.tokenizer.vocabulary[token])
        return " ".join(words)

    def describe(self) -> str:
        prompt = self._tasks[0].prompt()
        found = [f"“{label}” goes on with “{text}”" for label, text in self.complete(prompt).items()]
        names = ", ".join(f"“{it.name}”" for it in self._tasks)
        return (
            f"A prompt laboratory. A prompt is composed of an instruction, examples and a question, and models that run in the "
            f"page go on from it. The tasks are {names}. After “{prompt}” the model {'; '.join(found)}."
        )

    @t.validate("task")
    def _check_task(self, proposal: Any) -> int:
        return in_range("task", proposal["value"], 0, len(self._tasks) - 1)

    @t.observe("task")
    def _task_has_changed(self, _: Any) -> None:
        it = self._tasks[self.task]
        self.question, self.shots = min(self.question, len(it.questions) - 1), min(self.shots, len(it.shots))

    @t.validate("question")
    def _check_question(self, proposal: Any) -> int:
        return in_range("question", proposal["value"], 0, len(self._tasks[self.task].questions) - 1)

    @t.validate("shots")
    def _check_shots(self, proposal: Any) -> int:
        return in_range("shots", proposal["value"], 0, len(self._tasks[self.task].shots))

    @t.validate("own")
    def _check_own(self, proposal: Any) -> str:
        in_range("the number of characters of own", len(proposal["value"]), 0, LONGEST)
        return proposal["value"]
