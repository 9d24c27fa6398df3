"""Chapter 6, LSTM and GRU: the bank, one module per exercise."""

from exercises.ch06_lstm_gru.bank import gru_cell, lstm_cell, memory_left

EXERCISES = (lstm_cell.EXERCISE, gru_cell.EXERCISE, memory_left.EXERCISE)
