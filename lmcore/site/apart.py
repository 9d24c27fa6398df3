"""Large data of figures leave the page: into classic scripts beside it, which ``host.js`` loads when a figure needs them.

A page holds the state of its figures in one script tag, and a browser reads all of it before the reader can do anything. So the
weights of a model go into files of their own. They are scripts and not plain data because a page opened from ``file://`` may
load scripts and nothing else. A file is named after its contents: two pages that show the same model share its files, and a
browser may keep them. The executed notebook in the cache keeps everything, so a build from the cache writes the same files.
"""

import copy
import hashlib
import json
from pathlib import Path
from typing import Any

from myst_nb.core.render import sanitize_script_content
from sphinx.application import Sphinx

from lmcore.site.widgets import STATE, states_of
from lmcore.widgets.base import VIEW_MIME

FOLDER = "_static/figures"
LARGE = 64 * 1024  # more bytes of one trait than this leave the page
PART = 512 * 1024  # characters of a script, a multiple of 4; several scripts let the reader see how far it is
KEPT = 1024 * 1024  # a figure with more bytes than this is not in the notebook that a reader downloads


def move_out(states: dict[str, Any], folder: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The states of figures without their large data, and the scripts that hold these.

    Args:
        states: model id → record, as in a page's widget state; it stays as it is.
        folder: the address of the scripts' folder, as seen from the page.

    Returns:
        The states, in which a large buffer has ``"encoding": "scripts"``, its size in ``bytes`` and the addresses of its
        ``scripts`` in order in place of its ``data``; and the scripts, file name → text.
    """
    left, files = copy.deepcopy(states), {}
    for record in left.values():
        for buffer in record.get("buffers", ()):
            if len(buffer["path"]) == 1 and (size := _size(buffer)) > LARGE:
                scripts = _scripts(buffer.pop("data"))
                files.update(scripts)
                buffer |= {"encoding": "scripts", "bytes": size, "scripts": [f"{folder}/{name}" for name in scripts]}
    return left, files


def lightened(notebook: dict[str, Any]) -> dict[str, Any]:
    """A notebook without its heaviest figures: where one stood, the sentence that says what it shows.

    Whoever opens the notebook gets the figure by running its cell.
    """
    light = copy.deepcopy(notebook)
    states = light.get("metadata", {}).get("widgets", {}).get(STATE, {}).get("state", {})
    heavy = [model for model, record in states.items() if sum(map(_size, record.get("buffers", ()))) > KEPT]
    for model in heavy:
        del states[model]
    for cell in light["cells"]:
        for output in cell.get("outputs", ()):
            if output.get("data", {}).get(VIEW_MIME, {}).get("model_id") in heavy:
                del output["data"][VIEW_MIME]
    return light


def _size(buffer: dict[str, Any]) -> int:
    """The bytes of a buffer in base64."""
    return len(buffer["data"]) // 4 * 3 - buffer["data"].count("=", -2)


def _scripts(data: str) -> dict[str, str]:
    """Base64 text as scripts: file name → text, in order. Each part is base64 by itself."""
    name = hashlib.sha256(data.encode()).hexdigest()[:16]
    parts = [data[start : start + PART] for start in range(0, len(data), PART)]
    named = {f"{name}-{number}.js": part for number, part in enumerate(parts)}
    return {file: f'(globalThis.lmApart ??= {{}})["{file}"] = "{part}";\n' for file, part in named.items()}


def write_apart(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    """Write the scripts of a page, and put the addresses in place of the data."""
    if doctree is None or app.builder.format != "html":
        return
    for place, file in enumerate(context["script_files"]):
        attributes = getattr(file, "attributes", {})
        if attributes.get("type") == STATE:
            state = json.loads(attributes["body"])
            state["state"], files = move_out(state["state"], context["pathto"](FOLDER, resource=True))
            for name, text in files.items():
                path = Path(app.outdir) / FOLDER / name
                if not path.is_file():
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_text(text, encoding="ascii", newline="\n")
            body = sanitize_script_content(json.dumps(state))
            context["script_files"][place] = type(file)(file.filename, priority=file.priority, **{**attributes, "body": body})


def forget_old(app: Sphinx, exception: Exception | None) -> None:
    """Delete the scripts of earlier builds that no page needs any more."""
    if exception or app.builder.format != "html":
        return
    needed = {name for page in app.env.found_docs for name in move_out(states_of(app, page), "")[1]}
    for path in (Path(app.outdir) / FOLDER).glob("*.js"):
        if path.name not in needed:
            path.unlink()


def setup(app: Sphinx) -> None:
    """Connect the above to Sphinx's events."""
    app.connect("html-page-context", write_apart, priority=600)  # myst-nb has put the state on the page
    app.connect("build-finished", forget_old, priority=910)
