"""The same grader on Gradescope.

===========  ==========================================================================================
``build``    the zip of one chapter: setup, run script, grader, bank, lmcore, pinned requirements
``run``      what ``run_autograder`` calls in the container: grade one submission, write ``results.json``
``results``  a graded submission in the documented shape of ``results.json``
===========  ==========================================================================================

Gradescope's documentation: https://gradescope-autograders.readthedocs.io
"""
