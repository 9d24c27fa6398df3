"""``python -m lmcore.site [FOLDER]``: build the book in FOLDER (default: here) to ``FOLDER/_build/html``.

The same as ``jupyter-book build FOLDER -W -n --keep-going -q``: every warning is shown, and any warning fails the build.
"""

import sys

from jupyter_book.cli.main import main

if __name__ == "__main__":
    try:
        main(["build", *(sys.argv[1:] or ["."]), "-W", "-n", "--keep-going", "-q"], prog_name="jupyter-book")
    except RuntimeError as error:  # jupyter-book's wrapper around what was printed above; its own traceback says nothing more
        sys.exit(str(error))
