"""Chapter 17, decoding: the bank, one module per exercise."""

from exercises.ch17_decoding.bank import append_and_attend, batched_beams, nucleus, repetition_penalty, temperature_and_top_k

EXERCISES = (
    temperature_and_top_k.EXERCISE,
    nucleus.EXERCISE,
    repetition_penalty.EXERCISE,
    batched_beams.EXERCISE,
    append_and_attend.EXERCISE,
)
