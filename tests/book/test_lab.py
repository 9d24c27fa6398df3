"""JupyterLab as ``make lab`` starts it: a double click opens a chapter, it runs, and its figure talks to Python."""

import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from playwright.sync_api import Page, expect

from tests.book.contents import CHAPTERS, ROOT
from tests.book.pages import opened

pytestmark = [pytest.mark.book, pytest.mark.browser, pytest.mark.timeout(900)]
RUN = 240_000  # milliseconds for all cells of a chapter at smoke scale on a busy machine


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def settings() -> str:
    """The folder in which the command of ``make lab`` lets JupyterLab find the book's settings."""
    lines = subprocess.run(["make", "-n", "lab"], cwd=ROOT, text=True, capture_output=True, check=True).stdout
    (folder,) = re.findall(r'JUPYTER_CONFIG_PATH="([^"]+)" \S+jupyter lab', lines)
    return folder


class Lab:
    """A running JupyterLab with empty settings of its own, on copies of the chapters."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.token = secrets.token_hex(16)
        self.port = free_port()
        self.clients: dict[Path, BlockingKernelClient] = {}
        for name in ("chapters", "exercises"):
            shutil.copytree(ROOT / name, folder / "book" / name, ignore=shutil.ignore_patterns("__pycache__"))
        own = {f"JUPYTER_{kind}_DIR": str(folder / kind.lower()) for kind in ("CONFIG", "DATA", "RUNTIME")}
        own |= {f"JUPYTERLAB_{kind}_DIR": str(folder / kind.lower()) for kind in ("SETTINGS", "WORKSPACES")}
        own |= {"IPYTHONDIR": str(folder / "ipython"), "JUPYTER_PLATFORM_DIRS": "1"}
        env = {**os.environ, **own, "JUPYTER_CONFIG_PATH": settings(), "LMCORE_SCALE": "smoke", "LMCORE_DEVICE": "cpu"}
        self.log = (folder / "log").open("w", encoding="utf-8")
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root", "--ServerApp.port_retries=0"),
                *(f"--ServerApp.port={self.port}", f"--IdentityProvider.token={self.token}"),
                *(f"--ServerApp.root_dir={folder / 'book'}", "--ServerApp.ip=127.0.0.1"),
            ],
            env=env,
            stdout=self.log,
            stderr=subprocess.STDOUT,
        )

    def address(self, path: str) -> str:
        """The address at which JupyterLab shows a file or folder."""
        return f"http://127.0.0.1:{self.port}/lab/tree/{path}?token={self.token}&reset"

    def wait(self, seconds: float = 90) -> None:
        """Wait until the server answers."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.process.poll() is None:
            if "is running at" in (self.folder / "log").read_text(encoding="utf-8"):
                return
            time.sleep(0.3)
        pytest.fail(f"JupyterLab did not start:\n{(self.folder / 'log').read_text(encoding='utf-8')}")

    def ask_kernel(self, code: str) -> Any:
        """Run code that prints JSON in the kernel started last."""
        printed: list[str] = []

        def keep(message: dict[str, Any]) -> None:
            if message["msg_type"] == "stream" and message["content"]["name"] == "stdout":
                printed.append(message["content"]["text"])

        self.client().execute_interactive(code, store_history=False, output_hook=keep, timeout=60)
        return json.loads("".join(printed))

    def client(self) -> BlockingKernelClient:
        """A client of the kernel started last: one for each kernel, since every client holds sockets until the process ends."""
        connection = max((self.folder / "runtime").glob("kernel-*.json"), key=lambda p: p.stat().st_mtime)
        if connection not in self.clients:
            client = BlockingKernelClient(connection_file=str(connection))
            client.load_connection_file()
            client.start_channels()
            self.clients[connection] = client
        return self.clients[connection]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    started = Lab(tmp_path_factory.mktemp("lab"))
    try:
        started.wait()
        yield started
    finally:
        for client in started.clients.values():
            client.stop_channels()
        started.process.terminate()
        started.process.wait(30)
        started.log.close()


STATE = """
import anywidget, json
from ipywidgets.widgets.widget import _instances
print(json.dumps([{k: v for k, v in w.get_state().items() if isinstance(v, (str, int, float, list)) and k[0] != "_"}
                  for w in _instances.values() if isinstance(w, anywidget.AnyWidget)], default=str))
"""


def run_all(page: Page) -> None:
    """Run every cell and wait for the last."""
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    last = page.locator(".jp-Notebook .jp-CodeCell").last
    expect(last.locator(".jp-InputArea-prompt")).to_have_text(re.compile(r"\[\d+\]:"), timeout=RUN)


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_opens_as_a_notebook_and_runs(lab: Lab, chapter: str) -> None:
    folder, name = chapter.split("/")
    with opened(lab.address(folder), width=1500, height=1000, ready=False) as view:
        page = view.page
        page.locator(".jp-DirListing-item", has_text=f"{name}.md").dblclick(timeout=90_000)
        page.locator(".jp-Notebook .jp-CodeCell").first.wait_for(timeout=60_000)
        expect(page.locator(".jp-Notebook aside.myst-admonition, .jp-Notebook .myst-admonition").first).to_be_visible(
            timeout=30_000
        )
        expect(page.get_by_text(re.compile(r"^Kernel status: Idle|\| Idle$")).first).to_be_visible(timeout=60_000)
        assert page.locator(".jp-Dialog").count() == 0
        run_all(page)

        assert page.locator("[data-mime-type='application/vnd.jupyter.error']").all_inner_texts() == []
        assert page.locator("[data-mime-type='application/vnd.jupyter.stderr']").all_inner_texts() == []

        figure = page.locator(".lmw").first
        figure.scroll_into_view_if_needed(timeout=30_000)
        before = lab.ask_kernel(STATE)
        assert before, "the chapter made a figure"
        use(page, figure)
        end = time.monotonic() + 30
        while lab.ask_kernel(STATE) == before:
            assert time.monotonic() < end, "a change in the figure did not reach Python"
            time.sleep(0.3)
        if "FillBlank(" in (ROOT / f"{chapter}.md").read_text(encoding="utf-8"):
            compare_blanks(page, lab)
        if "NextTokens(" in (ROOT / f"{chapter}.md").read_text(encoding="utf-8"):
            compare_next_tokens(page, lab)
        assert view.requests == [], "JupyterLab asked another host"


def use(page: Page, figure: Any) -> None:
    """Change something in a figure, whatever controls it has."""
    for kind, act in (
        (
            "input[type=range]",
            lambda control: control.press("ArrowLeft" if control.evaluate("(c) => c.value === c.max") else "ArrowRight"),
        ),
        (
            "select",
            lambda control: control.select_option(index=control.evaluate("(s) => (s.selectedIndex + 1) % s.options.length")),
        ),
        ("input[type=radio]:not(:checked):enabled", lambda control: control.check(force=True)),
        ("button[aria-pressed=false]:enabled", lambda control: control.click()),
    ):
        control = figure.locator(kind).first
        if control.count():
            act(control)
            return
    pytest.fail("the figure has no control that this test knows")


BLANKS = """
import json
from ipywidgets.widgets.widget import _instances
from lmcore.widgets import FillBlank
widget = next(w for w in _instances.values() if isinstance(w, FillBlank))
print(json.dumps([widget.text, widget.fill()]))
"""


def compare_blanks(page: Page, lab: Lab) -> None:
    """The model that runs in the page, with the weights from the kernel, expects what it expects in Python."""
    figure = page.locator(".lmw-fill").first
    figure.scroll_into_view_if_needed(timeout=30_000)
    text, blanks = lab.ask_kernel(BLANKS)
    expect(figure.locator(".lmw-answers")).to_have_attribute("data-text", text, timeout=30_000)
    shown = figure.evaluate(
        """(f) => [...f.querySelectorAll('.lmw-answer')].map((a) => Object.fromEntries(
            [...a.querySelectorAll('tbody tr')].map((row) => [row.dataset.word, +row.dataset.p])))"""
    )
    assert shown == [pytest.approx(blank, abs=1e-5) for blank in blanks]


NEXT = """
import json
from ipywidgets.widgets.widget import _instances
from lmcore.widgets import NextTokens
widget = next(w for w in _instances.values() if isinstance(w, NextTokens))
print(json.dumps([[widget.chosen, widget.text, widget.taken], widget.next()]))
"""


def compare_next_tokens(page: Page, lab: Lab) -> None:
    """The same for the language models: in the page they expect what they expect in Python."""
    figure = page.locator(".lmw-next").first
    figure.scroll_into_view_if_needed(timeout=30_000)
    state, wanted = lab.ask_kernel(NEXT)
    key = json.dumps(state, ensure_ascii=False, separators=(",", ":"))
    expect(figure.locator(".lmw-answer")).to_have_attribute("data-key", key, timeout=30_000)
    rows = "(f) => [...f.querySelectorAll('tbody tr:not([hidden])')].map((row) => [row.dataset.token, +row.dataset.p])"
    assert dict(figure.evaluate(rows)) == pytest.approx(wanted, abs=1e-5)


def test_no_news_no_updates_no_extension_manager(lab: Lab) -> None:
    with opened(lab.address("chapters"), width=1500, ready=False) as view:
        page = view.page
        page.locator(".jp-DirListing-item").first.wait_for(timeout=90_000)
        page.wait_for_timeout(3000)
        assert page.locator(".Toastify__toast, .jp-Dialog").count() == 0
        assert page.locator("[data-id='extensionmanager.main-view']").count() == 0
        assert view.requests == []
