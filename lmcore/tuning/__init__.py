"""From a model that continues texts to one that answers: prompts with examples, instruction tuning, preference tuning.

:func:`few_shot_prompt` asks without training anything (Brown et al. 2020). :class:`Answers` and :func:`answer_loss` train on
instructions with their answers, the first step of InstructGPT (Ouyang et al. 2022). :class:`Preferences` and :func:`dpo_loss`
train on pairs of answers of which one is preferred (Rafailov et al. 2023); :func:`sequence_kl` says how far that has moved the
model. Everything here takes any model of the book with ``read(ids)`` and ``output(states)``: :class:`lmcore.gpt.GPT` and
:class:`lmcore.transformer.TransformerLM`.
"""

from lmcore.tuning.answers import AnswerBatch, Answers, answer_log_probs, answer_loss
from lmcore.tuning.preferences import PreferenceBatch, Preferences, dpo_loss, preference_loss, rewards, sequence_kl
from lmcore.tuning.prompts import few_shot_prompt

__all__ = [
    "AnswerBatch",
    "Answers",
    "PreferenceBatch",
    "Preferences",
    "answer_log_probs",
    "answer_loss",
    "dpo_loss",
    "few_shot_prompt",
    "preference_loss",
    "rewards",
    "sequence_kl",
]
