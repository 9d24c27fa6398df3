"""``python -m lmcore.site [FOLDER]``: build the book in FOLDER (default: here) to ``FOLDER/_build/html``.

The same as ``jupyter-book build FOLDER -W -n --keep-going -q``: every warning is shown, and any warning fails the build.
"""

import sys
import warnings

from jupyter_book.cli.main import main

if __name__ == "__main__":
    # sphinx-external-toc asks every live object for its class, and torch has one that warns when asked.
    warnings.filterwarnings("ignore", category=FutureWarning, module="sphinx_external_toc")
    try:
        main(["build", *(sys.argv[1:] or ["."]), "-W", "-n", "--keep-going", "-q"], prog_name="jupyter-book")
    except RuntimeError as error:  # jupyter-book's wrapper around what was printed above; its own traceback says nothing more
        sys.exit(str(error))
