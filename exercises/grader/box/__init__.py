"""What runs inside a sandbox. It is copied there and imports ``lmcore.check`` alone; of the grader nothing is to be found.

A sandbox holds one *worker* (``worker``), started once because torch takes over a second to import. For each question it forks
a child (``answering``) that runs the cells of the notebook and then calls what the question asks for. ``standins`` are harmless
replacements for what only a notebook has, ``held`` are the limits that a process puts on itself.
"""
