"""Chromium without a network, and pages that hold figures as a built chapter holds them.

``chromium()`` is one browser for the whole run (two would each need a Playwright loop, which one thread cannot run).
``build`` writes widgets into a page with the script tags that myst-nb and nbconvert write; ``opened`` opens a page with every
request to a host refused and counted, and collects what the page logs.
"""

import atexit
import functools
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ipywidgets
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from lmcore.widgets import HOST
from lmcore.widgets.base import VIEW_MIME, Figure
from lmcore.widgets.fallback import with_noscript
from tests.system import NEEDED

STATE_MIME = "application/vnd.jupyter.widget-state+json"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE localhost , EXCLUDE 127.0.0.1",
]


@functools.cache
def chromium() -> Browser:
    """The system's Chromium, started once; the test is skipped with a reason where there is none."""
    program = next(filter(None, map(shutil.which, NEEDED["chromium"])), None)
    if program is None:
        pytest.skip("no Chromium on the PATH; `make test` installs it or names the package")
    playwright = sync_playwright().start()
    browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
    atexit.register(playwright.stop)
    atexit.register(browser.close)  # runs before the line above
    return browser


def script(mime: str, data: Any) -> str:
    """A script tag that holds data."""
    body = json.dumps(data).replace("<", "\\u003c")  # no text of ours may end the tag
    return f'<script type="{mime}">{body}</script>'


def build(folder: Path, *widgets: Figure, theme: str = "light") -> Path:
    """Write a page with these figures, in this order (one may come twice), into ``folder``; the path of the page."""
    state = ipywidgets.Widget.get_manager_state(drop_defaults=False)
    wanted = {w.model_id for w in widgets} | {w.layout.model_id for w in widgets}
    state["state"] = {key: value for key, value in state["state"].items() if key in wanted}
    views = "".join(
        f'<div class="cell_output">{script(VIEW_MIME, {"version_major": 2, "model_id": w.model_id})}</div>\n' for w in widgets
    )
    views = with_noscript(views, state["state"])
    back = "#fff" if theme == "light" else "#14181e"
    (folder / HOST.name).write_text(HOST.read_text("utf-8"), "utf-8")
    page = folder / "page.html"
    page.write_text(
        f"""<!doctype html><html lang="en" data-theme="{theme}"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>Figures</title><link rel="icon" href="data:,">
<style>body {{ margin: 0; padding: 8px; background: {back}; }} main {{ max-width: 46rem; margin: auto; }}</style>
<script src="{HOST.name}" defer></script></head><body><main><h1 style="font-size: 1px">Figures</h1>
{views}</main>{script(STATE_MIME, state)}</body></html>""",
        "utf-8",
    )
    return page


@dataclass
class Opened:
    """An open page with what it logged and what it asked other hosts for."""

    page: Page
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def clean(self) -> None:
        """Assert that nothing went wrong and nobody was called."""
        assert self.errors == []
        assert self.requests == []


@contextmanager
def opened(address: str | Path, width: int = 900, height: int = 900, ready: bool = True, **options: Any) -> Iterator[Opened]:
    """Open a page with the network blocked; waits until its figures are there."""
    url = address.as_uri() if isinstance(address, Path) else address
    context = chromium().new_context(viewport={"width": width, "height": height}, **options)
    found = Opened(context.new_page())

    def refuse(route: Any) -> None:
        found.requests.append(route.request.url)
        route.abort()

    context.route(lambda u: u.startswith(("http", "ws")) and "//localhost" not in u and "//127.0.0.1" not in u, refuse)
    found.page.on("console", lambda m: found.errors.append(m.text) if m.type in ("error", "warning") else None)
    found.page.on("pageerror", lambda e: found.errors.append(str(e)))
    try:
        found.page.goto(url)
        if ready:
            found.page.wait_for_function("document.documentElement.dataset.lmWidgets === 'ready'")
        yield found
    finally:
        context.close()
