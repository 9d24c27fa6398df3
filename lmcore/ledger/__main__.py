"""``python -m lmcore.ledger``."""

import sys

from lmcore.ledger import main

if __name__ == "__main__":
    sys.exit(main())
