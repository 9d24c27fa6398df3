"""What a page offers besides its text: the cover's drawing, the notebook to download, and a sentence for each picture."""

import json
import re
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

from lmcore.site.apart import lightened
from lmcore.site.cover import drawing
from lmcore.site.execution import executed_notebook

PATH_LIKE = re.compile(r"[\w./\\-]*[/\\][\w./\\-]*|[\w-]+\.(png|svg|jpe?g|gif|webp)", re.IGNORECASE)
QUESTION = re.compile(r"think\W+pair\W+share", re.IGNORECASE)
logger = logging.getLogger(__name__)


def draw_cover(app: Sphinx, doctree: nodes.document) -> None:
    """Put the cover's drawing under the title of the first page, in the page itself so that it follows light and dark."""
    if app.env.docname == app.config.root_doc:
        title = next(iter(doctree.findall(nodes.title)), None)
        if title is not None:
            title.parent.insert(title.parent.index(title) + 1, nodes.raw("", drawing(), format="html"))


def offer_notebook(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    """Put the executed notebook beside the page's source, for the download button.

    The page's source is a text notebook; this one opens with its outputs in any Jupyter, but for figures of several megabytes.
    """
    notebook = executed_notebook(app, pagename)
    if doctree is not None and "kernelspec" in app.env.metadata.get(pagename, {}) and notebook.is_file():
        target = Path(app.outdir) / "_sources" / f"{pagename}.ipynb"
        target.parent.mkdir(parents=True, exist_ok=True)
        light = lightened(json.loads(notebook.read_text(encoding="utf-8")))
        target.write_text(json.dumps(light, indent=1, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n")
        context["ipynb_source"] = f"{pagename}.ipynb"


def mark_questions(app: Sphinx, doctree: nodes.document) -> None:
    """Give every think–pair–share box the class that sets it apart, whatever its author called it."""
    for box in doctree.findall(nodes.admonition):
        if QUESTION.match(box[0].astext()):
            box["classes"] = [*(name for name in box["classes"] if name != "tip"), "think-pair-share"]


def ask_for_alternatives(app: Sphinx, doctree: nodes.document) -> None:
    """Warn about a picture without a sentence for readers who cannot see it; by default its alternative is a file's path."""
    for image in doctree.findall(nodes.image):
        alternative = str(image.get("alt", "")).strip()
        if not alternative or PATH_LIKE.fullmatch(alternative):
            logger.warning(
                "a picture has no alternative text; say in the cell what it shows: "
                "'mystnb: {image: {alt: …}}', or in Markdown ![…](path)",
                location=image if image.line else app.env.docname,
                type="lmcore",
                subtype="alternative",
            )


def setup(app: Sphinx) -> None:
    """Connect the above to Sphinx's events."""
    app.connect("doctree-read", draw_cover)
    app.connect("doctree-read", mark_questions)
    app.connect("doctree-read", ask_for_alternatives)
    app.connect("html-page-context", offer_notebook, priority=400)
