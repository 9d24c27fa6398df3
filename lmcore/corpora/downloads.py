"""One file from one fixed address with one checksum, kept in a cache.

The cache is the folder that ``LMCORE_DATA`` names, else the platform's own cache folder. It may be read-only when every file
is in it already. ``LMCORE_MIRROR`` replaces the addresses by another server that has the same layout as the cache: in a
classroom, ``python -m http.server`` in a filled cache is such a server. The checksums hold for it as well.

A file is in the cache under its name only after its checksum was right. A wrong file that is there already is never used and
never deleted: it is reported, because somebody put it there.
"""

import contextlib
import hashlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TIMEOUT = 30  # seconds without a byte


class DownloadError(FileNotFoundError):
    """A file that is needed is not in the cache and could not be fetched, or is not the file that was pinned."""


@dataclass(frozen=True)
class Pinned:
    """A file that never changes: its path in the cache, its address and the SHA-256 of its bytes.

    Instead of a SHA-256 there may be the name that git gives to the file's content, a SHA-1 of 40 digits, for files of which
    nothing else is known.
    """

    path: str
    url: str
    sha256: str


def folder() -> Path:
    """The cache folder: ``LMCORE_DATA``, else the platform's cache folder for lmcore."""
    if named := os.environ.get("LMCORE_DATA"):
        return Path(named).expanduser()
    import pooch

    return Path(pooch.os_cache("lmcore"))


def address(file: Pinned) -> str:
    """Where the file is fetched from: its pinned address, or its place on the server that ``LMCORE_MIRROR`` names."""
    mirror = os.environ.get("LMCORE_MIRROR")
    return f"{mirror.rstrip('/')}/{file.path}" if mirror else file.url


def present(file: Pinned) -> bool:
    """Whether the cache holds the file, unchanged."""
    path = folder() / file.path
    return path.is_file() and _digest(path, file) == file.sha256


def fetch(file: Pinned) -> Path:
    """The file's path in the cache; it is downloaded first if it is not there.

    Raises:
        DownloadError: it could not be downloaded, or the cache holds another file under its name. The message says what
            happened, the address, and where to put the file by hand.
    """
    path = folder() / file.path
    if path.exists():
        if not path.is_file():
            raise DownloadError(f"{path} is in the way of the file {file.path}; move it away and try again")
        if (found := _digest(path, file)) != file.sha256:
            raise DownloadError(
                f"{path} is not the expected file: its {_kind(file)} is {found}, expected {file.sha256}. "
                f"Nothing was changed; delete or move it and try again to fetch it from {address(file)}"
            )
        return path
    with _explained(file, path):
        _download(file, path)
    return path


def _download(file: Pinned, path: Path) -> None:
    import pooch

    pooch.get_logger().setLevel("WARNING")
    http = pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), timeout=TIMEOUT)

    def checked(url: str, output: str, manager: Any) -> None:
        """Before it gets its name; pooch knows no checksum of git's kind."""
        http(url, output, manager)
        if _digest(Path(output), file) != file.sha256:
            raise ValueError("another checksum")

    pooch.retrieve(address(file), known_hash=None, fname=path.name, path=path.parent, downloader=checked)
    path.chmod(0o644)  # a cache may be shared; pooch's files are their owner's alone


@contextlib.contextmanager
def _explained(file: Pinned, path: Path) -> Iterator[None]:
    """Turn whatever goes wrong in a download into one error, and leave no empty folder behind."""
    import requests

    try:
        yield
        return
    except (OSError, ValueError) as error:
        cause = error
    match cause:
        case requests.HTTPError(response=requests.Response() as answer):
            happened = f"the server answered {answer.status_code} {answer.reason}"
            answer.close()
        case requests.Timeout():
            happened = f"the server sent nothing for {TIMEOUT} seconds"
        case requests.exceptions.ChunkedEncodingError():
            happened = "the download broke off before its end"
        case requests.ConnectionError():
            happened = "there is no connection to the server"
        case requests.RequestException():
            happened = f"the request failed ({cause})"
        case OSError():
            happened = f"the cache {folder()} cannot be written to ({cause.strerror or cause})"
        case _:  # the ValueError for a checksum that does not match
            happened = f"what arrived has another checksum than {file.sha256} (cut short, or not the same file)"
    for left in path.parents[: len(Path(file.path).parts)]:  # up to the cache itself
        with contextlib.suppress(OSError):
            left.rmdir()
    raise DownloadError(
        f"could not fetch {file.path}: {happened}. Address: {address(file)} . "
        f"To do it by hand, put that file at {path}; LMCORE_DATA names another folder"
    ) from cause


def _kind(file: Pinned) -> str:
    return "SHA-256" if len(file.sha256) == 64 else "git's name"


def _digest(path: Path, file: Pinned) -> str:
    """The checksum of what lies there, of the kind that this file has."""
    with path.open("rb") as stream:
        if _kind(file) == "SHA-256":
            return hashlib.file_digest(stream, "sha256").hexdigest()
        return hashlib.sha1(b"blob %d\0" % path.stat().st_size + stream.read(), usedforsecurity=False).hexdigest()
