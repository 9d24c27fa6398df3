"""The modules of figures by themselves in Chromium: a page that holds what they export as `lm`."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page

from lmcore.widgets.base import join
from tests.book.pages import opened


@contextmanager
def module_page(folder: Path, module: str, names: str) -> Iterator[Page]:
    """A page with these names of a figure's own module as `lm`, and `view(base64)`, the bytes as a figure gets them."""
    source = join(module).replace("export default", f"export {{ {', '.join(names.split())} }};\nexport default")
    page = folder / "page.html"
    page.write_text("<!doctype html><title>Module</title>", "utf-8")
    with opened(page, ready=False) as it:
        it.page.evaluate(
            """async (source) => {
              globalThis.lm = await import(URL.createObjectURL(new Blob([source], {type: "text/javascript"})));
              globalThis.view = (text) => new DataView(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
              globalThis.f32 = (list) => Float32Array.from(list);
            }""",
            source,
        )
        yield it.page
        it.clean()


def sent(data: bytes) -> str:
    """Bytes as `view` takes them."""
    return base64.b64encode(data).decode()
