"""Chapter 18, prompting and alignment: the bank, one module per exercise."""

from exercises.ch18_prompting.bank import answer_loss, dpo_loss, few_shot_prompt

EXERCISES = (few_shot_prompt.EXERCISE, answer_loss.EXERCISE, dpo_loss.EXERCISE)
