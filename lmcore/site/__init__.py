"""The Sphinx extension behind the book's site, and the command that builds it (``python -m lmcore.site``).

==============  ===================================================================================
module          what it adds to a plain jupyter-book
==============  ===================================================================================
``execution``   a cache that knows the package, one progress line per page, failures that stay
``offline``     local mathematics and icons, no script that needs another host
``widgets``     moving figures without a kernel, and a refusal of those that would stay blank
``apart``       large data of figures in files beside the page, loaded when they are needed
``contract``    the measured rows at the top of a chapter
``solutions``   folded solutions on the exercise pages, read from the bank
``pages``       the cover, downloads, text alternatives
``access``      names and roles for screen readers
==============  ===================================================================================
"""

from typing import Any

from sphinx.application import Sphinx

from lmcore.site import access, apart, contract, execution, offline, pages, solutions, widgets


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx: ``extra_extensions: [lmcore.site]`` in ``_config.yml``."""
    for part in (execution, offline, widgets, apart, contract, solutions, pages, access):
        part.setup(app)
    return {"version": "1", "env_version": 1, "parallel_read_safe": False, "parallel_write_safe": True}
