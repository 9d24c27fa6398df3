"""Chapter 19, from GPT to Llama: the bank, one module per exercise."""

from exercises.ch19_llama.bank import pooled_heads, repeat_heads, rms_norm, swiglu

EXERCISES = (rms_norm.EXERCISE, swiglu.EXERCISE, repeat_heads.EXERCISE, pooled_heads.EXERCISE)
