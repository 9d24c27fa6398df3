"""Widgets on a page without a kernel: the host script, and the refusal of what it cannot show."""

import json
from pathlib import Path
from typing import Any

from myst_nb.sphinx_ import NbMetadataCollector
from sphinx.application import Sphinx
from sphinx.util import logging

from lmcore.widgets.fallback import with_noscript

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
    for name in unsupported(states_of(app, app.env.docname)):
        logger.warning(
            "a cell made the widget %s, which stays blank on a page without a kernel; use an anywidget",
            name,
            location=app.env.docname,
            type="lmcore",
            subtype="widget",
        )


def add_sentences(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    """Give readers without JavaScript the sentence of every figure, in the figure's place."""
    if doctree is not None and (states := states_of(app, pagename)):
        context["body"] = with_noscript(context["body"], states)


def states_of(app: Sphinx, page: str) -> dict[str, Any]:
    """The state of every widget model on a page: model id → record."""
    scripts = [attributes for _, attributes in NbMetadataCollector.get_js_files(app.env, page).values()]
    return {
        model: record
        for script in scripts
        if script.get("type") == STATE
        for model, record in json.loads(script["body"])["state"].items()
    }


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
    app.connect("html-page-context", add_sentences)
