"""The package behind *Language Models, Step by Step*: one concept per file.

The files are meant to be read in the order of the table in CONTRIBUTING.md, and a file imports only from files above it.

Axes are named by one letter everywhere, in code, comments and equations:

====  =====================================================
B     batch
T     query time (the positions that ask)
S     key time (the positions that are asked)
H     heads
D     width of one head
C     width of the model
V     size of the vocabulary
====  =====================================================

Five special tokens have one spelling each in the whole book.
"""

PAD, START, END, UNK, MASK = "<pad>", "<start>", "<end>", "<unk>", "<mask>"

__version__ = "0.1.0"
