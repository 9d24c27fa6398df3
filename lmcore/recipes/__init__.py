"""Recipes: training runs on real text that are too long for a page.

Each module is one run, started with ``python -m lmcore.recipes.NAME`` (``--help`` lists what can be set). It notes its numbers
with :class:`lmcore.ledger.Page`, as a chapter does, so that ``python -m lmcore.ledger record NAME --seeds 3`` keeps them over
several seeds and a chapter can show them with :meth:`lmcore.ledger.Page.recorded`. Sizes follow :func:`lmcore.device.scale`.
"""
