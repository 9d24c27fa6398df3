"""What a reader without JavaScript gets: every figure's sentence, in its place."""

import html
import json
import re
from collections.abc import Mapping
from typing import Any

from lmcore.widgets.base import VIEW_MIME

_VIEW = re.compile(rf'<script type="{re.escape(VIEW_MIME)}">(.*?)</script>', re.DOTALL)


def with_noscript(page: str, states: Mapping[str, Any]) -> str:
    """The HTML of a page, with a ``<noscript>`` after the view tag of every figure that says what the figure shows.

    A view whose state is missing or has no ``alt`` is left alone.

    Args:
        page: HTML with the view tags that myst-nb and nbconvert write.
        states: model id → record, as the page's ``application/vnd.jupyter.widget-state+json`` holds it under ``state``.
    """

    def add(match: re.Match[str]) -> str:
        record = states.get(json.loads(match[1])["model_id"], {})
        alt = record.get("state", {}).get("alt")
        if not alt:
            return match[0]
        sentence = html.escape(f"{alt} (The figure needs JavaScript.)")
        return f'{match[0]}<noscript><p class="lm-widget-noscript">{sentence}</p></noscript>'

    return _VIEW.sub(add, page)
