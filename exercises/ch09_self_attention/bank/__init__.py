"""Chapter 9, self-attention: the bank, one module per exercise."""

from exercises.ch09_self_attention.bank import causal_and_padding_mask, grouped_queries, multi_head, scaled_dot_product

EXERCISES = (scaled_dot_product.EXERCISE, multi_head.EXERCISE, causal_and_padding_mask.EXERCISE, grouped_queries.EXERCISE)
