"""Chapter 3, embeddings: the bank, one module per exercise."""

from exercises.ch03_embeddings.bank import best_analogies, embedding_gradient, sgns_loss

EXERCISES = (embedding_gradient.EXERCISE, sgns_loss.EXERCISE, best_analogies.EXERCISE)
