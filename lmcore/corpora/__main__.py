"""``python -m lmcore.corpora``."""

import sys

from lmcore.corpora import main

if __name__ == "__main__":
    sys.exit(main())
