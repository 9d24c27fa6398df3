"""Folded solutions on the exercise pages, read from the bank when the page is built.

An exercise page is a student's notebook and holds no answer. Here each cell with the metadata ``exercise: NAME`` is matched
with the exercise of that name in the chapter's bank, and the source of its reference is put behind a fold at the end of the
exercise. The notebook offered for download is the student's.
"""

import importlib
import inspect
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)


class Fold(nodes.Element):
    """A part of a page that opens on a click: ``<details>``, with a sentence as its summary."""


def open_fold(writer: Any, node: Fold) -> None:
    """Write the start of a fold as HTML."""
    writer.body.append(f'<details class="lm-fold"><summary>{writer.encode(node["summary"])}</summary>\n')


def close_fold(writer: Any, node: Fold) -> None:
    """Write the end of a fold as HTML."""
    writer.body.append("</details>\n")


def append_solutions(app: Sphinx, doctree: nodes.document) -> None:
    """Append the folded solution to each exercise of the page; warn about a cell whose exercise no bank knows."""
    stubs = {name: cell for cell in doctree.findall(nodes.container) if (name := cell.get("cell_metadata", {}).get("exercise"))}
    if not stubs:
        return
    # By name, so that the package does not import the exercises that import it.
    exercises = importlib.import_module(app.config.lmcore_exercises)
    for name, cell in stubs.items():
        try:
            exercise, source = exercises.get(name), exercises.solution(name)
        except ValueError as error:
            logger.warning("%s", error, location=app.env.docname, type="lmcore", subtype="solution")
            continue
        app.env.note_dependency(str(inspect.getsourcefile(exercise.reference)))
        section = _section(cell)
        _mark_facts(section, exercise.facts)
        fold = Fold("", summary=f"Solution: {name}")
        fold += nodes.literal_block(source, source, language="python")
        section += fold


def _section(node: nodes.Node) -> nodes.Element:
    """The section that holds a cell."""
    while not isinstance(node, nodes.section | nodes.document):
        node = node.parent
    return node


def _mark_facts(section: nodes.Element, facts: str) -> None:
    """Set the line with minutes and difficulty apart from the text."""
    for paragraph in section.findall(nodes.paragraph):
        if paragraph.astext() == facts.strip("*"):
            paragraph["classes"].append("lm-effort")


def setup(app: Sphinx) -> None:
    """Connect the above to Sphinx's events."""
    app.add_config_value("lmcore_exercises", "exercises", "env")
    app.add_node(Fold, html=(open_fold, close_fold))
    app.connect("doctree-read", append_solutions)
