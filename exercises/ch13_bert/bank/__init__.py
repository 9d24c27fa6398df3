"""Chapter 13, BERT: the bank, one module per exercise."""

from exercises.ch13_bert.bank import bert_embeddings, choose_and_mask, masked_language_loss, sentence_pairs

EXERCISES = (choose_and_mask.EXERCISE, masked_language_loss.EXERCISE, sentence_pairs.EXERCISE, bert_embeddings.EXERCISE)
