"""The built site, once for all tests of this folder."""

import functools
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from filelock import FileLock

from tests.book.contents import ROOT


@pytest.fixture(scope="session")
def site() -> Path:
    """The folder of the built site, brought up to date first (seconds when nothing has changed).

    ``LMCORE_SITE`` names a folder to test as it is, such as the copy that was published.
    """
    if given := os.environ.get("LMCORE_SITE"):
        return Path(given)
    env = {k: v for k, v in os.environ.items() if k not in ("LMCORE_SCALE", "LMCORE_SEED")}
    built = ROOT / "_build" / ".tested"
    built.parent.mkdir(exist_ok=True)
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", "")
    with FileLock(f"{built}.lock"):  # of several processes one builds; the others must not, while that one reads the pages
        if not run or not built.exists() or built.read_text(encoding="utf-8") != run:
            done = subprocess.run(
                [sys.executable, "-m", "lmcore.site"],
                cwd=ROOT,
                env=env,
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                check=False,
            )
            assert done.returncode == 0, f"the book does not build:\n{done.stdout}"
            built.write_text(run, encoding="utf-8")
    return ROOT / "_build" / "html"


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="session")
def served(site: Path) -> Iterator[str]:
    """The address of the site over http, without a final slash."""
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(site))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
