"""Exercise sheets: lines of a question and its answer, all of one task that the reader has to find out from the lines.

They are texts in which examples stand in a row, as they do on many a web page, so that a language model can learn to learn from
examples. A sheet of *facts* takes its lines from one relation of the lexicon (country → capital): whoever knows the facts must
only recognise which of them is asked for. A sheet of *labels* sorts words by what they are (animals → Nora, countries → Finn),
and which label stands for what is drawn anew for every sheet: that can be found nowhere but in the lines above.

:meth:`Sheets.answers` is the exact distribution of an answer given those lines, the best that any reader can do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lmcore.world import dutch, lexicon, things  # noqa: F401  (they fill the lexicon)
from lmcore.world.kinds import KINDS

ARROW, STOP, COLON = "→", ".", ":"
TASKS = {  # task → what is asked about, what is answered
    "capital": ("country", "capital"),
    "language": ("country", "tongue"),
    "young": ("animal", "young"),
    "plural": ("animal", "animals"),
    "work": ("job", "workplace"),
    "need": ("job", "tool"),
    "opposite": ("quality", "opposite"),
    "comparative": ("quality", "comparative"),
    "number": ("digit", "next_number"),
}
CATEGORIES = ("country", "animal", "job", "quality", "foods", "thing")
Line = tuple[str, str]


def facts() -> dict[str, dict[str, str]]:
    """Task → question → answer, all single words, from the lexicon."""
    pairs = {task: [(x, next(iter(KINDS[b].table[x,]))) for x in KINDS[a].given(())] for task, (a, b) in TASKS.items()}
    return {task: {x: y for x, y in rows if " " not in x + y} for task, rows in pairs.items()}


def categories() -> dict[str, tuple[str, ...]]:
    """Category → its single words, without those that belong to two categories."""
    found = {name: [word for word in KINDS[name].given(()) if " " not in word] for name in CATEGORIES}
    return {
        name: tuple(w for w in words if not any(w in other for key, other in found.items() if key != name))
        for name, words in found.items()
    }


@dataclass(frozen=True, slots=True)
class Sheet:
    """Lines of one task.

    Attributes:
        task: the relation, or "labels".
        lines: pairs of a question and its answer.
        title: the name of the task, if it stands above the lines, else "".
    """

    task: str
    lines: tuple[Line, ...]
    title: str = ""

    @property
    def tokens(self) -> tuple[str, ...]:
        """``title : x₁ → y₁ . x₂ → y₂ .`` as one tuple."""
        head = (self.title, COLON) if self.title else ()
        return (*head, *(word for x, y in self.lines for word in (x, ARROW, y, STOP)))

    @property
    def text(self) -> str:
        """The tokens joined by spaces."""
        return " ".join(self.tokens)


@dataclass(frozen=True)
class Sheets:
    """A distribution of sheets.

    A sheet is one of facts with probability ``share``, else one of labels. For facts a task is drawn, all equally likely, and
    different questions of it; the task's name stands above with probability ``titled``. Where there are other tasks about the
    same word, a line slips with probability ``slips`` and is answered as one of these, all equally likely. For labels ``mixed``
    categories and as many labels are drawn; every line takes one of these categories, all equally likely, and a word of it that
    the sheet has not had.

    Args:
        lines: how many lines a sheet has.
        tasks: the tasks of sheets of facts.
        share: of facts.
        titled: of sheets of facts that have a title.
        slips: of lines of facts that answer another question than the sheet's: another task's about the same word.
        mixed: categories of a sheet of labels.
        labels: the words that can be labels.
        withheld: task → questions that no sheet of facts asks.

    Raises:
        ValueError: a number is out of range, a name is unknown, or there are too few questions, words or labels.
    """

    lines: int = 9
    tasks: tuple[str, ...] = tuple(TASKS)
    share: float | int = 0.5
    titled: float | int = 0.5
    slips: float | int = 0.0
    mixed: int = 2
    labels: tuple[str, ...] = ("Alice", "Bob", "Emma", "Daan", "Sofia", "Lucas", "Nora", "Noah", "Julia", "Finn")
    withheld: Mapping[str, Sequence[str]] | None = None

    def __post_init__(self) -> None:
        for name, most in (("lines", 18), ("mixed", len(CATEGORIES))):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
                raise ValueError(f"{name}={value!r} is not allowed; use a whole number from 1 to {most}")
        for name in ("share", "titled", "slips"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
                raise ValueError(f"{name}={value!r} is no probability; use a number from 0 to 1")
        withheld = dict(self.withheld or {})
        if isinstance(self.tasks, str) or not self.tasks or not {*self.tasks, *withheld} <= set(TASKS):
            raise ValueError(f"tasks={self.tasks!r}, withheld={withheld!r:.80}; the tasks are {', '.join(TASKS)}")
        if isinstance(self.labels, str) or len(set(self.labels)) != len(self.labels) or len(self.labels) < self.mixed:
            raise ValueError(f"labels={self.labels!r}; give a tuple of at least mixed={self.mixed} different words")
        object.__setattr__(self, "tasks", tuple(self.tasks))
        object.__setattr__(self, "labels", tuple(self.labels))
        least = {task: len(questions) for task, questions in self.questions.items()}
        short = [f"{task} has {n} questions" for task, n in least.items() if n < self.lines]
        short += [f"{name} has {len(words)} words" for name, words in self.words.items() if len(words) < self.lines]
        if short:
            raise ValueError(f"lines={self.lines} is too long a sheet: {short[0]}; use fewer lines, or leave it out of tasks")

    @cached_property
    def facts(self) -> dict[str, dict[str, str]]:
        """Task → question → answer, withheld ones included."""
        known = facts()
        return {task: known[task] for task in self.tasks}

    @cached_property
    def questions(self) -> dict[str, tuple[str, ...]]:
        """Task → the questions that a sheet can ask."""
        left_out = self.withheld or {}
        return {task: tuple(x for x in rows if x not in left_out.get(task, ())) for task, rows in self.facts.items()}

    @cached_property
    def words(self) -> dict[str, tuple[str, ...]]:
        """Category → the words that a sheet can label."""
        return categories()

    @cached_property
    def vocabulary(self) -> tuple[str, ...]:
        """Every word that a sheet can hold, in alphabetical order, withheld questions and answers included."""
        found = {ARROW, STOP, COLON, *self.tasks, *self.labels, *(w for words in self.words.values() for w in words)}
        return tuple(sorted(found.union(*(pair for rows in self.facts.values() for pair in rows.items()))))

    def sample(self, n: int, seed: int) -> list[Sheet]:
        """``n`` sheets. The same seed gives the same sheets, and a smaller ``n`` gives the first of them.

        Raises:
            ValueError: ``n`` or ``seed`` is negative.
        """
        for name, value in (("n", n), ("seed", seed)):
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
                raise ValueError(f"{name}={value!r} must be a whole number, 0 or more")
        rng = np.random.default_rng(seed)
        return [self.of_facts(rng) if rng.random() < self.share else self.of_labels(rng) for _ in range(n)]

    def of_facts(self, rng: np.random.Generator, task: str | None = None, titled: bool | None = None) -> Sheet:
        """A sheet of facts; of this task, with or without a title, where that is said."""
        task = self.tasks[rng.integers(len(self.tasks))] if task is None else task
        titled = bool(rng.random() < self.titled) if titled is None else titled
        asked = rng.permutation(len(self.questions[task]))[: self.lines]
        lines = [self.questions[task][i] for i in asked]
        answered = [self._slip(task, x, rng) for x in lines] if self.slips else [task] * len(lines)
        return Sheet(task, tuple((x, self.facts[t][x]) for t, x in zip(answered, lines, strict=True)), task if titled else "")

    def _slip(self, task: str, question: str, rng: np.random.Generator) -> str:
        """The task that this line is answered as."""
        others = self.others(task, question)
        return others[rng.integers(len(others))] if others and rng.random() < self.slips else task

    def others(self, task: str, question: str) -> list[str]:
        """The other tasks that a sheet can ask this question for."""
        return [other for other in self.tasks if other != task and question in self.questions[other]]

    def answered(self, task: str, question: str) -> dict[str, float]:
        """p(answer | a line of a sheet of this task asks this question)."""
        others = self.others(task, question)
        found = {self.facts[task][question]: 1.0 - (self.slips if others else 0.0)}
        for other in others if self.slips else ():
            answer = self.facts[other][question]
            found[answer] = found.get(answer, 0.0) + self.slips / len(others)
        return found

    def of_labels(self, rng: np.random.Generator) -> Sheet:
        """A sheet of labels."""
        kinds = [list(self.words)[i] for i in rng.permutation(len(self.words))[: self.mixed]]
        labels = [self.labels[i] for i in rng.permutation(len(self.labels))[: self.mixed]]
        left = [list(rng.permutation(self.words[kind])) for kind in kinds]
        which = rng.integers(self.mixed, size=self.lines)
        return Sheet("labels", tuple((str(left[k].pop()), labels[k]) for k in which))

    def answers(self, shots: Sequence[Line], question: str, title: str = "") -> dict[str, float]:
        """p(answer | the lines above, the question), most probable first: Bayes' rule over all tasks and all labellings.

        Where a sheet of facts fits the lines, the tasks that can hold all of them share the probability, by how likely each is
        to ask just these questions and to answer them so. Where one of labels fits, a category that stands above has its label
        for certain, and any other has one of the labels that are left.

        Raises:
            ValueError: no sheet begins like this.
        """
        asked = [x for x, _ in shots] + [question]
        weights: dict[str, float] = {}
        for task in self.tasks:
            questions, chance = self.questions[task], self.share * (self.titled if title else 1 - self.titled) / len(self.tasks)
            if (title and title != task) or len(asked) > len(questions) or not set(asked) <= set(questions):
                continue
            for taken, (x, y) in enumerate([*shots, (question, "")]):
                chance *= (self.answered(task, x).get(y, 0.0) if y else 1.0) / (len(questions) - taken)
            for answer, p in self.answered(task, question).items() if chance else ():
                weights[answer] = weights.get(answer, 0.0) + chance * p
        for answer, chance in ({} if title else self._labelled(shots, question)).items():
            weights[answer] = weights.get(answer, 0.0) + chance
        total = sum(weights.values())
        if not total or len(set(asked)) < len(asked):
            raise ValueError(
                f"no sheet begins with {title + ' : ' if title else ''}{list(shots)!r:.120} and asks {question!r} then"
            )
        return dict(sorted(((a, w / total) for a, w in weights.items() if w), key=lambda item: (-item[1], item[0])))

    def _labelled(self, shots: Sequence[Line], question: str) -> dict[str, float]:
        """The probability of these shots and this question on a sheet of labels, with every answer."""
        kind = {word: name for name, words in self.words.items() for word in words}
        if any(x not in kind for x in (*(x for x, _ in shots), question)) or any(y not in self.labels for _, y in shots):
            return {}
        stands: dict[str, str] = {}
        for x, y in shots:
            if stands.setdefault(kind[x], y) != y:
                return {}
        if len(set(stands.values())) < len(stands) or len(stands | {kind[question]: ""}) > self.mixed:
            return {}
        # Every set of categories that fits is as likely as another, and so is every way to deal out the labels.
        seen, among = len(stands), len({kind[question], *stands})
        fits = _choose(len(self.words) - among, self.mixed - among) / _choose(len(self.words), self.mixed)
        chance = (1 - self.share) * fits
        for taken in range(seen):
            chance /= len(self.labels) - taken
        counts: dict[str, int] = {}
        for x in (*(x for x, _ in shots), question):
            chance /= self.mixed * (len(self.words[kind[x]]) - counts.get(kind[x], 0))
            counts[kind[x]] = counts.get(kind[x], 0) + 1
        if kind[question] in stands:
            return {stands[kind[question]]: chance}
        left = [label for label in self.labels if label not in stands.values()]
        return {label: chance / len(left) for label in left}


def _choose(n: int, k: int) -> int:
    """The number of ways to choose k of n."""
    out = 1
    for i in range(k):
        out = out * (n - i) // (i + 1)
    return out
