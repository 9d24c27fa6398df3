"""Prompts with examples: the task is not trained, it is shown."""

from collections.abc import Sequence

ARROW, STOP, COLON = "→", ".", ":"


def few_shot_prompt(shots: Sequence, question: str, *, title: str = "", arrow: str = ARROW, stop: str = STOP) -> list[str]:
    """The words of a prompt that shows a task by examples and then asks: ``x₁ → y₁ . x₂ → y₂ . x →``.

    The model that continues it is to write the answer. Without examples it is a zero-shot prompt, with one a one-shot prompt,
    with k a k-shot prompt. (Brown et al. 2020, figure 2.1.)

    Args:
        shots: the examples, each a question with its answer; either may be several words.
        question: what is asked at the end.
        title: what the task is called; it stands first, with a colon, if it is given.
        arrow: between a question and its answer.
        stop: after an answer.

    Raises:
        ValueError: an example is no pair of strings, or a question or an answer has no words.
    """
    if isinstance(shots, str) or any(isinstance(shot, str) or len(shot) != 2 for shot in shots):
        raise ValueError(f"shots={shots!r:.80} must be pairs of a question and its answer, such as [('France', 'Paris')]")
    for text in (*(part for shot in shots for part in shot), question):
        if not isinstance(text, str) or not text.split():
            raise ValueError(f"{text!r} is no question and no answer; give a string of one or more words")
    words = [*title.split(), COLON] if title.strip() else []
    for asked, answered in shots:
        words += [*asked.split(), arrow, *answered.split(), stop]
    return [*words, *question.split(), arrow]
