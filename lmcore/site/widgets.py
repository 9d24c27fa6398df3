"""Widgets on a page without a kernel: the host script, and the refusal of what it cannot show."""

import json
from pathlib import Path
from typing import Any

from myst_nb.sphinx_ import NbMetadataCollector
from sphinx.application import Sphinx
from sphinx.util import logging

HOST = Path(__file__).parents[1] / "widgets" / "host.js"
STATE = "application/vnd.jupyter.widget-state+json"
logger = logging.getLogger(__name__)


def use_host(app: Sphinx, config: Any) -> None:
    """On pages with widgets, load our host instead of require.js and html-manager from another machine."""
    if HOST.is_file():
        config.html_static_path.append(str(HOST))
    config.nb_ipywidgets_js = {HOST.name: {"defer": "defer"}}


def refuse_others(app: Sphinx, doctree: Any) -> None:
    """Warn, and so fail the build, when a page holds a widget that our host does not show.

    A plain ipywidget is drawn by no one on a page without a kernel, silently; only anywidgets bring their own code.
    """
    for _, attributes in NbMetadataCollector.get_js_files(app.env, app.env.docname).values():
        if attributes.get("type") == STATE:
            for name in unsupported(json.loads(attributes["body"])["state"]):
                logger.warning(
                    "a cell made the widget %s, which stays blank on a page without a kernel; use an anywidget",
                    name,
                    location=app.env.docname,
                    type="lmcore",
                    subtype="widget",
                )


def unsupported(state: dict[str, Any]) -> list[str]:
    """Names of the models in a page's widget state that are neither anywidgets nor their layout."""
    return sorted(
        {
            f"{model['model_module']}.{model['model_name']}"
            for model in state.values()
            if model["model_module"] != "anywidget" and model["model_name"] != "LayoutModel"
        }
    )


def setup(app: Sphinx) -> None:
    """Connect the above to Sphinx's events."""
    app.connect("config-inited", use_host, priority=900)
    app.connect("doctree-read", refuse_others)
