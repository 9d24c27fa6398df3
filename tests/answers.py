"""Functions as a student may write them."""


def raises(error):
    """A function of one argument that raises ``error``."""

    def function(x):
        raise error

    return function


def run_forever(*_):
    """Never returns."""
    while True:
        pass
