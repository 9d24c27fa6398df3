"""The site: seconds to build it cold and warm, the weight of each page, and the time until its figures answer.

The package and the book are copied, so that the build in the checkout is left alone.
"""

import gzip
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).parents[2]
BOOK = ("lmcore", "exercises", "chapters", "_config.yml", "_toc.yml")
VIEWPORT = {"width": 1280, "height": 900}


def build(folder: Path) -> float:
    """Seconds of one build; leaves the site in ``folder/_build/html``."""
    start = time.perf_counter()
    env = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run(
        [sys.executable, "-m", "lmcore.site"], cwd=folder, env=env, text=True, capture_output=True, check=False
    )
    if done.returncode:
        sys.exit(f"the book does not build:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return time.perf_counter() - start


def opened(site: Path, pages: list[Path], repeats: int = 3) -> dict[Path, tuple[int, int, float]]:
    """For each page: compressed bytes, of itself and of all it loads, and the median milliseconds until its figures answer."""
    from tests.book.pages import chromium

    found = {}
    for page in pages:
        times, loaded = [], set()
        for _ in range(repeats):
            context = chromium().new_context(viewport=VIEWPORT)
            view = context.new_page()
            view.on("request", lambda request, seen=loaded: seen.add(request.url))
            start = time.perf_counter()
            view.goto(page.as_uri())
            view.wait_for_function(READY)
            times.append(1000 * (time.perf_counter() - start))
            view.wait_for_load_state("networkidle")
            context.close()
        files = {Path(unquote(urlsplit(url).path)) for url in loaded if url.startswith("file:")}
        found[page] = (compressed(page), sum(map(compressed, files)), median(times))
    return found


READY = """!document.querySelector('script[src*="host.js"]') || document.documentElement.dataset.lmWidgets === 'ready'"""


def compressed(path: Path) -> int:
    """Bytes of a file as a server sends it: text compressed, fonts and pictures as they are."""
    raw = path.read_bytes()
    return len(raw) if re.fullmatch(r"\.(woff2?|png|jpe?g|ico)", path.suffix) else len(gzip.compress(raw, 6))


def main() -> None:
    """Print seconds, kilobytes and milliseconds."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in BOOK:
            copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
            copy(ROOT / part, folder / part)
        cold = build(folder)
        print(f"build from nothing          {cold:8.1f} s")
        print(f"nothing changed             {build(folder):8.1f} s")
        style = folder / "lmcore/assets/static/book.css"
        style.write_text(style.read_text(encoding="utf-8") + "\n", encoding="utf-8")
        print(f"every page, outputs cached  {build(folder):8.1f} s")
        site = folder / "_build" / "html"
        pages = sorted(p for p in site.rglob("*.html") if p.name != "index.html" or p.parent.name == "chapters")
        print(f"\n{'page':45} {'page':>9} {'with all':>9}  {'figures answer':>14}")
        for page, (own, everything, milliseconds) in opened(site, pages).items():
            label = page.relative_to(site).as_posix()
            print(f"{label:45} {own / 1000:6.0f} kB {everything / 1000:6.0f} kB  {milliseconds:11.0f} ms")


if __name__ == "__main__":
    main()
