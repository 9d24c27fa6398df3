"""Characters of Shakespeare's plays with two parts of Llama's generation: rotary positions, normalised queries and keys.

Otherwise the model, the training, the text and the measure are those of :mod:`lmcore.recipes.shakespeare`, at the same sizes::

    python -m lmcore.ledger record shakespeare_rotary --seeds 3 --scale small --device cpu
"""

from collections.abc import Sequence
from dataclasses import replace

from lmcore.recipes import shakespeare

SIZES = {name: replace(sizes, positions="rotary", qk_norm=True) for name, sizes in shakespeare.SIZES.items()}


def main(argv: Sequence[str] | None = None) -> None:
    """Characters of Shakespeare's plays, predicted by a GPT with rotary positions and normalised queries and keys."""
    shakespeare.start("shakespeare_rotary", SIZES, argv, str(main.__doc__))


if __name__ == "__main__":
    main()
