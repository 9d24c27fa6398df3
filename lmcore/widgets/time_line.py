"""Time line: models of one line of work by the date of their paper and by their number of parameters, as published."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import traitlets as t

from lmcore.widgets.base import Figure, in_range, one_of

KINDS = ("encoder-decoder", "encoder", "decoder")


@dataclass(frozen=True)
class Milestone:
    """A model, and what its paper says of it.

    Args:
        name: of the model.
        year: of the paper's first appearance.
        month: from 1 to 12.
        kind: "encoder-decoder", "encoder" or "decoder".
        parameters: of the largest model of the paper, as published.
        data: what it was trained on, as published.
        brought: what was new, in a sentence or two.
        source: the paper, with where in it these numbers stand.
        url: an address of the paper; may be empty.

    Raises:
        ValueError: a date or a number outside what is allowed, an unknown kind, or an empty name, sentence or source.
    """

    name: str
    year: int
    month: int
    kind: str
    parameters: int
    data: str
    brought: str
    source: str
    url: str = ""

    def __post_init__(self) -> None:
        in_range("year", self.year, 1900, 2100)
        in_range("month", self.month, 1, 12)
        in_range("parameters", self.parameters, 1, 10**15)
        one_of("kind", self.kind, KINDS)
        if empty := [name for name in ("name", "data", "brought", "source") if not getattr(self, name)]:
            raise ValueError(f"{empty[0]} is empty; every milestone says what it is and where that stands")
        if self.url and not self.url.startswith("https://"):
            raise ValueError(f"url is {self.url!r}; it must begin with https://, or be empty")


MILESTONES = (
    Milestone(
        "Seq2seq", 2014, 9, "encoder-decoder", 384_000_000, "12 million pairs of sentences",
        "A recurrent network reads a sentence into one vector, and another writes its translation from there.",
        "Sutskever, Vinyals and Le (2014), sections 3.1 and 3.4", "https://arxiv.org/abs/1409.3215",
    ),
    Milestone(
        "Transformer", 2017, 6, "encoder-decoder", 213_000_000, "36 million pairs of sentences",
        "Attention alone, without recurrence: all positions of a text are computed at once.",
        "Vaswani et al. (2017), section 5.1 and Table 3", "https://arxiv.org/abs/1706.03762",
    ),
    Milestone(
        "GPT", 2018, 6, "decoder", 117_000_000, "more than 7,000 books",
        "The decoder alone, trained to predict the next token of much text, then fine-tuned to each task.",
        "Radford et al. (2018), section 4.1; parameters in Radford et al. (2019), Table 2",
        "https://openai.com/index/language-unsupervised/",
    ),
    Milestone(
        "BERT", 2018, 10, "encoder", 340_000_000, "3,300 million words of books and Wikipedia",
        "The encoder alone, trained to fill in words that were left out, so that it looks at both sides of a word.",
        "Devlin et al. (2019), sections 3 and 3.1", "https://arxiv.org/abs/1810.04805",
    ),
    Milestone(
        "GPT-2", 2019, 2, "decoder", 1_542_000_000, "40 GB of text from 8 million web pages",
        "The same model, larger, does tasks that it was never trained for when the prompt shows what is wanted.",
        "Radford et al. (2019), sections 2.1 and 2.3 and Table 2", "https://openai.com/index/better-language-models/",
    ),
    Milestone(
        "GPT-3", 2020, 5, "decoder", 175_000_000_000, "300 billion tokens, mostly from the web",
        "A hundred times larger again: a few examples in the prompt replace fine-tuning for many tasks.",
        "Brown et al. (2020), Tables 2.1 and 2.2", "https://arxiv.org/abs/2005.14165",
    ),
    Milestone(
        "InstructGPT", 2022, 3, "decoder", 175_000_000_000,
        "GPT-3, and tens of thousands of prompts with answers and preferences of people",
        "GPT-3 fine-tuned to follow instructions. People preferred the answers of one with 1.3 billion parameters to GPT-3's.",
        "Ouyang et al. (2022), sections 1 and 3", "https://arxiv.org/abs/2203.02155",
    ),
)  # fmt: skip


class TimeLine(Figure, module="time_line.mjs"):
    """A time line: every model by the month of its paper and its number of parameters, and what it brought.

    The form of a mark says whether the model has an encoder, a decoder or both. The reader goes from one model to the next;
    ``chosen``, its number in the order of time, can be set and read from Python.

    Args:
        milestones: the models; without it those from Seq2seq (2014) to InstructGPT (2022), :data:`MILESTONES`.

    Raises:
        ValueError: no list of at least two :class:`Milestone`, or one name twice.
    """

    milestones = t.List(t.Dict()).tag(sync=True)
    chosen = t.Int(0).tag(sync=True)

    def __init__(self, milestones: Sequence[Milestone] | None = None, **kwargs: Any) -> None:
        milestones = MILESTONES if milestones is None else milestones
        if not isinstance(milestones, Sequence) or not all(isinstance(m, Milestone) for m in milestones) or len(milestones) < 2:
            raise ValueError(f"milestones is {milestones!r:.80}; it must be a list of two or more Milestone(name, year, …)")
        names = [milestone.name for milestone in milestones]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"the milestone {twice[0]!r} is there twice; every name may stand once")
        in_order = sorted(milestones, key=lambda m: (m.year, m.month))
        super().__init__(milestones=[asdict(milestone) for milestone in in_order], **kwargs)

    def describe(self) -> str:
        parts = [f"{m['name']} ({m['year']}, {m['kind']}, {told(m['parameters'])} parameters)" for m in self.milestones]
        return f"A time line of models and of their parameters as published: {', '.join(parts[:-1])} and {parts[-1]}."

    @t.validate("chosen")
    def _check_chosen(self, proposal: Any) -> int:
        return in_range("chosen", proposal["value"], 0, max(0, len(self.milestones) - 1))


def told(number: int) -> str:
    """A large number in words: 213 million, 1.54 billion."""
    for size, name in ((10**12, "trillion"), (10**9, "billion"), (10**6, "million")):
        if number >= size:
            return f"{number / size:.3g} {name}"
    return f"{number:,}"
