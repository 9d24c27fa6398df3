"""What makes an exercise one that can be trusted.

============  ==============================================================================================
``exercise``  an exercise: reference, right and wrong answers, cases
``source``    the source of an answer with everything it needs
``mutants``   small changes of the reference that the cases must notice
``notebook``  the student's notebook agrees with the bank and gives nothing away
``validate``  the proof of all this, over many seeds; ``published``, its table
``pack``      what a class is handed: notebooks and data, without any answer
============  ==============================================================================================
"""
