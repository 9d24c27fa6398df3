"""What makes an exercise one that can be trusted, and what grades a class.

=================  =========================================================================================
``exercise``       an exercise: reference, right and wrong answers, cases
``source``         the source of an answer with everything it needs
``mutants``        small changes of the reference that the cases must notice
``notebook``       the student's notebook agrees with the bank and gives nothing away
``secrecy``        feedback shows nothing of a hidden case
``validate``       the proof of all this, over many seeds; ``published``, its table
``pack``           what a class is handed: notebooks and data, without any answer
``release``        that, and solutions (``instructor``) and autograders (``gradescope``)
``submissions``    what a class handed in: ``roster``, ``reading`` and ``archives``, each file ``apart`` from the grader
``scan``           what a person should look at in a submission; ``suspects``, the names
``isolation``      how submissions can be run here: ``launch``, ``staging``, ``users``, ``remains``, ``limits``
``sandbox``        runs a notebook there: ``process``, ``replies``, ``watch``; ``box``, what is inside
``scoring``        from answers to points and words; ``grading``, of one submission
``batch``          a class, in several processes (``pool``), resumable (``fingerprint``); ``table``, the spreadsheet
``record``         what was found out about one submission, as a file
``report``         the report on a class: ``pages``, ``marks``, ``misconceptions``, ``tally``; ``feedback``, the students'
=================  =========================================================================================
"""
