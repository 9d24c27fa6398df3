"""Names and roles that the theme and docutils leave out, so that the pages can be used with a screen reader."""

from typing import Any

from docutils import nodes
from docutils.writers._html_base import HTMLTranslator
from sphinx.application import Sphinx


def name_the_toggles(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    """Give the arrows in the sidebar a name; the theme draws them without one."""
    plain = context["generate_toctree_html"]
    context["generate_toctree_html"] = lambda *args, **options: str(plain(*args, **options)).replace(
        "<summary>", '<summary aria-label="Pages of this chapter">'
    )


def open_citation(writer: Any, node: nodes.citation) -> None:
    """An entry of the bibliography is an item of its list; docutils' role for it is withdrawn from ARIA."""
    HTMLTranslator.visit_citation(writer, node)
    writer.body[-1] = writer.body[-1].replace('role="doc-biblioentry"', 'role="listitem"')


def close_citation(writer: Any, node: nodes.citation) -> None:
    """The end of an entry, as docutils writes it."""
    HTMLTranslator.depart_citation(writer, node)


def setup(app: Sphinx) -> None:
    """Connect the above to Sphinx."""
    app.connect("html-page-context", name_the_toggles, priority=900)
    app.add_node(nodes.citation, override=True, html=(open_citation, close_citation))
