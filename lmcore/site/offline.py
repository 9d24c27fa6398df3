"""What makes the site work without a network, over http and from file://.

MathJax comes from the PyPI package sphinx-mathjax-offline; the theme's icon script (1.5 MB for fourteen icons) is replaced by
a style sheet; scripts that could only talk to other hosts are taken off the page.
"""

import importlib.metadata
import re
import shutil
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

ASSETS = Path(__file__).parents[1] / "assets"
MATHJAX = "tex-chtml.js"
# tex-chtml.js contains the usual macros; these folders hold what it fetches when a formula or the reader asks for it.
MATHJAX_PARTS = ("output/chtml/fonts/woff-v2", "input/tex/extensions")
# The theme's icon font and the rule of each of its signs: a third of the style sheet.
ICON_FONT = re.compile(r"@font-face\{[^}]*Font Awesome[^}]*\}|\.fa-[^{}]*:before\{content:\"[^\"]*\"\}")
LEAD_IN = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="refresh" content="0; url={cover}">
<link rel="icon" href="_static/favicon.svg">
<title>{title}</title>
</head>
<body><main><h1>{title}</h1><p><a href="{cover}">Open the book</a></p></main></body>
</html>
"""
UNUSED = (
    "scripts/fontawesome.js*",
    "scripts/*.map",
    "styles/*.map",
    "vendor",
    "locales",
    "images/logo_*",
    "sphinx-thebe.*",
    "webpack-macros.html",
    "sbt-webpack-macros.html",
)


def configure(app: Sphinx, config: Any) -> None:
    """Add the book's style sheets, script and templates, and name the local MathJax."""
    config.html_static_path.append(str(ASSETS / "static"))
    config.templates_path.insert(0, str(ASSETS / "templates"))
    config.mathjax_path = f"mathjax/{MATHJAX}"
    # The summary under a search result is fetched, which browsers forbid on file://; book.js asks for it over http.
    config.html_show_search_summary = False


def add_assets(app: Sphinx) -> None:
    """Put the style sheets and the script on every page, after the theme's own."""
    for name in ("icons.css", "book.css"):
        app.add_css_file(name, priority=900)
    app.add_js_file("book.js", defer="defer")


def copy_mathjax(app: Sphinx) -> None:
    """Copy the files of MathJax that a page can load.

    Raises:
        ExtensionError: the package sphinx-mathjax-offline is not installed.
    """
    if app.builder.format != "html":
        return
    try:
        files = importlib.metadata.distribution("sphinx-mathjax-offline").locate_file("sphinx-mathjax-offline/static/mathjax")
    except importlib.metadata.PackageNotFoundError:
        raise ExtensionError("MathJax is missing: pip install sphinx-mathjax-offline") from None
    source, target = Path(str(files)), Path(app.outdir) / "_static" / "mathjax"
    for part in MATHJAX_PARTS:
        shutil.copytree(source / part, target / part, dirs_exist_ok=True)
    shutil.copy2(source / MATHJAX, target / MATHJAX)


def drop_dead_scripts(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    """Take off the page what it cannot use: sphinx-thebe everywhere, MathJax where there is no formula.

    sphinx-thebe is always on in jupyter-book 1, declares the same constant twice and wants a server.
    """
    unused = ["thebe"] if 'class="math' in context.get("body", "") else ["thebe", "mathjax"]
    for kind in ("script_files", "css_files"):
        context[kind] = [file for file in context.get(kind, []) if not any(word in _text(file) for word in unused)]


def _text(file: Any) -> str:
    """Name and body of a script or style sheet, in small letters."""
    return f"{getattr(file, 'filename', file)} {(getattr(file, 'attributes', None) or {}).get('body', '')}".lower()


def prune(app: Sphinx, exception: Exception | None) -> None:
    """Delete what no page refers to, and write the page that leads from the folder to the cover."""
    if exception or app.builder.format != "html":
        return
    static = Path(app.outdir) / "_static"
    for pattern in UNUSED:
        for path in static.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    pages = {*app.env.found_docs, "index", "genindex", "search"}
    for path in Path(app.outdir).rglob("*.html"):
        name = path.relative_to(app.outdir).with_suffix("").as_posix()
        if not name.startswith("_") and name not in pages:
            path.unlink()  # a page that has left the book
    theme = static / "styles" / "pydata-sphinx-theme.css"
    theme.write_text(ICON_FONT.sub("", theme.read_text(encoding="utf-8")), encoding="utf-8")
    cover = f"{app.config.root_doc}.html"
    if cover != "index.html":
        page = LEAD_IN.format(title=app.config.html_title, cover=cover)
        (Path(app.outdir) / "index.html").write_text(page, encoding="utf-8")


def setup(app: Sphinx) -> None:
    """Connect the above to Sphinx's events."""
    app.connect("config-inited", configure, priority=900)
    app.connect("builder-inited", add_assets)
    app.connect("builder-inited", copy_mathjax)
    app.connect("html-page-context", drop_dead_scripts, priority=900)
    app.connect("build-finished", prune, priority=900)
