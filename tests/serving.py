"""A server on this machine for the tests of downloads, which breaks on request.

It serves small files written here, and the real ones where ``LMCORE_DATA`` names a folder that has them.
"""

import contextlib
import gzip
import hashlib
import io
import os
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lmcore.corpora import about, sources

DATA = Path(os.environ.get("LMCORE_DATA") or "/nowhere")


DOWNLOADED = [name for name, source in sources.SOURCES.items() if source.files]


ALL_FILES = {file.path: file for name in DOWNLOADED for file in sources.SOURCES[name].files}


def _zip(**members: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in members.items():
            archive.writestr(name.replace("__", "/").replace("_dot_", "."), text)
    return buffer.getvalue()


def _small_files() -> dict[str, bytes]:
    """For every pinned path a small file of the same format."""
    pairs = [(f"The cat has {n} hats.", f"De kat heeft {n} hoeden.") for n in range(200)]
    pairs += [
        ("The cat has 7 hats!", "De poes heeft zeven hoeden."),
        ("Seven hats has the cat.", "De poes heeft zeven hoeden."),
    ]
    tagged = "Our\tO\nNew\tB-location\nTown\tI-location\n{gap}\nhi\tO\n\n"
    files = {
        "tiny_shakespeare/input.txt": "MARY:\nThe café is shut.\n".encode() * 40,
        "tatoeba_nl_en/nld-eng.zip": _zip(nld_dot_txt="".join(f"{a}\t{b}\tCC-BY 2.0\n" for a, b in pairs)),
        "wnut17/wnut17train.conll": tagged.format(gap="\t").encode(),
        "wnut17/emerging.dev.conll": tagged.format(gap="").encode(),
        "wnut17/emerging.test.annotated": tagged.format(gap="").encode(),
        "rt_polarity/sentence_polarity.zip": _zip(
            **{
                "sentence_polarity__rt-polarity_dot_neg": "".join(f"film {n} is a bore . \n" for n in range(60)),
                "sentence_polarity__rt-polarity_dot_pos": "".join(f"film {n} \x97 what fun ! \n" for n in range(60)),
            }
        ),
    }
    numbers = np.random.default_rng(5)
    parts = {"train": 24, "test": 7}
    pictures = {f"x_{part}": numbers.integers(0, 256, (n, 28, 28), dtype=np.uint8) for part, n in parts.items()}
    digits = {f"y_{part}": numbers.integers(0, 10, n, dtype=np.uint8) for part, n in parts.items()}
    buffer = io.BytesIO()
    np.savez(buffer, **pictures, **digits)
    files["mnist/mnist.npz"] = buffer.getvalue()
    for part in ("train", "val", "test_2016_flickr"):
        files[f"multi30k/{part}.en.gz"] = gzip.compress(f"A red hat, {part}.\nTwo hats.\n".encode())
        files[f"multi30k/{part}.de.gz"] = gzip.compress(f"Ein roter Hut, {part}.\nZwei Hüte.\n".encode())
    return files


class Server(ThreadingHTTPServer):
    """What it serves, what goes wrong (:class:`Handler`), and which paths it was asked for."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.files: dict[str, bytes] = {}
        self.real = False
        self.mode = "well"
        self.requests: list[str] = []


class Handler(BaseHTTPRequestHandler):
    """Serves ``server.files``; ``server.mode`` says what goes wrong."""

    def do_GET(self) -> None:
        mode, body = self.server.mode, self.server.files.get(self.path.lstrip("/"))
        self.server.requests.append(self.path)
        if mode.isdigit() or body is None:
            self.send_error(int(mode) if mode.isdigit() else 404)
            return
        if mode == "silent":
            time.sleep(0.5)
            return
        if mode == "other file":
            body = bytes(reversed(body))
        self.send_response(200)
        if mode != "cut short without a length":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if mode.startswith("cut short") else body)

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def serving(kind: str, monkeypatch: pytest.MonkeyPatch, cache: Path) -> Iterator[Server]:
    """A server with all files (``"small files"`` or ``"real files"``), and an empty cache that is told to fetch from it.

    MNIST is served as a small file where ``LMCORE_DATA`` has the corpora of text alone.
    """
    files, real = _small_files(), {name for name in DOWNLOADED if all((DATA / f.path).is_file() for f in about(name).files)}
    if kind == "small files":
        real = set()
    elif not real >= set(DOWNLOADED) - {"mnist"}:
        pytest.skip("LMCORE_DATA names no folder with the downloaded corpora")
    for name in DOWNLOADED:
        source = about(name)
        if name in real:
            files |= {f.path: (DATA / f.path).read_bytes() for f in source.files}
        else:
            pinned = tuple(replace(f, sha256=hashlib.sha256(files[f.path]).hexdigest()) for f in source.files)
            monkeypatch.setitem(sources.SOURCES, name, replace(source, files=pinned))
    with Server(("127.0.0.1", 0), Handler) as http:
        http.files, http.real = files, kind == "real files"
        thread = threading.Thread(target=http.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setenv("LMCORE_DATA", str(cache))
        monkeypatch.setenv("LMCORE_MIRROR", f"http://127.0.0.1:{http.server_address[1]}/")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        try:
            yield http
        finally:
            http.shutdown()
            thread.join()


def tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) if folder.exists() else []


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
